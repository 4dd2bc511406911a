/* erase.c - a person who is erased: posts become tombstones, reactions and messages go, channels are left, their texts emptied. */
#include "social/erase_priv.h"
#include "social/post_priv.h"
#include "social/reaction_priv.h"

enum { ARENA_BYTES = 4 * 1024 * 1024 };

/* ---- posts ---- */

static enum err reactions_end(struct db *db, int64_t post)
{
	bool left = true;
	enum err err = ERR_OK;
	while (err == ERR_OK && left) {
		err = post_reactions_delete(db, post, &left);
	}
	return err;
}

static enum err post_erase(struct erase_step *step, struct db *db, struct arena *arena, int64_t id)
{
	struct social *social = step->guild->social;
	struct post post;
	struct str *trends = NULL;
	size_t count = 0;
	enum err err = post_get(db, arena, id, &post);
	if (err != ERR_OK) {
		return err;
	}
	const struct channel *channel = post.visibility == VISIBILITY_CHANNEL ? channel_writer_get(social, post.audience) : NULL;
	struct place place = {.workspace = post.workspace,
		.visibility = post.visibility,
		.audience = post.audience,
		.author = post.author.key,
		.channel_private = channel == NULL || channel->is_private};
	if (visibility_public(&place)) {
		err = post_trend_topics(arena, &post, &trends, &count);
	}
	err = err == ERR_OK ? standing_take_back(step->guild, db, &post, step->now_us) : err;
	err = err == ERR_OK ? post_bury(db, id, step->now_us) : err;
	err = err == ERR_OK ? post_counts_take_back(social, db, &post, trends, count) : err;
	step->rows++;
	return err == ERR_OK ? reactions_end(db, id) : err;
}

enum err social_erase_posts(struct erase_step *step, struct db *db)
{
	int64_t ids[ERASE_ROWS_HEAVY], upto;
	size_t count = 0;
	struct arena arena;
	arena_init(&arena, ARENA_BYTES);
	enum err err = erase_posts_find(step, db, ids, &count, &upto);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		err = post_erase(step, db, &arena, ids[i]);
		step->after = ids[i];
	}
	arena_fini(&arena);
	if (count == ERASE_ROWS_HEAVY) {
		step->more = true;
	} else {
		step->after = upto;
	}
	return err;
}

/* ---- reactions ---- */

static enum err reaction_uncount(struct erase_step *step, struct db *db, const struct reaction *reaction)
{
	struct arena arena;
	struct post post;
	arena_init(&arena, ARENA_BYTES);
	enum err err = post_get(db, &arena, reaction->post, &post);
	err = err == ERR_OK ? standing_reaction(step->guild, &post, reaction, -1, step->now_us) : err;
	arena_fini(&arena);
	return err;
}

enum err social_erase_reactions(struct erase_step *step, struct db *db)
{
	struct erase_reaction found[ERASE_REACTIONS_MAX];
	size_t count = 0;
	int64_t upto;
	struct arena arena;
	arena_init(&arena, ARENA_BYTES);
	enum err err = erase_reactions_find(step, db, &arena, found, &count, &upto);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		struct reaction reaction = {found[i].post, found[i].emoji, {step->principal, ACTOR_HUMAN}};
		err = reaction_delete(db, &reaction, found[i].actors);
		err = err == ERR_OK ? post_count_add(db, found[i].post, 0, -1) : err;
		err = err == ERR_OK ? reaction_uncount(step, db, &reaction) : err;
		step->rows++;
	}
	arena_fini(&arena);
	step->after = upto;
	return err;
}

/* ---- messages ---- */

enum err social_erase_messages(struct erase_step *step, struct db *db)
{
	return erase_messages(step, db);
}

/* ---- channels ---- */

static enum err leave(struct erase_step *step, struct db *db, int64_t id)
{
	struct social *social = step->guild->social;
	const struct channel *now = channel_writer_get(social, id);
	enum err err = channel_member_delete(db, id, step->principal);
	if (err == ERR_OK && now != NULL) {
		struct channel left = *now;
		left.member_count--;
		left.revision++;
		err = channel_row_members(db, &left);
		err = err == ERR_OK ? channel_put(social, &left) : err;
	}
	step->rows++;
	return err == ERR_OK ? channel_member_remove(social, id, step->principal) : err;
}

/* Others go on finding a channel by its name; one that nobody belongs to loses that too. */
static enum err texts_erase(struct erase_step *step, struct db *db, struct arena *arena, int64_t id)
{
	struct social *social = step->guild->social;
	const struct channel *now = channel_writer_get(social, id);
	if (now == NULL) {
		return ERR_OK;
	}
	struct channel erased = *now;
	struct str no_name = arena_format(arena, "erased-%lld", (long long)id);
	if (no_name.at == NULL) {
		return ERR_LIMIT;
	}
	erased.name = now->member_count == 0 ? no_name : now->name;
	if (now->description.len == 0 && str_eq(now->display_name, erased.name) && str_eq(now->name, erased.name)) {
		return ERR_OK;
	}
	erased.display_name = erased.name;
	erased.description = STR("");
	erased.revision++;
	step->rows++;
	enum err err = erase_channel_texts(db, &erased);
	return err == ERR_OK ? channel_rename(social, now, &erased) : err;
}

enum err social_erase_channels(struct erase_step *step, struct db *db)
{
	int64_t ids[ERASE_ROWS_HEAVY];
	size_t count = 0;
	enum err err = erase_memberships_find(step, db, ids, &count);
	step->more = count > 0;
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		err = leave(step, db, ids[i]);
	}
	if (err != ERR_OK || step->more) {
		return err;
	}
	err = erase_actor_rows(step, db);
	err = err == ERR_OK ? erase_channels_find(step, db, ids, &count) : err;
	struct arena arena;
	arena_init(&arena, 65536);
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		err = texts_erase(step, db, &arena, ids[i]);
		step->after = ids[i];
	}
	arena_fini(&arena);
	step->more = step->more || count == ERASE_ROWS_HEAVY;
	return err;
}
