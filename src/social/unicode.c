/*
 * unicode.c - the only file that knows utf8proc, and none of its functions that allocate.
 */
#include "social/unicode.h"

#include <utf8proc.h>

#include "base/limits.h"
#include "wire/utf8.h"

/* The longest canonical decomposition of a code point, with case folding too; test_social_text looks at all of them. */
#define EXPANSION 4
#define CANONICAL (UTF8PROC_STABLE | UTF8PROC_DECOMPOSE)

#define ZWJ 0x200du
#define EMOJI_STYLE 0xfe0fu
#define KEYCAP 0x20e3u
#define BLACK_FLAG 0x1f3f4u
#define TAG_END 0xe007fu

struct range {
	uint32_t first, last;
};

struct points {
	utf8proc_int32_t at[LIMIT_FOLD_CHARS * EXPANSION];
	size_t count;
};

static bool is_in(uint32_t cp, const struct range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (cp >= ranges[i].first && cp <= ranges[i].last)
			return true;
	return false;
}

/* ---- characters ---- */

enum unicode_kind unicode_kind_of(uint32_t cp)
{
	if (cp == ' ' || (cp >= '\t' && cp <= '\r') || cp == 0x85)
		return UNICODE_SPACE;
	/* Most of most texts, without a call into the tables. */
	if (cp < 0x80)
		return (cp | 0x20) - 'a' < 26 ? UNICODE_LETTER : cp - '0' < 10 ? UNICODE_DIGIT : UNICODE_OTHER;
	const utf8proc_property_t *property = utf8proc_get_property((utf8proc_int32_t)cp);
	switch (property->category) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_NL:
		return property->ignorable ? UNICODE_OTHER : UNICODE_LETTER;
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
		return property->ignorable ? UNICODE_UNSEEN : UNICODE_MARK;
	case UTF8PROC_CATEGORY_ND:
		return UNICODE_DIGIT;
	case UTF8PROC_CATEGORY_ZS:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP:
		return UNICODE_SPACE;
	default:
		return UNICODE_OTHER;
	}
}

bool unicode_is_unspaced(uint32_t cp)
{
	static const struct range scripts[] = {
		{0x0e00, 0x0eff}, {0x1000, 0x109f}, {0x1100, 0x11ff}, {0x1780, 0x17ff}, {0x2e80, 0x2fdf}, {0x3005, 0x3007},
		{0x3021, 0x3029}, {0x3031, 0x3035}, {0x3038, 0x303c}, {0x3041, 0x318f}, {0x31a0, 0x31ff}, {0x3400, 0x4dbf},
		{0x4e00, 0x9fff}, {0xa960, 0xa97f}, {0xa9e0, 0xa9ff}, {0xaa60, 0xaa7f}, {0xac00, 0xd7ff}, {0xf900, 0xfaff},
		{0xff66, 0xffdc}, {0x1aff0, 0x1b16f}, {0x20000, 0x3ffff},
	};

	return cp >= scripts[0].first && is_in(cp, scripts, sizeof(scripts) / sizeof(scripts[0]));
}

bool unicode_takes_joiners(uint32_t cp)
{
	static const struct range scripts[] = {{0x0600, 0x08ff}, {0x0900, 0x0dff}, {0x1780, 0x18af}, {0xfb50, 0xfdff}, {0xfe70, 0xfefc}};

	return is_in(cp, scripts, sizeof(scripts) / sizeof(scripts[0]));
}

/* ---- folding ---- */

static unsigned combining_class(utf8proc_int32_t cp)
{
	return (unsigned)utf8proc_get_property(cp)->combining_class;
}

/* Appends what cp becomes under options, canonically ordered: a mark moves before those of a higher class. */
static bool put_decomposed(struct points *points, utf8proc_int32_t cp, utf8proc_option_t options)
{
	size_t cap = sizeof(points->at) / sizeof(points->at[0]);
	size_t room = cap - points->count, start = points->count;
	int unused = 0;
	utf8proc_ssize_t wrote = utf8proc_decompose_char(cp, points->at + start, (utf8proc_ssize_t)room, options, &unused);
	if (wrote < 0 || (size_t)wrote > room)
		return false;
	points->count += (size_t)wrote;
	for (size_t i = start; i < points->count; i++) {
		utf8proc_int32_t mark = points->at[i];
		unsigned class = combining_class(mark);
		size_t to = i;
		for (; class > 0 && to > 0 && combining_class(points->at[to - 1]) > class; to--)
			points->at[to] = points->at[to - 1];
		points->at[to] = mark;
	}
	return true;
}

static enum err encode(const struct points *points, struct arena *arena, struct str *out)
{
	char *bytes = arena_alloc(arena, points->count * 4 + 1);
	if (bytes == NULL)
		return ERR_LIMIT;
	size_t len = 0;
	for (size_t i = 0; i < points->count; i++)
		len += utf8_put((uint32_t)points->at[i], bytes + len);
	*out = str_make(bytes, len);
	return ERR_OK;
}

