/* Direct messages and blocks: rows, commands and lists, on a real store in one thread. */
#include "guild_fixture.h"
#include "db/row.h"
#include "social/message_priv.h"

static const struct http_route *const tables[] = {agent_routes, identity_routes, social_message_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

/* ---- parties ---- */

struct party {
	struct caller caller;
	struct actor actor;
	char id[ID_TEXT_LEN + 1];
};

static struct party person(struct fixture *f, const struct caller *caller)
{
	struct party p = {.caller = *caller, .actor = actor_of(caller)};
	struct id_text id = actor_id(&f->guild, p.actor);
	snprintf(p.id, sizeof(p.id), "%s", id.text);
	return p;
}

/* An agent as its token makes it a caller. */
static struct party agent(struct fixture *f, const char *name, const char *maturity)
{
	char body[200];
	struct party p = {.caller = {.workspace = f->admin.workspace, .role = ROLE_AGENT}};
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"maturity\":\"%s\",\"kind\":\"external\"}", name, maturity);
	call(f, &f->admin, "POST", "/v1/agents", body, 201);
	snprintf(p.id, sizeof(p.id), "%s", text(f, "id"));
	call(f, &f->admin, "POST", path("agents/$/tokens", p.id), NULL, 201);
	struct caller caller;
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(text(f, "token")), 1, &caller), ERR_OK);
	p.caller = caller;
	p.actor = actor_of(&caller);
	return p;
}

/* Sends; the id of the message, borrowed until four more. */
static const char *send(struct fixture *f, const struct party *from, const struct party *to, const char *content, int want)
{
	static char ids[4][64];
	static unsigned next;
	char body[512];
	snprintf(body, sizeof(body), "{\"%s\":\"%s\",\"content\":\"%s\"}",
		to->actor.kind == ACTOR_AGENT ? "to_agent_id" : "to_user_id", to->id, content);
	call(f, &from->caller, "POST", "/v1/direct-messages", body, want);
	snprintf(ids[next % 4], sizeof(ids[0]), "%s", text(f, "id"));
	return ids[next++ % 4];
}

static void list(struct fixture *f, const struct party *who, const char *query)
{
	char target[400];
	snprintf(target, sizeof(target), "/v1/direct-messages%s", query);
	call(f, &who->caller, "GET", target, NULL, 200);
}

/* The contents of the items, joined. */
static const char *contents(struct fixture *f)
{
	static char out[512];
	out[0] = '\0';
	for (uint32_t i = 0; i < items(f); i++) {
		strncat(out, item_text(f, i, "content"), sizeof(out) - strlen(out) - 1);
	}
	return out;
}

static int64_t count_of(struct fixture *f, const struct db_sql *sql)
{
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), sql);
	assert_int_equal(db_first(stmt), ERR_OK);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

static int64_t messages_kept(struct fixture *f)
{
	static const struct db_sql sql = {"SELECT count(*) FROM direct_message"};
	return count_of(f, &sql);
}

/* Straight into the store. */
static void fill(struct fixture *f, const struct party *from, const struct party *to, int count)
{
	struct db *db = writer_db(f->guild.writer);
	assert_int_equal(db_begin(db), ERR_OK);
	for (int i = 0; i < count; i++) {
		int64_t now_us = env_wall_us(f->guild.env);
		struct message message = {.id = guild_writer_key(&f->guild, now_us),
			.workspace = from->caller.workspace,
			.created_at_us = now_us,
			.from = from->actor,
			.to = to->actor,
			.kind = 4,
			.content = STR("x"),
			.redacted = STR("[]")};
		assert_int_equal(message_insert(db, &message), ERR_OK);
	}
	assert_int_equal(db_commit(db), ERR_OK);
}

struct last_row {
	struct log_row row;
	char type[64], topics[256], entry[2048], data[2048];
};

static enum err on_row(const struct log_row *row, void *arg)
{
	struct last_row *last = arg;
	last->row = *row;
	str_to_z(row->event_type, last->type, sizeof(last->type));
	str_to_z(row->topics, last->topics, sizeof(last->topics));
	str_to_z(row->entry, last->entry, sizeof(last->entry));
	str_to_z(row->event_data, last->data, sizeof(last->data));
	return ERR_OK;
}

