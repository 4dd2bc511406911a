/*
 * socket.c - GET /v1/ws: who is at the other end, and what each message asks.
 *
 * A message is checked against its row: is it known, does it need sign-in, which role, which members. One that fails gets an error
 * answer and the socket stays open; only a sign-in that fails closes it.
 */
#include "ops/socket_priv.h"

#include "base/check.h"
#include "base/mem.h"

enum {
	MESSAGES_PER_S = 1000,
	MESSAGES_BURST = 2000,
	OPERATIONS_MAX = MESSAGES_BURST + 48, /* what one burst may ask of other loops */
	REF_BYTES_MAX = 128,
	ANSWER_BYTES_MAX = 8 * LIMIT_ANSWER_BYTES,
	CLOSE_NOT_SIGNED_IN = 4001,
};

static void on_message(struct websocket *socket, struct str text, void *owner);
static void on_drained(struct websocket *socket, void *owner);
static void on_closed(struct websocket *socket, void *owner);
static void message_parse(struct client *client, struct arena *arena, struct str text);
static void message_dispatch(struct message *message);
static void auth_message(struct message *message);
static void ping_message(struct message *message);
static void stats_message(struct message *message);

static const struct websocket_handler handler = {on_message, on_drained, on_closed};

/* ---- rows ---- */

#define MEMBERS_OF_ALL \
	{"type", HTTP_STRING, true, 1, 64, NULL, "what is asked"}, \
	{"ref", HTTP_ANY, false, 0, 0, NULL, "comes back with the answer"}

#define MEMBER_CLIENT_ID \
	{"client_id", HTTP_STRING, false, 1, LIMIT_CLIENT_ID_CHARS, NULL, "sent again with the same one, it is done once"}

static const char *const busy_words[] = {"enqueue", "reject", "interrupt", "rollback", NULL};
static const char *const priority_words[] = {"low", "medium", "high", "urgent", NULL};

