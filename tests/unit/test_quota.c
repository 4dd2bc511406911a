/* test_quota.c - counts of what principals have, and what becomes of them when transactions are undone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "command/quota.h"

/* What the store would count. */
static int64_t rows;
static int asked;

static enum err count_rows(struct db *db, int64_t principal, int64_t limit, int64_t *count)
{
	asked++;
	*count = rows < limit ? rows : limit;
	return principal != 13 ? ERR_OK : ERR_IO;
}

static struct quota *make(int64_t agents, int64_t sessions, int64_t tokens)
{
	const int64_t most[QUOTA_KINDS] = {agents, sessions, tokens};
	struct quota *quota;
	assert_int_equal(quota_create(most, &quota), ERR_OK);
	rows = 0;
	asked = 0;
	return quota;
}

static enum err take(struct quota *quota, enum quota_kind kind, int64_t principal)
{
	enum err err = quota_take(quota, NULL, kind, principal, count_rows);
	rows += err == ERR_OK;
	return err;
}

static void each_kind_has_its_own_limit(void **state)
{
	struct quota *quota = make(1, 2, 3);
	static const enum err refusals[] = {ERR_AGENT_QUOTA, ERR_SESSION_QUOTA, ERR_TOKEN_QUOTA};
	for (int kind = 0; kind < QUOTA_KINDS; kind++) {
		rows = 0;
		for (int i = 0; i <= kind; i++) {
			assert_int_equal(take(quota, (enum quota_kind)kind, 7), ERR_OK);
		}
		assert_int_equal(take(quota, (enum quota_kind)kind, 7), refusals[kind]);
	}
	quota_destroy(&quota);
	quota = make(0, 0, 0);
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_OK);
	}
	assert_int_equal(asked, 0);
	quota_destroy(&quota);
	assert_int_equal(quota_take(NULL, NULL, QUOTA_TOKENS, 7, count_rows), ERR_OK);
	quota_give(NULL, QUOTA_TOKENS, 7);
}

static void rows_are_counted_once(void **state)
{
	struct quota *quota = make(10, 10, 10);
	rows = 8;
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_OK);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_OK);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_SESSION_QUOTA);
	assert_int_equal(asked, 1);
	rows = 0;
	assert_int_equal(take(quota, QUOTA_SESSIONS, 8), ERR_OK);
	assert_int_equal(asked, 2);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 13), ERR_IO);
	quota_destroy(&quota);
}

static void what_is_given_back_can_be_taken_again(void **state)
{
	struct quota *quota = make(10, 10, 2);
	assert_int_equal(take(quota, QUOTA_TOKENS, 7), ERR_OK);
	assert_int_equal(take(quota, QUOTA_TOKENS, 7), ERR_OK);
	quota_give(quota, QUOTA_TOKENS, 7);
	rows--;
	assert_int_equal(take(quota, QUOTA_TOKENS, 7), ERR_OK);
	assert_int_equal(take(quota, QUOTA_TOKENS, 7), ERR_TOKEN_QUOTA);
	/* More than allowed, as after a limit was lowered: one that goes makes no room yet. */
	rows = 5;
	quota_give(quota, QUOTA_TOKENS, 7);
	rows--;
	assert_int_equal(take(quota, QUOTA_TOKENS, 7), ERR_TOKEN_QUOTA);
	rows = 1;
	quota_give(quota, QUOTA_TOKENS, 7);
	assert_int_equal(take(quota, QUOTA_TOKENS, 7), ERR_OK);
	quota_give(quota, QUOTA_TOKENS, 99);
	quota_destroy(&quota);
}

static void an_undone_transaction_leaves_no_count_behind(void **state)
{
	struct quota *quota = make(10, 2, 10);
	struct command_overlay overlay = quota_overlay(quota);
	size_t begin = overlay.mark(overlay.ctx);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_OK);
	size_t job = overlay.mark(overlay.ctx);
	assert_int_not_equal(begin, job);
	/* A job that took nothing takes nothing away. */
	overlay.undo_to(overlay.ctx, job);
	assert_int_equal(asked, 1);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_OK);
	assert_int_equal(asked, 1);
	overlay.undo_to(overlay.ctx, job);
	rows = 1;
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_OK);
	assert_int_equal(asked, 2);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_SESSION_QUOTA);
	overlay.committed(overlay.ctx);
	assert_int_equal(overlay.mark(overlay.ctx), begin);
	assert_int_equal(take(quota, QUOTA_SESSIONS, 7), ERR_SESSION_QUOTA);
	assert_int_equal(asked, 2);
	quota_destroy(&quota);
}

static void a_table_that_is_full_begins_anew(void **state)
{
	struct quota *quota = make(10, 1, 10);
	for (int64_t principal = 100; principal < 100 + LIMIT_QUOTA_COUNTS + 10; principal++) {
		rows = 0;
		assert_int_equal(take(quota, QUOTA_SESSIONS, principal), ERR_OK);
		rows = 1;
		assert_int_equal(take(quota, QUOTA_SESSIONS, principal), ERR_SESSION_QUOTA);
	}
	quota_destroy(&quota);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_kind_has_its_own_limit),
		cmocka_unit_test(rows_are_counted_once),
		cmocka_unit_test(what_is_given_back_can_be_taken_again),
		cmocka_unit_test(an_undone_transaction_leaves_no_count_behind),
		cmocka_unit_test(a_table_that_is_full_begins_anew),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
