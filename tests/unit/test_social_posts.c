/* test_social_posts.c - posts, replies and their end: who sees them, what is counted, and transactions that run twice. */
#include "guild_fixture.h"

#include "base/log.h"
#include "social/channel_priv.h"
#include "social/post_priv.h"

static const struct http_route *const tables[] = {agent_routes, identity_routes, social_post_routes, NULL};

static int setup(void **state)
{
	int failed = fixture_open(state, tables, false);
	if (failed == 0) {
		struct fixture *f = *state;
		id_gen_init(&f->guild.id_gens[LIMIT_LOOPS], LIMIT_LOOPS, 0);
	}
	return failed;
}

/* ---- who is there ---- */

/* An agent, and the caller that it is with a token of its own. */
static struct caller agent(struct fixture *f, const char *name, const char *maturity)
{
	char body[192], id[64];
	struct caller caller;
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"maturity\":\"%s\",\"category\":\"r&d\",\"kind\":\"external\"}", name, maturity);
	call(f, &f->admin, "POST", "/v1/agents", body, 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	call(f, &f->admin, "POST", path("agents/$/tokens", id), "{}", 201);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(text(f, "token")), 1, &caller), ERR_OK);
	assert_int_equal(caller.role, ROLE_AGENT);
	return caller;
}

static const char *id_of(struct fixture *f, struct actor actor)
{
	static struct id_text texts[4];
	static unsigned next;
	struct id_text *out = &texts[next++ % 4];
	*out = actor_id(&f->guild, actor);
	return out->text;
}

static int64_t channel(struct fixture *f, const char *name, bool is_private, int64_t member)
{
	struct channel made = {.id = guild_writer_key(&f->guild, f->env.wall_us(f)),
		.workspace = f->operator.workspace,
		.member_count = 1,
		.created_at_us = 1,
		.revision = 1,
		.name = str_of(name),
		.display_name = str_of(name),
		.description = STR(""),
		.kind = 1,
		.is_private = is_private,
		.created_by = actor_of(&f->operator)};
	assert_int_equal(channel_put(f->guild.social, &made), ERR_OK);
	assert_int_equal(channel_member_put(f->guild.social, made.id, member), ERR_OK);
	struct command_overlay overlay = channel_overlay(f->guild.social);
	overlay.committed(overlay.ctx);
	return made.id;
}

/* Posts; the id of what was made, which is good until the next but four. */
static const char *post(struct fixture *f, const struct caller *caller, const char *body)
{
	static char ids[4][64];
	static unsigned next;
	char *out = ids[next++ % 4];
	call(f, caller, "POST", "/v1/posts", body, 201);
	snprintf(out, sizeof(ids[0]), "%s", text(f, "id"));
	return out;
}

static void sees(struct fixture *f, const struct caller *caller, const char *id, bool visible)
{
	call(f, caller, "GET", path("posts/$", id), NULL, visible ? 200 : 404);
	call(f, caller, "GET", path("posts/$/replies", id), NULL, visible ? 200 : 404);
}

static int64_t count_of(struct fixture *f, const struct db_sql *sql)
{
	bool row;
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), sql);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t value = db_int(stmt, 0);
	db_reset(stmt);
	return value;
}

/* Statements are kept by their address: each place has its own. */
#define count(f, words)                                                                                                \
	({                                                                                                             \
		static const struct db_sql sql_here = {words};                                                         \
		count_of(f, &sql_here);                                                                                \
	})

/* ---- posting ---- */

