/*
 * route.c - the rows of all tables as a trie over path segments.
 *
 * A child is found by hashing (parent, segment), so that finding a row costs the length of the path, however many rows
 * there are. A literal segment is tried before the one that takes anything.
 */
#include <stdio.h>

#include "http/http_priv.h"

#define ROUTE_SEGMENTS_MAX 16

struct http_router {
	struct http_node *nodes; /* 0 is the root */
	uint32_t node_count;
	uint32_t *slots; /* node index, 0: free; the root is no child */
	uint32_t slot_mask;
};

static uint32_t hash(uint32_t parent, struct str name)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325) ^ parent;

	for (size_t i = 0; i < name.len; i++) {
		h = (h ^ (unsigned char)name.at[i]) * UINT64_C(0x100000001b3);
	}
	return (uint32_t)(h ^ h >> 32);
}

/* Where the child is, or where it would go. */
static uint32_t *find_slot(const struct http_router *router, uint32_t parent, struct str name)
{
	uint32_t at = hash(parent, name) & router->slot_mask;

	while (router->slots[at]) {
		const struct http_node *node = &router->nodes[router->slots[at]];
		if (node->parent == parent && str_eq(node->name, name)) {
			break;
		}
		at = (at + 1) & router->slot_mask;
	}
	return &router->slots[at];
}

/* Cuts the first segment off a path that begins with '/'. */
static struct str take_segment(struct str *path)
{
	struct str rest = str_sub(*path, 1, path->len);
	ptrdiff_t end = str_find_byte(rest, '/');
	struct str segment = str_sub(rest, 0, end < 0 ? rest.len : (size_t)end);

	*path = str_sub(rest, segment.len, rest.len);
	return segment;
}

static uint32_t node_add(struct http_router *router, uint32_t parent, struct str name)
{
	uint32_t index = router->node_count++;

	router->nodes[index].parent = parent;
	router->nodes[index].name = name;
	return index;
}

static uint32_t child_of(struct http_router *router, uint32_t parent, struct str segment)
{
	check(segment.len > 0);
	if (segment.at[0] == '{') {
		if (!router->nodes[parent].param) {
			router->nodes[parent].param = node_add(router, parent, segment);
		}
		return router->nodes[parent].param;
	}
	uint32_t *slot = find_slot(router, parent, segment);
	if (!*slot) {
		*slot = node_add(router, parent, segment);
	}
	return *slot;
}

static void row_add(struct http_router *router, const struct http_route *row)
{
	struct str path = str_of(row->path);
	uint32_t at = 0;
	unsigned params = 0;
	unsigned segments = 0;

	check(path.len > 0 && path.at[0] == '/' && row->method < HTTP1_OPTIONS && row->handle);
	check(row->scope != SCOPE_UNSET && (row->scope == SCOPE_OPEN) == ((row->flags & HTTP_OPEN) != 0));
	while (path.len > 1) {
		struct str segment = take_segment(&path);
		params += segment.len > 0 && segment.at[0] == '{';
		at = child_of(router, at, segment);
		segments++;
	}
	check(params <= HTTP_PARAMS && segments <= ROUTE_SEGMENTS_MAX);
	check(!router->nodes[at].rows[row->method]);
	router->nodes[at].rows[row->method] = row;
	router->nodes[at].has_rows = true;
}

static void allow_fill(struct http_node *node)
{
	size_t len = 0;

	for (unsigned i = 0; i < HTTP1_OPTIONS; i++) {
		bool there = node->rows[i] || (i == HTTP1_HEAD && node->rows[HTTP1_GET]);
		if (there) {
			len += (size_t)snprintf(node->allow + len, sizeof(node->allow) - len, "%s, ", http1_method_name(i));
		}
	}
	snprintf(node->allow + len, sizeof(node->allow) - len, "OPTIONS");
}

static size_t segments_of_all(const struct http_route *const *tables)
{
	size_t count = 0;

	for (; *tables; tables++) {
		for (const struct http_route *row = *tables; row->path; row++) {
			for (const char *c = row->path; *c; c++) {
				count += *c == '/';
			}
		}
	}
	return count;
}

enum err http_router_create(const struct http_route *const *tables, struct http_router **out)
{
	struct http_router *router = mem_alloc(sizeof(*router));
	size_t nodes = segments_of_all(tables) + 1;
	size_t slots = 16;

	*out = router;
	if (!router) {
		return ERR_MEMORY;
	}
	while (slots < nodes * 2) {
		slots *= 2;
	}
	router->nodes = mem_alloc(nodes * sizeof(*router->nodes));
	router->slots = mem_alloc(slots * sizeof(*router->slots));
	router->slot_mask = (uint32_t)slots - 1;
	router->node_count = 1;
	if (!router->nodes || !router->slots) {
		http_router_destroy(out);
		return ERR_MEMORY;
	}
	for (; *tables; tables++) {
		for (const struct http_route *row = *tables; row->path; row++) {
			row_add(router, row);
		}
	}
	for (uint32_t i = 0; i < router->node_count; i++) {
		allow_fill(&router->nodes[i]);
	}
	return ERR_OK;
}

void http_router_destroy(struct http_router **router)
{
	if (*router) {
		mem_free((*router)->nodes);
		mem_free((*router)->slots);
		mem_free(*router);
	}
	*router = NULL;
}

/* Recursion is as deep as the deepest row, which row_add bounds. */
static const struct http_node *walk(const struct http_router *router, uint32_t at, struct str path, struct str *params,
				    unsigned param_count)
{
	if (path.len == 0) {
		return router->nodes[at].has_rows ? &router->nodes[at] : NULL;
	}
	struct str rest = path;
	struct str segment = take_segment(&rest);
	if (segment.len == 0) {
		return NULL;
	}
	uint32_t child = *find_slot(router, at, segment);
	const struct http_node *found = child ? walk(router, child, rest, params, param_count) : NULL;
	if (found || !router->nodes[at].param) {
		return found;
	}
	params[param_count] = segment;
	return walk(router, router->nodes[at].param, rest, params, param_count + 1);
}

const struct http_node *http_router_find(const struct http_router *router, struct str path, struct str params[HTTP_PARAMS])
{
	for (unsigned i = 0; i < HTTP_PARAMS; i++) {
		params[i] = STR_NONE;
	}
	if (str_eq(path, STR("/"))) {
		return router->nodes[0].has_rows ? &router->nodes[0] : NULL;
	}
	return walk(router, 0, path, params, 0);
}
