/*
 * agent.h - the registry of agents.
 *
 * For:     making, finding and changing agents; what the decision reads of them.
 * Not for: deciding (governance/); running (execution/).
 * Threads: *_get on any registered reader thread (loops); the writer's own table through agent_writer_get; changes through commands.
 * Memory:  records are immutable; a pointer got is valid until the end of the loop's turn (copy what a flow keeps).
 */
#ifndef GUILD_AGENT_AGENT_H
#define GUILD_AGENT_AGENT_H

#include "agent/maturity.h"
#include "base/snapmap.h"
#include "command/command.h"
#include "http/http.h"

struct registry;
struct guild;

enum agent_kind { AGENT_HOSTED = 1, AGENT_EXTERNAL };

struct agent {
	int64_t id, workspace, owner, created_at_us, updated_at_us, revision;
	enum maturity maturity;
	enum lifecycle lifecycle;
	enum agent_kind kind;
	int confidence_e4;
	int64_t max_concurrent_runs;
	bool auto_reply, is_system;
	struct str name, handle, description, category;
	struct str provider, model;          /* at NULL: not fixed */
	struct str system_prompt;            /* at NULL: none */
	struct str capabilities;             /* JSON array */
	struct str configuration;            /* JSON object, at NULL: none */
};

enum err registry_create(const struct env *env, struct snap_domain *snap, struct registry **out) MUST_USE;
void registry_destroy(struct registry **registry);
/* Start-up, before threads. */
enum err registry_load(struct registry *registry, struct db *db) MUST_USE;
struct command_overlay registry_overlay(struct registry *registry);

const struct agent *registry_get(struct registry *registry, int64_t id);
const struct agent *registry_by_handle(struct registry *registry, int64_t workspace, struct str handle);
/* By id text or handle; NULL when there is none in that workspace. */
const struct agent *registry_find(struct registry *registry, struct guild *guild, int64_t workspace, struct str id_or_handle);
/* "Chat Assistant"; NULL before first start. */
const struct agent *registry_system_default(struct registry *registry, int64_t workspace);
/* The workspace's default agent, NULL: none set. */
const struct agent *registry_workspace_default(struct registry *registry, int64_t workspace);
/* The writer's authoritative record (with the changes of the open transaction). Writer's thread only. */
const struct agent *registry_writer_get(struct registry *registry, int64_t id);
/* Rises when an agent is archived, or changed when it is. Any thread. */
int64_t registry_archived(const struct registry *registry);
/* In apply: moves confidence by delta_e4 (clamped), demotes one level when it fell below its floor (never promotes, revision changes only
 * with maturity). *demoted says whether; system agents are never demoted. */
enum err agent_confidence_move(struct registry *registry, struct db *db, int64_t agent, int delta_e4, int64_t now_us, bool *demoted) MUST_USE;

/* In apply: gives it another level. Upwards confidence is lifted to the level's least; evidence of the next one begins anew. now: as
 * registry_writer_get has it. */
enum err agent_level_set(struct guild *guild, struct db *db, const struct agent *now, enum maturity to, int64_t now_us) MUST_USE;
/* What the event agent_changed says, and to whom; texts in arena. */
enum err agent_event_texts(struct guild *guild, struct arena *arena, const struct agent *agent, struct str *data, struct str *topics) MUST_USE;

/* How a run went for its agent: AGENT_SUCCEEDED_E4, AGENT_FAILED_E4 (by its own fault). */
struct agent_outcome {
	int64_t agent, execution; /* execution 0: none */
	int delta_e4;
};
enum { AGENT_SUCCEEDED_E4 = 100, AGENT_FAILED_E4 = -200 };
/* In apply, after the command's own log row: moves confidence. A demotion gets a log row of its own, audit entry and event agent_changed; a
 * system agent that falls below its level's floor the same, on the topic alerts too. */
enum err agent_outcome_apply(struct command *command, struct guild *guild, struct db *db, const struct agent_outcome *outcome) MUST_USE;

/* The part of a person who is erased: agents they own. */
struct erase_step;
enum err agent_erase(struct erase_step *step, struct db *db) MUST_USE;

/* What its configuration says of durability ("relaxed" or "durable"); otherwise when it says nothing. */
bool agent_durable(const struct agent *agent, bool otherwise);
/* First start: makes "Chat Assistant" (handle chat-assistant, category system, intern, is_system). Before the threads. */
enum err agent_first_start(struct registry *registry, struct guild *guild) MUST_USE;

/* The wire object; private fields (system_prompt, configuration) are null unless may_see_private. */
void agent_json(struct guild *guild, const struct agent *agent, bool may_see_private, struct json_out *out);

/* /v1/agents ... create, list, get, patch, pause, resume, stop, archive, tokens */
extern const struct http_route agent_routes[];
/* /v1/workspaces */
extern const struct http_route workspace_routes[];

#endif
