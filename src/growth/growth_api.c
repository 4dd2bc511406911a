/* growth_api.c - readiness, promotion and demotion, reputation: the rows. */
#include "command/query.h"
#include "governance/govern.h"
#include "growth/growth_priv.h"

static const struct http_member promote_members[] = {
	{"override", HTTP_BOOL, false, 0, 0, NULL, "promote it though the evidence does not suffice; needs a reason"},
	{"reason", HTTP_STRING, false, 1, 1000, NULL, "why; kept in the audit log"},
	{.name = NULL},
};
static const struct http_member demote_members[] = {
	{"reason", HTTP_STRING, true, 1, 1000, NULL, "why; kept in the audit log"},
	{"incident", HTTP_BOOL, false, 0, 0, NULL, "something has happened: it is said so in the audit log"},
	{.name = NULL},
};

/* The agent of the path; NULL: the request has been answered. */
static const struct agent *path_agent(struct guild *guild, struct http_request *request)
{
	const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, request->params[0]);
	if (agent == NULL) {
		http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
	}
	return agent;
}

/* ---- readiness ---- */

struct readiness_query {
	struct query query; /* first */
	int64_t agent;
	enum maturity maturity;
};

static enum err readiness_run(struct query *query, struct db *db)
{
	struct readiness_query *own = (struct readiness_query *)query;
	struct evidence evidence;
	enum err err = evidence_read(NULL, db, own->agent, &evidence);
	if (err == ERR_OK) {
		readiness_json(query->guild, own->agent, own->maturity, &evidence, &query->json);
	}
	return err;
}

static void handle_readiness(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct agent *agent = govern_read(guild, request, "explain") ? path_agent(guild, request) : NULL;
	struct readiness_query *own = agent != NULL ? query_new(guild, request, sizeof(*own)) : NULL;
	if (own != NULL) {
		own->agent = agent->id;
		own->maturity = agent->maturity;
		query_submit(&own->query, readiness_run);
	}
}

/* ---- one step ---- */

static void level_change(struct http_request *request, struct guild *guild, struct level_input *input)
{
	struct str reason;
	const struct agent *agent = path_agent(guild, request);
	if (agent == NULL) {
		return;
	}
	input->agent = agent->id;
	input->reason = http_body_str(request, "reason", &reason) ? str_trim(reason) : STR_NONE;
	if (input->reason.len == 0 && (input->by < 0 || input->override || input->reason.at != NULL)) {
		http_reply_invalid(request, "/reason", "A reason is needed.");
		return;
	}
	int level = (int)agent->maturity + input->by;
	if (level < MATURITY_STUDENT || level > MATURITY_AUTONOMOUS) {
		http_reply_error(
			request, ERR_CONFLICT, input->by > 0 ? "The agent is autonomous already." : "The agent is a student already.");
		return;
	}
	level_start(guild, request, agent, input);
}

static void handle_promote(struct http_request *request, void *ctx)
{
	struct level_input input = {.by = 1};
	(void)http_body_bool(request, "override", &input.override);
	level_change(request, ctx, &input);
}

static void handle_demote(struct http_request *request, void *ctx)
{
	struct level_input input = {.by = -1};
	(void)http_body_bool(request, "incident", &input.incident);
	level_change(request, ctx, &input);
}

const struct http_route growth_routes[] = {
	{HTTP1_GET, "/v1/agents/{id}/readiness", ROLE_VIEWER, SCOPE_AGENTS_READ, HTTP_AGENT_OK, "explain",
		"How far an agent is from its next level: evidence since the last change, what is needed, every gap.", NULL, NULL, "readiness",
		200, handle_readiness},
	{HTTP1_GET, "/v1/agents/{id}/reputation", ROLE_VIEWER, SCOPE_AGENTS_READ, HTTP_AGENT_OK, "explain",
		"What others make of an agent's public posts, its place among all agents, and how that went in 30 days.", NULL, NULL,
		"reputation", 200, reputation_handle},
	{HTTP1_POST, "/v1/agents/{id}/promote", ROLE_ADMIN, SCOPE_ADMIN, HTTP_BODY_OPTIONAL, "grant",
		"Promotes an agent by one level: when it is ready, or as an admin's override with a reason.", promote_members, NULL, "agent", 200,
		handle_promote},
	{HTTP1_POST, "/v1/agents/{id}/demote", ROLE_ADMIN, SCOPE_ADMIN, 0, "revoke", "Demotes an agent by one level, at once.", demote_members, NULL,
		"agent", 200, handle_demote},
	{.path = NULL},
};
