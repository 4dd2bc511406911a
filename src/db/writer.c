/*
 * writer.c - group commit.
 *
 * Batches are optimistic: applies share one transaction without savepoints, because refusals come before the first
 * write and failures are rare. When one does fail after writing, the whole transaction is undone and the same jobs run
 * again, each in a savepoint, so that only the culprit is lost.
 */
#include "db/writer.h"

#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "db/db_priv.h"

#define WAIT_MAX_US 250000
#define PROBE_US      1000000 /* between two tries of a store that failed */
#define AVERAGE_SHIFT 3 /* a new batch weighs an eighth */
#define AVERAGE_MIN   64 /* a mean never shrinks so far that it cannot grow again */
/* Before anything was measured. */
#define APPLY_NS_GUESS  20000
#define COMMIT_US_GUESS 500

struct lane {
	struct queue_node *first;
	struct queue_node **last;
};

struct batch {
	struct write_job *first;
	struct write_job **last;
	int count;
	int64_t begun_us;
};

struct writer {
	const struct env *env;
	struct writer_hooks hooks;
	struct db *db;
	struct checkpoint *checkpoint;
	struct queue queue;
	struct lane interactive;
	struct lane sweeps;
	struct lane betweens;
	atomic_int room;     /* jobs waiting or under way, and rooms set aside: what the cap counts */
	atomic_int jobs;     /* jobs from their push to the end of their batch: what stopping waits for */
	atomic_int sleeping; /* 1: the thread waits at the gate; who swaps it to 0 opens */
	atomic_bool stopping;
	atomic_bool turning;
	_Atomic(pthread_t) owner;
	_Atomic(int64_t) apply_us_e3; /* moving averages: of one apply, in ns; of the end of one transaction, in us */
	_Atomic(int64_t) commit_us;
	uint64_t statements_seen, pages_seen; /* of the connection, as already counted */
	bool begun; /* the hooks know of the transaction */
	bool degraded;
	int64_t probed_us; /* when it was found degraded, or last tried */
	bool started;
	struct thread thread;
	struct thread_gate gate;
};

/* ---- lanes ---- */

static void lane_init(struct lane *lane)
{
	lane->first = NULL;
	lane->last = &lane->first;
}

static void lane_put(struct lane *lane, struct queue_node *node)
{
	node->next = NULL;
	*lane->last = node;
	lane->last = &node->next;
}

static struct write_job *lane_take(struct lane *lane)
{
	struct queue_node *node = lane->first;
	lane->first = node->next;
	if (lane->first == NULL) {
		lane->last = &lane->first;
	}
	return container_of(node, struct write_job, node);
}

static void sort_into_lanes(struct writer *writer)
{
	struct queue_node *next = NULL;
	for (struct queue_node *node = queue_take_all(&writer->queue); node != NULL; node = next) {
		next = node->next;
		const struct write_job *job = container_of(node, struct write_job, node);
		lane_put(job->between ? &writer->betweens : job->sweep ? &writer->sweeps : &writer->interactive, node);
	}
}

/* ---- life ---- */

enum err writer_create(const struct writer_options *options, struct writer **out, char *detail)
{
	*out = NULL;
	struct writer *writer = mem_alloc(sizeof(*writer));
	if (writer == NULL) {
		db_explain_memory(detail);
		return ERR_MEMORY;
	}
	writer->env = options->env;
	if (options->hooks != NULL) {
		writer->hooks = *options->hooks;
	}
	atomic_store(&writer->apply_us_e3, APPLY_NS_GUESS);
	atomic_store(&writer->commit_us, COMMIT_US_GUESS);
	queue_init(&writer->queue);
	lane_init(&writer->interactive);
	lane_init(&writer->sweeps);
	lane_init(&writer->betweens);
	thread_gate_init(&writer->gate);
	enum err err = db_open(options->path, DB_WRITER, &writer->db, detail);
	if (err == ERR_OK) {
		err = db_migrate(writer->db, options->path, detail);
	}
	if (err == ERR_OK) {
		err = checkpoint_create(options->path, options->checkpoint_bytes, &writer->checkpoint, detail);
	}
	if (err != ERR_OK) {
		writer_destroy(&writer);
		return err;
	}
	/* Another store of this process may have left it at 1. */
	metric_set(METRIC_STORE_DEGRADED, 0);
	*out = writer;
	return ERR_OK;
}

