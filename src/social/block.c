/* block.c - whose messages an actor does not accept. */
#include "base/timefmt.h"
#include "social/message_priv.h"

enum { OBJECT_BYTES_MAX = 4096 };

struct block_command {
	struct change change; /* first */
	struct govern_refusal refusal;
	struct block block;
};

static enum err put_apply(struct command *base, struct db *db);
static void put_finish(struct command *base);
static enum err delete_apply(struct command *base, struct db *db);
static void delete_finish(struct command *base);

static const struct command_row put_row = {"block_put", "direct_message", put_apply, govern_deny, put_finish};
static const struct command_row delete_row = {
	"block_delete", "direct_message", delete_apply, govern_deny, delete_finish};

static void block_json(struct guild *guild, const struct block *block, struct json_out *out)
{
	struct time_text created = time_format(block->created_at_us);
	json_object(out);
	json_name(out, STR("blocked"));
	actor_json(guild, block->blocked, out);
	json_put_str(out, STR("created_at"), time_str(&created));
	json_object_end(out);
}

/* ---- list ---- */

static bool list_row(const struct block *block, void *arg)
{
	struct query *query = arg;
	if (!query_room(query)) {
		return false;
	}
	block_json(query->guild, block, &query->json);
	query_mark(query, block->blocked.key, 0);
	return true;
}

static enum err list_run(struct query *query, struct db *db)
{
	int64_t actor = actor_of(&query->request->caller).key;
	return block_rows(db, actor, query->after[0], query->limit + 1, list_row, query);
}

void block_handle_list(struct http_request *request, void *ctx)
{
	if (govern_read(ctx, request, "inbox")) {
		struct query *query = query_list_new(ctx, request, STR(""), sizeof(*query));
		if (query != NULL) {
			query_submit(query, list_run);
		}
	}
}

/* ---- put, delete ---- */

static enum err audit_make(struct block_command *command, bool put)
{
	const struct caller *caller = &command->change.command.caller;
	struct id_text id = actor_id(command->change.guild, command->block.blocked);
	struct change_what what = {.agent = caller->role == ROLE_AGENT ? caller->agent : 0,
		.agent_name = caller_name(caller),
		.change = arena_format(command->change.command.arena,
			put ? "{\"new\":{\"blocked\":\"%s\"},\"old\":null}" : "{\"new\":null,\"old\":{\"blocked\":\"%s\"}}", id.text)};
	return what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT;
}

static void start(struct http_request *request, struct guild *guild, const struct command_row *row)
{
	struct block_command *command = change_new(guild, request, row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	govern_change(&command->change, &command->refusal);
	if (command->refusal.err != ERR_OK) {
		change_submit(&command->change, ERR_OK);
		return;
	}
	enum err err = message_party_find(guild, &request->caller, request->params[0], &command->block.blocked);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
		return;
	}
	if (command->block.blocked.key == actor_of(&request->caller).key) {
		http_reply_invalid(request, "id", "Nobody blocks oneself.");
		return;
	}
	change_submit(&command->change, audit_make(command, row == &put_row));
}

void block_handle_put(struct http_request *request, void *ctx)
{
	start(request, ctx, &put_row);
}

void block_handle_delete(struct http_request *request, void *ctx)
{
	start(request, ctx, &delete_row);
}

static enum err put_apply(struct command *base, struct db *db)
{
	struct block_command *command = (struct block_command *)base;
	int64_t actor = actor_of(&base->caller).key, count = 0;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	struct block there;
	err = block_get(db, actor, command->block.blocked.key, &there);
	if (err != ERR_NOT_FOUND) {
		command->block.created_at_us = there.created_at_us;
		return err;
	}
	err = block_count(db, actor, LIMIT_BLOCKS, &count);
	if (err == ERR_OK && count == LIMIT_BLOCKS) {
		return change_refuse(&command->change, db, ERR_CONFLICT, STR("No more than 10000 can be blocked."));
	}
	command->block.created_at_us = command_now_us(base);
	err = err == ERR_OK ? block_insert(db, actor, &command->block) : err;
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void put_finish(struct command *base)
{
	struct block_command *command = (struct block_command *)base;
	if (change_refused(&command->change)) {
		return;
	}
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	block_json(command->change.guild, &command->block, &json);
	change_reply(command->change.request, 200, &text);
}

static enum err delete_apply(struct command *base, struct db *db)
{
	struct block_command *command = (struct block_command *)base;
	int64_t actor = actor_of(&base->caller).key;
	bool there = false;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	err = block_there(db, actor, command->block.blocked.key, &there);
	if (err != ERR_OK || !there) {
		return err;
	}
	err = block_delete(db, actor, command->block.blocked.key);
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void delete_finish(struct command *base)
{
	struct block_command *command = (struct block_command *)base;
	if (!change_refused(&command->change)) {
		http_reply_empty(command->change.request, 204);
	}
}
