/*
 * connection.c - bytes of a socket become requests, one after the other.
 *
 * Whatever comes behind the request under way is left unread in the connection and offered again when it was answered.
 * Deadlines are moved lazily: the loop is told only of a time that is earlier than what it knows already, and when that
 * one comes, the real one is looked at.
 */
#include "base/limits.h"
#include "http/http_priv.h"

/* A head that trickles in is parsed again only when a line ended or this many bytes came. */
#define HEAD_STEP_BYTES 256
#define HEAD_EAGER_BYTES 1024

static size_t on_input(struct conn *conn, struct str bytes);
static void on_eof(struct conn *conn);
static void on_drained(struct conn *conn);
static void on_deadline(struct conn *conn);
static void on_closed(struct conn *conn, enum err why);

static const struct conn_handler handler = {
	.input = on_input, .eof = on_eof, .drained = on_drained, .deadline = on_deadline, .closed = on_closed,
};

static const struct http_options *options_of(const struct http_conn *c)
{
	return &c->home->server->options;
}

static int64_t now_us(const struct http_conn *c)
{
	return loop_now_us(c->home->loop);
}

enum err http_conn_open(struct http_loop *home, int fd, const struct conn_address *peer)
{
	struct http_conn *c = mem_alloc(sizeof(*c));

	if (!c) {
		return ERR_MEMORY;
	}
	c->home = home;
	c->state = HTTP_CONN_HEAD;
	enum err err = conn_open(home->loop, fd, peer, &handler, c, &c->conn);
	if (err) {
		mem_free(c);
		return err;
	}
	list_push(&home->conns, &c->link);
	http_conn_due(c, now_us(c) + options_of(c)->limits.head_timeout_us);
	return ERR_OK;
}

void http_conn_due(struct http_conn *c, int64_t at_us)
{
	c->due_us = at_us;
	if (at_us && (!c->armed_us || at_us < c->armed_us)) {
		c->armed_us = at_us;
		conn_deadline_set(c->conn, at_us);
	}
}

void http_conn_end(struct http_conn *c)
{
	c->state = HTTP_CONN_ENDING;
	c->due_us = 0;
	conn_finish(c->conn);
}

void http_conn_abort(struct http_conn *c, enum err why)
{
	c->state = HTTP_CONN_ENDING;
	c->due_us = 0;
	conn_abort(c->conn, why);
}

void http_conn_go_on(struct http_conn *c)
{
	if (!c->in_input) {
		conn_read_pause(c->conn);
		conn_read_resume(c->conn);
	}
}

/* What holds between two callbacks: input is not hoarded, and a peer that ended is let go when nothing is left to answer. */
static void settle(struct http_conn *c)
{
	bool busy = c->state == HTTP_CONN_BUSY || c->state == HTTP_CONN_STREAM;

	if ((busy && c->kept >= LIMIT_PIPELINE_BYTES) || c->choked) {
		conn_read_pause(c->conn);
	}
	if (c->eof && c->state == HTTP_CONN_HEAD && !c->choked) {
		http_conn_end(c);
	}
}

void http_conn_next(struct http_conn *c)
{
	struct http_request_private *priv = c->request;

	c->request = NULL;
	c->state = HTTP_CONN_HEAD;
	c->parsed = 0;
	c->served = true;
	http_request_release(priv);
	http_conn_due(c, now_us(c) + options_of(c)->limits.idle_timeout_us);
	if (c->kept) {
		http_conn_go_on(c);
	} else if (!c->in_input) {
		settle(c);
	}
}

void http_conn_reply(struct http_request_private *priv, struct frame *frame)
{
	struct http_conn *c = priv->conn;
	bool close = !priv->keep_alive || priv->close || priv->home->draining;

	metric_add(METRIC_HTTP_REQUESTS, 1);
	if (!c) {
		frame_drop(&frame);
		http_request_release(priv);
		return;
	}
	enum err err = frame ? conn_send_take(c->conn, frame) : ERR_MEMORY;
	if (!err && !close) {
		http_conn_next(c);
		return;
	}
	c->request = NULL;
	http_request_release(priv);
	if (err) {
		http_conn_abort(c, err);
	} else {
		http_conn_end(c);
	}
}

/* ---- input ---- */

/* A request that is answered with an error before there is one; the connection ends behind it. */
static void refuse(struct http_conn *c, enum err err, const char *reason)
{
	struct http_request_private *priv = c->request ? c->request : http_request_take(c->home);

	if (!priv) {
		http_conn_abort(c, ERR_MEMORY);
		return;
	}
	priv->conn = c;
	priv->close = true;
	priv->dispatched = true;
	c->request = priv;
	c->state = HTTP_CONN_BUSY;
	http_reply_error(&priv->pub, err, reason);
}

