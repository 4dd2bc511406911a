/* socket_again.c - messages with a client_id: done once, answered as often as they come. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "command/idempotency.h"
#include "ops/socket_priv.h"

#define USED_TEXT "/client_id: It was used for another message."

struct publish_operation {
	struct operation operation; /* first */
	struct idempotency_claim claim;
	struct bus_event *event;
};

/* First the row of the key, then how its run stands. */
struct again_operation {
	struct operation operation; /* first */
	struct read_job read;
	struct arena arena;
	struct idem idem;
	struct idempotency_row row;
	struct execution_again again;
	bool stream;
};

static void publish_claimed(struct idempotency_claim *claim, enum err err);
static enum err row_read(struct read_job *job, struct db *db);
static void row_read_done(struct read_job *job);
static void run_known(struct execution_again *again, enum err err);

/* Everything but what may differ when it is sent again. */
static void body_put(const struct message *message, struct buf *text)
{
	struct json_iter iter = json_iter(message->body);
	struct json value;
	struct json_out json;
	struct str name;
	json_begin(&json, text);
	json_object(&json);
	while (json_next(&iter, &name, &value)) {
		if (!str_eq(name, STR("ref")) && !str_eq(name, STR("client_id"))) {
			json_name(&json, name);
			json_put_value(&json, value);
		}
	}
	json_object_end(&json);
}

bool socket_idem_make(const struct message *message, const char *type, struct idem *out)
{
	struct str client_id;
	struct buf text;
	char route[64], key[2 * HASH_SHA256_BYTES + 1];
	uint8_t digest[HASH_SHA256_BYTES];
	if (!json_get_str(json_member(message->body, STR("client_id")), &client_id)) {
		return false;
	}
	/* Any characters may be in it. */
	hash_sha256(client_id, digest);
	hash_hex(digest, sizeof(digest), key);
	snprintf(route, sizeof(route), "ws:%s", type);
	buf_init(&text, 8 * (size_t)LIMIT_BODY_BYTES);
	body_put(message, &text);
	idem_make(out, websocket_caller(message->client->socket), str_of(route), str_of(key), buf_str(&text));
	buf_fini(&text);
	return true;
}

/* ---- publish ---- */

void socket_publish_once_take(struct message *message, const struct idem *idem, struct bus_event *event)
{
	struct client *client = message->client;
	struct publish_operation *wait = socket_operation_new(message, sizeof(*wait));
	if (wait == NULL) {
		bus_event_drop(&event);
		return;
	}
	wait->event = event;
	wait->claim.idem = *idem;
	wait->claim.done = publish_claimed;
	enum err err = idempotency_claim_start(client->guild, client->feed.loop, &wait->claim);
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, NULL);
		bus_event_drop(&wait->event);
		socket_operation_free(&wait->operation);
	}
}

static void replayed_answer(struct client *client, struct str ref)
{
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), ref);
	json_put_bool(&answer.json, STR("replayed"), true);
	socket_answer_end(&answer);
}

static void publish_claimed(struct idempotency_claim *claim, enum err err)
{
	struct publish_operation *wait = container_of(claim, struct publish_operation, claim);
	struct client *client = wait->operation.client;
	struct guild *guild = wait->operation.guild;
	struct str ref = socket_operation_ref(&wait->operation);
	bool again = err == ERR_REPEATED && claim->same;
	if (client != NULL && err == ERR_OK) {
		socket_answer_ok(client, ref);
	} else if (client != NULL && again) {
		replayed_answer(client, ref);
	} else if (client != NULL) {
		bool other = err == ERR_REPEATED;
		socket_answer_error(client, ref, other ? ERR_INVALID : err, other ? USED_TEXT : NULL);
	}
	if (err == ERR_OK) {
		bus_publish_take(guild->bus, wait->event);
	} else {
		bus_event_drop(&wait->event);
	}
	socket_operation_free(&wait->operation);
}

/* ---- chat ---- */

void socket_chat_again(struct client *client, struct str ref, const struct idem *idem, bool stream)
{
	struct again_operation *wait = socket_operation_make(client, ref, sizeof(*wait));
	if (wait == NULL) {
		socket_answer_error(client, ref, ERR_OVERLOADED, NULL);
		return;
	}
	arena_init(&wait->arena, LIMIT_FLOW_ARENA_BYTES);
	wait->idem = *idem;
	wait->stream = stream;
	wait->read = (struct read_job){.run = row_read, .done = row_read_done, .home = client->feed.loop};
	enum err err = reader_push(client->guild->readers, &wait->read);
	if (err != ERR_OK) {
		wait->read.result = err;
		row_read_done(&wait->read);
	}
}

static void end(struct again_operation *wait, enum err err, const char *detail)
{
	if (err != ERR_OK && wait->operation.client != NULL) {
		socket_answer_error(wait->operation.client, socket_operation_ref(&wait->operation), err, detail);
	}
	arena_fini(&wait->arena);
	socket_operation_free(&wait->operation);
}

static enum err row_read(struct read_job *job, struct db *db)
{
	struct again_operation *wait = container_of(job, struct again_operation, read);
	return idempotency_get(db, &wait->arena, &wait->idem, env_wall_us(wait->operation.guild->env), &wait->row);
}

static void row_read_done(struct read_job *job)
{
	struct again_operation *wait = container_of(job, struct again_operation, read);
	if (job->result != ERR_OK || wait->row.execution == 0) {
		end(wait, job->result == ERR_OK || job->result == ERR_NOT_FOUND ? ERR_CONFLICT : job->result, NULL);
		return;
	}
	if (memcmp(wait->row.request_hash, wait->idem.request_hash, IDEM_HASH_BYTES) != 0) {
		end(wait, ERR_INVALID, USED_TEXT);
		return;
	}
	wait->again = (struct execution_again){.arena = &wait->arena, .execution = wait->row.execution, .done = run_known};
	enum err err = execution_again_start(wait->operation.guild, job->home, &wait->again);
	if (err != ERR_OK) {
		end(wait, err, NULL);
	}
}

static void run_answer(void *ctx)
{
	struct again_operation *wait = ctx;
	struct answer answer;
	socket_answer_begin(&answer, wait->operation.client, STR("ok"), socket_operation_ref(&wait->operation));
	json_put_str(&answer.json, STR("execution_id"), wait->again.result.execution_id);
	json_put_str(&answer.json, STR("session_id"), wait->again.result.session_id);
	json_put_bool(&answer.json, STR("queued"), false);
	json_put_bool(&answer.json, STR("replayed"), true);
	socket_answer_end(&answer);
}

static void run_known(struct execution_again *again, enum err err)
{
	struct again_operation *wait = container_of(again, struct again_operation, again);
	struct client *client = wait->operation.client;
	const char *detail = NULL;
	if (err == ERR_OK && client != NULL && wait->stream) {
		struct feed_after start = {.given = true};
		err = socket_view(client, again->execution, &start, run_answer, wait);
	} else if (err == ERR_OK && client != NULL && !again->over) {
		err = ERR_CONFLICT;
		detail = "The run of this client_id is not over.";
	} else if (err == ERR_OK && client != NULL) {
		struct answer answer;
		run_answer(wait);
		socket_answer_begin(&answer, client, STR("result"), socket_operation_ref(&wait->operation));
		chat_result_members(&again->result, &answer.json);
		socket_answer_end(&answer);
	}
	end(wait, err, detail);
}
