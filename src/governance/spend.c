/* spend.c - what a month came to: by day, agent, user and model. */
#include "governance/ledger_priv.h"
#include "identity/identity.h"

struct spend {
	struct query query; /* first */
	struct spend_range range;
	int64_t month;
	struct str zone_name;
	const struct zone *zone;
	/* in run */
	struct spend_row total, day;
	int64_t day_now;
	bool day_open;
};

static void sums_put(struct json_out *json, const struct spend_row *row)
{
	json_put_int(json, STR("cost_micro"), row->cost);
	json_put_int(json, STR("cost_unknown_micro"), row->cost_unknown);
	json_put_int(json, STR("runs"), row->runs);
	json_put_int(json, STR("tokens_in"), row->tokens_in);
	json_put_int(json, STR("tokens_out"), row->tokens_out);
}

static void sums_add(struct spend_row *to, const struct spend_row *from)
{
	to->cost += from->cost;
	to->cost_unknown += from->cost_unknown;
	to->runs += from->runs;
	to->tokens_in += from->tokens_in;
	to->tokens_out += from->tokens_out;
}

static void day_close(struct spend *spend)
{
	struct json_out *json = &spend->query.json;
	if (spend->day_open) {
		struct zone_text text = zone_day_text(spend->day_now);
		json_object(json);
		json_put_str(json, STR("day"), str_of(text.text));
		sums_put(json, &spend->day);
		json_object_end(json);
	}
	spend->day_open = false;
	spend->day = (struct spend_row){0};
}

static enum err quarter_row(const struct spend_row *row, void *arg)
{
	struct spend *spend = arg;
	int64_t day = zone_day(spend->zone, row->quarter * QUARTER_US);
	if (spend->day_open && day != spend->day_now) {
		day_close(spend);
	}
	spend->day_open = true;
	spend->day_now = day;
	sums_add(&spend->day, row);
	sums_add(&spend->total, row);
	return ERR_OK;
}

static void id_put(struct spend *spend, struct str name, enum id_kind kind, int64_t key)
{
	struct id_text id = id_format(&spend->query.guild->id_secret, kind, key);
	json_put_str(&spend->query.json, name, id_str(&id));
}

static enum err agent_row(const struct spend_row *row, void *arg)
{
	struct spend *spend = arg;
	const struct agent *agent = registry_get(spend->query.guild->registry, row->agent);
	json_object(&spend->query.json);
	id_put(spend, STR("agent_id"), ID_AGENT, row->agent);
	json_put_str_or_null(&spend->query.json, STR("name"), agent != NULL ? agent->name : STR_NONE);
	sums_put(&spend->query.json, row);
	json_object_end(&spend->query.json);
	return ERR_OK;
}

static enum err user_row(const struct spend_row *row, void *arg)
{
	struct spend *spend = arg;
	const struct principal *user = identity_principal(spend->query.guild->identity, row->owner);
	json_object(&spend->query.json);
	id_put(spend, STR("user_id"), ID_PRINCIPAL, row->owner);
	json_put_str_or_null(&spend->query.json, STR("name"), user != NULL ? user->name : STR_NONE);
	sums_put(&spend->query.json, row);
	json_object_end(&spend->query.json);
	return ERR_OK;
}

static enum err model_row(const struct spend_row *row, void *arg)
{
	struct spend *spend = arg;
	json_object(&spend->query.json);
	json_put_str(&spend->query.json, STR("provider"), row->provider);
	json_put_str(&spend->query.json, STR("model"), row->model);
	sums_put(&spend->query.json, row);
	json_object_end(&spend->query.json);
	return ERR_OK;
}

static enum err part(struct spend *spend, struct db *db, struct str name, enum spend_by by, spend_row_fn *fn)
{
	json_name(&spend->query.json, name);
	json_array(&spend->query.json);
	enum err err = spend_rows(db, &spend->range, by, fn, spend);
	day_close(spend);
	json_array_end(&spend->query.json);
	return err;
}

static enum err spend_run(struct query *query, struct db *db)
{
	struct spend *spend = (struct spend *)query;
	struct zone_text month = zone_month_text(spend->month);
	json_object(&query->json);
	json_put_str(&query->json, STR("month"), str_of(month.text));
	json_put_str(&query->json, STR("time_zone"), spend->zone_name);
	enum err err = part(spend, db, STR("days"), SPEND_BY_QUARTER, quarter_row);
	err = err == ERR_OK ? part(spend, db, STR("agents"), SPEND_BY_AGENT, agent_row) : err;
	err = err == ERR_OK ? part(spend, db, STR("users"), SPEND_BY_USER, user_row) : err;
	err = err == ERR_OK ? part(spend, db, STR("models"), SPEND_BY_MODEL, model_row) : err;
	json_name(&query->json, STR("total"));
	json_object(&query->json);
	sums_put(&query->json, &spend->total);
	json_object_end(&query->json);
	json_object_end(&query->json);
	return err;
}

void spend_start(struct guild *guild, struct http_request *request, const struct spend_range *range, int64_t month, struct str zone_name,
		 const struct zone *zone)
{
	struct spend *spend = query_new(guild, request, sizeof(*spend));
	if (spend != NULL) {
		spend->range = *range;
		spend->month = month;
		spend->zone_name = zone_name;
		spend->zone = zone;
		query_submit(&spend->query, spend_run);
	}
}
