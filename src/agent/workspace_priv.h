/*
 * workspace_priv.h - workspaces as agent/ keeps them: each has a system agent, and may have a default one.
 *
 * For:     workspace.c (commands and routes), workspace_store.c (rows).
 * Not for: other folders (agent.h); who is in them (identity/).
 * Threads: rows on the connection's owner.
 * Memory:  a row read borrows from the statement, or is copied to the arena given.
 */
#ifndef GUILD_AGENT_WORKSPACE_PRIV_H
#define GUILD_AGENT_WORKSPACE_PRIV_H

#include "base/arena.h"
#include "db/db.h"

struct workspace {
	int64_t id, default_agent, created_at_us; /* default_agent 0: none */
	struct str name;
};

/* ERR_NOT_FOUND. The name is copied to arena. */
enum err workspace_row_get(struct db *db, struct arena *arena, int64_t id, struct workspace *out) MUST_USE;
/* Another one than id has that name. */
enum err workspace_row_taken(struct db *db, struct str name, int64_t id, bool *taken) MUST_USE;
enum err workspace_row_update(struct db *db, const struct workspace *workspace) MUST_USE;
typedef bool workspace_row_fn(const struct workspace *workspace, void *arg);
enum err workspace_rows(struct db *db, int64_t after, int64_t limit, workspace_row_fn *fn, void *arg) MUST_USE;

#endif
