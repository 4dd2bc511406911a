/*
 * viewer.c - a cursor into the log of one execution, wherever that log is.
 *
 * On the loop that owns the run, a viewer is attached to its log: at the end of a turn it sends what is new, in one frame.
 * Elsewhere it subscribes to the execution's topic, and
 *
 *   FETCHING  frames after the cursor are asked of the owner's loop, or of the store; live ones are only noted
 *   LIVE      the cursor is at the end: live frames go straight out
 *   LAGGING   the listener is too slow: nothing goes out until it has drained, then FETCHING (attached: LIVE)
 *   OVER      the terminal frame went out, or the execution is not there
 */
#include "base/check.h"
#include "base/mem.h"
#include "execution/execution_priv.h"

#define FETCH_FRAMES 256

enum viewer_state { VIEWER_FETCHING, VIEWER_LIVE, VIEWER_LAGGING, VIEWER_OVER };

struct fetch;

struct execution_viewer {
	struct bus_subscriber subscriber;
	struct execution *attached;  /* NULL: by the bus */
	struct list link;            /* in its viewers */
	struct execution_viewer_options options;
	struct engine *engine;
	struct loop *loop;
	struct loop_task task;       /* goes on, or ends, outside of callbacks */
	struct fetch *fetch;         /* under way */
	enum viewer_state state;
	enum err end;
	int64_t next_seq;
	int64_t live_seen;           /* greatest number seen live while not LIVE */
	bool missed;                 /* frames may have gone by unseen since the fetch under way began */
	char topic[64];
};

/* One question for frames; outlives a viewer that went away. */
struct fetch {
	struct loop_note note;
	struct read_job read;
	struct execution_viewer *viewer; /* home loop only; NULL: gone */
	struct engine *engine;
	struct loop *home;
	int64_t execution, after_seq, after_epoch;
	enum bus_form form;
	bool owned;                  /* the owner's loop knows the execution */
	bool found, ended;
	int64_t epoch, seq_first, seq_last;
	unsigned count;
	struct frame *frames[FETCH_FRAMES];
};

static void deliver(struct bus_subscriber *subscriber, struct bus_event *event);
static void frames_missed(struct bus_subscriber *subscriber, int64_t from, bool others);
static void task_run(struct loop_task *task, struct loop *loop);
static void fetch_begin(struct execution_viewer *viewer);
static void fetch_at_owner(struct loop_note *note, struct loop *loop);
static void fetch_at_home(struct loop_note *note, struct loop *loop);
static enum err fetch_read(struct read_job *job, struct db *db);
static void fetch_read_done(struct read_job *job);
static void fetch_fill(struct fetch *fetch, const struct stream_log *log);
static void fetch_free(struct fetch *fetch);
static void viewer_take(struct execution_viewer *viewer, struct fetch *fetch);
static void viewer_over(struct execution_viewer *viewer, enum err err);
static bool send_frame(struct execution_viewer *viewer, struct frame *frame, int64_t seq);
static void attached_flush(struct execution_viewer *viewer);

/* The run of that id, when this loop owns it and the viewer's cursor belongs to its log as it is now. */
static struct execution *attachable(const struct execution_viewer *viewer)
{
	struct engine_shard *owner = engine_shard_of(viewer->engine, viewer->options.execution);
	struct execution *execution =
		owner->loop == viewer->loop ? map_get(&owner->by_id, (uint64_t)viewer->options.execution) : NULL;
	bool fits = execution != NULL && execution->recorded && execution->log.epoch == viewer->options.after_epoch;
	return fits ? execution : NULL;
}

enum err execution_viewer_create(struct engine *engine, struct loop *loop, const struct execution_viewer_options *options,
				 struct execution_viewer **out)
{
	struct execution_viewer *viewer = mem_alloc(sizeof(*viewer));
	if (viewer == NULL) {
		return ERR_MEMORY;
	}
	struct id_text id = id_format(&engine->guild->id_secret, ID_EXECUTION, options->execution);
	viewer->options = *options;
	viewer->options.after_epoch = options->after_epoch != 0 ? options->after_epoch : 1;
	viewer->engine = engine;
	viewer->loop = loop;
	viewer->next_seq = options->after_seq + 1;
	viewer->task.run = task_run;
	list_init(&viewer->task.link);
	list_init(&viewer->link);
	bus_subscriber_init(&viewer->subscriber, deliver);
	viewer->subscriber.missed = frames_missed;
	viewer->attached = attachable(viewer);
	if (viewer->attached != NULL) {
		viewer->state = VIEWER_LIVE;
		list_push(&viewer->attached->viewers, &viewer->link);
		loop_task_add(loop, &viewer->task);
		*out = viewer;
		return ERR_OK;
	}
	memcpy(viewer->topic, "execution:", 10);
	memcpy(viewer->topic + 10, id.text, ID_TEXT_LEN + 1);
	enum err err = bus_subscribe(engine->guild->bus, loop, &viewer->subscriber, str_of(viewer->topic));
	if (err != ERR_OK) {
		mem_free(viewer);
		return err;
	}
	*out = viewer;
	fetch_begin(viewer);
	return ERR_OK;
}

