/* test_social_trend.c - topics by hour against a naive table: what is undone, kept sums, edges of windows, order, what is no topic. */
#include "base/mem.h"
#include "social/trend_priv.h"
#include "store_fixture.h"

enum { WORKSPACES = 2, HOURS = 200, TOPICS = 40, BASE_HOUR = 450000, ROUNDS = 400, ADDS = 60 };

static struct guild guild;
static struct social social;
static struct writer *writer;
static struct command_overlay overlay;
static int64_t model[WORKSPACES][HOURS][TOPICS];
static unsigned seed = 7;

static unsigned pick(unsigned below)
{
	seed = seed * 1103515245 + 12345;
	return (seed >> 8) % below;
}

static int setup(void **state)
{
	if (store_setup(state) != 0) {
		return -1;
	}
	guild = (struct guild){.env = env_real()};
	social = (struct social){.guild = &guild};
	memset(model, 0, sizeof(model));
	writer = make(NULL);
	assert_int_equal(trend_table_create(&guild, &social.trends), ERR_OK);
	overlay = trend_overlay(&social);
	return 0;
}

static int teardown(void **state)
{
	trend_table_destroy(&social.trends);
	writer_destroy(&writer);
	return store_teardown(state);
}

/* ---- what a writer does ---- */

static struct str topic_of(unsigned number)
{
	static char text[TOPICS][16];
	snprintf(text[number], sizeof(text[0]), "%c%s%u", number % 3 == 0 ? '@' : '#', number % 2 == 0 ? "b" : "a", number);
	return str_of(text[number]);
}

static void add(int64_t workspace, int64_t hour, struct str topic, int delta)
{
	assert_int_equal(trend_add(&social, workspace, (BASE_HOUR + hour) * TREND_HOUR_US + (int64_t)pick(1000) * 3599999, topic, delta), ERR_OK);
}

static void commit(void)
{
	assert_int_equal(overlay.flush(overlay.ctx, writer_db(writer)), ERR_OK);
	overlay.committed(overlay.ctx);
	assert_int_equal(overlay.mark(overlay.ctx), 0);
}

static void statement(const struct db_sql *sql)
{
	assert_int_equal(db_run(db_use(writer_db(writer), sql)), ERR_OK);
}

