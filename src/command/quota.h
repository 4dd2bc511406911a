/*
 * quota.h - how much one principal may have of a kind.
 *
 * For:     refusing one more agent, session or token inside the transaction that would make it.
 * Not for: rates (http/), what all principals together may have (base/limits.def).
 * Threads: quota_create and quota_destroy at start-up and end; the rest on the writer.
 * Memory:  a count for each principal that made something lately; nothing is stored, what is counted are the rows themselves.
 * Errors:  quota_take: ERR_AGENT_QUOTA, ERR_SESSION_QUOTA, ERR_TOKEN_QUOTA, and what the count function gave.
 *
 * A principal's rows are counted once, by an index range that ends at the limit; after that the count is kept. A transaction
 * that is undone takes the kept counts with it: they are counted again when they are needed.
 */
#ifndef GUILD_COMMAND_QUOTA_H
#define GUILD_COMMAND_QUOTA_H

#include "command/command.h"

enum quota_kind { QUOTA_AGENTS, QUOTA_SESSIONS, QUOTA_TOKENS, QUOTA_KINDS };

struct quota;

/* How many of a kind principal has; at most limit are counted. */
typedef enum err quota_count_fn(struct db *db, int64_t principal, int64_t limit, int64_t *count);

/* most[kind] 0: no limit. */
enum err quota_create(const int64_t most[QUOTA_KINDS], struct quota **out) MUST_USE;
void quota_destroy(struct quota **quota);
struct command_overlay quota_overlay(struct quota *quota);

/* In apply, before its first write: principal gets one more. quota NULL: there are no quotas. */
enum err quota_take(struct quota *quota, struct db *db, enum quota_kind kind, int64_t principal, quota_count_fn *count) MUST_USE;
/* In apply: one of principal's is gone. */
void quota_give(struct quota *quota, enum quota_kind kind, int64_t principal);

#endif
