/* key_api.c - /v1/keys: bringing, listing and removing provider keys. */
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/query.h"
#include "identity/identity_priv.h"
#include "wire/url.h"

enum { OBJECT_BYTES_MAX = 65536 };

struct key_command {
	struct change change; /* first */
	struct identity *identity;
	struct key_row key;
};

static enum err create_apply(struct command *base, struct db *db);
static void create_finish(struct command *base);
static enum err delete_apply(struct command *base, struct db *db);
static void delete_finish(struct command *base);

static const struct command_row create_row = {"key_create", "configure", create_apply, NULL, create_finish};
static const struct command_row delete_row = {"key_delete", "delete", delete_apply, NULL, delete_finish};

static const struct http_member create_members[] = {
	{"provider", HTTP_STRING, true, 1, 64, NULL, "whose key it is: [a-z0-9_-]"},
	{"key", HTTP_STRING, true, 1, LIMIT_PROVIDER_KEY_BYTES, NULL, "kept sealed; never shown again"},
	{"base_url", HTTP_STRING, false, 0, 1000, NULL, "where requests with it go; the provider's own when absent"},
	{.name = NULL},
};
static const struct http_member list_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};

static bool provider_valid(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
			return false;
		}
	}
	return text.len >= 1 && text.len <= 64;
}

static void key_json(struct guild *guild, const struct key_row *key, struct json_out *json)
{
	struct id_text id = id_format(&guild->id_secret, ID_PROVIDER_KEY, key->id);
	struct time_text created = time_format(key->created_at_us);
	json_object(json);
	json_put_str(json, STR("id"), id_str(&id));
	json_put_str(json, STR("provider"), key->provider);
	json_put_str_or_null(json, STR("base_url"), key->base_url.len != 0 ? key->base_url : STR_NONE);
	json_put_str(json, STR("shown"), key->shown);
	json_put_str(json, STR("scope"), key->owner != 0 ? STR("user") : STR("workspace"));
	json_put_str(json, STR("created_at"), time_str(&created));
	json_object_end(json);
}

/* ---- making ---- */

static bool base_url_read(struct http_request *request, struct str *out)
{
	struct url url;
	*out = STR("");
	if (!http_body_str(request, "base_url", out) || out->len == 0) {
		return true;
	}
	if (url_parse(*out, &url) != ERR_OK || url.has_userinfo) {
		http_reply_invalid(
			request, "/base_url", "It has to be a URL like https://api.example.com/v1, without user or password.");
		return false;
	}
	if (request->caller.role != ROLE_OPERATOR && !key_base_url_public(*out)) {
		http_reply_invalid(request, "/base_url", "It has to be https and must not name a loopback or private address.");
		return false;
	}
	return true;
}

static enum err create_prepare(struct key_command *command, struct str plain)
{
	struct guild *guild = command->change.guild;
	struct arena *arena = command->change.command.arena;
	struct key_row *key = &command->key;
	key->shown = keyring_shown(arena, plain);
	enum err err = keyring_seal(
		guild->keyring, arena, key->workspace, key->provider, key_host(key->base_url), key->id, plain, &key->sealed);
	if (err != ERR_OK || key->shown.at == NULL) {
		return err != ERR_OK ? err : ERR_LIMIT;
	}
	struct id_text id = id_format(&guild->id_secret, ID_PROVIDER_KEY, key->id);
	struct change_what what = {.change = arena_format(arena,
								   "{\"new\":{\"key_id\":\"%s\",\"provider\":\"%.*s\",\"scope\":\"%s\"},\"old\":null}",
								   id.text, STR_FMT(key->provider), key->owner != 0 ? "user" : "workspace")};
	return what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT;
}

static void handle_create(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct key_row key = {.workspace = request->caller.workspace,
		.owner = caller_is_admin(&request->caller) ? 0 : request->caller.principal};
	struct str plain;
	if (guild->keyring == NULL) {
		struct http_problem problem = {.err = ERR_STORE_UNAVAILABLE,
			.detail = STR("No key file is open, so keys cannot be sealed. Start the server with one.")};
		http_reply_problem(request, &problem);
		return;
	}
	if (!http_body_str(request, "provider", &key.provider) || !provider_valid(key.provider)) {
		http_reply_invalid(request, "/provider", "A provider's name has 1 to 64 of the characters a-z, 0-9, _ and -.");
		return;
	}
	if (!http_body_str(request, "key", &plain) || str_trim(plain).len == 0 || plain.len > LIMIT_PROVIDER_KEY_BYTES) {
		http_reply_invalid(request, "/key", "A key is not empty and has at most 4096 bytes.");
		return;
	}
	if (!base_url_read(request, &key.base_url)) {
		return;
	}
	key.guarded = request->caller.role != ROLE_OPERATOR;
	struct key_command *command = change_new(guild, request, &create_row, sizeof(*command));
	if (command != NULL) {
		command->identity = guild->identity;
		command->key = key;
		command->key.id = guild_key(guild, request->loop);
		change_submit(&command->change, create_prepare(command, str_trim(plain)));
	}
}

