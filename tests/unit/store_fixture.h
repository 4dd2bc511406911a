/*
 * store_fixture.h - a writer on a new file, hooks that count, jobs that write one row.
 *
 * For:     the tests of the store.
 * Not for: anything else; each test program has its own copy of the state.
 * Threads: item_done runs on the writer's thread.
 * Memory:  the directory is removed by store_teardown.
 */
#ifndef GUILD_TEST_STORE_FIXTURE_H
#define GUILD_TEST_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "db/writer.h"

static char dir[64];
static char path[96];
static char detail[256];

static inline int store_setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/guild-test-writer-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/guild.db", dir);
	log_set(LOG_OFF, false);
	return 0;
}

static inline int store_teardown(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* ---- hooks that count ---- */

struct counts {
	int begun, before_commit, rolled_back, job_begun, job_undone, finished, committed;
	enum err before_commit_result;
};

static inline void on_begun(void *ctx, struct db *db)
{
	((struct counts *)ctx)->begun++;
}

static inline enum err on_before_commit(void *ctx, struct db *db)
{
	struct counts *counts = ctx;
	counts->before_commit++;
	return counts->before_commit_result;
}

static inline void on_rolled_back(void *ctx)
{
	((struct counts *)ctx)->rolled_back++;
}

static inline void on_job_begun(void *ctx)
{
	((struct counts *)ctx)->job_begun++;
}

static inline void on_job_undone(void *ctx)
{
	((struct counts *)ctx)->job_undone++;
}

static inline void on_finish(void *ctx, struct write_job *jobs, bool committed)
{
	struct counts *counts = ctx;
	counts->finished++;
	counts->committed += committed;
	writer_jobs_return(jobs);
}

static inline struct writer *make_with(struct counts *counts, const struct env *env, int64_t checkpoint_bytes)
{
	static const struct db_sql create = {
		"CREATE TABLE IF NOT EXISTS item (n INTEGER PRIMARY KEY, producer INTEGER, number INTEGER, body BLOB)"};
	struct writer_hooks hooks = {counts, on_begun, on_before_commit, on_rolled_back, on_job_begun, on_job_undone, on_finish};
	struct writer_options options = {.env = env, .path = path, .hooks = counts ? &hooks : NULL,
					 .checkpoint_bytes = checkpoint_bytes};
	struct writer *writer;
	assert_int_equal(writer_create(&options, &writer, detail), ERR_OK);
	assert_int_equal(db_run(db_use(writer_db(writer), &create)), ERR_OK);
	return writer;
}

static inline struct writer *make(struct counts *counts)
{
	return make_with(counts, env_real(), 0);
}

/* ---- jobs ---- */

enum kind { WRITE, REFUSE, FAIL_AFTER_WRITE, BIG, READ_ONLY };

struct item {
	struct write_job job;
	enum kind kind;
	int producer;
	int number;
	int applied;
	int done;
	int order; /* in which done() came */
	sem_t *credit;
};

static int done_count;

static const struct db_sql sql_item = {"INSERT INTO item (producer, number, body) VALUES (?1, ?2, ?3)"};
static const struct db_sql sql_all = {"SELECT producer, number FROM item ORDER BY n"};
static const struct db_sql sql_count = {"SELECT count(*) FROM item"};
static char big_body[60000];

static inline enum err item_apply(struct write_job *job, struct db *db)
{
	struct item *item = container_of(job, struct item, job);
	item->applied++;
	if (item->kind == REFUSE) {
		return ERR_PERMISSION;
	}
	if (item->kind == READ_ONLY) {
		return ERR_OK;
	}
	struct db_stmt *stmt = db_use(db, &sql_item);
	db_bind_int(stmt, 1, item->producer);
	db_bind_int(stmt, 2, item->number);
	db_bind_bytes(stmt, 3, item->kind == BIG ? str_make(big_body, sizeof(big_body)) : STR("body"));
	enum err err = db_run(stmt);
	return err == ERR_OK && item->kind == FAIL_AFTER_WRITE ? ERR_CONFLICT : err;
}

static inline void item_done(struct write_job *job)
{
	struct item *item = container_of(job, struct item, job);
	item->done++;
	item->order = done_count++;
	if (item->credit != NULL) {
		sem_post(item->credit);
	}
}

static inline void item_init(struct item *item, enum kind kind, int producer, int number)
{
	*item = (struct item){.job = {.apply = item_apply, .done = item_done}, .kind = kind, .producer = producer, .number = number};
}

static inline void push(struct writer *writer, struct item *item)
{
	assert_int_equal(writer_push(writer, &item->job), ERR_OK);
}

static inline int64_t count_items(struct writer *writer)
{
	bool row;
	struct db_stmt *stmt = db_use(writer_db(writer), &sql_count);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

#endif
