/* trend.c - what a transaction adds to the hours of topics: summed up, written once before its commit. */
#include "base/check.h"
#include "base/mem.h"
#include "social/trend_priv.h"

struct trend_entry {
	struct trend_entry *next;  /* in the order in which they came */
	struct trend_entry *chain; /* of the same hash */
	int64_t workspace, hour, delta;
	struct str topic;
};

struct trend_step {
	struct trend_entry *entry;
	int64_t delta;
};

enum { ARENA_BYTES_MAX = LIMIT_TRENDS * (LIMIT_TREND_BYTES + 128) };

static struct trend_entry *entry_of(struct trend_table *table, int64_t workspace, int64_t hour, struct str topic);
static void batch_forget(struct trend_table *table);

enum err trend_table_create(struct guild *guild, struct trend_table **out)
{
	struct trend_table *table = mem_alloc(sizeof(*table));
	*out = table;
	if (table == NULL) {
		return ERR_MEMORY;
	}
	env_random(guild->env, &table->seed, sizeof(table->seed));
	arena_init(&table->arena, ARENA_BYTES_MAX);
	map_init(&table->map, LIMIT_TRENDS);
	pthread_mutex_init(&table->lock, NULL);
	return ERR_OK;
}

void trend_table_destroy(struct trend_table **table)
{
	if (*table == NULL) {
		return;
	}
	trend_sums_drop(*table);
	arena_fini(&(*table)->arena);
	map_fini(&(*table)->map);
	mem_free((*table)->steps);
	pthread_mutex_destroy(&(*table)->lock);
	mem_free(*table);
	*table = NULL;
}

enum err trend_add(struct social *social, int64_t workspace, int64_t at_us, struct str topic, int delta)
{
	struct trend_table *table = social->trends;
	if (topic.len > LIMIT_TREND_BYTES || table->step_count == LIMIT_TRENDS || table->entry_count == LIMIT_TRENDS) {
		return ERR_LIMIT;
	}
	if (table->step_count == table->step_cap) {
		size_t cap = table->step_cap != 0 ? table->step_cap * 2 : 256;
		struct trend_step *steps = mem_grow(table->steps, cap * sizeof(*steps));
		if (steps == NULL) {
			return ERR_MEMORY;
		}
		table->steps = steps;
		table->step_cap = cap;
	}
	struct trend_entry *entry = entry_of(table, workspace, at_us / TREND_HOUR_US, topic);
	if (entry == NULL) {
		return ERR_MEMORY;
	}
	entry->delta += delta;
	table->steps[table->step_count++] = (struct trend_step){entry, delta};
	return ERR_OK;
}

static struct trend_entry *entry_of(struct trend_table *table, int64_t workspace, int64_t hour, struct str topic)
{
	uint64_t key = map_hash(&table->seed, topic) ^ (uint64_t)workspace ^ (uint64_t)hour << 40;
	struct trend_entry *chain = map_get(&table->map, key);
	for (struct trend_entry *entry = chain; entry != NULL; entry = entry->chain) {
		if (entry->workspace == workspace && entry->hour == hour && str_eq(entry->topic, topic)) {
			return entry;
		}
	}
	struct trend_entry *entry = arena_new(&table->arena, struct trend_entry);
	if (entry == NULL) {
		return NULL;
	}
	*entry = (struct trend_entry){.chain = chain, .workspace = workspace, .hour = hour, .topic = arena_copy(&table->arena, topic)};
	if (entry->topic.at == NULL || map_put(&table->map, key, entry) != ERR_OK) {
		return NULL;
	}
	if (table->last != NULL) {
		table->last->next = entry;
	} else {
		table->first = entry;
	}
	table->last = entry;
	table->entry_count++;
	return entry;
}

/* ---- following transactions ---- */

static size_t overlay_mark_now(void *ctx)
{
	return ((struct trend_table *)ctx)->step_count;
}

static void overlay_undo(void *ctx, size_t mark)
{
	struct trend_table *table = ctx;
	while (table->step_count > mark) {
		const struct trend_step *step = &table->steps[--table->step_count];
		step->entry->delta -= step->delta;
	}
	if (table->step_count == 0) {
		batch_forget(table);
	}
}

static enum err overlay_flush(void *ctx, struct db *db)
{
	struct trend_table *table = ctx;
	enum err err = ERR_OK;
	for (struct trend_entry *entry = table->first; entry != NULL && err == ERR_OK; entry = entry->next) {
		if (entry->delta != 0) {
			err = trend_store_add(db, entry->workspace, entry->hour, entry->topic, entry->delta);
		}
	}
	return err;
}

static void overlay_done(void *ctx)
{
	struct trend_table *table = ctx;
	int64_t past_until = atomic_load(&table->past_until);
	bool past = false;
	for (const struct trend_entry *entry = table->first; entry != NULL; entry = entry->next) {
		past = past || (entry->delta != 0 && entry->hour < past_until);
	}
	if (past) {
		atomic_fetch_add(&table->past_version, 1);
	}
	batch_forget(table);
}

static void batch_forget(struct trend_table *table)
{
	if (table->first != NULL) {
		map_fini(&table->map);
		map_init(&table->map, LIMIT_TRENDS);
		arena_reset(&table->arena, ARENA_BLOCK_MAX);
	}
	table->first = table->last = NULL;
	table->entry_count = 0;
	table->step_count = 0;
}

struct command_overlay trend_overlay(struct social *social)
{
	return (struct command_overlay){social->trends, overlay_mark_now, overlay_undo, overlay_done, overlay_flush};
}
