/* The command runner on a real writer and two loops: what is told to whom and in which order, and what a failure leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "command/command.h"
#include "command/idempotency.h"

enum { LOOPS = 2, TRACE_MAX = 64, VALUES_MAX = 64 };

/* What every loop has heard, in order: "reply a ok", "event 3". */
struct trace {
	int count;
	char lines[TRACE_MAX][48];
};

/* A table of the writer, as identity and agents have one: values pushed by applies, published when they are on disk. */
struct table {
	int values[VALUES_MAX];
	size_t count, published;
	int undone;
};

static struct world {
	char dir[64], path[96];
	struct loop *loops[LOOPS];
	struct writer *writer;
	struct command_runner *runner;
	struct bus *bus;
	struct bus_history *history;
	struct arena arena;
	struct table table;
	struct bus_subscriber subscribers[LOOPS];
	struct trace traces[LOOPS + 1]; /* the last: where no loop runs */
	int64_t event_last[LOOPS];
	int64_t wall_us;
	int64_t revision_now;
	int recheck_count;
	enum err before_commit;
} world;

/* What apply does. */
enum plan { WRITES, REFUSES, FAILS_AFTER_WRITING };

struct test_command {
	struct command command; /* first */
	const char *name;
	enum plan plan;
	int rows;
	struct str topics; /* at NULL: no events */
	int applied, denied, finished;
	size_t own_values; /* of the table, with this one's */
};

/* ---- the parts around it ---- */

static int64_t fake_wall_us(void *ctx)
{
	return world.wall_us;
}

static int64_t fake_mono_us(void *ctx)
{
	return env_mono_us(env_real());
}

static void fake_random(void *ctx, void *out, size_t len)
{
	env_random(env_real(), out, len);
}

static const struct env fake_env = {fake_wall_us, fake_mono_us, fake_random, NULL};

static size_t table_mark(void *ctx)
{
	return ((struct table *)ctx)->count;
}

static void table_undo_to(void *ctx, size_t mark)
{
	struct table *table = ctx;
	assert_in_range(mark, table->published, table->count);
	table->undone += (int)(table->count - mark);
	table->count = mark;
}

static void table_committed(void *ctx)
{
	struct table *table = ctx;
	table->published = table->count;
}

static enum err recheck(void *ctx, const struct command *command)
{
	world.recheck_count++;
	return command->mark.agent_revision == world.revision_now ? ERR_OK : ERR_GOVERNANCE;
}

static enum err before_commit(void *ctx, struct db *db)
{
	return world.before_commit;
}

static void trace_add(const char *text)
{
	struct loop *loop = loop_current();
	struct trace *trace = &world.traces[loop ? loop_number(loop) : LOOPS];
	assert_in_range(trace->count, 0, TRACE_MAX - 1);
	snprintf(trace->lines[trace->count++], sizeof(trace->lines[0]), "%s", text);
}

static void on_event(struct bus_subscriber *subscriber, struct bus_event *event)
{
	unsigned number = loop_number(loop_current());
	char line[48];
	assert_ptr_equal(subscriber, &world.subscribers[number]);
	assert_true(event->offset > world.event_last[number]);
	world.event_last[number] = event->offset;
	snprintf(line, sizeof(line), "event %lld", (long long)event->offset);
	trace_add(line);
}

static int setup(void **state)
{
	static const struct siphash_key secret = {0};
	static const int64_t epoch = 7;
	char detail[256];
	world = (struct world){.wall_us = 1000000};
	snprintf(world.dir, sizeof(world.dir), "/tmp/guild-test-command-XXXXXX");
	assert_non_null(mkdtemp(world.dir));
	snprintf(world.path, sizeof(world.path), "%s/guild.db", world.dir);
	log_set(LOG_OFF, false);
	arena_init(&world.arena, 1 << 20);
	for (unsigned i = 0; i < LOOPS; i++) {
		assert_int_equal(loop_create(&(struct loop_options){.env = &fake_env, .number = i}, &world.loops[i]), ERR_OK);
		bus_subscriber_init(&world.subscribers[i], on_event);
	}
	assert_int_equal(bus_history_create(100, 1 << 20, &world.history), ERR_OK);
	struct command_overlay overlays[] = {{&world.table, table_mark, table_undo_to, table_committed, NULL}, {.ctx = NULL}};
	struct command_options options = {.env = &fake_env,
					  .id_secret = &secret,
					  .epoch = &epoch,
					  .history = world.history,
					  .loops = world.loops,
					  .loop_count = LOOPS,
					  .overlays = overlays,
					  .recheck = recheck};
	assert_int_equal(command_runner_create(&options, &world.runner), ERR_OK);
	assert_int_equal(bus_create(&fake_env, world.loops, LOOPS, command_event_render, world.runner, &world.bus), ERR_OK);
	command_bus_set(world.runner, world.bus);
	struct writer_hooks hooks = *command_hooks(world.runner);
	hooks.before_commit = before_commit;
	assert_int_equal(writer_create(&(struct writer_options){.env = &fake_env, .path = world.path, .hooks = &hooks}, &world.writer, detail),
			 ERR_OK);
	assert_int_equal(command_attach(world.runner, world.writer), ERR_OK);
	assert_ptr_equal(command_writer(world.runner), world.writer);
	return 0;
}

