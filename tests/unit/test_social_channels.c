/* Channels: making, joining, leaving, who sees what; the tables in memory against rollbacks and a restart. */
#include "guild_fixture.h"

#include "db/log.h"
#include "social/channel_priv.h"

static const struct http_route *const tables[] = {social_channel_routes, agent_routes, identity_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

/* ---- help ---- */

struct event_seen {
	const char *type;
	int count;
	struct str data, topics;
	int64_t audience_a, audience_b;
	struct arena *arena;
};

static enum err on_row(const struct log_row *row, void *arg)
{
	struct event_seen *seen = arg;
	if (str_eq(row->event_type, str_of(seen->type))) {
		seen->count++;
		seen->data = arena_copy(seen->arena, row->event_data);
		seen->topics = arena_copy(seen->arena, row->topics);
		seen->audience_a = row->audience_a;
		seen->audience_b = row->audience_b;
	}
	return ERR_OK;
}

/* How many events of that type there are, and the last of them. */
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

static void channel_new(struct fixture *f, const struct caller *caller, const char *body, char id[64])
{
	call(f, caller, "POST", "/v1/channels", body, 201);
	snprintf(id, 64, "%s", text(f, "id"));
}

static int64_t key_of(struct fixture *f, const char *id)
{
	int64_t key;
	assert_int_equal(id_parse(&f->guild.id_secret, ID_CHANNEL, str_of(id), &key), ERR_OK);
	return key;
}

static const char *user_id(struct fixture *f, const struct caller *caller)
{
	static char out[4][64];
	static unsigned next;
	struct id_text id = id_format(&f->guild.id_secret, ID_PRINCIPAL, caller->principal);
	char *at = out[next++ % 4];
	snprintf(at, 64, "%s", id.text);
	return at;
}

static const char *member_path(const char *channel, const char *member)
{
	static char out[4][256];
	static unsigned next;
	char *at = out[next++ % 4];
	snprintf(at, 256, "/v1/channels/%s/members/%s", channel, member);
	return at;
}

/* Requests that the writer gets in one batch. */
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

static void burst_add(struct fixture *f, struct burst_call *one, const struct caller *caller, const char *method, const char *target,
		      const char *body)
{
	struct http_local_sink sink = {.reply = on_burst_reply, .ctx = one};
	call_begin(f, caller, method, target, body, &sink);
}

static void burst_end(struct fixture *f, struct burst *burst)
{
	for (int i = 0; i < TURNS_MAX && burst->left > 0; i++) {
		turn(f);
	}
	assert_int_equal(burst->left, 0);
}

/* ---- create ---- */

/* AC-99, AC-100, AC-105 */
static void a_channel_is_made_once(void **state)
{
	struct fixture *f = *state;
	char id[64];
	struct caller intern = agent_caller(f, "Inga", "intern");
	channel_new(f, &intern, "{\"name\":\"#General-Talk\"}", id);
	assert_string_equal(text(f, "name"), "general-talk");
	assert_string_equal(text(f, "display_name"), "general-talk");
	assert_string_equal(text(f, "type"), "general");
	assert_int_equal(number(f, "member_count"), 1);
	struct event_seen made = events(f, "channel_created");
	assert_int_equal(made.count, 1);
	assert_true(str_find(made.data, str_of(id)) > 0);
	assert_true(str_find(made.topics, STR(" global")) > 0);
	assert_int_equal(made.audience_a, 0);
	call(f, &f->member, "POST", "/v1/channels", "{\"name\":\"general-TALK\",\"description\":\"another\"}", 200);
	assert_string_equal(text(f, "id"), id);
	assert_string_equal(text(f, "description"), "");
	assert_int_equal(events(f, "channel_created").count, 1);
	call(f, &f->member, "GET", "/v1/channels/General-Talk", NULL, 200);
	assert_string_equal(text(f, "id"), id);
	call(f, &f->member, "GET", path("channels/$", id), NULL, 200);
	assert_string_equal(text(f, "name"), "general-talk");
}

static void what_cannot_be_a_channel_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const bodies[] = {"{\"name\":\"\"}", "{\"name\":\"#\"}", "{\"name\":\"two words\"}", "{\"name\":\"\\u00e4\"}",
					     "{\"name\":\"a\",\"type\":\"other\"}", "{\"name\":\"a\",\"display_name\":\"a\\u202eb\"}",
					     "{\"name\":7}", "{}"};
	char long_name[128];
	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		call(f, &f->member, "POST", "/v1/channels", bodies[i], 422);
	}
	snprintf(long_name, sizeof(long_name), "{\"name\":\"%065d\"}", 0);
	call(f, &f->member, "POST", "/v1/channels", long_name, 422);
	snprintf(long_name, sizeof(long_name), "{\"name\":\"%064d\"}", 0);
	call(f, &f->member, "POST", "/v1/channels", long_name, 201);
	struct caller viewer = f->member;
	viewer.role = ROLE_VIEWER;
	call(f, &viewer, "POST", "/v1/channels", "{\"name\":\"views\"}", 403);
	struct caller student = agent_caller(f, "Stu", "student");
	call(f, &student, "POST", "/v1/channels", "{\"name\":\"students\"}", 403);
	assert_string_equal(text(f, "code"), "governance_blocked");
	assert_true(text(f, "audit_id")[0] != 0);
	call(f, &student, "GET", "/v1/channels", NULL, 200);
}

