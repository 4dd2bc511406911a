/* test_http_browser.c - the cookie in a Cookie header, and the CSRF token of a session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "http/http_priv.h"

static void test_find(void **state)
{
	static const struct {
		const char *header, *value;
		unsigned count;
	} rows[] = {
		{"guild_session=abc", "abc", 1},
		{"a=b; guild_session=abc", "abc", 1},
		{" guild_session=abc ;a=b", "abc", 1},
		{"guild_session=", "", 1},
		{"guild_session=a=b", "a=b", 1},
		{"guild_session=a; guild_session=b", "b", 2},
		{"", NULL, 0},
		{";;;", NULL, 0},
		{"guild_session", NULL, 0},
		{"xguild_session=abc", NULL, 0},
		{"guild_sessions=abc", NULL, 0},
		{"Guild_Session=abc", NULL, 0},
		{"a=guild_session=abc", NULL, 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str value = STR_NONE;
		assert_int_equal(http_cookie_find(str_of(rows[i].header), STR("guild_session"), &value), rows[i].count);
		assert_int_equal(value.at != NULL, rows[i].value != NULL);
		assert_true(rows[i].value == NULL || str_eq(value, str_of(rows[i].value)));
	}
	struct str none = STR_NONE;
	assert_int_equal(http_cookie_find(STR_NONE, STR("guild_session"), &none), 0);
}

/* SHA-256 of "guild csrf " and the secret, so that one page of a session says the same as another. */
static void test_csrf(void **state)
{
	char one[HTTP_CSRF_LEN + 1], same[HTTP_CSRF_LEN + 1], other[HTTP_CSRF_LEN + 1];

	(void)state;
	http_csrf_of(STR("gsess_a"), one);
	http_csrf_of(STR("gsess_a"), same);
	http_csrf_of(STR("gsess_b"), other);
	assert_string_equal(one, same);
	assert_string_not_equal(one, other);
	assert_string_equal(one, "5976849289f782fc764d2dcfcaf23e5f24412dca68858911586eae1510aa53cb");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_csrf),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
