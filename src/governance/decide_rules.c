/* decide_rules.c - the decision, and its words: pure. */
#include "base/check.h"
#include "base/limits.h"
#include "governance/governance.h"

struct agent_standing agent_standing_of(const struct agent *agent)
{
	if (agent == NULL) {
		return (struct agent_standing){.known = false};
	}
	return (struct agent_standing){.known = true,
		.maturity = agent->maturity,
		.lifecycle = agent->lifecycle,
		.confidence_e4 = agent->confidence_e4,
		.revision = agent->revision};
}

static bool approval_due(const struct decide_input *input)
{
	return input->agent.maturity == MATURITY_SUPERVISED && input->level.complexity >= 3;
}

/* Asked for or due, also where something else blocks the action anyway. */
static bool needs_approval(const struct decide_input *input)
{
	return input->require_approval || (approval_due(input) && input->exception != EXCEPTION_OFF);
}

static bool too_young(const struct decide_input *input)
{
	return (int)input->agent.maturity < input->level.complexity;
}

/* Is the exception in force the reason that it may? */
static bool excepted(const struct decide_input *input)
{
	bool approval_left_out = input->exception == EXCEPTION_OFF && approval_due(input) && !input->require_approval;
	return input->exception != EXCEPTION_NONE && (too_young(input) || approval_left_out);
}

static enum decision_status status_of(const struct decide_input *input)
{
	const struct agent_standing *agent = &input->agent;
	if (!agent->known) {
		return DECISION_NOT_FOUND;
	}
	if (agent->lifecycle != LIFECYCLE_ACTIVE || input->stopped) {
		return DECISION_LIFECYCLE;
	}
	if (too_young(input) && input->exception == EXCEPTION_NONE) {
		return DECISION_MATURITY;
	}
	if (input->budget_exceeded) {
		return DECISION_BUDGET;
	}
	if (input->depth > LIMIT_DELEGATION_DEPTH) {
		return DECISION_RECURSION;
	}
	if (needs_approval(input)) {
		return DECISION_APPROVAL;
	}
	return DECISION_OK;
}

void decide(const struct decide_input *input, struct decision *out)
{
	check(input->level.complexity >= 1 && input->level.complexity <= 4);
	enum decision_status status = status_of(input);
	*out = (struct decision){
		.allowed = status == DECISION_OK || status == DECISION_APPROVAL,
		.requires_human_approval = needs_approval(input),
		.proceed = status == DECISION_OK,
		.status = status,
		.action_complexity = input->level.complexity,
		.required_maturity = (enum maturity)input->level.complexity,
		.stopped = input->stopped,
		.policy_version = input->policy_version,
		.level = input->level,
	};
	if (out->allowed && excepted(input)) {
		out->exception = input->exception;
	}
	if (input->agent.known) {
		out->agent_maturity = input->agent.maturity;
		out->agent_lifecycle = input->agent.lifecycle;
		out->confidence_e4 = input->agent.confidence_e4;
	}
}

struct str decision_status_word(enum decision_status status)
{
	switch (status) {
	case DECISION_OK:
		return STR("ok");
	case DECISION_MATURITY:
		return STR("maturity");
	case DECISION_LIFECYCLE:
		return STR("lifecycle");
	case DECISION_NOT_FOUND:
		return STR("not_found");
	case DECISION_BUDGET:
		return STR("budget_exceeded");
	case DECISION_RECURSION:
		return STR("recursion_limit");
	case DECISION_APPROVAL:
		return STR("approval_required");
	}
	return STR("not_found");
}

enum err decision_err(const struct decision *decision)
{
	switch (decision->status) {
	case DECISION_OK:
		return ERR_OK;
	case DECISION_MATURITY:
		return ERR_GOVERNANCE;
	case DECISION_LIFECYCLE:
		return ERR_AGENT_NOT_ACTIVE;
	case DECISION_NOT_FOUND:
		return ERR_AGENT_NOT_FOUND;
	case DECISION_BUDGET:
		return ERR_BUDGET;
	case DECISION_RECURSION:
		return ERR_RECURSION;
	case DECISION_APPROVAL:
		return ERR_APPROVAL_REQUIRED;
	}
	return ERR_GOVERNANCE;
}

static struct str exception_word(enum exception exception)
{
	return exception == EXCEPTION_EMERGENCY ? STR("emergency") : exception == EXCEPTION_OFF ? STR("mode_off") : STR_NONE;
}

