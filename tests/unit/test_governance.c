/* The action table, how levels are found, the decision's order and words, and that none of it allocates. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/env.h"
#include "base/mem.h"
#include "governance/policy_priv.h"

static struct snap_domain *snap;
static struct policy_set *set;
static const struct policy *policy;

static struct action_level level_of(struct str action)
{
	struct action_level level;
	assert_int_equal(policy_level(policy, action, &level), ERR_OK);
	return level;
}

static int setup(void **state)
{
	struct policy_options options = {.unknown_level = POLICY_UNKNOWN_LEVEL};
	if (snap_domain_create(&snap) != ERR_OK || policy_set_create(env_real(), snap, &options, &set) != ERR_OK) {
		return -1;
	}
	policy = policy_get(set, 1);
	return 0;
}

static int teardown(void **state)
{
	policy_set_destroy(&set);
	snap_domain_destroy(&snap);
	return 0;
}

static void test_every_entry_is_exact(void **state)
{
	static const struct {
		int level;
		const char *name;
	} entries[] = {
#define ACTION(level, name) {level, name},
#include "governance/action_table.def"
#undef ACTION
	};
	size_t cursor = 0;
	for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
		char other[64];
		struct action_level level = level_of(str_of(entries[i].name));
		assert_int_equal(level.complexity, entries[i].level);
		assert_int_equal(level.kind, RULE_EXACT);
		assert_true(str_eq(level.rule, str_of(entries[i].name)));
		/* The same words in another dress. */
		size_t len = strlen(entries[i].name);
		for (size_t c = 0; c <= len; c++) {
			char byte = entries[i].name[c];
			other[c] = byte == '_' ? "-./: "[i % 5] : (char)(byte >= 'a' && byte <= 'z' ? byte - 32 : byte);
		}
		level = level_of(str_of(other));
		assert_int_equal(level.complexity, entries[i].level);
		assert_int_equal(level.kind, RULE_EXACT);
		struct str name;
		int complexity;
		assert_true(policy_default(cursor++, &name, &complexity));
		assert_true(str_eq(name, str_of(entries[i].name)));
		assert_int_equal(complexity, entries[i].level);
	}
	struct str name;
	int complexity;
	assert_false(policy_default(cursor, &name, &complexity));
}

