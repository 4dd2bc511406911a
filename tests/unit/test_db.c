/* The door to SQL: statements, constraints, migrations, files that cannot be opened, the lock on a data directory, log rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/db.h"
#include "db/log.h"
#include "db/row.h"
#include "db/sql_text.h"

static char dir[64];
static char path[96];
static char detail[256];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/guild-test-db-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/guild.db", dir);
	memset(detail, 0, sizeof(detail));
	log_set(LOG_OFF, false);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct db *open_new(void)
{
	struct db *db;
	assert_int_equal(db_open(path, DB_WRITER, &db, detail), ERR_OK);
	assert_int_equal(db_migrate(db, path, detail), ERR_OK);
	return db;
}

static void run_text(struct db *db, const struct db_sql *sql)
{
	assert_int_equal(db_run(db_use(db, sql)), ERR_OK);
}

static int64_t int_of(struct db *db, const struct db_sql *sql)
{
	struct db_stmt *stmt = db_use(db, sql);
	bool row;
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(row);
	int64_t value = db_int(stmt, 0);
	db_reset(stmt);
	return value;
}

static const struct db_sql sql_count_meta = {"SELECT count(*) FROM meta"};
static const struct db_sql sql_meta = {"INSERT INTO meta (name, value) VALUES (?1, ?2)"};
static const struct db_sql sql_version = {"PRAGMA user_version"};

static void values_come_back_as_they_went(void **state)
{
	static const struct db_sql create = {"CREATE TABLE v (id INTEGER PRIMARY KEY, t TEXT, b BLOB, r REAL, n INTEGER) STRICT"};
	static const struct db_sql insert = {"INSERT INTO v VALUES (?1, ?2, ?3, ?4, ?5)"};
	static const struct db_sql all = {"SELECT id, t, b, r, n FROM v ORDER BY id"};
	struct db *db = open_new();
	run_text(db, &create);
	struct db_stmt *stmt = db_use(db, &insert);
	db_bind_int(stmt, 1, INT64_MAX);
	db_bind_text(stmt, 2, STR("caf\xc3\xa9 \xf0\x9f\x98\x80"));
	db_bind_bytes(stmt, 3, str_make("\0\xff\0", 3));
	db_bind_real(stmt, 4, 0.1);
	db_bind_int(stmt, 5, INT64_C(2147483648));
	assert_int_equal(db_run(stmt), ERR_OK);
	assert_int_equal(db_changes(db), 1);
	stmt = db_use(db, &insert);
	db_bind_int(stmt, 1, 1);
	db_bind_text(stmt, 2, STR(""));
	db_bind_bytes(stmt, 3, STR(""));
	assert_int_equal(db_run(stmt), ERR_OK);
	assert_int_equal(db_writes(db), 3);
	/* Bindings of the run before are gone. */
	stmt = db_use(db, &insert);
	db_bind_int(stmt, 1, 2);
	db_bind_text(stmt, 2, STR_NONE);
	assert_int_equal(db_run(stmt), ERR_OK);

	bool row;
	stmt = db_use(db, &all);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(row);
	assert_int_equal(db_int(stmt, 0), 1);
	assert_non_null(db_text(stmt, 1).at);
	assert_int_equal(db_text(stmt, 1).len, 0);
	assert_non_null(db_bytes(stmt, 2).at);
	assert_int_equal(db_bytes(stmt, 2).len, 0);
	assert_true(db_is_null(stmt, 3));
	assert_true(db_is_null(stmt, 4));
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(row && db_is_null(stmt, 1) && db_is_null(stmt, 2));
	assert_null(db_text(stmt, 1).at);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(row);
	assert_int_equal(db_int(stmt, 0), INT64_MAX);
	assert_true(str_eq(db_text(stmt, 1), STR("caf\xc3\xa9 \xf0\x9f\x98\x80")));
	assert_true(str_eq(db_bytes(stmt, 2), str_make("\0\xff\0", 3)));
	assert_true(db_real(stmt, 3) == 0.1);
	assert_int_equal(db_int(stmt, 4), INT64_C(2147483648));
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_false(row);
	db_close(&db);
	assert_null(db);
}

