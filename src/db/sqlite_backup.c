/*
 * sqlite_backup.c - whole copies through the driver's own copier, and its own check of a file.
 *
 * The source is read in one snapshot that a read transaction holds, so that writers never make the copy begin again; the write-ahead log
 * cannot start again meanwhile and grows by what is written during the copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/backup.h"
#include "db/db_priv.h"

#define STEP_PAGES 256
#define PATH_BYTES 4200
#define PROGRESS_STEPS 100000

struct target {
	sqlite3 *handle;
	sqlite3_backup *copier;
	char path[PATH_BYTES];
};

static enum err refuse_path(const char *path, const char *what, char *detail)
{
	snprintf(detail, DB_DETAIL_BYTES, "the file %.*s cannot be %s (%s)", STR_FMT(db_path_shown(path)), what, strerror(errno));
	return ERR_STORE_UNAVAILABLE;
}

static void part_forget(const char *part)
{
	char other[PATH_BYTES + 16];
	unlink(part);
	snprintf(other, sizeof(other), "%s-wal", part);
	unlink(other);
	snprintf(other, sizeof(other), "%s-shm", part);
	unlink(other);
	snprintf(other, sizeof(other), "%s-journal", part);
	unlink(other);
}

void db_backup_forget(const char *to)
{
	char part[PATH_BYTES];
	if (snprintf(part, sizeof(part), "%s.part", to) < (int)sizeof(part)) {
		part_forget(part);
	}
}

static enum err target_fault(struct target *target, int code, char *detail)
{
	int system_errno = target->handle != NULL ? sqlite3_system_errno(target->handle) : 0;
	if ((code & 0xff) == SQLITE_FULL || system_errno == ENOSPC || system_errno == EFBIG || system_errno == EDQUOT) {
		snprintf(detail, DB_DETAIL_BYTES, "the disk that holds %.*s is full; make room on it", STR_FMT(db_path_shown(target->path)));
	} else {
		snprintf(detail, DB_DETAIL_BYTES, "the copy %.*s cannot be written (%s)", STR_FMT(db_path_shown(target->path)),
			 system_errno != 0 ? strerror(system_errno) : sqlite3_errstr(code));
	}
	return (code & 0xff) == SQLITE_NOMEM ? ERR_MEMORY : ERR_STORE_UNAVAILABLE;
}

/* Nobody reads the copy before it is whole, so it needs no journal and no syncing on the way. */
static enum err target_open(struct target *target, struct db *from, char *detail)
{
	int fd = open(target->path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0) {
		return refuse_path(target->path, "made", detail);
	}
	close(fd);
	int code = sqlite3_open_v2(target->path, &target->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE, NULL);
	if (code == SQLITE_OK) {
		code = sqlite3_exec(target->handle, "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF", NULL, NULL, NULL);
	}
	if (code == SQLITE_OK) {
		target->copier = sqlite3_backup_init(target->handle, "main", db_handle(from), "main");
		code = target->copier != NULL ? SQLITE_OK : sqlite3_errcode(target->handle);
	}
	return code == SQLITE_OK ? ERR_OK : target_fault(target, code, detail);
}

static enum err pages_copy(const struct db_backup *backup, struct target *target, char *detail)
{
	int code = SQLITE_OK;
	while (code == SQLITE_OK) {
		code = sqlite3_backup_step(target->copier, STEP_PAGES);
		int64_t all = sqlite3_backup_pagecount(target->copier);
		int64_t left = sqlite3_backup_remaining(target->copier);
		if (code == SQLITE_OK && backup->progress != NULL && !backup->progress(backup->arg, all - left, all)) {
			snprintf(detail, DB_DETAIL_BYTES, "the copy was stopped");
			return ERR_CANCELLED;
		}
	}
	if (code == SQLITE_DONE) {
		return ERR_OK;
	}
	/* Only now does the driver tell what the system said. */
	(void)sqlite3_backup_finish(target->copier);
	target->copier = NULL;
	return target_fault(target, code, detail);
}

