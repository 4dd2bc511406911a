/*
 * limits.h - the caps of limits.def as constants LIMIT_<name>.
 *
 * For:     every buffer, queue, table, loop and recursion.
 * Not for: values a user has set (app/config.h).
 * Threads: any; constants.
 * Memory:  none.
 */
#ifndef GUILD_BASE_LIMITS_H
#define GUILD_BASE_LIMITS_H

enum limit {
#define LIMIT(name, value, unit, reason) LIMIT_##name = (value),
#include "base/limits.def"
#undef LIMIT
};

#endif
