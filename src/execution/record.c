/* record.c - tx1: the turn row and its opening log row; or, for a refusal, one log row alone. */
#include <stdio.h>

#include "base/check.h"
#include "base/metric.h"
#include "execution/admit_priv.h"
#include "governance/govern.h"
#include "wire/json.h"

struct record_command {
	struct command base;
	struct execution *execution;
	struct turn turn;
	struct log_row row;
	struct admit_new place;
	bool queued, behind;
	int64_t running;     /* of a busy session, to be interrupted */
	bool denied;
};

static enum err record_apply(struct command *command, struct db *db);
static enum err record_deny(struct command *command, struct db *db, enum err why);
static void record_finish(struct command *command);
static enum err refusal_apply(struct command *command, struct db *db);
static void refusal_finish(struct command *command);

static const struct command_row record_row[2] = {
	{"chat", "chat", record_apply, record_deny, record_finish},
	{"stream_chat", "stream_chat", record_apply, record_deny, record_finish},
};
static const struct command_row refusal_row[2] = {
	{"chat_refused", "chat", refusal_apply, NULL, refusal_finish},
	{"stream_chat_refused", "stream_chat", refusal_apply, NULL, refusal_finish},
};

/* ---- texts made on the loop ---- */

static struct str decision_text(struct execution *execution, struct arena *arena)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 4096);
	json_begin(&json, &text);
	decision_json(&execution->decision, execution->agent_name, str_of(execution->action), &json);
	struct str out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out;
}

static struct str rule_text(struct execution *execution, struct arena *arena)
{
	struct buf text;
	buf_init(&text, 512);
	decision_rule_id(&execution->decision, &text);
	struct str out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out;
}

static enum err entry_make(struct execution *execution, bool refused, struct str reason, enum err code, struct str *out)
{
	struct id_text via = id_format(&execution->guild->id_secret, ID_PRINCIPAL, execution->caller.actor);
	struct audit_entry entry = {.workspace = execution->caller.workspace,
				    .via_id = execution->caller.actor != 0 ? id_str(&via) : STR_NONE,
				    .principal_id = id_str(&execution->user_text),
				    .principal_name = caller_name(&execution->caller),
				    .action = str_of(execution->action),
				    .decision = decision_text(execution, &execution->arena),
				    .rule_id = rule_text(execution, &execution->arena),
				    .start_us = execution->started_wall_us,
				    .outcome = refused ? OUTCOME_FAILED : OUTCOME_STARTED};
	if (entry.decision.at == NULL || entry.rule_id.at == NULL) {
		return ERR_LIMIT;
	}
	if (execution->agent_id != 0) {
		entry.agent_id = id_str(&execution->agent_text);
		entry.agent_name = execution->agent_name;
	}
	if (execution->session_id > 0 && !(refused && execution->session_new)) {
		entry.session_id = id_str(&execution->session_text);
	}
	if (refused) {
		entry.end_us = env_wall_us(execution->guild->env);
		entry.duration_ms = (entry.end_us - entry.start_us) / 1000 > 0 ? (entry.end_us - entry.start_us) / 1000 : 1;
		entry.code = err_row(code)->code;
		entry.error_message = reason;
	} else {
		entry.execution_id = id_str(&execution->id_text);
	}
	return audit_entry_put(&execution->arena, &entry, out);
}

/* What was asked about its turn; nothing, where nothing was. */
static void ties_put(struct execution *execution, struct json_out *json)
{
	const struct siphash_key *secret = &execution->guild->id_secret;
	if (execution->above_count > 0) {
		struct id_text parent = id_format(secret, ID_EXECUTION, execution->above[0]);
		json_put_str(json, STR("parent_execution_id"), id_str(&parent));
		json_put_int(json, STR("depth"), execution->depth);
	}
	if (execution->priority != RUN_MEDIUM) {
		json_put_str(json, STR("priority"), execution_priority_word(execution->priority));
	}
	if (execution->after_count > 0) {
		json_name(json, STR("after"));
		json_array(json);
		for (size_t i = 0; i < execution->after_count; i++) {
			struct id_text id = id_format(secret, ID_EXECUTION, execution->after[i]);
			json_str(json, id_str(&id));
		}
		json_array_end(json);
	}
}

