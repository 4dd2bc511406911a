/*
 * erase.c - takes everything of a person out of the store, in steps that hold nobody up and go on after a restart.
 *
 *   IDLE -> FIND (reader: an erasure that goes on) -> STEP (writer, second lane: one part, and how far it came) -> again, until
 *   a pass over all parts finds nothing -> FILE (writer, between two batches: what pages still show; the write-ahead log) -> END -> FIND
 *
 * Parts change rows and where the work stands in one transaction; the file is gone over from its start again after a restart.
 */
#include <stdatomic.h>

#include "agent/agent.h"
#include "base/check.h"
#include "base/failpoint.h"
#include "base/log.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "command/change.h"
#include "command/idempotency.h"
#include "execution/execution.h"
#include "governance/governance.h"
#include "growth/growth.h"
#include "identity/identity.h"
#include "ops/erase_priv.h"
#include "session/session.h"
#include "social/social.h"

enum { PAUSE_US = 2000, WAIT_US = 100000, AGAIN_US = 10000000, FILE_PAGES = 256, PASSES_MAX = 8, ARENA_BYTES = 65536 };

/* Content that a part makes of others' rows comes before them: the log is last. */
static const struct part {
	const char *text;
	erase_fn *run;
} parts[] = {
	{"tokens and keys", identity_erase},
	{"agents", agent_erase},
	{"runs and messages", execution_erase},
	{"sessions", session_erase},
	{"posts", social_erase_posts},
	{"reactions", social_erase_reactions},
	{"direct messages", social_erase_messages},
	{"channels", social_erase_channels},
	{"approvals", approval_erase},
	{"policy", policy_erase},
	{"feedback", feedback_erase},
	{"answers to repeated requests", idempotency_erase},
	{"the log", erase_log},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

enum state { IDLE, FIND, STEP, FILE_PAGES_CLEAR, FILE_LOG_EMPTY, END };

struct eraser {
	struct guild *guild;
	struct loop_note wake;
	struct loop_timer timer;
	atomic_bool woken;
	struct read_job read;
	struct write_job write;
	struct arena arena; /* of the command under way */
	enum state state;
	struct erasure now;
	int64_t page;       /* of FILE_PAGES_CLEAR */
	bool more, failed;  /* failed: and said so */
};

struct erase_command {
	struct change change; /* first */
	struct eraser *eraser;
	struct erasure next;  /* as it stands after the step */
	bool wait;
};

static enum err step_apply(struct command *command, struct db *db);
static void step_finish(struct command *command);
static enum err end_apply(struct command *command, struct db *db);
static void end_finish(struct command *command);
static void timer_run(struct loop_timer *timer, struct loop *loop);
static void wake_run(struct loop_note *note, struct loop *loop);
static void go(struct eraser *eraser, enum state state, int64_t wait_us);

static const struct command_row step_row = {"erase_step", "erase", step_apply, NULL, step_finish};
static const struct command_row end_row = {"erase_end", "erase", end_apply, NULL, end_finish};

/* ---- life ---- */

enum err erase_create(struct guild *guild, struct eraser **out)
{
	struct eraser *eraser = mem_alloc(sizeof(*eraser));
	*out = eraser;
	if (eraser == NULL) {
		return ERR_MEMORY;
	}
	eraser->guild = guild;
	eraser->timer.run = timer_run;
	eraser->wake.run = wake_run;
	arena_init(&eraser->arena, ARENA_BYTES);
	return ERR_OK;
}

void erase_destroy(struct guild *guild, struct eraser **eraser)
{
	if (*eraser != NULL) {
		loop_timer_clear(guild->loops[0], &(*eraser)->timer);
		arena_fini(&(*eraser)->arena);
		mem_free(*eraser);
		*eraser = NULL;
	}
}

void erase_wake(struct eraser *eraser)
{
	if (!atomic_exchange(&eraser->woken, true)) {
		loop_note_post(eraser->guild->loops[0], &eraser->wake);
	}
}

static void wake_run(struct loop_note *note, struct loop *loop)
{
	struct eraser *eraser = container_of(note, struct eraser, wake);
	(void)loop;
	atomic_store(&eraser->woken, false);
	if (eraser->state == IDLE) {
		go(eraser, FIND, 0);
	}
}

const char *erase_part(int64_t part)
{
	return part < PARTS ? parts[part].text : "the file";
}

int64_t erase_parts(void)
{
	return PARTS + 1;
}

/* ---- states ---- */

static void go(struct eraser *eraser, enum state state, int64_t wait_us)
{
	struct loop *loop = eraser->guild->loops[0];
	eraser->state = state;
	if (state != IDLE && loop_timer_set(loop, &eraser->timer, loop_now_us(loop) + wait_us) != ERR_OK) {
		log_at(LOG_WARN, "erase_stopped", log_s("reason", STR("no timer is left; it goes on at the next start")));
	}
}

/* What was done is on disk, so that it is only later. Said once until it works again. */
static void later(struct eraser *eraser, enum err err)
{
	if (err == ERR_GOING_AWAY) {
		return;
	}
	if (!eraser->failed) {
		log_at(LOG_WARN, "erase_failed", log_s("error", err_row(err)->code), log_s("part", str_of(erase_part(eraser->now.part))));
	}
	eraser->failed = true;
	go(eraser, FIND, AGAIN_US);
}

static struct erase_command *command_begin(struct eraser *eraser, const struct command_row *row)
{
	struct guild *guild = eraser->guild;
	struct caller server = {.workspace = eraser->now.workspace};
	arena_reset(&eraser->arena, 0);
	struct erase_command *command = change_make(guild, row, &eraser->arena, guild->loops[0], &server, sizeof(*command));
	if (command != NULL) {
		command->eraser = eraser;
	}
	return command;
}

static void command_go(struct eraser *eraser, struct erase_command *command, enum err err)
{
	err = command == NULL ? ERR_MEMORY : err;
	if (err == ERR_OK) {
		command->change.command.job.sweep = true;
		err = command_submit(&command->change.command, false);
	}
	if (err != ERR_OK) {
		later(eraser, err);
	}
}

/* ---- find ---- */

static enum err find_run(struct read_job *job, struct db *db)
{
	return erase_row_next(db, &container_of(job, struct eraser, read)->now);
}

static void find_done(struct read_job *job)
{
	struct eraser *eraser = container_of(job, struct eraser, read);
	if (job->result == ERR_NOT_FOUND) {
		go(eraser, IDLE, 0);
	} else if (job->result != ERR_OK) {
		later(eraser, job->result);
	} else {
		eraser->page = 1;
		go(eraser, eraser->now.part < PARTS ? STEP : FILE_PAGES_CLEAR, 0);
	}
}

/* ---- one step of a part ---- */

static void move_on(struct erasure *next)
{
	next->after = 0;
	next->part++;
	if (next->part == PARTS && next->found > 0 && next->pass < PASSES_MAX) {
		next->part = 0;
		next->found = 0;
		next->pass++;
	}
}

static enum err step_apply(struct command *base, struct db *db)
{
	struct erase_command *command = (struct erase_command *)base;
	struct erasure *next = &command->next;
	*next = command->eraser->now;
	struct erase_step step = {.guild = command->change.guild,
				  .workspace = next->workspace,
				  .principal = next->principal,
				  .now_us = command_now_us(base),
				  .after = next->after};
	enum err err = failpoint("erase");
	err = err == ERR_OK ? parts[next->part].run(&step, db) : err;
	if (err != ERR_OK) {
		return err;
	}
	next->found += step.rows;
	next->rows += step.rows;
	next->after = step.after;
	if (!step.more) {
		move_on(next);
	}
	command->wait = step.wait;
	return erase_row_put(db, next);
}

static void step_finish(struct command *base)
{
	struct erase_command *command = (struct erase_command *)base;
	struct eraser *eraser = command->eraser;
	struct guild *guild = eraser->guild;
	bool wait = command->wait, over;
	if (base->result != ERR_OK) {
		later(eraser, base->result);
		return;
	}
	over = command->next.part == PARTS;
	eraser->now = command->next;
	eraser->failed = false;
	if (over) {
		/* What is remembered of them elsewhere: events for catching up, streams for resuming. */
		bus_history_forget(guild->history);
		enum err err = execution_forget_kept(guild->engine, eraser->now.principal);
		if (err != ERR_OK) {
			later(eraser, err);
			return;
		}
	}
	go(eraser, over ? FILE_PAGES_CLEAR : STEP, wait ? WAIT_US : PAUSE_US);
}

/* ---- the file ---- */

static enum err clear_apply(struct write_job *job, struct db *db)
{
	struct eraser *eraser = container_of(job, struct eraser, write);
	enum err err = failpoint("scrub");
	return err == ERR_OK ? db_scrub(db, &eraser->page, FILE_PAGES, &eraser->more) : err;
}

static enum err empty_apply(struct write_job *job, struct db *db)
{
	(void)job;
	return db_wal_empty(db);
}

static void file_done(struct write_job *job)
{
	struct eraser *eraser = container_of(job, struct eraser, write);
	enum state state = eraser->state;
	if (job->result == ERR_AGAIN) {
		go(eraser, state, WAIT_US);
	} else if (job->result == ERR_LIMIT) {
		log_at(LOG_WARN, "erase_file_too_large", log_s("reason", STR("pages of so large a file are not cleared; the rows are gone")));
		go(eraser, FILE_LOG_EMPTY, 0);
	} else if (job->result != ERR_OK) {
		later(eraser, job->result);
	} else if (state == FILE_PAGES_CLEAR) {
		go(eraser, eraser->more ? FILE_PAGES_CLEAR : FILE_LOG_EMPTY, PAUSE_US);
	} else {
		go(eraser, END, 0);
	}
}

static void file_step(struct eraser *eraser, enum err (*apply)(struct write_job *, struct db *))
{
	struct guild *guild = eraser->guild;
	eraser->write = (struct write_job){.apply = apply, .done = file_done, .home = guild->loops[0], .between = true};
	enum err err = writer_push(guild->writer, &eraser->write);
	if (err != ERR_OK) {
		later(eraser, err);
	}
}

/* ---- end ---- */

static void end_go(struct eraser *eraser)
{
	struct erase_command *command = command_begin(eraser, &end_row);
	struct id_text id = id_format(&eraser->guild->id_secret, ID_PRINCIPAL, eraser->now.principal);
	struct change_what what = {.outcome = OUTCOME_COMPLETED};
	enum err err = ERR_MEMORY;
	if (command != NULL) {
		what.change = arena_format(&eraser->arena, "{\"principal_id\":\"%s\",\"rows\":%lld}", id.text, (long long)eraser->now.rows);
		err = what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT;
	}
	command_go(eraser, command, err);
}

static enum err end_apply(struct command *base, struct db *db)
{
	struct erase_command *command = (struct erase_command *)base;
	command->next = command->eraser->now;
	command->next.ended_at_us = command_now_us(base);
	enum err err = erase_row_put(db, &command->next);
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static void end_finish(struct command *base)
{
	struct eraser *eraser = ((struct erase_command *)base)->eraser;
	if (base->result != ERR_OK) {
		later(eraser, base->result);
		return;
	}
	log_at(LOG_INFO, "erased", log_i("rows", eraser->now.rows), log_i("passes", eraser->now.pass));
	go(eraser, FIND, 0);
}

static void timer_run(struct loop_timer *timer, struct loop *loop)
{
	struct eraser *eraser = container_of(timer, struct eraser, timer);
	struct guild *guild = eraser->guild;
	enum err err;
	(void)loop;
	switch (eraser->state) {
	case IDLE:
		break;
	case FIND:
		eraser->read = (struct read_job){.run = find_run, .done = find_done, .home = guild->loops[0]};
		err = reader_push(guild->readers, &eraser->read);
		if (err != ERR_OK) {
			later(eraser, err);
		}
		break;
	case STEP:
		command_go(eraser, command_begin(eraser, &step_row), ERR_OK);
		break;
	case FILE_PAGES_CLEAR:
		file_step(eraser, clear_apply);
		break;
	case FILE_LOG_EMPTY:
		file_step(eraser, empty_apply);
		break;
	case END:
		end_go(eraser);
		break;
	}
}
