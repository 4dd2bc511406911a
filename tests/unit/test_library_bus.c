/* test_library_bus.c - the library's bus: one copy each, order, one handler at a time, limits, unsubscribing while it runs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "guild.h"

#define TOPICS(...) ((const char *const[]){__VA_ARGS__}), sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)

enum { PUBLISHERS = 4, PUBLISHED = 500 };

struct seen {
	struct guild_bus *bus;
	int count, result, again, drain_error, destroy_error;
	uint64_t subscription, missed;
	char text[256];
	atomic_int inside, overlaps;
	int last[PUBLISHERS];
	int disorder;
	atomic_bool hold;
	atomic_bool held;
};

static int on_event(void *ctx, const struct guild_bus_event *event)
{
	struct seen *seen = ctx;
	assert_int_equal(strlen(event->event), event->event_len);
	seen->count++;
	seen->missed += event->missed;
	size_t len = strlen(seen->text);
	snprintf(seen->text + len, sizeof(seen->text) - len, "%s", event->event);
	return seen->result;
}

static struct guild_bus *bus_make(void)
{
	struct guild_bus *bus;
	assert_int_equal(guild_bus_create(&bus), GUILD_OK);
	return bus;
}

static void subscribe(struct guild_bus *bus, const char *topic, guild_bus_fn *handler, struct seen *seen)
{
	seen->bus = bus;
	assert_int_equal(guild_bus_subscribe(bus, topic, handler, seen, &seen->subscription), GUILD_OK);
}

static struct guild_bus_counts counts_of(struct guild_bus *bus)
{
	struct guild_bus_counts counts;
	assert_int_equal(guild_bus_counts(bus, &counts), GUILD_OK);
	return counts;
}

/* AC-77, AC-78, AC-83, AC-87 */
static void test_one_copy_to_each_who_matches(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen both = {0}, one = {0}, other = {0};
	size_t receivers = 99;
	subscribe(bus, "a", on_event, &both);
	subscribe(bus, "b", on_event, &both);
	subscribe(bus, "a", on_event, &one);
	subscribe(bus, "abc", on_event, &other);
	assert_int_equal(guild_bus_publish(bus, TOPICS("b", "a", "nobody"), "{\"n\": 1}", &receivers), GUILD_OK);
	assert_int_equal(receivers, 2);
	assert_int_equal(guild_bus_publish(bus, TOPICS("nobody"), "2", &receivers), GUILD_OK);
	assert_int_equal(receivers, 0);
	assert_int_equal(both.count, 0);
	assert_int_equal(guild_bus_drain(bus, -1), GUILD_OK);
	assert_string_equal(both.text, "{\"n\": 1}");
	assert_string_equal(one.text, "{\"n\": 1}");
	assert_int_equal(both.count + one.count + other.count, 2);
	struct guild_bus_counts counts = counts_of(bus);
	assert_int_equal(counts.published, 2);
	assert_int_equal(counts.handled, 2);
	assert_int_equal(counts.topics, 3);
	assert_int_equal(counts.subscribers, 3);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
	assert_null(bus);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

/* AC-166 */
static void test_a_failing_handler_is_its_own_affair(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen failing = {.result = -1}, fine = {0};
	subscribe(bus, "t", on_event, &failing);
	subscribe(bus, "t", on_event, &fine);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "0", NULL), GUILD_OK);
	}
	assert_int_equal(guild_bus_drain(bus, -1), GUILD_OK);
	assert_int_equal(failing.count, 3);
	assert_int_equal(fine.count, 3);
	assert_int_equal(counts_of(bus).failed, 3);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

