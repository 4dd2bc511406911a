/* The rows of agents, governance, identity, keys and sessions through the library's door, on a real store in one thread. */
#include "guild_fixture.h"
#include "growth/growth.h"

static const struct http_route *const tables[] = {
	agent_routes, governance_routes, policy_routes, growth_routes, identity_routes, key_routes, session_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

/* ---- agents ---- */

static void test_agent_create(void **state)
{
	struct fixture *f = *state;
	int64_t before = audit_entries(f);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"  Mail Helper! \",\"system_prompt\":\"secret\"}", 201);
	assert_string_equal(text(f, "name"), "Mail Helper!");
	assert_string_equal(text(f, "handle"), "mail-helper");
	assert_string_equal(text(f, "maturity"), "student");
	assert_string_equal(text(f, "system_prompt"), "secret");
	assert_int_equal(number(f, "revision"), 1);
	assert_int_equal(audit_entries(f), before + 1);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"Mail Helper\"}", 201);
	assert_string_equal(text(f, "handle"), "mail-helper-2");
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"x\",\"handle\":\"mail-helper\"}", 409);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"x\",\"handle\":\"Mail\"}", 422);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"   \"}", 422);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"x\",\"lifecycle\":\"active\"}", 422);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"x\",\"model\":{\"provider\":\"p\",\"temperature\":1}}", 422);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"x\",\"maturity\":\"intern\"}", 403);
	assert_int_equal(audit_entries(f), before + 2);
	call(f, &f->admin, "POST", "/v1/agents",
		"{\"name\":\"Pro\",\"maturity\":\"Supervised\",\"model\":{\"provider\":\"openai\",\"model\":\"m\"},"
		"\"capabilities\":[\"a\"],\"configuration\":{\"k\":[1]}}",
		201);
	assert_string_equal(text(f, "maturity"), "supervised");
	assert_non_null(strstr(f->body, "\"confidence\":0.8,"));
	assert_non_null(strstr(f->body, "\"model\":{\"provider\":\"openai\",\"model\":\"m\"},\"capabilities\":[\"a\"]"));
	assert_non_null(strstr(f->body, "\"configuration\":{\"k\":[1]}"));
	/* Others see the agent but not its prompt. */
	call(f, &f->other, "GET", "/v1/agents/mail-helper", NULL, 200);
	assert_non_null(strstr(f->body, "\"system_prompt\":null,\"configuration\":null"));
	call(f, &f->other, "GET", "/v1/agents/nobody", NULL, 404);
	assert_string_equal(text(f, "code"), "agent_not_found");
}

static void test_agent_list(void **state)
{
	struct fixture *f = *state;
	char body[64], cursor[200] = "";
	unsigned seen = 0;
	for (int i = 0; i < 7; i++) {
		snprintf(body, sizeof(body), "{\"name\":\"a%d\",\"maturity\":\"%s\"}", i, i % 2 != 0 ? "intern" : "student");
		call(f, &f->admin, "POST", "/v1/agents", body, 201);
	}
	for (int page = 0; page < 10; page++) {
		char target[300];
		snprintf(target, sizeof(target), "/v1/agents?limit=3%s%s", cursor[0] != '\0' ? "&cursor=" : "", cursor);
		call(f, &f->member, "GET", target, NULL, 200);
		seen += items(f);
		snprintf(cursor, sizeof(cursor), "%s", text(f, "next_cursor"));
		if (cursor[0] == '\0') {
			assert_int_equal(page, 2);
			break;
		}
		char other[300];
		snprintf(other, sizeof(other), "/v1/agents?limit=3&maturity=intern&cursor=%s", cursor);
		call(f, &f->member, "GET", other, NULL, 400);
	}
	assert_int_equal(seen, 8);
	call(f, &f->member, "GET", "/v1/agents?maturity=intern", NULL, 200);
	assert_int_equal(items(f), 4);
	call(f, &f->member, "GET", "/v1/agents?lifecycle=paused", NULL, 200);
	assert_int_equal(items(f), 0);
	call(f, &f->member, "GET", "/v1/agents?limit=101", NULL, 422);
	call(f, &f->member, "GET", "/v1/agents?cursor=abc", NULL, 400);
}

