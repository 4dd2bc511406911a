/* socket_chat.c - runs that one client starts and cancels; their streams come over its topics. */
#include "base/check.h"
#include "ops/socket_priv.h"

/* Waits for a run: until it is recorded, or to its end when no stream was wanted. */
struct chat_operation {
	struct operation operation; /* first */
	bool stream, recorded, has_idem;
	struct idem idem;
};

struct cancel_operation {
	struct operation operation; /* first */
	struct cancel_request cancel;
};

static bool chat_read(struct message *message, struct chat_request *chat);
static void chat_recorded(void *ctx, int64_t execution, int64_t session, bool queued);
static void chat_ended(void *ctx, const struct chat_result *result);
static void cancel_answered(struct cancel_request *cancel);

static struct str text_of(const struct message *message, struct str name)
{
	struct str text;
	return json_get_str(json_member(message->body, name), &text) ? text : STR_NONE;
}

void socket_chat_message(struct message *message)
{
	struct client *client = message->client;
	struct chat_request chat = {.caller = *websocket_caller(client->socket),
				    .trigger = TRIGGER_WEBSOCKET,
				    .stream = true,
				    .trace_id = str_of(client->request_id)};
	if (!chat_read(message, &chat)) {
		return;
	}
	struct chat_operation *wait = socket_operation_new(message, sizeof(*wait));
	if (wait == NULL) {
		return;
	}
	wait->stream = chat.stream;
	wait->has_idem = socket_idem_make(message, "chat", &wait->idem);
	if (wait->has_idem) {
		wait->idem.done_only = true;
		chat.idem = &wait->idem;
		chat.look_first = true;
	}
	struct chat_listener listener = {chat_recorded, chat_ended, wait};
	enum err err = execution_start(client->guild->engine, client->feed.loop, &chat, &listener);
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, NULL);
		socket_operation_free(&wait->operation);
	}
}

/* [{role, content}]: turns of user and assistant. */
static bool history_read(struct message *message, struct chat_request *chat)
{
	struct json list = json_member(message->body, STR("history"));
	struct json_iter iter = json_iter(list);
	struct json turn;
	if (json_kind(list) != JSON_ARRAY) {
		return true;
	}
	struct session_message *turns = arena_array(message->arena, struct session_message, json_size(list) + 1);
	if (turns == NULL) {
		socket_answer_error(message->client, message->ref, ERR_OVERLOADED, NULL);
		return false;
	}
	while (json_next(&iter, NULL, &turn)) {
		struct str role = STR(""), content = STR("");
		bool told = json_kind(turn) == JSON_OBJECT && json_size(turn) == 2 && json_get_str(json_member(turn, STR("role")), &role) &&
			    json_get_str(json_member(turn, STR("content")), &content);
		bool from_user = str_eq(role, STR("user"));
		if (!told || !(from_user || str_eq(role, STR("assistant")))) {
			socket_answer_error(message->client, message->ref, ERR_INVALID,
				     "/history: Turns are {\"role\": \"user\" or \"assistant\", \"content\": text}.");
			return false;
		}
		turns[chat->history_count++] = (struct session_message){.from_user = from_user, .content = content};
	}
	chat->history = turns;
	return true;
}

static bool chat_read(struct message *message, struct chat_request *chat)
{
	static const struct {
		struct str word;
		enum on_busy busy;
	} words[] = {{{"enqueue", 7}, BUSY_ENQUEUE}, {{"reject", 6}, BUSY_REJECT}, {{"interrupt", 9}, BUSY_INTERRUPT},
		     {{"rollback", 8}, BUSY_ROLLBACK}};
	chat->agent = text_of(message, STR("agent_id"));
	chat->message = text_of(message, STR("message"));
	chat->session_id = text_of(message, STR("session_id"));
	chat->parent = text_of(message, STR("parent_execution_id"));
	chat->after = json_member(message->body, STR("after"));
	struct str priority = text_of(message, STR("priority"));
	if (priority.at != NULL) {
		(void)execution_priority_parse(priority, &chat->priority);
	}
	(void)json_get_bool(json_member(message->body, STR("stream")), &chat->stream);
	(void)json_get_bool(json_member(message->body, STR("strict")), &chat->strict);
	int64_t wait_ms = 0;
	(void)json_get_int(json_member(message->body, STR("wait_ms")), &wait_ms);
	chat->wait_us = wait_ms * 1000;
	struct str busy = text_of(message, STR("on_busy"));
	for (size_t i = 0; busy.at != NULL && i < sizeof(words) / sizeof(words[0]); i++) {
		if (str_eq_case(busy, words[i].word)) {
			chat->on_busy = words[i].busy;
		}
	}
	if (chat->message.len > LIMIT_MESSAGE_BYTES) {
		socket_answer_error(message->client, message->ref, ERR_TOO_LARGE, "/message: 262144 bytes are the most.");
		return false;
	}
	return history_read(message, chat);
}

