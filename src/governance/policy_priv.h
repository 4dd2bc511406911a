/*
 * policy_priv.h - a workspace's policy, and how it changes.
 *
 * For:     policy.c, policy_set.c, policy_store.c, policy_change.c, policy_api.c.
 * Not for: other folders (governance.h).
 * Threads: struct policy is immutable; policy_set as said in governance.h; the store's functions on the connection's owner.
 * Memory:  a policy is one block; names of actions live as long as the set; a draft's texts are borrowed.
 */
#ifndef GUILD_GOVERNANCE_POLICY_PRIV_H
#define GUILD_GOVERNANCE_POLICY_PRIV_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/limits.h"
#include "command/change.h"
#include "command/overlay.h"
#include "governance/governance.h"

enum { POLICY_SLOTS = 1024, /* several times the entries: a look-up seldom probes twice */ POLICY_HEX_BYTES = 2 * HASH_SHA256_BYTES + 1 };

struct policy_slot {
	const char *name; /* NULL: free */
	uint32_t len;
	uint32_t complexity;
};

/* An entry that an admin changed or added. */
struct policy_override {
	struct str action; /* normal form */
	int64_t level;
	int64_t since;     /* version that brought it */
};

/* What is in force besides the table. Times 0: not in force. */
struct policy_exceptions {
	int64_t emergency_since_us, emergency_until_us, emergency_by;
	struct str emergency_reason;
	int64_t stopped_since_us, stopped_by;
	struct str stopped_reason;
};

struct policy {
	const struct env *env;
	int64_t workspace, version, revision;
	int unknown_level;
	unsigned words_max;              /* of an entry */
	bool off;
	int64_t emergency_until_mono_us; /* 0: no emergency is written down */
	uint8_t hash[HASH_SHA256_BYTES];
	struct policy_exceptions exceptions;
	size_t override_count;
	const struct policy_override *overrides; /* behind this, in the same block; oldest first */
	struct policy_slot slots[POLICY_SLOTS];
};

/* What a policy is made of. */
struct policy_draft {
	const struct env *env;
	int64_t workspace, version, revision;
	int unknown_level;
	bool off;
	int64_t emergency_until_mono_us;
	struct policy_exceptions exceptions;
	size_t override_count;
	struct policy_override overrides[LIMIT_POLICY_OVERRIDES];
};

/* ---- policy.c ---- */

/* In one block, for mem_free. ERR_MEMORY. */
enum err policy_make(const struct policy_draft *draft, struct policy **out) MUST_USE;
void policy_draft_of(const struct policy *policy, struct policy_draft *out);
/* level 0: back to the default. False: there is no room for another one. */
bool policy_draft_put(struct policy_draft *draft, struct str action, int level);
/* The normal form of an action that may be an entry: 1 to LIMIT_POLICY_ACTION_BYTES of [a-z0-9_]. False: it may not. */
bool policy_action_form(struct str action, char out[LIMIT_POLICY_ACTION_BYTES], struct str *form);
/* The override of that action, NULL: none. */
const struct policy_override *policy_override_of(const struct policy *policy, struct str action);
/* Entry i of the defaults in their order; false beyond the last. */
bool policy_default(size_t i, struct str *action, int *level);
/* 0: it is none of the defaults. */
int policy_default_level(struct str action);
/* At which time, by the clock that never goes back, that emergency ends. */
int64_t policy_emergency_end(const struct env *env, const struct policy_exceptions *exceptions);
bool policy_emergency_now(const struct policy *policy);
/* POLICY_HEX_BYTES into out. */
void policy_hash_hex(const struct policy *policy, char *out);

/* ---- policy_set.c ---- */

