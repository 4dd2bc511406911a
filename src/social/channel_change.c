/* channel_change.c - commands that make, join and leave channels, and the wire object. */
#include "base/mem.h"
#include "base/timefmt.h"
#include "social/channel_priv.h"

enum { EVENT_BYTES_MAX = 16384 };

struct channel_command {
	struct change change; /* first */
	struct govern_refusal refusal;
	struct channel wanted;  /* of create */
	struct channel channel; /* as it stands after the command; texts in the arena */
	struct actor by, who;
	struct str about;       /* of join and leave: the event's data up to the count */
	bool changed;
};

static enum err create_apply(struct command *command, struct db *db);
static void create_finish(struct command *command);
static enum err join_apply(struct command *command, struct db *db);
static void join_finish(struct command *command);
static enum err leave_apply(struct command *command, struct db *db);
static void leave_finish(struct command *command);

static const struct command_row create_row = {"channel_create", "channel_create", create_apply, govern_deny, create_finish};
static const struct command_row join_row = {"channel_join", "channel_join", join_apply, govern_deny, join_finish};
static const struct command_row leave_row = {"channel_leave", "channel_leave", leave_apply, govern_deny, leave_finish};

/* ---- the wire object ---- */

void channel_json(struct guild *guild, const struct channel *channel, struct json_out *out)
{
	struct id_text id = id_format(&guild->id_secret, ID_CHANNEL, channel->id);
	struct id_text creator = actor_id(guild, channel->created_by);
	struct time_text created = time_format(channel->created_at_us);
	json_object(out);
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str(out, STR("name"), channel->name);
	json_put_str(out, STR("display_name"), channel->display_name);
	json_put_str(out, STR("description"), channel->description);
	json_put_str(out, STR("type"), str_of(channel_type_words[channel->kind - 1]));
	json_put_bool(out, STR("private"), channel->is_private);
	json_put_str(out, STR("created_by"), id_str(&creator));
	json_put_int(out, STR("member_count"), channel->member_count);
	json_put_str(out, STR("created_at"), time_str(&created));
	json_put_int(out, STR("revision"), channel->revision);
	json_object_end(out);
}

static void channel_reply(struct channel_command *command, int status)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	channel_json(command->change.guild, &command->channel, &json);
	change_reply(command->change.request, status, &text);
}

/* ---- what all three have in common ---- */

/* The published record goes away with the turn, the writer's with the next change. */
static enum err channel_keep(struct arena *arena, const struct channel *from, struct channel *to)
{
	*to = *from;
	to->name = arena_copy(arena, from->name);
	to->display_name = arena_copy(arena, from->display_name);
	to->description = arena_copy(arena, from->description);
	return to->name.at != NULL && to->display_name.at != NULL && to->description.at != NULL ? ERR_OK : ERR_LIMIT;
}

static enum err event_begin(struct channel_command *command, struct str type)
{
	struct change *change = &command->change;
	struct id_text id = id_format(&change->guild->id_secret, ID_CHANNEL, command->channel.id);
	struct str topics =
		arena_format(change->command.arena, "channel:%s%s", id.text, command->channel.is_private ? "" : " global");
	change_event(change, type, STR_NONE, topics);
	change->row.audience_a = command->channel.is_private ? command->channel.id : 0;
	return topics.at != NULL ? ERR_OK : ERR_LIMIT;
}

static enum err audit_begin(struct channel_command *command, struct str change)
{
	const struct caller *caller = &command->change.command.caller;
	struct change_what what = {.agent = caller->agent, .agent_name = caller_name(caller), .change = change};
	return change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT;
}

static struct channel_command *command_begin(struct guild *guild, struct http_request *request, const struct command_row *row)
{
	struct channel_command *command = change_new(guild, request, row, sizeof(*command));
	if (command != NULL) {
		command->by = actor_of(&request->caller);
	}
	return command;
}

/* A text of json in the command's arena. */
static enum err text_take(struct channel_command *command, struct buf *text, struct str *out)
{
	enum err err = buf_err(text);
	if (err == ERR_OK) {
		*out = arena_copy(command->change.command.arena, buf_str(text));
		err = out->at != NULL ? ERR_OK : ERR_LIMIT;
	}
	buf_fini(text);
	return err;
}

/* ---- create ---- */

