/*
 * wire.c - clients with connections: requests as bytes, answers from bytes, by HTTP with keep-alive and by WebSocket.
 *
 * A connection carries one call at a time. It ends with the server's last byte, at a cut, or when its client goes.
 */
#include <stdlib.h>

#include "base/check.h"
#include "net.h"
#include "wire/http1.h"
#include "wire/ws.h"

enum { WIRES = 48, BYTES_MAX = 1 << 22 };

/* FREE -> HEAD -> LENGTH, CHUNKS or REST -> HEAD, or for a WebSocket HEAD -> SOCKET. */
enum wire_state { WIRE_FREE, WIRE_HEAD, WIRE_LENGTH, WIRE_CHUNKS, WIRE_SOCKET };

struct sim_wire {
	struct sim *sim;
	enum wire_state state;
	int fd, actor;
	bool socket;            /* it is to be a WebSocket */
	bool close;             /* the server said that it closes behind this answer */
	bool events;
	int status;
	size_t length;
	struct http1_body body;
	struct buf in;
	struct buf waiting;     /* for the handshake's end */
	struct ws ws;
	struct sim_call *call;
};

static void wire_bytes(void *ctx, struct str bytes, int64_t since_us);
static void wire_ended(void *ctx);

static const struct sim_net_client client = {wire_bytes, wire_ended};

static void wire_free(struct sim_wire *wire)
{
	buf_fini(&wire->in);
	buf_fini(&wire->waiting);
	ws_fini(&wire->ws);
	wire->state = WIRE_FREE;
	wire->call = NULL;
}

/* The client leaves; what it waited for is somebody else's business. */
static void wire_leave(struct sim_wire *wire)
{
	sim_net_leave(wire->sim->net, wire->fd);
	wire_free(wire);
}

static void call_done(struct sim_wire *wire)
{
	wire->call->wire = NULL;
	wire->call = NULL;
}

/* ---- what comes ---- */

static struct str field_of(struct str head, struct str name)
{
	struct str line;
	while (str_split(&head, '\n', &line)) {
		struct str key;
		if (str_split(&line, ':', &key) && str_eq_case(key, name)) {
			return str_trim(line);
		}
	}
	return STR_NONE;
}

static void head_read(struct sim_wire *wire, struct str head)
{
	struct sim *sim = wire->sim;
	struct str length = field_of(head, STR("Content-Length")), word;
	uint64_t number = 0;
	(void)str_split(&head, ' ', &word);
	if (!str_eq(word, STR("HTTP/1.1")) || !str_to_u64(str_sub(head, 0, 3), &number)) {
		sim_fail(sim, "not an answer: %.*s", STR_FMT(head));
	}
	wire->status = (int)number;
	wire->close = str_eq_case(field_of(head, STR("Connection")), STR("close"));
	wire->events = str_starts(field_of(head, STR("Content-Type")), STR("text/event-stream"));
	bool chunked = str_eq_case(field_of(head, STR("Transfer-Encoding")), STR("chunked"));
	number = 0;
	if (length.at != NULL && !str_to_u64(length, &number)) {
		sim_fail(sim, "not a length: %.*s", STR_FMT(length));
	}
	wire->length = number;
	wire->state = chunked ? WIRE_CHUNKS : WIRE_LENGTH;
	struct http1_head body = {.chunked = chunked, .content_length = (int64_t)number};
	check(http1_body_begin(&wire->body, &body, BYTES_MAX) == ERR_OK);
	if (wire->status == 101) {
		wire->state = WIRE_SOCKET;
		sim_net_send(sim->net, wire->fd, buf_str(&wire->waiting));
		buf_clear(&wire->waiting);
	} else if (wire->call != NULL && wire->events) {
		sim_call_on_begin(wire->call);
	}
}

/* The answer was whole: the connection takes the next call, or ends. */
static void answer_over(struct sim_wire *wire)
{
	wire->state = WIRE_HEAD;
	if (wire->close || wire->socket) {
		wire_leave(wire);
	}
}

static bool length_read(struct sim_wire *wire)
{
	struct sim_call *call = wire->call;
	if (wire->in.len < wire->length) {
		return false;
	}
	/* An answer that nobody asked for: the server says why it closes. */
	struct str body = str_sub(buf_str(&wire->in), 0, wire->length);
	if (call != NULL) {
		call_done(wire);
		sim_call_on_reply(call, wire->status, STR_NONE, body);
	}
	buf_drop(&wire->in, wire->length);
	answer_over(wire);
	return true;
}

