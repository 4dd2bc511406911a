/*
 * guild_fixture.h - the parts of a server on a real store in one thread, called through the library's door.
 *
 * For:     tests of features: rows, commands, runs.
 * Not for: sockets (http_fixture.h); the store alone (store_fixture.h).
 * Threads: one; whoever waits turns writer, reader and loop.
 * Memory:  everything is freed and the directory removed in fixture_close; a reply's texts live until the next call.
 *
 * The clock is the machine's plus `skew_us`: a test that is about a deadline moves it on instead of waiting.
 */
#ifndef GUILD_TESTS_GUILD_FIXTURE_H
#define GUILD_TESTS_GUILD_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/agent.h"
#include "agent/tally.h"
#include "base/limits.h"
#include "command/change.h"
#include "command/idempotency.h"
#include "command/quota.h"
#include "execution/execution.h"
#include "governance/governance.h"
#include "identity/identity.h"
#include "identity/key.h"
#include "session/session.h"
#include "social/social.h"

enum { TURNS_MAX = 10000 };

struct fixture {
	char dir[64];
	char path[96];
	struct guild guild;
	struct env env;
	int64_t skew_us;
	char token[TOKEN_TEXT_LEN + 1];
	struct caller operator, admin, member, other;
	bool runs; /* it has a bus and an engine */
	const char *key; /* Idempotency-Key of the next calls; NULL: none */
	/* the last reply */
	int status;
	char *body;
	struct arena arena;
	struct json_doc doc;
};

/* ---- its clock ---- */

static inline int64_t skewed_wall(void *ctx)
{
	const struct fixture *f = ctx;
	return env_wall_us(env_real()) + f->skew_us;
}

static inline int64_t skewed_mono(void *ctx)
{
	const struct fixture *f = ctx;
	return env_mono_us(env_real()) + f->skew_us;
}

static inline void real_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	env_random(env_real(), out, len);
}

/* ---- calling ---- */

static inline void turn(struct fixture *f)
{
	(void)writer_turn(f->guild.writer);
	(void)reader_turn(f->guild.readers, 0);
	loop_turn(f->guild.loops[0], 0);
}

/* With a NUL behind it. Not strndup: the address sanitizer takes that for reading one byte more. */
static inline char *text_copy(struct str text)
{
	char *out = malloc(text.len + 1);
	assert_non_null(out);
	memcpy(out, text.len > 0 ? text.at : "", text.len);
	out[text.len] = 0;
	return out;
}

static inline void on_reply(void *ctx, int status, struct str content_type, struct str body)
{
	struct fixture *f = ctx;
	f->status = status;
	f->body = text_copy(body);
}

struct dispatch {
	struct loop_note note;
	struct fixture *fixture;
	const struct caller *caller;
	const char *method, *target, *body;
	const struct http_local_sink *sink;
	bool begun;
};

static inline void dispatch_run(struct loop_note *note, struct loop *loop)
{
	struct dispatch *d = container_of(note, struct dispatch, note);
	struct http_local_call request = {.method = str_of(d->method),
		.target = str_of(d->target),
		.body = str_of(d->body),
		.idempotency_key = str_of(d->fixture->key)};
	http_local_dispatch(d->fixture->guild.http, loop, &request, d->caller, d->sink);
	d->begun = true;
}

/* Begins a call inside a turn of the loop, as the library does. */
static inline void call_begin(struct fixture *f, const struct caller *caller, const char *method, const char *target,
	const char *body, const struct http_local_sink *sink)
{
	struct dispatch d = {{.run = dispatch_run}, f, caller, method, target, body, sink, false};
	loop_note_post(f->guild.loops[0], &d.note);
	while (!d.begun) {
		loop_turn(f->guild.loops[0], 0);
	}
}

static inline void reply_forget(struct fixture *f)
{
	free(f->body);
	f->body = NULL;
	f->status = 0;
	arena_fini(&f->arena);
	f->doc = (struct json_doc){0};
}

static inline void call(
	struct fixture *f, const struct caller *caller, const char *method, const char *target, const char *body, int want)
{
	struct http_local_sink sink = {.reply = on_reply, .ctx = f};
	reply_forget(f);
	call_begin(f, caller, method, target, body, &sink);
	for (int i = 0; i < TURNS_MAX && f->status == 0; i++) {
		turn(f);
	}
	if (f->status != want) {
		fail_msg("%s %s %s: %d, not %d: %s", method, target, body != NULL ? body : "", f->status, want, f->body);
	}
	arena_init(&f->arena, 1 << 24);
	assert_true(f->body[0] == '\0' || json_parse(&f->arena, str_of(f->body), &f->doc, NULL) == ERR_OK);
}

