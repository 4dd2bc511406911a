/*
 * bus.c - topics and their subscribers, one shard for each loop.
 *
 *   shard --hash--> topic ("user:7") --array--> subscriber, subscriber, ...
 *                     ^                             |
 *                     +---- subscription <---list---+
 *
 * A topic's subscribers stand in an array, because a delivery walks all of them and a change only one. The interest counts are
 * the only thing other threads look at: topics of that hash on that loop.
 */
#include "bus/bus.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "bus/bus_priv.h"

#define INTEREST_SLOTS 65536
#define SUBSCRIBERS_FIRST 2
#define SPARE_NOTES 64 /* bits of a word */

struct bus_subscription;

struct entry {
	struct bus_subscriber *subscriber;
	struct bus_subscription *subscription;
};

struct topic {
	struct topic *chain; /* the next one of the same hash */
	uint64_t hash;
	struct entry *entries;
	unsigned count;
	unsigned cap;
	size_t name_len;
	char name[];
};

struct bus_subscription {
	struct list link; /* in the subscriber's topics */
	struct topic *topic;
	unsigned index; /* in the topic's entries */
};

struct shard {
	struct loop *loop;
	struct map topics;
	size_t topic_count;
	uint64_t stamp;
	bool delivering;
	_Atomic(uint32_t) *interest;
	/* What could not be delivered; the note is under way while missing is set. */
	struct loop_note missed_note;
	atomic_bool missing, missed_others;
	_Atomic(int64_t) missed_from;
};

struct publish_note {
	struct loop_note note;
	struct bus *bus;
	struct bus_event *event;
};

struct bus {
	struct siphash_key seed;
	bus_render_fn *render;
	void *render_ctx;
	unsigned shard_count;
	uint8_t shard_of_number[LIMIT_LOOPS + 1]; /* 0: none, else the index plus 1 */
	struct publish_note spare[SPARE_NOTES];   /* for when there is no memory */
	_Atomic(uint64_t) spare_taken;            /* a bit each */
	struct shard shards[];
};

static void missed_run(struct loop_note *note, struct loop *loop);

static struct shard *shard_find(const struct bus *bus, const struct loop *loop)
{
	unsigned number = loop_number(loop);
	unsigned index = number <= LIMIT_LOOPS ? bus->shard_of_number[number] : 0;
	return index > 0 && bus->shards[index - 1].loop == loop ? (struct shard *)&bus->shards[index - 1] : NULL;
}

/* The shard of a loop of this bus, from its own thread. */
static struct shard *shard_own(const struct bus *bus, const struct loop *loop)
{
	struct shard *shard = shard_find(bus, loop);
	check(shard != NULL);
	check(loop_current() == NULL || loop_current() == loop);
	return shard;
}

/* ---- life ---- */

enum err bus_create(const struct env *env, struct loop *const *loops, unsigned loop_count, bus_render_fn *render, void *render_ctx,
		    struct bus **out)
{
	check(loop_count >= 1 && loop_count <= LIMIT_LOOPS);
	*out = NULL;
	struct bus *bus = mem_alloc(sizeof(*bus) + loop_count * sizeof(struct shard));
	if (bus == NULL) {
		return ERR_MEMORY;
	}
	env_random(env, &bus->seed, sizeof(bus->seed));
	bus->render = render;
	bus->render_ctx = render_ctx;
	for (unsigned i = 0; i < loop_count; i++) {
		struct shard *shard = &bus->shards[i];
		unsigned number = loop_number(loops[i]);
		check(number <= LIMIT_LOOPS && bus->shard_of_number[number] == 0);
		bus->shard_count = i + 1;
		bus->shard_of_number[number] = (uint8_t)(i + 1);
		shard->loop = loops[i];
		shard->missed_note.run = missed_run;
		atomic_init(&shard->missed_from, INT64_MAX);
		map_init(&shard->topics, LIMIT_TOPICS);
		shard->interest = mem_alloc(INTEREST_SLOTS * sizeof(*shard->interest));
		if (shard->interest == NULL) {
			bus_destroy(&bus);
			return ERR_MEMORY;
		}
	}
	*out = bus;
	return ERR_OK;
}

/* Does not touch the subscribers that are left: at the end they may be gone before the bus. */
static void topic_free(struct topic *topic)
{
	for (unsigned i = 0; i < topic->count; i++) {
		mem_free(topic->entries[i].subscription);
	}
	mem_free(topic->entries);
	mem_free(topic);
}

