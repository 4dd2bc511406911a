/* ledger.c - budgets in memory: whether one more run is allowed, and who asks on which thread. */
#include "governance/ledger.h"

#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "governance/ledger_priv.h"

static void budget_free(void *value);

/* ---- life ---- */

enum err ledger_create(struct guild *guild, struct ledger **out)
{
	struct ledger *ledger = mem_alloc(sizeof(*ledger));
	*out = NULL;
	if (ledger == NULL) {
		return ERR_MEMORY;
	}
	ledger->guild = guild;
	overlay_init(&ledger->budgets, guild->snap, LIMIT_BUDGETS, budget_free);
	map_init(&ledger->lives, LIMIT_BUDGETS * 2);
	atomic_init(&ledger->any, false);
	pthread_mutex_init(&ledger->zones_lock, NULL);
	enum err err = ledger_sums_create(ledger, &ledger->sums);
	if (err != ERR_OK) {
		ledger_destroy(&ledger);
		return err;
	}
	*out = ledger;
	return ERR_OK;
}

void ledger_destroy(struct ledger **ledger_at)
{
	struct ledger *ledger = *ledger_at;
	size_t cursor = 0;
	uint64_t key;
	void *live;
	if (ledger == NULL) {
		return;
	}
	overlay_fini(&ledger->budgets);
	while (map_next(&ledger->lives, &cursor, &key, &live)) {
		mem_free(live);
	}
	map_fini(&ledger->lives);
	ledger_sums_destroy(&ledger->sums);
	for (size_t i = 0; i < ledger->zone_count; i++) {
		zone_destroy(&ledger->zones[i]->zone);
		mem_free(ledger->zones[i]);
	}
	pthread_mutex_destroy(&ledger->zones_lock);
	mem_free(ledger);
	*ledger_at = NULL;
}

static void budget_free(void *value)
{
	mem_free(value);
}

struct budget *budget_copy(const struct budget *from)
{
	struct budget *to = mem_alloc(sizeof(*to));
	if (to != NULL) {
		*to = *from;
	}
	return to;
}

struct load {
	struct ledger *ledger;
	struct db *db;
	enum err err;
};

/* A zone that the system no longer has counts as UTC: budgets go on, and it is said. */
static bool load_row(const struct budget_row *row, void *arg)
{
	struct load *load = arg;
	struct ledger *ledger = load->ledger;
	struct budget budget = row->budget;
	str_to_z(row->zone_name, budget.zone_name, sizeof(budget.zone_name));
	if (ledger_zone(ledger, row->zone_name, &budget.zone) != ERR_OK) {
		log_at(LOG_ERROR, "time_zone_unknown", log_s("zone", row->zone_name), log_s("instead", STR("UTC")));
		budget.zone = NULL;
	}
	load->err = ledger_live(ledger, budget.scope, &budget.live);
	struct budget *kept = load->err == ERR_OK ? budget_copy(&budget) : NULL;
	load->err = load->err == ERR_OK && kept == NULL ? ERR_MEMORY : load->err;
	load->err = load->err == ERR_OK ? snapmap_put(&ledger->budgets.published, (uint64_t)budget.scope, kept) : load->err;
	return load->err == ERR_OK;
}

static enum err live_load(struct ledger *ledger, struct db *db)
{
	size_t cursor = 0;
	uint64_t key;
	void *value;
	enum err err = ERR_OK;
	int64_t now_us = env_wall_us(ledger->guild->env);
	while (err == ERR_OK && map_next(&ledger->lives, &cursor, &key, &value)) {
		const struct budget *budget = overlay_get_published(&ledger->budgets, key);
		if (budget != NULL) {
			err = ledger_live_ensure(ledger, db, budget, ledger_month(ledger, budget->workspace, now_us));
			atomic_store(&ledger->any, true);
		}
	}
	return err;
}

enum err ledger_load(struct ledger *ledger, struct db *db)
{
	struct load load = {ledger, db, ERR_OK};
	enum err err = budget_rows(db, 0, INT64_MIN, 0, load_row, &load);
	err = err == ERR_OK ? load.err : err;
	err = err == ERR_OK ? live_load(ledger, db) : err;
	if (err == ERR_OK) {
		struct command_overlay sums = ledger_sums_overlay(ledger->sums);
		sums.committed(sums.ctx); /* what was read is what loops see */
	}
	return err;
}

/* ---- zones ---- */

