/*
 * test_wire_text.c - UTF-8, base64, URLs and canonical JSON against tables and slow references.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "wire/base64.h"
#include "wire/jcs.h"
#include "wire/json.h"
#include "wire/url.h"
#include "wire/utf8.h"

#define ARENA_BYTES (1u << 20)
#define BUF_BYTES (1u << 20)

/* ---- UTF-8 ---- */

/* Length of the sequence at p by decoding first and judging the result then, 0 when it is none. */
static size_t slow_sequence(const uint8_t *p, size_t len)
{
	static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
	size_t want = p[0] < 0x80 ? 1 : p[0] >> 5 == 6 ? 2 : p[0] >> 4 == 14 ? 3 : p[0] >> 3 == 30 ? 4 : 0;
	if (want == 0 || want > len)
		return 0;
	uint32_t cp = want == 1 ? p[0] : p[0] & (0x7fu >> want);
	for (size_t i = 1; i < want; i++) {
		if (p[i] >> 6 != 2)
			return 0;
		cp = cp << 6 | (p[i] & 63);
	}
	return cp < least[want] || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff) ? 0 : want;
}

static bool slow_valid(struct str s)
{
	for (size_t at = 0; at < s.len;) {
		size_t len = slow_sequence((const uint8_t *)s.at + at, s.len - at);
		if (len == 0)
			return false;
		at += len;
	}
	return true;
}

static void test_utf8_every_code_point(void **state)
{
	(void)state;
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		char bytes[4];
		size_t at = 0;
		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		struct str s = str_make(bytes, utf8_put(cp, bytes));
		struct utf8_check check = {0};
		assert_true(slow_valid(s) && utf8_valid(s));
		assert_int_equal(utf8_sequence(s), s.len);
		assert_int_equal(utf8_get(s, &at), cp);
		assert_int_equal(at, s.len);
		assert_true(utf8_feed(&check, s) && utf8_complete(&check));
		assert_int_equal(check.code, cp);
	}
}

