/*
 * test_wire_json.c - the JSON reader against jansson on written and mutated texts, the writer against the reader.
 *
 * jansson uses some of our names; it is loaded at run time, so that both can be in one program.
 * Where our reader is stricter than jansson (with JSON_REJECT_DUPLICATES) is listed in stricter_reasons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define json_object jansson_object
#define json_array jansson_array
#define json_real jansson_real
#define json_null jansson_null
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_REAL JANSSON_REAL
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef json_object
#undef json_array
#undef json_real
#undef json_null
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_REAL
#undef JSON_NULL

#include "base/limits.h"
#include "wire/json.h"

#define ARENA_BYTES (8u << 20)
#define BUF_BYTES (8u << 20)

static const char *const stricter_reasons[] = {
	"nested too deeply", /* jansson: 2048 levels */
	"too many values",   /* jansson: no cap */
};

static struct {
	__typeof__(json_loadb) *loadb;
	__typeof__(json_delete) *delete;
	__typeof__(json_string_value) *string_value;
	__typeof__(json_string_length) *string_length;
	__typeof__(json_integer_value) *integer_value;
	__typeof__(json_real_value) *real_value;
	__typeof__(json_object_get) *object_get;
	__typeof__(json_object_size) *object_size;
	__typeof__(json_array_get) *array_get;
	__typeof__(json_array_size) *array_size;
} oracle;

static int load_oracle(void **state)
{
	(void)state;
	void *library = dlopen("libjansson.so.4", RTLD_NOW | RTLD_LOCAL);
	if (!library)
		return -1;
	oracle.loadb = dlsym(library, "json_loadb");
	oracle.delete = dlsym(library, "json_delete");
	oracle.string_value = dlsym(library, "json_string_value");
	oracle.string_length = dlsym(library, "json_string_length");
	oracle.integer_value = dlsym(library, "json_integer_value");
	oracle.real_value = dlsym(library, "json_real_value");
	oracle.object_get = dlsym(library, "json_object_get");
	oracle.object_size = dlsym(library, "json_object_size");
	oracle.array_get = dlsym(library, "json_array_get");
	oracle.array_size = dlsym(library, "json_array_size");
	return oracle.loadb && oracle.array_size ? 0 : -1;
}

static uint64_t random_state;

