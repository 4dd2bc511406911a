/* message.c - sending direct messages, and how they are shown. */
#include "base/check.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "social/message_priv.h"

#include <stdio.h>

#define OBJECT_BEFORE_ID "{\"id\":\"" /* as events begin: social_delivered */

enum {
	OBJECT_BYTES_MAX = 262144, /* content of LIMIT_POST_CHARS, escaped */
	TAIL_BYTES_MAX = 128,      /* what of the object is known on the writer alone */
	SUBMIT_BYTES_MAX = 1048576,
};

/* One that the server sends itself. */
struct submit {
	struct arena arena;
	message_done_fn *done;
	void *ctx;
};

struct send_command {
	struct change change; /* first */
	struct govern_refusal refusal;
	struct message message;
	char *object;         /* the wire object up to created_at; id and rest are the writer's */
	size_t object_len;
	char *entry_id;       /* where the audit entry has the id */
	struct str blocked;   /* what is said when the recipient refuses */
	struct rate_rule rule;
	struct rate_state rate;
	int64_t cause;        /* of an automatic answer, else 0 */
	struct answer_debt debt;
	size_t debt_count;    /* 1: the recipient answers by itself */
	struct submit *submit; /* NULL: a request's */
};

static enum err send_apply(struct command *base, struct db *db);
static void send_finish(struct command *base);

static const struct command_row send_row = {"message_send", "direct_message", send_apply, govern_deny, send_finish};

/* ---- the object ---- */

bool message_copy_there(const struct message *message, int64_t actor)
{
	return (message->from.key == actor && !message->from_deleted) || (message->to.key == actor && !message->to_deleted);
}

static void put_until_time(struct guild *guild, const struct message *message, struct json_out *out)
{
	struct id_text id = id_format(&guild->id_secret, ID_DIRECT_MESSAGE, message->id);
	json_object(out);
	json_put_str(out, STR("id"), id_str(&id));
	json_name(out, STR("from"));
	actor_json(guild, message->from, out);
	json_name(out, STR("to"));
	actor_json(guild, message->to, out);
	json_put_str(out, STR("type"), str_of(message_type_words[message->kind - 1]));
	json_put_str(out, STR("content"), message->content);
}

static void put_time(struct json_out *out, struct str name, int64_t at_us)
{
	struct time_text time = time_format(at_us);
	json_put_str_or_null(out, name, at_us != 0 ? time_str(&time) : STR_NONE);
}

void message_json(struct guild *guild, const struct message *message, struct json_out *out)
{
	put_until_time(guild, message, out);
	put_time(out, STR("created_at"), message->created_at_us);
	put_time(out, STR("delivered_at"), message->delivered_at_us);
	put_time(out, STR("read_at"), message->read_at_us);
	json_object_end(out);
}

void message_reply(struct http_request *request, struct guild *guild, int status, const struct message *message)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	message_json(guild, message, &json);
	change_reply(request, status, &text);
}

enum err message_party_find(struct guild *guild, const struct caller *caller, struct str text, struct actor *out)
{
	int64_t key;
	bool is_id = id_parse(&guild->id_secret, ID_PRINCIPAL, text, &key) == ERR_OK;
	const struct agent *agent = is_id ? NULL : registry_find(guild->registry, guild, caller->workspace, text);
	if (agent != NULL) {
		*out = (struct actor){agent->id, ACTOR_AGENT};
		return ERR_OK;
	}
	const struct principal *principal = identity_find(guild->identity, guild, caller->workspace, text);
	if (principal == NULL || principal->kind == PRINCIPAL_AGENT) {
		return ERR_NOT_FOUND;
	}
	*out = (struct actor){principal->id, principal->kind == PRINCIPAL_SYSTEM ? ACTOR_SYSTEM : ACTOR_HUMAN};
	return ERR_OK;
}

/* ---- prepare ---- */

