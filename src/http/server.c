/* server.c - the server as a whole: its rows, its loops, stopping and revoking. */
#include "base/limits.h"
#include "http/http_priv.h"

#define SECOND_US 1000000

static void default_to(_Atomic int64_t *value, int64_t otherwise)
{
	if (*value <= 0) {
		*value = otherwise;
	}
}

static void limits_fill(struct http_limits *limits)
{
	default_to(&limits->head_timeout_us, 10 * (int64_t)SECOND_US);
	default_to(&limits->body_rate_bytes, 1024);
	default_to(&limits->sign_in_timeout_us, 5 * (int64_t)SECOND_US);
	default_to(&limits->idle_timeout_us, 60 * (int64_t)SECOND_US);
	default_to(&limits->ws_ping_us, 30 * (int64_t)SECOND_US);
	default_to(&limits->ws_close_us, 90 * (int64_t)SECOND_US);
	default_to(&limits->sse_comment_us, 15 * (int64_t)SECOND_US);
	default_to(&limits->rate_burst, 2 * limits->rate_per_s);
}

void http_server_limits_set(struct http_server *server, const struct http_limits *limits)
{
	struct http_limits next = *limits;
	struct http_limits *now = &server->options.limits;

	limits_fill(&next);
	now->head_timeout_us = next.head_timeout_us;
	now->body_rate_bytes = next.body_rate_bytes;
	now->sign_in_timeout_us = next.sign_in_timeout_us;
	now->idle_timeout_us = next.idle_timeout_us;
	now->ws_ping_us = next.ws_ping_us;
	now->ws_close_us = next.ws_close_us;
	now->sse_comment_us = next.sse_comment_us;
	now->rate_burst = next.rate_burst;
	now->rate_per_s = next.rate_per_s;
	now->sign_in_rate_per_s = next.sign_in_rate_per_s;
}

enum err http_server_create(const struct http_options *options, struct http_server **out)
{
	unsigned loops = options->loop_count;
	struct http_server *server = mem_alloc(sizeof(*server) + loops * sizeof(server->loops[0]));

	*out = server;
	check(options->env && options->tables && loops > 0 && loops <= LIMIT_LOOPS);
	if (!server) {
		return ERR_MEMORY;
	}
	server->options = *options;
	env_random(options->env, &server->seed, sizeof(server->seed));
	limits_fill(&server->options.limits);
	if (server->options.body_bytes_max == 0) {
		server->options.body_bytes_max = LIMIT_BODY_BYTES;
	}
	for (unsigned i = 0; i < loops; i++) {
		server->loops[i].server = server;
		list_init(&server->loops[i].conns);
		list_init(&server->loops[i].locals);
	}
	enum err err = http_router_create(options->tables, &server->router);
	if (!err) {
		server->slots = mem_alloc(HTTP_LIMIT_SLOTS * sizeof(server->slots[0]));
		server->sign_in_slots = mem_alloc(HTTP_LIMIT_SLOTS * sizeof(server->sign_in_slots[0]));
		err = server->slots && server->sign_in_slots ? ERR_OK : ERR_MEMORY;
	}
	if (err) {
		http_server_destroy(out);
	}
	return err;
}

static void home_fini(struct http_loop *home)
{
	check(list_empty(&home->conns) && home->live == 0);
	while (home->pool) {
		struct http_request_private *priv = home->pool;
		home->pool = priv->next;
		arena_fini(&priv->pub.arena);
		buf_fini(&priv->body_bytes);
		buf_fini(&priv->headers);
		mem_free(priv);
	}
}

size_t http_server_unanswered(const struct http_server *server, const struct loop *loop)
{
	return server->loops[loop_number(loop)].live;
}

void http_server_destroy(struct http_server **out)
{
	struct http_server *server = *out;

	*out = NULL;
	if (!server) {
		return;
	}
	for (unsigned i = 0; i < server->options.loop_count; i++) {
		home_fini(&server->loops[i]);
	}
	http_router_destroy(&server->router);
	mem_free(server->slots);
	mem_free(server->sign_in_slots);
	mem_free(server);
}

struct http_loop *http_server_home(struct http_server *server, struct loop *loop)
{
	unsigned number = loop_number(loop);

	check(number < server->options.loop_count);
	struct http_loop *home = &server->loops[number];
	check(!home->loop || home->loop == loop);
	home->loop = loop;
	return home;
}

enum err http_server_accepted(struct loop *loop, int fd, const struct conn_address *peer, void *server)
{
	return http_conn_open(http_server_home(server, loop), fd, peer);
}

static struct http_conn *conn_of(struct list *node)
{
	return container_of(node, struct http_conn, link);
}

/* Closed connections leave the list later, so that it does not change while it is walked; so do local requests. */
void http_server_drain(struct http_server *server, struct loop *loop)
{
	struct http_loop *home = http_server_home(server, loop);

	home->draining = true;
	for (struct list *node = home->conns.next; node != &home->conns; node = node->next) {
		struct http_conn *c = conn_of(node);
		if (c->state == HTTP_CONN_HEAD && !c->kept) {
			http_conn_end(c);
		} else if (c->state == HTTP_CONN_STREAM) {
			http_stream_drain(c->request);
		} else if (c->state == HTTP_CONN_WEBSOCKET) {
			websocket_close(c->socket, err_row(ERR_GOING_AWAY)->ws_close, STR("the server is stopping: retry"));
		}
	}
	for (struct list *node = home->locals.next; node != &home->locals; node = node->next) {
		http_stream_local_cut(container_of(node, struct http_request_private, local_link));
	}
}

/* A body on its way will be refused; what a handler has under way may end, but gives no stream any more. */
static void revoke(struct http_conn *c)
{
	switch ((enum http_conn_state)c->state) {
	case HTTP_CONN_WEBSOCKET:
		websocket_close(c->socket, err_row(ERR_UNAUTHENTICATED)->ws_close, STR("the token was revoked"));
		break;
	case HTTP_CONN_STREAM:
		http_stream_cut(c->request);
		break;
	case HTTP_CONN_BODY:
		http_request_refuse(c->request, ERR_UNAUTHENTICATED, NULL);
		break;
	case HTTP_CONN_BUSY:
		c->request->revoked = true;
		break;
	case HTTP_CONN_HEAD:
	case HTTP_CONN_ENDING:
		break;
	}
}

void http_server_revoke(struct http_server *server, struct loop *loop, int64_t token, int64_t principal)
{
	struct http_loop *home = http_server_home(server, loop);

	for (struct list *node = home->conns.next; node != &home->conns; node = node->next) {
		struct http_conn *c = conn_of(node);
		const struct caller *caller = c->socket ? websocket_caller(c->socket) : c->request ? &c->request->pub.caller : NULL;
		if (caller && caller->role != ROLE_NONE &&
		    (token ? caller->token == token || caller->session == token : caller->principal == principal || caller->actor == principal)) {
			revoke(c);
		}
	}
}

const struct http_route *const *http_server_routes(const struct http_server *server)
{
	return server->options.tables;
}
