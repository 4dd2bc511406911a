/*
 * checkpoint.c - keeps the write-ahead log short without holding up commits.
 *
 * One passive checkpoint on another thread never lets the log start again, because commits go on behind it; one on
 * the writer alone stops all commits for as long as it copies. So the thread copies first and the writer only the
 * rest.
 *
 *   IDLE --log over the mark--> ASKED --thread has copied--> COPIED --writer copies the rest--> IDLE
 */
#include <stdatomic.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "db/db_priv.h"
#include "db/writer.h"

#define CHECKPOINT_BYTES_DEFAULT (64 * 1024 * 1024)

enum phase { IDLE, ASKED, COPIED };

struct checkpoint {
	struct db *db; /* the thread's own connection */
	int64_t mark_pages;
	int64_t next_pages; /* the log has to reach this before the next round */
	atomic_int phase;
	atomic_bool stopping;
	bool started;
	struct thread thread;
	struct thread_gate gate;
};

enum err checkpoint_create(const char *path, int64_t bytes, struct checkpoint **out, char *detail)
{
	*out = NULL;
	struct db *db;
	enum err err = db_open(path, DB_WRITER, &db, detail);
	if (err != ERR_OK) {
		return err;
	}
	struct checkpoint *checkpoint = mem_alloc(sizeof(*checkpoint));
	if (checkpoint == NULL) {
		db_close(&db);
		db_explain_memory(detail);
		return ERR_MEMORY;
	}
	checkpoint->db = db;
	checkpoint->mark_pages = (bytes > 0 ? bytes : CHECKPOINT_BYTES_DEFAULT) / DB_PAGE_BYTES;
	checkpoint->next_pages = checkpoint->mark_pages;
	thread_gate_init(&checkpoint->gate);
	*out = checkpoint;
	return ERR_OK;
}

void checkpoint_destroy(struct checkpoint **checkpoint)
{
	if (*checkpoint == NULL) {
		return;
	}
	checkpoint_stop(*checkpoint);
	db_close(&(*checkpoint)->db);
	thread_gate_fini(&(*checkpoint)->gate);
	mem_free(*checkpoint);
	*checkpoint = NULL;
}

static void copy(struct db *db)
{
	enum err err = failpoint("checkpoint");
	if (err == ERR_OK) {
		err = db_checkpoint(db);
	}
	/* The log stays as it is and grows until the next round succeeds: nothing is lost by going on. */
	if (err != ERR_OK && err != ERR_AGAIN) {
		log_at(LOG_WARN, "checkpoint_failed", log_s("error", err_row(err)->code));
	}
}

static void thread_run(void *arg)
{
	struct checkpoint *checkpoint = arg;
	while (!atomic_load(&checkpoint->stopping)) {
		thread_gate_wait(&checkpoint->gate, -1);
		if (atomic_load(&checkpoint->phase) == ASKED) {
			copy(checkpoint->db);
			atomic_store(&checkpoint->phase, COPIED);
		}
	}
}

enum err checkpoint_start(struct checkpoint *checkpoint)
{
	enum err err = thread_start(&checkpoint->thread, "checkpoint", thread_run, checkpoint);
	checkpoint->started = err == ERR_OK;
	return err;
}

void checkpoint_stop(struct checkpoint *checkpoint)
{
	if (checkpoint->started) {
		atomic_store(&checkpoint->stopping, true);
		thread_gate_open(&checkpoint->gate);
		thread_join(&checkpoint->thread);
		checkpoint->started = false;
	}
}

void checkpoint_after_commit(struct checkpoint *checkpoint, struct db *db)
{
	int64_t pages = db_wal_pages(db);
	if (atomic_load(&checkpoint->phase) == COPIED) {
		copy(db);
		metric_add(METRIC_WRITER_CHECKPOINTS, 1);
		atomic_store(&checkpoint->phase, IDLE);
		return;
	}
	if (pages < checkpoint->mark_pages) {
		checkpoint->next_pages = checkpoint->mark_pages;
	}
	if (pages < checkpoint->next_pages || atomic_load(&checkpoint->phase) != IDLE) {
		return;
	}
	/* Where a reader keeps the log from starting again, the next round waits for a quarter more. */
	checkpoint->next_pages = pages + checkpoint->mark_pages / 4;
	atomic_store(&checkpoint->phase, ASKED);
	if (checkpoint->started) {
		thread_gate_open(&checkpoint->gate);
	} else {
		atomic_store(&checkpoint->phase, COPIED);
	}
}
