/* event.c - durable events as clients see them: CloudEvents 1.0 names inside an envelope with topics, offset and epoch. */
#include <stdio.h>

#include "base/buf.h"
#include "base/timefmt.h"
#include "command/command_priv.h"
#include "http/http.h"
#include "wire/json.h"

static struct frame *stream_render(const struct bus_event *event, enum bus_form form);
static void envelope_put(const struct command_options *options, const struct bus_event *event, struct json_out *json);

struct frame *command_event_render(void *ctx, const struct bus_event *event, enum bus_form form)
{
	const struct command_options *options = command_runner_options(ctx);
	struct buf text;
	if (event->seq != 0) {
		return stream_render(event, form);
	}
	struct json_out json;
	buf_init(&text, LIMIT_WS_MESSAGE_BYTES);
	json_begin(&json, &text);
	envelope_put(options, event, &json);
	struct frame *frame = NULL;
	if (buf_err(&text) == ERR_OK) {
		if (form == BUS_FORM_WS) {
			frame = websocket_frame(buf_str(&text));
		} else {
			char id[48];
			snprintf(id, sizeof(id), "%lld:%lld", (long long)*options->epoch, (long long)event->offset);
			frame = http_sse_frame(event->offset != 0 ? str_of(id) : STR(""), STR("event"), buf_str(&text));
		}
	}
	buf_fini(&text);
	return frame;
}

/* A numbered event of an execution is sent as it is; its source is "<execution>:<epoch>". */
static struct frame *stream_render(const struct bus_event *event, enum bus_form form)
{
	char id[128];
	size_t at = sizeof(id);
	if (form == BUS_FORM_WS) {
		return websocket_frame(event->data);
	}
	if (event->source.len > sizeof(id) - 24) {
		return NULL;
	}
	/* By hand, from the end: once a token, printf would be the dearest step of all. */
	for (int64_t rest = event->seq; rest > 0; rest /= 10) {
		id[--at] = (char)('0' + rest % 10);
	}
	id[--at] = ':';
	at -= event->source.len;
	memcpy(id + at, event->source.at, event->source.len);
	return http_sse_frame(str_make(id + at, sizeof(id) - at), event->type, event->data);
}

static void envelope_put(const struct command_options *options, const struct bus_event *event, struct json_out *json)
{
	struct time_text time = time_format(event->time_us);
	json_object(json);
	json_put_str(json, STR("type"), STR("event"));
	json_name(json, STR("topics"));
	json_array(json);
	for (unsigned i = 0; i < event->topic_count; i++) {
		json_str(json, event->topics[i]);
	}
	json_array_end(json);
	if (event->offset != 0) {
		json_put_int(json, STR("offset"), event->offset);
		json_put_int(json, STR("epoch"), *options->epoch);
	}
	json_name(json, STR("event"));
	json_object(json);
	json_put_str(json, STR("specversion"), STR("1.0"));
	if (event->offset != 0) {
		struct id_text id = id_format_log(options->id_secret, ID_EVENT, event->time_us, event->offset);
		json_put_str(json, STR("id"), id_str(&id));
	}
	json_put_str(json, STR("source"), event->source);
	json_put_str(json, STR("type"), event->type);
	json_put_str(json, STR("time"), time_str(&time));
	json_put_raw(json, STR("data"), event->data);
	json_object_end(json);
	json_object_end(json);
}
