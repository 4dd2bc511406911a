/* post_api.c - /v1/posts. */
#include "social/post_priv.h"

#define POST_MEMBERS                                                                                                   \
	{"content", HTTP_STRING, true, 1, LIMIT_POST_CHARS, NULL, "what is said; personal data in it is redacted"},        \
	{"type", HTTP_STRING, false, 0, 0, post_type_words, "command is kept as task, response as status, announcement as alert"}, \
	{"mentions", HTTP_ARRAY, false, 0, LIMIT_POST_MENTIONS, NULL,                                                      \
		"{kind, id} of agents, users, episodes and tasks; @handles of the text are added"},                            \
	{"skip_redaction", HTTP_BOOL, false, 0, 0, NULL, "keep the text as it is, for admins"},                            \
	{"auto_generated", HTTP_BOOL, false, 0, 0, NULL, "nobody wrote it, for agents and admins"}

static const struct http_member post_members[] = {
	POST_MEMBERS,
	{"channel_id", HTTP_STRING, false, 1, 255, NULL, "id or name of the channel it is for"},
	{"visibility", HTTP_STRING, false, 0, 0, visibility_words,
		"public when absent, channel with a channel_id; directed: for the one agent or user mentioned, or a note to oneself"},
	{.name = NULL},
};
static const struct http_member reply_members[] = {POST_MEMBERS, {.name = NULL}};
static const struct http_member reply_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};

struct post_query {
	struct query query; /* first */
	int64_t id;
	struct actor viewer;
	struct db *db; /* while it runs */
	enum err err;
};

/* The post of the path. False: the request has been answered. */
static bool path_post(struct guild *guild, struct http_request *request, int64_t *id)
{
	if (id_parse(&guild->id_secret, ID_POST, request->params[0], id) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return false;
	}
	return true;
}

/* ---- reading ---- */

static enum err seen_post(struct post_query *own, struct db *db, bool buried_too, struct post *out)
{
	struct http_request *request = own->query.request;
	struct social *social = own->query.guild->social;
	enum err err = post_get(db, &request->arena, own->id, out);
	if (err != ERR_OK) {
		return err;
	}
	bool visible = buried_too ? post_visible_buried(social, &request->caller, out)
				  : post_visible(social, &request->caller, out);
	return visible ? ERR_OK : ERR_NOT_FOUND;
}

static enum err get_run(struct query *query, struct db *db)
{
	struct post_query *own = (struct post_query *)query;
	struct post post;
	enum err err = seen_post(own, db, false, &post);
	return err == ERR_OK ? post_json(query->guild, db, &post, own->viewer, &query->json) : err;
}

static void handle_get(struct http_request *request, void *ctx)
{
	int64_t id;
	if (!path_post(ctx, request, &id) || !govern_read(ctx, request, "feed")) {
		return;
	}
	struct post_query *own = query_new(ctx, request, sizeof(*own));
	if (own != NULL) {
		own->id = id;
		own->viewer = actor_of(&request->caller);
		query_submit(&own->query, get_run);
	}
}

static bool reply_put(const struct post *post, void *arg)
{
	struct post_query *own = arg;
	if (!query_room(&own->query)) {
		return false;
	}
	own->err = post_json(own->query.guild, own->db, post, own->viewer, &own->query.json);
	query_mark(&own->query, post->id, 0);
	return own->err == ERR_OK;
}

static enum err replies_run(struct query *query, struct db *db)
{
	struct post_query *own = (struct post_query *)query;
	struct post post;
	own->db = db;
	enum err err = seen_post(own, db, true, &post);
	if (err == ERR_OK) {
		err = post_replies(db, own->id, query->after[0], reply_put, own);
	}
	return err != ERR_OK ? err : own->err;
}

static void handle_replies(struct http_request *request, void *ctx)
{
	int64_t id;
	if (!path_post(ctx, request, &id) || !govern_read(ctx, request, "replies")) {
		return;
	}
	struct post_query *own = query_list_new(ctx, request, STR(""), sizeof(*own));
	if (own != NULL) {
		own->id = id;
		own->viewer = actor_of(&request->caller);
		query_submit(&own->query, replies_run);
	}
}

/* ---- posting ---- */

