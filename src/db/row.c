/* row.c - the few shapes in which stores bind and read rows. */
#include "db/row.h"

void db_bind_key(struct db_stmt *stmt, int index, int64_t key)
{
	if (key != 0) {
		db_bind_int(stmt, index, key);
	} else {
		db_bind_null(stmt, index);
	}
}

int64_t db_key(struct db_stmt *stmt, int column)
{
	return db_is_null(stmt, column) ? 0 : db_int(stmt, column);
}

void db_bind_row(struct db_stmt *stmt, const struct db_column *columns, size_t count, const void *row)
{
	size_t wanted = (size_t)db_parameters(stmt);
	for (size_t i = 0; i < count && i < wanted; i++) {
		const void *at = (const char *)row + columns[i].offset;
		int index = (int)i + 1;
		switch (columns[i].kind) {
		case DB_KIND_INT: db_bind_int(stmt, index, *(const int64_t *)at); break;
		case DB_KIND_KEY: db_bind_key(stmt, index, *(const int64_t *)at); break;
		case DB_KIND_WORD: db_bind_int(stmt, index, *(const int *)at); break;
		case DB_KIND_BOOL: db_bind_int(stmt, index, *(const bool *)at); break;
		case DB_KIND_TEXT: db_bind_text(stmt, index, *(const struct str *)at); break;
		case DB_KIND_BYTES: db_bind_bytes(stmt, index, *(const struct str *)at); break;
		}
	}
}

void db_read_row(struct db_stmt *stmt, const struct db_column *columns, size_t count, void *row)
{
	for (size_t i = 0; i < count; i++) {
		void *at = (char *)row + columns[i].offset;
		int column = (int)i;
		switch (columns[i].kind) {
		case DB_KIND_INT: *(int64_t *)at = db_int(stmt, column); break;
		case DB_KIND_KEY: *(int64_t *)at = db_key(stmt, column); break;
		case DB_KIND_WORD: *(int *)at = (int)db_int(stmt, column); break;
		case DB_KIND_BOOL: *(bool *)at = db_int(stmt, column) != 0; break;
		case DB_KIND_TEXT: *(struct str *)at = db_text(stmt, column); break;
		case DB_KIND_BYTES: *(struct str *)at = db_bytes(stmt, column); break;
		}
	}
}

bool db_next(struct db_stmt *stmt, enum err *err)
{
	bool row;
	*err = db_step(stmt, &row);
	return *err == ERR_OK && row;
}

enum err db_first(struct db_stmt *stmt)
{
	bool row;
	enum err err = db_step(stmt, &row);
	return err == ERR_OK && !row ? ERR_NOT_FOUND : err;
}

enum err db_count(struct db_stmt *stmt, int64_t key, int64_t limit, int64_t *count)
{
	db_bind_int(stmt, 1, key);
	db_bind_int(stmt, 2, limit);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		*count = db_int(stmt, 0);
		db_reset(stmt);
	}
	return err;
}
