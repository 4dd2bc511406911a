/*
 * vfs_memory.c - files as names and bytes, with SQLite's locks and the shared index of its log.
 *
 * A file that was deleted while somebody has it open lives on without a name. Locks are SQLite's five levels (its os.h): any number
 * of readers, one of them RESERVED to write, PENDING while it waits for the readers to go, EXCLUSIVE alone.
 *
 * The disk is global, as one is.
 */
#include "db/vfs_memory.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "db/file_priv.h"
#include "db/vfs_fault.h"

#define PATH_BYTES 512
#define INDEX_PAGES 64
#define FIRST_BYTES 4096
/* Days from the beginning of SQLite's calendar to 1970, in milliseconds. */
#define JULIAN_MS INT64_C(210866760000000)

struct memory_file {
	struct memory_file *next;
	char path[PATH_BYTES]; /* "": deleted, and still open */
	uint8_t *bytes;
	size_t size, cap;
	unsigned users;
	/* locks */
	unsigned readers;
	const struct memory_handle *writer; /* has RESERVED or more */
	bool pending;
	/* the index of the log */
	uint8_t *index[INDEX_PAGES];
	unsigned index_users;
	unsigned index_shared[SQLITE_SHM_NLOCK];
	const struct memory_handle *index_owner[SQLITE_SHM_NLOCK];
};

struct memory_handle {
	sqlite3_file base; /* first */
	struct memory_file *file;
	int level;
	bool delete_on_close;
	bool indexed;
	bool index_shared[SQLITE_SHM_NLOCK];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static sqlite3_vfs memory_vfs;

static struct {
	const struct env *env;
	struct memory_file *files;
	struct memory_file *kept;
	char held[PATH_BYTES]; /* the directory that somebody has */
} disk;

/* ---- files; the lock is held ---- */

bool vfs_memory_is(const char *path)
{
	return path != NULL && strncmp(path, VFS_MEMORY_PREFIX, sizeof(VFS_MEMORY_PREFIX) - 1) == 0;
}

static struct memory_file *find(const char *path)
{
	struct memory_file *file = disk.files;

	while (file != NULL && strcmp(file->path, path) != 0) {
		file = file->next;
	}
	return file;
}

static struct memory_file *file_add(struct memory_file **list, const char *path)
{
	struct memory_file *file = mem_alloc(sizeof(*file));

