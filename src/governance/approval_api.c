/* approval_api.c - /v1/agents/{id}/enforce and /v1/approvals. */
#include "base/limits.h"
#include "command/query.h"
#include "governance/approval_priv.h"
#include "governance/govern.h"
#include "wire/jcs.h"

enum { WAIT_MS_MAX = 60000 };

static const char *const priority_words[] = {"low", "medium", "high", "urgent", NULL};
static const char *const status_words[] = {"pending", "approved", "consumed", "rejected", "expired", "cancelled", NULL};

static const struct http_member enforce_members[] = {
	{"action", HTTP_STRING, true, 1, 128, NULL, "what the agent is about to do"},
	{"arguments", HTTP_OBJECT, false, 0, 0, NULL, "what it does it with; {} when absent"},
	{"approval_id", HTTP_STRING, false, 1, 255, NULL, "the approval of exactly this, which is used up"},
	{"require_approval", HTTP_BOOL, false, 0, 0, NULL, "ask for a human's approval whatever the level"},
	{"reason", HTTP_STRING, false, 1, 1000, NULL, "why, for the human; the decision's words when absent"},
	{"priority", HTTP_STRING, false, 0, 0, priority_words, "how urgent the approval is; medium when absent"},
	{.name = NULL},
};
static const struct http_member note_members[] = {
	{"note", HTTP_STRING, false, 0, 1000, NULL, "said to whoever waits, and kept"},
	{.name = NULL},
};
static const struct http_member list_query[] = {
	QUERY_LIST_MEMBERS,
	{"status", HTTP_STRING, false, 0, 0, status_words, "only those in this state"},
	{"agent", HTTP_STRING, false, 1, 255, NULL, "only of this agent (id or handle)"},
	{.name = NULL},
};
static const struct http_member get_query[] = {
	{"wait_ms", HTTP_INT, false, 0, WAIT_MS_MAX, NULL, "wait so long for the decision"},
	{.name = NULL},
};

/* ---- enforce ---- */

/* Canonical, so that the same arguments are the same bytes. False: the request has been answered. */
static bool arguments_read(struct http_request *request, struct str *out)
{
	struct json arguments = json_member(request->body, STR("arguments"));
	struct buf text;
	*out = STR("{}");
	if (json_kind(arguments) != JSON_OBJECT) {
		return true;
	}
	buf_init(&text, LIMIT_APPROVAL_BYTES);
	enum err err = jcs_put(&text, &request->arena, arguments);
	*out = err == ERR_OK && buf_err(&text) == ERR_OK ? arena_copy(&request->arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	if (out->at == NULL) {
		http_reply_invalid(request, "/arguments", "At most 65536 bytes.");
	}
	return out->at != NULL;
}

/* An agent acts as itself; of people its owner and admins let it act. */
static void permission_look(const struct http_request *request, const struct agent *agent, struct enforce_input *input)
{
	const struct caller *caller = &request->caller;
	bool own = agent != NULL && (caller->role == ROLE_AGENT ? agent->id == caller->agent : agent->owner == caller->principal);
	if (caller->role == ROLE_AGENT && !own) {
		input->err = ERR_PERMISSION;
		input->detail = STR("An agent acts as itself only.");
	} else if (agent != NULL && !own && !caller_is_admin(caller)) {
		input->err = ERR_PERMISSION;
		input->detail = STR("Only the agent's owner or an admin may do this.");
	}
}

static void handle_enforce(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct enforce_input input = {.priority = APPROVAL_MEDIUM};
	struct action_level level;
	struct str word;
	const struct policy *policy = policy_get(guild->policies, request->caller.workspace);
	if (!http_body_str(request, "action", &input.action) || policy_level(policy, input.action, &level) != ERR_OK) {
		http_reply_invalid(request, "/action", "An action has 1 to 128 bytes.");
		return;
	}
	if (http_body_str(request, "approval_id", &word) &&
	    id_parse(&guild->id_secret, ID_APPROVAL, word, &input.approval) != ERR_OK) {
		http_reply_invalid(request, "/approval_id", "This is no approval's id.");
		return;
	}
	if (http_body_str(request, "priority", &word)) {
		(void)approval_priority_parse(word, &input.priority);
	}
	(void)http_body_str(request, "reason", &input.reason);
	(void)http_body_bool(request, "require_approval", &input.require_approval);
	if (!arguments_read(request, &input.arguments)) {
		return;
	}
	const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, request->params[0]);
	input.agent = agent != NULL ? agent->id : 0;
	permission_look(request, agent, &input);
	enforce_start(guild, request, &input);
}

/* ---- reading ---- */

