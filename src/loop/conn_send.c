/*
 * conn_send.c - what a connection sends: a ring of frames, one writev a turn.
 *
 * Frames are queued by pointer; nothing is copied but small pieces, which are joined while the turn lasts. The kernel is
 * asked for writability only after it took less than it was given.
 */
#include "loop/loop_priv.h"

#include <errno.h>

#include "base/failpoint.h"
#include "base/mem.h"

#define SEND_PIECES 64
/* Room of a frame that small copies are joined in: the first of a turn, and those after it. */
#define JOIN_FIRST_BYTES 512
#define JOIN_NEXT_BYTES 2048

static struct frame **slot(struct conn *conn, uint32_t index)
{
	return &conn->ring[(conn->ring_head + index) & (conn->ring_cap - 1)];
}

static enum err grow_ring(struct conn *conn)
{
	uint32_t cap = conn->ring_cap * 2;
	struct frame **ring = mem_alloc(cap * sizeof(struct frame *));

	if (!ring) {
		return ERR_MEMORY;
	}
	for (uint32_t i = 0; i < conn->ring_count; i++) {
		ring[i] = *slot(conn, i);
	}
	if (conn->ring != conn->ring_inline) {
		mem_free(conn->ring);
	}
	conn->ring = ring;
	conn->ring_cap = cap;
	conn->ring_head = 0;
	return ERR_OK;
}

static void reset_ring(struct conn *conn)
{
	if (conn->ring != conn->ring_inline) {
		mem_free(conn->ring);
	}
	conn->ring = conn->ring_inline;
	conn->ring_cap = CONN_RING_INLINE;
	conn->ring_head = 0;
}

void conn_queue_fini(struct conn *conn)
{
	for (; conn->ring_count; conn->ring_count--) {
		frame_drop(slot(conn, conn->ring_count - 1));
	}
	reset_ring(conn);
	conn->queued_bytes = 0;
	conn->sent = 0;
	conn->join_room = 0;
}

/* Takes n sent bytes off the front. */
static void pop_sent(struct conn *conn, size_t n)
{
	conn->queued_bytes -= n;
	while (n > 0) {
		struct frame **first = slot(conn, 0);
		size_t left = (*first)->len - conn->sent;
		if (n < left) {
			conn->sent += (uint32_t)n;
			return;
		}
		n -= left;
		conn->sent = 0;
		frame_drop(first);
		conn->ring_head = (conn->ring_head + 1) & (conn->ring_cap - 1);
		conn->ring_count--;
	}
	if (conn->ring_count == 0) {
		reset_ring(conn);
	}
}

/* One writev. Afterwards the connection is blocked, closed, or got rid of all it gave. */
static void push(struct conn *conn)
{
	const struct transport *transport = conn->source.loop->transport;
	struct iovec pieces[SEND_PIECES];
	int count = 0;
	size_t given = 0;
	ssize_t n;

	for (uint32_t i = 0; i < conn->ring_count && i < SEND_PIECES; i++) {
		struct frame *frame = *slot(conn, i);
		size_t skip = i == 0 ? conn->sent : 0;
		pieces[i] = (struct iovec){frame->bytes + skip, frame->len - skip};
		given += frame->len - skip;
		count++;
	}
	/* What comes after this turn's message starts a frame of its own. */
	conn->join_room = 0;
	if (failpoint("before_reply") != ERR_OK) {
		conn_close(conn, ERR_IO);
		return;
	}
	do {
		n = transport->driver->writev(transport, conn->source.fd, pieces, count);
	} while (n < 0 && errno == EINTR);
	if (n < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM) {
		conn_close(conn, ERR_IO);
		return;
	}
	pop_sent(conn, n > 0 ? (size_t)n : 0);
	conn->blocked = n < (ssize_t)given;
	if (n > 0 && failpoint("after_reply") != ERR_OK) {
		conn_close(conn, ERR_IO);
	}
}

static bool over_cap(const struct conn *conn)
{
	return conn->queued_bytes > LIMIT_CONN_QUEUE_BYTES || conn->ring_count >= LIMIT_CONN_QUEUE_FRAMES;
}

static bool over_half(const struct conn *conn)
{
	return conn->queued_bytes > LIMIT_CONN_QUEUE_BYTES / 2 || conn->ring_count > LIMIT_CONN_QUEUE_FRAMES / 2;
}

