/* trend_sum.c - the most used topics of a window: past hours from a kept sum, the hour that goes on from its rows. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "social/trend_priv.h"

enum { SUM_BYTES_MAX = LIMIT_TREND_TOPICS * (LIMIT_TREND_BYTES + 128) };

struct counted {
	struct counted *chain; /* of the same hash */
	struct trend_topic of;
	size_t rank;
};

/* What the past hours of a window come to; constant once it is in a table. */
struct trend_sum {
	int64_t workspace, from, until;
	uint64_t version, used;
	unsigned holders;       /* under the table's lock */
	const struct siphash_key *seed;
	struct arena arena;
	struct map map;         /* hash -> struct counted, chained */
	struct counted **ranked;
	size_t count;
	int64_t pruned;         /* topics that came to no more than that were left out */
};

struct place_list { /* the best so far */
	struct trend_topic *at;
	char *texts;        /* LIMIT_TREND_BYTES for each place */
	size_t count, max;
};

struct live {
	const struct trend_sum *sum;
	struct place_list *best;
	uint8_t *seen;      /* by rank: it was named in the hour that goes on */
};

static enum err sum_row(struct str topic, int64_t posts, void *arg);
static enum err live_row(struct str topic, int64_t posts, void *arg);
static void best_offer(struct place_list *best, struct str topic, int64_t count);

/* ---- a sum's life ---- */

static void sum_init(struct trend_sum *sum, const struct trend_sum *like)
{
	*sum = (struct trend_sum){.workspace = like->workspace, .from = like->from, .until = like->until, .version = like->version,
				  .holders = 1, .seed = like->seed, .pruned = like->pruned};
	arena_init(&sum->arena, SUM_BYTES_MAX);
	map_init(&sum->map, LIMIT_TREND_TOPICS);
}

static void sum_fini(struct trend_sum *sum)
{
	arena_fini(&sum->arena);
	map_fini(&sum->map);
	mem_free(sum->ranked);
}

static void sum_drop_locked(struct trend_sum *sum)
{
	check(sum->holders > 0);
	if (--sum->holders == 0) {
		sum_fini(sum);
		mem_free(sum);
	}
}

static struct counted *sum_find(const struct trend_sum *sum, struct str topic, uint64_t *key)
{
	*key = map_hash(sum->seed, topic);
	struct counted *one = map_get(&sum->map, *key);
	while (one != NULL && !str_eq(one->of.topic, topic)) {
		one = one->chain;
	}
	return one;
}

static enum err sum_put(struct trend_sum *sum, struct str topic, uint64_t key, int64_t posts)
{
	struct counted *one = arena_new(&sum->arena, struct counted);
	struct str text = arena_copy(&sum->arena, topic);
	if (one == NULL || text.at == NULL) {
		return ERR_MEMORY;
	}
	*one = (struct counted){map_get(&sum->map, key), {text, posts}, sum->count};
	enum err err = map_put(&sum->map, key, one);
	if (err == ERR_OK) {
		sum->ranked[sum->count++] = one;
	}
	return err;
}

/* More topics than are kept: the rarest are left out, which a topic among the most used never is. */
static enum err sum_prune(struct trend_sum *sum)
{
	struct trend_sum kept;
	size_t left = sum->count;
	while (left > LIMIT_TREND_TOPICS / 2) {
		sum->pruned = sum->pruned != 0 ? sum->pruned * 2 : 1;
		left = 0;
		for (size_t i = 0; i < sum->count; i++) {
			left += sum->ranked[i]->of.count > sum->pruned;
		}
	}
	sum_init(&kept, sum);
	kept.ranked = mem_alloc(LIMIT_TREND_TOPICS * sizeof(struct counted *));
	enum err err = kept.ranked != NULL ? ERR_OK : ERR_MEMORY;
	for (size_t i = 0; i < sum->count && err == ERR_OK; i++) {
		const struct trend_topic *of = &sum->ranked[i]->of;
		if (of->count > sum->pruned) {
			err = sum_put(&kept, of->topic, map_hash(sum->seed, of->topic), of->count);
		}
	}
	sum_fini(sum);
	*sum = kept;
	return err;
}

