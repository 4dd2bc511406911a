/* arena.c - bump allocation in blocks; the newest block with room is the head. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"


struct arena_block {
	struct arena_block *next;
	size_t size; /* of data */
	size_t used;
	_Alignas(16) char data[];
};

void arena_init(struct arena *arena, size_t bytes_max)
{
	*arena = (struct arena){.bytes_max = bytes_max};
}

void arena_fini(struct arena *arena)
{
	while (arena->head) {
		struct arena_block *block = arena->head;
		arena->head = block->next;
		mem_free(block);
	}
	arena->used_bytes = 0;
}

void arena_reset(struct arena *arena, size_t keep_bytes_max)
{
	struct arena_block *kept = NULL;

	while (arena->head) {
		struct arena_block *block = arena->head;
		struct arena_block *loser = block;

		arena->head = block->next;
		if (block->size + sizeof(*block) <= keep_bytes_max && (!kept || block->size > kept->size)) {
			loser = kept;
			kept = block;
		}
		mem_free(loser);
	}
	arena->used_bytes = 0;
	if (kept) {
		kept->used = 0;
		kept->next = NULL;
		arena->head = kept;
		arena->used_bytes = kept->size + sizeof(*kept);
	}
}

/* The size of the block to add, header included; 0 when the cap leaves no room for need bytes of data. */
static size_t block_bytes(const struct arena *arena, size_t need)
{
	size_t left = arena->bytes_max - arena->used_bytes;
	size_t bytes = ARENA_BLOCK_FIRST;

	if (left < sizeof(struct arena_block) || need > left - sizeof(struct arena_block)) {
		return 0;
	}
	if (arena->head) {
		bytes = (arena->head->size + sizeof(struct arena_block)) * 2;
	}
	if (bytes > ARENA_BLOCK_MAX) {
		bytes = ARENA_BLOCK_MAX;
	}
	if (bytes > left) {
		bytes = left;
	}
	if (bytes < need + sizeof(struct arena_block)) {
		bytes = need + sizeof(struct arena_block);
	}
	return bytes;
}

static struct arena_block *add_block(struct arena *arena, size_t need)
{
	size_t bytes = block_bytes(arena, need);
	/* Not cleared: arena_alloc clears what it gives, which is less. */
	struct arena_block *block = bytes ? mem_grow(NULL, bytes) : NULL;

	if (!block) {
		return NULL;
	}
	block->size = bytes - sizeof(*block);
	block->used = 0;
	arena->used_bytes += bytes;
	/* A block made for one big thing goes behind the head, whose room would be lost otherwise. */
	if (arena->head && block->size - need <= arena->head->size - arena->head->used) {
		block->next = arena->head->next;
		arena->head->next = block;
	} else {
		block->next = arena->head;
		arena->head = block;
	}
	return block;
}

/* With whatever was there before. */
static void *take(struct arena *arena, size_t bytes)
{
	struct arena_block *block = arena->head;
	size_t need = (bytes + 15) & ~(size_t)15;
	void *at;

	if (need < bytes) {
		return NULL;
	}
	if (need == 0) {
		need = 16;
	}
	if (!block || need > block->size - block->used) {
		block = add_block(arena, need);
		if (!block) {
			return NULL;
		}
	}
	at = block->data + block->used;
	block->used += need;
	return at;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
	void *at = take(arena, bytes);

	return at ? memset(at, 0, bytes) : NULL;
}

struct str arena_copy(struct arena *arena, struct str s)
{
	char *at = s.len < SIZE_MAX ? take(arena, s.len + 1) : NULL;

	if (!at) {
		return STR_NONE;
	}
	if (s.len) {
		memcpy(at, s.at, s.len);
	}
	at[s.len] = 0;
	return str_make(at, s.len);
}

struct str arena_format(struct arena *arena, const char *format, ...)
{
	va_list args;
	char *at;
	int len;

	va_start(args, format);
	len = vsnprintf(NULL, 0, format, args);
	va_end(args);
	check(len >= 0);
	at = take(arena, (size_t)len + 1);
	if (!at) {
		return STR_NONE;
	}
	va_start(args, format);
	check(vsnprintf(at, (size_t)len + 1, format, args) == len);
	va_end(args);
	return str_make(at, (size_t)len);
}
