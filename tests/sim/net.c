/* net.c - streams of bytes in memory, and the transport of a simulated guild's loops over them. */
#include "net.h"

#include <errno.h>
#include <stdlib.h>

#include "base/check.h"

enum { FDS = 192, PENDING = 32, STREAM_BYTES_MAX = 1 << 24 };

enum kind { FD_FREE, FD_LISTENER, FD_SPARE, FD_STREAM };

/* The name of the loop's own poll. */
struct poll {
	struct sim_net *net;
	unsigned loop;
};

struct end {
	enum kind kind;
	struct loop_source *source;
	unsigned bits;
	unsigned loop;
	/* of a listener */
	int pending[PENDING];
	int pending_count;
	/* of a stream */
	const struct sim_net_client *client; /* NULL: gone */
	void *ctx;
	struct buf up, down;        /* from the client, from the server */
	size_t arrived;             /* of up */
	size_t room;                /* of down */
	uint32_t piece, pause_us, cut_odds;
	int64_t up_us, down_us;     /* when a piece moves; INT64_MAX: none is under way */
	uint64_t number;            /* of all streams: another one may be in this place */
	int64_t since_us;           /* nothing in down was written before */
	bool server_there, shut;    /* the server may send; it said that it sends no more */
	bool ended;                 /* the client has sent its last, and left */
	bool cut, dark;             /* the server sees that it is over; nothing comes through, and it does not */
	bool short_write;           /* the server has more than it could write */
};

struct sim_net {
	struct sim *sim;
	struct transport transport;
	struct poll polls[SIM_LOOPS];
	struct sim_random random;
	struct end ends[FDS];
	uint64_t cuts, streams;
};

static struct sim_net *net_of(const struct transport *transport)
{
	return transport->self;
}

/* ---- ends ---- */

static int end_take(struct sim_net *net, enum kind kind)
{
	for (int fd = 0; fd < FDS; fd++) {
		if (net->ends[fd].kind == FD_FREE) {
			net->ends[fd] = (struct end){.kind = kind, .up_us = INT64_MAX, .down_us = INT64_MAX};
			return fd;
		}
	}
	return -1;
}

static void end_free(struct end *end)
{
	buf_fini(&end->up);
	buf_fini(&end->down);
	end->kind = FD_FREE;
}

static void end_release(struct end *end)
{
	if (end->kind == FD_STREAM && !end->server_there && end->client == NULL) {
		end_free(end);
	}
}

/* Whose turn it is to hear that it is over. */
static void client_end(struct end *end)
{
	const struct sim_net_client *client = end->client;
	end->client = NULL;
	end->up_us = end->down_us = INT64_MAX;
	if (client != NULL) {
		client->ended(end->ctx);
	}
	end_release(end);
}

static int64_t next_us(struct sim_net *net, const struct end *end)
{
	return net->sim->now_us + 1 + sim_draw(&net->random, end->pause_us);
}

/* ---- what is ready ---- */

static unsigned bits_ready(const struct end *end)
{
	if (end->kind == FD_LISTENER) {
		return end->pending_count > 0 ? LOOP_READ : 0;
	}
	bool readable = end->arrived > 0 || end->cut || end->ended;
	bool writable = end->cut || end->ended || end->down.len < end->room;
	return (readable ? LOOP_READ : 0U) | (writable ? LOOP_WRITE : 0U);
}

bool sim_net_ready(const struct sim_net *net, unsigned loop)
{
	for (int fd = 0; fd < FDS; fd++) {
		const struct end *end = &net->ends[fd];
		if (end->kind != FD_FREE && end->source != NULL && end->loop == loop && (bits_ready(end) & end->bits) != 0) {
			return true;
		}
	}
	return false;
}

/* ---- the driver ---- */

static enum err net_open(const struct transport *transport, struct loop *loop, void **poll)
{
	struct sim_net *net = net_of(transport);
	unsigned number = loop_number(loop);
	check(number < SIM_LOOPS);
	net->polls[number] = (struct poll){net, number};
	*poll = &net->polls[number];
	return ERR_OK;
}

