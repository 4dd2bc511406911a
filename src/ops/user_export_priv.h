/*
 * user_export_priv.h - what a person gets of what the store has of them: sections of rows, as lines of JSON.
 *
 * For:     user_export.c (the stream), user_export_store.c (the sections).
 * Not for: erasing (erase_priv.h); the audit log as a whole (audit_export.c).
 * Threads: a reader's.
 * Memory:  lines are put into the buffer given.
 */
#ifndef GUILD_OPS_USER_EXPORT_PRIV_H
#define GUILD_OPS_USER_EXPORT_PRIV_H

#include "base/buf.h"
#include "ops/ops_priv.h"

struct user_export_place {
	struct guild *guild;
	int64_t principal;
	int64_t after;     /* key reached in the section */
	unsigned section;
	bool is_last;      /* set behind the last line */
	int64_t lines;     /* so far */
};
/* Puts the lines of the next rows of a section, or goes on to the next section. Behind the last: a line that says so and how many there were. */
enum err user_export_step(struct user_export_place *place, struct db *db, struct buf *out) MUST_USE;

#endif