static uint64_t random_next(void)
{
	uint64_t z = random_state += 0x9e3779b97f4a7c15u;
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static size_t random_below(size_t n)
{
	return (size_t)(random_next() % n);
}

static bool is_stricter(const char *reason, struct str text)
{
	/* jansson loses a NUL byte behind a number; no JSON text has one anywhere. */
	if (str_find_byte(text, 0) >= 0)
		return true;
	for (size_t i = 0; i < sizeof(stricter_reasons) / sizeof(stricter_reasons[0]); i++)
		if (strcmp(reason, stricter_reasons[i]) == 0)
			return true;
	return false;
}

static bool same_value(struct json ours, const json_t *theirs);

static bool same_members(struct json ours, const json_t *theirs)
{
	struct json_iter iter = json_iter(ours);
	struct str name;
	struct json value;
	char name_z[4096];
	if (json_kind(ours) != JSON_OBJECT || json_size(ours) != oracle.object_size(theirs))
		return false;
	while (json_next(&iter, &name, &value)) {
		assert_true(name.len < sizeof(name_z));
		const json_t *other = oracle.object_get(theirs, str_to_z(name, name_z, sizeof(name_z)));
		if (!other || !same_value(value, other) || json_member(ours, name).at != value.at)
			return false;
	}
	return true;
}

static bool same_elements(struct json ours, const json_t *theirs)
{
	struct json_iter iter = json_iter(ours);
	struct json value;
	if (json_kind(ours) != JSON_ARRAY || json_size(ours) != oracle.array_size(theirs))
		return false;
	for (uint32_t i = 0; json_next(&iter, NULL, &value); i++)
		if (json_element(ours, i).at != value.at || !same_value(value, oracle.array_get(theirs, i)))
			return false;
	return true;
}

static bool same_value(struct json ours, const json_t *theirs)
{
	struct str text;
	int64_t integer;
	double real;
	bool boolean;
	switch (theirs->type) {
	case JANSSON_OBJECT:
		return same_members(ours, theirs);
	case JANSSON_ARRAY:
		return same_elements(ours, theirs);
	case JANSSON_STRING:
		return json_get_str(ours, &text) &&
			str_eq(text, str_make(oracle.string_value(theirs), oracle.string_length(theirs)));
	case JSON_INTEGER:
		return json_get_int(ours, &integer) && integer == oracle.integer_value(theirs);
	case JANSSON_REAL:
		return json_kind(ours) == JSON_REAL && json_get_real(ours, &real) && real == oracle.real_value(theirs);
	case JSON_TRUE:
	case JSON_FALSE:
		return json_get_bool(ours, &boolean) && boolean == (theirs->type == JSON_TRUE);
	default:
		return json_there(ours) && json_kind(ours) == JSON_NULL;
	}
}

/* Numbers count by value: 1.0 is written as 1. */
static bool same_documents(const struct json_doc *a, const struct json_doc *b)
{
	if (a->count != b->count)
		return false;
	for (uint32_t i = 0; i < a->count; i++) {
		const struct json_node *x = &a->nodes[i];
		const struct json_node *y = &b->nodes[i];
		double left = 0;
		double right = 0;
		if (json_get_real((struct json){a, i}, &left) != json_get_real((struct json){b, i}, &right) || left != right)
			return false;
		if (x->size != y->size || x->next != y->next || (x->kind != y->kind && x->kind != JSON_REAL))
			return false;
		if (x->kind == JSON_STRING && !str_eq(x->string, y->string))
			return false;
		if (x->kind == JSON_BOOL && x->boolean != y->boolean)
			return false;
		if (x->kind == JSON_INT && x->integer != y->integer)
			return false;
	}
	return true;
}

static void assert_round_trip(struct arena *arena, const struct json_doc *doc)
{
	struct buf buf;
	struct json_out out;
	struct json_doc again;
	buf_init(&buf, BUF_BYTES);
	json_begin(&out, &buf);
	json_put_value(&out, json_root(doc));
	assert_int_equal(buf_err(&buf), ERR_OK);
	assert_int_equal(json_parse(arena, buf_str(&buf), &again, NULL), ERR_OK);
	assert_true(same_documents(doc, &again));
	buf_fini(&buf);
}

/* Parses with both readers; returns whether ours accepts. */
static bool agree(struct str text)
{
	struct arena arena;
	struct json_doc doc;
	struct json_error error;
	json_error_t ignored;
	arena_init(&arena, ARENA_BYTES);
	enum err err = json_parse(&arena, text, &doc, &error);
	json_t *theirs = oracle.loadb(text.at, text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &ignored);
	bool agreed = (err == ERR_OK) == (theirs != NULL);
	if (!agreed && (err == ERR_OK || !is_stricter(error.reason, text)))
		fail_msg("we: %s, jansson: %s on: %.*s", error.reason ? error.reason : "ok", theirs ? "ok" : ignored.text,
			STR_FMT(text));
	if (err == ERR_OK) {
		if (!theirs || !same_value(json_root(&doc), theirs))
			fail_msg("read differently: %.*s", STR_FMT(text));
		assert_round_trip(&arena, &doc);
	} else {
		assert_true(error.offset <= text.len);
		assert_null(doc.nodes);
	}
	if (theirs)
		oracle.delete(theirs);
	arena_fini(&arena);
	return err == ERR_OK;
}

static const struct str accepted[] = {
	STR("null"), STR(" true\r\n"), STR("false"), STR("0"), STR("-0"), STR("-1"), STR("\"\""), STR("[]"), STR("{}"),
	STR("[ ]"), STR("{ }"), STR("[[],{}]"), STR("\t[1 , 2\n]"), STR("{\"\":0}"),
	STR("{\"a\":{\"a\":1},\"b\":[{\"a\":2}]}"),
	STR("9223372036854775807"), STR("-9223372036854775808"), STR("0.1"), STR("-0.0"), STR("1e0"), STR("1E+2"),
	STR("123.456e-7"), STR("1e308"), STR("1.7976931348623157e308"), STR("5e-324"), STR("1e-999999"), STR("0e999999"),
	STR("0.00000000000000000000000000000000000000000000000000000001e60"), STR("9007199254740993.0"),
	STR("179769313486231580793728971405301e276"), STR("2.2250738585072011e-308"), STR("100000000000000000000.0"),
	STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), STR("\"\\u0041\\u00e9\\u20AC\\uD83D\\uDE00\""),
	STR("\"\\ud7ff\\ue000\\uffff\""),
	STR("\"h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80\x7f\""), STR("\"a long text without any escape in it at all\""),
	STR("\"twelve bytes \\n and more\\u0001\""), STR("{\"\\u0061\":1,\"b\":2}"),
	STR("\"\xf4\x8f\xbf\xbf\xee\x80\x80\xed\x9f\xbf\""),
};