static struct last_row newest_row(struct fixture *f)
{
	struct last_row last;
	assert_int_equal(log_read_back(writer_db(f->guild.writer), 0, 1, on_row, &last), ERR_OK);
	return last;
}

/* ---- sending ---- */

/* AC-91, AC-96: the object, and one log row that is its audit entry and its event, for the two alone. */
static void test_send(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), bot = agent(f, "Bot", "supervised");
	char topics[256], want[256];
	int64_t before = audit_entries(f);
	const char *id = send(f, &bot, &mo, "hello", 201);
	assert_int_equal(audit_entries(f), before + 1);
	snprintf(want, sizeof(want),
		"{\"id\":\"%s\",\"from\":{\"kind\":\"agent\",\"id\":\"%s\",\"name\":\"Bot\"},\"to\":{\"kind\":\"human\",\"id\":\"%s\","
		"\"name\":\"Mo\"},\"type\":\"note\",\"content\":\"hello\",\"created_at\":\"", id, bot.id, mo.id);
	assert_memory_equal(f->body, want, strlen(want));
	assert_non_null(strstr(f->body, "Z\",\"delivered_at\":null,\"read_at\":null}"));
	struct last_row row = newest_row(f);
	snprintf(topics, sizeof(topics), "agent:%s user:%s", bot.id, mo.id);
	assert_string_equal(row.type, "direct_message");
	assert_string_equal(row.topics, topics);
	assert_string_equal(row.data, f->body);
	assert_int_equal(row.row.audience_a, bot.actor.key);
	assert_int_equal(row.row.audience_b, mo.actor.key);
	assert_int_equal(row.row.agent, bot.actor.key);
	assert_int_equal(row.row.kinds, LOG_AUDIT | LOG_EVENT);
	assert_non_null(strstr(row.entry, id));
	assert_null(strstr(row.entry, "hello"));
	/* A human to an agent by its handle, with a type in any case. */
	call(f, &olu.caller, "POST", "/v1/direct-messages",
		"{\"to_agent_id\":\"bot\",\"content\":\"do it\",\"message_type\":\"Command\"}", 201);
	assert_string_equal(text(f, "type"), "command");
	assert_int_equal(newest_row(f).row.agent, 0);
}

static void test_statements(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), bot = agent(f, "Bot", "supervised");
	struct db *db = writer_db(f->guild.writer);
	uint64_t before = db_statements(db);
	send(f, &mo, &olu, "one", 201);
	assert_int_equal(db_statements(db) - before, 3);
	before = db_statements(db);
	send(f, &bot, &mo, "two", 201);
	assert_true(db_statements(db) - before <= 6);
	/* In a store with others' messages, alone in its transaction: a leaf of the table, of its four indexes, of the log. */
	fill(f, &olu, &mo, 2000);
	fill(f, &mo, &olu, 2000);
	before = db_pages_logged(db);
	send(f, &mo, &olu, "three", 201);
	assert_true(db_pages_logged(db) - before <= 9);
}

static void test_refused_input(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), bot = agent(f, "Bot", "intern"), gone = agent(f, "Gone", "intern");
	char body[256];
	call(f, &f->admin, "POST", "/v1/agents/gone/archive", NULL, 200);
	send(f, &mo, &gone, "x", 404);
	call(f, &mo.caller, "POST", "/v1/direct-messages", "{\"to_agent_id\":\"nobody\",\"content\":\"x\"}", 404);
	assert_string_equal(text(f, "code"), "not_found");
	/* An agent's own principal is no user. */
	struct id_text principal = id_format(&f->guild.id_secret, ID_PRINCIPAL, bot.caller.principal);
	snprintf(body, sizeof(body), "{\"to_user_id\":\"%s\",\"content\":\"x\"}", principal.text);
	call(f, &mo.caller, "POST", "/v1/direct-messages", body, 404);
	send(f, &mo, &mo, "x", 422);
	assert_non_null(strstr(f->body, "\"pointer\":\"/to_user_id\""));
	send(f, &bot, &bot, "x", 422);
	call(f, &mo.caller, "POST", "/v1/direct-messages", "{\"content\":\"x\"}", 422);
	snprintf(body, sizeof(body), "{\"to_user_id\":\"%s\",\"to_agent_id\":\"bot\",\"content\":\"x\"}", mo.id);
	call(f, &mo.caller, "POST", "/v1/direct-messages", body, 422);
	send(f, &mo, &bot, "", 422);
	send(f, &mo, &bot, "   ", 422);
	assert_non_null(strstr(f->body, "\"pointer\":\"/content\""));
	call(f, &mo.caller, "POST", "/v1/direct-messages", "{\"to_agent_id\":\"bot\",\"content\":\"x\",\"message_type\":\"x\"}", 422);
	assert_int_equal(messages_kept(f), 0);
}

