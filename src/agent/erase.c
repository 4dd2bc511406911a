/* erase.c - agents of a person who is erased: archived, and without the texts that their owner gave them. */
#include "agent/agent_priv.h"
#include "command/erase.h"
#include "identity/identity.h"

#define ERASED_NAME STR("erased agent")

static enum err access_erase(struct erase_step *step, struct db *db, int64_t agent)
{
	int64_t principal = identity_writer_agent_principal(step->guild->identity, agent);
	return principal != 0 ? identity_erase_access(step->guild->identity, db, principal, step->now_us) : ERR_OK;
}

static enum err one_erase(struct erase_step *step, struct db *db, struct arena *arena, int64_t id)
{
	struct registry *registry = step->guild->registry;
	const struct agent *now = registry_writer_get(registry, id);
	if (now == NULL || (now->lifecycle == LIFECYCLE_ARCHIVED && str_eq(now->name, ERASED_NAME))) {
		return ERR_OK;
	}
	struct agent erased = *now;
	erased.name = ERASED_NAME;
	erased.handle = arena_format(arena, "erased-%lld", (long long)id);
	erased.description = erased.category = STR("");
	erased.system_prompt = erased.configuration = STR_NONE;
	erased.capabilities = STR("[]");
	erased.lifecycle = LIFECYCLE_ARCHIVED;
	erased.auto_reply = false;
	erased.updated_at_us = step->now_us;
	erased.revision++;
	enum err err = erased.handle.at != NULL ? agent_row_update(db, &erased) : ERR_LIMIT;
	err = err == ERR_OK ? agent_row_handle(db, &erased) : err;
	err = err == ERR_OK ? registry_rename(registry, now, &erased) : err;
	step->rows++;
	return err == ERR_OK ? access_erase(step, db, id) : err;
}

enum err agent_erase(struct erase_step *step, struct db *db)
{
	int64_t ids[ERASE_ROWS_HEAVY];
	size_t count = 0;
	struct arena arena;
	arena_init(&arena, 65536);
	enum err err = agent_ids_owned(db, step->principal, step->after, ERASE_ROWS_HEAVY, ids, &count);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		err = one_erase(step, db, &arena, ids[i]);
		step->after = ids[i];
	}
	step->more = count == ERASE_ROWS_HEAVY;
	arena_fini(&arena);
	return err;
}
