/* settle.c - tx2: the end of a run, the same for a normal end and for what a dead process left. */
#include "agent/tally.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"
#include "execution/admit_priv.h"

struct settle_command {
	struct command base;
	struct execution *execution; /* NULL: recovery */
	struct guild *guild;
	struct settle_input input;
	struct settle_output output;
	int64_t agent_confidence;
};

static enum err command_apply(struct command *command, struct db *db);
static void command_finish(struct command *command);
static enum err texts_fill(struct guild *guild, struct arena *arena, const struct caller *caller, int64_t end_us, struct settle_input *input);
static void settle_submit(struct execution *execution);
static void retry_run(struct loop_timer *timer, struct loop *loop);

static const struct command_row settle_row = {"chat_settle", "chat", command_apply, NULL, command_finish};

int execution_status_of(enum err err)
{
	switch (err) {
	case ERR_OK: return EXECUTION_COMPLETED;
	case ERR_CANCELLED:
	case ERR_DEPENDENCY_FAILED: return EXECUTION_CANCELLED;
	case ERR_TIMED_OUT:
	case ERR_PROVIDER_TIMEOUT: return EXECUTION_TIMED_OUT;
	case ERR_INTERRUPTED: return EXECUTION_INTERRUPTED;
	default: return EXECUTION_FAILED;
	}
}

enum execution_state execution_state_of(enum err err)
{
	switch (execution_status_of(err)) {
	case EXECUTION_COMPLETED: return STATE_DONE;
	case EXECUTION_CANCELLED: return STATE_CANCELLED;
	case EXECUTION_TIMED_OUT: return STATE_TIMED_OUT;
	case EXECUTION_INTERRUPTED: return STATE_INTERRUPTED;
	default: return STATE_FAILED;
	}
}

static int outcome_of(int status)
{
	static const int outcomes[] = {0, 0, 0, OUTCOME_COMPLETED, OUTCOME_FAILED, OUTCOME_CANCELLED, OUTCOME_TIMED_OUT, OUTCOME_INTERRUPTED};
	return outcomes[status];
}

/* The closing audit entry and the event. */
static enum err texts_fill(struct guild *guild, struct arena *arena, const struct caller *caller, int64_t end_us, struct settle_input *input)
{
	struct id_text principal = id_format(&guild->id_secret, ID_PRINCIPAL, input->owner);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, input->agent);
	struct id_text execution = id_format(&guild->id_secret, ID_EXECUTION, input->id);
	struct id_text session = id_format(&guild->id_secret, ID_SESSION, input->session);
	bool completed = input->status == EXECUTION_COMPLETED;
	struct id_text via = id_format(&guild->id_secret, ID_PRINCIPAL, caller->actor);
	struct audit_entry entry = {.workspace = input->workspace,
				    .principal_id = id_str(&principal),
				    .via_id = caller->actor != 0 ? id_str(&via) : STR_NONE,
				    .principal_name = caller_name(caller),
				    .agent_id = id_str(&agent),
				    .agent_name = input->agent_name,
				    .action = input->action,
				    .session_id = input->session != 0 ? id_str(&session) : STR_NONE,
				    .execution_id = id_str(&execution),
				    .start_us = input->started_at_us,
				    .end_us = end_us,
				    .duration_ms = input->duration_ms,
				    .outcome = outcome_of(input->status),
				    .code = completed ? STR_NONE : err_row(err_public(input->err))->code,
				    .error_message = completed ? STR_NONE : input->error_message};
	if (input->cost_micro != 0) {
		entry.change = arena_format(arena, "{\"cost_micro\":%lld,\"cost_unknown\":%s}", (long long)input->cost_micro,
					    input->cost_unknown ? "true" : "false");
	}
	input->event_data = arena_format(arena, "{\"execution_id\":\"%s\",\"agent_id\":\"%s\",\"status\":\"%.*s\",\"duration_ms\":%lld}",
					 execution.text, agent.text, STR_FMT(execution_status_word(input->status)),
					 (long long)input->duration_ms);
	input->topics = arena_format(arena, "execution:%s agent:%s", execution.text, agent.text);
	if (input->event_data.at == NULL || input->topics.at == NULL) {
		return ERR_LIMIT;
	}
	return audit_entry_put(arena, &entry, &input->entry);
}

