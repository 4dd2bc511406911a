/*
 * feed_priv.h - what one listener gets of the bus: its topics, missed events first, streams in order.
 *
 * For:     sockets and event streams.
 * Not for: who may subscribe or see an event (topic.c); the wire (socket.c, events_api.c).
 * Threads: one loop.
 * Memory:  embedded in its owner; feed_fini before that goes. Handlers may not call feed_fini.
 * Errors:  a send that fails makes the feed dead: it sends nothing any more.
 *
 * Each durable event that the listener may see goes out once, however many topics match. A topic is live from an offset on, and covered
 * from an offset on (live, or caught up with). An event at or below its live offset is history: it comes through a catch-up or not at all.
 *
 *   subscribe(after) -> L = newest offset; live from L; durable events are held
 *                    -> (after, L] from the ring of the bus, below that from the log; then `recovered`
 *                    -> held events; live
 *   Too many held: they are dropped, and the catch-up goes on to the then newest offset with all topics.
 *
 * Stream frames of a run are let through from number 1 on, one after the other; what is not the next one is left out.
 */
#ifndef GUILD_OPS_FEED_PRIV_H
#define GUILD_OPS_FEED_PRIV_H

#include "ops/ops_priv.h"

struct feed;
struct catchup;

struct feed_handler {
	/* May the listener be given this event? Asked when it is its turn, so that who lost the right meanwhile gets nothing more. Not asked
	 * for frames of runs, which only go to who may see the run. */
	bool (*sees)(struct feed *feed, const struct bus_event *event);
	enum err (*send)(struct feed *feed, struct bus_event *event);
	/* Events with from < offset <= to may be missing. */
	void (*gap)(struct feed *feed, int64_t from, int64_t to);
	/* A catch-up has ended: count events; everything up to offset that may be seen has been given. */
	void (*recovered)(struct feed *feed, int64_t count, int64_t offset);
	size_t (*queued_bytes)(struct feed *feed);
	/* There was no memory for what comes next: the client has to come back and resume. */
	void (*broken)(struct feed *feed);
};

struct feed_topic {
	struct list link;
	int64_t live_from, covered_from;
	size_t len;
	char name[];
};

/* A run whose frames come by. next == FEED_RUN_CLOSED: its frames are left out (over, or somebody else gives them). */
#define FEED_RUN_CLOSED INT64_MAX
struct feed_run {
	int64_t execution; /* 0: free */
	int64_t next;
	void *owner;       /* != NULL: not to be replaced */
};
#define FEED_RUNS_MAX 64

struct feed {
	struct bus_subscriber subscriber;
	struct guild *guild;
	struct loop *loop;
	const struct feed_handler *handler;
	struct list topics;
	unsigned topic_count;
	int64_t live_from_max;   /* beyond it every match is live */
	int64_t live_floor;      /* at or below it live events come by catch-up */
	struct list catchups;    /* the first one is at work */
	struct bus_event **held; /* durable events while catching up */
	size_t held_count, held_sent;
	struct feed_run *runs;   /* FEED_RUNS_MAX, made when first needed */
	unsigned run_next;
	bool dead;
};

struct feed_after {
	bool given;
	int64_t epoch;  /* 0: not said */
	int64_t offset;
};

void feed_init(struct feed *feed, struct guild *guild, struct loop *loop, const struct feed_handler *handler);
void feed_fini(struct feed *feed);
/* All topics or none. What was missed is sent from the next turn on, so that an answer can go first. *offset: the newest one now. ERR_LIMIT,
 * ERR_MEMORY. */
enum err feed_subscribe(struct feed *feed, const struct topic_name *topics, unsigned count, const struct feed_after *after,
			int64_t *offset) MUST_USE;
bool feed_unsubscribe(struct feed *feed, struct str topic);
/* The listener has room again. */
void feed_drained(struct feed *feed);
/* The row of an execution; NULL when there is none and (make) none can be had. */
struct feed_run *feed_run_find(struct feed *feed, int64_t execution, bool make);

#endif
