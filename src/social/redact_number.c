/*
 * redact_number.c - numbers that point at somebody: cards, social security numbers, telephones, IBANs, addresses of hosts.
 *
 * A number is read as groups of digits with one separator between. No trial reads more than NUMBER_GROUPS groups.
 */
#include "social/redact_priv.h"

enum {
	NUMBER_GROUPS = 8,
	NUMBER_DIGITS = 24, /* a longer group is no number of ours */
	PHONE_LEAST = 9,
	PHONE_MOST = 15, /* E.164 */
	CONTEXT_BYTES = 24,
	VERSION_LETTERS = 3, /* version 1.2.3.4 and 1.2.3.5 */
};

struct groups {
	unsigned count;
	unsigned digits;
	size_t start[NUMBER_GROUPS];
	size_t end[NUMBER_GROUPS];
	unsigned len[NUMBER_GROUPS];
	char between[NUMBER_GROUPS]; /* what stands before the group */
	uint8_t digit[NUMBER_GROUPS * NUMBER_DIGITS];
};

/* ---- reading ---- */

/* Reads a separator at *i; 0 for none. Blanks and hyphens that do not break a line count as plain ones. */
static char separator_at(struct redact_scan *scan, size_t *i)
{
	unsigned byte = redact_at(scan, *i);
	if (byte == ' ' || byte == '-' || byte == '.' || byte == '/') {
		*i += 1;
		return (char)byte;
	}
	if (byte == 0xc2 && redact_at(scan, *i + 1) == 0xa0) {
		*i += 2;
		return ' ';
	}
	if (byte == 0xe2 && redact_at(scan, *i + 1) == 0x80) {
		unsigned third = redact_at(scan, *i + 2);
		*i += third == 0xaf || third == 0x91 ? 3 : 0;
		return third == 0xaf ? ' ' : third == 0x91 ? '-' : 0;
	}
	return 0;
}

/* Reads one group of digits at i; false when there is none or it is too long. */
static bool group_add(struct redact_scan *scan, struct groups *groups, size_t i, char between)
{
	size_t end = redact_run(scan, i, REDACT_DIGIT, NUMBER_DIGITS);
	if (end == i || redact_is(redact_at(scan, end), REDACT_WORD) || groups->count == NUMBER_GROUPS)
		return false;
	unsigned n = groups->count++;
	groups->start[n] = i;
	groups->end[n] = end;
	groups->len[n] = (unsigned)(end - i);
	groups->between[n] = between;
	for (size_t k = i; k < end; k++)
		groups->digit[groups->digits++] = scan->at[k] - '0';
	return true;
}

static bool groups_read(struct redact_scan *scan, size_t i, struct groups *groups)
{
	*groups = (struct groups){.count = 0};
	if (!group_add(scan, groups, i, 0))
		return false;
	for (;;) {
		size_t next = groups->end[groups->count - 1];
		char between = separator_at(scan, &next);
		if (between == 0 || !group_add(scan, groups, next, between))
			return true;
	}
}

static unsigned digits_of(const struct groups *groups, unsigned count)
{
	unsigned digits = 0;
	for (unsigned n = 0; n < count; n++)
		digits += groups->len[n];
	return digits;
}

/* Have the groups from 1 up to count all this separator before them? */
static bool all_between(const struct groups *groups, unsigned count, char between)
{
	for (unsigned n = 1; n < count; n++) {
		if (groups->between[n] != between)
			return false;
	}
	return true;
}

static bool has_lens(const struct groups *groups, unsigned from, const unsigned *lens, unsigned count)
{
	if (groups->count < from + count)
		return false;
	for (unsigned n = 0; n < count; n++) {
		if (groups->len[from + n] != lens[n])
			return false;
	}
	return true;
}

/* ---- what stands around ---- */

/* May a number begin at i? Not in the middle of a longer one, of a name, an amount or a version. */
static bool left_edge(struct redact_scan *scan, size_t i)
{
	unsigned before = redact_before(scan, i);
	unsigned further = i > scan->floor ? redact_before(scan, i - 1) : 0;
	if (redact_is(before, REDACT_WORD) || before == '+')
		return false;
	if (before == '-')
		return !redact_is(further, REDACT_ALNUM);
	return !((before == '.' || before == '/') && redact_is(further, REDACT_DIGIT));
}

