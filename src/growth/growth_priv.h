/*
 * growth_priv.h - evidence, readiness and reputation: what their rules, rows and commands share.
 *
 * For:     growth/ alone.
 * Not for: feedback (feedback_priv.h).
 * Threads: rules any; rows on the connection's owner; level_start on loops.
 * Memory:  plain values; JSON in the writer given.
 */
#ifndef GUILD_GROWTH_GROWTH_PRIV_H
#define GUILD_GROWTH_GROWTH_PRIV_H

#include "agent/agent.h"
#include "agent/tally.h"
#include "command/change.h"
#include "growth/growth.h"

/* ---- evidence_store.c ---- */

/* What is known of an agent since its last change of level. */
struct evidence {
	int64_t since_us;      /* 0: it has had this level since it was made */
	int64_t episodes;      /* successful ones; completed runs of sessions with at least two messages until there are episodes */
	int64_t runs;          /* ended, however */
	int64_t rejections;    /* approvals that a human rejected */
	int64_t cancels;       /* runs that a human cancelled */
	int64_t corrections;   /* accepted ones */
	int64_t actions;
	int64_t refusals;      /* of the actions */
};
/* The one way to evidence. tallies NULL: as it is on disk; else in apply, with what the open transaction changed. */
enum err evidence_read(struct tally_table *tallies, struct db *db, int64_t agent, struct evidence *out) MUST_USE;

/* ---- readiness_rules.c: pure ---- */

/* What the next level takes. */
struct readiness_need {
	int64_t episodes;
	int rate_percent, compliance_percent, score_percent;
};
enum readiness_gap { GAP_EPISODES = 1, GAP_INTERVENTIONS = 2, GAP_COMPLIANCE = 4, GAP_SCORE = 8 };
struct readiness {
	const struct readiness_need *need; /* NULL: there is no next level */
	int64_t rate_e4;       /* interventions a run, rounded up */
	int64_t compliance_e4, score_e4; /* rounded down: what is shown never reaches a threshold that is not reached */
	unsigned gaps;
	bool ready;
};
/* Numbers in evidence are not negative. */
void readiness_judge(enum maturity maturity, const struct evidence *evidence, struct readiness *out);

/* The wire object; the names of the gaps, separated by commas. */
void readiness_json(struct guild *guild, int64_t agent, enum maturity maturity, const struct evidence *evidence, struct json_out *out);
void readiness_gaps_put(const struct readiness *readiness, struct buf *out);

/* ---- level.c: one step up or down ---- */

struct level_input {
	int64_t agent;
	int by;                /* 1 or -1 */
	bool override;         /* up though the evidence does not suffice */
	bool incident;         /* down, for something that has happened */
	struct str reason;     /* at NULL: none given */
};
/* Answers the request. */
void level_start(struct guild *guild, struct http_request *request, const struct agent *agent, const struct level_input *input);

/* ---- reputation_rules.c: pure; reputation_store.c; reputation.c ---- */

enum { REPUTATION_DAYS = 30, REPUTATION_MAX = 100 };
struct reputation {
	struct tally tally;
	int64_t agents, below, equal;       /* all of the workspace; those with a lower score; with the same, itself too */
	int64_t days[2 * REPUTATION_DAYS];  /* points won or lost by day, oldest first; the last is today */
};
int64_t reputation_score(const struct tally *tally);
/* How many of a hundred agents are below it, those of the same score half: in tenths. */
int64_t reputation_percentile_e1(const struct reputation *reputation);
void reputation_json(struct guild *guild, int64_t agent, const struct reputation *reputation, struct json_out *out);
/* Everything of it; as many rows as there are agents are counted, in an index. */
enum err reputation_read(struct db *db, int64_t workspace, int64_t agent, int64_t today, struct reputation *out) MUST_USE;
/* A handler. */
void reputation_handle(struct http_request *request, void *ctx);

#endif
