/*
 * verify_ledger_store.c - the ledger's rows, added up, are what balances and spending say.
 *
 * The log is walked in short reads. The one that reaches its end compares too, in the same state of the store: what runs meanwhile cannot come
 * between.
 */
#include <stdio.h>

#include "base/id.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/zone.h"
#include "db/row.h"
#include "ops/verify_priv.h"

enum { MONTH_OF_ALL = -1, ARENA_BYTES_MAX = LIMIT_LEDGER_VERIFY * 96 };

/* Of a scope's month; of MONTH_OF_ALL for an agent (spending) and for a workspace (open runs). */
struct sum {
	struct sum *next, *chain;
	int64_t scope, month;
	int kind; /* 1 workspace, 2 user, 3 agent */
	int64_t reserved, settled;
	bool seen;
};

struct verify_ledger {
	struct siphash_key seed;
	struct arena arena;
	struct map map;
	struct sum *first;
	int64_t after;
};

static const struct db_sql sql_log = {
	"SELECT seq, month, workspace, principal, agent, reserve_micro, settle_micro FROM log WHERE seq > ?1 ORDER BY seq LIMIT ?2"};
static const struct db_sql sql_balance = {"SELECT scope, month, kind, reserved, settled FROM balance ORDER BY scope, month"};
static const struct db_sql sql_spend = {"SELECT agent, 3, sum(cost) FROM spend GROUP BY agent ORDER BY agent"};
static const struct db_sql sql_open = {
	"SELECT workspace, 1, sum(reserve_micro) FROM turn WHERE status <= 2 GROUP BY workspace ORDER BY workspace"};

enum err verify_ledger_create(struct verify_ledger **out)
{
	struct verify_ledger *ledger = mem_alloc(sizeof(*ledger));
	*out = ledger;
	if (ledger == NULL) {
		return ERR_MEMORY;
	}
	ledger->seed = (struct siphash_key){0x6c6564676572, 0x73756d73};
	arena_init(&ledger->arena, ARENA_BYTES_MAX);
	map_init(&ledger->map, LIMIT_LEDGER_VERIFY);
	return ERR_OK;
}

void verify_ledger_destroy(struct verify_ledger **ledger)
{
	if (*ledger != NULL) {
		arena_fini(&(*ledger)->arena);
		map_fini(&(*ledger)->map);
		mem_free(*ledger);
		*ledger = NULL;
	}
}

/* NULL: there is none (make false), or no room. */
static struct sum *sum_of(struct verify_ledger *ledger, int kind, int64_t scope, int64_t month, bool make)
{
	const int64_t parts[2] = {scope, month};
	uint64_t key = map_hash(&ledger->seed, str_make(parts, sizeof(parts)));
	struct sum *chain = map_get(&ledger->map, key), *sum = chain;
	while (sum != NULL && (sum->scope != scope || sum->month != month)) {
		sum = sum->chain;
	}
	if (sum != NULL || !make) {
		return sum;
	}
	sum = arena_new(&ledger->arena, struct sum);
	if (sum == NULL) {
		return NULL;
	}
	*sum = (struct sum){.next = ledger->first, .chain = chain, .scope = scope, .month = month, .kind = kind};
	if (map_put(&ledger->map, key, sum) != ERR_OK) {
		return NULL;
	}
	ledger->first = sum;
	return sum;
}

static enum err add(struct verify_ledger *ledger, int kind, int64_t scope, int64_t month, int64_t reserved, int64_t settled)
{
	struct sum *sum = scope != 0 ? sum_of(ledger, kind, scope, month, true) : NULL;
	if (sum != NULL) {
		sum->reserved += reserved;
		sum->settled += settled;
	}
	return sum != NULL || scope == 0 ? ERR_OK : ERR_LIMIT;
}