/* May it end before end? Not when a word goes on, or one of more (a set of bytes) and a digit follow. */
static bool right_edge(struct redact_scan *scan, size_t end, const char *more)
{
	unsigned next = redact_at(scan, end);
	if (redact_is(next, REDACT_WORD))
		return false;
	return !(next && strchr(more, (int)next) && redact_is(redact_at(scan, end + 1), REDACT_DIGIT));
}

/* Does one of the words stand in the bytes before i, on the same line, with at most letters_max letters between? Whole words,
 * without regard to case. */
static bool has_context(struct redact_scan *scan, size_t i, const struct str *words, size_t count, unsigned letters_max)
{
	char window[CONTEXT_BYTES + 2];
	size_t from = i > scan->floor + CONTEXT_BYTES ? i - CONTEXT_BYTES : scan->floor;
	size_t len = 0;
	bool has_word = false;
	window[len++] = ' ';
	for (size_t k = from; k < i; k++) {
		unsigned byte = redact_at(scan, k);
		has_word = byte != '\n' && (has_word || redact_is(byte, REDACT_LETTER | REDACT_HIGH));
		if (byte == '\n')
			len = 0;
		window[len++] = (char)(redact_is(byte, REDACT_UPPER) ? byte | 0x20 : byte);
	}
	for (size_t n = 0; has_word && n < count; n++) {
		struct str rest = str_make(window, len);
		scan->steps += len;
		ptrdiff_t at;
		while ((at = str_find(rest, words[n])) >= 0) {
			unsigned before = at == 0 ? ' ' : (unsigned char)rest.at[at - 1];
			rest = str_sub(rest, (size_t)at + words[n].len, rest.len);
			unsigned after = rest.len ? (unsigned char)rest.at[0] : ' ';
			bool high = (unsigned char)words[n].at[0] >= 0x80;
			unsigned letters = 0;
			for (size_t k = 0; k < rest.len; k++)
				letters += redact_is((unsigned char)rest.at[k], REDACT_LETTER | REDACT_HIGH);
			if (letters <= letters_max &&
				(high || (!redact_is(before, REDACT_ALNUM) && !redact_is(after, REDACT_LETTER))))
				return true;
		}
	}
	return false;
}

static bool is_called_phone(struct redact_scan *scan, size_t i)
{
	static const struct str words[] = {
		STR("tel"),
		STR("telefon"),
		STR("telephone"),
		STR("phone"),
		STR("mobile"),
		STR("mobil"),
		STR("cell"),
		STR("handy"),
		STR("fax"),
		STR("call"),
		STR("call me"),
		STR("sms"),
		STR("whatsapp"),
		STR("telefono"),
		STR("telefone"),
		STR("celular"),
		STR("cellulare"),
		STR("telefoon"),
		STR("ring me"),
		STR("portable"),
		STR("movil"),
		STR("anrufen"),
		STR("\xe7\x94\xb5\xe8\xaf\x9d"),
		STR("\xe9\x9b\xbb\xe8\xa9\xb1"),
		STR("\xe6\x89\x8b\xe6\x9c\xba"),
		STR("\xe2\x98\x8e"),
		STR("\xf0\x9f\x93\x9e"),
		STR("\xd1\x82\xd0\xb5\xd0\xbb"),
		STR("t\xc3\xa9l\xc3\xa9phone"),
		STR("tel\xc3\xa9"
			"fono"),
	};
	return has_context(scan, i, words, sizeof(words) / sizeof(words[0]), CONTEXT_BYTES);
}

static bool take(struct redact_span *span, size_t start, size_t end, unsigned class)
{
	*span = (struct redact_span){start, end, class};
	return true;
}

/* ---- payment cards ---- */

static bool passes_luhn(const uint8_t *digit, unsigned count)
{
	unsigned sum = 0;
	for (unsigned n = 0; n < count; n++) {
		unsigned value = digit[count - 1 - n];
		if (n % 2 == 1)
			value = value * 2 > 9 ? value * 2 - 9 : value * 2;
		sum += value;
	}
	return sum % 10 == 0;
}

