/*
 * arena.h - memory that dies with its request or flow.
 *
 * For:     everything made while serving one request, one flow or one job; freed whole.
 * Not for: things that outlive it; single frees.
 * Threads: one owner at a time; hand-over through a queue is fine.
 * Memory:  blocks of 4 KiB growing to 64 KiB, at most bytes_max in all; NULL beyond that (ERR_LIMIT for callers).
 */
#ifndef GUILD_BASE_ARENA_H
#define GUILD_BASE_ARENA_H

#include "base/err.h"
#include "base/str.h"

struct arena_block;

struct arena {
	struct arena_block *head;
	size_t used_bytes;
	size_t bytes_max;
};

/* Makes an empty arena; nothing is allocated until it is used. */
void arena_init(struct arena *arena, size_t bytes_max);
/* Frees everything. The arena may be used again. */
void arena_fini(struct arena *arena);
/* Forgets what was made and keeps the greatest block of at most keep_bytes_max (ARENA_BLOCK_FIRST: for the next request; ARENA_BLOCK_MAX: for the
 * next piece of a stream, which soon stops allocating). */
enum { ARENA_BLOCK_FIRST = 4096, ARENA_BLOCK_MAX = 65536 };
void arena_reset(struct arena *arena, size_t keep_bytes_max);
/* Zero-filled, aligned to 16. NULL when the cap or memory is exhausted. */
void *arena_alloc(struct arena *arena, size_t bytes);
/* Copies s and adds a NUL behind it (not counted). at == NULL on failure only. */
struct str arena_copy(struct arena *arena, struct str s);
/* printf into the arena. at == NULL on failure. */
struct str arena_format(struct arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define arena_new(arena, type) ((type *)arena_alloc((arena), sizeof(type)))
#define arena_array(arena, type, n) ((type *)arena_alloc((arena), sizeof(type) * (n)))

#endif
