/* tally_store.c - SQL of what is counted of agents. */
#include "agent/tally_priv.h"
#include "db/row.h"

#define TALLY_COUNTS "since_at, runs, successes, cancels, corrections, rejections, actions, refusals, reactions, helpful, posts"

static const struct db_column columns[] = {
	DB_INT(struct tally, since_us),
	DB_INT(struct tally, runs),
	DB_INT(struct tally, successes),
	DB_INT(struct tally, cancels),
	DB_INT(struct tally, corrections),
	DB_INT(struct tally, rejections),
	DB_INT(struct tally, actions),
	DB_INT(struct tally, refusals),
	DB_INT(struct tally, reactions),
	DB_INT(struct tally, helpful),
	DB_INT(struct tally, posts),
};

enum { PARAM_AGENT = 12, PARAM_WORKSPACE, PARAM_POINTS, PARAM_KEEP };

/* ?15: 1, or 0 when the evidence begins anew. */
static const struct db_sql sql_add = {
	"INSERT INTO agent_tally (" TALLY_COUNTS ", agent, workspace, points) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT (agent) DO UPDATE SET "
	"since_at = agent_tally.since_at * ?15 + ?1, runs = agent_tally.runs * ?15 + ?2, successes = agent_tally.successes * ?15 + ?3, "
	"cancels = agent_tally.cancels * ?15 + ?4, corrections = agent_tally.corrections * ?15 + ?5, "
	"rejections = agent_tally.rejections * ?15 + ?6, actions = agent_tally.actions * ?15 + ?7, "
	"refusals = agent_tally.refusals * ?15 + ?8, reactions = agent_tally.reactions + ?9, helpful = agent_tally.helpful + ?10, "
	"posts = agent_tally.posts + ?11, points = agent_tally.points + ?14"};
static const struct db_sql sql_read = {"SELECT " TALLY_COUNTS " FROM agent_tally WHERE agent = ?1"};
static const struct db_sql sql_day = {
	"INSERT INTO agent_day (agent, day_at, points) VALUES (?1, ?2, ?3) "
	"ON CONFLICT (agent, day_at) DO UPDATE SET points = agent_day.points + ?3"};
static const struct db_sql sql_days_forget = {"DELETE FROM agent_day WHERE agent = ?1 AND day_at < ?2"};

static enum err day_add(struct db *db, const struct tally_change *change, int64_t points)
{
	int64_t day = change->now_us / TALLY_DAY_US;
	struct db_stmt *stmt = db_use(db, &sql_day);
	db_bind_int(stmt, 1, change->agent);
	db_bind_int(stmt, 2, day);
	db_bind_int(stmt, 3, points);
	enum err err = db_run(stmt);
	if (err != ERR_OK) {
		return err;
	}
	stmt = db_use(db, &sql_days_forget);
	db_bind_int(stmt, 1, change->agent);
	db_bind_int(stmt, 2, day - TALLY_DAYS_KEPT);
	return db_run(stmt);
}

enum err tally_row_add(struct db *db, const struct tally_change *change)
{
	int64_t points = tally_points(&change->by);
	struct db_stmt *stmt = db_use(db, &sql_add);
	db_bind_row(stmt, DB_COLUMNS(columns), &change->by);
	db_bind_int(stmt, PARAM_AGENT, change->agent);
	db_bind_int(stmt, PARAM_WORKSPACE, change->workspace);
	db_bind_int(stmt, PARAM_POINTS, points);
	db_bind_int(stmt, PARAM_KEEP, !change->restarted);
	enum err err = db_run(stmt);
	return err == ERR_OK && points != 0 ? day_add(db, change, points) : err;
}

enum err tally_read(struct db *db, int64_t agent, struct tally *out)
{
	struct db_stmt *stmt = db_use(db, &sql_read);
	*out = (struct tally){0};
	db_bind_int(stmt, 1, agent);
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		db_read_row(stmt, DB_COLUMNS(columns), out);
		db_reset(stmt);
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}
