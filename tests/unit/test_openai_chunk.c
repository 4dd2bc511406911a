/* Pieces of OpenAI-compatible replies: what is taken, what is passed over, and torn code points made whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "provider/openai_chunk.h"
#include "wire/utf8.h"

#define ARENA_BYTES (4 << 20)

static struct openai_chunk parse(struct arena *arena, const char *data)
{
	struct openai_chunk chunk;

	arena_reset(arena, ARENA_BLOCK_MAX);
	assert_int_equal(openai_chunk_parse(arena, str_of(data), &chunk), ERR_OK);
	return chunk;
}

static void test_facts(void **state)
{
	struct arena arena;
	struct openai_chunk c;

	arena_init(&arena, ARENA_BYTES);
	c = parse(&arena, "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi \\u00e9\"},\"finish_reason\":null}],\"model\":\"m-1\"}");
	assert_true(str_eq(c.text, STR("Hi é")) && str_eq(c.model, STR("m-1")));
	assert_null(c.finish_reason.at);
	assert_false(c.done || c.error || c.torn || c.has_usage);
	c = parse(&arena, "{\"choices\":[{\"delta\":{},\"finish_reason\":\"length\"}]}");
	assert_true(str_eq(c.finish_reason, STR("length")) && c.text.len == 0 && c.has_choice);
	c = parse(&arena, "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9}}");
	assert_true(c.has_usage && c.tokens_in == 5 && c.tokens_out == 9 && !c.has_choice);
	assert_true(parse(&arena, "[DONE]").done);
	assert_true(parse(&arena, " [DONE] \n").done);
	assert_true(parse(&arena, "{\"error\":{\"message\":\"x\"}}").error);
	assert_true(parse(&arena, "{\"error\":\"overloaded\"}").error);
	arena_fini(&arena);
}

/* What stood around the last text is recognised only byte for byte; everything else is read anew. */
static void test_next(void **state)
{
	static const struct {
		const char *data, *text;
		bool model, finish;
	} rows[] = {
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"one\"}}]}", "one", true, false},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\" two\"}}]}", " two", false, false},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"\"}}]}", "", false, false},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"\xc3\xa9\"}}]}", "\xc3\xa9", false, false},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"a\\nb\"}}]}", "a\nb", true, false},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"three\"}}]}", "three", true, false},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"x\"},\"finish_reason\":\"stop\"}]}", "x", true, true},
		{"{\"model\":\"m\",\"choices\":[{\"delta\":{\"content\":\"y\"},\"finish_reason\":\"stop\"}]}", "y", true, true},
		{"{\"model\":\"n\",\"choices\":[{\"delta\":{\"content\":\"four\"}}]}", "four", true, false},
		{"{\"model\":\"n\",\"choices\":[{\"delta\":{\"content\":\"five\",\"role\":\"x\"}}]}", "five", true, false},
	};
	struct openai_around around = {0};
	struct openai_chunk c;
	struct arena arena;

	arena_init(&arena, ARENA_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(openai_chunk_next(&around, &arena, str_of(rows[i].data), &c), ERR_OK);
		assert_true(str_eq(c.text, str_of(rows[i].text)) && c.has_choice);
		assert_int_equal(c.model.at != NULL, rows[i].model);
		assert_int_equal(c.finish_reason.at != NULL, rows[i].finish);
	}
	/* A loose byte, and the end of the string inside the text: the same bytes around, but not the same JSON. */
	assert_int_equal(openai_chunk_next(&around, &arena, STR("{\"model\":\"n\",\"choices\":[{\"delta\":{\"content\":\"\xc3\",\"role\":\"x\"}}]}"), &c),
			 ERR_OK);
	assert_true(c.torn);
	assert_int_equal(openai_chunk_next(&around, &arena,
					   STR("{\"model\":\"n\",\"choices\":[{\"delta\":{\"content\":\"a\",\"content\":\"b\",\"role\":\"x\"}}]}"), &c),
			 ERR_MALFORMED);
	arena_fini(&arena);
}

