/* test_http_client.c - requests to a small scripted server: replies, time-outs, cuts, cancelling, many at once; and fetch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/thread.h"
#include "http/client.h"
#include "sockets.h"

/* ---- the server: a thread that accepts, a thread for each connection; the path says what it does ---- */

enum { WORKERS = 128 };

struct server;

struct worker {
	struct thread thread;
	struct server *server;
	int fd;
	size_t filled;
	char in[65536];
};

struct server {
	struct thread thread;
	int fd;
	uint16_t port;
	atomic_int connections;
	struct thread_gate gate; /* opened by the test for the next piece */
	struct worker *workers[WORKERS];
};

static void say(struct worker *worker, const char *text)
{
	size_t len = strlen(text);

	while (len > 0) {
		ssize_t n = send(worker->fd, text, len, MSG_NOSIGNAL);
		if (n <= 0) {
			return;
		}
		text += n;
		len -= (size_t)n;
	}
}

static void wait_for_close(struct worker *worker)
{
	while (recv(worker->fd, worker->in, sizeof(worker->in), 0) > 0) {
	}
}

/* The next request's line and how long its body was; false when the peer closed. */
static bool next_request(struct worker *worker, char line[128], size_t *body_bytes)
{
	char *end;
	const char *length;
	size_t left, have;

	for (;;) {
		worker->in[worker->filled] = 0;
		end = strstr(worker->in, "\r\n\r\n");
		if (end) {
			break;
		}
		ssize_t n = recv(worker->fd, worker->in + worker->filled, sizeof(worker->in) - 1 - worker->filled, 0);
		if (n <= 0) {
			return false;
		}
		worker->filled += (size_t)n;
	}
	*end = 0;
	snprintf(line, 128, "%.*s", (int)strcspn(worker->in, "\r"), worker->in);
	length = strstr(worker->in, "Content-Length: ");
	*body_bytes = length ? strtoul(length + 16, NULL, 10) : 0;
	have = worker->filled - (size_t)(end + 4 - worker->in);
	for (left = *body_bytes - (have < *body_bytes ? have : *body_bytes); left > 0;) {
		ssize_t n = recv(worker->fd, worker->in, left < sizeof(worker->in) ? left : sizeof(worker->in), 0);
		if (n <= 0) {
			return false;
		}
		left -= (size_t)n;
	}
	worker->filled = 0;
	return true;
}

