/*
 * workspace.c - /v1/workspaces: made by operators, each with a first admin and an agent of the system, changed by its admins.
 *
 * What is in one is separated everywhere by the caller's workspace, which its token says. Nothing here can look into another.
 */
#include "agent/agent_priv.h"
#include "agent/workspace_priv.h"
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/query.h"
#include "wire/utf8.h"

enum { OBJECT_BYTES_MAX = 16384 };

struct workspace_command {
	struct change change; /* first */
	struct workspace workspace;
	/* of a new one */
	int64_t admin, token, agent;
	struct str admin_name;
	uint8_t hash[HASH_SHA256_BYTES];
	char text[TOKEN_TEXT_LEN + 1];
	/* of a change */
	bool name_given, default_given;
};

static enum err create_apply(struct command *base, struct db *db);
static void create_finish(struct command *base);
static enum err update_apply(struct command *base, struct db *db);
static void update_finish(struct command *base);

static const struct command_row create_row = {"workspace_create", "create", create_apply, NULL, create_finish};
static const struct command_row update_row = {"workspace_update", "configure", update_apply, NULL, update_finish};

static const struct http_member create_members[] = {
	{"name", HTTP_STRING, true, 1, 200, NULL, "unique"},
	{"admin", HTTP_STRING, false, 1, 200, NULL, "name of its first admin, whose token is shown once; admin when absent"},
	{.name = NULL},
};
static const struct http_member patch_members[] = {
	{"name", HTTP_STRING, false, 1, 200, NULL, "unique"},
	{"default_agent", HTTP_STRING, false, 0, LIMIT_ID_BYTES, NULL, "id or handle of the agent that answers when none is named; empty: the system's"},
	{.name = NULL},
};
static const struct http_member list_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};

/* ---- the wire object ---- */

static void workspace_members(struct guild *guild, const struct workspace *workspace, struct json_out *out)
{
	struct id_text id = id_format(&guild->id_secret, ID_WORKSPACE, workspace->id);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, workspace->default_agent);
	struct time_text created = time_format(workspace->created_at_us);
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str(out, STR("name"), workspace->name);
	json_put_str_or_null(out, STR("default_agent_id"), workspace->default_agent != 0 ? id_str(&agent) : STR_NONE);
	json_put_str(out, STR("created_at"), time_str(&created));
}

static void workspace_json(struct guild *guild, const struct workspace *workspace, struct json_out *out)
{
	json_object(out);
	workspace_members(guild, workspace, out);
	json_object_end(out);
}

/* ---- list ---- */

static bool list_row(const struct workspace *workspace, void *arg)
{
	struct query *query = arg;
	const struct caller *caller = &query->request->caller;
	if (caller->role == ROLE_OPERATOR || workspace->id == caller->workspace) {
		if (!query_room(query)) {
			return false;
		}
		workspace_json(query->guild, workspace, &query->json);
	}
	query_mark(query, workspace->id, 0);
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	return workspace_rows(db, query->after[0], INT64_MAX, list_row, query);
}

static void handle_list(struct http_request *request, void *ctx)
{
	struct query *query = query_list_new(ctx, request, STR(""), sizeof(*query));
	if (query != NULL) {
		query_submit(query, list_run);
	}
}

/* ---- create ---- */

static bool name_read(struct http_request *request, const char *member, struct str *name)
{
	if (!http_body_str(request, member, name)) {
		return true;
	}
	*name = str_trim(*name);
	if (!utf8_is_name(*name)) {
		struct str pointer = arena_format(&request->arena, "/%s", member);
		http_reply_invalid(request, pointer.at != NULL ? pointer.at : "/name", "A name is not empty and has no control characters.");
		return false;
	}
	return true;
}

static enum err create_audit(struct workspace_command *command)
{
	struct guild *guild = command->change.guild;
	struct id_text id = id_format(&guild->id_secret, ID_WORKSPACE, command->workspace.id);
	struct id_text admin = id_format(&guild->id_secret, ID_PRINCIPAL, command->admin);
	struct id_text token = id_format(&guild->id_secret, ID_TOKEN, command->token);
	struct change_what what = {.agent = 0};
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("new"));
	json_object(&json);
	json_put_str(&json, STR("name"), command->workspace.name);
	json_put_str(&json, STR("principal_id"), id_str(&admin));
	json_put_str(&json, STR("token_id"), id_str(&token));
	json_put_str(&json, STR("workspace_id"), id_str(&id));
	json_object_end(&json);
	json_put_null(&json, STR("old"));
	json_object_end(&json);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		what.change = buf_str(&text);
		err = change_audit(&command->change, &what);
	}
	buf_fini(&text);
	return err;
}

