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
#include "http/http.h"

struct ops;

/* After http_server_create (it reads the rows); sets nothing in guild: store the result in guild->ops before the loops run. ERR_MEMORY,
 * ERR_LIMIT. */
enum err ops_create(struct guild *guild, struct ops **out) MUST_USE;
void ops_destroy(struct guild *guild, struct ops **ops);
/* A signed-in caller was turned away by the rate limit: counted, and written to the audit log once a second (http_options.limited). */
void ops_limited(void *guild, struct loop *loop, const struct caller *caller, const char *action);

/* Where the engine finds the connections of external agents. */
struct external_door;
struct external_door ops_external_door(struct ops *ops);

/* /v1/ws, /v1/events, /v1/audit, /healthz, /readyz, /metrics, /openapi.json */
extern const struct http_route ops_routes[];

#endif
