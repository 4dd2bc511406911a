/*
 * external.c - the agent's own program as a provider.
 *
 *   OFFERING  the request is on its way to a connection of the agent
 *   WAITING   nobody is connected: the next connection is offered it, until the time to wait is over
 *   TAKEN     a connection has it; deltas and the end come from any connection of the agent
 *   OVER      it ends in the next turn
 */
#include "execution/external.h"

#include "base/check.h"
#include "base/mem.h"
#include "execution/execution_priv.h"
#include "http/http.h"

enum call_state { CALL_OFFERING, CALL_WAITING, CALL_TAKEN, CALL_OVER };

struct offer;

struct provider_call {
	struct list link;             /* in the shard's waiting ones */
	struct execution *execution;
	struct provider_sink sink;
	struct frame *request;
	struct offer *offer;          /* under way */
	struct loop_timer timer;      /* the end of waiting, or of silence */
	struct loop_task task;
	enum call_state state;
	int64_t wait_until_us;
	bool cancelled, cancel_seen;
	bool again;                   /* a connection came while it was being offered */
	struct provider_result result;
	char finish_reason[32];
};

/* Outlives a call that ended meanwhile. */
struct offer {
	struct external_offer base; /* first */
	struct provider_call *call; /* NULL: gone, or nobody wants the answer */
};

struct connected_note {
	struct loop_note note;
	struct engine *engine;
	int64_t agent;
};

static enum err start(void *self, struct loop *loop, const struct provider_request *request, const struct provider_sink *sink,
		      struct provider_call **out);
static void cancel(struct provider_call *call);
static struct str default_model(void *self, char *out, size_t cap);
static void offer_send(struct provider_call *call);
static void offer_answered(struct external_offer *base);
static void timer_run(struct loop_timer *timer, struct loop *loop);
static void task_run(struct loop_task *task, struct loop *loop);
static void message_run(struct loop_note *note, struct loop *loop);
static void message_back(struct loop_note *note, struct loop *loop);
static void connected_run(struct loop_note *note, struct loop *loop);

static const struct provider_driver driver = {"external", start, cancel, default_model};

void external_init(struct engine *engine)
{
	engine->external = (struct provider){&driver, engine, STR("external")};
}

void external_door_set(struct engine *engine, const struct external_door *door)
{
	engine->external_door = *door;
}

static struct str default_model(void *self, char *out, size_t cap)
{
	(void)self;
	return str_of(str_to_z(STR(""), out, cap));
}

/* ---- the request ---- */

static void request_json(const struct execution *execution, const struct provider_request *request, struct json_out *json)
{
	json_object(json);
	json_put_str(json, STR("type"), STR("chat_request"));
	json_put_str(json, STR("execution_id"), id_str(&execution->id_text));
	json_put_str(json, STR("session_id"), id_str(&execution->session_text));
	json_put_str(json, STR("agent_id"), id_str(&execution->agent_text));
	json_put_str(json, STR("user_id"), id_str(&execution->user_text));
	json_put_str(json, STR("message"), execution->message);
	json_name(json, STR("history"));
	json_array(json);
	for (size_t i = 0; i + 1 < request->message_count; i++) {
		const struct provider_message *turn = &request->messages[i];
		if (turn->role != PROVIDER_SYSTEM) {
			json_object(json);
			json_put_str(json, STR("role"), turn->role == PROVIDER_USER ? STR("user") : STR("assistant"));
			json_put_str(json, STR("content"), turn->content);
			json_object_end(json);
		}
	}
	json_array_end(json);
	json_object_end(json);
}

static struct frame *frame_of(const struct execution *execution, const struct provider_request *request)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_PROMPT_BYTES);
	json_begin(&json, &text);
	if (request != NULL) {
		request_json(execution, request, &json);
	} else {
		json_object(&json);
		json_put_str(&json, STR("type"), STR("chat_cancel"));
		json_put_str(&json, STR("execution_id"), id_str(&execution->id_text));
		json_object_end(&json);
	}
	struct frame *frame = buf_err(&text) == ERR_OK ? websocket_frame(buf_str(&text)) : NULL;
	buf_fini(&text);
	return frame;
}