static const struct http_member plain_members[] = {MEMBERS_OF_ALL, {.name = NULL}};
static const struct http_member auth_members[] = {
	MEMBERS_OF_ALL,
	{"token", HTTP_STRING, true, 1, 512, NULL, "bearer token"},
	{.name = NULL},
};
static const struct http_member subscribe_members[] = {
	MEMBERS_OF_ALL,
	{"topics", HTTP_ARRAY, true, 1, 256, NULL, "names of topics"},
	{"after", HTTP_ANY, false, 0, 0, NULL, "newest offset seen, or {epoch, offset}"},
	{.name = NULL},
};
static const struct http_member unsubscribe_members[] = {
	MEMBERS_OF_ALL,
	{"topics", HTTP_ARRAY, true, 1, 256, NULL, "names of topics"},
	{.name = NULL},
};
static const struct http_member publish_members[] = {
	MEMBERS_OF_ALL,
	{"topics", HTTP_ARRAY, true, 1, LIMIT_TOPICS_EVENT, NULL, "names of topics"},
	{"event", HTTP_OBJECT, true, 0, 0, NULL, "{type, data}"},
	MEMBER_CLIENT_ID,
	{.name = NULL},
};
static const struct http_member chat_members[] = {
	MEMBERS_OF_ALL,
	{"agent_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "id or handle"},
	{"message", HTTP_STRING, true, 1, LIMIT_MESSAGE_BYTES, NULL, "what to say"},
	{"session_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "conversation to go on with"},
	{"history", HTTP_ARRAY, false, 0, LIMIT_HISTORY_MESSAGES, NULL, "instead of the stored one: [{role, content}]"},
	{"stream", HTTP_BOOL, false, 0, 0, NULL, "false: only the result comes"},
	{"on_busy", HTTP_STRING, false, 0, 0, busy_words, "when the session is answering"},
	{"priority", HTTP_STRING, false, 0, 0, priority_words, "among runs that wait for a place"},
	{"after", HTTP_ARRAY, false, 0, LIMIT_RUN_AFTER, NULL, "ids of runs that have to complete first"},
	{"parent_execution_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "the running run that this one works for"},
	{"strict", HTTP_BOOL, false, 0, 0, NULL, "an unknown agent is an error"},
	{"wait_ms", HTTP_INT, false, 0, 600000, NULL, "how long an external agent may take to connect"},
	MEMBER_CLIENT_ID,
	{.name = NULL},
};
static const struct http_member cancel_members[] = {
	MEMBERS_OF_ALL,
	{"execution_id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "the run"},
	{.name = NULL},
};
static const struct http_member decide_members[] = {
	MEMBERS_OF_ALL,
	{"agent_id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "id or handle"},
	{"action", HTTP_STRING, true, 1, 128, NULL, "what the agent would do"},
	{"arguments", HTTP_OBJECT, false, 0, 0, NULL, "what it would do it with"},
	{"require_approval", HTTP_BOOL, false, 0, 0, NULL, "ask for a human's approval whatever the level"},
	{.name = NULL},
};
static const struct http_member enforce_members[] = {
	MEMBERS_OF_ALL,
	{"agent_id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "id or handle"},
	{"action", HTTP_STRING, true, 1, 128, NULL, "what the agent is about to do"},
	{"arguments", HTTP_OBJECT, false, 0, 0, NULL, "what it does it with; {} when absent"},
	{"approval_id", HTTP_STRING, false, 1, LIMIT_ID_BYTES, NULL, "the approval of exactly this, which is used up"},
	{"require_approval", HTTP_BOOL, false, 0, 0, NULL, "ask for a human's approval whatever the level"},
	{"reason", HTTP_STRING, false, 1, 1000, NULL, "why, for the human"},
	{"priority", HTTP_STRING, false, 0, 0, priority_words, "how urgent the approval is"},
	MEMBER_CLIENT_ID,
	{.name = NULL},
};
static const struct http_member resume_members[] = {
	MEMBERS_OF_ALL,
	{"execution_id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "the run"},
	{"after", HTTP_ANY, true, 0, 0, NULL, "last number seen, or \"epoch:seq\""},
	{.name = NULL},
};

static const struct http_member chat_delta_members[] = {
	MEMBERS_OF_ALL,
	{"execution_id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "the run that is answered"},
	{"delta", HTTP_STRING, true, 0, LIMIT_ANSWER_BYTES, NULL, "more of the answer"},
	{.name = NULL},
};
static const struct http_member chat_end_members[] = {
	MEMBERS_OF_ALL,
	{"execution_id", HTTP_STRING, true, 1, LIMIT_ID_BYTES, NULL, "the run that is answered"},
	{"finish_reason", HTTP_STRING, false, 1, 31, NULL, "stop when absent"},
	{"usage", HTTP_OBJECT, false, 0, 0, NULL, "{tokens_in, tokens_out}"},
	{"error", HTTP_STRING, false, 1, 1000, NULL, "the agent could not answer; the text goes to nobody"},
	{.name = NULL},
};

const struct socket_row socket_rows[] = {
	{"auth", true, true, ROLE_VIEWER, SCOPE_OPEN, auth_members, auth_message},
	{"auth.refresh", false, true, ROLE_VIEWER, SCOPE_SIGNED_IN, auth_members, auth_message},
	{"subscribe", false, true, ROLE_VIEWER, SCOPE_EVENTS_READ, subscribe_members, socket_subscribe_message},
	{"unsubscribe", false, true, ROLE_VIEWER, SCOPE_SIGNED_IN, unsubscribe_members, socket_unsubscribe_message},
	{"publish", false, true, ROLE_MEMBER, SCOPE_EVENTS_PUBLISH, publish_members, socket_publish_message},
	{"chat", false, false, ROLE_MEMBER, SCOPE_CHAT, chat_members, socket_chat_message},
	{"cancel", false, false, ROLE_MEMBER, SCOPE_CHAT, cancel_members, socket_cancel_message},
	{"resume", false, true, ROLE_VIEWER, SCOPE_CHAT, resume_members, socket_resume_message},
	{"decide", false, true, ROLE_VIEWER, SCOPE_POLICY_READ, decide_members, socket_decide_message},
	{"enforce", false, true, ROLE_MEMBER, SCOPE_CHAT, enforce_members, socket_enforce_message},
	{"chat_delta", false, true, ROLE_OPERATOR, SCOPE_CHAT, chat_delta_members, presence_delta_message},
	{"chat_end", false, true, ROLE_OPERATOR, SCOPE_CHAT, chat_end_members, presence_end_message},
	{"ping", true, true, ROLE_VIEWER, SCOPE_OPEN, plain_members, ping_message},
	{"stats", false, true, ROLE_VIEWER, SCOPE_SIGNED_IN, plain_members, stats_message},
	{.type = NULL},
};

/* ---- life ---- */

void socket_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	if (!request->signed_in && http_header(request, STR("Authorization")).at != NULL) {
		http_reply_error(request, ERR_UNAUTHENTICATED, NULL);
		return;
	}
	struct client *client = mem_alloc(sizeof(*client));
	if (client == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	struct loop *loop = request->loop;
	struct caller caller = request->caller;
	bool signed_in = request->signed_in;
	client->guild = guild;
	client->bucket = MESSAGES_BURST;
	client->bucket_us = loop_now_us(loop);
	memcpy(client->request_id, request->request_id, sizeof(client->request_id));
	list_init(&client->operations);
	list_init(&client->presence);
	feed_init(&client->feed, guild, loop, &socket_feed_handler);
	if (websocket_start(request, &handler, client, &client->socket) != ERR_OK) {
		feed_fini(&client->feed);
		mem_free(client);
		return;
	}
	if (signed_in) {
		websocket_sign_in(client->socket, &caller);
		client->signed_in = true;
		if (socket_auto_subscribe(client) != ERR_OK) {
			websocket_close(client->socket, err_row(ERR_OVERLOADED)->ws_close, STR("overloaded: retry"));
		}
		presence_add(client);
	}
}

static void on_drained(struct websocket *socket, void *owner)
{
	struct client *client = owner;
	(void)socket;
	socket_viewers_drained(client);
	feed_drained(&client->feed);
}

static void on_closed(struct websocket *socket, void *owner)
{
	struct client *client = owner;
	struct list *link;
	(void)socket;
	client->closing = true;
	while ((link = list_pop(&client->operations)) != NULL) {
		container_of(link, struct operation, link)->client = NULL;
	}
	socket_viewers_destroy(client);
	presence_remove(client);
	feed_fini(&client->feed);
	mem_free(client);
}

/* ---- messages ---- */

/* A bucket of messages, so that one socket cannot keep a loop to itself. */
static bool rate_fits(struct client *client)
{
	int64_t now_us = loop_now_us(client->feed.loop);
	int64_t more = (now_us - client->bucket_us) * MESSAGES_PER_S / 1000000;
	if (more > 0) {
		client->bucket = client->bucket + more < MESSAGES_BURST ? client->bucket + more : MESSAGES_BURST;
		client->bucket_us = now_us;
	}
	if (client->bucket == 0) {
		return false;
	}
	client->bucket--;
	return true;
}

static void on_message(struct websocket *socket, struct str text, void *owner)
{
	struct client *client = owner;
	struct arena arena;
	(void)socket;
	client->received++;
	if (!rate_fits(client)) {
		socket_answer_error(client, STR("null"), ERR_RATE_LIMITED, NULL);
		return;
	}
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	message_parse(client, &arena, text);
	arena_fini(&arena);
}

/* A string of at most 128 bytes or an integer, as JSON text. */
static bool ref_read(struct message *message)
{
	struct json value = json_member(message->body, STR("ref"));
	struct str text;
	message->ref = STR("null");
	if (json_kind(value) == JSON_NULL) {
		return true;
	}
	if (json_kind(value) != JSON_INT && !(json_get_str(value, &text) && text.len <= REF_BYTES_MAX)) {
		return false;
	}
	struct buf buf;
	struct json_out json;
	buf_init(&buf, SOCKET_REF_BYTES);
	json_begin(&json, &buf);
	json_put_value(&json, value);
	struct str copy = buf_err(&buf) == ERR_OK ? arena_copy(message->arena, buf_str(&buf)) : STR_NONE;
	buf_fini(&buf);
	if (copy.at != NULL) {
		message->ref = copy;
	}
	return copy.at != NULL;
}

static void message_parse(struct client *client, struct arena *arena, struct str text)
{
	struct json_doc doc;
	struct json_error fault = {0, NULL};
	struct message message = {.client = client, .arena = arena, .ref = STR("null")};
	enum err err = json_parse(arena, text, &doc, &fault);
	if (err == ERR_MALFORMED) {
		struct str detail = arena_format(arena, "The message is not valid JSON: %s at byte %zu.", fault.reason, fault.offset);
		socket_answer_error(client, message.ref, err, detail.at);
		return;
	}
	if (err != ERR_OK) {
		socket_answer_error(client, message.ref, ERR_TOO_LARGE, "The message has too many values.");
		return;
	}
	message.body = json_root(&doc);
	if (json_kind(message.body) != JSON_OBJECT) {
		socket_answer_error(client, message.ref, ERR_INVALID, "An object is wanted.");
	} else if (!ref_read(&message)) {
		socket_answer_error(client, message.ref, ERR_INVALID, "/ref: A string of at most 128 bytes or an integer is wanted here.");
	} else {
		message_dispatch(&message);
	}
}

static const struct socket_row *row_find(struct str type)
{
	const struct socket_row *row = socket_rows;
	while (row->type != NULL && !str_eq(str_of(row->type), type)) {
		row++;
	}
	return row->type != NULL ? row : NULL;
}

static bool role_fits(const struct socket_row *row, enum role role)
{
	return role == ROLE_AGENT ? row->agent_ok : role >= row->role_min;
}

/* Messages count against the same rate as requests: no door is a way around it. */
static bool rate_admits(struct client *client, const struct socket_row *row)
{
	struct loop *loop = websocket_loop(client->socket);
	return http_server_limit(client->guild->http, loop, websocket_caller(client->socket), row->type) == 0;
}

static void message_dispatch(struct message *message)
{
	struct client *client = message->client;
	struct str type = STR("");
	struct str pointer;
	(void)json_get_str(json_member(message->body, STR("type")), &type);
	const struct socket_row *row = row_find(type);
	if (!client->signed_in && (row == NULL || !row->open)) {
		socket_answer_error(client, message->ref, ERR_UNAUTHENTICATED, "The first message has to be auth.");
		return;
	}
	if (row == NULL) {
		socket_answer_error(client, message->ref, ERR_INVALID,
				    type.len == 0 ? "/type: A string is wanted here." : "/type: There is no such message.");
		return;
	}
	if (client->signed_in && !role_fits(row, websocket_caller(client->socket)->role)) {
		socket_answer_error(client, message->ref, ERR_PERMISSION, NULL);
		return;
	}
	if (client->signed_in && !scope_fits(row->scope, websocket_caller(client->socket))) {
		socket_answer_error(client, message->ref, ERR_PERMISSION, scope_missing(row->scope));
		return;
	}
	if (client->signed_in && !rate_admits(client, row)) {
		socket_answer_error(client, message->ref, ERR_RATE_LIMITED, NULL);
		return;
	}
	const char *fault = http_members_fault(message->arena, row->members, message->body, &pointer);
	if (fault != NULL) {
		struct str detail = arena_format(message->arena, "%.*s: %s", STR_FMT(pointer), fault);
		socket_answer_error(client, message->ref, ERR_INVALID, detail.at);
		return;
	}
	row->handle(message);
}

/* ---- sign-in ---- */

static void auth_refused(struct message *message, enum err err)
{
	struct client *client = message->client;
	socket_answer_error(client, message->ref, err, NULL);
	if (!client->signed_in && err == ERR_RATE_LIMITED) {
		websocket_close(client->socket, err_row(err)->ws_close, STR("too many sign-ins failed from this address: wait"));
	} else if (!client->signed_in) {
		websocket_close(client->socket, CLOSE_NOT_SIGNED_IN, STR("the token is not valid: do not retry with it"));
	}
}

/* The first sign-in, or a newer token of the same principal. */
static void auth_message(struct message *message)
{
	struct client *client = message->client;
	struct guild *guild = client->guild;
	struct caller caller = {0};
	struct str token = STR("");
	(void)json_get_str(json_member(message->body, STR("token")), &token);
	if (websocket_sign_in_wait_ms(client->socket) > 0) {
		auth_refused(message, ERR_RATE_LIMITED);
		return;
	}
	enum err err = identity_authenticate(guild->identity, token, env_wall_us(guild->env), &caller);
	if (err == ERR_UNAUTHENTICATED) {
		websocket_sign_in_failed(client->socket);
	}
	if (err == ERR_OK && client->signed_in && caller.principal != websocket_caller(client->socket)->principal) {
		err = ERR_PERMISSION;
	}
	if (err != ERR_OK) {
		auth_refused(message, err);
		return;
	}
	bool first = !client->signed_in;
	client->signed_in = true;
	websocket_sign_in(client->socket, &caller);
	err = first ? socket_auto_subscribe(client) : ERR_OK;
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, NULL);
		websocket_close(client->socket, err_row(ERR_OVERLOADED)->ws_close, STR("overloaded: retry"));
		return;
	}
	const struct principal *principal = identity_principal(guild->identity, caller.principal);
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), message->ref);
	json_name(&answer.json, STR("principal"));
	if (principal != NULL) {
		principal_json(guild, principal, &answer.json);
	} else {
		json_null(&answer.json);
	}
	socket_answer_end(&answer);
	if (first) {
		presence_add(client);
	}
}

static void ping_message(struct message *message)
{
	struct answer answer;
	socket_answer_begin(&answer, message->client, STR("pong"), message->ref);
	socket_answer_end(&answer);
}

static void stats_message(struct message *message)
{
	struct client *client = message->client;
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), message->ref);
	json_name(&answer.json, STR("topics"));
	json_array(&answer.json);
	for (struct list *at = client->feed.topics.next; at != &client->feed.topics; at = at->next) {
		struct feed_topic *topic = container_of(at, struct feed_topic, link);
		json_str(&answer.json, str_make(topic->name, topic->len));
	}
	json_array_end(&answer.json);
	json_put_int(&answer.json, STR("sent"), (int64_t)client->sent);
	json_put_int(&answer.json, STR("received"), (int64_t)client->received);
	socket_answer_end(&answer);
}

/* ---- answers ---- */

enum err socket_client_send_take(struct client *client, struct frame *frame)
{
	if (client->closing) {
		frame_drop(&frame);
		return ERR_END;
	}
	enum err err = frame != NULL ? websocket_send_take(client->socket, frame) : ERR_MEMORY;
	/* What is left out has to be seen to be missing: whoever comes back resumes from the number that it has. */
	if (err == ERR_MEMORY) {
		websocket_close(client->socket, err_row(ERR_OVERLOADED)->ws_close, STR("overloaded: resume"));
	}
	client->sent += err == ERR_OK;
	return err;
}

void socket_answer_begin(struct answer *answer, struct client *client, struct str type, struct str ref)
{
	answer->client = client;
	buf_init(&answer->text, ANSWER_BYTES_MAX);
	json_begin(&answer->json, &answer->text);
	json_object(&answer->json);
	json_put_str(&answer->json, STR("type"), type);
	json_put_raw(&answer->json, STR("ref"), ref);
}

/* Whoever cannot be answered is told by a close; a socket that is closing already needs no word. */
void socket_answer_end(struct answer *answer)
{
	struct client *client = answer->client;
	json_object_end(&answer->json);
	struct frame *frame = buf_err(&answer->text) == ERR_OK ? websocket_frame(buf_str(&answer->text)) : NULL;
	buf_fini(&answer->text);
	if (frame == NULL) {
		websocket_close(client->socket, err_row(ERR_OVERLOADED)->ws_close, STR("overloaded: retry"));
	} else if (socket_client_send_take(client, frame) != ERR_OK) {
		client->feed.dead = true;
	}
}

void socket_answer_ok(struct client *client, struct str ref)
{
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), ref);
	socket_answer_end(&answer);
}