	check(file != NULL && path[0] != '\0' && strlen(path) < PATH_BYTES);
	snprintf(file->path, sizeof(file->path), "%s", path);
	file->next = *list;
	*list = file;
	return file;
}

static void index_drop(struct memory_file *file)
{
	for (int i = 0; i < INDEX_PAGES; i++) {
		mem_free(file->index[i]);
		file->index[i] = NULL;
	}
}

static void file_free(struct memory_file *file)
{
	index_drop(file);
	mem_free(file->bytes);
	mem_free(file);
}

/* Without a name and without a user there is nothing left of it. */
static void file_release(struct memory_file *file)
{
	struct memory_file **at = &disk.files;

	if (file->path[0] != '\0' || file->users > 0) {
		return;
	}
	while (*at != file) {
		at = &(*at)->next;
	}
	*at = file->next;
	file_free(file);
}

static void files_free(struct memory_file **list)
{
	while (*list != NULL) {
		struct memory_file *file = *list;
		check(file->users == 0);
		*list = file->next;
		file_free(file);
	}
}

static void file_size(struct memory_file *file, size_t size)
{
	if (size > file->cap) {
		size_t cap = file->cap != 0 ? file->cap : FIRST_BYTES;
		while (cap < size) {
			cap *= 2;
		}
		file->bytes = mem_grow(file->bytes, cap);
		check(file->bytes != NULL);
		file->cap = cap;
	}
	if (size > file->size) {
		memset(file->bytes + file->size, 0, size - file->size);
	}
	file->size = size;
}

static void file_write(struct memory_file *file, const void *bytes, size_t len, size_t at)
{
	if (at + len > file->size) {
		file_size(file, at + len);
	}
	if (len > 0) {
		memcpy(file->bytes + at, bytes, len);
	}
}

static bool file_delete(const char *path)
{
	struct memory_file *file = find(path);

	if (file != NULL) {
		file->path[0] = '\0';
		file_release(file);
	}
	return file != NULL;
}

/* ---- the whole disk ---- */

void vfs_memory_begin(const struct env *env)
{
	/* Whoever looks for the system's own has to have found it before. */
	(void)vfs_fault_name();
	(void)vfs_memory_name();
	vfs_memory_end();
	disk.env = env;
	/* The generator of SQLite takes its seed from the first of all. */
	check(sqlite3_vfs_register(&memory_vfs, 1) == SQLITE_OK);
	sqlite3_randomness(0, NULL);
}

void vfs_memory_end(void)
{
	pthread_mutex_lock(&lock);
	files_free(&disk.files);
	files_free(&disk.kept);
	disk.held[0] = '\0';
	disk.env = NULL;
	pthread_mutex_unlock(&lock);
	check(sqlite3_vfs_register(&memory_vfs, 0) == SQLITE_OK);
	sqlite3_randomness(0, NULL);
}

bool vfs_memory_began(void)
{
	return disk.env != NULL;
}

static void copy_files(struct memory_file *from, struct memory_file **to)
{
	for (; from != NULL; from = from->next) {
		if (from->path[0] != '\0') {
			file_write(file_add(to, from->path), from->bytes, from->size, 0);
		}
	}
}

void vfs_memory_keep(void)
{
	pthread_mutex_lock(&lock);
	files_free(&disk.kept);
	copy_files(disk.files, &disk.kept);
	pthread_mutex_unlock(&lock);
}

void vfs_memory_back(void)
{
	pthread_mutex_lock(&lock);
	files_free(&disk.files);
	copy_files(disk.kept, &disk.files);
	pthread_mutex_unlock(&lock);
}

size_t vfs_memory_bytes(void)
{
	size_t sum = 0;

	pthread_mutex_lock(&lock);
	for (const struct memory_file *file = disk.files; file != NULL; file = file->next) {
		sum += file->size;
	}
	pthread_mutex_unlock(&lock);
	return sum;
}

bool vfs_memory_get(const char *path, struct str *bytes)
{
	pthread_mutex_lock(&lock);
	const struct memory_file *file = find(path);
	*bytes = file != NULL ? str_make(file->bytes, file->size) : STR_NONE;
	pthread_mutex_unlock(&lock);
	return file != NULL;
}

void vfs_memory_put(const char *path, struct str bytes)
{
	pthread_mutex_lock(&lock);
	struct memory_file *file = find(path);
	file = file != NULL ? file : file_add(&disk.files, path);
	file_size(file, 0);
	file_write(file, bytes.at, bytes.len, 0);
	pthread_mutex_unlock(&lock);
}

void vfs_memory_remove(const char *path)
{
	pthread_mutex_lock(&lock);
	(void)file_delete(path);
	pthread_mutex_unlock(&lock);
}

/* ---- a file's methods ---- */

static struct memory_handle *handle_of(sqlite3_file *file)
{
	return (struct memory_handle *)file;
}

static int memory_unlock(sqlite3_file *base, int level);
static int memory_shm_unmap(sqlite3_file *base, int remove);

static int memory_close(sqlite3_file *base)
{
	struct memory_handle *handle = handle_of(base);

	(void)memory_shm_unmap(base, 0);
	(void)memory_unlock(base, SQLITE_LOCK_NONE);
	pthread_mutex_lock(&lock);
	handle->file->users--;
	if (handle->delete_on_close) {
		handle->file->path[0] = '\0';
	}
	file_release(handle->file);
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

/* What lies behind the end reads as zeros (sqlite3_io_methods). */
static int memory_read(sqlite3_file *base, void *out, int len, sqlite3_int64 at)
{
	const struct memory_file *file = handle_of(base)->file;
	size_t want = (size_t)len;

	pthread_mutex_lock(&lock);
	size_t there = (size_t)at < file->size ? file->size - (size_t)at : 0;
	there = there < want ? there : want;
	if (there > 0) {
		memcpy(out, file->bytes + at, there);
	}
	pthread_mutex_unlock(&lock);
	memset((uint8_t *)out + there, 0, want - there);
	return there == want ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int memory_write(sqlite3_file *base, const void *bytes, int len, sqlite3_int64 at)
{
	pthread_mutex_lock(&lock);
	file_write(handle_of(base)->file, bytes, (size_t)len, (size_t)at);
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

static int memory_truncate(sqlite3_file *base, sqlite3_int64 size)
{
	pthread_mutex_lock(&lock);
	file_size(handle_of(base)->file, (size_t)size);
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

static int memory_sync(sqlite3_file *base, int flags)
{
	(void)base;
	(void)flags;
	return SQLITE_OK;
}

static int memory_size(sqlite3_file *base, sqlite3_int64 *out)
{
	pthread_mutex_lock(&lock);
	*out = (sqlite3_int64)handle_of(base)->file->size;
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

/* To a level above the one it has; the lock is held. */
static bool level_take(struct memory_handle *handle, int level)
{
	struct memory_file *file = handle->file;
	bool others_write = file->writer != NULL && file->writer != handle;

	if (level == SQLITE_LOCK_SHARED) {
		if (file->pending) {
			return false;
		}
		file->readers++;
		handle->level = level;
		return true;
	}
	if (others_write) {
		return false;
	}
	file->writer = handle;
	if (level == SQLITE_LOCK_RESERVED) {
		handle->level = level;
		return true;
	}
	file->pending = true;
	handle->level = file->readers > 1 ? SQLITE_LOCK_PENDING : SQLITE_LOCK_EXCLUSIVE;
	return handle->level == SQLITE_LOCK_EXCLUSIVE;
}

static int memory_lock(sqlite3_file *base, int level)
{
	struct memory_handle *handle = handle_of(base);

	pthread_mutex_lock(&lock);
	bool taken = handle->level >= level || level_take(handle, level);
	pthread_mutex_unlock(&lock);
	return taken ? SQLITE_OK : SQLITE_BUSY;
}

static int memory_unlock(sqlite3_file *base, int level)
{
	struct memory_handle *handle = handle_of(base);
	struct memory_file *file = handle->file;

	pthread_mutex_lock(&lock);
	if (handle->level > level) {
		if (file->writer == handle) {
			file->writer = NULL;
			file->pending = false;
		}
		file->readers -= level == SQLITE_LOCK_NONE;
		handle->level = level;
	}
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

static int memory_reserved(sqlite3_file *base, int *out)
{
	pthread_mutex_lock(&lock);
	*out = handle_of(base)->file->writer != NULL;
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

static int memory_control(sqlite3_file *base, int op, void *arg)
{
	if (op == SQLITE_FCNTL_LOCKSTATE) {
		*(int *)arg = handle_of(base)->level;
		return SQLITE_OK;
	}
	return SQLITE_NOTFOUND;
}

static int memory_sector(sqlite3_file *base)
{
	(void)base;
	return 4096;
}

/* As the system's says: a write that is torn leaves the bytes beside it alone. Without that a log is padded after each commit, and of
 * the padding a part may get lost with a later sync that fails. */
static int memory_traits(sqlite3_file *base)
{
	(void)base;
	return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* ---- the index of the log ---- */

static int memory_shm_map(sqlite3_file *base, int page, int size, int extend, void volatile **out)
{
	struct memory_handle *handle = handle_of(base);
	struct memory_file *file = handle->file;

	check(page < INDEX_PAGES);
	pthread_mutex_lock(&lock);
	if (!handle->indexed) {
		handle->indexed = true;
		file->index_users++;
	}
	if (file->index[page] == NULL && extend) {
		file->index[page] = mem_alloc((size_t)size);
	}
	*out = file->index[page];
	pthread_mutex_unlock(&lock);
	return *out == NULL && extend ? SQLITE_NOMEM : SQLITE_OK;
}

static bool index_free(const struct memory_handle *handle, int slot, bool shared)
{
	const struct memory_file *file = handle->file;

	if (file->index_owner[slot] != NULL && file->index_owner[slot] != handle) {
		return false;
	}
	return shared || file->index_shared[slot] == (handle->index_shared[slot] ? 1U : 0U);
}

static void index_set(struct memory_handle *handle, int slot, bool shared, bool hold)
{
	struct memory_file *file = handle->file;

	if (!shared) {
		check(hold || file->index_owner[slot] == handle);
		file->index_owner[slot] = hold ? handle : NULL;
	} else if (handle->index_shared[slot] != hold) {
		file->index_shared[slot] += hold ? 1U : -1U;
		handle->index_shared[slot] = hold;
	}
}

/* All of them or none. */
static int memory_shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
	struct memory_handle *handle = handle_of(base);
	bool shared = (flags & SQLITE_SHM_SHARED) != 0;
	bool hold = (flags & SQLITE_SHM_LOCK) != 0;
	bool can = true;

	pthread_mutex_lock(&lock);
	for (int i = offset; i < offset + count; i++) {
		can = can && (!hold || index_free(handle, i, shared));
	}
	for (int i = offset; can && i < offset + count; i++) {
		bool mine = shared || hold || handle->file->index_owner[i] == handle;
		if (mine) {
			index_set(handle, i, shared, hold);
		}
	}
	pthread_mutex_unlock(&lock);
	return can ? SQLITE_OK : SQLITE_BUSY;
}

static void memory_shm_barrier(sqlite3_file *base)
{
	(void)base;
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
}

/* The last one takes it along: the next to come builds it from the log. */
static int memory_shm_unmap(sqlite3_file *base, int remove)
{
	struct memory_handle *handle = handle_of(base);
	struct memory_file *file = handle->file;

	(void)remove;
	pthread_mutex_lock(&lock);
	for (int i = 0; handle->indexed && i < SQLITE_SHM_NLOCK; i++) {
		if (file->index_owner[i] == handle) {
			index_set(handle, i, false, false);
		}
		index_set(handle, i, true, false);
	}
	if (handle->indexed && --file->index_users == 0) {
		index_drop(file);
	}
	handle->indexed = false;
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

/* ---- the system's methods ---- */

static const sqlite3_io_methods file_methods = {2, memory_close, memory_read, memory_write, memory_truncate, memory_sync, memory_size,
						 memory_lock, memory_unlock, memory_reserved, memory_control, memory_sector,
						 memory_traits, memory_shm_map, memory_shm_lock, memory_shm_barrier, memory_shm_unmap,
						 NULL, NULL};

static int memory_open(sqlite3_vfs *vfs, sqlite3_filename path, sqlite3_file *base, int flags, int *out_flags)
{
	struct memory_handle *handle = handle_of(base);

	(void)vfs;
	memset(handle, 0, sizeof(*handle));
	if (!vfs_memory_is(path)) {
		return SQLITE_CANTOPEN;
	}
	pthread_mutex_lock(&lock);
	struct memory_file *file = find(path);
	bool bad = file != NULL ? (flags & SQLITE_OPEN_EXCLUSIVE) != 0 : (flags & SQLITE_OPEN_CREATE) == 0;
	if (!bad) {
		file = file != NULL ? file : file_add(&disk.files, path);
		file->users++;
		handle->file = file;
		handle->delete_on_close = (flags & SQLITE_OPEN_DELETEONCLOSE) != 0;
		handle->base.pMethods = &file_methods;
	}
	pthread_mutex_unlock(&lock);
	if (out_flags != NULL) {
		*out_flags = flags;
	}
	return bad ? SQLITE_CANTOPEN : SQLITE_OK;
}

static int memory_delete(sqlite3_vfs *vfs, const char *path, int sync)
{
	(void)vfs;
	(void)sync;
	pthread_mutex_lock(&lock);
	bool there = file_delete(path);
	pthread_mutex_unlock(&lock);
	return there ? SQLITE_OK : SQLITE_IOERR_DELETE_NOENT;
}

static int memory_access(sqlite3_vfs *vfs, const char *path, int flags, int *out)
{
	(void)vfs;
	pthread_mutex_lock(&lock);
	const struct memory_file *file = find(path);
	/* An empty log is none (unixAccess in SQLite's os_unix.c). */
	*out = file != NULL && (flags != SQLITE_ACCESS_EXISTS || file->size > 0);
	pthread_mutex_unlock(&lock);
	return SQLITE_OK;
}

static int memory_full_path(sqlite3_vfs *vfs, const char *path, int cap, char *out)
{
	(void)vfs;
	return snprintf(out, (size_t)cap, "%s", path) < cap ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int memory_randomness(sqlite3_vfs *vfs, int len, char *out)
{
	(void)vfs;
	env_random(disk.env != NULL ? disk.env : env_real(), out, (size_t)len);
	return len;
}

static int memory_sleep(sqlite3_vfs *vfs, int wait_us)
{
	(void)vfs;
	return wait_us;
}

static int memory_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out)
{
	(void)vfs;
	*out = JULIAN_MS + env_wall_us(disk.env != NULL ? disk.env : env_real()) / 1000;
	return SQLITE_OK;
}

static int memory_time(sqlite3_vfs *vfs, double *out)
{
	sqlite3_int64 now_ms;
	int code = memory_time_ms(vfs, &now_ms);

	*out = (double)now_ms / 86400000.0;
	return code;
}

static int memory_last_error(sqlite3_vfs *vfs, int cap, char *out)
{
	(void)vfs;
	(void)cap;
	(void)out;
	return 0;
}

static void memory_register(void)
{
	memory_vfs = (sqlite3_vfs){.iVersion = 2,
				   .szOsFile = (int)sizeof(struct memory_handle),
				   .mxPathname = PATH_BYTES,
				   .zName = "guild-memory",
				   .xOpen = memory_open,
				   .xDelete = memory_delete,
				   .xAccess = memory_access,
				   .xFullPathname = memory_full_path,
				   .xRandomness = memory_randomness,
				   .xSleep = memory_sleep,
				   .xCurrentTime = memory_time,
				   .xGetLastError = memory_last_error,
				   .xCurrentTimeInt64 = memory_time_ms};
	check(sqlite3_vfs_register(&memory_vfs, 0) == SQLITE_OK);
}

const char *vfs_memory_name(void)
{
	pthread_once(&once, memory_register);
	return memory_vfs.zName;
}

/* ---- small files ---- */

static int small_read(const char *path, char *out, size_t cap, struct db_file_about *about)
{
	struct str bytes;

	if (vfs_crash_is_dead()) {
		return EIO;
	}
	if (!vfs_memory_get(path, &bytes)) {
		return ENOENT;
	}
	about->regular = true;
	about->mode = 0600;
	about->len = bytes.len < cap ? bytes.len : cap;
	if (about->len > 0) {
		memcpy(out, bytes.at, about->len);
	}
	return 0;
}

static int small_put(const char *dir, const char *name, struct str bytes, bool over)
{
	char path[PATH_BYTES];
	struct str there;
	bool done;
	bool alive = vfs_crash_change(&done);

	check(snprintf(path, sizeof(path), "%s/%s", dir, name) < PATH_BYTES);
	if (done && (over || !vfs_memory_get(path, &there))) {
		vfs_memory_put(path, bytes);
	}
	return alive ? 0 : EIO;
}

static int small_create(const char *path)
{
	struct str there;

	if (vfs_crash_is_dead()) {
		return EIO;
	}
	if (!vfs_memory_get(path, &there)) {
		vfs_memory_put(path, STR_NONE);
	}
	return 0;
}

struct small_lines {
	char path[PATH_BYTES];
};

static int small_open(const char *path, void **held)
{
	struct small_lines *lines = mem_alloc(sizeof(*lines));
	int number = lines != NULL ? small_create(path) : ENOMEM;

	if (number != 0) {
		mem_free(lines);
		return number;
	}
	snprintf(lines->path, sizeof(lines->path), "%s", path);
	*held = lines;
	return 0;
}

static int small_tail(void *held, char *out, size_t cap, size_t *len, size_t *size)
{
	const struct small_lines *lines = held;
	struct str bytes;

	*len = *size = 0;
	if (vfs_crash_is_dead() || !vfs_memory_get(lines->path, &bytes)) {
		return EIO;
	}
	*size = bytes.len;
	*len = bytes.len < cap ? bytes.len : cap;
	if (*len > 0) {
		memcpy(out, bytes.at + bytes.len - *len, *len);
	}
	return 0;
}

static int small_change(const char *path, size_t keep, struct str bytes)
{
	bool done;
	bool alive = vfs_crash_change(&done);

	pthread_mutex_lock(&lock);
	struct memory_file *file = find(path);
	check(file != NULL);
	if (done) {
		file_size(file, keep < file->size ? keep : file->size);
		file_write(file, bytes.at, bytes.len, file->size);
	}
	pthread_mutex_unlock(&lock);
	return alive ? 0 : EIO;
}

static int small_cut(void *held, size_t size)
{
	return small_change(((const struct small_lines *)held)->path, size, STR_NONE);
}

static int small_add(void *held, struct str bytes)
{
	return small_change(((const struct small_lines *)held)->path, SIZE_MAX, bytes);
}

const struct db_files *vfs_memory_files(const char *path)
{
	static const struct db_files small = {small_read, small_put, small_create, small_open, mem_free, small_tail, small_cut, small_add};

	return vfs_memory_is(path) ? &small : NULL;
}

bool vfs_memory_hold(const char *dir)
{
	pthread_mutex_lock(&lock);
	bool taken = disk.held[0] != '\0';
	if (!taken) {
		snprintf(disk.held, sizeof(disk.held), "%s", dir);
	}
	pthread_mutex_unlock(&lock);
	return !taken;
}

void vfs_memory_leave(const char *dir)
{
	pthread_mutex_lock(&lock);
	check(strcmp(disk.held, dir) == 0);
	disk.held[0] = '\0';
	pthread_mutex_unlock(&lock);
}
