/* erase_store.c - SQL of what a person who is erased did in the social layer. */
#include "db/row.h"
#include "social/erase_priv.h"

static const struct db_sql sql_post_end = {"SELECT id FROM post WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_posts = {
	"SELECT id FROM post WHERE id > ?1 AND id <= ?2 AND deleted_at IS NULL AND (author = ?3 OR (auto_generated = 1 AND author_kind = 2 "
	"AND reply_to <> 0 AND EXISTS (SELECT r.id FROM post r WHERE r.id = post.reply_to AND r.author = ?3))) ORDER BY id LIMIT ?4"};
static const struct db_sql sql_sum_end = {"SELECT post FROM reaction_sum WHERE post > ?1 ORDER BY post LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_reactions = {
	"SELECT s.post, s.emoji, s.actors FROM reaction_sum s JOIN reaction r ON r.post = s.post AND r.emoji = s.emoji AND r.actor = ?3 "
	"WHERE s.post > ?1 AND s.post <= ?2 ORDER BY s.post, s.emoji LIMIT ?4"};
static const struct db_sql sql_message_end = {"SELECT id FROM direct_message WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_messages = {
	"DELETE FROM direct_message WHERE id > ?1 AND id <= ?2 AND (sender = ?3 OR (recipient = ?3 AND (sender_kind = 2 OR sender_deleted = 1)))"};
static const struct db_sql sql_message_copies = {
	"UPDATE direct_message SET recipient_deleted = 1 WHERE id > ?1 AND id <= ?2 AND recipient = ?3 AND recipient_deleted = 0"};
static const struct db_sql sql_memberships = {"SELECT channel FROM channel_member WHERE actor = ?1 ORDER BY channel LIMIT ?2"};
static const struct db_sql sql_blocks = {
	"DELETE FROM block WHERE actor = ?1 AND blocked IN (SELECT b.blocked FROM block b WHERE b.actor = ?1 ORDER BY b.blocked LIMIT ?2)"};
static const struct db_sql sql_rates = {"DELETE FROM rate_event WHERE actor = ?1"};
static const struct db_sql sql_debts = {"DELETE FROM auto_answer WHERE asker = ?1"};
static const struct db_sql sql_channels = {
	"SELECT id FROM channel WHERE id > ?1 AND created_by = ?2 AND (length(description) > 0 OR display_name <> name OR member_count = 0) "
	"ORDER BY id LIMIT ?3"};
static const struct db_sql sql_channel_texts = {"UPDATE channel SET name = ?2, display_name = ?3, description = ?4, revision = ?5 WHERE id = ?1"};

static enum err keys_read(struct db_stmt *stmt, int64_t *out, size_t *count)
{
	enum err err;
	*count = 0;
	while (db_next(stmt, &err)) {
		out[(*count)++] = db_int(stmt, 0);
	}
	return err;
}

enum err erase_posts_find(struct erase_step *step, struct db *db, int64_t out[ERASE_ROWS_HEAVY], size_t *count, int64_t *upto)
{
	enum err err = erase_window(step, db, &sql_post_end, ERASE_ROWS_LOOKED, upto);
	struct db_stmt *stmt = db_use(db, &sql_posts);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, *upto);
	db_bind_int(stmt, 3, step->principal);
	db_bind_int(stmt, 4, ERASE_ROWS_HEAVY);
	return err == ERR_OK ? keys_read(stmt, out, count) : err;
}

enum err erase_reactions_find(struct erase_step *step, struct db *db, struct arena *arena, struct erase_reaction *out, size_t *count, int64_t *upto)
{
	enum err err = erase_window(step, db, &sql_sum_end, ERASE_ROWS, upto);
	struct db_stmt *stmt = db_use(db, &sql_reactions);
	*count = 0;
	if (err != ERR_OK) {
		return err;
	}
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, *upto);
	db_bind_int(stmt, 3, step->principal);
	db_bind_int(stmt, 4, ERASE_REACTIONS_MAX);
	while (db_next(stmt, &err)) {
		struct erase_reaction *reaction = &out[(*count)++];
		*reaction = (struct erase_reaction){db_int(stmt, 0), db_int(stmt, 2), arena_copy(arena, db_text(stmt, 1))};
		if (reaction->emoji.at == NULL) {
			db_reset(stmt);
			return ERR_LIMIT;
		}
	}
	return err;
}

enum err erase_messages(struct erase_step *step, struct db *db)
{
	int64_t upto;
	enum err err = erase_window(step, db, &sql_message_end, ERASE_ROWS, &upto);
	err = err == ERR_OK ? erase_run(step, db, &sql_messages, upto) : err;
	err = err == ERR_OK ? erase_run(step, db, &sql_message_copies, upto) : err;
	step->after = upto;
	return err;
}

enum err erase_memberships_find(struct erase_step *step, struct db *db, int64_t out[ERASE_ROWS_HEAVY], size_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_memberships);
	db_bind_int(stmt, 1, step->principal);
	db_bind_int(stmt, 2, ERASE_ROWS_HEAVY);
	return keys_read(stmt, out, count);
}

enum err erase_actor_rows(struct erase_step *step, struct db *db)
{
	const struct db_sql *statements[] = {&sql_blocks, &sql_rates, &sql_debts};
	enum err err = ERR_OK;
	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]) && err == ERR_OK; i++) {
		struct db_stmt *stmt = db_use(db, statements[i]);
		db_bind_int(stmt, 1, step->principal);
		if (statements[i] == &sql_blocks) {
			db_bind_int(stmt, 2, ERASE_ROWS);
		}
		err = db_run(stmt);
		int64_t changed = err == ERR_OK ? db_changes(db) : 0;
		step->rows += changed;
		step->more = step->more || changed == ERASE_ROWS;
	}
	return err;
}

enum err erase_channels_find(struct erase_step *step, struct db *db, int64_t out[ERASE_ROWS_HEAVY], size_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_channels);
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, step->principal);
	db_bind_int(stmt, 3, ERASE_ROWS_HEAVY);
	return keys_read(stmt, out, count);
}

enum err erase_channel_texts(struct db *db, const struct channel *channel)
{
	struct db_stmt *stmt = db_use(db, &sql_channel_texts);
	db_bind_int(stmt, 1, channel->id);
	db_bind_text(stmt, 2, channel->name);
	db_bind_text(stmt, 3, channel->display_name);
	db_bind_text(stmt, 4, channel->description);
	db_bind_int(stmt, 5, channel->revision);
	return db_run(stmt);
}
