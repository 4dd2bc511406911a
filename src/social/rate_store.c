/* rate_store.c - SQL of sliding windows: one row for each that counts. */
#include "social/social_priv.h"

/* At most so many rows as the limit are looked at: the newest. When they are that many, the first of them is the one that has to
 * leave before one more is free. */
static const struct db_sql sql_read = {
	"SELECT count(*), coalesce(min(recent.at_us), 0) FROM (SELECT at_us FROM rate_event WHERE actor = ?1 AND kind = ?2 "
	"AND peer = ?3 AND at_us > ?4 ORDER BY at_us DESC LIMIT ?5) AS recent"};
/* Two in one microsecond both count: the later has the next one free. */
static const struct db_sql sql_take = {
	"INSERT INTO rate_event (actor, kind, peer, at_us) SELECT ?1, ?2, ?3, max(at.us) FROM (SELECT ?4 AS us UNION ALL "
	"SELECT max(at_us) + 1 FROM rate_event WHERE actor = ?1 AND kind = ?2 AND peer = ?3) AS at"};
/* Own rows first, oldest first; then those of the next peers, who may never be met again. */
static const struct db_sql sql_forget = {
	"DELETE FROM rate_event WHERE actor = ?1 AND kind = ?2 AND (peer, at_us) IN (SELECT f.peer, f.at_us FROM (SELECT peer, "
	"at_us FROM rate_event WHERE actor = ?1 AND kind = ?2 AND peer >= ?3 ORDER BY peer, at_us LIMIT 8) AS f "
	"WHERE f.at_us <= ?4)"};

static struct db_stmt *use(
	struct db *db, const struct db_sql *sql, struct actor actor, enum rate_kind kind, int64_t peer, int64_t time_us)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, actor.key);
	db_bind_int(stmt, 2, kind);
	db_bind_int(stmt, 3, peer);
	db_bind_int(stmt, 4, time_us);
	return stmt;
}

enum err rate_read(struct db *db, struct actor actor, enum rate_kind kind, int64_t peer, struct rate_rule rule, int64_t now_us,
	struct rate_state *out)
{
	bool row;
	*out = (struct rate_state){.remaining = rule.limit, .now_us = now_us};
	if (rule.limit <= 0) {
		return ERR_OK;
	}
	struct db_stmt *stmt = use(db, &sql_read, actor, kind, peer, now_us - rule.window_us);
	db_bind_int(stmt, 5, rule.limit);
	enum err err = db_step(stmt, &row);
	if (err != ERR_OK) {
		return err;
	}
	out->used = db_int(stmt, 0);
	out->oldest_us = db_int(stmt, 1);
	out->remaining = rule.limit - out->used;
	out->reset_us = out->remaining == 0 ? out->oldest_us + rule.window_us : 0;
	db_reset(stmt);
	return ERR_OK;
}

enum err rate_take(struct db *db, struct actor actor, enum rate_kind kind, int64_t peer, struct rate_rule rule, int64_t now_us)
{
	if (rule.limit < 0) {
		return ERR_OK;
	}
	enum err err = db_run(use(db, &sql_take, actor, kind, peer, now_us));
	return err != ERR_OK ? err : db_run(use(db, &sql_forget, actor, kind, peer, now_us - rule.window_us));
}
