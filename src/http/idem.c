/* idem.c - Idempotency-Key: a request that has one is known again when it comes again. */
#include "http/http_priv.h"

/* The table of keys has one row for all requests to a route: which of its things was meant is part of the request. */
static void make(struct http_request *request, struct str key, struct idem *out)
{
	struct str route = str_of(request->route->path);
	const struct str parts[] = {request->path, request->query, request->body_text};
	idem_make_of(out, &request->caller, route, key, parts, sizeof(parts) / sizeof(parts[0]));
}

bool http_idem_admit(struct http_request_private *priv)
{
	struct http_request *request = &priv->pub;
	struct str name = STR("Idempotency-Key");
	struct str key;

	if (request->method != HTTP1_POST || !priv->home->server->options.look || request->route->flags & HTTP_HARMLESS) {
		return true;
	}
	unsigned count = http1_field_count(&priv->head, name);
	if (count == 0) {
		return true;
	}
	if (count > 1 || !idem_key_parse(http1_field(&priv->head, name), &key)) {
		http_reply_error(request, ERR_MALFORMED, "Idempotency-Key has to be one key of 1 to 255 visible ASCII characters.");
		return false;
	}
	request->idem = arena_new(&request->arena, struct idem);
	if (!request->idem) {
		http_reply_error(request, ERR_OVERLOADED, NULL);
		return false;
	}
	make(request, key, request->idem);
	return true;
}
