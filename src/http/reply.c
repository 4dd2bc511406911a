/*
 * reply.c - replies: head and body in one frame.
 *
 * The head is put together on the stack from pieces that are constant but for a few numbers; then one frame is made of
 * exactly the size and everything copied once.
 */
#include <stdio.h>

#include "base/limits.h"
#include "base/log.h"
#include "http/http_priv.h"

#define HEAD_BYTES_MAX 1024
#define TYPE_BYTES_MAX 128

static const struct str type_json = STR("application/json");
static const struct str type_problem = STR("application/problem+json");

/* ---- the head ---- */

struct head {
	size_t len;
	char bytes[HEAD_BYTES_MAX];
};

static void put(struct head *head, struct str s)
{
	check(s.len <= sizeof(head->bytes) - head->len);
	memcpy(head->bytes + head->len, s.at, s.len);
	head->len += s.len;
}

static void put_number(struct head *head, int64_t value)
{
	char digits[24];
	size_t at = sizeof(digits);

	check(value >= 0);
	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value);
	put(head, str_make(digits + at, sizeof(digits) - at));
}

static void put_status(struct head *head, int status)
{
	static const struct {
		int status;
		struct str line;
	} lines[] = {
		{101, STR("HTTP/1.1 101 Switching Protocols\r\n")},
		{200, STR("HTTP/1.1 200 OK\r\n")},
		{201, STR("HTTP/1.1 201 Created\r\n")},
		{202, STR("HTTP/1.1 202 Accepted\r\n")},
		{204, STR("HTTP/1.1 204 No Content\r\n")},
		{304, STR("HTTP/1.1 304 Not Modified\r\n")},
		{400, STR("HTTP/1.1 400 Bad Request\r\n")},
		{401, STR("HTTP/1.1 401 Unauthorized\r\n")},
		{402, STR("HTTP/1.1 402 Payment Required\r\n")},
		{403, STR("HTTP/1.1 403 Forbidden\r\n")},
		{404, STR("HTTP/1.1 404 Not Found\r\n")},
		{405, STR("HTTP/1.1 405 Method Not Allowed\r\n")},
		{408, STR("HTTP/1.1 408 Request Timeout\r\n")},
		{409, STR("HTTP/1.1 409 Conflict\r\n")},
		{412, STR("HTTP/1.1 412 Precondition Failed\r\n")},
		{413, STR("HTTP/1.1 413 Content Too Large\r\n")},
		{415, STR("HTTP/1.1 415 Unsupported Media Type\r\n")},
		{422, STR("HTTP/1.1 422 Unprocessable Content\r\n")},
		{426, STR("HTTP/1.1 426 Upgrade Required\r\n")},
		{429, STR("HTTP/1.1 429 Too Many Requests\r\n")},
		{431, STR("HTTP/1.1 431 Request Header Fields Too Large\r\n")},
		{500, STR("HTTP/1.1 500 Internal Server Error\r\n")},
		{501, STR("HTTP/1.1 501 Not Implemented\r\n")},
		{502, STR("HTTP/1.1 502 Bad Gateway\r\n")},
		{503, STR("HTTP/1.1 503 Service Unavailable\r\n")},
		{504, STR("HTTP/1.1 504 Gateway Timeout\r\n")},
	};
	check(status >= 100 && status <= 599);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (lines[i].status == status) {
			put(head, lines[i].line);
			return;
		}
	}
	put(head, STR("HTTP/1.1 "));
	put_number(head, status);
	put(head, STR(" Status\r\n"));
}

static void put_line(struct head *head, struct str name, struct str value)
{
	put(head, name);
	put(head, value);
	put(head, STR("\r\n"));
}

static void put_rate(struct head *head, const struct http_rate *rate)
{
	put(head, STR("RateLimit-Limit: "));
	put_number(head, rate->limit);
	put(head, STR("\r\nRateLimit-Remaining: "));
	put_number(head, rate->remaining);
	put(head, STR("\r\nRateLimit-Reset: "));
	put_number(head, rate->reset_s);
	put(head, STR("\r\n"));
}