enum err ledger_zone(struct ledger *ledger, struct str name, const struct zone **out)
{
	enum err err = ERR_OK;
	*out = NULL;
	if (str_eq(name, STR("UTC"))) {
		return ERR_OK;
	}
	pthread_mutex_lock(&ledger->zones_lock);
	for (size_t i = 0; i < ledger->zone_count && *out == NULL; i++) {
		*out = str_eq(str_of(ledger->zones[i]->name), name) ? ledger->zones[i]->zone : NULL;
	}
	if (*out == NULL) {
		struct zone *zone = NULL;
		struct zone_entry *entry = NULL;
		err = ledger->zone_count < LIMIT_ZONES ? zone_load(name, &zone) : ERR_LIMIT;
		entry = err == ERR_OK ? mem_alloc(sizeof(*entry)) : NULL;
		if (entry != NULL) {
			str_to_z(name, entry->name, sizeof(entry->name));
			entry->zone = zone;
			ledger->zones[ledger->zone_count++] = entry;
			*out = zone;
		} else {
			zone_destroy(&zone);
			err = err == ERR_OK ? ERR_MEMORY : err;
		}
	}
	pthread_mutex_unlock(&ledger->zones_lock);
	return err;
}

const struct zone *ledger_workspace_zone(struct ledger *ledger, int64_t workspace, bool writer, struct str *name)
{
	const struct budget *budget = writer ? overlay_get(&ledger->budgets, (uint64_t)workspace)
					     : overlay_get_published(&ledger->budgets, (uint64_t)workspace);
	*name = budget != NULL ? str_of(budget->zone_name) : STR("UTC");
	return budget != NULL ? budget->zone : NULL;
}

int64_t ledger_month(struct ledger *ledger, int64_t workspace, int64_t now_us)
{
	struct str name;
	return zone_month(ledger != NULL ? ledger_workspace_zone(ledger, workspace, true, &name) : NULL, now_us);
}

/* ---- live parts ---- */

enum err ledger_live(struct ledger *ledger, int64_t scope, struct budget_live **out)
{
	*out = map_get(&ledger->lives, (uint64_t)scope);
	if (*out != NULL) {
		return ERR_OK;
	}
	struct budget_live *live = mem_alloc(sizeof(*live));
	enum err err = live != NULL ? map_put(&ledger->lives, (uint64_t)scope, live) : ERR_MEMORY;
	if (err != ERR_OK) {
		mem_free(live);
		return err;
	}
	*out = live;
	return ERR_OK;
}

void ledger_live_dirty(struct ledger *ledger, struct budget_live *live)
{
	if (!live->is_dirty) {
		live->is_dirty = true;
		live->dirty_next = ledger->dirty;
		ledger->dirty = live;
	}
}

enum err ledger_live_ensure(struct ledger *ledger, struct db *db, const struct budget *budget, int64_t month)
{
	struct budget_live *live = budget->live;
	struct str name;
	int64_t reserved, settled, reserved_now, settled_now;
	if (live->month == month) {
		return ERR_OK;
	}
	enum err err = balance_row_get(db, budget->scope, month, &reserved, &settled);
	if (err != ERR_OK) {
		return err;
	}
	ledger_sums_of(ledger->sums, budget->scope, month, &reserved_now, &settled_now);
	live->month = month;
	live->reserved = reserved + reserved_now;
	live->settled = settled + settled_now;
	const struct zone *zone = ledger_workspace_zone(ledger, budget->workspace, true, &name);
	atomic_store(&live->shown_until_us, zone_month_start_us(zone, month + 1));
	ledger_live_dirty(ledger, live);
	return ERR_OK;
}

struct budget_state budget_state_of(const struct budget *budget)
{
	return (struct budget_state){budget->limit_micro, budget->live->reserved, budget->live->settled};
}

/* ---- the writer ---- */

static enum err admit_one(struct ledger *ledger, struct db *db, int64_t scope, int64_t amount, int64_t month)
{
	const struct budget *budget = scope != 0 ? overlay_get(&ledger->budgets, (uint64_t)scope) : NULL;
	if (budget == NULL || budget->limit_micro < 0) {
		return ERR_OK;
	}
	enum err err = failpoint("budget");
	err = err == ERR_OK ? ledger_live_ensure(ledger, db, budget, month) : err;
	struct budget_state state = budget_state_of(budget);
	if (err != ERR_OK) {
		log_at(LOG_ERROR, "budget_not_checked", log_s("error", err_row(err)->code),
		       log_s("run", budget->mode == BUDGET_HARD ? STR("refused") : STR("let through")));
	} else {
		err = budget_allows(&state, amount) ? ERR_OK : ERR_BUDGET;
	}
	return err != ERR_OK && budget->mode == BUDGET_HARD ? ERR_BUDGET : ERR_OK;
}

