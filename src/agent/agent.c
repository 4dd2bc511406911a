/* agent.c - commands that make and change agents, and the wire object. */
#include "agent/agent_priv.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/quota.h"
#include "identity/identity.h"

enum { TRIES_MAX = 16, EVENT_BYTES_MAX = 4096, CHANGE_BYTES_MAX = 65536 };

struct agent_command {
	struct change change; /* first */
	struct registry *registry;
	struct agent_edit edit;
	struct run_stop *stop; /* NULL: no run is ended */
	int64_t runs_before; /* max_concurrent_runs of the agent as it was */
};

struct token_command {
	struct change change; /* first */
	struct identity *identity;
	int64_t agent, token, principal;
	struct token_terms terms;
	struct str agent_name;
	uint8_t hash[HASH_SHA256_BYTES];
	char text[TOKEN_TEXT_LEN + 1];
};

static enum err create_apply(struct command *command, struct db *db);
static enum err update_apply(struct command *command, struct db *db);
static void stop_end(struct agent_command *command, bool done);
static void edit_finish(struct command *command);
static enum err token_apply(struct command *command, struct db *db);
static void token_finish(struct command *command);
static enum err first_apply(struct command *command, struct db *db);
static void first_finish(struct command *command);

const struct command_row agent_create_row = {"agent_create", "create", create_apply, NULL, edit_finish};
const struct command_row agent_update_row = {"agent_update", "update", update_apply, NULL, edit_finish};
const struct command_row agent_lifecycle_row = {"agent_lifecycle", "configure", update_apply, NULL, edit_finish};
static const struct command_row token_row = {"agent_token_create", "grant", token_apply, NULL, token_finish};
static const struct command_row first_row = {"agent_first_start", "create", first_apply, NULL, first_finish};

/* ---- the wire object ---- */

static void model_put(const struct agent *agent, struct json_out *out)
{
	json_name(out, STR("model"));
	json_object(out);
	json_put_str_or_null(out, STR("provider"), agent->provider);
	json_put_str_or_null(out, STR("model"), agent->model);
	json_object_end(out);
}

void agent_json(struct guild *guild, const struct agent *agent, bool may_see_private, struct json_out *out)
{
	struct id_text id = id_format(&guild->id_secret, ID_AGENT, agent->id);
	struct id_text owner = id_format(&guild->id_secret, ID_PRINCIPAL, agent->owner);
	struct time_text created = time_format(agent->created_at_us), updated = time_format(agent->updated_at_us);
	json_object(out);
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str(out, STR("name"), agent->name);
	json_put_str(out, STR("handle"), agent->handle);
	json_put_str(out, STR("description"), agent->description);
	json_put_str(out, STR("category"), agent->category);
	json_put_str(out, STR("maturity"), maturity_word(agent->maturity));
	json_put_str(out, STR("lifecycle"), lifecycle_word(agent->lifecycle));
	json_name(out, STR("confidence"));
	json_fixed4(out, agent->confidence_e4);
	json_put_str(out, STR("kind"), agent->kind == AGENT_EXTERNAL ? STR("external") : STR("hosted"));
	model_put(agent, out);
	json_put_raw(out, STR("capabilities"), agent->capabilities);
	json_put_str_or_null(out, STR("system_prompt"), may_see_private ? agent->system_prompt : STR_NONE);
	json_put_raw(out, STR("configuration"),
		may_see_private && agent->configuration.at != NULL ? agent->configuration : STR("null"));
	json_name(out, STR("budget"));
	if (may_see_private && guild->agent_budget != NULL) {
		guild->agent_budget(guild, agent->id, out);
	} else {
		json_null(out);
	}
	json_put_int(out, STR("max_concurrent_runs"), agent->max_concurrent_runs);
	json_put_bool(out, STR("auto_reply"), agent->auto_reply);
	json_put_bool(out, STR("is_system"), agent->is_system);
	json_put_str_or_null(out, STR("owner_id"), agent->owner != 0 ? id_str(&owner) : STR_NONE);
	json_put_str(out, STR("created_at"), time_str(&created));
	json_put_str(out, STR("updated_at"), time_str(&updated));
	json_put_int(out, STR("revision"), agent->revision);
	json_object_end(out);
}

