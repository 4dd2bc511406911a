/* feed_store.c - SQL of feeds: ranges of keys from the partial indexes, rows by key. */
#include "db/row.h"
#include "social/feed_priv.h"

static const struct db_sql sql_entries[] = {
	[FEED_BY_AUDIENCE] = {"SELECT id FROM post WHERE audience = ?1 AND id < ?2 AND reply_to = 0 AND deleted_at IS NULL "
			      "ORDER BY id DESC LIMIT ?3"},
	[FEED_BY_AUTHOR] = {"SELECT id, audience FROM post WHERE author = ?1 AND id < ?2 AND reply_to = 0 AND deleted_at IS NULL "
			    "ORDER BY id DESC LIMIT ?3"},
	[FEED_BY_TAG] = {"SELECT post FROM post_tag WHERE workspace = ?1 AND post < ?2 AND tag = ?4 ORDER BY post DESC LIMIT ?3"},
};
static const struct db_sql sql_audiences = {
	"SELECT audience FROM post WHERE author = ?1 AND reply_to = 0 AND deleted_at IS NULL"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM post WHERE audience = ?1 AND reply_to = 0 AND deleted_at IS NULL"};
static const struct db_sql sql_scan = {"SELECT " POST_COLUMNS " FROM post WHERE id < ?1 ORDER BY id DESC LIMIT ?2"};
static const struct db_sql sql_post = {"SELECT " POST_COLUMNS " FROM post WHERE id = ?1"};

enum err feed_entries(struct db *db, enum feed_by by, int64_t key, struct str tag, int64_t below, struct feed_entry *out, size_t max,
		      size_t *count)
{
	enum err err;
	struct db_stmt *stmt = db_use(db, &sql_entries[by]);
	db_bind_int(stmt, 1, key);
	db_bind_int(stmt, 2, below);
	db_bind_int(stmt, 3, (int64_t)max);
	if (by == FEED_BY_TAG) {
		db_bind_text(stmt, 4, tag);
	}
	*count = 0;
	while (db_next(stmt, &err)) {
		int64_t audience = by == FEED_BY_AUTHOR ? db_int(stmt, 1) : by == FEED_BY_AUDIENCE ? key : 0;
		out[(*count)++] = (struct feed_entry){db_int(stmt, 0), audience};
	}
	return err;
}

enum err feed_author_audiences(struct db *db, int64_t author, feed_entry_fn *fn, void *arg)
{
	enum err err;
	struct db_stmt *stmt = db_use(db, &sql_audiences);
	db_bind_int(stmt, 1, author);
	while (db_next(stmt, &err)) {
		if (!fn(db_int(stmt, 0), arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err feed_audience_count(struct db *db, int64_t audience, int64_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_count);
	db_bind_int(stmt, 1, audience);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		*count = db_int(stmt, 0);
		db_reset(stmt);
	}
	return err;
}

static enum err rows(struct db_stmt *stmt, post_fn *fn, void *arg)
{
	enum err err;
	struct post post;
	while (db_next(stmt, &err)) {
		post_of_row(stmt, &post);
		if (!fn(&post, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err feed_scan(struct db *db, int64_t below, int64_t limit, post_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_scan);
	db_bind_int(stmt, 1, below);
	db_bind_int(stmt, 2, limit);
	return rows(stmt, fn, arg);
}

enum err feed_post(struct db *db, int64_t id, post_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_post);
	db_bind_int(stmt, 1, id);
	return rows(stmt, fn, arg);
}
