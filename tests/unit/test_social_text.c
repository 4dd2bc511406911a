/* Tags, mentions, folding, emoji, and what may be content or a name. The strings that others stumble over are named as such. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "social/text_rules.h"
#include "social/unicode.h"
#include "wire/utf8.h"

#define ARENA_BYTES (4u << 20)
#define TEXT_BYTES (1u << 20)

#define ZWNJ "\xe2\x80\x8c"
#define ZWJ "\xe2\x80\x8d"
#define VS15 "\xef\xb8\x8e"
#define VS16 "\xef\xb8\x8f"
#define KEYCAP "\xe2\x83\xa3"
#define RLO "\xe2\x80\xae"
#define PDF "\xe2\x80\xac"
#define RLM "\xe2\x80\x8f"
#define ZWSP "\xe2\x80\x8b"
#define ACUTE "\xcc\x81"

static struct arena arena;

static int set_up(void **state)
{
	arena_init(&arena, ARENA_BYTES);
	return 0;
}

static int tear_down(void **state)
{
	arena_fini(&arena);
	return 0;
}

/* ---- folding ---- */

static struct str fold(const char *text)
{
	struct str out = STR_NONE;
	assert_int_equal(unicode_fold(str_of(text), &arena, &out), ERR_OK);
	return out;
}

static void assert_text(struct str got, const char *wanted, const char *of)
{
	if (!str_eq(got, str_of(wanted)))
		fail_msg("of \"%s\": got \"%.*s\", wanted \"%s\"", of, STR_FMT(got), wanted);
}

