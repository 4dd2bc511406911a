/*
 * message_priv.h - what the files of direct messages and blocks share.
 *
 * For:     message.c, message_mark.c, message_api.c, block.c and their stores.
 * Not for: the rest of social/ (social_priv.h has message_submit and block_there).
 * Threads: store functions on the connection's owner; the rest on the request's loop.
 * Memory:  texts of a row are borrowed from its statement, those of message_get are in the arena.
 */
#ifndef GUILD_SOCIAL_MESSAGE_PRIV_H
#define GUILD_SOCIAL_MESSAGE_PRIV_H

#include "social/social_priv.h"

struct message {
	int64_t id, workspace, created_at_us;
	int64_t delivered_at_us, read_at_us; /* 0: not yet */
	struct actor from, to;
	int kind, hops;
	struct str content, redacted;
	bool from_deleted, to_deleted;       /* whose copy is gone */
};

/* ---- message_store.c ---- */
enum err message_insert(struct db *db, const struct message *message) MUST_USE;
/* Copies that are gone count too: message_copy_there. ERR_NOT_FOUND. */
enum err message_get(struct db *db, struct arena *arena, int64_t id, struct message *out) MUST_USE;
/* Read, and delivered if that was not known. */
enum err message_read_set(struct db *db, int64_t id, int64_t now_us) MUST_USE;
/* The first time stays. */
enum err message_delivered_set(struct db *db, int64_t id, int64_t at_us) MUST_USE;
/* Takes away one's own copy, and the row with the second. */
enum err message_copy_delete(struct db *db, const struct message *message, int64_t actor) MUST_USE;
/* At most limit are counted. */
enum err message_unread_count(struct db *db, int64_t actor, int64_t limit, int64_t *count) MUST_USE;

/* Unread messages to actor with after < id <= upto, oldest first, at most LIMIT_MARK_ROWS of them: those from sender (0: anybody) are
 * read now. *after becomes the last one looked at; *left says whether more may follow. */
struct message_sweep {
	int64_t actor, sender, upto, after, marked;
	bool left;
};
enum err message_read_sweep(struct db *db, struct message_sweep *sweep, int64_t now_us) MUST_USE;

/* Newest first, with id < before (0: from the newest). Two may be open at once. End one early with db_reset. */
enum message_scan {
	MESSAGES_INBOX,  /* to actor */
	MESSAGES_UNREAD, /* to actor, not read */
	MESSAGES_SENT,   /* by actor */
	MESSAGES_FROM,   /* by other to actor; copies that are gone too */
	MESSAGES_TO,     /* by actor to other; copies that are gone too */
	MESSAGE_SCANS,
};
struct db_stmt *message_scan(struct db *db, enum message_scan scan, int64_t actor, int64_t other, int64_t before);
/* False at the end and on an error: *err says which. */
bool message_next(struct db_stmt *scan, struct message *out, enum err *err) MUST_USE;

/* ---- message.c ---- */
/* Has this actor a copy of it? Everybody else sees nothing. */
bool message_copy_there(const struct message *message, int64_t actor);
/* The wire object. */
void message_json(struct guild *guild, const struct message *message, struct json_out *out);
/* The answer of a change that ends with a message. */
void message_reply(struct http_request *request, struct guild *guild, int status, const struct message *message);
/* POST /v1/direct-messages. */
void message_handle_send(struct http_request *request, void *ctx);
/* Somebody of the caller's workspace by an agent's id or handle, or a user's id: also who is disabled or archived. ERR_NOT_FOUND. */
enum err message_party_find(struct guild *guild, const struct caller *caller, struct str text, struct actor *out) MUST_USE;

/* ---- message_mark.c ---- */
void message_handle_read(struct http_request *request, void *ctx);
void message_handle_read_all(struct http_request *request, void *ctx);
void message_handle_delete(struct http_request *request, void *ctx);
/* ---- message_delivered.c ---- */
enum err message_delivered_create(struct social *social) MUST_USE;
/* On a loop: that message reached its recipient. Written down soon, several at once. */
void message_delivered(struct social *social, struct loop *loop, int64_t message);
/* Loops and writer have ended. */
void message_delivered_destroy(struct social *social);

/* ---- blocks ---- */
struct block {
	struct actor blocked;
	int64_t created_at_us;
};
/* block_store.c */
enum err block_get(struct db *db, int64_t actor, int64_t blocked, struct block *out) MUST_USE; /* ERR_NOT_FOUND */
enum err block_insert(struct db *db, int64_t actor, const struct block *block) MUST_USE;
enum err block_delete(struct db *db, int64_t actor, int64_t blocked) MUST_USE;
enum err block_count(struct db *db, int64_t actor, int64_t limit, int64_t *count) MUST_USE;
typedef bool block_fn(const struct block *block, void *arg); /* false: enough */
enum err block_rows(struct db *db, int64_t actor, int64_t after, int64_t limit, block_fn *fn, void *arg) MUST_USE;
/* block.c */
void block_handle_list(struct http_request *request, void *ctx);
void block_handle_put(struct http_request *request, void *ctx);
void block_handle_delete(struct http_request *request, void *ctx);

#endif
