/* test_loop.c - turns: timers, tasks, notes from other threads, watches, the reader of shared maps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/metric.h"
#include "base/thread.h"
#include "loop/loop.h"

struct fake {
	struct env env;
	int64_t now_us;
};

static int64_t fake_mono(void *ctx)
{
	return ((struct fake *)ctx)->now_us;
}

static void fake_init(struct fake *fake)
{
	*fake = (struct fake){.env = *env_real(), .now_us = 1000000};
	fake->env.ctx = fake;
	fake->env.mono_us = fake_mono;
}

static struct loop *make_loop(const struct env *env)
{
	struct loop_options options = {.env = env, .number = 3};
	struct loop *loop;

	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	return loop;
}

/* ---- timers ---- */

static char ran[64];
static size_t ran_count;

struct named_timer {
	struct loop_timer timer;
	char name;
	int64_t again_us; /* sets itself to this time, once for each of times */
	int times;
};

static void on_named(struct loop_timer *timer, struct loop *loop)
{
	struct named_timer *named = container_of(timer, struct named_timer, timer);

	assert_true(loop_is_current(loop));
	assert_ptr_equal(loop_current(), loop);
	assert_true(ran_count < sizeof(ran) - 1);
	ran[ran_count++] = named->name;
	ran[ran_count] = 0;
	if (named->times-- > 0) {
		assert_int_equal(loop_timer_set(loop, timer, named->again_us), ERR_OK);
	}
}

static void set(struct loop *loop, struct named_timer *named, char name, int64_t at_us)
{
	named->name = name;
	named->timer.run = on_named;
	assert_int_equal(loop_timer_set(loop, &named->timer, at_us), ERR_OK);
}

static void test_timers(void **state)
{
	struct named_timer t[5] = {0};
	struct fake fake;
	struct loop *loop;

	(void)state;
	fake_init(&fake);
	loop = make_loop(&fake.env);
	ran_count = 0;
	ran[0] = 0;
	set(loop, &t[0], 'a', 1000300);
	set(loop, &t[1], 'b', 1000100);
	set(loop, &t[2], 'c', 1000100);
	set(loop, &t[3], 'd', 1000200);
	set(loop, &t[4], 'e', 1000050);
	set(loop, &t[0], 'a', 1000090);
	loop_timer_clear(loop, &t[4].timer);
	loop_timer_clear(loop, &t[4].timer);
	loop_turn(loop, 0);
	assert_string_equal(ran, "");
	fake.now_us = 1000150;
	loop_turn(loop, 0);
	assert_string_equal(ran, "abc");
	assert_int_equal(loop_now_us(loop), 1000150);
	fake.now_us = 1000200;
	loop_turn(loop, -1);
	assert_string_equal(ran, "abcd");
	assert_int_equal(loop_number(loop), 3);
	assert_ptr_equal(loop_env(loop), &fake.env);
	assert_false(loop_is_current(loop));
	assert_null(loop_current());
	loop_destroy(&loop);
	assert_null(loop);
}

/* A timer that always sets itself into the past neither keeps the loop nor starves the others. */
static void test_timer_greedy(void **state)
{
	struct named_timer greedy = {.again_us = 1, .times = 3};
	struct named_timer other = {0};
	struct fake fake;
	struct loop *loop;

	(void)state;
	fake_init(&fake);
	loop = make_loop(&fake.env);
	ran_count = 0;
	set(loop, &greedy, 'g', 1);
	set(loop, &other, 'o', 500000);
	loop_turn(loop, -1);
	assert_string_equal(ran, "go");
	fake.now_us++;
	loop_turn(loop, -1);
	assert_string_equal(ran, "gog");
	loop_destroy(&loop);
}