struct thing {
	int before;
	int64_t id;
	bool flag;
	int64_t owner;
	int word;
	struct str text, bytes;
	int after;
};

/* Every kind of column, there and absent; what is no column is left alone. */
static void structs_are_rows(void **state)
{
	static const struct db_column columns[] = {
		DB_INT(struct thing, id), DB_KEY(struct thing, owner), DB_WORD(struct thing, word),
		DB_BOOL(struct thing, flag), DB_TEXT(struct thing, text), DB_BYTES(struct thing, bytes),
	};
	static const struct db_sql create = {"CREATE TABLE thing (id INTEGER PRIMARY KEY, o INTEGER, w INTEGER, f INTEGER, t TEXT, b BLOB) STRICT"};
	static const struct db_sql insert = {"INSERT INTO thing VALUES (?1, ?2, ?3, ?4, ?5, ?6)"};
	static const struct db_sql update = {"UPDATE thing SET w = ?3, t = ?5 WHERE id = ?1"};
	static const struct db_sql all = {"SELECT id, o, w, f, t, b FROM thing ORDER BY id"};
	static const struct db_sql one = {"SELECT id, o, w, f, t, b FROM thing WHERE id = ?1"};
	static const struct db_sql owned = {"SELECT count(*) FROM (SELECT id FROM thing WHERE o = ?1 LIMIT ?2) AS owned"};
	const struct thing things[] = {
		{-1, INT64_MIN, true, INT64_MAX, INT32_MIN, STR("caf\xc3\xa9"), {"\0\xff", 2}, -2},
		{-1, 0, false, 0, 0, {NULL, 0}, {NULL, 0}, -2},
		{-1, 7, true, 5, 3, STR(""), STR(""), -2},
		{-1, INT64_MAX, false, 5, INT32_MAX, STR("x"), STR("y"), -2},
	};
	enum { THINGS = sizeof(things) / sizeof(things[0]) };
	struct db *db = open_new();
	run_text(db, &create);
	for (int i = 0; i < THINGS; i++) {
		struct db_stmt *stmt = db_use(db, &insert);
		db_bind_row(stmt, DB_COLUMNS(columns), &things[i]);
		assert_int_equal(db_run(stmt), ERR_OK);
	}
	struct db_stmt *stmt = db_use(db, &all);
	enum err err = ERR_IO;
	int seen = 0;
	for (; db_next(stmt, &err); seen++) {
		struct thing thing = {.before = 11, .after = 12};
		db_read_row(stmt, DB_COLUMNS(columns), &thing);
		assert_int_equal(thing.before, 11);
		assert_int_equal(thing.after, 12);
		assert_int_equal(thing.id, things[seen].id);
		assert_int_equal(thing.owner, things[seen].owner);
		assert_int_equal(thing.word, things[seen].word);
		assert_int_equal(thing.flag, things[seen].flag);
		assert_true(str_eq(thing.text, things[seen].text) && (thing.text.at == NULL) == (things[seen].text.at == NULL));
		assert_true(str_eq(thing.bytes, things[seen].bytes) && (thing.bytes.at == NULL) == (things[seen].bytes.at == NULL));
	}
	assert_int_equal(seen, THINGS);
	assert_int_equal(err, ERR_OK);
	/* 0 is kept as NULL; numbers that a statement leaves out change nothing. */
	struct thing changed = {.id = 7, .owner = 99, .word = 4, .text = STR("new")};
	stmt = db_use(db, &update);
	db_bind_row(stmt, DB_COLUMNS(columns), &changed);
	assert_int_equal(db_run(stmt), ERR_OK);
	stmt = db_use(db, &one);
	db_bind_int(stmt, 1, 7);
	assert_int_equal(db_first(stmt), ERR_OK);
	db_read_row(stmt, DB_COLUMNS(columns), &changed);
	assert_true(changed.owner == 5 && changed.word == 4 && changed.flag && str_eq(changed.text, STR("new")));
	db_reset(stmt);
	stmt = db_use(db, &one);
	db_bind_int(stmt, 1, 0);
	assert_int_equal(db_first(stmt), ERR_OK);
	assert_true(db_is_null(stmt, 1));
	db_reset(stmt);
	stmt = db_use(db, &one);
	db_bind_int(stmt, 1, 8);
	assert_int_equal(db_first(stmt), ERR_NOT_FOUND);
	int64_t count = -1;
	assert_int_equal(db_count(db_use(db, &owned), 5, 10, &count), ERR_OK);
	assert_int_equal(count, 2);
	assert_int_equal(db_count(db_use(db, &owned), 5, 1, &count), ERR_OK);
	assert_int_equal(count, 1);
	db_close(&db);
}

