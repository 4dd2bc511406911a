/* policy_api.c - /v1/policy, /v1/emergency, /v1/kill-switch: rows, and what they answer. */
#include "base/limits.h"
#include "base/timefmt.h"
#include "command/query.h"
#include "governance/policy_priv.h"

static const struct http_member list_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};
static const struct http_member put_members[] = {
	{"level", HTTP_INT, false, 1, 4, NULL, "what the action needs from now on; null: what it needs by default"},
	{"reason", HTTP_STRING, false, 1, 1000, NULL, "why; kept in the history and the audit log"},
	{.name = NULL},
};
static const struct http_member emergency_members[] = {
	{"minutes", HTTP_INT, true, 0, LIMIT_EMERGENCY_MINUTES, NULL, "how long, from now on; 0 ends it"},
	{"reason", HTTP_STRING, true, 1, 1000, NULL, "why; kept in the audit log"},
	{.name = NULL},
};
static const struct http_member stop_members[] = {
	{"on", HTTP_BOOL, true, 0, 0, NULL, "true stops all agents of the workspace, false lets them go on"},
	{"reason", HTTP_STRING, true, 1, 1000, NULL, "why; kept in the audit log"},
	{.name = NULL},
};

/* ---- objects ---- */

static void id_put(struct guild *guild, struct json_out *out, struct str name, int64_t principal)
{
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, principal);
	json_put_str_or_null(out, name, principal != 0 ? id_str(&id) : STR_NONE);
}

static void time_put(struct json_out *out, struct str name, int64_t time_us)
{
	struct time_text time = time_format(time_us);
	json_put_str_or_null(out, name, time_us != 0 ? time_str(&time) : STR_NONE);
}

static void level_put(struct json_out *out, struct str name, int64_t level)
{
	if (level != 0) {
		json_put_int(out, name, level);
	} else {
		json_put_null(out, name);
	}
}

static void hex_put(struct json_out *out, struct str name, struct str hash)
{
	char hex[POLICY_HEX_BYTES];
	hash_hex((const uint8_t *)hash.at, HASH_SHA256_BYTES, hex);
	json_put_str(out, name, str_of(hex));
}

/* The members of one action's entry. */
static void entry_put(const struct policy *policy, struct str action, struct json_out *out)
{
	struct action_level level = {.complexity = policy->unknown_level};
	(void)!policy_level(policy, action, &level);
	json_put_str(out, STR("action"), action);
	json_put_int(out, STR("level"), level.complexity);
	json_put_str(out, STR("required_maturity"), maturity_word((enum maturity)level.complexity));
	level_put(out, STR("default_level"), policy_default_level(action));
	json_put_bool(out, STR("overridden"), policy_override_of(policy, action) != NULL);
}

static void version_put(const struct policy *policy, struct json_out *out)
{
	json_put_int(out, STR("version"), policy->version);
	hex_put(out, STR("hash"), str_make((const char *)policy->hash, sizeof(policy->hash)));
}

void policy_setting_json(const struct policy *policy, struct str action, struct json_out *out)
{
	json_object(out);
	entry_put(policy, action, out);
	version_put(policy, out);
	json_object_end(out);
}

void policy_emergency_json(struct guild *guild, const struct policy *policy, struct json_out *out)
{
	const struct policy_exceptions *e = &policy->exceptions;
	bool on = policy_emergency_now(policy);
	json_object(out);
	json_put_bool(out, STR("on"), on);
	time_put(out, STR("since"), on ? e->emergency_since_us : 0);
	time_put(out, STR("until"), on ? e->emergency_until_us : 0);
	json_put_str_or_null(out, STR("reason"), on ? e->emergency_reason : STR_NONE);
	id_put(guild, out, STR("declared_by"), on ? e->emergency_by : 0);
	json_object_end(out);
}

void policy_stop_json(struct guild *guild, const struct policy *policy, struct json_out *out)
{
	const struct policy_exceptions *e = &policy->exceptions;
	json_object(out);
	json_put_bool(out, STR("on"), e->stopped_since_us != 0);
	time_put(out, STR("since"), e->stopped_since_us);
	json_put_str_or_null(out, STR("reason"), e->stopped_reason);
	id_put(guild, out, STR("stopped_by"), e->stopped_by);
	json_object_end(out);
}

