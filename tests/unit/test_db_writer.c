/* The writer: group commit, refusals, failures, full disks, admission, stopping, checkpoints. */
#include "store_fixture.h"

#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/limits.h"
#include "base/metric.h"
#include "base/thread.h"

/* ---- threads ---- */

enum { PRODUCERS = 4, EACH = 2500 };

struct producer {
	struct writer *writer;
	struct thread thread;
	struct item items[EACH];
	sem_t credit;
	int number;
};

static void produce(void *arg)
{
	struct producer *producer = arg;
	for (int i = 0; i < EACH; i++) {
		struct item *item = &producer->items[i];
		item_init(item, WRITE, producer->number, i);
		item->credit = &producer->credit;
		sem_wait(&producer->credit);
		while (writer_push(producer->writer, &item->job) != ERR_OK) {
			sched_yield();
		}
	}
}

static void all_jobs_of_four_threads_commit_once_in_order(void **state)
{
	static struct producer producers[PRODUCERS];
	struct writer *writer = make(NULL);
	int64_t commits = metric_get(METRIC_WRITER_COMMITS);
	int64_t jobs = metric_get(METRIC_WRITER_JOBS);
	assert_int_equal(writer_start(writer), ERR_OK);
	assert_false(writer_is_current(writer));
	for (int i = 0; i < PRODUCERS; i++) {
		producers[i].writer = writer;
		producers[i].number = i;
		sem_init(&producers[i].credit, 0, 200);
		assert_int_equal(thread_start(&producers[i].thread, "producer", produce, &producers[i]), ERR_OK);
	}
	for (int i = 0; i < PRODUCERS; i++) {
		thread_join(&producers[i].thread);
	}
	writer_stop(writer);
	int next[PRODUCERS] = {0};
	bool row = true;
	struct db_stmt *stmt = db_use(writer_db(writer), &sql_all);
	for (int n = 0; n < PRODUCERS * EACH; n++) {
		assert_int_equal(db_step(stmt, &row), ERR_OK);
		assert_true(row);
		assert_int_equal(db_int(stmt, 1), next[db_int(stmt, 0)]++);
	}
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_false(row);
	for (int i = 0; i < PRODUCERS; i++) {
		for (int k = 0; k < EACH; k++) {
			assert_int_equal(producers[i].items[k].done, 1);
			assert_int_equal(producers[i].items[k].job.result, ERR_OK);
		}
		sem_destroy(&producers[i].credit);
	}
	assert_int_equal(metric_get(METRIC_WRITER_JOBS) - jobs, PRODUCERS * EACH);
	assert_true(metric_get(METRIC_WRITER_COMMITS) - commits < PRODUCERS * EACH);
	writer_destroy(&writer);
	assert_null(writer);
}

/* ---- refusals and failures inside a batch ---- */

static void a_refusal_concerns_one_job_only(void **state)
{
	struct counts counts = {0};
	struct writer *writer = make(&counts);
	struct item items[5];
	int64_t reruns = metric_get(METRIC_WRITER_RERUNS);
	for (int i = 0; i < 5; i++) {
		item_init(&items[i], i == 2 ? REFUSE : WRITE, 0, i);
		push(writer, &items[i]);
	}
	assert_true(writer_turn(writer));
	assert_false(writer_turn(writer));
	for (int i = 0; i < 5; i++) {
		assert_int_equal(items[i].job.result, i == 2 ? ERR_PERMISSION : ERR_OK);
		assert_int_equal(items[i].applied, 1);
		assert_int_equal(items[i].done, 1);
		assert_int_equal(items[i].order - items[0].order, i);
	}
	assert_int_equal(count_items(writer), 4);
	assert_int_equal(metric_get(METRIC_WRITER_RERUNS), reruns);
	assert_int_equal(counts.begun, 1);
	assert_int_equal(counts.before_commit, 1);
	assert_int_equal(counts.rolled_back, 0);
	assert_int_equal(counts.finished, 1);
	assert_int_equal(counts.committed, 1);
	writer_destroy(&writer);
}

