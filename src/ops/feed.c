/* feed.c - from the bus to one listener: live, held, or caught up. */
#include "ops/feed_priv.h"

#include "base/check.h"
#include "base/mem.h"

enum {
	CATCHUP_EVENTS = 64,            /* sent in one step */
	CATCHUPS_MAX = 16,              /* waiting for one listener */
	CATCHUP_ROWS = 512,             /* read in one query */
	QUEUED_BYTES_WANTED = LIMIT_CONN_QUEUE_BYTES / 2,
};

/* One `subscribe` that named an offset. Outlives its feed only while a reader has it. */
struct catchup {
	struct list link;            /* in feed->catchups */
	struct feed *feed;           /* NULL: gone */
	struct guild *guild;
	struct loop_task task;
	struct read_job read;
	bool reading, stale, gap;    /* stale: what the reader brings is to be read again from another cursor */
	int64_t after;               /* as asked */
	int64_t gap_from;
	int64_t hole_from, hole_to;  /* what the reader found no rows of any more; hole_to 0: nothing */
	int64_t cursor, upto;        /* (cursor, upto] is still to be fetched */
	int64_t examined;            /* up to it, events were sent or found unwanted */
	int64_t set_floor;           /* up to it, events of the set were seen to before the cursor went back */
	int64_t dropped_from;        /* held events beyond it were dropped; -1: none */
	int64_t count;
	int64_t read_cursor, read_upto; /* the reader's own */
	struct bus_event *events[CATCHUP_EVENTS];
	unsigned event_count, event_sent;
	bool read_all;               /* the reader does not filter */
	unsigned topic_count;
	struct topic_name topics[];
};

static void deliver(struct bus_subscriber *subscriber, struct bus_event *event);
static void events_missed(struct bus_subscriber *subscriber, int64_t from, bool others);
static bool feed_live(const struct feed *feed, const struct bus_event *event);
static void feed_hold(struct feed *feed, struct bus_event *event);
static bool feed_send(struct feed *feed, struct bus_event *event);
static bool feed_has_room(struct feed *feed);
static void feed_go_on(struct feed *feed);
static struct catchup *catchup_first(struct feed *feed);
static void events_drop(struct catchup *catchup);
static void catchup_run(struct loop_task *task, struct loop *loop);
static void catchup_fetch(struct catchup *catchup);
static enum err catchup_read(struct read_job *job, struct db *db);
static void catchup_read_done(struct read_job *job);
static bool catchup_wants(const struct catchup *catchup, const struct bus_event *event);
static void catchup_end(struct catchup *catchup);
static void catchup_free(struct catchup *catchup);

/* ---- life ---- */

void feed_init(struct feed *feed, struct guild *guild, struct loop *loop, const struct feed_handler *handler)
{
	*feed = (struct feed){.guild = guild, .loop = loop, .handler = handler};
	bus_subscriber_init(&feed->subscriber, deliver);
	feed->subscriber.missed = events_missed;
	list_init(&feed->topics);
	list_init(&feed->catchups);
}

static void held_drop(struct feed *feed)
{
	for (size_t i = feed->held_sent; i < feed->held_count; i++) {
		bus_event_drop(&feed->held[i]);
	}
	feed->held_count = feed->held_sent = 0;
}

void feed_fini(struct feed *feed)
{
	struct list *link;
	feed->dead = true;
	bus_unsubscribe_all(feed->guild->bus, feed->loop, &feed->subscriber);
	while ((link = list_pop(&feed->topics)) != NULL) {
		mem_free(container_of(link, struct feed_topic, link));
	}
	while ((link = list_pop(&feed->catchups)) != NULL) {
		struct catchup *catchup = container_of(link, struct catchup, link);
		loop_task_cancel(&catchup->task);
		catchup->feed = NULL;
		if (!catchup->reading) {
			catchup_free(catchup);
		}
	}
	held_drop(feed);
	mem_free(feed->held);
	mem_free(feed->runs);
	feed->held = NULL;
	feed->runs = NULL;
}

/* ---- topics ---- */

static struct feed_topic *topic_find(const struct feed *feed, struct str name)
{
	for (struct list *at = feed->topics.next; at != &feed->topics; at = at->next) {
		struct feed_topic *topic = container_of(at, struct feed_topic, link);
		if (str_eq(str_make(topic->name, topic->len), name)) {
			return topic;
		}
	}
	return NULL;
}

