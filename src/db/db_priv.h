/*
 * db_priv.h - what the files of db/ share.
 *
 * For:     migrations and checkpoints, which need more of a connection than the rest of the program.
 * Not for: other folders.
 * Threads: as db.h; checkpoint_after_commit on the writer's thread.
 * Memory:  as db.h. detail: at least 256 bytes.
 */
#ifndef GUILD_DB_DB_PRIV_H
#define GUILD_DB_DB_PRIV_H

#include "db/db.h"

#define DB_DETAIL_BYTES 256
#define DB_PAGE_BYTES 4096
#define DB_BUSY_TIMEOUT_MS 2000

/* The driver's own connection, for sqlite_backup.c. */
struct sqlite3 *db_handle(const struct db *db);
/* The write-ahead log is empty, or all of it is in the file. */
void db_wal_copied(struct db *db);
/* Reports a fault of the driver: see db.h, Errors. */
enum err db_fault(struct db *db, int code, const char *text) MUST_USE;
/* False outside a transaction, also when the driver has ended it by itself after a fault. */
bool db_in_transaction(const struct db *db);
/* Runs all statements of text. */
enum err db_exec(struct db *db, const char *text) MUST_USE;
/* The first column of the first row of text (0 when there is none). */
enum err db_exec_int(struct db *db, const char *text, int64_t *out) MUST_USE;
/* Copies the whole committed database into a new file at path. */
enum err db_copy(struct db *db, const char *path) MUST_USE;
/* The sentence about the last failure on the file at path. */
void db_explain(const struct db *db, enum err err, const char *path, char *detail);
/* The sentence for want of memory. */
void db_explain_memory(char *detail);
/* path, or its end when it is long: a sentence keeps its remedy. */
struct str db_path_shown(const char *path);

/* The two-phase checkpoint: a thread copies most of the log while commits go on; the writer then copies the little rest
 * between two batches, after which the log starts again at its beginning. */
struct checkpoint;
enum err checkpoint_create(const char *path, int64_t bytes, struct checkpoint **out, char *detail) MUST_USE;
void checkpoint_destroy(struct checkpoint **checkpoint);
enum err checkpoint_start(struct checkpoint *checkpoint) MUST_USE;
void checkpoint_stop(struct checkpoint *checkpoint);
/* Between two batches of the connection that writes. Without the thread it does both phases at once. */
void checkpoint_after_commit(struct checkpoint *checkpoint, struct db *db);

#endif
