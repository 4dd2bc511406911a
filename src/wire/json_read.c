/*
 * json_read.c - one pass over the text, one flat array of nodes, no recursion.
 *
 * The open containers are a stack of node indices; what may come next is one word (enum want). Members are compared
 * with each other while an object is small and sorted by name once it is not, so that no choice of names makes it slow.
 */
#include "wire/json.h"

#include "base/limits.h"
#include "wire/json_priv.h"
#include "wire/utf8.h"

#define MEMBERS_COMPARED_MAX 16
#define NODES_FIRST 8
#define COUNTED_BYTES_MIN 16384

enum want { WANT_VALUE, WANT_NAME, WANT_MORE, WANT_NOTHING, WANT_STOP };

struct reader {
	const char *at;
	const char *end;
	struct json_node *nodes;
	uint32_t count;
	uint32_t cap;
	unsigned depth;
	uint32_t open[LIMIT_JSON_DEPTH];
	struct arena *arena;
	struct str text;
	enum err err;
	struct json_error error;
};

static bool read_string(struct reader *r, struct str *out);
static enum want read_value(struct reader *r);
static enum want read_name(struct reader *r);
static enum want read_more(struct reader *r);

static enum want stop(struct reader *r, enum err err, const char *at, const char *reason)
{
	r->err = err;
	r->error = (struct json_error){(size_t)(at - r->text.at), reason};
	return WANT_STOP;
}

static bool bad(struct reader *r, const char *at, const char *reason)
{
	stop(r, ERR_MALFORMED, at, reason);
	return false;
}

static inline void skip_space(struct reader *r)
{
	while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\t' || *r->at == '\r'))
		r->at++;
}

/* The byte at hand, 0 at the end: no JSON has a NUL outside of a string either. */
static inline char peek(const struct reader *r)
{
	return r->at < r->end ? *r->at : 0;
}

static bool grow(struct reader *r)
{
	uint32_t cap = r->cap > LIMIT_JSON_NODES / 2 ? LIMIT_JSON_NODES : r->cap * 2;
	struct json_node *nodes = r->count < cap ? arena_array(r->arena, struct json_node, cap) : NULL;
	if (!nodes) {
		stop(r, ERR_LIMIT, r->at, r->count < cap ? "out of memory" : "too many values");
		return false;
	}
	memcpy(nodes, r->nodes, sizeof(*nodes) * r->count);
	r->nodes = nodes;
	r->cap = cap;
	return true;
}

/* The next node, with kind and next set as for a value without descendants. NULL: stopped. */
static inline struct json_node *add_node(struct reader *r, enum json_kind kind)
{
	if (r->count == r->cap && !grow(r))
		return NULL;
	struct json_node *node = &r->nodes[r->count++];
	node->kind = kind;
	node->size = 0;
	node->next = r->count;
	return node;
}

static inline enum want want_behind_value(const struct reader *r)
{
	return r->depth > 0 ? WANT_MORE : WANT_NOTHING;
}

/* Four hexadecimal digits at p, -1 when there are none. */
static int32_t hex4(const char *p, const char *end)
{
	int32_t value = 0;
	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int digit = c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
		if (digit < 0)
			return -1;
		value = value << 4 | digit;
	}
	return value;
}

/* The code point of \uXXXX, r->at being behind the 'u'; 0: stopped. */
static uint32_t read_unicode_escape(struct reader *r)
{
	const char *escape = r->at - 2;
	int32_t cp = hex4(r->at, r->end);
	if (cp < 0)
		return bad(r, escape, "malformed \\u escape");
	r->at += 4;
	if (cp == 0)
		return bad(r, escape, "U+0000 in a string");
	if (cp < 0xd800 || cp > 0xdfff)
		return (uint32_t)cp;
	int32_t low = -1;
	if (cp < 0xdc00 && r->end - r->at >= 6 && r->at[0] == '\\' && r->at[1] == 'u')
		low = hex4(r->at + 2, r->end);
	if (low < 0xdc00 || low > 0xdfff)
		return bad(r, escape, "lone surrogate");
	r->at += 6;
	return 0x10000 + ((uint32_t)(cp - 0xd800) << 10) + (uint32_t)(low - 0xdc00);
}

