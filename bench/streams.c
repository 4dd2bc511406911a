/*
 * streams.c - many event streams asked for at once, each until a text has come.
 *
 *   streams --address A --until TEXT [--token T] [--connections N --body JSON] [--pid SERVER]
 *
 * With --body: N chats, each its own stream. Without: one stream for each line of standard input, which is a path; a path may be
 * followed by a space and a Last-Event-ID. All connect first, then all ask. Nothing is ended: a run whose viewer goes away goes on.
 * One line of JSON comes out, with the execution of each stream; status 2 when a stream ends before its text.
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
#define KEPT_BYTES 512
#define ID_BYTES 36

struct client {
	int fd;
	bool done;
	size_t have; /* the end of what came, where a text may be cut in two */
	char kept[KEPT_BYTES];
	char path[160], last_id[80], execution[ID_BYTES + 1];
};

struct run {
	const char *until;
	int epoll_fd, count, done;
	int64_t begin_ns, bytes;
	struct client *clients;
	struct samples each;
};

static void execution_find(struct client *client, const char *text)
{
	static const char name[] = "X-Execution-Id: ";
	const char *at = client->execution[0] == 0 ? strcasestr(text, name) : NULL;
	if (at != NULL && strlen(at) >= sizeof(name) - 1 + ID_BYTES) {
		memcpy(client->execution, at + sizeof(name) - 1, ID_BYTES);
	}
}

static void take(struct run *run, struct client *client, const char *bytes, size_t len)
{
	static char text[KEPT_BYTES + INPUT_BYTES + 1];
	memcpy(text, client->kept, client->have);
	memcpy(text + client->have, bytes, len);
	len += client->have;
	text[len] = 0;
	execution_find(client, text);
	if (!client->done && strstr(text, run->until) != NULL) {
		client->done = true;
		run->done++;
		samples_add(&run->each, now_ns() - run->begin_ns);
	}
	client->have = len < KEPT_BYTES ? len : KEPT_BYTES;
	memcpy(client->kept, text + len - client->have, client->have);
}

static void ask(struct client *client, const char *address, const char *token, const char *body)
{
	char text[4096];
	int len = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n", body != NULL ? "POST" : "GET",
			   client->path, address, token);
	if (body != NULL) {
		len += snprintf(text + len, sizeof(text) - (size_t)len, "Content-Type: application/json\r\nContent-Length: %zu\r\n", strlen(body));
	} else if (client->last_id[0] != 0) {
		len += snprintf(text + len, sizeof(text) - (size_t)len, "Last-Event-ID: %s\r\n", client->last_id);
	}
	len += snprintf(text + len, sizeof(text) - (size_t)len, "\r\n%s", body != NULL ? body : "");
	if (len >= (int)sizeof(text)) {
		die("a request is too long");
	}
	send_all(client->fd, text, (size_t)len);
}

static void go(struct run *run)
{
	static char input[INPUT_BYTES];
	struct epoll_event events[256];
	int64_t progress = now_ns();
	while (run->done < run->count) {
		int n = epoll_wait(run->epoll_fd, events, 256, 1000);
		for (int i = 0; i < n; i++) {
			struct client *client = events[i].data.ptr;
			ssize_t got = recv(client->fd, input, sizeof(input), 0);
			if (got < 0 && errno == EAGAIN) {
				continue;
			}
			if (got <= 0 && !client->done) {
				die("a stream ended without '%s': %.*s", run->until, (int)client->have, client->kept);
			}
			if (got <= 0) {
				epoll_ctl(run->epoll_fd, EPOLL_CTL_DEL, client->fd, NULL);
				continue;
			}
			run->bytes += got;
			take(run, client, input, (size_t)got);
			progress = now_ns();
		}
		if (now_ns() - progress > 20000000000) {
			die("%d of %d streams have not said '%s'", run->count - run->done, run->count, run->until);
		}
	}
}

static void paths_read(struct run *run)
{
	char line[256];
	int cap = 0;
	while (fgets(line, sizeof(line), stdin) != NULL) {
		if (run->count == cap) {
			cap = cap == 0 ? 1024 : cap * 2;
			run->clients = realloc(run->clients, (size_t)cap * sizeof(struct client));
		}
		struct client *client = &run->clients[run->count++];
		memset(client, 0, sizeof(*client));
		sscanf(line, "%159s %79s", client->path, client->last_id);
	}
}

static void clients_open(struct run *run, const char *address)
{
	for (int i = 0; i < run->count; i++) {
		struct client *client = &run->clients[i];
		struct epoll_event event = {.events = EPOLLIN, .data.ptr = client};
		client->fd = tcp_connect(address);
		epoll_ctl(run->epoll_fd, EPOLL_CTL_ADD, client->fd, &event);
	}
}

int main(int argc, char **argv)
{
	const char *address = option_text(argc, argv, "address", "127.0.0.1:8420");
	const char *token = option_text(argc, argv, "token", "");
	const char *body = option_text(argc, argv, "body", NULL);
	int pid = (int)option_number(argc, argv, "pid", 0);
	struct run run = {.until = option_text(argc, argv, "until", "streaming:complete"), .epoll_fd = epoll_create1(0)};
	files_raise();
	if (body != NULL) {
		run.count = (int)option_number(argc, argv, "connections", 1);
		run.clients = must_alloc((size_t)run.count * sizeof(struct client));
		memset(run.clients, 0, (size_t)run.count * sizeof(struct client));
		for (int i = 0; i < run.count; i++) {
			snprintf(run.clients[i].path, sizeof(run.clients[i].path), "/v1/chat");
		}
	} else {
		paths_read(&run);
	}
	samples_init(&run.each, (size_t)run.count + 1);
	clients_open(&run, address);
	int64_t cpu = pid != 0 ? process_cpu_ns(pid) : 0;
	run.begin_ns = now_ns();
	for (int i = 0; i < run.count; i++) {
		ask(&run.clients[i], address, token, body);
	}
	go(&run);
	double seconds = (double)(now_ns() - run.begin_ns) / 1e9;
	cpu = pid != 0 ? process_cpu_ns(pid) - cpu : 0;
	printf("{\"streams\":%d,\"seconds\":%.4f,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"bytes\":%lld,\"server_cpu_us_each\":%.1f,\"executions\":[",
	       run.count, seconds, samples_us(&run.each, 0.5) / 1000, samples_us(&run.each, 0.99) / 1000, (long long)run.bytes,
	       (double)cpu / 1000 / (run.count > 0 ? run.count : 1));
	for (int i = 0; i < run.count; i++) {
		printf("%s\"%s\"", i > 0 ? "," : "", run.clients[i].execution);
	}
	printf("]}\n");
	return 0;
}
