/*
 * Chat completions of any OpenAI-compatible server. A call:
 *
 *   LISTING  the only model is asked of GET {base}/models (skipped when the model is known)
 *   LISTED   a task begins the next step, outside the HTTP client's callback
 *   ASKING   POST {base}/chat/completions; events become deltas
 *   ENDING   [DONE] came, or something was wrong: no more deltas, the HTTP client's done is awaited
 *
 * A clean end is believed only on [DONE], or on a finish_reason followed by the end of the body as framed.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/metric.h"
#include "http/client.h"
#include "provider/openai_chunk.h"
#include "provider/provider.h"
#include "wire/json.h"
#include "wire/sse.h"
#include "wire/url.h"
#include "wire/utf8.h"

#define MODEL_BYTES 256
#define FINISH_BYTES 32
#define REQUEST_ID_BYTES 255
#define LINGER_US 250000          /* how long the end of the body is awaited after [DONE], so that the connection can be kept */
#define REFUSAL_BYTES_MAX 65536   /* of an error reply, which nobody reads */
#define GARBAGE_CHUNKS_MAX 1

/* The model found at GET {base}/models: set once, by whichever loop was first. */
struct found_model {
	size_t len;
	char at[MODEL_BYTES];
};

struct openai {
	struct provider_openai_options options; /* its texts are copies, its key is empty */
	struct keyring_secret key;
	_Atomic(struct found_model *) found;
};

enum call_state { CALL_LISTING, CALL_LISTED, CALL_ASKING, CALL_ENDING };
enum reply_kind { REPLY_STREAM, REPLY_WHOLE, REPLY_IGNORED };

struct provider_call {
	struct openai *openai;
	struct loop *loop;
	struct http_client *client;
	struct provider_sink sink;
	enum call_state state;
	struct http_call *http; /* NULL: none under way */
	struct loop_task task;
	struct loop_timer linger;
	struct buf body;
	struct json_out json;
	char *base_url; /* of this request alone; NULL: the configured one */
	char *key_line; /* the header with the key; NULL: none. Wiped with the call. */
	char request_id[sizeof("X-Request-Id: ") + REQUEST_ID_BYTES];
	/* the reply */
	enum reply_kind kind;
	int status;
	int64_t retry_after_ms;
	struct sse sse;
	struct arena arena; /* one chunk at a time */
	struct buf whole;
	struct openai_joiner joiner;
	struct openai_around around;
	int64_t bytes;      /* of text given, or of an error reply */
	unsigned garbage_chunks;
	bool cancelled, cancel_seen, marker, public_only;
	const char *failed; /* the first thing that was wrong */
	enum err list_err;
	const char *list_reason;
	bool has_usage;
	int64_t tokens_in, tokens_out, tokens_cached;
	char finish[FINISH_BYTES], model[MODEL_BYTES];
	size_t finish_len, model_len;
};

static enum err list_start(struct provider_call *call);
static enum err ask_start(struct provider_call *call, struct str model);
static void finish(struct provider_call *call, enum err err, const char *reason);

/* ---- one call ---- */

static struct str model_known(struct openai *openai)
{
	struct found_model *found = atomic_load_explicit(&openai->found, memory_order_acquire);

	if (openai->options.model.len > 0) {
		return openai->options.model;
	}
	return found ? str_make(found->at, found->len) : STR_NONE;
}

static void call_free(struct provider_call *call)
{
	loop_task_cancel(&call->task);
	loop_timer_clear(call->loop, &call->linger);
	sse_fini(&call->sse);
	arena_fini(&call->arena);
	buf_fini(&call->body);
	buf_fini(&call->whole);
	mem_free(call->base_url);
	if (call->key_line) {
		explicit_bzero(call->key_line, strlen(call->key_line));
		mem_free(call->key_line);
	}
	mem_free(call);
}

/* No more deltas; the HTTP client is told to stop, and its done ends the call. */
static void end_now(struct provider_call *call)
{
	call->state = CALL_ENDING;
	if (call->http) {
		http_client_cancel(call->http);
	}
}

