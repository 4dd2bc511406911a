/*
 * execution_priv.h - what the files of execution/ share: the flow's struct, the shard of a loop, the store's rows.
 *
 * For:     engine.c, flow.c, record.c, settle.c, viewer.c, engine_recover.c, turn_store.c, execution_api.c.
 * Not for: other folders.
 * Threads: a shard and its executions belong to their loop; the *_apply functions run on the writer.
 * Memory:  struct execution holds two lives: the flow arena ends with the run, the stream log is kept for resume.
 */
#ifndef GUILD_EXECUTION_EXECUTION_PRIV_H
#define GUILD_EXECUTION_EXECUTION_PRIV_H

#include "base/flow.h"
#include "base/limits.h"
#include "command/guild.h"
#include "execution/execution.h"
#include "execution/external.h"
#include "execution/resolve_priv.h"
#include "execution/stream_log.h"
#include "governance/ledger.h"
#include "identity/identity.h"

enum execution_state {
	STATE_RESOLVE, STATE_GOVERN, STATE_CHOOSE, STATE_RECORD, STATE_QUEUED, STATE_RECALL, STATE_PROMPT, STATE_CALL, STATE_STREAM,
	STATE_SETTLE, STATE_REMEMBER, STATE_DONE, STATE_REFUSED, STATE_FAILED, STATE_CANCELLED, STATE_TIMED_OUT, STATE_INTERRUPTED,
	STATE_COUNT
};
extern const struct flow_table execution_flow;

/* One loop's executions. */
struct engine_shard {
	struct engine *engine;
	struct loop *loop;
	struct map by_id;            /* running and kept */
	struct list running;
	struct list kept;            /* oldest first */
	struct list external_waiting; /* calls whose agent is not connected */
	struct list stuck;           /* over, but their provider has not said done */
	size_t kept_bytes;
	size_t running_count;
	size_t postponed_count;      /* of these, waiting for the next start of the server */
	struct loop_timer evict_timer;
	struct buf scratch;          /* JSON of the event being published */
	bool draining;               /* nothing starts any more: what waits in the store waits for the next start */
	bool drained;                /* the time to finish is over as well */
	struct loop_timer drain_timer; /* at its end what still runs is interrupted */
};

#define ENGINE_HINT_WORDS 1024

struct engine {
	struct guild *guild;
	struct engine_shard *shards; /* by loop number */
	unsigned shard_count;
	struct provider external;
	struct external_door external_door;
	/* Writer's: sessions (by hash) in which a message has ever waited. A bit that is set costs one look when a run of that session ends;
	 * a bit that is not set saves it. Never cleared, so a rollback cannot make it wrong. */
	uint64_t queue_hints[ENGINE_HINT_WORDS];
};

/* The columns of turn that make a record. Texts are borrowed. */
struct turn {
	int64_t id, session, workspace, agent, owner;
	int status, triggered_by;
	struct str agent_name, action, message, answer, delta_lens;
	bool has_answer, partial, rolled_back, estimated, cost_unknown, truncated;
	int64_t started_at_us, ended_at_us, duration_ms, tokens_in, tokens_out, cost_micro, epoch, seq_last;
	int64_t month, reserve_micro, prompt_tokens; /* of the ledger; what the prompt has about */
	struct str error_code, error_message, provider, model, finish_reason, resolution, metadata;
};

/* A batch of tokens on its way to the store. */
struct token_batch {
	struct write_job job;
	struct execution *execution;
	struct buf lens;
	struct buf body;
	size_t item_first, item_end;
	bool in_flight;
	bool failed;                 /* the last one: the next try waits for the timer */
};

struct execution {
	struct list link;            /* shard->running or ->kept */
	struct engine_shard *shard;
	struct guild *guild;
	unsigned state;
	int64_t id;
	struct id_text id_text, message_text, session_text, agent_text, user_text;
	struct arena arena;          /* of the flow; empty once it ended */
	struct caller caller;

	/* the request */
	struct str wanted_agent, message, trace_id, resolution;
	struct session_message *history;
	size_t history_count;
	bool history_given, stream, strict, session_new, recorded;
	enum run_priority priority;
	int64_t after[LIMIT_RUN_AFTER];
	size_t after_count;
	int64_t above[LIMIT_DELEGATION_DEPTH + 1]; /* the run it works for, the one that one works for, ... */
	size_t above_count;
	int depth;                   /* 0: nobody's */
	enum err ties_err;           /* of what it runs after, or works for */
	const char *pointer;         /* the member that a refusal is about */
	struct idem idem;
	bool has_idem, look_first;
	enum on_busy on_busy;
	enum execution_trigger trigger;
	struct chat_listener listener;
	bool has_listener;