static enum err topic_add(struct feed *feed, struct str name, struct list *added)
{
	struct feed_topic *topic = mem_alloc(sizeof(*topic) + name.len);
	if (topic == NULL) {
		return ERR_MEMORY;
	}
	enum err err = bus_subscribe(feed->guild->bus, feed->loop, &feed->subscriber, name);
	if (err != ERR_OK) {
		mem_free(topic);
		return err;
	}
	topic->len = name.len;
	memcpy(topic->name, name.at, name.len);
	list_push(added, &topic->link);
	return ERR_OK;
}

static void topic_remove(struct feed *feed, struct feed_topic *topic)
{
	(void)bus_unsubscribe(feed->guild->bus, feed->loop, &feed->subscriber, str_make(topic->name, topic->len));
	list_remove(&topic->link);
	mem_free(topic);
}

static bool added_has(const struct list *added, struct str name)
{
	for (const struct list *at = added->next; at != added; at = at->next) {
		const struct feed_topic *topic = container_of((struct list *)at, struct feed_topic, link);
		if (str_eq(str_make(topic->name, topic->len), name)) {
			return true;
		}
	}
	return false;
}

static struct catchup *catchup_make(struct feed *feed, const struct topic_name *topics, unsigned count, const struct feed_after *after)
{
	struct catchup *catchup = mem_alloc(sizeof(*catchup) + count * sizeof(topics[0]));
	if (catchup != NULL) {
		catchup->feed = feed;
		catchup->guild = feed->guild;
		catchup->task.run = catchup_run;
		catchup->after = catchup->cursor = catchup->examined = catchup->set_floor = catchup->gap_from = after->offset;
		catchup->gap = after->epoch != 0 && after->epoch != feed->guild->epoch;
		catchup->dropped_from = -1;
		catchup->topic_count = count;
		if (count > 0) {
			memcpy(catchup->topics, topics, count * sizeof(topics[0]));
		}
		list_init(&catchup->task.link);
	}
	return catchup;
}

static bool catchups_full(const struct feed *feed)
{
	unsigned count = 0;
	for (const struct list *at = feed->catchups.next; at != &feed->catchups; at = at->next) {
		count++;
	}
	return count >= CATCHUPS_MAX;
}

enum err feed_subscribe(struct feed *feed, const struct topic_name *topics, unsigned count, const struct feed_after *after, int64_t *offset)
{
	struct catchup *catchup = NULL;
	struct list added, *link;
	int64_t gone;
	enum err err = ERR_OK;
	list_init(&added);
	if (after != NULL && after->given) {
		err = catchups_full(feed) ? ERR_LIMIT : ERR_OK;
		catchup = err == ERR_OK ? catchup_make(feed, topics, count, after) : NULL;
		err = err == ERR_OK && catchup == NULL ? ERR_MEMORY : err;
	}
	for (unsigned i = 0; i < count && err == ERR_OK; i++) {
		if (topic_find(feed, topic_str(&topics[i])) == NULL && !added_has(&added, topic_str(&topics[i]))) {
			err = topic_add(feed, topic_str(&topics[i]), &added);
		}
	}
	if (err != ERR_OK) {
		while (!list_empty(&added)) {
			topic_remove(feed, container_of(added.next, struct feed_topic, link));
		}
		mem_free(catchup);
		return err;
	}
	/* Asked after subscribing: what is put from here on finds the interest. */
	*offset = bus_history_last(feed->guild->history, &gone);
	while ((link = list_pop(&added)) != NULL) {
		struct feed_topic *topic = container_of(link, struct feed_topic, link);
		topic->live_from = topic->covered_from = *offset;
		list_push(&feed->topics, &topic->link);
		feed->topic_count++;
		feed->live_from_max = *offset;
	}
	if (catchup != NULL) {
		catchup->upto = *offset;
		list_push(&feed->catchups, &catchup->link);
		if (catchup_first(feed) == catchup) {
			loop_task_add(feed->loop, &catchup->task);
		}
	}
	return ERR_OK;
}

bool feed_unsubscribe(struct feed *feed, struct str name)
{
	struct feed_topic *topic = topic_find(feed, name);
	if (topic == NULL) {
		return false;
	}
	topic_remove(feed, topic);
	feed->topic_count--;
	return true;
}

/* ---- live ---- */

/* What comes next cannot be kept in order. */
static void feed_break(struct feed *feed)
{
	feed->dead = true;
	feed->handler->broken(feed);
}

static bool frame_is_next(struct feed *feed, const struct bus_event *event)
{
	struct feed_run *run = feed_run_find(feed, event->execution, event->seq == 1);
	if (run == NULL) {
		if (event->seq == 1 && feed->runs == NULL) {
			feed_break(feed);
		}
		return false;
	}
	if (run->next == 0) {
		run->next = 1;
	}
	if (run->next != event->seq) {
		return false;
	}
	run->next = event->ends_stream ? FEED_RUN_CLOSED : event->seq + 1;
	return true;
}