static void turn_loops(void)
{
	for (int i = LOOPS - 1; i >= 0; i--) {
		loop_turn(world.loops[i], 0);
	}
}

static int teardown(void **state)
{
	char command[128];
	writer_destroy(&world.writer);
	turn_loops();
	for (int i = 0; i < LOOPS; i++) {
		bus_unsubscribe_all(world.bus, world.loops[i], &world.subscribers[i]);
	}
	command_runner_destroy(&world.runner);
	bus_destroy(&world.bus);
	bus_history_destroy(&world.history);
	for (int i = 0; i < LOOPS; i++) {
		loop_destroy(&world.loops[i]);
	}
	arena_fini(&world.arena);
	snprintf(command, sizeof(command), "rm -rf '%s'", world.dir);
	return system(command);
}

/* ---- commands ---- */

static enum err rows_write(struct test_command *test, struct db *db, int rows, int outcome)
{
	enum err err = ERR_OK;
	for (int i = 0; i < rows && err == ERR_OK; i++) {
		struct log_row row = {.kinds = LOG_AUDIT,
				      .workspace = 1,
				      .principal = 5,
				      .action = str_of(test->name),
				      .outcome = outcome,
				      .entry = arena_format(test->command.arena, "{\"action\":\"%s\",\"outcome\":\"%s\"}", test->name,
							    log_outcome_word(outcome))};
		if (row.entry.at == NULL) {
			return ERR_MEMORY;
		}
		if (test->topics.at != NULL && outcome != OUTCOME_FAILED) {
			row.kinds |= LOG_EVENT;
			row.event_type = STR("tested");
			row.event_data = STR("{}");
			row.topics = test->topics;
		}
		err = command_log(&test->command, db, &row);
	}
	return err;
}

static enum err test_apply(struct command *command, struct db *db)
{
	struct test_command *test = (struct test_command *)command;
	test->applied++;
	if (test->plan == REFUSES) {
		return ERR_CONFLICT;
	}
	assert_in_range(world.table.count, 0, VALUES_MAX - 1);
	world.table.values[world.table.count++] = test->name[0];
	test->own_values = world.table.count;
	enum err err = rows_write(test, db, test->rows, OUTCOME_CHANGED);
	return err == ERR_OK && test->plan == FAILS_AFTER_WRITING ? ERR_LIMIT : err;
}

static enum err test_deny(struct command *command, struct db *db, enum err why)
{
	struct test_command *test = (struct test_command *)command;
	assert_int_equal(why, ERR_GOVERNANCE);
	test->denied++;
	return rows_write(test, db, 1, OUTCOME_FAILED);
}

static void test_finish(struct command *command)
{
	struct test_command *test = (struct test_command *)command;
	char line[48];
	test->finished++;
	assert_ptr_equal(loop_current(), command->job.home);
	if (command->result == ERR_OK) {
		assert_true(world.table.published >= test->own_values);
	}
	snprintf(line, sizeof(line), "reply %s %s", test->name, command->result == ERR_OK ? "ok" : "refused");
	trace_add(line);
}

static const struct command_row test_row = {"test", "test", test_apply, test_deny, test_finish};

/* A command of that loop with one row; an event of it when topics is not NULL. */
static struct test_command *make(const char *name, unsigned loop, enum plan plan, const char *topics)
{
	static const struct caller caller = {.principal = 5, .workspace = 1, .role = ROLE_OPERATOR};
	struct command *command = command_new(world.runner, &test_row, &world.arena, world.loops[loop], &caller, sizeof(struct test_command));
	assert_non_null(command);
	struct test_command *test = (struct test_command *)command;
	test->name = name;
	test->plan = plan;
	test->rows = 1;
	test->topics = topics ? str_of(topics) : STR_NONE;
	return test;
}