static void net_close(void *poll)
{
	(void)poll;
}

/* In an order that the seed draws: it begins somewhere. */
static void net_wait(void *self, int64_t wait_us)
{
	struct poll *poll = self;
	uint32_t from = sim_draw(&poll->net->random, FDS);
	(void)wait_us;
	for (uint32_t i = 0; i < FDS; i++) {
		struct end *end = &poll->net->ends[(from + i) % FDS];
		unsigned bits = end->kind != FD_FREE && end->source != NULL && end->loop == poll->loop ? bits_ready(end) & end->bits : 0;
		if (bits != 0) {
			loop_source_mark(end->source, bits);
		}
	}
}

static void net_wake(void *poll)
{
	(void)poll;
}

static enum err net_watch(void *self, struct loop_source *source, int fd, unsigned had, unsigned bits)
{
	struct poll *poll = self;
	struct end *end = &poll->net->ends[fd];
	(void)had;
	check(fd >= 0 && fd < FDS && end->kind != FD_FREE);
	end->source = bits != 0 ? source : NULL;
	end->bits = bits;
	end->loop = poll->loop;
	return ERR_OK;
}

static enum err net_listen(const struct transport *transport, struct str text, const struct conn_address *address, bool shared,
	struct conn_address *bound, char *detail, int *fd)
{
	(void)text, (void)shared;
	*bound = *address;
	detail[0] = '\0';
	*fd = end_take(net_of(transport), FD_LISTENER);
	return *fd >= 0 ? ERR_OK : ERR_IO;
}

static int net_accept(const struct transport *transport, int listening, struct conn_address *peer)
{
	struct sim_net *net = net_of(transport);
	struct end *listener = &net->ends[listening];
	check(listener->kind == FD_LISTENER);
	if (listener->pending_count == 0) {
		errno = EAGAIN;
		return -1;
	}
	if (!net->sim->resting && sim_draw(&net->random, 100) == 0) {
		errno = EMFILE;
		return -1;
	}
	int fd = listener->pending[0];
	memmove(listener->pending, listener->pending + 1, sizeof(listener->pending[0]) * (size_t)--listener->pending_count);
	if (net->ends[fd].client == NULL && net->ends[fd].cut) {
		net->ends[fd].server_there = false;
		end_release(&net->ends[fd]);
		errno = ECONNABORTED;
		return -1;
	}
	*peer = (struct conn_address){.bytes = {[10] = 0xff, [11] = 0xff, [12] = 127, [15] = 1}, .port = (uint16_t)(1024 + fd), .loopback = true};
	return fd;
}

static int net_spare(const struct transport *transport)
{
	return end_take(net_of(transport), FD_SPARE);
}

static int net_adopt(const struct transport *transport, int fd)
{
	return net_of(transport)->ends[fd].kind == FD_STREAM ? 0 : -1;
}

static ssize_t net_read(const struct transport *transport, int fd, void *out, size_t len)
{
	struct end *end = &net_of(transport)->ends[fd];
	check(end->kind == FD_STREAM && end->server_there);
	if (end->cut) {
		errno = ECONNRESET;
		return -1;
	}
	if (end->arrived == 0 && !end->ended) {
		errno = EAGAIN;
		return -1;
	}
	len = len < end->arrived ? len : end->arrived;
	if (len > 0) {
		memcpy(out, end->up.at, len);
		buf_drop(&end->up, len);
		end->arrived -= len;
	}
	return (ssize_t)len;
}

static ssize_t net_writev(const struct transport *transport, int fd, const struct iovec *pieces, int count)
{
	struct sim_net *net = net_of(transport);
	struct end *end = &net->ends[fd];
	size_t room = end->down.len < end->room ? end->room - end->down.len : 0;
	size_t given = 0, taken = 0;
	check(end->kind == FD_STREAM && end->server_there && !end->shut);
	if (end->cut || end->ended) {
		end->cut = true;
		errno = EPIPE;
		return -1;
	}
	for (int i = 0; i < count; i++) {
		size_t part = pieces[i].iov_len < room - taken ? pieces[i].iov_len : room - taken;
		buf_put(&end->down, pieces[i].iov_base, part);
		given += pieces[i].iov_len;
		taken += part;
	}
	check(!end->down.failed);
	end->short_write = taken < given;
	if (taken > 0 && end->down_us == INT64_MAX && !end->dark) {
		end->down_us = next_us(net, end);
	}
	if (taken == 0 && given > 0) {
		errno = EAGAIN;
		return -1;
	}
	return (ssize_t)taken;
}

