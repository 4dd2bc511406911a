/*
 * conn.c - a connection's life and its input.
 *
 * OPEN -> FINISHING -> LINGERING -> CLOSED, or straight to CLOSED from any. CLOSED means that the descriptor is gone and
 * closed() is due in conn_reap, the only place that frees: whatever a callback does, its connection outlives it.
 *
 * Input is read into the loop's scratch. Only what the handler leaves is kept in memory of the connection, and then new
 * bytes are read behind it, so that the handler always sees all unread input in one piece.
 */
#include "loop/loop_priv.h"

#include <errno.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"

/* Bytes one connection may read in one turn, so that the others get theirs. */
#define READ_TURN_BYTES (4 * LOOP_SCRATCH_BYTES)
#define KEPT_BYTES_MAX ((size_t)LIMIT_BODY_BYTES + LIMIT_HEAD_BYTES + LIMIT_PIPELINE_BYTES)
/* A rest this small does not hold on to a big block. */
#define KEPT_SMALL_BYTES 4096
#define FINISH_US 5000000
#define LINGER_US 1000000

static void on_source(struct loop_source *source, unsigned bits);
static void on_timer(struct loop_timer *timer, struct loop *loop);

enum err conn_open(struct loop *loop, int fd, const struct conn_address *peer, const struct conn_handler *handler, void *owner,
		   struct conn **out)
{
	struct conn *conn = mem_alloc(sizeof(*conn));
	const struct transport *transport = loop->transport;
	enum err err;

	*out = NULL;
	check(handler && handler->input && handler->closed);
	if (!conn) {
		return ERR_MEMORY;
	}
	loop_source_init(&conn->source, loop, fd, on_source);
	conn->handler = handler;
	conn->owner = owner;
	conn->timer.run = on_timer;
	conn->ring = conn->ring_inline;
	conn->ring_cap = CONN_RING_INLINE;
	buf_init(&conn->kept, KEPT_BYTES_MAX);
	list_init(&conn->link);
	if (peer) {
		conn->peer = *peer;
	}
	err = transport->driver->adopt(transport, fd) ? ERR_IO : loop_source_watch(&conn->source, LOOP_READ);
	if (err) {
		mem_free(conn);
		return err;
	}
	if (loop->newcomer.fd == fd && !loop->newcomer.conn) {
		conn->caps = loop->newcomer.caps;
		conn->caps_slot = loop->newcomer.slot;
		loop->newcomer.conn = conn;
	}
	list_push(&loop->conns, &conn->all);
	loop->conn_count++;
	metric_add(METRIC_CONNECTIONS, 1);
	*out = conn;
	return ERR_OK;
}

void *conn_owner(const struct conn *conn)
{
	return conn->owner;
}

/* Offers kept input without new input: at once when the handler is being asked, else with the ready sources. */
static void offer_again(struct conn *conn)
{
	conn->again = true;
	if (!conn->offering && conn->kept.len) {
		loop_source_mark(&conn->source, LOOP_AGAIN);
	}
}

void conn_owner_set(struct conn *conn, const struct conn_handler *handler, void *owner)
{
	check(handler && handler->input && handler->closed);
	conn->handler = handler;
	conn->owner = owner;
	if (conn->state == CONN_OPEN) {
		offer_again(conn);
	}
}

struct loop *conn_loop(const struct conn *conn)
{
	return conn->source.loop;
}

const struct conn_address *conn_peer(const struct conn *conn)
{
	return &conn->peer;
}

void conn_read_pause(struct conn *conn)
{
	/* Readiness is unwatched only if it comes: most pauses end before. */
	conn->paused = true;
}

void conn_read_resume(struct conn *conn)
{
	if (!conn->paused || conn->state != CONN_OPEN) {
		return;
	}
	conn->paused = false;
	offer_again(conn);
	conn_watch(conn);
}

static void set_timer(struct conn *conn, int64_t at_us)
{
	enum err err = loop_timer_set(conn->source.loop, &conn->timer, at_us);

	/* Without its deadline a connection could stay for ever. */
	if (err) {
		conn_close(conn, err);
	}
}

void conn_deadline_set(struct conn *conn, int64_t at_us)
{
	if (conn->state != CONN_OPEN) {
		return;
	}
	if (at_us == 0) {
		loop_timer_clear(conn->source.loop, &conn->timer);
	} else {
		set_timer(conn, at_us);
	}
}

