/*
 * stream.c - replies that are event streams: each event one chunk, made once and queued by pointer.
 *
 * A stream ends in one of two ways, and closed() tells of both: the connection is gone, or the last chunk was queued (then
 * the connection is kept, and closed() comes later in the same turn, or it is closed behind the last byte).
 */
#include <stdio.h>

#include "http/http_priv.h"

#define STALLED_TICKS_MAX 4

#define CHUNK_RETRY "d\r\nretry: 1000\n\n\r\n"
#define CHUNK_COMMENT "3\r\n:\n\n\r\n"
#define CHUNK_LAST "0\r\n\r\n"

static void on_ended(struct loop_task *task, struct loop *loop);

static struct http_request_private *priv_of(struct http_stream *stream)
{
	return container_of(stream, struct http_request_private, stream);
}

static int64_t comment_us(const struct http_request_private *priv)
{
	return priv->home->server->options.limits.sse_comment_us;
}

/* The text inside one chunk. */
static struct str chunk_text(struct str chunk)
{
	ptrdiff_t line = str_find(chunk, STR("\r\n"));

	check(line > 0 && chunk.len >= (size_t)line + 4);
	return str_sub(chunk, (size_t)line + 2, chunk.len - (size_t)line - 4);
}

/* When to look again: the next comment is due, or the token's time is over. */
static void set_due(struct http_request_private *priv)
{
	int64_t now = loop_now_us(priv->home->loop);
	int64_t due_us = priv->stream.sent_us + comment_us(priv);
	int64_t expires_at_us = priv->stream.ended ? 0 : priv->pub.caller.expires_at_us;

	due_us = due_us > now ? due_us : now + comment_us(priv);
	if (expires_at_us) {
		int64_t left_us = expires_at_us - env_wall_us(priv->home->server->options.env);
		int64_t end_us = now + (left_us > 0 ? left_us : 1);
		due_us = end_us < due_us ? end_us : due_us;
	}
	http_conn_due(priv->conn, due_us);
}

static bool is_expired(const struct http_request_private *priv)
{
	int64_t at_us = priv->pub.caller.expires_at_us;

	return at_us && env_wall_us(priv->home->server->options.env) >= at_us;
}

void http_stream_cut(struct http_request_private *priv)
{
	priv->close = true;
	http_stream_end(&priv->stream);
}

static enum err send_chunk(struct http_request_private *priv, struct str chunk)
{
	return conn_send_copy(priv->conn->conn, priv->stream.plain ? chunk_text(chunk) : chunk);
}

/* ---- start ---- */

static enum err start_local(struct http_request_private *priv)
{
	priv->streaming = true;
	priv->sink.stream_begin(priv->sink.ctx);
	if (priv->revoked) {
		http_stream_end(&priv->stream);
	}
	return ERR_OK;
}

/* The reply's head, with the first chunk joined to it. */
static enum err start_socket(struct http_request_private *priv)
{
	struct http_conn *c = priv->conn;
	bool is_events = priv->stream.type.at == NULL;
	struct str first = is_events ? STR(CHUNK_RETRY) : STR("");

	priv->stream.plain = priv->head.minor == 0;
	if (priv->stream.plain) {
		priv->close = true;
		first = is_events ? chunk_text(first) : first;
	} else {
		http_reply_header(&priv->pub, "Transfer-Encoding", STR("chunked"));
	}
	http_reply_header(&priv->pub, "X-Accel-Buffering", STR("no"));
	struct str type = is_events ? STR("text/event-stream") : priv->stream.type;
	struct frame *frame = http_reply_frame(priv, 200, type, -1, priv->head_only ? STR("") : first);
	if (priv->head_only || !frame) {
		http_conn_reply(priv, frame);
		return ERR_END;
	}
	metric_add(METRIC_HTTP_REQUESTS, 1);
	enum err err = conn_send_take(c->conn, frame);
	if (err) {
		c->request = NULL;
		http_request_release(priv);
		http_conn_abort(c, err);
		return ERR_END;
	}
	priv->streaming = true;
	priv->stream.sent_us = loop_now_us(priv->home->loop);
	c->state = HTTP_CONN_STREAM;
	set_due(priv);
	if (priv->revoked) {
		http_stream_cut(priv);
	}
	return ERR_OK;
}

enum err http_stream_start(struct http_request *request, const struct http_stream_handler *handler, void *owner,
			   struct http_stream **out)
{
	struct http_request_private *priv = request->priv;