/* Ranges of first digits that networks give out, with the lengths they use. */
static bool is_issued(const uint8_t *digit, unsigned count)
{
	static const struct {
		unsigned from, to; /* the first four digits */
		unsigned least, most;
	} ranges[] = {
		{4000, 4999, 16, 16},
		{4000, 4999, 13, 13},
		{4000, 4999, 19, 19},
		{5100, 5599, 16, 16},
		{2200, 2720, 16, 16},
		{3400, 3499, 15, 15},
		{3700, 3799, 15, 15},
		{6011, 6011, 16, 19},
		{6440, 6599, 16, 19},
		{3528, 3589, 16, 19},
		{3000, 3059, 14, 19},
		{3095, 3095, 14, 19},
		{3600, 3699, 14, 19},
		{3800, 3999, 14, 19},
		{6200, 6299, 16, 19},
		{5018, 5018, 13, 19},
		{5020, 5020, 13, 19},
		{5038, 5038, 13, 19},
		{5893, 5893, 13, 19},
		{6304, 6304, 13, 19},
		{6759, 6763, 13, 19},
		{6040, 6069, 16, 16},
		{8100, 8171, 16, 19},
		{9792, 9792, 16, 16},
	};
	unsigned first = digit[0] * 1000u + digit[1] * 100u + digit[2] * 10u + digit[3];
	for (size_t n = 0; n < sizeof(ranges) / sizeof(ranges[0]); n++) {
		if (first >= ranges[n].from && first <= ranges[n].to && count >= ranges[n].least && count <= ranges[n].most)
			return true;
	}
	return false;
}

static bool match_card(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	static const struct {
		unsigned count;
		unsigned lens[5];
	} shapes[] = {{5, {4, 4, 4, 4, 3}}, {4, {4, 4, 4, 4}}, {3, {4, 6, 5}}, {3, {4, 6, 4}}, {4, {4, 4, 4, 1}}};
	unsigned used = groups->len[0] >= 13 && groups->len[0] <= 19 ? 1 : 0;
	char between = groups->count > 1 ? groups->between[1] : 0;
	for (size_t n = 0;
		 used == 0 && (between == ' ' || between == '-' || between == '.') && n < sizeof(shapes) / sizeof(shapes[0]);
		 n++) {
		if (has_lens(groups, 0, shapes[n].lens, shapes[n].count) && all_between(groups, shapes[n].count, between))
			used = shapes[n].count;
	}
	if (used == 0)
		return false;
	unsigned digits = digits_of(groups, used);
	if (!is_issued(groups->digit, digits) || !passes_luhn(groups->digit, digits))
		return false;
	return right_edge(scan, groups->end[used - 1], "-.") &&
		   take(span, groups->start[0], groups->end[used - 1], REDACT_CARD);
}

/* ---- social security numbers ---- */

/* Never given out: areas 000, 666 and from 900 on, group 00, serial 0000. */
static bool is_ssn(const uint8_t *digit)
{
	unsigned area = digit[0] * 100u + digit[1] * 10u + digit[2];
	bool group = digit[3] || digit[4];
	bool serial = digit[5] || digit[6] || digit[7] || digit[8];
	return area != 0 && area != 666 && area < 900 && group && serial;
}

static bool match_ssn(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	static const struct str words[] = {STR("ssn"), STR("social security")};
	static const unsigned lens[] = {3, 2, 4};
	if (groups->len[0] == 9)
		return is_ssn(groups->digit) && right_edge(scan, groups->end[0], "-./") &&
			   has_context(scan, groups->start[0], words, 2, CONTEXT_BYTES) &&
			   take(span, groups->start[0], groups->end[0], REDACT_SSN);
	if (!has_lens(groups, 0, lens, 3) || !is_ssn(groups->digit))
		return false;
	char between = groups->between[1];
	if (groups->between[2] != between || (between != '-' && between != ' '))
		return false;
	return right_edge(scan, groups->end[2], between == ' ' ? "-./ " : "-./") &&
		   take(span, groups->start[0], groups->end[2], REDACT_SSN);
}

