/* feed_api.c - GET /v1/feed, by cursor or by page number; GET /v1/trending. */
#include "base/timefmt.h"
#include "social/feed_priv.h"
#include "social/trend_priv.h"
#include "social/unicode.h"

enum { PER_PAGE_DEFAULT = 50, HOURS_MAX = 168, HOURS_DEFAULT = 24, TRENDS_DEFAULT = 10 };

static const struct http_member feed_query[] = {
	QUERY_LIST_MEMBERS,
	{"page", HTTP_INT, false, 1, LIMIT_FEED_SKIP, NULL, "number of the page, from 1; instead of limit and cursor"},
	{"per_page", HTTP_INT, false, 1, 100, NULL, "items of a numbered page, 50 when absent"},
	{"type", HTTP_STRING, false, 0, 0, post_type_words, "kind of post; command means task, response status, announcement alert"},
	{"author", HTTP_STRING, false, 1, 255, NULL, "an agent's id or handle, a user's id, or me: all of theirs that the caller may see"},
	{"channel", HTTP_STRING, false, 1, 255, NULL, "a channel's id or name"},
	{"visibility", HTTP_STRING, false, 0, 0, visibility_words, "where posts are"},
	{"hashtag", HTTP_STRING, false, 1, LIMIT_FOLD_CHARS, NULL, "posts with that tag, in any case, with '#' or without"},
	{"since", HTTP_STRING, false, 1, 40, NULL, "not before, ISO-8601"},
	{"until", HTTP_STRING, false, 1, 40, NULL, "not after, ISO-8601"},
	{.name = NULL},
};
static const struct http_member trend_query[] = {
	{"hours", HTTP_INT, false, 1, HOURS_MAX, NULL, "how far back, 24 when absent; whole hours of the clock count"},
	{"limit", HTTP_INT, false, 1, 100, NULL, "how many, 10 when absent"},
	{.name = NULL},
};

struct feed_page {
	struct query query; /* first */
	struct feed feed;
	struct actor viewer;
	struct db *db;      /* while it runs */
	int64_t number;     /* of the page; 0: by cursor */
	int64_t from, seen; /* of a filtered page by number */
	bool filtered;
	enum err err;       /* of an item */
};

struct trend_list {
	struct query query; /* first */
	struct trend_ask ask;
	int64_t limit;
};

/* ---- filters; false: the request has been answered ---- */

static bool time_read(struct http_request *request, const char *name, int64_t *out)
{
	struct str text;
	if (http_query_str(request, name, &text) && time_parse(text, out) != ERR_OK) {
		http_reply_invalid(request, name, "A time as in 2026-01-31T12:00:00Z is wanted here.");
		return false;
	}
	return true;
}

static bool author_read(struct guild *guild, struct http_request *request, int64_t *out)
{
	struct str text;
	const struct caller *caller = &request->caller;
	if (!http_query_str(request, "author", &text)) {
		return true;
	}
	if (str_eq(text, STR("me"))) {
		*out = actor_of(caller).key;
		return true;
	}
	const struct agent *agent =
		registry_find(guild->registry, guild, caller->workspace, str_starts(text, STR("@")) ? str_sub(text, 1, text.len) : text);
	if (agent != NULL) {
		*out = agent->id;
		return true;
	}
	const struct principal *principal = identity_find(guild->identity, guild, caller->workspace, text);
	if (principal == NULL) {
		http_reply_error(request, ERR_NOT_FOUND, "There is no such author.");
		return false;
	}
	*out = principal->id;
	return true;
}

static bool channel_read(struct guild *guild, struct http_request *request, int64_t *out)
{
	struct str text;
	bool member;
	if (http_query_str(request, "channel", &text) &&
	    social_channel_find(guild->social, &request->caller, text, out, &member) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, "There is no such channel.");
		return false;
	}
	return true;
}

