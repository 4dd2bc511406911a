/* token_api.c - /v1/tokens (its rows stand in identity_api.c). */
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/query.h"
#include "identity/identity_priv.h"

enum { OBJECT_BYTES_MAX = 65536 };

struct token_command {
	struct change change; /* first */
	struct identity *identity;
	struct token_row token;
	struct revocation *revocation;
	char text[TOKEN_TEXT_LEN + 1];
	bool was_revoked;
	int64_t old, seconds; /* of a rotation: the token it replaces, how long the new one lasts (0: as long) */
};

static enum err token_create_apply(struct command *base, struct db *db);
static void token_create_finish(struct command *base);
static enum err token_rotate_apply(struct command *base, struct db *db);
static void token_rotate_finish(struct command *base);
static enum err token_revoke_apply(struct command *base, struct db *db);
static void token_revoke_finish(struct command *base);

static const struct command_row token_create_row = {
	"token_create", "grant", token_create_apply, NULL, token_create_finish};
static const struct command_row token_rotate_row = {
	"token_rotate", "grant", token_rotate_apply, NULL, token_rotate_finish};
static const struct command_row token_revoke_row = {
	"token_revoke", "revoke", token_revoke_apply, NULL, token_revoke_finish};

const struct http_member identity_token_list_query[] = {
	QUERY_LIST_MEMBERS,
	{"user", HTTP_STRING, false, 1, 255, NULL, "of this user, for admins"},
	{.name = NULL},
};
const struct http_member identity_token_create_members[] = {
	{"user_id", HTTP_STRING, false, 1, 255, NULL, "for this user, for admins; the caller when absent"},
	TOKEN_MEMBERS,
	{.name = NULL},
};
const struct http_member identity_token_rotate_members[] = {
	{"expires_in_s", HTTP_INT, false, 1, TOKEN_SECONDS_MAX, NULL, "seconds until the new one ends; as long as the old one's time when absent"},
	{.name = NULL},
};

static uint32_t scopes_of(const struct token_terms *terms, enum role role)
{
	return scope_set_of(role) & (terms->scopes != 0 ? terms->scopes : SCOPES_ALL);
}

static void token_fields(struct guild *guild, const struct token_row *token, enum role role, struct json_out *json)
{
	struct id_text id = id_format(&guild->id_secret, ID_TOKEN, token->id);
	struct id_text principal = id_format(&guild->id_secret, ID_PRINCIPAL, token->principal);
	struct time_text created = time_format(token->created_at_us), expires = time_format(token->terms.expires_at_us);
	json_put_str(json, STR("id"), id_str(&id));
	json_put_str(json, STR("principal_id"), id_str(&principal));
	json_put_str(json, STR("label"), token->terms.label);
	token_scopes_json(scopes_of(&token->terms, role), json);
	json_put_str(json, STR("created_at"), time_str(&created));
	json_put_str_or_null(json, STR("expires_at"), token->terms.expires_at_us != 0 ? time_str(&expires) : STR_NONE);
}

/* text at NULL: for who asks again. The secret is shown once, and kept nowhere. */
static void made_json(struct guild *guild, const struct token_row *token, int64_t agent, struct str text, struct json_out *json)
{
	const struct principal *owner = identity_principal(guild->identity, token->principal);
	struct id_text agent_id = id_format(&guild->id_secret, ID_AGENT, agent);
	json_object(json);
	token_fields(guild, token, owner != NULL ? owner->role : ROLE_NONE, json);
	json_put_str_or_null(json, STR("agent_id"), agent != 0 ? id_str(&agent_id) : STR_NONE);
	json_put_str_or_null(json, STR("token"), text);
	if (text.at == NULL) {
		json_put_bool(json, STR("replayed"), true);
	}
	json_object_end(json);
}

void token_reply(struct guild *guild, struct http_request *request, const struct token_made *made)
{
	struct token_row token = {.id = made->id,
		.principal = made->principal,
		.created_at_us = made->created_at_us,
		.terms = made->terms};
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	made_json(guild, &token, made->agent, STR_NONE, &json);
	http_reply_again(request, buf_err(&text) == ERR_OK ? buf_str(&text) : STR("{}"));
	buf_clear(&text);
	json_begin(&json, &text);
	made_json(guild, &token, made->agent, made->text, &json);
	change_reply(request, 201, &text);
}

struct token_list {
	struct query query; /* first */
	int64_t principal;  /* whose */
	enum role role;     /* of whom */
	int64_t seen;
};

/* Ends a scan that found little. */
static bool list_goes_on(struct token_list *list, int64_t id)
{
	query_mark(&list->query, id, 0);
	if (++list->seen == LIMIT_SCAN_ROWS) {
		list->query.more = true;
		return false;
	}
	return true;
}

static bool token_list_row(const struct token_row *token, void *arg)
{
	struct token_list *list = arg;
	struct query *query = &list->query;
	if (token->principal == list->principal && token->revoked_at_us == 0 && token->parent == 0) {
		if (!query_room(query)) {
			return false;
		}
		json_object(&query->json);
		token_fields(query->guild, token, list->role, &query->json);
		json_object_end(&query->json);
	}
	return list_goes_on(list, token->id);
}