struct policy_set {
	const struct env *env;
	struct policy *base;                /* of workspaces without changes of their own */
	struct overlay policies;            /* workspace -> struct policy */
	struct policy_name *names;          /* of actions outside the defaults; only ever added to. Writer's */
	size_t name_count;
	int64_t revision;                   /* the last one given. Writer's */
	_Atomic int64_t next_end_mono_us;   /* no emergency ends before; INT64_MAX: none is written down. Any thread lowers it */
	bool ending;                        /* the first loop's: a command that ends one is under way */
};

/* In apply: the name as it can stand in an override. At NULL: ERR_LIMIT, or without memory. */
struct str policy_name_keep(struct policy_set *set, struct str action);
/* In apply: what is put is seen by the writer at once. Takes policy on success. */
enum err policy_put(struct policy_set *set, struct policy *policy) MUST_USE;
int64_t policy_revision_next(struct policy_set *set);

/* ---- policy_store.c ---- */

/* One row of the history. action at NULL: the defaults, or unknown_level, were other ones at start. */
struct policy_change {
	int64_t workspace, version, changed_by, changed_at_us; /* changed_by 0: the server */
	struct str action, reason;                            /* reason at NULL: none */
	int64_t old_level, level;                             /* what the action had, and has; 0: says nothing */
	bool overridden;                                      /* it differs from the default now */
	struct str old_hash, hash;
};

enum err policy_change_insert(struct db *db, const struct policy_change *change) MUST_USE;
/* Newest first, with version < before; false from fn ends early. */
typedef bool policy_change_fn(const struct policy_change *change, void *arg);
enum err policy_changes(struct db *db, int64_t workspace, int64_t before, int64_t limit, policy_change_fn *fn, void *arg) MUST_USE;
/* Of changes that person made, limit at most. */
enum err policy_reasons_erase(struct db *db, int64_t workspace, int64_t principal, int64_t limit, int64_t *erased) MUST_USE;
/* level 0: takes it away. */
enum err policy_override_put(struct db *db, int64_t workspace, struct str action, int level, int64_t since) MUST_USE;
enum err policy_state_put(struct db *db, const struct policy *policy) MUST_USE;
/* Each workspace; version 0: it has no state yet. Texts are borrowed. */
struct policy_state {
	int64_t workspace, version;
	struct str hash;
	struct policy_exceptions exceptions;
};
typedef enum err policy_state_fn(const struct policy_state *state, void *arg);
enum err policy_states(struct db *db, policy_state_fn *fn, void *arg) MUST_USE;
/* The workspaces in which an emergency is written down. */
enum err policy_emergencies(struct db *db, enum err (*fn)(int64_t workspace, void *arg), void *arg) MUST_USE;
/* Into draft, names kept in set. */
enum err policy_overrides_read(struct db *db, struct policy_set *set, struct policy_draft *draft) MUST_USE;

/* ---- policy_change.c: commands ---- */

struct policy_edit {
	enum { POLICY_EDIT_ACTION, POLICY_EDIT_EMERGENCY, POLICY_EDIT_STOP, POLICY_EDIT_DEFAULTS, POLICY_EDIT_MODE } kind;
	struct str action, reason; /* action: normal form. reason at NULL: none */
	int level;                 /* 0: back to the default */
	int64_t if_version;        /* 0: whatever it is */
	int64_t minutes;           /* 0: ends it */
	bool stop;
	struct str mode, old_mode; /* that of the server */
};
void policy_edit_start(struct guild *guild, struct http_request *request, const struct policy_edit *edit);
/* Start-up, before threads. */
enum err policy_edit_now(struct guild *guild, int64_t workspace, const struct policy_edit *edit) MUST_USE;
/* Once a second on the first loop: ends emergencies whose time is over. */
void policy_clock(struct guild *guild, struct loop *loop);

/* ---- policy_api.c: replies ---- */

void policy_setting_json(const struct policy *policy, struct str action, struct json_out *out);
void policy_emergency_json(struct guild *guild, const struct policy *policy, struct json_out *out);
void policy_stop_json(struct guild *guild, const struct policy *policy, struct json_out *out);

#endif