static bool chunks_read(struct sim_wire *wire)
{
	struct str rest = buf_str(&wire->in), data;
	const char *reason = "";
	struct sim_call *call = wire->call;
	if (call == NULL || !wire->events) {
		sim_fail(wire->sim, "a stream that nobody asked for");
	}
	while (rest.len > 0 && !wire->body.done) {
		/* A stream has no end of its own that a cap could be for. */
		wire->body.total = 0;
		if (http1_body_feed(&wire->body, &rest, &data, &reason) != ERR_OK) {
			sim_fail(wire->sim, "#%llu: not chunks: %s", (unsigned long long)call->number, reason);
		}
		if (data.len > 0) {
			(void)sim_call_on_bytes(call, data);
		}
	}
	buf_drop(&wire->in, wire->in.len - rest.len);
	if (!wire->body.done) {
		return false;
	}
	/* A stream that a server ends on its way down is as one that was cut. */
	call_done(wire);
	if (call->deed != DEED_LISTEN && !call->ended) {
		sim_call_on_cut(call);
	} else {
		sim_call_on_end(call);
	}
	answer_over(wire);
	return true;
}

static bool head_complete(struct sim_wire *wire)
{
	ptrdiff_t end = wire->in.len > 0 ? str_find(buf_str(&wire->in), STR("\r\n\r\n")) : -1;
	if (end < 0) {
		return false;
	}
	head_read(wire, str_sub(buf_str(&wire->in), 0, (size_t)end));
	buf_drop(&wire->in, (size_t)end + 4);
	return true;
}

static bool socket_read(struct sim_wire *wire, int64_t since_us)
{
	struct sim *sim = wire->sim;
	struct str rest = buf_str(&wire->in);
	struct ws_message message;
	bool got = false;
	if (rest.len == 0) {
		return false;
	}
	if (ws_feed(&wire->ws, &rest, &message, &got) != ERR_OK) {
		sim_fail(sim, "not a WebSocket: %s", wire->ws.reason);
	}
	struct sim_call *call = wire->call;
	if (got && message.kind == WS_TEXT) {
		if (sim_ws_heard(sim, wire->actor, call, message.data, since_us)) {
			call_done(wire);
			sim_call_over(call);
		}
	} else if (got && message.kind == WS_PING) {
		struct buf pong;
		buf_init(&pong, 256);
		ws_frame_put_masked(&pong, WS_PONG, message.data, (const uint8_t[4]){1, 2, 3, 4});
		sim_net_send(sim->net, wire->fd, buf_str(&pong));
		buf_fini(&pong);
	}
	buf_drop(&wire->in, wire->in.len - rest.len);
	if (got && message.kind == WS_CLOSE) {
		sim_trace(sim, "%s: WebSocket closed, %d", sim->actors[wire->actor].name, message.close_code);
		sim_net_leave(sim->net, wire->fd);
		wire_ended(wire);
		return false;
	}
	return true;
}

static void wire_bytes(void *ctx, struct str bytes, int64_t since_us)
{
	struct sim_wire *wire = ctx;
	bool more = true;
	buf_put_str(&wire->in, bytes);
	check(!wire->in.failed);
	if (wire->call != NULL) {
		wire->call->since_us = since_us;
	}
	while (more && wire->state != WIRE_FREE) {
		switch (wire->state) {
		case WIRE_HEAD:
			more = head_complete(wire);
			break;
		case WIRE_LENGTH:
			more = length_read(wire);
			break;
		case WIRE_CHUNKS:
			more = chunks_read(wire);
			break;
		default:
			more = socket_read(wire, since_us);
			break;
		}
	}
}

/* By the server, or by a cut; what was asked and not answered may have been done. */
static void wire_ended(void *ctx)
{
	struct sim_wire *wire = ctx;
	struct sim_call *call = wire->call;
	wire_free(wire);
	if (call != NULL) {
		call->wire = NULL;
		sim_call_on_cut(call);
	}
}

/* ---- what goes ---- */

/* Too many are open: one that waits for nothing goes. */
static void room_make(struct sim *sim)
{
	uint32_t from = sim_draw(&sim->work, WIRES);
	int idle = -1;
	for (uint32_t i = 0; i < WIRES; i++) {
		struct sim_wire *wire = &sim->wires[(from + i) % WIRES];
		if (wire->state == WIRE_FREE) {
			return;
		}
		idle = idle < 0 && wire->call == NULL ? (int)((from + i) % WIRES) : idle;
	}
	if (idle >= 0) {
		wire_leave(&sim->wires[idle]);
	}
}

