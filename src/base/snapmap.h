/*
 * snapmap.h - a map that one thread changes and all threads read without a lock.
 *
 * For:     read-mostly tables: agents, principals, tokens, policy.
 * Not for: tables that change as often as they are read.
 * Threads: snapmap_put, _remove and snap_domain_reclaim on the one changing thread (the writer, or start-up);
 *          snapmap_get on registered readers, between two calls of snap_quiescent of that reader.
 * Memory:  1024 shards, each an immutable sorted array behind an atomic pointer; a change copies one shard.
 *          What is replaced is retired, and freed when every reader has been quiescent since
 *          (quiescent-state-based reclamation; McKenney, Slingwine 1998). Values are freed by value_free.
 */
#ifndef GUILD_BASE_SNAPMAP_H
#define GUILD_BASE_SNAPMAP_H

#include <stdatomic.h>

#include "base/err.h"

#define SNAP_SHARDS 1024
#define SNAP_READERS 80

struct snap_domain; /* the readers of a process and what waits to be freed */
struct snap_shard;

struct snapmap {
	struct snap_domain *domain;
	void (*value_free)(void *value); /* NULL: values are not owned */
	size_t count;
	size_t entries_max;
	_Atomic(struct snap_shard *) shards[SNAP_SHARDS];
};

enum err snap_domain_create(struct snap_domain **out) MUST_USE;
/* All readers must have ended. Frees everything retired. */
void snap_domain_destroy(struct snap_domain **domain);
/* A number for a new reader thread, 0..SNAP_READERS-1; ERR_LIMIT. Any thread. */
enum err snap_reader_add(struct snap_domain *domain, unsigned *reader) MUST_USE;
/* The reader holds no pointer from any snapmap of the domain. Called once a turn. */
void snap_quiescent(struct snap_domain *domain, unsigned reader);
/* The reader sleeps (holds nothing until snap_online); a sleeping reader never delays reclamation. */
void snap_offline(struct snap_domain *domain, unsigned reader);
void snap_online(struct snap_domain *domain, unsigned reader);
/* Frees what no reader can still hold. */
void snap_domain_reclaim(struct snap_domain *domain);
/* Frees pointer with free_fn after all readers were quiescent. */
void snap_retire(struct snap_domain *domain, void *pointer, void (*free_fn)(void *pointer));

void snapmap_init(struct snapmap *map, struct snap_domain *domain, size_t entries_max, void (*value_free)(void *value));
void snapmap_fini(struct snapmap *map);
/* NULL when absent. No lock, no allocation. */
void *snapmap_get(const struct snapmap *map, uint64_t key);
/* Puts or replaces (the old value is retired); value not NULL. On error nothing changed. ERR_MEMORY, ERR_LIMIT. */
enum err snapmap_put(struct snapmap *map, uint64_t key, void *value) MUST_USE;
/* Removes and retires; harmless when absent. ERR_MEMORY. */
enum err snapmap_remove(struct snapmap *map, uint64_t key) MUST_USE;

/* For changes that may not fail: room for one of key, when at most `before` others of its shard come first. NULL without memory; mem_free gives
 * back what is not wanted. The room of a key serves all keys of its shard. */
struct snap_shard *snapmap_room(const struct snapmap *map, uint64_t key, size_t before);
bool snapmap_same_shard(uint64_t one, uint64_t other);
/* Puts or replaces, with value NULL removes; takes room over. More entries than the map may have abort. */
void snapmap_change(struct snapmap *map, uint64_t key, void *value, struct snap_shard *room);

#endif