static void a_post_says_who_and_what(void **state)
{
	struct fixture *f = *state;
	struct caller bot = agent(f, "Post Bot", "intern");
	const char *id = post(f, &f->member, "{\"content\":\"All #Done, #done @post-bot\"}");
	assert_string_equal(text(f, "type"), "status");
	assert_string_equal(text(f, "visibility"), "public");
	assert_string_equal(text(f, "content"), "All #Done, #done @post-bot");
	assert_int_equal(json_size(json_member(json_root(&f->doc), STR("hashtags"))), 1);
	struct json mention = json_element(json_member(json_root(&f->doc), STR("mentions")), 0);
	struct str word;
	assert_true(json_get_str(json_member(mention, STR("text")), &word) && str_eq(word, STR("@post-bot")));
	char *made = strdup(f->body);
	call(f, &bot, "GET", path("posts/$", id), NULL, 200);
	assert_string_equal(f->body, made);
	free(made);

	call(f, &bot, "POST", "/v1/posts", "{\"content\":\"x\",\"type\":\"Announcement\"}", 201);
	assert_string_equal(text(f, "type"), "alert");
	assert_string_equal(text(f, "requested_type"), "announcement");
	struct json author = json_member(json_root(&f->doc), STR("author"));
	assert_true(json_get_str(json_member(author, STR("maturity")), &word) && str_eq(word, STR("intern")));
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"author\":{\"id\":\"me\"}}", 422);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"type\":\"shout\"}", 422);
	for (int i = 0; post_type_words[i] != NULL; i++) {
		assert_non_null(strstr(f->body, post_type_words[i]));
	}
}

static void fields_that_contradict_are_refused(void **state)
{
	struct fixture *f = *state;
	(void)channel(f, "lobby", false, f->admin.principal);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"channel_id\":\"lobby\",\"visibility\":\"public\"}", 422);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"visibility\":\"channel\"}", 422);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"channel_id\":\"nowhere\"}", 404);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"\"}", 422);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"skip_redaction\":true}", 403);
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\",\"auto_generated\":true}", 403);
	call(f, &f->admin, "POST", "/v1/posts", "{\"content\":\"x\",\"auto_generated\":true,\"skip_redaction\":true}", 201);
	assert_int_equal(count(f, "SELECT count(*) FROM post"), 1);
}

static void students_read_and_do_not_write(void **state)
{
	struct fixture *f = *state;
	struct caller student = agent(f, "Pupil", "student");
	const char *id = post(f, &f->member, "{\"content\":\"read me\"}");
	sees(f, &student, id, true);
	int64_t entries = audit_entries(f);
	call(f, &student, "POST", "/v1/posts", "{\"content\":\"x\"}", 403);
	assert_string_equal(text(f, "code"), "governance_blocked");
	assert_true(text(f, "audit_id")[0] != '\0');
	call(f, &student, "POST", path("posts/$/replies", id), "{\"content\":\"x\"}", 403);
	assert_int_equal(audit_entries(f), entries + 2);
	assert_int_equal(count(f, "SELECT count(*) FROM post"), 1);
}

/* ---- who sees what ---- */

static void public_posts_and_public_channels_are_for_all(void **state)
{
	struct fixture *f = *state;
	(void)channel(f, "hall", false, f->admin.principal);
	sees(f, &f->other, post(f, &f->member, "{\"content\":\"x\"}"), true);
	sees(f, &f->other, post(f, &f->member, "{\"content\":\"x\",\"channel_id\":\"hall\"}"), true);
	assert_string_equal(text(f, "items"), "");
	sees(f, &f->other, "00000000-0000-7000-8000-000000000000", false);
}

static void private_channels_are_for_their_members(void **state)
{
	struct fixture *f = *state;
	int64_t room = channel(f, "room", true, f->member.principal);
	call(f, &f->other, "POST", "/v1/posts", "{\"content\":\"x\",\"channel_id\":\"room\"}", 404);
	const char *id = post(f, &f->member, "{\"content\":\"#secret\",\"channel_id\":\"room\"}");
	sees(f, &f->other, id, false);
	sees(f, &f->admin, id, false);
	sees(f, &f->member, id, true);
	call(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"x\"}", 404);
	call(f, &f->other, "DELETE", path("posts/$", id), NULL, 404);
	/* Who left between preparing and the transaction does not get in. */
	struct http_local_sink sink = {.reply = on_reply, .ctx = f};
	reply_forget(f);
	call_begin(f, &f->member, "POST", "/v1/posts", "{\"content\":\"late\",\"channel_id\":\"room\"}", &sink);
	assert_int_equal(channel_member_remove(f->guild.social, room, f->member.principal), ERR_OK);
	for (int i = 0; i < TURNS_MAX && f->status == 0; i++) {
		turn(f);
	}
	assert_int_equal(f->status, 404);
	assert_int_equal(count(f, "SELECT count(*) FROM post"), 1);
	/* Authors may still take back what they wrote. */
	call(f, &f->member, "DELETE", path("posts/$", id), NULL, 204);
}

