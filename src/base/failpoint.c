/*
 * failpoint.c - places where a test build fails or dies on purpose.
 *
 * The counters are the one mutable global here: a test names the n-th passing of a point in the whole process.
 */
#include "base/failpoint.h"

#ifdef GUILD_FAILPOINTS

#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/str.h"

#define POINTS_MAX 16

static atomic_int passed[POINTS_MAX];

/* "name=action@n" */
static enum err try_point(struct str part, struct str name, int index)
{
	struct str action = part;
	struct str point;
	if (!str_split(&action, '=', &point) || !str_eq(point, name)) {
		return ERR_OK;
	}
	int passing = atomic_fetch_add(&passed[index], 1) + 1;
	struct str word;
	struct str count = action;
	uint64_t wanted = 0;
	if (!str_split(&count, '@', &word)) {
		return ERR_OK;
	}
	if (count.at != NULL && (!str_to_u64(count, &wanted) || wanted != (uint64_t)passing)) {
		return ERR_OK;
	}
	if (str_eq(word, STR("exit"))) {
		_exit(137);
	}
	return ERR_STORE_UNAVAILABLE;
}

enum err failpoint(const char *name)
{
	struct str rest = str_of(getenv("GUILD_FAILPOINT"));
	struct str part;
	enum err err = ERR_OK;
	for (int i = 0; i < POINTS_MAX && rest.at != NULL && str_split(&rest, ',', &part); i++) {
		enum err one = try_point(part, str_of(name), i);
		err = one != ERR_OK ? one : err;
	}
	return err;
}

#endif