static void test_names_outside_the_table(void **state)
{
	static const struct {
		const char *action;
		int level;
		enum rule_kind kind;
		const char *rule;
	} cases[] = {
		{"spreadsheet_open", 2, RULE_UNKNOWN, "unknown"},
		{"mark_and_read", 2, RULE_UNKNOWN, "unknown"},
		{"get_and_delete", 4, RULE_WORDS, "delete"},
		{"deleteUser", 4, RULE_WORDS, "delete"},
		{"update-canvas", 2, RULE_EXACT, "update_canvas"},
		{"updateCanvas", 2, RULE_EXACT, "update_canvas"},
		{"updateCanvasNow", 3, RULE_WORDS, "update"},
		{"read_mail", 1, RULE_WORDS, "read"},
		{"please_read_mail", 2, RULE_UNKNOWN, "unknown"},
		{"get_contact_of_lead", 1, RULE_WORDS, "get_contact"},
		{"undelete", 2, RULE_UNKNOWN, "unknown"},
		{"bulk.send email", 3, RULE_WORDS, "send_email"},
		{"__delete__", 4, RULE_EXACT, "delete"},
		{"___", 2, RULE_UNKNOWN, "unknown"},
		{"STREAM_CHAT", 2, RULE_EXACT, "stream_chat"},
		{"streamChat", 2, RULE_EXACT, "stream_chat"},
		{"HTTPdelete", 2, RULE_UNKNOWN, "unknown"},
		{"l\xc3\xb6schen", 2, RULE_UNKNOWN, "unknown"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct action_level level = level_of(str_of(cases[i].action));
		if (level.complexity != cases[i].level || level.kind != cases[i].kind ||
			!str_eq(level.rule, str_of(cases[i].rule))) {
			fail_msg(
				"%s: level %d kind %d rule %.*s", cases[i].action, level.complexity, level.kind, STR_FMT(level.rule));
		}
	}
}

static void test_lengths(void **state)
{
	char text[130];
	struct action_level level;
	assert_int_equal(policy_level(policy, STR(""), &level), ERR_INVALID);
	for (size_t i = 0; i < sizeof(text); i++) {
		text[i] = i % 2 == 0 ? 'a' : 'B'; /* a border at every second byte */
	}
	assert_int_equal(policy_level(policy, str_make(text, 129), &level), ERR_INVALID);
	assert_int_equal(policy_level(policy, str_make(text, 128), &level), ERR_OK);
	memset(text, '_', sizeof(text));
	memcpy(text + 120, "X_delete", 8);
	assert_int_equal(policy_level(policy, str_make(text, 128), &level), ERR_OK);
	assert_int_equal(level.complexity, 4);
}

static struct decision decided(enum maturity maturity, enum lifecycle lifecycle, int complexity)
{
	struct decide_input input = {
		.agent = {.known = true, .maturity = maturity, .lifecycle = lifecycle, .confidence_e4 = 6000},
		.level = {complexity, RULE_EXACT, STR("chat")}};
	struct decision decision;
	decide(&input, &decision);
	return decision;
}

static void test_matrix(void **state)
{
	for (int m = 1; m <= 4; m++) {
		for (int c = 1; c <= 4; c++) {
			struct decision d = decided((enum maturity)m, LIFECYCLE_ACTIVE, c);
			bool approval = m == MATURITY_SUPERVISED && c >= 3;
			assert_int_equal(d.allowed, m >= c);
			assert_int_equal(d.requires_human_approval, approval);
			assert_int_equal(d.proceed, m >= c && !approval);
			assert_int_equal(d.required_maturity, c);
			assert_int_equal(d.status, m < c ? DECISION_MATURITY : approval ? DECISION_APPROVAL : DECISION_OK);
			assert_int_equal(decision_err(&d), m < c ? ERR_GOVERNANCE : approval ? ERR_APPROVAL_REQUIRED : ERR_OK);
		}
		for (enum lifecycle l = LIFECYCLE_PAUSED; l <= LIFECYCLE_ARCHIVED; l++) {
			struct decision d = decided((enum maturity)m, l, 1);
			assert_false(d.allowed);
			assert_int_equal(d.status, DECISION_LIFECYCLE);
			assert_int_equal(decision_err(&d), ERR_AGENT_NOT_ACTIVE);
		}
	}
}

/* Everything is wrong at first; what is put right shows the next reason. */
static void test_order_of_reasons(void **state)
{
	struct decide_input input = {
		.level = {4, RULE_EXACT, STR("delete")}, .require_approval = true, .budget_exceeded = true, .depth = 6};
	struct decision d;
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_NOT_FOUND);
	assert_int_equal(d.agent_maturity, 0);
	assert_int_equal(decision_err(&d), ERR_AGENT_NOT_FOUND);
	input.agent = (struct agent_standing){.known = true, .maturity = MATURITY_STUDENT, .lifecycle = LIFECYCLE_PAUSED};
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_LIFECYCLE);
	input.agent.lifecycle = LIFECYCLE_ACTIVE;
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_MATURITY);
	input.agent.maturity = MATURITY_AUTONOMOUS;
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_BUDGET);
	assert_int_equal(decision_err(&d), ERR_BUDGET);
	input.budget_exceeded = false;
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_RECURSION);
	assert_int_equal(decision_err(&d), ERR_RECURSION);
	input.depth = 5;
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_APPROVAL);
	assert_true(d.allowed && d.requires_human_approval && !d.proceed);
	input.require_approval = false;
	decide(&input, &d);
	assert_int_equal(d.status, DECISION_OK);
	assert_true(d.proceed);
}

static void assert_reason(const struct decision *decision, const char *action, const char *want)
{
	struct buf text;
	buf_init(&text, 4096);
	decision_reason(decision, STR("Helper"), str_of(action), &text);
	assert_int_equal(buf_err(&text), ERR_OK);
	if (!str_eq(buf_str(&text), str_of(want))) {
		fail_msg("%.*s", STR_FMT(buf_str(&text)));
	}
	buf_fini(&text);
}