/* A redaction is skipped by admins alone, and that is written down. */
static void test_skip_redaction(void **state)
{
	struct fixture *f = *state;
	const char *body = "{\"to_agent_id\":\"bot\",\"content\":\"ada@corp.example\",\"skip_redaction\":true}";
	struct party mo = person(f, &f->member), bot = agent(f, "Bot", "intern");
	call(f, &f->member, "POST", "/v1/direct-messages", body, 403);
	send(f, &mo, &bot, "ada@corp.example", 201);
	assert_string_equal(text(f, "content"), "[REDACTED_EMAIL]");
	assert_null(strstr(newest_row(f).entry, "skipped"));
	call(f, &f->admin, "POST", "/v1/direct-messages", body, 201);
	assert_string_equal(text(f, "content"), "ada@corp.example");
	assert_non_null(strstr(newest_row(f).entry, "\"redaction\":\"skipped\""));
}

/* AC-97 */
static void test_student(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), bot = agent(f, "Bot", "student");
	int64_t before = audit_entries(f);
	send(f, &bot, &mo, "hello", 403);
	assert_string_equal(text(f, "code"), "governance_blocked");
	assert_string_not_equal(text(f, "audit_id"), "");
	assert_int_equal(audit_entries(f), before + 1);
	assert_int_equal(messages_kept(f), 0);
	list(f, &bot, "");
	assert_int_equal(items(f), 0);
	call(f, &bot.caller, "PUT", path("blocks/$", mo.id), NULL, 403);
}

static void test_rate(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), bot = agent(f, "Bot", "intern");
	for (int i = 0; i < 10; i++) {
		send(f, &bot, &mo, "x", 201);
	}
	send(f, &bot, &mo, "x", 429);
	assert_string_equal(text(f, "code"), "rate_limited");
	assert_non_null(strstr(text(f, "detail"), "10 direct messages"));
	assert_int_equal(messages_kept(f), 10);
	assert_string_equal(newest_row(f).type, "");
	f->skew_us += 3601000000ll;
	send(f, &bot, &mo, "x", 201);
}

/* ---- blocks ---- */

