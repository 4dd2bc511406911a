/*
 * erase_priv.h - the runs of a person who is erased.
 *
 * For:     erase.c, erase_store.c, engine.c.
 * Not for: other folders (execution.h).
 * Threads: rows on the writer; what is kept on its loop.
 * Memory:  plain data.
 */
#ifndef GUILD_EXECUTION_ERASE_PRIV_H
#define GUILD_EXECUTION_ERASE_PRIV_H

#include "command/erase.h"
#include "execution/execution_priv.h"

struct turn_mark {
	int64_t id;
	int status;
};
/* Of one window of runs those of the person, or in a session of theirs. */
enum err execution_turns_of(struct erase_step *step, struct db *db, struct turn_mark out[ERASE_ROWS_HEAVY], size_t *count, int64_t *upto) MUST_USE;
/* engine.c: finished streams of one principal are no longer kept. */
void engine_kept_drop(struct engine_shard *shard, int64_t principal);

#endif