static enum err token_list_run(struct query *query, struct db *db)
{
	return token_rows(db, query->after[0], LIMIT_SCAN_ROWS, token_list_row, query);
}

/* Whose tokens: the caller's, or of somebody it rules over. NULL: the request has been answered. */
static const struct principal *token_subject(
	struct guild *guild, struct http_request *request, bool given, struct str user, bool to_make)
{
	const struct principal *principal;
	if (!given) {
		principal = identity_principal(guild->identity, request->caller.principal);
		if (principal == NULL) {
			http_reply_error(request, ERR_UNAUTHENTICATED, NULL);
		}
		return principal;
	}
	principal = identity_by_text(guild, request, user);
	if (principal == NULL || principal->id == request->caller.principal) {
		return principal;
	}
	if (!identity_may_rule(&request->caller, principal) || (to_make && principal->kind != PRINCIPAL_HUMAN)) {
		http_reply_error(request, ERR_PERMISSION, "You cannot do this for that user.");
		return NULL;
	}
	return principal;
}

void identity_handle_token_list(struct http_request *request, void *ctx)
{
	struct str user = STR("");
	bool given = http_query_str(request, "user", &user);
	const struct principal *principal = token_subject(ctx, request, given, user, false);
	if (principal == NULL) {
		return;
	}
	struct token_list *list = query_list_new(ctx, request, user, sizeof(*list));
	if (list != NULL) {
		list->principal = principal->id;
		list->role = principal->role;
		query_submit(&list->query, token_list_run);
	}
}

