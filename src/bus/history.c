/*
 * history.c - the last durable events, for subscribers that catch up.
 *
 *   events[(first + i) % cap], i < count: offsets grow with i. gone <= all of them; last >= all of them.
 */
#include <pthread.h>

#include "base/check.h"
#include "base/mem.h"
#include "bus/bus.h"

#define FRAMES_BYTES 512 /* envelopes of the frames that may be rendered later */

struct bus_history {
	pthread_mutex_t lock;
	size_t cap;
	size_t bytes_max;
	size_t first;
	size_t count;
	size_t bytes;
	int64_t last;
	int64_t gone;
	struct bus_event *events[];
};

enum err bus_history_create(size_t events_max, size_t bytes_max, struct bus_history **out)
{
	check(events_max > 0);
	*out = NULL;
	struct bus_history *history = mem_alloc(sizeof(*history) + events_max * sizeof(struct bus_event *));
	if (history == NULL) {
		return ERR_MEMORY;
	}
	history->cap = events_max;
	history->bytes_max = bytes_max;
	pthread_mutex_init(&history->lock, NULL);
	*out = history;
	return ERR_OK;
}

/* What an event may come to hold, the same whenever it is asked: its texts, and its data once more in each form. */
static size_t cost_of(const struct bus_event *event)
{
	size_t bytes = sizeof(*event) + FRAMES_BYTES + event->type.len + event->source.len;
	for (unsigned i = 0; i < event->topic_count; i++) {
		bytes += sizeof(struct str) + event->topics[i].len;
	}
	return bytes + event->data.len * (1 + BUS_FORM_COUNT);
}

static void drop_oldest(struct bus_history *history)
{
	struct bus_event *event = history->events[history->first];
	history->events[history->first] = NULL;
	history->first = (history->first + 1) % history->cap;
	history->count--;
	history->bytes -= cost_of(event);
	history->gone = event->offset;
	bus_event_drop(&event);
}

void bus_history_destroy(struct bus_history **history)
{
	if (*history != NULL) {
		while ((*history)->count > 0) {
			drop_oldest(*history);
		}
		pthread_mutex_destroy(&(*history)->lock);
		mem_free(*history);
		*history = NULL;
	}
}

void bus_history_put(struct bus_history *history, struct bus_event *event)
{
	size_t cost = cost_of(event);
	pthread_mutex_lock(&history->lock);
	check(event->offset > history->last);
	while (history->count > 0 && (history->count == history->cap || history->bytes + cost > history->bytes_max)) {
		drop_oldest(history);
	}
	history->last = event->offset;
	if (cost > history->bytes_max) {
		history->gone = event->offset;
	} else {
		history->events[(history->first + history->count) % history->cap] = bus_event_hold(event);
		history->count++;
		history->bytes += cost;
	}
	pthread_mutex_unlock(&history->lock);
}

int64_t bus_history_last(struct bus_history *history, int64_t *oldest_gone)
{
	pthread_mutex_lock(&history->lock);
	int64_t last = history->last;
	*oldest_gone = history->gone;
	pthread_mutex_unlock(&history->lock);
	return last;
}

/* Index of the first event with offset > after. */
static size_t find_after(const struct bus_history *history, int64_t after)
{
	size_t low = 0;
	size_t high = history->count;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (history->events[(history->first + middle) % history->cap]->offset > after) {
			high = middle;
		} else {
			low = middle + 1;
		}
	}
	return low;
}

size_t bus_history_read(struct bus_history *history, int64_t after, int64_t upto, struct bus_event **out, size_t max)
{
	size_t got = 0;
	pthread_mutex_lock(&history->lock);
	for (size_t i = find_after(history, after); i < history->count && got < max; i++) {
		struct bus_event *event = history->events[(history->first + i) % history->cap];
		if (event->offset > upto) {
			break;
		}
		out[got++] = bus_event_hold(event);
	}
	pthread_mutex_unlock(&history->lock);
	return got;
}

void bus_history_start(struct bus_history *history, int64_t offset)
{
	pthread_mutex_lock(&history->lock);
	while (history->count > 0) {
		drop_oldest(history);
	}
	history->last = offset;
	history->gone = offset;
	pthread_mutex_unlock(&history->lock);
}

void bus_history_passed(struct bus_history *history, int64_t offset)
{
	pthread_mutex_lock(&history->lock);
	check(offset >= history->last);
	history->last = offset;
	pthread_mutex_unlock(&history->lock);
}

void bus_history_forget(struct bus_history *history)
{
	pthread_mutex_lock(&history->lock);
	while (history->count > 0) {
		drop_oldest(history);
	}
	history->gone = history->last;
	pthread_mutex_unlock(&history->lock);
}
