/* social.c - the layer as one thing: making its parts, loading them, ending them. */
#include "base/mem.h"
#include "social/message_priv.h"

enum err social_create(struct guild *guild, struct social **out)
{
	struct social *social = mem_alloc(sizeof(*social));
	*out = social;
	if (social == NULL) {
		return ERR_MEMORY;
	}
	social->guild = guild;
	enum err err = channel_table_create(guild, &social->channels);
	err = err == ERR_OK ? trend_table_create(guild, &social->trends) : err;
	err = err == ERR_OK ? message_delivered_create(social) : err;
	err = err == ERR_OK ? answer_table_create(guild, &social->answers) : err;
	if (err != ERR_OK) {
		social_destroy(out);
	}
	return err;
}

void social_destroy(struct social **social)
{
	if (*social == NULL) {
		return;
	}
	answer_table_destroy(&(*social)->answers);
	channel_table_destroy(&(*social)->channels);
	trend_table_destroy(&(*social)->trends);
	message_delivered_destroy(*social);
	mem_free(*social);
	*social = NULL;
}

enum err social_load(struct social *social, struct db *db)
{
	return channel_table_load(social, db);
}

void social_overlays(struct social *social, struct command_overlay out[SOCIAL_OVERLAYS])
{
	memset(out, 0, SOCIAL_OVERLAYS * sizeof(out[0]));
	out[0] = channel_overlay(social);
	out[1] = trend_overlay(social);
}
