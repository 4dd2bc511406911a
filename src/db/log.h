/*
 * log.h - the log row: audit entry, ledger entry, outbox event and job, written once per transaction.
 *
 * For:     the one append-only table that everything durable is announced in; its key is the commit sequence.
 * Not for: what entries mean (audit/), who may see events (bus/).
 * Threads: log_insert on the writer; queries on readers.
 * Memory:  strs are borrowed until log_insert returned.
 */
#ifndef GUILD_DB_LOG_H
#define GUILD_DB_LOG_H

#include "base/hash.h"
#include "db/db.h"

/* Kinds are bits: one row may be several. */
enum { LOG_AUDIT = 1, LOG_LEDGER = 2, LOG_EVENT = 4, LOG_JOB = 8 };

enum log_outcome { OUTCOME_STARTED = 1, OUTCOME_COMPLETED, OUTCOME_FAILED, OUTCOME_CANCELLED, OUTCOME_TIMED_OUT,
		   OUTCOME_INTERRUPTED, OUTCOME_CHANGED };
const char *log_outcome_word(int outcome);
/* 0 when the word is none of them. */
int log_outcome_parse(struct str word);

struct log_row {
	int64_t seq;            /* set when sealed */
	int64_t time_us;        /* set when sealed; never goes back */
	int kinds;
	int64_t workspace;
	int64_t principal;      /* who; 0 = the server itself */
	int64_t agent;          /* 0 = none */
	int64_t execution;      /* 0 = none */
	int64_t session;        /* 0 = none */
	struct str action;
	int outcome;
	struct str entry;       /* canonical JSON of the audit entry (without seq, id, time, hashes) */
	uint8_t entry_hash[HASH_SHA256_BYTES];
	uint8_t hash[HASH_SHA256_BYTES]; /* chain */
	int64_t month;          /* of the ledger: year * 12 + month - 1; 0: the row is no part of it */
	int64_t reserve_micro, settle_micro;
	bool cost_unknown;
	struct str event_type;  /* at NULL = no event */
	struct str event_data;  /* JSON object */
	struct str topics;      /* separated by one space */
	struct str job;         /* word of the background job, at NULL = none */
	int64_t audience_a, audience_b; /* who may see the event: struct audience */
};

/* Head of the log: what the next row builds on. */
struct log_head {
	int64_t seq;
	int64_t time_us;
	uint8_t hash[HASH_SHA256_BYTES];
};

/* Reads the newest row; zeros when the log is empty. */
enum err log_head_read(struct db *db, struct log_head *out) MUST_USE;
/* Inserts a sealed row. */
enum err log_insert(struct db *db, const struct log_row *row) MUST_USE;
/* Reads rows with seq > after, oldest first, at most limit; each is given to row_fn, strs borrowed during the call; an error
 * from it stops. */
typedef enum err log_row_fn(const struct log_row *row, void *arg);
enum err log_read(struct db *db, int64_t after, int limit, log_row_fn *row_fn, void *arg) MUST_USE;
/* Newest first with seq < before (0: from the newest); the caller filters and counts. */
enum err log_read_back(struct db *db, int64_t before, int limit, log_row_fn *row_fn, void *arg) MUST_USE;

/* Events up to this offset were erased; 0: none. */
enum err log_events_gone(struct db *db, int64_t *offset) MUST_USE;
/* Erases the events of rows with after < seq <= upto, and notes it. The rows stay, with their entries and hashes. */
enum err log_events_erase(struct db *db, int64_t after, int64_t upto) MUST_USE;

/* The content of entries up to this row was erased; 0: none. */
enum err log_entries_gone(struct db *db, int64_t *seq) MUST_USE;
/* Erases the content of the entries with after < seq <= upto, and notes it. Their hashes stay. */
enum err log_entries_erase(struct db *db, int64_t after, int64_t upto) MUST_USE;
/* Erases all content of one row: of its entry and of its event. Number, time, kinds of the rest, sums and hashes stay. */
enum err log_row_erase(struct db *db, int64_t seq) MUST_USE;

#endif
