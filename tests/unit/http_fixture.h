/*
 * http_fixture.h - a server on a free port and clients of it, all in one thread.
 *
 * For:     test_http_{server,stream,websocket}.c.
 * Not for: other tests.
 * Threads: one; the loop is turned by whoever waits for something.
 * Memory:  everything is freed in fixture_fini; a client's input lives in the client.
 *
 * The clock is the machine's plus `skew_us`: a test that is about a deadline moves it on instead of waiting.
 */
#ifndef GUILD_TESTS_HTTP_FIXTURE_H
#define GUILD_TESTS_HTTP_FIXTURE_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/limits.h"
#include "http/http.h"
#include "sockets.h"

#define PATIENCE_US 10000000
#define SECOND 1000000
#define CLIENT_BYTES (4 << 20)

static int64_t skew_us;

static int64_t skewed_wall(void *ctx)
{
	(void)ctx;
	return env_wall_us(env_real()) + skew_us;
}

static int64_t skewed_mono(void *ctx)
{
	(void)ctx;
	return env_mono_us(env_real()) + skew_us;
}

static void real_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	env_random(env_real(), out, len);
}

static const struct env test_env = {skewed_wall, skewed_mono, real_random, NULL};

struct fixture {
	struct loop *loop;
	struct conn_caps *caps;
	struct listener *listener;
	struct http_server *server;
	uint16_t port;
	int handled;                   /* requests that reached a row */
	int looked_up;                 /* tokens */
	struct http_request *kept;     /* by rows that answer later */
	struct http_stream *stream;
	struct websocket *socket;
	int stream_closed, stream_drained, socket_closed, messages;
	char last_message[256];
};

static struct fixture fx;

/* Tokens are roles' names; "expiring" is a viewer's whose time is soon over. */
static enum err authenticate(void *ctx, struct str token, int64_t wall_us, struct caller *out)
{
	static const struct {
		const char *token;
		enum role role;
	} rows[] = {
		{"viewer", ROLE_VIEWER}, {"member", ROLE_MEMBER}, {"admin", ROLE_ADMIN}, {"agent", ROLE_AGENT},
		{"expiring", ROLE_VIEWER},
	};

	(void)ctx;
	fx.looked_up++;
	if (str_eq(token, STR("broken"))) {
		return ERR_IO;
	}
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (str_eq(token, str_of(rows[i].token))) {
			*out = (struct caller){.principal = 100 + (int64_t)i, .token = 7 + (int64_t)i, .role = rows[i].role};
			caller_widen(out);
			out->expires_at_us = i == 4 ? wall_us + 20 * SECOND : 0;
			return ERR_OK;
		}
	}
	return ERR_UNAUTHENTICATED;
}

static void fixture_init(const struct http_route *table, const struct http_options *given)
{
	static const struct http_route *tables[2];
	struct http_options options = given ? *given : (struct http_options){0};
	char detail[128];

	skew_us = 0;
	fx = (struct fixture){0};
	tables[0] = table;
	options.env = &test_env;
	options.tables = tables;
	options.ctx = &fx;
	options.authenticate = authenticate;
	options.loop_count = 1;
	assert_int_equal(loop_create(&(struct loop_options){.env = &test_env}, &fx.loop), ERR_OK);
	assert_int_equal(http_server_create(&options, &fx.server), ERR_OK);
	assert_int_equal(conn_caps_create(1000, 1000, &fx.caps), ERR_OK);
	struct listener_options listen = {
		.address = STR("127.0.0.1:0"), .caps = fx.caps, .accepted = http_server_accepted, .arg = fx.server,
	};
	assert_int_equal(listener_open(fx.loop, &listen, detail, &fx.listener), ERR_OK);
	fx.port = listener_port(fx.listener);
}

static void fixture_fini(void)
{
	listener_close(&fx.listener);
	loop_destroy(&fx.loop);
	http_server_destroy(&fx.server);
	conn_caps_destroy(&fx.caps);
}

/* ---- clients ---- */

