/*
 * client.h - requests to others, on the loop (libcurl multi, socket interface).
 *
 * For:     providers: a POST whose reply is read as it comes; idle-based timeouts; cancel.
 * Not for: redirects (none are followed), cookies, deciding who may name a place (identity/key.h).
 * Threads: one client per loop, used on that loop.
 * Memory:  url, headers and body are copied. A call belongs to the client until done.
 * Errors:  as style rule 14: start error = no callback; else done exactly once, never before start returned.
 */
#ifndef GUILD_HTTP_CLIENT_H
#define GUILD_HTTP_CLIENT_H

#include "base/err.h"
#include "loop/loop.h"

struct http_client;
struct http_call;

struct http_call_options {
	const char *method;                 /* "GET", "POST" */
	struct str url;
	const char *const *headers;         /* "Name: value", NULL at the end */
	struct str body;
	int64_t connect_timeout_us;         /* 0: 5 s */
	int64_t first_byte_timeout_us;      /* 0: 60 s */
	int64_t idle_timeout_us;            /* between bytes; 0: 60 s */
	int64_t total_timeout_us;           /* 0: 600 s */
	const char *ca_file;                /* certificates (PEM) to trust besides the system's directory; NULL: curl's default. Copied. */
	bool public_only;                   /* connects to public addresses alone, and through no proxy; others fail as "connect" */
	bool cleartext_http2;               /* never set by us; plain HTTP/1.1 */
	/* Status and a few headers are known; called once before the first body, or before done; not at all when no reply came.
	 * content_type is "" and retry_after_ms -1 when not given. NULL: nothing. */
	void (*head)(void *ctx, int status, struct str content_type, int64_t retry_after_ms);
	/* Body bytes as they come. In here and in head, http_client_cancel and http_client_start are fine. NULL: nothing. */
	void (*body_bytes)(void *ctx, struct str bytes);
	/* err: OK (reply ended as its framing says), PROVIDER_TIMEOUT, PROVIDER_FAILED (connect, TLS, cut), CANCELLED. reason: static
	 * word: "connect", "tls", "cut", "first_byte", "idle", "total", "cancelled", "ok". */
	void (*done)(void *ctx, enum err err, const char *reason);
	void *ctx;
};

enum err http_client_create(struct loop *loop, struct http_client **out) MUST_USE;
/* Calls under way end with done(CANCELLED) in here. Not from inside a callback of this client. */
void http_client_destroy(struct http_client **client);
/* ERR_INVALID: a NUL in the url. ERR_MEMORY, ERR_LIMIT. */
enum err http_client_start(struct http_client *client, const struct http_call_options *options, struct http_call **out) MUST_USE;
/* Stops at once: no head, no body after this; done(CANCELLED) comes later in this turn or in the next. Harmless when the call
 * has ended and done is due: done then says how it ended. */
void http_client_cancel(struct http_call *call);
/* Opens no connection; says how many requests are under way. */
size_t http_client_active(const struct http_client *client);

/* ---- a blocking request for the command line and guild_connect (no loop) ---- */
struct http_fetch {
	const char *method;
	const char *url;
	const char *const *headers;   /* NULL at the end */
	struct str body;
	int64_t total_timeout_us;     /* 0: none */
	/* Body bytes as they come; returning false stops (ERR_CANCELLED). NULL: collected into *reply. */
	bool (*body_bytes)(void *ctx, struct str bytes);
	/* Called about 5 times a second and on bytes; returning false stops. May be NULL. */
	bool (*tick)(void *ctx);
	void *ctx;
};
struct buf;
/* status: HTTP status, 0 when there was no reply. content_type gets at most 63 bytes. reply may be NULL with body_bytes. detail (128 bytes) gets the
 * reason on error. Any thread but a guild one. ERR_IO (cannot connect, cut), ERR_TIMED_OUT, ERR_CANCELLED. */
enum err http_fetch(const struct http_fetch *request, int *status, char content_type[64], struct buf *reply, char *detail) MUST_USE;
/* Once per process before threads start, and at the end. */
enum err http_client_global_init(void) MUST_USE;
void http_client_global_fini(void);

#ifdef GUILD_FAILPOINTS
/* libcurl's heap from now on behind base/mem.h; before its first use. */
void http_memory_share(void);
#endif

#endif
