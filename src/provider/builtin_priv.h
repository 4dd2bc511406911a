/*
 * builtin_priv.h - inside the builtin responder: reading, matching, answering.
 *
 * For:     builtin*.c and their tests.
 * Not for: anybody else (provider.h has builtin_answer and the driver).
 * Threads: any; pure. A compiled book is constant.
 * Memory:  everything is made in the arena given.
 */
#ifndef GUILD_PROVIDER_BUILTIN_PRIV_H
#define GUILD_PROVIDER_BUILTIN_PRIV_H

#include "base/arena.h"
#include "provider/provider.h"

enum {
	BUILTIN_CLAUSES_MAX = 16,    /* looked at in one message */
	BUILTIN_WORDS_MAX = 48,      /* of one clause; the rest is passed over */
	BUILTIN_WORD_BYTES_MAX = 64,
	BUILTIN_ELEMENTS_MAX = 12,   /* of one pattern */
	BUILTIN_CAPTURES_MAX = 6,
	BUILTIN_REPLIES_MAX = 12,
	BUILTIN_READ_BYTES_MAX = 65536,
};

/* Rule flags. */
enum {
	BUILTIN_DISCLOSE = 1, /* the answer ends with what I am */
	BUILTIN_SELF = 2,     /* every reply says it already */
	BUILTIN_MEMORY = 4,   /* a row of MEMORY */
};

enum builtin_rule_id {
#define RULE(name, ...) BUILTIN_RULE_##name,
#define MEMORY(name, ...) BUILTIN_RULE_##name,
#include "provider/builtin_rules.def"
	BUILTIN_RULE_COUNT
};

struct builtin_rule {
	const char *name;
	int rank;
	unsigned flags;
	const char *patterns;
	const char *replies[BUILTIN_REPLIES_MAX + 1]; /* NULL at the end */
};

const struct builtin_rule *builtin_rule(enum builtin_rule_id id);

/* ---- text: words in clauses ---- */
struct builtin_word {
	struct str low; /* lower case, short forms written out */
	struct str raw; /* as it was written */
	bool number;
};

struct builtin_clause {
	struct builtin_word *words;
	size_t count;
	uint64_t mask; /* a bit for each word, builtin_word_bit; bit 63: a number */
};

struct builtin_text {
	struct builtin_clause clauses[BUILTIN_CLAUSES_MAX];
	size_t count;
	bool fence;    /* holds a ``` line or much punctuation of code */
	bool latin;    /* holds a letter or digit of ASCII */
	bool other;    /* holds letters of other scripts */
};

/* Reads at most bytes_max of text. False when the arena is exhausted. */
bool builtin_read(struct arena *arena, struct str text, size_t bytes_max, struct builtin_text *out);
uint64_t builtin_word_bit(struct str low);
/* A capture as it is said back: joined by spaces, cut at some 160 bytes; with pronouns turned round when swap is set. Empty when the arena
 * is exhausted. */
struct str builtin_say(struct arena *arena, const struct builtin_word *words, size_t count, bool swap);

/* ---- matching ---- */
struct builtin_capture {
	const struct builtin_word *words;
	size_t count;
};

struct builtin_match {
	const struct builtin_rule *rule; /* NULL: nothing matched */
	struct builtin_capture captures[BUILTIN_CAPTURES_MAX];
	size_t count;
};

struct builtin_book;
/* Compiles the rows of the table. NULL when the arena is exhausted. */
const struct builtin_book *builtin_book_make(struct arena *arena);
/* The best rule for text among the ordinary ones, or (memory) among the rows of MEMORY. */
struct builtin_match builtin_match(const struct builtin_book *book, const struct builtin_text *text, bool memory);
/* Matches one rule only. */
bool builtin_match_rule(const struct builtin_book *book, const struct builtin_text *text, enum builtin_rule_id id,
			struct builtin_match *out);
/* Patterns in the book. */
size_t builtin_book_patterns(const struct builtin_book *book);

/* builtin_answer with a book made before. */
struct str builtin_answer_by(const struct builtin_book *book, struct arena *arena, const struct provider_message *messages,
			     size_t message_count);

#endif
