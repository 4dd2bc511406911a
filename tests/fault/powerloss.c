/*
 * powerloss.c - the power goes at a point that chance chooses; what was acknowledged is there afterwards, once.
 *
 *   powerloss [--points N] [--seed S] [--only STORE]
 *
 * A store lives through several losses, some of them while it recovers from the last, some after a clean stop, some after a
 * sync that failed. Each start compares the store with everything that was promised since it was made.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/metric.h"
#include "db/vfs_fault.h"

struct tally {
	uint64_t points, at_start, clean, sync_failed, stores, answered, checked;
};

/* Requests until the power goes or there were enough of them. */
static void work(struct world *world)
{
	uint64_t requests = 4 + world_chance(world, 40);
	for (uint64_t i = 0; i < requests && !vfs_crash_is_dead(); i++) {
		uint64_t burst = 1 + world_chance(world, ASKED_MAX);
		for (uint64_t n = 0; n < burst && world->asked < ASKED_MAX; n++) {
			(void)world_ask(world);
		}
		for (uint64_t turns = world_chance(world, 12); turns > 0 && !vfs_crash_is_dead(); turns--) {
			world_turn(world);
		}
	}
	while (world->asked > 0 && !vfs_crash_is_dead()) {
		world_turn(world);
	}
}

/* From one start to the next loss. False when the power went before the start was over. */
static bool live(struct world *world, struct tally *tally)
{
	bool early = world_chance(world, 8) == 0;
	vfs_crash_at(early ? 1 + world_chance(world, world_chance(world, 2) == 0 ? 8 : 200) : 0);
	if (early) {
		bool started = world_start(world);
		if (!started && !vfs_crash_is_dead()) {
			world_fail(world, "it does not start, with nothing wrong");
		}
		tally->at_start += !started;
		if (!started) {
			return false;
		}
	} else {
		world_must_start(world);
	}
	vfs_crash_at(0);
	if (vfs_crash_is_dead()) {
		return true;
	}
	world_check(world, false);
	/* Mostly near: a loss just after the start, or long after it. */
	uint64_t most = world_chance(world, 3) == 0 ? 1500 : 200;
	if (world_chance(world, 6) == 0) {
		char plan[40];
		snprintf(plan, sizeof(plan), "sync=io@%llu", (unsigned long long)(1 + world_chance(world, 20)));
		if (!vfs_fault_plan(plan)) {
			world_fail(world, "no plan: %s", plan);
		}
	}
	vfs_crash_at(1 + world_chance(world, most));
	work(world);
	tally->sync_failed += vfs_fault_given() > 0 && !vfs_crash_is_dead();
	if (!vfs_fault_plan("")) {
		world_fail(world, "no empty plan");
	}
	return true;
}

static void store_run(uint64_t seed, uint64_t store, struct tally *tally)
{
	struct world world;
	char course[96];
	snprintf(course, sizeof(course), "--seed %llu --only %llu", (unsigned long long)seed, (unsigned long long)store);
	world_open(&world, seed * 1000003 + store, course);
	uint64_t losses = 1 + world_chance(&world, 12);
	for (uint64_t i = 0; i < losses; i++) {
		vfs_crash_arm(world_chance(&world, UINT64_MAX));
		bool up = live(&world, tally);
		if (up && !vfs_crash_is_dead() && world_chance(&world, 4) == 0) {
			vfs_crash_at(world_chance(&world, 30));
			world_stop(&world);
			tally->clean++;
		}
		vfs_crash_now();
		world_stop(&world);
		vfs_crash_land();
		tally->points++;
	}
	world_must_start(&world);
	world_check(&world, false);
	world_stop(&world);
	tally->stores++;
	tally->answered += world.answered;
	tally->checked += world.checked;
	world_close(&world);
}

int main(int argc, char **argv)
{
	uint64_t points = 1000;
	uint64_t seed = (uint64_t)time(NULL) % 1000000;
	uint64_t only = 0;
	struct tally tally = {0};
	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 10);
		points = strcmp(argv[i], "--points") == 0 ? value : points;
		seed = strcmp(argv[i], "--seed") == 0 ? value : seed;
		only = strcmp(argv[i], "--only") == 0 ? value : only;
	}
	printf("powerloss: seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	if (only != 0) {
		store_run(seed, only, &tally);
	}
	for (uint64_t store = 1; only == 0 && tally.points < points; store++) {
		store_run(seed, store, &tally);
	}
	printf("powerloss: %llu losses of power in %llu stores: %llu during a start, %llu at or after a clean stop, %llu lives with a failed "
	       "sync; %llu checkpoints; %llu acknowledged, %llu comparisons, nothing lost\n",
	       (unsigned long long)tally.points, (unsigned long long)tally.stores, (unsigned long long)tally.at_start,
	       (unsigned long long)tally.clean, (unsigned long long)tally.sync_failed,
	       (unsigned long long)metric_get(METRIC_WRITER_CHECKPOINTS), (unsigned long long)tally.answered,
	       (unsigned long long)tally.checked);
	return 0;
}
