/*
 * feed.c - posts newest first, as one viewer may see them.
 *
 * Whether a post may be seen is asked of post_visible, for every post. What belongs to the viewer's own page (home) is narrower: public
 * posts, its own, those to it, and of channels only those it belongs to. Where most posts are that, reading them one by one is the
 * fastest; where few are, the sources hold nothing else.
 */
#include "base/check.h"
#include "social/feed_priv.h"

enum {
	CHUNK_FIRST = 8,
	CHUNK_MAX = 64,
	SCAN_TRIAL = 64,    /* posts after which it shows whether scanning fills the page */
	KEY_SLACK_MS = 1000, /* keys are made with the time of the post, but never go back */
};

/* Keys of one index range, greatest first, read in pieces. */
struct source {
	enum feed_by by;
	int64_t key, below;
	struct feed_entry *entries;
	size_t at, count, cap;
};

struct merge {
	struct feed *feed;
	struct db *db;
	struct source *all;
	struct source **heap; /* the greatest next key first */
	size_t count;
	bool taken;           /* the first one's entry was given: it moves on before the next */
	int64_t last;         /* given last; of several sources, each post comes once */
};

struct walk {
	struct feed *feed;
	size_t most, taken;
	feed_fn *fn;
	void *arg;
	bool enough;  /* fn has, or nothing older is asked for */
	bool give_up; /* scanning takes too long for what it finds */
};

static bool is_home(const struct feed_ask *ask);
static enum err walk_scan(struct walk *walk, struct db *db, bool *all);
static enum err walk_merged(struct walk *walk, struct db *db);
static bool walk_post(const struct post *post, void *arg);
static bool belongs(const struct feed *feed, const struct post *post);
static bool entry_visible(const struct feed *feed, const struct feed_entry *entry);
static enum err merge_start(struct merge *merge);
static enum err merge_next(struct merge *merge, struct feed_entry *out, bool *more);

bool feed_is_plain(const struct feed *feed)
{
	const struct feed_ask *ask = &feed->ask;
	return is_home(ask) && ask->kind == 0 && ask->visibility == 0 && ask->since_us == 0 && ask->until_us == 0;
}

static bool is_home(const struct feed_ask *ask)
{
	return ask->author == 0 && ask->channel == 0 && ask->tag.at == NULL;
}

/* ---- walking ---- */

enum err feed_walk(struct feed *feed, struct db *db, size_t most, feed_fn *fn, void *arg)
{
	struct walk walk = {feed, most, 0, fn, arg, false, false};
	bool all = false;
	enum err err = ERR_OK;
	if (feed->ask.until_us != 0) {
		int64_t until = id_of_ms(feed->ask.until_us / 1000 + KEY_SLACK_MS);
		feed->below = until < feed->below ? until : feed->below;
	}
	if (is_home(&feed->ask) && feed->ask.visibility == 0 && feed->skip == 0) {
		err = walk_scan(&walk, db, &all);
	}
	if (err == ERR_OK && !walk.enough && !all) {
		err = walk_merged(&walk, db);
	}
	return err;
}

/* *all: there was nothing more. */
static enum err walk_scan(struct walk *walk, struct db *db, bool *all)
{
	size_t most = walk->most < LIMIT_FEED_SCAN ? walk->most : LIMIT_FEED_SCAN;
	enum err err = feed_scan(db, walk->feed->below, (int64_t)most, walk_post, walk);
	*all = !walk->enough && !walk->give_up && walk->feed->examined < most;
	return err;
}

/* At this rate the page is full before the scan has to end. */
static bool scan_is_worth_it(const struct walk *walk)
{
	return walk->feed->examined < SCAN_TRIAL || walk->taken * LIMIT_FEED_SCAN >= walk->feed->examined * walk->feed->wanted;
}

/* Stops before a post that fn does not take: `below` is then still the one before it. */
static bool walk_post(const struct post *post, void *arg)
{
	struct walk *walk = arg;
	struct feed *feed = walk->feed;
	if (feed->ask.since_us != 0 && post->id < id_of_ms(feed->ask.since_us / 1000 - KEY_SLACK_MS)) {
		walk->enough = true;
		return false;
	}
	feed->examined++;
	if (belongs(feed, post)) {
		if (!walk->fn(post, walk->arg)) {
			walk->enough = true;
			return false;
		}
		walk->taken++;
	}
	feed->below = post->id;
	walk->give_up = !scan_is_worth_it(walk);
	return !walk->give_up;
}

