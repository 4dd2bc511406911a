/* answer_store.c - answers owed, and what they are about. */
#include "social/social_priv.h"

static const struct db_sql sql_owe = {
	"INSERT INTO auto_answer (agent, cause, is_message, asker, asker_kind, hops) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
	"ON CONFLICT (agent, cause) DO NOTHING"};
static const struct db_sql sql_given = {"DELETE FROM auto_answer WHERE agent = ?1 AND cause = ?2"};
static const struct db_sql sql_owed = {"SELECT 1 FROM auto_answer WHERE agent = ?1 AND cause = ?2"};
static const struct db_sql sql_debts = {
	"SELECT agent, cause, is_message, asker, asker_kind, hops FROM auto_answer WHERE cause > ?1 ORDER BY cause, agent LIMIT ?2"};
static const struct db_sql sql_post = {
	"SELECT workspace, author, content, reply_to FROM post WHERE id = ?1 AND deleted_at IS NULL"};
static const struct db_sql sql_message = {
	"SELECT workspace, content, sender, recipient FROM direct_message WHERE id = ?1 AND recipient_deleted = 0"};
static const struct db_sql sql_before = {
	"SELECT id, sender, content FROM direct_message WHERE sender = ?1 AND recipient = ?2 AND id < ?3 ORDER BY id DESC LIMIT ?4"};

enum err answer_owe(struct db *db, const struct answer_debt *debt)
{
	struct db_stmt *stmt = db_use(db, &sql_owe);
	db_bind_int(stmt, 1, debt->agent);
	db_bind_int(stmt, 2, debt->cause);
	db_bind_int(stmt, 3, debt->is_message ? 1 : 0);
	db_bind_int(stmt, 4, debt->asker.key);
	db_bind_int(stmt, 5, debt->asker.kind);
	db_bind_int(stmt, 6, debt->hops);
	return db_run(stmt);
}

static struct db_stmt *debt_use(struct db *db, const struct db_sql *sql, int64_t agent, int64_t cause)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, agent);
	db_bind_int(stmt, 2, cause);
	return stmt;
}

enum err answer_forgive(struct db *db, int64_t agent, int64_t cause)
{
	return db_run(debt_use(db, &sql_given, agent, cause));
}

enum err answer_owed(struct db *db, int64_t agent, int64_t cause, bool *owed)
{
	struct db_stmt *stmt = debt_use(db, &sql_owed, agent, cause);
	enum err err = db_step(stmt, owed);
	db_reset(stmt);
	return err;
}

/* The look comes before the write, because a refusal has to. */
enum err answer_given(struct db *db, int64_t agent, int64_t cause)
{
	bool owed = false;
	enum err err = answer_owed(db, agent, cause, &owed);
	if (err == ERR_OK && !owed) {
		return ERR_CONFLICT;
	}
	return err == ERR_OK ? answer_forgive(db, agent, cause) : err;
}

enum err answer_debts_read(struct db *db, int64_t after, struct answer_debt *out, size_t max, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_debts);
	bool row = true;
	enum err err = ERR_OK;
	*count = 0;
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, (int64_t)max);
	while (*count < max && (err = db_step(stmt, &row)) == ERR_OK && row) {
		out[(*count)++] = (struct answer_debt){.agent = db_int(stmt, 0),
						       .cause = db_int(stmt, 1),
						       .is_message = db_int(stmt, 2) != 0,
						       .asker = {db_int(stmt, 3), (enum actor_kind)db_int(stmt, 4)},
						       .hops = (int)db_int(stmt, 5)};
	}
	db_reset(stmt);
	return err;
}

/* ---- the cause, and what was said before ---- */

struct said {
	int64_t id;
	bool from_user;
	struct str text;
};

static enum err post_read(struct db *db, struct arena *arena, int64_t id, int64_t agent, struct said *out, int64_t *workspace, int64_t *reply_to)
{
	struct db_stmt *stmt = db_use(db, &sql_post);
	bool row;
	db_bind_int(stmt, 1, id);
	enum err err = db_step(stmt, &row);
	if (err == ERR_OK && !row) {
		err = ERR_NOT_FOUND;
	}
	if (err == ERR_OK) {
		*workspace = db_int(stmt, 0);
		*reply_to = db_int(stmt, 3);
		*out = (struct said){id, db_int(stmt, 1) != agent, arena_copy(arena, db_text(stmt, 2))};
		err = out->text.at != NULL ? ERR_OK : ERR_LIMIT;
	}
	db_reset(stmt);
	return err;
}

