/* forget_store.c - a run that is over goes: streamed text first, then the turn with its messages, then a session that is left empty. */
#include "db/row.h"
#include "execution/execution_priv.h"

static const struct db_sql sql_turn = {"SELECT session, status, rolled_back, has_answer FROM turn WHERE id = ?1"};
static const struct db_sql sql_batches = {
	"DELETE FROM token_batch WHERE execution = ?1 AND seq_first IN "
	"(SELECT b.seq_first FROM token_batch b WHERE b.execution = ?1 ORDER BY b.seq_first LIMIT ?2)"};
static const struct db_sql sql_delete = {"DELETE FROM turn WHERE id = ?1"};
static const struct db_sql sql_leave = {
	"UPDATE session SET message_count = message_count - ?2, revision = revision + 1 WHERE id = ?1"};
static const struct db_sql sql_owner = {"SELECT owner FROM session WHERE id = ?1"};
static const struct db_sql sql_session = {
	"DELETE FROM session WHERE id = ?1 AND updated_at < ?2 AND open_count = 0 AND NOT EXISTS (SELECT t.id FROM turn t WHERE t.session = ?1)"};

static enum err batches_delete(struct db *db, int64_t id, struct execution_forget *forget)
{
	struct db_stmt *stmt = db_use(db, &sql_batches);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, forget->rows_max);
	enum err err = db_run(stmt);
	forget->rows += err == ERR_OK ? db_changes(db) : 0;
	return err;
}

static enum err session_leave(struct db *db, int64_t session, int64_t messages)
{
	struct db_stmt *stmt = db_use(db, &sql_leave);
	db_bind_int(stmt, 1, session);
	db_bind_int(stmt, 2, messages);
	return db_run(stmt);
}

static enum err session_end(struct db *db, int64_t session, struct execution_forget *forget)
{
	int64_t owner = 0;
	struct db_stmt *stmt = db_use(db, &sql_owner);
	db_bind_int(stmt, 1, session);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		owner = db_int(stmt, 0);
		db_reset(stmt);
	}
	if (err != ERR_OK || forget->sessions_before_us == 0) {
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	stmt = db_use(db, &sql_session);
	db_bind_int(stmt, 1, session);
	db_bind_int(stmt, 2, forget->sessions_before_us);
	err = db_run(stmt);
	if (err == ERR_OK && db_changes(db) == 1) {
		forget->rows++;
		forget->session_owner = owner;
	}
	return err;
}

enum err execution_forget(struct db *db, int64_t id, struct execution_forget *forget)
{
	forget->rows = forget->session_owner = 0;
	forget->left = false;
	struct db_stmt *stmt = db_use(db, &sql_turn);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	int64_t session = db_key(stmt, 0);
	bool open = db_int(stmt, 1) <= EXECUTION_RUNNING;
	int64_t messages = db_int(stmt, 2) != 0 ? 0 : 1 + db_int(stmt, 3);
	db_reset(stmt);
	if (open) {
		return ERR_CONFLICT;
	}
	err = batches_delete(db, id, forget);
	forget->left = forget->rows == forget->rows_max;
	if (err != ERR_OK || forget->left) {
		return err;
	}
	stmt = db_use(db, &sql_delete);
	db_bind_int(stmt, 1, id);
	err = db_run(stmt);
	forget->rows++;
	if (err == ERR_OK && session != 0) {
		err = messages > 0 ? session_leave(db, session, messages) : ERR_OK;
		err = err == ERR_OK ? session_end(db, session, forget) : err;
	}
	return err;
}
