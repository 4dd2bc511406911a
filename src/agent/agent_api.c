/* agent_api.c - /v1/agents: rows, and what is checked before a command. */
#include "agent/agent_priv.h"
#include "base/limits.h"
#include "command/query.h"
#include "identity/identity.h"

static const char *const maturity_words[] = {"student", "intern", "supervised", "autonomous", NULL};
static const char *const lifecycle_words[] = {"active", "paused", "stopped", "archived", NULL};
static const char *const kind_words[] = {"hosted", "external", NULL};

#define EDIT_MEMBERS                                                                                                   \
	{"description", HTTP_STRING, false, 0, 4000, NULL, "what the agent is for"},                                       \
		{"category", HTTP_STRING, false, 1, 100, NULL, "its field; \"general\" when absent"},                          \
		{"model", HTTP_OBJECT, false, 0, 0, NULL, "{provider?, model?}: a fixed choice; null: routed"},                \
		{"system_prompt", HTTP_STRING, false, 0, 65536, NULL, "instructions given before every conversation"},         \
		{"configuration", HTTP_OBJECT, false, 0, 0, NULL, "free JSON object for the owner's use"},                     \
		{"capabilities", HTTP_ARRAY, false, 0, 64, NULL, "words for what it can do"},                                  \
		{"max_concurrent_runs", HTTP_INT, false, 0, 10000, NULL, "runs at the same time, others wait for their turn; 0: no limit"},                \
	{                                                                                                                  \
		"auto_reply", HTTP_BOOL, false, 0, 0, NULL, "answers mentions by itself"                                       \
	}

static const struct http_member create_members[] = {
	{"name", HTTP_STRING, true, 1, 1000, NULL, "1 to 200 characters"},
	{"handle", HTTP_STRING, false, 1, 64, NULL, "unique, [a-z0-9_-]; made from the name when absent"},
	{"maturity", HTTP_STRING, false, 0, 0, maturity_words, "student when absent; above it for admins only"},
	{"kind", HTTP_STRING, false, 0, 0, kind_words, "hosted: run by the server; external: a program with a token"},
	EDIT_MEMBERS,
	{.name = NULL},
};
static const struct http_member patch_members[] = {
	{"name", HTTP_STRING, false, 1, 1000, NULL, "1 to 200 characters"},
	EDIT_MEMBERS,
	{.name = NULL},
};
static const struct http_member list_query[] = {
	QUERY_LIST_MEMBERS,
	{"maturity", HTTP_STRING, false, 0, 0, maturity_words, "only those of this level"},
	{"lifecycle", HTTP_STRING, false, 0, 0, lifecycle_words, "only those in this state"},
	{.name = NULL},
};
static const struct http_member cancel_query[] = {
	{"cancel", HTTP_BOOL, false, 0, 0, NULL, "true: its runs are cancelled too"},
	{.name = NULL},
};
static const struct http_member token_members[] = {TOKEN_MEMBERS, {.name = NULL}};

static bool may_change(const struct http_request *request, const struct agent *agent)
{
	return caller_is_admin(&request->caller) || agent->owner == request->caller.principal;
}

/* The agent of the path; NULL: the request has been answered. */
static const struct agent *path_agent(struct guild *guild, struct http_request *request)
{
	const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, request->params[0]);
	if (agent == NULL) {
		http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
	}
	return agent;
}

/* The same, when the caller may change it. */
static const struct agent *path_agent_to_change(struct guild *guild, struct http_request *request)
{
	const struct agent *agent = path_agent(guild, request);
	if (agent != NULL && !may_change(request, agent)) {
		http_reply_error(request, ERR_PERMISSION, "Only the agent's owner or an admin may do this.");
		return NULL;
	}
	return agent;
}

static void agent_reply(struct guild *guild, struct http_request *request, const struct agent *agent)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	agent_json(guild, agent, may_change(request, agent), &json);
	change_reply(request, 200, &text);
}

/* ---- create, get, list ---- */

static void create_try(struct http_request *request, void *ctx, unsigned tries)
{
	struct agent_edit edit = {.reply_status = 201, .again = create_try, .tries = tries};
	if (agent_input_create(ctx, request, &edit)) {
		edit.to.id = guild_key(ctx, request->loop);
		agent_edit_start(ctx, request, &agent_create_row, &edit);
	}
}

static void handle_create(struct http_request *request, void *ctx)
{
	create_try(request, ctx, 0);
}

static void handle_get(struct http_request *request, void *ctx)
{
	const struct agent *agent = path_agent(ctx, request);
	if (agent != NULL) {
		agent_reply(ctx, request, agent);
	}
}

