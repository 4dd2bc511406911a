/* The event bus: one copy each, order, loops, frames rendered once, topic names, caps, history. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "bus/bus.h"

enum { LOOPS = 3 };

static struct loop *loops[LOOPS];
static struct bus *bus;
static atomic_int rendered;

/* "ws:<data>" or "sse:<data>" */
static struct frame *render(void *ctx, const struct bus_event *event, enum bus_form form)
{
	char text[128];
	assert_ptr_equal(ctx, &rendered);
	atomic_fetch_add(&rendered, 1);
	int len = snprintf(text, sizeof(text), "%s:%.*s", form == BUS_FORM_WS ? "ws" : "sse", STR_FMT(event->data));
	return frame_copy(str_make(text, (size_t)len));
}

static int setup(void **state)
{
	for (unsigned i = 0; i < LOOPS; i++) {
		struct loop_options options = {.env = env_real(), .number = i};
		assert_int_equal(loop_create(&options, &loops[i]), ERR_OK);
	}
	atomic_store(&rendered, 0);
	log_set(LOG_OFF, false);
	assert_int_equal(bus_create(env_real(), loops, LOOPS, render, &rendered, &bus), ERR_OK);
	return 0;
}

static void turn_all(void)
{
	for (int i = 0; i < LOOPS; i++) {
		loop_turn(loops[i], 0);
	}
}

static int teardown(void **state)
{
	turn_all();
	bus_destroy(&bus);
	for (int i = 0; i < LOOPS; i++) {
		loop_destroy(&loops[i]);
	}
	return 0;
}

/* ---- subscribers that remember ---- */

struct listener {
	struct bus_subscriber subscriber;
	int count;
	int64_t last;
	int64_t seqs[16];
	struct loop *seen_on;
};

static void listen(struct bus_subscriber *subscriber, struct bus_event *event)
{
	struct listener *listener = container_of(subscriber, struct listener, subscriber);
	assert_true(event->seq > listener->last);
	listener->last = event->seq;
	listener->seqs[listener->count++ % 16] = event->seq;
	listener->seen_on = loop_current();
}

static void listener_init(struct listener *listener)
{
	*listener = (struct listener){0};
	bus_subscriber_init(&listener->subscriber, listen);
}

static struct bus_event *event_of(int64_t seq, const char *topics_text)
{
	struct str topics[LIMIT_TOPICS_EVENT];
	struct str rest = str_of(topics_text);
	unsigned count = 0;
	while (str_split(&rest, ' ', &topics[count])) {
		count++;
	}
	struct bus_event_parts parts = {.topics = topics, .topic_count = count, .seq = seq, .type = STR("tick"), .data = STR("{}")};
	struct bus_event *event;
	assert_int_equal(bus_event_make(&parts, &event), ERR_OK);
	return event;
}

static void subscribe(int loop, struct listener *listener, const char *topic)
{
	assert_int_equal(bus_subscribe(bus, loops[loop], &listener->subscriber, str_of(topic)), ERR_OK);
}

static void publish(int64_t seq, const char *topics)
{
	bus_publish_take(bus, event_of(seq, topics));
}

/* ---- delivery ---- */

static void overlapping_topics_give_one_copy(void **state)
{
	struct listener both, one, none;
	int64_t delivered = metric_get(METRIC_BUS_DELIVERED);
	listener_init(&both);
	listener_init(&one);
	listener_init(&none);
	subscribe(0, &both, "user:1");
	subscribe(0, &both, "agent:2");
	subscribe(0, &both, "agent:2"); /* twice is once */
	subscribe(0, &one, "agent:2");
	subscribe(0, &none, "agent:22");
	assert_int_equal(both.subscriber.topic_count, 2);
	publish(1, "user:1 agent:2 global agent:2");
	publish(2, "global");
	publish(3, "user:1");
	assert_int_equal(both.count, 0); /* by note */
	turn_all();
	assert_int_equal(both.count, 2);
	assert_int_equal(both.seqs[0], 1);
	assert_int_equal(both.seqs[1], 3);
	assert_int_equal(one.count, 1);
	assert_int_equal(none.count, 0);
	assert_ptr_equal(both.seen_on, loops[0]);
	assert_int_equal(metric_get(METRIC_BUS_DELIVERED) - delivered, 3);
}

