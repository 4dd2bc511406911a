/* block_store.c - SQL of who refuses whose messages. */
#include "social/message_priv.h"

#include "db/row.h"

static const struct db_sql sql_get = {
	"SELECT blocked, blocked_kind, created_at FROM block WHERE actor = ?1 AND blocked = ?2"};
static const struct db_sql sql_insert = {
	"INSERT INTO block (actor, blocked, blocked_kind, created_at) VALUES (?1, ?2, ?3, ?4)"};
static const struct db_sql sql_delete = {"DELETE FROM block WHERE actor = ?1 AND blocked = ?2"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM (SELECT blocked FROM block WHERE actor = ?1 LIMIT ?2) AS counted"};
static const struct db_sql sql_rows = {"SELECT blocked, blocked_kind, created_at FROM block WHERE actor = ?1 AND blocked > ?2 "
									   "ORDER BY blocked LIMIT ?3"};

static const struct db_column columns[] = {
	DB_INT(struct block, blocked.key),
	DB_WORD(struct block, blocked.kind),
	DB_INT(struct block, created_at_us),
};

enum err block_get(struct db *db, int64_t actor, int64_t blocked, struct block *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, actor);
	db_bind_int(stmt, 2, blocked);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		db_read_row(stmt, DB_COLUMNS(columns), out);
		db_reset(stmt);
	}
	return err;
}

enum err block_there(struct db *db, int64_t actor, int64_t sender, bool *there)
{
	struct block block;
	enum err err = block_get(db, actor, sender, &block);
	*there = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err block_insert(struct db *db, int64_t actor, const struct block *block)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_int(stmt, 1, actor);
	db_bind_int(stmt, 2, block->blocked.key);
	db_bind_int(stmt, 3, block->blocked.kind);
	db_bind_int(stmt, 4, block->created_at_us);
	return db_run(stmt);
}

enum err block_delete(struct db *db, int64_t actor, int64_t blocked)
{
	struct db_stmt *stmt = db_use(db, &sql_delete);
	db_bind_int(stmt, 1, actor);
	db_bind_int(stmt, 2, blocked);
	return db_run(stmt);
}

enum err block_count(struct db *db, int64_t actor, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_count), actor, limit, count);
}

enum err block_rows(struct db *db, int64_t actor, int64_t after, int64_t limit, block_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, actor);
	db_bind_int(stmt, 2, after);
	db_bind_int(stmt, 3, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct block block;
		db_read_row(stmt, DB_COLUMNS(columns), &block);
		if (!fn(&block, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