static void a_job_that_fails_after_writing_is_lost_alone(void **state)
{
	struct counts counts = {0};
	struct writer *writer = make(&counts);
	struct item items[6];
	int64_t reruns = metric_get(METRIC_WRITER_RERUNS);
	for (int i = 0; i < 6; i++) {
		item_init(&items[i], i == 3 ? FAIL_AFTER_WRITE : i == 1 ? REFUSE : WRITE, 0, i);
		push(writer, &items[i]);
	}
	/* The batch ends with the culprit; what waits behind it is the next one. */
	assert_true(writer_turn(writer));
	assert_int_equal(items[3].done, 1);
	assert_int_equal(items[4].done, 0);
	assert_true(writer_turn(writer));
	assert_false(writer_turn(writer));
	for (int i = 0; i < 6; i++) {
		assert_int_equal(items[i].job.result, i == 3 ? ERR_CONFLICT : i == 1 ? ERR_PERMISSION : ERR_OK);
		assert_int_equal(items[i].done, 1);
	}
	assert_int_equal(items[0].applied, 2);
	assert_int_equal(items[4].applied, 1);
	assert_int_equal(count_items(writer), 4);
	assert_int_equal(metric_get(METRIC_WRITER_RERUNS) - reruns, 1);
	assert_int_equal(counts.rolled_back, 1);
	assert_int_equal(counts.begun, 3);
	assert_int_equal(counts.job_begun, 4);
	assert_int_equal(counts.job_undone, 2); /* the culprit and the refused one */
	assert_int_equal(counts.committed, 2);
	writer_destroy(&writer);
}

static void a_commit_that_fails_fails_all_and_the_next_succeeds(void **state)
{
	struct counts counts = {.before_commit_result = ERR_STORE_UNAVAILABLE};
	struct writer *writer = make(&counts);
	struct item items[3];
	int64_t failures = metric_get(METRIC_WRITER_FAILURES);
	for (int i = 0; i < 3; i++) {
		item_init(&items[i], i == 1 ? REFUSE : WRITE, 0, i);
		push(writer, &items[i]);
	}
	assert_true(writer_turn(writer));
	for (int i = 0; i < 3; i++) {
		assert_int_equal(items[i].job.result, ERR_STORE_UNAVAILABLE);
		assert_int_equal(items[i].done, 1);
	}
	assert_int_equal(metric_get(METRIC_STORE_DEGRADED), 1);
	assert_int_equal(metric_get(METRIC_WRITER_FAILURES) - failures, 1);
	assert_int_equal(counts.rolled_back, 1);
	assert_int_equal(counts.finished, 1);
	assert_int_equal(counts.committed, 0);
	assert_int_equal(count_items(writer), 0);
	counts.before_commit_result = ERR_OK;
	item_init(&items[0], WRITE, 0, 0);
	push(writer, &items[0]);
	assert_true(writer_turn(writer));
	assert_int_equal(items[0].job.result, ERR_OK);
	assert_int_equal(metric_get(METRIC_STORE_DEGRADED), 0);
	assert_int_equal(count_items(writer), 1);
	writer_destroy(&writer);
}

static int64_t pragma(struct writer *writer, const struct db_sql *sql)
{
	bool row;
	struct db_stmt *stmt = db_use(writer_db(writer), sql);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(row);
	int64_t value = db_int(stmt, 0);
	db_reset(stmt);
	return value;
}

static void a_full_disk_is_told_and_passes(void **state)
{
	static const struct db_sql pages = {"PRAGMA page_count"};
	static const struct db_sql roomy = {"PRAGMA max_page_count = 1000000"};
	static struct db_sql tight;
	static char text[64];
	struct counts counts = {0};
	struct writer *writer = make(&counts);
	struct item items[4];
	snprintf(text, sizeof(text), "PRAGMA max_page_count = %lld", (long long)pragma(writer, &pages) + 20);
	tight.text = text;
	pragma(writer, &tight);
	for (int i = 0; i < 4; i++) {
		item_init(&items[i], BIG, 0, i);
		push(writer, &items[i]);
	}
	while (writer_turn(writer)) {
	}
	int stored = 0;
	for (int i = 0; i < 4; i++) {
		assert_int_equal(items[i].done, 1);
		assert_true(items[i].job.result == ERR_OK || items[i].job.result == ERR_STORE_UNAVAILABLE);
		stored += items[i].job.result == ERR_OK;
	}
	assert_true(stored < 4);
	assert_int_equal(count_items(writer), stored); /* what was answered with ok is there, and nothing else */
	assert_int_equal(metric_get(METRIC_STORE_DEGRADED), 1);
	pragma(writer, &roomy);
	item_init(&items[0], BIG, 0, 9);
	push(writer, &items[0]);
	assert_true(writer_turn(writer));
	assert_int_equal(items[0].job.result, ERR_OK);
	assert_int_equal(metric_get(METRIC_STORE_DEGRADED), 0);
	assert_int_equal(count_items(writer), stored + 1);
	writer_destroy(&writer);
}

