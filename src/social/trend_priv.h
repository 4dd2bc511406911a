/*
 * trend_priv.h - how often topics were named, hour by hour.
 *
 * For:     trend.c, trend_sum.c, trend_store.c and the row of GET /v1/trending.
 * Not for: who adds topics (trend_add in social_priv.h).
 * Threads: the batch is the writer's; trend_ask_make on a loop; trend_top on readers.
 * Memory:  sums of past hours are shared by readers, and counted; results are in the arena given.
 *
 * A window is the hour that goes on and those before it that it touches. Past hours change only when posts are deleted, so their
 * sum is kept: for the version that a question took with it before its reader's snapshot, so that it is never older than that.
 */
#ifndef GUILD_SOCIAL_TREND_PRIV_H
#define GUILD_SOCIAL_TREND_PRIV_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/map.h"
#include "social/social_priv.h"

#define TREND_HOUR_US INT64_C(3600000000)

struct trend_entry;
struct trend_step;
struct trend_sum;

struct trend_table {
	struct siphash_key seed;
	/* what the open transaction adds; the writer's */
	struct arena arena;
	struct map map;                /* hash -> struct trend_entry, chained */
	struct trend_entry *first, *last;
	size_t entry_count;
	struct trend_step *steps;
	size_t step_count, step_cap;
	/* sums of past hours */
	_Atomic int64_t past_until;    /* hours before it may be in a sum */
	_Atomic uint64_t past_version; /* grows when one of those changes */
	pthread_mutex_t lock;          /* of the rest */
	struct trend_sum *sums[LIMIT_TREND_SUMS];
	uint64_t uses;
};

/* A question, begun before its reader's snapshot. */
struct trend_ask {
	int64_t workspace, hour, hours;
	uint64_t version;
};

struct trend_topic {
	struct str topic;
	int64_t count;
};

struct trend_ask trend_ask_make(struct trend_table *table, int64_t workspace, int64_t now_us, int64_t hours);
/* The most used topics of the window, at most limit: by count, then name. */
enum err trend_top(struct trend_table *table, struct db *db, struct arena *arena, const struct trend_ask *ask, size_t limit,
		   struct trend_topic **out, size_t *count) MUST_USE;
void trend_sums_drop(struct trend_table *table);

/* trend_store.c */
enum err trend_store_add(struct db *db, int64_t workspace, int64_t hour, struct str topic, int64_t delta) MUST_USE;
typedef enum err trend_row_fn(struct str topic, int64_t posts, void *arg);
/* Topics of the hours from .. until - 1, newest hour first; at most LIMIT_TREND_ROWS. Rows that are no topics are left out. */
enum err trend_store_rows(struct db *db, int64_t workspace, int64_t from, int64_t until, trend_row_fn *fn, void *arg) MUST_USE;

#endif