static void test_agent_changes(void **state)
{
	struct fixture *f = *state;
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"Bot\",\"system_prompt\":\"p\"}", 201);
	call(f, &f->member, "PATCH", "/v1/agents/bot", "{\"description\":\"d\",\"system_prompt\":null}", 200);
	assert_int_equal(number(f, "revision"), 2);
	assert_string_equal(text(f, "description"), "d");
	assert_string_equal(text(f, "system_prompt"), "");
	call(f, &f->member, "PATCH", "/v1/agents/bot", "{\"maturity\":\"autonomous\"}", 422);
	call(f, &f->other, "PATCH", "/v1/agents/bot", "{\"description\":\"x\"}", 403);
	call(f, &f->member, "POST", "/v1/agents/bot/promote", "{\"override\":true,\"reason\":\"r\"}", 403);
	call(f, &f->admin, "POST", "/v1/agents/bot/promote", "{\"override\":true,\"reason\":\"  \"}", 422);
	call(f, &f->admin, "POST", "/v1/agents/bot/promote", "{\"override\":true,\"reason\":\"it is good\"}", 200);
	assert_string_equal(text(f, "maturity"), "intern");
	assert_non_null(strstr(f->body, "\"confidence\":0.6,"));
	call(f, &f->member, "POST", "/v1/agents/bot/pause", NULL, 200);
	assert_string_equal(text(f, "lifecycle"), "paused");
	assert_string_equal(text(f, "maturity"), "intern");
	int64_t entries = audit_entries(f);
	call(f, &f->member, "POST", "/v1/agents/bot/pause", NULL, 200);
	assert_int_equal(audit_entries(f), entries);
	call(f, &f->member, "POST", "/v1/agents/bot/decide", "{\"action\":\"chat\"}", 200);
	assert_string_equal(text(f, "status_code"), "lifecycle");
	call(f, &f->member, "POST", "/v1/agents/bot/resume", NULL, 200);
	call(f, &f->admin, "POST", "/v1/agents/bot/demote", "{\"reason\":\"it is not\"}", 200);
	assert_string_equal(text(f, "maturity"), "student");
	call(f, &f->admin, "POST", "/v1/agents/bot/demote", "{\"reason\":\"it is not\"}", 409);
	call(f, &f->member, "POST", "/v1/agents/bot/archive", NULL, 200);
	call(f, &f->member, "POST", "/v1/agents/bot/resume", NULL, 409);
	assert_int_equal(audit_entries(f), entries + 3);
}

struct answer {
	int status;
	char body[4096];
};

static void on_answer(void *ctx, int status, struct str content_type, struct str body)
{
	struct answer *answer = ctx;
	answer->status = status;
	str_to_z(body, answer->body, sizeof(answer->body));
}

/* Both are decided on the same snapshot, before the writer has run. */
static void at_once(struct fixture *f, const char *target, const char *body, struct answer out[2])
{
	for (int i = 0; i < 2; i++) {
		struct http_local_sink sink = {.reply = on_answer, .ctx = &out[i]};
		out[i].status = 0;
		struct http_local_call request = {.method = STR("POST"), .target = str_of(target), .body = str_of(body)};
		http_local_dispatch(f->guild.http, f->guild.loops[0], &request, &f->admin, &sink);
		assert_int_equal(out[i].status, 0);
	}
	for (int i = 0; i < TURNS_MAX && (out[0].status == 0 || out[1].status == 0); i++) {
		(void)writer_turn(f->guild.writer);
		loop_turn(f->guild.loops[0], 0);
	}
}

static void test_changes_at_once(void **state)
{
	struct fixture *f = *state;
	struct answer answers[2];
	/* Two agents want the same derived handle: the second gets the next one. */
	at_once(f, "/v1/agents", "{\"name\":\"Twin\"}", answers);
	assert_int_equal(answers[0].status, 201);
	assert_int_equal(answers[1].status, 201);
	assert_non_null(strstr(answers[0].body, "\"handle\":\"twin\""));
	assert_non_null(strstr(answers[1].body, "\"handle\":\"twin-2\""));
	at_once(f, "/v1/agents", "{\"name\":\"x\",\"handle\":\"only-one\"}", answers);
	assert_int_equal(answers[0].status, 201);
	assert_int_equal(answers[1].status, 409);
	/* One step for two promotions that saw the same level. */
	at_once(f, "/v1/agents/twin/promote", "{\"override\":true,\"reason\":\"r\"}", answers);
	assert_int_equal(answers[0].status, 200);
	assert_int_equal(answers[1].status, 409);
	assert_int_equal(registry_by_handle(f->guild.registry, f->admin.workspace, STR("twin"))->maturity, MATURITY_INTERN);
	/* Pausing twice is one change: the second finds it paused. */
	int64_t entries = audit_entries(f);
	at_once(f, "/v1/agents/twin/pause", NULL, answers);
	assert_int_equal(answers[0].status, 200);
	assert_int_equal(answers[1].status, 200);
	assert_int_equal(audit_entries(f), entries + 1);
}