void policy_health_json(struct guild *guild, int64_t workspace, struct json_out *out)
{
	const struct policy *policy = policy_get(guild->policies, workspace);
	json_object(out);
	json_put_str(out, STR("mode"), policy->off ? STR("off") : STR("enforce"));
	json_put_int(out, STR("policy_version"), policy->version);
	json_name(out, STR("emergency"));
	policy_emergency_json(guild, policy, out);
	json_name(out, STR("kill_switch"));
	policy_stop_json(guild, policy, out);
	json_object_end(out);
}

/* ---- the table ---- */

/* The defaults in their order, then what was added, oldest first: neither moves while a client pages through. */
static enum err table_run(struct query *query, struct db *db)
{
	const struct policy *policy = policy_get(query->guild->policies, query->request->caller.workspace);
	char hex[POLICY_HEX_BYTES];
	struct str action;
	int level;
	bool room = true;
	(void)db;
	for (size_t i = (size_t)query->after[0]; room && policy_default(i, &action, &level); i++) {
		room = query_room(query);
		if (room) {
			json_object(&query->json);
			entry_put(policy, action, &query->json);
			json_object_end(&query->json);
			query_mark(query, (int64_t)i + 1, 0);
		}
	}
	for (size_t i = 0; room && i < policy->override_count; i++) {
		const struct policy_override *override = &policy->overrides[i];
		if (override->since <= query->after[1] || policy_default_level(override->action) != 0) {
			continue;
		}
		room = query_room(query);
		if (room) {
			json_object(&query->json);
			entry_put(policy, override->action, &query->json);
			json_object_end(&query->json);
			query_mark(query, INT32_MAX, override->since);
		}
	}
	policy_hash_hex(policy, hex);
	query->members = arena_format(&query->request->arena, "\"version\":%lld,\"hash\":\"%s\"", (long long)policy->version, hex);
	return query->members.at != NULL ? ERR_OK : ERR_LIMIT;
}

static void handle_table(struct http_request *request, void *ctx)
{
	struct query *query = query_list_new(ctx, request, STR(""), sizeof(*query));
	if (query != NULL) {
		query_submit(query, table_run);
	}
}

/* If-Match: "3" or 3; *version stays 0 without one or for *. False: the request has been answered. */
static bool if_match_read(struct http_request *request, int64_t *version)
{
	struct str text = http_header(request, STR("if-match"));
	uint64_t number;
	if (text.at == NULL || str_eq(text, STR("*"))) {
		return true;
	}
	if (text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"') {
		text = str_sub(text, 1, text.len - 2);
	}
	if (!str_to_u64(text, &number) || number < 1 || number > INT64_MAX) {
		http_reply_invalid(request, "If-Match", "It has to be the table's version, as in \"3\".");
		return false;
	}
	*version = (int64_t)number;
	return true;
}

/* The reason, without white space around it; false: the request has been answered. */
static bool reason_read(struct http_request *request, struct str *reason)
{
	if (http_body_str(request, "reason", reason)) {
		*reason = str_trim(*reason);
		if (reason->len == 0) {
			http_reply_invalid(request, "/reason", "A reason is more than white space.");
			return false;
		}
	}
	return true;
}

