/* socket_bus.c - topics, events and streams of one client. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "governance/govern.h"
#include "ops/socket_priv.h"

struct viewing {
	struct client *client;
	struct execution_viewer *viewer;
	int64_t execution;
};

/* A subscribe or resume that waits until the store has said whose executions and which posts these are. */
struct check_operation {
	struct operation operation; /* first */
	struct topic_check check;
	struct feed_after after;
	struct topic_name topics[]; /* resume: one, with the execution alone; after is its cursor */
};

static bool feed_sees(struct feed *feed, const struct bus_event *event);
static enum err feed_send(struct feed *feed, struct bus_event *event);
static void feed_gap(struct feed *feed, int64_t from, int64_t to);
static void feed_recovered(struct feed *feed, int64_t count, int64_t offset);
static size_t feed_queued_bytes(struct feed *feed);
static void feed_broken(struct feed *feed);
static void subscribe_answer(struct client *client, struct str ref, const struct topic_name *topics, unsigned count,
			     const struct feed_after *after);
static void subscribe_checked(struct topic_check *check, enum err err);
static void resume_checked(struct topic_check *check, enum err err);
static enum err viewer_send_take(void *ctx, struct frame *frame, int64_t seq);
static void viewer_ended(void *ctx, enum err err);
static void viewing_free(struct feed_run *run);

const struct feed_handler socket_feed_handler = {feed_sees, feed_send, feed_gap, feed_recovered, feed_queued_bytes, feed_broken};

static struct client *client_of(struct feed *feed)
{
	return container_of(feed, struct client, feed);
}

/* ---- what the feed gives ---- */

/* A token that may chat and not listen has the frames of its streams. */
static bool feed_sees(struct feed *feed, const struct bus_event *event)
{
	const struct caller *caller = websocket_caller(client_of(feed)->socket);
	bool listens = scope_fits(SCOPE_EVENTS_READ, caller) || (event->execution != 0 && scope_fits(SCOPE_CHAT, caller));
	return listens && ops_event_visible(feed->guild, caller, event);
}

static enum err feed_send(struct feed *feed, struct bus_event *event)
{
	struct frame *frame = bus_event_frame(feed->guild->bus, event, BUS_FORM_WS);
	enum err err = socket_client_send_take(client_of(feed), frame != NULL ? frame_hold(frame) : NULL);
	if (err == ERR_OK) {
		ops_event_delivered(feed->guild, feed->loop, websocket_caller(client_of(feed)->socket), event);
	}
	return err;
}

static void note_send(struct client *client, struct buf *text)
{
	struct frame *frame = buf_err(text) == ERR_OK ? websocket_frame(buf_str(text)) : NULL;
	buf_fini(text);
	if (socket_client_send_take(client, frame) != ERR_OK) {
		client->feed.dead = true;
	}
}

static void feed_broken(struct feed *feed)
{
	websocket_close(client_of(feed)->socket, err_row(ERR_OVERLOADED)->ws_close, STR("overloaded: resume"));
}

static void feed_gap(struct feed *feed, int64_t from, int64_t to)
{
	struct buf text;
	buf_init(&text, 256);
	buf_format(&text, "{\"type\":\"gap\",\"from\":%lld,\"to\":%lld,\"epoch\":%lld}", (long long)from, (long long)to,
		   (long long)feed->guild->epoch);
	note_send(client_of(feed), &text);
}

static void feed_recovered(struct feed *feed, int64_t count, int64_t offset)
{
	struct buf text;
	buf_init(&text, 256);
	buf_format(&text, "{\"type\":\"recovered\",\"count\":%lld,\"offset\":%lld,\"epoch\":%lld}", (long long)count, (long long)offset,
		   (long long)feed->guild->epoch);
	note_send(client_of(feed), &text);
}

static size_t feed_queued_bytes(struct feed *feed)
{
	return websocket_queued_bytes(client_of(feed)->socket);
}

/* ---- subscribe, unsubscribe ---- */

/* May an agent ask for that now? False: answered. */
static bool governed(struct message *message, const char *action)
{
	struct client *client = message->client;
	struct str reason, rule_id;
	enum err err = govern_ask(client->guild, websocket_caller(client->socket), action, message->arena, &reason, &rule_id);
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, reason.at);
	}
	return err == ERR_OK;
}

