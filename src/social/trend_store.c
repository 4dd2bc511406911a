/* trend_store.c - SQL of topics by hour. */
#include "db/row.h"
#include "social/trend_priv.h"

static const struct db_sql sql_add = {
	"INSERT INTO trend (workspace, hour_at, topic, posts) VALUES (?1, ?2, ?3, ?4) "
	"ON CONFLICT (workspace, hour_at, topic) DO UPDATE SET posts = trend.posts + ?4"};
static const struct db_sql sql_take = {
	"UPDATE trend SET posts = posts + ?4 WHERE workspace = ?1 AND hour_at = ?2 AND topic = ?3"};
static const struct db_sql sql_forget = {
	"DELETE FROM trend WHERE workspace = ?1 AND hour_at = ?2 AND topic = ?3 AND posts <= 0"};
static const struct db_sql sql_rows = {
	"SELECT topic, posts FROM trend WHERE workspace = ?1 AND hour_at >= ?2 AND hour_at < ?3 "
	"ORDER BY hour_at DESC, topic DESC LIMIT ?4"};

static enum err run(struct db *db, const struct db_sql *sql, int64_t workspace, int64_t hour, struct str topic, int64_t delta)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, hour);
	db_bind_text(stmt, 3, topic);
	if (sql != &sql_forget) {
		db_bind_int(stmt, 4, delta);
	}
	return db_run(stmt);
}

enum err trend_store_add(struct db *db, int64_t workspace, int64_t hour, struct str topic, int64_t delta)
{
	if (delta > 0) {
		return run(db, &sql_add, workspace, hour, topic, delta);
	}
	enum err err = run(db, &sql_take, workspace, hour, topic, delta);
	return err == ERR_OK ? run(db, &sql_forget, workspace, hour, topic, 0) : err;
}

enum err trend_store_rows(struct db *db, int64_t workspace, int64_t from, int64_t until, trend_row_fn *fn, void *arg)
{
	enum err err = ERR_OK;
	struct db_stmt *stmt = db_use(db, &sql_rows);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, from);
	db_bind_int(stmt, 3, until);
	db_bind_int(stmt, 4, LIMIT_TREND_ROWS);
	while (db_next(stmt, &err)) {
		struct str topic = db_text(stmt, 0);
		int64_t posts = db_int(stmt, 1);
		if (posts <= 0 || topic.len < 2 || topic.len > LIMIT_TREND_BYTES || (topic.at[0] != '#' && topic.at[0] != '@')) {
			continue;
		}
		err = fn(topic, posts, arg);
		if (err != ERR_OK) {
			db_reset(stmt);
			return err;
		}
	}
	return err;
}
