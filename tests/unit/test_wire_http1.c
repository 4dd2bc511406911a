/*
 * Request heads and bodies: what is taken, what is refused, and that the cut into pieces never matters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buf.h"
#include "wire/http1.h"

struct head_row {
	const char *what;
	struct str bytes;
	enum err want;
};

#define H "Host: a\r\n"
#define G "GET / HTTP/1.1\r\n"
#define P "POST /v1/chat HTTP/1.1\r\nHost: a\r\n"
#define ROW(what, bytes, want) {what, {"" bytes, sizeof(bytes) - 1}, ERR_##want}

static const struct head_row head_rows[] = {
	ROW("plain", G H "\r\n", OK),
	ROW("1.0 without Host", "GET / HTTP/1.0\r\n\r\n", OK),
	ROW("1.0 with Host", "GET / HTTP/1.0\r\n" H "\r\n", OK),
	ROW("query", "GET /a/b?c=d%20e&f[]=1 HTTP/1.1\r\n" H "\r\n", OK),
	ROW("other method", "PROPFIND / HTTP/1.1\r\n" H "\r\n", OK),
	ROW("one empty line first", "\r\n" G H "\r\n", OK),
	ROW("two empty lines first", "\r\n\r\n" G H "\r\n", OK),
	ROW("no space after the colon", G "Host:a\r\n\r\n", OK),
	ROW("white space around a value", G "Host:  a \t\r\n\r\n", MALFORMED),
	ROW("tabs around a harmless value", G H "X:\t b \t\r\n\r\n", OK),
	ROW("empty value", G H "X:\r\n\r\n", OK),
	ROW("obs-text in a value", G H "X: \xc3\xa4\r\n\r\n", OK),
	ROW("Host with port", G "Host: example.org:8080\r\n\r\n", OK),
	ROW("Host IPv6", G "Host: [::1]:80\r\n\r\n", OK),
	ROW("Host IPv6 without port", G "Host: [2001:db8::1]\r\n\r\n", OK),
	ROW("length 0", P "Content-Length: 0\r\n\r\n", OK),
	ROW("length int64 max", P "Content-Length: 9223372036854775807\r\n\r\n", OK),
	ROW("chunked", P "Transfer-Encoding: chunked\r\n\r\n", OK),
	ROW("field name in another case", P "tRANSFER-eNCODING: chunked\r\n\r\n", OK),
	ROW("all token bytes in a name", G H "!#$%&'*+-.^_`|~09azAZ: x\r\n\r\n", OK),

	ROW("three empty lines first", "\r\n\r\n\r\n" G H "\r\n", MALFORMED),
	ROW("LF first", "\n" G H "\r\n", MALFORMED),
	ROW("CR without LF first", "\rGET / HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("space first", " " G H "\r\n", MALFORMED),
	ROW("TLS client hello", "\x16\x03\x01\x02\x00", MALFORMED),
	ROW("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\n", MALFORMED),
	ROW("method with control byte", "GE\x01T / HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("method with NUL", "GE\0T / HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("method with colon", "GE:T / HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("method of 33 bytes", "AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDD / HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("two spaces after the method", "GET  / HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("tab after the method", "GET\t/ HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("two spaces before the version", "GET /  HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("no target", "GET HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("HTTP/0.9", "GET /\r\n", MALFORMED),
	ROW("absolute target", "GET http://a/ HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("asterisk target", "OPTIONS * HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("authority target", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("fragment in the target", "GET /a#b HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("backslash in the target", "GET /a\\b HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("obs-text in the target", "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("tab in the target", "GET /a\tb HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("NUL in the target", "GET /a\0b HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("DEL in the target", "GET /a\x7f HTTP/1.1\r\n" H "\r\n", MALFORMED),
	ROW("HTTP/1.2", "GET / HTTP/1.2\r\n" H "\r\n", MALFORMED),
	ROW("HTTP/2.0", "GET / HTTP/2.0\r\n" H "\r\n", MALFORMED),
	ROW("http/1.1", "GET / http/1.1\r\n" H "\r\n", MALFORMED),
	ROW("HTTP/1.10", "GET / HTTP/1.10\r\n" H "\r\n", MALFORMED),
	ROW("HTTP/01.1", "GET / HTTP/01.1\r\n" H "\r\n", MALFORMED),
	ROW("space after the version", "GET / HTTP/1.1 \r\n" H "\r\n", MALFORMED),
	ROW("bare LF after the request line", "GET / HTTP/1.1\n" H "\r\n", MALFORMED),
	ROW("bare CR after the request line", "GET / HTTP/1.1\r" H "\r\n", MALFORMED),

	ROW("bare LF after a field", G "Host: a\n\r\n", MALFORMED),
	ROW("bare LF as the empty line", G H "\n", MALFORMED),
	ROW("bare CR in a value", G H "X: a\rb\r\n\r\n", MALFORMED),
	ROW("CR CR LF", G H "X: a\r\r\n\r\n", MALFORMED),
	ROW("CR without LF as the empty line", G H "\rX: y\r\n\r\n", MALFORMED),
	ROW("obs-fold", G H "X: a\r\n b\r\n\r\n", MALFORMED),
	ROW("obs-fold with tab", G H "X: a\r\n\tb\r\n\r\n", MALFORMED),
	ROW("white space before the first field", G " " H "\r\n", MALFORMED),
	ROW("space before the colon", P "Content-Length : 5\r\n\r\n", MALFORMED),
	ROW("tab before the colon", P "Transfer-Encoding\t: chunked\r\n\r\n", MALFORMED),
	ROW("no colon", G H "X\r\n\r\n", MALFORMED),
	ROW("empty name", G H ": x\r\n\r\n", MALFORMED),
	ROW("control byte in a name", G H "X\x0b: x\r\n\r\n", MALFORMED),
	ROW("obs-text in a name", G H "X\xff: x\r\n\r\n", MALFORMED),
	ROW("slash in a name", G H "X/Y: x\r\n\r\n", MALFORMED),
	ROW("NUL in a value", G H "X: a\0b\r\n\r\n", MALFORMED),
	ROW("vertical tab in a value", G H "X: a\x0b\r\n\r\n", MALFORMED),
	ROW("DEL in a value", G H "X: a\x7f\r\n\r\n", MALFORMED),
	ROW("escape in a value", G H "X: \x1b[31m\r\n\r\n", MALFORMED),

	ROW("no Host", G "\r\n", MALFORMED),
	ROW("two Hosts, equal", G H H "\r\n", MALFORMED),
	ROW("two Hosts, different case", G H "hOST: b\r\n\r\n", MALFORMED),
	ROW("two Hosts in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", MALFORMED),
	ROW("empty Host", G "Host:\r\n\r\n", MALFORMED),
	ROW("Host with user", G "Host: u@a\r\n\r\n", MALFORMED),
	ROW("Host with path", G "Host: a/b\r\n\r\n", MALFORMED),
	ROW("Host with space", G "Host: a b\r\n\r\n", MALFORMED),
	ROW("Host list", G "Host: a, b\r\n\r\n", MALFORMED),
	ROW("Host port not a number", G "Host: a:b\r\n\r\n", MALFORMED),
	ROW("Host port empty", G "Host: a:\r\n\r\n", MALFORMED),
	ROW("Host port too big", G "Host: a:65536\r\n\r\n", MALFORMED),
	ROW("Host port of six digits", G "Host: a:000080\r\n\r\n", MALFORMED),
	ROW("Host only a port", G "Host: :80\r\n\r\n", MALFORMED),
	ROW("Host bracket open", G "Host: [::1\r\n\r\n", MALFORMED),
	ROW("Host bracket with name", G "Host: [evil]\r\n\r\n", MALFORMED),
	ROW("Host bracket with tail", G "Host: [::1]x\r\n\r\n", MALFORMED),
	ROW("Host obs-text", G "Host: \xc3\xa4\r\n\r\n", MALFORMED),

	ROW("two lengths, different", P "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", MALFORMED),
	ROW("two lengths, equal", P "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", MALFORMED),
	ROW("length list", P "Content-Length: 5, 5\r\n\r\n", MALFORMED),
	ROW("length and chunked", P "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", MALFORMED),
	ROW("chunked and length", P "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", MALFORMED),
	ROW("unknown coding and length", P "Transfer-Encoding: x\r\nContent-Length: 5\r\n\r\n", MALFORMED),
	ROW("length +", P "Content-Length: +5\r\n\r\n", MALFORMED),
	ROW("length -", P "Content-Length: -5\r\n\r\n", MALFORMED),
	ROW("length empty", P "Content-Length:\r\n\r\n", MALFORMED),
	ROW("length hex", P "Content-Length: 0x5\r\n\r\n", MALFORMED),
	ROW("length with space", P "Content-Length: 5 5\r\n\r\n", MALFORMED),
	ROW("length with fraction", P "Content-Length: 5.0\r\n\r\n", MALFORMED),
	ROW("length with leading zero", P "Content-Length: 05\r\n\r\n", MALFORMED),
	ROW("length after a tab", P "Content-Length:\t5\r\n\r\n", MALFORMED),
	ROW("length over int64", P "Content-Length: 9223372036854775808\r\n\r\n", MALFORMED),
	ROW("length of 20 digits", P "Content-Length: 18446744073709551621\r\n\r\n", MALFORMED),
	ROW("length of other digits", P "Content-Length: \xd9\xa5\r\n\r\n", MALFORMED),
	ROW("two codings fields", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", MALFORMED),
	ROW("two codings fields, other", P "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", MALFORMED),
	ROW("chunked in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", MALFORMED),
	ROW("chunked after a tab", P "Transfer-Encoding:\tchunked\r\n\r\n", MALFORMED),
	ROW("chunked after a vertical tab", P "Transfer-Encoding: \x0b" "chunked\r\n\r\n", MALFORMED),
	ROW("xchunked", P "Transfer-Encoding: xchunked\r\n\r\n", NOT_IMPLEMENTED),
	ROW("Chunked", P "Transfer-Encoding: Chunked\r\n\r\n", NOT_IMPLEMENTED),
	ROW("gzip, chunked", P "Transfer-Encoding: gzip, chunked\r\n\r\n", NOT_IMPLEMENTED),
	ROW("chunked, identity", P "Transfer-Encoding: chunked, identity\r\n\r\n", NOT_IMPLEMENTED),
	ROW("identity", P "Transfer-Encoding: identity\r\n\r\n", NOT_IMPLEMENTED),
	ROW("chunked with parameter", P "Transfer-Encoding: chunked;q=1\r\n\r\n", NOT_IMPLEMENTED),
	ROW("quoted chunked", P "Transfer-Encoding: \"chunked\"\r\n\r\n", NOT_IMPLEMENTED),
	ROW("empty coding", P "Transfer-Encoding:\r\n\r\n", NOT_IMPLEMENTED),

	ROW("nothing", "", AGAIN),
	ROW("half a method", "GE", AGAIN),
	ROW("half a line", "GET / HTT", AGAIN),
	ROW("half a CRLF", "GET / HTTP/1.1\r", AGAIN),
	ROW("half an end", G H "\r", AGAIN),
	ROW("only an empty line", "\r\n", AGAIN),
};

/* The answer of the first prefix that has one. */
static enum err feed_bytewise(struct str bytes, struct http1_head *out, const char **reason)
{
	enum err err = ERR_AGAIN;

