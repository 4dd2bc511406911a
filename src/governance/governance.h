/*
 * governance.h - what an agent may do, as one pure function.
 *
 * For:     the action table, resolving an action's level, the decision and its words.
 * Not for: asking humans (approvals come later); storing decisions (the command that acts logs them).
 * Threads: any; the policy is immutable behind an atomic pointer; decide allocates nothing, takes no lock, does no I/O.
 * Memory:  decisions are plain values; texts are rendered into a buf on demand.
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
	struct action_level level;
};

/* The table of spec section 2. */
struct policy;
/* unknown_level: 1..4, of an action that no entry matches (setting governance.unknown_level; the default is
 * POLICY_UNKNOWN_LEVEL). */
#define POLICY_UNKNOWN_LEVEL 2
enum err policy_create(int unknown_level, struct policy **out) MUST_USE;
void policy_destroy(struct policy **policy);
int64_t policy_version(const struct policy *policy);
/* Walks the table: start with *cursor = 0; false at the end. */
bool policy_next(const struct policy *policy, size_t *cursor, struct str *action, int *complexity);

/* Resolves 1..128 bytes; else ERR_INVALID. No allocation. */
enum err policy_level(const struct policy *policy, struct str action, struct action_level *out) MUST_USE;

struct decide_input {
	struct agent_standing agent;
	struct action_level level;
	bool require_approval;           /* the caller asks for it */
	bool budget_exceeded;            /* hard limit */
	int depth;                       /* delegation depth; 0 = not delegated */
};
/* Pure. Order: unknown agent, not active, maturity, budget, depth, approval. */
void decide(const struct decide_input *input, struct decision *out);

struct str decision_status_word(enum decision_status status);
/* "maturity:chat:2" style: status, rule and level; stable text for rule_id. */
void decision_rule_id(const struct decision *decision, struct buf *out);
/* Names agent, maturity, action and the level needed; a denial contains the word "blocked". */
void decision_reason(const struct decision *decision, struct str agent_name, struct str action, struct buf *out);
/* The wire object of spec section 2. */
void decision_json(const struct decision *decision, struct str agent_name, struct str action, struct json_out *out);
/* POST /v1/agents/{id}/decide, GET /v1/policy */
extern const struct http_route governance_routes[];
/* POST /v1/agents/{id}/enforce, GET /v1/approvals, GET /v1/approvals/{id}, POST /v1/approvals/{id}/approve, /reject */
extern const struct http_route approval_routes[];

/* The service behind approvals. ttl_us: how long one waits for its decision and use. */
struct approvals;
struct guild;
enum err approval_create(struct guild *guild, int64_t ttl_us, struct approvals **out) MUST_USE;
/* Start-up, before threads: when the first that is open expires, so that a server without any writes nothing when it starts. */
enum err approval_load(struct approvals *approvals, struct db *db) MUST_USE;
/* The loops' threads have ended, the loops are still there. */
void approval_destroy(struct approvals **approvals);
/* Once the threads run: from now on they expire by themselves. */
void approval_start(struct approvals *approvals);

/* The error a refused decision ends in (ERR_OK when allowed and proceed). */
enum err decision_err(const struct decision *decision);

#endif
