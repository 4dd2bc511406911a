/* key_store.c - SQL of provider keys. */
#include "db/row.h"
#include "identity/identity_priv.h"

#define KEY_COLUMNS "id, workspace, owner, provider, base_url, sealed, shown, created_at, guarded"

static const struct db_column columns[] = {
	DB_INT(struct key_row, id),
	DB_INT(struct key_row, workspace),
	DB_KEY(struct key_row, owner),
	DB_TEXT(struct key_row, provider),
	DB_TEXT(struct key_row, base_url),
	DB_BYTES(struct key_row, sealed),
	DB_TEXT(struct key_row, shown),
	DB_INT(struct key_row, created_at_us),
	DB_BOOL(struct key_row, guarded),
};

static const struct db_sql sql_insert = {
	"INSERT INTO provider_key (" KEY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
static const struct db_sql sql_delete = {"DELETE FROM provider_key WHERE id = ?1"};
static const struct db_sql sql_get = {"SELECT " KEY_COLUMNS " FROM provider_key WHERE id = ?1"};
static const struct db_sql sql_owned = {"SELECT " KEY_COLUMNS " FROM provider_key WHERE owner = ?1 ORDER BY id LIMIT ?2"};
static const struct db_sql sql_rows = {"SELECT " KEY_COLUMNS " FROM provider_key WHERE id > ?1 ORDER BY id LIMIT ?2"};
/* Few rows; the principal's own comes first. */
static const struct db_sql sql_find = {
	"SELECT " KEY_COLUMNS " FROM provider_key WHERE workspace = ?1 AND provider = ?2 AND (owner IS NULL OR owner = ?3) "
	"ORDER BY CASE WHEN owner IS NULL THEN 1 ELSE 0 END, id DESC LIMIT 1"};

enum err key_row_insert(struct db *db, const struct key_row *key)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), key);
	return db_run(stmt);
}

enum err key_row_delete(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &sql_delete);
	db_bind_int(stmt, 1, id);
	return db_run(stmt);
}

static enum err key_keep(struct db_stmt *stmt, struct arena *arena, struct key_row *out)
{
	db_read_row(stmt, DB_COLUMNS(columns), out);
	out->provider = arena_copy(arena, out->provider);
	out->base_url = arena_copy(arena, out->base_url);
	out->sealed = arena_copy(arena, out->sealed);
	out->shown = arena_copy(arena, out->shown);
	bool whole =
		out->provider.at != NULL && out->base_url.at != NULL && out->sealed.at != NULL && out->shown.at != NULL;
	return whole ? ERR_OK : ERR_LIMIT;
}

static enum err key_step_into(struct db_stmt *stmt, struct arena *arena, struct key_row *out)
{
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	err = key_keep(stmt, arena, out);
	db_reset(stmt);
	return err;
}

enum err key_rows_owned(struct db *db, struct arena *arena, int64_t owner, size_t max, struct key_row *out, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_owned);
	db_bind_int(stmt, 1, owner);
	db_bind_int(stmt, 2, (int64_t)max);
	*count = 0;
	enum err err;
	while (db_next(stmt, &err)) {
		err = key_keep(stmt, arena, &out[(*count)++]);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err key_row_get(struct db *db, struct arena *arena, int64_t id, struct key_row *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, id);
	return key_step_into(stmt, arena, out);
}

enum err key_find(
	struct db *db, struct arena *arena, int64_t workspace, int64_t principal, struct str provider, struct key_row *out)
{
	struct db_stmt *stmt = db_use(db, &sql_find);
	db_bind_int(stmt, 1, workspace);
	db_bind_text(stmt, 2, provider);
	db_bind_int(stmt, 3, principal);
	return key_step_into(stmt, arena, out);
}

enum err key_rows(struct db *db, int64_t after, int64_t limit, key_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct key_row key;
		db_read_row(stmt, DB_COLUMNS(columns), &key);
		if (!fn(&key, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
