/* trend_verify.c - do the counts of an hour's topics say what its posts name? Each hour of a workspace is one read of one state. */
#include "social/post_priv.h"
#include "social/trend_priv.h"
#include "social/trend_verify_priv.h"

enum { ARENA_BYTES = 256 * 1024 * 1024, TOPICS_MAX = 1 << 20 };

struct named {
	struct str topic;
	int64_t posts;
};

struct hour {
	struct arena arena;
	struct map map; /* of an hour's topics, by hash -> struct named */
	struct siphash_key seed;
	struct social_trend_check *check;
};

static enum err named_of(struct hour *hour, struct str topic, struct named **out)
{
	uint64_t key = map_hash(&hour->seed, topic);
	*out = map_get(&hour->map, key);
	/* Two topics with one hash: the second is looked for further on. */
	while (*out != NULL && !str_eq((*out)->topic, topic)) {
		*out = map_get(&hour->map, ++key);
	}
	if (*out != NULL) {
		return ERR_OK;
	}
	*out = arena_new(&hour->arena, struct named);
	if (*out == NULL) {
		return ERR_MEMORY;
	}
	(*out)->topic = arena_copy(&hour->arena, topic);
	return (*out)->topic.at != NULL ? map_put(&hour->map, key, *out) : ERR_LIMIT;
}

static enum err post_seen(const struct post *post, bool is_public, void *arg)
{
	struct hour *hour = arg;
	struct str *topics = NULL;
	size_t count = 0;
	enum err err = is_public ? post_trend_topics(&hour->arena, post, &topics, &count) : ERR_OK;
	for (size_t i = 0; i < count && err == ERR_OK; i++) {
		struct named *named;
		err = named_of(hour, topics[i], &named);
		if (err == ERR_OK) {
			named->posts++;
		}
	}
	hour->check->rows++;
	return err;
}

static void bad(struct hour *hour, struct str topic, int64_t said, int64_t counted)
{
	struct social_trend_check *check = hour->check;
	check->bad = true;
	check->said = said;
	check->counted = counted;
	str_to_z(str_sub(topic, 0, sizeof(check->topic) - 1), check->topic, sizeof(check->topic));
}

static enum err row_seen(struct str topic, int64_t posts, void *arg)
{
	struct hour *hour = arg;
	struct named *named;
	enum err err = named_of(hour, topic, &named);
	if (err == ERR_OK && named->posts != posts) {
		bad(hour, topic, posts, named->posts);
		return ERR_END;
	}
	if (err == ERR_OK) {
		named->posts = 0;
	}
	hour->check->rows++;
	return err;
}

/* What no row said anything about. */
static void rest_look(struct hour *hour)
{
	size_t cursor = 0;
	uint64_t key;
	void *value;
	while (!hour->check->bad && map_next(&hour->map, &cursor, &key, &value)) {
		const struct named *named = value;
		if (named->posts != 0) {
			bad(hour, named->topic, 0, named->posts);
		}
	}
}

enum err social_trends_verify_step(struct db *db, struct social_trend_check *check)
{
	struct hour hour = {.seed = {1, 2}, .check = check};
	check->bad = false;
	enum err err = trend_verify_next(db, check);
	if (err != ERR_OK || !check->more) {
		return err;
	}
	arena_init(&hour.arena, ARENA_BYTES);
	map_init(&hour.map, TOPICS_MAX);
	err = trend_verify_posts(db, check, post_seen, &hour);
	err = err == ERR_OK ? trend_verify_rows(db, check, row_seen, &hour) : err;
	if (err == ERR_OK) {
		rest_look(&hour);
	}
	map_fini(&hour.map);
	arena_fini(&hour.arena);
	return err == ERR_END ? ERR_OK : err;
}
