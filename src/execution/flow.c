/* flow.c - the steps of one chat on its loop, from the request to the call; flow_run.c has what comes after. */
#include "base/check.h"
#include "command/idempotency.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "execution/admit_priv.h"
#include "identity/key.h"

#include <stdio.h>

#define TO(state) (1u << STATE_##state)

static const struct flow_state states[STATE_COUNT] = {
	[STATE_RESOLVE] = {"RESOLVE", TO(GOVERN) | TO(REFUSED) | TO(FAILED)},
	[STATE_GOVERN] = {"GOVERN", TO(CHOOSE) | TO(REFUSED) | TO(FAILED)},
	[STATE_CHOOSE] = {"CHOOSE", TO(RECORD) | TO(FAILED)},
	[STATE_RECORD] = {"RECORD", TO(QUEUED) | TO(RECALL) | TO(SETTLE) | TO(REFUSED) | TO(FAILED)},
	[STATE_QUEUED] = {"QUEUED", TO(RECALL) | TO(SETTLE)},
	[STATE_RECALL] = {"RECALL", TO(PROMPT) | TO(SETTLE)},
	[STATE_PROMPT] = {"PROMPT", TO(CALL) | TO(SETTLE)},
	[STATE_CALL] = {"CALL", TO(STREAM) | TO(SETTLE)},
	[STATE_STREAM] = {"STREAM", TO(SETTLE)},
	[STATE_SETTLE] = {"SETTLE", TO(REMEMBER) | TO(FAILED) | TO(CANCELLED) | TO(TIMED_OUT) | TO(INTERRUPTED)},
	[STATE_REMEMBER] = {"REMEMBER", TO(DONE)},
	[STATE_DONE] = {"DONE", 0},
	[STATE_REFUSED] = {"REFUSED", 0},
	[STATE_FAILED] = {"FAILED", 0},
	[STATE_CANCELLED] = {"CANCELLED", 0},
	[STATE_TIMED_OUT] = {"TIMED_OUT", 0},
	[STATE_INTERRUPTED] = {"INTERRUPTED", 0},
};
const struct flow_table execution_flow = {"execution", states, STATE_COUNT};

static enum err request_copy(struct execution *execution, const struct chat_request *request);
static struct execution *flow_alloc(struct engine_shard *shard, const struct caller *caller, int64_t id);
static enum err ties_copy(struct execution *execution, const struct chat_request *request);
static void start_run(struct loop_task *task, struct loop *loop);
static void destroy_run(struct loop_task *task, struct loop *loop);
static void read_push(struct execution *execution);
static enum err session_run(struct read_job *job, struct db *db);
static void session_done(struct read_job *job);
static void resolve_step(struct execution *execution);
static enum err agent_take(struct execution *execution, const struct agent *agent);
static void govern_step(struct execution *execution);
static void choose_step(struct execution *execution);
static void record_step(struct execution *execution);
static void fail_unrecorded(struct execution *execution, enum err err);

void flow_enter_state(struct execution *execution, enum execution_state next, const char *reason)
{
	if ((execution->state == STATE_QUEUED) != (next == STATE_QUEUED)) {
		metric_add(METRIC_EXECUTIONS_QUEUED, next == STATE_QUEUED ? 1 : -1);
	}
	flow_enter(&execution_flow, id_str(&execution->id_text), &execution->state, next, reason);
}

/* ---- making ---- */

static void key_set(struct execution *execution, int64_t id)
{
	struct guild *guild = execution->guild;
	execution->id = id;
	execution->id_text = id_format(&guild->id_secret, ID_EXECUTION, id);
	execution->message_text = id_format(&guild->id_secret, ID_ASSISTANT_MESSAGE, id);
	snprintf(execution->execution_topic, sizeof(execution->execution_topic), "execution:%s", execution->id_text.text);
	execution->topic_hashes[0] = bus_topic_hash(guild->bus, str_of(execution->execution_topic));
}

/* Keys of one millisecond sort by loop, but a session's messages have to sort as they came: a key that is not greater than the
 * session's last is made again, in the millisecond after that. Nobody has seen the old one. */
