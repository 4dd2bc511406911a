/*
 * transport.h - what stands between a loop and the network: readiness, accept, read, writev, close.
 *
 * For:     loop.c, conn.c and listen.c; socket.c, the kernel's sockets behind libevent; tests with a network of their own.
 * Not for: meaning of bytes; timers and time (the loop's own heap, base/env.h).
 * Threads: wake from any; everything else on the loop's thread, listen also before there is one.
 * Memory:  a transport outlives its loops. A descriptor is a number of the transport's own, >= 0.
 * Errors:  what is named as a call of the kernel behaves as that, with its number in errno. Nothing here ever blocks but wait.
 */
#ifndef GUILD_LOOP_TRANSPORT_H
#define GUILD_LOOP_TRANSPORT_H

#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "loop/loop.h"

/* What a loop looks at, one for each descriptor; the loop keeps it. */
struct loop_source;

struct transport_driver {
	const char *name;

	/* ---- readiness, of one loop ---- */
	enum err (*open)(const struct transport *transport, struct loop *loop, void **poll) MUST_USE;
	/* Nothing is watched any more. */
	void (*close)(void *poll);
	/* Notes what is ready by loop_source_mark. Returns when something is, when it was woken, or after wait_us: 0 only looks, < 0 without end. */
	void (*wait)(void *poll, int64_t wait_us);
	void (*wake)(void *poll);
	/* Looks at fd for exactly these bits (LOOP_READ, LOOP_WRITE; 0: not any more), level-triggered. had: the bits before.
	 * ERR_LIMIT: then it is not looked at. */
	enum err (*watch)(void *poll, struct loop_source *source, int fd, unsigned had, unsigned bits) MUST_USE;

	/* ---- listening ---- */
	/* shared: every loop may listen there. bound gets the address with its port. detail (128 bytes) gets a sentence with an
	 * error: ERR_IN_USE, ERR_IO. text is what the user wrote. */
	enum err (*listen)(const struct transport *transport, struct str text, const struct conn_address *address, bool shared,
			   struct conn_address *bound, char *detail, int *fd) MUST_USE;
	int (*accept)(const struct transport *transport, int fd, struct conn_address *peer);
	/* A descriptor to give up when there are none left, so that a newcomer can be taken and closed; -1: there is none. */
	int (*spare)(const struct transport *transport);

	/* ---- streams ---- */
	/* Makes a stream socket ready for use here: it does not block, and holds nothing back. -1: it cannot be one. */
	int (*adopt)(const struct transport *transport, int fd);
	ssize_t (*read)(const struct transport *transport, int fd, void *out, size_t len);
	ssize_t (*writev)(const struct transport *transport, int fd, const struct iovec *pieces, int count);
	/* Sends no more; the peer reads to the end. */
	int (*shutdown)(const struct transport *transport, int fd);
	void (*close_fd)(const struct transport *transport, int fd);
};

/* One network: a driver, and what that works on. */
struct transport {
	const struct transport_driver *driver;
	void *self;
};

/* The kernel's sockets, waited for by libevent. */
const struct transport *loop_sockets(void);

/* For drivers: fd is ready. run comes in this turn, or in the next, which does not wait. */
void loop_source_mark(struct loop_source *source, unsigned bits);

#endif