enum err ledger_admit(struct ledger *ledger, struct db *db, const struct ledger_who *who, int64_t amount, int64_t now_us, int64_t *month)
{
	*month = ledger_month(ledger, who->workspace, now_us);
	if (ledger == NULL) {
		return ERR_OK;
	}
	enum err err = admit_one(ledger, db, who->workspace, amount, *month);
	err = err == ERR_OK ? admit_one(ledger, db, who->principal, amount, *month) : err;
	return err == ERR_OK ? admit_one(ledger, db, who->agent, amount, *month) : err;
}

enum err ledger_add(struct ledger *ledger, const struct ledger_entry *entry)
{
	return ledger != NULL ? ledger_sums_add(ledger->sums, entry) : ERR_OK;
}

static size_t budgets_mark(void *ctx)
{
	return overlay_mark(&((struct ledger *)ctx)->budgets);
}

static void budgets_undo_to(void *ctx, size_t mark)
{
	overlay_undo_to(&((struct ledger *)ctx)->budgets, mark);
}

static void budgets_committed(void *ctx)
{
	struct ledger *ledger = ctx;
	if (ledger->budgets.pending_count > 0) {
		atomic_store(&ledger->any, true);
		overlay_commit(&ledger->budgets);
	}
}

void ledger_overlays(struct ledger *ledger, struct command_overlay out[LEDGER_OVERLAYS])
{
	out[0] = ledger_sums_overlay(ledger->sums);
	out[1] = (struct command_overlay){.ctx = ledger, .mark = budgets_mark, .undo_to = budgets_undo_to, .committed = budgets_committed};
}

/* ---- loops ---- */

static bool used_up_one(struct ledger *ledger, int64_t scope)
{
	const struct budget *budget = scope != 0 ? overlay_get_published(&ledger->budgets, (uint64_t)scope) : NULL;
	if (budget == NULL || budget->mode != BUDGET_HARD || budget->limit_micro < 0 ||
	    atomic_load(&budget->live->shown_used) < budget->limit_micro) {
		return false;
	}
	/* A month that nobody has run in yet is the writer's to look at. */
	return budget->limit_micro == 0 || env_wall_us(ledger->guild->env) < atomic_load(&budget->live->shown_until_us);
}

bool ledger_used_up(struct ledger *ledger, const struct ledger_who *who)
{
	if (ledger == NULL || !atomic_load_explicit(&ledger->any, memory_order_relaxed)) {
		return false;
	}
	return used_up_one(ledger, who->workspace) || used_up_one(ledger, who->principal) || used_up_one(ledger, who->agent);
}

struct tariff ledger_tariff(struct guild *guild, struct str provider, struct str model)
{
	struct tariff tariff = {.is_unknown = false};
	/* Nobody is paid for these: the responder is ours, an external agent's program is its owner's. */
	if (provider.len == 0 || str_eq(provider, STR("builtin")) || str_eq(provider, STR("external"))) {
		return tariff;
	}
	const struct catalogue_model *row = guild->catalogue != NULL ? catalogue_find(catalogue_now(guild->catalogue), provider, model) : NULL;
	if (row != NULL) {
		return (struct tariff){.price = row->price, .output_max = row->output_max};
	}
	tariff.is_unknown = true;
	tariff.price = (struct price){.in = guild->settings.unknown_price_in, .out = guild->settings.unknown_price_out,
				      .cached = guild->settings.unknown_price_in};
	return tariff;
}

void ledger_agent_budget(struct guild *guild, int64_t agent, struct json_out *out)
{
	struct ledger *ledger = guild->ledger;
	const struct budget *budget = ledger != NULL ? overlay_get_published(&ledger->budgets, (uint64_t)agent) : NULL;
	if (budget == NULL || budget->limit_micro < 0) {
		json_null(out);
		return;
	}
	struct str name;
	int64_t now_us = env_wall_us(guild->env);
	bool now = now_us < atomic_load(&budget->live->shown_until_us);
	struct zone_text month = zone_month_text(zone_month(ledger_workspace_zone(ledger, budget->workspace, false, &name), now_us));
	json_object(out);
	json_put_int(out, STR("limit_micro"), budget->limit_micro);
	json_put_str(out, STR("mode"), budget->mode == BUDGET_HARD ? STR("hard") : STR("warn"));
	json_put_str(out, STR("month"), str_of(month.text));
	json_put_int(out, STR("settled_micro"), now ? atomic_load(&budget->live->shown_settled) : 0);
	json_put_int(out, STR("reserved_micro"), now ? atomic_load(&budget->live->shown_reserved) : 0);
	json_object_end(out);
}