static const struct {
	struct str text;
	size_t offset;
	const char *reason;
} refused[] = {
	{STR(""), 0, "value expected"},
	{STR("  "), 2, "value expected"},
	{STR("nul"), 0, "value expected"},
	{STR("True"), 0, "value expected"},
	{STR("NaN"), 0, "value expected"},
	{STR("+1"), 0, "value expected"},
	{STR(".5"), 0, "value expected"},
	{STR("\xef\xbb\xbf{}"), 0, "value expected"},
	{STR("'a'"), 0, "value expected"},
	{STR("-"), 1, "digit expected"},
	{STR("-Infinity"), 1, "digit expected"},
	{STR("01"), 0, "leading zero"},
	{STR("-00"), 0, "leading zero"},
	{STR("00.5"), 0, "leading zero"},
	{STR("1."), 2, "digit expected after the point"},
	{STR("1.e5"), 2, "digit expected after the point"},
	{STR("1e"), 2, "digit expected in the exponent"},
	{STR("1e+"), 3, "digit expected in the exponent"},
	{STR("0x10"), 1, "bytes after the value"},
	{STR("1 2"), 2, "bytes after the value"},
	{STR("{}{}"), 2, "bytes after the value"},
	{STR("[]\0"), 2, "bytes after the value"},
	{STR("null// no"), 4, "bytes after the value"},
	{STR("9223372036854775808"), 0, "integer out of range"},
	{STR("-9223372036854775809"), 0, "integer out of range"},
	{STR("[18446744073709551616]"), 1, "integer out of range"},
	{STR("99999999999999999999999999"), 0, "integer out of range"},
	{STR("1e999999"), 0, "number out of range"},
	{STR("-1e309"), 0, "number out of range"},
	{STR("1e99999999999999999999999999"), 0, "number out of range"},
	{STR("[1,]"), 3, "value expected"},
	{STR("[,1]"), 1, "value expected"},
	{STR("[1 2]"), 3, "comma or ] expected"},
	{STR("[1}"), 2, "comma or ] expected"},
	{STR("["), 1, "value expected"},
	{STR("{\"a\":1,}"), 7, "member name expected"},
	{STR("{a:1}"), 1, "member name expected"},
	{STR("{1:1}"), 1, "member name expected"},
	{STR("{"), 1, "member name expected"},
	{STR("{\"a\" 1}"), 5, "colon expected"},
	{STR("{\"a\":}"), 5, "value expected"},
	{STR("{\"a\":1]"), 6, "comma or } expected"},
	{STR("{\"a\":1,\"a\":2}"), 7, "duplicate member"},
	{STR("{\"a\":1,\"b\":{\"a\":[]},\"\\u0061\":2}"), 20, "duplicate member"},
	{STR("\"abc"), 4, "unterminated string"},
	{STR("\"abc\\"), 5, "unterminated string"},
	{STR("\"\\x41\""), 1, "unknown escape"},
	{STR("\"\\u12g4\""), 1, "malformed \\u escape"},
	{STR("\"\\u123"), 1, "malformed \\u escape"},
	{STR("\"\\u0000\""), 1, "U+0000 in a string"},
	{STR("{\"a\\u0000\":1}"), 3, "U+0000 in a string"},
	{STR("\"\\ud800\""), 1, "lone surrogate"},
	{STR("\"\\udc00\""), 1, "lone surrogate"},
	{STR("\"\\ud800\\ud800\""), 1, "lone surrogate"},
	{STR("\"\\ud800x\\udc00\""), 1, "lone surrogate"},
	{STR("\"a\nb\""), 2, "control byte in a string"},
	{STR("\"a\0b\""), 2, "control byte in a string"},
	{STR("\"0123456789\x1f\""), 11, "control byte in a string"},
	{STR("\"\xc0\x80\""), 1, "invalid UTF-8"},
	{STR("\"\xed\xa0\x80\""), 1, "invalid UTF-8"},
	{STR("\"\xf4\x90\x80\x80\""), 1, "invalid UTF-8"},
	{STR("\"0123456789\xff\""), 11, "invalid UTF-8"},
	{STR("\"\xe2\x82\""), 1, "invalid UTF-8"},
	{STR("\"\\n\xe2\x82\""), 3, "invalid UTF-8"},
};

