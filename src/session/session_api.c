/* session_api.c - /v1/sessions. */
#include "agent/agent.h"
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/change.h"
#include "command/query.h"
#include "identity/identity.h"
#include "session/session_priv.h"

static const struct http_member create_members[] = {
	{"agent", HTTP_STRING, false, 1, 255, NULL, "id or handle of the agent that answers"},
	{"title", HTTP_STRING, false, 0, 200, NULL, "what it is about"},
	{.name = NULL},
};
static const struct http_member patch_members[] = {
	{"title", HTTP_STRING, true, 0, 200, NULL, "the new title"},
	{.name = NULL},
};
static const struct http_member agent_members[] = {
	{"agent", HTTP_STRING, true, 1, 255, NULL, "id or handle of the agent that answers from now on"},
	{.name = NULL},
};
static const struct http_member list_query[] = {
	QUERY_LIST_MEMBERS,
	{"user", HTTP_STRING, false, 1, 255, NULL, "sessions of this user, for admins"},
	{.name = NULL},
};
static const struct http_member message_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};

struct session_query {
	struct query query; /* first */
	int64_t id, owner;
	bool foreign; /* an admin reads what is somebody else's */
	struct str text;
	int64_t seen;
};

/* The session of the path. False: the request has been answered. */
static bool path_session(struct guild *guild, struct http_request *request, int64_t *id)
{
	if (id_parse(&guild->id_secret, ID_SESSION, request->params[0], id) != ERR_OK) {
		http_reply_error(request, ERR_SESSION_NOT_FOUND, NULL);
		return false;
	}
	return true;
}

/* The agent a body names. False: the request has been answered. */
static bool body_agent(struct guild *guild, struct http_request *request, const struct agent **agent)
{
	struct str text;
	*agent = NULL;
	if (!http_body_str(request, "agent", &text)) {
		return true;
	}
	*agent = registry_find(guild->registry, guild, request->caller.workspace, text);
	if (*agent == NULL) {
		http_reply_error(request, ERR_AGENT_NOT_FOUND, NULL);
	}
	return *agent != NULL;
}

/* ---- an admin's reads of others' sessions are audited before the reply ---- */

static void foreign_reply(struct http_request *request, struct guild *guild, void *arg)
{
	struct session_query *own = arg;
	(void)guild;
	http_reply_json(request, 200, own->text);
}

static void read_finish(struct query *query)
{
	struct session_query *own = (struct session_query *)query;
	struct http_request *request = query->request;
	if (query->job.result != ERR_OK || !own->foreign) {
		query_reply(query);
		return;
	}
	own->text = arena_copy(&request->arena, buf_str(&query->text));
	buf_fini(&query->text);
	if (own->text.at == NULL) {
		http_reply_error(request, ERR_LIMIT, NULL);
		return;
	}
	struct id_text owner = id_format(&query->guild->id_secret, ID_PRINCIPAL, own->owner);
	struct change_what what = {.session = own->id,
		.change = arena_format(&request->arena, "{\"read\":\"%s\",\"user_id\":\"%s\"}",
			own->id != 0 ? "session" : "sessions", owner.text)};
	change_read(query->guild, request, &what, foreign_reply, own);
}

static enum err session_of_query(struct session_query *own, struct db *db, struct session *out)
{
	struct http_request *request = own->query.request;
	int64_t owner = caller_is_admin(&request->caller) ? 0 : request->caller.principal;
	enum err err = session_read(db, &request->arena, own->id, request->caller.workspace, owner, out);
	if (err == ERR_OK) {
		own->owner = out->owner;
		own->foreign = out->owner != request->caller.principal;
	}
	return err;
}

/* ---- reading ---- */

static enum err get_run(struct query *query, struct db *db)
{
	struct session session;
	enum err err = session_of_query((struct session_query *)query, db, &session);
	if (err == ERR_OK) {
		session_json(query->guild, &session, &query->json);
	}
	return err;
}

