/* level.c - one step up, on the evidence or over it, with its milestone; one step down, at once. */
#include "base/check.h"
#include "growth/growth_priv.h"
#include "social/social.h"
#include "wire/utf8.h"

enum { CHANGE_BYTES_MAX = 16384, EVENT_BYTES_MAX = 4096, NAME_CHARS_MAX = 100 };

struct level_command {
	struct change change; /* first */
	struct level_input input;
	int64_t revision;     /* of the agent as the caller saw it: a second request is no second step */
	enum maturity from, to;
	struct str agent_name, handle;
	struct social_announcement *announcement; /* upwards */
	/* of the last apply */
	struct evidence evidence;
	struct readiness readiness;
	bool not_ready;
};

static enum err level_apply(struct command *base, struct db *db);
static void level_finish(struct command *base);

static const struct command_row promote_row = {"agent_promote", "grant", level_apply, NULL, level_finish};
static const struct command_row demote_row = {"agent_demote", "revoke", level_apply, NULL, level_finish};

/* ---- prepare ---- */

/* Short enough for an automatic post with the longest name. */
static struct str name_shown(struct str name)
{
	size_t bytes = 0, chars = 0;
	while (bytes < name.len && chars <= NAME_CHARS_MAX) {
		bytes++;
		chars += bytes == name.len || ((unsigned char)name.at[bytes] & 0xc0) != 0x80;
	}
	return chars > NAME_CHARS_MAX ? str_sub(name, 0, utf8_whole(str_sub(name, 0, bytes - 1))) : name;
}

static enum err milestone_make(struct level_command *command, int64_t workspace)
{
	struct command *base = &command->change.command;
	struct str content = arena_format(base->arena, "%.*s (@%.*s) was promoted from %.*s to %.*s.", STR_FMT(name_shown(command->agent_name)),
		STR_FMT(command->handle), STR_FMT(maturity_word(command->from)), STR_FMT(maturity_word(command->to)));
	return content.at != NULL ? social_announce(command->change.guild, base, workspace, content, &command->announcement) : ERR_LIMIT;
}

void level_start(struct guild *guild, struct http_request *request, const struct agent *agent, const struct level_input *input)
{
	struct level_command *command = change_new(guild, request, input->by > 0 ? &promote_row : &demote_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->input = *input;
	command->revision = agent->revision;
	command->from = agent->maturity;
	command->to = (enum maturity)((int)agent->maturity + input->by);
	command->agent_name = arena_copy(&request->arena, agent->name);
	command->handle = arena_copy(&request->arena, agent->handle);
	enum err err = command->agent_name.at != NULL && command->handle.at != NULL ? ERR_OK : ERR_LIMIT;
	if (err == ERR_OK && input->by > 0) {
		err = milestone_make(command, agent->workspace);
	}
	change_submit(&command->change, err);
}

/* ---- on the writer ---- */

static void evidence_put(struct json_out *out, const struct evidence *evidence)
{
	json_name(out, STR("evidence"));
	json_object(out);
	json_put_int(out, STR("actions"), evidence->actions);
	json_put_int(out, STR("actions_refused"), evidence->refusals);
	json_put_int(out, STR("approvals_rejected"), evidence->rejections);
	json_put_int(out, STR("corrections"), evidence->corrections);
	json_put_int(out, STR("human_cancels"), evidence->cancels);
	json_put_int(out, STR("runs"), evidence->runs);
	json_put_int(out, STR("successful_episodes"), evidence->episodes);
	json_object_end(out);
}

static void level_put(struct json_out *out, struct str name, enum maturity maturity)
{
	json_name(out, name);
	json_object(out);
	json_put_str(out, STR("maturity"), maturity_word(maturity));
	json_object_end(out);
}

/* Names in order, as in every entry. */
static void change_put(const struct level_command *command, struct json_out *out)
{
	const struct level_input *input = &command->input;
	bool up = input->by > 0;
	json_object(out);
	evidence_put(out, &command->evidence);
	if (!up) {
		json_put_bool(out, STR("incident"), input->incident);
	}
	level_put(out, STR("new"), command->to);
	level_put(out, STR("old"), command->from);
	if (up) {
		json_put_bool(out, STR("override"), input->override && !command->readiness.ready);
		json_put_bool(out, STR("ready"), command->readiness.ready);
	}
	json_put_str_or_null(out, STR("reason"), input->reason);
	json_put_int(out, STR("score_e4"), command->readiness.score_e4);
	json_object_end(out);
}

static enum err text_take(struct arena *arena, struct buf *text, struct str *out)
{
	enum err err = buf_err(text);
	*out = err == ERR_OK ? arena_copy(arena, buf_str(text)) : STR_NONE;
	buf_fini(text);
	return err == ERR_OK && out->at == NULL ? ERR_LIMIT : err;
}

static enum err entry_make(struct level_command *command, const struct agent *now)
{
	struct change *change = &command->change;
	struct change_what what = {.agent = now->id, .agent_name = command->agent_name};
	struct buf text;
	struct json_out json;
	struct str data, topics;
	buf_init(&text, CHANGE_BYTES_MAX);
	json_begin(&json, &text);
	change_put(command, &json);
	enum err err = text_take(change->command.arena, &text, &what.change);
	err = err == ERR_OK ? change_audit(change, &what) : err;
	err = err == ERR_OK ? agent_event_texts(change->guild, change->command.arena, now, &data, &topics) : err;
	if (err == ERR_OK) {
		change_event(change, STR("agent_changed"), data, topics);
	}
	return err;
}

static enum err milestone_event(struct level_command *command, const struct agent *agent, int64_t post, struct log_row *row)
{
	struct guild *guild = command->change.guild;
	struct id_text id = id_format(&guild->id_secret, ID_AGENT, agent->id);
	struct id_text post_id = id_format(&guild->id_secret, ID_POST, post);
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("agent_id"), id_str(&id));
	json_put_str(&json, STR("agent_name"), agent->name);
	json_put_str(&json, STR("handle"), agent->handle);
	json_put_str(&json, STR("from"), maturity_word(command->from));
	json_put_str(&json, STR("to"), maturity_word(command->to));
	json_put_str(&json, STR("post_id"), id_str(&post_id));
	json_object_end(&json);
	*row = (struct log_row){.kinds = LOG_EVENT,
		.workspace = agent->workspace,
		.principal = command->change.command.caller.principal,
		.agent = agent->id,
		.action = str_of(command->change.command.row->action),
		.outcome = OUTCOME_CHANGED,
		.event_type = STR("graduation_milestone"),
		.topics = STR("global alerts")};
	return text_take(command->change.command.arena, &text, &row->event_data);
}

