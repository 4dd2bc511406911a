/*
 * library_priv.h - what the two doors of the library share: calls, and how results come back.
 *
 * For:     library.c (public functions and queues), library_local.c (the engine here), library_remote.c (a server elsewhere).
 * Not for: anybody else.
 * Threads: fields of a library, handle or call change under library->lock, but those marked (loop), which belong to the call's loop
 *          between start and library_call_done.
 * Memory:  a call has two holders: its door, from start to library_call_done, and its queue, until the last item was taken.
 */
#ifndef GUILD_APP_LIBRARY_PRIV_H
#define GUILD_APP_LIBRARY_PRIV_H

#include <pthread.h>
#include <sys/types.h>

#include "app/app.h"
#include "base/check.h"
#include "base/list.h"
#include "base/thread.h"
#include "guild.h"
#include "http/client.h"
#include "wire/sse.h"

struct library;
struct library_call;

/* The way to the route table. */
struct library_door {
	/* On the loop that loop_of chose; leads to library_call_done exactly once, unless stop comes first. */
	void (*run)(struct library *library, struct library_call *call, struct loop *loop);
	/* The same loop: the user has let go of the call. NULL: it runs to its end, unheard. */
	void (*cancel)(struct library_call *call);
	/* Which loop a new call goes to. Under the lock. */
	struct loop *(*loop_of)(struct library *library);
	/* Stops the threads; no callback of the door comes after it. */
	void (*stop)(struct library *library);
};

/* One thing for the user: an event, or, as the last, how the call ended. */
struct library_item {
	struct list link;
	struct library_call *call;
	bool end;
	size_t type_len, data_len;
	char text[]; /* type, NUL, data, NUL; the end's are in the call */
};

struct library_call {
	struct list link;            /* library->calls, while the door has it */
	struct library *library;
	struct guild_handle *handle; /* until taken */
	uint64_t id;
	struct loop *loop;
	struct loop_note run_note, cancel_note;
	struct arena arena;
	struct str method, target, body, user, idempotency_key;
	guild_event_fn *on_event;
	void *event_ctx;
	guild_done_fn *on_done;      /* NULL: somebody waits in guild_call */
	void *done_ctx;
	struct list items;           /* of a waiting call; others' go to handle->ready */
	pthread_cond_t changed;      /* of a waiting call */
	struct library_item *end;    /* made beforehand, so that an end never fails */
	enum guild_error error;
	bool ended;                  /* error and reply are set; nothing is queued any more */
	bool taken;                  /* the user has seen the end */
	bool door_done;
	bool cancel_posted;          /* the cancel note holds the call as well, until it ran */
	int status;
	char content_type[64];
	struct buf reply;            /* (loop) until ended */
	struct sse sse;              /* (loop) */
	struct http_call *http;      /* (loop) remote: under way */
	bool streaming;              /* (loop) the reply is an event stream */
	enum err broken;             /* (loop) the stream or its memory broke: what follows is ignored */
};

struct guild_handle {
	struct library *library;
	int fd;                      /* eventfd, readable while ready is not empty */
	struct list ready;           /* items, oldest first */
	size_t queued_bytes;
	unsigned waiting;            /* threads inside guild_call, from before its call begins until it has let go of everything */
	bool dispatching, closing;
	struct list link;            /* library->handles */
};

struct library {
	pthread_mutex_t lock;
	pid_t pid;
	const struct library_door *door;
	struct list handles;
	struct list calls;
	size_t call_count;
	uint64_t last_id;
	/* local */
	struct config config;
	struct guild *guild;
	unsigned next_loop;
	char memory_dir[512];        /* removed at the end; "" = none */
	/* remote */
	struct loop *loop;
	struct http_client *client;
	struct thread thread;
	struct buf url, token_header; /* without the trailing '/'; "Authorization: Bearer ..." with its NUL, or empty */
};

/* ---- library.c ---- */

/* A library without a door yet, with its first handle. */
enum err library_create(struct library **out, struct guild_handle **first) MUST_USE;
/* Frees a library and a handle whose door never opened. */
void library_discard(struct library **library, struct guild_handle **first);
enum guild_error library_error(enum err err);

static inline void library_lock(struct library *library) { check(pthread_mutex_lock(&library->lock) == 0); }
static inline void library_unlock(struct library *library) { check(pthread_mutex_unlock(&library->lock) == 0); }

/* ---- library_call.c ---- */

/* A call that is not under way yet. GUILD_ERR_INVALID, _MEMORY. */
enum guild_error library_call_create(struct guild_handle *handle, const struct guild_request *request, struct library_call **out) MUST_USE;
/* Hands the call to a loop; frees it when it cannot. */
enum guild_error library_call_begin(struct library_call *call, uint64_t *id) MUST_USE;
/* Under the lock: the call ends for the user with error; events that wait are dropped. */
void library_call_let_go(struct library_call *call, enum guild_error error);
/* Under the lock: frees a call that nobody holds any more. */
bool library_call_free_if_over(struct library_call *call);
/* The reply as the user sees it; it points into the call. */
void library_call_reply(struct library_call *call, struct guild_reply *reply);
/* Runs at most max of the callbacks that wait. */
void library_queue_run(struct guild_handle *handle, size_t max, size_t *handled);

/* What a door says about a call, on its loop: one library_call_head; any bytes; one library_call_done. */
void library_call_head(struct library_call *call, int status, struct str content_type, bool streaming);
void library_call_bytes(struct library_call *call, struct str bytes);
/* The call may be gone after this. */
void library_call_done(struct library_call *call, enum err err);

/* ---- doors ---- */
enum err library_local_open(struct library *library, const char *path, const struct guild_options *options, char *detail) MUST_USE;
enum err library_remote_open(struct library *library, const char *url, const char *token, char *detail) MUST_USE;

#endif
