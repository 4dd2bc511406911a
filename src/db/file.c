/*
 * file.c - small files on the machine's disk.
 *
 * A file is written aside, synced, and then gets its name; the directory is synced behind it.
 */
#include "db/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "db/file_priv.h"

#define PATH_BYTES 4352

/* ---- the machine's ---- */

static int host_read(const char *path, char *out, size_t cap, struct db_file_about *about)
{
	struct stat st;
	int number = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0) {
		return errno;
	}
	if (fstat(fd, &st) != 0) {
		number = errno;
	} else {
		about->regular = S_ISREG(st.st_mode);
		about->mode = (unsigned)st.st_mode & 0777;
	}
	while (number == 0 && about->regular && about->len < cap) {
		ssize_t n = read(fd, out + about->len, cap - about->len);
		if (n == 0) {
			break;
		}
		number = n < 0 && errno != EINTR ? errno : 0;
		about->len += n > 0 ? (size_t)n : 0;
	}
	close(fd);
	return number;
}

static int write_whole(int fd, struct str bytes)
{
	while (bytes.len > 0) {
		ssize_t n = write(fd, bytes.at, bytes.len);
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n <= 0) {
			return n < 0 ? errno : EIO;
		}
		bytes = str_sub(bytes, (size_t)n, bytes.len);
	}
	return 0;
}

static void dir_sync(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
}

static int host_put(const char *dir, const char *name, struct str bytes, bool over)
{
	char path[PATH_BYTES], aside[PATH_BYTES];
	int number;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", dir, name) >= PATH_BYTES || snprintf(aside, sizeof(aside), "%s.new", path) >= PATH_BYTES) {
		return ENAMETOOLONG;
	}
	(void)unlink(aside);
	fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return errno;
	}
	number = write_whole(fd, bytes);
	if (number == 0 && fsync(fd) != 0) {
		number = errno;
	}
	close(fd);
	if (number == 0 && over && rename(aside, path) != 0) {
		number = errno;
	}
	if (number == 0 && !over && link(aside, path) != 0 && errno != EEXIST) {
		number = errno;
	}
	(void)unlink(aside);
	dir_sync(dir);
	return number;
}

static int host_create(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	if (fd < 0 && errno == EEXIST) {
		return faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0 ? 0 : errno;
	}
	if (fd < 0) {
		return errno;
	}
	close(fd);
	return 0;
}

struct host_lines {
	int fd;
};

static int host_open(const char *path, void **held)
{
	struct host_lines *lines = mem_alloc(sizeof(*lines));

	if (lines == NULL) {
		return ENOMEM;
	}
	lines->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (lines->fd < 0) {
		int number = errno;
		mem_free(lines);
		return number;
	}
	*held = lines;
	return 0;
}

static void host_close(void *held)
{
	struct host_lines *lines = held;

	close(lines->fd);
	mem_free(lines);
}

static int host_tail(void *held, char *out, size_t cap, size_t *len, size_t *size)
{
	const struct host_lines *lines = held;
	struct stat st;
	ssize_t n;

	*len = *size = 0;
	if (fstat(lines->fd, &st) != 0) {
		return errno;
	}
	n = pread(lines->fd, out, cap, st.st_size > (off_t)cap ? st.st_size - (off_t)cap : 0);
	if (n < 0) {
		return errno;
	}
	*len = (size_t)n;
	*size = (size_t)st.st_size;
	return 0;
}

static int host_cut(void *held, size_t size)
{
	const struct host_lines *lines = held;

	return ftruncate(lines->fd, (off_t)size) == 0 ? 0 : errno;
}

static int host_add(void *held, struct str bytes)
{
	const struct host_lines *lines = held;
	ssize_t n = write(lines->fd, bytes.at, bytes.len);

	if (n != (ssize_t)bytes.len) {
		return n < 0 ? errno : ENOSPC;
	}
	return fdatasync(lines->fd) == 0 ? 0 : errno;
}

static const struct db_files host = {host_read, host_put, host_create, host_open, host_close, host_tail, host_cut, host_add};

/* ---- either's ---- */

static const struct db_files *files_of(const char *path)
{
	const struct db_files *files = vfs_memory_files(path);

	return files != NULL ? files : &host;
}

int db_file_read(const char *path, char *out, size_t cap, struct db_file_about *about)
{
	*about = (struct db_file_about){0};
	return files_of(path)->read(path, out, cap, about);
}

int db_file_make(const char *dir, const char *name, struct str bytes)
{
	return files_of(dir)->put(dir, name, bytes, false);
}

int db_file_replace(const char *dir, const char *name, struct str bytes)
{
	return files_of(dir)->put(dir, name, bytes, true);
}

int db_file_create(const char *path)
{
	return files_of(path)->create(path);
}

struct db_lines {
	const struct db_files *files;
	void *held;
};

int db_lines_open(const char *path, struct db_lines **out)
{
	struct db_lines *lines = mem_alloc(sizeof(*lines));
	int number;

	*out = NULL;
	if (lines == NULL) {
		return ENOMEM;
	}
	lines->files = files_of(path);
	number = lines->files->open(path, &lines->held);
	if (number != 0) {
		mem_free(lines);
		return number;
	}
	*out = lines;
	return 0;
}

void db_lines_close(struct db_lines **lines)
{
	if (*lines != NULL) {
		(*lines)->files->close((*lines)->held);
		mem_free(*lines);
	}
	*lines = NULL;
}

int db_lines_tail(struct db_lines *lines, char *out, size_t cap, size_t *len, size_t *size)
{
	return lines->files->tail(lines->held, out, cap, len, size);
}

int db_lines_cut(struct db_lines *lines, size_t size)
{
	return lines->files->cut(lines->held, size);
}

int db_lines_add(struct db_lines *lines, struct str bytes)
{
	return lines->files->add(lines->held, bytes);
}