static struct str create_audit_text(struct channel_command *command)
{
	struct id_text id = id_format(&command->change.guild->id_secret, ID_CHANNEL, command->channel.id);
	return arena_format(command->change.command.arena, "{\"new\":{\"channel_id\":\"%s\",\"name\":\"%.*s\",\"private\":%s},\"old\":null}",
			    id.text, STR_FMT(command->channel.name), command->channel.is_private ? "true" : "false");
}

void channel_create_start(struct guild *guild, struct http_request *request, const struct channel *wanted)
{
	struct channel_command *command = command_begin(guild, request, &create_row);
	if (command == NULL) {
		return;
	}
	command->wanted = *wanted;
	command->wanted.created_by = command->by;
	command->wanted.workspace = request->caller.workspace;
	command->wanted.id = guild_key(guild, request->loop);
	command->channel = command->wanted;
	govern_change(&command->change, &command->refusal);
	enum err err = audit_begin(command, create_audit_text(command));
	if (err == ERR_OK) {
		err = event_begin(command, STR("channel_created"));
	}
	change_submit(&command->change, err);
}

static enum err created_event(struct channel_command *command)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	channel_json(command->change.guild, &command->channel, &json);
	return text_take(command, &text, &command->change.row.event_data);
}

/* Somebody was there first: the answer is that channel, unless it is hidden from the caller. */
static enum err create_existing(struct channel_command *command, struct db *db, const struct channel *existing)
{
	struct change *change = &command->change;
	if (existing->is_private && !channel_writer_has(change->guild->social, existing->id, command->by.key)) {
		return change_refuse(change, db, ERR_CONFLICT, STR("This name is taken."));
	}
	return channel_keep(change->command.arena, existing, &command->channel);
}

static enum err create_apply(struct command *base, struct db *db)
{
	struct channel_command *command = (struct channel_command *)base;
	struct social *social = command->change.guild->social;
	struct channel *channel = &command->channel;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	command->changed = false;
	*channel = command->wanted;
	const struct channel *existing = channel_writer_by_name(social, channel->workspace, channel->name);
	if (existing != NULL) {
		return create_existing(command, db, existing);
	}
	const char *full = channel_writer_full(social, command->by.key, true);
	if (full != NULL) {
		return change_refuse(&command->change, db, ERR_CONFLICT, str_of(full));
	}
	channel->created_at_us = command_now_us(base);
	channel->member_count = 1;
	channel->revision = 1;
	command->changed = true;
	err = created_event(command);
	err = err == ERR_OK ? channel_put(social, channel) : err;
	err = err == ERR_OK ? channel_member_put(social, channel->id, command->by.key) : err;
	err = err == ERR_OK ? channel_row_insert(db, channel) : err;
	err = err == ERR_OK ? channel_member_insert(db, channel->id, command->by, channel->created_at_us) : err;
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void create_finish(struct command *base)
{
	struct channel_command *command = (struct channel_command *)base;
	if (!change_refused(&command->change)) {
		channel_reply(command, command->changed ? 201 : 200);
	}
}

/* ---- join and leave ---- */

/* {"channel_id", "name", "actor"; the count and the end come in apply. */
static enum err about_make(struct channel_command *command)
{
	struct guild *guild = command->change.guild;
	struct id_text id = id_format(&guild->id_secret, ID_CHANNEL, command->channel.id);
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("channel_id"), id_str(&id));
	json_put_str(&json, STR("name"), command->channel.name);
	json_name(&json, STR("actor"));
	actor_json(guild, command->who, &json);
	return text_take(command, &text, &command->about);
}

static void member_change_start(struct guild *guild, struct http_request *request, const struct command_row *row, int64_t channel,
				struct actor who, struct str event)
{
	struct channel_command *command = command_begin(guild, request, row);
	const struct channel *now = channel_get(guild->social, channel);
	if (command == NULL) {
		return;
	}
	command->who = who;
	govern_change(&command->change, &command->refusal);
	enum err err = now != NULL ? channel_keep(&request->arena, now, &command->channel) : ERR_NOT_FOUND;
	if (err == ERR_OK) {
		struct id_text id = id_format(&guild->id_secret, ID_CHANNEL, channel);
		struct id_text actor = actor_id(guild, who);
		bool joins = row == &join_row;
		struct str member = arena_format(&request->arena, "{\"channel_id\":\"%s\",\"member_id\":\"%s\"}", id.text, actor.text);
		err = audit_begin(command, arena_format(&request->arena, "{\"new\":%s,\"old\":%s}", joins ? member.at : "null",
							joins ? "null" : member.at));
	}
	err = err == ERR_OK ? event_begin(command, event) : err;
	err = err == ERR_OK ? about_make(command) : err;
	change_submit(&command->change, err);
}

