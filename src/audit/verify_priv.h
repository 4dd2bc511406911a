/*
 * verify_priv.h - one walk over a log, wherever its rows come from.
 *
 * For:     verify.c (a store), verify_file.c (an export, files of checkpoints).
 * Not for: other folders (audit.h).
 * Threads: one.
 * Memory:  a walk owns what it opened until audit_walk_end.
 */
#ifndef GUILD_AUDIT_VERIFY_PRIV_H
#define GUILD_AUDIT_VERIFY_PRIV_H

#include "audit/audit.h"
#include "audit/audit_priv.h"
#include "base/buf.h"

/* ---- lines of a file ---- */
struct audit_lines {
	int fd;
	struct buf buf;
	size_t taken;  /* bytes of the line given last */
	int64_t left;  /* of what the file had when it was opened: a server may be appending to it */
};
/* ERR_NOT_FOUND. */
enum err audit_lines_open(struct audit_lines *lines, const char *path, size_t line_max) MUST_USE;
void audit_lines_close(struct audit_lines *lines);
/* Without its newline, until the next call. ERR_END; ERR_MALFORMED: the last one has no newline, or one is too long; ERR_IO. */
enum err audit_lines_next(struct audit_lines *lines, struct str *line) MUST_USE;

/* ---- where checkpoints come from, in the order of their sizes ---- */
struct audit_source {
	struct db *db;              /* the table, or */
	struct audit_lines *lines;  /* a file */
	bool has;
	struct audit_checkpoint next;
};
enum { AUDIT_SOURCES_MAX = 3 };

struct audit_walk {
	struct audit_report *report;
	struct hash *hash;
	struct arena arena;
	struct audit_tree tree;
	struct db *db; /* whose kept nodes are compared; NULL: none */
	bool has_key;
	bool begun; /* of a store */
	uint8_t public_key[AUDIT_PUBLIC_BYTES];
	struct audit_report own; /* where nobody gave another */
	struct audit_source sources[AUDIT_SOURCES_MAX];
	int source_count;
	struct audit_lines files[2];
	int file_count;
	enum err err; /* of a look into the store from a callback */
};

/* report NULL: the walk's own. */
enum err audit_walk_begin(struct audit_walk *walk, const struct audit_proofs *proofs, struct audit_report *report) MUST_USE;
void audit_walk_end(struct audit_walk *walk);
/* From first_bad on; keeps the first. */
void audit_walk_bad(struct audit_walk *walk, int64_t first, int64_t last, const char *reason);
static inline bool audit_walk_is_bad(const struct audit_walk *walk) { return walk->report->reason != NULL; }
/* The next row. erased: without content though it had some. */
void audit_walk_row(struct audit_walk *walk, const struct log_row *row);
/* A checkpoint of the log as far as it was walked. */
void audit_walk_checkpoint(struct audit_walk *walk, const struct audit_checkpoint *checkpoint);
/* Adds the table of db, before the first row. */
void audit_walk_table(struct audit_walk *walk, struct db *db);
/* Checkpoints that the log has come to; once with every row. */
enum err audit_walk_sources(struct audit_walk *walk) MUST_USE;
/* No more rows: what the sources still have says that there were. */
enum err audit_walk_finish(struct audit_walk *walk) MUST_USE;

#endif