/* The first part of the object, in memory that has room for the rest. Its id is a place to be filled in. */
static enum err object_begin(struct send_command *send)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	put_until_time(send->change.guild, &send->message, &json);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		send->object_len = text.len;
		send->object = arena_alloc(send->change.command.arena, text.len + TAIL_BYTES_MAX);
		err = send->object != NULL ? ERR_OK : ERR_LIMIT;
	}
	if (err == ERR_OK) {
		memcpy(send->object, buf_str(&text).at, text.len);
	}
	buf_fini(&text);
	return err;
}

/* The entry in memory of its own, to be filled in. */
static enum err entry_open(struct send_command *send, const struct id_text *id)
{
	struct str *entry = &send->change.row.entry;
	*entry = arena_copy(send->change.command.arena, *entry);
	if (entry->at == NULL) {
		return ERR_LIMIT;
	}
	send->entry_id = memmem((char *)(uintptr_t)entry->at, entry->len, id->text, ID_TEXT_LEN);
	check(send->entry_id != NULL);
	return ERR_OK;
}

/* What the audit log says: who wrote to whom, never what. */
static enum err audit_make(struct send_command *send, bool skip_redaction)
{
	struct guild *guild = send->change.guild;
	struct arena *arena = send->change.command.arena;
	const struct caller *caller = &send->change.command.caller;
	const struct message *message = &send->message;
	struct id_text id = id_format(&guild->id_secret, ID_DIRECT_MESSAGE, message->id), to = actor_id(guild, message->to);
	struct change_what what = {
		.agent = message->from.kind == ACTOR_AGENT ? message->from.key : 0,
		.agent_name = caller_name(caller),
		.change = arena_format(arena, "{\"new\":{\"message_id\":\"%s\",\"to_id\":\"%s\",\"type\":\"%s\"%s},\"old\":null}",
			id.text, to.text, message_type_words[message->kind - 1],
			skip_redaction ? ",\"redaction\":\"skipped\"" : "")};
	enum err err = what.change.at != NULL ? change_audit(&send->change, &what) : ERR_LIMIT;
	return err == ERR_OK ? entry_open(send, &id) : err;
}

static enum err event_make(struct send_command *send)
{
	struct guild *guild = send->change.guild;
	struct arena *arena = send->change.command.arena;
	struct str from = actor_topic(guild, arena, send->message.from), to = actor_topic(guild, arena, send->message.to);
	struct str name = actor_face_of(guild, send->message.to).name;
	struct str topics = arena_format(arena, "%.*s %.*s", STR_FMT(from), STR_FMT(to));
	send->blocked = arena_format(arena, "%.*s does not accept messages from you.", STR_FMT(name));
	if (from.at == NULL || to.at == NULL || topics.at == NULL || send->blocked.at == NULL) {
		return ERR_LIMIT;
	}
	change_event(&send->change, STR("direct_message"), STR("{}"), topics);
	send->change.row.audience_a = send->message.from.key;
	send->change.row.audience_b = send->message.to.key;
	return ERR_OK;
}

/* ERR_INVALID: *detail says what is wrong with the content. */
static enum err send_prepare(struct send_command *send, struct str content, bool skip_redaction, const char **detail)
{
	struct content made;
	enum err err = content_make(
		send->change.guild, send->change.command.arena, content, skip_redaction, &made, detail);
	if (err != ERR_OK) {
		return err;
	}
	send->message.content = made.text;
	send->message.redacted = made.redacted;
	if (send->message.to.kind == ACTOR_AGENT) {
		send->debt_count = answer_debts(send->change.guild, send->message.from, send->message.hops, 0, true, &send->message.to.key, 1,
			&send->debt, 1);
	}
	err = object_begin(send);
	err = err == ERR_OK ? audit_make(send, skip_redaction) : err;
	return err == ERR_OK ? event_make(send) : err;
}

/* ---- the request ---- */

