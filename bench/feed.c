/*
 * feed.c - pages of feeds and trends of a store of many posts, as a reader makes them: one read transaction, rows as JSON.
 *
 *     bench-feed --folder FOLDER [--posts 1000000] [--public 75] [--rounds 2000] [--trends]
 *
 * --trends: only what posts name is kept, and asked for. --public: per cent; of the others one in twenty is directed, the rest are in
 * 1,000 channels. A day of posts, with two hashtags each of 20,000 by Zipf's law. Sockets and threads are left out: this is what a page
 * adds to the cost of a request.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/log.h"
#include "common.h"
#include "social/feed_priv.h"
#include "social/trend_priv.h"

enum {
	CHANNELS = 1000, ACTORS = 10000, TAGS = 20000, PAGE = 50, DEPTH_PAGES = 10000, BATCH_POSTS = 500,
	KEY_WORKSPACE = 1, KEY_CHANNEL = 1000, KEY_ACTOR = 100000, KEY_VIEWER = 1000000, DAY_MS = 86400000,
};

struct bench {
	struct guild guild;
	struct social *social;
	struct db *db;
	int64_t posts, begin_ms;
	unsigned public_parts, rounds;
	bool trends_only;
	double tags[TAGS]; /* cumulative */
};

static uint64_t chance = 88172645463325252u;

static uint64_t pick(uint64_t below)
{
	chance ^= chance << 13;
	chance ^= chance >> 7;
	chance ^= chance << 17;
	return chance % below;
}

static void must(enum err err, const char *what)
{
	if (err != ERR_OK) {
		die("%s: %s", what, err_row(err)->text.at);
	}
}

/* ---- the store ---- */

static int64_t post_key(const struct bench *bench, int64_t number)
{
	return id_of_ms(bench->begin_ms + number * DAY_MS / bench->posts) + (number & 1023);
}

static void make_channels(struct bench *bench)
{
	static const struct db_sql channel = {
		"INSERT INTO channel (id, workspace, name, display_name, description, kind, private, created_by, created_by_kind, member_count, "
		"created_at, revision) VALUES (?1, 1, 'c' || ?1, 'c', '', 1, ?1 % 2, 1, 1, 0, 0, 1)"};
	static const struct db_sql member = {"INSERT INTO channel_member (channel, actor, actor_kind, joined_at) VALUES (?1, ?2, 1, 0)"};
	for (int64_t i = 0; i < CHANNELS; i++) {
		struct db_stmt *stmt = db_use(bench->db, &channel);
		db_bind_int(stmt, 1, KEY_CHANNEL + i);
		must(db_run(stmt), "a channel");
		/* Viewer 20 belongs to 20 channels, viewer 150 to 150. */
		for (int64_t in = 20; in <= 150; in += 130) {
			if (i % (CHANNELS / in) == 0 && i / (CHANNELS / in) < in) {
				stmt = db_use(bench->db, &member);
				db_bind_int(stmt, 1, KEY_CHANNEL + i);
				db_bind_int(stmt, 2, KEY_VIEWER + in);
				must(db_run(stmt), "a membership");
			}
		}
	}
}

static void add_trend(struct bench *bench, int64_t at_us)
{
	char tag[32];
	double at = (double)pick(1u << 30) / (1u << 30) * bench->tags[TAGS - 1];
	unsigned low = 0, high = TAGS - 1;
	while (low < high) {
		unsigned middle = (low + high) / 2;
		low = bench->tags[middle] < at ? middle + 1 : low;
		high = bench->tags[middle] < at ? high : middle;
	}
	snprintf(tag, sizeof(tag), "#subject%u", low);
	must(trend_add(bench->social, KEY_WORKSPACE, at_us, str_of(tag), 1), "a trend");
}

