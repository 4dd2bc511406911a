/*
 * json.c - walking a document.
 */
#include "wire/json.h"

#include "base/check.h"
#include "wire/json_priv.h"

static const struct json none = {NULL, 0};

static inline const struct json_node *node_of(struct json v)
{
	return &v.doc->nodes[v.at];
}

/* The node when v is there and of that kind. */
static inline const struct json_node *node_if(struct json v, enum json_kind kind)
{
	return v.doc && node_of(v)->kind == kind ? node_of(v) : NULL;
}

enum json_kind json_kind(struct json v)
{
	return v.doc ? node_of(v)->kind : JSON_NULL;
}

const char *json_kind_name(enum json_kind kind)
{
	static const char *const names[] = {
		[JSON_NULL] = "null",     [JSON_BOOL] = "boolean", [JSON_INT] = "integer",   [JSON_REAL] = "number",
		[JSON_STRING] = "string", [JSON_ARRAY] = "array",  [JSON_OBJECT] = "object",
	};
	check((size_t)kind < sizeof(names) / sizeof(names[0]));
	return names[kind];
}

struct json json_member(struct json v, struct str name)
{
	const struct json_node *object = node_if(v, JSON_OBJECT);
	if (!object)
		return none;
	const struct json_node *nodes = v.doc->nodes;
	uint32_t at = v.at + 1;
	for (uint32_t left = object->size; left > 0; left--) {
		if (nodes[at].string.len == name.len && memcmp(nodes[at].string.at, name.at ? name.at : "", name.len) == 0)
			return (struct json){v.doc, at + 1};
		at = nodes[at + 1].next;
	}
	return none;
}

struct json json_element(struct json v, uint32_t i)
{
	const struct json_node *array = node_if(v, JSON_ARRAY);
	if (!array || i >= array->size)
		return none;
	uint32_t at = v.at + 1;
	for (; i > 0; i--)
		at = v.doc->nodes[at].next;
	return (struct json){v.doc, at};
}

uint32_t json_size(struct json v)
{
	return v.doc ? node_of(v)->size : 0;
}

struct json_iter json_iter(struct json v)
{
	return (struct json_iter){v, v.at + 1, json_size(v)};
}

bool json_next(struct json_iter *iter, struct str *name, struct json *value)
{
	if (iter->left == 0)
		return false;
	iter->left--;
	const struct json_node *nodes = iter->of.doc->nodes;
	bool is_object = node_of(iter->of)->kind == JSON_OBJECT;
	if (name)
		*name = is_object ? nodes[iter->next].string : STR_NONE;
	uint32_t at = iter->next + is_object;
	*value = (struct json){iter->of.doc, at};
	iter->next = nodes[at].next;
	return true;
}

bool json_get_str(struct json v, struct str *out)
{
	const struct json_node *node = node_if(v, JSON_STRING);
	if (node)
		*out = node->string;
	return node != NULL;
}

bool json_get_int(struct json v, int64_t *out)
{
	const struct json_node *node = node_if(v, JSON_INT);
	if (node)
		*out = node->integer;
	return node != NULL;
}

bool json_get_real(struct json v, double *out)
{
	int64_t integer;
	if (json_get_int(v, &integer)) {
		*out = (double)integer;
		return true;
	}
	const struct json_node *node = node_if(v, JSON_REAL);
	if (node)
		*out = node->real;
	return node != NULL;
}

bool json_get_bool(struct json v, bool *out)
{
	const struct json_node *node = node_if(v, JSON_BOOL);
	if (node)
		*out = node->boolean;
	return node != NULL;
}

/* Lets the member at index root of the heap sink to its place. */
static void sink(const struct json_node *nodes, json_order_fn *order, uint32_t *members, uint32_t root, uint32_t count)
{
	uint32_t moving = members[root];
	for (;;) {
		uint32_t child = root * 2 + 1;
		if (child >= count)
			break;
		if (child + 1 < count && order(nodes[members[child]].string, nodes[members[child + 1]].string) < 0)
			child++;
		if (order(nodes[moving].string, nodes[members[child]].string) >= 0)
			break;
		members[root] = members[child];
		root = child;
	}
	members[root] = moving;
}

void json_sort(const struct json_node *nodes, uint32_t object, json_order_fn *order, uint32_t *members)
{
	uint32_t count = nodes[object].size;
	uint32_t at = object + 1;
	for (uint32_t i = 0; i < count; i++) {
		members[i] = at;
		at = nodes[at + 1].next;
	}
	for (uint32_t i = count / 2; i > 0; i--)
		sink(nodes, order, members, i - 1, count);
	for (uint32_t left = count; left > 1; left--) {
		uint32_t last = members[left - 1];
		members[left - 1] = members[0];
		members[0] = last;
		sink(nodes, order, members, 0, left - 1);
	}
}