static void say_pieces(struct worker *worker)
{
	say(worker, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n");
	thread_gate_wait(&worker->server->gate, 20000000);
	say(worker, "3\r\ntwo\r\n");
	thread_gate_wait(&worker->server->gate, 20000000);
	say(worker, "0\r\nContent-Type: trailer/ignored\r\n\r\n");
}

struct script {
	const char *path;
	const char *text;
	enum { GO_ON, CLOSE, HANG } then;
};

static const struct script scripts[] = {
	{"/ok", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello", GO_ON},
	{"/cut", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.", CLOSE},
	{"/cutchunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", CLOSE},
	{"/close", "HTTP/1.1 200 OK\r\n\r\nuntil the end", CLOSE},
	{"/nothing", "", CLOSE},
	{"/silent", "", HANG},
	{"/stall", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nten bytes.", HANG},
	{"/busy", "HTTP/1.1 429 Too Many\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n", GO_ON},
	{"/date", "HTTP/1.1 503 Busy\r\nretry-after: Fri, 31 Dec 1999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n", GO_ON},
	{"/interim", "HTTP/1.1 103 Early\r\nContent-Type: no/no\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", GO_ON},
	{"/redirect", "HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n", GO_ON},
};

/* False when the connection is to be closed. */
static bool answer(struct worker *worker, const char *line, size_t body_bytes)
{
	const char *path = strchr(line, ' ') + 1;
	size_t len = strcspn(path, " ");

	for (size_t i = 0; i < sizeof(scripts) / sizeof(scripts[0]); i++) {
		if (strlen(scripts[i].path) == len && memcmp(scripts[i].path, path, len) == 0) {
			say(worker, scripts[i].text);
			if (scripts[i].then == HANG) {
				wait_for_close(worker);
			}
			return scripts[i].then == GO_ON;
		}
	}
	if (memcmp(path, "/pieces", 7) == 0) {
		say_pieces(worker);
	} else {
		char text[256], body[160];
		snprintf(body, sizeof(body), "%s %zu", line, body_bytes);
		snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
		say(worker, text);
	}
	return true;
}

static void work(void *arg)
{
	struct worker *worker = arg;
	char line[128];
	size_t body_bytes;

	while (next_request(worker, line, &body_bytes) && answer(worker, line, body_bytes)) {
	}
	shutdown(worker->fd, SHUT_RDWR);
}

static void serve(void *arg)
{
	struct server *server = arg;
	int fd;

	while ((fd = accept(server->fd, NULL, NULL)) >= 0) {
		int number = atomic_fetch_add(&server->connections, 1);
		struct worker *worker = calloc(1, sizeof(*worker));
		if (number >= WORKERS || !worker) {
			abort();
		}
		worker->server = server;
		worker->fd = fd;
		server->workers[number] = worker;
		if (thread_start(&worker->thread, "worker", work, worker)) {
			abort();
		}
	}
}

static struct server server;

static int server_start(void **state)
{
	(void)state;
	server = (struct server){0};
	server.port = socket_listen(&server.fd);
	thread_gate_init(&server.gate);
	assert_int_equal(thread_start(&server.thread, "server", serve, &server), ERR_OK);
	return 0;
}

static int server_stop(void **state)
{
	(void)state;
	shutdown(server.fd, SHUT_RDWR);
	thread_join(&server.thread);
	for (int i = 0; i < atomic_load(&server.connections); i++) {
		thread_join(&server.workers[i]->thread);
		close(server.workers[i]->fd);
		free(server.workers[i]);
	}
	thread_gate_fini(&server.gate);
	close(server.fd);
	return 0;
}

/* ---- a call and what it saw ---- */

struct seen {
	struct http_client *client;
	struct http_call *call;
	bool started;
	bool cancel_in_body, cancel_in_head, opens_gate;
	struct seen *starts; /* in the first body_bytes */
	int heads, status, bodies, dones;
	int64_t retry_after_ms;
	char type[64];
	char body[256];
	size_t body_len;
	enum err err;
	const char *reason;
};

static void start(struct seen *seen, const char *path, const struct http_call_options *with);

static void on_head(void *ctx, int status, struct str content_type, int64_t retry_after_ms)
{
	struct seen *seen = ctx;

	assert_true(seen->started && seen->bodies == 0 && seen->dones == 0);
	seen->heads++;
	seen->status = status;
	seen->retry_after_ms = retry_after_ms;
	str_to_z(content_type, seen->type, sizeof(seen->type));
	if (seen->cancel_in_head) {
		http_client_cancel(seen->call);
	}
}

static void on_bytes(void *ctx, struct str bytes)
{
	struct seen *seen = ctx;

	assert_true(seen->heads == 1 && seen->dones == 0);
	assert_true(seen->body_len + bytes.len < sizeof(seen->body));
	memcpy(seen->body + seen->body_len, bytes.at, bytes.len);
	seen->body_len += bytes.len;
	seen->bodies++;
	if (seen->opens_gate) {
		thread_gate_open(&server.gate);
	}
	if (seen->starts) {
		start(seen->starts, "/ok", NULL);
		seen->starts = NULL;
	}
	if (seen->cancel_in_body) {
		http_client_cancel(seen->call);
		http_client_cancel(seen->call);
		assert_int_equal(seen->dones, 0);
	}
}

static void on_done(void *ctx, enum err err, const char *reason)
{
	struct seen *seen = ctx;

	assert_true(seen->started);
	seen->dones++;
	seen->err = err;
	seen->reason = reason;
}

static void start_url(struct seen *seen, const char *url, const struct http_call_options *with)
{
	struct http_call_options options = with ? *with : (struct http_call_options){0};

	options.method = options.method ? options.method : "POST";
	options.url = str_of(url);
	options.head = on_head;
	options.body_bytes = on_bytes;
	options.done = on_done;
	options.ctx = seen;
	assert_int_equal(http_client_start(seen->client, &options, &seen->call), ERR_OK);
	seen->started = true;
}

static void start(struct seen *seen, const char *path, const struct http_call_options *with)
{
	char url[128];

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server.port, path);
	start_url(seen, url, with);
}

struct bench {
	struct loop *loop;
	struct http_client *client;
};

static void bench_open(struct bench *bench)
{
	struct loop_options options = {.env = env_real()};

	assert_int_equal(loop_create(&options, &bench->loop), ERR_OK);
	assert_int_equal(http_client_create(bench->loop, &bench->client), ERR_OK);
}

static void bench_close(struct bench *bench)
{
	http_client_destroy(&bench->client);
	loop_destroy(&bench->loop);
}

/* Starts one call and turns until it is done. */
static struct seen get(struct bench *bench, const char *path, const struct http_call_options *with)
{
	struct seen seen = {.client = bench->client};

	start(&seen, path, with);
	assert_int_equal(http_client_active(bench->client), 1);
	turn_until(bench->loop, seen.dones);
	assert_int_equal(http_client_active(bench->client), 0);
	loop_turn(bench->loop, 0);
	assert_int_equal(seen.dones, 1);
	return seen;
}

static void assert_end(const struct seen *seen, enum err err, const char *reason)
{
	assert_int_equal(seen->err, err);
	assert_string_equal(seen->reason, reason);
}

/* ---- replies ---- */

static void test_reply(void **state)
{
	struct bench bench;
	struct seen seen;
	char *body = calloc(1, 1 << 20);
	const char *headers[] = {"Content-Type: application/json", "X-Own: 1", NULL};
	struct http_call_options options = {.headers = headers, .body = {body, 1 << 20}};

	(void)state;
	bench_open(&bench);
	seen = get(&bench, "/ok", NULL);
	assert_end(&seen, ERR_OK, "ok");
	assert_int_equal(seen.status, 200);
	assert_string_equal(seen.type, "text/plain");
	assert_int_equal(seen.retry_after_ms, -1);
	assert_string_equal(seen.body, "hello");
	seen = get(&bench, "/length", &options);
	assert_end(&seen, ERR_OK, "ok");
	assert_string_equal(seen.body, "POST /length HTTP/1.1 1048576");
	options = (struct http_call_options){.method = "GET"};
	seen = get(&bench, "/length", &options);
	assert_string_equal(seen.body, "GET /length HTTP/1.1 0");
	options.method = "DELETE";
	seen = get(&bench, "/length", &options);
	assert_string_equal(seen.body, "DELETE /length HTTP/1.1 0");
	/* All of it went over one connection. */
	assert_int_equal(atomic_load(&server.connections), 1);
	seen = get(&bench, "/close", NULL);
	assert_end(&seen, ERR_OK, "ok");
	assert_string_equal(seen.body, "until the end");
	free(body);
	bench_close(&bench);
}

static void test_heads(void **state)
{
	struct bench bench;
	struct seen seen;

	(void)state;
	bench_open(&bench);
	seen = get(&bench, "/busy", NULL);
	assert_end(&seen, ERR_OK, "ok");
	assert_int_equal(seen.status, 429);
	assert_int_equal(seen.retry_after_ms, 7000);
	assert_int_equal(seen.heads, 1);
	seen = get(&bench, "/date", NULL);
	assert_int_equal(seen.status, 503);
	assert_int_equal(seen.retry_after_ms, 0);
	seen = get(&bench, "/interim", NULL);
	assert_int_equal(seen.status, 200);
	assert_int_equal(seen.heads, 1);
	assert_string_equal(seen.type, "");
	assert_string_equal(seen.body, "ok");
	seen = get(&bench, "/redirect", NULL);
	assert_int_equal(seen.status, 302);
	assert_int_equal(seen.body_len, 0);
	bench_close(&bench);
}

/* T15: neither a new connection to this machine, nor one that is kept from a call that might go there. */
static void test_public_only(void **state)
{
	struct bench bench;
	struct seen seen;
	struct http_call_options guarded = {.public_only = true};

	(void)state;
	bench_open(&bench);
	seen = get(&bench, "/ok", &guarded);
	assert_end(&seen, ERR_PROVIDER_FAILED, "connect");
	assert_int_equal(seen.heads, 0);
	assert_int_equal(atomic_load(&server.connections), 0);
	seen = get(&bench, "/ok", NULL);
	assert_end(&seen, ERR_OK, "ok");
	assert_int_equal(atomic_load(&server.connections), 1);
	seen = get(&bench, "/ok", &guarded);
	assert_end(&seen, ERR_PROVIDER_FAILED, "connect");
	assert_int_equal(seen.heads, 0);
	seen = get(&bench, "/ok", NULL);
	assert_string_equal(seen.body, "hello");
	bench_close(&bench);
}

/* The server sends the second piece only after the first was seen. */
static void test_pieces(void **state)
{
	struct bench bench;
	struct seen seen;

	(void)state;
	bench_open(&bench);
	seen = (struct seen){.client = bench.client, .opens_gate = true};
	start(&seen, "/pieces", NULL);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_OK, "ok");
	assert_string_equal(seen.type, "text/event-stream");
	assert_string_equal(seen.body, "onetwo");
	assert_int_equal(seen.bodies, 2);
	assert_int_equal(seen.heads, 1);
	bench_close(&bench);
}

/* ---- failures ---- */

static void test_failures(void **state)
{
	struct bench bench;
	struct seen seen;
	char url[64];
	int fd;

	(void)state;
	bench_open(&bench);
	seen = get(&bench, "/cut", NULL);
	assert_end(&seen, ERR_PROVIDER_FAILED, "cut");
	assert_string_equal(seen.body, "ten bytes.");
	seen = get(&bench, "/cutchunk", NULL);
	assert_end(&seen, ERR_PROVIDER_FAILED, "cut");
	seen = get(&bench, "/nothing", NULL);
	assert_end(&seen, ERR_PROVIDER_FAILED, "cut");
	assert_int_equal(seen.heads, 0);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", socket_listen(&fd));
	close(fd);
	seen = (struct seen){.client = bench.client};
	start_url(&seen, url, NULL);
	assert_int_equal(seen.dones, 0);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_PROVIDER_FAILED, "connect");
	seen = (struct seen){.client = bench.client};
	start_url(&seen, "file:///etc/hostname", NULL);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_PROVIDER_FAILED, "connect");
	assert_int_equal(seen.bodies, 0);
	bench_close(&bench);
}

