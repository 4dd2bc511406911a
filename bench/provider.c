/*
 * An instant model provider for measurements: one thread, epoll, keep-alive. Every POST is answered by a stream of N
 * tokens at once, every GET by a list of one model. Prints its port on the first line and runs until killed.
 *
 *   cc -O2 -D_GNU_SOURCE bench/provider.c -o provider
 *   provider [--port N] [--tokens N] [--per-write N] [--hold N]
 *
 *   --port       0 (default) picks one          --tokens  of each answer, default 20
 *   --per-write  tokens a write; 0 (default): the whole reply in one
 *   --hold       writes of a stream before it stands still for good; 0 (default): it ends
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES 16384
#define FDS_MAX 65536
#define EVENTS_MAX 256
#define READ_BYTES 65536

struct reply {
	char *at;
	size_t len;
	size_t *ends; /* of the writes */
	size_t end_count;
};

struct peer {
	char head[HEAD_BYTES];
	size_t head_len;
	size_t body_left;
	bool in_body;
	bool waits_for_room;
	const struct reply *reply; /* NULL: nothing to send */
	size_t sent;
	size_t write;              /* index into reply->ends */
};

static struct peer *peers[FDS_MAX];
static struct reply stream_reply, models_reply;
static int epoll_fd;
static size_t hold;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void *must(void *block)
{
	if (!block) {
		die("memory");
	}
	return block;
}

/* ---- replies, made once ---- */

static void put(struct reply *reply, const char *text, size_t len)
{
	reply->at = must(realloc(reply->at, reply->len + len + 1));
	memcpy(reply->at + reply->len, text, len);
	reply->len += len;
}

static void write_ends(struct reply *reply)
{
	reply->ends = must(realloc(reply->ends, (reply->end_count + 1) * sizeof(size_t)));
	reply->ends[reply->end_count++] = reply->len;
}

/* One HTTP chunk with one event. */
static void put_event(struct reply *reply, const char *data)
{
	char text[640];
	int len = snprintf(text, sizeof(text), "%zx\r\ndata: %s\n\n\r\n", strlen(data) + 8, data);

	put(reply, text, (size_t)len);
}

static void stream_make(struct reply *reply, int tokens, int per_write)
{
	const char *head = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
	const char *begin = "{\"id\":\"chatcmpl-bench\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\",\"choices\":[";
	char data[512];

	put(reply, head, strlen(head));
	for (int i = 0; i < tokens; i++) {
		snprintf(data, sizeof(data), "%s{\"index\":0,\"delta\":{\"content\":\"token%d \"},\"logprobs\":null,\"finish_reason\":null}]}", begin, i);
		put_event(reply, data);
		if (per_write && (i + 1) % per_write == 0) {
			write_ends(reply);
		}
	}
	snprintf(data, sizeof(data), "%s{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":\"stop\"}]}", begin);
	put_event(reply, data);
	snprintf(data, sizeof(data), "%s],\"usage\":{\"prompt_tokens\":10,\"completion_tokens\":%d,\"total_tokens\":%d}}", begin, tokens,
		 tokens + 10);
	put_event(reply, data);
	put_event(reply, "[DONE]");
	put(reply, "0\r\n\r\n", 5);
	write_ends(reply);
}

static void models_make(struct reply *reply)
{
	const char *body = "{\"object\":\"list\",\"data\":[{\"id\":\"bench\",\"object\":\"model\"}]}";
	char text[256];
	int len = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			   strlen(body), body);

	put(reply, text, (size_t)len);
	write_ends(reply);
}

/* ---- connections ---- */

static void peer_close(int fd)
{
	free(peers[fd]);
	peers[fd] = NULL;
	close(fd);
}

static void peers_accept(int listen_fd)
{
	int fd, on = 1;

	while ((fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

		if (fd >= FDS_MAX) {
			close(fd);
			continue;
		}
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
		peers[fd] = must(calloc(1, sizeof(struct peer)));
		if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
			die("epoll_ctl");
		}
	}
}

static void wait_for_room(int fd, struct peer *peer, bool wait)
{
	struct epoll_event event = {.events = wait ? EPOLLOUT : EPOLLIN, .data.fd = fd};

	if (wait != peer->waits_for_room && epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &event) != 0) {
		die("epoll_ctl");
	}
	peer->waits_for_room = wait;
}