static enum err walk_merged(struct walk *walk, struct db *db)
{
	struct feed *feed = walk->feed;
	struct merge merge = {.feed = feed, .db = db};
	struct feed_entry entry;
	bool more = false, by_entry = feed_is_plain(feed);
	enum err err = merge_start(&merge);
	while (err == ERR_OK && !walk->enough) {
		err = merge_next(&merge, &entry, &more);
		if (err != ERR_OK || !more) {
			return err;
		}
		if (by_entry && feed->skip > 0) {
			feed->skip -= entry_visible(feed, &entry);
			feed->below = entry.post;
			continue;
		}
		if (feed->examined >= walk->most) {
			feed->cut = true;
			return ERR_OK;
		}
		err = feed_post(db, entry.post, walk_post, walk);
	}
	return err;
}

static bool belongs_home(const struct feed *feed, const struct post *post)
{
	switch (post->visibility) {
	case VISIBILITY_PUBLIC:
		return true;
	case VISIBILITY_CHANNEL:
		return post->author.key == feed->viewer || channel_has(feed->social, post->audience, feed->viewer);
	case VISIBILITY_DIRECTED:
		return post->author.key == feed->viewer || post->audience == feed->viewer;
	}
	return false;
}

static bool belongs(const struct feed *feed, const struct post *post)
{
	const struct feed_ask *ask = &feed->ask;
	return post->reply_to == 0 && post->deleted_at_us == 0 && (ask->kind == 0 || post->kind == ask->kind) &&
	       (ask->visibility == 0 || post->visibility == ask->visibility) && (ask->author == 0 || post->author.key == ask->author) &&
	       (ask->channel == 0 || (post->visibility == VISIBILITY_CHANNEL && post->audience == ask->channel)) &&
	       (ask->since_us == 0 || post->created_at_us >= ask->since_us) && (ask->until_us == 0 || post->created_at_us <= ask->until_us) &&
	       (!is_home(ask) || belongs_home(feed, post)) && post_visible(feed->social, feed->caller, post);
}

/* ---- of a plain feed, without its rows ---- */

/* Is what stands in the indexes: an audience is the workspace, a channel, or somebody the author wrote to. */
static bool entry_visible(const struct feed *feed, const struct feed_entry *entry)
{
	const struct channel *channel = channel_get(feed->social, entry->audience);
	return channel == NULL || !channel->is_private || channel_has(feed->social, channel->id, feed->viewer);
}

struct own_count {
	const struct feed *feed;
	int64_t elsewhere; /* own posts that no audience of the viewer has */
};

static bool own_audience(int64_t audience, void *arg)
{
	struct own_count *own = arg;
	const struct feed *feed = own->feed;
	bool counted = audience == feed->caller->workspace || audience == feed->viewer || channel_has(feed->social, audience, feed->viewer);
	own->elsewhere += !counted && entry_visible(feed, &(struct feed_entry){0, audience});
	return true;
}

enum err feed_total(struct feed *feed, struct db *db, int64_t *total)
{
	struct own_count own = {feed, 0};
	int64_t count;
	size_t channel_count;
	const int64_t *channels = channel_of_actor(feed->social, feed->viewer, &channel_count);
	enum err err = feed_author_audiences(db, feed->viewer, own_audience, &own);
	*total = own.elsewhere;
	for (size_t i = 0; i < channel_count + 2 && err == ERR_OK; i++) {
		err = feed_audience_count(db, i == 0 ? feed->caller->workspace : i == 1 ? feed->viewer : channels[i - 2], &count);
		*total += err == ERR_OK ? count : 0;
	}
	return err;
}

/* ---- sources, merged ---- */

static struct feed_entry *source_next(const struct source *source)
{
	return &source->entries[source->at];
}

/* *more: there is one at source_next. */
static enum err source_refill(struct merge *merge, struct source *source, bool *more)
{
	if (source->cap < CHUNK_MAX) {
		source->cap = source->cap == 0 ? CHUNK_FIRST : source->cap * 2;
		source->entries = arena_array(merge->feed->arena, struct feed_entry, source->cap);
	}
	source->at = 0;
	if (source->entries == NULL) {
		return ERR_LIMIT;
	}
	enum err err = feed_entries(merge->db, source->by, source->key, merge->feed->ask.tag, source->below, source->entries, source->cap,
				    &source->count);
	*more = err == ERR_OK && source->count > 0;
	if (*more) {
		source->below = source->entries[source->count - 1].post;
	}
	return err;
}

