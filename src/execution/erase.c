/* erase.c - the runs of a person who is erased, and everybody's in that person's sessions. */
#include "base/mem.h"
#include "command/quota.h"
#include "execution/erase_priv.h"

enum err execution_erase(struct erase_step *step, struct db *db)
{
	struct turn_mark marks[ERASE_ROWS_HEAVY];
	size_t count = 0;
	int64_t upto;
	enum err err = execution_turns_of(step, db, marks, &count, &upto);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		if (marks[i].status <= EXECUTION_RUNNING) {
			struct engine_order *order = engine_order_make(step->guild->engine);
			if (order != NULL) {
				engine_stop_execution_take(order, marks[i].id, ERR_CANCELLED, "its user is erased", false);
			}
			step->wait = step->more = true;
			return ERR_OK;
		}
		struct execution_forget forget = {.sessions_before_us = INT64_MAX, .rows_max = ERASE_ROWS};
		err = execution_forget(db, marks[i].id, &forget);
		step->rows += forget.rows;
		if (err == ERR_OK && forget.session_owner != 0) {
			quota_give(step->guild->quota, QUOTA_SESSIONS, forget.session_owner);
		}
		if (err == ERR_OK && forget.left) {
			step->more = true;
			return ERR_OK;
		}
		step->after = marks[i].id;
	}
	if (count == ERASE_ROWS_HEAVY) {
		step->more = true;
	} else if (step->more) {
		step->after = upto;
	}
	return err;
}

/* ---- streams kept in memory after their end ---- */

struct forget_note {
	struct loop_note note;
	struct engine *engine;
	int64_t principal;
};

static void forget_run(struct loop_note *loop_note, struct loop *loop)
{
	struct forget_note *note = container_of(loop_note, struct forget_note, note);
	engine_kept_drop(&note->engine->shards[loop_number(loop)], note->principal);
	mem_free(note);
}

enum err execution_forget_kept(struct engine *engine, int64_t principal)
{
	for (unsigned i = 0; i < engine->shard_count; i++) {
		struct forget_note *note = mem_alloc(sizeof(*note));
		if (note == NULL) {
			return ERR_MEMORY;
		}
		*note = (struct forget_note){.note = {.run = forget_run}, .engine = engine, .principal = principal};
		loop_note_post(engine->shards[i].loop, &note->note);
	}
	return ERR_OK;
}