static void test_decide_and_policy(void **state)
{
	struct fixture *f = *state;
	int64_t entries = audit_entries(f);
	call(f, &f->member, "POST", "/v1/agents/chat-assistant/decide",
		"{\"action\":\"deleteUser\",\"arguments\":{\"id\":1}}", 200);
	assert_string_equal(
		text(f, "reason"), "Agent \"Chat Assistant\" (intern) is blocked from \"deleteUser\": it needs autonomous.");
	call(f, &f->member, "POST", "/v1/agents/chat-assistant/decide", "{\"action\":\"chat\",\"require_approval\":true}",
		200);
	assert_string_equal(text(f, "status_code"), "approval_required");
	call(f, &f->member, "POST", "/v1/agents/chat-assistant/decide", "{\"action\":\"\"}", 422);
	call(f, &f->member, "POST", "/v1/agents/nobody/decide", "{\"action\":\"chat\"}", 404);
	assert_int_equal(audit_entries(f), entries);
	call(f, &f->member, "GET", "/v1/policy?limit=100", NULL, 200);
	assert_int_equal(items(f), 100);
	assert_string_equal(item_text(f, 0, "action"), "search");
	char target[256];
	snprintf(target, sizeof(target), "/v1/policy?limit=100&cursor=%s", text(f, "next_cursor"));
	call(f, &f->member, "GET", target, NULL, 200);
	assert_int_equal(items(f), 60);
	assert_string_equal(item_text(f, 59, "required_maturity"), "autonomous");
}

static void test_agent_tokens(void **state)
{
	struct fixture *f = *state;
	struct caller caller;
	char principal[64];
	call(f, &f->member, "POST", "/v1/agents/chat-assistant/tokens", NULL, 403);
	call(f, &f->admin, "POST", "/v1/agents/chat-assistant/tokens", NULL, 409);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"Ext\",\"kind\":\"external\"}", 201);
	call(f, &f->member, "POST", "/v1/agents/ext/tokens", "{\"label\":\"one\"}", 201);
	snprintf(principal, sizeof(principal), "%s", text(f, "principal_id"));
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(text(f, "token")), 1, &caller), ERR_OK);
	assert_int_equal(caller.role, ROLE_AGENT);
	const struct agent *agent = registry_by_handle(f->guild.registry, caller.workspace, STR("ext"));
	assert_int_equal(caller.agent, agent->id);
	/* The second token is of the same principal. */
	call(f, &f->member, "POST", "/v1/agents/ext/tokens", NULL, 201);
	assert_string_equal(text(f, "principal_id"), principal);
	/* It asks about itself only, and is no person. */
	call(f, &caller, "GET", "/v1/me", NULL, 200);
	assert_string_equal(text(f, "kind"), "agent");
	call(f, &caller, "POST", "/v1/agents/ext/decide", "{\"action\":\"chat\"}", 200);
	call(f, &caller, "POST", "/v1/agents/chat-assistant/decide", "{\"action\":\"chat\"}", 403);
	call(f, &caller, "POST", "/v1/agents/nobody/decide", "{\"action\":\"chat\"}", 403);
	call(f, &caller, "POST", "/v1/tokens", NULL, 403);
	call(f, &caller, "POST", "/v1/agents/ext/promote", "{\"override\":true,\"reason\":\"me\"}", 403);
	call(f, &caller, "GET", "/v1/sessions", NULL, 403);
}

/* ---- identity ---- */

