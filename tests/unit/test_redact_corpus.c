/*
 * test_redact_corpus.c - recall and precision of redaction for each class, on tests/corpus/redaction.tsv, against the figures that
 * docs/redaction.md gives. With --table it prints them, with --misses each line that does not come out as wanted.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/check.h"
#include "social/redact.h"
#include "wire/utf8.h"

#define ARENA_BYTES (16u << 20)
#define FILE_BYTES (8u << 20)
#define CORPUS GUILD_SOURCE_DIR "/tests/corpus/redaction.tsv"
#define DOCUMENT GUILD_SOURCE_DIR "/docs/redaction.md"
#define OPEN "\xe2\x9f\xa6"
#define CLOSE "\xe2\x9f\xa7"
#define NEWLINE "\xe2\x8f\x8e"
#define MARKER "[REDACTED_"

enum { CLASSES = 64, VALUES = 16, SIGN_BYTES = 3, LINES_LEAST = 1000, LINES_OF_CLASS_LEAST = 4 };

struct score {
	unsigned expected, hit, found;
};

struct report {
	struct score of[CLASSES];
	unsigned lines, negatives, exact;
	bool show_misses;
};

/* One line of the corpus, unpacked. */
struct line {
	struct buf text, wanted;
	size_t starts[VALUES]; /* in text: what is sensitive */
	size_t lens[VALUES];
	int classes[VALUES];
	size_t count;
};

static struct str read_file(struct arena *arena, const char *path)
{
	char *bytes = arena_alloc(arena, FILE_BYTES);
	FILE *file = fopen(path, "rb");
	check(bytes && file);
	size_t len = fread(bytes, 1, FILE_BYTES, file);
	check(len < FILE_BYTES && !ferror(file));
	fclose(file);
	return str_make(bytes, len);
}

static int class_of(struct str name)
{
	for (unsigned n = 0; redact_class_name(n); n++) {
		if (str_eq(str_of(redact_class_name(n)), name))
			return (int)n;
	}
	print_error("no class %.*s\n", STR_FMT(name));
	return -1;
}

/* Is the sign z at text[i]? */
static bool sign_at(struct str text, size_t i, const char *z)
{
	return i + SIGN_BYTES <= text.len && memcmp(text.at + i, z, SIGN_BYTES) == 0;
}

static void unpack(struct str packed, struct line *line)
{
	bool open = false;
	size_t value = 0;
	for (size_t i = 0; i < packed.len;) {
		if (sign_at(packed, i, OPEN)) {
			check(value < line->count);
			line->starts[value] = line->text.len;
			open = true;
			i += SIGN_BYTES;
		} else if (sign_at(packed, i, CLOSE)) {
			check(open);
			line->lens[value] = line->text.len - line->starts[value];
			buf_put_str(&line->wanted, STR(MARKER));
			buf_put_str(&line->wanted, str_of(redact_class_name((unsigned)line->classes[value++])));
			buf_put_str(&line->wanted, STR("]"));
			open = false;
			i += SIGN_BYTES;
		} else {
			bool newline = sign_at(packed, i, NEWLINE);
			struct str byte = newline ? STR("\n") : str_sub(packed, i, 1);
			buf_put_str(&line->text, byte);
			if (!open)
				buf_put_str(&line->wanted, byte);
			i += newline ? SIGN_BYTES : 1;
		}
	}
	check(!open && value == line->count && !line->text.failed && !line->wanted.failed);
}

/* What was put for value n is right when the whole line is, or, where several stand, when it is gone and its class was found. */
static void score_line(struct report *report, const struct line *line, struct str output)
{
	unsigned found[CLASSES] = {0};
	bool exact = str_eq(output, buf_str(&line->wanted));
	struct str rest = output;
	ptrdiff_t at;
	while ((at = str_find(rest, STR(MARKER))) >= 0) {
		rest = str_sub(rest, (size_t)at + sizeof(MARKER) - 1, rest.len);
		ptrdiff_t end = str_find_byte(rest, ']');
		int class = end < 0 ? -1 : class_of(str_sub(rest, 0, (size_t)end));
		check(class >= 0);
		found[class]++;
		report->of[class].found++;
	}
	for (size_t n = 0; n < line->count; n++) {
		struct score *score = &report->of[line->classes[n]];
		struct str value = str_sub(buf_str(&line->text), line->starts[n], line->lens[n]);
		bool hit = exact || (line->count > 1 && found[line->classes[n]] > 0 && str_find(output, value) < 0);
		score->expected++;
		score->hit += hit;
		found[line->classes[n]] -= hit;
	}
	report->exact += exact;
	if (!exact && report->show_misses)
		printf("wanted: %.*s\nis:     %.*s\n", STR_FMT(buf_str(&line->wanted)), STR_FMT(output));
}

