/* test_http_websocket.c - WebSockets: handshakes, closing in every way, sign-in, limits. */
#include "http_fixture.h"

#include "base/mem.h"
#include "wire/ws.h"

/* ---- rows ---- */

static void row_ok(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	http_reply_json(request, 200, STR("{}"));
}

static void on_message(struct websocket *socket, struct str text, void *owner)
{
	assert_ptr_equal(owner, &fx);
	fx.messages++;
	str_to_z(text, fx.last_message, sizeof(fx.last_message));
	if (str_eq(text, STR("sign me in"))) {
		websocket_sign_in(socket, &(struct caller){.principal = 55, .token = 66, .role = ROLE_MEMBER});
	}
	if (str_starts(text, STR("echo "))) {
		assert_int_equal(websocket_send_text(socket, text), ERR_OK);
	}
}

static void on_socket_closed(struct websocket *socket, void *owner)
{
	assert_ptr_equal(socket, fx.socket);
	assert_ptr_equal(owner, &fx);
	assert_int_equal(websocket_send_text(socket, STR("late")), ERR_END);
	fx.socket_closed++;
}

static const struct websocket_handler socket_handler = {.message = on_message, .closed = on_socket_closed};

static void row_socket(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	if (websocket_start(request, &socket_handler, &fx, &fx.socket)) {
		fx.socket = NULL;
	}
}

static void row_socket_later(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	fx.kept = request;
}

static const char *const origins[] = {"https://console.example", NULL};

