/*
 * tree_store.h - the tree and its checkpoints as the store has them.
 *
 * For:     proofs for readers, the newest checkpoints.
 * Not for: writing them (notary.h).
 * Threads: on the connection's owner.
 * Memory:  the caller's.
 */
#ifndef GUILD_AUDIT_TREE_STORE_H
#define GUILD_AUDIT_TREE_STORE_H

#include "audit/checkpoint.h"
#include "audit/tree.h"
#include "db/db.h"

/* The context of audit_node_get. */
struct audit_reader {
	struct db *db;
	struct hash *hash;
};
/* For struct audit_nodes: any full node that a checkpoint covers, out of kept ones and the log; at most 255 rows are read.
 * ERR_CORRUPT when one of these is missing. */
enum err audit_node_get(void *reader, int level, int64_t number, uint8_t out[HASH_SHA256_BYTES]) MUST_USE;

/* ERR_NOT_FOUND. */
enum err audit_checkpoint_last(struct db *db, struct audit_checkpoint *out) MUST_USE;
/* The next one with a greater size. ERR_NOT_FOUND. */
enum err audit_checkpoint_next(struct db *db, int64_t after, struct audit_checkpoint *out) MUST_USE;

#endif
