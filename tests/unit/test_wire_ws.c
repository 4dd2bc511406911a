/*
 * WebSocket: every rule of RFC 6455 that a peer may break, and that no cut into pieces changes the outcome.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/mem.h"
#include "wire/sha1.h"
#include "wire/ws.h"

enum { MESSAGE_MAX = 200000 };

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* Appends a frame as given, however wrong: first is its first byte; masked or not as asked. */
static void frame_raw(struct buf *out, bool masked, unsigned first, struct str data)
{
	uint8_t bit = masked ? 0x80 : 0;

	buf_put_byte(out, (char)first);
	if (data.len < 126) {
		buf_put_byte(out, (char)(bit | data.len));
	} else if (data.len < 65536) {
		buf_put_byte(out, (char)(bit | 126));
		buf_put_byte(out, (char)(data.len >> 8));
		buf_put_byte(out, (char)data.len);
	} else {
		buf_put_byte(out, (char)(bit | 127));
		for (int shift = 56; shift >= 0; shift -= 8)
			buf_put_byte(out, (char)((uint64_t)data.len >> shift));
	}
	if (masked)
		buf_put(out, mask, 4);
	for (size_t i = 0; i < data.len; i++)
		buf_put_byte(out, (char)(data.at[i] ^ (masked ? mask[i & 3] : 0)));
}

static void message_note(struct buf *log, const struct ws_message *message)
{
	static const char *const kinds[] = {"text", "binary", "ping", "pong", "close"};

	assert_non_null(message->data.at);
	if (message->kind == WS_CLOSE)
		buf_format(log, "[close %d ", message->close_code);
	else
		buf_format(log, "[%s ", kinds[message->kind]);
	if (message->data.len > 64)
		buf_format(log, "%zu bytes", message->data.len);
	else
		buf_put_str(log, message->data);
	buf_put_byte(log, ']');
}

static bool piece_feed(struct ws *ws, struct str piece, struct buf *log)
{
	struct ws_message message;
	enum err err;
	bool got;

	do {
		err = ws_feed(ws, &piece, &message, &got);
		if (err == ERR_OK && got)
			message_note(log, &message);
	} while (err == ERR_OK && (got || piece.len > 0));
	if (err == ERR_OK)
		return true;
	assert_int_equal(err, ws->close_code == 1009 ? ERR_TOO_LARGE : ERR_MALFORMED);
	assert_non_null(ws->reason);
	assert_false(got);
	assert_int_equal(ws_feed(ws, &piece, &message, &got), err);
	buf_format(log, "<%d>", ws->close_code);
	return false;
}

/* What comes out of bytes fed as a first piece and then pieces of step bytes. */
static void run(bool from_client, struct str bytes, size_t first, size_t step, struct buf *log)
{
	struct ws ws;

	buf_clear(log);
	ws_init(&ws, from_client, MESSAGE_MAX);
	bool good = piece_feed(&ws, str_sub(bytes, 0, first), log);

	for (size_t at = first; good && at < bytes.len; at += step)
		good = piece_feed(&ws, str_sub(bytes, at, step), log);
	ws_fini(&ws);
}

/* Checks what comes out, for every first cut and byte by byte. */
static void expect(bool from_client, const struct buf *bytes, const char *want)
{
	struct buf log;
	size_t some = bytes->len < 300 ? bytes->len : 300;

	buf_init(&log, 1 << 20);
	for (size_t first = 0; first <= some; first++) {
		run(from_client, buf_str(bytes), first, bytes->len + 1, &log);
		if (!str_eq(buf_str(&log), str_of(want)))
			fail_msg("cut at %zu: got %.*s, wanted %s", first, STR_FMT(buf_str(&log)), want);
	}
	run(from_client, buf_str(bytes), 0, 1, &log);
	if (!str_eq(buf_str(&log), str_of(want)))
		fail_msg("byte by byte: got %.*s, wanted %s", STR_FMT(buf_str(&log)), want);
	buf_fini(&log);
}

struct frame {
	unsigned first;
	struct str data;
};

struct row {
	const char *want;
	struct frame frames[6];
};

#define F(first, data) {first, {"" data, sizeof(data) - 1}}
#define END {0x100, {0, 0}}
#define X10(x) x x x x x x x x x x
#define LONG_125 X10("abcdefghij") "klmnopqrstuvwxyzABCDEFGHI"

