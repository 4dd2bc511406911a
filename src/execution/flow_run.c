/* flow_run.c - a recorded run: the call, the numbered stream, token batches, the end. */
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "execution/execution_priv.h"
#include "identity/key.h"

#define CANCEL_US 5000000

static void call_step(struct execution *execution);
static void sink_delta(void *ctx, struct str text);
static void sink_done(void *ctx, const struct provider_result *result);
static void end_run(struct loop_task *task, struct loop *loop);
static void total_run(struct loop_timer *timer, struct loop *loop);
static void watchdog_run(struct loop_timer *timer, struct loop *loop);
static void batch_run(struct loop_timer *timer, struct loop *loop);
static void publish_run(struct loop_timer *timer, struct loop *loop);
static void batch_start(struct execution *execution);
static enum err batch_apply(struct write_job *job, struct db *db);
static void batch_done(struct write_job *job);
static void batch_arm(struct execution *execution);
static void result_fill(struct execution *execution, struct chat_result *result);

/* ---- from RECORD or QUEUED on ---- */

void flow_recorded(struct execution *execution, bool queued)
{
	metric_add(METRIC_EXECUTIONS_STARTED, 1);
	metric_add(METRIC_EXECUTIONS_RUNNING, 1);
	execution->shard->running_count++;
	execution->recorded = true;
	execution->total_timer.run = total_run;
	if (queued) {
		flow_enter_state(execution, STATE_QUEUED, "not its turn yet");
	}
	if (execution->has_listener && execution->listener.recorded != NULL) {
		execution->listener.recorded(execution->listener.ctx, execution->id, execution->session_id, queued);
	}
	if (execution->cancel_wanted) {
		flow_end(execution, execution->end_err, execution->end_reason);
	} else if (!queued) {
		flow_ready(execution, ERR_OK);
	} else if (execution->promoted) {
		flow_dequeue(execution);
	} else if (execution->shard->draining) {
		flow_postpone(execution);
	}
}

/* Session and history are known, and it is this one's turn. */
void flow_ready(struct execution *execution, enum err err)
{
	if (execution->settling) {
		return;
	}
	if (err != ERR_OK || execution->choice_err != ERR_OK) {
		flow_end(execution, err != ERR_OK ? err : execution->choice_err, "no provider");
		return;
	}
	flow_enter_state(execution, STATE_RECALL, "recorded");
	flow_enter_state(execution, STATE_PROMPT, "nothing to recall");
	call_step(execution);
}

static struct provider_message *prompt_make(struct execution *execution, size_t *count)
{
	struct provider_message *messages = arena_array(&execution->arena, struct provider_message, execution->history_count + 2);
	size_t n = 0;
	if (messages == NULL) {
		return NULL;
	}
	if (execution->agent_prompt.at != NULL && execution->agent_prompt.len > 0) {
		messages[n++] = (struct provider_message){PROVIDER_SYSTEM, execution->agent_prompt};
	}
	for (size_t i = 0; i < execution->history_count; i++) {
		messages[n++] = (struct provider_message){execution->history[i].from_user ? PROVIDER_USER : PROVIDER_ASSISTANT,
							  execution->history[i].content};
	}
	messages[n++] = (struct provider_message){PROVIDER_USER, execution->message};
	*count = n;
	return messages;
}

static void log_open(struct execution *execution)
{
	execution->log.ids = (struct stream_ids){.execution = id_str(&execution->id_text),
						 .message = id_str(&execution->message_text),
						 .session = id_str(&execution->session_text),
						 .agent = id_str(&execution->agent_text),
						 .agent_name = execution->agent_name,
						 .provider = execution->provider_name[0] != 0 ? str_of(execution->provider_name) : STR_NONE,
						 .model = execution->model[0] != 0 ? str_of(execution->model) : STR_NONE};
	snprintf(execution->source, sizeof(execution->source), "%s:%lld", execution->id_text.text, (long long)execution->log.epoch);
}

int64_t execution_output_max(const struct execution *execution)
{
	int64_t most = execution->guild->settings.output_tokens_max, model = execution->tariff.output_max;
	return model > 0 && model < most ? model : most;
}

