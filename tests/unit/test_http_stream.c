/* test_http_stream.c - event streams, and the library's door. */
#include "http_fixture.h"

#include "base/mem.h"

/* ---- rows ---- */

static void on_drained(struct http_stream *stream, void *owner)
{
	assert_ptr_equal(stream, fx.stream);
	assert_ptr_equal(owner, &fx);
	fx.stream_drained++;
}

static void on_stream_closed(struct http_stream *stream, void *owner)
{
	assert_ptr_equal(stream, fx.stream);
	assert_ptr_equal(owner, &fx);
	assert_non_null(arena_alloc(http_stream_arena(stream), 16));
	fx.stream_closed++;
}

static const struct http_stream_handler stream_handler = {.drained = on_drained, .closed = on_stream_closed};

static void row_stream(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	if (http_stream_start(request, &stream_handler, &fx, &fx.stream)) {
		fx.stream = NULL;
	}
}

static void row_later(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	fx.kept = request;
}

static void row_ok(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	http_reply_json(request, 200, STR("{}"));
}

static const struct http_member number[] = {{.name = "n", .kind = HTTP_INT, .required = true}, {0}};

static const struct http_route table[] = {
	{.method = HTTP1_GET, .path = "/ok", .scope = SCOPE_OPEN, .flags = HTTP_OPEN, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/stream", .role_min = ROLE_VIEWER, .scope = SCOPE_SIGNED_IN, .handle = row_stream},
	{.method = HTTP1_GET, .path = "/events", .flags = HTTP_ENDLESS, .role_min = ROLE_VIEWER, .scope = SCOPE_SIGNED_IN, .handle = row_stream},
	{.method = HTTP1_POST, .path = "/stream", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .body = number, .handle = row_stream},
	{.method = HTTP1_GET, .path = "/events-later", .flags = HTTP_ENDLESS, .role_min = ROLE_VIEWER, .scope = SCOPE_SIGNED_IN, .handle = row_later},
	{.method = HTTP1_GET, .path = "/later", .role_min = ROLE_VIEWER, .scope = SCOPE_SIGNED_IN, .handle = row_later},
	{.method = HTTP1_GET, .path = "/ws", .scope = SCOPE_OPEN, .flags = HTTP_OPEN | HTTP_UPGRADE, .handle = row_ok},
	{.path = NULL},
};

static int set_up(void **state)
{
	(void)state;
	fixture_init(table, NULL);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_fini();
	return 0;
}

/* ---- event streams ---- */

#define STREAM "GET /stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer viewer\r\n\r\n"
#define CHUNK_RETRY "d\r\nretry: 1000\n\n\r\n"

static enum err send_event(const char *id, const char *event, const char *data)
{
	return http_stream_send_take(fx.stream, http_sse_frame(str_of(id), str_of(event), str_of(data)));
}

static void open_stream(struct client *client, const char *request)
{
	client_put(client, request);
	wait_for(client, fx.stream && strstr(client->in, "retry: 1000\n\n"));
}

static void events_are_chunks(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM);
	assert_in(client.in, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n");
	assert_in(client.in, "\r\nTransfer-Encoding: chunked\r\n");
	assert_in(client.in, "\r\nCache-Control: no-store\r\n");
	assert_in(client.in, "\r\nX-Accel-Buffering: no\r\n");
	assert_null(strstr(client.in, "Content-Length"));
	assert_in(client.in, "\r\n\r\n" CHUNK_RETRY);
	client_drop(&client, client.len);
	assert_int_equal(send_event("a:1:1", "streaming:start", "{}"), ERR_OK);
	assert_int_equal(send_event("", "", "x"), ERR_OK);
	http_stream_end(fx.stream);
	assert_int_equal(fx.stream_closed, 0);
	assert_int_equal(send_event("", "", "late"), ERR_END);
	http_stream_end(fx.stream);
	wait_for(&client, strstr(client.in, "0\r\n\r\n"));
	assert_string_equal(client.in, "2b\r\nid: a:1:1\nevent: streaming:start\ndata: {}\n\n\r\n9\r\ndata: x\n\n\r\n0\r\n\r\n");
	assert_int_equal(fx.stream_closed, 1);
	/* The connection goes on. */
	client_drop(&client, client.len);
	assert_int_equal(client_ask(&client, "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n").status, 200);
	assert_int_equal(fx.stream_closed, 1);
	client_close(&client);
}

static void a_request_behind_a_stream_waits(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM "GET /ok HTTP/1.1\r\nHost: a\r\n\r\n");
	for (int i = 0; i < 10; i++) {
		turn(&client);
	}
	assert_int_equal(fx.handled, 1);
	client_drop(&client, client.len);
	http_stream_end(fx.stream);
	wait_for(&client, strstr(client.in, "0\r\n\r\n"));
	client_drop(&client, 5);
	assert_int_equal(client_reply(&client).status, 200);
	client_close(&client);
}

