/*
 * queue.h - many producers, one consumer.
 *
 * For:     the only way something passes from one thread to another.
 * Not for: order between producers (only each producer's own order is kept).
 * Threads: queue_push from any; queue_take_all from the one consumer.
 * Memory:  intrusive; a node is in at most one queue. Unbounded by itself: admission (credits) is the caller's.
 *
 *   push: node -> [stack, newest first]       one compare-and-swap
 *   take: swaps the stack out, reverses it    -> oldest first
 */
#ifndef GUILD_BASE_QUEUE_H
#define GUILD_BASE_QUEUE_H

#include <stdatomic.h>
#include <stdbool.h>

struct queue_node {
	struct queue_node *next;
};

struct queue {
	_Atomic(struct queue_node *) top;
};

void queue_init(struct queue *queue);
/* True when the queue was empty before: the consumer has to be woken. */
bool queue_push(struct queue *queue, struct queue_node *node);
/* Everything pushed so far, oldest first, linked by next; NULL when empty. */
struct queue_node *queue_take_all(struct queue *queue);
bool queue_empty(const struct queue *queue);

#endif
