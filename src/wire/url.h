/*
 * url.h - request targets, query strings and absolute URLs (RFC 3986).
 *
 * For:     splitting and percent-decoding what clients and operators give.
 * Not for: deciding where a connection may go.
 * Threads: any; pure.
 * Memory:  decoded text is made in the arena given.
 */
#ifndef GUILD_WIRE_URL_H
#define GUILD_WIRE_URL_H

#include "base/arena.h"
#include "base/buf.h"

struct url_target {
	struct str path;  /* still encoded, starts with '/' */
	struct str query; /* without '?', may be empty */
};

/* Splits an origin-form target. ERR_MALFORMED: not starting with '/', a fragment, control bytes, bad percent escapes. */
enum err url_split_target(struct str target, struct url_target *out) MUST_USE;
/* Percent-decodes one path segment or query part ('+' is a space when plus_is_space). ERR_MALFORMED: bad escape, NUL,
 * or a result that is not UTF-8. ERR_LIMIT: arena. */
enum err url_decode(struct arena *arena, struct str text, bool plus_is_space, struct str *out) MUST_USE;
/* The next name=value of a query; false at the end. Both still encoded. */
bool url_query_next(struct str *rest, struct str *name, struct str *value);
/* Appends text percent-encoded: all but unreserved characters. */
void url_encode(struct buf *out, struct str text);

struct url {
	struct str scheme; /* "http" or "https" */
	struct str host;   /* without brackets */
	uint16_t port;     /* given, or 80 / 443 */
	struct str path;   /* "" or from '/', without query */
	bool has_userinfo;
};

/* Parses an absolute http or https URL. ERR_INVALID. */
enum err url_parse(struct str text, struct url *out) MUST_USE;

#endif