static void test_timer_ends_wait(void **state)
{
	struct named_timer t = {0};
	struct loop *loop = make_loop(env_real());
	int64_t at_us = env_mono_us(env_real()) + 30000;

	(void)state;
	ran_count = 0;
	set(loop, &t, 't', at_us);
	while (ran_count == 0) {
		loop_turn(loop, -1);
	}
	assert_true(loop_now_us(loop) >= at_us);
	assert_true(loop_now_us(loop) < at_us + 2000000);
	loop_destroy(&loop);
}

/* ---- tasks ---- */

struct named_task {
	struct loop_task task;
	char name;
	struct named_task *adds;
	struct named_task *cancels;
};

static void on_task(struct loop_task *task, struct loop *loop)
{
	struct named_task *named = container_of(task, struct named_task, task);

	ran[ran_count++] = named->name;
	ran[ran_count] = 0;
	if (named->adds) {
		loop_task_add(loop, &named->adds->task);
	}
	if (named->cancels) {
		loop_task_cancel(&named->cancels->task);
	}
}

static void test_tasks(void **state)
{
	struct named_task t[4] = {0};
	struct loop *loop = make_loop(env_real());

	(void)state;
	for (int i = 0; i < 4; i++) {
		list_init(&t[i].task.link);
		t[i].task.run = on_task;
		t[i].name = (char)('a' + i);
	}
	ran_count = 0;
	t[0].adds = &t[0];
	t[1].cancels = &t[2];
	t[1].adds = &t[3];
	loop_task_add(loop, &t[0].task);
	loop_task_add(loop, &t[1].task);
	loop_task_add(loop, &t[0].task);
	loop_task_add(loop, &t[2].task);
	loop_turn(loop, -1);
	assert_string_equal(ran, "ab");
	t[0].adds = NULL;
	t[1].adds = NULL;
	loop_turn(loop, -1);
	assert_string_equal(ran, "abad");
	loop_turn(loop, 0);
	assert_string_equal(ran, "abad");
	loop_task_add(loop, &t[0].task);
	loop_destroy(&loop);
	loop_task_cancel(&t[0].task);
	assert_string_equal(ran, "abad");
}

/* ---- notes ---- */

enum { POSTERS = 4, NOTES = 20000 };

struct numbered_note {
	struct loop_note note;
	int poster;
	int number;
};

struct poster {
	struct thread thread;
	struct loop *loop;
	struct numbered_note *notes;
};

static int next_of[POSTERS];
static int notes_left;

static void on_numbered(struct loop_note *note, struct loop *loop)
{
	struct numbered_note *numbered = container_of(note, struct numbered_note, note);

	assert_int_equal(numbered->number, next_of[numbered->poster]);
	next_of[numbered->poster]++;
	if (--notes_left == 0) {
		loop_stop(loop);
	}
}

static void post_all(void *arg)
{
	struct poster *poster = arg;

	for (int i = 0; i < NOTES; i++) {
		loop_note_post(poster->loop, &poster->notes[i].note);
	}
}

static void test_notes(void **state)
{
	struct poster posters[POSTERS];
	struct loop *loop = make_loop(env_real());

	(void)state;
	notes_left = POSTERS * NOTES;
	for (int i = 0; i < POSTERS; i++) {
		posters[i].loop = loop;
		posters[i].notes = calloc(NOTES, sizeof(struct numbered_note));
		for (int j = 0; j < NOTES; j++) {
			posters[i].notes[j] = (struct numbered_note){{.run = on_numbered}, i, j};
		}
	}
	for (int i = 0; i < POSTERS; i++) {
		assert_int_equal(thread_start(&posters[i].thread, "poster", post_all, &posters[i]), ERR_OK);
	}
	loop_run(loop);
	for (int i = 0; i < POSTERS; i++) {
		thread_join(&posters[i].thread);
		assert_int_equal(next_of[i], NOTES);
		free(posters[i].notes);
	}
	loop_destroy(&loop);
}

/* Two loops throw one note back and forth: each of the wakes has to arrive. */
struct ball {
	struct loop_note note;
	struct loop *loops[2];
	int throws;
};