void conn_finish(struct conn *conn)
{
	if (conn->state != CONN_OPEN) {
		return;
	}
	conn->state = CONN_FINISHING;
	set_timer(conn, loop_now_us(conn->source.loop) + FINISH_US);
	if (conn->state == CONN_FINISHING) {
		conn_mark_dirty(conn);
		conn_watch(conn);
	}
}

void conn_abort(struct conn *conn, enum err why)
{
	conn_close(conn, why);
}

void conn_linger(struct conn *conn)
{
	const struct transport *transport = conn->source.loop->transport;

	if (conn->eof || transport->driver->shutdown(transport, conn->source.fd)) {
		conn_close(conn, ERR_OK);
		return;
	}
	conn->state = CONN_LINGERING;
	set_timer(conn, loop_now_us(conn->source.loop) + LINGER_US);
}

void conn_close(struct conn *conn, enum err why)
{
	struct loop *loop = conn->source.loop;

	if (conn->state == CONN_CLOSED) {
		return;
	}
	conn->state = CONN_CLOSED;
	conn->why = (uint8_t)why;
	loop_source_fini(&conn->source);
	loop_timer_clear(loop, &conn->timer);
	loop->transport->driver->close_fd(loop->transport, conn->source.fd);
	conn->source.fd = -1;
	conn_queue_fini(conn);
	if (conn->caps) {
		conn_caps_release(conn->caps, conn->caps_slot);
		conn->caps = NULL;
	}
	if (why == ERR_TOO_SLOW) {
		metric_add(METRIC_SLOW_CLIENTS, 1);
	}
	list_remove(&conn->link);
	list_push(&loop->closing, &conn->link);
}

void conn_reap(struct loop *loop)
{
	struct list batch;
	struct list *node;

	/* What closes from here on waits for the next turn, which does not wait. */
	list_take(&loop->closing, &batch);
	while ((node = list_pop(&batch))) {
		struct conn *conn = container_of(node, struct conn, link);
		loop->worked = true;
		conn->handler->closed(conn, (enum err)conn->why);
		buf_fini(&conn->kept);
		list_remove(&conn->all);
		loop->conn_count--;
		metric_add(METRIC_CONNECTIONS, -1);
		mem_free(conn);
	}
}

void conn_watch(struct conn *conn)
{
	unsigned bits = conn->blocked ? LOOP_WRITE : 0;
	/* A pause alone does not unwatch; see conn_read_pause. */
	bool pausing = conn->paused && !(conn->source.watched & LOOP_READ);
	enum err err;

	if (conn->state == CONN_CLOSED) {
		return;
	}
	if (conn->state == CONN_LINGERING || (conn->state == CONN_OPEN && !conn->eof && !pausing)) {
		bits |= LOOP_READ;
	}
	err = loop_source_watch(&conn->source, bits);
	if (err) {
		conn_close(conn, err);
	}
}

static void on_timer(struct loop_timer *timer, struct loop *loop)
{
	struct conn *conn = container_of(timer, struct conn, timer);

	(void)loop;
	if (conn->state == CONN_OPEN && conn->handler->deadline) {
		conn->handler->deadline(conn);
	} else {
		conn_close(conn, conn->state == CONN_LINGERING ? ERR_OK : ERR_TIMED_OUT);
	}
}

/* ---- input ---- */

/* Gives bytes to the handler; once more when it changed or went on meanwhile. How many were taken. */
static size_t offer(struct conn *conn, struct str bytes)
{
	size_t taken = 0;

	conn->offering = true;
	do {
		size_t took;
		conn->again = false;
		took = conn->handler->input(conn, str_make(bytes.at + taken, bytes.len - taken));
		if (conn->state != CONN_OPEN) {
			took = bytes.len - taken;
		}
		check(took <= bytes.len - taken);
		taken += took;
	} while (taken < bytes.len && conn->again && !conn->paused);
	conn->offering = false;
	conn->again = false;
	return taken;
}

/* A small rest in a big block moves to a small one; without memory it stays. */
static void shrink_kept(struct conn *conn)
{
	struct buf small;

	if (conn->kept.len > KEPT_SMALL_BYTES || conn->kept.cap <= LOOP_SCRATCH_BYTES) {
		return;
	}
	buf_init(&small, KEPT_BYTES_MAX);
	buf_put_str(&small, buf_str(&conn->kept));
	if (small.failed) {
		return;
	}
	buf_fini(&conn->kept);
	conn->kept = small;
}

