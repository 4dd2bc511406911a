/*
 * audit.h - entries nobody can change unseen.
 *
 * For:     canonical bytes of an entry (RFC 8785), the SHA-256 chain over them, walking and checking it.
 * Not for: deciding; storing (db/log.h); the tree over the chain (tree.h), signing it (notary.h).
 * Threads: audit_entry_put any; the chain belongs to the writer; audit_verify on a reader.
 * Memory:  entries are made in the caller's arena.
 *
 *   entry_hash = SHA-256(canonical entry)                           content can be erased, its hash stays
 *   hash       = SHA-256(prev hash | seq be64 | time_us be64 | workspace be64 | entry_hash)
 */
#ifndef GUILD_AUDIT_AUDIT_H
#define GUILD_AUDIT_AUDIT_H

#include "base/arena.h"
#include "base/hash.h"
#include "base/id.h"
#include "db/log.h"

struct audit_entry {
	int64_t workspace;         /* not in the JSON: the chain covers it, whoever shows the entry adds it */
	struct str principal_id;   /* text ids, as clients see them; at NULL = null */
	struct str principal_name;
	struct str via_id;         /* whose token it was, when that one named the principal as its end user; else at NULL */
	struct str agent_id;
	struct str agent_name;
	struct str action;
	struct str decision;       /* JSON object or at NULL */
	struct str rule_id;
	struct str session_id;
	struct str execution_id;
	int64_t start_us;          /* 0 = null */
	int64_t end_us;
	int64_t duration_ms;       /* 0 = null */
	int outcome;               /* enum log_outcome */
	struct str code;
	struct str error_message;
	struct str change;         /* JSON object of what was changed (old and new), or at NULL */
};

/* The canonical JSON of entry, made in arena: always the same members, sorted as RFC 8785 says:
 *   action agent_id agent_name change code decision duration_ms end error_message execution_id outcome principal{id,name,via?}
 *   rule_id session_id start
 * ERR_LIMIT; ERR_MALFORMED when decision or change is not JSON. */
enum err audit_entry_put(struct arena *arena, const struct audit_entry *entry, struct str *out) MUST_USE;

struct audit_chain; /* head of the chain while the writer runs */
enum err audit_chain_create(const struct log_head *head, struct audit_chain **out) MUST_USE;
void audit_chain_destroy(struct audit_chain **chain);
/* Gives row its sequence, its time (wall_us, or 1 us after the row before when the clock went back) and its hashes. */
void audit_seal(struct audit_chain *chain, struct log_row *row, int64_t wall_us);
const struct log_head *audit_head(const struct audit_chain *chain);
/* Goes back to a head taken earlier (rollback). */
void audit_chain_rewind(struct audit_chain *chain, const struct log_head *head);

struct audit_report {
	int64_t entries;       /* rows walked */
	int64_t erased;        /* whose content was erased; their hashes stand */
	int64_t withheld;      /* of an export: not shown to who made it */
	int64_t first_bad;     /* seq of the first bad entry, 0 = none */
	int64_t last_bad;      /* where it cannot be told closer: the bad one lies between these, both included; else 0 */
	const char *reason;    /* static: "content does not match its hash", "chain is broken", "sequence has a gap", ... */
	struct log_head head;
	int64_t checkpoints;   /* that were checked */
	int64_t signed_size, signed_time_us; /* of the greatest one; 0 = none */
};

struct audit_proofs {
	const uint8_t *public_key; /* 32 bytes; NULL: the one that the store, or the export, names */
	const char *checkpoints;   /* file of checkpoints, one a line, kept outside; NULL: none */
	const char *more;          /* another one */
};
/* Walks the whole log from the first row, with its tree and its checkpoints. *out is set also when a bad entry was found (which is no error).
 * proofs may be NULL. ERR_NOT_FOUND: a file that proofs names cannot be opened. */
enum err audit_verify(struct db *db, const struct audit_proofs *proofs, struct audit_report *out) MUST_USE;
/* The same for an export (export.h). ERR_NOT_FOUND, ERR_IO. */
enum err audit_verify_export(const char *path, const struct audit_proofs *proofs, struct audit_report *out) MUST_USE;

/* The same in steps of at most `rows` rows, so that no read lasts long: *more is false when the end, or a bad entry, was reached. */
struct audit_walk;
enum err audit_walk_create(const struct audit_proofs *proofs, struct audit_walk **out) MUST_USE;
void audit_walk_destroy(struct audit_walk **walk);
enum err audit_walk_step(struct audit_walk *walk, struct db *db, int rows, bool *more) MUST_USE;
const struct audit_report *audit_walk_report(const struct audit_walk *walk);

#endif
