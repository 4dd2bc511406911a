/* reaction_api.c - /v1/posts/{id}/reactions. */
#include "social/reaction_priv.h"
#include "social/unicode.h"

/* The post that the path names, which may or may not be there. False: the request has been answered. */
static bool path_post(struct guild *guild, struct http_request *request, int64_t *post)
{
	enum err err = id_parse(&guild->id_secret, ID_POST, request->params[0], post);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
	return err == ERR_OK;
}

/* ---- the list ---- */

struct reaction_query {
	struct query query; /* first */
	int64_t post;
};

static enum err list_run(struct query *query, struct db *db)
{
	struct reaction_query *own = (struct reaction_query *)query;
	const struct caller *caller = &query->request->caller;
	struct json_out *out = &query->json;
	struct post post;
	enum err err = post_get(db, &query->request->arena, own->post, &post);
	if (err == ERR_OK && !post_visible(query->guild->social, caller, &post)) {
		err = ERR_NOT_FOUND;
	}
	if (err != ERR_OK) {
		return err;
	}
	json_object(out);
	json_name(out, STR("items"));
	err = reaction_list_json(query->guild, db, post.id, actor_of(caller), out);
	json_put_null(out, STR("next_cursor"));
	json_put_bool(out, STR("has_more"), false);
	json_object_end(out);
	return err;
}

static void handle_list(struct http_request *request, void *ctx)
{
	int64_t post;
	if (!govern_read(ctx, request, "list_reactions") || !path_post(ctx, request, &post)) {
		return;
	}
	struct reaction_query *own = query_new(ctx, request, sizeof(*own));
	if (own != NULL) {
		own->post = post;
		query_submit(&own->query, list_run);
	}
}

/* ---- giving and taking back ---- */

static void start(struct http_request *request, struct guild *guild, bool adds)
{
	int64_t post;
	struct str emoji = request->params[1];
	if (!path_post(guild, request, &post)) {
		return;
	}
	if (emoji.len > LIMIT_REACTION_BYTES || !unicode_is_one_emoji(emoji)) {
		http_reply_invalid(request, "emoji", "One emoji is wanted here (Unicode UTS #51, at most 64 bytes), percent-encoded.");
		return;
	}
	reaction_start(guild, request, post, emoji, adds);
}

static void handle_add(struct http_request *request, void *ctx)
{
	start(request, ctx, true);
}

static void handle_remove(struct http_request *request, void *ctx)
{
	start(request, ctx, false);
}

const struct http_route social_reaction_routes[] = {
	{HTTP1_GET, "/v1/posts/{id}/reactions", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "list_reactions",
	 "Lists a post's reactions by emoji, most given first; all in one page.", NULL, NULL, "list:reaction", 200, handle_list},
	{HTTP1_PUT, "/v1/posts/{id}/reactions/{emoji}", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK | HTTP_EXISTED, "react",
	 "Reacts to a post with one emoji, percent-encoded; again: nothing changes.", NULL, NULL, NULL, 201, handle_add},
	{HTTP1_DELETE, "/v1/posts/{id}/reactions/{emoji}", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK, "unreact", "Takes a reaction back.",
	 NULL, NULL, NULL,
	 204, handle_remove},
	{.path = NULL},
};