void execution_viewer_destroy(struct execution_viewer **viewer)
{
	struct execution_viewer *v = *viewer;
	if (v == NULL) {
		return;
	}
	bus_unsubscribe_all(v->engine->guild->bus, v->loop, &v->subscriber);
	list_remove(&v->link);
	loop_task_cancel(&v->task);
	if (v->fetch != NULL) {
		v->fetch->viewer = NULL;
	}
	mem_free(v);
	*viewer = NULL;
}

void execution_viewer_drained(struct execution_viewer *viewer)
{
	if (viewer->state == VIEWER_LAGGING) {
		viewer->state = viewer->attached != NULL ? VIEWER_LIVE : VIEWER_FETCHING;
		loop_task_add(viewer->loop, &viewer->task);
	}
}

/* ---- attached ---- */

void viewer_wake_all(struct execution *execution)
{
	if (!list_empty(&execution->viewers)) {
		loop_task_add(execution->shard->loop, &execution->viewers_task);
	}
}

/* What a viewer's owner does when it has ended may destroy others: each is looked at once, from a list of its own. */
void viewer_run_all(struct loop_task *task, struct loop *loop)
{
	struct execution *execution = container_of(task, struct execution, viewers_task);
	struct list batch, *link;
	(void)loop;
	list_take(&execution->viewers, &batch);
	while ((link = list_pop(&batch)) != NULL) {
		struct execution_viewer *viewer = container_of(link, struct execution_viewer, link);
		list_push(&execution->viewers, link);
		attached_flush(viewer);
		if (viewer->state == VIEWER_OVER) {
			loop_task_cancel(&viewer->task);
			viewer->options.ended(viewer->options.ctx, viewer->end);
		}
	}
}

void viewer_orphan_all(struct execution *execution)
{
	struct list *link;
	loop_task_cancel(&execution->viewers_task);
	while ((link = list_pop(&execution->viewers)) != NULL) {
		struct execution_viewer *viewer = container_of(link, struct execution_viewer, link);
		viewer->attached = NULL;
		if (viewer->state == VIEWER_LIVE) {
			viewer->state = VIEWER_FETCHING;
			loop_task_add(viewer->loop, &viewer->task);
		}
	}
}

/* Everything from the cursor on, up to what one frame may hold; NULL: no memory. */
static struct frame *attached_frame(struct execution_viewer *viewer, int64_t seq_last, int64_t *upto)
{
	struct execution *execution = viewer->attached;
	struct buf *scratch = &execution->shard->scratch;
	if (viewer->options.form != BUS_FORM_SSE) {
		*upto = viewer->next_seq;
		return stream_log_frame(&execution->log, *upto, viewer->options.form);
	}
	buf_clear(scratch);
	*upto = stream_log_sse(&execution->log, viewer->next_seq, seq_last, scratch);
	return buf_err(scratch) == ERR_OK ? http_sse_chunk(buf_str(scratch)) : NULL;
}

static void attached_flush(struct execution_viewer *viewer)
{
	struct stream_log *log = &viewer->attached->log;
	int64_t seq_last = stream_log_seq_last(log);
	while (viewer->state == VIEWER_LIVE && viewer->next_seq <= seq_last) {
		int64_t upto;
		struct frame *frame = attached_frame(viewer, seq_last, &upto);
		if (frame == NULL) {
			viewer_over(viewer, ERR_MEMORY);
		} else {
			(void)send_frame(viewer, frame, upto);
		}
	}
	if (viewer->state == VIEWER_LIVE && log->ended) {
		viewer_over(viewer, ERR_OK);
	}
}