/* False: the request has been answered. */
static bool path_approval(struct guild *guild, struct http_request *request, int64_t *id)
{
	enum err err = id_parse(&guild->id_secret, ID_APPROVAL, request->params[0], id);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
	return err == ERR_OK;
}

static void handle_get(struct http_request *request, void *ctx)
{
	int64_t id, wait_ms = 0;
	if (!govern_read(ctx, request, "get") || !path_approval(ctx, request, &id)) {
		return;
	}
	(void)http_query_int(request, "wait_ms", &wait_ms);
	approval_wait_start(ctx, request, id, wait_ms * 1000);
}

struct approval_list {
	struct query query;          /* first */
	enum approval_status status; /* 0: any */
	int64_t agent;               /* 0: any */
	int64_t now_us, seen;
};

static bool list_row(const struct approval *approval, void *arg)
{
	struct approval_list *list = arg;
	struct query *query = &list->query;
	bool wanted = (list->status == 0 || approval_status_at(approval, list->now_us) == list->status) &&
		      (list->agent == 0 || approval->agent == list->agent) &&
		      approval_visible(&query->request->caller, approval, registry_get(query->guild->registry, approval->agent));
	if (wanted) {
		if (!query_room(query)) {
			return false;
		}
		approval_json(query->guild, approval, &query->json);
	}
	query_mark(query, approval->id, 0);
	if (++list->seen == LIMIT_SCAN_ROWS) {
		query->more = true;
		return false;
	}
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	int64_t before = query->after[0] != 0 ? query->after[0] : INT64_MAX;
	return approval_rows(db, query->request->caller.workspace, before, LIMIT_SCAN_ROWS, list_row, query);
}

static void handle_list(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	enum approval_status status = 0;
	struct str word;
	int64_t agent = 0;
	if (!govern_read(guild, request, "list")) {
		return;
	}
	if (http_query_str(request, "status", &word)) {
		(void)approval_status_parse(word, &status);
	}
	if (http_query_str(request, "agent", &word)) {
		const struct agent *found = registry_find(guild->registry, guild, request->caller.workspace, word);
		if (found == NULL) {
			http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
			return;
		}
		agent = found->id;
	}
	struct str filter = arena_format(&request->arena, "%d:%lld", (int)status, (long long)agent);
	struct approval_list *list = query_list_new(guild, request, filter, sizeof(*list));
	if (list != NULL) {
		list->status = status;
		list->agent = agent;
		list->now_us = env_wall_us(guild->env);
		query_submit(&list->query, list_run);
	}
}

/* ---- deciding ---- */

static void decide_one(struct http_request *request, struct guild *guild, bool approve)
{
	struct str note = STR_NONE;
	int64_t id;
	if (path_approval(guild, request, &id)) {
		(void)http_body_str(request, "note", &note);
		approval_decide_start(guild, request, id, approve, note);
	}
}

static void handle_approve(struct http_request *request, void *ctx)
{
	decide_one(request, ctx, true);
}

static void handle_reject(struct http_request *request, void *ctx)
{
	decide_one(request, ctx, false);
}

const struct http_route approval_routes[] = {
	{HTTP1_POST, "/v1/agents/{id}/enforce", ROLE_MEMBER, SCOPE_CHAT, HTTP_AGENT_OK | HTTP_EXISTED, "decide",
		"Decides what the agent is about to do, for the audit log; 202: a human has to approve it first.", enforce_members,
		NULL, "enforcement", 202, handle_enforce},
	{HTTP1_GET, "/v1/approvals", ROLE_VIEWER, SCOPE_APPROVALS_READ, HTTP_AGENT_OK, "list",
		"Lists approvals, newest first: admins all, others those of their agents and requests.", NULL, list_query,
		"list:approval", 200, handle_list},
	{HTTP1_GET, "/v1/approvals/{id}", ROLE_VIEWER, SCOPE_APPROVALS_READ, HTTP_AGENT_OK, "get", "Shows an approval; with wait_ms once it is decided.",
		NULL, get_query, "approval", 200, handle_get},
	{HTTP1_POST, "/v1/approvals/{id}/approve", ROLE_ADMIN, SCOPE_APPROVALS_DECIDE, HTTP_BODY_OPTIONAL, "approve",
		"Approves; once decided, it answers the first decision.", note_members, NULL, "approval", 200, handle_approve},
	{HTTP1_POST, "/v1/approvals/{id}/reject", ROLE_ADMIN, SCOPE_APPROVALS_DECIDE, HTTP_BODY_OPTIONAL, "approve",
		"Rejects; once decided, it answers the first decision.", note_members, NULL, "approval", 200, handle_reject},
	{.path = NULL},
};
