/* execution_api.c - rows of runs: chat, list, one, cancel, events, and which agent would answer. */
#include <stdio.h>

#include "base/timefmt.h"
#include "command/change.h"
#include "execution/api_priv.h"
#include "wire/base64.h"
#include "wire/json.h"

static void list_handle(struct http_request *request, void *ctx);
static void get_handle(struct http_request *request, void *ctx);
static void cancel_handle(struct http_request *request, void *ctx);
static void events_handle(struct http_request *request, void *ctx);
static void resolve_handle(struct http_request *request, void *ctx);

static const char *const busy_words[] = {"enqueue", "reject", "interrupt", "rollback", NULL};
static const char *const status_words[] = {"queued", "running", "completed", "failed", "cancelled", "timed_out", "interrupted", NULL};
static const char *const priority_words[] = {"low", "medium", "high", "urgent", NULL};
static const char *const include_words[] = {"refused", NULL};

#define CHAT_MEMBERS                                                                                                                    \
	{"message", HTTP_STRING, true, 1, LIMIT_MESSAGE_BYTES, NULL, "what the user says"},                                             \
	{"session_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "goes on with this session; left out: a new one is made"},        \
	{"stream", HTTP_BOOL, false, 0, 0, NULL, "true: the answer comes as an event stream"},                                         \
	{"history", HTTP_ARRAY, false, 0, LIMIT_HISTORY_MESSAGES, NULL,                                                               \
	 "turns {role: user or assistant, content} sent to the model instead of the stored ones"},                                    \
	{"on_busy", HTTP_STRING, false, 0, 0, busy_words, "what happens when the session is answering another message"},              \
	{"priority", HTTP_STRING, false, 0, 0, priority_words, "among runs that wait for a place: medium when left out"},             \
	{"after", HTTP_ARRAY, false, 0, LIMIT_RUN_AFTER, NULL, "ids of runs that have to complete before this one begins"},           \
	{"parent_execution_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL,                                                          \
	 "the running run that this one works for"},                                                                                  \
	{"strict", HTTP_BOOL, false, 0, 0, NULL, "true: an unknown agent is a 404 instead of a fallback"},                            \
	{"wait_ms", HTTP_INT, false, 0, 600000, NULL, "how long an external agent may take to connect; 0: it has to be there"},       \
	{NULL, HTTP_ANY, false, 0, 0, NULL, NULL}

