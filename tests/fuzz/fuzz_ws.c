/*
 * Frames of a client or a server: whole and in pieces give the same messages and the same refusal; what was
 * given can be written and read again. The first byte chooses side and pieces.
 */
#include "base/check.h"
#include "wire/ws.h"

enum { MESSAGE_MAX = 70000 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void read_back(const struct ws_message *message)
{
	static const uint8_t mask[4] = {1, 2, 3, 250};
	struct ws ws;
	struct ws_message again;
	struct buf frame;
	bool got;

	buf_init(&frame, 2 * MESSAGE_MAX);
	if (message->kind == WS_CLOSE)
		ws_close_put(&frame, message->close_code, message->data);
	else
		ws_frame_put_masked(&frame, message->kind, message->data, mask);
	struct str rest = buf_str(&frame);

	ws_init(&ws, message->kind != WS_CLOSE, MESSAGE_MAX);
	check(ws_feed(&ws, &rest, &again, &got) == ERR_OK && got && rest.len == 0);
	check(again.kind == message->kind && again.close_code == message->close_code);
	check(str_eq(again.data, message->data));
	ws_fini(&ws);
	buf_fini(&frame);
}

static void run(bool from_client, struct str input, size_t step, bool again, struct buf *log)
{
	struct ws ws;
	struct ws_message message;
	enum err err = ERR_OK;

	ws_init(&ws, from_client, MESSAGE_MAX);
	while (err == ERR_OK && input.len > 0) {
		struct str piece = str_sub(input, 0, step);
		bool got;

		input = str_sub(input, piece.len, input.len);
		do {
			err = ws_feed(&ws, &piece, &message, &got);
			if (!got)
				continue;
			check(message.kind != WS_TEXT || utf8_valid(message.data));
			buf_format(log, "[%d %d %zu ", (int)message.kind, message.close_code, message.data.len);
			buf_put_str(log, message.data);
			if (again)
				read_back(&message);
		} while (err == ERR_OK && (got || piece.len > 0));
		check(ws.message.len <= MESSAGE_MAX && ws.control.len <= 125);
	}
	check((err == ERR_OK) == (ws.close_code == 0));
	buf_format(log, "<%d %d %s", (int)err, ws.close_code, ws.reason ? ws.reason : "-");
	ws_fini(&ws);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct buf whole, split;

	if (len < 1)
		return 0;
	struct str input = str_make(bytes + 1, len - 1);
	bool from_client = (bytes[0] & 0x80) != 0;

	buf_init(&whole, 1 << 24);
	buf_init(&split, 1 << 24);
	run(from_client, input, input.len + 1, true, &whole);
	run(from_client, input, 1 + (bytes[0] & 0x1f), false, &split);
	check(str_eq(buf_str(&whole), buf_str(&split)));
	buf_fini(&whole);
	buf_fini(&split);
	return 0;
}
