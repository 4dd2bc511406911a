/* ledger_sums.c - what a transaction adds to balances and spending: summed up, written once before its commit. */
#include "base/check.h"
#include "base/mem.h"
#include "governance/ledger_priv.h"

enum { ARENA_BYTES_MAX = LIMIT_LEDGER_SUMS * 512 };

struct balance_sum {
	struct balance_sum *next, *chain; /* as they came; of the same hash */
	int64_t scope, workspace, month;
	enum budget_kind kind;
	int64_t reserved, settled;
};

struct spend_sum {
	struct spend_sum *next, *chain;
	struct spend_row row;
};

/* One of the additions, to be taken back. */
struct step {
	struct balance_sum *balance; /* or */
	struct spend_sum *spend;
	int64_t reserved, settled;
	bool cost_unknown;
	int64_t tokens_in, tokens_out;
};

struct ledger_sums {
	struct ledger *ledger;
	struct siphash_key seed;
	struct arena arena;
	struct map balances, spends;
	struct balance_sum *balance_first, *balance_last;
	struct spend_sum *spend_first, *spend_last;
	size_t count;
	struct step *steps;
	size_t step_count, step_cap;
};

static void forget(struct ledger_sums *sums);

enum err ledger_sums_create(struct ledger *ledger, struct ledger_sums **out)
{
	struct ledger_sums *sums = mem_alloc(sizeof(*sums));
	*out = sums;
	if (sums == NULL) {
		return ERR_MEMORY;
	}
	sums->ledger = ledger;
	env_random(ledger->guild->env, &sums->seed, sizeof(sums->seed));
	arena_init(&sums->arena, ARENA_BYTES_MAX);
	map_init(&sums->balances, LIMIT_LEDGER_SUMS);
	map_init(&sums->spends, LIMIT_LEDGER_SUMS);
	return ERR_OK;
}

void ledger_sums_destroy(struct ledger_sums **sums)
{
	if (*sums != NULL) {
		arena_fini(&(*sums)->arena);
		map_fini(&(*sums)->balances);
		map_fini(&(*sums)->spends);
		mem_free((*sums)->steps);
		mem_free(*sums);
		*sums = NULL;
	}
}

/* ---- adding ---- */

static enum err step_room(struct ledger_sums *sums, struct step **out)
{
	if (sums->step_count == sums->step_cap) {
		size_t cap = sums->step_cap != 0 ? sums->step_cap * 2 : 256;
		struct step *steps = mem_grow(sums->steps, cap * sizeof(*steps));
		if (steps == NULL) {
			return ERR_MEMORY;
		}
		sums->steps = steps;
		sums->step_cap = cap;
	}
	*out = &sums->steps[sums->step_count];
	return sums->count < LIMIT_LEDGER_SUMS ? ERR_OK : ERR_LIMIT;
}

static uint64_t balance_key(const struct ledger_sums *sums, int64_t scope, int64_t month)
{
	const int64_t parts[2] = {scope, month};
	return map_hash(&sums->seed, str_make(parts, sizeof(parts)));
}

static struct balance_sum *balance_find(const struct ledger_sums *sums, int64_t scope, int64_t month)
{
	struct balance_sum *sum = map_get(&sums->balances, balance_key(sums, scope, month));
	while (sum != NULL && (sum->scope != scope || sum->month != month)) {
		sum = sum->chain;
	}
	return sum;
}

static struct balance_sum *balance_of(struct ledger_sums *sums, int64_t workspace, enum budget_kind kind, int64_t scope, int64_t month)
{
	struct balance_sum *sum = balance_find(sums, scope, month);
	if (sum != NULL) {
		return sum;
	}
	uint64_t key = balance_key(sums, scope, month);
	sum = arena_new(&sums->arena, struct balance_sum);
	if (sum == NULL) {
		return NULL;
	}
	*sum = (struct balance_sum){.chain = map_get(&sums->balances, key), .scope = scope, .workspace = workspace, .month = month, .kind = kind};
	if (map_put(&sums->balances, key, sum) != ERR_OK) {
		return NULL;
	}
	if (sums->balance_last != NULL) {
		sums->balance_last->next = sum;
	} else {
		sums->balance_first = sum;
	}
	sums->balance_last = sum;
	sums->count++;
	return sum;
}

