/*
 * tally_priv.h - a batch's change of one agent's counts, and its rows.
 *
 * For:     tally.c, tally_store.c.
 * Not for: others (tally.h).
 * Threads: the writer.
 * Memory:  plain values.
 */
#ifndef GUILD_AGENT_TALLY_PRIV_H
#define GUILD_AGENT_TALLY_PRIV_H

#include "agent/tally.h"

enum { TALLY_DAYS_KEPT = 60 };
#define TALLY_DAY_US 86400000000ll

struct tally_change {
	int64_t workspace, agent, now_us;
	bool restarted;     /* the evidence on disk does not count any more; by.since_us says since when */
	struct tally by;
};

/* Adds a change to the rows of its agent. */
enum err tally_row_add(struct db *db, const struct tally_change *change) MUST_USE;

#endif
