/*
 * websocket.c - connections that went on as WebSockets (RFC 6455).
 *
 * OPEN -> CLOSING (we sent a close frame and wait for the peer's) -> the connection ends; a failure goes to the end at
 * once, behind its close frame. Deadlines of sign-in, expiry, ping and silence share the connection's one.
 */
#include "base/limits.h"
#include "http/http_priv.h"
#include "wire/url.h"
#include "wire/ws.h"

#define CLOSE_WAIT_US 5000000
#define CONTROLS_PER_S 100
#define CONTROL_FRAME_BYTES 131

enum {
	CODE_NORMAL = 1000, CODE_GOING = 1001, CODE_KIND = 1003, CODE_NONE = 1005, CODE_SIGN_IN = 4001, CODE_SLOW = 4008,
	CODE_MANY = 4029,
};

struct websocket {
	struct http_conn *c;
	const struct websocket_handler *handler;
	void *owner;
	int64_t heard_us;
	int64_t ping_us;    /* when the next one is due */
	int64_t sign_in_us; /* until when, while nobody signed in */
	int64_t window_us;  /* controls are counted from here on for a second */
	uint32_t controls;
	bool closing;
	struct ws ws;
	struct caller caller;
};

static int64_t now_us(const struct websocket *socket)
{
	return loop_now_us(socket->c->home->loop);
}

static const struct http_options *options_of(const struct websocket *socket)
{
	return &socket->c->home->server->options;
}

/* ---- handshake ---- */

static bool refuse(struct http_request_private *priv, enum err err, const char *detail)
{
	http_reply_error(&priv->pub, err, detail);
	return false;
}

/* T10. A client without Origin is no browser: it has no cookie either. */
static bool origin_fits(const struct http_request_private *priv)
{
	enum http_origin origin = http_origin_of(priv);

	return origin == HTTP_ORIGIN_GOOD || (origin == HTTP_ORIGIN_NONE && !priv->pub.caller.session);
}

bool http_websocket_check(struct http_request_private *priv)
{
	const struct http1_head *head = &priv->head;
	char accept[29];

	if (priv->pub.local || head->method != HTTP1_GET || !head->upgrade_websocket ||
	    !str_eq(http1_field(head, STR("Sec-WebSocket-Version")), STR("13"))) {
		return refuse(priv, ERR_UPGRADE, NULL);
	}
	bool one_key = !priv->has_body && http1_field_count(head, STR("Sec-WebSocket-Key")) == 1;
	enum err err = one_key ? ws_accept(http1_field(head, STR("Sec-WebSocket-Key")), accept) : ERR_MALFORMED;
	if (err) {
		return err == ERR_MEMORY ? refuse(priv, err, NULL)
					 : refuse(priv, ERR_MALFORMED, "Sec-WebSocket-Key is not 16 bytes in base64.");
	}
	if (!origin_fits(priv)) {
		return refuse(priv, ERR_PERMISSION, "Pages of this origin may not open a WebSocket here.");
	}
	return true;
}

static bool offers_ours(const struct http1_head *head)
{
	for (unsigned i = 0; i < head->field_count; i++) {
		if (str_eq_case(head->fields[i].name, STR("Sec-WebSocket-Protocol")) &&
		    http1_has_token(head->fields[i].value, STR("guild.v1"))) {
			return true;
		}
	}
	return false;
}

static enum err send_switch(struct http_request_private *priv)
{
	char accept[29];

	if (ws_accept(http1_field(&priv->head, STR("Sec-WebSocket-Key")), accept)) {
		return ERR_MALFORMED;
	}
	http_reply_header(&priv->pub, "Sec-WebSocket-Accept", str_of(accept));
	if (offers_ours(&priv->head)) {
		http_reply_header(&priv->pub, "Sec-WebSocket-Protocol", STR("guild.v1"));
	}
	struct frame *frame = http_reply_frame(priv, 101, STR_NONE, -1, STR(""));
	return frame ? conn_send_take(priv->conn->conn, frame) : ERR_MEMORY;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The time of whatever has to be looked at first. */
static void set_due(struct websocket *socket)
{
	const struct http_options *options = options_of(socket);
	int64_t due_us = earlier(socket->ping_us, socket->heard_us + options->limits.ws_close_us);

	if (socket->sign_in_us) {
		due_us = earlier(due_us, socket->sign_in_us);
	}
	if (socket->caller.expires_at_us) {
		int64_t left_us = socket->caller.expires_at_us - env_wall_us(options->env);
		due_us = earlier(due_us, now_us(socket) + (left_us > 0 ? left_us : 1));
	}
	http_conn_due(socket->c, due_us);
}

static struct websocket *make(struct http_request_private *priv, const struct websocket_handler *handler, void *owner)
{
	struct websocket *socket = mem_alloc(sizeof(*socket));

