/* erase_store.c - sessions of a person who is erased that have no runs: those with runs go with the last of them. */
#include "command/erase.h"
#include "command/quota.h"
#include "session/session_priv.h"

static const struct db_sql sql_erase = {
	"DELETE FROM session WHERE id IN (SELECT s.id FROM session s WHERE s.owner = ?1 AND s.open_count = 0 "
	"AND NOT EXISTS (SELECT t.id FROM turn t WHERE t.session = s.id) ORDER BY s.id LIMIT ?2)"};

enum err session_erase(struct erase_step *step, struct db *db)
{
	struct db_stmt *stmt = db_use(db, &sql_erase);
	db_bind_int(stmt, 1, step->principal);
	db_bind_int(stmt, 2, ERASE_ROWS);
	enum err err = db_run(stmt);
	int64_t gone = err == ERR_OK ? db_changes(db) : 0;
	for (int64_t i = 0; i < gone; i++) {
		quota_give(step->guild->quota, QUOTA_SESSIONS, step->principal);
	}
	step->rows += gone;
	step->more = gone == ERASE_ROWS;
	return err;
}