void writer_destroy(struct writer **writer)
{
	struct writer *w = *writer;
	if (w == NULL) {
		return;
	}
	check(!w->started);
	while (writer_turn(w)) {
	}
	checkpoint_destroy(&w->checkpoint);
	db_close(&w->db);
	thread_gate_fini(&w->gate);
	mem_free(w);
	*writer = NULL;
}

struct db *writer_db(struct writer *writer)
{
	return writer->db;
}

/* ---- admission ---- */

int64_t writer_queued(const struct writer *writer)
{
	return atomic_load_explicit(&writer->jobs, memory_order_relaxed);
}

int64_t writer_wait_us(const struct writer *writer)
{
	/* Without the rooms set aside: they may stay so for minutes, and then nothing would correct a bad average. */
	int64_t queued = atomic_load_explicit(&writer->jobs, memory_order_relaxed);
	int64_t apply_us = queued * atomic_load_explicit(&writer->apply_us_e3, memory_order_relaxed) / 1000;
	/* The end of a transaction is shared: a burst must not be judged by what single jobs before it paid. */
	int64_t by_count = queued / LIMIT_WRITER_BATCH;
	int64_t by_time = apply_us / LIMIT_WRITER_BATCH_US;
	int64_t batches = (by_count > by_time ? by_count : by_time) + (queued > 0 ? 1 : 0);
	return apply_us + batches * atomic_load_explicit(&writer->commit_us, memory_order_relaxed);
}

enum err writer_reserve(struct writer *writer)
{
	/* What fits into one batch is served by the next commit, however slow that is: turning it away would not make it faster. */
	int64_t queued = atomic_load_explicit(&writer->jobs, memory_order_relaxed);
	int64_t apply_us = queued * atomic_load_explicit(&writer->apply_us_e3, memory_order_relaxed) / 1000;
	bool behind = queued >= LIMIT_WRITER_BATCH || apply_us >= LIMIT_WRITER_BATCH_US;
	if (behind && writer_wait_us(writer) > WAIT_MAX_US) {
		return ERR_OVERLOADED;
	}
	if (atomic_fetch_add(&writer->room, 1) >= LIMIT_WRITER_JOBS) {
		atomic_fetch_sub(&writer->room, 1);
		return ERR_OVERLOADED;
	}
	return ERR_OK;
}

void writer_unreserve(struct writer *writer)
{
	check(atomic_fetch_sub(&writer->room, 1) > 0);
}

static void wake(struct writer *writer)
{
	if (atomic_exchange(&writer->sleeping, 0) == 1) {
		thread_gate_open(&writer->gate);
	}
}

enum err writer_push(struct writer *writer, struct write_job *job)
{
	enum err err = job->reserved ? ERR_OK : writer_reserve(writer);
	if (err != ERR_OK) {
		return atomic_load(&writer->stopping) ? ERR_GOING_AWAY : err;
	}
	/* Counted before looking at `stopping`: the thread ends only when it has seen no job after that was set. */
	atomic_fetch_add(&writer->jobs, 1);
	if (atomic_load(&writer->stopping)) {
		atomic_fetch_sub(&writer->jobs, 1);
		wake(writer);
		if (!job->reserved) {
			writer_unreserve(writer);
		}
		return ERR_GOING_AWAY;
	}
	job->batch_next = NULL;
	job->result = ERR_OK;
	if (queue_push(&writer->queue, &job->node)) {
		wake(writer);
	}
	return ERR_OK;
}

