/*
 * Event streams: the standard's line ends and fields, and that no cut into pieces changes an event.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "wire/sse.h"

struct row {
	const char *what;
	struct str bytes;
	struct str want; /* each event as [event|data|id|retry] */
};

#define ROW(what, bytes, want) {what, {"" bytes, sizeof(bytes) - 1}, {"" want, sizeof(want) - 1}}

static const struct row rows[] = {
	ROW("LF", "data: a\n\ndata: b\n\n", "[|a||-1][|b||-1]"),
	ROW("CR", "data: a\r\rdata: b\r\r", "[|a||-1][|b||-1]"),
	ROW("CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", "[|a||-1][|b||-1]"),
	ROW("CRLF is one line end", "event: x\r\ndata: a\r\ndata: b\r\n\r\n", "[x|a\nb||-1]"),
	ROW("mixed ends", "data: a\rdata: b\ndata: c\r\n\rdata: d\n\r\n", "[|a\nb\nc||-1][|d||-1]"),
	ROW("BOM", "\xef\xbb\xbf" "data: a\n\n", "[|a||-1]"),
	ROW("BOM only at the start", "data: a\n\n\xef\xbb\xbf" "data: b\n\n", "[|a||-1]"),
	ROW("second BOM is text", "\xef\xbb\xbf\xef\xbb\xbf" "data: a\n\n", ""),
	ROW("half a BOM is text", "\xef\xbb" "data: a\n\n", ""),
	ROW("comments", ": hello\ndata: a\n:\n:data: x\n\n: bye\n\n", "[|a||-1]"),
	ROW("several data lines", "data: a\ndata: b\ndata:\ndata: c\n\n", "[|a\nb\n\nc||-1]"),
	ROW("one space is cut", "data:  a\ndata:b\n\n", "[| a\nb||-1]"),
	ROW("no colon", "data\n\ndata\ndata\n\n", "[|||-1][|\n||-1]"),
	ROW("colons in the value", "data: a:b: c\n\n", "[|a:b: c||-1]"),
	ROW("event", "event: x\ndata: 1\n\ndata: 2\n\n", "[x|1||-1][|2||-1]"),
	ROW("last event line counts", "event: x\nevent: y\ndata: 1\n\n", "[y|1||-1]"),
	ROW("event without data is forgotten", "event: x\n\ndata: 1\n\n", "[|1||-1]"),
	ROW("id stays", "id: 7\ndata: 1\n\ndata: 2\n\nid\ndata: 3\n\n", "[|1|7|-1][|2|7|-1][|3||-1]"),
	ROW("id without data stays", "id: 7\n\ndata: 1\n\n", "[|1|7|-1]"),
	ROW("id with NUL is ignored", "id: 7\nid: 8\0\ndata: 1\n\n", "[|1|7|-1]"),
	ROW("retry", "retry: 1500\ndata: 1\n\ndata: 2\n\n", "[|1||1500][|2||-1]"),
	ROW("retry of its own", "retry: 10\n\ndata: 1\n\n", "[|1||10]"),
	ROW("bad retry", "retry: -5\nretry: 1.5\nretry: x\nretry:\nretry: 99999999999999999999\ndata: 1\n\n", "[|1||-1]"),
	ROW("unknown fields", "foo: 1\nDATA: 2\n data: 3\ndata : 4\n\n", ""),
	ROW("last newline missing", "data: a\n\ndata: b\n", "[|a||-1][|b||-1]"),
	ROW("last line end missing", "data: a\n\ndata: b", "[|a||-1][|b||-1]"),
	ROW("end after CR", "data: a\r", "[|a||-1]"),
	ROW("half a field at the end", "data: a\n\ndat", "[|a||-1]"),
	ROW("only empty lines", "\n\n\r\n\r\r", ""),
	ROW("nothing", "", ""),
	ROW("UTF-8", "data: \xf0\x9f\x98\x80\n\n", "[|\xf0\x9f\x98\x80||-1]"),
};

