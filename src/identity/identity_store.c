/* identity_store.c - SQL of workspaces, principals and tokens. */
#include "db/row.h"
#include "identity/identity_priv.h"

#define PRINCIPAL_COLUMNS "id, workspace, kind, role, name, external_id, agent, specialty, disabled_at, created_at"
#define TOKEN_COLUMNS     "id, principal, hash, label, created_at, expires_at, revoked_at, scopes, parent"

static const struct db_column principal_columns[] = {
	DB_INT(struct principal, id),
	DB_INT(struct principal, workspace),
	DB_WORD(struct principal, kind),
	DB_WORD(struct principal, role),
	DB_TEXT(struct principal, name),
	DB_TEXT(struct principal, external_id),
	DB_KEY(struct principal, agent),
	DB_TEXT(struct principal, specialty),
	DB_KEY(struct principal, disabled_at_us),
	DB_INT(struct principal, created_at_us),
};

static const struct db_sql sql_workspace_insert = {
	"INSERT INTO workspace (id, name, default_agent, created_at) VALUES (?1, ?2, NULL, ?3)"};
static const struct db_sql sql_workspace_first = {"SELECT id FROM workspace ORDER BY id LIMIT 1"};
static const struct db_sql sql_workspace_look = {"SELECT id FROM workspace WHERE id = ?1"};
static const struct db_sql sql_principal_insert = {
	"INSERT INTO principal (" PRINCIPAL_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"};
static const struct db_sql sql_principal_update = {
	"UPDATE principal SET role = ?4, name = ?5, specialty = ?8, disabled_at = ?9 WHERE id = ?1"};
static const struct db_sql sql_principal_erase = {
	"UPDATE principal SET name = ?5, external_id = ?6, specialty = ?8, disabled_at = ?9 WHERE id = ?1"};
static const struct db_sql sql_token_end = {"SELECT id FROM token WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_token_labels = {
	"UPDATE token SET label = ?4 WHERE id > ?1 AND id <= ?2 AND principal = ?3 AND length(label) > 0"};
static const struct db_sql sql_principal_rows = {
	"SELECT " PRINCIPAL_COLUMNS " FROM principal WHERE id > ?1 ORDER BY id LIMIT ?2"};
static const struct db_sql sql_token_insert = {
	"INSERT INTO token (" TOKEN_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)"};
static const struct db_sql sql_token_revoke = {"UPDATE token SET revoked_at = ?2 WHERE id = ?1"};
static const struct db_sql sql_token_live = {
	"SELECT id, hash FROM token WHERE principal = ?1 AND revoked_at IS NULL AND parent IS NULL "
	"AND (?2 = 0 OR expires_at <= ?2) ORDER BY id LIMIT ?3"};
static const struct db_sql sql_token_count = {
	"SELECT count(*) FROM (SELECT id FROM token WHERE principal = ?1 AND revoked_at IS NULL AND parent IS NULL LIMIT ?2) AS live"};
static const struct db_sql sql_session_rows = {
	"SELECT id, hash FROM token WHERE principal = ?1 AND parent IS NOT NULL AND (?2 = 0 OR parent = ?2) ORDER BY id LIMIT ?3"};
static const struct db_sql sql_session_delete = {"DELETE FROM token WHERE id = ?1 AND parent IS NOT NULL"};
static const struct db_sql sql_token_get = {"SELECT " TOKEN_COLUMNS " FROM token WHERE id = ?1"};
static const struct db_sql sql_token_rows = {"SELECT " TOKEN_COLUMNS " FROM token WHERE id > ?1 ORDER BY id LIMIT ?2"};

enum err identity_workspace_insert(struct db *db, int64_t id, struct str name, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_workspace_insert);
	db_bind_int(stmt, 1, id);
	db_bind_text(stmt, 2, name);
	db_bind_int(stmt, 3, now_us);
	return db_run(stmt);
}

enum err identity_workspace_look(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &sql_workspace_look);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	db_reset(stmt);
	return err;
}

enum err identity_workspace_first(struct db *db, int64_t *id)
{
	struct db_stmt *stmt = db_use(db, &sql_workspace_first);
	enum err err = db_first(stmt);
	*id = err == ERR_OK ? db_int(stmt, 0) : 0;
	db_reset(stmt);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err principal_run(struct db *db, const struct db_sql *sql, const struct principal *principal)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_row(stmt, DB_COLUMNS(principal_columns), principal);
	return db_run(stmt);
}

enum err principal_row_insert(struct db *db, const struct principal *principal)
{
	return principal_run(db, &sql_principal_insert, principal);
}

enum err principal_row_update(struct db *db, const struct principal *principal)
{
	return principal_run(db, &sql_principal_update, principal);
}