static enum err metadata_make(struct execution *execution, struct str *out)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 16384);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("source"), execution_trigger_word((int)execution->trigger));
	json_name(&json, STR("resolution_context"));
	json_object(&json);
	json_put_raw(&json, STR("resolution_path"), execution->resolution);
	json_put_str_or_null(&json, STR("requested_agent"), execution->wanted_agent);
	json_object_end(&json);
	json_name(&json, STR("governance_check"));
	decision_json(&execution->decision, execution->agent_name, str_of(execution->action), &json);
	ties_put(execution, &json);
	json_put_str_or_null(&json, STR("request_id"), execution->trace_id.len != 0 ? execution->trace_id : STR_NONE);
	json_object_end(&json);
	*out = buf_err(&text) == ERR_OK ? arena_copy(&execution->arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out->at != NULL ? ERR_OK : ERR_LIMIT;
}

static struct str event_text(struct execution *execution)
{
	return arena_format(&execution->arena,
			    "{\"execution_id\":\"%s\",\"agent_id\":\"%s\",\"session_id\":\"%s\",\"user_id\":\"%s\",\"action\":\"%s\"}",
			    execution->id_text.text, execution->agent_text.text, execution->session_text.text, execution->user_text.text,
			    execution->action);
}

/* ---- tx1 ---- */

/* Of the room for tx2: there will be none. */
static void room_drop(struct execution *execution)
{
	execution->has_room = false;
	command_unreserve(execution->guild->commands);
}

static void record_fill_row(struct execution *execution, struct log_row *row)
{
	*row = (struct log_row){.kinds = LOG_AUDIT | LOG_LEDGER | LOG_EVENT,
				.workspace = execution->caller.workspace,
				.principal = execution->caller.principal,
				.agent = execution->agent_id,
				.execution = execution->id,
				.session = execution->session_id,
				.action = str_of(execution->action),
				.outcome = OUTCOME_STARTED,
				.entry = execution->opening_entry,
				.reserve_micro = execution->reserve_micro,
				.cost_unknown = execution->tariff.is_unknown,
				.event_type = STR("execution_started"),
				.event_data = event_text(execution),
				.topics = arena_format(&execution->arena, "execution:%s agent:%s", execution->id_text.text,
						       execution->agent_text.text)};
}

/* The dearest that it can become, as far as that can be known before. */
static void reserve_find(struct execution *execution)
{
	int64_t tokens = ledger_tokens(execution->message) + (execution->agent_prompt.len > 0 ? ledger_tokens(execution->agent_prompt) : 0);
	for (size_t i = 0; i < execution->history_count; i++) {
		tokens += ledger_tokens(execution->history[i].content);
	}
	struct usage most = {.in = tokens, .out = execution_output_max(execution)};
	execution->prompt_tokens = tokens;
	execution->reserve_micro = ledger_cost(&execution->tariff.price, &most);
}

enum err record_submit(struct execution *execution)
{
	struct guild *guild = execution->guild;
	struct record_command *record = (struct record_command *)command_new(guild->commands, &record_row[execution->stream],
									     &execution->arena, execution->shard->loop,
									     &execution->caller, sizeof(*record));
	if (record == NULL) {
		return ERR_LIMIT;
	}
	record->execution = execution;
	execution->idem.execution = execution->id;
	record->base.idem = execution->has_idem ? &execution->idem : NULL;
	record->base.mark = (struct command_mark){execution->agent_id, execution->agent_revision, execution->policy_revision};
	enum err err = entry_make(execution, false, STR_NONE, ERR_OK, &execution->opening_entry);
	if (err != ERR_OK) {
		return err;
	}
	reserve_find(execution);
	struct turn *turn = &record->turn;
	*turn = (struct turn){.id = execution->id,
			      .session = execution->session_id,
			      .workspace = execution->caller.workspace,
			      .agent = execution->agent_id,
			      .agent_name = execution->agent_name,
			      .owner = execution->caller.principal,
			      .status = EXECUTION_RUNNING,
			      .action = str_of(execution->action),
			      .triggered_by = (int)execution->trigger,
			      .message = execution->message,
			      .provider = str_of(execution->provider_name),
			      .model = str_of(execution->model),
			      .reserve_micro = execution->reserve_micro,
			      .prompt_tokens = execution->prompt_tokens,
			      .resolution = execution->resolution};
	record_fill_row(execution, &record->row);
	turn->cost_unknown = record->row.cost_unknown;
	err = metadata_make(execution, &turn->metadata);
	if (err != ERR_OK || record->row.event_data.at == NULL || record->row.topics.at == NULL) {
		return ERR_LIMIT;
	}
	bool interrupts = execution->on_busy != BUSY_ENQUEUE && execution->on_busy != BUSY_REJECT;
	if (interrupts && execution->stop_order == NULL) {
		execution->stop_order = engine_order_make(execution->shard->engine);
		err = execution->stop_order != NULL ? ERR_OK : ERR_MEMORY;
	}
	if (err != ERR_OK) {
		return err;
	}
	err = command_reserve(guild->commands);
	if (err != ERR_OK) {
		return err;
	}
	execution->has_room = true;
	err = command_submit(&record->base, false);
	if (err != ERR_OK) {
		room_drop(execution);
	}
	return err;
}

