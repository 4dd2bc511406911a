/*
 * guild.h - governed AI agents: the engine in this process, or a client of a server, behind the same calls.
 *
 * For:     programs that embed Guild, and bindings for other languages.
 * Not for: the wire (docs/api); a second door to the rules: every call here goes to the same table of routes as HTTP.
 * Threads: the engine has threads of its own. Every function may be called from any of the caller's threads; callbacks run on the
 *          caller's thread only, inside guild_dispatch, guild_close or the blocking call that they were given to. No signal handler
 *          is installed. After fork() only the process that opened a handle may use it: others get GUILD_ERR_FORKED.
 * Memory:  arguments are borrowed until the call returns. Texts are UTF-8 with a NUL behind them. What a callback is given is valid
 *          until it returns; replies are the caller's, to be freed with guild_reply_free.
 * Errors:  0 (GUILD_OK) or one of enum guild_error. A refusal by the engine is no error of the call: it is a reply whose status is
 *          400 or more and whose body is a problem document (RFC 9457).
 *
 *     struct guild_handle *guild;
 *     char detail[GUILD_DETAIL_BYTES];
 *     if (guild_open("./var", NULL, &guild, detail) != GUILD_OK) {
 *         fprintf(stderr, "%s\n", detail);
 *         return 1;
 *     }
 *     struct guild_reply reply;
 *     if (guild_chat(guild, &(struct guild_chat){.message = "hello", .user = "ada"}, &reply) == GUILD_OK) {
 *         printf("%d %s\n", reply.status, reply.body);
 *         guild_reply_free(&reply);
 *     }
 *     guild_close(&guild);
 */
#ifndef GUILD_H
#define GUILD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define GUILD_API __attribute__((visibility("default")))

/* Numbers are stable. */
enum guild_error {
	GUILD_OK = 0,
	GUILD_ERR_INVALID = 1,       /* an argument is not what it has to be */
	GUILD_ERR_IN_USE = 2,        /* the data directory is open already, here or in another process */
	GUILD_ERR_WRONG_THREAD = 3,  /* a blocking call on a thread of the engine would wait for itself */
	GUILD_ERR_FORKED = 4,        /* the handle was opened before fork() */
	GUILD_ERR_MEMORY = 5,
	GUILD_ERR_LIMIT = 6,         /* too many calls under way, or events that nobody dispatched */
	GUILD_ERR_IO = 7,            /* disk or network: cannot be opened, reached, or was cut off */
	GUILD_ERR_CONFIG = 8,        /* a setting is not valid */
	GUILD_ERR_NEWER = 9,         /* the store was written by a newer version */
	GUILD_ERR_CORRUPT = 10,      /* the store is damaged, or its key file does not fit */
	GUILD_ERR_CLOSED = 11,       /* the handle was closed while the call was under way */
	GUILD_ERR_CANCELLED = 12,    /* by guild_cancel_call */
	GUILD_ERR_TIMED_OUT = 13,
	GUILD_ERR_NOT_FOUND = 14,    /* no such call is under way */
	GUILD_ERR_INTERNAL = 15,
};

/* One sentence, static; also for numbers outside the enum. Any thread. */
GUILD_API const char *guild_error_text(int error);
/* "0.1.0", static. Any thread. */
GUILD_API const char *guild_version(void);

/* ---- opening ---- */

/* An engine or a connection, with a queue of results. One handle for each event loop of the caller: see guild_dup. */
struct guild_handle;

/* Room for one sentence that says what is wrong and what helps. */
#define GUILD_DETAIL_BYTES 512

/* All members may be 0. */
struct guild_options {
	const char *config_file;      /* the file of `guild serve --config`; NULL: none */
	const char *const *settings;  /* "section.key=value", NULL at the end; they win over file and environment */
};

/* Runs the engine in this process, on the data directory path (made when missing), with the settings of the environment, as the server
 * does, but listening nowhere and, unless told otherwise, logging warnings only. ":memory:" is a fresh directory in memory (/dev/shm,
 * else $TMPDIR) that guild_close removes. options may be NULL; detail (GUILD_DETAIL_BYTES) may be NULL.
 * GUILD_ERR_IN_USE (detail names the pid), _CONFIG, _NEWER, _CORRUPT, _IO, _LIMIT, _MEMORY. */
GUILD_API int guild_open(const char *path, const struct guild_options *options, struct guild_handle **out, char *detail);

/* A client of the server at url ("http://127.0.0.1:8420") with that token (NULL: none). Connects when the first call is made.
 * GUILD_ERR_INVALID for another kind of URL or a token with control characters. */
GUILD_API int guild_connect(const char *url, const char *token, struct guild_handle **out, char *detail);