/* False: the request has been answered. */
static bool recipient_read(struct guild *guild, struct http_request *request, struct actor from, struct actor *to)
{
	struct str agent = STR_NONE, user = STR_NONE;
	bool of_agent = http_body_str(request, "to_agent_id", &agent), of_user = http_body_str(request, "to_user_id", &user);
	const char *pointer = of_user ? "/to_user_id" : "/to_agent_id";
	if (of_agent == of_user) {
		http_reply_invalid(request, pointer, "Either an agent or a user is named as the recipient.");
		return false;
	}
	enum err err = actor_find(guild, &request->caller, agent, user, to);
	if (err != ERR_OK) {
		http_reply_error(request, err, of_agent ? "There is no such agent." : "There is no such user.");
		return false;
	}
	if (to->key == from.key) {
		http_reply_invalid(request, pointer, "Nobody writes to oneself.");
		return false;
	}
	return true;
}

static void request_go_on(struct send_command *send, struct http_request *request)
{
	struct message *message = &send->message;
	struct str content = STR(""), type = STR("note");
	const char *detail = NULL;
	bool skip = false;
	(void)http_body_str(request, "content", &content);
	(void)http_body_str(request, "message_type", &type);
	(void)http_body_bool(request, "skip_redaction", &skip);
	if (skip && !caller_is_admin(&request->caller)) {
		http_reply_error(request, ERR_PERMISSION, "Only an admin may skip redaction.");
		return;
	}
	if (!recipient_read(send->change.guild, request, message->from, &message->to)) {
		return;
	}
	message->kind = social_word(message_type_words, type);
	enum err err = send_prepare(send, content, skip, &detail);
	if (err == ERR_INVALID && detail != NULL) {
		http_reply_invalid(request, "/content", detail);
		return;
	}
	change_submit(&send->change, err);
}

static void send_init(struct send_command *send)
{
	const struct caller *caller = &send->change.command.caller;
	govern_change(&send->change, &send->refusal);
	send->message = (struct message){.workspace = caller->workspace, .from = actor_of(caller)};
}

void message_handle_send(struct http_request *request, void *ctx)
{
	struct send_command *send = change_new(ctx, request, &send_row, sizeof(*send));
	if (send == NULL) {
		return;
	}
	send_init(send);
	if (send->refusal.err != ERR_OK) {
		change_submit(&send->change, ERR_OK);
		return;
	}
	request_go_on(send, request);
}

/* ---- the server itself ---- */

static bool party_there(struct guild *guild, const struct caller *caller, struct actor actor)
{
	if (actor.kind == ACTOR_AGENT) {
		const struct agent *agent = registry_get(guild->registry, actor.key);
		return agent != NULL && agent->workspace == caller->workspace && agent->lifecycle != LIFECYCLE_ARCHIVED;
	}
	const struct principal *principal = identity_principal(guild->identity, actor.key);
	return principal != NULL && principal->workspace == caller->workspace && principal->disabled_at_us == 0;
}

static enum err submit_go_on(struct send_command *send, const struct message_input *input)
{
	const struct caller *caller = &send->change.command.caller;
	const char *detail;
	send->message.to = input->to;
	send->message.kind = input->kind;
	send->message.hops = input->hops;
	send->cause = input->cause;
	if (send->refusal.err != ERR_OK) {
		return command_submit(&send->change.command, false);
	}
	if (input->to.key == send->message.from.key || !party_there(send->change.guild, caller, input->to)) {
		return ERR_NOT_FOUND;
	}
	struct str content = arena_copy(send->change.command.arena, input->content);
	enum err err = content.at != NULL ? send_prepare(send, content, false, &detail) : ERR_LIMIT;
	return err == ERR_OK ? command_submit(&send->change.command, false) : err;
}

static void submit_free(struct submit *submit)
{
	struct arena arena = submit->arena;
	arena_fini(&arena);
	mem_free(submit);
}

enum err message_submit(struct guild *guild, struct loop *loop, const struct caller *caller, const struct message_input *input,
	message_done_fn *done, void *ctx)
{
	struct submit *submit = mem_alloc(sizeof(*submit));
	if (submit == NULL) {
		return ERR_MEMORY;
	}
	*submit = (struct submit){.done = done, .ctx = ctx};
	arena_init(&submit->arena, SUBMIT_BYTES_MAX);
	struct send_command *send = change_make(guild, &send_row, &submit->arena, loop, caller, sizeof(*send));
	enum err err = ERR_MEMORY;
	if (send != NULL) {
		send->submit = submit;
		send_init(send);
		err = submit_go_on(send, input);
	}
	if (err != ERR_OK) {
		submit_free(submit);
	}
	return err;
}

