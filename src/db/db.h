/*
 * db.h - a narrow door to SQL.
 *
 * For:     one connection, prepared statements that are kept, transactions, migrations.
 * Not for: deciding; threads (writer.h, reader.h); SQL outside the common subset (docs/architecture, store rules).
 * Threads: a connection has one owner thread.
 * Memory:  text and bytes of a row are borrowed until the next db_step or db_use of that statement.
 * Errors:  ERR_STORE_UNAVAILABLE for anything the disk refuses (full, read-only, I/O), ERR_CONFLICT for a broken constraint,
 *          ERR_CORRUPT, ERR_MEMORY. The driver's own text is logged once, never returned.
 */
#ifndef GUILD_DB_DB_H
#define GUILD_DB_DB_H

#include "base/arena.h"
#include "base/env.h"
#include "base/err.h"

struct db;
struct db_stmt;

/* A statement: one static object each. Parameters are ?1..?n. Its address is the key of the connection's cache. */
struct db_sql {
	const char *text;
};

enum db_mode { DB_WRITER, DB_READER };

/* Opens path: WAL, synchronous=FULL, foreign keys on, 4096-byte pages. Readers: query_only, mmap. detail (at least 256
 * bytes) gets a sentence naming the file and the remedy on error. (A store in memory is a directory in /dev/shm, app/.) */
enum err db_open(const char *path, enum db_mode mode, struct db **out, char *detail) MUST_USE;
void db_close(struct db **db);

/* The statement, reset and with no bindings; prepared on first use and kept. Aborts when the text does not prepare (a bug). */
struct db_stmt *db_use(struct db *db, const struct db_sql *sql);
void db_bind_int(struct db_stmt *stmt, int index, int64_t value);
void db_bind_real(struct db_stmt *stmt, int index, double value);
/* text.at == NULL binds NULL. The bytes must live until the statement has run. */
void db_bind_text(struct db_stmt *stmt, int index, struct str text);
void db_bind_bytes(struct db_stmt *stmt, int index, struct str bytes);
void db_bind_null(struct db_stmt *stmt, int index);
/* The greatest number of a parameter in it. */
int db_parameters(const struct db_stmt *stmt);
/* Next row: *row is false at the end (the statement is then reset). */
enum err db_step(struct db_stmt *stmt, bool *row) MUST_USE;
/* Runs a statement that returns no rows. Counts as a write. */
enum err db_run(struct db_stmt *stmt) MUST_USE;
/* Ends a statement early. */
void db_reset(struct db_stmt *stmt);
int64_t db_int(struct db_stmt *stmt, int column);
double db_real(struct db_stmt *stmt, int column);
/* at == NULL for NULL. */
struct str db_text(struct db_stmt *stmt, int column);
struct str db_bytes(struct db_stmt *stmt, int column);
bool db_is_null(struct db_stmt *stmt, int column);
/* Rows changed by the last db_run. */
int64_t db_changes(struct db *db);
/* db_run calls so far on this connection: tells whether a job has written. */
uint64_t db_writes(const struct db *db);

/* On this connection so far: statements begun (not those that begin or end transactions), and pages that commits put into the
 * write-ahead log. */
uint64_t db_statements(const struct db *db);
uint64_t db_pages_logged(const struct db *db);

enum err db_begin(struct db *db) MUST_USE;
enum err db_commit(struct db *db) MUST_USE;
void db_rollback(struct db *db);
enum err db_savepoint(struct db *db) MUST_USE;
enum err db_savepoint_release(struct db *db) MUST_USE;
void db_savepoint_rollback(struct db *db);
/* Pages in the write-ahead log: all of it after a commit, what is left to copy after db_checkpoint. */
int64_t db_wal_pages(const struct db *db);
/* One PASSIVE checkpoint. ERR_AGAIN while another connection is at it. */
enum err db_checkpoint(struct db *db) MUST_USE;

/* ---- scrub.c: nothing that was erased stays readable in the files. By the only connection that writes, between its transactions ---- */
/* Looks at the next `pages` pages of the file from *page (1: the first) and clears what their unused parts still show. *more is false after the
 * last, which is then on disk. ERR_AGAIN: somebody reads from the write-ahead log, or copies it; the same call again later. */
enum err db_scrub(struct db *db, int64_t *page, int pages, bool *more) MUST_USE;
/* Empties the write-ahead log into the file. ERR_AGAIN while somebody reads from it. */
enum err db_wal_empty(struct db *db) MUST_USE;

/* ---- migrations: sql/NNNN_name.sql, embedded at build time (sql_text.h) ---- */
/* Brings the schema to the newest version, each step in one transaction (the file is copied to PATH.bak-<version> first when it
 * holds data). ERR_NEWER when the file's version is unknown here. detail as in db_open. */
enum err db_migrate(struct db *db, const char *path, char *detail) MUST_USE;

/* The file's version; ERR_CORRUPT for files of other programs, ERR_NEWER for those of newer versions of this one. */
enum err db_version(struct db *db, const char *path, int64_t *version, char *detail) MUST_USE;
/* That of a file after db_migrate. */
int64_t db_version_newest(void);

/* Exclusive hold of a data directory: creates DIR (0700) and DIR/guild.lock. ERR_IN_USE names the holder's pid in detail. */
struct db_dir;
enum err db_dir_lock(const char *dir, struct db_dir **out, char *detail) MUST_USE;
void db_dir_unlock(struct db_dir **dir);

/* Small values: store secret, epoch, version marks. name is short text. */
enum err db_meta_get(struct db *db, struct str name, struct arena *arena, struct str *value) MUST_USE; /* ERR_NOT_FOUND */
enum err db_meta_put(struct db *db, struct str name, struct str value) MUST_USE;

#ifdef GUILD_FAILPOINTS
/* SQLite's heap from now on behind base/mem.h; before its first use. */
void db_memory_share(void);
#endif

#endif
