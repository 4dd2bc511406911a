/* map.c - open addressing with linear probing and backward-shift removal; SipHash-2-4. */
#include "base/map.h"

#include <endian.h>

#include "base/check.h"
#include "base/mem.h"

#define SLOTS_FIRST 16

void map_init(struct map *map, size_t entries_max)
{
	*map = (struct map){.entries_max = entries_max};
}

void map_fini(struct map *map)
{
	mem_free(map->slots);
	*map = (struct map){.entries_max = map->entries_max};
}

/* Keys are often made of time and counters: the multiplication spreads them over the upper bits. */
static size_t home(uint64_t key, size_t slot_count)
{
	uint64_t mixed = (key ^ (key >> 32)) * UINT64_C(0x9E3779B97F4A7C15);

	return (size_t)(mixed ^ (mixed >> 32)) & (slot_count - 1);
}

/* The slot that holds key, or the free one where it belongs. There always is a free one. */
static struct map_slot *find(struct map_slot *slots, size_t slot_count, uint64_t key)
{
	size_t i = home(key, slot_count);

	while (slots[i].value && slots[i].key != key) {
		i = (i + 1) & (slot_count - 1);
	}
	return &slots[i];
}

void *map_get(const struct map *map, uint64_t key)
{
	return map->slots ? find(map->slots, map->slot_count, key)->value : NULL;
}

static enum err grow(struct map *map)
{
	size_t slot_count = map->slot_count ? map->slot_count * 2 : SLOTS_FIRST;
	struct map_slot *slots;

	if (slot_count > SIZE_MAX / 2 / sizeof(*slots)) {
		return ERR_LIMIT;
	}
	slots = mem_alloc(slot_count * sizeof(*slots));
	if (!slots) {
		return ERR_MEMORY;
	}
	for (size_t i = 0; i < map->slot_count; i++) {
		if (map->slots[i].value) {
			*find(slots, slot_count, map->slots[i].key) = map->slots[i];
		}
	}
	mem_free(map->slots);
	map->slots = slots;
	map->slot_count = slot_count;
	return ERR_OK;
}

enum err map_put(struct map *map, uint64_t key, void *value)
{
	struct map_slot *slot = map->slots ? find(map->slots, map->slot_count, key) : NULL;

	check(value);
	if (slot && slot->value) {
		slot->value = value;
		return ERR_OK;
	}
	if (map->count >= map->entries_max) {
		return ERR_LIMIT;
	}
	if (!slot || (map->count + 1) * 4 > map->slot_count * 3) {
		enum err err = grow(map);
		if (err) {
			return err;
		}
		slot = find(map->slots, map->slot_count, key);
	}
	*slot = (struct map_slot){key, value};
	map->count++;
	return ERR_OK;
}

void *map_remove(struct map *map, uint64_t key)
{
	size_t mask = map->slot_count - 1;
	struct map_slot *slot = map->slots ? find(map->slots, map->slot_count, key) : NULL;
	void *value = slot ? slot->value : NULL;
	size_t hole;

	if (!value) {
		return NULL;
	}
	hole = (size_t)(slot - map->slots);
	for (size_t i = (hole + 1) & mask; map->slots[i].value; i = (i + 1) & mask) {
		size_t wanted = home(map->slots[i].key, map->slot_count);
		/* An entry may move into the hole only when that is not before its home. */
		if (((i - wanted) & mask) >= ((i - hole) & mask)) {
			map->slots[hole] = map->slots[i];
			hole = i;
		}
	}
	map->slots[hole] = (struct map_slot){0, NULL};
	map->count--;
	return value;
}

bool map_next(const struct map *map, size_t *cursor, uint64_t *key, void **value)
{
	while (*cursor < map->slot_count) {
		const struct map_slot *slot = &map->slots[(*cursor)++];
		if (slot->value) {
			*key = slot->key;
			*value = slot->value;
			return true;
		}
	}
	return false;
}

static inline uint64_t rotate(uint64_t x, unsigned bits)
{
	return (x << bits) | (x >> (64 - bits));
}

static inline void sip_rounds(uint64_t v[4], unsigned rounds)
{
	for (unsigned i = 0; i < rounds; i++) {
		v[0] += v[1];
		v[1] = rotate(v[1], 13) ^ v[0];
		v[0] = rotate(v[0], 32);
		v[2] += v[3];
		v[3] = rotate(v[3], 16) ^ v[2];
		v[0] += v[3];
		v[3] = rotate(v[3], 21) ^ v[0];
		v[2] += v[1];
		v[1] = rotate(v[1], 17) ^ v[2];
		v[2] = rotate(v[2], 32);
	}
}

static inline uint64_t load_le(const char *bytes, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, bytes, len);
	return le64toh(word);
}

uint64_t map_hash(const struct siphash_key *seed, struct str text)
{
	uint64_t v[4] = {
		seed->k0 ^ UINT64_C(0x736f6d6570736575), seed->k1 ^ UINT64_C(0x646f72616e646f6d),
		seed->k0 ^ UINT64_C(0x6c7967656e657261), seed->k1 ^ UINT64_C(0x7465646279746573),
	};
	size_t whole = text.len & ~(size_t)7;
	uint64_t word;

	for (size_t i = 0; i < whole; i += 8) {
		word = load_le(text.at + i, 8);
		v[3] ^= word;
		sip_rounds(v, 2);
		v[0] ^= word;
	}
	word = (uint64_t)text.len << 56;
	if (text.len > whole) {
		word |= load_le(text.at + whole, text.len - whole);
	}
	v[3] ^= word;
	sip_rounds(v, 2);
	v[0] ^= word;
	v[2] ^= 0xff;
	sip_rounds(v, 4);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
