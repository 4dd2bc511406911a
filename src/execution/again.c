/* again.c - a chat that is asked for again under its key: told of the run that the first one started, streamed or whole. */
#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "execution/api_priv.h"
#include "wire/json.h"

#define RETRY_MS 1000

/* In the request's arena, which passes to the stream. */
struct again_call {
	struct execution_again again;
	struct http_request *request; /* until it was answered */
	struct http_stream *stream;
	struct execution_viewer *viewer;
	struct again_end *end;        /* is being read */
};

/* How the run ended, for the last event of a stream that may be gone meanwhile. */
struct again_end {
	struct execution_again again;
	struct arena arena;
	struct again_call *call;      /* NULL: gone */
};

static enum err again_read(struct read_job *job, struct db *db);
static void again_read_done(struct read_job *job);
static void begin_done(struct execution_again *again, enum err err);
static void stream_begin(struct again_call *call);
static enum err send_take(void *ctx, struct frame *frame, int64_t seq);
static void viewer_ended(void *ctx, enum err err);
static void end_done(struct execution_again *again, enum err err);
static void stream_drained(struct http_stream *stream, void *owner);
static void stream_closed(struct http_stream *stream, void *owner);

static const struct http_stream_handler stream_handler = {stream_drained, stream_closed};

/* ---- how the run stands ---- */

enum err execution_again_start(struct guild *guild, struct loop *loop, struct execution_again *again)
{
	again->guild = guild;
	again->read = (struct read_job){.run = again_read, .done = again_read_done, .home = loop};
	return reader_push(guild->readers, &again->read);
}

static struct str id_in(struct execution_again *again, enum id_kind kind, int64_t key)
{
	struct id_text text = id_format(&again->guild->id_secret, kind, key);
	return arena_copy(again->arena, id_str(&text));
}

static struct str text_or_none(struct str text)
{
	return text.len != 0 ? text : STR_NONE;
}

static enum err again_read(struct read_job *job, struct db *db)
{
	struct execution_again *again = container_of(job, struct execution_again, read);
	struct turn turn;
	enum err err = turn_get(db, again->arena, again->execution, &turn);
	if (err != ERR_OK) {
		return err;
	}
	bool completed = turn.status == EXECUTION_COMPLETED;
	struct chat_result *result = &again->result;
	again->over = turn.status > EXECUTION_RUNNING;
	*result = (struct chat_result){.success = completed,
				       .execution_id = id_in(again, ID_EXECUTION, turn.id),
				       .response = turn.answer.at != NULL ? turn.answer : STR(""),
				       .agent_id = id_in(again, ID_AGENT, turn.agent),
				       .agent_name = turn.agent_name,
				       .message_id = id_in(again, ID_ASSISTANT_MESSAGE, turn.id),
				       .session_id = id_in(again, ID_SESSION, turn.session),
				       .resolution_path = turn.resolution,
				       .provider = text_or_none(turn.provider),
				       .model = text_or_none(turn.model),
				       .tokens_in = turn.tokens_in,
				       .tokens_out = turn.tokens_out,
				       .cost_micro = turn.cost_micro,
				       .estimated = turn.estimated,
				       .cost_unknown = turn.cost_unknown};
	if (again->over && !completed && !(turn.error_code.at != NULL && err_by_code(turn.error_code, &result->err))) {
		result->err = ERR_INTERNAL;
	}
	if (!completed) {
		result->error = err_row(result->err)->text;
	}
	bool whole = result->execution_id.at != NULL && result->agent_id.at != NULL && result->message_id.at != NULL &&
		     result->session_id.at != NULL;
	return whole ? ERR_OK : ERR_LIMIT;
}

static void again_read_done(struct read_job *job)
{
	struct execution_again *again = container_of(job, struct execution_again, read);
	again->done(again, job->result);
}

/* ---- over HTTP ---- */

void execution_run_again(struct guild *guild, struct http_request *request, int64_t execution)
{
	struct again_call *call = arena_new(&request->arena, struct again_call);
	enum err err = ERR_MEMORY;
	if (call != NULL) {
		call->request = request;
		call->again = (struct execution_again){.arena = &request->arena, .execution = execution, .done = begin_done};
		err = execution_again_start(guild, request->loop, &call->again);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

static void begin_done(struct execution_again *again, enum err err)
{
	struct again_call *call = container_of(again, struct again_call, again);
	struct http_request *request = call->request;
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
		return;
	}
	bool stream = chat_wants_stream(request);
	if (!stream && !again->over) {
		http_reply_problem(request, &(struct http_problem){.err = ERR_CONFLICT,
			.detail = STR("The run of this Idempotency-Key is not over."),
			.execution_id = again->result.execution_id,
			.retry_after_ms = RETRY_MS});
		return;
	}
	http_reply_header(request, "Idempotency-Replayed", STR("true"));
	http_reply_header(request, "X-Execution-Id", again->result.execution_id);
	http_reply_header(request, "X-Session-Id", again->result.session_id);
	if (stream) {
		stream_begin(call);
	} else {
		chat_reply(request, &again->result);
	}
}

/* From the first event on, whether the run is over or not. */
static void stream_begin(struct again_call *call)
{
	struct http_request *request = call->request;
	struct loop *loop = request->loop;
	call->request = NULL;
	if (http_stream_start(request, &stream_handler, call, &call->stream) != ERR_OK) {
		return;
	}
	struct execution_viewer_options options = {.execution = call->again.execution,
						   .form = BUS_FORM_SSE,
						   .send_take = send_take,
						   .ended = viewer_ended,
						   .ctx = call};
	if (execution_viewer_create(call->again.guild->engine, loop, &options, &call->viewer) != ERR_OK) {
		http_stream_end(call->stream);
	}
}

static enum err send_take(void *ctx, struct frame *frame, int64_t seq)
{
	struct again_call *call = ctx;
	(void)seq;
	return http_stream_send_take(call->stream, frame);
}

static void viewer_ended(void *ctx, enum err err)
{
	struct again_call *call = ctx;
	struct again_end *end = err == ERR_OK ? mem_alloc(sizeof(*end)) : NULL;
	if (end == NULL) {
		http_stream_end(call->stream);
		return;
	}
	arena_init(&end->arena, LIMIT_FLOW_ARENA_BYTES);
	end->again = (struct execution_again){.arena = &end->arena, .execution = call->again.execution, .done = end_done};
	end->call = call;
	call->end = end;
	if (execution_again_start(call->again.guild, call->again.read.home, &end->again) != ERR_OK) {
		end_done(&end->again, ERR_OVERLOADED);
	}
}

static void end_done(struct execution_again *again, enum err err)
{
	struct again_end *end = container_of(again, struct again_end, again);
	struct again_call *call = end->call;
	if (call != NULL) {
		struct frame *frame = err == ERR_OK && again->over ? chat_result_frame(&again->result) : NULL;
		call->end = NULL;
		if (frame != NULL) {
			(void)!http_stream_send_take(call->stream, frame);
		}
		http_stream_end(call->stream);
	}
	arena_fini(&end->arena);
	mem_free(end);
}

static void stream_drained(struct http_stream *stream, void *owner)
{
	struct again_call *call = owner;
	(void)stream;
	if (call->viewer != NULL) {
		execution_viewer_drained(call->viewer);
	}
}

static void stream_closed(struct http_stream *stream, void *owner)
{
	struct again_call *call = owner;
	(void)stream;
	execution_viewer_destroy(&call->viewer);
	if (call->end != NULL) {
		call->end->call = NULL;
	}
}
