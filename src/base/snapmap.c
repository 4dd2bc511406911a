/*
 * snapmap.c - sorted shards behind atomic pointers, and quiescent-state-based reclamation.
 *
 * A domain counts epochs: each retirement starts one. A reader notes the epoch it last saw at a quiescent
 * point, 0 while it sleeps. A thing retired in epoch e may go when no waking reader's note is below e:
 * that reader passed a quiescent point after the thing was unlinked, so it cannot hold it.
 */
#include "base/snapmap.h"

#include "base/check.h"
#include "base/mem.h"

#define RETIRED_FIRST 1024
/* Slots for retirements that cannot report an error. */
#define RETIRED_SPARE 64

struct snap_entry {
	uint64_t key;
	void *value;
};

struct snap_shard {
	size_t count;
	struct snap_entry entries[];
};

struct retired {
	void *pointer;
	void (*free_fn)(void *pointer);
	uint64_t epoch;
};

/* One cache line each: readers write theirs every turn. */
struct reader {
	_Alignas(64) _Atomic uint64_t seen;
};

struct snap_domain {
	struct reader *readers; /* SNAP_READERS, aligned inside reader_memory */
	void *reader_memory;
	atomic_uint reader_count;
	_Atomic uint64_t epoch;
	struct retired *retired; /* in the order of their epochs */
	size_t retired_count;
	size_t retired_cap;
};

enum err snap_domain_create(struct snap_domain **out)
{
	struct snap_domain *domain = mem_alloc(sizeof(*domain));

	*out = NULL;
	if (!domain) {
		return ERR_MEMORY;
	}
	domain->reader_memory = mem_alloc(sizeof(struct reader) * (SNAP_READERS + 1));
	domain->retired = mem_alloc(sizeof(struct retired) * RETIRED_FIRST);
	if (!domain->reader_memory || !domain->retired) {
		mem_free(domain->reader_memory);
		mem_free(domain->retired);
		mem_free(domain);
		return ERR_MEMORY;
	}
	domain->readers = (struct reader *)(((uintptr_t)domain->reader_memory + 63) & ~(uintptr_t)63);
	domain->retired_cap = RETIRED_FIRST;
	atomic_init(&domain->epoch, 1);
	*out = domain;
	return ERR_OK;
}

void snap_domain_destroy(struct snap_domain **domain)
{
	struct snap_domain *d = *domain;

	if (!d) {
		return;
	}
	for (size_t i = 0; i < d->retired_count; i++) {
		d->retired[i].free_fn(d->retired[i].pointer);
	}
	mem_free(d->retired);
	mem_free(d->reader_memory);
	mem_free(d);
	*domain = NULL;
}

enum err snap_reader_add(struct snap_domain *domain, unsigned *reader)
{
	unsigned number = atomic_load(&domain->reader_count);

	do {
		if (number >= SNAP_READERS) {
			return ERR_LIMIT;
		}
	} while (!atomic_compare_exchange_weak(&domain->reader_count, &number, number + 1));
	*reader = number;
	snap_online(domain, number);
	return ERR_OK;
}

void snap_quiescent(struct snap_domain *domain, unsigned reader)
{
	/* The acquire makes what was unlinked before that epoch invisible from here on. */
	uint64_t epoch = atomic_load_explicit(&domain->epoch, memory_order_acquire);

	atomic_store_explicit(&domain->readers[reader].seen, epoch, memory_order_release);
}

void snap_offline(struct snap_domain *domain, unsigned reader)
{
	atomic_store_explicit(&domain->readers[reader].seen, 0, memory_order_release);
}

void snap_online(struct snap_domain *domain, unsigned reader)
{
	/* Sequentially consistent, as are the loads of shards: either reclamation sees this reader awake, or the
	 * reader sees what was unlinked before reclamation looked. */
	atomic_store(&domain->readers[reader].seen, atomic_load(&domain->epoch));
}

/* The oldest epoch that a waking reader may still be in. */
static uint64_t oldest_seen(struct snap_domain *domain)
{
	unsigned count = atomic_load(&domain->reader_count);
	uint64_t oldest = UINT64_MAX;

	for (unsigned i = 0; i < count; i++) {
		uint64_t seen = atomic_load(&domain->readers[i].seen);
		if (seen != 0 && seen < oldest) {
			oldest = seen;
		}
	}
	return oldest;
}

