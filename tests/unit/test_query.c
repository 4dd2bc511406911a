/* test_query.c - cursors of lists: what they lead to, and whom and what they do not fit. */
#include "base/buf.h"
#include "wire/base64.h"

#include "guild_fixture.h"

enum { VERSION = 1, TAG_AT = 17, CURSOR_BYTES = 25, AGENTS = 7 };

static const struct http_route *const tables[] = {agent_routes, governance_routes, policy_routes, identity_routes, NULL};

static int setup(void **state)
{
	int result = fixture_open(state, tables, false);
	for (int i = 0; result == 0 && i < AGENTS; i++) {
		char body[64];
		snprintf(body, sizeof(body), "{\"name\":\"a%d\"}", i);
		call(*state, &((struct fixture *)*state)->admin, "POST", "/v1/agents", body, 201);
	}
	return result;
}

static void first_page(struct fixture *f, const struct caller *caller, const char *path, char cursor[200])
{
	call(f, caller, "GET", path, NULL, 200);
	snprintf(cursor, 200, "%s", text(f, "next_cursor"));
	assert_true(cursor[0] != '\0');
}

static void page(struct fixture *f, const struct caller *caller, const char *path, const char *cursor, int want)
{
	char target[400];
	snprintf(target, sizeof(target), "%s&cursor=%s", path, cursor);
	call(f, caller, "GET", target, NULL, want);
	if (want != 200) {
		assert_string_equal(text(f, "code"), "invalid_cursor");
	}
}

static void test_every_item_once(void **state)
{
	struct fixture *f = *state;
	char cursor[200], seen[AGENTS + 1][64];
	unsigned count = 0;
	first_page(f, &f->member, "/v1/agents?limit=3", cursor);
	for (bool more = true; more;) {
		for (uint32_t i = 0; i < items(f); i++) {
			assert_true(count < AGENTS + 1);
			snprintf(seen[count], sizeof(seen[0]), "%s", item_text(f, i, "id"));
			for (unsigned before = 0; before < count; before++) {
				assert_string_not_equal(seen[before], seen[count]);
			}
			count++;
		}
		snprintf(cursor, sizeof(cursor), "%s", text(f, "next_cursor"));
		more = cursor[0] != '\0';
		assert_int_equal(strstr(f->body, "\"has_more\":true") != NULL, more);
		if (more) {
			page(f, &f->member, "/v1/agents?limit=3", cursor, 200);
		}
	}
	assert_int_equal(count, AGENTS + 1);
}

/* AC-126 */
static void test_belongs_to_list_filter_and_reader(void **state)
{
	struct fixture *f = *state;
	char cursor[200];
	first_page(f, &f->admin, "/v1/agents?limit=3", cursor);
	page(f, &f->admin, "/v1/agents?limit=2", cursor, 200);
	page(f, &f->admin, "/v1/agents?limit=3&maturity=student", cursor, 400);
	page(f, &f->admin, "/v1/policy?limit=3", cursor, 400);
	page(f, &f->admin, "/v1/users?limit=3", cursor, 400);
	page(f, &f->member, "/v1/agents?limit=3", cursor, 400);
	struct caller agent = f->admin;
	agent.agent = 1;
	page(f, &agent, "/v1/agents?limit=3", cursor, 400);
}

/* AC-126 */
static void test_any_changed_bit_is_refused(void **state)
{
	struct fixture *f = *state;
	char cursor[200];
	struct buf bytes, text;
	first_page(f, &f->admin, "/v1/agents?limit=3", cursor);
	buf_init(&bytes, 100);
	buf_init(&text, 100);
	assert_int_equal(base64_url_decode(&bytes, str_of(cursor)), ERR_OK);
	assert_int_equal(bytes.len, CURSOR_BYTES);
	for (unsigned bit = 0; bit < CURSOR_BYTES * 8; bit++) {
		bytes.at[bit / 8] ^= (char)(1u << bit % 8);
		buf_clear(&text);
		base64_url_encode(&text, buf_str(&bytes));
		buf_put_byte(&text, '\0');
		page(f, &f->admin, "/v1/agents?limit=3", text.at, 400);
		bytes.at[bit / 8] ^= (char)(1u << bit % 8);
	}
	static const char *const others[] = {"x", "AAAA", "AQ", "%21%21", "0", "-1", "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"};
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		page(f, &f->admin, "/v1/agents?limit=3", others[i], 400);
	}
	cursor[strlen(cursor) - 4] = '\0';
	page(f, &f->admin, "/v1/agents?limit=3", cursor, 400);
	buf_fini(&bytes);
	buf_fini(&text);
}

/* The tag, made here again, is right for a cursor of this version and does not help one of another. */
static void test_other_version_is_refused(void **state)
{
	struct fixture *f = *state;
	char cursor[200];
	struct buf bytes;
	first_page(f, &f->admin, "/v1/agents?limit=3", cursor);
	for (char version = VERSION; version < VERSION + 3; version++) {
		struct buf tagged, text;
		buf_init(&bytes, 100);
		buf_init(&tagged, 200);
		buf_init(&text, 100);
		assert_int_equal(base64_url_decode(&bytes, str_of(cursor)), ERR_OK);
		bytes.at[0] = version;
		buf_put_str(&tagged, STR("/v1/agents?0:0"));
		buf_put(&tagged, &f->admin.principal, sizeof(int64_t));
		buf_put(&tagged, &f->admin.agent, sizeof(int64_t));
		buf_put(&tagged, bytes.at, TAG_AT);
		uint64_t tag = map_hash(&f->guild.id_secret, buf_str(&tagged));
		memcpy(bytes.at + TAG_AT, &tag, sizeof(tag));
		base64_url_encode(&text, buf_str(&bytes));
		buf_put_byte(&text, '\0');
		page(f, &f->admin, "/v1/agents?limit=3", text.at, version == VERSION ? 200 : 400);
		buf_fini(&bytes);
		buf_fini(&tagged);
		buf_fini(&text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_every_item_once, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_belongs_to_list_filter_and_reader, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_any_changed_bit_is_refused, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_other_version_is_refused, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