/* sink->ctx is the execution: this driver is the engine's own. */
static enum err start(void *self, struct loop *loop, const struct provider_request *request, const struct provider_sink *sink,
		      struct provider_call **out)
{
	struct execution *execution = sink->ctx;
	struct provider_call *call = mem_alloc(sizeof(*call));
	(void)self;
	if (call == NULL) {
		return ERR_MEMORY;
	}
	call->request = frame_of(execution, request);
	if (call->request == NULL) {
		mem_free(call);
		return ERR_MEMORY;
	}
	list_init(&call->link);
	list_init(&call->task.link);
	call->task.run = task_run;
	call->timer.run = timer_run;
	call->execution = execution;
	call->sink = *sink;
	call->wait_until_us = loop_now_us(loop) + execution->wait_us;
	offer_send(call);
	*out = call;
	return ERR_OK;
}

/* ---- ends: always in a later turn ---- */

static void call_end(struct provider_call *call, enum err err, const char *log_reason)
{
	if (call->state == CALL_OVER) {
		return;
	}
	call->state = CALL_OVER;
	call->result.err = err;
	call->result.log_reason = log_reason;
	call->result.finish_reason = str_of(call->finish_reason);
	list_remove(&call->link);
	loop_task_add(call->execution->shard->loop, &call->task);
}

static void task_run(struct loop_task *task, struct loop *loop)
{
	struct provider_call *call = container_of(task, struct provider_call, task);
	if (call->cancelled && !call->cancel_seen) {
		/* Cancelled in this turn: done belongs to a later one. */
		call->cancel_seen = true;
		loop_task_add(loop, task);
		return;
	}
	if (call->offer != NULL) {
		call->offer->call = NULL;
	}
	loop_timer_clear(loop, &call->timer);
	list_remove(&call->link);
	frame_drop(&call->request);
	call->sink.done(call->sink.ctx, &call->result);
	mem_free(call);
}

/* The program is told, should it be there; whether it hears it changes nothing. */
static void cancel(struct provider_call *call)
{
	bool taken = call->state == CALL_TAKEN;
	struct engine *engine = call->execution->shard->engine;
	call->cancelled = true;
	struct frame *frame = taken ? frame_of(call->execution, NULL) : NULL;
	struct offer *offer = frame != NULL ? mem_alloc(sizeof(*offer)) : NULL;
	if (offer != NULL) {
		offer->base = (struct external_offer){
			.home = call->execution->shard->loop, .agent = call->execution->agent_id, .frame = frame, .answer = offer_answered};
		engine->external_door.offer(engine->external_door.self, &offer->base);
	} else {
		frame_drop(&frame);
	}
	call_end(call, ERR_CANCELLED, "cancelled");
}

static void timer_run(struct loop_timer *timer, struct loop *loop)
{
	struct provider_call *call = container_of(timer, struct provider_call, timer);
	(void)loop;
	if (call->state == CALL_TAKEN) {
		call_end(call, ERR_PROVIDER_TIMEOUT, "idle");
	} else {
		call_end(call, ERR_AGENT_OFFLINE, "offline");
	}
}

static void timer_arm(struct provider_call *call, int64_t at_us)
{
	if (loop_timer_set(call->execution->shard->loop, &call->timer, at_us) != ERR_OK) {
		call_end(call, ERR_OVERLOADED, "timers");
	}
}

/* ---- offering ---- */

static void offer_send(struct provider_call *call)
{
	struct engine *engine = call->execution->shard->engine;
	struct offer *offer = engine->external_door.offer != NULL ? mem_alloc(sizeof(*offer)) : NULL;
	list_remove(&call->link);
	call->state = CALL_OFFERING;
	call->again = false;
	if (offer == NULL) {
		call_end(call, ERR_AGENT_OFFLINE, "offline");
		return;
	}
	offer->base = (struct external_offer){.home = call->execution->shard->loop,
					      .agent = call->execution->agent_id,
					      .frame = frame_hold(call->request),
					      .answer = offer_answered};
	offer->call = call;
	call->offer = offer;
	engine->external_door.offer(engine->external_door.self, &offer->base);
}