/* 0x8_: final; _0 continuation, _1 text, _2 binary, _8 close, _9 ping, _a pong. */
static const struct row rows[] = {
	{"[text Hello]", {F(0x81, "Hello"), END}},
	{"[text ][text ]", {F(0x81, ""), F(0x81, ""), END}},
	{"[binary \xff\xfe]", {F(0x82, "\xff\xfe"), END}},
	{"[text Hello]", {F(0x01, "Hel"), F(0x80, "lo"), END}},
	{"[text Hello]", {F(0x01, ""), F(0x00, "Hello"), F(0x00, ""), F(0x80, ""), END}},
	{"[binary ab][text c]", {F(0x02, "a"), F(0x80, "b"), F(0x81, "c"), END}},
	{"[ping x][text ab]", {F(0x01, "a"), F(0x89, "x"), F(0x80, "b"), END}},
	{"[ping x][pong ][text abc]", {F(0x01, "a"), F(0x89, "x"), F(0x00, "b"), F(0x8a, ""), F(0x80, "c"), END}},
	{"[ping ][pong y]", {F(0x89, ""), F(0x8a, "y"), END}},
	{"[ping 125 bytes]", {F(0x89, LONG_125), END}},
	{"<1002>", {F(0x89, LONG_125 "x"), END}},
	{"<1002>", {F(0x88, "\x03\xe8" LONG_125), END}},
	/* fragments out of order */
	{"<1002>", {F(0x80, "a"), END}},
	{"<1002>", {F(0x00, "a"), END}},
	{"[text a]<1002>", {F(0x81, "a"), F(0x80, "b"), END}},
	{"<1002>", {F(0x01, "a"), F(0x81, "b"), END}},
	{"<1002>", {F(0x01, "a"), F(0x02, "b"), END}},
	{"<1002>", {F(0x09, "a"), END}},
	{"<1002>", {F(0x08, "\x03\xe8"), END}},
	{"<1002>", {F(0x0a, ""), END}},
	/* reserved bits and opcodes */
	{"<1002>", {F(0xc1, "a"), END}},
	{"<1002>", {F(0xa1, "a"), END}},
	{"<1002>", {F(0x91, "a"), END}},
	{"[text a]<1002>", {F(0x81, "a"), F(0xf9, ""), END}},
	{"<1002>", {F(0x83, ""), END}},
	{"<1002>", {F(0x84, ""), END}},
	{"<1002>", {F(0x87, ""), END}},
	{"<1002>", {F(0x8b, ""), END}},
	{"<1002>", {F(0x8f, "a"), END}},
	/* close */
	{"[close 1005 ]", {F(0x88, ""), END}},
	{"[close 1000 ]", {F(0x88, "\x03\xe8"), END}},
	{"[close 1001 bye \xc3\xa4]", {F(0x88, "\x03\xe9" "bye \xc3\xa4"), END}},
	{"[close 1014 ]", {F(0x88, "\x03\xf6"), END}},
	{"[close 3000 ]", {F(0x88, "\x0b\xb8"), END}},
	{"[close 4999 ]", {F(0x88, "\x13\x87"), END}},
	{"[text a][close 1000 ]", {F(0x81, "a"), F(0x88, "\x03\xe8"), END}},
	{"[close 1000 ]", {F(0x01, "a"), F(0x88, "\x03\xe8"), END}},
	{"<1002>", {F(0x88, "\x03"), END}},
	{"<1002>", {F(0x88, "\0\0"), END}},
	{"<1002>", {F(0x88, "\x03\xe7"), END}},
	{"<1002>", {F(0x88, "\x03\xec"), END}},
	{"<1002>", {F(0x88, "\x03\xed"), END}},
	{"<1002>", {F(0x88, "\x03\xee"), END}},
	{"<1002>", {F(0x88, "\x03\xf7"), END}},
	{"<1002>", {F(0x88, "\x07\xd0"), END}},
	{"<1002>", {F(0x88, "\x13\x88"), END}},
	{"<1002>", {F(0x88, "\xff\xff"), END}},
	{"<1007>", {F(0x88, "\x03\xe8\xc3"), END}},
	{"<1007>", {F(0x88, "\x03\xe8" "a\xed\xa0\x80"), END}},
	/* UTF-8 */
	{"[text \xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80]", {F(0x81, "\xce\xba\xe1\xbd\xb9\xf0\x9f\x98\x80"), END}},
	{"[text \xf0\x9f\x98\x80]", {F(0x01, "\xf0"), F(0x00, "\x9f\x98"), F(0x80, "\x80"), END}},
	{"[ping \xff][text \xc3\xa4]", {F(0x01, "\xc3"), F(0x89, "\xff"), F(0x80, "\xa4"), END}},
	{"<1007>", {F(0x81, "\xc3"), END}},
	{"<1007>", {F(0x81, "a\xc0\xaf"), END}},
	{"<1007>", {F(0x81, "\xed\xa0\x80"), END}},
	{"<1007>", {F(0x81, "\xf4\x90\x80\x80"), END}},
	{"<1007>", {F(0x81, "\xf5"), END}},
	{"<1007>", {F(0x81, "\x80"), END}},
	{"<1007>", {F(0x01, "\xc3"), F(0x80, ""), END}},
	{"<1007>", {F(0x01, "\xc3"), F(0x80, "a"), END}},
	{"<1007>", {F(0x01, "ab\xff"), F(0x80, "never read"), END}},
	{"[binary \xc3][text \xc3\xa4]", {F(0x82, "\xc3"), F(0x81, "\xc3\xa4"), END}},
};