/* A budget's live part follows at once: the next run of the same batch is measured by it. */
static void live_move(struct ledger_sums *sums, const struct balance_sum *sum, int64_t reserved, int64_t settled)
{
	struct budget_live *live = map_get(&sums->ledger->lives, (uint64_t)sum->scope);
	if (live != NULL && live->month == sum->month) {
		live->reserved += reserved;
		live->settled += settled;
		ledger_live_dirty(sums->ledger, live);
	}
}

static enum err balance_add(struct ledger_sums *sums, const struct ledger_entry *entry, enum budget_kind kind, int64_t scope)
{
	struct step *step;
	enum err err = scope != 0 ? step_room(sums, &step) : ERR_OK;
	if (err != ERR_OK || scope == 0) {
		return err;
	}
	struct balance_sum *sum = balance_of(sums, entry->who.workspace, kind, scope, entry->month);
	if (sum == NULL) {
		return ERR_MEMORY;
	}
	sum->reserved += entry->reserve_micro;
	sum->settled += entry->settle_micro;
	live_move(sums, sum, entry->reserve_micro, entry->settle_micro);
	*step = (struct step){.balance = sum, .reserved = entry->reserve_micro, .settled = entry->settle_micro};
	sums->step_count++;
	return ERR_OK;
}

static bool spend_same(const struct spend_row *a, const struct spend_row *b)
{
	return a->workspace == b->workspace && a->quarter == b->quarter && a->agent == b->agent && a->owner == b->owner &&
	       str_eq(a->provider, b->provider) && str_eq(a->model, b->model);
}

static struct spend_sum *spend_of(struct ledger_sums *sums, const struct spend_row *row)
{
	const int64_t parts[4] = {row->workspace, row->quarter, row->agent, row->owner};
	uint64_t key = map_hash(&sums->seed, str_make(parts, sizeof(parts))) ^ map_hash(&sums->seed, row->model);
	struct spend_sum *chain = map_get(&sums->spends, key);
	for (struct spend_sum *sum = chain; sum != NULL; sum = sum->chain) {
		if (spend_same(&sum->row, row)) {
			return sum;
		}
	}
	struct spend_sum *sum = arena_new(&sums->arena, struct spend_sum);
	if (sum == NULL) {
		return NULL;
	}
	*sum = (struct spend_sum){.chain = chain, .row = *row};
	sum->row.provider = arena_copy(&sums->arena, row->provider);
	sum->row.model = arena_copy(&sums->arena, row->model);
	if (sum->row.provider.at == NULL || sum->row.model.at == NULL || map_put(&sums->spends, key, sum) != ERR_OK) {
		return NULL;
	}
	if (sums->spend_last != NULL) {
		sums->spend_last->next = sum;
	} else {
		sums->spend_first = sum;
	}
	sums->spend_last = sum;
	sums->count++;
	return sum;
}

static void spend_move(struct spend_sum *sum, const struct step *step, int64_t sign)
{
	struct spend_row *row = &sum->row;
	row->cost += sign * step->settled;
	row->cost_unknown += step->cost_unknown ? sign * step->settled : 0;
	row->runs += sign;
	row->tokens_in += sign * step->tokens_in;
	row->tokens_out += sign * step->tokens_out;
}

static enum err spend_add(struct ledger_sums *sums, const struct ledger_entry *entry)
{
	struct spend_row row = {.workspace = entry->who.workspace,
				.quarter = entry->recorded_at_us / QUARTER_US,
				.agent = entry->who.agent,
				.owner = entry->who.principal,
				.provider = entry->provider.at != NULL ? entry->provider : STR(""),
				.model = entry->model.at != NULL ? entry->model : STR("")};
	struct step *step;
	enum err err = step_room(sums, &step);
	if (err != ERR_OK) {
		return err;
	}
	struct spend_sum *sum = spend_of(sums, &row);
	if (sum == NULL) {
		return ERR_MEMORY;
	}
	*step = (struct step){.spend = sum,
			      .settled = entry->settle_micro,
			      .cost_unknown = entry->cost_unknown,
			      .tokens_in = entry->tokens_in,
			      .tokens_out = entry->tokens_out};
	spend_move(sum, step, 1);
	sums->step_count++;
	return ERR_OK;
}

