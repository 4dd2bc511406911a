/* message_mark.c - direct messages are read, or deleted. */
#include "social/message_priv.h"

struct mark_command {
	struct change change; /* first */
	struct govern_refusal refusal;
	struct message message;          /* of one */
	struct message_sweep sweep;
	int64_t begun_after, begun_upto; /* where this batch began: it may run again. upto 0: it is the first */
	int64_t total;                   /* read by the batches before */
};

static enum err read_apply(struct command *base, struct db *db);
static void read_finish(struct command *base);
static enum err sweep_apply(struct command *base, struct db *db);
static void sweep_finish(struct command *base);
static enum err delete_apply(struct command *base, struct db *db);
static void delete_finish(struct command *base);

static const struct command_row read_row = {"message_read", "mark_read", read_apply, govern_deny, read_finish};
static const struct command_row sweep_row = {"message_read_all", "mark_read", sweep_apply, govern_deny, sweep_finish};
static const struct command_row delete_row = {
	"message_delete", "delete_message", delete_apply, govern_deny, delete_finish};

/* ---- what all of them begin with ---- */

static enum err audit_make(struct mark_command *mark, struct str change)
{
	const struct caller *caller = &mark->change.command.caller;
	struct change_what what = {.agent = caller->role == ROLE_AGENT ? caller->agent : 0,
		.agent_name = caller_name(caller),
		.change = change};
	return change.at != NULL ? change_audit(&mark->change, &what) : ERR_LIMIT;
}

/* A command on the message of the path. NULL: the request has been answered. */
static struct mark_command *mark_new(
	struct guild *guild, struct http_request *request, const struct command_row *row, struct id_text *id)
{
	struct mark_command *mark = change_new(guild, request, row, sizeof(*mark));
	if (mark == NULL) {
		return NULL;
	}
	govern_change(&mark->change, &mark->refusal);
	if (mark->refusal.err != ERR_OK) {
		change_submit(&mark->change, ERR_OK);
		return NULL;
	}
	if (id_parse(&guild->id_secret, ID_DIRECT_MESSAGE, request->params[0], &mark->message.id) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return NULL;
	}
	*id = id_format(&guild->id_secret, ID_DIRECT_MESSAGE, mark->message.id);
	return mark;
}

/* In apply: the message, when the caller has a copy. */
static enum err own_copy(struct mark_command *mark, struct db *db)
{
	struct command *command = &mark->change.command;
	enum err err = message_get(db, command->arena, mark->message.id, &mark->message);
	if (err == ERR_OK && !message_copy_there(&mark->message, actor_of(&command->caller).key)) {
		err = ERR_NOT_FOUND;
	}
	return err;
}

/* ---- one is read ---- */

void message_handle_read(struct http_request *request, void *ctx)
{
	struct id_text id;
	struct mark_command *mark = mark_new(ctx, request, &read_row, &id);
	if (mark != NULL) {
		struct str change = arena_format(&request->arena, "{\"changed\":[\"read_at\"],\"message_id\":\"%s\"}", id.text);
		change_submit(&mark->change, audit_make(mark, change));
	}
}

static enum err read_apply(struct command *base, struct db *db)
{
	struct mark_command *mark = (struct mark_command *)base;
	struct message *message = &mark->message;
	enum err err;
	if (govern_refused(&mark->change, &mark->refusal, db, &err)) {
		return err;
	}
	err = own_copy(mark, db);
	if (err == ERR_OK && message->to.key != actor_of(&base->caller).key) {
		mark->change.detail = STR("Only its recipient marks a message as read.");
		err = ERR_PERMISSION;
	}
	if (err != ERR_OK || message->read_at_us != 0) {
		return err;
	}
	message->read_at_us = command_now_us(base);
	if (message->delivered_at_us == 0) {
		message->delivered_at_us = message->read_at_us;
	}
	err = message_read_set(db, message->id, message->read_at_us);
	return err == ERR_OK ? change_log(&mark->change, db) : err;
}

