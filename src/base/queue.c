/* queue.c - a stack of pushes, taken whole: since single nodes are never popped, there is no ABA to mind. */
#include "base/queue.h"

#include <stddef.h>

void queue_init(struct queue *queue)
{
	atomic_init(&queue->top, NULL);
}

bool queue_push(struct queue *queue, struct queue_node *node)
{
	struct queue_node *top = atomic_load_explicit(&queue->top, memory_order_relaxed);

	do {
		node->next = top;
	} while (!atomic_compare_exchange_weak_explicit(&queue->top, &top, node, memory_order_acq_rel,
							memory_order_relaxed));
	return top == NULL;
}

struct queue_node *queue_take_all(struct queue *queue)
{
	struct queue_node *newest = atomic_exchange_explicit(&queue->top, NULL, memory_order_acq_rel);
	struct queue_node *oldest = NULL;

	while (newest) {
		struct queue_node *next = newest->next;
		newest->next = oldest;
		oldest = newest;
		newest = next;
	}
	return oldest;
}

bool queue_empty(const struct queue *queue)
{
	return atomic_load_explicit(&queue->top, memory_order_acquire) == NULL;
}