	if (socket) {
		socket->c = priv->conn;
		socket->handler = handler;
		socket->owner = owner;
		socket->heard_us = now_us(socket);
		socket->ping_us = socket->heard_us + options_of(socket)->limits.ws_ping_us;
		socket->caller = priv->pub.caller;
		if (!priv->pub.signed_in) {
			socket->sign_in_us = socket->heard_us + options_of(socket)->limits.sign_in_timeout_us;
		}
		ws_init(&socket->ws, true, LIMIT_WS_MESSAGE_BYTES);
	}
	return socket;
}

enum err websocket_start(struct http_request *request, const struct websocket_handler *handler, void *owner,
			 struct websocket **out)
{
	struct http_request_private *priv = request->priv;
	struct http_conn *c = priv->conn;

	*out = NULL;
	check(!priv->ended && request->route->flags & HTTP_UPGRADE && handler->message && handler->closed);
	if (!c) {
		http_request_release(priv);
		return ERR_END;
	}
	if (priv->home->draining) {
		http_reply_error(request, ERR_GOING_AWAY, NULL);
		return ERR_END;
	}
	struct websocket *socket = make(priv, handler, owner);
	if (!socket) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return ERR_MEMORY;
	}
	enum err err = send_switch(priv);
	c->request = NULL;
	http_request_release(priv);
	if (err) {
		mem_free(socket);
		http_conn_abort(c, err);
		return ERR_END;
	}
	metric_add(METRIC_HTTP_REQUESTS, 1);
	metric_add(METRIC_WEBSOCKETS, 1);
	c->socket = socket;
	c->state = HTTP_CONN_WEBSOCKET;
	set_due(socket);
	if (c->eof) {
		http_conn_end(c);
	} else if (c->kept) {
		http_conn_go_on(c);
	}
	*out = socket;
	return ERR_OK;
}

/* ---- closing ---- */

static struct frame *close_frame(int code, struct str reason)
{
	struct frame *frame = NULL;
	struct buf buf;

	buf_init(&buf, CONTROL_FRAME_BYTES);
	ws_close_put(&buf, code, reason);
	if (!buf_err(&buf)) {
		frame = frame_copy(buf_str(&buf));
	}
	buf_fini(&buf);
	return frame;
}

/* The last frame, if none was sent before, and the end of the connection. */
static void end_with(struct websocket *socket, int code, struct str reason)
{
	struct frame *frame = socket->closing ? NULL : close_frame(code, reason);
	struct http_conn *c = socket->c;

	socket->closing = true;
	if (frame) {
		c->state = HTTP_CONN_ENDING;
		c->due_us = 0;
		conn_finish_take(c->conn, frame);
	} else {
		http_conn_end(c);
	}
}

void websocket_close(struct websocket *socket, int code, struct str reason)
{
	struct http_conn *c = socket->c;

	if (socket->closing || c->state == HTTP_CONN_ENDING) {
		return;
	}
	struct frame *frame = close_frame(code, reason);
	if (!frame || conn_send_take(c->conn, frame)) {
		end_with(socket, code, reason);
		return;
	}
	socket->closing = true;
	http_conn_due(c, now_us(socket) + CLOSE_WAIT_US);
}

void http_websocket_closed(struct websocket *socket)
{
	metric_add(METRIC_WEBSOCKETS, -1);
	socket->closing = true;
	socket->handler->closed(socket, socket->owner);
	ws_fini(&socket->ws);
	mem_free(socket);
}

/* ---- sending ---- */

struct frame *websocket_frame(struct str text)
{
	size_t head = ws_header_bytes(text.len);
	struct frame *frame = frame_make(head + text.len);

	if (frame) {
		ws_header_put((uint8_t *)frame->bytes, WS_TEXT, text.len);
		if (text.len) {
			memcpy(frame->bytes + head, text.at, text.len);
		}
	}
	return frame;
}

enum err websocket_send_take(struct websocket *socket, struct frame *frame)
{
	struct http_conn *c = socket->c;

	if (socket->closing || c->state == HTTP_CONN_ENDING) {
		frame_drop(&frame);
		return ERR_END;
	}
	enum err err = conn_send_take(c->conn, frame);
	if (err == ERR_TOO_SLOW) {
		metric_add(METRIC_SLOW_CLIENTS, 1);
		end_with(socket, CODE_SLOW, STR("too slow: resume"));
	}
	return err;
}

enum err websocket_send_text(struct websocket *socket, struct str text)
{
	struct frame *frame = websocket_frame(text);

