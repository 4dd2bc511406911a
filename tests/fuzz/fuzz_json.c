/*
 * fuzz_json.c - what the reader accepts, the writer writes and the reader reads again as the same; the canonical form
 * of the canonical form is itself.
 */
#include "base/check.h"
#include "wire/jcs.h"
#include "wire/json.h"

#define ARENA_BYTES (32u << 20)
#define BUF_BYTES (32u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_same(const struct json_doc *a, const struct json_doc *b)
{
	check(a->count == b->count);
	for (uint32_t i = 0; i < a->count; i++) {
		const struct json_node *x = &a->nodes[i];
		const struct json_node *y = &b->nodes[i];
		double left = 0;
		double right = 0;
		check(x->size == y->size && x->next == y->next);
		check(json_get_real((struct json){a, i}, &left) == json_get_real((struct json){b, i}, &right) && left == right);
		check(x->kind == y->kind || (x->kind == JSON_REAL && y->kind == JSON_INT));
		check(x->kind != JSON_STRING || str_eq(x->string, y->string));
		check(x->kind != JSON_INT || x->integer == y->integer);
		check(x->kind != JSON_BOOL || x->boolean == y->boolean);
	}
}

static void check_canonical(struct arena *arena, const struct json_doc *doc)
{
	struct buf once;
	struct buf twice;
	struct json_doc again;
	struct json_error error;
	buf_init(&once, BUF_BYTES);
	buf_init(&twice, BUF_BYTES);
	check(jcs_put(&once, arena, json_root(doc)) == ERR_OK);
	enum err err = json_parse(arena, buf_str(&once), &again, &error);
	/* 1e20 is canonical as twenty-one digits, which our reader refuses as too large an integer. */
	check(err == ERR_OK || strcmp(error.reason, "integer out of range") == 0);
	if (err == ERR_OK) {
		check(jcs_put(&twice, arena, json_root(&again)) == ERR_OK);
		check(str_eq(buf_str(&once), buf_str(&twice)));
	}
	buf_fini(&once);
	buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct json_doc doc;
	struct json_doc again;
	struct json_error error;
	struct buf buf;
	struct json_out out;
	arena_init(&arena, ARENA_BYTES);
	buf_init(&buf, BUF_BYTES);
	enum err err = json_parse(&arena, str_make(data, size), &doc, &error);
	if (err == ERR_OK) {
		json_begin(&out, &buf);
		json_put_value(&out, json_root(&doc));
		check(json_parse(&arena, buf_str(&buf), &again, NULL) == ERR_OK);
		check_same(&doc, &again);
		check_canonical(&arena, &doc);
	} else {
		check(error.offset <= size && error.reason != NULL);
	}
	/* Any bytes at all come out as a string that reads. */
	buf_clear(&buf);
	json_begin(&out, &buf);
	json_str(&out, str_make(data, size));
	bool has_nul = size > 0 && memchr(data, 0, size);
	check(has_nul || json_parse(&arena, buf_str(&buf), &again, NULL) == ERR_OK);
	buf_fini(&buf);
	arena_fini(&arena);
	return 0;
}