struct agent_list {
	struct query query;       /* first */
	enum maturity maturity;   /* 0: any */
	enum lifecycle lifecycle; /* 0: any */
	int64_t seen;
};

static bool list_row(const struct agent *agent, void *arg)
{
	struct agent_list *list = arg;
	struct query *query = &list->query;
	bool wanted = agent->workspace == query->request->caller.workspace &&
				  (list->maturity == 0 || agent->maturity == list->maturity) &&
				  (list->lifecycle == 0 || agent->lifecycle == list->lifecycle);
	if (wanted) {
		if (!query_room(query)) {
			return false;
		}
		agent_json(query->guild, agent, may_change(query->request, agent), &query->json);
	}
	query_mark(query, agent->id, 0);
	if (++list->seen == LIMIT_SCAN_ROWS) {
		query->more = true;
		return false;
	}
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	return agent_rows(db, query->after[0], LIMIT_SCAN_ROWS, list_row, query);
}

static void handle_list(struct http_request *request, void *ctx)
{
	enum maturity maturity = 0;
	enum lifecycle lifecycle = 0;
	struct str word;
	if (http_query_str(request, "maturity", &word)) {
		(void)maturity_parse(word, &maturity);
	}
	if (http_query_str(request, "lifecycle", &word)) {
		(void)lifecycle_parse(word, &lifecycle);
	}
	struct str filter = arena_format(&request->arena, "%d:%d", (int)maturity, (int)lifecycle);
	struct agent_list *list = query_list_new(ctx, request, filter, sizeof(*list));
	if (list != NULL) {
		list->maturity = maturity;
		list->lifecycle = lifecycle;
		query_submit(&list->query, list_run);
	}
}

/* ---- changes ---- */

/* If-Match: "3", 3 or *. False: the request has been answered. */
static bool if_match_read(struct http_request *request, const struct agent *agent, struct agent_edit *edit)
{
	struct str text = http_header(request, STR("if-match"));
	uint64_t revision;
	if (text.at == NULL || str_eq(text, STR("*"))) {
		return true;
	}
	if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"') {
		text = str_sub(text, 1, text.len - 2);
	}
	if (!str_to_u64(text, &revision)) {
		http_reply_invalid(request, "If-Match", "It has to be the agent's revision, as in \"3\".");
		return false;
	}
	edit->if_match = true;
	if (revision != (uint64_t)agent->revision) {
		struct http_problem problem = {.err = ERR_CONFLICT,
			.detail = STR("The agent was changed meanwhile."),
			.members = arena_format(&request->arena, "\"revision\":%lld", (long long)agent->revision)};
		http_reply_problem(request, &problem);
		return false;
	}
	return true;
}

static void patch_try(struct http_request *request, void *ctx, unsigned tries)
{
	const struct agent *agent = path_agent_to_change(ctx, request);
	if (agent == NULL) {
		return;
	}
	struct agent_edit edit = {.from = agent, .to = *agent, .reply_status = 200, .again = patch_try, .tries = tries};
	if (if_match_read(request, agent, &edit) && agent_input_patch(request, &edit)) {
		agent_edit_start(ctx, request, &agent_update_row, &edit);
	}
}

static void handle_patch(struct http_request *request, void *ctx)
{
	patch_try(request, ctx, 0);
}

/* Runs that it has under way. False: there is no memory for that. */
static bool runs_end(struct guild *guild, const struct agent *agent)
{
	if (guild->runs == NULL) {
		return true;
	}
	struct run_stop *stop = guild->runs->stop_make(guild);
	if (stop == NULL) {
		return false;
	}
	guild->runs->stop_send(&stop, agent->workspace, agent->id, "its agent was stopped");
	return true;
}

static void lifecycle_change(
	struct http_request *request, struct guild *guild, enum lifecycle to, const struct agent_edit *base)
{
	const struct agent *agent = path_agent_to_change(guild, request);
	bool cancel = false;
	struct str word;
	if (agent == NULL) {
		return;
	}
	if (to != LIFECYCLE_ACTIVE && http_query_str(request, "cancel", &word)) {
		cancel = str_eq(word, STR("true"));
	}
	if (agent->lifecycle == to) {
		if (cancel && !runs_end(guild, agent)) {
			http_reply_error(request, ERR_MEMORY, NULL);
		} else {
			agent_reply(guild, request, agent);
		}
		return;
	}
	if (!lifecycle_may_follow(agent->lifecycle, to)) {
		struct str detail = arena_format(&request->arena, "An agent that is %.*s cannot become %.*s.",
			STR_FMT(lifecycle_word(agent->lifecycle)), STR_FMT(lifecycle_word(to)));
		http_reply_error(request, ERR_CONFLICT, detail.at);
		return;
	}
	struct agent_edit edit = *base;
	edit.from = agent;
	edit.to = *agent;
	edit.to.lifecycle = to;
	edit.cancel = cancel;
	edit.reply_status = 200;
	agent_edit_start(guild, request, &agent_lifecycle_row, &edit);
}

