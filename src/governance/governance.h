/*
 * governance.h - what an agent may do, as one pure function.
 *
 * For:     the action table, resolving an action's level, the decision and its words.
 * Not for: asking humans (approvals come later); storing decisions (the command that acts logs them).
 * Threads: any; a policy is immutable; decide allocates nothing, takes no lock, does no I/O.
 * Memory:  decisions are plain values; texts are rendered into a buf on demand. A policy that was got is valid until the end of the loop's turn;
 *          names of rules live as long as the policies.
 *
 *   loops:  policy_get -> policy_decide_input -> decide          writer: policy_writer_get -> the same again, inside the transaction
 */
#ifndef GUILD_GOVERNANCE_GOVERNANCE_H
#define GUILD_GOVERNANCE_GOVERNANCE_H

#include "base/buf.h"
#include "agent/agent.h"
#include "base/err.h"
#include "wire/json.h"

/* What the decision reads of an agent; filled from the registry's snapshot. */
struct agent_standing {
	bool known;
	enum maturity maturity;
	enum lifecycle lifecycle;
	int confidence_e4;
	int64_t revision;
};

enum decision_status { DECISION_OK, DECISION_MATURITY, DECISION_LIFECYCLE, DECISION_NOT_FOUND, DECISION_BUDGET, DECISION_RECURSION,
		       DECISION_APPROVAL };

/* known = false for NULL. */
struct agent_standing agent_standing_of(const struct agent *agent);

/* What lets agents do what their maturity does not: an emergency skips maturity alone, governance.mode = off also the approval that a level
 * needs. Never lifecycle, budget, depth, the kill switch, identity or audit. */
enum exception { EXCEPTION_NONE, EXCEPTION_EMERGENCY, EXCEPTION_OFF };

/* How the level was found. */
enum rule_kind { RULE_EXACT, RULE_WORDS, RULE_UNKNOWN };

struct action_level {
	int complexity;         /* 1..4 */
	enum rule_kind kind;
	struct str rule;        /* the table's entry that decided; "unknown" when none did */
};

struct decision {
	bool allowed;
	bool requires_human_approval; /* due or asked for, whether allowed or not */
	bool proceed;
	enum decision_status status;
	enum maturity agent_maturity;    /* 0 when the agent is unknown */
	enum lifecycle agent_lifecycle;
	int action_complexity;
	enum maturity required_maturity;
	int confidence_e4;
	bool stopped;                    /* the kill switch: no agent of the workspace may do anything */
	enum exception exception;        /* what it was let through by; NONE where it would have been anyway */
	int64_t policy_version;
	struct action_level level;
};

/* The action table of one workspace, and what is in force there besides it. */
struct policy;
/* Those of all workspaces; one without changes of its own has the defaults, version 1. */
struct policy_set;
struct guild;
struct policy_options {
	int unknown_level; /* 1..4, of an action that no entry matches (setting governance.unknown_level) */
	bool off;          /* governance.mode = off */
};
#define POLICY_UNKNOWN_LEVEL 2
enum err policy_set_create(const struct env *env, struct snap_domain *snap, const struct policy_options *options,
	struct policy_set **out) MUST_USE;
void policy_set_destroy(struct policy_set **set);
/* Start-up, before threads, once there is a workspace. A table that is not the one of the last start (other defaults, another unknown_level) is
 * a new version; governance.mode = off, and its end, are in the audit log. */
enum err policy_set_load(struct policy_set *set, struct guild *guild) MUST_USE;
struct command_overlay policy_set_overlay(struct policy_set *set);

/* Never NULL. Registered reader threads. */
const struct policy *policy_get(const struct policy_set *set, int64_t workspace);
/* The writer's authoritative one, with the changes of the open transaction. Writer's thread only. */
const struct policy *policy_writer_get(const struct policy_set *set, int64_t workspace);
int64_t policy_version(const struct policy *policy);
/* Another number after every change of anything that decisions read of it. For command_mark. */
int64_t policy_revision(const struct policy *policy);
/* Is what was decided at that revision sure to be decided so now? Not while an emergency is written down: it ends by itself. */
bool policy_holds(const struct policy *policy, int64_t revision);

/* Resolves 1..128 bytes; else ERR_INVALID. No allocation. */
enum err policy_level(const struct policy *policy, struct str action, struct action_level *out) MUST_USE;

struct decide_input {
	struct agent_standing agent;
	struct action_level level;
	bool stopped;                    /* the kill switch is on */
	enum exception exception;        /* in force now */
	int64_t policy_version;
	bool require_approval;           /* the caller asks for it */
	bool budget_exceeded;            /* hard limit */
	int depth;                       /* delegation depth; 0 = not delegated */
};
/* Fills all that follows from agent (NULL: none), action and policy, the rest with 0. ERR_INVALID as policy_level. */
enum err policy_decide_input(const struct policy *policy, const struct agent *agent, struct str action, struct decide_input *out) MUST_USE;
/* Pure. Order: unknown agent, not active or all stopped, maturity, budget, depth, approval. */
void decide(const struct decide_input *input, struct decision *out);

struct str decision_status_word(enum decision_status status);
/* "maturity:chat:2" style: status, rule and level; stable text for rule_id. */
void decision_rule_id(const struct decision *decision, struct buf *out);
/* Names agent, maturity, action and the level needed; a denial contains the word "blocked". */
void decision_reason(const struct decision *decision, struct str agent_name, struct str action, struct buf *out);
/* The wire object of spec section 2. */
void decision_json(const struct decision *decision, struct str agent_name, struct str action, struct json_out *out);
/* POST /v1/agents/{id}/decide */
extern const struct http_route governance_routes[];
/* GET /v1/policy, PUT /v1/policy/{action}, GET /v1/policy/history, GET and POST /v1/emergency, /v1/kill-switch */
extern const struct http_route policy_routes[];
/* What health says of governance in that workspace, as an object. */
void policy_health_json(struct guild *guild, int64_t workspace, struct json_out *out);
/* POST /v1/agents/{id}/enforce, GET /v1/approvals, GET /v1/approvals/{id}, POST /v1/approvals/{id}/approve, /reject */
extern const struct http_route approval_routes[];

/* The service behind approvals. ttl_us: how long one waits for its decision and use. */
struct approvals;
enum err approval_create(struct guild *guild, int64_t ttl_us, struct approvals **out) MUST_USE;
/* Start-up, before threads: when the first that is open expires, so that a server without any writes nothing when it starts. */
enum err approval_load(struct approvals *approvals, struct db *db) MUST_USE;
/* The loops' threads have ended, the loops are still there. */
void approval_destroy(struct approvals **approvals);
/* Once the threads run: from now on they expire by themselves. */
void approval_start(struct approvals *approvals);

/* The error a refused decision ends in (ERR_OK when allowed and proceed). */
enum err decision_err(const struct decision *decision);

/* The part of a person who is erased: arguments, reasons and notes of approvals. */
struct erase_step;
enum err approval_erase(struct erase_step *step, struct db *db) MUST_USE;
/* Likewise: reasons of changes of the table, of an emergency and the kill switch, which stay in force. */
enum err policy_erase(struct erase_step *step, struct db *db) MUST_USE;

#endif
