/*
 * members.c - what came in query and body against what the row takes (T3: nothing is ignored silently).
 *
 * Each check ends in the first fault found, which the reply names: by JSON pointer in bodies, by name in queries.
 */
#include "base/limits.h"
#include "http/http_priv.h"
#include "wire/url.h"
#include "wire/utf8.h"

#define NAME_SHOWN_CHARS 128

/* ---- what is wrong with one value: NULL, or a sentence ---- */

static const char *word_of(const struct http_member *row)
{
	static const char *const words[] = {
		[HTTP_STRING] = "A string", [HTTP_INT] = "An integer", [HTTP_BOOL] = "A boolean", [HTTP_REAL] = "A number",
		[HTTP_OBJECT] = "An object", [HTTP_ARRAY] = "An array", [HTTP_ANY] = "A value",
	};
	check((size_t)row->kind < sizeof(words) / sizeof(words[0]));
	return words[row->kind];
}

/* Without memory the client is told less. */
static const char *sentence(struct str text)
{
	return text.at ? text.at : "The value is not valid.";
}

/* min is a bound unless both are 0; max is one unless it is 0 above a positive min. */
static const char *bounds_fault(struct arena *arena, const struct http_member *row, int64_t value, const char *unit)
{
	bool none = row->min == 0 && row->max == 0;
	bool open = row->max == 0 && row->min > 0;

	if (none || (value >= row->min && (open || value <= row->max))) {
		return NULL;
	}
	if (open) {
		return sentence(arena_format(arena, "At least %lld%s wanted.", (long long)row->min, unit));
	}
	return sentence(arena_format(arena, "%lld to %lld%s wanted.", (long long)row->min, (long long)row->max, unit));
}

static const char *words_fault(struct arena *arena, const struct http_member *row, struct str value)
{
	struct str list = STR("");

	if (!row->words) {
		return NULL;
	}
	for (const char *const *word = row->words; *word; word++) {
		if (str_eq_case(str_of(*word), value)) {
			return NULL;
		}
		list = arena_format(arena, "%.*s%s%s", STR_FMT(list), list.len ? ", " : "", *word);
	}
	return sentence(arena_format(arena, "One of these is wanted: %.*s.", STR_FMT(list)));
}

static const char *text_fault(struct arena *arena, const struct http_member *row, struct str value)
{
	const char *fault = bounds_fault(arena, row, (int64_t)utf8_length(value), " characters are");

	return fault ? fault : words_fault(arena, row, value);
}

static bool kind_fits(const struct http_member *row, enum json_kind kind)
{
	switch (row->kind) {
	case HTTP_STRING:
		return kind == JSON_STRING;
	case HTTP_INT:
		return kind == JSON_INT;
	case HTTP_BOOL:
		return kind == JSON_BOOL;
	case HTTP_REAL:
		return kind == JSON_REAL || kind == JSON_INT;
	case HTTP_OBJECT:
		return kind == JSON_OBJECT;
	case HTTP_ARRAY:
		return kind == JSON_ARRAY;
	case HTTP_ANY:
		return true;
	}
	return false;
}

static const char *real_fault(struct arena *arena, const struct http_member *row, double value)
{
	bool none = row->min == 0 && row->max == 0;

	if (none || (value >= (double)row->min && value <= (double)row->max)) {
		return NULL;
	}
	return sentence(arena_format(arena, "%lld to %lld is wanted.", (long long)row->min, (long long)row->max));
}

/* Elements are checked where the row has words: then they are strings. */
static const char *array_fault(struct arena *arena, const struct http_member *row, struct json value)
{
	const char *fault = bounds_fault(arena, row, json_size(value), " elements are");
	struct json_iter iter = json_iter(value);
	struct json element;
	struct str text;

	while (!fault && row->words && json_next(&iter, NULL, &element)) {
		fault = json_get_str(element, &text) ? words_fault(arena, row, text) : "The elements have to be strings.";
	}
	return fault;
}

static const char *value_fault(struct arena *arena, const struct http_member *row, struct json value)
{
	struct str text;
	int64_t number;
	double real;

	if (json_kind(value) == JSON_NULL && !row->required) {
		return NULL;
	}
	if (!kind_fits(row, json_kind(value))) {
		return sentence(arena_format(arena, "%s is wanted here.", word_of(row)));
	}
	if (row->kind == HTTP_STRING && json_get_str(value, &text)) {
		return text_fault(arena, row, text);
	}
	if (row->kind == HTTP_INT && json_get_int(value, &number)) {
		return bounds_fault(arena, row, number, " is");
	}
	if (row->kind == HTTP_REAL && json_get_real(value, &real)) {
		return real_fault(arena, row, real);
	}
	return row->kind == HTTP_ARRAY ? array_fault(arena, row, value) : NULL;
}

/* ---- query ---- */

static const char *list_fault(struct arena *arena, const struct http_member *row, struct str value)
{
	const char *fault = NULL;
	int64_t count = 0;
	struct str part;

	for (struct str rest = value; !fault && str_split(&rest, ',', &part); count++) {
		fault = words_fault(arena, row, part);
	}
	return fault ? fault : bounds_fault(arena, row, count, " elements are");
}

