/* identity_api.c - /v1/me, /v1/users, and the rows of /v1/tokens. */
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/query.h"
#include "identity/identity_priv.h"
#include "wire/utf8.h"

enum { SPECIALTIES_MAX = 32, SPECIALTY_BYTES_MAX = 64, TRIES_MAX = 16, CHANGE_BYTES_MAX = 16384, OBJECT_BYTES_MAX = 65536 };

/* A user's record made or changed. */
struct user_command {
	struct change change; /* first */
	struct identity *identity;
	bool is_new, removes; /* removes: its tokens end too, and nothing is shown */
	struct principal from, to; /* texts of from are not kept beyond the handler */
	struct revocation *revocation;
	unsigned tries;
};

static enum err user_create_apply(struct command *base, struct db *db);
static enum err user_update_apply(struct command *base, struct db *db);
static void user_finish(struct command *base);
static void user_patch_try(struct http_request *request, struct guild *guild, unsigned tries);

static const struct command_row user_create_row = {"user_create", "create", user_create_apply, NULL, user_finish};
static const struct command_row user_update_row = {"user_update", "update", user_update_apply, NULL, user_finish};
static const struct command_row user_remove_row = {"user_remove", "revoke", user_update_apply, NULL, user_finish};

static const char *const role_choices[] = {"viewer", "member", "admin", NULL};

static const struct http_member user_create_members[] = {
	{"name", HTTP_STRING, true, 1, 200, NULL, "how the user is called"},
	{"role", HTTP_STRING, true, 0, 0, role_choices, "at most the caller's own"},
	{"workspace_id", HTTP_STRING, false, 1, 255, NULL, "another workspace than the caller's, for operators"},
	{.name = NULL},
};
static const struct http_member user_patch_members[] = {
	{"name", HTTP_STRING, false, 1, 200, NULL, "how the user is called"},
	{"role", HTTP_STRING, false, 0, 0, role_choices, "at most the caller's own; another one revokes the user's tokens"},
	{"disabled", HTTP_BOOL, false, 0, 0, NULL, "true: its tokens stop working at once; false: they work again"},
	{"specialty", HTTP_ARRAY, false, 0, SPECIALTIES_MAX, NULL, "categories of agents whose work the user may judge"},
	{.name = NULL},
};
static const struct http_member list_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};
/* ---- rights ---- */

/* Admins rule over people up to their own role, and over agents' principals; operators in all workspaces. */
bool identity_may_rule(const struct caller *caller, const struct principal *principal)
{
	if (!caller_is_admin(caller) || (principal->workspace != caller->workspace && caller->role != ROLE_OPERATOR)) {
		return false;
	}
	return principal->kind == PRINCIPAL_AGENT ||
		   (principal->kind == PRINCIPAL_HUMAN && principal->role <= caller->role);
}

/* A principal of the caller's workspace by id text; NULL: the request has been answered. */
const struct principal *identity_find(struct identity *identity, struct guild *guild, int64_t workspace, struct str id_or_name)
{
	int64_t id;
	const struct principal *principal = NULL;
	if (id_parse(&guild->id_secret, ID_PRINCIPAL, id_or_name, &id) == ERR_OK) {
		principal = identity_principal(identity, id);
	}
	if (principal == NULL) {
		principal = identity_external(identity, workspace, id_or_name);
	}
	return principal != NULL && principal->workspace == workspace ? principal : NULL;
}

const struct principal *identity_by_text(struct guild *guild, struct http_request *request, struct str text)
{
	const struct principal *principal = identity_find(guild->identity, guild, request->caller.workspace, text);
	int64_t id;
	/* Somebody has to be able to help who lost the last token of a workspace. */
	if (principal == NULL && request->caller.role == ROLE_OPERATOR && caller_is_admin(&request->caller) &&
		id_parse(&guild->id_secret, ID_PRINCIPAL, text, &id) == ERR_OK) {
		principal = identity_principal(guild->identity, id);
	}
	if (principal == NULL) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return NULL;
	}
	return principal;
}