static int net_shutdown(const struct transport *transport, int fd)
{
	struct sim_net *net = net_of(transport);
	struct end *end = &net->ends[fd];
	if (end->cut || end->ended) {
		errno = ENOTCONN;
		return -1;
	}
	end->shut = true;
	if (end->down_us == INT64_MAX && end->client != NULL) {
		end->down_us = next_us(net, end);
	}
	return 0;
}

static void net_close_fd(const struct transport *transport, int fd)
{
	struct sim_net *net = net_of(transport);
	struct end *end = &net->ends[fd];
	check(fd >= 0 && fd < FDS && end->kind != FD_FREE && end->source == NULL);
	if (end->kind != FD_STREAM) {
		for (int i = 0; i < end->pending_count; i++) {
			struct end *stream = &net->ends[end->pending[i]];
			stream->server_there = false;
			client_end(stream);
		}
		end_free(end);
		return;
	}
	end->server_there = false;
	/* Closed with input unread, a kernel may say so to the client before it has read the rest. */
	if (end->client != NULL && end->up.len > 0 && sim_chance(&net->random, 50)) {
		client_end(end);
		return;
	}
	if (end->client != NULL && end->down_us == INT64_MAX) {
		end->down_us = next_us(net, end);
	}
	end_release(end);
}

/* ---- clients ---- */

int sim_net_connect(struct sim_net *net, unsigned loop, const struct sim_net_client *client, void *ctx)
{
	static const size_t rooms[] = {600, 4096, 65536, 1 << 20};
	struct end *listener = NULL;
	for (int fd = 0; fd < FDS && listener == NULL; fd++) {
		struct end *end = &net->ends[fd];
		listener = end->kind == FD_LISTENER && end->loop == loop ? end : NULL;
	}
	int fd = listener != NULL && listener->pending_count < PENDING ? end_take(net, FD_STREAM) : -1;
	if (fd < 0) {
		return -1;
	}
	struct end *end = &net->ends[fd];
	buf_init(&end->up, STREAM_BYTES_MAX);
	buf_init(&end->down, STREAM_BYTES_MAX);
	end->client = client;
	end->ctx = ctx;
	end->server_there = true;
	end->number = ++net->streams;
	end->since_us = net->sim->now_us;
	end->room = rooms[sim_draw(&net->random, 4)];
	end->piece = sim_chance(&net->random, 20) ? 1 + sim_draw(&net->random, 40) : 200U << sim_draw(&net->random, 10);
	end->pause_us = 10U << sim_draw(&net->random, end->piece < 100 ? 8 : 14);
	end->cut_odds = sim_chance(&net->random, 60) ? 0 : 10 + sim_draw(&net->random, 60);
	listener->pending[listener->pending_count++] = fd;
	return fd;
}

void sim_net_send(struct sim_net *net, int fd, struct str bytes)
{
	struct end *end = &net->ends[fd];
	check(end->kind == FD_STREAM && end->client != NULL);
	buf_put_str(&end->up, bytes);
	check(!end->up.failed);
	if (end->up_us == INT64_MAX && end->server_there) {
		end->up_us = next_us(net, end);
	}
}

void sim_net_leave(struct sim_net *net, int fd)
{
	struct end *end = &net->ends[fd];
	check(end->kind == FD_STREAM && end->client != NULL);
	end->client = NULL;
	end->ended = sim_chance(&net->random, 50);
	end->cut = !end->ended;
	end->arrived = end->up.len;
	end->up_us = end->down_us = INT64_MAX;
	end_release(end);
}