/* ---- IPv4 ---- */

static bool is_octet(const struct groups *groups, unsigned n, const uint8_t *digit, unsigned *value)
{
	*value = 0;
	for (unsigned k = 0; k < groups->len[n]; k++)
		*value = *value * 10 + digit[k];
	return groups->len[n] <= 3 && *value <= 255 && (groups->len[n] == 1 || digit[0] != 0);
}

/* Four octets at groups 0 to 3. Loopback, "any" and masks are nobody's address. */
static bool is_ipv4(const struct groups *groups, bool *personal)
{
	unsigned value[4];
	const uint8_t *digit = groups->digit;
	if (groups->count < 4 || !all_between(groups, 4, '.') || (groups->count > 4 && groups->between[4] == '.'))
		return false;
	for (unsigned n = 0; n < 4; n++) {
		if (!is_octet(groups, n, digit, &value[n]))
			return false;
		digit += groups->len[n];
	}
	*personal = value[0] != 0 && value[0] != 127 && value[0] != 255;
	return true;
}

/* A hyphen goes on to a second address of a range, or to the rest of a version. */
static bool ipv4_ends(struct redact_scan *scan, size_t end)
{
	struct groups second;
	bool personal;
	unsigned further = redact_at(scan, end + 1);
	if (redact_at(scan, end) != '-' || !redact_is(further, REDACT_ALNUM))
		return right_edge(scan, end, "");
	return groups_read(scan, end + 1, &second) && is_ipv4(&second, &personal);
}

static bool match_ipv4(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	static const struct str words[] = {STR("version"), STR("versions"), STR("v"), STR("ver"), STR("release"),
		STR("build"), STR("firmware"), STR("section"), STR("rev"), STR("revision"), STR("chapter"), STR("driver"),
		STR("kapitel"), STR("abschnitt"), STR("upgrade to"), STR("clause"), STR("\xc2\xa7")};
	bool personal;
	size_t start = groups->start[0];
	if (!is_ipv4(groups, &personal) || !personal || !ipv4_ends(scan, groups->end[3]))
		return false;
	unsigned before = redact_before(scan, start);
	unsigned further = start > scan->floor ? redact_before(scan, start - 1) : 0;
	bool pinned = (before == '/' && redact_is(further, REDACT_ALNUM)) || (before == '=' && further == '=') ||
				  before == '^' || before == '~' || before == '.';
	if (pinned || has_context(scan, start, words, sizeof(words) / sizeof(words[0]), VERSION_LETTERS))
		return false;
	return take(span, start, groups->end[3], REDACT_IP);
}

/* ---- telephones ---- */

/* 01.02.2024, 2024-01-02, 01/02/24 at the front? */
static bool is_date(const struct groups *groups)
{
	if (groups->count < 3 || groups->between[1] != groups->between[2] || groups->between[1] == ' ')
		return false;
	if (groups->count > 3 && groups->between[3] == groups->between[2])
		return false;
	return (groups->len[0] <= 2 && groups->len[1] <= 2 && (groups->len[2] == 4 || groups->len[2] == 2)) ||
		   (groups->len[0] == 4 && groups->len[1] <= 2 && groups->len[2] <= 2);
}

/* North America: 555-123-4567, 1.555.123.4567. Area codes do not begin with 0 or 1 nor end with 11. */
static bool match_nanp(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	static const unsigned lens[] = {3, 3, 4};
	unsigned from = groups->len[0] == 1 && groups->digit[0] == 1 ? 1 : 0;
	if (!has_lens(groups, from, lens, 3))
		return false;
	const uint8_t *area = groups->digit + from;
	char between = groups->between[from + 1];
	if (area[0] < 2 || (area[1] == 1 && area[2] == 1) || groups->between[from + 2] != between || between == '/')
		return false;
	return right_edge(scan, groups->end[from + 2], between == ' ' ? "-. " : "-.") &&
		   take(span, groups->start[0], groups->end[from + 2], REDACT_PHONE);
}