static enum err log_add(struct verify_ledger *ledger, struct db *db, int rows, int64_t *seen, bool *more)
{
	struct db_stmt *stmt = db_use(db, &sql_log);
	enum err err;
	int count = 0;
	db_bind_int(stmt, 1, ledger->after);
	db_bind_int(stmt, 2, rows);
	while (db_next(stmt, &err)) {
		int64_t month = db_int(stmt, 1), workspace = db_int(stmt, 2), principal = db_int(stmt, 3), agent = db_int(stmt, 4);
		int64_t reserved = db_int(stmt, 5), settled = db_int(stmt, 6);
		count++;
		ledger->after = db_int(stmt, 0);
		if (reserved == 0 && settled == 0) {
			continue;
		}
		err = add(ledger, 1, workspace, month, reserved, settled);
		err = err == ERR_OK ? add(ledger, 2, principal, month, reserved, settled) : err;
		err = err == ERR_OK ? add(ledger, 3, agent, month, reserved, settled) : err;
		err = err == ERR_OK ? add(ledger, 3, agent, MONTH_OF_ALL, 0, settled) : err;
		err = err == ERR_OK ? add(ledger, 1, workspace, MONTH_OF_ALL, reserved, 0) : err;
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
	*seen += count;
	*more = err == ERR_OK && count == rows;
	return err;
}

static void say(const struct siphash_key *secret, int kind, int64_t scope, int64_t month, const char *what, int64_t said, int64_t counted,
		struct verify_result *result)
{
	static const enum id_kind kinds[] = {ID_WORKSPACE, ID_WORKSPACE, ID_PRINCIPAL, ID_AGENT};
	struct id_text id = id_format(secret, kinds[kind >= 1 && kind <= 3 ? kind : 0], scope);
	struct zone_text text = zone_month_text(month);
	result->state = VERIFY_BAD;
	snprintf(result->bad, sizeof(result->bad), "%s%s%s: %s %lld, the ledger's rows add up to %lld", id.text, month != MONTH_OF_ALL ? " " : "",
		 month != MONTH_OF_ALL ? text.text : "", what, (long long)said, (long long)counted);
}

static enum err balances_compare(struct verify_ledger *ledger, struct db *db, const struct siphash_key *secret, struct verify_result *result)
{
	struct db_stmt *stmt = db_use(db, &sql_balance);
	enum err err;
	while (db_next(stmt, &err)) {
		int64_t scope = db_int(stmt, 0), month = db_int(stmt, 1), reserved = db_int(stmt, 3), settled = db_int(stmt, 4);
		int kind = (int)db_int(stmt, 2);
		struct sum none = {.kind = kind}, *sum = sum_of(ledger, kind, scope, month, false);
		sum = sum != NULL ? sum : &none;
		sum->seen = true;
		if (sum->settled != settled || sum->reserved != reserved) {
			bool is_settled = sum->settled != settled;
			say(secret, kind, scope, month, is_settled ? "settled is" : "reserved is", is_settled ? settled : reserved,
			    is_settled ? sum->settled : sum->reserved, result);
			db_reset(stmt);
			return ERR_OK;
		}
	}
	for (const struct sum *sum = ledger->first; err == ERR_OK && sum != NULL; sum = sum->next) {
		if (!sum->seen && sum->month != MONTH_OF_ALL && (sum->settled != 0 || sum->reserved != 0)) {
			say(secret, sum->kind, sum->scope, sum->month, "there is no balance, settled is", 0, sum->settled, result);
			return ERR_OK;
		}
	}
	return err;
}

/* Sums over all months: what is spent by agent, or what open runs hold by workspace. */
static enum err totals_compare(struct verify_ledger *ledger, struct db *db, const struct db_sql *sql, const struct siphash_key *secret,
			       struct verify_result *result)
{
	struct db_stmt *stmt = db_use(db, sql);
	bool is_spend = sql == &sql_spend;
	int kind = is_spend ? 3 : 1;
	enum err err;
	for (struct sum *sum = ledger->first; sum != NULL; sum = sum->next) {
		sum->seen = false;
	}
	while (db_next(stmt, &err)) {
		int64_t scope = db_int(stmt, 0), said = db_int(stmt, 2);
		struct sum none = {0}, *sum = sum_of(ledger, kind, scope, MONTH_OF_ALL, false);
		sum = sum != NULL ? sum : &none;
		sum->seen = true;
		if (said != (is_spend ? sum->settled : sum->reserved)) {
			say(secret, kind, scope, MONTH_OF_ALL, is_spend ? "its spending is" : "its open runs hold", said,
			    is_spend ? sum->settled : sum->reserved, result);
			db_reset(stmt);
			return ERR_OK;
		}
	}
	for (const struct sum *sum = ledger->first; err == ERR_OK && sum != NULL; sum = sum->next) {
		int64_t counted = is_spend ? sum->settled : sum->reserved;
		if (!sum->seen && sum->month == MONTH_OF_ALL && sum->kind == kind && counted != 0) {
			say(secret, kind, sum->scope, MONTH_OF_ALL, is_spend ? "its spending is" : "its open runs hold", 0, counted, result);
			return ERR_OK;
		}
	}
	return err;
}

enum err verify_ledger_step(struct verify_ledger *ledger, struct db *db, int rows, const struct siphash_key *secret, struct verify_result *result,
			    bool *more)
{
	enum err err = log_add(ledger, db, rows, &result->rows, more);
	if (err != ERR_OK || *more) {
		return err;
	}
	err = balances_compare(ledger, db, secret, result);
	if (err == ERR_OK && result->state != VERIFY_BAD) {
		err = totals_compare(ledger, db, &sql_spend, secret, result);
	}
	if (err == ERR_OK && result->state != VERIFY_BAD) {
		err = totals_compare(ledger, db, &sql_open, secret, result);
	}
	return err;
}