/* A peer that does not speak TLS. */
static void test_tls(void **state)
{
	struct bench bench;
	struct seen seen;
	char url[64];
	int fd, peer;

	(void)state;
	bench_open(&bench);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", socket_listen(&fd));
	seen = (struct seen){.client = bench.client};
	start_url(&seen, url, NULL);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	turn_until(bench.loop, (peer = accept(fd, NULL, NULL)) >= 0);
	assert_int_equal(send(peer, "SSH-2.0-nothing\r\n", 17, MSG_NOSIGNAL), 17);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_PROVIDER_FAILED, "tls");
	close(peer);
	close(fd);
	bench_close(&bench);
}

static void test_timeouts(void **state)
{
	struct bench bench;
	struct seen seen;
	struct http_call_options options = {.first_byte_timeout_us = 80000};
	int64_t at_us;

	(void)state;
	bench_open(&bench);
	at_us = env_mono_us(env_real());
	seen = get(&bench, "/silent", &options);
	assert_end(&seen, ERR_PROVIDER_TIMEOUT, "first_byte");
	assert_true(env_mono_us(env_real()) - at_us >= 80000);
	assert_int_equal(seen.heads, 0);
	options = (struct http_call_options){.idle_timeout_us = 80000};
	seen = get(&bench, "/stall", &options);
	assert_end(&seen, ERR_PROVIDER_TIMEOUT, "idle");
	assert_string_equal(seen.body, "ten bytes.");
	options = (struct http_call_options){.total_timeout_us = 80000};
	seen = get(&bench, "/stall", &options);
	assert_end(&seen, ERR_PROVIDER_TIMEOUT, "total");
	/* The first byte in time does not make the idle time shorter than it is. */
	options = (struct http_call_options){.first_byte_timeout_us = 10000000, .idle_timeout_us = 10000000};
	seen = get(&bench, "/ok", &options);
	assert_end(&seen, ERR_OK, "ok");
	bench_close(&bench);
}