static void handle_get(struct http_request *request, void *ctx)
{
	int64_t id;
	if (!path_session(ctx, request, &id)) {
		return;
	}
	struct session_query *own = query_new(ctx, request, sizeof(*own));
	if (own != NULL) {
		own->id = id;
		own->query.finish = read_finish;
		query_submit(&own->query, get_run);
	}
}

static bool list_row(const struct session *session, void *arg)
{
	struct session_query *own = arg;
	if (session->workspace == own->query.request->caller.workspace) {
		if (!query_room(&own->query)) {
			return false;
		}
		session_json(own->query.guild, session, &own->query.json);
	}
	query_mark(&own->query, session->id, 0);
	if (++own->seen == LIMIT_SCAN_ROWS) {
		own->query.more = true;
		return false;
	}
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	struct session_query *own = (struct session_query *)query;
	return session_rows(db, own->owner, query->after[0], LIMIT_SCAN_ROWS, list_row, own);
}

/* Whose sessions. 0: the request has been answered. */
static int64_t list_owner(struct guild *guild, struct http_request *request, struct str *user)
{
	int64_t id;
	if (!http_query_str(request, "user", user)) {
		*user = STR("");
		return request->caller.principal;
	}
	const struct principal *principal = NULL;
	if (id_parse(&guild->id_secret, ID_PRINCIPAL, *user, &id) == ERR_OK) {
		principal = identity_principal(guild->identity, id);
	}
	if (principal != NULL && principal->id == request->caller.principal) {
		return principal->id;
	}
	if (!caller_is_admin(&request->caller)) {
		http_reply_error(request, ERR_PERMISSION, "Only an admin lists the sessions of others.");
		return 0;
	}
	if (principal == NULL || principal->workspace != request->caller.workspace) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return 0;
	}
	return principal->id;
}

static void handle_list(struct http_request *request, void *ctx)
{
	struct str user;
	int64_t owner = list_owner(ctx, request, &user);
	if (owner == 0) {
		return;
	}
	struct session_query *own = query_list_new(ctx, request, user, sizeof(*own));
	if (own != NULL) {
		own->owner = owner;
		own->foreign = owner != request->caller.principal;
		own->query.finish = read_finish;
		query_submit(&own->query, list_run);
	}
}

/* ---- messages ---- */

static void message_json(struct session_query *own, const struct session_turn *turn, bool from_user)
{
	const struct siphash_key *secret = &own->query.guild->id_secret;
	struct json_out *json = &own->query.json;
	struct id_text id = id_format(secret, from_user ? ID_USER_MESSAGE : ID_ASSISTANT_MESSAGE, turn->id);
	struct id_text session = id_format(secret, ID_SESSION, own->id), agent = id_format(secret, ID_AGENT, turn->agent);
	struct id_text execution = id_format(secret, ID_EXECUTION, turn->id);
	struct time_text created =
		time_format(from_user || turn->ended_at_us == 0 ? turn->started_at_us : turn->ended_at_us);
	json_object(json);
	json_put_str(json, STR("id"), id_str(&id));
	json_put_str(json, STR("session_id"), id_str(&session));
	json_put_str(json, STR("role"), from_user ? STR("user") : STR("assistant"));
	json_put_str(json, STR("content"), from_user ? turn->message : turn->answer.at != NULL ? turn->answer : STR(""));
	json_put_str_or_null(json, STR("agent_id"), from_user ? STR_NONE : id_str(&agent));
	json_put_str(json, STR("execution_id"), id_str(&execution));
	json_put_bool(json, STR("partial"), !from_user && turn->partial);
	json_put_str(json, STR("created_at"), time_str(&created));
	json_object_end(json);
}

/* The cursor names a turn and how many of its two messages were given. */
static bool message_row(const struct session_turn *turn, void *arg)
{
	struct session_query *own = arg;
	struct query *query = &own->query;
	int64_t given = turn->id == query->after[0] ? query->after[1] : 0;
	if (given < 1) {
		if (!query_room(query)) {
			return false;
		}
		message_json(own, turn, true);
		query_mark(query, turn->id, 1);
	}
	if (given < 2 && turn->has_answer) {
		if (!query_room(query)) {
			return false;
		}
		message_json(own, turn, false);
		query_mark(query, turn->id, 2);
	}
	return true;
}