void bus_destroy(struct bus **bus)
{
	if (*bus == NULL) {
		return;
	}
	for (unsigned i = 0; i < (*bus)->shard_count; i++) {
		struct shard *shard = &(*bus)->shards[i];
		size_t cursor = 0;
		uint64_t hash;
		void *value;
		while (map_next(&shard->topics, &cursor, &hash, &value)) {
			struct topic *next;
			for (struct topic *topic = value; topic != NULL; topic = next) {
				next = topic->chain;
				topic_free(topic);
			}
		}
		map_fini(&shard->topics);
		mem_free(shard->interest);
	}
	mem_free(*bus);
	*bus = NULL;
}

struct frame *bus_render(const struct bus *bus, const struct bus_event *event, enum bus_form form)
{
	return bus->render != NULL ? bus->render(bus->render_ctx, event, form) : NULL;
}

/* ---- topics ---- */

static struct topic *topic_find(const struct shard *shard, uint64_t hash, struct str name)
{
	struct topic *topic = map_get(&shard->topics, hash);
	while (topic != NULL && !str_eq(str_make(topic->name, topic->name_len), name)) {
		topic = topic->chain;
	}
	return topic;
}

static enum err topic_add(struct shard *shard, uint64_t hash, struct str name, struct topic **out)
{
	if (shard->topic_count >= LIMIT_TOPICS) {
		return ERR_LIMIT;
	}
	struct topic *topic = mem_alloc(sizeof(*topic) + name.len);
	if (topic == NULL) {
		return ERR_MEMORY;
	}
	topic->hash = hash;
	topic->name_len = name.len;
	memcpy(topic->name, name.at, name.len);
	topic->chain = map_get(&shard->topics, hash);
	enum err err = map_put(&shard->topics, hash, topic);
	if (err != ERR_OK) {
		mem_free(topic);
		return err;
	}
	shard->topic_count++;
	atomic_fetch_add(&shard->interest[hash % INTEREST_SLOTS], 1);
	*out = topic;
	return ERR_OK;
}

static void topic_remove(struct shard *shard, struct topic *topic)
{
	struct topic *first = map_get(&shard->topics, topic->hash);
	if (first != topic) {
		while (first->chain != topic) {
			first = first->chain;
		}
		first->chain = topic->chain;
	} else if (topic->chain == NULL) {
		map_remove(&shard->topics, topic->hash);
	} else {
		/* Replacing the value of a key that is there needs no memory. */
		check(map_put(&shard->topics, topic->hash, topic->chain) == ERR_OK);
	}
	shard->topic_count--;
	atomic_fetch_sub(&shard->interest[topic->hash % INTEREST_SLOTS], 1);
	topic_free(topic);
}

/* ---- subscriptions ---- */

void bus_subscriber_init(struct bus_subscriber *subscriber, void (*deliver)(struct bus_subscriber *, struct bus_event *))
{
	*subscriber = (struct bus_subscriber){.deliver = deliver};
	list_init(&subscriber->topics);
}

/* Looks through the shorter of the two sides. */
static struct bus_subscription *subscription_find(const struct bus_subscriber *subscriber, const struct topic *topic)
{
	if (topic->count < subscriber->topic_count) {
		for (unsigned i = 0; i < topic->count; i++) {
			if (topic->entries[i].subscriber == subscriber) {
				return topic->entries[i].subscription;
			}
		}
		return NULL;
	}
	for (struct list *at = subscriber->topics.next; at != &subscriber->topics; at = at->next) {
		struct bus_subscription *subscription = container_of(at, struct bus_subscription, link);
		if (subscription->topic == topic) {
			return subscription;
		}
	}
	return NULL;
}

static bool entries_grow(struct topic *topic)
{
	unsigned cap = topic->cap == 0 ? SUBSCRIBERS_FIRST : topic->cap * 2;
	struct entry *entries = mem_grow(topic->entries, cap * sizeof(struct entry));
	if (entries == NULL) {
		return false;
	}
	topic->entries = entries;
	topic->cap = cap;
	return true;
}

static enum err subscription_add(struct topic *topic, struct bus_subscriber *subscriber)
{
	if (topic->count == topic->cap && !entries_grow(topic)) {
		return ERR_MEMORY;
	}
	struct bus_subscription *subscription = mem_alloc(sizeof(*subscription));
	if (subscription == NULL) {
		return ERR_MEMORY;
	}
	subscription->topic = topic;
	subscription->index = topic->count;
	topic->entries[topic->count++] = (struct entry){subscriber, subscription};
	list_push(&subscriber->topics, &subscription->link);
	subscriber->topic_count++;
	return ERR_OK;
}

/* Also drops the topic when it was its last. */
static void subscription_remove(struct shard *shard, struct bus_subscriber *subscriber, struct bus_subscription *subscription)
{
	struct topic *topic = subscription->topic;
	struct entry last = topic->entries[--topic->count];
	topic->entries[subscription->index] = last;
	last.subscription->index = subscription->index;
	list_remove(&subscription->link);
	subscriber->topic_count--;
	mem_free(subscription);
	if (topic->count == 0) {
		topic_remove(shard, topic);
	}
}

