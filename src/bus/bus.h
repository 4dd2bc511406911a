/*
 * bus.h - events and stream frames to whoever asked for them.
 *
 * For:     one part of the program telling many listeners that something happened.
 * Not for: questions; storing history (db/); deciding who may subscribe (the caller does, before bus_subscribe).
 * Threads: each loop subscribes and delivers on its own shard; bus_publish is safe from any thread.
 * Memory:  a published event is held until the last subscriber dropped its frame; topic names are copied.
 * Errors:  ERR_LIMIT when a cap is hit, ERR_INVALID for a malformed name.
 *
 *   publish -> interest[loop][topic hash & 0xffff] != 0 ? -> note in that loop's inbox -> shard: topic -> subscribers
 *   A subscriber gets one copy however many of its topics match: the shard stamps it with the number of the publish.
 *   Where there is no memory for a note, that loop's subscribers are told what they miss (missed), so that they ask again or give up.
 */
#ifndef GUILD_BUS_BUS_H
#define GUILD_BUS_BUS_H

#include "base/audience.h"
#include "base/arena.h"
#include "base/frame.h"
#include "base/list.h"
#include "base/map.h"
#include "loop/loop.h"

struct bus;

enum bus_form { BUS_FORM_WS, BUS_FORM_SSE, BUS_FORM_COUNT };

/* One published thing, immutable but for frames that are rendered when first wanted. Counted. */
struct bus_event {
	atomic_uint refs;
	int64_t offset;        /* commit sequence of a durable event; 0 for stream frames and plain events */
	int64_t time_us;
	int64_t execution;     /* of a stream frame: its execution, else 0 */
	int64_t seq;           /* of a stream frame: its number in the execution, else 0 */
	int64_t workspace;     /* whose topics these are: names are the same in all of them */
	struct audience audience;
	bool ends_stream;      /* a stream frame that is the terminal one */
	struct str type;       /* "agent_changed"; point into the same allocation */
	struct str source;
	struct str data;       /* JSON text */
	unsigned topic_count;
	const struct str *topics;
	const uint64_t *hashes; /* of the topics' names; NULL: made when published */
	_Atomic(struct frame *) frames[BUS_FORM_COUNT]; /* WS: a whole text frame; SSE: a chunk of a chunked reply */
};

struct bus_event_parts {
	const struct str *topics;
	unsigned topic_count;
	int64_t offset, time_us, execution, seq, workspace;
	struct audience audience;
	bool ends_stream;
	struct str type, source, data;
	const uint64_t *hashes;               /* bus_topic_hash of each topic, for who publishes on the same ones often; or NULL */
	struct frame *frames[BUS_FORM_COUNT]; /* already rendered, or NULL; taken over, also on error */
};

/* Makes an event with one reference; texts and topics (1..LIMIT_TOPICS_EVENT) are copied into one allocation. ERR_INVALID, ERR_MEMORY. */
enum err bus_event_make(const struct bus_event_parts *parts, struct bus_event **out) MUST_USE;
/* The frame in that form, rendered by the bus's renderer when it is the first time (any thread). Borrowed: lives as long as the
 * event. NULL when it cannot be made. */
struct frame *bus_event_frame(struct bus *bus, struct bus_event *event, enum bus_form form);
struct bus_event *bus_event_hold(struct bus_event *event);
void bus_event_drop(struct bus_event **event);

/* 1..255 bytes of [A-Za-z0-9_.:@/-]. */
bool bus_topic_valid(struct str topic);
/* "agent:", "user:" ... and global, alerts: names with access rules. */
bool bus_topic_reserved(struct str topic);

struct bus_subscriber {
	struct list topics;      /* of bus_subscription */
	unsigned topic_count;
	uint64_t stamp;
	/* On the subscriber's loop. Takes no reference: hold what is kept. Must not subscribe, unsubscribe or publish. */
	void (*deliver)(struct bus_subscriber *subscriber, struct bus_event *event);
	/* Not all could be delivered: durable events with an offset beyond `from` (INT64_MAX: all were), and, when `others`, stream frames and
	 * plain events. On the subscriber's loop, before anything later comes. Rules as for deliver. NULL: it does not matter. */
	void (*missed)(struct bus_subscriber *subscriber, int64_t from, bool others);
};

