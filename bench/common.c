/* common.c - clock, samples, sockets, figures of another process. */
#include "common.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

void die(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

void *must_alloc(size_t bytes)
{
	void *block = calloc(1, bytes);
	if (block == NULL) {
		die("no memory for %zu bytes", bytes);
	}
	return block;
}

int64_t now_ns(void)
{
	struct timespec at;
	clock_gettime(CLOCK_MONOTONIC, &at);
	return (int64_t)at.tv_sec * 1000000000 + at.tv_nsec;
}

/* ---- samples ---- */

void samples_init(struct samples *samples, size_t cap)
{
	samples->at = must_alloc(cap * sizeof(int64_t));
	samples->count = 0;
	samples->cap = cap;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

double samples_us(struct samples *samples, double part)
{
	if (samples->count == 0) {
		return 0;
	}
	qsort(samples->at, samples->count, sizeof(int64_t), by_value);
	return (double)samples->at[(size_t)((double)(samples->count - 1) * part)] / 1000.0;
}

/* ---- sockets ---- */

static struct sockaddr_in address_read(const char *text)
{
	struct sockaddr_in address = {.sin_family = AF_INET};
	char host[64];
	int port;
	if (sscanf(text, "%63[^:]:%d", host, &port) != 2 || inet_pton(AF_INET, host, &address.sin_addr) != 1) {
		die("%s is not an address like 127.0.0.1:8420", text);
	}
	address.sin_port = htons((uint16_t)port);
	return address;
}

int tcp_listen(const char *text)
{
	struct sockaddr_in address = address_read(text);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4096) < 0) {
		die("listen on %s: %s", text, strerror(errno));
	}
	return fd;
}

static int receive_bytes;

void receive_bytes_set(int bytes)
{
	receive_bytes = bytes;
}

int tcp_connect(const char *text)
{
	struct sockaddr_in address = address_read(text);
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (receive_bytes != 0) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
	}
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		die("connect to %s: %s", text, strerror(errno));
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	return fd;
}

static void wait_for(int fd, short what)
{
	struct pollfd poll_fd = {.fd = fd, .events = what};
	if (poll(&poll_fd, 1, 10000) <= 0) {
		die("no answer within 10 s");
	}
}

void send_all(int fd, const void *bytes, size_t len)
{
	const char *at = bytes;
	while (len > 0) {
		ssize_t n = send(fd, at, len, MSG_NOSIGNAL);
		if (n < 0 && errno == EAGAIN) {
			wait_for(fd, POLLOUT);
			continue;
		}
		if (n <= 0) {
			die("send: %s", strerror(errno));
		}
		at += n;
		len -= (size_t)n;
	}
}

size_t read_until(int fd, char *buffer, size_t cap, const char *end)
{
	size_t len = 0;
	for (;;) {
		ssize_t n = recv(fd, buffer + len, cap - len - 1, 0);
		if (n < 0 && errno == EAGAIN) {
			wait_for(fd, POLLIN);
			continue;
		}
		if (n <= 0) {
			die("the server closed before '%s'; it said: %.*s", end, (int)len, buffer);
		}
		len += (size_t)n;
		buffer[len] = 0;
		if (strstr(buffer, end) != NULL) {
			return len;
		}
		if (len + 1 >= cap) {
			die("an answer is too long");
		}
	}
}

/* ---- WebSocket ---- */

int ws_connect(const char *address, const char *path, const char *token, const char *protocol)
{
	char text[4096];
	int fd = tcp_connect(address);
	int len = snprintf(text, sizeof(text),
			   "GET %s HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
			   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s%s%s%s%s%s\r\n",
			   path, address, protocol != NULL ? "Sec-WebSocket-Protocol: " : "", protocol != NULL ? protocol : "",
			   protocol != NULL ? "\r\n" : "", token != NULL ? "Authorization: Bearer " : "", token != NULL ? token : "",
			   token != NULL ? "\r\n" : "");
	send_all(fd, text, (size_t)len);
	read_until(fd, text, sizeof(text), "\r\n\r\n");
	if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
		die("no WebSocket: %s", text);
	}
	return fd;
}

size_t ws_client_frame(char *out, const char *text, size_t len)
{
	unsigned char *at = (unsigned char *)out;
	size_t head = 2;
	at[0] = 0x81;
	if (len < 126) {
		at[1] = (unsigned char)(0x80 | len);
	} else if (len < 65536) {
		at[1] = 0x80 | 126;
		at[2] = (unsigned char)(len >> 8);
		at[3] = (unsigned char)len;
		head = 4;
	} else {
		die("a frame of %zu bytes", len);
	}
	memset(at + head, 0, 4);
	memcpy(at + head + 4, text, len);
	return head + 4 + len;
}

/* ---- the process ---- */

void files_raise(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

int64_t process_cpu_ns(int pid)
{
	char path[320];
	int64_t total = 0;
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	DIR *tasks = opendir(path);
	if (tasks == NULL) {
		die("there is no process %d", pid);
	}
	for (struct dirent *entry; (entry = readdir(tasks)) != NULL;) {
		long long ns = 0;
		snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid, entry->d_name);
		FILE *file = entry->d_name[0] != '.' ? fopen(path, "r") : NULL;
		if (file != NULL) {
			total += fscanf(file, "%lld", &ns) == 1 ? ns : 0;
			fclose(file);
		}
	}
	closedir(tasks);
	return total;
}

/* ---- the command line ---- */

const char *option_text(int argc, char **argv, const char *name, const char *fallback)
{
	for (int i = 1; i + 1 < argc; i++) {
		if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) {
			return argv[i + 1];
		}
	}
	return fallback;
}

double option_number(int argc, char **argv, const char *name, double fallback)
{
	const char *text = option_text(argc, argv, name, NULL);
	return text != NULL ? strtod(text, NULL) : fallback;
}

bool option_given(int argc, char **argv, const char *name)
{
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], "--", 2) == 0 && strcmp(argv[i] + 2, name) == 0) {
			return true;
		}
	}
	return false;
}
