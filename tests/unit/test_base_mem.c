/* Memory, arenas, growing bytes, borrowed text and shared frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/frame.h"
#include "base/mem.h"
#include "base/thread.h"

struct fail_plan {
	uint64_t at; /* 0: none */
	uint64_t from; /* every one from here on; 0: none */
};

static struct fail_plan plan;

static bool fail_planned(void *arg, uint64_t number)
{
	const struct fail_plan *p = arg;

	return number == p->at || (p->from && number >= p->from);
}

static void assert_text(struct str got, const char *wanted)
{
	assert_int_equal(got.len, strlen(wanted));
	assert_memory_equal(got.at, wanted, got.len);
}

static void mem_is_zeroed_and_counted(void **state)
{
	uint64_t before = mem_count();
	unsigned char *block = mem_alloc(1000);

	assert_non_null(block);
	for (size_t i = 0; i < 1000; i++) {
		assert_int_equal(block[i], 0);
	}
	block[999] = 7;
	block = mem_grow(block, 5000);
	assert_int_equal(block[999], 7);
	assert_int_equal(mem_count(), before + 2);
	mem_free(block);
	mem_free(NULL);
	block = mem_alloc(0);
	assert_non_null(block);
	mem_free(block);
}

static void mem_hook_fails_the_nth(void **state)
{
	void *first, *second, *third;

	plan = (struct fail_plan){.at = mem_count() + 2};
	first = mem_alloc(8);
	second = mem_alloc(8);
	third = mem_alloc(8);
	assert_non_null(first);
	assert_null(second);
	assert_non_null(third);
	plan = (struct fail_plan){.at = mem_count() + 1};
	assert_null(mem_grow(first, 100000));
	plan = (struct fail_plan){0};
	mem_free(first);
	mem_free(third);
}

static void arena_gives_aligned_zeroed_distinct_memory(void **state)
{
	struct arena arena;
	unsigned char *pieces[300];

	arena_init(&arena, 1 << 20);
	for (unsigned i = 0; i < 300; i++) {
		size_t size = 1 + i * 3;
		pieces[i] = arena_alloc(&arena, size);
		assert_non_null(pieces[i]);
		assert_int_equal((uintptr_t)pieces[i] % 16, 0);
		for (size_t j = 0; j < size; j++) {
			assert_int_equal(pieces[i][j], 0);
		}
		memset(pieces[i], (int)(i & 255), size);
	}
	for (unsigned i = 0; i < 300; i++) {
		for (size_t j = 0; j < 1 + i * 3; j++) {
			assert_int_equal(pieces[i][j], i & 255);
		}
	}
	assert_true(arena.used_bytes <= 1 << 20);
	arena_fini(&arena);
	assert_int_equal(arena.used_bytes, 0);
	assert_non_null(arena_alloc(&arena, 10));
	arena_fini(&arena);
}

static void arena_is_cleared_for_the_next_use(void **state)
{
	struct arena arena;

	arena_init(&arena, 1 << 20);
	for (int round = 0; round < 3; round++) {
		uint64_t before = mem_count();
		char *small = arena_alloc(&arena, 3000);
		assert_int_equal(mem_count() - before, round == 0 ? 1 : 0);
		for (int i = 0; i < 3000; i++) {
			assert_int_equal(small[i], 0);
		}
		memset(small, 0xff, 3000);
		assert_non_null(arena_alloc(&arena, 20000));
		assert_non_null(arena_alloc(&arena, 5000));
		arena_reset(&arena, ARENA_BLOCK_FIRST);
		assert_int_equal(arena.used_bytes, 4096);
	}
	arena_fini(&arena);
	arena_reset(&arena, ARENA_BLOCK_FIRST);
	assert_int_equal(arena.used_bytes, 0);
}

