/* actor.c - how those who post, react and write are shown, found and listened to. */
#include "social/social_priv.h"

static struct str kind_word(enum actor_kind kind)
{
	return kind == ACTOR_AGENT ? STR("agent") : kind == ACTOR_SYSTEM ? STR("system") : STR("human");
}

struct actor_face actor_face_of(struct guild *guild, struct actor actor)
{
	struct actor_face face = {.name = STR("")};
	if (actor.kind == ACTOR_AGENT) {
		const struct agent *agent = registry_get(guild->registry, actor.key);
		if (agent != NULL) {
			face = (struct actor_face){agent->name, agent->handle, agent->category, agent->maturity};
		}
		return face;
	}
	const struct principal *principal = identity_principal(guild->identity, actor.key);
	if (principal != NULL) {
		face.name = principal->name;
	}
	return face;
}

struct id_text actor_id(struct guild *guild, struct actor actor)
{
	return id_format(&guild->id_secret, actor.kind == ACTOR_AGENT ? ID_AGENT : ID_PRINCIPAL, actor.key);
}

static void put_common(struct guild *guild, struct actor actor, struct str name, struct json_out *out)
{
	struct id_text id = actor_id(guild, actor);
	json_put_str(out, STR("kind"), kind_word(actor.kind));
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str(out, STR("name"), name);
}

void actor_json(struct guild *guild, struct actor actor, struct json_out *out)
{
	json_object(out);
	put_common(guild, actor, actor_face_of(guild, actor).name, out);
	json_object_end(out);
}

void actor_author_json(struct guild *guild, struct actor actor, enum maturity maturity, struct json_out *out)
{
	struct actor_face face = actor_face_of(guild, actor);
	json_object(out);
	put_common(guild, actor, face.name, out);
	json_put_str_or_null(out, STR("handle"), face.handle);
	json_put_str_or_null(out, STR("maturity"), maturity != 0 ? maturity_word(maturity) : STR_NONE);
	json_put_str_or_null(out, STR("category"), face.category);
	json_object_end(out);
}

static enum err find_agent(struct guild *guild, const struct caller *caller, struct str text, struct actor *out)
{
	const struct agent *agent = registry_find(guild->registry, guild, caller->workspace, text);
	if (agent == NULL || agent->lifecycle == LIFECYCLE_ARCHIVED) {
		return ERR_NOT_FOUND;
	}
	*out = (struct actor){agent->id, ACTOR_AGENT};
	return ERR_OK;
}

static enum err find_user(struct guild *guild, const struct caller *caller, struct str text, struct actor *out)
{
	if (str_eq_case(text, STR("me"))) {
		*out = actor_of(caller);
		return ERR_OK;
	}
	const struct principal *principal = identity_find(guild->identity, guild, caller->workspace, text);
	if (principal == NULL || principal->kind != PRINCIPAL_HUMAN || principal->disabled_at_us != 0) {
		return ERR_NOT_FOUND;
	}
	*out = (struct actor){principal->id, ACTOR_HUMAN};
	return ERR_OK;
}

enum err actor_find(
	struct guild *guild, const struct caller *caller, struct str agent, struct str user, struct actor *out)
{
	return agent.at != NULL ? find_agent(guild, caller, agent, out) : find_user(guild, caller, user, out);
}

struct str actor_topic(struct guild *guild, struct arena *arena, struct actor actor)
{
	struct id_text id = actor_id(guild, actor);
	return arena_format(arena, "%s:%s", actor.kind == ACTOR_AGENT ? "agent" : "user", id.text);
}
