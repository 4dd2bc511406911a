/*
 * feed_priv.h - walking posts newest first, as one viewer may see them.
 *
 * For:     feed.c, feed_store.c, feed_api.c.
 * Not for: replies of a post (post_store.c); topics (trend_priv.h).
 * Threads: readers.
 * Memory:  posts given to a feed_fn are borrowed until it returns; buffers are in the arena given.
 *
 *   home:  newest posts are looked at one by one while enough of them are for the viewer; then sources are merged:
 *          workspace, viewer, each of its channels, its own posts
 *   else:  the one source that a hashtag, an author or a channel has
 */
#ifndef GUILD_SOCIAL_FEED_PRIV_H
#define GUILD_SOCIAL_FEED_PRIV_H

#include "social/social_priv.h"

/* What is asked for; 0 and at NULL: any. */
struct feed_ask {
	int64_t author, channel, since_us, until_us;
	int kind;
	enum visibility visibility;
	struct str tag;       /* folded, with its '#' */
};

struct feed {
	struct social *social;
	const struct caller *caller;
	int64_t viewer;       /* an actor's key */
	struct feed_ask ask;
	struct arena *arena;
	int64_t below;        /* posts with smaller keys only; at the end: the last one that was seen to */
	size_t wanted;        /* about how many the walk is for */
	size_t skip;          /* so many are left out first */
	size_t examined;
	bool cut;             /* it ended because enough was looked at */
};

typedef bool feed_fn(const struct post *post, void *arg); /* false: no more, and this one was not taken */

/* Nothing that has to be read in a post's row narrows it. */
bool feed_is_plain(const struct feed *feed);
/* Gives every post that belongs there, newest first, until fn has enough, there are no more, or `most` were looked at. */
enum err feed_walk(struct feed *feed, struct db *db, size_t most, feed_fn *fn, void *arg) MUST_USE;
/* How many there are; of a plain feed, from the indexes alone. */
enum err feed_total(struct feed *feed, struct db *db, int64_t *total) MUST_USE;

/* ---- feed_store.c ---- */

enum feed_by { FEED_BY_AUDIENCE, FEED_BY_AUTHOR, FEED_BY_TAG };

struct feed_entry {
	int64_t post;
	int64_t audience; /* of FEED_BY_AUTHOR and FEED_BY_AUDIENCE, else 0 */
};

/* Of an audience, an author or a workspace (key) and its tag: keys below `below`, greatest first. */
enum err feed_entries(struct db *db, enum feed_by by, int64_t key, struct str tag, int64_t below, struct feed_entry *out, size_t max,
		      size_t *count) MUST_USE;
typedef bool feed_entry_fn(int64_t audience, void *arg); /* false: enough */
/* The audiences of all an author's posts. */
enum err feed_author_audiences(struct db *db, int64_t author, feed_entry_fn *fn, void *arg) MUST_USE;
enum err feed_audience_count(struct db *db, int64_t audience, int64_t *count) MUST_USE;
/* All posts, replies and tombstones too, with keys below `below`, greatest first. */
enum err feed_scan(struct db *db, int64_t below, int64_t limit, post_fn *fn, void *arg) MUST_USE;
/* One post; nothing when it is not there. */
enum err feed_post(struct db *db, int64_t id, post_fn *fn, void *arg) MUST_USE;

#endif
