/* Principals, tokens, agents and keys with a real store: made, found, undone with their transaction, and loaded again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "base/limits.h"
#include "command/change.h"
#include "identity/identity.h"
#include "identity/key.h"
#include "session/session.h"

struct fixture {
	char dir[64];
	char path[96];
	struct guild guild;
	char token[TOKEN_TEXT_LEN + 1];
};

/* ---- a server's parts without loops ---- */

static void open_store(struct fixture *f)
{
	struct guild *g = &f->guild;
	char detail[256] = "";
	*g = (struct guild){.env = env_real(), .id_secret = {1, 2}};
	id_gen_init(&g->id_gens[0], 0, 0);
	assert_int_equal(snap_domain_create(&g->snap), ERR_OK);
	assert_int_equal(identity_create(g->env, g->snap, &g->identity), ERR_OK);
	assert_int_equal(registry_create(g->env, g->snap, &g->registry), ERR_OK);
	struct command_overlay overlays[] = {identity_overlay(g->identity), registry_overlay(g->registry), {.ctx = NULL}};
	struct command_options commands = {
		.env = g->env, .id_secret = &g->id_secret, .epoch = &g->epoch, .overlays = overlays};
	assert_int_equal(command_runner_create(&commands, &g->commands), ERR_OK);
	struct writer_options writer = {.env = g->env, .path = f->path, .hooks = command_hooks(g->commands)};
	if (writer_create(&writer, &g->writer, detail) != ERR_OK) {
		fail_msg("%s", detail);
	}
	assert_int_equal(command_attach(g->commands, g->writer), ERR_OK);
	assert_int_equal(identity_load(g->identity, writer_db(g->writer)), ERR_OK);
	assert_int_equal(registry_load(g->registry, writer_db(g->writer)), ERR_OK);
}

static void close_store(struct fixture *f)
{
	struct guild *g = &f->guild;
	writer_destroy(&g->writer);
	command_runner_destroy(&g->commands);
	registry_destroy(&g->registry);
	identity_destroy(&g->identity);
	snap_domain_destroy(&g->snap);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/guild_identity_XXXXXX");
	if (f == NULL || mkdtemp(f->dir) == NULL) {
		return -1;
	}
	snprintf(f->path, sizeof(f->path), "%s/guild.db", f->dir);
	open_store(f);
	assert_int_equal(identity_first_start(f->guild.identity, &f->guild, NULL, NULL, f->token), ERR_OK);
	assert_int_equal(agent_first_start(f->guild.registry, &f->guild), ERR_OK);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	struct fixture *f = *state;
	close_store(f);
	for (int i = 0; i < 3; i++) {
		char path[128];
		snprintf(path, sizeof(path), "%s%s", f->path, ends[i]);
		unlink(path);
	}
	rmdir(f->dir);
	free(f);
	return 0;
}

/* ---- commands of the tests ---- */

struct probe {
	struct change change;
	struct fixture *fixture;
	enum err (*body)(struct probe *probe, struct db *db);
	int64_t id, other;
	int delta;
	bool demoted;
	enum err fail_with; /* after the body: undoes it */
	int runs;
};

static enum err probe_apply(struct command *command, struct db *db)
{
	struct probe *probe = (struct probe *)command;
	probe->runs++;
	enum err err = probe->body(probe, db);
	if (err == ERR_OK) {
		err = change_log(&probe->change, db);
	}
	return err != ERR_OK ? err : probe->fail_with;
}

static void probe_finish(struct command *command) {}

static const struct command_row probe_row = {"probe", "create", probe_apply, NULL, probe_finish};

