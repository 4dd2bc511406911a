/* key_store.c - SQL of provider keys. */
#include "identity/identity_priv.h"

#define KEY_COLUMNS "id, workspace, owner, provider, base_url, sealed, shown, created_at, guarded"

static const struct db_sql sql_insert = {
	"INSERT INTO provider_key (" KEY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
static const struct db_sql sql_delete = {"DELETE FROM provider_key WHERE id = ?1"};
static const struct db_sql sql_get = {"SELECT " KEY_COLUMNS " FROM provider_key WHERE id = ?1"};
static const struct db_sql sql_rows = {"SELECT " KEY_COLUMNS " FROM provider_key WHERE id > ?1 ORDER BY id LIMIT ?2"};
/* Few rows; the principal's own comes first. */
static const struct db_sql sql_find = {
	"SELECT " KEY_COLUMNS " FROM provider_key WHERE workspace = ?1 AND provider = ?2 AND (owner IS NULL OR owner = ?3) "
	"ORDER BY CASE WHEN owner IS NULL THEN 1 ELSE 0 END, id DESC LIMIT 1"};

enum err key_row_insert(struct db *db, const struct key_row *key)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_int(stmt, 1, key->id);
	db_bind_int(stmt, 2, key->workspace);
	if (key->owner != 0) {
		db_bind_int(stmt, 3, key->owner);
	} else {
		db_bind_null(stmt, 3);
	}
	db_bind_text(stmt, 4, key->provider);
	db_bind_text(stmt, 5, key->base_url);
	db_bind_bytes(stmt, 6, key->sealed);
	db_bind_text(stmt, 7, key->shown);
	db_bind_int(stmt, 8, key->created_at_us);
	db_bind_int(stmt, 9, key->guarded);
	return db_run(stmt);
}

enum err key_row_delete(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &sql_delete);
	db_bind_int(stmt, 1, id);
	return db_run(stmt);
}

static void key_of_row(struct db_stmt *stmt, struct key_row *out)
{
	*out = (struct key_row){
		.id = db_int(stmt, 0),
		.workspace = db_int(stmt, 1),
		.owner = db_is_null(stmt, 2) ? 0 : db_int(stmt, 2),
		.provider = db_text(stmt, 3),
		.base_url = db_text(stmt, 4),
		.sealed = db_bytes(stmt, 5),
		.shown = db_text(stmt, 6),
		.created_at_us = db_int(stmt, 7),
		.guarded = db_int(stmt, 8) != 0,
	};
}

static enum err key_step_into(struct db_stmt *stmt, struct arena *arena, struct key_row *out)
{
	bool row;
	enum err err = db_step(stmt, &row);
	if (err != ERR_OK || !row) {
		return err != ERR_OK ? err : ERR_NOT_FOUND;
	}
	key_of_row(stmt, out);
	out->provider = arena_copy(arena, out->provider);
	out->base_url = arena_copy(arena, out->base_url);
	out->sealed = arena_copy(arena, out->sealed);
	out->shown = arena_copy(arena, out->shown);
	db_reset(stmt);
	bool whole =
		out->provider.at != NULL && out->base_url.at != NULL && out->sealed.at != NULL && out->shown.at != NULL;
	return whole ? ERR_OK : ERR_LIMIT;
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
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		struct key_row key;
		key_of_row(stmt, &key);
		if (!fn(&key, arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
}