/* With the trunk's 0, or 00 and a country: 030 123456-78, 01 23 45 67 89, 0049 30 1234567. All groups there are. */
static bool match_trunk(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	const uint8_t *digit = groups->digit;
	unsigned last = groups->count - 1;
	if (groups->count < 2 || digit[0] != 0 || groups->len[0] < 2 || groups->count == NUMBER_GROUPS || is_date(groups))
		return false;
	bool abroad = digit[1] == 0;
	if (abroad ? groups->len[0] < 3 && groups->between[1] != ' ' : groups->len[0] > 6)
		return false;
	if (abroad && (groups->len[0] > 5 || digit[2] == 0))
		return false;
	if (groups->digits < (abroad ? 11u : PHONE_LEAST) || groups->digits > (abroad ? 17u : 12u))
		return false;
	for (unsigned n = 1; n <= last; n++) {
		bool extension = n == last && n > 1 && groups->between[n] == '-';
		if ((groups->len[n] < 2 && !extension) || (n > 1 && groups->between[n] == '/'))
			return false;
		if (n > 1 && !extension && groups->between[n] != groups->between[2])
			return false;
		if (groups->between[n] == '.' && groups->count < 3)
			return false;
	}
	return right_edge(scan, groups->end[last], "-./:,") &&
		   take(span, groups->start[0], groups->end[last], REDACT_PHONE);
}

/* Mobile numbers of China in their usual groups: 138 1234 5678. */
static bool match_china(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	static const unsigned lens[] = {3, 4, 4};
	if (!has_lens(groups, 0, lens, 3) || groups->digit[0] != 1 || groups->digit[1] < 3)
		return false;
	char between = groups->between[1];
	if (groups->between[2] != between || (between != ' ' && between != '-'))
		return false;
	return right_edge(scan, groups->end[2], "-. ") && take(span, groups->start[0], groups->end[2], REDACT_PHONE);
}

/* Any number of a fitting length behind "tel", "call" and the like. */
static bool match_called(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	unsigned last = groups->count - 1;
	if (groups->digits < 7 || groups->digits > PHONE_MOST || is_date(groups) || groups->count > 6)
		return false;
	for (unsigned n = 1; n <= last; n++) {
		if (groups->between[n] == '.' && groups->count < 3)
			return false;
	}
	return is_called_phone(scan, groups->start[0]) && right_edge(scan, groups->end[last], "-./:,") &&
		   take(span, groups->start[0], groups->end[last], REDACT_PHONE);
}

static bool match_phone(struct redact_scan *scan, const struct groups *groups, struct redact_span *span)
{
	unsigned before = redact_before(scan, groups->start[0]);
	if (before == '#' || before == '$' || before == ':')
		return before == ':' && groups->start[0] > scan->floor &&
			   redact_is(redact_before(scan, groups->start[0] - 1), REDACT_LETTER) &&
			   (match_called(scan, groups, span) || match_nanp(scan, groups, span) || match_trunk(scan, groups, span));
	return match_nanp(scan, groups, span) || match_trunk(scan, groups, span) || match_china(scan, groups, span) ||
		   match_called(scan, groups, span);
}

bool redact_number_digit(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	struct groups groups;
	if (!left_edge(scan, i) || !groups_read(scan, i, &groups))
		return false;
	return match_card(scan, &groups, span) || match_ssn(scan, &groups, span) || match_ipv4(scan, &groups, span) ||
		   match_phone(scan, &groups, span);
}

/* ---- +CC ... and (area) ... ---- */

/* How many digits a number of this country has; 0 when that differs, or is not known here. */
static unsigned digits_of_country(const uint8_t *digit)
{
	unsigned two = digit[0] * 10u + digit[1];
	if (digit[0] == 1 || digit[0] == 7 || two == 33 || two == 31 || two == 34)
		return 11;
	return two == 44 || two == 91 ? 12 : 0;
}

/* Codes that no country has. */
static bool is_country(const uint8_t *digit)
{
	unsigned two = digit[0] * 10u + digit[1];
	return digit[0] != 0 && two != 28 && two != 83 && two != 89;
}