static struct ledger_who who_pays(const struct execution *execution)
{
	return (struct ledger_who){execution->caller.workspace, execution->caller.principal, execution->agent_id};
}

static enum err session_new_apply(struct record_command *record, struct db *db, int64_t now_us)
{
	struct execution *execution = record->execution;
	struct session session = execution->session;
	session.message_count = 1;
	session.created_at_us = session.updated_at_us = now_us;
	session.revision = 1;
	session.open_count = 1;
	return session_make(execution->guild->quota, db, &session);
}

static enum err session_old_apply(struct record_command *record, struct db *db, int64_t now_us)
{
	struct execution *execution = record->execution;
	int64_t queue_max = execution->guild->settings.session_queue + 1;
	int64_t open_before = 0;
	bool reject = execution->on_busy == BUSY_REJECT;
	enum err err = turn_session_enter(db, execution->session_id, execution->agent_id, now_us, reject ? 1 : queue_max, &open_before);
	if (err == ERR_SESSION_BUSY && !reject) {
		return ERR_SESSION_QUEUE_FULL;
	}
	if (err != ERR_OK) {
		return err;
	}
	record->behind = open_before > 0;
	if (record->behind && execution->on_busy != BUSY_ENQUEUE) {
		err = turn_running(db, execution->session_id, &record->running);
		if (err == ERR_OK && record->running == 0) {
			int64_t agent, started_at_us;
			err = turn_first_queued(db, execution->session_id, &record->running, &agent, &started_at_us);
		}
	}
	return err;
}

static void place_fill(struct record_command *record, int64_t now_us)
{
	struct execution *execution = record->execution;
	record->place = (struct admit_new){.wait = {.id = execution->id,
						    .workspace = execution->caller.workspace,
						    .agent = execution->agent_id,
						    .session = execution->session_id,
						    .queued_at_us = now_us,
						    .priority = execution->priority,
						    .delegated = execution->above_count > 0},
					   .caller = &execution->caller,
					   .parent = execution->above_count > 0 ? execution->above[0] : 0,
					   .after = execution->after,
					   .after_count = execution->after_count,
					   .above = execution->above,
					   .above_count = execution->above_count};
}

static enum err record_apply(struct command *command, struct db *db)
{
	struct record_command *record = (struct record_command *)command;
	struct execution *execution = record->execution;
	int64_t now_us = command_now_us(command);
	struct admission *admission = execution->guild->admission;
	record->behind = false;
	record->running = 0;
	record->denied = false;
	place_fill(record, now_us);
	struct ledger_entry entry = {.who = who_pays(execution), .reserve_micro = execution->reserve_micro};
	enum err err = admit_look(admission, db, &record->place);
	err = err == ERR_OK ? ledger_admit(execution->guild->ledger, db, &entry.who, entry.reserve_micro, now_us, &entry.month) : err;
	if (err == ERR_BUDGET) {
		command->result = err;
		return record_deny(command, db, err);
	}
	if (err != ERR_OK) {
		return err;
	}
	err = execution->session_new ? session_new_apply(record, db, now_us) : session_old_apply(record, db, now_us);
	if (err != ERR_OK) {
		return err;
	}
	record->queued = record->behind || record->place.waits;
	if (record->queued) {
		engine_queue_hint_set(execution->shard->engine, execution->session_id);
	}
	record->turn.started_at_us = now_us;
	record->turn.month = record->row.month = entry.month;
	record->turn.status = record->queued ? EXECUTION_QUEUED : EXECUTION_RUNNING;
	err = turn_insert(db, &record->turn);
	err = err == ERR_OK ? admit_enter(admission, db, &record->place, record->behind) : err;
	if (err != ERR_OK) {
		return err;
	}
	err = command_log(command, db, &record->row);
	return err == ERR_OK ? ledger_add(execution->guild->ledger, &entry) : err;
}

