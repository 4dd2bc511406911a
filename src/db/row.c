/* row.c - the few shapes in which all stores bind and read rows. */
#include "db/row.h"

void db_bind_int_or_null(struct db_stmt *stmt, int index, int64_t value)
{
	if (value != 0) {
		db_bind_int(stmt, index, value);
	} else {
		db_bind_null(stmt, index);
	}
}

int64_t db_int_or_zero(struct db_stmt *stmt, int column)
{
	return db_is_null(stmt, column) ? 0 : db_int(stmt, column);
}

enum err db_count(struct db_stmt *stmt, int64_t key, int64_t limit, int64_t *count)
{
	bool row;
	db_bind_int(stmt, 1, key);
	db_bind_int(stmt, 2, limit);
	enum err err = db_step(stmt, &row);
	if (err != ERR_OK || !row) {
		return err != ERR_OK ? err : ERR_CORRUPT;
	}
	*count = db_int(stmt, 0);
	db_reset(stmt);
	return ERR_OK;
}