static void test_accepts_what_the_standard_has(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
		if (!agree(accepted[i]))
			fail_msg("refused: %.*s", STR_FMT(accepted[i]));
}

static void test_refuses_with_offset_and_reason(void **state)
{
	(void)state;
	struct arena arena;
	arena_init(&arena, ARENA_BYTES);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		struct json_doc doc;
		struct json_error error = {0, "none"};
		if (json_parse(&arena, refused[i].text, &doc, &error) != ERR_MALFORMED || error.offset != refused[i].offset ||
			strcmp(error.reason, refused[i].reason) != 0)
			fail_msg("%.*s: %zu %s", STR_FMT(refused[i].text), error.offset, error.reason);
		assert_int_equal(json_parse(&arena, refused[i].text, &doc, NULL), ERR_MALFORMED);
		assert_false(agree(refused[i].text));
	}
	arena_fini(&arena);
}

/* Random values of every kind, with small name and number pools so that duplicates and borders come up. */
static void generate(struct buf *buf, unsigned depth)
{
	static const char *const scalars[] = {
		"0", "-0", "1", "-7", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "0.5", "1e5",
		"1E-7", "123456789.125", "1e400", "3.141592653589793", "01", "true", "false", "null", "\"\"", "\"plain\"",
		"\"q\\\"q\"", "\"\\u00e9\\ud83d\\ude00\"", "\"\xc3\xa9\xf0\x9f\x98\x80 some more text here\"", "\"\\ud800\"",
		"\"\\u0000\"",
	};
	static const char *const names[] = {
		"a", "b", "id", "role", "content", "\\u0061", "\xc3\xa9", "x1", "x2", "x3", "x4",
	};
	size_t kind = random_below(depth < 5 ? 4 : 2);
	size_t count = random_below(4);
	if (kind < 2) {
		/* The broken ones only now and then, or nothing would be accepted. */
		size_t choice = random_below(sizeof(scalars) / sizeof(scalars[0]));
		bool broken = choice == 5 || choice == 11 || choice == 13 || choice >= 22;
		buf_put_str(buf, str_of(scalars[broken && random_below(8) > 0 ? 2 : choice]));
		return;
	}
	buf_put_byte(buf, kind == 2 ? '[' : '{');
	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			buf_put_str(buf, random_below(4) ? STR(",") : STR(" ,\n"));
		if (kind == 3)
			buf_format(buf, "\"%s\":", names[random_below(sizeof(names) / sizeof(names[0]))]);
		generate(buf, depth + 1);
	}
	buf_put_byte(buf, kind == 2 ? ']' : '}');
}

static void mutate(struct buf *buf)
{
	static const char bytes[] = "{}[]\",:\\u0019-+.eEtrfn \x01\x7f\x80\xc3\xa9\xed\xf0";
	for (size_t times = 1 + random_below(3); times > 0 && buf->len > 0; times--) {
		size_t at = random_below(buf->len);
		switch (random_below(3)) {
		case 0:
			buf->at[at] = bytes[random_below(sizeof(bytes))];
			break;
		case 1:
			memmove(buf->at + at, buf->at + at + 1, buf->len - at - 1);
			buf->len--;
			break;
		default:
			buf->len = at;
			break;
		}
	}
}