/* ---- admission ---- */

static void room_set_aside_is_kept(void **state)
{
	static struct item items[LIMIT_WRITER_JOBS];
	struct item other;
	struct writer *writer = make(NULL);
	assert_int_equal(writer_reserve(writer), ERR_OK);
	assert_int_equal(writer_reserve(writer), ERR_OK);
	for (int i = 0; i < LIMIT_WRITER_JOBS - 2; i++) {
		item_init(&items[i], READ_ONLY, 0, i);
		push(writer, &items[i]);
	}
	item_init(&other, WRITE, 1, 0);
	assert_int_equal(writer_push(writer, &other.job), ERR_OVERLOADED);
	assert_int_equal(writer_reserve(writer), ERR_OVERLOADED);
	other.job.reserved = true;
	push(writer, &other);
	item_init(&items[0 + LIMIT_WRITER_JOBS - 1], READ_ONLY, 0, 0);
	assert_int_equal(writer_push(writer, &items[LIMIT_WRITER_JOBS - 1].job), ERR_OVERLOADED);
	writer_unreserve(writer);
	push(writer, &items[LIMIT_WRITER_JOBS - 1]);
	assert_int_equal(writer_push(writer, &items[LIMIT_WRITER_JOBS - 2].job), ERR_OVERLOADED);
	assert_int_equal(other.applied, 0);
	int turns = 0;
	while (writer_turn(writer)) {
		turns++;
	}
	assert_true(turns >= LIMIT_WRITER_JOBS / LIMIT_WRITER_BATCH);
	assert_int_equal(other.done, 1);
	assert_int_equal(items[LIMIT_WRITER_JOBS - 1].done, 1);
	assert_int_equal(items[LIMIT_WRITER_JOBS - 2].done, 0);
	assert_int_equal(writer_reserve(writer), ERR_OK);
	writer_unreserve(writer);
	writer_destroy(&writer);
}

/* A clock that moves only when a job says so. */
static int64_t fake_now_us;
static int64_t fake_step_us;

static int64_t fake_time(void *ctx)
{
	return fake_now_us;
}

static const struct env fake_env = {fake_time, fake_time, NULL, NULL};

static enum err slow_apply(struct write_job *job, struct db *db)
{
	fake_now_us += fake_step_us;
	return item_apply(job, db);
}

static int push_slow(struct writer *writer, struct item *items, int count)
{
	for (int i = 0; i < count; i++) {
		item_init(&items[i], WRITE, 0, i);
		items[i].job.apply = slow_apply;
		if (writer_push(writer, &items[i].job) != ERR_OK) {
			return i;
		}
	}
	return count;
}

static void a_writer_too_far_behind_refuses(void **state)
{
	static struct item items[600];
	struct writer *writer = make_with(NULL, &fake_env, 0);
	fake_step_us = 10000;
	/* One slow job says little; many say that this is how it is. */
	assert_int_equal(push_slow(writer, items, 1), 1);
	assert_true(writer_turn(writer));
	assert_int_equal(writer_wait_us(writer), 0);
	assert_int_equal(push_slow(writer, items, 100), 100);
	while (writer_turn(writer)) {
	}
	/* 10 ms a job: the wait passes 250 ms behind 25 of them, as far as integers can tell. */
	assert_in_range(push_slow(writer, items, 100), 25, 28);
	assert_true(writer_wait_us(writer) > 250000);
	while (writer_turn(writer)) {
	}
	assert_int_equal(writer_wait_us(writer), 0);
	assert_int_equal(push_slow(writer, items, 1), 1);
	assert_true(writer_turn(writer));
	/* When it gets faster, more are let in. */
	fake_step_us = 10;
	for (int i = 0; i < 60; i++) {
		assert_int_equal(push_slow(writer, items, 1), 1);
		assert_true(writer_turn(writer));
	}
	assert_int_equal(push_slow(writer, items, 600), 600);
	writer_destroy(&writer);
	assert_int_equal(items[599].done, 1);
}

static void a_batch_ends_by_count_and_by_time(void **state)
{
	static struct item items[1500];
	struct counts counts = {0};
	struct writer *writer = make_with(&counts, &fake_env, 0);
	fake_step_us = 0;
	assert_int_equal(push_slow(writer, items, 1500), 1500);
	assert_true(writer_turn(writer));
	assert_int_equal(items[LIMIT_WRITER_BATCH - 1].done, 1);
	assert_int_equal(items[LIMIT_WRITER_BATCH].done, 0);
	while (writer_turn(writer)) {
	}
	assert_int_equal(counts.begun, 3);
	fake_step_us = 1000;
	assert_int_equal(push_slow(writer, items, 12), 12);
	assert_true(writer_turn(writer));
	assert_int_equal(items[4].done, 1);
	assert_int_equal(items[5].done, 0);
	while (writer_turn(writer)) {
	}
	assert_int_equal(counts.begun, 6);
	writer_destroy(&writer);
}