/* The kernel connects, but nobody answers the TLS greeting: that is still connecting. */
static void test_connect_timeout(void **state)
{
	struct bench bench;
	struct seen seen;
	struct http_call_options options = {.connect_timeout_us = 80000};
	char url[64];
	int fd;

	(void)state;
	bench_open(&bench);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", socket_listen(&fd));
	seen = (struct seen){.client = bench.client};
	start_url(&seen, url, &options);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_PROVIDER_TIMEOUT, "connect");
	close(fd);
	bench_close(&bench);
}

/* ---- cancelling ---- */

static void test_cancel(void **state)
{
	struct bench bench;
	struct seen seen;

	(void)state;
	bench_open(&bench);
	/* Before it began, and twice. */
	seen = (struct seen){.client = bench.client};
	start(&seen, "/ok", NULL);
	http_client_cancel(seen.call);
	http_client_cancel(seen.call);
	assert_int_equal(seen.dones, 0);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_CANCELLED, "cancelled");
	assert_int_equal(seen.heads, 0);
	/* From inside the body, and from inside the head. */
	seen = (struct seen){.client = bench.client, .cancel_in_body = true};
	start(&seen, "/stall", NULL);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_CANCELLED, "cancelled");
	assert_int_equal(seen.bodies, 1);
	seen = (struct seen){.client = bench.client, .cancel_in_head = true};
	start(&seen, "/stall", NULL);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_CANCELLED, "cancelled");
	assert_int_equal(seen.bodies, 0);
	/* From outside, in the middle; the others do not notice. */
	seen = (struct seen){.client = bench.client};
	start(&seen, "/stall", NULL);
	turn_until(bench.loop, seen.bodies);
	http_client_cancel(seen.call);
	turn_until(bench.loop, seen.dones);
	assert_end(&seen, ERR_CANCELLED, "cancelled");
	seen = get(&bench, "/ok", NULL);
	assert_end(&seen, ERR_OK, "ok");
	bench_close(&bench);
}