/* AC-80 */
static void test_subscriptions_end(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen seen = {0}, ends = {0};
	uint64_t first, again;
	subscribe(bus, "a", on_event, &seen);
	first = seen.subscription;
	assert_int_equal(guild_bus_subscribe(bus, "a", on_event, &seen, &again), GUILD_OK);
	assert_int_equal(again, first);
	subscribe(bus, "b", on_event, &seen);
	subscribe(bus, "a", on_event, &ends);
	assert_int_equal(guild_bus_publish(bus, TOPICS("a"), "1", NULL), GUILD_OK);
	assert_int_equal(guild_bus_publish(bus, TOPICS("a", "b"), "2", NULL), GUILD_OK);
	/* What waits because of a topic that is over is not delivered; what another topic wants is. */
	assert_int_equal(guild_bus_unsubscribe(bus, first), GUILD_OK);
	assert_int_equal(guild_bus_unsubscribe(bus, first), GUILD_ERR_NOT_FOUND);
	assert_int_equal(guild_bus_unsubscribe(bus, ends.subscription), GUILD_OK);
	assert_int_equal(guild_bus_drain(bus, -1), GUILD_OK);
	assert_string_equal(seen.text, "2");
	assert_int_equal(ends.count, 0);
	assert_int_equal(counts_of(bus).topics, 1);
	assert_int_equal(counts_of(bus).subscribers, 1);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

static void test_the_descriptor_says_when(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen seen = {0};
	struct pollfd ready = {.fd = guild_bus_fd(bus), .events = POLLIN};
	size_t handled;
	subscribe(bus, "t", on_event, &seen);
	assert_int_equal(poll(&ready, 1, 0), 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "0", NULL), GUILD_OK);
	}
	/* Some hundreds at a time, and the descriptor stays readable. */
	for (int rounds = 0; seen.count < 1000; rounds++) {
		assert_true(rounds < 10);
		assert_int_equal(poll(&ready, 1, 1000), 1);
		assert_int_equal(guild_bus_dispatch(bus, &handled), GUILD_OK);
		assert_true(handled > 0 && handled <= 600);
	}
	assert_int_equal(poll(&ready, 1, 0), 0);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

static void test_a_full_queue_is_an_error_and_a_gap(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen full = {0}, fresh = {0};
	size_t receivers;
	subscribe(bus, "t", on_event, &full);
	for (int i = 0; i < LIMIT_LIBRARY_BUS_EVENTS; i++) {
		assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "0", NULL), GUILD_OK);
	}
	subscribe(bus, "t", on_event, &fresh);
	assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "1", &receivers), GUILD_ERR_LIMIT);
	assert_int_equal(receivers, 1);
	assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "2", NULL), GUILD_ERR_LIMIT);
	assert_int_equal(guild_bus_drain(bus, -1), GUILD_OK);
	assert_int_equal(full.count, LIMIT_LIBRARY_BUS_EVENTS);
	assert_int_equal(full.missed, 0);
	assert_string_equal(fresh.text, "12");
	assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "3", NULL), GUILD_OK);
	assert_int_equal(guild_bus_drain(bus, -1), GUILD_OK);
	assert_int_equal(full.missed, 2);
	assert_int_equal(fresh.missed, 0);
	assert_int_equal(counts_of(bus).missed, 2);
	/* The bytes of all count too. */
	char *large = malloc(1 << 20);
	assert_non_null(large);
	memset(large, ' ', 1 << 20);
	large[0] = '1';
	large[(1 << 20) - 1] = '\0';
	int accepted = 0;
	while (guild_bus_publish(bus, TOPICS("t"), large, NULL) == GUILD_OK) {
		assert_true(++accepted < 100);
	}
	assert_int_equal(accepted, 63);
	free(large);
	/* What still waits goes with the bus. */
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

static int on_numbered(void *ctx, const struct guild_bus_event *event)
{
	struct seen *seen = ctx;
	int who, number;
	if (atomic_fetch_add(&seen->inside, 1) != 0) {
		atomic_fetch_add(&seen->overlaps, 1);
	}
	assert_int_equal(sscanf(event->event, "[%d,%d]", &who, &number), 2);
	seen->disorder += number != seen->last[who] + 1;
	seen->last[who] = number;
	seen->count++;
	atomic_fetch_sub(&seen->inside, 1);
	return 0;
}

struct publisher {
	struct guild_bus *bus;
	int who;
};

static void *publish_run(void *arg)
{
	struct publisher *publisher = arg;
	for (int i = 1; i <= PUBLISHED; i++) {
		char text[32];
		snprintf(text, sizeof(text), "[%d,%d]", publisher->who, i);
		assert_int_equal(guild_bus_publish(publisher->bus, TOPICS("x", "y"), text, NULL), GUILD_OK);
	}
	return NULL;
}

struct dispatcher {
	struct guild_bus *bus;
	atomic_bool stop;
};

static void *dispatch_run(void *arg)
{
	struct dispatcher *dispatcher = arg;
	struct pollfd ready = {.fd = guild_bus_fd(dispatcher->bus), .events = POLLIN};
	while (!atomic_load(&dispatcher->stop)) {
		if (poll(&ready, 1, 20) == 1) {
			assert_int_equal(guild_bus_dispatch(dispatcher->bus, NULL), GUILD_OK);
		}
	}
	return NULL;
}

