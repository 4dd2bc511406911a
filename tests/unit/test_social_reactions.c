/* Reactions: given once, taken back, counted in three places that have to agree, also over rollbacks; who may give them and how often. */
#include "guild_fixture.h"

#include "db/log.h"
#include "social/channel_priv.h"
#include "social/reaction_priv.h"

#define THUMBS_UP "%F0%9F%91%8D"
#define HEART "%E2%9D%A4%EF%B8%8F"

static const struct http_route *const tables[] = {
	social_channel_routes, social_reaction_routes, agent_routes, identity_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

/* ---- help ---- */

struct row_counts {
	int64_t post, sums, rows;
};

static int64_t one_number(struct fixture *f, const struct db_sql *sql, int64_t post)
{
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), sql);
	bool row;
	db_bind_int(stmt, 1, post);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t number = db_int(stmt, 0);
	db_reset(stmt);
	return number;
}

/* What the post says, what its sums say, and how many rows there are. */
static void assert_count(struct fixture *f, int64_t post, int64_t want)
{
	static const struct db_sql of_post = {"SELECT reaction_count FROM post WHERE id = ?1"};
	static const struct db_sql of_sums = {"SELECT coalesce(sum(actors), 0) FROM reaction_sum WHERE post = ?1"};
	static const struct db_sql of_rows = {"SELECT count(*) FROM reaction WHERE post = ?1"};
	static const struct db_sql of_zero = {"SELECT count(*) FROM reaction_sum WHERE post = ?1 AND actors <= 0"};
	assert_int_equal(one_number(f, &of_post, post), want);
	assert_int_equal(one_number(f, &of_sums, post), want);
	assert_int_equal(one_number(f, &of_rows, post), want);
	assert_int_equal(one_number(f, &of_zero, post), 0);
}

static int64_t post_new(struct fixture *f, enum visibility visibility, int64_t audience)
{
	struct post post = {.id = guild_key(&f->guild, f->guild.loops[0]),
			    .workspace = f->member.workspace,
			    .audience = audience,
			    .created_at_us = 1,
			    .author = {f->member.principal, ACTOR_HUMAN},
			    .kind = 1,
			    .requested = 1,
			    .visibility = visibility,
			    .content = STR("hello"),
			    .mentions = STR("[]"),
			    .tags = STR(""),
			    .redacted = STR("[]")};
	assert_int_equal(post_insert(writer_db(f->guild.writer), &post), ERR_OK);
	return post.id;
}

static int64_t public_post(struct fixture *f)
{
	return post_new(f, VISIBILITY_PUBLIC, f->member.workspace);
}

static const char *reaction_path(struct fixture *f, int64_t post, const char *emoji)
{
	static char out[4][256];
	static unsigned next;
	struct id_text id = id_format(&f->guild.id_secret, ID_POST, post);
	char *at = out[next++ % 4];
	snprintf(at, sizeof(out[0]), "/v1/posts/%s/reactions%s%s", id.text, emoji[0] != 0 ? "/" : "", emoji);
	return at;
}

struct event_seen {
	const char *type;
	int count;
	struct str data, topics;
	struct audience audience;
	struct arena *arena;
};

static enum err on_row(const struct log_row *row, void *arg)
{
	struct event_seen *seen = arg;
	if (str_eq(row->event_type, str_of(seen->type))) {
		seen->count++;
		seen->data = arena_copy(seen->arena, row->event_data);
		seen->topics = arena_copy(seen->arena, row->topics);
		seen->audience = (struct audience){row->audience_a, row->audience_b};
	}
	return ERR_OK;
}

static struct event_seen events(struct fixture *f, const char *type)
{
	struct event_seen seen = {.type = type, .arena = &f->arena};
	assert_int_equal(log_read(writer_db(f->guild.writer), 0, 1000, on_row, &seen), ERR_OK);
	return seen;
}

