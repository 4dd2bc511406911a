/* mentions.c - whom and what a post names: those listed with it, and the handles in its text. */
#include "social/redact.h"
#include "social/social_priv.h"
#include "wire/utf8.h"

static const char *const kind_words[] = {"agent", "user", "episode", "task", NULL};

static const struct http_member members[] = {
	{"kind", HTTP_STRING, true, 0, 0, kind_words, "what is named"},
	{"id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "its id; an agent's handle will do"},
	{"text", HTTP_STRING, false, 1, LIMIT_NAME_CHARS, NULL, "how it is named"},
	{.name = NULL},
};

struct making {
	struct guild *guild;
	const struct caller *caller;
	struct arena *arena;
	struct mention *list; /* LIMIT_POST_MENTIONS */
	size_t count;
	uint32_t element;     /* of the body's list */
	struct str *pointer;
	const char **detail;
};

/* member: "/id", or "" for the element itself. */
static enum err refuse(struct making *making, struct str member, const char *detail)
{
	*making->pointer = arena_format(making->arena, "/mentions/%u%.*s", making->element, STR_FMT(member));
	*making->detail = detail;
	return ERR_INVALID;
}

static bool is_listed(const struct making *making, const struct mention *mention)
{
	for (size_t i = 0; i < making->count; i++) {
		const struct mention *other = &making->list[i];
		if (other->kind == mention->kind && other->key == mention->key && str_eq(other->id, mention->id)) {
			return true;
		}
	}
	return false;
}

static enum err put(struct making *making, struct mention mention)
{
	if (mention.id.at == NULL || mention.text.at == NULL) {
		return ERR_LIMIT;
	}
	if (making->count < LIMIT_POST_MENTIONS && !is_listed(making, &mention)) {
		making->list[making->count++] = mention;
	}
	return ERR_OK;
}

/* text.at NULL: the actor's own handle or name. */
static enum err put_actor(struct making *making, struct actor actor, struct str text)
{
	struct id_text id = actor_id(making->guild, actor);
	struct actor_face face = actor_face_of(making->guild, actor);
	bool agent = actor.kind == ACTOR_AGENT;
	if (text.at == NULL) {
		text = agent ? arena_format(making->arena, "@%.*s", STR_FMT(face.handle)) : arena_copy(making->arena, face.name);
	}
	return put(making, (struct mention){agent ? MENTION_AGENT : MENTION_USER, actor.key,
				   arena_copy(making->arena, id_str(&id)), text});
}

/* member names where id came from. */
static enum err named(struct making *making, enum mention_kind kind, struct str id, struct str text, struct str member)
{
	struct actor actor;
	if (kind == MENTION_EPISODE || kind == MENTION_TASK) {
		if (id.len == 0 || id.len > LIMIT_ID_BYTES || !utf8_is_name(id)) {
			return refuse(making, member, "An id has 1 to 255 bytes, something to be seen and no control characters.");
		}
		return put(making, (struct mention){kind, 0, id, text.at != NULL ? text : id});
	}
	bool agent = kind == MENTION_AGENT;
	if (actor_find(making->guild, making->caller, agent ? id : STR_NONE, agent ? STR_NONE : id, &actor) != ERR_OK) {
		return refuse(making, member, agent ? "There is no such agent in this workspace." : "There is no such user in this workspace.");
	}
	return put_actor(making, actor, text);
}

static enum err from_object(struct making *making, struct json value)
{
	struct str pointer, word = STR(""), id = STR(""), text = STR_NONE;
	const char *fault = http_members_fault(making->arena, members, value, &pointer);
	if (fault != NULL) {
		return refuse(making, pointer, fault);
	}
	(void)json_get_str(json_member(value, STR("kind")), &word);
	(void)json_get_str(json_member(value, STR("id")), &id);
	enum mention_kind kind = (enum mention_kind)social_word(kind_words, word);
	if (json_get_str(json_member(value, STR("text")), &text)) {
		struct redact_result redacted;
		const char *detail;
		if (text_check_name(text, &text, &detail) != ERR_OK) {
			return refuse(making, STR("/text"), detail);
		}
		enum err err = content_redact(making->guild, making->arena, text, &redacted);
		if (err != ERR_OK) {
			return err == ERR_INVALID ? refuse(making, STR("/text"), "It could not be looked through for personal data.") : err;
		}
		text = redacted.text;
	}
	return named(making, kind, id, text, STR("/id"));
}

/* A handle in lower case, without the '@'. False: no agent of the workspace that is there has it. */
static bool find_handle(const struct making *making, struct str handle, struct actor *out)
{
	const struct agent *agent = registry_by_handle(making->guild->registry, making->caller->workspace, handle);
	if (agent == NULL || agent->lifecycle == LIFECYCLE_ARCHIVED) {
		return false;
	}
	*out = (struct actor){agent->id, ACTOR_AGENT};
	return true;
}

static enum err from_handle(struct making *making, struct str handle)
{
	char lower[LIMIT_HANDLE_BYTES];
	struct actor actor;
	bool found = handle.len > 0 && handle.len <= sizeof(lower);
	for (size_t i = 0; found && i < handle.len; i++) {
		char c = handle.at[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
	}
	if (!found || !find_handle(making, str_make(lower, handle.len), &actor)) {
		return refuse(making, STR(""), "No agent of this workspace has that handle.");
	}
	return put_actor(making, actor, STR_NONE);
}

static enum err from_string(struct making *making, struct str text)
{
	if (str_starts(text, STR("@"))) {
		return from_handle(making, str_sub(text, 1, text.len));
	}
	ptrdiff_t colon = str_find_byte(text, ':');
	int kind = colon > 0 ? social_word(kind_words, str_sub(text, 0, (size_t)colon)) : 0;
	if (kind == 0) {
		return refuse(making, STR(""), "A mention is @handle, or agent:, user:, episode: or task: with an id behind it, or an object.");
	}
	return named(making, (enum mention_kind)kind, str_sub(text, (size_t)colon + 1, text.len), STR_NONE, STR(""));
}

static enum err from_list(struct making *making, struct json list)
{
	struct json_iter iter = json_iter(list);
	struct json value;
	enum err err = ERR_OK;
	for (; err == ERR_OK && json_next(&iter, NULL, &value); making->element++) {
		struct str text;
		if (json_kind(value) == JSON_OBJECT) {
			err = from_object(making, value);
		} else if (json_get_str(value, &text)) {
			err = from_string(making, text);
		} else {
			err = refuse(making, STR(""), "A mention is a string or an object.");
		}
	}
	return err;
}

enum err mentions_make(struct guild *guild, const struct caller *caller, struct arena *arena, struct json list, const struct str *handles,
	size_t handle_count, struct mention **out, size_t *count, struct str *pointer, const char **detail)
{
	struct making making = {.guild = guild, .caller = caller, .arena = arena, .pointer = pointer, .detail = detail};
	*pointer = STR_NONE;
	*detail = NULL;
	if (json_kind(list) != JSON_NULL && (json_kind(list) != JSON_ARRAY || json_size(list) > LIMIT_POST_MENTIONS)) {
		*pointer = STR("/mentions");
		*detail = arena_format(arena, "Mentions are an array of at most %d.", LIMIT_POST_MENTIONS).at;
		return ERR_INVALID;
	}
	making.list = arena_array(arena, struct mention, LIMIT_POST_MENTIONS);
	enum err err = making.list == NULL ? ERR_LIMIT : json_kind(list) == JSON_ARRAY ? from_list(&making, list) : ERR_OK;
	for (size_t i = 0; err == ERR_OK && i < handle_count; i++) {
		struct actor actor;
		if (find_handle(&making, handles[i], &actor)) {
			err = put_actor(&making, actor, STR_NONE);
		}
	}
	*out = making.list;
	*count = making.count;
	return err;
}

void mentions_json(const struct mention *list, size_t count, struct json_out *out)
{
	json_array(out);
	for (size_t i = 0; i < count; i++) {
		json_object(out);
		json_put_str(out, STR("kind"), str_of(kind_words[list[i].kind - 1]));
		json_put_str(out, STR("id"), list[i].id);
		json_put_str(out, STR("text"), list[i].text);
		json_object_end(out);
	}
	json_array_end(out);
}
