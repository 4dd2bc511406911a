/* What a message says to the builtin responder: clauses of words, short forms written out; and captures said back. */
#include "base/buf.h"
#include "provider/builtin_priv.h"
#include "wire/utf8.h"

#define SAY_BYTES_MAX 160
#define NUMBER_DIGITS_MAX 15

struct pair {
	struct str from, to;
};

static const struct pair short_forms[] = {
#define EXPAND(word, words) {{word, sizeof(word) - 1}, {words, sizeof(words) - 1}},
#include "provider/builtin_rules.def"
};

static const struct pair swaps[] = {
#define SWAP(word, other) {{word, sizeof(word) - 1}, {other, sizeof(other) - 1}},
#include "provider/builtin_rules.def"
};

static struct str pair_find(const struct pair *pairs, size_t count, struct str word)
{
	for (size_t i = 0; i < count; i++) {
		if (str_eq(pairs[i].from, word)) {
			return pairs[i].to;
		}
	}
	return STR_NONE;
}

/* ---- reading ---- */

struct reader {
	struct arena *arena;
	struct builtin_text *out;
	struct str text;
	size_t at;
	bool failed;
	bool clause_open;
	unsigned braces;
};

static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

/* The byte at distance from the reader's place; 0 outside. */
static char peek(const struct reader *r, ptrdiff_t distance)
{
	size_t at = r->at + (size_t)distance;

	return at < r->text.len ? r->text.at[at] : '\0';
}

uint64_t builtin_word_bit(struct str low)
{
	unsigned hash = low.len ? (unsigned char)low.at[0] * 31u + (unsigned char)low.at[low.len - 1] * 7u + (unsigned)low.len : 0;

	return (uint64_t)1 << hash % 63;
}

static bool is_number(struct str low)
{
	for (size_t i = 0; i < low.len; i++) {
		if (!is_digit(low.at[i])) {
			return false;
		}
	}
	return low.len > 0 && low.len <= NUMBER_DIGITS_MAX;
}

static struct builtin_clause *clause_now(struct reader *r)
{
	struct builtin_text *text = r->out;

	if (!r->clause_open) {
		struct builtin_clause *clause;

		if (text->count == BUILTIN_CLAUSES_MAX) {
			return NULL;
		}
		clause = &text->clauses[text->count];
		clause->words = arena_array(r->arena, struct builtin_word, BUILTIN_WORDS_MAX);
		if (!clause->words) {
			r->failed = true;
			return NULL;
		}
		text->count++;
		r->clause_open = true;
	}
	return &text->clauses[text->count - 1];
}

static void word_add(struct reader *r, struct str low, struct str raw)
{
	struct builtin_clause *clause = clause_now(r);
	struct builtin_word *last = clause && clause->count ? &clause->words[clause->count - 1] : NULL;

	if (!clause || clause->count == BUILTIN_WORDS_MAX) {
		return;
	}
	if (last && str_eq(low, STR("not")) && str_eq(last->low, STR("can"))) {
		*last = (struct builtin_word){STR("cannot"), STR("cannot"), false};
		clause->mask |= builtin_word_bit(last->low);
		return;
	}
	clause->words[clause->count] = (struct builtin_word){low, raw, is_number(low)};
	clause->mask |= builtin_word_bit(low);
	if (clause->words[clause->count].number) {
		clause->mask |= (uint64_t)1 << 63;
	}
	clause->count++;
}

/* Lower case for ASCII, and ' for the typographic apostrophe. */
static struct str lower_copy(struct reader *r, struct str raw)
{
	char *at = arena_alloc(r->arena, raw.len + 1);
	size_t len = 0;

	if (!at) {
		r->failed = true;
		return STR_NONE;
	}
	for (size_t i = 0; i < raw.len; i++) {
		char c = raw.at[i];

		if (str_starts(str_sub(raw, i, 3), STR("\xe2\x80\x99"))) {
			c = '\'';
			i += 2;
		}
		at[len++] = c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
	}
	return str_make(at, len);
}

static void word_take(struct reader *r, struct str raw)
{
	struct str low, whole, part;

	raw.len = raw.len > BUILTIN_WORD_BYTES_MAX ? utf8_whole(str_sub(raw, 0, BUILTIN_WORD_BYTES_MAX)) : raw.len;
	low = lower_copy(r, raw);
	if (!low.at) {
		return;
	}
	if (str_eq(low, STR("but"))) {
		r->clause_open = false;
		return;
	}
	whole = pair_find(short_forms, sizeof(short_forms) / sizeof(short_forms[0]), low);
	if (!whole.at) {
		word_add(r, low, raw);
		return;
	}
	while (str_split(&whole, ' ', &part)) {
		word_add(r, part, part);
	}
}

/* Bytes of the word that starts here: letters, digits, other scripts; and apostrophe, hyphen and point between them. */
static size_t word_len(struct reader *r)
{
	size_t start = r->at, len;

	for (;;) {
		char c = peek(r, 0), before = r->at > start ? peek(r, -1) : '\0', after = peek(r, 1);

		if (is_letter(c) || is_digit(c) || c == '_') {
			r->out->latin = true;
			r->at++;
		} else if ((c == '\'' || c == '-') && is_letter(before) && is_letter(after)) {
			r->at++;
		} else if (c == '.' && is_digit(before) && is_digit(after)) {
			r->at++;
		} else if ((c == '+' || c == '#') && is_letter(before)) {
			r->at += c == '+' && after == '+' ? 2 : 1;
		} else if ((unsigned char)c >= 0x80) {
			size_t next = r->at;
			uint32_t cp = utf8_get(r->text, &next);

			if (cp == 0xa0 || cp == 0xd7 || cp == 0xf7 || cp == 0xab || cp == 0xbb || cp == 0xa1 || cp == 0xbf || cp == 0x61f ||
			    (cp >= 0x2000 && cp <= 0x206f && (cp != 0x2019 || !is_letter(before))) ||
			    (cp >= 0x3000 && cp <= 0x3003) || (cp >= 0xff01 && cp <= 0xff0f) || cp == 0xff1f || cp == 0xfeff) {
				break;
			}
			r->out->other |= cp != 0x2019;
			r->at = next;
		} else {
			break;
		}
	}
	len = r->at - start;
	r->at = start;
	return len;
}

