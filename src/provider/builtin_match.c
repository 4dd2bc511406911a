/*
 * The rows of builtin_rules.def, compiled: a pattern is a row of elements, each with a mask of the words that satisfy it, so
 * that most patterns are passed over by one comparison.
 */
#include "base/check.h"
#include "provider/builtin_priv.h"

#define PATTERNS_MAX 600
#define NUMBER_BIT ((uint64_t)1 << 63)

static const struct builtin_rule rules[BUILTIN_RULE_COUNT] = {
#define RULE(name, rank, flags, patterns, ...) {#name, rank, flags, patterns, {__VA_ARGS__}},
#define MEMORY(name, patterns, ...) {#name, 0, BUILTIN_MEMORY, patterns, {__VA_ARGS__}},
#include "provider/builtin_rules.def"
};

static const struct {
	struct str name, words;
} groups[] = {
#define GROUP(name, words) {{#name, sizeof(#name) - 1}, {words, sizeof(words) - 1}},
#include "provider/builtin_rules.def"
};

enum element_kind { ELEMENT_WORD, ELEMENT_GROUP, ELEMENT_NUMBER, ELEMENT_SOME, ELEMENT_ANY };

struct element {
	enum element_kind kind;
	struct str words;  /* of WORD and GROUP */
	char separator;
	uint64_t mask;
	int capture;       /* -1: none */
};

struct pattern {
	const struct builtin_rule *rule;
	struct element *elements;
	size_t count;
	size_t captures;
};

struct builtin_book {
	struct pattern patterns[PATTERNS_MAX];
	size_t count;
};

const struct builtin_rule *builtin_rule(enum builtin_rule_id id)
{
	check(id < BUILTIN_RULE_COUNT);
	return &rules[id];
}

size_t builtin_book_patterns(const struct builtin_book *book) { return book->count; }

/* ---- compiling ---- */

static struct str group_words(struct str name)
{
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (str_eq(groups[i].name, name)) {
			return groups[i].words;
		}
	}
	check(!"a pattern names a group that is no row");
	return STR_NONE;
}

static void element_make(struct element *element, struct str text, size_t *captures)
{
	struct str rest, word;

	*element = (struct element){.kind = ELEMENT_WORD, .words = text, .separator = '/', .capture = -1};
	if (str_eq(text, STR("*"))) {
		element->kind = ELEMENT_ANY;
	} else if (str_eq(text, STR("+"))) {
		element->kind = ELEMENT_SOME;
	} else if (str_eq(text, STR("#"))) {
		element->kind = ELEMENT_NUMBER;
		element->mask = NUMBER_BIT;
	} else if (text.at[0] == '@') {
		element->kind = ELEMENT_GROUP;
		element->words = group_words(str_sub(text, 1, text.len));
		element->separator = ' ';
	}
	if (element->kind != ELEMENT_WORD) {
		check(*captures < BUILTIN_CAPTURES_MAX);
		element->capture = (int)(*captures)++;
	}
	if (element->kind == ELEMENT_WORD || element->kind == ELEMENT_GROUP) {
		rest = element->words;
		while (str_split(&rest, element->separator, &word)) {
			element->mask |= builtin_word_bit(word);
		}
	}
}

static bool pattern_make(struct arena *arena, struct builtin_book *book, const struct builtin_rule *rule, struct str text)
{
	struct str words[BUILTIN_ELEMENTS_MAX], word;
	struct pattern *pattern;
	size_t count = 0;

	check(book->count < PATTERNS_MAX);
	while (str_split(&text, ' ', &word)) {
		check(word.len > 0 && count < BUILTIN_ELEMENTS_MAX);
		words[count++] = word;
	}
	pattern = &book->patterns[book->count++];
	*pattern = (struct pattern){.rule = rule, .elements = arena_array(arena, struct element, count)};
	while (pattern->elements && pattern->count < count) {
		element_make(&pattern->elements[pattern->count], words[pattern->count], &pattern->captures);
		pattern->count++;
	}
	return pattern->elements;
}

const struct builtin_book *builtin_book_make(struct arena *arena)
{
	struct builtin_book *book = arena_new(arena, struct builtin_book);

	for (size_t i = 0; book && i < BUILTIN_RULE_COUNT; i++) {
		struct str rest = str_of(rules[i].patterns), text;

		while (rest.len > 0 && str_split(&rest, '|', &text)) {
			if (!pattern_make(arena, book, &rules[i], str_trim(text))) {
				return NULL;
			}
		}
	}
	return book;
}

/* ---- matching ---- */

static bool element_takes(const struct element *element, const struct builtin_word *word)
{
	struct str rest = element->words, one;

	if (element->kind == ELEMENT_NUMBER) {
		return word->number;
	}
	if (!(element->mask & builtin_word_bit(word->low))) {
		return false;
	}
	while (str_split(&rest, element->separator, &one)) {
		if (str_eq(one, word->low)) {
			return true;
		}
	}
	return false;
}

/* Elements from e on against words from w on, the shortest wildcards first. At most ELEMENTS_MAX deep. */
static bool match_from(const struct pattern *pattern, size_t e, const struct builtin_clause *clause, size_t w,
		       struct builtin_capture *captures)
{
	const struct element *element = &pattern->elements[e];
	size_t left = clause->count - w, least, most;

	if (e == pattern->count) {
		return left == 0;
	}
	if (element->kind == ELEMENT_ANY || element->kind == ELEMENT_SOME) {
		least = element->kind == ELEMENT_SOME;
		most = left;
		least = e + 1 == pattern->count && least <= most ? most : least;
	} else {
		least = most = 1;
		if (left == 0 || !element_takes(element, &clause->words[w])) {
			return false;
		}
	}
	for (size_t take = least; take <= most; take++) {
		if (match_from(pattern, e + 1, clause, w + take, captures)) {
			if (element->capture >= 0) {
				captures[element->capture] = (struct builtin_capture){clause->words + w, take};
			}
			return true;
		}
	}
	return false;
}

static bool match_clause(const struct pattern *pattern, const struct builtin_clause *clause, struct builtin_match *out)
{
	for (size_t i = 0; i < pattern->count; i++) {
		if (pattern->elements[i].mask && !(pattern->elements[i].mask & clause->mask)) {
			return false;
		}
	}
	if (!match_from(pattern, 0, clause, 0, out->captures)) {
		return false;
	}
	out->rule = pattern->rule;
	out->count = pattern->captures;
	return true;
}

static bool match_text(const struct pattern *pattern, const struct builtin_text *text, struct builtin_match *out)
{
	for (size_t i = 0; i < text->count; i++) {
		if (match_clause(pattern, &text->clauses[i], out)) {
			return true;
		}
	}
	return false;
}

struct builtin_match builtin_match(const struct builtin_book *book, const struct builtin_text *text, bool memory)
{
	struct builtin_match best = {.rule = NULL};

	for (size_t i = 0; i < book->count; i++) {
		const struct pattern *pattern = &book->patterns[i];
		bool is_memory = pattern->rule->flags & BUILTIN_MEMORY;

		if (is_memory == memory && (!best.rule || pattern->rule->rank > best.rule->rank)) {
			(void)match_text(pattern, text, &best);
		}
	}
	return best;
}

bool builtin_match_rule(const struct builtin_book *book, const struct builtin_text *text, enum builtin_rule_id id,
			struct builtin_match *out)
{
	*out = (struct builtin_match){.rule = NULL};
	for (size_t i = 0; i < book->count && !out->rule; i++) {
		if (book->patterns[i].rule == &rules[id]) {
			(void)match_text(&book->patterns[i], text, out);
		}
	}
	return out->rule;
}
