/*
 * WebSocket frames. Input is judged from left to right, each rule at the byte that breaks it, so that the
 * answer does not depend on how the bytes were cut into pieces.
 */
#include "wire/ws.h"

#include "base/check.h"
#include "base/limits.h"
#include "wire/base64.h"
#include "wire/sha1.h"

enum {
	OP_CONTINUATION = 0,
	OP_TEXT = 1,
	OP_BINARY = 2,
	OP_CLOSE = 8,
	OP_PING = 9,
	OP_PONG = 10,
	CONTROL_BYTES_MAX = 125,
	KEY_BYTES = 16,
	IDLE_BYTES_MAX = 512
};

enum { BIT_FIN = 0x80, BITS_RESERVED = 0x70, BIT_MASK = 0x80, LEN_16 = 126, LEN_64 = 127 };

enum { CLOSE_PROTOCOL = 1002, CLOSE_NO_CODE = 1005, CLOSE_DATA = 1007, CLOSE_TOO_BIG = 1009, CLOSE_OVERLOADED = 1013 };

static enum err head_feed(struct ws *ws, struct str *rest);
static enum err payload_feed(struct ws *ws, struct str *rest);
static enum err frame_end(struct ws *ws, struct ws_message *out, bool *got);

void ws_init(struct ws *ws, bool from_client, size_t message_bytes_max)
{
	*ws = (struct ws){.from_client = from_client, .message_bytes_max = message_bytes_max};
	buf_init(&ws->message, message_bytes_max);
	buf_init(&ws->control, CONTROL_BYTES_MAX);
}

void ws_fini(struct ws *ws)
{
	buf_fini(&ws->message);
	buf_fini(&ws->control);
}

static enum err fail(struct ws *ws, int close_code, const char *reason)
{
	ws->close_code = close_code;
	ws->reason = reason;
	if (close_code == CLOSE_TOO_BIG)
		return ERR_TOO_LARGE;
	return close_code == CLOSE_OVERLOADED ? ERR_LIMIT : ERR_MALFORMED;
}

static bool is_control(uint8_t opcode)
{
	return (opcode & 8) != 0;
}

/* Forgets what was delivered; a connection that goes idle keeps no big buffer. */
static void delivered_clear(struct ws *ws, bool idle)
{
	if (!ws->in_message) {
		buf_clear(&ws->message);
		if (idle && ws->message.cap > IDLE_BYTES_MAX)
			buf_fini(&ws->message);
	}
	if (!ws->in_payload)
		buf_clear(&ws->control);
}

