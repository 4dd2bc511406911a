/* money_api.c - /v1/budgets, /v1/spend, /v1/catalogue. */
#include "governance/govern.h"
#include "governance/ledger_priv.h"
#include "identity/identity.h"

#define BUDGET_MICRO_MAX (LIMIT_BUDGET_UNITS * INT64_C(1000000))

static const char *const mode_words[] = {"warn", "hard", NULL};

static const struct http_member put_members[] = {
	{"limit_micro", HTTP_INT, false, 0, BUDGET_MICRO_MAX, NULL, "millionths of the currency a month; null: no limit"},
	{"mode", HTTP_STRING, false, 0, 0, mode_words, "warn (default): alerts only; hard: runs are refused too"},
	{"time_zone", HTTP_STRING, false, 1, LIMIT_ZONE_NAME, NULL, "of a workspace alone: where its months begin, as Europe/Berlin or +02:00"},
	{.name = NULL},
};
static const struct http_member list_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};
static const struct http_member spend_query[] = {
	{"tz", HTTP_STRING, false, 1, LIMIT_ZONE_NAME, NULL, "time zone of the days and of the month; the workspace's when absent"},
	{"month", HTTP_STRING, false, 7, 7, NULL, "as 2026-11; the one that goes on when absent"},
	{.name = NULL},
};

/* ---- budgets ---- */

struct budget_page {
	struct query query; /* first */
};

static bool may_see(struct query *query, const struct budget *budget)
{
	const struct caller *caller = &query->request->caller;
	const struct agent *agent = budget->kind == BUDGET_OF_AGENT ? registry_get(query->guild->registry, budget->scope) : NULL;
	return caller_is_admin(caller) || budget->scope == caller->principal || (agent != NULL && agent->owner == caller->principal);
}

static bool budget_row_put_json(const struct budget_row *row, void *arg)
{
	struct query *query = arg;
	if (may_see(query, &row->budget)) {
		if (!query_room(query)) {
			return false;
		}
		budget_json(query->guild, row, &query->json);
	}
	query_mark(query, row->budget.scope, 0);
	return true;
}

static enum err budgets_run(struct query *query, struct db *db)
{
	struct str name;
	struct ledger *ledger = query->guild->ledger;
	int64_t workspace = query->request->caller.workspace;
	int64_t month = zone_month(ledger_workspace_zone(ledger, workspace, false, &name), env_wall_us(query->guild->env));
	return budget_rows(db, workspace, query->after[0], month, budget_row_put_json, query);
}

static void handle_budgets(struct http_request *request, void *ctx)
{
	struct budget_page *page = query_list_new(ctx, request, STR(""), sizeof(*page));
	if (page != NULL) {
		query_submit(&page->query, budgets_run);
	}
}

/* False: the request has been answered. */
static bool scope_read(struct guild *guild, struct http_request *request, struct budget *budget)
{
	struct str text = request->params[0];
	int64_t workspace = request->caller.workspace;
	budget->workspace = workspace;
	if (str_eq(text, STR("workspace"))) {
		budget->kind = BUDGET_OF_WORKSPACE;
		budget->scope = workspace;
		return true;
	}
	if (str_starts(text, STR("agent:"))) {
		const struct agent *agent = registry_find(guild->registry, guild, workspace, str_sub(text, 6, text.len));
		budget->kind = BUDGET_OF_AGENT;
		budget->scope = agent != NULL ? agent->id : 0;
	} else if (str_starts(text, STR("user:"))) {
		const struct principal *user = identity_find(guild->identity, guild, workspace, str_sub(text, 5, text.len));
		budget->kind = BUDGET_OF_USER;
		budget->scope = user != NULL ? user->id : 0;
	} else {
		http_reply_invalid(request, "scope", "A scope is workspace, user:<id> or agent:<id or handle>.");
		return false;
	}
	if (budget->scope == 0) {
		http_reply_error(request, budget->kind == BUDGET_OF_AGENT ? ERR_AGENT_NOT_FOUND : ERR_NOT_FOUND, NULL);
	}
	return budget->scope != 0;
}

static bool zone_read(struct guild *guild, struct http_request *request, struct budget *budget)
{
	struct str name;
	if (!http_body_str(request, "time_zone", &name)) {
		return true;
	}
	if (budget->kind != BUDGET_OF_WORKSPACE) {
		http_reply_invalid(request, "/time_zone", "Months are the workspace's: set its budget's time zone.");
		return false;
	}
	if (ledger_zone(guild->ledger, name, &budget->zone) != ERR_OK) {
		http_reply_invalid(request, "/time_zone", "There is no such time zone here; UTC, +02:00 and names as Europe/Berlin are.");
		return false;
	}
	str_to_z(name, budget->zone_name, sizeof(budget->zone_name));
	return true;
}

