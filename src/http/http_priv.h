/*
 * http_priv.h - what the files of the server side share: server, loop, connection, request.
 *
 * For:     src/http/{connection,route,browser,request,members,reply,auth,limit,stream,websocket,local,server}.c.
 * Not for: anyone else; the client (client.h).
 * Threads: all but the rate limit's slots belongs to one loop.
 * Memory:  requests are pooled per loop with their first arena block and their bufs; connections own their request until it is dispatched.
 *
 * A connection is in one state; http_conn_input moves it on:
 *   HEAD -> BODY -> BUSY -> HEAD (reply), -> STREAM (-> HEAD), -> WEBSOCKET; any -> ENDING
 *   HEAD: bytes of the next head are awaited.   BODY: the head is taken, the body is coming.
 *   BUSY: the handler has the request.          STREAM: it answers with events.
 *   WEBSOCKET: the request is gone, `socket` is there.   ENDING: bytes are thrown away, closed() will come.
 */
#ifndef GUILD_HTTP_PRIV_H
#define GUILD_HTTP_PRIV_H

#include <stdatomic.h>

#include "base/check.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "http/http.h"

enum {
	HTTP_PARAMS = 4,
	HTTP_POOL_REQUESTS = 64,
	HTTP_POOL_BUF_BYTES = 16384, /* a request's buf greater than this is not kept */
	HTTP_LIMIT_SLOTS = 8192,
	HTTP_RETRY_MS = 1000,
	HTTP_SIGN_IN_BURST_S = 2,    /* as many failed sign-ins at once as in this many seconds */
	HTTP_REASON_BYTES = 123,
};

/* ---- routes ---- */
struct http_node {
	struct str name;
	uint32_t parent;
	uint32_t param; /* index of the child that takes any segment, 0: none */
	const struct http_route *rows[HTTP1_OPTIONS];
	char allow[64];
	bool has_rows;
};
struct http_router;
enum err http_router_create(const struct http_route *const *tables, struct http_router **out) MUST_USE;
void http_router_destroy(struct http_router **router);
/* The node of a path as sent; params get its variable segments, still encoded. NULL: unknown. */
const struct http_node *http_router_find(const struct http_router *router, struct str path, struct str params[HTTP_PARAMS]);

/* ---- rate limit ---- */
struct http_rate {
	int64_t limit, remaining, reset_s;
	int64_t retry_after_ms; /* 0: taken */
};
/* Takes one from the bucket of key. */
struct http_rate http_limit_take(_Atomic int64_t *slots, uint64_t key, int64_t rate_per_s, int64_t burst, int64_t now_us);
struct http_server;
/* A bucket's key for an address: hashed with a secret, so that nobody chooses whom they share a bucket with. */
uint64_t http_limit_address(const struct http_server *server, const struct conn_address *address);
/* How long an address that failed to sign in too often has to wait before a token of its is looked up, 0: not at all. */
int64_t http_sign_in_wait_ms(const struct http_server *server, const struct conn_address *address, int64_t now_us);
void http_sign_in_failed(struct http_server *server, const struct conn_address *address, int64_t now_us);

/* ---- server and loops ---- */
struct http_request_private;
struct http_loop {
	struct http_server *server;
	struct loop *loop;
	struct list conns;
	struct list locals;  /* requests without a socket, until they are released */
	struct http_request_private *pool;
	unsigned pool_count;
	size_t live; /* requests taken and not released */
	bool draining;
	unsigned random_used;
	uint8_t random[512];
	struct http1_head head; /* the head being read; moved into the request when it is whole */
};
struct http_server {
	struct http_options options;
	struct http_router *router;
	_Atomic int64_t *slots, *sign_in_slots;
	struct siphash_key seed;
	struct http_loop loops[];
};
struct http_loop *http_server_home(struct http_server *server, struct loop *loop);

/* ---- connections ---- */
enum http_conn_state {
	HTTP_CONN_HEAD, HTTP_CONN_BODY, HTTP_CONN_BUSY, HTTP_CONN_STREAM, HTTP_CONN_WEBSOCKET, HTTP_CONN_ENDING,
};
struct http_conn {
	struct conn *conn;
	struct http_loop *home;
	struct list link;
	struct http_request_private *request;
	struct websocket *socket;
	int64_t due_us;   /* what the deadline is for; 0: nothing */
	int64_t armed_us; /* what the loop was told: not later than due_us, moved lazily */
	uint32_t kept;    /* bytes offered and not taken */
	uint32_t parsed;  /* bytes of the head seen without finding its end */
	uint8_t state;    /* enum http_conn_state */
	bool in_input;    /* http_conn's own input is running: it goes on by itself */
	bool eof, choked, served;
};
enum err http_conn_open(struct http_loop *home, int fd, const struct conn_address *peer) MUST_USE;
void http_conn_due(struct http_conn *c, int64_t at_us);
/* Flushes, closes. */
void http_conn_end(struct http_conn *c);
void http_conn_abort(struct http_conn *c, enum err why);
/* Sends the reply (or drops it when the client is gone) and lets the connection go on; releases the request. */
void http_conn_reply(struct http_request_private *priv, struct frame *frame);
/* The request's stream has ended on a connection that is kept: releases the request and goes on. */
void http_conn_next(struct http_conn *c);
/* Offers kept input again, soon, not before this returned. */
void http_conn_go_on(struct http_conn *c);

