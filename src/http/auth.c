/* auth.c - who asks, and whether the row is for them; then whether they ask too often. */
#include "http/http_priv.h"

/* The token of "Bearer <token>"; at == NULL when it is another scheme or none. */
static struct str bearer(struct str value)
{
	static const struct str scheme = STR("bearer ");

	if (value.len <= scheme.len || !str_eq_case(str_sub(value, 0, scheme.len), scheme)) {
		return STR_NONE;
	}
	return str_trim(str_sub(value, scheme.len, value.len));
}

bool http_auth_act(struct http_request_private *priv)
{
	const struct http_options *options = &priv->home->server->options;
	static const struct str name = STR("X-Guild-User");
	struct str user = options->acts_as ? http1_field(&priv->head, name) : STR_NONE;
	struct caller asker = priv->pub.caller;
	const char *detail = NULL;

	if (!user.len) {
		return true;
	}
	if (http1_field_count(&priv->head, name) > 1) {
		return http_request_refuse(priv, ERR_MALFORMED, "X-Guild-User is given twice.");
	}
	enum err err = options->acts_as(options->ctx, &priv->pub.caller, user, &detail);
	if (err == ERR_AGAIN) {
		priv->asker = asker;
		err = ERR_OK;
	}
	return err == ERR_OK || http_request_refuse(priv, err, detail);
}

typedef enum err look_up_fn(void *ctx, struct str secret, int64_t wall_us, struct caller *out);

/* Looks a token or a session up, unless its address failed too often. */
static enum err look_up(struct http_request_private *priv, look_up_fn *with, struct str secret, struct caller *out)
{
	struct http_server *server = priv->home->server;
	const struct conn_address *peer = conn_peer(priv->conn->conn);

	priv->rate.retry_after_ms = http_sign_in_wait_ms(server, peer, priv->pub.started_us);
	if (priv->rate.retry_after_ms > 0) {
		return ERR_RATE_LIMITED;
	}
	enum err err = with(server->options.ctx, secret, env_wall_us(server->options.env), out);
	err = err == ERR_OK && out->role == ROLE_NONE ? ERR_UNAUTHENTICATED : err;
	if (err == ERR_UNAUTHENTICATED) {
		http_sign_in_failed(server, peer, priv->pub.started_us);
	}
	if (err) {
		*out = (struct caller){0};
	}
	return err;
}

enum err http_request_sign_in(struct http_request *request, struct str token, struct caller *out)
{
	struct http_request_private *priv = request->priv;

	/* Cookies are of connections; the library has none. */
	return priv->conn ? look_up(priv, priv->home->server->options.authenticate, token, out) : ERR_UNAUTHENTICATED;
}

/* With a cookie alone an effect needs more than the cookie. */
static bool browser_admit(struct http_request_private *priv, struct str session)
{
	enum http1_method method = priv->head.method;
	bool harmless = method == HTTP1_GET || method == HTTP1_HEAD;

	return harmless || (http_origin_admit(priv) && http_csrf_admit(priv, session));
}

/* False only when the answer could not be found out, the request says it twice, or a foreign page may have sent it. */
static bool sign_in(struct http_request_private *priv)
{
	static const struct str name = STR("Authorization");
	const struct http_options *options = &priv->home->server->options;
	bool signs_in = (priv->pub.route->flags & HTTP_SIGN_IN) != 0;
	struct str token = options->authenticate ? bearer(http1_field(&priv->head, name)) : STR_NONE;
	struct str session = options->authenticate_session && !signs_in ? http_session_cookie(priv) : STR_NONE;

	if (signs_in && !http_origin_admit(priv)) {
		return false;
	}
	if (!token.len && !session.len) {
		return true;
	}
	if (http1_field_count(&priv->head, name) > 1) {
		return http_request_refuse(priv, ERR_MALFORMED, "Authorization is given twice.");
	}
	enum err err = token.len ? look_up(priv, options->authenticate, token, &priv->pub.caller)
				 : look_up(priv, options->authenticate_session, session, &priv->pub.caller);
	priv->pub.signed_in = err == ERR_OK;
	if (priv->pub.signed_in) {
		return (token.len || browser_admit(priv, session)) && http_auth_act(priv);
	}
	return err == ERR_UNAUTHENTICATED ||
	       http_request_refuse(priv, err, err == ERR_RATE_LIMITED ? "Too many sign-ins failed from this address." : NULL);
}

static bool role_fits(const struct http_route *route, enum role role)
{
	if (role == ROLE_AGENT) {
		return (route->flags & HTTP_AGENT_OK) != 0;
	}
	return role >= route->role_min;
}

/* Whoever acts for many has one bucket: its own. */
static uint64_t bucket_of(const struct caller *caller)
{
	return (uint64_t)(caller->actor ? caller->actor : caller->principal);
}

/* Those who did not sign in share the bucket of their address. */
static uint64_t limit_key(const struct http_request_private *priv)
{
	if (priv->pub.signed_in) {
		return bucket_of(&priv->pub.caller);
	}
	return http_limit_address(priv->home->server, conn_peer(priv->conn->conn));
}

static bool rate_admit(struct http_request_private *priv)
{
	const struct http_server *server = priv->home->server;
	const struct http_options *options = &server->options;
	int64_t rate_per_s = options->limits.rate_per_s;

	if (priv->pub.local || rate_per_s <= 0 || priv->pub.route->flags & HTTP_UNLIMITED) {
		return true;
	}
	priv->limited = true;
	priv->rate = http_limit_take(server->slots, limit_key(priv), rate_per_s, options->limits.rate_burst, priv->pub.started_us);
	if (priv->rate.retry_after_ms && priv->pub.signed_in && options->limited) {
		options->limited(options->ctx, priv->pub.loop, &priv->pub.caller, priv->pub.route->action ? priv->pub.route->action : "get");
	}
	return !priv->rate.retry_after_ms || http_request_refuse(priv, ERR_RATE_LIMITED, NULL);
}

int64_t http_server_limit(struct http_server *server, struct loop *loop, const struct caller *caller, const char *action)
{
	const struct http_options *options = &server->options;
	int64_t rate_per_s = options->limits.rate_per_s;

	if (rate_per_s <= 0) {
		return 0;
	}
	struct http_rate rate = http_limit_take(server->slots, bucket_of(caller), rate_per_s, options->limits.rate_burst,
						loop_now_us(loop));
	if (rate.retry_after_ms && options->limited) {
		options->limited(options->ctx, loop, caller, action);
	}
	return rate.retry_after_ms;
}

bool http_auth_admit(struct http_request_private *priv)
{
	const struct http_route *route = priv->pub.route;

	if (!priv->pub.local && !sign_in(priv)) {
		return false;
	}
	if (!(route->flags & HTTP_OPEN)) {
		if (!priv->pub.signed_in) {
			return rate_admit(priv) && http_request_refuse(priv, ERR_UNAUTHENTICATED, NULL);
		}
		if (!role_fits(route, priv->pub.caller.role)) {
			return http_request_refuse(priv, ERR_PERMISSION, NULL);
		}
		if (!scope_fits(route->scope, &priv->pub.caller)) {
			return http_request_refuse(priv, ERR_PERMISSION, scope_missing(route->scope));
		}
	}
	return rate_admit(priv);
}