static bool tag_read(struct http_request *request, struct str *out)
{
	struct str text;
	if (!http_query_str(request, "hashtag", &text)) {
		return true;
	}
	struct str folded = STR_NONE;
	text = str_starts(text, STR("#")) ? text : arena_format(&request->arena, "#%.*s", STR_FMT(text));
	if (text.len < 2 || unicode_fold(text, &request->arena, &folded) != ERR_OK) {
		http_reply_invalid(request, "hashtag", "A hashtag is wanted here, as in automation.");
		return false;
	}
	*out = folded;
	return true;
}

static bool filters_read(struct guild *guild, struct http_request *request, struct feed_ask *ask)
{
	struct str word;
	if (http_query_str(request, "type", &word)) {
		ask->kind = post_kind_of(social_word(post_type_words, word));
	}
	if (http_query_str(request, "visibility", &word)) {
		ask->visibility = (enum visibility)social_word(visibility_words, word);
	}
	return author_read(guild, request, &ask->author) && channel_read(guild, request, &ask->channel) && tag_read(request, &ask->tag) &&
	       time_read(request, "since", &ask->since_us) && time_read(request, "until", &ask->until_us);
}

/* What a cursor belongs to. */
static struct str filter_text(struct arena *arena, const struct feed_ask *ask)
{
	return arena_format(arena, "%d:%d:%lld:%lld:%lld:%lld:%.*s", ask->kind, (int)ask->visibility, (long long)ask->author,
			    (long long)ask->channel, (long long)ask->since_us, (long long)ask->until_us, STR_FMT(ask->tag));
}

/* ---- the feed, on a reader ---- */

static bool put_post(struct feed_page *page, const struct post *post)
{
	page->err = post_json(page->query.guild, page->db, post, page->viewer, &page->query.json);
	return page->err == ERR_OK;
}

static bool take_listed(const struct post *post, void *arg)
{
	struct feed_page *page = arg;
	return query_room(&page->query) && put_post(page, post);
}

static bool take_numbered(const struct post *post, void *arg)
{
	struct feed_page *page = arg;
	if (page->filtered) {
		bool on_page = page->seen >= page->from && page->seen < page->from + page->query.limit;
		page->seen++;
		return !on_page || put_post(page, post);
	}
	return page->query.count++ < page->query.limit && put_post(page, post);
}

static enum err list_run(struct query *query, struct db *db)
{
	struct feed_page *page = (struct feed_page *)query;
	page->db = db;
	enum err err = feed_walk(&page->feed, db, LIMIT_SCAN_ROWS, take_listed, page);
	query->more = query->more || page->feed.cut;
	query_mark(query, page->feed.below, 0);
	return err == ERR_OK ? page->err : err;
}

static enum err number_run(struct query *query, struct db *db)
{
	struct feed_page *page = (struct feed_page *)query;
	struct json_out *json = &query->json;
	int64_t total = 0;
	page->db = db;
	json_object(json);
	json_name(json, STR("items"));
	json_array(json);
	enum err err = page->filtered ? ERR_OK : feed_total(&page->feed, db, &total);
	if (err == ERR_OK) {
		err = feed_walk(&page->feed, db, page->filtered ? LIMIT_FEED_COUNT : LIMIT_SCAN_ROWS, take_numbered, page);
	}
	json_array_end(json);
	json_put_int(json, STR("page"), page->number);
	json_put_int(json, STR("per_page"), query->limit);
	json_put_int(json, STR("total"), page->filtered ? page->seen : total);
	json_object_end(json);
	return err == ERR_OK ? page->err : err;
}

/* ---- the feed, on the loop ---- */

static void page_start(struct guild *guild, struct http_request *request, struct feed_page *page, const struct feed_ask *ask)
{
	page->viewer = actor_of(&request->caller);
	page->feed = (struct feed){.social = guild->social, .caller = &request->caller, .viewer = page->viewer.key, .ask = *ask,
				   .arena = &request->arena, .below = INT64_MAX, .wanted = (size_t)page->query.limit + 1};
	if (page->number == 0) {
		page->feed.below = page->query.after[0] != 0 ? page->query.after[0] : INT64_MAX;
		query_submit(&page->query, list_run);
		return;
	}
	page->from = (page->number - 1) * page->query.limit;
	page->filtered = !feed_is_plain(&page->feed);
	page->feed.skip = page->filtered ? 0 : (size_t)page->from;
	query_submit(&page->query, number_run);
}

