/* engine.c - the shards: starting, keeping finished streams, orders from other loops, cancel, drain. */
#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"
#include "execution/admit_priv.h"
#include "execution/erase_priv.h"

/* Something to be done with an execution on the loop that owns it. */
struct engine_order {
	struct loop_note note;
	struct engine *engine;
	int64_t execution;
	bool dequeue;
	enum err why;
	const char *reason;
	bool rollback;
};

static void order_run(struct loop_note *note, struct loop *loop);
static void evict_run(struct loop_timer *timer, struct loop *loop);
static void cancel_at_owner(struct loop_note *note, struct loop *loop);
static void cancel_at_home(struct loop_note *note, struct loop *loop);

enum err engine_create(struct guild *guild, struct engine **out)
{
	struct engine *engine = mem_alloc(sizeof(*engine));
	if (engine == NULL) {
		return ERR_MEMORY;
	}
	engine->guild = guild;
	guild->run_again = execution_run_again;
	guild->runs = &execution_runs;
	external_init(engine);
	engine->shard_count = guild->loop_count;
	engine->shards = mem_alloc(engine->shard_count * sizeof(struct engine_shard));
	if (engine->shards == NULL) {
		mem_free(engine);
		return ERR_MEMORY;
	}
	for (unsigned i = 0; i < engine->shard_count; i++) {
		struct engine_shard *shard = &engine->shards[i];
		shard->engine = engine;
		shard->loop = guild->loops[i];
		shard->evict_timer.run = evict_run;
		map_init(&shard->by_id, LIMIT_EXECUTIONS_LOOP);
		list_init(&shard->running);
		list_init(&shard->kept);
		list_init(&shard->stuck);
		list_init(&shard->external_waiting);
		buf_init(&shard->scratch, 8 * (size_t)LIMIT_ANSWER_BYTES);
	}
	*out = engine;
	return ERR_OK;
}

void engine_abandon(struct engine *engine)
{
	for (unsigned i = 0; i < engine->shard_count; i++) {
		struct list *running = &engine->shards[i].running;
		for (struct list *at = running->next; at != running; at = at->next) {
			flow_going_away(container_of(at, struct execution, link));
		}
	}
}

void engine_destroy(struct engine **engine)
{
	if (*engine == NULL) {
		return;
	}
	for (unsigned i = 0; i < (*engine)->shard_count; i++) {
		struct engine_shard *shard = &(*engine)->shards[i];
		while (!list_empty(&shard->running)) {
			flow_destroy(container_of(shard->running.next, struct execution, link));
		}
		while (!list_empty(&shard->kept)) {
			flow_destroy(container_of(shard->kept.next, struct execution, link));
		}
		while (!list_empty(&shard->stuck)) {
			flow_destroy(container_of(shard->stuck.next, struct execution, link));
		}
		loop_timer_clear(shard->loop, &shard->evict_timer);
		loop_timer_clear(shard->loop, &shard->drain_timer);
		map_fini(&shard->by_id);
		buf_fini(&shard->scratch);
	}
	mem_free((*engine)->shards);
	mem_free(*engine);
	*engine = NULL;
}

struct engine_shard *engine_shard_of(struct engine *engine, int64_t execution)
{
	return &engine->shards[id_loop(execution) % engine->shard_count];
}

static uint64_t hint_bit(int64_t session)
{
	return (uint64_t)session * UINT64_C(0x9e3779b97f4a7c15) % (ENGINE_HINT_WORDS * 64);
}

void engine_queue_hint_set(struct engine *engine, int64_t session)
{
	engine->queue_hints[hint_bit(session) / 64] |= UINT64_C(1) << hint_bit(session) % 64;
}

bool engine_queue_hint(const struct engine *engine, int64_t session)
{
	return (engine->queue_hints[hint_bit(session) / 64] >> hint_bit(session) % 64 & 1) != 0;
}

size_t engine_running(const struct engine *engine, const struct loop *loop)
{
	const struct engine_shard *shard = &engine->shards[loop_number(loop)];
	return shard->running_count - shard->postponed_count;
}

