/*
 * openapi.c - the OpenAPI 3.1 document, from the rows that dispatch requests and the rows of schemas.def.
 *
 * What a row does not say is not in the document either: there is no second list to keep in step.
 */
#include "base/check.h"
#include "identity/identity.h"
#include "ops/ops_priv.h"

enum presence { ALWAYS, NULLABLE, OPTIONAL };

static const struct {
	const char *schema;
	const char *member;
	const char *type;
	enum presence presence;
	const char *doc;
} members[] = {
#define ROW(schema, member, type, presence, doc) {#schema, #member, type, presence, doc},
#include "ops/schemas.def"
#undef ROW
};
#define MEMBER_COUNT (sizeof(members) / sizeof(members[0]))

static void path_put(struct json_out *json, const struct http_route *const *tables, const char *path);
static void operation_put(struct json_out *json, const struct http_route *row);
static void type_put(struct json_out *json, struct str type, bool nullable);

static void put(struct json_out *json, const char *name, const char *value)
{
	json_put_str(json, str_of(name), str_of(value));
}

static void object(struct json_out *json, const char *name)
{
	json_name(json, str_of(name));
	json_object(json);
}

static void reference_put(struct json_out *json, struct str schema)
{
	struct buf text;
	buf_init(&text, 256);
	buf_format(&text, "#/components/schemas/%.*s", STR_FMT(schema));
	json_put_str(json, STR("$ref"), buf_str(&text));
	buf_fini(&text);
}

/* ---- components ---- */

bool openapi_schema_known(struct str name)
{
	for (size_t i = 0; i < MEMBER_COUNT; i++) {
		if (str_eq(str_of(members[i].schema), name)) {
			return true;
		}
	}
	return false;
}

/* "string", or ["string","null"]. */
static void plain_type_put(struct json_out *json, struct str type, bool nullable)
{
	json_name(json, STR("type"));
	if (!nullable) {
		json_str(json, type);
		return;
	}
	json_array(json);
	json_str(json, type);
	json_str(json, STR("null"));
	json_array_end(json);
}

/* The members of a schema object, without its braces. */
static void type_put(struct json_out *json, struct str type, bool nullable)
{
	if (str_eq(type, STR("any"))) {
		return;
	}
	if (str_ends(type, STR("[]"))) {
		plain_type_put(json, STR("array"), nullable);
		object(json, "items");
		type_put(json, str_sub(type, 0, type.len - 2), false);
		json_object_end(json);
		return;
	}
	if (str_eq(type, STR("time"))) {
		plain_type_put(json, STR("string"), nullable);
		put(json, "format", "date-time");
		return;
	}
	if (!openapi_schema_known(type)) {
		plain_type_put(json, type, nullable);
		return;
	}
	if (!nullable) {
		reference_put(json, type);
		return;
	}
	json_name(json, STR("anyOf"));
	json_array(json);
	json_object(json);
	reference_put(json, type);
	json_object_end(json);
	json_object(json);
	put(json, "type", "null");
	json_object_end(json);
	json_array_end(json);
}

static void schema_put(struct json_out *json, size_t from)
{
	const char *schema = members[from].schema;
	object(json, schema);
	put(json, "type", "object");
	object(json, "properties");
	size_t end = from;
	for (; end < MEMBER_COUNT && str_eq(str_of(members[end].schema), str_of(schema)); end++) {
		object(json, members[end].member);
		type_put(json, str_of(members[end].type), members[end].presence != ALWAYS);
		put(json, "description", members[end].doc);
		json_object_end(json);
	}
	json_object_end(json);
	json_name(json, STR("required"));
	json_array(json);
	for (size_t i = from; i < end; i++) {
		if (members[i].presence != OPTIONAL) {
			json_str(json, str_of(members[i].member));
		}
	}
	json_array_end(json);
	json_object_end(json);
}