static const char *parameter_fault(struct arena *arena, const struct http_member *row, struct str value)
{
	struct json_doc doc;
	int64_t number;
	double real;

	switch (row->kind) {
	case HTTP_INT:
		return str_to_i64(value, &number) ? bounds_fault(arena, row, number, " is") : "An integer is wanted here.";
	case HTTP_BOOL:
		return str_eq(value, STR("true")) || str_eq(value, STR("false")) ? NULL : "true or false is wanted here.";
	case HTTP_REAL:
		if (json_parse(arena, value, &doc, NULL) || !json_get_real(json_root(&doc), &real)) {
			return "A number is wanted here.";
		}
		return real_fault(arena, row, real);
	case HTTP_ARRAY:
		return list_fault(arena, row, value);
	case HTTP_STRING:
	case HTTP_OBJECT:
	case HTTP_ANY:
		return text_fault(arena, row, value);
	}
	return NULL;
}

static bool invalid(struct http_request_private *priv, struct str pointer, const char *detail)
{
	struct http_problem problem = {.err = ERR_INVALID, .detail = str_of(detail), .pointer = pointer};

	http_reply_problem(&priv->pub, &problem);
	return false;
}

static bool failed(struct http_request_private *priv, enum err err, const char *detail)
{
	http_reply_error(&priv->pub, err, detail);
	return false;
}

static size_t row_count(const struct http_member *rows)
{
	size_t count = 0;

	while (rows && rows[count].name) {
		count++;
	}
	return count;
}

static size_t row_find(const struct http_member *rows, struct str name)
{
	size_t i = 0;

	while (rows && rows[i].name && !str_eq(str_of(rows[i].name), name)) {
		i++;
	}
	return i;
}

static bool take_parameter(struct http_request_private *priv, size_t rows, struct str name, struct str value)
{
	const struct http_member *table = priv->pub.route->query;
	struct arena *arena = &priv->pub.arena;
	struct str plain;
	size_t i;

	if (url_decode(arena, name, true, &name) || url_decode(arena, value, true, &plain)) {
		return failed(priv, ERR_MALFORMED, "The query is not UTF-8.");
	}
	i = row_find(table, name);
	if (i >= rows) {
		return invalid(priv, utf8_prefix(name, NAME_SHOWN_CHARS), "There is no such parameter.");
	}
	if (priv->query_values[i].at) {
		return invalid(priv, name, "The parameter is given twice.");
	}
	const char *fault = parameter_fault(arena, &table[i], plain);
	priv->query_values[i] = plain;
	return !fault || invalid(priv, name, fault);
}

bool http_members_check_query(struct http_request_private *priv)
{
	const struct http_member *table = priv->pub.route->query;
	size_t rows = row_count(table);
	struct str name;
	struct str value;

	if (rows) {
		priv->query_values = arena_array(&priv->pub.arena, struct str, rows);
		if (!priv->query_values) {
			return failed(priv, ERR_OVERLOADED, NULL);
		}
	}
	for (struct str rest = priv->pub.query; url_query_next(&rest, &name, &value);) {
		if (!take_parameter(priv, rows, name, value)) {
			return false;
		}
	}
	for (size_t i = 0; i < rows; i++) {
		if (table[i].required && !priv->query_values[i].at) {
			return invalid(priv, str_of(table[i].name), "This parameter is required.");
		}
	}
	return true;
}

/* ---- body ---- */

/* "/name" with '~' and '/' escaped (RFC 6901). */
static struct str pointer_to(struct arena *arena, struct str name)
{
	struct str shown = utf8_prefix(name, NAME_SHOWN_CHARS);
	char *at = arena_alloc(arena, shown.len * 2 + 1);
	size_t len = 0;

	if (!at) {
		return STR("");
	}
	at[len++] = '/';
	for (size_t i = 0; i < shown.len; i++) {
		char c = shown.at[i];
		if (c == '~' || c == '/') {
			at[len++] = '~';
			c = c == '~' ? '0' : '1';
		}
		at[len++] = c;
	}
	return str_make(at, len);
}

const char *http_members_fault(struct arena *arena, const struct http_member *rows, struct json body, struct str *pointer)
{
	size_t count = row_count(rows);
	struct json_iter iter = json_iter(body);
	struct json value;
	struct str name;

	*pointer = STR("");
	if (json_kind(body) != JSON_OBJECT) {
		return "An object is wanted here.";
	}
	/* Names are unique, so at most one step more than there are rows is made. */
	while (json_next(&iter, &name, &value)) {
		size_t i = row_find(rows, name);
		const char *fault = i < count ? value_fault(arena, &rows[i], value) : "There is no such member.";
		if (fault) {
			*pointer = pointer_to(arena, name);
			return fault;
		}
	}
	for (size_t i = 0; i < count; i++) {
		name = str_of(rows[i].name);
		if (rows[i].required && !json_there(json_member(body, name))) {
			*pointer = pointer_to(arena, name);
			return "This member is required.";
		}
	}
	return NULL;
}

bool http_members_check_body(struct http_request_private *priv)
{
	struct http_request *request = &priv->pub;
	struct json_error fault = {0, NULL};

	if (!priv->body_bytes.len) {
		bool missing = request->route->body && !(request->route->flags & HTTP_BODY_OPTIONAL);
		return !missing || failed(priv, ERR_MALFORMED, "A JSON body is wanted.");
	}
	request->body_text = buf_str(&priv->body_bytes);
	enum err err = json_parse(&request->arena, request->body_text, &priv->doc, &fault);
	if (err == ERR_MALFORMED) {
		struct str detail = arena_format(&request->arena, "The body is not valid JSON: %s at byte %zu.", fault.reason,
						 fault.offset);
		return failed(priv, err, detail.at);
	}
	if (err) {
		return failed(priv, ERR_TOO_LARGE, "The body has too many values.");
	}
	request->body = json_root(&priv->doc);
	struct str pointer;
	const char *detail = http_members_fault(&request->arena, request->route->body, request->body, &pointer);
	return !detail || invalid(priv, pointer, detail);
}