static void directed_posts_are_for_two(void **state)
{
	struct fixture *f = *state;
	char body[256], both[320];
	struct caller bot = agent(f, "Target", "intern");
	snprintf(body, sizeof(body), "{\"content\":\"for you\",\"visibility\":\"directed\",\"mentions\":[{\"kind\":\"user\",\"id\":\"%s\"}]}",
		id_of(f, actor_of(&f->other)));
	const char *id = post(f, &f->member, body);
	sees(f, &f->other, id, true);
	sees(f, &f->member, id, true);
	sees(f, &f->admin, id, false);
	sees(f, &bot, id, false);
	/* An answer goes back to the first author, and an answer to that to the other again. */
	call(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"thanks\"}", 201);
	assert_string_equal(text(f, "visibility"), "directed");
	char reply[64];
	snprintf(reply, sizeof(reply), "%s", text(f, "id"));
	sees(f, &f->member, reply, true);
	sees(f, &bot, reply, false);
	call(f, &f->other, "POST", path("posts/$/replies", reply), "{\"content\":\"and\"}", 201);
	snprintf(reply, sizeof(reply), "%s", text(f, "id"));
	sees(f, &f->member, reply, true);
	sees(f, &f->other, reply, true);
	/* A note is for its author alone; two addressees are too many. */
	id = post(f, &f->member, "{\"content\":\"note\",\"visibility\":\"directed\"}");
	sees(f, &f->member, id, true);
	sees(f, &f->other, id, false);
	snprintf(both, sizeof(both), "{\"content\":\"@target\",\"visibility\":\"directed\",\"mentions\":[{\"kind\":\"user\",\"id\":\"%s\"}]}",
		id_of(f, actor_of(&f->other)));
	call(f, &f->member, "POST", "/v1/posts", both, 422);
	id = post(f, &f->member, "{\"content\":\"@target look\",\"visibility\":\"directed\"}");
	sees(f, &bot, id, true);
	sees(f, &f->other, id, false);
}

static const struct db_sql sql_block = {"INSERT INTO block (actor, blocked, blocked_kind, created_at) VALUES (?1, ?2, 1, 1)"};

static void nobody_gets_directed_posts_of_whom_they_block(void **state)
{
	struct fixture *f = *state;
	char body[256];
	snprintf(body, sizeof(body), "{\"content\":\"x\",\"visibility\":\"directed\",\"mentions\":[{\"kind\":\"user\",\"id\":\"%s\"}]}",
		id_of(f, actor_of(&f->other)));
	const char *id = post(f, &f->member, body);
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), &sql_block);
	db_bind_int(stmt, 1, f->other.principal);
	db_bind_int(stmt, 2, f->member.principal);
	assert_int_equal(db_run(stmt), ERR_OK);
	int64_t entries = audit_entries(f);
	call(f, &f->member, "POST", "/v1/posts", body, 403);
	assert_string_equal(text(f, "code"), "permission_denied");
	call(f, &f->member, "POST", path("posts/$/replies", id), "{\"content\":\"still there?\"}", 403);
	assert_int_equal(audit_entries(f), entries + 2);
	/* The other way it works, and so does what is said to all. */
	call(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"no more\"}", 201);
	(void)post(f, &f->member, "{\"content\":\"hello all\"}");
	assert_int_equal(count(f, "SELECT count(*) FROM post"), 3);
}

/* ---- replies, ends, counters ---- */

