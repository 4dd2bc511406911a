/* feedback_api.c - /v1/agents/{id}/feedback and /v1/feedback. */
#include "base/limits.h"
#include "command/query.h"
#include "growth/feedback_priv.h"

static const char *const thumbs_words[] = {"up", "down", NULL};
static const char *const status_words[] = {"pending", "accepted", "rejected", NULL};

static const struct http_member give_members[] = {
	{"thumbs", HTTP_STRING, false, 0, 0, thumbs_words, "was it good"},
	{"rating", HTTP_INT, false, 1, 5, NULL, "1 (bad) to 5 (good)"},
	{"correction", HTTP_STRING, false, 1, LIMIT_FEEDBACK_BYTES, NULL, "what would have been right"},
	{"execution_id", HTTP_STRING, false, 1, 255, NULL, "the run that it is of"},
	{"post_id", HTTP_STRING, false, 1, 255, NULL, "or the post or reply"},
	{.name = NULL},
};
static const struct http_member note_members[] = {
	{"note", HTTP_STRING, false, 0, 1000, NULL, "kept with it"},
	{.name = NULL},
};
static const struct http_member list_query[] = {
	QUERY_LIST_MEMBERS,
	{"status", HTTP_STRING, false, 0, 0, status_words, "only those in this state"},
	{"agent", HTTP_STRING, false, 1, 255, NULL, "only of this agent (id or handle)"},
	{.name = NULL},
};

/* ---- giving ---- */

/* False: the request has been answered. */
static bool subject_read(struct guild *guild, struct http_request *request, const char *name, enum id_kind kind, int64_t *key)
{
	struct str word;
	if (!http_body_str(request, name, &word) || id_parse(&guild->id_secret, kind, word, key) == ERR_OK) {
		return true;
	}
	struct http_problem problem = {.err = ERR_INVALID,
		.pointer = arena_format(&request->arena, "/%s", name),
		.detail = kind == ID_POST ? STR("This is no post's id.") : STR("This is no execution's id.")};
	http_reply_problem(request, &problem);
	return false;
}

static void handle_give(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct feedback feedback = {.id = 0};
	const char *pointer;
	struct str word;
	int64_t rating = 0;
	const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, request->params[0]);
	if (agent == NULL) {
		http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
		return;
	}
	feedback.agent = agent->id;
	if (http_body_str(request, "thumbs", &word)) {
		feedback.thumbs = str_eq_case(word, STR("up")) ? THUMBS_UP : THUMBS_DOWN;
	}
	(void)http_body_int(request, "rating", &rating);
	feedback.rating = (int)rating;
	feedback.correction = http_body_str(request, "correction", &word) ? word : STR_NONE;
	if (!subject_read(guild, request, "execution_id", ID_EXECUTION, &feedback.execution) ||
	    !subject_read(guild, request, "post_id", ID_POST, &feedback.post)) {
		return;
	}
	const char *fault = feedback_fault(&feedback, &pointer);
	if (fault != NULL) {
		http_reply_invalid(request, pointer, fault);
		return;
	}
	feedback_give_start(guild, request, &feedback);
}

/* ---- reading ---- */

/* False: the request has been answered. */
static bool path_feedback(struct guild *guild, struct http_request *request, int64_t *id)
{
	enum err err = id_parse(&guild->id_secret, ID_FEEDBACK, request->params[0], id);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
	return err == ERR_OK;
}

struct feedback_query {
	struct query query; /* first */
	int64_t id;
};

static enum err get_run(struct query *query, struct db *db)
{
	struct feedback_query *own = (struct feedback_query *)query;
	const struct caller *caller = &query->request->caller;
	struct feedback feedback;
	enum err err = feedback_get(db, &query->request->arena, own->id, &feedback);
	if (err != ERR_OK) {
		return err;
	}
	if (feedback.workspace != caller->workspace || (feedback.principal != caller->principal && !caller_is_admin(caller))) {
		return ERR_NOT_FOUND;
	}
	feedback_json(query->guild, &feedback, &query->json);
	return ERR_OK;
}

