/*
 * An event stream: whole and in pieces give the same events. The first byte chooses the pieces, the second the cap.
 */
#include "base/check.h"
#include "wire/sse.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void event_log(const struct sse_event *event, size_t bytes_max, struct buf *log)
{
	check(event->data.len <= bytes_max && event->id.len <= bytes_max && event->event.len <= bytes_max);
	check(event->retry_ms >= -1);
	check(str_find_byte(event->event, '\n') < 0 && str_find_byte(event->data, '\r') < 0);
	buf_format(log, "[%zu %zu %zu %lld ", event->event.len, event->data.len, event->id.len, (long long)event->retry_ms);
	buf_put_str(log, event->event);
	buf_put_str(log, event->data);
	buf_put_str(log, event->id);
}

static void run(struct str input, size_t bytes_max, size_t step, struct buf *log)
{
	struct sse sse;
	struct sse_event event;
	enum err err = ERR_OK;

	sse_init(&sse, bytes_max);
	while (err == ERR_OK && input.len > 0) {
		struct str piece = str_sub(input, 0, step);
		bool got;

		input = str_sub(input, piece.len, input.len);
		do {
			err = sse_feed(&sse, &piece, &event, &got);
			if (err == ERR_OK && got)
				event_log(&event, bytes_max, log);
		} while (err == ERR_OK && (got || piece.len > 0));
	}
	if (err == ERR_OK && sse_finish(&sse, &event))
		event_log(&event, bytes_max, log);
	buf_format(log, "<%d", (int)err);
	sse_fini(&sse);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct buf whole, split;

	if (len < 2)
		return 0;
	struct str input = str_make(bytes + 2, len - 2);
	size_t bytes_max = 1 + bytes[1] * 4u;

	buf_init(&whole, 1 << 24);
	buf_init(&split, 1 << 24);
	run(input, bytes_max, input.len + 1, &whole);
	run(input, bytes_max, 1 + bytes[0] % 40, &split);
	check(str_eq(buf_str(&whole), buf_str(&split)));
	buf_fini(&whole);
	buf_fini(&split);
	return 0;
}
