/*
 * erase_priv.h - a person who is erased: the row that says how far it is, and the parts that have no feature of their own.
 *
 * For:     erase.c (the work), erase_api.c (routes), erase_store.c (SQL).
 * Not for: what features erase (command/erase.h).
 * Threads: rows on the connection's owner; erase_log on the writer; erase_* as said there.
 * Memory:  plain data.
 */
#ifndef GUILD_OPS_ERASE_PRIV_H
#define GUILD_OPS_ERASE_PRIV_H

#include "command/erase.h"
#include "ops/ops_priv.h"

struct erasure {
	int64_t principal, workspace, requested_by, requested_at_us;
	int64_t part, after;  /* where it stands */
	int64_t pass, found;  /* pass from 1; rows found in it */
	int64_t rows;         /* erased in all */
	int64_t ended_at_us;  /* 0: it goes on */
};

/* ---- erase_store.c ---- */
/* ERR_NOT_FOUND. */
enum err erase_row_get(struct db *db, int64_t principal, struct erasure *out) MUST_USE;
/* The first that goes on. ERR_NOT_FOUND. */
enum err erase_row_next(struct db *db, struct erasure *out) MUST_USE;
/* In place of the one before of the same person. */
enum err erase_row_put(struct db *db, const struct erasure *erasure) MUST_USE;
/* Content of the log that is the person's, or names them. The part that has to come after all others. */
enum err erase_log(struct erase_step *step, struct db *db) MUST_USE;

/* ---- erase.c ---- */
/* What is being done, and how many parts there are. */
const char *erase_part(int64_t part);
int64_t erase_parts(void);

#endif