/* May one more be queued? A burst of one turn is not held against a peer that could read it. */
static enum err admit(struct conn *conn)
{
	if (conn->state != CONN_OPEN) {
		return ERR_END;
	}
	while (conn->state == CONN_OPEN && over_cap(conn) && !conn->blocked) {
		push(conn);
		conn_mark_dirty(conn);
	}
	if (conn->state != CONN_OPEN) {
		return ERR_END;
	}
	return over_cap(conn) ? ERR_TOO_SLOW : ERR_OK;
}

static enum err append(struct conn *conn, struct frame *frame)
{
	enum err err = conn->ring_count == conn->ring_cap ? grow_ring(conn) : ERR_OK;

	if (err) {
		return err;
	}
	*slot(conn, conn->ring_count) = frame;
	conn->ring_count++;
	conn->queued_bytes += frame->len;
	conn->join_room = 0;
	conn->above |= over_half(conn);
	conn_mark_dirty(conn);
	return ERR_OK;
}

void conn_mark_dirty(struct conn *conn)
{
	if (!conn->blocked && conn->state != CONN_CLOSED && list_empty(&conn->link)) {
		list_push(&conn->source.loop->dirty, &conn->link);
	}
}

enum err conn_send_take(struct conn *conn, struct frame *frame)
{
	enum err err = admit(conn);

	if (!err && frame->len) {
		err = append(conn, frame);
		if (!err) {
			return ERR_OK;
		}
	}
	frame_drop(&frame);
	return err;
}

void conn_finish_take(struct conn *conn, struct frame *last)
{
	if (conn->state != CONN_OPEN || append(conn, last)) {
		frame_drop(&last);
	}
	conn_finish(conn);
}

/* Adds bytes to the last frame when that is ours alone and has room. */
static bool join(struct conn *conn, struct str bytes)
{
	struct frame *last;

	if (bytes.len > conn->join_room) {
		return false;
	}
	last = *slot(conn, conn->ring_count - 1);
	memcpy(last->bytes + last->len, bytes.at, bytes.len);
	last->len += (uint32_t)bytes.len;
	conn->join_room -= (uint32_t)bytes.len;
	conn->queued_bytes += bytes.len;
	conn->above |= over_half(conn);
	return true;
}

enum err conn_send_copy(struct conn *conn, struct str bytes)
{
	enum err err = admit(conn);
	size_t room;
	struct frame *frame;

	if (err || bytes.len == 0 || join(conn, bytes)) {
		return err;
	}
	/* A frame that is full was joined to already: this turn has more than one small piece. */
	room = conn->ring_count ? JOIN_NEXT_BYTES : JOIN_FIRST_BYTES;
	room = bytes.len < room ? room : bytes.len;
	frame = frame_make(room);
	if (!frame) {
		return ERR_MEMORY;
	}
	memcpy(frame->bytes, bytes.at, bytes.len);
	frame->len = (uint32_t)bytes.len;
	err = append(conn, frame);
	if (err) {
		frame_drop(&frame);
		return err;
	}
	conn->join_room = (uint32_t)(room - bytes.len);
	return ERR_OK;
}

size_t conn_queued_bytes(const struct conn *conn)
{
	return conn->queued_bytes;
}

static void flush(struct conn *conn)
{
	if (conn->ring_count && !conn->blocked) {
		push(conn);
	}
	if (conn->above && !over_half(conn) && conn->state != CONN_CLOSED) {
		conn->above = false;
		if (conn->state == CONN_OPEN && conn->handler->drained) {
			conn->handler->drained(conn);
		}
	}
	if (conn->state == CONN_FINISHING && conn->ring_count == 0) {
		conn_linger(conn);
	}
	/* More than one message's worth: the rest goes in the next turn, which does not wait. */
	if (conn->ring_count) {
		conn_mark_dirty(conn);
	}
	conn_watch(conn);
}

void conn_flush_all(struct loop *loop)
{
	struct list batch;
	struct list *node;

	list_take(&loop->dirty, &batch);
	while ((node = list_pop(&batch))) {
		loop->worked = true;
		flush(container_of(node, struct conn, link));
	}
}