static void test_utf8_every_boundary_byte(void **state)
{
	(void)state;
	static const uint8_t tails[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
	for (unsigned lead = 0; lead < 256; lead++) {
		for (unsigned second = 0; second < 256; second++) {
			for (size_t i = 0; i < sizeof(tails); i++) {
				for (size_t len = 1; len <= 4; len++) {
					uint8_t bytes[4] = {(uint8_t)lead, (uint8_t)second, tails[i], tails[sizeof(tails) - 1 - i]};
					struct str s = str_make(bytes, len);
					if (utf8_valid(s) != slow_valid(s) || utf8_sequence(s) != slow_sequence(bytes, len))
						fail_msg("%02x %02x %02x %02x of %zu", bytes[0], bytes[1], bytes[2], bytes[3], len);
				}
			}
		}
	}
}

static void test_utf8_split_anywhere(void **state)
{
	(void)state;
	static const uint8_t alphabet[] = {
		'a', 0x7f, 0x80, 0xbf, 0xc2, 0xc3, 0xe0, 0xa0, 0xed, 0x9f, 0xef, 0xf0, 0x90, 0xf4, 0x8f,
	};
	uint32_t seed = 1;
	size_t valid_ones = 0;
	for (int round = 0; round < 20000; round++) {
		uint8_t bytes[12];
		for (size_t i = 0; i < sizeof(bytes); i++) {
			seed = seed * 1664525 + 1013904223;
			bytes[i] = round % 2 ? alphabet[(seed >> 16) % sizeof(alphabet)] : (uint8_t)((seed >> 16) % 3 ? 'x' : 0xc3);
			if (round % 2 == 0 && i > 0 && bytes[i - 1] == 0xc3)
				bytes[i] = 0xa9;
		}
		struct str s = str_make(bytes, sizeof(bytes));
		bool expected = slow_valid(s);
		valid_ones += expected;
		for (size_t a = 0; a <= s.len; a++) {
			for (size_t b = a; b <= s.len; b++) {
				struct utf8_check check = {0};
				bool fed = utf8_feed(&check, str_sub(s, 0, a)) && utf8_feed(&check, str_sub(s, a, b - a)) &&
					utf8_feed(&check, str_sub(s, b, s.len));
				assert_int_equal(fed && utf8_complete(&check), expected);
			}
		}
	}
	assert_true(valid_ones > 1000);
}

static void test_utf8_fails_at_the_first_hopeless_byte(void **state)
{
	(void)state;
	static const char *const hopeless[] = {
		"\x80", "\xc0", "\xc1", "\xf5", "\xff", "\xe0\x9f", "\xed\xa0", "\xf0\x8f", "\xf4\x90", "\xe2\x82\x28",
		"\xf0\x9f\x98\xc0",
	};
	for (size_t i = 0; i < sizeof(hopeless) / sizeof(hopeless[0]); i++) {
		struct str s = str_of(hopeless[i]);
		struct utf8_check check = {0};
		assert_true(utf8_feed(&check, str_sub(s, 0, s.len - 1)));
		assert_false(utf8_feed(&check, str_sub(s, s.len - 1, 1)));
	}
}

/* T25 */
static void test_utf8_names(void **state)
{
	static const char *const good[] = {"Ada", " a ", "\u0417\u043e\u044f", "\u05d0\u05d1\u05d2", "\u0646\u0627\u0645", "\u540d\u524d",
					   "\U0001f469\u200d\U0001f52c", "e\u0301", "a\u00a0b"};
	static const char *const bad[] = {"", " ", "\u00a0", "\u3000\u2003", "\u200b", "\ufeff\u200d", "\u2800", "\u3164", "a\nb", "a\x1b[31m",
					  "a\x7f", "a\xc2\x85", "a\xc2\x9b" "31m", "a\u2028", "gnp.\u202e" "exe", "\u2066" "a", "a\u200f", "a\u061c",
					  "\U000e0041"};
	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		if (!utf8_is_name(str_of(good[i])))
			fail_msg("refused: good[%zu]", i);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (utf8_is_name(str_of(bad[i])))
			fail_msg("let through: bad[%zu]", i);
	assert_false(utf8_is_name(str_make("a\0b", 3)));
}

static void test_utf8_counts_and_cuts(void **state)
{
	(void)state;
	struct str s = STR("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z");
	static const size_t ends[] = {0, 1, 3, 6, 10, 11, 11};
	static const size_t whole[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
	assert_int_equal(utf8_length(s), 5);
	assert_int_equal(utf8_length(STR_NONE), 0);
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		assert_int_equal(utf8_prefix(s, i).len, ends[i]);
	for (size_t i = 0; i <= s.len; i++)
		assert_int_equal(utf8_whole(str_sub(s, 0, i)), whole[i]);
	assert_true(utf8_valid(STR_NONE));
	assert_int_equal(utf8_sequence(STR_NONE), 0);
}

/* ---- base64 ---- */

static void test_base64_vectors(void **state)
{
	(void)state;
	static const struct {
		struct str bytes;
		struct str padded;
		struct str url;
	} rows[] = {
		/* RFC 4648 section 10 */
		{STR(""), STR(""), STR("")},
		{STR("f"), STR("Zg=="), STR("Zg")},
		{STR("fo"), STR("Zm8="), STR("Zm8")},
		{STR("foo"), STR("Zm9v"), STR("Zm9v")},
		{STR("foob"), STR("Zm9vYg=="), STR("Zm9vYg")},
		{STR("fooba"), STR("Zm9vYmE="), STR("Zm9vYmE")},
		{STR("foobar"), STR("Zm9vYmFy"), STR("Zm9vYmFy")},
		{STR("\xfb\xff\xfe"), STR("+//+"), STR("-__-")},
		{STR("\0\0"), STR("AAA="), STR("AAA")},
	};
	struct buf buf;
	buf_init(&buf, BUF_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&buf);
		base64_encode(&buf, rows[i].bytes);
		assert_true(str_eq(buf_str(&buf), rows[i].padded));
		buf_clear(&buf);
		base64_url_encode(&buf, rows[i].bytes);
		assert_true(str_eq(buf_str(&buf), rows[i].url));
		buf_clear(&buf);
		assert_int_equal(base64_decode(&buf, rows[i].padded), ERR_OK);
		assert_int_equal(base64_url_decode(&buf, rows[i].url), ERR_OK);
		assert_int_equal(buf.len, rows[i].bytes.len * 2);
		assert_true(str_starts(buf_str(&buf), rows[i].bytes) && str_ends(buf_str(&buf), rows[i].bytes));
	}
	buf_fini(&buf);
}

static void test_base64_is_strict(void **state)
{
	(void)state;
	static const char *const standard[] = {
		"Z", "Zg", "Zg=", "Zg===", "Zh==", "Zm9=", "Zm9v=", "=", "====", "Z===", "Zm 9", "Zm9v\n", "Zm9-", "Z=g=",
		"Zg==Zg==", "Zm9v\x80====",
	};
	static const char *const url_safe[] = {"Z", "Zg==", "Zh", "Zm9", "Zm+v", "Zm/v", "Zm9v="};
	struct buf buf;
	buf_init(&buf, BUF_BYTES);
	buf_put_str(&buf, STR("kept"));
	for (size_t i = 0; i < sizeof(standard) / sizeof(standard[0]); i++)
		assert_int_equal(base64_decode(&buf, str_of(standard[i])), ERR_MALFORMED);
	for (size_t i = 0; i < sizeof(url_safe) / sizeof(url_safe[0]); i++)
		assert_int_equal(base64_url_decode(&buf, str_of(url_safe[i])), ERR_MALFORMED);
	assert_true(str_eq(buf_str(&buf), STR("kept")));
	buf_fini(&buf);
	buf_init(&buf, 2);
	assert_int_equal(base64_decode(&buf, STR("Zm9v")), ERR_LIMIT);
	buf_fini(&buf);
}

/* ---- URLs ---- */

static void test_url_targets(void **state)
{
	(void)state;
	struct url_target target;
	assert_int_equal(url_split_target(STR("/v1/agents?limit=5&x=%20?"), &target), ERR_OK);
	assert_true(str_eq(target.path, STR("/v1/agents")) && str_eq(target.query, STR("limit=5&x=%20?")));
	assert_int_equal(url_split_target(STR("/"), &target), ERR_OK);
	assert_true(str_eq(target.path, STR("/")) && target.query.len == 0);
	assert_int_equal(url_split_target(STR("/?"), &target), ERR_OK);
	assert_int_equal(target.query.len, 0);
	static const struct str bad[] = {
		STR(""), STR("*"), STR("v1"), STR("http://a/"), STR("/a#b"), STR("/a b"), STR("/a\tb"), STR("/a\0b"),
		STR("/\x7f"), STR("/\xc3\xa9"), STR("/%"), STR("/%2"), STR("/%zz"), STR("/?a=%f"), STR("/%2%30"),
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(url_split_target(bad[i], &target), ERR_MALFORMED);
}

static void test_url_decoding(void **state)
{
	(void)state;
	static const struct {
		struct str text;
		bool plus_is_space;
		enum err err;
		struct str decoded;
	} rows[] = {
		{STR(""), false, ERR_OK, STR("")},
		{STR("a+b%2Bc%2f"), false, ERR_OK, STR("a+b+c/")},
		{STR("a+b%2Bc"), true, ERR_OK, STR("a b+c")},
		{STR("%C3%a9%E2%82%AC"), true, ERR_OK, STR("\xc3\xa9\xe2\x82\xac")},
		{STR("%2541"), true, ERR_OK, STR("%41")},
		{STR("%00"), true, ERR_MALFORMED, STR("")},
		{STR("a\0b"), true, ERR_MALFORMED, STR("")},
		{STR("%c0%80"), true, ERR_MALFORMED, STR("")},
		{STR("%c3"), true, ERR_MALFORMED, STR("")},
		{STR("%4"), true, ERR_MALFORMED, STR("")},
		{STR("%"), true, ERR_MALFORMED, STR("")},
		{STR("%g0"), true, ERR_MALFORMED, STR("")},
	};
	struct arena arena;
	struct str out;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		arena_init(&arena, ARENA_BYTES);
		assert_int_equal(url_decode(&arena, rows[i].text, rows[i].plus_is_space, &out), rows[i].err);
		assert_true(str_eq(out, rows[i].decoded));
		assert_true(rows[i].err != ERR_OK || out.at != NULL);
		arena_fini(&arena);
	}
	arena_init(&arena, 0);
	assert_int_equal(url_decode(&arena, STR("a"), false, &out), ERR_LIMIT);
	arena_fini(&arena);
}

static void test_url_queries(void **state)
{
	(void)state;
	struct str rest = STR("a=1&&b=&c&=d&e=f=g&");
	static const char *const pairs[][2] = {{"a", "1"}, {"b", ""}, {"c", ""}, {"", "d"}, {"e", "f=g"}};
	struct str name;
	struct str value;
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		assert_true(url_query_next(&rest, &name, &value));
		assert_true(str_eq(name, str_of(pairs[i][0])) && str_eq(value, str_of(pairs[i][1])));
	}
	assert_false(url_query_next(&rest, &name, &value));
	rest = STR("");
	assert_false(url_query_next(&rest, &name, &value));
	struct buf buf;
	buf_init(&buf, BUF_BYTES);
	url_encode(&buf, STR("aZ0-._~ /?&=+%\xc3\xa9"));
	assert_true(str_eq(buf_str(&buf), STR("aZ0-._~%20%2F%3F%26%3D%2B%25%C3%A9")));
	buf_fini(&buf);
}

