/* reaction.c - commands that give a reaction and take it back. */
#include "base/mem.h"
#include "social/reaction_priv.h"

enum { EVENT_BYTES_MAX = 16384 };

struct reaction_command {
	struct change change; /* first */
	struct govern_refusal refusal;
	struct reaction reaction;
	struct str about;     /* the event's data up to the count */
	struct rate_rule rule;
	struct rate_state rate;
	bool changed;
};

static enum err add_apply(struct command *command, struct db *db);
static enum err remove_apply(struct command *command, struct db *db);
static void add_finish(struct command *command);
static void remove_finish(struct command *command);

static const struct command_row add_row = {"reaction_add", "react", add_apply, govern_deny, add_finish};
static const struct command_row remove_row = {"reaction_remove", "unreact", remove_apply, govern_deny, remove_finish};

/* ---- prepare ---- */

static enum err about_make(struct reaction_command *command, const struct id_text *post)
{
	struct change *change = &command->change;
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("post_id"), id_str(post));
	json_put_str(&json, STR("emoji"), command->reaction.emoji);
	json_name(&json, STR("actor"));
	actor_json(change->guild, command->reaction.actor, &json);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		command->about = arena_copy(change->command.arena, buf_str(&text));
		err = command->about.at != NULL ? ERR_OK : ERR_LIMIT;
	}
	buf_fini(&text);
	return err;
}

static enum err audit_make(struct reaction_command *command, const struct id_text *post, bool adds)
{
	struct change *change = &command->change;
	const struct caller *caller = &change->command.caller;
	struct str given = arena_format(
		change->command.arena, "{\"emoji\":\"%.*s\",\"post_id\":\"%s\"}", STR_FMT(command->reaction.emoji), post->text);
	struct change_what what = {.agent = caller->agent,
				   .agent_name = caller_name(caller),
				   .change = given.at == NULL ? STR_NONE
							      : arena_format(change->command.arena, "{\"new\":%s,\"old\":%s}",
									     adds ? given.at : "null", adds ? "null" : given.at)};
	return what.change.at != NULL ? change_audit(change, &what) : ERR_LIMIT;
}