/* One escape, r->at being behind the backslash; returns the bytes written to out, 0: stopped. */
static size_t read_escape(struct reader *r, char *out)
{
	if (r->at == r->end)
		return bad(r, r->at, "unterminated string");
	char c = *r->at++;
	switch (c) {
	case '"':
	case '\\':
	case '/':
		*out = c;
		return 1;
	case 'b':
		*out = '\b';
		return 1;
	case 'f':
		*out = '\f';
		return 1;
	case 'n':
		*out = '\n';
		return 1;
	case 'r':
		*out = '\r';
		return 1;
	case 't':
		*out = '\t';
		return 1;
	case 'u': {
		uint32_t cp = read_unicode_escape(r);
		return cp > 0 ? utf8_put(cp, out) : 0;
	}
	default:
		return bad(r, r->at - 2, "unknown escape");
	}
}

/* Moves r->at over bytes that stand for themselves, up to a quote or backslash; false: stopped. */
static inline bool read_run(struct reader *r)
{
	for (;;) {
		r->at = json_plain_end(r->at, r->end);
		if (r->at == r->end)
			return bad(r, r->at, "unterminated string");
		if (*r->at == '"' || *r->at == '\\')
			return true;
		if ((unsigned char)*r->at < 0x20)
			return bad(r, r->at, "control byte in a string");
		size_t len = utf8_sequence(str_make(r->at, (size_t)(r->end - r->at)));
		if (len == 0)
			return bad(r, r->at, "invalid UTF-8");
		r->at += len;
	}
}

/* Bytes from p to the quote that ends the string, or to the end of the text. */
static size_t raw_length(const char *p, const char *end)
{
	const char *q = p;
	while (q < end && *q != '"')
		q += *q == '\\' && end - q > 1 ? 2 : 1;
	return (size_t)(q - p);
}

/* A string with escapes: start is behind its quote, r->at on the first backslash.
 * No escape is shorter than what it means, so the raw length is room enough. */
static bool read_escaped(struct reader *r, const char *start, struct str *out)
{
	size_t before = (size_t)(r->at - start);
	char *bytes = arena_alloc(r->arena, before + raw_length(r->at, r->end));
	if (!bytes) {
		stop(r, ERR_LIMIT, r->at, "out of memory");
		return false;
	}
	memcpy(bytes, start, before);
	size_t len = before;
	while (*r->at == '\\') {
		r->at++;
		size_t written = read_escape(r, bytes + len);
		if (written == 0)
			return false;
		len += written;
		const char *run = r->at;
		if (!read_run(r))
			return false;
		memcpy(bytes + len, run, (size_t)(r->at - run));
		len += (size_t)(r->at - run);
	}
	r->at++;
	*out = str_make(bytes, len);
	return true;
}

/* r->at is behind the opening quote. */
static bool read_string(struct reader *r, struct str *out)
{
	const char *start = r->at;
	if (!read_run(r))
		return false;
	if (*r->at == '\\')
		return read_escaped(r, start, out);
	*out = str_make(start, (size_t)(r->at - start));
	r->at++;
	return true;
}

static struct str read_digits(struct reader *r)
{
	const char *start = r->at;
	while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
		r->at++;
	return str_make(start, (size_t)(r->at - start));
}

static bool to_integer(struct str digits, bool negative, int64_t *out)
{
	uint64_t value = 0;
	if (digits.len > 19)
		return false;
	for (size_t i = 0; i < digits.len; i++)
		value = value * 10 + (uint64_t)(digits.at[i] - '0');
	if (value > (uint64_t)INT64_MAX + negative)
		return false;
	*out = (int64_t)(negative ? 0 - value : value);
	return true;
}

/* Fraction and exponent, r->at being on '.', 'e' or 'E'. */
static bool read_real(struct reader *r, struct str whole, const char *start, double *out)
{
	struct str fraction = STR_NONE;
	int64_t exponent = 0;
	if (*r->at == '.') {
		r->at++;
		fraction = read_digits(r);
		if (fraction.len == 0)
			return bad(r, r->at, "digit expected after the point");
	}
	if (peek(r) == 'e' || peek(r) == 'E') {
		r->at++;
		bool negative = peek(r) == '-';
		if (negative || peek(r) == '+')
			r->at++;
		struct str digits = read_digits(r);
		if (digits.len == 0)
			return bad(r, r->at, "digit expected in the exponent");
		/* Capped far beyond what any count of digits could make up for. */
		for (size_t i = 0; i < digits.len && exponent < INT64_C(1000000000000); i++)
			exponent = exponent * 10 + (digits.at[i] - '0');
		exponent = negative ? -exponent : exponent;
	}
	if (!json_to_double(whole, fraction, exponent, out))
		return bad(r, start, "number out of range");
	return true;
}

