/*
 * session_priv.h - what the files of session/ share.
 *
 * For:     rows of session, and turns seen as messages.
 * Not for: other folders (session.h).
 * Threads: the connection's owner.
 * Memory:  rows read borrow from the statement during the call.
 */
#ifndef GUILD_SESSION_SESSION_PRIV_H
#define GUILD_SESSION_SESSION_PRIV_H

#include "command/guild.h"
#include "session/session.h"

enum { SESSION_DELETE_TURNS = 100 }; /* turns removed in one transaction */

/* Newest first, with id < before (0: from the newest). False from fn ends early. */
typedef bool session_row_fn(const struct session *session, void *arg);
enum err session_rows(
	struct db *db, int64_t owner, int64_t before, int64_t limit, session_row_fn *fn, void *arg) MUST_USE;
enum err session_rows_count(struct db *db, int64_t owner, int64_t limit, int64_t *count) MUST_USE;
enum err session_insert(struct db *db, const struct session *session) MUST_USE;
enum err session_title_set(struct db *db, int64_t id, struct str title, int64_t now_us) MUST_USE;
enum err session_agent_set(struct db *db, int64_t id, int64_t agent, int64_t now_us) MUST_USE;
/* Removes the oldest turns with their token batches; *left says whether there are more. */
enum err session_turns_delete(struct db *db, int64_t id, bool *left) MUST_USE;
enum err session_delete(struct db *db, int64_t id) MUST_USE;

struct session_turn {
	int64_t id, agent, started_at_us, ended_at_us;
	struct str message, answer;
	bool has_answer, partial;
};
/* Turns that were not rolled back with id >= from, oldest first. */
typedef bool session_turn_fn(const struct session_turn *turn, void *arg);
enum err session_turns(
	struct db *db, int64_t session, int64_t from, int64_t limit, session_turn_fn *fn, void *arg) MUST_USE;

/* The wire object. */
void session_json(struct guild *guild, const struct session *session, struct json_out *out);
/* session.c: commands. Each answers the request. */
void session_create_start(struct guild *guild, struct http_request *request, int64_t agent, struct str title);
void session_title_start(struct guild *guild, struct http_request *request, int64_t session, struct str title);
void session_agent_start(
	struct guild *guild, struct http_request *request, int64_t session, int64_t agent, struct str agent_name);
void session_delete_start(struct guild *guild, struct http_request *request, int64_t session);

#endif
