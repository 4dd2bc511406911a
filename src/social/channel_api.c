/* channel_api.c - /v1/channels: rows, and what is checked before a command. */
#include <ctype.h>

#include "base/timefmt.h"
#include "social/channel_priv.h"
#include "wire/utf8.h"

static const struct http_member create_members[] = {
	{"name", HTTP_STRING, true, 1, CHANNEL_NAME_BYTES_MAX + 1, NULL, "1 to 64 of [a-z0-9_-], unique in the workspace; a leading # is dropped"},
	{"display_name", HTTP_STRING, false, 0, 1000, NULL, "shown instead; the name when absent"},
	{"description", HTTP_STRING, false, 0, CHANNEL_DESCRIPTION_CHARS_MAX, NULL, "what it is for"},
	{"type", HTTP_STRING, false, 0, 0, channel_type_words, "general when absent"},
	{"private", HTTP_BOOL, false, 0, 0, NULL, "true: members alone see it and what is posted there"},
	{.name = NULL},
};
static const struct http_member list_query[] = {
	QUERY_LIST_MEMBERS,
	{"mine", HTTP_BOOL, false, 0, 0, NULL, "true: only those that the caller belongs to"},
	{.name = NULL},
};
static const struct http_member members_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};

/* ---- what paths name ---- */

/* The channel of the path, if the caller may see it, or may change its members as an admin. 0: the request has been answered. */
static int64_t path_channel(struct guild *guild, struct http_request *request, bool admin_may)
{
	int64_t id;
	bool member;
	enum err err = social_channel_find(guild->social, &request->caller, request->params[0], &id, &member);
	if (err != ERR_OK && admin_may && caller_is_admin(&request->caller) &&
	    id_parse(&guild->id_secret, ID_CHANNEL, request->params[0], &id) == ERR_OK) {
		const struct channel *channel = channel_get(guild->social, id);
		err = channel != NULL && channel->workspace == request->caller.workspace ? ERR_OK : ERR_NOT_FOUND;
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
		return 0;
	}
	return id;
}

/* Who leaves may be disabled or archived by now. */
static enum err member_of_id(struct guild *guild, const struct caller *caller, struct str text, struct actor *out)
{
	int64_t key;
	if (id_parse(&guild->id_secret, ID_AGENT, text, &key) == ERR_OK) {
		const struct agent *agent = registry_get(guild->registry, key);
		*out = (struct actor){key, ACTOR_AGENT};
		return agent != NULL && agent->workspace == caller->workspace ? ERR_OK : ERR_NOT_FOUND;
	}
	if (id_parse(&guild->id_secret, ID_PRINCIPAL, text, &key) == ERR_OK) {
		const struct principal *principal = identity_principal(guild->identity, key);
		*out = (struct actor){key, ACTOR_HUMAN};
		return principal != NULL && principal->workspace == caller->workspace ? ERR_OK : ERR_NOT_FOUND;
	}
	return ERR_NOT_FOUND;
}

