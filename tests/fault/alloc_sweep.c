/*
 * alloc_sweep.c - fails every allocation of the core flows, one after the other, ours and the libraries'.
 *
 *   alloc_sweep [--flow NAME] [--stride K] [--seed S] [--at N [--for-good]] [--trace]
 *
 * A flow is run once to count what it allocates. Then, for each n of the stride, it is run with the n-th allocation failing, once and from
 * there on for good; then memory is there again and it is run once more. What is asked of it:
 *   - a step answers as it should, or with 503 and one of the codes below, or its connection ends; nothing else, no crash, no standstill;
 *   - with memory again every step answers as it should, and nothing is left over: no connection, no run, no job;
 *   - in the end the audit chain and the file are whole, and (in a build with the leak sanitizer) nothing was lost.
 * Each flow runs in a process of its own; after a try that failed the rest of the flow goes on in a new one, so that one run names them all.
 */
#include <errno.h>
#include <execinfo.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/hash.h"
#include "base/mem.h"
#include "db/writer.h"
#include "guild.h"
#include "http/client.h"
#include "sweep_flows.h"

enum { RETURN_US = 200000, BIG_STRIDES = 12, FAILURES_MAX = 20, TRY_SECONDS = 90 };

/* ---- failing ---- */

static struct {
	_Atomic bool on;
	_Atomic uint64_t count;
	uint64_t at; /* 0: only count */
	bool for_good;
	_Atomic bool hit;
	bool trace;
} failing;

static bool fail(void *arg, uint64_t number)
{
	(void)arg;
	(void)number;
	if (!failing.on) {
		return false;
	}
	uint64_t n = atomic_fetch_add(&failing.count, 1) + 1;
	bool refuse = failing.at != 0 && (n == failing.at || (failing.for_good && n > failing.at));
	if (refuse && !atomic_exchange(&failing.hit, true) && failing.trace) {
		void *frames[40];
		backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
	}
	return refuse;
}

static void fail_from(uint64_t at, bool for_good)
{
	failing.count = 0;
	failing.at = at;
	failing.for_good = for_good;
	failing.hit = false;
	failing.on = true;
}

static void heal(void)
{
	failing.on = false;
}

void sweep_waited(int64_t waited_us)
{
	if (failing.for_good && waited_us > RETURN_US) {
		heal();
	}
}

/* ---- what the parent sees of a child ---- */

struct progress {
	char label[160];
	uint64_t next; /* try to go on with */
	uint64_t allocations, tries;
	bool over;
};

static struct progress *progress;

static void say(const char *text)
{
	(void)!write(STDERR_FILENO, text, strlen(text));
}