/* ---- on the writer ---- */

/* Is the sender heard, and not too often? *refused: that was written down, and nothing else is to be. */
static enum err refusal_look(struct send_command *send, struct db *db, bool *refused)
{
	struct guild *guild = send->change.guild;
	struct actor from = send->message.from;
	int64_t now_us = command_now_us(&send->change.command);
	enum err err = block_there(db, send->message.to.key, from.key, refused);
	if (err != ERR_OK || *refused) {
		return err != ERR_OK ? err : change_refuse(&send->change, db, ERR_PERMISSION, send->blocked);
	}
	send->rule = (struct rate_rule){.limit = -1};
	if (from.kind != ACTOR_AGENT) {
		return ERR_OK;
	}
	const struct agent *agent = registry_writer_get(guild->registry, from.key);
	send->rule = rate_rule_of(guild, from, agent != NULL ? agent->maturity : 0, RATE_MESSAGE);
	err = rate_read(db, from, RATE_MESSAGE, 0, send->rule, now_us, &send->rate);
	if (err != ERR_OK || send->rate.remaining != 0) {
		return err;
	}
	*refused = true;
	return rate_refuse(&send->change, db, "direct messages", send->rule, &send->rate);
}

/* Keys of the writer are in the order of commits, as lists are. */
static void object_end(struct send_command *send, int64_t now_us)
{
	struct message *message = &send->message;
	message->id = guild_writer_key(send->change.guild, now_us);
	message->created_at_us = now_us;
	struct id_text id = id_format(&send->change.guild->id_secret, ID_DIRECT_MESSAGE, message->id);
	memcpy(send->object + sizeof(OBJECT_BEFORE_ID) - 1, id.text, ID_TEXT_LEN);
	memcpy(send->entry_id, id.text, ID_TEXT_LEN);
	struct time_text created = time_format(now_us);
	int len = snprintf(send->object + send->object_len, TAIL_BYTES_MAX,
		",\"created_at\":\"%s\",\"delivered_at\":null,\"read_at\":null}", created.text);
	send->change.row.event_data = str_make(send->object, send->object_len + (size_t)len);
}

static enum err send_apply(struct command *base, struct db *db)
{
	struct send_command *send = (struct send_command *)base;
	bool refused = false;
	enum err err;
	if (govern_refused(&send->change, &send->refusal, db, &err)) {
		return err;
	}
	err = refusal_look(send, db, &refused);
	if (err != ERR_OK || refused) {
		return err;
	}
	object_end(send, command_now_us(base));
	if (send->cause != 0) {
		err = answer_given(db, send->message.from.key, send->cause);
		if (err != ERR_OK) {
			return err;
		}
	}
	err = message_insert(db, &send->message);
	if (err == ERR_OK && send->debt_count > 0) {
		send->debt.cause = send->message.id;
		err = answer_owe(db, &send->debt);
	}
	if (err == ERR_OK) {
		err = rate_take(db, send->message.from, RATE_MESSAGE, 0, send->rule, command_now_us(base));
	}
	send->rate = rate_after(send->rate, send->rule);
	return err == ERR_OK ? change_log(&send->change, db) : err;
}

/* ---- the end ---- */

static void send_finish(struct command *base)
{
	struct send_command *send = (struct send_command *)base;
	struct http_request *request = send->change.request;
	if (base->result == ERR_OK) {
		answer_ask(send->change.guild->social, &send->debt, send->debt_count);
	}
	if (send->submit != NULL) {
		struct submit *submit = send->submit;
		submit->done(submit->ctx, base->result);
		submit_free(submit);
		return;
	}
	if (send->rule.window_us != 0) {
		rate_headers(&send->change, send->rule, &send->rate);
	}
	if (!change_refused(&send->change)) {
		http_reply_json(request, 201, send->change.row.event_data);
	}
}