void reaction_start(struct guild *guild, struct http_request *request, int64_t post, struct str emoji, bool adds)
{
	struct reaction_command *command = change_new(guild, request, adds ? &add_row : &remove_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	struct id_text id = id_format(&guild->id_secret, ID_POST, post);
	command->reaction = (struct reaction){post, emoji, actor_of(&request->caller)};
	command->rule = (struct rate_rule){.limit = -1};
	govern_change(&command->change, &command->refusal);
	enum err err = about_make(command, &id);
	err = err == ERR_OK ? audit_make(command, &id, adds) : err;
	change_event(&command->change, adds ? STR("reaction_added") : STR("reaction_removed"), STR_NONE, STR_NONE);
	change_submit(&command->change, err);
}

/* ---- apply ---- */

/* The post, if the caller may see it with what the open transaction changed. ERR_NOT_FOUND. */
static enum err post_look(struct reaction_command *command, struct db *db, struct post *post)
{
	const struct caller *caller = &command->change.command.caller;
	struct social *social = command->change.guild->social;
	int64_t viewer = command->reaction.actor.key;
	enum err err = post_get(db, command->change.command.arena, command->reaction.post, post);
	if (err != ERR_OK) {
		return err;
	}
	struct place place = post_place(social, post);
	bool is_member = place.visibility == VISIBILITY_CHANNEL && channel_writer_has(social, place.audience, viewer);
	bool seen = post->deleted_at_us == 0 && visibility_allows(&place, caller->workspace, viewer, is_member);
	return seen ? ERR_OK : ERR_NOT_FOUND;
}

/* After the rows: the post's count, and the log row with its event. */
static enum err tell(struct reaction_command *command, struct db *db, const struct post *post, int by, int64_t count)
{
	struct change *change = &command->change;
	struct place place = post_place(change->guild->social, post);
	struct audience audience = visibility_audience(&place);
	struct log_row *row = &change->row;
	row->audience_a = audience.a;
	row->audience_b = audience.b;
	row->event_data =
		arena_format(change->command.arena, "%.*s,\"count\":%lld}", STR_FMT(command->about), (long long)count);
	enum err err = row->event_data.at != NULL ? post_topics(change->guild, change->command.arena, post, true, &row->topics) : ERR_LIMIT;
	err = err == ERR_OK ? post_count_add(db, post->id, 0, by) : err;
	err = err == ERR_OK ? standing_reaction(change->guild, post, &command->reaction, by, command_now_us(&change->command)) : err;
	return err == ERR_OK ? change_log(change, db) : err;
}

static enum err rate_look(struct reaction_command *command, struct db *db)
{
	struct guild *guild = command->change.guild;
	struct actor actor = command->reaction.actor;
	const struct agent *agent = actor.kind == ACTOR_AGENT ? registry_writer_get(guild->registry, actor.key) : NULL;
	command->rule = rate_rule_of(guild, actor, agent != NULL ? agent->maturity : 0, RATE_REACTION);
	command->rate = (struct rate_state){.remaining = -1};
	return rate_read(db, actor, RATE_REACTION, 0, command->rule, command_now_us(&command->change.command), &command->rate);
}

/* Everything that may refuse; *refused: it did, and *err is what apply returns. */
static enum err add_check(struct reaction_command *command, struct db *db, int64_t sum, bool *refused)
{
	int64_t kinds = 0;
	*refused = false;
	enum err err = sum == 0 ? reaction_kinds_count(db, command->reaction.post, &kinds) : ERR_OK;
	err = err == ERR_OK ? rate_look(command, db) : err;
	if (err == ERR_OK && kinds >= LIMIT_POST_EMOJIS) {
		*refused = true;
		return change_refuse(&command->change, db, ERR_CONFLICT,
				     STR("The post has as many different reactions as one may have; those that are there can be given."));
	}
	if (err == ERR_OK && command->rate.remaining == 0) {
		*refused = true;
		return rate_refuse(&command->change, db, "reactions", command->rule, &command->rate);
	}
	return err;
}

static enum err add_apply(struct command *base, struct db *db)
{
	struct reaction_command *command = (struct reaction_command *)base;
	const struct reaction *reaction = &command->reaction;
	struct post post;
	bool there, refused;
	int64_t sum;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	command->changed = false;
	command->rule.limit = -1;
	err = post_look(command, db, &post);
	err = err == ERR_OK ? reaction_there(db, reaction, &there) : err;
	if (err != ERR_OK || there) {
		return err;
	}
	err = reaction_sum_read(db, reaction->post, reaction->emoji, &sum);
	err = err == ERR_OK ? add_check(command, db, sum, &refused) : err;
	if (err != ERR_OK || refused) {
		return err;
	}
	command->changed = true;
	err = rate_take(db, reaction->actor, RATE_REACTION, 0, command->rule, command_now_us(base));
	command->rate = rate_after(command->rate, command->rule);
	err = err == ERR_OK ? reaction_insert(db, reaction, sum) : err;
	return err == ERR_OK ? tell(command, db, &post, 1, sum + 1) : err;
}

static enum err remove_apply(struct command *base, struct db *db)
{
	struct reaction_command *command = (struct reaction_command *)base;
	const struct reaction *reaction = &command->reaction;
	struct post post;
	bool there;
	int64_t sum;
	enum err err;
	if (govern_refused(&command->change, &command->refusal, db, &err)) {
		return err;
	}
	err = post_look(command, db, &post);
	err = err == ERR_OK ? reaction_there(db, reaction, &there) : err;
	if (err != ERR_OK || !there) {
		return err;
	}
	err = reaction_sum_read(db, reaction->post, reaction->emoji, &sum);
	err = err == ERR_OK ? reaction_delete(db, reaction, sum) : err;
	return err == ERR_OK ? tell(command, db, &post, -1, sum - 1) : err;
}

/* ---- finish ---- */

static void add_finish(struct command *base)
{
	struct reaction_command *command = (struct reaction_command *)base;
	rate_headers(&command->change, command->rule, &command->rate);
	if (!change_refused(&command->change)) {
		http_reply_empty(command->change.request, command->changed ? 201 : 200);
	}
}

static void remove_finish(struct command *base)
{
	struct reaction_command *command = (struct reaction_command *)base;
	if (!change_refused(&command->change)) {
		http_reply_empty(command->change.request, 204);
	}
}
