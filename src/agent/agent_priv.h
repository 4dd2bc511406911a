/*
 * agent_priv.h - what the files of agent/ share.
 *
 * For:     the registry's changes on the writer, rows of the agent table, commands behind the routes.
 * Not for: other folders (agent.h).
 * Threads: registry_put on the writer (or start-up); agent_row_* on the connection's owner; agent_*_start on loops.
 * Memory:  registry_put copies; rows read borrow from the statement during the call.
 */
#ifndef GUILD_AGENT_AGENT_PRIV_H
#define GUILD_AGENT_AGENT_PRIV_H

#include "agent/agent.h"
#include "command/change.h"
#include "identity/identity.h"

/* Copies agent over what was known under its id and handle. ERR_CONFLICT: another one has the handle. */
enum err registry_put(struct registry *registry, const struct agent *agent) MUST_USE;
/* In apply: the agent that answers in a workspace when none is named; 0: the system's. */
enum err registry_default_put(struct registry *registry, int64_t workspace, int64_t agent) MUST_USE;
/* agent.c. In apply: the agent of the system in a new workspace. */
enum err agent_system_insert(struct registry *registry, struct db *db, int64_t workspace, int64_t id, int64_t now_us) MUST_USE;
/* The same for one that has another handle now. */
enum err registry_rename(struct registry *registry, const struct agent *from, const struct agent *to) MUST_USE;
bool registry_writer_handle_taken(struct registry *registry, int64_t workspace, struct str handle);
/* In one block with its texts, for mem_free. NULL without memory. */
struct agent *agent_copy(const struct agent *from);

/* agent_store.c */
enum err agent_row_insert(struct db *db, const struct agent *agent) MUST_USE;
enum err agent_row_update(struct db *db, const struct agent *agent) MUST_USE;
enum err agent_rows_count(struct db *db, int64_t owner, int64_t limit, int64_t *count) MUST_USE;
enum err agent_row_handle(struct db *db, const struct agent *agent) MUST_USE;
/* Those of an owner with id > after, at most max. */
enum err agent_ids_owned(struct db *db, int64_t owner, int64_t after, size_t max, int64_t *out, size_t *count) MUST_USE;
enum err agent_row_confidence(struct db *db, const struct agent *agent) MUST_USE;
/* Rows with id > after, in order of id, at most limit; false from fn ends early. */
typedef bool agent_row_fn(const struct agent *agent, void *arg);
enum err agent_rows(struct db *db, int64_t after, int64_t limit, agent_row_fn *fn, void *arg) MUST_USE;
/* Workspaces with a default agent (0: none). */
enum err agent_workspace_defaults(
	struct db *db, enum err (*fn)(int64_t workspace, int64_t agent, void *arg), void *arg) MUST_USE;

/* agent.c: commands. Each answers the request. */
struct agent_edit {
	const struct agent *from; /* the record it is based on; NULL: a new one */
	struct agent to;
	bool handle_given; /* of a new one; else to.handle is made from the name */
	bool if_match;     /* the client named the revision: another one is a conflict */
	bool cancel;       /* its runs end, waiting ones too */
	int reply_status;
	void (*again)(struct http_request *request, void *ctx, unsigned tries); /* begins anew on the newest record */
	unsigned tries;
};
void agent_edit_start(
	struct guild *guild, struct http_request *request, const struct command_row *row, const struct agent_edit *edit);
void agent_token_start(struct guild *guild, struct http_request *request, const struct agent *agent, const struct token_terms *terms);
bool agent_handle_valid(struct str handle);
/* A handle from a name, with "-<number>" for number > 1; made in arena. */
struct str agent_handle_make(struct arena *arena, struct str name, unsigned number);

extern const struct command_row agent_create_row, agent_update_row, agent_lifecycle_row;

/* agent_input.c: bodies into records. False: the request has been answered. */
bool agent_input_create(struct guild *guild, struct http_request *request, struct agent_edit *edit);
bool agent_input_patch(struct http_request *request, struct agent_edit *edit);

#endif
