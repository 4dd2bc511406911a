/*
 * http.h - the server side of HTTP: routes as rows, requests, replies, streams, WebSockets.
 *
 * For:     turning bytes of a connection, or a call of the library, into requests to rows of a table; replies back.
 * Not for: what the rows do (<feature>_api.c); requests to others (client.h).
 * Threads: a request lives on one loop; everything here is called on it, but http_server_* where said.
 * Memory:  a request and its arena belong to the handler from dispatch until it called exactly one of http_reply_* or
 *          http_stream_start or websocket_start; the request is gone after that call. A client that went away changes nothing for the
 *          handler: replies to it are dropped.
 * Errors:  problem documents (RFC 9457) with the code of err.def; never internal text.
 */
#ifndef GUILD_HTTP_HTTP_H
#define GUILD_HTTP_HTTP_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/caller.h"
#include "base/env.h"
#include "base/frame.h"
#include "base/idem.h"
#include "loop/loop.h"
#include "wire/http1.h"
#include "wire/json.h"

struct http_server;
struct http_request;

/* ---- rows ---- */

enum http_kind { HTTP_STRING, HTTP_INT, HTTP_BOOL, HTTP_REAL, HTTP_OBJECT, HTTP_ARRAY, HTTP_ANY };

/* A member of a JSON body, or a parameter of a query. The table ends with name == NULL. */
struct http_member {
	const char *name;
	enum http_kind kind;
	bool required;
	int64_t min, max;          /* strings: characters; ints: value; arrays: elements. min == max == 0: no bound */
	const char *const *words;  /* allowed strings, NULL at the end; compared without regard to case. NULL: any */
	const char *doc;           /* one phrase, for openapi.json and the docs */
};

enum {
	HTTP_OPEN = 1,          /* needs no token (a good one is still recognised) */
	HTTP_AGENT_OK = 2,      /* agents may call it, as themselves */
	HTTP_BODY_OPTIONAL = 4, /* a body may be missing: then the members count as absent */
	HTTP_UPGRADE = 8,       /* WebSocket: only with an upgrade request */
	HTTP_UNLIMITED = 16,    /* not counted by the rate limit (health) */
	HTTP_TEXT = 32,         /* reply is text, not JSON */
	HTTP_ENDLESS = 64,      /* a stream that no run ends: it ends when the server stops */
	HTTP_EXISTED = 128,     /* answers 200 instead of reply_status where there was nothing to make */
	HTTP_HARMLESS = 256,    /* a POST that takes no Idempotency-Key: it changes nothing, or what is not worth keeping an answer for */
	HTTP_CLAIM = 512,       /* its effect is not in the store: an Idempotency-Key is kept before it, and forgotten when it is refused */
	HTTP_SIGN_IN = 1024,    /* signs in: a cookie from before means nothing, a foreign page may not */
};

struct http_route {
	enum http1_method method;
	const char *path;                 /* "/v1/agents/{id}/pause": {name} is one segment */
	enum role role_min;               /* ROLE_VIEWER < MEMBER < ADMIN < OPERATOR */
	enum scope scope;                 /* what the token has to have; SCOPE_OPEN with HTTP_OPEN alone */
	unsigned flags;
	const char *action;               /* governance action of the command behind it; NULL: none (documentation, health) */
	const char *summary;              /* one sentence for openapi.json and the docs */
	const struct http_member *body;   /* NULL: takes no body */
	const struct http_member *query;  /* NULL: takes no query (any parameter is a 422) */
	const char *reply;                /* schema name of the reply in openapi.json: "agent", "list:agent", "run", NULL: none */
	int reply_status;                 /* documented status of success */
	void (*handle)(struct http_request *request, void *ctx);
};

/* ---- requests ---- */

struct http_request {
	struct arena arena;
	struct loop *loop;
	const struct http_route *route;
	enum http1_method method;
	struct str path;              /* as sent, without query */
	struct str query;
	struct str params[4];         /* decoded, in the path's order */
	struct str body_text;
	struct json body;             /* checked against route->body; not there when there was none */
	struct caller caller;
	bool signed_in;
	char request_id[64];          /* X-Request-Id as given when it is 1..63 of [A-Za-z0-9_.-], else made */
	char traceparent[56];         /* as given when well-formed, else "" */
	int64_t started_us;           /* monotonic */
	bool local;                   /* from the library, not from a socket: the caller's word on user ids is trusted */
	struct idem *idem;            /* of its Idempotency-Key; NULL: none, or one that means nothing here */
	struct http_request_private *priv;
};

