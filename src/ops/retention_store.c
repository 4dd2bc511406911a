/* retention_store.c - what is over is erased, a bounded number of rows at a time. */
#include "db/log.h"
#include "db/row.h"
#include "execution/execution.h"
#include "ops/retention_priv.h"

enum { EXECUTIONS_LOOKED_AT = 16 };

static const struct db_sql sql_execution = {"SELECT id, ended_at FROM turn WHERE id > ?1 ORDER BY id LIMIT 1"};

static const struct db_sql sql_next = {"SELECT min(b.execution) FROM token_batch b WHERE b.execution > ?1"};
static const struct db_sql sql_end = {"SELECT ended_at FROM turn WHERE id = ?1"};
static const struct db_sql sql_delete = {
	"DELETE FROM token_batch WHERE execution = ?1 AND seq_first IN "
	"(SELECT b.seq_first FROM token_batch b WHERE b.execution = ?1 ORDER BY b.seq_first LIMIT ?2)"};

/* ---- events ---- */

static int64_t bytes_of(const struct log_row *row)
{
	return row->event_type.at != NULL ? (int64_t)(row->event_type.len + row->event_data.len + row->topics.len) : 0;
}

static enum err measure_row(const struct log_row *row, void *arg)
{
	struct retention_events *events = arg;
	events->upto = row->seq;
	events->bytes += bytes_of(row);
	events->rows++;
	return ERR_OK;
}

enum err retention_events_measure(struct db *db, struct retention_events *events)
{
	events->upto = events->after;
	events->bytes = events->rows = 0;
	enum err err = log_read(db, events->after, RETENTION_ROWS_READ, measure_row, events);
	events->more = events->rows == RETENTION_ROWS_READ;
	return err;
}

static enum err erase_row(const struct log_row *row, void *arg)
{
	struct retention_events *events = arg;
	bool over = (events->before_us != 0 && row->time_us < events->before_us) || events->bytes < events->bytes_over;
	if (!over || row->seq > events->last) {
		return ERR_END;
	}
	events->upto = row->seq;
	events->bytes += bytes_of(row);
	events->rows++;
	events->erased += row->event_type.at != NULL;
	return ERR_OK;
}

enum err retention_events_erase(struct db *db, struct retention_events *events)
{
	events->bytes = events->rows = events->erased = 0;
	events->more = false;
	enum err err = log_events_gone(db, &events->after);
	events->upto = events->after;
	err = err == ERR_OK ? log_read(db, events->after, RETENTION_ROWS_ERASED, erase_row, events) : err;
	if ((err != ERR_OK && err != ERR_END) || events->upto == events->after) {
		return err == ERR_END ? ERR_OK : err;
	}
	events->more = events->rows == RETENTION_ROWS_ERASED;
	return log_events_erase(db, events->after, events->upto);
}

/* ---- streamed text ---- */