/* "me", or an agent's or user's id; no handle, which could look like somebody's id. False: the request has been answered. */
static bool path_member(struct guild *guild, struct http_request *request, bool joins, struct actor *out)
{
	const struct caller *caller = &request->caller;
	struct str text = request->params[1];
	enum err err = ERR_OK;
	if (str_eq_case(text, STR("me"))) {
		*out = actor_of(caller);
	} else {
		err = member_of_id(guild, caller, text, out);
	}
	if (err == ERR_OK && joins && out->key != actor_of(caller).key) {
		bool is_agent = out->kind == ACTOR_AGENT;
		err = actor_find(guild, caller, is_agent ? text : STR_NONE, is_agent ? STR_NONE : text, out);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
	return err == ERR_OK;
}

/* ---- create ---- */

/* In the form that is kept. False: it cannot be a name. */
static bool name_normal(struct arena *arena, struct str text, struct str *out)
{
	struct str name = str_starts(text, STR("#")) ? str_sub(text, 1, text.len) : text;
	char *at = arena_alloc(arena, name.len + 1);
	if (name.len == 0 || name.len > CHANNEL_NAME_BYTES_MAX || at == NULL) {
		return false;
	}
	for (size_t i = 0; i < name.len; i++) {
		at[i] = (char)tolower((unsigned char)name.at[i]);
		if (!((at[i] >= 'a' && at[i] <= 'z') || (at[i] >= '0' && at[i] <= '9') || at[i] == '_' || at[i] == '-')) {
			return false;
		}
	}
	*out = str_make(at, name.len);
	return true;
}

static bool texts_read(struct http_request *request, struct channel *wanted)
{
	const char *detail = NULL;
	struct str text = STR("");
	(void)http_body_str(request, "name", &text);
	if (!name_normal(&request->arena, text, &wanted->name)) {
		http_reply_invalid(request, "/name", "1 to 64 of a-z, 0-9, _ and - are wanted here.");
		return false;
	}
	wanted->display_name = wanted->name;
	if (http_body_str(request, "display_name", &text) && str_trim(text).len > 0 &&
	    text_check_name(text, &wanted->display_name, &detail) != ERR_OK) {
		http_reply_invalid(request, "/display_name", detail);
		return false;
	}
	wanted->description = STR("");
	if (http_body_str(request, "description", &text) && !utf8_is_blank(text)) {
		if (text_check_content(text, CHANNEL_DESCRIPTION_CHARS_MAX, &detail) != ERR_OK) {
			http_reply_invalid(request, "/description", detail);
			return false;
		}
		wanted->description = text;
	}
	return true;
}

static void handle_create(struct http_request *request, void *ctx)
{
	struct channel wanted = {.kind = 1};
	struct str word;
	if (!texts_read(request, &wanted)) {
		return;
	}
	if (http_body_str(request, "type", &word)) {
		wanted.kind = social_word(channel_type_words, word);
	}
	(void)http_body_bool(request, "private", &wanted.is_private);
	channel_create_start(ctx, request, &wanted);
}

/* ---- reading ---- */

static void handle_get(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	int64_t id = govern_read(guild, request, "list_channels") ? path_channel(guild, request, false) : 0;
	if (id == 0) {
		return;
	}
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	channel_json(guild, channel_get(guild->social, id), &json);
	change_reply(request, 200, &text);
}

struct channel_list {
	struct query query; /* first */
	struct actor viewer;
	bool mine;
	int64_t channel;    /* of members */
	int64_t seen;
};

static bool list_channel(int64_t id, void *arg)
{
	struct channel_list *list = arg;
	struct query *query = &list->query;
	struct social *social = query->guild->social;
	const struct channel *channel = channel_get(social, id);
	bool wanted = channel != NULL && (!channel->is_private || channel_has(social, id, list->viewer.key));
	if (wanted) {
		if (!query_room(query)) {
			return false;
		}
		channel_json(query->guild, channel, &query->json);
	}
	if (channel != NULL) {
		query_mark(query, id, 0);
	}
	if (++list->seen == LIMIT_SCAN_ROWS) {
		query->more = true;
		return false;
	}
	return true;
}

/* Names do not change and channels do not go away, so that the last one's key is a place in the order of names. */
static enum err list_run(struct query *query, struct db *db)
{
	struct channel_list *list = (struct channel_list *)query;
	struct channel_span span = {.workspace = query->request->caller.workspace,
				    .actor = list->mine ? list->viewer.key : 0,
				    .after = STR(""),
				    .limit = LIMIT_SCAN_ROWS};
	if (query->after[0] != 0) {
		const struct channel *last = channel_get(query->guild->social, query->after[0]);
		if (last == NULL) {
			return ERR_MALFORMED;
		}
		span.after = last->name;
	}
	return channel_keys_by_name(db, &span, list_channel, list);
}

static void handle_list(struct http_request *request, void *ctx)
{
	struct str mine = STR("false");
	if (!govern_read(ctx, request, "list_channels")) {
		return;
	}
	(void)http_query_str(request, "mine", &mine);
	struct channel_list *list = query_list_new(ctx, request, mine, sizeof(*list));
	if (list != NULL) {
		list->viewer = actor_of(&request->caller);
		list->mine = str_eq(mine, STR("true"));
		query_submit(&list->query, list_run);
	}
}

/* ---- members ---- */

static bool list_member(const struct channel_member *member, void *arg)
{
	struct query *query = arg;
	if (!query_room(query)) {
		return false;
	}
	struct time_text joined = time_format(member->joined_at_us);
	json_object(&query->json);
	json_name(&query->json, STR("actor"));
	actor_json(query->guild, member->actor, &query->json);
	json_put_str(&query->json, STR("joined_at"), time_str(&joined));
	json_object_end(&query->json);
	query_mark(query, member->actor.key, 0);
	return true;
}

static enum err members_run(struct query *query, struct db *db)
{
	const struct channel_list *list = (struct channel_list *)query;
	return channel_members(db, list->channel, query->after[0], query->limit + 1, list_member, query);
}

static void handle_members(struct http_request *request, void *ctx)
{
	int64_t id = govern_read(ctx, request, "list_channels") ? path_channel(ctx, request, false) : 0;
	struct channel_list *list = id != 0 ? query_list_new(ctx, request, STR(""), sizeof(*list)) : NULL;
	if (list != NULL) {
		list->channel = id;
		query_submit(&list->query, members_run);
	}
}

static void handle_join(struct http_request *request, void *ctx)
{
	struct actor who;
	int64_t id = path_channel(ctx, request, true);
	if (id != 0 && path_member(ctx, request, true, &who)) {
		channel_join_start(ctx, request, id, who);
	}
}

static void handle_leave(struct http_request *request, void *ctx)
{
	struct actor who;
	int64_t id = path_channel(ctx, request, true);
	if (id != 0 && path_member(ctx, request, false, &who)) {
		channel_leave_start(ctx, request, id, who);
	}
}

const struct http_route social_channel_routes[] = {
	{HTTP1_POST, "/v1/channels", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK | HTTP_EXISTED, "channel_create",
	 "Makes a channel, and its maker a member; 200 with the existing one when the name is taken.", create_members, NULL, "channel", 201,
	 handle_create},
	{HTTP1_GET, "/v1/channels", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "list_channels",
	 "Lists the channels that the caller may see, in order of name.", NULL, list_query, "list:channel", 200, handle_list},
	{HTTP1_GET, "/v1/channels/{id}", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "list_channels", "Shows a channel, by id or name.", NULL,
	 NULL, "channel",
	 200, handle_get},
	{HTTP1_GET, "/v1/channels/{id}/members", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "list_channels", "Lists the members of a channel.", NULL,
	 members_query, "list:channel_member", 200, handle_members},
	{HTTP1_PUT, "/v1/channels/{id}/members/{member}", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK, "channel_join",
	 "Joins a channel (me), or brings somebody in: into a private one only a member or an admin does.", NULL, NULL, "channel", 200,
	 handle_join},
	{HTTP1_DELETE, "/v1/channels/{id}/members/{member}", ROLE_MEMBER, SCOPE_SOCIAL_WRITE, HTTP_AGENT_OK, "channel_leave",
	 "Leaves a channel (me); its creator and admins remove others.", NULL, NULL, NULL, 204, handle_leave},
	{.path = NULL},
};
