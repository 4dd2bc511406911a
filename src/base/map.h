/*
 * map.h - hash map from a 64-bit key to a pointer, one owner.
 *
 * For:     tables of one thread: running executions by id, topics by hash.
 * Not for: tables read by other threads (snapmap.h); iteration in an order that matters.
 * Threads: one owner.
 * Memory:  open addressing with linear probing, power of two, grows at 3/4 full, up to entries_max
 *          (ERR_LIMIT). Values are borrowed.
 * For text keys, use map_hash(seed, text) as the key and let the value hold a chain: compare the text there.
 */
#ifndef GUILD_BASE_MAP_H
#define GUILD_BASE_MAP_H

#include "base/err.h"

struct map_slot {
	uint64_t key;
	void *value;
};

struct map {
	struct map_slot *slots;
	size_t slot_count;
	size_t count;
	size_t entries_max;
};

void map_init(struct map *map, size_t entries_max);
void map_fini(struct map *map);
/* NULL when absent. */
void *map_get(const struct map *map, uint64_t key);
/* Puts or replaces; value must not be NULL. ERR_LIMIT, ERR_MEMORY. */
enum err map_put(struct map *map, uint64_t key, void *value) MUST_USE;
/* The removed value, NULL when absent. */
void *map_remove(struct map *map, uint64_t key);
/* Walks all entries in slot order; start with *cursor = 0; false at the end. Do not change the map meanwhile. */
bool map_next(const struct map *map, size_t *cursor, uint64_t *key, void **value);

struct siphash_key {
	uint64_t k0, k1;
};
/* SipHash-2-4 (Aumasson, Bernstein 2012). */
uint64_t map_hash(const struct siphash_key *seed, struct str text);

#endif