static void fold_makes_caseless_matches_equal(void **state)
{
	static const struct {
		const char *text, *folded;
	} rows[] = {
		{"", ""},
		{"Automation", "automation"},
		{"Straße", "strasse"},
		{"STRASSE", "strasse"},
		{"ẞ", "ss"},
		{"ΣΊΣΥΦΟΣ", "σίσυφοσ"},
		{"Σίσυφος", "σίσυφοσ"},
		{"caf\xc3\xa9", "caf\xc3\xa9"},
		{"cafe" ACUTE, "caf\xc3\xa9"},
		{"CAFE" ACUTE, "caf\xc3\xa9"},
		{"\xe2\x84\xab", "\xc3\xa5"}, /* the angstrom sign */
		{"\xc4\xb0", "i\xcc\x87"},    /* I with a dot above: not i */
		{"\xc4\xb1", "\xc4\xb1"},     /* i without a dot: not i */
		{"ﬃ", "ffi"},
		{"ＡＢ１", "ａｂ１"},
		{"\xed\x95\x9c", "\xed\x95\x9c"},
		{"\xe1\x84\x92\xe1\x85\xa1\xe1\x86\xab", "\xed\x95\x9c"}, /* the same in jamo */
		{"\xe1\xbe\x82", "\xe1\xbc\x82\xce\xb9"},
		{"\xce\xb1\xcd\x85\xcc\x93\xcc\x80", "\xe1\xbc\x82\xce\xb9"}, /* the same decomposed, its marks out of order */
		{"q\xcc\x87\xcc\xa3", "q\xcc\xa3\xcc\x87"},
		{"🙂 #", "🙂 #"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_text(fold(rows[i].text), rows[i].folded, rows[i].text);
}

static void fold_again_changes_no_code_point(void **state)
{
	for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
		char bytes[4 * 3];
		struct str once, twice;
		if (cp >= 0xd800 && cp <= 0xdfff)
			continue;
		/* Between a letter and a mark, so that it may be composed with either. */
		size_t len = utf8_put('a', bytes);
		len += utf8_put(cp, bytes + len);
		len += utf8_put(0x301, bytes + len);
		assert_int_equal(unicode_fold(str_make(bytes, len), &arena, &once), ERR_OK);
		assert_true(utf8_valid(once) && utf8_length(once) <= 6);
		assert_int_equal(unicode_fold(once, &arena, &twice), ERR_OK);
		assert_true(str_eq(once, twice));
		arena_reset(&arena, ARENA_BLOCK_MAX);
	}
}

static struct str repeated(struct buf *buf, const char *head, const char *text, size_t times)
{
	buf_clear(buf);
	buf_put_str(buf, str_of(head));
	for (size_t i = 0; i < times; i++)
		buf_put_str(buf, str_of(text));
	assert_int_equal(buf_err(buf), ERR_OK);
	return buf_str(buf);
}

static void fold_is_bounded(void **state)
{
	struct buf buf;
	struct str out;
	buf_init(&buf, TEXT_BYTES);
	/* The most that a text may become: four code points for one. */
	assert_int_equal(unicode_fold(repeated(&buf, "", "\xe1\xbe\x82", LIMIT_FOLD_CHARS), &arena, &out), ERR_OK);
	assert_int_equal(utf8_length(out), 2 * LIMIT_FOLD_CHARS);
	assert_int_equal(unicode_fold(repeated(&buf, "", "\xce\x90", LIMIT_FOLD_CHARS), &arena, &out), ERR_OK);
	assert_int_equal(unicode_fold(repeated(&buf, "", "a", LIMIT_FOLD_CHARS + 1), &arena, &out), ERR_LIMIT);
	assert_int_equal(unicode_fold(repeated(&buf, "a", ACUTE, 10000), &arena, &out), ERR_LIMIT);
	assert_int_equal(unicode_fold(STR("a\xff"), &arena, &out), ERR_INVALID);
	buf_fini(&buf);
}

/* ---- emoji ---- */

static void one_emoji_is_one(void **state)
{
	static const char *const emoji[] = {
		"👍", "👍🏽", "❤", "❤" VS16, "☀" VS16, "🙂", "🫠",
		"👨" ZWJ "👩" ZWJ "👧" ZWJ "👦", "👩🏽" ZWJ "🚀", "❤" VS16 ZWJ "🔥", "🏳" VS16 ZWJ "🌈", "🧑🏿" ZWJ "🤝" ZWJ "🧑🏻",
		"👩🏽" ZWJ "❤" VS16 ZWJ "💋" ZWJ "👨🏿",
		"🇩🇪", "🇹🇷", "1" VS16 KEYCAP, "#" VS16 KEYCAP, "*" VS16 KEYCAP,
		"🏴", "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
		"©" VS16, "™" VS16, "\xf0\x9f\xab\xa9", /* U+1FAE9, of Unicode 16 */
	};

	for (size_t i = 0; i < sizeof(emoji) / sizeof(emoji[0]); i++)
		if (!unicode_is_one_emoji(str_of(emoji[i])))
			fail_msg("\"%s\" is one emoji", emoji[i]);
}

static void anything_else_is_none(void **state)
{
	static const char *const texts[] = {
		"", "a", "1", "#", "*", " ", "ß", "ب", "漢", "한", "+1", ":smile:", "<script>",
		"👍👍", "👍 ", " 👍", "a👍", "👍a", "👍" ACUTE, "👍" VS15, "👍" VS16 VS16, "👍" KEYCAP,
		ZWJ, VS16, "👍" ZWJ, ZWJ "👍", "👍" ZWJ "a", "👍" ZWJ ZWJ "👍", "👍" ZWJ "🇩🇪",
		"🇩", "🇩🇪🇫", "🇩🇪🇫🇷", "🇩a", "🏽", "👍🏽🏽", "1" VS16, "1" KEYCAP, "a" VS16 KEYCAP, "1" VS16 KEYCAP "1",
		"🏴\U000e0067\U000e0062\U000e0065", "🏴\U000e0067\U000e007f", "👍\U000e0067\U000e0062\U000e0065\U000e007f",
		"🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e0067\U000e0067\U000e007f",
		"©", "®", "™", "‼", "ℹ", "→", "€", "\xff", "\xf0\x9f\x91", "👍\xff", RLO "👍" PDF,
		"👩" ZWJ "👩" ZWJ "👩" ZWJ "👩" ZWJ "👩" ZWJ "👩" ZWJ "👩" ZWJ "👩" ZWJ "👩" ZWJ "👩",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		if (unicode_is_one_emoji(str_of(texts[i])))
			fail_msg("\"%s\" is not one emoji", texts[i]);
	assert_false(unicode_is_one_emoji(STR_NONE));
	assert_false(unicode_is_one_emoji(STR("👍\0")));
}

/* ---- tags and mentions ---- */

static struct str joined(const struct str *list, size_t count)
{
	struct str all = STR("");
	for (size_t i = 0; i < count; i++)
		all = arena_format(&arena, "%.*s%s%.*s", STR_FMT(all), i > 0 ? " " : "", STR_FMT(list[i]));
	return all;
}

struct row {
	const char *text, *marks;
};

static void assert_tags(const struct row *rows, size_t count)
{
	struct text_marks marks;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(text_scan(str_of(rows[i].text), &arena, &marks), ERR_OK);
		assert_text(joined(marks.hashtags, marks.hashtag_count), rows[i].marks, rows[i].text);
	}
}

static void assert_mentions(const struct row *rows, size_t count)
{
	struct text_marks marks;
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(text_scan(str_of(rows[i].text), &arena, &marks), ERR_OK);
		assert_text(joined(marks.mentions, marks.mention_count), rows[i].marks, rows[i].text);
	}
}