	/* found out */
	struct session session;
	int64_t session_id;
	int64_t session_last;        /* greatest key of the session's turns when it was read; 0: none */
	struct read_job read;
	bool reading;                /* the reader has it, and the arena with it */
	const char *action;
	struct decision decision;
	int64_t agent_id, agent_revision, policy_revision;
	enum agent_kind agent_kind;
	struct str agent_name, agent_prompt, agent_provider, agent_model;
	char *agent_name_kept;       /* outlives the arena, for the kept stream */
	char *refusal_kept;          /* likewise: governance's sentence, when it ended the run */
	const struct provider *provider;
	char model[200];
	char provider_name[32];
	enum err choice_err;
	struct tariff tariff;
	int64_t month, reserve_micro, recorded_at_us; /* of the ledger, after tx1 */
	int64_t prompt_tokens;       /* an estimate */
	bool asked;                  /* the provider has got the prompt, or may have */
	struct str opening_entry;    /* canonical audit entry of tx1 */

	/* the run */
	struct loop_task step_task;
	struct loop_timer total_timer, batch_timer, retry_timer;
	struct loop_timer publish_timer;     /* while numbers are owed to the bus: there was no memory for one */
	int64_t publish_from, publish_upto;  /* those numbers; 0: none */
	struct provider_call *call;
	struct stream_log log;
	struct list viewers;         /* on this loop: told of new events once a turn */
	struct loop_task viewers_task;
	struct token_batch batch;
	size_t items_stored;
	int64_t started_wall_us, started_mono_us, finished_mono_us, deadline_mono_us;
	enum err end_err;            /* OK: completed */
	const char *end_reason;      /* static word for the log line */
	struct str finish_reason;
	bool cancel_wanted, cancel_rollback, promoted, was_queued, settling, truncated, has_usage;
	bool postponed;
	bool own_fault;              /* the agent's own program said that it failed */
	bool human_cancel;           /* a human said stop: evidence against the agent */
	int64_t wait_us;             /* for the connection of an external agent */
	bool abandoned;              /* its provider did not say done when it was told to stop */
	struct settle_command *settle; /* tx2, made once and tried until it is on disk */
	struct engine_order *stop_order, *next_order; /* for whom tx1 interrupts, and whom tx2 gives the turn */
	struct admit_moves *moves;   /* other runs that tx2 concerns; NULL: none */
	unsigned settle_tries;
	bool has_room;               /* in the writer's queue, set aside for tx2 */
	struct str settle_lens;      /* lengths of the deltas, for every try of tx2 */
	int64_t tokens_in, tokens_out, tokens_cached;
	char finish_reason_text[32];
	char user_topic[48], execution_topic[64];
	uint64_t topic_hashes[2];    /* of execution_topic and user_topic */
	char source[64];             /* "<execution>:<epoch>" */
};

/* ---- flow.c ---- */
enum err flow_create(struct engine_shard *shard, const struct chat_request *request, struct execution **out) MUST_USE;
/* A flow for a turn that was queued in the store by a process that ended. */
enum err flow_revive(struct engine_shard *shard, const struct turn *turn, struct execution **out) MUST_USE;
void flow_destroy(struct execution *execution);
void flow_start(struct execution *execution);
/* Asks it to end: from cancel, interrupt, drain, the watchdog. */
void flow_stop(struct execution *execution, enum err why, const char *reason, bool rollback);
/* Whoever waits for it hears that the server is stopping. */
void flow_going_away(struct execution *execution);
/* A queued one keeps waiting, in the store: the server stops. Who listens is told so. */
void flow_postpone(struct execution *execution);
/* A queued one may run now. */
void flow_dequeue(struct execution *execution);
struct str flow_reason(struct execution *execution, struct arena *arena);
/* Ends without an execution row: bad session, overload, refusal. */
void flow_refused(struct execution *execution, enum err err, int64_t audit_seq, int64_t audit_time_us);

/* ---- flow_run.c ---- */
/* The session's history is read (or was given, or the read failed): goes on to the call. */
void flow_ready(struct execution *execution, enum err err);
/* Ends a recorded run that is not waiting for its provider. */
void flow_end(struct execution *execution, enum err err, const char *reason);
void flow_enter_state(struct execution *execution, enum execution_state next, const char *reason);
/* Publishes the event of that number on the user's and the execution's topics. */
void flow_publish(struct execution *execution, int64_t seq);
/* Tokens that the provider may make at most. */
int64_t execution_output_max(const struct execution *execution);
/* After tx1. */
void flow_recorded(struct execution *execution, bool queued);
/* After tx2, or when it is given up: tells listener and log, keeps the stream for resume. */
void flow_over(struct execution *execution, enum execution_state end, int64_t audit_seq, int64_t audit_time_us);
/* ---- external.c ---- */
void external_init(struct engine *engine);

/* ---- record.c (tx1, refusal), settle.c (tx2) ---- */
enum err record_submit(struct execution *execution) MUST_USE;
enum err record_refusal_submit(struct execution *execution) MUST_USE;
void settle_begin(struct execution *execution);
int execution_status_of(enum err err);
enum execution_state execution_state_of(enum err err);
/* On the writer, or before it runs: a message waits in that session; may one be waiting there? */
void engine_queue_hint_set(struct engine *engine, int64_t session);
bool engine_queue_hint(const struct engine *engine, int64_t session);
/* Orders to an execution on the loop that owns it: it is its turn; stop. */
/* An order is made while it can still be refused, and posted (which takes it) when it has to be. NULL: no memory. */
struct engine_order *engine_order_make(struct engine *engine);
void engine_order_free(struct engine_order **order);
void engine_dequeue_take(struct engine_order *order, int64_t execution);
void engine_stop_execution_take(struct engine_order *order, int64_t execution, enum err why, const char *reason, bool rollback);
struct engine_shard *engine_shard_of(struct engine *engine, int64_t execution);
void engine_keep(struct execution *execution);