static void fail(struct provider_call *call, const char *reason)
{
	if (!call->failed) {
		call->failed = reason;
	}
	end_now(call);
}

static size_t keep(char *to, size_t cap, struct str text)
{
	size_t len = utf8_whole(str_sub(text, 0, cap));

	memcpy(to, text.len ? text.at : "", len);
	return len;
}

/* ---- the reply ---- */

static void give(struct provider_call *call, struct str text)
{
	if (text.len == 0 || call->cancelled) {
		return;
	}
	call->bytes += (int64_t)text.len;
	if (call->openai->options.answer_bytes_max > 0 && call->bytes > call->openai->options.answer_bytes_max) {
		fail(call, "too_long");
		return;
	}
	call->sink.delta(call->sink.ctx, text);
}

static void take_facts(struct provider_call *call, const struct openai_chunk *chunk)
{
	if (chunk->model.len > 0) {
		call->model_len = keep(call->model, sizeof(call->model), chunk->model);
	}
	if (chunk->has_usage) {
		call->has_usage = true;
		call->tokens_in = chunk->tokens_in;
		call->tokens_out = chunk->tokens_out;
		call->tokens_cached = chunk->tokens_cached;
	}
}

static void take_text(struct provider_call *call, const struct openai_chunk *chunk)
{
	struct str text;

	if (call->finish_len > 0) {
		return;
	}
	if (openai_join(&call->joiner, &call->arena, chunk->text, chunk->torn, &text) != ERR_OK) {
		fail(call, "memory");
		return;
	}
	give(call, text);
	if (chunk->finish_reason.len > 0) {
		give(call, openai_join_end(&call->joiner));
		call->finish_len = keep(call->finish, sizeof(call->finish), chunk->finish_reason);
	}
}

static void take_marker(struct provider_call *call)
{
	int64_t at_us = loop_now_us(call->loop) + LINGER_US;

	give(call, openai_join_end(&call->joiner));
	if (call->failed) {
		return;
	}
	call->marker = true;
	call->state = CALL_ENDING;
	if (loop_timer_set(call->loop, &call->linger, at_us) != ERR_OK) {
		end_now(call);
	}
}

static void take_event(struct provider_call *call, const struct sse_event *event)
{
	struct openai_chunk chunk;
	enum err err;

	arena_reset(&call->arena, ARENA_BLOCK_MAX);
	if (str_eq(event->event, STR("error"))) {
		fail(call, "in_band");
		return;
	}
	err = openai_chunk_next(&call->around, &call->arena, event->data, &chunk);
	if (err == ERR_MALFORMED && call->garbage_chunks < GARBAGE_CHUNKS_MAX) {
		call->garbage_chunks++;
		return;
	}
	if (err != ERR_OK) {
		fail(call, err == ERR_MALFORMED ? "garbage" : "memory");
	} else if (chunk.error) {
		fail(call, "in_band");
	} else if (chunk.done) {
		take_marker(call);
	} else {
		take_facts(call, &chunk);
		take_text(call, &chunk);
	}
}

static void stream_bytes(struct provider_call *call, struct str rest)
{
	struct sse_event event;
	bool got;

	do {
		if (sse_feed(&call->sse, &rest, &event, &got) != ERR_OK) {
			fail(call, "line_too_long");
			return;
		}
		if (got) {
			take_event(call, &event);
		}
	} while (call->state == CALL_ASKING && !call->cancelled && (got || rest.len > 0));
}

/* What is left when the body has ended as framed. */
static void stream_end(struct provider_call *call)
{
	struct sse_event event;

	if (call->state == CALL_ASKING && sse_finish(&call->sse, &event)) {
		take_event(call, &event);
	}
	if (!call->failed && !call->marker && call->finish_len == 0) {
		call->failed = "cut";
	}
}

static void whole_end(struct provider_call *call)
{
	struct openai_chunk chunk;

	if (call->state != CALL_ASKING) {
		return;
	}
	if (openai_reply_parse(&call->arena, buf_str(&call->whole), &chunk) != ERR_OK) {
		call->failed = "garbage";
	} else if (chunk.error) {
		call->failed = "in_band";
	} else if (!chunk.has_choice) {
		call->failed = "garbage";
	} else {
		take_facts(call, &chunk);
		take_text(call, &chunk);
		give(call, openai_join_end(&call->joiner));
	}
}

