/* test_http_server.c - requests and replies over sockets: order, refusals, members, deadlines, limits. */
#include "http_fixture.h"

#include "base/mem.h"

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

static struct reply post(const char *target, const char *body)
{
	return ask("POST", target, "member", "Content-Type: application/json\r\n", body);
}

/* ---- rows ---- */

static void say(struct http_request *request, const char *text)
{
	fx.handled++;
	http_reply_json(request, 200, str_of(text));
}

static void row_ok(struct http_request *request, void *ctx)
{
	assert_ptr_equal(ctx, &fx);
	say(request, "{\"ok\":true}");
}

static void row_whole(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	http_reply_text(request, 200, STR("text/plain"), request->body_text.len ? request->body_text : STR("none"));
}

static void row_params(struct http_request *request, void *ctx)
{
	struct str text = arena_format(&request->arena, "[%.*s][%.*s]", STR_FMT(request->params[0]), STR_FMT(request->params[1]));

	(void)ctx;
	fx.handled++;
	http_reply_text(request, 200, STR("text/plain"), text);
}

static void row_list(struct http_request *request, void *ctx)
{
	struct str q = STR("-");
	int64_t limit = 50;

	(void)ctx;
	http_query_int(request, "limit", &limit);
	http_query_str(request, "q", &q);
	fx.handled++;
	http_reply_text(request, 200, STR("text/plain"),
			arena_format(&request->arena, "%lld %.*s", (long long)limit, STR_FMT(q)));
}

static void row_later(struct http_request *request, void *ctx)
{
	(void)ctx;
	fx.handled++;
	fx.kept = request;
}

static void row_header(struct http_request *request, void *ctx)
{
	(void)ctx;
	http_reply_header(request, "X-Good", STR("fine"));
	http_reply_header(request, "X-Bad", STR("a\r\nX-Forged: 1"));
	http_reply_header(request, "Cache-Control", STR("max-age=5"));
	say(request, "{}");
}

static void row_fault(struct http_request *request, void *ctx)
{
	(void)ctx;
	http_reply_error(request, ERR_IO, "disk /dev/secret is gone");
}

static const char *const colours[] = {"red", "green", NULL};
static const struct http_member thing[] = {
	{.name = "name", .kind = HTTP_STRING, .required = true, .min = 2, .max = 5},
	{.name = "size", .kind = HTTP_INT, .min = 1, .max = 9},
	{.name = "colour", .kind = HTTP_STRING, .words = colours},
	{.name = "tags", .kind = HTTP_ARRAY, .max = 2, .words = colours},
	{.name = "share", .kind = HTTP_REAL, .max = 1},
	{.name = "deep", .kind = HTTP_OBJECT},
	{.name = "a/b~c", .kind = HTTP_BOOL},
	{.name = "any", .kind = HTTP_ANY},
	{0},
};
static const struct http_member paging[] = {
	{.name = "limit", .kind = HTTP_INT, .min = 1, .max = 100},
	{.name = "q", .kind = HTTP_STRING, .max = 10},
	{.name = "colour", .kind = HTTP_ARRAY, .max = 2, .words = colours},
	{.name = "full", .kind = HTTP_BOOL},
	{0},
};

