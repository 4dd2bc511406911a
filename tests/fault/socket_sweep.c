/*
 * socket_sweep.c - fails every socket call of the core flows, one after the other.
 *
 *   socket_sweep [--flow NAME] [--only FAULT] [--stride K] [--seed S] [--at N [--for-good]]      FAULT as in a plan: read=cut
 *
 * A flow is run once to count its calls. Then, for each fault and each n of the stride, it is run with the n-th call failing, once and from
 * there on until the client has waited for a while; reads and writes are also cut behind every 11th byte. What is asked of it:
 *   - a step answers as it should, or with 503, or its connection ends; a run fails by its provider; no crash, no standstill;
 *   - with the fault gone every step answers as it should, and nothing is left over: no connection, no run, no descriptor;
 *   - what was acknowledged is there once, and asked again under its key it is answered the same;
 *   - in the end the audit chain and the file are whole.
 * Each flow runs in a process of its own.
 */
#include <dirent.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/audit.h"
#include "db/writer.h"
#include "guild.h"
#include "loop/socket_fault.h"
#include "sweep_flows.h"

enum { RETURN_US = 50000, TRY_SECONDS = 60, BYTES_STRIDE = 11 };

struct fault {
	const char *text;
	enum socket_access access;
	bool for_good; /* it also makes sense from a call on */
	bool of_bytes; /* and behind a number of bytes */
};

static const struct fault faults[] = {
	{"accept=emfile", SOCKET_ACCEPT, true, false}, {"accept=enfile", SOCKET_ACCEPT, true, false},
	{"accept=nomem", SOCKET_ACCEPT, true, false},  {"accept=aborted", SOCKET_ACCEPT, true, false},
	{"read=reset", SOCKET_READ, true, false},      {"read=cut", SOCKET_READ, true, true},
	{"read=drip", SOCKET_READ, true, false},       {"read=delay", SOCKET_READ, true, false},
	{"read=interrupt", SOCKET_READ, true, false},  {"write=reset", SOCKET_WRITE, true, false},
	{"write=cut", SOCKET_WRITE, true, true},       {"write=drip", SOCKET_WRITE, true, false},
	{"write=short", SOCKET_WRITE, true, false},    {"write=delay", SOCKET_WRITE, true, false},
	{"write=nomem", SOCKET_WRITE, true, false},    {"write=interrupt", SOCKET_WRITE, false, false},
	{"shutdown=reset", SOCKET_SHUTDOWN, true, false}, {"open=emfile", SOCKET_OPEN, true, false},
	{"open=nomem", SOCKET_OPEN, true, false},      {"ready=cut", SOCKET_READY, true, false},
	{"ready=delay", SOCKET_READY, true, false},
};
enum { FAULTS = sizeof(faults) / sizeof(faults[0]) };

struct flow {
	const char *name;
	const struct step *steps;
	bool (*run)(struct world *world, bool strict);
	bool provider;
};

struct plan {
	const char *flow, *only;
	uint64_t stride, seed, at;
	bool for_good;
};

/* What the parent sees of a child. */
static struct progress {
	char label[160];
	uint64_t calls, tries, given;
} *progress;

static bool until_waited; /* the fault under way ends when somebody has waited for it */

static void fault_plan(const char *text)
{
	if (!socket_fault_plan(text)) {
		sweep_fail("no plan: %s", text);
	}
}

void sweep_waited(int64_t waited_us)
{
	if (until_waited && waited_us > RETURN_US) {
		until_waited = false;
		fault_plan("");
	}
}

static void on_death(int number)
{
	dprintf(STDERR_FILENO, "FAILED %s: %s\n", progress->label, number == SIGALRM ? "it stands still" : "it crashed");
	signal(number, SIG_DFL);
	raise(number);
}

void sweep_fail(const char *format, ...)
{
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	fprintf(stderr, "FAILED %s: %s\n", progress->label, text);
	_exit(1);
}

/* ---- acknowledged once ---- */

static struct {
	unsigned number;
	bool again;        /* the last one was tried under a fault: the same once more */
	char key[24];
	char text[32];
	char answered[64]; /* its id, when it was acknowledged */
} once;

static unsigned times(const char *text)
{
	unsigned count = 0;

	for (const char *at = sweep_client.in; (at = strstr(at, text)) != NULL; at++) {
		count++;
	}
	return count;
}

static void once_next(bool strict)
{
	if (!once.again) {
		once.number++;
		once.answered[0] = '\0';
		snprintf(once.key, sizeof(once.key), "once-%u", once.number);
		snprintf(once.text, sizeof(once.text), "this is %u of them", once.number);
	}
	once.again = !strict;
}

