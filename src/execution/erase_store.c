/* erase_store.c - finds the runs of a person who is erased. */
#include "db/row.h"
#include "execution/erase_priv.h"

static const struct db_sql sql_end = {"SELECT id FROM turn WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_marks = {
	"SELECT t.id, t.status FROM turn t LEFT JOIN session s ON s.id = t.session "
	"WHERE t.id > ?1 AND t.id <= ?2 AND (t.owner = ?3 OR s.owner = ?3) ORDER BY t.id LIMIT ?4"};

enum err execution_turns_of(struct erase_step *step, struct db *db, struct turn_mark out[ERASE_ROWS_HEAVY], size_t *count, int64_t *upto)
{
	*count = 0;
	enum err err = erase_window(step, db, &sql_end, ERASE_ROWS_LOOKED, upto);
	if (err != ERR_OK) {
		return err;
	}
	struct db_stmt *stmt = db_use(db, &sql_marks);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, *upto);
	db_bind_int(stmt, 3, step->principal);
	db_bind_int(stmt, 4, ERASE_ROWS_HEAVY);
	while (db_next(stmt, &err)) {
		out[(*count)++] = (struct turn_mark){db_int(stmt, 0), (int)db_int(stmt, 1)};
	}
	return err;
}