static void deliver(struct bus_subscriber *subscriber, struct bus_event *event)
{
	struct feed *feed = container_of(subscriber, struct feed, subscriber);
	if (feed->dead) {
		return;
	}
	if (event->execution != 0) {
		if (frame_is_next(feed, event)) {
			(void)feed_send(feed, event);
		}
		return;
	}
	if (event->offset == 0) {
		(void)feed_send(feed, event);
		return;
	}
	if (event->offset <= feed->live_floor || (event->offset <= feed->live_from_max && !feed_live(feed, event))) {
		return;
	}
	if (!list_empty(&feed->catchups) || feed->held_count > 0) {
		feed_hold(feed, event);
	} else {
		(void)feed_send(feed, event);
	}
}

/* Does one of its topics count it as live? */
static bool feed_live(const struct feed *feed, const struct bus_event *event)
{
	for (unsigned i = 0; i < event->topic_count; i++) {
		const struct feed_topic *topic = topic_find(feed, event->topics[i]);
		if (topic != NULL && event->offset > topic->live_from) {
			return true;
		}
	}
	return false;
}

/* Live events beyond from are read again from the history, by the catch-up at work, or by one made for that. */
static void live_again(struct feed *feed, int64_t from)
{
	int64_t gone;
	if (list_empty(&feed->catchups)) {
		struct catchup *catchup = catchup_make(feed, NULL, 0, &(struct feed_after){.given = true, .offset = from});
		if (catchup == NULL) {
			feed_break(feed);
			return;
		}
		list_push(&feed->catchups, &catchup->link);
		loop_task_add(feed->loop, &catchup->task);
	}
	struct catchup *last = container_of(feed->catchups.prev, struct catchup, link);
	last->stale = last->reading;
	if (!last->reading) {
		events_drop(last);
	}
	last->set_floor = last->examined > last->set_floor ? last->examined : last->set_floor;
	last->cursor = last->examined = from < last->examined ? from : last->examined;
	last->dropped_from = last->dropped_from < 0 || from < last->dropped_from ? from : last->dropped_from;
	last->upto = feed->live_floor = bus_history_last(feed->guild->history, &gone);
}

/* Held events that find no room. */
static void held_give_up(struct feed *feed)
{
	int64_t from = feed->held[feed->held_sent]->offset - 1;
	held_drop(feed);
	live_again(feed, from);
}

/* The history has the durable ones; of frames and plain events nobody knows which they were. */
static void events_missed(struct bus_subscriber *subscriber, int64_t from, bool others)
{
	struct feed *feed = container_of(subscriber, struct feed, subscriber);
	if (feed->dead) {
		return;
	}
	if (others) {
		feed_break(feed);
		return;
	}
	from = from > feed->live_floor ? from : feed->live_floor;
	if (from == INT64_MAX) {
		return;
	}
	if (feed->held_sent < feed->held_count) {
		int64_t held_from = feed->held[feed->held_sent]->offset - 1;
		from = held_from < from ? held_from : from;
		held_drop(feed);
	}
	live_again(feed, from);
}

static void feed_hold(struct feed *feed, struct bus_event *event)
{
	if (feed->held == NULL) {
		feed->held = mem_alloc(LIMIT_HOLD_EVENTS * sizeof(feed->held[0]));
		if (feed->held == NULL) {
			feed_break(feed);
			return;
		}
	}
	if (feed->held_count == LIMIT_HOLD_EVENTS) {
		held_give_up(feed);
		return;
	}
	feed->held[feed->held_count++] = bus_event_hold(event);
}

/* The one place where events go out: live, held or caught up with. True when it did. */
static bool feed_send(struct feed *feed, struct bus_event *event)
{
	if (feed->dead || (event->execution == 0 && !feed->handler->sees(feed, event))) {
		return false;
	}
	bool sent = feed->handler->send(feed, event) == ERR_OK;
	feed->dead = feed->dead || !sent;
	return sent;
}

static bool feed_has_room(struct feed *feed)
{
	return !feed->dead && feed->handler->queued_bytes(feed) <= QUEUED_BYTES_WANTED;
}