static void unsubscribing_stops_delivery(void **state)
{
	struct listener a, b;
	listener_init(&a);
	listener_init(&b);
	subscribe(1, &a, "x");
	subscribe(1, &b, "x");
	subscribe(1, &a, "y");
	assert_int_equal(bus_topics(bus, loops[1]), 2);
	assert_true(bus_subscribed(bus, loops[1], &a.subscriber, STR("x")));
	assert_true(bus_unsubscribe(bus, loops[1], &a.subscriber, STR("x")));
	assert_false(bus_unsubscribe(bus, loops[1], &a.subscriber, STR("x")));
	assert_false(bus_unsubscribe(bus, loops[1], &a.subscriber, STR("z")));
	assert_false(bus_subscribed(bus, loops[1], &a.subscriber, STR("x")));
	publish(1, "x");
	publish(2, "y");
	turn_all();
	assert_int_equal(a.count, 1);
	assert_int_equal(a.seqs[0], 2);
	assert_int_equal(b.count, 1);
	bus_unsubscribe_all(bus, loops[1], &a.subscriber);
	bus_unsubscribe_all(bus, loops[1], &b.subscriber);
	bus_unsubscribe_all(bus, loops[1], &b.subscriber);
	assert_int_equal(bus_topics(bus, loops[1]), 0);
	assert_false(bus_topic_wanted(bus, STR("x")));
	publish(3, "x y");
	turn_all();
	assert_int_equal(a.count, 1);
}

/* Many subscribers come and go in an order unlike that of their coming; a plain array says who is there. */
static void many_subscribers_agree_with_a_model(void **state)
{
	enum { MANY = 300, TOPICS = 20 };
	static struct listener listeners[MANY];
	static bool model[MANY][TOPICS];
	char name[16];
	unsigned seed = 1;
	memset(model, 0, sizeof(model));
	for (int i = 0; i < MANY; i++) {
		listener_init(&listeners[i]);
	}
	for (int step = 0; step < 20000; step++) {
		seed = seed * 1103515245 + 12345;
		int who = (int)(seed >> 8) % MANY;
		int what = (int)(seed >> 20) % TOPICS;
		snprintf(name, sizeof(name), "t%d", what);
		if (model[who][what]) {
			assert_true(bus_unsubscribe(bus, loops[0], &listeners[who].subscriber, str_of(name)));
		} else {
			subscribe(0, &listeners[who], name);
		}
		model[who][what] = !model[who][what];
	}
	for (int what = 0; what < TOPICS; what++) {
		snprintf(name, sizeof(name), "t%d", what);
		publish(what + 1, name);
		turn_all();
		for (int who = 0; who < MANY; who++) {
			assert_int_equal(listeners[who].last == what + 1, model[who][what]);
			assert_int_equal(bus_subscribed(bus, loops[0], &listeners[who].subscriber, str_of(name)), model[who][what]);
		}
	}
	for (int who = 0; who < MANY; who++) {
		bus_unsubscribe_all(bus, loops[0], &listeners[who].subscriber);
	}
	assert_int_equal(bus_topics(bus, loops[0]), 0);
}

static void fan_out_does_not_allocate(void **state)
{
	static struct listener listeners[1000];
	for (int i = 0; i < 1000; i++) {
		listener_init(&listeners[i]);
		subscribe(2, &listeners[i], "execution:9");
		subscribe(2, &listeners[i], "user:9");
	}
	struct bus_event *event = event_of(1, "execution:9 user:9");
	uint64_t before = mem_count();
	bus_deliver(bus, loops[2], event);
	assert_int_equal(mem_count(), before);
	bus_event_drop(&event);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(listeners[i].count, 1);
		bus_unsubscribe_all(bus, loops[2], &listeners[i].subscriber);
	}
}

struct publish_task {
	struct loop_note note;
	int64_t first;
	struct listener *own;
	int own_at_once;
};

static void publish_three(struct loop_note *note, struct loop *loop)
{
	struct publish_task *task = container_of(note, struct publish_task, note);
	for (int i = 0; i < 3; i++) {
		publish(task->first + i, "news");
	}
	task->own_at_once = task->own->count;
}

