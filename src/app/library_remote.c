/* library_remote.c - a server elsewhere: one loop of our own with an HTTP client, for all handles of a connection. */
#include <stdio.h>

#include "app/library_priv.h"
#include "base/check.h"
#include "base/env.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/url.h"

/* A run may think for long before its first byte; the server has its own limits. */
#define PATIENCE_US (3600 * INT64_C(1000000))

struct stop_note {
	struct loop_note note;
	struct library *library;
};

static void remote_run(struct library *library, struct library_call *call, struct loop *loop);
static void remote_cancel(struct library_call *call);
static struct loop *remote_loop_of(struct library *library);
static void remote_stop(struct library *library);
static void stop_run(struct loop_note *note, struct loop *loop);
static void thread_run(void *arg);
static bool header_text(struct str text);
static void on_head(void *ctx, int status, struct str content_type, int64_t retry_after_ms);
static void on_bytes(void *ctx, struct str bytes);
static void on_done(void *ctx, enum err err, const char *reason);

static const struct library_door remote_door = {
	.run = remote_run, .cancel = remote_cancel, .loop_of = remote_loop_of, .stop = remote_stop};

enum err library_remote_open(struct library *library, const char *url, const char *token, char *detail)
{
	struct url parts;
	struct str text = str_of(url);
	struct loop_options options = {.env = env_real()};

	while (str_ends(text, STR("/"))) {
		text.len--;
	}
	if (url_parse(text, &parts) != ERR_OK || parts.has_userinfo || str_find_byte(text, '?') >= 0) {
		snprintf(detail, GUILD_DETAIL_BYTES, "\"%.200s\" is not the URL of a server; for example http://127.0.0.1:8420", url);
		return ERR_INVALID;
	}
	if (token != NULL && !header_text(str_of(token))) {
		snprintf(detail, GUILD_DETAIL_BYTES, "The token has characters that no token has.");
		return ERR_INVALID;
	}
	buf_put_str(&library->url, text);
	if (token != NULL && token[0] != '\0') {
		buf_format(&library->token_header, "Authorization: Bearer %s", token);
		buf_put_byte(&library->token_header, '\0');
	}
	enum err err = buf_err(&library->url);
	err = err != ERR_OK ? err : buf_err(&library->token_header);
	err = err != ERR_OK ? err : http_client_global_init();
	if (err != ERR_OK) {
		return err;
	}
	err = loop_create(&options, &library->loop);
	err = err != ERR_OK ? err : http_client_create(library->loop, &library->client);
	err = err != ERR_OK ? err : thread_start(&library->thread, "guild-client", thread_run, library);
	if (err != ERR_OK) {
		if (library->client != NULL) {
			http_client_destroy(&library->client);
		}
		if (library->loop != NULL) {
			loop_destroy(&library->loop);
		}
		http_client_global_fini();
		return err;
	}
	library->door = &remote_door;
	return ERR_OK;
}

/* ---- the door ---- */

static struct loop *remote_loop_of(struct library *library)
{
	return library->loop;
}

static void remote_run(struct library *library, struct library_call *call, struct loop *loop)
{
	const char *headers[6];
	size_t count = 0;

	(void)loop;
	if (library->token_header.len != 0) {
		headers[count++] = library->token_header.at;
	}
	if (call->user.len != 0) {
		headers[count] = arena_format(&call->arena, "X-Guild-User: %.*s", STR_FMT(call->user)).at;
		count += headers[count] != NULL;
	}
	if (call->idempotency_key.len != 0) {
		headers[count] = arena_format(&call->arena, "Idempotency-Key: %.*s", STR_FMT(call->idempotency_key)).at;
		count += headers[count] != NULL;
	}
	headers[count++] = call->on_event != NULL ? "Accept: text/event-stream" : "Accept: application/json";
	if (call->body.len != 0) {
		headers[count++] = "Content-Type: application/json";
	}
	headers[count] = NULL;
	struct http_call_options options = {
		.method = call->method.at,
		.url = arena_format(&call->arena, "%.*s%s", STR_FMT(buf_str(&library->url)), call->target.at),
		.headers = headers,
		.body = call->body,
		.first_byte_timeout_us = PATIENCE_US,
		.idle_timeout_us = PATIENCE_US,
		.total_timeout_us = PATIENCE_US,
		.head = on_head,
		.body_bytes = on_bytes,
		.done = on_done,
		.ctx = call,
	};
	enum err err = options.url.at == NULL ? ERR_MEMORY : http_client_start(library->client, &options, &call->http);
	if (err != ERR_OK) {
		library_call_done(call, err);
	}
}

static void remote_cancel(struct library_call *call)
{
	if (call->http != NULL) {
		http_client_cancel(call->http);
	}
}

static void remote_stop(struct library *library)
{
	struct stop_note stop = {.note.run = stop_run, .library = library};

	loop_note_post(library->loop, &stop.note);
	thread_join(&library->thread);
	loop_destroy(&library->loop);
	http_client_global_fini();
}

static void stop_run(struct loop_note *note, struct loop *loop)
{
	struct stop_note *stop = container_of(note, struct stop_note, note);
	http_client_destroy(&stop->library->client);
	loop_stop(loop);
}

static void thread_run(void *arg)
{
	struct library *library = arg;
	loop_run(library->loop);
}

/* ---- replies ---- */

static void on_head(void *ctx, int status, struct str content_type, int64_t retry_after_ms)
{
	(void)retry_after_ms;
	library_call_head(ctx, status, content_type, str_starts(content_type, STR("text/event-stream")));
}

static void on_bytes(void *ctx, struct str bytes)
{
	library_call_bytes(ctx, bytes);
}

static void on_done(void *ctx, enum err err, const char *reason)
{
	struct library_call *call = ctx;

	(void)reason;
	call->http = NULL;
	library_call_done(call, err);
}

static bool header_text(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.at[i] <= ' ' || (unsigned char)text.at[i] >= 0x7f) {
			return false;
		}
	}
	return true;
}