static struct sim_wire *wire_open(struct sim_call *call)
{
	struct sim *sim = call->sim;
	room_make(sim);
	for (int i = 0; i < WIRES; i++) {
		struct sim_wire *wire = &sim->wires[i];
		if (wire->state != WIRE_FREE) {
			continue;
		}
		int fd = sim_net_connect(sim->net, loop_number(call->loop), &client, wire);
		if (fd < 0) {
			return NULL;
		}
		*wire = (struct sim_wire){.sim = sim, .state = WIRE_HEAD, .fd = fd, .actor = call->actor, .socket = call->by_ws};
		buf_init(&wire->in, BYTES_MAX);
		buf_init(&wire->waiting, BYTES_MAX);
		ws_init(&wire->ws, false, BYTES_MAX);
		return wire;
	}
	return NULL;
}

/* One that waits for nothing, of the same client. */
static struct sim_wire *wire_find(struct sim_call *call)
{
	struct sim *sim = call->sim;
	/* What a connection heard before is not given again to who listens over it. */
	bool fresh = sim_chance(&sim->work, 25) || (call->by_ws && call->deed == DEED_LISTEN);
	for (int i = 0; i < WIRES && !fresh; i++) {
		struct sim_wire *wire = &sim->wires[i];
		enum wire_state state = call->by_ws ? WIRE_SOCKET : WIRE_HEAD;
		if (wire->state == state && wire->socket == call->by_ws && wire->actor == call->actor && wire->call == NULL && wire->in.len == 0) {
			return wire;
		}
	}
	return wire_open(call);
}

static void request_put(const struct sim_call *call, struct buf *out)
{
	const struct sim_actor *actor = &call->sim->actors[call->actor];
	const char *token = call->deed == DEED_REVOKED ? actor->revoked : actor->token;
	buf_format(out, "%s %s HTTP/1.1\r\nHost: guild\r\nAuthorization: Bearer %s\r\n", call->method, call->target, token);
	buf_format(out, "Accept: %s\r\n", call->stream ? "text/event-stream" : "application/json");
	if (call->key[0] != '\0') {
		buf_format(out, "Idempotency-Key: %s\r\n", call->key);
	}
	if (call->body.len > 0) {
		buf_format(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", call->body.len);
	} else if (strcmp(call->method, "GET") != 0) {
		buf_put_str(out, STR("Content-Length: 0\r\n"));
	}
	buf_put_str(out, STR("\r\n"));
	buf_put_str(out, buf_str(&call->body));
}

static void text_put(struct buf *out, struct str text)
{
	ws_frame_put_masked(out, WS_TEXT, text, (const uint8_t[4]){0x5a, 0x11, 0xc3, 0x7e});
}

/* The upgrade, signed in by its header or by the first message. */
static void upgrade_put(struct sim_wire *wire, struct buf *out)
{
	struct sim *sim = wire->sim;
	const char *token = sim->actors[wire->actor].token;
	bool by_message = sim_chance(&sim->work, 40);
	buf_put_str(out, STR("GET /v1/ws HTTP/1.1\r\nHost: guild\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: guild.v1\r\n"));
	if (by_message) {
		char text[160];
		int len = snprintf(text, sizeof(text), "{\"type\":\"auth\",\"ref\":0,\"token\":\"%s\"}", token);
		text_put(&wire->waiting, str_make(text, (size_t)len));
	} else {
		buf_format(out, "Authorization: Bearer %s\r\n", token);
	}
	buf_put_str(out, STR("\r\n"));
}

bool sim_wire_send(struct sim_call *call)
{
	struct sim *sim = call->sim;
	struct sim_wire *wire = wire_find(call);
	struct buf out, text;
	if (wire == NULL) {
		return false;
	}
	buf_init(&out, BYTES_MAX);
	buf_init(&text, BYTES_MAX);
	if (!call->by_ws) {
		request_put(call, &out);
	} else if (sim_ws_message(call, &text)) {
		if (wire->state == WIRE_HEAD) {
			upgrade_put(wire, &out);
		}
		text_put(wire->state == WIRE_HEAD ? &wire->waiting : &out, buf_str(&text));
	}
	check(!out.failed && !text.failed && !wire->waiting.failed);
	wire->call = call;
	call->wire = wire;
	sim_net_send(sim->net, wire->fd, buf_str(&out));
	buf_fini(&out);
	buf_fini(&text);
	return true;
}

void sim_wire_hang_up(struct sim_call *call)
{
	struct sim_wire *wire = call->wire;
	call_done(wire);
	wire_leave(wire);
}

void sim_wire_forget(struct sim *sim)
{
	for (int i = 0; sim->wires != NULL && i < WIRES; i++) {
		if (sim->wires[i].state != WIRE_FREE) {
			wire_free(&sim->wires[i]);
		}
	}
	if (sim->wires == NULL) {
		sim->wires = calloc(WIRES, sizeof(*sim->wires));
		check(sim->wires != NULL);
	}
	if (sim->net != NULL) {
		sim_net_cut_all(sim->net);
	}
}
