/*
 * notary.h - signs the state of the log every so many rows, every so often, and at the stop.
 *
 * For:     making checkpoints and keeping the tree's nodes, off the way of whoever writes.
 * Not for: checking them (audit.h).
 * Threads: audit_notary_committed on the writer's thread; the rest on the first loop's, or where no thread runs.
 * Memory:  owns the key and a file descriptor.
 * Errors:  a checkpoint that cannot be made is logged and tried again; nothing waits for it.
 *
 *   IDLE     every row is covered
 *   WAITING  rows are not, and the time, or their number, has not come
 *   READING  on a reader: their hashes are read, the root is signed and appended to the file
 *   WRITING  in the writer's second lane: checkpoint and nodes go into the store
 *
 *   committed: IDLE -> WAITING -> READING -> WRITING -> IDLE or WAITING            an error: -> WAITING
 *
 * The file comes first, so that it is never behind the table. The rows were visible to a reader, so they are on disk.
 */
#ifndef GUILD_AUDIT_NOTARY_H
#define GUILD_AUDIT_NOTARY_H

#include "audit/checkpoint.h"
#include "db/reader.h"
#include "db/writer.h"

struct audit_notary;

struct audit_notary_options {
	const struct env *env;
	const char *dir;
	int64_t epoch;
	int64_t rows;     /* a checkpoint after so many, */
	int64_t every_us; /* or so long after the first one that is not covered */
	struct loop *loop;
	struct writer *writer;
	struct reader_pool *readers;
};

/* Opens the key (made on first start) and the file, reads the newest checkpoint. Before the writer's thread runs. detail: 256 bytes. */
enum err audit_notary_create(const struct audit_notary_options *options, struct audit_notary **out, char *detail) MUST_USE;
void audit_notary_destroy(struct audit_notary **notary);
/* The threads run: rows of an earlier life are covered too. */
void audit_notary_start(struct audit_notary *notary);
/* The log has grown to seq, on disk. */
void audit_notary_committed(struct audit_notary *notary, int64_t seq);
/* The threads of loop, writer and readers have ended: covers what is left. */
void audit_notary_stop(struct audit_notary *notary);

#endif
