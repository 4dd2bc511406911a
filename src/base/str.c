/* str.c - comparing, searching, cutting and reading borrowed text. */
#include "base/str.h"

static unsigned char lower(char c)
{
	return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_eq(struct str a, struct str b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

bool str_eq_case(struct str a, struct str b)
{
	if (a.len != b.len) {
		return false;
	}
	for (size_t i = 0; i < a.len; i++) {
		if (lower(a.at[i]) != lower(b.at[i])) {
			return false;
		}
	}
	return true;
}

bool str_starts(struct str s, struct str prefix)
{
	return s.len >= prefix.len && str_eq(str_make(s.at, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
	return s.len >= suffix.len && str_eq(str_sub(s, s.len - suffix.len, suffix.len), suffix);
}

int str_cmp(struct str a, struct str b)
{
	size_t shorter = a.len < b.len ? a.len : b.len;
	int order = shorter ? memcmp(a.at, b.at, shorter) : 0;

	return order ? order : (a.len > b.len) - (a.len < b.len);
}

ptrdiff_t str_find_byte(struct str s, char c)
{
	const char *hit = s.len ? memchr(s.at, (unsigned char)c, s.len) : NULL;

	return hit ? hit - s.at : -1;
}

ptrdiff_t str_find(struct str s, struct str needle)
{
	const char *hit;

	if (needle.len == 0) {
		return 0;
	}
	if (needle.len > s.len) {
		return -1;
	}
	hit = memmem(s.at, s.len, needle.at, needle.len);
	return hit ? hit - s.at : -1;
}

static bool blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
	while (s.len > 0 && blank(s.at[0])) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && blank(s.at[s.len - 1])) {
		s.len--;
	}
	return s;
}

struct str str_sub(struct str s, size_t from, size_t len)
{
	if (from > s.len) {
		from = s.len;
	}
	if (len > s.len - from) {
		len = s.len - from;
	}
	return str_make(s.at ? s.at + from : NULL, len);
}

bool str_split(struct str *rest, char separator, struct str *part)
{
	ptrdiff_t cut;

	if (!rest->at) {
		return false;
	}
	cut = str_find_byte(*rest, separator);
	if (cut < 0) {
		*part = *rest;
		*rest = STR_NONE;
		return true;
	}
	*part = str_make(rest->at, (size_t)cut);
	*rest = str_make(rest->at + cut + 1, rest->len - (size_t)cut - 1);
	return true;
}

bool str_to_u64(struct str s, uint64_t *out)
{
	uint64_t value = 0;

	if (s.len == 0) {
		return false;
	}
	for (size_t i = 0; i < s.len; i++) {
		if (s.at[i] < '0' || s.at[i] > '9') {
			return false;
		}
		if (__builtin_mul_overflow(value, (uint64_t)10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(s.at[i] - '0'), &value)) {
			return false;
		}
	}
	*out = value;
	return true;
}

bool str_to_i64(struct str s, int64_t *out)
{
	bool negative = s.len > 0 && s.at[0] == '-';
	uint64_t size;

	if (!str_to_u64(negative ? str_sub(s, 1, s.len) : s, &size)) {
		return false;
	}
	if (size > (uint64_t)INT64_MAX + (negative ? 1 : 0)) {
		return false;
	}
	*out = negative ? (int64_t)(0 - size) : (int64_t)size;
	return true;
}

char *str_to_z(struct str s, char *out, size_t cap)
{
	size_t len = s.len;

	if (cap == 0) {
		return out;
	}
	if (len > cap - 1) {
		len = cap - 1;
	}
	if (len) {
		memcpy(out, s.at, len);
	}
	out[len] = '\0';
	return out;
}
