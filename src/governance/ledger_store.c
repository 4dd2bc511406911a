/* ledger_store.c - SQL of balances, spending and budgets. */
#include "db/row.h"
#include "governance/ledger_priv.h"

static const struct db_sql sql_balance_add = {
	"INSERT INTO balance (scope, month, kind, workspace, reserved, settled) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
	"ON CONFLICT (scope, month) DO UPDATE SET reserved = balance.reserved + ?5, settled = balance.settled + ?6"};
static const struct db_sql sql_balance_get = {"SELECT reserved, settled FROM balance WHERE scope = ?1 AND month = ?2"};
static const struct db_sql sql_spend_add = {
	"INSERT INTO spend (workspace, quarter, agent, owner, provider, model, cost, cost_unknown, runs, tokens_in, tokens_out) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
	"ON CONFLICT (workspace, quarter, agent, owner, provider, model) DO UPDATE SET cost = spend.cost + ?7, "
	"cost_unknown = spend.cost_unknown + ?8, runs = spend.runs + ?9, tokens_in = spend.tokens_in + ?10, tokens_out = spend.tokens_out + ?11"};
static const struct db_sql sql_budget_put = {
	"INSERT INTO budget (scope, kind, workspace, limits, limit_micro, time_zone, alert_month, alerted, updated_at, updated_by, revision) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) "
	"ON CONFLICT (scope) DO UPDATE SET limits = ?4, limit_micro = ?5, time_zone = ?6, alert_month = ?7, alerted = ?8, updated_at = ?9, "
	"updated_by = ?10, revision = ?11"};
static const struct db_sql sql_budget_alerted = {"UPDATE budget SET alert_month = ?2, alerted = ?3 WHERE scope = ?1"};

#define BUDGET_SELECT                                                                                                                          \
	"SELECT b.scope, b.kind, b.workspace, b.limits, coalesce(b.limit_micro, -1), b.time_zone, b.alert_month, b.alerted, b.updated_at, "           \
	"b.updated_by, b.revision, coalesce(s.reserved, 0), coalesce(s.settled, 0) FROM budget b LEFT JOIN balance s ON s.scope = b.scope AND "       \
	"s.month = ?1 "
static const struct db_sql sql_budget_all = {BUDGET_SELECT "WHERE b.scope > ?2 ORDER BY b.scope"};
static const struct db_sql sql_budget_workspace = {BUDGET_SELECT "WHERE b.workspace = ?3 AND b.scope > ?2 ORDER BY b.scope"};

#define SPEND_SUMS "sum(cost), sum(cost_unknown), sum(runs), sum(tokens_in), sum(tokens_out)"
#define SPEND_WHERE " FROM spend WHERE workspace = ?1 AND quarter >= ?2 AND quarter < ?3 AND (?4 = 0 OR owner = ?4) GROUP BY "
static const struct db_sql sql_spend_by[] = {
	[SPEND_BY_QUARTER] = {"SELECT quarter, 0, 0, NULL, NULL, " SPEND_SUMS SPEND_WHERE "quarter ORDER BY quarter"},
	[SPEND_BY_AGENT] = {"SELECT 0, agent, 0, NULL, NULL, " SPEND_SUMS SPEND_WHERE "agent ORDER BY sum(cost) DESC, agent LIMIT ?5"},
	[SPEND_BY_USER] = {"SELECT 0, 0, owner, NULL, NULL, " SPEND_SUMS SPEND_WHERE "owner ORDER BY sum(cost) DESC, owner LIMIT ?5"},
	[SPEND_BY_MODEL] = {"SELECT 0, 0, 0, provider, model, " SPEND_SUMS SPEND_WHERE
			    "provider, model ORDER BY sum(cost) DESC, provider, model LIMIT ?5"},
};

enum err balance_row_add(struct db *db, int64_t workspace, enum budget_kind kind, int64_t scope, int64_t month, int64_t reserved, int64_t settled)
{
	struct db_stmt *stmt = db_use(db, &sql_balance_add);
	db_bind_int(stmt, 1, scope);
	db_bind_int(stmt, 2, month);
	db_bind_int(stmt, 3, kind);
	db_bind_int(stmt, 4, workspace);
	db_bind_int(stmt, 5, reserved);
	db_bind_int(stmt, 6, settled);
	return db_run(stmt);
}

