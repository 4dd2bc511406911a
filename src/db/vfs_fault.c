/*
 * vfs_fault.c - SQLite's files through a shim that fails when told to, and notes for crash mode what changed.
 *
 * Everything goes on to the system's own VFS, or to the one in memory, as the path says; the index of the write-ahead log is
 * only looked at, never failed but for its locks, because it is memory. Reads through a map would pass by, so there is no map.
 *
 * The plan and the counters are global: a test speaks of the n-th access of the process.
 */
#include "db/vfs_fault.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault_plan.h"
#include "db/vfs_fault_priv.h"
#include "db/vfs_memory.h"

enum kind { NONE, IO, SHORT, FULL, READONLY, BUSY };

struct shim_file {
	sqlite3_file base; /* first */
	struct disk_file *disk; /* in crash mode */
	bool syncs_directory;   /* with its next sync, as the system's VFS does for a log or journal that it may have created */
	sqlite3_file *real;
};

static const char *const access_names[VFS_ACCESSES] = {"read", "write", "sync", "open", "truncate", "lock", "delete"};
static const char *const kind_names[] = {"", "io", "short", "full", "readonly", "busy"};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_vfs *real_vfs, *memory_vfs;
static sqlite3_vfs shim_vfs;

static struct {
	struct fault_plan_rule rules[VFS_ACCESSES];
	uint64_t counts[VFS_ACCESSES];
	uint64_t given;
	char text[FAULT_PLAN_BYTES];
	const char *follow; /* the file that holds the plan */
	bool dead;
	uint64_t changes, dies_at;
} state;

/* ---- the plan ---- */

static bool plan_take(struct str text)
{
	static const struct fault_plan_words words = {access_names, VFS_ACCESSES, kind_names, sizeof(kind_names) / sizeof(kind_names[0]), false};
	struct fault_plan_rule rules[VFS_ACCESSES];
	if (!fault_plan_parse(&words, text, rules)) {
		return false;
	}
	memcpy(state.rules, rules, sizeof(rules));
	memset(state.counts, 0, sizeof(state.counts));
	state.given = 0;
	str_to_z(text, state.text, sizeof(state.text));
	return true;
}

bool vfs_fault_plan(const char *plan)
{
	pthread_mutex_lock(&lock);
	bool good = plan_take(str_of(plan));
	pthread_mutex_unlock(&lock);
	return good;
}

uint64_t vfs_fault_count(enum vfs_access access)
{
	pthread_mutex_lock(&lock);
	uint64_t count = state.counts[access];
	pthread_mutex_unlock(&lock);
	return count;
}

uint64_t vfs_fault_given(void)
{
	pthread_mutex_lock(&lock);
	uint64_t given = state.given;
	pthread_mutex_unlock(&lock);
	return given;
}

/* The plan in the file, where one is named. A text that is being written is tried again at the next access. */
static void plan_follow(void)
{
	char text[FAULT_PLAN_BYTES];
	if (state.follow == NULL) {
		return;
	}
	struct str now = fault_plan_read(state.follow, text);
	if (!str_eq(now, str_of(state.text))) {
		(void)plan_take(now);
	}
}

/* What happens to this access. */
static enum kind next(enum vfs_access access)
{
	pthread_mutex_lock(&lock);
	plan_follow();
	uint64_t number = ++state.counts[access];
	const struct fault_plan_rule *rule = &state.rules[access];
	enum kind kind = state.dead ? IO : number >= rule->from && number <= rule->to ? (enum kind)rule->kind : NONE;
	state.given += kind != NONE;
	pthread_mutex_unlock(&lock);
	return kind;
}

/* SQLite's code; the system's error is what its text shows. */
static int code_of(enum vfs_access access, enum kind kind)
{
	static const int codes[VFS_ACCESSES] = {SQLITE_IOERR_READ,     SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC, SQLITE_CANTOPEN,
						SQLITE_IOERR_TRUNCATE, SQLITE_IOERR_LOCK,  SQLITE_IOERR_DELETE};
	errno = kind == FULL ? ENOSPC : kind == READONLY ? EROFS : EIO;
	if (kind == FULL && access == VFS_WRITE) {
		return SQLITE_FULL;
	}
	return kind == BUSY && access == VFS_LOCK ? SQLITE_BUSY : codes[access];
}

