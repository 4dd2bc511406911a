/* world.c - the clock, the order of steps, the lives of one guild, and the trace. */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "db/reader.h"
#include "db/vfs_memory.h"
#include "db/writer.h"
#include "execution/execution.h"
#include "net.h"
#include "social/social.h"

#define DATA_DIR VFS_MEMORY_PREFIX "guild"
#define WALL_START_US INT64_C(1790000000000000)
/* Longer than a run may take: a store that does not commit is tried for as long. */
#define STOP_ROUNDS 4000
#define STOP_ROUND_US 50000

static void life_open(struct sim *sim);
static void life_end(struct sim *sim);

/* ---- chance ---- */

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t sim_random_next(struct sim_random *random)
{
	uint64_t z = random->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

uint32_t sim_draw(struct sim_random *random, uint32_t below)
{
	return (uint32_t)((sim_random_next(random) >> 32) * below >> 32);
}

bool sim_chance(struct sim_random *random, uint32_t percent)
{
	return sim_draw(random, 100) < percent;
}

/* ---- what env gives ---- */

static int64_t mono_us(void *ctx)
{
	struct sim *sim = ctx;
	if (sim->crash_reading > 0 && --sim->crash_reading == 0) {
		vfs_memory_keep();
		sim->crash_taken = true;
	}
	return ++sim->now_us;
}

static int64_t wall_us(void *ctx)
{
	struct sim *sim = ctx;
	return WALL_START_US + mono_us(sim) + sim->wall_skew_us;
}

static void random_fill(void *ctx, void *out, size_t len)
{
	struct sim *sim = ctx;
	unsigned char *at = out;
	for (size_t i = 0; i < len; i++) {
		at[i] = (unsigned char)(sim_random_next(&sim->world) >> 40);
	}
}

/* ---- the trace ---- */

static void line_put(struct sim *sim, char *line)
{
	size_t len = strlen(line);
	line[len] = '\n';
	hash_put(sim->hash, line, len + 1);
	line[len] = '\0';
	memcpy(sim->tail[sim->tail_next++ % SIM_TAIL_LINES], line, len + 1);
	if (sim->print) {
		puts(line);
	}
}

void sim_trace(struct sim *sim, const char *format, ...)
{
	char line[SIM_LINE_BYTES];
	va_list args;
	int len = snprintf(line, sizeof(line), "%u %8llu %14.6f ", sim->life, (unsigned long long)sim->step, (double)sim->now_us / 1e6);
	va_start(args, format);
	vsnprintf(line + len, sizeof(line) - 1 - (size_t)len, format, args);
	va_end(args);
	line[sizeof(line) - 2] = '\0';
	for (char *at = line; *at != '\0'; at++) {
		*at = *at == '\n' || *at == '\r' ? ' ' : *at;
	}
	line_put(sim, line);
}

_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
{
	va_list args;
	fflush(stdout);
	if (!sim->print) {
		uint64_t from = sim->tail_next > SIM_TAIL_LINES ? sim->tail_next - SIM_TAIL_LINES : 0;
		for (uint64_t i = from; i < sim->tail_next; i++) {
			fprintf(stderr, "%s\n", sim->tail[i % SIM_TAIL_LINES]);
		}
	}
	fprintf(stderr, "sim: seed %llu FAILED in life %u, step %llu, at %.6f s: ", (unsigned long long)sim->seed, sim->life,
		(unsigned long long)sim->step, (double)sim->now_us / 1e6);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nsim: again with the whole trace: %s --seed %llu --trace\n", program_invocation_name, (unsigned long long)sim->seed);
	exit(1);
}

/* ---- lives ---- */

static void life_open(struct sim *sim)
{
	char loops[8], readers[8], token[64], detail[512] = "";
	snprintf(loops, sizeof(loops), "%d", SIM_LOOPS);
	snprintf(readers, sizeof(readers), "%d", SIM_READERS);
	struct config_flag flags[] = {{"server.data", DATA_DIR}, {"server.loops", loops}, {"server.readers", readers}, {"log.level", "off"},
		{"providers.ollama", "off"}, {"http.rate", "0"}, {"http.sign_in_rate", "0"},
		{"store.checkpoint", "1m"}, {"execution.total_timeout", "120"}, {"execution.keep_finished", "5"},
		{"execution.session_queue", "3"}, {"store.durability", sim->seed % 3 == 0 ? "durable" : "relaxed"}};
	char *const no_environment[] = {NULL};
	sim_disk_arm(sim);
	enum err err = config_load(&sim->config, NULL, no_environment, flags, sizeof(flags) / sizeof(flags[0]), detail);
	sim_wire_forget(sim);
	sim->net = sim_net_create(sim);
	err = err == ERR_OK ? guild_create_in(&sim->env, sim_net_transport(sim->net), &sim->config, false, &sim->guild, token, detail) : err;
	if (err != ERR_OK) {
		sim_fail(sim, "cannot open: %s", detail);
	}
	sim->provider = sim_provider_create(sim);
	sim->guild->builtin = sim_provider_get(sim->provider);
	social_start(sim->guild->social);
	for (int i = 0; i < SIM_LOOPS; i++) {
		struct listener_options options = {.address = STR("127.0.0.1:8420"), .accepted = http_server_accepted, .arg = sim->guild->http};
		check(listener_open(sim->guild->loops[i], &options, detail, &sim->listeners_open[i]) == ERR_OK);
	}
	if (token[0] != '\0') {
		snprintf(sim->actors[0].token, sizeof(sim->actors[0].token), "%s", token);
	}
	sim_model_life(sim);
	sim->reader_maybe = true;
	sim_trace(sim, "life opens");
}

struct drain {
	struct loop_note note;
	struct guild *guild;
	struct listener **listener;
};

static void drain_run(struct loop_note *note, struct loop *loop)
{
	struct drain *drain = container_of(note, struct drain, note);
	listener_close(drain->listener);
	engine_drain(drain->guild->engine, loop, loop_now_us(loop));
	http_server_drain(drain->guild->http, loop);
}

static bool unanswered(const struct sim *sim)
{
	size_t count = 0;
	for (int i = 0; i < SIM_LOOPS; i++) {
		count += http_server_unanswered(sim->guild->http, sim->guild->loops[i]) + engine_running(sim->guild->engine, sim->guild->loops[i]);
	}
	return count > 0;
}

static void store_turn(struct sim *sim)
{
	while (writer_turn(sim->guild->writer)) {
	}
	while (reader_turn(sim->guild->readers, 0)) {
	}
}

/* Everybody's turn, and the network's as often as it has one. */
static void round_make(struct sim *sim)
{
	int64_t end_us = sim->now_us + STOP_ROUND_US;
	while (sim->now_us < end_us) {
		store_turn(sim);
		sim_calls_go(sim);
		sim_net_move(sim->net);
		for (int i = 0; i < SIM_LOOPS; i++) {
			loop_turn(sim->guild->loops[i], 0);
		}
		int64_t due_us = sim_net_due_us(sim->net);
		sim->now_us = due_us < end_us ? due_us > sim->now_us ? due_us : sim->now_us + 1 : end_us;
	}
}

/* What guild_stop does where there are threads: all is told to end, then the store takes no more, then the loops end. */
static void life_stop(struct sim *sim)
{
	struct guild *guild = sim->guild;
	struct drain drains[SIM_LOOPS];
	atomic_store(&guild->stopping, true);
	for (int i = 0; i < SIM_LOOPS; i++) {
		drains[i] = (struct drain){{.run = drain_run}, guild, &sim->listeners_open[i]};
		loop_note_post(guild->loops[i], &drains[i].note);
		loop_turn(guild->loops[i], 0);
	}
	for (int round = 0; round < STOP_ROUNDS && (round < 2 || unanswered(sim) || (!sim->down && sim_calls_open(sim) > 0)); round++) {
		round_make(sim);
	}
	if (unanswered(sim)) {
		sim_fail(sim, "a stop leaves calls without an answer");
	}
	writer_stop(guild->writer);
	store_turn(sim);
	reader_stop(guild->readers);
}

static void life_end(struct sim *sim)
{
	sim_wire_forget(sim);
	guild_stop(&sim->guild, 0);
	sim->cuts += sim_net_cuts(sim->net);
	sim_net_destroy(&sim->net);
	sim_provider_destroy(&sim->provider);
	config_fini(&sim->config);
	sim_calls_free(sim);
	sim_disk_land();
	sim->down = false;
}

static void life_next(struct sim *sim)
{
	sim->life++;
	sim->crash_taken = false;
	sim->crash_reading = 0;
	/* Another machine's uptime. */
	sim->now_us += 1000000;
	life_open(sim);
}

void sim_crash(struct sim *sim)
{
	sim_trace(sim, "crash%s", sim->crash_taken ? " inside the writer's turn" : "");
	sim->crashes++;
	sim->crashes_inside += sim->crash_taken;
	if (!sim->crash_taken) {
		vfs_memory_keep();
	}
	/* What the dying one still does is nobody's: it is taken down in order because its memory has to be given back. */
	sim->down = true;
	sim_calls_mute(sim);
	life_stop(sim);
	life_end(sim);
	vfs_memory_back();
	life_next(sim);
}

void sim_power_loss(struct sim *sim)
{
	sim_trace(sim, "loss of power");
	sim->losses++;
	sim->down = true;
	sim_calls_mute(sim);
	life_stop(sim);
	life_end(sim);
	life_next(sim);
}

void sim_restart(struct sim *sim)
{
	sim_trace(sim, "stop");
	sim->restarts++;
	sim_disk_step(sim, true);
	sim_calls_hang_up(sim);
	sim->stopping = true;
	life_stop(sim);
	sim->stopping = false;
	if (sim_calls_open(sim) > 0) {
		sim_fail(sim, "a stop leaves %d calls without an answer", sim_calls_open(sim));
	}
	sim->down = true;
	/* Who stops in order has synced what it closes, or the next one recovers it from the log. */
	life_end(sim);
	life_next(sim);
}

static void chance_open(struct sim *sim, uint64_t seed)
{
	struct sim_random root = {seed};
	sim->order.state = sim_random_next(&root);
	sim->world.state = sim_random_next(&root);
	sim->work.state = sim_random_next(&root);
	sim->answers.state = sim_random_next(&root);
	/* In some runs the writer is slow, in others a loop or the readers are. */
	for (int i = 0; i < SIM_LOOPS; i++) {
		sim->loop_weight[i] = 1U << sim_draw(&sim->order, 6);
	}
	sim->writer_weight = 1U << sim_draw(&sim->order, 6);
	sim->reader_weight = 1U << sim_draw(&sim->order, 6);
	sim->actor_weight = 1U << sim_draw(&sim->order, 5);
	sim->pause_us = 1000U << sim_draw(&sim->order, 12);
	sim->wire_percent = sim_draw(&sim->order, 5) * 25;
}

void sim_open(struct sim *sim, uint64_t seed, bool print)
{
	memset(sim, 0, sizeof(*sim));
	sim->seed = seed;
	sim->print = print;
	sim->env = (struct env){wall_us, mono_us, random_fill, sim};
	sim->now_us = 1000000;
	list_init(&sim->calls);
	arena_init(&sim->arena, 1 << 24);
	check(hash_create(&sim->hash) == ERR_OK);
	hash_begin(sim->hash);
	chance_open(sim, seed);
	vfs_memory_begin(&sim->env);
	life_open(sim);
}

void sim_close(struct sim *sim, uint8_t hash[HASH_SHA256_BYTES])
{
	sim->down = true;
	sim_calls_mute(sim);
	life_stop(sim);
	life_end(sim);
	vfs_memory_end();
	hash_end(sim->hash, hash);
	hash_destroy(&sim->hash);
	arena_fini(&sim->arena);
	free(sim->wires);
	for (int i = 0; i < sim->listener_count; i++) {
		free(sim->listeners[i].seen);
	}
}

/* ---- order ---- */

enum who { WHO_LOOP, WHO_WRITER = WHO_LOOP + SIM_LOOPS, WHO_READER, WHO_ACTOR = WHO_READER + SIM_READERS, WHO_COUNT = WHO_ACTOR + SIM_ACTORS };

static unsigned weights(struct sim *sim, unsigned weight[WHO_COUNT])
{
	unsigned sum = 0;
	for (int i = 0; i < SIM_LOOPS; i++) {
		bool due = loop_due_us(sim->guild->loops[i]) <= sim->now_us || sim_net_ready(sim->net, (unsigned)i);
		weight[WHO_LOOP + i] = due ? sim->loop_weight[i] : 0;
	}
	weight[WHO_WRITER] = writer_queued(sim->guild->writer) > 0 ? sim->writer_weight : 0;
	for (int i = 0; i < SIM_READERS; i++) {
		weight[WHO_READER + i] = sim->reader_maybe ? sim->reader_weight : 0;
	}
	for (int i = 0; i < SIM_ACTORS; i++) {
		weight[WHO_ACTOR + i] = !sim->resting && sim->actors[i].next_us <= sim->now_us && sim->actors[i].id[0] != '\0' ? sim->actor_weight : 0;
	}
	for (int i = 0; i < WHO_COUNT; i++) {
		sum += weight[i];
	}
	return sum;
}

/* Nobody has anything to do now: on to when somebody has. */
static bool time_passes(struct sim *sim)
{
	int64_t next_us = sim_net_due_us(sim->net);
	for (int i = 0; i < SIM_LOOPS; i++) {
		int64_t at_us = loop_due_us(sim->guild->loops[i]);
		next_us = at_us < next_us ? at_us : next_us;
	}
	for (int i = 0; i < SIM_ACTORS && !sim->resting; i++) {
		next_us = sim->actors[i].id[0] != '\0' && sim->actors[i].next_us < next_us ? sim->actors[i].next_us : next_us;
	}
	if (next_us == INT64_MAX) {
		return false;
	}
	sim->now_us = (next_us > sim->now_us ? next_us : sim->now_us) + sim_draw(&sim->order, 50);
	if (sim_draw(&sim->order, 400) == 0) {
		sim->wall_skew_us += (int64_t)sim_draw(&sim->order, 20000000) - 10000000;
		sim_trace(sim, "the wall clock jumps, now off by %.6f s", (double)sim->wall_skew_us / 1e6);
	}
	return true;
}

static void turn(struct sim *sim, int who)
{
	struct guild *guild = sim->guild;
	if (who < WHO_WRITER) {
		loop_turn(guild->loops[who - WHO_LOOP], 0);
		sim->reader_maybe = true;
	} else if (who == WHO_WRITER) {
		if (sim->crash_reading < 0) {
			sim->crash_reading = -sim->crash_reading;
		}
		(void)writer_turn(guild->writer);
		/* Not so many readings in that turn: then it dies at its end. */
		if (sim_disk_is_dead()) {
			sim_power_loss(sim);
		} else if (sim->crash_reading > 0 || sim->crash_taken) {
			sim->crash_reading = 0;
			sim_crash(sim);
		}
	} else if (who < WHO_ACTOR) {
		sim->reader_maybe = reader_turn(guild->readers, (unsigned)(who - WHO_READER));
	} else {
		sim_work_deed(sim, who - WHO_ACTOR);
	}
}

bool sim_step(struct sim *sim)
{
	unsigned weight[WHO_COUNT];
	unsigned sum;
	sim_calls_go(sim);
	sim_net_move(sim->net);
	while ((sum = weights(sim, weight)) == 0) {
		if (!time_passes(sim)) {
			return false;
		}
		sim_net_move(sim->net);
	}
	unsigned drawn = sim_draw(&sim->order, sum);
	int who = 0;
	while (drawn >= weight[who]) {
		drawn -= weight[who++];
	}
	sim->step++;
	turn(sim, who);
	sim->now_us += sim_draw(&sim->order, 200);
	return true;
}
