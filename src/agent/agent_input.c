/* agent_input.c - bodies of POST and PATCH into agent records. */
#include "agent/agent_priv.h"
#include "base/limits.h"
#include "wire/utf8.h"

enum { CAPABILITIES_MAX = 64, CAPABILITY_CHARS_MAX = 100, MODEL_CHARS_MAX = 200, CONFIGURATION_BYTES_MAX = 65536 };

static bool invalid(struct http_request *request, const char *pointer, const char *detail)
{
	http_reply_invalid(request, pointer, detail);
	return false;
}

static bool too_big(struct http_request *request)
{
	http_reply_error(request, ERR_LIMIT, NULL);
	return false;
}

static bool name_read(struct http_request *request, struct agent *to)
{
	struct str name;
	if (!http_body_str(request, "name", &name)) {
		return true;
	}
	name = str_trim(name);
	if (name.len == 0 || utf8_length(name) > LIMIT_NAME_CHARS) {
		return invalid(request, "/name", "A name has 1 to 200 characters, not counting white space around it.");
	}
	if (!utf8_is_name(name)) {
		return invalid(request, "/name", "A name has something to be seen and no control characters.");
	}
	to->name = name;
	return true;
}

static bool category_read(struct http_request *request, struct agent *to)
{
	struct str category;
	if (!http_body_str(request, "category", &category)) {
		return true;
	}
	to->category = str_trim(category);
	return utf8_is_name(to->category) || invalid(request, "/category", "A category has something to be seen and no control characters.");
}

/* A text of the object that is given, given as null, or left out (then *text stays). */
static bool model_text(struct http_request *request, struct json value, const char *pointer, struct str *text)
{
	struct str given;
	if (json_kind(value) == JSON_NULL) {
		*text = STR_NONE;
		return true;
	}
	if (!json_get_str(value, &given) || !utf8_is_name(given) || utf8_length(given) > MODEL_CHARS_MAX) {
		return invalid(request, pointer, "It has to be a text of 1 to 200 characters, or null.");
	}
	*text = given;
	return true;
}

static bool model_read(struct http_request *request, struct agent *to)
{
	struct json model = json_member(request->body, STR("model")), value;
	if (!json_there(model)) {
		return true;
	}
	to->provider = to->model = STR_NONE;
	struct json_iter iter = json_iter(model);
	struct str name;
	while (json_kind(model) == JSON_OBJECT && json_next(&iter, &name, &value)) {
		bool good;
		if (str_eq(name, STR("provider"))) {
			good = model_text(request, value, "/model/provider", &to->provider);
		} else if (str_eq(name, STR("model"))) {
			good = model_text(request, value, "/model/model", &to->model);
		} else {
			struct str pointer = arena_format(&request->arena, "/model/%.*s", STR_FMT(name));
			good = invalid(request, pointer.at != NULL ? pointer.at : "/model", "There is no such member.");
		}
		if (!good) {
			return false;
		}
	}
	return true;
}

/* Writes the value again, compactly, into the request's arena. */
static bool value_keep(
	struct http_request *request, struct json value, size_t bytes_max, const char *pointer, struct str *out)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, bytes_max);
	json_begin(&json, &text);
	json_put_value(&json, value);
	bool fits = buf_err(&text) == ERR_OK;
	*out = fits ? arena_copy(&request->arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	if (!fits) {
		return invalid(request, pointer, "It is too large.");
	}
	return out->at != NULL ? true : too_big(request);
}

static bool capabilities_read(struct http_request *request, struct agent *to)
{
	struct json list = json_member(request->body, STR("capabilities")), value;
	if (json_kind(list) != JSON_ARRAY) {
		return true;
	}
	struct json_iter iter = json_iter(list);
	while (json_next(&iter, NULL, &value)) {
		struct str text;
		if (!json_get_str(value, &text) || !utf8_is_name(text) || utf8_length(text) > CAPABILITY_CHARS_MAX) {
			return invalid(request, "/capabilities", "Each capability is a text of 1 to 100 characters.");
		}
	}
	return value_keep(request, list, CAPABILITIES_MAX * CAPABILITY_CHARS_MAX * 6, "/capabilities", &to->capabilities);
}

