/* chat_result.c - the wire object of how a run, or a refusal, ended. */
#include "execution/execution.h"
#include "wire/json.h"

/* Without success, execution_id, code and audit_id, which a problem document has of its own. */
static void result_body(const struct chat_result *result, struct json_out *out)
{
	if (result->success || result->execution_id.at != NULL) {
		json_put_str(out, STR("response"), result->response);
	}
	json_put_str_or_null(out, STR("agent_id"), result->agent_id);
	json_put_str_or_null(out, STR("agent_name"), result->agent_name);
	json_put_str_or_null(out, STR("message_id"), result->message_id);
	json_put_str_or_null(out, STR("session_id"), result->session_id);
	if (result->resolution_path.at != NULL) {
		json_put_raw(out, STR("resolution_path"), result->resolution_path);
	}
	json_name(out, STR("tokens"));
	json_object(out);
	json_put_int(out, STR("in"), result->tokens_in);
	json_put_int(out, STR("out"), result->tokens_out);
	json_put_bool(out, STR("estimated"), result->estimated);
	json_object_end(out);
	json_put_str_or_null(out, STR("provider"), result->provider);
	json_put_str_or_null(out, STR("model"), result->model);
	json_put_int(out, STR("cost_micro"), result->cost_micro);
	json_put_bool(out, STR("cost_unknown"), result->cost_unknown);
	if (!result->success) {
		json_put_str(out, STR("error"), result->error);
		json_put_bool(out, STR("retryable"), err_row(result->err)->retryable);
		json_put_str_or_null(out, STR("reason"), result->reason);
	}
}

void chat_result_members(const struct chat_result *result, struct json_out *out)
{
	json_put_bool(out, STR("success"), result->success);
	json_put_str_or_null(out, STR("execution_id"), result->execution_id);
	result_body(result, out);
	if (!result->success) {
		json_put_str(out, STR("code"), err_row(result->err)->code);
		json_put_str_or_null(out, STR("audit_id"), result->audit_id);
	}
}

void chat_result_json(const struct chat_result *result, struct json_out *out)
{
	json_object(out);
	chat_result_members(result, out);
	json_object_end(out);
}

void chat_result_problem(const struct chat_result *result, struct json_out *out)
{
	json_object(out);
	json_put_bool(out, STR("success"), false);
	result_body(result, out);
	json_object_end(out);
}