static void test_words(void **state)
{
	struct decision d = decided(MATURITY_STUDENT, LIFECYCLE_ACTIVE, 2);
	assert_reason(
		&d, "stream_chat", "Agent \"Helper\" (student) is blocked from \"stream_chat\": it needs intern or above.");
	d = decided(MATURITY_SUPERVISED, LIFECYCLE_ACTIVE, 4);
	assert_reason(&d, "delete", "Agent \"Helper\" (supervised) is blocked from \"delete\": it needs autonomous.");
	d = decided(MATURITY_INTERN, LIFECYCLE_PAUSED, 2);
	assert_reason(&d, "chat",
		"Agent \"Helper\" (intern) is blocked from \"chat\": it is paused (the action needs intern or above).");
	d = decided(MATURITY_SUPERVISED, LIFECYCLE_ACTIVE, 3);
	assert_reason(&d, "send",
		"Agent \"Helper\" (supervised) may do \"send\" once a human approved it; it needs supervised or above.");
	d = decided(MATURITY_INTERN, LIFECYCLE_ACTIVE, 2);
	assert_reason(&d, "chat", "Agent \"Helper\" (intern) may do \"chat\", which needs intern or above.");
	struct decide_input input = {.level = {2, RULE_UNKNOWN, STR("unknown")}};
	decide(&input, &d);
	assert_reason(&d, "fly",
		"Agent \"Helper\" is blocked from \"fly\": there is no such agent (the action needs intern or above).");
	struct buf text;
	buf_init(&text, 256);
	decision_rule_id(&d, &text);
	assert_true(str_eq(buf_str(&text), STR("not_found:unknown:2")));
	buf_fini(&text);
}

static void test_json(void **state)
{
	struct decision d = decided(MATURITY_INTERN, LIFECYCLE_ACTIVE, 3);
	struct buf text;
	struct json_out json;
	buf_init(&text, 4096);
	json_begin(&json, &text);
	decision_json(&d, STR("He\"lper"), STR("chat"), &json);
	const char *want =
		"{\"allowed\":false,\"requires_human_approval\":false,\"proceed\":false,"
		"\"reason\":\"Agent \\\"He\\\"lper\\\" (intern) is blocked from \\\"chat\\\": it needs supervised or above.\","
		"\"agent_maturity\":\"intern\",\"action_complexity\":3,\"required_maturity\":\"supervised\",\"confidence\":0.6,"
		"\"rule_id\":\"maturity:chat:3\",\"status_code\":\"maturity\",\"action\":\"chat\",\"policy_version\":0,\"exception\":null}";
	if (!str_eq(buf_str(&text), str_of(want))) {
		fail_msg("%.*s", STR_FMT(buf_str(&text)));
	}
	buf_fini(&text);
}

static void test_no_allocation(void **state)
{
	static const char *const actions[] = {"stream_chat", "updateCanvasNow", "a b c d e f g h i j k l m n o p"};
	uint64_t before = mem_count();
	unsigned denied = 0;
	for (int i = 0; i < 3000; i++) {
		struct decide_input input = {
			.agent = {.known = true, .maturity = MATURITY_INTERN, .lifecycle = LIFECYCLE_ACTIVE}};
		struct decision d;
		assert_int_equal(policy_level(policy, str_of(actions[i % 3]), &input.level), ERR_OK);
		decide(&input, &d);
		denied += !d.allowed;
	}
	assert_int_equal(mem_count(), before);
	assert_int_equal(denied, 1000);
}

static void test_timing_is_shown(void **state)
{
	enum { ROUNDS = 200000 };
	struct str name = STR("stream_chat");
	int sum = 0;
	int64_t start = env_mono_us(env_real());
	for (int i = 0; i < ROUNDS; i++) {
		struct action_level level;
		name.at = (const char *)((uintptr_t)name.at | (uintptr_t)(sum < 0));
		sum += policy_level(policy, name, &level) == ERR_OK ? level.complexity : 0;
	}
	int64_t us = env_mono_us(env_real()) - start;
	assert_int_equal(sum, 2 * ROUNDS);
	print_message("a known action: %.1f ns\n", (double)us * 1000 / ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_entry_is_exact),
		cmocka_unit_test(test_names_outside_the_table),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_order_of_reasons),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_no_allocation),
		cmocka_unit_test(test_timing_is_shown),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
