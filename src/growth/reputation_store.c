/* reputation_store.c - SQL of reputation: one row, the places in an index of as many rows as there are agents, sixty days. */
#include "db/row.h"
#include "growth/growth_priv.h"

static const struct db_sql sql_agents = {"SELECT count(*) FROM agent WHERE workspace = ?1"};
static const struct db_sql sql_places = {
	"SELECT count(*), (SELECT count(*) FROM agent_tally a WHERE a.workspace = ?1 AND a.points < ?2), "
	"(SELECT count(*) FROM agent_tally b WHERE b.workspace = ?1 AND b.points >= ?2 AND b.points < ?3) "
	"FROM agent_tally WHERE workspace = ?1"};
static const struct db_sql sql_days = {"SELECT day_at, points FROM agent_day WHERE agent = ?1 AND day_at > ?2 ORDER BY day_at LIMIT ?3"};

/* Agents of which nothing was counted have no row, and a score of 0. */
static enum err places_read(struct db *db, int64_t workspace, struct reputation *out)
{
	int64_t score = reputation_score(&out->tally);
	struct db_stmt *stmt = db_use(db, &sql_agents);
	db_bind_int(stmt, 1, workspace);
	enum err err = db_first(stmt);
	out->agents = err == ERR_OK ? db_int(stmt, 0) : 0;
	db_reset(stmt);
	if (err != ERR_OK) {
		return err;
	}
	stmt = db_use(db, &sql_places);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, score > 0 ? score : INT64_MIN);
	db_bind_int(stmt, 3, score < REPUTATION_MAX ? score + 1 : INT64_MAX);
	err = db_first(stmt);
	if (err == ERR_OK) {
		int64_t without_row = out->agents - db_int(stmt, 0);
		out->below = db_int(stmt, 1) + (score > 0 ? without_row : 0);
		out->equal = db_int(stmt, 2) + (score > 0 ? 0 : without_row);
		db_reset(stmt);
	}
	return err;
}

static enum err days_read(struct db *db, int64_t agent, int64_t today, struct reputation *out)
{
	struct db_stmt *stmt = db_use(db, &sql_days);
	int64_t first = today - 2 * REPUTATION_DAYS + 1;
	enum err err;
	db_bind_int(stmt, 1, agent);
	db_bind_int(stmt, 2, first - 1);
	db_bind_int(stmt, 3, 2 * REPUTATION_DAYS);
	while (db_next(stmt, &err)) {
		int64_t place = db_int(stmt, 0) - first;
		if (place >= 0 && place < 2 * REPUTATION_DAYS) {
			out->days[place] = db_int(stmt, 1);
		}
	}
	return err;
}

enum err reputation_read(struct db *db, int64_t workspace, int64_t agent, int64_t today, struct reputation *out)
{
	*out = (struct reputation){.agents = 0};
	enum err err = tally_read(db, agent, &out->tally);
	err = err == ERR_OK ? places_read(db, workspace, out) : err;
	return err == ERR_OK ? days_read(db, agent, today, out) : err;
}
