/*
 * text_rules.c - one pass over a text; where it stands, a few flags say whether a tag or a mention may begin.
 */
#include "social/text_rules.h"

#include "social/unicode.h"
#include "wire/utf8.h"

#define ZWNJ 0x200cu
#define ZWJ 0x200du
#define WIDE_HASH 0xff03u

enum { TAG_CHARS_MAX = 64 };

struct scan {
	struct str text;
	size_t at;
	struct arena *arena;
	struct text_marks *out;
	uint32_t before;     /* the last code point that is seen; 0 at the start */
	bool before_is_word; /* a letter, mark, digit or '_' of a script with spaces */
	bool in_address;     /* what may be the part of an e-mail address before its '@' */
	bool in_url;
	bool behind_tag;
};

static bool is_joiner(uint32_t cp)
{
	return cp == ZWNJ || cp == ZWJ;
}

static bool is_hash(uint32_t cp)
{
	return cp == '#' || cp == WIDE_HASH;
}

static bool is_one_of(uint32_t cp, const char *ascii)
{
	return cp > 0 && cp < 0x80 && strchr(ascii, (int)cp) != NULL;
}

static bool is_word_kind(uint32_t cp, enum unicode_kind kind)
{
	return cp == '_' || kind == UNICODE_LETTER || kind == UNICODE_MARK || kind == UNICODE_DIGIT;
}

static bool is_part_of_word(uint32_t cp)
{
	return is_word_kind(cp, unicode_kind_of(cp));
}

static uint32_t peek(const struct scan *scan)
{
	size_t at = scan->at;
	return at < scan->text.len ? utf8_get(scan->text, &at) : 0;
}

static bool is_listed(const struct str *list, size_t count, struct str wanted)
{
	for (size_t i = 0; i < count; i++)
		if (str_eq(list[i], wanted))
			return true;
	return false;
}

static bool ends_url(uint32_t cp, enum unicode_kind kind)
{
	if (cp < 0x80)
		return cp <= ' ' || cp == 0x7f || is_one_of(cp, "<>\"`{}|\\^");
	return kind == UNICODE_SPACE || kind == UNICODE_OTHER;
}

static bool begins_url(const struct scan *scan, uint32_t cp)
{
	if (cp == ':')
		return is_part_of_word(scan->before) && str_starts(str_sub(scan->text, scan->at, 2), STR("//"));
	return (cp == 'w' || cp == 'W') && !scan->before_is_word && str_eq_case(str_sub(scan->text, scan->at, 3), STR("ww."));
}

/* Follows the flags over a code point that begins nothing; scan->at is behind it. */
static void step(struct scan *scan, uint32_t cp)
{
	enum unicode_kind kind = unicode_kind_of(cp);
	scan->behind_tag = false;
	/* A mark belongs to what it stands on, composed with it or not. */
	if (is_joiner(cp) || kind == UNICODE_UNSEEN || kind == UNICODE_MARK)
		return;
	scan->in_url = scan->in_url ? !ends_url(cp, kind) : begins_url(scan, cp);
	bool is_word = is_word_kind(cp, kind) && !unicode_is_unspaced(cp);
	scan->in_address = is_word || (scan->in_address && is_one_of(cp, ".+-%"));
	scan->before_is_word = is_word;
	scan->before = cp;
}

/* ---- tags ---- */

/* The part of a tag that counts, while it is read: without what is not seen. */
struct tag {
	char bytes[LIMIT_FOLD_CHARS * 4 + 4];
	size_t len;
	size_t code_points;
	uint32_t joiner; /* kept when something follows it */
	bool takes_joiners;
	bool has_letter;
	bool too_long;
};

static void tag_put(struct tag *tag, uint32_t cp)
{
	if (tag->code_points == LIMIT_FOLD_CHARS) {
		tag->too_long = true;
		return;
	}
	tag->len += utf8_put(cp, tag->bytes + tag->len);
	tag->code_points++;
}

/* False when cp ends the tag. */
static bool tag_take(struct tag *tag, uint32_t cp)
{
	enum unicode_kind kind = unicode_kind_of(cp);
	if (is_joiner(cp) && tag->takes_joiners && tag->joiner == 0)
		tag->joiner = cp;
	if (is_joiner(cp) || kind == UNICODE_UNSEEN)
		return true;
	if (!is_word_kind(cp, kind))
		return false;
	if (tag->joiner != 0)
		tag_put(tag, tag->joiner);
	tag->joiner = 0;
	tag_put(tag, cp);
	if (kind != UNICODE_MARK)
		tag->takes_joiners = unicode_takes_joiners(cp);
	tag->has_letter |= kind == UNICODE_LETTER;
	return true;
}

static enum err tag_keep(struct scan *scan, const struct tag *tag)
{
	struct text_marks *out = scan->out;
	struct str folded;
	if (!tag->has_letter || tag->too_long || out->hashtag_count == LIMIT_POST_HASHTAGS)
		return ERR_OK;
	enum err err = unicode_fold(str_make(tag->bytes, tag->len), scan->arena, &folded);
	if (err != ERR_OK)
		return err;
	/* The '#' counts here too; it folds to itself. */
	if (utf8_length(folded) <= TAG_CHARS_MAX + 1 && !is_listed(out->hashtags, out->hashtag_count, folded))
		out->hashtags[out->hashtag_count++] = folded;
	return ERR_OK;
}

static bool tag_may_begin(const struct scan *scan)
{
	if (scan->in_url)
		return false;
	return scan->behind_tag || !(scan->before_is_word || is_hash(scan->before) || is_one_of(scan->before, "&/@"));
}

