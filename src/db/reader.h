/*
 * reader.h - queries on threads of their own.
 *
 * For:     reading the committed store without holding up a loop.
 * Not for: reading one's own uncommitted writes; transactions longer than one job (50 ms wanted).
 * Threads: reader_push from any; run on a reader's thread, which may look into snapshot maps meanwhile; done on the job's home loop.
 * Memory:  a job belongs to the pool from a successful push until done.
 * Errors:  ERR_OVERLOADED when LIMIT_READER_JOBS wait, ERR_GOING_AWAY after reader_stop.
 */
#ifndef GUILD_DB_READER_H
#define GUILD_DB_READER_H

#include "base/snapmap.h"
#include "db/db.h"
#include "loop/loop.h"

struct reader_pool;

struct read_job {
	struct queue_node node;
	struct loop_note note;
	/* Runs inside one read transaction, so that all its queries see the same state. Puts results into the job's own memory. */
	enum err (*run)(struct read_job *job, struct db *db);
	void (*done)(struct read_job *job); /* on home; result is set */
	struct loop *home;
	enum err result;
};

/* Opens `threads` read connections (2..4). snap: the domain of the maps that jobs may read; NULL: none. */
enum err reader_create(const struct env *env, struct snap_domain *snap, const char *path, unsigned threads, struct reader_pool **out,
		       char *detail) MUST_USE;
void reader_destroy(struct reader_pool **pool);
enum err reader_push(struct reader_pool *pool, struct read_job *job) MUST_USE;
/* Runs one waiting job on connection `number`; false when none waits. */
bool reader_turn(struct reader_pool *pool, unsigned number);
enum err reader_start(struct reader_pool *pool) MUST_USE;
void reader_stop(struct reader_pool *pool);

#endif