static enum err run(struct fixture *f, enum err (*body)(struct probe *, struct db *), struct probe *in)
{
	struct arena arena;
	struct caller caller = {.workspace = identity_workspace(f->guild.identity), .role = ROLE_OPERATOR};
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	struct probe *probe = change_make(&f->guild, &probe_row, &arena, NULL, &caller, sizeof(*probe));
	assert_non_null(probe);
	probe->fixture = f;
	probe->body = body;
	probe->id = in->id;
	probe->other = in->other;
	probe->delta = in->delta;
	probe->fail_with = in->fail_with;
	assert_int_equal(change_audit(&probe->change, &(struct change_what){.change = STR("{}")}), ERR_OK);
	enum err err = command_run_now(&probe->change.command);
	in->runs = probe->runs;
	in->demoted = probe->demoted;
	arena_fini(&arena);
	return err;
}

static int64_t key_new(struct fixture *f)
{
	return id_next(&f->guild.id_gens[0], env_wall_us(f->guild.env));
}

/* ---- tokens ---- */

static void test_token_text(void **state)
{
	char a[TOKEN_TEXT_LEN + 1], b[TOKEN_TEXT_LEN + 1];
	uint8_t hash_a[32], hash_b[32], again[32];
	token_make(env_real(), a, hash_a);
	token_make(env_real(), b, hash_b);
	assert_int_equal(strlen(a), TOKEN_TEXT_LEN);
	assert_memory_equal(a, "guild_", 6);
	assert_int_equal(strspn(a + 6, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"), 43);
	assert_string_not_equal(a, b);
	hash_sha256(str_of(a), again);
	assert_memory_equal(hash_a, again, 32);
}

static void fixed_random(void *ctx, void *out, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		((uint8_t *)out)[i] = (uint8_t)(i * 7 + 250);
	}
}

/* The same bytes in base64url, worked out with another program. */
static void test_token_encoding(void **state)
{
	struct env env = *env_real();
	char text[TOKEN_TEXT_LEN + 1];
	uint8_t hash[32];
	env.random = fixed_random;
	token_make(&env, text, hash);
	assert_string_equal(text, "guild_-gEIDxYdJCsyOUBHTlVcY2pxeH-GjZSboqmwt77FzNM");
}

static void test_first_start(void **state)
{
	struct fixture *f = *state;
	struct guild *g = &f->guild;
	struct caller caller;
	assert_int_equal(identity_authenticate(g->identity, str_of(f->token), 1, &caller), ERR_OK);
	assert_int_equal(caller.role, ROLE_OPERATOR);
	assert_true(str_eq(caller_name(&caller), STR("operator")));
	assert_int_equal(caller.workspace, identity_workspace(g->identity));
	const struct agent *agent = registry_system_default(g->registry, caller.workspace);
	assert_non_null(agent);
	assert_true(str_eq(agent->name, STR("Chat Assistant")));
	assert_int_equal(agent->maturity, MATURITY_INTERN);
	assert_int_equal(agent->confidence_e4, 6000);
	assert_true(registry_by_handle(g->registry, caller.workspace, STR("chat-assistant")) == agent);
	assert_null(registry_by_handle(g->registry, caller.workspace + 1, STR("chat-assistant")));
	struct id_text id = id_format(&g->id_secret, ID_AGENT, agent->id);
	assert_true(registry_find(g->registry, g, caller.workspace, id_str(&id)) == agent);
	assert_null(registry_find(g->registry, g, caller.workspace + 1, id_str(&id)));
	assert_true(registry_find(g->registry, g, caller.workspace, STR("chat-assistant")) == agent);
	assert_null(registry_workspace_default(g->registry, caller.workspace));
	/* A second time: nothing new, no token. */
	char token[TOKEN_TEXT_LEN + 1] = "x";
	assert_int_equal(identity_first_start(g->identity, g, NULL, NULL, token), ERR_OK);
	assert_string_equal(token, "");
	assert_int_equal(agent_first_start(g->registry, g), ERR_OK);
	struct audit_report report;
	assert_int_equal(audit_verify(writer_db(g->writer), NULL, &report), ERR_OK);
	assert_int_equal(report.entries, 2);
	assert_int_equal(report.first_bad, 0);
}

static void test_bad_tokens(void **state)
{
	struct fixture *f = *state;
	struct caller caller;
	char other[TOKEN_TEXT_LEN + 1];
	uint8_t hash[32];
	token_make(env_real(), other, hash);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(other), 1, &caller), ERR_UNAUTHENTICATED);
	assert_int_equal(identity_authenticate(f->guild.identity, STR(""), 1, &caller), ERR_UNAUTHENTICATED);
	assert_int_equal(identity_authenticate(f->guild.identity, str_make(f->token, TOKEN_TEXT_LEN - 1), 1, &caller),
		ERR_UNAUTHENTICATED);
	memcpy(other, f->token, sizeof(other));
	other[20] = other[20] == 'A' ? 'B' : 'A';
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(other), 1, &caller), ERR_UNAUTHENTICATED);
}