enum err execution_start(struct engine *engine, struct loop *loop, const struct chat_request *request, const struct chat_listener *listener)
{
	struct engine_shard *shard = &engine->shards[loop_number(loop)];
	struct execution *execution;
	check(loop_is_current(loop));
	if (shard->draining) {
		return ERR_GOING_AWAY;
	}
	enum err err = flow_create(shard, request, &execution);
	if (err != ERR_OK) {
		return err == ERR_LIMIT ? ERR_OVERLOADED : err;
	}
	if (listener != NULL) {
		execution->listener = *listener;
		execution->has_listener = true;
	}
	flow_start(execution);
	return ERR_OK;
}

void execution_forget_listener(struct engine *engine, struct loop *loop, int64_t id, void *ctx)
{
	struct execution *execution = map_get(&engine->shards[loop_number(loop)].by_id, (uint64_t)id);
	if (execution != NULL && execution->has_listener && execution->listener.ctx == ctx) {
		execution->has_listener = false;
	}
}

/* ---- finished streams ---- */

static size_t kept_bytes_of(const struct execution *execution)
{
	return sizeof(*execution) + execution->log.text.cap + execution->log.cap * sizeof(struct stream_item);
}

/* The oldest ones go when the time or the room is used up. Oldest first, so one with a batch in flight delays the others shortly. */
static void evict(struct engine_shard *shard)
{
	int64_t keep_us = shard->engine->guild->settings.keep_finished_us;
	int64_t now_us = loop_now_us(shard->loop);
	while (!list_empty(&shard->kept)) {
		struct execution *oldest = container_of(shard->kept.next, struct execution, link);
		bool crowded = shard->kept_bytes > LIMIT_KEEP_FINISHED_BYTES || shard->by_id.count > LIMIT_EXECUTIONS_LOOP / 2;
		if (oldest->batch.in_flight || (!crowded && oldest->finished_mono_us + keep_us > now_us)) {
			break;
		}
		shard->kept_bytes -= kept_bytes_of(oldest);
		flow_destroy(oldest);
	}
	if (!list_empty(&shard->kept) && shard->evict_timer.entry.index == 0) {
		(void)!loop_timer_set(shard->loop, &shard->evict_timer, now_us + 1000000);
	}
}

void engine_kept_drop(struct engine_shard *shard, int64_t principal)
{
	struct list *next;
	for (struct list *at = shard->kept.next; at != &shard->kept; at = next) {
		struct execution *execution = container_of(at, struct execution, link);
		next = at->next;
		if (execution->caller.principal == principal && !execution->batch.in_flight) {
			shard->kept_bytes -= kept_bytes_of(execution);
			flow_destroy(execution);
		}
	}
}

static void evict_run(struct loop_timer *timer, struct loop *loop)
{
	(void)loop;
	evict(container_of(timer, struct engine_shard, evict_timer));
}

static void keep_run(struct loop_task *task, struct loop *loop)
{
	struct execution *execution = container_of(task, struct execution, step_task);
	struct engine_shard *shard = execution->shard;
	(void)loop;
	arena_fini(&execution->arena);
	execution->history = NULL;
	list_remove(&execution->link);
	if (execution->abandoned) {
		list_push(&shard->stuck, &execution->link);
		return;
	}
	list_push(&shard->kept, &execution->link);
	shard->kept_bytes += kept_bytes_of(execution);
	evict(shard);
}

/* The arena goes at the end of the turn: the caller may still be reading from it. */
void engine_keep(struct execution *execution)
{
	loop_timer_clear(execution->shard->loop, &execution->total_timer);
	loop_timer_clear(execution->shard->loop, &execution->batch_timer);
	loop_timer_clear(execution->shard->loop, &execution->retry_timer);
	execution->step_task.run = keep_run;
	loop_task_add(execution->shard->loop, &execution->step_task);
}

/* ---- orders ---- */

struct engine_order *engine_order_make(struct engine *engine)
{
	struct engine_order *order = mem_alloc(sizeof(*order));
	if (order != NULL) {
		order->engine = engine;
		order->note.run = order_run;
	}
	return order;
}