static enum err key_after_session(struct execution *execution)
{
	struct guild *guild = execution->guild;
	struct engine_shard *shard = execution->shard;
	if (execution->id > execution->session_last) {
		return ERR_OK;
	}
	int64_t now_us = env_wall_us(guild->env);
	int64_t after_us = (id_unix_ms(execution->session_last) + 1) * 1000;
	map_remove(&shard->by_id, (uint64_t)execution->id);
	key_set(execution, id_next(&guild->id_gens[loop_number(shard->loop)], now_us > after_us ? now_us : after_us));
	return map_put(&shard->by_id, (uint64_t)execution->id, execution);
}

static struct execution *flow_alloc(struct engine_shard *shard, const struct caller *caller, int64_t id)
{
	struct execution *execution = mem_alloc(sizeof(*execution));
	if (execution == NULL) {
		return NULL;
	}
	struct guild *guild = shard->engine->guild;
	execution->shard = shard;
	execution->guild = guild;
	execution->caller = *caller;
	execution->user_text = id_format(&guild->id_secret, ID_PRINCIPAL, caller->principal);
	execution->started_wall_us = env_wall_us(guild->env);
	execution->started_mono_us = env_mono_us(guild->env);
	execution->deadline_mono_us = execution->started_mono_us + guild->settings.total_timeout_us;
	execution->action = "chat";
	snprintf(execution->user_topic, sizeof(execution->user_topic), "user:%s", execution->user_text.text);
	key_set(execution, id);
	execution->topic_hashes[1] = bus_topic_hash(guild->bus, str_of(execution->user_topic));
	arena_init(&execution->arena, LIMIT_FLOW_ARENA_BYTES);
	list_init(&execution->link);
	list_init(&execution->step_task.link);
	list_init(&execution->viewers);
	list_init(&execution->viewers_task.link);
	execution->viewers_task.run = viewer_run_all;
	stream_log_init(&execution->log, (size_t)guild->settings.answer_bytes_max);
	return execution;
}

static bool copy_or_none(struct arena *arena, struct str in, struct str *out)
{
	*out = in.at != NULL ? arena_copy(arena, in) : STR_NONE;
	return in.at == NULL || out->at != NULL;
}

static enum err request_copy(struct execution *execution, const struct chat_request *request)
{
	struct arena *arena = &execution->arena;
	struct str session;
	bool ok = copy_or_none(arena, request->agent, &execution->wanted_agent) &&
		  copy_or_none(arena, request->message, &execution->message) &&
		  copy_or_none(arena, request->trace_id, &execution->trace_id) && copy_or_none(arena, request->session_id, &session);
	execution->stream = request->stream;
	execution->action = request->stream ? "stream_chat" : "chat";
	execution->strict = request->strict;
	execution->wait_us = request->wait_us;
	execution->on_busy = request->on_busy;
	execution->trigger = request->trigger;
	execution->has_idem = request->idem != NULL;
	execution->look_first = request->idem != NULL && request->look_first;
	if (request->idem != NULL) {
		execution->idem = *request->idem;
	}
	execution->session_new = session.at == NULL;
	execution->history_given = request->history != NULL;
	execution->history_count = request->history_count;
	if (request->history_count > 0) {
		execution->history = arena_array(arena, struct session_message, request->history_count);
	}
	for (size_t i = 0; ok && i < request->history_count; i++) {
		ok = execution->history != NULL && copy_or_none(arena, request->history[i].content, &execution->history[i].content);
		if (ok) {
			execution->history[i].from_user = request->history[i].from_user;
		}
	}
	if (!ok) {
		return ERR_LIMIT;
	}
	if (!execution->session_new &&
	    id_parse(&execution->guild->id_secret, ID_SESSION, session, &execution->session_id) != ERR_OK) {
		execution->session_id = -1;
	}
	/* A refusal names the session as well, long before RECORD. */
	if (execution->session_id > 0) {
		execution->session_text = id_format(&execution->guild->id_secret, ID_SESSION, execution->session_id);
	}
	execution->priority = request->priority != 0 ? request->priority : RUN_MEDIUM;
	execution->ties_err = ties_copy(execution, request);
	return ERR_OK;
}

