/*
 * list.h - intrusive doubly linked ring.
 *
 * For:     things that sit in a list and leave it from the middle in constant time.
 * Not for: crossing threads (queue.h).
 * Threads: one owner.
 * Memory:  the node lives inside the thing. An unlinked node points to itself.
 */
#ifndef GUILD_BASE_LIST_H
#define GUILD_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define container_of(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *l) { l->next = l->prev = l; }
static inline bool list_empty(const struct list *l) { return l->next == l; }
static inline void list_push(struct list *head, struct list *node)
{
	node->prev = head->prev;
	node->next = head;
	head->prev->next = node;
	head->prev = node;
}
static inline void list_remove(struct list *node)
{
	node->prev->next = node->next;
	node->next->prev = node->prev;
	node->next = node->prev = node;
}
/* The first node, unlinked; NULL when empty. */
static inline struct list *list_pop(struct list *head)
{
	struct list *node = head->next;
	if (node == head) {
		return NULL;
	}
	list_remove(node);
	return node;
}

/* Moves all nodes of from, in their order, to the empty ring that to becomes. */
static inline void list_take(struct list *from, struct list *to)
{
	list_init(to);
	if (list_empty(from)) {
		return;
	}
	*to = *from;
	to->next->prev = to;
	to->prev->next = to;
	list_init(from);
}

#endif
