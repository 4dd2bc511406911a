/* rate_api.c - how limits in time are told: the refusal, the headers, and GET /v1/agents/{id}/rate-limit. */
#include "base/timefmt.h"
#include "social/social_priv.h"

enum { US_PER_S = 1000000 };

enum err rate_refuse(struct change *change, struct db *db, const char *what, struct rate_rule rule, const struct rate_state *state)
{
	struct arena *arena = change->command.arena;
	int64_t now_us = command_now_us(&change->command);
	int64_t wait_us = state->reset_us > now_us ? state->reset_us - now_us : 0;
	struct time_text reset = time_format(now_us + wait_us);
	struct str detail = rule.limit == 0
		? arena_format(arena, "The limit of %s is 0: none are permitted.", what)
		: arena_format(arena, "The limit of %lld %s in %lld s is reached; one more is free at %s.", (long long)rule.limit, what,
			       (long long)(rule.window_us / US_PER_S), reset.text);
	change->retry_after_ms = rule.limit == 0 ? rule.window_us / 1000 : (wait_us + 999) / 1000;
	return change_refuse(change, db, ERR_RATE_LIMITED, detail);
}

void rate_headers(struct change *change, struct rate_rule rule, const struct rate_state *state)
{
	if (rule.limit < 0 || change->request == NULL) {
		return;
	}
	int64_t wait_us = state->reset_us - env_wall_us(change->guild->env);
	http_reply_rate(change->request, rule.limit, state->remaining, wait_us > 0 ? (wait_us + US_PER_S - 1) / US_PER_S : 0);
}

/* ---- the route ---- */

struct rate_query {
	struct query query; /* first */
	struct actor agent;
	enum maturity maturity;
};

static const struct {
	struct str name;
	enum rate_kind kind;
} shown[] = {
	{{"posts", 5}, RATE_POST},
	{{"direct_messages", 15}, RATE_MESSAGE},
	{{"reactions", 9}, RATE_REACTION},
};

static void put_limit(struct json_out *out, struct str name, int64_t value, struct rate_rule rule)
{
	if (rule.limit < 0) {
		json_put_null(out, name);
	} else {
		json_put_int(out, name, value);
	}
}

static void put_state(struct json_out *out, struct rate_state state, struct rate_rule rule)
{
	struct time_text reset = time_format(state.reset_us);
	json_object(out);
	put_limit(out, STR("limit"), rule.limit, rule);
	put_limit(out, STR("used"), state.used, rule);
	put_limit(out, STR("remaining"), state.remaining, rule);
	json_put_str_or_null(out, STR("reset_at"), state.reset_us != 0 ? time_str(&reset) : STR_NONE);
	json_put_int(out, STR("window_seconds"), rule.window_us / US_PER_S);
	json_object_end(out);
}

static enum err rate_run(struct query *query, struct db *db)
{
	struct rate_query *rate = (struct rate_query *)query;
	struct json_out *out = &query->json;
	struct id_text id = actor_id(query->guild, rate->agent);
	int64_t now_us = env_wall_us(query->guild->env);
	json_object(out);
	json_put_str(out, STR("agent_id"), id_str(&id));
	json_put_str(out, STR("maturity"), maturity_word(rate->maturity));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		struct rate_rule rule = rate_rule_of(query->guild, rate->agent, rate->maturity, shown[i].kind);
		struct rate_state state;
		enum err err = rate_read(db, rate->agent, shown[i].kind, 0, rule, now_us, &state);
		if (err != ERR_OK) {
			return err;
		}
		json_name(out, shown[i].name);
		put_state(out, state, rule);
	}
	json_object_end(out);
	return ERR_OK;
}

static void handle_rate(struct http_request *request, void *ctx)
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
	struct rate_query *rate = query_new(guild, request, sizeof(*rate));
	if (rate != NULL) {
		rate->agent = (struct actor){agent->id, ACTOR_AGENT};
		rate->maturity = agent->maturity;
		query_submit(&rate->query, rate_run);
	}
}

const struct http_route social_rate_routes[] = {
	{HTTP1_GET, "/v1/agents/{id}/rate-limit", ROLE_VIEWER, SCOPE_AGENTS_READ, HTTP_AGENT_OK, "explain",
		"How many posts, direct messages and reactions an agent has left in the sliding hour.", NULL, NULL, "rate_limits", 200,
		handle_rate},
	{.path = NULL},
};
