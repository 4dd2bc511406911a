/*
 * audit_api.c - GET /v1/audit and /v1/audit/verify.
 *
 * Members read their own entries. An admin reads everybody's, and that is written to the log before anything is shown.
 */
#include "agent/agent.h"
#include "audit/audit.h"
#include "base/check.h"
#include "base/timefmt.h"
#include "command/change.h"
#include "command/query.h"
#include "ops/ops_priv.h"

struct audit_query {
	struct query query; /* first */
	int64_t workspace, agent, principal, since_us, until_us; /* 0: any */
	struct str action;     /* at NULL: any */
	int outcome;           /* 0: any */
	bool everybody;
	int rows;              /* examined */
	bool has_pending;      /* an entry waits for the hash of the row before it */
	struct log_row pending;
};

/* Goes on once an admin's reading is in the log. */
struct audit_reading {
	struct query *query;
	query_run_fn *run;
};

static void reading_start(struct guild *guild, struct http_request *request, struct query *query, query_run_fn *run);
static struct str filter_text(struct http_request *request);
static bool filters_read(struct guild *guild, struct http_request *request, struct audit_query *query);
static enum err list_run(struct query *query, struct db *db);
static enum err list_row(const struct log_row *row, void *arg);
static enum err verify_run(struct query *query, struct db *db);

/* ---- rows ---- */

void audit_list_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct audit_query *query = query_list_new(guild, request, filter_text(request), sizeof(*query));
	if (query == NULL) {
		return;
	}
	query->workspace = request->caller.workspace;
	query->everybody = caller_is_admin(&request->caller);
	if (!filters_read(guild, request, query)) {
		return;
	}
	if (query->everybody) {
		reading_start(guild, request, &query->query, list_run);
	} else {
		query_submit(&query->query, list_run);
	}
}

void audit_verify_handle(struct http_request *request, void *ctx)
{
	struct query *query = query_new(ctx, request, sizeof(*query));
	if (query != NULL) {
		reading_start(ctx, request, query, verify_run);
	}
}

/* ---- an admin reads ---- */

static void reading_done(struct http_request *request, struct guild *guild, void *arg)
{
	struct audit_reading *reading = arg;
	(void)request;
	(void)guild;
	query_submit(reading->query, reading->run);
}

static void reading_start(struct guild *guild, struct http_request *request, struct query *query, query_run_fn *run)
{
	struct audit_reading *reading = arena_new(&request->arena, struct audit_reading);
	struct str what = arena_format(&request->arena, "{\"path\":\"%s\"}", request->route->path);
	if (reading == NULL || what.at == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	*reading = (struct audit_reading){query, run};
	change_read(guild, request, &(struct change_what){.change = what}, reading_done, reading);
}

/* ---- filters ---- */

/* What a cursor belongs to. */
static struct str filter_text(struct http_request *request)
{
	static const char *const names[] = {"agent", "principal", "action", "outcome", "since", "until"};
	struct str text = STR("");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct str value = STR_NONE;
		(void)http_query_str(request, names[i], &value);
		text = arena_format(&request->arena, "%.*s%.*s&", STR_FMT(text), STR_FMT(value));
	}
	return text;
}

static bool time_read(struct http_request *request, const char *name, int64_t *out)
{
	struct str text;
	if (!http_query_str(request, name, &text)) {
		return true;
	}
	if (time_parse(text, out) != ERR_OK) {
		http_reply_invalid(request, name, "A time as in 2026-01-31T12:00:00Z is wanted here.");
		return false;
	}
	return true;
}

static bool filters_read(struct guild *guild, struct http_request *request, struct audit_query *query)
{
	struct str text;
	if (http_query_str(request, "agent", &text)) {
		const struct agent *agent = registry_find(guild->registry, guild, query->workspace, text);
		query->agent = agent != NULL ? agent->id : -1;
	}
	if (http_query_str(request, "principal", &text) && id_parse(&guild->id_secret, ID_PRINCIPAL, text, &query->principal) != ERR_OK) {
		query->principal = -1;
	}
	if (!query->everybody) {
		query->principal = query->principal == 0 || query->principal == request->caller.principal ? request->caller.principal : -1;
	}
	query->action = http_query_str(request, "action", &text) ? text : STR_NONE;
	if (http_query_str(request, "outcome", &text)) {
		query->outcome = log_outcome_parse(text);
		if (query->outcome == 0) {
			http_reply_invalid(request, "outcome",
					   "One of these is wanted: started, completed, failed, cancelled, timed_out, interrupted, changed.");
			return false;
		}
	}
	return time_read(request, "since", &query->since_us) && time_read(request, "until", &query->until_us);
}

/* ---- the list, newest first, on a reader ---- */

static bool row_fits(const struct audit_query *query, const struct log_row *row)
{
	return (row->kinds & LOG_AUDIT) != 0 && row->workspace == query->workspace && (query->agent == 0 || row->agent == query->agent) &&
	       (query->principal == 0 || row->principal == query->principal) && (query->outcome == 0 || row->outcome == query->outcome) &&
	       (query->action.at == NULL || str_eq_case(row->action, query->action)) &&
	       (query->until_us == 0 || row->time_us <= query->until_us);
}