static enum err sum_row(struct str topic, int64_t posts, void *arg)
{
	struct trend_sum *sum = arg;
	uint64_t key;
	struct counted *one = sum_find(sum, topic, &key);
	if (one != NULL) {
		one->of.count += posts;
		return ERR_OK;
	}
	enum err err = sum->count == LIMIT_TREND_TOPICS ? sum_prune(sum) : ERR_OK;
	return err == ERR_OK ? sum_put(sum, topic, key, posts) : err;
}

static int topic_order(const struct trend_topic *a, const struct trend_topic *b)
{
	return a->count != b->count ? (a->count < b->count ? 1 : -1) : str_cmp(a->topic, b->topic);
}

static int counted_order(const void *a, const void *b)
{
	return topic_order(&(*(struct counted *const *)a)->of, &(*(struct counted *const *)b)->of);
}

static enum err sum_make(struct trend_table *table, struct db *db, const struct trend_ask *ask, struct trend_sum **out)
{
	struct trend_sum like = {.workspace = ask->workspace, .from = ask->hour - ask->hours, .until = ask->hour,
				 .version = ask->version, .seed = &table->seed};
	struct trend_sum *sum = mem_alloc(sizeof(*sum));
	*out = sum;
	if (sum == NULL) {
		return ERR_MEMORY;
	}
	sum_init(sum, &like);
	sum->ranked = mem_alloc(LIMIT_TREND_TOPICS * sizeof(struct counted *));
	enum err err = sum->ranked != NULL ? ERR_OK : ERR_MEMORY;
	err = err == ERR_OK ? trend_store_rows(db, ask->workspace, like.from, like.until, sum_row, sum) : err;
	if (err != ERR_OK) {
		sum_fini(sum);
		mem_free(sum);
		*out = NULL;
		return err;
	}
	qsort(sum->ranked, sum->count, sizeof(struct counted *), counted_order);
	for (size_t i = 0; i < sum->count; i++) {
		sum->ranked[i]->rank = i;
	}
	struct counted **fitting = mem_grow(sum->ranked, (sum->count + 1) * sizeof(struct counted *));
	sum->ranked = fitting != NULL ? fitting : sum->ranked;
	return ERR_OK;
}

/* ---- kept sums ---- */

struct trend_ask trend_ask_make(struct trend_table *table, int64_t workspace, int64_t now_us, int64_t hours)
{
	struct trend_ask ask = {workspace, now_us / TREND_HOUR_US, hours, 0};
	int64_t until = atomic_load(&table->past_until);
	while (until < ask.hour && !atomic_compare_exchange_weak(&table->past_until, &until, ask.hour)) {
	}
	ask.version = atomic_load(&table->past_version);
	return ask;
}

static struct trend_sum *sum_hold(struct trend_table *table, const struct trend_ask *ask)
{
	struct trend_sum *found = NULL;
	pthread_mutex_lock(&table->lock);
	for (size_t i = 0; i < LIMIT_TREND_SUMS && found == NULL; i++) {
		struct trend_sum *sum = table->sums[i];
		if (sum != NULL && sum->workspace == ask->workspace && sum->until == ask->hour && sum->from == ask->hour - ask->hours &&
		    sum->version == ask->version) {
			sum->holders++;
			sum->used = ++table->uses;
			found = sum;
		}
	}
	pthread_mutex_unlock(&table->lock);
	return found;
}

