/* command.c - commands on the writer, their log rows, and the commit node that tells every loop. */
#include "command/command.h"


#include <stdio.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metric.h"
#include "command/command_priv.h"
#include "command/idempotency.h"

#define SHARE_SLOTS 4096

struct command_runner {
	struct command_options options;
	struct command_overlay overlays[COMMAND_OVERLAYS_MAX];
	unsigned overlay_count;
	struct writer_hooks hooks;
	struct writer *writer;
	struct audit_chain *chain;
	int64_t batch_time_us;
	_Atomic(int64_t) newest_us;
	int64_t process;
	_Atomic(int32_t) shares[SHARE_SLOTS]; /* commands under way, by hash of the principal */
	struct log_head head_at_begin, head_at_job;
	size_t mark_at_begin[COMMAND_OVERLAYS_MAX], mark_at_job[COMMAND_OVERLAYS_MAX];
};

/* What one loop gets after a commit: replies first, then events in sequence. */
struct commit_note {
	struct loop_note note;
	struct bus *bus;
	struct write_job *jobs; /* linked by batch_next */
	struct write_job **jobs_end;
	unsigned event_count;
	unsigned event_cap;
	struct bus_event *events[];
};

static bool share_take(struct command *command);
static void share_give(struct command *command);
static enum err job_apply(struct write_job *job, struct db *db);
static void job_done(struct write_job *job);
static void events_drop(struct command *command);
static void hook_begun(void *ctx, struct db *db);
static void hook_rolled_back(void *ctx);
static enum err hook_before_commit(void *ctx, struct db *db);
static void hook_job_begun(void *ctx);
static void hook_job_undone(void *ctx);
static void hook_finish(void *ctx, struct write_job *jobs, bool committed);
static bool job_is_command(const struct write_job *job);
static void undo_to(struct command_runner *runner, const struct log_head *head, const size_t *marks);
static void note_run(struct loop_note *note, struct loop *loop);

enum err command_runner_create(const struct command_options *options, struct command_runner **out)
{
	struct command_runner *runner = mem_alloc(sizeof(*runner));
	if (runner == NULL) {
		return ERR_MEMORY;
	}
	runner->options = *options;
	env_random(options->env, &runner->process, sizeof(runner->process));
	runner->process &= INT64_MAX;
	for (const struct command_overlay *o = options->overlays; o != NULL && o->ctx != NULL; o++) {
		check(runner->overlay_count < COMMAND_OVERLAYS_MAX);
		runner->overlays[runner->overlay_count++] = *o;
	}
	runner->hooks = (struct writer_hooks){.ctx = runner,
					      .begun = hook_begun,
					      .before_commit = hook_before_commit,
					      .rolled_back = hook_rolled_back,
					      .job_begun = hook_job_begun,
					      .job_undone = hook_job_undone,
					      .finish = hook_finish};
	*out = runner;
	return ERR_OK;
}

void command_runner_destroy(struct command_runner **runner)
{
	if (*runner != NULL) {
		audit_chain_destroy(&(*runner)->chain);
		mem_free(*runner);
		*runner = NULL;
	}
}

const struct writer_hooks *command_hooks(struct command_runner *runner)
{
	return &runner->hooks;
}

static enum err history_row(const struct log_row *row, void *arg)
{
	struct command_runner *runner = arg;
	struct bus_event *event;
	if (row->event_type.at == NULL) {
		return ERR_OK;
	}
	enum err err = command_event_of(runner, row, &event);
	if (err == ERR_OK) {
		bus_history_put(runner->options.history, event);
		bus_event_drop(&event);
	}
	return err;
}

/* After a restart everybody comes back at once and asks for the same last events: they are read once, not once by each. */
static enum err history_warm(struct command_runner *runner, struct db *db, int64_t newest)
{
	int64_t from = newest > LIMIT_HISTORY_WARM_ROWS ? newest - LIMIT_HISTORY_WARM_ROWS : 0;
	int64_t gone;
	enum err err = log_events_gone(db, &gone);
	if (err != ERR_OK) {
		return err;
	}
	/* Of what is no longer kept the store says so to who asks. */
	from = from > gone ? from : gone < newest ? gone : newest;
	bus_history_start(runner->options.history, from);
	err = log_read(db, from, LIMIT_HISTORY_WARM_ROWS, history_row, runner);
	bus_history_passed(runner->options.history, newest);
	return err;
}