/* ---- requests ---- */
struct http_stream {
	const struct http_stream_handler *handler;
	void *owner;
	int64_t sent_us;
	size_t queued_seen;
	unsigned stalled;
	struct str type; /* of its content; at NULL: text/event-stream */
	bool plain;   /* HTTP/1.0: no chunked coding */
	bool ended;   /* http_stream_end was called */
	bool end_due; /* the last chunk found no room yet */
};

struct http_request_private {
	struct http_request pub;
	struct http_loop *home;
	struct http_conn *conn; /* NULL: local, or the client is gone */
	struct http_request_private *next;
	struct list local_link; /* in the loop's locals */
	const struct http_node *node;
	enum err refusal;          /* decided at the head, answered after the body */
	const char *refusal_detail;
	struct http_rate rate;
	struct http1_body body;
	struct str *query_values;  /* one for each row of route->query, at NULL when absent */
	struct json_doc doc;
	struct http_stream stream;
	struct loop_task task;
	struct http_local_sink sink;
	bool keep_alive, close, head_only, options_only, has_body;
	bool dispatched, ended, streaming, limited, cache_control;
	struct caller asker; /* whose token it is, while the user that it acts for has to be made; principal 0: nobody */
	bool stored;   /* the reply needs no storing any more */
	struct str again; /* of http_reply_again */
	bool revoked; /* its token was, or its listener is gone, while the handler had it */
	/* kept from request to request */
	struct buf body_bytes;
	struct buf headers; /* rendered lines of http_reply_header */
	struct http1_head head;
};

/* A fresh request with id and time; NULL without memory. */
struct http_request_private *http_request_take(struct http_loop *home);
void http_request_release(struct http_request_private *priv);
/* Fills in what the head says (priv->head is set) and decides whether it may go on; the decision is kept in refusal. */
void http_request_admit(struct http_request_private *priv);
/* Answers the refusal, or checks query and body and calls the row. The request may be gone afterwards. */
void http_request_run(struct http_request_private *priv);
/* The first refusal stands. Returns false. */
bool http_request_refuse(struct http_request_private *priv, enum err err, const char *detail);

/* Each answers and returns false when it refuses. */
bool http_members_check_query(struct http_request_private *priv);
bool http_members_check_body(struct http_request_private *priv);
bool http_websocket_check(struct http_request_private *priv);

/* ---- browsers (browser.c) ---- */
/* How often a Cookie header has that name; *out is the last one's value. */
unsigned http_cookie_find(struct str header, struct str name, struct str *out);
/* The session's secret; at NULL: none, or an Authorization header that goes before it. */
struct str http_session_cookie(const struct http_request_private *priv);
enum http_origin { HTTP_ORIGIN_NONE, HTTP_ORIGIN_GOOD, HTTP_ORIGIN_FOREIGN };
enum http_origin http_origin_of(const struct http_request_private *priv);
/* Each refuses and returns false when a page of another origin may have sent it. */
bool http_origin_admit(struct http_request_private *priv);
bool http_csrf_admit(struct http_request_private *priv, struct str session);
/* The headers of CORS for any answer, and for one to OPTIONS. */
void http_cors_reply(struct http_request_private *priv);
void http_cors_preflight(struct http_request_private *priv);

/* Reads the Idempotency-Key into request->idem where the row has an effect. */
bool http_idem_admit(struct http_request_private *priv);

/* Has the caller act as the user that the head names. False: refused. */
bool http_auth_act(struct http_request_private *priv);
/* Who asks, and whether the row lets them. False: refused. */
bool http_auth_admit(struct http_request_private *priv);

/* ---- replies ---- */
/* Renders the reply's head up to and with the empty line, for a body of body_len bytes (< 0: chunked or until close). */
struct frame *http_reply_frame(struct http_request_private *priv, int status, struct str content_type, int64_t body_len,
			       struct str body);

/* ---- streams and sockets, as connections drive them ---- */
void http_stream_tick(struct http_request_private *priv);
void http_stream_drained(struct http_request_private *priv);
/* The caller may not listen any more: ends the stream and the connection behind it. */
void http_stream_cut(struct http_request_private *priv);
/* The connection is gone. Releases the request. */
void http_stream_closed(struct http_request_private *priv);
/* A local request whose stream has no end of its own, wanted no more: ends the stream, or lets none begin. */
void http_stream_local_cut(struct http_request_private *priv);
/* The server is stopping. */
void http_stream_drain(struct http_request_private *priv);
void http_websocket_input(struct websocket *socket, struct str *rest);
void http_websocket_tick(struct websocket *socket);
void http_websocket_drained(struct websocket *socket);
void http_websocket_closed(struct websocket *socket);

#endif
