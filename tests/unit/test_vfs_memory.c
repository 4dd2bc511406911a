/* The disk in memory keeps the contract of the machine's: each test runs over both. Then what only that one can: dying, losing power, time and
 * chance of its own. */
#include <errno.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/log.h"
#include "base/mem.h"
#include "db/db.h"
#include "db/file.h"
#include "db/vfs_fault.h"
#include "db/vfs_memory.h"

static char real_dir[64];
static char detail[256];

/* ---- time and chance of its own ---- */

static uint64_t chance_state;

static int64_t fixed_us(void *ctx)
{
	(void)ctx;
	return INT64_C(1790000000000000);
}

static void chance(void *ctx, void *out, size_t len)
{
	uint8_t *at = out;
	(void)ctx;
	for (size_t i = 0; i < len; i++) {
		chance_state = chance_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
		at[i] = (uint8_t)(chance_state >> 56);
	}
}

static const struct env env = {fixed_us, fixed_us, chance, NULL};

static int setup(void **state)
{
	(void)state;
	log_set(LOG_OFF, false);
	snprintf(real_dir, sizeof(real_dir), "/tmp/guild-test-vfs-XXXXXX");
	assert_non_null(mkdtemp(real_dir));
	chance_state = 1;
	vfs_memory_begin(&env);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	(void)state;
	vfs_memory_end();
	snprintf(command, sizeof(command), "rm -rf '%s'", real_dir);
	return system(command);
}

/* A disk under test: its name in SQLite, and a directory on it. */
struct home {
	const char *vfs;
	const char *dir;
};

static void both(void (*run)(const struct home *home))
{
	run(&(struct home){"unix", real_dir});
	run(&(struct home){vfs_memory_name(), VFS_MEMORY_PREFIX "here"});
}

/* ---- SQLite's contract ---- */

enum { FLAGS = SQLITE_OPEN_READWRITE | SQLITE_OPEN_MAIN_DB };

struct raw {
	sqlite3_vfs *vfs;
	sqlite3_filename name;
	sqlite3_file *file;
};

static int raw_open(const struct home *home, const char *name, int flags, struct raw *out)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/%s", home->dir, name);
	out->vfs = sqlite3_vfs_find(home->vfs);
	assert_non_null(out->vfs);
	out->name = sqlite3_create_filename(path, "", "", 0, NULL);
	out->file = mem_alloc((size_t)out->vfs->szOsFile);
	assert_non_null(out->file);
	int code = out->vfs->xOpen(out->vfs, out->name, out->file, flags, NULL);
	if (code != SQLITE_OK) {
		sqlite3_free_filename(out->name);
		mem_free(out->file);
	}
	return code;
}

static void raw_close(struct raw *raw)
{
	assert_int_equal(raw->file->pMethods->xClose(raw->file), SQLITE_OK);
	sqlite3_free_filename(raw->name);
	mem_free(raw->file);
}

static int raw_read(const struct raw *raw, char *out, int len, int64_t at)
{
	memset(out, 'x', (size_t)len);
	return raw->file->pMethods->xRead(raw->file, out, len, at);
}

static int64_t raw_size(const struct raw *raw)
{
	sqlite3_int64 size = -1;
	assert_int_equal(raw->file->pMethods->xFileSize(raw->file, &size), SQLITE_OK);
	return size;
}

