/*
 * redact.c - the scan over a text, what a byte may be the start of, and the text with its markers.
 */
#include "social/redact_priv.h"

#include "base/limits.h"

enum kind {
	KIND_NOTHING,
	KIND_LETTER,
	KIND_DIGIT,
	KIND_AT,
	KIND_PLUS,
	KIND_PAREN,
	KIND_DASH,
	KIND_COLON,
	KIND_EQUALS,
	KIND_ANGLE,
	KIND_MARKER,
	KIND_WIDE,
};

static const uint8_t kinds[256] = {
	['A' ... 'Z'] = KIND_LETTER,
	['a' ... 'z'] = KIND_LETTER,
	['0' ... '9'] = KIND_DIGIT,
	['@'] = KIND_AT,
	['+'] = KIND_PLUS,
	['('] = KIND_PAREN,
	['-'] = KIND_DASH,
	[':'] = KIND_COLON,
	['='] = KIND_EQUALS,
	['>'] = KIND_ANGLE,
	['['] = KIND_MARKER,
	[0xef] = KIND_WIDE,
};

const uint16_t redact_bits[256] = {
	['0' ... '9'] = REDACT_DIGIT,
	['a' ... 'f'] = REDACT_LOWER | REDACT_HEX_LOWER,
	['g' ... 'z'] = REDACT_LOWER,
	['A' ... 'F'] = REDACT_UPPER | REDACT_HEX_UPPER,
	['G' ... 'Z'] = REDACT_UPPER,
	['_'] = REDACT_UNDERSCORE,
	['-'] = REDACT_DASH,
	['+'] = REDACT_BASE64,
	['/'] = REDACT_BASE64 | REDACT_PATH,
	['?'] = REDACT_PATH,
	['#'] = REDACT_PATH,
	['='] = REDACT_EQUALS,
	['.'] = REDACT_DOT,
	['~'] = REDACT_TILDE,
	[' '] = REDACT_BLANK,
	['\t' ... '\r'] = REDACT_BLANK,
	['"'] = REDACT_QUOTE,
	['\''] = REDACT_QUOTE,
	['`'] = REDACT_QUOTE,
	['<'] = REDACT_QUOTE,
	['>'] = REDACT_QUOTE,
	[0x80 ... 0xff] = REDACT_HIGH,
};

static const struct str class_names[] = {
#define CLASS(id) STR(#id),
#include "social/redact_rules.def"
};

#define MARKER_OPEN "[REDACTED_"

enum { SPANS_FIRST = 16 };

struct found {
	struct redact_span first[SPANS_FIRST];
	struct redact_span *all;
	size_t count;
	size_t room;
};

const char *redact_class_name(unsigned number)
{
	return number < REDACT_CLASSES ? class_names[number].at : NULL;
}

/* ---- what matchers ask ---- */

size_t redact_run(struct redact_scan *scan, size_t i, unsigned bits, size_t max)
{
	size_t end = max < scan->len - i ? i + max : scan->len;
	size_t from = i;
	while (i < end && redact_is(scan->at[i], bits))
		i++;
	scan->steps += i - from + 1;
	return i;
}

size_t redact_find(struct redact_scan *scan, size_t i, unsigned bits, size_t max)
{
	size_t end = max < scan->len - i ? i + max : scan->len;
	size_t from = i;
	while (i < end && !redact_is(scan->at[i], bits))
		i++;
	scan->steps += i - from + 1;
	return i;
}

bool redact_spells(struct redact_scan *scan, size_t i, const char *z, size_t len, bool any_case)
{
	for (size_t k = 0; k < len; k++) {
		unsigned byte = redact_at(scan, i + k);
		if (any_case && redact_is(byte, REDACT_UPPER))
			byte |= 0x20;
		if (byte != (unsigned char)z[k])
			return false;
	}
	return true;
}

bool redact_spelled(struct redact_scan *scan, size_t i, const char *z, size_t len)
{
	if (i < scan->floor + len)
		return false;
	for (size_t k = len; k > 0; k--) {
		unsigned byte = redact_before(scan, i - (len - k));
		if (redact_is(byte, REDACT_UPPER))
			byte |= 0x20;
		if (byte != (unsigned char)z[k - 1])
			return false;
	}
	return true;
}

/* ---- the scan ---- */

/* A marker is passed over whole, so that nothing in it is taken for a key. */
static bool match_marker(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (!redact_spells(scan, i, MARKER_OPEN, sizeof(MARKER_OPEN) - 1, false))
		return false;
	size_t from = i + sizeof(MARKER_OPEN) - 1;
	size_t end = redact_run(scan, from, REDACT_WORD, 32);
	if (redact_at(scan, end) != ']')
		return false;
	for (unsigned n = 0; n < REDACT_CLASSES; n++) {
		if (!str_eq(class_names[n], str_make(scan->at + from, end - from)))
			continue;
		*span = (struct redact_span){i, end + 1, REDACT_KEEP};
		return true;
	}
	return false;
}

static size_t word_end(const struct redact_scan *scan, size_t i)
{
	while (i < scan->len && redact_is(scan->at[i], REDACT_WORD))
		i++;
	return i;
}

/* Most words are short and stand alone, and no key does: they are told by their end. Only SSWS, Bearer and Basic have their token
 * behind a blank, and one key ends in a short word behind a hyphen (us12). */