static void problem_put(struct json_out *json, const char *schema, const char *description)
{
	object(json, schema);
	put(json, "description", description);
	object(json, "content");
	object(json, "application/problem+json");
	object(json, "schema");
	if (strcmp(schema, "problem") != 0) {
		json_name(json, STR("anyOf"));
		json_array(json);
		json_object(json);
		reference_put(json, str_of(schema));
		json_object_end(json);
		json_object(json);
		reference_put(json, STR("problem"));
		json_object_end(json);
		json_array_end(json);
	} else {
		reference_put(json, str_of(schema));
	}
	json_object_end(json);
	json_object_end(json);
	json_object_end(json);
	json_object_end(json);
}

static void components_put(struct json_out *json)
{
	object(json, "components");
	object(json, "securitySchemes");
	object(json, "bearer");
	put(json, "type", "http");
	put(json, "scheme", "bearer");
	json_object_end(json);
	json_object_end(json);
	object(json, "schemas");
	for (size_t i = 0; i < MEMBER_COUNT; i++) {
		if (i == 0 || !str_eq(str_of(members[i].schema), str_of(members[i - 1].schema))) {
			schema_put(json, i);
		}
	}
	json_object_end(json);
	object(json, "responses");
	problem_put(json, "problem", "What went wrong (RFC 9457).");
	problem_put(json, "run_problem", "What went wrong with a run that was asked for, or with the request (a problem).");
	json_object_end(json);
	json_object_end(json);
}

/* ---- members of bodies and parameters ---- */

static void bounds_put(struct json_out *json, const struct http_member *row, const char *least, const char *most)
{
	if (row->min == 0 && row->max == 0) {
		return;
	}
	json_put_int(json, str_of(least), row->min);
	if (row->max != 0 || row->min <= 0) {
		json_put_int(json, str_of(most), row->max);
	}
}

static void words_put(struct json_out *json, const struct http_member *row, bool nullable)
{
	if (row->words == NULL) {
		return;
	}
	json_name(json, STR("enum"));
	json_array(json);
	for (const char *const *word = row->words; *word != NULL; word++) {
		json_str(json, str_of(*word));
	}
	if (nullable) {
		json_null(json);
	}
	json_array_end(json);
}

static void kind_put(struct json_out *json, const struct http_member *row, bool nullable)
{
	static const char *const types[] = {[HTTP_STRING] = "string", [HTTP_INT] = "integer",	[HTTP_BOOL] = "boolean",
					    [HTTP_REAL] = "number",   [HTTP_OBJECT] = "object", [HTTP_ARRAY] = "array"};
	if (row->kind == HTTP_ANY) {
		return;
	}
	plain_type_put(json, str_of(types[row->kind]), nullable);
	if (row->kind == HTTP_STRING) {
		bounds_put(json, row, "minLength", "maxLength");
		words_put(json, row, nullable);
	} else if (row->kind == HTTP_ARRAY) {
		bounds_put(json, row, "minItems", "maxItems");
		object(json, "items");
		words_put(json, row, false);
		json_object_end(json);
	} else if (row->kind == HTTP_INT || row->kind == HTTP_REAL) {
		bounds_put(json, row, "minimum", "maximum");
	}
}

static void body_put(struct json_out *json, const struct http_route *row)
{
	object(json, "requestBody");
	json_put_bool(json, STR("required"), (row->flags & HTTP_BODY_OPTIONAL) == 0);
	object(json, "content");
	object(json, "application/json");
	object(json, "schema");
	put(json, "type", "object");
	json_put_bool(json, STR("additionalProperties"), false);
	object(json, "properties");
	for (const struct http_member *member = row->body; member->name != NULL; member++) {
		object(json, member->name);
		kind_put(json, member, !member->required);
		put(json, "description", member->doc);
		json_object_end(json);
	}
	json_object_end(json);
	json_name(json, STR("required"));
	json_array(json);
	for (const struct http_member *member = row->body; member->name != NULL; member++) {
		if (member->required) {
			json_str(json, str_of(member->name));
		}
	}
	json_array_end(json);
	json_object_end(json);
	json_object_end(json);
	json_object_end(json);
	json_object_end(json);
}

