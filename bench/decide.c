/*
 * decide.c - what one governance decision costs: resolving the action's level, and the decision itself.
 *
 *   decide [--rounds N]
 *
 * Warm: all four maturities times five actions in turn, from a table in the cache. Times are of batches of 64 decisions, divided,
 * because the clock costs as much as a decision. One line of JSON comes out; status 1 when a decision allocated memory.
 */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "common.h"
#include "governance/governance.h"

#define BATCH 64

static const char *const actions[] = {"chat", "stream_chat", "delete", "create_report", "subscribe"};
#define ACTION_COUNT (sizeof(actions) / sizeof(actions[0]))

static int decide_batch(const struct policy *policy, unsigned from)
{
	int allowed = 0;
	for (unsigned i = from; i < from + BATCH; i++) {
		struct decide_input input = {
			.agent = {.known = true, .maturity = (enum maturity)(i % 4 + 1), .lifecycle = LIFECYCLE_ACTIVE, .confidence_e4 = 9000}};
		struct decision decision;
		if (policy_level(policy, str_of(actions[i % ACTION_COUNT]), &input.level) != ERR_OK) {
			die("there is no level for %s", actions[i % ACTION_COUNT]);
		}
		decide(&input, &decision);
		allowed += decision.allowed;
	}
	return allowed;
}

int main(int argc, char **argv)
{
	unsigned rounds = (unsigned)option_number(argc, argv, "rounds", 100000);
	struct policy_options options = {.unknown_level = POLICY_UNKNOWN_LEVEL};
	struct snap_domain *snap;
	struct policy_set *set;
	struct samples samples;
	int64_t allowed = 0;
	samples_init(&samples, rounds);
	if (snap_domain_create(&snap) != ERR_OK || policy_set_create(env_real(), snap, &options, &set) != ERR_OK) {
		die("no policy");
	}
	const struct policy *policy = policy_get(set, 1);
	for (unsigned i = 0; i < 1000; i++) {
		allowed += decide_batch(policy, i);
	}
	uint64_t allocations = mem_count();
	int64_t begin = now_ns();
	for (unsigned i = 0; i < rounds; i++) {
		int64_t at = now_ns();
		allowed += decide_batch(policy, i);
		samples_add(&samples, now_ns() - at);
	}
	double mean = (double)(now_ns() - begin) / rounds / BATCH;
	allocations = mem_count() - allocations;
	printf("{\"decisions\":%lld,\"mean_ns\":%.1f,\"p50_ns\":%.1f,\"p99_ns\":%.1f,\"allocations\":%llu,\"allowed\":%lld}\n",
	       (long long)rounds * BATCH, mean, samples_us(&samples, 0.5) * 1000 / BATCH, samples_us(&samples, 0.99) * 1000 / BATCH,
	       (unsigned long long)allocations, (long long)allowed);
	policy_set_destroy(&set);
	snap_domain_destroy(&snap);
	return allocations != 0;
}