static void test_agrees_with_jansson_on_generated_texts(void **state)
{
	(void)state;
	struct buf buf;
	size_t yes = 0;
	size_t no = 0;
	random_state = 20240917;
	buf_init(&buf, BUF_BYTES);
	for (int i = 0; i < 30000; i++) {
		buf_clear(&buf);
		generate(&buf, 0);
		agree(buf_str(&buf)) ? yes++ : no++;
		mutate(&buf);
		/* An exact copy, so that a sanitizer sees any byte read behind the end. */
		char *exact = malloc(buf.len + 1);
		memcpy(exact + 1, buf.at, buf.len);
		agree(str_make(exact + 1, buf.len)) ? yes++ : no++;
		free(exact);
	}
	buf_fini(&buf);
	assert_true(yes > 10000 && no > 10000);
}

static enum err parse_nested(unsigned depth, bool objects, struct json_error *error)
{
	struct arena arena;
	struct json_doc doc;
	struct buf buf;
	arena_init(&arena, ARENA_BYTES);
	buf_init(&buf, BUF_BYTES);
	for (unsigned i = 0; i < depth; i++)
		buf_put_str(&buf, objects ? STR("{\"a\":") : STR("["));
	buf_put_byte(&buf, '1');
	for (unsigned i = 0; i < depth; i++)
		buf_put_byte(&buf, objects ? '}' : ']');
	enum err err = json_parse(&arena, buf_str(&buf), &doc, error);
	if (err == ERR_OK)
		assert_round_trip(&arena, &doc);
	buf_fini(&buf);
	arena_fini(&arena);
	return err;
}

static void test_depth_is_capped(void **state)
{
	(void)state;
	struct json_error error;
	for (int objects = 0; objects < 2; objects++) {
		assert_int_equal(parse_nested(LIMIT_JSON_DEPTH, objects, &error), ERR_OK);
		assert_int_equal(parse_nested(LIMIT_JSON_DEPTH + 1, objects, &error), ERR_MALFORMED);
		assert_string_equal(error.reason, "nested too deeply");
		assert_int_equal(parse_nested(100000, objects, &error), ERR_MALFORMED);
	}
}

/* [0,0,...] with that many elements */
static enum err parse_many(size_t elements, size_t arena_bytes, struct json_error *error)
{
	struct arena arena;
	struct json_doc doc;
	struct buf buf;
	arena_init(&arena, arena_bytes);
	buf_init(&buf, BUF_BYTES);
	for (size_t i = 0; i < elements; i++)
		buf_put_str(&buf, i == 0 ? STR("[0") : STR(",0"));
	buf_put_byte(&buf, ']');
	enum err err = json_parse(&arena, buf_str(&buf), &doc, error);
	if (err == ERR_OK)
		assert_int_equal(json_size(json_root(&doc)), elements);
	buf_fini(&buf);
	arena_fini(&arena);
	return err;
}

static void test_nodes_and_memory_are_capped(void **state)
{
	(void)state;
	struct json_error error;
	assert_int_equal(parse_many(LIMIT_JSON_NODES - 1, ARENA_BYTES, &error), ERR_OK);
	assert_int_equal(parse_many(LIMIT_JSON_NODES, ARENA_BYTES, &error), ERR_LIMIT);
	assert_string_equal(error.reason, "too many values");
	assert_int_equal(parse_many(1000, 4096, &error), ERR_LIMIT);
	assert_string_equal(error.reason, "out of memory");
	struct str escaped = STR("[\"\\u0041bcdefghijklmnopqrstuvwxyz\",{\"\\n\":1}]");
	bool refused_once = false;
	for (size_t bytes = 0; bytes < 2048; bytes += 16) {
		struct arena arena;
		struct json_doc doc;
		arena_init(&arena, bytes);
		enum err err = json_parse(&arena, escaped, &doc, &error);
		assert_true(err == ERR_OK || err == ERR_LIMIT);
		refused_once |= err == ERR_LIMIT;
		arena_fini(&arena);
		if (bytes + 16 >= 2048)
			assert_int_equal(err, ERR_OK);
	}
	assert_true(refused_once);
}

