/*
 * erase_priv.h - finding what a person who is erased did in the social layer.
 *
 * For:     erase.c (what is done with it), erase_store.c (SQL).
 * Not for: others in social/; other folders (social.h).
 * Threads: the writer's.
 * Memory:  texts in the arena given.
 */
#ifndef GUILD_SOCIAL_ERASE_PRIV_H
#define GUILD_SOCIAL_ERASE_PRIV_H

#include "command/erase.h"
#include "social/channel_priv.h"

/* Of the posts in a window as many rows of sums as belong to whole posts. */
enum { ERASE_REACTIONS_MAX = ERASE_ROWS + LIMIT_POST_EMOJIS };
struct erase_reaction {
	int64_t post, actors; /* actors: how many gave it */
	struct str emoji;
};

/* Posts and replies of the person that stand, and automatic answers of agents below posts of theirs. */
enum err erase_posts_find(struct erase_step *step, struct db *db, int64_t out[ERASE_ROWS_HEAVY], size_t *count, int64_t *upto) MUST_USE;
enum err erase_reactions_find(struct erase_step *step, struct db *db, struct arena *arena, struct erase_reaction *out, size_t *count,
			      int64_t *upto) MUST_USE;
/* Messages sent are gone for both, and what agents wrote; of what people wrote the person's own copy goes. */
enum err erase_messages(struct erase_step *step, struct db *db) MUST_USE;
enum err erase_memberships_find(struct erase_step *step, struct db *db, int64_t out[ERASE_ROWS_HEAVY], size_t *count) MUST_USE;
/* Whom the person blocked, what counts against limits, answers owed to the person. */
enum err erase_actor_rows(struct erase_step *step, struct db *db) MUST_USE;
/* Channels the person made that still have texts of theirs. */
enum err erase_channels_find(struct erase_step *step, struct db *db, int64_t out[ERASE_ROWS_HEAVY], size_t *count) MUST_USE;
enum err erase_channel_texts(struct db *db, const struct channel *channel) MUST_USE;

#endif
