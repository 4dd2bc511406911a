/*
 * audience.h - who may see an event, whatever topics it goes to.
 *
 * For:     carrying it from the command that knows to whoever listens for somebody, through log and bus.
 * Not for: deciding it (social/visibility_rules.h).
 * Threads: plain data.
 * Memory:  none; keys as in the store.
 */
#ifndef GUILD_BASE_AUDIENCE_H
#define GUILD_BASE_AUDIENCE_H

#include <stdint.h>

struct audience {
	int64_t a; /* 0: all who may subscribe. b == 0: the members of channel a. Else the two parties, which may be one */
	int64_t b;
};

#endif