static int64_t rows(void)
{
	static const struct db_sql sql = {"SELECT count(*) FROM trend"};
	struct db_stmt *stmt = db_use(writer_db(writer), &sql);
	bool row;
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

/* ---- what a reader is told ---- */

static struct arena arena;

static size_t top_at(const struct trend_ask *ask, size_t limit, struct trend_topic **out)
{
	size_t count;
	arena_fini(&arena);
	arena_init(&arena, 1 << 22);
	assert_int_equal(trend_top(social.trends, writer_db(writer), &arena, ask, limit, out, &count), ERR_OK);
	return count;
}

static size_t top(int64_t workspace, int64_t hour, int64_t hours, size_t limit, struct trend_topic **out)
{
	struct trend_ask ask = trend_ask_make(social.trends, workspace, (BASE_HOUR + hour) * TREND_HOUR_US + 1, hours);
	return top_at(&ask, limit, out);
}

static void compare(int64_t workspace, int64_t hour, int64_t hours, size_t limit)
{
	struct trend_topic *got;
	int64_t sums[TOPICS] = {0};
	size_t count = top(workspace, hour, hours, limit, &got);
	for (int64_t h = hour - hours < 0 ? 0 : hour - hours; h <= hour; h++) {
		for (unsigned t = 0; t < TOPICS; t++) {
			sums[t] += model[workspace][h][t];
		}
	}
	for (size_t i = 0; i < limit; i++) {
		int best = -1;
		for (int t = 0; t < TOPICS; t++) {
			bool better = sums[t] > 0 && (best < 0 || sums[t] > sums[best] ||
						      (sums[t] == sums[best] && str_cmp(topic_of((unsigned)t), topic_of((unsigned)best)) < 0));
			best = better ? t : best;
		}
		if (best < 0) {
			assert_int_equal(count, i);
			return;
		}
		assert_true(i < count);
		assert_true(str_eq(got[i].topic, topic_of((unsigned)best)));
		assert_int_equal(got[i].count, sums[best]);
		sums[best] = 0;
	}
	assert_int_equal(count, limit);
}

/* ---- tests ---- */

/* AC-116..118, AC-120: posts, deletions, jobs undone, batches rolled back, questions with kept sums and without. */
static void test_against_a_naive_table(void **state)
{
	int64_t now = 20;
	for (int round = 0; round < ROUNDS; round++) {
		int64_t before[WORKSPACES][HOURS][TOPICS];
		memcpy(before, model, sizeof(model));
		for (unsigned job = 0; job < 4; job++) {
			int64_t saved[WORKSPACES][HOURS][TOPICS];
			size_t mark = overlay.mark(overlay.ctx);
			memcpy(saved, model, sizeof(model));
			for (unsigned i = 0; i < ADDS / 4; i++) {
				unsigned workspace = pick(WORKSPACES), topic = pick(TOPICS);
				int64_t hour = pick(3) != 0 ? now : now - (int64_t)pick(20);
				int delta = model[workspace][hour][topic] > 0 && pick(2) == 0 ? -1 : 1;
				add(workspace, hour, topic_of(topic), delta);
				model[workspace][hour][topic] += delta;
			}
			if (pick(4) == 0) {
				overlay.undo_to(overlay.ctx, mark);
				memcpy(model, saved, sizeof(model));
			}
		}
		if (pick(4) == 0) {
			overlay.undo_to(overlay.ctx, 0);
			memcpy(model, before, sizeof(model));
		} else {
			commit();
		}
		for (unsigned i = 0; i < 6; i++) {
			compare(pick(WORKSPACES), now, i % 2 == 0 ? 24 : 1 + pick(168), 1 + pick(TOPICS + 5));
		}
		now += now < HOURS - 1 && pick(3) == 0;
	}
	int64_t there = 0;
	for (size_t i = 0; i < sizeof(model) / sizeof(int64_t); i++) {
		there += ((const int64_t *)model)[i] > 0;
	}
	assert_int_equal(rows(), there);
}

/* AC-117: the hour that goes on and those that the window touches, no more. AC-119: nothing there gives nothing. */
static void test_edges_of_windows(void **state)
{
	struct trend_topic *got;
	assert_int_equal(top(0, 100, 24, 10, &got), 0);
	add(0, 100, STR("#now"), 1);
	add(0, 101, STR("#later"), 1);
	add(0, 76, STR("#edge"), 1);
	add(0, 75, STR("#before"), 1);
	add(1, 100, STR("#elsewhere"), 1);
	commit();
	assert_int_equal(top(0, 100, 24, 10, &got), 2);
	assert_true(str_eq(got[0].topic, STR("#edge")) && str_eq(got[1].topic, STR("#now")));
	assert_int_equal(top(0, 100, 25, 10, &got), 3);
	assert_int_equal(top(0, 100, 1, 10, &got), 1);
	assert_int_equal(top(0, 101, 1, 10, &got), 2);
	assert_int_equal(top(0, 268, 168, 10, &got), 2);
}

/* AC-116, AC-118 */
static void test_order_is_count_then_bytes(void **state)
{
	static const char *const names[] = {"#b", "@a", "#a", "#\xc3\xa9", "#ab", "#z"};
	struct trend_topic *got;
	for (size_t i = 0; i < 6; i++) {
		add(0, 9, str_of(names[i]), 2);
		add(0, 8, str_of(names[5]), 1);
	}
	commit();
	static const char *const want[] = {"#z", "#a", "#ab", "#b", "#\xc3\xa9", "@a"};
	for (size_t limit = 1; limit <= 6; limit++) {
		assert_int_equal(top(0, 9, 5, limit, &got), limit);
		for (size_t i = 0; i < limit; i++) {
			assert_true(str_eq(got[i].topic, str_of(want[i])));
		}
	}
}

/* AC-119: rows that no writer of ours made. */
static void test_rows_that_are_no_topics(void **state)
{
	static const struct db_sql bad = {
		"INSERT INTO trend (workspace, hour_at, topic, posts) SELECT 0, ?1, substr('x#@@', n, 1) || substr('yy', 1, n % 3), n - 2 FROM "
		"(SELECT 1 AS n UNION SELECT 2 UNION SELECT 3 UNION SELECT 4)"};
	struct trend_topic *got;
	for (int64_t hour = BASE_HOUR + 8; hour <= BASE_HOUR + 9; hour++) {
		struct db_stmt *stmt = db_use(writer_db(writer), &bad);
		db_bind_int(stmt, 1, hour);
		assert_int_equal(db_run(stmt), ERR_OK);
	}
	add(0, 9, STR("#good"), 1);
	commit();
	assert_int_equal(top(0, 9, 5, 10, &got), 2);
	assert_true(str_eq(got[0].topic, STR("@y")) && got[0].count == 4);
	assert_true(str_eq(got[1].topic, STR("#good")));
}

/* A question that began before the past changed and is answered after: right now or right then, and nobody later hears it. */
static void test_kept_sums_are_of_their_version(void **state)
{
	struct trend_topic *got;
	add(0, 8, STR("#a"), 3);
	commit();
	struct trend_ask early = trend_ask_make(social.trends, 0, (BASE_HOUR + 9) * TREND_HOUR_US, 5);
	add(0, 8, STR("#a"), -1);
	commit();
	assert_int_equal(top_at(&early, 10, &got), 1);
	assert_int_equal(got[0].count, 2);
	assert_int_equal(top(0, 9, 5, 10, &got), 1);
	assert_int_equal(got[0].count, 2);
	/* Kept now: a row changed behind its back shows that it is. */
	static const struct db_sql raise = {"UPDATE trend SET posts = 50"};
	statement(&raise);
	assert_int_equal(top(0, 9, 5, 10, &got), 1);
	assert_int_equal(got[0].count, 2);
	/* The hour that goes on is never kept; what it adds does not make the past be read again. */
	add(0, 9, STR("#a"), 1);
	commit();
	assert_int_equal(top(0, 9, 5, 10, &got), 1);
	assert_int_equal(got[0].count, 3);
	add(0, 8, STR("#a"), -1);
	commit();
	assert_int_equal(top(0, 9, 5, 10, &got), 1);
	assert_int_equal(got[0].count, 50);
}

static void test_more_topics_than_are_kept(void **state)
{
	struct trend_topic *got;
	static const struct db_sql flood = {
		"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1) "
		"INSERT INTO trend (workspace, hour_at, topic, posts) SELECT 0, ?2, '#' || i, 1 + (i % 1000 = 0) * i / 1000 FROM n"};
	struct db_stmt *stmt = db_use(writer_db(writer), &flood);
	db_bind_int(stmt, 1, LIMIT_TREND_TOPICS * 2);
	db_bind_int(stmt, 2, BASE_HOUR + 8);
	assert_int_equal(db_run(stmt), ERR_OK);
	assert_int_equal(top(0, 9, 5, 3, &got), 3);
	assert_true(str_eq(got[0].topic, STR("#131000")) && got[0].count == 132);
	assert_true(str_eq(got[1].topic, STR("#130000")) && str_eq(got[2].topic, STR("#129000")));
}

static bool fail_at(void *arg, uint64_t number)
{
	return number == *(uint64_t *)arg;
}

/* Without memory at any one place: an error or the right answer, and nothing lost. */
static void test_memory_runs_out(void **state)
{
	for (uint64_t i = 1; i < 40; i++) {
		uint64_t at = mem_count() + i;
		struct trend_topic *got;
		size_t count = 0;
		char name[32];
		snprintf(name, sizeof(name), "#m%d", (int)i);
		mem_hook_set(fail_at, &at);
		enum err added = trend_add(&social, 0, (BASE_HOUR + 8) * TREND_HOUR_US, str_of(name), 1);
		mem_hook_set(NULL, NULL);
		assert_true(added == ERR_OK || added == ERR_MEMORY);
		commit();
		arena_fini(&arena);
		arena_init(&arena, 1 << 20);
		struct trend_ask ask = trend_ask_make(social.trends, 0, (BASE_HOUR + 9) * TREND_HOUR_US, 5);
		at = mem_count() + i;
		mem_hook_set(fail_at, &at);
		enum err err = trend_top(social.trends, writer_db(writer), &arena, &ask, 100, &got, &count);
		mem_hook_set(NULL, NULL);
		assert_true(err != ERR_OK || count > 0 || added != ERR_OK);
		assert_true(top(0, 9, 5, 100, &got) >= count);
	}
}

/* ---- several threads ---- */

enum { DELETIONS = 400 };

static _Atomic int64_t at_most; /* committed before: nobody who asks later hears more */

static void *ask_again_and_again(void *arg)
{
	struct db *db;
	char why[256];
	size_t *stale = arg;
	int64_t heard = DELETIONS + 1;
	assert_int_equal(db_open(path, DB_READER, &db, why), ERR_OK);
	while (heard > 1) {
		struct arena own;
		struct trend_topic *got;
		size_t count;
		int64_t most = atomic_load(&at_most);
		struct trend_ask ask = trend_ask_make(social.trends, 0, (BASE_HOUR + 9) * TREND_HOUR_US, 5);
		arena_init(&own, 1 << 20);
		bool good = db_begin(db) == ERR_OK && trend_top(social.trends, db, &own, &ask, 10, &got, &count) == ERR_OK && count == 1;
		*stale += !good || got[0].count > most;
		heard = good ? got[0].count : 0;
		db_rollback(db);
		arena_fini(&own);
	}
	db_close(&db);
	return NULL;
}

static void test_kept_sums_are_never_stale(void **state)
{
	pthread_t threads[3];
	size_t stale[3] = {0};
	for (int i = 0; i <= DELETIONS; i++) {
		add(0, 8, STR("#a"), 1);
	}
	commit();
	atomic_store(&at_most, DELETIONS + 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_create(&threads[i], NULL, ask_again_and_again, &stale[i]), 0);
	}
	for (int i = 0; i < DELETIONS; i++) {
		add(0, 8, STR("#a"), -1);
		commit();
		atomic_store(&at_most, DELETIONS - i);
	}
	for (int i = 0; i < 3; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_int_equal(stale[i], 0);
	}
}

static int end(void **state)
{
	arena_fini(&arena);
	return teardown(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_against_a_naive_table, setup, end),
		cmocka_unit_test_setup_teardown(test_edges_of_windows, setup, end),
		cmocka_unit_test_setup_teardown(test_order_is_count_then_bytes, setup, end),
		cmocka_unit_test_setup_teardown(test_rows_that_are_no_topics, setup, end),
		cmocka_unit_test_setup_teardown(test_kept_sums_are_of_their_version, setup, end),
		cmocka_unit_test_setup_teardown(test_kept_sums_are_never_stale, setup, end),
		cmocka_unit_test_setup_teardown(test_more_topics_than_are_kept, setup, end),
		cmocka_unit_test_setup_teardown(test_memory_runs_out, setup, end),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
