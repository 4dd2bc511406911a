/*
 * visibility_rules.h - the one answer to "may they see it?".
 *
 * For:     feeds, single posts, replies, reactions, counts, trending, bus routing, catch-up.
 * Not for: who may post (governance, social/post.c).
 * Threads: any; pure.
 * Memory:  none.
 */
#ifndef GUILD_SOCIAL_VISIBILITY_RULES_H
#define GUILD_SOCIAL_VISIBILITY_RULES_H

#include <stdbool.h>

#include "base/audience.h"

enum visibility { VISIBILITY_PUBLIC = 1, VISIBILITY_CHANNEL, VISIBILITY_DIRECTED };

/* Where a post is. */
struct place {
	int64_t workspace;
	enum visibility visibility;
	int64_t audience;      /* the workspace, the channel, or the actor it is directed to */
	int64_t author;
	bool channel_private;  /* of VISIBILITY_CHANNEL */
};

/* is_member: the viewer belongs to the channel (asked only for a private one). */
bool visibility_allows(const struct place *place, int64_t viewer_workspace, int64_t viewer, bool is_member);
/* The same as an audience for events: 0, 0 for what all of the workspace may see. */
struct audience visibility_audience(const struct place *place);
/* Of trending and `global`: public posts and those in public channels. */
bool visibility_public(const struct place *place);

#endif
