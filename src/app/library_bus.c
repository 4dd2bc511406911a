/*
 * library_bus.c - the bus of the library: subscribers' queues, and the user's threads that empty them.
 *
 *   publish -> topic --subscription--> subscriber [event, event, ...] -> ready -> dispatch: one thread at a time for one subscriber
 *
 * One lock: publishing appends to the queues of all who match, in one order for everybody; handlers run outside of it. A subscriber is
 * freed when it has no subscription, nobody runs it and nobody waits for its handler to end; until then a new subscription of the
 * same handler and context is the same subscriber again, so that its handler never runs twice at a time.
 */
#include <errno.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/env.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "guild.h"
#include "wire/json.h"

#define DISPATCH_MAX 512
#define TURN_MAX     32 /* events of one subscriber before others have theirs */
#define QUEUE_FIRST  8

/* Shared by all queues that it waits in; under the bus's lock. */
struct event {
	unsigned refs;
	size_t bytes;
	struct guild_bus_event shown;
};

struct waiting {
	struct event *event;
	uint64_t missed;
};

/* What stands in a table by the hash of its name. */
struct node {
	struct node *chain; /* the next one of the same hash */
	uint64_t hash;
};

struct subscriber {
	struct node node;
	guild_bus_fn *handler;
	void *ctx;
	struct list subscriptions;
	unsigned subscription_count;
	uint64_t stamp;           /* of the last publish that reached it */
	struct waiting *queue;    /* a ring */
	size_t queue_cap, queue_at, queue_count;
	uint64_t missed;
	struct list link;         /* bus->ready or bus->running, else alone */
	bool running;
	pthread_t runner;
	unsigned waiters;
};

struct topic {
	struct node node;
	struct list subscriptions;
	size_t name_len;
	char name[];
};

struct subscription {
	uint64_t id;
	struct topic *topic;
	struct subscriber *subscriber;
	struct list in_topic, in_subscriber;
};

struct guild_bus {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* somebody's turn ended, or something is ready */
	pid_t pid;
	int fd;
	struct siphash_key seed;
	struct map topics, subscribers, subscriptions;
	struct list ready, running;
	uint64_t last_id;
	size_t queued_bytes;
	struct guild_bus_counts counts;
};

static int usable(const struct guild_bus *bus);
static void lock(struct guild_bus *bus);
static void unlock(struct guild_bus *bus);
static void wake(struct guild_bus *bus);
static bool inside_handler(const struct guild_bus *bus);
static enum err node_put(struct map *map, struct node *node);
static void node_remove(struct map *map, struct node *node);
static struct topic *topic_find(const struct guild_bus *bus, uint64_t hash, struct str name);
static struct topic *topic_must(struct guild_bus *bus, struct str name);
static void topic_free_if_empty(struct guild_bus *bus, struct topic *topic);
static struct subscriber *subscriber_must(struct guild_bus *bus, guild_bus_fn *handler, void *ctx);
static void subscriber_free_if_over(struct guild_bus *bus, struct subscriber *subscriber);
static struct subscription *subscription_must(struct guild_bus *bus, struct subscriber *subscriber, struct topic *topic);
static void subscription_free(struct guild_bus *bus, struct subscription *subscription);
static int event_make(const char *const *topics, size_t count, struct str text, struct event **out);
static void event_drop(struct guild_bus *bus, struct event *event);
static bool waiting_put(struct guild_bus *bus, struct subscriber *subscriber, struct event *event);
static struct waiting waiting_take(struct subscriber *subscriber);
static bool still_wanted(const struct subscriber *subscriber, const struct event *event);
static size_t turn(struct guild_bus *bus, struct subscriber *subscriber);
static struct timespec deadline(int64_t timeout_ms);

/* ---- life ---- */