static void judge_line(struct report *report, struct str text)
{
	struct line line = {.count = 0};
	struct str packed;
	struct str part;
	struct arena arena;
	struct redact_result result;
	arena_init(&arena, ARENA_BYTES);
	buf_init(&line.text, ARENA_BYTES);
	buf_init(&line.wanted, ARENA_BYTES);
	check(str_split(&text, '\t', &packed) && text.at && utf8_valid(packed));
	while (!str_eq(text, STR("-")) && str_split(&text, ',', &part)) {
		check(line.count < VALUES);
		line.classes[line.count] = class_of(part);
		check(line.classes[line.count++] >= 0);
	}
	unpack(packed, &line);
	check(redact_text(buf_str(&line.text), NULL, &arena, &result) == ERR_OK);
	score_line(report, &line, result.text);
	report->lines++;
	report->negatives += line.count == 0;
	buf_fini(&line.text);
	buf_fini(&line.wanted);
	arena_fini(&arena);
}

static void judge_corpus(struct report *report)
{
	struct arena arena;
	struct str line;
	arena_init(&arena, ARENA_BYTES);
	struct str rest = read_file(&arena, CORPUS);
	while (str_split(&rest, '\n', &line)) {
		if (line.len > 0 && line.at[0] != '#')
			judge_line(report, line);
	}
	arena_fini(&arena);
}

/* In tenths of a percent, rounded down. */
static unsigned permille(unsigned part, unsigned whole)
{
	return whole ? part * 1000 / whole : 1000;
}

/* "97.5 %" in tenths. */
static unsigned recorded(struct str cell)
{
	char number[16];
	double value = strtod(str_to_z(str_trim(cell), number, sizeof(number)), NULL);
	return (unsigned)(value * 10 + 0.5);
}

/* The last two cells of the class's row in the document; false when it has none. */
static bool find_recorded(struct str document, const char *class, unsigned *recall, unsigned *precision)
{
	char start[64];
	struct str line;
	struct str cell;
	snprintf(start, sizeof(start), "| `%s` |", class);
	while (str_split(&document, '\n', &line)) {
		struct str before = STR_NONE;
		struct str last = STR_NONE;
		if (!str_starts(line, str_of(start)))
			continue;
		while (str_split(&line, '|', &cell)) {
			if (str_trim(cell).len == 0)
				continue;
			before = last;
			last = cell;
		}
		*recall = recorded(before);
		*precision = recorded(last);
		return true;
	}
	return false;
}

static void print_table(const struct report *report)
{
	printf("%-20s %8s %6s %6s %8s %10s\n", "class", "expected", "hit", "false", "recall", "precision");
	for (unsigned n = 0; redact_class_name(n); n++) {
		const struct score *score = &report->of[n];
		printf("%-20s %8u %6u %6u %6.1f %% %8.1f %%\n", redact_class_name(n), score->expected, score->hit, score->found - score->hit,
		       permille(score->hit, score->expected) / 10.0, permille(score->hit, score->found) / 10.0);
	}
	printf("%u lines, %u of them with nothing in them; %u exactly as wanted\n", report->lines, report->negatives, report->exact);
}

static void test_figures_of_the_document(void **state)
{
	struct report report = {.lines = 0};
	struct arena arena;
	arena_init(&arena, ARENA_BYTES);
	struct str document = read_file(&arena, DOCUMENT);
	judge_corpus(&report);
	assert_true(report.lines >= LINES_LEAST && report.negatives >= LINES_LEAST / 4);
	for (unsigned n = 0; redact_class_name(n); n++) {
		const struct score *score = &report.of[n];
		unsigned recall = 0;
		unsigned precision = 0;
		bool is_there = find_recorded(document, redact_class_name(n), &recall, &precision);
		bool holds = is_there && permille(score->hit, score->expected) >= recall && permille(score->hit, score->found) >= precision;
		if (!holds || score->expected < LINES_OF_CLASS_LEAST)
			print_error("%s: recall %u, precision %u of 1000 (recorded %u, %u), %u samples\n", redact_class_name(n),
			            permille(score->hit, score->expected), permille(score->hit, score->found), recall, precision, score->expected);
		assert_true(holds && recall > 0 && precision > 0);
		assert_true(score->expected >= LINES_OF_CLASS_LEAST);
	}
	arena_fini(&arena);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures_of_the_document),
	};
	if (argc > 1) {
		struct report report = {.show_misses = strcmp(argv[1], "--misses") == 0};
		judge_corpus(&report);
		print_table(&report);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
