/*
 * listen.c - addresses, listening sockets and the caps on connections.
 *
 * Each loop has its own listening socket on the same address (SO_REUSEPORT); the kernel spreads newcomers. A newcomer is
 * counted before anybody sees it; conn_open finds the count in loop->newcomer and the connection gives it back.
 */
#include "loop/loop_priv.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"

#define DETAIL_BYTES 128
#define ACCEPT_BATCH 64
#define BACKLOG 4096
/* After a failure that waiting alone can cure. */
#define RETRY_US 100000

/* ---- addresses ---- */

static const uint8_t v4_prefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static bool is_v4(const struct conn_address *address)
{
	return memcmp(address->bytes, v4_prefix, sizeof(v4_prefix)) == 0;
}

static void set_v4(struct conn_address *address, const struct in_addr *v4)
{
	memcpy(address->bytes, v4_prefix, sizeof(v4_prefix));
	memcpy(address->bytes + sizeof(v4_prefix), v4, 4);
}

static void set_loopback(struct conn_address *address)
{
	static const uint8_t v6_loopback[16] = {[15] = 1};

	address->loopback = is_v4(address) ? address->bytes[12] == 127 : memcmp(address->bytes, v6_loopback, 16) == 0;
}

static enum err parse_host(struct str host, struct conn_address *out)
{
	char text[INET6_ADDRSTRLEN + 1];
	bool bracketed = host.len > 2 && host.at[0] == '[' && host.at[host.len - 1] == ']';
	struct in_addr v4;

	if (bracketed) {
		host = str_sub(host, 1, host.len - 2);
	}
	if (host.len >= sizeof(text) || memchr(host.at, 0, host.len)) {
		return ERR_INVALID;
	}
	str_to_z(str_eq_case(host, STR("localhost")) && !bracketed ? STR("127.0.0.1") : host, text, sizeof(text));
	if (bracketed) {
		return inet_pton(AF_INET6, text, out->bytes) == 1 ? ERR_OK : ERR_INVALID;
	}
	if (inet_pton(AF_INET, text, &v4) != 1) {
		return ERR_INVALID;
	}
	set_v4(out, &v4);
	return ERR_OK;
}

enum err conn_address_parse(struct str text, struct conn_address *out)
{
	size_t colon = text.len;
	uint64_t port;

	*out = (struct conn_address){0};
	while (colon > 0 && text.at[colon - 1] != ':') {
		colon--;
	}
	if (colon < 2 || text.len - colon > 5 || !str_to_u64(str_sub(text, colon, text.len - colon), &port) ||
	    port > UINT16_MAX || parse_host(str_sub(text, 0, colon - 1), out)) {
		return ERR_INVALID;
	}
	out->port = (uint16_t)port;
	set_loopback(out);
	return ERR_OK;
}

void conn_address_site(const struct conn_address *address, uint8_t out[16])
{
	memset(out, 0, 16);
	memcpy(out, address->bytes, is_v4(address) ? 16 : 8);
}

static socklen_t to_kernel(const struct conn_address *address, struct sockaddr_storage *out)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)out;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

	memset(out, 0, sizeof(*out));
	if (is_v4(address)) {
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
		set_v4(out, &v4->sin_addr);
		out->port = ntohs(v4->sin_port);
	} else if (from->ss_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)from;
		memcpy(out->bytes, &v6->sin6_addr, 16);
		out->port = ntohs(v6->sin6_port);
	}
	set_loopback(out);
}

/* ---- caps ---- */

/* Counters of addresses: two addresses that share one share its cap; the key keeps that from being arranged. */
#define CAPS_SLOTS 16384
#define CAPS_NO_SLOT UINT32_MAX

struct conn_caps {
	size_t connections_max;
	size_t per_address_max;
	struct siphash_key key;
	atomic_size_t total;
	atomic_uint slots[CAPS_SLOTS];
};

enum err conn_caps_create(size_t connections_max, size_t per_address_max, struct conn_caps **out)
{
	struct conn_caps *caps = mem_alloc(sizeof(*caps));

