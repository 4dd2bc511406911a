/* provider.c - a provider by the seed: whole answers, slow ones, cuts, refusals, silence, streams without end. */
#include <stdlib.h>

#include "base/check.h"
#include "sim.h"

enum script { SCRIPT_WHOLE, SCRIPT_CUT, SCRIPT_REFUSES, SCRIPT_SILENT, SCRIPT_ENDLESS };

struct sim_provider {
	struct sim *sim;
	struct provider provider;
	struct list open;
	size_t count;
};

struct provider_call {
	struct list link;
	struct sim_provider *of;
	struct loop *loop;
	struct loop_timer timer;
	struct provider_sink sink;
	struct sim_random random;
	enum script script;
	int left;        /* deltas */
	uint32_t pause_us;
	bool cancelled;
};

static const char *const words[] = {"alpha ", "beta ", "\xce\xb3\xce\xac\xce\xbc\xce\xb1 ", "\"quoted\" ", "back\\slash ",
	"\xf0\x9f\x91\x8d", "line\n",
	"a longer piece of text that is one delta all the same, "};

static void end(struct provider_call *call, enum err err)
{
	struct provider_result result = {.err = err, .finish_reason = STR("stop"), .log_reason = err == ERR_OK ? "ok" : "cut", .model = STR("sim")};
	struct provider_sink sink = call->sink;
	list_remove(&call->link);
	call->of->count--;
	loop_timer_clear(call->loop, &call->timer);
	free(call);
	sink.done(sink.ctx, &result);
}

static void due(struct loop_timer *timer, struct loop *loop)
{
	struct provider_call *call = container_of(timer, struct provider_call, timer);
	if (call->cancelled) {
		end(call, ERR_CANCELLED);
		return;
	}
	if (call->script == SCRIPT_SILENT) {
		end(call, ERR_PROVIDER_TIMEOUT);
		return;
	}
	for (uint32_t n = 1 + sim_draw(&call->random, 3); n > 0 && call->left > 0 && !call->cancelled; n--) {
		call->left -= call->script != SCRIPT_ENDLESS;
		call->sink.delta(call->sink.ctx, str_of(words[sim_draw(&call->random, sizeof(words) / sizeof(words[0]))]));
	}
	if (call->cancelled) {
		return;
	}
	if (call->left <= 0) {
		end(call, call->script == SCRIPT_WHOLE ? ERR_OK : ERR_PROVIDER_FAILED);
		return;
	}
	check(loop_timer_set(loop, timer, loop_now_us(loop) + 1 + sim_draw(&call->random, call->pause_us)) == ERR_OK);
}

static enum err start(void *self, struct loop *loop, const struct provider_request *request, const struct provider_sink *sink,
	struct provider_call **out)
{
	struct sim_provider *provider = self;
	struct sim_random *random = &provider->sim->answers;
	(void)request;
	if (sim_chance(random, 3)) {
		return ERR_OVERLOADED;
	}
	struct provider_call *call = calloc(1, sizeof(*call));
	check(call != NULL);
	uint32_t kind = sim_draw(random, 100);
	*call = (struct provider_call){.of = provider, .loop = loop, .timer = {.run = due}, .sink = *sink, .random = {sim_random_next(random)},
		.script = kind < 72 ? SCRIPT_WHOLE : kind < 82 ? SCRIPT_CUT : kind < 87 ? SCRIPT_REFUSES : kind < 94 ? SCRIPT_SILENT : SCRIPT_ENDLESS,
		.left = (int)sim_draw(random, 40), .pause_us = 100U << sim_draw(random, 12)};
	call->left = call->script == SCRIPT_REFUSES ? 0 : call->left + 1;
	call->pause_us = call->script == SCRIPT_ENDLESS ? 2000000 : call->pause_us;
	int64_t first_us = call->script == SCRIPT_SILENT ? 60000000 : (int64_t)sim_draw(random, call->pause_us);
	list_init(&call->link);
	list_push(&provider->open, &call->link);
	provider->count++;
	check(loop_timer_set(loop, &call->timer, loop_now_us(loop) + 1 + first_us) == ERR_OK);
	*out = call;
	return ERR_OK;
}

static void cancel(struct provider_call *call)
{
	call->cancelled = true;
	check(loop_timer_set(call->loop, &call->timer, loop_now_us(call->loop) + 1) == ERR_OK);
}

static struct str default_model(void *self, char *out, size_t cap)
{
	(void)self;
	return str_of(str_to_z(STR("sim"), out, cap));
}

struct sim_provider *sim_provider_create(struct sim *sim)
{
	static const struct provider_driver driver = {"builtin", start, cancel, default_model};
	struct sim_provider *provider = calloc(1, sizeof(*provider));
	check(provider != NULL);
	provider->sim = sim;
	provider->provider = (struct provider){&driver, provider, STR("builtin")};
	list_init(&provider->open);
	return provider;
}

struct provider *sim_provider_get(struct sim_provider *provider)
{
	return &provider->provider;
}

size_t sim_provider_open(const struct sim_provider *provider)
{
	return provider->count;
}

void sim_provider_destroy(struct sim_provider **provider)
{
	struct list *node;
	while ((node = list_pop(&(*provider)->open)) != NULL) {
		free(container_of(node, struct provider_call, link));
	}
	free(*provider);
	*provider = NULL;
}
