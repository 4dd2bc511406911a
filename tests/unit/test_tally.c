/* test_tally.c - counts of agents: many changes in a batch are one row's, undone ones are none, levels begin anew; and readiness of any numbers. */
#include "agent/tally.h"
#include "growth/growth_priv.h"
#include "guild_fixture.h"

enum { AGENTS = 3, ROUNDS = 60, STEPS_MAX = 6, BATCH_MAX = 8 };

static const struct http_route *const tables[] = {agent_routes, identity_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

static uint32_t draw_state;

static uint32_t draw(uint32_t below)
{
	draw_state = draw_state * 1664525u + 1013904223u;
	return (draw_state >> 8) % below;
}

/* What one command does: several changes, then it fails or not. */
struct counting {
	struct change change; /* first */
	struct { int agent; bool restart; struct tally by; } steps[STEPS_MAX];
	int count;
	enum err fail_with;
	bool finished;
	struct tally seen; /* of the first step's agent, inside the transaction */
};

static int64_t key_of(int agent)
{
	return 1000 + agent;
}

static enum err counting_apply(struct command *command, struct db *db)
{
	struct counting *counting = (struct counting *)command;
	struct tally_table *tallies = counting->change.guild->tallies;
	enum err err = change_log(&counting->change, db);
	for (int i = 0; i < counting->count && err == ERR_OK; i++) {
		int64_t key = key_of(counting->steps[i].agent), now_us = command_now_us(command);
		err = counting->steps[i].restart ? tally_restart(tallies, 1, key, now_us) : tally_add(tallies, 1, key, now_us, &counting->steps[i].by);
	}
	if (err == ERR_OK && counting->count > 0) {
		err = tally_writer_read(tallies, db, key_of(counting->steps[0].agent), &counting->seen);
	}
	return err == ERR_OK ? counting->fail_with : err;
}

static void counting_finish(struct command *command)
{
	((struct counting *)command)->finished = true;
}

static const struct command_row counting_row = {"counting", "chat", counting_apply, NULL, counting_finish};

struct begin {
	struct loop_note note;
	struct counting **list;
	int count;
	bool done;
};

static void begin_run(struct loop_note *note, struct loop *loop)
{
	struct begin *begin = container_of(note, struct begin, note);
	for (int i = 0; i < begin->count; i++) {
		assert_int_equal(command_submit(&begin->list[i]->change.command, false), ERR_OK);
	}
	begin->done = true;
}

/* All of them in one batch. */
static void run_all(struct fixture *f, struct counting **list, int count)
{
	struct begin begin = {{.run = begin_run}, list, count, false};
	loop_note_post(f->guild.loops[0], &begin.note);
	bool over = false;
	for (int i = 0; i < TURNS_MAX && !over; i++) {
		turn(f);
		over = begin.done;
		for (int c = 0; c < count; c++) {
			over = over && list[c]->finished;
		}
	}
	assert_true(over);
}

static void model_apply(struct tally *model, const struct counting *counting)
{
	for (int i = 0; i < counting->count; i++) {
		struct tally *at = &model[counting->steps[i].agent];
		const struct tally *by = &counting->steps[i].by;
		if (counting->steps[i].restart) {
			*at = (struct tally){.since_us = 1, .reactions = at->reactions, .helpful = at->helpful, .posts = at->posts};
			continue;
		}
		at->runs += by->runs;
		at->refusals += by->refusals;
		at->reactions += by->reactions;
		at->posts += by->posts;
	}
}

static void compare(struct fixture *f, const struct tally *model)
{
	for (int i = 0; i < AGENTS; i++) {
		struct tally got;
		assert_int_equal(tally_read(writer_db(f->guild.writer), key_of(i), &got), ERR_OK);
		assert_int_equal(got.runs, model[i].runs);
		assert_int_equal(got.refusals, model[i].refusals);
		assert_int_equal(got.reactions, model[i].reactions);
		assert_int_equal(got.posts, model[i].posts);
		assert_int_equal(got.since_us != 0, model[i].since_us != 0);
	}
}

static void test_batches(void **state)
{
	struct fixture *f = *state;
	struct tally model[AGENTS] = {{0}};
	draw_state = 7;
	for (int round = 0; round < ROUNDS; round++) {
		struct arena arena;
		struct counting *list[BATCH_MAX];
		int count = 1 + (int)draw(BATCH_MAX);
		arena_init(&arena, 1 << 20);
		for (int c = 0; c < count; c++) {
			struct change_what what = {.agent = 0};
			list[c] = change_make(&f->guild, &counting_row, &arena, f->guild.loops[0], &f->member, sizeof(struct counting));
			assert_non_null(list[c]);
			assert_int_equal(change_audit(&list[c]->change, &what), ERR_OK);
			list[c]->count = (int)draw(STEPS_MAX + 1);
			for (int i = 0; i < list[c]->count; i++) {
				list[c]->steps[i].agent = (int)draw(AGENTS);
				list[c]->steps[i].restart = draw(8) == 0;
				list[c]->steps[i].by =
					(struct tally){.runs = draw(3), .refusals = draw(2), .reactions = (int64_t)draw(5) - 2, .posts = draw(2)};
			}
			/* After its writes: the batch is done again without it. */
			list[c]->fail_with = draw(5) == 0 ? ERR_STORE_UNAVAILABLE : ERR_OK;
		}
		run_all(f, list, count);
		for (int c = 0; c < count; c++) {
			if (list[c]->fail_with == ERR_OK) {
				model_apply(model, list[c]);
				if (list[c]->count > 0) {
					assert_int_equal(list[c]->seen.runs, model[list[c]->steps[0].agent].runs);
					assert_int_equal(list[c]->seen.posts, model[list[c]->steps[0].agent].posts);
				}
			}
		}
		compare(f, model);
		arena_fini(&arena);
	}
}

static void test_nobody_s(void **state)
{
	struct tally got;
	struct fixture *f = *state;
	assert_int_equal(tally_add(NULL, 1, 5, 1, &(struct tally){.runs = 1}), ERR_OK);
	assert_int_equal(tally_restart(NULL, 1, 5, 1), ERR_OK);
	assert_int_equal(tally_add(f->guild.tallies, 1, 0, 1, &(struct tally){.runs = 1}), ERR_OK);
	assert_int_equal(tally_read(writer_db(f->guild.writer), 5, &got), ERR_OK);
	assert_int_equal(got.runs, 0);
	struct tally_table *none = NULL;
	tally_table_destroy(&none);
}

/* ---- readiness ---- */

static struct readiness judge(enum maturity maturity, struct evidence evidence)
{
	struct readiness out;
	readiness_judge(maturity, &evidence, &out);
	return out;
}

static void test_thresholds(void **state)
{
	(void)state;
	/* Just enough, and one too little of each. */
	struct evidence intern = {.episodes = 25, .runs = 50, .cancels = 10, .actions = 20, .refusals = 3};
	assert_int_equal(judge(MATURITY_INTERN, intern).gaps, GAP_SCORE); /* 0.40 + 0 + 0.255 */
	assert_int_equal(judge(MATURITY_INTERN, intern).score_e4, 6550);
	struct evidence good = {.episodes = 25, .runs = 25, .actions = 25};
	assert_true(judge(MATURITY_INTERN, good).ready);
	good.episodes = 24;
	assert_int_equal(judge(MATURITY_INTERN, good).gaps, GAP_EPISODES);
	struct evidence none = {0};
	assert_int_equal(judge(MATURITY_STUDENT, none).gaps, GAP_EPISODES | GAP_COMPLIANCE | GAP_SCORE);
	assert_int_equal(judge(MATURITY_STUDENT, none).score_e4, 3000);
	struct evidence supervised = {.episodes = 50, .runs = 1000000, .corrections = 1, .actions = 1000000};
	assert_int_equal(judge(MATURITY_SUPERVISED, supervised).gaps, GAP_INTERVENTIONS | GAP_SCORE);
	assert_int_equal(judge(MATURITY_SUPERVISED, supervised).rate_e4, 1);
	assert_null(judge(MATURITY_AUTONOMOUS, supervised).need);
	assert_false(judge(MATURITY_AUTONOMOUS, supervised).ready);
}

static void test_great_numbers(void **state)
{
	const int64_t great = INT64_C(1000000000000);
	struct evidence all = {great, great, great, great, great, great, great, great};
	(void)state;
	for (int maturity = MATURITY_STUDENT; maturity <= MATURITY_AUTONOMOUS; maturity++) {
		struct readiness got = judge((enum maturity)maturity, all);
		assert_int_equal(got.rate_e4, 30000);
		assert_int_equal(got.compliance_e4, 0);
		assert_false(got.ready);
	}
	struct evidence fine = {.episodes = great, .runs = great, .actions = great, .refusals = great / 20};
	assert_true(judge(MATURITY_SUPERVISED, fine).ready);
	fine.refusals++;
	assert_int_equal(judge(MATURITY_SUPERVISED, fine).gaps, GAP_COMPLIANCE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_batches, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_nobody_s, setup, fixture_close),
		cmocka_unit_test(test_thresholds),
		cmocka_unit_test(test_great_numbers),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
