/* message_delivered.c - which direct messages reached their recipients: collected on each loop, at most one job of each under way. */
#include "base/mem.h"
#include "social/message_priv.h"

#define RETRY_US 100000

struct delivered {
	struct loop_task task;
	struct loop_timer timer; /* the writer had no room */
	struct write_job job;
	struct guild *guild;
	bool busy;
	size_t waiting_count, job_count;
	int64_t job_at_us;
	int64_t waiting[LIMIT_DELIVERED];
	int64_t job_ids[LIMIT_MARK_ROWS];
};

/* By loop number; each loop makes and uses its own. */
struct delivered_table {
	struct delivered *loops[LIMIT_LOOPS];
};

static enum err delivered_apply(struct write_job *job, struct db *db)
{
	struct delivered *d = container_of(job, struct delivered, job);
	enum err err = ERR_OK;
	for (size_t i = 0; i < d->job_count && err == ERR_OK; i++) {
		err = message_delivered_set(db, d->job_ids[i], d->job_at_us);
	}
	return err;
}

static void delivered_flush(struct delivered *d, struct loop *loop)
{
	if (d->busy || d->waiting_count == 0) {
		return;
	}
	size_t count = d->waiting_count < LIMIT_MARK_ROWS ? d->waiting_count : LIMIT_MARK_ROWS;
	memcpy(d->job_ids, d->waiting, count * sizeof(d->waiting[0]));
	d->job_count = count;
	d->job_at_us = env_wall_us(d->guild->env);
	d->job.home = loop;
	enum err err = writer_push(d->guild->writer, &d->job);
	if (err == ERR_OK) {
		d->busy = true;
		d->waiting_count -= count;
		memmove(d->waiting, d->waiting + count, d->waiting_count * sizeof(d->waiting[0]));
	} else if (err == ERR_OVERLOADED && loop_timer_set(loop, &d->timer, loop_now_us(loop) + RETRY_US) != ERR_OK) {
		d->waiting_count = 0;
	}
}

static void delivered_task(struct loop_task *task, struct loop *loop)
{
	delivered_flush(container_of(task, struct delivered, task), loop);
}

static void delivered_timer(struct loop_timer *timer, struct loop *loop)
{
	delivered_flush(container_of(timer, struct delivered, timer), loop);
}

static void delivered_done(struct write_job *job)
{
	struct delivered *d = container_of(job, struct delivered, job);
	d->busy = false;
	delivered_flush(d, job->home);
}

static struct delivered *delivered_of(struct social *social, struct loop *loop)
{
	struct delivered **at = &social->delivered->loops[loop_number(loop)];
	if (*at != NULL) {
		return *at;
	}
	struct delivered *d = mem_alloc(sizeof(*d));
	if (d != NULL) {
		d->guild = social->guild;
		d->task.run = delivered_task;
		d->timer.run = delivered_timer;
		d->job.apply = delivered_apply;
		d->job.done = delivered_done;
		d->job.sweep = true;
		list_init(&d->task.link);
	}
	*at = d;
	return d;
}

/* What finds no room is not marked now; its recipient's next look at the inbox marks it. */
void message_delivered(struct social *social, struct loop *loop, int64_t message)
{
	struct delivered *d = delivered_of(social, loop);
	if (d == NULL || d->waiting_count == LIMIT_DELIVERED) {
		return;
	}
	/* Several connections of one recipient hear it one after the other. */
	if (d->waiting_count > 0 && d->waiting[d->waiting_count - 1] == message) {
		return;
	}
	d->waiting[d->waiting_count++] = message;
	loop_task_add(loop, &d->task);
}

void social_delivered(struct social *social, struct loop *loop, const struct bus_event *event)
{
	const struct str before = STR("{\"id\":\"");
	int64_t message;
	if (event->data.len < before.len + ID_TEXT_LEN || !str_starts(event->data, before)) {
		return;
	}
	struct str id = str_sub(event->data, before.len, ID_TEXT_LEN);
	if (id_parse(&social->guild->id_secret, ID_DIRECT_MESSAGE, id, &message) == ERR_OK) {
		message_delivered(social, loop, message);
	}
}

enum err message_delivered_create(struct social *social)
{
	social->delivered = mem_alloc(sizeof(*social->delivered));
	return social->delivered != NULL ? ERR_OK : ERR_MEMORY;
}

void message_delivered_destroy(struct social *social)
{
	for (unsigned i = 0; social->delivered != NULL && i < LIMIT_LOOPS; i++) {
		mem_free(social->delivered->loops[i]);
	}
	mem_free(social->delivered);
	social->delivered = NULL;
}
