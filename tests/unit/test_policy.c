/*
 * A workspace's table and what is in force besides it; and that no decision is stale: threads that decide beside one that demotes, changes the
 * table, stops and lets go, in transactions of which some are undone.
 */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/agent_priv.h"
#include "base/mem.h"
#include "base/thread.h"
#include "governance/govern.h"
#include "governance/policy_priv.h"

enum { WORKSPACE = 7, OTHER = 8, AGENT = 1, DECIDERS = 3, ROUNDS = 4000 };

/* A clock that the test moves. */
static _Atomic int64_t wall_us, mono_us;

static int64_t test_wall(void *ctx)
{
	(void)ctx;
	return wall_us;
}

static int64_t test_mono(void *ctx)
{
	(void)ctx;
	return mono_us;
}

static void test_random(void *ctx, void *out, size_t len)
{
	(void)ctx;
	memset(out, 7, len);
}

static const struct env env = {test_wall, test_mono, test_random, NULL};
static struct guild guild;

static int setup(void **state)
{
	struct policy_options options = {.unknown_level = 2};
	(void)state;
	wall_us = INT64_C(1800000000000000);
	mono_us = 1000000;
	guild = (struct guild){.env = &env};
	return snap_domain_create(&guild.snap) == ERR_OK && registry_create(&env, guild.snap, &guild.registry) == ERR_OK &&
			       policy_set_create(&env, guild.snap, &options, &guild.policies) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	policy_set_destroy(&guild.policies);
	registry_destroy(&guild.registry);
	snap_domain_destroy(&guild.snap);
	return 0;
}

/* ---- changing, as the commands do ---- */

static struct policy_draft draft;

static void draft_begin(int64_t workspace)
{
	policy_draft_of(policy_writer_get(guild.policies, workspace), &draft);
	draft.workspace = workspace;
	draft.revision = policy_revision_next(guild.policies);
}

static void draft_put(void)
{
	struct policy *policy;
	assert_int_equal(policy_make(&draft, &policy), ERR_OK);
	assert_int_equal(policy_put(guild.policies, policy), ERR_OK);
}

static void level_set(int64_t workspace, const char *action, int level)
{
	draft_begin(workspace);
	draft.version++;
	assert_true(policy_draft_put(&draft, policy_name_keep(guild.policies, str_of(action)), level));
	draft_put();
}

static void commit(void)
{
	struct command_overlay policies = policy_set_overlay(guild.policies), agents = registry_overlay(guild.registry);
	policies.committed(policies.ctx);
	agents.committed(agents.ctx);
	snap_domain_reclaim(guild.snap);
}

static void agent_set(enum maturity maturity, int64_t revision)
{
	struct agent agent = {.id = AGENT, .workspace = WORKSPACE, .revision = revision, .maturity = maturity, .lifecycle = LIFECYCLE_ACTIVE,
		.name = STR("Ann"), .handle = STR("ann")};
	assert_int_equal(registry_put(guild.registry, &agent), ERR_OK);
}

static int level_in(const struct policy *policy, const char *action)
{
	struct action_level level;
	assert_int_equal(policy_level(policy, str_of(action), &level), ERR_OK);
	return level.complexity;
}

static enum err decided(const struct policy *policy, const struct agent *agent, struct decision *out)
{
	struct decide_input input;
	assert_int_equal(policy_decide_input(policy, agent, STR("chat"), &input), ERR_OK);
	decide(&input, out);
	return decision_err(out);
}

/* ---- the table ---- */