static void sweeps_come_last_and_one_by_one(void **state)
{
	struct counts counts = {0};
	struct writer *writer = make(&counts);
	struct item items[6];
	for (int i = 0; i < 6; i++) {
		item_init(&items[i], WRITE, 0, i);
		items[i].job.sweep = i < 3;
		push(writer, &items[i]);
	}
	int first = done_count;
	assert_true(writer_turn(writer));
	assert_int_equal(items[3].order, first);
	assert_int_equal(items[5].order, first + 2);
	assert_int_equal(items[0].order, first + 3);
	assert_int_equal(items[1].done, 0);
	assert_true(writer_turn(writer));
	assert_int_equal(items[1].done, 1);
	assert_int_equal(items[2].done, 0);
	assert_true(writer_turn(writer));
	assert_false(writer_turn(writer));
	assert_int_equal(counts.begun, 3);
	writer_destroy(&writer);
}

/* ---- stopping ---- */

struct holder {
	struct write_job job;
	sem_t entered;
	sem_t leave;
	struct writer *writer;
	bool on_writer;
};

static enum err hold_apply(struct write_job *job, struct db *db)
{
	struct holder *holder = container_of(job, struct holder, job);
	holder->on_writer = writer_is_current(holder->writer);
	sem_post(&holder->entered);
	sem_wait(&holder->leave);
	return ERR_OK;
}

static void hold_done(struct write_job *job)
{
}

static void release_later(void *arg)
{
	sem_post(&((struct holder *)arg)->leave);
}

static void stopping_finishes_what_was_accepted(void **state)
{
	static struct item items[300];
	struct writer *writer = make(NULL);
	struct holder holder = {.job = {.apply = hold_apply, .done = hold_done}, .writer = writer};
	sem_init(&holder.entered, 0, 0);
	sem_init(&holder.leave, 0, 0);
	assert_int_equal(writer_start(writer), ERR_OK);
	assert_int_equal(writer_push(writer, &holder.job), ERR_OK);
	sem_wait(&holder.entered);
	for (int i = 0; i < 300; i++) {
		item_init(&items[i], WRITE, 0, i);
		items[i].job.sweep = i % 100 == 0;
		push(writer, &items[i]);
	}
	struct thread releaser;
	assert_int_equal(thread_start(&releaser, "releaser", release_later, &holder), ERR_OK);
	writer_stop(writer);
	thread_join(&releaser);
	for (int i = 0; i < 300; i++) {
		assert_int_equal(items[i].done, 1);
		assert_int_equal(items[i].job.result, ERR_OK);
	}
	assert_true(holder.on_writer);
	assert_false(writer_is_current(writer));
	assert_int_equal(writer_push(writer, &items[0].job), ERR_GOING_AWAY);
	assert_int_equal(writer_reserve(writer), ERR_OK);
	items[0].job.reserved = true;
	assert_int_equal(writer_push(writer, &items[0].job), ERR_GOING_AWAY);
	writer_unreserve(writer);
	assert_int_equal(count_items(writer), 300);
	writer_destroy(&writer);
	sem_destroy(&holder.entered);
	sem_destroy(&holder.leave);
}

/* Pushes single jobs and waits for each, so that the thread sleeps between them. */
static void a_sleeping_writer_is_woken(void **state)
{
	struct writer *writer = make(NULL);
	sem_t done;
	sem_init(&done, 0, 0);
	assert_int_equal(writer_start(writer), ERR_OK);
	for (int i = 0; i < 300; i++) {
		struct item item;
		item_init(&item, i % 2 ? READ_ONLY : WRITE, 0, i);
		item.credit = &done;
		push(writer, &item);
		sem_wait(&done);
	}
	writer_stop(writer);
	assert_int_equal(count_items(writer), 150);
	writer_destroy(&writer);
	sem_destroy(&done);
}

/* ---- checkpoints ---- */

