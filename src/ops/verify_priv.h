/*
 * verify_priv.h - the checks of a store's rows, and one step of one of them.
 *
 * For:     verify.c.
 * Not for: others (ops.h).
 * Threads: a reader's connection, whoever has it.
 * Memory:  plain data.
 */
#ifndef GUILD_OPS_VERIFY_PRIV_H
#define GUILD_OPS_VERIFY_PRIV_H

#include "base/id.h"
#include "db/db.h"
#include "ops/ops.h"

struct verify_compare {
	const char *name, *text;
	int kind;                    /* enum id_kind of its keys; 0: plain numbers */
	const char *says, *rows_say; /* in a finding: "message_count is 5, its messages are 4" */
	struct db_sql query;
};
/* Ends with name == NULL. */
extern const struct verify_compare verify_compares[];

struct verify_step {
	int64_t after;  /* key reached */
	int64_t rows;   /* looked at so far */
	bool more, bad; /* bad: the row with key `after` */
	int64_t said, counted;
};
/* Looks at the next rows; stops at the first bad one. */
enum err verify_compare_step(struct db *db, const struct verify_compare *check, int rows, struct verify_step *step) MUST_USE;

/* verify_ledger_store.c: adds up the ledger, and compares when its end is reached. A finding is in result. */
struct verify_ledger;
enum err verify_ledger_create(struct verify_ledger **out) MUST_USE;
void verify_ledger_destroy(struct verify_ledger **ledger);
enum err verify_ledger_step(struct verify_ledger *ledger, struct db *db, int rows, const struct siphash_key *secret, struct verify_result *result,
			    bool *more) MUST_USE;

#endif