/* Renders an event in a form: a new frame with one reference, NULL on failure. Any thread. */
typedef struct frame *bus_render_fn(void *ctx, const struct bus_event *event, enum bus_form form);

enum err bus_create(const struct env *env, struct loop *const *loops, unsigned loop_count, bus_render_fn *render, void *render_ctx,
		    struct bus **out) MUST_USE;
/* The loops have ended; subscribers that are left are not touched. */
void bus_destroy(struct bus **bus);

void bus_subscriber_init(struct bus_subscriber *subscriber, void (*deliver)(struct bus_subscriber *, struct bus_event *));
/* On loop. Subscribing twice is one. ERR_INVALID, ERR_LIMIT (LIMIT_TOPICS_CONN, LIMIT_TOPICS). */
enum err bus_subscribe(struct bus *bus, struct loop *loop, struct bus_subscriber *subscriber, struct str topic) MUST_USE;
/* False when it was not subscribed. */
bool bus_unsubscribe(struct bus *bus, struct loop *loop, struct bus_subscriber *subscriber, struct str topic);
void bus_unsubscribe_all(struct bus *bus, struct loop *loop, struct bus_subscriber *subscriber);
bool bus_subscribed(struct bus *bus, struct loop *loop, const struct bus_subscriber *subscriber, struct str topic);
/* Topics of the shard of that loop; subscribers of a topic there. */
size_t bus_topics(const struct bus *bus, const struct loop *loop);

/* Delivers one copy to every subscriber of any of the event's topics, on every interested loop: at once on the calling loop, by
 * note on the others. Takes over the caller's reference. Order per publishing thread is kept on every loop. */
void bus_publish_take(struct bus *bus, struct bus_event *event);
/* Durable events beyond the offset `from` could not be handed to that loop, though they are in the history: its subscribers are told. Any
 * thread; needs no memory. */
void bus_missed(struct bus *bus, struct loop *loop, int64_t from);
/* Which loops are interested: bit i = loop i (for commit nodes that carry replies and events together). */
uint64_t bus_interest(const struct bus *bus, const struct bus_event *event);
/* False when no loop has a subscriber of that topic: then nothing needs to be made or published. Any thread. */
bool bus_topic_wanted(const struct bus *bus, struct str topic);
/* What a topic's name is found by, on this bus; bus_hash_wanted as bus_topic_wanted. */
uint64_t bus_topic_hash(const struct bus *bus, struct str topic);
bool bus_hash_wanted(const struct bus *bus, uint64_t hash);
/* Delivers on this loop only, borrowing the reference. */
void bus_deliver(struct bus *bus, struct loop *loop, struct bus_event *event);

/* ---- history: the last durable events, for catch-up ---- */
struct bus_history;
enum err bus_history_create(size_t events_max, size_t bytes_max, struct bus_history **out) MUST_USE;
void bus_history_destroy(struct bus_history **history);
/* The writer's thread: adds a durable event (holds it). Offsets grow. */
void bus_history_put(struct bus_history *history, struct bus_event *event);
/* The newest offset put (0: none); what is at or below `*oldest_gone` is no longer held. Any thread. */
int64_t bus_history_last(struct bus_history *history, int64_t *oldest_gone);
/* Holds up to max events with offset > after and <= upto into out, oldest first; returns how many. Any thread. */
size_t bus_history_read(struct bus_history *history, int64_t after, int64_t upto, struct bus_event **out, size_t max);
/* Starts the history as if everything up to offset had been put and dropped (start-up). */
void bus_history_start(struct bus_history *history, int64_t offset);
/* Nothing more comes up to that offset. */
void bus_history_passed(struct bus_history *history, int64_t offset);
/* Drops all of them, from any thread: who catches up is told from the store, as that is now. */
void bus_history_forget(struct bus_history *history);

#endif
