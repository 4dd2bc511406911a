/*
 * One listener of the bus: each event once, however topics, offsets, late deliveries, slow reading and full holds fall together.
 *
 * The events are made beforehand and stand in a store; a step of a run puts the next one into the ring, delivers a waiting one, subscribes,
 * lets a reader or the loop go on, or changes whether the listener has room. The model is one sentence: whatever was published behind the
 * lowest offset that a topic was ever asked from, and may be seen, has come once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "ops/feed_priv.h"

enum { EVENTS = 12000, TOPICS = 6, RING = 96, AUDIENCES = 3 };

static char dir[64], path[96], detail[256];
static struct loop *loop;
static struct guild guild;
static struct bus_event *events[EVENTS + 1]; /* by offset */
static unsigned topic_bits[EVENTS + 1];

static uint64_t seed;
static uint64_t chance(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

/* ---- a store, a ring, a bus, a loop ---- */

static void topics_text(unsigned bits, char *out)
{
	size_t len = 0;
	for (unsigned t = 0; t < TOPICS; t++) {
		if ((bits >> t & 1) != 0) {
			len += (size_t)sprintf(out + len, "%sroom-%u", len > 0 ? " " : "", t);
		}
	}
}

static void event_make(struct db *db, int64_t offset)
{
	char topics[128];
	topic_bits[offset] = 1u << chance(TOPICS) | (chance(3) == 0 ? 1u << chance(TOPICS) : 0);
	topics_text(topic_bits[offset], topics);
	struct log_row row = {.seq = offset, .time_us = offset, .kinds = LOG_AUDIT, .action = STR("create"), .outcome = OUTCOME_CHANGED};
	if (chance(5) != 0) {
		row.kinds |= LOG_EVENT;
		row.event_type = STR("agent_changed");
		row.event_data = STR("{}");
		row.topics = str_of(topics);
		row.audience_a = chance(3) == 0 ? 1 + (int64_t)chance(AUDIENCES) : 0;
		row.audience_b = row.audience_a == 1 ? 77 : 0;
		assert_int_equal(command_event_of(guild.commands, &row, &events[offset]), ERR_OK);
	}
	assert_int_equal(log_insert(db, &row), ERR_OK);
}

static int setup(void **state)
{
	static const struct siphash_key secret = {1, 2};
	static const int64_t epoch = 7;
	struct writer_options writer = {.env = env_real(), .path = path};
	struct loop_options options = {.env = env_real()};
	struct command_options commands = {.env = env_real(), .id_secret = &secret, .epoch = &epoch};
	(void)state;
	log_set(LOG_OFF, false);
	snprintf(dir, sizeof(dir), "/tmp/guild-test-feed-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/guild.db", dir);
	guild = (struct guild){.env = env_real(), .epoch = epoch};
	seed = 42;
	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	assert_int_equal(command_runner_create(&commands, &guild.commands), ERR_OK);
	assert_int_equal(writer_create(&writer, &guild.writer, detail), ERR_OK);
	struct db *db = writer_db(guild.writer);
	assert_int_equal(db_begin(db), ERR_OK);
	for (int64_t i = 1; i <= EVENTS; i++) {
		event_make(db, i);
	}
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(reader_create(env_real(), NULL, path, 1, &guild.readers, detail), ERR_OK);
	assert_int_equal(bus_create(env_real(), &loop, 1, NULL, NULL, &guild.bus), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	for (int64_t i = 1; i <= EVENTS; i++) {
		bus_event_drop(&events[i]);
	}
	bus_destroy(&guild.bus);
	reader_destroy(&guild.readers);
	writer_destroy(&guild.writer);
	command_runner_destroy(&guild.commands);
	loop_destroy(&loop);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* ---- a run ---- */

struct run {
	struct feed feed;
	int64_t published;              /* newest offset put */
	int64_t delivered;              /* newest offset that the loop has handled */
	int64_t cover[TOPICS];          /* lowest offset asked from; INT64_MAX: not subscribed */
	uint8_t got[EVENTS + 1];
	int64_t last, gaps, gap_from, gap_to, recovered, recovered_offset, broken;
	unsigned belongs_to;            /* bit of each audience whose events may be seen */
	bool slow, in_order;
};
static struct run run;

static bool visible(const struct bus_event *event)
{
	return event->audience.a == 0 || (run.belongs_to >> event->audience.a & 1) != 0;
}

static bool on_sees(struct feed *feed, const struct bus_event *event)
{
	assert_ptr_equal(feed, &run.feed);
	assert_int_equal(event->execution, 0);
	assert_true(event->audience.a <= AUDIENCES && event->audience.b == (event->audience.a == 1 ? 77 : 0));
	return visible(event);
}

static enum err on_send(struct feed *feed, struct bus_event *event)
{
	assert_ptr_equal(feed, &run.feed);
	assert_true(event->offset > 0);
	run.got[event->offset]++;
	run.in_order = run.in_order && event->offset > run.last;
	run.last = event->offset;
	return ERR_OK;
}

static void on_gap(struct feed *feed, int64_t from, int64_t to)
{
	(void)feed;
	assert_true(from <= to);
	run.gap_from = from;
	run.gap_to = to;
	run.gaps++;
}

static void on_broken(struct feed *feed)
{
	(void)feed;
	run.broken++;
}

static void on_recovered(struct feed *feed, int64_t count, int64_t offset)
{
	(void)feed;
	assert_true(count >= 0);
	run.recovered++;
	run.recovered_offset = offset;
}

static size_t on_queued(struct feed *feed)
{
	(void)feed;
	return run.slow ? LIMIT_CONN_QUEUE_BYTES : 0;
}

static const struct feed_handler handler = {on_sees, on_send, on_gap, on_recovered, on_queued, on_broken};

static void run_begin(int64_t published)
{
	run = (struct run){.in_order = true};
	assert_int_equal(bus_history_create(RING, 1 << 20, &guild.history), ERR_OK);
	bus_history_start(guild.history, published);
	run.published = run.delivered = published;
	for (unsigned t = 0; t < TOPICS; t++) {
		run.cover[t] = INT64_MAX;
	}
	feed_init(&run.feed, &guild, loop, &handler);
}

static void publish(void)
{
	if (run.published < EVENTS && events[++run.published] != NULL) {
		bus_history_put(guild.history, events[run.published]);
	}
}

static void deliver_one(void)
{
	if (run.delivered < run.published && events[++run.delivered] != NULL) {
		bus_deliver(guild.bus, loop, events[run.delivered]);
	}
}

/* There was no memory to bring the next ones here. */
static void lose(uint64_t n)
{
	int64_t from = run.delivered;
	run.delivered = run.delivered + (int64_t)n < run.published ? run.delivered + (int64_t)n : run.published;
	if (run.delivered > from) {
		bus_missed(guild.bus, loop, from);
		/* More of it before the note has run. */
		bus_missed(guild.bus, loop, from + 1);
		loop_turn(loop, 0);
	}
}

static void subscribe(unsigned bits, bool with_after, int64_t after, int64_t epoch)
{
	struct topic_name names[TOPICS];
	struct feed_after from = {.given = with_after, .epoch = epoch, .offset = after};
	unsigned count = 0;
	int64_t gone, offset;
	for (unsigned t = 0; t < TOPICS; t++) {
		if ((bits >> t & 1) != 0) {
			names[count] = (struct topic_name){.execution = 0};
			names[count].len = (size_t)sprintf(names[count].text, "room-%u", t);
			count++;
		}
	}
	int64_t newest = bus_history_last(guild.history, &gone);
	assert_int_equal(feed_subscribe(&run.feed, names, count, &from, &offset), ERR_OK);
	assert_true(offset == newest);
	for (unsigned t = 0; t < TOPICS; t++) {
		if ((bits >> t & 1) != 0) {
			run.cover[t] = newest < run.cover[t] ? newest : run.cover[t];
			run.cover[t] = with_after && epoch == 0 && after < run.cover[t] ? after : run.cover[t];
		}
	}
}

static void go_on(void)
{
	(void)reader_turn(guild.readers, 0);
	loop_turn(loop, 0);
}

static void settle(void)
{
	run.slow = false;
	while (run.delivered < run.published) {
		deliver_one();
	}
	for (int i = 0; i < 4000 && (!list_empty(&run.feed.catchups) || run.feed.held_count > 0); i++) {
		feed_drained(&run.feed);
		go_on();
	}
	assert_true(list_empty(&run.feed.catchups));
	assert_int_equal(run.feed.held_count, 0);
	assert_false(run.feed.dead);
}

static bool wanted(int64_t offset)
{
	for (unsigned t = 0; t < TOPICS; t++) {
		if ((topic_bits[offset] >> t & 1) != 0 && offset > run.cover[t]) {
			return events[offset] != NULL && offset <= run.published && visible(events[offset]);
		}
	}
	return false;
}

static void run_end(void)
{
	settle();
	for (int64_t i = 1; i <= EVENTS; i++) {
		if (run.got[i] != wanted(i)) {
			fail_msg("event %lld came %d times", (long long)i, run.got[i]);
		}
	}
	feed_fini(&run.feed);
	loop_turn(loop, 0);
	while (reader_turn(guild.readers, 0)) {
		loop_turn(loop, 0);
	}
	loop_turn(loop, 0);
	bus_history_destroy(&guild.history);
}

/* ---- tests ---- */

static void missed_events_come_first_and_in_order(void **state)
{
	(void)state;
	run_begin(3000);
	subscribe(63, true, 100, 0);
	for (int i = 0; i < 500; i++) {
		publish();
		deliver_one();
	}
	run_end();
	assert_true(run.in_order);
	assert_int_equal(run.recovered, 1);
	assert_int_equal(run.recovered_offset, 3000);
	assert_int_equal(run.gaps, 0);
}

static void another_epoch_is_a_gap(void **state)
{
	(void)state;
	run_begin(2000);
	subscribe(63, true, 100, 8);
	for (int i = 0; i < 50; i++) {
		publish();
	}
	run_end();
	assert_int_equal(run.gaps, 1);
	assert_int_equal(run.recovered, 1);
}

static void own_epoch_is_none(void **state)
{
	(void)state;
	run_begin(2000);
	subscribe(63, true, 1900, 7);
	for (unsigned t = 0; t < TOPICS; t++) {
		run.cover[t] = 1900;
	}
	run_end();
	assert_int_equal(run.gaps, 0);
}

/* What is held finds no room: it is read again. */
static void a_full_hold_loses_and_repeats_nothing(void **state)
{
	(void)state;
	run_begin(1000);
	subscribe(3, false, 0, 0);
	run.slow = true;
	subscribe(12, true, 10, 0);
	for (int i = 0; i < 3; i++) {
		go_on();
	}
	for (int i = 0; i < 9000; i++) {
		publish();
		if (chance(4) != 0) {
			deliver_one();
		}
		if (chance(50) == 0) {
			go_on();
		}
	}
	run_end();
	assert_int_equal(run.recovered, 1);
}

static void step(void)
{
	switch (chance(13)) {
	case 0:
		subscribe(1u << chance(TOPICS) | 1u << chance(TOPICS), chance(2) == 0, (int64_t)chance((uint64_t)run.published + 1), 0);
		break;
	case 1:
		run.slow = !run.slow;
		feed_drained(&run.feed);
		break;
	case 2:
		for (uint64_t n = chance(20) == 0 ? 4500 : chance(80); n > 0; n--) {
			publish();
		}
		break;
	case 3:
		for (uint64_t n = chance(10) == 0 ? 4500 : chance(80); n > 0; n--) {
			deliver_one();
		}
		break;
	case 4:
		(void)reader_turn(guild.readers, 0);
		break;
	case 5:
		lose(1 + chance(chance(10) == 0 ? 4500 : 20));
		break;
	default:
		publish();
		deliver_one();
		go_on();
	}
}

/* What a loop misses for want of memory is read again, in its place. */
static void what_is_missed_comes_once(void **state)
{
	(void)state;
	run_begin(1000);
	subscribe(63, false, 0, 0);
	for (int i = 0; i < 300; i++) {
		publish();
		if (i % 7 == 0) {
			lose(5);
		} else if (chance(3) != 0) {
			deliver_one();
		}
		if (chance(4) == 0) {
			go_on();
		}
	}
	run_end();
	assert_true(run.in_order);
	assert_int_equal(run.broken, 0);
}

/* Which frames and plain events are missing nobody can say. */
static void who_misses_what_is_not_kept_is_sent_away(void **state)
{
	(void)state;
	run_begin(0);
	subscribe(1, false, 0, 0);
	run.feed.subscriber.missed(&run.feed.subscriber, INT64_MAX, false);
	assert_int_equal(run.broken, 0);
	run.feed.subscriber.missed(&run.feed.subscriber, INT64_MAX, true);
	assert_int_equal(run.broken, 1);
	assert_true(run.feed.dead);
	feed_fini(&run.feed);
	bus_history_destroy(&guild.history);
}

/* AC-173 */
static void whatever_happens_each_event_comes_once(void **state)
{
	(void)state;
	for (uint64_t n = 1; n <= 150; n++) {
		seed = n * 0x9e3779b97f4a7c15u;
		run_begin((int64_t)chance(3000));
		run.belongs_to = (unsigned)chance(2 << AUDIENCES);
		for (int i = 0; i < 120; i++) {
			unsigned waiting = 0;
			for (struct list *at = run.feed.catchups.next; at != &run.feed.catchups; at = at->next) {
				waiting++;
			}
			if (waiting >= 15) {
				settle();
			}
			step();
		}
		run_end();
	}
}

/* ---- what may be seen ---- */

static int64_t seen_of(int64_t audience, int64_t from, int64_t to)
{
	int64_t count = 0;
	for (int64_t i = from + 1; i <= to; i++) {
		count += events[i] != NULL && events[i]->audience.a == audience ? run.got[i] : 0;
	}
	return count;
}

/* Live, held and caught up with, from the ring and from the log. AC-106, AC-172 */
static void who_leaves_gets_nothing_more(void **state)
{
	(void)state;
	run_begin(2000);
	run.belongs_to = 1 << 2;
	subscribe(63, false, 0, 0);
	for (int i = 0; i < 200; i++) {
		publish();
		deliver_one();
	}
	assert_true(seen_of(2, 2000, 2200) > 0 && seen_of(0, 2000, 2200) > 0);
	assert_int_equal(seen_of(1, 2000, 2200) + seen_of(3, 2000, 2200), 0);
	run.slow = true;
	subscribe(63, true, 1500, 0);
	for (int i = 0; i < 200; i++) {
		publish();
		deliver_one();
	}
	run.belongs_to = 0;
	settle();
	assert_int_equal(seen_of(2, 1500, 2000) + seen_of(2, 2200, 2400), 0);
	assert_true(seen_of(0, 1500, 2000) > 0 && seen_of(0, 2200, 2400) > 0);
	assert_int_equal(run.recovered_offset, 2200);
	for (int i = 0; i < 200; i++) {
		publish();
		deliver_one();
	}
	assert_int_equal(seen_of(2, 2400, 2600), 0);
	/* Coming back does not bring what was said meanwhile; asking for it does. */
	run.belongs_to = 1 << 2;
	for (int i = 0; i < 200; i++) {
		publish();
		deliver_one();
	}
	assert_int_equal(seen_of(2, 2200, 2600), 0);
	assert_true(seen_of(2, 2600, 2800) > 0);
	feed_fini(&run.feed);
	bus_history_destroy(&guild.history);
}

static enum err fail_to_send(struct feed *feed, struct bus_event *event)
{
	(void)feed;
	(void)event;
	return ERR_TOO_SLOW;
}

static bool sees_all(struct feed *feed, const struct bus_event *event)
{
	(void)feed;
	(void)event;
	return true;
}

/* AC-86, AC-166, AC-174 */
static void a_listener_that_fails_disturbs_nobody(void **state)
{
	static const struct feed_handler failing = {sees_all, fail_to_send, on_gap, on_recovered, on_queued, on_broken};
	struct topic_name names[TOPICS];
	struct feed broken[3];
	int64_t offset;
	(void)state;
	run_begin(500);
	for (unsigned t = 0; t < TOPICS; t++) {
		names[t] = (struct topic_name){.len = 6};
		sprintf(names[t].text, "room-%u", t);
	}
	for (int i = 0; i < 3; i++) {
		struct feed_after after = {.given = i == 1, .offset = 100};
		feed_init(&broken[i], &guild, loop, &failing);
		assert_int_equal(feed_subscribe(&broken[i], names, TOPICS, &after, &offset), ERR_OK);
		if (i == 0) {
			subscribe(63, false, 0, 0);
		}
	}
	for (int i = 0; i < 100; i++) {
		publish();
		deliver_one();
		go_on();
	}
	for (int i = 0; i < 3; i++) {
		assert_true(broken[i].dead);
		feed_fini(&broken[i]);
	}
	run_end();
}

/* ---- frames of runs ---- */

static unsigned frames_seen;

static enum err count_frame(struct feed *feed, struct bus_event *event)
{
	(void)feed;
	assert_true(event->execution != 0);
	frames_seen++;
	return ERR_OK;
}

static const struct feed_handler frame_handler = {on_sees, count_frame, on_gap, on_recovered, on_queued, on_broken};

static unsigned frame(int64_t execution, int64_t seq, bool last)
{
	struct str topic = STR("room-0");
	struct bus_event_parts parts = {.topics = &topic, .topic_count = 1, .execution = execution, .seq = seq, .ends_stream = last,
					.type = STR("streaming:update"), .data = STR("{}")};
	struct bus_event *event;
	unsigned before = frames_seen;
	assert_int_equal(bus_event_make(&parts, &event), ERR_OK);
	bus_publish_take(guild.bus, event);
	loop_turn(loop, 0);
	return frames_seen - before;
}

/* AC-22, AC-173 */
static void a_run_is_followed_from_its_start_or_not_at_all(void **state)
{
	(void)state;
	run_begin(0);
	run.feed.handler = &frame_handler;
	subscribe(1, false, 0, 0);
	assert_int_equal(frame(5, 1, false), 1);
	assert_int_equal(frame(5, 2, false), 1);
	assert_int_equal(frame(5, 2, false), 0);
	assert_int_equal(frame(5, 4, false), 0);
	assert_int_equal(frame(5, 3, true), 1);
	assert_int_equal(frame(5, 1, false), 0);
	assert_int_equal(frame(6, 2, false), 0);
	assert_int_equal(frame(6, 3, true), 0);
	/* The table holds 64 at once; ended ones make room, running ones do not. */
	for (int64_t i = 100; i < 100 + FEED_RUNS_MAX; i++) {
		assert_int_equal(frame(i, 1, false), 1);
	}
	assert_int_equal(frame(900, 1, false), 0);
	assert_int_equal(frame(100, 2, true), 1);
	assert_int_equal(frame(901, 1, false), 1);
	assert_int_equal(frame(101, 2, false), 1);
	feed_fini(&run.feed);
	bus_history_destroy(&guild.history);
}

/* There is memory for the event and for the note that brings it, and no more. */
static bool no_table(void *arg, uint64_t number)
{
	(void)number;
	return (*(unsigned *)arg)++ >= 2;
}

/* A run that cannot be followed for want of memory is not left out without a word. */
static void a_run_that_cannot_be_followed_breaks_the_feed(void **state)
{
	unsigned allocations = 0;
	(void)state;
	run_begin(0);
	run.feed.handler = &frame_handler;
	subscribe(1, false, 0, 0);
	mem_hook_set(no_table, &allocations);
	assert_int_equal(frame(5, 1, false), 0);
	mem_hook_set(NULL, NULL);
	assert_int_equal(run.broken, 1);
	assert_int_equal(frame(5, 2, false), 0);
	assert_int_equal(run.broken, 1);
	feed_fini(&run.feed);
	bus_history_destroy(&guild.history);
}

/* The last test: the log is not whole afterwards. */
static void what_is_not_kept_any_more_is_a_gap(void **state)
{
	static const struct db_sql forget = {"DELETE FROM log WHERE seq <= 800"};
	struct db *db = writer_db(guild.writer);
	(void)state;
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(db_run(db_use(db, &forget)), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	run_begin(2000);
	subscribe(63, true, 300, 0);
	for (unsigned t = 0; t < TOPICS; t++) {
		run.cover[t] = 800;
	}
	run_end();
	assert_int_equal(run.gaps, 1);
	assert_int_equal(run.gap_from, 300);
	assert_int_equal(run.gap_to, 800);
	assert_int_equal(run.recovered_offset, 2000);
	assert_true(run.in_order);
	/* Nothing of the range is there at all. */
	run_begin(700);
	subscribe(63, true, 300, 0);
	for (unsigned t = 0; t < TOPICS; t++) {
		run.cover[t] = 700;
	}
	run_end();
	assert_int_equal(run.gaps, 1);
	assert_int_equal(run.gap_from, 300);
	assert_int_equal(run.gap_to, 700);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(missed_events_come_first_and_in_order),
		cmocka_unit_test(another_epoch_is_a_gap),
		cmocka_unit_test(own_epoch_is_none),
		cmocka_unit_test(a_full_hold_loses_and_repeats_nothing),
		cmocka_unit_test(what_is_missed_comes_once),
		cmocka_unit_test(who_misses_what_is_not_kept_is_sent_away),
		cmocka_unit_test(whatever_happens_each_event_comes_once),
		cmocka_unit_test(who_leaves_gets_nothing_more),
		cmocka_unit_test(a_listener_that_fails_disturbs_nobody),
		cmocka_unit_test(a_run_is_followed_from_its_start_or_not_at_all),
		cmocka_unit_test(a_run_that_cannot_be_followed_breaks_the_feed),
		cmocka_unit_test(what_is_not_kept_any_more_is_a_gap),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