/* ---- live ---- */

static bool send_frame(struct execution_viewer *viewer, struct frame *frame, int64_t seq)
{
	enum err err = viewer->options.send_take(viewer->options.ctx, frame, seq);
	if (err == ERR_TOO_SLOW) {
		viewer->state = VIEWER_LAGGING;
		return false;
	}
	if (err != ERR_OK) {
		viewer_over(viewer, err);
		return false;
	}
	viewer->next_seq = seq + 1;
	return true;
}

static void deliver(struct bus_subscriber *subscriber, struct bus_event *event)
{
	struct execution_viewer *viewer = container_of(subscriber, struct execution_viewer, subscriber);
	if (event->seq == 0 || event->execution != viewer->options.execution || viewer->state == VIEWER_OVER) {
		return;
	}
	viewer->live_seen = event->seq > viewer->live_seen ? event->seq : viewer->live_seen;
	if (viewer->state == VIEWER_LIVE && event->seq < viewer->next_seq && event->ends_stream) {
		/* The cursor it came with lies behind the end. */
		viewer_over(viewer, ERR_OK);
		return;
	}
	if (viewer->state != VIEWER_LIVE || event->seq < viewer->next_seq) {
		return;
	}
	struct frame *frame = event->seq == viewer->next_seq ? bus_event_frame(viewer->engine->guild->bus, event, viewer->options.form) : NULL;
	if (frame == NULL) {
		viewer->state = VIEWER_FETCHING;
		loop_task_add(viewer->loop, &viewer->task);
	} else if (send_frame(viewer, frame_hold(frame), event->seq) && event->ends_stream) {
		viewer_over(viewer, ERR_OK);
	}
}

/* What went by is still in the log. */
static void frames_missed(struct bus_subscriber *subscriber, int64_t from, bool others)
{
	struct execution_viewer *viewer = container_of(subscriber, struct execution_viewer, subscriber);
	(void)from;
	viewer->missed = viewer->missed || others;
	if (viewer->missed && viewer->state == VIEWER_LIVE) {
		viewer->state = VIEWER_FETCHING;
		loop_task_add(viewer->loop, &viewer->task);
	}
}

static void viewer_over(struct execution_viewer *viewer, enum err err)
{
	viewer->state = VIEWER_OVER;
	viewer->end = err;
	loop_task_add(viewer->loop, &viewer->task);
}

static void task_run(struct loop_task *task, struct loop *loop)
{
	struct execution_viewer *viewer = container_of(task, struct execution_viewer, task);
	(void)loop;
	if (viewer->attached != NULL && viewer->state == VIEWER_LIVE) {
		attached_flush(viewer);
	}
	if (viewer->state == VIEWER_OVER) {
		loop_task_cancel(task);
		viewer->options.ended(viewer->options.ctx, viewer->end);
	} else if (viewer->state == VIEWER_FETCHING && viewer->fetch == NULL) {
		fetch_begin(viewer);
	}
}

/* ---- fetching ---- */

static void fetch_begin(struct execution_viewer *viewer)
{
	struct engine_shard *owner = engine_shard_of(viewer->engine, viewer->options.execution);
	struct fetch *fetch = mem_alloc(sizeof(*fetch));
	if (fetch == NULL) {
		viewer_over(viewer, ERR_MEMORY);
		return;
	}
	fetch->viewer = viewer;
	fetch->engine = viewer->engine;
	fetch->home = viewer->loop;
	fetch->execution = viewer->options.execution;
	fetch->after_seq = viewer->next_seq - 1;
	fetch->after_epoch = viewer->options.after_epoch;
	fetch->form = viewer->options.form;
	viewer->fetch = fetch;
	viewer->missed = false;
	viewer->state = VIEWER_FETCHING;
	fetch->note.run = fetch_at_owner;
	if (owner->loop == viewer->loop) {
		fetch_at_owner(&fetch->note, viewer->loop);
	} else {
		loop_note_post(owner->loop, &fetch->note);
	}
}

static void fetch_at_owner(struct loop_note *note, struct loop *loop)
{
	struct fetch *fetch = container_of(note, struct fetch, note);
	struct execution *execution = map_get(&fetch->engine->shards[loop_number(loop)].by_id, (uint64_t)fetch->execution);
	fetch->owned = execution != NULL;
	if (execution != NULL && execution->recorded) {
		fetch_fill(fetch, &execution->log);
	}
	fetch->note.run = fetch_at_home;
	if (fetch->home == loop) {
		fetch_at_home(&fetch->note, loop);
	} else {
		loop_note_post(fetch->home, &fetch->note);
	}
}