static void add_post(struct bench *bench, int64_t number, struct str content)
{
	struct post post = {.id = post_key(bench, number), .workspace = KEY_WORKSPACE, .author = {KEY_ACTOR + (int64_t)pick(ACTORS), ACTOR_HUMAN},
			    .kind = 1, .requested = 1, .content = content, .mentions = STR("[]"), .tags = STR("#subject1 #subject2"),
			    .redacted = STR("[]")};
	post.created_at_us = id_unix_ms(post.id) * 1000;
	if (pick(100) < bench->public_parts) {
		post.visibility = VISIBILITY_PUBLIC;
		post.audience = KEY_WORKSPACE;
		add_trend(bench, post.created_at_us);
		add_trend(bench, post.created_at_us);
	} else if (pick(20) != 0) {
		post.visibility = VISIBILITY_CHANNEL;
		post.audience = KEY_CHANNEL + (int64_t)pick(CHANNELS);
	} else {
		post.visibility = VISIBILITY_DIRECTED;
		post.audience = KEY_ACTOR + (int64_t)pick(ACTORS);
	}
	must(bench->trends_only ? ERR_OK : post_insert(bench->db, &post), "a post");
}

static void fill(struct bench *bench)
{
	char content[301];
	struct command_overlay trends = trend_overlay(bench->social);
	memset(content, 'x', sizeof(content));
	for (int64_t i = 0; i < bench->posts; i++) {
		if (i % 20000 == 0) {
			must(i > 0 ? db_commit(bench->db) : ERR_OK, "a commit");
			must(db_begin(bench->db), "a transaction");
		}
		add_post(bench, i, str_make(content, 300));
		if (i % BATCH_POSTS == BATCH_POSTS - 1 || i + 1 == bench->posts) {
			must(trends.flush(trends.ctx, bench->db), "trends");
			trends.committed(trends.ctx);
		}
	}
	must(db_commit(bench->db), "a commit");
	must(db_checkpoint(bench->db), "a checkpoint");
}

/* ---- pages ---- */

struct page {
	struct bench *bench;
	struct db *db;
	struct json_out json;
	struct buf text;
	int count;
};

static bool take(const struct post *post, void *arg)
{
	struct page *page = arg;
	if (page->count++ == PAGE) {
		return false;
	}
	must(post_json(&page->bench->guild, page->db, post, (struct actor){KEY_VIEWER, ACTOR_HUMAN}, &page->json), "JSON");
	return true;
}

static void one_page(struct bench *bench, struct db *db, struct page *page, int64_t viewer, int64_t below)
{
	struct arena arena;
	struct caller caller = {.workspace = KEY_WORKSPACE, .principal = viewer, .role = ROLE_MEMBER};
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	struct feed feed = {.social = bench->social, .caller = &caller, .viewer = viewer, .arena = &arena, .below = below, .wanted = PAGE + 1};
	buf_clear(&page->text);
	json_begin(&page->json, &page->text);
	json_array(&page->json);
	page->count = 0;
	must(db_begin(db), "a read transaction");
	must(feed_walk(&feed, db, LIMIT_SCAN_ROWS, take, page), "a page");
	must(db_commit(db), "the end of it");
	json_array_end(&page->json);
	arena_fini(&arena);
}

/* What others do on the machine is in the time of the wall, not in this one. */
static int64_t own_cpu_ns(void)
{
	struct timespec at;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
	return at.tv_sec * INT64_C(1000000000) + at.tv_nsec;
}

/* Pages of viewers with few and many channels: the newest, and ten thousand pages further down. */
static void measure_pages(struct bench *bench, struct db *db)
{
	struct page page = {.bench = bench, .db = db};
	buf_init(&page.text, 1 << 24);
	for (int64_t channels = 20; channels <= 150; channels += 130) {
		for (int deep = 0; deep <= 1; deep++) {
			struct samples samples, cpu;
			samples_init(&samples, bench->rounds);
			samples_init(&cpu, bench->rounds);
			for (unsigned i = 0; i < bench->rounds + 50; i++) {
				int64_t down = deep ? (int64_t)DEPTH_PAGES * PAGE * bench->posts / 1000000 : 0;
				int64_t number = bench->posts - down - (int64_t)pick((uint64_t)bench->posts / 20);
				int64_t cpu_begin = own_cpu_ns(), begin = now_ns();
				one_page(bench, db, &page, KEY_VIEWER + channels, i % 4 == 0 && !deep ? INT64_MAX : post_key(bench, number));
				if (i >= 50) {
					samples_add(&samples, now_ns() - begin);
					samples_add(&cpu, own_cpu_ns() - cpu_begin);
				}
			}
			if (page.count != PAGE + 1) {
				die("a page of %d", page.count);
			}
			const double figures[] = {samples_us(&samples, 0.5), samples_us(&samples, 0.99), samples_us(&cpu, 0.99)};
			static const char *const names[] = {"p50_us", "p99_us", "cpu_p99_us"};
			for (int i = 0; i < 3; i++) {
				printf("\"c%d_%s_%s\":%.0f,", (int)channels, deep ? "deep" : "top", names[i], figures[i]);
			}
		}
	}
	buf_fini(&page.text);
}