static void test_rows(void **state)
{
	struct buf bytes;

	buf_init(&bytes, 1 << 20);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		for (int from_client = 0; from_client < 2; from_client++) {
			buf_clear(&bytes);
			for (const struct frame *frame = rows[i].frames; frame->first < 0x100; frame++)
				frame_raw(&bytes, from_client, frame->first, frame->data);
			expect(from_client, &bytes, rows[i].want);
		}
	}
	buf_fini(&bytes);
}

struct raw_row {
	bool from_client;
	struct str bytes;
	const char *want;
};

#define RAW(from_client, bytes, want) {from_client, {"" bytes, sizeof(bytes) - 1}, want}

static void test_heads(void **state)
{
	static const struct raw_row raws[] = {
		RAW(true, "\x81\x05Hello", "<1002>"),
		RAW(true, "\x88\x00", "<1002>"),
		RAW(false, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "<1002>"),
		RAW(true, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", "[text Hello]"),
		RAW(false, "\x01\x03Hel\x80\x02lo", "[text Hello]"),
		/* longer than its shortest form */
		RAW(false, "\x81\x7e\x00\x05Hello", "<1002>"),
		RAW(false, "\x81\x7e\x00\x7d", "<1002>"),
		RAW(false, "\x81\x7f\0\0\0\0\0\0\0\x05Hello", "<1002>"),
		RAW(false, "\x82\x7f\0\0\0\0\0\0\xff\xff", "<1002>"),
		/* the top bit, and what is over the cap, before a byte of it came */
		RAW(false, "\x82\x7f\x80\0\0\0\0\0\0\0", "<1002>"),
		RAW(false, "\x82\x7f\xff\xff\xff\xff\xff\xff\xff\xff", "<1002>"),
		RAW(false, "\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff", "<1009>"),
		RAW(true, "\x82\xff\0\0\0\0\0\x03\x0d\x41", "<1009>"),
		RAW(false, "\x02\x01x\x80\x7f\0\0\0\0\0\x03\x0d\x40", "<1009>"),
		/* refused at the first byte that is wrong */
		RAW(true, "\x83", "<1002>"),
		RAW(true, "\xc1", "<1002>"),
		RAW(true, "\x80", "<1002>"),
		RAW(true, "\x81\x05", "<1002>"),
		RAW(false, "\x89\x7e", "<1002>"),
		RAW(false, "\x88\x01", "<1002>"),
		RAW(false, "\x81\x7dzz\xff", "<1007>"),
		/* not wrong yet */
		RAW(true, "\x81", ""),
		RAW(true, "\x81\x85\x37\xfa", ""),
		RAW(false, "\x81\x05Hell", ""),
		RAW(false, "\x81\x02\xc3", ""),
		RAW(false, "", ""),
	};
	struct buf bytes;

	buf_init(&bytes, 1 << 20);
	for (size_t i = 0; i < sizeof(raws) / sizeof(raws[0]); i++) {
		buf_clear(&bytes);
		buf_put_str(&bytes, raws[i].bytes);
		expect(raws[i].from_client, &bytes, raws[i].want);
	}
	buf_fini(&bytes);
}

/* Each length around the borders of the three forms and of the eight-byte steps, with the content compared. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = {0,   1,   3,   7,   8,    9,     15,    16,    17,         124,
				       125, 126, 127, 128, 4095, 65535, 65536, 65537, MESSAGE_MAX};
	static const size_t steps[] = {1, 2, 3, 5, 13, 4096, MESSAGE_MAX * 2};
	struct buf data, bytes;

	buf_init(&data, MESSAGE_MAX);
	buf_init(&bytes, MESSAGE_MAX + 14);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		buf_clear(&data);
		for (size_t k = 0; k < sizes[i]; k++)
			buf_put_byte(&data, (char)(k * 131 >> 3));
		buf_clear(&bytes);
		ws_frame_put_masked(&bytes, WS_BINARY, buf_str(&data), mask);
		assert_int_equal(buf_err(&bytes), ERR_OK);
		assert_int_equal(bytes.len, ws_header_bytes(data.len) + 4 + data.len);
		for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
			struct ws ws;
			struct ws_message message;
			unsigned messages = 0;
			bool got;

			ws_init(&ws, true, MESSAGE_MAX);
			for (size_t at = 0; at < bytes.len; at += steps[s]) {
				struct str piece = str_sub(buf_str(&bytes), at, steps[s]);

				assert_int_equal(ws_feed(&ws, &piece, &message, &got), ERR_OK);
				messages += got;
			}
			assert_int_equal(messages, 1);
			assert_int_equal(message.kind, WS_BINARY);
			assert_true(str_eq(message.data, buf_str(&data)));
			ws_fini(&ws);
		}
	}
	buf_fini(&data);
	buf_fini(&bytes);
}

static void test_too_big_in_fragments(void **state)
{
	struct ws ws;
	struct ws_message message;
	struct buf bytes;
	bool got;

	buf_init(&bytes, 1 << 20);
	frame_raw(&bytes, true, 0x01, STR("12345"));
	frame_raw(&bytes, true, 0x00, STR("12345"));
	frame_raw(&bytes, true, 0x80, STR("6"));
	struct str rest = buf_str(&bytes);

	ws_init(&ws, true, 10);
	assert_int_equal(ws_feed(&ws, &rest, &message, &got), ERR_TOO_LARGE);
	assert_int_equal(ws.close_code, 1009);
	assert_int_equal(ws.message.len, 10);
	ws_fini(&ws);

	buf_clear(&bytes);
	frame_raw(&bytes, true, 0x01, STR(""));
	for (int i = 1; i < LIMIT_WS_FRAGMENTS; i++)
		frame_raw(&bytes, true, 0x00, STR(""));
	rest = buf_str(&bytes);
	ws_init(&ws, true, 10);
	assert_int_equal(ws_feed(&ws, &rest, &message, &got), ERR_OK);
	assert_false(got);
	rest = STR("\x80\x80");
	assert_int_equal(ws_feed(&ws, &rest, &message, &got), ERR_TOO_LARGE);
	assert_int_equal(ws.close_code, 1009);
	ws_fini(&ws);
	buf_fini(&bytes);
}

/* A connection that has nothing to say keeps little memory. */
static void test_idle_memory(void **state)
{
	struct ws ws;
	struct ws_message message;
	struct buf data, bytes;
	bool got;

	buf_init(&data, 1 << 20);
	buf_init(&bytes, 1 << 20);
	memset(buf_reserve(&data, 100000), 'x', 100000);
	data.len = 100000;
	ws_frame_put_masked(&bytes, WS_TEXT, buf_str(&data), mask);
	struct str rest = buf_str(&bytes);

	ws_init(&ws, true, MESSAGE_MAX);
	assert_int_equal(ws_feed(&ws, &rest, &message, &got), ERR_OK);
	assert_true(got);
	assert_int_equal(ws_feed(&ws, &rest, &message, &got), ERR_OK);
	assert_false(got);
	assert_true(ws.message.cap + ws.control.cap <= 1024);
	ws_fini(&ws);
	buf_fini(&data);
	buf_fini(&bytes);
}

static bool fail_all(void *arg, uint64_t number)
{
	return true;
}

static void test_no_memory(void **state)
{
	struct ws ws;
	struct ws_message message;
	struct str rest = STR("\x81\x05Hello");
	char accept[29];
	bool got;

	ws_init(&ws, false, MESSAGE_MAX);
	mem_hook_set(fail_all, NULL);
	enum err err = ws_feed(&ws, &rest, &message, &got);
	enum err accept_err = ws_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), accept);

	mem_hook_set(NULL, NULL);
	assert_int_equal(err, ERR_LIMIT);
	assert_int_equal(accept_err, ERR_LIMIT);
	assert_int_equal(ws.close_code, 1013);
	assert_false(got);
	assert_int_equal(ws_feed(&ws, &rest, &message, &got), ERR_LIMIT);
	ws_fini(&ws);
}

