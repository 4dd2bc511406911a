/*
 * presence.c - connected agents: a chat_request goes to one connection of its agent, on whichever loop that is.
 *
 * An offer asks loop after loop, beginning at home, for a connection of the agent; the newest one there gets the frame.
 */
#include "base/check.h"
#include "base/mem.h"
#include "execution/external.h"
#include "ops/socket_priv.h"

struct presence_table {
	struct guild *guild;
	struct list clients[64]; /* by loop number: agents' connections, newest first; a loop's own */
};

/* A chat_delta or chat_end under way. */
struct say_operation {
	struct operation operation; /* first */
	struct external_message message;
	char text[];
};

static void offer(void *self, struct external_offer *offer);
static void offer_run(struct loop_note *note, struct loop *loop);
static void offer_back(struct loop_note *note, struct loop *loop);
static void said(struct external_message *message);

enum err presence_create(struct guild *guild, struct presence_table **out)
{
	struct presence_table *presence = mem_alloc(sizeof(*presence));
	*out = presence;
	if (presence == NULL) {
		return ERR_MEMORY;
	}
	presence->guild = guild;
	for (size_t i = 0; i < sizeof(presence->clients) / sizeof(presence->clients[0]); i++) {
		list_init(&presence->clients[i]);
	}
	return ERR_OK;
}

void presence_destroy(struct presence_table **presence)
{
	mem_free(*presence);
	*presence = NULL;
}

struct external_door presence_door(struct presence_table *presence)
{
	return (struct external_door){offer, presence};
}

void presence_add(struct client *client)
{
	const struct caller *caller = websocket_caller(client->socket);
	struct presence_table *presence = ops_presence(client->guild->ops);
	if (caller->role != ROLE_AGENT || client->closing) {
		return;
	}
	list_push(&presence->clients[loop_number(client->feed.loop)], &client->presence);
	external_connected(client->guild->engine, caller->agent);
}

void presence_remove(struct client *client)
{
	list_remove(&client->presence);
}

/* ---- offers ---- */

static void offer(void *self, struct external_offer *offer)
{
	struct presence_table *presence = self;
	offer->loops_left = presence->guild->loop_count;
	offer->owner = presence;
	offer->note.run = offer_run;
	offer_run(&offer->note, offer->home);
}

static struct client *client_of(struct presence_table *presence, struct loop *loop, int64_t agent)
{
	struct list *clients = &presence->clients[loop_number(loop)];
	for (struct list *at = clients->prev; at != clients; at = at->prev) {
		struct client *client = container_of(at, struct client, presence);
		if (!client->closing && websocket_caller(client->socket)->agent == agent) {
			return client;
		}
	}
	return NULL;
}

static void offer_run(struct loop_note *note, struct loop *loop)
{
	struct external_offer *offer = container_of(note, struct external_offer, note);
	struct presence_table *presence = offer->owner;
	struct client *client = client_of(presence, loop, offer->agent);
	offer->taken = client != NULL && socket_client_send_take(client, frame_hold(offer->frame)) == ERR_OK;
	offer->loops_left--;
	if (!offer->taken && offer->loops_left > 0) {
		loop_note_post(presence->guild->loops[(loop_number(loop) + 1) % presence->guild->loop_count], &offer->note);
	} else if (loop == offer->home) {
		offer->answer(offer);
	} else {
		offer->note.run = offer_back;
		loop_note_post(offer->home, &offer->note);
	}
}

static void offer_back(struct loop_note *note, struct loop *loop)
{
	struct external_offer *offer = container_of(note, struct external_offer, note);
	(void)loop;
	offer->answer(offer);
}

/* ---- what agents say ---- */

static void say(struct message *message, bool is_end, struct str text)
{
	struct client *client = message->client;
	const struct caller *caller = websocket_caller(client->socket);
	int64_t execution;
	if (caller->role != ROLE_AGENT) {
		socket_answer_error(client, message->ref, ERR_PERMISSION, "Only the program of an external agent says this.");
		return;
	}
	struct str id = STR("");
	(void)json_get_str(json_member(message->body, STR("execution_id")), &id);
	if (id_parse(&client->guild->id_secret, ID_EXECUTION, id, &execution) != ERR_OK) {
		socket_answer_error(client, message->ref, ERR_NOT_FOUND, NULL);
		return;
	}
	struct say_operation *own = socket_operation_new(message, sizeof(*own) + text.len);
	if (own == NULL) {
		return;
	}
	memcpy(own->text, text.len > 0 ? text.at : "", text.len);
	struct json usage = json_member(message->body, STR("usage"));
	own->message = (struct external_message){.home = client->feed.loop,
						 .execution = execution,
						 .agent = caller->agent,
						 .is_end = is_end,
						 .failed = json_kind(json_member(message->body, STR("error"))) == JSON_STRING,
						 .text = str_make(own->text, text.len),
						 .answer = said};
	own->message.has_usage = json_get_int(json_member(usage, STR("tokens_in")), &own->message.tokens_in) &&
				 json_get_int(json_member(usage, STR("tokens_out")), &own->message.tokens_out) &&
				 own->message.tokens_in >= 0 && own->message.tokens_out >= 0;
	external_message_send(client->guild->engine, &own->message);
}

void presence_delta_message(struct message *message)
{
	struct str delta = STR("");
	(void)json_get_str(json_member(message->body, STR("delta")), &delta);
	say(message, false, delta);
}

void presence_end_message(struct message *message)
{
	struct str reason = STR("");
	(void)json_get_str(json_member(message->body, STR("finish_reason")), &reason);
	say(message, true, reason);
}

/* A delta that was taken is answered only where an answer was asked for. */
static void said(struct external_message *message)
{
	struct say_operation *own = container_of(message, struct say_operation, message);
	struct client *client = own->operation.client;
	struct str ref = socket_operation_ref(&own->operation);
	if (client != NULL && message->result != ERR_OK) {
		socket_answer_error(client, ref, message->result, "/execution_id: No run of this agent waits for an answer under that id.");
	} else if (client != NULL && (message->is_end || !str_eq(ref, STR("null")))) {
		socket_answer_ok(client, ref);
	}
	socket_operation_free(&own->operation);
}