int guild_bus_create(struct guild_bus **out)
{
	pthread_condattr_t attr;

	if (out == NULL) {
		return GUILD_ERR_INVALID;
	}
	*out = NULL;
	struct guild_bus *bus = mem_alloc(sizeof(*bus));
	if (bus == NULL) {
		return GUILD_ERR_MEMORY;
	}
	bus->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (bus->fd < 0) {
		mem_free(bus);
		return GUILD_ERR_LIMIT;
	}
	bus->pid = getpid();
	env_random(env_real(), &bus->seed, sizeof(bus->seed));
	map_init(&bus->topics, LIMIT_TOPICS);
	map_init(&bus->subscribers, LIMIT_TOPICS);
	map_init(&bus->subscriptions, LIMIT_TOPICS);
	list_init(&bus->ready);
	list_init(&bus->running);
	check(pthread_mutex_init(&bus->lock, NULL) == 0);
	check(pthread_condattr_init(&attr) == 0);
	check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	check(pthread_cond_init(&bus->changed, &attr) == 0);
	check(pthread_condattr_destroy(&attr) == 0);
	*out = bus;
	return GUILD_OK;
}

int guild_bus_destroy(struct guild_bus **bus)
{
	size_t cursor = 0;
	uint64_t key;
	void *value;

	if (bus == NULL || *bus == NULL) {
		return GUILD_OK;
	}
	struct guild_bus *ending = *bus;
	int error = usable(ending);
	if (error != GUILD_OK) {
		return error;
	}
	lock(ending);
	bool busy = !list_empty(&ending->running);
	unlock(ending);
	if (busy) {
		return GUILD_ERR_WRONG_THREAD;
	}
	while (map_next(&ending->subscriptions, &cursor, &key, &value)) {
		subscription_free(ending, value);
	}
	check(ending->topics.count == 0 && ending->subscribers.count == 0 && ending->queued_bytes == 0);
	map_fini(&ending->topics);
	map_fini(&ending->subscribers);
	map_fini(&ending->subscriptions);
	check(pthread_cond_destroy(&ending->changed) == 0);
	check(pthread_mutex_destroy(&ending->lock) == 0);
	close(ending->fd);
	mem_free(ending);
	*bus = NULL;
	return GUILD_OK;
}

static int usable(const struct guild_bus *bus)
{
	if (bus == NULL) {
		return GUILD_ERR_INVALID;
	}
	return bus->pid == getpid() ? GUILD_OK : GUILD_ERR_FORKED;
}

static void lock(struct guild_bus *bus)
{
	check(pthread_mutex_lock(&bus->lock) == 0);
}

static void unlock(struct guild_bus *bus)
{
	check(pthread_mutex_unlock(&bus->lock) == 0);
}

static void wake(struct guild_bus *bus)
{
	uint64_t one = 1;
	check(write(bus->fd, &one, sizeof(one)) == sizeof(one));
	check(pthread_cond_broadcast(&bus->changed) == 0);
}

/* ---- subscribing ---- */

int guild_bus_subscribe(struct guild_bus *bus, const char *topic_name, guild_bus_fn *handler, void *ctx, uint64_t *out)
{
	int error = usable(bus);
	if (error != GUILD_OK || handler == NULL || topic_name == NULL || !bus_topic_valid(str_of(topic_name))) {
		return error != GUILD_OK ? error : GUILD_ERR_INVALID;
	}
	lock(bus);
	struct subscription *subscription = NULL;
	struct subscriber *subscriber = subscriber_must(bus, handler, ctx);
	struct topic *topic = subscriber != NULL ? topic_must(bus, str_of(topic_name)) : NULL;
	if (topic != NULL) {
		subscription = subscription_must(bus, subscriber, topic);
		topic_free_if_empty(bus, topic);
	}
	if (subscriber != NULL) {
		subscriber_free_if_over(bus, subscriber);
	}
	if (subscription != NULL && out != NULL) {
		*out = subscription->id;
	}
	unlock(bus);
	return subscription != NULL ? GUILD_OK : GUILD_ERR_LIMIT;
}

