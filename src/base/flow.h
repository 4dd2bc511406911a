/*
 * flow.h - a long-lived thing with named states.
 *
 * For:     one writer of a state that checks the transition against a table and logs "id old -> new reason".
 * Not for: running steps (each flow has its own step function).
 * Threads: the flow's loop.
 * Memory:  the table is constant.
 */
#ifndef GUILD_BASE_FLOW_H
#define GUILD_BASE_FLOW_H

#include "base/str.h"

struct flow_state {
	const char *name;
	uint32_t next_mask; /* bit i set: may go to state i */
};

struct flow_table {
	const char *flow;
	const struct flow_state *states;
	unsigned state_count;
};

/* Sets *state to next, logs at debug level; aborts on a transition that the table does not have. */
void flow_enter(const struct flow_table *table, struct str id, unsigned *state, unsigned next, const char *reason);

#endif