enum err socket_auto_subscribe(struct client *client)
{
	const struct caller *caller = websocket_caller(client->socket);
	bool is_agent = caller->role == ROLE_AGENT;
	struct id_text own = is_agent ? id_format(&client->guild->id_secret, ID_AGENT, caller->agent)
				      : id_format(&client->guild->id_secret, ID_PRINCIPAL, caller->principal);
	struct id_text workspace = id_format(&client->guild->id_secret, ID_WORKSPACE, caller->workspace);
	struct topic_name topics[2] = {{.len = 0}, {.len = 0}};
	int64_t offset;
	topics[0].len = (size_t)snprintf(topics[0].text, sizeof(topics[0].text), "%s:%s", is_agent ? "agent" : "user", own.text);
	topics[1].len = (size_t)snprintf(topics[1].text, sizeof(topics[1].text), "workspace:%s", workspace.text);
	return feed_subscribe(&client->feed, topics, 2, NULL, &offset);
}

/* An offset, or {epoch, offset}. */
static bool after_read(struct json value, struct feed_after *out)
{
	*out = (struct feed_after){.given = json_kind(value) != JSON_NULL};
	if (!out->given || json_get_int(value, &out->offset)) {
		return out->offset >= 0;
	}
	return json_kind(value) == JSON_OBJECT && json_size(value) == 2 && json_get_int(json_member(value, STR("epoch")), &out->epoch) &&
	       json_get_int(json_member(value, STR("offset")), &out->offset) && out->epoch > 0 && out->offset >= 0;
}

/* Reads the names into the operation. */
static enum err topics_read(struct client *client, struct json names, struct check_operation *wait, const char **detail)
{
	const struct caller *caller = websocket_caller(client->socket);
	struct json_iter iter = json_iter(names);
	struct json element;
	enum err err = ERR_OK;
	*detail = NULL;
	while (err == ERR_OK && json_next(&iter, NULL, &element)) {
		struct str name = STR("");
		(void)json_get_str(element, &name);
		err = topic_subscribe_check(client->guild, caller, name, &wait->topics[wait->check.count++]);
		*detail = err == ERR_INVALID ? "/topics: A topic is 1 to 255 bytes of A-Z, a-z, 0-9 and _.:@/-." : NULL;
	}
	return err;
}

static struct check_operation *check_operation_new(struct message *message, unsigned topic_count)
{
	struct check_operation *wait = socket_operation_new(message, sizeof(*wait) + topic_count * sizeof(wait->topics[0]));
	if (wait != NULL) {
		wait->check.topics = wait->topics;
		wait->check.caller = *websocket_caller(message->client->socket);
	}
	return wait;
}

void socket_subscribe_message(struct message *message)
{
	struct client *client = message->client;
	struct json names = json_member(message->body, STR("topics"));
	if (!governed(message, "subscribe")) {
		return;
	}
	struct check_operation *wait = check_operation_new(message, json_size(names));
	if (wait == NULL) {
		return;
	}
	const char *detail;
	enum err err = topics_read(client, names, wait, &detail);
	if (err == ERR_OK && !after_read(json_member(message->body, STR("after")), &wait->after)) {
		err = ERR_INVALID;
		detail = "/after: An offset or {epoch, offset} is wanted here.";
	}
	wait->check.answer = subscribe_checked;
	if (err == ERR_OK && topic_check_due(wait->topics, wait->check.count)) {
		err = topic_check_start(client->guild, client->feed.loop, &wait->check);
		if (err == ERR_OK) {
			return;
		}
	}
	if (err == ERR_OK) {
		subscribe_answer(client, message->ref, wait->topics, wait->check.count, &wait->after);
	} else {
		socket_answer_error(client, message->ref, err, detail);
	}
	socket_operation_free(&wait->operation);
}

static void subscribe_checked(struct topic_check *check, enum err err)
{
	struct check_operation *wait = container_of(check, struct check_operation, check);
	struct client *client = wait->operation.client;
	if (client != NULL && err == ERR_OK) {
		subscribe_answer(client, socket_operation_ref(&wait->operation), wait->topics, check->count, &wait->after);
	} else if (client != NULL) {
		socket_answer_error(client, socket_operation_ref(&wait->operation), err, NULL);
	}
	socket_operation_free(&wait->operation);
}