static void test_users(void **state)
{
	struct fixture *f = *state;
	struct caller caller;
	char mo[64], me[64], token[64];
	call(f, &f->member, "GET", "/v1/me", NULL, 200);
	snprintf(mo, sizeof(mo), "%s", text(f, "id"));
	assert_string_equal(text(f, "role"), "member");
	call(f, &f->operator, "GET", "/v1/me", NULL, 200);
	snprintf(me, sizeof(me), "%s", text(f, "id"));
	call(f, &f->member, "GET", "/v1/users", NULL, 403);
	call(f, &f->admin, "GET", "/v1/users", NULL, 200);
	assert_int_equal(items(f), 4);
	call(f, &f->admin, "POST", "/v1/users", "{\"name\":\"x\",\"role\":\"operator\"}", 422);
	call(f, &f->admin, "PATCH", path("users/$", me), "{\"disabled\":true}", 403);
	call(f, &f->operator, "PATCH", path("users/$", me), "{\"disabled\":true}", 403);
	/* Disabled: its tokens stop; enabled: they work again. */
	call(f, &f->member, "POST", "/v1/tokens", "{\"label\":\"cli\",\"expires_in_s\":60}", 201);
	snprintf(token, sizeof(token), "%s", text(f, "token"));
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(token), env_wall_us(env_real()), &caller), ERR_OK);
	call(f, &f->admin, "PATCH", path("users/$", mo), "{\"disabled\":true}", 200);
	assert_string_not_equal(text(f, "disabled_at"), "");
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(token), 1, &caller), ERR_UNAUTHENTICATED);
	call(f, &f->admin, "PATCH", path("users/$", mo), "{\"disabled\":false,\"role\":\"member\",\"name\":\"Moe\"}", 200);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(token), 1, &caller), ERR_OK);
	assert_true(str_eq(caller_name(&caller), STR("Moe")));
	call(f, &f->admin, "GET", path("users/$", mo), NULL, 200);
	call(f, &f->admin, "GET", path("users/$", "0190f2a0-0000-7000-8000-000000000000"), NULL, 404);
}

static bool token_works(struct fixture *f, const char *token, enum role role)
{
	struct caller caller;
	enum err err = identity_authenticate(f->guild.identity, str_of(token), env_wall_us(env_real()), &caller);
	assert_true(err == ERR_UNAUTHENTICATED || caller.role == role);
	return err == ERR_OK;
}

/* T14: a role comes with new tokens. More of them than one read of the store gives, and nobody else's. */
static void test_a_change_of_role_ends_tokens(void **state)
{
	enum { TOKENS = 70 };
	struct fixture *f = *state;
	char mo[64], body[128], tokens[TOKENS][64], others[64];
	call(f, &f->member, "GET", "/v1/me", NULL, 200);
	snprintf(mo, sizeof(mo), "%s", text(f, "id"));
	call(f, &f->other, "POST", "/v1/tokens", NULL, 201);
	snprintf(others, sizeof(others), "%s", text(f, "token"));
	for (int i = 0; i < TOKENS; i++) {
		call(f, &f->member, "POST", "/v1/tokens", NULL, 201);
		snprintf(tokens[i], sizeof(tokens[i]), "%s", text(f, "token"));
	}
	int64_t entries = audit_entries(f);
	call(f, &f->admin, "PATCH", path("users/$", mo), "{\"role\":\"viewer\"}", 200);
	assert_int_equal(audit_entries(f), entries + 1);
	for (int i = 0; i < TOKENS; i++) {
		assert_false(token_works(f, tokens[i], ROLE_VIEWER));
	}
	assert_true(token_works(f, others, ROLE_MEMBER));
	/* Who asked with a token that has just ended gets no other one. */
	call(f, &f->member, "POST", "/v1/tokens", NULL, 401);
	call(f, &f->admin, "GET", path("tokens?user=$", mo), NULL, 200);
	assert_int_equal(items(f), 0);
	snprintf(body, sizeof(body), "{\"user_id\":\"%s\"}", mo);
	call(f, &f->admin, "POST", "/v1/tokens", body, 201);
	snprintf(tokens[0], sizeof(tokens[0]), "%s", text(f, "token"));
	assert_true(token_works(f, tokens[0], ROLE_VIEWER));
	/* The same role again is no change. */
	call(f, &f->admin, "PATCH", path("users/$", mo), "{\"role\":\"viewer\",\"name\":\"Mo\"}", 200);
	assert_true(token_works(f, tokens[0], ROLE_VIEWER));
}

static void test_nobody_changes_their_own_role(void **state)
{
	struct fixture *f = *state;
	const struct caller *callers[] = {&f->operator, &f->admin};
	for (int i = 0; i < 2; i++) {
		call(f, callers[i], "GET", "/v1/me", NULL, 200);
		char me[64];
		snprintf(me, sizeof(me), "%s", text(f, "id"));
		call(f, callers[i], "PATCH", path("users/$", me), "{\"role\":\"viewer\"}", 403);
	}
	assert_true(token_works(f, f->token, ROLE_OPERATOR));
}

