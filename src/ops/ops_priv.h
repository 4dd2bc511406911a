/*
 * ops_priv.h - what the files of ops/ share: handlers of the rows, topic names, ownership, pure rendering.
 *
 * For:     ops.c, socket*.c, events_api.c, feed.c, topic.c, health.c, openapi.c, audit_*.c, ops_store.c, topic_check.c.
 * Not for: other folders (ops.h).
 * Threads: handlers on their request's loop; topic checks run on a reader and answer on their home loop.
 * Memory:  said at each struct.
 */
#ifndef GUILD_OPS_OPS_PRIV_H
#define GUILD_OPS_OPS_PRIV_H

#include "base/limits.h"
#include "execution/external.h"
#include "ops/ops.h"

/* ---- rows ---- */
void socket_handle(struct http_request *request, void *ctx);
void events_get_handle(struct http_request *request, void *ctx);
void events_post_handle(struct http_request *request, void *ctx);
void health_handle(struct http_request *request, void *ctx);
void health_ready_handle(struct http_request *request, void *ctx);
void health_metrics_handle(struct http_request *request, void *ctx);
void ops_openapi_handle(struct http_request *request, void *ctx);
void audit_list_handle(struct http_request *request, void *ctx);
void audit_verify_handle(struct http_request *request, void *ctx);
void audit_checkpoint_handle(struct http_request *request, void *ctx);
void audit_inclusion_handle(struct http_request *request, void *ctx);
void audit_consistency_handle(struct http_request *request, void *ctx);
void audit_export_handle(struct http_request *request, void *ctx);

/* ---- presence.c ---- */
struct presence_table;
enum err presence_create(struct guild *guild, struct presence_table **out) MUST_USE;
void presence_destroy(struct presence_table **presence);
struct external_door presence_door(struct presence_table *presence);
struct presence_table *ops_presence(struct ops *ops);

/* ---- flood.c: what the rate limit turned away, counted for the audit log ---- */
struct flood;
enum err flood_create(struct guild *guild, struct flood **out) MUST_USE;
/* No loop runs any more. */
void flood_destroy(struct guild *guild, struct flood **flood);
/* On loop. action is static text. */
void flood_count(struct flood *flood, struct loop *loop, const struct caller *caller, const char *action);

/* ---- retention.c: erasing what was kept long enough ---- */
struct retention;
enum err retention_create(struct guild *guild, struct retention **out) MUST_USE;
/* The loops have ended. */
void retention_destroy(struct guild *guild, struct retention **retention);
void retention_start(struct retention *retention, const struct generation *generation);

/* ---- erase.c: people who are taken out of the store ---- */
struct eraser;
enum err erase_create(struct guild *guild, struct eraser **out) MUST_USE;
/* The loops have ended. */
void erase_destroy(struct guild *guild, struct eraser **eraser);
void erase_wake(struct eraser *eraser);
struct eraser *ops_eraser(struct ops *ops);
/* erase_api.c. Whom the path names ("me": the caller), where the caller is that person or rules over them. NULL: the request was answered. */
struct principal;
const struct principal *erase_target(struct guild *guild, struct http_request *request);
void erase_post_handle(struct http_request *request, void *ctx);
void erase_get_handle(struct http_request *request, void *ctx);
/* user_export.c */
void user_export_handle(struct http_request *request, void *ctx);

/* ---- upkeep.c: backup and check of a running server ---- */
struct upkeep;
enum err upkeep_create(struct guild *guild, struct upkeep **out) MUST_USE;
/* Stops what is under way. */
void upkeep_destroy(struct upkeep **upkeep);
struct upkeep *ops_upkeep(struct ops *ops);
void upkeep_backup_get(struct http_request *request, void *ctx);
void upkeep_backup_post(struct http_request *request, void *ctx);
void upkeep_verify_get(struct http_request *request, void *ctx);
void upkeep_verify_post(struct http_request *request, void *ctx);

/* ---- openapi.c: pure ---- */
/* The OpenAPI 3.1 document of all rows. ERR_LIMIT. */
enum err openapi_render(const struct http_route *const *tables, struct buf *out) MUST_USE;
/* Is there a component of that name? */
bool openapi_schema_known(struct str name);

/* ---- topic.c: names, and who may see them (T1) ---- */
struct topic_name {
	char text[LIMIT_TOPIC_BYTES + 1];
	size_t len;
	int64_t execution, post;  /* != 0: only after a topic_check */
	struct audience audience; /* of what clients publish there: a private channel's, else 0, 0 */
};
static inline struct str topic_str(const struct topic_name *t) { return (struct str){t->text, t->len}; }
/* The name as the bus has it, when caller may subscribe to it: a channel's name becomes its id. ERR_INVALID for a malformed name,
 * ERR_NOT_FOUND for one that is not there or not for this caller (the same answer). */
enum err topic_subscribe_check(struct guild *guild, const struct caller *caller, struct str name, struct topic_name *out) MUST_USE;
/* The same for publishing; ERR_PERMISSION for a channel that the caller sees but does not belong to. */
enum err topic_publish_check(struct guild *guild, const struct caller *caller, struct str name, struct topic_name *out) MUST_USE;
/* May caller be given this event now? Asked for each event, however it is found: a topic alone gives nothing. */
bool ops_event_visible(struct guild *guild, const struct caller *caller, const struct bus_event *event);
/* After it went out on a connection of that caller: the recipient of a direct message has it. */
void ops_event_delivered(struct guild *guild, struct loop *loop, const struct caller *caller, const struct bus_event *event);

/* A client's event for the bus: type "x.<name>" on topics it may publish on. Rows of the body first, then the check. */
struct publish_input {
	struct json topics;   /* array of strings */
	struct str type;
	struct json data;     /* not there: null */
};
/* After the decision, where an agent asks. ERR_INVALID, ERR_NOT_FOUND, ERR_PERMISSION, ERR_TOO_LARGE, ERR_MEMORY; *detail is static, or
 * NULL. */
enum err publish_make(struct guild *guild, const struct caller *caller, const struct publish_input *input, struct bus_event **out,
		      const char **detail) MUST_USE;

/* ---- ops_store.c ---- */
/* ERR_NOT_FOUND. */
enum err ops_turn_owner(struct db *db, int64_t execution, int64_t *owner, int64_t *workspace) MUST_USE;

/* ---- topic_check.c ---- */
#define TOPIC_CHECK_MAX 256
/* Do the executions among these topics belong to caller (or is it an admin of their workspace), and may it see their posts? The embedder
 * fills topics, caller and answer, then starts it; answer runs on the loop that started it, exactly once when start gave ERR_OK. topics are
 * borrowed until then. An admin's look at a run that is somebody else's is on disk before the answer; when it cannot be written, that is
 * the answer. */
struct topic_check {
	struct read_job job;
	struct guild *guild;
	struct caller caller;
	const struct topic_name *topics;
	unsigned count;             /* at most TOPIC_CHECK_MAX */
	bool has_foreign, is_foreign[TOPIC_CHECK_MAX];
	void (*answer)(struct topic_check *check, enum err err);
};
/* Is there anything to check that the store has to be asked for? */
bool topic_check_due(const struct topic_name *topics, unsigned count);
enum err topic_check_start(struct guild *guild, struct loop *loop, struct topic_check *check) MUST_USE;

/* "12", or "7:12" with an epoch in front. False when it is neither. *epoch = 0 when it is not said. */
bool ops_cursor_parse(struct str text, int64_t *epoch, int64_t *offset);

#endif