static void event_note(struct buf *got, const struct sse_event *event)
{
	buf_put_byte(got, '[');
	buf_put_str(got, event->event);
	buf_put_byte(got, '|');
	buf_put_str(got, event->data);
	buf_put_byte(got, '|');
	buf_put_str(got, event->id);
	buf_put_byte(got, '|');
	buf_put_i64(got, event->retry_ms);
	buf_put_byte(got, ']');
}

static enum err piece_feed(struct sse *sse, struct str piece, struct buf *got)
{
	struct sse_event event;
	enum err err;
	bool more;

	do {
		err = sse_feed(sse, &piece, &event, &more);
		if (err == ERR_OK && more)
			event_note(got, &event);
	} while (err == ERR_OK && (more || piece.len > 0));
	return err;
}

/* first bytes, then pieces of step bytes. */
static enum err run(struct str bytes, size_t bytes_max, size_t first, size_t step, struct buf *got)
{
	struct sse sse;
	struct sse_event event;
	enum err err;

	sse_init(&sse, bytes_max);
	buf_clear(got);
	err = piece_feed(&sse, str_sub(bytes, 0, first), got);
	for (size_t at = first; err == ERR_OK && at < bytes.len; at += step)
		err = piece_feed(&sse, str_sub(bytes, at, step), got);
	if (err == ERR_OK && sse_finish(&sse, &event))
		event_note(got, &event);
	if (err == ERR_OK)
		assert_false(sse_finish(&sse, &event));
	sse_fini(&sse);
	return err;
}

static void test_streams(void **state)
{
	struct buf got;

	buf_init(&got, 1 << 16);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];

		for (size_t first = 0; first <= row->bytes.len; first++) {
			for (size_t step = 1; step <= row->bytes.len + 2; step += row->bytes.len + 1) {
				assert_int_equal(run(row->bytes, 1000, first, step, &got), ERR_OK);
				if (!str_eq(buf_str(&got), row->want))
					fail_msg("%s, cut at %zu: %.*s", row->what, first, STR_FMT(buf_str(&got)));
			}
		}
	}
	buf_fini(&got);
}

static void test_caps(void **state)
{
	struct buf got;

	buf_init(&got, 1 << 16);
	for (size_t step = 1; step < 24; step++) {
		assert_int_equal(run(STR("data: 7890\n\n"), 10, 0, step, &got), ERR_OK);
		assert_int_equal(run(STR("data: 78901\n\n"), 10, 0, step, &got), ERR_LIMIT);
		assert_int_equal(run(STR(": 345678901"), 10, 0, step, &got), ERR_LIMIT);
		assert_int_equal(run(STR("data:1234\ndata:6789\n\n"), 10, 0, step, &got), ERR_OK);
		assert_true(str_eq(buf_str(&got), STR("[|1234\n6789||-1]")));
		assert_int_equal(run(STR("data:1234\ndata:67890\ndata:\n\n"), 10, 0, step, &got), ERR_LIMIT);
		assert_int_equal(run(STR("data:1\n\ndata:2\n\ndata:3\n\ndata:4\n\n"), 10, 0, step, &got), ERR_OK);
	}
	buf_fini(&got);
}

static void test_put(void **state)
{
	struct buf out, got;

	buf_init(&out, 1 << 16);
	buf_init(&got, 1 << 16);
	sse_put_comment(&out, STR("hello"));
	sse_put(&out, STR("e:1:2"), STR("streaming:update"), STR(" {\"a\":1}"));
	sse_put(&out, STR(""), STR(""), STR("[DONE]"));
	sse_put(&out, STR(""), STR("ping"), STR(""));
	assert_int_equal(buf_err(&out), ERR_OK);
	assert_true(str_eq(buf_str(&out), STR(": hello\n\nid: e:1:2\nevent: streaming:update\ndata:  {\"a\":1}\n\n"
					      "data: [DONE]\n\nevent: ping\ndata: \n\n")));
	assert_int_equal(run(buf_str(&out), 100, 0, 1, &got), ERR_OK);
	assert_true(str_eq(buf_str(&got), STR("[streaming:update| {\"a\":1}|e:1:2|-1][|[DONE]|e:1:2|-1][ping||e:1:2|-1]")));
	buf_fini(&out);
	buf_fini(&got);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_caps),
		cmocka_unit_test(test_put),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