/* What it runs after, and what it works for. The error, if any, is the run's answer. */
static enum err ties_copy(struct execution *execution, const struct chat_request *request)
{
	const struct siphash_key *secret = &execution->guild->id_secret;
	struct json_iter iter = json_iter(request->after);
	struct json item;
	if (request->parent.at != NULL) {
		execution->pointer = "/parent_execution_id";
		if (id_parse(secret, ID_EXECUTION, request->parent, &execution->above[0]) != ERR_OK) {
			return ERR_INVALID;
		}
		execution->above_count = 1;
	}
	execution->pointer = "/after";
	while (json_kind(request->after) == JSON_ARRAY && json_next(&iter, NULL, &item)) {
		struct str text;
		int64_t id = 0;
		if (!json_get_str(item, &text) || id_parse(secret, ID_EXECUTION, text, &id) != ERR_OK) {
			return ERR_DEPENDENCY_UNKNOWN;
		}
		bool twice = false;
		for (size_t i = 0; i < execution->after_count; i++) {
			twice |= execution->after[i] == id;
		}
		if (!twice && execution->after_count == LIMIT_RUN_AFTER) {
			return ERR_INVALID;
		}
		if (!twice) {
			execution->after[execution->after_count++] = id;
		}
	}
	execution->pointer = NULL;
	return ERR_OK;
}

enum err flow_create(struct engine_shard *shard, const struct chat_request *request, struct execution **out)
{
	struct execution *execution = flow_alloc(shard, &request->caller, guild_key(shard->engine->guild, shard->loop));
	if (execution == NULL) {
		return ERR_MEMORY;
	}
	enum err err = request_copy(execution, request);
	if (err == ERR_OK) {
		err = map_put(&shard->by_id, (uint64_t)execution->id, execution);
	}
	if (err != ERR_OK) {
		flow_destroy(execution);
		return err;
	}
	list_push(&shard->running, &execution->link);
	*out = execution;
	return ERR_OK;
}

void flow_destroy(struct execution *execution)
{
	struct engine_shard *shard = execution->shard;
	check(!execution->batch.in_flight);
	if (execution->state == STATE_QUEUED) {
		metric_add(METRIC_EXECUTIONS_QUEUED, -1);
	}
	list_remove(&execution->link);
	loop_task_cancel(&execution->step_task);
	viewer_orphan_all(execution);
	loop_timer_clear(shard->loop, &execution->total_timer);
	loop_timer_clear(shard->loop, &execution->batch_timer);
	loop_timer_clear(shard->loop, &execution->retry_timer);
	loop_timer_clear(shard->loop, &execution->publish_timer);
	if (map_get(&shard->by_id, (uint64_t)execution->id) == execution) {
		map_remove(&shard->by_id, (uint64_t)execution->id);
	}
	stream_log_fini(&execution->log);
	buf_fini(&execution->batch.lens);
	buf_fini(&execution->batch.body);
	arena_fini(&execution->arena);
	mem_free(execution->agent_name_kept);
	mem_free(execution->refusal_kept);
	engine_order_free(&execution->stop_order);
	engine_order_free(&execution->next_order);
	admit_moves_free(&execution->moves);
	mem_free(execution);
}

void flow_start(struct execution *execution)
{
	execution->step_task.run = start_run;
	loop_task_add(execution->shard->loop, &execution->step_task);
}

static void start_run(struct loop_task *task, struct loop *loop)
{
	struct execution *execution = container_of(task, struct execution, step_task);
	(void)loop;
	if (execution->ties_err != ERR_OK) {
		fail_unrecorded(execution, execution->ties_err);
	} else if (execution->look_first || execution->above_count > 0) {
		read_push(execution);
	} else if (execution->session_new) {
		resolve_step(execution);
	} else if (execution->session_id < 0) {
		fail_unrecorded(execution, ERR_SESSION_NOT_FOUND);
	} else {
		read_push(execution);
	}
}

/* ---- RESOLVE: the session and its history come from a reader ---- */

static void read_push(struct execution *execution)
{
	check(!execution->reading);
	execution->reading = true;
	execution->read = (struct read_job){.run = session_run, .done = session_done, .home = execution->shard->loop};
	enum err err = reader_push(execution->guild->readers, &execution->read);
	if (err != ERR_OK) {
		execution->read.result = err;
		session_done(&execution->read);
	}
}

/* What its metadata says it works for; 0: nobody. */
static int64_t parent_of(const struct execution *execution, struct arena *arena, const struct turn *turn)
{
	struct json_doc doc;
	struct str text;
	int64_t id = 0;
	bool has = json_parse(arena, turn->metadata, &doc, NULL) == ERR_OK &&
		   json_get_str(json_member(json_root(&doc), STR("parent_execution_id")), &text);
	return has && id_parse(&execution->guild->id_secret, ID_EXECUTION, text, &id) == ERR_OK ? id : 0;
}

