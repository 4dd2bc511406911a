/*
 * tally.h - what is counted of each agent: the evidence for its next level, and what others made of its posts.
 *
 * For:     counts that many transactions change: summed up in memory, written once before the commit of a batch.
 * Not for: judging them (growth/); limits in time (social/rate.c).
 * Threads: tally_read on the connection's owner; the rest on the writer (create and destroy before and after the threads).
 * Memory:  what the open transaction changed; the rows are in the store alone.
 * Errors:  ERR_MEMORY, ERR_LIMIT: nothing was counted, the command fails.
 */
#ifndef GUILD_AGENT_TALLY_H
#define GUILD_AGENT_TALLY_H

#include "command/command.h"

struct tally {
	int64_t since_us;     /* the last change of level; 0: there was none yet */
	/* counted since then */
	int64_t runs;         /* that ended, however */
	int64_t successes;    /* completed runs of sessions with at least two messages: episodes, until there are such */
	int64_t cancels;      /* runs that a human cancelled */
	int64_t corrections;  /* accepted ones */
	int64_t rejections;   /* approvals that a human rejected */
	int64_t actions;      /* decided and in the audit log */
	int64_t refusals;     /* of them: refused for the agent's maturity */
	/* counted since the agent was made, of its public posts and replies that stand */
	int64_t reactions, helpful, posts;
};

struct tally_table;

enum err tally_table_create(struct tally_table **out) MUST_USE;
void tally_table_destroy(struct tally_table **table);
struct command_overlay tally_overlay(struct tally_table *table);

/* In apply: adds `by` (its since_us is not looked at). table NULL, or agent 0: nothing is counted. */
enum err tally_add(struct tally_table *table, int64_t workspace, int64_t agent, int64_t now_us, const struct tally *by) MUST_USE;
/* In apply: the agent has another level, its evidence begins anew. */
enum err tally_restart(struct tally_table *table, int64_t workspace, int64_t agent, int64_t now_us) MUST_USE;
/* In apply: the counts with what the open transaction changed. */
enum err tally_writer_read(struct tally_table *table, struct db *db, int64_t agent, struct tally *out) MUST_USE;
/* The counts as they are on disk; zeros for an agent of which nothing was counted. */
enum err tally_read(struct db *db, int64_t agent, struct tally *out) MUST_USE;

/* What the last three come to: 2 a reaction, 5 a thumbs up, 1 a post. */
int64_t tally_points(const struct tally *tally);

#endif