/* A cursor of an older epoch beyond what survived gets the terminal event alone. */
static void fetch_fill(struct fetch *fetch, const struct stream_log *log)
{
	fetch->found = true;
	fetch->ended = log->ended;
	fetch->epoch = log->epoch;
	fetch->seq_last = stream_log_seq_last(log);
	if (fetch->after_epoch < log->epoch && log->ended && fetch->after_seq >= fetch->seq_last) {
		fetch->after_seq = fetch->seq_last - 1;
	}
	fetch->seq_first = fetch->after_seq + 1;
	for (int64_t seq = fetch->seq_first; seq <= fetch->seq_last && fetch->count < FETCH_FRAMES; seq++) {
		struct frame *frame = stream_log_frame(log, seq, fetch->form);
		if (frame == NULL) {
			break;
		}
		fetch->frames[fetch->count++] = frame;
	}
}

static void fetch_at_home(struct loop_note *note, struct loop *loop)
{
	struct fetch *fetch = container_of(note, struct fetch, note);
	if (fetch->viewer == NULL) {
		fetch_free(fetch);
		return;
	}
	if (fetch->found) {
		viewer_take(fetch->viewer, fetch);
		return;
	}
	fetch->read = (struct read_job){.run = fetch_read, .done = fetch_read_done, .home = loop};
	enum err err = reader_push(fetch->engine->guild->readers, &fetch->read);
	if (err != ERR_OK) {
		fetch->read.result = err;
		fetch_read_done(&fetch->read);
	}
}

static enum err fetch_read(struct read_job *job, struct db *db)
{
	struct fetch *fetch = container_of(job, struct fetch, read);
	struct arena arena;
	struct turn turn;
	struct stream_log log;
	arena_init(&arena, LIMIT_FLOW_ARENA_BYTES);
	enum err err = turn_get(db, &arena, fetch->execution, &turn);
	if (err == ERR_OK && !fetch->owned && turn.status <= EXECUTION_RUNNING) {
		/* Its end could not be written, and nobody runs it: nothing more comes before recovery. */
		err = ERR_STORE_UNAVAILABLE;
	}
	if (err == ERR_OK) {
		err = turn_log(fetch->engine->guild, &arena, &turn, &log);
		if (err == ERR_OK) {
			fetch_fill(fetch, &log);
			stream_log_fini(&log);
		}
	}
	arena_fini(&arena);
	return err;
}

static void fetch_read_done(struct read_job *job)
{
	struct fetch *fetch = container_of(job, struct fetch, read);
	if (fetch->viewer == NULL) {
		fetch_free(fetch);
	} else if (job->result != ERR_OK) {
		struct execution_viewer *viewer = fetch->viewer;
		enum err err = job->result;
		viewer->fetch = NULL;
		fetch_free(fetch);
		viewer_over(viewer, err);
	} else {
		viewer_take(fetch->viewer, fetch);
	}
}

static void fetch_free(struct fetch *fetch)
{
	for (unsigned i = 0; i < fetch->count; i++) {
		frame_drop(&fetch->frames[i]);
	}
	mem_free(fetch);
}

static void viewer_take(struct execution_viewer *viewer, struct fetch *fetch)
{
	int64_t seq_last = fetch->seq_last;
	bool ended = fetch->ended;
	viewer->fetch = NULL;
	viewer->options.after_epoch = fetch->epoch;
	for (unsigned i = 0; i < fetch->count && viewer->state == VIEWER_FETCHING; i++) {
		struct frame *frame = fetch->frames[i];
		fetch->frames[i] = NULL;
		if (!send_frame(viewer, frame, fetch->seq_first + i)) {
			break;
		}
	}
	fetch_free(fetch);
	if (viewer->state != VIEWER_FETCHING) {
		return;
	}
	if (ended && viewer->next_seq > seq_last) {
		viewer_over(viewer, ERR_OK);
	} else if (viewer->next_seq > seq_last && viewer->next_seq > viewer->live_seen && !viewer->missed) {
		viewer->state = VIEWER_LIVE;
	} else {
		loop_task_add(viewer->loop, &viewer->task);
	}
}