static void arena_keeps_its_cap(void **state)
{
	struct arena arena;
	size_t given = 0;

	arena_init(&arena, 100000);
	assert_null(arena_alloc(&arena, 100001));
	assert_null(arena_alloc(&arena, SIZE_MAX));
	assert_null(arena_alloc(&arena, SIZE_MAX - 40));
	assert_non_null(arena_alloc(&arena, 50000));
	while (arena_alloc(&arena, 160)) {
		given += 160;
		assert_true(arena.used_bytes <= 100000);
	}
	assert_true(given > 40000);
	assert_true(given <= 50000);
	arena_fini(&arena);
	arena_init(&arena, 8);
	assert_null(arena_alloc(&arena, 1));
	arena_fini(&arena);
}

static void arena_big_thing_does_not_waste_the_open_block(void **state)
{
	struct arena arena;
	char *first, *second;

	arena_init(&arena, 1 << 20);
	first = arena_alloc(&arena, 16);
	assert_non_null(arena_alloc(&arena, 200000));
	second = arena_alloc(&arena, 16);
	assert_ptr_equal(second, first + 16);
	arena_fini(&arena);
}

static void arena_reset_keeps_a_block_and_zeroes_it(void **state)
{
	struct arena arena;
	uint64_t made;

	arena_init(&arena, 1 << 20);
	for (unsigned round = 0; round < 5; round++) {
		for (unsigned i = 0; i < 100; i++) {
			unsigned char *at = arena_alloc(&arena, 200);
			assert_non_null(at);
			for (unsigned j = 0; j < 200; j++) {
				assert_int_equal(at[j], 0);
			}
			memset(at, 0xff, 200);
		}
		assert_non_null(arena_alloc(&arena, 100000));
		arena_reset(&arena, ARENA_BLOCK_MAX);
		assert_true(arena.used_bytes <= 65536);
	}
	made = mem_count();
	assert_non_null(arena_alloc(&arena, 100));
	assert_int_equal(mem_count(), made);
	arena_fini(&arena);
	arena_reset(&arena, ARENA_BLOCK_MAX);
	assert_int_equal(arena.used_bytes, 0);
}

static void arena_copies_and_formats(void **state)
{
	static const char long_text[40000];
	struct arena arena;
	struct str text;

	arena_init(&arena, 1 << 16);
	text = arena_copy(&arena, STR("hello"));
	assert_text(text, "hello");
	assert_int_equal(text.at[5], 0);
	text = arena_copy(&arena, STR_NONE);
	assert_non_null(text.at);
	assert_int_equal(text.len, 0);
	text = arena_format(&arena, "%d-%s", 42, "x");
	assert_text(text, "42-x");
	assert_int_equal(text.at[4], 0);
	assert_null(arena_format(&arena, "%*d", 70000, 1).at);
	plan = (struct fail_plan){.from = 1};
	text = arena_copy(&arena, str_make(long_text, sizeof(long_text)));
	plan = (struct fail_plan){0};
	assert_null(text.at);
	arena_fini(&arena);
}

static void buf_grows_to_its_cap_and_no_further(void **state)
{
	struct buf buf;

	buf_init(&buf, 1000);
	for (unsigned i = 0; i < 100; i++) {
		buf_put(&buf, "0123456789", 10);
	}
	assert_int_equal(buf.len, 1000);
	assert_int_equal(buf_err(&buf), ERR_OK);
	buf_put(&buf, "", 0);
	assert_int_equal(buf_err(&buf), ERR_OK);
	buf_put_byte(&buf, 'x');
	assert_int_equal(buf_err(&buf), ERR_LIMIT);
	assert_int_equal(buf.len, 1000);
	buf_drop(&buf, 995);
	assert_text(buf_str(&buf), "56789");
	buf_put_byte(&buf, 'x');
	assert_text(buf_str(&buf), "56789");
	buf_clear(&buf);
	assert_int_equal(buf_err(&buf), ERR_OK);
	buf_put_str(&buf, STR("new"));
	assert_text(buf_str(&buf), "new");
	buf_fini(&buf);
}

