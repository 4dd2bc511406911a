/*
 * backup.h - whole copies of a store, what is wrong with a file, and whether a store is older than its directory remembers.
 *
 * For:     `guild backup`, `guild restore`, `guild verify`, the start of a server.
 * Not for: what rows mean (ops/verify), the copy before a migration (db_migrate makes it).
 * Threads: any but a loop's; each call has its own connection, or the one given.
 * Memory:  nothing is kept.
 * Errors:  those of db.h; detail (at least 256 bytes) gets a sentence naming file and remedy.
 *
 * A copy is made as TO.part, read in one snapshot while others write, and gets its name when it is whole, checked and on disk: under the name
 * TO there is never a half file. It is one file, without a write-ahead log.
 */
#ifndef GUILD_DB_BACKUP_H
#define GUILD_DB_BACKUP_H

#include "db/db.h"

struct db_backup {
	const char *from, *to;
	bool replace; /* else a file that is there is left alone: ERR_CONFLICT */
	/* After each step, and now and then while the file is checked; returning false stops (ERR_CANCELLED). NULL: nothing. */
	bool (*progress)(void *arg, int64_t pages, int64_t pages_all);
	/* The last word on the copy before it gets its name; a reader's connection. NULL: none. */
	enum err (*check)(void *arg, struct db *db, char *detail);
	void *arg;
};
enum err db_backup_make(const struct db_backup *backup, char *detail) MUST_USE;
/* Removes what an interrupted backup of that name left; the next one does it too. */
void db_backup_forget(const char *to);

/* Walks the whole file: structure, indexes, references. *whole is false where something is wrong, and then detail says what first. One long
 * read, for files at rest; go_on (NULL: none) is asked now and then, and false ends it with ERR_CANCELLED. */
enum err db_backup_integrity(struct db *db, bool (*go_on)(void *arg), void *arg, bool *whole, char *detail) MUST_USE;

/* Writes everything of the write-ahead log into the file and ends the log: what is needed before a file changes its name. */
enum err db_backup_fold(const char *path, char *detail) MUST_USE;
/* The directory entry of path is on disk. */
enum err db_backup_sync_name(const char *path) MUST_USE;

/* ---- generations: DIR/generation says how far the store of this directory had come ---- */
struct generation {
	int64_t epoch;  /* of the store: 53 random bits, part of clients' cursors */
	int64_t number; /* counts starts */
	int64_t seq;    /* of the log, at least */
};
/* Before the first change after opening: reads both, takes the next number and writes it down. A store that is behind its directory, or comes
 * without one, gets a new epoch, and so does one with renew: *renewed. Cursors of clients from before then meet a gap. */
enum err generation_start(struct db *db, const char *dir, const struct env *env, bool renew, struct generation *out, bool *renewed,
			  char *detail) MUST_USE;
/* How far the store has come; only what is on disk may be told. ERR_IO. */
enum err generation_write(const char *dir, const struct generation *generation) MUST_USE;

#endif
