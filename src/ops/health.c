/* health.c - is it alive, is it ready, and its figures. */
#include "base/mem.h"
#include "base/metric.h"
#include "governance/governance.h"
#include "ops/ops_priv.h"

#define METRICS_BYTES_MAX 1048576

static bool store_degraded(void)
{
	return metric_get(METRIC_STORE_DEGRADED) != 0;
}

static struct str status_of(struct guild *guild)
{
	if (atomic_load(&guild->stopping)) {
		return STR("stopping");
	}
	return store_degraded() ? STR("degraded") : STR("ok");
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
	reply(request, ctx, 200, request->signed_in && caller_is_admin(&request->caller));
}

void health_ready_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	bool ready = !store_degraded() && !atomic_load(&guild->stopping);
	if (!ready) {
		http_reply_header(request, "Retry-After", STR("1"));
	}
	reply(request, guild, ready ? 200 : 503, request->signed_in && caller_is_admin(&request->caller));
}

void health_metrics_handle(struct http_request *request, void *ctx)
{
	struct buf text;
	(void)ctx;
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
