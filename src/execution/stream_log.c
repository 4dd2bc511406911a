/* stream_log.c - from deltas to numbered events, the same bytes each time. */
#include "execution/stream_log.h"

#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/http.h"
#include "wire/json.h"
#include "wire/utf8.h"

static void start_json(const struct stream_log *log, int64_t seq, struct json_out *json);
static void update_json(const struct stream_log *log, int64_t seq, struct buf *out);
static void complete_json(const struct stream_log *log, int64_t seq, struct json_out *json);
static void error_json(const struct stream_log *log, int64_t seq, struct json_out *json);
static enum err item_push(struct stream_log *log, size_t end, int64_t tokens);

void stream_log_init(struct stream_log *log, size_t text_bytes_max)
{
	memset(log, 0, sizeof(*log));
	buf_init(&log->text, text_bytes_max);
	log->epoch = 1;
}

void stream_log_fini(struct stream_log *log)
{
	buf_fini(&log->text);
	mem_free(log->items);
	log->items = NULL;
	log->count = log->cap = 0;
}

int64_t stream_tokens(struct str delta)
{
	int64_t tokens = (int64_t)((utf8_length(delta) + 3) / 4);
	return tokens > 0 ? tokens : 1;
}

enum err stream_log_add(struct stream_log *log, struct str delta)
{
	check(delta.len > 0 && !log->ended);
	if (log->text.len + delta.len > log->text.bytes_max) {
		return ERR_LIMIT;
	}
	enum err err = item_push(log, log->text.len + delta.len, stream_tokens(delta));
	if (err != ERR_OK) {
		return err;
	}
	buf_put_str(&log->text, delta);
	if (log->text.failed) {
		log->count--;
		buf_clear(&log->text);
		return ERR_MEMORY;
	}
	return ERR_OK;
}

static enum err item_push(struct stream_log *log, size_t end, int64_t tokens)
{
	if (log->count == log->cap) {
		size_t cap = log->cap != 0 ? log->cap * 2 : 32;
		struct stream_item *items = mem_grow(log->items, cap * sizeof(*items));
		if (items == NULL) {
			return ERR_MEMORY;
		}
		log->items = items;
		log->cap = cap;
	}
	uint32_t before = log->count != 0 ? log->items[log->count - 1].tokens_so_far : 0;
	log->items[log->count++] = (struct stream_item){(uint32_t)end, before + (uint32_t)tokens};
	return ERR_OK;
}

enum err stream_log_restore(struct stream_log *log, struct str text, struct str delta_lens)
{
	size_t at = 0, taken = 0;
	while (at < delta_lens.len) {
		uint64_t len = 0;
		unsigned shift = 0;
		uint8_t byte;
		do {
			if (at == delta_lens.len || shift > 28) {
				return ERR_CORRUPT;
			}
			byte = (uint8_t)delta_lens.at[at++];
			len |= (uint64_t)(byte & 0x7f) << shift;
			shift += 7;
		} while ((byte & 0x80) != 0);
		if (len == 0 || len > text.len - taken) {
			return ERR_CORRUPT;
		}
		enum err err = stream_log_add(log, str_sub(text, taken, len));
		if (err != ERR_OK) {
			return err;
		}
		taken += len;
	}
	return taken == text.len ? ERR_OK : ERR_CORRUPT;
}

void stream_log_lens(const struct stream_log *log, size_t from, struct buf *out)
{
	size_t before = from != 0 ? log->items[from - 1].end : 0;
	for (size_t i = from; i < log->count; i++) {
		size_t len = log->items[i].end - before;
		before = log->items[i].end;
		while (len >= 0x80) {
			buf_put_byte(out, (char)(len | 0x80));
			len >>= 7;
		}
		buf_put_byte(out, (char)len);
	}
}

struct str stream_log_text(const struct stream_log *log, size_t from)
{
	size_t at = from != 0 ? log->items[from - 1].end : 0;
	return str_make(log->text.at != NULL ? log->text.at + at : "", log->text.len - at);
}

int64_t stream_log_seq_last(const struct stream_log *log)
{
	size_t seen = log->durable && !log->ended ? log->shown : log->count;
	return (log->started ? 1 + (int64_t)seen : 0) + (log->ended ? 1 : 0);
}

int64_t stream_log_seq_kept(const struct stream_log *log)
{
	return log->started ? 1 + (int64_t)log->count : 0;
}

void stream_log_show(struct stream_log *log, size_t shown)
{
	check(log->durable && shown >= log->shown && shown <= log->count);
	log->shown = shown;
}

void stream_log_cut(struct stream_log *log)
{
	check(log->durable && !log->ended);
	log->count = log->shown;
	log->text.len = log->count != 0 ? log->items[log->count - 1].end : 0;
}

int64_t stream_log_tokens(const struct stream_log *log)
{
	return log->count != 0 ? log->items[log->count - 1].tokens_so_far : 0;
}

static bool seq_is_end(const struct stream_log *log, int64_t seq)
{
	return log->ended && seq == stream_log_seq_last(log);
}

struct str stream_log_type(const struct stream_log *log, int64_t seq)
{
	if (seq_is_end(log, seq)) {
		return log->end.completed ? STR("streaming:complete") : STR("streaming:error");
	}
	return seq == 1 ? STR("streaming:start") : STR("streaming:update");
}

