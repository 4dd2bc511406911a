/* run.c - starting the threads, stopping them in order, and freeing what app.c built. */
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/tally.h"
#include "app/app_priv.h"
#include "audit/notary.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "command/idempotency.h"
#include "command/quota.h"
#include "execution/execution.h"
#include "governance/governance.h"
#include "governance/ledger.h"
#include "http/client.h"
#include "identity/identity.h"
#include "ops/ops.h"
#include "social/social.h"

#include <netinet/in.h>

#define DETAIL_BYTES 256
#define DESCRIPTORS_SPARE 64

static enum err listeners_open(struct guild *guild, char *detail);
static int64_t descriptors_raise(int64_t wanted);
static void thread_body(void *arg);
static void drain_run(struct loop_note *note, struct loop *loop);
static void probe_run(struct loop_note *note, struct loop *loop);
static void wait_idle(struct guild *guild, int64_t until_us);
static void generation_note(struct guild *guild);

enum err guild_start(struct guild *guild, char *detail)
{
	struct app *app = guild->app;
	detail[0] = 0;
	enum err err = app->listen ? listeners_open(guild, detail) : ERR_OK;
	err = err == ERR_OK ? writer_start(guild->writer) : err;
	err = err == ERR_OK ? reader_start(guild->readers) : err;
	app->store_running = err == ERR_OK;
	for (unsigned i = 0; err == ERR_OK && i < guild->loop_count; i++) {
		struct app_loop *l = &app->loops[i];
		char name[16];
		l->guild = guild;
		l->loop = guild->loops[i];
		thread_gate_init(&l->gate);
		snprintf(name, sizeof(name), "loop-%u", i);
		err = thread_start(&l->thread, name, thread_body, l);
		l->running = err == ERR_OK;
	}
	if (err == ERR_OK) {
		social_start(guild->social);
		idempotency_start(guild->idempotency);
		ops_start(guild->ops, &app->generation);
		approval_start(guild->approvals);
		audit_notary_start(guild->notary);
	}
	if (err != ERR_OK && detail[0] == 0) {
		snprintf(detail, DETAIL_BYTES, "cannot start the threads: %s", err_row(err)->text.at);
	}
	return err;
}

static void thread_body(void *arg)
{
	struct app_loop *l = arg;
	loop_run(l->loop);
}

/* The cap on connections follows from the descriptors there are. */
static int64_t descriptors_raise(int64_t wanted)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
		return wanted;
	}
	limit.rlim_cur = limit.rlim_max;
	(void)!setrlimit(RLIMIT_NOFILE, &limit);
	(void)!getrlimit(RLIMIT_NOFILE, &limit);
	int64_t room = limit.rlim_cur > INT32_MAX ? INT32_MAX : (int64_t)limit.rlim_cur - DESCRIPTORS_SPARE;
	return room < wanted ? (room > 1 ? room : 1) : wanted;
}

static enum err listeners_open(struct guild *guild, char *detail)
{
	struct app *app = guild->app;
	struct str address = config_text(guild->config, CONFIG_server_listen);
	char bound[300];
	int64_t cap = descriptors_raise(config_number(guild->config, CONFIG_http_connections));
	metric_set(METRIC_CONNECTION_CAP, cap);
	enum err err = listener_probe(app->transport, address, detail);
	if (err == ERR_OK) {
		err = conn_caps_create((size_t)cap, (size_t)config_number(guild->config, CONFIG_http_connections_address), &app->caps);
	}
	for (unsigned i = 0; err == ERR_OK && i < guild->loop_count; i++) {
		struct listener_options options = {.address = address, .caps = app->caps, .accepted = http_server_accepted, .arg = guild->http};
		err = listener_open(guild->loops[i], &options, detail, &app->loops[i].listener);
		if (err == ERR_OK && i == 0) {
			guild->port = listener_port(app->loops[0].listener);
			ptrdiff_t colon = (ptrdiff_t)address.len;
			while (colon > 0 && address.at[colon - 1] != ':') {
				colon--;
			}
			snprintf(bound, sizeof(bound), "%.*s%u", (int)colon, address.at, guild->port);
			address = str_of(bound);
		}
	}
	return err;
}

/* ---- stopping ---- */

static void drain_run(struct loop_note *note, struct loop *loop)
{
	struct app_loop *l = container_of(note, struct app_loop, drain_note);
	if (l->listener != NULL) {
		listener_close(&l->listener);
	}
	engine_drain(l->guild->engine, loop, l->drain_until_us);
	http_server_drain(l->guild->http, loop);
}

static void probe_run(struct loop_note *note, struct loop *loop)
{
	struct app_loop *l = container_of(note, struct app_loop, probe_note);
	l->idle = engine_running(l->guild->engine, loop) == 0 && loop_connections(loop) == 0 &&
		  http_server_unanswered(l->guild->http, loop) == 0;
	thread_gate_open(&l->gate);
}

/* Asks each loop ten times a second whether it still has something to do. */
static void wait_idle(struct guild *guild, int64_t until_us)
{
	struct thread_gate pause; /* opened by nobody: a wait with a time-out */
	bool idle = false;
	thread_gate_init(&pause);
	while (!idle && env_mono_us(guild->env) < until_us) {
		idle = true;
		for (unsigned i = 0; i < guild->loop_count; i++) {
			struct app_loop *l = &guild->app->loops[i];
			l->probe_note.run = probe_run;
			loop_note_post(l->loop, &l->probe_note);
			if (!thread_gate_wait(&l->gate, 2000000)) {
				idle = false;
				until_us = 0;
				break;
			}
			idle = idle && l->idle;
		}
		if (!idle) {
			(void)thread_gate_wait(&pause, 20000);
		}
	}
	thread_gate_fini(&pause);
}