static void test_versions_follow_transactions(void **state)
{
	struct command_overlay overlay = policy_set_overlay(guild.policies);
	(void)state;
	const struct policy *before = policy_get(guild.policies, WORKSPACE);
	assert_int_equal(policy_version(before), 1);
	size_t mark = overlay.mark(overlay.ctx);
	level_set(WORKSPACE, "chat", 4);
	level_set(WORKSPACE, "launch_rocket", 3);
	assert_int_equal(level_in(policy_writer_get(guild.policies, WORKSPACE), "chat"), 4);
	assert_int_equal(policy_version(policy_writer_get(guild.policies, WORKSPACE)), 3);
	assert_ptr_equal(policy_get(guild.policies, WORKSPACE), before);
	overlay.undo_to(overlay.ctx, mark);
	assert_int_equal(level_in(policy_writer_get(guild.policies, WORKSPACE), "chat"), 2);
	level_set(WORKSPACE, "chat", 3);
	commit();
	const struct policy *after = policy_get(guild.policies, WORKSPACE);
	assert_int_equal(level_in(after, "chat"), 3);
	assert_int_equal(level_in(after, "launch_rocket"), 2);
	assert_int_equal(policy_version(after), 2);
	assert_int_equal(level_in(policy_get(guild.policies, OTHER), "chat"), 2);
	assert_memory_not_equal(after->hash, policy_get(guild.policies, OTHER)->hash, HASH_SHA256_BYTES);
	level_set(WORKSPACE, "chat", 0);
	commit();
	assert_memory_equal(policy_get(guild.policies, WORKSPACE)->hash, policy_get(guild.policies, OTHER)->hash, HASH_SHA256_BYTES);
}

static void test_forms_of_names(void **state)
{
	static const struct {
		const char *given, *form; /* form NULL: it may not be an entry */
	} cases[] = {{"sendEmail", "send_email"}, {"Send-Email.now", "send_email_now"}, {"a", "a"}, {"--", NULL}, {"caf\xc3\xa9", NULL},
		{"a;b", NULL}, {"a\"b", NULL}, {"x9:Y", "x9_y"}};
	char out[LIMIT_POLICY_ACTION_BYTES], wide[LIMIT_POLICY_ACTION_BYTES + 2];
	struct str form;
	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool ok = policy_action_form(str_of(cases[i].given), out, &form);
		assert_int_equal(ok, cases[i].form != NULL);
		assert_true(!ok || str_eq(form, str_of(cases[i].form)));
	}
	memset(wide, 'w', sizeof(wide));
	assert_true(policy_action_form(str_make(wide, LIMIT_POLICY_ACTION_BYTES), out, &form));
	assert_false(policy_action_form(str_make(wide, LIMIT_POLICY_ACTION_BYTES + 1), out, &form));
}

static void test_room(void **state)
{
	char name[32];
	(void)state;
	draft_begin(WORKSPACE);
	for (int i = 0; i < LIMIT_POLICY_OVERRIDES; i++) {
		snprintf(name, sizeof(name), "thing_%d", i);
		assert_true(policy_draft_put(&draft, policy_name_keep(guild.policies, str_of(name)), i % 4 + 1));
	}
	assert_false(policy_draft_put(&draft, policy_name_keep(guild.policies, STR("more")), 4));
	draft_put();
	commit();
	for (int i = 0; i < LIMIT_POLICY_OVERRIDES; i++) {
		snprintf(name, sizeof(name), "thing_%d", i);
		assert_int_equal(level_in(policy_get(guild.policies, WORKSPACE), name), i % 4 + 1);
	}
	assert_int_equal(level_in(policy_get(guild.policies, WORKSPACE), "delete"), 4);
}

static bool fail_from(void *arg, uint64_t number)
{
	return number >= *(const uint64_t *)arg;
}

static void test_without_memory_nothing_changes(void **state)
{
	struct policy *policy;
	(void)state;
	level_set(WORKSPACE, "chat", 4);
	commit();
	draft_begin(WORKSPACE);
	for (uint64_t n = 1;; n++) {
		uint64_t last = mem_count() + n;
		mem_hook_set(fail_from, &last);
		enum err err = policy_make(&draft, &policy);
		mem_hook_set(NULL, NULL);
		if (err == ERR_OK) {
			break;
		}
		assert_true(err == ERR_MEMORY || err == ERR_LIMIT);
	}
	mem_free(policy);
	assert_int_equal(level_in(policy_get(guild.policies, WORKSPACE), "chat"), 4);
}

/* ---- exceptions ---- */

static void emergency_set(int64_t minutes)
{
	draft_begin(WORKSPACE);
	draft.exceptions.emergency_since_us = minutes != 0 ? wall_us : 0;
	draft.exceptions.emergency_until_us = minutes != 0 ? wall_us + minutes * 60000000 : 0;
	draft.emergency_until_mono_us = policy_emergency_end(&env, &draft.exceptions);
	draft_put();
	commit();
}