static void handle_put(struct http_request *request, void *ctx)
{
	struct budget budget = {.limit_micro = -1, .mode = BUDGET_WARN};
	struct str word;
	if (!scope_read(ctx, request, &budget) || !zone_read(ctx, request, &budget)) {
		return;
	}
	(void)http_body_int(request, "limit_micro", &budget.limit_micro);
	if (http_body_str(request, "mode", &word)) {
		budget.mode = str_eq_case(word, STR("hard")) ? BUDGET_HARD : BUDGET_WARN;
	}
	budget_put_start(ctx, request, &budget);
}

/* ---- spending ---- */

static void handle_spend(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct caller *caller = &request->caller;
	struct str zone_name, month_text;
	const struct zone *zone = ledger_workspace_zone(guild->ledger, caller->workspace, false, &zone_name);
	if (http_query_str(request, "tz", &zone_name) && ledger_zone(guild->ledger, zone_name, &zone) != ERR_OK) {
		http_reply_invalid(request, "tz", "There is no such time zone here; UTC, +02:00 and names as Europe/Berlin are.");
		return;
	}
	zone_name = arena_copy(&request->arena, zone_name);
	int64_t month = zone_month(zone, env_wall_us(guild->env));
	if (http_query_str(request, "month", &month_text) && zone_month_parse(month_text, &month) != ERR_OK) {
		http_reply_invalid(request, "month", "A month is written as 2026-11.");
		return;
	}
	struct spend_range range = {.workspace = caller->workspace,
				    .from = zone_month_start_us(zone, month) / QUARTER_US,
				    .until = zone_month_start_us(zone, month + 1) / QUARTER_US,
				    .owner = caller_is_admin(caller) ? 0 : caller->principal};
	spend_start(guild, request, &range, month, zone_name, zone);
}

/* ---- the catalogue ---- */

struct catalogue_page {
	struct query query; /* first */
};

static void words_put(struct json_out *json, struct str words)
{
	struct str word;
	json_array(json);
	while (str_split(&words, ' ', &word)) {
		if (word.len > 0) {
			json_str(json, word);
		}
	}
	json_array_end(json);
}

static void model_put(const struct catalogue_model *model, struct json_out *json)
{
	json_object(json);
	json_put_str(json, STR("provider"), model->provider);
	json_put_str(json, STR("model"), model->model);
	json_put_int(json, STR("price_in_micro"), model->price.in);
	json_put_int(json, STR("price_out_micro"), model->price.out);
	json_put_int(json, STR("price_cached_micro"), model->price.cached);
	json_put_int(json, STR("context"), model->context);
	json_name(json, STR("output_max"));
	if (model->output_max > 0) {
		json_int(json, model->output_max);
	} else {
		json_null(json);
	}
	json_put_int(json, STR("quality"), model->quality);
	json_name(json, STR("capabilities"));
	words_put(json, model->capabilities);
	json_put_str(json, STR("source"), model->source);
	json_put_str(json, STR("date"), model->date);
	json_object_end(json);
}

static enum err catalogue_run(struct query *query, struct db *db)
{
	const struct catalogue *catalogue = query->guild->catalogue != NULL ? catalogue_now(query->guild->catalogue) : NULL;
	(void)db;
	for (size_t i = (size_t)query->after[0]; catalogue != NULL && i < catalogue_count(catalogue); i++) {
		if (!query_room(query)) {
			break;
		}
		model_put(catalogue_at(catalogue, i), &query->json);
		query_mark(query, (int64_t)i + 1, 0);
	}
	return ERR_OK;
}

static void handle_catalogue(struct http_request *request, void *ctx)
{
	struct catalogue_page *page = query_list_new(ctx, request, STR(""), sizeof(*page));
	if (page != NULL) {
		query_submit(&page->query, catalogue_run);
	}
}

const struct http_route money_routes[] = {
	{HTTP1_GET, "/v1/budgets", ROLE_MEMBER, SCOPE_AUDIT_READ, 0, "list",
		"Lists budgets with what of the month is used: admins all, others their own and their agents'.", NULL, list_query, "list:budget", 200,
		handle_budgets},
	{HTTP1_PUT, "/v1/budgets/{scope}", ROLE_ADMIN, SCOPE_BUDGETS_WRITE, 0, "configure",
		"Sets the budget of workspace, user:<id> or agent:<id or handle>.", put_members, NULL, "budget", 200, handle_put},
	{HTTP1_GET, "/v1/spend", ROLE_MEMBER, SCOPE_AUDIT_READ, 0, "get",
		"What a month's runs cost, by day, agent, user and model: admins all, others their own.", NULL, spend_query, "spend", 200, handle_spend},
	{HTTP1_GET, "/v1/catalogue", ROLE_VIEWER, SCOPE_SIGNED_IN, 0, "list", "Lists the models whose price is known.", NULL, list_query,
		"list:catalogue_model", 200, handle_catalogue},
	{.path = NULL},
};