enum err command_attach(struct command_runner *runner, struct writer *writer)
{
	struct log_head head;
	enum err err = log_head_read(writer_db(writer), &head);
	if (err != ERR_OK) {
		return err;
	}
	err = audit_chain_create(&head, &runner->chain);
	if (err != ERR_OK) {
		return err;
	}
	atomic_init(&runner->newest_us, head.time_us);
	if (runner->options.history != NULL) {
		err = history_warm(runner, writer_db(writer), head.seq);
	}
	if (err != ERR_OK) {
		return err;
	}
	runner->writer = writer;
	return ERR_OK;
}

void command_bus_set(struct command_runner *runner, struct bus *bus)
{
	runner->options.bus = bus;
}

struct writer *command_writer(struct command_runner *runner)
{
	return runner->writer;
}

int64_t command_newest_us(const struct command_runner *runner)
{
	return atomic_load_explicit(&runner->newest_us, memory_order_relaxed);
}

int64_t command_head_seq(const struct command_runner *runner)
{
	return audit_head(runner->chain)->seq;
}

struct command *command_new(struct command_runner *runner, const struct command_row *row, struct arena *arena, struct loop *loop,
			    const struct caller *caller, size_t size)
{
	check(row->action != NULL && row->apply != NULL && row->finish != NULL);
	check(size >= sizeof(struct command));
	struct command *command = arena_alloc(arena, size);
	if (command == NULL) {
		return NULL;
	}
	command->row = row;
	command->runner = runner;
	command->arena = arena;
	command->loop = loop;
	command->caller = *caller;
	command->job.apply = job_apply;
	command->job.done = job_done;
	command->job.home = loop;
	return command;
}

enum err command_submit(struct command *command, bool reserved)
{
	check(command->mark.agent == 0 || command->row->deny != NULL);
	command->job.reserved = reserved;
	if (!reserved && !share_take(command)) {
		return ERR_OVERLOADED;
	}
	enum err err = writer_push(command->runner->writer, &command->job);
	if (err != ERR_OK && !reserved) {
		share_give(command);
	}
	return err;
}

static _Atomic(int32_t) *share_of(struct command *command)
{
	return &command->runner->shares[(uint64_t)command->caller.principal * UINT64_C(0x9e3779b97f4a7c15) >> 52];
}

/* While there is room for all, one principal may use it; when the queue fills, what one holds is bounded so that others get in. */
static bool share_take(struct command *command)
{
	int32_t held = atomic_fetch_add_explicit(share_of(command), 1, memory_order_relaxed);
	bool crowded = writer_queued(command->runner->writer) > LIMIT_WRITER_JOBS / 2;
	if (crowded && held >= LIMIT_WRITER_JOBS_PRINCIPAL && command->caller.principal != 0) {
		share_give(command);
		return false;
	}
	return true;
}

static void share_give(struct command *command)
{
	atomic_fetch_sub_explicit(share_of(command), 1, memory_order_relaxed);
}

enum err command_reserve(struct command_runner *runner)
{
	return writer_reserve(runner->writer);
}

void command_unreserve(struct command_runner *runner)
{
	writer_unreserve(runner->writer);
}

enum err command_run_now(struct command *command)
{
	return command_run_all(&command, 1);
}

enum err command_run_all(struct command *const *commands, size_t count)
{
	enum err err = ERR_OK;
	size_t pushed = 0;
	while (err == ERR_OK && pushed < count) {
		commands[pushed]->job.home = NULL;
		err = command_submit(commands[pushed], false);
		pushed += err == ERR_OK;
	}
	while (pushed > 0 && writer_turn(commands[0]->runner->writer)) {
	}
	for (size_t i = 0; err == ERR_OK && i < pushed; i++) {
		err = commands[i]->result;
	}
	return err;
}

int64_t command_process(const struct command_runner *runner)
{
	return runner->process;
}

int64_t command_now_us(const struct command *command)
{
	return command->runner->batch_time_us;
}