	*out = caps;
	if (!caps) {
		return ERR_MEMORY;
	}
	caps->connections_max = connections_max;
	caps->per_address_max = per_address_max;
	env_random(env_real(), &caps->key, sizeof(caps->key));
	metric_set(METRIC_CONNECTION_CAP, (int64_t)connections_max);
	return ERR_OK;
}

void conn_caps_destroy(struct conn_caps **caps)
{
	mem_free(*caps);
	*caps = NULL;
}

bool conn_caps_admit(struct conn_caps *caps, const struct conn_address *peer, uint32_t *slot)
{
	uint8_t site[16];

	if (atomic_fetch_add(&caps->total, 1) >= caps->connections_max) {
		atomic_fetch_sub(&caps->total, 1);
		return false;
	}
	*slot = CAPS_NO_SLOT;
	if (peer->loopback) {
		return true;
	}
	conn_address_site(peer, site);
	*slot = (uint32_t)(map_hash(&caps->key, str_make((const char *)site, sizeof(site))) % CAPS_SLOTS);
	if (atomic_fetch_add(&caps->slots[*slot], 1) >= caps->per_address_max) {
		conn_caps_release(caps, *slot);
		return false;
	}
	return true;
}

void conn_caps_release(struct conn_caps *caps, uint32_t slot)
{
	check(atomic_fetch_sub(&caps->total, 1) > 0);
	if (slot != CAPS_NO_SLOT) {
		check(atomic_fetch_sub(&caps->slots[slot], 1) > 0);
	}
}

/* ---- listeners ---- */

struct listener {
	struct loop_source source;
	struct loop_timer retry;
	struct conn_caps *caps;
	enum err (*accepted)(struct loop *loop, int fd, const struct conn_address *peer, void *arg);
	void *arg;
	int spare_fd;
	uint16_t port;
};

static void on_listener(struct loop_source *source, unsigned bits);
static void on_retry(struct loop_timer *timer, struct loop *loop);

static enum err refuse(const char *what, struct str address, int number, char *detail)
{
	snprintf(detail, DETAIL_BYTES, "cannot %s %.*s: %s", what, STR_FMT(str_sub(address, 0, 60)), strerror(number));
	return number == EADDRINUSE ? ERR_IN_USE : ERR_IO;
}

/* A listening socket at address; shared: others may listen there too if they agree. */
static enum err open_socket(struct str text, bool shared, char *detail, int *out)
{
	struct conn_address address;
	struct sockaddr_storage kernel;
	socklen_t len;
	int on = 1;
	int fd;
	enum err err = ERR_OK;

	*out = -1;
	if (conn_address_parse(text, &address)) {
		snprintf(detail, DETAIL_BYTES, "\"%.*s\" is not an address: host:port with a literal address is needed",
			 STR_FMT(str_sub(text, 0, 48)));
		return ERR_INVALID;
	}
	len = to_kernel(&address, &kernel);
	fd = socket(kernel.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
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
	} else if (listen(fd, BACKLOG)) {
		err = refuse("listen on", text, errno, detail);
	}
	if (err) {
		close(fd);
		return err;
	}
	*out = fd;
	return ERR_OK;
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

enum err listener_open(struct loop *loop, const struct listener_options *options, char *detail, struct listener **out)
{
	struct listener *listener;
	struct sockaddr_storage kernel;
	struct conn_address bound;
	socklen_t len = sizeof(kernel);
	enum err err;
	int fd;