static void the_own_loop_hears_at_once_the_others_in_order(void **state)
{
	struct listener own, other, idle;
	listener_init(&own);
	listener_init(&other);
	listener_init(&idle);
	subscribe(0, &own, "news");
	subscribe(1, &other, "news");
	subscribe(2, &idle, "else");
	struct publish_task task = {.note = {.run = publish_three}, .first = 1, .own = &own};
	loop_note_post(loops[0], &task.note);
	loop_turn(loops[0], 0);
	assert_int_equal(task.own_at_once, 3);
	assert_int_equal(other.count, 0);
	loop_turn(loops[1], 0);
	assert_int_equal(other.count, 3);
	assert_int_equal(other.seqs[0], 1);
	assert_int_equal(other.seqs[2], 3);
	assert_ptr_equal(other.seen_on, loops[1]);
	turn_all();
	assert_int_equal(idle.count, 0);
	assert_int_equal(own.count, 3);
}

static void topics_hashed_before_are_found(void **state)
{
	struct str topics[2] = {STR("nobody"), STR("h")};
	uint64_t hashes[2] = {bus_topic_hash(bus, topics[0]), bus_topic_hash(bus, topics[1])};
	struct bus_event_parts parts = {
		.topics = topics, .topic_count = 2, .hashes = hashes, .seq = 1, .type = STR("tick"), .data = STR("{}")};
	struct bus_event *event;
	struct listener listener;
	listener_init(&listener);
	assert_false(bus_hash_wanted(bus, hashes[1]));
	subscribe(0, &listener, "h");
	assert_true(bus_hash_wanted(bus, hashes[1]));
	assert_false(bus_hash_wanted(bus, hashes[0]));
	assert_int_equal(bus_event_make(&parts, &event), ERR_OK);
	/* The event has its own copy. */
	hashes[1] = hashes[0];
	assert_int_equal(bus_interest(bus, event), 1);
	bus_deliver(bus, loops[0], event);
	assert_int_equal(listener.count, 1);
	bus_event_drop(&event);
	bus_unsubscribe_all(bus, loops[0], &listener.subscriber);
}

static void interest_says_which_loops(void **state)
{
	struct listener a, b;
	listener_init(&a);
	listener_init(&b);
	struct bus_event *event = event_of(1, "p q");
	assert_int_equal(bus_interest(bus, event), 0);
	assert_false(bus_topic_wanted(bus, STR("p")));
	subscribe(0, &a, "p");
	subscribe(2, &b, "q");
	assert_int_equal(bus_interest(bus, event), 5);
	assert_true(bus_topic_wanted(bus, STR("q")));
	bus_unsubscribe_all(bus, loops[0], &a.subscriber);
	assert_int_equal(bus_interest(bus, event), 4);
	bus_event_drop(&event);
	assert_null(event);
}

static uint64_t notes;

static bool count_notes(void *arg, uint64_t number)
{
	(void)arg;
	(void)number;
	notes++;
	return false;
}

/* What a publish costs a loop is one note, and that is the only memory it takes. */
static void publishing_wakes_only_loops_that_care(void **state)
{
	struct listener listeners[LOOPS][8];
	char topic[8];
	(void)state;
	for (int l = 0; l < LOOPS; l++) {
		for (int t = 0; t < 8; t++) {
			listener_init(&listeners[l][t]);
		}
	}
	for (unsigned round = 0; round < 400; round++) {
		unsigned t = round * 7 % 8, l = round * 5 % LOOPS;
		struct listener *changed = &listeners[l][t];
		snprintf(topic, sizeof(topic), "t%u", t);
		if (changed->subscriber.topic_count == 0) {
			subscribe((int)l, changed, topic);
		} else {
			assert_true(bus_unsubscribe(bus, loops[l], &changed->subscriber, str_of(topic)));
		}
		unsigned first = round % 8, second = round * 3 % 8;
		char topics[16];
		snprintf(topics, sizeof(topics), "t%u t%u", first, second);
		struct bus_event *event = event_of(round + 1, topics);
		uint64_t interest = bus_interest(bus, event);
		for (int i = 0; i < LOOPS; i++) {
			bool cares = listeners[i][first].subscriber.topic_count + listeners[i][second].subscriber.topic_count > 0;
			/* Names that share a slot may wake a loop in vain, but none that cares is left asleep. */
			assert_true(!cares || (interest >> i & 1) != 0);
		}
		notes = 0;
		mem_hook_set(count_notes, NULL);
		bus_publish_take(bus, event);
		mem_hook_set(NULL, NULL);
		assert_int_equal(notes, __builtin_popcountll(interest));
		turn_all();
		for (int i = 0; i < LOOPS; i++) {
			for (unsigned n = 0; n < 8; n++) {
				bool mine = listeners[i][n].subscriber.topic_count > 0 && (n == first || n == second);
				assert_int_equal(listeners[i][n].last == round + 1, mine);
			}
		}
	}
	for (int l = 0; l < LOOPS; l++) {
		for (int t = 0; t < 8; t++) {
			bus_unsubscribe_all(bus, loops[l], &listeners[l][t].subscriber);
		}
	}
	struct bus_event *nobody = event_of(1000, "t0 t1 t2 t3 t4 t5 t6 t7");
	assert_int_equal(bus_interest(bus, nobody), 0);
	bus_event_drop(&nobody);
}