static struct caller agent_caller(struct fixture *f, const char *name, const char *maturity)
{
	char body[160], id[64];
	struct caller caller;
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"kind\":\"external\",\"maturity\":\"%s\"}", name, maturity);
	call(f, &f->admin, "POST", "/v1/agents", body, 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	call(f, &f->admin, "POST", path("agents/$/tokens", id), "", 201);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(text(f, "token")), 1, &caller), ERR_OK);
	return caller;
}

static int64_t item_number(struct fixture *f, uint32_t i, const char *name)
{
	int64_t value = -1;
	struct json item = json_element(json_member(json_root(&f->doc), STR("items")), i);
	assert_true(json_get_int(json_member(item, str_of(name)), &value));
	return value;
}

static bool item_mine(struct fixture *f, uint32_t i)
{
	bool value = false;
	struct json item = json_element(json_member(json_root(&f->doc), STR("items")), i);
	assert_true(json_get_bool(json_member(item, STR("mine")), &value));
	return value;
}

static uint32_t item_actors(struct fixture *f, uint32_t i)
{
	return json_size(json_member(json_element(json_member(json_root(&f->doc), STR("items")), i), STR("actors")));
}

/* ---- giving and taking back ---- */

/* AC-107, AC-109, AC-111, AC-113 */
static void each_actor_counts_once(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	call(f, &f->member, "GET", reaction_path(f, post, ""), NULL, 200);
	assert_int_equal(items(f), 0);
	call(f, &f->member, "PUT", reaction_path(f, post, HEART), NULL, 201);
	call(f, &f->member, "PUT", reaction_path(f, post, HEART), NULL, 200);
	call(f, &f->member, "PUT", reaction_path(f, post, THUMBS_UP), NULL, 201);
	call(f, &f->other, "PUT", reaction_path(f, post, THUMBS_UP), NULL, 201);
	assert_count(f, post, 3);
	call(f, &f->other, "GET", reaction_path(f, post, ""), NULL, 200);
	assert_int_equal(items(f), 2);
	assert_string_equal(item_text(f, 0, "emoji"), "\xF0\x9F\x91\x8D");
	assert_int_equal(item_number(f, 0, "count"), 2);
	assert_true(item_mine(f, 0));
	assert_int_equal(item_actors(f, 0), 2);
	assert_int_equal(item_number(f, 1, "count"), 1);
	assert_false(item_mine(f, 1));
	assert_int_equal(events(f, "reaction_added").count, 3);
}

/* AC-110 */
static void what_is_taken_back_is_gone(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	call(f, &f->member, "DELETE", reaction_path(f, post, HEART), NULL, 204);
	call(f, &f->member, "PUT", reaction_path(f, post, HEART), NULL, 201);
	call(f, &f->other, "PUT", reaction_path(f, post, HEART), NULL, 201);
	call(f, &f->member, "DELETE", reaction_path(f, post, HEART), NULL, 204);
	call(f, &f->member, "DELETE", reaction_path(f, post, HEART), NULL, 204);
	assert_count(f, post, 1);
	call(f, &f->other, "DELETE", reaction_path(f, post, HEART), NULL, 204);
	assert_count(f, post, 0);
	call(f, &f->member, "GET", reaction_path(f, post, ""), NULL, 200);
	assert_int_equal(items(f), 0);
	struct event_seen removed = events(f, "reaction_removed");
	assert_int_equal(removed.count, 2);
	assert_true(str_find(removed.data, STR("\"count\":0}")) > 0);
}