static void http_1_0_gets_plain_events(void **state)
{
	struct client client = client_open();

	open_stream(&client, "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\nAuthorization: Bearer viewer\r\n\r\n");
	assert_null(strstr(client.in, "chunked"));
	assert_in(client.in, "\r\nConnection: close\r\n");
	assert_int_equal(send_event("1", "e", "d"), ERR_OK);
	http_stream_end(fx.stream);
	wait_for(&client, client.eof);
	assert_in(client.in, "\r\n\r\nretry: 1000\n\nid: 1\nevent: e\ndata: d\n\n");
	assert_string_equal(client.in + client.len - 9, "data: d\n\n");
	client_close(&client);
	wait_for(NULL, fx.stream_closed == 1);
}

static void a_client_that_leaves_closes_once(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM);
	client_close(&client);
	wait_for(NULL, fx.stream_closed == 1);
	wait_for(NULL, loop_connections(fx.loop) == 0);
	assert_int_equal(fx.stream_closed, 1);
}

static void a_client_that_leaves_during_the_end(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM);
	close(client.fd);
	client.fd = -1;
	http_stream_end(fx.stream);
	wait_for(NULL, loop_connections(fx.loop) == 0);
	assert_int_equal(fx.stream_closed, 1);
	client_close(&client);
}

static void starting_without_a_client(void **state)
{
	struct client client = client_open();
	struct http_stream *stream;

	client_put(&client, "GET /later HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer viewer\r\n\r\n");
	wait_for(&client, fx.kept);
	struct linger hard = {1, 0};
	setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(client.fd);
	client.fd = -1;
	wait_for(NULL, loop_connections(fx.loop) == 0);
	assert_int_equal(http_stream_start(fx.kept, &stream_handler, &fx, &stream), ERR_END);
	assert_null(stream);
	assert_int_equal(fx.stream_closed, 0);
	client_close(&client);
}

static void head_of_a_stream(void **state)
{
	struct client client = client_open();
	struct reply reply;

	client_put(&client, "HEAD /stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer viewer\r\n\r\n");
	wait_for(&client, reply_parse(&client, true, &reply));
	assert_int_equal(reply.status, 200);
	assert_int_equal(client.len, reply.bytes);
	assert_null(fx.stream);
	assert_int_equal(fx.stream_closed, 0);
	client_close(&client);
}

static void comments_keep_a_quiet_stream_open(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM);
	client_drop(&client, client.len);
	for (int i = 0; i < 3; i++) {
		skew_us += 14 * SECOND;
		turn(&client);
		assert_int_equal(client.len, 0);
		skew_us += 2 * SECOND;
		wait_for(&client, client.len);
		assert_string_equal(client.in, "3\r\n:\n\n\r\n");
		client_drop(&client, client.len);
	}
	assert_int_equal(fx.stream_closed, 0);
	client_close(&client);
}

/* T21 */
static void a_slow_reader_is_told_apart(void **state)
{
	struct client client = client_open();
	static char data[60000];
	int sent = 0;
	enum err err = ERR_OK;

	open_stream(&client, STREAM);
	client.deaf = true;
	memset(data, 'x', sizeof(data) - 1);
	while (!err && sent < 2000) {
		err = send_event("", "", data);
		sent += !err;
		loop_turn(fx.loop, 0);
	}
	assert_int_equal(err, ERR_TOO_SLOW);
	assert_true(http_stream_queued_bytes(fx.stream) > LIMIT_CONN_QUEUE_BYTES);
	assert_int_equal(fx.stream_drained, 0);
	client.deaf = false;
	wait_for(&client, (client.len = 0, fx.stream_drained == 1));
	assert_true(http_stream_queued_bytes(fx.stream) <= LIMIT_CONN_QUEUE_BYTES / 2);
	assert_int_equal(send_event("", "", "again"), ERR_OK);
	/* Who never reads again is let go. */
	client.deaf = true;
	for (err = ERR_OK; !err;) {
		err = send_event("", "", data);
		loop_turn(fx.loop, 0);
	}
	for (int i = 0; i < 8 && !fx.stream_closed; i++) {
		skew_us += 16 * SECOND;
		loop_turn(fx.loop, 1000);
		loop_turn(fx.loop, 1000);
	}
	assert_int_equal(fx.stream_closed, 1);
	client_close(&client);
}

