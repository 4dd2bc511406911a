/*
 * audit_priv.h - what the files of audit/ share.
 *
 * For:     what the hashes are made of, the bytes that are signed, the tables of checkpoints and nodes.
 * Not for: other folders.
 * Threads: hash has one owner; the tables on the connection's owner.
 * Memory:  none.
 */
#ifndef GUILD_AUDIT_AUDIT_PRIV_H
#define GUILD_AUDIT_AUDIT_PRIV_H

#include "audit/tree_store.h"
#include "base/hash.h"
#include "db/log.h"

void audit_put_be64(uint8_t *out, int64_t value);
/* Of the canonical entry; of none: SHA-256 of nothing. */
void audit_hash_entry(struct hash *hash, struct str entry, uint8_t out[HASH_SHA256_BYTES]);
/* The chain hash of a row that follows one whose chain hash is prev; row->entry_hash is taken as it is. */
void audit_hash_link(struct hash *hash, const uint8_t prev[HASH_SHA256_BYTES], const struct log_row *row, uint8_t out[HASH_SHA256_BYTES]);

enum { AUDIT_SIGNED_BYTES = 25 + 24 + 2 * HASH_SHA256_BYTES };
void audit_checkpoint_bytes(const struct audit_checkpoint *checkpoint, uint8_t out[AUDIT_SIGNED_BYTES]);

/* ---- tree_store.c ---- */
struct audit_node {
	int level;
	int64_t number;
	uint8_t hash[HASH_SHA256_BYTES];
};
/* Writer. */
enum err audit_checkpoint_insert(struct db *db, const struct audit_checkpoint *checkpoint) MUST_USE;
enum err audit_node_insert(struct db *db, const struct audit_node *node) MUST_USE;
typedef enum err audit_hash_fn(int64_t number, const uint8_t hash[HASH_SHA256_BYTES], void *arg);
/* Chain hashes of the rows with a greater sequence than after; kept nodes of a level from number first on. */
enum err audit_log_hashes(struct db *db, int64_t after, int limit, audit_hash_fn *hash_fn, void *arg) MUST_USE;
enum err audit_kept_nodes(struct db *db, int level, int64_t first, int limit, audit_hash_fn *hash_fn, void *arg) MUST_USE;

#endif
