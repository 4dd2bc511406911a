/*
 * row.h - the few shapes in which stores bind and read rows.
 *
 * For:     _store.c files: a struct's members as columns, walking a result, one row or none, counts.
 * Not for: SQL text; what a row means.
 * Threads: the connection's owner.
 * Memory:  texts read are borrowed from the statement until its next step or reset.
 *
 *   static const struct db_column columns[] = {DB_INT(struct thing, id), DB_TEXT(struct thing, name)};
 *   db_bind_row(stmt, columns, 2, &thing);       ?1 = id, ?2 = name
 *   while (db_next(stmt, &err)) {
 *           db_read_row(stmt, columns, 2, &thing);
 *   }
 *
 * An UPDATE takes the numbers that the INSERT of the same columns has, those it does not set left out.
 */
#ifndef GUILD_DB_ROW_H
#define GUILD_DB_ROW_H

#include <stddef.h>

#include "db/db.h"

enum db_column_kind { DB_KIND_INT, DB_KIND_KEY, DB_KIND_WORD, DB_KIND_BOOL, DB_KIND_TEXT, DB_KIND_BYTES };

struct db_column {
	enum db_column_kind kind;
	size_t offset;
};

/* The member has to be of that size. */
#define DB_COLUMN(kind, type, member, bytes) \
	{kind, offsetof(type, member) + 0 * sizeof(char[sizeof(((type *)0)->member) == (bytes) ? 1 : -1])}
#define DB_INT(type, member)   DB_COLUMN(DB_KIND_INT, type, member, sizeof(int64_t))
#define DB_KEY(type, member)   DB_COLUMN(DB_KIND_KEY, type, member, sizeof(int64_t)) /* key or time, 0 stands for NULL */
#define DB_WORD(type, member)  DB_COLUMN(DB_KIND_WORD, type, member, sizeof(int))    /* int or enum */
#define DB_BOOL(type, member)  DB_COLUMN(DB_KIND_BOOL, type, member, sizeof(bool))
#define DB_TEXT(type, member)  DB_COLUMN(DB_KIND_TEXT, type, member, sizeof(struct str))  /* at NULL stands for NULL */
#define DB_BYTES(type, member) DB_COLUMN(DB_KIND_BYTES, type, member, sizeof(struct str)) /* at NULL stands for NULL */

#define DB_COLUMNS(table) (table), sizeof(table) / sizeof((table)[0])

/* Binds ?1 .. ?count, up to the last that the statement has. Texts have to live until the statement has run. */
void db_bind_row(struct db_stmt *stmt, const struct db_column *columns, size_t count, const void *row);
/* Sets the members that are columns; others stay as they are. */
void db_read_row(struct db_stmt *stmt, const struct db_column *columns, size_t count, void *row);

/* 0 stands for NULL. */
void db_bind_key(struct db_stmt *stmt, int index, int64_t key);
int64_t db_key(struct db_stmt *stmt, int column);

/* Another row? False at the end and on an error: *err says which. Who stops before the end calls db_reset. */
bool db_next(struct db_stmt *stmt, enum err *err) MUST_USE;
/* The first row. ERR_NOT_FOUND. On ERR_OK the caller reads it and calls db_reset. */
enum err db_first(struct db_stmt *stmt) MUST_USE;
/* Binds a key (?1) and a limit (?2), reads the number that the statement counts. */
enum err db_count(struct db_stmt *stmt, int64_t key, int64_t limit, int64_t *count) MUST_USE;

#endif