/* Post and event stand with the promotion, or not at all. */
static enum err milestone_write(struct level_command *command, struct db *db, const struct agent *agent)
{
	struct log_row row;
	int64_t post;
	enum err err = social_announce_write(command->announcement, &command->change.command, db, &post);
	err = err == ERR_OK ? milestone_event(command, agent, post, &row) : err;
	return err == ERR_OK ? command_log(&command->change.command, db, &row) : err;
}

static enum err not_ready(struct level_command *command, struct db *db)
{
	struct buf gaps;
	buf_init(&gaps, EVENT_BYTES_MAX);
	readiness_gaps_put(&command->readiness, &gaps);
	struct str detail = arena_format(command->change.command.arena,
		"The agent is not ready for %.*s: %.*s. An admin may override this with a reason.", STR_FMT(maturity_word(command->to)),
		STR_FMT(buf_str(&gaps)));
	buf_fini(&gaps);
	command->not_ready = true;
	command->change.row.agent = command->input.agent;
	return change_refuse(&command->change, db, ERR_NOT_READY, detail);
}

static enum err level_apply(struct command *base, struct db *db)
{
	struct level_command *command = (struct level_command *)base;
	struct guild *guild = command->change.guild;
	const struct agent *was = registry_writer_get(guild->registry, command->input.agent);
	command->change.row = (struct log_row){0};
	command->not_ready = false;
	if (was == NULL) {
		return ERR_AGENT_NOT_FOUND;
	}
	if (was->revision != command->revision) {
		return ERR_CONFLICT;
	}
	enum err err = evidence_read(guild->tallies, db, was->id, &command->evidence);
	if (err != ERR_OK) {
		return err;
	}
	readiness_judge(was->maturity, &command->evidence, &command->readiness);
	bool up = command->input.by > 0;
	if (up && !command->readiness.ready && !command->input.override) {
		return not_ready(command, db);
	}
	err = agent_level_set(guild, db, was, command->to, command_now_us(base));
	const struct agent *now = registry_writer_get(guild->registry, command->input.agent);
	err = err == ERR_OK ? entry_make(command, now) : err;
	err = err == ERR_OK ? change_log(&command->change, db) : err;
	return err == ERR_OK && up ? milestone_write(command, db, now) : err;
}

/* ---- back on the loop ---- */

static void json_reply(struct level_command *command)
{
	struct guild *guild = command->change.guild;
	struct http_request *request = command->change.request;
	const struct agent *now = registry_get(guild->registry, command->input.agent);
	struct buf text;
	struct json_out json;
	check(now != NULL);
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	agent_json(guild, now, true, &json);
	change_reply(request, 200, &text);
}

static void gaps_reply(struct level_command *command)
{
	struct change *change = &command->change;
	struct id_text audit = id_format_log(&change->guild->id_secret, ID_AUDIT, change->command.log_time_us[0], change->command.log_seq[0]);
	struct http_problem problem = {.err = ERR_NOT_READY, .detail = change->detail, .audit_id = id_str(&audit)};
	struct buf text;
	struct json_out json;
	struct str readiness;
	buf_init(&text, CHANGE_BYTES_MAX);
	json_begin(&json, &text);
	readiness_json(change->guild, command->input.agent, command->from, &command->evidence, &json);
	if (text_take(change->command.arena, &text, &readiness) == ERR_OK) {
		problem.members = arena_format(change->command.arena, "\"readiness\":%.*s", STR_FMT(readiness));
	}
	http_reply_problem(change->request, &problem);
}

static void level_finish(struct command *base)
{
	struct level_command *command = (struct level_command *)base;
	if (base->result == ERR_OK) {
		json_reply(command);
	} else if (base->result == ERR_NOT_READY && command->not_ready) {
		gaps_reply(command);
	} else if (base->result == ERR_CONFLICT) {
		http_reply_error(command->change.request, ERR_CONFLICT, "The agent was changed meanwhile.");
	} else {
		(void)change_refused(&command->change);
	}
}