	for (size_t len = 0; len <= bytes.len && err == ERR_AGAIN; len++)
		err = http1_head(str_make(bytes.at, len), out, reason);
	return err;
}

static void same_head(const struct http1_head *a, const struct http1_head *b)
{
	assert_int_equal(a->method, b->method);
	assert_true(str_eq(a->target, b->target));
	assert_int_equal(a->minor, b->minor);
	assert_int_equal(a->field_count, b->field_count);
	assert_int_equal(a->content_length, b->content_length);
	assert_int_equal(a->chunked, b->chunked);
	assert_int_equal(a->head_bytes, b->head_bytes);
	for (unsigned i = 0; i < a->field_count; i++) {
		assert_true(str_eq(a->fields[i].name, b->fields[i].name));
		assert_true(str_eq(a->fields[i].value, b->fields[i].value));
	}
}

static void test_heads(void **state)
{
	static struct http1_head whole, split;

	for (size_t i = 0; i < sizeof(head_rows) / sizeof(head_rows[0]); i++) {
		const struct head_row *row = &head_rows[i];
		const char *reason, *split_reason;
		enum err err = http1_head(row->bytes, &whole, &reason);

		if (err != row->want)
			fail_msg("%s: got %d, wanted %d (%s)", row->what, err, row->want, reason ? reason : "-");
		if (err == ERR_OK || err == ERR_AGAIN)
			assert_null(reason);
		else
			assert_non_null(reason);
		if (feed_bytewise(row->bytes, &split, &split_reason) != err || reason != split_reason)
			fail_msg("%s: byte by byte the answer differs", row->what);
		if (err == ERR_OK) {
			assert_int_equal(whole.head_bytes, row->bytes.len);
			same_head(&whole, &split);
		}
	}
}

