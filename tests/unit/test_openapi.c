/* The OpenAPI document: valid JSON, every row in it, every reference resolved. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "agent/agent.h"
#include "execution/execution.h"
#include "governance/governance.h"
#include "identity/identity.h"
#include "identity/key.h"
#include "ops/ops_priv.h"
#include "session/session.h"
#include "social/social.h"

static const struct http_route *const tables[] = {execution_routes, agent_routes,   governance_routes, policy_routes, identity_routes, key_routes,
						  session_routes,   social_rate_routes, ops_routes, NULL};
static struct arena arena;
static struct buf text;
static struct json_doc doc;

static int setup(void **state)
{
	(void)state;
	arena_init(&arena, 16 << 20);
	buf_init(&text, 4 << 20);
	assert_int_equal(openapi_render(tables, &text), ERR_OK);
	assert_int_equal(json_parse(&arena, buf_str(&text), &doc, NULL), ERR_OK);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	buf_fini(&text);
	arena_fini(&arena);
	return 0;
}

static struct json at(struct json v, const char *name)
{
	struct json member = json_member(v, str_of(name));
	if (!json_there(member)) {
		fail_msg("no member %s", name);
	}
	return member;
}

static void assert_text(struct json v, const char *wanted)
{
	struct str got = STR("");
	assert_true(json_get_str(v, &got));
	assert_int_equal(got.len, strlen(wanted));
	assert_memory_equal(got.at, wanted, got.len);
}

static struct json operation(const char *path, const char *method)
{
	return at(at(at(json_root(&doc), "paths"), path), method);
}

static void every_row_is_an_operation(void **state)
{
	static const char *const methods[] = {[HTTP1_GET] = "get",	[HTTP1_POST] = "post",	   [HTTP1_PUT] = "put",
					      [HTTP1_PATCH] = "patch", [HTTP1_DELETE] = "delete"};
	size_t rows = 0, operations = 0;
	(void)state;
	for (size_t t = 0; tables[t] != NULL; t++) {
		for (const struct http_route *row = tables[t]; row->path != NULL; row++) {
			struct json op = operation(row->path, methods[row->method]);
			char status[16];
			snprintf(status, sizeof(status), "%d", row->reply_status);
			assert_true(json_there(at(at(op, "responses"), status)));
			assert_true(json_there(at(at(op, "responses"), "default")));
			assert_text(at(op, "summary"), row->summary);
			rows++;
		}
	}
	struct json_iter paths = json_iter(at(json_root(&doc), "paths"));
	struct json path;
	while (json_next(&paths, NULL, &path)) {
		operations += json_size(path);
	}
	assert_int_equal(rows, operations);
}

static void every_reply_names_a_schema(void **state)
{
	(void)state;
	for (size_t t = 0; tables[t] != NULL; t++) {
		for (const struct http_route *row = tables[t]; row->path != NULL; row++) {
			struct str reply = row->reply != NULL ? str_of(row->reply) : STR("object");
			reply = str_starts(reply, STR("list:")) ? str_sub(reply, 5, reply.len) : reply;
			bool plain = str_eq(reply, STR("object")) || str_eq(reply, STR("stream"));
			if (!plain && !openapi_schema_known(reply)) {
				fail_msg("%s answers with %s, which schemas.def does not have", row->path, row->reply);
			}
		}
	}
}

static void follow(struct json value)
{
	struct json_iter iter = json_iter(value);
	struct str name, target;
	struct json child;
	if (json_kind(value) != JSON_OBJECT && json_kind(value) != JSON_ARRAY) {
		return;
	}
	while (json_next(&iter, &name, &child)) {
		if (json_kind(value) == JSON_OBJECT && str_eq(name, STR("$ref")) && json_get_str(child, &target)) {
			struct json found = json_root(&doc);
			struct str rest = str_sub(target, 2, target.len), part;
			assert_true(str_starts(target, STR("#/")));
			while (str_split(&rest, '/', &part)) {
				found = json_member(found, part);
			}
			if (!json_there(found)) {
				fail_msg("%.*s leads nowhere", STR_FMT(target));
			}
		}
		follow(child);
	}
}

static void every_reference_leads_somewhere(void **state)
{
	(void)state;
	follow(json_root(&doc));
}

static void members_carry_kind_bounds_and_words(void **state)
{
	int64_t number;
	bool flag = true;
	(void)state;
	struct json schema = at(at(at(at(operation("/v1/events", "post"), "requestBody"), "content"), "application/json"), "schema");
	assert_true(json_get_bool(at(schema, "additionalProperties"), &flag) && !flag);
	assert_int_equal(json_size(at(schema, "required")), 2);
	struct json type = at(at(schema, "properties"), "type");
	assert_text(at(type, "type"), "string");
	assert_true(json_get_int(at(type, "minLength"), &number) && number == 3);
	assert_true(json_get_int(at(type, "maxLength"), &number) && number == 128);
	assert_int_equal(json_size(at(at(schema, "properties"), "data")), 1);
	struct json chat = at(at(at(at(operation("/v1/chat", "post"), "requestBody"), "content"), "application/json"), "schema");
	struct json busy = at(at(chat, "properties"), "on_busy");
	assert_true(json_size(at(busy, "enum")) >= 5);
	assert_true(json_there(at(at(at(operation("/v1/chat", "post"), "responses"), "200"), "content")));
}

static void parameters_come_from_path_and_query(void **state)
{
	(void)state;
	struct json parameters = at(operation("/v1/agents/{id}/resume", "post"), "parameters");
	assert_int_equal(json_size(parameters), 2);
	assert_text(at(json_element(parameters, 1), "name"), "Idempotency-Key");
	assert_text(at(json_element(parameters, 1), "in"), "header");
	assert_text(at(json_element(parameters, 0), "name"), "id");
	assert_text(at(json_element(parameters, 0), "in"), "path");
	parameters = at(operation("/v1/audit", "get"), "parameters");
	assert_int_equal(json_size(parameters), 8);
	assert_text(at(json_element(parameters, 0), "in"), "query");
}

/* T4, T38: what needs no token says so, and nothing else does. */
static void open_rows_are_the_known_ones(void **state)
{
	static const char *const open[] = {"/v1/ws", "/healthz", "/readyz", "/openapi.json", "/v1/auth/login"};
	size_t count = 0;
	(void)state;
	for (size_t t = 0; tables[t] != NULL; t++) {
		for (const struct http_route *row = tables[t]; row->path != NULL; row++) {
			bool known = false;
			for (size_t i = 0; i < sizeof(open) / sizeof(open[0]); i++) {
				known = known || str_eq(str_of(open[i]), str_of(row->path));
			}
			assert_int_equal((row->flags & HTTP_OPEN) != 0, known);
			count += known;
		}
	}
	assert_int_equal(count, sizeof(open) / sizeof(open[0]));
}

static void cursors_are_offsets_with_or_without_epoch(void **state)
{
	int64_t epoch, offset;
	(void)state;
	assert_true(ops_cursor_parse(STR("12"), &epoch, &offset) && epoch == 0 && offset == 12);
	assert_true(ops_cursor_parse(STR("7:0"), &epoch, &offset) && epoch == 7 && offset == 0);
	const char *const bad[] = {"", ":", "7:", ":7", "0:7", "-1", "1:-1", "1:2:3", "x", "1 ", "9223372036854775808"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_false(ops_cursor_parse(str_of(bad[i]), &epoch, &offset));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_row_is_an_operation),
		cmocka_unit_test(every_reply_names_a_schema),
		cmocka_unit_test(every_reference_leads_somewhere),
		cmocka_unit_test(members_carry_kind_bounds_and_words),
		cmocka_unit_test(parameters_come_from_path_and_query),
		cmocka_unit_test(open_rows_are_the_known_ones),
		cmocka_unit_test(cursors_are_offsets_with_or_without_epoch),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