static void read_finish(struct command *base)
{
	struct mark_command *mark = (struct mark_command *)base;
	if (!change_refused(&mark->change)) {
		message_reply(mark->change.request, mark->change.guild, 200, &mark->message);
	}
}

/* ---- all are read: in batches, up to those that were there when it was asked for ---- */

static void sweep_go_on(
	struct guild *guild, struct http_request *request, const struct message_sweep *sweep, int64_t total)
{
	struct mark_command *mark = change_new(guild, request, &sweep_row, sizeof(*mark));
	if (mark == NULL) {
		return;
	}
	mark->sweep = *sweep;
	mark->begun_after = sweep->after;
	mark->begun_upto = sweep->upto;
	mark->total = total;
	mark->change.command.job.sweep = sweep->upto != 0;
	govern_change(&mark->change, &mark->refusal);
	change_submit(&mark->change,
		mark->refusal.err != ERR_OK ? ERR_OK : audit_make(mark, STR("{\"changed\":[\"read_at\"],\"message_id\":null}")));
}

void message_handle_read_all(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct message_sweep sweep = {.actor = actor_of(&request->caller).key};
	struct actor from = {0};
	struct str with;
	if (http_body_str(request, "with", &with)) {
		enum err err = message_party_find(guild, &request->caller, with, &from);
		if (err != ERR_OK) {
			http_reply_error(request, err, NULL);
			return;
		}
	}
	sweep.sender = from.key;
	sweep_go_on(guild, request, &sweep, 0);
}

static enum err sweep_apply(struct command *base, struct db *db)
{
	struct mark_command *mark = (struct mark_command *)base;
	enum err err;
	if (govern_refused(&mark->change, &mark->refusal, db, &err)) {
		return err;
	}
	mark->sweep.after = mark->begun_after;
	mark->sweep.upto = mark->begun_upto;
	if (mark->sweep.upto == 0) {
		mark->sweep.upto = guild_writer_key(mark->change.guild, command_now_us(base));
	}
	err = message_read_sweep(db, &mark->sweep, command_now_us(base));
	base->partial = mark->sweep.left;
	return err == ERR_OK && mark->sweep.marked > 0 ? change_log(&mark->change, db) : err;
}

static void sweep_finish(struct command *base)
{
	struct mark_command *mark = (struct mark_command *)base;
	struct http_request *request = mark->change.request;
	if (change_refused(&mark->change)) {
		return;
	}
	int64_t total = mark->total + mark->sweep.marked;
	if (mark->sweep.left) {
		sweep_go_on(mark->change.guild, request, &mark->sweep, total);
		return;
	}
	struct str text = arena_format(&request->arena, "{\"marked\":%lld}", (long long)total);
	http_reply_json(request, 200, text.at != NULL ? text : STR("{\"marked\":0}"));
}

/* ---- one's own copy is deleted ---- */

void message_handle_delete(struct http_request *request, void *ctx)
{
	struct id_text id;
	struct mark_command *mark = mark_new(ctx, request, &delete_row, &id);
	if (mark != NULL) {
		struct str change = arena_format(&request->arena, "{\"new\":null,\"old\":{\"message_id\":\"%s\"}}", id.text);
		change_submit(&mark->change, audit_make(mark, change));
	}
}

static enum err delete_apply(struct command *base, struct db *db)
{
	struct mark_command *mark = (struct mark_command *)base;
	enum err err;
	if (govern_refused(&mark->change, &mark->refusal, db, &err)) {
		return err;
	}
	err = own_copy(mark, db);
	if (err == ERR_OK) {
		err = message_copy_delete(db, &mark->message, actor_of(&base->caller).key);
	}
	return err == ERR_OK ? change_log(&mark->change, db) : err;
}

static void delete_finish(struct command *base)
{
	struct mark_command *mark = (struct mark_command *)base;
	if (!change_refused(&mark->change)) {
		http_reply_empty(mark->change.request, 204);
	}
}