static void put_members(struct buf *buf, unsigned members, unsigned same_as)
{
	buf_clear(buf);
	for (unsigned i = 0; i < members; i++) {
		unsigned number = i == members - 1 ? same_as : i;
		buf_format(buf, "%c\"a name that is long and begins alike %u\":[%u]", i == 0 ? '{' : ',', number, i);
	}
	buf_put_byte(buf, '}');
}

static void test_duplicates_are_found_in_big_objects(void **state)
{
	(void)state;
	static const unsigned sizes[] = {2, 3, 15, 16, 17, 18, 33, 1000, 20000};
	struct buf buf;
	buf_init(&buf, BUF_BYTES);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct arena arena;
		struct json_doc doc;
		struct json_error error;
		arena_init(&arena, ARENA_BYTES);
		put_members(&buf, sizes[i], sizes[i] - 1);
		assert_int_equal(json_parse(&arena, buf_str(&buf), &doc, &error), ERR_OK);
		assert_int_equal(json_size(json_root(&doc)), sizes[i]);
		arena_fini(&arena);
		for (unsigned twin = 0; twin < sizes[i] - 1; twin += sizes[i] / 7 + 1) {
			put_members(&buf, sizes[i], twin);
			assert_int_equal(json_parse(&arena, buf_str(&buf), &doc, &error), ERR_MALFORMED);
			assert_string_equal(error.reason, "duplicate member");
			arena_fini(&arena);
		}
	}
	buf_fini(&buf);
}

static void test_reads_by_type(void **state)
{
	(void)state;
	struct arena arena;
	struct json_doc doc;
	struct str text;
	int64_t integer;
	double real;
	bool boolean;
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(json_parse(&arena, STR("{\"s\":\"x\",\"i\":3,\"r\":2.5,\"b\":true,\"n\":null,\"a\":[1,[2],3]}"),
		&doc,
		NULL), ERR_OK);
	struct json root = json_root(&doc);
	assert_true(json_get_str(json_member(root, STR("s")), &text) && str_eq(text, STR("x")));
	assert_true(json_get_int(json_member(root, STR("i")), &integer) && integer == 3);
	assert_true(json_get_real(json_member(root, STR("i")), &real) && real == 3.0);
	assert_true(json_get_real(json_member(root, STR("r")), &real) && real == 2.5);
	assert_false(json_get_int(json_member(root, STR("r")), &integer));
	assert_true(json_get_bool(json_member(root, STR("b")), &boolean) && boolean);
	assert_false(json_get_str(json_member(root, STR("n")), &text));
	assert_true(json_there(json_member(root, STR("n"))));
	assert_false(json_there(json_member(root, STR("none"))));
	assert_false(json_there(json_member(json_member(root, STR("none")), STR("s"))));
	struct json array = json_member(root, STR("a"));
	assert_true(json_get_int(json_element(array, 2), &integer) && integer == 3);
	assert_false(json_there(json_element(array, 3)));
	assert_false(json_there(json_element(root, 0)));
	assert_int_equal(json_size(array), 3);
	assert_int_equal(json_size((struct json){NULL, 0}), 0);
	assert_int_equal(json_kind((struct json){NULL, 0}), JSON_NULL);
	struct json_iter iter = json_iter((struct json){NULL, 0});
	assert_false(json_next(&iter, &text, &root));
	assert_string_equal(json_kind_name(JSON_INT), "integer");
	assert_string_equal(json_kind_name(JSON_OBJECT), "object");
	arena_fini(&arena);
}

static void assert_text(struct buf *buf, const char *expected)
{
	assert_int_equal(buf_err(buf), ERR_OK);
	if (!str_eq(buf_str(buf), str_of(expected)))
		fail_msg("%.*s instead of %s", STR_FMT(buf_str(buf)), expected);
	buf_clear(buf);
}