bool redact_number_plus(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	uint8_t digit[PHONE_MOST + 1];
	unsigned count = 0;
	size_t edge = 0; /* the last place where it may end */
	if (redact_is(redact_before(scan, i), REDACT_WORD))
		return false;
	size_t at = i + 1;
	for (;;) {
		while (redact_is(redact_at(scan, at), REDACT_DIGIT) && count < PHONE_MOST) {
			digit[count++] = scan->at[at] - '0';
			at++;
		}
		unsigned wanted = count >= 2 ? digits_of_country(digit) : 0;
		bool strict = count >= 1 && (digit[0] == 1 || digit[0] == 7);
		if (!redact_is(redact_at(scan, at), REDACT_WORD) && (strict ? count == wanted : count >= PHONE_LEAST))
			edge = at;
		if (count == PHONE_MOST || (wanted && count >= wanted))
			break;
		unsigned signs = 0;
		size_t next = at;
		while (signs < 3) {
			unsigned byte = redact_at(scan, next);
			if (byte == '(' || byte == ')')
				next++;
			else if (separator_at(scan, &next) == 0)
				break;
			signs++;
		}
		if (signs == 0 || !redact_is(redact_at(scan, next), REDACT_DIGIT))
			break;
		at = next;
	}
	if (edge == 0 || !is_country(digit) || !right_edge(scan, edge, ""))
		return false;
	return take(span, i, edge, REDACT_PHONE);
}

bool redact_number_paren(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	struct groups area = {.count = 0};
	struct groups groups;
	bool plus = redact_at(scan, i + 1) == '+';
	if (redact_is(redact_before(scan, i), REDACT_WORD) || plus || !group_add(scan, &area, i + 1, 0))
		return false;
	if (area.len[0] < 2 || area.len[0] > 5 || redact_at(scan, area.end[0]) != ')')
		return false;
	size_t next = area.end[0] + 1;
	char between = separator_at(scan, &next);
	if (between == '/' || between == '.' || !groups_read(scan, next, &groups))
		return false;
	bool nanp = area.len[0] == 3 && area.digit[0] >= 2 && groups.count >= 2 && groups.len[0] == 3 && groups.len[1] == 4;
	bool brazil = area.len[0] == 2 && area.digit[0] != 0 && groups.count >= 2 && groups.len[0] >= 4 &&
				  groups.len[0] <= 5 && groups.len[1] == 4 && groups.between[1] == '-';
	if (nanp || brazil)
		return right_edge(scan, groups.end[1], "-.") && take(span, i, groups.end[1], REDACT_PHONE);
	unsigned digits = area.digits + groups.digits;
	bool trunk = area.digit[0] == 0 && area.digit[1] != 0 && digits >= PHONE_LEAST && digits <= 12 && groups.count <= 4;
	return trunk && right_edge(scan, groups.end[groups.count - 1], "-./:,") &&
		   take(span, i, groups.end[groups.count - 1], REDACT_PHONE);
}

/* ---- IPv6 ---- */

static unsigned hex_value(unsigned byte)
{
	return redact_is(byte, REDACT_DIGIT) ? byte - '0' : (byte | 0x20) - 'a' + 10;
}

/* Addresses that somebody has: global, local to a site or a link, or an IPv4 one inside. */
static bool is_ipv6_given(unsigned first, unsigned groups, bool has_v4)
{
	bool global = first >= 0x2000 && first <= 0x3fff;
	bool local = (first >= 0xfc00 && first <= 0xfdff) || (first >= 0xfe80 && first <= 0xfebf);
	return has_v4 || ((global || local || first == 0x64) && groups >= 2);
}

struct ipv6 {
	unsigned first;
	unsigned groups;
	bool gap; /* "::" was seen */
	bool has_v4;
};

