/*
 * resolve_priv.h - which agent answers a chat: explicit, the session's, the workspace's, the system's.
 *
 * For:     flow.c and the route that tells it without a chat.
 * Not for: whether that agent may (governance/).
 * Threads: resolve is pure; resolve_lookup on loops.
 * Memory:  agents are borrowed until the end of the loop's turn; texts are in the arena given.
 */
#ifndef GUILD_EXECUTION_RESOLVE_PRIV_H
#define GUILD_EXECUTION_RESOLVE_PRIV_H

#include "agent/agent.h"
#include "command/guild.h"
#include "session/session.h"

enum resolve_step { RESOLVE_EXPLICIT, RESOLVE_SESSION, RESOLVE_WORKSPACE, RESOLVE_SYSTEM };
struct resolve_input {
	bool explicit_given, session_given;
	const struct agent *by_explicit, *by_session, *by_workspace, *by_system; /* NULL: none */
	bool strict;
};
struct resolve_output {
	const struct agent *agent;     /* NULL: none */
	const char *path[6];
	unsigned path_count;
};
void resolve(const struct resolve_input *input, struct resolve_output *out);
/* The path as a JSON array in arena. */
struct str resolve_path_json(struct arena *arena, const struct resolve_output *out);
/* Looks the candidates up on the loop. session: NULL none. */
void resolve_lookup(struct guild *guild, int64_t workspace, struct str explicit_agent, const struct session *session, bool strict,
		    struct resolve_output *out);

#endif