/* scan->at is behind the '#', and comes behind the tag; trailing joiners belong to nothing and change nothing. */
static enum err tag_read(struct scan *scan)
{
	struct tag tag;
	tag.bytes[0] = '#';
	tag.len = tag.code_points = 1;
	tag.joiner = 0;
	tag.takes_joiners = tag.has_letter = tag.too_long = false;
	enum unicode_kind first = unicode_kind_of(peek(scan));
	if (first != UNICODE_LETTER && first != UNICODE_DIGIT && peek(scan) != '_')
		return ERR_OK;
	while (scan->at < scan->text.len && tag_take(&tag, peek(scan)))
		step(scan, utf8_get(scan->text, &scan->at));
	scan->in_url = false;
	scan->behind_tag = true;
	return tag_keep(scan, &tag);
}

/* ---- mentions ---- */

static char handle_char(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (char)(c - 'A' + 'a');
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ? c : 0;
}

/* A handle of another server (`@ann@example.org`), or the beginning of a word that no handle can be. */
static bool goes_on(const struct scan *scan)
{
	uint32_t next = peek(scan);
	return next == '@' || (is_part_of_word(next) && !unicode_is_unspaced(next));
}

static enum err mention_keep(struct scan *scan, struct str handle)
{
	struct text_marks *out = scan->out;
	if (out->mention_count == LIMIT_POST_MENTIONS || is_listed(out->mentions, out->mention_count, handle))
		return ERR_OK;
	struct str copy = arena_copy(scan->arena, handle);
	if (copy.at == NULL)
		return ERR_LIMIT;
	out->mentions[out->mention_count++] = copy;
	return ERR_OK;
}

static bool mention_may_begin(const struct scan *scan)
{
	return !scan->in_url && !scan->in_address && !is_one_of(scan->before, "@&/");
}

/* scan->at is behind the '@', and comes behind the handle. */
static enum err mention_read(struct scan *scan)
{
	char handle[LIMIT_HANDLE_BYTES];
	size_t len = 0;
	bool has_word = false;
	for (; scan->at < scan->text.len && handle_char(scan->text.at[scan->at]) != 0; len++) {
		char c = handle_char(scan->text.at[scan->at]);
		if (len < LIMIT_HANDLE_BYTES)
			handle[len] = c;
		has_word |= c != '-' && c != '_';
		step(scan, (uint8_t)scan->text.at[scan->at++]);
	}
	scan->in_url = false;
	if (!has_word || len > LIMIT_HANDLE_BYTES || goes_on(scan))
		return ERR_OK;
	return mention_keep(scan, str_make(handle, len));
}

/* Inside a word another ASCII letter or digit changes nothing but what stands before: most of a text is passed over here. */
static void word_rest(struct scan *scan)
{
	while (scan->before_is_word && scan->at < scan->text.len) {
		unsigned char c = (unsigned char)scan->text.at[scan->at];
		if ((c | 0x20u) - 'a' >= 26 && c - (unsigned)'0' >= 10)
			return;
		scan->before = c;
		scan->at++;
	}
}

enum err text_scan(struct str text, struct arena *arena, struct text_marks *out)
{
	struct scan scan = {.text = text, .arena = arena, .out = out};
	enum err err = ERR_OK;
	out->hashtag_count = out->mention_count = 0;
	if (!utf8_valid(text))
		return ERR_INVALID;
	while (scan.at < text.len && err == ERR_OK) {
		uint32_t cp = utf8_get(text, &scan.at);
		bool tag = is_hash(cp) && tag_may_begin(&scan);
		bool mention = cp == '@' && mention_may_begin(&scan);
		step(&scan, cp);
		if (tag)
			err = tag_read(&scan);
		else if (mention)
			err = mention_read(&scan);
		else
			word_rest(&scan);
	}
	return err;
}

/* ---- checks ---- */

static enum err refuse(const char **detail, const char *why)
{
	*detail = why;
	return ERR_INVALID;
}

enum err text_check_content(struct str text, size_t code_points_max, const char **detail)
{
	if (!utf8_valid(text))
		return refuse(detail, "It has to be valid UTF-8.");
	if (str_find_byte(text, 0) >= 0)
		return refuse(detail, "The character NUL may not be in it.");
	if (utf8_length(text) > code_points_max)
		return refuse(detail, "It has more characters than it may.");
	if (utf8_is_blank(text))
		return refuse(detail, "There has to be something to be seen in it, not only white space.");
	return ERR_OK;
}

/* Without white space of any script at both ends. */
static struct str trimmed(struct str text)
{
	size_t from = 0, to = 0;
	for (size_t at = 0; at < text.len;) {
		size_t start = at;
		if (unicode_kind_of(utf8_get(text, &at)) == UNICODE_SPACE)
			continue;
		from = to == 0 ? start : from;
		to = at;
	}
	return str_sub(text, from, to - from);
}

enum err text_check_name(struct str text, struct str *name, const char **detail)
{
	if (!utf8_valid(text))
		return refuse(detail, "It has to be valid UTF-8.");
	struct str rest = trimmed(text);
	if (rest.len == 0 || utf8_length(rest) > LIMIT_NAME_CHARS)
		return refuse(detail, "A name has 1 to 200 characters, not counting white space around it.");
	if (!utf8_is_name(rest))
		return refuse(detail, "A name has something to be seen and no control characters.");
	*name = rest;
	return ERR_OK;
}
