/* The readers beside the writer, and the way of finished jobs to their loops. */
#include "store_fixture.h"

#include "base/limits.h"
#include "db/reader.h"

struct count_job {
	struct read_job job;
	int64_t count;
	int64_t second;
	int done;
	sem_t *credit;
	sem_t *entered;
	sem_t *leave;
};

static enum err count_now(struct db *db, int64_t *out)
{
	bool row;
	struct db_stmt *stmt = db_use(db, &sql_count);
	enum err err = db_step(stmt, &row);
	*out = err == ERR_OK ? db_int(stmt, 0) : -1;
	db_reset(stmt);
	return err;
}

static enum err count_run(struct read_job *job, struct db *db)
{
	struct count_job *count = container_of(job, struct count_job, job);
	enum err err = count_now(db, &count->count);
	if (count->entered != NULL) {
		sem_post(count->entered);
		sem_wait(count->leave);
	}
	return err == ERR_OK ? count_now(db, &count->second) : err;
}

static void count_done(struct read_job *job)
{
	struct count_job *count = container_of(job, struct count_job, job);
	count->done++;
	if (count->credit != NULL) {
		sem_post(count->credit);
	}
}

static struct reader_pool *inner_pool;
static struct count_job inner_count;

static enum err write_then_look(struct write_job *job, struct db *db)
{
	enum err err = item_apply(job, db);
	assert_int_equal(reader_push(inner_pool, &inner_count.job), ERR_OK);
	assert_true(reader_turn(inner_pool, 1));
	return err;
}

static void a_reader_sees_commits_only(void **state)
{
	struct writer *writer = make(NULL);
	struct item item;
	assert_int_equal(reader_create(env_real(), NULL, path, 2, &inner_pool, detail), ERR_OK);
	assert_false(reader_turn(inner_pool, 0));
	inner_count = (struct count_job){.job = {.run = count_run, .done = count_done}};
	item_init(&item, WRITE, 0, 0);
	item.job.apply = write_then_look;
	push(writer, &item);
	assert_true(writer_turn(writer));
	assert_int_equal(item.job.result, ERR_OK);
	assert_int_equal(inner_count.count, 0);
	assert_int_equal(reader_push(inner_pool, &inner_count.job), ERR_OK);
	assert_true(reader_turn(inner_pool, 0));
	assert_int_equal(inner_count.count, 1);
	assert_int_equal(inner_count.done, 2);
	reader_destroy(&inner_pool);
	writer_destroy(&writer);
}

static void one_read_job_sees_one_state(void **state)
{
	struct writer *writer = make(NULL);
	struct reader_pool *pool;
	struct item item;
	sem_t entered, leave, done;
	sem_init(&entered, 0, 0);
	sem_init(&leave, 0, 0);
	sem_init(&done, 0, 0);
	struct count_job count = {.job = {.run = count_run, .done = count_done}, .credit = &done, .entered = &entered, .leave = &leave};
	assert_int_equal(reader_create(env_real(), NULL, path, 2, &pool, detail), ERR_OK);
	assert_int_equal(reader_start(pool), ERR_OK);
	assert_int_equal(reader_push(pool, &count.job), ERR_OK);
	sem_wait(&entered);
	item_init(&item, WRITE, 0, 0);
	push(writer, &item);
	assert_true(writer_turn(writer));
	/* The other reader is free and sees it already. */
	struct count_job fresh = {.job = {.run = count_run, .done = count_done}, .credit = &done};
	assert_int_equal(reader_push(pool, &fresh.job), ERR_OK);
	sem_wait(&done);
	assert_int_equal(fresh.count, 1);
	sem_post(&leave);
	sem_wait(&done);
	assert_int_equal(count.count, 0);
	assert_int_equal(count.second, 0);
	reader_stop(pool);
	assert_int_equal(reader_push(pool, &fresh.job), ERR_GOING_AWAY);
	reader_destroy(&pool);
	writer_destroy(&writer);
	sem_destroy(&entered);
	sem_destroy(&leave);
	sem_destroy(&done);
}

static void the_line_of_readers_is_bounded_and_finished(void **state)
{
	static struct count_job jobs[LIMIT_READER_JOBS + 1];
	struct writer *writer = make(NULL);
	struct reader_pool *pool;
	assert_int_equal(reader_create(env_real(), NULL, path, 3, &pool, detail), ERR_OK);
	for (int i = 0; i <= LIMIT_READER_JOBS; i++) {
		jobs[i] = (struct count_job){.job = {.run = count_run, .done = count_done}};
		assert_int_equal(reader_push(pool, &jobs[i].job), i < LIMIT_READER_JOBS ? ERR_OK : ERR_OVERLOADED);
	}
	assert_int_equal(reader_start(pool), ERR_OK);
	reader_stop(pool);
	for (int i = 0; i < LIMIT_READER_JOBS; i++) {
		assert_int_equal(jobs[i].done, 1);
	}
	assert_int_equal(jobs[LIMIT_READER_JOBS].done, 0);
	reader_destroy(&pool);
	writer_destroy(&writer);
}

/* ---- handing back to loops ---- */

struct homed {
	struct item item;
	struct loop *seen;
};

static void homed_done(struct write_job *job)
{
	struct homed *homed = container_of(job, struct homed, item.job);
	homed->seen = loop_current();
	item_done(job);
}

static void jobs_come_home_in_order(void **state)
{
	struct loop_options options = {.env = env_real(), .number = 1};
	struct loop *loop;
	struct writer *writer = make(NULL);
	struct homed homed[20];
	struct reader_pool *pool;
	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	assert_int_equal(reader_create(env_real(), NULL, path, 2, &pool, detail), ERR_OK);
	for (int i = 0; i < 20; i++) {
		item_init(&homed[i].item, WRITE, 0, i);
		homed[i].item.job.home = loop;
		homed[i].item.job.done = homed_done;
		homed[i].seen = NULL;
		push(writer, &homed[i].item);
	}
	int first = done_count;
	assert_true(writer_turn(writer));
	assert_int_equal(homed[0].item.done, 0);
	loop_turn(loop, 0);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(homed[i].item.done, 1);
		assert_int_equal(homed[i].item.order, first + i);
		assert_ptr_equal(homed[i].seen, loop);
	}
	struct count_job count = {.job = {.run = count_run, .done = count_done, .home = loop}};
	assert_int_equal(reader_push(pool, &count.job), ERR_OK);
	assert_true(reader_turn(pool, 0));
	assert_int_equal(count.done, 0);
	loop_turn(loop, 0);
	assert_int_equal(count.done, 1);
	assert_int_equal(count.count, 20);
	reader_destroy(&pool);
	writer_destroy(&writer);
	loop_destroy(&loop);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, store_setup, store_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(a_reader_sees_commits_only),
		CASE(one_read_job_sees_one_state),
		CASE(the_line_of_readers_is_bounded_and_finished),
		CASE(jobs_come_home_in_order),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
