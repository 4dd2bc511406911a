/*
 * stream_log.h - the numbered events of one execution.
 *
 * For:     adding deltas, and making the event of any number again: live, kept in memory, or read back from the store.
 * Not for: delivery (bus/, viewer.c); deciding how a run ends (flow.c).
 * Threads: one owner at a time.
 * Memory:  text and item table are the log's own, capped; the strs of stream_ids and stream_end are borrowed and outlive the log.
 *
 *   seq:   1 start | 2 .. n+1 updates, one per delta | n+2 complete or error
 *          a run that ended before it started has one event: 1 error
 */
#ifndef GUILD_EXECUTION_STREAM_LOG_H
#define GUILD_EXECUTION_STREAM_LOG_H

#include "base/buf.h"
#include "base/frame.h"
#include "bus/bus.h"

struct stream_item {
	uint32_t end;            /* offset behind this delta in text */
	uint32_t tokens_so_far;  /* estimated: sum of max(1, ceil(code points / 4)) */
};

/* What every event of the run repeats. */
struct stream_ids {
	struct str execution, message, session, agent, agent_name, provider, model;
};

/* How it ended. */
struct stream_end {
	bool completed;
	enum err err;               /* of an error event */
	struct str error;           /* generic sentence */
	struct str finish_reason;
	bool truncated;
	int64_t last_durable_seq;   /* of an interrupted one; 0: not said */
	int64_t tokens_in, tokens_out, cost_micro;
	bool estimated, cost_unknown;
	char text_sha256[65];
};

struct stream_log {
	struct stream_ids ids;
	struct stream_end end;
	struct buf text;
	struct stream_item *items;
	size_t count, cap;
	int64_t epoch;
	bool started, ended;
	bool durable;            /* deltas are seen when they were shown, else at once */
	size_t shown;            /* of the items, when durable */
};

void stream_log_init(struct stream_log *log, size_t text_bytes_max);
void stream_log_fini(struct stream_log *log);
/* Adds one delta. ERR_LIMIT: the text would pass its cap; ERR_MEMORY. Nothing is added then. */
enum err stream_log_add(struct stream_log *log, struct str delta) MUST_USE;
/* Rebuilds deltas from text and their LEB128 lengths. ERR_CORRUPT when they do not fit. */
enum err stream_log_restore(struct stream_log *log, struct str text, struct str delta_lens) MUST_USE;
/* Appends the LEB128 lengths of deltas from index on. */
void stream_log_lens(const struct stream_log *log, size_t from, struct buf *out);
/* Text of deltas from index on. */
struct str stream_log_text(const struct stream_log *log, size_t from);
/* The greatest number that may be seen. */
int64_t stream_log_seq_last(const struct stream_log *log);
/* The greatest number whose text is kept when the run is over: of the last delta, or of the start; 0: it never started. */
int64_t stream_log_seq_kept(const struct stream_log *log);
/* Durable: the first `shown` items are on disk and may be seen. */
void stream_log_show(struct stream_log *log, size_t shown);
/* Durable: forgets what nobody has seen, because it will never be on disk. */
void stream_log_cut(struct stream_log *log);
int64_t stream_log_tokens(const struct stream_log *log);
/* "streaming:update" ...; seq within 1..seq_last. */
struct str stream_log_type(const struct stream_log *log, int64_t seq);
/* Appends the event's JSON. */
void stream_log_json(const struct stream_log *log, int64_t seq, struct buf *out);
/* "<execution>:<epoch>:<seq>", NUL-terminated in out. */
void stream_log_event_id(const struct stream_log *log, int64_t seq, char out[80]);
/* Appends the events from seq to upto as an event stream, or as many of them as make STREAM_PIECE_BYTES; returns the last one's number. */
#define STREAM_PIECE_BYTES 65536
int64_t stream_log_sse(const struct stream_log *log, int64_t seq, int64_t upto, struct buf *out);
/* A frame of that event, one reference; NULL without memory. */
struct frame *stream_log_frame(const struct stream_log *log, int64_t seq, enum bus_form form);
/* Estimated tokens of one delta. */
int64_t stream_tokens(struct str delta);

#endif
