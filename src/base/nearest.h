/*
 * nearest.h - which known word a mistyped one was meant to be.
 *
 * For:     "did you mean ...?" in messages about settings, verbs and options.
 * Not for: searching; words beyond 64 bytes (they are near to nothing).
 * Threads: any; no state.
 * Memory:  words are borrowed.
 */
#ifndef GUILD_BASE_NEAREST_H
#define GUILD_BASE_NEAREST_H

#include "base/str.h"

/* Starts with only wanted set. found.at stays NULL when no candidate is near. */
struct nearest {
	struct str wanted;
	struct str found;
	size_t cost;
};

/* Edit distance (insert, remove, replace) without regard to ASCII case. */
size_t nearest_distance(struct str a, struct str b);
/* Keeps candidate when it is nearer than those before it and at least half of the longer word is right. */
void nearest_try(struct nearest *nearest, struct str candidate);

#endif