/* The copy says of itself that it has a write-ahead log, as the store has; as one file it has none. */
static enum err target_end(struct target *target, char *detail)
{
	int code = sqlite3_backup_finish(target->copier);
	target->copier = NULL;
	if (code == SQLITE_OK) {
		code = sqlite3_exec(target->handle, "PRAGMA journal_mode=DELETE", NULL, NULL, NULL);
	}
	return code == SQLITE_OK ? ERR_OK : target_fault(target, code, detail);
}

static enum err sync_file(const char *path, char *detail)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool synced = fd >= 0 && fsync(fd) == 0;
	int why = errno;
	if (fd >= 0) {
		close(fd);
	}
	errno = why;
	return synced ? ERR_OK : refuse_path(path, "put on disk", detail);
}

enum err db_backup_sync_name(const char *path)
{
	char dir[PATH_BYTES];
	snprintf(dir, sizeof(dir), "%s", path);
	char *slash = strrchr(dir, '/');
	if (slash != NULL) {
		slash[slash == dir ? 1 : 0] = '\0';
	}
	int fd = open(slash != NULL ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = fd >= 0 && fsync(fd) == 0;
	if (fd >= 0) {
		close(fd);
	}
	return synced ? ERR_OK : ERR_IO;
}

struct last_step {
	const struct db_backup *backup;
	int64_t pages;
};

static bool copy_go_on(void *arg)
{
	const struct last_step *last = arg;
	return last->backup->progress == NULL || last->backup->progress(last->backup->arg, last->pages, last->pages);
}

static enum err copy_check(const struct db_backup *backup, const char *part, char *detail)
{
	struct db *db;
	bool whole = false;
	struct last_step last = {backup, 0};
	enum err err = db_open(part, DB_READER, &db, detail);
	if (err != ERR_OK) {
		return err;
	}
	err = db_exec_int(db, "PRAGMA page_count", &last.pages);
	err = err == ERR_OK ? db_backup_integrity(db, copy_go_on, &last, &whole, detail) : err;
	if (err == ERR_OK && !whole) {
		err = ERR_CORRUPT;
	}
	if (err == ERR_OK && backup->check != NULL) {
		err = backup->check(backup->arg, db, detail);
	}
	db_close(&db);
	return err;
}

/* Where a name must not be taken over, a second name for the file is made, which fails when it is there. */
static enum err copy_publish(const struct db_backup *backup, const char *part, char *detail)
{
	int failed = backup->replace ? rename(part, backup->to) : link(part, backup->to);
	if (failed != 0 && errno == EEXIST) {
		snprintf(detail, DB_DETAIL_BYTES, "the file %.*s is there already; choose another name", STR_FMT(db_path_shown(backup->to)));
		return ERR_CONFLICT;
	}
	if (failed != 0) {
		return refuse_path(backup->to, "made", detail);
	}
	return db_backup_sync_name(backup->to) == ERR_OK ? ERR_OK : refuse_path(backup->to, "put on disk", detail);
}

static enum err copy_into(const struct db_backup *backup, struct db *from, struct target *target, char *detail)
{
	int64_t tables;
	enum err err = db_begin(from);
	err = err == ERR_OK ? db_exec_int(from, "SELECT count(*) FROM sqlite_schema", &tables) : err;
	if (err != ERR_OK) {
		db_explain(from, err, backup->from, detail);
	}
	err = err == ERR_OK ? target_open(target, from, detail) : err;
	err = err == ERR_OK ? pages_copy(backup, target, detail) : err;
	err = err == ERR_OK ? target_end(target, detail) : err;
	if (target->copier != NULL) {
		(void)sqlite3_backup_finish(target->copier);
	}
	(void)sqlite3_close(target->handle);
	db_rollback(from);
	return err;
}

enum err db_backup_make(const struct db_backup *backup, char *detail)
{
	struct target target = {0};
	struct db *from = NULL;
	struct stat there;
	detail[0] = '\0';
	if (snprintf(target.path, sizeof(target.path), "%s.part", backup->to) >= (int)sizeof(target.path)) {
		errno = ENAMETOOLONG;
		return refuse_path(backup->to, "made", detail);
	}
	if (!backup->replace && lstat(backup->to, &there) == 0) {
		snprintf(detail, DB_DETAIL_BYTES, "the file %.*s is there already; choose another name", STR_FMT(db_path_shown(backup->to)));
		return ERR_CONFLICT;
	}
	part_forget(target.path);
	enum err err = db_open(backup->from, DB_READER, &from, detail);
	if (err != ERR_OK) {
		return err;
	}
	err = copy_into(backup, from, &target, detail);
	db_close(&from);
	err = err == ERR_OK ? sync_file(target.path, detail) : err;
	err = err == ERR_OK ? copy_check(backup, target.path, detail) : err;
	err = err == ERR_OK ? copy_publish(backup, target.path, detail) : err;
	if (err == ERR_OK && backup->replace) {
		return ERR_OK;
	}
	part_forget(target.path);
	return err;
}

/* ---- checks ---- */

static int first_line(void *arg, int columns, char **values, char **names)
{
	char *detail = arg;
	(void)names;
	if (detail[0] == '\0' && columns > 0 && values[0] != NULL) {
		snprintf(detail, DB_DETAIL_BYTES, "%s", values[0]);
		for (char *c = detail; *c != '\0'; c++) {
			*c = *c == '\n' ? ' ' : *c;
		}
	}
	return 0;
}

static int first_reference(void *arg, int columns, char **values, char **names)
{
	char *detail = arg;
	(void)names;
	if (detail[0] == '\0' && columns >= 3) {
		snprintf(detail, DB_DETAIL_BYTES, "row %s of %s names a row of %s that is not there", values[1] != NULL ? values[1] : "?",
			 values[0] != NULL ? values[0] : "?", values[2] != NULL ? values[2] : "?");
	}
	return 0;
}

struct going_on {
	bool (*go_on)(void *arg);
	void *arg;
};

static int on_progress(void *arg)
{
	const struct going_on *going_on = arg;
	return going_on->go_on != NULL && !going_on->go_on(going_on->arg);
}

enum err db_backup_integrity(struct db *db, bool (*go_on)(void *arg), void *arg, bool *whole, char *detail)
{
	struct going_on going_on = {go_on, arg};
	detail[0] = '\0';
	*whole = false;
	sqlite3_progress_handler(db_handle(db), PROGRESS_STEPS, on_progress, &going_on);
	int code = sqlite3_exec(db_handle(db), "PRAGMA integrity_check(1)", first_line, detail, NULL);
	if (code == SQLITE_OK && strcmp(detail, "ok") == 0) {
		detail[0] = '\0';
		code = sqlite3_exec(db_handle(db), "PRAGMA foreign_key_check", first_reference, detail, NULL);
		*whole = code == SQLITE_OK && detail[0] == '\0';
	}
	sqlite3_progress_handler(db_handle(db), 0, NULL, NULL);
	if ((code & 0xff) == SQLITE_INTERRUPT) {
		snprintf(detail, DB_DETAIL_BYTES, "the check was stopped");
		return ERR_CANCELLED;
	}
	/* What is too broken to be walked is no fault of ours, but the answer. */
	if ((code & 0xff) == SQLITE_CORRUPT || (code & 0xff) == SQLITE_NOTADB) {
		snprintf(detail, DB_DETAIL_BYTES, "%s", sqlite3_errmsg(db_handle(db)));
		return ERR_OK;
	}
	if (code == SQLITE_OK) {
		return ERR_OK;
	}
	snprintf(detail, DB_DETAIL_BYTES, "the file cannot be read (%s)", sqlite3_errmsg(db_handle(db)));
	return (code & 0xff) == SQLITE_NOMEM ? ERR_MEMORY : ERR_STORE_UNAVAILABLE;
}

enum err db_backup_fold(const char *path, char *detail)
{
	struct db *db;
	enum err err = db_open(path, DB_WRITER, &db, detail);
	if (err != ERR_OK) {
		return err;
	}
	err = db_exec(db, "PRAGMA wal_checkpoint(TRUNCATE)");
	if (err != ERR_OK) {
		db_explain(db, err, path, detail);
	}
	db_close(&db);
	return err;
}
