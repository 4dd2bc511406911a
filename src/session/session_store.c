/* session_store.c - SQL of sessions, and of turns seen as messages. */
#include "db/row.h"
#include "session/session_priv.h"

#define SESSION_COLUMNS                                                                                                \
	"id, workspace, owner, agent, title, channel, message_count, open_count, created_at, updated_at, revision"

static const struct db_column columns[] = {
	DB_INT(struct session, id),
	DB_INT(struct session, workspace),
	DB_INT(struct session, owner),
	DB_KEY(struct session, agent),
	DB_TEXT(struct session, title),
	DB_TEXT(struct session, channel),
	DB_INT(struct session, message_count),
	DB_INT(struct session, open_count),
	DB_INT(struct session, created_at_us),
	DB_INT(struct session, updated_at_us),
	DB_INT(struct session, revision),
};
static const struct db_column turn_columns[] = {
	DB_INT(struct session_turn, id),
	DB_INT(struct session_turn, agent),
	DB_INT(struct session_turn, started_at_us),
	DB_KEY(struct session_turn, ended_at_us),
	DB_TEXT(struct session_turn, message),
	DB_TEXT(struct session_turn, answer),
	DB_BOOL(struct session_turn, has_answer),
	DB_BOOL(struct session_turn, partial),
};

static const struct db_sql sql_read = {
	"SELECT " SESSION_COLUMNS " FROM session WHERE id = ?1 AND workspace = ?2 AND (?3 = 0 OR owner = ?3)"};
static const struct db_sql sql_insert = {
	"INSERT INTO session (" SESSION_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"};
static const struct db_sql sql_touch = {
	"UPDATE session SET message_count = message_count + ?2, updated_at = ?3, revision = revision + 1, "
	"agent = COALESCE(?4, agent) WHERE id = ?1"};
static const struct db_sql sql_owner = {"SELECT owner, workspace FROM session WHERE id = ?1"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM (SELECT id FROM session WHERE owner = ?1 LIMIT ?2) AS owned"};
static const struct db_sql sql_rows = {
	"SELECT " SESSION_COLUMNS " FROM session WHERE owner = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"};
static const struct db_sql sql_title = {
	"UPDATE session SET title = ?2, updated_at = ?3, revision = revision + 1 WHERE id = ?1"};
static const struct db_sql sql_agent = {
	"UPDATE session SET agent = ?2, updated_at = ?3, revision = revision + 1 WHERE id = ?1"};
static const struct db_sql sql_delete = {"DELETE FROM session WHERE id = ?1"};
static const struct db_sql sql_batches_delete = {
	"DELETE FROM token_batch WHERE execution IN (SELECT id FROM turn WHERE session = ?1 ORDER BY id LIMIT ?2)"};
static const struct db_sql sql_turns_delete = {
	"DELETE FROM turn WHERE id IN (SELECT id FROM turn WHERE session = ?1 ORDER BY id LIMIT ?2)"};
static const struct db_sql sql_turn_left = {"SELECT id FROM turn WHERE session = ?1 ORDER BY id LIMIT 1"};
static const struct db_sql sql_turns = {"SELECT id, agent, started_at, ended_at, message, answer, has_answer, partial "
										"FROM turn WHERE session = ?1 AND id >= ?2 "
										"AND rolled_back = 0 ORDER BY id LIMIT ?3"};
static const struct db_sql sql_history = {"SELECT message, answer, partial FROM turn WHERE session = ?1 AND has_answer "
										  "= 1 AND rolled_back = 0 ORDER BY id DESC LIMIT ?2"};

enum err session_read(
	struct db *db, struct arena *arena, int64_t id, int64_t workspace, int64_t owner, struct session *out)
{
	struct db_stmt *stmt = db_use(db, &sql_read);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, workspace);
	db_bind_int(stmt, 3, owner);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_SESSION_NOT_FOUND : err;
	}
	db_read_row(stmt, DB_COLUMNS(columns), out);
	out->title = arena_copy(arena, out->title);
	out->channel = arena_copy(arena, out->channel);
	db_reset(stmt);
	return out->title.at != NULL && out->channel.at != NULL ? ERR_OK : ERR_LIMIT;
}

enum err session_rows_count(struct db *db, int64_t owner, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_count), owner, limit, count);
}

enum err session_insert(struct db *db, const struct session *session)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), session);
	return db_run(stmt);
}