static enum err message_run(struct query *query, struct db *db)
{
	struct session_query *own = (struct session_query *)query;
	struct session session;
	enum err err = session_of_query(own, db, &session);
	/* Each row gives a message but perhaps the first: a page and two rows are enough to know whether more follow. */
	return err == ERR_OK ? session_turns(db, own->id, query->after[0], query->limit + 2, message_row, own) : err;
}

static void handle_messages(struct http_request *request, void *ctx)
{
	int64_t id;
	if (!path_session(ctx, request, &id)) {
		return;
	}
	struct session_query *own = query_list_new(ctx, request, STR(""), sizeof(*own));
	if (own != NULL) {
		own->id = id;
		own->query.finish = read_finish;
		query_submit(&own->query, message_run);
	}
}

/* ---- changes ---- */

static void handle_create(struct http_request *request, void *ctx)
{
	const struct agent *agent;
	struct str title = STR("");
	if (body_agent(ctx, request, &agent)) {
		(void)http_body_str(request, "title", &title);
		session_create_start(ctx, request, agent != NULL ? agent->id : 0, title);
	}
}

static void handle_patch(struct http_request *request, void *ctx)
{
	int64_t id;
	struct str title;
	if (!path_session(ctx, request, &id)) {
		return;
	}
	if (!http_body_str(request, "title", &title)) {
		http_reply_invalid(request, "/title", "A title is needed.");
		return;
	}
	session_title_start(ctx, request, id, title);
}

static void handle_agent(struct http_request *request, void *ctx)
{
	int64_t id;
	const struct agent *agent;
	if (!path_session(ctx, request, &id) || !body_agent(ctx, request, &agent)) {
		return;
	}
	if (agent == NULL) {
		http_reply_invalid(request, "/agent", "An agent is needed.");
		return;
	}
	session_agent_start(ctx, request, id, agent->id, agent->name);
}

static void handle_delete(struct http_request *request, void *ctx)
{
	int64_t id;
	if (path_session(ctx, request, &id)) {
		session_delete_start(ctx, request, id);
	}
}

const struct http_route session_routes[] = {
	{HTTP1_POST, "/v1/sessions", ROLE_MEMBER, SCOPE_CHAT, HTTP_BODY_OPTIONAL, "create", "Makes a session.", create_members, NULL,
		"session", 201, handle_create},
	{HTTP1_GET, "/v1/sessions", ROLE_VIEWER, SCOPE_CHAT, 0, "list", "Lists the caller's sessions, newest first.", NULL, list_query,
		"list:session", 200, handle_list},
	{HTTP1_GET, "/v1/sessions/{id}", ROLE_VIEWER, SCOPE_CHAT, 0, "get", "Shows a session.", NULL, NULL, "session", 200, handle_get},
	{HTTP1_PATCH, "/v1/sessions/{id}", ROLE_MEMBER, SCOPE_CHAT, 0, "update", "Gives a session a title; If-Match names the revision it is based on.",
		patch_members, NULL,
		"session", 200, handle_patch},
	{HTTP1_DELETE, "/v1/sessions/{id}", ROLE_MEMBER, SCOPE_CHAT, 0, "delete",
		"Deletes a session with its messages, unless it is answering.", NULL, NULL, NULL, 204, handle_delete},
	{HTTP1_GET, "/v1/sessions/{id}/messages", ROLE_VIEWER, SCOPE_CHAT, 0, "get_messages",
		"Lists a session's messages, oldest first.", NULL, message_query, "list:message", 200, handle_messages},
	{HTTP1_PUT, "/v1/sessions/{id}/agent", ROLE_MEMBER, SCOPE_CHAT, 0, "update", "Sets the agent that answers in a session; If-Match as above.",
		agent_members, NULL, "session", 200, handle_agent},
	{.path = NULL},
};