/* AC-149, AC-150: neither a part of a name nor a pattern is that name. */
static void names_match_whole_or_not_at_all(void **state)
{
	static const char *const names[] = {"a", "A", "aa", "a:", ":a", "a:b", "a:b:c", "a.b", "a/b", "a/", "agent:1", "agent:11", "agent:", "agent",
					    "1", "global", "globa", "global.", "..", "-"};
	enum { NAMES = sizeof(names) / sizeof(names[0]) };
	struct listener listeners[NAMES];
	(void)state;
	for (int i = 0; i < NAMES; i++) {
		listener_init(&listeners[i]);
		subscribe(i % LOOPS, &listeners[i], names[i]);
	}
	for (int i = 0; i < NAMES; i++) {
		publish(i + 1, names[i]);
		turn_all();
		for (int k = 0; k < NAMES; k++) {
			assert_int_equal(listeners[k].last, k <= i ? k + 1 : 0);
			assert_int_equal(listeners[k].count, k <= i);
		}
	}
	for (int i = 0; i < NAMES; i++) {
		bus_unsubscribe_all(bus, loops[i % LOOPS], &listeners[i].subscriber);
	}
}

/* ---- threads ---- */

enum { ROUNDS = 3000 };

struct worker {
	struct loop *loop;
	struct thread thread;
	struct loop_task task;
	struct listener steady;
	struct listener restless;
	int number;
	int published;
	int heard[LOOPS];
	int64_t last[LOOPS];
};

static struct worker workers[LOOPS];
static atomic_int ended;

/* seq = number of the publisher * 1e6 + its count: each publisher's order has to be kept. */
static void hear(struct bus_subscriber *subscriber, struct bus_event *event)
{
	struct worker *worker = container_of(subscriber, struct worker, steady.subscriber);
	int from = (int)(event->seq / 1000000);
	if (event->seq <= worker->last[from]) {
		abort();
	}
	worker->last[from] = event->seq;
	worker->heard[from]++;
	struct frame *frame = bus_event_frame(bus, event, BUS_FORM_WS);
	if (frame == NULL || !str_eq(frame_str(frame), STR("ws:{}"))) {
		abort();
	}
	if (from == worker->number ? event->seq % 1000000 == ROUNDS : worker->heard[from] == ROUNDS) {
		int whole = 0;
		for (int i = 0; i < LOOPS; i++) {
			whole += worker->heard[i] == ROUNDS;
		}
		if (whole == LOOPS && atomic_fetch_add(&ended, 1) == LOOPS - 1) {
			for (int i = 0; i < LOOPS; i++) {
				loop_stop(workers[i].loop);
			}
		}
	}
}

static void ignore(struct bus_subscriber *subscriber, struct bus_event *event)
{
}

static void work(struct loop_task *task, struct loop *loop)
{
	struct worker *worker = container_of(task, struct worker, task);
	for (int i = 0; i < 10; i++) {
		publish(worker->number * 1000000 + ++worker->published, "all sometimes");
	}
	if (worker->published % 20 == 0) {
		bus_unsubscribe_all(bus, loop, &worker->restless.subscriber);
	} else {
		subscribe(worker->number, &worker->restless, "sometimes");
	}
	if (worker->published < ROUNDS) {
		loop_task_add(loop, task);
	}
}