static bool after_number(const struct reader *r)
{
	const struct builtin_text *text = r->out;
	const struct builtin_clause *clause = text->count ? &text->clauses[text->count - 1] : NULL;

	return r->clause_open && clause->count && clause->words[clause->count - 1].number;
}

/* A sign that is no part of a word: an operator behind a number, the end of a clause, or nothing. */
static void sign_take(struct reader *r)
{
	size_t next = r->at;
	uint32_t cp = utf8_get(r->text, &next);
	struct str operation = STR_NONE;

	r->at = next;
	switch (cp) {
	case '+': operation = STR("plus"); break;
	case '-': case 0x2212: operation = STR("minus"); break;
	case '*': case 0xd7: operation = STR("times"); break;
	case '/': case 0xf7: operation = STR("over"); break;
	case '{': case '}': case '=': case '(':
		r->braces++;
		break;
	case ';':
		r->braces += peek(r, 0) == '\n' || peek(r, 0) == '\r';
		r->clause_open = false;
		break;
	case '`':
		r->out->fence |= peek(r, 0) == '`' && peek(r, 1) == '`';
		break;
	case '.': case '!': case '?': case ':': case ',': case '\n':
	case 0x2026: case 0x3001: case 0x3002: case 0xff01: case 0xff1f: case 0xff0c: case 0x61f: case 0xbf: case 0xa1:
		r->clause_open = false;
		break;
	default:
		break;
	}
	if (operation.at && after_number(r)) {
		word_add(r, operation, operation);
	}
}

bool builtin_read(struct arena *arena, struct str text, size_t bytes_max, struct builtin_text *out)
{
	struct reader r = {.arena = arena, .out = out, .text = text};

	*out = (struct builtin_text){.count = 0};
	if (text.len > bytes_max) {
		r.text.len = utf8_whole(str_sub(text, 0, bytes_max));
	}
	if (!utf8_valid(r.text)) {
		return true;
	}
	while (r.at < r.text.len && !r.failed && !(out->count == BUILTIN_CLAUSES_MAX && !r.clause_open)) {
		size_t len = word_len(&r);

		if (len > 0) {
			word_take(&r, str_sub(r.text, r.at, len));
			r.at += len;
		} else {
			sign_take(&r);
		}
	}
	out->fence |= r.braces >= 6;
	return !r.failed;
}

/* ---- saying back ---- */

static bool low_is(const struct builtin_word *words, size_t count, size_t at, const char *list)
{
	struct str rest = str_of(list), one;

	while (at < count && str_split(&rest, ' ', &one)) {
		if (str_eq(words[at].low, one)) {
			return true;
		}
	}
	return false;
}

/* "you" is I where it acts and me where something is done to it. */
static struct str turn_you(const struct builtin_word *words, size_t count, size_t at)
{
	const char *acts = "are were have had can cannot could do did will would should must may might know think want like need say "
			   "said hate love feel understand mean see seem never always also really just only";
	const char *before = "are were do did can could will would should have had that if because when what why how";
	bool starts = at == 0 && count > 1;

	return starts || low_is(words, count, at + 1, acts) || (at > 0 && low_is(words, count, at - 1, before)) ? STR("I") : STR("me");
}

static struct str turn(const struct builtin_word *words, size_t count, size_t at)
{
	struct str low = words[at].low, other;
	bool near_you = low_is(words, count, at + 1, "you") || (at > 0 && low_is(words, count, at - 1, "you"));
	bool near_i = low_is(words, count, at + 1, "i") || (at > 0 && low_is(words, count, at - 1, "i"));

	if (str_eq(low, STR("you"))) {
		return turn_you(words, count, at);
	}
	if (str_eq(low, STR("are")) && near_you) {
		return STR("am");
	}
	if (str_eq(low, STR("were")) && near_you) {
		return STR("was");
	}
	if (str_eq(low, STR("was")) && near_i) {
		return STR("were");
	}
	other = pair_find(swaps, sizeof(swaps) / sizeof(swaps[0]), low);
	return other.at ? other : words[at].raw;
}

struct str builtin_say(struct arena *arena, const struct builtin_word *words, size_t count, bool swap)
{
	char *out = arena_alloc(arena, SAY_BYTES_MAX + BUILTIN_WORD_BYTES_MAX + 8);
	size_t len = 0;

	if (!out) {
		return STR_NONE;
	}
	for (size_t i = 0; i < count; i++) {
		struct str word = swap ? turn(words, count, i) : words[i].raw;

		if (len + word.len > SAY_BYTES_MAX) {
			memcpy(out + len, " …", sizeof(" …") - 1);
			len += sizeof(" …") - 1;
			break;
		}
		if (len > 0) {
			out[len++] = ' ';
		}
		memcpy(out + len, word.at, word.len);
		len += word.len;
	}
	return str_make(out, len);
}