/* Held events go out when no catch-up is left. */
static void feed_go_on(struct feed *feed)
{
	struct catchup *catchup = catchup_first(feed);
	if (catchup != NULL) {
		if (!catchup->reading) {
			loop_task_add(feed->loop, &catchup->task);
		}
		return;
	}
	while (feed->held_sent < feed->held_count && feed_has_room(feed)) {
		struct bus_event *event = feed->held[feed->held_sent++];
		(void)feed_send(feed, event);
		bus_event_drop(&event);
	}
	if (feed->held_sent == feed->held_count) {
		feed->held_sent = feed->held_count = 0;
		mem_free(feed->held);
		feed->held = NULL;
	}
}

void feed_drained(struct feed *feed)
{
	if (!list_empty(&feed->catchups) || feed->held_count > 0) {
		feed_go_on(feed);
	}
}

/* ---- runs ---- */

struct feed_run *feed_run_find(struct feed *feed, int64_t execution, bool make)
{
	if (feed->runs == NULL && make) {
		feed->runs = mem_alloc(FEED_RUNS_MAX * sizeof(feed->runs[0]));
	}
	if (feed->runs == NULL) {
		return NULL;
	}
	for (unsigned i = 0; i < FEED_RUNS_MAX; i++) {
		if (feed->runs[i].execution == execution) {
			return &feed->runs[i];
		}
	}
	/* Over ones stay until their place is needed, so that late frames of theirs are known. */
	for (unsigned i = 0; make && i < FEED_RUNS_MAX; i++) {
		struct feed_run *run = &feed->runs[feed->run_next++ % FEED_RUNS_MAX];
		if (run->execution == 0 || (run->next == FEED_RUN_CLOSED && run->owner == NULL)) {
			*run = (struct feed_run){.execution = execution};
			return run;
		}
	}
	return NULL;
}

/* ---- catching up ---- */

static struct catchup *catchup_first(struct feed *feed)
{
	return list_empty(&feed->catchups) ? NULL : container_of(feed->catchups.next, struct catchup, link);
}

static void events_drop(struct catchup *catchup)
{
	for (; catchup->event_sent < catchup->event_count; catchup->event_sent++) {
		bus_event_drop(&catchup->events[catchup->event_sent]);
	}
	catchup->event_count = catchup->event_sent = 0;
}

/* One step: what was fetched is sent as far as there is room; then the next lot, or the end. */
static void catchup_run(struct loop_task *task, struct loop *loop)
{
	struct catchup *catchup = container_of(task, struct catchup, task);
	struct feed *feed = catchup->feed;
	(void)loop;
	if (feed->dead) {
		return;
	}
	if (catchup->gap) {
		catchup->gap = false;
		catchup->cursor = catchup->upto;
		feed->handler->gap(feed, catchup->gap_from, catchup->upto);
	}
	if (catchup->hole_to > 0) {
		int64_t to = catchup->hole_to;
		catchup->hole_to = 0;
		feed->handler->gap(feed, catchup->hole_from, to);
	}
	while (catchup->event_sent < catchup->event_count) {
		if (!feed_has_room(feed)) {
			return;
		}
		struct bus_event *event = catchup->events[catchup->event_sent++];
		if (catchup_wants(catchup, event)) {
			catchup->count += feed_send(feed, event);
		}
		catchup->examined = event->offset;
		bus_event_drop(&event);
	}
	catchup->event_sent = catchup->event_count = 0;
	if (feed->dead) {
		return;
	}
	catchup->examined = catchup->cursor;
	if (catchup->cursor < catchup->upto) {
		catchup_fetch(catchup);
	} else {
		catchup_end(catchup);
	}
}

static void catchup_fetch(struct catchup *catchup)
{
	struct feed *feed = catchup->feed;
	int64_t gone;
	catchup->event_count = (unsigned)bus_history_read(feed->guild->history, catchup->cursor, catchup->upto, catchup->events, CATCHUP_EVENTS);
	(void)bus_history_last(feed->guild->history, &gone);
	if (gone <= catchup->cursor) {
		bool full = catchup->event_count == CATCHUP_EVENTS;
		catchup->cursor = full ? catchup->events[CATCHUP_EVENTS - 1]->offset : catchup->upto;
		loop_task_add(feed->loop, &catchup->task);
		return;
	}
	events_drop(catchup);
	catchup->read_all = catchup->dropped_from >= 0;
	catchup->read = (struct read_job){.run = catchup_read, .done = catchup_read_done, .home = feed->loop};
	catchup->read_cursor = catchup->cursor;
	catchup->read_upto = catchup->upto;
	catchup->hole_to = 0;
	catchup->reading = true;
	if (reader_push(feed->guild->readers, &catchup->read) != ERR_OK) {
		catchup->reading = false;
		catchup->gap = true;
		catchup->gap_from = catchup->cursor;
		loop_task_add(feed->loop, &catchup->task);
	}
}