static void call_step(struct execution *execution)
{
	struct guild *guild = execution->guild;
	struct provider_request request = {.model = execution->model[0] != 0 ? str_of(execution->model) : STR_NONE,
					   .output_tokens_max = execution_output_max(execution),
					   .trace_id = execution->trace_id};
	request.messages = prompt_make(execution, &request.message_count);
	execution->prompt_tokens = 0;
	for (size_t i = 0; request.messages != NULL && i < request.message_count; i++) {
		execution->prompt_tokens += ledger_tokens(request.messages[i].content);
	}
	execution->total_timer.run = total_run;
	if (request.messages == NULL ||
	    loop_timer_set(execution->shard->loop, &execution->total_timer, execution->deadline_mono_us) != ERR_OK) {
		flow_end(execution, ERR_OVERLOADED, "out of memory");
		return;
	}
	struct keyring_secret secret = {NULL, 0};
	struct key_place place;
	if (execution->provider == guild->openai &&
	    key_get(guild, execution->caller.workspace, execution->caller.principal, STR("openai"), &secret, &place) ==
		    ERR_OK) {
		request.api_key = str_make(secret.at, secret.len);
		request.base_url = place.base_url;
		request.public_only = place.guarded;
	}
	struct provider_sink sink = {sink_delta, sink_done, execution};
	log_open(execution);
	execution->log.started = true;
	flow_enter_state(execution, STATE_CALL, "prompt ready");
	flow_publish(execution, 1);
	enum err err = execution->provider->driver->start(execution->provider->self, execution->shard->loop, &request, &sink,
							  &execution->call);
	keyring_wipe(&secret);
	execution->asked = err == ERR_OK;
	if (err != ERR_OK) {
		execution->call = NULL;
		flow_end(execution, err, "provider did not start");
	}
}

#define PUBLISH_AGAIN_US 50000

/* False without memory. */
static bool publish_one(struct execution *execution, int64_t seq)
{
	struct bus *bus = execution->guild->bus;
	struct str topics[2] = {str_of(execution->execution_topic), str_of(execution->user_topic)};
	unsigned topic_count = execution->stream ? 2 : 1;
	const uint64_t *hashes = execution->topic_hashes;
	if (!bus_hash_wanted(bus, hashes[0]) && !(execution->stream && bus_hash_wanted(bus, hashes[1]))) {
		return true;
	}
	struct buf *scratch = &execution->shard->scratch;
	buf_clear(scratch);
	stream_log_json(&execution->log, seq, scratch);
	struct bus_event_parts parts = {.topics = topics,
					.topic_count = topic_count,
					.time_us = env_wall_us(execution->guild->env),
					.execution = execution->id,
					.workspace = execution->caller.workspace,
					.seq = seq,
					.ends_stream = execution->log.ended && seq == stream_log_seq_last(&execution->log),
					.type = stream_log_type(&execution->log, seq),
					.source = str_of(execution->source),
					.hashes = hashes,
					.data = buf_str(scratch)};
	struct bus_event *event;
	bool made = buf_err(scratch) == ERR_OK && bus_event_make(&parts, &event) == ERR_OK;
	if (made) {
		bus_publish_take(bus, event);
	}
	return made;
}

/* Whoever listens waits for the next number, and for the last one for ever: what could not be made is made later, and nothing overtakes it. */
static void publish_owed(struct execution *execution)
{
	struct loop *loop = execution->shard->loop;
	while (execution->publish_from <= execution->publish_upto && publish_one(execution, execution->publish_from)) {
		execution->publish_from++;
	}
	if (execution->publish_from > execution->publish_upto) {
		execution->publish_from = 0;
		loop_timer_clear(loop, &execution->publish_timer);
	} else {
		execution->publish_timer.run = publish_run;
		(void)!loop_timer_set(loop, &execution->publish_timer, loop_now_us(loop) + PUBLISH_AGAIN_US);
	}
}

static void publish_run(struct loop_timer *timer, struct loop *loop)
{
	(void)loop;
	publish_owed(container_of(timer, struct execution, publish_timer));
}

void flow_publish(struct execution *execution, int64_t seq)
{
	viewer_wake_all(execution);
	execution->publish_from = execution->publish_from != 0 ? execution->publish_from : seq;
	execution->publish_upto = seq;
	publish_owed(execution);
}

/* Durable: the first so many deltas are on disk; whoever listens gets those that are new. */
static void show(struct execution *execution, size_t count)
{
	while (execution->log.durable && execution->log.shown < count) {
		stream_log_show(&execution->log, execution->log.shown + 1);
		flow_publish(execution, stream_log_seq_last(&execution->log));
	}
}

/* ---- what the provider says ---- */

static void sink_delta(void *ctx, struct str text)
{
	struct execution *execution = ctx;
	if (execution->cancel_wanted || execution->settling || execution->abandoned) {
		return;
	}
	if (execution->state == STATE_CALL) {
		flow_enter_state(execution, STATE_STREAM, "first token");
	}
	if (stream_log_add(&execution->log, text) != ERR_OK) {
		flow_stop(execution, ERR_PROVIDER_FAILED, "answer too long", false);
		return;
	}
	metric_add(METRIC_TOKENS, stream_tokens(text));
	if (!execution->log.durable) {
		flow_publish(execution, stream_log_seq_last(&execution->log));
	}
	batch_arm(execution);
}

