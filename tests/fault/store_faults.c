/*
 * store_faults.c - every access of SQLite to its files fails once, and from then on for good.
 *
 *   store_faults [--stride N] [--seed S] [--only FAULT] [--at N]     FAULT as in a plan: write=full
 *
 * A request is acknowledged and kept, or refused with 503 and not there; queries are answered while only writing fails; when the
 * fault is gone the same process goes on, and the store is whole. A start that meets the fault fails, or does not, and the next
 * one works. Every N-th access is failed, beginning at one that the seed chooses.
 */
#include "world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/metric.h"
#include "db/vfs_fault.h"

enum { REQUESTS = 10, MOST = 20000, PROBE_TURNS = 10000, PATIENCE_TURNS = 300 };

struct sweep {
	const char *fault;
	enum vfs_access access;
	bool reads_go_on; /* queries need none of it */
};

static const struct sweep sweeps[] = {
	{"write=io", VFS_WRITE, true},       {"write=short", VFS_WRITE, true},       {"write=full", VFS_WRITE, true},
	{"write=readonly", VFS_WRITE, true}, {"sync=io", VFS_SYNC, true},            {"truncate=io", VFS_TRUNCATE, true},
	{"read=io", VFS_READ, false},        {"lock=io", VFS_LOCK, false},           {"open=io", VFS_OPEN, false},
	{"delete=io", VFS_DELETE, true},
};

struct tally {
	uint64_t faults, answered, refused, starts, starts_failed;
};

static void plan(struct world *world, const char *text)
{
	if (!vfs_fault_plan(text)) {
		world_fail(world, "no plan: %s", text);
	}
}

/* One request after the other; each gets an answer, whatever the disk does. Only a run that was acknowledged as begun waits with
 * its end until the store takes it. */
static void requests_run(struct world *world, int count, bool faulty)
{
	for (int i = 0; i < count; i++) {
		struct thing *thing = world_ask(world);
		if (!world_settle(world, faulty ? PATIENCE_TURNS : TURNS_MAX) && (!faulty || (thing->kind != CHAT && thing->status == 0))) {
			world_fail(world, "request %zu of kind %d is not answered, or runs on", thing->number, thing->kind);
		}
		if (thing->status >= 500 && thing->status != 503) {
			world_fail(world, "request %zu of kind %d: %d", thing->number, thing->kind, thing->status);
		}
	}
}

/* It goes on by itself: the next things are all there. */
static void recovers(struct world *world)
{
	uint64_t refused = world->refused;
	plan(world, "");
	for (int i = 0; i < PROBE_TURNS && metric_get(METRIC_STORE_DEGRADED) != 0; i++) {
		world_turn(world);
	}
	if (metric_get(METRIC_STORE_DEGRADED) != 0) {
		world_fail(world, "it says degraded when the fault has gone");
	}
	requests_run(world, 3, false);
	if (world->refused != refused) {
		world_fail(world, "it refuses when the fault has gone");
	}
	world_check(world, true);
}

/* The fault comes while it runs. False when no such access was made: the sweep is at its end. */
static bool while_running(const struct sweep *sweep, uint64_t seed, uint64_t at, bool onwards, struct tally *tally)
{
	struct world world;
	char text[64], course[128];
	snprintf(text, sizeof(text), "%s@%llu%s", sweep->fault, (unsigned long long)at, onwards ? "+" : "");
	snprintf(course, sizeof(course), "--seed %llu --only %s --at %llu (%s)", (unsigned long long)seed, sweep->fault,
		 (unsigned long long)at, text);
	world_open(&world, seed, course);
	world_must_start(&world);
	requests_run(&world, 4, false);
	plan(&world, text);
	requests_run(&world, REQUESTS, true);
	bool met = vfs_fault_given() > 0;
	if (onwards && sweep->reads_go_on && !world_reads(&world)) {
		world_fail(&world, "no query is answered");
	}
	tally->faults += met;
	tally->refused += world.refused;
	recovers(&world);
	tally->answered += world.answered;
	world_stop(&world);
	/* What was kept is still there for the next process. */
	world_must_start(&world);
	world_check(&world, true);
	world_stop(&world);
	world_close(&world);
	return met;
}

/* The fault comes while it starts, on a store with a history and on none. */
static bool while_starting(const struct sweep *sweep, uint64_t seed, uint64_t at, bool fresh, struct tally *tally)
{
	struct world world;
	char text[64], course[128];
	snprintf(text, sizeof(text), "%s@%llu+", sweep->fault, (unsigned long long)at);
	snprintf(course, sizeof(course), "--seed %llu --only %s --at %llu (start, %s)", (unsigned long long)seed, sweep->fault,
		 (unsigned long long)at, text);
	world_open(&world, seed, course);
	if (!fresh) {
		world_must_start(&world);
		requests_run(&world, 4, false);
		world_stop(&world);
	}
	plan(&world, text);
	bool started = world_start(&world);
	bool met = vfs_fault_given() > 0;
	tally->starts += met;
	tally->starts_failed += met && !started;
	plan(&world, "");
	if (!started && !met) {
		world_fail(&world, "it does not start, with nothing wrong");
	}
	if (!started) {
		world_must_start(&world);
	}
	recovers(&world);
	world_stop(&world);
	world_close(&world);
	return met;
}

static void sweep_run(const struct sweep *sweep, uint64_t seed, uint64_t stride, uint64_t only_at, struct tally *tally)
{
	uint64_t first = only_at != 0 ? only_at : 1 + seed % stride;
	uint64_t step = only_at != 0 ? MOST : stride;
	for (int way = 0; way < 4; way++) {
		for (uint64_t at = first; at < MOST; at += step) {
			bool met = way < 2 ? while_running(sweep, seed, at, way == 1, tally) : while_starting(sweep, seed, at, way == 3, tally);
			if (!met) {
				break;
			}
		}
	}
}

int main(int argc, char **argv)
{
	uint64_t stride = 1, at = 0;
	uint64_t seed = (uint64_t)time(NULL) % 1000000;
	const char *only = NULL;
	struct tally all = {0};
	for (int i = 1; i + 1 < argc; i += 2) {
		uint64_t value = strtoull(argv[i + 1], NULL, 10);
		stride = strcmp(argv[i], "--stride") == 0 && value > 0 ? value : stride;
		seed = strcmp(argv[i], "--seed") == 0 ? value : seed;
		at = strcmp(argv[i], "--at") == 0 ? value : at;
		only = strcmp(argv[i], "--only") == 0 ? argv[i + 1] : only;
	}
	printf("store_faults: seed %llu, every %llu. access\n", (unsigned long long)seed, (unsigned long long)stride);
	fflush(stdout);
	for (size_t i = 0; i < sizeof(sweeps) / sizeof(sweeps[0]); i++) {
		struct tally tally = {0};
		if (only != NULL && strcmp(only, sweeps[i].fault) != 0) {
			continue;
		}
		sweep_run(&sweeps[i], seed, stride, at, &tally);
		printf("  %-14s %5llu while it runs (%llu acknowledged, %llu refused), %4llu while it starts (%llu starts failed)\n",
		       sweeps[i].fault, (unsigned long long)tally.faults, (unsigned long long)tally.answered,
		       (unsigned long long)tally.refused, (unsigned long long)tally.starts, (unsigned long long)tally.starts_failed);
		fflush(stdout);
		all.faults += tally.faults + tally.starts;
	}
	printf("store_faults: %llu faults, nothing lost and nothing half there\n", (unsigned long long)all.faults);
	return all.faults > 0 ? 0 : 1;
}