static void test_passed_over(void **state)
{
	const char *nothing[] = {
		"{}", "{\"error\":null}", "{\"choices\":null}", "{\"choices\":{}}", "{\"choices\":[null]}", "{\"choices\":[[]]}",
		"{\"choices\":[{}]}", "{\"choices\":[{\"delta\":null}]}", "{\"choices\":[{\"delta\":{\"content\":null,\"role\":\"assistant\"}}]}",
		"{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}", "{\"choices\":[{\"delta\":{\"content\":12}}]}",
		"{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"other\"},\"finish_reason\":\"stop\"}]}",
		"{\"choices\":[],\"usage\":null}", "{\"usage\":{\"completion_tokens\":-1}}", "{\"usage\":{\"completion_tokens\":\"9\"}}",
		"{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0}]}}]}",
	};
	const char *malformed[] = {"", "{", "[]", "null", "\"x\"", "12", "DONE", "[DONE", "{\"a\":1}x", "{'a':1}", "data: {}"};
	struct openai_chunk c;
	struct arena arena;

	arena_init(&arena, ARENA_BYTES);
	for (size_t i = 0; i < sizeof(nothing) / sizeof(nothing[0]); i++) {
		c = parse(&arena, nothing[i]);
		assert_false(c.done || c.error || c.has_usage || c.text.len || c.finish_reason.at);
	}
	for (size_t i = 0; i < sizeof(malformed) / sizeof(malformed[0]); i++) {
		assert_int_equal(openai_chunk_parse(&arena, str_of(malformed[i]), &c), ERR_MALFORMED);
	}
	arena_fini(&arena);
}

static void test_whole_reply(void **state)
{
	struct openai_chunk c;
	struct arena arena;

	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(openai_reply_parse(&arena,
					    STR("{\"choices\":[{\"message\":{\"role\":\"assistant\",\"content\":\"all\"},"
						"\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}"),
					    &c),
			 ERR_OK);
	assert_true(str_eq(c.text, STR("all")) && str_eq(c.finish_reason, STR("stop")) && c.has_usage && c.has_choice);
	assert_int_equal(openai_reply_parse(&arena, STR("[DONE]"), &c), ERR_MALFORMED);
	arena_fini(&arena);
}

static void test_models(void **state)
{
	const struct {
		const char *body;
		enum err err;
	} rows[] = {
		{"{\"data\":[{\"id\":\"llama3\"}]}", ERR_OK},
		{"{\"object\":\"list\",\"data\":[{\"object\":\"model\",\"id\":\"a\",\"x\":[]}]}", ERR_OK},
		{"{\"data\":[]}", ERR_NOT_FOUND},
		{"{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}", ERR_NOT_FOUND},
		{"{\"data\":[{\"id\":\"\"}]}", ERR_NOT_FOUND},
		{"{\"data\":[{\"id\":7}]}", ERR_NOT_FOUND},
		{"{\"data\":{}}", ERR_MALFORMED},
		{"{}", ERR_MALFORMED},
		{"[]", ERR_MALFORMED},
		{"<html>", ERR_MALFORMED},
		{"", ERR_MALFORMED},
	};
	struct arena arena;
	struct str model;

	arena_init(&arena, ARENA_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(openai_models_parse(&arena, str_of(rows[i].body), &model), rows[i].err);
		assert_int_equal(model.len > 0, rows[i].err == ERR_OK);
	}
	arena_fini(&arena);
}

/* Feeds the pieces as contents of chunks; what comes out is checked piece by piece and joined. */
static void join_all(const char *const *pieces, size_t count, char *out)
{
	struct openai_joiner joiner = {{0}, 0};
	struct arena arena;
	struct str text;

	arena_init(&arena, ARENA_BYTES);
	*out = 0;
	for (size_t i = 0; i < count; i++) {
		char data[512];
		struct openai_chunk c;

		snprintf(data, sizeof(data), "{\"choices\":[{\"delta\":{\"content\":\"%s\"}}]}", pieces[i]);
		c = parse(&arena, data);
		assert_int_equal(openai_join(&joiner, &arena, c.text, c.torn, &text), ERR_OK);
		assert_true(utf8_valid(text));
		strncat(out, text.len ? text.at : "", text.len);
	}
	text = openai_join_end(&joiner);
	strncat(out, text.at, text.len);
	assert_int_equal(openai_join_end(&joiner).len, 0);
	arena_fini(&arena);
}