static void offer_kept(struct conn *conn)
{
	buf_drop(&conn->kept, offer(conn, buf_str(&conn->kept)));
	if (conn->kept.len == 0) {
		buf_fini(&conn->kept);
	} else {
		shrink_kept(conn);
	}
}

static void offer_scratch(struct conn *conn, size_t len)
{
	struct str bytes = {conn->source.loop->scratch, len};
	size_t taken = offer(conn, bytes);

	if (taken < len) {
		buf_put(&conn->kept, bytes.at + taken, len - taken);
		if (conn->kept.failed) {
			conn_close(conn, ERR_MEMORY);
		}
	}
}

/* Where the next bytes go and how many fit; 0 after closing for want of room. */
static size_t read_room(struct conn *conn, char **at)
{
	size_t room = KEPT_BYTES_MAX - conn->kept.len;

	if (conn->kept.len == 0) {
		*at = conn->source.loop->scratch;
		return LOOP_SCRATCH_BYTES;
	}
	if (room == 0) {
		conn_close(conn, ERR_TOO_LARGE);
		return 0;
	}
	room = room < LOOP_SCRATCH_BYTES ? room : LOOP_SCRATCH_BYTES;
	*at = buf_reserve(&conn->kept, room);
	if (!*at) {
		conn_close(conn, ERR_MEMORY);
		return 0;
	}
	return room;
}

static void read_ended(struct conn *conn)
{
	conn->eof = true;
	conn_watch(conn);
	if (conn->state != CONN_OPEN) {
		return;
	}
	if (conn->handler->eof) {
		conn->handler->eof(conn);
	} else {
		conn_finish(conn);
	}
}

static bool read_again(const struct conn *conn)
{
	return conn->state == CONN_OPEN && !conn->paused && !conn->eof;
}

static ssize_t read_some(struct conn *conn, char *at, size_t room)
{
	const struct transport *transport = conn->source.loop->transport;

	return transport->driver->read(transport, conn->source.fd, at, room);
}

static void read_input(struct conn *conn)
{
	size_t left = READ_TURN_BYTES;

	while (left > 0 && read_again(conn)) {
		char *at;
		size_t room = read_room(conn, &at);
		ssize_t n;
		room = room < left ? room : left;
		if (room == 0) {
			return;
		}
		n = read_some(conn, at, room);
		if (n == 0) {
			read_ended(conn);
			return;
		}
		if (n < 0) {
			if (errno != EAGAIN && errno != EINTR) {
				conn_close(conn, ERR_IO);
			}
			return;
		}
		left -= (size_t)n;
		if (at == conn->source.loop->scratch) {
			offer_scratch(conn, (size_t)n);
		} else {
			conn->kept.len += (size_t)n;
			offer_kept(conn);
		}
		/* A short read means that there was no more. */
		if ((size_t)n < room) {
			return;
		}
	}
}

/* Reads and forgets, until the peer ends. */
static void read_discard(struct conn *conn)
{
	struct loop *loop = conn->source.loop;

	for (size_t left = READ_TURN_BYTES / LOOP_SCRATCH_BYTES; left > 0; left--) {
		ssize_t n = read_some(conn, loop->scratch, sizeof(loop->scratch));
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			conn_close(conn, ERR_OK);
			return;
		}
		if (n < (ssize_t)sizeof(loop->scratch)) {
			return;
		}
	}
}

static void on_source(struct loop_source *source, unsigned bits)
{
	struct conn *conn = container_of(source, struct conn, source);

	if (bits & LOOP_WRITE && conn->blocked) {
		conn->blocked = false;
		conn_mark_dirty(conn);
	}
	if (bits & LOOP_AGAIN && conn->state == CONN_OPEN && !conn->paused && conn->kept.len) {
		offer_kept(conn);
	}
	if (!(bits & LOOP_READ)) {
		return;
	}
	if (conn->state == CONN_LINGERING) {
		read_discard(conn);
	} else if (conn->state == CONN_OPEN && conn->paused) {
		if (loop_source_watch(source, source->watched & LOOP_WRITE)) {
			conn_close(conn, ERR_LIMIT);
		}
	} else {
		read_input(conn);
	}
}