int guild_bus_unsubscribe(struct guild_bus *bus, uint64_t id)
{
	int error = usable(bus);
	if (error != GUILD_OK) {
		return error;
	}
	lock(bus);
	struct subscription *subscription = map_remove(&bus->subscriptions, id);
	if (subscription == NULL) {
		unlock(bus);
		return GUILD_ERR_NOT_FOUND;
	}
	struct subscriber *subscriber = subscription->subscriber;
	subscriber->waiters++;
	subscription_free(bus, subscription);
	/* Its context may be freed after this: a handler under way on another thread ends first. */
	while (subscriber->subscription_count == 0 && subscriber->running && !pthread_equal(subscriber->runner, pthread_self())) {
		check(pthread_cond_wait(&bus->changed, &bus->lock) == 0);
	}
	subscriber->waiters--;
	subscriber_free_if_over(bus, subscriber);
	unlock(bus);
	return GUILD_OK;
}

/* The one that is there, or a new one. NULL without memory or over a cap. */
static struct subscription *subscription_must(struct guild_bus *bus, struct subscriber *subscriber, struct topic *topic)
{
	for (struct list *at = subscriber->subscriptions.next; at != &subscriber->subscriptions; at = at->next) {
		struct subscription *there = container_of(at, struct subscription, in_subscriber);
		if (there->topic == topic) {
			return there;
		}
	}
	struct subscription *made = subscriber->subscription_count < LIMIT_TOPICS_CONN ? mem_alloc(sizeof(*made)) : NULL;
	if (made == NULL || map_put(&bus->subscriptions, bus->last_id + 1, made) != ERR_OK) {
		mem_free(made);
		return NULL;
	}
	made->id = ++bus->last_id;
	made->topic = topic;
	made->subscriber = subscriber;
	list_push(&topic->subscriptions, &made->in_topic);
	list_push(&subscriber->subscriptions, &made->in_subscriber);
	subscriber->subscription_count++;
	return made;
}

/* It was taken out of its table, or the table goes too. */
static void subscription_free(struct guild_bus *bus, struct subscription *subscription)
{
	struct subscriber *subscriber = subscription->subscriber;

	list_remove(&subscription->in_topic);
	list_remove(&subscription->in_subscriber);
	subscriber->subscription_count--;
	topic_free_if_empty(bus, subscription->topic);
	mem_free(subscription);
	subscriber_free_if_over(bus, subscriber);
}

/* ---- tables ---- */

static enum err node_put(struct map *map, struct node *node)
{
	node->chain = map_get(map, node->hash);
	return map_put(map, node->hash, node);
}

static void node_remove(struct map *map, struct node *node)
{
	struct node *first = map_get(map, node->hash);
	if (first != node) {
		while (first->chain != node) {
			first = first->chain;
		}
		first->chain = node->chain;
	} else if (node->chain == NULL) {
		map_remove(map, node->hash);
	} else {
		/* Replacing the value of a key that is there needs no memory. */
		check(map_put(map, node->hash, node->chain) == ERR_OK);
	}
}

static struct topic *topic_find(const struct guild_bus *bus, uint64_t hash, struct str name)
{
	struct node *node = map_get(&bus->topics, hash);
	for (; node != NULL; node = node->chain) {
		struct topic *topic = container_of(node, struct topic, node);
		if (str_eq(str_make(topic->name, topic->name_len), name)) {
			return topic;
		}
	}
	return NULL;
}

static struct topic *topic_must(struct guild_bus *bus, struct str name)
{
	uint64_t hash = map_hash(&bus->seed, name);
	struct topic *topic = topic_find(bus, hash, name);
	if (topic != NULL) {
		return topic;
	}
	topic = mem_alloc(sizeof(*topic) + name.len);
	if (topic == NULL) {
		return NULL;
	}
	topic->node.hash = hash;
	topic->name_len = name.len;
	memcpy(topic->name, name.at, name.len);
	list_init(&topic->subscriptions);
	if (node_put(&bus->topics, &topic->node) != ERR_OK) {
		mem_free(topic);
		return NULL;
	}
	return topic;
}

static void topic_free_if_empty(struct guild_bus *bus, struct topic *topic)
{
	if (list_empty(&topic->subscriptions)) {
		node_remove(&bus->topics, &topic->node);
		mem_free(topic);
	}
}