enum err bus_subscribe(struct bus *bus, struct loop *loop, struct bus_subscriber *subscriber, struct str topic_name)
{
	struct shard *shard = shard_own(bus, loop);
	check(!shard->delivering);
	if (!bus_topic_valid(topic_name)) {
		return ERR_INVALID;
	}
	uint64_t hash = map_hash(&bus->seed, topic_name);
	struct topic *topic = topic_find(shard, hash, topic_name);
	if (topic != NULL && subscription_find(subscriber, topic) != NULL) {
		return ERR_OK;
	}
	if (subscriber->topic_count >= LIMIT_TOPICS_CONN) {
		return ERR_LIMIT;
	}
	if (topic == NULL) {
		enum err err = topic_add(shard, hash, topic_name, &topic);
		if (err != ERR_OK) {
			return err;
		}
	}
	enum err err = subscription_add(topic, subscriber);
	if (err != ERR_OK && topic->count == 0) {
		topic_remove(shard, topic);
	}
	return err;
}

static struct bus_subscription *subscription_of(const struct bus *bus, const struct shard *shard,
						const struct bus_subscriber *subscriber, struct str topic_name)
{
	struct topic *topic = topic_find(shard, map_hash(&bus->seed, topic_name), topic_name);
	return topic != NULL ? subscription_find(subscriber, topic) : NULL;
}

bool bus_unsubscribe(struct bus *bus, struct loop *loop, struct bus_subscriber *subscriber, struct str topic)
{
	struct shard *shard = shard_own(bus, loop);
	check(!shard->delivering);
	struct bus_subscription *subscription = subscription_of(bus, shard, subscriber, topic);
	if (subscription == NULL) {
		return false;
	}
	subscription_remove(shard, subscriber, subscription);
	return true;
}

void bus_unsubscribe_all(struct bus *bus, struct loop *loop, struct bus_subscriber *subscriber)
{
	struct shard *shard = shard_own(bus, loop);
	check(!shard->delivering);
	while (!list_empty(&subscriber->topics)) {
		subscription_remove(shard, subscriber, container_of(subscriber->topics.next, struct bus_subscription, link));
	}
}

bool bus_subscribed(struct bus *bus, struct loop *loop, const struct bus_subscriber *subscriber, struct str topic)
{
	return subscription_of(bus, shard_own(bus, loop), subscriber, topic) != NULL;
}

size_t bus_topics(const struct bus *bus, const struct loop *loop)
{
	return shard_own(bus, loop)->topic_count;
}

/* ---- publishing ---- */

/* The hashes of the event's topics: its own, or made in room. */
static const uint64_t *hash_topics(const struct bus *bus, const struct bus_event *event, uint64_t *room)
{
	if (event->hashes != NULL) {
		return event->hashes;
	}
	for (unsigned i = 0; i < event->topic_count; i++) {
		room[i] = map_hash(&bus->seed, event->topics[i]);
	}
	return room;
}

uint64_t bus_topic_hash(const struct bus *bus, struct str topic)
{
	return map_hash(&bus->seed, topic);
}

/* Sequentially consistent, with the change of the count: whoever subscribes and then asks for what was before misses nothing. */
static bool interested(const struct shard *shard, const uint64_t *hashes, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		if (atomic_load(&shard->interest[hashes[i] % INTEREST_SLOTS]) != 0) {
			return true;
		}
	}
	return false;
}

static void deliver(struct shard *shard, struct bus_event *event, const uint64_t *hashes)
{
	int64_t copies = 0;
	check(!shard->delivering);
	shard->delivering = true;
	uint64_t stamp = ++shard->stamp;
	for (unsigned t = 0; t < event->topic_count; t++) {
		struct topic *topic = topic_find(shard, hashes[t], event->topics[t]);
		for (unsigned i = 0; topic != NULL && i < topic->count; i++) {
			struct bus_subscriber *subscriber = topic->entries[i].subscriber;
			if (subscriber->stamp != stamp) {
				subscriber->stamp = stamp;
				subscriber->deliver(subscriber, event);
				copies++;
			}
		}
	}
	shard->delivering = false;
	metric_add(METRIC_BUS_DELIVERED, copies);
}

void bus_deliver(struct bus *bus, struct loop *loop, struct bus_event *event)
{
	uint64_t room[LIMIT_TOPICS_EVENT];
	deliver(shard_own(bus, loop), event, hash_topics(bus, event, room));
}

/* One of those kept for want of memory; NULL when all are under way. */
static struct publish_note *spare_take(struct bus *bus)
{
	uint64_t taken = atomic_load(&bus->spare_taken);
	while (taken != UINT64_MAX) {
		unsigned index = (unsigned)__builtin_ctzll(~taken);
		if (atomic_compare_exchange_weak(&bus->spare_taken, &taken, taken | UINT64_C(1) << index)) {
			return &bus->spare[index];
		}
	}
	return NULL;
}