/* ---- private ones ---- */

/* AC-105, AC-106 */
static void a_private_channel_is_there_for_members_alone(void **state)
{
	struct fixture *f = *state;
	char id[64];
	channel_new(f, &f->member, "{\"name\":\"secret\",\"display_name\":\"The secret\",\"type\":\"Project\",\"private\":true}", id);
	assert_string_equal(text(f, "display_name"), "The secret");
	assert_string_equal(text(f, "type"), "project");
	struct event_seen made = events(f, "channel_created");
	assert_true(str_find(made.topics, STR("global")) < 0);
	assert_int_equal(made.audience_a, key_of(f, id));
	for (int i = 0; i < 2; i++) {
		const char *name = i == 0 ? id : "secret";
		call(f, &f->other, "GET", path("channels/$", name), NULL, 404);
		call(f, &f->other, "GET", path("channels/$/members", name), NULL, 404);
		call(f, &f->other, "PUT", member_path(name, "me"), NULL, 404);
		call(f, &f->other, "DELETE", member_path(name, "me"), NULL, 404);
		call(f, &f->other, "PUT", member_path(name, user_id(f, &f->other)), NULL, 404);
	}
	call(f, &f->other, "POST", "/v1/channels", "{\"name\":\"secret\"}", 409);
	assert_null(strstr(f->body, id));
	assert_null(strstr(f->body, "The secret"));
	call(f, &f->other, "GET", "/v1/channels", NULL, 200);
	assert_int_equal(items(f), 0);
	call(f, &f->admin, "GET", path("channels/$", id), NULL, 404);
	struct audience audience = {key_of(f, id), 0};
	assert_false(social_may_see(f->guild.social, &f->other, audience));
	assert_true(social_may_see(f->guild.social, &f->member, audience));
	call(f, &f->member, "PUT", member_path("secret", user_id(f, &f->other)), NULL, 200);
	assert_int_equal(number(f, "member_count"), 2);
	assert_true(social_may_see(f->guild.social, &f->other, audience));
	call(f, &f->other, "POST", "/v1/channels", "{\"name\":\"secret\"}", 200);
	call(f, &f->other, "GET", path("channels/$/members", id), NULL, 200);
	assert_int_equal(items(f), 2);
	call(f, &f->other, "DELETE", member_path(id, user_id(f, &f->member)), NULL, 403);
	call(f, &f->member, "DELETE", member_path(id, user_id(f, &f->other)), NULL, 204);
	assert_false(social_may_see(f->guild.social, &f->other, audience));
	call(f, &f->other, "GET", path("channels/$", id), NULL, 404);
	call(f, &f->admin, "PUT", member_path(id, user_id(f, &f->other)), NULL, 200);
	call(f, &f->admin, "DELETE", member_path(id, user_id(f, &f->other)), NULL, 204);
}

