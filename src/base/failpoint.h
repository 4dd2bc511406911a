/*
 * failpoint.h - named points where a test build (option failpoints) fails or dies.
 *
 * For:     GUILD_FAILPOINT="before_commit=exit@3,after_commit=err"; the names are in docs/testing.md.
 * Not for: calls that are counted by kind (fault_plan.h); other builds, where nothing of it is left.
 * Threads: any.
 * Memory:  none.
 * Errors:  actions: err (ERR_STORE_UNAVAILABLE: the step fails), exit (_exit(137)), with @n: the n-th time only.
 */
#ifndef GUILD_BASE_FAILPOINT_H
#define GUILD_BASE_FAILPOINT_H

#include "base/err.h"

#ifdef GUILD_FAILPOINTS
enum err failpoint(const char *name) MUST_USE;
#else
static inline enum err failpoint(const char *name)
{
	(void)name;
	return ERR_OK;
}
#endif

#endif
