/* approval_erase_store.c - what a person who is erased asked for, and said when deciding. */
#include "command/erase.h"
#include "governance/approval_priv.h"

static const struct db_sql sql_end = {"SELECT id FROM approval WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_asked = {
	"UPDATE approval SET arguments = ?4, reason = ?5, note = NULL, status = CASE WHEN status <= 2 THEN 6 ELSE status END "
	"WHERE id > ?1 AND id <= ?2 AND requester = ?3 AND (length(arguments) > 2 OR length(reason) > 0 OR note IS NOT NULL OR status <= 2)"};
static const struct db_sql sql_noted = {"UPDATE approval SET note = NULL WHERE id > ?1 AND id <= ?2 AND decided_by = ?3 AND note IS NOT NULL"};

enum err approval_erase(struct erase_step *step, struct db *db)
{
	int64_t upto;
	enum err err = erase_window(step, db, &sql_end, ERASE_ROWS, &upto);
	if (err != ERR_OK) {
		return err;
	}
	struct db_stmt *stmt = db_use(db, &sql_asked);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, upto);
	db_bind_int(stmt, 3, step->principal);
	db_bind_text(stmt, 4, STR("{}"));
	db_bind_text(stmt, 5, STR(""));
	err = db_run(stmt);
	step->rows += err == ERR_OK ? db_changes(db) : 0;
	err = err == ERR_OK ? erase_run(step, db, &sql_noted, upto) : err;
	step->after = upto;
	return err;
}
