/* message_api.c - /v1/direct-messages and /v1/blocks: rows, and the lists of messages. */
#include "social/message_priv.h"

static const char *const type_words[] = {"command", "question", "response", "note", NULL};

static const struct http_member send_members[] = {
	{"to_agent_id", HTTP_STRING, false, 1, 255, NULL, "id or handle of the agent it is for; this or to_user_id"},
	{"to_user_id", HTTP_STRING, false, 1, 255, NULL, "id of the user it is for, or the name that an embedding program gave"},
	{"content", HTTP_STRING, true, 1, LIMIT_POST_CHARS, NULL, "the text; personal data is redacted before it is kept"},
	{"message_type", HTTP_STRING, false, 0, 0, type_words, "note when absent"},
	{"skip_redaction", HTTP_BOOL, false, 0, 0, NULL, "keep the text as it is; for admins, and in the audit log"},
	{.name = NULL},
};
static const struct http_member list_query[] = {
	QUERY_LIST_MEMBERS,
	{"with", HTTP_STRING, false, 1, 255, NULL, "both directions with this agent (id or handle) or user (id)"},
	{"unread", HTTP_BOOL, false, 0, 0, NULL, "true: only those that the caller got and has not read"},
	{"sent", HTTP_BOOL, false, 0, 0, NULL, "true: those that the caller wrote"},
	{.name = NULL},
};
static const struct http_member read_all_members[] = {
	{"with", HTTP_STRING, false, 1, 255, NULL, "only those from this agent (id or handle) or user (id)"},
	{.name = NULL},
};
static const struct http_member block_query[] = {QUERY_LIST_MEMBERS, {.name = NULL}};

/* ---- the inbox, what was sent, a thread: newest first ---- */

struct message_query {
	struct query query; /* first */
	int64_t actor, other;
	enum message_scan scans[2];
	unsigned scan_count;
	bool only_unread;
	int64_t seen;
	unsigned shown_count;  /* shown to their recipient for the first time */
	int64_t shown[100];
};

struct head { /* of one scan */
	struct db_stmt *stmt;
	struct message message;
	bool there;
};

static void head_show(struct message_query *own, const struct message *message)
{
	message_json(own->query.guild, message, &own->query.json);
	if (message->to.key == own->actor && message->delivered_at_us == 0 &&
		own->shown_count < sizeof(own->shown) / sizeof(own->shown[0])) {
		own->shown[own->shown_count++] = message->id;
	}
}

/* False: the page ends here. */
static bool head_take(struct message_query *own, const struct message *message)
{
	bool unread = message->to.key == own->actor && message->read_at_us == 0;
	if (message_copy_there(message, own->actor) && (unread || !own->only_unread)) {
		if (!query_room(&own->query)) {
			return false;
		}
		head_show(own, message);
	}
	query_mark(&own->query, message->id, 0);
	if (++own->seen == LIMIT_SCAN_ROWS) {
		own->query.more = true;
		return false;
	}
	return true;
}

static enum err merge(struct message_query *own, struct head heads[2])
{
	for (;;) {
		struct head *newest = &heads[0];
		if (!newest->there || (heads[1].there && heads[1].message.id > newest->message.id)) {
			newest = &heads[1];
		}
		if (!newest->there || !head_take(own, &newest->message)) {
			return ERR_OK;
		}
		enum err err;
		newest->there = message_next(newest->stmt, &newest->message, &err);
		if (err != ERR_OK) {
			return err;
		}
	}
}

/* The reply's own member: how many wait to be read, whatever is listed. */
static enum err unread_put(struct message_query *own, struct db *db)
{
	int64_t unread = 0;
	enum err err = message_unread_count(db, own->actor, LIMIT_UNREAD, &unread);
	own->query.members = arena_format(&own->query.request->arena, "\"unread\":%lld", (long long)unread);
	return err != ERR_OK ? err : own->query.members.at != NULL ? ERR_OK : ERR_LIMIT;
}

static enum err list_run(struct query *query, struct db *db)
{
	struct message_query *own = (struct message_query *)query;
	struct head heads[2] = {{.there = false}, {.there = false}};
	enum err err = unread_put(own, db);
	for (unsigned i = 0; i < own->scan_count && err == ERR_OK; i++) {
		heads[i].stmt = message_scan(db, own->scans[i], own->actor, own->other, query->after[0]);
		heads[i].there = message_next(heads[i].stmt, &heads[i].message, &err);
	}
	if (err == ERR_OK) {
		err = merge(own, heads);
	}
	for (unsigned i = 0; i < 2; i++) {
		if (heads[i].there) {
			db_reset(heads[i].stmt);
		}
	}
	return err;
}

