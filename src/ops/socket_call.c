/*
 * socket_call.c - messages that are requests under another name: the route's own row checks and answers them.
 *
 * What an agent may do is asked over the same row as over HTTP (`decide`, `enforce`), so that no door knows less than another.
 */
#include "base/limits.h"
#include "ops/socket_priv.h"
#include "wire/url.h"

enum { CALL_BODY_BYTES = 1 << 20, CALL_TARGET_BYTES = 1024, CALL_ANSWER_BYTES = 1 << 20 };

struct call_operation {
	struct operation operation; /* first */
};

static bool is_envelope(struct str name)
{
	static const struct str names[] = {STR("type"), STR("ref"), STR("agent_id"), STR("client_id")};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_eq(name, names[i])) {
			return true;
		}
	}
	return false;
}

/* The request's body: the message without what is the message's own. */
static void body_put(const struct message *message, struct buf *text)
{
	struct json_iter iter = json_iter(message->body);
	struct json value;
	struct json_out json;
	struct str name;
	json_begin(&json, text);
	json_object(&json);
	while (json_next(&iter, &name, &value)) {
		if (!is_envelope(name)) {
			json_name(&json, name);
			json_put_value(&json, value);
		}
	}
	json_object_end(&json);
}

/* Members of an object's text, put behind those of the answer. */
static void members_put(struct answer *answer, struct str object)
{
	struct str members = str_trim(str_sub(object, 1, object.len >= 2 ? object.len - 2 : 0));
	if (members.len > 0) {
		json_raw(&answer->json, members);
	}
}

/* What a problem says, in the words of this protocol. */
static void problem_put(struct answer *answer, struct arena *arena, struct str body)
{
	static const struct str kept[] = {STR("rule_id"), STR("audit_id"), STR("approval_id"), STR("retry_after_ms")};
	struct json_doc doc;
	struct json at = {0}, first;
	struct str code = err_row(ERR_INTERNAL)->code, detail = err_row(ERR_INTERNAL)->text, pointer;
	if (json_parse(arena, body, &doc, NULL) == ERR_OK) {
		at = json_root(&doc);
		(void)json_get_str(json_member(at, STR("code")), &code);
		if (!json_get_str(json_member(at, STR("detail")), &detail)) {
			(void)json_get_str(json_member(at, STR("title")), &detail);
		}
		struct json_iter errors = json_iter(json_member(at, STR("errors")));
		if (json_there(json_member(at, STR("errors"))) && json_next(&errors, NULL, &first) &&
			json_get_str(json_member(first, STR("pointer")), &pointer)) {
			struct str named = arena_format(arena, "%.*s: %.*s", STR_FMT(pointer), STR_FMT(detail));
			detail = named.at != NULL ? named : detail;
		}
	}
	json_put_str(&answer->json, STR("code"), code);
	json_put_str(&answer->json, STR("detail"), detail);
	for (size_t i = 0; json_there(at) && i < sizeof(kept) / sizeof(kept[0]); i++) {
		struct json value = json_member(at, kept[i]);
		if (json_there(value)) {
			json_name(&answer->json, kept[i]);
			json_put_value(&answer->json, value);
		}
	}
}

static void call_answered(void *ctx, int status, struct str content_type, struct str body)
{
	struct call_operation *call = ctx;
	struct client *client = call->operation.client;
	struct arena arena;
	(void)content_type;
	if (client != NULL) {
		struct answer answer;
		bool good = status < 400;
		arena_init(&arena, CALL_ANSWER_BYTES);
		socket_answer_begin(&answer, client, good ? STR("ok") : STR("error"), socket_operation_ref(&call->operation));
		if (good) {
			members_put(&answer, body);
		} else {
			problem_put(&answer, &arena, body);
		}
		socket_answer_end(&answer);
		arena_fini(&arena);
	}
	socket_operation_free(&call->operation);
}

/* POST /v1/agents/{agent_id}/VERB as whoever the socket is. */
static void agent_call(struct message *message, const char *verb)
{
	struct client *client = message->client;
	struct buf body, target;
	struct str agent = STR(""), client_id = STR("");
	struct call_operation *call = socket_operation_new(message, sizeof(*call));
	if (call == NULL) {
		return;
	}
	(void)json_get_str(json_member(message->body, STR("agent_id")), &agent);
	(void)json_get_str(json_member(message->body, STR("client_id")), &client_id);
	buf_init(&body, CALL_BODY_BYTES);
	buf_init(&target, CALL_TARGET_BYTES);
	body_put(message, &body);
	buf_put_str(&target, STR("/v1/agents/"));
	url_encode(&target, agent);
	buf_format(&target, "/%s", verb);
	enum err err = buf_err(&body) == ERR_OK ? buf_err(&target) : body.too_long ? ERR_TOO_LARGE : ERR_MEMORY;
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, NULL);
		socket_operation_free(&call->operation);
	} else {
		char key[2 * HASH_SHA256_BYTES + 1];
		struct http_local_call request = {.method = STR("POST"), .target = buf_str(&target), .body = buf_str(&body)};
		if (client_id.len > 0) {
			/* Any characters may be in it. */
			uint8_t digest[HASH_SHA256_BYTES];
			hash_sha256(client_id, digest);
			hash_hex(digest, sizeof(digest), key);
			request.idempotency_key = str_of(key);
		}
		struct http_local_sink sink = {.reply = call_answered, .ctx = call};
		http_local_dispatch(client->guild->http, client->feed.loop, &request, websocket_caller(client->socket), &sink);
	}
	buf_fini(&body);
	buf_fini(&target);
}

void socket_decide_message(struct message *message)
{
	agent_call(message, "decide");
}

void socket_enforce_message(struct message *message)
{
	agent_call(message, "enforce");
}
