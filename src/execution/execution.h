/*
 * execution.h - one chat, from the request to the last record: the big flow.
 *
 * For:     running a message through governance, provider, stream, store and audit; cancelling, resuming, recovering.
 * Not for: doors' wire forms (execution_api.c has HTTP's and WebSocket's); choosing among many providers (routing, later).
 * Threads: an execution lives on one loop; execution_start on that loop; execution_attach, _cancel on any loop (they send a note).
 * Memory:  one arena per flow, freed when its frames are no longer kept.
 * Errors:  every started execution reaches exactly one terminal event; a watchdog proves it.
 *
 * States and what holds in each:
 *   RESOLVE    the agent is being found; a reader may be reading session and history
 *   GOVERN     decided; refused -> REFUSED with its audit entry, no execution row
 *   CHOOSE     provider and model are fixed
 *   RECORD     tx1 with the writer: turn row + opening log row; nothing was sent anywhere
 *   QUEUED     recorded, waiting for the session's running one or for a free slot
 *   RECALL     (empty step until episodes exist)
 *   PROMPT     the messages are rendered
 *   CALL       the request went to the provider, no token yet
 *   STREAM     numbered events go out; batches go to the store
 *   SETTLE     tx2 with the writer: turn, session, closing log row
 *   REMEMBER   (empty step: the job is in the log row)
 *   DONE, REFUSED, FAILED, CANCELLED, TIMED_OUT, INTERRUPTED   the terminal event went out
 */
#ifndef GUILD_EXECUTION_EXECUTION_H
#define GUILD_EXECUTION_EXECUTION_H

#include "agent/agent.h"
#include "base/idem.h"
#include "bus/bus.h"
#include "governance/governance.h"
#include "provider/provider.h"
#include "session/session.h"
#include "social/social.h"

struct guild;
struct engine;
struct execution;

enum execution_status { EXECUTION_QUEUED = 1, EXECUTION_RUNNING, EXECUTION_COMPLETED, EXECUTION_FAILED, EXECUTION_CANCELLED,
			EXECUTION_TIMED_OUT, EXECUTION_INTERRUPTED };
struct str execution_status_word(int status);
bool execution_status_parse(struct str word, int *out);
enum execution_trigger { TRIGGER_CHAT = 1, TRIGGER_WEBSOCKET, TRIGGER_OPENAI, TRIGGER_API, TRIGGER_CLI, TRIGGER_LIBRARY, TRIGGER_MENTION,
			 TRIGGER_SCHEDULE };
struct str execution_trigger_word(int trigger);
/* Of a run that has to wait for its turn. */
enum run_priority { RUN_LOW = 1, RUN_MEDIUM, RUN_HIGH, RUN_URGENT };
struct str execution_priority_word(enum run_priority priority);
/* False: not such a word. */
bool execution_priority_parse(struct str word, enum run_priority *out);
enum on_busy { BUSY_ENQUEUE, BUSY_REJECT, BUSY_INTERRUPT, BUSY_ROLLBACK };

struct chat_request {
	struct caller caller;
	struct str agent;            /* id or handle; at NULL: resolve */
	struct str message;
	struct str session_id;       /* at NULL: a new session */
	const struct session_message *history; /* given by the caller; NULL: the stored one */
	size_t history_count;
	bool stream;
	bool strict;
	enum on_busy on_busy;
	enum run_priority priority;  /* 0: medium */
	struct json after;           /* array of ids of runs that have to complete first; absent: none */
	struct str parent;           /* id of the run it works for; at NULL: none */
	enum execution_trigger trigger;
	struct str trace_id;
	int64_t wait_us;             /* how long an external agent may take to connect; 0: it has to be there */
	const struct idem *idem;     /* under which it is run once; NULL: none */
	bool look_first;             /* whether the key was used has not been asked yet: it is, before anything else */
};

/* A listener of one execution: a cursor into its numbered log, whatever loop owns it, running or long over, in memory or in the store.
 * Every frame from after + 1 on is given once, in order; then live ones; the terminal frame is the last. Threads: the viewer's loop. */
struct execution_viewer;
struct execution_viewer_options {
	int64_t execution;
	int64_t after_seq;           /* the last one seen; 0: from the start */
	int64_t after_epoch;         /* of that cursor; 0 counts as 1 */
	enum bus_form form;
	/* Takes over the frame's reference. ERR_TOO_SLOW: it was not sent; the viewer waits for execution_viewer_drained and fetches it again. */
	enum err (*send_take)(void *ctx, struct frame *frame, int64_t seq);
	/* Exactly once unless destroyed before, last: ERR_OK after the terminal frame; ERR_NOT_FOUND: no such execution. */
	void (*ended)(void *ctx, enum err err);
	void *ctx;
};
/* The caller has been checked (execution_may_see). ERR_MEMORY, ERR_LIMIT. Callbacks may come before this returns, but not `ended`. */
enum err execution_viewer_create(struct engine *engine, struct loop *loop, const struct execution_viewer_options *options,
				 struct execution_viewer **out) MUST_USE;
void execution_viewer_drained(struct execution_viewer *viewer);
void execution_viewer_destroy(struct execution_viewer **viewer);