/* The agent changed between the decision on the loop and this transaction, and may not do it any more; or no budget has room
 * for the run. */
static enum err record_deny(struct command *command, struct db *db, enum err why)
{
	struct record_command *record = (struct record_command *)command;
	struct execution *execution = record->execution;
	const struct agent *agent = registry_writer_get(execution->guild->registry, execution->agent_id);
	struct decide_input input;
	struct log_row row = {.kinds = LOG_AUDIT,
			      .workspace = execution->caller.workspace,
			      .principal = execution->caller.principal,
			      .agent = execution->agent_id,
			      .action = str_of(execution->action),
			      .outcome = OUTCOME_FAILED};
	record->denied = true;
	if (policy_decide_input(policy_writer_get(execution->guild->policies, execution->caller.workspace), agent, str_of(execution->action), &input) !=
	    ERR_OK) {
		return ERR_INTERNAL;
	}
	input.depth = execution->depth;
	input.budget_exceeded = why == ERR_BUDGET;
	decide(&input, &execution->decision);
	enum err err = entry_make(execution, true, flow_reason(execution, &execution->arena), why, &row.entry);
	return err != ERR_OK ? err : command_log(command, db, &row);
}

static void record_finish(struct command *command)
{
	struct record_command *record = (struct record_command *)command;
	struct execution *execution = record->execution;
	if (command->result != ERR_OK) {
		room_drop(execution);
		flow_refused(execution, command->result, record->denied ? command->log_seq[0] : 0, command->log_time_us[0]);
		return;
	}
	execution->month = record->turn.month;
	execution->recorded_at_us = record->turn.started_at_us;
	if (record->running != 0) {
		engine_stop_execution_take(execution->stop_order, record->running, ERR_CANCELLED, "interrupted by a newer message",
					   execution->on_busy == BUSY_ROLLBACK);
		execution->stop_order = NULL;
	}
	bool failed = record->place.failed;
	flow_recorded(execution, record->queued);
	if (failed) {
		flow_stop(execution, ERR_DEPENDENCY_FAILED, "what it waits for did not complete", false);
	}
}

/* ---- a refusal ---- */

enum err record_refusal_submit(struct execution *execution)
{
	struct record_command *record = (struct record_command *)command_new(execution->guild->commands, &refusal_row[execution->stream],
									     &execution->arena, execution->shard->loop,
									     &execution->caller, sizeof(*record));
	if (record == NULL) {
		return ERR_LIMIT;
	}
	record->execution = execution;
	record->base.idem = execution->has_idem && !execution->idem.done_only ? &execution->idem : NULL;
	enum err code = decision_err(&execution->decision);
	record->row = (struct log_row){.kinds = LOG_AUDIT,
				       .workspace = execution->caller.workspace,
				       .principal = execution->caller.principal,
				       .agent = execution->agent_id,
				       .action = str_of(execution->action),
				       .outcome = OUTCOME_FAILED};
	enum err err = entry_make(execution, true, flow_reason(execution, &execution->arena), code, &record->row.entry);
	return err != ERR_OK ? err : command_submit(&record->base, false);
}

static enum err refusal_apply(struct command *command, struct db *db)
{
	struct record_command *record = (struct record_command *)command;
	struct execution *execution = record->execution;
	enum err err = govern_count(execution->guild, execution->agent_id, command_now_us(command), decision_err(&execution->decision));
	return err == ERR_OK ? command_log(command, db, &record->row) : err;
}

/* A refusal that cannot be audited is still a refusal; the fault is what the caller is told then. */
static void refusal_finish(struct command *command)
{
	struct record_command *record = (struct record_command *)command;
	enum err code = decision_err(&record->execution->decision);
	flow_refused(record->execution, command->result != ERR_OK ? command->result : code, command->log_seq[0], command->log_time_us[0]);
}
