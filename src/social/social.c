/* social.c - the layer as one thing: making its parts, loading them, ending them. */
#include "base/mem.h"
#include "social/social_priv.h"

enum err social_create(struct guild *guild, struct social **out)
{
	struct social *social = mem_alloc(sizeof(*social));
	*out = social;
	if (social == NULL) {
		return ERR_MEMORY;
	}
	social->guild = guild;
	return ERR_OK;
}

void social_destroy(struct social **social)
{
	mem_free(*social);
	*social = NULL;
}