static void sink_done(void *ctx, const struct provider_result *result)
{
	struct execution *execution = ctx;
	if (execution->abandoned) {
		execution->abandoned = false;
		if (execution->state > STATE_REMEMBER) {
			engine_keep(execution);
		}
		return;
	}
	execution->call = NULL;
	if (!execution->cancel_wanted) {
		execution->end_err = result->err;
		execution->end_reason = result->log_reason != NULL ? result->log_reason : "done";
		execution->truncated = result->err != ERR_OK && execution->log.count > 0;
	}
	/* Nobody is paid for a request that was turned down. */
	if (execution->log.count == 0 && (result->err == ERR_PROVIDER_FAILED || result->err == ERR_NO_PROVIDER)) {
		execution->asked = false;
	}
	if (result->has_usage) {
		execution->has_usage = true;
		execution->tokens_cached = result->tokens_cached;
		execution->tokens_in = result->tokens_in;
		execution->tokens_out = result->tokens_out;
	}
	if (result->finish_reason.at != NULL) {
		str_to_z(result->finish_reason, execution->finish_reason_text, sizeof(execution->finish_reason_text));
		execution->finish_reason = str_of(execution->finish_reason_text);
	}
	if (execution->model[0] == 0 && result->model.at != NULL) {
		str_to_z(result->model, execution->model, sizeof(execution->model));
		log_open(execution);
	}
	execution->step_task.run = end_run;
	loop_task_add(execution->shard->loop, &execution->step_task);
}

static void end_run(struct loop_task *task, struct loop *loop)
{
	struct execution *execution = container_of(task, struct execution, step_task);
	(void)loop;
	if (!execution->settling) {
		settle_begin(execution);
	}
}

/* ---- ending ---- */

void flow_end(struct execution *execution, enum err err, const char *reason)
{
	execution->end_err = err;
	execution->end_reason = reason;
	log_open(execution);
	settle_begin(execution);
}

void flow_stop(struct execution *execution, enum err why, const char *reason, bool rollback)
{
	if (execution->settling || execution->cancel_wanted || execution->state >= STATE_SETTLE) {
		return;
	}
	execution->cancel_wanted = true;
	execution->cancel_rollback = rollback;
	execution->end_err = why;
	execution->end_reason = reason;
	execution->truncated = execution->log.count > 0;
	if (execution->call != NULL) {
		struct loop *loop = execution->shard->loop;
		execution->total_timer.run = watchdog_run;
		(void)!loop_timer_set(loop, &execution->total_timer, loop_now_us(loop) + CANCEL_US);
		execution->provider->driver->cancel(execution->call);
	} else if (execution->state == STATE_QUEUED && !execution->reading) {
		flow_end(execution, why, reason);
	}
}

static void total_run(struct loop_timer *timer, struct loop *loop)
{
	(void)loop;
	flow_stop(container_of(timer, struct execution, total_timer), ERR_TIMED_OUT, "total time", false);
}

/* A provider that does not end when it is told to holds up nobody: the run ends without it. */
static void watchdog_run(struct loop_timer *timer, struct loop *loop)
{
	struct execution *execution = container_of(timer, struct execution, total_timer);
	(void)loop;
	if (execution->call == NULL || execution->settling) {
		return;
	}
	log_at(LOG_ERROR, "provider_stuck", log_s("execution", id_str(&execution->id_text)), log_s("provider", str_of(execution->provider_name)));
	execution->call = NULL;
	execution->abandoned = true;
	settle_begin(execution);
}

static void result_fill(struct execution *execution, struct chat_result *result)
{
	bool completed = execution->end_err == ERR_OK;
	*result = (struct chat_result){.success = completed,
				       .err = err_public(execution->end_err),
				       .execution_id = id_str(&execution->id_text),
				       .response = stream_log_text(&execution->log, 0),
				       .agent_id = id_str(&execution->agent_text),
				       .agent_name = execution->agent_name,
				       .message_id = id_str(&execution->message_text),
				       .session_id = id_str(&execution->session_text),
				       .resolution_path = execution->resolution,
				       .provider = execution->log.ids.provider,
				       .model = execution->log.ids.model,
				       .tokens_in = execution->tokens_in,
				       .tokens_out = execution->tokens_out,
				       .estimated = !execution->has_usage,
				       .cost_micro = execution->log.end.cost_micro,
				       .cost_unknown = execution->log.end.cost_unknown,
				       .decision = &execution->decision};
	if (!completed) {
		result->error = err_row(result->err)->text;
	}
}

