/* feedback_store.c - SQL of feedback. */
#include "db/row.h"
#include "growth/feedback_priv.h"

#define FEEDBACK_COLUMNS                                                                                               \
	"id, workspace, agent, principal, execution, post, thumbs, rating, correction, trusted, status, delta_e4, "        \
	"created_at, decided_by, decided_at, note"

static const struct db_column columns[] = {
	DB_INT(struct feedback, id),
	DB_INT(struct feedback, workspace),
	DB_INT(struct feedback, agent),
	DB_INT(struct feedback, principal),
	DB_INT(struct feedback, execution),
	DB_INT(struct feedback, post),
	DB_WORD(struct feedback, thumbs),
	DB_WORD(struct feedback, rating),
	DB_TEXT(struct feedback, correction),
	DB_BOOL(struct feedback, trusted),
	DB_WORD(struct feedback, status),
	DB_WORD(struct feedback, delta_e4),
	DB_INT(struct feedback, created_at_us),
	DB_KEY(struct feedback, decided_by),
	DB_KEY(struct feedback, decided_at_us),
	DB_TEXT(struct feedback, note),
};

static const struct db_sql sql_insert = {
	"INSERT INTO feedback (" FEEDBACK_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)"};
static const struct db_sql sql_get = {"SELECT " FEEDBACK_COLUMNS " FROM feedback WHERE id = ?1"};
static const struct db_sql sql_of_execution = {"SELECT id FROM feedback WHERE execution = ?1 AND execution <> 0 AND principal = ?2"};
static const struct db_sql sql_of_post = {"SELECT id FROM feedback WHERE post = ?1 AND post <> 0 AND principal = ?2"};
static const struct db_sql sql_count = {
	"SELECT count(*) FROM (SELECT id FROM feedback WHERE principal = ?1 AND status = 1 LIMIT ?2) AS waiting"};
static const struct db_sql sql_decide = {
	"UPDATE feedback SET status = ?2, decided_by = ?3, decided_at = ?4, note = ?5 WHERE id = ?1 AND status = 1"};
static const struct db_sql sql_rows = {
	"SELECT " FEEDBACK_COLUMNS " FROM feedback WHERE workspace = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"};
static const struct db_sql sql_pending = {
	"SELECT " FEEDBACK_COLUMNS " FROM feedback WHERE workspace = ?1 AND id < ?2 AND status = 1 ORDER BY id DESC LIMIT ?3"};

enum err feedback_insert(struct db *db, const struct feedback *feedback)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_row(stmt, DB_COLUMNS(columns), feedback);
	return db_run(stmt);
}

static bool keep(struct arena *arena, struct str *text)
{
	if (text->at != NULL) {
		*text = arena_copy(arena, *text);
		return text->at != NULL;
	}
	return true;
}

enum err feedback_get(struct db *db, struct arena *arena, int64_t id, struct feedback *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, id);
	enum err err = db_first(stmt);
	if (err != ERR_OK) {
		return err;
	}
	db_read_row(stmt, DB_COLUMNS(columns), out);
	bool kept = keep(arena, &out->correction) && keep(arena, &out->note);
	db_reset(stmt);
	return kept ? ERR_OK : ERR_LIMIT;
}

enum err feedback_there(struct db *db, const struct feedback *like, bool *there)
{
	*there = false;
	if (like->execution == 0 && like->post == 0) {
		return ERR_OK;
	}
	struct db_stmt *stmt = db_use(db, like->execution != 0 ? &sql_of_execution : &sql_of_post);
	db_bind_int(stmt, 1, like->execution != 0 ? like->execution : like->post);
	db_bind_int(stmt, 2, like->principal);
	enum err err = db_first(stmt);
	db_reset(stmt);
	*there = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err feedback_waiting_count(struct db *db, int64_t principal, int64_t limit, int64_t *count)
{
	return db_count(db_use(db, &sql_count), principal, limit, count);
}

enum err feedback_row_decide(struct db *db, const struct feedback *feedback)
{
	struct db_stmt *stmt = db_use(db, &sql_decide);
	db_bind_int(stmt, 1, feedback->id);
	db_bind_int(stmt, 2, feedback->status);
	db_bind_int(stmt, 3, feedback->decided_by);
	db_bind_int(stmt, 4, feedback->decided_at_us);
	db_bind_text(stmt, 5, feedback->note);
	enum err err = db_run(stmt);
	return err == ERR_OK && db_changes(db) != 1 ? ERR_CONFLICT : err;
}

enum err feedback_rows(struct db *db, int64_t workspace, bool pending, int64_t before, int64_t limit, feedback_row_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, pending ? &sql_pending : &sql_rows);
	db_bind_int(stmt, 1, workspace);
	db_bind_int(stmt, 2, before);
	db_bind_int(stmt, 3, limit);
	enum err err;
	while (db_next(stmt, &err)) {
		struct feedback feedback;
		db_read_row(stmt, DB_COLUMNS(columns), &feedback);
		if (!fn(&feedback, arg)) {
			db_reset(stmt);
			break;
		}
	}
	return err;
}