/* Frees what nobody can hold; only things freed with only_fn, when that is given. */
static void sweep(struct snap_domain *domain, void (*only_fn)(void *pointer))
{
	size_t count = domain->retired_count;
	uint64_t oldest;
	size_t kept = 0;

	if (count == 0) {
		return;
	}
	oldest = oldest_seen(domain);
	for (size_t i = 0; i < count; i++) {
		struct retired old = domain->retired[i];
		if (old.epoch <= oldest && (!only_fn || old.free_fn == only_fn)) {
			old.free_fn(old.pointer);
		} else {
			domain->retired[kept++] = old;
		}
	}
	/* A free function must not retire: its entry would be lost here. */
	check(domain->retired_count == count);
	domain->retired_count = kept;
}

void snap_domain_reclaim(struct snap_domain *domain)
{
	sweep(domain, NULL);
}

static enum err make_room(struct snap_domain *domain, size_t slots)
{
	size_t cap = domain->retired_cap;
	struct retired *grown;

	if (domain->retired_count + slots <= cap) {
		return ERR_OK;
	}
	/* Replaced shards are ours alone; values wait for snap_domain_reclaim, as their owner may still use them. */
	sweep(domain, mem_free);
	if (domain->retired_count + slots <= cap / 2) {
		return ERR_OK;
	}
	grown = mem_grow(domain->retired, cap * 2 * sizeof(*grown));
	if (!grown) {
		return domain->retired_count + slots <= cap ? ERR_OK : ERR_MEMORY;
	}
	domain->retired = grown;
	domain->retired_cap = cap * 2;
	return ERR_OK;
}

static void retire(struct snap_domain *domain, void *pointer, void (*free_fn)(void *pointer))
{
	uint64_t epoch = atomic_fetch_add(&domain->epoch, 1) + 1;

	check(domain->retired_count < domain->retired_cap);
	domain->retired[domain->retired_count++] = (struct retired){pointer, free_fn, epoch};
}

void snap_retire(struct snap_domain *domain, void *pointer, void (*free_fn)(void *pointer))
{
	/* Without memory for the list the thing is never freed: that is better than freeing it under a reader. */
	if (make_room(domain, RETIRED_SPARE) && domain->retired_count == domain->retired_cap) {
		return;
	}
	retire(domain, pointer, free_fn);
}

void snapmap_init(struct snapmap *map, struct snap_domain *domain, size_t entries_max, void (*value_free)(void *value))
{
	map->domain = domain;
	map->value_free = value_free;
	map->count = 0;
	map->entries_max = entries_max;
	for (size_t i = 0; i < SNAP_SHARDS; i++) {
		atomic_init(&map->shards[i], NULL);
	}
}

void snapmap_fini(struct snapmap *map)
{
	for (size_t i = 0; i < SNAP_SHARDS; i++) {
		struct snap_shard *shard = atomic_exchange(&map->shards[i], NULL);
		for (size_t j = 0; shard && map->value_free && j < shard->count; j++) {
			map->value_free(shard->entries[j].value);
		}
		mem_free(shard);
	}
	map->count = 0;
}

static size_t shard_index(uint64_t key)
{
	return (size_t)((key ^ key >> 32) * UINT64_C(0x9E3779B97F4A7C15) >> 54);
}

