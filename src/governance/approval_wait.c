/*
 * approval_wait.c - one approval, now or when it is decided.
 *
 *   READ    a reader: the row. Open and time left? WAIT, else the answer
 *   WAIT    its event came: READ. The time is over, the server stops, or the approval has expired: the answer
 *
 * Subscribed before the first read, so that no decision falls between the two.
 */
#include "base/limits.h"
#include "governance/approval_priv.h"

enum { SLICE_US = 250000 };

struct wait {
	struct bus_subscriber subscriber;
	struct loop_timer timer;
	struct loop_task task;
	struct read_job read;
	struct guild *guild;
	struct http_request *request;
	int64_t id, until_us; /* until_us: monotonic */
	struct approval approval;
	bool waits, reading, stale;
};

static void look(struct wait *wait);
static enum err read_run(struct read_job *job, struct db *db);
static void read_done(struct read_job *job);
static void on_event(struct bus_subscriber *subscriber, struct bus_event *event);
static void on_missed(struct bus_subscriber *subscriber, int64_t from, bool others);
static void on_task(struct loop_task *task, struct loop *loop);
static void on_timer(struct loop_timer *timer, struct loop *loop);

static void answer(struct wait *wait, enum err err)
{
	struct http_request *request = wait->request;
	struct guild *guild = wait->guild;
	if (wait->waits) {
		bus_unsubscribe_all(guild->bus, request->loop, &wait->subscriber);
		loop_timer_clear(request->loop, &wait->timer);
		loop_task_cancel(&wait->task);
		atomic_fetch_sub(&guild->approvals->waits, 1);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
		return;
	}
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	approval_json(guild, &wait->approval, &json);
	change_reply(request, 200, &text);
}

static enum err wait_begin(struct wait *wait)
{
	struct approvals *approvals = wait->guild->approvals;
	struct str topic = approval_topic(wait->guild, &wait->request->arena, wait->id);
	if (atomic_fetch_add(&approvals->waits, 1) >= LIMIT_APPROVAL_WAITS) {
		atomic_fetch_sub(&approvals->waits, 1);
		return ERR_OVERLOADED;
	}
	bus_subscriber_init(&wait->subscriber, on_event);
	wait->subscriber.missed = on_missed;
	list_init(&wait->task.link);
	wait->task.run = on_task;
	wait->timer.run = on_timer;
	wait->waits = true;
	return topic.at != NULL ? bus_subscribe(wait->guild->bus, wait->request->loop, &wait->subscriber, topic) : ERR_LIMIT;
}

void approval_wait_start(struct guild *guild, struct http_request *request, int64_t id, int64_t wait_us)
{
	struct wait *wait = arena_new(&request->arena, struct wait);
	if (wait == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	wait->guild = guild;
	wait->request = request;
	wait->id = id;
	wait->until_us = loop_now_us(request->loop) + wait_us;
	enum err err = wait_us > 0 ? wait_begin(wait) : ERR_OK;
	if (err != ERR_OK) {
		answer(wait, err);
		return;
	}
	look(wait);
}

static void look(struct wait *wait)
{
	wait->read = (struct read_job){.run = read_run, .done = read_done, .home = wait->request->loop};
	wait->stale = false;
	enum err err = reader_push(wait->guild->readers, &wait->read);
	wait->reading = err == ERR_OK;
	if (err != ERR_OK) {
		answer(wait, err);
	}
}

static enum err read_run(struct read_job *job, struct db *db)
{
	struct wait *wait = container_of(job, struct wait, read);
	return approval_get(db, &wait->request->arena, wait->id, &wait->approval);
}

static bool is_over(const struct wait *wait)
{
	struct guild *guild = wait->guild;
	return approval_status_at(&wait->approval, env_wall_us(guild->env)) != APPROVAL_PENDING ||
	       loop_now_us(wait->request->loop) >= wait->until_us || atomic_load(&guild->stopping);
}

static void sleep_on(struct wait *wait)
{
	struct loop *loop = wait->request->loop;
	int64_t next_us = loop_now_us(loop) + SLICE_US;
	enum err err = loop_timer_set(loop, &wait->timer, next_us < wait->until_us ? next_us : wait->until_us);
	if (err != ERR_OK) {
		answer(wait, err);
	}
}

static void read_done(struct read_job *job)
{
	struct wait *wait = container_of(job, struct wait, read);
	struct guild *guild = wait->guild;
	enum err err = job->result;
	wait->reading = false;
	if (err == ERR_OK &&
	    !approval_visible(&wait->request->caller, &wait->approval, registry_get(guild->registry, wait->approval.agent))) {
		err = ERR_NOT_FOUND;
	}
	if (err != ERR_OK || !wait->waits || is_over(wait)) {
		answer(wait, err);
	} else if (wait->stale) {
		look(wait);
	} else {
		sleep_on(wait);
	}
}

static void on_event(struct bus_subscriber *subscriber, struct bus_event *event)
{
	struct wait *wait = container_of(subscriber, struct wait, subscriber);
	(void)event;
	wait->stale = true;
	if (!wait->reading) {
		loop_task_add(wait->request->loop, &wait->task);
	}
}

static void on_missed(struct bus_subscriber *subscriber, int64_t from, bool others)
{
	(void)from, (void)others;
	on_event(subscriber, NULL);
}

static void on_task(struct loop_task *task, struct loop *loop)
{
	struct wait *wait = container_of(task, struct wait, task);
	(void)loop;
	if (!wait->reading) {
		look(wait);
	}
}

static void on_timer(struct loop_timer *timer, struct loop *loop)
{
	struct wait *wait = container_of(timer, struct wait, timer);
	(void)loop;
	if (wait->reading) {
		return;
	}
	if (is_over(wait)) {
		answer(wait, ERR_OK);
	} else {
		sleep_on(wait);
	}
}
