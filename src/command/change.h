/*
 * change.h - a command behind a request that changes something, with its audit entry.
 *
 * For:     features' commands: the parts that are the same in all of them.
 * Not for: chat (execution/ has its own flow); lists (query.h).
 * Threads: change_make .. change_submit and change_refused on the request's loop (or start-up); change_log on the writer.
 * Memory:  a change lives in the request's arena; the reply in finish ends both.
 *
 *   handler: change_new - fill - change_audit - change_event - change_submit
 *   apply:   re-check - SQL - overlay - change_log          finish: change_refused ? : reply
 */
#ifndef GUILD_COMMAND_CHANGE_H
#define GUILD_COMMAND_CHANGE_H

#include "command/command.h"
#include "command/guild.h"
#include "http/http.h"

struct change {
	struct command command; /* first */
	struct guild *guild;
	struct http_request *request; /* NULL: first start, or the server itself acts */
	struct log_row row;
	struct str detail, rule_id;   /* of a refusal, when more is to be said than the error; set before finish. rule_id set before
				       * change_audit: what let it pass */
	int64_t retry_after_ms;
};

/* For an entry of the audit log. */
struct change_what {
	int64_t agent; /* 0: none */
	struct str agent_name;
	int64_t session;   /* 0: none */
	struct str change; /* JSON object {"old":..., "new":...}; at NULL: none */
	int outcome;       /* 0: OUTCOME_CHANGED */
};

/* In arena; NULL when it is full. size: of the struct that has a struct change as its first member. */
void *change_make(struct guild *guild, const struct command_row *row, struct arena *arena, struct loop *loop,
	const struct caller *caller, size_t size);
/* The same for a request; NULL: the request has been answered. */
void *change_new(struct guild *guild, struct http_request *request, const struct command_row *row, size_t size);
/* Renders the audit entry into change->row. ERR_LIMIT. */
enum err change_audit(struct change *change, const struct change_what *what) MUST_USE;
/* The row is an event too. Texts have to live as long as the change. */
void change_event(struct change *change, struct str type, struct str data, struct str topics);
/* Hands it to the writer; the request is answered in finish, or here when the writer refuses or err is not ERR_OK. */
void change_submit(struct change *change, enum err err);
/* A read that has to be in the audit log: writes its entry (action "read"), then goes on with `then`. When it cannot be written, the request
 * is answered and `then` does not run. */
void change_read(struct guild *guild, struct http_request *request, const struct change_what *what,
	void (*then)(struct http_request *request, struct guild *guild, void *arg), void *arg);
/* In apply: writes the log row. */
enum err change_log(struct change *change, struct db *db) MUST_USE;
/* In apply, before the first write, instead of going on: the attempt is refused, and that is in the audit log. The command's result is err, which
 * an audit entry with outcome failed tells with detail. Returns whether that entry could be written. */
enum err change_refuse(struct change *change, struct db *db, enum err err, struct str detail) MUST_USE;
/* In finish: answers the request and returns true when the command failed. */
bool change_refused(struct change *change);
/* Answers with what render wrote, or with the error of the buffer. Ends the request. */
void change_reply(struct http_request *request, int status, struct buf *text);

#endif
