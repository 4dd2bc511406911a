/* local.c - the library's door: a request without a socket, checked by the same rows. */
#include "base/limits.h"
#include "http/http_priv.h"

static enum http1_method method_of(struct str text)
{
	for (unsigned i = 0; i < HTTP1_OTHER; i++) {
		if (str_eq(text, str_of(http1_method_name((enum http1_method)i)))) {
			return (enum http1_method)i;
		}
	}
	return HTTP1_OTHER;
}

static bool field_put(struct http_request_private *priv, struct str name, struct str value)
{
	struct http1_head *head = &priv->head;

	if (!value.len) {
		return true;
	}
	head->fields[head->field_count++] = (struct http1_field){name, arena_copy(&priv->pub.arena, value)};
	return head->fields[head->field_count - 1].value.at;
}

/* A head as a socket would have brought it. False without memory. */
static bool head_fill(struct http_request_private *priv, const struct http_local_call *call)
{
	struct http1_head *head = &priv->head;

	head->method = method_of(call->method);
	head->target = arena_copy(&priv->pub.arena, call->target);
	head->minor = 1;
	head->keep_alive = true;
	head->content_length = (int64_t)priv->body_bytes.len;
	head->chunked = false;
	head->field_count = 0;
	return head->target.at && field_put(priv, STR("Accept"), call->accept) &&
	       field_put(priv, STR("Idempotency-Key"), call->idempotency_key);
}

void http_local_dispatch(struct http_server *server, struct loop *loop, const struct http_local_call *call, const struct caller *caller,
			 const struct http_local_sink *sink)
{
	struct http_loop *home = http_server_home(server, loop);
	struct http_request_private *priv = http_request_take(home);

	if (!priv) {
		sink->reply(sink->ctx, err_row(ERR_OVERLOADED)->http_status, STR("application/problem+json"),
			    STR("{\"status\":503,\"code\":\"overloaded\"}"));
		return;
	}
	priv->sink = *sink;
	priv->pub.local = true;
	list_push(&home->locals, &priv->local_link);
	priv->pub.caller = *caller;
	priv->pub.signed_in = caller->role != ROLE_NONE;
	if (call->body.len) {
		buf_put_str(&priv->body_bytes, call->body);
	}
	if (!head_fill(priv, call)) {
		http_request_refuse(priv, ERR_OVERLOADED, NULL);
	} else if (priv->body_bytes.failed || call->target.len > LIMIT_TARGET_BYTES) {
		http_request_refuse(priv, ERR_TOO_LARGE, NULL);
	} else {
		http_request_admit(priv);
	}
	http_request_run(priv);
}

void http_local_hang_up(struct http_server *server, struct loop *loop, const void *sink_ctx)
{
	struct http_loop *home = http_server_home(server, loop);

	for (struct list *node = home->locals.next; node != &home->locals; node = node->next) {
		struct http_request_private *priv = container_of(node, struct http_request_private, local_link);
		if (priv->sink.ctx == sink_ctx) {
			http_stream_local_cut(priv);
		}
	}
}