static void test_writes_commas_and_escapes(void **state)
{
	(void)state;
	struct buf buf;
	struct json_out out;
	buf_init(&buf, BUF_BYTES);
	json_begin(&out, &buf);
	json_object(&out);
	json_put_str(&out, STR("a\"b"), STR("\x01\b\t\n\f\r\x1f\\/\x7f\xc3\xa9"));
	json_put_str_or_null(&out, STR("none"), STR_NONE);
	json_put_str_or_null(&out, STR("empty"), STR(""));
	json_put_int(&out, STR("i"), INT64_MIN);
	json_put_bool(&out, STR("t"), true);
	json_put_null(&out, STR("n"));
	json_put_raw(&out, STR("raw"), STR("[1, 2]"));
	json_name(&out, STR("list"));
	json_array(&out);
	json_array(&out);
	json_array_end(&out);
	json_object(&out);
	json_object_end(&out);
	json_real(&out, 0.5);
	json_bool(&out, false);
	json_null(&out);
	json_array_end(&out);
	json_put_int(&out, STR("last"), 0);
	json_object_end(&out);
	assert_text(&buf, "{\"a\\\"b\":\"\\u0001\\b\\t\\n\\f\\r\\u001f\\\\/\x7f\xc3\xa9\",\"none\":null,\"empty\":\"\","
		"\"i\":-9223372036854775808,\"t\":true,\"n\":null,\"raw\":[1, 2],\"list\":[[],{},0.5,false,null],\"last\":0}");
	static const char *const broken[][2] = {
		{"\xff", "\"\xef\xbf\xbd\""},
		{"a\xe2\x82z", "\"a\xef\xbf\xbdz\""},
		{"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
		{"\xc3\xa9\xf0\x9f\x98", "\"\xc3\xa9\xef\xbf\xbd\""},
	};
	for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
		json_begin(&out, &buf);
		json_str(&out, str_of(broken[i][0]));
		assert_text(&buf, broken[i][1]);
	}
	buf_fini(&buf);
}

static void test_fixed_point_has_the_digits_needed(void **state)
{
	(void)state;
	static const struct {
		int64_t value_e4;
		const char *text;
	} rows[] = {
		{0, "0"}, {5000, "0.5"}, {1, "0.0001"}, {-1, "-0.0001"}, {10000, "1"}, {-12345, "-1.2345"}, {120500, "12.05"},
		{INT64_MAX, "922337203685477.5807"}, {INT64_MIN, "-922337203685477.5808"},
	};
	struct buf buf;
	struct json_out out;
	buf_init(&buf, BUF_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		json_begin(&out, &buf);
		json_fixed4(&out, rows[i].value_e4);
		assert_text(&buf, rows[i].text);
	}
	buf_fini(&buf);
}

static void test_a_full_buf_is_noticed(void **state)
{
	(void)state;
	struct buf buf;
	struct json_out out;
	for (size_t cap = 0; cap < 24; cap++) {
		buf_init(&buf, cap);
		json_begin(&out, &buf);
		json_object(&out);
		json_put_str(&out, STR("name"), STR("a\nvalue"));
		json_object_end(&out);
		assert_int_equal(buf_err(&buf), cap < strlen("{\"name\":\"a\\nvalue\"}") ? ERR_LIMIT : ERR_OK);
		buf_fini(&buf);
	}
}

static size_t count_digits(struct str text)
{
	size_t count = 0;
	size_t trailing = 0;
	for (size_t i = 0; i < text.len && text.at[i] != 'e'; i++) {
		if (text.at[i] < '0' || text.at[i] > '9' || (count == 0 && text.at[i] == '0'))
			continue;
		count++;
		trailing = text.at[i] == '0' ? trailing + 1 : 0;
	}
	return count - trailing;
}