static char member_token[TOKEN_TEXT_LEN + 1];
static uint8_t member_hash[32];
enum { EXPIRES_US = 1000000 };

static enum err make_member(struct probe *probe, struct db *db)
{
	struct identity *identity = probe->fixture->guild.identity;
	struct principal_new made = {.id = probe->id,
		.workspace = identity_workspace(identity),
		.kind = PRINCIPAL_HUMAN,
		.role = ROLE_MEMBER,
		.name = STR("M\xc3\xb6we"),
		.external_id = STR("ext-1")};
	enum err err = identity_principal_insert(identity, db, &made, command_now_us(&probe->change.command));
	if (err == ERR_OK) {
		err = identity_token_insert(identity, db, probe->other, probe->id, member_hash,
					    &(struct token_terms){.label = STR("l"), .expires_at_us = EXPIRES_US}, 1);
	}
	return err;
}

static void test_commit_and_undo(void **state)
{
	struct fixture *f = *state;
	struct identity *identity = f->guild.identity;
	struct caller caller;
	token_make(env_real(), member_token, member_hash);
	struct probe probe = {.id = key_new(f), .other = key_new(f), .fail_with = ERR_STORE_UNAVAILABLE};
	/* Undone: nobody knows it, in memory or on disk. */
	assert_int_equal(run(f, make_member, &probe), ERR_STORE_UNAVAILABLE);
	assert_true(probe.runs >= 1);
	assert_null(identity_principal(identity, probe.id));
	assert_null(identity_external(identity, identity_workspace(identity), STR("ext-1")));
	assert_int_equal(identity_authenticate(identity, str_of(member_token), 1, &caller), ERR_UNAUTHENTICATED);
	/* The same again, and kept. */
	probe.fail_with = ERR_OK;
	assert_int_equal(run(f, make_member, &probe), ERR_OK);
	assert_int_equal(identity_authenticate(identity, str_of(member_token), EXPIRES_US - 1, &caller), ERR_OK);
	assert_int_equal(caller.principal, probe.id);
	assert_int_equal(caller.token, probe.other);
	assert_int_equal(caller.expires_at_us, EXPIRES_US);
	assert_int_equal(caller.role, ROLE_MEMBER);
	assert_int_equal(identity_authenticate(identity, str_of(member_token), EXPIRES_US, &caller), ERR_UNAUTHENTICATED);
	const struct principal *principal = identity_external(identity, identity_workspace(identity), STR("ext-1"));
	assert_non_null(principal);
	assert_int_equal(principal->id, probe.id);
	assert_null(identity_external(identity, identity_workspace(identity), STR("ext-2")));
	/* An external id belongs to one. */
	struct probe second = {.id = key_new(f), .other = key_new(f)};
	assert_int_equal(run(f, make_member, &second), ERR_CONFLICT);
	/* After a restart everything is there again, and the chain is whole. */
	int64_t workspace = identity_workspace(identity);
	close_store(f);
	open_store(f);
	identity = f->guild.identity;
	assert_int_equal(identity_workspace(identity), workspace);
	assert_int_equal(identity_authenticate(identity, str_of(member_token), 1, &caller), ERR_OK);
	assert_true(str_eq(caller_name(&caller), STR("M\xc3\xb6we")));
	assert_non_null(identity_external(identity, workspace, STR("ext-1")));
	assert_non_null(registry_system_default(f->guild.registry, workspace));
	struct audit_report report;
	assert_int_equal(audit_verify(writer_db(f->guild.writer), NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
	assert_int_equal(report.entries, 3);
}

/* ---- agents ---- */

static enum err move_confidence(struct probe *probe, struct db *db)
{
	return agent_confidence_move(probe->fixture->guild.registry, db, probe->id, probe->delta,
		command_now_us(&probe->change.command), &probe->demoted);
}

static void test_confidence_follows_transactions(void **state)
{
	struct fixture *f = *state;
	struct registry *registry = f->guild.registry;
	int64_t workspace = identity_workspace(f->guild.identity);
	int64_t id = registry_system_default(registry, workspace)->id;
	struct probe probe = {.id = id, .delta = -200, .fail_with = ERR_STORE_UNAVAILABLE};
	assert_int_equal(run(f, move_confidence, &probe), ERR_STORE_UNAVAILABLE);
	assert_int_equal(registry_get(registry, id)->confidence_e4, 6000);
	assert_int_equal(registry_writer_get(registry, id)->confidence_e4, 6000);
	probe.fail_with = ERR_OK;
	assert_int_equal(run(f, move_confidence, &probe), ERR_OK);
	assert_int_equal(registry_get(registry, id)->confidence_e4, 5800);
	assert_int_equal(registry_get(registry, id)->revision, 1);
	/* Far below its floor: a system agent stays what it is. */
	probe.delta = -5000;
	assert_int_equal(run(f, move_confidence, &probe), ERR_OK);
	assert_false(probe.demoted);
	assert_int_equal(registry_get(registry, id)->maturity, MATURITY_INTERN);
	assert_int_equal(registry_get(registry, id)->confidence_e4, 800);
	close_store(f);
	open_store(f);
	assert_int_equal(registry_get(f->guild.registry, id)->confidence_e4, 800);
	probe.id = id + 1;
	assert_int_equal(run(f, move_confidence, &probe), ERR_AGENT_NOT_FOUND);
}

/* ---- sessions ---- */

static enum err make_session(struct probe *probe, struct db *db)
{
	int64_t workspace = identity_workspace(probe->fixture->guild.identity);
	struct session session = {.id = probe->id,
		.workspace = workspace,
		.owner = probe->other,
		.created_at_us = 5,
		.updated_at_us = 5,
		.revision = 1,
		.title = STR("t"),
		.channel = STR("chat")};
	enum err err = session_make(NULL, db, &session);
	return err == ERR_OK ? session_touch(db, probe->id, 2, 9, 77) : err;
}

static void test_session_rows(void **state)
{
	struct fixture *f = *state;
	struct guild *g = &f->guild;
	struct caller operator_caller;
	assert_int_equal(identity_authenticate(g->identity, str_of(f->token), 1, &operator_caller), ERR_OK);
	struct probe probe = {.id = key_new(f), .other = operator_caller.principal};
	assert_int_equal(run(f, make_session, &probe), ERR_OK);
	struct arena arena;
	struct session session;
	struct db *db = writer_db(g->writer);
	int64_t workspace = operator_caller.workspace, owner;
	arena_init(&arena, 65536);
	assert_int_equal(session_read(db, &arena, probe.id, workspace, probe.other, &session), ERR_OK);
	assert_int_equal(session.message_count, 2);
	assert_int_equal(session.agent, 77);
	assert_int_equal(session.updated_at_us, 9);
	assert_int_equal(session.revision, 2);
	assert_int_equal(session_read(db, &arena, probe.id, workspace, 0, &session), ERR_OK);
	assert_int_equal(session_read(db, &arena, probe.id, workspace, probe.other + 1, &session), ERR_SESSION_NOT_FOUND);
	assert_int_equal(session_read(db, &arena, probe.id, workspace + 1, 0, &session), ERR_SESSION_NOT_FOUND);
	assert_int_equal(session_owner(db, probe.id, &owner, &workspace), ERR_OK);
	assert_int_equal(owner, probe.other);
	assert_int_equal(session_owner(db, probe.id + 1, &owner, &workspace), ERR_SESSION_NOT_FOUND);
	struct session_message *messages;
	size_t count;
	assert_int_equal(session_history(db, &arena, probe.id, 10, 1000, &messages, &count), ERR_OK);
	assert_int_equal(count, 0);
	arena_fini(&arena);
}

static void test_session_title(void **state)
{
	struct arena arena;
	arena_init(&arena, 65536);
	char text[61];
	memset(text, 'x', 60);
	text[60] = '\0';
	assert_true(str_eq(session_title(&arena, STR("  hello \n more")), STR("hello")));
	assert_int_equal(session_title(&arena, str_make(text, 50)).len, 50);
	struct str cut = session_title(&arena, str_make(text, 51));
	assert_int_equal(cut.len, 50);
	assert_true(str_ends(cut, STR("xxx...")));
	arena_fini(&arena);
}

/* ---- where a key may be sent ---- */

static void test_base_urls(void **state)
{
	static const char *const good[] = {"https://api.openai.com/v1", "https://8.8.8.8/v1",
		"https://[2606:4700::1111]/v1", "https://llm.example.org:8443"};
	static const char *const bad[] = {"http://api.openai.com/v1", "https://localhost/v1", "https://a.localhost",
		"https://127.0.0.1/", "https://127.1/", "https://0x7f.1/", "https://2130706433/", "https://017700000001/",
		"https://10.1.2.3/", "https://172.31.0.1/", "https://192.168.1.1/", "https://169.254.169.254/latest",
		"https://100.64.0.1/", "https://0.0.0.0/", "https://224.0.0.1/", "https://[::1]/", "https://[::]/",
		"https://[fe80::1]/", "https://[fd00::1]/", "https://[::ffff:127.0.0.1]/", "https://[64:ff9b::7f00:1]/",
		"https://[2002:7f00:1::]/", "https://user:pw@api.openai.com/", "https://intranet/", "https://db.internal/",
		"https://nas.local./", "https://127.0.0.1./", "https://localhost.localdomain/", "https://[2001::7f00:1]/",
		"https://a../", "ftp://api.openai.com/", "nonsense"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!key_base_url_public(str_of(good[i]))) {
			fail_msg("refused: %s", good[i]);
		}
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (key_base_url_public(str_of(bad[i]))) {
			fail_msg("let through: %s", bad[i]);
		}
	}
	assert_true(str_eq(key_host(STR("https://a.example:1/v1")), STR("a.example")));
	assert_int_equal(key_host(STR("")).len, 0);
}

static void test_roles(void **state)
{
	enum role role;
	assert_true(role_parse(STR("ADMIN"), &role));
	assert_int_equal(role, ROLE_ADMIN);
	assert_false(role_parse(STR("root"), &role));
	assert_true(str_eq(role_word(ROLE_OPERATOR), STR("operator")));
	assert_true(str_eq(role_word((enum role)9), STR("none")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_token_text),
		cmocka_unit_test(test_token_encoding),
		cmocka_unit_test_setup_teardown(test_first_start, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bad_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_commit_and_undo, setup, teardown),
		cmocka_unit_test_setup_teardown(test_confidence_follows_transactions, setup, teardown),
		cmocka_unit_test_setup_teardown(test_session_rows, setup, teardown),
		cmocka_unit_test(test_session_title),
		cmocka_unit_test(test_base_urls),
		cmocka_unit_test(test_roles),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