static int64_t replies(struct fixture *f, const char *id)
{
	call(f, &f->member, "GET", path("posts/$", id), NULL, 200);
	return number(f, "reply_count");
}

static void replies_are_counted_and_listed_oldest_first(void **state)
{
	struct fixture *f = *state;
	const char *id = post(f, &f->member, "{\"content\":\"question?\",\"type\":\"question\"}");
	char first[64];
	for (int i = 0; i < 3; i++) {
		call(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"#answer\"}", 201);
		assert_string_equal(text(f, "reply_to"), id);
		assert_string_equal(text(f, "requested_type"), "response");
		if (i == 0) {
			snprintf(first, sizeof(first), "%s", text(f, "id"));
		}
		assert_int_equal(replies(f, id), i + 1);
	}
	call(f, &f->member, "GET", path("posts/$/replies?limit=2", id), NULL, 200);
	assert_int_equal(items(f), 2);
	assert_string_equal(item_text(f, 0, "id"), first);
	char next[256];
	snprintf(next, sizeof(next), "/v1/posts/%s/replies?limit=2&cursor=%s", id, text(f, "next_cursor"));
	call(f, &f->member, "GET", next, NULL, 200);
	assert_int_equal(items(f), 1);
	/* Replies are found through their post, not by tag. */
	assert_int_equal(count(f, "SELECT count(*) FROM post_tag"), 0);
	call(f, &f->other, "DELETE", path("posts/$", first), NULL, 204);
	assert_int_equal(replies(f, id), 2);
	call(f, &f->member, "GET", path("posts/$/replies", id), NULL, 200);
	assert_int_equal(items(f), 2);
	call(f, &f->member, "POST", path("posts/$/replies", "00000000-0000-7000-8000-000000000000"), "{\"content\":\"x\"}", 404);
}

static const struct db_sql sql_reaction = {"INSERT INTO reaction (post, emoji, actor, actor_kind) VALUES (?1, ?2, ?3, 1)"};

static void a_tombstone_keeps_nothing_but_its_place(void **state)
{
	struct fixture *f = *state;
	int64_t key;
	char id[64];
	snprintf(id, sizeof(id), "%s", post(f, &f->member, "{\"content\":\"#a #b #c #d #e #f #g #h #i #j gone soon\"}"));
	assert_int_equal(json_size(json_member(json_root(&f->doc), STR("hashtags"))), 10);
	assert_int_equal(count(f, "SELECT count(*) FROM post_tag"), LIMIT_POST_TAGS);
	call(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"kept\"}", 201);
	assert_int_equal(id_parse(&f->guild.id_secret, ID_POST, str_of(id), &key), ERR_OK);
	for (int64_t i = 1; i <= 3 * LIMIT_POST_REACTIONS_STEP; i++) {
		struct db_stmt *stmt = db_use(writer_db(f->guild.writer), &sql_reaction);
		db_bind_int(stmt, 1, key);
		db_bind_text(stmt, 2, i % 2 == 0 ? STR("\xf0\x9f\x91\x8d") : STR("\xf0\x9f\x8e\x89"));
		db_bind_int(stmt, 3, i);
		assert_int_equal(db_run(stmt), ERR_OK);
	}
	call(f, &f->other, "DELETE", path("posts/$", id), NULL, 403);
	call(f, &f->admin, "DELETE", path("posts/$", id), NULL, 204);
	assert_int_equal(count(f, "SELECT count(*) FROM reaction"), 0);
	assert_int_equal(count(f, "SELECT count(*) FROM post_tag"), 0);
	assert_int_equal(count(f, "SELECT count(*) FROM post WHERE content = tags AND length(content) = 0 AND deleted_at > 0"), 1);
	assert_int_equal(count(f, "SELECT count(*) FROM log WHERE event_type = 'post_deleted'"), 1);
	call(f, &f->member, "GET", path("posts/$", id), NULL, 404);
	call(f, &f->member, "DELETE", path("posts/$", id), NULL, 404);
	call(f, &f->member, "POST", path("posts/$/replies", id), "{\"content\":\"x\"}", 404);
	call(f, &f->member, "GET", path("posts/$/replies", id), NULL, 200);
	assert_int_equal(items(f), 1);
}