/* What the audit log says: whose, which, and what it is good for. */
static enum err token_audit(struct token_command *command, const struct principal *principal, int64_t old)
{
	struct guild *guild = command->change.guild;
	struct id_text id = id_format(&guild->id_secret, ID_TOKEN, command->token.id);
	struct id_text old_id = id_format(&guild->id_secret, ID_TOKEN, old);
	struct id_text owner = id_format(&guild->id_secret, ID_PRINCIPAL, principal->id);
	struct change_what what = {.agent = 0};
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("new"));
	json_object(&json);
	json_put_str(&json, STR("principal_id"), id_str(&owner));
	token_scopes_json(scopes_of(&command->token.terms, principal->role), &json);
	json_put_str(&json, STR("token_id"), id_str(&id));
	json_object_end(&json);
	json_name(&json, STR("old"));
	if (old != 0) {
		json_object(&json);
		json_put_str(&json, STR("token_id"), id_str(&old_id));
		json_object_end(&json);
	} else {
		json_null(&json);
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

void identity_handle_token_create(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct str user = STR("");
	bool given = http_body_str(request, "user_id", &user);
	const struct principal *principal = token_subject(guild, request, given, user, true);
	struct token_terms terms;
	if (principal == NULL || !token_members_read(guild, request, principal->role, &terms)) {
		return;
	}
	struct token_command *command = change_new(guild, request, &token_create_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->change.command.caller.workspace = principal->workspace;
	command->token = (struct token_row){.id = guild_key(guild, request->loop), .principal = principal->id, .terms = terms};
	token_make(guild->env, command->text, command->token.hash);
	change_submit(&command->change, token_audit(command, principal, 0));
}

static enum err token_create_apply(struct command *base, struct db *db)
{
	struct token_command *command = (struct token_command *)base;
	struct token_row *token = &command->token;
	const struct principal *principal = identity_writer_principal(command->identity, token->principal);
	const struct principal *asker = identity_writer_principal(command->identity, base->caller.principal);
	/* Their tokens may have ended with their role: none of them leaves a new one behind. */
	if (asker == NULL || asker->role != base->caller.role) {
		return ERR_UNAUTHENTICATED;
	}
	/* It may have been raised or disabled since the handler looked. */
	if (principal == NULL || principal->disabled_at_us != 0 ||
		(principal->id != base->caller.principal && !identity_may_rule(&base->caller, principal))) {
		return ERR_PERMISSION;
	}
	token->created_at_us = command_now_us(base);
	enum err err = identity_token_insert(command->identity, db, token->id, token->principal, token->hash, &token->terms,
		token->created_at_us);
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void token_create_finish(struct command *base)
{
	struct token_command *command = (struct token_command *)base;
	const struct token_row *token = &command->token;
	if (change_refused(&command->change)) {
		return;
	}
	token_reply(command->change.guild, command->change.request,
		&(struct token_made){.id = token->id,
			.principal = token->principal,
			.created_at_us = token->created_at_us,
			.terms = token->terms,
			.text = str_make(command->text, TOKEN_TEXT_LEN)});
}

/* ---- another text for the same token ---- */

void identity_handle_token_rotate(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct principal *principal = identity_principal(guild->identity, request->caller.principal);
	int64_t id;
	if (id_parse(&guild->id_secret, ID_TOKEN, request->params[0], &id) != ERR_OK || principal == NULL) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return;
	}
	/* A narrowed token may renew itself, no other; a session of it is not the token. */
	if ((id != request->caller.token || request->caller.session != 0) && !scope_fits(SCOPE_WHOLE, &request->caller)) {
		http_reply_error(request, ERR_PERMISSION, scope_missing(SCOPE_WHOLE));
		return;
	}
	struct token_command *command = change_new(guild, request, &token_rotate_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->old = id;
	command->token = (struct token_row){.id = guild_key(guild, request->loop)};
	(void)http_body_int(request, "expires_in_s", &command->seconds);
	token_make(guild->env, command->text, command->token.hash);
	command->revocation = identity_revocation_make(guild);
	struct id_text new_text = id_format(&guild->id_secret, ID_TOKEN, command->token.id);
	struct id_text old_text = id_format(&guild->id_secret, ID_TOKEN, id);
	struct change_what what = {.change = arena_format(&request->arena,
					   "{\"new\":{\"token_id\":\"%s\"},\"old\":{\"token_id\":\"%s\"}}", new_text.text, old_text.text)};
	enum err err =
		command->revocation != NULL && what.change.at != NULL ? change_audit(&command->change, &what) : ERR_MEMORY;
	if (err == ERR_OK) {
		err = command_submit(&command->change.command, false);
	}
	if (err != ERR_OK) {
		identity_revocation_free(&command->revocation);
		http_reply_error(request, err, NULL);
	}
}

static enum err token_rotate_apply(struct command *base, struct db *db)
{
	struct token_command *command = (struct token_command *)base;
	struct token_row *token = &command->token, old;
	int64_t now_us = command_now_us(base);
	enum err err = token_row_get(db, base->arena, command->old, &old);
	if (err != ERR_OK) {
		return err;
	}
	const struct principal *principal = identity_writer_principal(command->identity, old.principal);
	bool ruled = principal != NULL && (principal->id == base->caller.principal || identity_may_rule(&base->caller, principal));
	if (!ruled || old.parent != 0) {
		return ERR_NOT_FOUND;
	}
	bool over = old.terms.expires_at_us != 0 && old.terms.expires_at_us <= now_us;
	if (old.revoked_at_us != 0 || over || principal->disabled_at_us != 0) {
		return ERR_CONFLICT;
	}
	token->principal = old.principal;
	token->created_at_us = now_us;
	token->terms = old.terms;
	if (command->seconds != 0) {
		token->terms.expires_at_us = now_us + command->seconds * 1000000;
	} else if (old.terms.expires_at_us != 0) {
		token->terms.expires_at_us = now_us + old.terms.expires_at_us - old.created_at_us;
	}
	err = identity_token_end(command->identity, db, &old, now_us);
	if (err == ERR_OK) {
		err = identity_token_insert(
			command->identity, db, token->id, token->principal, token->hash, &token->terms, now_us);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void token_rotate_finish(struct command *base)
{
	struct token_command *command = (struct token_command *)base;
	if (base->result != ERR_OK) {
		identity_revocation_free(&command->revocation);
	}
	bool done = base->result == ERR_OK;
	int64_t old = command->old;
	struct revocation *revocation = command->revocation;
	token_create_finish(base);
	if (done) {
		identity_revoke_everywhere(&revocation, old, 0);
	}
}

void identity_handle_token_delete(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	int64_t id;
	if (id_parse(&guild->id_secret, ID_TOKEN, request->params[0], &id) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return;
	}
	struct token_command *command = change_new(guild, request, &token_revoke_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->token.id = id;
	command->revocation = identity_revocation_make(guild);
	struct id_text text = id_format(&guild->id_secret, ID_TOKEN, id);
	struct change_what what = {
		.change = arena_format(&request->arena, "{\"new\":null,\"old\":{\"token_id\":\"%s\"}}", text.text)};
	enum err err =
		command->revocation != NULL && what.change.at != NULL ? change_audit(&command->change, &what) : ERR_MEMORY;
	if (err == ERR_OK) {
		err = command_submit(&command->change.command, false);
	}
	if (err != ERR_OK) {
		identity_revocation_free(&command->revocation);
		http_reply_error(request, err, NULL);
	}
}

static enum err token_revoke_apply(struct command *base, struct db *db)
{
	struct token_command *command = (struct token_command *)base;
	struct token_row token;
	enum err err = token_row_get(db, base->arena, command->token.id, &token);
	if (err != ERR_OK) {
		return err;
	}
	const struct principal *principal = identity_writer_principal(command->identity, token.principal);
	bool ruled = principal != NULL && (principal->id == base->caller.principal || identity_may_rule(&base->caller, principal));
	if (!ruled || token.parent != 0) {
		return ERR_NOT_FOUND;
	}
	command->was_revoked = token.revoked_at_us != 0;
	if (command->was_revoked) {
		return ERR_OK;
	}
	err = identity_token_end(command->identity, db, &token, command_now_us(base));
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void token_revoke_finish(struct command *base)
{
	struct token_command *command = (struct token_command *)base;
	if (base->result != ERR_OK || command->was_revoked) {
		identity_revocation_free(&command->revocation);
	}
	if (change_refused(&command->change)) {
		return;
	}
	if (command->revocation != NULL) {
		identity_revoke_everywhere(&command->revocation, command->token.id, 0);
	}
	http_reply_empty(command->change.request, 204);
}
