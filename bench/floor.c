/*
 * floor.c - the least a server can do: the figure that others are compared with.
 *
 *   floor --address A
 *
 * GET of anything gets a fixed JSON object. /subscribe and /publish are WebSockets: each text message of a publisher goes to
 * all subscribers, one send a turn for each, from one buffer that all share. No checks, no limits, no names, no history.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common.h"

#define LOG_BYTES (256u << 20)
#define INPUT_BYTES 65536

enum kind { KIND_HTTP, KIND_SUBSCRIBER, KIND_PUBLISHER };

struct client {
	int fd;
	enum kind kind;
	bool blocked;
	size_t sent; /* of the log */
	size_t have;
	char kept[16384];
};

static int epoll_fd;
static char *log_bytes;
static size_t log_len;
static struct client **subscribers;
static int subscriber_count;

static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 33\r\n\r\n"
			     "{\"status\":\"ok\",\"version\":\"0.1.0\"}";
static const char upgraded[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

static void client_close(struct client *client)
{
	close(client->fd);
	for (int i = 0; i < subscriber_count; i++) {
		if (subscribers[i] == client) {
			subscribers[i] = subscribers[--subscriber_count];
		}
	}
	free(client);
}

static void head_read(struct client *client)
{
	if (strncmp(client->kept, "GET /subscribe", 14) == 0) {
		client->kind = KIND_SUBSCRIBER;
		client->sent = log_len;
		subscribers[subscriber_count++] = client;
		send_all(client->fd, upgraded, sizeof(upgraded) - 1);
	} else if (strncmp(client->kept, "GET /publish", 12) == 0) {
		client->kind = KIND_PUBLISHER;
		send_all(client->fd, upgraded, sizeof(upgraded) - 1);
	} else {
		send_all(client->fd, answer, sizeof(answer) - 1);
	}
}

/* Bytes of one whole message at the start of kept; 0 when it is not whole. */
static size_t message_take(struct client *client)
{
	const unsigned char *at = (unsigned char *)client->kept;
	if (client->kind == KIND_HTTP) {
		const char *end = memmem(client->kept, client->have, "\r\n\r\n", 4);
		if (end == NULL) {
			return 0;
		}
		head_read(client);
		return (size_t)(end + 4 - client->kept);
	}
	if (client->have < 8) {
		return 0;
	}
	size_t len = at[1] & 127;
	size_t head = len == 126 ? 8 : 6;
	len = len == 126 ? (size_t)at[2] << 8 | at[3] : len;
	if (client->have < head + len) {
		return 0;
	}
	if (log_len + len + 4 > LOG_BYTES) {
		die("the log is full");
	}
	log_bytes[log_len++] = (char)0x81;
	log_bytes[log_len++] = 126;
	log_bytes[log_len++] = (char)(len >> 8);
	log_bytes[log_len++] = (char)len;
	for (size_t i = 0; i < len; i++) {
		log_bytes[log_len++] = (char)(at[head + i] ^ at[head - 4 + (i & 3)]);
	}
	return head + len;
}

static void client_read(struct client *client)
{
	ssize_t n = recv(client->fd, client->kept + client->have, sizeof(client->kept) - client->have, 0);
	if (n < 0 && errno == EAGAIN) {
		return;
	}
	if (n <= 0) {
		client_close(client);
		return;
	}
	client->have += (size_t)n;
	for (size_t used; client->have > 0 && (used = message_take(client)) > 0;) {
		memmove(client->kept, client->kept + used, client->have - used);
		client->have -= used;
	}
}

static void watch(struct client *client, int what, unsigned events)
{
	struct epoll_event event = {.events = events, .data.ptr = client};
	epoll_ctl(epoll_fd, what, client->fd, &event);
}

static void flush_all(void)
{
	bool all = true;
	if (log_len == 0) {
		return;
	}
	for (int i = 0; i < subscriber_count; i++) {
		struct client *client = subscribers[i];
		if (client->sent < log_len && !client->blocked) {
			ssize_t n = send(client->fd, log_bytes + client->sent, log_len - client->sent, MSG_NOSIGNAL | MSG_DONTWAIT);
			client->sent += n > 0 ? (size_t)n : 0;
			client->blocked = client->sent < log_len;
			if (client->blocked) {
				watch(client, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
			}
		}
		all = all && client->sent == log_len;
	}
	if (all) {
		log_len = 0;
		for (int i = 0; i < subscriber_count; i++) {
			subscribers[i]->sent = 0;
		}
	}
}

int main(int argc, char **argv)
{
	struct epoll_event events[1024];
	files_raise();
	log_bytes = must_alloc(LOG_BYTES);
	subscribers = must_alloc(65536 * sizeof(struct client *));
	epoll_fd = epoll_create1(0);
	int listener = tcp_listen(option_text(argc, argv, "address", "127.0.0.1:8421"));
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
	epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
	for (;;) {
		int n = epoll_wait(epoll_fd, events, 1024, -1);
		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;
			if (client == NULL) {
				client = must_alloc(sizeof(*client));
				client->fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
				watch(client, EPOLL_CTL_ADD, EPOLLIN);
				continue;
			}
			if (events[i].events & EPOLLOUT) {
				client->blocked = false;
				watch(client, EPOLL_CTL_MOD, EPOLLIN);
			}
			if (events[i].events & ~EPOLLOUT) {
				client_read(client);
			}
		}
		flush_all();
	}
}