	check(!priv->ended);
	priv->ended = true;
	priv->stream.handler = handler;
	priv->stream.owner = owner;
	priv->task.run = on_ended;
	*out = NULL;
	enum err err = ERR_END;
	if (request->local) {
		err = start_local(priv);
	} else if (priv->conn) {
		err = start_socket(priv);
	} else {
		http_request_release(priv);
	}
	if (!err) {
		*out = &priv->stream;
	}
	return err;
}

enum err http_stream_start_text(struct http_request *request, struct str type, const struct http_stream_handler *handler, void *owner,
				struct http_stream **out)
{
	request->priv->stream.type = type;
	return http_stream_start(request, handler, owner, out);
}

void http_stream_break(struct http_stream *stream)
{
	struct http_request_private *priv = priv_of(stream);

	if (priv->conn) {
		http_conn_abort(priv->conn, ERR_STORE_UNAVAILABLE);
	} else {
		http_stream_end(stream);
	}
}

/* ---- sending ---- */

enum err http_stream_send_take(struct http_stream *stream, struct frame *frame)
{
	struct http_request_private *priv = priv_of(stream);
	enum err err = ERR_OK;

	if (stream->ended || (priv->conn && priv->conn->state == HTTP_CONN_ENDING)) {
		frame_drop(&frame);
		return ERR_END;
	}
	stream->sent_us = loop_now_us(priv->home->loop);
	if (priv->pub.local) {
		enum err told = priv->sink.stream_bytes(priv->sink.ctx, chunk_text(frame_str(frame)));
		/* A run goes to its end all the same, and the end tells. */
		err = priv->pub.route->flags & HTTP_ENDLESS ? told : ERR_OK;
		frame_drop(&frame);
	} else if (stream->plain) {
		err = send_chunk(priv, frame_str(frame));
		frame_drop(&frame);
	} else {
		err = conn_send_take(priv->conn->conn, frame);
	}
	return err;
}

size_t http_stream_queued_bytes(const struct http_stream *stream)
{
	const struct http_request_private *priv = priv_of((struct http_stream *)stream);

	return priv->conn ? conn_queued_bytes(priv->conn->conn) : 0;
}

struct arena *http_stream_arena(struct http_stream *stream)
{
	return &priv_of(stream)->pub.arena;
}

/* Without a client that reads, the queue stays as it is: that must not last for ever. */
static bool is_stalled(struct http_request_private *priv)
{
	size_t queued = conn_queued_bytes(priv->conn->conn);

	priv->stream.stalled = queued > 0 && queued >= priv->stream.queued_seen ? priv->stream.stalled + 1 : 0;
	priv->stream.queued_seen = queued;
	return priv->stream.stalled >= STALLED_TICKS_MAX;
}

void http_stream_tick(struct http_request_private *priv)
{
	int64_t now = loop_now_us(priv->home->loop);
	bool quiet = now >= priv->stream.sent_us + comment_us(priv);

	if (!priv->stream.ended && is_expired(priv)) {
		http_stream_cut(priv);
	} else if (is_stalled(priv)) {
		http_conn_abort(priv->conn, ERR_TOO_SLOW);
	}
	if (priv->conn->state != HTTP_CONN_STREAM) {
		return;
	}
	if (quiet && !priv->stream.ended && priv->stream.type.at == NULL) {
		enum err err = send_chunk(priv, STR(CHUNK_COMMENT));
		/* With a full queue the client has enough to read. */
		if (err && err != ERR_TOO_SLOW) {
			http_conn_abort(priv->conn, err);
			return;
		}
		priv->stream.sent_us = now;
	}
	set_due(priv);
}

void http_stream_drain(struct http_request_private *priv)
{
	if (!priv->stream.ended && priv->stream.type.at == NULL && send_chunk(priv, STR(CHUNK_RETRY))) {
		/* A full queue ends with the run; a closing connection has its own end. */
		return;
	}
	if (priv->pub.route->flags & HTTP_ENDLESS) {
		http_stream_end(&priv->stream);
	}
}

void http_stream_local_cut(struct http_request_private *priv)
{
	bool is_endless = priv->pub.route && priv->pub.route->flags & HTTP_ENDLESS;

	if (is_endless && priv->streaming) {
		http_stream_end(&priv->stream);
	} else if (is_endless) {
		priv->revoked = true;
	}
}

/* ---- the end ---- */