/* How a run, or a refusal, ended. Valid during the callback. */
struct chat_result {
	bool success;
	enum err err;
	struct str execution_id;     /* at NULL: refused */
	struct str response, agent_id, agent_name, message_id, session_id, resolution_path; /* the last: JSON array */
	struct str provider, model, error, reason, rule_id, audit_id;
	struct str pointer;          /* member of the request that is to blame; at NULL: none */
	int64_t tokens_in, tokens_out, cost_micro;
	bool estimated, cost_unknown;
	bool kept;                   /* a refusal, kept under the request's key */
	int64_t kept_at_us;
	const struct decision *decision;
};

struct chat_listener {
	/* tx1 is on disk (not called for a refusal): the run exists under these keys; queued: it waits for its session. Viewers may be made here. */
	void (*recorded)(void *ctx, int64_t execution, int64_t session, bool queued);
	/* Exactly once, last. */
	void (*ended)(void *ctx, const struct chat_result *result);
	void *ctx;
};

/* Places of agents and workspaces, and what waits for them. It follows the writer's transactions. */
struct admission;
enum err admit_create(struct guild *guild, struct admission **out) MUST_USE;
void admit_destroy(struct admission **admission);
struct command_overlay admit_overlay(struct admission *admission);

enum err engine_create(struct guild *guild, struct engine **out) MUST_USE;
void engine_destroy(struct engine **engine);
/* Settles what a dead process left running, before the loops run: the same settle command as a normal end. */
enum err engine_recover(struct engine *engine) MUST_USE;
/* On each loop when stopping: running ones may finish until deadline_us (monotonic), then end interrupted. */
void engine_drain(struct engine *engine, struct loop *loop, int64_t deadline_us);
/* The loops' threads have ended: whoever still waits for a run hears ERR_GOING_AWAY; the run is settled at the next start. */
void engine_abandon(struct engine *engine);
/* Runs under way on that loop; while it drains, without those that wait for the next start. */
size_t engine_running(const struct engine *engine, const struct loop *loop);

/* Starts a chat on the calling loop; strs are copied. ERR_OVERLOADED, ERR_MEMORY: nothing comes. */
enum err execution_start(struct engine *engine, struct loop *loop, const struct chat_request *request, const struct chat_listener *listener) MUST_USE;
/* The listener with that ctx goes away (its client left); the run goes on. Same loop. */
void execution_forget_listener(struct engine *engine, struct loop *loop, int64_t execution, void *ctx);

/* On the writer: takes a run that is over out of the store: its streamed text, its turn with the messages, and their share of the session's count;
 * a session that is left without runs and was not touched since goes with the last. ERR_CONFLICT: it is not over. One that is not there is fine. */
struct execution_forget {
	int64_t sessions_before_us;  /* 0: sessions stay */
	int64_t rows_max;            /* of streamed text at once */
	int64_t rows, session_owner; /* results: rows gone; whose session went, 0: none did */
	bool left;                   /* of its text, for another step: the turn still stands */
};
enum err execution_forget(struct db *db, int64_t id, struct execution_forget *forget) MUST_USE;

/* The part of a person who is erased: runs under way are stopped first. And what is kept in memory of runs that are over, on every loop;
 * ERR_MEMORY. */
struct erase_step;
enum err execution_erase(struct erase_step *step, struct db *db) MUST_USE;
enum err execution_forget_kept(struct engine *engine, int64_t principal) MUST_USE;

/* How a run stands that is asked for again under its key. done comes on loop, once, when start returned ERR_OK. */
struct execution_again {
	struct read_job read;
	struct guild *guild;
	struct arena *arena;         /* of the texts of result */
	int64_t execution;
	bool over;
	struct chat_result result;   /* while it runs: with ids and no end */
	void (*done)(struct execution_again *again, enum err err);
};
enum err execution_again_start(struct guild *guild, struct loop *loop, struct execution_again *again) MUST_USE;

/* On the writer or a reader: whose run that is, when the caller may see it. ERR_NOT_FOUND. */
enum err execution_agent(struct db *db, const struct caller *caller, int64_t execution, int64_t *agent) MUST_USE;

/* The run result of api.md, success and failure alike, as one JSON object. */
void chat_result_json(const struct chat_result *result, struct json_out *out);
/* Its members alone, inside an object that is open. */
void chat_result_members(const struct chat_result *result, struct json_out *out);
/* The members of a failed result that a problem document does not have of its own, as an object. */
void chat_result_problem(const struct chat_result *result, struct json_out *out);

/* From any loop: cancels when the caller owns it (or is an admin); answer runs on the asking loop. */
struct cancel_request {
	struct loop_note note;
	struct loop *home;
	int64_t id;
	struct caller caller;
	enum err result;             /* OK: it is being cancelled; NOT_FOUND; CONFLICT: it is over already */
	void (*answer)(struct cancel_request *request); /* on home; the request may be freed there */
	struct engine *engine;       /* set by execution_cancel */
};
void execution_cancel(struct engine *engine, struct cancel_request *request);

/* For guild->runs. */
extern const struct guild_runs execution_runs;
/* What runs the automatic answers of the social layer. */
struct social_answerer execution_answerer(struct engine *engine);

/* /v1/chat, /v1/agents/{id}/chat, /v1/executions ... */
extern const struct http_route execution_routes[];

#endif