static void test_put(void **state)
{
	uint8_t head[10];
	struct buf out;

	buf_init(&out, 1 << 20);
	ws_frame_put(&out, WS_TEXT, STR("Hello"));
	ws_frame_put_masked(&out, WS_TEXT, STR("Hello"), mask);
	ws_close_put(&out, 1000, STR("ok"));
	ws_close_put(&out, 1005, STR("not sent"));
	assert_true(str_eq(buf_str(&out), STR("\x81\x05Hello"
					      "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58\x88\x04\x03\xe8ok\x88\0")));

	assert_int_equal(ws_header_put(head, WS_PONG, 125), 2);
	assert_memory_equal(head, "\x8a\x7d", 2);
	assert_int_equal(ws_header_put(head, WS_BINARY, 126), 4);
	assert_memory_equal(head, "\x82\x7e\0\x7e", 4);
	assert_int_equal(ws_header_put(head, WS_TEXT, 65535), 4);
	assert_memory_equal(head, "\x81\x7e\xff\xff", 4);
	assert_int_equal(ws_header_put(head, WS_TEXT, 65536), 10);
	assert_memory_equal(head, "\x81\x7f\0\0\0\0\0\1\0\0", 10);
	assert_int_equal(ws_header_bytes(125), 2);
	assert_int_equal(ws_header_bytes(65535), 4);
	assert_int_equal(ws_header_bytes(65536), 10);

	/* 122 bytes of text, then one of two bytes: cut before it. */
	struct buf reason;

	buf_init(&reason, 1000);
	for (int i = 0; i < 122; i++)
		buf_put_byte(&reason, 'x');
	buf_put_str(&reason, STR("\xc3\xa4"));
	buf_clear(&out);
	ws_close_put(&out, 4008, buf_str(&reason));
	assert_int_equal(out.len, 2 + 2 + 122);
	expect(false, &out, "[close 4008 122 bytes]");

	/* A buf without room is left as it was. */
	struct buf small;

	buf_init(&small, 6);
	ws_frame_put(&small, WS_TEXT, STR("Hello"));
	assert_int_equal(small.len, 0);
	assert_int_equal(buf_err(&small), ERR_LIMIT);
	buf_fini(&small);
	buf_fini(&reason);
	buf_fini(&out);
}