static struct subscriber *subscriber_must(struct guild_bus *bus, guild_bus_fn *handler, void *ctx)
{
	struct {
		guild_bus_fn *handler;
		void *ctx;
	} pair = {handler, ctx};
	uint64_t hash = map_hash(&bus->seed, str_make((const char *)&pair, sizeof(pair)));
	for (struct node *node = map_get(&bus->subscribers, hash); node != NULL; node = node->chain) {
		struct subscriber *there = container_of(node, struct subscriber, node);
		if (there->handler == handler && there->ctx == ctx) {
			return there;
		}
	}
	struct subscriber *subscriber = mem_alloc(sizeof(*subscriber));
	if (subscriber == NULL) {
		return NULL;
	}
	subscriber->node.hash = hash;
	subscriber->handler = handler;
	subscriber->ctx = ctx;
	list_init(&subscriber->subscriptions);
	list_init(&subscriber->link);
	if (node_put(&bus->subscribers, &subscriber->node) != ERR_OK) {
		mem_free(subscriber);
		return NULL;
	}
	return subscriber;
}

/* Without a subscription nothing that waits is wanted any more. */
static void subscriber_free_if_over(struct guild_bus *bus, struct subscriber *subscriber)
{
	if (subscriber->subscription_count > 0) {
		return;
	}
	while (subscriber->queue_count > 0) {
		event_drop(bus, waiting_take(subscriber).event);
	}
	if (!subscriber->running) {
		list_remove(&subscriber->link);
	}
	if (!subscriber->running && subscriber->waiters == 0) {
		node_remove(&bus->subscribers, &subscriber->node);
		mem_free(subscriber->queue);
		mem_free(subscriber);
	}
}

/* ---- publishing ---- */

int guild_bus_publish(struct guild_bus *bus, const char *const *topics, size_t count, const char *text, size_t *receivers)
{
	struct event *event;
	size_t reached = 0, missed = 0;
	int error = usable(bus);

	error = error == GUILD_OK ? event_make(topics, count, str_of(text), &event) : error;
	if (error != GUILD_OK) {
		return error;
	}
	lock(bus);
	uint64_t stamp = ++bus->counts.published;
	bool was_ready = !list_empty(&bus->ready);
	event->shown.number = stamp;
	bus->queued_bytes += event->bytes;
	for (size_t i = 0; i < count; i++) {
		struct str name = str_of(topics[i]);
		struct topic *topic = topic_find(bus, map_hash(&bus->seed, name), name);
		for (struct list *at = topic != NULL ? topic->subscriptions.next : NULL;
		     at != NULL && at != &topic->subscriptions; at = at->next) {
			struct subscriber *subscriber = container_of(at, struct subscription, in_topic)->subscriber;
			if (subscriber->stamp != stamp) {
				subscriber->stamp = stamp;
				bool took = waiting_put(bus, subscriber, event);
				reached += took;
				missed += !took;
			}
		}
	}
	if (!was_ready && !list_empty(&bus->ready)) {
		wake(bus);
	}
	bus->counts.missed += missed;
	event_drop(bus, event);
	unlock(bus);
	if (receivers != NULL) {
		*receivers = reached;
	}
	return missed == 0 ? GUILD_OK : GUILD_ERR_LIMIT;
}

static bool json_valid(struct str text)
{
	struct arena arena;
	struct json_doc doc;

	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	bool valid = json_parse(&arena, text, &doc, NULL) == ERR_OK;
	arena_fini(&arena);
	return valid;
}