static void buf_numbers_and_format(void **state)
{
	struct buf buf;

	buf_init(&buf, 100);
	buf_put_i64(&buf, INT64_MIN);
	buf_put_byte(&buf, ' ');
	buf_put_i64(&buf, 0);
	buf_put_byte(&buf, ' ');
	buf_put_i64(&buf, INT64_MAX);
	assert_text(buf_str(&buf), "-9223372036854775808 0 9223372036854775807");
	buf_clear(&buf);
	buf_format(&buf, "%0100d", 7);
	assert_int_equal(buf.len, 100);
	assert_int_equal(buf.at[99], '7');
	assert_int_equal(buf_err(&buf), ERR_OK);
	buf_clear(&buf);
	buf_format(&buf, "%0101d", 7);
	assert_int_equal(buf.len, 0);
	assert_int_equal(buf_err(&buf), ERR_LIMIT);
	buf_fini(&buf);
}

static void buf_reserve_and_memory_failure(void **state)
{
	struct buf buf;
	char *room;

	buf_init(&buf, SIZE_MAX);
	room = buf_reserve(&buf, 500);
	assert_non_null(room);
	memset(room, 'a', 500);
	buf.len += 500;
	assert_null(buf_reserve(&buf, SIZE_MAX));
	assert_int_equal(buf_err(&buf), ERR_LIMIT);
	buf_clear(&buf);
	buf_put_str(&buf, STR("keep"));
	plan = (struct fail_plan){.from = 1};
	room = buf_reserve(&buf, 1 << 20);
	plan = (struct fail_plan){0};
	assert_null(room);
	assert_int_equal(buf_err(&buf), ERR_LIMIT);
	assert_text(buf_str(&buf), "keep");
	buf_fini(&buf);
}

static void str_compares(void **state)
{
	assert_true(str_eq(STR_NONE, STR("")));
	assert_true(str_eq(STR("abc"), STR("abc")));
	assert_false(str_eq(STR("abc"), STR("abd")));
	assert_false(str_eq(STR("abc"), STR("ab")));
	assert_true(str_eq_case(STR("Content-Type"), STR("cONTENT-tYPE")));
	assert_false(str_eq_case(STR("a["), STR("A{")));
	assert_true(str_starts(STR("abc"), STR("ab")));
	assert_true(str_starts(STR("abc"), STR("")));
	assert_false(str_starts(STR("a"), STR("ab")));
	assert_true(str_ends(STR("abc"), STR("bc")));
	assert_false(str_ends(STR("abc"), STR("ab")));
	assert_true(str_cmp(STR("a"), STR("b")) < 0);
	assert_true(str_cmp(STR("ab"), STR("a")) > 0);
	assert_true(str_cmp(STR("a\xff"), STR("a\x01")) > 0);
	assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
}

static void str_searches_and_cuts(void **state)
{
	struct str rest = STR("a,,b"), part;

	assert_int_equal(str_find_byte(STR("hello"), 'l'), 2);
	assert_int_equal(str_find_byte(STR_NONE, 'l'), -1);
	assert_int_equal(str_find(STR("hello"), STR("lo")), 3);
	assert_int_equal(str_find(STR("hello"), STR("lol")), -1);
	assert_int_equal(str_find(STR("hello"), STR("")), 0);
	assert_text(str_trim(STR(" \t\r\nx y\n ")), "x y");
	assert_text(str_trim(STR("  ")), "");
	assert_text(str_sub(STR("hello"), 1, 3), "ell");
	assert_text(str_sub(STR("hello"), 4, 99), "o");
	assert_text(str_sub(STR("hello"), 9, 1), "");
	assert_true(str_split(&rest, ',', &part));
	assert_text(part, "a");
	assert_true(str_split(&rest, ',', &part));
	assert_text(part, "");
	assert_true(str_split(&rest, ',', &part));
	assert_text(part, "b");
	assert_false(str_split(&rest, ',', &part));
	rest = STR("a,");
	assert_true(str_split(&rest, ',', &part));
	assert_true(str_split(&rest, ',', &part));
	assert_text(part, "");
	assert_false(str_split(&rest, ',', &part));
}