/* ---- crash mode ---- */

void vfs_crash_arm(uint64_t seed)
{
	pthread_mutex_lock(&lock);
	disk_arm(seed);
	state.dead = false;
	state.changes = state.dies_at = 0;
	pthread_mutex_unlock(&lock);
}

void vfs_crash_at(uint64_t n)
{
	pthread_mutex_lock(&lock);
	state.dies_at = n != 0 ? state.changes + n : 0;
	pthread_mutex_unlock(&lock);
}

void vfs_crash_now(void)
{
	pthread_mutex_lock(&lock);
	state.dead = true;
	pthread_mutex_unlock(&lock);
}

bool vfs_crash_is_dead(void)
{
	pthread_mutex_lock(&lock);
	bool dead = state.dead;
	pthread_mutex_unlock(&lock);
	return dead;
}

uint64_t vfs_crash_changes(void)
{
	pthread_mutex_lock(&lock);
	uint64_t changes = state.changes;
	pthread_mutex_unlock(&lock);
	return changes;
}

void vfs_crash_land(void)
{
	pthread_mutex_lock(&lock);
	disk_land();
	state.dead = false;
	pthread_mutex_unlock(&lock);
}

/* Counts a change. False when the power has gone, at this one or before; the lock is held. */
static bool change_counts(void)
{
	state.changes++;
	if (!state.dead && state.dies_at != 0 && state.changes >= state.dies_at) {
		state.dead = true;
		return false;
	}
	return !state.dead;
}

bool vfs_crash_change(bool *done)
{
	pthread_mutex_lock(&lock);
	bool was_dead = state.dead;
	bool alive = !disk_armed() || change_counts();
	*done = alive || (!was_dead && disk_chance(2) == 0);
	pthread_mutex_unlock(&lock);
	return alive;
}

/* The change at which the power goes may reach the disk all the same: it is noted, and chance decides. */
static bool note_write(struct shim_file *file, const void *bytes, int len, int64_t at)
{
	bool alive = true;
	pthread_mutex_lock(&lock);
	if (file->disk != NULL && !state.dead) {
		disk_write(file->disk, bytes, (size_t)len, at);
		alive = change_counts();
	}
	pthread_mutex_unlock(&lock);
	return alive;
}

static bool note_truncate(struct shim_file *file, int64_t size)
{
	bool alive = true;
	pthread_mutex_lock(&lock);
	if (file->disk != NULL && !state.dead) {
		disk_truncate(file->disk, size);
		alive = change_counts();
	}
	pthread_mutex_unlock(&lock);
	return alive;
}

static bool note_sync(struct shim_file *file, bool failed)
{
	bool alive = true;
	pthread_mutex_lock(&lock);
	if (file->disk != NULL && !state.dead) {
		alive = change_counts();
		if (failed) {
			disk_sync_failed(file->disk);
		} else if (alive || disk_chance(2) == 0) {
			disk_sync(file->disk, file->syncs_directory && alive);
			file->syncs_directory = false;
		}
	}
	pthread_mutex_unlock(&lock);
	return alive;
}

static bool note_delete(const char *path, bool synced)
{
	bool alive = true;
	pthread_mutex_lock(&lock);
	if (disk_armed() && !state.dead) {
		alive = change_counts();
		if (alive || disk_chance(2) == 0) {
			disk_delete(path, synced && alive);
		}
	}
	pthread_mutex_unlock(&lock);
	return alive;
}

/* ---- a file's methods ---- */

static struct shim_file *shim_of(sqlite3_file *file)
{
	return (struct shim_file *)file;
}

static int shim_close(sqlite3_file *file)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xClose(shim->real);
}

static int shim_read(sqlite3_file *file, void *out, int len, sqlite3_int64 at)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = next(VFS_READ);
	if (kind == SHORT) {
		(void)shim->real->pMethods->xRead(shim->real, out, len / 2, at);
	}
	return kind != NONE ? code_of(VFS_READ, kind) : shim->real->pMethods->xRead(shim->real, out, len, at);
}