/* What posts and replies have in common. False: the request has been answered. */
static bool common_read(struct http_request *request, enum post_word absent, struct post_input *input)
{
	struct str type;
	*input = (struct post_input){.requested = absent, .visibility = VISIBILITY_PUBLIC};
	(void)http_body_str(request, "content", &input->content);
	(void)http_body_bool(request, "skip_redaction", &input->skip_redaction);
	(void)http_body_bool(request, "auto_generated", &input->auto_generated);
	if (http_body_str(request, "type", &type)) {
		input->requested = social_word(post_type_words, type);
	}
	struct json mentions = json_member(request->body, STR("mentions"));
	if (json_kind(mentions) == JSON_ARRAY) {
		input->mentions = mentions;
	}
	bool is_admin = caller_is_admin(&request->caller);
	if (input->skip_redaction && !is_admin) {
		http_reply_error(request, ERR_PERMISSION, "Only an admin may keep a text from being redacted.");
		return false;
	}
	if (input->auto_generated && !is_admin && request->caller.role != ROLE_AGENT) {
		http_reply_error(request, ERR_PERMISSION, "Only agents and admins may mark a post as auto_generated.");
		return false;
	}
	return true;
}

/* The channel of the body and the visibility, which have to agree. False: the request has been answered. */
static bool place_read(struct guild *guild, struct http_request *request, struct post_input *input)
{
	struct str channel, word;
	bool is_member;
	bool has_channel = http_body_str(request, "channel_id", &channel);
	if (has_channel) {
		input->visibility = VISIBILITY_CHANNEL;
	}
	if (http_body_str(request, "visibility", &word)) {
		input->visibility = (enum visibility)social_word(visibility_words, word);
	}
	if (has_channel && input->visibility != VISIBILITY_CHANNEL) {
		http_reply_invalid(request, "/visibility", "A post with a channel_id has the visibility channel.");
		return false;
	}
	if (!has_channel && input->visibility == VISIBILITY_CHANNEL) {
		http_reply_invalid(request, "/channel_id", "A post with the visibility channel needs a channel_id.");
		return false;
	}
	if (has_channel &&
		social_channel_find(guild->social, &request->caller, channel, &input->channel, &is_member) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, "There is no such channel, or you may not see it.");
		return false;
	}
	return true;
}

static void go(struct post_change *post)
{
	struct post_fault fault;
	if (post_go(post, &fault) != ERR_OK) {
		post_fail(post, &fault);
	}
}

static void handle_create(struct http_request *request, void *ctx)
{
	struct post_input input;
	if (!common_read(request, POST_WORD_STATUS, &input) || !place_read(ctx, request, &input)) {
		return;
	}
	struct post_change *post = change_new(ctx, request, &post_row, sizeof(*post));
	if (post != NULL) {
		post->input = input;
		go(post);
	}
}

static void parent_seen(struct post_look *look, enum err err)
{
	struct post_change *post = container_of(look, struct post_change, look);
	if (err != ERR_OK) {
		post_fail(post, &(struct post_fault){.err = err});
	} else {
		go(post);
	}
}

static void handle_reply(struct http_request *request, void *ctx)
{
	struct post_input input;
	int64_t id;
	if (!path_post(ctx, request, &id) || !common_read(request, POST_WORD_RESPONSE, &input)) {
		return;
	}
	struct post_change *post = change_new(ctx, request, &post_reply_row, sizeof(*post));
	if (post == NULL) {
		return;
	}
	post->input = input;
	post->input.reply_to = id;
	post->look = (struct post_look){
		.guild = ctx, .caller = &request->caller, .arena = &request->arena, .id = id, .then = parent_seen};
	enum err err = post_look_start(&post->look, request->loop);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

static void handle_delete(struct http_request *request, void *ctx)
{
	int64_t id;
	if (path_post(ctx, request, &id)) {
		post_delete_start(ctx, request, id);
	}
}

const struct http_route social_post_routes[] = {
	{HTTP1_POST, "/v1/posts", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK, "post", "Posts to everybody, to a channel, or to one agent or user.",
		post_members, NULL, "post", 201, handle_create},
	{HTTP1_GET, "/v1/posts/{id}", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "feed", "Shows a post.", NULL, NULL, "post", 200, handle_get},
	{HTTP1_DELETE, "/v1/posts/{id}", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK, "delete", "Deletes a post, for its author and admins.", NULL,
		NULL, NULL, 204, handle_delete},
	{HTTP1_GET, "/v1/posts/{id}/replies", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "replies", "Lists the replies to a post, oldest first.",
		NULL, reply_query, "list:post", 200, handle_replies},
	{HTTP1_POST, "/v1/posts/{id}/replies", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK, "reply", "Replies to a post, for all who may see it.",
		reply_members, NULL, "post", 201, handle_reply},
	{.path = NULL},
};