static void tags_are_found(void **state)
{
	static const struct row rows[] = {
		{"", ""},
		{"#", ""},
		{"no tag", ""},
		{"Done #Automation with #W3C_x!", "#automation #w3c_x"},
		{"(#a) \"#b\" -#c .#d,#e\n#f\t#g", "#a #b #c #d #e #f #g"},
		{"Done.#automation", "#automation"},
		{"#b #a #B #b", "#b #a"},
		{"#one#two##three", "#one #two"},
		{"##a a#b C# C#sharp &#39; &#x27; _#c é#d", ""},
		{"#2024 #٢٠٢٤ #_ #_1 #1st #_a", "#1st #_a"},
		{"#a-b #a.b #c'd", "#a #c"},
		{"# a #!a #" ACUTE "a", ""},
		{"@bob#tag @#x", ""},
	};

	assert_tags(rows, sizeof(rows) / sizeof(rows[0]));
}

static void tags_are_not_found_in_urls(void **state)
{
	static const struct row rows[] = {
		{"https://x.example/#frag https://x.example/?q=(#frag) #t", "#t"},
		{"HTTPS://x.example/a,#frag", ""},
		{"www.x.example?#frag WWW.x.example,#frag", ""},
		{"<https://x.example>#t", "#t"},
		{"\"https://x.example\",#t", "#t"},
		{"https://x.example、#t", "#t"},
		{"https://x.example/東京,#history", ""},
		{"x.example/#route a/#b", ""},
		{"://#t :#u", "#u"},
		{"awww.#t", "#t"},
	};

	assert_tags(rows, sizeof(rows) / sizeof(rows[0]));
}

