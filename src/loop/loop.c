/*
 * loop.c - the turn: wait, notes, ready sources, timers, tasks, sending.
 *
 * The transport waits and notes which descriptors are ready; the order inside a turn is ours, and no callback of the
 * program ever runs below it.
 */
#include "loop/loop_priv.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"
#include "loop/socket_fault.h"

static _Thread_local struct loop *current;

static int64_t wait_bound(const struct loop *loop, int64_t wait_us);
static void run_notes(struct loop *loop);
static void run_ready(struct loop *loop);
static void run_timers(struct loop *loop);
static void run_tasks(struct loop *loop);

enum err loop_create(const struct loop_options *options, struct loop **out)
{
	struct loop *loop = mem_alloc(sizeof(*loop));
	enum err err;

	*out = NULL;
	check(options->env && options->number < LIMIT_LOOPS);
	if (!loop) {
		return ERR_MEMORY;
	}
	loop->env = options->env;
	loop->number = options->number;
	loop->transport = options->transport ? options->transport : loop_sockets();
	loop->newcomer.fd = -1;
	loop->now_us = env_mono_us(loop->env);
	atomic_init(&loop->stop, false);
	queue_init(&loop->inbox);
	heap_init(&loop->timers);
	list_init(&loop->tasks);
	list_init(&loop->ready);
	list_init(&loop->conns);
	list_init(&loop->dirty);
	list_init(&loop->closing);
	err = loop->transport->driver->open(loop->transport, loop, &loop->poll);
	if (!err && options->snap) {
		err = snap_reader_add(options->snap, &loop->snap_reader);
		if (err) {
			loop->transport->driver->close(loop->poll);
		}
	}
	if (err) {
		mem_free(loop);
		return err;
	}
	loop->snap = options->snap;
	if (loop->snap) {
		snap_offline(loop->snap, loop->snap_reader);
	}
	*out = loop;
	return ERR_OK;
}

static void abort_conn(struct conn *conn, void *arg)
{
	(void)arg;
	conn_abort(conn, ERR_GOING_AWAY);
}

void loop_destroy(struct loop **loop_at)
{
	struct loop *loop = *loop_at;
	struct loop *outer = current;

	if (!loop) {
		return;
	}
	check(!loop->in_turn);
	current = loop;
	if (loop->snap) {
		snap_online(loop->snap, loop->snap_reader);
	}
	while (!list_empty(&loop->conns)) {
		loop_each_conn(loop, abort_conn, NULL);
		conn_reap(loop);
	}
	if (loop->snap) {
		snap_offline(loop->snap, loop->snap_reader);
	}
	current = outer;
	/* Their owners may still clear them. */
	while (list_pop(&loop->tasks) || list_pop(&loop->ready)) {
	}
	heap_fini(&loop->timers);
	loop->transport->driver->close(loop->poll);
	mem_free(loop);
	*loop_at = NULL;
}

void loop_turn(struct loop *loop, int64_t wait_us)
{
	struct loop *outer = current;

	check(!loop->in_turn);
	current = loop;
	loop->in_turn = true;
	loop->worked = false;
	loop->transport->driver->wait(loop->poll, wait_bound(loop, wait_us));
	/* Asleep between turns too: a loop that nobody turns must not hold back what others retire. */
	if (loop->snap) {
		snap_online(loop->snap, loop->snap_reader);
	}
	loop->now_us = env_mono_us(loop->env);
	run_notes(loop);
	run_ready(loop);
	run_timers(loop);
	run_tasks(loop);
	conn_flush_all(loop);
	conn_reap(loop);
	if (loop->worked) {
		metric_observe_us(METRIC_LOOP_LAG_SECONDS, env_mono_us(loop->env) - loop->now_us);
	}
	if (loop->snap) {
		snap_offline(loop->snap, loop->snap_reader);
	}
	loop->in_turn = false;
	current = outer;
}

void loop_run(struct loop *loop)
{
	while (!atomic_load_explicit(&loop->stop, memory_order_acquire)) {
		loop_turn(loop, -1);
	}
}

void loop_stop(struct loop *loop)
{
	atomic_store_explicit(&loop->stop, true, memory_order_release);
	loop->transport->driver->wake(loop->poll);
}

unsigned loop_number(const struct loop *loop)
{
	return loop->number;
}

const struct env *loop_env(const struct loop *loop)
{
	return loop->env;
}

int64_t loop_now_us(const struct loop *loop)
{
	return loop->in_turn ? loop->now_us : env_mono_us(loop->env);
}

bool loop_is_current(const struct loop *loop)
{
	return current == loop;
}

struct loop *loop_current(void)
{
	return current;
}

size_t loop_connections(const struct loop *loop)
{
	return loop->conn_count;
}

void loop_each_conn(struct loop *loop, void (*fn)(struct conn *conn, void *arg), void *arg)
{
	/* No connection is freed but in conn_reap, so the next one stays valid whatever fn does. */
	for (struct list *at = loop->conns.next; at != &loop->conns; at = at->next) {
		struct conn *conn = container_of(at, struct conn, all);
		if (conn->state != CONN_CLOSED) {
			fn(conn, arg);
		}
	}
}

static bool has_work(const struct loop *loop)
{
	return !list_empty(&loop->ready) || !list_empty(&loop->tasks) || !list_empty(&loop->dirty) ||
	       !list_empty(&loop->closing) || !queue_empty(&loop->inbox);
}

int64_t loop_due_us(const struct loop *loop)
{
	const struct heap_entry *first = heap_first(&loop->timers);
	int64_t now_us = env_mono_us(loop->env);

	if (has_work(loop) || (first && first->at_us <= now_us)) {
		return now_us;
	}
	return first ? first->at_us : INT64_MAX;
}