static void pause_try(struct http_request *request, void *ctx, unsigned tries)
{
	lifecycle_change(request, ctx, LIFECYCLE_PAUSED, &(struct agent_edit){.again = pause_try, .tries = tries});
}

static void resume_try(struct http_request *request, void *ctx, unsigned tries)
{
	lifecycle_change(request, ctx, LIFECYCLE_ACTIVE, &(struct agent_edit){.again = resume_try, .tries = tries});
}

static void stop_try(struct http_request *request, void *ctx, unsigned tries)
{
	lifecycle_change(request, ctx, LIFECYCLE_STOPPED, &(struct agent_edit){.again = stop_try, .tries = tries});
}

static void archive_try(struct http_request *request, void *ctx, unsigned tries)
{
	lifecycle_change(request, ctx, LIFECYCLE_ARCHIVED, &(struct agent_edit){.again = archive_try, .tries = tries});
}

static void handle_pause(struct http_request *request, void *ctx)
{
	pause_try(request, ctx, 0);
}

static void handle_resume(struct http_request *request, void *ctx)
{
	resume_try(request, ctx, 0);
}

static void handle_stop(struct http_request *request, void *ctx)
{
	stop_try(request, ctx, 0);
}

static void handle_archive(struct http_request *request, void *ctx)
{
	archive_try(request, ctx, 0);
}

static void handle_token(struct http_request *request, void *ctx)
{
	const struct agent *agent = path_agent_to_change(ctx, request);
	struct token_terms terms;
	if (agent == NULL) {
		return;
	}
	if (agent->kind != AGENT_EXTERNAL) {
		http_reply_error(request, ERR_CONFLICT, "Only an external agent holds tokens; this one is hosted.");
		return;
	}
	if (token_members_read(ctx, request, ROLE_AGENT, &terms)) {
		agent_token_start(ctx, request, agent, &terms);
	}
}

const struct http_route agent_routes[] = {
	{HTTP1_POST, "/v1/agents", ROLE_MEMBER, SCOPE_AGENTS_WRITE, 0, "create", "Makes an agent; members make students that they own.",
		create_members, NULL, "agent", 201, handle_create},
	{HTTP1_GET, "/v1/agents", ROLE_VIEWER, SCOPE_AGENTS_READ, 0, "list", "Lists the agents of the workspace.", NULL, list_query,
		"list:agent", 200, handle_list},
	{HTTP1_GET, "/v1/agents/{id}", ROLE_VIEWER, SCOPE_AGENTS_READ, 0, "get", "Shows an agent, by id or handle.", NULL, NULL, "agent", 200,
		handle_get},
	{HTTP1_PATCH, "/v1/agents/{id}", ROLE_MEMBER, SCOPE_AGENTS_WRITE, 0, "update",
		"Changes an agent; If-Match names the revision it is based on.", patch_members, NULL, "agent", 200,
		handle_patch},
	{HTTP1_POST, "/v1/agents/{id}/pause", ROLE_MEMBER, SCOPE_AGENTS_WRITE, 0, "configure", "Pauses an agent: it is blocked until resumed.",
		NULL, cancel_query, "agent", 200, handle_pause},
	{HTTP1_POST, "/v1/agents/{id}/resume", ROLE_MEMBER, SCOPE_AGENTS_WRITE, 0, "configure", "Makes a paused or stopped agent active.", NULL,
		NULL, "agent", 200, handle_resume},
	{HTTP1_POST, "/v1/agents/{id}/stop", ROLE_MEMBER, SCOPE_AGENTS_WRITE, 0, "configure", "Stops an agent.", NULL, cancel_query, "agent", 200,
		handle_stop},
	{HTTP1_POST, "/v1/agents/{id}/archive", ROLE_MEMBER, SCOPE_AGENTS_WRITE, 0, "configure", "Archives an agent for good.", NULL, cancel_query,
		"agent", 200, handle_archive},
	{HTTP1_POST, "/v1/agents/{id}/tokens", ROLE_MEMBER, SCOPE_WHOLE, HTTP_BODY_OPTIONAL, "grant",
		"Makes a token for an external agent; it is shown once.", token_members, NULL, "token", 201, handle_token},
	{.path = NULL},
};
