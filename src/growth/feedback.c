/* feedback.c - giving feedback, and an admin's decision on what waits. */
#include "agent/tally.h"
#include "base/hash.h"
#include "execution/execution.h"
#include "growth/feedback_priv.h"
#include "social/social.h"

enum { CHANGE_BYTES_MAX = 16384 };

struct feedback_command {
	struct change change; /* first */
	struct feedback feedback; /* as asked for; then as it stands after the last apply */
	struct feedback asked;
	bool accept;              /* of a decision */
	struct str note;
};

static enum err give_apply(struct command *base, struct db *db);
static enum err decide_apply(struct command *base, struct db *db);
static void give_finish(struct command *base);
static void decide_finish(struct command *base);

static const struct command_row give_row = {"feedback_give", "submit", give_apply, NULL, give_finish};
static const struct command_row accept_row = {"feedback_accept", "approve", decide_apply, NULL, decide_finish};
static const struct command_row reject_row = {"feedback_reject", "approve", decide_apply, NULL, decide_finish};

void feedback_give_start(struct guild *guild, struct http_request *request, const struct feedback *feedback)
{
	struct feedback_command *command = change_new(guild, request, &give_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->asked = *feedback;
	change_submit(&command->change, ERR_OK);
}

void feedback_decide_start(struct guild *guild, struct http_request *request, int64_t id, bool accept, struct str note)
{
	struct feedback_command *command = change_new(guild, request, accept ? &accept_row : &reject_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->asked.id = id;
	command->accept = accept;
	command->note = note;
	change_submit(&command->change, ERR_OK);
}

/* ---- the entry ---- */

static void id_put(struct guild *guild, struct json_out *out, struct str name, enum id_kind kind, int64_t key)
{
	struct id_text id = id_format(&guild->id_secret, kind, key);
	if (key != 0) {
		json_put_str(out, name, id_str(&id));
	}
}

static void status_put(struct json_out *out, struct str name, enum feedback_status status)
{
	json_name(out, name);
	json_object(out);
	json_put_str(out, STR("status"), feedback_status_word(status));
	json_object_end(out);
}

/* A correction is the user's own text: the log has its hash. */
static void correction_put(struct json_out *out, struct str correction)
{
	uint8_t hash[HASH_SHA256_BYTES];
	char hex[2 * HASH_SHA256_BYTES + 1];
	if (correction.at != NULL) {
		hash_sha256(correction, hash);
		hash_hex(hash, sizeof(hash), hex);
		json_put_str(out, STR("correction_sha256"), str_of(hex));
	}
}

static enum err entry_write(struct feedback_command *command, struct db *db, const struct agent *agent, bool is_new)
{
	struct change *change = &command->change;
	struct guild *guild = change->guild;
	const struct feedback *feedback = &command->feedback;
	struct change_what what = {.agent = feedback->agent, .agent_name = agent != NULL ? agent->name : STR("")};
	struct buf text;
	struct json_out json;
	buf_init(&text, CHANGE_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_int(&json, STR("confidence_delta_e4"), feedback->delta_e4);
	correction_put(&json, feedback->correction);
	id_put(guild, &json, STR("execution_id"), ID_EXECUTION, feedback->execution);
	id_put(guild, &json, STR("feedback_id"), ID_FEEDBACK, feedback->id);
	status_put(&json, STR("new"), feedback->status);
	if (is_new) {
		json_put_null(&json, STR("old"));
	} else {
		status_put(&json, STR("old"), FEEDBACK_PENDING);
	}
	id_put(guild, &json, STR("post_id"), ID_POST, feedback->post);
	json_object_end(&json);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		what.change = buf_str(&text);
		err = change_audit(change, &what);
	}
	buf_fini(&text);
	return err == ERR_OK ? change_log(change, db) : err;
}

/* ---- what accepting does ---- */

static enum err accepted(struct feedback_command *command, struct db *db)
{
	struct guild *guild = command->change.guild;
	struct command *base = &command->change.command;
	const struct feedback *feedback = &command->feedback;
	int64_t now_us = command_now_us(base);
	enum err err = ERR_OK;
	if (feedback->correction.at != NULL) {
		err = tally_add(guild->tallies, feedback->workspace, feedback->agent, now_us, &(struct tally){.corrections = 1});
	}
	if (err == ERR_OK && feedback->post != 0 && feedback->thumbs == THUMBS_UP) {
		err = social_helpful(guild, db, base->arena, feedback->post, 1, now_us);
	}
	if (err == ERR_OK && feedback->delta_e4 != 0) {
		struct agent_outcome outcome = {.agent = feedback->agent, .execution = feedback->execution, .delta_e4 = feedback->delta_e4};
		err = agent_outcome_apply(base, guild, db, &outcome);
	}
	return err;
}

/* ---- giving ---- */

/* What it is of has to be that agent's, and something the caller may see. */
static enum err subject_check(struct feedback_command *command, struct db *db)
{
	struct guild *guild = command->change.guild;
	const struct caller *caller = &command->change.command.caller;
	const struct feedback *asked = &command->asked;
	int64_t agent = asked->agent;
	enum err err = ERR_OK;
	if (asked->execution != 0) {
		err = execution_agent(db, caller, asked->execution, &agent);
	} else if (asked->post != 0) {
		err = social_post_agent(guild, db, caller, asked->post, &agent);
	}
	if (err == ERR_NOT_FOUND || (err == ERR_OK && agent != asked->agent)) {
		command->change.detail = asked->execution != 0 ? STR("The agent has no such execution.") : STR("The agent has no such post.");
		return ERR_NOT_FOUND;
	}
	return err;
}

static enum err give_check(struct feedback_command *command, struct db *db)
{
	bool there = false;
	int64_t waiting = 0;
	const struct feedback *feedback = &command->feedback;
	command->change.detail = STR_NONE;
	enum err err = subject_check(command, db);
	err = err == ERR_OK ? feedback_there(db, feedback, &there) : err;
	if (err == ERR_OK && there) {
		command->change.detail = STR("You have given feedback of this already.");
		return ERR_CONFLICT;
	}
	if (err == ERR_OK && !feedback->trusted) {
		err = feedback_waiting_count(db, feedback->principal, LIMIT_FEEDBACK_PENDING, &waiting);
	}
	if (err == ERR_OK && waiting == LIMIT_FEEDBACK_PENDING) {
		command->change.detail = STR("Too much of your feedback waits for a review.");
		return ERR_RATE_LIMITED;
	}
	return err;
}

static enum err give_apply(struct command *base, struct db *db)
{
	struct feedback_command *command = (struct feedback_command *)base;
	struct guild *guild = command->change.guild;
	struct feedback *feedback = &command->feedback;
	const struct agent *agent = registry_writer_get(guild->registry, command->asked.agent);
	const struct principal *principal = identity_writer_principal(guild->identity, base->caller.principal);
	if (agent == NULL || principal == NULL) {
		return agent == NULL ? ERR_AGENT_NOT_FOUND : ERR_PERMISSION;
	}
	*feedback = command->asked;
	feedback->id = guild_writer_key(guild, command_now_us(base));
	feedback->workspace = agent->workspace;
	feedback->principal = principal->id;
	feedback->trusted = feedback_trusted(principal, agent->category);
	feedback->status = feedback->trusted ? FEEDBACK_ACCEPTED : FEEDBACK_PENDING;
	feedback->delta_e4 = feedback_delta_e4(feedback);
	feedback->created_at_us = command_now_us(base);
	enum err err = give_check(command, db);
	err = err == ERR_OK ? feedback_insert(db, feedback) : err;
	err = err == ERR_OK ? entry_write(command, db, agent, true) : err;
	return err == ERR_OK && feedback->trusted ? accepted(command, db) : err;
}

/* ---- deciding ---- */

static bool may_decide(struct feedback_command *command)
{
	const struct caller *caller = &command->change.command.caller;
	const struct principal *decider = identity_writer_principal(command->change.guild->identity, caller->principal);
	return decider != NULL && decider->kind == PRINCIPAL_HUMAN && decider->disabled_at_us == 0 &&
	       (decider->role == ROLE_ADMIN || decider->role == ROLE_OPERATOR);
}

static enum err decide_apply(struct command *base, struct db *db)
{
	struct feedback_command *command = (struct feedback_command *)base;
	struct feedback *feedback = &command->feedback;
	struct change *change = &command->change;
	change->row = (struct log_row){0};
	enum err err = feedback_get(db, base->arena, command->asked.id, feedback);
	if (err != ERR_OK || feedback->workspace != base->caller.workspace) {
		return err != ERR_OK ? err : ERR_NOT_FOUND;
	}
	change->row.agent = feedback->agent;
	if (!may_decide(command)) {
		return change_refuse(change, db, ERR_PERMISSION, STR("Only people who are admins decide feedback."));
	}
	if (feedback->principal == base->caller.principal) {
		return change_refuse(change, db, ERR_PERMISSION, STR("Whoever gave feedback does not decide it."));
	}
	if (feedback->status != FEEDBACK_PENDING) {
		return ERR_OK;
	}
	feedback->status = command->accept ? FEEDBACK_ACCEPTED : FEEDBACK_REJECTED;
	feedback->decided_by = base->caller.principal;
	feedback->decided_at_us = command_now_us(base);
	feedback->note = command->note;
	err = feedback_row_decide(db, feedback);
	err = err == ERR_OK ? entry_write(command, db, registry_writer_get(change->guild->registry, feedback->agent), false) : err;
	return err == ERR_OK && command->accept ? accepted(command, db) : err;
}

/* ---- back on the loop ---- */

static void reply(struct feedback_command *command, int status)
{
	struct buf text;
	struct json_out json;
	if (change_refused(&command->change)) {
		return;
	}
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	feedback_json(command->change.guild, &command->feedback, &json);
	change_reply(command->change.request, status, &text);
}

static void give_finish(struct command *base)
{
	reply((struct feedback_command *)base, 201);
}

static void decide_finish(struct command *base)
{
	reply((struct feedback_command *)base, 200);
}