/* AC-94: nothing is stored, the refusal is in the audit log; others still come through. */
static void test_block(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), bot = agent(f, "Bot", "supervised");
	call(f, &mo.caller, "PUT", path("blocks/$", "bot"), NULL, 200);
	int64_t entries = audit_entries(f);
	call(f, &mo.caller, "PUT", path("blocks/$", bot.id), NULL, 200);
	assert_int_equal(audit_entries(f), entries);
	send(f, &bot, &mo, "x", 403);
	assert_string_equal(text(f, "code"), "permission_denied");
	assert_string_equal(text(f, "detail"), "Mo does not accept messages from you.");
	assert_int_equal(audit_entries(f), entries + 1);
	assert_int_equal(newest_row(f).row.outcome, OUTCOME_FAILED);
	assert_int_equal(messages_kept(f), 0);
	send(f, &olu, &mo, "x", 201);
	send(f, &bot, &olu, "x", 201);
	send(f, &mo, &bot, "x", 201);
	call(f, &mo.caller, "PUT", path("blocks/$", olu.id), NULL, 200);
	call(f, &mo.caller, "GET", "/v1/blocks?limit=1", NULL, 200);
	assert_int_equal(items(f), 1);
	assert_non_null(strstr(f->body, "{\"blocked\":{\"kind\":"));
	char target[200];
	snprintf(target, sizeof(target), "/v1/blocks?limit=1&cursor=%s", text(f, "next_cursor"));
	call(f, &mo.caller, "GET", target, NULL, 200);
	assert_int_equal(items(f), 1);
	assert_string_equal(text(f, "next_cursor"), "");
	call(f, &bot.caller, "GET", "/v1/blocks", NULL, 200);
	assert_int_equal(items(f), 0);
	call(f, &mo.caller, "PUT", path("blocks/$", mo.id), NULL, 422);
	call(f, &mo.caller, "PUT", path("blocks/$", "nobody"), NULL, 404);
	call(f, &mo.caller, "DELETE", path("blocks/$", "bot"), NULL, 204);
	entries = audit_entries(f);
	call(f, &mo.caller, "DELETE", path("blocks/$", "bot"), NULL, 204);
	assert_int_equal(audit_entries(f), entries);
	send(f, &bot, &mo, "x", 201);
}

/* ---- lists ---- */

static void say(struct fixture *f, const struct party *a, const struct party *b, const char *words)
{
	for (const char *c = words; *c != '\0'; c++) {
		bool upper = *c >= 'A' && *c <= 'Z';
		char content[2] = {*c, '\0'};
		send(f, upper ? a : b, upper ? b : a, content, 201);
	}
}

/* AC-92, AC-98: newest first, both directions of a thread merged, with pages that neither repeat nor leave out. */
static void test_lists(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), bot = agent(f, "Bot", "autonomous");
	char query[300], joined[64] = "", cursor[200] = "";
	say(f, &mo, &bot, "AbCDefG");
	say(f, &mo, &olu, "xYz");
	list(f, &mo, "");
	assert_string_equal(contents(f), "zxfeb");
	list(f, &mo, "?sent=true");
	assert_string_equal(contents(f), "YGDCA");
	list(f, &mo, "?with=bot&sent=true");
	assert_string_equal(contents(f), "GDCA");
	list(f, &mo, "?with=bot");
	assert_string_equal(contents(f), "GfeDCbA");
	snprintf(query, sizeof(query), "?with=%s", mo.id);
	list(f, &bot, query);
	assert_string_equal(contents(f), "GfeDCbA");
	int pages = 0;
	do {
		snprintf(query, sizeof(query), "?with=%s&limit=2%s%s", bot.id, cursor[0] != '\0' ? "&cursor=" : "", cursor);
		list(f, &mo, query);
		strcat(joined, contents(f));
		snprintf(cursor, sizeof(cursor), "%s", text(f, "next_cursor"));
		pages++;
	} while (cursor[0] != '\0' && pages < 10);
	assert_int_equal(pages, 4);
	assert_string_equal(joined, "GfeDCbA");
	list(f, &mo, "?with=bot&unread=true");
	assert_string_equal(contents(f), "feb");
	call(f, &mo.caller, "GET", "/v1/direct-messages?unread=true&sent=true", NULL, 422);
	call(f, &mo.caller, "GET", "/v1/direct-messages?with=nobody", NULL, 404);
	/* An archived agent's thread stays readable. */
	call(f, &f->admin, "POST", "/v1/agents/bot/archive", NULL, 200);
	list(f, &mo, "?with=bot&limit=1");
	assert_string_equal(contents(f), "G");
}

/* AC-95: others see nothing, admins neither, by list or by id. */
static void test_third_party(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), ada = person(f, &f->admin);
	const struct party *others[] = {&ada, &olu};
	struct party bot = agent(f, "Bot", "autonomous"), spy = agent(f, "Spy", "autonomous");
	const char *id = send(f, &bot, &mo, "secret", 201);
	for (unsigned i = 0; i < 2; i++) {
		list(f, others[i], "?with=bot");
		assert_int_equal(items(f), 0);
		list(f, others[i], "");
		assert_int_equal(items(f), 0);
		call(f, &others[i]->caller, "POST", path("direct-messages/$/read", id), NULL, 404);
		call(f, &others[i]->caller, "DELETE", path("direct-messages/$", id), NULL, 404);
	}
	list(f, &spy, "?with=bot");
	assert_int_equal(items(f), 0);
	call(f, &spy.caller, "POST", path("direct-messages/$/read", id), NULL, 404);
	assert_int_equal(messages_kept(f), 1);
}