static void what_is_public_counts_for_trends_until_its_end(void **state)
{
	struct fixture *f = *state;
	(void)agent(f, "Talked About", "intern");
	(void)channel(f, "cellar", true, f->member.principal);
	(void)post(f, &f->member, "{\"content\":\"#quiet @talked-about\",\"channel_id\":\"cellar\"}");
	(void)post(f, &f->member, "{\"content\":\"#quiet\",\"visibility\":\"directed\"}");
	assert_int_equal(count(f, "SELECT count(*) FROM trend"), 0);
	const char *id = post(f, &f->member, "{\"content\":\"#loud #Loud @talked-about\"}");
	call(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"#loud\"}", 201);
	assert_int_equal(count(f, "SELECT posts FROM trend WHERE topic = '#loud'"), 2);
	assert_int_equal(count(f, "SELECT posts FROM trend WHERE topic = '@talked-about'"), 1);
	call(f, &f->member, "DELETE", path("posts/$", id), NULL, 204);
	assert_int_equal(count(f, "SELECT posts FROM trend WHERE topic = '#loud'"), 1);
	assert_int_equal(count(f, "SELECT coalesce(sum(posts), 0) FROM trend WHERE topic = '@talked-about'"), 0);
}

/* ---- several in one transaction ---- */

struct outcome {
	int status;
	char *body;
};

static void on_outcome(void *ctx, int status, struct str content_type, struct str body)
{
	struct outcome *outcome = ctx;
	outcome->status = status;
	outcome->body = text_copy(body);
}

/* Asks n times before the writer takes anything, so that all are in one batch. between: a further job of that batch. */
static void burst(struct fixture *f, const struct caller *caller, struct outcome *out, int n, struct write_job *between)
{
	for (int i = 0; i < n; i++) {
		struct http_local_sink sink = {.reply = on_outcome, .ctx = &out[i]};
		call_begin(f, caller, "POST", "/v1/posts", "{\"content\":\"#burst\"}", &sink);
		if (i == n / 2 && between != NULL) {
			assert_int_equal(writer_push(f->guild.writer, between), ERR_OK);
		}
	}
	int open = n;
	for (int turns = 0; turns < TURNS_MAX && open > 0; turns++) {
		turn(f);
		open = 0;
		for (int i = 0; i < n; i++) {
			open += out[i].status == 0;
		}
	}
	assert_int_equal(open, 0);
}

static int with_status(struct outcome *out, int n, int status)
{
	int found = 0;
	for (int i = 0; i < n; i++) {
		found += out[i].status == status;
	}
	return found;
}

static void forget(struct outcome *out, int n)
{
	for (int i = 0; i < n; i++) {
		free(out[i].body);
	}
}

/* AC-134 */
static void of_13_at_once_exactly_12_are_kept(void **state)
{
	struct fixture *f = *state;
	struct caller bot = agent(f, "Eager", "supervised"), second = agent(f, "Second", "supervised");
	struct outcome out[13] = {{0}}, other[1] = {{0}};
	burst(f, &bot, out, 13, NULL);
	assert_int_equal(with_status(out, 13, 201), 12);
	assert_int_equal(with_status(out, 13, 429), 1);
	assert_non_null(strstr(out[12].body, "rate_limited"));
	assert_non_null(strstr(out[12].body, "12 posts and replies"));
	assert_int_equal(count(f, "SELECT count(*) FROM post"), 12);
	assert_int_equal(count(f, "SELECT count(*) FROM rate_event"), 12);
	/* The limit is each agent's own, and its window slides. */
	burst(f, &second, other, 1, NULL);
	assert_int_equal(other[0].status, 201);
	f->skew_us += INT64_C(3599) * 1000000;
	call(f, &bot, "POST", "/v1/posts", "{\"content\":\"x\"}", 429);
	f->skew_us += 2000000;
	call(f, &bot, "POST", "/v1/posts", "{\"content\":\"x\"}", 201);
	(void)audit_entries(f);
	forget(out, 13);
	forget(other, 1);
}

