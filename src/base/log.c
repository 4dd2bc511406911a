/* log.c - one line per fact, built on the stack and written at once. */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/env.h"
#include "base/timefmt.h"

#define LINE_BYTES 2048
/* Kept free for the mark of a cut line and its end: ,"more":"..."} and a newline. */
#define TAIL_BYTES 24

struct line {
	size_t len;
	bool cut;
	char at[LINE_BYTES];
};

static atomic_int level_now = LOG_INFO;
static atomic_bool form_json;

static const char *const level_words[] = {"debug", "info", "warn", "error", "off"};

void log_set(enum log_level level, bool json)
{
	atomic_store_explicit(&level_now, (int)level, memory_order_relaxed);
	atomic_store_explicit(&form_json, json, memory_order_relaxed);
}

enum log_level log_level_now(void)
{
	return (enum log_level)atomic_load_explicit(&level_now, memory_order_relaxed);
}

bool log_level_parse(struct str word, enum log_level *out)
{
	for (unsigned i = 0; i <= LOG_OFF; i++) {
		if (str_eq(word, str_of(level_words[i]))) {
			*out = (enum log_level)i;
			return true;
		}
	}
	return false;
}

static bool fits(const struct line *line, struct str s)
{
	return s.len <= LINE_BYTES && line->len + s.len <= LINE_BYTES - TAIL_BYTES;
}

/* Puts all of s, or nothing and marks the line as cut. */
static void put(struct line *line, struct str s)
{
	if (line->cut || !fits(line, s)) {
		line->cut = true;
		return;
	}
	memcpy(line->at + line->len, s.at, s.len);
	line->len += s.len;
}

/* For the end of the line, into the room kept for it. */
static void put_tail(struct line *line, struct str s)
{
	memcpy(line->at + line->len, s.at, s.len);
	line->len += s.len;
}

/* Length of the well-formed UTF-8 sequence at the front of s (RFC 3629), 0 when there is none. */
static size_t sequence_len(struct str s)
{
	unsigned char lead = (unsigned char)s.at[0];
	size_t len = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf5 ? 4 : 0;
	unsigned char second;

	if (len > s.len) {
		return 0;
	}
	for (size_t i = 1; i < len; i++) {
		if (((unsigned char)s.at[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	second = len > 1 ? (unsigned char)s.at[1] : 0;
	if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f) || (lead == 0xf0 && second < 0x90) ||
	    (lead == 0xf4 && second > 0x8f)) {
		return 0;
	}
	return len;
}

/* One character of a value, escaped where a terminal or a parser would take it for more than text. */
static void put_char(struct line *line, struct str one, bool valid, bool json)
{
	unsigned char first = (unsigned char)one.at[0];
	char escape[8];
	int len;

	if (!valid) {
		len = json ? snprintf(escape, sizeof(escape), "\\ufffd")
			   : snprintf(escape, sizeof(escape), "\\x%02x", first);
	} else if (one.len == 1 && (first == '"' || first == '\\')) {
		len = snprintf(escape, sizeof(escape), "\\%c", first);
	} else if (one.len == 1 && (first < 0x20 || first == 0x7f)) {
		len = snprintf(escape, sizeof(escape), json ? "\\u%04x" : "\\x%02x", first);
	} else if (one.len == 2 && first == 0xc2 && (unsigned char)one.at[1] < 0xa0) {
		len = snprintf(escape, sizeof(escape), "\\u%04x", (unsigned)(unsigned char)one.at[1]);
	} else {
		put(line, one);
		return;
	}
	put(line, str_make(escape, (size_t)len));
}

static void put_escaped(struct line *line, struct str s, bool json)
{
	while (s.len > 0 && !line->cut) {
		size_t len = sequence_len(s);
		put_char(line, str_sub(s, 0, len ? len : 1), len > 0, json);
		s = str_sub(s, len ? len : 1, s.len);
	}
}

static bool wants_quotes(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = (unsigned char)s.at[i];
		if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') {
			return true;
		}
	}
	return s.len == 0;
}

/* Puts a quoted value; one that does not fit is cut with "..." and closed, so that JSON stays JSON. */
static void put_quoted(struct line *line, struct str s, bool json)
{
	put(line, STR("\""));
	if (line->cut) {
		return;
	}
	put_escaped(line, s, json);
	if (line->cut) {
		put_tail(line, STR("...\""));
	} else {
		put_tail(line, STR("\""));
	}
}

static void put_field(struct line *line, const struct log_field *field, bool json)
{
	size_t before = line->len;
	char digits[24];

	put(line, json ? STR(",\"") : STR(" "));
	put_escaped(line, str_of(field->name), json);
	put(line, json ? STR("\":") : STR("="));
	if (field->kind == LOG_FIELD_I64) {
		int len = snprintf(digits, sizeof(digits), "%" PRId64, field->number);
		put(line, str_make(digits, (size_t)len));
	} else if (json || wants_quotes(field->text) || !fits(line, field->text)) {
		size_t start = line->len;
		put_quoted(line, field->text, json);
		if (line->len > start) {
			return;
		}
	} else {
		put(line, field->text);
	}
	if (line->cut) {
		line->len = before;
		put_tail(line, json ? STR(",\"more\":\"...\"") : STR(" ..."));
	}
}

static void build(struct line *line, enum log_level level, const char *event, const struct log_field *fields,
		  size_t count, bool json)
{
	struct time_text now = time_format(env_wall_us(env_real()));

	line->len = 0;
	line->cut = false;
	put(line, json ? STR("{\"time\":\"") : STR(""));
	put(line, time_str(&now));
	put(line, json ? STR("\",\"level\":\"") : STR(" "));
	put(line, str_of(level_words[level]));
	put(line, json ? STR("\",\"event\":") : STR(" "));
	if (json) {
		put_quoted(line, str_of(event), true);
	} else {
		put_escaped(line, str_of(event), false);
	}
	for (size_t i = 0; i < count && !line->cut; i++) {
		put_field(line, &fields[i], json);
	}
	put_tail(line, json ? STR("}\n") : STR("\n"));
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count)
{
	bool json = atomic_load_explicit(&form_json, memory_order_relaxed);
	int saved_errno = errno;
	struct line line;
	ssize_t written;

	if (level < log_level_now() || level >= LOG_OFF) {
		return;
	}
	build(&line, level, event, fields, count, json);
	do {
		written = write(STDERR_FILENO, line.at, line.len);
	} while (written < 0 && errno == EINTR);
	errno = saved_errno;
}