/* ---- one batch ---- */

static bool batch_wants_more(const struct writer *writer, const struct batch *batch)
{
	return writer->interactive.first != NULL && batch->count < LIMIT_WRITER_BATCH &&
	       (batch->count == 0 || env_mono_us(writer->env) - batch->begun_us < LIMIT_WRITER_BATCH_US);
}

static struct write_job *batch_add(struct batch *batch, struct lane *lane)
{
	struct write_job *job = lane_take(lane);
	job->batch_next = NULL;
	*batch->last = job;
	batch->last = &job->batch_next;
	batch->count++;
	return job;
}

static void undo(struct writer *writer)
{
	db_rollback(writer->db);
	/* Not where the transaction never began: the overlays belong to the one before. */
	if (writer->begun && writer->hooks.rolled_back != NULL) {
		writer->hooks.rolled_back(writer->hooks.ctx);
	}
	writer->begun = false;
}

static enum err begin(struct writer *writer)
{
	enum err err = failpoint("begin");
	if (err == ERR_OK) {
		err = db_begin(writer->db);
	}
	writer->begun = err == ERR_OK;
	if (err == ERR_OK && writer->hooks.begun != NULL) {
		writer->hooks.begun(writer->hooks.ctx, writer->db);
	}
	return err;
}

/* False when the job failed after a write, or took the transaction with it. */
static bool apply(struct writer *writer, struct write_job *job)
{
	uint64_t writes = db_writes(writer->db);
	job->result = job->apply(job, writer->db);
	return db_in_transaction(writer->db) && (job->result == ERR_OK || db_writes(writer->db) == writes);
}

/* Takes jobs and applies them; false when one of them failed and all have to run again. */
static bool apply_all(struct writer *writer, struct batch *batch)
{
	bool good = true;
	while (good && batch_wants_more(writer, batch)) {
		good = apply(writer, batch_add(batch, &writer->interactive));
	}
	if (good && writer->sweeps.first != NULL) {
		good = apply(writer, batch_add(batch, &writer->sweeps));
	}
	return good;
}

static enum err apply_alone(struct writer *writer, struct write_job *job)
{
	enum err err = db_savepoint(writer->db);
	if (err != ERR_OK) {
		return err;
	}
	if (writer->hooks.job_begun != NULL) {
		writer->hooks.job_begun(writer->hooks.ctx);
	}
	if (apply(writer, job) && job->result == ERR_OK) {
		return db_savepoint_release(writer->db);
	}
	if (job->result == ERR_OK) {
		job->result = ERR_STORE_UNAVAILABLE;
	}
	db_savepoint_rollback(writer->db);
	if (writer->hooks.job_undone != NULL) {
		writer->hooks.job_undone(writer->hooks.ctx);
	}
	return db_in_transaction(writer->db) ? ERR_OK : ERR_STORE_UNAVAILABLE;
}

static enum err rerun(struct writer *writer, const struct batch *batch)
{
	metric_add(METRIC_WRITER_RERUNS, 1);
	undo(writer);
	enum err err = begin(writer);
	for (struct write_job *job = batch->first; job != NULL && err == ERR_OK; job = job->batch_next) {
		err = apply_alone(writer, job);
	}
	return err;
}

static enum err commit(struct writer *writer)
{
	enum err err = ERR_OK;
	if (writer->hooks.before_commit != NULL) {
		err = writer->hooks.before_commit(writer->hooks.ctx, writer->db);
	}
	if (err == ERR_OK) {
		err = failpoint("before_commit");
	}
	return err == ERR_OK ? db_commit(writer->db) : err;
}

static void all_failed(const struct batch *batch)
{
	for (struct write_job *job = batch->first; job != NULL; job = job->batch_next) {
		job->result = ERR_STORE_UNAVAILABLE;
	}
}

