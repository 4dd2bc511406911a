/*
 * maturity.h - the four levels, the lifecycle, and the rules of confidence: pure.
 *
 * For:     words and numbers of maturity and lifecycle; where confidence lifts and demotes.
 * Not for: deciding actions (governance/).
 * Threads: any; pure.
 * Memory:  static words.
 */
#ifndef GUILD_AGENT_MATURITY_H
#define GUILD_AGENT_MATURITY_H

#include "base/err.h"
#include "base/str.h"

enum maturity { MATURITY_STUDENT = 1, MATURITY_INTERN, MATURITY_SUPERVISED, MATURITY_AUTONOMOUS };
enum lifecycle { LIFECYCLE_ACTIVE = 1, LIFECYCLE_PAUSED, LIFECYCLE_STOPPED, LIFECYCLE_ARCHIVED };

struct str maturity_word(enum maturity maturity);         /* "student" ...; "" outside 1..4 */
bool maturity_parse(struct str word, enum maturity *out); /* without regard to case */
struct str lifecycle_word(enum lifecycle lifecycle);
bool lifecycle_parse(struct str word, enum lifecycle *out);

/* The least confidence on creation at, or promotion to, a level: 5000, 6000, 8000, 9500. */
int maturity_lift_e4(enum maturity maturity);
/* Below this a level is lost: intern 4500, supervised 6500, autonomous 8500; student 0 (never). */
int maturity_floor_e4(enum maturity maturity);
/* Confidence after a change, within 0..10000. */
int confidence_moved(int confidence_e4, int delta_e4);
/* The level after a change of confidence: one lower when it is below the floor, else the same. Never higher. */
enum maturity maturity_after(enum maturity maturity, int confidence_e4);
/* Which lifecycle may follow which: active <-> paused, any of them -> stopped -> active, all -> archived (final). */
bool lifecycle_may_follow(enum lifecycle from, enum lifecycle to);

#endif
