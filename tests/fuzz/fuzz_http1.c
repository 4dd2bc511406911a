/*
 * A head, then its body or a chunked one: fed whole and in pieces the answers are the same.
 * The first two bytes choose the pieces and the body's cap.
 */
#include "base/buf.h"
#include "base/check.h"
#include "wire/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Everything that came out of a body, in one comparable form. */
static void body_log(const struct http1_head *head, struct str bytes, int64_t max, size_t step, struct buf *log)
{
	struct http1_body body;
	const char *reason = NULL;
	enum err err = http1_body_begin(&body, head, max);

	while (err == ERR_OK && bytes.len > 0 && !body.done) {
		struct str piece = str_sub(bytes, 0, step), data;
		size_t before = piece.len;

		err = http1_body_feed(&body, &piece, &data, &reason);
		check(err == ERR_OK || reason != NULL);
		check(err != ERR_OK || piece.len < before);
		buf_put_str(log, data);
		bytes = str_sub(bytes, before - piece.len, bytes.len);
	}
	check(body.total <= max);
	buf_format(log, "|%d %d %lld %zu %s", (int)err, body.done, (long long)body.total, err == ERR_OK ? bytes.len : 0,
		   reason ? reason : "-");
}

static void body_compare(const struct http1_head *head, struct str bytes, int64_t max, size_t step)
{
	struct buf whole, split;

	buf_init(&whole, 1 << 24);
	buf_init(&split, 1 << 24);
	body_log(head, bytes, max, bytes.len + 1, &whole);
	body_log(head, bytes, max, step, &split);
	check(str_eq(buf_str(&whole), buf_str(&split)));
	buf_fini(&whole);
	buf_fini(&split);
}

static void head_check(const struct http1_head *head, struct str bytes)
{
	check(head->head_bytes <= bytes.len && head->head_bytes <= LIMIT_HEAD_BYTES);
	check(str_ends(str_make(bytes.at, head->head_bytes), STR("\r\n\r\n")));
	check(head->target.len > 0 && head->target.at[0] == '/');
	check(!head->chunked || head->content_length == -1);
	check(head->minor == 0 || http1_field_count(head, STR("host")) == 1);
	for (unsigned i = 0; i < head->field_count; i++) {
		check(str_find_byte(head->fields[i].value, '\r') < 0 && str_find_byte(head->fields[i].value, '\n') < 0);
		check(head->fields[i].value.at + head->fields[i].value.len <= bytes.at + head->head_bytes);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static struct http1_head whole, split, chunked = {.chunked = true, .content_length = -1};
	const char *reason, *split_reason = NULL;

	if (len < 2)
		return 0;
	size_t step = 1 + bytes[0] % 40;
	int64_t max = bytes[1] * 8;
	struct str input = str_make(bytes + 2, len - 2);
	enum err err = http1_head(input, &whole, &reason), by_piece = ERR_AGAIN;

	for (size_t at = step; at < input.len && by_piece == ERR_AGAIN; at += step)
		by_piece = http1_head(str_make(input.at, at), &split, &split_reason);
	if (by_piece == ERR_AGAIN)
		by_piece = http1_head(input, &split, &split_reason);
	check(err == by_piece && reason == split_reason);
	if (err == ERR_OK) {
		head_check(&whole, input);
		check(whole.head_bytes == split.head_bytes && whole.field_count == split.field_count);
		check(whole.content_length == split.content_length && whole.chunked == split.chunked);
		body_compare(&whole, str_sub(input, whole.head_bytes, input.len), max, step);
	} else {
		body_compare(&chunked, input, max, step);
	}
	return 0;
}