static void bytes_keep(const struct home *home)
{
	struct raw raw, again;
	char got[8];
	int there = 1;
	assert_int_equal(raw_open(home, "bytes", FLAGS, &raw), SQLITE_CANTOPEN);
	assert_int_equal(raw_open(home, "bytes", FLAGS | SQLITE_OPEN_CREATE, &raw), SQLITE_OK);
	assert_int_equal(raw.vfs->xAccess(raw.vfs, raw.name, SQLITE_ACCESS_EXISTS, &there), SQLITE_OK);
	assert_int_equal(there, 0); /* an empty one counts as none */
	assert_int_equal(raw.file->pMethods->xWrite(raw.file, "abcd", 4, 0), SQLITE_OK);
	assert_int_equal(raw.file->pMethods->xWrite(raw.file, "zz", 2, 6), SQLITE_OK);
	assert_int_equal(raw_size(&raw), 8);
	assert_int_equal(raw_read(&raw, got, 8, 0), SQLITE_OK);
	assert_memory_equal(got, "abcd\0\0zz", 8);
	assert_int_equal(raw_read(&raw, got, 8, 4), SQLITE_IOERR_SHORT_READ);
	assert_memory_equal(got, "\0\0zz\0\0\0\0", 8);
	assert_int_equal(raw_read(&raw, got, 4, 100), SQLITE_IOERR_SHORT_READ);
	assert_memory_equal(got, "\0\0\0\0", 4);
	assert_int_equal(raw.file->pMethods->xTruncate(raw.file, 3), SQLITE_OK);
	assert_int_equal(raw.file->pMethods->xSync(raw.file, SQLITE_SYNC_NORMAL), SQLITE_OK);
	assert_int_equal(raw_open(home, "bytes", FLAGS, &again), SQLITE_OK);
	assert_int_equal(raw_size(&again), 3);
	/* What shrank and grows again holds nothing of before. */
	assert_int_equal(again.file->pMethods->xWrite(again.file, "e", 1, 5), SQLITE_OK);
	assert_int_equal(raw_read(&raw, got, 6, 0), SQLITE_OK);
	assert_memory_equal(got, "abc\0\0e", 6);
	/* Deleted, it lives on for those who have it. */
	assert_int_equal(raw.vfs->xDelete(raw.vfs, raw.name, 0), SQLITE_OK);
	assert_int_equal(raw.vfs->xDelete(raw.vfs, raw.name, 0), SQLITE_IOERR_DELETE_NOENT);
	assert_int_equal(raw_size(&raw), 6);
	raw_close(&raw);
	raw_close(&again);
	assert_int_equal(raw_open(home, "bytes", FLAGS, &raw), SQLITE_CANTOPEN);
}

static int raw_lock(const struct raw *raw, int level)
{
	return raw->file->pMethods->xLock(raw->file, level);
}

static void raw_unlock(const struct raw *raw, int level)
{
	assert_int_equal(raw->file->pMethods->xUnlock(raw->file, level), SQLITE_OK);
}