static double top_us(struct bench *bench, struct db *db)
{
	struct arena arena;
	struct trend_topic *topics;
	size_t count;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	int64_t begin = now_ns();
	/* At the end of an hour, when most rows have to be read. */
	struct trend_ask ask = trend_ask_make(bench->social->trends, KEY_WORKSPACE, (bench->begin_ms + DAY_MS - 1) * 1000, 24);
	must(db_begin(db), "a read transaction");
	must(trend_top(bench->social->trends, db, &arena, &ask, 10, &topics, &count), "trends");
	must(db_commit(db), "the end of it");
	double us = (double)(now_ns() - begin) / 1000;
	arena_fini(&arena);
	return us;
}

static void measure_trends(struct bench *bench, struct db *db)
{
	struct samples samples;
	double first_us = top_us(bench, db);
	samples_init(&samples, bench->rounds);
	for (unsigned i = 0; i < bench->rounds / 4; i++) {
		samples_add(&samples, (int64_t)(top_us(bench, db) * 1000));
	}
	printf("\"trending_first_us\":%.0f,\"trending_p50_us\":%.0f,\"trending_p99_us\":%.0f,", first_us, samples_us(&samples, 0.5),
	       samples_us(&samples, 0.99));
}

static void measure_total(struct bench *bench, struct db *db)
{
	struct caller caller = {.workspace = KEY_WORKSPACE, .principal = KEY_VIEWER + 150, .role = ROLE_MEMBER};
	struct feed feed = {.social = bench->social, .caller = &caller, .viewer = KEY_VIEWER + 150};
	int64_t total, begin = now_ns();
	must(feed_total(&feed, db, &total), "a total");
	printf("\"total_us\":%.0f,\"total\":%lld,", (double)(now_ns() - begin) / 1000, (long long)total);
}

int main(int argc, char **argv)
{
	char path[256], detail[256] = "";
	struct bench *bench = must_alloc(sizeof(*bench));
	struct db *reader;
	bench->posts = (int64_t)option_number(argc, argv, "posts", 1000000);
	bench->public_parts = (unsigned)option_number(argc, argv, "public", 75);
	bench->rounds = (unsigned)option_number(argc, argv, "rounds", 2000);
	bench->trends_only = option_given(argc, argv, "trends");
	bench->begin_ms = INT64_C(1700006400000);
	bench->guild = (struct guild){.env = env_real(), .id_secret = {1, 2}};
	for (unsigned i = 0; i < TAGS; i++) {
		bench->tags[i] = (i > 0 ? bench->tags[i - 1] : 0) + 1.0 / (i + 1);
	}
	log_set(LOG_OFF, false);
	snprintf(path, sizeof(path), "%s/feed.db", option_text(argc, argv, "folder", "."));
	must(snap_domain_create(&bench->guild.snap), "tables");
	must(identity_create(bench->guild.env, bench->guild.snap, &bench->guild.identity), "users");
	must(registry_create(bench->guild.env, bench->guild.snap, &bench->guild.registry), "agents");
	must(social_create(&bench->guild, &bench->social), "channels");
	must(db_open(path, DB_WRITER, &bench->db, detail), detail);
	must(db_migrate(bench->db, path, detail), detail);
	make_channels(bench);
	must(social_load(bench->social, bench->db), "channels");
	fill(bench);
	must(db_open(path, DB_READER, &reader, detail), detail);
	printf("{");
	if (bench->trends_only) {
		measure_trends(bench, reader);
	} else {
		measure_pages(bench, reader);
		measure_total(bench, reader);
	}
	printf("\"posts\":%lld}\n", (long long)bench->posts);
	return 0;
}