static void principal_reply(
	struct guild *guild, struct http_request *request, int status, const struct principal *principal)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	principal_json(guild, principal, &json);
	change_reply(request, status, &text);
}

/* ---- me, users: reading ---- */

static void handle_me(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct principal *principal = identity_principal(guild->identity, request->caller.principal);
	if (principal == NULL) {
		http_reply_error(request, ERR_UNAUTHENTICATED, NULL);
		return;
	}
	struct time_text expires = time_format(request->caller.expires_at_us);
	char csrf[HTTP_CSRF_LEN + 1];
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	principal_members(guild, principal, &json);
	token_scopes_json(request->caller.scopes, &json);
	json_put_str_or_null(&json, STR("expires_at"), request->caller.expires_at_us != 0 ? time_str(&expires) : STR_NONE);
	if (http_request_csrf(request, csrf)) {
		json_put_str(&json, STR("csrf_token"), str_of(csrf));
	}
	json_object_end(&json);
	change_reply(request, 200, &text);
}

static void handle_user_get(struct http_request *request, void *ctx)
{
	const struct principal *principal = identity_by_text(ctx, request, request->params[0]);
	if (principal != NULL) {
		principal_reply(ctx, request, 200, principal);
	}
}

struct principal_list {
	struct query query; /* first */
	int64_t seen;
};

/* Ends a scan that found little. */
static bool list_goes_on(struct principal_list *list, int64_t id)
{
	query_mark(&list->query, id, 0);
	if (++list->seen == LIMIT_SCAN_ROWS) {
		list->query.more = true;
		return false;
	}
	return true;
}

static bool user_list_row(const struct principal *principal, void *arg)
{
	struct principal_list *list = arg;
	struct query *query = &list->query;
	if (principal->workspace == query->request->caller.workspace && principal->kind != PRINCIPAL_SYSTEM) {
		if (!query_room(query)) {
			return false;
		}
		principal_json(query->guild, principal, &query->json);
	}
	return list_goes_on(list, principal->id);
}

static enum err user_list_run(struct query *query, struct db *db)
{
	return principal_rows(db, query->after[0], LIMIT_SCAN_ROWS, user_list_row, query);
}

static void handle_user_list(struct http_request *request, void *ctx)
{
	struct principal_list *list = query_list_new(ctx, request, STR(""), sizeof(*list));
	if (list != NULL) {
		query_submit(&list->query, user_list_run);
	}
}

/* ---- users: changing ---- */

static void user_fields(struct json_out *json, const struct principal *principal)
{
	json_object(json);
	json_put_bool(json, STR("disabled"), principal->disabled_at_us != 0);
	json_put_str(json, STR("name"), principal->name);
	json_put_str(json, STR("role"), role_word(principal->role));
	json_put_raw(json, STR("specialty"), principal->specialty);
	json_object_end(json);
}

static enum err user_prepare(struct user_command *command)
{
	struct id_text id = id_format(&command->change.guild->id_secret, ID_PRINCIPAL, command->to.id);
	struct change_what what = {.agent = 0};
	struct buf text;
	struct json_out json;
	buf_init(&text, CHANGE_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("new"));
	user_fields(&json, &command->to);
	json_name(&json, STR("old"));
	if (command->is_new) {
		json_null(&json);
	} else {
		user_fields(&json, &command->from);
	}
	json_put_str(&json, STR("principal_id"), id_str(&id));
	if (command->removes || (!command->is_new && command->to.role != command->from.role)) {
		json_put_bool(&json, STR("tokens_revoked"), true);
	}
	json_object_end(&json);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		what.change = buf_str(&text);
		err = change_audit(&command->change, &what);
	}
	buf_fini(&text);
	return err;
}

static bool name_read(struct http_request *request, struct str *name)
{
	if (!http_body_str(request, "name", name)) {
		return true;
	}
	*name = str_trim(*name);
	if (!utf8_is_name(*name)) {
		http_reply_invalid(request, "/name", "A name is not empty and has no control characters.");
		return false;
	}
	return true;
}

