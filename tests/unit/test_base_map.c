/* Hash map, SipHash, timer heap, queue between threads, snapshot map under concurrent readers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/heap.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/queue.h"
#include "base/snapmap.h"
#include "base/thread.h"

static uint64_t fail_from; /* 0: none */

static bool fail_planned(void *arg, uint64_t number)
{
	return fail_from && number >= fail_from;
}

/* A fixed sequence, so that a failure can be seen again. */
static uint64_t next_random(uint64_t *s)
{
	uint64_t z = (*s += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

#define MODEL_KEYS 512

/* Random puts and removes against a plain array; few distinct keys make long probe runs. */
static void map_agrees_with_a_model(void **state)
{
	static int values[64];
	void *model[MODEL_KEYS] = {0};
	size_t cursor = 0, seen = 0, wanted = 0;
	uint64_t seed = 1, last_key;
	struct map map;
	void *last;

	map_init(&map, MODEL_KEYS);
	for (unsigned step = 0; step < 200000; step++) {
		uint64_t r = next_random(&seed);
		unsigned i = r % MODEL_KEYS;
		/* Keys like real ones: the low 21 bits are often all the same. */
		uint64_t key = (uint64_t)i << 21;
		if (r >> 40 & 1) {
			void *value = &values[r >> 50 & 63];
			assert_int_equal(map_put(&map, key, value), ERR_OK);
			model[i] = value;
		} else {
			assert_ptr_equal(map_remove(&map, key), model[i]);
			model[i] = NULL;
		}
		i = (unsigned)(next_random(&seed) % MODEL_KEYS);
		assert_ptr_equal(map_get(&map, (uint64_t)i << 21), model[i]);
	}
	while (map_next(&map, &cursor, &last_key, &last)) {
		assert_ptr_equal(model[last_key >> 21], last);
		seen++;
	}
	for (unsigned i = 0; i < MODEL_KEYS; i++) {
		wanted += model[i] != NULL;
	}
	assert_int_equal(seen, wanted);
	assert_int_equal(map.count, wanted);
	map_fini(&map);
}

static void map_has_limits(void **state)
{
	struct map map;
	int value;

	map_init(&map, 100);
	assert_null(map_get(&map, 1));
	assert_null(map_remove(&map, 1));
	for (unsigned i = 0; i < 100; i++) {
		assert_int_equal(map_put(&map, i, &value), ERR_OK);
	}
	assert_int_equal(map_put(&map, 100, &value), ERR_LIMIT);
	assert_int_equal(map_put(&map, 99, &map), ERR_OK);
	assert_ptr_equal(map_get(&map, 99), &map);
	assert_null(map_get(&map, 100));
	map_fini(&map);
	map_init(&map, 100);
	fail_from = 1;
	assert_int_equal(map_put(&map, 1, &value), ERR_MEMORY);
	fail_from = 0;
	assert_int_equal(map.count, 0);
	map_fini(&map);
}

/* Vectors of the reference implementation: key 00..0f, text 00..len-1. */
static void siphash_matches_the_reference(void **state)
{
	static const struct {
		size_t len;
		uint64_t hash;
	} vectors[] = {
		{0, UINT64_C(0x726fdb47dd0e0e31)},
		{1, UINT64_C(0x74f839c593dc67fd)},
		{7, UINT64_C(0xab0200f58b01d137)},
		{8, UINT64_C(0x93f5f5799a932462)},
		{15, UINT64_C(0xa129ca6149be45e5)},
		{16, UINT64_C(0x3f2acc7f57c29bdb)},
		{63, UINT64_C(0x958a324ceb064572)},
	};
	const struct siphash_key key = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};
	char text[64];

	for (unsigned i = 0; i < sizeof(text); i++) {
		text[i] = (char)i;
	}
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		assert_true(map_hash(&key, str_make(text, vectors[i].len)) == vectors[i].hash);
	}
}

#define TIMERS 300

