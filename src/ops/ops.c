/* ops.c - the rows of the doors that show the server itself. */
#include "ops/ops.h"

#include "base/mem.h"
#include "command/query.h"
#include "ops/ops_priv.h"

#define OPENAPI_BYTES_MAX 4194304

struct ops {
	struct buf openapi;
	struct flood *flood;
	struct presence_table *presence;
	struct retention *retention;
	struct upkeep *upkeep;
	struct eraser *eraser;
};

static const struct http_member events_query[] = {
	{"topics", HTTP_ARRAY, true, 1, 256, NULL, "names of topics, separated by commas"},
	{"after", HTTP_STRING, false, 1, 64, NULL, "newest offset seen, or epoch:offset; now: says first where it begins"},
	{.name = NULL},
};
static const struct http_member events_body[] = {
	{"type", HTTP_STRING, true, 3, 128, NULL, "x.<name>"},
	{"topics", HTTP_ARRAY, true, 1, LIMIT_TOPICS_EVENT, NULL, "plain topics, global, alerts, category:, own channels, the own agent: or user:"},
	{"data", HTTP_ANY, false, 0, 0, NULL, "any JSON"},
	{.name = NULL},
};
static const struct http_member audit_query[] = {
	QUERY_LIST_MEMBERS,
	{"agent", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id or handle"},
	{"principal", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id of who asked for it"},
	{"action", HTTP_STRING, false, 1, LIMIT_ACTION_BYTES, NULL, "name of the action"},
	{"outcome", HTTP_STRING, false, 1, 32, NULL, "started, completed, failed, cancelled, timed_out, interrupted or changed"},
	{"since", HTTP_STRING, false, 1, 64, NULL, "not before this time"},
	{"until", HTTP_STRING, false, 1, 64, NULL, "not after this time"},
	{.name = NULL},
};

static const struct http_member backup_body[] = {
	{"name", HTTP_STRING, false, 1, 100, NULL, "name of the file: letters, digits, dots, dashes; without one it is made from the time"},
	{.name = NULL},
};
static const struct http_member consistency_query[] = {
	{"from", HTTP_INT, true, 1, INT64_MAX, NULL, "size of the earlier state"},
	{"to", HTTP_INT, false, 1, INT64_MAX, NULL, "size of the later state; when absent that of the newest checkpoint"},
	{.name = NULL},
};
static const char *const export_formats[] = {"jsonl", NULL};
static const struct http_member export_query[] = {
	{"format", HTTP_STRING, false, 1, 16, export_formats, "jsonl"},
	{.name = NULL},
};

const struct http_route ops_routes[] = {
	{HTTP1_GET, "/v1/ws", ROLE_VIEWER, SCOPE_OPEN, HTTP_UPGRADE | HTTP_OPEN | HTTP_AGENT_OK, NULL,
	 "Opens a WebSocket that speaks guild.v1; signs in by header or first message.", NULL, NULL, NULL, 101, socket_handle},
	{HTTP1_GET, "/v1/events", ROLE_VIEWER, SCOPE_EVENTS_READ, HTTP_AGENT_OK | HTTP_ENDLESS, "subscribe",
	 "Streams the events of topics; Last-Event-ID goes on after it.", NULL, events_query, "stream", 200, events_get_handle},
	{HTTP1_POST, "/v1/events", ROLE_MEMBER, SCOPE_EVENTS_PUBLISH, HTTP_AGENT_OK | HTTP_CLAIM, "publish",
	 "Publishes an event of a type x.<name>.", events_body,
	 NULL, NULL, 202, events_post_handle},
	{HTTP1_GET, "/v1/audit", ROLE_MEMBER, SCOPE_AUDIT_READ, 0, "read",
	 "Lists audit entries, newest first: all of them for admins, else one's own.", NULL,
	 audit_query, "list:audit_entry", 200, audit_list_handle},
	{HTTP1_GET, "/v1/audit/verify", ROLE_ADMIN, SCOPE_AUDIT_READ, 0, "read", "Walks the audit log and names the first bad entry.", NULL, NULL,
	 "audit_report", 200, audit_verify_handle},
	{HTTP1_POST, "/v1/backup", ROLE_OPERATOR, SCOPE_ADMIN, HTTP_BODY_OPTIONAL, "backup",
	 "Begins to copy the store into backups/NAME of the server's data directory, and to check the copy.", backup_body, NULL, "backup", 202,
	 upkeep_backup_post},
	{HTTP1_GET, "/v1/backup", ROLE_OPERATOR, SCOPE_ADMIN, 0, "backup", "How the backup begun last is getting on.", NULL, NULL, "backup", 200,
	 upkeep_backup_get},
	{HTTP1_POST, "/v1/verify", ROLE_ADMIN, SCOPE_ADMIN, 0, "verify", "Begins to check that the store holds together.", NULL,
	 NULL, "verification", 202,
	 upkeep_verify_post},
	{HTTP1_GET, "/v1/verify", ROLE_ADMIN, SCOPE_ADMIN, 0, "verify", "How the check begun last is getting on, and what it found.", NULL, NULL,
	 "verification", 200, upkeep_verify_get},
	{HTTP1_GET, "/v1/users/{id}/export", ROLE_VIEWER, SCOPE_WHOLE, HTTP_TEXT, "read",
	 "Streams what the store has of a person, as lines of JSON. Oneself, or as an admin.", NULL, NULL, NULL, 200, user_export_handle},
	{HTTP1_POST, "/v1/users/{id}/erase", ROLE_VIEWER, SCOPE_WHOLE, 0, "erase",
	 "Begins to take everything of a person out of the store; access ends at once. Oneself, or as an admin.", NULL, NULL, "erasure", 202,
	 erase_post_handle},
	{HTTP1_GET, "/v1/users/{id}/erase", ROLE_VIEWER, SCOPE_WHOLE, 0, "read", "How the erasure of a person is getting on.", NULL, NULL, "erasure",
	 200, erase_get_handle},
	{HTTP1_GET, "/v1/audit/checkpoint", ROLE_MEMBER, SCOPE_AUDIT_READ, 0, "read",
	 "The newest signed state of the audit log, and the public key.", NULL, NULL,
	 "audit_signed", 200, audit_checkpoint_handle},
	{HTTP1_GET, "/v1/audit/consistency", ROLE_MEMBER, SCOPE_AUDIT_READ, 0, "read",
	 "Proves that a later state of the log grew out of an earlier one (RFC 6962).",
	 NULL, consistency_query, "audit_consistency", 200, audit_consistency_handle},
	{HTTP1_GET, "/v1/audit/export", ROLE_ADMIN, SCOPE_AUDIT_READ, HTTP_TEXT, "read",
	 "Streams the whole log as lines of JSON, for checking it elsewhere.", NULL,
	 export_query, NULL, 200, audit_export_handle},
	{HTTP1_GET, "/v1/audit/{id}/proof", ROLE_MEMBER, SCOPE_AUDIT_READ, 0, "read",
	 "Proves that an entry is in the newest signed state (RFC 6962).", NULL, NULL,
	 "audit_inclusion", 200, audit_inclusion_handle},
	{HTTP1_GET, "/healthz", ROLE_VIEWER, SCOPE_OPEN, HTTP_OPEN | HTTP_UNLIMITED, NULL, "Says how the server is; more to admins.",
	 NULL, NULL, "health",
	 200, health_handle},
	{HTTP1_GET, "/readyz", ROLE_VIEWER, SCOPE_OPEN, HTTP_OPEN | HTTP_UNLIMITED, NULL, "503 while degraded or stopping.", NULL, NULL, "health", 200,
	 health_ready_handle},
	{HTTP1_GET, "/metrics", ROLE_ADMIN, SCOPE_ADMIN, HTTP_TEXT | HTTP_UNLIMITED, NULL, "Figures in the text format of Prometheus.", NULL, NULL, NULL,
	 200, health_metrics_handle},
	{HTTP1_GET, "/openapi.json", ROLE_VIEWER, SCOPE_OPEN, HTTP_OPEN, NULL, "This document.", NULL, NULL, "object", 200, ops_openapi_handle},
	{.path = NULL},
};

enum err ops_create(struct guild *guild, struct ops **out)
{
	struct ops *ops = mem_alloc(sizeof(*ops));
	*out = ops;
	if (ops == NULL) {
		return ERR_MEMORY;
	}
	buf_init(&ops->openapi, OPENAPI_BYTES_MAX);
	enum err err = openapi_render(http_server_routes(guild->http), &ops->openapi);
	err = err == ERR_OK ? flood_create(guild, &ops->flood) : err;
	err = err == ERR_OK ? presence_create(guild, &ops->presence) : err;
	err = err == ERR_OK ? retention_create(guild, &ops->retention) : err;
	err = err == ERR_OK ? upkeep_create(guild, &ops->upkeep) : err;
	err = err == ERR_OK ? erase_create(guild, &ops->eraser) : err;
	if (err != ERR_OK) {
		ops_destroy(guild, out);
	}
	return err;
}

void ops_start(struct ops *ops, const struct generation *generation)
{
	retention_start(ops->retention, generation);
	erase_wake(ops->eraser);
}

struct eraser *ops_eraser(struct ops *ops)
{
	return ops->eraser;
}

struct upkeep *ops_upkeep(struct ops *ops)
{
	return ops->upkeep;
}

struct presence_table *ops_presence(struct ops *ops)
{
	return ops->presence;
}

struct external_door ops_external_door(struct ops *ops)
{
	return presence_door(ops->presence);
}

void ops_limited(void *ctx, struct loop *loop, const struct caller *caller, const char *action)
{
	struct guild *guild = ctx;
	flood_count(guild->ops->flood, loop, caller, action);
}

void ops_destroy(struct guild *guild, struct ops **ops)
{
	if (*ops != NULL) {
		flood_destroy(guild, &(*ops)->flood);
		presence_destroy(&(*ops)->presence);
		retention_destroy(guild, &(*ops)->retention);
		upkeep_destroy(&(*ops)->upkeep);
		erase_destroy(guild, &(*ops)->eraser);
		buf_fini(&(*ops)->openapi);
		mem_free(*ops);
		*ops = NULL;
	}
}

void ops_openapi_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	http_reply_json(request, 200, buf_str(&guild->ops->openapi));
}