/* A head that is refused is refused before its end: at the byte that breaks the rule. */
static void test_refused_early(void **state)
{
	static struct http1_head head;
	const char *reason;

	assert_int_equal(http1_head(STR("\x16"), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR("GET h"), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR("GET / HTTP/2"), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR("GET / HTTP/1.1\n"), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR(G "A:b\n"), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR(G "A:b\r\n "), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR(G "A "), &head, &reason), ERR_MALFORMED);
	assert_int_equal(http1_head(STR(G "A:\1"), &head, &reason), ERR_MALFORMED);
}

static void test_head_values(void **state)
{
	static struct http1_head head;
	const char *reason;
	struct str bytes = STR("\r\nPOST /v1/chat?x=1 HTTP/1.1\r\nHost: a:1\r\nX-One:  two three \r\nx-one: again\r\n"
			       "Content-Length: 12\r\nExpect: 100-Continue\r\n\r\nbody and more");

	assert_int_equal(http1_head(bytes, &head, &reason), ERR_OK);
	assert_int_equal(head.method, HTTP1_POST);
	assert_true(str_eq(head.method_text, STR("POST")));
	assert_true(str_eq(head.target, STR("/v1/chat?x=1")));
	assert_int_equal(head.minor, 1);
	assert_int_equal(head.field_count, 5);
	assert_int_equal(head.content_length, 12);
	assert_false(head.chunked);
	assert_true(head.keep_alive);
	assert_true(head.expect_continue);
	assert_false(head.upgrade_websocket);
	assert_int_equal(head.head_bytes, bytes.len - strlen("body and more"));
	assert_true(str_eq(http1_field(&head, STR("X-ONE")), STR("two three")));
	assert_int_equal(http1_field_count(&head, STR("X-One")), 2);
	assert_int_equal(http1_field_count(&head, STR("X-Two")), 0);
	assert_null(http1_field(&head, STR("X-Two")).at);
	assert_string_equal(http1_method_name(HTTP1_PATCH), "PATCH");

	assert_int_equal(http1_head(STR("BREW / HTTP/1.1\r\n" H "\r\n"), &head, &reason), ERR_OK);
	assert_int_equal(head.method, HTTP1_OTHER);
	assert_true(str_eq(head.method_text, STR("BREW")));
	assert_int_equal(head.content_length, -1);
	assert_int_equal(http1_head(STR("get / HTTP/1.1\r\n" H "\r\n"), &head, &reason), ERR_OK);
	assert_int_equal(head.method, HTTP1_OTHER);
}