static void handle_get(struct http_request *request, void *ctx)
{
	int64_t id;
	struct feedback_query *own = path_feedback(ctx, request, &id) ? query_new(ctx, request, sizeof(*own)) : NULL;
	if (own != NULL) {
		own->id = id;
		query_submit(&own->query, get_run);
	}
}

struct feedback_list {
	struct query query; /* first */
	enum feedback_status status; /* 0: any */
	int64_t agent;               /* 0: any */
	int64_t seen;
};

static bool list_row(const struct feedback *feedback, void *arg)
{
	struct feedback_list *list = arg;
	struct query *query = &list->query;
	bool wanted = (list->status == 0 || feedback->status == list->status) && (list->agent == 0 || feedback->agent == list->agent);
	if (wanted) {
		if (!query_room(query)) {
			return false;
		}
		feedback_json(query->guild, feedback, &query->json);
	}
	query_mark(query, feedback->id, 0);
	if (++list->seen == LIMIT_SCAN_ROWS) {
		query->more = true;
		return false;
	}
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	const struct feedback_list *list = (const struct feedback_list *)query;
	int64_t before = query->after[0] != 0 ? query->after[0] : INT64_MAX;
	return feedback_rows(db, query->request->caller.workspace, list->status == FEEDBACK_PENDING, before, LIMIT_SCAN_ROWS, list_row, query);
}

static void handle_list(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	enum feedback_status status = 0;
	struct str word;
	int64_t agent = 0;
	if (http_query_str(request, "status", &word)) {
		(void)feedback_status_parse(word, &status);
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
	struct feedback_list *list = query_list_new(guild, request, filter, sizeof(*list));
	if (list != NULL) {
		list->status = status;
		list->agent = agent;
		query_submit(&list->query, list_run);
	}
}

/* ---- deciding ---- */

static void decide_one(struct http_request *request, struct guild *guild, bool accept)
{
	struct str note = STR_NONE;
	int64_t id;
	if (path_feedback(guild, request, &id)) {
		(void)http_body_str(request, "note", &note);
		feedback_decide_start(guild, request, id, accept, note);
	}
}

static void handle_accept(struct http_request *request, void *ctx)
{
	decide_one(request, ctx, true);
}

static void handle_reject(struct http_request *request, void *ctx)
{
	decide_one(request, ctx, false);
}

const struct http_route feedback_routes[] = {
	{HTTP1_POST, "/v1/agents/{id}/feedback", ROLE_MEMBER, SCOPE_CHAT, 0, "submit",
		"Says how good an agent, a run or a post of it was; taken at once from admins and specialists, else after a review.", give_members,
		NULL, "feedback", 201, handle_give},
	{HTTP1_GET, "/v1/feedback", ROLE_ADMIN, SCOPE_ADMIN, 0, "list", "Lists feedback, newest first.", NULL, list_query, "list:feedback", 200,
		handle_list},
	{HTTP1_GET, "/v1/feedback/{id}", ROLE_MEMBER, SCOPE_AGENTS_READ, 0, "get", "Shows a piece of feedback to who gave it and to admins.", NULL, NULL,
		"feedback", 200, handle_get},
	{HTTP1_POST, "/v1/feedback/{id}/accept", ROLE_ADMIN, SCOPE_ADMIN, HTTP_BODY_OPTIONAL, "approve",
		"Accepts what waits: it counts from now on; once decided, it answers the first decision.", note_members, NULL, "feedback", 200,
		handle_accept},
	{HTTP1_POST, "/v1/feedback/{id}/reject", ROLE_ADMIN, SCOPE_ADMIN, HTTP_BODY_OPTIONAL, "approve",
		"Rejects what waits; once decided, it answers the first decision.", note_members, NULL, "feedback", 200, handle_reject},
	{.path = NULL},
};