void stream_log_json(const struct stream_log *log, int64_t seq, struct buf *out)
{
	struct json_out json;
	check(seq >= 1 && seq <= stream_log_seq_last(log));
	if (seq > 1 && !seq_is_end(log, seq)) {
		update_json(log, seq, out);
		return;
	}
	json_begin(&json, out);
	json_object(&json);
	json_put_str(&json, STR("type"), stream_log_type(log, seq));
	json_put_str(&json, STR("id"), log->ids.message);
	json_put_int(&json, STR("seq"), seq);
	if (seq_is_end(log, seq)) {
		if (log->end.completed) {
			complete_json(log, seq, &json);
		} else {
			error_json(log, seq, &json);
		}
	} else {
		start_json(log, seq, &json);
	}
	json_object_end(&json);
}

static void start_json(const struct stream_log *log, int64_t seq, struct json_out *json)
{
	(void)seq;
	json_put_str(json, STR("execution_id"), log->ids.execution);
	json_put_str_or_null(json, STR("session_id"), log->ids.session);
	json_put_str(json, STR("agent_id"), log->ids.agent);
	json_put_str(json, STR("agent_name"), log->ids.agent_name);
	json_put_str_or_null(json, STR("provider"), log->ids.provider);
	json_put_str_or_null(json, STR("model"), log->ids.model);
}

/* One for each token, so it is put together by hand; the ids are plain text without anything to escape. */
static void update_json(const struct stream_log *log, int64_t seq, struct buf *out)
{
	size_t i = (size_t)(seq - 2);
	size_t from = i != 0 ? log->items[i - 1].end : 0;
	struct json_out delta;
	buf_put_str(out, STR("{\"type\":\"streaming:update\",\"id\":\""));
	buf_put_str(out, log->ids.message);
	buf_put_str(out, STR("\",\"seq\":"));
	buf_put_i64(out, seq);
	buf_put_str(out, STR(",\"delta\":"));
	json_begin(&delta, out);
	json_str(&delta, str_make(log->text.at + from, log->items[i].end - from));
	buf_put_str(out, STR(",\"complete\":false,\"metadata\":{\"execution_id\":\""));
	buf_put_str(out, log->ids.execution);
	buf_put_str(out, STR("\",\"tokens_so_far\":"));
	buf_put_i64(out, log->items[i].tokens_so_far);
	buf_put_str(out, STR("}}"));
}

static void complete_json(const struct stream_log *log, int64_t seq, struct json_out *json)
{
	(void)seq;
	json_put_str(json, STR("content"), stream_log_text(log, 0));
	json_put_bool(json, STR("complete"), true);
	json_put_str(json, STR("finish_reason"), log->end.finish_reason);
	json_name(json, STR("usage"));
	json_object(json);
	json_put_int(json, STR("tokens_in"), log->end.tokens_in);
	json_put_int(json, STR("tokens_out"), log->end.tokens_out);
	json_put_bool(json, STR("estimated"), log->end.estimated);
	json_object_end(json);
	json_put_int(json, STR("cost_micro"), log->end.cost_micro);
	json_put_bool(json, STR("cost_unknown"), log->end.cost_unknown);
	json_put_str(json, STR("text_sha256"), str_of(log->end.text_sha256));
	json_name(json, STR("metadata"));
	json_object(json);
	json_put_str(json, STR("execution_id"), log->ids.execution);
	json_put_int(json, STR("tokens_total"), log->end.tokens_out);
	json_object_end(json);
}

static void error_json(const struct stream_log *log, int64_t seq, struct json_out *json)
{
	const struct err_row *row = err_row(err_public(log->end.err));
	(void)seq;
	json_put_str(json, STR("code"), row->code);
	json_put_str(json, STR("error"), log->end.error.at != NULL ? log->end.error : row->text);
	json_put_bool(json, STR("retryable"), row->retryable);
	json_put_bool(json, STR("truncated"), log->end.truncated);
	if (log->end.last_durable_seq != 0) {
		json_put_int(json, STR("last_durable_seq"), log->end.last_durable_seq);
	}
	json_name(json, STR("metadata"));
	json_object(json);
	json_put_str(json, STR("execution_id"), log->ids.execution);
	json_object_end(json);
}

void stream_log_event_id(const struct stream_log *log, int64_t seq, char out[80])
{
	snprintf(out, 80, "%.*s:%lld:%lld", STR_FMT(log->ids.execution), (long long)log->epoch, (long long)seq);
}

int64_t stream_log_sse(const struct stream_log *log, int64_t seq, int64_t upto, struct buf *out)
{
	size_t len_max = out->len + STREAM_PIECE_BYTES;
	for (;; seq++) {
		buf_put_str(out, STR("id: "));
		buf_put_str(out, log->ids.execution);
		buf_put_byte(out, ':');
		buf_put_i64(out, log->epoch);
		buf_put_byte(out, ':');
		buf_put_i64(out, seq);
		buf_put_str(out, STR("\nevent: "));
		buf_put_str(out, stream_log_type(log, seq));
		buf_put_str(out, STR("\ndata: "));
		stream_log_json(log, seq, out);
		buf_put_str(out, STR("\n\n"));
		if (seq == upto || out->len >= len_max || out->failed) {
			return seq;
		}
	}
}

struct frame *stream_log_frame(const struct stream_log *log, int64_t seq, enum bus_form form)
{
	struct buf text;
	struct frame *frame = NULL;
	buf_init(&text, 8 * (size_t)LIMIT_ANSWER_BYTES);
	stream_log_json(log, seq, &text);
	if (buf_err(&text) == ERR_OK) {
		if (form == BUS_FORM_WS) {
			frame = websocket_frame(buf_str(&text));
		} else {
			char id[80];
			stream_log_event_id(log, seq, id);
			frame = http_sse_frame(str_of(id), stream_log_type(log, seq), buf_str(&text));
		}
	}
	buf_fini(&text);
	return frame;
}
