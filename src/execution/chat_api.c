/* chat_api.c - POST /v1/chat over HTTP: one JSON answer, or a stream that ends with the run's result. */
#include "execution/api_priv.h"
#include "execution/execution_priv.h"
#include "wire/json.h"

/* Lives in the request's arena, which passes to the stream. */
struct chat_call {
	struct http_request *request;  /* until it was answered */
	struct guild *guild;
	struct loop *loop;
	struct http_stream *stream;
	struct execution_viewer *viewer;
	struct frame *result;          /* the last event, once the run is over */
	int64_t execution;
	bool streaming, viewer_over;
};

static void recorded(void *ctx, int64_t execution, int64_t session, bool queued);
static void ended(void *ctx, const struct chat_result *result);
static enum err send_take(void *ctx, struct frame *frame, int64_t seq);
static void viewer_ended(void *ctx, enum err err);
static void stream_drained(struct http_stream *stream, void *owner);
static void stream_closed(struct http_stream *stream, void *owner);
static void finish_stream(struct chat_call *call);

static const struct http_stream_handler stream_handler = {stream_drained, stream_closed};

static bool history_read(struct http_request *request, struct chat_request *chat)
{
	struct json list = json_member(request->body, STR("history"));
	struct json_iter iter = json_iter(list);
	struct json turn;
	size_t n = 0;
	if (json_kind(list) != JSON_ARRAY) {
		return true;
	}
	struct session_message *messages = arena_array(&request->arena, struct session_message, json_size(list) + 1);
	if (messages == NULL) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return false;
	}
	while (json_next(&iter, NULL, &turn)) {
		struct str role, content;
		bool user = json_get_str(json_member(turn, STR("role")), &role) && str_eq(role, STR("user"));
		bool good = json_get_str(json_member(turn, STR("role")), &role) && (user || str_eq(role, STR("assistant"))) &&
			    json_get_str(json_member(turn, STR("content")), &content) && json_size(turn) == 2;
		if (!good) {
			struct str pointer = arena_format(&request->arena, "/history/%zu", n);
			http_reply_invalid(request, pointer.at, "a turn is {\"role\": \"user\" or \"assistant\", \"content\": text}");
			return false;
		}
		messages[n++] = (struct session_message){.from_user = user, .content = content};
	}
	chat->history = messages;
	chat->history_count = n;
	return true;
}

bool chat_wants_stream(const struct http_request *request)
{
	bool stream = false;
	if (http_body_bool(request, "stream", &stream)) {
		return stream;
	}
	struct str accept = http_header(request, STR("Accept"));
	return accept.at != NULL && str_find(accept, STR("text/event-stream")) >= 0;
}

static enum on_busy busy_of(struct http_request *request)
{
	struct str word;
	if (!http_body_str(request, "on_busy", &word)) {
		return BUSY_ENQUEUE;
	}
	return str_eq_case(word, STR("reject"))	     ? BUSY_REJECT
	       : str_eq_case(word, STR("interrupt")) ? BUSY_INTERRUPT
	       : str_eq_case(word, STR("rollback"))  ? BUSY_ROLLBACK
						     : BUSY_ENQUEUE;
}

void chat_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct chat_call *call = arena_new(&request->arena, struct chat_call);
	struct chat_request chat = {.caller = request->caller,
				    .stream = chat_wants_stream(request),
				    .trigger = request->local ? TRIGGER_LIBRARY : TRIGGER_API,
				    .on_busy = busy_of(request),
				    .idem = request->idem,
				    .trace_id = str_of(request->request_id)};
	if (call == NULL) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return;
	}
	if (request->params[0].at != NULL) {
		chat.agent = request->params[0];
	} else if (!http_body_str(request, "agent", &chat.agent)) {
		chat.agent = STR_NONE;
	}
	if (!http_body_str(request, "session_id", &chat.session_id)) {
		chat.session_id = STR_NONE;
	}
	(void)http_body_str(request, "message", &chat.message);
	if (!http_body_str(request, "parent_execution_id", &chat.parent)) {
		chat.parent = STR_NONE;
	}
	struct str priority;
	if (http_body_str(request, "priority", &priority)) {
		(void)execution_priority_parse(priority, &chat.priority);
	}
	chat.after = json_member(request->body, STR("after"));
	(void)http_body_bool(request, "strict", &chat.strict);
	int64_t wait_ms = 0;
	(void)http_body_int(request, "wait_ms", &wait_ms);
	chat.wait_us = wait_ms * 1000;
	struct str client = http_header(request, STR("User-Agent"));
	if (!request->local && client.at != NULL && str_starts(client, STR("guild-cli/"))) {
		chat.trigger = TRIGGER_CLI;
	}
	if (!history_read(request, &chat)) {
		return;
	}
	*call = (struct chat_call){.request = request, .guild = guild, .loop = request->loop, .streaming = chat.stream};
	struct chat_listener listener = {recorded, ended, call};
	enum err err = execution_start(guild->engine, request->loop, &chat, &listener);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

