/*
 * json_write.c - JSON into a buf. Failures of the buf are sticky, so nothing here returns them.
 */
#include "wire/json.h"

#include "base/check.h"
#include "base/limits.h"
#include "wire/json_priv.h"
#include "wire/utf8.h"

#define DEPTH_MAX 64 /* bits of comma_bits */

/* A comma, unless this is the first value at its depth or follows a name. */
static inline void separate(struct json_out *out)
{
	if (out->after_name) {
		out->after_name = false;
		return;
	}
	if (out->depth == 0)
		return;
	uint64_t bit = UINT64_C(1) << (out->depth - 1);
	if (out->comma_bits & bit)
		buf_put_byte(out->buf, ',');
	out->comma_bits |= bit;
}

/* End of the bytes from p on that go out as they are. */
static const char *run_end(const char *p, const char *end)
{
	for (;;) {
		p = json_plain_end(p, end);
		if (p == end || (unsigned char)*p < 0x80)
			return p;
		size_t len = utf8_sequence(str_make(p, (size_t)(end - p)));
		if (len == 0)
			return p;
		p += len;
	}
}

static void put_escape(struct buf *buf, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";
	static const char letters[0x20] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
	char letter = c < 0x20 ? letters[c] : (char)c;
	if (letter) {
		buf_put(buf, (char[2]){'\\', letter}, 2);
	} else {
		buf_put(buf, (char[6]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
	}
}

/* Length of the broken sequence at p: what a decoder replaces by one U+FFFD (Unicode 3.9, maximal subparts). */
static size_t broken_length(const char *p, const char *end)
{
	struct utf8_check utf8 = {0};
	size_t len = 0;
	while (p + len < end && utf8_feed(&utf8, str_make(p + len, 1)))
		len++;
	return len > 0 ? len : 1;
}

static void put_slow(struct buf *buf, const char *p, const char *end)
{
	buf_put_byte(buf, '"');
	while (p < end) {
		const char *run = p;
		p = run_end(p, end);
		buf_put(buf, run, (size_t)(p - run));
		if (p == end)
			break;
		if ((unsigned char)*p < 0x80) {
			put_escape(buf, (unsigned char)*p);
			p++;
		} else {
			buf_put_str(buf, STR("\xef\xbf\xbd"));
			p += broken_length(p, end);
		}
	}
	buf_put_byte(buf, '"');
}

void json_put_text(struct buf *buf, struct str text)
{
	const char *p = text.at ? text.at : "";
	const char *end = p + text.len;
	if (run_end(p, end) != end) {
		put_slow(buf, p, end);
		return;
	}
	char *to = buf_reserve(buf, text.len + 2);
	if (!to)
		return;
	to[0] = '"';
	memcpy(to + 1, p, text.len);
	to[text.len + 1] = '"';
	buf->len += text.len + 2;
}

void json_begin(struct json_out *out, struct buf *buf)
{
	*out = (struct json_out){.buf = buf};
}

static void open_container(struct json_out *out, char bracket)
{
	separate(out);
	check(out->depth < DEPTH_MAX);
	out->comma_bits &= ~(UINT64_C(1) << out->depth);
	out->depth++;
	buf_put_byte(out->buf, bracket);
}

static void close_container(struct json_out *out, char bracket)
{
	check(out->depth > 0 && !out->after_name);
	out->depth--;
	buf_put_byte(out->buf, bracket);
}

void json_object(struct json_out *out)
{
	open_container(out, '{');
}

void json_object_end(struct json_out *out)
{
	close_container(out, '}');
}

void json_array(struct json_out *out)
{
	open_container(out, '[');
}

void json_array_end(struct json_out *out)
{
	close_container(out, ']');
}

void json_name(struct json_out *out, struct str name)
{
	check(out->depth > 0 && !out->after_name);
	separate(out);
	json_put_text(out->buf, name);
	buf_put_byte(out->buf, ':');
	out->after_name = true;
}

void json_str(struct json_out *out, struct str value)
{
	separate(out);
	json_put_text(out->buf, value);
}

void json_int(struct json_out *out, int64_t value)
{
	separate(out);
	buf_put_i64(out->buf, value);
}

void json_real(struct json_out *out, double value)
{
	separate(out);
	json_put_number(out->buf, value, true);
}

void json_fixed4(struct json_out *out, int64_t value_e4)
{
	uint64_t size = value_e4 < 0 ? 0 - (uint64_t)value_e4 : (uint64_t)value_e4;
	char fraction[5] = {'.'};
	size_t len = 5;
	uint64_t rest = size % 10000;
	for (int i = 4; i >= 1; i--) {
		fraction[i] = (char)('0' + rest % 10);
		rest /= 10;
	}
	while (len > 1 && fraction[len - 1] == '0')
		len--;
	separate(out);
	if (value_e4 < 0)
		buf_put_byte(out->buf, '-');
	buf_put_i64(out->buf, (int64_t)(size / 10000));
	if (len > 1)
		buf_put(out->buf, fraction, len);
}

void json_bool(struct json_out *out, bool value)
{
	separate(out);
	buf_put_str(out->buf, value ? STR("true") : STR("false"));
}

void json_null(struct json_out *out)
{
	separate(out);
	buf_put_str(out->buf, STR("null"));
}

void json_raw(struct json_out *out, struct str text)
{
	separate(out);
	buf_put_str(out->buf, text);
}

static void put_scalar(struct buf *buf, const struct json_node *node)
{
	switch (node->kind) {
	case JSON_NULL:
		buf_put_str(buf, STR("null"));
		break;
	case JSON_BOOL:
		buf_put_str(buf, node->boolean ? STR("true") : STR("false"));
		break;
	case JSON_INT:
		buf_put_i64(buf, node->integer);
		break;
	case JSON_REAL:
		json_put_number(buf, node->real, true);
		break;
	case JSON_STRING:
		json_put_text(buf, node->string);
		break;
	case JSON_ARRAY:
		buf_put_byte(buf, '[');
		break;
	case JSON_OBJECT:
		buf_put_byte(buf, '{');
		break;
	}
}

/* Keeps its own stack: the document may be as deep as a text may be, wherever it is put. */
void json_put_value(struct json_out *out, struct json v)
{
	struct level {
		uint32_t next;
		uint32_t done; /* nodes written, names included */
		bool is_object;
	} levels[LIMIT_JSON_DEPTH];
	unsigned depth = 0;
	if (!json_there(v)) {
		json_null(out);
		return;
	}
	separate(out);
	const struct json_node *nodes = v.doc->nodes;
	for (uint32_t at = v.at; at < nodes[v.at].next;) {
		const struct json_node *node = &nodes[at];
		struct level *in = depth > 0 ? &levels[depth - 1] : NULL;
		bool is_name = in && in->is_object && in->done % 2 == 0;
		if (in && in->done > 0 && (is_name || !in->is_object))
			buf_put_byte(out->buf, ',');
		put_scalar(out->buf, node);
		if (is_name)
			buf_put_byte(out->buf, ':');
		if (in)
			in->done++;
		at++;
		if (node->kind >= JSON_ARRAY) {
			check(depth < LIMIT_JSON_DEPTH);
			levels[depth++] = (struct level){node->next, 0, node->kind == JSON_OBJECT};
		}
		while (depth > 0 && levels[depth - 1].next == at)
			buf_put_byte(out->buf, levels[--depth].is_object ? '}' : ']');
	}
}

void json_put_str(struct json_out *out, struct str name, struct str value)
{
	json_name(out, name);
	json_str(out, value);
}

void json_put_str_or_null(struct json_out *out, struct str name, struct str value)
{
	json_name(out, name);
	if (value.at)
		json_str(out, value);
	else
		json_null(out);
}

void json_put_int(struct json_out *out, struct str name, int64_t value)
{
	json_name(out, name);
	json_int(out, value);
}

void json_put_bool(struct json_out *out, struct str name, bool value)
{
	json_name(out, name);
	json_bool(out, value);
}

void json_put_null(struct json_out *out, struct str name)
{
	json_name(out, name);
	json_null(out);
}

void json_put_raw(struct json_out *out, struct str name, struct str text)
{
	json_name(out, name);
	json_raw(out, text);
}
