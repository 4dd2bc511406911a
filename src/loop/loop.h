/*
 * loop.h - one thread's event loop: readiness, timers, notes from other threads, connections.
 *
 * For:     everything that waits. One loop per core; a connection lives and dies on one loop.
 * Not for: bytes' meaning (wire/, http/); blocking calls of any kind.
 * Threads: loop_note_post and loop_stop from any; everything else on the loop's own thread only.
 * Memory:  notes, timers, tasks and watches are embedded in their owners; connections belong to the loop until closed() ran.
 * Errors:  if start/open returns an error, no callback ever comes; if ok, closed() comes exactly once, never before it returned.
 *
 * A turn, in order: wait for readiness (not longer than the next timer) - notes from the inbox - ready watches and
 * connections (input, then eof) - due timers - soon tasks - one writev for each connection with something to send.
 */
#ifndef GUILD_LOOP_LOOP_H
#define GUILD_LOOP_LOOP_H

#include "base/env.h"
#include "base/err.h"
#include "base/frame.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/queue.h"
#include "base/snapmap.h"

struct loop;
struct transport;

struct loop_options {
	const struct env *env;
	const struct transport *transport; /* transport.h; NULL: the kernel's sockets */
	unsigned number;          /* 0..LIMIT_LOOPS-1: the loop bits of keys made here */
	struct snap_domain *snap; /* the loop registers as a reader; NULL: none */
};

enum err loop_create(const struct loop_options *options, struct loop **out) MUST_USE;
/* Aborts remaining connections first (their closed() runs, with ERR_GOING_AWAY). Notes, timers and tasks still waiting are
 * not run; watches and listeners have to be closed before. */
void loop_destroy(struct loop **loop);
/* One turn. wait_us: longest wait when nothing is due; 0 polls; < 0 as long as it takes. */
void loop_turn(struct loop *loop, int64_t wait_us);
/* Turns until loop_stop; the body of the loop's thread. */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);
unsigned loop_number(const struct loop *loop);
const struct env *loop_env(const struct loop *loop);
/* Monotonic time at the start of this turn; between turns, now. */
int64_t loop_now_us(const struct loop *loop);
/* True on the loop's own thread, while in a turn. */
bool loop_is_current(const struct loop *loop);
/* The running loop of this thread, or NULL. */
struct loop *loop_current(void);
/* When a turn would find work of its own: now, the time of the first timer, INT64_MAX. Descriptors that became ready are not looked at. */
int64_t loop_due_us(const struct loop *loop);
/* Connections open on this loop. */
size_t loop_connections(const struct loop *loop);
/* Calls fn for every open connection of this loop (drain, revocation). fn may abort or finish it. */
struct conn;
void loop_each_conn(struct loop *loop, void (*fn)(struct conn *conn, void *arg), void *arg);

/* ---- notes: the only way in from another thread ---- */
struct loop_note {
	struct queue_node node;
	void (*run)(struct loop_note *note, struct loop *loop);
};
/* run is called once, on the loop, in the order of this poster's posts. The loop is woken only when it has to be. */
void loop_note_post(struct loop *loop, struct loop_note *note);

/* ---- timers ---- */
struct loop_timer {
	struct heap_entry entry;
	void (*run)(struct loop_timer *timer, struct loop *loop);
};
/* Runs once at or after at_us (monotonic); setting again moves it. Zero-initialise first. ERR_LIMIT. */
enum err loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_us) MUST_USE;
void loop_timer_clear(struct loop *loop, struct loop_timer *timer);

/* ---- tasks: later in this turn, or at once in the next ---- */
struct loop_task {
	struct list link; /* list_init before first use */
	void (*run)(struct loop_task *task, struct loop *loop);
};
/* Runs once, after the callbacks of this turn; a task added by a task runs in the next turn (which does not wait). Adding twice is one. */
void loop_task_add(struct loop *loop, struct loop_task *task);
void loop_task_cancel(struct loop_task *task);

/* ---- watches: readiness of a descriptor that somebody else reads (curl) ---- */
enum { LOOP_READ = 1, LOOP_WRITE = 2 };
struct loop_watch;
/* run gets the LOOP_READ / LOOP_WRITE bits that are ready; level-triggered. */
enum err loop_watch_open(struct loop *loop, int fd, unsigned bits, void (*run)(void *arg, int fd, unsigned bits), void *arg,
			 struct loop_watch **out) MUST_USE;
enum err loop_watch_change(struct loop_watch *watch, unsigned bits) MUST_USE;
void loop_watch_close(struct loop_watch **watch);