static void a_parent_that_goes_in_the_same_batch_takes_no_reply(void **state)
{
	struct fixture *f = *state;
	const char *id = post(f, &f->member, "{\"content\":\"going\"}");
	struct outcome gone = {0}, late = {0};
	struct http_local_sink first = {.reply = on_outcome, .ctx = &gone}, second = {.reply = on_outcome, .ctx = &late};
	call_begin(f, &f->member, "DELETE", path("posts/$", id), NULL, &first);
	call_begin(f, &f->other, "POST", path("posts/$/replies", id), "{\"content\":\"wait\"}", &second);
	/* Both have seen it before the writer takes either. */
	while (reader_turn(f->guild.readers, 0)) {
	}
	for (int i = 0; i < TURNS_MAX && (gone.status == 0 || late.status == 0); i++) {
		turn(f);
	}
	assert_int_equal(gone.status, 204);
	assert_int_equal(late.status, 404);
	assert_int_equal(count(f, "SELECT count(*) FROM post"), 1);
	assert_int_equal(count(f, "SELECT reply_count FROM post"), 0);
	forget(&gone, 1);
	forget(&late, 1);
}

/* Decision D1 of the store: at most 12 in one apply, here of the dearest kind of post. */
static void one_post_takes_few_statements(void **state)
{
	struct fixture *f = *state;
	char body[512];
	struct caller bot = agent(f, "Dear", "supervised");
	snprintf(body, sizeof(body), "{\"content\":\"#a #b #c #d #e #f #g #h #i\",\"visibility\":\"directed\",\"auto_generated\":true,"
		"\"mentions\":[{\"kind\":\"user\",\"id\":\"%s\"}]}", id_of(f, actor_of(&f->other)));
	uint64_t before = db_statements(writer_db(f->guild.writer));
	(void)post(f, &bot, body);
	assert_in_range(db_statements(writer_db(f->guild.writer)) - before, 3, 10);
	assert_int_equal(count(f, "SELECT count(*) FROM post_tag"), LIMIT_POST_TAGS);
}

static int failures;

static enum err fail_after_write(struct write_job *job, struct db *db)
{
	static const struct db_sql sql = {"UPDATE post SET reply_count = reply_count + 1000"};
	failures++;
	enum err err = db_run(db_use(db, &sql));
	return err == ERR_OK ? ERR_CONFLICT : err;
}

static void failed(struct write_job *job)
{
	assert_int_equal(job->result, ERR_CONFLICT);
}

static void a_batch_that_runs_twice_leaves_each_post_once(void **state)
{
	struct fixture *f = *state;
	struct caller bot = agent(f, "Twice", "supervised");
	struct outcome out[14] = {{0}};
	struct write_job job = {.apply = fail_after_write, .done = failed, .home = f->guild.loops[0]};
	failures = 0;
	burst(f, &bot, out, 14, &job);
	assert_int_equal(failures, 2);
	assert_int_equal(with_status(out, 14, 201), 12);
	assert_int_equal(with_status(out, 14, 429), 2);
	assert_int_equal(count(f, "SELECT count(*) FROM post WHERE reply_count = 0"), 12);
	assert_int_equal(count(f, "SELECT count(*) FROM post_tag"), 12);
	assert_int_equal(count(f, "SELECT count(*) FROM rate_event"), 12);
	(void)audit_entries(f);
	/* What was answered is what is kept. */
	for (int i = 0; i < 12; i++) {
		char id[64];
		assert_int_equal(sscanf(out[i].body, "{\"id\":\"%36[0-9a-f-]\"", id), 1);
		call(f, &f->member, "GET", path("posts/$", id), NULL, 200);
		assert_string_equal(f->body, out[i].body);
	}
	forget(out, 14);
}