/* In place of the one that was not used for longest. A sum made while the past changed is not kept: which of the two it shows is not known. */
static void sum_keep(struct trend_table *table, struct trend_sum *sum)
{
	pthread_mutex_lock(&table->lock);
	if (sum->version == atomic_load(&table->past_version)) {
		size_t place = 0;
		for (size_t i = 1; i < LIMIT_TREND_SUMS && table->sums[place] != NULL; i++) {
			place = table->sums[i] == NULL || table->sums[i]->used < table->sums[place]->used ? i : place;
		}
		if (table->sums[place] != NULL) {
			sum_drop_locked(table->sums[place]);
		}
		sum->holders++;
		sum->used = ++table->uses;
		table->sums[place] = sum;
	}
	pthread_mutex_unlock(&table->lock);
}

static void sum_drop(struct trend_table *table, struct trend_sum *sum)
{
	pthread_mutex_lock(&table->lock);
	sum_drop_locked(sum);
	pthread_mutex_unlock(&table->lock);
}

void trend_sums_drop(struct trend_table *table)
{
	for (size_t i = 0; i < LIMIT_TREND_SUMS; i++) {
		if (table->sums[i] != NULL) {
			sum_drop(table, table->sums[i]);
			table->sums[i] = NULL;
		}
	}
}

/* ---- the best ---- */

enum err trend_top(struct trend_table *table, struct db *db, struct arena *arena, const struct trend_ask *ask, size_t limit,
		   struct trend_topic **out, size_t *count)
{
	struct place_list best = {.at = arena_array(arena, struct trend_topic, limit),
				  .texts = arena_alloc(arena, limit * LIMIT_TREND_BYTES), .max = limit};
	struct trend_sum *sum = sum_hold(table, ask);
	enum err err = best.at != NULL && best.texts != NULL ? ERR_OK : ERR_MEMORY;
	if (err == ERR_OK && sum == NULL) {
		err = sum_make(table, db, ask, &sum);
		if (err == ERR_OK) {
			sum_keep(table, sum);
		}
	}
	struct live live = {sum, &best, err == ERR_OK ? arena_alloc(arena, sum->count / 8 + 1) : NULL};
	if (err == ERR_OK) {
		err = live.seen != NULL ? trend_store_rows(db, ask->workspace, ask->hour, ask->hour + 1, live_row, &live) : ERR_MEMORY;
	}
	for (size_t i = 0; err == ERR_OK && i < sum->count; i++) {
		if (best.count == limit && sum->ranked[i]->of.count < best.at[limit - 1].count) {
			break;
		}
		if ((live.seen[i / 8] >> i % 8 & 1) == 0) {
			best_offer(&best, sum->ranked[i]->of.topic, sum->ranked[i]->of.count);
		}
	}
	if (sum != NULL) {
		sum_drop(table, sum);
	}
	*out = best.at;
	*count = best.count;
	return err;
}

static enum err live_row(struct str topic, int64_t posts, void *arg)
{
	struct live *live = arg;
	uint64_t key;
	const struct counted *past = sum_find(live->sum, topic, &key);
	if (past != NULL) {
		live->seen[past->rank / 8] |= (uint8_t)(1u << past->rank % 8);
		posts += past->of.count;
	}
	best_offer(live->best, topic, posts);
	return ERR_OK;
}

/* The text of what falls out makes room for the new one's. */
static void best_offer(struct place_list *best, struct str topic, int64_t count)
{
	struct trend_topic new = {topic, count};
	if (best->count == best->max && topic_order(&new, &best->at[best->max - 1]) > 0) {
		return;
	}
	bool full = best->count == best->max;
	char *text = full ? best->texts + (best->at[best->max - 1].topic.at - best->texts) : best->texts + best->count * LIMIT_TREND_BYTES;
	size_t place = full ? best->max - 1 : best->count++;
	memcpy(text, topic.at, topic.len);
	new.topic.at = text;
	for (; place > 0 && topic_order(&new, &best->at[place - 1]) < 0; place--) {
		best->at[place] = best->at[place - 1];
	}
	best->at[place] = new;
}
