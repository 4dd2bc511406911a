/*
 * fault_plan.h - which calls of a kind fail, as a text says it (builds with -Dfailpoints=true).
 *
 * For:     shims that fail the n-th access: to files (db/vfs_fault.h), to sockets (loop/socket_fault.h).
 * Not for: named points (failpoint.h); other builds.
 * Threads: none of its own; who holds the rules locks.
 * Memory:  nothing is kept.
 *
 *   plan: rule[,rule...]    rule: access=kind, access=kind@n (the n-th since the plan), access=kind@n+ (from the n-th on),
 *                                 access=kind#n, access=kind#n+ (behind n bytes, once; for good)
 *   An access has one rule at most: the last one said.
 */
#ifndef GUILD_BASE_FAULT_PLAN_H
#define GUILD_BASE_FAULT_PLAN_H

#include "base/str.h"

#ifdef GUILD_FAILPOINTS

#define FAULT_PLAN_BYTES 256

struct fault_plan_rule {
	unsigned kind; /* 0: none */
	bool of_bytes;
	uint64_t from, to;
};

/* The words of a shim; kinds[0] is none's. */
struct fault_plan_words {
	const char *const *accesses;
	unsigned access_count;
	const char *const *kinds;
	unsigned kind_count;
	bool counts_bytes;
};

/* Fills a rule for each access. False when the text cannot be read; then rules are not to be used. */
bool fault_plan_parse(const struct fault_plan_words *words, struct str text, struct fault_plan_rule *rules);
/* What stands in the file of that name, at most FAULT_PLAN_BYTES; no file: nothing. */
struct str fault_plan_read(const char *path, char text[FAULT_PLAN_BYTES]);

#endif

#endif