/* The runs above it, and how deep it stands. The nearest has to be the caller's, or one that the calling agent answers, and running. */
static enum err above_read(struct execution *execution, struct db *db)
{
	const struct caller *caller = &execution->caller;
	enum err err = ERR_OK;
	execution->pointer = "/parent_execution_id";
	for (size_t i = 0; i < execution->above_count && err == ERR_OK; i++) {
		struct arena arena;
		struct turn turn;
		arena_init(&arena, LIMIT_FLOW_ARENA_BYTES);
		err = turn_get(db, &arena, execution->above[i], &turn);
		if (err == ERR_OK && i == 0) {
			bool own = turn.owner == caller->principal || (caller->agent != 0 && caller->agent == turn.agent);
			err = turn.workspace == caller->workspace && own && turn.status == EXECUTION_RUNNING ? ERR_OK : ERR_NOT_FOUND;
		}
		if (err == ERR_OK && !execution->session_new && turn.session == execution->session_id &&
		    turn.status == EXECUTION_RUNNING && execution->on_busy == BUSY_ENQUEUE) {
			/* Behind a run that may wait for it. */
			execution->pointer = "/session_id";
			err = ERR_DEPENDENCY_CYCLE;
		}
		int64_t next = err == ERR_OK ? parent_of(execution, &arena, &turn) : 0;
		if (next != 0 && execution->above_count <= LIMIT_DELEGATION_DEPTH) {
			execution->above[execution->above_count++] = next;
		}
		arena_fini(&arena);
		if (err == ERR_NOT_FOUND && i > 0) {
			err = ERR_OK; /* erased since */
		}
	}
	if (err == ERR_OK) {
		execution->depth = (int)execution->above_count;
		execution->pointer = NULL;
	}
	return err == ERR_NOT_FOUND ? ERR_INVALID : err;
}

static enum err session_run(struct read_job *job, struct db *db)
{
	struct execution *execution = container_of(job, struct execution, read);
	int64_t owner = caller_is_admin(&execution->caller) ? 0 : execution->caller.principal;
	enum err err = execution->look_first ? idempotency_free(db, &execution->idem, env_wall_us(execution->guild->env)) : ERR_OK;
	if (err == ERR_OK && execution->above_count > 0 && !execution->recorded) {
		err = above_read(execution, db);
	}
	if (err != ERR_OK || (execution->session_new && !execution->recorded)) {
		return err;
	}
	if (execution->session_id < 0) {
		return ERR_SESSION_NOT_FOUND;
	}
	err = session_read(db, &execution->arena, execution->session_id, execution->caller.workspace, owner, &execution->session);
	if (err == ERR_OK) {
		err = turn_last(db, execution->session_id, &execution->session_last);
	}
	if (err == ERR_OK && !execution->history_given) {
		size_t bytes_max = (size_t)execution->guild->settings.history_bytes_max;
		err = session_history(db, &execution->arena, execution->session_id, LIMIT_HISTORY_MESSAGES, bytes_max,
				      &execution->history, &execution->history_count);
	}
	return err;
}

static void session_done(struct read_job *job)
{
	struct execution *execution = container_of(job, struct execution, read);
	execution->reading = false;
	execution->look_first = false;
	if (execution->state == STATE_QUEUED && execution->cancel_wanted) {
		flow_end(execution, execution->end_err, execution->end_reason);
	} else if (execution->state == STATE_QUEUED) {
		flow_ready(execution, job->result);
	} else {
		bool looked = job->result == ERR_OK && !execution->session_new;
		enum err err = looked ? key_after_session(execution) : job->result;
		if (err != ERR_OK) {
			fail_unrecorded(execution, err);
		} else {
			resolve_step(execution);
		}
	}
}

static void resolve_step(struct execution *execution)
{
	struct resolve_output found;
	const struct session *session = execution->session_new ? NULL : &execution->session;
	resolve_lookup(execution->guild, execution->caller.workspace, execution->wanted_agent, session, execution->strict, &found);
	execution->resolution = resolve_path_json(&execution->arena, &found);
	enum err err = execution->resolution.at != NULL ? agent_take(execution, found.agent) : ERR_LIMIT;
	if (err != ERR_OK) {
		fail_unrecorded(execution, err);
		return;
	}
	flow_enter_state(execution, STATE_GOVERN, "resolved");
	govern_step(execution);
}

