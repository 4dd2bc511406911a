/* turn_json.c - executions, and refusals, as clients see them. */
#include "base/timefmt.h"
#include "execution/api_priv.h"
#include "wire/json.h"
#include "wire/utf8.h"

#define SUMMARY_CODE_POINTS 200

static void put_time(struct json_out *json, struct str name, int64_t us)
{
	if (us == 0) {
		json_put_null(json, name);
	} else {
		struct time_text text = time_format(us);
		json_put_str(json, name, time_str(&text));
	}
}

static void put_id(struct guild *guild, struct json_out *json, struct str name, enum id_kind kind, int64_t key)
{
	if (key == 0) {
		json_put_null(json, name);
	} else {
		struct id_text text = id_format(&guild->id_secret, kind, key);
		json_put_str(json, name, id_str(&text));
	}
}

static struct str summary(struct str text)
{
	return text.at != NULL ? utf8_prefix(text, SUMMARY_CODE_POINTS) : STR_NONE;
}

void turn_json(struct guild *guild, const struct turn *turn, struct json_out *json)
{
	bool completed = turn->status == EXECUTION_COMPLETED;
	json_object(json);
	put_id(guild, json, STR("id"), ID_EXECUTION, turn->id);
	put_id(guild, json, STR("agent_id"), ID_AGENT, turn->agent);
	json_put_str(json, STR("agent_name"), turn->agent_name);
	put_id(guild, json, STR("user_id"), ID_PRINCIPAL, turn->owner);
	put_id(guild, json, STR("workspace_id"), ID_WORKSPACE, turn->workspace);
	put_id(guild, json, STR("session_id"), ID_SESSION, turn->session);
	json_put_str(json, STR("action"), turn->action);
	json_put_str(json, STR("status"), execution_status_word(turn->status));
	json_put_str(json, STR("triggered_by"), execution_trigger_word(turn->triggered_by));
	json_put_str(json, STR("input_summary"), summary(turn->message));
	json_put_str_or_null(json, STR("result_summary"), completed ? summary(turn->answer) : STR_NONE);
	put_time(json, STR("started_at"), turn->started_at_us);
	put_time(json, STR("end_time"), turn->ended_at_us);
	if (turn->ended_at_us != 0) {
		json_put_int(json, STR("duration_ms"), turn->duration_ms);
	} else {
		json_put_null(json, STR("duration_ms"));
	}
	json_put_str_or_null(json, STR("error_code"), turn->error_code);
	json_put_str_or_null(json, STR("error_message"), turn->error_message);
	json_put_str_or_null(json, STR("provider"), turn->provider.len != 0 ? turn->provider : STR_NONE);
	json_put_str_or_null(json, STR("model"), turn->model.len != 0 ? turn->model : STR_NONE);
	json_name(json, STR("tokens"));
	json_object(json);
	json_put_int(json, STR("in"), turn->tokens_in);
	json_put_int(json, STR("out"), turn->tokens_out);
	json_put_bool(json, STR("estimated"), turn->estimated);
	json_object_end(json);
	json_put_int(json, STR("cost_micro"), turn->cost_micro);
	json_put_bool(json, STR("cost_unknown"), turn->cost_unknown);
	json_put_int(json, STR("epoch"), turn->epoch);
	json_put_int(json, STR("seq_last"), turn->seq_last);
	json_put_str_or_null(json, STR("partial_response"), !completed && turn->answer.at != NULL ? turn->answer : STR_NONE);
	json_put_bool(json, STR("truncated"), turn->truncated);
	json_put_raw(json, STR("metadata"), turn->metadata);
	json_object_end(json);
}

static struct str entry_text(struct json entry, struct str name)
{
	struct str text;
	return json_get_str(json_member(entry, name), &text) ? text : STR_NONE;
}

void turn_refusal_json(struct guild *guild, const struct log_row *row, struct json_out *json)
{
	struct arena arena;
	struct json_doc doc;
	struct json entry = {NULL, 0};
	int64_t duration_ms = 1;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	if (row->entry.at != NULL && json_parse(&arena, row->entry, &doc, NULL) == ERR_OK) {
		entry = json_root(&doc);
	}
	(void)json_get_int(json_member(entry, STR("duration_ms")), &duration_ms);
	struct id_text audit = id_format_log(&guild->id_secret, ID_AUDIT, row->time_us, row->seq);
	json_object(json);
	json_put_null(json, STR("id"));
	put_id(guild, json, STR("agent_id"), ID_AGENT, row->agent);
	json_put_str_or_null(json, STR("agent_name"), entry_text(entry, STR("agent_name")));
	put_id(guild, json, STR("user_id"), ID_PRINCIPAL, row->principal);
	put_id(guild, json, STR("workspace_id"), ID_WORKSPACE, row->workspace);
	json_put_str_or_null(json, STR("session_id"), entry_text(entry, STR("session_id")));
	json_put_str(json, STR("action"), row->action);
	json_put_str(json, STR("status"), STR("failed"));
	json_put_null(json, STR("triggered_by"));
	json_put_null(json, STR("input_summary"));
	json_put_null(json, STR("result_summary"));
	json_put_str_or_null(json, STR("started_at"), entry_text(entry, STR("start")));
	json_put_str_or_null(json, STR("end_time"), entry_text(entry, STR("end")));
	json_put_int(json, STR("duration_ms"), duration_ms);
	json_put_str_or_null(json, STR("error_code"), entry_text(entry, STR("code")));
	json_put_str_or_null(json, STR("error_message"), entry_text(entry, STR("error_message")));
	json_put_null(json, STR("provider"));
	json_put_null(json, STR("model"));
	json_put_null(json, STR("partial_response"));
	json_put_str(json, STR("audit_id"), id_str(&audit));
	json_object_end(json);
	arena_fini(&arena);
}