struct start_note {
	struct loop_note note;
	struct worker *worker;
};

static void begin(struct loop_note *note, struct loop *loop)
{
	loop_task_add(loop, &container_of(note, struct start_note, note)->worker->task);
}

static void run_loop(void *arg)
{
	loop_run(((struct worker *)arg)->loop);
}

static void each_publishers_order_is_kept_on_all_loops(void **state)
{
	static struct start_note starts[LOOPS];
	atomic_store(&ended, 0);
	for (int i = 0; i < LOOPS; i++) {
		workers[i] = (struct worker){.loop = loops[i], .number = i, .task = {.run = work}};
		list_init(&workers[i].task.link);
		bus_subscriber_init(&workers[i].steady.subscriber, hear);
		bus_subscriber_init(&workers[i].restless.subscriber, ignore);
		subscribe(i, &workers[i].steady, "all");
		starts[i] = (struct start_note){.note = {.run = begin}, .worker = &workers[i]};
		loop_note_post(loops[i], &starts[i].note);
	}
	for (int i = 0; i < LOOPS; i++) {
		assert_int_equal(thread_start(&workers[i].thread, "loop", run_loop, &workers[i]), ERR_OK);
	}
	for (int i = 0; i < LOOPS; i++) {
		thread_join(&workers[i].thread);
	}
	for (int i = 0; i < LOOPS; i++) {
		for (int k = 0; k < LOOPS; k++) {
			assert_int_equal(workers[i].heard[k], ROUNDS);
		}
		bus_unsubscribe_all(bus, loops[i], &workers[i].restless.subscriber);
	}
	/* Each event was rendered once, or once more where two loops met. */
	assert_true(atomic_load(&rendered) >= LOOPS * ROUNDS);
	assert_true(atomic_load(&rendered) <= LOOPS * LOOPS * ROUNDS);
}

/* ---- events and names ---- */

static void events_keep_copies_and_render_once(void **state)
{
	char topic[] = "user:1";
	char data[] = "{\"a\":1}";
	struct str topics[] = {str_of(topic), STR("global")};
	struct bus_event_parts parts = {.topics = topics,
					.topic_count = 2,
					.offset = 5,
					.time_us = 6,
					.execution = 7,
					.seq = 8,
					.ends_stream = true,
					.type = STR("t"),
					.source = STR("/server"),
					.data = str_of(data)};
	parts.frames[BUS_FORM_SSE] = frame_copy(STR("ready"));
	struct bus_event *event;
	assert_int_equal(bus_event_make(&parts, &event), ERR_OK);
	memset(topic, 'x', sizeof(topic) - 1);
	memset(data, 'x', sizeof(data) - 1);
	assert_true(str_eq(event->topics[0], STR("user:1")));
	assert_true(str_eq(event->topics[1], STR("global")));
	assert_true(str_eq(event->data, STR("{\"a\":1}")));
	assert_true(str_eq(event->type, STR("t")) && str_eq(event->source, STR("/server")));
	assert_true(event->offset == 5 && event->time_us == 6 && event->execution == 7 && event->seq == 8 && event->ends_stream);
	struct frame *frame = bus_event_frame(bus, event, BUS_FORM_WS);
	assert_true(str_eq(frame_str(frame), STR("ws:{\"a\":1}")));
	assert_ptr_equal(bus_event_frame(bus, event, BUS_FORM_WS), frame);
	assert_true(str_eq(frame_str(bus_event_frame(bus, event, BUS_FORM_SSE)), STR("ready")));
	assert_int_equal(atomic_load(&rendered), 1);
	struct bus_event *second = bus_event_hold(event);
	bus_event_drop(&event);
	assert_true(str_eq(second->data, STR("{\"a\":1}")));
	bus_event_drop(&second);
	bus_event_drop(&second);
}

