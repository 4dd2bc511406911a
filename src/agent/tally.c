/* tally.c - what a batch of transactions adds to the counts of agents, with the steps back for those that are undone. */
#include "base/check.h"
#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"
#include "agent/tally_priv.h"

struct tally_entry {
	struct tally_entry *next; /* in the order in which they came */
	struct tally_change change;
};

struct tally_step {
	struct tally_entry *entry;
	struct tally_change before;
};

struct tally_table {
	struct arena arena;
	struct map map;           /* agent -> struct tally_entry */
	struct tally_entry *first, *last;
	struct tally_step *steps;
	size_t step_count, step_cap;
};

static void batch_forget(struct tally_table *table);

int64_t tally_points(const struct tally *tally)
{
	return 2 * tally->reactions + 5 * tally->helpful + tally->posts;
}

enum err tally_table_create(struct tally_table **out)
{
	struct tally_table *table = mem_alloc(sizeof(*table));
	*out = table;
	if (table == NULL) {
		return ERR_MEMORY;
	}
	arena_init(&table->arena, LIMIT_TALLY_STEPS * sizeof(struct tally_entry) * 2);
	map_init(&table->map, LIMIT_TALLY_STEPS);
	return ERR_OK;
}

void tally_table_destroy(struct tally_table **table)
{
	if (*table == NULL) {
		return;
	}
	arena_fini(&(*table)->arena);
	map_fini(&(*table)->map);
	mem_free((*table)->steps);
	mem_free(*table);
	*table = NULL;
}

/* ---- counting ---- */

static struct tally_entry *entry_of(struct tally_table *table, int64_t workspace, int64_t agent)
{
	struct tally_entry *entry = map_get(&table->map, (uint64_t)agent);
	if (entry != NULL) {
		return entry;
	}
	entry = arena_new(&table->arena, struct tally_entry);
	if (entry == NULL || map_put(&table->map, (uint64_t)agent, entry) != ERR_OK) {
		return NULL;
	}
	entry->change.workspace = workspace;
	entry->change.agent = agent;
	if (table->last != NULL) {
		table->last->next = entry;
	} else {
		table->first = entry;
	}
	table->last = entry;
	return entry;
}

/* The agent's change, after how it was has been noted. NULL: *err says why not. */
static struct tally_change *step_begin(struct tally_table *table, int64_t workspace, int64_t agent, int64_t now_us, enum err *err)
{
	*err = table->step_count == LIMIT_TALLY_STEPS ? ERR_LIMIT : ERR_OK;
	if (*err == ERR_OK && table->step_count == table->step_cap) {
		size_t cap = table->step_cap != 0 ? table->step_cap * 2 : 64;
		struct tally_step *steps = mem_grow(table->steps, cap * sizeof(*steps));
		*err = steps != NULL ? ERR_OK : ERR_MEMORY;
		table->steps = steps != NULL ? steps : table->steps;
		table->step_cap = steps != NULL ? cap : table->step_cap;
	}
	struct tally_entry *entry = *err == ERR_OK ? entry_of(table, workspace, agent) : NULL;
	if (entry == NULL) {
		*err = *err == ERR_OK ? ERR_MEMORY : *err;
		return NULL;
	}
	table->steps[table->step_count++] = (struct tally_step){entry, entry->change};
	entry->change.now_us = now_us;
	return &entry->change;
}

static void add(struct tally *to, const struct tally *by)
{
	to->runs += by->runs;
	to->successes += by->successes;
	to->cancels += by->cancels;
	to->corrections += by->corrections;
	to->rejections += by->rejections;
	to->actions += by->actions;
	to->refusals += by->refusals;
	to->reactions += by->reactions;
	to->helpful += by->helpful;
	to->posts += by->posts;
}

enum err tally_add(struct tally_table *table, int64_t workspace, int64_t agent, int64_t now_us, const struct tally *by)
{
	enum err err;
	if (table == NULL || agent == 0) {
		return ERR_OK;
	}
	struct tally_change *change = step_begin(table, workspace, agent, now_us, &err);
	if (change != NULL) {
		add(&change->by, by);
	}
	return err;
}

static struct tally restarted(const struct tally *was, int64_t now_us)
{
	return (struct tally){.since_us = now_us, .reactions = was->reactions, .helpful = was->helpful, .posts = was->posts};
}

enum err tally_restart(struct tally_table *table, int64_t workspace, int64_t agent, int64_t now_us)
{
	enum err err;
	if (table == NULL) {
		return ERR_OK;
	}
	struct tally_change *change = step_begin(table, workspace, agent, now_us, &err);
	if (change != NULL) {
		change->restarted = true;
		change->by = restarted(&change->by, now_us);
	}
	return err;
}

enum err tally_writer_read(struct tally_table *table, struct db *db, int64_t agent, struct tally *out)
{
	enum err err = tally_read(db, agent, out);
	const struct tally_entry *entry = table != NULL ? map_get(&table->map, (uint64_t)agent) : NULL;
	if (err == ERR_OK && entry != NULL) {
		if (entry->change.restarted) {
			*out = restarted(out, entry->change.by.since_us);
		}
		add(out, &entry->change.by);
	}
	return err;
}

/* ---- following transactions ---- */

static size_t overlay_mark_now(void *ctx)
{
	return ((struct tally_table *)ctx)->step_count;
}

static void overlay_undo(void *ctx, size_t mark)
{
	struct tally_table *table = ctx;
	while (table->step_count > mark) {
		const struct tally_step *step = &table->steps[--table->step_count];
		step->entry->change = step->before;
	}
	if (table->step_count == 0) {
		batch_forget(table);
	}
}

static bool is_nothing(const struct tally_change *change)
{
	const struct tally *by = &change->by;
	return !change->restarted && (by->runs | by->successes | by->cancels | by->corrections | by->rejections | by->actions | by->refusals |
				      by->reactions | by->helpful | by->posts) == 0;
}

static enum err overlay_flush(void *ctx, struct db *db)
{
	const struct tally_table *table = ctx;
	enum err err = ERR_OK;
	for (const struct tally_entry *entry = table->first; entry != NULL && err == ERR_OK; entry = entry->next) {
		err = is_nothing(&entry->change) ? ERR_OK : tally_row_add(db, &entry->change);
	}
	return err;
}

static void overlay_done(void *ctx)
{
	batch_forget(ctx);
}

static void batch_forget(struct tally_table *table)
{
	if (table->first != NULL) {
		map_fini(&table->map);
		map_init(&table->map, LIMIT_TALLY_STEPS);
		arena_reset(&table->arena, ARENA_BLOCK_MAX);
	}
	table->first = table->last = NULL;
	table->step_count = 0;
}

struct command_overlay tally_overlay(struct tally_table *table)
{
	return (struct command_overlay){table, overlay_mark_now, overlay_undo, overlay_done, overlay_flush};
}