static void test_an_emergency_ends_by_itself(void **state)
{
	struct decision decision;
	struct agent student = {.id = AGENT, .maturity = MATURITY_STUDENT, .lifecycle = LIFECYCLE_ACTIVE};
	(void)state;
	emergency_set(5);
	const struct policy *policy = policy_get(guild.policies, WORKSPACE);
	assert_int_equal(decided(policy, &student, &decision), ERR_OK);
	assert_int_equal(decision.exception, EXCEPTION_EMERGENCY);
	assert_int_equal(decided(policy_get(guild.policies, OTHER), &student, &decision), ERR_GOVERNANCE);
	/* It is written down, so the writer decides again whatever the revision says. */
	assert_false(policy_holds(policy, policy_revision(policy)));
	mono_us += 5 * 60000000 - 1;
	wall_us -= INT64_C(3600000000);
	assert_int_equal(decided(policy, &student, &decision), ERR_OK);
	mono_us += 1;
	assert_int_equal(decided(policy, &student, &decision), ERR_GOVERNANCE);
	assert_int_equal(decision.exception, EXCEPTION_NONE);
	mono_us += 1;
	assert_int_equal(decided(policy, &student, &decision), ERR_GOVERNANCE);
	emergency_set(0);
	policy = policy_get(guild.policies, WORKSPACE);
	assert_true(policy_holds(policy, policy_revision(policy)));
	assert_false(policy_holds(policy, policy_revision(policy) - 1));
}

/* After a restart what is left is left, and a clock that was set makes it no longer than it was declared for. */
static void test_what_is_left_of_an_emergency(void **state)
{
	struct policy_exceptions e = {.emergency_since_us = wall_us, .emergency_until_us = wall_us + 600000000};
	(void)state;
	assert_int_equal(policy_emergency_end(&env, &e) - mono_us, 600000000);
	wall_us += 200000000;
	assert_int_equal(policy_emergency_end(&env, &e) - mono_us, 400000000);
	wall_us -= INT64_C(900000000000);
	assert_int_equal(policy_emergency_end(&env, &e) - mono_us, 600000000);
	wall_us += INT64_C(1800000000000);
	assert_int_equal(policy_emergency_end(&env, &e) - mono_us, 0);
	e.emergency_until_us = e.emergency_since_us + INT64_C(86400000000);
	wall_us = e.emergency_since_us;
	assert_int_equal(policy_emergency_end(&env, &e) - mono_us, LIMIT_EMERGENCY_MINUTES * INT64_C(60000000));
}

/* ---- no stale allow ---- */

/* What stands, in words as simple as can be. */
struct standing {
	int maturity, level;
	bool stopped;
};

/* Without anybody's approval. */
static bool permits(const struct standing *s)
{
	return !s->stopped && s->maturity >= s->level && !(s->maturity == MATURITY_SUPERVISED && s->level >= 3);
}

/* Even: it stands, odd: it is being changed. The answer that stands is in the bit above. */
static _Atomic uint64_t phase;
static atomic_bool over;
static _Atomic uint64_t told;

struct decider {
	struct thread thread;
	unsigned reader;
	struct command command;
	atomic_int full; /* a mark is there for the writer */
	uint64_t allowed, denied, wrong;
};

static const struct command_row chat_row = {"test", "chat", NULL, NULL, NULL};

static void decide_on(void *arg)
{
	struct decider *d = arg;
	struct decision decision;
	snap_online(guild.snap, d->reader);
	while (!atomic_load(&over)) {
		uint64_t before = atomic_load(&phase);
		const struct policy *policy = policy_get(guild.policies, WORKSPACE);
		const struct agent *agent = registry_get(guild.registry, AGENT);
		enum err err = decided(policy, agent, &decision);
		if (before % 2 == 0 && atomic_load(&phase) == before) {
			bool permitted = (before & 2) != 0;
			d->wrong += (err == ERR_OK) != permitted;
			d->allowed += permitted;
			d->denied += !permitted;
			atomic_fetch_add(&told, 1);
		}
		if (err == ERR_OK && atomic_load(&d->full) == 0) {
			d->command.mark = (struct command_mark){AGENT, agent->revision, policy_revision(policy)};
			atomic_store(&d->full, 1);
		}
		snap_quiescent(guild.snap, d->reader);
	}
	snap_offline(guild.snap, d->reader);
}

