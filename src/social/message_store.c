/* message_store.c - SQL of direct messages. */
#include "db/row.h"
#include "social/message_priv.h"

#define MESSAGE_COLUMNS                                                                                                \
	"id, workspace, sender, sender_kind, recipient, recipient_kind, kind, content, redacted, hops, created_at, "       \
	"delivered_at, read_at, sender_deleted, recipient_deleted"
#define UNREAD "recipient = ?1 AND read_at IS NULL AND recipient_deleted = 0"

static const struct db_column columns[] = {
	DB_INT(struct message, id),
	DB_INT(struct message, workspace),
	DB_INT(struct message, from.key),
	DB_WORD(struct message, from.kind),
	DB_INT(struct message, to.key),
	DB_WORD(struct message, to.kind),
	DB_WORD(struct message, kind),
	DB_TEXT(struct message, content),
	DB_TEXT(struct message, redacted),
	DB_WORD(struct message, hops),
	DB_INT(struct message, created_at_us),
	DB_KEY(struct message, delivered_at_us),
	DB_KEY(struct message, read_at_us),
	DB_BOOL(struct message, from_deleted),
	DB_BOOL(struct message, to_deleted),
};

static const struct db_sql sql_insert = {"INSERT INTO direct_message (" MESSAGE_COLUMNS
										 ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"};
static const struct db_sql sql_get = {"SELECT " MESSAGE_COLUMNS " FROM direct_message WHERE id = ?1"};
static const struct db_sql sql_read = {
	"UPDATE direct_message SET read_at = ?2, delivered_at = COALESCE(delivered_at, ?2) WHERE id = ?1"};
/* A clock that was set back must not deliver before it was sent. */
static const struct db_sql sql_delivered = {
	"UPDATE direct_message SET delivered_at = CASE WHEN created_at > ?2 THEN created_at ELSE ?2 END "
	"WHERE id = ?1 AND delivered_at IS NULL"};
static const struct db_sql sql_delete = {"DELETE FROM direct_message WHERE id = ?1"};
static const struct db_sql sql_delete_sent = {"UPDATE direct_message SET sender_deleted = 1 WHERE id = ?1"};
static const struct db_sql sql_delete_got = {"UPDATE direct_message SET recipient_deleted = 1 WHERE id = ?1"};
static const struct db_sql sql_unread_count = {
	"SELECT count(*) FROM (SELECT id FROM direct_message WHERE " UNREAD " LIMIT ?2) AS unread"};
static const struct db_sql sql_sweep_edge = {
	"SELECT count(*), max(id) FROM (SELECT id FROM direct_message WHERE " UNREAD
	" AND id > ?2 AND id <= ?3 ORDER BY id LIMIT ?4) AS swept"};
static const struct db_sql sql_sweep = {
	"UPDATE direct_message SET read_at = ?4, delivered_at = COALESCE(delivered_at, ?4) WHERE " UNREAD
	" AND id > ?2 AND id <= ?3 AND (?5 = 0 OR sender = ?5)"};
static const struct db_sql sql_scans[MESSAGE_SCANS] = {
	[MESSAGES_INBOX] = {"SELECT " MESSAGE_COLUMNS " FROM direct_message WHERE recipient = ?1 AND recipient_deleted = 0 "
						"AND id < ?2 ORDER BY id DESC LIMIT ?3"},
	[MESSAGES_UNREAD] = {"SELECT " MESSAGE_COLUMNS " FROM direct_message WHERE " UNREAD
						 " AND id < ?2 ORDER BY id DESC LIMIT ?3"},
	[MESSAGES_SENT] = {"SELECT " MESSAGE_COLUMNS " FROM direct_message WHERE sender = ?1 AND sender_deleted = 0 "
					   "AND id < ?2 ORDER BY id DESC LIMIT ?3"},
	/* Without a word on deleted copies, so that the index of the pair is the only one that fits. */
	[MESSAGES_FROM] = {"SELECT " MESSAGE_COLUMNS " FROM direct_message WHERE recipient = ?1 AND sender = ?4 "
					   "AND id < ?2 ORDER BY id DESC LIMIT ?3"},
	[MESSAGES_TO] = {"SELECT " MESSAGE_COLUMNS " FROM direct_message WHERE sender = ?1 AND recipient = ?4 "
					 "AND id < ?2 ORDER BY id DESC LIMIT ?3"},
};

enum err message_insert(struct db *db, const struct message *message)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), message);
	return db_run(stmt);
}

