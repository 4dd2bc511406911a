/* agent_store.c - SQL of the agent table. */
#include "agent/agent_priv.h"
#include "db/row.h"

#define AGENT_COLUMNS                                                                                                  \
	"id, workspace, name, handle, description, category, maturity, lifecycle, confidence_e4, kind, provider, model, "  \
	"capabilities, "                                                                                                   \
	"system_prompt, configuration, max_concurrent_runs, auto_reply, is_system, owner, created_at, updated_at, "        \
	"revision"

static const struct db_sql sql_insert = {
	"INSERT INTO agent (" AGENT_COLUMNS
	") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, "
	"?20, ?21, ?22)"};
static const struct db_sql sql_update = {"UPDATE agent SET name = ?2, description = ?3, category = ?4, maturity = ?5, "
										 "lifecycle = ?6, confidence_e4 = ?7, provider = ?8, "
										 "model = ?9, capabilities = ?10, system_prompt = ?11, configuration = ?12, "
										 "max_concurrent_runs = ?13, auto_reply = ?14, "
										 "updated_at = ?15, revision = ?16 WHERE id = ?1"};
static const struct db_sql sql_confidence = {
	"UPDATE agent SET confidence_e4 = ?2, maturity = ?3, updated_at = ?4, revision = ?5 WHERE id = ?1"};
static const struct db_sql sql_rows = {"SELECT " AGENT_COLUMNS " FROM agent WHERE id > ?1 ORDER BY id LIMIT ?2"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM (SELECT id FROM agent WHERE owner = ?1 LIMIT ?2) AS owned"};
static const struct db_sql sql_defaults = {"SELECT id, default_agent FROM workspace ORDER BY id"};

enum err agent_row_insert(struct db *db, const struct agent *agent)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_int(stmt, 1, agent->id);
	db_bind_int(stmt, 2, agent->workspace);
	db_bind_text(stmt, 3, agent->name);
	db_bind_text(stmt, 4, agent->handle);
	db_bind_text(stmt, 5, agent->description);
	db_bind_text(stmt, 6, agent->category);
	db_bind_int(stmt, 7, agent->maturity);
	db_bind_int(stmt, 8, agent->lifecycle);
	db_bind_int(stmt, 9, agent->confidence_e4);
	db_bind_int(stmt, 10, agent->kind);
	db_bind_text(stmt, 11, agent->provider);
	db_bind_text(stmt, 12, agent->model);
	db_bind_text(stmt, 13, agent->capabilities);
	db_bind_text(stmt, 14, agent->system_prompt);
	db_bind_text(stmt, 15, agent->configuration);
	db_bind_int(stmt, 16, agent->max_concurrent_runs);
	db_bind_int(stmt, 17, agent->auto_reply);
	db_bind_int(stmt, 18, agent->is_system);
	if (agent->owner != 0) {
		db_bind_int(stmt, 19, agent->owner);
	}
	db_bind_int(stmt, 20, agent->created_at_us);
	db_bind_int(stmt, 21, agent->updated_at_us);
	db_bind_int(stmt, 22, agent->revision);
	return db_run(stmt);
}

enum err agent_row_update(struct db *db, const struct agent *agent)
{
	struct db_stmt *stmt = db_use(db, &sql_update);
	db_bind_int(stmt, 1, agent->id);
	db_bind_text(stmt, 2, agent->name);
	db_bind_text(stmt, 3, agent->description);
	db_bind_text(stmt, 4, agent->category);
	db_bind_int(stmt, 5, agent->maturity);
	db_bind_int(stmt, 6, agent->lifecycle);
	db_bind_int(stmt, 7, agent->confidence_e4);
	db_bind_text(stmt, 8, agent->provider);
	db_bind_text(stmt, 9, agent->model);
	db_bind_text(stmt, 10, agent->capabilities);
	db_bind_text(stmt, 11, agent->system_prompt);
	db_bind_text(stmt, 12, agent->configuration);
	db_bind_int(stmt, 13, agent->max_concurrent_runs);
	db_bind_int(stmt, 14, agent->auto_reply);
	db_bind_int(stmt, 15, agent->updated_at_us);
	db_bind_int(stmt, 16, agent->revision);
	return db_run(stmt);
}

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

static void agent_of_row(struct db_stmt *stmt, struct agent *out)
{
	*out = (struct agent){
		.id = db_int(stmt, 0),
		.workspace = db_int(stmt, 1),
		.name = db_text(stmt, 2),
		.handle = db_text(stmt, 3),
		.description = db_text(stmt, 4),
		.category = db_text(stmt, 5),
		.maturity = (enum maturity)db_int(stmt, 6),
		.lifecycle = (enum lifecycle)db_int(stmt, 7),
		.confidence_e4 = (int)db_int(stmt, 8),
		.kind = (enum agent_kind)db_int(stmt, 9),
		.provider = db_text(stmt, 10),
		.model = db_text(stmt, 11),
		.capabilities = db_text(stmt, 12),
		.system_prompt = db_text(stmt, 13),
		.configuration = db_text(stmt, 14),
		.max_concurrent_runs = db_int(stmt, 15),
		.auto_reply = db_int(stmt, 16) != 0,
		.is_system = db_int(stmt, 17) != 0,
		.owner = db_is_null(stmt, 18) ? 0 : db_int(stmt, 18),
		.created_at_us = db_int(stmt, 19),
		.updated_at_us = db_int(stmt, 20),
		.revision = db_int(stmt, 21),
	};
}

enum err agent_rows(struct db *db, int64_t after, int64_t limit, agent_row_fn *fn, void *arg)
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
		struct agent agent;
		agent_of_row(stmt, &agent);
		if (!fn(&agent, arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
}

enum err agent_workspace_defaults(struct db *db, enum err (*fn)(int64_t workspace, int64_t agent, void *arg), void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_defaults);
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		err = fn(db_int(stmt, 0), db_is_null(stmt, 1) ? 0 : db_int(stmt, 1), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
}
