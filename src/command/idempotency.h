/*
 * idempotency.h - what was done under a client's key is not done again: its answer is given again.
 *
 * For:     the command runner (the row of a key, in the transaction of the work); doors that ask whether a key was used.
 * Not for: making keys and hashes (base/idem.h); answering again with what a run said (execution/).
 * Threads: _store functions on their connection's thread; the others on loops.
 * Memory:  a request's look lives in the request's arena; the sweeper is owned by app/.
 *
 *   request with a key -> look (a reader) -> not there: the handler, as without a key -> its command: job_apply finds the row, or
 *   applies and inserts it -> reply: stored in the row, then sent     there: the stored answer, the run's, or 409 while there is none
 */
#ifndef GUILD_COMMAND_IDEMPOTENCY_H
#define GUILD_COMMAND_IDEMPOTENCY_H

#include "base/idem.h"
#include "command/erase.h"
#include "db/reader.h"
#include "db/writer.h"

struct guild;
struct http_request;
struct idempotency;

struct idempotency_row {
	uint8_t request_hash[IDEM_HASH_BYTES];
	int64_t made_at_us, process, execution, log_seq;
	int status;             /* 0: the answer is not stored */
	struct str reply;
};

/* ---- idempotency_store.c ---- */

/* The row of a key that is not older than 48 hours at now_us; its text in arena. ERR_NOT_FOUND. */
enum err idempotency_get(struct db *db, struct arena *arena, const struct idem *idem, int64_t now_us, struct idempotency_row *out) MUST_USE;
/* ERR_REPEATED when there is such a row. */
enum err idempotency_free(struct db *db, const struct idem *idem, int64_t now_us) MUST_USE;
/* Inserts the row, in place of one that is too old. Sets idem->kept and made_at_us. */
enum err idempotency_keep(struct db *db, struct idem *idem, int64_t execution, int64_t log_seq, int64_t process, int64_t now_us) MUST_USE;
enum err idempotency_answer(struct db *db, const struct idem *idem, int status, struct str reply) MUST_USE;
enum err idempotency_forget(struct db *db, const struct idem *idem) MUST_USE;
/* Deletes what is too old of the next LIMIT_IDEMPOTENCY_STEP rows after *cursor, in the order of keys; *more: there may be others. */
struct idempotency_cursor {
	uint8_t at[IDEM_HASH_BYTES];
	bool begun;
};
enum err idempotency_sweep(struct db *db, struct idempotency_cursor *cursor, int64_t now_us, bool *more) MUST_USE;

/* idempotency_erase_store.c: the part of a person who is erased. */
enum err idempotency_erase(struct erase_step *step, struct db *db) MUST_USE;

/* ---- idempotency.c ---- */

/* For http_options. Answers a request that has a key and was done before; else hands it on to its row. */
void idempotency_look(void *ctx, struct http_request *request);
/* For http_options. Stores the answer, then sends it. False: it is to be sent as it is. */
bool idempotency_reply(void *ctx, struct http_request *request, int status, struct str text, struct str again);

/* A key for what is not in the store: claimed before it is done. done on the loop: ERR_OK, or ERR_REPEATED: it was claimed before, by that
 * very request or (same false) by another one. */
struct idempotency_claim {
	struct write_job job;
	struct guild *guild;
	struct idem idem;
	bool same;
	void (*done)(struct idempotency_claim *claim, enum err err);
};
enum err idempotency_claim_start(struct guild *guild, struct loop *loop, struct idempotency_claim *claim) MUST_USE;

/* Sweeps old rows out, a few at a time. start: once the loops run. */
enum err idempotency_create(struct guild *guild, struct idempotency **out) MUST_USE;
void idempotency_start(struct idempotency *idempotency);
void idempotency_destroy(struct idempotency **idempotency);

#endif