static bool configuration_read(struct http_request *request, struct agent *to)
{
	struct json value = json_member(request->body, STR("configuration"));
	struct json durability = json_member(value, STR("durability"));
	struct str word = STR("");
	if (json_there(durability) &&
		(!json_get_str(durability, &word) || (!str_eq(word, STR("relaxed")) && !str_eq(word, STR("durable"))))) {
		http_reply_invalid(request, "/configuration/durability", "relaxed or durable is wanted here.");
		return false;
	}
	if (!json_there(value)) {
		return true;
	}
	if (json_kind(value) != JSON_OBJECT) {
		to->configuration = STR_NONE;
		return true;
	}
	return value_keep(request, value, CONFIGURATION_BYTES_MAX, "/configuration", &to->configuration);
}

/* What both bodies may hold. */
static bool fields_read(struct http_request *request, struct agent *to)
{
	(void)http_body_str(request, "description", &to->description);
	(void)http_body_bool(request, "auto_reply", &to->auto_reply);
	(void)http_body_int(request, "max_concurrent_runs", &to->max_concurrent_runs);
	struct json prompt = json_member(request->body, STR("system_prompt"));
	if (json_there(prompt) && !json_get_str(prompt, &to->system_prompt)) {
		to->system_prompt = STR_NONE;
	}
	return name_read(request, to) && category_read(request, to) && model_read(request, to) && capabilities_read(request, to) &&
		   configuration_read(request, to);
}

/* Is the handle with that number free? The writer has the last word. */
static bool handle_try(struct guild *guild, struct http_request *request, struct agent *to, unsigned number)
{
	to->handle = agent_handle_make(&request->arena, to->name, number);
	return to->handle.at == NULL || registry_by_handle(guild->registry, request->caller.workspace, to->handle) == NULL;
}

/* Numbers are given in order: by doubling and halving, the first free one is found also where thousands share a name. */
static bool handle_find(struct guild *guild, struct http_request *request, struct agent *to)
{
	unsigned taken = 0, number = 1;
	while (!handle_try(guild, request, to, number)) {
		taken = number;
		number *= 2;
	}
	while (number - taken > 1) {
		unsigned middle = taken + (number - taken) / 2;
		if (handle_try(guild, request, to, middle)) {
			number = middle;
		} else {
			taken = middle;
		}
	}
	(void)handle_try(guild, request, to, number);
	return to->handle.at != NULL ? true : too_big(request);
}

static bool handle_read(struct guild *guild, struct http_request *request, struct agent_edit *edit)
{
	struct agent *to = &edit->to;
	if (http_body_str(request, "handle", &to->handle)) {
		edit->handle_given = true;
		if (!agent_handle_valid(to->handle)) {
			return invalid(request, "/handle", "A handle has 1 to 64 of the characters a-z, 0-9, _ and -.");
		}
		return true;
	}
	return handle_find(guild, request, to);
}

bool agent_input_create(struct guild *guild, struct http_request *request, struct agent_edit *edit)
{
	struct agent *to = &edit->to;
	struct str word;
	*to = (struct agent){.workspace = request->caller.workspace,
		.owner = request->caller.principal,
		.maturity = MATURITY_STUDENT,
		.lifecycle = LIFECYCLE_ACTIVE,
		.kind = AGENT_HOSTED,
		.description = STR(""),
		.category = STR("general"),
		.capabilities = STR("[]")};
	if (!fields_read(request, to)) {
		return false;
	}
	if (http_body_str(request, "maturity", &word)) {
		(void)maturity_parse(word, &to->maturity);
	}
	if (http_body_str(request, "kind", &word) && str_eq_case(word, STR("external"))) {
		to->kind = AGENT_EXTERNAL;
	}
	if (to->maturity != MATURITY_STUDENT && !caller_is_admin(&request->caller)) {
		http_reply_error(request, ERR_PERMISSION, "Only an admin makes agents above student.");
		return false;
	}
	to->confidence_e4 = maturity_lift_e4(to->maturity);
	return handle_read(guild, request, edit);
}

bool agent_input_patch(struct http_request *request, struct agent_edit *edit)
{
	return fields_read(request, &edit->to);
}
