/*
 * loop_priv.h - what the files of this folder share: the loop, sources of readiness, a connection's caps.
 *
 * For:     loop.c, conn.c, conn_send.c, listen.c, address.c and socket.c.
 * Not for: anybody outside this folder.
 * Threads: the loop's own, but for the inbox, the wake descriptor and conn_caps.
 * Memory:  sources are embedded in their owners and leave every list in loop_source_fini.
 */
#ifndef GUILD_LOOP_LOOP_PRIV_H
#define GUILD_LOOP_LOOP_PRIV_H

#include <event2/event.h>
#include <event2/event_struct.h>

#include "base/buf.h"
#include "base/limits.h"
#include "loop/loop.h"
#include "loop/transport.h"

#define LOOP_SCRATCH_BYTES 65536

/* A descriptor the loop looks at. The transport only notes what is ready; run is called in the turn's own order. */
struct loop_source {
	struct list link; /* in loop->ready while bits are noted */
	struct loop *loop;
	void (*run)(struct loop_source *source, unsigned bits);
	struct event event; /* of socket.c */
	int fd;
	uint8_t ready;   /* LOOP_* bits noted */
	uint8_t watched; /* LOOP_READ, LOOP_WRITE asked of the transport */
};

/* A bit beside LOOP_READ and LOOP_WRITE, noted by the program itself. */
enum { LOOP_AGAIN = 4 };

void loop_source_init(struct loop_source *source, struct loop *loop, int fd,
		      void (*run)(struct loop_source *source, unsigned bits));
/* Asks for exactly these bits. ERR_LIMIT: then nothing is watched. */
enum err loop_source_watch(struct loop_source *source, unsigned bits) MUST_USE;
/* Forgets the descriptor (before it is closed). */
void loop_source_fini(struct loop_source *source);

/* The newcomer that a listener is handing over: conn_open finds its count here. */
struct loop_newcomer {
	int fd;
	struct conn_caps *caps;
	uint32_t slot;
	struct conn *conn; /* set when conn_open took it */
};

struct loop {
	const struct env *env;
	struct snap_domain *snap;
	unsigned snap_reader;
	unsigned number;
	const struct transport *transport;
	void *poll; /* the transport's, for this loop */
	bool in_turn;
	bool worked; /* this turn ran something */
	atomic_bool stop;
	int64_t now_us;
	struct queue inbox;
	struct heap timers;
	struct list tasks;
	struct list ready;   /* sources */
	struct list conns;   /* all, by conn.all */
	struct list dirty;   /* have something to send, by conn.link */
	struct list closing; /* closed() is due, by conn.link */
	size_t conn_count;
	struct loop_newcomer newcomer;
	char scratch[LOOP_SCRATCH_BYTES];
};

enum conn_state {
	CONN_OPEN,      /* reads and sends */
	CONN_FINISHING, /* sends what is queued, reads no more */
	CONN_LINGERING, /* all sent and shut down; waits for the peer's end */
	CONN_CLOSED,    /* descriptor closed; closed() is due */
};

#define CONN_RING_INLINE 4

struct conn {
	struct loop_source source;
	const struct conn_handler *handler;
	void *owner;
	struct list all;
	struct list link; /* in loop->dirty, then in loop->closing */
	struct loop_timer timer;
	struct frame **ring; /* ring_inline, or allocated while more wait */
	uint32_t ring_cap;   /* a power of two */
	uint32_t ring_head;
	uint32_t ring_count;
	uint32_t sent;       /* bytes of the first frame that the kernel took */
	uint32_t join_room;  /* bytes free behind the last frame, which is ours alone; 0: do not join */
	uint32_t caps_slot;
	size_t queued_bytes;
	struct frame *ring_inline[CONN_RING_INLINE];
	struct buf kept; /* unread input */
	struct conn_caps *caps;
	struct conn_address peer;
	uint8_t state;
	uint8_t why;
	bool paused;
	bool again;    /* kept input has to be offered without new input */
	bool offering; /* in handler->input */
	bool eof;
	bool blocked; /* the kernel took less than was given; wait for LOOP_WRITE */
	bool above;   /* the queue was above half of a cap: drained is due when it falls */
};

_Static_assert(sizeof(struct conn) <= 512, "an idle connection costs at most 512 bytes");

/* conn.c */
/* Closes the descriptor and puts the connection among those whose closed() is due; harmless when it is there. */
void conn_close(struct conn *conn, enum err why);
/* Everything is sent and the state is FINISHING: shuts down and waits for the peer's end. */
void conn_linger(struct conn *conn);
/* Brings what the kernel is asked for in line with the state. */
void conn_watch(struct conn *conn);
/* Runs closed() of all that are due and frees them. */
void conn_reap(struct loop *loop);

/* conn_send.c */
/* Sends for every connection that has something to send. */
void conn_flush_all(struct loop *loop);
/* Puts the connection among those to flush at the end of the turn. */
void conn_mark_dirty(struct conn *conn);
/* Drops all frames. */
void conn_queue_fini(struct conn *conn);

/* address.c */
/* What the address says of itself: whether it is this machine's own. */
void conn_address_complete(struct conn_address *address);
/* A socket of that family: 4 or 6. */
bool conn_address_is_v4(const struct conn_address *address);
void conn_address_set_v4(struct conn_address *address, const uint8_t bytes[4]);

/* listen.c */
/* Counts a newcomer; false when that would pass a cap. */
bool conn_caps_admit(struct conn_caps *caps, const struct conn_address *peer, uint32_t *slot);
void conn_caps_release(struct conn_caps *caps, uint32_t slot);

#endif
