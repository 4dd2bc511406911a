/* govern.c - deciding what an agent asks for, and writing down what it was refused. */
#include "governance/govern.h"

#include "agent/tally.h"
#include "base/metric.h"
#include "governance/governance.h"
#include "governance/ledger.h"

enum { REASON_BYTES_MAX = 4096 };

/* Texts of a refused decision, in arena; at NULL where there is no room for them: the error's own text is said then. */
static struct str reason_of(struct arena *arena, const struct decision *decision, struct str agent_name, struct str action,
	struct str *rule_id)
{
	struct buf text;
	buf_init(&text, REASON_BYTES_MAX);
	decision_rule_id(decision, &text);
	*rule_id = arena_copy(arena, buf_str(&text));
	buf_clear(&text);
	decision_reason(decision, agent_name, action, &text);
	struct str reason = arena_copy(arena, buf_str(&text));
	buf_fini(&text);
	return reason;
}

static enum err decide_for(struct guild *guild, const struct policy *policy, const struct agent *agent, struct str action, struct decision *out)
{
	struct ledger_who who = {agent != NULL ? agent->workspace : 0, 0, agent != NULL ? agent->id : 0};
	struct decide_input input;
	enum err err = policy_decide_input(policy, agent, action, &input);
	if (err != ERR_OK) {
		return err;
	}
	input.budget_exceeded = ledger_used_up(guild->ledger, &who);
	decide(&input, out);
	return decision_err(out);
}

enum err govern_ask(struct guild *guild, const struct caller *caller, const char *action, struct arena *arena, struct str *reason,
	struct str *rule_id)
{
	struct decision decision = {0};
	*reason = *rule_id = STR_NONE;
	if (caller->role != ROLE_AGENT) {
		return ERR_OK;
	}
	const struct policy *policy = policy_get(guild->policies, caller->workspace);
	enum err err = decide_for(guild, policy, registry_get(guild->registry, caller->agent), str_of(action), &decision);
	metric_add(err == ERR_OK ? METRIC_DECISIONS_ALLOWED : METRIC_DECISIONS_DENIED, 1);
	if (err != ERR_OK) {
		*reason = reason_of(arena, &decision, caller_name(caller), str_of(action), rule_id);
	}
	return err;
}

bool govern_read(struct guild *guild, struct http_request *request, const char *action)
{
	struct http_problem problem = {.err = ERR_OK};
	problem.err = govern_ask(guild, &request->caller, action, &request->arena, &problem.detail, &problem.rule_id);
	if (problem.err != ERR_OK) {
		http_reply_problem(request, &problem);
	}
	return problem.err == ERR_OK;
}

void govern_change(struct change *change, struct govern_refusal *refusal)
{
	struct command *command = &change->command;
	struct guild *guild = change->guild;
	struct decision decision = {0};
	*refusal = (struct govern_refusal){.err = ERR_OK};
	if (command->caller.role != ROLE_AGENT) {
		return;
	}
	const struct agent *agent = registry_get(guild->registry, command->caller.agent);
	const struct policy *policy = policy_get(guild->policies, command->caller.workspace);
	struct str action = str_of(command->row->action);
	change->row.agent = command->caller.agent;
	refusal->err = decide_for(guild, policy, agent, action, &decision);
	metric_add(refusal->err == ERR_OK ? METRIC_DECISIONS_ALLOWED : METRIC_DECISIONS_DENIED, 1);
	if (refusal->err != ERR_OK) {
		refusal->reason = reason_of(command->arena, &decision, caller_name(&command->caller), action, &change->rule_id);
		return;
	}
	if (decision.exception != EXCEPTION_NONE) {
		(void)reason_of(command->arena, &decision, caller_name(&command->caller), action, &change->rule_id);
	}
	command->mark = (struct command_mark){command->caller.agent, agent->revision, policy_revision(policy)};
}

enum err govern_count(struct guild *guild, int64_t agent, int64_t now_us, enum err decided)
{
	const struct agent *known = agent != 0 ? registry_writer_get(guild->registry, agent) : NULL;
	bool refused = decided == ERR_GOVERNANCE || decided == ERR_RECURSION;
	if (known == NULL || (decided != ERR_OK && !refused)) {
		return ERR_OK;
	}
	return tally_add(guild->tallies, known->workspace, agent, now_us, &(struct tally){.actions = 1, .refusals = refused});
}

bool govern_refused(struct change *change, struct govern_refusal *refusal, struct db *db, enum err *err)
{
	if (refusal->err == ERR_OK) {
		return false;
	}
	*err = govern_count(change->guild, change->row.agent, command_now_us(&change->command), refusal->err);
	if (*err == ERR_OK) {
		*err = change_refuse(change, db, refusal->err, refusal->reason);
	}
	return true;
}

enum err govern_recheck(void *guild_ctx, const struct command *command)
{
	struct guild *guild = guild_ctx;
	struct decision decision;
	const struct agent *agent = registry_writer_get(guild->registry, command->mark.agent);
	const struct policy *policy = policy_writer_get(guild->policies, command->caller.workspace);
	if (agent != NULL && agent->revision == command->mark.agent_revision && policy_holds(policy, command->mark.policy_revision)) {
		return ERR_OK;
	}
	enum err err = decide_for(guild, policy, agent, str_of(command->row->action), &decision);
	return err == ERR_INVALID ? ERR_INTERNAL : err;
}

enum err govern_deny(struct command *command, struct db *db, enum err why)
{
	struct change *change = (struct change *)command;
	struct guild *guild = change->guild;
	struct decision decision = {0};
	struct str action = str_of(command->row->action);
	const struct policy *policy = policy_writer_get(guild->policies, command->caller.workspace);
	(void)decide_for(guild, policy, registry_writer_get(guild->registry, command->caller.agent), action, &decision);
	struct str reason = reason_of(command->arena, &decision, caller_name(&command->caller), action, &change->rule_id);
	return change_refuse(change, db, why, reason);
}

enum err govern_decided(void *guild, const struct command *command, enum err denied)
{
	return govern_count(guild, command->mark.agent, command_now_us(command), denied);
}