/* ---- handles ---- */

bool agent_handle_valid(struct str handle)
{
	for (size_t i = 0; i < handle.len; i++) {
		char c = handle.at[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-')) {
			return false;
		}
	}
	return handle.len >= 1 && handle.len <= LIMIT_HANDLE_BYTES;
}

struct str agent_handle_make(struct arena *arena, struct str name, unsigned number)
{
	char text[LIMIT_HANDLE_BYTES];
	size_t len = 0;
	for (size_t i = 0; i < name.len && len < LIMIT_HANDLE_BYTES - 8; i++) {
		char c = name.at[i];
		if (c >= 'A' && c <= 'Z') {
			c = (char)(c - 'A' + 'a');
		}
		bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
		if (plain) {
			text[len++] = c;
		} else if (len > 0 && text[len - 1] != '-') {
			text[len++] = '-';
		}
	}
	while (len > 0 && text[len - 1] == '-') {
		len--;
	}
	struct str stem = len > 0 ? str_make(text, len) : STR("agent");
	if (number <= 1) {
		return arena_copy(arena, stem);
	}
	return arena_format(arena, "%.*s-%u", STR_FMT(stem), number);
}

/* ---- what the audit entry and the event say ---- */

static void text_field(struct json_out *out, struct str name, struct str value, bool differs)
{
	if (differs) {
		json_put_str_or_null(out, name, value);
	}
}

/* Long private texts are named by their hash: the log is read by more people than they are. */
static void hash_field(struct json_out *out, struct str name, struct str value, bool differs)
{
	uint8_t hash[HASH_SHA256_BYTES];
	char hex[2 * HASH_SHA256_BYTES + 1];
	if (!differs) {
		return;
	}
	if (value.at == NULL) {
		json_put_null(out, name);
		return;
	}
	hash_sha256(value, hash);
	hash_hex(hash, sizeof(hash), hex);
	json_put_str(out, name, str_of(hex));
}

static bool texts_differ(struct str a, struct str b)
{
	return (a.at == NULL) != (b.at == NULL) || !str_eq(a, b);
}

/* The fields of agent in which it differs from other (NULL: all). */
static void fields_put(struct json_out *out, const struct agent *agent, const struct agent *other)
{
	const struct agent none = {.id = 0};
	const struct agent *o = other != NULL ? other : &none;
	json_object(out);
	if (other == NULL) {
		json_put_str(out, STR("handle"), agent->handle);
		json_put_str(out, STR("kind"), agent->kind == AGENT_EXTERNAL ? STR("external") : STR("hosted"));
	}
	if (agent->auto_reply != o->auto_reply) {
		json_put_bool(out, STR("auto_reply"), agent->auto_reply);
	}
	text_field(out, STR("capabilities"), agent->capabilities, texts_differ(agent->capabilities, o->capabilities));
	text_field(out, STR("category"), agent->category, texts_differ(agent->category, o->category));
	hash_field(
		out, STR("configuration_sha256"), agent->configuration, texts_differ(agent->configuration, o->configuration));
	text_field(out, STR("description"), agent->description, texts_differ(agent->description, o->description));
	text_field(out, STR("lifecycle"), lifecycle_word(agent->lifecycle), agent->lifecycle != o->lifecycle);
	text_field(out, STR("maturity"), maturity_word(agent->maturity), agent->maturity != o->maturity);
	if (agent->max_concurrent_runs != o->max_concurrent_runs) {
		json_put_int(out, STR("max_concurrent_runs"), agent->max_concurrent_runs);
	}
	text_field(out, STR("model"), agent->model, texts_differ(agent->model, o->model));
	text_field(out, STR("name"), agent->name, texts_differ(agent->name, o->name));
	text_field(out, STR("provider"), agent->provider, texts_differ(agent->provider, o->provider));
	hash_field(
		out, STR("system_prompt_sha256"), agent->system_prompt, texts_differ(agent->system_prompt, o->system_prompt));
	json_object_end(out);
}