/* AC-112 */
static void events_tell_where_and_to_whom(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	struct id_text id = id_format(&f->guild.id_secret, ID_POST, post);
	call(f, &f->other, "PUT", reaction_path(f, post, THUMBS_UP), NULL, 201);
	struct event_seen added = events(f, "reaction_added");
	struct json_doc doc;
	struct str value;
	assert_int_equal(json_parse(&f->arena, added.data, &doc, NULL), ERR_OK);
	assert_true(json_get_str(json_member(json_root(&doc), STR("post_id")), &value) && str_eq(value, id_str(&id)));
	assert_true(json_get_str(json_member(json_root(&doc), STR("emoji")), &value) && str_eq(value, STR("\xF0\x9F\x91\x8D")));
	assert_true(json_get_str(json_member(json_member(json_root(&doc), STR("actor")), STR("name")), &value));
	assert_true(str_eq(value, STR("Olu")));
	assert_true(str_eq(added.topics, arena_format(&f->arena, "post:%s global", id.text)));
	assert_int_equal(added.audience.a, 0);
	int64_t directed = post_new(f, VISIBILITY_DIRECTED, f->other.principal);
	call(f, &f->other, "PUT", reaction_path(f, directed, THUMBS_UP), NULL, 201);
	added = events(f, "reaction_added");
	assert_true(str_find(added.topics, STR("global")) < 0);
	assert_int_equal(added.audience.a, f->member.principal);
	assert_int_equal(added.audience.b, f->other.principal);
}

/* ---- who may ---- */

static void what_cannot_be_seen_is_not_there(void **state)
{
	struct fixture *f = *state;
	int64_t channel, directed = post_new(f, VISIBILITY_DIRECTED, f->admin.principal);
	call(f, &f->member, "POST", "/v1/channels", "{\"name\":\"own\",\"private\":true}", 201);
	assert_int_equal(id_parse(&f->guild.id_secret, ID_CHANNEL, str_of(text(f, "id")), &channel), ERR_OK);
	int64_t hidden[] = {directed, post_new(f, VISIBILITY_CHANNEL, channel), 12345};
	for (int i = 0; i < 3; i++) {
		call(f, &f->other, "PUT", reaction_path(f, hidden[i], HEART), NULL, 404);
		call(f, &f->other, "DELETE", reaction_path(f, hidden[i], HEART), NULL, 404);
		call(f, &f->other, "GET", reaction_path(f, hidden[i], ""), NULL, 404);
	}
	call(f, &f->other, "PUT", "/v1/posts/nonsense/reactions/" HEART, NULL, 404);
	call(f, &f->member, "PUT", reaction_path(f, hidden[1], HEART), NULL, 201);
	assert_int_equal(events(f, "reaction_added").audience.a, channel);
	int64_t buried = public_post(f);
	assert_int_equal(post_bury(writer_db(f->guild.writer), buried, 5), ERR_OK);
	call(f, &f->member, "PUT", reaction_path(f, buried, HEART), NULL, 404);
	call(f, &f->member, "GET", reaction_path(f, buried, ""), NULL, 404);
	assert_int_equal(events(f, "reaction_added").count, 1);
}

static void one_emoji_is_wanted(void **state)
{
	struct fixture *f = *state;
	static const char *const wrong[] = {"a", "%F0%9F%91%8D%F0%9F%91%8D", "%20", "x%F0%9F%91%8D", "%E2%84%A2", "ok", "%E2%80%8D"};
	int64_t post = public_post(f);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		call(f, &f->member, "PUT", reaction_path(f, post, wrong[i]), NULL, 422);
		assert_non_null(strstr(f->body, "UTS #51"));
		call(f, &f->member, "DELETE", reaction_path(f, post, wrong[i]), NULL, 422);
	}
	assert_count(f, post, 0);
	struct caller viewer = f->member;
	viewer.role = ROLE_VIEWER;
	call(f, &viewer, "PUT", reaction_path(f, post, HEART), NULL, 403);
}

