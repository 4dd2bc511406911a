/*
 * approval_priv.h - approvals: what their rules, rows and commands share.
 *
 * For:     enforce.c, approval.c, approval_api.c, approval_store.c.
 * Not for: other folders (governance.h).
 * Threads: rules any; rows on the connection's owner; struct approvals as said at its members.
 * Memory:  texts of a row that was got live in the arena given; those of a walk during the call.
 *
 *   pending -> approved -> consumed        by a human; by the agent, once
 *   pending -> rejected                    by a human
 *   pending, approved -> expired           by the clock: whoever looks sees it at once, the row follows
 *   pending, approved -> cancelled         by the server, within a second: the action table is of another version, so that it fits nothing any more
 *   pending -> cancelled                   likewise: its agent was archived
 */
#ifndef GUILD_GOVERNANCE_APPROVAL_PRIV_H
#define GUILD_GOVERNANCE_APPROVAL_PRIV_H

#include <stdatomic.h>

#include "base/hash.h"
#include "command/change.h"
#include "governance/governance.h"

enum approval_status { APPROVAL_PENDING = 1, APPROVAL_APPROVED, APPROVAL_CONSUMED, APPROVAL_REJECTED, APPROVAL_EXPIRED,
		       APPROVAL_CANCELLED };
enum approval_priority { APPROVAL_LOW = 1, APPROVAL_MEDIUM, APPROVAL_HIGH, APPROVAL_URGENT };

struct approval {
	int64_t id, workspace, agent, requester, policy_version, requested_at_us, expires_at_us;
	int64_t decided_by, decided_at_us, consumed_at_us; /* 0: not yet */
	struct str action, arguments;                      /* arguments: canonical JSON */
	struct str arguments_hash, hash;                   /* HASH_SHA256_BYTES each */
	struct str reason, note;                           /* note at NULL: none */
	enum approval_priority priority;
	enum approval_status status;
};

/* A service of the server. */
struct approvals {
	struct guild *guild;
	int64_t ttl_us;
	_Atomic int64_t next_expiry_us; /* no row expires before; INT64_MAX: none is open. Any thread lowers it */
	_Atomic int waits;              /* long-polls under way, of all loops */
	_Atomic bool stale;             /* some may wait for nothing. Any thread sets it */
	int64_t archived;               /* agents archived when that was last looked at. The rest: on the first loop */
	struct loop_timer timer;
	bool sweeping;
};

/* ---- approval_rules.c ---- */

struct str approval_status_word(enum approval_status status);
bool approval_status_parse(struct str word, enum approval_status *out);
struct str approval_priority_word(enum approval_priority priority);
bool approval_priority_parse(struct str word, enum approval_priority *out);
/* What the row says, but for the time that has passed. */
enum approval_status approval_status_at(const struct approval *approval, int64_t now_us);
/* What an approval is for: SHA-256 of workspace, agent, policy version (each be64), length and bytes of the action, arguments_hash. */
void approval_hash(const struct approval *approval, uint8_t out[HASH_SHA256_BYTES]);
/* May that caller see it? Admins, the agent itself, who asked for it and the agent's owner. */
bool approval_visible(const struct caller *caller, const struct approval *approval, const struct agent *agent);
/* What using it ends in: ERR_OK for an approved one, ERR_AGAIN for one that waits, else the refusal. */
enum err approval_use_err(enum approval_status status);

/* The wire object. */
void approval_json(struct guild *guild, const struct approval *approval, struct json_out *out);
/* Data and topics of its events, in arena; who hears them: admins, the agent and the requester. Changes row. ERR_LIMIT. */
enum err approval_event(struct guild *guild, struct arena *arena, const struct approval *approval, struct str type, struct log_row *row) MUST_USE;
/* The topic on which its waiters hear the decision. At NULL: no room. */
struct str approval_topic(struct guild *guild, struct arena *arena, int64_t id);

/* ---- approval_store.c ---- */

enum err approval_insert(struct db *db, const struct approval *approval) MUST_USE;
/* ERR_NOT_FOUND. */
enum err approval_get(struct db *db, struct arena *arena, int64_t id, struct approval *out) MUST_USE;
enum err approval_by_hash(struct db *db, struct arena *arena, struct str hash, struct approval *out) MUST_USE; /* the pending one */
/* Compare and set: ERR_CONFLICT when its status is not the one it starts from. */
enum err approval_row_decide(struct db *db, const struct approval *approval) MUST_USE;
enum err approval_row_consume(struct db *db, int64_t id, int64_t now_us) MUST_USE;
/* Expired or cancelled. */
enum err approval_row_end(struct db *db, int64_t id, enum approval_status status) MUST_USE;
/* Up to limit are counted. */
enum err approval_waiting_count(struct db *db, int64_t agent, int64_t limit, int64_t *count) MUST_USE;
/* The open one that expires first. ERR_NOT_FOUND: none is open. */
enum err approval_first_open(struct db *db, struct arena *arena, struct approval *out) MUST_USE;
/* An open one of an earlier version of its workspace's table, or a pending one of an archived agent. ERR_NOT_FOUND: there is none. */
enum err approval_first_stale(struct db *db, struct arena *arena, struct approval *out) MUST_USE;
/* Newest first, with id < before, at most limit; false from fn ends early. */
typedef bool approval_row_fn(const struct approval *approval, void *arg);
enum err approval_rows(struct db *db, int64_t workspace, int64_t before, int64_t limit, approval_row_fn *fn, void *arg) MUST_USE;

/* ---- enforce.c, approval.c: commands; each answers the request ---- */

struct enforce_input {
	int64_t agent;    /* 0: there is none of that name */
	int64_t approval; /* 0: none given */
	bool require_approval;
	enum err err;     /* not ERR_OK: refused before anything is decided */
	struct str detail;
	struct str action, arguments, reason; /* reason at NULL: the decision's own */
	enum approval_priority priority;
};
void enforce_start(struct guild *guild, struct http_request *request, const struct enforce_input *input);
/* guild->entry_again. */
bool enforce_again(struct http_request *request, struct str entry, struct str audit_id);
void approval_decide_start(struct guild *guild, struct http_request *request, int64_t id, bool approve, struct str note);
/* Any thread: a row that expires then was made. */
void approval_expiry_note(struct approvals *approvals, int64_t expires_at_us);
/* Any thread: a table has changed. */
void approval_stale_note(struct approvals *approvals);

/* ---- approval_wait.c ---- */

/* Answers with the approval, when it is decided or after wait_us. */
void approval_wait_start(struct guild *guild, struct http_request *request, int64_t id, int64_t wait_us);

#endif