/* Written, it reads back the same through both readers, and no shorter text from printf does. */
static void assert_real(double value)
{
	struct arena arena;
	struct json_doc doc;
	struct buf buf;
	struct json_out out;
	char shorter[64];
	double back = 0;
	arena_init(&arena, ARENA_BYTES);
	buf_init(&buf, BUF_BYTES);
	json_begin(&out, &buf);
	json_real(&out, value);
	struct str text = buf_str(&buf);
	if (json_parse(&arena, text, &doc, NULL) || !json_get_real(json_root(&doc), &back) || back != value)
		fail_msg("%.17g written as %.*s", value, STR_FMT(text));
	assert_true(strtod(str_to_z(text, shorter, sizeof(shorter)), NULL) == value);
	size_t count = count_digits(text);
	if (count > 1) {
		snprintf(shorter, sizeof(shorter), "%.*e", (int)count - 2, value);
		if (strtod(shorter, NULL) == value)
			fail_msg("%.*s could be %s", STR_FMT(text), shorter);
	}
	buf_fini(&buf);
	arena_fini(&arena);
}

/* The double that many steps from value (positive). */
static double neighbour(double value, int64_t steps)
{
	uint64_t bits;
	memcpy(&bits, &value, sizeof(bits));
	bits += (uint64_t)steps;
	memcpy(&value, &bits, sizeof(bits));
	return value;
}

static void test_reals_are_short_and_exact(void **state)
{
	(void)state;
	for (int e = -1074; e <= 1023; e++) {
		assert_real(ldexp(1.0, e));
		assert_real(neighbour(ldexp(1.0, e), -1));
		assert_real(-neighbour(ldexp(1.0, e), 1));
	}
	random_state = 7;
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = random_next();
		double value;
		memcpy(&value, &bits, sizeof(value));
		if (isfinite(value))
			assert_real(value);
		assert_real((double)(int64_t)random_below(1000000) / 1000);
	}
	assert_real(DBL_MAX);
	assert_real(DBL_MIN);
	assert_real(0.0);
}

/* Decimals of many digits round as strtod rounds them, also just beside the middle of two doubles. */
static void test_long_decimals_round_right(void **state)
{
	(void)state;
	static const char *const heads[] = {
		"9007199254740993", "0.1000000000000000055511151231257827021181583404541015625", "2.2250738585072011",
		"179769313486231570814527423731704356798070", "0.5000000000000000277555756156289135105907917022",
	};
	static const size_t zeros[] = {0, 1, 20, 700, 799, 800, 801, 2000};
	struct buf buf;
	buf_init(&buf, BUF_BYTES);
	for (size_t h = 0; h < sizeof(heads) / sizeof(heads[0]); h++) {
		for (size_t z = 0; z < sizeof(zeros) / sizeof(zeros[0]); z++) {
			struct arena arena;
			struct json_doc doc;
			double value;
			buf_clear(&buf);
			buf_put_str(&buf, str_of(heads[h]));
			if (!strchr(heads[h], '.'))
				buf_put_byte(&buf, '.');
			for (size_t i = 0; i < zeros[z]; i++)
				buf_put_byte(&buf, '0');
			buf_put_str(&buf, z % 2 ? STR("1e-3") : STR("1"));
			arena_init(&arena, ARENA_BYTES);
			assert_int_equal(json_parse(&arena, buf_str(&buf), &doc, NULL), ERR_OK);
			assert_true(json_get_real(json_root(&doc), &value));
			buf_put_byte(&buf, '\0');
			assert_true(value == strtod(buf.at, NULL));
			arena_fini(&arena);
		}
	}
	buf_fini(&buf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_accepts_what_the_standard_has),
		cmocka_unit_test(test_refuses_with_offset_and_reason),
		cmocka_unit_test(test_agrees_with_jansson_on_generated_texts),
		cmocka_unit_test(test_depth_is_capped),
		cmocka_unit_test(test_nodes_and_memory_are_capped),
		cmocka_unit_test(test_duplicates_are_found_in_big_objects),
		cmocka_unit_test(test_reads_by_type),
		cmocka_unit_test(test_writes_commas_and_escapes),
		cmocka_unit_test(test_fixed_point_has_the_digits_needed),
		cmocka_unit_test(test_a_full_buf_is_noticed),
		cmocka_unit_test(test_reals_are_short_and_exact),
		cmocka_unit_test(test_long_decimals_round_right),
	};
	return cmocka_run_group_tests_name("wire_json", tests, load_oracle, NULL);
}