static void on_death(int number)
{
	say("FAILED ");
	say(progress->label);
	say(number == SIGALRM ? ": it stands still\n" : ": it crashed\n");
	void *frames[40];
	backtrace_symbols_fd(frames, backtrace(frames, 40), STDERR_FILENO);
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

/* ---- flows ---- */

struct flow {
	const char *name;
	const struct step *steps;
	bool (*run)(struct world *world, bool strict); /* beside the steps: what speaks otherwise */
	bool provider, tls, two_loops;
	bool alone; /* makes its own server */
	bool big;   /* of thousands of allocations: a strided sweep takes longer strides */
};

/* ---- from one loop to another ---- */

static struct client listens;

/* Signed in and subscribed, on the other loop. */
static bool listens_begin(struct world *world)
{
	static const char upgrade[] = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
				      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: guild.v1\r\n\r\n";
	char text[256];

	listens.door = 1;
	client_dial(&listens, world);
	client_send(&listens, upgrade, sizeof(upgrade) - 1);
	snprintf(text, sizeof(text), "{\"type\":\"auth\",\"ref\":1,\"token\":\"%s\"}", world->token);
	client_say(&listens, text);
	client_say(&listens, "{\"type\":\"subscribe\",\"ref\":2,\"topics\":[\"global\"]}");
	return client_wait_either(&listens, world, "\"ref\":2", " 503 ") && strstr(listens.in, "\"type\":\"ok\",\"ref\":2") != NULL;
}

/* What was acknowledged on one loop is heard on the other, or who listens there is sent away to resume: else this waits in vain. */
static void heard(struct world *world, bool strict, const char *target, const char *body, const char *mark)
{
	int status = client_ask(&sweep_client, world, "POST", target, body, NULL);
	bool good = (status == 201 || status == 202) && !sweep_cut();

	if (!good && (strict || !sweep_excused(status))) {
		sweep_fail("%s: %.1500s", target, sweep_client.in);
	}
	if (good && !client_wait(&listens, world, mark) && strict) {
		sweep_fail("the listener was sent away: %.1500s", listens.in);
	}
}

static bool between_flow(struct world *world, bool strict)
{
	static unsigned number;
	char body[128], mark[48];
	bool was = failing.on;

	/* What is swept is the way of an event, not that of a socket. */
	failing.on = false;
	if (!listens_begin(world)) {
		sweep_fail("nobody listens: %.1500s", listens.in);
	}
	failing.on = was;
	for (int i = 0; i < 2; i++) {
		snprintf(mark, sizeof(mark), "x.between%u", ++number);
		snprintf(body, sizeof(body), "{\"type\":\"%s\",\"topics\":[\"global\"],\"data\":1}", mark);
		heard(world, strict, "/v1/events", body, mark);
		snprintf(mark, sizeof(mark), "between %u", number);
		snprintf(body, sizeof(body), "{\"content\":\"between %u\"}", number);
		heard(world, strict, "/v1/posts", body, mark);
	}
	client_close(&listens);
	return true;
}

/* ---- starting and stopping ---- */

static struct world other; /* the one that starts */

/* The token of a first start is in its file, whatever became of that start. */
static void token_read(struct world *world)
{
	char path[128];
	snprintf(path, sizeof(path), "%s/admin.token", world->dir);
	FILE *file = fopen(path, "r");
	if (file == NULL || fscanf(file, "%63s", world->token) != 1) {
		sweep_fail("there is no first token in %s", path);
	}
	fclose(file);
}

static void start_once(bool strict, bool stop_failing)
{
	bool was = failing.on;

	failing.on = was && !stop_failing;
	enum err err = world_open(&other);
	failing.on = false;
	if (err == ERR_OK) {
		token_read(&other);
		(void)sweep_steps(&other, sweep_chat + 1, true);
		world_settle(&other);
		failing.on = was;
		world_close(&other);
		failing.on = false;
	} else if (strict || err == ERR_INTERNAL || err == ERR_CORRUPT || other.detail[0] == '\0') {
		sweep_fail("%sthe start failed with %s: %s", strict ? "with memory again, " : "", err_row(err)->code.at, other.detail);
	}
	failing.on = was;
}

static bool first_start_flow(struct world *world, bool strict)
{
	(void)world;
	bool was = failing.on;
	failing.on = false;
	world_init(&other);
	failing.on = was;
	start_once(strict, false);
	failing.on = false;
	/* What was begun without memory is finished with it. */
	start_once(true, false);
	world_check(&other);
	world_fini(&other);
	other.dir[0] = '\0';
	return true;
}

static void other_ready(void)
{
	if (other.dir[0] == '\0') {
		bool was = failing.on;
		failing.on = false;
		world_init(&other);
		start_once(true, false);
		failing.on = was;
	}
}

static bool start_flow(struct world *world, bool strict)
{
	(void)world;
	other_ready();
	start_once(strict, false);
	return true;
}

static bool stop_flow(struct world *world, bool strict)
{
	(void)world;
	other_ready();
	start_once(strict, true);
	return true;
}

/* ---- the library, with its threads ---- */

static void on_event(void *ctx, const char *type, const char *data, size_t data_len)
{
	(void)type;
	(void)data;
	*(size_t *)ctx += data_len;
}

static void library_said(int error, struct guild_reply *reply, bool strict, const char *what)
{
	bool fine = error == GUILD_OK && reply->status < 300;
	bool excuse = error == GUILD_ERR_MEMORY || error == GUILD_ERR_LIMIT || error == GUILD_ERR_IO;

	if (error == GUILD_OK && !fine) {
		snprintf(sweep_client.in, sizeof(sweep_client.in), "%s", reply->body);
		excuse = sweep_excused(reply->status);
	}
	if (!fine && (strict || !excuse)) {
		sweep_fail("%slibrary, %s: %s: %s", strict ? "with memory again, " : "", what, guild_error_text(error),
			error == GUILD_OK ? reply->body : "");
	}
	if (error == GUILD_OK) {
		guild_reply_free(reply);
	}
}

static void library_calls(struct guild_handle *handle, bool strict)
{
	struct guild_reply reply = {0};
	size_t bytes = 0;
	struct guild_chat chat = {.message = "hello", .user = "ada", .on_event = on_event, .ctx = &bytes};
	struct guild_request me = {.method = "GET", .target = "/v1/me", .user = "ada"};
	struct guild_request post = {.method = "POST", .target = "/v1/posts", .user = "ada", .body = "{\"content\":\"hello\"}"};

	library_said(guild_chat(handle, &chat, &reply), &reply, strict, "chat");
	library_said(guild_call(handle, &me, &reply), &reply, strict, "me");
	library_said(guild_call(handle, &post, &reply), &reply, strict, "post");
}

/* Its callers sleep, so that somebody else has to bring memory back. */
static void *healer_run(void *arg)
{
	(void)arg;
	usleep(RETURN_US);
	heal();
	return NULL;
}

static bool library_flow(struct world *world, bool strict)
{
	static const char *const settings[] = {"server.loops=2", "server.drain=1", "log.level=error", "http.rate=0", NULL};
	struct guild_options options = {.settings = settings};
	struct guild_handle *handle = NULL;
	char detail[GUILD_DETAIL_BYTES] = "";

	(void)world;
	pthread_t healer;
	bool healing = failing.on && failing.for_good && pthread_create(&healer, NULL, healer_run, NULL) == 0;
	int error = guild_open(":memory:", &options, &handle, detail);
	if (error != GUILD_OK) {
		if (strict || error == GUILD_ERR_INTERNAL || detail[0] == '\0') {
			sweep_fail("guild_open: %s: %s", guild_error_text(error), detail);
		}
	} else {
		library_calls(handle, strict);
		if (guild_close(&handle) != GUILD_OK) {
			sweep_fail("guild_close");
		}
	}
	if (healing) {
		pthread_join(healer, NULL);
	}
	return true;
}

/* ---- sweeping ---- */

static const struct flow flows[] = {
	{.name = "sign_in", .steps = sweep_sign_in},
	{.name = "chat", .steps = sweep_chat},
	{.name = "post", .steps = sweep_post},
	{.name = "feed", .steps = sweep_feed},
	{.name = "message", .steps = sweep_message},
	{.name = "resume", .steps = sweep_resume},
	{.name = "look", .steps = sweep_look},
	{.name = "socket", .run = sweep_socket},
	{.name = "between", .run = between_flow, .two_loops = true},
	{.name = "provider", .steps = sweep_chat, .provider = true},
	{.name = "tls", .steps = sweep_chat, .provider = true, .tls = true},
	{.name = "first_start", .run = first_start_flow, .alone = true, .big = true},
	{.name = "start", .run = start_flow, .alone = true, .big = true},
	{.name = "stop", .run = stop_flow, .alone = true},
	{.name = "library", .run = library_flow, .alone = true, .big = true},
};

struct plan {
	const char *flow;
	uint64_t stride, seed, at;
	bool for_good;
	char certificate[96], key[96];
};

static void flow_run(const struct flow *flow, struct world *world, bool strict)
{
	if (flow->steps != NULL) {
		(void)sweep_steps(world, flow->steps, strict);
	}
	if (flow->run != NULL) {
		(void)flow->run(world, strict);
	}
	if (!flow->alone) {
		bool was = failing.on;
		/* What still runs when the client has its answer runs without memory too. */
		world_settle(world);
		failing.on = was;
	}
}

static void try_one(const struct flow *flow, struct world *world, uint64_t at, bool for_good)
{
	snprintf(progress->label, sizeof(progress->label), "--flow %s --at %llu%s", flow->name, (unsigned long long)at,
		for_good ? " --for-good" : "");
	alarm(TRY_SECONDS);
	fail_from(at, for_good);
	flow_run(flow, world, false);
	heal();
	progress->tries++;
	if (failing.hit) {
		flow_run(flow, world, true);
	}
	alarm(0);
}

static void audit_check(struct world *world)
{
	struct audit_report report;
	if (audit_verify(writer_db(world->guild->writer), NULL, &report) != ERR_OK || report.first_bad != 0) {
		sweep_fail("the audit chain is broken at %lld", (long long)report.first_bad);
	}
}

static void world_ready(struct world *world, const struct flow *flow, const struct plan *plan)
{
	world->two_loops = flow->two_loops;
	world->ca_file = flow->tls ? plan->certificate : NULL;
	world_init(world);
	if (world_open(world) != ERR_OK) {
		sweep_fail("it does not start: %s", world->detail);
	}
	(void)sweep_steps(world, sweep_prepare, true);
	world_settle(world);
}

/* A child: all tries of a flow from progress->next on. */
static void flow_sweep(const struct flow *flow, const struct plan *plan, const char *provider)
{
	static struct world world;

	snprintf(progress->label, sizeof(progress->label), "--flow %s --at 0", flow->name);
	snprintf(world.provider, sizeof(world.provider), "%s", provider);
	if (!flow->alone) {
		world_ready(&world, flow, plan);
	}
	/* Twice: the first time makes tables and prepares statements. */
	for (int i = 0; i < 2; i++) {
		fail_from(0, false);
		flow_run(flow, &world, true);
		heal();
		progress->allocations = failing.count > progress->allocations ? failing.count : progress->allocations;
	}
	if (plan->at != 0) {
		try_one(flow, &world, plan->at, plan->for_good);
	}
	for (uint64_t n = progress->next; plan->at == 0 && n <= progress->allocations; n += plan->stride) {
		progress->next = n + plan->stride;
		try_one(flow, &world, n, false);
		try_one(flow, &world, n, true);
	}
	snprintf(progress->label, sizeof(progress->label), "--flow %s, at its end", flow->name);
	if (!flow->alone) {
		audit_check(&world);
		world_close(&world);
		world_check(&world);
		world_fini(&world);
	} else if (other.dir[0] != '\0') {
		world_check(&other);
		world_fini(&other);
	}
	progress->over = true;
}

static int flow_run_all(const struct flow *flow, const struct plan *plan, const char *provider)
{
	int failures = 0;
	int64_t begun_us = env_mono_us(env_real());

	struct plan own = *plan;
	own.stride = flow->big && plan->stride > 1 ? plan->stride * BIG_STRIDES : plan->stride;
	*progress = (struct progress){.next = 1 + plan->seed % own.stride};
	while (!progress->over && failures < FAILURES_MAX) {
		pid_t child = fork();
		int status = 0;
		if (child == 0) {
			flow_sweep(flow, &own, provider);
			exit(0); /* the leak sanitizer looks now */
		}
		if (child < 0 || waitpid(child, &status, 0) != child) {
			perror("sweep");
			return 1;
		}
		bool good = WIFEXITED(status) && WEXITSTATUS(status) == 0;
		failures += !good;
		if (!good && (progress->allocations == 0 || plan->at != 0 || progress->over)) {
			break;
		}
	}
	printf("%-12s %6llu allocations, %6llu tries, %d failed, %.1f s\n", flow->name, (unsigned long long)progress->allocations,
		(unsigned long long)progress->tries, failures, (double)(env_mono_us(env_real()) - begun_us) / 1e6);
	fflush(stdout);
	return failures;
}

static void certificate_make(const char *dir, struct plan *plan)
{
	char command[512];

	snprintf(plan->certificate, sizeof(plan->certificate), "%s/cert.pem", dir);
	snprintf(plan->key, sizeof(plan->key), "%s/key.pem", dir);
	snprintf(command, sizeof(command), "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=127.0.0.1 "
		"-addext subjectAltName=IP:127.0.0.1 -keyout %s/key.pem -out %s/cert.pem 2>/dev/null", dir, dir);
	if (system(command) != 0) {
		sweep_fail("openssl makes no certificate");
	}
}

static int plan_read(int argc, char **argv, struct plan *plan)
{
	*plan = (struct plan){.stride = 1, .seed = (uint64_t)env_wall_us(env_real()) / 1000000};
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		if (strcmp(argv[i], "--for-good") == 0) {
			plan->for_good = true;
		} else if (strcmp(argv[i], "--trace") == 0) {
			failing.trace = true;
		} else if (strcmp(argv[i], "--flow") == 0) {
			plan->flow = argv[++i];
		} else if (strcmp(argv[i], "--stride") == 0) {
			plan->stride = strtoull(value, NULL, 10);
			i++;
		} else if (strcmp(argv[i], "--seed") == 0) {
			plan->seed = strtoull(value, NULL, 10);
			i++;
		} else if (strcmp(argv[i], "--at") == 0) {
			plan->at = strtoull(value, NULL, 10);
			i++;
		} else {
			fprintf(stderr, "alloc_sweep: what is %s?\n", argv[i]);
			return 2;
		}
	}
	return plan->stride == 0 ? 2 : 0;
}

