/* log.c - reading and inserting log rows. */
#include "db/log.h"

#define COLUMNS \
	"seq, time_at, kinds, workspace, principal, agent, execution, session, action, outcome, entry, entry_hash, " \
	"hash, reserve_micro, settle_micro, cost_unknown, event_type, event_data, topics, job, audience_a, audience_b, month"

static const struct db_sql sql_head = {"SELECT seq, time_at, hash FROM log ORDER BY seq DESC LIMIT 1"};
static const struct db_sql sql_insert = {
	"INSERT INTO log (" COLUMNS ") "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, ?23)"};
static const struct db_sql sql_read = {"SELECT " COLUMNS " FROM log WHERE seq > ?1 ORDER BY seq LIMIT ?2"};
static const struct db_sql sql_read_back = {"SELECT " COLUMNS " FROM log WHERE seq < ?1 ORDER BY seq DESC LIMIT ?2"};

/* Giving the key anew makes the store take the row out and put it in again: only so are pages that become nearly empty joined and used again. */
static const struct db_sql sql_erase = {
	"UPDATE log SET seq = seq, kinds = kinds - (kinds & 4), event_type = NULL, event_data = NULL, topics = NULL, audience_a = 0, audience_b = 0 "
	"WHERE seq > ?1 AND seq <= ?2 AND event_type IS NOT NULL"};

static const struct db_sql sql_erase_entry = {"UPDATE log SET seq = seq, entry = NULL WHERE seq > ?1 AND seq <= ?2 AND entry IS NOT NULL"};

static const struct db_sql sql_erase_row = {
	"UPDATE log SET seq = seq, kinds = kinds - (kinds & 4), entry = NULL, event_type = NULL, event_data = NULL, topics = NULL, audience_a = 0, "
	"audience_b = 0 WHERE seq = ?1"};

static const struct str outcome_words[] = {
	[OUTCOME_STARTED] = {"started", 7},       [OUTCOME_COMPLETED] = {"completed", 9},
	[OUTCOME_FAILED] = {"failed", 6},         [OUTCOME_CANCELLED] = {"cancelled", 9},
	[OUTCOME_TIMED_OUT] = {"timed_out", 9},   [OUTCOME_INTERRUPTED] = {"interrupted", 11},
	[OUTCOME_CHANGED] = {"changed", 7},
};

const char *log_outcome_word(int outcome)
{
	return outcome >= OUTCOME_STARTED && outcome <= OUTCOME_CHANGED ? outcome_words[outcome].at : "";
}

int log_outcome_parse(struct str word)
{
	for (int i = OUTCOME_STARTED; i <= OUTCOME_CHANGED; i++) {
		if (str_eq(word, outcome_words[i])) {
			return i;
		}
	}
	return 0;
}

static enum err hash_read(struct db_stmt *stmt, int column, uint8_t out[HASH_SHA256_BYTES])
{
	struct str bytes = db_bytes(stmt, column);
	memset(out, 0, HASH_SHA256_BYTES);
	if (bytes.len != HASH_SHA256_BYTES) {
		return ERR_CORRUPT;
	}
	memcpy(out, bytes.at, HASH_SHA256_BYTES);
	return ERR_OK;
}

enum err log_head_read(struct db *db, struct log_head *out)
{
	struct db_stmt *stmt = db_use(db, &sql_head);
	bool row;
	*out = (struct log_head){0};
	enum err err = db_step(stmt, &row);
	if (err == ERR_OK && row) {
		out->seq = db_int(stmt, 0);
		out->time_us = db_int(stmt, 1);
		err = hash_read(stmt, 2, out->hash);
	}
	db_reset(stmt);
	return err;
}

enum err log_insert(struct db *db, const struct log_row *row)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_int(stmt, 1, row->seq);
	db_bind_int(stmt, 2, row->time_us);
	db_bind_int(stmt, 3, row->kinds);
	db_bind_int(stmt, 4, row->workspace);
	db_bind_int(stmt, 5, row->principal);
	db_bind_int(stmt, 6, row->agent);
	db_bind_int(stmt, 7, row->execution);
	db_bind_int(stmt, 8, row->session);
	db_bind_text(stmt, 9, row->action);
	db_bind_int(stmt, 10, row->outcome);
	db_bind_text(stmt, 11, row->entry);
	db_bind_bytes(stmt, 12, str_make(row->entry_hash, HASH_SHA256_BYTES));
	db_bind_bytes(stmt, 13, str_make(row->hash, HASH_SHA256_BYTES));
	db_bind_int(stmt, 14, row->reserve_micro);
	db_bind_int(stmt, 15, row->settle_micro);
	db_bind_int(stmt, 16, row->cost_unknown ? 1 : 0);
	db_bind_text(stmt, 17, row->event_type);
	db_bind_text(stmt, 18, row->event_data);
	db_bind_text(stmt, 19, row->topics);
	db_bind_text(stmt, 20, row->job);
	db_bind_int(stmt, 21, row->audience_a);
	db_bind_int(stmt, 22, row->audience_b);
	db_bind_int(stmt, 23, row->month);
	return db_run(stmt);
}

