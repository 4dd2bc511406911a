/* workspace_store.c - SQL of workspaces (their insertion is identity's, since the first start needs it). */
#include "agent/workspace_priv.h"
#include "db/row.h"

static const struct db_column columns[] = {
	DB_INT(struct workspace, id),
	DB_TEXT(struct workspace, name),
	DB_KEY(struct workspace, default_agent),
	DB_INT(struct workspace, created_at_us),
};

static const struct db_sql sql_get = {"SELECT id, name, default_agent, created_at FROM workspace WHERE id = ?1"};
/* There are a thousand at most, and this is asked when one is made or renamed. */
static const struct db_sql sql_taken = {"SELECT id FROM workspace WHERE name = ?1 AND id <> ?2 LIMIT 1"};
static const struct db_sql sql_update = {"UPDATE workspace SET name = ?2, default_agent = ?3 WHERE id = ?1"};
static const struct db_sql sql_rows = {
	"SELECT id, name, default_agent, created_at FROM workspace WHERE id > ?1 ORDER BY id LIMIT ?2"};

enum err workspace_row_get(struct db *db, struct arena *arena, int64_t id, struct workspace *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		db_read_row(stmt, DB_COLUMNS(columns), out);
		out->name = arena_copy(arena, out->name);
		err = out->name.at != NULL ? ERR_OK : ERR_LIMIT;
		db_reset(stmt);
	}
	return err;
}

enum err workspace_row_taken(struct db *db, struct str name, int64_t id, bool *taken)
{
	struct db_stmt *stmt = db_use(db, &sql_taken);
	db_bind_text(stmt, 1, name);
	db_bind_int(stmt, 2, id);
	enum err err = db_first(stmt);
	*taken = err == ERR_OK;
	db_reset(stmt);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err workspace_row_update(struct db *db, const struct workspace *workspace)
{
	struct db_stmt *stmt = db_use(db, &sql_update);
	db_bind_int(stmt, 1, workspace->id);
	db_bind_text(stmt, 2, workspace->name);
	db_bind_key(stmt, 3, workspace->default_agent);
	return db_run(stmt);
}

enum err workspace_rows(struct db *db, int64_t after, int64_t limit, workspace_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct workspace workspace = {.id = 0};
		db_read_row(stmt, DB_COLUMNS(columns), &workspace);
		if (!fn(&workspace, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