/* ---- read, deleted ---- */

/* AC-98: read_at once, by the recipient. */
static void test_read(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other);
	char read_at[40];
	const char *id = send(f, &mo, &olu, "a", 201);
	send(f, &mo, &olu, "b", 201);
	list(f, &olu, "?unread=true");
	assert_string_equal(contents(f), "ba");
	assert_int_equal(number(f, "unread"), 2);
	call(f, &mo.caller, "POST", path("direct-messages/$/read", id), NULL, 403);
	int64_t entries = audit_entries(f);
	call(f, &olu.caller, "POST", path("direct-messages/$/read", id), NULL, 200);
	snprintf(read_at, sizeof(read_at), "%s", text(f, "read_at"));
	assert_int_equal(strlen(read_at), 27);
	f->skew_us += 1000000;
	call(f, &olu.caller, "POST", path("direct-messages/$/read", id), NULL, 200);
	assert_string_equal(text(f, "read_at"), read_at);
	assert_int_equal(audit_entries(f), entries + 1);
	list(f, &olu, "?unread=true");
	assert_string_equal(contents(f), "b");
	assert_int_equal(number(f, "unread"), 1);
	list(f, &mo, "?sent=true");
	assert_string_equal(item_text(f, 1, "read_at"), read_at);
	assert_int_equal(number(f, "unread"), 0);
	call(f, &olu.caller, "POST", "/v1/direct-messages/018bcfe5-6800-7000-8000-000000000000/read", NULL, 404);
}

static void test_read_all(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), ada = person(f, &f->admin);
	char body[100];
	/* More than one transaction marks. */
	fill(f, &olu, &mo, 700);
	fill(f, &ada, &mo, 700);
	list(f, &mo, "");
	assert_int_equal(number(f, "unread"), 1400);
	int64_t entries = audit_entries(f);
	snprintf(body, sizeof(body), "{\"with\":\"%s\"}", ada.id);
	call(f, &mo.caller, "POST", "/v1/direct-messages/read", body, 200);
	assert_int_equal(number(f, "marked"), 700);
	/* 1400 rows of three batches, the first of which marks none. */
	assert_int_equal(audit_entries(f), entries + 2);
	list(f, &mo, "?unread=true");
	assert_int_equal(number(f, "unread"), 700);
	call(f, &mo.caller, "POST", "/v1/direct-messages/read", NULL, 200);
	assert_int_equal(number(f, "marked"), 700);
	call(f, &mo.caller, "POST", "/v1/direct-messages/read", NULL, 200);
	assert_int_equal(number(f, "marked"), 0);
	list(f, &mo, "?unread=true");
	assert_int_equal(items(f), 0);
	call(f, &mo.caller, "POST", "/v1/direct-messages/read", "{\"with\":\"nobody\"}", 404);
	fill(f, &olu, &mo, LIMIT_UNREAD + 5);
	list(f, &mo, "?limit=1");
	assert_int_equal(number(f, "unread"), LIMIT_UNREAD);
}

static void test_delete(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other);
	const char *first = send(f, &mo, &olu, "a", 201), *second = send(f, &olu, &mo, "b", 201);
	call(f, &mo.caller, "DELETE", path("direct-messages/$", first), NULL, 204);
	call(f, &mo.caller, "DELETE", path("direct-messages/$", first), NULL, 404);
	char query[100];
	snprintf(query, sizeof(query), "?with=%s", olu.id);
	list(f, &mo, query);
	assert_string_equal(contents(f), "b");
	list(f, &mo, "?sent=true");
	assert_int_equal(items(f), 0);
	list(f, &olu, "");
	assert_string_equal(contents(f), "a");
	call(f, &mo.caller, "DELETE", path("direct-messages/$", second), NULL, 204);
	call(f, &mo.caller, "POST", path("direct-messages/$/read", second), NULL, 404);
	list(f, &mo, "");
	assert_int_equal(number(f, "unread"), 0);
	assert_int_equal(messages_kept(f), 2);
	call(f, &olu.caller, "DELETE", path("direct-messages/$", first), NULL, 204);
	assert_int_equal(messages_kept(f), 1);
}

