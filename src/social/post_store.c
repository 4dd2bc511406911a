/* post_store.c - SQL of posts and of the tags they are found by. */
#include "base/check.h"
#include "db/row.h"
#include "social/social_priv.h"

static const struct db_column columns[] = {
	DB_INT(struct post, id),
	DB_INT(struct post, workspace),
	DB_INT(struct post, author.key),
	DB_WORD(struct post, author.kind),
	DB_WORD(struct post, maturity),
	DB_WORD(struct post, kind),
	DB_WORD(struct post, requested),
	DB_WORD(struct post, visibility),
	DB_INT(struct post, audience),
	DB_INT(struct post, reply_to),
	DB_WORD(struct post, hops),
	DB_TEXT(struct post, content),
	DB_TEXT(struct post, mentions),
	DB_TEXT(struct post, tags),
	DB_TEXT(struct post, redacted),
	DB_BOOL(struct post, auto_generated),
	DB_INT(struct post, reply_count),
	DB_INT(struct post, reaction_count),
	DB_INT(struct post, created_at_us),
	DB_KEY(struct post, deleted_at_us),
};

static const struct db_sql sql_insert = {
	"INSERT INTO post (" POST_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, "
	"?17, ?18, ?19, ?20)"};
static const struct db_sql sql_get = {"SELECT " POST_COLUMNS " FROM post WHERE id = ?1"};
static const struct db_sql sql_alive = {"SELECT id FROM post WHERE id = ?1 AND deleted_at IS NULL"};
static const struct db_sql sql_helpful = {"SELECT count(*) FROM feedback WHERE post = ?1 AND post <> 0 AND thumbs = 1 AND status = 2"};
static const struct db_sql sql_count = {
	"UPDATE post SET reply_count = reply_count + ?2, reaction_count = reaction_count + ?3 WHERE id = ?1"};
static const struct db_sql sql_bury = {
	"UPDATE post SET deleted_at = ?2, content = ?3, mentions = ?4, tags = ?3, redacted = ?4, reaction_count = 0 WHERE id = ?1"};
static const struct db_sql sql_replies = {
	"SELECT " POST_COLUMNS " FROM post WHERE reply_to = ?1 AND reply_to <> 0 AND deleted_at IS NULL AND id > ?2 "
	"ORDER BY id LIMIT ?3"};

#define SQL_TAGS_INSERT "INSERT INTO post_tag (workspace, tag, post) VALUES "
static const struct db_sql sql_tags_insert[LIMIT_POST_TAGS] = {
	{SQL_TAGS_INSERT "(?1, ?3, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2), (?1, ?5, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2), (?1, ?5, ?2), (?1, ?6, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2), (?1, ?5, ?2), (?1, ?6, ?2), (?1, ?7, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2), (?1, ?5, ?2), (?1, ?6, ?2), (?1, ?7, ?2), (?1, ?8, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2), (?1, ?5, ?2), (?1, ?6, ?2), (?1, ?7, ?2), (?1, ?8, ?2), (?1, ?9, ?2)"},
	{SQL_TAGS_INSERT "(?1, ?3, ?2), (?1, ?4, ?2), (?1, ?5, ?2), (?1, ?6, ?2), (?1, ?7, ?2), "
			 "(?1, ?8, ?2), (?1, ?9, ?2), (?1, ?10, ?2)"},
};
static const struct db_sql sql_tags_delete = {
	"DELETE FROM post_tag WHERE workspace = ?1 AND post = ?2 AND tag IN (?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"};
static const struct db_sql sql_reactions_delete = {
	"DELETE FROM reaction WHERE post = ?1 AND (emoji, actor) IN "
	"(SELECT r.emoji, r.actor FROM reaction r WHERE r.post = ?1 ORDER BY r.emoji, r.actor LIMIT ?2)"};
static const struct db_sql sql_sums_delete = {"DELETE FROM reaction_sum WHERE post = ?1"};