static void the_log_stays_bounded(bool threads)
{
	static struct item items[200];
	char wal[128];
	struct stat st;
	struct writer *writer = make_with(NULL, env_real(), 1 << 20);
	sem_t credit;
	int64_t checkpoints = metric_get(METRIC_WRITER_CHECKPOINTS);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	sem_init(&credit, 0, 0);
	if (threads) {
		assert_int_equal(writer_start(writer), ERR_OK);
	}
	int64_t greatest = 0;
	for (int i = 0; i < 200; i++) {
		item_init(&items[i], BIG, 0, i);
		items[i].credit = &credit;
		push(writer, &items[i]);
		if (threads) {
			sem_wait(&credit);
		} else {
			assert_true(writer_turn(writer));
		}
		assert_int_equal(stat(wal, &st), 0);
		greatest = st.st_size > greatest ? st.st_size : greatest;
	}
	writer_stop(writer);
	/* 12 MB were written; the rounds overlap with commits when a thread copies. */
	assert_true(greatest > (1 << 20));
	assert_true(greatest < (threads ? 6 : 2) << 20);
	assert_true(metric_get(METRIC_WRITER_CHECKPOINTS) - checkpoints >= (threads ? 2 : 8));
	assert_int_equal(count_items(writer), 200);
	writer_destroy(&writer);
	sem_destroy(&credit);
}

static void the_log_stays_bounded_with_threads(void **state)
{
	the_log_stays_bounded(true);
}

static void the_log_stays_bounded_in_turns(void **state)
{
	the_log_stays_bounded(false);
}

/* ---- failpoints ---- */

#ifdef GUILD_FAILPOINTS
static void failpoints_fail_as_told(void **state)
{
	struct writer *writer = make(NULL);
	struct item item;
	static const enum err wanted[] = {ERR_OK, ERR_STORE_UNAVAILABLE, ERR_OK};
	setenv("GUILD_FAILPOINT", "before_commit=err@2", 1);
	for (int i = 0; i < 3; i++) {
		item_init(&item, WRITE, 0, i);
		push(writer, &item);
		assert_true(writer_turn(writer));
		assert_int_equal(item.job.result, wanted[i]);
	}
	assert_int_equal(count_items(writer), 2);
	setenv("GUILD_FAILPOINT", "nothing=err,after_commit=err", 1);
	item_init(&item, WRITE, 0, 3);
	push(writer, &item);
	assert_true(writer_turn(writer));
	assert_int_equal(item.job.result, ERR_STORE_UNAVAILABLE);
	assert_int_equal(count_items(writer), 3); /* it is there, but its answer is lost */
	setenv("GUILD_FAILPOINT", "begin=err", 1);
	item_init(&item, WRITE, 0, 4);
	push(writer, &item);
	assert_true(writer_turn(writer));
	assert_int_equal(item.job.result, ERR_STORE_UNAVAILABLE);
	assert_int_equal(item.applied, 0);
	unsetenv("GUILD_FAILPOINT");
	writer_destroy(&writer);
}

static int die_at(const char *spec)
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		struct item item;
		struct writer *writer = make(NULL);
		setenv("GUILD_FAILPOINT", spec, 1);
		item_init(&item, WRITE, 0, 0);
		push(writer, &item);
		writer_turn(writer);
		_exit(0);
	}
	int status = 0;
	waitpid(child, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_crash_keeps_what_was_committed(void **state)
{
	assert_int_equal(die_at("before_commit=exit"), 137);
	struct writer *writer = make(NULL);
	assert_int_equal(count_items(writer), 0);
	writer_destroy(&writer);
	assert_int_equal(die_at("after_commit=exit"), 137);
	writer = make(NULL);
	assert_int_equal(count_items(writer), 1);
	writer_destroy(&writer);
}
#endif

#define CASE(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(all_jobs_of_four_threads_commit_once_in_order),
		CASE(a_refusal_concerns_one_job_only),
		CASE(a_job_that_fails_after_writing_is_lost_alone),
		CASE(a_commit_that_fails_fails_all_and_the_next_succeeds),
		CASE(a_full_disk_is_told_and_passes),
		CASE(room_set_aside_is_kept),
		CASE(a_writer_too_far_behind_refuses),
		CASE(a_batch_ends_by_count_and_by_time),
		CASE(sweeps_come_last_and_one_by_one),
		CASE(stopping_finishes_what_was_accepted),
		CASE(a_sleeping_writer_is_woken),
		CASE(the_log_stays_bounded_with_threads),
		CASE(the_log_stays_bounded_in_turns),
#ifdef GUILD_FAILPOINTS
		CASE(failpoints_fail_as_told),
		CASE(a_crash_keeps_what_was_committed),
#endif
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