void decision_rule_id(const struct decision *decision, struct buf *out)
{
	struct str exception = exception_word(decision->exception);
	buf_put_str(out, exception.at != NULL ? exception : decision_status_word(decision->status));
	buf_put_byte(out, ':');
	buf_put_str(out, decision->level.rule);
	buf_format(out, ":%d", decision->action_complexity);
}

static void needed_put(const struct decision *decision, struct buf *out)
{
	buf_put_str(out, maturity_word(decision->required_maturity));
	if (decision->required_maturity != MATURITY_AUTONOMOUS) {
		buf_put_str(out, STR(" or above"));
	}
}

static void why_put(const struct decision *decision, struct buf *out)
{
	switch (decision->status) {
	case DECISION_MATURITY:
		buf_put_str(out, STR("it needs "));
		needed_put(decision, out);
		break;
	case DECISION_LIFECYCLE:
		if (decision->stopped) {
			buf_put_str(out, STR("all agents of its workspace are stopped"));
		} else {
			buf_put_str(out, STR("it is "));
			buf_put_str(out, lifecycle_word(decision->agent_lifecycle));
		}
		buf_put_str(out, STR(" (the action needs "));
		needed_put(decision, out);
		buf_put_byte(out, ')');
		break;
	case DECISION_NOT_FOUND:
		buf_put_str(out, STR("there is no such agent (the action needs "));
		needed_put(decision, out);
		buf_put_byte(out, ')');
		break;
	case DECISION_BUDGET:
		buf_put_str(out, STR("the budget is used up"));
		break;
	case DECISION_RECURSION:
		buf_format(out, "runs may be delegated at most %d deep", LIMIT_DELEGATION_DEPTH);
		break;
	case DECISION_OK:
	case DECISION_APPROVAL:
		break;
	}
}

void decision_reason(const struct decision *decision, struct str agent_name, struct str action, struct buf *out)
{
	buf_put_str(out, STR("Agent \""));
	buf_put_str(out, agent_name);
	buf_put_byte(out, '"');
	if (decision->agent_maturity != 0) {
		buf_put_str(out, STR(" ("));
		buf_put_str(out, maturity_word(decision->agent_maturity));
		buf_put_byte(out, ')');
	}
	if (!decision->allowed) {
		buf_put_str(out, STR(" is blocked from \""));
		buf_put_str(out, action);
		buf_put_str(out, STR("\": "));
		why_put(decision, out);
		buf_put_byte(out, '.');
		return;
	}
	buf_put_str(out, STR(" may do \""));
	buf_put_str(out, action);
	buf_put_str(out, decision->proceed ? STR("\", which needs ") : STR("\" once a human approved it; it needs "));
	needed_put(decision, out);
	if (decision->exception == EXCEPTION_EMERGENCY) {
		buf_put_str(out, STR(": an emergency is declared"));
	} else if (decision->exception == EXCEPTION_OFF) {
		buf_put_str(out, STR(": governance is off"));
	}
	buf_put_byte(out, '.');
}

void decision_json(const struct decision *decision, struct str agent_name, struct str action, struct json_out *out)
{
	struct buf text;
	buf_init(&text, 4096);
	json_object(out);
	json_put_bool(out, STR("allowed"), decision->allowed);
	json_put_bool(out, STR("requires_human_approval"), decision->requires_human_approval);
	json_put_bool(out, STR("proceed"), decision->proceed);
	decision_reason(decision, agent_name, action, &text);
	json_put_str(out, STR("reason"), buf_str(&text));
	bool known = decision->agent_maturity != 0;
	json_put_str_or_null(out, STR("agent_maturity"), known ? maturity_word(decision->agent_maturity) : STR_NONE);
	json_put_int(out, STR("action_complexity"), decision->action_complexity);
	json_put_str(out, STR("required_maturity"), maturity_word(decision->required_maturity));
	json_name(out, STR("confidence"));
	if (known) {
		json_fixed4(out, decision->confidence_e4);
	} else {
		json_null(out);
	}
	buf_clear(&text);
	decision_rule_id(decision, &text);
	json_put_str(out, STR("rule_id"), buf_str(&text));
	json_put_str(out, STR("status_code"), decision_status_word(decision->status));
	json_put_str(out, STR("action"), action);
	json_put_int(out, STR("policy_version"), decision->policy_version);
	json_put_str_or_null(out, STR("exception"), exception_word(decision->exception));
	json_object_end(out);
	buf_fini(&text);
}
