/*
 * main.c - runs seeds.
 *
 *   sim --seed S [--trace]                      one seed; its trace on standard output
 *   sim [--from S] [--seeds N] [--seconds T] [--twice K]
 *                                               N seeds from S on (0: as long as there is time), the first K of them twice
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/env.h"
#include "base/log.h"
#include "execution/execution.h"
#include "net.h"

#define REST_US_MAX INT64_C(900000000)
#define LAST_US INT64_C(3000000)
#define CRASH_READINGS 12

struct options {
	uint64_t from, seeds, twice;
	int64_t seconds;
	bool print;
};

static struct sim sim;

static bool at_rest(struct sim *s)
{
	size_t running = 0;
	for (int i = 0; i < SIM_LOOPS; i++) {
		running += engine_running(s->guild->engine, s->guild->loops[i]);
	}
	return running == 0 && sim_calls_open(s) == 0 && writer_queued(s->guild->writer) == 0 && sim_provider_open(s->provider) == 0;
}

/* Until nothing has been under way for a while: the last events find their listeners, agents that answer by themselves have answered. */
static void rest(struct sim *s)
{
	int64_t until_us = s->now_us + REST_US_MAX;
	s->resting = true;
	sim_trace(s, "rest");
	for (int64_t since_us = s->now_us; s->now_us < since_us + LAST_US || sim_net_due_us(s->net) != INT64_MAX;) {
		bool going = sim_step(s);
		if (!at_rest(s)) {
			since_us = s->now_us;
			if (!going || s->now_us > until_us) {
				sim_fail(s, "does not come to rest: %d calls are open, %zu calls of the provider", sim_calls_open(s),
					sim_provider_open(s->provider));
			}
		} else if (!going) {
			break;
		}
	}
}

static void run(uint64_t seed, bool print, uint8_t hash[HASH_SHA256_BYTES])
{
	struct sim *s = &sim;
	sim_open(s, seed, print);
	sim_work_setup(s);
	uint64_t deeds = 50 + sim_draw(&s->order, 350);
	uint32_t crash_every = sim_chance(&s->order, 40) ? 0 : 200U << sim_draw(&s->order, 5);
	for (uint64_t at = s->calls_made; s->calls_made < at + deeds;) {
		if (!sim_step(s)) {
			sim_fail(s, "nobody has anything to do");
		}
		sim_disk_step(s, false);
		if (crash_every == 0 || sim_draw(&s->order, crash_every) != 0) {
			continue;
		}
		uint32_t how = sim_draw(&s->order, 100);
		if (how < 20) {
			sim_crash(s);
		} else if (how < 30) {
			sim_restart(s);
		} else if (how < 55) {
			sim_disk_power_off(s);
		} else if (how >= 75 || !sim_disk_trouble(s)) {
			s->crash_reading = -(int)(1 + sim_draw(&s->order, CRASH_READINGS));
		}
	}
	s->crash_reading = 0;
	sim_disk_step(s, true);
	rest(s);
	sim_work_view_all(s);
	rest(s);
	sim_check(s);
	sim_close(s, hash);
}

static void report(uint64_t seed, const uint8_t hash[HASH_SHA256_BYTES])
{
	char hex[2 * HASH_SHA256_BYTES + 1];
	const struct sim *s = &sim;
	hash_hex(hash, HASH_SHA256_BYTES, hex);
	printf("seed %llu: %.16s, %llu steps, %.0f s, %llu calls (%llu ok, %llu refused, %llu lost), %llu frames, %llu events, %llu crashes (%llu in a "
	       "transaction), %llu losses of power, %llu restarts, %llu troubles of the disk, %llu repeats, %llu over connections, %llu cuts\n",
		(unsigned long long)seed, hex, (unsigned long long)s->step, (double)s->now_us / 1e6, (unsigned long long)s->calls_made,
		(unsigned long long)s->answers_ok, (unsigned long long)s->answers_refused, (unsigned long long)s->answers_lost,
		(unsigned long long)s->stream_events, (unsigned long long)s->bus_events, (unsigned long long)s->crashes,
		(unsigned long long)s->crashes_inside, (unsigned long long)s->losses, (unsigned long long)s->restarts, (unsigned long long)s->troubles,
		(unsigned long long)s->repeats, (unsigned long long)s->by_wire, (unsigned long long)s->cuts);
	fflush(stdout);
}

static bool options_read(int argc, char **argv, struct options *o)
{
	*o = (struct options){.from = 1, .seeds = 20};
	for (int i = 1; i < argc; i++) {
		struct str name = str_of(argv[i]);
		uint64_t value;
		if (str_eq(name, STR("--trace"))) {
			o->print = true;
			continue;
		}
		if (++i >= argc || !str_to_u64(str_of(argv[i]), &value)) {
			return false;
		}
		if (str_eq(name, STR("--seed"))) {
			o->from = value;
			o->seeds = 1;
		} else if (str_eq(name, STR("--from"))) {
			o->from = value;
		} else if (str_eq(name, STR("--seeds"))) {
			o->seeds = value;
		} else if (str_eq(name, STR("--seconds"))) {
			o->seconds = (int64_t)value;
		} else if (str_eq(name, STR("--twice"))) {
			o->twice = value;
		} else {
			return false;
		}
	}
	return o->seeds > 0 || o->seconds > 0;
}

int main(int argc, char **argv)
{
	struct options o;
	uint8_t hash[HASH_SHA256_BYTES], again[HASH_SHA256_BYTES];
	uint64_t done = 0;
	int64_t until_us = 0;
	unsetenv("OPENAI_API_KEY");
	unsetenv("GUILD_KEY");
	if (!options_read(argc, argv, &o)) {
		fputs("usage: sim --seed S [--trace] | [--from S] [--seeds N] [--seconds T] [--twice K]\n", stderr);
		return 2;
	}
	until_us = o.seconds > 0 ? env_mono_us(env_real()) + o.seconds * 1000000 : INT64_MAX;
	while ((o.seeds == 0 || done < o.seeds) && env_mono_us(env_real()) < until_us) {
		run(o.from + done, o.print, hash);
		report(o.from + done, hash);
		if (done < o.twice) {
			run(o.from + done, false, again);
			if (memcmp(hash, again, sizeof(hash)) != 0) {
				fprintf(stderr, "sim: seed %llu FAILED: run twice, it gave two traces\n", (unsigned long long)(o.from + done));
				return 1;
			}
		}
		done++;
	}
	printf("sim: %llu seeds from %llu on, %llu of them twice: all hold\n", (unsigned long long)done, (unsigned long long)o.from,
		(unsigned long long)(o.twice < done ? o.twice : done));
	return 0;
}