static int shim_write(sqlite3_file *file, const void *bytes, int len, sqlite3_int64 at)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = next(VFS_WRITE);
	int part = kind == NONE ? len : kind == SHORT ? len / 2 : 0;
	int code = SQLITE_OK;
	if (part > 0) {
		bool alive = note_write(shim, bytes, part, at);
		code = shim->real->pMethods->xWrite(shim->real, bytes, part, at);
		kind = alive ? kind : IO;
	}
	return kind != NONE ? code_of(VFS_WRITE, kind) : code;
}

static int shim_truncate(sqlite3_file *file, sqlite3_int64 size)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = next(VFS_TRUNCATE);
	if (kind != NONE || !note_truncate(shim, size)) {
		return code_of(VFS_TRUNCATE, kind != NONE ? kind : IO);
	}
	return shim->real->pMethods->xTruncate(shim->real, size);
}

/* In crash mode the disk below is not the one that matters. */
static int shim_sync(sqlite3_file *file, int flags)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = next(VFS_SYNC);
	if (!note_sync(shim, kind != NONE)) {
		kind = IO;
	}
	if (kind != NONE) {
		return code_of(VFS_SYNC, kind);
	}
	return shim->disk != NULL ? SQLITE_OK : shim->real->pMethods->xSync(shim->real, flags);
}

static int shim_size(sqlite3_file *file, sqlite3_int64 *out)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xFileSize(shim->real, out);
}

static int shim_lock(sqlite3_file *file, int level)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = next(VFS_LOCK);
	return kind != NONE ? code_of(VFS_LOCK, kind) : shim->real->pMethods->xLock(shim->real, level);
}

static int shim_unlock(sqlite3_file *file, int level)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xUnlock(shim->real, level);
}

static int shim_reserved(sqlite3_file *file, int *out)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xCheckReservedLock(shim->real, out);
}

static int shim_control(sqlite3_file *file, int op, void *arg)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xFileControl(shim->real, op, arg);
}

static int shim_sector(sqlite3_file *file)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xSectorSize(shim->real);
}

static int shim_traits(sqlite3_file *file)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xDeviceCharacteristics(shim->real);
}

static int shim_shm_map(sqlite3_file *file, int page, int size, int extend, void volatile **out)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xShmMap(shim->real, page, size, extend, out);
}

static int shim_shm_lock(sqlite3_file *file, int offset, int count, int flags)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = (flags & SQLITE_SHM_LOCK) != 0 ? next(VFS_LOCK) : NONE;
	if (kind != NONE) {
		return kind == BUSY ? SQLITE_BUSY : SQLITE_IOERR_SHMLOCK;
	}
	return shim->real->pMethods->xShmLock(shim->real, offset, count, flags);
}

static void shim_shm_barrier(sqlite3_file *file)
{
	struct shim_file *shim = shim_of(file);
	shim->real->pMethods->xShmBarrier(shim->real);
}

static int shim_shm_unmap(sqlite3_file *file, int remove)
{
	struct shim_file *shim = shim_of(file);
	return shim->real->pMethods->xShmUnmap(shim->real, remove);
}

static int shim_fetch(sqlite3_file *file, sqlite3_int64 at, int len, void **out)
{
	(void)file, (void)at, (void)len;
	*out = NULL;
	return SQLITE_OK;
}

static int shim_unfetch(sqlite3_file *file, sqlite3_int64 at, void *mapped)
{
	(void)file, (void)at, (void)mapped;
	return SQLITE_OK;
}

static const sqlite3_io_methods shim_methods = {3, shim_close, shim_read, shim_write, shim_truncate, shim_sync, shim_size, shim_lock,
						 shim_unlock, shim_reserved, shim_control, shim_sector, shim_traits, shim_shm_map,
						 shim_shm_lock, shim_shm_barrier, shim_shm_unmap, shim_fetch, shim_unfetch};

/* ---- the system's methods ---- */