static void tags_of_any_script(void **state)
{
	static const struct row rows[] = {
		{"#Straße #STRASSE", "#strasse"},
		{"#ΣΊΣΥΦΟΣ #Σίσυφος", "#σίσυφοσ"},
		{"#caf\xc3\xa9 #CAFE" ACUTE, "#caf\xc3\xa9"},
		{"#\xc4\xb0stanbul #istanbul #\xc4\xb1stanbul", "#i\xcc\x87stanbul #istanbul #\xc4\xb1stanbul"},
		{"＃全角 #全角", "#全角"},
		{"今日は#自動化です。次は#タグ、終", "#自動化です #タグ"},
		{"#标签#内容#", "#标签 #内容"},
		{"#二〇二四 #々", "#二〇二四 #々"},
		{"#コーヒー #コーヒー", "#コーヒー"},
		{"#\xe3\x82\xac #\xe3\x82\xab\xe3\x82\x99", "#\xe3\x82\xac"}, /* composed and not */
		{"\xe3\x82\xab\xe3\x82\x99#t", "#t"},
		{"오늘은#자동화", "#자동화"},
		{"#ประเทศไทย ที่#น้ำ", "#ประเทศไทย #น้ำ"},
		{"#العربية #שלום " RLM "#קוד" RLM "!", "#العربية #שלום #קוד"},
		{"#मराठी #क\xe0\xa5\x8d" ZWJ "ष #क\xe0\xa5\x8dष", "#मराठी #क\xe0\xa5\x8d" ZWJ "ष #क\xe0\xa5\x8dष"},
		{"#می" ZWNJ "خواهم #می" ZWNJ ZWNJ "خواهم", "#می" ZWNJ "خواهم"},
		{"#葛\U000e0100飾 #葛飾", "#葛飾"},
	};

	assert_tags(rows, sizeof(rows) / sizeof(rows[0]));
}

static void tags_of_naughty_strings(void **state)
{
	static const struct row rows[] = {
		{"#" ZWJ "a #" VS16 "a #" RLO "a #" ZWSP "a", ""},
		{"#auto" ZWJ "mation #automation" ZWJ " #auto" VS16 "mation", "#automation"},
		{"#a" ZWJ ZWJ "#b a" ZWJ "#c", "#a #b"},
		{"#می" ZWNJ " #می" ZWNJ "", "#می"},
		{"#ab" RLO "cd" PDF, "#ab"},
		{"#I❤" VS16 "NY #hello👋 👋#sun ☀" VS16 "#moon #👋", "#i #hello #sun #moon"},
		{"#" VS16 KEYCAP " 1" VS16 KEYCAP "#key #x" KEYCAP, "#key #x"},
		{"#\xe3\x85\xa4 #\xe1\x85\x9f #a\xe3\x85\xa4", "#a"}, /* Hangul fillers: letters that nobody sees */
		{"\xe2\x89\xa0#a =\xcc\xb8#b", "#a #b"},
	};

	assert_tags(rows, sizeof(rows) / sizeof(rows[0]));
}

/* How many tags "#" head, then n times text, gives: 0 or 1. */
static size_t tags_of(struct buf *buf, const char *head, const char *text, size_t times, struct text_marks *marks)
{
	assert_int_equal(text_scan(repeated(buf, head, text, times), &arena, marks), ERR_OK);
	return marks->hashtag_count;
}

static void tags_have_a_length(void **state)
{
	struct text_marks marks;
	struct buf buf;
	buf_init(&buf, TEXT_BYTES);
	assert_int_equal(tags_of(&buf, "#", "a", 64, &marks), 1);
	assert_int_equal(marks.hashtags[0].len, 65);
	assert_int_equal(tags_of(&buf, "#", "a", 65, &marks), 0);
	assert_int_equal(tags_of(&buf, "#", "漢", 64, &marks), 1);
	assert_int_equal(tags_of(&buf, "#", "漢", 65, &marks), 0);
	/* What counts is the folded form: longer here, and shorter there. */
	assert_int_equal(tags_of(&buf, "#", "ß", 32, &marks), 1);
	assert_int_equal(tags_of(&buf, "#", "ß", 33, &marks), 0);
	assert_int_equal(tags_of(&buf, "#", "e\xcc\xa3\xcc\x82", 64, &marks), 1);
	assert_int_equal(utf8_length(marks.hashtags[0]), 65);
	assert_int_equal(tags_of(&buf, "#", "e\xcc\xa3\xcc\x82", 65, &marks), 0);
	assert_int_equal(tags_of(&buf, "#a", ACUTE, 10000, &marks), 0);
	assert_int_equal(tags_of(&buf, "#a", ZWJ, 10000, &marks), 1);
	assert_text(marks.hashtags[0], "#a", "joiners");
	assert_int_equal(tags_of(&buf, "", "#", 10000, &marks), 0);
	assert_int_equal(tags_of(&buf, "", "#a", 10000, &marks), 1);
	buf_fini(&buf);
}