/* ---- on the writer ---- */

/* Gives back what was reserved and books what it cost, in the month in which the run was recorded. */
static struct ledger_entry entry_of(struct guild *guild, const struct settle_input *input)
{
	return (struct ledger_entry){.who = {input->workspace, input->owner, input->agent},
				     .month = input->month != 0 ? input->month : ledger_month(guild->ledger, input->workspace, input->recorded_at_us),
				     .reserve_micro = -input->reserve_micro,
				     .settle_micro = input->cost_micro,
				     .recorded_at_us = input->recorded_at_us,
				     .provider = input->provider,
				     .model = input->model,
				     .tokens_in = input->tokens_in,
				     .tokens_out = input->tokens_out,
				     .cost_unknown = input->cost_unknown};
}

enum err settle_apply(struct command *command, struct db *db, const struct settle_input *input, struct settle_output *out)
{
	struct guild *guild = ((struct settle_command *)command)->guild;
	int64_t now_us = command_now_us(command);
	bool completed = input->status == EXECUTION_COMPLETED;
	bool keeps_text = completed || (input->status == EXECUTION_CANCELLED && input->answer.len > 0);
	bool waited = false;
	out->next_queued = 0;
	enum err err = input->was_queued ? turn_waits(db, input->id, &waited) : ERR_OK;
	if (err == ERR_OK) {
		err = turn_settle(db, input, now_us);
	}
	if (err == ERR_CONFLICT && input->session != 0) {
		/* By a try whose commit was taken for a failure: whom it gave the turn has not heard of it. */
		enum err found = turn_running(db, input->session, &out->next_queued);
		return found != ERR_OK ? found : err;
	}
	if (err == ERR_OK && input->session != 0) {
		int messages = input->rollback ? -1 : keeps_text ? 1 : 0;
		err = turn_session_leave(db, input->session, messages, now_us);
	}
	if (err == ERR_OK) {
		struct admit_end end = {.id = input->id,
					.workspace = input->workspace,
					.agent = input->agent,
					.session = input->session,
					.waited = waited,
					.completed = completed,
					.hold = input->hold_queue,
					.now_us = now_us};
		struct execution *execution = ((struct settle_command *)command)->execution;
		err = admit_leave(guild->admission, db, &end, execution != NULL ? &execution->moves : NULL);
	}
	if (err != ERR_OK) {
		return err;
	}
	struct ledger_entry entry = entry_of(guild, input);
	struct log_row row = {.kinds = LOG_AUDIT | LOG_LEDGER | LOG_EVENT | (completed ? LOG_JOB : 0),
			      .workspace = input->workspace,
			      .principal = input->owner,
			      .agent = input->agent,
			      .execution = input->id,
			      .session = input->session,
			      .action = input->action,
			      .outcome = outcome_of(input->status),
			      .entry = input->entry,
			      .month = entry.month,
			      .reserve_micro = entry.reserve_micro,
			      .settle_micro = entry.settle_micro,
			      .cost_unknown = input->cost_unknown,
			      .event_type = STR("execution_ended"),
			      .event_data = input->event_data,
			      .topics = input->topics,
			      .job = completed ? STR("episode") : STR_NONE};
	err = command_log(command, db, &row);
	err = err == ERR_OK ? ledger_add(guild->ledger, &entry) : err;
	err = err == ERR_OK ? ledger_alert(guild->ledger, command, db, &entry) : err;
	if (err == ERR_OK) {
		struct tally tally = {.runs = 1, .successes = completed && input->session != 0, .cancels = input->human_cancel};
		err = tally_add(guild->tallies, input->workspace, input->agent, now_us, &tally);
	}
	if (err == ERR_OK && (completed || input->own_fault)) {
		struct agent_outcome outcome = {
			.agent = input->agent, .execution = input->id, .delta_e4 = completed ? AGENT_SUCCEEDED_E4 : AGENT_FAILED_E4};
		err = agent_outcome_apply(command, guild, db, &outcome);
	}
	return err;
}