/* Posts under a key; who was cut asks again. */
static bool once_flow(struct world *world, bool strict)
{
	char body[128], id[64] = "";

	once_next(strict);
	snprintf(body, sizeof(body), "{\"content\":\"%s\"}", once.text);
	sweep_client.key = once.key;
	int status = client_ask(&sweep_client, world, "POST", "/v1/posts", body, NULL);
	sweep_client.key = NULL;
	bool whole = status == 201 && !sweep_cut();
	const char *at = strstr(sweep_client.in, "\"id\":\"");
	if (whole && at != NULL) {
		snprintf(id, sizeof(id), "%.36s", at + 6);
	}
	if (!whole && (strict || !sweep_excused(status))) {
		sweep_fail("a post: %.1500s", sweep_client.in);
	}
	if (whole && once.answered[0] != '\0' && strcmp(once.answered, id) != 0) {
		sweep_fail("the post has id %s now, and had %s", id, once.answered);
	}
	if (whole) {
		memcpy(once.answered, id, sizeof(id));
	}
	if (strict && (client_ask(&sweep_client, world, "GET", "/v1/feed?limit=5", NULL, NULL) != 200 || times(once.text) != 1)) {
		sweep_fail("the post is there %u times: %.1500s", times(once.text), sweep_client.in);
	}
	return true;
}

/* Over a WebSocket: a chat with a client_id; who was cut says it again, and follows the run from its beginning. */
static bool chat_flow(struct world *world, bool strict)
{
	static const char upgrade[] = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
				      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: guild.v1\r\n\r\n";
	char text[256], run[64], target[96];

	once_next(strict);
	client_dial(&sweep_client, world);
	client_send(&sweep_client, upgrade, sizeof(upgrade) - 1);
	bool good = client_wait_either(&sweep_client, world, " 101 ", " 503 ") && strstr(sweep_client.in, " 101 ") != NULL;
	snprintf(text, sizeof(text), "{\"type\":\"auth\",\"ref\":1,\"token\":\"%s\"}", world->token);
	if (good) {
		client_say(&sweep_client, text);
		good = client_wait(&sweep_client, world, "\"ref\":1");
	}
	snprintf(text, sizeof(text), "{\"type\":\"chat\",\"ref\":2,\"client_id\":\"%s\",\"message\":\"%s\"}", once.key, once.text);
	if (good) {
		client_say(&sweep_client, text);
		good = client_wait(&sweep_client, world, "\"execution_id\":\"");
	}
	const char *at = good ? strstr(sweep_client.in, "\"execution_id\":\"") : NULL;
	snprintf(run, sizeof(run), "%.36s", at != NULL ? at + 16 : "");
	if (good && strict) {
		snprintf(text, sizeof(text), "{\"type\":\"resume\",\"ref\":3,\"execution_id\":\"%s\",\"after\":0}", run);
		client_say(&sweep_client, text);
	}
	good = good && client_wait(&sweep_client, world, "streaming:complete");
	client_close(&sweep_client);
	if (!good && strict) {
		sweep_fail("a chat over a WebSocket: %.1500s", sweep_client.in);
	}
	if (at != NULL && once.answered[0] != '\0' && strcmp(once.answered, run) != 0) {
		sweep_fail("the chat is run %s now, and was %s", run, once.answered);
	}
	if (at != NULL) {
		memcpy(once.answered, run, sizeof(run));
	}
	if (strict) {
		snprintf(target, sizeof(target), "/v1/executions/%s/events", run);
		if (client_ask(&sweep_client, world, "GET", target, NULL, NULL) != 200 || times("event: streaming:complete") != 1) {
			sweep_fail("the run's stream ends %u times: %.1500s", times("event: streaming:complete"), sweep_client.in);
		}
	}
	return true;
}

/* ---- sweeping ---- */

static const struct flow flows[] = {
	{.name = "sign_in", .steps = sweep_sign_in},
	{.name = "chat", .steps = sweep_chat},
	{.name = "feed", .steps = sweep_feed},
	{.name = "post", .run = once_flow},
	{.name = "resume", .steps = sweep_resume},
	{.name = "socket", .run = sweep_socket},
	{.name = "socket_chat", .run = chat_flow},
	{.name = "provider", .steps = sweep_chat, .provider = true},
};

static unsigned descriptors(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned count = 0;

	while (dir != NULL && readdir(dir) != NULL) {
		count++;
	}
	closedir(dir);
	return count;
}

static void flow_run(const struct flow *flow, struct world *world, bool strict)
{
	if (flow->steps != NULL) {
		(void)sweep_steps(world, flow->steps, strict);
	} else {
		(void)flow->run(world, strict);
	}
	world_settle(world);
}

static void try_one(const struct flow *flow, struct world *world, const struct fault *fault, char unit, uint64_t at, bool for_good,
		    unsigned open_before)
{
	char text[64];

	snprintf(text, sizeof(text), "%s%c%llu%s", fault->text, unit, (unsigned long long)at, for_good ? "+" : "");
	snprintf(progress->label, sizeof(progress->label), "--flow %s --only %s --at %llu%s (%s)", flow->name, fault->text,
		(unsigned long long)at, for_good ? " --for-good" : "", text);
	alarm(TRY_SECONDS);
	fault_plan(text);
	until_waited = for_good;
	flow_run(flow, world, false);
	until_waited = false;
	progress->given += socket_fault_given();
	progress->tries++;
	fault_plan("");
	flow_run(flow, world, true);
	alarm(0);
	if (descriptors() > open_before) {
		sweep_fail("%u descriptors are open, and were %u", descriptors(), open_before);
	}
}