static void an_audience_of_two_is_theirs(void **state)
{
	struct fixture *f = *state;
	struct audience two = {f->member.principal, f->other.principal};
	struct caller nobody = {.workspace = f->member.workspace};
	assert_true(social_may_see(f->guild.social, &f->member, two));
	assert_true(social_may_see(f->guild.social, &f->other, two));
	assert_false(social_may_see(f->guild.social, &f->admin, two));
	assert_false(social_may_see(f->guild.social, &nobody, two));
	assert_true(social_may_see(f->guild.social, &nobody, (struct audience){0, 0}));
}

/* ---- joining and leaving ---- */

/* AC-102, AC-103 */
static void joining_and_leaving_are_idempotent(void **state)
{
	struct fixture *f = *state;
	char id[64];
	channel_new(f, &f->member, "{\"name\":\"open\"}", id);
	for (int i = 0; i < 2; i++) {
		call(f, &f->other, "PUT", member_path(id, "me"), NULL, 200);
		assert_int_equal(number(f, "member_count"), 2);
		assert_int_equal(number(f, "revision"), 2);
	}
	struct event_seen joined = events(f, "channel_joined");
	assert_int_equal(joined.count, 1);
	struct json_doc doc;
	int64_t count = 0;
	struct str name;
	assert_int_equal(json_parse(&f->arena, joined.data, &doc, NULL), ERR_OK);
	assert_true(json_get_int(json_member(json_root(&doc), STR("member_count")), &count) && count == 2);
	assert_true(json_get_str(json_member(json_member(json_root(&doc), STR("actor")), STR("name")), &name));
	assert_true(str_eq(name, STR("Olu")));
	for (int i = 0; i < 2; i++) {
		call(f, &f->other, "DELETE", member_path("open", "me"), NULL, 204);
	}
	assert_int_equal(events(f, "channel_left").count, 1);
	call(f, &f->member, "GET", path("channels/$", id), NULL, 200);
	assert_int_equal(number(f, "member_count"), 1);
	call(f, &f->other, "PUT", member_path(id, user_id(f, &f->admin)), NULL, 403);
	call(f, &f->other, "PUT", member_path(id, "nobody"), NULL, 404);
	struct caller student = agent_caller(f, "Stu", "student");
	call(f, &student, "PUT", member_path(id, "me"), NULL, 403);
	struct caller intern = agent_caller(f, "Inga", "intern");
	call(f, &intern, "PUT", member_path(id, "me"), NULL, 200);
	call(f, &intern, "DELETE", member_path(id, "me"), NULL, 204);
}

/* A handle that looks like somebody's id does not stand for them. */
static void a_handle_is_no_id(void **state)
{
	struct fixture *f = *state;
	char id[64], body[160];
	snprintf(body, sizeof(body), "{\"name\":\"Mallory\",\"handle\":\"%s\"}", user_id(f, &f->other));
	call(f, &f->member, "POST", "/v1/agents", body, 201);
	channel_new(f, &f->member, "{\"name\":\"club\",\"private\":true}", id);
	call(f, &f->member, "PUT", member_path(id, user_id(f, &f->other)), NULL, 200);
	assert_true(channel_has(f->guild.social, key_of(f, id), f->other.principal));
	assert_int_equal(number(f, "member_count"), 2);
}

static void an_actor_belongs_to_so_many_channels(void **state)
{
	struct fixture *f = *state;
	char body[64];
	for (int i = 0; i < LIMIT_VIEWER_CHANNELS; i++) {
		snprintf(body, sizeof(body), "{\"name\":\"c%d\"}", i);
		call(f, &f->member, "POST", "/v1/channels", body, 201);
	}
	call(f, &f->member, "POST", "/v1/channels", "{\"name\":\"more\"}", 409);
	assert_non_null(strstr(text(f, "detail"), "as many channels"));
	call(f, &f->other, "POST", "/v1/channels", "{\"name\":\"more\"}", 201);
	call(f, &f->member, "PUT", member_path("more", "me"), NULL, 409);
	call(f, &f->member, "DELETE", member_path("c7", "me"), NULL, 204);
	call(f, &f->member, "PUT", member_path("more", "me"), NULL, 200);
	size_t count;
	const int64_t *channels = channel_of_actor(f->guild.social, f->member.principal, &count);
	assert_int_equal(count, LIMIT_VIEWER_CHANNELS);
	for (size_t i = 1; i < count; i++) {
		assert_true(channels[i - 1] < channels[i]);
	}
}

