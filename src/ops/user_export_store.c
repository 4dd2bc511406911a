/*
 * user_export_store.c - the sections of an export, as a table: each walks a table by windows of its keys, and gives what is the person's in them.
 *
 * Every statement takes ?1 after, ?2 upto and (rows) ?3 the person; its first column is the key.
 */
#include "base/timefmt.h"
#include "command/erase.h"
#include "execution/execution.h"
#include "ops/user_export_priv.h"

enum column_kind { TEXT, KEY, TIME, COUNT, FLAG, JSON, STATUS };

struct column {
	const char *name;
	enum column_kind kind;
	int id_kind; /* of KEY */
};

enum { COLUMNS_MAX = 12, ROWS_LIGHT = 500, ROWS_HEAVY = 16 };

struct section {
	const char *type;
	int rows; /* of a window */
	struct db_sql end, query;
	struct column columns[COLUMNS_MAX]; /* ends with name NULL */
};

#define END(table, key) {"SELECT " key " FROM " table " WHERE " key " > ?1 ORDER BY " key " LIMIT 1 OFFSET ?2"}
#define OF(key) " WHERE " key " > ?1 AND " key " <= ?2 AND "

static const struct section sections[] = {
	{"user", ROWS_LIGHT, END("principal", "id"), {"SELECT id, name, external_id, specialty, created_at FROM principal" OF("id") "id = ?3"},
	 {{"id", KEY, ID_PRINCIPAL}, {"name", TEXT, 0}, {"external_id", TEXT, 0}, {"specialty", JSON, 0}, {"created_at", TIME, 0}}},
	{"token", ROWS_LIGHT, END("token", "id"),
	 {"SELECT id, label, created_at, expires_at, revoked_at FROM token" OF("id") "principal = ?3 ORDER BY id"},
	 {{"id", KEY, ID_TOKEN}, {"label", TEXT, 0}, {"created_at", TIME, 0}, {"expires_at", TIME, 0}, {"revoked_at", TIME, 0}}},
	{"agent", ROWS_LIGHT, END("agent", "id"),
	 {"SELECT id, name, handle, description, category, system_prompt, configuration, created_at FROM agent" OF("id") "owner = ?3 ORDER BY id"},
	 {{"id", KEY, ID_AGENT}, {"name", TEXT, 0}, {"handle", TEXT, 0}, {"description", TEXT, 0}, {"category", TEXT, 0}, {"system_prompt", TEXT, 0},
	  {"configuration", JSON, 0}, {"created_at", TIME, 0}}},
	{"session", ROWS_LIGHT, END("session", "id"),
	 {"SELECT id, agent, title, message_count, created_at, updated_at FROM session" OF("id") "owner = ?3 ORDER BY id"},
	 {{"id", KEY, ID_SESSION}, {"agent_id", KEY, ID_AGENT}, {"title", TEXT, 0}, {"message_count", COUNT, 0}, {"created_at", TIME, 0},
	  {"updated_at", TIME, 0}}},
	{"execution", ROWS_HEAVY, END("turn", "id"),
	 {"SELECT id, session, agent, agent_name, status, message, answer, provider, model, started_at, ended_at FROM turn" OF("id")
	  "owner = ?3 ORDER BY id"},
	 {{"id", KEY, ID_EXECUTION}, {"session_id", KEY, ID_SESSION}, {"agent_id", KEY, ID_AGENT}, {"agent_name", TEXT, 0}, {"status", STATUS, 0},
	  {"message", TEXT, 0}, {"answer", TEXT, 0}, {"provider", TEXT, 0}, {"model", TEXT, 0}, {"started_at", TIME, 0}, {"ended_at", TIME, 0}}},
	{"post", ROWS_LIGHT, END("post", "id"),
	 {"SELECT id, CASE WHEN reply_to = 0 THEN NULL ELSE reply_to END, content, mentions, reply_count, reaction_count, created_at FROM post"
	  OF("id") "author = ?3 AND deleted_at IS NULL ORDER BY id"},
	 {{"id", KEY, ID_POST}, {"reply_to", KEY, ID_POST}, {"content", TEXT, 0}, {"mentions", JSON, 0}, {"reply_count", COUNT, 0},
	  {"reaction_count", COUNT, 0}, {"created_at", TIME, 0}}},
	{"reaction", ROWS_LIGHT, END("reaction_sum", "post"),
	 {"SELECT s.post, s.emoji FROM reaction_sum s JOIN reaction r ON r.post = s.post AND r.emoji = s.emoji AND r.actor = ?3 "
	  "WHERE s.post > ?1 AND s.post <= ?2 ORDER BY s.post, s.emoji"},
	 {{"post_id", KEY, ID_POST}, {"emoji", TEXT, 0}}},
	{"direct_message", ROWS_LIGHT, END("direct_message", "id"),
	 {"SELECT id, sender, CASE WHEN sender_kind = 2 THEN 1 ELSE 0 END, recipient, CASE WHEN recipient_kind = 2 THEN 1 ELSE 0 END, content, "
	  "created_at, read_at FROM direct_message" OF("id")
	  "((sender = ?3 AND sender_deleted = 0) OR (recipient = ?3 AND recipient_deleted = 0)) ORDER BY id"},
	 {{"id", KEY, ID_DIRECT_MESSAGE}, {"from_id", KEY, ID_PRINCIPAL}, {"from_agent", FLAG, 0}, {"to_id", KEY, ID_PRINCIPAL},
	  {"to_agent", FLAG, 0}, {"content", TEXT, 0}, {"created_at", TIME, 0}, {"read_at", TIME, 0}}},
	{"channel", ROWS_LIGHT, END("channel", "id"),
	 {"SELECT c.id, c.name, c.display_name, c.description, m.joined_at FROM channel c JOIN channel_member m ON m.channel = c.id AND m.actor = ?3 "
	  "WHERE c.id > ?1 AND c.id <= ?2 ORDER BY c.id"},
	 {{"id", KEY, ID_CHANNEL}, {"name", TEXT, 0}, {"display_name", TEXT, 0}, {"description", TEXT, 0}, {"joined_at", TIME, 0}}},
	{"approval", ROWS_LIGHT, END("approval", "id"),
	 {"SELECT id, agent, action, arguments, reason, note, requested_at, decided_at FROM approval" OF("id")
	  "(requester = ?3 OR decided_by = ?3) ORDER BY id"},
	 {{"id", KEY, ID_APPROVAL}, {"agent_id", KEY, ID_AGENT}, {"action", TEXT, 0}, {"arguments", JSON, 0}, {"reason", TEXT, 0}, {"note", TEXT, 0},
	  {"requested_at", TIME, 0}, {"decided_at", TIME, 0}}},
	{"feedback", ROWS_LIGHT, END("feedback", "id"),
	 {"SELECT id, agent, execution, post, thumbs, rating, correction, note, created_at FROM feedback" OF("id")
	  "principal = ?3 ORDER BY id"},
	 {{"id", KEY, ID_FEEDBACK}, {"agent_id", KEY, ID_AGENT}, {"execution_id", KEY, ID_EXECUTION}, {"post_id", KEY, ID_POST},
	  {"thumbs", COUNT, 0}, {"rating", COUNT, 0}, {"correction", TEXT, 0}, {"note", TEXT, 0}, {"created_at", TIME, 0}}},
	{"audit_entry", ROWS_LIGHT, END("log", "seq"),
	 {"SELECT seq, time_at, action, entry FROM log" OF("seq") "principal = ?3 AND entry IS NOT NULL ORDER BY seq"},
	 {{"seq", COUNT, 0}, {"time", TIME, 0}, {"action", TEXT, 0}, {"entry", JSON, 0}}},
};
enum { SECTIONS = sizeof(sections) / sizeof(sections[0]) };

