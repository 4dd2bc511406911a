/*
 * catchup.c - clients that come back at once and ask for what they have missed.
 *
 *   catchup --address A --token T [--clients N] [--after OFFSET] [--topic T] [--pid SERVER]
 *
 * All connect and sign in; then all subscribe naming the same offset. Counted is the time until the last has been told that it has
 * recovered. One line of JSON comes out; status 1 when a client got another number of events than the others.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define INPUT_BYTES 262144

struct client {
	int fd;
	bool recovered;
	int64_t events;
	/* the frame being read */
	unsigned head_have;
	unsigned char head[10];
	size_t left;
	unsigned start_have; /* of its text: what tells its type */
	char start[64];
};

struct run {
	int epoll_fd;
	int count, recovered;
	int64_t events, bytes, begin_ns;
	struct samples each;
};

static size_t head_size(const struct client *client)
{
	return client->head_have < 2 ? 2 : client->head[1] == 126 ? 4 : client->head[1] == 127 ? 10 : 2;
}

static size_t body_size(const struct client *client)
{
	size_t size = client->head[1];
	if (size < 126) {
		return size;
	}
	size = 0;
	for (unsigned i = 2; i < client->head_have; i++) {
		size = size << 8 | client->head[i];
	}
	return size;
}

static void frame_end(struct run *run, struct client *client)
{
	client->start[client->start_have] = 0;
	client->head_have = client->start_have = 0;
	if (strstr(client->start, "\"type\":\"event\"") != NULL) {
		client->events++;
		run->events++;
	} else if (strstr(client->start, "\"type\":\"recovered\"") != NULL && !client->recovered) {
		client->recovered = true;
		run->recovered++;
		samples_add(&run->each, now_ns() - run->begin_ns);
	} else if (strstr(client->start, "\"type\":\"error\"") != NULL || strstr(client->start, "\"type\":\"gap\"") != NULL) {
		die("a client was told: %s", client->start);
	}
}

static void take(struct run *run, struct client *client, const unsigned char *at, size_t len)
{
	while (len > 0) {
		if (client->left == 0) {
			client->head[client->head_have++] = *at++;
			len--;
			if (client->head_have >= 2 && client->head_have == head_size(client)) {
				client->left = body_size(client);
			}
			continue;
		}
		size_t n = len < client->left ? len : client->left;
		size_t kept = sizeof(client->start) - 1 - client->start_have;
		kept = n < kept ? n : kept;
		memcpy(client->start + client->start_have, at, kept);
		client->start_have += (unsigned)kept;
		client->left -= n;
		at += n;
		len -= n;
		if (client->left == 0) {
			frame_end(run, client);
		}
	}
}

static void go(struct run *run)
{
	static unsigned char input[INPUT_BYTES];
	struct epoll_event events[256];
	int64_t progress = now_ns();
	while (run->recovered < run->count) {
		int n = epoll_wait(run->epoll_fd, events, 256, 1000);
		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;
			ssize_t got = recv(client->fd, input, sizeof(input), 0);
			if (got == 0 || (got < 0 && errno != EAGAIN)) {
				die("the server closed a client");
			}
			if (got > 0) {
				run->bytes += got;
				take(run, client, input, (size_t)got);
				progress = now_ns();
			}
		}
		if (now_ns() - progress > 10000000000) {
			die("%d of %d clients have not recovered", run->count - run->recovered, run->count);
		}
	}
}

int main(int argc, char **argv)
{
	const char *address = option_text(argc, argv, "address", "127.0.0.1:8420");
	const char *token = option_text(argc, argv, "token", NULL);
	int pid = (int)option_number(argc, argv, "pid", 0);
	struct run run = {.count = (int)option_number(argc, argv, "clients", 1000), .epoll_fd = epoll_create1(0)};
	char text[256], frame[512];
	files_raise();
	struct client *clients = must_alloc((size_t)run.count * sizeof(*clients));
	memset(clients, 0, (size_t)run.count * sizeof(*clients));
	samples_init(&run.each, (size_t)run.count);
	snprintf(text, sizeof(text), "{\"type\":\"subscribe\",\"topics\":[\"%s\"],\"after\":%lld}", option_text(argc, argv, "topic", "global"),
		 (long long)option_number(argc, argv, "after", 0));
	size_t len = ws_client_frame(frame, text, strlen(text));
	for (int i = 0; i < run.count; i++) {
		clients[i].fd = ws_connect(address, "/v1/ws", token, "guild.v1");
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = &clients[i]};
		epoll_ctl(run.epoll_fd, EPOLL_CTL_ADD, clients[i].fd, &event);
	}
	int64_t cpu = pid != 0 ? process_cpu_ns(pid) : 0;
	run.begin_ns = now_ns();
	for (int i = 0; i < run.count; i++) {
		send_all(clients[i].fd, frame, len);
	}
	go(&run);
	double seconds = (double)(now_ns() - run.begin_ns) / 1e9;
	cpu = pid != 0 ? process_cpu_ns(pid) - cpu : 0;
	for (int i = 1; i < run.count; i++) {
		if (clients[i].events != clients[0].events) {
			fprintf(stderr, "one client got %lld events, another %lld\n", (long long)clients[0].events, (long long)clients[i].events);
			return 1;
		}
	}
	printf("{\"clients\":%d,\"events_each\":%lld,\"seconds\":%.3f,\"per_s\":%.0f,\"p50_ms\":%.1f,"
	       "\"server_cpu_ns_each\":%.1f,\"wire_bytes_each\":%.1f}\n",
	       run.count, (long long)clients[0].events, seconds, (double)run.events / seconds, samples_us(&run.each, 0.5) / 1000,
	       (double)cpu / (double)(run.events != 0 ? run.events : 1), (double)run.bytes / (double)(run.events != 0 ? run.events : 1));
	return 0;
}
