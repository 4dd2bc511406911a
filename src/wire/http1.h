/*
 * http1.h - HTTP/1.1 request heads and bodies (RFC 9110, 9112), strict.
 *
 * For:     bytes of a client connection -> request heads and body pieces.
 * Not for: responses from providers (libcurl); routing.
 * Threads: one owner; pure, no I/O.
 * Memory:  the head's strs point into the bytes given to http1_head; nothing is allocated.
 *
 * Everything that two parsers might read differently is refused (ERR_MALFORMED, then close): bare LF or CR, obs-fold,
 * space before the colon, any control byte, differing or repeated Content-Length, Content-Length with
 * Transfer-Encoding, a coding other than exactly "chunked" (ERR_NOT_IMPLEMENTED), no Host or two in 1.1, bad Host, signs, empty or
 * overlong numbers, HTTP versions other than 1.0 and 1.1, absolute or asterisk or authority targets.
 */
#ifndef GUILD_WIRE_HTTP1_H
#define GUILD_WIRE_HTTP1_H

#include "base/err.h"
#include "base/limits.h"
#include "base/str.h"

enum http1_method { HTTP1_GET, HTTP1_HEAD, HTTP1_POST, HTTP1_PUT, HTTP1_PATCH, HTTP1_DELETE, HTTP1_OPTIONS, HTTP1_OTHER };

struct http1_field {
	struct str name;
	struct str value; /* without surrounding white space */
};

struct http1_head {
	enum http1_method method;
	struct str method_text;
	struct str target;
	int minor;                 /* 0 or 1 */
	struct http1_field fields[LIMIT_HEAD_FIELDS];
	unsigned field_count;
	int64_t content_length;    /* -1 when not given */
	bool chunked;
	bool keep_alive;
	bool expect_continue;
	bool upgrade_websocket;    /* Connection has "upgrade" and Upgrade has "websocket" */
	size_t head_bytes;         /* bytes of the head with its empty line */
};

/* Parses a head at the start of bytes. ERR_OK: *out is set. ERR_AGAIN: not whole yet (at most LIMIT_HEAD_BYTES were seen).
 * ERR_MALFORMED, ERR_HEAD_TOO_LARGE, ERR_NOT_IMPLEMENTED: answer and close; *reason is a static sentence. CRLFs before the
 * request line are skipped (at most 2) and counted in head_bytes. */
enum err http1_head(struct str bytes, struct http1_head *out, const char **reason) MUST_USE;
/* The field's value, at == NULL when absent; name without regard to case. */
struct str http1_field(const struct http1_head *head, struct str name);
/* How many fields have that name. */
unsigned http1_field_count(const struct http1_head *head, struct str name);
const char *http1_method_name(enum http1_method method);
/* True when the comma-separated list value has that token, without regard to case. */
bool http1_has_token(struct str list, struct str token);

/* A body as it arrives. */
struct http1_body {
	bool chunked;
	int64_t left;      /* of the body, or of the chunk */
	int64_t total;     /* data bytes so far */
	int64_t bytes_max;
	unsigned state;
	unsigned digits;
	unsigned line_bytes;
	bool done;
};

/* bytes_max: data bytes allowed in all. ERR_TOO_LARGE at once when Content-Length is over it. */
enum err http1_body_begin(struct http1_body *body, const struct http1_head *head, int64_t bytes_max) MUST_USE;
/* Takes bytes from *rest (moved on) and gives the next run of data (*data, points into rest; may be empty). Call until *rest is
 * empty or body->done. ERR_MALFORMED, ERR_TOO_LARGE. Chunk extensions and trailers are skipped, bounded to 4 KiB each. */
enum err http1_body_feed(struct http1_body *body, struct str *rest, struct str *data, const char **reason) MUST_USE;

#endif