static void marks_are_counted(void **state)
{
	struct text_marks marks;
	struct buf buf;
	buf_init(&buf, TEXT_BYTES);
	for (int i = 0; i < 100; i++)
		buf_format(&buf, "#t%d @m%d ", i, i);
	assert_int_equal(text_scan(buf_str(&buf), &arena, &marks), ERR_OK);
	assert_int_equal(marks.hashtag_count, LIMIT_POST_HASHTAGS);
	assert_int_equal(marks.mention_count, LIMIT_POST_MENTIONS);
	assert_text(marks.hashtags[LIMIT_POST_HASHTAGS - 1], "#t29", "100 tags");
	assert_text(marks.mentions[LIMIT_POST_MENTIONS - 1], "m49", "100 mentions");
	assert_int_equal(text_scan(STR("#a \xc3"), &arena, &marks), ERR_INVALID);
	assert_int_equal(marks.hashtag_count, 0);
	assert_int_equal(text_scan(STR_NONE, &arena, &marks), ERR_OK);
	buf_fini(&buf);
}

static void mentions_are_found(void **state)
{
	static const struct row rows[] = {
		{"@", ""},
		{"@bob", "bob"},
		{"Hi @Bob, (@ann-b) .@c_1 -@d\n@E @bob @BOB", "bob ann-b c_1 d e"},
		{"@bob's @eve. @_x_ @-- @_", "bob eve _x_"},
		{"a@b.example bob.c+d@example.org x-@y é@z 1@w", ""},
		{"@ann@example.org @@bob &@c", ""},
		{"https://x.example/@bob x.example/@bob www.x.example,@c", ""},
		{"@bobé @bobe" ACUTE " @bobя", ""},
		{"@bobさん 你好@ann，@eve님", "bob ann eve"},
		{"👋@bob🙂 @ann" ZWSP, "bob ann"},
		{"@\xd0\xb0nn @" RLO "bob ＠bob", ""}, /* a Cyrillic letter; an override; a full-width sign */
		{"#t@bob", ""},
	};
	struct text_marks marks;
	struct buf buf;

	assert_mentions(rows, sizeof(rows) / sizeof(rows[0]));
	buf_init(&buf, TEXT_BYTES);
	assert_int_equal(text_scan(repeated(&buf, "@", "a", 64), &arena, &marks), ERR_OK);
	assert_int_equal(marks.mention_count, 1);
	assert_int_equal(marks.mentions[0].len, 64);
	assert_int_equal(text_scan(repeated(&buf, "@", "a", 65), &arena, &marks), ERR_OK);
	assert_int_equal(marks.mention_count, 0);
	buf_fini(&buf);
}

