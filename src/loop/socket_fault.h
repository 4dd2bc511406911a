/*
 * socket_fault.h - the system's socket calls, which fail when a test says so (builds with -Dfailpoints=true).
 *
 * For:     loop/ and the client's connections: every call that can fail while a server runs.
 * Not for: other builds, where these are the system's calls and nothing else; binding and listening; the tests' own sockets.
 * Threads: any; one lock.
 * Memory:  none.
 * Errors:  as the calls of the same name, errno is set.
 *
 * Faults: socket_fault_plan("write=cut#1000,accept=emfile@3"), or GUILD_SOCKET_FAULT with the same text, or GUILD_SOCKET_FAULT_FILE with
 * the name of a file that holds it: a plan that comes and goes while a server runs (no file: no fault). See base/fault_plan.h.
 *
 *   accept:   emfile, enfile, nomem, aborted (the newcomer has gone)
 *   read:     reset, cut (the connection ends, for both sides), drip (one byte), delay (nothing is there yet), interrupt (a signal)
 *   write:    reset, cut, drip, short (half of it), delay (no room), nomem (no room either), interrupt
 *   shutdown: reset
 *   open:     emfile, nomem           an outgoing socket
 *   ready:    cut, delay              an outgoing socket is ready, and the library is told (later)
 *
 * Bytes (#n) are counted of read and write, over all connections since the plan.
 */
#ifndef GUILD_LOOP_SOCKET_FAULT_H
#define GUILD_LOOP_SOCKET_FAULT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#ifdef GUILD_FAILPOINTS

enum socket_access { SOCKET_ACCEPT, SOCKET_READ, SOCKET_WRITE, SOCKET_SHUTDOWN, SOCKET_OPEN, SOCKET_READY, SOCKET_ACCESSES };

/* Replaces the plan and begins to count anew. "" ends all faults. False when it cannot be read; nothing changes then. */
bool socket_fault_plan(const char *plan);
/* Calls of that kind since the plan. */
uint64_t socket_fault_count(enum socket_access access);
/* Bytes of read or write since the plan. */
uint64_t socket_fault_bytes(enum socket_access access);
/* Faults given since the plan. */
uint64_t socket_fault_given(void);

int socket_fault_accept(int fd, struct sockaddr *from, socklen_t *len, int flags);
ssize_t socket_fault_recv(int fd, void *at, size_t room);
ssize_t socket_fault_sendmsg(int fd, const struct msghdr *message, int flags);
int socket_fault_shutdown(int fd);
int socket_fault_socket(int family, int type, int protocol);
/* May the one who reads fd be told that it is ready? */
bool socket_fault_ready(int fd);

#else

static inline int socket_fault_accept(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	return accept4(fd, from, len, flags);
}

static inline ssize_t socket_fault_recv(int fd, void *at, size_t room)
{
	return recv(fd, at, room, 0);
}

static inline ssize_t socket_fault_sendmsg(int fd, const struct msghdr *message, int flags)
{
	return sendmsg(fd, message, flags);
}

static inline int socket_fault_shutdown(int fd)
{
	return shutdown(fd, SHUT_WR);
}

static inline int socket_fault_socket(int family, int type, int protocol)
{
	return socket(family, type, protocol);
}

static inline bool socket_fault_ready(int fd)
{
	(void)fd;
	return true;
}

#endif

#endif
