/* post_json.c - a post as clients see it, who may see it, and the topics it goes to. */
#include "base/timefmt.h"
#include "social/post_priv.h"

struct place post_place(struct social *social, const struct post *post)
{
	struct place place = {.workspace = post->workspace,
		.visibility = post->visibility,
		.audience = post->audience,
		.author = post->author.key};
	if (post->visibility == VISIBILITY_CHANNEL) {
		const struct channel *channel = channel_get(social, post->audience);
		place.channel_private = channel == NULL || channel->is_private;
	}
	return place;
}

bool post_visible_buried(struct social *social, const struct caller *caller, const struct post *post)
{
	struct place place = post_place(social, post);
	int64_t viewer = actor_of(caller).key;
	bool is_member = place.channel_private && channel_has(social, place.audience, viewer);
	return visibility_allows(&place, caller->workspace, viewer, is_member);
}

bool post_visible(struct social *social, const struct caller *caller, const struct post *post)
{
	return post->deleted_at_us == 0 && post_visible_buried(social, caller, post);
}

enum err social_post_audience(
	struct social *social, struct db *db, const struct caller *caller, int64_t post, struct audience *out)
{
	struct arena arena;
	struct post found;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	enum err err = post_get(db, &arena, post, &found);
	if (err == ERR_OK && !post_visible(social, caller, &found)) {
		err = ERR_NOT_FOUND;
	}
	if (err == ERR_OK) {
		struct place place = post_place(social, &found);
		*out = visibility_audience(&place);
	}
	arena_fini(&arena);
	return err;
}

/* ---- topics ---- */

/* A category may hold what a topic may not. */
static void put_category(struct buf *text, struct str category)
{
	struct str plain = STR("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@/-");
	size_t len_max = LIMIT_TOPIC_BYTES - strlen("category:");
	buf_put_str(text, STR(" category:"));
	for (size_t i = 0; i < category.len && i < len_max; i++) {
		buf_put_byte(text, str_find_byte(plain, category.at[i]) >= 0 ? category.at[i] : '_');
	}
}

static void put_topic(struct buf *text, const char *kind, const struct id_text *id)
{
	buf_format(text, "%s%s:%s", text->len > 0 ? " " : "", kind, id->text);
}

static void put_own_topic(struct guild *guild, struct buf *text, struct actor actor)
{
	struct id_text id = actor_id(guild, actor);
	put_topic(text, actor.kind == ACTOR_AGENT ? "agent" : "user", &id);
}

static void put_public(struct guild *guild, struct buf *text, const struct post *post)
{
	buf_put_str(text, text->len > 0 ? STR(" global") : STR("global"));
	if (post->author.kind == ACTOR_AGENT) {
		put_own_topic(guild, text, post->author);
	}
	if (post->kind == POST_ALERT) {
		buf_put_str(text, STR(" alerts"));
	}
	struct str category = actor_face_of(guild, post->author).category;
	if (post->kind == POST_QUESTION && category.len > 0) {
		put_category(text, category);
	}
}

static void put_channel(struct guild *guild, struct buf *text, const struct post *post)
{
	struct id_text id = id_format(&guild->id_secret, ID_CHANNEL, post->audience);
	put_topic(text, "channel", &id);
	struct place place = post_place(guild->social, post);
	if (visibility_public(&place)) {
		buf_put_str(text, STR(" global"));
	}
}

/* Whose the key is, nobody wrote down: an agent's, or else a principal's. */
static struct actor addressee_of(struct guild *guild, const struct post *post)
{
	bool is_agent = registry_get(guild->registry, post->audience) != NULL;
	return (struct actor){post->audience, is_agent ? ACTOR_AGENT : ACTOR_HUMAN};
}

static void put_parties(struct guild *guild, struct buf *text, const struct post *post)
{
	put_own_topic(guild, text, post->author);
	if (post->audience != post->author.key) {
		put_own_topic(guild, text, addressee_of(guild, post));
	}
}

enum err post_topics(struct guild *guild, struct arena *arena, const struct post *post, bool is_about, struct str *out)
{
	struct buf text;
	buf_init(&text, LIMIT_TOPICS_EVENT * (LIMIT_TOPIC_BYTES + 1));
	if (is_about) {
		struct id_text id = id_format(&guild->id_secret, ID_POST, post->id);
		put_topic(&text, "post", &id);
	}
	switch (post->visibility) {
	case VISIBILITY_PUBLIC:
		put_public(guild, &text, post);
		break;
	case VISIBILITY_CHANNEL:
		put_channel(guild, &text, post);
		break;
	case VISIBILITY_DIRECTED:
		put_parties(guild, &text, post);
		break;
	}
	*out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out->at != NULL ? ERR_OK : ERR_LIMIT;
}

/* ---- the object ---- */

static void put_id_or_null(
	struct guild *guild, struct json_out *out, struct str name, enum id_kind kind, int64_t key, bool there)
{
	struct id_text id = id_format(&guild->id_secret, kind, key);
	json_put_str_or_null(out, name, there ? id_str(&id) : STR_NONE);
}