enum err command_log(struct command *command, struct db *db, struct log_row *row)
{
	struct command_runner *runner = command->runner;
	check(command->log_count < COMMAND_ROWS_MAX);
	audit_seal(runner->chain, row, runner->batch_time_us);
	enum err err = log_insert(db, row);
	if (err != ERR_OK) {
		return err;
	}
	command->log_seq[command->log_count] = row->seq;
	command->log_time_us[command->log_count] = row->time_us;
	command->log_count++;
	if (row->event_type.at != NULL) {
		err = command_event_of(runner, row, &command->events[command->event_count]);
		if (err != ERR_OK) {
			return err;
		}
		command->event_count++;
	}
	return ERR_OK;
}

/* ---- on the writer's thread ---- */

static enum err row_apply(struct command *command, struct db *db)
{
	struct command_runner *runner = command->runner;
	if (command->mark.agent != 0 && runner->options.recheck != NULL) {
		enum err denied = runner->options.recheck(runner->options.recheck_ctx, command);
		enum err err = runner->options.decided != NULL ? runner->options.decided(runner->options.recheck_ctx, command, denied) : ERR_OK;
		if (err != ERR_OK) {
			return err;
		}
		if (denied != ERR_OK) {
			command->result = denied;
			return command->row->deny(command, db, denied);
		}
	}
	return command->row->apply(command, db);
}

/* What may succeed later is not kept as refused. */
static bool keeps_key(const struct command *command)
{
	bool refused = command->result != ERR_OK;
	return !command->partial && !(refused && (command->idem->done_only || err_row(err_public(command->result))->retryable));
}

static enum err job_apply(struct write_job *job, struct db *db)
{
	struct command *command = container_of(job, struct command, job);
	struct command_runner *runner = command->runner;
	struct idem *idem = command->idem;
	events_drop(command);
	command->log_count = 0;
	command->result = ERR_OK;
	command->partial = false;
	if (idem == NULL) {
		return row_apply(command, db);
	}
	idem->kept = false;
	enum err err = idempotency_free(db, idem, runner->batch_time_us);
	if (err == ERR_OK) {
		err = row_apply(command, db);
	}
	if (err != ERR_OK || !keeps_key(command)) {
		return err;
	}
	int64_t execution = command->result == ERR_OK ? idem->execution : 0;
	int64_t log_seq = command->log_count > 0 ? command->log_seq[0] : 0;
	return idempotency_keep(db, idem, execution, log_seq, runner->process, runner->batch_time_us);
}

static void job_done(struct write_job *job)
{
	struct command *command = container_of(job, struct command, job);
	if (job->result != ERR_OK) {
		command->result = job->result;
		if (command->idem != NULL) {
			command->idem->kept = false;
		}
	}
	events_drop(command);
	if (!job->reserved) {
		share_give(command);
	}
	command->row->finish(command);
}

static void events_drop(struct command *command)
{
	for (unsigned i = 0; i < command->event_count; i++) {
		bus_event_drop(&command->events[i]);
	}
	command->event_count = 0;
}

static void hook_begun(void *ctx, struct db *db)
{
	struct command_runner *runner = ctx;
	(void)db;
	runner->head_at_begin = *audit_head(runner->chain);
	int64_t now_us = env_wall_us(runner->options.env);
	runner->batch_time_us = now_us > runner->head_at_begin.time_us ? now_us : runner->head_at_begin.time_us;
	atomic_store_explicit(&runner->newest_us, runner->batch_time_us, memory_order_relaxed);
	for (unsigned i = 0; i < runner->overlay_count; i++) {
		runner->mark_at_begin[i] = runner->overlays[i].mark(runner->overlays[i].ctx);
	}
}

static enum err hook_before_commit(void *ctx, struct db *db)
{
	struct command_runner *runner = ctx;
	enum err err = ERR_OK;
	for (unsigned i = 0; i < runner->overlay_count && err == ERR_OK; i++) {
		if (runner->overlays[i].flush != NULL) {
			err = runner->overlays[i].flush(runner->overlays[i].ctx, db);
		}
	}
	return err;
}

static void hook_rolled_back(void *ctx)
{
	struct command_runner *runner = ctx;
	undo_to(runner, &runner->head_at_begin, runner->mark_at_begin);
}

