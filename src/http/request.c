/* request.c - a request from its head to the row that answers it. */
#include "base/hash.h"
#include "base/limits.h"
#include "http/http_priv.h"
#include "wire/url.h"

#define REQUEST_ID_RANDOM 16
#define TRACEPARENT_LEN 55

/* ---- life ---- */

static void id_make(struct http_loop *home, char *out)
{
	if (home->random_used + REQUEST_ID_RANDOM > sizeof(home->random)) {
		home->random_used = 0;
	}
	if (home->random_used == 0) {
		env_random(home->server->options.env, home->random, sizeof(home->random));
	}
	hash_hex(home->random + home->random_used, REQUEST_ID_RANDOM, out);
	home->random_used += REQUEST_ID_RANDOM;
}

static struct http_request_private *make(void)
{
	struct http_request_private *priv = mem_alloc(sizeof(*priv));

	if (priv) {
		arena_init(&priv->pub.arena, LIMIT_REQUEST_ARENA_BYTES);
		buf_init(&priv->headers, LIMIT_HEAD_BYTES);
	}
	return priv;
}

struct http_request_private *http_request_take(struct http_loop *home)
{
	struct http_request_private *priv = home->pool;

	if (priv) {
		home->pool = priv->next;
		home->pool_count--;
	} else {
		priv = make();
	}
	if (!priv) {
		return NULL;
	}
	home->live++;
	struct arena arena = priv->pub.arena;
	memset(priv, 0, offsetof(struct http_request_private, body_bytes));
	priv->pub.arena = arena;
	priv->pub.loop = home->loop;
	priv->pub.priv = priv;
	priv->pub.method = HTTP1_OTHER;
	priv->pub.started_us = loop_now_us(home->loop);
	priv->home = home;
	priv->head.field_count = 0;
	priv->body_bytes.bytes_max = home->server->options.body_bytes_max;
	list_init(&priv->task.link);
	list_init(&priv->local_link);
	id_make(home, priv->pub.request_id);
	return priv;
}

static void buf_forget(struct buf *buf)
{
	if (buf->cap > HTTP_POOL_BUF_BYTES) {
		buf_fini(buf);
	}
	buf_clear(buf);
}

void http_request_release(struct http_request_private *priv)
{
	if (!priv) {
		return;
	}
	struct http_loop *home = priv->home;
	home->live--;
	list_remove(&priv->local_link);
	if (home->pool_count >= HTTP_POOL_REQUESTS) {
		arena_fini(&priv->pub.arena);
		buf_fini(&priv->body_bytes);
		buf_fini(&priv->headers);
		mem_free(priv);
		return;
	}
	arena_reset(&priv->pub.arena, ARENA_BLOCK_FIRST);
	buf_forget(&priv->body_bytes);
	buf_forget(&priv->headers);
	priv->next = home->pool;
	home->pool = priv;
	home->pool_count++;
}

/* ---- what the head says ---- */

bool http_request_refuse(struct http_request_private *priv, enum err err, const char *detail)
{
	if (!priv->refusal) {
		priv->refusal = err;
		priv->refusal_detail = detail;
	}
	return false;
}

static bool is_id_byte(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
}

static void id_adopt(struct http_request *request, struct str given)
{
	if (given.len == 0 || given.len >= sizeof(request->request_id)) {
		return;
	}
	for (size_t i = 0; i < given.len; i++) {
		if (!is_id_byte(given.at[i])) {
			return;
		}
	}
	str_to_z(given, request->request_id, sizeof(request->request_id));
}

/* W3C Trace Context: 00-<32 hex>-<16 hex>-<2 hex>, lower case, ids not all zero. */
static void trace_adopt(struct http_request *request, struct str given)
{
	static const char form[] = "00-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx-xxxxxxxxxxxxxxxx-xx";

	if (given.len != TRACEPARENT_LEN) {
		return;
	}
	for (size_t i = 0; i < TRACEPARENT_LEN; i++) {
		char c = given.at[i];
		bool hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
		if (form[i] == 'x' ? !hex : c != form[i]) {
			return;
		}
	}
	if (str_eq(str_sub(given, 3, 32), STR("00000000000000000000000000000000")) ||
	    str_eq(str_sub(given, 36, 16), STR("0000000000000000"))) {
		return;
	}
	str_to_z(given, request->traceparent, sizeof(request->traceparent));
}