static void test_close_codes(void **state)
{
	unsigned valid = 0;

	for (int code = -1; code < 70000; code++)
		valid += ws_close_code_valid(code);
	assert_int_equal(valid, 4 + 8 + 2000);
	assert_true(ws_close_code_valid(1003));
	assert_true(ws_close_code_valid(1007));
	assert_true(ws_close_code_valid(3000));
	assert_false(ws_close_code_valid(1004));
	assert_false(ws_close_code_valid(1006));
	assert_false(ws_close_code_valid(1015));
	assert_false(ws_close_code_valid(2999));
}

static void test_accept(void **state)
{
	char out[29];

	assert_int_equal(ws_accept(STR("dGhlIHNhbXBsZSBub25jZQ=="), out), ERR_OK);
	assert_string_equal(out, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_int_equal(ws_accept(STR(""), out), ERR_MALFORMED);
	assert_int_equal(ws_accept(STR("dGhlIHNhbXBsZSBub25jZQ="), out), ERR_MALFORMED);
	assert_int_equal(ws_accept(STR("dGhlIHNhbXBsZSBub25jZR=="), out), ERR_MALFORMED);
	assert_int_equal(ws_accept(STR("dGhlIHNhbXBsZSBub25jZSE="), out), ERR_MALFORMED);
	assert_int_equal(ws_accept(STR("dGhlIHNhbXBsZSBub25jZSEh"), out), ERR_MALFORMED);
	assert_int_equal(ws_accept(STR("dGhlIHNhbXBsZSBub25j_Q=="), out), ERR_MALFORMED);
}

struct sha1_row {
	struct str text;
	unsigned times;
	const char *digest;
};

static void test_sha1(void **state)
{
	static const struct sha1_row digests[] = {
		{STR(""), 1, "da39a3ee5e6b4b0d3255bfef95601890afd80709"},
		{STR("abc"), 1, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"), 1,
		 "84983e441c3bd26ebaae4aa1f95129e5e54670f1"},
		{STR("a"), 1000000, "34aa973cd4c4daa4f61eeb2bdbad27316534016f"},
		{STR("0123456701234567012345670123456701234567012345670123456701234567"), 10,
		 "dea356a2cddd90c7a7ecedc5ebb563934f460452"},
	};

	for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		struct buf text;
		uint8_t digest[20];
		char hex[41];

		buf_init(&text, 1 << 20);
		for (unsigned k = 0; k < digests[i].times; k++)
			buf_put_str(&text, digests[i].text);
		sha1_digest(buf_str(&text), digest);
		for (int k = 0; k < 20; k++)
			snprintf(hex + 2 * k, 3, "%02x", digest[k]);
		assert_string_equal(hex, digests[i].digest);
		buf_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_too_big_in_fragments),
		cmocka_unit_test(test_idle_memory),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_close_codes),
		cmocka_unit_test(test_accept),
		cmocka_unit_test(test_sha1),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
