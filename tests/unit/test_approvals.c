/* Approvals: their rules over every state and time, what their hash covers, and the commands with a clock of the test's. */
#include "guild_fixture.h"

#include "governance/approval_priv.h"

#define DAY_US INT64_C(86400000000)

static const struct http_route *const tables[] = {approval_routes, governance_routes, policy_routes, agent_routes, identity_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

static struct caller supervised(struct fixture *f)
{
	char id[64];
	struct caller caller;
	call(f, &f->admin, "POST", "/v1/agents", "{\"name\":\"Sue\",\"kind\":\"external\",\"maturity\":\"supervised\"}", 201);
	snprintf(id, sizeof(id), "%s", text(f, "id"));
	call(f, &f->admin, "POST", path("agents/$/tokens", id), "", 201);
	assert_int_equal(identity_authenticate(f->guild.identity, str_of(text(f, "token")), 1, &caller), ERR_OK);
	return caller;
}

/* Asks for send_email; with an approval unless it is "". */
static void enforce(struct fixture *f, const struct caller *caller, const char *arguments, const char *approval, int want)
{
	char body[256];
	snprintf(body, sizeof(body), "{\"action\":\"send_email\",\"arguments\":%s%s%s%s}", arguments,
		 approval[0] != 0 ? ",\"approval_id\":\"" : "", approval, approval[0] != 0 ? "\"" : "");
	call(f, caller, "POST", "/v1/agents/sue/enforce", body, want);
}

static void kept(char out[64], const char *id)
{
	snprintf(out, 64, "%s", id);
}

/* ---- rules ---- */

static void test_status_by_the_clock(void **state)
{
	(void)state;
	for (int status = APPROVAL_PENDING; status <= APPROVAL_CANCELLED; status++) {
		struct approval approval = {.status = (enum approval_status)status, .expires_at_us = 100};
		bool open = status == APPROVAL_PENDING || status == APPROVAL_APPROVED;
		enum approval_status parsed;
		assert_int_equal(approval_status_at(&approval, 99), status);
		assert_int_equal(approval_status_at(&approval, 100), open ? APPROVAL_EXPIRED : status);
		assert_true(approval_status_parse(approval_status_word(approval.status), &parsed) && (int)parsed == status);
		assert_int_equal(approval_use_err(approval.status) == ERR_OK, status == APPROVAL_APPROVED);
		assert_int_equal(approval_use_err(approval.status) == ERR_AGAIN, status == APPROVAL_PENDING);
	}
	enum approval_status none;
	assert_false(approval_status_parse(STR("granted"), &none) || approval_status_parse(STR(""), &none));
}

static void test_hash_covers_all(void **state)
{
	uint8_t arguments[HASH_SHA256_BYTES] = {1}, others[HASH_SHA256_BYTES] = {2}, hash[7][HASH_SHA256_BYTES];
	struct approval base = {.workspace = 1, .agent = 2, .policy_version = 3, .action = STR("ab"),
				.arguments_hash = {(const char *)arguments, sizeof(arguments)}};
	struct approval all[7] = {base, base, base, base, base, base, base};
	(void)state;
	all[1].workspace = 9;
	all[2].agent = 9;
	all[3].policy_version = 9;
	all[4].action = STR("a");
	all[5].arguments_hash.at = (const char *)others;
	all[6].requester = 9; /* who asked is not part of it */
	for (int i = 0; i < 7; i++) {
		approval_hash(&all[i], hash[i]);
		for (int j = 0; j < i; j++) {
			assert_int_equal(hash_equal(hash[i], hash[j], HASH_SHA256_BYTES), i == 6 && j == 0);
		}
	}
}

/* ---- commands ---- */

static void test_asked_decided_used_once(void **state)
{
	struct fixture *f = *state;
	struct caller sue = supervised(f);
	char id[64];
	enforce(f, &sue, "{\"b\":1,\"a\":[]}", "", 202);
	kept(id, text(f, "approval_id"));
	enforce(f, &sue, "{ \"a\":[],\"b\":1 }", "", 202);
	assert_string_equal(text(f, "approval_id"), id);
	enforce(f, &sue, "{\"a\":[],\"b\":2}", id, 409);
	assert_string_equal(text(f, "code"), "approval_mismatch");
	call(f, &sue, "POST", path("approvals/$/approve", id), "", 403);
	call(f, &f->member, "POST", path("approvals/$/approve", id), "", 403);
	call(f, &f->admin, "POST", path("approvals/$/approve", id), "", 200);
	call(f, &f->operator, "POST", path("approvals/$/reject", id), "{\"note\":\"late\"}", 200);
	assert_string_equal(text(f, "status"), "approved");
	enforce(f, &sue, "{\"b\":1,\"a\":[]}", id, 200);
	enforce(f, &sue, "{\"b\":1,\"a\":[]}", id, 409);
	assert_string_equal(text(f, "code"), "approval_consumed");
	(void)audit_entries(f);
}

static void test_not_by_who_asked(void **state)
{
	struct fixture *f = *state;
	char id[64];
	(void)supervised(f);
	enforce(f, &f->admin, "{}", "", 202);
	kept(id, text(f, "approval_id"));
	int64_t before = audit_entries(f);
	call(f, &f->admin, "POST", path("approvals/$/approve", id), "", 403);
	assert_int_equal(audit_entries(f), before + 1);
	call(f, &f->operator, "POST", path("approvals/$/approve", id), "", 200);
}

static void test_expires(void **state)
{
	struct fixture *f = *state;
	struct caller sue = supervised(f);
	char waits[64], approved[64];
	enforce(f, &sue, "{\"n\":1}", "", 202);
	kept(waits, text(f, "approval_id"));
	enforce(f, &sue, "{\"n\":2}", "", 202);
	kept(approved, text(f, "approval_id"));
	call(f, &f->operator, "POST", path("approvals/$/approve", approved), "", 200);
	f->skew_us += DAY_US;
	call(f, &sue, "GET", path("approvals/$", waits), NULL, 200);
	assert_string_equal(text(f, "status"), "expired");
	call(f, &f->operator, "POST", path("approvals/$/approve", waits), "", 409);
	enforce(f, &sue, "{\"n\":2}", approved, 409);
	assert_string_equal(text(f, "code"), "approval_expired");
	enforce(f, &sue, "{\"n\":1}", "", 202);
	assert_string_not_equal(text(f, "approval_id"), waits);
	call(f, &f->operator, "GET", "/v1/approvals?status=pending", NULL, 200);
	assert_int_equal(items(f), 1);
}

static void test_clock_tells_what_expired(void **state)
{
	struct fixture *f = *state;
	struct caller sue = supervised(f);
	int64_t before;
	char body[32];
	for (int i = 0; i < 6; i++) {
		snprintf(body, sizeof(body), "{\"n\":%d}", i);
		enforce(f, &sue, body, "", 202);
	}
	before = audit_entries(f);
	f->skew_us += DAY_US;
	approval_start(f->guild.approvals);
	for (int i = 0; i < TURNS_MAX && audit_entries(f) < before + 6; i++) {
		turn(f);
	}
	assert_int_equal(audit_entries(f), before + 6);
	call(f, &f->operator, "GET", "/v1/approvals?status=expired", NULL, 200);
	assert_int_equal(items(f), 6);
	turn(f);
}

/* The same clock ends emergencies: an entry says so, whoever asks or not. */
static void test_clock_ends_an_emergency(void **state)
{
	struct fixture *f = *state;
	const struct policy *policy;
	call(f, &f->operator, "POST", "/v1/emergency", "{\"minutes\":7,\"reason\":\"flood\"}", 200);
	int64_t before = audit_entries(f);
	approval_start(f->guild.approvals);
	f->skew_us += 6 * INT64_C(60000000);
	for (int i = 0; i < 50; i++) {
		turn(f);
	}
	assert_int_equal(audit_entries(f), before);
	call(f, &f->operator, "GET", "/v1/emergency", NULL, 200);
	assert_string_equal(text(f, "reason"), "flood");
	f->skew_us += INT64_C(60000000);
	call(f, &f->operator, "GET", "/v1/emergency", NULL, 200);
	assert_string_equal(text(f, "reason"), "");
	for (int i = 0; i < TURNS_MAX && audit_entries(f) == before; i++) {
		turn(f);
	}
	assert_int_equal(audit_entries(f), before + 1);
	policy = policy_get(f->guild.policies, f->operator.workspace);
	assert_true(policy_holds(policy, policy_revision(policy)));
	for (int i = 0; i < 50; i++) {
		turn(f);
	}
	assert_int_equal(audit_entries(f), before + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_by_the_clock),
		cmocka_unit_test(test_hash_covers_all),
		cmocka_unit_test_setup_teardown(test_asked_decided_used_once, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_not_by_who_asked, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_expires, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_clock_tells_what_expired, setup, fixture_close),
		cmocka_unit_test_setup_teardown(test_clock_ends_an_emergency, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
