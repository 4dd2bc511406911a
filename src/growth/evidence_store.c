/* evidence_store.c - where readiness has its evidence from: today the counts of agent/tally.h, one day episodes. */
#include "growth/growth_priv.h"

enum err evidence_read(struct tally_table *tallies, struct db *db, int64_t agent, struct evidence *out)
{
	struct tally tally;
	enum err err = tallies != NULL ? tally_writer_read(tallies, db, agent, &tally) : tally_read(db, agent, &tally);
	if (err == ERR_OK) {
		*out = (struct evidence){.since_us = tally.since_us,
			.episodes = tally.successes,
			.runs = tally.runs,
			.rejections = tally.rejections,
			.cancels = tally.cancels,
			.corrections = tally.corrections,
			.actions = tally.actions,
			.refusals = tally.refusals};
	}
	return err;
}