static enum err agent_take(struct execution *execution, const struct agent *agent)
{
	const struct policy *policy = policy_get(execution->guild->policies, execution->caller.workspace);
	struct ledger_who who = {execution->caller.workspace, execution->caller.principal, agent != NULL ? agent->id : 0};
	struct decide_input input;
	if (policy_decide_input(policy, agent, str_of(execution->action), &input) != ERR_OK) {
		return ERR_INTERNAL;
	}
	execution->policy_revision = policy_revision(policy);
	input.depth = execution->depth;
	/* One that is recorded has reserved already. */
	input.budget_exceeded = !execution->recorded && ledger_used_up(execution->guild->ledger, &who);
	decide(&input, &execution->decision);
	if (agent == NULL) {
		execution->agent_name = execution->wanted_agent.at != NULL ? execution->wanted_agent : STR("agent");
		return ERR_OK;
	}
	execution->agent_id = agent->id;
	execution->agent_revision = agent->revision;
	execution->agent_kind = agent->kind;
	execution->agent_text = id_format(&execution->guild->id_secret, ID_AGENT, agent->id);
	execution->agent_name_kept = mem_alloc(agent->name.len + 1);
	bool ok = execution->agent_name_kept != NULL &&
		  copy_or_none(&execution->arena, agent->system_prompt, &execution->agent_prompt) &&
		  copy_or_none(&execution->arena, agent->provider, &execution->agent_provider) &&
		  copy_or_none(&execution->arena, agent->model, &execution->agent_model);
	if (!ok) {
		return ERR_MEMORY;
	}
	execution->log.durable = agent_durable(agent, execution->guild->settings.durable);
	memcpy(execution->agent_name_kept, agent->name.at, agent->name.len);
	execution->agent_name = str_make(execution->agent_name_kept, agent->name.len);
	return ERR_OK;
}

struct str flow_reason(struct execution *execution, struct arena *arena)
{
	struct buf text;
	buf_init(&text, 4096);
	decision_reason(&execution->decision, execution->agent_name, str_of(execution->action), &text);
	struct str out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR("blocked");
	buf_fini(&text);
	return out;
}

/* ---- GOVERN ---- */

static void govern_step(struct execution *execution)
{
	metric_add(execution->decision.allowed ? METRIC_DECISIONS_ALLOWED : METRIC_DECISIONS_DENIED, 1);
	if (!execution->decision.proceed) {
		enum err err = record_refusal_submit(execution);
		if (err != ERR_OK) {
			fail_unrecorded(execution, err);
		}
		return;
	}
	flow_enter_state(execution, STATE_CHOOSE, "allowed");
	choose_step(execution);
}

/* ---- CHOOSE ---- */

static bool own_key(struct execution *execution)
{
	struct keyring_secret secret;
	struct key_place place;
	if (key_get(execution->guild, execution->caller.workspace, execution->caller.principal, STR("openai"), &secret, &place) != ERR_OK) {
		return false;
	}
	keyring_wipe(&secret);
	return true;
}

static bool openai_for(struct execution *execution)
{
	struct guild *guild = execution->guild;
	return guild->openai != NULL &&
	       (guild->openai_configured || own_key(execution));
}

static const struct provider *provider_choose(struct execution *execution)
{
	struct guild *guild = execution->guild;
	struct str fixed = execution->agent_provider;
	if (fixed.at != NULL && fixed.len > 0) {
		if (str_eq(fixed, STR("builtin"))) {
			return guild->builtin;
		}
		return str_eq(fixed, STR("openai")) && openai_for(execution) ? guild->openai : NULL;
	}
	return openai_for(execution) ? guild->openai : guild->builtin;
}