/* AC-88, AC-146, AC-147, AC-148 */
static void test_many_threads_lose_double_and_reorder_nothing(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen seen[8] = {0};
	struct dispatcher dispatcher = {.bus = bus};
	struct publisher publishers[PUBLISHERS];
	pthread_t threads[PUBLISHERS], dispatchers[2];
	for (int i = 0; i < 8; i++) {
		subscribe(bus, i % 2 ? "x" : "y", on_numbered, &seen[i]);
		subscribe(bus, i % 3 ? "x" : "y", on_numbered, &seen[i]);
	}
	for (int i = 0; i < 2; i++) {
		assert_int_equal(pthread_create(&dispatchers[i], NULL, dispatch_run, &dispatcher), 0);
	}
	for (int i = 0; i < PUBLISHERS; i++) {
		publishers[i] = (struct publisher){bus, i};
		assert_int_equal(pthread_create(&threads[i], NULL, publish_run, &publishers[i]), 0);
	}
	/* Others come and go meanwhile. */
	for (int i = 0; i < 200; i++) {
		struct seen guest = {0};
		subscribe(bus, "x", on_event, &guest);
		assert_int_equal(guild_bus_unsubscribe(bus, guest.subscription), GUILD_OK);
	}
	for (int i = 0; i < PUBLISHERS; i++) {
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(guild_bus_drain(bus, 30000), GUILD_OK);
	atomic_store(&dispatcher.stop, true);
	for (int i = 0; i < 2; i++) {
		pthread_join(dispatchers[i], NULL);
	}
	for (int i = 0; i < 8; i++) {
		assert_int_equal(seen[i].count, PUBLISHERS * PUBLISHED);
		assert_int_equal(seen[i].disorder, 0);
		assert_int_equal(atomic_load(&seen[i].overlaps), 0);
	}
	assert_int_equal(counts_of(bus).subscribers, 8);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

/* Publishes, asks for what would wait for itself, unsubscribes and subscribes again. */
static int on_busy(void *ctx, const struct guild_bus_event *event)
{
	struct seen *seen = ctx;
	struct guild_bus *bus = seen->bus;
	(void)event;
	assert_int_equal(atomic_fetch_add(&seen->inside, 1), 0);
	seen->count++;
	seen->drain_error = guild_bus_drain(bus, 0);
	seen->destroy_error = guild_bus_destroy(&bus);
	assert_int_equal(guild_bus_unsubscribe(seen->bus, seen->subscription), GUILD_OK);
	if (seen->again-- > 0) {
		subscribe(seen->bus, "t", on_busy, seen);
		assert_int_equal(guild_bus_publish(seen->bus, TOPICS("t"), "0", NULL), GUILD_OK);
		assert_int_equal(guild_bus_dispatch(seen->bus, NULL), GUILD_OK);
	}
	atomic_fetch_sub(&seen->inside, 1);
	return 0;
}

static void test_handlers_may_use_the_bus(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen seen = {.again = 3};
	subscribe(bus, "t", on_busy, &seen);
	assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "0", NULL), GUILD_OK);
	assert_int_equal(guild_bus_drain(bus, 10000), GUILD_OK);
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.drain_error, GUILD_ERR_WRONG_THREAD);
	assert_int_equal(seen.destroy_error, GUILD_ERR_WRONG_THREAD);
	assert_int_equal(counts_of(bus).subscribers, 0);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

static int on_held(void *ctx, const struct guild_bus_event *event)
{
	struct seen *seen = ctx;
	(void)event;
	atomic_store(&seen->held, true);
	while (atomic_load(&seen->hold)) {
		poll(NULL, 0, 1);
	}
	seen->count++;
	return 0;
}

static void *release_run(void *arg)
{
	struct seen *seen = arg;
	poll(NULL, 0, 30);
	atomic_store(&seen->hold, false);
	return NULL;
}