/* A request header's value, at == NULL when absent. */
struct str http_header(const struct http_request *request, struct str name);
/* A query parameter, decoded (rows were checked before dispatch). False when absent: *out is as it was. */
bool http_query_str(struct http_request *request, const char *name, struct str *out);
bool http_query_int(struct http_request *request, const char *name, int64_t *out);
/* Body members by name; false when absent or null (kinds were checked before dispatch): *out is as it was. */
bool http_body_str(const struct http_request *request, const char *name, struct str *out);
bool http_body_int(const struct http_request *request, const char *name, int64_t *out);
bool http_body_bool(const struct http_request *request, const char *name, bool *out);
/* What is wrong with an object against a table of members (for bodies that came another way): NULL, or a sentence; then *pointer names the
 * member (JSON pointer). */
const char *http_members_fault(struct arena *arena, const struct http_member *rows, struct json body, struct str *pointer);

/* ---- replies: exactly one of these ends the request ---- */

/* Adds a header to the reply; value must not contain control bytes (such a header is left out). */
void http_reply_header(struct http_request *request, const char *name, struct str value);
/* What the RateLimit headers say, in place of the rate of requests. */
void http_reply_rate(struct http_request *request, int64_t limit, int64_t remaining, int64_t reset_s);
/* What a repeated request is told instead of the reply that follows, which holds something shown once. Copied. */
void http_reply_again(struct http_request *request, struct str json);
/* JSON text; json is copied and left to the caller. */
void http_reply_json(struct http_request *request, int status, struct str json);
void http_reply_text(struct http_request *request, int status, struct str content_type, struct str text);
void http_reply_empty(struct http_request *request, int status);

struct http_problem {
	enum err err;               /* mapped by err_public */
	struct str detail;          /* at NULL: the row's text */
	struct str pointer;         /* JSON pointer or parameter name of errors[0]; at NULL: none */
	struct str rule_id, execution_id, audit_id, agent_id;
	int64_t retry_after_ms;     /* 0: none, but 429 and 503 then say 1 s */
	bool of_run;                /* execution_id is said also where there is none: null */
	bool logged;                /* whoever gave up has written the one log line already */
	struct str members;         /* further members as JSON text without braces ("\"success\":false"), at NULL: none */
};
void http_reply_problem(struct http_request *request, const struct http_problem *problem);
/* The short form. detail may be NULL. */
void http_reply_error(struct http_request *request, enum err err, const char *detail);
/* An answer that was stored: sent as it is, a problem document from status 400 on. */
void http_reply_stored(struct http_request *request, int status, struct str text);
/* 422 with errors[{pointer, detail}]. */
void http_reply_invalid(struct http_request *request, const char *pointer, const char *detail);

/* The user that act_new was asked for is there: goes on. */
void http_request_act(struct http_request *request);
/* Looks up a token that came in a body; failures count for the address. ERR_UNAUTHENTICATED, ERR_RATE_LIMITED. */
enum err http_request_sign_in(struct http_request *request, struct str token, struct caller *out) MUST_USE;
/* Sets the console's cookie; seconds 0: clears it. */
void http_reply_session(struct http_request *request, struct str session, int64_t seconds);
/* What X-CSRF-Token has to say with that secret; false: the request came without the cookie. */
#define HTTP_CSRF_LEN 64
void http_csrf_of(struct str session, char out[HTTP_CSRF_LEN + 1]);
bool http_request_csrf(const struct http_request *request, char out[HTTP_CSRF_LEN + 1]);
/* To its row's handler: for options.look. */
void http_request_handle(struct http_request *request);

/* ---- event streams ---- */

struct http_stream;
struct http_stream_handler {
	/* The queue drained after having been over half of its cap. */
	void (*drained)(struct http_stream *stream, void *owner);
	/* Exactly once, last: the client went away or http_stream_end was flushed. */
	void (*closed)(struct http_stream *stream, void *owner);
};
/* Answers 200 text/event-stream (chunked; Cache-Control: no-store, X-Accel-Buffering: no, `retry: 1000`), comments every 15 s. Ends the
 * request, as replies do, also on error; its arena passes to the stream and lives until closed. ERR_END: the client is gone already, or
 * asked with HEAD (nothing comes). */
