/*
 * browser.c - what browsers add of themselves: cookies, origins, and questions whether another site's page may ask (CORS).
 *
 * A browser sends the cookie whoever's page asked. So with a cookie alone an effect needs what a foreign page cannot give: a header with a secret
 * that it cannot read (double submit), from an origin that is this one or a listed one (T10, T11).
 */
#include <stdio.h>

#include "base/hash.h"
#include "http/http_priv.h"

#define COOKIE_BYTES_MAX 256

static const struct str cookie_name = STR("guild_session");

/* ---- the cookie ---- */

unsigned http_cookie_find(struct str header, struct str name, struct str *out)
{
	struct str part;
	unsigned count = 0;

	while (header.at && str_split(&header, ';', &part)) {
		part = str_trim(part);
		if (part.len > name.len && part.at[name.len] == '=' && str_eq(str_sub(part, 0, name.len), name)) {
			*out = str_sub(part, name.len + 1, part.len);
			count++;
		}
	}
	return count;
}

struct str http_session_cookie(const struct http_request_private *priv)
{
	struct str value = STR_NONE;

	if (http1_field(&priv->head, STR("Authorization")).at || http1_field_count(&priv->head, STR("Cookie")) != 1) {
		return STR_NONE;
	}
	/* Two of that name: one of them was set by somebody else. */
	return http_cookie_find(http1_field(&priv->head, STR("Cookie")), cookie_name, &value) == 1 ? value : STR_NONE;
}

void http_csrf_of(struct str session, char out[HTTP_CSRF_LEN + 1])
{
	static const char label[] = "guild csrf ";
	char text[sizeof(label) + COOKIE_BYTES_MAX];
	uint8_t hash[HASH_SHA256_BYTES];
	size_t len = session.len < COOKIE_BYTES_MAX ? session.len : COOKIE_BYTES_MAX;

	memcpy(text, label, sizeof(label) - 1);
	memcpy(text + sizeof(label) - 1, session.at, len);
	hash_sha256(str_make(text, sizeof(label) - 1 + len), hash);
	hash_hex(hash, sizeof(hash), out);
	explicit_bzero(text, sizeof(text));
}

void http_reply_session(struct http_request *request, struct str session, int64_t seconds)
{
	char line[COOKIE_BYTES_MAX + 128];
	/* A page that came over TLS says so; behind a proxy nothing else here knows. */
	bool secure = str_eq_case(str_sub(http_header(request, STR("Origin")), 0, 8), STR("https://"));

	check(session.len < COOKIE_BYTES_MAX);
	snprintf(line, sizeof(line), "%.*s=%.*s; HttpOnly; SameSite=Strict; Path=/; Max-Age=%lld%s", STR_FMT(cookie_name), STR_FMT(session),
		 (long long)seconds, secure ? "; Secure" : "");
	http_reply_header(request, "Set-Cookie", str_of(line));
	explicit_bzero(line, sizeof(line));
}

bool http_request_csrf(const struct http_request *request, char out[HTTP_CSRF_LEN + 1])
{
	if (request->local || !request->caller.session) {
		return false;
	}
	http_csrf_of(http_session_cookie(request->priv), out);
	return true;
}

/* ---- origins ---- */

static bool listed(const char *const *origins, struct str origin)
{
	for (; origins && *origins; origins++) {
		if (str_eq_case(str_of(*origins), origin)) {
			return true;
		}
	}
	return false;
}

/* The own one, as its browser names this server; or one of the lists. "null" is nobody's. */
static bool origin_known(const struct http_request_private *priv, struct str origin)
{
	const struct http_options *options = &priv->home->server->options;
	struct str host = http1_field(&priv->head, STR("Host"));
	struct str own;

	if (str_eq_case(str_sub(origin, 0, 7), STR("http://"))) {
		own = str_sub(origin, 7, origin.len);
	} else if (str_eq_case(str_sub(origin, 0, 8), STR("https://"))) {
		own = str_sub(origin, 8, origin.len);
	} else {
		return false;
	}
	return (host.len && str_eq_case(own, host)) || listed(options->origins, origin) || listed(options->cors_origins, origin);
}

enum http_origin http_origin_of(const struct http_request_private *priv)
{
	struct str origin = http1_field(&priv->head, STR("Origin"));

	if (!origin.at) {
		return HTTP_ORIGIN_NONE;
	}
	return http1_field_count(&priv->head, STR("Origin")) == 1 && origin_known(priv, origin) ? HTTP_ORIGIN_GOOD : HTTP_ORIGIN_FOREIGN;
}

bool http_origin_admit(struct http_request_private *priv)
{
	static const char detail[] = "Pages of this origin may not do this; see http.origins.";
	enum http_origin origin = http_origin_of(priv);
	struct str site = http1_field(&priv->head, STR("Sec-Fetch-Site"));

	if (origin == HTTP_ORIGIN_FOREIGN) {
		return http_request_refuse(priv, ERR_PERMISSION, detail);
	}
	/* What a listed origin asks is cross-site, and allowed. */
	if (origin == HTTP_ORIGIN_NONE && site.at && !str_eq_case(site, STR("same-origin")) && !str_eq_case(site, STR("none"))) {
		return http_request_refuse(priv, ERR_PERMISSION, detail);
	}
	return true;
}

bool http_csrf_admit(struct http_request_private *priv, struct str session)
{
	static const struct str name = STR("X-CSRF-Token");
	struct str given = http1_field(&priv->head, name);
	char wanted[HTTP_CSRF_LEN + 1];

	http_csrf_of(session, wanted);
	bool same = http1_field_count(&priv->head, name) == 1 && given.len == HTTP_CSRF_LEN && hash_equal(given.at, wanted, HTTP_CSRF_LEN);
	return same || http_request_refuse(priv, ERR_PERMISSION, "With a cookie, X-CSRF-Token has to be the csrf_token of this sign-in.");
}

/* ---- CORS ---- */

static bool cors_fits(const struct http_request_private *priv)
{
	return http_origin_of(priv) == HTTP_ORIGIN_GOOD &&
	       listed(priv->home->server->options.cors_origins, http1_field(&priv->head, STR("Origin")));
}

void http_cors_reply(struct http_request_private *priv)
{
	const char *const *origins = priv->home->server->options.cors_origins;

	if (!origins || !*origins) {
		return;
	}
	http_reply_header(&priv->pub, "Vary", STR("Origin"));
	if (cors_fits(priv)) {
		http_reply_header(&priv->pub, "Access-Control-Allow-Origin", http1_field(&priv->head, STR("Origin")));
		http_reply_header(&priv->pub, "Access-Control-Allow-Credentials", STR("true"));
		http_reply_header(&priv->pub, "Access-Control-Expose-Headers",
				  STR("ETag, Idempotency-Replayed, RateLimit-Limit, RateLimit-Remaining, RateLimit-Reset, Retry-After, X-Request-Id"));
	}
}

void http_cors_preflight(struct http_request_private *priv)
{
	if (!http1_field(&priv->head, STR("Access-Control-Request-Method")).at || !cors_fits(priv)) {
		return;
	}
	http_reply_header(&priv->pub, "Access-Control-Allow-Methods", str_of(priv->node->allow));
	http_reply_header(&priv->pub, "Access-Control-Allow-Headers",
			  STR("Accept, Authorization, Content-Type, Idempotency-Key, If-Match, Last-Event-ID, X-CSRF-Token, X-Guild-User, "
			      "X-Request-Id, traceparent"));
	http_reply_header(&priv->pub, "Access-Control-Max-Age", STR("600"));
}
