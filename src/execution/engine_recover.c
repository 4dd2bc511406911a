/* engine_recover.c - what a process that ended left behind: running ones are settled, queued ones get their turn. */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "execution/admit_priv.h"

struct open_list {
	int64_t *ids;
	size_t count, cap;
	bool running_only; /* as they are now: settling one gives the next queued one its turn */
};

/* Runs that share a transaction: one sync of the disk for all of them. */
struct settling {
	struct arena arenas[LIMIT_RECOVER_RUNS];
	struct command *commands[LIMIT_RECOVER_RUNS];
};

static enum err open_add(const struct turn *turn, void *arg);
static enum err open_read(struct db *db, struct open_list *list);
static enum err settle_all(struct engine *engine, const struct open_list *list);
static enum err settle_some(struct engine *engine, struct settling *settling, const int64_t *ids, size_t count, size_t *done);
static enum err revive_one(struct engine *engine, int64_t id);
static enum err stop_dependant(const int64_t *columns, void *arg);

enum err engine_recover(struct engine *engine)
{
	struct guild *guild = engine->guild;
	struct db *db = writer_db(guild->writer);
	struct open_list list = {.running_only = true};
	enum err err = admit_load(guild->admission, db);
	err = err == ERR_OK ? open_read(db, &list) : err;
	if (err == ERR_OK) {
		err = settle_all(engine, &list);
	}
	if (err == ERR_OK && list.count > 0) {
		log_at(LOG_WARN, "recovered", log_i("interrupted", (int64_t)list.count));
	}
	if (err == ERR_OK) {
		err = admit_resume(guild->admission, db);
	}
	if (err == ERR_OK) {
		list.count = 0;
		list.running_only = false;
		err = open_read(db, &list);
	}
	for (size_t i = 0; err == ERR_OK && i < list.count; i++) {
		err = revive_one(engine, list.ids[i]);
	}
	if (err == ERR_OK) {
		err = admit_each_failed(db, stop_dependant, engine);
	}
	mem_free(list.ids);
	return err;
}

static enum err open_add(const struct turn *turn, void *arg)
{
	struct open_list *list = arg;
	if (list->running_only && turn->status != EXECUTION_RUNNING) {
		return ERR_OK;
	}
	if (list->count == list->cap) {
		size_t cap = list->cap != 0 ? list->cap * 2 : 64;
		int64_t *ids = mem_grow(list->ids, cap * sizeof(*ids));
		if (ids == NULL) {
			return ERR_MEMORY;
		}
		list->ids = ids;
		list->cap = cap;
	}
	list->ids[list->count++] = turn->id;
	return ERR_OK;
}

static enum err open_read(struct db *db, struct open_list *list)
{
	return turn_each_open(db, open_add, list);
}

static enum err settle_all(struct engine *engine, const struct open_list *list)
{
	struct settling *settling = list->count > 0 ? mem_alloc(sizeof(*settling)) : NULL;
	enum err err = list->count > 0 && settling == NULL ? ERR_MEMORY : ERR_OK;
	size_t done = 0;
	while (err == ERR_OK && done < list->count) {
		size_t some = 0;
		err = settle_some(engine, settling, list->ids + done, list->count - done, &some);
		done += some;
	}
	mem_free(settling);
	return err;
}

static enum err settle_some(struct engine *engine, struct settling *settling, const int64_t *ids, size_t count, size_t *done)
{
	enum err err = ERR_OK;
	size_t n = 0;
	size_t bytes = 0;
	while (err == ERR_OK && n < count && n < LIMIT_RECOVER_RUNS && bytes < LIMIT_RECOVER_BYTES) {
		struct arena *arena = &settling->arenas[n];
		struct turn turn;
		arena_init(arena, LIMIT_FLOW_ARENA_BYTES);
		err = turn_get(writer_db(engine->guild->writer), arena, ids[n], &turn);
		if (err == ERR_OK) {
			err = settle_interrupted_make(engine->guild, arena, &turn, &settling->commands[n]);
		}
		bytes += arena->used_bytes;
		n++;
	}
	if (err == ERR_OK) {
		err = command_run_all(settling->commands, n);
	}
	if (err == ERR_OK) {
		metric_add(METRIC_EXECUTIONS_RECOVERED, (int64_t)n);
	}
	for (size_t i = 0; i < n; i++) {
		arena_fini(&settling->arenas[i]);
	}
	*done = n;
	return err;
}

/* The process ended before it could say so. */
static enum err stop_dependant(const int64_t *columns, void *arg)
{
	struct engine_order *order = engine_order_make(arg);
	if (order != NULL) {
		engine_stop_execution_take(order, columns[0], ERR_DEPENDENCY_FAILED, "what it waited for did not complete", false);
	}
	return order != NULL ? ERR_OK : ERR_MEMORY;
}

/* The loops do not run yet, so their shards may be filled from here; promoted ones start with their loop's first turn. */
static enum err revive_one(struct engine *engine, int64_t id)
{
	struct arena arena;
	struct turn turn;
	struct execution *execution;
	arena_init(&arena, LIMIT_FLOW_ARENA_BYTES);
	enum err err = turn_get(writer_db(engine->guild->writer), &arena, id, &turn);
	if (err == ERR_OK) {
		err = flow_revive(engine_shard_of(engine, id), &turn, &execution);
	}
	if (err == ERR_OK && turn.status == EXECUTION_RUNNING) {
		struct engine_order *order = engine_order_make(engine);
		err = order != NULL ? ERR_OK : ERR_MEMORY;
		if (order != NULL) {
			engine_dequeue_take(order, id);
		}
	} else if (err == ERR_OK) {
		engine_queue_hint_set(engine, turn.session);
	}
	arena_fini(&arena);
	return err;
}
