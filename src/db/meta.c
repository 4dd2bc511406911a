/* meta.c - small named values of the store. */
#include "db/db.h"

static const struct db_sql sql_get = {"SELECT value FROM meta WHERE name = ?1"};
static const struct db_sql sql_put = {
	"INSERT INTO meta (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value"};

enum err db_meta_get(struct db *db, struct str name, struct arena *arena, struct str *value)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_text(stmt, 1, name);
	bool row;
	*value = STR_NONE;
	enum err err = db_step(stmt, &row);
	if (err == ERR_OK && !row) {
		err = ERR_NOT_FOUND;
	}
	if (err == ERR_OK) {
		*value = arena_copy(arena, db_bytes(stmt, 0));
		err = value->at != NULL ? ERR_OK : ERR_LIMIT;
	}
	db_reset(stmt);
	return err;
}

enum err db_meta_put(struct db *db, struct str name, struct str value)
{
	struct db_stmt *stmt = db_use(db, &sql_put);
	db_bind_text(stmt, 1, name);
	db_bind_bytes(stmt, 2, value);
	return db_run(stmt);
}
