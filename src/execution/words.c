/* words.c - the words of states and triggers, the wire object of a result, and cold logs. */
#include "execution/execution_priv.h"
#include "wire/json.h"

static const char *const status_words[] = {"", "queued", "running", "completed", "failed", "cancelled", "timed_out", "interrupted"};
static const char *const trigger_words[] = {"", "chat", "websocket", "openai", "api", "cli", "library", "mention", "schedule"};

struct str execution_status_word(int status)
{
	return str_of(status >= 1 && status <= EXECUTION_INTERRUPTED ? status_words[status] : "");
}

bool execution_status_parse(struct str word, int *out)
{
	for (int i = 1; i <= EXECUTION_INTERRUPTED; i++) {
		if (str_eq_case(word, str_of(status_words[i]))) {
			*out = i;
			return true;
		}
	}
	return false;
}

struct str execution_trigger_word(int trigger)
{
	return str_of(trigger >= 1 && trigger <= TRIGGER_SCHEDULE ? trigger_words[trigger] : "");
}

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

enum err turn_log(struct guild *guild, struct arena *arena, const struct turn *turn, struct stream_log *out)
{
	struct id_text ids[4] = {id_format(&guild->id_secret, ID_EXECUTION, turn->id), id_format(&guild->id_secret, ID_ASSISTANT_MESSAGE, turn->id),
				 id_format(&guild->id_secret, ID_SESSION, turn->session), id_format(&guild->id_secret, ID_AGENT, turn->agent)};
	struct str texts[4];
	for (int i = 0; i < 4; i++) {
		texts[i] = arena_copy(arena, id_str(&ids[i]));
		if (texts[i].at == NULL) {
			return ERR_LIMIT;
		}
	}
	stream_log_init(out, LIMIT_ANSWER_BYTES);
	out->ids = (struct stream_ids){texts[0], texts[1], texts[2], texts[3], turn->agent_name, turn->provider, turn->model};
	out->epoch = turn->epoch;
	out->started = turn->status > EXECUTION_RUNNING && turn->seq_last > 1;
	enum err err = turn->answer.at != NULL && turn->delta_lens.at != NULL ? stream_log_restore(out, turn->answer, turn->delta_lens) : ERR_OK;
	if (err != ERR_OK || turn->status <= EXECUTION_RUNNING) {
		return err;
	}
	struct stream_end *end = &out->end;
	*end = (struct stream_end){.completed = turn->status == EXECUTION_COMPLETED,
				   .error = turn->error_message,
				   .finish_reason = turn->finish_reason.at != NULL ? turn->finish_reason : STR("stop"),
				   .truncated = turn->truncated,
				   .tokens_in = turn->tokens_in,
				   .tokens_out = turn->tokens_out,
				   .cost_micro = turn->cost_micro,
				   .estimated = turn->estimated,
				   .cost_unknown = turn->cost_unknown};
	if (!end->completed && !(turn->error_code.at != NULL && err_by_code(turn->error_code, &end->err))) {
		end->err = ERR_INTERNAL;
	}
	if (turn->status == EXECUTION_INTERRUPTED) {
		end->last_durable_seq = 1 + (int64_t)out->count;
	}
	uint8_t digest[HASH_SHA256_BYTES];
	hash_sha256(stream_log_text(out, 0), digest);
	hash_hex(digest, sizeof(digest), end->text_sha256);
	out->ended = true;
	return ERR_OK;
}