static void many_statements_are_kept_apart(void **state)
{
	static struct db_sql sqls[700];
	static char texts[700][32];
	struct db *db = open_new();
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 700; i++) {
			snprintf(texts[i], sizeof(texts[i]), "SELECT %d + ?1", i);
			sqls[i].text = texts[i];
			struct db_stmt *stmt = db_use(db, &sqls[i]);
			assert_ptr_equal(stmt, db_use(db, &sqls[i]));
			db_bind_int(stmt, 1, 10000);
			bool row;
			assert_int_equal(db_step(stmt, &row), ERR_OK);
			assert_int_equal(db_int(stmt, 0), 10000 + i);
		}
	}
	db_close(&db);
}

static void broken_constraints_are_conflicts(void **state)
{
	static const struct db_sql workspace = {"INSERT INTO workspace (id, name, created_at) VALUES (?1, 'w', 0)"};
	static const struct db_sql orphan = {"INSERT INTO token (id, principal, hash, label, created_at) VALUES (1, 77, ?1, 'x', 0)"};
	static const struct db_sql wrong_type = {"UPDATE workspace SET created_at = 'soon'"};
	static const struct db_sql wrong_kind = {
		"INSERT INTO principal (id, workspace, kind, role, name, specialty, created_at) VALUES (1, 1, 9, 1, 'n', '', 0)"};
	struct db *db = open_new();
	struct db_stmt *stmt = db_use(db, &workspace);
	db_bind_int(stmt, 1, 1);
	assert_int_equal(db_run(stmt), ERR_OK);
	stmt = db_use(db, &workspace);
	db_bind_int(stmt, 1, 1);
	assert_int_equal(db_run(stmt), ERR_CONFLICT);
	stmt = db_use(db, &workspace);
	assert_int_equal(db_run(stmt), ERR_OK); /* no key given: the next rowid, so the column is the rowid */
	stmt = db_use(db, &orphan);
	db_bind_bytes(stmt, 1, STR("h"));
	assert_int_equal(db_run(stmt), ERR_CONFLICT);
	assert_int_equal(db_run(db_use(db, &wrong_type)), ERR_CONFLICT);
	assert_int_equal(db_run(db_use(db, &wrong_kind)), ERR_CONFLICT);
	db_close(&db);
}

static void put_meta(struct db *db, const char *name)
{
	struct db_stmt *stmt = db_use(db, &sql_meta);
	db_bind_text(stmt, 1, str_of(name));
	db_bind_bytes(stmt, 2, STR("v"));
	assert_int_equal(db_run(stmt), ERR_OK);
}

