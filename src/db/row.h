/*
 * row.h - the few shapes in which all stores bind and read rows.
 *
 * For:     _store.c files: keys that may be absent, one row or none, every row of a result, counts.
 * Not for: SQL text; what a row means.
 * Threads: the connection's owner.
 * Memory:  what a row function reads is borrowed from the statement until it returns.
 *
 * Keys and times are never 0, so 0 stands for NULL on this side.
 */
#ifndef GUILD_DB_ROW_H
#define GUILD_DB_ROW_H

#include "db/db.h"

void db_bind_int_or_null(struct db_stmt *stmt, int index, int64_t value);
int64_t db_int_or_zero(struct db_stmt *stmt, int column);

/* Binds a key (?1) and a limit (?2), reads the one number of the one row. */
enum err db_count(struct db_stmt *stmt, int64_t key, int64_t limit, int64_t *count) MUST_USE;

#endif