static void subscribe_answer(struct client *client, struct str ref, const struct topic_name *topics, unsigned count,
			     const struct feed_after *after)
{
	int64_t offset = 0;
	enum err err = feed_subscribe(&client->feed, topics, count, after, &offset);
	if (err != ERR_OK) {
		socket_answer_error(client, ref, err, err == ERR_LIMIT ? "This connection has too many topics." : NULL);
		return;
	}
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), ref);
	json_name(&answer.json, STR("topics"));
	json_array(&answer.json);
	for (unsigned i = 0; i < count; i++) {
		json_str(&answer.json, topic_str(&topics[i]));
	}
	json_array_end(&answer.json);
	json_put_int(&answer.json, STR("offset"), offset);
	json_put_int(&answer.json, STR("epoch"), client->guild->epoch);
	socket_answer_end(&answer);
}

/* What the connection has by that very name can always be left, also a channel that may not be seen any more. */
static bool unsubscribe(struct client *client, struct str name)
{
	struct topic_name topic;
	return feed_unsubscribe(&client->feed, name) ||
	       (topic_subscribe_check(client->guild, websocket_caller(client->socket), name, &topic) == ERR_OK &&
		feed_unsubscribe(&client->feed, topic_str(&topic)));
}

/* Leaving what one is not subscribed to is no error. */
void socket_unsubscribe_message(struct message *message)
{
	struct client *client = message->client;
	struct json_iter iter = json_iter(json_member(message->body, STR("topics")));
	struct json element;
	int64_t count = 0;
	if (!governed(message, "unsubscribe")) {
		return;
	}
	while (json_next(&iter, NULL, &element)) {
		struct str name = STR("");
		(void)json_get_str(element, &name);
		count += unsubscribe(client, name);
	}
	struct answer answer;
	socket_answer_begin(&answer, client, STR("ok"), message->ref);
	json_put_int(&answer.json, STR("count"), count);
	socket_answer_end(&answer);
}

/* ---- publish ---- */

void socket_publish_message(struct message *message)
{
	static const struct http_member event_members[] = {
		{"type", HTTP_STRING, true, 3, 128, NULL, "x.<name>"},
		{"data", HTTP_ANY, false, 0, 0, NULL, "any JSON"},
		{.name = NULL},
	};
	struct client *client = message->client;
	struct json body = json_member(message->body, STR("event"));
	struct publish_input input = {.topics = json_member(message->body, STR("topics")), .type = STR(""),
				      .data = json_member(body, STR("data"))};
	struct bus_event *event;
	struct str pointer;
	const char *fault = http_members_fault(message->arena, event_members, body, &pointer);
	if (fault != NULL) {
		struct str detail = arena_format(message->arena, "/event%.*s: %s", STR_FMT(pointer), fault);
		socket_answer_error(client, message->ref, ERR_INVALID, detail.at);
		return;
	}
	(void)json_get_str(json_member(body, STR("type")), &input.type);
	if (!governed(message, "publish")) {
		return;
	}
	enum err err = publish_make(client->guild, websocket_caller(client->socket), &input, &event, &fault);
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, fault);
		return;
	}
	struct idem idem;
	if (socket_idem_make(message, "publish", &idem)) {
		socket_publish_once_take(message, &idem, event);
		return;
	}
	socket_answer_ok(client, message->ref);
	bus_publish_take(client->guild->bus, event);
}

/* ---- resume ---- */

/* A number, or "epoch:seq". */
static bool resume_after_read(struct json value, struct feed_after *out)
{
	struct str text;
	*out = (struct feed_after){.given = true};
	if (json_get_str(value, &text)) {
		return ops_cursor_parse(text, &out->epoch, &out->offset);
	}
	return json_get_int(value, &out->offset) && out->offset >= 0;
}