static void transactions_and_savepoints(void **state)
{
	static const struct db_sql walk = {"SELECT name FROM meta"};
	struct db *db = open_new();
	assert_int_equal(db_begin(db), ERR_OK);
	put_meta(db, "a");
	assert_int_equal(db_savepoint(db), ERR_OK);
	put_meta(db, "b");
	db_savepoint_rollback(db);
	assert_int_equal(db_savepoint(db), ERR_OK);
	put_meta(db, "c");
	assert_int_equal(db_savepoint_release(db), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	assert_true(db_wal_pages(db) > 0);
	assert_int_equal(int_of(db, &sql_count_meta), 2);
	/* A statement left on a row does not outlive its transaction. */
	assert_int_equal(db_begin(db), ERR_OK);
	put_meta(db, "d");
	bool row;
	assert_int_equal(db_step(db_use(db, &walk), &row), ERR_OK);
	assert_true(row);
	db_rollback(db);
	db_rollback(db);
	assert_int_equal(int_of(db, &sql_count_meta), 2);
	assert_int_equal(db_checkpoint(db), ERR_OK);
	assert_int_equal(db_wal_pages(db), 0);
	db_close(&db);
}

static void readers_see_commits_only_and_cannot_write(void **state)
{
	struct db *db = open_new();
	struct db *reader;
	assert_int_equal(db_open(path, DB_READER, &reader, detail), ERR_OK);
	assert_int_equal(db_begin(db), ERR_OK);
	put_meta(db, "a");
	assert_int_equal(int_of(reader, &sql_count_meta), 0);
	assert_int_equal(db_begin(reader), ERR_OK);
	assert_int_equal(int_of(reader, &sql_count_meta), 0);
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(int_of(reader, &sql_count_meta), 0); /* the transaction's snapshot */
	db_rollback(reader);
	assert_int_equal(int_of(reader, &sql_count_meta), 1);
	struct db_stmt *stmt = db_use(reader, &sql_meta);
	db_bind_text(stmt, 1, STR("x"));
	db_bind_bytes(stmt, 2, STR("y"));
	assert_int_equal(db_run(stmt), ERR_STORE_UNAVAILABLE);
	db_close(&reader);
	db_close(&db);
}

static void the_connection_is_set_up_for_safety(void **state)
{
	static const struct db_sql sync = {"PRAGMA synchronous"};
	static const struct db_sql keys = {"PRAGMA foreign_keys"};
	static const struct db_sql erase = {"PRAGMA secure_delete"};
	static const struct db_sql pages = {"PRAGMA page_size"};
	static const struct db_sql automatic = {"PRAGMA wal_autocheckpoint"};
	static const struct db_sql mode = {"PRAGMA journal_mode"};
	static const struct db_sql loose = {"SELECT count(*) FROM pragma_table_list WHERE schema = 'main' AND strict = 0 "
					    "AND name NOT LIKE 'sqlite_%'"};
	static const struct db_sql without = {"SELECT wr FROM pragma_table_list WHERE name = 'token_batch'"};
	struct db *db = open_new();
	assert_int_equal(int_of(db, &sync), 2);
	assert_int_equal(int_of(db, &keys), 1);
	assert_int_equal(int_of(db, &erase), 1);
	assert_int_equal(int_of(db, &pages), 4096);
	assert_int_equal(int_of(db, &automatic), 0);
	assert_int_equal(int_of(db, &loose), 0);
	assert_int_equal(int_of(db, &without), 1);
	bool row;
	struct db_stmt *stmt = db_use(db, &mode);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(str_eq(db_text(stmt, 0), STR("wal")));
	struct stat st;
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	db_close(&db);
}

static void meta_keeps_small_values(void **state)
{
	struct db *db = open_new();
	struct arena arena;
	struct str value;
	arena_init(&arena, 4096);
	assert_int_equal(db_meta_get(db, STR("secret"), &arena, &value), ERR_NOT_FOUND);
	assert_int_equal(db_meta_put(db, STR("secret"), str_make("\1\0\2", 3)), ERR_OK);
	assert_int_equal(db_meta_put(db, STR("secret"), str_make("\1\0\3", 3)), ERR_OK);
	assert_int_equal(db_meta_put(db, STR("empty"), STR("")), ERR_OK);
	assert_int_equal(db_meta_get(db, STR("secret"), &arena, &value), ERR_OK);
	assert_true(str_eq(value, str_make("\1\0\3", 3)));
	assert_int_equal(db_meta_get(db, STR("empty"), &arena, &value), ERR_OK);
	assert_non_null(value.at);
	assert_int_equal(value.len, 0);
	arena_fini(&arena);
	db_close(&db);
}

/* ---- migrations and files ---- */

static void migrating_twice_changes_nothing(void **state)
{
	struct db *db = open_new();
	int64_t version = int_of(db, &sql_version);
	assert_true(version >= 1);
	put_meta(db, "kept");
	assert_int_equal(db_migrate(db, path, detail), ERR_OK);
	db_close(&db);
	db = open_new();
	assert_int_equal(int_of(db, &sql_version), version);
	assert_int_equal(int_of(db, &sql_count_meta), 1);
	db_close(&db);
}

static void a_newer_file_is_refused(void **state)
{
	static const struct db_sql newer = {"PRAGMA user_version = 99"};
	static const struct db_sql still = {"SELECT count(*) FROM workspace"};
	struct db *db = open_new();
	bool row;
	assert_int_equal(db_step(db_use(db, &newer), &row), ERR_OK);
	assert_int_equal(db_migrate(db, path, detail), ERR_NEWER);
	assert_non_null(strstr(detail, path));
	assert_non_null(strstr(detail, "newer version of guild (schema 99, this one knows"));
	assert_int_equal(int_of(db, &still), 0);
	db_close(&db);
}

static void a_database_of_another_program_is_refused(void **state)
{
	static const struct db_sql create = {"CREATE TABLE theirs (x INTEGER)"};
	static const struct db_sql tables = {"SELECT count(*) FROM sqlite_schema"};
	struct db *db;
	assert_int_equal(db_open(path, DB_WRITER, &db, detail), ERR_OK);
	run_text(db, &create);
	assert_int_equal(db_migrate(db, path, detail), ERR_CORRUPT);
	assert_non_null(strstr(detail, "another program"));
	assert_int_equal(int_of(db, &tables), 1);
	db_close(&db);
}

/* Takes the file one version back; a newer migration is imitated by marking the file as older than it is. */
static void data_is_copied_before_an_upgrade(void **state)
{
	static const struct db_sql older = {"PRAGMA user_version = -1"};
	char copy[128];
	struct db *db = open_new();
	put_meta(db, "kept");
	bool row;
	assert_int_equal(db_step(db_use(db, &older), &row), ERR_OK);
	/* A negative version holds data no step knows: the first step fails on the tables that are there, and nothing is lost. */
	assert_int_not_equal(db_migrate(db, path, detail), ERR_OK);
	assert_true(strlen(detail) > 0);
	assert_int_equal(int_of(db, &sql_count_meta), 1);
	assert_int_equal(int_of(db, &sql_version), -1);
	db_close(&db);
	snprintf(copy, sizeof(copy), "%s.bak--1", path);
	assert_int_equal(db_open(copy, DB_READER, &db, detail), ERR_OK);
	assert_int_equal(int_of(db, &sql_count_meta), 1);
	db_close(&db);
}

static void write_file(const char *name, const char *bytes, size_t len)
{
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	fclose(file);
}

static void garbage_is_no_database(void **state)
{
	char garbage[8192];
	struct db *db;
	memset(garbage, 'x', sizeof(garbage));
	write_file(path, garbage, sizeof(garbage));
	assert_int_equal(db_open(path, DB_WRITER, &db, detail), ERR_CORRUPT);
	assert_null(db);
	assert_non_null(strstr(detail, path));
	assert_non_null(strstr(detail, "restore a backup"));
}

static void a_damaged_page_is_corruption(void **state)
{
	struct db *db = open_new();
	db_close(&db);
	FILE *file = fopen(path, "r+");
	char zeros[4096];
	memset(zeros, 0x5a, sizeof(zeros));
	assert_int_equal(fseek(file, 100, SEEK_SET), 0);
	assert_int_equal(fwrite(zeros, 1, 3900, file), 3900);
	fclose(file);
	assert_int_equal(db_open(path, DB_WRITER, &db, detail), ERR_CORRUPT);
	assert_non_null(strstr(detail, "damaged"));
}

/* Runs fn as a user who may not write there; true when it said so. */
static bool as_nobody(bool (*fn)(void))
{
	fflush(NULL);
	pid_t child = fork();
	if (child == 0) {
		bool good = (geteuid() != 0 || setresuid(65534, 65534, 65534) == 0) && fn();
		_exit(good ? 0 : 1);
	}
	int status = 1;
	waitpid(child, &status, 0);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool refused_with_path(void)
{
	struct db *db;
	enum err err = db_open(path, DB_WRITER, &db, detail);
	return err == ERR_STORE_UNAVAILABLE && db == NULL && strstr(detail, path) != NULL && strstr(detail, "permi") != NULL;
}

static bool read_only_is_told(void)
{
	struct db *db;
	enum err err = db_open(path, DB_WRITER, &db, detail);
	if (err == ERR_OK) {
		err = db_migrate(db, path, detail);
		db_close(&db);
	}
	return err == ERR_STORE_UNAVAILABLE && strstr(detail, path) != NULL;
}

static bool lock_refused(void)
{
	struct db_dir *held;
	enum err err = db_dir_lock(dir, &held, detail);
	return err == ERR_STORE_UNAVAILABLE && held == NULL && strstr(detail, dir) != NULL && strstr(detail, "--data") != NULL;
}

static void directories_without_permission_are_told(void **state)
{
	assert_int_equal(chmod(dir, 0500), 0);
	assert_true(as_nobody(refused_with_path));
	assert_true(as_nobody(lock_refused));
	assert_int_equal(chmod(dir, 0700), 0);
	struct db *db = open_new();
	db_close(&db);
	assert_int_equal(chmod(path, 0444), 0);
	assert_int_equal(chmod(dir, 0555), 0);
	assert_true(as_nobody(read_only_is_told));
	assert_int_equal(chmod(dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/none/guild.db", dir);
	struct db *none;
	assert_int_equal(db_open(path, DB_WRITER, &none, detail), ERR_STORE_UNAVAILABLE);
	assert_int_equal(db_open(path, DB_READER, &none, detail), ERR_STORE_UNAVAILABLE);
}

/* ---- the lock ---- */

static void the_lock_names_its_holder(void **state)
{
	char data[96];
	char wanted[64];
	struct db_dir *held;
	struct db_dir *second;
	struct stat st;
	snprintf(data, sizeof(data), "%s/data", dir);
	assert_int_equal(db_dir_lock(data, &held, detail), ERR_OK);
	assert_int_equal(stat(data, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	assert_int_equal(db_dir_lock(data, &second, detail), ERR_IN_USE);
	assert_null(second);
	snprintf(wanted, sizeof(wanted), "in use by process %ld; stop it", (long)getpid());
	assert_non_null(strstr(detail, wanted));
	assert_non_null(strstr(detail, data));
	db_dir_unlock(&held);
	assert_null(held);
	assert_int_equal(db_dir_lock(data, &held, detail), ERR_OK);
	db_dir_unlock(&held);
	snprintf(data, sizeof(data), "%s/a/b", dir);
	assert_int_equal(db_dir_lock(data, &held, detail), ERR_STORE_UNAVAILABLE);
	assert_non_null(strstr(detail, "cannot be created"));
}

/* ---- log rows ---- */

struct seen {
	int count;
	int64_t seqs[8];
	int stop_at;
};

static enum err see(const struct log_row *row, void *arg)
{
	struct seen *seen = arg;
	seen->seqs[seen->count++] = row->seq;
	if (row->seq == 2) {
		assert_true(str_eq(row->entry, STR("{\"a\":1}")));
		assert_true(str_eq(row->topics, STR("agent:1 global")));
		assert_true(str_eq(row->job, STR("episode")));
		assert_int_equal(row->outcome, OUTCOME_FAILED);
		assert_int_equal(row->entry_hash[31], 7);
		assert_int_equal(row->hash[0], 9);
		assert_int_equal(row->settle_micro, -5);
		assert_true(row->cost_unknown);
	} else {
		assert_null(row->entry.at);
		assert_null(row->event_type.at);
	}
	return seen->count == seen->stop_at ? ERR_END : ERR_OK;
}

static void log_rows_are_read_both_ways(void **state)
{
	struct db *db = open_new();
	struct log_head head;
	assert_int_equal(log_head_read(db, &head), ERR_OK);
	assert_int_equal(head.seq, 0);
	for (int64_t i = 1; i <= 4; i++) {
		struct log_row row = {.seq = i, .time_us = 100 + i, .kinds = LOG_AUDIT, .action = STR("chat"), .outcome = OUTCOME_STARTED};
		if (i == 2) {
			row.entry = STR("{\"a\":1}");
			row.topics = STR("agent:1 global");
			row.event_type = STR("t");
			row.event_data = STR("{}");
			row.job = STR("episode");
			row.outcome = OUTCOME_FAILED;
			row.entry_hash[31] = 7;
			row.hash[0] = 9;
			row.settle_micro = -5;
			row.cost_unknown = true;
		}
		assert_int_equal(log_insert(db, &row), ERR_OK);
	}
	assert_int_equal(log_head_read(db, &head), ERR_OK);
	assert_int_equal(head.seq, 4);
	assert_int_equal(head.time_us, 104);
	struct seen seen = {0};
	assert_int_equal(log_read(db, 1, 2, see, &seen), ERR_OK);
	assert_int_equal(seen.count, 2);
	assert_int_equal(seen.seqs[0], 2);
	assert_int_equal(seen.seqs[1], 3);
	seen = (struct seen){0};
	assert_int_equal(log_read_back(db, 0, 10, see, &seen), ERR_OK);
	assert_int_equal(seen.count, 4);
	assert_int_equal(seen.seqs[0], 4);
	seen = (struct seen){.stop_at = 1};
	assert_int_equal(log_read_back(db, 3, 10, see, &seen), ERR_END);
	assert_int_equal(seen.seqs[0], 2);
	db_close(&db);
}

static void outcomes_have_words(void **state)
{
	for (int i = OUTCOME_STARTED; i <= OUTCOME_CHANGED; i++) {
		assert_true(strlen(log_outcome_word(i)) > 0);
		assert_int_equal(log_outcome_parse(str_of(log_outcome_word(i))), i);
	}
	assert_int_equal(log_outcome_parse(STR("nonsense")), 0);
	assert_int_equal(log_outcome_parse(STR("")), 0);
	assert_string_equal(log_outcome_word(0), "");
	assert_string_equal(log_outcome_word(99), "");
}

/* ---- memory ---- */

static uint64_t fail_at;
static uint64_t passed_allocations;

static bool fail_nth(void *arg, uint64_t number)
{
	return ++passed_allocations == fail_at;
}

static void want_of_memory_is_told(void **state)
{
	static const struct db_sql one = {"SELECT 1"};
	enum err err = ERR_MEMORY;
	int failures = 0;
	for (fail_at = 1; err != ERR_OK; fail_at++) {
		struct db *db;
		bool row;
		passed_allocations = 0;
		mem_hook_set(fail_nth, NULL);
		err = db_open(path, DB_WRITER, &db, detail);
		if (err == ERR_OK) {
			err = db_step(db_use(db, &one), &row);
		}
		mem_hook_set(NULL, NULL);
		assert_true(err == ERR_OK || err == ERR_MEMORY);
		failures += err == ERR_MEMORY;
		db_close(&db);
	}
	assert_int_equal(failures, 7); /* the connection, the table of statements, four that end transactions, the statement */
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(values_come_back_as_they_went),
		CASE(structs_are_rows),
		CASE(many_statements_are_kept_apart),
		CASE(broken_constraints_are_conflicts),
		CASE(transactions_and_savepoints),
		CASE(readers_see_commits_only_and_cannot_write),
		CASE(the_connection_is_set_up_for_safety),
		CASE(meta_keeps_small_values),
		CASE(migrating_twice_changes_nothing),
		CASE(a_newer_file_is_refused),
		CASE(a_database_of_another_program_is_refused),
		CASE(data_is_copied_before_an_upgrade),
		CASE(garbage_is_no_database),
		CASE(a_damaged_page_is_corruption),
		CASE(directories_without_permission_are_told),
		CASE(the_lock_names_its_holder),
		CASE(log_rows_are_read_both_ways),
		CASE(outcomes_have_words),
		CASE(want_of_memory_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
