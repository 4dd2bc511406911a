/*
 * fanout.c - one publisher, many subscribers of one topic: deliveries per second, or publish -> receive at a steady rate.
 *
 *   fanout --proto guild|post|redis|floor --address A [--token T] [--subscribers N] [--messages M] [--window W] [--rate R] [--pid SERVER] [--stuck N]
 *
 * post: the topic is global, and each message is a post made over HTTP: on disk before anybody hears of it.
 *
 * Without --rate at most W messages are under way (not yet received by everybody), which keeps each server below the point
 * where it drops a slow reader: what is measured is lossless. The k-th message that a subscriber gets is the k-th that was
 * published, so latency needs no clock in the payload. One line of JSON comes out; status 1 when a delivery is missing.
 *
 * --stuck (guild, with --rate): N further subscribers read nothing, and behind every fourth message one of 12 KiB goes to them alone, so
 * that they get past what the server keeps for one connection in the middle of the run. With 0 those are published too, to nobody.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define PAYLOAD_BYTES 128
#define INPUT_BYTES 262144
#define STUCK_BYTES 12288
#define STUCK_EVERY 4

enum proto { PROTO_GUILD, PROTO_POST, PROTO_REDIS, PROTO_FLOOR };

struct subscriber {
	int fd;
	bool publisher;
	uint8_t head_have;
	unsigned char head[4];
	size_t left;
	int64_t received;
};

struct run {
	enum proto proto;
	const char *address, *token;
	int epoll_fd;
	int count;
	struct subscriber *subscribers;
	struct subscriber publisher;
	char *frame;
	size_t frame_len;
	size_t redis_message_len;
	int64_t messages, window, published, delivered, bytes;
	int64_t *sent_ns;
	struct samples latency;
	struct samples last; /* until the last subscriber had it */
	int stuck_count;     /* -1: without messages for them */
	int *stuck;
	char *stuck_frame;
	size_t stuck_frame_len;
};

/* ---- the three protocols ---- */

static void payload_make(char *payload)
{
	memset(payload, 'x', PAYLOAD_BYTES);
	payload[PAYLOAD_BYTES] = 0;
}

static void ws_say(int fd, const char *text)
{
	char frame[1024];
	size_t len = ws_client_frame(frame, text, strlen(text));
	send_all(fd, frame, len);
}

static int subscriber_open(struct run *run)
{
	char answer[4096];
	if (run->proto == PROTO_GUILD || run->proto == PROTO_POST) {
		int fd = ws_connect(run->address, "/v1/ws", run->token, "guild.v1");
		ws_say(fd, run->proto == PROTO_POST ? "{\"type\":\"subscribe\",\"topics\":[\"global\"]}"
						    : "{\"type\":\"subscribe\",\"topics\":[\"bench\"]}");
		read_until(fd, answer, sizeof(answer), "\"ok\"");
		return fd;
	}
	if (run->proto == PROTO_FLOOR) {
		return ws_connect(run->address, "/subscribe", NULL, NULL);
	}
	int fd = tcp_connect(run->address);
	send_all(fd, "*2\r\n$9\r\nSUBSCRIBE\r\n$5\r\nbench\r\n", 31);
	read_until(fd, answer, sizeof(answer), ":1\r\n");
	return fd;
}

static void publisher_open(struct run *run)
{
	char payload[PAYLOAD_BYTES + 1];
	char text[1024];
	payload_make(payload);
	run->frame = must_alloc(2048);
	run->publisher.publisher = true;
	if (run->proto == PROTO_REDIS) {
		run->publisher.fd = tcp_connect(run->address);
		run->frame_len = (size_t)snprintf(run->frame, 2048, "*3\r\n$7\r\nPUBLISH\r\n$5\r\nbench\r\n$%d\r\n%s\r\n", PAYLOAD_BYTES, payload);
		run->redis_message_len =
			(size_t)snprintf(text, sizeof(text), "*3\r\n$7\r\nmessage\r\n$5\r\nbench\r\n$%d\r\n%s\r\n", PAYLOAD_BYTES, payload);
		return;
	}
	if (run->proto == PROTO_POST) {
		int len = snprintf(text, sizeof(text), "{\"content\":\"%s\"}", payload);
		run->publisher.fd = tcp_connect(run->address);
		run->frame_len = (size_t)snprintf(run->frame, 2048,
						  "POST /v1/posts HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer %s\r\n"
						  "Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
						  run->token, len, text);
		return;
	}
	bool guild = run->proto == PROTO_GUILD;
	run->publisher.fd = guild ? ws_connect(run->address, "/v1/ws", run->token, "guild.v1") : ws_connect(run->address, "/publish", NULL, NULL);
	snprintf(text, sizeof(text),
		 guild ? "{\"type\":\"publish\",\"topics\":[\"bench\"],\"event\":{\"type\":\"x.bench\",\"data\":\"%s\"}}" : "%s", payload);
	run->frame_len = ws_client_frame(run->frame, text, strlen(text));
}