/* Memory comes and goes: what finds none is in no other order, and never lost. */
static void heap_gives_the_earliest_under_random_changes(void **state)
{
	static struct heap_entry timers[TIMERS];
	struct heap heap;
	uint64_t seed = 2;
	size_t most_aside = 0;

	heap_init(&heap);
	assert_null(heap_first(&heap));
	for (unsigned step = 0; step < 20000; step++) {
		fail_from = step / 500 % 2 == 0;
		most_aside = heap.aside_count > most_aside ? heap.aside_count : most_aside;
		uint64_t r = next_random(&seed);
		struct heap_entry *timer = &timers[r % TIMERS];
		const struct heap_entry *best = NULL;
		if (r >> 32 & 3) {
			assert_int_equal(heap_set(&heap, timer, (int64_t)(r >> 40 & 255)), ERR_OK);
		} else {
			heap_remove(&heap, timer);
			assert_int_equal(timer->index, 0);
		}
		for (unsigned i = 0; i < TIMERS; i++) {
			const struct heap_entry *t = &timers[i];
			if (t->index && (!best || t->at_us < best->at_us ||
					 (t->at_us == best->at_us && t->number < best->number))) {
				best = t;
			}
		}
		assert_ptr_equal(heap_first(&heap), best);
	}
	assert_true(most_aside > 10);
	assert_int_equal(heap.aside_count, 0);
	assert_int_equal(heap_set(&heap, &timers[0], 1), ERR_OK);
	fail_from = 0;
	heap_fini(&heap);
	for (unsigned i = 0; i < TIMERS; i++) {
		assert_int_equal(timers[i].index, 0);
	}
}

static void heap_keeps_order_of_equal_times_and_its_cap(void **state)
{
	struct heap_entry *timers = calloc(LIMIT_TIMERS + 1, sizeof(*timers));
	struct heap heap;

	heap_init(&heap);
	for (unsigned i = 0; i < LIMIT_TIMERS; i++) {
		assert_int_equal(heap_set(&heap, &timers[i], 5), ERR_OK);
	}
	assert_int_equal(heap_set(&heap, &timers[LIMIT_TIMERS], 1), ERR_LIMIT);
	assert_int_equal(timers[LIMIT_TIMERS].index, 0);
	assert_int_equal(heap_set(&heap, &timers[7], 5), ERR_OK);
	for (unsigned i = 0; i < 1000; i++) {
		if (i != 7) {
			assert_ptr_equal(heap_first(&heap), &timers[i]);
			heap_remove(&heap, &timers[i]);
		}
	}
	heap_fini(&heap);
	free(timers);
}

#define PRODUCERS 4
#define PUSHES 20000

struct item {
	struct queue_node node;
	unsigned producer;
	unsigned number;
};

struct producer {
	struct queue *queue;
	struct thread_gate *gate;
	struct item *items;
	unsigned number;
};

static void produce(void *arg)
{
	struct producer *p = arg;

	for (unsigned i = 0; i < PUSHES; i++) {
		p->items[i].producer = p->number;
		p->items[i].number = i;
		if (queue_push(p->queue, &p->items[i].node)) {
			thread_gate_open(p->gate);
		}
	}
}

/* The consumer sleeps unless woken: it ends only if no push and no wake-up is lost. */
static void queue_loses_nothing_and_keeps_each_producers_order(void **state)
{
	struct producer producers[PRODUCERS];
	struct thread threads[PRODUCERS];
	unsigned next[PRODUCERS] = {0};
	struct thread_gate gate;
	struct queue queue;
	unsigned taken = 0;

	queue_init(&queue);
	thread_gate_init(&gate);
	for (unsigned i = 0; i < PRODUCERS; i++) {
		producers[i] = (struct producer){&queue, &gate, calloc(PUSHES, sizeof(struct item)), i};
		assert_int_equal(thread_start(&threads[i], "producer", produce, &producers[i]), ERR_OK);
	}
	while (taken < PRODUCERS * PUSHES) {
		struct queue_node *node = queue_take_all(&queue);
		if (!node) {
			assert_true(thread_gate_wait(&gate, 20000000));
		}
		while (node) {
			struct item *item = container_of(node, struct item, node);
			node = node->next;
			assert_int_equal(item->number, next[item->producer]);
			next[item->producer]++;
			taken++;
		}
	}
	for (unsigned i = 0; i < PRODUCERS; i++) {
		thread_join(&threads[i]);
		free(producers[i].items);
	}
	assert_true(queue_empty(&queue));
	assert_null(queue_take_all(&queue));
	thread_gate_fini(&gate);
}

static void queue_push_tells_when_it_was_empty(void **state)
{
	struct queue_node a, b;
	struct queue queue;

	queue_init(&queue);
	assert_true(queue_push(&queue, &a));
	assert_false(queue_push(&queue, &b));
	assert_ptr_equal(queue_take_all(&queue), &a);
	assert_ptr_equal(a.next, &b);
	assert_null(b.next);
	assert_true(queue_push(&queue, &b));
}