struct option_row {
	struct str bytes;
	bool keep_alive;
	bool upgrade;
	bool expect;
};

static void test_options(void **state)
{
	static struct http1_head head;
	static const struct option_row rows[] = {
		{STR(G H "\r\n"), true, false, false},
		{STR(G H "Connection: close\r\n\r\n"), false, false, false},
		{STR(G H "Connection: keep-alive, CLOSE\r\n\r\n"), false, false, false},
		{STR(G H "Connection: a\r\nConnection: ,close\r\n\r\n"), false, false, false},
		{STR(G H "Connection: closed\r\n\r\n"), true, false, false},
		{STR("GET / HTTP/1.0\r\n\r\n"), false, false, false},
		{STR("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true, false, false},
		{STR("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false, false, false},
		{STR(G H "Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n"), true, true, false},
		{STR(G H "Connection: Upgrade\r\nUpgrade: h2c, websocket\r\n\r\n"), true, true, false},
		{STR(G H "Upgrade: websocket\r\n\r\n"), true, false, false},
		{STR(G H "Connection: upgrade\r\n\r\n"), true, false, false},
		{STR(G H "Connection: upgrade\r\nUpgrade: websockets\r\n\r\n"), true, false, false},
		{STR("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), false, false, false},
		{STR(G H "Expect: 100-continue\r\n\r\n"), true, false, true},
		{STR(G H "Expect: 200-ok\r\n\r\n"), true, false, false},
		{STR("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), false, false, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *reason;

		assert_int_equal(http1_head(rows[i].bytes, &head, &reason), ERR_OK);
		if (head.keep_alive != rows[i].keep_alive || head.upgrade_websocket != rows[i].upgrade ||
		    head.expect_continue != rows[i].expect)
			fail_msg("row %zu: %d %d %d", i, head.keep_alive, head.upgrade_websocket, head.expect_continue);
	}
	assert_true(http1_has_token(STR(" a ,\tB,"), STR("b")));
	assert_false(http1_has_token(STR("ab, a b"), STR("b")));
	assert_false(http1_has_token(STR(""), STR("b")));
}

static enum err both_ways(const struct buf *bytes, struct http1_head *head)
{
	static struct http1_head split;
	const char *reason;
	enum err err = http1_head(buf_str(bytes), head, &reason);
	enum err by_byte = ERR_AGAIN;

	for (size_t len = 1; len <= bytes->len && by_byte == ERR_AGAIN; len += len < 200 || len + 200 > bytes->len ? 1 : 97)
		by_byte = http1_head(str_make(bytes->at, len), &split, &reason);
	if (by_byte == ERR_AGAIN)
		by_byte = http1_head(buf_str(bytes), &split, &reason);
	assert_int_equal(err, by_byte);
	return err;
}

static void fields_put(struct buf *buf, unsigned count)
{
	buf_clear(buf);
	buf_put_str(buf, STR(G H));
	for (unsigned i = 1; i < count; i++)
		buf_format(buf, "X-%u: y\r\n", i);
	buf_put_str(buf, STR("\r\n"));
}

static void target_put(struct buf *buf, size_t len)
{
	buf_clear(buf);
	buf_put_str(buf, STR("GET /"));
	for (size_t i = 1; i < len; i++)
		buf_put_byte(buf, 'a');
	buf_put_str(buf, STR(" HTTP/1.1\r\n" H "\r\n"));
}

/* A head of exactly len bytes. */
static void sized_put(struct buf *buf, size_t len)
{
	buf_clear(buf);
	buf_put_str(buf, STR(G H "X: "));
	while (buf->len < len - 4)
		buf_put_byte(buf, 'x');
	buf_put_str(buf, STR("\r\n\r\n"));
}

static void test_head_caps(void **state)
{
	static struct http1_head head;
	struct buf buf;

	buf_init(&buf, 1 << 20);
	fields_put(&buf, LIMIT_HEAD_FIELDS);
	assert_int_equal(both_ways(&buf, &head), ERR_OK);
	assert_int_equal(head.field_count, LIMIT_HEAD_FIELDS);
	fields_put(&buf, LIMIT_HEAD_FIELDS + 1);
	assert_int_equal(both_ways(&buf, &head), ERR_HEAD_TOO_LARGE);
	target_put(&buf, LIMIT_TARGET_BYTES);
	assert_int_equal(both_ways(&buf, &head), ERR_OK);
	target_put(&buf, LIMIT_TARGET_BYTES + 1);
	assert_int_equal(both_ways(&buf, &head), ERR_HEAD_TOO_LARGE);
	sized_put(&buf, LIMIT_HEAD_BYTES);
	assert_int_equal(both_ways(&buf, &head), ERR_OK);
	assert_int_equal(head.head_bytes, LIMIT_HEAD_BYTES);
	buf_put_str(&buf, STR("the next request is no concern of this one"));
	assert_int_equal(both_ways(&buf, &head), ERR_OK);
	sized_put(&buf, LIMIT_HEAD_BYTES + 1);
	assert_int_equal(both_ways(&buf, &head), ERR_HEAD_TOO_LARGE);
	assert_int_equal(buf_err(&buf), ERR_OK);
	buf_fini(&buf);
}

struct body_row {
	const char *what;
	struct str bytes;
	int64_t bytes_max;
	enum err want; /* ERR_AGAIN: no error, not done */
	struct str data;
	size_t left_over;
};

#define BODY(what, bytes, max, want, data, left) \
	{what, {"" bytes, sizeof(bytes) - 1}, max, ERR_##want, {"" data, sizeof(data) - 1}, left}

static const struct body_row chunked_rows[] = {
	BODY("empty", "0\r\n\r\n", 10, OK, "", 0),
	BODY("one chunk", "5\r\nhello\r\n0\r\n\r\n", 10, OK, "hello", 0),
	BODY("two chunks and the next request", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\nGET ", 10, OK, "abc", 4),
	BODY("hex in both cases", "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n", 21, OK, "01234567890123456789a", 0),
	BODY("leading zeros", "0005\r\nhello\r\n000\r\n\r\n", 10, OK, "hello", 0),
	BODY("extension", "5;a=b;c=\"d e\"\r\nhello\r\n0;x\r\n\r\n", 10, OK, "hello", 0),
	BODY("trailer", "0\r\nX: y\r\nZ:\r\n\r\n", 10, OK, "", 0),
	BODY("data with line ends", "4\r\n\r\n\r\n\r\n0\r\n\r\n", 10, OK, "\r\n\r\n", 0),
	BODY("exactly the cap", "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", 5, OK, "abcde", 0),
	BODY("not at its end", "5\r\nhel", 10, AGAIN, "hel", 0),
	BODY("end without its empty line", "5\r\nhello\r\n0\r\n", 10, AGAIN, "hello", 0),
	BODY("over the cap", "6\r\nabcdef\r\n", 5, TOO_LARGE, "", 0),
	BODY("over the cap in all", "3\r\nabc\r\n3\r\ndef\r\n", 5, TOO_LARGE, "abc", 0),
	BODY("cap 0", "1\r\na\r\n", 0, TOO_LARGE, "", 0),
	BODY("no size", "\r\nhello", 10, MALFORMED, "", 0),
	BODY("no size but an extension", ";a\r\n", 10, MALFORMED, "", 0),
	BODY("0x", "0x5\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("minus", "-1\r\n", 10, MALFORMED, "", 0),
	BODY("plus", "+5\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("space first", " 5\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("space after the size", "5 \r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("space before an extension", "5 ;a\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("tab after the size", "5\t\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("no hex digit", "g\r\n", 10, MALFORMED, "", 0),
	BODY("overlong size", "0000000000000005\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("wrapping size", "10000000000000005\r\nhello\r\n", INT64_MAX, MALFORMED, "", 0),
	BODY("bare LF after the size", "5\nhello\r\n0\r\n\r\n", 10, MALFORMED, "", 0),
	BODY("bare CR after the size", "5\rhello\r\n", 10, MALFORMED, "", 0),
	BODY("bare LF in an extension", "5;a\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("NUL in an extension", "5;\0\r\nhello\r\n", 10, MALFORMED, "", 0),
	BODY("bare LF after the data", "5\r\nhello\n0\r\n\r\n", 10, MALFORMED, "hello", 0),
	BODY("bare CR after the data", "5\r\nhello\r0\r\n\r\n", 10, MALFORMED, "hello", 0),
	BODY("data longer than its size", "5\r\nhellooo\r\n0\r\n\r\n", 10, MALFORMED, "hello", 0),
	BODY("bare LF at the end", "0\r\n\n", 10, MALFORMED, "", 0),
	BODY("bare CR at the end", "0\r\n\rX", 10, MALFORMED, "", 0),
	BODY("trailer without colon", "0\r\nX\r\n\r\n", 10, MALFORMED, "", 0),
	BODY("trailer folded", "0\r\nX: y\r\n z\r\n\r\n", 10, MALFORMED, "", 0),
	BODY("trailer with space before the colon", "0\r\nX : y\r\n\r\n", 10, MALFORMED, "", 0),
	BODY("trailer with NUL", "0\r\nX: \0\r\n\r\n", 10, MALFORMED, "", 0),
	BODY("trailer with bare LF", "0\r\nX: y\n\r\n", 10, MALFORMED, "", 0),
	BODY("trailer without name", "0\r\n: y\r\n\r\n", 10, MALFORMED, "", 0),
};

/* Feeds in pieces of at most step bytes. */
static enum err body_run(const struct http1_head *head, struct str bytes, int64_t max, size_t step, struct buf *data,
			 size_t *left_over, const char **reason)
{
	struct http1_body body;
	struct str run;

	buf_clear(data);
	enum err err = http1_body_begin(&body, head, max);

	while (err == ERR_OK && bytes.len > 0 && !body.done) {
		struct str piece = str_sub(bytes, 0, step);
		size_t before = piece.len;

		do {
			err = http1_body_feed(&body, &piece, &run, reason);
			if (err == ERR_OK)
				buf_put_str(data, run);
		} while (err == ERR_OK && piece.len > 0 && !body.done);
		bytes = str_sub(bytes, before - piece.len, bytes.len);
	}
	*left_over = bytes.len;
	if (err != ERR_OK)
		return err;
	assert_int_equal(body.total, (int64_t)data->len);
	return body.done ? ERR_OK : ERR_AGAIN;
}

static void test_chunked(void **state)
{
	struct http1_head head = {.chunked = true, .content_length = -1};
	struct buf data;

	buf_init(&data, 1 << 20);
	for (size_t i = 0; i < sizeof(chunked_rows) / sizeof(chunked_rows[0]); i++) {
		const struct body_row *row = &chunked_rows[i];

		for (size_t step = 1; step <= row->bytes.len; step++) {
			const char *reason = NULL;
			size_t left = 0;
			enum err err = body_run(&head, row->bytes, row->bytes_max, step, &data, &left, &reason);

			if (err != row->want || !str_eq(buf_str(&data), row->data))
				fail_msg("%s, pieces of %zu: got %d, wanted %d, %zu data bytes", row->what, step, err, row->want,
					 data.len);
			if (err == ERR_OK)
				assert_int_equal(left, row->left_over);
			if (err != ERR_OK && err != ERR_AGAIN)
				assert_non_null(reason);
		}
	}
	buf_fini(&data);
}

static void test_with_length(void **state)
{
	struct http1_head head = {.content_length = 5};
	struct http1_body body;
	struct buf data;
	const char *reason;
	size_t left;

	buf_init(&data, 1 << 20);
	for (size_t step = 1; step < 12; step++) {
		assert_int_equal(body_run(&head, STR("helloGET /"), 5, step, &data, &left, &reason), ERR_OK);
		assert_true(str_eq(buf_str(&data), STR("hello")));
		assert_int_equal(left, 5);
	}
	assert_int_equal(body_run(&head, STR("hell"), 5, 9, &data, &left, &reason), ERR_AGAIN);
	assert_int_equal(http1_body_begin(&body, &head, 4), ERR_TOO_LARGE);
	head.content_length = 0;
	assert_int_equal(http1_body_begin(&body, &head, 4), ERR_OK);
	assert_true(body.done);
	head.content_length = -1;
	assert_int_equal(http1_body_begin(&body, &head, 0), ERR_OK);
	assert_true(body.done);
	buf_fini(&data);
}

/* Extensions are counted over the whole body, trailers over all of them. */
static void test_extra_caps(void **state)
{
	struct http1_head head = {.chunked = true, .content_length = -1};
	struct buf data, bytes;
	const char *reason;
	size_t left;

	buf_init(&data, 1 << 20);
	buf_init(&bytes, 1 << 20);
	for (int i = 0; i < 90; i++)
		buf_put_str(&bytes, STR("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"));
	buf_put_str(&bytes, STR("0\r\n\r\n"));
	assert_int_equal(body_run(&head, buf_str(&bytes), 1000, 7, &data, &left, &reason), ERR_OK);
	assert_int_equal(data.len, 90);
	buf_clear(&bytes);
	for (int i = 0; i < 200; i++)
		buf_put_str(&bytes, STR("1;aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\nx\r\n"));
	assert_int_equal(body_run(&head, buf_str(&bytes), 1000, 7, &data, &left, &reason), ERR_TOO_LARGE);
	buf_clear(&bytes);
	buf_put_str(&bytes, STR("0\r\n"));
	for (int i = 0; i < 500; i++)
		buf_put_str(&bytes, STR("X: yyyyy\r\n"));
	assert_int_equal(body_run(&head, buf_str(&bytes), 1000, 7, &data, &left, &reason), ERR_TOO_LARGE);
	assert_int_equal(body_run(&head, buf_str(&bytes), 1000, bytes.len, &data, &left, &reason), ERR_TOO_LARGE);
	buf_fini(&bytes);
	buf_fini(&data);
}

static void test_refused_stays_refused(void **state)
{
	struct http1_head head = {.chunked = true, .content_length = -1};
	struct http1_body body;
	struct str rest = STR("x"), more = STR("0\r\n\r\n"), data;
	const char *reason;

	assert_int_equal(http1_body_begin(&body, &head, 9), ERR_OK);
	assert_int_equal(http1_body_feed(&body, &rest, &data, &reason), ERR_MALFORMED);
	assert_int_equal(http1_body_feed(&body, &more, &data, &reason), ERR_MALFORMED);
	assert_false(body.done);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heads),
		cmocka_unit_test(test_refused_early),
		cmocka_unit_test(test_head_values),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_head_caps),
		cmocka_unit_test(test_chunked),
		cmocka_unit_test(test_with_length),
		cmocka_unit_test(test_extra_caps),
		cmocka_unit_test(test_refused_stays_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