	*out = NULL;
	err = open_socket(options->address, true, detail, &fd);
	if (err) {
		return err;
	}
	listener = mem_alloc(sizeof(*listener));
	if (!listener || getsockname(fd, (struct sockaddr *)&kernel, &len)) {
		close(fd);
		mem_free(listener);
		return refuse("listen on", options->address, ENOMEM, detail);
	}
	from_kernel(&kernel, &bound);
	loop_source_init(&listener->source, loop, fd, on_listener);
	listener->retry.run = on_retry;
	listener->caps = options->caps;
	listener->accepted = options->accepted;
	listener->arg = options->arg;
	listener->port = bound.port;
	listener->spare_fd = open_spare();
	err = loop_source_watch(&listener->source, LOOP_READ);
	if (err) {
		listener_close(&listener);
		return refuse("watch", options->address, ENOSPC, detail);
	}
	*out = listener;
	return ERR_OK;
}

void listener_close(struct listener **listener_at)
{
	struct listener *listener = *listener_at;

	if (!listener) {
		return;
	}
	loop_timer_clear(listener->source.loop, &listener->retry);
	loop_source_fini(&listener->source);
	close(listener->source.fd);
	if (listener->spare_fd >= 0) {
		close(listener->spare_fd);
	}
	mem_free(listener);
	*listener_at = NULL;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}

enum err listener_probe(struct str address, char *detail)
{
	int fd;
	enum err err = open_socket(address, false, detail, &fd);

	if (fd >= 0) {
		close(fd);
	}
	return err;
}

/* Stops listening for a moment: what is wrong would only come again at once. */
static void rest(struct listener *listener)
{
	struct loop *loop = listener->source.loop;

	/* Without a timer to wake it, it must go on listening. */
	if (loop_timer_set(loop, &listener->retry, loop_now_us(loop) + RETRY_US) == ERR_OK) {
		check(loop_source_watch(&listener->source, 0) == ERR_OK);
	}
}

static void on_retry(struct loop_timer *timer, struct loop *loop)
{
	struct listener *listener = container_of(timer, struct listener, retry);

	(void)loop;
	if (listener->spare_fd < 0) {
		listener->spare_fd = open_spare();
	}
	if (loop_source_watch(&listener->source, LOOP_READ)) {
		rest(listener);
	}
}

/* No descriptor is left: the spare one makes room to take a newcomer from the kernel's queue and close it. */
static bool turn_away(struct listener *listener)
{
	int fd;

	if (listener->spare_fd < 0) {
		return false;
	}
	close(listener->spare_fd);
	fd = accept4(listener->source.fd, NULL, NULL, SOCK_CLOEXEC);
	if (fd >= 0) {
		metric_add(METRIC_CONNECTIONS_REFUSED, 1);
		close(fd);
	}
	listener->spare_fd = open_spare();
	return fd >= 0;
}

static void welcome(struct listener *listener, int fd, const struct conn_address *peer)
{
	struct loop *loop = listener->source.loop;
	struct loop_newcomer *newcomer = &loop->newcomer;
	enum err err;

	*newcomer = (struct loop_newcomer){.fd = fd, .caps = listener->caps};
	if (newcomer->caps && !conn_caps_admit(newcomer->caps, peer, &newcomer->slot)) {
		metric_add(METRIC_CONNECTIONS_REFUSED, 1);
		close(fd);
		newcomer->fd = -1;
		return;
	}
	err = listener->accepted(loop, fd, peer, listener->arg);
	newcomer->fd = -1;
	if (newcomer->conn) {
		if (err) {
			conn_abort(newcomer->conn, err);
		}
		return;
	}
	if (newcomer->caps) {
		conn_caps_release(newcomer->caps, newcomer->slot);
	}
	if (err) {
		close(fd);
	}
}

/* What to do after accept4 failed: true to try the next one. */
static bool accept_failed(struct listener *listener, int number)
{
	switch (number) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
		if (turn_away(listener)) {
			return true;
		}
		rest(listener);
		return false;
	case ENOBUFS:
	case ENOMEM:
	case EINVAL:
	case EBADF:
		rest(listener);
		return false;
	default:
		/* The newcomer's own failure (accept(2), "Error handling"), or a signal. */
		return true;
	}
}

static void on_listener(struct loop_source *source, unsigned bits)
{
	struct listener *listener = container_of(source, struct listener, source);

	(void)bits;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct sockaddr_storage kernel;
		struct conn_address peer;
		socklen_t len = sizeof(kernel);
		int fd = accept4(source->fd, (struct sockaddr *)&kernel, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd >= 0) {
			from_kernel(&kernel, &peer);
			welcome(listener, fd, &peer);
		} else if (!accept_failed(listener, errno)) {
			return;
		}
	}
}