/* T12: what stands in a URL ends in logs and histories. */
static bool is_secret_name(struct arena *arena, struct str name)
{
	static const struct str names[] = {STR("token"), STR("access_token"), STR("api_key")};
	struct str plain;

	if (url_decode(arena, name, true, &plain)) {
		return false;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_eq_case(plain, names[i])) {
			return true;
		}
	}
	return false;
}

static bool target_admit(struct http_request_private *priv)
{
	struct http_request *request = &priv->pub;
	struct url_target target;
	struct str name;
	struct str value;

	if (url_split_target(priv->head.target, &target)) {
		return http_request_refuse(priv, ERR_MALFORMED, "The request target is not a valid path and query.");
	}
	request->path = target.path;
	request->query = target.query;
	for (struct str rest = target.query; rest.len && url_query_next(&rest, &name, &value);) {
		if (is_secret_name(&request->arena, name)) {
			return http_request_refuse(priv, ERR_MALFORMED,
						   "A token must not stand in the URL; send it as Authorization: Bearer.");
		}
	}
	return true;
}

static bool params_decode(struct http_request_private *priv, const struct str *raw)
{
	for (unsigned i = 0; i < HTTP_PARAMS && raw[i].at; i++) {
		enum err err = ERR_OK;
		if (str_find_byte(raw[i], '%') < 0) {
			priv->pub.params[i] = raw[i];
		} else {
			err = url_decode(&priv->pub.arena, raw[i], false, &priv->pub.params[i]);
		}
		if (err) {
			return http_request_refuse(priv, err == ERR_MALFORMED ? err : ERR_OVERLOADED,
						   err == ERR_MALFORMED ? "The path is not UTF-8." : NULL);
		}
	}
	return true;
}

static bool route_admit(struct http_request_private *priv)
{
	enum http1_method method = priv->head.method;
	struct str params[HTTP_PARAMS];

	priv->node = http_router_find(priv->home->server->router, priv->pub.path, params);
	if (!priv->node) {
		return http_request_refuse(priv, ERR_NOT_FOUND, "There is no such path.");
	}
	if (method == HTTP1_OPTIONS) {
		priv->options_only = true;
		return false;
	}
	priv->pub.route = method < HTTP1_OPTIONS ? priv->node->rows[method] : NULL;
	if (!priv->pub.route && method == HTTP1_HEAD) {
		priv->pub.route = priv->node->rows[HTTP1_GET];
	}
	if (!priv->pub.route) {
		return http_request_refuse(priv, ERR_METHOD, NULL);
	}
	return params_decode(priv, params);
}

/* T11: a form of a foreign page cannot send this type. */
static bool media_admit(struct http_request_private *priv)
{
	bool body = priv->head.chunked || priv->head.content_length > 0;
	struct str coding = http1_field(&priv->head, STR("Content-Encoding"));
	struct str rest = http1_field(&priv->head, STR("Content-Type"));
	struct str part = STR_NONE;
	bool fits;

	if (!body || priv->pub.local) {
		return true;
	}
	fits = rest.len && str_split(&rest, ';', &part) && str_eq_case(str_trim(part), STR("application/json"));
	while (fits && rest.at && str_split(&rest, ';', &part)) {
		part = str_trim(part);
		fits = !str_eq_case(str_sub(part, 0, 8), STR("charset=")) || str_eq_case(part, STR("charset=utf-8")) ||
		       str_eq_case(part, STR("charset=\"utf-8\""));
	}
	if (!fits) {
		return http_request_refuse(priv, ERR_MEDIA_TYPE, NULL);
	}
	if (coding.at && !str_eq_case(coding, STR("identity"))) {
		return http_request_refuse(priv, ERR_MEDIA_TYPE, "The body must not be compressed.");
	}
	return true;
}

