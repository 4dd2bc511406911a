/* session.c - commands on sessions, and the wire object. */
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/change.h"
#include "command/quota.h"
#include "session/session_priv.h"

enum { OBJECT_BYTES_MAX = 65536 };

struct session_command {
	struct change change; /* first */
	struct session session;
	int64_t agent; /* the new one, of an agent change */
	struct str agent_name;
	struct str title; /* the new one, of a title change */
	bool left;        /* of a deletion: turns are left for another transaction */
	uint64_t if_match; /* the revision that the change is based on */
	bool has_match;
};

static enum err create_apply(struct command *base, struct db *db);
enum err session_make(struct quota *quota, struct db *db, const struct session *session)
{
	enum err err = quota_take(quota, db, QUOTA_SESSIONS, session->owner, session_rows_count);
	return err == ERR_OK ? session_insert(db, session) : err;
}

static void create_finish(struct command *base);
static enum err title_apply(struct command *base, struct db *db);
static enum err agent_apply(struct command *base, struct db *db);
static void change_finish(struct command *base);
static enum err delete_apply(struct command *base, struct db *db);
static void delete_finish(struct command *base);
static void delete_go_on(struct guild *guild, struct http_request *request, int64_t session, bool sweep);

static const struct command_row create_row = {"session_create", "create", create_apply, NULL, create_finish};
static const struct command_row title_row = {"session_title", "update", title_apply, NULL, change_finish};
static const struct command_row agent_row = {"session_agent", "update", agent_apply, NULL, change_finish};
static const struct command_row delete_row = {"session_delete", "delete", delete_apply, NULL, delete_finish};

void session_json(struct guild *guild, const struct session *session, struct json_out *out)
{
	const struct siphash_key *secret = &guild->id_secret;
	struct id_text id = id_format(secret, ID_SESSION, session->id),
				   user = id_format(secret, ID_PRINCIPAL, session->owner);
	struct id_text agent = id_format(secret, ID_AGENT, session->agent);
	struct time_text created = time_format(session->created_at_us), updated = time_format(session->updated_at_us);
	json_object(out);
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str(out, STR("user_id"), id_str(&user));
	json_put_str_or_null(out, STR("agent_id"), session->agent != 0 ? id_str(&agent) : STR_NONE);
	json_put_str(out, STR("title"), session->title);
	json_put_str(out, STR("channel"), session->channel);
	json_put_int(out, STR("message_count"), session->message_count);
	json_put_str(out, STR("created_at"), time_str(&created));
	json_put_str(out, STR("updated_at"), time_str(&updated));
	json_put_int(out, STR("revision"), session->revision);
	json_object_end(out);
}

static void session_reply(struct session_command *command, int status)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	session_json(command->change.guild, &command->session, &json);
	change_reply(command->change.request, status, &text);
}

/* Reads the session when the caller may use it. */
static enum err session_of_caller(struct command *base, struct db *db, struct session *out)
{
	const struct caller *caller = &base->caller;
	return session_read(
		db, base->arena, out->id, caller->workspace, caller_is_admin(caller) ? 0 : caller->principal, out);
}

/* ---- create ---- */