/* Reads groups from i on; gives the end. */
static size_t ipv6_read(struct redact_scan *scan, size_t i, struct ipv6 *ip)
{
	struct groups v4;
	bool personal = false;
	while (ip->groups < 8) {
		size_t end = redact_run(scan, i, REDACT_HEX, 4);
		if (end == i)
			break;
		if (redact_at(scan, end) == '.' && ip->groups >= 1 && groups_read(scan, i, &v4) && is_ipv4(&v4, &personal)) {
			ip->has_v4 = personal;
			ip->groups += 2;
			return v4.end[3];
		}
		unsigned value = 0;
		for (size_t k = i; k < end; k++)
			value = value << 4 | hex_value(scan->at[k]);
		if (ip->groups++ == 0)
			ip->first = value;
		i = end;
		if (redact_at(scan, i) != ':')
			break;
		bool twice = redact_at(scan, i + 1) == ':';
		if ((twice && ip->gap) || !redact_is(redact_at(scan, i + (twice ? 2 : 1)), REDACT_HEX)) {
			ip->gap = ip->gap || twice;
			i += twice && ip->gap ? 2 : 0;
			break;
		}
		ip->gap = ip->gap || twice;
		i += twice ? 2 : 1;
	}
	return i;
}

bool redact_number_ipv6(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	struct ipv6 ip = {.first = 0};
	unsigned next = redact_at(scan, i + 1);
	if (next != ':' && !redact_is(next, REDACT_HEX))
		return false;
	size_t start = i;
	while (start > scan->floor && i - start < 4 && redact_is(redact_before(scan, start), REDACT_HEX))
		start--;
	unsigned before = redact_before(scan, start);
	if (redact_is(before, REDACT_WORD) || before == ':' || before == '.')
		return false;
	size_t from = start;
	if (start == i) {
		if (next != ':' || !redact_is(redact_at(scan, i + 2), REDACT_HEX))
			return false;
		ip.gap = true;
		ip.groups = 1;
		from = i + 2;
	}
	size_t end = ipv6_read(scan, from, &ip);
	bool whole = ip.gap ? ip.groups < 8 : ip.groups == 8;
	if (!whole || !is_ipv6_given(ip.first, ip.groups, ip.has_v4) || redact_is(redact_at(scan, end), REDACT_WORD))
		return false;
	return take(span, start, end, REDACT_IP);
}

/* ---- IBAN ---- */

/* Length of an IBAN by its country; 0 for a country that has none. */
static unsigned iban_len(unsigned first, unsigned second)
{
	static const char lens[] =
		"AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28EE20EG29ES24"
		"FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20LB28LC32"
		"LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24"
		"RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30";
	for (size_t n = 0; lens[n]; n += 4) {
		if ((unsigned char)lens[n] == (first & ~0x20u) && (unsigned char)lens[n + 1] == (second & ~0x20u))
			return (unsigned)(lens[n + 2] - '0') * 10 + (unsigned)(lens[n + 3] - '0');
	}
	return 0;
}

static unsigned iban_step(unsigned rest, unsigned byte)
{
	return redact_is(byte, REDACT_DIGIT) ? (rest * 10 + (byte - '0')) % 97
										 : (rest * 100 + ((byte | 0x20) - 'a' + 10)) % 97;
}

bool redact_number_iban(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (!redact_is(redact_at(scan, i + 2), REDACT_DIGIT) || !redact_is(redact_at(scan, i + 3), REDACT_DIGIT) ||
		!redact_is(redact_at(scan, i + 1), REDACT_LETTER))
		return false;
	unsigned len = iban_len(scan->at[i], scan->at[i + 1]);
	unsigned rest = 0;
	unsigned count = 4;
	size_t at = i + 4;
	while (count < len) {
		unsigned byte = redact_at(scan, at);
		size_t next = at;
		if (!redact_is(byte, REDACT_ALNUM)) {
			char between = separator_at(scan, &next);
			if (between == 0 || between == '/' || !redact_is(redact_at(scan, next), REDACT_ALNUM))
				return false;
			byte = scan->at[next];
		}
		rest = iban_step(rest, byte);
		count++;
		at = next + 1;
	}
	for (size_t k = i; k < i + 4; k++)
		rest = iban_step(rest, scan->at[k]);
	return len != 0 && rest == 1 && !redact_is(redact_at(scan, at), REDACT_WORD) && take(span, i, at, REDACT_IBAN);
}