static enum want read_number(struct reader *r)
{
	const char *start = r->at;
	bool negative = *start == '-';
	r->at += negative;
	struct str whole = read_digits(r);
	if (whole.len == 0)
		return stop(r, ERR_MALFORMED, r->at, "digit expected");
	if (whole.len > 1 && whole.at[0] == '0')
		return stop(r, ERR_MALFORMED, start, "leading zero");
	char c = peek(r);
	bool is_real = c == '.' || c == 'e' || c == 'E';
	int64_t integer = 0;
	double real = 0;
	if (is_real && !read_real(r, whole, start, &real))
		return WANT_STOP;
	if (!is_real && !to_integer(whole, negative, &integer))
		return stop(r, ERR_MALFORMED, start, "integer out of range");
	struct json_node *node = add_node(r, is_real ? JSON_REAL : JSON_INT);
	if (!node)
		return WANT_STOP;
	if (is_real)
		node->real = negative ? -real : real;
	else
		node->integer = integer;
	return want_behind_value(r);
}

static enum want read_word(struct reader *r, struct str word, enum json_kind kind, bool boolean)
{
	if ((size_t)(r->end - r->at) < word.len || memcmp(r->at, word.at, word.len) != 0)
		return stop(r, ERR_MALFORMED, r->at, "value expected");
	r->at += word.len;
	struct json_node *node = add_node(r, kind);
	if (!node)
		return WANT_STOP;
	node->boolean = boolean;
	return want_behind_value(r);
}

/* Any total order will do to find equal names; this one rarely looks at the bytes. */
static int order_any(struct str a, struct str b)
{
	if (a.len != b.len)
		return a.len < b.len ? -1 : 1;
	return a.len == 0 ? 0 : memcmp(a.at, b.at, a.len);
}

static bool names_differ(struct reader *r, uint32_t object)
{
	uint32_t size = r->nodes[object].size;
	uint32_t *members = arena_array(r->arena, uint32_t, size);
	if (!members) {
		stop(r, ERR_LIMIT, r->at, "out of memory");
		return false;
	}
	json_sort(r->nodes, object, order_any, members);
	for (uint32_t i = 1; i < size; i++)
		if (order_any(r->nodes[members[i - 1]].string, r->nodes[members[i]].string) == 0)
			return bad(r, r->at, "duplicate member");
	return true;
}

/* r->at is on the closing bracket. */
static enum want close_container(struct reader *r)
{
	uint32_t index = r->open[r->depth - 1];
	struct json_node *node = &r->nodes[index];
	node->next = r->count;
	if (node->kind == JSON_OBJECT && node->size > MEMBERS_COMPARED_MAX && !names_differ(r, index))
		return WANT_STOP;
	r->at++;
	r->depth--;
	return want_behind_value(r);
}

static enum want open_container(struct reader *r, enum json_kind kind)
{
	if (r->depth == LIMIT_JSON_DEPTH)
		return stop(r, ERR_MALFORMED, r->at, "nested too deeply");
	if (!add_node(r, kind))
		return WANT_STOP;
	r->open[r->depth++] = r->count - 1;
	r->at++;
	skip_space(r);
	if (peek(r) == (kind == JSON_ARRAY ? ']' : '}'))
		return close_container(r);
	if (kind == JSON_OBJECT)
		return WANT_NAME;
	r->nodes[r->count - 1].size = 1;
	return WANT_VALUE;
}

static enum want read_value(struct reader *r)
{
	struct str string;
	struct json_node *node;
	skip_space(r);
	switch (peek(r)) {
	case '"':
		r->at++;
		if (!read_string(r, &string))
			return WANT_STOP;
		node = add_node(r, JSON_STRING);
		if (!node)
			return WANT_STOP;
		node->string = string;
		return want_behind_value(r);
	case '{':
		return open_container(r, JSON_OBJECT);
	case '[':
		return open_container(r, JSON_ARRAY);
	case 't':
		return read_word(r, STR("true"), JSON_BOOL, true);
	case 'f':
		return read_word(r, STR("false"), JSON_BOOL, false);
	case 'n':
		return read_word(r, STR("null"), JSON_NULL, false);
	case '-':
	case '0' ... '9':
		return read_number(r);
	default:
		return stop(r, ERR_MALFORMED, r->at, "value expected");
	}
}

