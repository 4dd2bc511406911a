/* idempotency_erase_store.c - what was answered to a person who is erased is forgotten. */
#include "base/limits.h"
#include "command/idempotency.h"
#include "db/row.h"

static const struct db_sql sql_end = {"SELECT key_hash FROM idempotency WHERE key_hash > ?1 ORDER BY key_hash LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_erase = {"DELETE FROM idempotency WHERE key_hash > ?1 AND key_hash <= ?2 AND principal = ?3"};
static const struct db_sql sql_erase_rest = {"DELETE FROM idempotency WHERE key_hash > ?1 AND principal = ?2"};

/* Keys are hashes: the first 63 bits say how far a walk in their order came. Rows that share them are looked at twice. */
static void key_of(int64_t after, uint8_t out[IDEM_HASH_BYTES])
{
	uint64_t bits = (uint64_t)after << 1;
	memset(out, 0, IDEM_HASH_BYTES);
	for (int i = 0; i < 8; i++) {
		out[i] = (uint8_t)(bits >> (56 - 8 * i));
	}
}

static int64_t after_of(const uint8_t *key)
{
	uint64_t bits = 0;
	for (int i = 0; i < 8; i++) {
		bits = bits << 8 | key[i];
	}
	return (int64_t)(bits >> 1);
}

enum err idempotency_erase(struct erase_step *step, struct db *db)
{
	uint8_t after[IDEM_HASH_BYTES], end[IDEM_HASH_BYTES];
	key_of(step->after, after);
	struct db_stmt *stmt = db_use(db, &sql_end);
	db_bind_bytes(stmt, 1, str_make(after, sizeof(after)));
	db_bind_int(stmt, 2, ERASE_ROWS_LOOKED - 1);
	enum err err = db_first(stmt);
	step->more = err == ERR_OK;
	if (err == ERR_OK) {
		struct str key = db_bytes(stmt, 0);
		err = key.len == sizeof(end) ? ERR_OK : ERR_CORRUPT;
		memcpy(end, key.at, key.len < sizeof(end) ? key.len : sizeof(end));
		db_reset(stmt);
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND) {
		return err;
	}
	stmt = db_use(db, step->more ? &sql_erase : &sql_erase_rest);
	db_bind_bytes(stmt, 1, str_make(after, sizeof(after)));
	if (step->more) {
		db_bind_bytes(stmt, 2, str_make(end, sizeof(end)));
	}
	db_bind_int(stmt, step->more ? 3 : 2, step->principal);
	err = db_run(stmt);
	step->rows += err == ERR_OK ? db_changes(db) : 0;
	step->after = step->more ? after_of(end) : step->after;
	return err;
}