/* What tx2 writes; filled on the loop, or by recovery. */
struct settle_input {
	int64_t id, session, agent, workspace, owner;
	enum err err;
	int status;
	bool rollback, own_fault, human_cancel, was_queued; /* was_queued: it may not have had its turn */
	bool hold_queue;          /* the server stops: the next one keeps waiting */
	struct str answer, delta_lens, error_message, finish_reason, provider, model;
	int64_t duration_ms, tokens_in, tokens_out, epoch, seq_last;
	bool estimated, cost_unknown, truncated;
	int64_t started_at_us, recorded_at_us;
	int64_t month, reserve_micro, cost_micro; /* month 0: of an older schema, that of recorded_at_us */
	struct str agent_name, action, entry; /* canonical audit entry */
	struct str event_data, topics;
};
struct settle_output {
	int64_t next_queued;         /* runs now in its session, when it was settled already; 0: none */
};
/* In apply: updates turn and session, lets those begin that waited for it, appends the closing log row. ERR_CONFLICT: it is settled
 * already, and execution->moves are what that did. */
enum err settle_apply(struct command *command, struct db *db, const struct settle_input *input, struct settle_output *out) MUST_USE;
/* Makes the command that settles what a dead process left running (before the writer's thread runs). */
enum err settle_interrupted_make(struct guild *guild, struct arena *arena, const struct turn *turn, struct command **out) MUST_USE;

/* ---- turn_store.c ---- */
enum err turn_insert(struct db *db, const struct turn *turn) MUST_USE;
/* *open_before: turns open in the session before this one. ERR_SESSION_BUSY when it is open_max or more; ERR_SESSION_NOT_FOUND. */
enum err turn_session_enter(struct db *db, int64_t session, int64_t agent, int64_t now_us, int64_t open_max, int64_t *open_before) MUST_USE;
enum err turn_session_leave(struct db *db, int64_t session, int messages, int64_t now_us) MUST_USE;
enum err turn_settle(struct db *db, const struct settle_input *input, int64_t now_us) MUST_USE;
/* True when the turn is still queued (nobody gave it its turn). */
enum err turn_waits(struct db *db, int64_t id, bool *waits) MUST_USE;
/* The greatest key of a session's turns, 0: none. */
enum err turn_last(struct db *db, int64_t session, int64_t *id) MUST_USE;
/* The running turn of a session, 0: none. */
enum err turn_running(struct db *db, int64_t session, int64_t *id) MUST_USE;
/* The oldest queued turn of a session, 0: none. */
enum err turn_first_queued(struct db *db, int64_t session, int64_t *id, int64_t *agent, int64_t *started_at_us) MUST_USE;
/* A queued turn is running from now on. */
enum err turn_begin(struct db *db, int64_t id) MUST_USE;
enum err turn_get(struct db *db, struct arena *arena, int64_t id, struct turn *out) MUST_USE; /* ERR_NOT_FOUND */
typedef enum err turn_fn(const struct turn *turn, void *arg);
/* All queued and running ones, oldest first. */
enum err turn_each_open(struct db *db, turn_fn *fn, void *arg) MUST_USE;
/* Newest first with id < before (0: from the newest), at most limit rows; session != 0: of that session. */
enum err turn_list_back(struct db *db, int64_t session, int64_t before, int limit, turn_fn *fn, void *arg) MUST_USE;
enum err turn_batch_insert(struct db *db, int64_t execution, int64_t seq_first, int64_t seq_last, int64_t epoch, struct str lens,
			    struct str body) MUST_USE;
/* Text and lengths of all batches of an execution, in order. */
enum err turn_batch_read(struct db *db, struct arena *arena, int64_t execution, struct str *text, struct str *lens) MUST_USE;
/* Greatest key of turn, session and other keyed tables: floor of the id generators. */
enum err execution_key_max(struct db *db, int64_t *out) MUST_USE;

/* ---- again.c ---- */
/* For guild->run_again. */
void execution_run_again(struct guild *guild, struct http_request *request, int64_t execution);

/* ---- viewer.c ---- */
/* The log has new events: the viewers of this loop get them at the end of the turn, in one piece. */
void viewer_wake_all(struct execution *execution);
void viewer_run_all(struct loop_task *task, struct loop *loop);
/* The log goes: its viewers go on from the store. */
void viewer_orphan_all(struct execution *execution);

/* ---- cold logs ---- */
/* A log made from a turn row: ids and end filled from strs in arena. */
enum err turn_log(struct guild *guild, struct arena *arena, const struct turn *turn, struct stream_log *out) MUST_USE;

#endif
