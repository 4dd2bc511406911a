/* agent_store.c - SQL of the agent table. */
#include "agent/agent_priv.h"
#include "db/row.h"

#define AGENT_COLUMNS                                                                                                  \
	"id, workspace, name, handle, description, category, maturity, lifecycle, confidence_e4, kind, provider, model, "  \
	"capabilities, system_prompt, configuration, max_concurrent_runs, auto_reply, is_system, owner, created_at, "      \
	"updated_at, revision"

static const struct db_column columns[] = {
	DB_INT(struct agent, id),
	DB_INT(struct agent, workspace),
	DB_TEXT(struct agent, name),
	DB_TEXT(struct agent, handle),
	DB_TEXT(struct agent, description),
	DB_TEXT(struct agent, category),
	DB_WORD(struct agent, maturity),
	DB_WORD(struct agent, lifecycle),
	DB_WORD(struct agent, confidence_e4),
	DB_WORD(struct agent, kind),
	DB_TEXT(struct agent, provider),
	DB_TEXT(struct agent, model),
	DB_TEXT(struct agent, capabilities),
	DB_TEXT(struct agent, system_prompt),
	DB_TEXT(struct agent, configuration),
	DB_INT(struct agent, max_concurrent_runs),
	DB_BOOL(struct agent, auto_reply),
	DB_BOOL(struct agent, is_system),
	DB_KEY(struct agent, owner),
	DB_INT(struct agent, created_at_us),
	DB_INT(struct agent, updated_at_us),
	DB_INT(struct agent, revision),
};

static const struct db_sql sql_insert = {
	"INSERT INTO agent (" AGENT_COLUMNS
	") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "
	"?20, ?21, ?22)"};
static const struct db_sql sql_update = {
	"UPDATE agent SET name = ?3, description = ?5, category = ?6, maturity = ?7, lifecycle = ?8, confidence_e4 = ?9, "
	"provider = ?11, model = ?12, capabilities = ?13, system_prompt = ?14, configuration = ?15, "
	"max_concurrent_runs = ?16, auto_reply = ?17, updated_at = ?21, revision = ?22 WHERE id = ?1"};
static const struct db_sql sql_handle = {"UPDATE agent SET handle = ?2 WHERE id = ?1"};
static const struct db_sql sql_owned = {"SELECT id FROM agent WHERE owner = ?1 AND id > ?2 ORDER BY id LIMIT ?3"};
static const struct db_sql sql_confidence = {
	"UPDATE agent SET confidence_e4 = ?2, maturity = ?3, updated_at = ?4, revision = ?5 WHERE id = ?1"};
static const struct db_sql sql_rows = {"SELECT " AGENT_COLUMNS " FROM agent WHERE id > ?1 ORDER BY id LIMIT ?2"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM (SELECT id FROM agent WHERE owner = ?1 LIMIT ?2) AS owned"};
static const struct db_sql sql_defaults = {"SELECT id, default_agent FROM workspace ORDER BY id"};

static enum err row_run(struct db *db, const struct db_sql *sql, const struct agent *agent)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_row(stmt, DB_COLUMNS(columns), agent);
	return db_run(stmt);
}

enum err agent_row_insert(struct db *db, const struct agent *agent)
{
	return row_run(db, &sql_insert, agent);
}

enum err agent_row_update(struct db *db, const struct agent *agent)
{
	return row_run(db, &sql_update, agent);
}

enum err agent_row_handle(struct db *db, const struct agent *agent)
{
	struct db_stmt *stmt = db_use(db, &sql_handle);
	db_bind_int(stmt, 1, agent->id);
	db_bind_text(stmt, 2, agent->handle);
	return db_run(stmt);
}

enum err agent_ids_owned(struct db *db, int64_t owner, int64_t after, size_t max, int64_t *out, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_owned);
	db_bind_int(stmt, 1, owner);
	db_bind_int(stmt, 2, after);
	db_bind_int(stmt, 3, (int64_t)max);
	*count = 0;
	enum err err;
	while (db_next(stmt, &err)) {
		out[(*count)++] = db_int(stmt, 0);
	}
	return err;
}

/* With most chats: binds no texts. */
enum err agent_row_confidence(struct db *db, const struct agent *agent)
{
	struct db_stmt *stmt = db_use(db, &sql_confidence);
	db_bind_int(stmt, 1, agent->id);
	db_bind_int(stmt, 2, agent->confidence_e4);
	db_bind_int(stmt, 3, agent->maturity);
	db_bind_int(stmt, 4, agent->updated_at_us);
	db_bind_int(stmt, 5, agent->revision);
	return db_run(stmt);
}

enum err agent_rows_count(struct db *db, int64_t owner, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_count), owner, limit, count);
}

enum err agent_rows(struct db *db, int64_t after, int64_t limit, agent_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct agent agent = {.id = 0};
		db_read_row(stmt, DB_COLUMNS(columns), &agent);
		if (!fn(&agent, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err agent_workspace_defaults(struct db *db, enum err (*fn)(int64_t workspace, int64_t agent, void *arg), void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_defaults);
	enum err err;
	while (db_next(stmt, &err)) {
		err = fn(db_int(stmt, 0), db_key(stmt, 1), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
