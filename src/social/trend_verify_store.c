/* trend_verify_store.c - SQL of comparing hours of topics with posts. */
#include "db/row.h"
#include "social/trend_verify_priv.h"

/* A post's key is made of a time that lies by its created_at. */
#define KEY_MARGIN_MS INT64_C(60000)
#define HOUR_MS       INT64_C(3600000)

static const struct db_sql sql_workspace = {"SELECT id FROM workspace WHERE id > ?1 ORDER BY id LIMIT 1"};
static const struct db_sql sql_row_hour = {"SELECT min(hour_at) FROM trend WHERE workspace = ?1 AND hour_at > ?2"};
static const struct db_sql sql_post_next = {
	"SELECT created_at FROM post WHERE id > ?2 AND workspace = ?1 AND created_at >= ?3 ORDER BY id LIMIT 1"};
static const struct db_sql sql_posts = {
	"SELECT " POST_COLUMNS ", (SELECT c.private FROM channel c WHERE c.id = post.audience) FROM post "
	"WHERE id > ?2 AND id < ?3 AND workspace = ?1 AND created_at >= ?4 AND created_at < ?5 AND deleted_at IS NULL"};
static const struct db_sql sql_rows = {"SELECT topic, posts FROM trend WHERE workspace = ?1 AND hour_at = ?2"};

enum { POST_COLUMN_PRIVATE = 20 };

static int64_t key_before(int64_t hour)
{
	return hour > 0 ? id_of_ms(hour * HOUR_MS - KEY_MARGIN_MS) : 0;
}

/* The next hour of the workspace behind check->hour. *there: there is one. */
static enum err hour_next(struct db *db, struct social_trend_check *check, bool *there)
{
	struct db_stmt *stmt = db_use(db, &sql_row_hour);
	int64_t found = INT64_MAX;
	db_bind_int(stmt, 1, check->workspace);
	db_bind_int(stmt, 2, check->hour);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		found = db_is_null(stmt, 0) ? found : db_int(stmt, 0);
		db_reset(stmt);
	}
	stmt = db_use(db, &sql_post_next);
	db_bind_int(stmt, 1, check->workspace);
	db_bind_int(stmt, 2, key_before(check->hour + 1));
	db_bind_int(stmt, 3, (check->hour + 1) * TREND_HOUR_US);
	err = err == ERR_OK ? db_first(stmt) : err;
	if (err == ERR_OK) {
		int64_t posted = db_int(stmt, 0) / TREND_HOUR_US;
		found = posted < found ? posted : found;
		db_reset(stmt);
	}
	*there = found != INT64_MAX;
	check->hour = *there ? found : check->hour;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err trend_verify_next(struct db *db, struct social_trend_check *check)
{
	bool there = false;
	enum err err = check->workspace != 0 ? hour_next(db, check, &there) : ERR_OK;
	while (err == ERR_OK && !there) {
		struct db_stmt *stmt = db_use(db, &sql_workspace);
		db_bind_int(stmt, 1, check->workspace);
		err = db_first(stmt);
		if (err != ERR_OK) {
			break;
		}
		check->workspace = db_int(stmt, 0);
		check->hour = -1;
		db_reset(stmt);
		err = hour_next(db, check, &there);
	}
	check->more = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err trend_verify_posts(struct db *db, const struct social_trend_check *check, trend_verify_post_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_posts);
	struct post post;
	enum err err;
	db_bind_int(stmt, 1, check->workspace);
	db_bind_int(stmt, 2, key_before(check->hour));
	db_bind_int(stmt, 3, id_of_ms((check->hour + 1) * HOUR_MS + KEY_MARGIN_MS));
	db_bind_int(stmt, 4, check->hour * TREND_HOUR_US);
	db_bind_int(stmt, 5, (check->hour + 1) * TREND_HOUR_US);
	while (db_next(stmt, &err)) {
		post_of_row(stmt, &post);
		struct place place = {.workspace = post.workspace, .visibility = post.visibility, .audience = post.audience, .author = post.author.key,
			.channel_private = db_is_null(stmt, POST_COLUMN_PRIVATE) || db_int(stmt, POST_COLUMN_PRIVATE) != 0};
		err = fn(&post, visibility_public(&place), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}

enum err trend_verify_rows(struct db *db, const struct social_trend_check *check, trend_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_rows);
	enum err err;
	db_bind_int(stmt, 1, check->workspace);
	db_bind_int(stmt, 2, check->hour);
	while (db_next(stmt, &err)) {
		err = fn(db_text(stmt, 0), db_int(stmt, 1), arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