static void test_tokens(void **state)
{
	struct fixture *f = *state;
	struct caller caller;
	char me[64], mo[64], id[64], token[64], body[160];
	call(f, &f->operator, "GET", "/v1/me", NULL, 200);
	snprintf(me, sizeof(me), "%s", text(f, "id"));
	call(f, &f->member, "GET", "/v1/me", NULL, 200);
	snprintf(mo, sizeof(mo), "%s", text(f, "id"));
	/* Nobody makes a token of somebody above. */
	snprintf(body, sizeof(body), "{\"user_id\":\"%s\"}", me);
	call(f, &f->admin, "POST", "/v1/tokens", body, 403);
	call(f, &f->member, "POST", "/v1/tokens", body, 403);
	snprintf(body, sizeof(body), "{\"user_id\":\"%s\",\"label\":\"l\"}", mo);
	call(f, &f->admin, "POST", "/v1/tokens", body, 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	snprintf(token, sizeof(token), "%s", text(f, "token"));
	call(f, &f->member, "GET", "/v1/tokens", NULL, 200);
	assert_int_equal(items(f), 1);
	assert_null(strstr(f->body, token));
	call(f, &f->member, "POST", "/v1/tokens", "{\"expires_at\":\"2001-01-01T00:00:00Z\"}", 422);
	call(f, &f->member, "POST", "/v1/tokens", "{\"expires_at\":\"soon\"}", 422);
	call(f, &f->other, "DELETE", path("tokens/$", id), NULL, 404);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(token), 1, &caller), ERR_OK);
	int64_t entries = audit_entries(f);
	call(f, &f->member, "DELETE", path("tokens/$", id), NULL, 204);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(token), 1, &caller), ERR_UNAUTHENTICATED);
	call(f, &f->member, "DELETE", path("tokens/$", id), NULL, 204);
	assert_int_equal(audit_entries(f), entries + 1);
	call(f, &f->member, "GET", "/v1/tokens", NULL, 200);
	assert_int_equal(items(f), 0);
}

static void assert_key(struct fixture *f, const struct caller *caller, const char *want)
{
	struct keyring_secret secret;
	struct key_place place;
	enum err err = key_get(&f->guild, caller->workspace, caller->principal, STR("openai"), &secret, &place);
	if (want == NULL) {
		assert_int_equal(err, ERR_NOT_FOUND);
		return;
	}
	assert_int_equal(err, ERR_OK);
	assert_true(str_eq(str_make(secret.at, secret.len), str_of(want)));
	keyring_wipe(&secret);
}

static void test_keys(void **state)
{
	struct fixture *f = *state;
	char id[64];
	assert_key(f, &f->member, NULL);
	call(f, &f->admin, "POST", "/v1/keys", "{\"provider\":\"openai\",\"key\":\"sk-workspace-0123456789\"}", 201);
	assert_string_equal(text(f, "scope"), "workspace");
	assert_null(strstr(f->body, "workspace-0123"));
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	assert_key(f, &f->member, "sk-workspace-0123456789");
	call(f, &f->member, "POST", "/v1/keys", "{\"provider\":\"openai\",\"key\":\"sk-members-own-9876543210\"}", 201);
	assert_string_equal(text(f, "scope"), "user");
	assert_key(f, &f->member, "sk-members-own-9876543210");
	assert_key(f, &f->other, "sk-workspace-0123456789");
	/* A new one takes the place of the old. */
	call(f, &f->member, "POST", "/v1/keys", "{\"provider\":\"openai\",\"key\":\"sk-members-new-9876543210\"}", 201);
	assert_key(f, &f->member, "sk-members-new-9876543210");
	int64_t entries = audit_entries(f);
	call(f, &f->member, "GET", "/v1/keys", NULL, 200);
	assert_int_equal(items(f), 2);
	assert_int_equal(audit_entries(f), entries + 1);
	call(f, &f->other, "GET", "/v1/keys", NULL, 200);
	assert_int_equal(items(f), 1);
	call(f, &f->member, "POST", "/v1/keys",
		"{\"provider\":\"x\",\"key\":\"kkkkkkkkkkkkkk\",\"base_url\":\"https://127.0.0.1/\"}", 422);
	call(f, &f->operator, "POST", "/v1/keys",
		"{\"provider\":\"x\",\"key\":\"kkkkkkkkkkkkkk\",\"base_url\":\"http://127.0.0.1/\"}", 201);
	call(f, &f->member, "POST", "/v1/keys", "{\"provider\":\"O\",\"key\":\"kkkkkkkkkkkkkk\"}", 422);
	call(f, &f->other, "DELETE", path("keys/$", id), NULL, 403);
	call(f, &f->admin, "DELETE", path("keys/$", id), NULL, 204);
	assert_key(f, &f->other, NULL);
	struct arena arena;
	struct key_row row;
	arena_init(&arena, 65536);
	struct db *db = writer_db(f->guild.writer);
	assert_int_equal(key_find(db, &arena, f->member.workspace, f->member.principal, STR("openai"), &row), ERR_OK);
	assert_int_equal(row.owner, f->member.principal);
	assert_int_equal(key_find(db, &arena, f->other.workspace, f->other.principal, STR("openai"), &row), ERR_NOT_FOUND);
	arena_fini(&arena);
}