static void test_start_in_body(void **state)
{
	struct bench bench;
	struct seen first, second;

	(void)state;
	bench_open(&bench);
	second = (struct seen){.client = bench.client};
	first = (struct seen){.client = bench.client, .starts = &second};
	start(&first, "/ok", NULL);
	turn_until(bench.loop, first.dones && second.dones);
	assert_end(&first, ERR_OK, "ok");
	assert_end(&second, ERR_OK, "ok");
	assert_string_equal(second.body, "hello");
	bench_close(&bench);
}

static void test_destroy(void **state)
{
	struct bench bench;
	struct seen waiting, running;

	(void)state;
	bench_open(&bench);
	running = (struct seen){.client = bench.client};
	start(&running, "/stall", NULL);
	turn_until(bench.loop, running.bodies);
	waiting = (struct seen){.client = bench.client};
	start(&waiting, "/ok", NULL);
	bench_close(&bench);
	assert_end(&running, ERR_CANCELLED, "cancelled");
	assert_end(&waiting, ERR_CANCELLED, "cancelled");
	assert_int_equal(running.dones + waiting.dones, 2);
}

static void test_parallel(void **state)
{
	enum { CALLS = 50 };
	struct bench bench;
	struct seen *seen = calloc(CALLS, sizeof(*seen));

	(void)state;
	bench_open(&bench);
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < CALLS; i++) {
			seen[i] = (struct seen){.client = bench.client};
			start(&seen[i], i % 5 ? "/ok" : "/cut", NULL);
		}
		assert_int_equal(http_client_active(bench.client), CALLS);
		turn_until(bench.loop, http_client_active(bench.client) == 0);
		for (int i = 0; i < CALLS; i++) {
			assert_int_equal(seen[i].dones, 1);
			assert_end(&seen[i], i % 5 ? ERR_OK : ERR_PROVIDER_FAILED, i % 5 ? "ok" : "cut");
			assert_string_equal(seen[i].body, i % 5 ? "hello" : "ten bytes.");
		}
	}
	assert_true(atomic_load(&server.connections) <= CALLS + CALLS / 5);
	free(seen);
	bench_close(&bench);
}