/* ---- who reads nothing ---- */

static void stuck_open(struct run *run)
{
	char answer[4096];
	receive_bytes_set(4096);
	run->stuck = must_alloc((size_t)run->stuck_count * sizeof(int) + 1);
	for (int i = 0; i < run->stuck_count; i++) {
		run->stuck[i] = ws_connect(run->address, "/v1/ws", run->token, "guild.v1");
		ws_say(run->stuck[i], "{\"type\":\"subscribe\",\"topics\":[\"bench\",\"stuck\"]}");
		read_until(run->stuck[i], answer, sizeof(answer), "\"ok\"");
	}
	char *text = must_alloc(STUCK_BYTES + 256);
	int len = sprintf(text, "{\"type\":\"publish\",\"topics\":[\"stuck\"],\"event\":{\"type\":\"x.bench\",\"data\":\"");
	memset(text + len, 'x', STUCK_BYTES);
	strcpy(text + len + STUCK_BYTES, "\"}}");
	run->stuck_frame = must_alloc(STUCK_BYTES + 256);
	run->stuck_frame_len = ws_client_frame(run->stuck_frame, text, strlen(text));
	free(text);
}

/* How many the server has closed with 4008 behind what it had sent them. */
static int stuck_closed(struct run *run)
{
	static const char close_frame[] = {(char)0x0f, (char)0xa8}; /* 4008, behind opcode and length */
	static char input[INPUT_BYTES];
	int closed = 0;
	for (int i = 0; i < run->stuck_count; i++) {
		char tail[256] = {0};
		ssize_t n;
		while ((n = recv(run->stuck[i], input, sizeof(input), 0)) > 0) {
			size_t kept = (size_t)n < sizeof(tail) ? (size_t)n : sizeof(tail);
			memmove(tail, tail + kept, sizeof(tail) - kept);
			memcpy(tail + sizeof(tail) - kept, input + n - kept, kept);
			usleep(100);
		}
		closed += n == 0 && memmem(tail, sizeof(tail), close_frame, sizeof(close_frame)) != NULL;
	}
	return closed;
}

/* ---- receiving ---- */

static void delivered(struct run *run, struct subscriber *subscriber, int64_t now)
{
	if (subscriber->received >= run->published) {
		die("a subscriber got more than was published");
	}
	samples_add(&run->latency, now - run->sent_ns[subscriber->received]);
	subscriber->received++;
	run->delivered++;
	if (run->delivered % run->count == 0) {
		samples_add(&run->last, now - run->sent_ns[run->delivered / run->count - 1]);
	}
}

/* Counts WebSocket frames; their content is of no interest. */
static void frames_count(struct run *run, struct subscriber *subscriber, const unsigned char *at, size_t len, int64_t now)
{
	while (len > 0) {
		if (subscriber->left > 0) {
			size_t n = len < subscriber->left ? len : subscriber->left;
			subscriber->left -= n;
			at += n;
			len -= n;
			if (subscriber->left == 0) {
				delivered(run, subscriber, now);
			}
			continue;
		}
		subscriber->head[subscriber->head_have++] = *at++;
		len--;
		unsigned size = subscriber->head[1];
		if (subscriber->head_have == 2 && size < 126) {
			subscriber->left = size;
			subscriber->head_have = 0;
		} else if (subscriber->head_have == 4) {
			subscriber->left = (size_t)subscriber->head[2] << 8 | subscriber->head[3];
			subscriber->head_have = 0;
		}
		if (subscriber->head_have == 0 && (subscriber->head[0] != 0x81 || size > 126)) {
			die("an unexpected frame %02x %u", subscriber->head[0], size);
		}
	}
}

static void messages_count(struct run *run, struct subscriber *subscriber, size_t len, int64_t now)
{
	for (subscriber->left += len; subscriber->left >= run->redis_message_len; subscriber->left -= run->redis_message_len) {
		delivered(run, subscriber, now);
	}
}

static void receive(struct run *run, struct subscriber *subscriber)
{
	static unsigned char input[INPUT_BYTES];
	ssize_t n = recv(subscriber->fd, input, sizeof(input), 0);
	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0) {
		die("the server closed a %s", subscriber->publisher ? "publisher" : "subscriber");
	}
	if (subscriber->publisher) {
		input[n < INPUT_BYTES ? n : INPUT_BYTES - 1] = 0;
		if (strstr((char *)input, "\"error\"") != NULL || strstr((char *)input, "\"status\":4") != NULL) {
			die("refused: %s", (char *)input + 2);
		}
		return;
	}
	run->bytes += n;
	if (run->proto == PROTO_REDIS) {
		messages_count(run, subscriber, (size_t)n, now_ns());
	} else {
		frames_count(run, subscriber, input, (size_t)n, now_ns());
	}
}