/* A text of the last reply by name, borrowed until the next call; "" when it is absent or null. */
static inline const char *text(struct fixture *f, const char *name)
{
	struct str value;
	if (!json_get_str(json_member(json_root(&f->doc), str_of(name)), &value)) {
		return "";
	}
	return arena_copy(&f->arena, value).at;
}

static inline int64_t number(struct fixture *f, const char *name)
{
	int64_t value;
	return json_get_int(json_member(json_root(&f->doc), str_of(name)), &value) ? value : -1;
}

static inline uint32_t items(struct fixture *f)
{
	return json_size(json_member(json_root(&f->doc), STR("items")));
}

static inline const char *item_text(struct fixture *f, uint32_t i, const char *name)
{
	struct str value;
	struct json item = json_element(json_member(json_root(&f->doc), STR("items")), i);
	assert_true(json_get_str(json_member(item, str_of(name)), &value));
	return arena_copy(&f->arena, value).at;
}

/* "/v1/" and the format, in which $ stands for the id. */
static inline const char *path(const char *format, const char *id)
{
	static char out[4][256];
	static unsigned next;
	char *at = out[next++ % 4];
	size_t before = strcspn(format, "$");
	const char *rest = format[before] != '\0' ? format + before + 1 : "";
	snprintf(at, sizeof(out[0]), "/v1/%.*s%s%s", (int)before, format, format[before] != '\0' ? id : "", rest);
	return at;
}