/* The place of the first entry whose key is not below key. */
static size_t lower_bound(const struct snap_shard *shard, uint64_t key)
{
	size_t from = 0, to = shard ? shard->count : 0;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (shard->entries[middle].key < key) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

void *snapmap_get(const struct snapmap *map, uint64_t key)
{
	const struct snap_shard *shard = atomic_load(&map->shards[shard_index(key)]);
	size_t i = lower_bound(shard, key);

	return shard && i < shard->count && shard->entries[i].key == key ? shard->entries[i].value : NULL;
}

static size_t shard_bytes(size_t entries)
{
	return sizeof(struct snap_shard) + entries * sizeof(struct snap_entry);
}

/* Makes copy one of shard without the `cut` entries at `at`, and with room for `add` entries there. */
static void fill_copy(struct snap_shard *copy, const struct snap_shard *shard, size_t at, size_t cut, size_t add)
{
	size_t count = shard ? shard->count : 0;

	copy->count = count - cut + add;
	if (shard) {
		memcpy(copy->entries, shard->entries, at * sizeof(copy->entries[0]));
		memcpy(copy->entries + at + add, shard->entries + at + cut,
		       (count - at - cut) * sizeof(copy->entries[0]));
	}
}

/* NULL without memory. */
static struct snap_shard *copy_shard(const struct snap_shard *shard, size_t at, size_t cut, size_t add)
{
	struct snap_shard *copy = mem_alloc(shard_bytes((shard ? shard->count : 0) - cut + add));

	if (copy) {
		fill_copy(copy, shard, at, cut, add);
	}
	return copy;
}

/* Publishes shard in place of old and retires what that replaced. Room was made before. */
static void publish(struct snapmap *map, size_t index, struct snap_shard *shard, struct snap_shard *old, void *value)
{
	atomic_store(&map->shards[index], shard);
	if (old) {
		snap_retire(map->domain, old, mem_free);
	}
	if (value && map->value_free) {
		snap_retire(map->domain, value, map->value_free);
	}
}

enum err snapmap_put(struct snapmap *map, uint64_t key, void *value)
{
	size_t index = shard_index(key);
	struct snap_shard *old = atomic_load(&map->shards[index]);
	size_t at = lower_bound(old, key);
	bool replaces = old && at < old->count && old->entries[at].key == key;
	void *replaced = replaces && old->entries[at].value != value ? old->entries[at].value : NULL;
	struct snap_shard *shard;

	check(value);
	if (!replaces && map->count >= map->entries_max) {
		return ERR_LIMIT;
	}
	if (make_room(map->domain, RETIRED_SPARE)) {
		return ERR_MEMORY;
	}
	shard = copy_shard(old, at, replaces, 1);
	if (!shard) {
		return ERR_MEMORY;
	}
	shard->entries[at] = (struct snap_entry){key, value};
	map->count += !replaces;
	publish(map, index, shard, old, replaced);
	return ERR_OK;
}

enum err snapmap_remove(struct snapmap *map, uint64_t key)
{
	size_t index = shard_index(key);
	struct snap_shard *old = atomic_load(&map->shards[index]);
	size_t at = lower_bound(old, key);
	struct snap_shard *shard = NULL;

	if (!old || at == old->count || old->entries[at].key != key) {
		return ERR_OK;
	}
	if (make_room(map->domain, RETIRED_SPARE)) {
		return ERR_MEMORY;
	}
	if (old->count > 1) {
		shard = copy_shard(old, at, 1, 0);
		if (!shard) {
			return ERR_MEMORY;
		}
	}
	map->count--;
	publish(map, index, shard, old, old->entries[at].value);
	return ERR_OK;
}

struct snap_shard *snapmap_room(const struct snapmap *map, uint64_t key, size_t before)
{
	const struct snap_shard *shard = atomic_load(&map->shards[shard_index(key)]);

	return mem_alloc(shard_bytes((shard ? shard->count : 0) + before + 1));
}

bool snapmap_same_shard(uint64_t one, uint64_t other)
{
	return shard_index(one) == shard_index(other);
}

void snapmap_change(struct snapmap *map, uint64_t key, void *value, struct snap_shard *room)
{
	size_t index = shard_index(key);
	struct snap_shard *old = atomic_load(&map->shards[index]);
	size_t at = lower_bound(old, key);
	bool there = old && at < old->count && old->entries[at].key == key;
	void *replaced = there && old->entries[at].value != value ? old->entries[at].value : NULL;

	if (!there && !value) {
		mem_free(room);
		return;
	}
	check(there || map->count < map->entries_max);
	fill_copy(room, old, at, there, value ? 1 : 0);
	if (value) {
		room->entries[at] = (struct snap_entry){key, value};
	}
	map->count += (size_t)(value != NULL) - (size_t)there;
	publish(map, index, room, old, replaced);
}
