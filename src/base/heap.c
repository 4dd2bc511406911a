/* heap.c - binary heap in an array; entries know their place, so they can be moved and taken out. */
#include "base/heap.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define ENTRIES_FIRST 64

void heap_init(struct heap *heap)
{
	*heap = (struct heap){0};
}

void heap_fini(struct heap *heap)
{
	for (size_t i = 0; i < heap->count; i++) {
		heap->entries[i]->index = 0;
	}
	mem_free(heap->entries);
	*heap = (struct heap){0};
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
	return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void place(struct heap *heap, struct heap_entry *entry, size_t index)
{
	heap->entries[index - 1] = entry;
	entry->index = index;
}

/* Moves entry, whose place is free at index, up or down to where it belongs. */
static void sift(struct heap *heap, struct heap_entry *entry, size_t index)
{
	while (index > 1 && before(entry, heap->entries[index / 2 - 1])) {
		place(heap, heap->entries[index / 2 - 1], index);
		index /= 2;
	}
	while (index * 2 <= heap->count) {
		size_t child = index * 2;
		if (child < heap->count && before(heap->entries[child], heap->entries[child - 1])) {
			child++;
		}
		if (!before(heap->entries[child - 1], entry)) {
			break;
		}
		place(heap, heap->entries[child - 1], index);
		index = child;
	}
	place(heap, entry, index);
}

static enum err grow(struct heap *heap)
{
	size_t cap = heap->cap ? heap->cap * 2 : ENTRIES_FIRST;
	struct heap_entry **entries;

	if (heap->count >= LIMIT_TIMERS) {
		return ERR_LIMIT;
	}
	if (heap->count < heap->cap) {
		return ERR_OK;
	}
	entries = mem_grow(heap->entries, cap * sizeof(struct heap_entry *));
	if (!entries) {
		return ERR_MEMORY;
	}
	heap->entries = entries;
	heap->cap = cap;
	return ERR_OK;
}

enum err heap_set(struct heap *heap, struct heap_entry *entry, int64_t at_us)
{
	if (entry->index == 0) {
		enum err err = grow(heap);
		if (err) {
			return err;
		}
		heap->count++;
		entry->index = heap->count;
	}
	check(entry->index <= heap->count);
	entry->at_us = at_us;
	entry->number = ++heap->next_number;
	sift(heap, entry, entry->index);
	return ERR_OK;
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
	size_t index = entry->index;
	struct heap_entry *last;

	if (index == 0) {
		return;
	}
	check(index <= heap->count && heap->entries[index - 1] == entry);
	last = heap->entries[heap->count - 1];
	heap->count--;
	entry->index = 0;
	if (last != entry) {
		sift(heap, last, index);
	}
}

struct heap_entry *heap_first(const struct heap *heap)
{
	return heap->count ? heap->entries[0] : NULL;
}
