/* health.c - is it alive, is it ready, what is wrong, and its figures. */
#include <stdio.h>

#include "base/mem.h"
#include "base/metric.h"
#include "governance/governance.h"
#include "ops/ops_priv.h"

#define METRICS_BYTES_MAX 1048576
/* So many failures in a row are no chance. */
#define PROVIDER_FAILING_MIN 3

static bool store_degraded(void)
{
	return metric_get(METRIC_STORE_DEGRADED) != 0;
}

static bool descriptors_short(void)
{
	return metric_get(METRIC_LISTENERS_SHORT) != 0;
}

/* Times do not go back: until the clock has come to that of the newest entry, all entries have that. */
static int64_t clock_behind_s(struct guild *guild)
{
	int64_t behind_us = command_newest_us(guild->commands) - env_wall_us(guild->env);
	return behind_us > 0 ? behind_us / 1000000 : 0;
}

static struct str status_of(struct guild *guild)
{
	if (atomic_load(&guild->stopping)) {
		return STR("stopping");
	}
	return store_degraded() || descriptors_short() ? STR("degraded") : STR("ok");
}

static void problem_put(struct json_out *json, const char *what, struct str detail)
{
	json_object(json);
	json_put_str(json, STR("what"), str_of(what));
	json_put_str(json, STR("detail"), detail);
	json_object_end(json);
}

/* What is wrong now, whether it makes the server unready or not. */
static void problems_put(struct guild *guild, struct json_out *json)
{
	int64_t behind_s = clock_behind_s(guild);
	int64_t failing = metric_get(METRIC_PROVIDER_FAILING);
	char text[128];
	json_name(json, STR("problems"));
	json_array(json);
	if (store_degraded()) {
		problem_put(json, "store", STR("The store cannot commit."));
	}
	if (descriptors_short()) {
		problem_put(json, "descriptors", STR("No file descriptor is left for new connections."));
	}
	if (behind_s > 0) {
		snprintf(text, sizeof(text), "The clock is %lld s behind the newest entry.", (long long)behind_s);
		problem_put(json, "clock", str_of(text));
	}
	if (failing >= PROVIDER_FAILING_MIN) {
		snprintf(text, sizeof(text), "The last %lld requests to model providers failed.", (long long)failing);
		problem_put(json, "provider", str_of(text));
	}
	json_array_end(json);
}

static void details_put(struct guild *guild, int64_t workspace, struct json_out *json)
{
	json_put_str(json, STR("store"), store_degraded() ? STR("degraded") : STR("ok"));
	json_put_int(json, STR("loops"), guild->loop_count);
	json_put_int(json, STR("uptime_s"), (env_wall_us(guild->env) - guild->started_at_us) / 1000000);
	json_put_int(json, STR("executions_running"), metric_get(METRIC_EXECUTIONS_RUNNING));
	json_put_int(json, STR("connections"), metric_get(METRIC_CONNECTIONS));
	json_name(json, STR("governance"));
	policy_health_json(guild, workspace, json);
	problems_put(guild, json);
}

static bool is_admins(const struct http_request *request)
{
	return request->signed_in && caller_is_admin(&request->caller);
}

static void reply(struct http_request *request, struct guild *guild, int status, bool details)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 16384);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("status"), status_of(guild));
	json_put_str(&json, STR("version"), STR(GUILD_VERSION));
	if (details) {
		details_put(guild, request->caller.workspace, &json);
	}
	json_object_end(&json);
	if (buf_err(&text) == ERR_OK) {
		http_reply_header(request, "Cache-Control", STR("no-store"));
		http_reply_json(request, status, buf_str(&text));
	} else {
		http_reply_error(request, ERR_MEMORY, NULL);
	}
	buf_fini(&text);
}

void health_handle(struct http_request *request, void *ctx)
{
	reply(request, ctx, 200, is_admins(request));
}

void health_ready_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	bool ready = !store_degraded() && !descriptors_short() && !atomic_load(&guild->stopping);
	if (!ready) {
		http_reply_header(request, "Retry-After", STR("1"));
	}
	reply(request, guild, ready ? 200 : 503, is_admins(request));
}

void health_metrics_handle(struct http_request *request, void *ctx)
{
	struct buf text;
	metric_set(METRIC_CLOCK_BEHIND_SECONDS, clock_behind_s(ctx));
	metric_set(METRIC_ALLOCATIONS, (int64_t)mem_count());
	buf_init(&text, METRICS_BYTES_MAX);
	metric_render(&text);
	if (buf_err(&text) == ERR_OK) {
		http_reply_text(request, 200, STR("text/plain; version=0.0.4; charset=utf-8"), buf_str(&text));
	} else {
		http_reply_error(request, ERR_MEMORY, NULL);
	}
	buf_fini(&text);
}
