/* heap.c - binary heap in an array; entries know their place, so they can be moved and taken out. */
#include "base/heap.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

#define ENTRIES_FIRST 64

static void aside_remove(struct heap *heap, struct heap_entry *entry);

void heap_init(struct heap *heap)
{
	*heap = (struct heap){0};
}

void heap_fini(struct heap *heap)
{
	for (size_t i = 0; i < heap->count; i++) {
		heap->entries[i]->index = 0;
	}
	while (heap->aside) {
		aside_remove(heap, heap->aside);
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

static bool has_room(struct heap *heap)
{
	size_t cap = heap->cap ? heap->cap * 2 : ENTRIES_FIRST;
	struct heap_entry **entries;

	if (heap->count < heap->cap) {
		return true;
	}
	entries = mem_grow(heap->entries, cap * sizeof(struct heap_entry *));
	if (!entries) {
		return false;
	}
	heap->entries = entries;
	heap->cap = cap;
	return true;
}

static void put(struct heap *heap, struct heap_entry *entry)
{
	heap->count++;
	sift(heap, entry, heap->count);
}

static void aside_put(struct heap *heap, struct heap_entry *entry)
{
	entry->index = HEAP_ASIDE;
	entry->aside_next = heap->aside;
	heap->aside = entry;
	heap->aside_count++;
}

static void aside_remove(struct heap *heap, struct heap_entry *entry)
{
	struct heap_entry **at = &heap->aside;

	while (*at != entry) {
		at = &(*at)->aside_next;
	}
	*at = entry->aside_next;
	heap->aside_count--;
	entry->index = 0;
}

/* There is room again. */
static void aside_take_in(struct heap *heap)
{
	while (heap->aside && heap->count < heap->cap) {
		struct heap_entry *entry = heap->aside;
		aside_remove(heap, entry);
		put(heap, entry);
	}
}

enum err heap_set(struct heap *heap, struct heap_entry *entry, int64_t at_us)
{
	if (entry->index == 0 && heap->count + heap->aside_count >= LIMIT_TIMERS) {
		return ERR_LIMIT;
	}
	if (entry->index == HEAP_ASIDE) {
		aside_remove(heap, entry);
	}
	entry->at_us = at_us;
	entry->number = ++heap->next_number;
	if (entry->index != 0) {
		check(entry->index <= heap->count);
		sift(heap, entry, entry->index);
	} else if (has_room(heap)) {
		put(heap, entry);
		aside_take_in(heap);
	} else {
		aside_put(heap, entry);
	}
	return ERR_OK;
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
	size_t index = entry->index;
	struct heap_entry *last;

	if (index == 0) {
		return;
	}
	if (index == HEAP_ASIDE) {
		aside_remove(heap, entry);
		return;
	}
	check(index <= heap->count && heap->entries[index - 1] == entry);
	last = heap->entries[heap->count - 1];
	heap->count--;
	entry->index = 0;
	if (last != entry) {
		sift(heap, last, index);
	}
	aside_take_in(heap);
}

struct heap_entry *heap_first(const struct heap *heap)
{
	struct heap_entry *first = heap->count ? heap->entries[0] : NULL;

	for (struct heap_entry *entry = heap->aside; entry; entry = entry->aside_next) {
		first = !first || before(entry, first) ? entry : first;
	}
	return first;
}