/* Words that meet: what is found does not depend on case or composition, and a tag scanned again gives itself. */
static void tags_do_not_depend_on_composition(void **state)
{
	static const char *const parts[][3] = {
		{"#", "#", "#"}, {"\xc3\xa9", "e" ACUTE, "\xc3\x89"}, {"ǰ", "j\xcc\x8c", "J\xcc\x8c"},
		{"\xe1\xbe\x82", "\xce\xb1\xcd\x85\xcc\x93\xcc\x80", "\xe1\xbe\x8a"},
		{"\xea\xb0\x80", "\xe1\x84\x80\xe1\x85\xa1", "\xea\xb0\x80"}, {ZWJ, ZWJ, ZWJ}, {" ", " ", " "},
		{"q\xcc\xa3\xcc\x87", "q\xcc\x87\xcc\xa3", "Q\xcc\x87\xcc\xa3"},
		{"ß", "ß", "ẞ"}, {"क\xe0\xa4\xbc", "\xe0\xa5\x98", "\xe0\xa5\x98"}, {"/", "/", "/"}, {"\xe2\x89\xa0", "=\xcc\xb8", "\xe2\x89\xa0"},
	};
	uint32_t random = 1;

	for (int round = 0; round < 20000; round++) {
		char text[3][256] = {"", "", ""};
		struct text_marks marks[3], again;
		for (int n = 0; n < 9; n++) {
			random = random * 1664525u + 1013904223u;
			size_t part = (random >> 16) % (sizeof(parts) / sizeof(parts[0]));
			for (int form = 0; form < 3; form++)
				strcat(text[form], parts[part][form]);
		}
		for (int form = 0; form < 3; form++) {
			assert_int_equal(text_scan(str_of(text[form]), &arena, &marks[form]), ERR_OK);
			assert_text(joined(marks[form].hashtags, marks[form].hashtag_count),
				joined(marks[0].hashtags, marks[0].hashtag_count).at, text[form]);
		}
		for (size_t i = 0; i < marks[0].hashtag_count; i++) {
			assert_int_equal(text_scan(marks[0].hashtags[i], &arena, &again), ERR_OK);
			assert_int_equal(again.hashtag_count, 1);
			assert_true(str_eq(again.hashtags[0], marks[0].hashtags[i]));
		}
		arena_reset(&arena, ARENA_BLOCK_MAX);
	}
}

/* ---- memory ---- */

static bool fail_at(void *arg, uint64_t number)
{
	return number == *(const uint64_t *)arg;
}

static void no_memory_is_an_error(void **state)
{
	struct text_marks marks;
	struct buf buf;
	enum err err = ERR_LIMIT;
	size_t failures = 0;
	buf_init(&buf, TEXT_BYTES);
	for (int i = 0; i < 30; i++)
		buf_format(&buf, "#%da%0*d @m%d%055d ", i, 60, 1, i, 1);
	for (uint64_t nth = 1; err != ERR_OK; nth++) {
		struct arena small;
		arena_init(&small, ARENA_BYTES);
		uint64_t number = mem_count() + nth;
		mem_hook_set(fail_at, &number);
		err = text_scan(buf_str(&buf), &small, &marks);
		mem_hook_set(NULL, NULL);
		assert_true(err == ERR_OK || err == ERR_LIMIT);
		failures += err != ERR_OK;
		arena_fini(&small);
	}
	assert_true(failures >= 2);
	assert_int_equal(marks.hashtag_count, 30);
	/* A full arena, too: from no room at all to enough. */
	err = ERR_LIMIT;
	for (size_t room = 0; err != ERR_OK; room += 512) {
		struct arena small;
		arena_init(&small, room);
		err = text_scan(buf_str(&buf), &small, &marks);
		assert_true(err == ERR_OK || err == ERR_LIMIT);
		arena_fini(&small);
	}
	buf_fini(&buf);
}

/* ---- checks ---- */

static bool is_content(struct str text, size_t max)
{
	const char *detail = NULL;
	enum err err = text_check_content(text, max, &detail);
	assert_true(err == ERR_OK ? detail == NULL : err == ERR_INVALID && detail != NULL);
	return err == ERR_OK;
}

static void content_is_checked(void **state)
{
	struct buf buf;
	buf_init(&buf, TEXT_BYTES);
	assert_true(is_content(STR("a"), 1));
	assert_true(is_content(repeated(&buf, "", "👍", 10000), 10000));
	assert_false(is_content(repeated(&buf, "", "👍", 10001), 10000));
	assert_true(is_content(repeated(&buf, "a", ACUTE, 9999), 10000));
	assert_true(is_content(STR("a" RLO "b" PDF), 10));
	assert_true(is_content(STR("a\nb\t\x01"), 10));
	assert_false(is_content(STR("a\0b"), 10));
	assert_false(is_content(STR("a\xed\xa0\x80"), 10));
	assert_false(is_content(STR(""), 10));
	assert_false(is_content(STR_NONE, 10));
	assert_false(is_content(STR(" \t\r\n\xc2\xa0\xe3\x80\x80"), 10));
	assert_false(is_content(STR(ZWJ ZWSP RLO VS16), 10));
	buf_fini(&buf);
}