void session_create_start(struct guild *guild, struct http_request *request, int64_t agent, struct str title)
{
	struct session_command *command = change_new(guild, request, &create_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->session = (struct session){.id = guild_key(guild, request->loop),
		.workspace = request->caller.workspace,
		.owner = request->caller.principal,
		.agent = agent,
		.revision = 1,
		.title = title,
		.channel = STR("chat")};
	/* A title may quote what was said, so the log says only that the session was made. */
	struct change_what what = {.session = command->session.id, .change = STR("{\"new\":{},\"old\":null}")};
	change_submit(&command->change, change_audit(&command->change, &what));
}

static enum err create_apply(struct command *base, struct db *db)
{
	struct session_command *command = (struct session_command *)base;
	command->session.created_at_us = command->session.updated_at_us = command_now_us(base);
	enum err err = session_make(command->change.guild->quota, db, &command->session);
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void create_finish(struct command *base)
{
	struct session_command *command = (struct session_command *)base;
	if (!change_refused(&command->change)) {
		session_reply(command, 201);
	}
}

/* ---- title, agent ---- */

/* If-Match: "3", 3 or *. False: the request has been answered. */
static bool match_read(struct session_command *command)
{
	struct http_request *request = command->change.request;
	struct str text = http_header(request, STR("if-match"));
	if (text.at == NULL || str_eq(text, STR("*"))) {
		return true;
	}
	if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"') {
		text = str_sub(text, 1, text.len - 2);
	}
	command->has_match = str_to_u64(text, &command->if_match);
	if (!command->has_match) {
		http_reply_invalid(request, "If-Match", "It has to be the session's revision, as in \"3\".");
	}
	return command->has_match;
}

/* The caller's session, at the revision that he has seen. */
static enum err session_of_match(struct session_command *command, struct db *db)
{
	enum err err = session_of_caller(&command->change.command, db, &command->session);
	bool moved = err == ERR_OK && command->has_match && (uint64_t)command->session.revision != command->if_match;
	return moved ? ERR_CONFLICT : err;
}

void session_title_start(struct guild *guild, struct http_request *request, int64_t session, struct str title)
{
	struct session_command *command = change_new(guild, request, &title_row, sizeof(*command));
	if (command == NULL || !match_read(command)) {
		return;
	}
	command->session.id = session;
	command->title = title;
	struct change_what what = {.session = session, .change = STR("{\"changed\":[\"title\"]}")};
	change_submit(&command->change, change_audit(&command->change, &what));
}

static enum err title_apply(struct command *base, struct db *db)
{
	struct session_command *command = (struct session_command *)base;
	struct session *session = &command->session;
	enum err err = session_of_match(command, db);
	if (err != ERR_OK) {
		return err;
	}
	session->title = command->title;
	session->updated_at_us = command_now_us(base);
	session->revision++;
	err = session_title_set(db, session->id, session->title, session->updated_at_us);
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

void session_agent_start(
	struct guild *guild, struct http_request *request, int64_t session, int64_t agent, struct str agent_name)
{
	struct session_command *command = change_new(guild, request, &agent_row, sizeof(*command));
	if (command == NULL || !match_read(command)) {
		return;
	}
	command->session.id = session;
	command->agent = agent;
	command->agent_name = arena_copy(&request->arena, agent_name);
	change_submit(&command->change, command->agent_name.at != NULL ? ERR_OK : ERR_LIMIT);
}

/* Only here the old agent is known: the entry is made on the writer, for a change that is rare and small. */
static enum err agent_audit(struct session_command *command)
{
	const struct siphash_key *secret = &command->change.guild->id_secret;
	struct id_text to = id_format(secret, ID_AGENT, command->agent),
				   from = id_format(secret, ID_AGENT, command->session.agent);
	bool had = command->session.agent != 0;
	struct change_what what = {.agent = command->agent,
		.agent_name = command->agent_name,
		.session = command->session.id,
		.change =
			arena_format(command->change.command.arena, "{\"new\":{\"agent_id\":\"%s\"},\"old\":{\"agent_id\":%s%s%s}}",
				to.text, had ? "\"" : "", had ? from.text : "null", had ? "\"" : "")};
	return what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT;
}

static enum err agent_apply(struct command *base, struct db *db)
{
	struct session_command *command = (struct session_command *)base;
	struct session *session = &command->session;
	enum err err = session_of_match(command, db);
	if (err == ERR_OK) {
		err = agent_audit(command);
	}
	if (err != ERR_OK) {
		return err;
	}
	session->agent = command->agent;
	session->updated_at_us = command_now_us(base);
	session->revision++;
	err = session_agent_set(db, session->id, session->agent, session->updated_at_us);
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void change_finish(struct command *base)
{
	struct session_command *command = (struct session_command *)base;
	if (base->result == ERR_CONFLICT) {
		struct http_request *request = command->change.request;
		http_reply_problem(request, &(struct http_problem){.err = ERR_CONFLICT,
			.detail = STR("The session was changed meanwhile."),
			.members = arena_format(&request->arena, "\"revision\":%lld", (long long)command->session.revision)});
		return;
	}
	if (!change_refused(&command->change)) {
		session_reply(command, 200);
	}
}

/* ---- delete: in steps, the session's own row with the last, so that a deletion cut short can be asked for again ---- */

void session_delete_start(struct guild *guild, struct http_request *request, int64_t session)
{
	delete_go_on(guild, request, session, false);
}

static void delete_go_on(struct guild *guild, struct http_request *request, int64_t session, bool sweep)
{
	struct session_command *command = change_new(guild, request, &delete_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	struct id_text id = id_format(&guild->id_secret, ID_SESSION, session);
	struct change_what what = {.session = session,
		.change = arena_format(&request->arena, "{\"new\":null,\"old\":{\"session_id\":\"%s\"}}", id.text)};
	command->session.id = session;
	command->change.command.job.sweep = sweep;
	change_submit(&command->change, what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT);
}

static enum err delete_apply(struct command *base, struct db *db)
{
	struct session_command *command = (struct session_command *)base;
	int64_t id = command->session.id;
	enum err err = session_of_caller(base, db, &command->session);
	if (err != ERR_OK) {
		return err;
	}
	if (command->session.open_count > 0) {
		return ERR_SESSION_BUSY;
	}
	err = session_turns_delete(db, id, &command->left);
	if (err == ERR_OK && !command->left) {
		err = session_delete(db, id);
		quota_give(command->change.guild->quota, QUOTA_SESSIONS, command->session.owner);
	}
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void delete_finish(struct command *base)
{
	struct session_command *command = (struct session_command *)base;
	if (change_refused(&command->change)) {
		return;
	}
	if (command->left) {
		delete_go_on(command->change.guild, command->change.request, command->session.id, true);
		return;
	}
	http_reply_empty(command->change.request, 204);
}