static bool is_type(struct str content_type, struct str type)
{
	struct str name = content_type;
	ptrdiff_t semicolon = str_find_byte(content_type, ';');

	if (semicolon >= 0) {
		name.len = (size_t)semicolon;
	}
	return str_eq_case(str_trim(name), type);
}

/* ---- the HTTP client's callbacks ---- */

static void on_head(void *ctx, int status, struct str content_type, int64_t retry_after_ms)
{
	struct provider_call *call = ctx;

	call->status = status;
	call->retry_after_ms = retry_after_ms > 0 ? retry_after_ms : 0;
	if (status < 200 || status > 299) {
		call->kind = REPLY_IGNORED;
	} else if (call->state == CALL_LISTING || is_type(content_type, STR("application/json"))) {
		call->kind = REPLY_WHOLE;
	} else if (content_type.len == 0 || is_type(content_type, STR("text/event-stream")) ||
		   is_type(content_type, STR("text/plain"))) {
		call->kind = REPLY_STREAM;
	} else {
		fail(call, "not_sse");
	}
}

static void on_body(void *ctx, struct str bytes)
{
	struct provider_call *call = ctx;

	if (call->cancelled || call->state == CALL_ENDING) {
		return;
	}
	if (call->kind == REPLY_STREAM) {
		stream_bytes(call, bytes);
	} else if (call->kind == REPLY_WHOLE) {
		buf_put_str(&call->whole, bytes);
		if (call->whole.failed) {
			fail(call, "too_long");
		}
	} else {
		call->bytes += (int64_t)bytes.len;
		if (call->bytes > REFUSAL_BYTES_MAX) {
			end_now(call);
		}
	}
}

static void on_done(void *ctx, enum err err, const char *reason)
{
	struct provider_call *call = ctx;

	call->http = NULL;
	if (call->state == CALL_LISTING) {
		call->state = CALL_LISTED;
		call->list_err = err;
		call->list_reason = reason;
		loop_task_add(call->loop, &call->task);
		return;
	}
	if (err == ERR_OK && !call->cancelled && call->kind == REPLY_STREAM) {
		stream_end(call);
	} else if (err == ERR_OK && !call->cancelled && call->kind == REPLY_WHOLE) {
		whole_end(call);
	}
	finish(call, err, reason);
}

/* ---- ends ---- */

static bool is_refusal(int status)
{
	return status != 0 && (status < 200 || status > 299);
}

static enum err outcome(const struct provider_call *call, enum err err, const char **reason)
{
	if (call->cancelled) {
		*reason = "cancelled";
		return ERR_CANCELLED;
	}
	if (call->state == CALL_LISTED && err == ERR_NO_PROVIDER) {
		return err;
	}
	if (is_refusal(call->status)) {
		*reason = "status";
		return ERR_PROVIDER_FAILED;
	}
	if (call->failed) {
		*reason = call->failed;
		return ERR_PROVIDER_FAILED;
	}
	if (call->marker) {
		*reason = "ok";
		return ERR_OK;
	}
	return err;
}

/* The last thing that happens to a call. */
static void finish(struct provider_call *call, enum err err, const char *reason)
{
	struct provider_result result = {
		.has_usage = call->has_usage,
		.tokens_in = call->tokens_in,
		.tokens_out = call->tokens_out,
		.tokens_cached = call->tokens_cached,
		.http_status = call->status,
		.retry_after_ms = call->retry_after_ms,
		.model = str_make(call->model, call->model_len),
	};

	result.err = outcome(call, err, &reason);
	result.log_reason = reason;
	result.finish_reason = str_make(call->finish, call->finish_len);
	if (result.err == ERR_OK && call->finish_len == 0) {
		result.finish_reason = STR("stop");
	}
	if (result.err == ERR_PROVIDER_FAILED || result.err == ERR_PROVIDER_TIMEOUT) {
		metric_add(METRIC_PROVIDER_FAILURES, 1);
		metric_add(METRIC_PROVIDER_FAILING, 1);
	} else if (result.err == ERR_OK) {
		metric_set(METRIC_PROVIDER_FAILING, 0);
	}
	call->sink.done(call->sink.ctx, &result);
	call_free(call);
}