/* ---- the stream ---- */

static void recorded(void *ctx, int64_t execution, int64_t session, bool queued)
{
	struct chat_call *call = ctx;
	struct id_text execution_text = id_format(&call->guild->id_secret, ID_EXECUTION, execution);
	struct id_text session_text = id_format(&call->guild->id_secret, ID_SESSION, session);
	(void)queued;
	call->execution = execution;
	http_reply_header(call->request, "X-Execution-Id", id_str(&execution_text));
	http_reply_header(call->request, "X-Session-Id", id_str(&session_text));
	if (!call->streaming) {
		return;
	}
	struct http_request *request = call->request;
	struct guild *guild = call->guild;
	struct loop *loop = call->loop;
	call->request = NULL;
	if (http_stream_start(request, &stream_handler, call, &call->stream) != ERR_OK) {
		execution_forget_listener(guild->engine, loop, execution, ctx);
		return;
	}
	struct execution_viewer_options options = {
		.execution = execution, .form = BUS_FORM_SSE, .send_take = send_take, .ended = viewer_ended, .ctx = call};
	if (execution_viewer_create(guild->engine, loop, &options, &call->viewer) != ERR_OK) {
		http_stream_end(call->stream);
	}
}

static enum err send_take(void *ctx, struct frame *frame, int64_t seq)
{
	struct chat_call *call = ctx;
	(void)seq;
	return http_stream_send_take(call->stream, frame);
}

static void viewer_ended(void *ctx, enum err err)
{
	struct chat_call *call = ctx;
	(void)err;
	call->viewer_over = true;
	finish_stream(call);
}

static void finish_stream(struct chat_call *call)
{
	if (!call->viewer_over || call->result == NULL) {
		return;
	}
	struct frame *frame = call->result;
	call->result = NULL;
	(void)!http_stream_send_take(call->stream, frame);
	http_stream_end(call->stream);
}

static void stream_drained(struct http_stream *stream, void *owner)
{
	struct chat_call *call = owner;
	(void)stream;
	if (call->viewer != NULL) {
		execution_viewer_drained(call->viewer);
	}
}

static void stream_closed(struct http_stream *stream, void *owner)
{
	struct chat_call *call = owner;
	(void)stream;
	execution_viewer_destroy(&call->viewer);
	if (call->result != NULL) {
		frame_drop(&call->result);
	}
	execution_forget_listener(call->guild->engine, call->loop, call->execution, call);
}

/* ---- the end ---- */

static void ended(void *ctx, const struct chat_result *result)
{
	struct chat_call *call = ctx;
	if (call->request != NULL) {
		struct http_request *request = call->request;
		call->request = NULL;
		if (request->idem != NULL) {
			request->idem->kept = result->kept;
			request->idem->made_at_us = result->kept_at_us;
		}
		chat_reply(request, result);
		return;
	}
	call->result = chat_result_frame(result);
	/* No terminal event comes in this process. */
	call->viewer_over = call->viewer_over || result->err == ERR_GOING_AWAY;
	if (call->result == NULL) {
		http_stream_end(call->stream);
	} else {
		finish_stream(call);
	}
}

struct frame *chat_result_frame(const struct chat_result *result)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 8 * (size_t)LIMIT_ANSWER_BYTES);
	json_begin(&json, &text);
	chat_result_json(result, &json);
	struct frame *frame = buf_err(&text) == ERR_OK ? http_sse_frame(STR(""), STR("result"), buf_str(&text)) : NULL;
	buf_fini(&text);
	return frame;
}

void chat_reply(struct http_request *request, const struct chat_result *result)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 8 * (size_t)LIMIT_ANSWER_BYTES);
	json_begin(&json, &text);
	if (result->success) {
		chat_result_json(result, &json);
	} else {
		chat_result_problem(result, &json);
	}
	if (buf_err(&text) != ERR_OK) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
	} else if (result->success) {
		http_reply_json(request, 200, buf_str(&text));
	} else {
		struct http_problem problem = {.err = result->err,
					       .detail = result->reason.at != NULL ? result->reason : result->error,
					       .pointer = result->pointer,
					       .rule_id = result->rule_id,
					       .execution_id = result->execution_id,
					       .of_run = true,
					       .audit_id = result->audit_id,
					       .logged = true};
		problem.members = str_sub(buf_str(&text), 1, text.len - 2);
		http_reply_problem(request, &problem);
	}
	buf_fini(&text);
}
