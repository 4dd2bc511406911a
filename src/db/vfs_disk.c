/*
 * vfs_disk.c - crash mode: what a disk has of the files after the power went.
 *
 * A file is its bytes as of the last sync and the list of changes since. A sync makes them one. At the loss each change,
 * or each of the sectors it touches, is there or not by chance.
 *
 * The state is global like the disk that it stands for; other builds have none of it.
 */
#include "db/vfs_fault_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/mem.h"
#include "db/vfs_memory.h"

#define SECTOR     512
#define PATH_BYTES 512

/* A write, or with bytes == NULL a change of size. */
struct change {
	struct change *next;
	int64_t at;
	size_t len;
	uint8_t *bytes;
};

struct disk_file {
	struct disk_file *next;
	char path[PATH_BYTES];
	uint8_t *bytes;
	size_t size, cap;
	struct change *first;
	struct change **last;
	size_t changes;
	bool fresh; /* created, and the directory not synced since */
	bool gone;  /* deleted, and the directory not synced since */
};

static struct {
	bool armed;
	uint64_t seed;
	struct disk_file *files;
} disk;

/* ---- chance ---- */

uint64_t disk_chance(uint64_t bound)
{
	disk.seed += 0x9e3779b97f4a7c15u;
	uint64_t z = disk.seed;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (z ^ (z >> 31)) % bound;
}

/* ---- bytes of a file ---- */

static void resize(struct disk_file *file, size_t size)
{
	if (size > file->cap) {
		size_t cap = size < 65536 ? 65536 : size * 2;
		file->bytes = mem_grow(file->bytes, cap);
		check(file->bytes != NULL);
		file->cap = cap;
	}
	if (size > file->size) {
		memset(file->bytes + file->size, 0, size - file->size);
	}
	file->size = size;
}

static void put(struct disk_file *file, const uint8_t *bytes, size_t len, int64_t at)
{
	if ((size_t)at + len > file->size) {
		resize(file, (size_t)at + len);
	}
	if (len > 0) {
		memcpy(file->bytes + at, bytes, len);
	}
}

static void apply(struct disk_file *file, const struct change *change)
{
	if (change->bytes == NULL) {
		resize(file, (size_t)change->at);
	} else {
		put(file, change->bytes, change->len, change->at);
	}
}

/* Each sector with the same odds of so many in eight. */
static void apply_torn(struct disk_file *file, const struct change *change, uint64_t odds)
{
	if (change->bytes == NULL) {
		if (disk_chance(8) < odds) {
			apply(file, change);
		}
		return;
	}
	size_t done = 0;
	while (done < change->len) {
		size_t room = SECTOR - (size_t)(change->at + (int64_t)done) % SECTOR;
		size_t part = change->len - done < room ? change->len - done : room;
		if (disk_chance(8) < odds) {
			put(file, change->bytes + done, part, change->at + (int64_t)done);
		}
		done += part;
	}
}

static void changes_forget(struct disk_file *file)
{
	struct change *next = NULL;
	for (struct change *change = file->first; change != NULL; change = next) {
		next = change->next;
		mem_free(change->bytes);
		mem_free(change);
	}
	file->first = NULL;
	file->last = &file->first;
	file->changes = 0;
}

/* What reaches the disk of the changes since the last sync: a beginning, or a part here and there, in order or not. */
static void apply_some(struct disk_file *file)
{
	if (file->changes == 0) {
		return;
	}
	struct change **order = mem_alloc(file->changes * sizeof(struct change *));
	check(order != NULL);
	size_t count = 0;
	for (struct change *change = file->first; change != NULL; change = change->next) {
		order[count++] = change;
	}
	uint64_t way = disk_chance(4);
	size_t whole = way == 0 ? (size_t)disk_chance(count + 1) : 0;
	uint64_t odds = way == 0 ? 4 : disk_chance(9);
	for (size_t i = count; way >= 2 && i > 1; i--) {
		size_t other = (size_t)disk_chance(i);
		struct change *held = order[i - 1];
		order[i - 1] = order[other];
		order[other] = held;
	}
	for (size_t i = 0; i < count; i++) {
		if (i < whole) {
			apply(file, order[i]);
		} else if (way != 0 || i == whole) {
			apply_torn(file, order[i], odds);
		}
	}
	mem_free(order);
	changes_forget(file);
}

/* ---- what the shim tells ---- */

void disk_arm(uint64_t seed)
{
	check(!disk.armed && disk.files == NULL);
	disk.armed = true;
	disk.seed = seed;
}

bool disk_armed(void)
{
	return disk.armed;
}