/* The post a reply hangs under, and what that hangs under, is what was said before. */
static enum err thread_read(struct db *db, struct arena *arena, const struct answer_debt *debt, struct answer_cause *out, struct said *before,
			    size_t *count)
{
	struct said said;
	int64_t up, workspace;
	enum err err = post_read(db, arena, debt->cause, debt->agent, &said, &out->workspace, &up);
	if (err != ERR_OK) {
		return err;
	}
	out->text = said.text;
	out->reply_to = debt->cause;
	while (up != 0 && *count < LIMIT_ANSWER_HISTORY && err == ERR_OK) {
		err = post_read(db, arena, up, debt->agent, &before[*count], &workspace, &up);
		*count += err == ERR_OK;
	}
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

static enum err one_way_read(struct db *db, struct arena *arena, int64_t sender, int64_t recipient, int64_t below, bool from_user,
			     struct said *out, size_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_before);
	bool row = true;
	enum err err = ERR_OK;
	*count = 0;
	db_bind_int(stmt, 1, sender);
	db_bind_int(stmt, 2, recipient);
	db_bind_int(stmt, 3, below);
	db_bind_int(stmt, 4, LIMIT_ANSWER_HISTORY);
	while (*count < LIMIT_ANSWER_HISTORY && (err = db_step(stmt, &row)) == ERR_OK && row) {
		out[*count] = (struct said){db_int(stmt, 0), from_user, arena_copy(arena, db_text(stmt, 2))};
		err = out[*count].text.at != NULL ? ERR_OK : ERR_LIMIT;
		(*count)++;
	}
	db_reset(stmt);
	return err;
}

/* Both directions, newest first. */
static enum err messages_read(struct db *db, struct arena *arena, const struct answer_debt *debt, struct answer_cause *out, struct said *before,
			      size_t *count)
{
	struct said to[LIMIT_ANSWER_HISTORY], from[LIMIT_ANSWER_HISTORY];
	size_t to_count = 0, from_count = 0, t = 0, f = 0;
	struct db_stmt *stmt = db_use(db, &sql_message);
	bool row;
	db_bind_int(stmt, 1, debt->cause);
	enum err err = db_step(stmt, &row);
	if (err == ERR_OK && row) {
		out->workspace = db_int(stmt, 0);
		out->text = arena_copy(arena, db_text(stmt, 1));
	}
	db_reset(stmt);
	if (err != ERR_OK || !row || out->text.at == NULL) {
		return err != ERR_OK ? err : !row ? ERR_NOT_FOUND : ERR_LIMIT;
	}
	err = one_way_read(db, arena, debt->asker.key, debt->agent, debt->cause, true, to, &to_count);
	err = err == ERR_OK ? one_way_read(db, arena, debt->agent, debt->asker.key, debt->cause, false, from, &from_count) : err;
	while (err == ERR_OK && *count < LIMIT_ANSWER_HISTORY && (t < to_count || f < from_count)) {
		bool take_to = f == from_count || (t < to_count && to[t].id > from[f].id);
		before[(*count)++] = take_to ? to[t++] : from[f++];
	}
	return err;
}

enum err answer_cause_read(struct db *db, struct arena *arena, const struct answer_debt *debt, struct answer_cause *out)
{
	struct said before[LIMIT_ANSWER_HISTORY];
	size_t count = 0;
	*out = (struct answer_cause){0};
	enum err err = debt->is_message ? messages_read(db, arena, debt, out, before, &count)
					: thread_read(db, arena, debt, out, before, &count);
	if (err != ERR_OK) {
		return err;
	}
	out->history = arena_array(arena, struct session_message, count + 1);
	if (out->history == NULL) {
		return ERR_LIMIT;
	}
	for (size_t i = 0; i < count; i++) {
		const struct said *said = &before[count - 1 - i];
		out->history[i] = (struct session_message){.from_user = said->from_user, .content = said->text};
	}
	out->history_count = count;
	return ERR_OK;
}