enum err session_touch(struct db *db, int64_t id, int messages, int64_t now_us, int64_t agent)
{
	struct db_stmt *stmt = db_use(db, &sql_touch);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, messages);
	db_bind_int(stmt, 3, now_us);
	db_bind_key(stmt, 4, agent);
	return db_run(stmt);
}

enum err session_owner(struct db *db, int64_t id, int64_t *owner, int64_t *workspace)
{
	struct db_stmt *stmt = db_use(db, &sql_owner);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_SESSION_NOT_FOUND : err;
	}
	*owner = db_int(stmt, 0);
	*workspace = db_int(stmt, 1);
	db_reset(stmt);
	return ERR_OK;
}

enum err session_rows(struct db *db, int64_t owner, int64_t before, int64_t limit, session_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, owner);
	db_bind_int(stmt, 2, before != 0 ? before : INT64_MAX);
	db_bind_int(stmt, 3, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct session session;
		db_read_row(stmt, DB_COLUMNS(columns), &session);
		if (!fn(&session, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err session_title_set(struct db *db, int64_t id, struct str title, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_title);
	db_bind_int(stmt, 1, id);
	db_bind_text(stmt, 2, title);
	db_bind_int(stmt, 3, now_us);
	return db_run(stmt);
}

enum err session_agent_set(struct db *db, int64_t id, int64_t agent, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_agent);
	db_bind_int(stmt, 1, id);
	db_bind_key(stmt, 2, agent);
	db_bind_int(stmt, 3, now_us);
	return db_run(stmt);
}

enum err session_turns_delete(struct db *db, int64_t id, bool *left)
{
	const struct db_sql *steps[] = {&sql_batches_delete, &sql_turns_delete};
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		struct db_stmt *stmt = db_use(db, steps[i]);
		db_bind_int(stmt, 1, id);
		db_bind_int(stmt, 2, SESSION_DELETE_TURNS);
		enum err err = db_run(stmt);
		if (err != ERR_OK) {
			return err;
		}
	}
	struct db_stmt *stmt = db_use(db, &sql_turn_left);
	db_bind_int(stmt, 1, id);
	enum err err = db_step(stmt, left);
	if (err == ERR_OK && *left) {
		db_reset(stmt);
	}
	return err;
}

enum err session_delete(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &sql_delete);
	db_bind_int(stmt, 1, id);
	return db_run(stmt);
}

enum err session_turns(struct db *db, int64_t session, int64_t from, int64_t limit, session_turn_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_turns);
	db_bind_int(stmt, 1, session);
	db_bind_int(stmt, 2, from);
	db_bind_int(stmt, 3, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct session_turn turn;
		db_read_row(stmt, DB_COLUMNS(turn_columns), &turn);
		if (!fn(&turn, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

/* ---- what goes into a prompt ---- */

/* Newest first: answer, then its question. Question and answer go in together or not at all. */
static enum err history_collect(
	struct db_stmt *stmt, struct arena *arena, size_t max, size_t bytes_max, struct session_message *out, size_t *count)
{
	size_t bytes = 0;
	*count = 0;
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		struct str message = db_text(stmt, 0), answer = db_is_null(stmt, 1) ? STR("") : db_text(stmt, 1);
		bytes += message.len + answer.len;
		if (bytes > bytes_max || *count + 2 > max) {
			db_reset(stmt);
			return ERR_OK;
		}
		out[*count] = (struct session_message){false, db_int(stmt, 2) != 0, arena_copy(arena, answer)};
		out[*count + 1] = (struct session_message){true, false, arena_copy(arena, message)};
		if (out[*count].content.at == NULL || out[*count + 1].content.at == NULL) {
			db_reset(stmt);
			return ERR_LIMIT;
		}
		*count += 2;
	}
}

enum err session_history(struct db *db, struct arena *arena, int64_t id, size_t max, size_t bytes_max,
	struct session_message **out, size_t *count)
{
	struct session_message *messages = arena_array(arena, struct session_message, max + 1);
	if (messages == NULL) {
		return ERR_LIMIT;
	}
	struct db_stmt *stmt = db_use(db, &sql_history);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, (int64_t)(max / 2));
	enum err err = history_collect(stmt, arena, max, bytes_max, messages, count);
	for (size_t i = 0, j = *count; i + 1 < j; i++) {
		struct session_message swap = messages[i];
		messages[i] = messages[--j];
		messages[j] = swap;
	}
	*out = messages;
	return err;
}