static void str_reads_numbers(void **state)
{
	uint64_t u = 5;
	int64_t i = 5;

	assert_true(str_to_u64(STR("18446744073709551615"), &u));
	assert_true(u == UINT64_MAX);
	assert_false(str_to_u64(STR("18446744073709551616"), &u));
	assert_false(str_to_u64(STR("99999999999999999999999"), &u));
	assert_false(str_to_u64(STR(""), &u));
	assert_false(str_to_u64(STR("+1"), &u));
	assert_false(str_to_u64(STR("1 "), &u));
	assert_true(str_to_i64(STR("-9223372036854775808"), &i));
	assert_true(i == INT64_MIN);
	assert_true(str_to_i64(STR("9223372036854775807"), &i));
	assert_true(i == INT64_MAX);
	assert_false(str_to_i64(STR("9223372036854775808"), &i));
	assert_false(str_to_i64(STR("-9223372036854775809"), &i));
	assert_false(str_to_i64(STR("-"), &i));
	assert_false(str_to_i64(STR("--1"), &i));
	assert_true(i == INT64_MAX);
}

static void str_to_z_cuts(void **state)
{
	char out[4];

	assert_string_equal(str_to_z(STR("abcdef"), out, sizeof(out)), "abc");
	assert_string_equal(str_to_z(STR("a"), out, sizeof(out)), "a");
	assert_string_equal(str_to_z(STR_NONE, out, sizeof(out)), "");
}

#define HOLDERS 4
#define HOLDS 5000

static void hold_and_drop(void *arg)
{
	struct frame *mine = arg;

	for (unsigned i = 0; i < HOLDS; i++) {
		struct frame *again = frame_hold(mine);
		frame_drop(&again);
	}
	frame_drop(&mine);
}

static void frame_is_freed_by_the_last_of_many_threads(void **state)
{
	struct frame *frame = frame_copy(STR("shared"));
	struct thread threads[HOLDERS];

	assert_non_null(frame);
	assert_text(frame_str(frame), "shared");
	frame_hold_n(frame, HOLDERS);
	for (unsigned i = 0; i < HOLDERS; i++) {
		assert_int_equal(thread_start(&threads[i], "holder", hold_and_drop, frame), ERR_OK);
	}
	for (unsigned i = 0; i < HOLDERS; i++) {
		thread_join(&threads[i]);
	}
	assert_int_equal(atomic_load(&frame->refs), 1);
	frame_drop(&frame);
	assert_null(frame);
	frame_drop(&frame);
}

static void frame_refuses_what_it_cannot_hold(void **state)
{
	struct frame *none;

	assert_null(frame_make((size_t)UINT32_MAX + 1));
	plan = (struct fail_plan){.from = 1};
	none = frame_copy(STR("x"));
	plan = (struct fail_plan){0};
	assert_null(none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mem_is_zeroed_and_counted),
		cmocka_unit_test(mem_hook_fails_the_nth),
		cmocka_unit_test(arena_gives_aligned_zeroed_distinct_memory),
		cmocka_unit_test(arena_is_cleared_for_the_next_use),
		cmocka_unit_test(arena_keeps_its_cap),
		cmocka_unit_test(arena_big_thing_does_not_waste_the_open_block),
		cmocka_unit_test(arena_reset_keeps_a_block_and_zeroes_it),
		cmocka_unit_test(arena_copies_and_formats),
		cmocka_unit_test(buf_grows_to_its_cap_and_no_further),
		cmocka_unit_test(buf_numbers_and_format),
		cmocka_unit_test(buf_reserve_and_memory_failure),
		cmocka_unit_test(str_compares),
		cmocka_unit_test(str_searches_and_cuts),
		cmocka_unit_test(str_reads_numbers),
		cmocka_unit_test(str_to_z_cuts),
		cmocka_unit_test(frame_is_freed_by_the_last_of_many_threads),
		cmocka_unit_test(frame_refuses_what_it_cannot_hold),
	};

	mem_hook_set(fail_planned, &plan);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