/* A hash of another length can only be damage: it reads as zeros, which no chain contains. */
static void row_read(struct db_stmt *stmt, struct log_row *row)
{
	*row = (struct log_row){
		.seq = db_int(stmt, 0),
		.time_us = db_int(stmt, 1),
		.kinds = (int)db_int(stmt, 2),
		.workspace = db_int(stmt, 3),
		.principal = db_int(stmt, 4),
		.agent = db_int(stmt, 5),
		.execution = db_int(stmt, 6),
		.session = db_int(stmt, 7),
		.action = db_text(stmt, 8),
		.outcome = (int)db_int(stmt, 9),
		.entry = db_text(stmt, 10),
		.reserve_micro = db_int(stmt, 13),
		.settle_micro = db_int(stmt, 14),
		.cost_unknown = db_int(stmt, 15) != 0,
		.event_type = db_text(stmt, 16),
		.event_data = db_text(stmt, 17),
		.topics = db_text(stmt, 18),
		.job = db_text(stmt, 19),
		.audience_a = db_int(stmt, 20),
		.audience_b = db_int(stmt, 21),
		.month = db_int(stmt, 22),
	};
	(void)hash_read(stmt, 11, row->entry_hash);
	(void)hash_read(stmt, 12, row->hash);
}

static enum err walk(struct db_stmt *stmt, int limit, log_row_fn *row_fn, void *arg)
{
	db_bind_int(stmt, 2, limit);
	for (;;) {
		struct log_row row;
		bool there;
		enum err err = db_step(stmt, &there);
		if (err != ERR_OK || !there) {
			return err;
		}
		row_read(stmt, &row);
		err = row_fn(&row, arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
}

enum err log_read(struct db *db, int64_t after, int limit, log_row_fn *row_fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_read);
	db_bind_int(stmt, 1, after);
	return walk(stmt, limit, row_fn, arg);
}

enum err log_read_back(struct db *db, int64_t before, int limit, log_row_fn *row_fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_read_back);
	db_bind_int(stmt, 1, before > 0 ? before : INT64_MAX);
	return walk(stmt, limit, row_fn, arg);
}

/* ---- erasing ---- */

static enum err reached_read(struct db *db, struct str name, int64_t *out)
{
	struct arena arena;
	struct str value;
	*out = 0;
	arena_init(&arena, 4096);
	enum err err = db_meta_get(db, name, &arena, &value);
	if (err == ERR_OK && value.len == sizeof(*out)) {
		memcpy(out, value.at, sizeof(*out));
	} else if (err == ERR_OK) {
		err = ERR_CORRUPT;
	}
	arena_fini(&arena);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err erase(struct db *db, const struct db_sql *sql, struct str name, int64_t after, int64_t upto)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, upto);
	enum err err = db_run(stmt);
	return err == ERR_OK ? db_meta_put(db, name, str_make(&upto, sizeof(upto))) : err;
}

enum err log_events_gone(struct db *db, int64_t *offset)
{
	return reached_read(db, STR("events_gone"), offset);
}

enum err log_events_erase(struct db *db, int64_t after, int64_t upto)
{
	return erase(db, &sql_erase, STR("events_gone"), after, upto);
}

enum err log_entries_gone(struct db *db, int64_t *seq)
{
	return reached_read(db, STR("entries_gone"), seq);
}

enum err log_entries_erase(struct db *db, int64_t after, int64_t upto)
{
	return erase(db, &sql_erase_entry, STR("entries_gone"), after, upto);
}

enum err log_row_erase(struct db *db, int64_t seq)
{
	struct db_stmt *stmt = db_use(db, &sql_erase_row);
	db_bind_int(stmt, 1, seq);
	return db_run(stmt);
}
