/*
 * console.c - /v1/auth: sessions of the console, each a row of token with the token that it was made from.
 *
 * It has that token's scopes, ends with it, and opens no other door than the cookie's.
 */
#include "base/limits.h"
#include "base/timefmt.h"
#include "identity/identity_priv.h"

enum { OBJECT_BYTES_MAX = 65536, SESSION_SECONDS = 12 * 3600 };

struct session_command {
	struct change change; /* first */
	struct identity *identity;
	struct token_row session;
	struct revocation *revocation;
	int64_t ended; /* the session whose place it took, or that was logged out of; 0: none */
	char text[TOKEN_TEXT_LEN + 1];
};

static enum err login_apply(struct command *base, struct db *db);
static void login_finish(struct command *base);
static enum err logout_apply(struct command *base, struct db *db);
static void logout_finish(struct command *base);

static const struct command_row login_row = {"login", "grant", login_apply, NULL, login_finish};
static const struct command_row logout_row = {"logout", "revoke", logout_apply, NULL, logout_finish};

const struct http_member identity_login_members[] = {
	{"token", HTTP_STRING, true, 1, 255, NULL, "a token of a person"},
	{.name = NULL},
};

/* ---- in apply ---- */

enum err identity_sessions_end(
	struct identity *identity, struct db *db, int64_t principal, int64_t parent, size_t keep, int64_t *ended)
{
	struct token_row rows[LIMIT_SESSIONS_TOKEN];
	size_t count;
	enum err err;
	do {
		err = identity_console_rows(db, principal, parent, LIMIT_SESSIONS_TOKEN, rows, &count);
		for (size_t i = 0; i + keep < count && err == ERR_OK; i++) {
			err = identity_console_row_delete(db, rows[i].id);
			if (err == ERR_OK) {
				err = identity_writer_token_remove(identity, principal, rows[i].hash);
			}
			*ended = rows[i].id;
		}
	} while (err == ERR_OK && count == LIMIT_SESSIONS_TOKEN && keep == 0);
	return err;
}

/* ---- commands ---- */

/* The audit entry names both ids, never a secret. */
static enum err session_audit(struct session_command *command, bool begins, int64_t session, int64_t token)
{
	struct guild *guild = command->change.guild;
	struct id_text session_id = id_format(&guild->id_secret, ID_TOKEN, session);
	struct id_text token_id = id_format(&guild->id_secret, ID_TOKEN, token);
	struct change_what what = {.change = arena_format(&command->change.request->arena,
					   "{\"%s\":{\"session_id\":\"%s\",\"token_id\":\"%s\"},\"%s\":null}", begins ? "new" : "old",
					   session_id.text, token_id.text, begins ? "old" : "new")};
	return what.change.at != NULL ? change_audit(&command->change, &what) : ERR_MEMORY;
}

static void session_submit(struct session_command *command, enum err err)
{
	struct http_request *request = command->change.request;
	if (err == ERR_OK) {
		command->revocation = identity_revocation_make(command->change.guild);
		err = command->revocation != NULL ? command_submit(&command->change.command, false) : ERR_MEMORY;
	}
	if (err != ERR_OK) {
		identity_revocation_free(&command->revocation);
		http_reply_error(request, err, NULL);
	}
}

/* What was open in the session that ended closes. Takes the revocation: its command may be gone. */
static void session_close(struct revocation *revocation, int64_t ended)
{
	if (ended != 0) {
		identity_revoke_everywhere(&revocation, ended, 0);
	} else {
		identity_revocation_free(&revocation);
	}
}