static const char *name_of(struct str text)
{
	const char *detail = NULL;
	struct str name;
	enum err err = text_check_name(text, &name, &detail);
	assert_true(err == ERR_OK ? detail == NULL : err == ERR_INVALID && detail != NULL);
	return err == ERR_OK ? arena_copy(&arena, name).at : NULL;
}

static void names_are_checked(void **state)
{
	struct buf buf;
	buf_init(&buf, TEXT_BYTES);
	assert_string_equal(name_of(STR("Team")), "Team");
	assert_string_equal(name_of(STR(" \xe3\x80\x80 Team  A\xc2\xa0\n")), "Team  A");
	assert_string_equal(name_of(STR("क्" ZWJ "ष 👍")), "क्" ZWJ "ष 👍");
	assert_non_null(name_of(repeated(&buf, " ", "漢", 200)));
	assert_null(name_of(repeated(&buf, "", "漢", 201)));
	assert_null(name_of(STR("")));
	assert_null(name_of(STR(" \xe3\x80\x80")));
	assert_null(name_of(STR(ZWJ)));
	assert_null(name_of(STR("a" RLO "b")));
	assert_null(name_of(STR("a\nb")));
	assert_null(name_of(STR("a\0b")));
	assert_null(name_of(STR("a\xe2\x80\xa8" "b")));
	assert_null(name_of(STR("a\xff")));
	buf_fini(&buf);
}

static void characters_have_kinds(void **state)
{
	static const struct {
		uint32_t cp;
		enum unicode_kind kind;
	} rows[] = {
		{'a', UNICODE_LETTER}, {'1', UNICODE_DIGIT}, {'_', UNICODE_OTHER}, {' ', UNICODE_SPACE}, {'\n', UNICODE_SPACE}, {0, UNICODE_OTHER},
		{0xa0, UNICODE_SPACE}, {0x2028, UNICODE_SPACE}, {0x301, UNICODE_MARK}, {0x903, UNICODE_MARK}, {0x20e3, UNICODE_OTHER},
		{0xfe0f, UNICODE_UNSEEN}, {0x34f, UNICODE_UNSEEN}, {0x200d, UNICODE_OTHER}, {0x202e, UNICODE_OTHER}, {0x3164, UNICODE_OTHER},
		{0x3007, UNICODE_LETTER}, {0x661, UNICODE_DIGIT}, {0x1f44d, UNICODE_OTHER}, {0xd800, UNICODE_OTHER}, {0x10ffff, UNICODE_OTHER},
		{0x110000, UNICODE_OTHER},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(unicode_kind_of(rows[i].cp), rows[i].kind);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_have_kinds),
		cmocka_unit_test(fold_makes_caseless_matches_equal),
		cmocka_unit_test(fold_again_changes_no_code_point),
		cmocka_unit_test(fold_is_bounded),
		cmocka_unit_test(one_emoji_is_one),
		cmocka_unit_test(anything_else_is_none),
		cmocka_unit_test(tags_are_found),
		cmocka_unit_test(tags_are_not_found_in_urls),
		cmocka_unit_test(tags_of_any_script),
		cmocka_unit_test(tags_of_naughty_strings),
		cmocka_unit_test(tags_have_a_length),
		cmocka_unit_test(marks_are_counted),
		cmocka_unit_test(mentions_are_found),
		cmocka_unit_test(tags_do_not_depend_on_composition),
		cmocka_unit_test(no_memory_is_an_error),
		cmocka_unit_test(content_is_checked),
		cmocka_unit_test(names_are_checked),
	};

	return cmocka_run_group_tests_name("social_text", tests, set_up, tear_down);
}