static void handle_create(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct str name = STR(""), admin = STR("admin");
	if (!name_read(request, "name", &name) || !name_read(request, "admin", &admin)) {
		return;
	}
	struct workspace_command *command = change_new(guild, request, &create_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->workspace = (struct workspace){.id = guild_key(guild, request->loop), .name = name};
	command->admin = guild_key(guild, request->loop);
	command->token = guild_key(guild, request->loop);
	command->agent = guild_key(guild, request->loop);
	command->admin_name = admin;
	token_make(guild->env, command->text, command->hash);
	change_submit(&command->change, create_audit(command));
}

/* Who asked is what it was when the handler looked: tokens end with their role, and so does what they had begun. */
static bool still_has_role(const struct command *base, struct guild *guild)
{
	const struct principal *asker = identity_writer_principal(guild->identity, base->caller.principal);
	return asker != NULL && asker->role == base->caller.role && asker->disabled_at_us == 0;
}

static enum err create_apply(struct command *base, struct db *db)
{
	struct workspace_command *command = (struct workspace_command *)base;
	struct guild *guild = command->change.guild;
	struct workspace *made = &command->workspace;
	bool taken;
	enum err err = workspace_row_taken(db, made->name, made->id, &taken);
	if (err != ERR_OK || taken || !still_has_role(base, guild)) {
		return err != ERR_OK ? err : taken ? ERR_CONFLICT : ERR_UNAUTHENTICATED;
	}
	int64_t now_us = made->created_at_us = command_now_us(base);
	struct principal_new admin = {
		command->admin, made->id, 0, PRINCIPAL_HUMAN, ROLE_ADMIN, command->admin_name, STR_NONE};
	const struct token_terms terms = {.label = STR("first admin token")};
	err = identity_workspace_insert(db, made->id, made->name, now_us);
	if (err == ERR_OK) {
		err = identity_principal_insert(guild->identity, db, &admin, now_us);
	}
	if (err == ERR_OK) {
		err = identity_token_insert(guild->identity, db, command->token, command->admin, command->hash, &terms, now_us);
	}
	if (err == ERR_OK) {
		err = agent_system_insert(guild->registry, db, made->id, command->agent, now_us);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

/* text at NULL: for who asks again. */
static enum err made_json(const struct workspace_command *command, struct str token, struct buf *text)
{
	struct guild *guild = command->change.guild;
	struct id_text admin = id_format(&guild->id_secret, ID_PRINCIPAL, command->admin);
	struct json_out json;
	buf_clear(text);
	json_begin(&json, text);
	json_object(&json);
	workspace_members(guild, &command->workspace, &json);
	json_put_str(&json, STR("principal_id"), id_str(&admin));
	json_put_str_or_null(&json, STR("token"), token);
	if (token.at == NULL) {
		json_put_bool(&json, STR("replayed"), true);
	}
	json_object_end(&json);
	return buf_err(text);
}

static void create_finish(struct command *base)
{
	struct workspace_command *command = (struct workspace_command *)base;
	struct http_request *request = command->change.request;
	if (base->result == ERR_CONFLICT) {
		command->change.detail = STR("Another workspace has this name.");
	}
	if (change_refused(&command->change)) {
		return;
	}
	struct buf text;
	buf_init(&text, OBJECT_BYTES_MAX);
	if (made_json(command, STR_NONE, &text) == ERR_OK) {
		http_reply_again(request, buf_str(&text));
	}
	(void)made_json(command, str_make(command->text, TOKEN_TEXT_LEN), &text);
	change_reply(request, 201, &text);
}

/* ---- change ---- */

/* Its own, or any for an operator. False: the request has been answered. */
static bool path_workspace(struct guild *guild, struct http_request *request, int64_t *id)
{
	const struct caller *caller = &request->caller;
	bool known = id_parse(&guild->id_secret, ID_WORKSPACE, request->params[0], id) == ERR_OK;
	if (!known || (*id != caller->workspace && caller->role != ROLE_OPERATOR)) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return false;
	}
	return true;
}

static bool patch_read(struct guild *guild, struct http_request *request, struct workspace_command *command)
{
	struct workspace *to = &command->workspace;
	struct str word = STR("");
	command->name_given = http_body_str(request, "name", &to->name);
	command->default_given = http_body_str(request, "default_agent", &word);
	if (command->name_given && !name_read(request, "name", &to->name)) {
		return false;
	}
	if (word.len > 0) {
		const struct agent *agent = registry_find(guild->registry, guild, to->id, word);
		if (agent == NULL || agent->lifecycle == LIFECYCLE_ARCHIVED) {
			http_reply_invalid(request, "/default_agent", "There is no such agent in the workspace.");
			return false;
		}
		to->default_agent = agent->id;
	}
	return true;
}

static void change_fields(struct guild *guild, struct json_out *json, const struct workspace *workspace)
{
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, workspace->default_agent);
	json_object(json);
	json_put_str_or_null(json, STR("default_agent_id"), workspace->default_agent != 0 ? id_str(&agent) : STR_NONE);
	json_put_str(json, STR("name"), workspace->name);
	json_object_end(json);
}

/* In apply, where it is known what it was. */
static enum err update_audit(struct workspace_command *command, const struct workspace *from)
{
	struct guild *guild = command->change.guild;
	struct change_what what = {.agent = 0};
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("new"));
	change_fields(guild, &json, &command->workspace);
	json_name(&json, STR("old"));
	change_fields(guild, &json, from);
	json_object_end(&json);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		what.change = buf_str(&text);
		err = change_audit(&command->change, &what);
	}
	buf_fini(&text);
	return err;
}

