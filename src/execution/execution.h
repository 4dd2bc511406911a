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
#include "bus/bus.h"
#include "governance/governance.h"
#include "provider/provider.h"
#include "session/session.h"

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
	enum execution_trigger trigger;
	struct str trace_id;
};

/* One numbered event of an execution. */
struct execution_frame {
	int64_t seq;
	bool terminal;
	struct str type;             /* "streaming:update" */
	struct str json;             /* the event's JSON text, without line ends */
	struct frame *ws;            /* a whole WebSocket frame of it */
	struct frame *sse;           /* a chunk with the SSE event */
};

/* A listener: a cursor into the execution's log. Callbacks run on its loop. */
struct execution_viewer {
	struct list link;
	struct execution *execution; /* NULL when detached */
	int64_t next_seq;            /* the next it wants */
	/* Frames from next_seq on are there: take what fits with execution_viewer_next. */
	void (*ready)(struct execution_viewer *viewer);
};
/* The next frame for this viewer, borrowed until the end of the turn; NULL when it has seen all so far. */
const struct execution_frame *execution_viewer_next(struct execution_viewer *viewer);
void execution_viewer_detach(struct execution_viewer *viewer);

/* How a run, or a refusal, ended. Valid during the callback. */
struct chat_result {
	bool success;
	enum err err;
	struct str execution_id;     /* at NULL: refused */
	struct str response, agent_id, agent_name, message_id, session_id, resolution_path; /* the last: JSON array */
	struct str provider, model, error, reason, rule_id, audit_id;
	int64_t tokens_in, tokens_out, cost_micro;
	bool estimated, cost_unknown;
	const struct decision *decision;
};

struct chat_listener {
	/* tx1 is on disk (or it is refused: then ended comes without recorded). The execution's ids are known. May attach a viewer. */
	void (*recorded)(void *ctx, struct execution *execution);
	/* Exactly once, last. */
	void (*ended)(void *ctx, const struct chat_result *result);
	void *ctx;
};

enum err engine_create(struct guild *guild, struct engine **out) MUST_USE;
void engine_destroy(struct engine **engine);
/* Settles what a dead process left running, before the loops run: the same settle command as a normal end. */
enum err engine_recover(struct engine *engine) MUST_USE;
/* On each loop when stopping: running ones may finish until deadline_us (monotonic), then end interrupted. */
void engine_drain(struct engine *engine, struct loop *loop, int64_t deadline_us);
/* Runs under way on that loop. */
size_t engine_running(const struct engine *engine, const struct loop *loop);

/* Starts a chat on the calling loop; strs are copied. ERR_OVERLOADED, ERR_MEMORY: nothing comes. */
enum err execution_start(struct engine *engine, struct loop *loop, const struct chat_request *request, const struct chat_listener *listener) MUST_USE;
/* The listener goes away (client disconnected); the run goes on. */
void execution_forget_listener(struct execution *execution, void *ctx);
/* Makes viewer see frames from after + 1 on. Same loop as the execution. */
void execution_view(struct execution *execution, struct execution_viewer *viewer, int64_t after);
struct str execution_id_text(const struct execution *execution);

/* On the loop that owns it: the execution when it is running or still kept in memory, else NULL. */
struct execution *execution_find(struct engine *engine, struct loop *loop, int64_t id);

enum cancel_answer { CANCEL_OK, CANCEL_NOT_RUNNING };
/* From any loop: cancels when the caller owns it (or is an admin); answer runs on the asking loop. */
struct cancel_request {
	struct loop_note note;
	struct loop *home;
	int64_t id;
	struct caller caller;
	enum err result;
	void (*answer)(struct cancel_request *request);
	struct guild *guild;
};
void execution_cancel(struct engine *engine, struct cancel_request *request);

/* /v1/chat, /v1/agents/{id}/chat, /v1/executions ... */
extern const struct http_route execution_routes[];

#endif
