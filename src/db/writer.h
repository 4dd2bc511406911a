/*
 * writer.h - the one thread that changes the store: group commit.
 *
 * For:     running jobs' apply parts in shared transactions and telling their homes when they are on disk.
 * Not for: what jobs mean (command/); reading (reader.h).
 * Threads: writer_push from any; writer_turn on the writer's thread. apply and hooks run on the writer's thread, done on the
 *          job's home loop.
 * Memory:  a job belongs to the writer from a successful push until done (or hooks.finish) gets it back. Nothing is copied.
 * Errors:  writer_push: ERR_OVERLOADED when full or too far behind, ERR_GOING_AWAY after writer_stop; the job then never runs.
 *
 *   push -> [queue] -> BEGIN - apply, apply, ... (<= 512 jobs or 5 ms) - before_commit - COMMIT -> finish(jobs) -> homes
 *                          an error after a write: ROLLBACK, then the same jobs again, each in a SAVEPOINT
 */
#ifndef GUILD_DB_WRITER_H
#define GUILD_DB_WRITER_H

#include "db/db.h"
#include "base/queue.h"
#include "loop/loop.h"

struct writer;
struct write_job;

struct write_job {
	struct queue_node node;
	struct loop_note note;       /* used by whoever hands the job back */
	/* SQL only, bounded; may run again after a rollback, so it changes nothing outside the database that `rolled_back`
	 * does not undo. A refusal returns its error before the first write. */
	enum err (*apply)(struct write_job *job, struct db *db);
	/* On home, after the commit or the failure; result is set. */
	void (*done)(struct write_job *job);
	struct loop *home;           /* NULL: done runs on the writer's thread */
	enum err result;
	bool reserved;               /* its room was set aside before: push never answers ERR_OVERLOADED */
	bool sweep;                  /* second lane: one per batch, after the interactive ones */
	bool between;                /* no transaction: apply runs alone between two batches, and its result is the job's */
	struct write_job *batch_next; /* the writer's own: next job of the batch in commit order */
};

struct writer_hooks {
	void *ctx;
	/* Before the first apply of a transaction. */
	void (*begun)(void *ctx, struct db *db);
	/* After the last apply: coalesced rows are written here. */
	enum err (*before_commit)(void *ctx, struct db *db);
	/* The transaction is undone: overlays in memory go back to what they were at begun. */
	void (*rolled_back)(void *ctx);
	/* Savepoint mode only: before a job, and after its part was undone. */
	void (*job_begun)(void *ctx);
	void (*job_undone)(void *ctx);
	/* The batch is over (committed, or all refused); jobs are linked by batch_next in commit order, each with its result.
	 * Takes over the jobs: it must see to it that done runs at each home. committed: the transaction is on disk. */
	void (*finish)(void *ctx, struct write_job *jobs, bool committed);
};

struct writer_options {
	const struct env *env;
	const char *path;
	const struct writer_hooks *hooks; /* NULL members are skipped; finish NULL: writer_jobs_return */
	int64_t checkpoint_bytes;         /* write-ahead log size that starts a checkpoint; 0: 64 MiB */
};

/* Opens the connection and migrates. detail: at least 256 bytes. */
enum err writer_create(const struct writer_options *options, struct writer **out, char *detail) MUST_USE;
/* Runs what is queued, closes. The thread must have ended. */
void writer_destroy(struct writer **writer);
/* The writer's connection, for start-up work before the thread runs. */
struct db *writer_db(struct writer *writer);

/* A `reserved` job that is refused (only after writer_stop) leaves its room with the caller. */
enum err writer_push(struct writer *writer, struct write_job *job) MUST_USE;
/* Sets aside room for a later push with `reserved` (counts in the queue's cap). ERR_OVERLOADED. */
enum err writer_reserve(struct writer *writer) MUST_USE;
void writer_unreserve(struct writer *writer);
/* Jobs waiting. */
int64_t writer_queued(const struct writer *writer);
/* Expected wait of a new job, microseconds. */
int64_t writer_wait_us(const struct writer *writer);

/* Runs at most one batch; false when there was nothing to do. Never blocks but on the disk. With nothing to do and a store that failed
 * before it tries that once a second, so that it is known to work again before somebody needs it. */
bool writer_turn(struct writer *writer);
/* Starts and joins the thread that waits and turns. */
enum err writer_start(struct writer *writer) MUST_USE;
void writer_stop(struct writer *writer); /* refuses new jobs, finishes the queue, joins */

/* What finish does when there is no hook: posts each job's done to its home, in order. */
void writer_jobs_return(struct write_job *jobs);
/* True on the writer's thread. */
bool writer_is_current(const struct writer *writer);

#endif
