/* sweep_world.c - a whole server in one thread, and clients of it over real sockets. */
#include "sweep_world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "app/app_priv.h"
#include "base/metric.h"
#include "db/reader.h"
#include "db/writer.h"
#include "execution/execution.h"

/* ---- the server ---- */

void world_init(struct world *world)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	snprintf(world->dir, sizeof(world->dir), "%s/guild-sweep-XXXXXX", base);
	if (mkdtemp(world->dir) == NULL) {
		sweep_fail("%s: %s", world->dir, strerror(errno));
	}
}

static enum err settings_load(struct world *world)
{
	static char *const no_environment[] = {NULL};
	const char *level = getenv("GUILD_LOG_LEVEL") != NULL ? getenv("GUILD_LOG_LEVEL") : "error";
	struct config_flag flags[] = {
		{"server.data", world->dir}, {"server.loops", world->two_loops ? "2" : "1"}, {"server.listen", "127.0.0.1:0"}, {"log.level", level},
		{"http.rate", "0"}, {"http.sign_in_rate", "0"}, {"quota.tokens", "1000"}, {"quota.agents", "0"}, {"quota.sessions", "0"},
		{"providers.ollama", "off"},
		/* Without memory curl may lose a request; then it ends by these. */
		{"execution.connect_timeout", "1"}, {"execution.first_byte_timeout", "1"}, {"execution.idle_timeout", "1"},
		{"openai.model", "test-model"},
		{"openai.base_url", world->provider}, {"openai.ca_file", world->ca_file != NULL ? world->ca_file : ""},
	};
	size_t count = sizeof(flags) / sizeof(flags[0]);

	count -= world->ca_file == NULL;
	count -= world->provider[0] == '\0';
	return config_load(&world->config, NULL, no_environment, flags, count, world->detail);
}

static void listeners_close(struct world *world)
{
	listener_close(&world->listeners[0]);
	listener_close(&world->listeners[1]);
}

enum err world_open(struct world *world)
{
	char token[64];
	enum err err = settings_load(world);

	if (err != ERR_OK) {
		return err;
	}
	err = guild_create(&world->config, false, &world->guild, token, world->detail);
	if (err == ERR_OK) {
		struct listener_options options = {
			.address = STR("127.0.0.1:0"), .accepted = http_server_accepted, .arg = world->guild->http};
		if (token[0] != '\0') {
			memcpy(world->token, token, sizeof(token));
		}
		for (unsigned i = 0; i <= world->two_loops && err == ERR_OK; i++) {
			err = listener_open(world->guild->loops[i], &options, world->detail, &world->listeners[i]);
		}
		if (err != ERR_OK) {
			listeners_close(world);
			guild_stop(&world->guild, 0);
		}
	}
	if (err != ERR_OK) {
		config_fini(&world->config);
		return err;
	}
	for (unsigned i = 0; i <= world->two_loops; i++) {
		world->ports[i] = listener_port(world->listeners[i]);
	}
	return ERR_OK;
}

void world_close(struct world *world)
{
	listeners_close(world);
	guild_stop(&world->guild, 0);
	config_fini(&world->config);
}

static int entry_remove(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
	(void)stat;
	(void)kind;
	(void)at;
	return remove(path);
}