static void malformed_events_are_refused(void **state)
{
	struct str topics[LIMIT_TOPICS_EVENT + 1];
	struct bus_event *event;
	for (unsigned i = 0; i <= LIMIT_TOPICS_EVENT; i++) {
		topics[i] = STR("x");
	}
	/* What was handed over is released also then: the leak checker watches. */
	struct bus_event_parts parts = {.topics = topics, .topic_count = LIMIT_TOPICS_EVENT + 1, .frames = {frame_copy(STR("a"))}};
	assert_int_equal(bus_event_make(&parts, &event), ERR_INVALID);
	assert_null(event);
	parts = (struct bus_event_parts){.topics = topics, .frames = {NULL, frame_copy(STR("a"))}};
	assert_int_equal(bus_event_make(&parts, &event), ERR_INVALID);
	topics[1] = STR("a b");
	parts = (struct bus_event_parts){.topics = topics, .topic_count = 2};
	assert_int_equal(bus_event_make(&parts, &event), ERR_INVALID);
	topics[1] = STR("a");
	assert_int_equal(bus_event_make(&parts, &event), ERR_OK);
	assert_null(event->data.at);
	bus_event_drop(&event);
}

static void topic_names(void **state)
{
	char longest[LIMIT_TOPIC_BYTES + 2];
	struct listener listener;
	listener_init(&listener);
	memset(longest, 'a', sizeof(longest));
	assert_true(bus_topic_valid(str_make(longest, LIMIT_TOPIC_BYTES)));
	assert_false(bus_topic_valid(str_make(longest, LIMIT_TOPIC_BYTES + 1)));
	assert_true(bus_topic_valid(STR("aZ09_.:@/-")));
	static const char *const bad[] = {"", " ", "a b", "a\n", "#tag", "caf\xc3\xa9", "a*", "a,b", "\x7f"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(bus_topic_valid(str_of(bad[i])));
		assert_int_equal(bus_subscribe(bus, loops[0], &listener.subscriber, str_of(bad[i])), ERR_INVALID);
	}
	assert_false(bus_topic_valid(str_make("a\0b", 3)));
	static const char *const reserved[] = {"global",  "alerts", "agent:1",     "category:x",  "channel:1",
					       "post:1", "user:1", "execution:1", "workspace:1", "user:"};
	for (size_t i = 0; i < sizeof(reserved) / sizeof(reserved[0]); i++) {
		assert_true(bus_topic_reserved(str_of(reserved[i])));
	}
	static const char *const plain[] = {"globals", "alert", "agent", "agents:1", "Global", "x.agent:1", "my/topic"};
	for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
		assert_false(bus_topic_reserved(str_of(plain[i])));
	}
}

static void a_subscriber_has_a_cap_of_topics(void **state)
{
	struct listener listener;
	char name[16];
	listener_init(&listener);
	for (int i = 0; i < LIMIT_TOPICS_CONN; i++) {
		snprintf(name, sizeof(name), "t%d", i);
		subscribe(0, &listener, name);
	}
	assert_int_equal(bus_subscribe(bus, loops[0], &listener.subscriber, STR("more")), ERR_LIMIT);
	assert_int_equal(bus_subscribe(bus, loops[0], &listener.subscriber, STR("t7")), ERR_OK);
	assert_int_equal(bus_topics(bus, loops[0]), LIMIT_TOPICS_CONN);
	assert_true(bus_unsubscribe(bus, loops[0], &listener.subscriber, STR("t7")));
	subscribe(0, &listener, "more");
	/* The rest is left to bus_destroy. */
	bus_destroy(&bus);
	assert_int_equal(bus_create(env_real(), loops, LOOPS, NULL, NULL, &bus), ERR_OK);
	struct bus_event *event = event_of(1, "x");
	assert_null(bus_event_frame(bus, event, BUS_FORM_WS));
	bus_event_drop(&event);
}

static uint64_t fail_at;
static uint64_t passed;

static bool fail_nth(void *arg, uint64_t number)
{
	return ++passed == fail_at;
}

static void want_of_memory_leaves_nothing_behind(void **state)
{
	enum err err = ERR_MEMORY;
	struct listener listener;
	listener_init(&listener);
	for (fail_at = 1; err != ERR_OK; fail_at++) {
		passed = 0;
		mem_hook_set(fail_nth, NULL);
		err = bus_subscribe(bus, loops[0], &listener.subscriber, STR("x"));
		mem_hook_set(NULL, NULL);
		assert_true(err == ERR_OK || err == ERR_MEMORY);
		assert_int_equal(bus_topics(bus, loops[0]), err == ERR_OK);
		assert_int_equal(bus_topic_wanted(bus, STR("x")), err == ERR_OK);
		assert_int_equal(listener.subscriber.topic_count, err == ERR_OK);
	}
	assert_true(fail_at > 3);
	bus_unsubscribe_all(bus, loops[0], &listener.subscriber);
}

