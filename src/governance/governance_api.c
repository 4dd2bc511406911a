/* governance_api.c - asking what an agent may do. */
#include "base/metric.h"
#include "command/change.h"
#include "governance/governance.h"
#include "governance/ledger.h"

static const struct http_member decide_members[] = {
	{"action", HTTP_STRING, true, 1, 128, NULL, "what the agent would do"},
	{"arguments", HTTP_OBJECT, false, 0, 0, NULL, "what it would do it with"},
	{"require_approval", HTTP_BOOL, false, 0, 0, NULL, "ask for a human's approval whatever the level"},
	{.name = NULL},
};

/* An agent asks about itself only; the name of any other tells it nothing. */
static bool may_ask(const struct http_request *request, const struct agent *agent)
{
	return request->caller.role != ROLE_AGENT || (agent != NULL && agent->id == request->caller.agent);
}

static void handle_decide(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, request->params[0]);
	struct decide_input input;
	struct decision decision;
	struct str action;
	if (!may_ask(request, agent)) {
		http_reply_error(request, ERR_PERMISSION, "An agent may ask about itself only.");
		return;
	}
	if (agent == NULL) {
		metric_add(METRIC_DECISIONS_DENIED, 1);
		http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
		return;
	}
	const struct policy *policy = policy_get(guild->policies, agent->workspace);
	if (!http_body_str(request, "action", &action) || policy_decide_input(policy, agent, action, &input) != ERR_OK) {
		http_reply_invalid(request, "/action", "An action has 1 to 128 bytes.");
		return;
	}
	(void)http_body_bool(request, "require_approval", &input.require_approval);
	struct ledger_who who = {agent->workspace, request->caller.role != ROLE_AGENT ? request->caller.principal : 0, agent->id};
	input.budget_exceeded = ledger_used_up(guild->ledger, &who);
	decide(&input, &decision);
	metric_add(decision.allowed ? METRIC_DECISIONS_ALLOWED : METRIC_DECISIONS_DENIED, 1);
	struct buf text;
	struct json_out json;
	buf_init(&text, 16384);
	json_begin(&json, &text);
	decision_json(&decision, agent->name, action, &json);
	change_reply(request, 200, &text);
}

const struct http_route governance_routes[] = {
	{HTTP1_POST, "/v1/agents/{id}/decide", ROLE_VIEWER, SCOPE_POLICY_READ, HTTP_AGENT_OK | HTTP_HARMLESS, "decide",
		"Says what the decision would be; nothing happens.", decide_members, NULL, "decision", 200, handle_decide},
	{.path = NULL},
};