static sqlite3_vfs *below_of(const char *path)
{
	return vfs_memory_is(path) ? memory_vfs : real_vfs;
}

static int shim_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *file, int flags, int *out_flags)
{
	struct shim_file *shim = shim_of(file);
	enum kind kind = next(VFS_OPEN);
	shim->base.pMethods = NULL;
	shim->disk = NULL;
	shim->syncs_directory = (flags & SQLITE_OPEN_CREATE) != 0 && (flags & (SQLITE_OPEN_WAL | SQLITE_OPEN_MAIN_JOURNAL)) != 0;
	shim->real = (sqlite3_file *)(shim + 1);
	if (kind != NONE) {
		return code_of(VFS_OPEN, kind);
	}
	int there = 0;
	sqlite3_vfs *below = below_of(path);
	if (path != NULL) {
		(void)below->xAccess(below, path, SQLITE_ACCESS_READWRITE, &there);
	}
	int code = below->xOpen(below, path, shim->real, flags, out_flags);
	if (code != SQLITE_OK) {
		return code;
	}
	shim->base.pMethods = &shim_methods;
	pthread_mutex_lock(&lock);
	if (disk_armed() && path != NULL) {
		shim->disk = disk_open(path, !there);
	}
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

static int shim_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	enum kind kind = next(VFS_DELETE);
	if (kind != NONE || !note_delete(path, sync != 0)) {
		return code_of(VFS_DELETE, kind != NONE ? kind : IO);
	}
	sqlite3_vfs *below = below_of(path);
	return below->xDelete(below, path, sync);
}

static int shim_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	sqlite3_vfs *below = below_of(path);
	return below->xAccess(below, path, flags, out);
}

static int shim_full_path(sqlite3_vfs *vfs, const char *path, int cap, char *out)
{
	sqlite3_vfs *below = below_of(path);
	return below->xFullPathname(below, path, cap, out);
}

/* Time and waiting are those of the disk in memory, while there is one. */
static sqlite3_vfs *clock_of(void)
{
	return vfs_memory_began() ? memory_vfs : real_vfs;
}

static int shim_sleep(sqlite3_vfs *vfs, int wait_us)
{
	return clock_of()->xSleep(clock_of(), wait_us);
}

static int shim_time(sqlite3_vfs *vfs, double *out)
{
	return clock_of()->xCurrentTime(clock_of(), out);
}

static int shim_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	return clock_of()->xCurrentTimeInt64(clock_of(), out);
}

/* The rest does not touch what is in a file. */
static void vfs_register(void)
{
	real_vfs = sqlite3_vfs_find(NULL);
	memory_vfs = sqlite3_vfs_find(vfs_memory_name());
	check(real_vfs != NULL && memory_vfs != NULL);
	shim_vfs = *real_vfs;
	shim_vfs.pNext = NULL;
	shim_vfs.zName = "guild-fault";
	int below_bytes = real_vfs->szOsFile > memory_vfs->szOsFile ? real_vfs->szOsFile : memory_vfs->szOsFile;
	shim_vfs.szOsFile = (int)sizeof(struct shim_file) + below_bytes;
	shim_vfs.xOpen = shim_open;
	shim_vfs.xDelete = shim_delete;
	shim_vfs.xAccess = shim_access;
	shim_vfs.xFullPathname = shim_full_path;
	shim_vfs.xSleep = shim_sleep;
	shim_vfs.xCurrentTime = shim_time;
	shim_vfs.xCurrentTimeInt64 = shim_time_ms;
	check(sqlite3_vfs_register(&shim_vfs, 0) == SQLITE_OK);
	const char *plan = getenv("GUILD_VFS_FAULT");
	state.follow = getenv("GUILD_VFS_FAULT_FILE");
	if (plan != NULL && !plan_take(str_of(plan))) {
		fprintf(stderr, "guild: GUILD_VFS_FAULT is no plan: %s\n", plan);
		check(false);
	}
}

const char *vfs_fault_name(void)
{
	pthread_once(&once, vfs_register);
	return shim_vfs.zName;
}