static void list_finish(struct query *query)
{
	struct message_query *own = (struct message_query *)query;
	for (unsigned i = 0; i < own->shown_count && query->job.result == ERR_OK; i++) {
		message_delivered(query->guild->social, query->request->loop, own->shown[i]);
	}
	query_reply(query);
}

static bool is_true(struct http_request *request, const char *name)
{
	struct str word;
	return http_query_str(request, name, &word) && str_eq(word, STR("true"));
}

static void scans_choose(struct message_query *own, bool with, bool sent)
{
	own->scan_count = 1;
	if (!with) {
		own->scans[0] = sent ? MESSAGES_SENT : own->only_unread ? MESSAGES_UNREAD : MESSAGES_INBOX;
		return;
	}
	own->scans[0] = sent ? MESSAGES_TO : MESSAGES_FROM;
	if (!sent && !own->only_unread) {
		own->scans[own->scan_count++] = MESSAGES_TO;
	}
}

static void handle_list(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct actor other = {0};
	struct str with = STR("");
	bool unread = is_true(request, "unread"), sent = is_true(request, "sent");
	if (!govern_read(guild, request, "inbox")) {
		return;
	}
	if (unread && sent) {
		http_reply_invalid(request, "sent", "Unread ones are those that the caller got, not those it sent.");
		return;
	}
	bool is_thread = http_query_str(request, "with", &with);
	if (is_thread && message_party_find(guild, &request->caller, with, &other) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return;
	}
	struct str filter = arena_format(&request->arena, "%lld:%d:%d", (long long)other.key, unread, sent);
	struct message_query *own = query_list_new(guild, request, filter, sizeof(*own));
	if (own != NULL) {
		own->actor = actor_of(&request->caller).key;
		own->other = other.key;
		own->only_unread = unread;
		own->query.finish = list_finish;
		scans_choose(own, is_thread, sent);
		query_submit(&own->query, list_run);
	}
}

const struct http_route social_message_routes[] = {
	{HTTP1_POST, "/v1/direct-messages", ROLE_MEMBER, SCOPE_MESSAGES, HTTP_AGENT_OK, "direct_message",
		"Sends a message to an agent or a user, who alone can read it.", send_members, NULL, "direct_message", 201,
		message_handle_send},
	{HTTP1_GET, "/v1/direct-messages", ROLE_VIEWER, SCOPE_MESSAGES, HTTP_AGENT_OK, "inbox",
		"Lists the messages that the caller got, newest first, or those with one other; counts the unread.", NULL,
		list_query, "direct_messages", 200, handle_list},
	{HTTP1_POST, "/v1/direct-messages/read", ROLE_MEMBER, SCOPE_MESSAGES, HTTP_AGENT_OK | HTTP_BODY_OPTIONAL, "mark_read",
		"Marks all messages as read that the caller has got, or those from one other.", read_all_members, NULL,
		"messages_read", 200, message_handle_read_all},
	{HTTP1_POST, "/v1/direct-messages/{id}/read", ROLE_MEMBER, SCOPE_MESSAGES, HTTP_AGENT_OK, "mark_read",
		"Marks a message as read, for its recipient; the first time stays.", NULL, NULL, "direct_message", 200,
		message_handle_read},
	{HTTP1_DELETE, "/v1/direct-messages/{id}", ROLE_MEMBER, SCOPE_MESSAGES, HTTP_AGENT_OK, "delete_message",
		"Deletes the caller's own copy of a message; the other's stays.", NULL, NULL, NULL, 204, message_handle_delete},
	{HTTP1_GET, "/v1/blocks", ROLE_VIEWER, SCOPE_MESSAGES, HTTP_AGENT_OK, "inbox", "Lists whose messages the caller does not accept.",
		NULL, block_query, "list:block", 200, block_handle_list},
	{HTTP1_PUT, "/v1/blocks/{id}", ROLE_MEMBER, SCOPE_MESSAGES, HTTP_AGENT_OK, "direct_message",
		"Accepts no more messages from an agent (id or handle) or a user (id).", NULL, NULL, "block", 200,
		block_handle_put},
	{HTTP1_DELETE, "/v1/blocks/{id}", ROLE_MEMBER, SCOPE_MESSAGES, HTTP_AGENT_OK, "direct_message",
		"Accepts messages from an agent or a user again.", NULL, NULL, NULL, 204, block_handle_delete},
	{.path = NULL},
};
