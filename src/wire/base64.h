/*
 * base64.h - RFC 4648, standard and URL-safe alphabet, strict.
 *
 * For:     Sec-WebSocket-Accept, cursors, sealed keys.
 * Not for: line-wrapped MIME.
 * Threads: any; pure.
 * Memory:  the caller's.
 */
#ifndef GUILD_WIRE_BASE64_H
#define GUILD_WIRE_BASE64_H

#include "base/buf.h"

/* Appends with padding. */
void base64_encode(struct buf *out, struct str bytes);
/* Appends URL-safe, without padding. */
void base64_url_encode(struct buf *out, struct str bytes);
/* Appends the decoded bytes. ERR_MALFORMED on a foreign byte, wrong padding or non-zero spare bits (nothing appended). */
enum err base64_decode(struct buf *out, struct str text) MUST_USE;
enum err base64_url_decode(struct buf *out, struct str text) MUST_USE;

#endif