static void choose(struct execution *execution)
{
	bool external = execution->agent_kind == AGENT_EXTERNAL;
	execution->provider = external ? &execution->shard->engine->external : provider_choose(execution);
	execution->choice_err = execution->provider != NULL ? ERR_OK : ERR_NO_PROVIDER;
	if (execution->provider != NULL) {
		str_to_z(execution->provider->name, execution->provider_name, sizeof(execution->provider_name));
		if (execution->agent_model.at != NULL && execution->agent_model.len > 0) {
			str_to_z(execution->agent_model, execution->model, sizeof(execution->model));
		} else {
			char text[200];
			struct str model = execution->provider->driver->default_model(execution->provider->self, text, sizeof(text));
			str_to_z(model, execution->model, sizeof(execution->model));
		}
	}
	execution->tariff = ledger_tariff(execution->guild, str_of(execution->provider_name), str_of(execution->model));
}

static void choose_step(struct execution *execution)
{
	choose(execution);
	flow_enter_state(execution, STATE_RECORD, "chosen");
	record_step(execution);
}

/* ---- RECORD ---- */

static void record_step(struct execution *execution)
{
	if (execution->session_new) {
		execution->session_id = guild_key(execution->guild, execution->shard->loop);
		execution->session = (struct session){.id = execution->session_id,
						      .workspace = execution->caller.workspace,
						      .owner = execution->caller.principal,
						      .agent = execution->agent_id,
						      .title = session_title(&execution->arena, execution->message),
						      .channel = execution->trigger == TRIGGER_MENTION ? STR("social") : STR("chat")};
	}
	execution->session_text = id_format(&execution->guild->id_secret, ID_SESSION, execution->session_id);
	enum err err = record_submit(execution);
	if (err != ERR_OK) {
		fail_unrecorded(execution, err);
	}
}

/* ---- ends without a row ---- */

static void fail_unrecorded(struct execution *execution, enum err err)
{
	flow_refused(execution, err, 0, 0);
}

void flow_refused(struct execution *execution, enum err err, int64_t audit_seq, int64_t audit_time_us)
{
	struct chat_result result = {.err = err_public(err), .agent_name = execution->agent_name, .resolution_path = execution->resolution};
	struct id_text audit_text;
	bool refused = audit_seq != 0;
	result.error = err_row(result.err)->text;
	if (err == ERR_INVALID && execution->above_count > 0) {
		execution->pointer = "/parent_execution_id";
		result.error = STR("It names no run of yours that is running.");
	} else if (err == ERR_DEPENDENCY_UNKNOWN || err == ERR_DEPENDENCY_CYCLE) {
		execution->pointer = execution->pointer != NULL ? execution->pointer : "/after";
	}
	result.pointer = execution->pointer != NULL ? str_of(execution->pointer) : STR_NONE;
	result.kept = execution->idem.kept;
	result.kept_at_us = execution->idem.made_at_us;
	if (execution->agent_id != 0) {
		result.agent_id = id_str(&execution->agent_text);
	}
	if (refused) {
		struct buf rule;
		buf_init(&rule, 512);
		decision_rule_id(&execution->decision, &rule);
		result.rule_id = arena_copy(&execution->arena, buf_str(&rule));
		buf_fini(&rule);
		audit_text = id_format_log(&execution->guild->id_secret, ID_AUDIT, audit_time_us, audit_seq);
		result.audit_id = id_str(&audit_text);
		result.reason = flow_reason(execution, &execution->arena);
		result.error = result.reason;
		result.decision = &execution->decision;
		metric_add(METRIC_EXECUTIONS_REFUSED, 1);
	}
	log_at((enum log_level)err_row(err)->level, refused ? "run_refused" : "run_not_started", log_s("code", err_row(err)->code),
	       log_s("agent", execution->agent_name), log_s("request", execution->trace_id),
	       log_i("duration_ms", (env_mono_us(execution->guild->env) - execution->started_mono_us) / 1000));
	flow_enter_state(execution, refused ? STATE_REFUSED : STATE_FAILED, "refused");
	if (execution->has_listener) {
		execution->has_listener = false;
		execution->listener.ended(execution->listener.ctx, &result);
	}
	execution->step_task.run = destroy_run;
	loop_task_add(execution->shard->loop, &execution->step_task);
}

static void destroy_run(struct loop_task *task, struct loop *loop)
{
	(void)loop;
	flow_destroy(container_of(task, struct execution, step_task));
}

/* ---- QUEUED, and revived by recovery ---- */