void sim_net_cut_all(struct sim_net *net)
{
	for (int fd = 0; fd < FDS; fd++) {
		if (net->ends[fd].kind == FD_STREAM && net->ends[fd].client != NULL) {
			sim_net_leave(net, fd);
		}
	}
}

/* ---- moving ---- */

static void cut(struct sim_net *net, struct end *end)
{
	net->cuts++;
	end->dark = sim_chance(&net->random, 30);
	end->cut = !end->dark;
	sim_trace(net->sim, "a connection is cut%s", end->dark ? ", and the server does not see it" : "");
	client_end(end);
}

static bool cut_comes(struct sim_net *net, const struct end *end)
{
	return end->cut_odds > 0 && !net->sim->resting && sim_draw(&net->random, end->cut_odds) == 0;
}

static size_t piece_of(struct sim_net *net, const struct end *end, size_t len)
{
	size_t piece = 1 + sim_draw(&net->random, end->piece);
	return piece < len ? piece : len;
}

static void move_up(struct sim_net *net, struct end *end)
{
	if (cut_comes(net, end)) {
		cut(net, end);
		return;
	}
	end->arrived += piece_of(net, end, end->up.len - end->arrived);
	end->up_us = end->arrived < end->up.len && end->server_there ? next_us(net, end) : INT64_MAX;
}

static void move_down(struct sim_net *net, struct end *end)
{
	char piece[4096];
	if (cut_comes(net, end)) {
		cut(net, end);
		return;
	}
	size_t len = piece_of(net, end, end->down.len);
	len = len < sizeof(piece) ? len : sizeof(piece);
	if (len > 0) {
		memcpy(piece, end->down.at, len);
	}
	buf_drop(&end->down, len);
	bool last = end->down.len == 0;
	bool over = last && (end->shut || !end->server_there);
	uint64_t number = end->number;
	int64_t since_us = end->since_us;
	end->since_us = last && !end->short_write ? net->sim->now_us : since_us;
	end->down_us = last && !over ? INT64_MAX : next_us(net, end);
	if (len > 0) {
		end->client->bytes(end->ctx, str_make(piece, len), since_us);
	}
	if (over && end->kind == FD_STREAM && end->number == number && end->client != NULL) {
		end->cut = end->server_there;
		client_end(end);
	}
}

void sim_net_move(struct sim_net *net)
{
	for (int fd = 0; fd < FDS; fd++) {
		struct end *end = &net->ends[fd];
		if (end->kind == FD_STREAM && end->up_us <= net->sim->now_us) {
			move_up(net, end);
		}
		if (end->kind == FD_STREAM && end->down_us <= net->sim->now_us) {
			move_down(net, end);
		}
	}
}

int64_t sim_net_due_us(const struct sim_net *net)
{
	int64_t due_us = INT64_MAX;
	for (int fd = 0; fd < FDS; fd++) {
		const struct end *end = &net->ends[fd];
		if (end->kind == FD_STREAM) {
			due_us = end->up_us < due_us ? end->up_us : due_us;
			due_us = end->down_us < due_us ? end->down_us : due_us;
		}
	}
	return due_us;
}

uint64_t sim_net_cuts(const struct sim_net *net)
{
	return net->cuts;
}

/* ---- life ---- */

struct sim_net *sim_net_create(struct sim *sim)
{
	static const struct transport_driver driver = {"simulated", net_open, net_close, net_wait, net_wake, net_watch, net_listen, net_accept,
		net_spare, net_adopt, net_read, net_writev, net_shutdown, net_close_fd};
	struct sim_net *net = calloc(1, sizeof(*net));
	check(net != NULL);
	net->sim = sim;
	net->transport = (struct transport){&driver, net};
	net->random.state = sim_random_next(&sim->order);
	return net;
}

void sim_net_destroy(struct sim_net **net)
{
	sim_net_cut_all(*net);
	for (int fd = 0; fd < FDS; fd++) {
		check((*net)->ends[fd].kind == FD_FREE);
	}
	free(*net);
	*net = NULL;
}

const struct transport *sim_net_transport(const struct sim_net *net)
{
	return &net->transport;
}