/* ---- the run ---- */

static void publish(struct run *run)
{
	run->sent_ns[run->published++] = now_ns();
	send_all(run->publisher.fd, run->frame, run->frame_len);
	if (run->stuck_count >= 0 && run->published % STUCK_EVERY == 0) {
		send_all(run->publisher.fd, run->stuck_frame, run->stuck_frame_len);
	}
}

/* Publishes what may go out now; how long to wait for something else. */
static int publish_due(struct run *run, int64_t begin_ns, int64_t step_ns)
{
	if (step_ns == 0) {
		while (run->published < run->messages && run->published * run->count - run->delivered < run->window * run->count) {
			publish(run);
		}
		return 1000;
	}
	int64_t now = now_ns();
	while (run->published < run->messages && begin_ns + run->published * step_ns <= now) {
		publish(run);
	}
	int64_t wait_ns = begin_ns + run->published * step_ns - now_ns();
	return run->published == run->messages ? 1000 : wait_ns > 1500000 ? (int)(wait_ns / 1000000) : 0;
}

static void go(struct run *run, int64_t step_ns)
{
	struct epoll_event events[1024];
	int64_t begin = now_ns();
	int64_t progress = begin;
	while (run->delivered < run->messages * run->count) {
		int wait_ms = publish_due(run, begin, step_ns);
		int n = epoll_wait(run->epoll_fd, events, 1024, wait_ms);
		int64_t before = run->delivered;
		for (int i = 0; i < n; i++) {
			receive(run, events[i].data.ptr);
		}
		progress = run->delivered > before ? now_ns() : progress;
		if (now_ns() - progress > 10000000000) {
			fprintf(stderr, "%lld of %lld deliveries are missing\n", (long long)(run->messages * run->count - run->delivered),
				(long long)(run->messages * run->count));
			exit(1);
		}
	}
}

static void watch(struct run *run, struct subscriber *subscriber)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = subscriber};
	epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, subscriber->fd, &event);
}

static enum proto proto_read(const char *word)
{
	return strcmp(word, "guild") == 0 ? PROTO_GUILD : strcmp(word, "post") == 0 ? PROTO_POST : strcmp(word, "redis") == 0 ? PROTO_REDIS : PROTO_FLOOR;
}

int main(int argc, char **argv)
{
	double rate = option_number(argc, argv, "rate", 0);
	int pid = (int)option_number(argc, argv, "pid", 0);
	struct run run = {
		.proto = proto_read(option_text(argc, argv, "proto", "guild")),
		.address = option_text(argc, argv, "address", "127.0.0.1:8420"),
		.token = option_text(argc, argv, "token", NULL),
		.count = (int)option_number(argc, argv, "subscribers", 1000),
		.messages = (int64_t)option_number(argc, argv, "messages", 2000),
		.window = (int64_t)option_number(argc, argv, "window", 64),
		.stuck_count = (int)option_number(argc, argv, "stuck", -1),
		.epoll_fd = epoll_create1(0),
	};
	files_raise();
	run.subscribers = must_alloc((size_t)run.count * sizeof(struct subscriber));
	run.sent_ns = must_alloc((size_t)run.messages * sizeof(int64_t));
	samples_init(&run.latency, 4000000);
	samples_init(&run.last, (size_t)run.messages);
	for (int i = 0; i < run.count; i++) {
		run.subscribers[i].fd = subscriber_open(&run);
		watch(&run, &run.subscribers[i]);
	}
	publisher_open(&run);
	if (run.stuck_count >= 0) {
		stuck_open(&run);
	}
	watch(&run, &run.publisher);
	int64_t cpu = pid != 0 ? process_cpu_ns(pid) : 0;
	int64_t begin = now_ns();
	go(&run, rate > 0 ? (int64_t)(1e9 / rate) : 0);
	double seconds = (double)(now_ns() - begin) / 1e9;
	cpu = pid != 0 ? process_cpu_ns(pid) - cpu : 0;
	printf("{\"deliveries\":%lld,\"seconds\":%.3f,\"per_s\":%.0f,\"server_cpu_ns_each\":%.1f,\"wire_bytes_each\":%.1f,\"p50_us\":%.1f,"
	       "\"p99_us\":%.1f,\"max_us\":%.1f,\"last_p50_us\":%.1f,\"last_p99_us\":%.1f,\"stuck_closed\":%d}\n",
	       (long long)run.delivered, seconds, (double)run.delivered / seconds, (double)cpu / (double)run.delivered,
	       (double)run.bytes / (double)run.delivered, samples_us(&run.latency, 0.5), samples_us(&run.latency, 0.99),
	       samples_us(&run.latency, 1), samples_us(&run.last, 0.5), samples_us(&run.last, 0.99), stuck_closed(&run));
	return 0;
}