static void heap_sink(struct merge *merge, size_t at)
{
	struct source *source = merge->heap[at];
	for (size_t child = 2 * at + 1; child < merge->count; child = 2 * at + 1) {
		if (child + 1 < merge->count && source_next(merge->heap[child + 1])->post > source_next(merge->heap[child])->post) {
			child++;
		}
		if (source_next(source)->post >= source_next(merge->heap[child])->post) {
			break;
		}
		merge->heap[at] = merge->heap[child];
		at = child;
	}
	merge->heap[at] = source;
}

static enum err source_add(struct merge *merge, enum feed_by by, int64_t key)
{
	bool more;
	struct source *source = &merge->all[merge->count];
	*source = (struct source){.by = by, .key = key, .below = merge->feed->below};
	enum err err = source_refill(merge, source, &more);
	if (err == ERR_OK && more) {
		merge->heap[merge->count] = source;
		merge->count++;
	}
	return err;
}

static enum err sources_home(struct merge *merge, const int64_t *channels, size_t channel_count)
{
	const struct feed *feed = merge->feed;
	enum visibility only = feed->ask.visibility;
	enum err err = ERR_OK;
	if (only == 0 || only == VISIBILITY_PUBLIC) {
		err = source_add(merge, FEED_BY_AUDIENCE, feed->caller->workspace);
	}
	if (err == ERR_OK && (only == 0 || only == VISIBILITY_DIRECTED)) {
		err = source_add(merge, FEED_BY_AUDIENCE, feed->viewer);
	}
	for (size_t i = 0; (only == 0 || only == VISIBILITY_CHANNEL) && i < channel_count && err == ERR_OK; i++) {
		err = source_add(merge, FEED_BY_AUDIENCE, channels[i]);
	}
	return err == ERR_OK && only != VISIBILITY_PUBLIC ? source_add(merge, FEED_BY_AUTHOR, feed->viewer) : err;
}

static enum err merge_start(struct merge *merge)
{
	struct feed *feed = merge->feed;
	const struct feed_ask *ask = &feed->ask;
	size_t channel_count = 0;
	const int64_t *channels = is_home(ask) ? channel_of_actor(feed->social, feed->viewer, &channel_count) : NULL;
	merge->all = arena_array(feed->arena, struct source, channel_count + 3);
	merge->heap = arena_array(feed->arena, struct source *, channel_count + 3);
	if (merge->all == NULL || merge->heap == NULL) {
		return ERR_LIMIT;
	}
	enum err err;
	if (ask->tag.at != NULL) {
		err = source_add(merge, FEED_BY_TAG, feed->caller->workspace);
	} else if (ask->author != 0) {
		err = source_add(merge, FEED_BY_AUTHOR, ask->author);
	} else if (ask->channel != 0) {
		err = source_add(merge, FEED_BY_AUDIENCE, ask->channel);
	} else {
		err = sources_home(merge, channels, channel_count);
	}
	for (size_t i = merge->count / 2; i > 0; i--) {
		heap_sink(merge, i - 1);
	}
	return err;
}

/* The first source moves on behind what was given of it. */
static enum err merge_advance(struct merge *merge)
{
	struct source *source = merge->heap[0];
	bool more = ++source->at < source->count;
	enum err err = more || source->count < source->cap ? ERR_OK : source_refill(merge, source, &more);
	if (err == ERR_OK && !more) {
		merge->heap[0] = merge->heap[--merge->count];
	}
	if (err == ERR_OK && merge->count > 0) {
		heap_sink(merge, 0);
	}
	return err;
}

static enum err merge_next(struct merge *merge, struct feed_entry *out, bool *more)
{
	enum err err = ERR_OK;
	while (err == ERR_OK && merge->count > 0 && merge->taken && source_next(merge->heap[0])->post == merge->last) {
		err = merge_advance(merge);
	}
	*more = err == ERR_OK && merge->count > 0;
	if (*more) {
		*out = *source_next(merge->heap[0]);
		merge->last = out->post;
		merge->taken = true;
	}
	return err;
}