/* One key for each provider and owner: a new one takes the place of the old. */
static enum err create_apply(struct command *base, struct db *db)
{
	struct key_command *command = (struct key_command *)base;
	struct key_row *key = &command->key;
	const struct key_row *old = identity_writer_key(command->identity, key->workspace, key->owner, key->provider);
	enum err err = old != NULL ? key_row_delete(db, old->id) : ERR_OK;
	key->created_at_us = command_now_us(base);
	if (err == ERR_OK) {
		err = key_row_insert(db, key);
	}
	if (err == ERR_OK) {
		err = identity_writer_key_put(command->identity, key);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void create_finish(struct command *base)
{
	struct key_command *command = (struct key_command *)base;
	if (change_refused(&command->change)) {
		return;
	}
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	key_json(command->change.guild, &command->key, &json);
	change_reply(command->change.request, 201, &text);
}

/* ---- listing: audited, then read ---- */

struct key_list {
	struct query query; /* first */
	int64_t seen;
};

static bool may_see(const struct caller *caller, const struct key_row *key)
{
	return key->workspace == caller->workspace && (key->owner == 0 || key->owner == caller->principal);
}

static bool list_row(const struct key_row *key, void *arg)
{
	struct key_list *list = arg;
	struct query *query = &list->query;
	if (may_see(&query->request->caller, key)) {
		if (!query_room(query)) {
			return false;
		}
		key_json(query->guild, key, &query->json);
	}
	query_mark(query, key->id, 0);
	if (++list->seen == LIMIT_SCAN_ROWS) {
		query->more = true;
		return false;
	}
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	return key_rows(db, query->after[0], LIMIT_SCAN_ROWS, list_row, query);
}

static void list_read(struct http_request *request, struct guild *guild, void *arg)
{
	(void)arg;
	struct key_list *list = query_list_new(guild, request, STR(""), sizeof(*list));
	if (list != NULL) {
		query_submit(&list->query, list_run);
	}
}

static void handle_list(struct http_request *request, void *ctx)
{
	change_read(ctx, request, &(struct change_what){.change = STR("{\"read\":\"keys\"}")}, list_read, NULL);
}

/* ---- removing ---- */

static void handle_delete(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	int64_t id;
	if (id_parse(&guild->id_secret, ID_PROVIDER_KEY, request->params[0], &id) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return;
	}
	struct key_command *command = change_new(guild, request, &delete_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->key.id = id;
	struct id_text text = id_format(&guild->id_secret, ID_PROVIDER_KEY, id);
	struct change_what what = {
		.change = arena_format(&request->arena, "{\"new\":null,\"old\":{\"key_id\":\"%s\"}}", text.text)};
	change_submit(&command->change, what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT);
}

static enum err delete_apply(struct command *base, struct db *db)
{
	struct key_command *command = (struct key_command *)base;
	struct key_row key;
	enum err err = key_row_get(db, base->arena, command->key.id, &key);
	if (err != ERR_OK) {
		return err;
	}
	if (!may_see(&base->caller, &key)) {
		return ERR_NOT_FOUND;
	}
	if (key.owner == 0 && !caller_is_admin(&base->caller)) {
		return ERR_PERMISSION;
	}
	err = key_row_delete(db, key.id);
	if (err == ERR_OK) {
		err = identity_writer_key_remove(command->identity, &key);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void delete_finish(struct command *base)
{
	struct key_command *command = (struct key_command *)base;
	if (!change_refused(&command->change)) {
		http_reply_empty(command->change.request, 204);
	}
}

const struct http_route key_routes[] = {
	{HTTP1_GET, "/v1/keys", ROLE_MEMBER, SCOPE_KEYS_WRITE, 0, "list",
		"Lists the caller's and the workspace's provider keys, first and last 4 characters.", NULL, list_query,
		"list:key", 200, handle_list},
	{HTTP1_POST, "/v1/keys", ROLE_MEMBER, SCOPE_KEYS_WRITE, 0, "configure",
		"Seals a provider key: an admin's is the workspace's, a member's its own.", create_members, NULL, "key", 201,
		handle_create},
	{HTTP1_DELETE, "/v1/keys/{id}", ROLE_MEMBER, SCOPE_KEYS_WRITE, 0, "delete", "Removes a provider key.", NULL, NULL, NULL, 204,
		handle_delete},
	{.path = NULL},
};