static enum err command_apply(struct command *command, struct db *db)
{
	struct settle_command *settle = (struct settle_command *)command;
	return settle_apply(command, db, &settle->input, &settle->output);
}

/* ---- on the loop ---- */

/* Live and from the store, the terminal event says the same. */
static struct str refusal_once(struct execution *execution)
{
	if (execution->refusal_kept == NULL) {
		struct str reason = flow_reason(execution, &execution->arena);
		execution->refusal_kept = reason.at != NULL ? mem_alloc(reason.len + 1) : NULL;
		if (execution->refusal_kept != NULL) {
			memcpy(execution->refusal_kept, reason.at, reason.len);
		}
	}
	return str_of(execution->refusal_kept);
}

/* By what the provider says it used, or by what was sent and came; the model may be known only now. */
static int64_t cost_find(struct execution *execution)
{
	if (execution->tariff.is_unknown) {
		execution->tariff = ledger_tariff(execution->guild, str_of(execution->provider_name), str_of(execution->model));
	}
	struct usage usage = {execution->tokens_in, execution->tokens_cached, execution->tokens_out};
	return ledger_cost(&execution->tariff.price, &usage);
}

static void stream_end_fill(struct execution *execution)
{
	int64_t cost_micro = cost_find(execution);
	struct stream_end *end = &execution->log.end;
	*end = (struct stream_end){.completed = execution->end_err == ERR_OK,
				   .err = execution->end_err,
				   .finish_reason = execution->finish_reason.at != NULL ? execution->finish_reason : STR("stop"),
				   .truncated = execution->truncated,
				   .tokens_in = execution->tokens_in,
				   .tokens_out = execution->tokens_out,
				   .estimated = !execution->has_usage,
				   .cost_micro = cost_micro,
				   .cost_unknown = cost_micro != 0 && execution->tariff.is_unknown};
	if (execution->end_err == ERR_GOVERNANCE || execution->end_err == ERR_AGENT_NOT_ACTIVE) {
		end->error = refusal_once(execution);
	}
	if (execution->end_err == ERR_INTERRUPTED) {
		end->last_durable_seq = stream_log_seq_kept(&execution->log);
	}
	uint8_t digest[HASH_SHA256_BYTES];
	hash_sha256(stream_log_text(&execution->log, 0), digest);
	hash_hex(digest, sizeof(digest), end->text_sha256);
}

/* The log stands still by now: a store that fails for long must not fill the arena with one copy a try. */
static struct str lens_once(struct execution *execution)
{
	struct buf lens;
	if (execution->settle_lens.at == NULL) {
		buf_init(&lens, LIMIT_ANSWER_BYTES * 2);
		stream_log_lens(&execution->log, 0, &lens);
		execution->settle_lens = buf_err(&lens) == ERR_OK ? arena_copy(&execution->arena, buf_str(&lens)) : STR_NONE;
		buf_fini(&lens);
	}
	return execution->settle_lens;
}

