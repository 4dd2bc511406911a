/*
 * file.h - the few files of a data directory that are not the database: keys, tokens, marks, checkpoints.
 *
 * For:     reading one whole, making or replacing one so that no half of it is ever seen, adding lines to one.
 * Not for: big files; files of the user (settings, exports, backups).
 * Threads: any; a db_lines has one owner.
 * Memory:  texts are borrowed; nothing is kept but a db_lines.
 * Errors:  0, or a number as in errno. What returned 0 is on the disk.
 */
#ifndef GUILD_DB_FILE_H
#define GUILD_DB_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "base/str.h"

struct db_file_about {
	bool regular;
	unsigned mode; /* the nine bits */
	size_t len;    /* bytes read */
};

/* Its first cap bytes; none of what is no regular file. A link is not followed (ELOOP). */
int db_file_read(const char *path, char *out, size_t cap, struct db_file_about *about) MUST_USE;
/* A file of that name for the owner alone. One that is there stays as it is, which is no error. */
int db_file_make(const char *dir, const char *name, struct str bytes) MUST_USE;
/* The same, in the place of what was there. */
int db_file_replace(const char *dir, const char *name, struct str bytes) MUST_USE;
/* An empty file for the owner alone, for a library that would let others read it. One that is there only has to be readable and
 * writable; it is not opened, because closing it would give up all locks that this process has on it. */
int db_file_create(const char *path) MUST_USE;

/* A file that only grows. */
struct db_lines;
int db_lines_open(const char *path, struct db_lines **out) MUST_USE;
void db_lines_close(struct db_lines **lines);
/* Its last bytes, at most cap; *size is that of the whole file. */
int db_lines_tail(struct db_lines *lines, char *out, size_t cap, size_t *len, size_t *size) MUST_USE;
int db_lines_cut(struct db_lines *lines, size_t size) MUST_USE;
int db_lines_add(struct db_lines *lines, struct str bytes) MUST_USE;

#endif
