/*
 * dir.c - the exclusive hold of a data directory.
 *
 * The kernel's lock is the truth and dies with its holder; the number in the file only serves the sentence for
 * humans. The file stays behind: removing it would let two processes lock two files of one name.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "db/db.h"
#include "db/db_priv.h"
#include "db/file_priv.h"

struct db_dir {
	int fd; /* -1: a directory in memory */
	char path[];
};

static enum err refused(const char *dir, const char *verb, char *detail)
{
	snprintf(detail, DB_DETAIL_BYTES,
		 "the data directory %.*s cannot be %s (%s); check its permissions or choose another with --data",
		 STR_FMT(db_path_shown(dir)), verb, strerror(errno));
	return ERR_STORE_UNAVAILABLE;
}

/* holder: 0 where nobody says who. */
static enum err in_use(const char *dir, uint64_t holder, char *detail)
{
	if (holder != 0) {
		snprintf(detail, DB_DETAIL_BYTES,
			 "the data directory %.*s is in use by process %llu; stop it or choose another with --data",
			 STR_FMT(db_path_shown(dir)), (unsigned long long)holder);
	} else {
		snprintf(detail, DB_DETAIL_BYTES,
			 "the data directory %.*s is in use by another process; stop it or choose another with --data",
			 STR_FMT(db_path_shown(dir)));
	}
	return ERR_IN_USE;
}

static uint64_t read_pid(int fd)
{
	char text[24] = "";
	uint64_t pid = 0;
	ssize_t got = pread(fd, text, sizeof(text) - 1, 0);
	return str_to_u64(str_trim(str_make(text, got > 0 ? (size_t)got : 0)), &pid) ? pid : 0;
}

static enum err write_pid(const char *dir, int fd, char *detail)
{
	char text[24];
	int len = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
	if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)len, 0) != len) {
		return refused(dir, "written", detail);
	}
	return ERR_OK;
}

static enum err no_memory(char *detail)
{
	snprintf(detail, DB_DETAIL_BYTES, "there is not enough memory to open the data directory");
	return ERR_MEMORY;
}

static enum err memory_lock(const char *dir, struct db_dir **out, char *detail)
{
	size_t len = strlen(dir) + 1;
	struct db_dir *held = mem_alloc(sizeof(*held) + len);
	if (held == NULL) {
		return no_memory(detail);
	}
	if (!vfs_memory_hold(dir)) {
		mem_free(held);
		return in_use(dir, 0, detail);
	}
	held->fd = -1;
	memcpy(held->path, dir, len);
	*out = held;
	return ERR_OK;
}

enum err db_dir_lock(const char *dir, struct db_dir **out, char *detail)
{
	char path[4096];
	*out = NULL;
	if (vfs_memory_files(dir) != NULL) {
		return memory_lock(dir, out, detail);
	}
	if (mkdir(dir, 0700) != 0 && errno != EEXIST) {
		return refused(dir, "created", detail);
	}
	if (snprintf(path, sizeof(path), "%s/guild.lock", dir) >= (int)sizeof(path)) {
		errno = ENAMETOOLONG;
		return refused(dir, "used", detail);
	}
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return refused(dir, "written", detail);
	}
	enum err err = ERR_OK;
	if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
		err = errno == EWOULDBLOCK ? in_use(dir, read_pid(fd), detail) : refused(dir, "locked", detail);
	} else {
		err = write_pid(dir, fd, detail);
	}
	struct db_dir *held = err == ERR_OK ? mem_alloc(sizeof(*held)) : NULL;
	if (held == NULL) {
		close(fd);
		return err == ERR_OK ? no_memory(detail) : err;
	}
	held->fd = fd;
	*out = held;
	return ERR_OK;
}

void db_dir_unlock(struct db_dir **dir)
{
	if (*dir == NULL) {
		return;
	}
	if ((*dir)->fd < 0) {
		vfs_memory_leave((*dir)->path);
		mem_free(*dir);
		*dir = NULL;
		return;
	}
	/* Said aloud, because a forked child may still hold the descriptor. */
	if (ftruncate((*dir)->fd, 0) != 0 || flock((*dir)->fd, LOCK_UN) != 0) {
		errno = 0;
	}
	close((*dir)->fd);
	mem_free(*dir);
	*dir = NULL;
}