/* ---- lists ---- */

/* AC-101 */
static void lists_are_in_order_of_names(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"m", "a", "z", "k", "b"};
	char body[64], id[64], target[320];
	call(f, &f->member, "GET", "/v1/channels", NULL, 200);
	assert_int_equal(items(f), 0);
	for (int i = 0; i < 5; i++) {
		snprintf(body, sizeof(body), "{\"name\":\"%s\",\"private\":%s}", names[i], i == 3 ? "true" : "false");
		channel_new(f, i % 2 == 0 ? &f->member : &f->other, body, id);
	}
	char seen[16] = "";
	snprintf(target, sizeof(target), "/v1/channels?limit=2");
	for (int page = 0; page < 4 && target[0] != 0; page++) {
		call(f, &f->member, "GET", target, NULL, 200);
		for (uint32_t i = 0; i < items(f); i++) {
			strcat(seen, item_text(f, i, "name"));
		}
		const char *cursor = text(f, "next_cursor");
		if (cursor[0] == 0) {
			break;
		}
		snprintf(target, sizeof(target), "/v1/channels?limit=2&cursor=%s", cursor);
	}
	assert_string_equal(seen, "abmz");
	call(f, &f->other, "GET", "/v1/channels?mine=true", NULL, 200);
	assert_int_equal(items(f), 2);
	assert_string_equal(item_text(f, 0, "name"), "a");
	assert_string_equal(item_text(f, 1, "name"), "k");
	call(f, &f->other, "GET", "/v1/channels", NULL, 200);
	assert_int_equal(items(f), 5);
}

/* ---- one batch ---- */

static void one_batch_makes_one_channel_and_one_member(void **state)
{
	struct fixture *f = *state;
	struct burst burst = {.left = 3};
	struct burst_call calls[6];
	for (int i = 0; i < 6; i++) {
		calls[i] = (struct burst_call){&burst, i};
	}
	const char *name = "{\"name\":\"race\"}";
	burst_add(f, &calls[0], &f->member, "POST", "/v1/channels", name);
	burst_add(f, &calls[1], &f->member, "POST", "/v1/channels", name);
	burst_add(f, &calls[2], &f->other, "POST", "/v1/channels", name);
	burst_end(f, &burst);
	assert_int_equal(burst.statuses[0] + burst.statuses[1] + burst.statuses[2], 201 + 200 + 200);
	burst.left = 3;
	burst_add(f, &calls[3], &f->other, "PUT", "/v1/channels/race/members/me", NULL);
	burst_add(f, &calls[4], &f->other, "PUT", "/v1/channels/race/members/me", NULL);
	burst_add(f, &calls[5], &f->other, "PUT", "/v1/channels/race/members/me", NULL);
	burst_end(f, &burst);
	assert_int_equal(burst.statuses[3] + burst.statuses[4] + burst.statuses[5], 600);
	call(f, &f->member, "GET", "/v1/channels/race", NULL, 200);
	assert_int_equal(number(f, "member_count"), 2);
	assert_int_equal(events(f, "channel_joined").count, 1);
	assert_int_equal(events(f, "channel_created").count, 1);
}

static const struct db_sql sql_spoil = {"DELETE FROM channel_member"};

static enum err spoil_apply(struct write_job *job, struct db *db)
{
	enum err err = db_run(db_use(db, &sql_spoil));
	return err == ERR_OK ? ERR_CONFLICT : err;
}