/* ---- quotas: 100 of each here (guild_fixture.h) ---- */

static void test_agents_have_a_quota(void **state)
{
	struct fixture *f = *state;
	for (int i = 0; i < 100; i++) {
		call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"a\"}", 201);
		/* What is refused for another reason takes nothing. */
		call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"b\",\"handle\":\"a\"}", 409);
	}
	int64_t entries = audit_entries(f);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"c\"}", 409);
	assert_string_equal(text(f, "code"), "agent_quota_reached");
	assert_non_null(strstr(f->body, "quota.agents"));
	assert_int_equal(audit_entries(f), entries);
	/* Archived ones are kept, so they count. */
	call(f, &f->member, "POST", "/v1/agents/a/archive", NULL, 200);
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"c\"}", 409);
	call(f, &f->other, "POST", "/v1/agents", "{\"name\":\"c\"}", 201);
}

static void test_sessions_have_a_quota(void **state)
{
	struct fixture *f = *state;
	char id[64] = "";
	for (int i = 0; i < 100; i++) {
		call(f, &f->member, "POST", "/v1/sessions", "{}", 201);
	}
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	for (int i = 0; i < 3; i++) {
		call(f, &f->member, "POST", "/v1/sessions", "{}", 409);
		assert_string_equal(text(f, "code"), "session_quota_reached");
		call(f, &f->other, "POST", "/v1/sessions", "{}", 201);
		/* An admin's deletion makes room for the owner too. */
		call(f, i == 0 ? &f->member : &f->admin, "DELETE", path("sessions/$", id), NULL, 204);
		call(f, &f->member, "POST", "/v1/sessions", "{}", 201);
		snprintf(id, sizeof(id), "%s", text(f, "id"));
	}
}

static void test_tokens_have_a_quota(void **state)
{
	struct fixture *f = *state;
	char id[64] = "", short_lived[64] = "";
	call(f, &f->member, "POST", "/v1/tokens", "{\"expires_in_s\":60}", 201);
	snprintf(short_lived, sizeof(short_lived), "%s", text(f, "token"));
	for (int i = 1; i < 100; i++) {
		call(f, &f->member, "POST", "/v1/tokens", "{}", 201);
	}
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	call(f, &f->member, "POST", "/v1/tokens", "{}", 409);
	assert_string_equal(text(f, "code"), "token_quota_reached");
	call(f, &f->other, "POST", "/v1/tokens", "{}", 201);
	call(f, &f->member, "DELETE", path("tokens/$", id), NULL, 204);
	call(f, &f->member, "POST", "/v1/tokens", "{}", 201);
	call(f, &f->member, "POST", "/v1/tokens", "{}", 409);
	/* One that has expired makes room, and is not there any more. */
	assert_true(token_works(f, short_lived, ROLE_MEMBER));
	f->skew_us = 61000000;
	call(f, &f->member, "POST", "/v1/tokens", "{}", 201);
	call(f, &f->member, "POST", "/v1/tokens", "{}", 409);
	f->skew_us = 0;
	assert_false(token_works(f, short_lived, ROLE_MEMBER));
	/* An agent's tokens are its own, not those of whoever makes them. */
	call(f, &f->member, "POST", "/v1/agents", "{\"name\":\"ext\",\"kind\":\"external\"}", 201);
	for (int i = 0; i < 100; i++) {
		call(f, &f->member, "POST", "/v1/agents/ext/tokens", "{}", 201);
	}
	call(f, &f->member, "POST", "/v1/agents/ext/tokens", "{}", 409);
	assert_string_equal(text(f, "code"), "token_quota_reached");
}

/* ---- sessions ---- */

