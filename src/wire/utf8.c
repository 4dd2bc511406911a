/*
 * utf8.c - the table of well-formed byte sequences (Unicode 15, table 3-7) as bounds for the second byte.
 */
#include "wire/utf8.h"

#include <stdint.h>

#define ALL_HIGH_BITS 0x8080808080808080u

struct lead {
	uint8_t wanted; /* continuation bytes; 0: not a lead byte */
	uint8_t low;    /* bounds of the first of them */
	uint8_t high;
};

/* Overlong forms, surrogates and code points above U+10FFFF all show in the second byte. */
static struct lead lead_of(uint8_t c)
{
	if (c < 0xc2 || c > 0xf4)
		return (struct lead){0, 0, 0};
	if (c < 0xe0)
		return (struct lead){1, 0x80, 0xbf};
	if (c < 0xf0)
		return (struct lead){2, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf};
	return (struct lead){3, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf};
}

static bool is_continuation(uint8_t c)
{
	return (c & 0xc0) == 0x80;
}

/* Index of the first byte from at on that is not ASCII, or s.len. */
static size_t ascii_end(struct str s, size_t at)
{
	while (s.len - at >= 8) {
		uint64_t word;
		memcpy(&word, s.at + at, 8);
		if (word & ALL_HIGH_BITS)
			break;
		at += 8;
	}
	while (at < s.len && (uint8_t)s.at[at] < 0x80)
		at++;
	return at;
}

size_t utf8_sequence(struct str s)
{
	if (s.len == 0)
		return 0;
	const uint8_t *p = (const uint8_t *)s.at;
	if (p[0] < 0x80)
		return 1;
	struct lead lead = lead_of(p[0]);
	if (lead.wanted == 0 || s.len <= lead.wanted || p[1] < lead.low || p[1] > lead.high)
		return 0;
	for (size_t i = 2; i <= lead.wanted; i++)
		if (!is_continuation(p[i]))
			return 0;
	return (size_t)lead.wanted + 1;
}

bool utf8_valid(struct str s)
{
	size_t at = 0;
	while ((at = ascii_end(s, at)) < s.len) {
		size_t len = utf8_sequence(str_make(s.at + at, s.len - at));
		if (len == 0)
			return false;
		at += len;
	}
	return true;
}

static void expect(struct utf8_check *check, uint32_t wanted, uint32_t low, uint32_t high)
{
	check->state = wanted == 0 ? 0 : wanted | low << 8 | high << 16;
}

bool utf8_feed(struct utf8_check *check, struct str bytes)
{
	for (size_t i = 0; i < bytes.len; i++) {
		uint8_t c = (uint8_t)bytes.at[i];
		if (check->state == 0 && c < 0x80) {
			i = ascii_end(bytes, i) - 1;
			check->code = (uint8_t)bytes.at[i];
		} else if (check->state == 0) {
			struct lead lead = lead_of(c);
			if (lead.wanted == 0)
				return false;
			check->code = c & (0x3fu >> lead.wanted);
			expect(check, lead.wanted, lead.low, lead.high);
		} else {
			if (c < (check->state >> 8 & 0xff) || c > check->state >> 16)
				return false;
			check->code = check->code << 6 | (c & 0x3f);
			expect(check, (check->state & 0xff) - 1, 0x80, 0xbf);
		}
	}
	return true;
}

bool utf8_complete(const struct utf8_check *check)
{
	return check->state == 0;
}

size_t utf8_length(struct str s)
{
	size_t count = 0;
	for (size_t i = 0; i < s.len; i++)
		count += !is_continuation((uint8_t)s.at[i]);
	return count;
}

struct str utf8_prefix(struct str s, size_t code_points)
{
	size_t at = 0;
	while (at < s.len && (code_points > 0 || is_continuation((uint8_t)s.at[at]))) {
		if (!is_continuation((uint8_t)s.at[at]))
			code_points--;
		at++;
	}
	return str_make(s.at, at);
}

size_t utf8_whole(struct str s)
{
	for (size_t back = 1; back <= 3 && back <= s.len; back++) {
		uint8_t c = (uint8_t)s.at[s.len - back];
		if (!is_continuation(c))
			return lead_of(c).wanted >= back ? s.len - back : s.len;
	}
	return s.len;
}

size_t utf8_put(uint32_t cp, char out[4])
{
	if (cp < 0x80) {
		out[0] = (char)cp;
		return 1;
	}
	size_t more = cp < 0x800 ? 1 : cp < 0x10000 ? 2 : 3;
	static const uint8_t marks[4] = {0, 0xc0, 0xe0, 0xf0};
	out[0] = (char)(marks[more] | cp >> (6 * more));
	for (size_t i = 1; i <= more; i++)
		out[i] = (char)(0x80 | (cp >> (6 * (more - i)) & 0x3f));
	return more + 1;
}

uint32_t utf8_get(struct str s, size_t *at)
{
	uint8_t c = (uint8_t)s.at[(*at)++];
	if (c < 0x80)
		return c;
	uint32_t wanted = lead_of(c).wanted;
	uint32_t cp = c & (0x3fu >> wanted);
	for (; wanted > 0 && *at < s.len; wanted--)
		cp = cp << 6 | ((uint8_t)s.at[(*at)++] & 0x3f);
	return cp;
}

bool utf8_is_obeyed(uint32_t cp)
{
	return cp < 0x20 || (cp >= 0x7f && cp < 0xa0) || cp == 0x61c || cp == 0x200e || cp == 0x200f ||
	       (cp >= 0x2028 && cp <= 0x202e) || (cp >= 0x2066 && cp <= 0x2069);
}

/* White space, joiners and fillers: alone they make a name that nobody can see. */
static bool is_unseen(uint32_t cp)
{
	static const uint32_t unseen[][2] = {
		{0x20, 0x20}, {0xa0, 0xa0}, {0xad, 0xad}, {0x34f, 0x34f}, {0x115f, 0x1160}, {0x1680, 0x1680},
		{0x17b4, 0x17b5}, {0x180b, 0x180f}, {0x2000, 0x200d}, {0x202f, 0x202f}, {0x205f, 0x2065}, {0x206a, 0x206f},
		{0x2800, 0x2800}, {0x3000, 0x3000}, {0x3164, 0x3164}, {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xffa0, 0xffa0},
		{0xe0000, 0xe0fff},
	};

	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		if (cp >= unseen[i][0] && cp <= unseen[i][1])
			return true;
	return false;
}

bool utf8_is_blank(struct str s)
{
	for (size_t at = 0; at < s.len;) {
		uint32_t cp = utf8_get(s, &at);

		if (!is_unseen(cp) && !utf8_is_obeyed(cp))
			return false;
	}
	return true;
}

bool utf8_is_name(struct str s)
{
	bool seen = false;

	for (size_t at = 0; at < s.len;) {
		uint32_t cp = utf8_get(s, &at);

		if (utf8_is_obeyed(cp))
			return false;
		seen |= !is_unseen(cp);
	}
	return seen;
}
