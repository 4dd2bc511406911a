/* test_execution.c - the numbered log (live and read back give the same bytes), the resolution chain, the states' table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "execution/execution_priv.h"

static struct stream_ids ids_make(void)
{
	return (struct stream_ids){STR("e"), STR("m"), STR("s"), STR("a"), STR("Agent \"A\""), STR("builtin"), STR("rules")};
}

static struct stream_end end_make(bool completed)
{
	struct stream_end end = {.completed = completed, .err = completed ? ERR_OK : ERR_PROVIDER_FAILED, .finish_reason = STR("stop")};
	memcpy(end.text_sha256, "00", 3);
	return end;
}

static struct str json_of(const struct stream_log *log, int64_t seq, struct buf *out)
{
	buf_init(out, 1 << 20);
	stream_log_json(log, seq, out);
	assert_int_equal(buf_err(out), ERR_OK);
	return buf_str(out);
}

/* AC-15: two short fragments count as two tokens. */
static void tokens_are_counted_per_delta(void **state)
{
	struct stream_log log;
	(void)state;
	stream_log_init(&log, 1000);
	assert_int_equal(stream_log_add(&log, STR("H")), ERR_OK);
	assert_int_equal(stream_log_add(&log, STR("i")), ERR_OK);
	assert_int_equal(stream_log_tokens(&log), 2);
	assert_int_equal(stream_log_add(&log, STR("12345")), ERR_OK);
	assert_int_equal(stream_log_tokens(&log), 4);
	assert_int_equal(stream_tokens(STR("\xc3\xa9\xc3\xa9\xc3\xa9\xc3\xa9")), 1);
	stream_log_fini(&log);
}

static void numbers_have_no_gap(void **state)
{
	struct stream_log log;
	(void)state;
	stream_log_init(&log, 1000);
	assert_int_equal(stream_log_seq_last(&log), 0);
	log.started = true;
	assert_int_equal(stream_log_seq_last(&log), 1);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(stream_log_add(&log, STR("ab")), ERR_OK);
		assert_int_equal(stream_log_seq_last(&log), 2 + i);
	}
	log.end = end_make(true);
	log.ended = true;
	assert_int_equal(stream_log_seq_last(&log), 7);
	assert_true(str_eq(stream_log_type(&log, 1), STR("streaming:start")));
	assert_true(str_eq(stream_log_type(&log, 6), STR("streaming:update")));
	assert_true(str_eq(stream_log_type(&log, 7), STR("streaming:complete")));
	stream_log_fini(&log);
	stream_log_init(&log, 1000);
	log.end = end_make(false);
	log.ended = true;
	assert_int_equal(stream_log_seq_last(&log), 1);
	assert_true(str_eq(stream_log_type(&log, 1), STR("streaming:error")));
	stream_log_fini(&log);
}

/* A log read back from text and lengths gives, for every number, the bytes that went out live. */
static void read_back_gives_the_same_bytes(void **state)
{
	(void)state;
	srand(7);
	for (int round = 0; round < 50; round++) {
		struct stream_log live, cold;
		struct buf lens, a, b;
		stream_log_init(&live, 1 << 20);
		stream_log_init(&cold, 1 << 20);
		live.started = cold.started = true;
		live.ids = cold.ids = ids_make();
		int deltas = rand() % 40;
		for (int i = 0; i < deltas; i++) {
			static char text[400];
			size_t len = 1 + (size_t)rand() % (i % 7 == 0 ? 399 : 9);
			memset(text, "a\"\\\n"[rand() % 4], len);
			assert_int_equal(stream_log_add(&live, str_make(text, len)), ERR_OK);
		}
		buf_init(&lens, 1 << 16);
		stream_log_lens(&live, 0, &lens);
		assert_int_equal(stream_log_restore(&cold, stream_log_text(&live, 0), buf_str(&lens)), ERR_OK);
		live.end = cold.end = end_make(true);
		live.ended = cold.ended = true;
		assert_int_equal(stream_log_seq_last(&live), stream_log_seq_last(&cold));
		for (int64_t seq = 1; seq <= stream_log_seq_last(&live); seq++) {
			assert_true(str_eq(json_of(&live, seq, &a), json_of(&cold, seq, &b)));
			buf_fini(&a);
			buf_fini(&b);
		}
		buf_fini(&lens);
		stream_log_fini(&live);
		stream_log_fini(&cold);
	}
}

static void damaged_lengths_are_refused(void **state)
{
	static const struct str bad[] = {{"\x00", 1}, {"\x05", 1}, {"\x80", 1}, {"\x02", 1}, {"\x03\x01", 2}, {"\xff\xff\xff\xff\xff\x01", 6}};
	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct stream_log log;
		stream_log_init(&log, 1000);
		assert_int_equal(stream_log_restore(&log, STR("abc"), bad[i]), ERR_CORRUPT);
		stream_log_fini(&log);
	}
}