static void ids_follow_commits(void **state)
{
	struct fixture *f = *state;
	struct outcome out[5] = {{0}};
	burst(f, &f->member, out, 5, NULL);
	f->skew_us -= 5000000; /* the clock goes back */
	call(f, &f->member, "POST", "/v1/posts", "{\"content\":\"x\"}", 201);
	assert_true(strcmp(out[4].body, f->body) < 0);
	for (int i = 1; i < 5; i++) {
		assert_true(strcmp(out[i - 1].body, out[i].body) < 0);
	}
	assert_int_equal(count(f, "SELECT count(*) FROM post a, post b WHERE a.id < b.id AND a.created_at > b.created_at"), 0);
	forget(out, 5);
}

/* ---- the server's own ---- */

struct heard {
	int calls;
	enum err err;
	int64_t id;
};

static void on_done(void *ctx, const struct post_done *done)
{
	struct heard *heard = ctx;
	heard->calls++;
	heard->err = done->err;
	heard->id = done->err == ERR_OK ? done->post->id : 0;
}

struct submission {
	struct loop_note note;
	struct fixture *f;
	const struct caller *caller;
	struct post_input input;
	struct heard heard;
	enum err err;
	bool begun;
};

static void submit_run(struct loop_note *note, struct loop *loop)
{
	struct submission *s = container_of(note, struct submission, note);
	s->err = post_submit(&s->f->guild, loop, s->caller, &s->input, on_done, &s->heard);
	s->begun = true;
}

/* ERR_OK, or how it ended. */
static enum err submit(struct fixture *f, const struct caller *caller, struct post_input input, int64_t *id)
{
	struct submission s = {{.run = submit_run}, f, caller, input, {0}, ERR_OK, false};
	loop_note_post(f->guild.loops[0], &s.note);
	for (int i = 0; i < TURNS_MAX && (!s.begun || (s.err == ERR_OK && s.heard.calls == 0)); i++) {
		turn(f);
	}
	assert_int_equal(s.heard.calls, s.err == ERR_OK ? 1 : 0);
	*id = s.heard.id;
	return s.err != ERR_OK ? s.err : s.heard.err;
}

/* AC-145 */
static void automatic_posts_are_short_and_far_between(void **state)
{
	struct fixture *f = *state;
	struct caller bot = agent(f, "Herald", "autonomous"), student = agent(f, "Novice", "student");
	char long_text[LIMIT_AUTO_POST_CHARS + 2];
	int64_t id, parent;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	struct post_input input = {.content = str_of(long_text), .requested = 1, .visibility = VISIBILITY_PUBLIC, .auto_generated = true};
	assert_int_equal(submit(f, &bot, input, &id), ERR_INVALID);
	input.content.len--;
	assert_int_equal(submit(f, &student, input, &id), ERR_GOVERNANCE);
	assert_int_equal(submit(f, &bot, input, &parent), ERR_OK);
	assert_int_equal(submit(f, &bot, input, &id), ERR_RATE_LIMITED);
	input.requested = 4;
	assert_int_equal(submit(f, &bot, input, &id), ERR_OK);
	/* Answers have limits of their own. */
	input.requested = 7;
	input.reply_to = parent;
	input.content = str_of(long_text);
	assert_int_equal(submit(f, &bot, input, &id), ERR_OK);
	input.reply_to = 12345;
	assert_int_equal(submit(f, &bot, input, &id), ERR_NOT_FOUND);
	f->skew_us += INT64_C(301) * 1000000;
	input.reply_to = 0;
	input.content.len--;
	assert_int_equal(submit(f, &bot, input, &id), ERR_OK);
	assert_int_equal(count(f, "SELECT count(*) FROM post WHERE auto_generated = 1"), 4);
	assert_int_equal(count(f, "SELECT reply_count FROM post ORDER BY id LIMIT 1"), 1);
}

/* ---- topics ---- */

