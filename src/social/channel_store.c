/* channel_store.c - SQL of channels and their members. */
#include "db/row.h"
#include "social/channel_priv.h"

#define CHANNEL_COLUMNS                                                                                                                    \
	"id, workspace, name, display_name, description, kind, private, created_by, created_by_kind, member_count, created_at, revision"

static const struct db_column columns[] = {
	DB_INT(struct channel, id),
	DB_INT(struct channel, workspace),
	DB_TEXT(struct channel, name),
	DB_TEXT(struct channel, display_name),
	DB_TEXT(struct channel, description),
	DB_WORD(struct channel, kind),
	DB_BOOL(struct channel, is_private),
	DB_INT(struct channel, created_by.key),
	DB_WORD(struct channel, created_by.kind),
	DB_INT(struct channel, member_count),
	DB_INT(struct channel, created_at_us),
	DB_INT(struct channel, revision),
};
static const struct db_column member_columns[] = {
	DB_INT(struct channel_member, actor.key),
	DB_WORD(struct channel_member, actor.kind),
	DB_INT(struct channel_member, joined_at_us),
};

static const struct db_sql sql_insert = {
	"INSERT INTO channel (" CHANNEL_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"};
static const struct db_sql sql_members_count = {"UPDATE channel SET member_count = ?2, revision = ?3 WHERE id = ?1"};
static const struct db_sql sql_rows = {"SELECT " CHANNEL_COLUMNS " FROM channel ORDER BY id"};
static const struct db_sql sql_by_name = {"SELECT id FROM channel WHERE workspace = ?1 AND name > ?2 ORDER BY name LIMIT ?3"};
static const struct db_sql sql_of_actor = {
	"SELECT channel.id FROM channel_member JOIN channel ON channel.id = channel_member.channel "
	"WHERE channel_member.actor = ?4 AND channel.workspace = ?1 AND channel.name > ?2 ORDER BY channel.name LIMIT ?3"};
static const struct db_sql sql_join = {"INSERT INTO channel_member (channel, actor, actor_kind, joined_at) VALUES (?1, ?2, ?3, ?4)"};
static const struct db_sql sql_leave = {"DELETE FROM channel_member WHERE channel = ?1 AND actor = ?2"};
static const struct db_sql sql_pairs = {"SELECT actor, channel FROM channel_member ORDER BY actor, channel"};
static const struct db_sql sql_members = {"SELECT actor, actor_kind, joined_at FROM channel_member WHERE channel = ?1 AND actor > ?2 "
					  "ORDER BY actor LIMIT ?3"};

enum err channel_row_insert(struct db *db, const struct channel *channel)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), channel);
	return db_run(stmt);
}

enum err channel_row_members(struct db *db, const struct channel *channel)
{
	struct db_stmt *stmt = db_use(db, &sql_members_count);
	db_bind_int(stmt, 1, channel->id);
	db_bind_int(stmt, 2, channel->member_count);
	db_bind_int(stmt, 3, channel->revision);
	return db_run(stmt);
}

enum err channel_member_insert(struct db *db, int64_t channel, struct actor actor, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_join);
	db_bind_int(stmt, 1, channel);
	db_bind_int(stmt, 2, actor.key);
	db_bind_int(stmt, 3, actor.kind);
	db_bind_int(stmt, 4, now_us);
	return db_run(stmt);
}

enum err channel_member_delete(struct db *db, int64_t channel, int64_t actor)
{
	struct db_stmt *stmt = db_use(db, &sql_leave);
	db_bind_int(stmt, 1, channel);
	db_bind_int(stmt, 2, actor);
	return db_run(stmt);
}

enum err channel_rows(struct db *db, channel_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	enum err err;
	while (db_next(stmt, &err)) {
		struct channel channel;
		db_read_row(stmt, DB_COLUMNS(columns), &channel);
		err = fn(&channel, arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
	return err;
}

enum err channel_keys_by_name(struct db *db, const struct channel_span *span, channel_key_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, span->actor != 0 ? &sql_of_actor : &sql_by_name);
	enum err err;
	db_bind_int(stmt, 1, span->workspace);
	db_bind_text(stmt, 2, span->after);
	db_bind_int(stmt, 3, span->limit);
	if (span->actor != 0) {
		db_bind_int(stmt, 4, span->actor);
	}
	while (db_next(stmt, &err)) {
		if (!fn(db_int(stmt, 0), arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
	return err;
}

enum err channel_pairs(struct db *db, channel_pair_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_pairs);
	enum err err;
	while (db_next(stmt, &err)) {
		err = fn(db_int(stmt, 0), db_int(stmt, 1), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
	return err;
}

enum err channel_members(struct db *db, int64_t channel, int64_t after, int64_t limit, channel_member_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_members);
	enum err err;
	db_bind_int(stmt, 1, channel);
	db_bind_int(stmt, 2, after);
	db_bind_int(stmt, 3, limit);
	while (db_next(stmt, &err)) {
		struct channel_member member;
		db_read_row(stmt, DB_COLUMNS(member_columns), &member);
		if (!fn(&member, arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
	return err;
}
