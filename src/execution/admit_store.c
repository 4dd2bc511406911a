/* admit_store.c - SQL of runs that wait for a place or for other runs. */
#include "db/row.h"
#include "execution/admit_priv.h"

static const struct db_column wait_columns[] = {
	DB_INT(struct admit_wait, workspace),    DB_INT(struct admit_wait, id),     DB_INT(struct admit_wait, agent),
	DB_INT(struct admit_wait, session),      DB_WORD(struct admit_wait, priority), DB_INT(struct admit_wait, queued_at_us),
	DB_BOOL(struct admit_wait, ready),       DB_BOOL(struct admit_wait, delegated),
};
#define WAIT_COLUMNS "workspace, turn, agent, session, priority, queued_at, ready, delegated"

static const struct db_sql SQL_ROW_PUT = {
	"INSERT INTO run_queue (" WAIT_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)"};
static const struct db_sql SQL_ROW_READY = {"UPDATE run_queue SET ready = 1 WHERE workspace = ?1 AND turn = ?2"};
static const struct db_sql SQL_ROW_REMOVE = {"DELETE FROM run_queue WHERE workspace = ?1 AND turn = ?2"};
static const struct db_sql SQL_ROW_GET = {"SELECT " WAIT_COLUMNS " FROM run_queue WHERE workspace = ?1 AND turn = ?2"};
static const struct db_sql SQL_ROWS_READY = {
	"SELECT " WAIT_COLUMNS " FROM run_queue WHERE workspace = ?1 AND ready = 1 ORDER BY turn LIMIT ?2"};
static const struct db_sql SQL_AFTER_PUT = {"INSERT INTO run_after (dependency, turn) VALUES (?1, ?2)"};
static const struct db_sql SQL_AFTER_LEFT = {"SELECT count(*) FROM run_after WHERE turn = ?1"};
static const struct db_sql SQL_AFTER_DONE = {"DELETE FROM run_after WHERE dependency = ?1"};
static const struct db_sql SQL_AFTER_REMOVE = {"DELETE FROM run_after WHERE turn = ?1"};
static const struct db_sql SQL_DEPENDANTS = {"SELECT turn FROM run_after WHERE dependency = ?1 ORDER BY turn LIMIT ?2"};
static const struct db_sql SQL_TURN = {"SELECT workspace, owner, agent, coalesce(session, 0), status, started_at FROM turn WHERE id = ?1"};
static const struct db_sql SQL_EACH_RUNNING = {
	"SELECT agent, workspace, count(*) FROM turn WHERE status <= 2 AND status = 2 GROUP BY agent, workspace"};
static const struct db_sql SQL_EACH_WAITING = {
	"SELECT agent, workspace, ready, count(*) FROM run_queue GROUP BY agent, workspace, ready"};
static const struct db_sql SQL_EACH_FAILED = {
	"SELECT a.turn FROM run_after a LEFT JOIN turn t ON t.id = a.dependency WHERE coalesce(t.status, 5) > 2 GROUP BY a.turn"};
static const struct db_sql SQL_AFTER_COUNT = {"SELECT count(*) FROM run_after"};
static const struct db_sql SQL_HEADS = {
	"SELECT min(o.id), min(o.workspace), o.session FROM turn o WHERE o.status <= 2 AND o.session > ?1 GROUP BY o.session "
	"HAVING max(o.status) = 1 ORDER BY o.session LIMIT ?2"};

enum err admit_row_put(struct db *db, const struct admit_wait *wait)
{
	struct db_stmt *stmt = db_use(db, &SQL_ROW_PUT);
	db_bind_row(stmt, DB_COLUMNS(wait_columns), wait);
	return db_run(stmt);
}

static enum err run_with(struct db *db, const struct db_sql *sql, int64_t one, int64_t two)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, one);
	if (two != 0) {
		db_bind_int(stmt, 2, two);
	}
	return db_run(stmt);
}

enum err admit_row_ready(struct db *db, const struct admit_wait *wait)
{
	return run_with(db, &SQL_ROW_READY, wait->workspace, wait->id);
}

enum err admit_row_remove(struct db *db, int64_t workspace, int64_t id)
{
	return run_with(db, &SQL_ROW_REMOVE, workspace, id);
}