void flow_over(struct execution *execution, enum execution_state end, int64_t audit_seq, int64_t audit_time_us)
{
	struct chat_result result;
	(void)audit_seq;
	(void)audit_time_us;
	show(execution, execution->log.count);
	execution->log.ended = true;
	flow_publish(execution, stream_log_seq_last(&execution->log));
	if (end == STATE_DONE) {
		flow_enter_state(execution, STATE_REMEMBER, "settled");
		metric_add(METRIC_EXECUTIONS_COMPLETED, 1);
	} else {
		metric_add(METRIC_EXECUTIONS_FAILED, 1);
		log_at(execution->end_err == ERR_CANCELLED ? LOG_INFO : LOG_WARN, "run_failed", log_s("execution", id_str(&execution->id_text)),
		       log_s("code", err_row(err_public(execution->end_err))->code), log_s("agent", execution->agent_name),
		       log_s("reason", str_of(execution->end_reason)), log_s("request", execution->trace_id),
		       log_i("duration_ms", (execution->finished_mono_us - execution->started_mono_us) / 1000));
	}
	flow_enter_state(execution, end, execution->end_reason);
	metric_add(METRIC_EXECUTIONS_RUNNING, -1);
	execution->shard->running_count--;
	result_fill(execution, &result);
	if (execution->has_listener) {
		execution->has_listener = false;
		execution->listener.ended(execution->listener.ctx, &result);
	}
	engine_keep(execution);
}

/* ---- token batches: one row for 50 ms or 4 KiB of text ---- */

#define BATCH_BYTES 4096
#define BATCH_AGAIN_US 100000

static void batch_arm(struct execution *execution)
{
	struct loop *loop = execution->shard->loop;
	size_t stored_bytes = execution->items_stored != 0 ? execution->log.items[execution->items_stored - 1].end : 0;
	bool at_once = execution->log.durable || execution->log.text.len - stored_bytes >= BATCH_BYTES;
	if (execution->batch.in_flight) {
		return;
	}
	if (at_once && !execution->batch.failed) {
		batch_start(execution);
	} else if (execution->batch_timer.entry.index == 0) {
		execution->batch_timer.run = batch_run;
		int64_t wait_us = execution->batch.failed ? BATCH_AGAIN_US : execution->guild->settings.token_batch_us;
		if (loop_timer_set(loop, &execution->batch_timer, loop_now_us(loop) + wait_us) != ERR_OK) {
			batch_start(execution);
		}
	}
}

static void batch_run(struct loop_timer *timer, struct loop *loop)
{
	struct execution *execution = container_of(timer, struct execution, batch_timer);
	(void)loop;
	if (!execution->batch.in_flight && !execution->settling) {
		batch_start(execution);
	}
}

static void batch_start(struct execution *execution)
{
	struct token_batch *batch = &execution->batch;
	loop_timer_clear(execution->shard->loop, &execution->batch_timer);
	if (batch->lens.bytes_max == 0) {
		buf_init(&batch->lens, LIMIT_ANSWER_BYTES * 2);
		buf_init(&batch->body, LIMIT_ANSWER_BYTES);
	}
	buf_clear(&batch->lens);
	buf_clear(&batch->body);
	stream_log_lens(&execution->log, execution->items_stored, &batch->lens);
	buf_put_str(&batch->body, stream_log_text(&execution->log, execution->items_stored));
	if (buf_err(&batch->lens) != ERR_OK || buf_err(&batch->body) != ERR_OK) {
		return;
	}
	batch->execution = execution;
	batch->item_first = execution->items_stored;
	batch->item_end = execution->log.count;
	batch->job = (struct write_job){.apply = batch_apply, .done = batch_done, .home = execution->shard->loop};
	if (writer_push(execution->guild->writer, &batch->job) == ERR_OK) {
		batch->in_flight = true;
	} else {
		execution->batch_timer.run = batch_run;
		(void)!loop_timer_set(execution->shard->loop, &execution->batch_timer, loop_now_us(execution->shard->loop) + BATCH_AGAIN_US);
	}
}

static enum err batch_apply(struct write_job *job, struct db *db)
{
	struct token_batch *batch = container_of(job, struct token_batch, job);
	return turn_batch_insert(db, batch->execution->id, (int64_t)batch->item_first + 2, (int64_t)batch->item_end + 1,
				  batch->execution->log.epoch, buf_str(&batch->lens), buf_str(&batch->body));
}

static void batch_done(struct write_job *job)
{
	struct token_batch *batch = container_of(job, struct token_batch, job);
	struct execution *execution = batch->execution;
	batch->in_flight = false;
	batch->failed = job->result != ERR_OK;
	if (job->result == ERR_OK) {
		execution->items_stored = batch->item_end;
		if (!execution->log.ended) {
			show(execution, batch->item_end);
		}
	}
	if (execution->state == STATE_STREAM && !execution->settling && execution->log.count > execution->items_stored) {
		batch_arm(execution);
	}
}