/* A request that nobody can read: what follows it cannot be trusted either. */
static void refuse_malformed(struct http_conn *c, enum err err, const char *reason)
{
	metric_add(METRIC_HTTP_REFUSED, 1);
	refuse(c, err, reason);
}

/* Copies the head into the request, whose strs then point there. */
static bool adopt_head(struct http_request_private *priv, const struct http1_head *head, struct str bytes)
{
	struct str copy = arena_copy(&priv->pub.arena, str_sub(bytes, 0, head->head_bytes));

	if (!copy.at) {
		return false;
	}
	memcpy(&priv->head, head, offsetof(struct http1_head, fields));
	priv->head.method_text.at = copy.at + (head->method_text.at - bytes.at);
	priv->head.target.at = copy.at + (head->target.at - bytes.at);
	for (unsigned i = 0; i < head->field_count; i++) {
		struct http1_field field = head->fields[i];
		field.name.at = copy.at + (field.name.at - bytes.at);
		field.value.at = copy.at + (field.value.at - bytes.at);
		priv->head.fields[i] = field;
	}
	priv->head.field_count = head->field_count;
	priv->head.content_length = head->content_length;
	priv->head.chunked = head->chunked;
	priv->head.keep_alive = head->keep_alive;
	priv->head.expect_continue = head->expect_continue;
	priv->head.upgrade_websocket = head->upgrade_websocket;
	priv->head.head_bytes = head->head_bytes;
	return true;
}

/* Time for the body: the same as for a head, or what the slowest permitted rate takes. */
static void body_due(struct http_conn *c)
{
	const struct http_request_private *priv = c->request;
	const struct http_options *options = options_of(c);
	int64_t bytes = priv->body.chunked ? priv->body.total : priv->head.content_length;
	int64_t span_us = bytes * 1000000 / options->limits.body_rate_bytes;

	if (priv->body.chunked) {
		/* How much will come is not known: each byte that came pays for its own time. */
		span_us += options->limits.head_timeout_us;
	} else if (span_us < options->limits.head_timeout_us) {
		span_us = options->limits.head_timeout_us;
	}
	http_conn_due(c, priv->pub.started_us + span_us);
}

/* The head is whole. True when input goes on behind it. */
static bool begin_body(struct http_conn *c, struct http_request_private *priv, bool more)
{
	enum err err = http1_body_begin(&priv->body, &priv->head, (int64_t)options_of(c)->body_bytes_max);

	if (err) {
		refuse(c, err, "The body is too large.");
		return false;
	}
	priv->has_body = !priv->body.done;
	if (!priv->has_body) {
		http_request_run(priv);
		return true;
	}
	if (priv->refusal && priv->head.expect_continue) {
		/* The client waits for a word before it sends: it may send the body or not after this one. */
		priv->close = true;
		http_request_run(priv);
		return false;
	}
	c->state = HTTP_CONN_BODY;
	if (priv->head.expect_continue && !more &&
	    conn_send_copy(c->conn, STR("HTTP/1.1 100 Continue\r\n\r\n"))) {
		http_conn_abort(c, ERR_TOO_SLOW);
		return false;
	}
	body_due(c);
	return true;
}

static bool head_worth_reading(const struct http_conn *c, struct str bytes)
{
	if (bytes.len <= HEAD_EAGER_BYTES || bytes.len >= c->parsed + HEAD_STEP_BYTES || bytes.len >= LIMIT_HEAD_BYTES) {
		return true;
	}
	return bytes.len <= c->parsed || memchr(bytes.at + c->parsed, '\n', bytes.len - c->parsed) != NULL;
}

static bool head_step(struct http_conn *c, struct str *rest)
{
	struct http1_head *head = &c->home->head;
	const char *reason;

	/* Replies that nobody reads must not be followed by more of them (T21). */
	c->choked = conn_queued_bytes(c->conn) > LIMIT_CONN_QUEUE_BYTES / 2;
	if (rest->len == 0 || c->choked || !head_worth_reading(c, *rest)) {
		return false;
	}
	enum err err = http1_head(*rest, head, &reason);
	if (err == ERR_AGAIN) {
		if (c->parsed == 0 && c->served) {
			http_conn_due(c, now_us(c) + options_of(c)->limits.head_timeout_us);
		}
		c->parsed = (uint32_t)rest->len;
		return false;
	}
	if (err) {
		refuse_malformed(c, err, reason);
		return false;
	}
	struct http_request_private *priv = http_request_take(c->home);
	if (!priv || !adopt_head(priv, head, *rest)) {
		http_request_release(priv);
		http_conn_abort(c, ERR_MEMORY);
		return false;
	}
	priv->conn = c;
	priv->keep_alive = head->keep_alive;
	c->request = priv;
	c->state = HTTP_CONN_BUSY;
	c->due_us = 0;
	*rest = str_sub(*rest, head->head_bytes, rest->len);
	http_request_admit(priv);
	return begin_body(c, priv, rest->len > 0);
}

