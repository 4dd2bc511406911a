/*
 * check.h - what must be true, in release builds too.
 *
 * For:     programming errors: a broken invariant stops the process at once, with file and line.
 * Not for: bad input, refusals and faults (err.h).
 * Threads: any.
 * Memory:  none. check_failed writes to standard error without allocating and aborts.
 */
#ifndef GUILD_BASE_CHECK_H
#define GUILD_BASE_CHECK_H

_Noreturn void check_failed(const char *what, const char *file, int line);

/* Aborts when condition is false. Always compiled in. */
#define check(condition) ((condition) ? (void)0 : check_failed(#condition, __FILE__, __LINE__))

#endif
