/* event.c - published things: one allocation, counted; frames are rendered when first wanted. Topic names. */
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "bus/bus.h"
#include "bus/bus_priv.h"

static void frames_drop(struct frame *const *frames)
{
	for (int i = 0; i < BUS_FORM_COUNT; i++) {
		struct frame *frame = frames[i];
		frame_drop(&frame);
	}
}

static struct str copy(char **at, struct str s)
{
	if (s.at == NULL) {
		return STR_NONE;
	}
	struct str copied = str_make(*at, s.len);
	if (s.len > 0) {
		memcpy(*at, s.at, s.len);
	}
	*at += s.len;
	return copied;
}

static bool topics_valid(const struct bus_event_parts *parts)
{
	bool valid = parts->topic_count >= 1 && parts->topic_count <= LIMIT_TOPICS_EVENT;
	for (unsigned i = 0; valid && i < parts->topic_count; i++) {
		valid = bus_topic_valid(parts->topics[i]);
	}
	return valid;
}

enum err bus_event_make(const struct bus_event_parts *parts, struct bus_event **out)
{
	*out = NULL;
	if (!topics_valid(parts)) {
		frames_drop(parts->frames);
		return ERR_INVALID;
	}
	size_t hash_bytes = parts->hashes != NULL ? parts->topic_count * sizeof(uint64_t) : 0;
	size_t bytes = sizeof(struct bus_event) + parts->topic_count * sizeof(struct str) + hash_bytes;
	size_t head = bytes;
	for (unsigned i = 0; i < parts->topic_count; i++) {
		bytes += parts->topics[i].len;
	}
	bytes += parts->type.len + parts->source.len + parts->data.len;
	struct bus_event *event = mem_alloc(bytes);
	if (event == NULL) {
		frames_drop(parts->frames);
		return ERR_MEMORY;
	}
	struct str *topics = (struct str *)(event + 1);
	char *at = (char *)event + head;
	for (unsigned i = 0; i < parts->topic_count; i++) {
		topics[i] = copy(&at, parts->topics[i]);
	}
	if (parts->hashes != NULL) {
		uint64_t *hashes = (uint64_t *)(topics + parts->topic_count);
		memcpy(hashes, parts->hashes, hash_bytes);
		event->hashes = hashes;
	}
	atomic_init(&event->refs, 1);
	event->offset = parts->offset;
	event->time_us = parts->time_us;
	event->execution = parts->execution;
	event->seq = parts->seq;
	event->workspace = parts->workspace;
	event->audience = parts->audience;
	event->ends_stream = parts->ends_stream;
	event->type = copy(&at, parts->type);
	event->source = copy(&at, parts->source);
	event->data = copy(&at, parts->data);
	event->topic_count = parts->topic_count;
	event->topics = topics;
	for (int i = 0; i < BUS_FORM_COUNT; i++) {
		atomic_init(&event->frames[i], parts->frames[i]);
	}
	*out = event;
	return ERR_OK;
}

struct frame *bus_event_frame(struct bus *bus, struct bus_event *event, enum bus_form form)
{
	struct frame *there = atomic_load_explicit(&event->frames[form], memory_order_acquire);
	if (there != NULL) {
		return there;
	}
	struct frame *made = bus_render(bus, event, form);
	if (made == NULL) {
		return NULL;
	}
	/* Two loops may have rendered it at the same time: one of the two frames stays. */
	if (!atomic_compare_exchange_strong_explicit(&event->frames[form], &there, made, memory_order_acq_rel, memory_order_acquire)) {
		frame_drop(&made);
		return there;
	}
	return made;
}

struct bus_event *bus_event_hold(struct bus_event *event)
{
	atomic_fetch_add_explicit(&event->refs, 1, memory_order_relaxed);
	return event;
}

void bus_event_drop(struct bus_event **event)
{
	struct bus_event *dropped = *event;
	*event = NULL;
	if (dropped == NULL) {
		return;
	}
	unsigned before = atomic_fetch_sub_explicit(&dropped->refs, 1, memory_order_acq_rel);
	check(before > 0);
	if (before > 1) {
		return;
	}
	for (int i = 0; i < BUS_FORM_COUNT; i++) {
		struct frame *frame = atomic_load_explicit(&dropped->frames[i], memory_order_relaxed);
		frame_drop(&frame);
	}
	mem_free(dropped);
}

/* A table, because every event checks its topics' names byte by byte. */
static const bool topic_bytes[256] = {
	['a' ... 'z'] = true, ['A' ... 'Z'] = true, ['0' ... '9'] = true, ['_'] = true, ['.'] = true,
	[':'] = true,	      ['@'] = true,	     ['/'] = true,	   ['-'] = true,
};

bool bus_topic_valid(struct str topic)
{
	bool valid = topic.len >= 1 && topic.len <= LIMIT_TOPIC_BYTES;
	for (size_t i = 0; valid && i < topic.len; i++) {
		valid = topic_bytes[(unsigned char)topic.at[i]];
	}
	return valid;
}

bool bus_topic_reserved(struct str topic)
{
	static const struct str names[] = {{"global", 6}, {"alerts", 6}};
	static const struct str starts[] = {{"agent:", 6}, {"approval:", 9}, {"category:", 9}, {"channel:", 8}, {"post:", 5},
					    {"user:", 5},  {"execution:", 10}, {"workspace:", 10}};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (str_eq(topic, names[i])) {
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		if (str_starts(topic, starts[i])) {
			return true;
		}
	}
	return false;
}