/* Of what has an effect. */
static void key_put(struct json_out *json)
{
	json_object(json);
	put(json, "name", "Idempotency-Key");
	put(json, "in", "header");
	json_put_bool(json, STR("required"), false);
	put(json, "description", "visible ASCII; the request is done once for 48 hours, and the same one again gets the first answer");
	object(json, "schema");
	put(json, "type", "string");
	json_put_int(json, STR("minLength"), 1);
	json_put_int(json, STR("maxLength"), IDEM_KEY_MAX);
	json_object_end(json);
	json_object_end(json);
}

/* "{id}" segments of the path, then the query, then the header. */
static void parameters_put(struct json_out *json, const struct http_route *row)
{
	struct str rest = str_of(row->path), segment;
	json_name(json, STR("parameters"));
	json_array(json);
	while (str_split(&rest, '/', &segment)) {
		if (!str_starts(segment, STR("{"))) {
			continue;
		}
		json_object(json);
		json_put_str(json, STR("name"), str_sub(segment, 1, segment.len - 2));
		put(json, "in", "path");
		json_put_bool(json, STR("required"), true);
		object(json, "schema");
		put(json, "type", "string");
		json_object_end(json);
		json_object_end(json);
	}
	for (const struct http_member *member = row->query; member != NULL && member->name != NULL; member++) {
		json_object(json);
		put(json, "name", member->name);
		put(json, "in", "query");
		json_put_bool(json, STR("required"), member->required);
		put(json, "description", member->doc);
		if (member->kind == HTTP_ARRAY) {
			put(json, "style", "form");
			json_put_bool(json, STR("explode"), false);
		}
		object(json, "schema");
		kind_put(json, member, false);
		json_object_end(json);
		json_object_end(json);
	}
	if (row->method == HTTP1_POST && (row->flags & HTTP_HARMLESS) == 0) {
		key_put(json);
	}
	json_array_end(json);
}

/* ---- replies ---- */

/* "agent", "list:agent". */
static void reply_schema_put(struct json_out *json, struct str reply)
{
	object(json, "schema");
	if (str_starts(reply, STR("list:"))) {
		put(json, "type", "object");
		object(json, "properties");
		object(json, "items");
		put(json, "type", "array");
		object(json, "items");
		type_put(json, str_sub(reply, 5, reply.len), false);
		json_object_end(json);
		json_object_end(json);
		object(json, "next_cursor");
		plain_type_put(json, STR("string"), true);
		json_object_end(json);
		object(json, "has_more");
		put(json, "type", "boolean");
		json_object_end(json);
		json_object_end(json);
		json_name(json, STR("required"));
		json_raw(json, STR("[\"items\",\"next_cursor\",\"has_more\"]"));
	} else {
		type_put(json, openapi_schema_known(reply) ? reply : STR("object"), false);
	}
	json_object_end(json);
}

static void text_content_put(struct json_out *json, const char *type)
{
	object(json, type);
	object(json, "schema");
	put(json, "type", "string");
	json_object_end(json);
	json_object_end(json);
}

/* A run may be asked for as a stream; "stream" rows answer with nothing else. */
static void reply_put(struct json_out *json, const struct http_route *row, int status)
{
	struct str reply = row->reply != NULL ? str_of(row->reply) : STR_NONE;
	struct buf text;
	buf_init(&text, 16);
	buf_format(&text, "%d", status);
	json_name(json, buf_str(&text));
	buf_fini(&text);
	json_object(json);
	put(json, "description", (row->flags & HTTP_UPGRADE) != 0 ? "Goes on as a WebSocket."
				 : status != row->reply_status	  ? "It was so already."
								  : "Done.");
	bool is_stream = str_eq(reply, STR("stream"));
	if (reply.at != NULL || (row->flags & HTTP_TEXT) != 0) {
		object(json, "content");
		if ((row->flags & HTTP_TEXT) != 0) {
			text_content_put(json, "text/plain");
		} else if (!is_stream) {
			object(json, "application/json");
			reply_schema_put(json, reply);
			json_object_end(json);
		}
		if (is_stream || str_eq(reply, STR("run"))) {
			text_content_put(json, "text/event-stream");
		}
		json_object_end(json);
	}
	json_object_end(json);
}