static void the_end_waits_for_room(void **state)
{
	struct client client = client_open();
	static char data[60000];

	open_stream(&client, STREAM);
	client.deaf = true;
	memset(data, 'x', sizeof(data) - 1);
	while (send_event("", "", data) == ERR_OK) {
		loop_turn(fx.loop, 0);
	}
	http_stream_end(fx.stream);
	loop_turn(fx.loop, 0);
	assert_int_equal(fx.stream_closed, 0);
	client.deaf = false;
	while (fx.stream_closed == 0) {
		turn(&client);
		client_drop(&client, client.len > 64 ? client.len - 64 : 0);
	}
	wait_for(&client, client.len >= 5 && strcmp(client.in + client.len - 5, "0\r\n\r\n") == 0);
	client_close(&client);
}

static void streams_and_stopping(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM);
	client_drop(&client, client.len);
	http_server_drain(fx.server, fx.loop);
	wait_for(&client, client.len);
	assert_string_equal(client.in, CHUNK_RETRY);
	client_drop(&client, client.len);
	assert_int_equal(send_event("", "", "still"), ERR_OK);
	http_stream_end(fx.stream);
	wait_for(&client, client.eof);
	assert_string_equal(client.in, "d\r\ndata: still\n\n\r\n0\r\n\r\n");
	client_close(&client);
	wait_for(NULL, fx.stream_closed == 1);
}

/* T14: its time over, a stream ends, and with it the connection that the token opened. */
static void expired_streams_end(void **state)
{
	struct client client = client_open();

	open_stream(&client, "GET /stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer expiring\r\n\r\n");
	skew_us += 19 * SECOND;
	loop_turn(fx.loop, 1000);
	assert_int_equal(fx.stream_closed, 0);
	skew_us += 2 * SECOND;
	wait_for(&client, client.eof && fx.stream_closed == 1);
	assert_in(client.in, "0\r\n\r\n");
	client_close(&client);
}

/* Revoked while the handler looks for what to stream: nothing is streamed. */
static void revoked_before_the_stream(void **state)
{
	struct client client = client_open();

	client_put(&client, "GET /later HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer viewer\r\n\r\n");
	wait_for(&client, fx.kept);
	http_server_revoke(fx.server, fx.loop, 7, 0);
	assert_int_equal(http_stream_start(fx.kept, &stream_handler, &fx, &fx.stream), ERR_OK);
	assert_int_equal(send_event("a:1:1", "streaming:start", "{}"), ERR_END);
	wait_for(&client, client.eof && fx.stream_closed == 1);
	assert_null(strstr(client.in, "streaming:start"));
	client_close(&client);
}

/* Revoked while the body is on its way: the row is not asked. */
static void revoked_before_the_body(void **state)
{
	struct client client = client_open();
	int handled = fx.handled;

	client_put(&client, "POST /stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
			    "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"n\"");
	for (int i = 0; i < 20; i++) {
		loop_turn(fx.loop, 1000);
	}
	http_server_revoke(fx.server, fx.loop, 0, 101);
	client_put(&client, ":1}");
	wait_for(&client, strstr(client.in, "HTTP/1.1 401 "));
	assert_int_equal(fx.handled, handled);
	client_close(&client);
}

static void revoked_streams_end(void **state)
{
	struct client client = client_open();

	open_stream(&client, STREAM);
	http_server_revoke(fx.server, fx.loop, 999, 100);
	http_server_revoke(fx.server, fx.loop, 0, 101);
	turn(&client);
	assert_false(client.eof);
	assert_int_equal(send_event("", "", "still"), ERR_OK);
	http_server_revoke(fx.server, fx.loop, 0, 100);
	wait_for(&client, client.eof);
	client_close(&client);
	wait_for(NULL, fx.stream_closed == 1);
}