static void number_start(struct guild *guild, struct http_request *request, const struct feed_ask *ask)
{
	int64_t number = 1, per_page = PER_PAGE_DEFAULT;
	(void)http_query_int(request, "page", &number);
	(void)http_query_int(request, "per_page", &per_page);
	if ((number - 1) * per_page > LIMIT_FEED_SKIP) {
		http_reply_invalid(request, "page", "Pages by number end after 100,000 posts; go on by cursor.");
		return;
	}
	struct feed_page *page = query_new(guild, request, sizeof(*page));
	if (page != NULL) {
		page->number = number;
		page->query.limit = (int)per_page;
		page_start(guild, request, page, ask);
	}
}

static bool is_given(struct http_request *request, const char *name)
{
	struct str text;
	return http_query_str(request, name, &text);
}

static void handle_feed(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct feed_ask ask = {0};
	bool by_number = is_given(request, "page") || is_given(request, "per_page");
	if (!govern_read(guild, request, request->route->action)) {
		return;
	}
	if (by_number && (is_given(request, "limit") || is_given(request, "cursor"))) {
		http_reply_invalid(request, "page", "A feed is read by limit and cursor, or by page and per_page, not by both.");
		return;
	}
	if (!filters_read(guild, request, &ask)) {
		return;
	}
	if (by_number) {
		number_start(guild, request, &ask);
		return;
	}
	struct str filter = filter_text(&request->arena, &ask);
	if (filter.at == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	struct feed_page *page = query_list_new(guild, request, filter, sizeof(*page));
	if (page != NULL) {
		page_start(guild, request, page, &ask);
	}
}

/* ---- trends ---- */

static enum err trend_run(struct query *query, struct db *db)
{
	struct trend_list *list = (struct trend_list *)query;
	struct json_out *json = &query->json;
	struct trend_topic *topics;
	size_t count;
	enum err err = trend_top(query->guild->social->trends, db, &query->request->arena, &list->ask, (size_t)list->limit, &topics, &count);
	json_object(json);
	json_name(json, STR("items"));
	json_array(json);
	for (size_t i = 0; err == ERR_OK && i < count; i++) {
		json_object(json);
		json_put_str(json, STR("topic"), topics[i].topic);
		json_put_str(json, STR("kind"), topics[i].topic.at[0] == '#' ? STR("hashtag") : STR("mention"));
		json_put_int(json, STR("count"), topics[i].count);
		json_object_end(json);
	}
	json_array_end(json);
	json_object_end(json);
	return err;
}

static void handle_trending(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	int64_t hours = HOURS_DEFAULT, limit = TRENDS_DEFAULT;
	if (!govern_read(guild, request, request->route->action)) {
		return;
	}
	struct trend_list *list = query_new(guild, request, sizeof(*list));
	if (list != NULL) {
		(void)http_query_int(request, "hours", &hours);
		(void)http_query_int(request, "limit", &limit);
		list->limit = limit;
		list->ask = trend_ask_make(guild->social->trends, request->caller.workspace, env_wall_us(guild->env), hours);
		query_submit(&list->query, trend_run);
	}
}

const struct http_route social_feed_routes[] = {
	{HTTP1_GET, "/v1/feed", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "feed", "Lists posts that are for the caller, newest first.", NULL,
	 feed_query,
	 "feed", 200, handle_feed},
	{HTTP1_GET, "/v1/trending", ROLE_VIEWER, SCOPE_SOCIAL_READ, HTTP_AGENT_OK, "trending",
	 "Lists what public posts name most, hashtags and mentions.", NULL,
	 trend_query, "trending", 200, handle_trending},
	{.path = NULL},
};
