/*
 * identity_end_user.c - a program's users: named by a token with the scope act_as, made when they are first named.
 *
 * An end user is a member, or less when an admin said so. One who was raised above that has a token of their own: a name that a program
 * gives gives nobody the rights of those who rule.
 */
#include "base/limits.h"
#include "identity/identity_priv.h"
#include "wire/utf8.h"

struct end_user_command {
	struct change change; /* first */
	struct principal_new made;
};

static enum err make_apply(struct command *base, struct db *db);
static void make_finish(struct command *base);

static const struct command_row make_row = {"end_user_create", "create", make_apply, NULL, make_finish};

static bool is_own_name(struct guild *guild, const struct caller *caller, struct str user)
{
	const struct principal *self = identity_principal(guild->identity, caller->principal);
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, caller->principal);
	return str_eq(user, id_str(&id)) || (self != NULL && self->external_id.at != NULL && str_eq(user, self->external_id));
}

/* No white space, no control characters, and not the form of ids, which name people who have tokens. */
static bool is_name(struct guild *guild, struct str user)
{
	int64_t id;
	for (size_t i = 0; i < user.len; i++) {
		if ((unsigned char)user.at[i] <= ' ' || user.at[i] == 0x7f) {
			return false;
		}
	}
	return user.len <= LIMIT_ID_BYTES && utf8_is_name(user) && id_parse(&guild->id_secret, ID_PRINCIPAL, user, &id) != ERR_OK;
}

enum err identity_act_as(struct guild *guild, struct caller *caller, struct str user, const char **detail)
{
	struct caller asker = *caller;
	if (is_own_name(guild, caller, user)) {
		return ERR_OK;
	}
	if (!scope_fits(SCOPE_ACT_AS, caller)) {
		*detail = scope_missing(SCOPE_ACT_AS);
		return ERR_PERMISSION;
	}
	if (!is_name(guild, user)) {
		*detail = "X-Guild-User has to be a name of 1 to 255 bytes without white space that is no id.";
		return ERR_MALFORMED;
	}
	const struct principal *principal = identity_external(guild->identity, caller->workspace, user);
	if (principal != NULL && (principal->disabled_at_us != 0 || principal->role > ROLE_MEMBER)) {
		*detail = principal->disabled_at_us != 0 ? "That user is disabled." : "That user has a token of their own.";
		return ERR_PERMISSION;
	}
	if (principal != NULL) {
		identity_caller(principal, caller);
	} else {
		*caller = (struct caller){.workspace = asker.workspace, .role = ROLE_MEMBER, .scopes = scope_set_of(ROLE_MEMBER)};
	}
	caller->scopes &= asker.scopes;
	caller->actor = asker.principal;
	caller->token = asker.token;
	caller->session = asker.session;
	caller->expires_at_us = asker.expires_at_us;
	return principal != NULL ? ERR_OK : ERR_AGAIN;
}

void identity_act_new(struct guild *guild, struct http_request *request, const struct caller *asker, struct str user)
{
	struct end_user_command *command = change_new(guild, request, &make_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->change.command.caller = *asker;
	command->made = (struct principal_new){.id = guild_key(guild, request->loop),
		.workspace = asker->workspace,
		.kind = PRINCIPAL_HUMAN,
		.role = ROLE_MEMBER,
		.name = user,
		.external_id = user};
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, command->made.id);
	struct change_what what = {.change = arena_format(&request->arena,
					   "{\"new\":{\"principal_id\":\"%s\",\"role\":\"member\"},\"old\":null}", id.text)};
	change_submit(&command->change, what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT);
}

static enum err make_apply(struct command *base, struct db *db)
{
	struct end_user_command *command = (struct end_user_command *)base;
	struct guild *guild = command->change.guild;
	enum err err = identity_principal_insert(guild->identity, db, &command->made, command_now_us(base));
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

/* Of two first requests at once the second finds the name taken: then the user is there. */
static void make_finish(struct command *base)
{
	struct end_user_command *command = (struct end_user_command *)base;
	if (base->result == ERR_CONFLICT || !change_refused(&command->change)) {
		http_request_act(command->change.request);
	}
}