static void agents_are_governed_and_limited(void **state)
{
	struct fixture *f = *state;
	char emoji[32];
	int64_t post = public_post(f);
	struct caller student = agent_caller(f, "Stu", "student");
	call(f, &student, "PUT", reaction_path(f, post, HEART), NULL, 403);
	assert_string_equal(text(f, "code"), "governance_blocked");
	call(f, &student, "GET", reaction_path(f, post, ""), NULL, 200);
	struct caller intern = agent_caller(f, "Inga", "intern");
	f->guild.settings.reactions_hour[MATURITY_INTERN] = 3;
	for (int i = 0; i < 3; i++) {
		snprintf(emoji, sizeof(emoji), "%%F0%%9F%%98%%%02X", 0x80 + i);
		call(f, &intern, "PUT", reaction_path(f, post, emoji), NULL, 201);
	}
	call(f, &intern, "PUT", reaction_path(f, post, "%F0%9F%98%80"), NULL, 200);
	call(f, &intern, "PUT", reaction_path(f, post, HEART), NULL, 429);
	assert_string_equal(text(f, "code"), "rate_limited");
	assert_true(number(f, "retry_after_ms") > 3500000);
	call(f, &intern, "DELETE", reaction_path(f, post, "%F0%9F%98%80"), NULL, 204);
	assert_count(f, post, 2);
	f->skew_us += 3601 * 1000000ll;
	call(f, &intern, "PUT", reaction_path(f, post, HEART), NULL, 201);
	assert_count(f, post, 3);
}

static void a_post_has_so_many_different_ones(void **state)
{
	struct fixture *f = *state;
	char emoji[32];
	int64_t post = public_post(f);
	for (int i = 0; i < LIMIT_POST_EMOJIS; i++) {
		snprintf(emoji, sizeof(emoji), "%%F0%%9F%%98%%%02X", 0x80 + i);
		call(f, i % 2 == 0 ? &f->member : &f->other, "PUT", reaction_path(f, post, emoji), NULL, 201);
	}
	call(f, &f->member, "PUT", reaction_path(f, post, HEART), NULL, 409);
	call(f, &f->other, "PUT", reaction_path(f, post, "%F0%9F%98%80"), NULL, 201);
	assert_count(f, post, LIMIT_POST_EMOJIS + 1);
	call(f, &f->admin, "GET", reaction_path(f, post, ""), NULL, 200);
	assert_int_equal(items(f), LIMIT_POST_EMOJIS);
	call(f, &f->other, "DELETE", reaction_path(f, post, "%F0%9F%98%81"), NULL, 204);
	call(f, &f->member, "PUT", reaction_path(f, post, HEART), NULL, 201);
}

static void a_crowd_is_shown_in_part(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	struct db *db = writer_db(f->guild.writer);
	for (int i = 0; i < 30; i++) {
		struct reaction reaction = {post, STR("\xF0\x9F\x91\x8D"), {i + 1, ACTOR_AGENT}};
		assert_int_equal(reaction_insert(db, &reaction, i), ERR_OK);
	}
	assert_int_equal(post_count_add(db, post, 0, 30), ERR_OK);
	call(f, &f->member, "PUT", reaction_path(f, post, THUMBS_UP), NULL, 201);
	call(f, &f->member, "GET", reaction_path(f, post, ""), NULL, 200);
	assert_int_equal(item_number(f, 0, "count"), 31);
	assert_int_equal(item_actors(f, 0), REACTION_ACTORS_SHOWN);
	assert_true(item_mine(f, 0));
	assert_count(f, post, 31);
}

/* ---- one batch ---- */

struct burst {
	int left;
	int statuses[16];
};
struct burst_call {
	struct burst *burst;
	int number;
};

static void on_burst_reply(void *ctx, int status, struct str content_type, struct str body)
{
	struct burst_call *one = ctx;
	one->burst->statuses[one->number] = status;
	one->burst->left--;
}

static void burst_add(struct fixture *f, struct burst_call *one, const struct caller *caller, const char *method, const char *target)
{
	struct http_local_sink sink = {.reply = on_burst_reply, .ctx = one};
	call_begin(f, caller, method, target, NULL, &sink);
}

static void burst_end(struct fixture *f, struct burst *burst)
{
	for (int i = 0; i < TURNS_MAX && burst->left > 0; i++) {
		turn(f);
	}
	assert_int_equal(burst->left, 0);
}

