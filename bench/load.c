/*
 * load.c - HTTP requests over kept connections, one at a time on each, and what they took.
 *
 *   load --address A --connections N --seconds S --path P [--token T] [--body JSON] [--method M] [--session] [--rate R] [--pid SERVER] [--count N]
 *
 * Closed loop unless --rate says how many requests start each second: then latency counts from the moment a request was
 * due, so that a server that stalls is not spared. --session: from its second request on, each connection goes on with the
 * session that the first answer named. One line of JSON comes out; per_s counts good answers alone.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define INPUT_BYTES 65536
#define REQUEST_BYTES 8192

/* Where the answer of a connection stands. */
enum part { PART_HEAD, PART_LENGTH, PART_CHUNK_SIZE, PART_CHUNK, PART_CHUNK_END };

struct client {
	int fd;
	bool busy, last_chunk;
	enum part part;
	int64_t due_ns, begun_ns;
	size_t left; /* bytes of the body or chunk still to come */
	size_t request_len;
	char *request;
	size_t have; /* bytes of a head or size line that are kept */
	char kept[4096];
	bool has_session;
};

struct run {
	const char *address, *path, *token, *body, *method;
	bool session;
	int epoll_fd;
	int64_t end_ns, step_ns, next_ns, count_max;
	bool measuring;
	int64_t started, answered, errors, body_bytes;
	struct samples latency, first_byte;
	struct client *clients;
	int client_count;
	struct client **idle;
	int idle_count;
};

static void request_make(struct run *run, struct client *client, const char *session)
{
	char body[REQUEST_BYTES / 2] = "";
	size_t len = run->body != NULL ? strlen(run->body) : 0;
	if (run->body != NULL && session != NULL) {
		/* The closing brace makes room for one more member. */
		snprintf(body, sizeof(body), "%.*s,\"session_id\":\"%s\"}", (int)len - 1, run->body, session);
	} else if (run->body != NULL) {
		snprintf(body, sizeof(body), "%s", run->body);
	}
	client->request_len = (size_t)snprintf(
		client->request, REQUEST_BYTES, "%s %s HTTP/1.1\r\nHost: %s\r\n%s%s%s%s",
		run->method != NULL ? run->method : run->body != NULL ? "POST" : "GET", run->path,
		run->address, run->token != NULL ? "Authorization: Bearer " : "", run->token != NULL ? run->token : "",
		run->token != NULL ? "\r\n" : "", run->body != NULL ? "Content-Type: application/json\r\n" : "\r\n");
	if (run->body != NULL) {
		client->request_len += (size_t)snprintf(client->request + client->request_len, REQUEST_BYTES - client->request_len,
							"Content-Length: %zu\r\n\r\n%s", strlen(body), body);
	}
}

static void client_start(struct run *run, struct client *client, int64_t due_ns)
{
	client->busy = true;
	client->part = PART_HEAD;
	client->have = 0;
	client->last_chunk = false;
	client->due_ns = due_ns;
	client->begun_ns = 0;
	run->started++;
	send_all(client->fd, client->request, client->request_len);
}

static void client_done(struct run *run, struct client *client)
{
	int64_t now = now_ns();
	client->busy = false;
	run->answered++;
	if (run->measuring) {
		samples_add(&run->latency, now - client->due_ns);
	}
	bool more = now < run->end_ns && (run->count_max == 0 || run->started < run->count_max);
	if (run->step_ns == 0 && more) {
		client_start(run, client, now);
	} else {
		run->idle[run->idle_count++] = client;
	}
}

