/*
 * socket.c - the transport of a server that runs: the kernel's sockets, libevent for readiness.
 *
 * libevent's callbacks only note what is ready. Each loop has a base of its own, a descriptor that others wake it by, and
 * one time-out whose room is reserved.
 */
#include "loop/loop_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "loop/socket_fault.h"

#define DETAIL_BYTES 128
#define BACKLOG 4096

/* ---- readiness ---- */

struct poll {
	struct event_base *base;
	struct event wait_event;
	struct event wake_event;
	int wake_fd;
};

static void on_wait_over(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	uint64_t count;
	/* Nothing to read is fine: another wake was read already. */
	ssize_t n = read(fd, &count, sizeof(count));

	(void)n;
	(void)what;
	(void)arg;
}

static void socket_wake(void *self)
{
	struct poll *poll = self;
	uint64_t one = 1;
	ssize_t n;

	do {
		n = write(poll->wake_fd, &one, sizeof(one));
	} while (n < 0 && errno == EINTR);
	check(n == sizeof(one) || errno == EAGAIN);
}

/* The library keeps the room of its first and only time-out: no later turn may find that there is none. */
static enum err reserve_wait(struct poll *poll)
{
	static const struct timeval long_time = {.tv_sec = 3600};

	if (event_add(&poll->wait_event, &long_time)) {
		return ERR_LIMIT;
	}
	event_del(&poll->wait_event);
	return ERR_OK;
}

static enum err open_base(struct poll *poll)
{
	struct event_config *config = event_config_new();

	if (!config) {
		return ERR_MEMORY;
	}
	event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
	event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
	poll->base = event_base_new_with_config(config);
	event_config_free(config);
	if (!poll->base) {
		return ERR_LIMIT;
	}
	poll->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (poll->wake_fd < 0) {
		return ERR_LIMIT;
	}
	event_assign(&poll->wait_event, poll->base, -1, 0, on_wait_over, NULL);
	event_assign(&poll->wake_event, poll->base, poll->wake_fd, EV_READ | EV_PERSIST, on_wake, NULL);
	if (event_add(&poll->wake_event, NULL)) {
		return ERR_LIMIT;
	}
	return reserve_wait(poll);
}

static void socket_close(void *self)
{
	struct poll *poll = self;

	if (poll->wake_fd >= 0) {
		if (event_initialized(&poll->wake_event)) {
			event_del(&poll->wake_event);
		}
		close(poll->wake_fd);
	}
	if (poll->base) {
		event_base_free(poll->base);
	}
	mem_free(poll);
}

static enum err socket_open(const struct transport *transport, struct loop *loop, void **out)
{
	struct poll *poll = mem_alloc(sizeof(*poll));
	enum err err;

	(void)transport;
	(void)loop;
	*out = NULL;
	if (!poll) {
		return ERR_MEMORY;
	}
	poll->wake_fd = -1;
	err = open_base(poll);
	if (err) {
		socket_close(poll);
		return err;
	}
	*out = poll;
	return ERR_OK;
}