static struct test_command *submit(struct test_command *test)
{
	assert_int_equal(command_submit(&test->command, false), ERR_OK);
	return test;
}

/* ---- looking ---- */

static void subscribe(unsigned loop, const char *topic)
{
	assert_int_equal(bus_subscribe(world.bus, world.loops[loop], &world.subscribers[loop], str_of(topic)), ERR_OK);
}

static void assert_trace(unsigned loop, const char *expected)
{
	char text[TRACE_MAX * 50] = "";
	struct trace *trace = &world.traces[loop];
	for (int i = 0; i < trace->count; i++) {
		strcat(strcat(text, i ? ", " : ""), trace->lines[i]);
	}
	assert_string_equal(text, expected);
}

/* The table as published, as letters. */
static void assert_table(const char *expected)
{
	char text[VALUES_MAX + 1] = "";
	assert_int_equal(world.table.count, world.table.published);
	for (size_t i = 0; i < world.table.published; i++) {
		text[i] = (char)world.table.values[i];
	}
	assert_string_equal(text, expected);
}

static enum err row_collect(const struct log_row *row, void *arg)
{
	char *text = arg;
	snprintf(text + strlen(text), 512 - strlen(text), "%s%lld:%.*s%s", text[0] ? " " : "", (long long)row->seq, STR_FMT(row->action),
		 row->outcome == OUTCOME_FAILED ? " failed" : "");
	return ERR_OK;
}