enum err flow_revive(struct engine_shard *shard, const struct turn *turn, struct execution **out)
{
	struct guild *guild = shard->engine->guild;
	struct caller caller = {.principal = turn->owner, .workspace = turn->workspace, .role = ROLE_MEMBER, .scopes = scope_set_of(ROLE_MEMBER)};
	const struct principal *principal = identity_principal(guild->identity, turn->owner);
	if (principal != NULL) {
		identity_caller(principal, &caller);
	}
	struct execution *execution = flow_alloc(shard, &caller, turn->id);
	if (execution == NULL) {
		return ERR_MEMORY;
	}
	execution->stream = str_eq(turn->action, STR("stream_chat"));
	execution->action = execution->stream ? "stream_chat" : "chat";
	execution->trigger = (enum execution_trigger)turn->triggered_by;
	execution->session_id = turn->session;
	execution->session_text = id_format(&guild->id_secret, ID_SESSION, turn->session);
	execution->recorded = true;
	execution->month = turn->month;
	execution->reserve_micro = turn->reserve_micro;
	execution->prompt_tokens = turn->prompt_tokens;
	execution->recorded_at_us = turn->started_at_us;
	execution->state = STATE_QUEUED;
	metric_add(METRIC_EXECUTIONS_QUEUED, 1);
	enum err err = agent_take(execution, registry_get(guild->registry, turn->agent));
	if (err == ERR_OK && !(copy_or_none(&execution->arena, turn->message, &execution->message) &&
			       copy_or_none(&execution->arena, turn->resolution, &execution->resolution))) {
		err = ERR_MEMORY;
	}
	if (err == ERR_OK) {
		execution->agent_id = turn->agent;
		err = map_put(&shard->by_id, (uint64_t)execution->id, execution);
	}
	/* Without room set aside its end has to find some then. */
	execution->has_room = err == ERR_OK && command_reserve(guild->commands) == ERR_OK;
	if (err != ERR_OK) {
		flow_destroy(execution);
		return err;
	}
	list_push(&shard->running, &execution->link);
	shard->running_count++;
	metric_add(METRIC_EXECUTIONS_RUNNING, 1);
	*out = execution;
	return ERR_OK;
}

void flow_going_away(struct execution *execution)
{
	struct chat_result result = {.err = ERR_GOING_AWAY,
				     .execution_id = execution->recorded ? id_str(&execution->id_text) : STR_NONE,
				     .session_id = execution->recorded ? id_str(&execution->session_text) : STR_NONE,
				     .agent_name = execution->agent_name,
				     .resolution_path = execution->resolution,
				     .error = err_row(ERR_GOING_AWAY)->text};
	if (execution->has_listener) {
		execution->has_listener = false;
		execution->listener.ended(execution->listener.ctx, &result);
	}
}

void flow_postpone(struct execution *execution)
{
	check(execution->state == STATE_QUEUED && !execution->promoted);
	if (execution->postponed) {
		return;
	}
	execution->postponed = true;
	execution->shard->postponed_count++;
	flow_going_away(execution);
}

/* Governance looks again: the agent may have been paused or demoted while the message waited. */
void flow_dequeue(struct execution *execution)
{
	struct guild *guild = execution->guild;
	if (execution->state != STATE_QUEUED || execution->settling || execution->reading) {
		return;
	}
	execution->deadline_mono_us = loop_now_us(execution->shard->loop) + guild->settings.total_timeout_us;
	const struct agent *agent = registry_get(guild->registry, execution->agent_id);
	struct decide_input input;
	execution->promoted = true;
	if (execution->postponed) {
		execution->postponed = false;
		execution->shard->postponed_count--;
	}
	if (execution->shard->drained) {
		flow_stop(execution, ERR_INTERRUPTED, "server stops", false);
		return;
	}
	if (policy_decide_input(policy_get(guild->policies, execution->caller.workspace), agent, str_of(execution->action), &input) != ERR_OK) {
		flow_end(execution, ERR_INTERNAL, "no such action");
		return;
	}
	input.depth = execution->depth;
	decide(&input, &execution->decision);
	metric_add(execution->decision.allowed ? METRIC_DECISIONS_ALLOWED : METRIC_DECISIONS_DENIED, 1);
	if (!execution->decision.proceed) {
		flow_end(execution, decision_err(&execution->decision), "not permitted any more");
		return;
	}
	if (execution->provider == NULL && execution->choice_err == ERR_OK) {
		choose(execution);
	}
	read_push(execution);
}
