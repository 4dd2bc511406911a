/*
 * session.h - conversations and their history.
 *
 * For:     who owns a session, its messages in order, what of it goes into a prompt.
 * Not for: running a turn (execution/).
 * Threads: queries on readers; *_apply on the writer.
 * Memory:  results in the arena given.
 */
#ifndef GUILD_SESSION_SESSION_H
#define GUILD_SESSION_SESSION_H

#include "command/command.h"
#include "http/http.h"

struct guild;

struct session {
	int64_t id, workspace, owner, agent; /* agent 0: none */
	int64_t message_count, open_count, created_at_us, updated_at_us, revision; /* open_count: turns queued or running */
	struct str title, channel;
};

struct session_message {
	bool from_user;
	bool partial;
	struct str content;
};

/* On a reader: the session when workspace and owner fit (owner 0: any owner of that workspace, for admins). ERR_SESSION_NOT_FOUND. Texts in arena. */
enum err session_read(struct db *db, struct arena *arena, int64_t id, int64_t workspace, int64_t owner, struct session *out) MUST_USE;
/* On a reader: the newest messages that may be sent to a model (completed answers and their questions, cancelled ones with their partial
 * text, nothing rolled back), oldest first, at most max messages and bytes_max bytes of content. */
enum err session_history(struct db *db, struct arena *arena, int64_t id, size_t max, size_t bytes_max, struct session_message **out,
			 size_t *count) MUST_USE;

/* In apply: inserts a session. ERR_SESSION_QUOTA: its owner has as many as allowed. quota may be NULL. */
struct quota;
enum err session_make(struct quota *quota, struct db *db, const struct session *session) MUST_USE;
/* In apply: adds messages to the count, sets updated_at and revision + 1; agent != 0 sets the session's agent. */
enum err session_touch(struct db *db, int64_t id, int messages, int64_t now_us, int64_t agent) MUST_USE;
/* In apply: the owner and workspace of a session; ERR_SESSION_NOT_FOUND. */
enum err session_owner(struct db *db, int64_t id, int64_t *owner, int64_t *workspace) MUST_USE;

/* The part of a person who is erased: sessions without runs. */
struct erase_step;
enum err session_erase(struct erase_step *step, struct db *db) MUST_USE;

/* A title from the first message: 47 characters and "..." beyond 50. */
struct str session_title(struct arena *arena, struct str message);

/* /v1/sessions ... create, list, get, patch (title), delete, messages, agent */
extern const struct http_route session_routes[];

#endif