/* The rows on disk, "1:a 2:b"; the chain over them is whole. */
static void assert_log(const char *expected)
{
	char text[512] = "";
	struct audit_report report;
	assert_int_equal(log_read(writer_db(world.writer), 0, 100, row_collect, text), ERR_OK);
	assert_string_equal(text, expected);
	assert_int_equal(audit_verify(writer_db(world.writer), NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
}

/* ---- order ---- */

static void replies_come_before_events_on_each_loop(void **state)
{
	subscribe(0, "global");
	subscribe(1, "global");
	struct test_command *a = make("a", 0, WRITES, "global");
	a->rows = 2;
	submit(a);
	struct test_command *b = submit(make("b", 1, WRITES, "global"));
	struct test_command *c = submit(make("c", 0, WRITES, "user:9 global"));
	assert_true(writer_turn(world.writer));
	assert_false(writer_turn(world.writer));
	assert_trace(0, "");
	assert_trace(1, "");
	turn_loops();
	assert_trace(0, "reply a ok, reply c ok, event 1, event 2, event 3, event 4");
	assert_trace(1, "reply b ok, event 1, event 2, event 3, event 4");
	assert_int_equal(a->command.log_count, 2);
	assert_int_equal(a->command.log_seq[1], 2);
	assert_int_equal(b->command.log_seq[0], 3);
	assert_int_equal(c->command.log_seq[0], 4);
	assert_log("1:a 2:a 3:b 4:c");
	assert_table("abc");
	assert_int_equal(a->applied + b->applied + c->applied, 3);
}

static void a_loop_without_interest_gets_no_events(void **state)
{
	int64_t delivered = metric_get(METRIC_BUS_DELIVERED);
	subscribe(0, "agent:1");
	submit(make("a", 1, WRITES, "agent:1"));
	submit(make("b", 1, WRITES, "agent:2"));
	submit(make("c", 1, WRITES, NULL));
	assert_true(writer_turn(world.writer));
	/* Beside the history, its command and us, one loop's note holds the first, none the second. */
	struct bus_event *events[2];
	assert_int_equal(bus_history_read(world.history, 0, 2, events, 2), 2);
	assert_int_equal(atomic_load(&events[0]->refs), 4);
	assert_int_equal(atomic_load(&events[1]->refs), 3);
	bus_event_drop(&events[0]);
	bus_event_drop(&events[1]);
	turn_loops();
	assert_trace(0, "event 1");
	assert_trace(1, "reply a ok, reply b ok, reply c ok");
	assert_int_equal(metric_get(METRIC_BUS_DELIVERED) - delivered, 1);
}

struct marker {
	struct loop_note note;
};

static void marker_run(struct loop_note *note, struct loop *loop)
{
	trace_add("note");
}

/* Batch after batch, and among what others post from the same thread. */
static void notes_keep_their_order(void **state)
{
	struct marker marker = {.note = {.run = marker_run}};
	subscribe(0, "global");
	subscribe(1, "global");
	submit(make("a", 0, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	loop_note_post(world.loops[0], &marker.note);
	submit(make("b", 1, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	submit(make("c", 0, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_trace(0, "reply a ok, event 1, note, event 2, reply c ok, event 3");
	assert_trace(1, "event 1, reply b ok, event 2, event 3");
}

static int64_t missed_from[LOOPS];

static void on_missed(struct bus_subscriber *subscriber, int64_t from, bool others)
{
	assert_false(others);
	missed_from[subscriber - world.subscribers] = from;
}
static bool fails(void *arg, uint64_t number)
{
	return (*(uint64_t *)arg)-- == 1;
}

/* Whatever allocation fails: each loop hears the events of a commit, or behind which offset it misses some. */
static void without_memory_nothing_is_lost_silently(void **state)
{
	int told = 0;
	subscribe(0, "global"), subscribe(1, "global");
	world.subscribers[0].missed = world.subscribers[1].missed = on_missed;
	for (uint64_t n = 1, left = 1; n <= 8; left = ++n) {
		struct test_command *a = submit(make("a", 0, WRITES, "global"));
		missed_from[0] = missed_from[1] = INT64_MAX;
		mem_hook_set(fails, &left);
		assert_true(writer_turn(world.writer));
		mem_hook_set(NULL, NULL);
		turn_loops();
		for (int i = 0; i < LOOPS && a->command.result == ERR_OK; i++) {
			bool missed = missed_from[i] == a->command.log_seq[0] - 1;
			assert_true(missed != (world.event_last[i] == a->command.log_seq[0]));
			told += missed;
		}
	}
	assert_int_equal(told, LOOPS);
}

/* ---- keys ---- */

static struct idem *key_of(const char *key)
{
	static const struct caller caller = {.principal = 5};
	struct idem *idem = arena_new(&world.arena, struct idem);
	assert_non_null(idem);
	idem_make(idem, &caller, STR("test"), str_of(key), STR("request"));
	return idem;
}

static struct test_command *make_keyed(const char *name, unsigned loop, enum plan plan, const char *key)
{
	struct test_command *test = make(name, loop, plan, "global");
	test->command.idem = key_of(key);
	return test;
}

static void a_key_is_used_once_in_a_batch_and_after_it(void **state)
{
	struct test_command *a = submit(make_keyed("a", 0, WRITES, "k"));
	struct test_command *b = submit(make_keyed("b", 1, WRITES, "k")); /* another loop, the same batch */
	struct test_command *c = submit(make_keyed("c", 1, WRITES, "other"));
	assert_true(writer_turn(world.writer));
	struct test_command *d = submit(make_keyed("d", 1, WRITES, "k"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_int_equal(b->command.result, ERR_REPEATED);
	assert_int_equal(d->command.result, ERR_REPEATED);
	assert_true(a->command.idem->kept && c->command.idem->kept);
	assert_false(b->command.idem->kept || d->command.idem->kept);
	assert_int_equal(b->applied + d->applied, 0);
	assert_int_equal(a->finished + b->finished + c->finished + d->finished, 4);
	assert_log("1:a 2:c");
	assert_table("ac");
}

/* Somebody else's failure costs the batch a second run: still once. */
static void a_key_outlives_a_rerun(void **state)
{
	struct test_command *a = submit(make_keyed("a", 0, WRITES, "k"));
	struct test_command *x = submit(make_keyed("x", 0, FAILS_AFTER_WRITING, "k2"));
	struct test_command *b = submit(make_keyed("b", 1, WRITES, "k"));
	struct test_command *y = submit(make_keyed("y", 1, WRITES, "k2")); /* the one before it left nothing */
	while (writer_turn(world.writer)) {
	}
	turn_loops();
	assert_int_equal(a->command.result, ERR_OK);
	assert_int_equal(x->command.result, ERR_LIMIT);
	assert_int_equal(b->command.result, ERR_REPEATED);
	assert_int_equal(y->command.result, ERR_OK);
	assert_false(x->command.idem->kept);
	assert_log("1:a 2:y");
	assert_table("ay");
}

static void what_did_not_commit_is_not_kept(void **state)
{
	struct test_command *a = submit(make_keyed("a", 0, WRITES, "k"));
	world.before_commit = ERR_STORE_UNAVAILABLE;
	assert_true(writer_turn(world.writer));
	world.before_commit = ERR_OK;
	struct test_command *b = submit(make_keyed("b", 0, WRITES, "k"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_int_equal(a->command.result, ERR_STORE_UNAVAILABLE);
	assert_false(a->command.idem->kept);
	assert_int_equal(b->command.result, ERR_OK);
	assert_log("1:b");
}

static void a_refusal_is_kept_when_it_was_written_down(void **state)
{
	struct test_command *a = submit(make_keyed("a", 0, REFUSES, "k"));
	struct test_command *b = submit(make_keyed("b", 0, WRITES, "k"));
	struct test_command *c = make_keyed("c", 0, WRITES, "denied");
	c->command.mark = (struct command_mark){.agent = 1, .agent_revision = 1};
	world.revision_now = 2;
	submit(c);
	struct test_command *d = submit(make_keyed("d", 0, WRITES, "denied"));
	struct test_command *e = make_keyed("e", 0, WRITES, "done only");
	e->command.mark = c->command.mark;
	e->command.idem->done_only = true;
	submit(e);
	struct test_command *g = submit(make_keyed("g", 0, WRITES, "done only"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_int_equal(a->command.result, ERR_CONFLICT);
	assert_int_equal(b->command.result, ERR_OK);
	assert_int_equal(c->command.result, ERR_GOVERNANCE);
	assert_true(c->command.idem->kept);
	assert_int_equal(d->command.result, ERR_REPEATED);
	assert_int_equal(e->command.result, ERR_GOVERNANCE);
	assert_false(e->command.idem->kept);
	assert_int_equal(g->command.result, ERR_OK);
	assert_log("1:b 2:c failed 3:e failed 4:g");
}

static void a_key_is_forgotten_after_48_hours(void **state)
{
	const int64_t hour_us = INT64_C(3600) * 1000000;
	submit(make_keyed("a", 0, WRITES, "k"));
	assert_true(writer_turn(world.writer));
	world.wall_us += 48 * hour_us;
	struct test_command *b = submit(make_keyed("b", 0, WRITES, "k"));
	assert_true(writer_turn(world.writer));
	world.wall_us += 1;
	struct test_command *c = submit(make_keyed("c", 0, WRITES, "k"));
	assert_true(writer_turn(world.writer));
	struct test_command *d = submit(make_keyed("d", 0, WRITES, "k")); /* of the new one's time */
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_int_equal(b->command.result, ERR_REPEATED);
	assert_int_equal(c->command.result, ERR_OK);
	assert_int_equal(d->command.result, ERR_REPEATED);
	assert_log("1:a 2:c");
}

static int64_t keys_count(void)
{
	static const struct db_sql sql = {"SELECT count(*) FROM idempotency"};
	struct db_stmt *stmt = db_use(writer_db(world.writer), &sql);
	bool row;
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

static void old_keys_are_swept_out_a_few_at_a_time(void **state)
{
	enum { OLD = 3 * LIMIT_IDEMPOTENCY_STEP, YOUNG = 50 };
	const int64_t now_us = INT64_C(1) << 50, hours_us = INT64_C(48) * 3600 * 1000000;
	struct db *db = writer_db(world.writer);
	assert_int_equal(db_begin(db), ERR_OK);
	for (int i = 0; i < OLD + YOUNG; i++) {
		char key[16];
		snprintf(key, sizeof(key), "key %d", i);
		assert_int_equal(idempotency_keep(db, key_of(key), 0, 0, 1, now_us - (i < OLD ? hours_us + 1 : hours_us)), ERR_OK);
	}
	struct idempotency_cursor cursor = {.begun = false};
	bool more = true;
	int steps = 0;
	for (int64_t left = OLD + YOUNG; more; steps++) {
		assert_int_equal(idempotency_sweep(db, &cursor, now_us, &more), ERR_OK);
		assert_true(keys_count() <= left && keys_count() >= left - LIMIT_IDEMPOTENCY_STEP);
		left = keys_count();
	}
	assert_int_equal(steps, (OLD + YOUNG) / LIMIT_IDEMPOTENCY_STEP + 1);
	assert_int_equal(keys_count(), YOUNG);
	assert_false(cursor.begun);
	assert_int_equal(idempotency_free(db, key_of("key 0"), now_us), ERR_OK);
	assert_int_equal(idempotency_free(db, key_of("key 384"), now_us), ERR_REPEATED);
	assert_int_equal(db_commit(db), ERR_OK);
}

/* ---- what fails ---- */

static void a_refused_command_leaves_no_row(void **state)
{
	int64_t reruns = metric_get(METRIC_WRITER_RERUNS), published = metric_get(METRIC_BUS_PUBLISHED), gone;
	subscribe(0, "global");
	struct test_command *a = submit(make("a", 0, REFUSES, "global"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_trace(0, "reply a refused");
	assert_int_equal(a->command.result, ERR_CONFLICT);
	assert_int_equal(a->command.log_count, 0);
	assert_int_equal(bus_history_last(world.history, &gone), 0);
	assert_int_equal(metric_get(METRIC_BUS_PUBLISHED), published);
	assert_log("");
	submit(make("b", 0, WRITES, "global"));
	submit(make("c", 0, REFUSES, "global"));
	submit(make("d", 0, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_trace(0, "reply a refused, reply b ok, reply c refused, reply d ok, event 1, event 2");
	assert_log("1:b 2:d");
	assert_table("bd");
	assert_int_equal(metric_get(METRIC_WRITER_RERUNS), reruns);
}

static void a_failure_after_writing_takes_only_its_own(void **state)
{
	int64_t reruns = metric_get(METRIC_WRITER_RERUNS), gone;
	subscribe(0, "global");
	submit(make("a", 0, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	struct test_command *b = submit(make("b", 0, WRITES, "global"));
	struct test_command *c = make("c", 0, FAILS_AFTER_WRITING, "global");
	c->rows = 3;
	submit(c);
	struct test_command *d = submit(make("d", 1, WRITES, "global"));
	submit(make("e", 0, FAILS_AFTER_WRITING, "global"));
	struct test_command *f = submit(make("f", 0, WRITES, "global"));
	/* A batch ends with the command that failed; what waits behind it is the next one. */
	while (writer_turn(world.writer)) {
	}
	turn_loops();
	assert_int_equal(metric_get(METRIC_WRITER_RERUNS) - reruns, 2);
	assert_trace(0, "reply a ok, event 1, reply b ok, reply c refused, event 2, reply e refused, event 3, reply f ok, event 4");
	assert_trace(1, "reply d ok");
	assert_int_equal(c->command.result, ERR_LIMIT);
	assert_int_equal(b->applied, 2);
	assert_int_equal(b->command.log_count, 1);
	assert_int_equal(d->command.log_seq[0], 3);
	assert_int_equal(f->command.log_seq[0], 4);
	assert_log("1:a 2:b 3:d 4:f");
	assert_table("abdf");
	assert_true(world.table.undone >= 4);
	assert_int_equal(bus_history_last(world.history, &gone), 4);
}

static void a_batch_that_cannot_commit_leaves_nothing(void **state)
{
	int64_t gone;
	subscribe(1, "global");
	submit(make("a", 0, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	world.before_commit = ERR_STORE_UNAVAILABLE;
	struct test_command *b = submit(make("b", 0, WRITES, "global"));
	submit(make("c", 1, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	world.before_commit = ERR_OK;
	turn_loops();
	assert_trace(0, "reply a ok, reply b refused");
	assert_trace(1, "event 1, reply c refused");
	assert_int_equal(b->command.result, ERR_STORE_UNAVAILABLE);
	assert_int_equal(bus_history_last(world.history, &gone), 1);
	assert_log("1:a");
	assert_table("a");
	submit(make("d", 0, WRITES, "global"));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_log("1:a 2:d");
	assert_table("ad");
	assert_trace(1, "event 1, reply c refused, event 2");
}

/* ---- marks ---- */

static struct test_command *marked(const char *name, int64_t revision, enum plan plan)
{
	struct test_command *test = make(name, 0, plan, "global");
	test->command.mark = (struct command_mark){.agent = 3, .agent_revision = revision, .policy_revision = 1};
	return submit(test);
}

static void a_mark_that_holds_no_more_is_denied_with_a_row(void **state)
{
	subscribe(0, "global");
	world.revision_now = 2;
	struct test_command *held = marked("a", 2, WRITES);
	struct test_command *denied = marked("b", 1, WRITES);
	submit(make("c", 0, WRITES, NULL));
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_int_equal(world.recheck_count, 2); /* none for c, which no agent does */
	assert_int_equal(held->denied, 0);
	assert_int_equal(denied->applied, 0);
	assert_int_equal(denied->denied, 1);
	assert_int_equal(denied->command.result, ERR_GOVERNANCE);
	assert_int_equal(denied->command.log_seq[0], 2);
	assert_trace(0, "reply a ok, reply b refused, reply c ok, event 1");
	assert_log("1:a 2:b failed 3:c");
	assert_table("ac");
}

static void a_denial_survives_another_s_failure(void **state)
{
	world.revision_now = 2;
	struct test_command *denied = marked("a", 1, WRITES);
	marked("b", 2, FAILS_AFTER_WRITING);
	assert_true(writer_turn(world.writer));
	turn_loops();
	assert_int_equal(denied->denied, 2);
	assert_int_equal(denied->command.result, ERR_GOVERNANCE);
	assert_trace(0, "reply a refused, reply b refused");
	assert_log("1:a failed");
}

/* ---- at start-up, time, the end ---- */

static void a_command_is_run_to_its_commit_on_this_thread(void **state)
{
	subscribe(1, "global");
	struct test_command *a = make("a", 0, WRITES, "global");
	assert_int_equal(command_run_now(&a->command), ERR_OK);
	assert_int_equal(a->finished, 1);
	assert_trace(LOOPS, "reply a ok");
	assert_log("1:a");
	assert_int_equal(command_run_now(&make("b", 0, REFUSES, NULL)->command), ERR_CONFLICT);
	assert_int_equal(command_run_now(&make("c", 0, FAILS_AFTER_WRITING, "global")->command), ERR_LIMIT);
	assert_log("1:a");
	turn_loops();
	assert_trace(LOOPS, "reply a ok, reply b refused, reply c refused");
	assert_trace(0, "");
	assert_trace(1, "event 1");
}

static void time_of_the_log_never_goes_back(void **state)
{
	struct test_command *a = submit(make("a", 0, WRITES, NULL));
	assert_true(writer_turn(world.writer));
	assert_int_equal(a->command.log_time_us[0], 1000000);
	world.wall_us = 400000;
	struct test_command *b = submit(make("b", 0, WRITES, NULL));
	assert_true(writer_turn(world.writer));
	assert_int_equal(command_now_us(&b->command), 1000000);
	assert_true(b->command.log_time_us[0] >= 1000000);
	world.wall_us = 3000000;
	struct test_command *c = submit(make("c", 0, WRITES, NULL));
	assert_true(writer_turn(world.writer));
	assert_int_equal(command_now_us(&c->command), 3000000);
	assert_int_equal(c->command.log_time_us[0], 3000000);
	assert_log("1:a 2:b 3:c");
}

static void after_the_writer_has_stopped_nothing_is_taken(void **state)
{
	struct test_command *a = make("a", 0, WRITES, NULL), *b = make("b", 0, WRITES, NULL);
	assert_int_equal(command_reserve(world.runner), ERR_OK);
	submit(make("c", 0, WRITES, NULL));
	writer_stop(world.writer);
	assert_int_equal(command_submit(&a->command, false), ERR_GOING_AWAY);
	assert_int_equal(command_submit(&b->command, true), ERR_GOING_AWAY);
	command_unreserve(world.runner);
	while (writer_turn(world.writer)) {
	}
	turn_loops();
	assert_int_equal(a->applied + a->finished + b->applied + b->finished, 0);
	assert_trace(0, "reply c ok");
}

/* ---- without memory ---- */

struct failing {
	uint64_t at, seen;
};

static bool fail_nth(void *arg, uint64_t number)
{
	struct failing *failing = arg;
	return ++failing->seen == failing->at;
}

/* Whichever allocation of a batch fails: every command hears once how it ended, and that is what the log says. */
static void every_allocation_may_fail(void **state)
{
	bool reached = true;
	int lost = 0;
	subscribe(0, "global");
	subscribe(1, "global");
	for (uint64_t at = 1; reached; at++) {
		struct test_command *tests[] = {make("a", 0, WRITES, "global"), make("b", 1, WRITES, "global"),
						make("c", 0, FAILS_AFTER_WRITING, "global"), make("d", 1, REFUSES, "global")};
		struct failing failing = {.at = at};
		struct log_head before, after;
		int rows = 0, refused = 0;
		assert_int_equal(log_head_read(writer_db(world.writer), &before), ERR_OK);
		for (int i = 0; i < 4; i++) {
			submit(tests[i]);
		}
		world.traces[0].count = world.traces[1].count = 0;
		mem_hook_set(fail_nth, &failing);
		while (writer_turn(world.writer)) {
		}
		mem_hook_set(NULL, NULL);
		turn_loops();
		for (int i = 0; i < 4; i++) {
			assert_int_equal(tests[i]->finished, 1);
			rows += tests[i]->command.result == ERR_OK;
			refused += tests[i]->command.result != ERR_OK;
		}
		assert_int_equal(log_head_read(writer_db(world.writer), &after), ERR_OK);
		assert_int_equal(after.seq - before.seq, rows);
		assert_true(world.table.count == world.table.published);
		lost += refused > 2;
		reached = failing.seen >= at;
		/* What is kept of the table would reach its end. */
		world.table.count = world.table.published = 0;
	}
	assert_true(lost > 0); /* the hook did reach the runner */
	struct audit_report report;
	assert_int_equal(audit_verify(writer_db(world.writer), NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
}

/* ---- shares of the queue ---- */

static int quiet_finished;

static enum err quiet_apply(struct command *command, struct db *db)
{
	return ERR_INVALID;
}

static void quiet_finish(struct command *command)
{
	quiet_finished++;
}

static const struct command_row quiet_row = {"quiet", "read", quiet_apply, NULL, quiet_finish};

static enum err quiet_submit(struct arena *arena, int64_t principal)
{
	struct caller caller = {.principal = principal, .workspace = 1, .role = ROLE_MEMBER};
	struct command *command = command_new(world.runner, &quiet_row, arena, world.loops[0], &caller, sizeof(*command));
	assert_non_null(command);
	return command_submit(command, false);
}

/* One principal may fill half of the queue; then it gets no more, others do, and when the queue is empty all may again. */
static void one_principal_cannot_keep_others_out(void **state)
{
	struct arena arena;
	int taken = 0;
	arena_init(&arena, 32 << 20);
	quiet_finished = 0;
	while (quiet_submit(&arena, 11) == ERR_OK) {
		taken++;
	}
	assert_int_equal(taken, LIMIT_WRITER_JOBS / 2 + 1);
	for (int i = 0; i < LIMIT_WRITER_JOBS_PRINCIPAL; i++) {
		assert_int_equal(quiet_submit(&arena, 12), ERR_OK);
		taken++;
	}
	assert_int_equal(quiet_submit(&arena, 12), ERR_OVERLOADED);
	assert_int_equal(quiet_submit(&arena, 11), ERR_OVERLOADED);
	while (writer_turn(world.writer)) {
	}
	turn_loops();
	assert_int_equal(quiet_finished, taken);
	assert_int_equal(quiet_submit(&arena, 11), ERR_OK);
	while (writer_turn(world.writer)) {
	}
	turn_loops();
	arena_fini(&arena);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
	const struct CMUnitTest tests[] = {
		CASE(a_key_is_used_once_in_a_batch_and_after_it),
		CASE(a_key_outlives_a_rerun),
		CASE(what_did_not_commit_is_not_kept),
		CASE(a_refusal_is_kept_when_it_was_written_down),
		CASE(a_key_is_forgotten_after_48_hours),
		CASE(old_keys_are_swept_out_a_few_at_a_time),
		CASE(replies_come_before_events_on_each_loop),
		CASE(a_loop_without_interest_gets_no_events),
		CASE(notes_keep_their_order),
		CASE(without_memory_nothing_is_lost_silently),
		CASE(a_refused_command_leaves_no_row),
		CASE(a_failure_after_writing_takes_only_its_own),
		CASE(a_batch_that_cannot_commit_leaves_nothing),
		CASE(a_mark_that_holds_no_more_is_denied_with_a_row),
		CASE(a_denial_survives_another_s_failure),
		CASE(a_command_is_run_to_its_commit_on_this_thread),
		CASE(time_of_the_log_never_goes_back),
		CASE(after_the_writer_has_stopped_nothing_is_taken),
		CASE(one_principal_cannot_keep_others_out),
		CASE(every_allocation_may_fail),
	};
#undef CASE
	return cmocka_run_group_tests_name("command", tests, NULL, NULL);
}