void socket_answer_error(struct client *client, struct str ref, enum err err, const char *detail)
{
	const struct err_row *row = err_row(err_public(err));
	struct answer answer;
	socket_answer_begin(&answer, client, STR("error"), ref);
	json_put_str(&answer.json, STR("code"), row->code);
	json_put_str(&answer.json, STR("detail"), detail != NULL ? str_of(detail) : row->text);
	socket_answer_end(&answer);
}

/* ---- operations ---- */

void *socket_operation_new(struct message *message, size_t size)
{
	struct operation *operation = socket_operation_make(message->client, message->ref, size);
	if (operation == NULL) {
		socket_answer_error(message->client, message->ref, ERR_OVERLOADED, NULL);
	}
	return operation;
}

void *socket_operation_make(struct client *client, struct str ref, size_t size)
{
	struct operation *operation = client->operation_count < OPERATIONS_MAX ? mem_alloc(size) : NULL;
	if (operation == NULL) {
		return NULL;
	}
	check(ref.len <= SOCKET_REF_BYTES);
	operation->client = client;
	operation->guild = client->guild;
	operation->ref_len = ref.len;
	memcpy(operation->ref, ref.at, ref.len);
	list_push(&client->operations, &operation->link);
	client->operation_count++;
	return operation;
}

void socket_operation_free(struct operation *operation)
{
	if (operation->client != NULL) {
		list_remove(&operation->link);
		operation->client->operation_count--;
	}
	mem_free(operation);
}