static void topics_say_where_a_post_went(void **state)
{
	struct fixture *f = *state;
	struct caller bot = agent(f, "Router", "autonomous");
	struct id_text id = actor_id(&f->guild, actor_of(&bot)), user = actor_id(&f->guild, actor_of(&f->member));
	struct id_text about = id_format(&f->guild.id_secret, ID_POST, 77);
	struct post made = {.id = 77, .workspace = bot.workspace, .author = actor_of(&bot), .kind = POST_STATUS,
		.visibility = VISIBILITY_PUBLIC, .audience = bot.workspace};
	char want[512];
	struct str topics;
	arena_fini(&f->arena);
	arena_init(&f->arena, 1 << 24);
	assert_int_equal(post_topics(&f->guild, &f->arena, &made, false, &topics), ERR_OK);
	snprintf(want, sizeof(want), "global agent:%s", id.text);
	assert_string_equal(topics.at, want);
	made.kind = POST_QUESTION;
	assert_int_equal(post_topics(&f->guild, &f->arena, &made, true, &topics), ERR_OK);
	snprintf(want, sizeof(want), "post:%s global agent:%s category:r_d", about.text, id.text);
	assert_string_equal(topics.at, want);
	made.kind = POST_ALERT;
	assert_int_equal(post_topics(&f->guild, &f->arena, &made, false, &topics), ERR_OK);
	snprintf(want, sizeof(want), "global agent:%s alerts", id.text);
	assert_string_equal(topics.at, want);
	made.visibility = VISIBILITY_DIRECTED;
	made.audience = f->member.principal;
	assert_int_equal(post_topics(&f->guild, &f->arena, &made, false, &topics), ERR_OK);
	snprintf(want, sizeof(want), "agent:%s user:%s", id.text, user.text);
	assert_string_equal(topics.at, want);
	for (int i = 0; i < 2; i++) {
		made.visibility = VISIBILITY_CHANNEL;
		made.audience = channel(f, i == 0 ? "open" : "shut", i == 1, f->member.principal);
		struct id_text room = id_format(&f->guild.id_secret, ID_CHANNEL, made.audience);
		assert_int_equal(post_topics(&f->guild, &f->arena, &made, false, &topics), ERR_OK);
		snprintf(want, sizeof(want), "channel:%s%s", room.text, i == 0 ? " global" : "");
		assert_string_equal(topics.at, want);
	}
}

int main(void)
{
	log_set(LOG_OFF, false);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_post_says_who_and_what, setup, fixture_close),
		cmocka_unit_test_setup_teardown(fields_that_contradict_are_refused, setup, fixture_close),
		cmocka_unit_test_setup_teardown(students_read_and_do_not_write, setup, fixture_close),
		cmocka_unit_test_setup_teardown(public_posts_and_public_channels_are_for_all, setup, fixture_close),
		cmocka_unit_test_setup_teardown(private_channels_are_for_their_members, setup, fixture_close),
		cmocka_unit_test_setup_teardown(directed_posts_are_for_two, setup, fixture_close),
		cmocka_unit_test_setup_teardown(nobody_gets_directed_posts_of_whom_they_block, setup, fixture_close),
		cmocka_unit_test_setup_teardown(replies_are_counted_and_listed_oldest_first, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_tombstone_keeps_nothing_but_its_place, setup, fixture_close),
		cmocka_unit_test_setup_teardown(what_is_public_counts_for_trends_until_its_end, setup, fixture_close),
		cmocka_unit_test_setup_teardown(of_13_at_once_exactly_12_are_kept, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_parent_that_goes_in_the_same_batch_takes_no_reply, setup, fixture_close),
		cmocka_unit_test_setup_teardown(one_post_takes_few_statements, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_batch_that_runs_twice_leaves_each_post_once, setup, fixture_close),
		cmocka_unit_test_setup_teardown(ids_follow_commits, setup, fixture_close),
		cmocka_unit_test_setup_teardown(automatic_posts_are_short_and_far_between, setup, fixture_close),
		cmocka_unit_test_setup_teardown(topics_say_where_a_post_went, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
