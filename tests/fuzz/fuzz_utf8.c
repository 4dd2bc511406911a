/*
 * fuzz_utf8.c - a text is as valid whole as in pieces; cutting keeps it valid. The first byte says where to split.
 */
#include "base/check.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool valid_in_pieces(struct str s, size_t step)
{
	struct utf8_check utf8 = {0};
	for (size_t at = 0; at < s.len; at += step)
		if (!utf8_feed(&utf8, str_sub(s, at, step)))
			return false;
	return utf8_complete(&utf8);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0)
		return 0;
	struct str s = str_make(data + 1, size - 1);
	bool valid = utf8_valid(s);
	check(valid_in_pieces(s, (size_t)data[0] + 1) == valid);
	check(valid_in_pieces(s, 1) == valid);
	size_t whole = utf8_whole(s);
	check(whole <= s.len && s.len - whole <= 3);
	if (!valid)
		return 0;
	check(whole == s.len);
	size_t count = 0;
	for (size_t at = 0; at < s.len; count++) {
		char bytes[4];
		size_t start = at;
		uint32_t cp = utf8_get(s, &at);
		check(utf8_put(cp, bytes) == at - start && memcmp(bytes, s.at + start, at - start) == 0);
	}
	check(utf8_length(s) == count);
	for (size_t points = 0; points <= count; points += 1 + count / 8) {
		struct str prefix = utf8_prefix(s, points);
		check(utf8_valid(prefix) && utf8_length(prefix) == points);
	}
	check(utf8_valid(str_sub(s, 0, utf8_whole(str_sub(s, 0, data[0])))));
	return 0;
}