void socket_resume_message(struct message *message)
{
	struct client *client = message->client;
	struct str id = STR("");
	struct feed_after after;
	int64_t execution = 0;
	if (!resume_after_read(json_member(message->body, STR("after")), &after)) {
		socket_answer_error(client, message->ref, ERR_INVALID, "/after: A number or \"epoch:seq\" is wanted here.");
		return;
	}
	(void)json_get_str(json_member(message->body, STR("execution_id")), &id);
	if (!governed(message, "subscribe")) {
		return;
	}
	enum err err = id_parse(&client->guild->id_secret, ID_EXECUTION, id, &execution);
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, NULL);
		return;
	}
	struct check_operation *wait = check_operation_new(message, 1);
	if (wait == NULL) {
		return;
	}
	wait->after = after;
	wait->topics[0].execution = execution;
	wait->check.count = 1;
	wait->check.answer = resume_checked;
	err = topic_check_start(client->guild, client->feed.loop, &wait->check);
	if (err != ERR_OK) {
		socket_answer_error(client, message->ref, err, NULL);
		socket_operation_free(&wait->operation);
	}
}

/* The answer goes first: frames may come before execution_viewer_create has returned. */
enum err socket_view(struct client *client, int64_t execution, const struct feed_after *after, void (*answer)(void *ctx), void *ctx)
{
	struct feed_run *run = feed_run_find(&client->feed, execution, true);
	struct viewing *viewing = run != NULL ? mem_alloc(sizeof(*viewing)) : NULL;
	if (viewing == NULL) {
		return ERR_LIMIT;
	}
	if (run->owner != NULL) {
		viewing_free(run);
	}
	*viewing = (struct viewing){.client = client, .execution = execution};
	run->owner = viewing;
	run->next = FEED_RUN_CLOSED;
	answer(ctx);
	struct execution_viewer_options options = {.execution = execution,
						   .after_seq = after->offset,
						   .after_epoch = after->epoch,
						   .form = BUS_FORM_WS,
						   .send_take = viewer_send_take,
						   .ended = viewer_ended,
						   .ctx = viewing};
	enum err err = execution_viewer_create(client->guild->engine, client->feed.loop, &options, &viewing->viewer);
	if (err != ERR_OK) {
		run->owner = NULL;
		mem_free(viewing);
		socket_answer_error(client, STR("null"), err, NULL);
	}
	return ERR_OK;
}

static void resume_answer(void *ctx)
{
	struct check_operation *wait = ctx;
	socket_answer_ok(wait->operation.client, socket_operation_ref(&wait->operation));
}

static void resume_checked(struct topic_check *check, enum err err)
{
	struct check_operation *wait = container_of(check, struct check_operation, check);
	struct client *client = wait->operation.client;
	if (client != NULL && err == ERR_OK) {
		err = socket_view(client, wait->topics[0].execution, &wait->after, resume_answer, wait);
	}
	if (client != NULL && err != ERR_OK) {
		socket_answer_error(client, socket_operation_ref(&wait->operation), err, NULL);
	}
	socket_operation_free(&wait->operation);
}

/* A viewer fetches again what found no room, so the queue is never filled to its cap here. */
static enum err viewer_send_take(void *ctx, struct frame *frame, int64_t seq)
{
	struct viewing *viewing = ctx;
	(void)seq;
	if (websocket_queued_bytes(viewing->client->socket) > LIMIT_CONN_QUEUE_BYTES / 2) {
		frame_drop(&frame);
		return ERR_TOO_SLOW;
	}
	return socket_client_send_take(viewing->client, frame);
}

static void viewer_ended(void *ctx, enum err err)
{
	struct viewing *viewing = ctx;
	struct client *client = viewing->client;
	struct feed_run *run = feed_run_find(&client->feed, viewing->execution, false);
	check(run != NULL && run->owner == viewing);
	viewing_free(run);
	if (err != ERR_OK && err != ERR_END) {
		socket_answer_error(client, STR("null"), err, NULL);
	}
}

static void viewing_free(struct feed_run *run)
{
	struct viewing *viewing = run->owner;
	execution_viewer_destroy(&viewing->viewer);
	mem_free(viewing);
	run->owner = NULL;
}

void socket_viewers_drained(struct client *client)
{
	for (unsigned i = 0; client->feed.runs != NULL && i < FEED_RUNS_MAX; i++) {
		struct viewing *viewing = client->feed.runs[i].owner;
		if (viewing != NULL) {
			execution_viewer_drained(viewing->viewer);
		}
	}
}

void socket_viewers_destroy(struct client *client)
{
	for (unsigned i = 0; client->feed.runs != NULL && i < FEED_RUNS_MAX; i++) {
		if (client->feed.runs[i].owner != NULL) {
			viewing_free(&client->feed.runs[i]);
		}
	}
}
