/*
 * redact_value.c - secrets that show by their label: password=..., "client_secret": "...", --password ..., the password is ...
 *
 * Only VALUE_MAX bytes are looked at to refuse a value, so that refusing one after the other stays cheap.
 */
#include "social/redact_priv.h"

struct label {
	struct str text;
	unsigned class;
	bool edge;
};

static const struct label labels[] = {
#define LABEL(class, text, edge) {STR(text), REDACT_##class, edge},
#include "social/redact_rules.def"
};

static const struct str no_values[] = {
#define NO_VALUE(text) STR(text),
#include "social/redact_rules.def"
};

enum {
	PASSWORD_LEAST = 4,
	QUOTED_LEAST = 3,
	SECRET_LEAST = 8,
	SECRET_TIGHT_LEAST = 6,
	QUOTED_MAX = 512,
	VALUE_MAX = 256, /* a longer one is a secret without further look, and taken whole */
	NO_VALUE_MAX = 24,
	OPTION_MAX = 40,
};

/* What is known about a value before it is judged. */
struct value {
	size_t start, end;
	unsigned class;
	bool quoted;
	bool tight;   /* no blank before it */
	bool labeled; /* the label begins a line, the value ends one */
	bool path_ok; /* a path is not a value: PWD=/srv */
};

/* ---- labels ---- */

static const struct label *label_before(struct redact_scan *scan, size_t end, size_t *start)
{
	unsigned last = redact_before(scan, end);
	const struct label *best = NULL;
	if (!redact_is(last, REDACT_LETTER | REDACT_HIGH))
		return NULL;
	last |= last < 0x80 ? 0x20 : 0;
	for (size_t n = 0; n < sizeof(labels) / sizeof(labels[0]); n++) {
		const struct label *label = &labels[n];
		if ((unsigned char)label->text.at[label->text.len - 1] != last || (best && best->text.len >= label->text.len))
			continue;
		if (!redact_spelled(scan, end, label->text.at, label->text.len))
			continue;
		if (label->edge && redact_is(redact_before(scan, end - label->text.len), REDACT_LETTER))
			continue;
		best = label;
	}
	if (best)
		*start = end - best->text.len;
	return best;
}

/* Passes over what may stand between a name and its sign: blanks, quotes, brackets, marks of emphasis. */
static size_t name_end(struct redact_scan *scan, size_t i)
{
	for (unsigned n = 0; n < 5; n++) {
		unsigned byte = redact_before(scan, i);
		if (byte == 0 || i == scan->floor || !strchr(" \"'`]\\*)", (int)byte))
			break;
		i--;
	}
	return i;
}

static bool begins_line(struct redact_scan *scan, size_t i)
{
	for (unsigned n = 0; n < 24; n++, i--) {
		unsigned byte = redact_before(scan, i);
		if (byte == 0 || byte == '\n' || byte == ',' || byte == ';' || byte == '{')
			return true;
		if (!redact_is(byte, REDACT_WORD | REDACT_DASH | REDACT_HIGH) && byte != '*' && byte != '"' && byte != '\'')
			return false;
	}
	return false;
}

/* ---- values ---- */

static size_t value_stop(struct redact_scan *scan, size_t i, size_t max)
{
	size_t from = i;
	while (i < scan->len && i - from < max && !redact_is(scan->at[i], REDACT_BLANK | REDACT_QUOTE) &&
		   scan->at[i] != '&' && scan->at[i] != ';' && scan->at[i] != '\\')
		i++;
	scan->steps += i - from;
	if (i - from == max)
		return i;
	while (i > from && strchr(".,:)]}*|", scan->at[i - 1]))
		i--;
	return i;
}

/* The closing quote on the same line, or 0. */
static size_t quote_stop(struct redact_scan *scan, size_t i, unsigned quote)
{
	for (size_t k = i; k < scan->len && k - i < QUOTED_MAX; k++) {
		unsigned byte = redact_at(scan, k);
		if (byte == '\n')
			return 0;
		if (byte == quote)
			return k > i && scan->at[k - 1] == '\\' ? k - 1 : k;
	}
	return 0;
}