static uint32_t seed = 1;

static uint32_t chance(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return (seed >> 8) % n;
}

static void change_one(struct standing *s, int64_t *revision)
{
	switch (chance(3)) {
	case 0:
		s->maturity = (int)chance(4) + 1;
		agent_set((enum maturity)s->maturity, ++*revision);
		break;
	case 1:
		s->level = (int)chance(4) + 1;
		level_set(WORKSPACE, "chat", s->level);
		break;
	default:
		s->stopped = !s->stopped;
		draft_begin(WORKSPACE);
		draft.exceptions.stopped_since_us = s->stopped;
		draft_put();
		break;
	}
}

/* Commands with marks of any age share the transaction with the changes. */
static void recheck_all(struct decider *deciders, const struct standing *s, uint64_t *held, uint64_t *denied)
{
	for (int i = 0; i < DECIDERS; i++) {
		if (atomic_load(&deciders[i].full) == 0) {
			continue;
		}
		enum err err = govern_recheck(&guild, &deciders[i].command);
		assert_int_equal(err == ERR_OK, permits(s));
		*held += err == ERR_OK;
		*denied += err != ERR_OK;
		if (chance(2) == 0) {
			atomic_store(&deciders[i].full, 0);
		}
	}
}

static void phase_end(const struct standing *s)
{
	uint64_t next = (atomic_load(&phase) / 4 + 1) * 4;
	atomic_store(&phase, next | (permits(s) ? 2 : 0));
}

static void test_no_decision_is_stale(void **state)
{
	struct command_overlay policies = policy_set_overlay(guild.policies), agents = registry_overlay(guild.registry);
	struct decider deciders[DECIDERS] = {0};
	struct standing now = {.maturity = MATURITY_STUDENT, .level = 2};
	int64_t revision = 1;
	uint64_t held = 0, denied = 0, wrong = 0, undone = 0;
	(void)state;
	agent_set(MATURITY_STUDENT, revision);
	commit();
	atomic_store(&phase, 0);
	atomic_store(&over, false);
	for (int i = 0; i < DECIDERS; i++) {
		deciders[i].command.row = &chat_row;
		deciders[i].command.caller.workspace = WORKSPACE;
		assert_int_equal(snap_reader_add(guild.snap, &deciders[i].reader), ERR_OK);
		assert_int_equal(thread_start(&deciders[i].thread, "decider", decide_on, &deciders[i]), ERR_OK);
	}
	for (int round = 0; round < ROUNDS; round++) {
		struct standing before = now;
		size_t policies_mark = policies.mark(policies.ctx), agents_mark = agents.mark(agents.ctx);
		recheck_all(deciders, &now, &held, &denied);
		for (uint32_t n = chance(3); n > 0; n--) {
			change_one(&now, &revision);
			recheck_all(deciders, &now, &held, &denied);
		}
		if (chance(4) == 0) {
			policies.undo_to(policies.ctx, policies_mark);
			agents.undo_to(agents.ctx, agents_mark);
			now = before;
			undone++;
			continue;
		}
		atomic_fetch_or(&phase, 1);
		commit();
		phase_end(&now);
		/* Now and then each of them has looked at what stands. */
		for (uint64_t want = atomic_load(&told) + 1; round % 16 == 0 && atomic_load(&told) < want;) {
			(void)sched_yield();
		}
	}
	atomic_store(&over, true);
	for (int i = 0; i < DECIDERS; i++) {
		thread_join(&deciders[i].thread);
		wrong += deciders[i].wrong;
	}
	print_message("%llu decisions of a settled state; in transactions %llu held, %llu refused; %llu undone\n", (unsigned long long)told,
		(unsigned long long)held, (unsigned long long)denied, (unsigned long long)undone);
	assert_int_equal(wrong, 0);
	assert_true(told > 0 && held > 0 && denied > 0 && undone > 0);
}

#define POLICY_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		POLICY_TEST(test_versions_follow_transactions),
		POLICY_TEST(test_forms_of_names),
		POLICY_TEST(test_room),
		POLICY_TEST(test_without_memory_nothing_changes),
		POLICY_TEST(test_an_emergency_ends_by_itself),
		POLICY_TEST(test_what_is_left_of_an_emergency),
		POLICY_TEST(test_no_decision_is_stale),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