void engine_order_free(struct engine_order **order)
{
	mem_free(*order);
	*order = NULL;
}

static void order_post_take(struct engine_order *order, int64_t execution)
{
	order->execution = execution;
	loop_note_post(engine_shard_of(order->engine, execution)->loop, &order->note);
}

void engine_dequeue_take(struct engine_order *order, int64_t execution)
{
	order->dequeue = true;
	order_post_take(order, execution);
}

void engine_stop_execution_take(struct engine_order *order, int64_t execution, enum err why, const char *reason, bool rollback)
{
	order->why = why;
	order->reason = reason;
	order->rollback = rollback;
	order_post_take(order, execution);
}

static void order_run(struct loop_note *note, struct loop *loop)
{
	struct engine_order *order = container_of(note, struct engine_order, note);
	struct engine_shard *shard = &order->engine->shards[loop_number(loop)];
	struct execution *execution = map_get(&shard->by_id, (uint64_t)order->execution);
	if (execution != NULL) {
		if (!order->dequeue) {
			flow_stop(execution, order->why, order->reason, order->rollback);
		} else if (execution->state == STATE_RECORD) {
			execution->promoted = true;
		} else {
			flow_dequeue(execution);
		}
	}
	mem_free(order);
}

/* ---- cancel ---- */

void execution_cancel(struct engine *engine, struct cancel_request *request)
{
	request->engine = engine;
	request->note.run = cancel_at_owner;
	loop_note_post(engine_shard_of(engine, request->id)->loop, &request->note);
}

static void cancel_at_owner(struct loop_note *note, struct loop *loop)
{
	struct cancel_request *request = container_of(note, struct cancel_request, note);
	struct engine_shard *shard = &request->engine->shards[loop_number(loop)];
	struct execution *execution = map_get(&shard->by_id, (uint64_t)request->id);
	request->result = ERR_NOT_FOUND;
	if (execution != NULL && execution->recorded && execution->caller.workspace == request->caller.workspace &&
	    (execution->caller.principal == request->caller.principal || caller_is_admin(&request->caller))) {
		bool over = execution->state > STATE_REMEMBER || execution->settling;
		request->result = over ? ERR_CONFLICT : ERR_OK;
		execution->human_cancel = execution->human_cancel || (!over && !execution->cancel_wanted && request->caller.role != ROLE_AGENT);
		flow_stop(execution, ERR_CANCELLED, "cancelled by its user", false);
	}
	request->note.run = cancel_at_home;
	loop_note_post(request->home, &request->note);
}

static void cancel_at_home(struct loop_note *note, struct loop *loop)
{
	struct cancel_request *request = container_of(note, struct cancel_request, note);
	(void)loop;
	request->answer(request);
}

/* ---- stopping ---- */

static void drain_run(struct loop_timer *timer, struct loop *loop)
{
	struct engine_shard *shard = container_of(timer, struct engine_shard, drain_timer);
	struct list *next;
	(void)loop;
	shard->drained = true;
	for (struct list *at = shard->running.next; at != &shard->running; at = next) {
		struct execution *execution = container_of(at, struct execution, link);
		next = at->next;
		if (execution->state != STATE_QUEUED || execution->promoted) {
			flow_stop(execution, ERR_INTERRUPTED, "server stops", false);
		}
	}
}

void engine_drain(struct engine *engine, struct loop *loop, int64_t deadline_us)
{
	struct engine_shard *shard = &engine->shards[loop_number(loop)];
	struct list *next;
	shard->draining = true;
	for (struct list *at = shard->running.next; at != &shard->running; at = next) {
		struct execution *execution = container_of(at, struct execution, link);
		next = at->next;
		if (execution->state == STATE_QUEUED && !execution->promoted) {
			flow_postpone(execution);
		}
	}
	shard->drain_timer.run = drain_run;
	if (loop_timer_set(loop, &shard->drain_timer, deadline_us) != ERR_OK) {
		drain_run(&shard->drain_timer, loop);
	}
}
