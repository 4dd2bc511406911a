/* erase.c - windows of rows, for those who erase. */
#include "command/erase.h"

#include "db/row.h"

enum err erase_window(struct erase_step *step, struct db *db, const struct db_sql *end, int rows, int64_t *upto)
{
	struct db_stmt *stmt = db_use(db, end);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, rows - 1);
	enum err err = db_first(stmt);
	*upto = INT64_MAX;
	step->more = err == ERR_OK;
	if (err == ERR_OK) {
		*upto = db_int(stmt, 0);
		db_reset(stmt);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err erase_run(struct erase_step *step, struct db *db, const struct db_sql *sql, int64_t upto)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, upto);
	db_bind_int(stmt, 3, step->principal);
	enum err err = db_run(stmt);
	step->rows += err == ERR_OK ? db_changes(db) : 0;
	return err;
}
