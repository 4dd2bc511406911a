/* erase.c - the name and the access of a person who is erased: their principal stays as a bare key that rows may name. */
#include "identity/identity_priv.h"

#define ERASED_NAME STR("erased")

enum err identity_erase_access(struct identity *identity, struct db *db, int64_t id, int64_t now_us)
{
	const struct principal *now = identity_writer_principal(identity, id);
	if (now == NULL) {
		return ERR_NOT_FOUND;
	}
	struct principal erased = *now;
	erased.name = ERASED_NAME;
	erased.external_id = STR_NONE;
	erased.specialty = STR("[]");
	erased.disabled_at_us = now->disabled_at_us != 0 ? now->disabled_at_us : now_us;
	enum err err = principal_row_erase(db, &erased);
	if (err == ERR_OK && now->external_id.at != NULL) {
		err = identity_writer_external_remove(identity, now);
	}
	err = err == ERR_OK ? identity_writer_put(identity, &erased) : err;
	return err == ERR_OK ? identity_tokens_end(identity, db, id, 0, now_us) : err;
}

/* Provider keys have no order that would be cheap to walk in; there are few. */
static enum err keys_erase(struct erase_step *step, struct db *db)
{
	struct arena arena;
	struct key_row keys[ERASE_ROWS_HEAVY];
	size_t count = 0;
	arena_init(&arena, 1 << 20);
	enum err err = key_rows_owned(db, &arena, step->principal, ERASE_ROWS_HEAVY, keys, &count);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		err = key_row_delete(db, keys[i].id);
		err = err == ERR_OK ? identity_writer_key_remove(step->guild->identity, &keys[i]) : err;
		step->rows += err == ERR_OK;
	}
	arena_fini(&arena);
	step->more = step->more || count == ERASE_ROWS_HEAVY;
	return err;
}

enum err identity_erase(struct erase_step *step, struct db *db)
{
	enum err err = identity_token_labels_erase(step, db);
	return err == ERR_OK && !step->more ? keys_erase(step, db) : err;
}