static void note_free(struct bus *bus, struct publish_note *note)
{
	if (note >= bus->spare && note < bus->spare + SPARE_NOTES) {
		atomic_fetch_and(&bus->spare_taken, ~(UINT64_C(1) << (note - bus->spare)));
	} else {
		mem_free(note);
	}
}

static void note_run(struct loop_note *loop_note, struct loop *loop)
{
	struct publish_note *note = container_of(loop_note, struct publish_note, note);
	bus_deliver(note->bus, loop, note->event);
	bus_event_drop(&note->event);
	note_free(note->bus, note);
}

/* The flag goes first, and comes last in missed_post: what is missed from here on has a note of its own. */
static void missed_run(struct loop_note *note, struct loop *loop)
{
	struct shard *shard = container_of(note, struct shard, missed_note);
	size_t cursor = 0;
	uint64_t hash;
	void *value;
	(void)loop;
	atomic_store(&shard->missing, false);
	int64_t from = atomic_exchange(&shard->missed_from, INT64_MAX);
	bool others = atomic_exchange(&shard->missed_others, false);
	uint64_t stamp = ++shard->stamp;
	shard->delivering = true;
	while (map_next(&shard->topics, &cursor, &hash, &value)) {
		for (struct topic *topic = value; topic != NULL; topic = topic->chain) {
			for (unsigned i = 0; i < topic->count; i++) {
				struct bus_subscriber *subscriber = topic->entries[i].subscriber;
				if (subscriber->stamp != stamp && subscriber->missed != NULL) {
					subscriber->stamp = stamp;
					subscriber->missed(subscriber, from, others);
				}
			}
		}
	}
	shard->delivering = false;
}

static void missed_post(struct shard *shard, int64_t from, bool others)
{
	int64_t old = atomic_load(&shard->missed_from);
	while (from < old && !atomic_compare_exchange_weak(&shard->missed_from, &old, from)) {
	}
	if (others) {
		atomic_store(&shard->missed_others, true);
	}
	metric_add(METRIC_BUS_MISSED, 1);
	if (!atomic_exchange(&shard->missing, true)) {
		log_at(LOG_ERROR, "events_missed", log_s("error", err_row(ERR_MEMORY)->code), log_i("loop", loop_number(shard->loop)));
		loop_note_post(shard->loop, &shard->missed_note);
	}
}

void bus_missed(struct bus *bus, struct loop *loop, int64_t from)
{
	struct shard *shard = shard_find(bus, loop);
	check(shard != NULL);
	missed_post(shard, from, false);
}

static void post(struct bus *bus, struct shard *shard, struct bus_event *event)
{
	struct publish_note *note = mem_alloc(sizeof(*note));
	note = note != NULL ? note : spare_take(bus);
	if (note == NULL) {
		missed_post(shard, event->offset > 0 ? event->offset - 1 : INT64_MAX, event->offset == 0);
		return;
	}
	note->note.run = note_run;
	note->bus = bus;
	note->event = bus_event_hold(event);
	loop_note_post(shard->loop, &note->note);
}

void bus_publish_take(struct bus *bus, struct bus_event *event)
{
	uint64_t room[LIMIT_TOPICS_EVENT];
	const uint64_t *hashes = hash_topics(bus, event, room);
	struct loop *here = loop_current();
	metric_add(METRIC_BUS_PUBLISHED, 1);
	for (unsigned i = 0; i < bus->shard_count; i++) {
		struct shard *shard = &bus->shards[i];
		if (!interested(shard, hashes, event->topic_count)) {
			continue;
		}
		if (shard->loop == here) {
			deliver(shard, event, hashes);
		} else {
			post(bus, shard, event);
		}
	}
	bus_event_drop(&event);
}

uint64_t bus_interest(const struct bus *bus, const struct bus_event *event)
{
	uint64_t room[LIMIT_TOPICS_EVENT];
	const uint64_t *hashes = hash_topics(bus, event, room);
	uint64_t bits = 0;
	for (unsigned i = 0; i < bus->shard_count; i++) {
		bits |= interested(&bus->shards[i], hashes, event->topic_count) ? UINT64_C(1) << i : 0;
	}
	return bits;
}

bool bus_topic_wanted(const struct bus *bus, struct str topic)
{
	return bus_hash_wanted(bus, map_hash(&bus->seed, topic));
}

bool bus_hash_wanted(const struct bus *bus, uint64_t hash)
{
	for (unsigned i = 0; i < bus->shard_count; i++) {
		if (interested(&bus->shards[i], &hash, 1)) {
			return true;
		}
	}
	return false;
}
