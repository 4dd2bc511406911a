/* Scopes: their words, who can have them, what is asked of a caller; every message names one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "base/caller.h"
#include "ops/socket_priv.h"

static void words_and_back(void **state)
{
	size_t count = 0;
	(void)state;
	for (enum scope scope = SCOPE_CHAT; scope < SCOPE_END; scope++, count++) {
		enum scope back = SCOPE_UNSET;
		assert_true(scope_parse(scope_word(scope), &back));
		assert_int_equal(back, scope);
		assert_true(str_eq(scope_word(scope), str_of(scope_words[count])));
		assert_true(str_find(str_of(scope_missing(scope)), scope_word(scope)) > 0);
	}
	assert_null(scope_words[count]);
	enum scope none = SCOPE_UNSET;
	assert_false(scope_parse(STR(""), &none));
	assert_false(scope_parse(STR("open"), &none));
	assert_false(scope_parse(STR("whole"), &none));
}

static void a_higher_role_has_more(void **state)
{
	(void)state;
	assert_int_equal(scope_set_of(ROLE_NONE), 0);
	for (enum role role = ROLE_VIEWER; role < ROLE_OPERATOR; role++) {
		assert_int_equal(scope_set_of(role) & ~scope_set_of(role + 1), 0);
	}
	assert_int_equal(scope_set_of(ROLE_OPERATOR), SCOPES_ALL);
	const enum scope never[] = {SCOPE_ACT_AS, SCOPE_AGENTS_WRITE, SCOPE_APPROVALS_DECIDE, SCOPE_POLICY_WRITE, SCOPE_KEYS_WRITE,
				    SCOPE_BUDGETS_WRITE, SCOPE_AUDIT_READ, SCOPE_ADMIN};
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
		assert_int_equal(scope_set_of(ROLE_AGENT) & SCOPE_BIT(never[i]), 0);
	}
}

static void what_is_asked(void **state)
{
	struct caller whole = {.principal = 1, .role = ROLE_MEMBER}, nobody = {0};
	(void)state;
	caller_widen(&whole);
	struct caller narrow = whole, acting = whole;
	narrow.scopes = SCOPE_BIT(SCOPE_CHAT);
	acting.actor = 2;
	assert_false(scope_fits(SCOPE_UNSET, &whole));
	assert_true(scope_fits(SCOPE_OPEN, &nobody));
	assert_false(scope_fits(SCOPE_SIGNED_IN, &nobody));
	assert_true(scope_fits(SCOPE_SIGNED_IN, &narrow));
	assert_true(scope_fits(SCOPE_WHOLE, &whole));
	assert_false(scope_fits(SCOPE_WHOLE, &narrow));
	assert_false(scope_fits(SCOPE_WHOLE, &acting));
	assert_true(scope_fits(SCOPE_CHAT, &narrow));
	assert_false(scope_fits(SCOPE_MESSAGES, &narrow));
}

static void an_admin_needs_the_scope(void **state)
{
	struct caller admin = {.role = ROLE_ADMIN}, member = {.role = ROLE_MEMBER, .scopes = SCOPES_ALL};
	(void)state;
	assert_false(caller_is_admin(&admin));
	caller_widen(&admin);
	assert_true(caller_is_admin(&admin));
	assert_false(caller_is_admin(&member));
}

static void every_message_names_one(void **state)
{
	(void)state;
	for (const struct socket_row *row = socket_rows; row->type != NULL; row++) {
		assert_int_not_equal(row->scope, SCOPE_UNSET);
		assert_int_equal(row->scope == SCOPE_OPEN, row->open && row->handle != NULL && strcmp(row->type, "auth.refresh") != 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_and_back), cmocka_unit_test(a_higher_role_has_more), cmocka_unit_test(what_is_asked),
		cmocka_unit_test(an_admin_needs_the_scope), cmocka_unit_test(every_message_names_one),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