static enum err settle_fill(struct settle_command *settle)
{
	struct execution *execution = settle->execution;
	struct settle_input *input = &settle->input;
	int64_t duration_ms = (execution->finished_mono_us - execution->started_mono_us) / 1000;
	*input = (struct settle_input){.id = execution->id,
				       .session = execution->session_id,
				       .agent = execution->agent_id,
				       .workspace = execution->caller.workspace,
				       .owner = execution->caller.principal,
				       .err = execution->end_err,
				       .status = execution_status_of(execution->end_err),
				       .rollback = execution->cancel_rollback,
				       .own_fault = execution->own_fault,
				       .human_cancel = execution->human_cancel && execution->end_err == ERR_CANCELLED,
				       .was_queued = execution->was_queued,
				       .answer = stream_log_text(&execution->log, 0),
				       .error_message = execution->log.end.error.at != NULL ? execution->log.end.error
											    : err_row(err_public(execution->end_err))->text,
				       .finish_reason = execution->finish_reason,
				       .provider = str_of(execution->provider_name),
				       .model = str_of(execution->model),
				       .duration_ms = duration_ms > 0 ? duration_ms : 1,
				       .tokens_in = execution->tokens_in,
				       .tokens_out = execution->tokens_out,
				       .epoch = execution->log.epoch,
				       .seq_last = (execution->log.started ? 1 + (int64_t)execution->log.count : 0) + 1,
				       .estimated = !execution->has_usage,
				       .cost_micro = execution->log.end.cost_micro,
				       .cost_unknown = execution->log.end.cost_unknown,
				       .month = execution->month,
				       .reserve_micro = execution->reserve_micro,
				       .recorded_at_us = execution->recorded_at_us,
				       .truncated = execution->truncated,
				       .started_at_us = execution->started_wall_us,
				       .agent_name = execution->agent_name,
				       .action = str_of(execution->action)};
	input->delta_lens = lens_once(execution);
	if (input->delta_lens.at == NULL) {
		return ERR_LIMIT;
	}
	return texts_fill(execution->guild, &execution->arena, &execution->caller, env_wall_us(execution->guild->env), input);
}

void settle_begin(struct execution *execution)
{
	check(!execution->settling);
	execution->settling = true;
	execution->finished_mono_us = loop_now_us(execution->shard->loop);
	if (!execution->has_usage) {
		execution->tokens_in = execution->asked ? execution->prompt_tokens : 0;
		execution->tokens_out = stream_log_tokens(&execution->log);
	}
	stream_end_fill(execution);
	execution->was_queued = execution->state == STATE_QUEUED;
	if (execution->was_queued) {
		/* Its own time had not begun. */
		execution->deadline_mono_us = execution->finished_mono_us + execution->guild->settings.total_timeout_us;
	}
	flow_enter_state(execution, STATE_SETTLE, execution->end_reason);
	settle_submit(execution);
}

static void settle_later(struct execution *execution)
{
	struct loop *loop = execution->shard->loop;
	int64_t wait_us = 50000LL << (execution->settle_tries < 5 ? execution->settle_tries : 5);
	execution->settle_tries++;
	execution->retry_timer.run = retry_run;
	if (loop_now_us(loop) + wait_us > execution->deadline_mono_us ||
	    loop_timer_set(loop, &execution->retry_timer, loop_now_us(loop) + wait_us) != ERR_OK) {
		if (execution->has_room) {
			execution->has_room = false;
			command_unreserve(execution->guild->commands);
		}
		execution->end_err = ERR_STORE_UNAVAILABLE;
		execution->end_reason = "the store does not commit";
		execution->log.end.completed = false;
		execution->log.end.err = ERR_STORE_UNAVAILABLE;
		execution->log.end.error = STR_NONE;
		if (execution->log.durable) {
			stream_log_cut(&execution->log);
		}
		flow_over(execution, STATE_FAILED, 0, 0);
	}
}

static struct settle_command *settle_make(struct execution *execution)
{
	struct settle_command *settle = (struct settle_command *)command_new(execution->guild->commands, &settle_row, &execution->arena,
									     execution->shard->loop, &execution->caller,
									     sizeof(*settle));
	if (settle == NULL) {
		return NULL;
	}
	settle->execution = execution;
	settle->guild = execution->guild;
	if (execution->next_order == NULL) {
		execution->next_order = engine_order_make(execution->shard->engine);
	}
	return execution->next_order != NULL && settle_fill(settle) == ERR_OK ? settle : NULL;
}

/* The room set aside before tx1 goes with the job; a try without one has to find room like any other. */
static void settle_submit(struct execution *execution)
{
	if (execution->settle == NULL) {
		execution->settle = settle_make(execution);
	}
	if (execution->settle != NULL) {
		execution->settle->input.hold_queue = execution->shard->draining;
	}
	if (execution->settle == NULL || command_submit(&execution->settle->base, execution->has_room) != ERR_OK) {
		settle_later(execution);
	} else {
		execution->has_room = false;
	}
}