static enum err copied(struct arena *arena, struct buf *text, struct str *out)
{
	enum err err = buf_err(text);
	if (err == ERR_OK) {
		*out = arena_copy(arena, buf_str(text));
		err = out->at != NULL ? ERR_OK : ERR_LIMIT;
	}
	buf_fini(text);
	return err;
}

static enum err change_text(struct arena *arena, const struct agent_edit *edit, struct str *out)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, CHANGE_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("new"));
	fields_put(&json, &edit->to, edit->from);
	json_name(&json, STR("old"));
	if (edit->from != NULL) {
		fields_put(&json, edit->from, &edit->to);
	} else {
		json_null(&json);
	}
	json_object_end(&json);
	return copied(arena, &text, out);
}

enum err agent_event_texts(
	struct guild *guild, struct arena *arena, const struct agent *agent, struct str *data, struct str *topics)
{
	const struct siphash_key *secret = &guild->id_secret;
	struct id_text id = id_format(secret, ID_AGENT, agent->id);
	struct id_text workspace = id_format(secret, ID_WORKSPACE, agent->workspace);
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("id"), id_str(&id));
	json_put_str(&json, STR("handle"), agent->handle);
	json_put_str(&json, STR("maturity"), maturity_word(agent->maturity));
	json_put_str(&json, STR("lifecycle"), lifecycle_word(agent->lifecycle));
	json_put_int(&json, STR("revision"), agent->revision);
	json_object_end(&json);
	enum err err = copied(arena, &text, data);
	*topics = arena_format(arena, "agent:%s workspace:%s", id.text, workspace.text);
	return err == ERR_OK && topics->at == NULL ? ERR_LIMIT : err;
}

static enum err event_put(struct change *change, const struct agent *agent)
{
	struct str data, topics;
	enum err err = agent_event_texts(change->guild, change->command.arena, agent, &data, &topics);
	if (err == ERR_OK) {
		change_event(change, STR("agent_changed"), data, topics);
	}
	return err;
}

/* ---- making and changing ---- */

static enum err edit_prepare(struct agent_command *command)
{
	struct agent_edit *edit = &command->edit;
	struct change_what what = {.agent = edit->to.id, .agent_name = edit->to.name};
	enum err err = change_text(command->change.command.arena, edit, &what.change);
	if (err == ERR_OK) {
		err = change_audit(&command->change, &what);
	}
	return err == ERR_OK ? event_put(&command->change, &edit->to) : err;
}

/* The record an edit is based on goes away with the loop's turn; what is needed later is in `to`. */
static bool to_keep(struct arena *arena, struct agent *to)
{
	struct str *texts[] = {&to->name, &to->handle, &to->description, &to->category, &to->provider, &to->model,
		&to->system_prompt, &to->capabilities, &to->configuration};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i]->at != NULL) {
			*texts[i] = arena_copy(arena, *texts[i]);
			if (texts[i]->at == NULL) {
				return false;
			}
		}
	}
	return true;
}