void post_of_row(struct db_stmt *stmt, struct post *out)
{
	db_read_row(stmt, DB_COLUMNS(columns), out);
}

enum err post_insert(struct db *db, const struct post *post)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), post);
	return db_run(stmt);
}

enum err post_get(struct db *db, struct arena *arena, int64_t id, struct post *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	post_of_row(stmt, out);
	out->content = arena_copy(arena, out->content);
	out->mentions = arena_copy(arena, out->mentions);
	out->tags = arena_copy(arena, out->tags);
	out->redacted = arena_copy(arena, out->redacted);
	db_reset(stmt);
	bool copied = out->content.at != NULL && out->mentions.at != NULL && out->tags.at != NULL && out->redacted.at != NULL;
	return copied ? ERR_OK : ERR_LIMIT;
}

enum err post_alive(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &sql_alive);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	db_reset(stmt);
	return err;
}

enum err social_post_stands(struct db *db, int64_t post, bool *stands)
{
	enum err err = post_alive(db, post);
	*stands = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err post_helpful_read(struct db *db, int64_t id, int64_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_helpful);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	*count = err == ERR_OK ? db_int(stmt, 0) : 0;
	db_reset(stmt);
	return err;
}

enum err post_count_add(struct db *db, int64_t id, int replies, int reactions)
{
	struct db_stmt *stmt = db_use(db, &sql_count);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, replies);
	db_bind_int(stmt, 3, reactions);
	return db_run(stmt);
}

enum err post_bury(struct db *db, int64_t id, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &sql_bury);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, now_us);
	db_bind_text(stmt, 3, STR(""));
	db_bind_text(stmt, 4, STR("[]"));
	return db_run(stmt);
}

static void bind_tags(struct db_stmt *stmt, int64_t workspace, int64_t post, const struct str *tags, size_t count)
{
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, post);
	for (size_t i = 0; i < count; i++) {
		db_bind_text(stmt, 3 + (int)i, tags[i]);
	}
}

enum err post_tags_insert(struct db *db, int64_t workspace, int64_t post, const struct str *tags, size_t count)
{
	check(count >= 1 && count <= LIMIT_POST_TAGS);
	struct db_stmt *stmt = db_use(db, &sql_tags_insert[count - 1]);
	bind_tags(stmt, workspace, post, tags, count);
	return db_run(stmt);
}

enum err post_tags_delete(struct db *db, int64_t workspace, int64_t post, const struct str *tags, size_t count)
{
	check(count >= 1 && count <= LIMIT_POST_TAGS);
	/* What is not bound is NULL, which no tag is. */
	struct db_stmt *stmt = db_use(db, &sql_tags_delete);
	bind_tags(stmt, workspace, post, tags, count);
	return db_run(stmt);
}

enum err post_reactions_delete(struct db *db, int64_t post, bool *left)
{
	struct db_stmt *stmt = db_use(db, &sql_reactions_delete);
	db_bind_int(stmt, 1, post);
	db_bind_int(stmt, 2, LIMIT_POST_REACTIONS_STEP);
	enum err err = db_run(stmt);
	*left = err == ERR_OK && db_changes(db) == LIMIT_POST_REACTIONS_STEP;
	if (err != ERR_OK) {
		return err;
	}
	stmt = db_use(db, &sql_sums_delete);
	db_bind_int(stmt, 1, post);
	return db_run(stmt);
}

enum err post_replies(struct db *db, int64_t post, int64_t after, post_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_replies);
	db_bind_int(stmt, 1, post);
	db_bind_int(stmt, 2, after);
	db_bind_int(stmt, 3, LIMIT_SCAN_ROWS);
	struct post reply;
	enum err err;
	while (db_next(stmt, &err)) {
		post_of_row(stmt, &reply);
		if (!fn(&reply, arg)) {
			db_reset(stmt);
			return ERR_OK;
		}
	}
	return err;
}