static void locks_exclude(const struct home *home)
{
	struct raw a, b, c;
	int reserved = -1;
	assert_int_equal(raw_open(home, "locks", FLAGS | SQLITE_OPEN_CREATE, &a), SQLITE_OK);
	assert_int_equal(raw_open(home, "locks", FLAGS, &b), SQLITE_OK);
	assert_int_equal(raw_open(home, "locks", FLAGS, &c), SQLITE_OK);
	assert_int_equal(raw_lock(&a, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_int_equal(raw_lock(&b, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_int_equal(raw_lock(&a, SQLITE_LOCK_RESERVED), SQLITE_OK);
	assert_int_equal(raw_lock(&b, SQLITE_LOCK_RESERVED), SQLITE_BUSY);
	assert_int_equal(b.file->pMethods->xCheckReservedLock(b.file, &reserved), SQLITE_OK);
	assert_int_equal(reserved, 1);
	assert_int_equal(raw_lock(&c, SQLITE_LOCK_SHARED), SQLITE_OK);
	raw_unlock(&c, SQLITE_LOCK_NONE);
	/* It waits for the readers, and lets in no more. */
	assert_int_equal(raw_lock(&a, SQLITE_LOCK_EXCLUSIVE), SQLITE_BUSY);
	assert_int_equal(raw_lock(&c, SQLITE_LOCK_SHARED), SQLITE_BUSY);
	raw_unlock(&b, SQLITE_LOCK_NONE);
	assert_int_equal(raw_lock(&a, SQLITE_LOCK_EXCLUSIVE), SQLITE_OK);
	assert_int_equal(raw_lock(&b, SQLITE_LOCK_SHARED), SQLITE_BUSY);
	raw_unlock(&a, SQLITE_LOCK_SHARED);
	assert_int_equal(raw_lock(&b, SQLITE_LOCK_SHARED), SQLITE_OK);
	assert_int_equal(raw_lock(&b, SQLITE_LOCK_RESERVED), SQLITE_OK);
	raw_close(&b);
	/* Who goes leaves its locks. */
	assert_int_equal(raw_lock(&a, SQLITE_LOCK_RESERVED), SQLITE_OK);
	raw_close(&a);
	raw_close(&c);
}

static int shm(const struct raw *raw, int slot, int count, int flags)
{
	return raw->file->pMethods->xShmLock(raw->file, slot, count, flags);
}

static void index_is_shared(const struct home *home)
{
	enum { PAGE = 32768, TAKE = SQLITE_SHM_LOCK, GIVE = SQLITE_SHM_UNLOCK, ONE = SQLITE_SHM_EXCLUSIVE, MANY = SQLITE_SHM_SHARED };
	struct raw a, b;
	void volatile *at = NULL, *same = NULL;
	assert_int_equal(raw_open(home, "index", FLAGS | SQLITE_OPEN_CREATE, &a), SQLITE_OK);
	assert_int_equal(raw_open(home, "index", FLAGS, &b), SQLITE_OK);
	assert_int_equal(a.file->pMethods->xShmMap(a.file, 0, PAGE, 0, &at), SQLITE_OK);
	assert_null((void *)(uintptr_t)at);
	assert_int_equal(a.file->pMethods->xShmMap(a.file, 0, PAGE, 1, &at), SQLITE_OK);
	assert_int_equal(b.file->pMethods->xShmMap(b.file, 0, PAGE, 0, &same), SQLITE_OK);
	assert_non_null((void *)(uintptr_t)at);
	((char volatile *)at)[PAGE - 1] = 'g';
	b.file->pMethods->xShmBarrier(b.file);
	assert_int_equal(((char volatile *)same)[PAGE - 1], 'g');
	assert_int_equal(shm(&a, 3, 1, TAKE | MANY), SQLITE_OK);
	assert_int_equal(shm(&b, 3, 1, TAKE | MANY), SQLITE_OK);
	assert_int_equal(shm(&b, 4, 1, TAKE | ONE), SQLITE_OK);
	assert_int_equal(shm(&b, 3, 1, GIVE | MANY), SQLITE_OK);
	assert_int_equal(shm(&b, 3, 1, TAKE | ONE), SQLITE_BUSY);
	assert_int_equal(shm(&a, 4, 1, TAKE | MANY), SQLITE_BUSY);
	assert_int_equal(shm(&a, 4, 1, TAKE | ONE), SQLITE_BUSY);
	/* All of a range or nothing of it. */
	assert_int_equal(shm(&b, 4, 1, GIVE | ONE), SQLITE_OK);
	assert_int_equal(shm(&b, 2, 3, TAKE | ONE), SQLITE_BUSY);
	assert_int_equal(shm(&a, 2, 1, TAKE | ONE), SQLITE_OK);
	assert_int_equal(shm(&a, 2, 1, GIVE | ONE), SQLITE_OK);
	assert_int_equal(shm(&a, 3, 1, GIVE | MANY), SQLITE_OK);
	assert_int_equal(a.file->pMethods->xShmUnmap(a.file, 0), SQLITE_OK);
	assert_int_equal(shm(&b, 2, 3, TAKE | ONE), SQLITE_OK);
	assert_int_equal(shm(&b, 2, 3, GIVE | ONE), SQLITE_OK);
	assert_int_equal(b.file->pMethods->xShmUnmap(b.file, 1), SQLITE_OK);
	raw_close(&a);
	raw_close(&b);
}

static void test_bytes(void **state)
{
	(void)state;
	both(bytes_keep);
}

static void test_locks(void **state)
{
	(void)state;
	both(locks_exclude);
}

static void test_index(void **state)
{
	(void)state;
	both(index_is_shared);
}

/* ---- a store over it ---- */

static const struct db_sql sql_make = {"CREATE TABLE t (id INTEGER PRIMARY KEY, text TEXT)"};
static const struct db_sql sql_put = {"INSERT INTO t (id, text) VALUES (?1, ?2)"};
static const struct db_sql sql_count = {"SELECT count(*) FROM t"};

static void store_path(const struct home *home, char out[128])
{
	snprintf(out, 128, "%s/guild.db", home->dir);
}

static struct db *store_open(const struct home *home, enum db_mode mode)
{
	char path[128];
	struct db *db;
	store_path(home, path);
	assert_int_equal(db_open(path, mode, &db, detail), ERR_OK);
	return db;
}

static enum err row_put(struct db *db, int64_t id)
{
	static char text[3000];
	memset(text, 'a' + (int)(id % 26), sizeof(text));
	enum err err = db_begin(db);
	if (err == ERR_OK) {
		struct db_stmt *stmt = db_use(db, &sql_put);
		db_bind_int(stmt, 1, id);
		db_bind_text(stmt, 2, str_make(text, sizeof(text)));
		err = db_run(stmt);
		err = err == ERR_OK ? db_commit(db) : err;
	}
	if (err != ERR_OK) {
		db_rollback(db);
	}
	return err;
}

static int64_t rows(struct db *db)
{
	bool row = false;
	struct db_stmt *stmt = db_use(db, &sql_count);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	assert_true(row);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

static void store_works(const struct home *home)
{
	struct db *writer = store_open(home, DB_WRITER);
	assert_int_equal(db_run(db_use(writer, &sql_make)), ERR_OK);
	assert_int_equal(row_put(writer, 1), ERR_OK);
	struct db *reader = store_open(home, DB_READER), *other = store_open(home, DB_WRITER);
	assert_int_equal(db_begin(reader), ERR_OK);
	assert_int_equal(rows(reader), 1);
	assert_int_equal(row_put(writer, 2), ERR_OK);
	/* A transaction sees what was there when it began to read. */
	assert_int_equal(rows(reader), 1);
	assert_int_equal(db_commit(reader), ERR_OK);
	assert_int_equal(rows(reader), 2);
	for (int64_t id = 3; id <= 60; id++) {
		assert_int_equal(row_put(writer, id), ERR_OK);
	}
	assert_true(db_wal_pages(writer) > 60);
	assert_int_equal(db_checkpoint(writer), ERR_OK);
	assert_int_equal(row_put(other, 61), ERR_OK);
	assert_int_equal(rows(reader), 61);
	db_close(&other);
	db_close(&reader);
	db_close(&writer);
	reader = store_open(home, DB_READER);
	assert_int_equal(rows(reader), 61);
	db_close(&reader);
}

static void test_store(void **state)
{
	(void)state;
	both(store_works);
}

/* Acknowledged is kept, and what is there is a beginning of what was asked for. */
static void power_goes(const struct home *home)
{
	for (uint64_t seed = 1; seed <= 40; seed++) {
		char command[128];
		int64_t acknowledged = 0, asked = 0;
		snprintf(command, sizeof(command), "rm -f '%s'/guild.db*", real_dir);
		assert_int_equal(system(command), 0);
		vfs_memory_end();
		vfs_memory_begin(&env);
		struct db *db = store_open(home, DB_WRITER);
		assert_int_equal(db_run(db_use(db, &sql_make)), ERR_OK);
		db_close(&db);
		vfs_crash_arm(seed);
		db = store_open(home, DB_WRITER);
		vfs_crash_at(20 + seed * 7 % 60);
		while (!vfs_crash_is_dead()) {
			acknowledged += row_put(db, ++asked) == ERR_OK;
			if (asked % 9 == 0) {
				(void)!db_checkpoint(db);
			}
		}
		db_close(&db);
		vfs_crash_land();
		db = store_open(home, DB_READER);
		int64_t kept = rows(db);
		assert_true(kept >= acknowledged && kept <= asked);
		db_close(&db);
	}
}

static void test_power(void **state)
{
	(void)state;
	both(power_goes);
}

static void test_full(void **state)
{
	const struct home home = {vfs_memory_name(), VFS_MEMORY_PREFIX "here"};
	(void)state;
	struct db *db = store_open(&home, DB_WRITER);
	assert_int_equal(db_run(db_use(db, &sql_make)), ERR_OK);
	assert_true(vfs_fault_plan("write=full"));
	assert_int_equal(row_put(db, 1), ERR_STORE_UNAVAILABLE);
	assert_true(vfs_fault_plan("sync=io"));
	assert_int_equal(row_put(db, 1), ERR_STORE_UNAVAILABLE);
	assert_true(vfs_fault_plan(""));
	assert_int_equal(row_put(db, 1), ERR_OK);
	assert_int_equal(rows(db), 1);
	db_close(&db);
}

/* Who dies between two commits leaves the first, whatever it still does on its way down. */
static void test_kept(void **state)
{
	const struct home home = {vfs_memory_name(), VFS_MEMORY_PREFIX "here"};
	(void)state;
	struct db *db = store_open(&home, DB_WRITER);
	assert_int_equal(db_run(db_use(db, &sql_make)), ERR_OK);
	assert_int_equal(row_put(db, 1), ERR_OK);
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(db_run(db_use(db, &(const struct db_sql){"INSERT INTO t (id) VALUES (7)"})), ERR_OK);
	vfs_memory_keep();
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(db_file_replace(home.dir, "mark", STR("late")), 0);
	assert_int_equal(rows(db), 2);
	db_close(&db);
	vfs_memory_back();
	struct db_file_about about;
	char text[8];
	assert_int_equal(db_file_read(VFS_MEMORY_PREFIX "here/mark", text, sizeof(text), &about), ENOENT);
	db = store_open(&home, DB_WRITER);
	assert_int_equal(rows(db), 1);
	db_close(&db);
}

static void draw(int64_t *number, int64_t *seconds)
{
	static const struct db_sql drawn = {"SELECT random(), strftime('%s', 'now')"};
	const struct home home = {vfs_memory_name(), VFS_MEMORY_PREFIX "here"};
	bool row = false;
	chance_state = 5;
	vfs_memory_begin(&env);
	struct db *db = store_open(&home, DB_WRITER);
	struct db_stmt *stmt = db_use(db, &drawn);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	*number = db_int(stmt, 0);
	*seconds = db_int(stmt, 1);
	db_reset(stmt);
	db_close(&db);
}

static void test_replays(void **state)
{
	int64_t number, again, seconds;
	(void)state;
	draw(&number, &seconds);
	draw(&again, &seconds);
	assert_int_equal(number, again);
	assert_int_equal(seconds, fixed_us(NULL) / 1000000);
}

/* ---- small files ---- */

static void files_work(const struct home *home)
{
	char path[128], text[16];
	struct db_file_about about;
	struct db_dir *held, *second;
	assert_int_equal(db_dir_lock(home->dir, &held, detail), ERR_OK);
	assert_int_equal(db_dir_lock(home->dir, &second, detail), ERR_IN_USE);
	assert_non_null(strstr(detail, home->dir));
	snprintf(path, sizeof(path), "%s/name", home->dir);
	assert_int_equal(db_file_read(path, text, sizeof(text), &about), ENOENT);
	assert_int_equal(db_file_make(home->dir, "name", STR("first")), 0);
	assert_int_equal(db_file_make(home->dir, "name", STR("second")), 0);
	assert_int_equal(db_file_read(path, text, sizeof(text), &about), 0);
	assert_true(about.regular && about.mode == 0600 && about.len == 5);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(db_file_replace(home->dir, "name", STR("a longer third")), 0);
	assert_int_equal(db_file_read(path, text, 8, &about), 0);
	assert_true(about.len == 8 && memcmp(text, "a longer", 8) == 0);
	assert_int_equal(db_file_create(path), 0);
	assert_int_equal(db_file_read(path, text, sizeof(text), &about), 0);
	assert_int_equal(about.len, 14);
	db_dir_unlock(&held);
	assert_int_equal(db_dir_lock(home->dir, &held, detail), ERR_OK);
	db_dir_unlock(&held);
}

static void lines_grow(const struct home *home)
{
	char path[128], text[16];
	struct db_lines *lines;
	size_t len, size;
	snprintf(path, sizeof(path), "%s/lines", home->dir);
	for (int round = 0; round < 2; round++) {
		assert_int_equal(db_lines_open(path, &lines), 0);
		assert_int_equal(db_lines_tail(lines, text, sizeof(text), &len, &size), 0);
		assert_true(len == size && size == (round == 0 ? 0U : 10U));
		assert_int_equal(db_lines_add(lines, STR("0123456789")), 0);
		assert_int_equal(db_lines_tail(lines, text, 4, &len, &size), 0);
		assert_true(len == 4 && size == (round == 0 ? 10U : 20U) && memcmp(text, "6789", 4) == 0);
		db_lines_close(&lines);
	}
	assert_int_equal(db_lines_open(path, &lines), 0);
	assert_int_equal(db_lines_cut(lines, 13), 0);
	assert_int_equal(db_lines_add(lines, STR("!")), 0);
	assert_int_equal(db_lines_tail(lines, text, 5, &len, &size), 0);
	assert_true(size == 14 && memcmp(text, "9012!", 5) == 0);
	db_lines_close(&lines);
}

static void test_files(void **state)
{
	(void)state;
	both(files_work);
}

static void test_lines(void **state)
{
	(void)state;
	both(lines_grow);
}

/* A file is changed whole or not at all, and once it was acknowledged it stays. */
static void test_files_power(void **state)
{
	const char *dir = VFS_MEMORY_PREFIX "here";
	int seen[2] = {0, 0};
	(void)state;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		char text[16];
		struct db_file_about about;
		assert_int_equal(db_file_replace(dir, "mark", STR("before")), 0);
		vfs_crash_arm(seed);
		vfs_crash_at(2);
		assert_int_equal(db_file_replace(dir, "other", STR("kept")), 0);
		assert_int_equal(db_file_replace(dir, "mark", STR("behind")), EIO);
		assert_int_equal(db_file_replace(dir, "mark", STR("never")), EIO);
		assert_int_equal(db_file_read(VFS_MEMORY_PREFIX "here/other", text, sizeof(text), &about), EIO);
		vfs_crash_land();
		assert_int_equal(db_file_read(VFS_MEMORY_PREFIX "here/other", text, sizeof(text), &about), 0);
		assert_int_equal(db_file_read(VFS_MEMORY_PREFIX "here/mark", text, sizeof(text), &about), 0);
		assert_int_equal(about.len, 6);
		assert_true(memcmp(text, "before", 6) == 0 || memcmp(text, "behind", 6) == 0);
		seen[memcmp(text, "before", 6) == 0]++;
	}
	assert_true(seen[0] > 0 && seen[1] > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locks, setup, teardown),
		cmocka_unit_test_setup_teardown(test_index, setup, teardown),
		cmocka_unit_test_setup_teardown(test_store, setup, teardown),
		cmocka_unit_test_setup_teardown(test_power, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lines, setup, teardown),
		cmocka_unit_test_setup_teardown(test_files_power, setup, teardown),
	};
	return cmocka_run_group_tests_name("disks", tests, NULL, NULL);
}