/* The other side of a message may be an agent: both kinds of id are in one column. */
static int id_kind_of(const struct section *section, struct db_stmt *stmt, int column)
{
	bool agent_follows = section->columns[column + 1].name != NULL && section->columns[column + 1].kind == FLAG;
	return agent_follows && db_int(stmt, column + 1) != 0 ? ID_AGENT : section->columns[column].id_kind;
}

static void value_put(struct user_export_place *place, const struct section *section, struct db_stmt *stmt, int at, struct json_out *json)
{
	const struct column *column = &section->columns[at];
	struct str name = str_of(column->name);
	struct id_text id;
	struct time_text time;
	if (db_is_null(stmt, at)) {
		json_put_null(json, name);
		return;
	}
	switch (column->kind) {
	case TEXT:
		json_put_str(json, name, db_text(stmt, at));
		break;
	case KEY:
		id = id_format(&place->guild->id_secret, id_kind_of(section, stmt, at), db_int(stmt, at));
		json_put_str(json, name, id_str(&id));
		break;
	case TIME:
		time = time_format(db_int(stmt, at));
		json_put_str(json, name, time_str(&time));
		break;
	case COUNT:
		json_put_int(json, name, db_int(stmt, at));
		break;
	case FLAG:
		json_put_bool(json, name, db_int(stmt, at) != 0);
		break;
	case JSON:
		json_put_raw(json, name, db_text(stmt, at));
		break;
	case STATUS:
		json_put_str(json, name, execution_status_word((int)db_int(stmt, at)));
		break;
	}
}

static void line_put(struct user_export_place *place, const struct section *section, struct db_stmt *stmt, struct buf *out)
{
	struct json_out json;
	json_begin(&json, out);
	json_object(&json);
	json_put_str(&json, STR("type"), str_of(section->type));
	for (int i = 0; section->columns[i].name != NULL; i++) {
		value_put(place, section, stmt, i, &json);
	}
	json_object_end(&json);
	buf_put_str(out, STR("\n"));
	place->lines++;
}

static void end_put(struct user_export_place *place, struct buf *out)
{
	struct json_out json;
	json_begin(&json, out);
	json_object(&json);
	json_put_str(&json, STR("type"), STR("end"));
	json_put_int(&json, STR("lines"), place->lines);
	json_object_end(&json);
	buf_put_str(out, STR("\n"));
	place->is_last = true;
}

enum err user_export_step(struct user_export_place *place, struct db *db, struct buf *out)
{
	const struct section *section = &sections[place->section];
	struct erase_step window = {.principal = place->principal, .after = place->after};
	int64_t upto;
	bool row = true;
	enum err err = erase_window(&window, db, &section->end, section->rows, &upto);
	if (err != ERR_OK) {
		return err;
	}
	struct db_stmt *stmt = db_use(db, &section->query);
	db_bind_int(stmt, 1, place->after);
	db_bind_int(stmt, 2, upto);
	db_bind_int(stmt, 3, place->principal);
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		line_put(place, section, stmt, out);
	}
	if (err != ERR_OK) {
		return err;
	}
	place->after = window.more ? upto : 0;
	place->section += !window.more;
	if (place->section == SECTIONS) {
		end_put(place, out);
	}
	return buf_err(out);
}