static void test_torn(void **state)
{
	const struct {
		const char *pieces[5];
		const char *whole;
	} rows[] = {
		{{"a", "b"}, "ab"},
		{{"\\ud83d", "\\ude00"}, "😀"},
		{{"a\\ud83d", "\\ude00z"}, "a😀z"},
		{{"\\ud83d\\ude00"}, "😀"},
		{{"\xf0\x9f", "\x98\x80"}, "😀"},
		{{"\xf0", "\x9f", "\x98", "\x80!"}, "😀!"},
		{{"caf\xc3", "\xa9"}, "café"},
		{{"\xe6\x97", "", "\xa5"}, "日"},
		{{"\\ud83d", "x"}, "\xef\xbf\xbdx"},
		{{"\\ude00x"}, "\xef\xbf\xbdx"},
		{{"\\ud83d\\ud83d\\ude00"}, "\xef\xbf\xbd😀"},
		{{"\\ud83d"}, "\xef\xbf\xbd"},
		{{"\xc3"}, "\xef\xbf\xbd"},
		{{"a\xc3"}, "a\xef\xbf\xbd"},
		{{"é\xc3"}, "é\xef\xbf\xbd"},
		{{"ab\\ud83d"}, "ab\xef\xbf\xbd"},
		{{"\xff\xfe", "a"}, "\xef\xbf\xbd\xef\xbf\xbd" "a"},
		{{"\x80\x80"}, "\xef\xbf\xbd\xef\xbf\xbd"},
		{{"\xc3", "(\xc3\xa9"}, "\xef\xbf\xbd(é"},
		{{"a\\u0000b"}, "a\xef\xbf\xbd" "b"},
		{{"\\ud83d \xc3", "\xa9 \\\" \\\\ \\n"}, "\xef\xbf\xbd é \" \\ \n"},
		{{"\xf4\x8f\x82\x80 \\ud83d", "\\ude00"}, "\xf4\x8f\x82\x80 😀"}, /* U+10F080 itself, a stand-in by chance */
		{{"\xed\xa0\xbd", "\xed\xb8\x80"}, "😀"},              /* surrogates as bytes */
	};
	char out[512];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		size_t count = 0;

		while (count < 5 && rows[i].pieces[count]) {
			count++;
		}
		join_all(rows[i].pieces, count, out);
		assert_string_equal(out, rows[i].whole);
	}
}

/* Only the open sequence is kept back, never what stands before it. */
static void test_nothing_whole_is_kept_back(void **state)
{
	struct openai_joiner joiner = {{0}, 0};
	struct openai_chunk c;
	struct arena arena;
	struct str text;

	arena_init(&arena, ARENA_BYTES);
	c = parse(&arena, "{\"choices\":[{\"delta\":{\"content\":\"aé\xe6\x97\"}}]}");
	assert_int_equal(openai_join(&joiner, &arena, c.text, c.torn, &text), ERR_OK);
	assert_true(str_eq(text, STR("aé")));
	c = parse(&arena, "{\"choices\":[{\"delta\":{\"content\":\"\xa5z\\ud83d\"}}]}");
	assert_int_equal(openai_join(&joiner, &arena, c.text, c.torn, &text), ERR_OK);
	assert_true(str_eq(text, STR("日z")));
	assert_true(str_eq(openai_join_end(&joiner), STR("\xef\xbf\xbd")));
	arena_fini(&arena);
}

/* Any text, cut at any two bytes, comes out as it was. */
static void test_cut_anywhere(void **state)
{
	const char *text = "aé日😀\xf4\x8f\xbf\xbf z";
	size_t len = strlen(text);
	char first[64], second[64], third[64], out[512];

	for (size_t a = 0; a <= len; a++) {
		for (size_t b = a; b <= len; b++) {
			snprintf(first, sizeof(first), "%.*s", (int)a, text);
			snprintf(second, sizeof(second), "%.*s", (int)(b - a), text + a);
			snprintf(third, sizeof(third), "%s", text + b);
			join_all((const char *[]){first, second, third}, 3, out);
			assert_string_equal(out, text);
		}
	}
}

static void test_no_allocation_for_each_chunk(void **state)
{
	const char *data = "{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{\"index\":0,"
			   "\"delta\":{\"content\":\" word\"},\"logprobs\":null,\"finish_reason\":null}]}";
	struct arena arena;
	uint64_t before;

	arena_init(&arena, ARENA_BYTES);
	for (int i = 0; i < 10; i++) {
		parse(&arena, data);
	}
	before = mem_count();
	for (int i = 0; i < 1000; i++) {
		parse(&arena, data);
	}
	assert_int_equal(mem_count() - before, 0);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_facts),
		cmocka_unit_test(test_next),        cmocka_unit_test(test_passed_over),
		cmocka_unit_test(test_whole_reply),  cmocka_unit_test(test_models),
		cmocka_unit_test(test_torn),         cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_nothing_whole_is_kept_back),
		cmocka_unit_test(test_no_allocation_for_each_chunk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