static void on_ball(struct loop_note *note, struct loop *loop)
{
	struct ball *ball = container_of(note, struct ball, note);

	if (ball->throws == 0) {
		loop_stop(ball->loops[0]);
		loop_stop(ball->loops[1]);
		return;
	}
	ball->throws--;
	loop_note_post(ball->loops[loop == ball->loops[0]], note);
}

static void run_loop(void *arg)
{
	loop_run(arg);
}

static void test_note_wakes(void **state)
{
	struct ball ball = {.note.run = on_ball, .throws = 2000};
	struct thread thread;

	(void)state;
	ball.loops[0] = make_loop(env_real());
	ball.loops[1] = make_loop(env_real());
	assert_int_equal(thread_start(&thread, "other", run_loop, ball.loops[1]), ERR_OK);
	loop_note_post(ball.loops[0], &ball.note);
	loop_run(ball.loops[0]);
	thread_join(&thread);
	assert_int_equal(ball.throws, 0);
	loop_destroy(&ball.loops[0]);
	loop_destroy(&ball.loops[1]);
}

/* A note posted by the loop itself is run without anybody waking it. */
static void on_own(struct loop_note *note, struct loop *loop)
{
	ran[ran_count++] = 'n';
	ran[ran_count] = 0;
	if (ran_count < 3) {
		loop_note_post(loop, note);
	}
}

static void test_note_own(void **state)
{
	struct loop_note note = {.run = on_own};
	struct loop *loop = make_loop(env_real());

	(void)state;
	ran_count = 0;
	loop_note_post(loop, &note);
	for (int i = 0; i < 3; i++) {
		loop_turn(loop, -1);
	}
	assert_string_equal(ran, "nnn");
	loop_destroy(&loop);
}

/* ---- watches ---- */

struct watched {
	struct loop_watch *watch;
	unsigned bits;
	int runs;
	bool closes;
	struct watched *closes_other;
};

static void on_watch(void *arg, int fd, unsigned bits)
{
	struct watched *watched = arg;

	(void)fd;
	watched->bits = bits;
	watched->runs++;
	if (watched->closes) {
		loop_watch_close(&watched->watch);
	}
	if (watched->closes_other) {
		loop_watch_close(&watched->closes_other->watch);
	}
}

static void test_watch(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct watched watched = {0};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	assert_int_equal(loop_watch_open(loop, fds[0], LOOP_READ, on_watch, &watched, &watched.watch), ERR_OK);
	loop_turn(loop, 0);
	assert_int_equal(watched.runs, 0);
	assert_int_equal(write(fds[1], "x", 1), 1);
	loop_turn(loop, -1);
	loop_turn(loop, -1);
	assert_int_equal(watched.runs, 2);
	assert_int_equal(watched.bits, LOOP_READ);
	assert_int_equal(loop_watch_change(watched.watch, LOOP_READ | LOOP_WRITE), ERR_OK);
	loop_turn(loop, -1);
	assert_int_equal(watched.bits, LOOP_READ | LOOP_WRITE);
	assert_int_equal(loop_watch_change(watched.watch, LOOP_WRITE), ERR_OK);
	loop_turn(loop, -1);
	assert_int_equal(watched.bits, LOOP_WRITE);
	assert_int_equal(loop_watch_change(watched.watch, 0), ERR_OK);
	loop_turn(loop, 0);
	assert_int_equal(watched.runs, 4);
	assert_int_equal(loop_watch_change(watched.watch, LOOP_READ), ERR_OK);
	watched.closes = true;
	loop_turn(loop, -1);
	assert_int_equal(watched.runs, 5);
	assert_null(watched.watch);
	loop_turn(loop, 0);
	assert_int_equal(watched.runs, 5);
	close(fds[0]);
	close(fds[1]);
	loop_destroy(&loop);
}

