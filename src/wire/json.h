/*
 * json.h - strict JSON (RFC 8259), reading into an arena, writing into a buf.
 *
 * For:     every JSON text in or out.
 * Not for: numbers that are neither int64 nor a finite double; comments, trailing commas, NaN.
 * Threads: a document has one owner; pure otherwise.
 * Memory:  nodes and unescaped strings live in the arena; strings without escapes point into the text,
 *          which has to outlive the document. No allocation but the arena.
 * Errors:  ERR_MALFORMED with offset and reason; ERR_LIMIT for arena or node cap.
 *
 * Refused: depth over LIMIT_JSON_DEPTH, duplicate members, lone surrogates, invalid UTF-8, raw control bytes,
 * leading zeros, bytes after the value, an integer that does not fit int64, a number that overflows double,
 * U+0000 in a string or name.
 *
 * A document is a flat array of nodes in text order; `next` is the index just behind the node with all its
 * descendants, so that skipping is one step:
 *   {"a":[1,2]}   ->  0 object(size 1,next 5)  1 string "a"  2 array(size 2,next 5)  3 int  4 int
 */
#ifndef GUILD_WIRE_JSON_H
#define GUILD_WIRE_JSON_H

#include "base/arena.h"
#include "base/buf.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_REAL, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json_node {
	enum json_kind kind;
	uint32_t size;  /* members of an object, elements of an array */
	uint32_t next;  /* index behind this value */
	union {
		bool boolean;
		int64_t integer;
		double real;
		struct str string;
	};
};

struct json_doc {
	struct json_node *nodes;
	uint32_t count;
	struct str text;
};

/* A value inside a document; doc == NULL means "not there". */
struct json {
	const struct json_doc *doc;
	uint32_t at;
};

struct json_error {
	size_t offset;
	const char *reason; /* static, for clients: "duplicate member" */
};

/* Parses the whole of text. error may be NULL. */
enum err json_parse(struct arena *arena, struct str text, struct json_doc *out, struct json_error *error) MUST_USE;
static inline struct json json_root(const struct json_doc *doc) { return (struct json){doc, 0}; }

static inline bool json_there(struct json v) { return v.doc != NULL; }
/* Kind of v; JSON_NULL when not there. */
enum json_kind json_kind(struct json v);
const char *json_kind_name(enum json_kind kind);
/* The member's value; not there when v is no object or has no such member. */
struct json json_member(struct json v, struct str name);
/* Element i of an array; not there beyond it. */
struct json json_element(struct json v, uint32_t i);
uint32_t json_size(struct json v);
/* Walks members or elements: json_iter starts, json_next is false at the end. name may be NULL. */
struct json_iter {
	struct json of;
	uint32_t next;
	uint32_t left;
};
struct json_iter json_iter(struct json v);
bool json_next(struct json_iter *iter, struct str *name, struct json *value);
/* Typed reads; false when the kind differs (an integer is fine as real). */
bool json_get_str(struct json v, struct str *out);
bool json_get_int(struct json v, int64_t *out);
bool json_get_real(struct json v, double *out);
bool json_get_bool(struct json v, bool *out);
/* The exact text of the value in the document is not kept; json_put_value writes it again. */

/* ---- writing: commas and colons are put by the writer ---- */

struct json_out {
	struct buf *buf;
	unsigned depth;
	uint64_t comma_bits; /* bit d set: a value has been written at depth d */
	bool after_name;
};

void json_begin(struct json_out *out, struct buf *buf);
void json_object(struct json_out *out);
void json_object_end(struct json_out *out);
void json_array(struct json_out *out);
void json_array_end(struct json_out *out);
void json_name(struct json_out *out, struct str name);
/* Escapes '"', '\\', control bytes; other UTF-8 goes out as it is. Invalid UTF-8 becomes U+FFFD. */
void json_str(struct json_out *out, struct str value);
void json_int(struct json_out *out, int64_t value);
/* Shortest form that reads back the same; a whole number below 2^53 is written without a point, one from there on with
 * an exponent (its plain digits might not fit an integer). value has to be finite. */
void json_real(struct json_out *out, double value);
/* value_e4 / 10000 with exactly the digits needed: 5000 -> 0.5 */
void json_fixed4(struct json_out *out, int64_t value_e4);
void json_bool(struct json_out *out, bool value);
void json_null(struct json_out *out);
/* text is JSON already: copied as it is. */
void json_raw(struct json_out *out, struct str text);
/* Writes v (with all below it) again, compactly. */
void json_put_value(struct json_out *out, struct json v);

/* name and value at once */
void json_put_str(struct json_out *out, struct str name, struct str value);
/* value, or null when value.at is NULL */
void json_put_str_or_null(struct json_out *out, struct str name, struct str value);
void json_put_int(struct json_out *out, struct str name, int64_t value);
void json_put_bool(struct json_out *out, struct str name, bool value);
void json_put_null(struct json_out *out, struct str name);
void json_put_raw(struct json_out *out, struct str name, struct str text);

#endif