static void linger_over(struct loop_timer *timer, struct loop *loop)
{
	end_now(container_of(timer, struct provider_call, linger));
}

/* Keeps the only model of the configured server for later calls. */
static void model_publish(struct openai *openai, struct str model)
{
	struct found_model *found = mem_alloc(sizeof(*found)), *none = NULL;

	if (!found) {
		return;
	}
	found->len = keep(found->at, sizeof(found->at), model);
	if (!atomic_compare_exchange_strong(&openai->found, &none, found)) {
		mem_free(found);
	}
}

/* The list of models came, or did not. */
static void listed(struct provider_call *call)
{
	bool missing = call->status == 404 || call->status == 405;
	struct str model = STR_NONE;
	enum err err = call->list_err;

	if (err != ERR_OK || (is_refusal(call->status) && !missing)) {
		finish(call, err, call->list_reason);
		return;
	}
	if (missing || openai_models_parse(&call->arena, buf_str(&call->whole), &model) != ERR_OK || model.len > MODEL_BYTES) {
		finish(call, ERR_NO_PROVIDER, "model_unknown");
		return;
	}
	if (!call->base_url) {
		model_publish(call->openai, model);
	}
	call->status = 0;
	call->retry_after_ms = 0;
	err = ask_start(call, model);
	buf_clear(&call->whole);
	if (err != ERR_OK) {
		finish(call, ERR_PROVIDER_FAILED, "memory");
	}
}

static void task_run(struct loop_task *task, struct loop *loop)
{
	struct provider_call *call = container_of(task, struct provider_call, task);

	if (call->cancelled && !call->cancel_seen) {
		/* Cancelled earlier in this turn: done belongs to a later one. */
		call->cancel_seen = true;
		loop_task_add(loop, task);
	} else if (call->cancelled) {
		finish(call, ERR_CANCELLED, "cancelled");
	} else {
		listed(call);
	}
}

/* ---- the request ---- */

static struct str role_name(enum provider_role role)
{
	switch (role) {
	case PROVIDER_SYSTEM:
		return STR("system");
	case PROVIDER_ASSISTANT:
		return STR("assistant");
	case PROVIDER_USER:
		break;
	}
	return STR("user");
}

/* All but the model, which comes last because it may have to be asked for. */
static void body_render(struct provider_call *call, const struct provider_request *request)
{
	struct json_out *json = &call->json;

	json_begin(json, &call->body);
	json_object(json);
	json_name(json, STR("messages"));
	json_array(json);
	for (size_t i = 0; i < request->message_count; i++) {
		json_object(json);
		json_put_str(json, STR("role"), role_name(request->messages[i].role));
		json_put_str(json, STR("content"), request->messages[i].content);
		json_object_end(json);
	}
	json_array_end(json);
	json_put_bool(json, STR("stream"), true);
	json_name(json, STR("stream_options"));
	json_object(json);
	json_put_bool(json, STR("include_usage"), true);
	json_object_end(json);
	if (request->output_tokens_max > 0) {
		json_put_int(json, STR("max_tokens"), request->output_tokens_max);
	}
}

static bool is_header_text(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] <= 0x20 || text.at[i] >= 0x7f) {
			return false;
		}
	}
	return true;
}

static enum err headers_render(struct provider_call *call, const struct provider_request *request)
{
	struct openai *openai = call->openai;
	struct str key = str_make(openai->key.at, openai->key.len);
	size_t cap;