void agent_edit_start(
	struct guild *guild, struct http_request *request, const struct command_row *row, const struct agent_edit *edit)
{
	struct agent_command *command = change_new(guild, request, row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	bool stops = edit->cancel && guild->runs != NULL;
	command->registry = guild->registry;
	command->edit = *edit;
	command->edit.to.revision = edit->from != NULL ? edit->from->revision + 1 : 1;
	command->stop = stops ? guild->runs->stop_make(guild) : NULL;
	enum err err = to_keep(&request->arena, &command->edit.to) && (!stops || command->stop != NULL) ? edit_prepare(command) : ERR_LIMIT;
	command->edit.from = NULL;
	command->runs_before = edit->from != NULL ? edit->from->max_concurrent_runs : edit->to.max_concurrent_runs;
	err = err == ERR_OK ? command_submit(&command->change.command, false) : err;
	if (err != ERR_OK) {
		stop_end(command, false);
		http_reply_error(request, err, NULL);
	}
}

/* Sent once the change is on disk, so that whatever begins behind it was decided on that. */
static void stop_end(struct agent_command *command, bool done)
{
	struct guild *guild = command->change.guild;
	if (command->stop != NULL && done) {
		guild->runs->stop_send(&command->stop, command->edit.to.workspace, command->edit.to.id, "its agent was stopped");
	} else if (command->stop != NULL) {
		guild->runs->stop_free(&command->stop);
	}
}

static enum err create_apply(struct command *command, struct db *db)
{
	struct agent_command *create = (struct agent_command *)command;
	struct agent *agent = &create->edit.to;
	if (registry_writer_handle_taken(create->registry, agent->workspace, agent->handle)) {
		return create->edit.handle_given ? ERR_CONFLICT : ERR_AGAIN;
	}
	agent->created_at_us = agent->updated_at_us = command_now_us(command);
	enum err err = ERR_OK;
	if (agent->owner != 0) {
		err = quota_take(create->change.guild->quota, db, QUOTA_AGENTS, agent->owner, agent_rows_count);
	}
	if (err == ERR_OK) {
		err = agent_row_insert(db, agent);
	}
	if (err == ERR_OK) {
		err = registry_put(create->registry, agent);
	}
	return err == ERR_OK ? change_log(&create->change, db) : err;
}

static enum err update_apply(struct command *command, struct db *db)
{
	struct agent_command *update = (struct agent_command *)command;
	struct agent *to = &update->edit.to;
	const struct agent *now = registry_writer_get(update->registry, to->id);
	if (now == NULL) {
		return ERR_AGENT_NOT_FOUND;
	}
	if (now->revision != to->revision - 1) {
		return update->edit.if_match ? ERR_CONFLICT : ERR_AGAIN;
	}
	/* Confidence moves without a new revision: the record this edit began with may be behind. */
	to->confidence_e4 = now->confidence_e4;
	to->updated_at_us = command_now_us(command);
	enum err err = agent_row_update(db, to);
	if (err == ERR_OK) {
		err = registry_put(update->registry, to);
	}
	return err == ERR_OK ? change_log(&update->change, db) : err;
}

static void conflict_reply(struct agent_command *command)
{
	struct http_request *request = command->change.request;
	if (!command->edit.if_match) {
		http_reply_error(request, ERR_CONFLICT, "Another agent has this handle.");
		return;
	}
	const struct agent *now = registry_get(command->registry, command->edit.to.id);
	struct http_problem problem = {.err = ERR_CONFLICT, .detail = STR("The agent was changed meanwhile.")};
	if (now != NULL) {
		problem.members = arena_format(&request->arena, "\"revision\":%lld", (long long)now->revision);
	}
	http_reply_problem(request, &problem);
}

static void edit_finish(struct command *base)
{
	struct agent_command *command = (struct agent_command *)base;
	struct http_request *request = command->change.request;
	stop_end(command, base->result == ERR_OK);
	if (base->result == ERR_AGAIN && command->edit.tries < TRIES_MAX) {
		command->edit.again(request, command->change.guild, command->edit.tries + 1);
		return;
	}
	if (base->result == ERR_CONFLICT || base->result == ERR_AGAIN) {
		conflict_reply(command);
		return;
	}
	if (change_refused(&command->change)) {
		return;
	}
	struct guild *guild = command->change.guild;
	struct buf text;
	struct json_out json;
	if (command->edit.to.max_concurrent_runs != command->runs_before && guild->runs != NULL) {
		guild->runs->places_changed(guild, base->loop, command->edit.to.workspace);
	}
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	agent_json(guild, &command->edit.to, true, &json);
	change_reply(request, command->edit.reply_status, &text);
}

/* ---- tokens of external agents ---- */

void agent_token_start(
	struct guild *guild, struct http_request *request, const struct agent *agent, const struct token_terms *terms)
{
	struct token_command *command = change_new(guild, request, &token_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->identity = guild->identity;
	command->agent = agent->id;
	command->agent_name = arena_copy(&request->arena, agent->name);
	command->terms = *terms;
	command->token = guild_key(guild, request->loop);
	command->principal = guild_key(guild, request->loop);
	token_make(guild->env, command->text, command->hash);
	struct id_text id = id_format(&guild->id_secret, ID_TOKEN, command->token);
	struct change_what what = {.agent = agent->id,
		.agent_name = agent->name,
		.change = arena_format(&request->arena, "{\"new\":{\"token_id\":\"%s\"},\"old\":null}", id.text)};
	bool whole = what.change.at != NULL && command->agent_name.at != NULL;
	change_submit(&command->change, whole ? change_audit(&command->change, &what) : ERR_LIMIT);
}

static enum err token_apply(struct command *base, struct db *db)
{
	struct token_command *command = (struct token_command *)base;
	int64_t now_us = command_now_us(base);
	int64_t principal = identity_writer_agent_principal(command->identity, command->agent);
	enum err err = ERR_OK;
	if (principal == 0) {
		struct principal_new made = {.id = command->principal,
			.workspace = base->caller.workspace,
			.agent = command->agent,
			.kind = PRINCIPAL_AGENT,
			.role = ROLE_AGENT,
			.name = command->agent_name};
		err = identity_principal_insert(command->identity, db, &made, now_us);
	} else {
		command->principal = principal;
	}
	if (err == ERR_OK) {
		err = identity_token_insert(command->identity, db, command->token, command->principal, command->hash,
			&command->terms, now_us);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void token_finish(struct command *base)
{
	struct token_command *command = (struct token_command *)base;
	struct guild *guild = command->change.guild;
	if (change_refused(&command->change)) {
		return;
	}
	token_reply(guild, command->change.request,
		&(struct token_made){.id = command->token,
			.principal = command->principal,
			.agent = command->agent,
			.created_at_us = base->log_time_us[0],
			.terms = command->terms,
			.text = str_make(command->text, TOKEN_TEXT_LEN)});
}

/* ---- first start ---- */

static enum err first_apply(struct command *command, struct db *db)
{
	return create_apply(command, db);
}

static void first_finish(struct command *command)
{
	(void)command;
}

static struct agent system_agent(int64_t id, int64_t workspace)
{
	return (struct agent){.id = id,
		.workspace = workspace,
		.revision = 1,
		.maturity = MATURITY_INTERN,
		.lifecycle = LIFECYCLE_ACTIVE,
		.kind = AGENT_HOSTED,
		.confidence_e4 = maturity_lift_e4(MATURITY_INTERN),
		.is_system = true,
		.name = STR("Chat Assistant"),
		.handle = STR("chat-assistant"),
		.description = STR("Answers when no other agent was asked."),
		.category = STR("system"),
		.capabilities = STR("[]"),
		.system_prompt = STR("You are a helpful assistant. Answer clearly and briefly.")};
}

enum err agent_system_insert(struct registry *registry, struct db *db, int64_t workspace, int64_t id, int64_t now_us)
{
	struct agent agent = system_agent(id, workspace);
	agent.created_at_us = agent.updated_at_us = now_us;
	enum err err = agent_row_insert(db, &agent);
	return err == ERR_OK ? registry_put(registry, &agent) : err;
}

enum err agent_first_start(struct registry *registry, struct guild *guild)
{
	struct caller server = {.workspace = identity_workspace(guild->identity), .role = ROLE_OPERATOR, .scopes = SCOPES_ALL};
	check(server.workspace != 0);
	if (registry_system_default(registry, server.workspace) != NULL) {
		return ERR_OK;
	}
	struct arena arena;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	struct agent_command *command = change_make(guild, &first_row, &arena, NULL, &server, sizeof(*command));
	enum err err = ERR_MEMORY;
	if (command != NULL) {
		command->registry = registry;
		command->edit.handle_given = true;
		command->edit.to = system_agent(id_next(&guild->id_gens[0], env_wall_us(guild->env)), server.workspace);
		err = edit_prepare(command);
	}
	if (err == ERR_OK) {
		err = command_run_now(&command->change.command);
	}
	arena_fini(&arena);
	return err;
}

bool agent_durable(const struct agent *agent, bool otherwise)
{
	struct arena arena;
	struct json_doc doc;
	struct str word;
	if (agent->configuration.at == NULL || str_find(agent->configuration, STR("\"durability\"")) < 0) {
		return otherwise;
	}
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	if (json_parse(&arena, agent->configuration, &doc, NULL) == ERR_OK &&
		json_get_str(json_member(json_root(&doc), STR("durability")), &word)) {
		otherwise = str_eq(word, STR("durable"));
	}
	arena_fini(&arena);
	return otherwise;
}