static bool body_step(struct http_conn *c, struct str *rest)
{
	struct http_request_private *priv = c->request;

	while (rest->len > 0 && !priv->body.done) {
		struct str data;
		const char *reason = NULL;
		enum err err = http1_body_feed(&priv->body, rest, &data, &reason);
		if (err == ERR_TOO_LARGE) {
			refuse(c, err, reason);
			return false;
		}
		if (err) {
			refuse_malformed(c, err, reason);
			return false;
		}
		/* The body of a refused request is read past, so that the connection can be kept. */
		if (data.len && !priv->refusal) {
			buf_put_str(&priv->body_bytes, data);
		}
	}
	if (priv->body_bytes.failed) {
		refuse(c, ERR_OVERLOADED, NULL);
		return false;
	}
	if (!priv->body.done) {
		if (priv->body.chunked) {
			body_due(c);
		}
		return false;
	}
	c->state = HTTP_CONN_BUSY;
	c->due_us = 0;
	http_request_run(priv);
	return true;
}

/* True when there may be more to do with what is left. */
static bool step(struct http_conn *c, struct str *rest)
{
	switch ((enum http_conn_state)c->state) {
	case HTTP_CONN_HEAD:
		return head_step(c, rest);
	case HTTP_CONN_BODY:
		return body_step(c, rest);
	case HTTP_CONN_WEBSOCKET:
		http_websocket_input(c->socket, rest);
		return false;
	case HTTP_CONN_ENDING:
		*rest = str_sub(*rest, rest->len, 0);
		return false;
	case HTTP_CONN_BUSY:
	case HTTP_CONN_STREAM:
		return false;
	}
	return false;
}

static size_t on_input(struct conn *conn, struct str bytes)
{
	struct http_conn *c = conn_owner(conn);
	struct str rest = bytes;

	c->in_input = true;
	while (step(c, &rest)) {
		c->kept = (uint32_t)rest.len;
	}
	c->in_input = false;
	c->kept = (uint32_t)rest.len;
	settle(c);
	return bytes.len - rest.len;
}

/* ---- the other events ---- */

static void on_eof(struct conn *conn)
{
	struct http_conn *c = conn_owner(conn);

	c->eof = true;
	switch ((enum http_conn_state)c->state) {
	case HTTP_CONN_HEAD:
		settle(c);
		break;
	case HTTP_CONN_BODY:
	case HTTP_CONN_WEBSOCKET:
		http_conn_end(c);
		break;
	case HTTP_CONN_STREAM:
		/* Nobody reads on after having ended the connection from which the events were asked. */
		http_conn_abort(c, ERR_END);
		break;
	case HTTP_CONN_BUSY:
	case HTTP_CONN_ENDING:
		break;
	}
}

static void on_drained(struct conn *conn)
{
	struct http_conn *c = conn_owner(conn);

	if (c->state == HTTP_CONN_STREAM) {
		http_stream_drained(c->request);
	} else if (c->state == HTTP_CONN_WEBSOCKET) {
		http_websocket_drained(c->socket);
	} else if (c->choked) {
		c->choked = false;
		http_conn_go_on(c);
		if (!c->kept) {
			settle(c);
		}
	}
}

static void on_deadline(struct conn *conn)
{
	struct http_conn *c = conn_owner(conn);

	c->armed_us = 0;
	if (!c->due_us || now_us(c) < c->due_us) {
		http_conn_due(c, c->due_us);
		return;
	}
	c->due_us = 0;
	switch ((enum http_conn_state)c->state) {
	case HTTP_CONN_HEAD:
		if (c->choked) {
			http_conn_abort(c, ERR_TOO_SLOW);
		} else if (c->kept) {
			refuse(c, ERR_HEAD_TIMEOUT, NULL);
		} else {
			http_conn_end(c);
		}
		break;
	case HTTP_CONN_BODY:
		refuse(c, ERR_HEAD_TIMEOUT, NULL);
		break;
	case HTTP_CONN_STREAM:
		http_stream_tick(c->request);
		break;
	case HTTP_CONN_WEBSOCKET:
		http_websocket_tick(c->socket);
		break;
	case HTTP_CONN_BUSY:
	case HTTP_CONN_ENDING:
		break;
	}
}

static void on_closed(struct conn *conn, enum err why)
{
	struct http_conn *c = conn_owner(conn);
	struct http_request_private *priv = c->request;

	(void)why;
	list_remove(&c->link);
	if (c->socket) {
		http_websocket_closed(c->socket);
	}
	if (priv) {
		priv->conn = NULL;
		if (priv->streaming) {
			http_stream_closed(priv);
		} else if (!priv->dispatched) {
			http_request_release(priv);
		}
	}
	mem_free(c);
}