void identity_handle_login(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct str token = STR("");
	struct caller caller = {.principal = 0};
	(void)http_body_str(request, "token", &token);
	enum err err = http_request_sign_in(request, token, &caller);
	if (err != ERR_OK) {
		http_reply_error(request, err, err == ERR_RATE_LIMITED ? "Too many sign-ins failed from this address." : NULL);
		return;
	}
	if (caller.role == ROLE_AGENT) {
		http_reply_error(request, ERR_PERMISSION, "An agent has no console.");
		return;
	}
	request->caller = caller;
	request->signed_in = true;
	struct session_command *command = change_new(guild, request, &login_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->session = (struct token_row){.id = guild_key(guild, request->loop), .principal = caller.principal, .parent = caller.token};
	identity_console_secret(guild->env, command->text, command->session.hash);
	session_submit(command, session_audit(command, true, command->session.id, caller.token));
}

static enum err login_apply(struct command *base, struct db *db)
{
	struct session_command *command = (struct session_command *)base;
	struct token_row *session = &command->session, token;
	int64_t now_us = command_now_us(base), until_us = now_us + SESSION_SECONDS * INT64_C(1000000);
	const struct principal *principal = identity_writer_principal(command->identity, session->principal);
	enum err err = token_row_get(db, base->arena, session->parent, &token);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_UNAUTHENTICATED : err;
	}
	/* It may have ended since the handler looked. */
	bool over = token.terms.expires_at_us != 0 && token.terms.expires_at_us <= now_us;
	if (principal == NULL || principal->disabled_at_us != 0 || token.revoked_at_us != 0 || over) {
		return ERR_UNAUTHENTICATED;
	}
	session->created_at_us = now_us;
	session->terms = (struct token_terms){.label = STR(""), .expires_at_us = until_us, .scopes = token.terms.scopes};
	if (token.terms.expires_at_us != 0 && token.terms.expires_at_us < until_us) {
		session->terms.expires_at_us = token.terms.expires_at_us;
	}
	err = identity_sessions_end(
		command->identity, db, session->principal, session->parent, LIMIT_SESSIONS_TOKEN - 1, &command->ended);
	if (err == ERR_OK) {
		err = token_row_insert(db, session);
	}
	if (err == ERR_OK) {
		err = identity_writer_session_put(command->identity, session);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void login_reply(struct session_command *command, const struct principal *principal)
{
	struct guild *guild = command->change.guild;
	struct http_request *request = command->change.request;
	const struct token_row *session = &command->session;
	struct time_text expires = time_format(session->terms.expires_at_us);
	struct str secret = str_make(command->text, TOKEN_TEXT_LEN);
	char csrf[HTTP_CSRF_LEN + 1];
	struct buf text;
	struct json_out json;
	http_csrf_of(secret, csrf);
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("principal"));
	principal_json(guild, principal, &json);
	json_put_str(&json, STR("csrf_token"), str_of(csrf));
	json_put_str(&json, STR("expires_at"), time_str(&expires));
	json_object_end(&json);
	http_reply_session(request, secret, (session->terms.expires_at_us - session->created_at_us) / 1000000);
	change_reply(request, 200, &text);
}

static void login_finish(struct command *base)
{
	struct session_command *command = (struct session_command *)base;
	const struct principal *principal = identity_principal(command->identity, command->session.principal);
	session_close(command->revocation, base->result == ERR_OK ? command->ended : 0);
	if (change_refused(&command->change)) {
		return;
	}
	if (principal == NULL) {
		http_reply_error(command->change.request, ERR_UNAUTHENTICATED, NULL);
		return;
	}
	login_reply(command, principal);
}

void identity_handle_logout(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	/* Who came with a token has no session: it is revoked elsewhere. */
	if (request->caller.session == 0) {
		http_reply_empty(request, 204);
		return;
	}
	struct session_command *command = change_new(guild, request, &logout_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->session.id = request->caller.session;
	session_submit(command, session_audit(command, false, request->caller.session, request->caller.token));
}

static enum err logout_apply(struct command *base, struct db *db)
{
	struct session_command *command = (struct session_command *)base;
	struct token_row session;
	enum err err = token_row_get(db, base->arena, command->session.id, &session);
	if (err == ERR_NOT_FOUND) {
		return ERR_OK;
	}
	if (err == ERR_OK) {
		err = identity_console_row_delete(db, session.id);
	}
	if (err == ERR_OK) {
		err = identity_writer_token_remove(command->identity, session.principal, session.hash);
	}
	command->ended = session.id;
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void logout_finish(struct command *base)
{
	struct session_command *command = (struct session_command *)base;
	struct revocation *revocation = command->revocation;
	int64_t ended = base->result == ERR_OK ? command->ended : 0;
	if (!change_refused(&command->change)) {
		http_reply_session(command->change.request, STR(""), 0);
		http_reply_empty(command->change.request, 204);
	}
	session_close(revocation, ended);
}
