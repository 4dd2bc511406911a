/*
 * redact_priv.h - what the scan and its matchers share.
 *
 * For:     redact*.c.
 * Not for: anything else.
 * Threads: a scan belongs to one call.
 * Memory:  none of its own; spans are positions in the text.
 */
#ifndef GUILD_SOCIAL_REDACT_PRIV_H
#define GUILD_SOCIAL_REDACT_PRIV_H

#include "social/redact.h"

enum redact_class {
#define CLASS(id) REDACT_##id,
#include "social/redact_rules.def"
	REDACT_CLASSES,
	REDACT_KEEP = REDACT_CLASSES, /* recognised and left: an allowed address, a marker */
};
_Static_assert(REDACT_CLASSES <= 64, "classes are bits of 64");

/* What a byte is, as bits. */
enum {
	REDACT_DIGIT = 1,
	REDACT_HEX_LOWER = 2,
	REDACT_HEX_UPPER = 4,
	REDACT_LOWER = 8,
	REDACT_UPPER = 16,
	REDACT_UNDERSCORE = 32,
	REDACT_DASH = 64,
	REDACT_BASE64 = 128, /* + / */
	REDACT_EQUALS = 256,
	REDACT_DOT = 512,
	REDACT_TILDE = 1024,
	REDACT_BLANK = 2048,
	REDACT_QUOTE = 4096, /* " ' ` < > */
	REDACT_PATH = 8192,  /* / ? # */
	REDACT_HIGH = 16384, /* not ASCII */
	REDACT_LETTER = REDACT_LOWER | REDACT_UPPER,
	REDACT_ALNUM = REDACT_LETTER | REDACT_DIGIT,
	REDACT_WORD = REDACT_ALNUM | REDACT_UNDERSCORE,
	REDACT_HEX = REDACT_DIGIT | REDACT_HEX_LOWER | REDACT_HEX_UPPER,
	REDACT_URL64 = REDACT_WORD | REDACT_DASH,
};
extern const uint16_t redact_bits[256];

struct redact_span {
	size_t start;
	size_t end;
	unsigned class;
};

struct redact_scan {
	const uint8_t *at;
	size_t len;
	size_t floor; /* what lies before is taken: a trial sees ']' there, and nothing before that */
	uint64_t steps;
	size_t jwt_barren; /* no JWT begins before this */
	bool no_pem_end;   /* there is no "-----END" ahead */
	const struct redact_options *options;
};

/* The byte at i; 0 behind the end. */
static inline unsigned redact_at(struct redact_scan *scan, size_t i)
{
	scan->steps++;
	return i < scan->len ? scan->at[i] : 0;
}

/* The byte before i as the second scan would see it: 0 at the start of the text. */
static inline unsigned redact_before(struct redact_scan *scan, size_t i)
{
	scan->steps++;
	return i > scan->floor ? scan->at[i - 1] : i == 0 ? 0 : ']';
}

static inline bool redact_is(unsigned byte, unsigned bits)
{
	return (redact_bits[byte] & bits) != 0;
}

/* The first position from i on, at most max further, whose byte has none of bits. */
size_t redact_run(struct redact_scan *scan, size_t i, unsigned bits, size_t max);
/* The first whose byte has one of bits. */
size_t redact_find(struct redact_scan *scan, size_t i, unsigned bits, size_t max);
/* Do the bytes at i spell z (in lower case; ASCII case is ignored when any_case)? */
bool redact_spells(struct redact_scan *scan, size_t i, const char *z, size_t len, bool any_case);
/* Do the bytes that end before i spell z? ASCII case is ignored. */
bool redact_spelled(struct redact_scan *scan, size_t i, const char *z, size_t len);

/* Each is tried at i and fills span, or says false. */
typedef bool redact_matcher(struct redact_scan *scan, size_t i, struct redact_span *span);
redact_matcher redact_email;          /* at '@' */
redact_matcher redact_number_digit;   /* at a number's first digit: card, SSN, IPv4, phone */
redact_matcher redact_number_plus;    /* at '+' */
redact_matcher redact_number_paren;   /* at '(' */
redact_matcher redact_number_ipv6;    /* at the first ':' */
redact_matcher redact_number_iban;    /* at a word's first letter */
redact_matcher redact_secret_word;    /* at a word's first letter: keys, JWT, Bearer and Basic */
redact_matcher redact_secret_key;     /* the same, without what has to stand before */
redact_matcher redact_secret_url;     /* at ':' */
redact_matcher redact_secret_pem;     /* at '-' */
redact_matcher redact_value_assigned; /* at '=', ':' or a wide colon: password=..., "secret": "..." */
redact_matcher redact_value_element;  /* at '>': <password>... */
redact_matcher redact_value_option;   /* at '-': --password ... */
redact_matcher redact_value_phrase;   /* at "is": the password is ... */

#endif
