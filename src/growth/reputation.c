/* reputation.c - GET /v1/agents/{id}/reputation. */
#include "command/query.h"
#include "governance/govern.h"
#include "growth/growth_priv.h"

#define DAY_US 86400000000ll

struct reputation_query {
	struct query query; /* first */
	int64_t agent;
};

static enum err reputation_run(struct query *query, struct db *db)
{
	struct reputation_query *own = (struct reputation_query *)query;
	struct reputation reputation;
	int64_t today = env_wall_us(query->guild->env) / DAY_US;
	enum err err = reputation_read(db, query->request->caller.workspace, own->agent, today, &reputation);
	if (err == ERR_OK) {
		reputation_json(query->guild, own->agent, &reputation, &query->json);
	}
	return err;
}

void reputation_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	if (!govern_read(guild, request, "explain")) {
		return;
	}
	const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, request->params[0]);
	if (agent == NULL) {
		http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
		return;
	}
	struct reputation_query *own = query_new(guild, request, sizeof(*own));
	if (own != NULL) {
		own->agent = agent->id;
		query_submit(&own->query, reputation_run);
	}
}