enum err ws_feed(struct ws *ws, struct str *rest, struct ws_message *out, bool *got)
{
	*got = false;
	if (ws->close_code != 0)
		return fail(ws, ws->close_code, ws->reason);
	delivered_clear(ws, rest->len == 0);
	while (rest->len > 0 && !*got) {
		enum err err = ws->in_payload ? ERR_OK : head_feed(ws, rest);

		if (err == ERR_OK && ws->in_payload)
			err = payload_feed(ws, rest);
		if (err == ERR_OK && ws->in_payload && ws->payload_left == 0)
			err = frame_end(ws, out, got);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err first_byte(struct ws *ws, uint8_t byte)
{
	ws->fin = (byte & BIT_FIN) != 0;
	ws->opcode = byte & 0x0f;
	if ((byte & BITS_RESERVED) != 0)
		return fail(ws, CLOSE_PROTOCOL, "A reserved bit is set.");
	if (ws->opcode > OP_PONG || (ws->opcode > OP_BINARY && ws->opcode < OP_CLOSE))
		return fail(ws, CLOSE_PROTOCOL, "The opcode is reserved.");
	if (is_control(ws->opcode))
		return ws->fin ? ERR_OK : fail(ws, CLOSE_PROTOCOL, "A control frame is fragmented.");
	if (ws->opcode == OP_CONTINUATION && !ws->in_message)
		return fail(ws, CLOSE_PROTOCOL, "A continuation has no message to continue.");
	if (ws->opcode != OP_CONTINUATION && ws->in_message)
		return fail(ws, CLOSE_PROTOCOL, "A message begins inside another.");
	if (ws->in_message && ws->fragments >= LIMIT_WS_FRAGMENTS)
		return fail(ws, CLOSE_TOO_BIG, "The message has too many fragments.");
	return ERR_OK;
}

static enum err second_byte(struct ws *ws, uint8_t byte)
{
	uint8_t len = byte & 0x7f;

	if (((byte & BIT_MASK) != 0) != ws->from_client)
		return fail(ws, CLOSE_PROTOCOL, ws->from_client ? "The frame is not masked." : "The frame is masked.");
	if (is_control(ws->opcode) && len > CONTROL_BYTES_MAX)
		return fail(ws, CLOSE_PROTOCOL, "A control frame is longer than 125 bytes.");
	if (ws->opcode == OP_CLOSE && len == 1)
		return fail(ws, CLOSE_PROTOCOL, "A close frame has half a code.");
	return ERR_OK;
}

/* Where the length ends in the head: 2, 4 or 10. */
static unsigned length_end(const struct ws *ws)
{
	uint8_t len = ws->head[1] & 0x7f;

	return len == LEN_64 ? 10 : len == LEN_16 ? 4 : 2;
}

static enum err length_take(struct ws *ws)
{
	unsigned end = length_end(ws);
	uint64_t len = end == 2 ? ws->head[1] & 0x7f : 0;

	for (unsigned i = 2; i < end; i++)
		len = len << 8 | ws->head[i];
	if (len >> 63)
		return fail(ws, CLOSE_PROTOCOL, "The length has its top bit set.");
	if ((end == 4 && len < LEN_16) || (end == 10 && len <= UINT16_MAX))
		return fail(ws, CLOSE_PROTOCOL, "The length is not in its shortest form.");
	if (!is_control(ws->opcode) && len > ws->message_bytes_max - ws->message.len)
		return fail(ws, CLOSE_TOO_BIG, "The message is too big.");
	ws->payload_left = len;
	return ERR_OK;
}

static void payload_begin(struct ws *ws)
{
	if (ws->from_client)
		memcpy(ws->mask, ws->head + ws->head_len - 4, 4);
	ws->head_len = 0;
	ws->payload_at = 0;
	ws->in_payload = true;
	if (is_control(ws->opcode))
		return;
	if (ws->opcode != OP_CONTINUATION) {
		ws->in_message = true;
		ws->message_kind = ws->opcode == OP_TEXT ? WS_TEXT : WS_BINARY;
		ws->fragments = 0;
		ws->utf8 = (struct utf8_check){0};
	}
	ws->fragments++;
}

static enum err head_feed(struct ws *ws, struct str *rest)
{
	while (rest->len > 0 && !ws->in_payload) {
		enum err err = ERR_OK;
		uint8_t byte = (uint8_t)*rest->at;

		ws->head[ws->head_len++] = byte;
		rest->at++;
		rest->len--;
		if (ws->head_len == 1)
			err = first_byte(ws, byte);
		else if (ws->head_len == 2)
			err = second_byte(ws, byte);
		if (err == ERR_OK && ws->head_len >= 2 && ws->head_len == length_end(ws))
			err = length_take(ws);
		if (err != ERR_OK)
			return err;
		if (ws->head_len >= 2 && ws->head_len == length_end(ws) + (ws->from_client ? 4 : 0))
			payload_begin(ws);
	}
	return ERR_OK;
}

/* Copies with the mask laid over; at is the first byte's place in the payload. */
static void unmask(char *to, const char *from, size_t len, const uint8_t mask[4], uint64_t at)
{
	uint8_t turned[8];
	uint64_t wide;
	size_t i = 0;

	for (unsigned k = 0; k < 8; k++)
		turned[k] = mask[(at + k) & 3];
	memcpy(&wide, turned, 8);
	for (; i + 8 <= len; i += 8) {
		uint64_t word;

		memcpy(&word, from + i, 8);
		word ^= wide;
		memcpy(to + i, &word, 8);
	}
	for (; i < len; i++)
		to[i] = (char)((uint8_t)from[i] ^ turned[i & 7]);
}

static enum err payload_feed(struct ws *ws, struct str *rest)
{
	struct buf *into = is_control(ws->opcode) ? &ws->control : &ws->message;
	size_t len = ws->payload_left < rest->len ? (size_t)ws->payload_left : rest->len;

	if (len == 0)
		return ERR_OK;

	char *to = buf_reserve(into, len);

	if (to == NULL)
		return fail(ws, CLOSE_OVERLOADED, "There is no memory for the message.");
	if (ws->from_client)
		unmask(to, rest->at, len, ws->mask, ws->payload_at);
	else
		memcpy(to, rest->at, len);
	into->len += len;
	rest->at += len;
	rest->len -= len;
	ws->payload_at += len;
	ws->payload_left -= len;
	if (!is_control(ws->opcode) && ws->message_kind == WS_TEXT && !utf8_feed(&ws->utf8, str_make(to, len)))
		return fail(ws, CLOSE_DATA, "The text is not valid UTF-8.");
	return ERR_OK;
}

static enum err close_take(struct ws *ws, struct ws_message *out)
{
	struct str payload = buf_str(&ws->control);

	out->kind = WS_CLOSE;
	out->close_code = CLOSE_NO_CODE;
	out->data = STR("");
	if (payload.len == 0)
		return ERR_OK;
	out->close_code = (uint8_t)payload.at[0] << 8 | (uint8_t)payload.at[1];
	out->data = str_sub(payload, 2, payload.len);
	if (!ws_close_code_valid(out->close_code))
		return fail(ws, CLOSE_PROTOCOL, "The close code is not valid.");
	if (!utf8_valid(out->data))
		return fail(ws, CLOSE_DATA, "The close reason is not valid UTF-8.");
	return ERR_OK;
}

static enum err frame_end(struct ws *ws, struct ws_message *out, bool *got)
{
	enum err err = ERR_OK;

	ws->in_payload = false;
	*out = (struct ws_message){.close_code = CLOSE_NO_CODE};
	if (ws->opcode == OP_CLOSE) {
		err = close_take(ws, out);
	} else if (is_control(ws->opcode)) {
		out->kind = ws->opcode == OP_PING ? WS_PING : WS_PONG;
		out->data = ws->control.len > 0 ? buf_str(&ws->control) : STR("");
	} else if (ws->fin) {
		ws->in_message = false;
		if (ws->message_kind == WS_TEXT && !utf8_complete(&ws->utf8))
			return fail(ws, CLOSE_DATA, "The text ends inside a character.");
		out->kind = ws->message_kind;
		out->data = ws->message.len > 0 ? buf_str(&ws->message) : STR("");
	} else {
		return ERR_OK;
	}
	*got = err == ERR_OK;
	return err;
}

size_t ws_header_bytes(size_t len)
{
	if (len < LEN_16)
		return 2;
	return len <= UINT16_MAX ? 4 : 10;
}

static size_t header_put(uint8_t *out, enum ws_kind kind, size_t len, bool masked)
{
	static const uint8_t opcodes[] = {
		[WS_TEXT] = OP_TEXT, [WS_BINARY] = OP_BINARY, [WS_PING] = OP_PING, [WS_PONG] = OP_PONG, [WS_CLOSE] = OP_CLOSE,
	};
	size_t bytes = ws_header_bytes(len);
	uint8_t mask_bit = masked ? BIT_MASK : 0;

	check((unsigned)kind <= WS_CLOSE);
	check(!is_control(opcodes[kind]) || len <= CONTROL_BYTES_MAX);
	out[0] = BIT_FIN | opcodes[kind];
	out[1] = mask_bit | (uint8_t)(bytes == 2 ? len : bytes == 4 ? LEN_16 : LEN_64);
	for (size_t i = bytes; i > 2; i--, len >>= 8)
		out[i - 1] = (uint8_t)len;
	return bytes;
}

size_t ws_header_put(uint8_t *out, enum ws_kind kind, size_t len)
{
	return header_put(out, kind, len, false);
}

void ws_frame_put(struct buf *out, enum ws_kind kind, struct str data)
{
	uint8_t head[10];
	size_t bytes = header_put(head, kind, data.len, false);

	/* In one piece, so that a full buf never holds half a frame. */
	if (buf_reserve(out, bytes + data.len) == NULL)
		return;
	buf_put(out, head, bytes);
	buf_put_str(out, data);
}

void ws_frame_put_masked(struct buf *out, enum ws_kind kind, struct str data, const uint8_t mask[4])
{
	uint8_t head[14];
	size_t bytes = header_put(head, kind, data.len, true);
	char *to;

	memcpy(head + bytes, mask, 4);
	bytes += 4;
	to = buf_reserve(out, bytes + data.len);
	if (to == NULL)
		return;
	memcpy(to, head, bytes);
	unmask(to + bytes, data.at, data.len, mask, 0);
	out->len += bytes + data.len;
}

void ws_close_put(struct buf *out, int code, struct str reason)
{
	char payload[CONTROL_BYTES_MAX];

	if (code == CLOSE_NO_CODE) {
		ws_frame_put(out, WS_CLOSE, STR(""));
		return;
	}
	check(ws_close_code_valid(code));
	if (reason.len > sizeof(payload) - 2)
		reason = str_sub(reason, 0, utf8_whole(str_sub(reason, 0, sizeof(payload) - 2)));
	payload[0] = (char)(code >> 8);
	payload[1] = (char)(code & 0xff);
	if (reason.len > 0)
		memcpy(payload + 2, reason.at, reason.len);
	ws_frame_put(out, WS_CLOSE, str_make(payload, 2 + reason.len));
}

bool ws_close_code_valid(int code)
{
	return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

enum err ws_accept(struct str key, char out[29])
{
	static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
	char text[24 + sizeof(guid) - 1];
	uint8_t digest[20];
	struct buf buf;

	if (key.len != 24)
		return ERR_MALFORMED;
	buf_init(&buf, 64);
	enum err err = base64_decode(&buf, key);

	if (err == ERR_OK && buf.len != KEY_BYTES)
		err = ERR_MALFORMED;
	if (err == ERR_OK) {
		memcpy(text, key.at, 24);
		memcpy(text + 24, guid, sizeof(guid) - 1);
		sha1_digest(str_make(text, sizeof(text)), digest);
		buf_clear(&buf);
		base64_encode(&buf, str_make(digest, sizeof(digest)));
		err = buf_err(&buf);
	}
	if (err == ERR_OK)
		str_to_z(buf_str(&buf), out, 29);
	buf_fini(&buf);
	return err;
}