static void offer_answered(struct external_offer *base)
{
	struct offer *offer = (struct offer *)base;
	struct provider_call *call = offer->call;
	bool taken = base->taken;
	frame_drop(&base->frame);
	mem_free(offer);
	if (call == NULL) {
		return;
	}
	call->offer = NULL;
	if (call->state == CALL_OVER) {
		return;
	}
	struct engine_shard *shard = call->execution->shard;
	int64_t now_us = loop_now_us(shard->loop);
	if (taken) {
		call->state = CALL_TAKEN;
		timer_arm(call, now_us + call->execution->guild->settings.first_byte_timeout_us);
	} else if (call->again) {
		offer_send(call);
	} else if (now_us >= call->wait_until_us) {
		call_end(call, ERR_AGENT_OFFLINE, "offline");
	} else {
		call->state = CALL_WAITING;
		list_push(&shard->external_waiting, &call->link);
		timer_arm(call, call->wait_until_us);
	}
}

void external_connected(struct engine *engine, int64_t agent)
{
	for (unsigned i = 0; i < engine->shard_count; i++) {
		struct connected_note *note = mem_alloc(sizeof(*note));
		/* Without memory the waiting runs wait on: for the next connection, or their end. */
		if (note != NULL) {
			note->note.run = connected_run;
			note->engine = engine;
			note->agent = agent;
			loop_note_post(engine->shards[i].loop, &note->note);
		}
	}
}

static void connected_run(struct loop_note *note, struct loop *loop)
{
	struct connected_note *connected = container_of(note, struct connected_note, note);
	struct engine_shard *shard = &connected->engine->shards[loop_number(loop)];
	struct list waiting, *link;
	list_take(&shard->external_waiting, &waiting);
	while ((link = list_pop(&waiting)) != NULL) {
		struct provider_call *call = container_of(link, struct provider_call, link);
		if (call->execution->agent_id == connected->agent) {
			offer_send(call);
		} else {
			list_push(&shard->external_waiting, link);
		}
	}
	for (struct list *at = shard->running.next; at != &shard->running; at = at->next) {
		struct execution *execution = container_of(at, struct execution, link);
		bool offering = execution->provider == &connected->engine->external && execution->call != NULL &&
				execution->agent_id == connected->agent && execution->call->state == CALL_OFFERING;
		if (offering) {
			execution->call->again = true;
		}
	}
	mem_free(connected);
}

/* ---- what the program says ---- */

void external_message_send(struct engine *engine, struct external_message *message)
{
	struct loop *owner = engine_shard_of(engine, message->execution)->loop;
	message->engine = engine;
	message->note.run = message_run;
	if (owner == message->home) {
		message_run(&message->note, owner);
	} else {
		loop_note_post(owner, &message->note);
	}
}

static enum err message_take(struct engine_shard *shard, const struct external_message *message)
{
	struct execution *execution = map_get(&shard->by_id, (uint64_t)message->execution);
	struct provider_call *call = execution != NULL && execution->provider == &shard->engine->external ? execution->call : NULL;
	if (call == NULL || execution->agent_id != message->agent || (call->state != CALL_TAKEN && call->state != CALL_OFFERING)) {
		return ERR_NOT_FOUND;
	}
	call->state = CALL_TAKEN;
	if (!message->is_end) {
		timer_arm(call, loop_now_us(shard->loop) + execution->guild->settings.idle_timeout_us);
		if (message->text.len > 0 && call->state == CALL_TAKEN) {
			call->sink.delta(call->sink.ctx, message->text);
		}
		return ERR_OK;
	}
	str_to_z(message->text.len > 0 ? message->text : STR("stop"), call->finish_reason, sizeof(call->finish_reason));
	call->result.has_usage = message->has_usage;
	call->result.tokens_in = message->tokens_in;
	call->result.tokens_out = message->tokens_out;
	execution->own_fault = message->failed;
	call_end(call, message->failed ? ERR_PROVIDER_FAILED : ERR_OK, message->failed ? "agent" : "ok");
	return ERR_OK;
}

static void message_run(struct loop_note *note, struct loop *loop)
{
	struct external_message *message = container_of(note, struct external_message, note);
	message->result = message_take(&message->engine->shards[loop_number(loop)], message);
	message->note.run = message_back;
	if (message->home == loop) {
		message->answer(message);
	} else {
		loop_note_post(message->home, &message->note);
	}
}

static void message_back(struct loop_note *note, struct loop *loop)
{
	struct external_message *message = container_of(note, struct external_message, note);
	(void)loop;
	message->answer(message);
}
