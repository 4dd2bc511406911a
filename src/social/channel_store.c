/* channel_store.c - SQL of channels and their members. */
#include "db/row.h"
#include "social/channel_priv.h"

#define CHANNEL_COLUMNS                                                                                                                    \
	"id, workspace, name, display_name, description, kind, private, created_by, created_by_kind, member_count, created_at, revision"

static const struct db_sql sql_insert = {
	"INSERT INTO channel (" CHANNEL_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"};
static const struct db_sql sql_members_count = {"UPDATE channel SET member_count = ?2, revision = ?3 WHERE id = ?1"};
static const struct db_sql sql_rows = {"SELECT " CHANNEL_COLUMNS " FROM channel ORDER BY id"};
static const struct db_sql sql_by_name = {"SELECT id FROM channel WHERE workspace = ?1 AND name > ?2 ORDER BY name LIMIT ?3"};
static const struct db_sql sql_join = {"INSERT INTO channel_member (channel, actor, actor_kind, joined_at) VALUES (?1, ?2, ?3, ?4)"};
static const struct db_sql sql_leave = {"DELETE FROM channel_member WHERE channel = ?1 AND actor = ?2"};
static const struct db_sql sql_pairs = {"SELECT actor, channel FROM channel_member ORDER BY actor, channel"};
static const struct db_sql sql_members = {"SELECT actor, actor_kind, joined_at FROM channel_member WHERE channel = ?1 AND actor > ?2 "
					  "ORDER BY actor LIMIT ?3"};

enum err channel_row_insert(struct db *db, const struct channel *channel)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_int(stmt, 1, channel->id);
	db_bind_int(stmt, 2, channel->workspace);
	db_bind_text(stmt, 3, channel->name);
	db_bind_text(stmt, 4, channel->display_name);
	db_bind_text(stmt, 5, channel->description);
	db_bind_int(stmt, 6, channel->kind);
	db_bind_int(stmt, 7, channel->is_private);
	db_bind_int(stmt, 8, channel->created_by.key);
	db_bind_int(stmt, 9, channel->created_by.kind);
	db_bind_int(stmt, 10, channel->member_count);
	db_bind_int(stmt, 11, channel->created_at_us);
	db_bind_int(stmt, 12, channel->revision);
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

static void channel_of_row(struct db_stmt *stmt, struct channel *out)
{
	*out = (struct channel){
		.id = db_int(stmt, 0),
		.workspace = db_int(stmt, 1),
		.name = db_text(stmt, 2),
		.display_name = db_text(stmt, 3),
		.description = db_text(stmt, 4),
		.kind = (int)db_int(stmt, 5),
		.is_private = db_int(stmt, 6) != 0,
		.created_by = {db_int(stmt, 7), (enum actor_kind)db_int(stmt, 8)},
		.member_count = db_int(stmt, 9),
		.created_at_us = db_int(stmt, 10),
		.revision = db_int(stmt, 11),
	};
}

enum err channel_rows(struct db *db, channel_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		struct channel channel;
		channel_of_row(stmt, &channel);
		err = fn(&channel, arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
}

enum err channel_keys_by_name(struct db *db, int64_t workspace, struct str after, int64_t limit, channel_key_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_by_name);
	db_bind_int(stmt, 1, workspace);
	db_bind_text(stmt, 2, after);
	db_bind_int(stmt, 3, limit);
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		if (!fn(db_int(stmt, 0), arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
}

enum err channel_pairs(struct db *db, channel_pair_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_pairs);
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		err = fn(db_int(stmt, 0), db_int(stmt, 1), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
}

enum err channel_members(struct db *db, int64_t channel, int64_t after, int64_t limit, channel_member_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_members);
	db_bind_int(stmt, 1, channel);
	db_bind_int(stmt, 2, after);
	db_bind_int(stmt, 3, limit);
	for (;;) {
		bool row;
		enum err err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			return err;
		}
		struct channel_member member = {{db_int(stmt, 0), (enum actor_kind)db_int(stmt, 1)}, db_int(stmt, 2)};
		if (!fn(&member, arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
}
