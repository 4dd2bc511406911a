/*
 * socket_priv.h - one client of the guild.v1 WebSocket protocol.
 *
 * For:     socket.c (life, sign-in, dispatch), socket_bus.c (topics, events, streams), socket_chat.c (runs).
 * Not for: frames and close codes (http/), runs (execution/).
 * Threads: its connection's loop.
 * Memory:  a client lives until the socket's closed(); operations that wait for somebody else outlive it and then find client NULL.
 */
#ifndef GUILD_OPS_SOCKET_PRIV_H
#define GUILD_OPS_SOCKET_PRIV_H

#include "base/idem.h"
#include "execution/execution.h"
#include "identity/identity.h"
#include "ops/feed_priv.h"

#define SOCKET_REF_BYTES 132 /* a ref of 128 bytes as JSON, or a number */

struct client {
	struct feed feed;
	struct guild *guild;
	struct websocket *socket;
	struct list operations;
	struct list presence;        /* of an agent's connection: in its loop's list */
	unsigned operation_count;
	bool signed_in, closing;
	uint64_t sent, received;
	int64_t bucket, bucket_us;   /* messages it may send now; as of when */
	char request_id[64];
};

/* A message that is being handled. */
struct message {
	struct client *client;
	struct arena *arena;
	struct json body;
	struct str ref;              /* JSON text: "null" when there was none */
};

/* Something asked of another part; the client may go meanwhile. */
struct operation {
	struct list link;
	struct client *client;       /* NULL: gone */
	struct guild *guild;
	size_t ref_len;
	char ref[SOCKET_REF_BYTES];
};

struct socket_row {
	const char *type;
	bool open;                   /* before sign-in too */
	bool agent_ok;
	enum role role_min;
	enum scope scope;
	const struct http_member *members;
	void (*handle)(struct message *message);
};
extern const struct socket_row socket_rows[]; /* type == NULL at the end */

/* size: of the struct that has a struct operation first. NULL, after the error answer, without memory or with too many under way. */
void *socket_operation_new(struct message *message, size_t size);
/* The same for what goes on with the ref of another. NULL: nothing was answered. */
void *socket_operation_make(struct client *client, struct str ref, size_t size);
/* Leaves its client and frees it. */
void socket_operation_free(struct operation *operation);
static inline struct str socket_operation_ref(const struct operation *o) { return (struct str){o->ref, o->ref_len}; }

/* ---- answers: {"type":...,"ref":...} and what is put between begin and end ---- */
struct answer {
	struct client *client;
	struct buf text;
	struct json_out json;
};
void socket_answer_begin(struct answer *answer, struct client *client, struct str type, struct str ref);
void socket_answer_end(struct answer *answer);
void socket_answer_ok(struct client *client, struct str ref);
/* detail NULL: the error's own text. */
void socket_answer_error(struct client *client, struct str ref, enum err err, const char *detail);
/* Takes over the frame. */
enum err socket_client_send_take(struct client *client, struct frame *frame) MUST_USE;

/* ---- socket_bus.c ---- */
extern const struct feed_handler socket_feed_handler;
/* user:<id> and workspace:<id>. */
enum err socket_auto_subscribe(struct client *client) MUST_USE;
void socket_viewers_drained(struct client *client);
void socket_viewers_destroy(struct client *client);
void socket_subscribe_message(struct message *message);
void socket_unsubscribe_message(struct message *message);
void socket_publish_message(struct message *message);
void socket_resume_message(struct message *message);

/* ---- presence.c: which agents are connected, and what they say about runs ---- */
/* After sign-in; does nothing for people. What a new connection is offered comes after the answer to its sign-in. */
void presence_add(struct client *client);
void presence_remove(struct client *client);
void presence_delta_message(struct message *message);
void presence_end_message(struct message *message);

/* Sends the run's frames after that cursor, once answer was called. ERR_LIMIT: it was not. */
enum err socket_view(struct client *client, int64_t execution, const struct feed_after *after, void (*answer)(void *ctx), void *ctx) MUST_USE;

/* ---- socket_again.c: messages that carry a client_id ---- */
/* False: it has none. type: of the message, "chat". */
bool socket_idem_make(const struct message *message, const char *type, struct idem *out);
/* Publishes once; takes over the event. Answers. */
void socket_publish_once_take(struct message *message, const struct idem *idem, struct bus_event *event);
/* A chat whose client_id was used: answers with the run of the first one. The ref is copied. */
void socket_chat_again(struct client *client, struct str ref, const struct idem *idem, bool stream);

/* ---- socket_call.c: what the routes of that name do ---- */
void socket_decide_message(struct message *message);
void socket_enforce_message(struct message *message);

/* ---- socket_chat.c ---- */
void socket_chat_message(struct message *message);
void socket_cancel_message(struct message *message);

#endif
