/*
 * jcs.c - canonical JSON: the writer's strings, ECMAScript's numbers, members in UTF-16 order.
 */
#include "wire/jcs.h"

#include "base/check.h"
#include "base/limits.h"
#include "wire/json_priv.h"

/* UTF-8 orders as code points do; in UTF-16 what needs surrogates (lead bytes F0..F4) comes before U+E000..U+FFFF. */
static inline int utf16_rank(char byte)
{
	unsigned char c = (unsigned char)byte;
	return c == 0xee || c == 0xef ? c + 0x10 : c;
}

static int order_utf16(struct str a, struct str b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	size_t i = 0;
	while (i < len && a.at[i] == b.at[i])
		i++;
	if (i < len)
		return utf16_rank(a.at[i]) - utf16_rank(b.at[i]);
	return a.len < b.len ? -1 : a.len > b.len;
}

static enum err put_value(struct buf *out, struct arena *arena, struct json v, unsigned depth);

static enum err put_object(struct buf *out, struct arena *arena, struct json v, unsigned depth)
{
	const struct json_node *nodes = v.doc->nodes;
	uint32_t size = nodes[v.at].size;
	uint32_t *members = size > 0 ? arena_array(arena, uint32_t, size) : NULL;
	if (size > 0 && !members)
		return ERR_LIMIT;
	if (size > 0)
		json_sort(nodes, v.at, order_utf16, members);
	buf_put_byte(out, '{');
	for (uint32_t i = 0; i < size; i++) {
		if (i > 0)
			buf_put_byte(out, ',');
		json_put_text(out, nodes[members[i]].string);
		buf_put_byte(out, ':');
		enum err err = put_value(out, arena, (struct json){v.doc, members[i] + 1}, depth);
		if (err)
			return err;
	}
	buf_put_byte(out, '}');
	return ERR_OK;
}

static enum err put_array(struct buf *out, struct arena *arena, struct json v, unsigned depth)
{
	struct json_iter iter = json_iter(v);
	struct json element;
	buf_put_byte(out, '[');
	for (bool first = true; json_next(&iter, NULL, &element); first = false) {
		if (!first)
			buf_put_byte(out, ',');
		enum err err = put_value(out, arena, element, depth);
		if (err)
			return err;
	}
	buf_put_byte(out, ']');
	return ERR_OK;
}

/* Recurses no deeper than a text may be. */
static enum err put_value(struct buf *out, struct arena *arena, struct json v, unsigned depth)
{
	check(depth <= LIMIT_JSON_DEPTH);
	const struct json_node *node = &v.doc->nodes[v.at];
	switch (node->kind) {
	case JSON_NULL:
		buf_put_str(out, STR("null"));
		break;
	case JSON_BOOL:
		buf_put_str(out, node->boolean ? STR("true") : STR("false"));
		break;
	case JSON_INT:
		buf_put_i64(out, node->integer);
		break;
	case JSON_REAL:
		jcs_put_number(out, node->real);
		break;
	case JSON_STRING:
		json_put_text(out, node->string);
		break;
	case JSON_ARRAY:
		return put_array(out, arena, v, depth + 1);
	case JSON_OBJECT:
		return put_object(out, arena, v, depth + 1);
	}
	return ERR_OK;
}

enum err jcs_put(struct buf *out, struct arena *arena, struct json v)
{
	check(json_there(v));
	enum err err = put_value(out, arena, v, 0);
	return err ? err : buf_err(out);
}

void jcs_put_number(struct buf *out, double value)
{
	json_put_number(out, value, false);
}
