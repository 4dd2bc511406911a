/* Maturity, confidence and lifecycle: words, numbers, transitions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/maturity.h"

static void test_words(void **state)
{
	static const char *const maturities[] = {"student", "Intern", "SUPERVISED", "autonomous"};
	static const char *const lifecycles[] = {"active", "PAUSED", "stopped", "Archived"};
	for (int i = 0; i < 4; i++) {
		enum maturity maturity;
		enum lifecycle lifecycle;
		assert_true(maturity_parse(str_of(maturities[i]), &maturity));
		assert_int_equal(maturity, i + 1);
		assert_true(str_eq_case(maturity_word(maturity), str_of(maturities[i])));
		assert_true(lifecycle_parse(str_of(lifecycles[i]), &lifecycle));
		assert_int_equal(lifecycle, i + 1);
		assert_true(str_eq_case(lifecycle_word(lifecycle), str_of(lifecycles[i])));
	}
	enum maturity maturity = MATURITY_INTERN;
	assert_false(maturity_parse(STR("interns"), &maturity));
	assert_false(maturity_parse(STR(""), &maturity));
	assert_int_equal(maturity, MATURITY_INTERN);
	assert_int_equal(maturity_word((enum maturity)0).len, 0);
	assert_int_equal(maturity_word((enum maturity)5).len, 0);
	assert_int_equal(lifecycle_word((enum lifecycle)5).len, 0);
}

static void test_lift_and_floor(void **state)
{
	static const int lift[] = {5000, 6000, 8000, 9500}, floor[] = {0, 4500, 6500, 8500};
	for (int m = 1; m <= 4; m++) {
		assert_int_equal(maturity_lift_e4((enum maturity)m), lift[m - 1]);
		assert_int_equal(maturity_floor_e4((enum maturity)m), floor[m - 1]);
		/* At the floor a level stays, one ten-thousandth below it goes, by one level only. */
		assert_int_equal(maturity_after((enum maturity)m, floor[m - 1]), m);
		assert_int_equal(maturity_after((enum maturity)m, 10000), m);
		if (m > 1) {
			assert_int_equal(maturity_after((enum maturity)m, floor[m - 1] - 1), m - 1);
			assert_int_equal(maturity_after((enum maturity)m, 0), m - 1);
		}
	}
	assert_int_equal(maturity_after(MATURITY_STUDENT, 0), MATURITY_STUDENT);
}

static void test_confidence(void **state)
{
	assert_int_equal(confidence_moved(5000, 100), 5100);
	assert_int_equal(confidence_moved(5000, -200), 4800);
	assert_int_equal(confidence_moved(9950, 100), 10000);
	assert_int_equal(confidence_moved(100, -200), 0);
	assert_int_equal(confidence_moved(0, -10000), 0);
	assert_int_equal(confidence_moved(10000, 2147483647), 10000);
	/* However it moves: within bounds, and never up a level. */
	int confidence = 9500;
	enum maturity maturity = MATURITY_AUTONOMOUS;
	unsigned seed = 7;
	for (int i = 0; i < 5000; i++) {
		seed = seed * 1664525u + 1013904223u;
		confidence = confidence_moved(confidence, (seed >> 16) % 2 != 0 ? 100 : -200);
		enum maturity after = maturity_after(maturity, confidence);
		assert_in_range(confidence, 0, 10000);
		assert_true(after == maturity || after + 1 == maturity);
		assert_true(after >= MATURITY_STUDENT);
		maturity = after;
	}
}

static void test_lifecycle(void **state)
{
	/* rows: from; columns: to active, paused, stopped, archived */
	static const bool may[4][4] = {{0, 1, 1, 1}, {1, 0, 1, 1}, {1, 0, 0, 1}, {0, 0, 0, 0}};
	for (int from = 1; from <= 4; from++) {
		for (int to = 1; to <= 4; to++) {
			assert_int_equal(lifecycle_may_follow((enum lifecycle)from, (enum lifecycle)to), may[from - 1][to - 1]);
		}
	}
	assert_false(lifecycle_may_follow(LIFECYCLE_ACTIVE, (enum lifecycle)5));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_words), cmocka_unit_test(test_lift_and_floor),
		cmocka_unit_test(test_confidence), cmocka_unit_test(test_lifecycle)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
