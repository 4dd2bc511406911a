/* events_api.c - the bus over HTTP: GET /v1/events as an event stream, POST /v1/events. */
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "governance/govern.h"
#include "ops/feed_priv.h"

/* Lives in the request's arena, which passes to the stream. */
struct listener {
	struct feed feed;
	struct topic_check check;      /* its caller is the listener's to the end */
	struct http_request *request; /* until the stream starts */
	struct http_stream *stream;
	struct feed_after after;
	bool from_now;                 /* tells first where it begins, so that one who is cut off before the first event misses nothing */
	struct topic_name *topics;
};

static void listener_checked(struct topic_check *check, enum err err);
static void listener_start(struct listener *listener);
static bool sees(struct feed *feed, const struct bus_event *event);
static enum err send(struct feed *feed, struct bus_event *event);
static void gap(struct feed *feed, int64_t from, int64_t to);
static void recovered(struct feed *feed, int64_t count, int64_t offset);
static size_t queued_bytes(struct feed *feed);
static void broken(struct feed *feed);
static void on_drained(struct http_stream *stream, void *owner);
static void on_closed(struct http_stream *stream, void *owner);

static const struct feed_handler feed_handler = {sees, send, gap, recovered, queued_bytes, broken};
static const struct http_stream_handler stream_handler = {on_drained, on_closed};

static struct listener *listener_of(struct feed *feed)
{
	return container_of(feed, struct listener, feed);
}

/* "<execution>:<epoch>:<seq>": where a stream frame was the newest thing seen, the offset of events is not known. */
static bool is_stream_id(struct guild *guild, struct str id)
{
	int64_t execution;
	return id.len > ID_TEXT_LEN && id.at[ID_TEXT_LEN] == ':' &&
	       id_parse(&guild->id_secret, ID_EXECUTION, str_sub(id, 0, ID_TEXT_LEN), &execution) == ERR_OK;
}

/* ?after=, or Last-Event-ID of a client that comes back. False: answered. */
static bool after_read(struct guild *guild, struct http_request *request, struct feed_after *out, bool *from_now)
{
	struct str last = http_header(request, STR("Last-Event-ID"));
	struct str text = STR_NONE;
	bool asked = http_query_str(request, "after", &text);
	*out = (struct feed_after){.given = false};
	if (last.at != NULL && last.len > 0 && !is_stream_id(guild, last)) {
		asked = true;
		text = last;
	} else if (last.at != NULL && last.len > 0) {
		/* An epoch that no store has: everything up to now is told as a gap. */
		*out = (struct feed_after){.given = true, .epoch = -1};
		return true;
	}
	*from_now = asked && str_eq(text, STR("now"));
	if (!asked || *from_now) {
		return true;
	}
	out->given = true;
	if (!ops_cursor_parse(text, &out->epoch, &out->offset)) {
		http_reply_error(request, ERR_MALFORMED, "An offset, \"epoch:offset\", or now is wanted as cursor.");
		return false;
	}
	return true;
}

static enum err topics_read(struct guild *guild, struct listener *listener, struct str names)
{
	struct topic_check *check = &listener->check;
	struct str name;
	enum err err = ERR_OK;
	while (err == ERR_OK && str_split(&names, ',', &name)) {
		err = topic_subscribe_check(guild, &check->caller, name, &listener->topics[check->count++]);
	}
	return err;
}

static size_t names_count(struct str names)
{
	size_t count = 0;
	struct str name;
	while (str_split(&names, ',', &name)) {
		count++;
	}
	return count;
}

void events_get_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct listener *listener = arena_new(&request->arena, struct listener);
	struct str names = STR("");
	(void)http_query_str(request, "topics", &names);
	size_t count = names_count(names);
	struct topic_name *topics = listener != NULL ? arena_array(&request->arena, struct topic_name, count + 1) : NULL;
	if (topics == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	listener->request = request;
	listener->topics = topics;
	listener->check.topics = topics;
	listener->check.caller = request->caller;
	listener->check.answer = listener_checked;
	if (!govern_read(guild, request, "subscribe") || !after_read(guild, request, &listener->after, &listener->from_now)) {
		return;
	}
	enum err err = topics_read(guild, listener, names);
	feed_init(&listener->feed, guild, request->loop, &feed_handler);
	if (err == ERR_OK && topic_check_due(topics, listener->check.count)) {
		err = topic_check_start(guild, request->loop, &listener->check);
		if (err == ERR_OK) {
			return;
		}
	}
	if (err == ERR_INVALID) {
		http_reply_invalid(request, "topics", "A topic is 1 to 255 bytes of A-Z, a-z, 0-9 and _.:@/-.");
	} else if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	} else {
		listener_start(listener);
	}
}