/* ---- operations ---- */

static const char *method_word(enum http1_method method)
{
	switch (method) {
	case HTTP1_GET:
		return "get";
	case HTTP1_POST:
		return "post";
	case HTTP1_PUT:
		return "put";
	case HTTP1_PATCH:
		return "patch";
	case HTTP1_DELETE:
		return "delete";
	default:
		return "head";
	}
}

/* "get_v1_agents_id" */
static void operation_id_put(struct json_out *json, const struct http_route *row)
{
	struct buf text;
	buf_init(&text, 512);
	buf_put_str(&text, str_of(method_word(row->method)));
	for (const char *c = row->path; *c != '\0'; c++) {
		bool word = (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '_';
		if (word || *c == '/') {
			buf_put_byte(&text, word ? *c : '_');
		}
	}
	json_put_str(json, STR("operationId"), buf_str(&text));
	buf_fini(&text);
}

static void operation_put(struct json_out *json, const struct http_route *row)
{
	object(json, method_word(row->method));
	operation_id_put(json, row);
	put(json, "summary", row->summary != NULL ? row->summary : "");
	json_name(json, STR("security"));
	json_raw(json, (row->flags & HTTP_OPEN) != 0 ? STR("[{},{\"bearer\":[]}]") : STR("[{\"bearer\":[]}]"));
	if ((row->flags & HTTP_OPEN) == 0) {
		json_put_str(json, STR("x-role"), role_word(row->role_min));
	}
	json_put_str(json, STR("x-scope"), scope_word(row->scope));
	json_put_bool(json, STR("x-agents"), (row->flags & HTTP_AGENT_OK) != 0);
	if (row->action != NULL) {
		put(json, "x-action", row->action);
	}
	parameters_put(json, row);
	if (row->body != NULL) {
		body_put(json, row);
	}
	object(json, "responses");
	reply_put(json, row, row->reply_status);
	if ((row->flags & HTTP_EXISTED) != 0) {
		reply_put(json, row, 200);
	}
	object(json, "default");
	bool is_run = row->reply != NULL && strcmp(row->reply, "run") == 0;
	put(json, "$ref", is_run ? "#/components/responses/run_problem" : "#/components/responses/problem");
	json_object_end(json);
	json_object_end(json);
	json_object_end(json);
}

static void path_put(struct json_out *json, const struct http_route *const *tables, const char *path)
{
	object(json, path);
	for (const struct http_route *const *table = tables; *table != NULL; table++) {
		for (const struct http_route *row = *table; row->path != NULL; row++) {
			if (str_eq(str_of(row->path), str_of(path))) {
				operation_put(json, row);
			}
		}
	}
	json_object_end(json);
}

/* The first row of a path stands for all of them. */
static bool is_first(const struct http_route *const *tables, const struct http_route *of)
{
	for (const struct http_route *const *table = tables; *table != NULL; table++) {
		for (const struct http_route *row = *table; row->path != NULL; row++) {
			if (str_eq(str_of(row->path), str_of(of->path))) {
				return row == of;
			}
		}
	}
	return false;
}

enum err openapi_render(const struct http_route *const *tables, struct buf *out)
{
	struct json_out json;
	json_begin(&json, out);
	json_object(&json);
	put(&json, "openapi", "3.1.0");
	object(&json, "info");
	put(&json, "title", "Guild");
	put(&json, "version", GUILD_VERSION);
	put(&json, "description", "Governed AI agents: chat, streams, history, audit.");
	json_object_end(&json);
	object(&json, "paths");
	for (const struct http_route *const *table = tables; *table != NULL; table++) {
		for (const struct http_route *row = *table; row->path != NULL; row++) {
			if (is_first(tables, row)) {
				path_put(&json, tables, row->path);
			}
		}
	}
	json_object_end(&json);
	components_put(&json);
	json_object_end(&json);
	return buf_err(out);
}
