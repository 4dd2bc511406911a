/* flow.c - the one writer of states. */
#include "base/flow.h"

#include "base/check.h"
#include "base/log.h"

void flow_enter(const struct flow_table *table, struct str id, unsigned *state, unsigned next, const char *reason)
{
	unsigned old = *state;

	check(table->state_count <= 32 && old < table->state_count && next < table->state_count);
	check(table->states[old].next_mask >> next & 1);
	*state = next;
	if (log_level_now() > LOG_DEBUG) {
		return;
	}
	log_at(LOG_DEBUG, "state", log_s("flow", str_of(table->flow)), log_s("id", id),
	       log_s("old", str_of(table->states[old].name)), log_s("new", str_of(table->states[next].name)),
	       log_s("reason", str_of(reason)));
}