/* Both are ready; the first closes the second, which then must not run. */
static void test_watch_closes_other(void **state)
{
	struct loop *loop = make_loop(env_real());
	struct watched a = {0}, b = {0};
	int fds[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	a.closes_other = &b;
	b.closes_other = &a;
	assert_int_equal(loop_watch_open(loop, fds[0], LOOP_WRITE, on_watch, &a, &a.watch), ERR_OK);
	assert_int_equal(loop_watch_open(loop, fds[1], LOOP_WRITE, on_watch, &b, &b.watch), ERR_OK);
	loop_turn(loop, -1);
	assert_int_equal(a.runs + b.runs, 1);
	loop_watch_close(&a.watch);
	loop_watch_close(&b.watch);
	close(fds[0]);
	close(fds[1]);
	loop_destroy(&loop);
}

/* ---- shared maps ---- */

static int freed;

static void count_free(void *pointer)
{
	(void)pointer;
	freed++;
}

static void on_retire(struct loop_note *note, struct loop *loop)
{
	(void)note;
	(void)loop;
	freed = 0;
}

static void test_snap_reader(void **state)
{
	struct loop_options options = {.env = env_real()};
	struct snap_domain *domain;
	struct loop *loop;
	struct loop_note note = {.run = on_retire};
	int thing;

	(void)state;
	assert_int_equal(snap_domain_create(&domain), ERR_OK);
	options.snap = domain;
	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	freed = 0;
	snap_retire(domain, &thing, count_free);
	snap_domain_reclaim(domain);
	assert_int_equal(freed, 1);
	loop_note_post(loop, &note);
	loop_turn(loop, -1);
	assert_int_equal(freed, 0);
	snap_retire(domain, &thing, count_free);
	snap_domain_reclaim(domain);
	assert_int_equal(freed, 1);
	loop_destroy(&loop);
	snap_domain_destroy(&domain);
}

struct held {
	struct loop_note note;
	struct snap_domain *domain;
	int thing;
	int freed_inside;
};

static void on_held(struct loop_note *note, struct loop *loop)
{
	struct held *held = container_of(note, struct held, note);

	(void)loop;
	snap_retire(held->domain, &held->thing, count_free);
	snap_domain_reclaim(held->domain);
	held->freed_inside = freed;
}

/* What is retired while the loop is in a turn stays until the turn is over. */
static void test_snap_holds(void **state)
{
	struct loop_options options = {.env = env_real()};
	struct held held = {.note.run = on_held};
	struct loop *loop;

	(void)state;
	assert_int_equal(snap_domain_create(&held.domain), ERR_OK);
	options.snap = held.domain;
	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	freed = 0;
	loop_note_post(loop, &held.note);
	loop_turn(loop, -1);
	assert_int_equal(held.freed_inside, 0);
	snap_domain_reclaim(held.domain);
	assert_int_equal(freed, 1);
	loop_destroy(&loop);
	snap_domain_destroy(&held.domain);
}

/* ---- memory ---- */

static bool fail_at(void *arg, uint64_t number)
{
	return number >= *(uint64_t *)arg;
}

static void test_create_without_memory(void **state)
{
	struct loop_options options = {.env = env_real()};
	uint64_t number = mem_count() + 1;
	struct loop *loop;

	(void)state;
	mem_hook_set(fail_at, &number);
	assert_int_equal(loop_create(&options, &loop), ERR_MEMORY);
	mem_hook_set(NULL, NULL);
	assert_null(loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_timers),
		cmocka_unit_test(test_timer_greedy),
		cmocka_unit_test(test_timer_ends_wait),
		cmocka_unit_test(test_tasks),
		cmocka_unit_test(test_notes),
		cmocka_unit_test(test_note_wakes),
		cmocka_unit_test(test_note_own),
		cmocka_unit_test(test_watch),
		cmocka_unit_test(test_watch_closes_other),
		cmocka_unit_test(test_snap_reader),
		cmocka_unit_test(test_snap_holds),
		cmocka_unit_test(test_create_without_memory),
	};
	return cmocka_run_group_tests_name("loop", tests, NULL, NULL);
}
