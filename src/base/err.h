/*
 * err.h - one table of errors for the whole program.
 *
 * For:     the return value of everything that can fail; what a client is told.
 * Not for: messages with detail (the caller adds those where it knows them).
 * Threads: any; the table is constant.
 * Memory:  all returned strings are static.
 */
#ifndef GUILD_BASE_ERR_H
#define GUILD_BASE_ERR_H

#include <stdbool.h>

#include "base/str.h"

#define MUST_USE __attribute__((warn_unused_result))

enum err {
#define ERR(name, code, text, http, ws_close, retryable, level) ERR_##name,
#include "base/err.def"
#undef ERR
	ERR_COUNT
};

struct err_row {
	const char *name;
	struct str code;
	struct str text;
	int http_status;
	int ws_close;
	bool retryable;
	int level;
};

/* The row of err; aborts on a value outside the table. */
const struct err_row *err_row(enum err err);

/* Maps errors that are for inside only (from ERR_MEMORY on) to what a client is told:
 * memory, limit -> overloaded; io, in_use, corrupt -> store_unavailable; the rest -> internal. */
enum err err_public(enum err err);

/* Finds the error with that stable code. False when there is none. */
bool err_by_code(struct str code, enum err *out);

#endif
