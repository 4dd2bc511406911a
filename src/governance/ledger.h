/*
 * ledger.h - what runs reserve and cost, and the budgets that limit it.
 *
 * For:     prices of runs, the ledger's sums, the question whether a budget allows one more run.
 * Not for: the ledger's rows themselves: they are log rows of the run's own transactions (execution/).
 * Threads: ledger_admit, ledger_add and ledger_alert on the writer; ledger_used_up, ledger_tariff and budget_json on loops.
 * Memory:  the ledger owns its tables; a budget that was got is valid until the end of the loop's turn.
 * Errors:  ERR_BUDGET: a hard budget does not allow it, or whether it does cannot be found out.
 *
 * Everything is in micro-units, millionths of the currency. A run reserves in the transaction that records it and settles in the one that ends it,
 * both in the month in which it was recorded; the sums follow those transactions (command_overlay) and are written once a batch.
 */
#ifndef GUILD_GOVERNANCE_LEDGER_H
#define GUILD_GOVERNANCE_LEDGER_H

#include "command/guild.h"
#include "governance/ledger_rules.h"
#include "http/http.h"
#include "wire/json.h"

struct ledger;

/* Whom a run is charged to; 0: nobody of that kind. */
struct ledger_who {
	int64_t workspace, principal, agent;
};

struct ledger_entry {
	struct ledger_who who;
	int64_t month;
	int64_t reserve_micro;           /* more, or with a minus less */
	int64_t settle_micro;
	/* of a settling entry that is not 0: */
	int64_t recorded_at_us;
	struct str provider, model;
	int64_t tokens_in, tokens_out;
	bool cost_unknown;
};

enum err ledger_create(struct guild *guild, struct ledger **out) MUST_USE;
void ledger_destroy(struct ledger **ledger);
/* Start-up, before threads: reads budgets and their balances. */
enum err ledger_load(struct ledger *ledger, struct db *db) MUST_USE;
#define LEDGER_OVERLAYS 2
void ledger_overlays(struct ledger *ledger, struct command_overlay out[LEDGER_OVERLAYS]);

/* ---- loops; ledger may be NULL: there are no budgets ---- */

/* A hard budget of one of them has nothing left. No allocation, no lock. */
bool ledger_used_up(struct ledger *ledger, const struct ledger_who *who);
/* What a run there costs; of what has no price the settings' pessimistic one. */
struct tariff ledger_tariff(struct guild *guild, struct str provider, struct str model);
/* An agent's own budget as a JSON value, null: it has none. For guild->agent_budget. */
void ledger_agent_budget(struct guild *guild, int64_t agent, struct json_out *out);

/* ---- the writer, in apply; ledger may be NULL ---- */

/* Before the first write: may a run that reserves amount begin? *month is the one it belongs to. ERR_BUDGET. */
enum err ledger_admit(struct ledger *ledger, struct db *db, const struct ledger_who *who, int64_t amount, int64_t now_us, int64_t *month) MUST_USE;
int64_t ledger_month(struct ledger *ledger, int64_t workspace, int64_t now_us);
/* Sums up an entry whose log row is written. */
enum err ledger_add(struct ledger *ledger, const struct ledger_entry *entry) MUST_USE;
/* After a settling entry: tells of thresholds that were passed, with log rows of their own (at most one for each of the three). */
enum err ledger_alert(struct ledger *ledger, struct command *command, struct db *db, const struct ledger_entry *entry) MUST_USE;

/* GET /v1/budgets, PUT /v1/budgets/{scope}, GET /v1/spend, GET /v1/catalogue */
extern const struct http_route money_routes[];

#endif