static void test_url_absolute(void **state)
{
	(void)state;
	static const struct {
		const char *text, *scheme, *host;
		uint16_t port;
		const char *path;
		bool has_userinfo;
	} rows[] = {
		{"http://a", "http", "a", 80, "", false},
		{"HTTPS://Example.com/v1", "https", "Example.com", 443, "/v1", false},
		{"http://127.0.0.1:8080/v1/?q=1", "http", "127.0.0.1", 8080, "/v1/", false},
		{"https://[::1]:65535", "https", "::1", 65535, "", false},
		{"https://[2001:db8::192.0.2.1]/x%20y", "https", "2001:db8::192.0.2.1", 443, "/x%20y", false},
		{"http://u:p@my_host-1.x?a", "http", "my_host-1.x", 80, "", true},
		{"http://@h/", "http", "h", 80, "/", true},
		{"http://a/b@c:d", "http", "a", 80, "/b@c:d", false},
	};
	struct url url;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (url_parse(str_of(rows[i].text), &url) != ERR_OK)
			fail_msg("refused: %s", rows[i].text);
		assert_true(str_eq(url.scheme, str_of(rows[i].scheme)) && str_eq(url.host, str_of(rows[i].host)));
		assert_true(str_eq(url.path, str_of(rows[i].path)));
		assert_int_equal(url.port, rows[i].port);
		assert_int_equal(url.has_userinfo, rows[i].has_userinfo);
	}
	static const struct str bad[] = {
		STR(""), STR("a"), STR("//a"), STR("http:/a"), STR("http:a"), STR("ftp://a"), STR("http://"),
		STR("http:///x"), STR("http://:80"), STR("http://a:"), STR("http://a:0"), STR("http://a:65536"),
		STR("http://a:+80"), STR("http://a:8x"), STR("http://a:000080"), STR("http://a b"), STR("http://a\\b"),
		STR("http://a/\\b"), STR("http://a/#f"), STR("http://a/\n"), STR("http://a\0b/"), STR("http://a..b"),
		STR("http://.a"), STR("http://a."), STR("http://a%41"), STR("http://x@y@z"), STR("http://2130706433"),
		STR("http://0x7f.1"), STR("http://127.1"), STR("http://0177.0.0.1"), STR("http://1.2.3.4.5"),
		STR("http://256.1.1.1"), STR("http://[::1"), STR("http://::1"), STR("http://[::1]x"), STR("http://[]"),
		STR("http://[fe80::1%25eth0]"), STR("http://[127.0.0.1]"), STR("http://\xc3\xa9"), STR("http://a/\xc3\xa9"),
		STR("http://a/%g"), STR(" http://a"), STR("http://a,b"),
		STR("http://aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (url_parse(bad[i], &url) != ERR_INVALID)
			fail_msg("accepted: %.*s", STR_FMT(bad[i]));
}

/* ---- canonical JSON ---- */

static void test_jcs_numbers(void **state)
{
	(void)state;
	/* Bit patterns around every border of Number::toString; the first rows are those of RFC 8785, appendix B. */
	static const struct {
		uint64_t bits;
		const char *text;
	} rows[] = {
		{0x0000000000000000, "0"}, {0x8000000000000000, "0"}, {0x0000000000000001, "5e-324"}, {0x8000000000000001,
			"-5e-324"},
		{0x7fefffffffffffff, "1.7976931348623157e+308"}, {0xffefffffffffffff, "-1.7976931348623157e+308"},
		{0x4340000000000000, "9007199254740992"}, {0xc340000000000000, "-9007199254740992"},
		{0x4430000000000000, "295147905179352830000"}, {0x44b52d02c7e14af5, "9.999999999999997e+22"},
		{0x44b52d02c7e14af6, "1e+23"}, {0x44b52d02c7e14af7, "1.0000000000000001e+23"}, {0x444b1ae4d6e2ef4e,
		"999999999999999700000"},
		{0x444b1ae4d6e2ef4f, "999999999999999900000"}, {0x444b1ae4d6e2ef50, "1e+21"}, {0x3eb0c6f7a0b5ed8c,
		"9.999999999999997e-7"},
		{0x3eb0c6f7a0b5ed8d, "0.000001"}, {0x41b3de4355555553, "333333333.3333332"}, {0x41b3de4355555554,
		"333333333.33333325"},
		{0x41b3de4355555555, "333333333.3333333"}, {0x41b3de4355555556, "333333333.3333334"},
		{0x41b3de4355555557, "333333333.33333343"}, {0xbecbf647612f3696, "-0.0000033333333333333333"},
		{0x43143ff3c1cb0959, "1424953923781206.2"},
		/* a power of two whose nearest 16 digits miss it */
		{0x3d30000000000000, "5.684341886080802e-14"}, {0x3fe0000000000000, "0.5"}, {0x3ff8000000000000, "1.5"},
		{0x4340000000000001, "9007199254740994"}, {0x0010000000000000, "2.2250738585072014e-308"},
	};
	struct buf buf;
	buf_init(&buf, BUF_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double value;
		memcpy(&value, &rows[i].bits, sizeof(value));
		buf_clear(&buf);
		jcs_put_number(&buf, value);
		if (!str_eq(buf_str(&buf), str_of(rows[i].text)))
			fail_msg("%.*s instead of %s", STR_FMT(buf_str(&buf)), rows[i].text);
	}
	buf_fini(&buf);
}

static void assert_canonical(struct str text, struct str expected)
{
	struct arena arena;
	struct json_doc doc;
	struct buf buf;
	arena_init(&arena, ARENA_BYTES);
	buf_init(&buf, BUF_BYTES);
	assert_int_equal(json_parse(&arena, text, &doc, NULL), ERR_OK);
	assert_int_equal(jcs_put(&buf, &arena, json_root(&doc)), ERR_OK);
	if (!str_eq(buf_str(&buf), expected))
		fail_msg("%.*s instead of %.*s", STR_FMT(buf_str(&buf)), STR_FMT(expected));
	buf_fini(&buf);
	arena_fini(&arena);
}

static void test_jcs_values(void **state)
{
	(void)state;
	assert_canonical(STR(" {\"n\" : [ 333333333.33333329 , 1E30, 4.50, 2e-3, 0.000000000000000000000000001, "
		"-0.0, 10.0 ],\n"
		"\"lit\":[null,true,false] }"),
		STR("{\"lit\":[null,true,false],\"n\":[333333333.3333333,1e+30,4.5,0.002,1e-27,0,10]}"));
	assert_canonical(STR("\"\\u20ac$\\u000F\\u000aA'\\u0042\\u0022\\u005c\\\\\\\"\\/\\u0008\\u007f\""),
		STR("\"\xe2\x82\xac$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\\b\x7f\""));
	/* By UTF-16 code units: a character above U+FFFF starts with D8xx and so comes before U+FB33. */
	assert_canonical(STR("{\"\\ufb33\":1,\"\\ud83d\\ude00\":2,\"\\u20ac\":3,\"\\u00f6\":4,"
		"\"\\u0080\":5,\"1\":6,\"\\r\":7,\"\\ud7ff\":8}"),
		STR("{\"\\r\":7,\"1\":6,\"\xc2\x80\":5,\"\xc3\xb6\":4,\"\xe2\x82\xac\":3,"
			"\"\xed\x9f\xbf\":8,\"\xf0\x9f\x98\x80\":2,"
			"\"\xef\xac\xb3\":1}"));
	assert_canonical(STR("{\"b\":{\"z\":[{\"y\":1,\"x\":{}}],\"\":[]},\"aa\":1,\"a\":2,\"B\":3}"),
		STR("{\"B\":3,\"a\":2,\"aa\":1,\"b\":{\"\":[],\"z\":[{\"x\":{},\"y\":1}]}}"));
	assert_canonical(STR("[9223372036854775807,9007199254740993]"), STR("[9223372036854775807,9007199254740993]"));
}

static void test_jcs_limits(void **state)
{
	(void)state;
	struct arena arena;
	struct arena none;
	struct json_doc doc;
	struct buf buf;
	arena_init(&arena, ARENA_BYTES);
	arena_init(&none, 0);
	buf_init(&buf, 4);
	assert_int_equal(json_parse(&arena, STR("{\"a\":1}"), &doc, NULL), ERR_OK);
	assert_int_equal(jcs_put(&buf, &none, json_root(&doc)), ERR_LIMIT);
	buf_clear(&buf);
	assert_int_equal(jcs_put(&buf, &arena, json_root(&doc)), ERR_LIMIT);
	buf_fini(&buf);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8_every_code_point),
		cmocka_unit_test(test_utf8_every_boundary_byte),
		cmocka_unit_test(test_utf8_split_anywhere),
		cmocka_unit_test(test_utf8_fails_at_the_first_hopeless_byte),
		cmocka_unit_test(test_utf8_names),
		cmocka_unit_test(test_utf8_counts_and_cuts),
		cmocka_unit_test(test_base64_vectors),
		cmocka_unit_test(test_base64_is_strict),
		cmocka_unit_test(test_url_targets),
		cmocka_unit_test(test_url_decoding),
		cmocka_unit_test(test_url_queries),
		cmocka_unit_test(test_url_absolute),
		cmocka_unit_test(test_jcs_numbers),
		cmocka_unit_test(test_jcs_values),
		cmocka_unit_test(test_jcs_limits),
	};
	return cmocka_run_group_tests_name("wire_text", tests, NULL, NULL);
}