static void the_same_one_twice_in_a_batch(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	struct burst burst = {.left = 5};
	struct burst_call calls[5];
	for (int i = 0; i < 5; i++) {
		calls[i] = (struct burst_call){&burst, i};
		burst_add(f, &calls[i], i == 4 ? &f->other : &f->member, i == 2 ? "DELETE" : "PUT", reaction_path(f, post, HEART));
	}
	burst_end(f, &burst);
	static const int want[] = {201, 200, 204, 201, 201};
	assert_memory_equal(burst.statuses, want, sizeof(want));
	assert_count(f, post, 2);
	assert_int_equal(events(f, "reaction_added").count, 3);
	assert_int_equal(events(f, "reaction_removed").count, 1);
}

static const struct db_sql sql_spoil = {"DELETE FROM reaction_sum"};

static enum err spoil_apply(struct write_job *job, struct db *db)
{
	enum err err = db_run(db_use(db, &sql_spoil));
	return err == ERR_OK ? ERR_CONFLICT : err;
}

static void a_removal_under_rollback(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	struct burst burst = {.left = 4};
	struct burst_call calls[4];
	struct spoil spoil = {.job = {.apply = spoil_apply, .done = spoil_done}};
	for (int i = 0; i < 4; i++) {
		calls[i] = (struct burst_call){&burst, i};
	}
	call(f, &f->member, "PUT", reaction_path(f, post, HEART), NULL, 201);
	call(f, &f->other, "PUT", reaction_path(f, post, HEART), NULL, 201);
	burst_add(f, &calls[0], &f->member, "DELETE", reaction_path(f, post, HEART));
	burst_add(f, &calls[1], &f->admin, "PUT", reaction_path(f, post, THUMBS_UP));
	assert_int_equal(writer_push(f->guild.writer, &spoil.job), ERR_OK);
	burst_add(f, &calls[2], &f->other, "DELETE", reaction_path(f, post, HEART));
	burst_add(f, &calls[3], &f->other, "DELETE", reaction_path(f, post, HEART));
	burst_end(f, &burst);
	assert_true(spoil.done);
	static const int want[] = {204, 201, 204, 204};
	assert_memory_equal(burst.statuses, want, sizeof(want));
	assert_count(f, post, 1);
	assert_int_equal(events(f, "reaction_removed").count, 2);
	call(f, &f->other, "GET", reaction_path(f, post, ""), NULL, 200);
	assert_int_equal(items(f), 1);
}

/* A post that is deleted in the same batch takes no more reactions. */
static enum err bury_apply(struct write_job *job, struct db *db)
{
	static const struct db_sql sql = {"UPDATE post SET deleted_at = 5 WHERE reply_to = 0"};
	return db_run(db_use(db, &sql));
}

static void a_deletion_comes_first(void **state)
{
	struct fixture *f = *state;
	int64_t post = public_post(f);
	struct burst burst = {.left = 1};
	struct burst_call one = {&burst, 0};
	struct spoil bury = {.job = {.apply = bury_apply, .done = spoil_done}};
	assert_int_equal(writer_push(f->guild.writer, &bury.job), ERR_OK);
	burst_add(f, &one, &f->other, "PUT", reaction_path(f, post, HEART));
	burst_end(f, &burst);
	assert_int_equal(burst.statuses[0], 404);
	assert_count(f, post, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_actor_counts_once, setup, fixture_close),
		cmocka_unit_test_setup_teardown(what_is_taken_back_is_gone, setup, fixture_close),
		cmocka_unit_test_setup_teardown(events_tell_where_and_to_whom, setup, fixture_close),
		cmocka_unit_test_setup_teardown(what_cannot_be_seen_is_not_there, setup, fixture_close),
		cmocka_unit_test_setup_teardown(one_emoji_is_wanted, setup, fixture_close),
		cmocka_unit_test_setup_teardown(agents_are_governed_and_limited, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_post_has_so_many_different_ones, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_crowd_is_shown_in_part, setup, fixture_close),
		cmocka_unit_test_setup_teardown(the_same_one_twice_in_a_batch, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_removal_under_rollback, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_deletion_comes_first, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