enum err principal_row_erase(struct db *db, const struct principal *principal)
{
	return principal_run(db, &sql_principal_erase, principal);
}

enum err identity_token_labels_erase(struct erase_step *step, struct db *db)
{
	int64_t upto;
	enum err err = erase_window(step, db, &sql_token_end, ERASE_ROWS, &upto);
	struct db_stmt *stmt = db_use(db, &sql_token_labels);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, upto);
	db_bind_int(stmt, 3, step->principal);
	db_bind_text(stmt, 4, STR(""));
	err = err == ERR_OK ? db_run(stmt) : err;
	step->rows += err == ERR_OK ? db_changes(db) : 0;
	step->after = step->more ? upto : step->after;
	return err;
}

enum err principal_rows(struct db *db, int64_t after, int64_t limit, principal_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_principal_rows);
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct principal principal = {.id = 0};
		db_read_row(stmt, DB_COLUMNS(principal_columns), &principal);
		if (!fn(&principal, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err token_row_insert(struct db *db, const struct token_row *token)
{
	struct db_stmt *stmt = db_use(db, &sql_token_insert);
	db_bind_int(stmt, 1, token->id);
	db_bind_int(stmt, 2, token->principal);
	db_bind_bytes(stmt, 3, str_make(token->hash, HASH_SHA256_BYTES));
	db_bind_text(stmt, 4, token->terms.label);
	db_bind_int(stmt, 5, token->created_at_us);
	db_bind_key(stmt, 6, token->terms.expires_at_us);
	db_bind_key(stmt, 7, token->revoked_at_us);
	db_bind_key(stmt, 8, token->terms.scopes);
	db_bind_key(stmt, 9, token->parent);
	return db_run(stmt);
}

enum err token_row_revoke(struct db *db, int64_t id, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_token_revoke);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, now_us);
	return db_run(stmt);
}

static enum err token_of_row(struct db_stmt *stmt, struct token_row *out)
{
	struct str hash = db_bytes(stmt, 2);
	if (hash.len != HASH_SHA256_BYTES) {
		return ERR_CORRUPT;
	}
	*out = (struct token_row){
		.id = db_int(stmt, 0),
		.principal = db_int(stmt, 1),
		.created_at_us = db_int(stmt, 4),
		.revoked_at_us = db_key(stmt, 6),
		.parent = db_key(stmt, 8),
		.terms = {.label = db_text(stmt, 3), .expires_at_us = db_key(stmt, 5), .scopes = (uint32_t)db_key(stmt, 7)},
	};
	memcpy(out->hash, hash.at, HASH_SHA256_BYTES);
	return ERR_OK;
}

static enum err hashes_of(struct db_stmt *stmt, int64_t principal, int64_t which, size_t max, struct token_row *out, size_t *count)
{
	db_bind_int(stmt, 1, principal);
	db_bind_int(stmt, 2, which);
	db_bind_int(stmt, 3, (int64_t)max);
	*count = 0;
	enum err err;
	while (db_next(stmt, &err)) {
		struct str hash = db_bytes(stmt, 1);
		if (hash.len != HASH_SHA256_BYTES) {
			db_reset(stmt);
			return ERR_CORRUPT;
		}
		out[*count] = (struct token_row){.id = db_int(stmt, 0), .principal = principal};
		memcpy(out[(*count)++].hash, hash.at, HASH_SHA256_BYTES);
	}
	return err;
}

enum err token_rows_live(
	struct db *db, int64_t principal, int64_t expired_at_us, size_t max, struct token_row *out, size_t *count)
{
	return hashes_of(db_use(db, &sql_token_live), principal, expired_at_us, max, out, count);
}

enum err identity_console_rows(struct db *db, int64_t principal, int64_t parent, size_t max, struct token_row *out, size_t *count)
{
	return hashes_of(db_use(db, &sql_session_rows), principal, parent, max, out, count);
}

enum err identity_console_row_delete(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &sql_session_delete);
	db_bind_int(stmt, 1, id);
	return db_run(stmt);
}

enum err token_rows_count(struct db *db, int64_t principal, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_token_count), principal, limit, count);
}

enum err token_row_get(struct db *db, struct arena *arena, int64_t id, struct token_row *out)
{
	struct db_stmt *stmt = db_use(db, &sql_token_get);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		err = token_of_row(stmt, out);
		out->terms.label = err == ERR_OK ? arena_copy(arena, out->terms.label) : STR_NONE;
		err = err == ERR_OK && out->terms.label.at == NULL ? ERR_LIMIT : err;
		db_reset(stmt);
	}
	return err;
}

enum err token_rows(struct db *db, int64_t after, int64_t limit, token_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_token_rows);
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct token_row token;
		err = token_of_row(stmt, &token);
		if (err != ERR_OK || !fn(&token, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
