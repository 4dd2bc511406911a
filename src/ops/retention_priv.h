/*
 * retention_priv.h - how long things are kept: one step of erasing what is over.
 *
 * For:     retention.c, the store's own tests.
 * Not for: content that somebody asks to have erased (erase.c).
 * Threads: measure on a reader, erase on the writer.
 * Memory:  plain data; a step may run again after a rollback, so it only sets its own results.
 *
 * An event is the part of a log row that says what happened to listeners: type, data, topics. Erased, the row stays with its audit entry
 * and its place in the chain, whose hashes do not cover the event. Up to log_events_gone nothing is left: who asks from before meets a gap.
 */
#ifndef GUILD_OPS_RETENTION_PRIV_H
#define GUILD_OPS_RETENTION_PRIV_H

#include "base/id.h"
#include "command/quota.h"
#include "db/db.h"

enum { RETENTION_ROWS_READ = 1000, RETENTION_ROWS_ERASED = 100 };

struct retention_events {
	int64_t before_us;  /* older ones are over; 0: none is by its age */
	int64_t bytes_over; /* so many bytes of the oldest are over by their size */
	int64_t last;       /* nothing beyond this row is looked at: what was not measured is not erased */
	int64_t after;      /* measure: reached before */
	int64_t upto, bytes, rows, erased; /* results */
	bool more;
};
/* How much the events of the next rows take. */
enum err retention_events_measure(struct db *db, struct retention_events *events) MUST_USE;
enum err retention_events_erase(struct db *db, struct retention_events *events) MUST_USE;

struct retention_tokens {
	int64_t before_us; /* streams that ended before */
	int64_t after;     /* execution reached before */
	int64_t reached, erased; /* results */
	bool more;
};
/* The batches of streams that are over; their text and numbers are in the run's own row. */
enum err retention_tokens_erase(struct db *db, struct retention_tokens *tokens) MUST_USE;

struct retention_executions {
	int64_t before_us; /* runs that ended before; 0: none */
	int64_t after;     /* run reached before */
	struct quota *quota;
	int64_t reached, rows, erased; /* results */
	bool more;
};
/* Runs with all that is theirs. */
enum err retention_executions_erase(struct db *db, struct retention_executions *executions) MUST_USE;

struct retention_audit {
	int64_t before_us; /* entries written before; 0: none */
	int64_t after, upto, rows, erased; /* results */
	bool more;
};
/* The content of entries; rows and hashes stay. */
enum err retention_audit_erase(struct db *db, struct retention_audit *audit) MUST_USE;

#endif