static void on_ended(struct loop_task *task, struct loop *loop)
{
	struct http_request_private *priv = container_of(task, struct http_request_private, task);
	struct http_conn *c = priv->conn;

	(void)loop;
	if (c && c->state == HTTP_CONN_ENDING) {
		return;
	}
	priv->streaming = false;
	if (priv->stream.handler->closed) {
		priv->stream.handler->closed(&priv->stream, priv->stream.owner);
	}
	if (c) {
		http_conn_next(c);
	} else {
		http_request_release(priv);
	}
}

/* Queues what says that no more comes. */
static void send_last(struct http_request_private *priv)
{
	struct http_conn *c = priv->conn;
	enum err err = priv->stream.plain ? ERR_OK : conn_send_copy(c->conn, STR(CHUNK_LAST));

	priv->stream.end_due = err == ERR_TOO_SLOW;
	if (priv->stream.end_due) {
		return;
	}
	if (err) {
		http_conn_abort(c, err);
	} else if (!priv->keep_alive || priv->close || priv->home->draining || c->eof) {
		http_conn_end(c);
	} else {
		loop_task_add(priv->home->loop, &priv->task);
	}
}

void http_stream_drained(struct http_request_private *priv)
{
	if (priv->stream.end_due) {
		send_last(priv);
	} else if (!priv->stream.ended && priv->stream.handler->drained) {
		priv->stream.handler->drained(&priv->stream, priv->stream.owner);
	}
}

void http_stream_end(struct http_stream *stream)
{
	struct http_request_private *priv = priv_of(stream);

	if (stream->ended) {
		return;
	}
	stream->ended = true;
	if (priv->pub.local) {
		priv->sink.stream_end(priv->sink.ctx);
		loop_task_add(priv->home->loop, &priv->task);
	} else if (priv->conn->state != HTTP_CONN_ENDING) {
		send_last(priv);
	}
}

void http_stream_closed(struct http_request_private *priv)
{
	loop_task_cancel(&priv->task);
	priv->stream.ended = true;
	if (priv->stream.handler->closed) {
		priv->stream.handler->closed(&priv->stream, priv->stream.owner);
	}
	http_request_release(priv);
}

/* ---- events ---- */

static bool is_one_line(struct str text)
{
	return !text.len || (!memchr(text.at, '\n', text.len) && !memchr(text.at, '\r', text.len));
}

static char *put_field(char *at, struct str name, struct str value)
{
	if (value.len) {
		at = mempcpy(at, name.at, name.len);
		at = mempcpy(at, value.at, value.len);
		*at++ = '\n';
	}
	return at;
}

/* The first line of a chunk. */
static size_t size_line_put(size_t len, char out[20])
{
	size_t digits = 1;
	while (digits < 16 && len >> (4 * digits) != 0) {
		digits++;
	}
	for (size_t i = 0; i < digits; i++) {
		out[i] = "0123456789abcdef"[len >> (4 * (digits - 1 - i)) & 15];
	}
	memcpy(out + digits, "\r\n", 2);
	return digits + 2;
}

struct frame *http_sse_frame(struct str id, struct str event, struct str data)
{
	static const struct str id_name = STR("id: ");
	static const struct str event_name = STR("event: ");
	static const struct str data_name = STR("data: ");
	size_t len = data_name.len + data.len + 2;
	char size_line[20];

	check(is_one_line(id) && is_one_line(event) && is_one_line(data));
	len += id.len ? id_name.len + id.len + 1 : 0;
	len += event.len ? event_name.len + event.len + 1 : 0;
	size_t size_len = size_line_put(len, size_line);
	struct frame *frame = frame_make(size_len + len + 2);
	if (!frame) {
		return NULL;
	}
	char *at = mempcpy(frame->bytes, size_line, size_len);
	at = put_field(at, id_name, id);
	at = put_field(at, event_name, event);
	at = mempcpy(at, data_name.at, data_name.len);
	if (data.len) {
		at = mempcpy(at, data.at, data.len);
	}
	memcpy(at, "\n\n\r\n", 4);
	return frame;
}

struct frame *http_sse_chunk(struct str events)
{
	char size_line[20];
	size_t size_len = size_line_put(events.len, size_line);
	struct frame *frame = frame_make(size_len + events.len + 2);

	check(events.len > 0);
	if (frame) {
		char *at = mempcpy(frame->bytes, size_line, size_len);
		at = mempcpy(at, events.at, events.len);
		memcpy(at, "\r\n", 2);
	}
	return frame;
}