static void put_connection(struct head *head, const struct http_request_private *priv, int status)
{
	if (status == 101) {
		put(head, STR("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
	} else if (!priv->keep_alive || priv->close || priv->home->draining) {
		put(head, STR("Connection: close\r\n"));
	} else if (priv->head.minor == 0) {
		put(head, STR("Connection: keep-alive\r\n"));
	}
}

struct frame *http_reply_frame(struct http_request_private *priv, int status, struct str content_type, int64_t body_len,
			       struct str body)
{
	const struct http_request *request = &priv->pub;
	struct head head = {.len = 0};

	check(content_type.len <= TYPE_BYTES_MAX);
	put_status(&head, status);
	if (content_type.len) {
		put_line(&head, STR("Content-Type: "), content_type);
	}
	if (body_len >= 0 && status != 204 && status != 304 && status != 101) {
		put(&head, STR("Content-Length: "));
		put_number(&head, body_len);
		put(&head, STR("\r\n"));
	}
	put(&head, STR("X-Content-Type-Options: nosniff\r\nReferrer-Policy: no-referrer\r\n"));
	if (!priv->cache_control) {
		put(&head, STR("Cache-Control: no-store\r\n"));
	}
	put_line(&head, STR("X-Request-Id: "), str_of(request->request_id));
	if (request->traceparent[0]) {
		put_line(&head, STR("traceparent: "), str_of(request->traceparent));
	}
	if (priv->limited) {
		put_rate(&head, &priv->rate);
	}
	put_connection(&head, priv, status);

	struct frame *frame = frame_make(head.len + priv->headers.len + 2 + body.len);
	if (!frame) {
		return NULL;
	}
	char *at = mempcpy(frame->bytes, head.bytes, head.len);
	if (priv->headers.len) {
		at = mempcpy(at, priv->headers.at, priv->headers.len);
	}
	at = mempcpy(at, "\r\n", 2);
	if (body.len) {
		memcpy(at, body.at, body.len);
	}
	return frame;
}

/* ---- the ends of a request ---- */

/* Acknowledged means on disk: what a repeated request will be told is there before the first one is. */
static bool store_first(struct http_request *request, int status, struct str body)
{
	struct http_request_private *priv = request->priv;
	const struct http_options *options = &priv->home->server->options;
	const struct idem *idem = request->idem;
	bool due = idem && idem->kept && idem->execution == 0 && !priv->stored;

	return due && options->reply(options->ctx, request, status, body, priv->again.at ? priv->again : body);
}

static void finish(struct http_request *request, int status, struct str content_type, struct str body)
{
	struct http_request_private *priv = request->priv;
	struct frame *frame = NULL;

	check(!priv->ended);
	if (store_first(request, status, body)) {
		return;
	}
	priv->ended = true;
	if (request->local) {
		struct http_local_sink sink = priv->sink;
		sink.reply(sink.ctx, status, content_type, priv->head_only ? STR("") : body);
		http_request_release(priv);
		return;
	}
	if (priv->conn) {
		frame = http_reply_frame(priv, status, content_type, (int64_t)body.len, priv->head_only ? STR("") : body);
	}
	http_conn_reply(priv, frame);
}

void http_reply_rate(struct http_request *request, int64_t limit, int64_t remaining, int64_t reset_s)
{
	struct http_request_private *priv = request->priv;
	priv->limited = true;
	priv->rate = (struct http_rate){.limit = limit, .remaining = remaining, .reset_s = reset_s};
}

void http_reply_header(struct http_request *request, const char *name, struct str value)
{
	struct buf *headers = &request->priv->headers;
	size_t name_len = strlen(name);

	for (size_t i = 0; i < value.len; i++) {
		if ((unsigned char)value.at[i] < 0x20 || value.at[i] == 0x7f) {
			return;
		}
	}
	char *at = buf_reserve(headers, name_len + value.len + 4);
	if (!at) {
		headers->failed = false;
		return;
	}
	at = mempcpy(at, name, name_len);
	at = mempcpy(at, ": ", 2);
	if (value.len) {
		at = mempcpy(at, value.at, value.len);
	}
	memcpy(at, "\r\n", 2);
	headers->len += name_len + value.len + 4;
	if (str_eq_case(str_of(name), STR("Cache-Control"))) {
		request->priv->cache_control = true;
	}
}

void http_reply_json(struct http_request *request, int status, struct str json)
{
	finish(request, status, type_json, json);
}

void http_reply_text(struct http_request *request, int status, struct str content_type, struct str text)
{
	finish(request, status, content_type, text);
}

void http_reply_empty(struct http_request *request, int status)
{
	finish(request, status, STR_NONE, STR(""));
}

void http_reply_again(struct http_request *request, struct str json)
{
	if (request->idem) {
		request->priv->again = arena_copy(&request->arena, json);
		/* Without room for it nothing is stored: what is made again of the log has no secret in it either. */
		request->priv->stored = !request->priv->again.at;
	}
}

void http_reply_stored(struct http_request *request, int status, struct str text)
{
	request->priv->stored = true;
	finish(request, status, !text.len ? STR_NONE : status >= 400 ? type_problem : type_json, text);
}

/* ---- problems ---- */

static void put_if(struct json_out *out, struct str name, struct str value)
{
	if (value.at) {
		json_put_str(out, name, value);
	}
}

/* Retry-After in ms, 0 when the status has none. */
static int64_t retry_ms(const struct err_row *row, const struct http_problem *problem)
{
	bool asks = row->http_status == 429 || row->http_status == 503;

	if (problem->retry_after_ms > 0) {
		return problem->retry_after_ms;
	}
	return asks ? HTTP_RETRY_MS : 0;
}

static void render(struct buf *buf, const struct http_request *request, const struct err_row *row,
		   const struct http_problem *problem, struct str detail)
{
	char urn[160];
	struct json_out out;

	json_begin(&out, buf);
	json_object(&out);
	snprintf(urn, sizeof(urn), "urn:guild:error:%.*s", STR_FMT(row->code));
	json_put_str(&out, STR("type"), str_of(urn));
	json_put_str(&out, STR("title"), row->text);
	json_put_int(&out, STR("status"), row->http_status);
	json_put_str(&out, STR("detail"), detail);
	snprintf(urn, sizeof(urn), "urn:guild:request:%s", request->request_id);
	json_put_str(&out, STR("instance"), str_of(urn));
	json_put_str(&out, STR("code"), row->code);
	put_if(&out, STR("rule_id"), problem->rule_id);
	if (problem->execution_id.at || problem->of_run) {
		json_put_str_or_null(&out, STR("execution_id"), problem->execution_id);
	}
	put_if(&out, STR("audit_id"), problem->audit_id);
	put_if(&out, STR("agent_id"), problem->agent_id);
	if (retry_ms(row, problem)) {
		json_put_int(&out, STR("retry_after_ms"), retry_ms(row, problem));
	}
	if (problem->pointer.at) {
		json_name(&out, STR("errors"));
		json_array(&out);
		json_object(&out);
		json_put_str(&out, STR("pointer"), problem->pointer);
		json_put_str(&out, STR("detail"), detail);
		json_object_end(&out);
		json_array_end(&out);
	}
	/* Joined by hand: the members are text already. */
	if (problem->members.len) {
		buf_put_byte(buf, ',');
		buf_put_str(buf, problem->members);
	}
	json_object_end(&out);
}

static void note_fault(const struct http_request *request, enum err err)
{
	const struct err_row *row = err_row(err);

	if (row->level >= LOG_WARN) {
		log_at((enum log_level)row->level, "request_failed", log_s("request_id", str_of(request->request_id)),
		       log_s("path", request->path), log_s("error", row->code));
	}
}

void http_reply_problem(struct http_request *request, const struct http_problem *problem)
{
	enum err shown = err_public(problem->err);
	const struct err_row *row = err_row(shown);
	/* What was meant for inside has a detail for inside. */
	bool inside = shown != problem->err;
	struct str detail = problem->detail.at && !inside ? problem->detail : row->text;
	int64_t wait_ms = retry_ms(row, problem);
	struct buf buf;
	char text[24];

	check(problem->err != ERR_OK);
	if (problem->err == ERR_REPEATED && request->idem && !request->idem->again) {
		request->idem->again = true;
		request->priv->home->server->options.look(request->priv->home->server->options.ctx, request);
		return;
	}
	if (!problem->logged) {
		note_fault(request, problem->err);
	}
	if (wait_ms) {
		snprintf(text, sizeof(text), "%lld", (long long)((wait_ms + 999) / 1000));
		http_reply_header(request, "Retry-After", str_of(text));
	}
	if (shown == ERR_UNAUTHENTICATED) {
		http_reply_header(request, "WWW-Authenticate", STR("Bearer"));
	}
	if (shown == ERR_UPGRADE) {
		http_reply_header(request, "Upgrade", STR("websocket"));
		http_reply_header(request, "Sec-WebSocket-Version", STR("13"));
	}
	buf_init(&buf, 2 * LIMIT_BODY_BYTES + problem->members.len);
	render(&buf, request, row, problem, detail);
	if (buf_err(&buf)) {
		buf_clear(&buf);
		http_reply_empty(request, row->http_status);
	} else {
		finish(request, row->http_status, type_problem, buf_str(&buf));
	}
	buf_fini(&buf);
}

void http_reply_error(struct http_request *request, enum err err, const char *detail)
{
	http_reply_problem(request, &(struct http_problem){.err = err, .detail = str_of(detail)});
}

void http_reply_invalid(struct http_request *request, const char *pointer, const char *detail)
{
	http_reply_problem(request, &(struct http_problem){
		.err = ERR_INVALID, .detail = str_of(detail), .pointer = str_of(pointer),
	});
}