enum err http_stream_start(struct http_request *request, const struct http_stream_handler *handler, void *owner,
			   struct http_stream **out) MUST_USE;
/* The same for another content, sent in pieces made by http_sse_chunk: nothing is put between them. type is static. */
enum err http_stream_start_text(struct http_request *request, struct str type, const struct http_stream_handler *handler, void *owner,
				struct http_stream **out) MUST_USE;
/* Closes the connection in the middle, so that nobody takes what came for the whole. closed follows. */
void http_stream_break(struct http_stream *stream);
/* Sends a frame that is one chunk of the chunked coding (http_sse_frame); takes over the reference. ERR_TOO_SLOW, ERR_END. */
enum err http_stream_send_take(struct http_stream *stream, struct frame *frame) MUST_USE;
size_t http_stream_queued_bytes(const struct http_stream *stream);
/* Ends the stream after what is queued; closed follows. */
void http_stream_end(struct http_stream *stream);
struct arena *http_stream_arena(struct http_stream *stream);
/* A chunk holding one SSE event; NULL without memory. data has no CR or LF. */
struct frame *http_sse_frame(struct str id, struct str event, struct str data);
/* The same for several events, as sse_put wrote them. */
struct frame *http_sse_chunk(struct str events);

/* ---- WebSockets ---- */

struct websocket;
struct websocket_handler {
	/* A whole text message (binary ones are closed with 1003 before). Borrowed. */
	void (*message)(struct websocket *socket, struct str text, void *owner);
	void (*drained)(struct websocket *socket, void *owner);
	/* Exactly once, last. */
	void (*closed)(struct websocket *socket, void *owner);
};
/* Answers 101 (Origin checked, subprotocol guild.v1 when offered) and goes on as a WebSocket: pings every 30 s, closes after 90 s of
 * silence. Ends the request, also on error. When the caller is not signed in, it has 5 s to call websocket_sign_in. Rows with
 * HTTP_UPGRADE only: their handlers are called with handshakes that were checked. */
enum err websocket_start(struct http_request *request, const struct websocket_handler *handler, void *owner,
			 struct websocket **out) MUST_USE;
/* A whole frame, sent as it is; takes over the reference. ERR_TOO_SLOW (then it is being closed with 4008), ERR_END. */
enum err websocket_send_take(struct websocket *socket, struct frame *frame) MUST_USE;
/* Text as one frame, copied. */
enum err websocket_send_text(struct websocket *socket, struct str text) MUST_USE;
/* A frame holding one text message; NULL without memory. */
struct frame *websocket_frame(struct str text);
size_t websocket_queued_bytes(const struct websocket *socket);
void websocket_close(struct websocket *socket, int code, struct str reason);
/* The caller is known now (first message): the sign-in deadline is off, revocation and expiry close it with 4001. */
void websocket_sign_in(struct websocket *socket, const struct caller *caller);
/* For a sign-in that is a message: how long to wait before its token may be looked up (0: now), and that it was none. */
int64_t websocket_sign_in_wait_ms(const struct websocket *socket);
void websocket_sign_in_failed(struct websocket *socket);
const struct caller *websocket_caller(const struct websocket *socket); /* role ROLE_NONE before sign-in */
struct loop *websocket_loop(const struct websocket *socket);

/* ---- the server ---- */

/* What may change while the server runs (http_server_limits_set). A member of 0 or less stands for its default; rate_per_s 0: no limit. */
struct http_limits {
	_Atomic int64_t head_timeout_us, body_rate_bytes, sign_in_timeout_us, idle_timeout_us, ws_ping_us, ws_close_us, sse_comment_us;
	_Atomic int64_t rate_per_s, rate_burst; /* per principal */
	_Atomic int64_t sign_in_rate_per_s; /* failed ones of an address; 0: no limit */
};