static void socket_wait(void *self, int64_t wait_us)
{
	struct poll *poll = self;

	if (wait_us == 0) {
		/* ONCE too: what is noted stays ready, and without it the library would look again for ever. */
		event_base_loop(poll->base, EVLOOP_NONBLOCK | EVLOOP_ONCE);
		return;
	}
	if (wait_us > 0) {
		struct timeval wait = {.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
		check(event_add(&poll->wait_event, &wait) == 0);
	}
	event_base_loop(poll->base, EVLOOP_ONCE);
	if (wait_us > 0) {
		event_del(&poll->wait_event);
	}
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct loop_source *source = arg;

	(void)fd;
	loop_source_mark(source, (what & EV_READ ? LOOP_READ : 0U) | (what & EV_WRITE ? LOOP_WRITE : 0U));
}

static enum err socket_watch(void *self, struct loop_source *source, int fd, unsigned had, unsigned bits)
{
	struct poll *poll = self;
	short what = EV_PERSIST;

	if (had) {
		event_del(&source->event);
	}
	if (bits == 0) {
		return ERR_OK;
	}
	what |= (bits & LOOP_READ ? EV_READ : 0) | (bits & LOOP_WRITE ? EV_WRITE : 0);
	if (event_assign(&source->event, poll->base, fd, what, on_ready, source) || event_add(&source->event, NULL)) {
		return ERR_LIMIT;
	}
	return ERR_OK;
}

/* ---- listening ---- */

static socklen_t to_kernel(const struct conn_address *address, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (conn_address_is_v4(address)) {
		v4->sin_family = AF_INET;
		v4->sin_port = htons(address->port);
		memcpy(&v4->sin_addr, address->bytes + 12, 4);
		return sizeof(*v4);
	}
	v6->sin6_family = AF_INET6;
	v6->sin6_port = htons(address->port);
	memcpy(&v6->sin6_addr, address->bytes, 16);
	return sizeof(*v6);
}

static void from_kernel(const struct sockaddr_storage *from, struct conn_address *out)
{
	*out = (struct conn_address){0};
	if (from->ss_family == AF_INET) {
		const struct sockaddr_in *v4 = (const struct sockaddr_in *)from;
		conn_address_set_v4(out, (const uint8_t *)&v4->sin_addr);
		out->port = ntohs(v4->sin_port);
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
		memcpy(out->bytes, &v6->sin6_addr, 16);
		out->port = ntohs(v6->sin6_port);
	}
	conn_address_complete(out);
}

static enum err refuse(const char *what, struct str address, int number, char *detail)
{
	snprintf(detail, DETAIL_BYTES, "cannot %s %.*s: %s", what, STR_FMT(str_sub(address, 0, 60)), strerror(number));
	return number == EADDRINUSE ? ERR_IN_USE : ERR_IO;
}

static enum err socket_listen(const struct transport *transport, struct str text, const struct conn_address *address, bool shared,
			      struct conn_address *bound, char *detail, int *out)
{
	struct sockaddr_storage kernel;
	socklen_t len = to_kernel(address, &kernel);
	int fd = socket(kernel.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int on = 1;
	enum err err = ERR_OK;

	(void)transport;
	*out = -1;
	if (fd < 0) {
		return refuse("make a socket for", text, errno, detail);
	}
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (kernel.ss_family == AF_INET6) {
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	}
	if (shared && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on))) {
		err = refuse("share", text, errno, detail);
	} else if (bind(fd, (struct sockaddr *)&kernel, len)) {
		err = refuse("bind", text, errno, detail);
	} else if (listen(fd, BACKLOG) || getsockname(fd, (struct sockaddr *)&kernel, &len)) {
		err = refuse("listen on", text, errno, detail);
	}
	if (err) {
		close(fd);
		return err;
	}
	from_kernel(&kernel, bound);
	*out = fd;
	return ERR_OK;
}

static int socket_accept(const struct transport *transport, int listening, struct conn_address *peer)
{
	struct sockaddr_storage kernel;
	socklen_t len = sizeof(kernel);
	int fd = socket_fault_accept(listening, (struct sockaddr *)&kernel, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)transport;
	if (fd >= 0) {
		from_kernel(&kernel, peer);
	}
	return fd;
}

static int socket_spare(const struct transport *transport)
{
	(void)transport;
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* ---- streams ---- */

static int socket_adopt(const struct transport *transport, int fd)
{
	int on = 1;

	(void)transport;
	if (ioctl(fd, FIONBIO, &on)) {
		return -1;
	}
	/* Not every stream socket is TCP. */
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return 0;
}

static ssize_t socket_read(const struct transport *transport, int fd, void *out, size_t len)
{
	(void)transport;
	return socket_fault_recv(fd, out, len);
}

static ssize_t socket_writev(const struct transport *transport, int fd, const struct iovec *pieces, int count)
{
	struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};

	(void)transport;
	return socket_fault_sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static int socket_shutdown(const struct transport *transport, int fd)
{
	(void)transport;
	return socket_fault_shutdown(fd);
}

static void socket_close_fd(const struct transport *transport, int fd)
{
	(void)transport;
	close(fd);
}

const struct transport *loop_sockets(void)
{
	static const struct transport_driver driver = {
		.name = "socket",
		.open = socket_open,
		.close = socket_close,
		.wait = socket_wait,
		.wake = socket_wake,
		.watch = socket_watch,
		.listen = socket_listen,
		.accept = socket_accept,
		.spare = socket_spare,
		.adopt = socket_adopt,
		.read = socket_read,
		.writev = socket_writev,
		.shutdown = socket_shutdown,
		.close_fd = socket_close_fd,
	};
	static const struct transport sockets = {&driver, NULL};

	return &sockets;
}