static void the_loop_ends_with_everything_open(void **state)
{
	struct client stream = client_open();
	struct client half = client_open();

	open_stream(&stream, STREAM);
	client_put(&half, "POST /stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
		"Content-Type: application/json\r\nContent-Length: 10\r\n\r\n{");
	for (int i = 0; i < 5; i++) {
		turn(&half);
	}
	listener_close(&fx.listener);
	loop_destroy(&fx.loop);
	assert_int_equal(fx.stream_closed, 1);
	http_server_destroy(&fx.server);
	conn_caps_destroy(&fx.caps);
	client_close(&stream);
	client_close(&half);
	set_up(NULL);
}

/* ---- the library's door ---- */

struct heard {
	int replies, begins, ends;
	enum err refuses;
	int status;
	char type[64];
	char text[4096];
};

static void heard_reply(void *ctx, int status, struct str content_type, struct str body)
{
	struct heard *heard = ctx;

	heard->replies++;
	heard->status = status;
	str_to_z(content_type, heard->type, sizeof(heard->type));
	str_to_z(body, heard->text, sizeof(heard->text));
}

static void heard_begin(void *ctx)
{
	((struct heard *)ctx)->begins++;
}

static enum err heard_bytes(void *ctx, struct str sse_text)
{
	struct heard *heard = ctx;

	strncat(heard->text, sse_text.at, sse_text.len);
	return heard->refuses;
}

static void heard_end(void *ctx)
{
	((struct heard *)ctx)->ends++;
}

static struct heard heard;

static void local(const char *method, const char *target, const char *body, enum role role)
{
	const struct http_local_sink sink = {heard_reply, heard_begin, heard_bytes, heard_end, &heard};
	const struct caller caller = {.principal = 1, .role = role};

	heard = (struct heard){0};
	const struct http_local_call call = {
		.method = str_of(method), .target = str_of(target), .body = str_of(body), .accept = STR("application/json")};

	http_local_dispatch(fx.server, fx.loop, &call, &caller, &sink);
}

static void local_requests_pass_the_same_checks(void **state)
{
	static const struct {
		const char *method, *target, *body;
		enum role role;
		int status;
	} rows[] = {
		{"GET", "/ok", NULL, ROLE_NONE, 200},           {"GET", "/nowhere", NULL, ROLE_ADMIN, 404},
		{"PUT", "/ok", NULL, ROLE_ADMIN, 405},          {"GET", "/stream", NULL, ROLE_NONE, 401},
		{"POST", "/stream", "{\"n\":1}", ROLE_VIEWER, 403}, {"POST", "/stream", "{}", ROLE_ADMIN, 422},
		{"POST", "/stream", "{", ROLE_ADMIN, 400},      {"POST", "/stream", NULL, ROLE_ADMIN, 400},
		{"GET", "/ws", NULL, ROLE_ADMIN, 426},          {"GET", "ok", NULL, ROLE_ADMIN, 400},
		{"GET", "/ok?token=1", NULL, ROLE_ADMIN, 400},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		local(rows[i].method, rows[i].target, rows[i].body, rows[i].role);
		assert_int_equal(heard.replies, 1);
		assert_int_equal(heard.status, rows[i].status);
		assert_string_equal(heard.type, heard.status == 200 ? "application/json" : "application/problem+json");
	}
	assert_int_equal(fx.handled, 1);
	local("GET", "/later", NULL, ROLE_VIEWER);
	assert_int_equal(heard.replies, 0);
	assert_true(fx.kept->local);
	assert_true(str_eq(http_header(fx.kept, STR("accept")), STR("application/json")));
	http_reply_empty(fx.kept, 204);
	assert_int_equal(heard.replies, 1);
	assert_int_equal(heard.status, 204);
}