static void health_set(struct writer *writer, bool good)
{
	if (writer->degraded == good) {
		writer->degraded = !good;
		writer->probed_us = env_mono_us(writer->env);
		metric_set(METRIC_STORE_DEGRADED, good ? 0 : 1);
	}
}

/* A full disk may also show itself as every job failing alone, in transactions that then commit nothing. */
static void note_health(struct writer *writer, const struct batch *batch, bool committed)
{
	bool good = committed;
	for (struct write_job *job = batch->first; job != NULL && good; job = job->batch_next) {
		good = job->result != ERR_STORE_UNAVAILABLE;
	}
	metric_add(committed ? METRIC_WRITER_COMMITS : METRIC_WRITER_FAILURES, 1);
	health_set(writer, good);
}

/* One slow disk access, or the first use of a statement, is no reason to turn callers away: a sample counts at most four times the mean. */
static void average(_Atomic(int64_t) *mean, int64_t value)
{
	int64_t old = atomic_load_explicit(mean, memory_order_relaxed);
	int64_t bounded = value < 4 * old ? value : 4 * old;
	int64_t next = old + ((bounded - old) >> AVERAGE_SHIFT);
	atomic_store_explicit(mean, next > AVERAGE_MIN ? next : AVERAGE_MIN, memory_order_relaxed);
}

static void count_work(struct writer *writer)
{
	uint64_t statements = db_statements(writer->db);
	uint64_t pages = db_pages_logged(writer->db);
	metric_add(METRIC_WRITER_STATEMENTS, (int64_t)(statements - writer->statements_seen));
	metric_add(METRIC_WRITER_PAGES, (int64_t)(pages - writer->pages_seen));
	writer->statements_seen = statements;
	writer->pages_seen = pages;
}

/* Hands the jobs back. Their room is free first, so that a follow-up job of a done() finds it. */
static void finish(struct writer *writer, const struct batch *batch, bool committed)
{
	metric_add(METRIC_WRITER_JOBS, batch->count);
	count_work(writer);
	metric_set(METRIC_WRITER_QUEUE, atomic_load(&writer->jobs) - batch->count);
	atomic_fetch_sub(&writer->room, batch->count);
	if (writer->hooks.finish != NULL) {
		writer->hooks.finish(writer->hooks.ctx, batch->first, committed);
	} else {
		writer_jobs_return(batch->first);
	}
	atomic_fetch_sub(&writer->jobs, batch->count);
}

static void batch_run(struct writer *writer)
{
	struct batch batch = {.begun_us = env_mono_us(writer->env)};
	batch.last = &batch.first;
	enum err err = begin(writer);
	if (err != ERR_OK) {
		/* The jobs have to hear of it: take as many as one transaction would have. */
		while (batch_wants_more(writer, &batch)) {
			batch_add(&batch, &writer->interactive);
		}
		if (writer->sweeps.first != NULL) {
			batch_add(&batch, &writer->sweeps);
		}
	} else if (!apply_all(writer, &batch)) {
		err = rerun(writer, &batch);
	}
	int64_t applied_us = env_mono_us(writer->env);
	if (err == ERR_OK) {
		err = commit(writer);
	}
	bool committed = err == ERR_OK;
	if (!committed) {
		undo(writer);
		all_failed(&batch);
	}
	note_health(writer, &batch, committed);
	if (committed && failpoint("after_commit") != ERR_OK) {
		all_failed(&batch);
	}
	int64_t ended_us = env_mono_us(writer->env);
	average(&writer->apply_us_e3, (applied_us - batch.begun_us) * 1000 / batch.count);
	average(&writer->commit_us, ended_us - applied_us);
	metric_observe_us(METRIC_WRITER_SECONDS, ended_us - batch.begun_us);
	finish(writer, &batch, committed);
}

static void between_run(struct writer *writer)
{
	struct write_job *job = lane_take(&writer->betweens);
	job->batch_next = NULL;
	job->result = job->apply(job, writer->db);
	atomic_fetch_sub(&writer->room, 1);
	writer_jobs_return(job);
	atomic_fetch_sub(&writer->jobs, 1);
}