static void fault_sweep(const struct flow *flow, const struct plan *plan, struct world *world, const struct fault *fault, unsigned open_before)
{
	fault_plan("");
	flow_run(flow, world, true);
	uint64_t calls = socket_fault_count(fault->access);
	uint64_t bytes = socket_fault_bytes(fault->access);
	uint64_t byte_stride = plan->stride * (plan->stride > 1 ? 4 * BYTES_STRIDE : BYTES_STRIDE);

	progress->calls += calls;
	if (plan->at != 0) {
		try_one(flow, world, fault, '@', plan->at, plan->for_good, open_before);
		return;
	}
	for (uint64_t n = 1 + plan->seed % plan->stride; n <= calls; n += plan->stride) {
		try_one(flow, world, fault, '@', n, false, open_before);
		if (fault->for_good) {
			try_one(flow, world, fault, '@', n, true, open_before);
		}
	}
	for (uint64_t n = plan->seed % byte_stride; fault->of_bytes && n < bytes; n += byte_stride) {
		try_one(flow, world, fault, '#', n, false, open_before);
	}
}

/* A child. */
static void flow_sweep(const struct flow *flow, const struct plan *plan, const char *provider)
{
	static struct world world;
	struct audit_report report;

	snprintf(progress->label, sizeof(progress->label), "--flow %s, without a fault", flow->name);
	snprintf(world.provider, sizeof(world.provider), "%s", provider);
	world_init(&world);
	if (world_open(&world) != ERR_OK) {
		sweep_fail("it does not start: %s", world.detail);
	}
	(void)sweep_steps(&world, sweep_prepare, true);
	for (int i = 0; i < 2; i++) {
		flow_run(flow, &world, true);
	}
	unsigned open_before = descriptors();
	for (unsigned i = 0; i < FAULTS; i++) {
		if (plan->only == NULL || strcmp(plan->only, faults[i].text) == 0) {
			fault_sweep(flow, plan, &world, &faults[i], open_before);
		}
	}
	snprintf(progress->label, sizeof(progress->label), "--flow %s, at its end", flow->name);
	if (audit_verify(writer_db(world.guild->writer), NULL, &report) != ERR_OK || report.first_bad != 0) {
		sweep_fail("the audit chain is broken at %lld", (long long)report.first_bad);
	}
	world_close(&world);
	world_check(&world);
	world_fini(&world);
}

static bool flow_run_all(const struct flow *flow, const struct plan *plan, const char *provider)
{
	int64_t begun_us = env_mono_us(env_real());
	pid_t child;
	int status = 0;

	*progress = (struct progress){.calls = 0};
	child = fork();
	if (child == 0) {
		flow_sweep(flow, plan, provider);
		exit(0); /* the leak sanitizer looks now */
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("socket_sweep");
		return false;
	}
	bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
	printf("%-12s %6llu tries, %6llu faults, %.1f s%s\n", flow->name, (unsigned long long)progress->tries,
		(unsigned long long)progress->given, (double)(env_mono_us(env_real()) - begun_us) / 1e6, good ? "" : ", FAILED");
	fflush(stdout);
	return good;
}

static int plan_read(int argc, char **argv, struct plan *plan)
{
	*plan = (struct plan){.stride = 1, .seed = (uint64_t)env_wall_us(env_real()) / 1000000};
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--for-good") == 0) {
			plan->for_good = true;
			continue;
		}
		i++;
		if (strcmp(argv[i - 1], "--flow") == 0) {
			plan->flow = value;
		} else if (strcmp(argv[i - 1], "--only") == 0) {
			plan->only = value;
		} else if (strcmp(argv[i - 1], "--stride") == 0) {
			plan->stride = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i - 1], "--seed") == 0) {
			plan->seed = strtoull(value, NULL, 10);
		} else if (strcmp(argv[i - 1], "--at") == 0) {
			plan->at = strtoull(value, NULL, 10);
		} else {
			fprintf(stderr, "socket_sweep: what is %s?\n", argv[i - 1]);
			return 2;
		}
	}
	return plan->stride == 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
	struct plan plan;
	char url[64];
	int failed = 0, ran = 0;

	if (plan_read(argc, argv, &plan) != 0) {
		return 2;
	}
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGABRT, on_death);
	signal(SIGALRM, on_death);
	sweep_provider_start(NULL, NULL, url, sizeof(url));
	printf("socket_sweep: --stride %llu --seed %llu\n", (unsigned long long)plan.stride, (unsigned long long)plan.seed);
	fflush(stdout);
	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		if (plan.flow == NULL || strcmp(plan.flow, flows[i].name) == 0) {
			failed += !flow_run_all(&flows[i], &plan, flows[i].provider ? url : "");
			ran++;
		}
	}
	return failed > 0 || ran == 0;
}