static inline int64_t audit_entries(struct fixture *f)
{
	struct audit_report report;
	assert_int_equal(audit_verify(writer_db(f->guild.writer), NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
	return report.entries;
}

/* ---- a server in one thread ---- */

static const struct guild_settings social_settings = {
	.posts_hour = {0, 0, 1, 12, -1}, .messages_hour = {0, 0, 10, 60, 600}, .reactions_hour = {0, 0, 60, 60, 600},
	.auto_post_us = 300000000, .pair_hour = 6};

static inline struct caller user(struct fixture *f, const char *name, const char *role)
{
	char body[128], id[64];
	struct caller caller;
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"role\":\"%s\"}", name, role);
	call(f, &f->operator, "POST", "/v1/users", body, 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	int64_t key;
	assert_int_equal(id_parse(&f->guild.id_secret, ID_PRINCIPAL, str_of(id), &key), ERR_OK);
	const struct principal *principal = identity_principal(f->guild.identity, key);
	assert_non_null(principal);
	identity_caller(principal, &caller);
	return caller;
}

static inline void open_parts(struct fixture *f, const struct http_route *const *tables)
{
	struct guild *g = &f->guild;
	char detail[256] = "";
	f->env = (struct env){skewed_wall, skewed_mono, real_random, f};
	*g = (struct guild){.env = &f->env, .id_secret = {1, 2}, .loop_count = 1};
	g->settings = social_settings;
	id_gen_init(&g->id_gens[0], 0, 0);
	id_gen_init(&g->id_gens[LIMIT_LOOPS], LIMIT_LOOPS, 0);
	assert_int_equal(snap_domain_create(&g->snap), ERR_OK);
	assert_int_equal(loop_create(&(struct loop_options){.env = g->env, .snap = g->snap}, &g->loops[0]), ERR_OK);
	assert_int_equal(identity_create(g->env, g->snap, &g->identity), ERR_OK);
	assert_int_equal(registry_create(g->env, g->snap, &g->registry), ERR_OK);
	assert_int_equal(policy_set_create(g->env, g->snap, &(struct policy_options){.unknown_level = POLICY_UNKNOWN_LEVEL}, &g->policies), ERR_OK);
	assert_int_equal(tally_table_create(&g->tallies), ERR_OK);
	assert_int_equal(approval_create(g, INT64_C(86400000000), &g->approvals), ERR_OK);
	assert_int_equal(quota_create((const int64_t[]){100, 100, 100}, &g->quota), ERR_OK);
	identity_quota_set(g->identity, g->quota);
	assert_int_equal(social_create(g, &g->social), ERR_OK);
	assert_int_equal(admit_create(g, &g->admission), ERR_OK);
	struct command_overlay overlays[6 + SOCIAL_OVERLAYS + 1] = {
		admit_overlay(g->admission),
		identity_overlay(g->identity), registry_overlay(g->registry), quota_overlay(g->quota), policy_set_overlay(g->policies),
		tally_overlay(g->tallies)};
	social_overlays(g->social, &overlays[6]);
	struct command_options commands = {.env = g->env,
		.id_secret = &g->id_secret,
		.epoch = &g->epoch,
		.loops = g->loops, .loop_count = 1, .overlays = overlays};
	assert_int_equal(command_runner_create(&commands, &g->commands), ERR_OK);
	if (f->runs) {
		assert_int_equal(bus_create(g->env, g->loops, 1, command_event_render, g->commands, &g->bus), ERR_OK);
		command_bus_set(g->commands, g->bus);
	}
	struct writer_options writer = {.env = g->env, .path = f->path, .hooks = command_hooks(g->commands)};
	if (writer_create(&writer, &g->writer, detail) != ERR_OK ||
		reader_create(g->env, g->snap, f->path, 2, &g->readers, detail) != ERR_OK ||
		keyring_open(f->dir, STR_NONE, true, &g->keyring, detail) != ERR_OK) {
		fail_msg("%s", detail);
	}
	assert_int_equal(command_attach(g->commands, g->writer), ERR_OK);
	assert_int_equal(identity_first_start(g->identity, g, NULL, NULL, f->token), ERR_OK);
	assert_int_equal(agent_first_start(g->registry, g), ERR_OK);
	assert_int_equal(policy_set_load(g->policies, g), ERR_OK);
	struct http_options http = {.env = g->env,
		.tables = tables,
		.ctx = g,
		.secret = &g->id_secret,
		.look = idempotency_look,
		.reply = idempotency_reply,
		.loop_count = 1,
		.body_bytes_max = LIMIT_BODY_BYTES,
		.limits = {.sse_comment_us = 15000000, .ws_ping_us = 30000000, .ws_close_us = 90000000,
			   .head_timeout_us = 10000000, .idle_timeout_us = 60000000}};
	assert_int_equal(http_server_create(&http, &g->http), ERR_OK);
	assert_true(!f->runs || engine_create(g, &g->engine) == ERR_OK);
	assert_int_equal(identity_authenticate(g->identity, str_of(f->token), 1, &f->operator), ERR_OK);
}

static inline int fixture_open(void **state, const struct http_route *const *tables, bool runs)
{
	struct fixture *f = calloc(1, sizeof(*f));
	snprintf(f->dir, sizeof(f->dir), "/tmp/guild_features_XXXXXX");
	if (f == NULL || mkdtemp(f->dir) == NULL) {
		return -1;
	}
	snprintf(f->path, sizeof(f->path), "%s/guild.db", f->dir);
	arena_init(&f->arena, 1 << 24);
	f->runs = runs;
	open_parts(f, tables);
	f->admin = user(f, "Ada", "admin");
	f->member = user(f, "Mo", "member");
	f->other = user(f, "Olu", "member");
	*state = f;
	return 0;
}

static inline int fixture_close(void **state)
{
	struct fixture *f = *state;
	struct guild *g = &f->guild;
	reply_forget(f);
	reader_destroy(&g->readers);
	writer_destroy(&g->writer);
	loop_turn(g->loops[0], 0);
	engine_destroy(&g->engine);
	http_server_destroy(&g->http);
	bus_destroy(&g->bus);
	command_runner_destroy(&g->commands);
	keyring_close(&g->keyring);
	quota_destroy(&g->quota);
	admit_destroy(&g->admission);
	approval_destroy(&g->approvals);
	policy_set_destroy(&g->policies);
	social_destroy(&g->social);
	tally_table_destroy(&g->tallies);
	registry_destroy(&g->registry);
	identity_destroy(&g->identity);
	loop_destroy(&g->loops[0]);
	snap_domain_destroy(&g->snap);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", f->dir);
	assert_int_equal(system(command), 0);
	free(f);
	return 0;
}

/* A job that writes and then fails, so that it spoils its batch: all others run again, alone. apply is the test's. */
struct spoil {
	struct write_job job;
	bool done;
};

static inline void spoil_done(struct write_job *job)
{
	container_of(job, struct spoil, job)->done = true;
}

#endif
