/*
 * heap.h - binary heap of timers, ordered by time, then by creation number.
 *
 * For:     deadlines of one loop.
 * Not for: other threads.
 * Threads: one owner.
 * Memory:  holds pointers; the entry lives inside the thing that waits. At most LIMIT_TIMERS entries. What finds no memory waits in a
 *          list that is looked through each time: a deadline is never lost for want of it.
 */
#ifndef GUILD_BASE_HEAP_H
#define GUILD_BASE_HEAP_H

#include "base/err.h"

#define HEAP_ASIDE SIZE_MAX

struct heap_entry {
	int64_t at_us;
	uint64_t number;
	size_t index; /* 1-based position, 0 = not in the heap, HEAP_ASIDE = in the list */
	struct heap_entry *aside_next;
};

struct heap {
	struct heap_entry **entries;
	size_t count;
	size_t cap;
	uint64_t next_number;
	struct heap_entry *aside;
	size_t aside_count;
};

void heap_init(struct heap *heap);
void heap_fini(struct heap *heap);
/* Puts entry at at_us, or moves it there when it is already in. ERR_LIMIT (then it is unchanged). */
enum err heap_set(struct heap *heap, struct heap_entry *entry, int64_t at_us) MUST_USE;
/* Takes entry out; harmless when it is not in. */
void heap_remove(struct heap *heap, struct heap_entry *entry);
/* The earliest entry, NULL when empty. */
struct heap_entry *heap_first(const struct heap *heap);

#endif
