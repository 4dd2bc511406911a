/*
 * retention.c - looks now and then for what is over, and erases it in steps that hold nobody up.
 *
 *   WAIT -> MEASURE (reader: bytes of new events) -> EVENTS (writer, second lane) -> TOKENS, EXECUTIONS, AUDIT (the same)
 *        -> NOTE (how far the store is) -> WAIT
 *
 * Each state repeats itself while there is more, with a pause between.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "db/backup.h"
#include "db/log.h"
#include "ops/ops_priv.h"
#include "ops/retention_priv.h"

#define PAUSE_US  2000
#define FIRST_US  1000000
#define NOTE_US   10000000

enum state { WAIT, MEASURE, EVENTS, TOKENS, EXECUTIONS, AUDIT, NOTE };

struct retention {
	struct guild *guild;
	struct loop_note begin;
	struct loop_timer timer;
	enum state state;
	struct read_job read;
	struct write_job write;
	struct retention_events measure, events;
	struct retention_tokens tokens;
	struct retention_executions executions;
	struct retention_audit audit;
	int64_t measured_upto, kept_bytes; /* of events, as far as measured */
	struct generation note;            /* as last written */
	int64_t head_seq;
	int64_t next_us;                   /* monotonic: when all of it is due again */
	bool failed;                       /* and said so */
};

static void timer_run(struct loop_timer *timer, struct loop *loop);
static void go(struct retention *retention, enum state state);
static void step(struct retention *retention);

enum err retention_create(struct guild *guild, struct retention **out)
{
	struct retention *retention = mem_alloc(sizeof(*retention));
	*out = retention;
	if (retention == NULL) {
		return ERR_MEMORY;
	}
	retention->guild = guild;
	retention->timer.run = timer_run;
	return ERR_OK;
}

void retention_destroy(struct guild *guild, struct retention **retention)
{
	if (*retention != NULL) {
		loop_timer_clear(guild->loops[0], &(*retention)->timer);
		mem_free(*retention);
		*retention = NULL;
	}
}

static void again_at(struct retention *retention, int64_t wait_us)
{
	struct loop *loop = retention->guild->loops[0];
	if (loop_timer_set(loop, &retention->timer, loop_now_us(loop) + wait_us) != ERR_OK) {
		log_at(LOG_WARN, "retention_stopped", log_s("reason", STR("no timer is left; nothing more is erased until the next start")));
	}
}

static void begin_run(struct loop_note *note, struct loop *loop)
{
	struct retention *retention = container_of(note, struct retention, begin);
	(void)loop;
	again_at(retention, FIRST_US);
}

void retention_start(struct retention *retention, const struct generation *generation)
{
	retention->note = *generation;
	retention->begin.run = begin_run;
	loop_note_post(retention->guild->loops[0], &retention->begin);
}

static void timer_run(struct loop_timer *timer, struct loop *loop)
{
	struct retention *retention = container_of(timer, struct retention, timer);
	if (retention->state == WAIT) {
		bool due = loop_now_us(loop) >= retention->next_us;
		if (due) {
			retention->next_us = loop_now_us(loop) + retention->guild->settings.retention_every_us;
		}
		retention->state = due ? MEASURE : NOTE;
	}
	step(retention);
}

/* The next state at once, the same one after a pause. */
static void go(struct retention *retention, enum state state)
{
	bool same = retention->state == state;
	struct loop *loop = retention->guild->loops[0];
	retention->state = state;
	if (state != WAIT) {
		again_at(retention, same ? PAUSE_US : 0);
		return;
	}
	int64_t left_us = retention->next_us - loop_now_us(loop);
	again_at(retention, left_us < NOTE_US ? (left_us > PAUSE_US ? left_us : PAUSE_US) : NOTE_US);
}

/* Nothing is lost by waiting for the next time. Said once until it works again. */
static void give_up(struct retention *retention, enum err err)
{
	if (!retention->failed) {
		log_at(LOG_WARN, "retention_failed", log_s("error", err_row(err)->code));
	}
	retention->failed = true;
	go(retention, WAIT);
}

/* ---- one step of each state ---- */

static enum err measure_run(struct read_job *job, struct db *db)
{
	struct retention *retention = container_of(job, struct retention, read);
	struct retention_events *measure = &retention->measure;
	int64_t gone;
	enum err err = log_events_gone(db, &gone);
	if (err == ERR_OK) {
		measure->after = retention->measured_upto > gone ? retention->measured_upto : gone;
		err = retention_events_measure(db, measure);
	}
	return err;
}

static void measure_done(struct read_job *job)
{
	struct retention *retention = container_of(job, struct retention, read);
	if (job->result != ERR_OK) {
		give_up(retention, job->result);
		return;
	}
	retention->measured_upto = retention->measure.upto;
	retention->kept_bytes += retention->measure.bytes;
	go(retention, retention->measure.more ? MEASURE : EVENTS);
}

static enum err events_apply(struct write_job *job, struct db *db)
{
	return retention_events_erase(db, &container_of(job, struct retention, write)->events);
}