	return frame ? websocket_send_take(socket, frame) : ERR_MEMORY;
}

size_t websocket_queued_bytes(const struct websocket *socket)
{
	return conn_queued_bytes(socket->c->conn);
}

static void send_control(struct websocket *socket, enum ws_kind kind, struct str data)
{
	uint8_t bytes[CONTROL_FRAME_BYTES];
	size_t head = ws_header_put(bytes, kind, data.len);

	if (data.len) {
		memcpy(bytes + head, data.at, data.len);
	}
	enum err err = conn_send_copy(socket->c->conn, str_make(bytes, head + data.len));
	if (err == ERR_TOO_SLOW) {
		metric_add(METRIC_SLOW_CLIENTS, 1);
		end_with(socket, CODE_SLOW, STR("too slow: resume"));
	} else if (err) {
		http_conn_abort(socket->c, err);
	}
}

/* ---- receiving ---- */

/* Pings cost the peer less than us (T24). */
static bool control_fits(struct websocket *socket)
{
	int64_t now = now_us(socket);

	if (now - socket->window_us >= 1000000) {
		socket->window_us = now;
		socket->controls = 0;
	}
	return ++socket->controls <= CONTROLS_PER_S;
}

static void take_close(struct websocket *socket, const struct ws_message *message)
{
	end_with(socket, message->close_code, STR(""));
}

static void take_message(struct websocket *socket, const struct ws_message *message)
{
	if (message->kind == WS_CLOSE) {
		take_close(socket, message);
		return;
	}
	if (socket->closing) {
		return;
	}
	if (message->kind == WS_TEXT) {
		socket->handler->message(socket, message->data, socket->owner);
	} else if (message->kind == WS_BINARY) {
		end_with(socket, CODE_KIND, STR("text only"));
	} else if (!control_fits(socket)) {
		end_with(socket, CODE_MANY, STR("too many control frames"));
	} else if (message->kind == WS_PING) {
		send_control(socket, WS_PONG, message->data);
	}
}

void http_websocket_input(struct websocket *socket, struct str *rest)
{
	struct ws_message message;
	bool last = false;
	bool got = true;

	socket->heard_us = now_us(socket);
	while (got || !last) {
		last = rest->len == 0;
		if (ws_feed(&socket->ws, rest, &message, &got)) {
			end_with(socket, socket->ws.close_code, str_of(socket->ws.reason));
			got = false;
		}
		if (got) {
			take_message(socket, &message);
		}
		if (socket->c->state == HTTP_CONN_ENDING) {
			*rest = str_sub(*rest, rest->len, 0);
			return;
		}
	}
}

void http_websocket_drained(struct websocket *socket)
{
	if (!socket->closing && socket->handler->drained) {
		socket->handler->drained(socket, socket->owner);
	}
}

void http_websocket_tick(struct websocket *socket)
{
	const struct http_options *options = options_of(socket);
	int64_t now = now_us(socket);

	if (socket->closing) {
		http_conn_end(socket->c);
		return;
	}
	if (socket->sign_in_us && now >= socket->sign_in_us) {
		end_with(socket, CODE_SIGN_IN, STR("nobody signed in"));
		return;
	}
	if (socket->caller.expires_at_us && env_wall_us(options->env) >= socket->caller.expires_at_us) {
		end_with(socket, CODE_SIGN_IN, STR("the token has expired"));
		return;
	}
	if (now - socket->heard_us >= options->limits.ws_close_us) {
		end_with(socket, CODE_GOING, STR("nothing was heard"));
		return;
	}
	if (now >= socket->ping_us) {
		socket->ping_us = now + options->limits.ws_ping_us;
		send_control(socket, WS_PING, STR(""));
	}
	if (socket->c->state != HTTP_CONN_ENDING) {
		set_due(socket);
	}
}

/* ---- who ---- */

void websocket_sign_in(struct websocket *socket, const struct caller *caller)
{
	socket->caller = *caller;
	socket->sign_in_us = 0;
	if (!socket->closing && socket->c->state != HTTP_CONN_ENDING) {
		set_due(socket);
	}
}

int64_t websocket_sign_in_wait_ms(const struct websocket *socket)
{
	return http_sign_in_wait_ms(socket->c->home->server, conn_peer(socket->c->conn), now_us(socket));
}

void websocket_sign_in_failed(struct websocket *socket)
{
	http_sign_in_failed(socket->c->home->server, conn_peer(socket->c->conn), now_us(socket));
}

const struct caller *websocket_caller(const struct websocket *socket)
{
	return &socket->caller;
}

struct loop *websocket_loop(const struct websocket *socket)
{
	return socket->c->home->loop;
}