/* Into a JSON array. False: the request has been answered. */
static bool specialty_read(struct http_request *request, struct str *specialty)
{
	struct json list = json_member(request->body, STR("specialty"));
	struct json_iter iter = json_iter(list);
	struct json element;
	struct json_out json;
	struct buf text;
	bool fits = true;
	if (json_kind(list) != JSON_ARRAY) {
		return true;
	}
	buf_init(&text, CHANGE_BYTES_MAX);
	json_begin(&json, &text);
	json_array(&json);
	while (fits && json_next(&iter, NULL, &element)) {
		struct str word = STR("");
		fits = json_get_str(element, &word) && word.len <= SPECIALTY_BYTES_MAX && utf8_is_name(word);
		json_str(&json, word);
	}
	json_array_end(&json);
	*specialty = fits && buf_err(&text) == ERR_OK ? arena_copy(&request->arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	if (specialty->at == NULL) {
		http_reply_invalid(request, "/specialty", "Categories of 1 to 64 bytes without control characters are wanted here.");
		return false;
	}
	return true;
}

/* A role that the caller may give. */
static bool role_read(struct http_request *request, enum role *role)
{
	struct str word;
	if (!http_body_str(request, "role", &word)) {
		return true;
	}
	if (!role_parse(word, role) || *role > ROLE_ADMIN || *role > request->caller.role) {
		http_reply_error(request, ERR_PERMISSION, "You cannot give a role above your own.");
		return false;
	}
	return true;
}

/* Another one's looks to all but operators like none. */
static bool workspace_read(struct guild *guild, struct http_request *request, int64_t *workspace)
{
	struct str text;
	int64_t id;
	if (!http_body_str(request, "workspace_id", &text)) {
		return true;
	}
	bool known = id_parse(&guild->id_secret, ID_WORKSPACE, text, &id) == ERR_OK;
	if (!known || (id != *workspace && request->caller.role != ROLE_OPERATOR)) {
		http_reply_invalid(request, "/workspace_id", "There is no such workspace.");
		return false;
	}
	*workspace = id;
	return true;
}

static void handle_user_create(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct principal to = {.workspace = request->caller.workspace, .kind = PRINCIPAL_HUMAN, .specialty = STR("[]")};
	if (!workspace_read(guild, request, &to.workspace) || !name_read(request, &to.name) || !role_read(request, &to.role)) {
		return;
	}
	struct user_command *command = change_new(guild, request, &user_create_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	/* Its admins find the change in their log, whoever made it. */
	command->change.command.caller.workspace = to.workspace;
	command->identity = guild->identity;
	command->is_new = true;
	command->to = to;
	command->to.id = guild_key(guild, request->loop);
	change_submit(&command->change, user_prepare(command));
}

static enum err user_create_apply(struct command *base, struct db *db)
{
	struct user_command *command = (struct user_command *)base;
	const struct principal *to = &command->to;
	struct principal_new made = {
		.id = to->id, .workspace = to->workspace, .kind = to->kind, .role = to->role, .name = to->name};
	command->to.created_at_us = command_now_us(base);
	enum err err = identity_workspace_look(db, to->workspace);
	if (err == ERR_OK) {
		err = identity_principal_insert(command->identity, db, &made, command->to.created_at_us);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static bool patch_read(
	struct guild *guild, struct http_request *request, const struct principal *from, struct principal *to)
{
	bool disabled;
	*to = *from;
	if (!identity_may_rule(&request->caller, from)) {
		http_reply_error(request, ERR_PERMISSION, "You cannot change somebody of a higher role.");
		return false;
	}
	if (!name_read(request, &to->name) || !role_read(request, &to->role) || !specialty_read(request, &to->specialty)) {
		return false;
	}
	if (from->kind == PRINCIPAL_AGENT && to->role != ROLE_AGENT) {
		http_reply_invalid(request, "/role", "An agent's principal has no other role.");
		return false;
	}
	if (http_body_bool(request, "disabled", &disabled) && disabled != (from->disabled_at_us != 0)) {
		to->disabled_at_us = disabled ? env_wall_us(guild->env) : 0;
	}
	if (from->id == request->caller.principal && (to->role != from->role || to->disabled_at_us != 0)) {
		http_reply_error(request, ERR_PERMISSION, "You cannot disable yourself or change your own role.");
		return false;
	}
	return true;
}

/* What DELETE makes of a user: nobody that can sign in. What it did stays, and whose it was. */
static bool remove_read(
	struct guild *guild, struct http_request *request, const struct principal *from, struct principal *to)
{
	*to = *from;
	to->disabled_at_us = from->disabled_at_us != 0 ? from->disabled_at_us : env_wall_us(guild->env);
	if (!identity_may_rule(&request->caller, from)) {
		http_reply_error(request, ERR_PERMISSION, "You cannot change somebody of a higher role.");
		return false;
	}
	if (from->id == request->caller.principal) {
		http_reply_error(request, ERR_PERMISSION, "You cannot disable yourself or change your own role.");
		return false;
	}
	return true;
}

static void user_patch_try(struct http_request *request, struct guild *guild, unsigned tries)
{
	const struct principal *from = identity_by_text(guild, request, request->params[0]);
	bool removes = request->method == HTTP1_DELETE;
	struct principal to;
	if (from == NULL || !(removes ? remove_read : patch_read)(guild, request, from, &to)) {
		return;
	}
	const struct command_row *row = removes ? &user_remove_row : &user_update_row;
	struct user_command *command = change_new(guild, request, row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->change.command.caller.workspace = from->workspace;
	command->tries = tries;
	command->removes = removes;
	command->from = *from;
	command->to = to;
	enum err err = user_prepare(command);
	command->from.name = arena_copy(&request->arena, from->name);
	command->from.specialty = arena_copy(&request->arena, from->specialty);
	command->to.name = arena_copy(&request->arena, to.name);
	command->to.external_id = to.external_id.at != NULL ? arena_copy(&request->arena, to.external_id) : STR_NONE;
	command->to.specialty = arena_copy(&request->arena, to.specialty);
	if (command->from.name.at == NULL || command->from.specialty.at == NULL || command->to.name.at == NULL || command->to.specialty.at == NULL) {
		err = ERR_LIMIT;
	}
	/* Open sockets carry the role they signed in with. */
	if (err == ERR_OK && (to.role != from->role || (to.disabled_at_us != 0 && from->disabled_at_us == 0))) {
		command->revocation = identity_revocation_make(guild);
		err = command->revocation != NULL ? ERR_OK : ERR_MEMORY;
	}
	if (err == ERR_OK) {
		err = command_submit(&command->change.command, false);
	}
	if (err != ERR_OK) {
		identity_revocation_free(&command->revocation);
		http_reply_error(request, err, NULL);
	}
}

static void handle_user_patch(struct http_request *request, void *ctx)
{
	user_patch_try(request, ctx, 0);
}

static enum err user_update_apply(struct command *base, struct db *db)
{
	struct user_command *command = (struct user_command *)base;
	const struct principal *from = &command->from;
	const struct principal *now = identity_writer_principal(command->identity, from->id);
	if (now == NULL) {
		return ERR_NOT_FOUND;
	}
	if (now->role != from->role || now->disabled_at_us != from->disabled_at_us || !str_eq(now->name, from->name) ||
		!str_eq(now->specialty, from->specialty)) {
		return ERR_AGAIN;
	}
	enum err err = principal_row_update(db, &command->to);
	if (err == ERR_OK) {
		err = identity_writer_put(command->identity, &command->to);
	}
	/* Whoever got hold of a token must not rise with its owner, nor go on with what the owner may not do any more (T14). */
	if (err == ERR_OK && (command->removes || command->to.role != from->role)) {
		err = identity_tokens_end(command->identity, db, from->id, 0, command_now_us(base));
	}
	/* Who may come back signs in again. */
	if (err == ERR_OK && command->to.disabled_at_us != 0) {
		int64_t ended = 0;
		err = identity_sessions_end(command->identity, db, from->id, 0, 0, &ended);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void user_finish(struct command *base)
{
	struct user_command *command = (struct user_command *)base;
	struct guild *guild = command->change.guild;
	struct http_request *request = command->change.request;
	if (base->result != ERR_OK) {
		identity_revocation_free(&command->revocation);
	}
	if (base->result == ERR_AGAIN && command->tries < TRIES_MAX) {
		user_patch_try(request, guild, command->tries + 1);
		return;
	}
	if (change_refused(&command->change)) {
		return;
	}
	if (command->revocation != NULL) {
		identity_revoke_everywhere(&command->revocation, 0, command->to.id);
	}
	if (command->removes) {
		http_reply_empty(request, 204);
		return;
	}
	principal_reply(guild, request, command->is_new ? 201 : 200, &command->to);
}

const struct http_route identity_routes[] = {
	{HTTP1_GET, "/v1/me", ROLE_VIEWER, SCOPE_SIGNED_IN, HTTP_AGENT_OK, "get_account", "Shows who the token belongs to.", NULL, NULL,
		"me", 200, handle_me},
	{HTTP1_POST, "/v1/auth/login", ROLE_VIEWER, SCOPE_OPEN, HTTP_OPEN | HTTP_SIGN_IN | HTTP_HARMLESS, "grant",
		"Signs a browser in: sets the cookie guild_session, which has the token's scopes for 12 hours at most.", identity_login_members,
		NULL, "login", 200, identity_handle_login},
	{HTTP1_POST, "/v1/auth/logout", ROLE_VIEWER, SCOPE_SIGNED_IN, HTTP_HARMLESS, "revoke",
		"Ends the session of the cookie and closes what it has open.", NULL, NULL, NULL, 204, identity_handle_logout},
	{HTTP1_GET, "/v1/users", ROLE_ADMIN, SCOPE_ADMIN, 0, "list_users", "Lists the principals of the workspace.", NULL, list_query,
		"list:principal", 200, handle_user_list},
	{HTTP1_POST, "/v1/users", ROLE_ADMIN, SCOPE_ADMIN, 0, "create", "Makes a user; tokens are made separately.", user_create_members,
		NULL, "principal", 201, handle_user_create},
	{HTTP1_GET, "/v1/users/{id}", ROLE_ADMIN, SCOPE_ADMIN, 0, "get_account", "Shows a principal.", NULL, NULL, "principal", 200,
		handle_user_get},
	{HTTP1_PATCH, "/v1/users/{id}", ROLE_ADMIN, SCOPE_ADMIN, 0, "update",
		"Renames, disables, enables a user or changes its role, which revokes its tokens.",
		user_patch_members, NULL, "principal", 200, handle_user_patch},
	{HTTP1_DELETE, "/v1/users/{id}", ROLE_ADMIN, SCOPE_ADMIN, 0, "revoke",
		"Disables a user for good: its tokens end, and what is open with them. What it made stays.", NULL, NULL, NULL, 204,
		handle_user_patch},
	{HTTP1_GET, "/v1/tokens", ROLE_VIEWER, SCOPE_WHOLE, 0, "list", "Lists tokens in force, without their texts.", NULL,
		identity_token_list_query, "list:token", 200, identity_handle_token_list},
	{HTTP1_POST, "/v1/tokens", ROLE_VIEWER, SCOPE_WHOLE, HTTP_BODY_OPTIONAL, "grant", "Makes a token; it is shown once.",
		identity_token_create_members, NULL, "token", 201, identity_handle_token_create},
	{HTTP1_POST, "/v1/tokens/{id}/rotate", ROLE_VIEWER, SCOPE_SIGNED_IN, HTTP_BODY_OPTIONAL, "grant",
		"Makes a token in the place of another, which ends at once; a narrowed one may do that to itself.",
		identity_token_rotate_members, NULL, "token", 201, identity_handle_token_rotate},
	{HTTP1_DELETE, "/v1/tokens/{id}", ROLE_VIEWER, SCOPE_WHOLE, 0, "revoke", "Revokes a token and closes what it has open.", NULL,
		NULL, NULL, 204, identity_handle_token_delete},
	{.path = NULL},
};