static const struct http_route table[] = {
	{.method = HTTP1_GET, .path = "/ok", .scope = SCOPE_OPEN, .flags = HTTP_OPEN, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/ws", .scope = SCOPE_OPEN, .flags = HTTP_OPEN | HTTP_UPGRADE, .handle = row_socket},
	{.method = HTTP1_GET, .path = "/ws-later", .scope = SCOPE_OPEN, .flags = HTTP_OPEN | HTTP_UPGRADE, .handle = row_socket_later},
	{.path = NULL},
};

static int set_up(void **state)
{
	(void)state;
	fixture_init(table, &(struct http_options){.origins = origins});
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_fini();
	return 0;
}

/* ---- clients ---- */

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Host: here:1\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\n"
#define SIGNED "GET /ws HTTP/1.1\r\n" UPGRADE KEY "Authorization: Bearer viewer\r\n\r\n"
#define UNSIGNED "GET /ws HTTP/1.1\r\n" UPGRADE KEY "\r\n"

static void open_socket(struct client *client, const char *request)
{
	struct reply reply;

	client_put(client, request);
	wait_for(client, reply_parse(client, true, &reply));
	assert_int_equal(reply.status, 101);
	client_drop(client, reply.bytes);
	assert_non_null(fx.socket);
}

static void put_frame(struct client *client, enum ws_kind kind, struct str data)
{
	struct buf buf;

	buf_init(&buf, 1 << 21);
	ws_frame_put_masked(&buf, kind, data, (const uint8_t *)"\x01\x02\x03\x04");
	client_send(client, buf.at, buf.len);
	buf_fini(&buf);
}

/* The next frame of the server, which is short. */
static void expect_frame(struct client *client, uint8_t first, struct str data)
{
	wait_for(client, client->len >= 2 + data.len || client->eof);
	assert_true(client->len >= 2 + data.len);
	assert_int_equal((uint8_t)client->in[0], first);
	assert_int_equal((uint8_t)client->in[1], data.len);
	assert_memory_equal(client->in + 2, data.at, data.len);
	client_drop(client, 2 + data.len);
}

/* A close frame with that code, whatever its reason. */
static void expect_close(struct client *client, int code)
{
	wait_for(client, client->len >= 4 || client->eof);
	assert_true(client->len >= 4);
	assert_int_equal((uint8_t)client->in[0], 0x88);
	assert_int_equal((uint8_t)client->in[2] << 8 | (uint8_t)client->in[3], code);
	client_drop(client, 2 + (size_t)(uint8_t)client->in[1]);
	assert_int_equal(client->len, 0);
}

static void expect_end(struct client *client)
{
	wait_for(client, client->eof);
	client_close(client);
	wait_for(NULL, fx.socket_closed == 1);
	wait_for(NULL, loop_connections(fx.loop) == 0);
	assert_int_equal(fx.socket_closed, 1);
}

static void handshake_of_the_rfc(void **state)
{
	struct client client = client_open();
	struct reply reply;

	client_put(&client, "GET /ws HTTP/1.1\r\n" UPGRADE KEY "Sec-WebSocket-Protocol: chat, guild.v1\r\n\r\n");
	wait_for(&client, reply_parse(&client, true, &reply));
	assert_int_equal(reply.status, 101);
	assert_string_equal(reply_header(&reply, "Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
	assert_string_equal(reply_header(&reply, "Sec-WebSocket-Protocol"), "guild.v1");
	assert_string_equal(reply_header(&reply, "Connection"), "Upgrade");
	assert_string_equal(reply_header(&reply, "Upgrade"), "websocket");
	assert_string_equal(reply_header(&reply, "Content-Length"), "");
	client_close(&client);
	wait_for(NULL, fx.socket_closed == 1);
}

/* One request with that token (NULL: none), body (NULL: none) and further header lines, on its own connection. */
static struct reply ask(const char *method, const char *target, const char *token, const char *lines, const char *body)
{
	struct client client = client_open();
	static char text[65536];
	int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: here\r\n%s", method, target, lines);

	if (token) {
		len += snprintf(text + len, sizeof(text) - (size_t)len, "Authorization: Bearer %s\r\n", token);
	}
	if (body) {
		len += snprintf(text + len, sizeof(text) - (size_t)len, "Content-Length: %zu\r\n", strlen(body));
	}
	snprintf(text + len, sizeof(text) - (size_t)len, "\r\n%s", body ? body : "");
	struct reply reply = client_ask(&client, text);
	client_close(&client);
	return reply;
}

static struct reply get(const char *target, const char *token)
{
	return ask("GET", target, token, "", NULL);
}

static void handshakes_that_are_refused(void **state)
{
	const char *all = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" KEY;
	char lines[512];
	struct reply reply = get("/ws", "viewer");

	assert_int_equal(reply.status, 426);
	assert_string_equal(reply_header(&reply, "Sec-WebSocket-Version"), "13");
	reply = ask("GET", "/ws", NULL, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 8\r\n" KEY, NULL);
	assert_int_equal(reply.status, 426);
	assert_int_equal(ask("GET", "/ws", NULL, UPGRADE, NULL).status, 400);
	reply = ask("GET", "/ws", NULL, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
		    "Sec-WebSocket-Key: short\r\n", NULL);
	assert_int_equal(reply.status, 400);
	assert_int_equal(fx.handled, 0);
	/* An upgrade that is asked of another row is no matter. */
	assert_int_equal(ask("GET", "/ok", NULL, all, NULL).status, 200);
	/* T10 */
	static const char *const foreign[] = {"null", "https://evil.example", "http://here.evil", "https://console.example.evil", ""};
	for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
		snprintf(lines, sizeof(lines), "%sOrigin: %s\r\n", all, foreign[i]);
		assert_int_equal(ask("GET", "/ws", "viewer", lines, NULL).status, 403);
	}
	static const char *const known[] = {"http://here", "https://HERE", "https://console.example"};
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		snprintf(lines, sizeof(lines), "%sOrigin: %s\r\n", all, known[i]);
		assert_int_equal(ask("GET", "/ws", "viewer", lines, NULL).status, 101);
		wait_for(NULL, fx.socket_closed == (int)i + 1);
	}
}

static void frames_glued_to_the_handshake(void **state)
{
	struct client client = client_open();
	struct buf buf;

	buf_init(&buf, 4096);
	buf_put_str(&buf, STR(SIGNED));
	ws_frame_put_masked(&buf, WS_TEXT, STR("echo one"), (const uint8_t *)"abcd");
	ws_frame_put_masked(&buf, WS_TEXT, STR("echo two"), (const uint8_t *)"abcd");
	client_send(&client, buf.at, buf.len);
	struct reply reply;
	wait_for(&client, reply_parse(&client, true, &reply));
	client_drop(&client, reply.bytes);
	expect_frame(&client, 0x81, STR("echo one"));
	expect_frame(&client, 0x81, STR("echo two"));
	buf_fini(&buf);
	client_close(&client);
	wait_for(NULL, fx.socket_closed == 1);
}

static void glued_frames_of_a_handshake_answered_later(void **state)
{
	struct client client = client_open();
	struct buf buf;

	buf_init(&buf, 4096);
	buf_put_str(&buf, STR("GET /ws-later HTTP/1.1\r\n" UPGRADE KEY "\r\n"));
	ws_frame_put_masked(&buf, WS_TEXT, STR("early"), (const uint8_t *)"abcd");
	client_send(&client, buf.at, buf.len);
	buf_fini(&buf);
	wait_for(&client, fx.kept);
	turn(&client);
	assert_int_equal(fx.messages, 0);
	assert_int_equal(websocket_start(fx.kept, &socket_handler, &fx, &fx.socket), ERR_OK);
	wait_for(&client, fx.messages == 1);
	assert_string_equal(fx.last_message, "early");
	client_close(&client);
	wait_for(NULL, fx.socket_closed == 1);
}

static void messages_byte_by_byte_and_pings(void **state)
{
	struct client client = client_open();
	struct buf buf;

	open_socket(&client, SIGNED);
	assert_int_equal(websocket_caller(fx.socket)->role, ROLE_VIEWER);
	buf_init(&buf, 4096);
	ws_frame_put_masked(&buf, WS_TEXT, STR("echo \xc3\xa4"), (const uint8_t *)"abcd");
	ws_frame_put_masked(&buf, WS_PING, STR("hi"), (const uint8_t *)"abcd");
	ws_frame_put_masked(&buf, WS_PONG, STR("unasked"), (const uint8_t *)"abcd");
	for (size_t i = 0; i < buf.len; i++) {
		client_send(&client, buf.at + i, 1);
		turn(&client);
	}
	expect_frame(&client, 0x81, STR("echo \xc3\xa4"));
	expect_frame(&client, 0x8a, STR("hi"));
	buf_fini(&buf);
	/* A message of the greatest size, and one byte more. */
	char *big = malloc(LIMIT_WS_MESSAGE_BYTES + 1);
	memset(big, 'a', LIMIT_WS_MESSAGE_BYTES + 1);
	put_frame(&client, WS_TEXT, str_make(big, LIMIT_WS_MESSAGE_BYTES));
	wait_for(&client, fx.messages == 2);
	client_send(&client, "\x81\xff\x00\x00\x00\x00\x00\x10\x00\x01" "abcd", 14);
	expect_close(&client, 1009);
	free(big);
	expect_end(&client);
}

static void closing(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	put_frame(&client, WS_CLOSE, STR("\x0f\xa5why"));
	expect_close(&client, 0x0fa5);
	expect_end(&client);
}

static void closing_without_a_code(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	put_frame(&client, WS_CLOSE, STR(""));
	expect_frame(&client, 0x88, STR(""));
	expect_end(&client);
}

static void closing_first(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	websocket_close(fx.socket, 4003, STR("no"));
	websocket_close(fx.socket, 4009, STR("twice"));
	assert_int_equal(websocket_send_text(fx.socket, STR("late")), ERR_END);
	expect_frame(&client, 0x88, STR("\x0f\xa3no"));
	/* Until the answer comes, what else comes is passed over. */
	put_frame(&client, WS_TEXT, STR("too late"));
	put_frame(&client, WS_CLOSE, STR("\x0f\xa3"));
	wait_for(&client, client.eof);
	assert_int_equal(client.len, 0);
	assert_int_equal(fx.messages, 0);
	expect_end(&client);
}

static void closing_first_without_an_answer(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	websocket_close(fx.socket, 1000, STR(""));
	expect_close(&client, 1000);
	assert_false(client.eof);
	skew_us += 6 * SECOND;
	expect_end(&client);
}

/* T24 */
static void protocol_errors(void **state)
{
	static const struct {
		struct str bytes;
		int code;
	} rows[] = {
		{STR("\x81\x02hi"), 1002},                       /* not masked */
		{STR("\xc1\x80" "abcd"), 1002},                  /* reserved bit */
		{STR("\x81\x82\x00\x00\x00\x00\xff\xff"), 1007}, /* not UTF-8 */
		{STR("\x82\x81\x00\x00\x00\x00x"), 1003},        /* binary */
		{STR("\x88\x82\x00\x00\x00\x00\x03\xed"), 1002}, /* 1005 must not be sent */
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client client = client_open();
		fx.socket_closed = 0;
		open_socket(&client, SIGNED);
		client_send(&client, rows[i].bytes.at, rows[i].bytes.len);
		expect_close(&client, rows[i].code);
		expect_end(&client);
	}
}

static void ping_floods(void **state)
{
	struct client client = client_open();
	struct buf buf;

	open_socket(&client, SIGNED);
	buf_init(&buf, 4096);
	for (int i = 0; i < 100; i++) {
		ws_frame_put_masked(&buf, WS_PING, STR(""), (const uint8_t *)"abcd");
	}
	client_send(&client, buf.at, buf.len);
	for (int i = 0; i < 100; i++) {
		expect_frame(&client, 0x8a, STR(""));
	}
	skew_us += 2 * SECOND;
	client_send(&client, buf.at, buf.len);
	for (int i = 0; i < 100; i++) {
		expect_frame(&client, 0x8a, STR(""));
	}
	put_frame(&client, WS_PING, STR(""));
	expect_close(&client, 4029);
	buf_fini(&buf);
	expect_end(&client);
}

static void signing_in(void **state)
{
	struct client client = client_open();

	open_socket(&client, UNSIGNED);
	assert_int_equal(websocket_caller(fx.socket)->role, ROLE_NONE);
	skew_us += 4 * SECOND;
	put_frame(&client, WS_TEXT, STR("sign me in"));
	wait_for(&client, fx.messages == 1);
	skew_us += 4 * SECOND;
	turn(&client);
	put_frame(&client, WS_TEXT, STR("echo ok"));
	expect_frame(&client, 0x81, STR("echo ok"));
	http_server_revoke(fx.server, fx.loop, 66, 0);
	expect_close(&client, 4001);
	put_frame(&client, WS_CLOSE, STR("\x0f\xa1"));
	expect_end(&client);
}

/* T10, T20 */
static void nobody_signs_in(void **state)
{
	struct client client = client_open();

	open_socket(&client, UNSIGNED);
	for (int i = 0; i < 5; i++) {
		skew_us += SECOND - 100000;
		put_frame(&client, WS_TEXT, STR("busy talk"));
		turn(&client);
	}
	assert_int_equal(client.len, 0);
	skew_us += SECOND;
	expect_close(&client, 4001);
	expect_end(&client);
}

static void tokens_expire(void **state)
{
	struct client client = client_open();

	open_socket(&client, "GET /ws HTTP/1.1\r\n" UPGRADE KEY "Authorization: Bearer expiring\r\n\r\n");
	skew_us += 19 * SECOND;
	turn(&client);
	assert_int_equal(client.len, 0);
	skew_us += SECOND;
	expect_close(&client, 4001);
	expect_end(&client);
}

static void pings_and_silence(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	for (int i = 0; i < 5; i++) {
		skew_us += 31 * SECOND;
		expect_frame(&client, 0x89, STR(""));
		put_frame(&client, WS_PONG, STR(""));
		turn(&client);
		turn(&client);
	}
	skew_us += 31 * SECOND;
	expect_frame(&client, 0x89, STR(""));
	skew_us += 31 * SECOND;
	expect_frame(&client, 0x89, STR(""));
	skew_us += 31 * SECOND;
	expect_close(&client, 1001);
	expect_end(&client);
}

/* T21 */
static void slow_sockets_are_closed_with_4008(void **state)
{
	struct client client = client_open();
	static char text[60000];
	enum err err = ERR_OK;

	open_socket(&client, SIGNED);
	memset(text, 'x', sizeof(text));
	for (int i = 0; i < 2000 && !err; i++) {
		err = websocket_send_text(fx.socket, str_make(text, sizeof(text)));
		loop_turn(fx.loop, 0);
	}
	assert_int_equal(err, ERR_TOO_SLOW);
	assert_int_equal(websocket_send_text(fx.socket, STR("x")), ERR_END);
	/* A reader who wakes up in time is told why. */
	char tail[256] = "";
	while (!client.eof) {
		turn(&client);
		if (client.len >= sizeof(tail)) {
			client_drop(&client, client.len - sizeof(tail) + 1);
		}
	}
	assert_true(client.len > 32);
	assert_memory_equal(client.in + client.len - 16, "too slow: resume", 16);
	assert_int_equal((uint8_t)client.in[client.len - 18] << 8 | (uint8_t)client.in[client.len - 17], 4008);
	expect_end(&client);
}

static void sockets_and_stopping(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	http_server_drain(fx.server, fx.loop);
	expect_close(&client, 1001);
	put_frame(&client, WS_CLOSE, STR("\x03\xe9"));
	expect_end(&client);
}

static void revocation_by_principal(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	http_server_revoke(fx.server, fx.loop, 8, 100);
	http_server_revoke(fx.server, fx.loop, 0, 101);
	turn(&client);
	assert_int_equal(client.len, 0);
	http_server_revoke(fx.server, fx.loop, 0, 100);
	expect_close(&client, 4001);
	put_frame(&client, WS_CLOSE, STR("\x0f\xa1"));
	expect_end(&client);
}

static void the_loop_ends_with_everything_open(void **state)
{
	struct client client = client_open();

	open_socket(&client, SIGNED);
	listener_close(&fx.listener);
	loop_destroy(&fx.loop);
	assert_int_equal(fx.socket_closed, 1);
	http_server_destroy(&fx.server);
	conn_caps_destroy(&fx.caps);
	client_close(&client);
	set_up(NULL);
}

/* ---- without memory ---- */

static bool fail_at(void *arg, uint64_t number)
{
	return number == *(uint64_t *)arg;
}

/* Whatever allocation fails, the client hears something or the connection ends, and nothing stays behind. */
static void every_allocation_may_fail(void **state)
{
	static const char *const requests[] = {SIGNED, UNSIGNED};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		bool failed = true;
		for (uint64_t n = 1; failed; n++) {
			struct client client = client_open();
			uint64_t at = mem_count() + n;
			fx.socket = NULL;
			mem_hook_set(fail_at, &at);
			client_put(&client, requests[i]);
			wait_for(&client, client.eof || strstr(client.in, "\r\n\r\n"));
			mem_hook_set(NULL, NULL);
			failed = mem_count() >= at;
			assert_true(n < 100);
			client_close(&client);
			wait_for(NULL, loop_connections(fx.loop) == 0);
			/* An empty pool again. */
			tear_down(NULL);
			set_up(NULL);
		}
	}
}

#define row(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		row(handshake_of_the_rfc),
		row(handshakes_that_are_refused),
		row(frames_glued_to_the_handshake),
		row(glued_frames_of_a_handshake_answered_later),
		row(messages_byte_by_byte_and_pings),
		row(closing),
		row(closing_without_a_code),
		row(closing_first),
		row(closing_first_without_an_answer),
		row(protocol_errors),
		row(ping_floods),
		row(signing_in),
		row(nobody_signs_in),
		row(tokens_expire),
		row(pings_and_silence),
		row(slow_sockets_are_closed_with_4008),
		row(sockets_and_stopping),
		row(revocation_by_principal),
		row(the_loop_ends_with_everything_open),
		row(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
