/* idempotency_store.c - SQL of the keys under which things were done. */
#include "command/idempotency.h"

#include "base/limits.h"
#include "db/row.h"

#define KEEP_US ((int64_t)LIMIT_IDEMPOTENCY_HOURS * 3600 * 1000000)

static const struct db_sql sql_get = {
	"SELECT request_hash, made_at, process, execution, log_seq, status, reply FROM idempotency WHERE key_hash = ?1"};
static const struct db_sql sql_made_at = {"SELECT made_at FROM idempotency WHERE key_hash = ?1"};
static const struct db_sql sql_put = {
	"INSERT INTO idempotency (key_hash, request_hash, principal, made_at, process, execution, log_seq, status, reply) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 0, ?8) ON CONFLICT (key_hash) DO UPDATE SET request_hash = ?2, principal = ?3, made_at = ?4, "
	"process = ?5, execution = ?6, log_seq = ?7, status = 0, reply = ?8"};
static const struct db_sql sql_answer = {"UPDATE idempotency SET status = ?2, reply = ?3 WHERE key_hash = ?1 AND made_at = ?4"};
static const struct db_sql sql_forget = {"DELETE FROM idempotency WHERE key_hash = ?1 AND made_at = ?2"};
static const struct db_sql sql_step = {
	"SELECT key_hash FROM idempotency WHERE key_hash > ?1 ORDER BY key_hash LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_sweep = {"DELETE FROM idempotency WHERE key_hash > ?1 AND key_hash <= ?2 AND made_at < ?3"};
static const struct db_sql sql_sweep_rest = {"DELETE FROM idempotency WHERE key_hash > ?1 AND made_at < ?2"};

static struct str hash_str(const uint8_t *hash)
{
	return str_make((const char *)hash, IDEM_HASH_BYTES);
}

enum err idempotency_get(struct db *db, struct arena *arena, const struct idem *idem, int64_t now_us, struct idempotency_row *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_bytes(stmt, 1, hash_str(idem->key_hash));
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	struct str hash = db_bytes(stmt, 0);
	*out = (struct idempotency_row){.made_at_us = db_int(stmt, 1),
		.process = db_int(stmt, 2),
		.execution = db_int(stmt, 3),
		.log_seq = db_int(stmt, 4),
		.status = (int)db_int(stmt, 5),
		.reply = arena_copy(arena, db_text(stmt, 6))};
	bool whole = hash.len == sizeof(out->request_hash);
	if (whole) {
		memcpy(out->request_hash, hash.at, hash.len);
	}
	db_reset(stmt);
	if (!whole) {
		return ERR_CORRUPT;
	}
	if (out->made_at_us + KEEP_US < now_us) {
		return ERR_NOT_FOUND;
	}
	return out->reply.at != NULL ? ERR_OK : ERR_LIMIT;
}

enum err idempotency_free(struct db *db, const struct idem *idem, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_made_at);
	db_bind_bytes(stmt, 1, hash_str(idem->key_hash));
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	bool old = db_int(stmt, 0) + KEEP_US < now_us;
	db_reset(stmt);
	return old ? ERR_OK : ERR_REPEATED;
}

enum err idempotency_keep(struct db *db, struct idem *idem, int64_t execution, int64_t log_seq, int64_t process, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_put);
	db_bind_bytes(stmt, 1, hash_str(idem->key_hash));
	db_bind_bytes(stmt, 2, hash_str(idem->request_hash));
	db_bind_int(stmt, 3, idem->principal);
	db_bind_int(stmt, 4, now_us);
	db_bind_int(stmt, 5, process);
	db_bind_int(stmt, 6, execution);
	db_bind_int(stmt, 7, log_seq);
	db_bind_text(stmt, 8, STR(""));
	enum err err = db_run(stmt);
	idem->made_at_us = now_us;
	idem->kept = err == ERR_OK;
	return err;
}

enum err idempotency_answer(struct db *db, const struct idem *idem, int status, struct str reply)
{
	struct db_stmt *stmt = db_use(db, &sql_answer);
	db_bind_bytes(stmt, 1, hash_str(idem->key_hash));
	db_bind_int(stmt, 2, status);
	db_bind_text(stmt, 3, reply);
	db_bind_int(stmt, 4, idem->made_at_us);
	return db_run(stmt);
}

enum err idempotency_forget(struct db *db, const struct idem *idem)
{
	struct db_stmt *stmt = db_use(db, &sql_forget);
	db_bind_bytes(stmt, 1, hash_str(idem->key_hash));
	db_bind_int(stmt, 2, idem->made_at_us);
	return db_run(stmt);
}

/* The key at which the step ends. ERR_NOT_FOUND: it ends with the table. */
static enum err step_end(struct db *db, struct str after, uint8_t *end)
{
	struct db_stmt *stmt = db_use(db, &sql_step);
	db_bind_bytes(stmt, 1, after);
	db_bind_int(stmt, 2, LIMIT_IDEMPOTENCY_STEP - 1);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		struct str key = db_bytes(stmt, 0);
		err = key.len == IDEM_HASH_BYTES ? ERR_OK : ERR_CORRUPT;
		memcpy(end, key.at, key.len < IDEM_HASH_BYTES ? key.len : IDEM_HASH_BYTES);
		db_reset(stmt);
	}
	return err;
}

enum err idempotency_sweep(struct db *db, struct idempotency_cursor *cursor, int64_t now_us, bool *more)
{
	uint8_t end[IDEM_HASH_BYTES];
	struct str after = cursor->begun ? hash_str(cursor->at) : STR("");
	enum err err = step_end(db, after, end);
	*more = err == ERR_OK;
	if (err != ERR_OK && err != ERR_NOT_FOUND) {
		return err;
	}
	struct db_stmt *stmt = db_use(db, *more ? &sql_sweep : &sql_sweep_rest);
	db_bind_bytes(stmt, 1, after);
	if (*more) {
		db_bind_bytes(stmt, 2, hash_str(end));
	}
	db_bind_int(stmt, *more ? 3 : 2, now_us - KEEP_US);
	err = db_run(stmt);
	if (err == ERR_OK && *more) {
		memcpy(cursor->at, end, sizeof(end));
	}
	cursor->begun = *more;
	return err;
}