enum err admit_row_get(struct db *db, int64_t workspace, int64_t id, struct admit_wait *out)
{
	struct db_stmt *stmt = db_use(db, &SQL_ROW_GET);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, id);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		db_read_row(stmt, DB_COLUMNS(wait_columns), out);
	}
	db_reset(stmt);
	return err;
}

enum err admit_rows_ready(struct db *db, int64_t workspace, struct admit_wait *out, size_t max, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &SQL_ROWS_READY);
	bool row;
	enum err err;
	*count = 0;
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, (int64_t)max);
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		db_read_row(stmt, DB_COLUMNS(wait_columns), &out[(*count)++]);
	}
	db_reset(stmt);
	return err;
}

enum err admit_after_put(struct db *db, int64_t dependency, int64_t id)
{
	return run_with(db, &SQL_AFTER_PUT, dependency, id);
}

static enum err one_int(struct db_stmt *stmt, int64_t *out)
{
	enum err err = db_first(stmt);
	*out = err == ERR_OK ? db_int(stmt, 0) : 0;
	db_reset(stmt);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err admit_after_left(struct db *db, int64_t id, int64_t *count)
{
	struct db_stmt *stmt = db_use(db, &SQL_AFTER_LEFT);
	db_bind_int(stmt, 1, id);
	return one_int(stmt, count);
}

enum err admit_after_count(struct db *db, int64_t *count)
{
	return one_int(db_use(db, &SQL_AFTER_COUNT), count);
}

enum err admit_after_done(struct db *db, int64_t dependency)
{
	return run_with(db, &SQL_AFTER_DONE, dependency, 0);
}

enum err admit_after_remove(struct db *db, int64_t id)
{
	return run_with(db, &SQL_AFTER_REMOVE, id, 0);
}

enum err admit_dependants(struct db *db, int64_t dependency, int64_t *out, size_t max, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &SQL_DEPENDANTS);
	bool row;
	enum err err;
	*count = 0;
	db_bind_int(stmt, 1, dependency);
	db_bind_int(stmt, 2, (int64_t)max);
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		out[(*count)++] = db_int(stmt, 0);
	}
	db_reset(stmt);
	return err;
}

enum err admit_turn_get(struct db *db, int64_t id, struct admit_turn *out)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		*out = (struct admit_turn){.workspace = db_int(stmt, 0),
					   .owner = db_int(stmt, 1),
					   .agent = db_int(stmt, 2),
					   .session = db_int(stmt, 3),
					   .status = (int)db_int(stmt, 4),
					   .started_at_us = db_int(stmt, 5)};
	}
	db_reset(stmt);
	return err;
}

/* ---- start-up ---- */

static enum err each(struct db *db, const struct db_sql *sql, int columns, admit_each_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, sql);
	int64_t values[4];
	bool row;
	enum err err;
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		for (int i = 0; i < columns; i++) {
			values[i] = db_int(stmt, i);
		}
		err = fn(values, arg);
		if (err != ERR_OK) {
			break;
		}
	}
	db_reset(stmt);
	return err;
}

enum err admit_each_running(struct db *db, admit_each_fn *fn, void *arg)
{
	return each(db, &SQL_EACH_RUNNING, 3, fn, arg);
}

enum err admit_each_waiting(struct db *db, admit_each_fn *fn, void *arg)
{
	return each(db, &SQL_EACH_WAITING, 4, fn, arg);
}

enum err admit_each_failed(struct db *db, admit_each_fn *fn, void *arg)
{
	return each(db, &SQL_EACH_FAILED, 1, fn, arg);
}

enum err admit_heads(struct db *db, int64_t after_session, struct admit_wait *out, size_t max, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &SQL_HEADS);
	bool row;
	enum err err;
	*count = 0;
	db_bind_int(stmt, 1, after_session);
	db_bind_int(stmt, 2, (int64_t)max);
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		out[(*count)++] = (struct admit_wait){.id = db_int(stmt, 0), .workspace = db_int(stmt, 1), .session = db_int(stmt, 2)};
	}
	db_reset(stmt);
	return err;
}