/* One allocation: the event, pointers to the topics' names, the names, the text. */
static int event_make(const char *const *topics, size_t count, struct str text, struct event **out)
{
	size_t bytes = sizeof(struct event) + count * sizeof(char *) + text.len + 1;
	bool valid = topics != NULL && count >= 1 && count <= LIMIT_TOPICS_EVENT && text.at != NULL;

	for (size_t i = 0; valid && i < count; i++) {
		valid = topics[i] != NULL && bus_topic_valid(str_of(topics[i]));
		bytes += valid ? str_of(topics[i]).len + 1 : 0;
	}
	if (!valid || text.len > LIMIT_BODY_BYTES || !json_valid(text)) {
		return GUILD_ERR_INVALID;
	}
	struct event *event = mem_alloc(bytes);
	if (event == NULL) {
		return GUILD_ERR_MEMORY;
	}
	const char **names = (const char **)(event + 1);
	char *at = (char *)(names + count);
	for (size_t i = 0; i < count; i++) {
		struct str name = str_of(topics[i]);
		names[i] = memcpy(at, name.at, name.len + 1);
		at += name.len + 1;
	}
	memcpy(at, text.at, text.len);
	event->refs = 1;
	event->bytes = bytes;
	event->shown = (struct guild_bus_event){.topics = names, .topic_count = count, .event = at, .event_len = text.len};
	*out = event;
	return GUILD_OK;
}

/* Under the lock. */
static void event_drop(struct guild_bus *bus, struct event *event)
{
	if (--event->refs == 0) {
		bus->queued_bytes -= event->bytes;
		mem_free(event);
	}
}

static bool waiting_grow(struct subscriber *subscriber)
{
	size_t cap = subscriber->queue_cap == 0 ? QUEUE_FIRST : subscriber->queue_cap * 2;
	struct waiting *queue = cap <= LIMIT_LIBRARY_BUS_EVENTS ? mem_alloc(cap * sizeof(*queue)) : NULL;
	if (queue == NULL) {
		return false;
	}
	for (size_t i = 0; i < subscriber->queue_count; i++) {
		queue[i] = subscriber->queue[(subscriber->queue_at + i) % subscriber->queue_cap];
	}
	mem_free(subscriber->queue);
	subscriber->queue = queue;
	subscriber->queue_cap = cap;
	subscriber->queue_at = 0;
	return true;
}

/* False when there is no room: the subscriber hears of it with the next event that it gets. */
static bool waiting_put(struct guild_bus *bus, struct subscriber *subscriber, struct event *event)
{
	bool full = subscriber->queue_count == subscriber->queue_cap && !waiting_grow(subscriber);
	if (full || bus->queued_bytes > LIMIT_LIBRARY_QUEUE_BYTES) {
		subscriber->missed++;
		return false;
	}
	size_t at = (subscriber->queue_at + subscriber->queue_count++) % subscriber->queue_cap;
	subscriber->queue[at] = (struct waiting){event, subscriber->missed};
	subscriber->missed = 0;
	event->refs++;
	if (!subscriber->running && subscriber->queue_count == 1) {
		list_push(&bus->ready, &subscriber->link);
	}
	return true;
}

static struct waiting waiting_take(struct subscriber *subscriber)
{
	struct waiting first = subscriber->queue[subscriber->queue_at];
	subscriber->queue_at = (subscriber->queue_at + 1) % subscriber->queue_cap;
	subscriber->queue_count--;
	return first;
}

/* ---- handling ---- */

int guild_bus_fd(struct guild_bus *bus)
{
	return usable(bus) == GUILD_OK ? bus->fd : -1;
}

int guild_bus_dispatch(struct guild_bus *bus, size_t *handled)
{
	uint64_t value;
	size_t count = 0;
	struct list *link;

	if (handled != NULL) {
		*handled = 0;
	}
	int error = usable(bus);
	if (error != GUILD_OK) {
		return error;
	}
	lock(bus);
	if (read(bus->fd, &value, sizeof(value)) < 0) {
		check(errno == EAGAIN || errno == EINTR);
	}
	while (count < DISPATCH_MAX && (link = list_pop(&bus->ready)) != NULL) {
		count += turn(bus, container_of(link, struct subscriber, link));
	}
	if (!list_empty(&bus->ready)) {
		wake(bus);
	}
	unlock(bus);
	if (handled != NULL) {
		*handled = count;
	}
	return GUILD_OK;
}

