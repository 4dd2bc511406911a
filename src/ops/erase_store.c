/* erase_store.c - SQL of erasures, and which rows of the log are a person's. */
#include "agent/agent.h"
#include "db/log.h"
#include "db/row.h"
#include "identity/identity.h"
#include "ops/erase_priv.h"
#include "social/social.h"
#include "wire/json.h"

#define COLUMNS "principal, workspace, requested_by, requested_at, part, after_key, pass, found, rows_erased, ended_at"

static const struct db_column columns[] = {
	DB_INT(struct erasure, principal),
	DB_INT(struct erasure, workspace),
	DB_INT(struct erasure, requested_by),
	DB_INT(struct erasure, requested_at_us),
	DB_INT(struct erasure, part),
	DB_INT(struct erasure, after),
	DB_INT(struct erasure, pass),
	DB_INT(struct erasure, found),
	DB_INT(struct erasure, rows),
	DB_KEY(struct erasure, ended_at_us),
};
static const struct db_sql sql_get = {"SELECT " COLUMNS " FROM erasure WHERE principal = ?1"};
static const struct db_sql sql_next = {"SELECT " COLUMNS " FROM erasure WHERE ended_at IS NULL ORDER BY principal LIMIT 1"};
static const struct db_sql sql_put = {
	"INSERT INTO erasure (" COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) ON CONFLICT (principal) DO UPDATE SET "
	"requested_by = excluded.requested_by, requested_at = excluded.requested_at, part = excluded.part, after_key = excluded.after_key, "
	"pass = excluded.pass, found = excluded.found, rows_erased = excluded.rows_erased, ended_at = excluded.ended_at"};

static enum err one(struct db_stmt *stmt, struct erasure *out)
{
	enum err err = db_first(stmt);
	if (err == ERR_OK) {
		db_read_row(stmt, DB_COLUMNS(columns), out);
		db_reset(stmt);
	}
	return err;
}

enum err erase_row_get(struct db *db, int64_t principal, struct erasure *out)
{
	struct db_stmt *stmt = db_use(db, &sql_get);
	db_bind_int(stmt, 1, principal);
	return one(stmt, out);
}

enum err erase_row_next(struct db *db, struct erasure *out)
{
	return one(db_use(db, &sql_next), out);
}

enum err erase_row_put(struct db *db, const struct erasure *erasure)
{
	struct db_stmt *stmt = db_use(db, &sql_put);
	db_bind_row(stmt, DB_COLUMNS(columns), erasure);
	return db_run(stmt);
}

/* ---- the log ---- */

struct log_look {
	struct erase_step *step;
	struct db *db;
	struct id_text id;
	int rows;
	size_t count;
	int64_t seqs[ERASE_ROWS];
};

static bool names(const struct log_look *look, struct str text)
{
	return text.at != NULL && str_find(text, id_str(&look->id)) >= 0;
}

/* An event about a post that is gone would still tell what stood in it. */
static enum err is_of_lost_post(const struct log_look *look, const struct log_row *row, bool *lost)
{
	struct arena arena;
	struct json_doc doc;
	struct str text;
	int64_t post;
	bool stands = true;
	*lost = false;
	if (row->event_type.at == NULL || (!str_eq(row->event_type, STR("agent_post")) && !str_eq(row->event_type, STR("reply_added")))) {
		return ERR_OK;
	}
	arena_init(&arena, 1 << 20);
	enum err err = json_parse(&arena, row->event_data, &doc, NULL);
	if (err == ERR_OK && json_get_str(json_member(json_root(&doc), STR("id")), &text) &&
	    id_parse(&look->step->guild->id_secret, ID_POST, text, &post) == ERR_OK) {
		err = social_post_stands(look->db, post, &stands);
	}
	*lost = !stands;
	arena_fini(&arena);
	return err == ERR_MALFORMED ? ERR_OK : err;
}

/* Of an agent that is the person's. */
static bool acts_for(const struct log_look *look, const struct log_row *row)
{
	struct guild *guild = look->step->guild;
	const struct principal *principal = row->principal != 0 ? identity_writer_principal(guild->identity, row->principal) : NULL;
	const struct agent *agent =
		principal != NULL && principal->agent != 0 ? registry_writer_get(guild->registry, principal->agent) : NULL;
	return agent != NULL && agent->owner == look->step->principal;
}

static enum err look_at(const struct log_row *row, void *arg)
{
	struct log_look *look = arg;
	int64_t person = look->step->principal;
	bool lost = false;
	enum err err = ERR_OK;
	if (look->count == ERASE_ROWS) {
		return ERR_END;
	}
	look->rows++;
	look->step->after = row->seq;
	bool has_content = row->entry.at != NULL || row->event_type.at != NULL;
	/* That somebody had the person erased is what stays; it says no name. */
	bool is_erasure = str_eq(row->action, STR("erase")) && row->principal != person;
	if (!has_content || is_erasure) {
		return ERR_OK;
	}
	bool theirs = row->principal == person || names(look, row->entry) || names(look, row->event_data) || names(look, row->topics) ||
		      acts_for(look, row);
	if (!theirs) {
		err = is_of_lost_post(look, row, &lost);
	}
	if (theirs || lost) {
		look->seqs[look->count++] = row->seq;
	}
	return err;
}

enum err erase_log(struct erase_step *step, struct db *db)
{
	struct log_look look = {.step = step, .db = db, .id = id_format(&step->guild->id_secret, ID_PRINCIPAL, step->principal)};
	enum err err = log_read(db, step->after, ERASE_ROWS_LOOKED, look_at, &look);
	step->more = err == ERR_END || look.rows == ERASE_ROWS_LOOKED;
	err = err == ERR_END ? ERR_OK : err;
	for (size_t i = 0; i < look.count && err == ERR_OK; i++) {
		err = log_row_erase(db, look.seqs[i]);
	}
	step->rows += (int64_t)look.count;
	return err;
}