enum err message_get(struct db *db, struct arena *arena, int64_t id, struct message *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	db_read_row(stmt, DB_COLUMNS(columns), out);
	out->content = arena_copy(arena, out->content);
	out->redacted = arena_copy(arena, out->redacted);
	db_reset(stmt);
	return out->content.at != NULL && out->redacted.at != NULL ? ERR_OK : ERR_LIMIT;
}

enum err message_read_set(struct db *db, int64_t id, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_read);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, now_us);
	return db_run(stmt);
}

enum err message_delivered_set(struct db *db, int64_t id, int64_t at_us)
{
	struct db_stmt *stmt = db_use(db, &sql_delivered);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, at_us);
	return db_run(stmt);
}

enum err message_copy_delete(struct db *db, const struct message *message, int64_t actor)
{
	bool is_sender = message->from.key == actor;
	bool last = is_sender ? message->to_deleted : message->from_deleted;
	struct db_stmt *stmt = db_use(db, last ? &sql_delete : is_sender ? &sql_delete_sent : &sql_delete_got);
	db_bind_int(stmt, 1, message->id);
	return db_run(stmt);
}

enum err message_unread_count(struct db *db, int64_t actor, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_unread_count), actor, limit, count);
}

/* Where this batch ends; *count 0: there is nothing. */
static enum err sweep_edge(struct db *db, const struct message_sweep *sweep, int64_t *edge, int64_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_sweep_edge);
	db_bind_int(stmt, 1, sweep->actor);
	db_bind_int(stmt, 2, sweep->after);
	db_bind_int(stmt, 3, sweep->upto);
	db_bind_int(stmt, 4, LIMIT_MARK_ROWS);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	*count = db_int(stmt, 0);
	*edge = db_key(stmt, 1);
	db_reset(stmt);
	return ERR_OK;
}

enum err message_read_sweep(struct db *db, struct message_sweep *sweep, int64_t now_us)
{
	int64_t edge = 0, count = 0;
	sweep->marked = 0;
	sweep->left = false;
	enum err err = sweep_edge(db, sweep, &edge, &count);
	if (err != ERR_OK || count == 0) {
		return err;
	}
	struct db_stmt *stmt = db_use(db, &sql_sweep);
	db_bind_int(stmt, 1, sweep->actor);
	db_bind_int(stmt, 2, sweep->after);
	db_bind_int(stmt, 3, edge);
	db_bind_int(stmt, 4, now_us);
	db_bind_int(stmt, 5, sweep->sender);
	err = db_run(stmt);
	sweep->marked = db_changes(db);
	sweep->left = count == LIMIT_MARK_ROWS;
	sweep->after = edge;
	return err;
}

struct db_stmt *message_scan(struct db *db, enum message_scan scan, int64_t actor, int64_t other, int64_t before)
{
	struct db_stmt *stmt = db_use(db, &sql_scans[scan]);
	db_bind_int(stmt, 1, actor);
	db_bind_int(stmt, 2, before != 0 ? before : INT64_MAX);
	db_bind_int(stmt, 3, LIMIT_SCAN_ROWS);
	if (scan == MESSAGES_FROM || scan == MESSAGES_TO) {
		db_bind_int(stmt, 4, other);
	}
	return stmt;
}

bool message_next(struct db_stmt *scan, struct message *out, enum err *err)
{
	bool there = db_next(scan, err);
	if (there) {
		db_read_row(scan, DB_COLUMNS(columns), out);
	}
	return there;
}