static struct disk_file *find(const char *path)
{
	struct disk_file *file = disk.files;
	while (file != NULL && (file->gone || strcmp(file->path, path) != 0)) {
		file = file->next;
	}
	return file;
}

static void load(struct disk_file *file)
{
	struct stat about;
	struct str there;
	if (vfs_memory_get(file->path, &there)) {
		put(file, (const uint8_t *)there.at, there.len, 0);
		return;
	}
	int fd = open(file->path, O_RDONLY | O_CLOEXEC);
	check(fd >= 0 && fstat(fd, &about) == 0);
	resize(file, (size_t)about.st_size);
	check(about.st_size == 0 || read(fd, file->bytes, file->size) == about.st_size);
	close(fd);
}

struct disk_file *disk_open(const char *path, bool created)
{
	struct disk_file *file = find(path);
	if (file != NULL) {
		return file;
	}
	file = mem_alloc(sizeof(*file));
	check(file != NULL && strlen(path) < PATH_BYTES);
	snprintf(file->path, sizeof(file->path), "%s", path);
	file->last = &file->first;
	file->fresh = created;
	file->next = disk.files;
	disk.files = file;
	load(file);
	return file;
}

static struct change *change_add(struct disk_file *file, int64_t at)
{
	struct change *change = mem_alloc(sizeof(*change));
	check(change != NULL);
	change->at = at;
	*file->last = change;
	file->last = &change->next;
	file->changes++;
	return change;
}

void disk_write(struct disk_file *file, const void *bytes, size_t len, int64_t at)
{
	if (len == 0) {
		return;
	}
	struct change *change = change_add(file, at);
	change->bytes = mem_alloc(len);
	check(change->bytes != NULL);
	memcpy(change->bytes, bytes, len);
	change->len = len;
}

void disk_truncate(struct disk_file *file, int64_t size)
{
	(void)change_add(file, size);
}

/* The entries of the directory as they are now: what was deleted stays so. */
static void directory_sync(void)
{
	struct disk_file **at = &disk.files;
	while (*at != NULL) {
		struct disk_file *file = *at;
		file->fresh = false;
		if (!file->gone) {
			at = &file->next;
			continue;
		}
		*at = file->next;
		changes_forget(file);
		mem_free(file->bytes);
		mem_free(file);
	}
}

void disk_sync(struct disk_file *file, bool with_directory)
{
	for (struct change *change = file->first; change != NULL; change = change->next) {
		apply(file, change);
	}
	changes_forget(file);
	if (with_directory) {
		directory_sync();
	}
}

void disk_sync_failed(struct disk_file *file)
{
	apply_some(file);
}

void disk_delete(const char *path, bool synced)
{
	struct disk_file *file = find(path);
	if (file != NULL) {
		file->gone = true;
	}
	if (synced) {
		directory_sync();
	}
}

/* ---- the loss ---- */

static void write_out(const struct disk_file *file)
{
	if (vfs_memory_is(file->path)) {
		vfs_memory_put(file->path, str_make(file->bytes, file->size));
		return;
	}
	int fd = open(file->path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	check(fd >= 0);
	check(file->size == 0 || write(fd, file->bytes, file->size) == (ssize_t)file->size);
	close(fd);
}

/* Of the files of one name at most one is there: the newest first in the list. */
static bool wins(const struct disk_file *file)
{
	if (file->fresh && disk_chance(4) == 0) {
		return false;
	}
	return !file->gone || disk_chance(2) == 0;
}

static bool decided_before(const struct disk_file *file)
{
	for (const struct disk_file *other = disk.files; other != file; other = other->next) {
		if (strcmp(other->path, file->path) == 0) {
			return true;
		}
	}
	return false;
}

static void land_name(struct disk_file *newest)
{
	if (vfs_memory_is(newest->path)) {
		vfs_memory_remove(newest->path);
	} else {
		unlink(newest->path);
	}
	for (struct disk_file *file = newest; file != NULL; file = file->next) {
		if (strcmp(file->path, newest->path) != 0) {
			continue;
		}
		apply_some(file);
		if (wins(file)) {
			write_out(file);
			return;
		}
	}
}

void disk_land(void)
{
	for (struct disk_file *file = disk.files; file != NULL; file = file->next) {
		if (!decided_before(file)) {
			land_name(file);
		}
	}
	while (disk.files != NULL) {
		struct disk_file *file = disk.files;
		disk.files = file->next;
		changes_forget(file);
		mem_free(file->bytes);
		mem_free(file);
	}
	disk.armed = false;
}