static void the_text_has_a_cap(void **state)
{
	struct stream_log log;
	(void)state;
	stream_log_init(&log, 4);
	assert_int_equal(stream_log_add(&log, STR("abc")), ERR_OK);
	assert_int_equal(stream_log_add(&log, STR("de")), ERR_LIMIT);
	assert_true(str_eq(stream_log_text(&log, 0), STR("abc")));
	assert_int_equal(log.count, 1);
	stream_log_fini(&log);
}

static void path_is(const struct resolve_output *out, const char *expected)
{
	char text[300] = "";
	for (unsigned i = 0; i < out->path_count; i++) {
		strcat(strcat(text, i ? " " : ""), out->path[i]);
	}
	assert_string_equal(text, expected);
}

/* AC-7, AC-10: the fallback and the failure say how they came about. */
static void resolution_says_its_path(void **state)
{
	struct agent x = {.id = 1}, y = {.id = 2};
	struct resolve_output out;
	(void)state;
	resolve(&(struct resolve_input){.explicit_given = true, .by_explicit = &x, .by_system = &y}, &out);
	assert_ptr_equal(out.agent, &x);
	path_is(&out, "explicit_agent_id");
	resolve(&(struct resolve_input){.explicit_given = true, .by_system = &y}, &out);
	assert_ptr_equal(out.agent, &y);
	path_is(&out, "explicit_agent_id_not_found system_default");
	resolve(&(struct resolve_input){.explicit_given = true, .strict = true, .by_system = &y}, &out);
	assert_null(out.agent);
	path_is(&out, "explicit_agent_id_not_found resolution_failed");
	resolve(&(struct resolve_input){.session_given = true, .by_session = &x, .by_system = &y}, &out);
	path_is(&out, "session_agent");
	resolve(&(struct resolve_input){.session_given = true, .by_workspace = &x, .by_system = &y}, &out);
	assert_ptr_equal(out.agent, &x);
	path_is(&out, "no_session_agent workspace_default");
	resolve(&(struct resolve_input){.by_system = NULL}, &out);
	assert_null(out.agent);
	path_is(&out, "resolution_failed");
}

/* Every state but the first is entered from some state, ends have no way out, and all others have. */
static void the_table_of_states_is_whole(void **state)
{
	uint32_t entered = 1u << STATE_RESOLVE;
	(void)state;
	for (unsigned i = 0; i < execution_flow.state_count; i++) {
		assert_non_null(execution_flow.states[i].name);
		entered |= execution_flow.states[i].next_mask;
		assert_true((i >= STATE_DONE) == (execution_flow.states[i].next_mask == 0));
		assert_int_equal(execution_flow.states[i].next_mask & (1u << i), 0);
	}
	assert_int_equal(entered, (1u << STATE_COUNT) - 1);
}

/* The states that the public header lists are those of the table, in the same words. */
static void the_header_lists_the_states(void **state)
{
	char text[32768];
	(void)state;
	FILE *file = fopen(GUILD_SOURCE_DIR "/src/execution/execution.h", "r");
	assert_non_null(file);
	text[fread(text, 1, sizeof(text) - 1, file)] = 0;
	fclose(file);
	char *list = strstr(text, "States and what holds in each:");
	assert_non_null(list);
	*strstr(list, "*/") = 0;
	for (unsigned i = 0; i < execution_flow.state_count; i++) {
		assert_non_null(strstr(list, execution_flow.states[i].name));
	}
}

static void ends_map_to_states(void **state)
{
	(void)state;
	assert_int_equal(execution_status_of(ERR_OK), EXECUTION_COMPLETED);
	assert_int_equal(execution_status_of(ERR_CANCELLED), EXECUTION_CANCELLED);
	assert_int_equal(execution_status_of(ERR_TIMED_OUT), EXECUTION_TIMED_OUT);
	assert_int_equal(execution_status_of(ERR_PROVIDER_TIMEOUT), EXECUTION_TIMED_OUT);
	assert_int_equal(execution_status_of(ERR_INTERRUPTED), EXECUTION_INTERRUPTED);
	assert_int_equal(execution_status_of(ERR_PROVIDER_FAILED), EXECUTION_FAILED);
	assert_int_equal(execution_status_of(ERR_NO_PROVIDER), EXECUTION_FAILED);
	for (int status = 1; status <= EXECUTION_INTERRUPTED; status++) {
		int parsed = 0;
		assert_true(execution_status_parse(execution_status_word(status), &parsed));
		assert_int_equal(parsed, status);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tokens_are_counted_per_delta), cmocka_unit_test(numbers_have_no_gap),
		cmocka_unit_test(read_back_gives_the_same_bytes), cmocka_unit_test(damaged_lengths_are_refused),
		cmocka_unit_test(the_text_has_a_cap),		  cmocka_unit_test(resolution_says_its_path),
		cmocka_unit_test(the_table_of_states_is_whole),	  cmocka_unit_test(the_header_lists_the_states),
		cmocka_unit_test(ends_map_to_states),
	};
	return cmocka_run_group_tests_name("execution", tests, NULL, NULL);
}