/* False when the connection is to be closed. */
static bool peer_send(int fd, struct peer *peer)
{
	while (peer->reply) {
		size_t end = peer->reply->ends[peer->write];
		ssize_t n = send(fd, peer->reply->at + peer->sent, end - peer->sent, MSG_NOSIGNAL);

		if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
			wait_for_room(fd, peer, true);
			return true;
		}
		if (n < 0) {
			return false;
		}
		peer->sent += (size_t)n;
		peer->write += peer->sent == end;
		if (peer->write == peer->reply->end_count || (hold != 0 && peer->write == hold && peer->reply == &stream_reply)) {
			peer->reply = NULL;
		}
	}
	wait_for_room(fd, peer, false);
	return true;
}

static size_t content_length(const char *head)
{
	const char *at = strcasestr(head, "\r\ncontent-length:");

	return at ? strtoul(at + 17, NULL, 10) : 0;
}

/* Takes bytes of a request; *whole is set at its end. Returns how many were taken, -1 for a head that is too long. */
static ssize_t peer_take(int fd, struct peer *peer, const char *bytes, size_t len, bool *whole)
{
	size_t take, before = peer->head_len;
	char *end;

	if (!peer->in_body) {
		take = len < HEAD_BYTES - 1 - before ? len : HEAD_BYTES - 1 - before;
		memcpy(peer->head + before, bytes, take);
		peer->head_len += take;
		peer->head[peer->head_len] = '\0';
		end = strstr(peer->head, "\r\n\r\n");
		if (!end) {
			return take > 0 ? (ssize_t)take : -1;
		}
		end[2] = '\0';
		peer->in_body = true;
		peer->body_left = content_length(peer->head);
		if (strcasestr(peer->head, "\r\nexpect: 100-continue") &&
		    send(fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL) != 25) {
			return -1;
		}
		take = (size_t)(end + 4 - peer->head) - before;
	} else {
		take = len < peer->body_left ? len : peer->body_left;
		peer->body_left -= take;
	}
	*whole = peer->body_left == 0;
	return (ssize_t)take;
}

/* One request at a time: clients do not send the next before the answer. False when the connection is to be closed. */
static bool peer_read(int fd, struct peer *peer)
{
	static char bytes[READ_BYTES];
	ssize_t n = recv(fd, bytes, sizeof(bytes), 0);
	size_t at = 0;

	if (n <= 0) {
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	}
	while (at < (size_t)n) {
		bool whole = false;
		ssize_t took = peer_take(fd, peer, bytes + at, (size_t)n - at, &whole);

		if (took < 0) {
			return false;
		}
		at += (size_t)took;
		if (whole) {
			peer->reply = peer->head[0] == 'G' ? &models_reply : &stream_reply;
			peer->sent = peer->write = peer->head_len = 0;
			peer->in_body = false;
			return at == (size_t)n && peer_send(fd, peer);
		}
	}
	return true;
}

static int listen_on(int port)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 || listen(fd, 4096) != 0 ||
	    getsockname(fd, (struct sockaddr *)&address, &len) != 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		die("listen");
	}
	printf("%d\n", ntohs(address.sin_port));
	fflush(stdout);
	return fd;
}

int main(int argc, char **argv)
{
	int port = 0, tokens = 20, per_write = 0, held = 0, listen_fd;
	struct epoll_event events[EVENTS_MAX];

	for (int i = 1; i < argc; i += 2) {
		int *value = strcmp(argv[i], "--port") == 0 ? &port : strcmp(argv[i], "--tokens") == 0 ? &tokens
			   : strcmp(argv[i], "--per-write") == 0 ? &per_write : strcmp(argv[i], "--hold") == 0 ? &held : NULL;

		if (!value || i + 1 == argc || (*value = atoi(argv[i + 1])) < 0) {
			fprintf(stderr, "usage: %s [--port N] [--tokens N] [--per-write N] [--hold N]\n", argv[0]);
			return 2;
		}
	}
	hold = (size_t)held;
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	stream_make(&stream_reply, tokens, per_write);
	models_make(&models_reply);
	listen_fd = listen_on(port);
	for (;;) {
		int count = epoll_wait(epoll_fd, events, EVENTS_MAX, -1);

		for (int i = 0; i < count; i++) {
			int fd = events[i].data.fd;

			if (fd == listen_fd) {
				peers_accept(fd);
			} else if (!(peers[fd]->reply ? peer_send(fd, peers[fd]) : peer_read(fd, peers[fd]))) {
				peer_close(fd);
			}
		}
	}
}
