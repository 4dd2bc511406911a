/* ws_client.c - calls as messages of the guild.v1 protocol, and what comes back. */
#include "base/check.h"
#include "net.h"

static void subscribe_put(const struct sim_call *call, struct buf *out)
{
	const struct sim_listener *listener = &call->sim->listeners[call->subject];
	buf_format(out, "{\"type\":\"subscribe\",\"ref\":%llu,\"topics\":[", (unsigned long long)call->number);
	for (int i = 0; i < listener->topic_count; i++) {
		buf_format(out, "%s\"%s\"", i > 0 ? "," : "", listener->topics[i]);
	}
	buf_put_byte(out, ']');
	if (listener->from >= 0) {
		buf_format(out, ",\"after\":{\"epoch\":%lld,\"offset\":%lld}", (long long)call->sim->guild->epoch, (long long)listener->last);
	}
	buf_put_byte(out, '}');
}

bool sim_ws_message(const struct sim_call *call, struct buf *out)
{
	const struct sim_chat *chat = &call->sim->chats[call->deed == DEED_LISTEN ? 0 : call->subject];
	unsigned long long ref = call->number;
	/* The body of the request begins with the member that has another name here. */
	static const struct str agent = {"{\"agent\":", 9};
	struct str body = buf_str(&call->body);
	if (call->deed == DEED_CHAT) {
		check(str_starts(body, agent));
		buf_format(out, "{\"type\":\"chat\",\"ref\":%llu,", ref);
		if (call->key[0] != '\0') {
			buf_format(out, "\"client_id\":\"%s\",", call->key);
		}
		buf_put_str(out, STR("\"agent_id\":"));
		buf_put_str(out, str_sub(body, agent.len, body.len));
	} else if (call->deed == DEED_CANCEL) {
		buf_format(out, "{\"type\":\"cancel\",\"ref\":%llu,\"execution_id\":\"%s\"}", ref, chat->execution);
	} else if (call->deed == DEED_RESUME) {
		buf_format(out, "{\"type\":\"resume\",\"ref\":%llu,\"execution_id\":\"%s\",\"after\":\"%lld:%lld\"}", ref, chat->execution,
			(long long)call->epoch, (long long)call->seq);
	}
	if (call->deed == DEED_LISTEN) {
		subscribe_put(call, out);
	}
	return out->len > 0;
}

static int status_of(struct str code)
{
	enum err err = ERR_INTERNAL;
	return err_by_code(code, &err) ? err_row(err)->http_status : 500;
}

/* The answer to what was asked. True when that is all. */
static bool on_answer(struct sim_call *call, struct str type, struct json root)
{
	struct sim *sim = call->sim;
	bool ok = str_eq(type, STR("ok"));
	bool success = true;
	(void)json_get_bool(json_member(root, STR("success")), &success);
	if (ok && (call->deed == DEED_RESUME || call->deed == DEED_CHAT)) {
		call->status = 200;
		sim_model_run_known(call);
		return false;
	}
	call->status = ok ? 202 : str_eq(type, STR("result")) ? success ? 200 : 502 : status_of(str_of(sim_text(sim, root, "code")));
	sim_model_reply(call);
	return true;
}

bool sim_ws_heard(struct sim *sim, int actor, struct sim_call *call, struct str text, int64_t since_us)
{
	int64_t ref = -1;
	char type[32] = "";
	sim_trace(sim, "%s hears %.*s", sim->actors[actor].name, STR_FMT(str_sub(text, 0, 240)));
	hash_put(sim->hash, text.at, text.len);
	if (!sim_parse(sim, text)) {
		sim_fail(sim, "a message that is no JSON");
	}
	struct json root = json_root(&sim->doc);
	snprintf(type, sizeof(type), "%s", sim_text(sim, root, "type"));
	(void)json_get_int(json_member(root, STR("ref")), &ref);
	if (strncmp(type, "streaming:", 10) == 0) {
		return sim_model_ws_frame(sim, call, text);
	}
	bool listens = call != NULL && call->deed == DEED_LISTEN;
	if (strcmp(type, "event") == 0) {
		sim_model_ws_event(sim, actor, root, since_us);
	}
	if (listens && (ref == (int64_t)call->number ? strcmp(type, "ok") == 0 : ref < 0)) {
		sim_model_ws_listen(call, type, root);
		return false;
	}
	if (call == NULL || ref != (int64_t)call->number) {
		return false;
	}
	buf_clear(&call->answer);
	buf_put_str(&call->answer, text);
	return on_answer(call, str_of(type), root);
}