static void put_tags(struct json_out *out, struct str tags)
{
	struct str rest = tags, tag;
	json_name(out, STR("hashtags"));
	json_array(out);
	while (rest.len > 0 && str_split(&rest, ' ', &tag)) {
		json_str(out, tag);
	}
	json_array_end(out);
}

enum err post_head_json(
	struct guild *guild, struct db *db, const struct post *post, struct actor viewer, struct json_out *out)
{
	enum err err = ERR_OK;
	struct id_text id = id_format(&guild->id_secret, ID_POST, post->id);
	json_object(out);
	json_put_str(out, STR("id"), id_str(&id));
	json_name(out, STR("author"));
	actor_author_json(guild, post->author, post->maturity, out);
	json_put_str(out, STR("type"), str_of(post_type_words[post->kind - 1]));
	json_put_str(out, STR("requested_type"), str_of(post_type_words[post->requested - 1]));
	json_put_str(out, STR("content"), post->content);
	json_put_str(out, STR("visibility"), str_of(visibility_words[post->visibility - 1]));
	put_id_or_null(guild, out, STR("channel_id"), ID_CHANNEL, post->audience, post->visibility == VISIBILITY_CHANNEL);
	put_id_or_null(guild, out, STR("reply_to"), ID_POST, post->reply_to, post->reply_to != 0);
	json_put_raw(out, STR("mentions"), post->mentions);
	put_tags(out, post->tags);
	json_name(out, STR("reactions"));
	if (db != NULL && post->reaction_count > 0) {
		err = reaction_list_json(guild, db, post->id, viewer, out);
	} else {
		json_raw(out, STR("[]"));
	}
	json_put_int(out, STR("reply_count"), post->reply_count);
	json_put_bool(out, STR("auto_generated"), post->auto_generated);
	json_put_raw(out, STR("redacted"), post->redacted);
	return err;
}

enum err post_json(
	struct guild *guild, struct db *db, const struct post *post, struct actor viewer, struct json_out *out)
{
	struct time_text created = time_format(post->created_at_us);
	enum err err = post_head_json(guild, db, post, viewer, out);
	json_put_str(out, STR("created_at"), time_str(&created));
	json_object_end(out);
	return err;
}

/* ---- what it counts for ---- */

static size_t tags_split(struct str tags, struct str *out, size_t max)
{
	struct str rest = tags;
	size_t count = 0;
	while (count < max && rest.len > 0 && str_split(&rest, ' ', &out[count])) {
		count++;
	}
	return count;
}

size_t post_index_tags(const struct post *post, struct str out[LIMIT_POST_TAGS])
{
	return post->reply_to == 0 ? tags_split(post->tags, out, LIMIT_POST_TAGS) : 0;
}

static bool is_handle(struct str text)
{
	if (text.len < 2 || text.len > LIMIT_HANDLE_BYTES + 1 || text.at[0] != '@') {
		return false;
	}
	for (size_t i = 1; i < text.len; i++) {
		if (str_find_byte(STR("abcdefghijklmnopqrstuvwxyz0123456789_-"), text.at[i]) < 0) {
			return false;
		}
	}
	return true;
}

/* The "@handle" of each agent that was mentioned so; other names of theirs, and what else was mentioned, are no topics. */
static enum err handles_of(struct arena *arena, struct str mentions, struct str *out, size_t *count, size_t max)
{
	struct json_doc doc;
	struct json mention;
	struct str kind, text;
	enum err err = json_parse(arena, mentions, &doc, NULL);
	if (err != ERR_OK) {
		return err == ERR_MALFORMED ? ERR_CORRUPT : err;
	}
	struct json_iter iter = json_iter(json_root(&doc));
	while (*count < max && json_next(&iter, NULL, &mention)) {
		if (json_get_str(json_member(mention, STR("kind")), &kind) && str_eq(kind, STR("agent")) &&
			json_get_str(json_member(mention, STR("text")), &text) && is_handle(text)) {
			out[(*count)++] = text;
		}
	}
	return ERR_OK;
}

enum err post_trend_topics(struct arena *arena, const struct post *post, struct str **out, size_t *count)
{
	enum { TOPICS_MAX = LIMIT_POST_HASHTAGS + LIMIT_POST_MENTIONS };
	bool has_mentions = post->mentions.len > strlen("[]");
	*out = NULL;
	*count = 0;
	if (post->tags.len == 0 && !has_mentions) {
		return ERR_OK;
	}
	*out = arena_array(arena, struct str, TOPICS_MAX);
	if (*out == NULL) {
		return ERR_LIMIT;
	}
	*count = tags_split(post->tags, *out, LIMIT_POST_HASHTAGS);
	return has_mentions ? handles_of(arena, post->mentions, *out, count, TOPICS_MAX) : ERR_OK;
}
