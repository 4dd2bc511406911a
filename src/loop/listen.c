/*
 * listen.c - listeners and the caps on connections.
 *
 * Each loop has its own listening socket on the same address (SO_REUSEPORT); the kernel spreads newcomers. A newcomer is
 * counted before anybody sees it; conn_open finds the count in loop->newcomer and the connection gives it back.
 */
#include "loop/loop_priv.h"

#include <errno.h>
#include <stdio.h>

#include "base/check.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"

#define DETAIL_BYTES 128
#define ACCEPT_BATCH 64
/* After a failure that waiting alone can cure. */
#define RETRY_US 100000

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
	bool is_short; /* no descriptor was left for a newcomer, and none is yet */
	uint16_t port;
};

static void on_listener(struct loop_source *source, unsigned bits);
static void on_retry(struct loop_timer *timer, struct loop *loop);
static void set_short(struct listener *listener, bool is_short);

static enum err refuse(const char *what, struct str address, int number, char *detail)
{
	snprintf(detail, DETAIL_BYTES, "cannot %s %.*s: %s", what, STR_FMT(str_sub(address, 0, 60)), strerror(number));
	return ERR_IO;
}

static enum err open_fd(const struct transport *transport, struct str text, bool shared, struct conn_address *bound, char *detail, int *out)
{
	struct conn_address address;

	*out = -1;
	if (conn_address_parse(text, &address)) {
		snprintf(detail, DETAIL_BYTES, "\"%.*s\" is not an address: host:port with a literal address is needed",
			 STR_FMT(str_sub(text, 0, 48)));
		return ERR_INVALID;
	}
	return transport->driver->listen(transport, text, &address, shared, bound, detail, out);
}

static void close_fd(const struct transport *transport, int fd)
{
	transport->driver->close_fd(transport, fd);
}

enum err listener_open(struct loop *loop, const struct listener_options *options, char *detail, struct listener **out)
{
	const struct transport *transport = loop->transport;
	struct listener *listener;
	struct conn_address bound;
	enum err err;
	int fd;

	*out = NULL;
	err = open_fd(transport, options->address, true, &bound, detail, &fd);
	if (err) {
		return err;
	}
	listener = mem_alloc(sizeof(*listener));
	if (!listener) {
		close_fd(transport, fd);
		return refuse("listen on", options->address, ENOMEM, detail);
	}
	loop_source_init(&listener->source, loop, fd, on_listener);
	listener->retry.run = on_retry;
	listener->caps = options->caps;
	listener->accepted = options->accepted;
	listener->arg = options->arg;
	listener->port = bound.port;
	listener->spare_fd = transport->driver->spare(transport);
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
	const struct transport *transport;

	if (!listener) {
		return;
	}
	transport = listener->source.loop->transport;
	set_short(listener, false);
	loop_timer_clear(listener->source.loop, &listener->retry);
	loop_source_fini(&listener->source);
	close_fd(transport, listener->source.fd);
	if (listener->spare_fd >= 0) {
		close_fd(transport, listener->spare_fd);
	}
	mem_free(listener);
	*listener_at = NULL;
}

uint16_t listener_port(const struct listener *listener)
{
	return listener->port;
}

enum err listener_probe(const struct transport *transport, struct str address, char *detail)
{
	struct conn_address bound;
	enum err err;
	int fd;

	transport = transport ? transport : loop_sockets();
	err = open_fd(transport, address, false, &bound, detail, &fd);
	if (fd >= 0) {
		close_fd(transport, fd);
	}
	return err;
}

static void set_short(struct listener *listener, bool is_short)
{
	if (listener->is_short != is_short) {
		listener->is_short = is_short;
		metric_add(METRIC_LISTENERS_SHORT, is_short ? 1 : -1);
	}
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

/* Is there a descriptor beside the spare one? If not, it is asked again: nobody else would notice. */
static void look_again(struct listener *listener)
{
	struct loop *loop = listener->source.loop;
	int fd = listener->spare_fd >= 0 ? loop->transport->driver->spare(loop->transport) : -1;

	if (fd >= 0) {
		close_fd(loop->transport, fd);
		set_short(listener, false);
	} else {
		(void)!loop_timer_set(loop, &listener->retry, loop_now_us(loop) + RETRY_US);
	}
}

static void on_retry(struct loop_timer *timer, struct loop *loop)
{
	struct listener *listener = container_of(timer, struct listener, retry);

	if (listener->spare_fd < 0) {
		listener->spare_fd = loop->transport->driver->spare(loop->transport);
	}
	if (loop_source_watch(&listener->source, LOOP_READ)) {
		rest(listener);
		return;
	}
	look_again(listener);
}

/* No descriptor is left: the spare one makes room to take a newcomer from the kernel's queue and close it. */
static bool turn_away(struct listener *listener)
{
	const struct transport *transport = listener->source.loop->transport;
	struct conn_address peer;
	int fd;

	if (listener->spare_fd < 0) {
		return false;
	}
	close_fd(transport, listener->spare_fd);
	fd = transport->driver->accept(transport, listener->source.fd, &peer);
	if (fd >= 0) {
		metric_add(METRIC_CONNECTIONS_REFUSED, 1);
		close_fd(transport, fd);
	}
	listener->spare_fd = transport->driver->spare(transport);
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
		close_fd(loop->transport, fd);
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
		close_fd(loop->transport, fd);
	}
}

static void note_short(struct listener *listener)
{
	struct loop *loop = listener->source.loop;

	metric_add(METRIC_ACCEPT_FAILURES, 1);
	set_short(listener, true);
	(void)!loop_timer_set(loop, &listener->retry, loop_now_us(loop) + RETRY_US);
}

/* What to do after accept failed: true to try the next one. */
static bool accept_failed(struct listener *listener, int number)
{
	switch (number) {
	case EAGAIN:
		return false;
	case EMFILE:
	case ENFILE:
		note_short(listener);
		if (turn_away(listener)) {
			return true;
		}
		rest(listener);
		return false;
	case ENOBUFS:
	case ENOMEM:
	case EINVAL:
	case EBADF:
		note_short(listener);
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
	const struct transport *transport = source->loop->transport;

	(void)bits;
	for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
		struct conn_address peer;
		int fd = transport->driver->accept(transport, source->fd, &peer);
		if (fd >= 0) {
			welcome(listener, fd, &peer);
		} else if (!accept_failed(listener, errno)) {
			return;
		}
	}
}