static void turn_put(struct fixture *f, int64_t session, const char *message, const char *answer, bool rolled_back)
{
	static const struct db_sql sql = {"INSERT INTO turn (id, session, workspace, agent, agent_name, owner, status, "
									  "action, triggered_by, message, answer, has_answer, "
									  "partial, rolled_back, started_at, tokens_in, tokens_out, estimated, cost_micro, "
									  "cost_unknown, epoch, seq_last, truncated, "
									  "resolution, metadata) VALUES (?1, ?2, ?3, ?4, 'a', ?5, 3, 'chat', 1, ?6, ?7, "
									  "?8, 0, ?9, 1, 0, 0, 0, 0, 0, 1, 0, 0, '[]', "
									  "'{}')"};
	const struct agent *agent = registry_system_default(f->guild.registry, f->member.workspace);
	struct db_stmt *stmt = db_use(writer_db(f->guild.writer), &sql);
	db_bind_int(stmt, 1, id_next(&f->guild.id_gens[0], env_wall_us(env_real())));
	db_bind_int(stmt, 2, session);
	db_bind_int(stmt, 3, f->member.workspace);
	db_bind_int(stmt, 4, agent->id);
	db_bind_int(stmt, 5, f->member.principal);
	db_bind_text(stmt, 6, str_of(message));
	db_bind_text(stmt, 7, str_of(answer));
	db_bind_int(stmt, 8, answer != NULL);
	db_bind_int(stmt, 9, rolled_back);
	assert_int_equal(db_run(stmt), ERR_OK);
}