static void events_done(struct write_job *job)
{
	struct retention *retention = container_of(job, struct retention, write);
	if (job->result != ERR_OK) {
		give_up(retention, job->result);
		return;
	}
	retention->kept_bytes -= retention->events.bytes;
	metric_add(METRIC_EVENTS_ERASED, retention->events.erased);
	go(retention, retention->events.more ? EVENTS : TOKENS);
}

static enum err tokens_apply(struct write_job *job, struct db *db)
{
	return retention_tokens_erase(db, &container_of(job, struct retention, write)->tokens);
}

static void tokens_done(struct write_job *job)
{
	struct retention *retention = container_of(job, struct retention, write);
	struct retention_tokens *tokens = &retention->tokens;
	if (job->result != ERR_OK) {
		tokens->after = 0;
		give_up(retention, job->result);
		return;
	}
	metric_add(METRIC_TOKEN_BATCHES_ERASED, tokens->erased);
	tokens->after = tokens->more ? tokens->reached : 0;
	go(retention, tokens->more ? TOKENS : EXECUTIONS);
}

static enum err executions_apply(struct write_job *job, struct db *db)
{
	return retention_executions_erase(db, &container_of(job, struct retention, write)->executions);
}

static void executions_done(struct write_job *job)
{
	struct retention *retention = container_of(job, struct retention, write);
	struct retention_executions *executions = &retention->executions;
	if (job->result != ERR_OK) {
		executions->after = 0;
		give_up(retention, job->result);
		return;
	}
	metric_add(METRIC_EXECUTIONS_ERASED, executions->erased);
	executions->after = executions->more ? executions->reached : 0;
	go(retention, executions->more ? EXECUTIONS : AUDIT);
}

static enum err audit_apply(struct write_job *job, struct db *db)
{
	return retention_audit_erase(db, &container_of(job, struct retention, write)->audit);
}

static void audit_done(struct write_job *job)
{
	struct retention *retention = container_of(job, struct retention, write);
	if (job->result != ERR_OK) {
		give_up(retention, job->result);
		return;
	}
	metric_add(METRIC_ENTRIES_ERASED, retention->audit.erased);
	retention->failed = false;
	go(retention, retention->audit.more ? AUDIT : NOTE);
}

static enum err note_run(struct read_job *job, struct db *db)
{
	struct retention *retention = container_of(job, struct retention, read);
	struct log_head head;
	enum err err = log_head_read(db, &head);
	if (err != ERR_OK || head.seq == retention->note.seq) {
		return err;
	}
	/* What a reader sees is on disk. The file is written here, where waiting for the disk is allowed. */
	struct generation note = retention->note;
	note.seq = head.seq;
	err = generation_write(retention->guild->data_dir, &note);
	if (err == ERR_OK) {
		retention->note = note;
	}
	return err;
}

static void note_done(struct read_job *job)
{
	struct retention *retention = container_of(job, struct retention, read);
	if (job->result != ERR_OK) {
		give_up(retention, job->result);
	} else {
		go(retention, WAIT);
	}
}

static int64_t before(const struct retention *retention, int64_t kept_us)
{
	int64_t now_us = env_wall_us(retention->guild->env);
	return kept_us > 0 && now_us > kept_us ? now_us - kept_us : 0;
}

static void write_step(struct retention *retention, enum err (*apply)(struct write_job *, struct db *), void (*done)(struct write_job *))
{
	struct guild *guild = retention->guild;
	retention->write = (struct write_job){.apply = apply, .done = done, .home = guild->loops[0], .sweep = true};
	enum err err = writer_push(guild->writer, &retention->write);
	if (err != ERR_OK && err != ERR_GOING_AWAY) {
		give_up(retention, err);
	}
}

static void read_step(struct retention *retention, enum err (*run)(struct read_job *, struct db *), void (*done)(struct read_job *))
{
	struct guild *guild = retention->guild;
	retention->read = (struct read_job){.run = run, .done = done, .home = guild->loops[0]};
	enum err err = reader_push(guild->readers, &retention->read);
	if (err != ERR_OK && err != ERR_GOING_AWAY) {
		give_up(retention, err);
	}
}

static void step(struct retention *retention)
{
	const struct guild_settings *settings = &retention->guild->settings;
	int64_t bytes_max = settings->retention_events_bytes;
	switch (retention->state) {
	case WAIT:
		break;
	case MEASURE:
		read_step(retention, measure_run, measure_done);
		break;
	case EVENTS:
		retention->events.before_us = before(retention, settings->retention_events_us);
		retention->events.bytes_over = bytes_max > 0 ? retention->kept_bytes - bytes_max : 0;
		retention->events.last = retention->measured_upto;
		write_step(retention, events_apply, events_done);
		break;
	case TOKENS:
		retention->tokens.before_us = before(retention, settings->retention_tokens_us);
		write_step(retention, tokens_apply, tokens_done);
		break;
	case EXECUTIONS:
		retention->executions.before_us = before(retention, settings->retention_executions_us);
		retention->executions.quota = retention->guild->quota;
		write_step(retention, executions_apply, executions_done);
		break;
	case AUDIT:
		retention->audit.before_us = before(retention, settings->retention_audit_us);
		write_step(retention, audit_apply, audit_done);
		break;
	case NOTE:
		read_step(retention, note_run, note_done);
		break;
	}
}