struct http_options {
	const struct env *env;
	const struct http_route *const *tables; /* NULL at the end; each ends with path == NULL */
	void *ctx;                              /* given to handlers */
	/* Looks up a bearer token. ERR_UNAUTHENTICATED. On the request's loop, must not block. */
	enum err (*authenticate)(void *ctx, struct str token, int64_t wall_us, struct caller *out);
	/* The same for the secret of the console's cookie; NULL: there are no cookies. */
	enum err (*authenticate_session)(void *ctx, struct str session, int64_t wall_us, struct caller *out);
	/* Makes the signed-in caller act as that user (header X-Guild-User), or refuses, then *detail may say why. ERR_AGAIN: there is no such
	 * user yet; the caller is what that one will be, without a principal. On the request's loop, must not block; may be NULL. */
	enum err (*acts_as)(void *ctx, struct caller *caller, struct str user, const char **detail);
	/* Makes that user, then calls http_request_act; or answers. asker: the caller as it signed in. NULL when acts_as says no ERR_AGAIN. */
	void (*act_new)(void *ctx, struct http_request *request, const struct caller *asker, struct str user);
	/* A signed-in caller was turned away by the rate limit. action: of the route, static; NULL members are skipped. */
	void (*limited)(void *ctx, struct loop *loop, const struct caller *caller, const char *action);
	/* A request with an Idempotency-Key: answers it when it was done before, else calls http_request_handle, now or later. Again, with
	 * idem->again, when its command found the key in use (ERR_REPEATED). NULL: keys mean nothing. */
	void (*look)(void *ctx, struct http_request *request);
	/* The answer to a request whose key was kept, and what is to be stored for it (copied). True: text is sent later, by http_reply_stored. */
	bool (*reply)(void *ctx, struct http_request *request, int status, struct str text, struct str again);
	struct siphash_key *secret;             /* for ids in request ids; may be NULL */
	unsigned loop_count;
	struct http_limits limits;
	size_t body_bytes_max;
	/* Of pages, besides the own host's; NULL at the end. Those of origins may open WebSockets and use the cookie; those of cors_origins may also
	 * read answers. */
	const char *const *origins, *const *cors_origins;
};

enum err http_server_create(const struct http_options *options, struct http_server **out) MUST_USE;
/* Any thread: in force from the next deadline and the next request on. */
void http_server_limits_set(struct http_server *server, const struct http_limits *limits);
/* All connections have ended and every request was answered (aborts otherwise). */
void http_server_destroy(struct http_server **server);
/* For listener_options.accepted, with arg = server. */
enum err http_server_accepted(struct loop *loop, int fd, const struct conn_address *peer, void *server);
/* Requests of that loop which were dispatched and not answered, streams included. On the loop. */
size_t http_server_unanswered(const struct http_server *server, const struct loop *loop);
/* On each loop: no new requests on kept connections (Connection: close), idle ones are closed, WebSockets get 1001, streams are told
 * `retry` and end with their run. New requests get 503 going_away. */
void http_server_drain(struct http_server *server, struct loop *loop);
/* On each loop: closes WebSockets (4001) and streams that were signed in with that token (or console session; token != 0), or by that
 * principal. */
void http_server_revoke(struct http_server *server, struct loop *loop, int64_t token, int64_t principal);

/* Takes one from the caller's rate, for doors that are not requests (messages of a WebSocket): 0, or how long to wait in ms; then
 * options.limited was told. On the caller's loop. */
int64_t http_server_limit(struct http_server *server, struct loop *loop, const struct caller *caller, const char *action);

/* All rows, for openapi.json, docs and tests. */
const struct http_route *const *http_server_routes(const struct http_server *server);

/* ---- the library's door: the same rows without a socket ---- */
struct http_local_sink {
	/* Whole reply (JSON or text). */
	void (*reply)(void *ctx, int status, struct str content_type, struct str body);
	/* A stream began; then each chunk's SSE text; then end. Exactly one of reply or begin..end comes. */
	void (*stream_begin)(void *ctx);
	enum err (*stream_bytes)(void *ctx, struct str sse_text); /* an error ends a stream that has no end of its own (HTTP_ENDLESS) */
	void (*stream_end)(void *ctx);
	void *ctx;
};
struct http_local_call {
	struct str method, target, body;
	struct str accept;          /* len 0: not said */
	struct str idempotency_key; /* len 0: none */
};
/* On loop. Dispatches with caller already known. Strs are copied. The sink's calls come on the loop, also before this returns. */
void http_local_dispatch(struct http_server *server, struct loop *loop, const struct http_local_call *call, const struct caller *caller,
			 const struct http_local_sink *sink);
/* On the same loop: nobody listens to the sink of that ctx any more. A stream without an end of its own ends; anything else goes on. */
void http_local_hang_up(struct http_server *server, struct loop *loop, const void *sink_ctx);

#endif