static const struct http_route table[] = {
	{.method = HTTP1_GET, .path = "/", .scope = SCOPE_OPEN, .flags = HTTP_OPEN, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/open", .scope = SCOPE_OPEN, .flags = HTTP_OPEN | HTTP_UNLIMITED, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/v1/me", .role_min = ROLE_VIEWER, .scope = SCOPE_SIGNED_IN, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/v1/admin", .role_min = ROLE_ADMIN, .scope = SCOPE_SIGNED_IN, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/v1/agent", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .flags = HTTP_AGENT_OK, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/v1/things", .role_min = ROLE_VIEWER, .scope = SCOPE_SIGNED_IN, .query = paging, .handle = row_list},
	{.method = HTTP1_POST, .path = "/v1/things", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .body = thing, .handle = row_whole},
	{.method = HTTP1_DELETE, .path = "/v1/things/{id}", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_params},
	{.method = HTTP1_GET, .path = "/v1/things/special", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_ok},
	{.method = HTTP1_GET, .path = "/v1/things/{id}/parts/{part}", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_params},
	{.method = HTTP1_POST, .path = "/v1/act", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_whole},
	{.method = HTTP1_GET, .path = "/v1/later", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_later},
	{.method = HTTP1_GET, .path = "/v1/header", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_header},
	{.method = HTTP1_GET, .path = "/v1/fault", .role_min = ROLE_MEMBER, .scope = SCOPE_SIGNED_IN, .handle = row_fault},
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

#define LATER "GET /v1/later HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n\r\n"
#define OPEN "GET /open HTTP/1.1\r\nHost: a\r\n\r\n"

/* ---- connections ---- */

static void keeps_alive(void **state)
{
	struct client client = client_open();

	for (int i = 0; i < 3; i++) {
		struct reply reply = client_ask(&client, OPEN);
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply.body, "{\"ok\":true}");
		assert_string_equal(reply_header(&reply, "Connection"), "");
		assert_string_equal(reply_header(&reply, "X-Content-Type-Options"), "nosniff");
		assert_string_equal(reply_header(&reply, "Cache-Control"), "no-store");
		assert_string_equal(reply_header(&reply, "Content-Type"), "application/json");
		assert_int_equal(strlen(reply_header(&reply, "X-Request-Id")), 32);
	}
	struct reply last = client_ask(&client, "GET /open HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
	assert_string_equal(reply_header(&last, "Connection"), "close");
	wait_for(&client, client.eof);
	client_close(&client);
}

static void http_1_0_closes_unless_asked(void **state)
{
	struct client client = client_open();

	struct reply reply = client_ask(&client, "GET /open HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	assert_string_equal(reply_header(&reply, "Connection"), "keep-alive");
	reply = client_ask(&client, "GET /open HTTP/1.0\r\n\r\n");
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	wait_for(&client, client.eof);
	client_close(&client);
}

static void ids_are_echoed_when_they_are_sane(void **state)
{
	const char *trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
	struct client client = client_open();
	char text[512];

	snprintf(text, sizeof(text), "GET /open HTTP/1.1\r\nHost: a\r\nX-Request-Id: ab.c_D-9\r\ntraceparent: %s\r\n\r\n", trace);
	struct reply reply = client_ask(&client, text);
	assert_string_equal(reply_header(&reply, "X-Request-Id"), "ab.c_D-9");
	assert_string_equal(reply_header(&reply, "traceparent"), trace);
	reply = client_ask(&client, "GET /open HTTP/1.1\r\nHost: a\r\nX-Request-Id: a b\r\ntraceparent: 00-zz\r\n\r\n");
	assert_int_equal(strlen(reply_header(&reply, "X-Request-Id")), 32);
	assert_string_equal(reply_header(&reply, "traceparent"), "");
	client_close(&client);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
	struct client client = client_open();

	client_put(&client, LATER OPEN "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_for(&client, fx.kept);
	for (int i = 0; i < 20; i++) {
		turn(&client);
	}
	/* The second waits, and nothing was said out of turn. */
	assert_int_equal(fx.handled, 1);
	assert_int_equal(client.len, 0);
	http_reply_json(fx.kept, 201, STR("{}"));
	assert_int_equal(client_reply(&client).status, 201);
	assert_int_equal(client_reply(&client).status, 200);
	assert_int_equal(client_reply(&client).status, 404);
	client_close(&client);
}

static void many_pipelined_requests(void **state)
{
	struct client client = client_open();
	char *text = calloc(1, 1000 * sizeof(OPEN));

	for (int i = 0; i < 1000; i++) {
		strcat(text + (size_t)i * (sizeof(OPEN) - 1), OPEN);
	}
	client_put(&client, text);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(client_reply(&client).status, 200);
	}
	assert_int_equal(fx.handled, 1000);
	free(text);
	client_close(&client);
}

/* A small reply on a kept connection costs its frame and no more. */
static void requests_take_one_allocation(void **state)
{
	struct client client = client_open();
	const char *text = "GET /v1/me HTTP/1.1\r\nHost: a\r\nUser-Agent: test\r\nAuthorization: Bearer viewer\r\n\r\n";

	client_ask(&client, text);
	uint64_t before = mem_count();
	for (int i = 0; i < 100; i++) {
		assert_int_equal(client_ask(&client, text).status, 200);
	}
	assert_int_equal(mem_count() - before, 100);
	client_close(&client);
}

/* T21: replies that nobody reads do not pile up. */
static void a_deaf_client_stops_being_served(void **state)
{
	struct client client = client_open();
	size_t sent = 0;
	int stuck = 0;

	client.deaf = true;
	while (stuck < 100 && sent < ((size_t)64 << 20)) {
		ssize_t n = send(client.fd, OPEN, sizeof(OPEN) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		/* A cut request cannot be mended here, so it ends the flood. */
		stuck = n == (ssize_t)sizeof(OPEN) - 1 ? 0 : stuck + 1;
		sent += n > 0 ? (size_t)n : 0;
		if (n > 0 && stuck) {
			break;
		}
		loop_turn(fx.loop, 0);
	}
	assert_true(stuck > 0);
	int handled = fx.handled;
	for (int i = 0; i < 50; i++) {
		loop_turn(fx.loop, 0);
	}
	assert_int_equal(fx.handled, handled);
	skew_us += 70 * SECOND;
	wait_for(NULL, loop_connections(fx.loop) == 0);
	client_close(&client);
}

static void half_closed_clients_get_their_replies(void **state)
{
	struct client client = client_open();

	client_put(&client, LATER OPEN);
	shutdown(client.fd, SHUT_WR);
	wait_for(&client, fx.kept);
	for (int i = 0; i < 10; i++) {
		turn(&client);
	}
	http_reply_json(fx.kept, 200, STR("{}"));
	assert_int_equal(client_reply(&client).status, 200);
	assert_int_equal(client_reply(&client).status, 200);
	wait_for(&client, client.eof);
	client_close(&client);
}

static void byte_by_byte(void **state)
{
	static const char text[] = "POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
		"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n{\"name\":\"abc\"}";
	struct client client = client_open();

	for (size_t i = 0; i + 1 < sizeof(text); i++) {
		client_send(&client, text + i, 1);
		turn(&client);
	}
	struct reply reply = client_reply(&client);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply.body, "{\"name\":\"abc\"}");
	client_close(&client);
}

static void chunked_bodies(void **state)
{
	struct client client = client_open();

	struct reply reply = client_ask(&client, "POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
		"Content-Type: application/json; charset=UTF-8\r\nTransfer-Encoding: chunked\r\n\r\n"
		"6\r\n{\"name\r\n8\r\n\":\"abc\"}\r\n0\r\n\r\n" OPEN);
	assert_string_equal(reply.body, "{\"name\":\"abc\"}");
	assert_int_equal(client_reply(&client).status, 200);
	client_close(&client);
}

static void expect_100_continue(void **state)
{
	struct client client = client_open();
	const char *head = "POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %s\r\nExpect: 100-continue\r\n"
		"Content-Type: application/json\r\nContent-Length: 14\r\n\r\n";
	char text[512];

	snprintf(text, sizeof(text), head, "member");
	client_put(&client, text);
	wait_for(&client, strstr(client.in, "\r\n\r\n"));
	assert_string_equal(client.in, "HTTP/1.1 100 Continue\r\n\r\n");
	client_drop(&client, client.len);
	assert_int_equal(client_ask(&client, "{\"name\":\"abc\"}").status, 200);

	/* Who is refused is told at once, and whether the body follows does not matter. */
	snprintf(text, sizeof(text), head, "wrong");
	struct reply reply = client_ask(&client, text);
	assert_int_equal(reply.status, 401);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	wait_for(&client, client.eof);
	client_close(&client);
}

static void head_is_get_without_body(void **state)
{
	struct client client = client_open();
	struct reply reply;

	client_put(&client, "HEAD /open HTTP/1.1\r\nHost: a\r\n\r\n");
	wait_for(&client, reply_parse(&client, true, &reply));
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply_header(&reply, "Content-Length"), "11");
	assert_int_equal(client.len, reply.bytes);
	client_drop(&client, client.len);
	assert_int_equal(client_ask(&client, OPEN).status, 200);
	client_close(&client);
}

static void a_handler_answers_after_the_client_left(void **state)
{
	struct client client = client_open();

	client_put(&client, LATER);
	wait_for(&client, fx.kept);
	struct linger hard = {1, 0};
	setsockopt(client.fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(client.fd);
	client.fd = -1;
	wait_for(NULL, loop_connections(fx.loop) == 0);
	assert_string_equal(fx.kept->path.at ? "there" : "", "there");
	http_reply_json(fx.kept, 200, STR("{}"));
	client_close(&client);
}

/* ---- refusals ---- */

/* T23, T20: what cannot be read unambiguously is answered once and the connection ends. */
static void framing_errors_close(void **state)
{
	static const struct {
		const char *text;
		int status;
	} rows[] = {
		{"GET /open HTTP/1.1\nHost: a\n\n", 400},
		{"GET /open HTTP/1.1\r\n\r\n", 400},
		{"GET /open HTTP/1.1\r\nHost : a\r\n\r\n", 400},
		{"GET /open HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"GET /open HTTP/3.0\r\nHost: a\r\n\r\n", 400},
		{"GET http://a/open HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400},
		{"POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
		{"POST /v1/things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
		{"POST /v1/things HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"\x16\x03\x01\x02", 400},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct client client = client_open();
		struct reply reply = client_ask(&client, rows[i].text);
		assert_int_equal(reply.status, rows[i].status);
		assert_string_equal(reply_header(&reply, "Connection"), "close");
		assert_string_equal(reply_header(&reply, "Content-Type"), "application/problem+json");
		client_put(&client, OPEN);
		wait_for(&client, client.eof);
		assert_int_equal(client.len, 0);
		client_close(&client);
	}
	assert_int_equal(fx.handled, 0);
}

static void big_heads_are_431(void **state)
{
	struct client client = client_open();
	char *text = calloc(1, 40000);

	strcpy(text, "GET /open HTTP/1.1\r\nHost: a\r\nX-Big: ");
	memset(text + strlen(text), 'a', 20000);
	struct reply reply = client_ask(&client, text);
	assert_int_equal(reply.status, 431);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	client_close(&client);
	free(text);
}

static void big_bodies_are_413(void **state)
{
	struct client client = client_open();
	struct reply reply = client_ask(&client, "POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
		"Content-Type: application/json\r\nContent-Length: 1048577\r\n\r\n");

	assert_int_equal(reply.status, 413);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	client_close(&client);

	client = client_open();
	client_put(&client, "POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
		"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n100001\r\n");
	assert_int_equal(client_reply(&client).status, 413);
	client_close(&client);
}

static void paths_and_methods(void **state)
{
	struct reply reply = get("/nowhere", NULL);

	assert_int_equal(reply.status, 404);
	assert_in(reply.body, "{\"type\":\"urn:guild:error:not_found\",\"title\":");
	assert_in(reply.body, "\"status\":404,\"detail\":\"There is no such path.\",\"instance\":\"urn:guild:request:");
	assert_in(reply.body, "\"code\":\"not_found\"}");
	assert_int_equal(get("/v1", NULL).status, 404);
	assert_int_equal(get("/v1/me/", "viewer").status, 404);
	assert_int_equal(get("//v1/me", "viewer").status, 404);
	assert_int_equal(get("/v1/%6de", "viewer").status, 404);
	assert_int_equal(get("/", NULL).status, 200);

	reply = ask("PUT", "/v1/things", "member", "", NULL);
	assert_int_equal(reply.status, 405);
	assert_string_equal(reply_header(&reply, "Allow"), "GET, HEAD, POST, OPTIONS");
	assert_int_equal(ask("BREW", "/v1/things", "member", "", NULL).status, 405);
	reply = ask("OPTIONS", "/v1/things/x", NULL, "", NULL);
	assert_int_equal(reply.status, 204);
	assert_string_equal(reply_header(&reply, "Allow"), "DELETE, OPTIONS");
	assert_string_equal(reply_header(&reply, "Content-Length"), "");
	assert_int_equal(ask("OPTIONS", "/nowhere", NULL, "", NULL).status, 404);
}

static void parameters_of_paths(void **state)
{
	assert_string_equal(get("/v1/things/a%2Fb/parts/%C3%A4", "member").body, "[a/b][\xc3\xa4]");
	assert_string_equal(get("/v1/things/special/parts/2", "member").body, "[special][2]");
	assert_string_equal(get("/v1/things/special", "member").body, "{\"ok\":true}");
	assert_string_equal(ask("DELETE", "/v1/things/special2", "member", "", NULL).body, "[special2][]");
	assert_int_equal(get("/v1/things//parts/2", "member").status, 404);
	assert_int_equal(get("/v1/things/%FF/parts/2", "member").status, 400);
	assert_int_equal(get("/v1/things/%00/parts/2", "member").status, 400);
	assert_int_equal(get("/v1/things/%zz/parts/2", "member").status, 400);
}

static void who_may(void **state)
{
	struct reply reply = get("/v1/me", NULL);

	assert_int_equal(reply.status, 401);
	assert_string_equal(reply_header(&reply, "WWW-Authenticate"), "Bearer");
	assert_int_equal(get("/v1/me", "nonsense").status, 401);
	assert_int_equal(ask("GET", "/v1/me", NULL, "Authorization: Basic dmlld2VyOg==\r\n", NULL).status, 401);
	assert_int_equal(ask("GET", "/v1/me", NULL, "Authorization: Bearer\r\n", NULL).status, 401);
	assert_int_equal(ask("GET", "/v1/me", NULL, "authorization: bearer viewer\r\n", NULL).status, 200);
	assert_int_equal(ask("GET", "/v1/me", "viewer", "Authorization: Bearer viewer\r\n", NULL).status, 400);
	assert_int_equal(get("/v1/me", "viewer").status, 200);
	assert_int_equal(get("/v1/admin", "viewer").status, 403);
	assert_int_equal(get("/v1/admin", "admin").status, 200);
	/* Agents stand outside of the order of roles. */
	assert_int_equal(get("/v1/me", "agent").status, 403);
	assert_int_equal(get("/v1/admin", "agent").status, 403);
	assert_int_equal(get("/v1/agent", "agent").status, 200);
	assert_int_equal(get("/v1/agent", "viewer").status, 403);
	/* On open rows a bad token is as good as none; a lookup that failed is not. */
	assert_int_equal(get("/open", "nonsense").status, 200);
	reply = get("/v1/me", "broken");
	assert_int_equal(reply.status, 503);
	assert_string_equal(reply_header(&reply, "Retry-After"), "1");
	assert_in(reply.body, "\"code\":\"store_unavailable\",\"retry_after_ms\":1000}");
}

/* T12 */
static void tokens_do_not_belong_in_urls(void **state)
{
	assert_int_equal(get("/open?token=x", NULL).status, 400);
	assert_int_equal(get("/v1/things?limit=1&ACCESS_token=x", "viewer").status, 400);
	assert_int_equal(get("/nowhere?api%5Fkey=x", NULL).status, 400);
	assert_int_equal(get("/v1/things?q=token", "viewer").status, 200);
}

static void a_refused_body_is_read_past(void **state)
{
	struct client client = client_open();
	struct reply reply = client_ask(&client, "POST /v1/things HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nGET /" OPEN);

	assert_int_equal(reply.status, 401);
	assert_int_equal(client_reply(&client).status, 200);
	client_close(&client);
}

static void faults_do_not_speak(void **state)
{
	struct reply reply = get("/v1/fault", "member");

	assert_int_equal(reply.status, 503);
	assert_null(strstr(reply.body, "disk"));
	assert_in(reply.body, "store_unavailable");
}

static void headers_cannot_be_forged(void **state)
{
	struct reply reply = get("/v1/header", "member");

	assert_string_equal(reply_header(&reply, "X-Good"), "fine");
	assert_string_equal(reply_header(&reply, "X-Bad"), "");
	assert_null(strstr(reply.head, "Forged"));
	assert_string_equal(reply_header(&reply, "Cache-Control"), "max-age=5");
	assert_null(strstr(reply.head, "no-store"));
}

/* ---- bodies and queries ---- */

static void media_types(void **state)
{
	const char *body = "{\"name\":\"abc\"}";

	assert_int_equal(ask("POST", "/v1/things", "member", "", body).status, 415);
	assert_int_equal(ask("POST", "/v1/things", "member", "Content-Type: text/plain\r\n", body).status, 415);
	assert_int_equal(ask("POST", "/v1/things", "member", "Content-Type: application/jsonx\r\n", body).status, 415);
	assert_int_equal(ask("POST", "/v1/things", "member", "Content-Type: application/json;charset=latin1\r\n", body).status, 415);
	assert_int_equal(ask("POST", "/v1/things", "member",
			     "Content-Type: application/json\r\nContent-Encoding: gzip\r\n", body).status, 415);
	assert_int_equal(ask("POST", "/v1/things", "member", "Content-Type: Application/JSON; charset=utf-8\r\n", body).status, 200);
}

/* T22 */
static void malformed_bodies(void **state)
{
	struct reply reply = post("/v1/things", "{\"name\":\"abc\",}");

	assert_int_equal(reply.status, 400);
	assert_in(reply.body, "at byte 14");
	assert_int_equal(post("/v1/things", "{\"name\":\"abc\",\"name\":\"abc\"}").status, 400);
	assert_int_equal(post("/v1/things", "{\"name\":\"\\ud800\"}").status, 400);
	assert_int_equal(post("/v1/things", "{\"name\":\"\xff\"}").status, 400);
	assert_int_equal(post("/v1/things", "{\"size\":9223372036854775808}").status, 400);
	assert_int_equal(post("/v1/things", NULL).status, 400);
	assert_int_equal(fx.handled, 0);
}

/* T3: each is a 422 that names the place. */
static void members_are_checked(void **state)
{
	static const struct {
		const char *body, *pointer, *detail;
	} rows[] = {
		{"[]", "", "An object is wanted here."},
		{"{}", "/name", "This member is required."},
		{"{\"name\":null}", "/name", "A string is wanted here."},
		{"{\"name\":\"a\"}", "/name", "2 to 5 characters are wanted."},
		{"{\"name\":\"abcdef\"}", "/name", "2 to 5 characters are wanted."},
		{"{\"name\":7}", "/name", "A string is wanted here."},
		{"{\"name\":\"abc\",\"role\":\"admin\"}", "/role", "There is no such member."},
		{"{\"name\":\"abc\",\"x/y~\":1}", "/x~1y~0", "There is no such member."},
		{"{\"name\":\"abc\",\"size\":0}", "/size", "1 to 9 is wanted."},
		{"{\"name\":\"abc\",\"size\":1.5}", "/size", "An integer is wanted here."},
		{"{\"name\":\"abc\",\"colour\":\"blue\"}", "/colour", "One of these is wanted: red, green."},
		{"{\"name\":\"abc\",\"tags\":[\"red\",\"blue\"]}", "/tags", "One of these is wanted: red, green."},
		{"{\"name\":\"abc\",\"tags\":[1]}", "/tags", "The elements have to be strings."},
		{"{\"name\":\"abc\",\"tags\":[\"red\",\"red\",\"red\"]}", "/tags", "0 to 2 elements are wanted."},
		{"{\"name\":\"abc\",\"share\":1.01}", "/share", "0 to 1 is wanted."},
		{"{\"name\":\"abc\",\"deep\":[]}", "/deep", "An object is wanted here."},
		{"{\"name\":\"abc\",\"a/b~c\":1}", "/a~1b~0c", "A boolean is wanted here."},
	};
	char errors[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reply reply = post("/v1/things", rows[i].body);
		snprintf(errors, sizeof(errors), "\"errors\":[{\"pointer\":\"%s\",\"detail\":\"%s\"}]}", rows[i].pointer, rows[i].detail);
		assert_int_equal(reply.status, 422);
		assert_in(reply.body, errors);
		assert_in(reply.body, "\"code\":\"invalid\"");
	}
	assert_int_equal(fx.handled, 0);
	assert_int_equal(post("/v1/things", "{\"name\":\"\xc3\xa4\xc3\xb6\xc3\xbc\xc3\x9f\xe2\x82\xac\",\"size\":null,\"colour\":\"RED\","
			      "\"tags\":[],\"share\":1,\"deep\":{},\"a/b~c\":true,\"any\":[1]}").status, 200);
}

static void rows_without_a_body(void **state)
{
	assert_string_equal(post("/v1/act", NULL).body, "none");
	assert_string_equal(post("/v1/act", "{}").body, "{}");
	assert_int_equal(post("/v1/act", "{\"a\":1}").status, 422);
	assert_int_equal(ask("POST", "/v1/act", "member", "", "{}").status, 415);
}

static void queries_are_checked(void **state)
{
	static const struct {
		const char *query, *pointer;
	} bad[] = {
		{"limit=0", "limit"}, {"limit=101", "limit"}, {"limit=", "limit"}, {"limit=1x", "limit"}, {"limit=1&limit=2", "limit"},
		{"q=12345678901", "q"}, {"sort=up", "sort"}, {"colour=red,blue", "colour"}, {"colour=red,red,red", "colour"},
		{"full=1", "full"},
	};
	char text[256];

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(text, sizeof(text), "/v1/things?%s", bad[i].query);
		struct reply reply = get(text, "viewer");
		assert_int_equal(reply.status, 422);
		snprintf(text, sizeof(text), "\"errors\":[{\"pointer\":\"%s\",", bad[i].pointer);
		assert_in(reply.body, text);
	}
	assert_int_equal(get("/v1/things?q=%FF", "viewer").status, 400);
	assert_int_equal(get("/open?a=1", NULL).status, 422);
	assert_string_equal(get("/v1/things", "viewer").body, "50 -");
	assert_string_equal(get("/v1/things?limit=100&q=a%20b+c&full=true&colour=red,green", "viewer").body, "100 a b c");
	assert_string_equal(get("/v1/things?&q=", "viewer").body, "50 ");
}

/* ---- time and rate ---- */

/* T20 */
static void slow_heads_time_out(void **state)
{
	struct client client = client_open();
	struct client silent = client_open();

	client_put(&client, "GET /open HTTP/1.1\r\nX-A: ");
	wait_for(&client, loop_connections(fx.loop) == 2);
	for (int i = 0; i < 3; i++) {
		/* Each byte in time, the whole not. */
		skew_us += 3 * SECOND;
		turn(&client);
		client_put(&client, "b");
		turn(&client);
	}
	assert_int_equal(client.len, 0);
	skew_us += 2 * SECOND;
	struct reply reply = client_reply(&client);
	assert_int_equal(reply.status, 408);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	wait_for(&client, client.eof);
	wait_for(&silent, silent.eof);
	assert_int_equal(silent.len, 0);
	client_close(&client);
	client_close(&silent);
}

static void slow_heads_of_kept_connections_time_out(void **state)
{
	struct client client = client_open();

	assert_int_equal(client_ask(&client, OPEN).status, 200);
	skew_us += 30 * SECOND;
	client_put(&client, "GET /open HTTP/1.1\r\nX-A: ");
	for (int i = 0; i < 9; i++) {
		turn(&client);
		skew_us += SECOND;
		client_put(&client, "b");
	}
	turn(&client);
	assert_int_equal(client.len, 0);
	skew_us += 2 * SECOND;
	struct reply reply = client_reply(&client);
	assert_int_equal(reply.status, 408);
	wait_for(&client, client.eof);
	client_close(&client);
}

static void slow_bodies_time_out(void **state)
{
	struct client client = client_open();

	/* 20 KiB at 1 KiB/s are 20 s, not 10. */
	client_put(&client, "POST /v1/things HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer member\r\n"
		"Content-Type: application/json\r\nContent-Length: 20480\r\n\r\n{");
	wait_for(&client, loop_connections(fx.loop) == 1);
	for (int i = 0; i < 10; i++) {
		turn(&client);
	}
	skew_us += 15 * SECOND;
	for (int i = 0; i < 10; i++) {
		turn(&client);
	}
	assert_int_equal(client.len, 0);
	assert_false(client.eof);
	skew_us += 6 * SECOND;
	assert_int_equal(client_reply(&client).status, 408);
	wait_for(&client, client.eof);
	client_close(&client);
}

static void idle_connections_end(void **state)
{
	struct client client = client_open();

	assert_int_equal(client_ask(&client, OPEN).status, 200);
	skew_us += 30 * SECOND;
	assert_int_equal(client_ask(&client, OPEN).status, 200);
	skew_us += 50 * SECOND;
	assert_int_equal(client_ask(&client, OPEN).status, 200);
	skew_us += 61 * SECOND;
	wait_for(&client, client.eof);
	assert_int_equal(client.len, 0);
	client_close(&client);
}

static void rates_are_limited(void **state)
{
	fixture_fini();
	fixture_init(table, &(struct http_options){.limits = {.rate_per_s = 2, .rate_burst = 3}});
	for (int i = 2; i >= 0; i--) {
		struct reply reply = get("/v1/me", "viewer");
		assert_int_equal(reply.status, 200);
		assert_string_equal(reply_header(&reply, "RateLimit-Limit"), "3");
		assert_int_equal(atoi(reply_header(&reply, "RateLimit-Remaining")), i);
	}
	struct reply reply = get("/v1/me", "viewer");
	assert_int_equal(reply.status, 429);
	assert_string_equal(reply_header(&reply, "Retry-After"), "1");
	assert_string_equal(reply_header(&reply, "RateLimit-Remaining"), "0");
	assert_in(reply.body, "\"code\":\"rate_limited\",\"retry_after_ms\":");
	/* Others, and rows that do not count, go on. */
	assert_int_equal(get("/v1/me", "admin").status, 200);
	reply = get("/open", "viewer");
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply_header(&reply, "RateLimit-Limit"), "");
	skew_us += SECOND / 2 + 1000;
	assert_int_equal(get("/v1/me", "viewer").status, 200);
	assert_int_equal(get("/v1/me", "viewer").status, 429);
	/* Strangers share their address's bucket. */
	for (int i = 0; i < 3; i++) {
		assert_int_equal(get("/", NULL).status, 200);
	}
	assert_int_equal(get("/", "nonsense").status, 429);
}

/* T13, T14: past the rate nothing is looked up for that address, not even a good token; loopback is an address like any other. */
static void failed_sign_ins_are_limited(void **state)
{
	fixture_fini();
	fixture_init(table, &(struct http_options){.limits = {.sign_in_rate_per_s = 2}});
	for (int i = 0; i < 10; i++) {
		assert_int_equal(get("/v1/me", "viewer").status, 200);
		assert_int_equal(get("/v1/me", NULL).status, 401);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(get(i % 2 ? "/v1/me" : "/open", "nonsense").status, i % 2 ? 401 : 200);
	}
	fx.looked_up = 0;
	for (int i = 0; i < 3; i++) {
		struct reply reply = get("/v1/me", i ? "viewer" : "nonsense");
		assert_int_equal(reply.status, 429);
		assert_string_equal(reply_header(&reply, "Retry-After"), "1");
		assert_in(reply.body, "\"code\":\"rate_limited\"");
	}
	assert_int_equal(get("/open", NULL).status, 200);
	assert_int_equal(fx.looked_up, 0);
	/* What was turned away did not count: one more try every half second. */
	skew_us += SECOND / 2 + 1000;
	assert_int_equal(get("/v1/me", "viewer").status, 200);
	assert_int_equal(get("/v1/me", "nonsense").status, 401);
	assert_int_equal(get("/v1/me", "viewer").status, 429);
	skew_us += 10 * SECOND;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(get("/v1/me", "nonsense").status, i < 4 ? 401 : 429);
	}
	/* As SIGHUP does it. */
	http_server_limits_set(fx.server, &(struct http_limits){.rate_per_s = 0});
	assert_int_equal(get("/v1/me", "viewer").status, 200);
}

/* Those without a token count against the rate of their address before they hear 401. */
static void strangers_are_limited(void **state)
{
	fixture_fini();
	fixture_init(table, &(struct http_options){.limits = {.rate_per_s = 1, .rate_burst = 3}});
	for (int i = 0; i < 4; i++) {
		assert_int_equal(get("/v1/me", NULL).status, i < 3 ? 401 : 429);
	}
	assert_int_equal(get("/v1/me", "viewer").status, 200);
}

static void draining(void **state)
{
	struct client idle = client_open();
	struct client busy = client_open();
	struct client half = client_open();

	assert_int_equal(client_ask(&idle, OPEN).status, 200);
	client_put(&half, "GET /open HT");
	client_put(&busy, LATER);
	wait_for(&busy, fx.kept);
	for (int i = 0; i < 5; i++) {
		turn(&half);
	}
	http_server_drain(fx.server, fx.loop);
	wait_for(&idle, idle.eof);
	assert_int_equal(idle.len, 0);
	struct reply reply = client_ask(&half, "TP/1.1\r\nHost: a\r\n\r\n");
	assert_int_equal(reply.status, 503);
	assert_in(reply.body, "going_away");
	http_reply_json(fx.kept, 200, STR("{}"));
	reply = client_reply(&busy);
	assert_int_equal(reply.status, 200);
	assert_string_equal(reply_header(&reply, "Connection"), "close");
	wait_for(&busy, busy.eof);
	client_close(&idle);
	client_close(&busy);
	client_close(&half);
}

#define row(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		row(keeps_alive),
		row(http_1_0_closes_unless_asked),
		row(ids_are_echoed_when_they_are_sane),
		row(pipelined_requests_are_answered_in_order),
		row(many_pipelined_requests),
		row(requests_take_one_allocation),
		row(a_deaf_client_stops_being_served),
		row(half_closed_clients_get_their_replies),
		row(byte_by_byte),
		row(chunked_bodies),
		row(expect_100_continue),
		row(head_is_get_without_body),
		row(a_handler_answers_after_the_client_left),
		row(framing_errors_close),
		row(big_heads_are_431),
		row(big_bodies_are_413),
		row(paths_and_methods),
		row(parameters_of_paths),
		row(who_may),
		row(tokens_do_not_belong_in_urls),
		row(a_refused_body_is_read_past),
		row(faults_do_not_speak),
		row(headers_cannot_be_forged),
		row(media_types),
		row(malformed_bodies),
		row(members_are_checked),
		row(rows_without_a_body),
		row(queries_are_checked),
		row(slow_heads_time_out),
		row(slow_heads_of_kept_connections_time_out),
		row(slow_bodies_time_out),
		row(idle_connections_end),
		row(rates_are_limited),
		row(failed_sign_ins_are_limited),
		row(strangers_are_limited),
		row(draining),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