/* ---- connections: non-blocking stream sockets ---- */
struct conn_handler {
	/* All unread input: what was kept plus what came. More than a request may be (head, body and what may follow) kept
	 * without taking any is ERR_TOO_LARGE. Returns how many bytes it took; the rest is kept and offered again with
	 * more behind it. Must not keep pointers into it. After conn_abort or conn_finish in here, return anything. */
	size_t (*input)(struct conn *conn, struct str bytes);
	/* The peer sends no more (it may still read). NULL: conn_finish. */
	void (*eof)(struct conn *conn);
	/* The queue fell to half of the cap or below after having been above it. NULL: nothing. */
	void (*drained)(struct conn *conn);
	/* The deadline passed; it is cleared. NULL: conn_abort. */
	void (*deadline)(struct conn *conn);
	/* Exactly once, last; conn is freed after it returns. why: ERR_OK after conn_finish flushed all, else the reason. */
	void (*closed)(struct conn *conn, enum err why);
};

struct conn_address {
	uint8_t bytes[16]; /* IPv4 as v4-mapped */
	uint16_t port;
	bool loopback;
};

/* Takes fd, one of the loop's transport (non-blocking is set here); on error it stays the caller's. ERR_MEMORY, ERR_LIMIT, ERR_IO.
 * peer may be NULL. */
enum err conn_open(struct loop *loop, int fd, const struct conn_address *peer, const struct conn_handler *handler, void *owner,
		   struct conn **out) MUST_USE;
void *conn_owner(const struct conn *conn);
void conn_owner_set(struct conn *conn, const struct conn_handler *handler, void *owner);
struct loop *conn_loop(const struct conn *conn);
const struct conn_address *conn_peer(const struct conn *conn);
/* Queues frame (takes over the caller's reference, also on error). Sent at the end of the turn.
 * ERR_TOO_SLOW: the queue is over LIMIT_CONN_QUEUE_BYTES or _FRAMES, nothing was queued. ERR_END: it is closing.
 * ERR_MEMORY. What makes the queue pass the cap is still taken, so one frame of any size can be sent. */
enum err conn_send_take(struct conn *conn, struct frame *frame) MUST_USE;
/* The same, with a copy of bytes. Small pieces of one turn are joined. */
enum err conn_send_copy(struct conn *conn, struct str bytes) MUST_USE;
/* Bytes queued and not yet taken by the kernel. */
size_t conn_queued_bytes(const struct conn *conn);
/* Stops or goes on reading. Input kept meanwhile is offered again after resume: to input itself when that resumed, else
 * later in this turn or at once in the next; never inside conn_read_resume. The same after conn_owner_set. */
void conn_read_pause(struct conn *conn);
void conn_read_resume(struct conn *conn);
/* One absolute deadline (monotonic us); 0 clears it. Without a callback: conn_abort(ERR_TIMED_OUT). */
void conn_deadline_set(struct conn *conn, int64_t at_us);
/* Closes when the queue is flushed, or after 5 s (ERR_TIMED_OUT); reads no more. Lingers for the peer's remaining input up to 1 s, so that
 * an error reply is not lost to a reset. */
void conn_finish(struct conn *conn);
/* The same behind a last frame, which no cap refuses; takes over the reference. */
void conn_finish_take(struct conn *conn, struct frame *last);
/* Closes now. closed() runs later in this turn, or in the next. */
void conn_abort(struct conn *conn, enum err why);

/* ---- listening ---- */
/* Counts connections of all loops: one object per process, shared. */
struct conn_caps;
enum err conn_caps_create(size_t connections_max, size_t per_address_max, struct conn_caps **out) MUST_USE;
void conn_caps_destroy(struct conn_caps **caps);

struct listener;
struct listener_options {
	struct str address;  /* "127.0.0.1:8420", "[::1]:8420"; port 0 picks one (the first loop; others then get its number) */
	struct conn_caps *caps;  /* NULL: no caps */
	/* A new connection, already counted; returning an error closes it. conn_open in here takes over the count; without it
	 * the count ends with the callback. May not close the listener. */
	enum err (*accepted)(struct loop *loop, int fd, const struct conn_address *peer, void *arg);
	void *arg;
};
/* Binds with SO_REUSEPORT. ERR_IN_USE, ERR_INVALID (address), ERR_IO; detail (at least 128 bytes) gets a sentence. A spare
 * descriptor is kept so that EMFILE is answered by closing the newcomer, never by spinning. */
enum err listener_open(struct loop *loop, const struct listener_options *options, char *detail, struct listener **out) MUST_USE;
void listener_close(struct listener **listener);
uint16_t listener_port(const struct listener *listener);
/* True when address can be bound for oneself alone: nobody else listens there. Else ERR_IN_USE, ERR_INVALID, ERR_IO. NULL: sockets. */
enum err listener_probe(const struct transport *transport, struct str address, char *detail) MUST_USE;
/* Whom caps and rates count as one: an IPv4 address, or the 64 bits of an IPv6 address that its holder shares with nobody. */
void conn_address_site(const struct conn_address *address, uint8_t out[16]);
/* Parses "host:port" with a literal IPv4 or [IPv6] address or "localhost"; ERR_INVALID. */
enum err conn_address_parse(struct str text, struct conn_address *out) MUST_USE;

#ifdef GUILD_FAILPOINTS
/* libevent's heap from now on behind base/mem.h; before its first use. */
void loop_memory_share(void);
#endif

#endif