enum err unicode_fold(struct str text, struct arena *arena, struct str *out)
{
	/* Decomposed before it is folded: U+0345 folds to a letter, and has to be the last of its marks by then. */
	struct points plain, folded;
	plain.count = folded.count = 0;
	if (!utf8_valid(text))
		return ERR_INVALID;
	if (utf8_length(text) > LIMIT_FOLD_CHARS)
		return ERR_LIMIT;
	for (size_t at = 0; at < text.len;)
		if (!put_decomposed(&plain, (utf8proc_int32_t)utf8_get(text, &at), CANONICAL))
			return ERR_LIMIT;
	for (size_t i = 0; i < plain.count; i++)
		if (!put_decomposed(&folded, plain.at[i], CANONICAL | UTF8PROC_CASEFOLD))
			return ERR_LIMIT;
	utf8proc_ssize_t composed = utf8proc_normalize_utf32(
		folded.at, (utf8proc_ssize_t)folded.count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
	if (composed < 0)
		return ERR_INVALID;
	folded.count = (size_t)composed;
	return encode(&folded, arena, out);
}

/* ---- emoji ---- */

static int boundary_class(uint32_t cp)
{
	return utf8proc_get_property((utf8proc_int32_t)cp)->boundclass;
}

/* Unicode keeps these free for pictographs and gives them the property in advance; utf8proc has it for assigned ones only. */
static bool is_kept_free(uint32_t cp)
{
	static const struct range free[] = {{0x1f6d0, 0x1f6ff}, {0x1f900, 0x1faff}, {0x1fc00, 0x1fffd}};

	return is_in(cp, free, sizeof(free) / sizeof(free[0])) && utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_CN;
}

static bool is_pictograph(uint32_t cp)
{
	return boundary_class(cp) == UTF8PROC_BOUNDCLASS_EXTENDED_PICTOGRAPHIC || is_kept_free(cp);
}

static bool is_skin_tone(uint32_t cp)
{
	return cp >= 0x1f3fb && cp <= 0x1f3ff;
}

static bool is_tag(uint32_t cp)
{
	return (cp >= 0xe0030 && cp <= 0xe0039) || (cp >= 0xe0061 && cp <= 0xe007a);
}

/* The code point at *at, 0 at the end; *at stays. */
static uint32_t peek(struct str text, size_t at)
{
	return at < text.len ? utf8_get(text, &at) : 0;
}

static bool take(struct str text, size_t *at, uint32_t cp)
{
	if (*at >= text.len || peek(text, *at) != cp)
		return false;
	utf8_get(text, at);
	return true;
}

/* The black flag and the name of a region in tags: 3 to 6 of them, and their end. */
static bool take_tags(struct str text, size_t *at)
{
	size_t count = 0;
	while (is_tag(peek(text, *at))) {
		utf8_get(text, at);
		count++;
	}
	return count >= 3 && count <= 6 && take(text, at, TAG_END);
}

/* One of those that ZWJ joins. */
static bool take_element(struct str text, size_t *at)
{
	uint32_t base = peek(text, *at);
	if (!is_pictograph(base))
		return false;
	utf8_get(text, at);
	if (base == BLACK_FLAG && is_tag(peek(text, *at)))
		return take_tags(text, at);
	if (is_skin_tone(peek(text, *at))) {
		utf8_get(text, at);
		return true;
	}
	return take(text, at, EMOJI_STYLE) || base >= 0x2190;
}

static bool take_flag(struct str text, size_t *at)
{
	for (int i = 0; i < 2; i++) {
		if (boundary_class(peek(text, *at)) != UTF8PROC_BOUNDCLASS_REGIONAL_INDICATOR)
			return false;
		utf8_get(text, at);
	}
	return true;
}

static bool take_keycap(struct str text, size_t *at)
{
	uint32_t key = utf8_get(text, at);
	return ((key >= '0' && key <= '9') || key == '#' || key == '*') && take(text, at, EMOJI_STYLE) && take(text, at, KEYCAP);
}

bool unicode_is_one_emoji(struct str text)
{
	size_t at = 0;
	if (text.len == 0 || text.len > UNICODE_EMOJI_BYTES_MAX || !utf8_valid(text))
		return false;
	uint32_t first = peek(text, 0);
	if (first < 0x80)
		return take_keycap(text, &at) && at == text.len;
	if (boundary_class(first) == UTF8PROC_BOUNDCLASS_REGIONAL_INDICATOR)
		return take_flag(text, &at) && at == text.len;
	do {
		if (!take_element(text, &at))
			return false;
	} while (take(text, &at, ZWJ));
	return at == text.len;
}
