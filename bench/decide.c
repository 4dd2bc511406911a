/*
 * decide.c - what one governance decision costs: the workspace's policy and the agent looked up, the action's level resolved, and decided.
 *
 *   decide [--rounds N] [--threads N] [--writer 1]
 *
 * Warm: four agents, one of each maturity, times five actions in turn. Times are of batches of 64 decisions, divided, because the clock costs
 * as much as a decision. --threads N: so many decide at once, each measured; --writer 1: another one changes the table all the time,
 * as fast as it can (a pause of 50 microseconds between two). One line of JSON comes out; status 1 when a decision allocated memory.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "agent/agent_priv.h"
#include "base/mem.h"
#include "common.h"
#include "governance/policy_priv.h"

#define BATCH 64
#define THREADS_MAX 16
#define WORKSPACE 1

static const char *const actions[] = {"chat", "stream_chat", "delete", "create_report", "subscribe"};
#define ACTION_COUNT (sizeof(actions) / sizeof(actions[0]))

static struct snap_domain *snap;
static struct policy_set *set;
static struct registry *registry;
static atomic_bool over;

struct worker {
	pthread_t thread;
	unsigned reader, rounds;
	struct samples samples;
	int64_t allowed, ns;
};

static int decide_batch(unsigned from)
{
	int allowed = 0;
	for (unsigned i = from; i < from + BATCH; i++) {
		struct decide_input input;
		struct decision decision;
		const struct agent *agent = registry_get(registry, i % 4 + 1);
		if (policy_decide_input(policy_get(set, WORKSPACE), agent, str_of(actions[i % ACTION_COUNT]), &input) != ERR_OK) {
			die("there is no level for %s", actions[i % ACTION_COUNT]);
		}
		decide(&input, &decision);
		allowed += decision.allowed;
	}
	return allowed;
}

static void *work(void *arg)
{
	struct worker *worker = arg;
	snap_online(snap, worker->reader);
	for (unsigned i = 0; i < 1000; i++) {
		worker->allowed += decide_batch(i);
	}
	int64_t begin = now_ns();
	for (unsigned i = 0; i < worker->rounds; i++) {
		int64_t at = now_ns();
		worker->allowed += decide_batch(i);
		samples_add(&worker->samples, now_ns() - at);
		snap_quiescent(snap, worker->reader);
	}
	worker->ns = now_ns() - begin;
	snap_offline(snap, worker->reader);
	return NULL;
}

static void change(struct policy_draft *draft, int level)
{
	struct command_overlay overlay = policy_set_overlay(set);
	struct policy *policy;
	policy_draft_of(policy_writer_get(set, WORKSPACE), draft);
	draft->workspace = WORKSPACE;
	draft->version++;
	draft->revision = policy_revision_next(set);
	if (!policy_draft_put(draft, policy_name_keep(set, STR("create_report")), level) || policy_make(draft, &policy) != ERR_OK ||
	    policy_put(set, policy) != ERR_OK) {
		die("the table cannot be changed");
	}
	overlay.committed(overlay.ctx);
	snap_domain_reclaim(snap);
}

static int64_t change_all_the_time(void)
{
	static struct policy_draft draft;
	int64_t changes = 0;
	for (; !atomic_load(&over); changes++) {
		change(&draft, changes % 2 != 0 ? 3 : 4);
		nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
	}
	return changes;
}

static void *workers_wait(void *arg)
{
	struct worker *workers = arg;
	for (unsigned i = 0; i < THREADS_MAX && workers[i].rounds != 0; i++) {
		pthread_join(workers[i].thread, NULL);
	}
	atomic_store(&over, true);
	return NULL;
}

static void setup(void)
{
	struct policy_options options = {.unknown_level = POLICY_UNKNOWN_LEVEL};
	struct command_overlay agents;
	if (snap_domain_create(&snap) != ERR_OK || policy_set_create(env_real(), snap, &options, &set) != ERR_OK ||
	    registry_create(env_real(), snap, &registry) != ERR_OK) {
		die("no policy");
	}
	for (int i = 1; i <= 4; i++) {
		char handle[] = {'a', (char)('0' + i), 0};
		struct agent agent = {.id = i, .workspace = WORKSPACE, .maturity = (enum maturity)i, .lifecycle = LIFECYCLE_ACTIVE,
			.confidence_e4 = 9000, .name = str_of(handle), .handle = str_of(handle)};
		if (registry_put(registry, &agent) != ERR_OK) {
			die("no agent");
		}
	}
	agents = registry_overlay(registry);
	agents.committed(agents.ctx);
}

int main(int argc, char **argv)
{
	static struct worker workers[THREADS_MAX + 1];
	unsigned rounds = (unsigned)option_number(argc, argv, "rounds", 100000);
	unsigned threads = (unsigned)option_number(argc, argv, "threads", 1);
	bool writer = option_number(argc, argv, "writer", 0) != 0;
	struct samples all;
	int64_t allowed = 0, changes = 0, ns = 0;
	if (threads < 1 || threads > THREADS_MAX || rounds == 0) {
		die("1 to %d threads", THREADS_MAX);
	}
	setup();
	samples_init(&all, (size_t)rounds * threads);
	for (unsigned i = 0; i < threads; i++) {
		workers[i].rounds = rounds;
		samples_init(&workers[i].samples, rounds);
		if (snap_reader_add(snap, &workers[i].reader) != ERR_OK) {
			die("no reader");
		}
	}
	uint64_t allocations = mem_count();
	for (unsigned i = 0; i < threads; i++) {
		pthread_create(&workers[i].thread, NULL, work, &workers[i]);
	}
	pthread_t waiter;
	pthread_create(&waiter, NULL, workers_wait, workers);
	changes = writer ? change_all_the_time() : 0;
	pthread_join(waiter, NULL);
	/* The writer's own are not a decision's. */
	allocations = writer ? 0 : mem_count() - allocations;
	for (unsigned i = 0; i < threads; i++) {
		allowed += workers[i].allowed;
		ns += workers[i].ns;
		for (size_t k = 0; k < workers[i].samples.count; k++) {
			samples_add(&all, workers[i].samples.at[k]);
		}
	}
	double mean = (double)ns / threads / rounds / BATCH;
	printf("{\"decisions\":%lld,\"mean_ns\":%.1f,\"p50_ns\":%.1f,\"p99_ns\":%.1f,\"allocations\":%llu,\"allowed\":%lld,\"changes\":%lld}\n",
	       (long long)rounds * threads * BATCH, mean, samples_us(&all, 0.5) * 1000 / BATCH, samples_us(&all, 0.99) * 1000 / BATCH,
	       (unsigned long long)allocations, (long long)allowed, (long long)changes);
	registry_destroy(&registry);
	policy_set_destroy(&set);
	snap_domain_destroy(&snap);
	return allocations != 0;
}