void channel_join_start(struct guild *guild, struct http_request *request, int64_t channel, struct actor who)
{
	member_change_start(guild, request, &join_row, channel, who, STR("channel_joined"));
}

void channel_leave_start(struct guild *guild, struct http_request *request, int64_t channel, struct actor who)
{
	member_change_start(guild, request, &leave_row, channel, who, STR("channel_left"));
}

/* Writes the channel with `by` members more. */
static enum err count_move(struct channel_command *command, struct db *db, int by)
{
	struct channel *channel = &command->channel;
	channel->member_count += by;
	channel->revision++;
	command->changed = true;
	command->change.row.event_data = arena_format(command->change.command.arena, "%.*s,\"member_count\":%lld}", STR_FMT(command->about),
						      (long long)channel->member_count);
	if (command->change.row.event_data.at == NULL) {
		return ERR_LIMIT;
	}
	enum err err = channel_put(command->change.guild->social, channel);
	return err == ERR_OK ? channel_row_members(db, channel) : err;
}

/* As the writer knows it now. The loop's check is made again: who invites may have been removed since. ERR_NOT_FOUND. */
static enum err channel_now(struct channel_command *command, bool *is_member)
{
	struct social *social = command->change.guild->social;
	const struct channel *now = channel_writer_get(social, command->channel.id);
	if (now == NULL) {
		return ERR_NOT_FOUND;
	}
	*is_member = channel_writer_has(social, now->id, command->by.key);
	command->channel.member_count = now->member_count;
	command->channel.revision = now->revision;
	command->changed = false;
	return now->is_private && !*is_member && !caller_is_admin(&command->change.command.caller) ? ERR_NOT_FOUND : ERR_OK;
}

static enum err join_apply(struct command *base, struct db *db)
{
	struct channel_command *command = (struct channel_command *)base;
	struct social *social = command->change.guild->social;
	const struct channel *channel = &command->channel;
	bool is_member;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	err = channel_now(command, &is_member);
	if (err != ERR_OK || channel_writer_has(social, channel->id, command->who.key)) {
		return err;
	}
	if (command->who.key != command->by.key && !is_member && !caller_is_admin(&base->caller)) {
		return change_refuse(&command->change, db, ERR_PERMISSION, STR("Only a member or an admin brings others into a channel."));
	}
	const char *full = channel_writer_full(social, command->who.key, false);
	if (full != NULL) {
		return change_refuse(&command->change, db, ERR_CONFLICT, str_of(full));
	}
	err = channel_member_put(social, channel->id, command->who.key);
	err = err == ERR_OK ? channel_member_insert(db, channel->id, command->who, command_now_us(base)) : err;
	err = err == ERR_OK ? count_move(command, db, 1) : err;
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void join_finish(struct command *base)
{
	struct channel_command *command = (struct channel_command *)base;
	if (!change_refused(&command->change)) {
		channel_reply(command, 200);
	}
}

static enum err leave_apply(struct command *base, struct db *db)
{
	struct channel_command *command = (struct channel_command *)base;
	struct social *social = command->change.guild->social;
	const struct channel *channel = &command->channel;
	bool is_member;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	err = channel_now(command, &is_member);
	if (err == ERR_NOT_FOUND && command->who.key == command->by.key) {
		return ERR_OK; /* removed meanwhile: what was wanted */
	}
	if (err != ERR_OK) {
		return err;
	}
	if (command->who.key != command->by.key && channel->created_by.key != command->by.key && !caller_is_admin(&base->caller)) {
		return change_refuse(
			&command->change, db, ERR_PERMISSION, STR("Only the channel's creator or an admin removes others from it."));
	}
	if (!channel_writer_has(social, channel->id, command->who.key)) {
		return ERR_OK;
	}
	err = channel_member_remove(social, channel->id, command->who.key);
	err = err == ERR_OK ? channel_member_delete(db, channel->id, command->who.key) : err;
	err = err == ERR_OK ? count_move(command, db, -1) : err;
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void leave_finish(struct command *base)
{
	struct channel_command *command = (struct channel_command *)base;
	if (!change_refused(&command->change)) {
		http_reply_empty(command->change.request, 204);
	}
}
