/*
 * govern.h - the gate before what an agent asks for.
 *
 * For:     requests and commands of agents: decided on the loop, re-checked by the writer, refused in the audit log.
 * Not for: what humans may do (the role in the route's row); chat (execution/ decides in its own flow).
 * Threads: the request's loop; govern_deny on the writer.
 * Memory:  texts of a refusal live in the command's arena.
 */
#ifndef GUILD_GOVERNANCE_GOVERN_H
#define GUILD_GOVERNANCE_GOVERN_H

#include "command/change.h"

/* A read: decided and counted when an agent asks; humans pass. False: it was refused, and the request answered (403 with the reason). */
bool govern_read(struct guild *guild, struct http_request *request, const char *action);
/* The same for doors that answer by themselves: ERR_OK, or what refused it, with its texts in arena (at NULL without room). */
enum err govern_ask(struct guild *guild, const struct caller *caller, const char *action, struct arena *arena, struct str *reason,
	struct str *rule_id) MUST_USE;

/* Before change_submit, and before change_audit, whose entry says which exception let it pass: when an agent acts (caller.role is ROLE_AGENT),
 * decides the command row's action, marks the command so that the writer decides again if agent or policy changed since, and sets row.agent. A
 * refusal turns the command into one that writes the refusal's audit entry and ends with its error: submit it all the same. The command row's
 * deny has to be govern_deny, and its apply has to begin with govern_refused. */
struct govern_refusal {
	enum err err;     /* ERR_OK: the agent may */
	struct str reason;
};
void govern_change(struct change *change, struct govern_refusal *refusal);
/* In apply, once for each action of an agent that is in the audit log: counts it as evidence. decided: what it was refused with; refusals but
 * for its maturity, or for delegating too deep, say nothing about the agent, and are not counted. agent 0: nobody's. */
enum err govern_count(struct guild *guild, int64_t agent, int64_t now_us, enum err decided) MUST_USE;
/* First in apply: true when the command was refused on the loop; *err is what apply returns then. */
bool govern_refused(struct change *change, struct govern_refusal *refusal, struct db *db, enum err *err);
/* For command_options.recheck, guild being the struct guild: the agent and the policy are what the decision on the loop was made on, or it is
 * made again, on what the open transaction has. */
enum err govern_recheck(void *guild, const struct command *command) MUST_USE;
/* For command_options.decided. */
enum err govern_decided(void *guild, const struct command *command, enum err denied) MUST_USE;
/* For command rows whose command is a struct change. */
enum err govern_deny(struct command *command, struct db *db, enum err why);

#endif
