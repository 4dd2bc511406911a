/*
 * erase.h - what a feature takes out of the store of a person who is erased, one bounded step at a time.
 *
 * For:     each feature's own part; ops/erase.c runs them one after the other, again until nothing is found any more.
 * Not for: what is over by its age (ops/retention.c); what one object's deletion does.
 * Threads: in apply.
 * Memory:  plain data. A step may run again after a rollback: it sets its own results only.
 *
 * A part looks at rows beyond `after` in the order of their keys, ERASE_ROWS_LOOKED of them at most, changes some ERASE_ROWS, and says how
 * far it came. What it leaves must be a store that holds together (ops/verify_store.c), after each step.
 */
#ifndef GUILD_COMMAND_ERASE_H
#define GUILD_COMMAND_ERASE_H

#include "command/guild.h"
#include "db/db.h"

enum { ERASE_ROWS_LOOKED = 500, ERASE_ROWS = 100, ERASE_ROWS_HEAVY = 20 };

struct erase_step {
	struct guild *guild;
	int64_t workspace, principal, now_us;
	int64_t after;  /* key reached; 0 where the part begins. Set to what was reached now */
	int64_t rows;   /* result: erased, or changed */
	bool more;      /* result: another step is due */
	bool wait;      /* result: something has to end first; the next step comes later */
};
typedef enum err erase_fn(struct erase_step *step, struct db *db);

/* Where a window of rows beyond step->after ends. end: a statement that gives the key at an offset: ?1 after, ?2 offset. The last window ends
 * with INT64_MAX; then step->more is false. */
enum err erase_window(struct erase_step *step, struct db *db, const struct db_sql *end, int rows, int64_t *upto) MUST_USE;
/* Runs a statement that changes rows of the person in that window: ?1 after, ?2 upto, ?3 principal. */
enum err erase_run(struct erase_step *step, struct db *db, const struct db_sql *sql, int64_t upto) MUST_USE;

#endif