	/* The configured key never goes to another server than the configured one. */
	if (request->api_key.at || request->base_url.len > 0) {
		key = request->api_key;
	}
	if (request->trace_id.len > 0 && request->trace_id.len <= REQUEST_ID_BYTES && is_header_text(request->trace_id)) {
		snprintf(call->request_id, sizeof(call->request_id), "X-Request-Id: %.*s", STR_FMT(request->trace_id));
	}
	if (key.len == 0) {
		return ERR_OK;
	}
	if (key.len > LIMIT_PROVIDER_KEY_BYTES || !is_header_text(key)) {
		return ERR_INVALID;
	}
	cap = sizeof("Authorization: Bearer ") + key.len;
	call->key_line = mem_alloc(cap);
	if (!call->key_line) {
		return ERR_MEMORY;
	}
	snprintf(call->key_line, cap, "Authorization: Bearer %.*s", STR_FMT(key));
	return ERR_OK;
}

static bool is_base_url(struct str text)
{
	struct url url;

	return url_parse(text, &url) == ERR_OK && !url.has_userinfo && is_header_text(text);
}

static struct str base_trim(struct str base)
{
	while (str_ends(base, STR("/"))) {
		base.len--;
	}
	return base;
}

static enum err base_take(struct provider_call *call, struct str base)
{
	if (base.len == 0) {
		return ERR_OK;
	}
	if (!is_base_url(base)) {
		return ERR_INVALID;
	}
	base = base_trim(base);
	call->base_url = mem_alloc(base.len + 1);
	if (!call->base_url) {
		return ERR_MEMORY;
	}
	memcpy(call->base_url, base.at, base.len);
	return ERR_OK;
}

static enum err http_start(struct provider_call *call, const char *method, struct str path, struct str body)
{
	const struct provider_openai_options *options = &call->openai->options;
	bool own_place = call->base_url != NULL;
	const char *headers[5];
	size_t count = 0;
	struct buf url;
	enum err err;

	headers[count++] = body.len > 0 ? "Accept: text/event-stream" : "Accept: application/json";
	if (body.len > 0) {
		headers[count++] = "Content-Type: application/json";
	}
	if (call->key_line) {
		headers[count++] = call->key_line;
	}
	if (call->request_id[0]) {
		headers[count++] = call->request_id;
	}
	headers[count] = NULL;
	buf_init(&url, LIMIT_TARGET_BYTES);
	buf_put_str(&url, own_place ? str_of(call->base_url) : options->base_url);
	buf_put_str(&url, path);
	err = buf_err(&url);
	if (err == ERR_OK) {
		const struct http_call_options http = {
			.method = method,
			.url = buf_str(&url),
			.headers = headers,
			.body = body,
			.connect_timeout_us = options->connect_timeout_us,
			.first_byte_timeout_us = options->first_byte_timeout_us,
			.idle_timeout_us = options->idle_timeout_us,
			.total_timeout_us = options->total_timeout_us,
			.ca_file = own_place || options->ca_file.len == 0 ? NULL : options->ca_file.at,
			.public_only = call->public_only,
			.head = on_head,
			.body_bytes = on_body,
			.done = on_done,
			.ctx = call,
		};

		err = http_client_start(call->client, &http, &call->http);
	}
	buf_fini(&url);
	return err;
}

static enum err list_start(struct provider_call *call)
{
	call->state = CALL_LISTING;
	return http_start(call, "GET", STR("/models"), STR_NONE);
}

static enum err ask_start(struct provider_call *call, struct str model)
{
	enum err err;

	call->state = CALL_ASKING;
	call->model_len = keep(call->model, sizeof(call->model), model);
	json_put_str(&call->json, STR("model"), model);
	json_object_end(&call->json);
	err = buf_err(&call->body);
	if (err == ERR_OK) {
		err = http_start(call, "POST", STR("/chat/completions"), buf_str(&call->body));
	}
	if (err == ERR_OK) {
		metric_add(METRIC_PROVIDER_REQUESTS, 1);
	}
	buf_fini(&call->body);
	return err;
}