static bool set_has(const struct catchup *catchup, struct str topic)
{
	for (unsigned i = 0; i < catchup->topic_count; i++) {
		if (str_eq(topic_str(&catchup->topics[i]), topic)) {
			return true;
		}
	}
	return false;
}

static void hole_put(struct catchup *catchup, int64_t from, int64_t to)
{
	catchup->hole_from = catchup->hole_to > 0 ? catchup->hole_from : from;
	catchup->hole_to = to;
}

/* On a reader. Rows are numbered without holes: where one is missing, it is not kept any more. The cursor ends at the last row seen, so that
 * the next query goes on behind it. */
static enum err read_row(const struct log_row *row, void *arg)
{
	struct catchup *catchup = arg;
	if (row->seq > catchup->read_upto || catchup->event_count == CATCHUP_EVENTS) {
		return ERR_END;
	}
	if (row->seq > catchup->read_cursor + 1) {
		hole_put(catchup, catchup->read_cursor, row->seq - 1);
	}
	catchup->read_cursor = row->seq;
	if (row->event_type.at == NULL) {
		return ERR_OK;
	}
	struct str rest = row->topics, topic;
	bool wanted = catchup->read_all;
	while (!wanted && str_split(&rest, ' ', &topic)) {
		wanted = set_has(catchup, topic);
	}
	if (!wanted) {
		return ERR_OK;
	}
	enum err err = command_event_of(catchup->guild->commands, row, &catchup->events[catchup->event_count]);
	if (err == ERR_OK) {
		catchup->event_count++;
	}
	return err;
}

static enum err catchup_read(struct read_job *job, struct db *db)
{
	struct catchup *catchup = container_of(job, struct catchup, read);
	int64_t gone;
	enum err err = log_events_gone(db, &gone);
	if (err != ERR_OK) {
		return err;
	}
	if (gone > catchup->read_cursor) {
		int64_t to = gone < catchup->read_upto ? gone : catchup->read_upto;
		hole_put(catchup, catchup->read_cursor, to);
		catchup->read_cursor = to;
	}
	err = log_read(db, catchup->read_cursor, CATCHUP_ROWS, read_row, catchup);
	return err == ERR_END ? ERR_OK : err;
}

static void catchup_read_done(struct read_job *job)
{
	struct catchup *catchup = container_of(job, struct catchup, read);
	catchup->reading = false;
	if (catchup->feed == NULL) {
		catchup_free(catchup);
		return;
	}
	if (catchup->stale) {
		catchup->stale = false;
		events_drop(catchup);
	} else if (job->result != ERR_OK) {
		events_drop(catchup);
		catchup->gap_from = catchup->cursor;
		catchup->gap = true;
	} else {
		if (catchup->read_cursor == catchup->cursor) {
			hole_put(catchup, catchup->cursor, catchup->upto);
			catchup->read_cursor = catchup->upto;
		}
		catchup->cursor = catchup->read_cursor;
	}
	loop_task_add(catchup->feed->loop, &catchup->task);
}

/* Neither sent before, nor coming live, and asked for; or live, held and dropped. */
static bool catchup_wants(const struct catchup *catchup, const struct bus_event *event)
{
	bool dropped = catchup->dropped_from >= 0 && event->offset > catchup->dropped_from;
	bool covered = false, in_set = false;
	for (unsigned i = 0; i < event->topic_count; i++) {
		const struct feed_topic *topic = topic_find(catchup->feed, event->topics[i]);
		if (topic == NULL) {
			continue;
		}
		if (dropped && event->offset > topic->live_from) {
			return true;
		}
		covered = covered || event->offset > topic->covered_from;
		in_set = in_set || set_has(catchup, event->topics[i]);
	}
	return in_set && !covered && event->offset > catchup->set_floor;
}

static void catchup_end(struct catchup *catchup)
{
	struct feed *feed = catchup->feed;
	for (unsigned i = 0; i < catchup->topic_count; i++) {
		struct feed_topic *topic = topic_find(feed, topic_str(&catchup->topics[i]));
		if (topic != NULL && catchup->after < topic->covered_from) {
			topic->covered_from = catchup->after;
		}
	}
	if (catchup->topic_count > 0) {
		feed->handler->recovered(feed, catchup->count, catchup->upto);
	}
	list_remove(&catchup->link);
	catchup_free(catchup);
	feed_go_on(feed);
}

static void catchup_free(struct catchup *catchup)
{
	events_drop(catchup);
	mem_free(catchup);
}