void http_request_admit(struct http_request_private *priv)
{
	struct http_request *request = &priv->pub;

	request->method = priv->head.method;
	priv->head_only = request->method == HTTP1_HEAD;
	id_adopt(request, http1_field(&priv->head, STR("X-Request-Id")));
	trace_adopt(request, http1_field(&priv->head, STR("traceparent")));
	http_cors_reply(priv);
	if (priv->home->draining) {
		http_request_refuse(priv, ERR_GOING_AWAY, NULL);
		return;
	}
	if (target_admit(priv) && route_admit(priv) && http_auth_admit(priv)) {
		media_admit(priv);
	}
}

/* ---- answering ---- */

static void reply_refusal(struct http_request_private *priv)
{
	struct http_problem problem = {
		.err = priv->refusal, .detail = str_of(priv->refusal_detail), .retry_after_ms = priv->rate.retry_after_ms,
	};

	if (priv->refusal == ERR_METHOD) {
		http_reply_header(&priv->pub, "Allow", str_of(priv->node->allow));
	}
	http_reply_problem(&priv->pub, &problem);
}

static void go_on(struct http_request_private *priv);

void http_request_run(struct http_request_private *priv)
{
	struct http_request *request = &priv->pub;

	priv->dispatched = true;
	if (priv->home->draining) {
		http_request_refuse(priv, ERR_GOING_AWAY, NULL);
	}
	if (priv->refusal) {
		reply_refusal(priv);
		return;
	}
	if (priv->options_only) {
		http_reply_header(request, "Allow", str_of(priv->node->allow));
		http_cors_preflight(priv);
		http_reply_empty(request, 204);
		return;
	}
	if (!http_members_check_query(priv) || !http_members_check_body(priv)) {
		return;
	}
	if (priv->asker.principal) {
		const struct http_options *options = &priv->home->server->options;
		options->act_new(options->ctx, request, &priv->asker, http1_field(&priv->head, STR("X-Guild-User")));
		return;
	}
	go_on(priv);
}

void http_request_act(struct http_request *request)
{
	struct http_request_private *priv = request->priv;

	request->caller = priv->asker;
	priv->asker.principal = 0;
	if (!http_auth_act(priv)) {
		reply_refusal(priv);
	} else if (priv->asker.principal) {
		http_reply_error(request, ERR_INTERNAL, NULL);
	} else {
		go_on(priv);
	}
}

/* Everything about it is known. */
static void go_on(struct http_request_private *priv)
{
	struct http_request *request = &priv->pub;

	if (request->route->flags & HTTP_UPGRADE && !http_websocket_check(priv)) {
		return;
	}
	if (!http_idem_admit(priv)) {
		return;
	}
	if (request->idem != NULL) {
		priv->home->server->options.look(priv->home->server->options.ctx, request);
	} else {
		http_request_handle(request);
	}
}

void http_request_handle(struct http_request *request)
{
	request->route->handle(request, request->priv->home->server->options.ctx);
}

/* ---- what handlers ask ---- */

struct str http_header(const struct http_request *request, struct str name)
{
	return http1_field(&request->priv->head, name);
}

bool http_query_str(struct http_request *request, const char *name, struct str *out)
{
	const struct http_member *rows = request->route->query;
	const struct str *values = request->priv->query_values;

	for (size_t i = 0; values && rows && rows[i].name; i++) {
		if (values[i].at && strcmp(rows[i].name, name) == 0) {
			*out = values[i];
			return true;
		}
	}
	return false;
}

bool http_query_int(struct http_request *request, const char *name, int64_t *out)
{
	struct str text;

	return http_query_str(request, name, &text) && str_to_i64(text, out);
}

bool http_body_str(const struct http_request *request, const char *name, struct str *out)
{
	return json_get_str(json_member(request->body, str_of(name)), out);
}

bool http_body_int(const struct http_request *request, const char *name, int64_t *out)
{
	return json_get_int(json_member(request->body, str_of(name)), out);
}

bool http_body_bool(const struct http_request *request, const char *name, bool *out)
{
	return json_get_bool(json_member(request->body, str_of(name)), out);
}