/* Another handle on the same engine or connection, with its own descriptor and queue. */
GUILD_API int guild_dup(struct guild_handle *handle, struct guild_handle **out);

/* Ends calls of this handle that are under way: their on_done runs in here with GUILD_ERR_CLOSED. The last handle stops the engine: running
 * executions get the time of the setting server.drain, then end as `interrupted`. No other thread may be inside a call of this handle.
 * Sets *handle to NULL; takes NULL inside. GUILD_ERR_WRONG_THREAD on an engine's thread or inside a callback of this handle, GUILD_ERR_FORKED:
 * nothing was closed. */
GUILD_API int guild_close(struct guild_handle **handle);

/* ---- calls: any row of the route table ---- */

/* One event of a stream: its type ("streaming:update") and its data, a JSON object. */
typedef void guild_event_fn(void *ctx, const char *type, const char *data, size_t data_len);

struct guild_request {
	const char *method;         /* "GET", "POST", "PUT", "PATCH", "DELETE" */
	const char *target;         /* "/v1/agents?limit=10", percent-encoded */
	const char *body;           /* JSON; NULL: none */
	const char *user;           /* whom the call is for, by the caller's own name for them: 1..255 bytes without white space. In the
	                             * process they are made a member on first use; the id of such a member is as good. "agent:" and an
	                             * agent's id or handle: the call is that agent's own (404 agent_not_found when there is none). NULL: the
	                             * operator. With guild_connect the token alone says who calls: there "agent:..." is refused with 403
	                             * unless the token is that agent's. */
	guild_event_fn *on_event;   /* asks for an event stream and gets its events; NULL: a whole reply is wanted */
	void *ctx;                  /* for on_event */
	const char *idempotency_key; /* of a POST: it is done once, however often it comes with that key within 48 hours; 1..255 visible ASCII
	                              * characters. The same request again gets the first one's answer. NULL: none */
};

struct guild_reply {
	int status;                 /* as in HTTP; a stream that ran has 200 */
	char *body;                 /* JSON or text, never NULL after GUILD_OK. Of a stream: the data of its last event, `result` */
	size_t body_len;
	char content_type[64];
};

/* Makes the call and waits for its reply. Events of a stream are given to on_event here, on this thread, before it returns. reply is
 * set on GUILD_OK only. GUILD_ERR_INVALID, _WRONG_THREAD, _FORKED, _CLOSED, _LIMIT, _MEMORY; with guild_connect also _IO, _TIMED_OUT. */
GUILD_API int guild_call(struct guild_handle *handle, const struct guild_request *request, struct guild_reply *reply);
/* Frees a reply's body; takes one that was never set when it was zeroed. */
GUILD_API void guild_reply_free(struct guild_reply *reply);

/* How an asynchronous call ended: error GUILD_OK and the reply (borrowed: not to be freed), or another error and a reply of zeros. */
typedef void guild_done_fn(void *ctx, int error, const struct guild_reply *reply);

/* Starts the call and returns. If it returns GUILD_OK, on_done comes exactly once, from guild_dispatch or guild_close of this handle, after
 * all of its on_event; else no callback ever comes. call may be NULL. Errors as guild_call, but for the waiting. */
GUILD_API int guild_call_start(struct guild_handle *handle, const struct guild_request *request, guild_done_fn *on_done, void *ctx,
			       uint64_t *call);

/* Lets go of a call: on_done comes with GUILD_ERR_CANCELLED, no event after this. What the call had begun goes on, as it does when an HTTP
 * client hangs up; to stop an execution, POST /v1/executions/{id}/cancel. GUILD_ERR_NOT_FOUND: it has ended already. */
GUILD_API int guild_cancel_call(struct guild_handle *handle, uint64_t call);

/* A descriptor that is readable while guild_dispatch has something to do; for poll and event loops. It belongs to the handle. -1 after fork. */
GUILD_API int guild_fd(struct guild_handle *handle);

/* Runs the callbacks that wait, on this thread, at most some hundreds at a time (guild_fd stays readable when there are more). handled may be
 * NULL. While another thread, or a callback further up, is in here for the same handle, it returns at once. */
GUILD_API int guild_dispatch(struct guild_handle *handle, size_t *handled);

/* ---- the common calls, as functions ---- */

struct guild_chat {
	const char *agent;          /* id or handle; NULL: the session's, the workspace's or the system's */
	const char *message;
	const char *session_id;     /* NULL: a new one */
	const char *user;           /* as in guild_request */
	guild_event_fn *on_event;   /* not NULL: the answer is streamed to it; NULL: nothing is streamed anywhere */
	void *ctx;
	const char *idempotency_key; /* as in guild_request */
	const char *priority;       /* low, medium, high or urgent, where it has to wait for its turn; NULL: medium */
	const char *const *after;   /* ids of runs that have to complete before it begins, ended by NULL; NULL: none */
	const char *parent_execution_id; /* the running run that it works for; NULL: none */
};

