/*
 * ws.h - WebSocket frames (RFC 6455), server and client side, without extensions.
 *
 * For:     bytes -> messages with fail-fast checks; messages -> frames.
 * Not for: sockets; the JSON inside.
 * Threads: one owner; pure.
 * Memory:  a message in several frames or pieces is collected in a buf capped at message_bytes_max.
 * Errors:  ws_feed returns ERR_MALFORMED or ERR_TOO_LARGE; ws->close_code (1002, 1007 or 1009) and ws->reason say which.
 *          ERR_LIMIT with 1013 when there is no memory for the message. After an error it only gives that error again.
 */
#ifndef GUILD_WIRE_WS_H
#define GUILD_WIRE_WS_H

#include "base/buf.h"
#include "wire/utf8.h"

enum ws_kind { WS_TEXT, WS_BINARY, WS_PING, WS_PONG, WS_CLOSE };

struct ws_message {
	enum ws_kind kind;
	struct str data;      /* valid until the next ws_feed; of a close: the reason */
	int close_code;       /* of a close; 1005 when it had none */
};

struct ws {
	bool from_client;     /* frames have to be masked (server side) or must not be (client side) */
	size_t message_bytes_max;
	struct buf message;   /* collected data of a fragmented message */
	struct buf control;   /* partial control payload */
	unsigned fragments;
	bool in_message;
	enum ws_kind message_kind;
	struct utf8_check utf8;
	/* the frame being read */
	uint8_t head[14];
	unsigned head_len;
	bool in_payload;
	bool fin;
	uint8_t opcode;
	uint8_t mask[4];
	uint64_t payload_left;
	uint64_t payload_at;
	int close_code;
	const char *reason;
};

void ws_init(struct ws *ws, bool from_client, size_t message_bytes_max);
void ws_fini(struct ws *ws);
/* Takes bytes from *rest (moved on). *got is true when *out is a message or control frame. Call until *rest is empty and
 * not *got. After an error the connection must be closed with ws->close_code. */
enum err ws_feed(struct ws *ws, struct str *rest, struct ws_message *out, bool *got) MUST_USE;

/* Bytes of the header ws_put_header writes for an unmasked frame of len bytes: 2, 4 or 10. */
size_t ws_header_bytes(size_t len);
/* Writes an unmasked, final frame header to out; returns its bytes. */
size_t ws_header_put(uint8_t *out, enum ws_kind kind, size_t len);
/* Appends a whole unmasked frame (server). */
void ws_frame_put(struct buf *out, enum ws_kind kind, struct str data);
/* Appends a whole masked frame (client); mask: 4 random bytes. */
void ws_frame_put_masked(struct buf *out, enum ws_kind kind, struct str data, const uint8_t mask[4]);
/* Appends a close frame; reason is cut to 123 bytes at a code point border. Code 1005 (none was given) makes an empty one;
 * any other has to be ws_close_code_valid. */
void ws_close_put(struct buf *out, int code, struct str reason);
/* True for codes that may stand in a close frame (1000-1003, 1007-1014, 3000-4999). */
bool ws_close_code_valid(int code);
/* base64(SHA-1(key + GUID)): out has 29 bytes. ERR_MALFORMED when key is not 16 bytes in base64. */
enum err ws_accept(struct str key, char out[29]) MUST_USE;

#endif
