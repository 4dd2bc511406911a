/* policy_store.c - SQL of action tables, their history, and what is in force besides them. */
#include "db/row.h"
#include "governance/policy_priv.h"

#define CHANGE_COLUMNS "workspace, version, action, old_level, level, overridden, old_hash, hash, reason, changed_by, changed_at"
#define STATE_COLUMNS                                                                                                                      \
	"workspace, version, hash, emergency_since, emergency_until, emergency_by, emergency_reason, stopped_since, stopped_by, "          \
	"stopped_reason"

static const struct db_column change_columns[] = {
	DB_INT(struct policy_change, workspace),
	DB_INT(struct policy_change, version),
	DB_TEXT(struct policy_change, action),
	DB_KEY(struct policy_change, old_level),
	DB_KEY(struct policy_change, level),
	DB_BOOL(struct policy_change, overridden),
	DB_BYTES(struct policy_change, old_hash),
	DB_BYTES(struct policy_change, hash),
	DB_TEXT(struct policy_change, reason),
	DB_KEY(struct policy_change, changed_by),
	DB_INT(struct policy_change, changed_at_us),
};
static const struct db_column state_columns[] = {
	DB_INT(struct policy_state, workspace),
	DB_KEY(struct policy_state, version),
	DB_BYTES(struct policy_state, hash),
	DB_KEY(struct policy_state, exceptions.emergency_since_us),
	DB_KEY(struct policy_state, exceptions.emergency_until_us),
	DB_KEY(struct policy_state, exceptions.emergency_by),
	DB_TEXT(struct policy_state, exceptions.emergency_reason),
	DB_KEY(struct policy_state, exceptions.stopped_since_us),
	DB_KEY(struct policy_state, exceptions.stopped_by),
	DB_TEXT(struct policy_state, exceptions.stopped_reason),
};

static const struct db_sql sql_change_insert = {
	"INSERT INTO policy_change (" CHANGE_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"};
static const struct db_sql sql_changes = {
	"SELECT " CHANGE_COLUMNS " FROM policy_change WHERE workspace = ?1 AND version < ?2 ORDER BY version DESC LIMIT ?3"};
static const struct db_sql sql_override_put = {
	"INSERT INTO policy_override (workspace, action, level, since) VALUES (?1, ?2, ?3, ?4) "
	"ON CONFLICT (workspace, action) DO UPDATE SET level = ?3, since = ?4"};
static const struct db_sql sql_override_remove = {"DELETE FROM policy_override WHERE workspace = ?1 AND action = ?2"};
static const struct db_sql sql_overrides = {
	"SELECT action, level, since FROM policy_override WHERE workspace = ?1 ORDER BY since LIMIT ?2"};
static const struct db_sql sql_state_put = {
	"INSERT INTO policy_state (" STATE_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) "
	"ON CONFLICT (workspace) DO UPDATE SET version = ?2, hash = ?3, emergency_since = ?4, emergency_until = ?5, emergency_by = ?6, "
	"emergency_reason = ?7, stopped_since = ?8, stopped_by = ?9, stopped_reason = ?10"};
static const struct db_sql sql_states = {
	"SELECT w.id, p.version, p.hash, p.emergency_since, p.emergency_until, p.emergency_by, p.emergency_reason, p.stopped_since, "
	"p.stopped_by, p.stopped_reason FROM workspace AS w LEFT JOIN policy_state AS p ON p.workspace = w.id ORDER BY w.id"};

static const struct db_sql sql_reasons_erase = {
	"UPDATE policy_change SET reason = NULL WHERE workspace = ?1 AND version IN (SELECT version FROM policy_change "
	"WHERE workspace = ?1 AND changed_by = ?2 AND reason IS NOT NULL ORDER BY version LIMIT ?3)"};
static const struct db_sql sql_emergencies = {"SELECT workspace FROM policy_state WHERE emergency_until IS NOT NULL ORDER BY emergency_until"};

enum err policy_change_insert(struct db *db, const struct policy_change *change)
{
	struct db_stmt *stmt = db_use(db, &sql_change_insert);
	db_bind_row(stmt, DB_COLUMNS(change_columns), change);
	return db_run(stmt);
}

enum err policy_changes(struct db *db, int64_t workspace, int64_t before, int64_t limit, policy_change_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_changes);
	enum err err;
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, before);
	db_bind_int(stmt, 3, limit);
	while (db_next(stmt, &err)) {
		struct policy_change change;
		db_read_row(stmt, DB_COLUMNS(change_columns), &change);
		if (!fn(&change, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err policy_reasons_erase(struct db *db, int64_t workspace, int64_t principal, int64_t limit, int64_t *erased)
{
	struct db_stmt *stmt = db_use(db, &sql_reasons_erase);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, principal);
	db_bind_int(stmt, 3, limit);
	enum err err = db_run(stmt);
	*erased = err == ERR_OK ? db_changes(db) : 0;
	return err;
}

enum err policy_override_put(struct db *db, int64_t workspace, struct str action, int level, int64_t since)
{
	struct db_stmt *stmt = db_use(db, level != 0 ? &sql_override_put : &sql_override_remove);
	db_bind_int(stmt, 1, workspace);
	db_bind_text(stmt, 2, action);
	if (level != 0) {
		db_bind_int(stmt, 3, level);
		db_bind_int(stmt, 4, since);
	}
	return db_run(stmt);
}

enum err policy_state_put(struct db *db, const struct policy *policy)
{
	struct policy_state state = {.workspace = policy->workspace,
		.version = policy->version,
		.hash = str_make((const char *)policy->hash, sizeof(policy->hash)),
		.exceptions = policy->exceptions};
	struct db_stmt *stmt = db_use(db, &sql_state_put);
	db_bind_row(stmt, DB_COLUMNS(state_columns), &state);
	return db_run(stmt);
}

enum err policy_states(struct db *db, policy_state_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_states);
	enum err err;
	while (db_next(stmt, &err)) {
		struct policy_state state;
		db_read_row(stmt, DB_COLUMNS(state_columns), &state);
		err = fn(&state, arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err policy_overrides_read(struct db *db, struct policy_set *set, struct policy_draft *draft)
{
	struct db_stmt *stmt = db_use(db, &sql_overrides);
	enum err err;
	draft->override_count = 0;
	db_bind_int(stmt, 1, draft->workspace);
	db_bind_int(stmt, 2, LIMIT_POLICY_OVERRIDES);
	while (db_next(stmt, &err)) {
		struct str action = policy_name_keep(set, db_text(stmt, 0));
		if (action.at == NULL) {
			db_reset(stmt);
			return ERR_MEMORY;
		}
		draft->overrides[draft->override_count++] = (struct policy_override){action, db_int(stmt, 1), db_int(stmt, 2)};
	}
	return err;
}

enum err policy_emergencies(struct db *db, enum err (*fn)(int64_t workspace, void *arg), void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_emergencies);
	enum err err;
	while (db_next(stmt, &err)) {
		err = fn(db_int(stmt, 0), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