/* ---- a batch that is rolled back and run again ---- */

static enum err bad_apply(struct write_job *job, struct db *db)
{
	static const struct db_sql sql = {"DELETE FROM block"};
	(void)job;
	enum err err = db_run(db_use(db, &sql));
	return err == ERR_OK ? ERR_CONFLICT : err;
}

static void bad_done(struct write_job *job)
{
	(void)job;
}

struct answer {
	int status;
	char body[1024];
};

static void on_answer(void *ctx, int status, struct str content_type, struct str body)
{
	struct answer *answer = ctx;
	(void)content_type;
	answer->status = status;
	str_to_z(body, answer->body, sizeof(answer->body));
}

static void test_rolled_back(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other), bot = agent(f, "Bot", "intern");
	struct write_job bad = {.apply = bad_apply, .done = bad_done, .home = f->guild.loops[0]};
	struct answer answer = {0};
	struct http_local_sink sink = {.reply = on_answer, .ctx = &answer};
	fill(f, &olu, &mo, 3);
	char body[200], id[ID_TEXT_LEN + 1], read_body[20] = "{}";
	struct answer read = {0};
	struct http_local_sink read_sink = {.reply = on_answer, .ctx = &read};
	snprintf(body, sizeof(body), "{\"to_user_id\":\"%s\",\"content\":\"x\"}", mo.id);
	call_begin(f, &bot.caller, "POST", "/v1/direct-messages", body, &sink);
	call_begin(f, &mo.caller, "POST", "/v1/direct-messages/read", read_body, &read_sink);
	assert_int_equal(writer_push(f->guild.writer, &bad), ERR_OK);
	for (int i = 0; i < TURNS_MAX && (answer.status == 0 || read.status == 0); i++) {
		turn(f);
	}
	assert_int_equal(bad.result, ERR_CONFLICT);
	assert_int_equal(answer.status, 201);
	assert_string_equal(read.body, "{\"marked\":4}");
	snprintf(id, sizeof(id), "%.36s", answer.body + strlen("{\"id\":\""));
	list(f, &mo, "?with=bot");
	assert_int_equal(items(f), 1);
	assert_string_equal(item_text(f, 0, "id"), id);
	static const struct db_sql rates = {"SELECT count(*) FROM rate_event"};
	assert_int_equal(count_of(f, &rates), 1);
	assert_true(audit_entries(f) > 0);
}

/* ---- delivered ---- */

static void settle(struct fixture *f)
{
	for (int i = 0; i < 20; i++) {
		turn(f);
	}
}

static const char *delivered_at(struct fixture *f, const struct party *sender)
{
	list(f, sender, "?sent=true");
	struct str value;
	struct json item = json_element(json_member(json_root(&f->doc), STR("items")), 0);
	return json_get_str(json_member(item, STR("delivered_at")), &value) ? arena_copy(&f->arena, value).at : "";
}

static void test_delivered(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), olu = person(f, &f->other);
	char data[200], first[40];
	const char *id = send(f, &mo, &olu, "a", 201);
	snprintf(data, sizeof(data), "{\"id\":\"%s\",\"from\":{}}", id);
	struct bus_event event = {.data = str_of(data)}, broken = {.data = STR("{\"id\":\"018bcfe5\"}")};
	social_delivered(f->guild.social, f->guild.loops[0], &broken);
	settle(f);
	assert_string_equal(delivered_at(f, &mo), "");
	social_delivered(f->guild.social, f->guild.loops[0], &event);
	social_delivered(f->guild.social, f->guild.loops[0], &event);
	settle(f);
	snprintf(first, sizeof(first), "%s", delivered_at(f, &mo));
	assert_int_equal(strlen(first), 27);
	f->skew_us += 1000000;
	social_delivered(f->guild.social, f->guild.loops[0], &event);
	settle(f);
	assert_string_equal(delivered_at(f, &mo), first);
	/* The recipient's look at the inbox delivers what is new in it; the sender's look at what was sent does not. */
	send(f, &mo, &olu, "b", 201);
	assert_string_equal(delivered_at(f, &mo), "");
	settle(f);
	assert_string_equal(delivered_at(f, &mo), "");
	list(f, &olu, "");
	settle(f);
	assert_string_not_equal(delivered_at(f, &mo), "");
}