static bool fail_at(void *arg, uint64_t number)
{
	return number == *(uint64_t *)arg;
}

static void test_refused_start(void **state)
{
	struct bench bench;
	struct seen seen = {0};
	struct http_call_options options = {.method = "GET", .url = STR("http://a\0b/"), .done = on_done, .ctx = &seen};
	struct http_client *client;
	uint64_t number;

	(void)state;
	bench_open(&bench);
	assert_int_equal(http_client_start(bench.client, &options, &seen.call), ERR_INVALID);
	options.url = STR_NONE;
	assert_int_equal(http_client_start(bench.client, &options, &seen.call), ERR_INVALID);
	options.url = STR("http://127.0.0.1:1/");
	for (uint64_t i = 1; i <= 2; i++) {
		number = mem_count() + i;
		mem_hook_set(fail_at, &number);
		assert_int_equal(http_client_start(bench.client, &options, &seen.call), ERR_MEMORY);
		mem_hook_set(NULL, NULL);
	}
	number = mem_count() + 1;
	mem_hook_set(fail_at, &number);
	assert_int_equal(http_client_create(bench.loop, &client), ERR_MEMORY);
	mem_hook_set(NULL, NULL);
	assert_int_equal(http_client_active(bench.client), 0);
	bench_close(&bench);
	assert_int_equal(seen.dones, 0);
}

/* Whichever allocation a call makes on its way: it ends at once, and the next one works. */
static void test_no_memory_on_the_way(void **state)
{
	struct bench bench;
	char url[64];
	uint64_t before = 0, number;

	(void)state;
	bench_open(&bench);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/ok", server.port);
	for (uint64_t i = 1; i <= 8; i++) {
		struct seen failed = {.started = true}, seen = {.started = true};
		struct http_call_options options = {.method = "GET", .url = str_of(url), .done = on_done, .ctx = &failed};
		assert_int_equal(http_client_start(bench.client, &options, &failed.call), ERR_OK);
		before = mem_count();
		number = before + i;
		mem_hook_set(fail_at, &number);
		turn_until(bench.loop, failed.dones == 1);
		mem_hook_set(NULL, NULL);
		assert_true(failed.err == ERR_OK || failed.err == ERR_PROVIDER_FAILED);
		assert_true(i > 1 || failed.err == ERR_PROVIDER_FAILED);
		options.ctx = &seen;
		assert_int_equal(http_client_start(bench.client, &options, &seen.call), ERR_OK);
		turn_until(bench.loop, seen.dones == 1);
		assert_int_equal(seen.err, ERR_OK);
	}
	bench_close(&bench);
}