/* Reads the value from i on, behind the sign. */
static bool value_read(struct redact_scan *scan, size_t i, struct value *value)
{
	size_t from = i;
	while (redact_at(scan, i) == '*' && i - from < 2)
		i++;
	size_t blanks = i;
	while ((redact_at(scan, i) == ' ' || redact_at(scan, i) == '\t') && i - blanks < 8)
		i++;
	value->tight = i == blanks;
	while (redact_at(scan, i) == '\\' && i - blanks < 10)
		i++;
	unsigned byte = redact_at(scan, i);
	if (byte == '"' || byte == '\'' || byte == '`') {
		value->start = i + 1;
		value->end = quote_stop(scan, i + 1, byte);
		value->quoted = value->end != 0;
		if (!value->quoted)
			value->end = value_stop(scan, value->start, VALUE_MAX);
	} else {
		value->start = i;
		value->end = value_stop(scan, i, VALUE_MAX);
	}
	return value->end > value->start;
}

static bool is_no_value(struct redact_scan *scan, const struct value *value)
{
	size_t len = value->end - value->start;
	if (len > NO_VALUE_MAX)
		return false;
	scan->steps += len;
	for (size_t n = 0; n < sizeof(no_values) / sizeof(no_values[0]); n++) {
		if (str_eq_case(no_values[n], str_make(scan->at + value->start, len)))
			return true;
	}
	return false;
}

/* ${X}, $X, <password>, %s, {{x}}, [hidden], ****, ...: stands for a value. */
static bool is_placeholder(struct redact_scan *scan, const struct value *value)
{
	unsigned first = redact_at(scan, value->start);
	unsigned second = value->end - value->start > 1 ? redact_at(scan, value->start + 1) : 0;
	size_t len = value->end - value->start;
	if (strchr("<{[", (int)first) || (first == '%' && (second == '(' || len <= 3)))
		return true;
	if (first == '$' && (second == '{' || second == '('))
		return true;
	size_t same = value->start;
	while (same < value->end && scan->at[same] == first)
		same++;
	scan->steps += same - value->start;
	if (same == value->end && strchr("*.xX-_#?", (int)first))
		return true;
	size_t from = value->start + (first == '$' || first == '%' || first == '@');
	if (from == value->start)
		return false;
	return redact_run(scan, from, REDACT_UPPER | REDACT_UNDERSCORE, value->end - from) >= value->end - (first == '%');
}

/* get_password(), os.environ[...], self.password, std::env: a program that fetches it. */
static bool is_code(struct redact_scan *scan, const struct value *value)
{
	size_t end = redact_run(scan, value->start, REDACT_LETTER | REDACT_UNDERSCORE, value->end - value->start);
	if (end == value->start || end == value->end)
		return false;
	unsigned next = redact_at(scan, end);
	if (next == '(' || next == '[')
		return true;
	if (next == ':' && redact_at(scan, end + 1) == ':')
		return true;
	if (next != '.')
		return false;
	end = redact_run(scan, end + 1, REDACT_LETTER | REDACT_UNDERSCORE | REDACT_DOT, value->end - end - 1);
	next = redact_at(scan, end);
	return end == value->end || next == '(' || next == '[' || next == ')' || next == ',';
}

static bool is_url_or_path(struct redact_scan *scan, const struct value *value)
{
	if (redact_spells(scan, value->start, "http://", 7, true) || redact_spells(scan, value->start, "https://", 8, true))
		return true;
	unsigned first = redact_at(scan, value->start);
	return !value->quoted &&
		   (first == '/' || first == '~' || (first == '.' && redact_at(scan, value->start + 1) == '/'));
}

static bool ends_line(struct redact_scan *scan, size_t end)
{
	size_t after = redact_run(scan, end, REDACT_BLANK, 1);
	return end >= scan->len || redact_at(scan, end) == '\n' || redact_at(scan, end) == '\r' || after >= scan->len;
}

static bool is_password(struct redact_scan *scan, const struct value *value)
{
	size_t len = value->end - value->start;
	if (value->quoted)
		return len >= QUOTED_LEAST;
	if (len < PASSWORD_LEAST || is_code(scan, value))
		return false;
	size_t from = value->start + redact_is(redact_at(scan, value->start), REDACT_UPPER);
	bool is_letters = redact_run(scan, from, REDACT_LOWER | REDACT_HIGH, value->end - from) == value->end;
	if (!is_letters)
		return true;
	return value->tight || (value->labeled && ends_line(scan, value->end));
}

static bool is_secret(struct redact_scan *scan, const struct value *value)
{
	size_t len = value->end - value->start;
	bool close = value->tight || value->quoted;
	if (len < (close ? SECRET_TIGHT_LEAST : SECRET_LEAST) || (!value->quoted && is_code(scan, value)))
		return false;
	scan->steps += len;
	if (value->quoted && memchr(scan->at + value->start, ' ', len))
		return false;
	size_t digit = redact_find(scan, value->start, REDACT_DIGIT, len);
	bool all_digits = redact_run(scan, value->start, REDACT_DIGIT | REDACT_DOT, len) == value->end;
	if (!close && all_digits)
		return false;
	bool has_sign = redact_run(scan, value->start, REDACT_LOWER | REDACT_UNDERSCORE | REDACT_DASH, len) < value->end;
	return digit < value->end || (close && has_sign && len >= SECRET_LEAST) || (close && len >= 16);
}

