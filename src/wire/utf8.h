/*
 * utf8.h - strict UTF-8 (RFC 3629).
 *
 * For:     checking text at the edge, whole or as it arrives; counting code points; cutting at their borders; what may stand in a name.
 * Not for: grapheme clusters, case folding, normalisation.
 * Threads: any; pure.
 * Memory:  none.
 */
#ifndef GUILD_WIRE_UTF8_H
#define GUILD_WIRE_UTF8_H

#include "base/err.h"

/* State of an incremental check; zero-initialised = at a border. */
struct utf8_check {
	uint32_t state; /* bytes still wanted, then the bounds of the next one */
	uint32_t code;  /* the code point so far; whole once utf8_complete */
};

/* True when the whole of s is valid: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool utf8_valid(struct str s);
/* Bytes of the valid sequence s starts with: 1 to 4; 0 when it starts with none (or s is empty). */
size_t utf8_sequence(struct str s);
/* Feeds bytes; false at the first byte that cannot be valid any more (fail-fast). */
bool utf8_feed(struct utf8_check *check, struct str bytes);
/* True when no sequence is open. */
bool utf8_complete(const struct utf8_check *check);
/* Code points of valid text. */
size_t utf8_length(struct str s);
/* The longest prefix of valid text with at most code_points code points. */
struct str utf8_prefix(struct str s, size_t code_points);
/* The longest prefix of s that does not end inside a sequence (0 to 3 bytes are left over). */
size_t utf8_whole(struct str s);
/* Writes code point cp (valid, not a surrogate) to out[4]; returns the bytes written. */
size_t utf8_put(uint32_t cp, char out[4]);
/* Reads the code point at *at of valid text and moves *at behind it. */
uint32_t utf8_get(struct str s, size_t *at);
/* Would a display obey it instead of showing it? C0, DEL, C1, line and paragraph separators, marks that turn the direction of writing. */
bool utf8_is_obeyed(uint32_t code_point);
/* Has this valid text nothing to be seen? White space, joiners, fillers, what is obeyed; or nothing at all. */
bool utf8_is_blank(struct str s);
/* May this valid text be a name, of one line? It has something to be seen, and nothing that is obeyed. */
bool utf8_is_name(struct str s);

#endif