/* The writer has ended: what its connection sees is on disk. */
static void generation_note(struct guild *guild)
{
	struct app *app = guild->app;
	struct log_head head;
	enum err err = log_head_read(writer_db(guild->writer), &head);
	if (err == ERR_OK) {
		app->generation.seq = head.seq;
		err = generation_write(app->dir, &app->generation);
	}
	if (err != ERR_OK) {
		log_at(LOG_WARN, "generation_not_written", log_s("error", err_row(err)->code));
	}
}

void guild_stop(struct guild **guild_at, int64_t drain_us)
{
	struct guild *guild = *guild_at;
	struct app *app = guild->app;
	int64_t now_us = env_mono_us(guild->env);
	atomic_store(&guild->stopping, true);
	for (unsigned i = 0; i < guild->loop_count; i++) {
		struct app_loop *l = &app->loops[i];
		if (l->running) {
			l->drain_until_us = now_us + drain_us;
			l->drain_note.run = drain_run;
			loop_note_post(l->loop, &l->drain_note);
		}
	}
	if (app->loops[0].running) {
		wait_idle(guild, now_us + drain_us + 1500000);
	}
	if (app->store_running) {
		writer_stop(guild->writer);
		reader_stop(guild->readers);
		generation_note(guild);
	}
	for (unsigned i = 0; i < guild->loop_count; i++) {
		struct app_loop *l = &app->loops[i];
		if (l->running) {
			loop_stop(l->loop);
			thread_join(&l->thread);
			thread_gate_fini(&l->gate);
			l->running = false;
		}
	}
	if (app->store_running) {
		audit_notary_stop(guild->notary);
	}
	app_destroy(guild_at);
}

/* Connections close while the parts they call into still stand; notes and closings of the last turn run before that. */
void app_destroy(struct guild **guild_at)
{
	struct guild *guild = *guild_at;
	struct app *app = guild->app;
	if (guild->engine != NULL) {
		engine_abandon(guild->engine);
	}
	for (unsigned i = 0; i < guild->loop_count; i++) {
		if (app->loops[i].listener != NULL) {
			listener_close(&app->loops[i].listener);
		}
		loop_each_conn(guild->loops[i], app_conn_abort, NULL);
		for (int turn = 0; turn < 4; turn++) {
			loop_turn(guild->loops[i], 0);
		}
		http_client_destroy(&guild->clients[i]);
		loop_turn(guild->loops[i], 0);
	}
	engine_destroy(&guild->engine);
	ops_destroy(guild, &guild->ops);
	http_server_destroy(&guild->http);
	if (guild->openai != NULL) {
		provider_openai_destroy(&app->openai);
	}
	if (guild->builtin != NULL) {
		provider_builtin_destroy(&app->builtin);
	}
	keyring_close(&guild->keyring);
	writer_destroy(&guild->writer);
	reader_destroy(&guild->readers);
	bus_destroy(&guild->bus);
	bus_history_destroy(&guild->history);
	command_runner_destroy(&guild->commands);
	ledger_destroy(&guild->ledger);
	struct catalogue *catalogue = (struct catalogue *)(uintptr_t)catalogue_now(&app->catalogue);
	catalogue_destroy(&catalogue);
	quota_destroy(&guild->quota);
	admit_destroy(&guild->admission);
	idempotency_destroy(&guild->idempotency);
	approval_destroy(&guild->approvals);
	policy_set_destroy(&guild->policies);
	social_destroy(&guild->social);
	tally_table_destroy(&guild->tallies);
	registry_destroy(&guild->registry);
	identity_destroy(&guild->identity);
	for (unsigned i = 0; i < guild->loop_count; i++) {
		loop_destroy(&guild->loops[i]);
	}
	audit_notary_destroy(&guild->notary);
	snap_domain_destroy(&guild->snap);
	conn_caps_destroy(&app->caps);
	db_dir_unlock(&app->lock);
	mem_free(app);
	mem_free(guild);
	*guild_at = NULL;
}

void app_conn_abort(struct conn *conn, void *arg)
{
	(void)arg;
	conn_abort(conn, ERR_GOING_AWAY);
}

/* ---- small things ---- */

bool app_ollama_there(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(11434), .sin_addr = {htonl(INADDR_LOOPBACK)}};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool there = fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0;
	if (fd >= 0) {
		close(fd);
	}
	return there;
}

/* A scheme and a host, as browsers say it: with a path, or as a pattern, it would never be met. */
static bool is_origin(struct str text)
{
	bool plain = str_starts(text, STR("http://")), sealed = str_starts(text, STR("https://"));
	struct str host = str_sub(text, sealed ? 8 : 7, text.len);
	return (plain || sealed) && host.len > 0 && str_find_byte(host, '/') < 0 && str_find_byte(host, '*') < 0;
}

bool app_origins_read(struct str text, struct app_origins *out)
{
	struct str part;
	size_t count = 0, used = 0;
	while (str_split(&text, ' ', &part)) {
		if (part.len == 0) {
			continue;
		}
		if (count == APP_ORIGINS_MAX || used + part.len + 1 > sizeof(out->text) || !is_origin(part)) {
			return false;
		}
		str_to_z(part, out->text + used, part.len + 1);
		out->list[count++] = out->text + used;
		used += part.len + 1;
	}
	return true;
}