/* Under the lock, which it lets go of around the handler. The subscriber may be gone afterwards. */
static size_t turn(struct guild_bus *bus, struct subscriber *subscriber)
{
	size_t count = 0;

	subscriber->running = true;
	subscriber->runner = pthread_self();
	list_push(&bus->running, &subscriber->link);
	while (subscriber->queue_count > 0 && count < TURN_MAX) {
		struct waiting next = waiting_take(subscriber);
		if (still_wanted(subscriber, next.event)) {
			struct guild_bus_event shown = next.event->shown;
			shown.missed = next.missed;
			count++;
			unlock(bus);
			int failed = subscriber->handler(subscriber->ctx, &shown);
			lock(bus);
			bus->counts.handled++;
			bus->counts.failed += failed != 0;
		}
		event_drop(bus, next.event);
	}
	subscriber->running = false;
	list_remove(&subscriber->link);
	if (subscriber->queue_count > 0) {
		list_push(&bus->ready, &subscriber->link);
	}
	check(pthread_cond_broadcast(&bus->changed) == 0);
	subscriber_free_if_over(bus, subscriber);
	return count;
}

/* What was published before an unsubscription is not delivered after it. */
static bool still_wanted(const struct subscriber *subscriber, const struct event *event)
{
	for (struct list *at = subscriber->subscriptions.next; at != &subscriber->subscriptions; at = at->next) {
		const struct topic *topic = container_of(at, struct subscription, in_subscriber)->topic;
		for (size_t i = 0; i < event->shown.topic_count; i++) {
			if (str_eq(str_of(event->shown.topics[i]), str_make(topic->name, topic->name_len))) {
				return true;
			}
		}
	}
	return false;
}

static bool inside_handler(const struct guild_bus *bus)
{
	for (struct list *at = bus->running.next; at != &bus->running; at = at->next) {
		if (pthread_equal(container_of(at, struct subscriber, link)->runner, pthread_self())) {
			return true;
		}
	}
	return false;
}

static struct timespec deadline(int64_t timeout_ms)
{
	int64_t now_us = env_mono_us(env_real());
	int64_t until_us = timeout_ms > (INT64_MAX - now_us) / 1000 ? INT64_MAX : now_us + timeout_ms * 1000;
	return (struct timespec){.tv_sec = (time_t)(until_us / 1000000), .tv_nsec = (long)(until_us % 1000000) * 1000};
}

int guild_bus_drain(struct guild_bus *bus, int64_t timeout_ms)
{
	int error = usable(bus);
	if (error != GUILD_OK) {
		return error;
	}
	struct timespec until = deadline(timeout_ms < 0 ? INT64_MAX : timeout_ms);
	int64_t until_us = until.tv_sec * INT64_C(1000000) + until.tv_nsec / 1000;
	lock(bus);
	error = inside_handler(bus) ? GUILD_ERR_WRONG_THREAD : GUILD_OK;
	while (error == GUILD_OK && (!list_empty(&bus->ready) || !list_empty(&bus->running))) {
		if (!list_empty(&bus->ready)) {
			unlock(bus);
			error = guild_bus_dispatch(bus, NULL);
			lock(bus);
		} else {
			/* The rest is in the hands of other threads. */
			int waited = pthread_cond_timedwait(&bus->changed, &bus->lock, &until);
			check(waited == 0 || waited == ETIMEDOUT);
		}
		bool left = !list_empty(&bus->ready) || !list_empty(&bus->running);
		if (left && env_mono_us(env_real()) >= until_us) {
			error = GUILD_ERR_TIMED_OUT;
		}
	}
	unlock(bus);
	return error;
}

int guild_bus_counts(struct guild_bus *bus, struct guild_bus_counts *out)
{
	int error = usable(bus);
	if (error != GUILD_OK || out == NULL) {
		return error != GUILD_OK ? error : GUILD_ERR_INVALID;
	}
	lock(bus);
	*out = bus->counts;
	out->topics = bus->topics.count;
	out->subscribers = bus->subscribers.count;
	unlock(bus);
	return GUILD_OK;
}