static void put_hex(struct json_out *json, struct str name, const uint8_t hash[HASH_SHA256_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char text[HASH_SHA256_BYTES * 2];
	for (size_t i = 0; i < HASH_SHA256_BYTES; i++) {
		text[2 * i] = digits[hash[i] >> 4];
		text[2 * i + 1] = digits[hash[i] & 15];
	}
	json_put_str(json, name, str_make(text, sizeof(text)));
}

static void put_member(struct json_out *json, struct json entry, const char *name)
{
	struct json value = json_member(entry, str_of(name));
	json_name(json, str_of(name));
	if (json_there(value)) {
		json_put_value(json, value);
	} else {
		json_null(json);
	}
}

/* An entry whose content was erased has its place and hashes still. */
static enum err entry_put(struct query *query, const struct log_row *row, const uint8_t prev_hash[HASH_SHA256_BYTES])
{
	static const char *const members[] = {"principal",	"agent_id", "agent_name", "action",	 "decision", "rule_id", "session_id",
					      "execution_id", "start",	"end",	      "duration_ms", "outcome",	 "code",    "error_message",
					      "change"};
	struct guild *guild = query->guild;
	struct json_out *json = &query->json;
	struct id_text id = id_format_log(&guild->id_secret, ID_AUDIT, row->time_us, row->seq);
	struct id_text workspace = id_format(&guild->id_secret, ID_WORKSPACE, row->workspace);
	struct time_text time = time_format(row->time_us);
	struct json_doc doc;
	struct json entry = {NULL, 0};
	if (row->entry.len > 0) {
		enum err err = json_parse(&query->request->arena, row->entry, &doc, NULL);
		if (err != ERR_OK) {
			return err == ERR_MALFORMED ? ERR_CORRUPT : err;
		}
		entry = json_root(&doc);
	}
	json_object(json);
	json_put_int(json, STR("seq"), row->seq);
	json_put_str(json, STR("id"), id_str(&id));
	json_put_str(json, STR("time"), time_str(&time));
	json_put_str(json, STR("workspace_id"), id_str(&workspace));
	for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
		put_member(json, entry, members[i]);
	}
	put_hex(json, STR("hash"), row->hash);
	put_hex(json, STR("prev_hash"), prev_hash);
	json_object_end(json);
	return ERR_OK;
}

static enum err pending_put(struct audit_query *query, const uint8_t prev_hash[HASH_SHA256_BYTES])
{
	query->has_pending = false;
	return entry_put(&query->query, &query->pending, prev_hash);
}

/* ERR_END: the page, or the scan, is over. */
static enum err list_row(const struct log_row *row, void *arg)
{
	struct audit_query *query = arg;
	enum err err = query->has_pending ? pending_put(query, row->hash) : ERR_OK;
	if (err != ERR_OK) {
		return err;
	}
	if (query->since_us != 0 && row->time_us < query->since_us) {
		return ERR_END;
	}
	if (query->rows++ == LIMIT_SCAN_ROWS) {
		query->query.more = true;
		return ERR_END;
	}
	if (!row_fits(query, row)) {
		query_mark(&query->query, row->seq, 0);
		return ERR_OK;
	}
	if (!query_room(&query->query)) {
		return ERR_END;
	}
	query_mark(&query->query, row->seq, 0);
	query->pending = *row;
	query->pending.entry = row->entry.at != NULL ? arena_copy(&query->query.request->arena, row->entry) : STR_NONE;
	query->has_pending = true;
	return row->entry.at != NULL && query->pending.entry.at == NULL ? ERR_LIMIT : ERR_OK;
}

static enum err list_run(struct query *query, struct db *db)
{
	static const uint8_t none[HASH_SHA256_BYTES] = {0};
	struct audit_query *audit = (struct audit_query *)query;
	enum err err = log_read_back(db, query->after[0], LIMIT_SCAN_ROWS + 1, list_row, audit);
	if (err != ERR_OK && err != ERR_END) {
		return err;
	}
	return audit->has_pending ? pending_put(audit, none) : ERR_OK;
}

/* ---- verify ---- */

static enum err verify_run(struct query *query, struct db *db)
{
	struct json_out *json = &query->json;
	struct audit_report report;
	struct audit_proofs proofs = {.checkpoints = query->guild->checkpoints};
	enum err err = audit_verify(db, &proofs, &report);
	if (err != ERR_OK) {
		return err;
	}
	struct time_text time = time_format(report.head.time_us);
	json_object(json);
	json_put_bool(json, STR("ok"), report.first_bad == 0);
	json_put_int(json, STR("entries"), report.entries);
	if (report.first_bad != 0) {
		json_put_int(json, STR("first_bad"), report.first_bad);
		json_put_str(json, STR("reason"), str_of(report.reason));
	}
	if (report.last_bad != 0) {
		json_put_int(json, STR("last_bad"), report.last_bad);
	}
	json_put_int(json, STR("erased"), report.erased);
	json_put_int(json, STR("checkpoints"), report.checkpoints);
	json_put_int(json, STR("signed_size"), report.signed_size);
	json_name(json, STR("head"));
	json_object(json);
	json_put_int(json, STR("seq"), report.head.seq);
	put_hex(json, STR("hash"), report.head.hash);
	json_put_str(json, STR("time"), time_str(&time));
	json_object_end(json);
	json_object_end(json);
	return ERR_OK;
}