/* Answered before the first frame of the stream goes out. */
static void chat_recorded(void *ctx, int64_t execution, int64_t session, bool queued)
{
	struct chat_operation *wait = ctx;
	struct client *client = wait->operation.client;
	wait->recorded = true;
	if (client == NULL) {
		return;
	}
	struct id_text execution_id = id_format(&client->guild->id_secret, ID_EXECUTION, execution);
	struct id_text session_id = id_format(&client->guild->id_secret, ID_SESSION, session);
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), socket_operation_ref(&wait->operation));
	json_put_str(&answer.json, STR("execution_id"), id_str(&execution_id));
	json_put_str_or_null(&answer.json, STR("session_id"), session != 0 ? id_str(&session_id) : STR_NONE);
	json_put_bool(&answer.json, STR("queued"), queued);
	socket_answer_end(&answer);
}

static void refused(struct client *client, struct str ref, const struct chat_result *result)
{
	const struct err_row *row = err_row(err_public(result->err));
	struct answer answer;
	socket_answer_begin(&answer, client, STR("error"), ref);
	json_put_str(&answer.json, STR("code"), row->code);
	json_put_str(&answer.json, STR("detail"), result->reason.at != NULL ? result->reason : result->error.at != NULL ? result->error : row->text);
	json_put_str_or_null(&answer.json, STR("rule_id"), result->rule_id);
	json_put_str_or_null(&answer.json, STR("audit_id"), result->audit_id);
	socket_answer_end(&answer);
}

static void chat_ended(void *ctx, const struct chat_result *result)
{
	struct chat_operation *wait = ctx;
	struct client *client = wait->operation.client;
	if (client != NULL && !wait->recorded && wait->has_idem && result->err == ERR_REPEATED) {
		socket_chat_again(client, socket_operation_ref(&wait->operation), &wait->idem, wait->stream);
	} else if (client != NULL && !wait->recorded) {
		refused(client, socket_operation_ref(&wait->operation), result);
	} else if (client != NULL && !wait->stream) {
		struct answer answer;
		socket_answer_begin(&answer, client, STR("result"), socket_operation_ref(&wait->operation));
		chat_result_members(result, &answer.json);
		socket_answer_end(&answer);
	}
	socket_operation_free(&wait->operation);
}

/* ---- cancel ---- */

void socket_cancel_message(struct message *message)
{
	struct client *client = message->client;
	struct cancel_operation *wait;
	int64_t execution;
	if (id_parse(&client->guild->id_secret, ID_EXECUTION, text_of(message, STR("execution_id")), &execution) != ERR_OK) {
		socket_answer_error(client, message->ref, ERR_NOT_FOUND, NULL);
		return;
	}
	wait = socket_operation_new(message, sizeof(*wait));
	if (wait == NULL) {
		return;
	}
	wait->cancel.home = client->feed.loop;
	wait->cancel.id = execution;
	wait->cancel.caller = *websocket_caller(client->socket);
	wait->cancel.answer = cancel_answered;
	execution_cancel(client->guild->engine, &wait->cancel);
}

static void cancel_answered(struct cancel_request *cancel)
{
	struct cancel_operation *wait = container_of(cancel, struct cancel_operation, cancel);
	struct client *client = wait->operation.client;
	if (client != NULL && cancel->result == ERR_OK) {
		socket_answer_ok(client, socket_operation_ref(&wait->operation));
	} else if (client != NULL) {
		socket_answer_error(client, socket_operation_ref(&wait->operation), cancel->result, NULL);
	}
	socket_operation_free(&wait->operation);
}