/* The whole head is in client->kept. */
static void head_read(struct run *run, struct client *client)
{
	int status = 0;
	const char *length = strcasestr(client->kept, "\r\nContent-Length:");
	const char *session = strcasestr(client->kept, "\r\nX-Session-Id: ");
	if (sscanf(client->kept, "HTTP/1.1 %d", &status) != 1 || status >= 300) {
		if (run->errors++ == 0) {
			fprintf(stderr, "refused: %.*s\n", (int)strcspn(client->kept, "\r"), client->kept);
		}
	}
	if (run->session && session != NULL && !client->has_session) {
		char id[64];
		if (sscanf(session, "\r\n%*[^:]: %63[0-9a-f-]", id) == 1) {
			client->has_session = true;
			request_make(run, client, id);
		}
	}
	if (length != NULL) {
		client->part = PART_LENGTH;
		client->left = strtoul(length + 17, NULL, 10);
	} else if (strcasestr(client->kept, "\r\nTransfer-Encoding: chunked") != NULL) {
		client->part = PART_CHUNK_SIZE;
	} else {
		die("an answer without length: %s", client->kept);
	}
	client->have = 0;
}

/* Collects a line or head up to end in kept; returns the bytes used, *whole when it ended. */
static size_t keep_until(struct client *client, const char *at, size_t len, const char *end, bool *whole)
{
	size_t end_len = strlen(end);
	for (size_t i = 0; i < len; i++) {
		if (client->have + 1 >= sizeof(client->kept)) {
			die("a head is too long");
		}
		client->kept[client->have++] = at[i];
		if (client->have >= end_len && memcmp(client->kept + client->have - end_len, end, end_len) == 0) {
			client->kept[client->have] = 0;
			*whole = true;
			return i + 1;
		}
	}
	*whole = false;
	return len;
}

static size_t skip(struct client *client, size_t len)
{
	size_t n = len < client->left ? len : client->left;
	client->left -= n;
	return n;
}

/* One step; returns the bytes used. */
static size_t answer_step(struct run *run, struct client *client, const char *at, size_t len, bool *done)
{
	bool whole;
	size_t used;
	switch (client->part) {
	case PART_HEAD:
		used = keep_until(client, at, len, "\r\n\r\n", &whole);
		if (whole) {
			head_read(run, client);
			*done = client->part == PART_LENGTH && client->left == 0;
		}
		return used;
	case PART_LENGTH:
		used = skip(client, len);
		*done = client->left == 0;
		break;
	case PART_CHUNK_SIZE:
		used = keep_until(client, at, len, "\r\n", &whole);
		if (whole) {
			client->left = strtoul(client->kept, NULL, 16);
			client->last_chunk = client->left == 0;
			client->part = client->last_chunk ? PART_CHUNK_END : PART_CHUNK;
			client->have = 0;
		}
		return used;
	case PART_CHUNK:
		used = skip(client, len);
		client->part = client->left == 0 ? PART_CHUNK_END : PART_CHUNK;
		break;
	default:
		used = keep_until(client, at, len, "\r\n", &whole);
		if (whole) {
			client->part = PART_CHUNK_SIZE;
			client->have = 0;
			*done = client->last_chunk;
		}
		return used;
	}
	run->body_bytes += (int64_t)used;
	if (client->begun_ns == 0) {
		client->begun_ns = now_ns();
		if (run->measuring) {
			samples_add(&run->first_byte, client->begun_ns - client->due_ns);
		}
	}
	return used;
}

static void client_read(struct run *run, struct client *client)
{
	static char input[INPUT_BYTES];
	ssize_t n = recv(client->fd, input, sizeof(input), 0);
	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0) {
		die("the server closed a connection: %s", n < 0 ? strerror(errno) : "end");
	}
	for (size_t at = 0; at < (size_t)n;) {
		bool done = false;
		if (!client->busy) {
			die("bytes behind an answer");
		}
		at += answer_step(run, client, input + at, (size_t)n - at, &done);
		if (done) {
			client_done(run, client);
		}
	}
}

/* Open loop: starts all that are due while there are free connections. */
static int start_due(struct run *run)
{
	int64_t now = now_ns();
	while (run->step_ns > 0 && run->next_ns <= now && run->next_ns < run->end_ns && run->idle_count > 0) {
		client_start(run, run->idle[--run->idle_count], run->next_ns);
		run->next_ns += run->step_ns;
		now = now_ns();
	}
	if (run->step_ns == 0 || run->next_ns >= run->end_ns || run->idle_count == 0) {
		return 100;
	}
	/* Below a millisecond epoll cannot wait: it is asked again at once. */
	return run->next_ns - now > 1500000 ? (int)((run->next_ns - now) / 1000000) : 0;
}