enum err ledger_sums_add(struct ledger_sums *sums, const struct ledger_entry *entry)
{
	if (entry->reserve_micro == 0 && entry->settle_micro == 0) {
		return ERR_OK; /* what costs nothing touches nothing */
	}
	enum err err = balance_add(sums, entry, BUDGET_OF_WORKSPACE, entry->who.workspace);
	err = err == ERR_OK ? balance_add(sums, entry, BUDGET_OF_USER, entry->who.principal) : err;
	err = err == ERR_OK ? balance_add(sums, entry, BUDGET_OF_AGENT, entry->who.agent) : err;
	return err == ERR_OK && entry->settle_micro != 0 ? spend_add(sums, entry) : err;
}

void ledger_sums_of(const struct ledger_sums *sums, int64_t scope, int64_t month, int64_t *reserved, int64_t *settled)
{
	const struct balance_sum *sum = balance_find(sums, scope, month);
	*reserved = sum != NULL ? sum->reserved : 0;
	*settled = sum != NULL ? sum->settled : 0;
}

/* ---- following transactions ---- */

static size_t overlay_mark_now(void *ctx)
{
	return ((struct ledger_sums *)ctx)->step_count;
}

static void overlay_undo(void *ctx, size_t mark)
{
	struct ledger_sums *sums = ctx;
	while (sums->step_count > mark) {
		const struct step *step = &sums->steps[--sums->step_count];
		if (step->spend != NULL) {
			spend_move(step->spend, step, -1);
		} else {
			step->balance->reserved -= step->reserved;
			step->balance->settled -= step->settled;
			live_move(sums, step->balance, -step->reserved, -step->settled);
		}
	}
	if (sums->step_count == 0) {
		forget(sums);
	}
}

static enum err overlay_flush(void *ctx, struct db *db)
{
	struct ledger_sums *sums = ctx;
	enum err err = ERR_OK;
	for (const struct balance_sum *sum = sums->balance_first; sum != NULL && err == ERR_OK; sum = sum->next) {
		if (sum->reserved != 0 || sum->settled != 0) {
			err = balance_row_add(db, sum->workspace, sum->kind, sum->scope, sum->month, sum->reserved, sum->settled);
		}
	}
	for (const struct spend_sum *sum = sums->spend_first; sum != NULL && err == ERR_OK; sum = sum->next) {
		if (sum->row.runs != 0) {
			err = spend_row_add(db, &sum->row);
		}
	}
	return err;
}

/* Loops see what is on disk now. */
static void overlay_done(void *ctx)
{
	struct ledger_sums *sums = ctx;
	struct ledger *ledger = sums->ledger;
	for (struct budget_live *live = ledger->dirty; live != NULL; live = live->dirty_next) {
		live->is_dirty = false;
		atomic_store(&live->shown_reserved, live->reserved);
		atomic_store(&live->shown_settled, live->settled);
		atomic_store(&live->shown_used, live->reserved + live->settled);
		atomic_store(&live->shown_month, live->month);
	}
	ledger->dirty = NULL;
	forget(sums);
}

static void forget(struct ledger_sums *sums)
{
	if (sums->balance_first != NULL) {
		map_fini(&sums->balances);
		map_init(&sums->balances, LIMIT_LEDGER_SUMS);
		map_fini(&sums->spends);
		map_init(&sums->spends, LIMIT_LEDGER_SUMS);
		arena_reset(&sums->arena, ARENA_BLOCK_MAX);
	}
	sums->balance_first = sums->balance_last = NULL;
	sums->spend_first = sums->spend_last = NULL;
	sums->count = 0;
	sums->step_count = 0;
}

struct command_overlay ledger_sums_overlay(struct ledger_sums *sums)
{
	return (struct command_overlay){sums, overlay_mark_now, overlay_undo, overlay_done, overlay_flush};
}
