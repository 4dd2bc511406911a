/* Requests with an Idempotency-Key through the library's door: what is told again, and by whom, when something went wrong in between. */
#include "guild_fixture.h"

static const struct http_route *const tables[] = {
	agent_routes, identity_routes, session_routes, social_post_routes, social_channel_routes, social_message_routes, execution_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, true);
}

/* ---- keys ---- */

/* A key, in quotes or not, and what is none. */
static void keys_are_visible_ascii(void **state)
{
	char text[300];
	struct str key;
	for (int c = 1; c < 256; c++) {
		text[0] = (char)c;
		assert_int_equal(idem_key_parse(str_make(text, 1), &key), c > ' ' && c < 0x7f);
	}
	memset(text, 'x', sizeof(text));
	assert_true(idem_key_parse(str_make(text, 255), &key));
	assert_false(idem_key_parse(str_make(text, 256), &key));
	assert_false(idem_key_parse(STR(""), &key));
	assert_false(idem_key_parse(STR("\"\""), &key));
	assert_false(idem_key_parse(STR("\"a\"b\""), &key));
	assert_false(idem_key_parse(STR("\"a b\""), &key));
	assert_true(idem_key_parse(STR("\"ab\""), &key));
	assert_true(str_eq(key, STR("ab")));
	assert_true(idem_key_parse(STR("\""), &key));
}

/* Each part of who, where, which and what makes another hash. */
static void each_part_counts(void **state)
{
	struct caller one = {.principal = 1}, other = {.principal = 2}, agent = {.principal = 1, .agent = 7};
	struct idem a, b;
	idem_make(&a, &one, STR("r"), STR("k"), STR("x"));
	const struct {
		const struct caller *caller;
		struct str route, key;
	} different[] = {{&other, STR("r"), STR("k")}, {&agent, STR("r"), STR("k")}, {&one, STR("s"), STR("k")}, {&one, STR("r"), STR("l")}};
	for (size_t i = 0; i < sizeof(different) / sizeof(different[0]); i++) {
		idem_make(&b, different[i].caller, different[i].route, different[i].key, STR("x"));
		assert_memory_not_equal(a.key_hash, b.key_hash, IDEM_HASH_BYTES);
		assert_memory_equal(a.request_hash, b.request_hash, IDEM_HASH_BYTES);
	}
	const struct str split[2][2] = {{STR("ab"), STR("c")}, {STR("a"), STR("bc")}};
	idem_make_of(&a, &one, STR("r"), STR("k"), split[0], 2);
	idem_make_of(&b, &one, STR("r"), STR("k"), split[1], 2);
	assert_memory_equal(a.key_hash, b.key_hash, IDEM_HASH_BYTES);
	assert_memory_not_equal(a.request_hash, b.request_hash, IDEM_HASH_BYTES);
}

/* ---- requests ---- */

struct heard {
	int status;
	char body[4096];
};

static void on_heard(void *ctx, int status, struct str content_type, struct str body)
{
	struct heard *heard = ctx;
	heard->status = status;
	str_to_z(body, heard->body, sizeof(heard->body));
}

static void post_key(struct fixture *f, const char *key, const char *target, const char *body, int want)
{
	f->key = key;
	call(f, &f->admin, "POST", target, body, want);
	f->key = NULL;
}

/* What a process that ended before it stored the answer leaves behind. */
static void answers_lose(struct fixture *f, bool other_process)
{
	static const struct db_sql lose = {"UPDATE idempotency SET status = 0, reply = ?1, process = process + ?2"};
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), &lose);
	db_bind_text(stmt, 1, STR(""));
	db_bind_int(stmt, 2, other_process);
	assert_int_equal(db_run(stmt), ERR_OK);
}

