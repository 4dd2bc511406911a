/*
 * ledger_priv.h - what the files of the ledger share.
 *
 * For:     ledger.c, ledger_sums.c, ledger_store.c, budget.c, money_api.c, spend.c.
 * Not for: others (ledger.h).
 * Threads: as in ledger.h; statements where said.
 * Memory:  a budget is immutable once put; its live part stays until the end.
 */
#ifndef GUILD_GOVERNANCE_LEDGER_PRIV_H
#define GUILD_GOVERNANCE_LEDGER_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/agent.h"
#include "base/map.h"
#include "base/zone.h"
#include "command/change.h"
#include "command/overlay.h"
#include "command/query.h"
#include "governance/ledger.h"

enum budget_kind { BUDGET_OF_WORKSPACE = 1, BUDGET_OF_USER, BUDGET_OF_AGENT };

/* What of a budget moves with every run. */
struct budget_live {
	/* the writer's */
	int64_t month;               /* 0: not read from the store yet */
	int64_t reserved, settled;
	bool is_dirty;
	struct budget_live *dirty_next;
	/* as committed, for loops */
	_Atomic int64_t shown_month, shown_until_us, shown_reserved, shown_settled, shown_used;
};

struct budget {
	int64_t scope, workspace, limit_micro, alert_month, updated_at_us, updated_by, revision; /* limit_micro -1: none */
	int64_t alerted;             /* bits of budget_thresholds */
	enum budget_kind kind;
	enum budget_mode mode;
	char zone_name[LIMIT_ZONE_NAME + 1]; /* of a workspace, else "UTC" */
	const struct zone *zone;     /* the ledger's; NULL: UTC */
	struct budget_live *live;
};

/* ledger_sums.c: what the open transaction adds. */
struct ledger_sums;
enum err ledger_sums_create(struct ledger *ledger, struct ledger_sums **out) MUST_USE;
void ledger_sums_destroy(struct ledger_sums **sums);
enum err ledger_sums_add(struct ledger_sums *sums, const struct ledger_entry *entry) MUST_USE;
/* What the open transaction has added to a balance so far. */
void ledger_sums_of(const struct ledger_sums *sums, int64_t scope, int64_t month, int64_t *reserved, int64_t *settled);
struct command_overlay ledger_sums_overlay(struct ledger_sums *sums);

struct zone_entry {
	char name[LIMIT_ZONE_NAME + 1];
	struct zone *zone;
};

struct ledger {
	struct guild *guild;
	struct overlay budgets;          /* scope -> struct budget */
	struct map lives;                /* scope -> struct budget_live; the writer's */
	struct budget_live *dirty;       /* the writer's: to be shown after the commit */
	struct ledger_sums *sums;
	atomic_bool any;                 /* there may be a budget */
	pthread_mutex_t zones_lock;      /* of the zones */
	struct zone_entry *zones[LIMIT_ZONES];
	size_t zone_count;
};

/* ---- ledger.c ---- */
/* The zone of that name, kept. Any thread. ERR_INVALID, ERR_LIMIT, ERR_MEMORY. *out NULL: UTC. */
enum err ledger_zone(struct ledger *ledger, struct str name, const struct zone **out) MUST_USE;
/* On the writer. */
enum err ledger_live(struct ledger *ledger, int64_t scope, struct budget_live **out) MUST_USE;
/* Makes the live part that of month. */
enum err ledger_live_ensure(struct ledger *ledger, struct db *db, const struct budget *budget, int64_t month) MUST_USE;
void ledger_live_dirty(struct ledger *ledger, struct budget_live *live);
struct budget *budget_copy(const struct budget *from);
struct budget_state budget_state_of(const struct budget *budget);
/* The zone of a workspace's months. writer: with what the open transaction changed. */
const struct zone *ledger_workspace_zone(struct ledger *ledger, int64_t workspace, bool writer, struct str *name);

/* ---- budget.c ---- */
struct budget_row {
	struct budget budget;        /* without zone and live */
	struct str zone_name;
	int64_t month, reserved, settled;
};
/* "workspace", "user:<id>", "agent:<id>" */
struct str budget_scope_text(struct guild *guild, struct arena *arena, enum budget_kind kind, int64_t scope);
void budget_json(struct guild *guild, const struct budget_row *row, struct json_out *out);
void budget_put_start(struct guild *guild, struct http_request *request, const struct budget *budget);

/* ---- ledger_store.c ---- */
enum err balance_row_add(struct db *db, int64_t workspace, enum budget_kind kind, int64_t scope, int64_t month, int64_t reserved,
			 int64_t settled) MUST_USE;
enum err balance_row_get(struct db *db, int64_t scope, int64_t month, int64_t *reserved, int64_t *settled) MUST_USE; /* zeros: none */
struct spend_row {
	int64_t workspace, quarter, agent, owner;
	struct str provider, model;
	int64_t cost, cost_unknown, runs, tokens_in, tokens_out;
};
enum err spend_row_add(struct db *db, const struct spend_row *row) MUST_USE;
enum err budget_row_put(struct db *db, const struct budget *budget) MUST_USE;
enum err budget_row_alerted(struct db *db, const struct budget *budget) MUST_USE;
typedef bool budget_row_fn(const struct budget_row *row, void *arg);
/* With scope > after, in its order; workspace 0: of all. Balances are those of month. */
enum err budget_rows(struct db *db, int64_t workspace, int64_t after, int64_t month, budget_row_fn *fn, void *arg) MUST_USE;

#define QUARTER_US (INT64_C(900) * 1000000)
enum spend_by { SPEND_BY_QUARTER, SPEND_BY_AGENT, SPEND_BY_USER, SPEND_BY_MODEL };
struct spend_range {
	int64_t workspace, from, until; /* quarters, until not included */
	int64_t owner;                  /* 0: of all */
};
typedef enum err spend_row_fn(const struct spend_row *row, void *arg);
/* The sums of a range by one of its columns, the others being 0: quarters in order, all others the dearest first, at most LIMIT_SPEND_ROWS. */
enum err spend_rows(struct db *db, const struct spend_range *range, enum spend_by by, spend_row_fn *fn, void *arg) MUST_USE;

/* spend.c */
void spend_start(struct guild *guild, struct http_request *request, const struct spend_range *range, int64_t month, struct str zone_name,
		 const struct zone *zone);

#endif
