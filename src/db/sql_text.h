/*
 * sql_text.h - the migrations, compiled in.
 *
 * For:     db/migrate; the texts of sql/ word for word, in order.
 * Not for: queries (those stand in each folder's _store.c).
 * Threads: any; the table is constant.
 * Memory:  static; sql_text.c is written by tools/embed at build time.
 */
#ifndef GUILD_DB_SQL_TEXT_H
#define GUILD_DB_SQL_TEXT_H

struct sql_text {
	const char *name; /* "0001_core" */
	const char *text;
};

/* Ends with a row whose name is NULL. */
extern const struct sql_text sql_texts[];

#endif