static int64_t missed_from;
static int missed_count, missed_others;

static void on_missed(struct bus_subscriber *subscriber, int64_t from, bool others)
{
	struct listener *listener = container_of(subscriber, struct listener, subscriber);
	missed_from = from;
	missed_others += others;
	missed_count++;
	/* Nothing that was published later came before. */
	assert_int_equal(listener->count, 64);
}

static bool none(void *arg, uint64_t number)
{
	return true;
}

/* For some time there are notes set aside; then each listener of that loop is told once, before anything later. */
static void what_is_missed_for_want_of_memory_is_told(void **state)
{
	struct bus_event *events[80];
	struct listener far;
	int64_t missed = metric_get(METRIC_BUS_MISSED);
	missed_count = missed_others = 0;
	listener_init(&far);
	far.subscriber.missed = on_missed;
	subscribe(1, &far, "a");
	subscribe(1, &far, "b");
	for (int i = 0; i < 80; i++) {
		events[i] = event_of(i + 1, "a b");
		events[i]->offset = i >= 70 ? 1000 + i : 0;
	}
	mem_hook_set(none, NULL);
	for (int i = 0; i < 80; i++) {
		bus_publish_take(bus, events[i]);
	}
	mem_hook_set(NULL, NULL);
	publish(81, "b");
	turn_all();
	assert_int_equal(far.count, 65);
	assert_int_equal(far.last, 81);
	assert_int_equal(missed_count, 1);
	assert_int_equal(missed_others, 1);
	assert_int_equal(missed_from, 1069);
	assert_int_equal(metric_get(METRIC_BUS_MISSED) - missed, 16);
	/* Those set aside are there again, and nothing is missed any more. */
	far.subscriber.missed = NULL;
	struct bus_event *last = event_of(82, "a");
	mem_hook_set(none, NULL);
	bus_publish_take(bus, last);
	mem_hook_set(NULL, NULL);
	turn_all();
	assert_int_equal(far.last, 82);
	assert_int_equal(metric_get(METRIC_BUS_MISSED) - missed, 16);
	bus_unsubscribe_all(bus, loops[1], &far.subscriber);
}

/* ---- history ---- */

static void put(struct bus_history *history, int64_t offset, size_t data_len)
{
	static char filler[4096];
	struct str topic = STR("global");
	struct bus_event_parts parts = {.topics = &topic, .topic_count = 1, .offset = offset, .data = str_make(filler, data_len)};
	struct bus_event *event;
	assert_int_equal(bus_event_make(&parts, &event), ERR_OK);
	bus_history_put(history, event);
	bus_event_drop(&event);
}

static size_t read_offsets(struct bus_history *history, int64_t after, int64_t upto, int64_t *offsets, size_t max)
{
	struct bus_event *events[16];
	size_t got = bus_history_read(history, after, upto, events, max);
	for (size_t i = 0; i < got; i++) {
		offsets[i] = events[i]->offset;
		bus_event_drop(&events[i]);
	}
	return got;
}

static void history_gives_ranges(void **state)
{
	struct bus_history *history;
	int64_t gone;
	int64_t got[16];
	assert_int_equal(bus_history_create(8, 1 << 20, &history), ERR_OK);
	assert_int_equal(bus_history_last(history, &gone), 0);
	assert_int_equal(gone, 0);
	assert_int_equal(read_offsets(history, 0, 100, got, 16), 0);
	bus_history_start(history, 10);
	assert_int_equal(bus_history_last(history, &gone), 10);
	assert_int_equal(gone, 10);
	for (int64_t offset = 12; offset <= 24; offset += 2) {
		put(history, offset, 10);
	}
	assert_int_equal(bus_history_last(history, &gone), 24);
	assert_int_equal(gone, 10);
	assert_int_equal(read_offsets(history, 10, 24, got, 16), 7);
	assert_int_equal(got[0], 12);
	assert_int_equal(got[6], 24);
	assert_int_equal(read_offsets(history, 13, 19, got, 16), 3); /* 14 16 18: bounds between offsets */
	assert_int_equal(got[0], 14);
	assert_int_equal(got[2], 18);
	assert_int_equal(read_offsets(history, 14, 24, got, 2), 2);
	assert_int_equal(got[1], 18);
	assert_int_equal(read_offsets(history, 24, 30, got, 16), 0);
	bus_history_start(history, 50);
	assert_int_equal(read_offsets(history, 0, 100, got, 16), 0);
	bus_history_destroy(&history);
	assert_null(history);
}