/* ---- fetch ---- */

struct stops {
	int ticks, bodies;
	bool at_body, at_tick;
};

static bool stop_body(void *ctx, struct str bytes)
{
	struct stops *stops = ctx;

	assert_true(bytes.len > 0);
	stops->bodies++;
	return !stops->at_body;
}

static bool stop_tick(void *ctx)
{
	struct stops *stops = ctx;

	stops->ticks++;
	return !(stops->at_tick && stops->bodies);
}

static enum err fetch(const char *path, struct http_fetch request, int *status, struct buf *reply)
{
	char url[128], type[64], detail[128];
	enum err err;

	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", server.port, path);
	request.url = url;
	err = http_fetch(&request, status, type, reply, detail);
	assert_int_equal(err != ERR_OK, detail[0] != 0);
	if (!err && strcmp(path, "/ok") == 0) {
		assert_string_equal(type, "text/plain");
	}
	return err;
}

static void test_fetch(void **state)
{
	struct http_fetch get = {.method = "GET"}, post = {.method = "POST", .body = STR("12345")};
	struct stops stops = {0};
	struct buf reply, small;
	int status;

	(void)state;
	buf_init(&reply, 4096);
	buf_init(&small, 4);
	assert_int_equal(fetch("/ok", get, &status, &reply), ERR_OK);
	assert_int_equal(status, 200);
	assert_true(str_eq(buf_str(&reply), STR("hello")));
	buf_clear(&reply);
	assert_int_equal(fetch("/length", post, &status, &reply), ERR_OK);
	assert_true(str_eq(buf_str(&reply), STR("POST /length HTTP/1.1 5")));
	assert_int_equal(fetch("/ok", get, &status, &small), ERR_LIMIT);
	assert_int_equal(fetch("/cut", get, &status, &reply), ERR_IO);
	assert_int_equal(status, 200);
	assert_int_equal(fetch("/nothing", get, &status, &reply), ERR_IO);
	assert_int_equal(status, 0);
	get.total_timeout_us = 80000;
	assert_int_equal(fetch("/stall", get, &status, &reply), ERR_TIMED_OUT);
	get = (struct http_fetch){.method = "GET", .body_bytes = stop_body, .tick = stop_tick, .ctx = &stops};
	assert_int_equal(fetch("/ok", get, &status, NULL), ERR_OK);
	assert_true(stops.bodies > 0 && stops.ticks > 0);
	stops = (struct stops){.at_body = true};
	assert_int_equal(fetch("/stall", get, &status, NULL), ERR_CANCELLED);
	stops = (struct stops){.at_tick = true};
	assert_int_equal(fetch("/stall", get, &status, NULL), ERR_CANCELLED);
	assert_int_equal(stops.bodies, 1);
	buf_fini(&reply);
	buf_fini(&small);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reply, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_heads, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_public_only, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_pieces, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_failures, server_start, server_stop),
		cmocka_unit_test(test_tls),
		cmocka_unit_test_setup_teardown(test_timeouts, server_start, server_stop),
		cmocka_unit_test(test_connect_timeout),
		cmocka_unit_test_setup_teardown(test_cancel, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_start_in_body, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_destroy, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_parallel, server_start, server_stop),
		cmocka_unit_test(test_refused_start),
		cmocka_unit_test_setup_teardown(test_no_memory_on_the_way, server_start, server_stop),
		cmocka_unit_test_setup_teardown(test_fetch, server_start, server_stop),
	};
	int failed;

	if (http_client_global_init()) {
		return 1;
	}
	failed = cmocka_run_group_tests_name("http_client", tests, NULL, NULL);
	http_client_global_fini();
	return failed;
}