void world_fini(struct world *world)
{
	(void)nftw(world->dir, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
}

void world_turn(struct world *world)
{
	(void)writer_turn(world->guild->writer);
	for (unsigned i = 0; i < 2; i++) {
		(void)reader_turn(world->guild->readers, i);
	}
	if (world->two_loops) {
		loop_turn(world->guild->loops[1], 0);
	}
	loop_turn(world->guild->loops[0], 1000);
}

void world_settle(struct world *world)
{
	struct guild *guild = world->guild;
	int64_t until_us = env_mono_us(env_real()) + WAIT_US;

	for (int quiet = 0; quiet < 3;) {
		sweep_waited(env_mono_us(env_real()) - until_us + WAIT_US);
		world_turn(world);
		bool busy = writer_queued(guild->writer) > 0;
		for (unsigned i = 0; i <= world->two_loops; i++) {
			busy = busy || loop_connections(guild->loops[i]) > 0 || engine_running(guild->engine, guild->loops[i]) > 0;
		}
		quiet = busy ? 0 : quiet + 1;
		if (env_mono_us(env_real()) > until_us) {
			sweep_fail("it does not come to rest: %zu connections, %zu runs, %lld jobs", loop_connections(guild->loops[0]),
				(size_t)engine_running(guild->engine, guild->loops[0]), (long long)writer_queued(guild->writer));
		}
	}
	if (metric_get(METRIC_EXECUTIONS_RUNNING) != 0 || metric_get(METRIC_WEBSOCKETS) != 0) {
		sweep_fail("at rest, %lld runs and %lld sockets are counted", (long long)metric_get(METRIC_EXECUTIONS_RUNNING),
			(long long)metric_get(METRIC_WEBSOCKETS));
	}
}

/* ---- its file ---- */

static const struct {
	const char *text, *want, *what;
} file_rules[] = {
	{"PRAGMA integrity_check", "ok", "integrity"},
	{"PRAGMA foreign_key_check", "", "a foreign key"},
	{"SELECT count(*) FROM turn WHERE status < 3", "0", "runs that are not over"},
	{"SELECT count(*) FROM session WHERE open_count <> 0", "0", "sessions with an open run"},
	{"SELECT count(*) FROM post p WHERE reply_count <> (SELECT count(*) FROM post r WHERE r.reply_to = p.id AND r.deleted_at IS NULL)", "0",
	 "posts whose count of replies is wrong"},
	{"SELECT count(*) FROM post p WHERE reaction_count <> (SELECT count(*) FROM reaction r WHERE r.post = p.id)", "0",
	 "posts whose count of reactions is wrong"},
	{"SELECT count(*) FROM reaction_sum s WHERE actors <> (SELECT count(*) FROM reaction r WHERE r.post = s.post AND r.emoji = s.emoji)", "0",
	 "sums of reactions that are wrong"},
	{"SELECT count(*) - max(seq) FROM log", "0", "numbers that the log leaves out"},
};

void world_check(struct world *world)
{
	char path[128];
	sqlite3 *file = NULL;

	snprintf(path, sizeof(path), "%s/guild.db", world->dir);
	if (sqlite3_open_v2(path, &file, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK) {
		sweep_fail("%s: %s", path, sqlite3_errmsg(file));
	}
	for (size_t i = 0; i < sizeof(file_rules) / sizeof(file_rules[0]); i++) {
		sqlite3_stmt *query = NULL;
		if (sqlite3_prepare_v2(file, file_rules[i].text, -1, &query, NULL) != SQLITE_OK) {
			sweep_fail("%s: %s", file_rules[i].text, sqlite3_errmsg(file));
		}
		bool row = sqlite3_step(query) == SQLITE_ROW;
		const char *got = row ? (const char *)sqlite3_column_text(query, 0) : "";
		if (strcmp(got != NULL ? got : "0", file_rules[i].want) != 0) {
			sweep_fail("the file has %s: %s", file_rules[i].what, got);
		}
		sqlite3_finalize(query);
	}
	sqlite3_close(file);
}

/* ---- clients ---- */

void client_dial(struct client *client, struct world *world)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(world->ports[client->door]), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	client->len = 0;
	client->in[0] = '\0';
	client->eof = false;
	client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (client->fd < 0 || connect(client->fd, (struct sockaddr *)&to, sizeof(to)) != 0) {
		sweep_fail("connect: %s", strerror(errno));
	}
}

void client_close(struct client *client)
{
	close(client->fd);
	client->fd = -1;
}

/* A peer that has gone is seen by reading. */
void client_send(struct client *client, const void *bytes, size_t len)
{
	(void)!send(client->fd, bytes, len, MSG_NOSIGNAL);
}

void client_say(struct client *client, const char *text)
{
	unsigned char frame[2048];
	size_t len = strlen(text), at = 0;

	if (len > sizeof(frame) - 8) {
		sweep_fail("too long to say: %s", text);
	}
	frame[at++] = 0x81;
	if (len < 126) {
		frame[at++] = (unsigned char)(0x80 | len);
	} else {
		frame[at++] = 0x80 | 126;
		frame[at++] = (unsigned char)(len >> 8);
		frame[at++] = (unsigned char)len;
	}
	memset(frame + at, 0, 4); /* a mask that changes nothing */
	memcpy(frame + at + 4, text, len);
	client_send(client, frame, at + 4 + len);
}

/* Frames and replies are looked at as text: what is binary in between must not end it. */
static void client_read(struct client *client)
{
	ssize_t n = recv(client->fd, client->in + client->len, CLIENT_BYTES - 1 - client->len, MSG_DONTWAIT);

	if (n > 0) {
		for (ssize_t i = 0; i < n; i++) {
			char *byte = &client->in[client->len + (size_t)i];
			*byte = *byte == '\0' ? ' ' : *byte;
		}
		client->len += (size_t)n;
		client->in[client->len] = '\0';
	}
	/* A WebSocket's close frame is its end too. */
	client->eof = strstr(client->in, "overloaded: re") != NULL || n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
}

bool client_wait(struct client *client, struct world *world, const char *text)
{
	return client_wait_either(client, world, text, text);
}

bool client_wait_either(struct client *client, struct world *world, const char *text, const char *other)
{
	int64_t until_us = env_mono_us(env_real()) + WAIT_US;

	while (text == NULL || (strstr(client->in, text) == NULL && strstr(client->in, other) == NULL)) {
		if (client->eof) {
			return text == NULL;
		}
		if (env_mono_us(env_real()) > until_us) {
			sweep_fail("waited in vain for %s in: %s", text != NULL ? text : "the end", client->in);
		}
		sweep_waited(env_mono_us(env_real()) - until_us + WAIT_US);
		world_turn(world);
		client_read(client);
	}
	return true;
}

int client_ask(struct client *client, struct world *world, const char *method, const char *target, const char *body, const char *until)
{
	char request[4096], key[64] = "";
	if (client->key != NULL) {
		snprintf(key, sizeof(key), "Idempotency-Key: %s\r\n", client->key);
	}
	int len = snprintf(request, sizeof(request),
		"%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer %s\r\n%s%s", method, target, world->token,
		key, body == NULL ? "\r\n" : "");
	if (body != NULL) {
		len += snprintf(request + len, sizeof(request) - (size_t)len,
			"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
	}
	client_dial(client, world);
	client_send(client, request, (size_t)len);
	(void)client_wait(client, world, until);
	client_close(client);
	int status = 0;
	return sscanf(client->in, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}
