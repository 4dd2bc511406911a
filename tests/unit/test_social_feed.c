/*
 * test_social_feed.c - feeds against a list that is filtered by the words of the specification.
 *
 * Stores of several mixtures, so that a page is filled by scanning, by merging, and by both; every viewer walks them by cursors of
 * several sizes and by page numbers, with filters and without, while posts are added and while little may be looked at for a page.
 */
#include "social/feed_priv.h"
#include "store_fixture.h"

enum {
	WORKSPACES = 2, ACTORS = 8, CHANNELS = 24, TAGS = 6, POSTS_MAX = 6000, PAGE_MAX = 100,
	KEY_WORKSPACE = 100, KEY_ACTOR = 200, KEY_CHANNEL = 300,
};

struct model_post {
	struct post row;
	unsigned tags; /* bits */
};

static struct guild guild;
static struct social *social;
static struct writer *writer;
static struct model_post posts[POSTS_MAX];
static unsigned post_count;
static bool member[CHANNELS][ACTORS];
static int64_t clock_ms;
static unsigned seed;

static unsigned pick(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

/* ---- the store ---- */

static int64_t workspace_of(unsigned number)
{
	return KEY_WORKSPACE + (int64_t)(number % WORKSPACES);
}

static bool is_private(unsigned channel)
{
	return channel % 4 < 2;
}

static struct str tag_text(unsigned tag)
{
	static char text[TAGS][8];
	snprintf(text[tag], sizeof(text[0]), "#t%u", tag);
	return str_of(text[tag]);
}

static void run(const struct db_sql *sql, int64_t a, int64_t b, int64_t c)
{
	struct db_stmt *stmt = db_use(writer_db(writer), sql);
	const int64_t values[] = {a, b, c};
	for (int i = 0; i < 3; i++) {
		if (values[i] >= 0) {
			db_bind_int(stmt, i + 1, values[i]);
		}
	}
	assert_int_equal(db_run(stmt), ERR_OK);
}

static void make_channels(void)
{
	static const struct db_sql channel = {
		"INSERT INTO channel (id, workspace, name, display_name, description, kind, private, created_by, created_by_kind, member_count, "
		"created_at, revision) VALUES (?1, ?2, 'c' || ?1, 'c', '', 1, ?3, 200, 1, 0, 0, 1)"};
	static const struct db_sql joined = {"INSERT INTO channel_member (channel, actor, actor_kind, joined_at) VALUES (?1, ?2, 1, 0)"};
	for (unsigned c = 0; c < CHANNELS; c++) {
		run(&channel, KEY_CHANNEL + c, workspace_of(c), is_private(c));
		for (unsigned a = 0; a < ACTORS; a++) {
			/* The first two belong nowhere, the last two to every channel of theirs. */
			member[c][a] = a >= 2 && workspace_of(a) == workspace_of(c) && (a >= ACTORS - 2 || pick(3) == 0);
			if (member[c][a]) {
				run(&joined, KEY_CHANNEL + c, KEY_ACTOR + a, -1);
			}
		}
	}
}

/* public_parts of a hundred are public; of the rest, most are in channels. */
static void add_post(unsigned public_parts)
{
	assert_true(post_count < POSTS_MAX);
	struct model_post *made = &posts[post_count++];
	unsigned author = pick(ACTORS), other = (author + 2 * pick(ACTORS / 2)) % ACTORS;
	clock_ms += pick(3);
	int64_t id = post_count > 1 ? made[-1].row.id + 1 : 0;
	id = id < id_of_ms(clock_ms) ? id_of_ms(clock_ms) : id;
	*made = (struct model_post){.row = {.id = id, .workspace = workspace_of(author), .author = {KEY_ACTOR + author, ACTOR_HUMAN},
					    .kind = 1 + (int)(pick(10) < 6 ? 0 : pick(5)), .requested = 1, .content = STR("text"),
					    .mentions = STR("[]"), .tags = STR(""), .redacted = STR("[]"), .created_at_us = clock_ms * 1000}};
	if (pick(100) < public_parts) {
		made->row.visibility = VISIBILITY_PUBLIC;
		made->row.audience = made->row.workspace;
	} else if (pick(10) < 8) {
		/* Also ones that the author has left since. */
		made->row.visibility = VISIBILITY_CHANNEL;
		made->row.audience = KEY_CHANNEL + (int64_t)(pick(CHANNELS / WORKSPACES) * WORKSPACES + author % WORKSPACES);
	} else {
		made->row.visibility = VISIBILITY_DIRECTED;
		made->row.audience = KEY_ACTOR + other;
	}
	made->row.reply_to = pick(10) == 0 ? 1 : 0;
	made->row.deleted_at_us = pick(20) == 0 ? 1 : 0;
	assert_int_equal(post_insert(writer_db(writer), &made->row), ERR_OK);
	for (unsigned t = 0; t < TAGS && made->row.reply_to == 0 && made->row.deleted_at_us == 0; t++) {
		if (pick(8) == 0) {
			struct str tag = tag_text(t);
			made->tags |= 1u << t;
			assert_int_equal(post_tags_insert(writer_db(writer), made->row.workspace, id, &tag, 1), ERR_OK);
		}
	}
}

static void open_store(unsigned number, unsigned public_parts)
{
	seed = number;
	post_count = 0;
	clock_ms = INT64_C(1700000000000);
	guild = (struct guild){.env = env_real()};
	assert_int_equal(snap_domain_create(&guild.snap), ERR_OK);
	writer = make(NULL);
	make_channels();
	assert_int_equal(social_create(&guild, &social), ERR_OK);
	assert_int_equal(social_load(social, writer_db(writer)), ERR_OK);
	assert_int_equal(db_begin(writer_db(writer)), ERR_OK);
	for (unsigned i = 0; i < POSTS_MAX / 2; i++) {
		add_post(public_parts);
	}
}

static void close_store(void)
{
	db_rollback(writer_db(writer));
	social_destroy(&social);
	writer_destroy(&writer);
	snap_domain_destroy(&guild.snap);
	unlink(path);
}

/* ---- the words of the specification ---- */

static bool in_channel(const struct post *post, unsigned viewer)
{
	return post->visibility == VISIBILITY_CHANNEL && member[post->audience - KEY_CHANNEL][viewer];
}

static bool wanted(const struct model_post *made, unsigned viewer, const struct feed_ask *ask)
{
	const struct post *post = &made->row;
	int64_t me = KEY_ACTOR + viewer;
	bool mine = post->author.key == me, to_me = post->visibility == VISIBILITY_DIRECTED && post->audience == me;
	bool seen = post->visibility == VISIBILITY_PUBLIC || in_channel(post, viewer) || to_me ||
		    (post->visibility == VISIBILITY_CHANNEL && !is_private((unsigned)(post->audience - KEY_CHANNEL))) ||
		    (post->visibility == VISIBILITY_DIRECTED && mine);
	bool home = post->visibility == VISIBILITY_PUBLIC || mine || to_me || in_channel(post, viewer);
	bool narrowed = ask->author != 0 || ask->channel != 0 || ask->tag.at != NULL;
	bool tagged = ask->tag.at == NULL;
	for (unsigned t = 0; t < TAGS; t++) {
		tagged = tagged || ((made->tags >> t & 1) != 0 && str_eq(ask->tag, tag_text(t)));
	}
	return post->workspace == workspace_of(viewer) && post->reply_to == 0 && post->deleted_at_us == 0 && seen && (narrowed || home) && tagged &&
	       (ask->author == 0 || post->author.key == ask->author) &&
	       (ask->channel == 0 || (post->visibility == VISIBILITY_CHANNEL && post->audience == ask->channel)) &&
	       (ask->kind == 0 || post->kind == ask->kind) && (ask->visibility == 0 || post->visibility == ask->visibility) &&
	       (ask->since_us == 0 || post->created_at_us >= ask->since_us) && (ask->until_us == 0 || post->created_at_us <= ask->until_us);
}

static unsigned expected(unsigned viewer, const struct feed_ask *ask, int64_t out[POSTS_MAX])
{
	unsigned count = 0;
	for (unsigned i = post_count; i > 0; i--) {
		if (wanted(&posts[i - 1], viewer, ask)) {
			out[count++] = posts[i - 1].row.id;
		}
	}
	return count;
}

/* ---- walking as the rows of the API do ---- */

struct got {
	int64_t ids[POSTS_MAX];
	unsigned count, room;
	bool more;
};

static bool take(const struct post *post, void *arg)
{
	struct got *got = arg;
	if (got->room == 0) {
		got->more = true;
		return false;
	}
	got->room--;
	got->ids[got->count++] = post->id;
	assert_true(str_eq(post->content, STR("text")));
	return true;
}

static bool page(unsigned viewer, const struct feed_ask *ask, int64_t *below, unsigned limit, size_t skip, size_t most, struct got *got)
{
	struct arena arena;
	struct caller caller = {.workspace = workspace_of(viewer), .role = viewer % 3 == 0 ? ROLE_AGENT : ROLE_MEMBER};
	*(viewer % 3 == 0 ? &caller.agent : &caller.principal) = KEY_ACTOR + viewer;
	arena_init(&arena, 1 << 20);
	struct feed feed = {.social = social, .caller = &caller, .viewer = KEY_ACTOR + viewer, .ask = *ask, .arena = &arena, .below = *below,
			    .wanted = limit + 1, .skip = skip};
	got->room = limit;
	got->more = false;
	assert_int_equal(feed_walk(&feed, writer_db(writer), most, take, got), ERR_OK);
	assert_true(feed.examined <= most);
	assert_true(feed.below < *below || (!got->more && !feed.cut));
	*below = feed.below;
	arena_fini(&arena);
	return got->more || feed.cut;
}

static struct got got;
static int64_t want[POSTS_MAX];

static void compare(unsigned count, unsigned from, unsigned number)
{
	if (number != got.count) {
		fail_msg("%u posts, not %u", got.count, number);
	}
	for (unsigned i = 0; i < number; i++) {
		assert_true(from + i < count);
		assert_int_equal(got.ids[i], want[from + i]);
	}
}

/* All pages together are the list, whatever is added meanwhile. */
static void by_cursor(unsigned viewer, const struct feed_ask *ask, unsigned limit, size_t most, unsigned adds, unsigned public_parts)
{
	int64_t below = INT64_MAX;
	unsigned count = expected(viewer, ask, want);
	unsigned pages = 0;
	got.count = 0;
	while (page(viewer, ask, &below, limit, 0, most, &got)) {
		assert_true(++pages < POSTS_MAX);
		for (unsigned i = 0; i < adds && post_count < POSTS_MAX; i++) {
			add_post(public_parts);
		}
	}
	compare(count, 0, count);
}

static void by_number(unsigned viewer, unsigned limit)
{
	struct feed_ask plain = {0};
	unsigned count = expected(viewer, &plain, want);
	for (unsigned from = 0; from <= count + limit; from += limit * (1 + pick(5))) {
		int64_t below = INT64_MAX;
		got.count = 0;
		bool more = page(viewer, &plain, &below, limit, from, LIMIT_SCAN_ROWS, &got);
		unsigned rest = from < count ? count - from : 0;
		compare(count, from, rest < limit ? rest : limit);
		assert_int_equal(more, rest > limit);
	}
	struct caller caller = {.workspace = workspace_of(viewer), .principal = KEY_ACTOR + viewer, .role = ROLE_MEMBER};
	struct feed feed = {.social = social, .caller = &caller, .viewer = KEY_ACTOR + viewer};
	int64_t total;
	assert_true(feed_is_plain(&feed));
	assert_int_equal(feed_total(&feed, writer_db(writer), &total), ERR_OK);
	assert_int_equal(total, count);
}

static struct feed_ask random_ask(void)
{
	struct feed_ask ask = {0};
	int64_t span = clock_ms - INT64_C(1700000000000);
	ask.author = pick(4) == 0 ? KEY_ACTOR + (int64_t)pick(ACTORS) : 0;
	ask.channel = pick(6) == 0 ? KEY_CHANNEL + (int64_t)pick(CHANNELS) : 0;
	ask.tag = pick(4) == 0 ? tag_text(pick(TAGS)) : STR_NONE;
	ask.kind = pick(4) == 0 ? 1 + (int)pick(5) : 0;
	ask.visibility = pick(4) == 0 ? (enum visibility)(1 + pick(3)) : 0;
	ask.since_us = pick(5) == 0 ? (clock_ms - (int64_t)pick((unsigned)span)) * 1000 : 0;
	ask.until_us = pick(5) == 0 ? (clock_ms - (int64_t)pick((unsigned)span)) * 1000 : 0;
	return ask;
}

static void try_mixture(unsigned number, unsigned public_parts)
{
	static const unsigned limits[] = {1, 2, 7, 50, PAGE_MAX};
	struct feed_ask plain = {0};
	open_store(number, public_parts);
	for (unsigned viewer = 0; viewer < ACTORS; viewer++) {
		for (unsigned i = 2; i < 5; i++) {
			by_cursor(viewer, &plain, limits[i], LIMIT_SCAN_ROWS, i == 3 ? 3 : 0, public_parts);
		}
		by_cursor(viewer, &plain, 20, 30 + pick(600), 0, public_parts);
		by_number(viewer, limits[1 + pick(4)]);
	}
	for (unsigned i = 0; i < 150; i++) {
		struct feed_ask ask = random_ask();
		by_cursor(pick(ACTORS), &ask, limits[pick(5)], pick(3) == 0 ? 40 : LIMIT_SCAN_ROWS, pick(2), public_parts);
	}
	close_store();
}

/* AC-121, AC-122, AC-123, AC-125 */
static void test_public_for_the_most_part(void **state)
{
	try_mixture(1, 80);
}

/* Pages are begun by scanning and ended by merging. AC-93, AC-104, AC-106 */
static void test_mixed(void **state)
{
	try_mixture(2, 30);
}

/* Merged from the sources alone. */
static void test_private_for_the_most_part(void **state)
{
	try_mixture(3, 0);
	try_mixture(4, 4);
}

/* AC-124: posts of one millisecond, at the edges of pages and of times. */
static void test_posts_of_one_moment(void **state)
{
	open_store(5, 50);
	int64_t moment = ++clock_ms;
	for (unsigned i = 0; i < 400; i++) {
		add_post(50);
		clock_ms = moment;
	}
	for (unsigned viewer = 0; viewer < ACTORS; viewer++) {
		struct feed_ask ask = {.since_us = moment * 1000, .until_us = moment * 1000};
		by_cursor(viewer, &ask, 7, LIMIT_SCAN_ROWS, 0, 50);
		ask.until_us--;
		by_cursor(viewer, &ask, 7, LIMIT_SCAN_ROWS, 0, 50);
		ask = (struct feed_ask){.until_us = moment * 1000 - 1};
		by_cursor(viewer, &ask, 50, LIMIT_SCAN_ROWS, 0, 50);
	}
	close_store();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_public_for_the_most_part, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(test_mixed, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(test_private_for_the_most_part, store_setup, store_teardown),
		cmocka_unit_test_setup_teardown(test_posts_of_one_moment, store_setup, store_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
