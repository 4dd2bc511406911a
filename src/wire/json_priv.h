/*
 * json_priv.h - what the JSON reader, the writer and the canonical form share.
 *
 * For:     wire/json_*.c and wire/jcs.c.
 * Not for: anyone else.
 * Threads: any; pure.
 * Memory:  the caller's; json_sort works in place.
 */
#ifndef GUILD_WIRE_JSON_PRIV_H
#define GUILD_WIRE_JSON_PRIV_H

#include <endian.h>

#include "wire/json.h"

#define JSON_DIGITS_MAX 17 /* enough to tell any two doubles apart */

/* The first byte from p on that is not plain ASCII text inside a JSON string: '"', '\\', a control byte or >= 0x80. */
static inline const char *json_plain_end(const char *p, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);
	while (end - p >= 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		word = le64toh(word);
		uint64_t quote = word ^ (ones * '"');
		uint64_t backslash = word ^ (ones * '\\');
		/* x - ones & ~x has the high bit set in a byte that is zero (below it, only carries follow upwards). */
		uint64_t stop = ((word - ones * 0x20) & ~word) | ((quote - ones) & ~quote) |
			((backslash - ones) & ~backslash) | word;
		stop &= ones << 7;
		if (stop)
			return p + __builtin_ctzll(stop) / 8;
		p += 8;
	}
	while (p < end && (unsigned char)*p >= 0x20 && (unsigned char)*p < 0x80 && *p != '"' && *p != '\\')
		p++;
	return p;
}

/* Appends text with quotes and escapes. */
void json_put_text(struct buf *buf, struct str text);

/* Order of two names for json_sort: < 0, 0, > 0. */
typedef int json_order_fn(struct str a, struct str b);
/* Fills members with the indices of the names of the object at index `object` in that order, in O(n log n) steps
 * whatever the names are. members has room for nodes[object].size entries. */
void json_sort(const struct json_node *nodes, uint32_t object, json_order_fn *order, uint32_t *members);

/* The fewest digits that read back as value (positive, finite), nearest to it among those; no zero at either end.
 * Returns their count; value = 0.DIGITS * 10^*point. */
size_t json_shortest(double value, char digits[JSON_DIGITS_MAX], int *point);
/* Appends value as ECMAScript's Number::toString does. With exact_integers, a whole number from 2^53 on gets an
 * exponent. */
void json_put_number(struct buf *buf, double value, bool exact_integers);
/* A decimal number in parts: whole and fraction are digits, both may be empty, times 10^exponent. False on overflow. */
bool json_to_double(struct str whole, struct str fraction, int64_t exponent, double *out);

#endif