static int64_t wait_bound(const struct loop *loop, int64_t wait_us)
{
	const struct heap_entry *first = heap_first(&loop->timers);
	int64_t left;

	if (wait_us == 0 || has_work(loop)) {
		return 0;
	}
	if (!first) {
		return wait_us;
	}
	left = first->at_us - env_mono_us(loop->env);
	if (left <= 0) {
		return 0;
	}
	return wait_us < 0 || left < wait_us ? left : wait_us;
}

/* ---- notes ---- */

void loop_note_post(struct loop *loop, struct loop_note *note)
{
	/* The loop's own thread looks at the inbox before it sleeps. */
	if (queue_push(&loop->inbox, &note->node) && current != loop) {
		loop->transport->driver->wake(loop->poll);
	}
}

static void run_notes(struct loop *loop)
{
	struct queue_node *node = queue_take_all(&loop->inbox);

	while (node) {
		struct loop_note *note = container_of(node, struct loop_note, node);
		node = node->next;
		loop->worked = true;
		note->run(note, loop);
	}
}

/* ---- sources ---- */

void loop_source_init(struct loop_source *source, struct loop *loop, int fd,
		      void (*run)(struct loop_source *source, unsigned bits))
{
	list_init(&source->link);
	source->loop = loop;
	source->fd = fd;
	source->run = run;
	source->ready = 0;
	source->watched = 0;
}

enum err loop_source_watch(struct loop_source *source, unsigned bits)
{
	struct loop *loop = source->loop;
	unsigned had = source->watched;
	enum err err;

	if (bits == had) {
		return ERR_OK;
	}
	source->ready &= (uint8_t)(bits | LOOP_AGAIN);
	err = loop->transport->driver->watch(loop->poll, source, source->fd, had, bits);
	source->watched = err ? 0 : (uint8_t)bits;
	return err;
}

void loop_source_mark(struct loop_source *source, unsigned bits)
{
	source->ready |= (uint8_t)bits;
	if (list_empty(&source->link)) {
		list_push(&source->loop->ready, &source->link);
	}
}

void loop_source_fini(struct loop_source *source)
{
	/* To look at nothing cannot fail. */
	check(loop_source_watch(source, 0) == ERR_OK);
	source->ready = 0;
	list_remove(&source->link);
}

static void run_ready(struct loop *loop)
{
	struct list batch;
	struct list *node;

	/* What is noted from here on waits for the next turn: nobody keeps the loop in this step. */
	list_take(&loop->ready, &batch);
	while ((node = list_pop(&batch))) {
		struct loop_source *source = container_of(node, struct loop_source, link);
		unsigned bits = source->ready;
		source->ready = 0;
		if (bits) {
			loop->worked = true;
			source->run(source, bits);
		}
	}
}

/* ---- timers ---- */

enum err loop_timer_set(struct loop *loop, struct loop_timer *timer, int64_t at_us)
{
	return heap_set(&loop->timers, &timer->entry, at_us);
}

void loop_timer_clear(struct loop *loop, struct loop_timer *timer)
{
	heap_remove(&loop->timers, &timer->entry);
}

static void run_timers(struct loop *loop)
{
	uint64_t newest = loop->timers.next_number;
	struct heap_entry *first;

	while ((first = heap_first(&loop->timers)) && first->at_us <= loop->now_us) {
		struct loop_timer *timer = container_of(first, struct loop_timer, entry);
		if (first->number > newest) {
			/* Set during this step: it goes behind all that are due, and runs in the next turn. */
			check(heap_set(&loop->timers, first, loop->now_us + 1) == ERR_OK);
			continue;
		}
		heap_remove(&loop->timers, first);
		loop->worked = true;
		timer->run(timer, loop);
	}
}

/* ---- tasks ---- */

void loop_task_add(struct loop *loop, struct loop_task *task)
{
	if (list_empty(&task->link)) {
		list_push(&loop->tasks, &task->link);
	}
}

void loop_task_cancel(struct loop_task *task)
{
	list_remove(&task->link);
}

static void run_tasks(struct loop *loop)
{
	struct list batch;
	struct list *node;

	list_take(&loop->tasks, &batch);
	while ((node = list_pop(&batch))) {
		struct loop_task *task = container_of(node, struct loop_task, link);
		loop->worked = true;
		task->run(task, loop);
	}
}

/* ---- watches ---- */

struct loop_watch {
	struct loop_source source;
	void (*run)(void *arg, int fd, unsigned bits);
	void *arg;
};

static void watch_ready(struct loop_source *source, unsigned bits)
{
	struct loop_watch *watch = container_of(source, struct loop_watch, source);

	/* Level-triggered: what is not told now comes again. */
	if (socket_fault_ready(source->fd)) {
		watch->run(watch->arg, source->fd, bits);
	}
}

enum err loop_watch_open(struct loop *loop, int fd, unsigned bits, void (*run)(void *arg, int fd, unsigned bits), void *arg,
			 struct loop_watch **out)
{
	struct loop_watch *watch = mem_alloc(sizeof(*watch));
	enum err err;

	*out = NULL;
	if (!watch) {
		return ERR_MEMORY;
	}
	loop_source_init(&watch->source, loop, fd, watch_ready);
	watch->run = run;
	watch->arg = arg;
	err = loop_source_watch(&watch->source, bits);
	if (err) {
		mem_free(watch);
		return err;
	}
	*out = watch;
	return ERR_OK;
}

enum err loop_watch_change(struct loop_watch *watch, unsigned bits)
{
	return loop_source_watch(&watch->source, bits);
}

void loop_watch_close(struct loop_watch **watch)
{
	if (!*watch) {
		return;
	}
	loop_source_fini(&(*watch)->source);
	mem_free(*watch);
	*watch = NULL;
}