static void gate_times_out_and_closes_behind_the_waiter(void **state)
{
	struct thread_gate gate;

	thread_gate_init(&gate);
	assert_false(thread_gate_wait(&gate, 0));
	assert_false(thread_gate_wait(&gate, 1000));
	thread_gate_open(&gate);
	thread_gate_open(&gate);
	assert_true(thread_gate_wait(&gate, -1));
	assert_false(thread_gate_wait(&gate, 0));
	thread_gate_fini(&gate);
}

static unsigned freed_count;

static void count_free(void *value)
{
	freed_count++;
	mem_free(value);
}

static void *make_value(uint64_t content)
{
	uint64_t *value = mem_alloc(2 * sizeof(*value));

	value[0] = content;
	value[1] = ~content;
	return value;
}

static void snapmap_agrees_with_a_model(void **state)
{
	uint64_t model[MODEL_KEYS] = {0};
	static struct snapmap map;
	struct snap_domain *domain;
	uint64_t seed = 3;
	size_t count = 0;

	assert_int_equal(snap_domain_create(&domain), ERR_OK);
	snapmap_init(&map, domain, MODEL_KEYS, count_free);
	for (unsigned step = 0; step < 20000; step++) {
		uint64_t r = next_random(&seed);
		unsigned i = (unsigned)(r % MODEL_KEYS);
		const uint64_t *got;
		if (r >> 40 & 1) {
			assert_int_equal(snapmap_put(&map, i, make_value(r)), ERR_OK);
			count += model[i] == 0;
			model[i] = r;
		} else {
			assert_int_equal(snapmap_remove(&map, i), ERR_OK);
			count -= model[i] != 0;
			model[i] = 0;
		}
		assert_int_equal(map.count, count);
		i = (unsigned)(next_random(&seed) % MODEL_KEYS);
		got = snapmap_get(&map, i);
		assert_true(model[i] ? got && *got == model[i] : !got);
		if (step % 100 == 0) {
			snap_domain_reclaim(domain);
		}
	}
	snapmap_fini(&map);
	snap_domain_destroy(&domain);
	assert_null(domain);
}

static void snapmap_has_limits_and_survives_lack_of_memory(void **state)
{
	static struct snapmap map;
	struct snap_domain *domain;
	int value, other;

	assert_int_equal(snap_domain_create(&domain), ERR_OK);
	snapmap_init(&map, domain, 2, NULL);
	assert_int_equal(snapmap_put(&map, 1, &value), ERR_OK);
	assert_int_equal(snapmap_put(&map, 2, &value), ERR_OK);
	assert_int_equal(snapmap_put(&map, 3, &value), ERR_LIMIT);
	fail_from = 1;
	assert_int_equal(snapmap_put(&map, 2, &other), ERR_MEMORY);
	fail_from = 0;
	assert_ptr_equal(snapmap_get(&map, 2), &value);
	assert_int_equal(snapmap_put(&map, 2, &other), ERR_OK);
	assert_ptr_equal(snapmap_get(&map, 2), &other);
	assert_int_equal(map.count, 2);
	snapmap_fini(&map);
	snap_domain_destroy(&domain);
	fail_from = 1;
	assert_int_equal(snap_domain_create(&domain), ERR_MEMORY);
	fail_from = 0;
	assert_null(domain);
}

static void reclamation_waits_for_readers_awake_and_not_for_sleepers(void **state)
{
	static struct snapmap map;
	struct snap_domain *domain;
	unsigned awake, asleep;
	const uint64_t *held;

	assert_int_equal(snap_domain_create(&domain), ERR_OK);
	assert_int_equal(snap_reader_add(domain, &awake), ERR_OK);
	assert_int_equal(snap_reader_add(domain, &asleep), ERR_OK);
	assert_int_not_equal(awake, asleep);
	snap_offline(domain, asleep);
	snapmap_init(&map, domain, 10, count_free);
	freed_count = 0;
	assert_int_equal(snapmap_put(&map, 1, make_value(11)), ERR_OK);
	held = snapmap_get(&map, 1);
	assert_int_equal(snapmap_put(&map, 1, make_value(12)), ERR_OK);
	snap_domain_reclaim(domain);
	assert_int_equal(freed_count, 0);
	assert_true(*held == 11);
	snap_quiescent(domain, awake);
	snap_domain_reclaim(domain);
	assert_int_equal(freed_count, 1);
	snap_online(domain, asleep);
	snap_retire(domain, make_value(13), count_free);
	snap_quiescent(domain, awake);
	snap_domain_reclaim(domain);
	assert_int_equal(freed_count, 1);
	snap_offline(domain, asleep);
	snap_domain_reclaim(domain);
	assert_int_equal(freed_count, 2);
	assert_int_equal(snapmap_remove(&map, 1), ERR_OK);
	snapmap_fini(&map);
	snap_domain_destroy(&domain);
	assert_int_equal(freed_count, 3);
}