static enum err openai_start(void *self, struct loop *loop, const struct provider_request *request,
			     const struct provider_sink *sink, struct provider_call **out)
{
	struct openai *openai = self;
	struct provider_call *call = mem_alloc(sizeof(*call));
	struct str model = request->model;
	enum err err;

	if (!call) {
		return ERR_MEMORY;
	}
	check(loop_number(loop) < openai->options.client_count);
	call->openai = openai;
	call->loop = loop;
	call->client = openai->options.clients[loop_number(loop)];
	call->sink = *sink;
	call->public_only = request->public_only;
	call->task.run = task_run;
	list_init(&call->task.link);
	call->linger.run = linger_over;
	buf_init(&call->body, LIMIT_PROMPT_BYTES);
	buf_init(&call->whole, LIMIT_PROVIDER_BODY_BYTES);
	sse_init(&call->sse, LIMIT_SSE_LINE_BYTES);
	arena_init(&call->arena, LIMIT_FLOW_ARENA_BYTES);
	if (model.len == 0 && request->base_url.len == 0) {
		model = model_known(openai);
	}
	err = base_take(call, request->base_url);
	if (err == ERR_OK) {
		err = headers_render(call, request);
	}
	if (err == ERR_OK) {
		body_render(call, request);
		err = model.len > 0 ? ask_start(call, model) : list_start(call);
	}
	if (err != ERR_OK) {
		call_free(call);
		return err;
	}
	*out = call;
	return ERR_OK;
}

static void openai_cancel(struct provider_call *call)
{
	if (call->cancelled) {
		return;
	}
	call->cancelled = true;
	if (call->http) {
		http_client_cancel(call->http);
	} else {
		loop_task_add(call->loop, &call->task);
	}
}

static struct str openai_default_model(void *self, char *out, size_t cap)
{
	struct str model = model_known(self);

	if (!model.at) {
		return STR_NONE;
	}
	return str_make(out, keep(out, cap, model));
}

static const struct provider_driver openai_driver = {
	.name = "openai",
	.start = openai_start,
	.cancel = openai_cancel,
	.default_model = openai_default_model,
};

/* ---- the provider ---- */

static bool text_copy(struct str text, struct str *out)
{
	char *at = mem_alloc(text.len + 1);

	if (!at) {
		return false;
	}
	memcpy(at, text.len ? text.at : "", text.len);
	*out = str_make(at, text.len);
	return true;
}

static void openai_free(struct openai *openai)
{
	mem_free((char *)openai->options.base_url.at);
	mem_free((char *)openai->options.model.at);
	mem_free((char *)openai->options.ca_file.at);
	mem_free((void *)openai->options.clients);
	mem_free(atomic_load(&openai->found));
	keyring_wipe(&openai->key);
	mem_free(openai);
}

static bool openai_fill(struct openai *openai, const struct provider_openai_options *options)
{
	struct http_client **clients = mem_alloc(options->client_count * sizeof(struct http_client *));

	openai->options = *options;
	openai->options.base_url = openai->options.model = openai->options.api_key = openai->options.ca_file = STR_NONE;
	openai->options.clients = clients;
	if (!clients || !text_copy(base_trim(options->base_url), &openai->options.base_url) || !text_copy(options->model, &openai->options.model) ||
	    !text_copy(options->ca_file, &openai->options.ca_file) ||
	    keyring_keep(options->api_key, &openai->key) != ERR_OK) {
		return false;
	}
	memcpy(clients, options->clients, options->client_count * sizeof(struct http_client *));
	return true;
}

enum err provider_openai_create(const struct provider_openai_options *options, struct provider *out)
{
	struct openai *openai;

	if (!is_base_url(options->base_url) || options->model.len > MODEL_BYTES ||
	    options->api_key.len > LIMIT_PROVIDER_KEY_BYTES || !is_header_text(options->api_key)) {
		return ERR_INVALID;
	}
	openai = mem_alloc(sizeof(*openai));
	if (!openai) {
		return ERR_MEMORY;
	}
	if (!openai_fill(openai, options)) {
		openai_free(openai);
		return ERR_MEMORY;
	}
	*out = (struct provider){&openai_driver, openai, STR("openai")};
	return ERR_OK;
}

void provider_openai_destroy(struct provider *provider)
{
	openai_free(provider->self);
	*provider = (struct provider){0};
}