static void history_is_bounded_by_events_and_bytes(void **state)
{
	struct bus_history *history;
	int64_t gone;
	int64_t got[16];
	assert_int_equal(bus_history_create(4, 1 << 20, &history), ERR_OK);
	for (int64_t offset = 1; offset <= 11; offset++) {
		put(history, offset, 10);
	}
	assert_int_equal(bus_history_last(history, &gone), 11);
	assert_int_equal(gone, 7);
	assert_int_equal(read_offsets(history, 0, 100, got, 16), 4);
	assert_int_equal(got[0], 8);
	assert_int_equal(got[3], 11);
	bus_history_destroy(&history);

	assert_int_equal(bus_history_create(16, 10000, &history), ERR_OK);
	for (int64_t offset = 1; offset <= 5; offset++) {
		put(history, offset, 1000); /* 3 kB in data and frames, and some */
	}
	assert_int_equal(bus_history_last(history, &gone), 5);
	assert_int_equal(read_offsets(history, 0, 100, got, 16), 2);
	assert_int_equal(gone, 3);
	put(history, 6, 4000); /* larger than all room: nothing is left */
	assert_int_equal(bus_history_last(history, &gone), 6);
	assert_int_equal(gone, 6);
	assert_int_equal(read_offsets(history, 0, 100, got, 16), 0);
	put(history, 7, 10);
	assert_int_equal(read_offsets(history, 0, 100, got, 16), 1);
	bus_history_destroy(&history);
}

struct history_reader {
	struct bus_history *history;
	struct thread thread;
	bool good;
};

/* Follows the history to its end; what it reads is either whole or told to be gone. */
static void follow(void *arg)
{
	struct history_reader *reader = arg;
	int64_t after = 0;
	reader->good = true;
	while (after < 5000) {
		struct bus_event *events[16];
		int64_t gone;
		size_t got = bus_history_read(reader->history, after, INT64_MAX, events, 16);
		bus_history_last(reader->history, &gone);
		for (size_t i = 0; i < got; i++) {
			if (events[i]->offset != after + 1 && events[i]->offset - 1 > gone) {
				reader->good = false;
			}
			after = events[i]->offset;
			bus_event_drop(&events[i]);
		}
	}
}

static void history_is_read_while_it_grows(void **state)
{
	struct history_reader readers[2];
	struct bus_history *history;
	assert_int_equal(bus_history_create(64, 1 << 20, &history), ERR_OK);
	for (int i = 0; i < 2; i++) {
		readers[i].history = history;
		assert_int_equal(thread_start(&readers[i].thread, "reader", follow, &readers[i]), ERR_OK);
	}
	for (int64_t offset = 1; offset <= 5000; offset++) {
		put(history, offset, 20);
	}
	for (int i = 0; i < 2; i++) {
		thread_join(&readers[i].thread);
		assert_true(readers[i].good);
	}
	bus_history_destroy(&history);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(overlapping_topics_give_one_copy),
		CASE(unsubscribing_stops_delivery),
		CASE(many_subscribers_agree_with_a_model),
		CASE(fan_out_does_not_allocate),
		CASE(the_own_loop_hears_at_once_the_others_in_order),
		CASE(topics_hashed_before_are_found),
		CASE(interest_says_which_loops),
		CASE(publishing_wakes_only_loops_that_care),
		CASE(names_match_whole_or_not_at_all),
		CASE(each_publishers_order_is_kept_on_all_loops),
		CASE(events_keep_copies_and_render_once),
		CASE(malformed_events_are_refused),
		CASE(topic_names),
		CASE(a_subscriber_has_a_cap_of_topics),
		CASE(want_of_memory_leaves_nothing_behind),
		CASE(what_is_missed_for_want_of_memory_is_told),
		CASE(history_gives_ranges),
		CASE(history_is_bounded_by_events_and_bytes),
		CASE(history_is_read_while_it_grows),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