struct client {
	int fd;
	bool eof;
	bool deaf; /* does not read */
	size_t len;
	char *in; /* CLIENT_BYTES, always NUL-terminated */
};

static struct client client_open(void)
{
	struct client client = {.fd = socket_dial(fx.port), .in = calloc(1, CLIENT_BYTES)};

	fcntl(client.fd, F_SETFL, O_NONBLOCK);
	return client;
}

static void client_close(struct client *client)
{
	if (client->fd >= 0) {
		close(client->fd);
	}
	free(client->in);
	*client = (struct client){.fd = -1};
}

static void client_read(struct client *client)
{
	while (!client->eof && client->len < CLIENT_BYTES - 1) {
		ssize_t n = recv(client->fd, client->in + client->len, CLIENT_BYTES - 1 - client->len, 0);
		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			return;
		}
		client->eof = n <= 0;
		client->len += n > 0 ? (size_t)n : 0;
		client->in[client->len] = 0;
	}
}

static void turn(struct client *client)
{
	loop_turn(fx.loop, 1000);
	if (client && !client->deaf) {
		client_read(client);
	}
}

/* Turns the loop until the condition holds; fails the test when it never does. */
#define wait_for(client, condition) \
	for (int64_t until_ = env_mono_us(env_real()) + PATIENCE_US; !(condition); turn(client)) \
		assert_true(env_mono_us(env_real()) < until_)

static void client_send(struct client *client, const void *bytes, size_t len)
{
	const char *at = bytes;

	for (; len > 0 && !client->eof; turn(client)) {
		ssize_t n = send(client->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EAGAIN) {
			return;
		}
		at += n > 0 ? n : 0;
		len -= n > 0 ? (size_t)n : 0;
	}
}

static void client_put(struct client *client, const char *text)
{
	client_send(client, text, strlen(text));
}

/* ---- replies ---- */

struct reply {
	int status;
	char head[4096];
	char body[8192];
	size_t bytes; /* head and body */
};

/* The value of a header of the reply, "" when it has none. Valid until the next call. */
static const char *reply_header(const struct reply *reply, const char *name)
{
	static char value[1024];
	char line[80];
	const char *at;

	snprintf(line, sizeof(line), "\r\n%s: ", name);
	at = strcasestr(reply->head, line);
	value[0] = 0;
	if (at) {
		at += strlen(line);
		snprintf(value, sizeof(value), "%.*s", (int)strcspn(at, "\r"), at);
	}
	return value;
}

static bool reply_parse(const struct client *client, bool head_only, struct reply *out)
{
	const char *end = memmem(client->in, client->len, "\r\n\r\n", 4);
	size_t body;

	if (!end) {
		return false;
	}
	*out = (struct reply){.bytes = (size_t)(end - client->in) + 4};
	assert_true(out->bytes < sizeof(out->head));
	memcpy(out->head, client->in, out->bytes);
	assert_int_equal(sscanf(out->head, "HTTP/1.1 %d", &out->status), 1);
	body = head_only ? 0 : (size_t)atol(reply_header(out, "Content-Length"));
	if (client->len < out->bytes + body) {
		return false;
	}
	assert_true(body < sizeof(out->body));
	memcpy(out->body, client->in + out->bytes, body);
	out->bytes += body;
	return true;
}

static void client_drop(struct client *client, size_t bytes)
{
	assert_true(bytes <= client->len);
	memmove(client->in, client->in + bytes, client->len - bytes + 1);
	client->len -= bytes;
}

/* Waits for one whole reply and takes it off the input. */
static struct reply client_reply(struct client *client)
{
	static struct reply reply;

	wait_for(client, reply_parse(client, false, &reply) || client->eof);
	assert_true(reply_parse(client, false, &reply));
	client_drop(client, reply.bytes);
	return reply;
}

static struct reply client_ask(struct client *client, const char *text)
{
	client_put(client, text);
	return client_reply(client);
}

#define assert_in(text, part) assert_non_null(strstr((text), (part)))

#endif
