/*
 * Event streams. A line that lies wholly in the input is read where it is; only a line cut by the end of a
 * piece is collected.
 */
#include "wire/sse.h"

#include <endian.h>

#include "base/check.h"

static void bufs_init(struct sse *sse, size_t bytes_max)
{
	buf_init(&sse->line, bytes_max);
	buf_init(&sse->data, bytes_max);
	buf_init(&sse->event, bytes_max);
	buf_init(&sse->id, bytes_max);
}

void sse_init(struct sse *sse, size_t line_bytes_max)
{
	*sse = (struct sse){.retry_ms = -1};
	bufs_init(sse, line_bytes_max);
}

void sse_fini(struct sse *sse)
{
	buf_fini(&sse->line);
	buf_fini(&sse->data);
	buf_fini(&sse->event);
	buf_fini(&sse->id);
}

static void delivered_clear(struct sse *sse)
{
	if (!sse->pending_clear)
		return;
	buf_clear(&sse->data);
	buf_clear(&sse->event);
	sse->has_data = false;
	sse->retry_ms = -1;
	sse->pending_clear = false;
}

static enum err value_set(struct buf *buf, struct str value)
{
	buf_clear(buf);
	buf_put_str(buf, value);
	return buf_err(buf);
}

static enum err data_add(struct sse *sse, struct str value)
{
	if (sse->has_data)
		buf_put_byte(&sse->data, '\n');
	buf_put_str(&sse->data, value);
	sse->has_data = true;
	return buf_err(&sse->data);
}

static void retry_set(struct sse *sse, struct str value)
{
	uint64_t ms;

	if (str_to_u64(value, &ms) && ms <= INT64_MAX)
		sse->retry_ms = (int64_t)ms;
}

static enum err field_take(struct sse *sse, struct str name, struct str value)
{
	if (str_eq(name, STR("data")))
		return data_add(sse, value);
	if (str_eq(name, STR("event")))
		return value_set(&sse->event, value);
	if (str_eq(name, STR("id")) && str_find_byte(value, '\0') < 0)
		return value_set(&sse->id, value);
	if (str_eq(name, STR("retry")))
		retry_set(sse, value);
	return ERR_OK;
}

/* One line without its end; *dispatch is set when it was the empty one after data. */
static enum err line_take(struct sse *sse, struct str line, bool *dispatch)
{
	if (!sse->started) {
		sse->started = true;
		if (str_starts(line, STR("\xef\xbb\xbf")))
			line = str_sub(line, 3, line.len);
	}
	if (line.len == 0) {
		*dispatch = sse->has_data;
		if (!sse->has_data)
			buf_clear(&sse->event);
		return ERR_OK;
	}
	if (line.at[0] == ':')
		return ERR_OK;

	ptrdiff_t colon = str_find_byte(line, ':');

	if (colon < 0)
		return field_take(sse, line, STR(""));

	struct str value = str_sub(line, (size_t)colon + 1, line.len);

	if (value.len > 0 && value.at[0] == ' ')
		value = str_sub(value, 1, value.len);
	return field_take(sse, str_sub(line, 0, (size_t)colon), value);
}

static void event_give(struct sse *sse, struct sse_event *out)
{
	out->event = buf_str(&sse->event);
	out->data = buf_str(&sse->data);
	out->id = buf_str(&sse->id);
	out->retry_ms = sse->retry_ms;
	sse->pending_clear = true;
}

/* The next CR or LF from at on, else end: eight bytes a step, for a stream is mostly what stands between them. */
static const char *line_end(const char *at, const char *end)
{
	const uint64_t ones = UINT64_C(0x0101010101010101);

	while (end - at >= 8) {
		uint64_t word;

		memcpy(&word, at, 8);
		word = le64toh(word);

		uint64_t lf = word ^ (ones * '\n');
		uint64_t cr = word ^ (ones * '\r');
		/* x - ones & ~x has the high bit set in a byte that is zero (below it, only carries follow upwards). */
		uint64_t stop = (((lf - ones) & ~lf) | ((cr - ones) & ~cr)) & (ones << 7);

		if (stop)
			return at + __builtin_ctzll(stop) / 8;
		at += 8;
	}
	while (at < end && *at != '\n' && *at != '\r')
		at++;
	return at;
}

/* Moves *rest behind the next line end. False when the input holds none: the piece was put aside then. */
static enum err line_next(struct sse *sse, struct str *rest, struct str *line, bool *whole)
{
	const char *end = rest->at + rest->len;
	const char *at = line_end(rest->at, end);
	struct str piece = str_make(rest->at, (size_t)(at - rest->at));

	*whole = at < end;
	if (*whole) {
		sse->skip_lf = *at == '\r';
		at++;
	}
	rest->len = (size_t)(end - at);
	rest->at = at;
	if (piece.len > sse->line.bytes_max - sse->line.len)
		return ERR_LIMIT;
	if (*whole && sse->line.len == 0) {
		*line = piece;
		return ERR_OK;
	}
	buf_put_str(&sse->line, piece);
	*line = buf_str(&sse->line);
	return buf_err(&sse->line);
}

enum err sse_feed(struct sse *sse, struct str *rest, struct sse_event *out, bool *got)
{
	*got = false;
	delivered_clear(sse);
	while (rest->len > 0) {
		if (sse->skip_lf) {
			sse->skip_lf = false;
			if (*rest->at == '\n') {
				rest->at++;
				rest->len--;
				continue;
			}
		}

		struct str line;
		bool whole, dispatch = false;
		enum err err = line_next(sse, rest, &line, &whole);

		if (err != ERR_OK)
			return err;
		if (!whole)
			return ERR_OK;
		err = line_take(sse, line, &dispatch);
		buf_clear(&sse->line);
		if (err != ERR_OK)
			return err;
		if (dispatch) {
			event_give(sse, out);
			*got = true;
			return ERR_OK;
		}
	}
	return ERR_OK;
}

bool sse_finish(struct sse *sse, struct sse_event *out)
{
	bool dispatch = false;

	delivered_clear(sse);
	if (sse->line.len > 0) {
		enum err err = line_take(sse, buf_str(&sse->line), &dispatch);

		buf_clear(&sse->line);
		if (err != ERR_OK)
			return false;
	}
	if (!sse->has_data)
		return false;
	event_give(sse, out);
	return true;
}

static bool is_one_line(struct str text)
{
	return str_find_byte(text, '\n') < 0 && str_find_byte(text, '\r') < 0;
}

void sse_put(struct buf *out, struct str id, struct str event, struct str data)
{
	check(is_one_line(id) && is_one_line(event) && is_one_line(data));
	if (id.len > 0) {
		buf_put_str(out, STR("id: "));
		buf_put_str(out, id);
		buf_put_byte(out, '\n');
	}
	if (event.len > 0) {
		buf_put_str(out, STR("event: "));
		buf_put_str(out, event);
		buf_put_byte(out, '\n');
	}
	buf_put_str(out, STR("data: "));
	buf_put_str(out, data);
	buf_put_str(out, STR("\n\n"));
}

void sse_put_comment(struct buf *out, struct str text)
{
	check(is_one_line(text));
	buf_put_str(out, STR(": "));
	buf_put_str(out, text);
	buf_put_str(out, STR("\n\n"));
}