static void readers_are_numbered_up_to_the_cap(void **state)
{
	struct snap_domain *domain;
	unsigned reader;

	assert_int_equal(snap_domain_create(&domain), ERR_OK);
	for (unsigned i = 0; i < SNAP_READERS; i++) {
		assert_int_equal(snap_reader_add(domain, &reader), ERR_OK);
		assert_int_equal(reader, i);
	}
	assert_int_equal(snap_reader_add(domain, &reader), ERR_LIMIT);
	snap_domain_destroy(&domain);
}

#define READERS 3
#define SHARED_KEYS 64
#define CHANGES 40000

struct shared {
	struct snapmap map;
	struct snap_domain *domain;
	atomic_bool stop;
	atomic_uint ready;
};

static void read_much(void *arg)
{
	struct shared *s = arg;
	uint64_t seed = 9, reads = 0;
	unsigned reader;

	if (snap_reader_add(s->domain, &reader)) {
		abort();
	}
	atomic_fetch_add(&s->ready, 1);
	while (!atomic_load(&s->stop)) {
		const uint64_t *held[8];
		for (unsigned i = 0; i < 8; i++) {
			held[i] = snapmap_get(&s->map, next_random(&seed) % SHARED_KEYS);
		}
		/* What was got stays whole until the quiescent point, whatever the changer does meanwhile. */
		for (unsigned i = 0; i < 8; i++) {
			if (held[i] && held[i][0] != ~held[i][1]) {
				abort();
			}
		}
		reads++;
		if (reads % 16 == 0) {
			snap_offline(s->domain, reader);
			snap_online(s->domain, reader);
		} else {
			snap_quiescent(s->domain, reader);
		}
	}
	snap_offline(s->domain, reader);
}

static void snapmap_serves_readers_while_it_changes(void **state)
{
	static struct shared s;
	struct thread threads[READERS];
	unsigned puts = 0;
	uint64_t seed = 4;

	assert_int_equal(snap_domain_create(&s.domain), ERR_OK);
	snapmap_init(&s.map, s.domain, SHARED_KEYS, count_free);
	freed_count = 0;
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(thread_start(&threads[i], "reader", read_much, &s), ERR_OK);
	}
	for (unsigned i = 0; i < CHANGES || atomic_load(&s.ready) < READERS; i++) {
		uint64_t key = next_random(&seed) % SHARED_KEYS;
		if (key % 4 == 0) {
			assert_int_equal(snapmap_remove(&s.map, key + 1), ERR_OK);
		}
		assert_int_equal(snapmap_put(&s.map, key, make_value(next_random(&seed))), ERR_OK);
		puts++;
		if (i % 8 == 0) {
			snap_domain_reclaim(s.domain);
		}
	}
	atomic_store(&s.stop, true);
	for (unsigned i = 0; i < READERS; i++) {
		thread_join(&threads[i]);
	}
	snapmap_fini(&s.map);
	snap_domain_destroy(&s.domain);
	assert_int_equal(freed_count, puts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(map_agrees_with_a_model),
		cmocka_unit_test(map_has_limits),
		cmocka_unit_test(siphash_matches_the_reference),
		cmocka_unit_test(heap_gives_the_earliest_under_random_changes),
		cmocka_unit_test(heap_keeps_order_of_equal_times_and_its_cap),
		cmocka_unit_test(queue_loses_nothing_and_keeps_each_producers_order),
		cmocka_unit_test(queue_push_tells_when_it_was_empty),
		cmocka_unit_test(gate_times_out_and_closes_behind_the_waiter),
		cmocka_unit_test(snapmap_agrees_with_a_model),
		cmocka_unit_test(snapmap_has_limits_and_survives_lack_of_memory),
		cmocka_unit_test(reclamation_waits_for_readers_awake_and_not_for_sleepers),
		cmocka_unit_test(readers_are_numbered_up_to_the_cap),
		cmocka_unit_test(snapmap_serves_readers_while_it_changes),
	};

	mem_hook_set(fail_planned, NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
