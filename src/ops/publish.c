/* publish.c - events that clients make: their types, their topics, the server's source and time. */
#include <stdio.h>

#include "ops/ops_priv.h"

#define DATA_BYTES_MAX 262144

static bool type_valid(struct str type)
{
	bool valid = type.len >= 3 && type.len <= 128 && str_starts(type, STR("x."));
	for (size_t i = 2; valid && i < type.len; i++) {
		char c = type.at[i];
		valid = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-';
	}
	return valid;
}

static enum err topics_read(struct guild *guild, const struct caller *caller, struct json list, struct topic_name *out, unsigned *count,
			    const char **detail)
{
	struct json_iter iter = json_iter(list);
	struct json element;
	enum err err = ERR_OK;
	while (err == ERR_OK && *count < LIMIT_TOPICS_EVENT && json_next(&iter, NULL, &element)) {
		struct str name = STR("");
		(void)json_get_str(element, &name);
		err = topic_publish_check(guild, caller, name, &out[(*count)++]);
	}
	*detail = err == ERR_INVALID	  ? "/topics: A topic is 1 to 255 bytes of A-Z, a-z, 0-9 and _.:@/-."
		  : err == ERR_PERMISSION ? "/topics: Only members of a channel publish in it."
		  : err == ERR_NOT_FOUND  ? "/topics: Clients publish on plain topics, global, alerts, category:, own channels, the own agent: or user:."
					  : NULL;
	return err;
}

/* One event is for one audience: what is said in a private channel is said nowhere else with the same event. */
static enum err audience_of(const struct topic_name *names, unsigned count, struct audience *out, const char **detail)
{
	*out = names[0].audience;
	for (unsigned i = 1; i < count; i++) {
		if (names[i].audience.a != out->a) {
			*detail = "/topics: A private channel is the only topic of its events.";
			return ERR_INVALID;
		}
	}
	return ERR_OK;
}

enum err publish_make(struct guild *guild, const struct caller *caller, const struct publish_input *input, struct bus_event **out,
		      const char **detail)
{
	struct topic_name names[LIMIT_TOPICS_EVENT];
	struct str topics[LIMIT_TOPICS_EVENT];
	unsigned count = 0;
	char source[64];
	if (!type_valid(input->type)) {
		*detail = "/event/type: The types of clients are x.<name>.";
		return ERR_INVALID;
	}
	struct audience audience = {0, 0};
	enum err err = topics_read(guild, caller, input->topics, names, &count, detail);
	err = err == ERR_OK ? audience_of(names, count, &audience, detail) : err;
	if (err != ERR_OK) {
		return err;
	}
	for (unsigned i = 0; i < count; i++) {
		topics[i] = topic_str(&names[i]);
	}
	struct id_text id = caller->agent != 0 ? id_format(&guild->id_secret, ID_AGENT, caller->agent)
					       : id_format(&guild->id_secret, ID_PRINCIPAL, caller->principal);
	snprintf(source, sizeof(source), "%s%s", caller->agent != 0 ? "/agents/" : "/users/", id.text);
	struct buf data;
	struct json_out json;
	buf_init(&data, DATA_BYTES_MAX);
	json_begin(&json, &data);
	if (json_there(input->data)) {
		json_put_value(&json, input->data);
	} else {
		json_null(&json);
	}
	err = buf_err(&data) == ERR_OK ? ERR_OK : data.too_long ? ERR_TOO_LARGE : ERR_MEMORY;
	if (err == ERR_OK) {
		struct bus_event_parts parts = {.topics = topics,
						.topic_count = count,
						.time_us = env_wall_us(guild->env),
						.workspace = caller->workspace,
						.audience = audience,
						.type = input->type,
						.source = str_of(source),
						.data = buf_str(&data)};
		err = bus_event_make(&parts, out);
	}
	buf_fini(&data);
	return err;
}