static void retry_run(struct loop_timer *timer, struct loop *loop)
{
	(void)loop;
	settle_submit(container_of(timer, struct execution, retry_timer));
}

static void command_finish(struct command *command)
{
	struct settle_command *settle = (struct settle_command *)command;
	struct execution *execution = settle->execution;
	if (execution == NULL) {
		return;
	}
	if (command->result != ERR_OK && command->result != ERR_CONFLICT) {
		/* Not having room for the next try only delays it. */
		execution->has_room = command_reserve(execution->guild->commands) == ERR_OK;
		settle_later(execution);
		return;
	}
	int64_t next = settle->output.next_queued;
	struct engine_order *order = execution->next_order;
	execution->next_order = NULL;
	flow_over(execution, execution_state_of(execution->end_err), command->log_seq[0], command->log_time_us[0]);
	admit_tell(execution->moves);
	admit_moves_free(&execution->moves);
	if (next != 0) {
		engine_dequeue_take(order, next);
	} else {
		engine_order_free(&order);
	}
}

/* ---- recovery ---- */

enum err settle_interrupted_make(struct guild *guild, struct arena *arena, const struct turn *turn, struct command **out)
{
	struct caller caller = {.principal = turn->owner, .workspace = turn->workspace};
	const struct principal *principal = identity_principal(guild->identity, turn->owner);
	if (principal != NULL) {
		identity_caller(principal, &caller);
	}
	struct settle_command *settle =
		(struct settle_command *)command_new(guild->commands, &settle_row, arena, guild->loops[0], &caller, sizeof(*settle));
	if (settle == NULL) {
		return ERR_LIMIT;
	}
	settle->guild = guild;
	struct settle_input *input = &settle->input;
	*input = (struct settle_input){.id = turn->id,
				       .session = turn->session,
				       .agent = turn->agent,
				       .workspace = turn->workspace,
				       .owner = turn->owner,
				       .err = ERR_INTERRUPTED,
				       .status = EXECUTION_INTERRUPTED,
				       .error_message = err_row(ERR_INTERRUPTED)->text,
				       .provider = turn->provider,
				       .model = turn->model,
				       .epoch = turn->epoch + 1,
				       .estimated = true,
				       .tokens_in = turn->prompt_tokens,
				       .month = turn->month,
				       .reserve_micro = turn->reserve_micro,
				       .recorded_at_us = turn->started_at_us,
				       .truncated = true,
				       .started_at_us = turn->started_at_us,
				       .agent_name = turn->agent_name,
				       .action = turn->action};
	enum err err = turn_batch_read(writer_db(guild->writer), arena, turn->id, &input->answer, &input->delta_lens);
	if (err != ERR_OK) {
		return err;
	}
	struct stream_log log;
	stream_log_init(&log, LIMIT_ANSWER_BYTES);
	err = stream_log_restore(&log, input->answer, input->delta_lens);
	input->tokens_out = stream_log_tokens(&log);
	input->seq_last = (int64_t)log.count + 2;
	/* It may have been asked, and so it is taken to have been. */
	struct tariff tariff = ledger_tariff(guild, turn->provider, turn->model);
	input->cost_micro = ledger_cost(&tariff.price, &(struct usage){.in = input->tokens_in, .out = input->tokens_out});
	input->cost_unknown = input->cost_micro != 0 && tariff.is_unknown;
	stream_log_fini(&log);
	if (err != ERR_OK) {
		return err;
	}
	int64_t now_us = env_wall_us(guild->env);
	int64_t duration_ms = (now_us - turn->started_at_us) / 1000;
	input->duration_ms = duration_ms > 0 ? duration_ms : 1;
	*out = &settle->base;
	return texts_fill(guild, arena, &caller, now_us, input);
}
