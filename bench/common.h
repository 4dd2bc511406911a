/*
 * common.h - what the load programs share: clock, samples, sockets, figures of another process.
 *
 * For:     the programs of this folder.
 * Not for: src/; these programs measure Guild from outside and use no part of it.
 * Threads: one.
 * Memory:  plain malloc; a program that cannot go on says why and exits with status 2.
 */
#ifndef GUILD_BENCH_COMMON_H
#define GUILD_BENCH_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Prints to stderr and exits with status 2. */
void die(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));
void *must_alloc(size_t bytes);
int64_t now_ns(void);

/* Observations in nanoseconds. Past the cap every further one is dropped: medians of the first millions will do. */
struct samples {
	int64_t *at;
	size_t count, cap;
};
void samples_init(struct samples *samples, size_t cap);
static inline void samples_add(struct samples *samples, int64_t ns)
{
	if (samples->count < samples->cap) {
		samples->at[samples->count++] = ns;
	}
}
/* part of 1; sorts. In microseconds; 0 without observations. */
double samples_us(struct samples *samples, double part);

/* "127.0.0.1:8420" */
int tcp_listen(const char *address);
/* Connected, then non-blocking, TCP_NODELAY. */
int tcp_connect(const char *address);
/* Sockets connected from now on take little before they are read; 0: as the system likes. */
void receive_bytes_set(int bytes);
/* Blocking send of all of it, also on a non-blocking socket. */
void send_all(int fd, const void *bytes, size_t len);
/* Reads until the text contains end (kept NUL-terminated); what follows it stays in buffer. Returns bytes read. */
size_t read_until(int fd, char *buffer, size_t cap, const char *end);

/* WebSocket upgrade with an optional bearer token and subprotocol; returns the socket, ready for frames. Bytes behind the
 * handshake are an error: nobody has asked for anything yet. */
int ws_connect(const char *address, const char *path, const char *token, const char *protocol);
/* A masked (mask 0) text frame of a client. Returns its length; out has len + 14 bytes. */
size_t ws_client_frame(char *out, const char *text, size_t len);

/* Raises the limit of open files to the hard one. */
void files_raise(void);

/* CPU time of all threads of a process so far. */
int64_t process_cpu_ns(int pid);

/* "--name value" from the command line; fallback when it is not there. */
const char *option_text(int argc, char **argv, const char *name, const char *fallback);
double option_number(int argc, char **argv, const char *name, double fallback);
bool option_given(int argc, char **argv, const char *name);

#endif