int main(int argc, char **argv)
{
	struct plan plan;
	struct world keys = {0};
	char urls[2][64];
	int failures = 0, ran = 0;

	if (plan_read(argc, argv, &plan) != 0) {
		return 2;
	}
	progress = mmap(NULL, sizeof(*progress), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	signal(SIGABRT, on_death);
	signal(SIGALRM, on_death);
	world_init(&keys);
	certificate_make(keys.dir, &plan);
	sweep_provider_start(NULL, NULL, urls[0], sizeof(urls[0]));
	sweep_provider_start(plan.certificate, plan.key, urls[1], sizeof(urls[1]));
	mem_hook_set(fail, NULL);
	hash_memory_share();
	loop_memory_share();
	db_memory_share();
	http_memory_share();
	printf("alloc_sweep: --stride %llu --seed %llu\n", (unsigned long long)plan.stride, (unsigned long long)plan.seed);
	for (size_t i = 0; i < sizeof(flows) / sizeof(flows[0]); i++) {
		if (plan.flow == NULL || strcmp(plan.flow, flows[i].name) == 0) {
			failures += flow_run_all(&flows[i], &plan, flows[i].provider ? urls[flows[i].tls] : "");
			ran++;
		}
	}
	world_fini(&keys);
	return failures > 0 || ran == 0;
}