static void handle_put(struct http_request *request, void *ctx)
{
	struct policy_edit edit = {.kind = POLICY_EDIT_ACTION};
	int64_t level = 0;
	char *form = arena_alloc(&request->arena, LIMIT_POLICY_ACTION_BYTES);
	if (form == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	if (!policy_action_form(request->params[0], form, &edit.action)) {
		http_reply_invalid(request, "action", "An action of the table has 1 to 64 letters, digits and '_'.");
		return;
	}
	if (!json_there(json_member(request->body, STR("level")))) {
		http_reply_invalid(request, "/level", "A level from 1 to 4 is needed, or null.");
		return;
	}
	(void)http_body_int(request, "level", &level);
	edit.level = (int)level;
	if (reason_read(request, &edit.reason) && if_match_read(request, &edit.if_version)) {
		policy_edit_start(ctx, request, &edit);
	}
}

/* ---- its history ---- */

static bool history_row(const struct policy_change *change, void *arg)
{
	struct query *query = arg;
	if (!query_room(query)) {
		return false;
	}
	struct json_out *json = &query->json;
	json_object(json);
	json_put_int(json, STR("version"), change->version);
	json_put_str_or_null(json, STR("action"), change->action);
	level_put(json, STR("old_level"), change->old_level);
	level_put(json, STR("level"), change->level);
	json_put_bool(json, STR("overridden"), change->overridden);
	hex_put(json, STR("old_hash"), change->old_hash);
	hex_put(json, STR("hash"), change->hash);
	json_put_str_or_null(json, STR("reason"), change->reason);
	id_put(query->guild, json, STR("changed_by"), change->changed_by);
	time_put(json, STR("changed_at"), change->changed_at_us);
	json_object_end(json);
	query_mark(query, change->version, 0);
	return true;
}

static enum err history_run(struct query *query, struct db *db)
{
	int64_t before = query->after[0] != 0 ? query->after[0] : INT64_MAX;
	return policy_changes(db, query->request->caller.workspace, before, query->limit + 1, history_row, query);
}

static void handle_history(struct http_request *request, void *ctx)
{
	struct query *query = query_list_new(ctx, request, STR(""), sizeof(*query));
	if (query != NULL) {
		query_submit(query, history_run);
	}
}

/* ---- exceptions ---- */

static void state_reply(struct guild *guild, struct http_request *request,
	void (*put)(struct guild *guild, const struct policy *policy, struct json_out *out))
{
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	put(guild, policy_get(guild->policies, request->caller.workspace), &json);
	change_reply(request, 200, &text);
}

static void handle_emergency(struct http_request *request, void *ctx)
{
	state_reply(ctx, request, policy_emergency_json);
}

static void handle_stop(struct http_request *request, void *ctx)
{
	state_reply(ctx, request, policy_stop_json);
}

static void handle_emergency_set(struct http_request *request, void *ctx)
{
	struct policy_edit edit = {.kind = POLICY_EDIT_EMERGENCY};
	(void)http_body_int(request, "minutes", &edit.minutes);
	if (reason_read(request, &edit.reason)) {
		policy_edit_start(ctx, request, &edit);
	}
}

static void handle_stop_set(struct http_request *request, void *ctx)
{
	struct policy_edit edit = {.kind = POLICY_EDIT_STOP};
	(void)http_body_bool(request, "on", &edit.stop);
	if (reason_read(request, &edit.reason)) {
		policy_edit_start(ctx, request, &edit);
	}
}

const struct http_route policy_routes[] = {
	{HTTP1_GET, "/v1/policy", ROLE_VIEWER, SCOPE_POLICY_READ, 0, "list", "Lists the action table of the workspace, with its version and hash.", NULL,
		list_query, "policy", 200, handle_table},
	{HTTP1_PUT, "/v1/policy/{action}", ROLE_ADMIN, SCOPE_POLICY_WRITE, 0, "configure",
		"Changes the level of an action, for the very next decision; If-Match names the version it is based on.", put_members, NULL,
		"policy_setting", 200, handle_put},
	{HTTP1_GET, "/v1/policy/history", ROLE_VIEWER, SCOPE_POLICY_READ, 0, "list", "Lists the changes of the action table, newest first.",
		NULL, list_query, "list:policy_change", 200, handle_history},
	{HTTP1_GET, "/v1/emergency", ROLE_VIEWER, SCOPE_POLICY_READ, 0, "get", "Shows whether an emergency is declared.", NULL, NULL, "emergency", 200,
		handle_emergency},
	{HTTP1_POST, "/v1/emergency", ROLE_OPERATOR, SCOPE_ADMIN, 0, "grant",
		"Declares an emergency, in which no action is refused for its agent's maturity, or ends it.", emergency_members, NULL, "emergency",
		200, handle_emergency_set},
	{HTTP1_GET, "/v1/kill-switch", ROLE_VIEWER, SCOPE_POLICY_READ, 0, "get", "Shows whether all agents are stopped.", NULL, NULL, "kill_switch", 200,
		handle_stop},
	{HTTP1_POST, "/v1/kill-switch", ROLE_ADMIN, SCOPE_ADMIN, 0, "shutdown",
		"Stops all agents of the workspace and cancels their runs, or lets them go on.", stop_members, NULL, "kill_switch", 200,
		handle_stop_set},
	{.path = NULL},
};
