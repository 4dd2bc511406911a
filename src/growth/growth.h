/*
 * growth.h - how agents rise and fall: feedback, evidence, readiness, promotion, incidents, reputation.
 *
 * For:     the routes of these.
 * Not for: counting (agent/tally.h: whoever does something countable); confidence itself (agent/outcome.c); deciding actions (governance/).
 * Threads: loops.
 * Memory:  requests' arenas.
 *
 * Confidence demotes and never promotes. A promotion is one step, by a human admin: on the evidence, or over it, with a reason.
 */
#ifndef GUILD_GROWTH_GROWTH_H
#define GUILD_GROWTH_GROWTH_H

#include "http/http.h"

/* The part of a person who is erased: corrections and notes are emptied; what counted goes on counting. */
struct erase_step;
struct db;
enum err feedback_erase(struct erase_step *step, struct db *db) MUST_USE;

/* GET /v1/agents/{id}/readiness, /reputation; POST /v1/agents/{id}/promote, /demote */
extern const struct http_route growth_routes[];
/* POST /v1/agents/{id}/feedback, GET /v1/feedback, GET /v1/feedback/{id}, POST /v1/feedback/{id}/accept, /reject */
extern const struct http_route feedback_routes[];

#endif
