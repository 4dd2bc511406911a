/*
 * jcs.h - canonical JSON (RFC 8785).
 *
 * For:     bytes that are hashed: audit entries, approval arguments.
 * Not for: replies.
 * Threads: any; pure.
 * Memory:  scratch from the arena; output into the buf.
 */
#ifndef GUILD_WIRE_JCS_H
#define GUILD_WIRE_JCS_H

#include "wire/json.h"

/* Appends v in canonical form: members sorted by UTF-16 code units, ECMAScript numbers, minimal escapes.
 * An integer goes out with all its digits, beyond 2^53 too, where ECMAScript would round: different integers must not
 * hash alike. ERR_LIMIT: arena or buf. */
enum err jcs_put(struct buf *out, struct arena *arena, struct json v) MUST_USE;
/* Appends a finite double as ECMAScript's Number::toString does: 1e20 is 100000000000000000000, -0 is 0. */
void jcs_put_number(struct buf *out, double value);

#endif
