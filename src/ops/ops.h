/*
 * ops.h - the doors that show the server itself: WebSocket and event streams, health, metrics, openapi.json, the audit log.
 *
 * For:     app/, which builds it, and the route tables.
 * Not for: what the commands behind those doors do (the features).
 * Threads: ops_create and ops_destroy while no loop runs; handlers on their request's loop.
 * Memory:  struct ops owns the rendered openapi.json and nothing else; connections belong to their loops.
 */
#ifndef GUILD_OPS_OPS_H
#define GUILD_OPS_OPS_H

#include "command/guild.h"
#include "db/backup.h"
#include "http/http.h"

struct ops;

/* After http_server_create (it reads the rows); sets nothing in guild: store the result in guild->ops before the loops run. ERR_MEMORY,
 * ERR_LIMIT. */
enum err ops_create(struct guild *guild, struct ops **out) MUST_USE;
void ops_destroy(struct guild *guild, struct ops **ops);
/* Once the loops run: what is over is erased from now on, and how far the store is written down. */
void ops_start(struct ops *ops, const struct generation *generation);
/* A signed-in caller was turned away by the rate limit: counted, and written to the audit log once a second (http_options.limited). */
void ops_limited(void *guild, struct loop *loop, const struct caller *caller, const char *action);

/* Where the engine finds the connections of external agents. */
struct external_door;
struct external_door ops_external_door(struct ops *ops);

/* ---- verify.c: does a store hold together? Any thread but a loop's; the connection is borrowed ---- */
enum verify_state { VERIFY_WAITING, VERIFY_GOOD, VERIFY_BAD, VERIFY_LEFT_OUT };
struct verify_result {
	const char *name, *text; /* static */
	enum verify_state state;
	int64_t rows;            /* looked at */
	char bad[256];           /* the first thing that does not hold */
};
struct verify;
/* at_rest: nobody writes, so that the file itself is walked too. Of a store of an earlier schema nothing else is looked at. */
enum err verify_create(struct db *db, bool at_rest, struct verify **out) MUST_USE;
/* Asked now and then during a step that takes long; false stops it with ERR_CANCELLED. */
void verify_go_on_set(struct verify *verify, bool (*go_on)(void *arg), void *arg);
void verify_destroy(struct verify **verify);
/* One short read; *more is false after the last. An error is one of reading: what does not hold is no error. */
enum err verify_step(struct verify *verify, bool *more) MUST_USE;
/* The check that is next, and all of them in their order. */
unsigned verify_now(const struct verify *verify);
const struct verify_result *verify_results(const struct verify *verify, unsigned *count);
const struct verify_result *verify_first_bad(const struct verify *verify); /* NULL: none */
/* Members of an object: ok, checks. */
void verify_results_put(const struct verify_result *results, unsigned count, struct json_out *json);

/* /v1/ws, /v1/backup, /v1/verify, /v1/events, /v1/audit, /healthz, /readyz, /metrics, /openapi.json */
extern const struct http_route ops_routes[];

#endif