/* Runs a message through an agent and waits. The reply's body is the result (success, execution_id, response, ...), or the problem of a
 * refusal with the members of a failed result. Errors as guild_call. */
GUILD_API int guild_chat(struct guild_handle *handle, const struct guild_chat *chat, struct guild_reply *reply);

/* Makes an agent. maturity and category may be NULL (student, none). The reply's body is the agent. */
GUILD_API int guild_agent_create(struct guild_handle *handle, const char *name, const char *maturity, const char *category,
				 struct guild_reply *reply);

/* Asks whether an agent may do an action, without doing it. The reply's body is the decision. */
GUILD_API int guild_decide(struct guild_handle *handle, const char *agent, const char *action, bool require_approval,
			   struct guild_reply *reply);

/* ---- a bus of one's own ---- */

/* Events between the parts and threads of one program. It needs no engine and no store, and has no access rules: who has the bus may
 * publish and subscribe. A topic is 1 to 255 bytes of [A-Za-z0-9_.:@/-]; it is there while somebody subscribes to it.
 *
 * A subscriber is a handler with its context. It gets each event once, however many of its topics the event was published on; in the order
 * of publishing, which is one for all; and never two at a time, whichever threads dispatch. */
struct guild_bus;

struct guild_bus_event {
	const char *const *topics;  /* all that it was published on */
	size_t topic_count;
	const char *event;          /* byte for byte as published */
	size_t event_len;
	uint64_t number;            /* of the publishing: 1, 2, ... */
	uint64_t missed;            /* how many before this one the subscriber did not get, because its queue was full */
};

/* Gives 0; another number is counted as a failure and changes nothing, for this subscriber or others. May publish, subscribe and unsubscribe. */
typedef int guild_bus_fn(void *ctx, const struct guild_bus_event *event);

/* GUILD_ERR_LIMIT (descriptors), _MEMORY. */
GUILD_API int guild_bus_create(struct guild_bus **out);
/* What waits is dropped (see guild_bus_drain). No other thread may be inside a call of this bus. Takes NULL inside, sets NULL.
 * GUILD_ERR_WRONG_THREAD while a handler runs: nothing was destroyed. */
GUILD_API int guild_bus_destroy(struct guild_bus **bus);

/* Any thread. The same handler, ctx and topic again is the same subscription. subscription may be NULL. GUILD_ERR_INVALID for a name that is
 * no topic, _LIMIT (1,024 topics of a subscriber; memory). */
GUILD_API int guild_bus_subscribe(struct guild_bus *bus, const char *topic, guild_bus_fn *handler, void *ctx, uint64_t *subscription);
/* Any thread. Nothing is handled for that topic any more; with the subscriber's last one, a handler under way on another thread has ended
 * when this returns, so that its ctx may be freed. GUILD_ERR_NOT_FOUND. */
GUILD_API int guild_bus_unsubscribe(struct guild_bus *bus, uint64_t subscription);
/* Any thread; never waits for a handler. event is JSON of at most 1 MiB, topics 1 to 16 names. receivers (may be NULL): how many get it;
 * none is fine. GUILD_ERR_LIMIT: some did not get it, because 4,096 events wait for them or 64 MiB for all; the others did.
 * GUILD_ERR_INVALID, _MEMORY: nobody got it. */
GUILD_API int guild_bus_publish(struct guild_bus *bus, const char *const *topics, size_t topic_count, const char *event, size_t *receivers);

/* As guild_fd and guild_dispatch; several threads may dispatch at the same time, each for other subscribers. */
GUILD_API int guild_bus_fd(struct guild_bus *bus);
GUILD_API int guild_bus_dispatch(struct guild_bus *bus, size_t *handled);
/* Dispatches here, and waits for other threads that do, until nothing waits and no handler runs. timeout_ms < 0: for ever.
 * GUILD_ERR_TIMED_OUT; GUILD_ERR_WRONG_THREAD inside a handler. */
GUILD_API int guild_bus_drain(struct guild_bus *bus, int64_t timeout_ms);

struct guild_bus_counts {
	uint64_t published, handled, failed, missed;
	uint64_t topics, subscribers; /* now */
};
GUILD_API int guild_bus_counts(struct guild_bus *bus, struct guild_bus_counts *out);

#ifdef __cplusplus
}
#endif

#endif