/* Who stopped sending because the store failed would never learn that it works again: so it is tried, by a write of its own. */
static void probe(struct writer *writer)
{
	int64_t now_us = env_mono_us(writer->env);
	if (!writer->degraded || now_us - writer->probed_us < PROBE_US) {
		return;
	}
	writer->probed_us = now_us;
	enum err err = failpoint("begin");
	if (err == ERR_OK) {
		err = db_begin(writer->db);
	}
	if (err == ERR_OK) {
		err = db_meta_put(writer->db, STR("probe"), STR(""));
	}
	if (err == ERR_OK) {
		err = failpoint("before_commit");
	}
	if (err == ERR_OK) {
		err = db_commit(writer->db);
	}
	if (err != ERR_OK) {
		db_rollback(writer->db);
	}
	health_set(writer, err == ERR_OK);
}

bool writer_turn(struct writer *writer)
{
	atomic_store_explicit(&writer->owner, pthread_self(), memory_order_relaxed);
	atomic_store_explicit(&writer->turning, true, memory_order_release);
	sort_into_lanes(writer);
	bool worked = writer->interactive.first != NULL || writer->sweeps.first != NULL;
	if (worked) {
		batch_run(writer);
		checkpoint_after_commit(writer->checkpoint, writer->db);
	} else {
		probe(writer);
	}
	if (writer->betweens.first != NULL) {
		between_run(writer);
		worked = true;
	}
	atomic_store_explicit(&writer->turning, false, memory_order_release);
	return worked;
}

/* ---- the thread ---- */

static void thread_run(void *arg)
{
	struct writer *writer = arg;
	for (;;) {
		while (writer_turn(writer)) {
		}
		if (atomic_load(&writer->stopping) && atomic_load(&writer->jobs) == 0) {
			return;
		}
		atomic_exchange(&writer->sleeping, 1);
		bool ended = atomic_load(&writer->stopping) && atomic_load(&writer->jobs) == 0;
		bool idle = queue_empty(&writer->queue) && !ended;
		/* Where somebody else has taken the flag back, the gate is open or about to be: it has to be closed again. */
		if (idle || atomic_exchange(&writer->sleeping, 0) == 0) {
			(void)thread_gate_wait(&writer->gate, writer->degraded ? PROBE_US : -1);
		}
	}
}

enum err writer_start(struct writer *writer)
{
	enum err err = checkpoint_start(writer->checkpoint);
	if (err != ERR_OK) {
		return err;
	}
	err = thread_start(&writer->thread, "writer", thread_run, writer);
	if (err != ERR_OK) {
		checkpoint_stop(writer->checkpoint);
		return err;
	}
	writer->started = true;
	return ERR_OK;
}

void writer_stop(struct writer *writer)
{
	atomic_store(&writer->stopping, true);
	if (writer->started) {
		wake(writer);
		thread_join(&writer->thread);
		checkpoint_stop(writer->checkpoint);
		writer->started = false;
	}
}

/* ---- handing back ---- */

static void done_on_home(struct loop_note *note, struct loop *loop)
{
	struct write_job *job = container_of(note, struct write_job, note);
	(void)loop;
	job->done(job);
}

void writer_jobs_return(struct write_job *jobs)
{
	struct write_job *next = NULL;
	for (struct write_job *job = jobs; job != NULL; job = next) {
		next = job->batch_next;
		if (job->home == NULL) {
			job->done(job);
		} else {
			job->note.run = done_on_home;
			loop_note_post(job->home, &job->note);
		}
	}
}

bool writer_is_current(const struct writer *writer)
{
	return atomic_load_explicit(&writer->turning, memory_order_acquire) &&
	       pthread_equal(atomic_load_explicit(&writer->owner, memory_order_relaxed), pthread_self());
}
