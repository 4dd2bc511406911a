/*
 * migrate.c - brings a file to the newest schema.
 *
 * The version is the number of the last migration that ran. A file that holds data is copied before the first step,
 * so that a failed upgrade can be taken back by hand.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/log.h"
#include "db/db.h"
#include "db/db_priv.h"
#include "db/sql_text.h"

#define MIGRATION_BYTES_MAX 1048576
#define APPLICATION_ID 1196772420 /* "GULD" */

struct token {
	struct str name;
	struct str text;
};

/* The longer of two names that start alike comes first. */
static const struct token tokens[] = {
	{{"$TABLE_END_WITHOUT_ROWID", 24}, {" STRICT, WITHOUT ROWID", 22}},
	{{"$TABLE_END", 10}, {" STRICT", 7}},
	{{"$INT", 4}, {"INTEGER", 7}},
	{{"$BYTES", 6}, {"BLOB", 4}},
	{{"$TEXT", 5}, {"TEXT", 4}},
	{{"$REAL", 5}, {"REAL", 4}},
};

static void expand(const char *text, struct buf *out)
{
	struct str rest = str_of(text);
	while (rest.len > 0) {
		ptrdiff_t at = str_find_byte(rest, '$');
		if (at < 0) {
			buf_put_str(out, rest);
			break;
		}
		buf_put(out, rest.at, (size_t)at);
		rest = str_sub(rest, (size_t)at, rest.len);
		const struct token *found = NULL;
		for (size_t i = 0; i < sizeof(tokens) / sizeof(tokens[0]) && found == NULL; i++) {
			found = str_starts(rest, tokens[i].name) ? &tokens[i] : NULL;
		}
		check(found != NULL);
		buf_put_str(out, found->text);
		rest = str_sub(rest, found->name.len, rest.len);
	}
	buf_put_byte(out, '\0');
}

static int64_t number_of(const struct sql_text *step)
{
	uint64_t number = 0;
	check(str_to_u64(str_sub(str_of(step->name), 0, 4), &number) && number > 0);
	return (int64_t)number;
}

int64_t db_version_newest(void)
{
	int64_t last = 0;
	for (const struct sql_text *step = sql_texts; step->name != NULL; step++) {
		check(number_of(step) > last);
		last = number_of(step);
	}
	return last;
}

enum err db_version(struct db *db, const char *path, int64_t *version, char *detail)
{
	int64_t application = 0;
	int64_t tables = 0;
	enum err err = db_exec_int(db, "PRAGMA user_version", version);
	if (err == ERR_OK) {
		err = db_exec_int(db, "PRAGMA application_id", &application);
	}
	if (err == ERR_OK) {
		err = db_exec_int(db, "SELECT count(*) FROM sqlite_schema", &tables);
	}
	if (err != ERR_OK) {
		db_explain(db, err, path, detail);
		return err;
	}
	if (application != APPLICATION_ID && (tables > 0 || *version != 0 || application != 0)) {
		snprintf(detail, DB_DETAIL_BYTES,
			 "the file %.*s is a database of another program; choose another directory with --data",
			 STR_FMT(db_path_shown(path)));
		return ERR_CORRUPT;
	}
	if (*version > db_version_newest()) {
		snprintf(detail, DB_DETAIL_BYTES,
			 "the file %.*s was written by a newer version of guild (schema %lld, this one knows %lld); "
			 "start that version",
			 STR_FMT(db_path_shown(path)), (long long)*version, (long long)db_version_newest());
		return ERR_NEWER;
	}
	return ERR_OK;
}

/* The copy gets its name only when it is whole. */
static enum err keep_copy(struct db *db, const char *path, int64_t version, char *detail)
{
	char part[4096];
	char whole[4096];
	if (snprintf(part, sizeof(part), "%s.bak-%lld.part", path, (long long)version) >= (int)sizeof(part)) {
		snprintf(detail, DB_DETAIL_BYTES, "the name of the database file is too long");
		return ERR_LIMIT;
	}
	snprintf(whole, sizeof(whole), "%s.bak-%lld", path, (long long)version);
	unlink(part);
	enum err err = db_copy(db, part);
	if (err == ERR_OK && rename(part, whole) != 0) {
		err = ERR_STORE_UNAVAILABLE;
	}
	if (err != ERR_OK) {
		unlink(part);
		snprintf(detail, DB_DETAIL_BYTES,
			 "no copy of %.*s could be made before the upgrade; make room on its disk", STR_FMT(db_path_shown(path)));
	}
	return err;
}

static enum err step_run(struct db *db, const struct sql_text *step, const char *path, char *detail)
{
	char mark[96];
	struct buf text;
	buf_init(&text, MIGRATION_BYTES_MAX);
	expand(step->text, &text);
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		err = db_begin(db);
	}
	if (err == ERR_OK) {
		err = db_exec(db, text.at);
	}
	if (err == ERR_OK) {
		snprintf(mark, sizeof(mark), "PRAGMA application_id=%d; PRAGMA user_version=%lld", APPLICATION_ID,
			 (long long)number_of(step));
		err = db_exec(db, mark);
	}
	if (err == ERR_OK) {
		err = db_commit(db);
	}
	if (err != ERR_OK) {
		db_explain(db, err, path, detail);
		db_rollback(db);
	} else {
		log_at(LOG_INFO, "schema_step", log_s("step", str_of(step->name)));
	}
	buf_fini(&text);
	return err;
}

enum err db_migrate(struct db *db, const char *path, char *detail)
{
	int64_t version = 0;
	enum err err = db_version(db, path, &version, detail);
	if (err == ERR_OK && version != 0 && version < db_version_newest()) {
		err = keep_copy(db, path, version, detail);
	}
	for (const struct sql_text *step = sql_texts; step->name != NULL && err == ERR_OK; step++) {
		if (number_of(step) > version) {
			err = step_run(db, step, path, detail);
		}
	}
	return err;
}
