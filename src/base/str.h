/*
 * str.h - text as pointer and length.
 *
 * For:     every piece of text or bytes inside the program, borrowed from whoever owns it.
 * Not for: owning memory (buf.h, arena.h); NUL-terminated strings except at the border.
 * Threads: any; no state.
 * Memory:  a str never owns; it is valid as long as what it points into.
 */
#ifndef GUILD_BASE_STR_H
#define GUILD_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
	const char *at;
	size_t len;
};

#define STR_NONE ((struct str){NULL, 0})
/* A str of a string literal. */
#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
/* The two arguments of a "%.*s" conversion. */
#define STR_FMT(s) (int)(s).len, (s).at ? (s).at : ""

static inline struct str str_of(const char *z) { return (struct str){z, z ? strlen(z) : 0}; }
static inline struct str str_make(const void *at, size_t len) { return (struct str){(const char *)at, len}; }

bool str_eq(struct str a, struct str b);
/* ASCII case-insensitive equality. */
bool str_eq_case(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Byte order, shorter first on a tie: <0, 0, >0. */
int str_cmp(struct str a, struct str b);
/* Index of byte c, or -1. */
ptrdiff_t str_find_byte(struct str s, char c);
/* Index of the first occurrence of needle, or -1. */
ptrdiff_t str_find(struct str s, struct str needle);
/* s without ASCII space, tab, CR and LF at both ends. */
struct str str_trim(struct str s);
/* The part from index from on, at most len bytes; clamped. */
struct str str_sub(struct str s, size_t from, size_t len);
/* Cuts *rest at the first separator: gives the part before it and moves *rest behind it.
 * False when *rest is exhausted (at == NULL afterwards). "a,,b" gives "a", "", "b". */
bool str_split(struct str *rest, char separator, struct str *part);
/* Decimal without sign, exact, the whole of s; false on anything else or overflow. */
bool str_to_u64(struct str s, uint64_t *out);
/* The same with an optional '-'. */
bool str_to_i64(struct str s, int64_t *out);
/* Copies into a NUL-terminated buffer of cap bytes, cut if needed; returns out. */
char *str_to_z(struct str s, char *out, size_t cap);

#endif
