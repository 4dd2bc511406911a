/*
 * zone.h - the calendar of a time zone: which day and month an instant is in.
 *
 * For:     months of budgets, days of spending.
 * Not for: times on the wire (timefmt.h), which are UTC.
 * Threads: any; a zone is immutable.
 * Memory:  zone_load and zone_parse make one, to be ended with zone_destroy.
 * Errors:  ERR_INVALID: no such zone, or a file that is none.
 *
 * Known are UTC, offsets as +02:00 up to 14 hours, and names of the system's zoneinfo (IANA's). Beyond the last change that such a file lists
 * (2037 in Debian's) the last offset stays.
 */
#ifndef GUILD_BASE_ZONE_H
#define GUILD_BASE_ZONE_H

#include "base/err.h"

struct zone;

enum err zone_load(struct str name, struct zone **out) MUST_USE;
/* The content of a zoneinfo file (RFC 8536). */
enum err zone_parse(struct str bytes, struct zone **out) MUST_USE;
void zone_destroy(struct zone **zone);

/* Seconds to add to UTC at that instant. zone NULL is UTC, here and below. */
int64_t zone_offset_s(const struct zone *zone, int64_t unix_s);
/* year * 12 + month - 1 */
int64_t zone_month(const struct zone *zone, int64_t unix_us);
/* The instant that a month begins. */
int64_t zone_month_start_us(const struct zone *zone, int64_t month);
/* Days since 1970-01-01 there. */
int64_t zone_day(const struct zone *zone, int64_t unix_us);

/* "2026-11" and "2026-11-22"; both ways for months: ERR_INVALID. Years 1970 to 9999. */
struct zone_text {
	char text[16];
};
struct zone_text zone_month_text(int64_t month);
struct zone_text zone_day_text(int64_t day);
enum err zone_month_parse(struct str text, int64_t *month) MUST_USE;

#endif