static void handle_patch(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	int64_t id;
	if (!path_workspace(guild, request, &id)) {
		return;
	}
	struct workspace_command *command = change_new(guild, request, &update_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->workspace = (struct workspace){.id = id, .name = STR("")};
	if (!patch_read(guild, request, command)) {
		return;
	}
	/* Its people find the change in their log, whoever made it. */
	command->change.command.caller.workspace = id;
	change_submit(&command->change, ERR_OK);
}

static enum err update_apply(struct command *base, struct db *db)
{
	struct workspace_command *command = (struct workspace_command *)base;
	struct guild *guild = command->change.guild;
	struct workspace *to = &command->workspace, from;
	bool taken = false;
	enum err err = workspace_row_get(db, base->arena, to->id, &from);
	if (err == ERR_OK && command->name_given) {
		err = workspace_row_taken(db, to->name, to->id, &taken);
	}
	if (err != ERR_OK || taken || !still_has_role(base, guild)) {
		return err != ERR_OK ? err : taken ? ERR_CONFLICT : ERR_UNAUTHENTICATED;
	}
	to->created_at_us = from.created_at_us;
	to->name = command->name_given ? to->name : from.name;
	to->default_agent = command->default_given ? to->default_agent : from.default_agent;
	command->change.row = (struct log_row){0};
	err = update_audit(command, &from);
	if (err == ERR_OK) {
		err = workspace_row_update(db, to);
	}
	if (err == ERR_OK) {
		err = registry_default_put(guild->registry, to->id, to->default_agent);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void update_finish(struct command *base)
{
	struct workspace_command *command = (struct workspace_command *)base;
	struct buf text;
	struct json_out json;
	if (base->result == ERR_CONFLICT) {
		command->change.detail = STR("Another workspace has this name.");
	}
	if (change_refused(&command->change)) {
		return;
	}
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	workspace_json(command->change.guild, &command->workspace, &json);
	change_reply(command->change.request, 200, &text);
}

const struct http_route workspace_routes[] = {
	{HTTP1_POST, "/v1/workspaces", ROLE_OPERATOR, SCOPE_ADMIN, 0, "create",
		"Makes a workspace with a first admin, whose token is shown once, and an agent of the system.", create_members, NULL,
		"workspace_made", 201, handle_create},
	{HTTP1_GET, "/v1/workspaces", ROLE_ADMIN, SCOPE_ADMIN, 0, "list", "Lists workspaces: all for operators, else one's own.", NULL,
		list_query, "list:workspace", 200, handle_list},
	{HTTP1_PATCH, "/v1/workspaces/{id}", ROLE_ADMIN, SCOPE_ADMIN, 0, "configure",
		"Renames a workspace or sets the agent that answers when none is named.", patch_members, NULL, "workspace", 200,
		handle_patch},
	{.path = NULL},
};
