/*
 * fuzz_social_text.c - marks of any text are valid, and a tag scanned again gives itself; folding twice is folding once; an emoji is
 * one cluster.
 */
#include <utf8proc.h>

#include "base/check.h"
#include "social/text_rules.h"
#include "social/unicode.h"
#include "wire/utf8.h"

#define ARENA_BYTES (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fold(struct arena *arena, struct str text)
{
	struct str once, twice;
	enum err err = unicode_fold(text, arena, &once);
	if (!utf8_valid(text))
		check(err == ERR_INVALID);
	else
		check(err == (utf8_length(text) <= LIMIT_FOLD_CHARS ? ERR_OK : ERR_LIMIT));
	if (err != ERR_OK)
		return;
	check(utf8_valid(once) && utf8_length(once) <= 4 * utf8_length(text));
	if (utf8_length(once) > LIMIT_FOLD_CHARS)
		return;
	check(unicode_fold(once, arena, &twice) == ERR_OK && str_eq(once, twice));
}

static void check_marks(struct arena *arena, struct str text)
{
	static struct text_marks marks, again;
	enum err err = text_scan(text, arena, &marks);
	check(err == (utf8_valid(text) ? ERR_OK : ERR_INVALID));
	check(marks.hashtag_count <= LIMIT_POST_HASHTAGS && marks.mention_count <= LIMIT_POST_MENTIONS);
	for (size_t i = 0; i < marks.hashtag_count; i++) {
		struct str tag = marks.hashtags[i];
		check(utf8_valid(tag) && tag.len > 1 && tag.at[0] == '#' && utf8_length(tag) <= 65);
		check(text_scan(tag, arena, &again) == ERR_OK && again.hashtag_count == 1 && str_eq(again.hashtags[0], tag));
		for (size_t j = 0; j < i; j++)
			check(!str_eq(marks.hashtags[j], tag));
	}
	for (size_t i = 0; i < marks.mention_count; i++)
		check(marks.mentions[i].len >= 1 && marks.mentions[i].len <= LIMIT_HANDLE_BYTES);
}

/* No boundary of grapheme clusters lies within an emoji. Nothing is said of one newer than utf8proc. */
static void check_emoji(struct str text)
{
	utf8proc_int32_t state = 0, before = 0;
	if (!unicode_is_one_emoji(text))
		return;
	check(text.len > 0 && text.len <= UNICODE_EMOJI_BYTES_MAX && utf8_valid(text));
	for (size_t at = 0; at < text.len;)
		if (utf8proc_category((utf8proc_int32_t)utf8_get(text, &at)) == UTF8PROC_CATEGORY_CN)
			return;
	for (size_t at = 0; at < text.len;) {
		bool is_first = at == 0;
		utf8proc_int32_t cp = (utf8proc_int32_t)utf8_get(text, &at);
		check(is_first || !utf8proc_grapheme_break_stateful(before, cp, &state));
		before = cp;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size), name;
	struct arena arena;
	const char *detail = NULL;
	arena_init(&arena, ARENA_BYTES);
	check_fold(&arena, text);
	check_marks(&arena, text);
	check_emoji(text);
	if (text_check_content(text, size, &detail) == ERR_OK)
		check(size > 0 && utf8_valid(text) && memchr(data, 0, size) == NULL);
	else
		check(detail != NULL);
	if (text_check_name(text, &name, &detail) == ERR_OK)
		check(utf8_is_name(name) && name.at >= text.at && name.at + name.len <= text.at + text.len);
	arena_fini(&arena);
	return 0;
}
