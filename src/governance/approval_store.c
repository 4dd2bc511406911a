/* approval_store.c - SQL of approvals. */
#include "db/row.h"
#include "governance/approval_priv.h"

#define APPROVAL_COLUMNS                                                                                               \
	"id, workspace, agent, requester, action, arguments, arguments_hash, hash, policy_version, reason, priority, "     \
	"status, requested_at, expires_at, decided_by, decided_at, consumed_at, note"

static const struct db_column columns[] = {
	DB_INT(struct approval, id),
	DB_INT(struct approval, workspace),
	DB_INT(struct approval, agent),
	DB_INT(struct approval, requester),
	DB_TEXT(struct approval, action),
	DB_TEXT(struct approval, arguments),
	DB_BYTES(struct approval, arguments_hash),
	DB_BYTES(struct approval, hash),
	DB_INT(struct approval, policy_version),
	DB_TEXT(struct approval, reason),
	DB_WORD(struct approval, priority),
	DB_WORD(struct approval, status),
	DB_INT(struct approval, requested_at_us),
	DB_INT(struct approval, expires_at_us),
	DB_KEY(struct approval, decided_by),
	DB_KEY(struct approval, decided_at_us),
	DB_KEY(struct approval, consumed_at_us),
	DB_TEXT(struct approval, note),
};

static const struct db_sql sql_insert = {
	"INSERT INTO approval (" APPROVAL_COLUMNS
	") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18)"};
static const struct db_sql sql_get = {"SELECT " APPROVAL_COLUMNS " FROM approval WHERE id = ?1"};
static const struct db_sql sql_by_hash = {"SELECT " APPROVAL_COLUMNS " FROM approval WHERE hash = ?1 AND status = 1"};
static const struct db_sql sql_first_open = {
	"SELECT " APPROVAL_COLUMNS " FROM approval WHERE status <= 2 ORDER BY expires_at LIMIT 1"};
static const struct db_sql sql_decide = {
	"UPDATE approval SET status = ?2, decided_by = ?3, decided_at = ?4, note = ?5 WHERE id = ?1 AND status = 1"};
static const struct db_sql sql_consume = {"UPDATE approval SET status = 3, consumed_at = ?2 WHERE id = ?1 AND status = 2"};
static const struct db_sql sql_end = {"UPDATE approval SET status = ?2 WHERE id = ?1 AND status <= 2"};
static const struct db_sql sql_first_stale = {
	"SELECT " APPROVAL_COLUMNS " FROM approval WHERE id = (SELECT a.id FROM policy_state AS p JOIN approval AS a "
	"ON a.workspace = p.workspace AND a.policy_version < p.version WHERE a.status <= 2 LIMIT 1)"};
static const struct db_sql sql_first_homeless = {
	"SELECT " APPROVAL_COLUMNS " FROM approval WHERE id = (SELECT a.id FROM approval AS a JOIN agent AS g ON g.id = a.agent "
	"WHERE a.status = 1 AND g.lifecycle = 4 LIMIT 1)"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM (SELECT id FROM approval WHERE agent = ?1 AND status = 1 LIMIT ?2) AS waiting"};
static const struct db_sql sql_rows = {
	"SELECT " APPROVAL_COLUMNS " FROM approval WHERE workspace = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"};

enum err approval_insert(struct db *db, const struct approval *approval)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), approval);
	return db_run(stmt);
}

/* The statement's one row, with its texts in arena. */
static enum err one(struct db_stmt *stmt, struct arena *arena, struct approval *out)
{
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	db_read_row(stmt, DB_COLUMNS(columns), out);
	struct str *texts[] = {&out->action, &out->arguments, &out->arguments_hash, &out->hash, &out->reason, &out->note};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i]->at != NULL) {
			*texts[i] = arena_copy(arena, *texts[i]);
			err = texts[i]->at != NULL ? err : ERR_LIMIT;
		}
	}
	db_reset(stmt);
	return err;
}

enum err approval_get(struct db *db, struct arena *arena, int64_t id, struct approval *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, id);
	return one(stmt, arena, out);
}

enum err approval_by_hash(struct db *db, struct arena *arena, struct str hash, struct approval *out)
{
	struct db_stmt *stmt = db_use(db, &sql_by_hash);
	db_bind_bytes(stmt, 1, hash);
	return one(stmt, arena, out);
}

enum err approval_first_open(struct db *db, struct arena *arena, struct approval *out)
{
	return one(db_use(db, &sql_first_open), arena, out);
}

enum err approval_first_stale(struct db *db, struct arena *arena, struct approval *out)
{
	enum err err = one(db_use(db, &sql_first_stale), arena, out);
	return err == ERR_NOT_FOUND ? one(db_use(db, &sql_first_homeless), arena, out) : err;
}

static enum err run_one(struct db *db, struct db_stmt *stmt)
{
	enum err err = db_run(stmt);
	return err == ERR_OK && db_changes(db) != 1 ? ERR_CONFLICT : err;
}

enum err approval_row_decide(struct db *db, const struct approval *approval)
{
	struct db_stmt *stmt = db_use(db, &sql_decide);
	db_bind_int(stmt, 1, approval->id);
	db_bind_int(stmt, 2, approval->status);
	db_bind_int(stmt, 3, approval->decided_by);
	db_bind_int(stmt, 4, approval->decided_at_us);
	db_bind_text(stmt, 5, approval->note);
	return run_one(db, stmt);
}

enum err approval_row_consume(struct db *db, int64_t id, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_consume);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, now_us);
	return run_one(db, stmt);
}

enum err approval_row_end(struct db *db, int64_t id, enum approval_status status)
{
	struct db_stmt *stmt = db_use(db, &sql_end);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, status);
	return run_one(db, stmt);
}

enum err approval_waiting_count(struct db *db, int64_t agent, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_count), agent, limit, count);
}

enum err approval_rows(struct db *db, int64_t workspace, int64_t before, int64_t limit, approval_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, before);
	db_bind_int(stmt, 3, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct approval approval;
		db_read_row(stmt, DB_COLUMNS(columns), &approval);
		if (!fn(&approval, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