/* True when the small object has a member of that name already. */
static bool has_member(const struct json_node *nodes, uint32_t object, struct str name)
{
	uint32_t at = object + 1;
	for (uint32_t left = nodes[object].size; left > 0; left--) {
		struct str other = nodes[at].string;
		if (other.len == name.len && memcmp(other.at, name.at, name.len) == 0)
			return true;
		at = nodes[at + 1].next;
	}
	return false;
}

static enum want read_name(struct reader *r)
{
	uint32_t object = r->open[r->depth - 1];
	struct str name;
	skip_space(r);
	const char *start = r->at;
	if (peek(r) != '"')
		return stop(r, ERR_MALFORMED, r->at, "member name expected");
	r->at++;
	if (!read_string(r, &name))
		return WANT_STOP;
	if (r->nodes[object].size < MEMBERS_COMPARED_MAX && has_member(r->nodes, object, name))
		return stop(r, ERR_MALFORMED, start, "duplicate member");
	struct json_node *node = add_node(r, JSON_STRING);
	if (!node)
		return WANT_STOP;
	node->string = name;
	r->nodes[object].size++;
	skip_space(r);
	if (peek(r) != ':')
		return stop(r, ERR_MALFORMED, r->at, "colon expected");
	r->at++;
	return WANT_VALUE;
}

static enum want read_more(struct reader *r)
{
	struct json_node *container = &r->nodes[r->open[r->depth - 1]];
	bool is_array = container->kind == JSON_ARRAY;
	skip_space(r);
	char c = peek(r);
	if (c == (is_array ? ']' : '}'))
		return close_container(r);
	if (c != ',')
		return stop(r, ERR_MALFORMED, r->at, is_array ? "comma or ] expected" : "comma or } expected");
	r->at++;
	if (!is_array)
		return WANT_NAME;
	container->size++;
	return WANT_VALUE;
}

static enum want read_end(struct reader *r)
{
	skip_space(r);
	if (r->at < r->end)
		stop(r, ERR_MALFORMED, r->at, "bytes after the value");
	return WANT_STOP;
}

/* Nodes to make room for. Chat traffic has about one value in twelve bytes. In a big text, which may be one long string
 * as well, it pays to count what can stand before a name or value: more nodes there cannot be. */
static uint32_t first_cap(struct str text)
{
	if (text.len < COUNTED_BYTES_MIN)
		return (uint32_t)(text.len / 12) + NODES_FIRST;
	size_t count = 1;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		count += (c == ',') | (c == ':') | (c == '[') | (c == '{');
	}
	return count < LIMIT_JSON_NODES ? (uint32_t)count : LIMIT_JSON_NODES;
}

enum err json_parse(struct arena *arena, struct str text, struct json_doc *out, struct json_error *error)
{
	struct reader r;
	r.at = text.len > 0 ? text.at : "";
	r.end = r.at + text.len;
	r.text = str_make(r.at, text.len);
	r.count = 0;
	r.depth = 0;
	r.arena = arena;
	r.err = ERR_OK;
	r.error = (struct json_error){0, NULL};
	r.cap = first_cap(r.text);
	r.nodes = arena_array(arena, struct json_node, r.cap);
	enum want want = r.nodes ? WANT_VALUE : stop(&r, ERR_LIMIT, r.at, "out of memory");
	while (want != WANT_STOP) {
		switch (want) {
		case WANT_VALUE:
			want = read_value(&r);
			break;
		case WANT_NAME:
			want = read_name(&r);
			break;
		case WANT_MORE:
			want = read_more(&r);
			break;
		case WANT_NOTHING:
		case WANT_STOP:
			want = read_end(&r);
			break;
		}
	}
	*out = r.err == ERR_OK ? (struct json_doc){r.nodes, r.count, r.text} : (struct json_doc){NULL, 0, STR_NONE};
	if (error)
		*error = r.error;
	return r.err;
}