static void test_sessions(void **state)
{
	struct fixture *f = *state;
	char id[64], second[64];
	call(f, &f->member, "POST", "/v1/sessions", "{\"agent\":\"chat-assistant\",\"title\":\"First\"}", 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	assert_string_equal(text(f, "title"), "First");
	assert_string_not_equal(text(f, "agent_id"), "");
	call(f, &f->member, "POST", "/v1/sessions", NULL, 201);
	snprintf(second, sizeof(second), "%s", text(f, "id"));
	call(f, &f->member, "POST", "/v1/sessions", "{\"agent\":\"nobody\"}", 404);
	call(f, &f->member, "GET", "/v1/sessions", NULL, 200);
	assert_int_equal(items(f), 2);
	assert_string_equal(item_text(f, 0, "id"), second);
	call(f, &f->member, "PATCH", path("sessions/$", id), "{\"title\":\"Renamed\"}", 200);
	assert_string_equal(text(f, "title"), "Renamed");
	assert_int_equal(number(f, "revision"), 2);
	call(f, &f->member, "PUT", path("sessions/$/agent", second), "{\"agent\":\"chat-assistant\"}", 200);
	assert_string_not_equal(text(f, "agent_id"), "");
	/* Somebody else's is like an unknown one. */
	call(f, &f->other, "GET", path("sessions/$", id), NULL, 404);
	assert_string_equal(text(f, "code"), "session_not_found");
	call(f, &f->other, "GET", path("sessions/$", "nonsense"), NULL, 404);
	assert_string_equal(text(f, "code"), "session_not_found");
	call(f, &f->other, "PATCH", path("sessions/$", id), "{\"title\":\"x\"}", 404);
	call(f, &f->other, "PUT", path("sessions/$/agent", id), "{\"agent\":\"chat-assistant\"}", 404);
	call(f, &f->other, "DELETE", path("sessions/$", id), NULL, 404);
	call(f, &f->other, "GET", path("sessions/$/messages", id), NULL, 404);
	/* An admin may, and the log says so. */
	int64_t entries = audit_entries(f);
	call(f, &f->member, "GET", path("sessions/$", id), NULL, 200);
	assert_int_equal(audit_entries(f), entries);
	call(f, &f->admin, "GET", path("sessions/$", id), NULL, 200);
	assert_int_equal(audit_entries(f), entries + 1);
	struct id_text mo = id_format(&f->guild.id_secret, ID_PRINCIPAL, f->member.principal);
	call(f, &f->admin, "GET", path("sessions?user=$", mo.text), NULL, 200);
	assert_int_equal(items(f), 2);
	assert_int_equal(audit_entries(f), entries + 2);
	call(f, &f->other, "GET", path("sessions?user=$", mo.text), NULL, 403);
}

static void test_messages_and_deletion(void **state)
{
	struct fixture *f = *state;
	char id[64], seen[256] = "", cursor[200] = "";
	int64_t session;
	call(f, &f->member, "POST", "/v1/sessions", NULL, 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	assert_int_equal(id_parse(&f->guild.id_secret, ID_SESSION, str_of(id), &session), ERR_OK);
	turn_put(f, session, "q1", "a1", false);
	turn_put(f, session, "gone", "gone", true);
	turn_put(f, session, "q2", NULL, false);
	turn_put(f, session, "q3", "", false);
	turn_put(f, session, "q4", "a4", false);
	for (int page = 0; page < 10; page++) {
		char target[300];
		snprintf(target, sizeof(target), "/v1/sessions/%s/messages?limit=2%s%s", id,
			cursor[0] != '\0' ? "&cursor=" : "", cursor);
		call(f, &f->member, "GET", target, NULL, 200);
		for (uint32_t i = 0; i < items(f); i++) {
			size_t len = strlen(seen);
			snprintf(seen + len, sizeof(seen) - len, "%c:%s ", item_text(f, i, "role")[0], item_text(f, i, "content"));
		}
		snprintf(cursor, sizeof(cursor), "%s", text(f, "next_cursor"));
		if (cursor[0] == '\0') {
			assert_int_equal(page, 3);
			break;
		}
	}
	assert_string_equal(seen, "u:q1 a:a1 u:q2 u:q3 a: u:q4 a:a4 ");
	/* What a model is given: pairs, newest that fit, oldest first. */
	struct session_message *messages;
	size_t count;
	struct arena arena;
	struct db *db = writer_db(f->guild.writer);
	arena_init(&arena, 1 << 20);
	assert_int_equal(session_history(db, &arena, session, 200, 1000, &messages, &count), ERR_OK);
	assert_int_equal(count, 6);
	assert_true(messages[0].from_user && str_eq(messages[0].content, STR("q1")));
	assert_true(!messages[5].from_user && str_eq(messages[5].content, STR("a4")));
	assert_int_equal(session_history(db, &arena, session, 200, 6, &messages, &count), ERR_OK);
	assert_int_equal(count, 4);
	assert_true(str_eq(messages[0].content, STR("q3")));
	assert_int_equal(session_history(db, &arena, session, 3, 1000, &messages, &count), ERR_OK);
	assert_int_equal(count, 2);
	arena_fini(&arena);
	/* More turns than one transaction removes. */
	for (int i = 0; i < 230; i++) {
		turn_put(f, session, "many", "many", false);
	}
	int64_t entries = audit_entries(f);
	call(f, &f->member, "DELETE", path("sessions/$", id), NULL, 204);
	assert_int_equal(audit_entries(f), entries + 3);
	call(f, &f->member, "GET", path("sessions/$", id), NULL, 404);
	static const struct db_sql left = {"SELECT COUNT(*) FROM turn"};
	struct db_stmt *stmt = db_use(db, &left);
	bool row;
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_int_equal(db_int(stmt, 0), 0);
	db_reset(stmt);
}

static void test_busy_session_stays(void **state)
{
	struct fixture *f = *state;
	static const struct db_sql busy = {"UPDATE session SET open_count = 1"};
	char id[64];
	call(f, &f->member, "POST", "/v1/sessions", NULL, 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	assert_int_equal(db_run(db_use(writer_db(f->guild.writer), &busy)), ERR_OK);
	call(f, &f->member, "DELETE", path("sessions/$", id), NULL, 409);
	assert_string_equal(text(f, "code"), "session_busy");
	call(f, &f->member, "GET", path("sessions/$", id), NULL, 200);
}

#define ROUTE_TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_close)

int main(void)
{
	const struct CMUnitTest tests[] = {
		ROUTE_TEST(test_agent_create),
		ROUTE_TEST(test_agent_list),
		ROUTE_TEST(test_agent_changes),
		ROUTE_TEST(test_changes_at_once),
		ROUTE_TEST(test_decide_and_policy),
		ROUTE_TEST(test_agent_tokens),
		ROUTE_TEST(test_users),
		ROUTE_TEST(test_a_change_of_role_ends_tokens),
		ROUTE_TEST(test_nobody_changes_their_own_role),
		ROUTE_TEST(test_tokens),
		ROUTE_TEST(test_agents_have_a_quota),
		ROUTE_TEST(test_sessions_have_a_quota),
		ROUTE_TEST(test_tokens_have_a_quota),
		ROUTE_TEST(test_keys),
		ROUTE_TEST(test_sessions),
		ROUTE_TEST(test_messages_and_deletion),
		ROUTE_TEST(test_busy_session_stays),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