/* Whoever unsubscribes may free what the handler uses: it is over by then, on whichever thread it ran. */
static void test_unsubscribing_waits_for_the_handler(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen seen = {0};
	struct dispatcher dispatcher = {.bus = bus};
	pthread_t thread, release;
	atomic_store(&seen.hold, true);
	subscribe(bus, "t", on_held, &seen);
	assert_int_equal(pthread_create(&thread, NULL, dispatch_run, &dispatcher), 0);
	assert_int_equal(guild_bus_publish(bus, TOPICS("t"), "0", NULL), GUILD_OK);
	while (!atomic_load(&seen.held)) {
		poll(NULL, 0, 1);
	}
	assert_int_equal(guild_bus_drain(bus, 10), GUILD_ERR_TIMED_OUT);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_ERR_WRONG_THREAD);
	assert_int_equal(pthread_create(&release, NULL, release_run, &seen), 0);
	assert_int_equal(guild_bus_unsubscribe(bus, seen.subscription), GUILD_OK);
	assert_int_equal(seen.count, 1);
	atomic_store(&dispatcher.stop, true);
	pthread_join(thread, NULL);
	pthread_join(release, NULL);
	assert_int_equal(counts_of(bus).subscribers, 0);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

static void test_what_is_not_valid_is_refused(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	struct seen seen = {.bus = bus};
	char longest[257], name[32];
	const char *many[LIMIT_TOPICS_EVENT + 1];
	memset(longest, 'a', 256);
	longest[256] = '\0';
	const char *const wrong[] = {"", "two words", "ä", longest, NULL};
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(guild_bus_subscribe(bus, wrong[i], on_event, &seen, NULL), GUILD_ERR_INVALID);
		assert_int_equal(guild_bus_publish(bus, &wrong[i], 1, "0", NULL), GUILD_ERR_INVALID);
	}
	longest[255] = '\0';
	assert_int_equal(guild_bus_subscribe(bus, longest, on_event, &seen, NULL), GUILD_OK);
	assert_int_equal(guild_bus_subscribe(bus, "t", NULL, &seen, NULL), GUILD_ERR_INVALID);
	for (size_t i = 0; i < LIMIT_TOPICS_EVENT + 1; i++) {
		many[i] = "t";
	}
	assert_int_equal(guild_bus_publish(bus, many, LIMIT_TOPICS_EVENT, "0", NULL), GUILD_OK);
	assert_int_equal(guild_bus_publish(bus, many, LIMIT_TOPICS_EVENT + 1, "0", NULL), GUILD_ERR_INVALID);
	assert_int_equal(guild_bus_publish(bus, many, 0, "0", NULL), GUILD_ERR_INVALID);
	const char *const texts[] = {"", "{", "no", "\"\xff\"", "1 2", NULL};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_int_equal(guild_bus_publish(bus, TOPICS("t"), texts[i], NULL), GUILD_ERR_INVALID);
	}
	for (int i = 1; i < LIMIT_TOPICS_CONN; i++) {
		snprintf(name, sizeof(name), "topic%d", i);
		assert_int_equal(guild_bus_subscribe(bus, name, on_event, &seen, NULL), GUILD_OK);
	}
	assert_int_equal(guild_bus_subscribe(bus, "one-more", on_event, &seen, NULL), GUILD_ERR_LIMIT);
	assert_int_equal(counts_of(bus).topics, LIMIT_TOPICS_CONN);
	assert_int_equal(guild_bus_create(NULL), GUILD_ERR_INVALID);
	assert_int_equal(guild_bus_publish(NULL, TOPICS("t"), "0", NULL), GUILD_ERR_INVALID);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

static void test_fork_is_refused(void **state)
{
	(void)state;
	struct guild_bus *bus = bus_make();
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool refused = guild_bus_publish(bus, TOPICS("t"), "0", NULL) == GUILD_ERR_FORKED &&
			       guild_bus_drain(bus, 0) == GUILD_ERR_FORKED && guild_bus_fd(bus) == -1 &&
			       guild_bus_destroy(&bus) == GUILD_ERR_FORKED;
		_exit(refused ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(guild_bus_destroy(&bus), GUILD_OK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_copy_to_each_who_matches),
		cmocka_unit_test(test_a_failing_handler_is_its_own_affair),
		cmocka_unit_test(test_subscriptions_end),
		cmocka_unit_test(test_the_descriptor_says_when),
		cmocka_unit_test(test_a_full_queue_is_an_error_and_a_gap),
		cmocka_unit_test(test_many_threads_lose_double_and_reorder_nothing),
		cmocka_unit_test(test_handlers_may_use_the_bus),
		cmocka_unit_test(test_unsubscribing_waits_for_the_handler),
		cmocka_unit_test(test_what_is_not_valid_is_refused),
		cmocka_unit_test(test_fork_is_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
