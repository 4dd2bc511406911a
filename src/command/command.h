/*
 * command.h - the one way anything changes.
 *
 * For:     running a command: decided before, re-checked and applied by the writer, its log rows sealed in the same
 *          transaction, its reply after the commit, its events after the reply.
 * Not for: reading (db/reader.h); deciding (governance/ holds the function; it is given in command_options).
 * Threads: command_submit on the command's loop; apply, command_log and command_now_us on the writer; finish on the loop.
 * Memory:  a command lives in the arena of its request or flow and belongs to the runner from a successful submit until finish.
 * Errors:  submit: ERR_OVERLOADED, ERR_GOING_AWAY, and finish never comes. Else finish comes exactly once with command->result.
 *
 * A command with a key (idem) that was used already is not applied: its result is ERR_REPEATED. Else the key is kept in the same transaction,
 * also for a refusal that apply wrote down, unless the same request may succeed later.
 *
 *   submit -> writer: the key - recheck (revisions) - row->apply - log rows sealed and inserted - COMMIT
 *          -> snapshots published -> per loop one commit node: replies (finish), then events in sequence
 */
#ifndef GUILD_COMMAND_COMMAND_H
#define GUILD_COMMAND_COMMAND_H

#include "audit/audit.h"
#include "base/caller.h"
#include "base/idem.h"
#include "bus/bus.h"
#include "db/reader.h"
#include "db/writer.h"

struct command;
struct command_runner;

struct command_row {
	const char *name;    /* "agent_create": for logs and metrics */
	const char *action;  /* governance action; never NULL: a command without one is refused at start */
	/* Writer: SQL and command_log only. A refusal returns before the first write. May run again after a rollback. */
	enum err (*apply)(struct command *command, struct db *db);
	/* Writer: called instead of apply when the mark does not hold any more; writes the audited denial. NULL only on rows whose
	 * commands never carry a mark. */
	enum err (*deny)(struct command *command, struct db *db, enum err why);
	/* Loop: renders the reply or goes on with the flow; command->result says how it ended. */
	void (*finish)(struct command *command);
};

/* What an agent's action was decided on; compared again inside the transaction. agent == 0: a human or the server acts. */
struct command_mark {
	int64_t agent;
	int64_t agent_revision;
	int64_t policy_revision;
};

#define COMMAND_ROWS_MAX 8

struct command {
	struct write_job job;
	const struct command_row *row;
	struct command_runner *runner;
	struct arena *arena;          /* of the request or flow; apply may allocate from it */
	struct loop *loop;
	struct caller caller;
	struct command_mark mark;
	struct idem *idem;            /* under which it is done once; NULL: none */
	bool partial;                 /* set in apply: more of its request follows, the key is kept with the last part */
	void *owner;                  /* the request, flow or whatever finish needs */
	enum err result;
	int64_t log_seq[COMMAND_ROWS_MAX];  /* of the rows written; for audit ids */
	int64_t log_time_us[COMMAND_ROWS_MAX];
	unsigned log_count;
	struct bus_event *events[COMMAND_ROWS_MAX]; /* made in apply, published after the commit */
	unsigned event_count;
};

/* Makes authoritative state of the writer (agents, identity) follow a transaction. All on the writer's thread. */
struct command_overlay {
	void *ctx;
	size_t (*mark)(void *ctx);                 /* where the changes stand now */
	void (*undo_to)(void *ctx, size_t mark);   /* forgets the changes made since that mark */
	void (*committed)(void *ctx);              /* publishes the changes; runs before any reply */
	enum err (*flush)(void *ctx, struct db *db); /* before the commit: writes what was summed up over the batch. NULL: nothing */
};

#define COMMAND_OVERLAYS_MAX 16

struct command_options {
	const struct env *env;
	const struct siphash_key *id_secret;
	const int64_t *epoch;           /* of the store; read when events are rendered */
	struct bus *bus;
	struct bus_history *history;
	struct loop *const *loops;
	unsigned loop_count;
	const struct command_overlay *overlays; /* ctx == NULL ends the list */
	/* Is what the mark was decided on still so? Writer's thread. ERR_OK, or decides again: the refusal's error. */
	enum err (*recheck)(void *ctx, const struct command *command);
	/* After recheck, with what it said: counts what an agent's action was decided to be. Its error ends the command. NULL: nothing. */
	enum err (*decided)(void *ctx, const struct command *command, enum err denied);
	void *recheck_ctx;              /* of both */
};

enum err command_runner_create(const struct command_options *options, struct command_runner **out) MUST_USE;
void command_runner_destroy(struct command_runner **runner);
/* The hooks to give to writer_create; then command_attach once the writer stands (reads the head of the log, starts the history). */
const struct writer_hooks *command_hooks(struct command_runner *runner);
enum err command_attach(struct command_runner *runner, struct writer *writer) MUST_USE;

/* Makes a command in arena, ready to be filled and submitted. NULL when the arena is full. size: of the struct that embeds struct command
 * as its first member (for further input). */
struct command *command_new(struct command_runner *runner, const struct command_row *row, struct arena *arena, struct loop *loop,
			    const struct caller *caller, size_t size);
/* reserved: its room was set aside with command_reserve. */
enum err command_submit(struct command *command, bool reserved) MUST_USE;
enum err command_reserve(struct command_runner *runner) MUST_USE;
void command_unreserve(struct command_runner *runner);
/* Runs a command to its commit on the calling thread, before the writer's thread runs (first start, recovery). */
enum err command_run_now(struct command *command) MUST_USE;
/* The same with several of them, which share transactions (at most LIMIT_WRITER_BATCH). The first error; the others ran. */
enum err command_run_all(struct command *const *commands, size_t count) MUST_USE;

/* ---- in apply ---- */

/* Wall time of the transaction; never earlier than the last row of the log. */
int64_t command_now_us(const struct command *command);
/* Seals row (sequence, time, hashes) and inserts it; an event in it is published after the commit. Fills command->log_seq. */
enum err command_log(struct command *command, struct db *db, struct log_row *row) MUST_USE;
struct writer *command_writer(struct command_runner *runner);
/* A number of this start of the server. */
int64_t command_process(const struct command_runner *runner);
/* Time of the newest transaction: never earlier than any row of the log. Any thread. */
int64_t command_newest_us(const struct command_runner *runner);
/* Newest row of the log. Writer's thread; in an overlay's `committed` it is on disk. */
int64_t command_head_seq(const struct command_runner *runner);

/* The event of a log row, as published; for catch-up from the store. ERR_TOPIC, ERR_MEMORY. */
enum err command_event_of(struct command_runner *runner, const struct log_row *row, struct bus_event **out) MUST_USE;
/* Renders events for bus_create; ctx is the runner (created before the bus: see command_bus_set). */
struct frame *command_event_render(void *runner, const struct bus_event *event, enum bus_form form);
void command_bus_set(struct command_runner *runner, struct bus *bus);

#endif
