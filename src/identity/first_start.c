/* first_start.c - the first workspace, the system, the operator and its token. */
#include "base/limits.h"
#include "identity/identity_priv.h"

struct first_start {
	struct change change;
	struct identity *identity;
	int64_t workspace, system, operator_id, token;
	uint8_t hash[HASH_SHA256_BYTES];
};

static enum err first_start_apply(struct command *command, struct db *db)
{
	struct first_start *start = (struct first_start *)command;
	struct identity *identity = start->identity;
	int64_t now_us = command_now_us(command);
	const struct token_terms terms = {.label = STR("first operator token")};
	struct principal_new system = {
		start->system, start->workspace, 0, PRINCIPAL_SYSTEM, ROLE_ADMIN, STR("system"), STR_NONE};
	struct principal_new person = {
		start->operator_id, start->workspace, 0, PRINCIPAL_HUMAN, ROLE_OPERATOR, STR("operator"), STR_NONE};
	enum err err = identity_workspace_insert(db, start->workspace, STR("default"), now_us);
	if (err == ERR_OK) {
		err = identity_principal_insert(identity, db, &system, now_us);
	}
	if (err == ERR_OK) {
		err = identity_principal_insert(identity, db, &person, now_us);
	}
	if (err == ERR_OK) {
		err = identity_token_insert(
			identity, db, start->token, start->operator_id, start->hash, &terms, now_us);
	}
	return err != ERR_OK ? err : change_log(&start->change, db);
}

static void first_start_finish(struct command *command)
{
	(void)command;
}

static const struct command_row first_start_row = {
	"first_start", "configure", first_start_apply, NULL, first_start_finish};

static int64_t first_key(struct guild *guild)
{
	return id_next(&guild->id_gens[0], env_wall_us(guild->env));
}

static enum err first_start_run(struct identity *identity, struct guild *guild, struct arena *arena, identity_keep_fn *keep, void *ctx,
				char *token)
{
	struct caller caller = {.workspace = first_key(guild), .role = ROLE_OPERATOR, .scopes = SCOPES_ALL};
	struct first_start *start = change_make(guild, &first_start_row, arena, NULL, &caller, sizeof(*start));
	if (start == NULL) {
		return ERR_MEMORY;
	}
	start->identity = identity;
	start->workspace = caller.workspace;
	start->system = first_key(guild);
	start->operator_id = first_key(guild);
	start->token = first_key(guild);
	token_make(guild->env, token, start->hash);
	struct id_text person = id_format(&guild->id_secret, ID_PRINCIPAL, start->operator_id);
	struct id_text token_id = id_format(&guild->id_secret, ID_TOKEN, start->token);
	struct change_what what = {.change = arena_format(arena,
								   "{\"new\":{\"workspace\":\"default\",\"principal_id\":\"%s\",\"role\":\"operator\","
								   "\"token_id\":\"%s\"},\"old\":null}",
								   person.text, token_id.text)};
	enum err err = change_audit(&start->change, &what);
	if (err == ERR_OK && keep != NULL) {
		err = keep(ctx, token);
	}
	if (err == ERR_OK) {
		err = command_run_now(&start->change.command);
	}
	if (err == ERR_OK) {
		identity_workspace_set(identity, start->workspace);
	}
	return err;
}

enum err identity_first_start(struct identity *identity, struct guild *guild, identity_keep_fn *keep, void *ctx,
			      char token_out[TOKEN_TEXT_LEN + 1])
{
	token_out[0] = '\0';
	if (identity_workspace(identity) != 0) {
		return ERR_OK;
	}
	struct arena arena;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	enum err err = first_start_run(identity, guild, &arena, keep, ctx, token_out);
	arena_fini(&arena);
	if (err != ERR_OK) {
		token_out[0] = '\0';
	}
	return err;
}