/* More at once than one job takes; those that are under way are not lost. */
static void test_delivered_many(void **state)
{
	struct fixture *f = *state;
	static const struct db_sql sql = {"SELECT count(*) FROM direct_message WHERE delivered_at IS NOT NULL"};
	static const struct db_sql ids = {"SELECT id FROM direct_message ORDER BY id"};
	struct party mo = person(f, &f->member), olu = person(f, &f->other);
	fill(f, &mo, &olu, 1200);
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), &ids);
	enum err err;
	while (db_next(stmt, &err)) {
		message_delivered(f->guild.social, f->guild.loops[0], db_int(stmt, 0));
	}
	for (int i = 0; i < TURNS_MAX && count_of(f, &sql) < 1200; i++) {
		turn(f);
	}
	assert_int_equal(count_of(f, &sql), 1200);
}

/* ---- the server itself ---- */

struct submitted {
	int calls;
	enum err err;
};

static void on_submitted(void *ctx, enum err err)
{
	struct submitted *s = ctx;
	s->calls++;
	s->err = err;
}

static void test_submit(void **state)
{
	struct fixture *f = *state;
	struct party mo = person(f, &f->member), bot = agent(f, "Bot", "intern"), student = agent(f, "Stu", "student");
	struct submitted done = {0};
	struct message_input input = {.to = mo.actor, .content = STR("the answer"), .kind = 3, .hops = 1};
	struct loop *loop = f->guild.loops[0];
	assert_int_equal(message_submit(&f->guild, loop, &bot.caller, &input, on_submitted, &done), ERR_OK);
	settle(f);
	assert_int_equal(done.calls, 1);
	assert_int_equal(done.err, ERR_OK);
	list(f, &mo, "?with=bot");
	assert_string_equal(contents(f), "the answer");
	assert_string_equal(item_text(f, 0, "type"), "response");
	assert_int_equal(message_submit(&f->guild, loop, &student.caller, &input, on_submitted, &done), ERR_OK);
	settle(f);
	assert_int_equal(done.calls, 2);
	assert_int_equal(done.err, ERR_GOVERNANCE);
	call(f, &mo.caller, "PUT", path("blocks/$", "bot"), NULL, 200);
	assert_int_equal(message_submit(&f->guild, loop, &bot.caller, &input, on_submitted, &done), ERR_OK);
	settle(f);
	assert_int_equal(done.calls, 3);
	assert_int_equal(done.err, ERR_PERMISSION);
	input.to = bot.actor;
	assert_int_equal(message_submit(&f->guild, loop, &bot.caller, &input, on_submitted, &done), ERR_NOT_FOUND);
	input = (struct message_input){.to = mo.actor, .content = STR(""), .kind = 3};
	assert_int_equal(message_submit(&f->guild, loop, &bot.caller, &input, on_submitted, &done), ERR_INVALID);
	settle(f);
	assert_int_equal(done.calls, 3);
	assert_int_equal(messages_kept(f), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_send),
		TEST(test_statements),
		TEST(test_refused_input),
		TEST(test_skip_redaction),
		TEST(test_student),
		TEST(test_rate),
		TEST(test_block),
		TEST(test_lists),
		TEST(test_third_party),
		TEST(test_read),
		TEST(test_read_all),
		TEST(test_delete),
		TEST(test_rolled_back),
		TEST(test_delivered),
		TEST(test_delivered_many),
		TEST(test_submit),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
