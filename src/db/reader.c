/*
 * reader.c - a small pool of read connections.
 *
 * Jobs wait in one line; each runs in a read transaction of its own, which ends at once after it, because an old
 * snapshot keeps the write-ahead log from starting again.
 */
#include "db/reader.h"

#include <pthread.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "db/db_priv.h"

#define READERS_MAX 4
#define SLOW_US 50000

struct reader {
	struct reader_pool *pool;
	struct db *db;
	struct thread thread;
	bool started;
	unsigned snap_reader;
};

struct reader_pool {
	const struct env *env;
	struct snap_domain *snap;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct queue_node *first;
	struct queue_node **last;
	int waiting;
	bool stopping;
	unsigned count;
	struct reader readers[READERS_MAX];
};

enum err reader_create(const struct env *env, struct snap_domain *snap, const char *path, unsigned threads, struct reader_pool **out,
		       char *detail)
{
	check(threads >= 1 && threads <= READERS_MAX);
	*out = NULL;
	struct reader_pool *pool = mem_alloc(sizeof(*pool));
	if (pool == NULL) {
		db_explain_memory(detail);
		return ERR_MEMORY;
	}
	pool->env = env;
	pool->snap = snap;
	pool->last = &pool->first;
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	enum err err = ERR_OK;
	for (pool->count = 0; pool->count < threads && err == ERR_OK; pool->count++) {
		struct reader *reader = &pool->readers[pool->count];
		reader->pool = pool;
		err = db_open(path, DB_READER, &reader->db, detail);
		if (err == ERR_OK && snap != NULL) {
			err = snap_reader_add(snap, &reader->snap_reader);
			snap_offline(snap, reader->snap_reader);
		}
	}
	if (err != ERR_OK) {
		reader_destroy(&pool);
		return err;
	}
	*out = pool;
	return ERR_OK;
}

void reader_destroy(struct reader_pool **pool)
{
	struct reader_pool *p = *pool;
	if (p == NULL) {
		return;
	}
	reader_stop(p);
	for (unsigned i = 0; i < p->count; i++) {
		db_close(&p->readers[i].db);
	}
	pthread_cond_destroy(&p->changed);
	pthread_mutex_destroy(&p->lock);
	mem_free(p);
	*pool = NULL;
}

enum err reader_push(struct reader_pool *pool, struct read_job *job)
{
	enum err err = ERR_OK;
	pthread_mutex_lock(&pool->lock);
	if (pool->stopping) {
		err = ERR_GOING_AWAY;
	} else if (pool->waiting >= LIMIT_READER_JOBS) {
		err = ERR_OVERLOADED;
	} else {
		job->result = ERR_OK;
		job->node.next = NULL;
		*pool->last = &job->node;
		pool->last = &job->node.next;
		pool->waiting++;
		pthread_cond_signal(&pool->changed);
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

/* The lock is held. */
static struct read_job *take(struct reader_pool *pool)
{
	struct queue_node *node = pool->first;
	if (node == NULL) {
		return NULL;
	}
	pool->first = node->next;
	if (pool->first == NULL) {
		pool->last = &pool->first;
	}
	pool->waiting--;
	return container_of(node, struct read_job, node);
}

static void done_on_home(struct loop_note *note, struct loop *loop)
{
	struct read_job *job = container_of(note, struct read_job, note);
	(void)loop;
	job->done(job);
}

static void job_run(struct reader *reader, struct read_job *job)
{
	int64_t begun_us = env_mono_us(reader->pool->env);
	struct snap_domain *snap = reader->pool->snap;
	if (snap != NULL) {
		snap_online(snap, reader->snap_reader);
	}
	job->result = db_begin(reader->db);
	if (job->result == ERR_OK) {
		job->result = job->run(job, reader->db);
	}
	db_rollback(reader->db);
	if (snap != NULL) {
		snap_offline(snap, reader->snap_reader);
	}
	int64_t took_us = env_mono_us(reader->pool->env) - begun_us;
	if (took_us > SLOW_US) {
		log_at(LOG_INFO, "slow_read", log_i("took_us", took_us));
	}
	if (job->home == NULL) {
		job->done(job);
	} else {
		job->note.run = done_on_home;
		loop_note_post(job->home, &job->note);
	}
}

bool reader_turn(struct reader_pool *pool, unsigned number)
{
	check(number < pool->count);
	pthread_mutex_lock(&pool->lock);
	struct read_job *job = take(pool);
	pthread_mutex_unlock(&pool->lock);
	if (job == NULL) {
		return false;
	}
	job_run(&pool->readers[number], job);
	return true;
}

static void thread_run(void *arg)
{
	struct reader *reader = arg;
	struct reader_pool *pool = reader->pool;
	for (;;) {
		pthread_mutex_lock(&pool->lock);
		while (pool->first == NULL && !pool->stopping) {
			pthread_cond_wait(&pool->changed, &pool->lock);
		}
		struct read_job *job = take(pool);
		pthread_mutex_unlock(&pool->lock);
		if (job == NULL) {
			return;
		}
		job_run(reader, job);
	}
}

enum err reader_start(struct reader_pool *pool)
{
	enum err err = ERR_OK;
	for (unsigned i = 0; i < pool->count && err == ERR_OK; i++) {
		err = thread_start(&pool->readers[i].thread, "reader", thread_run, &pool->readers[i]);
		pool->readers[i].started = err == ERR_OK;
	}
	if (err != ERR_OK) {
		reader_stop(pool);
	}
	return err;
}

void reader_stop(struct reader_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	for (unsigned i = 0; i < pool->count; i++) {
		if (pool->readers[i].started) {
			thread_join(&pool->readers[i].thread);
			pool->readers[i].started = false;
		}
	}
	/* Without threads what waits runs here: every accepted job gets its done(). */
	while (pool->count > 0 && pool->readers[0].db != NULL && reader_turn(pool, 0)) {
	}
}
