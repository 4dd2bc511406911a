/*
 * trend_verify_priv.h - rows that trend_verify.c compares.
 *
 * For:     trend_verify.c, trend_verify_store.c.
 * Not for: others (social.h).
 * Threads: the connection's owner.
 * Memory:  texts are borrowed during the call.
 */
#ifndef GUILD_SOCIAL_TREND_VERIFY_PRIV_H
#define GUILD_SOCIAL_TREND_VERIFY_PRIV_H

#include "social/trend_priv.h"

/* The next hour of a workspace that has rows or posts; check->more says whether there is one. */
enum err trend_verify_next(struct db *db, struct social_trend_check *check) MUST_USE;
typedef enum err trend_verify_post_fn(const struct post *post, bool is_public, void *arg);
/* Posts of that hour that stand. */
enum err trend_verify_posts(struct db *db, const struct social_trend_check *check, trend_verify_post_fn *fn, void *arg) MUST_USE;
enum err trend_verify_rows(struct db *db, const struct social_trend_check *check, trend_row_fn *fn, void *arg) MUST_USE;

#endif