static void hook_job_begun(void *ctx)
{
	struct command_runner *runner = ctx;
	runner->head_at_job = *audit_head(runner->chain);
	for (unsigned i = 0; i < runner->overlay_count; i++) {
		runner->mark_at_job[i] = runner->overlays[i].mark(runner->overlays[i].ctx);
	}
}

static void hook_job_undone(void *ctx)
{
	struct command_runner *runner = ctx;
	undo_to(runner, &runner->head_at_job, runner->mark_at_job);
}

static void undo_to(struct command_runner *runner, const struct log_head *head, const size_t *marks)
{
	struct log_head copy = *head;
	audit_chain_rewind(runner->chain, &copy);
	for (unsigned i = 0; i < runner->overlay_count; i++) {
		runner->overlays[i].undo_to(runner->overlays[i].ctx, marks[i]);
	}
}

static bool job_is_command(const struct write_job *job)
{
	return job->apply == job_apply;
}

/* The events of a committed job; the others have none that hold. */
static unsigned job_events(const struct write_job *job, struct bus_event *const **out)
{
	if (!job_is_command(job) || job->result != ERR_OK) {
		return 0;
	}
	const struct command *command = container_of(job, struct command, job);
	*out = command->events;
	return command->event_count;
}

/* Into the history, before anybody is told; how many there are. Needs no memory, so catch-up finds whatever else is lost. */
static unsigned events_keep(struct command_runner *runner, struct write_job *jobs)
{
	struct bus_event *const *events;
	unsigned count = 0;
	for (struct write_job *job = jobs; job != NULL; job = job->batch_next) {
		unsigned own = job_events(job, &events);
		for (unsigned i = 0; i < own && runner->options.history != NULL; i++) {
			bus_history_put(runner->options.history, events[i]);
		}
		count += own;
	}
	return count;
}

static struct commit_note *note_make(struct command_runner *runner, unsigned event_cap)
{
	struct commit_note *note = mem_alloc(sizeof(*note) + event_cap * sizeof(struct bus_event *));
	if (note != NULL) {
		note->note.run = note_run;
		note->bus = runner->options.bus;
		note->jobs_end = &note->jobs;
		note->event_cap = event_cap;
	}
	return note;
}

/* Without memory for a node its jobs go back one by one, each with the note inside it. */
static void jobs_hand_out(struct command_runner *runner, struct write_job *jobs, struct commit_note **notes, unsigned event_cap)
{
	struct write_job *next;
	for (struct write_job *job = jobs; job != NULL; job = next) {
		next = job->batch_next;
		job->batch_next = NULL;
		if (job->home == NULL) {
			job->done(job);
			continue;
		}
		unsigned number = loop_number(job->home);
		if (notes[number] == NULL) {
			notes[number] = note_make(runner, event_cap);
		}
		if (notes[number] == NULL) {
			writer_jobs_return(job);
			continue;
		}
		*notes[number]->jobs_end = job;
		notes[number]->jobs_end = &job->batch_next;
	}
}

/* One event to the notes of the loops that want it. A loop for whose note there is no memory misses all of this batch. */
static void event_hand_out(struct command_runner *runner, struct bus_event *event, unsigned event_cap, struct commit_note **notes,
			   uint64_t *missed)
{
	uint64_t interest = bus_interest(runner->options.bus, event) & ~*missed;
	for (unsigned l = 0; l < runner->options.loop_count; l++) {
		if ((interest >> l & 1) == 0) {
			continue;
		}
		if (notes[l] == NULL) {
			notes[l] = note_make(runner, event_cap);
		}
		if (notes[l] == NULL) {
			*missed |= UINT64_C(1) << l;
			continue;
		}
		notes[l]->events[notes[l]->event_count++] = bus_event_hold(event);
	}
}