static const struct http_member chat_body[] = {
	{"agent", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id or handle; left out: the session's agent, then the default"}, CHAT_MEMBERS};
static const struct http_member agent_chat_body[] = {CHAT_MEMBERS};
static const struct http_member list_query[] = {
	{"agent", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id or handle"},
	{"session", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id of a session"},
	{"user", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id of a user (admins)"},
	{"status", HTTP_STRING, false, 0, 0, status_words, "only runs in this state"},
	{"since", HTTP_STRING, false, 1, 40, NULL, "started at or after this time"},
	{"until", HTTP_STRING, false, 1, 40, NULL, "started before this time"},
	{"include", HTTP_STRING, false, 0, 0, include_words, "refused: attempts that governance refused too"},
	{"limit", HTTP_INT, false, 1, 100, NULL, "items of a page, 50 when left out"},
	{"cursor", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "next_cursor of the page before"},
	{NULL, HTTP_ANY, false, 0, 0, NULL, NULL}};
static const struct http_member events_query[] = {
	{"after", HTTP_STRING, false, 1, 64, NULL, "last number seen: seq, or epoch:seq"}, {NULL, HTTP_ANY, false, 0, 0, NULL, NULL}};
static const struct http_member resolve_query[] = {{"agent", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id or handle that is asked for"},
						   {"session_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id of a session"},
						   {NULL, HTTP_ANY, false, 0, 0, NULL, NULL}};

const struct http_route execution_routes[] = {
	{HTTP1_POST, "/v1/chat", ROLE_MEMBER, SCOPE_CHAT, 0, "stream_chat", "Chats with an agent; JSON, or an event stream.", chat_body, NULL, "run", 200,
	 chat_handle},
	{HTTP1_POST, "/v1/agents/{id}/chat", ROLE_MEMBER, SCOPE_CHAT, 0, "stream_chat", "Chats with this agent.", agent_chat_body, NULL, "run", 200,
	 chat_handle},
	{HTTP1_GET, "/v1/executions", ROLE_VIEWER, SCOPE_CHAT, 0, "list", "Lists runs, newest first.", NULL, list_query, "list:execution", 200,
	 list_handle},
	{HTTP1_GET, "/v1/executions/{id}", ROLE_VIEWER, SCOPE_CHAT, 0, "get", "One run.", NULL, NULL, "execution", 200, get_handle},
	{HTTP1_POST, "/v1/executions/{id}/cancel", ROLE_MEMBER, SCOPE_CHAT, HTTP_CLAIM, "chat", "Cancels a run; its partial text stays.", NULL, NULL,
	 "execution", 202, cancel_handle},
	{HTTP1_GET, "/v1/executions/{id}/events", ROLE_VIEWER, SCOPE_CHAT, 0, "subscribe",
	 "The numbered events of a run after a number, then live; 204 when all was delivered.", NULL, events_query, "stream", 200, events_handle},
	{HTTP1_GET, "/v1/resolve", ROLE_VIEWER, SCOPE_AGENTS_READ, 0, "explain", "Which agent would answer, and how it is found.", NULL,
	 resolve_query, "resolution",
	 200, resolve_handle},
	{0}};

/* ---- one run ---- */

enum then { THEN_SHOW, THEN_EVENTS, THEN_CONFLICT, THEN_ACCEPTED };

struct one_call {
	struct read_job read;
	struct http_request *request;
	struct guild *guild;
	int64_t id;
	enum then then;
	int64_t after_seq, after_epoch;
	struct turn turn;
	/* of an event stream */
	struct http_stream *stream;
	struct execution_viewer *viewer;
};

static void one_answer(struct one_call *call);
static void events_open(struct one_call *call);
static void one_read(struct http_request *request, struct guild *guild, void *arg);

static enum err one_run(struct read_job *job, struct db *db)
{
	struct one_call *call = container_of(job, struct one_call, read);
	enum err err = turn_get(db, &call->request->arena, call->id, &call->turn);
	const struct caller *caller = &call->request->caller;
	if (err == ERR_OK && (call->turn.workspace != caller->workspace || (call->turn.owner != caller->principal && !caller_is_admin(caller)))) {
		return ERR_NOT_FOUND;
	}
	return err;
}

/* What the audit log says when an admin reads what is somebody else's: the run's id, or whose runs (0: everybody's). */
static struct str foreign_read(struct http_request *request, struct guild *guild, enum id_kind kind, int64_t key)
{
	struct id_text id = id_format(&guild->id_secret, kind, key);
	if (key == 0) {
		return STR("{\"read\":\"executions\"}");
	}
	return kind == ID_EXECUTION ? arena_format(&request->arena, "{\"execution_id\":\"%s\",\"read\":\"execution\"}", id.text)
				    : arena_format(&request->arena, "{\"read\":\"executions\",\"user_id\":\"%s\"}", id.text);
}

static void one_done(struct read_job *job)
{
	struct one_call *call = container_of(job, struct one_call, read);
	if (job->result != ERR_OK) {
		http_reply_error(call->request, job->result, NULL);
	} else if (call->turn.owner != call->request->caller.principal && (call->then == THEN_SHOW || call->then == THEN_EVENTS)) {
		struct change_what what = {.agent = call->turn.agent,
					   .session = call->turn.session,
					   .change = foreign_read(call->request, call->guild, ID_EXECUTION, call->id)};
		change_read(call->guild, call->request, &what, one_read, call);
	} else {
		one_read(call->request, call->guild, call);
	}
}

static void one_read(struct http_request *request, struct guild *guild, void *arg)
{
	struct one_call *call = arg;
	(void)request;
	(void)guild;
	if (call->then == THEN_EVENTS) {
		events_open(call);
	} else {
		one_answer(call);
	}
}

static void one_begin(struct http_request *request, struct guild *guild, enum then then, int64_t after_seq, int64_t after_epoch)
{
	struct one_call *call = arena_new(&request->arena, struct one_call);
	if (call == NULL) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return;
	}
	*call = (struct one_call){.request = request, .guild = guild, .then = then, .after_seq = after_seq, .after_epoch = after_epoch};
	call->read = (struct read_job){.run = one_run, .done = one_done, .home = request->loop};
	enum err err = id_parse(&guild->id_secret, ID_EXECUTION, request->params[0], &call->id);
	if (err == ERR_OK) {
		err = reader_push(guild->readers, &call->read);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

static void one_answer(struct one_call *call)
{
	struct http_request *request = call->request;
	struct buf text;
	struct json_out json;
	if (call->then == THEN_CONFLICT && call->turn.status > EXECUTION_RUNNING) {
		http_reply_error(request, ERR_CONFLICT, "The run is over already.");
		return;
	}
	buf_init(&text, 8 * (size_t)LIMIT_ANSWER_BYTES);
	json_begin(&json, &text);
	turn_json(call->guild, &call->turn, &json);
	if (buf_err(&text) != ERR_OK) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
	} else {
		http_reply_json(request, call->then == THEN_SHOW ? 200 : 202, buf_str(&text));
	}
	buf_fini(&text);
}

static void get_handle(struct http_request *request, void *ctx)
{
	one_begin(request, ctx, THEN_SHOW, 0, 0);
}

/* ---- cancel ---- */

struct cancel_call {
	struct cancel_request cancel;
	struct http_request *request;
	struct guild *guild;
};

/* Not on its loop any more: what the store says of it decides between 404 and 409. */
static void cancel_answer(struct cancel_request *cancel)
{
	struct cancel_call *call = container_of(cancel, struct cancel_call, cancel);
	one_begin(call->request, call->guild, cancel->result == ERR_OK ? THEN_ACCEPTED : THEN_CONFLICT, 0, 0);
}

static void cancel_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct cancel_call *call = arena_new(&request->arena, struct cancel_call);
	if (call == NULL) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return;
	}
	call->request = request;
	call->guild = guild;
	call->cancel = (struct cancel_request){.home = request->loop, .caller = request->caller, .answer = cancel_answer};
	if (id_parse(&guild->id_secret, ID_EXECUTION, request->params[0], &call->cancel.id) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return;
	}
	execution_cancel(guild->engine, &call->cancel);
}

/* ---- events ---- */

/* "seq" or "epoch:seq". */
static bool cursor_parse(struct str text, int64_t *epoch, int64_t *seq)
{
	ptrdiff_t colon = str_find_byte(text, ':');
	uint64_t e = 1, s;
	if (colon >= 0 && !str_to_u64(str_sub(text, 0, (size_t)colon), &e)) {
		return false;
	}
	if (!str_to_u64(str_sub(text, (size_t)(colon + 1), text.len), &s) || s > INT32_MAX || e == 0 || e > INT32_MAX) {
		return false;
	}
	*epoch = (int64_t)e;
	*seq = (int64_t)s;
	return true;
}

/* Last-Event-ID is "<execution>:<epoch>:<seq>" of this execution. */
static bool last_event_parse(struct http_request *request, struct str text, int64_t *epoch, int64_t *seq)
{
	struct str rest = str_sub(text, ID_TEXT_LEN + 1, text.len);
	return text.len > ID_TEXT_LEN + 1 && str_eq_case(str_sub(text, 0, ID_TEXT_LEN), request->params[0]) && text.at[ID_TEXT_LEN] == ':' &&
	       str_find_byte(rest, ':') >= 0 && cursor_parse(rest, epoch, seq);
}

static void events_handle(struct http_request *request, void *ctx)
{
	struct str text;
	int64_t epoch = 1, seq = 0;
	struct str last = http_header(request, STR("Last-Event-ID"));
	if (last.at != NULL && last.len > 0) {
		if (!last_event_parse(request, last, &epoch, &seq)) {
			http_reply_error(request, ERR_MALFORMED, "Last-Event-ID is not an id of this run's stream.");
			return;
		}
	} else if (http_query_str(request, "after", &text) && !cursor_parse(text, &epoch, &seq)) {
		http_reply_error(request, ERR_MALFORMED, "after is a number, or epoch:number.");
		return;
	}
	one_begin(request, ctx, THEN_EVENTS, seq, epoch);
}

static enum err events_send(void *ctx, struct frame *frame, int64_t seq)
{
	struct one_call *call = ctx;
	(void)seq;
	return http_stream_send_take(call->stream, frame);
}

static void events_ended(void *ctx, enum err err)
{
	struct one_call *call = ctx;
	(void)err;
	http_stream_end(call->stream);
}

static void events_drained(struct http_stream *stream, void *owner)
{
	struct one_call *call = owner;
	(void)stream;
	if (call->viewer != NULL) {
		execution_viewer_drained(call->viewer);
	}
}

static void events_closed(struct http_stream *stream, void *owner)
{
	struct one_call *call = owner;
	(void)stream;
	execution_viewer_destroy(&call->viewer);
}

static const struct http_stream_handler events_handler = {events_drained, events_closed};

static void events_open(struct one_call *call)
{
	struct guild *guild = call->guild;
	struct loop *loop = call->request->loop;
	bool same_epoch = call->after_epoch >= call->turn.epoch;
	if (call->turn.status > EXECUTION_RUNNING && same_epoch && call->after_seq >= call->turn.seq_last) {
		http_reply_empty(call->request, 204);
		return;
	}
	if (http_stream_start(call->request, &events_handler, call, &call->stream) != ERR_OK) {
		return;
	}
	struct execution_viewer_options options = {.execution = call->id,
						   .after_seq = call->after_seq,
						   .after_epoch = call->after_epoch,
						   .form = BUS_FORM_SSE,
						   .send_take = events_send,
						   .ended = events_ended,
						   .ctx = call};
	if (execution_viewer_create(guild->engine, loop, &options, &call->viewer) != ERR_OK) {
		http_stream_end(call->stream);
	}
}

/* ---- list ---- */

struct list_call {
	struct read_job read;
	struct http_request *request;
	struct guild *guild;
	int64_t agent, session, owner, since_us, until_us, limit;
	int64_t before_id, before_seq;   /* of the cursor */
	int status;
	bool refused;
	/* results: two runs of objects, each newest first */
	struct list_item {
		int64_t time_us, key;
		struct str json;
	} *turns, *refusals;
	int64_t turn_count, refusal_count, examined;
	int64_t last_id, last_seq;       /* examined last */
	bool turns_more, refusals_more;
	bool foreign;                    /* one of them is somebody else's */
};

static struct str item_text(struct list_call *call, const struct turn *turn, const struct log_row *row)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 8 * (size_t)LIMIT_ANSWER_BYTES);
	json_begin(&json, &text);
	if (turn != NULL) {
		turn_json(call->guild, turn, &json);
	} else {
		turn_refusal_json(call->guild, row, &json);
	}
	struct str out = buf_err(&text) == ERR_OK ? arena_copy(&call->request->arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out;
}

static enum err list_turn(const struct turn *turn, void *arg)
{
	struct list_call *call = arg;
	if (call->turn_count == call->limit) {
		call->turns_more = true;
		return ERR_END;
	}
	call->last_id = turn->id;
	if (++call->examined > LIMIT_SCAN_ROWS) {
		call->turns_more = true;
		return ERR_END;
	}
	if (turn->started_at_us < call->since_us) {
		return ERR_END;
	}
	bool wanted = turn->workspace == call->request->caller.workspace && (call->agent == 0 || turn->agent == call->agent) &&
		      (call->owner == 0 || turn->owner == call->owner) && (call->status == 0 || turn->status == call->status) &&
		      turn->started_at_us < call->until_us;
	if (!wanted) {
		return ERR_OK;
	}
	struct str text = item_text(call, turn, NULL);
	call->foreign |= turn->owner != call->request->caller.principal;
	call->turns[call->turn_count++] = (struct list_item){turn->started_at_us, turn->id, text};
	return text.at != NULL ? ERR_OK : ERR_LIMIT;
}

static enum err list_refusal(const struct log_row *row, void *arg)
{
	struct list_call *call = arg;
	if (call->refusal_count == call->limit) {
		call->refusals_more = true;
		return ERR_END;
	}
	call->last_seq = row->seq;
	if (++call->examined > 2 * LIMIT_SCAN_ROWS) {
		call->refusals_more = true;
		return ERR_END;
	}
	if (row->time_us < call->since_us) {
		return ERR_END;
	}
	bool chat = str_eq(row->action, STR("chat")) || str_eq(row->action, STR("stream_chat"));
	bool wanted = row->outcome == OUTCOME_FAILED && row->execution == 0 && chat && row->workspace == call->request->caller.workspace &&
		      (call->agent == 0 || row->agent == call->agent) && (call->owner == 0 || row->principal == call->owner) &&
		      row->time_us < call->until_us;
	if (!wanted) {
		return ERR_OK;
	}
	struct str text = item_text(call, NULL, row);
	call->foreign |= row->principal != call->request->caller.principal;
	call->refusals[call->refusal_count++] = (struct list_item){row->time_us, row->seq, text};
	return text.at != NULL ? ERR_OK : ERR_LIMIT;
}

static void list_answer(struct http_request *request, struct guild *guild, void *arg);

static enum err list_run(struct read_job *job, struct db *db)
{
	struct list_call *call = container_of(job, struct list_call, read);
	enum err err = call->before_id == -1 ? ERR_OK
					     : turn_list_back(db, call->session, call->before_id, LIMIT_SCAN_ROWS + 1, list_turn, call);
	if (err == ERR_OK && call->refused && call->before_seq != -1 && (call->status == 0 || call->status == EXECUTION_FAILED)) {
		err = log_read_back(db, call->before_seq, LIMIT_SCAN_ROWS + 1, list_refusal, call);
	}
	return err == ERR_END ? ERR_OK : err;
}

/* Binds a cursor to this viewer, these filters and this store. */
static uint64_t list_tag(const struct list_call *call, int64_t id, int64_t seq)
{
	int64_t parts[] = {call->request->caller.principal, call->agent, call->session, call->owner, call->since_us, call->until_us,
			   call->status, call->refused, id, seq};
	return map_hash(&call->guild->id_secret, str_make(parts, sizeof(parts)));
}

/* Merges both runs by time; the cursor says where each goes on. */
static void list_render(struct list_call *call, struct json_out *json)
{
	int64_t t = 0, r = 0, id = call->before_id, seq = call->before_seq;
	json_object(json);
	json_name(json, STR("items"));
	json_array(json);
	for (int64_t n = 0; n < call->limit && (t < call->turn_count || r < call->refusal_count); n++) {
		if (r == call->refusal_count || (t < call->turn_count && call->turns[t].time_us >= call->refusals[r].time_us)) {
			id = call->turns[t].key;
			json_raw(json, call->turns[t++].json);
		} else {
			seq = call->refusals[r].key;
			json_raw(json, call->refusals[r++].json);
		}
	}
	json_array_end(json);
	bool more = t < call->turn_count || r < call->refusal_count || call->turns_more || call->refusals_more;
	if (t == call->turn_count) {
		id = call->turns_more ? call->last_id : -1;
	}
	if (r == call->refusal_count) {
		seq = call->refusals_more ? call->last_seq : -1;
	}
	if (more) {
		char text[96];
		struct buf cursor;
		int len = snprintf(text, sizeof(text), "x:%lld:%lld:%016llx", (long long)id, (long long)seq,
				   (unsigned long long)list_tag(call, id, seq));
		buf_init(&cursor, 128);
		base64_url_encode(&cursor, str_make(text, (size_t)len));
		json_put_str(json, STR("next_cursor"), buf_str(&cursor));
		buf_fini(&cursor);
	} else {
		json_put_null(json, STR("next_cursor"));
	}
	json_put_bool(json, STR("has_more"), more);
	json_object_end(json);
}

static void list_done(struct read_job *job)
{
	struct list_call *call = container_of(job, struct list_call, read);
	if (job->result != ERR_OK) {
		http_reply_error(call->request, job->result, NULL);
	} else if (call->foreign) {
		struct change_what what = {.change = foreign_read(call->request, call->guild, ID_PRINCIPAL, call->owner)};
		change_read(call->guild, call->request, &what, list_answer, call);
	} else {
		list_answer(call->request, call->guild, call);
	}
}

static void list_answer(struct http_request *request, struct guild *guild, void *arg)
{
	struct list_call *call = arg;
	struct buf text;
	struct json_out json;
	(void)guild;
	buf_init(&text, 16 * (size_t)LIMIT_ANSWER_BYTES);
	json_begin(&json, &text);
	list_render(call, &json);
	if (buf_err(&text) != ERR_OK) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
	} else {
		http_reply_json(request, 200, buf_str(&text));
	}
	buf_fini(&text);
}

static bool list_cursor(struct list_call *call, struct str cursor)
{
	struct buf text;
	struct str rest, part;
	char tag[17];
	bool ok = false;
	buf_init(&text, 128);
	if (base64_url_decode(&text, cursor) == ERR_OK) {
		rest = buf_str(&text);
		ok = str_split(&rest, ':', &part) && str_eq(part, STR("x")) && str_split(&rest, ':', &part) && str_to_i64(part, &call->before_id) &&
		     str_split(&rest, ':', &part) && str_to_i64(part, &call->before_seq) && str_split(&rest, ':', &part);
		snprintf(tag, sizeof(tag), "%016llx", (unsigned long long)list_tag(call, call->before_id, call->before_seq));
		ok = ok && rest.at == NULL && str_eq(part, str_of(tag));
	}
	buf_fini(&text);
	return ok;
}

static bool list_time(struct http_request *request, const char *name, int64_t *out)
{
	struct str text;
	if (http_query_str(request, name, &text) && time_parse(text, out) != ERR_OK) {
		http_reply_invalid(request, name, "a time such as 2026-01-02T03:04:05Z");
		return false;
	}
	return true;
}

/* False: answered already. */
static bool list_filters(struct http_request *request, struct guild *guild, struct list_call *call)
{
	struct str text;
	call->owner = caller_is_admin(&request->caller) ? 0 : request->caller.principal;
	call->limit = 50;
	call->until_us = INT64_MAX;
	(void)http_query_int(request, "limit", &call->limit);
	if (!list_time(request, "since", &call->since_us) || !list_time(request, "until", &call->until_us)) {
		return false;
	}
	if (http_query_str(request, "status", &text)) {
		(void)execution_status_parse(text, &call->status);
	}
	call->refused = http_query_str(request, "include", &text);
	if (http_query_str(request, "agent", &text)) {
		const struct agent *agent = registry_find(guild->registry, guild, request->caller.workspace, text);
		call->agent = agent != NULL ? agent->id : -1;
	}
	if (http_query_str(request, "session", &text) && id_parse(&guild->id_secret, ID_SESSION, text, &call->session) != ERR_OK) {
		call->session = -1;
	}
	if (http_query_str(request, "user", &text)) {
		int64_t user;
		enum err err = id_parse(&guild->id_secret, ID_PRINCIPAL, text, &user);
		call->owner = err == ERR_OK && (call->owner == 0 || call->owner == user) ? user : -1;
	}
	if (http_query_str(request, "cursor", &text) && !list_cursor(call, text)) {
		http_reply_error(request, ERR_MALFORMED, "The cursor is not one of ours.");
		return false;
	}
	return true;
}

static void list_handle(struct http_request *request, void *ctx)
{
	struct list_call *call = arena_new(&request->arena, struct list_call);
	if (call == NULL) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return;
	}
	call->request = request;
	call->guild = ctx;
	call->read = (struct read_job){.run = list_run, .done = list_done, .home = request->loop};
	if (!list_filters(request, ctx, call)) {
		return;
	}
	call->turns = arena_array(&request->arena, struct list_item, (size_t)call->limit);
	call->refusals = arena_array(&request->arena, struct list_item, (size_t)call->limit);
	enum err err = call->turns != NULL && call->refusals != NULL ? reader_push(call->guild->readers, &call->read) : ERR_OVERLOADED;
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

/* ---- resolve ---- */

struct resolve_call {
	struct read_job read;
	struct http_request *request;
	struct guild *guild;
	struct str agent;
	int64_t session_id;
	struct session session;
};

static void resolve_answer(struct resolve_call *call)
{
	struct http_request *request = call->request;
	struct resolve_output found;
	struct buf text;
	struct json_out json;
	resolve_lookup(call->guild, request->caller.workspace, call->agent, call->session_id != 0 ? &call->session : NULL, false, &found);
	buf_init(&text, LIMIT_ANSWER_BYTES);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("agent"));
	if (found.agent != NULL) {
		bool private = caller_is_admin(&request->caller) || found.agent->owner == request->caller.principal;
		agent_json(call->guild, found.agent, private, &json);
	} else {
		json_null(&json);
	}
	json_put_raw(&json, STR("resolution_path"), resolve_path_json(&request->arena, &found));
	json_object_end(&json);
	if (buf_err(&text) != ERR_OK) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
	} else {
		http_reply_json(request, 200, buf_str(&text));
	}
	buf_fini(&text);
}

