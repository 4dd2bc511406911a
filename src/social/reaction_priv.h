/*
 * reaction_priv.h - what the files about reactions share.
 *
 * For:     reaction.c (commands), reaction_store.c (SQL), reaction_api.c (routes).
 * Not for: others in social/ (reaction_list_json in social_priv.h).
 * Threads: rows on the connection's owner; reaction_start on loops.
 * Memory:  nothing is kept.
 *
 * A reaction is a row (post, emoji, actor); reaction_sum counts them by emoji, post.reaction_count in all. The three move in one transaction.
 */
#ifndef GUILD_SOCIAL_REACTION_PRIV_H
#define GUILD_SOCIAL_REACTION_PRIV_H

#include "social/social_priv.h"

enum { REACTION_ACTORS_SHOWN = 20 };

/* Gives (adds) or takes back the caller's reaction; answers the request. emoji was checked. */
void reaction_start(struct guild *guild, struct http_request *request, int64_t post, struct str emoji, bool adds);

/* reaction_store.c */
struct reaction {
	int64_t post;
	struct str emoji;
	struct actor actor;
};
enum err reaction_there(struct db *db, const struct reaction *reaction, bool *there) MUST_USE;
/* How many gave that emoji; 0: nobody. */
enum err reaction_sum_read(struct db *db, int64_t post, struct str emoji, int64_t *actors) MUST_USE;
/* Different emojis on a post, counted up to LIMIT_POST_EMOJIS. */
enum err reaction_kinds_count(struct db *db, int64_t post, int64_t *count) MUST_USE;
/* sum: what reaction_sum_read said. It is one more, or one less, afterwards. */
enum err reaction_insert(struct db *db, const struct reaction *reaction, int64_t sum) MUST_USE;
enum err reaction_delete(struct db *db, const struct reaction *reaction, int64_t sum) MUST_USE;
/* How many of a post's reactions count for its author: positive ones, not its own. */
enum err reaction_standing_read(struct db *db, int64_t post, int64_t author, int64_t *count) MUST_USE;

/* standing.c */
bool standing_positive(struct str emoji);
/* In apply: one more (by = 1) or one less (-1) for the author of post. */
enum err standing_reaction(struct guild *guild, const struct post *post, const struct reaction *reaction, int by, int64_t now_us) MUST_USE;

#endif
