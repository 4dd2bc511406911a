/* tree.c - the hash tree of RFC 6962: growing, roots, proofs. */
#include "audit/tree.h"

#include "base/check.h"

void audit_tree_leaf(struct hash *hash, const uint8_t chain_hash[HASH_SHA256_BYTES], uint8_t out[HASH_SHA256_BYTES])
{
	uint8_t bytes[1 + HASH_SHA256_BYTES] = {0};
	memcpy(bytes + 1, chain_hash, HASH_SHA256_BYTES);
	hash_begin(hash);
	hash_put(hash, bytes, sizeof(bytes));
	hash_end(hash, out);
}

void audit_tree_join(struct hash *hash, const uint8_t left[HASH_SHA256_BYTES], const uint8_t right[HASH_SHA256_BYTES],
		     uint8_t out[HASH_SHA256_BYTES])
{
	uint8_t bytes[1 + 2 * HASH_SHA256_BYTES] = {1};
	memcpy(bytes + 1, left, HASH_SHA256_BYTES);
	memcpy(bytes + 1 + HASH_SHA256_BYTES, right, HASH_SHA256_BYTES);
	hash_begin(hash);
	hash_put(hash, bytes, sizeof(bytes));
	hash_end(hash, out);
}

void audit_tree_append(struct audit_tree *tree, struct hash *hash, const uint8_t leaf[HASH_SHA256_BYTES], audit_node_fn *node_fn, void *ctx)
{
	uint8_t node[HASH_SHA256_BYTES];
	int level = 0;
	memcpy(node, leaf, HASH_SHA256_BYTES);
	while ((tree->size >> level & 1) != 0) {
		audit_tree_join(hash, tree->node[level], node, node);
		level++;
		if (level % AUDIT_TREE_KEPT == 0 && node_fn != NULL) {
			node_fn(ctx, level, tree->size >> level, node);
		}
	}
	check(level < AUDIT_TREE_LEVELS);
	memcpy(tree->node[level], node, HASH_SHA256_BYTES);
	tree->size++;
}

void audit_tree_root(const struct audit_tree *tree, struct hash *hash, uint8_t out[HASH_SHA256_BYTES])
{
	bool begun = false;
	for (int level = 0; level < AUDIT_TREE_LEVELS; level++) {
		if ((tree->size >> level & 1) == 0) {
			continue;
		}
		if (begun) {
			audit_tree_join(hash, tree->node[level], out, out);
		} else {
			memcpy(out, tree->node[level], HASH_SHA256_BYTES);
		}
		begun = true;
	}
	if (!begun) {
		hash_begin(hash);
		hash_end(hash, out);
	}
}

enum err audit_tree_load(struct audit_tree *tree, const struct audit_nodes *nodes, int64_t size)
{
	enum err err = ERR_OK;
	int64_t first = 0; /* leaf that the next subtree begins with */
	*tree = (struct audit_tree){.size = size};
	for (int level = AUDIT_TREE_LEVELS - 1; level >= 0 && err == ERR_OK; level--) {
		if ((size >> level & 1) != 0) {
			err = nodes->get(nodes->ctx, level, first >> level, tree->node[level]);
			first += INT64_C(1) << level;
		}
	}
	return err;
}

/* ---- proofs ---- */

/* The level of the greatest full subtree that is smaller than count leaves; count > 1. */
static int level_below(int64_t count)
{
	return 63 - __builtin_clzll((unsigned long long)(count - 1));
}

/* MTH of count leaves from first on, which is a multiple of every full subtree's size in there. */
static enum err range_hash(const struct audit_nodes *nodes, struct hash *hash, int64_t first, int64_t count, uint8_t out[HASH_SHA256_BYTES])
{
	uint8_t parts[AUDIT_TREE_LEVELS][HASH_SHA256_BYTES];
	int n = 0;
	for (int level = AUDIT_TREE_LEVELS - 1; level >= 0; level--) {
		if ((count >> level & 1) != 0) {
			enum err err = nodes->get(nodes->ctx, level, first >> level, parts[n++]);
			if (err != ERR_OK) {
				return err;
			}
			first += INT64_C(1) << level;
		}
	}
	check(n > 0);
	memcpy(out, parts[--n], HASH_SHA256_BYTES);
	while (n > 0) {
		audit_tree_join(hash, parts[--n], out, out);
	}
	return ERR_OK;
}

enum err audit_root_of(const struct audit_nodes *nodes, struct hash *hash, int64_t size, uint8_t out[HASH_SHA256_BYTES])
{
	check(size > 0);
	return range_hash(nodes, hash, 0, size, out);
}

static void reverse(struct audit_proof *proof)
{
	for (unsigned i = 0; i < proof->count / 2; i++) {
		uint8_t kept[HASH_SHA256_BYTES];
		memcpy(kept, proof->hash[i], HASH_SHA256_BYTES);
		memcpy(proof->hash[i], proof->hash[proof->count - 1 - i], HASH_SHA256_BYTES);
		memcpy(proof->hash[proof->count - 1 - i], kept, HASH_SHA256_BYTES);
	}
}

/* A way down from the root: the part it has come to. */
struct descent {
	int64_t first, count;
};

/* Goes on into one half, and notes the root of the other. */
static enum err halve(const struct audit_nodes *nodes, struct hash *hash, struct descent *at, bool left, struct audit_proof *out)
{
	int64_t half = INT64_C(1) << level_below(at->count);
	enum err err = left ? range_hash(nodes, hash, at->first + half, at->count - half, out->hash[out->count])
			    : range_hash(nodes, hash, at->first, half, out->hash[out->count]);
	out->count++;
	at->first += left ? 0 : half;
	at->count = left ? half : at->count - half;
	return err;
}

enum err audit_proof_inclusion(const struct audit_nodes *nodes, struct hash *hash, int64_t leaf, int64_t size, struct audit_proof *out)
{
	struct descent at = {0, size};
	enum err err = ERR_OK;
	check(leaf >= 0 && leaf < size);
	out->count = 0;
	while (err == ERR_OK && at.count > 1) {
		err = halve(nodes, hash, &at, leaf - at.first < INT64_C(1) << level_below(at.count), out);
	}
	reverse(out);
	return err;
}

enum err audit_proof_consistency(const struct audit_nodes *nodes, struct hash *hash, int64_t from, int64_t to, struct audit_proof *out)
{
	struct descent at = {0, to};
	bool whole = true; /* what is left is the old tree itself, whose root the reader has */
	enum err err = ERR_OK;
	check(from > 0 && from <= to);
	out->count = 0;
	while (err == ERR_OK && from - at.first != at.count) {
		bool left = from - at.first <= INT64_C(1) << level_below(at.count);
		err = halve(nodes, hash, &at, left, out);
		whole = whole && left;
	}
	if (err == ERR_OK && !whole) {
		err = range_hash(nodes, hash, at.first, at.count, out->hash[out->count]);
		out->count++;
	}
	reverse(out);
	return err;
}