/* Judges the value and fills span; a vendor's key that covers it keeps its own name. */
static bool value_match(struct redact_scan *scan, const struct value *value, struct redact_span *span)
{
	if (!value->quoted && value->end - value->start == VALUE_MAX) {
		*span = (struct redact_span){value->start, value_stop(scan, value->start, SIZE_MAX), value->class};
		return true;
	}
	if (is_placeholder(scan, value) || is_no_value(scan, value) || is_url_or_path(scan, value))
		return false;
	if (!(value->class == REDACT_PASSWORD ? is_password(scan, value) : is_secret(scan, value)))
		return false;
	if (redact_is(redact_at(scan, value->start), REDACT_LETTER) && redact_secret_key(scan, value->start, span) &&
		span->start == value->start && span->end >= value->end)
		return true;
	*span = (struct redact_span){value->start, value->end, value->class};
	return true;
}

static bool match_behind(struct redact_scan *scan, size_t name, size_t sign_end, struct redact_span *span)
{
	struct value value = {.start = 0};
	size_t label_start;
	const struct label *label = label_before(scan, name, &label_start);
	if (!label || !value_read(scan, sign_end, &value))
		return false;
	value.class = label->class;
	value.labeled = begins_line(scan, label_start);
	return value_match(scan, &value, span);
}

bool redact_value_assigned(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	unsigned byte = redact_at(scan, i);
	size_t end = i + 1;
	if (byte == 0xef) {
		if (redact_at(scan, i + 1) != 0xbc || redact_at(scan, i + 2) != 0x9a)
			return false;
		end = i + 3;
	}
	unsigned next = redact_at(scan, end);
	unsigned before = redact_before(scan, i);
	if (byte == ':' && (next == ':' || next == '=' || before == ':'))
		return false;
	if (byte == '=') {
		if (next == '=' || next == '~' || (before && strchr("!=<>~", (int)before)))
			return false;
		end += next == '>';
		i -= before == ':' && i > scan->floor;
	}
	return match_behind(scan, name_end(scan, i), end, span);
}

/* <password>...</password> */
bool redact_value_element(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	struct value value = {.quoted = true, .tight = true};
	size_t start;
	const struct label *label = label_before(scan, i, &start);
	if (!label)
		return false;
	size_t open = start;
	while (start - open < OPTION_MAX && redact_is(redact_before(scan, open), REDACT_URL64))
		open--;
	if (redact_before(scan, open) != '<')
		return false;
	value.start = i + 1;
	value.end = quote_stop(scan, i + 1, '<');
	value.class = label->class;
	return value.end > value.start && value_match(scan, &value, span);
}

/* --password VALUE */
bool redact_value_option(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	if (redact_at(scan, i + 1) != '-' || redact_is(redact_before(scan, i), REDACT_WORD | REDACT_DASH))
		return false;
	size_t end = redact_run(scan, i + 2, REDACT_URL64, OPTION_MAX);
	return end > i + 2 && redact_at(scan, end) == ' ' && match_behind(scan, end, end + 1, span);
}

/* "the password is hunter2": only with a digit in it. */
bool redact_value_phrase(struct redact_scan *scan, size_t i, struct redact_span *span)
{
	unsigned byte = redact_at(scan, i);
	if ((byte != 'i' && byte != 'l') || redact_before(scan, i) != ' ')
		return false;
	bool is = redact_spells(scan, i, "is ", 3, false);
	bool ist = redact_spells(scan, i, "ist ", 4, false);
	bool lautet = redact_spells(scan, i, "lautet ", 7, false);
	size_t start;
	const struct label *label = is || ist || lautet ? label_before(scan, i - 1, &start) : NULL;
	if (!label || label->class != REDACT_PASSWORD)
		return false;
	struct value value = {.class = label->class};
	if (!value_read(scan, i + (is ? 3 : ist ? 4 : 7), &value) || value.end - value.start < PASSWORD_LEAST + 1)
		return false;
	bool has_digit = redact_find(scan, value.start, REDACT_DIGIT, value.end - value.start) < value.end;
	return (has_digit || value.quoted) && value_match(scan, &value, span);
}