/* Is the run over long enough? One without a row is over. */
static enum err tokens_over(struct db *db, int64_t execution, int64_t before_us, bool *over)
{
	struct db_stmt *stmt = db_use(db, &sql_end);
	db_bind_int(stmt, 1, execution);
	enum err err = db_first(stmt);
	*over = err == ERR_NOT_FOUND;
	if (err == ERR_OK) {
		*over = !db_is_null(stmt, 0) && db_int(stmt, 0) < before_us;
		db_reset(stmt);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* 0: there is none. */
static enum err tokens_next(struct db *db, int64_t after, int64_t *execution)
{
	struct db_stmt *stmt = db_use(db, &sql_next);
	db_bind_int(stmt, 1, after);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		*execution = db_key(stmt, 0);
		db_reset(stmt);
	}
	return err;
}

static enum err tokens_delete(struct db *db, int64_t execution, struct retention_tokens *tokens)
{
	struct db_stmt *stmt = db_use(db, &sql_delete);
	db_bind_int(stmt, 1, execution);
	db_bind_int(stmt, 2, RETENTION_ROWS_ERASED - tokens->erased);
	enum err err = db_run(stmt);
	tokens->erased += err == ERR_OK ? db_changes(db) : 0;
	return err;
}

enum err retention_tokens_erase(struct db *db, struct retention_tokens *tokens)
{
	int64_t reached = tokens->after;
	tokens->erased = 0;
	tokens->more = true;
	tokens->reached = reached;
	for (int i = 0; i < EXECUTIONS_LOOKED_AT && tokens->erased < RETENTION_ROWS_ERASED; i++) {
		int64_t execution = 0;
		bool over = false;
		enum err err = tokens_next(db, reached, &execution);
		/* Keys are in the order of time: what began later cannot have ended before. */
		if (err == ERR_OK && (execution == 0 || id_unix_ms(execution) * 1000 > tokens->before_us)) {
			tokens->more = false;
			return ERR_OK;
		}
		err = err == ERR_OK ? tokens_over(db, execution, tokens->before_us, &over) : err;
		err = err == ERR_OK && over ? tokens_delete(db, execution, tokens) : err;
		if (err != ERR_OK) {
			return err;
		}
		/* Of one with many batches the rest is for the next time. */
		reached = over && tokens->erased == RETENTION_ROWS_ERASED ? reached : execution;
		tokens->reached = reached;
	}
	return ERR_OK;
}

/* ---- runs ---- */

/* The first runs beyond after. *over: the one with key *id ended before. ERR_NOT_FOUND: there is none. */
static enum err run_next(struct db *db, int64_t after, int64_t before_us, int64_t *id, bool *over)
{
	struct db_stmt *stmt = db_use(db, &sql_execution);
	db_bind_int(stmt, 1, after);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		*id = db_int(stmt, 0);
		*over = !db_is_null(stmt, 1) && db_int(stmt, 1) < before_us;
		db_reset(stmt);
	}
	return err;
}

static enum err run_erase(struct db *db, int64_t id, struct retention_executions *executions, bool *left)
{
	struct execution_forget forget = {.sessions_before_us = executions->before_us, .rows_max = RETENTION_ROWS_ERASED - executions->rows};
	enum err err = execution_forget(db, id, &forget);
	executions->rows += forget.rows;
	executions->erased += err == ERR_OK && !forget.left;
	*left = forget.left;
	if (err == ERR_OK && forget.session_owner != 0) {
		quota_give(executions->quota, QUOTA_SESSIONS, forget.session_owner);
	}
	return err;
}

enum err retention_executions_erase(struct db *db, struct retention_executions *executions)
{
	executions->reached = executions->after;
	executions->rows = executions->erased = 0;
	executions->more = executions->before_us > 0;
	for (int i = 0; i < RETENTION_ROWS_ERASED && executions->more && executions->rows < RETENTION_ROWS_ERASED; i++) {
		int64_t id = 0;
		bool over = false, left = false;
		enum err err = run_next(db, executions->reached, executions->before_us, &id, &over);
		/* What began later cannot have ended before. */
		if (err == ERR_NOT_FOUND || (err == ERR_OK && id_unix_ms(id) * 1000 > executions->before_us)) {
			executions->more = false;
			return ERR_OK;
		}
		err = err == ERR_OK && over ? run_erase(db, id, executions, &left) : err;
		if (err != ERR_OK) {
			return err;
		}
		executions->reached = left ? executions->reached : id;
	}
	return ERR_OK;
}

/* ---- content of the audit log ---- */

static enum err audit_row(const struct log_row *row, void *arg)
{
	struct retention_audit *audit = arg;
	if (row->time_us >= audit->before_us) {
		return ERR_END;
	}
	audit->upto = row->seq;
	audit->rows++;
	audit->erased += row->entry.at != NULL;
	return ERR_OK;
}

enum err retention_audit_erase(struct db *db, struct retention_audit *audit)
{
	audit->rows = audit->erased = 0;
	audit->more = false;
	if (audit->before_us == 0) {
		return ERR_OK;
	}
	enum err err = log_entries_gone(db, &audit->after);
	audit->upto = audit->after;
	err = err == ERR_OK ? log_read(db, audit->after, RETENTION_ROWS_ERASED, audit_row, audit) : err;
	if ((err != ERR_OK && err != ERR_END) || audit->upto == audit->after) {
		return err == ERR_END ? ERR_OK : err;
	}
	audit->more = audit->rows == RETENTION_ROWS_ERASED;
	return log_entries_erase(db, audit->after, audit->upto);
}
