/*
 * tree.h - the hash tree of RFC 6962 (2.1) over the chain hashes of log rows.
 *
 * For:     roots, inclusion and consistency proofs; a tree that grows by one leaf and knows its root.
 * Not for: storing nodes (tree_store.c), signing roots (checkpoint.h).
 * Threads: any; the hash context has one owner.
 * Memory:  the caller's.
 * Errors:  proofs give what the source of nodes gave.
 *
 *   leaf = SHA-256(0 | chain hash)    node = SHA-256(1 | left | right)    the row with sequence s is leaf s - 1
 *
 * Node (level, number) is the root over the leaves number << level to (number + 1) << level, all of them there.
 */
#ifndef GUILD_AUDIT_TREE_H
#define GUILD_AUDIT_TREE_H

#include "base/hash.h"

enum {
	AUDIT_TREE_LEVELS = 62,
	AUDIT_TREE_KEPT = 8,    /* nodes of every eighth level are kept; those between are made again */
	AUDIT_PROOF_MAX = 2 * AUDIT_TREE_LEVELS,
};

/* The full subtrees that size is made of: node[k] is one of 1 << k leaves where bit k of size is set. */
struct audit_tree {
	int64_t size;
	uint8_t node[AUDIT_TREE_LEVELS][HASH_SHA256_BYTES];
};

struct audit_proof {
	unsigned count;
	uint8_t hash[AUDIT_PROOF_MAX][HASH_SHA256_BYTES];
};

/* Told of each node of a kept level when it is full. */
typedef void audit_node_fn(void *ctx, int level, int64_t number, const uint8_t hash[HASH_SHA256_BYTES]);

/* Where proofs get full nodes from. */
struct audit_nodes {
	void *ctx;
	enum err (*get)(void *ctx, int level, int64_t number, uint8_t out[HASH_SHA256_BYTES]);
};

void audit_tree_leaf(struct hash *hash, const uint8_t chain_hash[HASH_SHA256_BYTES], uint8_t out[HASH_SHA256_BYTES]);
void audit_tree_join(struct hash *hash, const uint8_t left[HASH_SHA256_BYTES], const uint8_t right[HASH_SHA256_BYTES],
		     uint8_t out[HASH_SHA256_BYTES]);
/* node_fn may be NULL. */
void audit_tree_append(struct audit_tree *tree, struct hash *hash, const uint8_t leaf[HASH_SHA256_BYTES], audit_node_fn *node_fn, void *ctx);
void audit_tree_root(const struct audit_tree *tree, struct hash *hash, uint8_t out[HASH_SHA256_BYTES]);
/* Makes the tree of that size out of its full nodes. */
enum err audit_tree_load(struct audit_tree *tree, const struct audit_nodes *nodes, int64_t size) MUST_USE;

/* The root of the first size leaves; size > 0. */
enum err audit_root_of(const struct audit_nodes *nodes, struct hash *hash, int64_t size, uint8_t out[HASH_SHA256_BYTES]) MUST_USE;
/* PATH(leaf, D[size]), from the leaf upwards; 0 <= leaf < size. */
enum err audit_proof_inclusion(const struct audit_nodes *nodes, struct hash *hash, int64_t leaf, int64_t size,
			       struct audit_proof *out) MUST_USE;
/* PROOF(from, D[to]); 0 < from <= to. */
enum err audit_proof_consistency(const struct audit_nodes *nodes, struct hash *hash, int64_t from, int64_t to,
				 struct audit_proof *out) MUST_USE;

#endif