/* Both are looked up before the writer has run. */
static void two_at_once(void **state)
{
	struct fixture *f = *state;
	struct heard heard[2] = {{0, ""}, {0, ""}};
	int64_t before = audit_entries(f);
	f->key = "k";
	for (int i = 0; i < 2; i++) {
		struct http_local_sink sink = {.reply = on_heard, .ctx = &heard[i]};
		call_begin(f, &f->admin, "POST", "/v1/posts", "{\"content\":\"once\"}", &sink);
	}
	f->key = NULL;
	while (reader_turn(f->guild.readers, 0)) {
		loop_turn(f->guild.loops[0], 0);
	}
	for (int i = 0; i < TURNS_MAX && (heard[0].status == 0 || heard[1].status == 0); i++) {
		turn(f);
	}
	assert_int_equal(heard[0].status, 201);
	assert_true(heard[1].status == 409 || heard[1].status == 201);
	assert_int_equal(audit_entries(f), before + 1);
	post_key(f, "k", "/v1/posts", "{\"content\":\"once\"}", 201);
	assert_string_equal(f->body, heard[0].body);
	assert_int_equal(audit_entries(f), before + 1);
}

/* An answer is told when it is in the store, not before. */
static void the_answer_is_stored_first(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {0, ""};
	struct http_local_sink sink = {.reply = on_heard, .ctx = &heard};
	f->key = "k";
	call_begin(f, &f->admin, "POST", "/v1/posts", "{\"content\":\"c\"}", &sink);
	int batches = 0;
	for (int i = 0; i < TURNS_MAX && heard.status == 0; i++) {
		(void)reader_turn(f->guild.readers, 0);
		loop_turn(f->guild.loops[0], 0);
		assert_true(heard.status == 0 || batches == 2);
		batches += heard.status == 0 && writer_turn(f->guild.writer);
	}
	f->key = NULL;
	assert_int_equal(heard.status, 201);
}

static void an_answer_under_way_is_waited_for(void **state)
{
	struct fixture *f = *state;
	post_key(f, "k", "/v1/posts", "{\"content\":\"c\"}", 201);
	answers_lose(f, false);
	post_key(f, "k", "/v1/posts", "{\"content\":\"c\"}", 409);
	assert_string_equal(text(f, "code"), "conflict");
	assert_int_equal(number(f, "retry_after_ms"), 1000);
	post_key(f, "k", "/v1/posts", "{\"content\":\"d\"}", 422);
	/* One that does not come is made again. */
	f->skew_us += 11000000;
	post_key(f, "k", "/v1/posts", "{\"content\":\"c\"}", 201);
	assert_string_equal(text(f, "content"), "c");
}

/* The objects that are in the log's events come back as they were told. */
static void made_again_of_the_log(void **state)
{
	struct fixture *f = *state;
	char target[128], message[256], parent[64];
	call(f, &f->admin, "POST", "/v1/posts", "{\"content\":\"parent\"}", 201);
	snprintf(parent, sizeof(parent), "%s", text(f, "id"));
	snprintf(target, sizeof(target), "/v1/posts/%s/replies", parent);
	struct id_text member = id_format(&f->guild.id_secret, ID_PRINCIPAL, f->member.principal);
	snprintf(message, sizeof(message), "{\"to_user_id\":\"%s\",\"content\":\"m\"}", member.text);
	const char *const made[][2] = {{"/v1/posts", "{\"content\":\"a #tag and @nobody\"}"},
		{target, "{\"content\":\"reply\"}"},
		{"/v1/direct-messages", message},
		{"/v1/channels", "{\"name\":\"general-things\"}"}};
	for (size_t i = 0; i < sizeof(made) / sizeof(made[0]); i++) {
		post_key(f, "k", made[i][0], made[i][1], 201);
		char *first = strdup(f->body);
		answers_lose(f, true);
		int64_t before = audit_entries(f);
		post_key(f, "k", made[i][0], made[i][1], 201);
		assert_string_equal(f->body, first);
		assert_int_equal(audit_entries(f), before);
		free(first);
	}
}

