/*
 * flood.c - requests past the rate limit, as one counted audit entry a second for each principal and action.
 *
 * A refused client must not be able to fill the disk: what the limit turns away is only counted here, on its loop, and once a
 * second what was counted is written. More different ones than there are rows share the last row, which then names no action.
 */
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "command/change.h"
#include "ops/ops_priv.h"

#define FLOOD_ROWS  32
#define FLOOD_US    1000000
#define FLOOD_BYTES 16384

struct flood_row {
	struct caller caller;
	const char *action; /* of the route's table: static */
	int64_t count;
};

struct flood_loop {
	struct guild *guild;
	struct loop_timer timer;
	struct flood_row rows[FLOOD_ROWS];
	unsigned count;
};

struct flood {
	unsigned loop_count;
	struct flood_loop loops[];
};

/* One entry on its way to the store; frees itself when it is there. */
struct flood_entry {
	struct change change;
	struct arena arena;
};

static void timer_run(struct loop_timer *timer, struct loop *loop);
static enum err entry_apply(struct command *command, struct db *db);
static void entry_finish(struct command *command);

static const struct command_row entry_row = {"rate_limited", "read", entry_apply, NULL, entry_finish};

enum err flood_create(struct guild *guild, struct flood **out)
{
	struct flood *flood = mem_alloc(sizeof(*flood) + guild->loop_count * sizeof(struct flood_loop));
	*out = flood;
	if (flood == NULL) {
		return ERR_MEMORY;
	}
	flood->loop_count = guild->loop_count;
	for (unsigned i = 0; i < guild->loop_count; i++) {
		flood->loops[i].guild = guild;
		flood->loops[i].timer.run = timer_run;
	}
	return ERR_OK;
}

void flood_destroy(struct guild *guild, struct flood **flood)
{
	for (unsigned i = 0; *flood != NULL && i < (*flood)->loop_count; i++) {
		loop_timer_clear(guild->loops[i], &(*flood)->loops[i].timer);
	}
	mem_free(*flood);
	*flood = NULL;
}

void flood_count(struct flood *flood, struct loop *loop, const struct caller *caller, const char *action)
{
	struct flood_loop *own = &flood->loops[loop_number(loop)];
	struct flood_row *row = NULL;
	for (unsigned i = 0; i < own->count && row == NULL; i++) {
		if (own->rows[i].caller.principal == caller->principal && own->rows[i].action == action) {
			row = &own->rows[i];
		}
	}
	if (row == NULL && own->count < FLOOD_ROWS) {
		row = &own->rows[own->count++];
		*row = (struct flood_row){.caller = *caller, .action = action};
	} else if (row == NULL) {
		row = &own->rows[FLOOD_ROWS - 1];
		row->action = "several";
	}
	row->count++;
	if (own->timer.entry.index == 0 && loop_timer_set(loop, &own->timer, loop_now_us(loop) + FLOOD_US) != ERR_OK) {
		log_at(LOG_WARN, "flood_not_counted", log_i("requests", row->count));
	}
}

static enum err entry_write(struct guild *guild, struct loop *loop, const struct flood_row *row)
{
	struct arena arena;
	char change[160];
	arena_init(&arena, FLOOD_BYTES);
	struct flood_entry *entry = change_make(guild, &entry_row, &arena, loop, &row->caller, sizeof(*entry));
	if (entry == NULL) {
		arena_fini(&arena);
		return ERR_MEMORY;
	}
	snprintf(change, sizeof(change), "{\"action\":\"%s\",\"code\":\"rate_limited\",\"count\":%lld}", row->action, (long long)row->count);
	struct change_what what = {.change = str_of(change), .outcome = OUTCOME_FAILED};
	enum err err = change_audit(&entry->change, &what);
	entry->arena = arena;
	entry->change.command.arena = &entry->arena;
	if (err == ERR_OK) {
		err = command_submit(&entry->change.command, false);
	}
	if (err != ERR_OK) {
		arena = entry->arena;
		arena_fini(&arena);
	}
	return err;
}

static void timer_run(struct loop_timer *timer, struct loop *loop)
{
	struct flood_loop *own = container_of(timer, struct flood_loop, timer);
	for (unsigned i = 0; i < own->count; i++) {
		enum err err = entry_write(own->guild, loop, &own->rows[i]);
		if (err != ERR_OK) {
			log_at(LOG_WARN, "flood_not_written", log_s("code", err_row(err)->code), log_i("requests", own->rows[i].count));
		}
	}
	own->count = 0;
}

static enum err entry_apply(struct command *command, struct db *db)
{
	return change_log((struct change *)command, db);
}

static void entry_finish(struct command *command)
{
	struct flood_entry *entry = (struct flood_entry *)command;
	if (command->result != ERR_OK) {
		log_at(LOG_WARN, "flood_not_written", log_s("code", err_row(command->result)->code));
	}
	struct arena arena = entry->arena;
	arena_fini(&arena);
}
