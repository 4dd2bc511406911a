/*
 * timefmt.h - times as text.
 *
 * For:     ISO-8601 (RFC 3339) with microseconds and Z, both ways.
 * Not for: local time; reading the clock (env.h).
 * Threads: any.
 * Memory:  none.
 */
#ifndef GUILD_BASE_TIMEFMT_H
#define GUILD_BASE_TIMEFMT_H

#include "base/err.h"

#define TIME_TEXT_LEN 27 /* 2026-01-02T03:04:05.678901Z */

struct time_text {
	char text[TIME_TEXT_LEN + 1];
};

struct time_text time_format(int64_t unix_us);
/* RFC 3339 with optional fraction (1 to 9 digits, cut to microseconds) and Z or offset. ERR_INVALID. */
enum err time_parse(struct str text, int64_t *unix_us) MUST_USE;
static inline struct str time_str(const struct time_text *t) { return (struct str){t->text, TIME_TEXT_LEN}; }

#endif
