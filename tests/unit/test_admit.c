/* test_admit.c - which waiting run is taken first, and that none waits for ever. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "execution/admit_priv.h"

#define SECOND INT64_C(1000000)

static struct admit_wait waiting(int64_t id, enum run_priority priority, int64_t since_s)
{
	return (struct admit_wait){.id = id, .priority = priority, .queued_at_us = since_s * SECOND};
}

static void half_a_minute_is_a_step(void **state)
{
	static const struct {
		enum run_priority given;
		int64_t waited_s;
		int step;
	} rows[] = {{RUN_LOW, 0, 1}, {RUN_LOW, 29, 1}, {RUN_LOW, 30, 2}, {RUN_LOW, 60, 3}, {RUN_LOW, 89, 3}, {RUN_LOW, 90, 4},
		    {RUN_LOW, 1000000, 4}, {RUN_MEDIUM, 30, 3}, {RUN_HIGH, 29, 3}, {RUN_HIGH, 30, 4}, {RUN_URGENT, 0, 4}, {RUN_URGENT, 90, 4}};
	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct admit_wait wait = waiting(1, rows[i].given, 100);
		assert_int_equal(admit_step(&wait, (100 + rows[i].waited_s) * SECOND), rows[i].step);
	}
	/* A clock that went back raises nobody and lowers nobody. */
	struct admit_wait wait = waiting(1, RUN_MEDIUM, 100);
	assert_int_equal(admit_step(&wait, 0), RUN_MEDIUM);
}

static void the_highest_step_then_the_oldest(void **state)
{
	struct admit_wait low = waiting(1, RUN_LOW, 0), high = waiting(2, RUN_HIGH, 59), later = waiting(3, RUN_HIGH, 60);
	struct admit_wait twin = waiting(4, RUN_HIGH, 59);
	(void)state;
	assert_true(admit_before(&high, &low, 59 * SECOND));
	assert_true(admit_before(&low, &high, 60 * SECOND));
	assert_true(admit_before(&high, &later, 61 * SECOND));
	assert_false(admit_before(&later, &high, 61 * SECOND));
	assert_true(admit_before(&high, &twin, 61 * SECOND));
	assert_false(admit_before(&twin, &high, 61 * SECOND));
	assert_false(admit_before(&high, &high, 61 * SECOND));
}

/* One place, a run a second; each second an urgent one more comes. Who is low is taken all the same, once he stands before those that came later. */
static void none_waits_for_ever(void **state)
{
	struct admit_wait queue[512];
	size_t count = 0;
	int64_t taken_at = 0;
	(void)state;
	queue[count++] = waiting(1, RUN_LOW, 0);
	for (int64_t now = 0; now < 400 && taken_at == 0; now++) {
		queue[count++] = waiting(1000 + now, RUN_URGENT, now);
		size_t best = 0;
		for (size_t i = 1; i < count; i++) {
			if (admit_before(&queue[i], &queue[best], now * SECOND)) {
				best = i;
			}
		}
		taken_at = queue[best].id == 1 ? now : 0;
		queue[best] = queue[--count];
	}
	assert_int_equal(taken_at, 90);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_a_minute_is_a_step),
		cmocka_unit_test(the_highest_step_then_the_oldest),
		cmocka_unit_test(none_waits_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