static void phase(struct run *run, double seconds, bool measuring)
{
	struct epoll_event events[256];
	int64_t begin = now_ns();
	run->end_ns = begin + (int64_t)(seconds * 1e9);
	run->next_ns = begin;
	run->measuring = measuring;
	run->started = run->answered = run->body_bytes = 0;
	if (run->step_ns == 0) {
		while (run->idle_count > 0 && (run->count_max == 0 || run->started < run->count_max)) {
			client_start(run, run->idle[--run->idle_count], now_ns());
		}
	}
	for (;;) {
		int wait_ms = start_due(run);
		int64_t now = now_ns();
		bool over = now >= run->end_ns || (run->count_max > 0 && run->started >= run->count_max);
		if (over && run->idle_count == run->client_count) {
			return;
		}
		if (now > run->end_ns + 10000000000) {
			die("%d answers are missing after 10 s", run->client_count - run->idle_count);
		}
		int n = epoll_wait(run->epoll_fd, events, 256, wait_ms);
		for (int i = 0; i < n; i++) {
			client_read(run, events[i].data.ptr);
		}
	}
}

static void clients_make(struct run *run)
{
	run->epoll_fd = epoll_create1(0);
	run->clients = must_alloc((size_t)run->client_count * sizeof(struct client));
	run->idle = must_alloc((size_t)run->client_count * sizeof(struct client *));
	for (int i = 0; i < run->client_count; i++) {
		struct client *client = &run->clients[i];
		client->fd = tcp_connect(run->address);
		client->request = must_alloc(REQUEST_BYTES);
		request_make(run, client, NULL);
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
		epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
		run->idle[run->idle_count++] = client;
	}
}

int main(int argc, char **argv)
{
	struct run run = {
		.address = option_text(argc, argv, "address", "127.0.0.1:8420"),
		.path = option_text(argc, argv, "path", "/healthz"),
		.token = option_text(argc, argv, "token", NULL),
		.body = option_text(argc, argv, "body", NULL),
		.method = option_text(argc, argv, "method", NULL),
		.session = option_given(argc, argv, "session"),
		.client_count = (int)option_number(argc, argv, "connections", 16),
	};
	double rate = option_number(argc, argv, "rate", 0);
	double warm = option_number(argc, argv, "warm", 0.5);
	int pid = (int)option_number(argc, argv, "pid", 0);
	files_raise();
	samples_init(&run.latency, 4000000);
	samples_init(&run.first_byte, 4000000);
	clients_make(&run);
	run.step_ns = rate > 0 ? (int64_t)(1e9 / rate) : 0;
	if (warm > 0) {
		phase(&run, warm, false);
	}
	run.count_max = (int64_t)option_number(argc, argv, "count", 0);
	int64_t cpu = pid != 0 ? process_cpu_ns(pid) : 0;
	int64_t begin = now_ns();
	phase(&run, option_number(argc, argv, "seconds", 3), true);
	double seconds = (double)(now_ns() - begin) / 1e9;
	cpu = pid != 0 ? process_cpu_ns(pid) - cpu : 0;
	printf("{\"requests\":%lld,\"seconds\":%.3f,\"per_s\":%.1f,\"errors\":%lld,\"p50_us\":%.1f,\"p99_us\":%.1f,\"max_us\":%.1f,"
	       "\"first_p50_us\":%.1f,\"first_p99_us\":%.1f,\"body_bytes\":%lld,\"server_cpu_us_each\":%.2f}\n",
	       (long long)run.answered, seconds, (double)(run.answered - run.errors) / seconds, (long long)run.errors, samples_us(&run.latency, 0.5),
	       samples_us(&run.latency, 0.99), samples_us(&run.latency, 1), samples_us(&run.first_byte, 0.5),
	       samples_us(&run.first_byte, 0.99), (long long)run.body_bytes,
	       run.answered > 0 ? (double)cpu / 1000.0 / (double)run.answered : 0);
	return run.errors > 0;
}