static void listener_checked(struct topic_check *check, enum err err)
{
	struct listener *listener = container_of(check, struct listener, check);
	if (err != ERR_OK) {
		http_reply_error(listener->request, err, NULL);
	} else {
		listener_start(listener);
	}
}

/* The stream first: when it cannot start, the listener is gone with its request. */
static void listener_start(struct listener *listener)
{
	struct http_request *request = listener->request;
	int64_t offset;
	listener->request = NULL;
	if (http_stream_start(request, &stream_handler, listener, &listener->stream) != ERR_OK) {
		return;
	}
	if (feed_subscribe(&listener->feed, listener->topics, listener->check.count, &listener->after, &offset) != ERR_OK) {
		http_stream_end(listener->stream);
	} else if (listener->from_now) {
		recovered(&listener->feed, 0, offset);
	}
}

/* ---- what the feed gives ---- */

static enum err send_take(struct listener *listener, struct frame *frame)
{
	/* What is left out has to be seen to be missing. */
	enum err err = frame != NULL ? http_stream_send_take(listener->stream, frame) : ERR_MEMORY;
	if (err != ERR_OK) {
		http_stream_end(listener->stream);
	}
	return err;
}

static bool sees(struct feed *feed, const struct bus_event *event)
{
	return ops_event_visible(feed->guild, &listener_of(feed)->check.caller, event);
}

static enum err send(struct feed *feed, struct bus_event *event)
{
	struct frame *frame = bus_event_frame(feed->guild->bus, event, BUS_FORM_SSE);
	enum err err = send_take(listener_of(feed), frame != NULL ? frame_hold(frame) : NULL);
	if (err == ERR_OK) {
		ops_event_delivered(feed->guild, feed->loop, &listener_of(feed)->check.caller, event);
	}
	return err;
}

static void broken(struct feed *feed)
{
	http_stream_end(listener_of(feed)->stream);
}

static void gap(struct feed *feed, int64_t from, int64_t to)
{
	char id[48], text[160];
	snprintf(id, sizeof(id), "%lld:%lld", (long long)feed->guild->epoch, (long long)to);
	snprintf(text, sizeof(text), "{\"type\":\"gap\",\"from\":%lld,\"to\":%lld,\"epoch\":%lld}", (long long)from, (long long)to,
		 (long long)feed->guild->epoch);
	feed->dead = send_take(listener_of(feed), http_sse_frame(str_of(id), STR("gap"), str_of(text))) != ERR_OK || feed->dead;
}

static void recovered(struct feed *feed, int64_t count, int64_t offset)
{
	char id[48], text[160];
	snprintf(id, sizeof(id), "%lld:%lld", (long long)feed->guild->epoch, (long long)offset);
	snprintf(text, sizeof(text), "{\"type\":\"recovered\",\"count\":%lld,\"offset\":%lld,\"epoch\":%lld}", (long long)count,
		 (long long)offset, (long long)feed->guild->epoch);
	feed->dead = send_take(listener_of(feed), http_sse_frame(str_of(id), STR("recovered"), str_of(text))) != ERR_OK || feed->dead;
}

static size_t queued_bytes(struct feed *feed)
{
	return http_stream_queued_bytes(listener_of(feed)->stream);
}

static void on_drained(struct http_stream *stream, void *owner)
{
	struct listener *listener = owner;
	(void)stream;
	feed_drained(&listener->feed);
}

static void on_closed(struct http_stream *stream, void *owner)
{
	struct listener *listener = owner;
	(void)stream;
	feed_fini(&listener->feed);
}

/* ---- POST ---- */

void events_post_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct publish_input input = {.topics = json_member(request->body, STR("topics")), .type = STR(""),
				      .data = json_member(request->body, STR("data"))};
	struct bus_event *event;
	const char *detail = NULL;
	if (!govern_read(guild, request, "publish")) {
		return;
	}
	(void)http_body_str(request, "type", &input.type);
	enum err err = publish_make(guild, &request->caller, &input, &event, &detail);
	if (err == ERR_INVALID) {
		http_reply_invalid(request, "", detail);
	} else if (err != ERR_OK) {
		http_reply_error(request, err, detail);
	} else {
		/* On its way before the answer: whoever waits for that and publishes again, through another loop, is heard in order. */
		bus_publish_take(guild->bus, event);
		http_reply_empty(request, 202);
	}
}