/* Others say that it was done, and by which entry. */
static void the_rest_says_that_it_was_done(void **state)
{
	struct fixture *f = *state;
	post_key(f, "k", "/v1/agents", "{\"name\":\"Once\"}", 201);
	answers_lose(f, true);
	int64_t before = audit_entries(f);
	post_key(f, "k", "/v1/agents", "{\"name\":\"Once\"}", 200);
	assert_non_null(strstr(f->body, "{\"replayed\":true,\"audit_id\":\""));
	assert_int_equal(audit_entries(f), before);
	/* A channel that was there already: nothing was written but the key. */
	call(f, &f->admin, "POST", "/v1/channels", "{\"name\":\"there\"}", 201);
	post_key(f, "k", "/v1/channels", "{\"name\":\"there\"}", 200);
	answers_lose(f, true);
	post_key(f, "k", "/v1/channels", "{\"name\":\"there\"}", 200);
	assert_string_equal(f->body, "{\"replayed\":true,\"audit_id\":null}");
}

static void an_audited_refusal_is_made_again(void **state)
{
	struct fixture *f = *state;
	char target[128];
	call(f, &f->admin, "POST", "/v1/agents", "{\"name\":\"Paused\",\"maturity\":\"autonomous\"}", 201);
	snprintf(target, sizeof(target), "%s", path("agents/$/chat", text(f, "id")));
	call(f, &f->admin, "POST", path("agents/$/pause", text(f, "id")), NULL, 200);
	post_key(f, "k", target, "{\"message\":\"m\",\"stream\":false}", 403);
	char audit[64], detail[512];
	snprintf(audit, sizeof(audit), "%s", text(f, "audit_id"));
	snprintf(detail, sizeof(detail), "%s", text(f, "detail"));
	assert_string_equal(text(f, "code"), "agent_not_active");
	answers_lose(f, true);
	post_key(f, "k", target, "{\"message\":\"m\",\"stream\":false}", 403);
	assert_string_equal(text(f, "code"), "agent_not_active");
	assert_string_equal(text(f, "audit_id"), audit);
	assert_string_equal(text(f, "detail"), detail);
}

/* 429 asks for another try: with the same key. */
static void what_may_succeed_later_is_not_kept(void **state)
{
	struct fixture *f = *state;
	struct caller agent = f->admin;
	call(f, &f->admin, "POST", "/v1/agents", "{\"name\":\"Often\",\"maturity\":\"intern\",\"kind\":\"external\"}", 201);
	int64_t key;
	assert_int_equal(id_parse(&f->guild.id_secret, ID_AGENT, str_of(text(f, "id")), &key), ERR_OK);
	call(f, &f->admin, "POST", path("agents/$/tokens", text(f, "id")), "{}", 201);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(text(f, "token")), 1, &agent), ERR_OK);
	call(f, &agent, "POST", "/v1/posts", "{\"content\":\"first of the hour\"}", 201);
	f->key = "k";
	call(f, &agent, "POST", "/v1/posts", "{\"content\":\"second\"}", 429);
	f->skew_us += INT64_C(3601) * 1000000;
	call(f, &agent, "POST", "/v1/posts", "{\"content\":\"second\"}", 201);
	f->key = NULL;
}

static void forgotten_after_48_hours(void **state)
{
	struct fixture *f = *state;
	char first[64];
	post_key(f, "k", "/v1/posts", "{\"content\":\"c\"}", 201);
	snprintf(first, sizeof(first), "%s", text(f, "id"));
	f->skew_us += INT64_C(47) * 3600 * 1000000;
	post_key(f, "k", "/v1/posts", "{\"content\":\"c\"}", 201);
	assert_string_equal(text(f, "id"), first);
	f->skew_us += INT64_C(2) * 3600 * 1000000;
	post_key(f, "k", "/v1/posts", "{\"content\":\"other, and allowed to be\"}", 201);
	assert_string_not_equal(text(f, "id"), first);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, fixture_close)
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(keys_are_visible_ascii),
		cmocka_unit_test(each_part_counts),
		CASE(two_at_once),
		CASE(the_answer_is_stored_first),
		CASE(an_answer_under_way_is_waited_for),
		CASE(made_again_of_the_log),
		CASE(the_rest_says_that_it_was_done),
		CASE(an_audited_refusal_is_made_again),
		CASE(what_may_succeed_later_is_not_kept),
		CASE(forgotten_after_48_hours),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
