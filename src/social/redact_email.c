/*
 * redact_email.c - e-mail addresses, looked for from their '@' to both sides, and the list of those allowed.
 */
#include "social/redact_priv.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 253 };

/* Ends of names of pictures for several densities ("logo@2x.png"): files, no addresses. */
static const struct str file_ends[] = {
	STR("png"), STR("jpg"), STR("jpeg"), STR("gif"), STR("webp"), STR("svg"), STR("avif"), STR("ico")};

static bool is_tail(unsigned byte)
{
	return byte >= 0x80 && byte < 0xc0;
}

/* Latin, Greek, Cyrillic letters beyond ASCII are two bytes; the signs among them (0xc2) are none. */
static bool is_two_lead(unsigned byte)
{
	return byte >= 0xc3 && byte <= 0xd4;
}

/* The scripts of Japan, China, Korea, without their punctuation. */
static bool is_three_lead(unsigned byte)
{
	return (byte >= 0xe4 && byte <= 0xed) || byte == 0xe3;
}

static bool is_local(unsigned byte)
{
	return redact_is(byte, REDACT_WORD | REDACT_DASH | REDACT_DOT) || byte == '+' || byte == '%' || byte == '\'' ||
		   byte == '&' || byte == '!' || byte == '~';
}

/* Bytes of the letter beyond ASCII that ends before i, 0 for none. */
static size_t high_before(struct redact_scan *scan, size_t i, bool wide)
{
	if (!is_tail(redact_before(scan, i)))
		return 0;
	unsigned second = i >= scan->floor + 2 ? redact_before(scan, i - 1) : 0;
	if (is_two_lead(second))
		return 2;
	if (wide && i >= scan->floor + 3 && is_tail(second) && is_three_lead(redact_before(scan, i - 2)) &&
		!(redact_before(scan, i - 2) == 0xe3 && second == 0x80))
		return 3;
	return 0;
}

static size_t local_start(struct redact_scan *scan, size_t at)
{
	size_t i = at;
	bool wide = high_before(scan, at, true) == 3;
	while (at - i < LOCAL_MAX) {
		size_t high = high_before(scan, i, wide);
		if (high == 0 && (i == scan->floor || !is_local(redact_before(scan, i))))
			break;
		i += high ? 0 - high : (size_t)-1;
	}
	while (i < at && !redact_is(redact_at(scan, i), REDACT_WORD | REDACT_HIGH))
		i++;
	return i;
}

static size_t label_end(struct redact_scan *scan, size_t i)
{
	bool wide = is_three_lead(redact_at(scan, i));
	size_t from = i;
	while (i < scan->len && i - from < 63) {
		unsigned byte = redact_at(scan, i);
		if (redact_is(byte, REDACT_ALNUM | REDACT_DASH))
			i++;
		else if (is_two_lead(byte) && is_tail(redact_at(scan, i + 1)))
			i += 2;
		else if (wide && is_three_lead(byte) && is_tail(redact_at(scan, i + 1)) && is_tail(redact_at(scan, i + 2)) &&
				 !(byte == 0xe3 && redact_at(scan, i + 1) == 0x80))
			i += 3;
		else
			break;
	}
	while (i > from && redact_at(scan, i - 1) == '-')
		i--;
	return i;
}

/* Where the domain ends, 0 when it is none: two labels at least, the last of letters, and not 1.2.3 or a file. */
static size_t domain_end(struct redact_scan *scan, size_t from)
{
	size_t end = 0;
	size_t label = from;
	unsigned numbers = 0;
	for (unsigned labels = 1;; labels++) {
		size_t stop = label_end(scan, label);
		if (stop == label || stop - from > DOMAIN_MAX)
			break;
		unsigned first = redact_at(scan, label);
		numbers += labels <= 2 && redact_is(first, REDACT_DIGIT);
		bool letters = stop - label >= 2 && redact_run(scan, label, REDACT_LETTER | REDACT_HIGH, stop - label) == stop;
		letters = letters || redact_spells(scan, label, "xn--", 4, true);
		if (labels >= 2 && letters)
			end = stop;
		if (redact_at(scan, stop) != '.')
			break;
		label = stop + 1;
	}
	if (end == 0 || numbers == 2 || redact_at(scan, end) == '_')
		return 0;
	for (size_t n = 0; n < sizeof(file_ends) / sizeof(file_ends[0]); n++) {
		if (end - from > file_ends[n].len && redact_at(scan, end - file_ends[n].len - 1) == '.' &&
			redact_spells(scan, end - file_ends[n].len, file_ends[n].at, file_ends[n].len, true))
			return 0;
	}
	return end;
}

static bool is_allowed(const struct redact_options *options, struct str address, size_t local_len)
{
	struct str domain = str_sub(address, local_len, address.len);
	for (size_t n = 0; options && n < options->allowed_count; n++) {
		struct str allowed = options->allowed_emails[n];
		if (str_eq_case(allowed, address) || (allowed.len > 1 && allowed.at[0] == '@' && str_eq_case(allowed, domain)))
			return true;
	}
	return false;
}

bool redact_email(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (!redact_is(redact_at(scan, i + 1), REDACT_ALNUM | REDACT_HIGH))
		return false;
	size_t start = local_start(scan, i);
	if (start == i)
		return false;
	size_t end = domain_end(scan, i + 1);
	if (end == 0)
		return false;
	/* A name of the fediverse is public by its form: @kim@guild.example. */
	if (redact_before(scan, start) == '@')
		return false;
	bool is_git = i - start == 3 && redact_spells(scan, start, "git", 3, false) && redact_at(scan, end) == ':';
	if (is_git)
		return false;
	struct str address = str_make(scan->at + start, end - start);
	*span =
		(struct redact_span){start, end, is_allowed(scan->options, address, i - start) ? REDACT_KEEP : REDACT_EMAIL};
	return true;
}