static void a_rollback_takes_tables_along(void **state)
{
	struct fixture *f = *state;
	char id[64];
	struct burst burst = {.left = 4};
	struct burst_call calls[4];
	struct spoil spoil = {.job = {.apply = spoil_apply, .done = spoil_done}};
	for (int i = 0; i < 4; i++) {
		calls[i] = (struct burst_call){&burst, i};
	}
	channel_new(f, &f->other, "{\"name\":\"known\"}", id);
	burst_add(f, &calls[0], &f->member, "POST", "/v1/channels", "{\"name\":\"again\"}");
	burst_add(f, &calls[1], &f->member, "PUT", "/v1/channels/known/members/me", NULL);
	assert_int_equal(writer_push(f->guild.writer, &spoil.job), ERR_OK);
	burst_add(f, &calls[2], &f->other, "POST", "/v1/channels", "{\"name\":\"again\",\"description\":\"mine\"}");
	burst_add(f, &calls[3], &f->other, "DELETE", "/v1/channels/known/members/me", NULL);
	burst_end(f, &burst);
	assert_true(spoil.done);
	assert_int_equal(burst.statuses[0], 201);
	assert_int_equal(burst.statuses[1], 200);
	assert_int_equal(burst.statuses[2], 200);
	assert_int_equal(burst.statuses[3], 204);
	call(f, &f->member, "GET", path("channels/$", id), NULL, 200);
	assert_int_equal(number(f, "member_count"), 1);
	call(f, &f->member, "GET", path("channels/$/members", id), NULL, 200);
	assert_int_equal(items(f), 1);
	assert_true(channel_has(f->guild.social, key_of(f, id), f->member.principal));
	assert_false(channel_has(f->guild.social, key_of(f, id), f->other.principal));
	assert_int_equal(events(f, "channel_joined").count, 1);
	assert_int_equal(events(f, "channel_left").count, 1);
}

/* ---- the table by itself: marks and undoing, and loading ---- */

static void marks_and_loading(void **state)
{
	struct fixture *f = *state;
	struct social *social = f->guild.social, *loaded;
	char id[64];
	channel_new(f, &f->member, "{\"name\":\"kept\",\"private\":true}", id);
	channel_new(f, &f->member, "{\"name\":\"left\"}", id);
	call(f, &f->member, "DELETE", member_path(id, "me"), NULL, 204);
	call(f, &f->other, "PUT", member_path(id, "me"), NULL, 200);
	struct command_overlay overlay = channel_overlay(social);
	size_t mark = overlay.mark(overlay.ctx);
	int64_t key = key_of(f, id);
	assert_int_equal(channel_member_put(social, key, f->admin.principal), ERR_OK);
	assert_int_equal(channel_member_remove(social, key, f->other.principal), ERR_OK);
	assert_true(channel_writer_has(social, key, f->admin.principal));
	assert_false(channel_writer_has(social, key, f->other.principal));
	assert_false(channel_has(social, key, f->admin.principal));
	overlay.undo_to(overlay.ctx, mark);
	assert_false(channel_writer_has(social, key, f->admin.principal));
	assert_true(channel_writer_has(social, key, f->other.principal));

	assert_int_equal(social_create(&f->guild, &loaded), ERR_OK);
	assert_int_equal(social_load(loaded, writer_db(f->guild.writer)), ERR_OK);
	const struct channel *kept = channel_by_name(loaded, f->member.workspace, STR("kept"));
	assert_non_null(kept);
	assert_true(kept->is_private);
	assert_int_equal(kept->created_by.key, f->member.principal);
	assert_true(channel_has(loaded, kept->id, f->member.principal));
	assert_true(channel_has(loaded, key, f->other.principal));
	assert_false(channel_has(loaded, key, f->member.principal));
	assert_int_equal(channel_get(loaded, key)->revision, 3);
	assert_null(channel_by_name(loaded, f->member.workspace + 1, STR("kept")));
	social_destroy(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_channel_is_made_once, setup, fixture_close),
		cmocka_unit_test_setup_teardown(what_cannot_be_a_channel_is_refused, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_private_channel_is_there_for_members_alone, setup, fixture_close),
		cmocka_unit_test_setup_teardown(an_audience_of_two_is_theirs, setup, fixture_close),
		cmocka_unit_test_setup_teardown(joining_and_leaving_are_idempotent, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_handle_is_no_id, setup, fixture_close),
		cmocka_unit_test_setup_teardown(an_actor_belongs_to_so_many_channels, setup, fixture_close),
		cmocka_unit_test_setup_teardown(lists_are_in_order_of_names, setup, fixture_close),
		cmocka_unit_test_setup_teardown(one_batch_makes_one_channel_and_one_member, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_rollback_takes_tables_along, setup, fixture_close),
		cmocka_unit_test_setup_teardown(marks_and_loading, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
