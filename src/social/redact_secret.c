/*
 * redact_secret.c - secrets that show by their own form: vendors' keys, JWTs, Bearer and Basic, URLs with passwords, private keys.
 */
#include "social/redact_priv.h"

/* The prefix lies in the row: the rows of a letter are compared one after the other. */
struct key_rule {
	char prefix[30];
	uint8_t prefix_len;
	uint8_t class;
	const char *shape;
};

struct back_rule {
	struct str prefix;
	const char *shape;
	size_t least, most;
	unsigned class;
	char kind, between;
};

static const struct key_rule keys[] = {
#define KEY(class, prefix, shape) {prefix, sizeof(prefix) - 1, REDACT_##class, shape},
#include "social/redact_rules.def"
};

static const struct back_rule backs[] = {
#define BACK(class, kind, least, most, between, prefix, shape)                                                         \
	{STR(prefix), shape, least, most, REDACT_##class, kind, between},
#include "social/redact_rules.def"
};

static const struct str databases[] = {
#define DATABASE(scheme) STR(scheme),
#include "social/redact_rules.def"
};

/* Numbers the KEY rows: letter_x is the first row of letter x, counted from 1. */
#define KEY_NAME(line) key_at_##line
#define KEY_OF(line)   KEY_NAME(line)
enum {
	key_rows_begin,
#define LETTER(name)              letter_##name, letter_##name##_back = letter_##name - 1,
#define KEY(class, prefix, shape) KEY_OF(__LINE__),
#include "social/redact_rules.def"
	key_rows_end,
};
_Static_assert(key_rows_end == sizeof(keys) / sizeof(keys[0]) + 1, "each row has its number");
_Static_assert(key_rows_end < 256, "rows_of counts in bytes");

static const uint8_t rows_of[256] = {
	['A'] = letter_A,
	['C'] = letter_C,
	['E'] = letter_E,
	['F'] = letter_F,
	['G'] = letter_G,
	['H'] = letter_H,
	['L'] = letter_L,
	['M'] = letter_M,
	['N'] = letter_N,
	['O'] = letter_O,
	['P'] = letter_P,
	['S'] = letter_S,
	['a'] = letter_a,
	['b'] = letter_b,
	['c'] = letter_c,
	['d'] = letter_d,
	['e'] = letter_e,
	['f'] = letter_f,
	['g'] = letter_g,
	['h'] = letter_h,
	['i'] = letter_i,
	['k'] = letter_k,
	['l'] = letter_l,
	['n'] = letter_n,
	['o'] = letter_o,
	['p'] = letter_p,
	['r'] = letter_r,
	['s'] = letter_s,
	['t'] = letter_t,
	['w'] = letter_w,
	['x'] = letter_x,
	['y'] = letter_y,
};

enum {
	BEARER_LEAST = 16,
	BASIC_LEAST = 8,
	BASIC_MOST = 512,
	JWT_PART_LEAST = 10,
	AUTHORITY_MAX = 320,
	PEM_LABEL_MAX = 40,
	PEM_WORD_LEAST = 16,
	PEM_FIELDS = 4,
	PEM_FIELD_MAX = 80,
};

/* ---- vendors' keys ---- */

static unsigned bits_of(char kind)
{
	switch (kind) {
	case 'd':
		return REDACT_DIGIT;
	case 'x':
		return REDACT_DIGIT | REDACT_HEX_LOWER;
	case 'X':
		return REDACT_HEX;
	case 'u':
		return REDACT_DIGIT | REDACT_UPPER;
	case 'l':
		return REDACT_DIGIT | REDACT_LOWER;
	case 'a':
		return REDACT_ALNUM;
	case 'b':
		return REDACT_URL64;
	case 'B':
		return REDACT_ALNUM | REDACT_BASE64 | REDACT_EQUALS;
	default:
		return REDACT_URL64 | REDACT_DOT | REDACT_EQUALS;
	}
}

static size_t number_of(const char **shape)
{
	size_t value = 0;
	while (**shape >= '0' && **shape <= '9')
		value = value * 10 + (size_t)(*(*shape)++ - '0');
	return value;
}

/* The end of what fits the shape from i on, or 0. */
static size_t shape_end(struct redact_scan *scan, size_t i, const char *shape)
{
	while (*shape) {
		if (*shape == '\'') {
			for (shape++; *shape && *shape != ' '; shape++, i++) {
				if (redact_at(scan, i) != (unsigned char)*shape)
					return 0;
			}
		} else {
			unsigned bits = bits_of(*shape++);
			size_t least = number_of(&shape);
			size_t most = least;
			if (*shape == '+') {
				most = SIZE_MAX;
				shape++;
			} else if (*shape == '-') {
				shape++;
				most = number_of(&shape);
			}
			size_t end = redact_run(scan, i, bits, most);
			/* A full stop behind a key belongs to the sentence. */
			while (end > i && bits & REDACT_DOT && redact_at(scan, end - 1) == '.')
				end--;
			if (end - i < least)
				return 0;
			i = end;
		}
		while (*shape == ' ')
			shape++;
	}
	return redact_is(redact_at(scan, i), REDACT_WORD) ? 0 : i;
}

static bool take(struct redact_span *span, size_t start, size_t end, unsigned class)
{
	*span = (struct redact_span){start, end, class};
	return true;
}

/* The longest of the rows that fit, of these the one with the longest prefix. */
static bool match_key(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	unsigned first = rows_of[scan->at[i]];
	size_t prefix_len = 0;
	span->end = 0;
	if (first == 0)
		return false;
	unsigned second = redact_at(scan, i + 1);
	for (const struct key_rule *rule = &keys[first - 1]; rule < keys + (key_rows_end - 1); rule++) {
		if ((unsigned char)rule->prefix[0] != scan->at[i])
			break;
		if ((unsigned char)rule->prefix[1] != second && rule->prefix[1])
			continue;
		if (!redact_spells(scan, i, rule->prefix, rule->prefix_len, false))
			continue;
		size_t end = shape_end(scan, i + rule->prefix_len, rule->shape);
		if (end == 0 || end < span->end || (end == span->end && rule->prefix_len <= prefix_len))
			continue;
		take(span, i, end, rule->class);
		prefix_len = rule->prefix_len;
	}
	return span->end != 0;
}

static bool match_back(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	unsigned before = redact_before(scan, i);
	if (before == ' ' || before == 0)
		return false;
	for (size_t n = 0; n < sizeof(backs) / sizeof(backs[0]); n++) {
		const struct back_rule *rule = &backs[n];
		if (before != (unsigned char)rule->between || !redact_spells(scan, i, rule->prefix.at, rule->prefix.len, false))
			continue;
		size_t start = i - 1;
		while (i - 1 - start < rule->most && redact_is(redact_before(scan, start), bits_of(rule->kind)))
			start--;
		size_t end = 0;
		if (i - 1 - start >= rule->least && !redact_is(redact_before(scan, start), REDACT_WORD))
			end = shape_end(scan, i + rule->prefix.len, rule->shape);
		if (end)
			return take(span, start, end, rule->class);
	}
	return false;
}

/* ---- JWT ---- */

/* header.payload.signature, base64url, the first two objects ("eyJ"); the signature may be missing. What was looked at in vain
 * is not looked at again: a header that begins later in the same stretch would fail at the same place. */
static bool match_jwt(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (i < scan->jwt_barren || !redact_spells(scan, i, "eyJ", 3, false))
		return false;
	size_t dot = redact_run(scan, i, REDACT_URL64, SIZE_MAX);
	scan->jwt_barren = dot;
	if (dot - i < JWT_PART_LEAST || redact_at(scan, dot) != '.' || !redact_spells(scan, dot + 1, "eyJ", 3, false))
		return false;
	size_t end = redact_run(scan, dot + 1, REDACT_URL64, SIZE_MAX);
	if (end - dot - 1 < JWT_PART_LEAST)
		return false;
	/* Five parts when it is encrypted. */
	for (unsigned parts = 2; parts < 5 && redact_at(scan, end) == '.'; parts++) {
		size_t next = redact_run(scan, end + 1, REDACT_URL64, SIZE_MAX);
		if (next - end - 1 < JWT_PART_LEAST)
			break;
		end = next;
	}
	return take(span, i, end, REDACT_JWT);
}

bool redact_secret_key(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	return match_key(scan, i, span) || (scan->at[i] == 'e' && match_jwt(scan, i, span)) || match_back(scan, i, span);
}

/* ---- Authorization ---- */

/* "Bearer" and a token with a digit in it; the word stays. */
static bool match_bearer(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	const unsigned bits = REDACT_URL64 | REDACT_DOT | REDACT_TILDE | REDACT_BASE64 | REDACT_EQUALS;
	if (!redact_spells(scan, i, "bearer ", 7, true))
		return false;
	size_t start = i + 7;
	size_t end = redact_run(scan, start, bits, SIZE_MAX);
	while (end > start && redact_at(scan, end - 1) == '.')
		end--;
	bool has_digit = redact_find(scan, start, REDACT_DIGIT, end - start) < end;
	if (end - start < BEARER_LEAST || !has_digit)
		return false;
	return (redact_secret_key(scan, start, span) && span->end >= end) || take(span, start, end, REDACT_BEARER_TOKEN);
}

static unsigned sextet_of(unsigned byte)
{
	if (redact_is(byte, REDACT_UPPER))
		return byte - 'A';
	if (redact_is(byte, REDACT_LOWER))
		return byte - 'a' + 26;
	return redact_is(byte, REDACT_DIGIT) ? byte - '0' + 52 : byte == '+' ? 62 : 63;
}

/* Is this base64 of name:password, all of it to be read? Decoded a byte at a time: nothing is kept, nothing allocated. */
static bool hides_password(struct redact_scan *scan, size_t start, size_t end)
{
	uint32_t bits = 0;
	unsigned held = 0;
	bool colon = false;
	while (end > start && redact_at(scan, end - 1) == '=')
		end--;
	for (size_t i = start; i < end; i++) {
		bits = bits << 6 | sextet_of(redact_at(scan, i));
		held += 6;
		if (held < 8)
			continue;
		held -= 8;
		unsigned plain = bits >> held & 0xff;
		if (plain < 0x20 || plain == 0x7f)
			return false;
		colon = colon || plain == ':';
	}
	return colon;
}

static bool match_basic(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (!redact_spells(scan, i, "basic ", 6, true))
		return false;
	size_t start = i + 6;
	size_t end = redact_run(scan, start, bits_of('B'), BASIC_MOST);
	if (end - start < BASIC_LEAST || (end - start) % 4 != 0)
		return false;
	return hides_password(scan, start, end) && take(span, start, end, REDACT_BASIC_AUTH);
}

bool redact_secret_word(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	unsigned byte = scan->at[i];
	if (redact_secret_key(scan, i, span))
		return true;
	return (byte | 0x20) == 'b' && (match_bearer(scan, i, span) || match_basic(scan, i, span));
}

/* ---- URLs ---- */

/* The scheme that ends before i, without a driver's name ("postgresql+psycopg2"). */
static size_t scheme_start(struct redact_scan *scan, size_t i, struct str *scheme)
{
	size_t start = i;
	while (i - start < 24 && redact_is(redact_before(scan, start), REDACT_ALNUM | REDACT_DASH | REDACT_DOT))
		start--;
	if (redact_before(scan, start) == '+') {
		size_t driver = start - 1;
		while (i - driver < 40 && redact_is(redact_before(scan, driver), REDACT_ALNUM))
			driver--;
		*scheme = str_make(scan->at + driver, start - 1 - driver);
		return driver;
	}
	*scheme = str_make(scan->at + start, i - start);
	return start;
}

static bool is_database(struct str scheme)
{
	for (size_t n = 0; n < sizeof(databases) / sizeof(databases[0]); n++) {
		if (str_eq_case(databases[n], scheme))
			return true;
	}
	return false;
}

/* Up to a blank or what quotes a URL; marks of the sentence do not belong to it. */
static size_t url_end(struct redact_scan *scan, size_t i)
{
	size_t from = i;
	while (i < scan->len && !redact_is(scan->at[i], REDACT_BLANK | REDACT_QUOTE) && scan->at[i] != '\\')
		i++;
	scan->steps += i - from;
	while (i > from && strchr(".,;:!?)]}", scan->at[i - 1]))
		i--;
	return i;
}

struct userinfo {
	size_t colon; /* 0: none */
	size_t at;    /* the last '@'; 0: none */
	size_t stop;
};

/* Looks for "user:password@" from i on, up to a byte with one of bits. */
static struct userinfo userinfo_find(struct redact_scan *scan, size_t i, unsigned bits)
{
	struct userinfo info = {.colon = 0};
	size_t k = i;
	for (; k < scan->len && k - i < AUTHORITY_MAX; k++) {
		unsigned byte = redact_at(scan, k);
		if (redact_is(byte, bits))
			break;
		if (byte == ':' && info.colon == 0)
			info.colon = k;
		if (byte == '@')
			info.at = k;
	}
	info.stop = k;
	return info;
}

/* scheme://user:password@host: of a database the whole, else user and password. */
bool redact_secret_url(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	struct str scheme;
	if (redact_at(scan, i + 1) != '/' || redact_at(scan, i + 2) != '/')
		return false;
	size_t from = i + 3;
	struct userinfo info = userinfo_find(scan, from, REDACT_BLANK | REDACT_QUOTE | REDACT_PATH);
	if (info.colon == 0 || redact_at(scan, from) == '[')
		return false;
	size_t start = scheme_start(scan, i, &scheme);
	bool database = is_database(scheme);
	/* A password may hold a '/' that should have been written %2F; behind a port a path begins. */
	if (database && info.at == 0 && redact_run(scan, info.colon + 1, REDACT_DIGIT, 5) < info.stop &&
		redact_at(scan, redact_run(scan, info.colon + 1, REDACT_DIGIT, 5)) != ',')
		info = userinfo_find(scan, from, REDACT_BLANK | REDACT_QUOTE);
	if (info.at <= info.colon + 1 || scheme.len == 0)
		return false;
	size_t len = info.at - info.colon - 1;
	if (redact_find(scan, info.colon + 1, REDACT_WORD | REDACT_DASH | REDACT_HIGH, len) == info.at)
		return false;
	if (database)
		return take(span, start, url_end(scan, info.at + 1), REDACT_DATABASE_URL);
	return take(span, from, info.at, REDACT_URL_PASSWORD);
}

/* ---- PEM ---- */

#define PEM_BEGIN "-----BEGIN "
#define PEM_END   "-----END "

/* Behind "...PRIVATE KEY-----" or "...PRIVATE KEY BLOCK-----" of a label at i; 0 when it is another one. */
static size_t pem_label(struct redact_scan *scan, size_t i)
{
	size_t end = i;
	while (end - i < PEM_LABEL_MAX &&
		   (redact_is(redact_at(scan, end), REDACT_UPPER | REDACT_DIGIT) || redact_at(scan, end) == ' '))
		end++;
	if (!redact_spells(scan, end, "-----", 5, false))
		return 0;
	struct str label = str_make(scan->at + i, end - i);
	return str_find(label, STR("PRIVATE KEY")) >= 0 ? end + 5 : 0;
}

/* Passes over blanks, also written ones: \n. */
static size_t pem_blank(struct redact_scan *scan, size_t i)
{
	i = redact_run(scan, i, REDACT_BLANK, SIZE_MAX);
	while (redact_at(scan, i) == '\\' && (redact_at(scan, i + 1) == 'n' || redact_at(scan, i + 1) == 'r'))
		i = redact_run(scan, i + 2, REDACT_BLANK, SIZE_MAX);
	return i;
}

/* Passes over fields of the old form ("Proc-Type: 4,ENCRYPTED"), few and short. */
static size_t pem_fields(struct redact_scan *scan, size_t i)
{
	for (unsigned n = 0; n < PEM_FIELDS; n++) {
		size_t start = pem_blank(scan, i);
		size_t name = redact_run(scan, start, REDACT_LETTER | REDACT_DASH, PEM_LABEL_MAX);
		if (name == start || redact_at(scan, name) != ':' || redact_at(scan, name + 1) != ' ')
			break;
		i = redact_find(scan, name + 2, REDACT_BLANK | REDACT_QUOTE, PEM_FIELD_MAX);
	}
	return i;
}

/* Where the block ends whose END is missing: behind the last of the words that look like base64. */
static size_t pem_rest(struct redact_scan *scan, size_t i)
{
	size_t end = i;
	for (;;) {
		size_t start = pem_blank(scan, end == i ? pem_fields(scan, i) : end);
		size_t stop = redact_run(scan, start, bits_of('B'), SIZE_MAX);
		bool last = end > i && stop > start && redact_at(scan, stop - 1) == '=';
		if (stop - start < PEM_WORD_LEAST && !last)
			return end;
		end = stop;
	}
}

bool redact_secret_pem(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (!redact_spells(scan, i, PEM_BEGIN, sizeof(PEM_BEGIN) - 1, false))
		return false;
	size_t from = pem_label(scan, i + sizeof(PEM_BEGIN) - 1);
	if (from == 0)
		return false;
	if (!scan->no_pem_end) {
		ptrdiff_t at = str_find(str_make(scan->at + from, scan->len - from), STR(PEM_END));
		scan->steps += at < 0 ? scan->len - from : (size_t)at;
		size_t label = at < 0 ? 0 : from + (size_t)at + sizeof(PEM_END) - 1;
		size_t end = at < 0 ? 0 : pem_label(scan, label);
		scan->no_pem_end = at < 0;
		if (at >= 0)
			return take(span, i, end ? end : label - 1, REDACT_PRIVATE_KEY);
	}
	return take(span, i, pem_rest(scan, from), REDACT_PRIVATE_KEY);
}