static enum err resolve_run(struct read_job *job, struct db *db)
{
	struct resolve_call *call = container_of(job, struct resolve_call, read);
	const struct caller *caller = &call->request->caller;
	return session_read(db, &call->request->arena, call->session_id, caller->workspace, caller_is_admin(caller) ? 0 : caller->principal,
			    &call->session);
}

static void resolve_done(struct read_job *job)
{
	struct resolve_call *call = container_of(job, struct resolve_call, read);
	if (job->result != ERR_OK) {
		http_reply_error(call->request, job->result, NULL);
	} else {
		resolve_answer(call);
	}
}

static void resolve_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct resolve_call *call = arena_new(&request->arena, struct resolve_call);
	struct str session;
	enum err err = ERR_OK;
	if (call == NULL) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return;
	}
	call->request = request;
	call->guild = guild;
	call->read = (struct read_job){.run = resolve_run, .done = resolve_done, .home = request->loop};
	if (!http_query_str(request, "agent", &call->agent)) {
		call->agent = STR_NONE;
	}
	if (!http_query_str(request, "session_id", &session)) {
		resolve_answer(call);
		return;
	}
	if (id_parse(&guild->id_secret, ID_SESSION, session, &call->session_id) != ERR_OK) {
		err = ERR_SESSION_NOT_FOUND;
	} else {
		err = reader_push(guild->readers, &call->read);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}
