/* reaction_store.c - SQL of reactions and their sums, and the list of a post's. */
#include "base/check.h"
#include "db/row.h"
#include "social/reaction_priv.h"

static const struct db_sql sql_there = {"SELECT actor FROM reaction WHERE post = ?1 AND emoji = ?2 AND actor = ?3"};
static const struct db_sql sql_sum = {"SELECT actors FROM reaction_sum WHERE post = ?1 AND emoji = ?2"};
static const struct db_sql sql_kinds = {"SELECT count(*) FROM (SELECT emoji FROM reaction_sum WHERE post = ?1 LIMIT ?2) AS kinds"};
static const struct db_sql sql_insert = {"INSERT INTO reaction (post, emoji, actor, actor_kind) VALUES (?1, ?2, ?3, ?4)"};
static const struct db_sql sql_delete = {"DELETE FROM reaction WHERE post = ?1 AND emoji = ?2 AND actor = ?3"};
static const struct db_sql sql_sum_insert = {"INSERT INTO reaction_sum (post, emoji, actors) VALUES (?1, ?2, ?3)"};
static const struct db_sql sql_sum_set = {"UPDATE reaction_sum SET actors = ?3 WHERE post = ?1 AND emoji = ?2"};
static const struct db_sql sql_sum_delete = {"DELETE FROM reaction_sum WHERE post = ?1 AND emoji = ?2"};
static const struct db_sql sql_sums = {"SELECT emoji, actors FROM reaction_sum WHERE post = ?1 ORDER BY actors DESC, emoji LIMIT ?2"};
static const struct db_sql sql_standing = {
	"SELECT s.emoji, s.actors, (SELECT count(*) FROM reaction r WHERE r.post = s.post AND r.emoji = s.emoji AND r.actor = ?2) "
	"FROM reaction_sum s WHERE s.post = ?1 LIMIT ?3"};
static const struct db_sql sql_actors = {
	"SELECT actor, actor_kind FROM reaction WHERE post = ?1 AND emoji = ?2 ORDER BY actor LIMIT ?3"};

static struct db_stmt *use(struct db *db, const struct db_sql *sql, int64_t post, struct str emoji)
{
	struct db_stmt *stmt = db_use(db, sql);
	db_bind_int(stmt, 1, post);
	db_bind_text(stmt, 2, emoji);
	return stmt;
}

enum err reaction_there(struct db *db, const struct reaction *reaction, bool *there)
{
	struct db_stmt *stmt = use(db, &sql_there, reaction->post, reaction->emoji);
	db_bind_int(stmt, 3, reaction->actor.key);
	enum err err = db_first(stmt);
	db_reset(stmt);
	*there = err == ERR_OK;
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err reaction_sum_read(struct db *db, int64_t post, struct str emoji, int64_t *actors)
{
	struct db_stmt *stmt = use(db, &sql_sum, post, emoji);
	enum err err = db_first(stmt);
	*actors = err == ERR_OK ? db_int(stmt, 0) : 0;
	db_reset(stmt);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

enum err reaction_kinds_count(struct db *db, int64_t post, int64_t *count)
{
	return db_count(db_use(db, &sql_kinds), post, LIMIT_POST_EMOJIS, count);
}

static enum err sum_write(struct db *db, const struct db_sql *sql, const struct reaction *reaction, int64_t actors)
{
	struct db_stmt *stmt = use(db, sql, reaction->post, reaction->emoji);
	if (sql != &sql_sum_delete) {
		db_bind_int(stmt, 3, actors);
	}
	return db_run(stmt);
}

enum err reaction_insert(struct db *db, const struct reaction *reaction, int64_t sum)
{
	struct db_stmt *stmt = use(db, &sql_insert, reaction->post, reaction->emoji);
	db_bind_int(stmt, 3, reaction->actor.key);
	db_bind_int(stmt, 4, reaction->actor.kind);
	enum err err = db_run(stmt);
	return err == ERR_OK ? sum_write(db, sum == 0 ? &sql_sum_insert : &sql_sum_set, reaction, sum + 1) : err;
}

enum err reaction_delete(struct db *db, const struct reaction *reaction, int64_t sum)
{
	check(sum > 0);
	struct db_stmt *stmt = use(db, &sql_delete, reaction->post, reaction->emoji);
	db_bind_int(stmt, 3, reaction->actor.key);
	enum err err = db_run(stmt);
	return err == ERR_OK ? sum_write(db, sum == 1 ? &sql_sum_delete : &sql_sum_set, reaction, sum - 1) : err;
}

enum err reaction_standing_read(struct db *db, int64_t post, int64_t author, int64_t *count)
{
	struct db_stmt *stmt = db_use(db, &sql_standing);
	enum err err;
	*count = 0;
	db_bind_int(stmt, 1, post);
	db_bind_int(stmt, 2, author);
	db_bind_int(stmt, 3, LIMIT_POST_EMOJIS);
	while (db_next(stmt, &err)) {
		*count += standing_positive(db_text(stmt, 0)) ? db_int(stmt, 1) - db_int(stmt, 2) : 0;
	}
	return err;
}

/* ---- the list ---- */

static enum err actors_put(struct guild *guild, struct db *db, const struct reaction *of, struct json_out *out)
{
	struct db_stmt *stmt = use(db, &sql_actors, of->post, of->emoji);
	enum err err;
	db_bind_int(stmt, 3, REACTION_ACTORS_SHOWN);
	json_name(out, STR("actors"));
	json_array(out);
	while (db_next(stmt, &err)) {
		struct actor actor = {db_int(stmt, 0), (enum actor_kind)db_int(stmt, 1)};
		actor_json(guild, actor, out);
	}
	json_array_end(out);
	return err;
}

/* of->actor is the viewer. */
static enum err reaction_put(struct guild *guild, struct db *db, const struct reaction *of, int64_t count, struct json_out *out)
{
	bool mine = false;
	enum err err = reaction_there(db, of, &mine);
	json_object(out);
	json_put_str(out, STR("emoji"), of->emoji);
	json_put_int(out, STR("count"), count);
	json_put_bool(out, STR("mine"), mine);
	err = err == ERR_OK ? actors_put(guild, db, of, out) : err;
	json_object_end(out);
	return err;
}

enum err reaction_list_json(struct guild *guild, struct db *db, int64_t post, struct actor viewer, struct json_out *out)
{
	struct db_stmt *stmt = db_use(db, &sql_sums);
	enum err err;
	db_bind_int(stmt, 1, post);
	db_bind_int(stmt, 2, LIMIT_POST_EMOJIS);
	json_array(out);
	while (db_next(stmt, &err)) {
		struct reaction of = {post, db_text(stmt, 0), viewer};
		err = reaction_put(guild, db, &of, db_int(stmt, 1), out);
		if (err != ERR_OK) {
			db_reset(stmt);
			break;
		}
	}
	json_array_end(out);
	return err;
}