static bool match_word(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	enum { KEY_LEAST = 16 };
	size_t end = word_end(scan, i);
	unsigned next = redact_at(scan, end);
	unsigned first = scan->at[i] | 0x20;
	bool alone = end - i < KEY_LEAST && next != ':' &&
				 !redact_is(next, REDACT_DASH | REDACT_DOT | REDACT_BASE64 | REDACT_EQUALS);
	if ((!alone || first == 'b' || scan->at[i] == 'S' || redact_before(scan, i) == '-') &&
		redact_secret_word(scan, i, span))
		return true;
	if (end - i >= 4 && redact_is(scan->at[i + 2], REDACT_DIGIT) && redact_number_iban(scan, i, span))
		return true;
	return (first == 'i' || first == 'l') && redact_value_phrase(scan, i, span);
}

static bool match_at(struct redact_scan *scan, size_t i, enum kind kind, struct redact_span *span)
{
	switch (kind) {
	case KIND_LETTER:
		return match_word(scan, i, span);
	case KIND_DIGIT:
		return redact_number_digit(scan, i, span);
	case KIND_AT:
		return redact_email(scan, i, span);
	case KIND_PLUS:
		return redact_number_plus(scan, i, span);
	case KIND_PAREN:
		return redact_number_paren(scan, i, span);
	case KIND_DASH:
		return redact_secret_pem(scan, i, span) || redact_value_option(scan, i, span);
	case KIND_COLON:
		return redact_secret_url(scan, i, span) || redact_value_assigned(scan, i, span) ||
			   redact_number_ipv6(scan, i, span);
	case KIND_EQUALS:
	case KIND_WIDE:
		return redact_value_assigned(scan, i, span);
	case KIND_ANGLE:
		return redact_value_element(scan, i, span);
	case KIND_MARKER:
		return match_marker(scan, i, span);
	case KIND_NOTHING:
		break;
	}
	return false;
}

static enum err keep_span(struct found *found, const struct redact_span *span, struct arena *arena)
{
	if (found->count == LIMIT_REDACT_FOUND)
		return ERR_INVALID;
	if (found->count == found->room) {
		struct redact_span *more = arena_array(arena, struct redact_span, found->room * 2);
		if (!more)
			return ERR_MEMORY;
		memcpy(more, found->all, sizeof(*more) * found->count);
		found->all = more;
		found->room *= 2;
	}
	found->all[found->count++] = *span;
	return ERR_OK;
}

static enum err scan_text(struct redact_scan *scan, struct arena *arena, struct found *found)
{
	struct redact_span span;
	enum err err = ERR_OK;
	size_t i = 0;
	while (i < scan->len && err == ERR_OK) {
		enum kind kind = kinds[scan->at[i]];
		if (kind == KIND_NOTHING) {
			i++;
		} else if (match_at(scan, i, kind, &span)) {
			if (span.class != REDACT_KEEP)
				err = keep_span(found, &span, arena);
			i = scan->floor = span.end;
		} else if (kind == KIND_LETTER || kind == KIND_DIGIT) {
			i = word_end(scan, i);
		} else {
			i++;
		}
	}
	scan->steps += scan->len;
	return err;
}

/* ---- the text with its markers ---- */

static enum err write_text(struct str text, const struct found *found, struct arena *arena, struct str *out)
{
	size_t len = text.len;
	for (size_t n = 0; n < found->count; n++)
		len += sizeof(MARKER_OPEN) + class_names[found->all[n].class].len - (found->all[n].end - found->all[n].start);
	char *to = arena_alloc(arena, len + 1);
	if (!to)
		return ERR_MEMORY;
	*out = str_make(to, len);
	size_t from = 0;
	for (size_t n = 0; n < found->count; n++) {
		const struct redact_span *span = &found->all[n];
		struct str name = class_names[span->class];
		memcpy(to, text.at + from, span->start - from);
		to += span->start - from;
		memcpy(to, MARKER_OPEN, sizeof(MARKER_OPEN) - 1);
		to += sizeof(MARKER_OPEN) - 1;
		memcpy(to, name.at, name.len);
		to += name.len;
		*to++ = ']';
		from = span->end;
	}
	memcpy(to, text.at + from, text.len - from);
	return ERR_OK;
}

enum err redact_text(
	struct str text, const struct redact_options *options, struct arena *arena, struct redact_result *out)
{
	*out = (struct redact_result){.text = text};
	for (unsigned round = 0; round < LIMIT_REDACT_ROUNDS; round++) {
		struct redact_scan scan = {.at = (const uint8_t *)out->text.at, .len = out->text.len, .options = options};
		struct found found;
		found.all = found.first;
		found.count = 0;
		found.room = SPANS_FIRST;
		enum err err = scan_text(&scan, arena, &found);
		out->steps = scan.steps > out->steps ? scan.steps : out->steps;
		if (err != ERR_OK || found.count == 0)
			return err;
		for (size_t n = 0; n < found.count; n++)
			out->classes |= UINT64_C(1) << found.all[n].class;
		out->count += (unsigned)found.count;
		err = write_text(out->text, &found, arena, &out->text);
		if (err != ERR_OK)
			return err;
	}
	return ERR_INVALID;
}
