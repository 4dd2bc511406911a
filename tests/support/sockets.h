/*
 * sockets.h - sockets on loopback, and turning a loop until something is so.
 *
 * For:     C tests that talk to a loop over real sockets.
 * Not for: what is said over them (http_fixture.h).
 * Threads: turn_until on the loop's thread; the rest anywhere.
 * Memory:  descriptors are the caller's.
 *
 * A failure fails the test. Include it behind cmocka.h.
 */
#ifndef GUILD_TESTS_SOCKETS_H
#define GUILD_TESTS_SOCKETS_H

#include <arpa/inet.h>
#include <sys/socket.h>

#include "base/env.h"
#include "loop/loop.h"

/* Turns until condition holds; fails after 20 s of real time. */
#define turn_until(loop, condition) \
	do { \
		int64_t until_us_ = env_mono_us(env_real()) + 20000000; \
		while (!(condition)) { \
			assert_true(env_mono_us(env_real()) < until_us_); \
			loop_turn((loop), 20000); \
		} \
	} while (0)

static inline struct sockaddr_in socket_loopback(uint16_t port)
{
	return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* A blocking connection to that port. */
static inline int socket_dial(uint16_t port)
{
	struct sockaddr_in to = socket_loopback(port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	return fd;
}

/* Listens on a free port, which is returned. */
static inline uint16_t socket_listen(int *fd)
{
	struct sockaddr_in at = socket_loopback(0);
	socklen_t len = sizeof(at);

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(*fd >= 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&at, sizeof(at)), 0);
	assert_int_equal(listen(*fd, 128), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&at, &len), 0);
	return ntohs(at.sin_port);
}

#endif