enum err balance_row_get(struct db *db, int64_t scope, int64_t month, int64_t *reserved, int64_t *settled)
{
	struct db_stmt *stmt = db_use(db, &sql_balance_get);
	*reserved = *settled = 0;
	db_bind_int(stmt, 1, scope);
	db_bind_int(stmt, 2, month);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		*reserved = db_int(stmt, 0);
		*settled = db_int(stmt, 1);
		db_reset(stmt);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err spend_row_add(struct db *db, const struct spend_row *row)
{
	struct db_stmt *stmt = db_use(db, &sql_spend_add);
	db_bind_int(stmt, 1, row->workspace);
	db_bind_int(stmt, 2, row->quarter);
	db_bind_int(stmt, 3, row->agent);
	db_bind_int(stmt, 4, row->owner);
	db_bind_text(stmt, 5, row->provider);
	db_bind_text(stmt, 6, row->model);
	db_bind_int(stmt, 7, row->cost);
	db_bind_int(stmt, 8, row->cost_unknown);
	db_bind_int(stmt, 9, row->runs);
	db_bind_int(stmt, 10, row->tokens_in);
	db_bind_int(stmt, 11, row->tokens_out);
	return db_run(stmt);
}

enum err budget_row_put(struct db *db, const struct budget *budget)
{
	struct db_stmt *stmt = db_use(db, &sql_budget_put);
	db_bind_int(stmt, 1, budget->scope);
	db_bind_int(stmt, 2, budget->kind);
	db_bind_int(stmt, 3, budget->workspace);
	db_bind_int(stmt, 4, budget->mode);
	if (budget->limit_micro >= 0) {
		db_bind_int(stmt, 5, budget->limit_micro);
	} else {
		db_bind_null(stmt, 5);
	}
	db_bind_text(stmt, 6, str_of(budget->zone_name));
	db_bind_int(stmt, 7, budget->alert_month);
	db_bind_int(stmt, 8, budget->alerted);
	db_bind_int(stmt, 9, budget->updated_at_us);
	db_bind_int(stmt, 10, budget->updated_by);
	db_bind_int(stmt, 11, budget->revision);
	return db_run(stmt);
}

enum err budget_row_alerted(struct db *db, const struct budget *budget)
{
	struct db_stmt *stmt = db_use(db, &sql_budget_alerted);
	db_bind_int(stmt, 1, budget->scope);
	db_bind_int(stmt, 2, budget->alert_month);
	db_bind_int(stmt, 3, budget->alerted);
	return db_run(stmt);
}

static void budget_read(struct db_stmt *stmt, int64_t month, struct budget_row *out)
{
	*out = (struct budget_row){.budget = {.scope = db_int(stmt, 0),
					      .kind = (enum budget_kind)db_int(stmt, 1),
					      .workspace = db_int(stmt, 2),
					      .mode = (enum budget_mode)db_int(stmt, 3),
					      .limit_micro = db_int(stmt, 4),
					      .alert_month = db_int(stmt, 6),
					      .alerted = db_int(stmt, 7),
					      .updated_at_us = db_int(stmt, 8),
					      .updated_by = db_int(stmt, 9),
					      .revision = db_int(stmt, 10)},
				   .zone_name = db_text(stmt, 5),
				   .month = month,
				   .reserved = db_int(stmt, 11),
				   .settled = db_int(stmt, 12)};
}

enum err budget_rows(struct db *db, int64_t workspace, int64_t after, int64_t month, budget_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, workspace != 0 ? &sql_budget_workspace : &sql_budget_all);
	enum err err;
	db_bind_int(stmt, 1, month);
	db_bind_int(stmt, 2, after);
	if (workspace != 0) {
		db_bind_int(stmt, 3, workspace);
	}
	while (db_next(stmt, &err)) {
		struct budget_row row;
		budget_read(stmt, month, &row);
		if (!fn(&row, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err spend_rows(struct db *db, const struct spend_range *range, enum spend_by by, spend_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_spend_by[by]);
	enum err err;
	db_bind_int(stmt, 1, range->workspace);
	db_bind_int(stmt, 2, range->from);
	db_bind_int(stmt, 3, range->until);
	db_bind_int(stmt, 4, range->owner);
	if (by != SPEND_BY_QUARTER) {
		db_bind_int(stmt, 5, LIMIT_SPEND_ROWS);
	}
	while (db_next(stmt, &err)) {
		struct spend_row row = {.quarter = db_int(stmt, 0),
					.agent = db_int(stmt, 1),
					.owner = db_int(stmt, 2),
					.provider = db_text(stmt, 3),
					.model = db_text(stmt, 4),
					.cost = db_int(stmt, 5),
					.cost_unknown = db_int(stmt, 6),
					.runs = db_int(stmt, 7),
					.tokens_in = db_int(stmt, 8),
					.tokens_out = db_int(stmt, 9)};
		enum err stop = fn(&row, arg);
		if (stop != ERR_OK) {
			db_reset(stmt);
			return stop;
		}
	}
	return err;
}