static void local_streams(void **state)
{
	local("POST", "/stream", "{\"n\":1}", ROLE_MEMBER);
	assert_int_equal(heard.begins, 1);
	assert_int_equal(send_event("1", "e", "d"), ERR_OK);
	assert_int_equal(send_event("2", "", "d2"), ERR_OK);
	assert_string_equal(heard.text, "id: 1\nevent: e\ndata: d\n\nid: 2\ndata: d2\n\n");
	assert_int_equal(http_stream_queued_bytes(fx.stream), 0);
	http_stream_end(fx.stream);
	assert_int_equal(heard.ends, 1);
	assert_int_equal(fx.stream_closed, 0);
	assert_int_equal(send_event("3", "", "late"), ERR_END);
	wait_for(NULL, fx.stream_closed == 1);
	assert_int_equal(heard.replies, 0);
	assert_int_equal(heard.ends, 1);
	http_server_drain(fx.server, fx.loop);
	local("GET", "/ok", NULL, ROLE_ADMIN);
	assert_int_equal(heard.status, 503);
}

/* One that has no end of its own ends when nobody listens, when it is refused, or with the server; others go on. */
static void endless_local_streams(void **state)
{
	static int nobody;

	local("GET", "/events", NULL, ROLE_MEMBER);
	http_local_hang_up(fx.server, fx.loop, &nobody);
	assert_int_equal(send_event("1", "e", "d"), ERR_OK);
	http_local_hang_up(fx.server, fx.loop, &heard);
	http_local_hang_up(fx.server, fx.loop, &heard);
	assert_int_equal(heard.ends, 1);
	assert_int_equal(send_event("2", "e", "d"), ERR_END);
	wait_for(NULL, fx.stream_closed == 1);
	local("GET", "/events", NULL, ROLE_MEMBER);
	heard.refuses = ERR_LIMIT;
	assert_int_equal(send_event("1", "e", "d"), ERR_LIMIT);
	http_stream_end(fx.stream);
	wait_for(NULL, fx.stream_closed == 2);
	local("GET", "/stream", NULL, ROLE_MEMBER);
	heard.refuses = ERR_LIMIT;
	http_local_hang_up(fx.server, fx.loop, &heard);
	assert_int_equal(heard.ends, 0);
	assert_int_equal(send_event("1", "e", "d"), ERR_OK);
	http_stream_end(fx.stream);
	wait_for(NULL, fx.stream_closed == 3);
	/* Nobody listens any more before it begins. */
	local("GET", "/events-later", NULL, ROLE_MEMBER);
	http_local_hang_up(fx.server, fx.loop, &heard);
	row_stream(fx.kept, NULL);
	assert_int_equal(heard.begins, 1);
	assert_int_equal(heard.ends, 1);
	wait_for(NULL, fx.stream_closed == 4);
	local("GET", "/events", NULL, ROLE_MEMBER);
	http_server_drain(fx.server, fx.loop);
	assert_int_equal(heard.ends, 1);
	wait_for(NULL, fx.stream_closed == 5);
}

/* ---- without memory ---- */

static bool fail_at(void *arg, uint64_t number)
{
	return number == *(uint64_t *)arg;
}

/* Whatever allocation fails, the client hears something or the connection ends, and nothing stays behind. */
static void every_allocation_may_fail(void **state)
{
	static const char *const requests[] = {
		"GET /ok HTTP/1.1\r\nHost: a\r\n\r\n",
		"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n",
		("POST /stream HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\nContent-Type: application/json\r\n"
		 "Content-Length: 7\r\n\r\n{\"n\":1}"),
		STREAM,
	};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
		bool failed = true;
		for (uint64_t n = 1; failed; n++) {
			struct client client = client_open();
			uint64_t at = mem_count() + n;
			fx.stream = NULL;
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
		row(events_are_chunks),
		row(a_request_behind_a_stream_waits),
		row(http_1_0_gets_plain_events),
		row(a_client_that_leaves_closes_once),
		row(a_client_that_leaves_during_the_end),
		row(starting_without_a_client),
		row(head_of_a_stream),
		row(comments_keep_a_quiet_stream_open),
		row(a_slow_reader_is_told_apart),
		row(the_end_waits_for_room),
		row(streams_and_stopping),
		row(expired_streams_end),
		row(revoked_before_the_stream),
		row(revoked_before_the_body),
		row(revoked_streams_end),
		row(the_loop_ends_with_everything_open),
		row(local_requests_pass_the_same_checks),
		row(local_streams),
		row(endless_local_streams),
		row(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