/* Which loops miss them (a bit each), and the offset behind which they do. */
static uint64_t events_hand_out(struct command_runner *runner, struct write_job *jobs, unsigned count, struct commit_note **notes,
				int64_t *missed_from)
{
	struct bus_event *const *events;
	uint64_t missed = 0;
	*missed_from = INT64_MAX;
	if (count == 0 || runner->options.bus == NULL) {
		return 0;
	}
	if (failpoint("before_publish") != ERR_OK) {
		missed = UINT64_MAX;
	}
	metric_add(METRIC_BUS_PUBLISHED, count);
	for (struct write_job *job = jobs; job != NULL; job = job->batch_next) {
		unsigned own = job_events(job, &events);
		for (unsigned i = 0; i < own; i++) {
			*missed_from = events[i]->offset - 1 < *missed_from ? events[i]->offset - 1 : *missed_from;
			event_hand_out(runner, events[i], count, notes, &missed);
		}
	}
	return missed;
}

/* Loops that only listen first: what somebody publishes who has the answer already is not heard before the events it came with. */
static void notes_post(struct command_runner *runner, struct commit_note **notes, bool with_jobs)
{
	for (unsigned i = 0; i < runner->options.loop_count; i++) {
		if (notes[i] != NULL && (notes[i]->jobs != NULL) == with_jobs) {
			struct commit_note *note = notes[i];
			notes[i] = NULL;
			loop_note_post(runner->options.loops[i], &note->note);
		}
	}
}

static void hook_finish(void *ctx, struct write_job *jobs, bool committed)
{
	struct command_runner *runner = ctx;
	struct commit_note *notes[LIMIT_LOOPS + 1] = {NULL};
	unsigned event_count = 0;
	uint64_t missed = 0;
	int64_t missed_from = INT64_MAX;
	if (committed) {
		for (unsigned i = 0; i < runner->overlay_count; i++) {
			runner->overlays[i].committed(runner->overlays[i].ctx);
		}
		event_count = events_keep(runner, jobs);
		missed = events_hand_out(runner, jobs, event_count, notes, &missed_from);
	}
	jobs_hand_out(runner, jobs, notes, event_count);
	notes_post(runner, notes, false);
	notes_post(runner, notes, true);
	for (unsigned i = 0; i < runner->options.loop_count; i++) {
		if ((missed >> i & 1) != 0) {
			bus_missed(runner->options.bus, runner->options.loops[i], missed_from);
		}
	}
}

/* ---- on each loop ---- */

static void note_run(struct loop_note *loop_note, struct loop *loop)
{
	struct commit_note *note = container_of(loop_note, struct commit_note, note);
	struct write_job *next;
	for (struct write_job *job = note->jobs; job != NULL; job = next) {
		next = job->batch_next;
		job->done(job);
	}
	for (unsigned i = 0; i < note->event_count; i++) {
		bus_deliver(note->bus, loop, note->events[i]);
		bus_event_drop(&note->events[i]);
	}
	if (note->event_count > 0) {
		(void)!failpoint("after_publish");
	}
	mem_free(note);
}

/* ---- events ---- */

static struct str source_of(struct command_runner *runner, const struct log_row *row, char *out, size_t cap)
{
	struct id_text id = {""};
	if (row->agent != 0) {
		id = id_format(runner->options.id_secret, ID_AGENT, row->agent);
		snprintf(out, cap, "/agents/%s", id.text);
	} else if (row->principal != 0) {
		id = id_format(runner->options.id_secret, ID_PRINCIPAL, row->principal);
		snprintf(out, cap, "/users/%s", id.text);
	} else {
		snprintf(out, cap, "/server");
	}
	return str_of(out);
}

enum err command_event_of(struct command_runner *runner, const struct log_row *row, struct bus_event **out)
{
	struct str topics[LIMIT_TOPICS_EVENT];
	unsigned count = 0;
	struct str rest = row->topics, topic;
	while (count < LIMIT_TOPICS_EVENT && str_split(&rest, ' ', &topic)) {
		topics[count++] = topic;
	}
	char source[64];
	struct bus_event_parts parts = {.topics = topics,
					.topic_count = count,
					.offset = row->seq,
					.time_us = row->time_us,
					.workspace = row->workspace,
					.audience = {row->audience_a, row->audience_b},
					.type = row->event_type,
					.source = source_of(runner, row, source, sizeof(source)),
					.data = row->event_data};
	return bus_event_make(&parts, out);
}

const struct command_options *command_runner_options(const struct command_runner *runner)
{
	return &runner->options;
}
