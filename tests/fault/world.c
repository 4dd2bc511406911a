/* world.c - requests by chance, their answers, and whether the store keeps what they say. */
#include "world.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "audit/audit.h"
#include "base/metric.h"
#include "db/writer.h"
#include "db/reader.h"
#include "execution/execution.h"
#include "http/http.h"
#include "identity/identity.h"
#include "wire/json.h"

enum { STOP_TURNS = 64, QUIET_TURNS = 8, REQUESTS_MAX = 64 };

struct request {
	struct loop_note note;
	struct world *world;
	struct thing *thing; /* NULL: a query */
	bool taken, begun;
	int status;
	char method[8], target[160], body[256];
};

/* ---- time and chance ---- */

static struct {
	int64_t now_us;
	uint64_t seed;
} nature = {1800000000000000, 1};

static uint64_t mix(uint64_t *seed)
{
	*seed += 0x9e3779b97f4a7c15u;
	uint64_t z = *seed;
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static int64_t seeded_clock(void *ctx)
{
	(void)ctx;
	return nature.now_us += 1;
}

static void seeded_random(void *ctx, void *out, size_t len)
{
	char *at = out;
	(void)ctx;
	for (size_t i = 0; i < len; i++) {
		at[i] = (char)mix(&nature.seed);
	}
}

/* Takes the place of base/env.c, which the linker then has no need of. */
const struct env *env_real(void)
{
	static const struct env seeded = {seeded_clock, seeded_clock, seeded_random, NULL};
	return &seeded;
}

uint64_t world_chance(struct world *world, uint64_t bound)
{
	return mix(&world->seed) % bound;
}

void world_fail(const struct world *world, const char *format, ...)
{
	va_list arguments;
	printf("FAILED: ");
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	printf("\n  store %s\n  again with %s\n", world->path, world->course);
	fflush(stdout);
	_exit(1);
}

/* ---- the machine ---- */

static const struct world *current;

/* A bug that stopped the program: the course is what is needed. */
static void on_abort(int number)
{
	(void)number;
	dprintf(STDOUT_FILENO, "FAILED: aborted\n  again with %s\n", current != NULL ? current->course : "");
}

void world_open(struct world *world, uint64_t seed, const char *course)
{
	char detail[512];
	*world = (struct world){.seed = seed, .course = course};
	current = world;
	signal(SIGABRT, on_abort);
	nature.seed = seed ^ 0x5eed;
	nature.now_us = 1800000000000000;
	snprintf(world->dir, sizeof(world->dir), "%s/guild-fault-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	world->things = calloc(THINGS_MAX, sizeof(*world->things));
	world->requests = calloc(REQUESTS_MAX, sizeof(*world->requests));
	if (world->things == NULL || world->requests == NULL || mkdtemp(world->dir) == NULL) {
		world_fail(world, "no directory");
	}
	snprintf(world->path, sizeof(world->path), "%s/guild.db", world->dir);
	const struct config_flag flags[] = {{"server.data", world->dir}, {"server.loops", "1"}, {"server.readers", "1"},
					    {"log.level", "off"}, {"store.checkpoint", "1m"}, {"http.rate", "0"},
					    {"store.token_batch", "0.002"}};
	if (config_load(&world->config, NULL, (char *[]){NULL}, flags, sizeof(flags) / sizeof(flags[0]), detail) != ERR_OK) {
		world_fail(world, "settings: %s", detail);
	}
}

void world_close(struct world *world)
{
	char command[128];
	current = NULL;
	config_fini(&world->config);
	free(world->things);
	free(world->requests);
	snprintf(command, sizeof(command), "rm -rf '%s'", world->dir);
	if (system(command) != 0) {
		world_fail(world, "the directory cannot be removed");
	}
}

static bool route_is_there(struct world *world, const char *target)
{
	for (const struct http_route *const *table = http_server_routes(world->guild->http); *table != NULL; table++) {
		for (const struct http_route *row = *table; row->path != NULL; row++) {
			if (strcmp(row->path, target) == 0) {
				return true;
			}
		}
	}
	return false;
}

static enum err start(struct world *world, char *detail)
{
	char token[64];
	enum err err = guild_create(&world->config, false, &world->guild, token, detail);
	if (err == ERR_OK) {
		world->posts = route_is_there(world, "/v1/posts");
	} else {
		world->guild = NULL;
	}
	return err;
}

bool world_start(struct world *world)
{
	char detail[256];
	return start(world, detail) == ERR_OK;
}

void world_must_start(struct world *world)
{
	char detail[256];
	if (start(world, detail) != ERR_OK) {
		world_fail(world, "it does not start: %s", detail);
	}
}

void world_stop(struct world *world)
{
	/* What a stop of the threads does: jobs come to their end, well or not. Runs are left as they are. */
	for (int i = 0; i < STOP_TURNS && world->guild != NULL && world->asked > 0; i++) {
		world_turn(world);
	}
	if (world->guild != NULL) {
		guild_stop(&world->guild, 0);
	}
	memset(world->requests, 0, REQUESTS_MAX * sizeof(*world->requests));
	world->asked = 0;
}

void world_turn(struct world *world)
{
	nature.now_us += (int64_t)world_chance(world, 1000);
	(void)writer_turn(world->guild->writer);
	(void)reader_turn(world->guild->readers, 0);
	loop_turn(world->guild->loops[0], 0);
}

/* ---- requests ---- */

static void answer_read(struct thing *thing, struct str body)
{
	struct arena arena;
	struct json_doc doc;
	struct str value;
	bool success;
	arena_init(&arena, 1 << 24);
	if (json_parse(&arena, body, &doc, NULL) == ERR_OK) {
		struct json root = json_root(&doc);
		if (json_get_str(json_member(root, thing->kind == CHAT ? STR("execution_id") : STR("id")), &value)) {
			str_to_z(value, thing->id, sizeof(thing->id));
		}
		/* A run that failed has been answered, but promises no more than that. */
		if (thing->kind == CHAT && (!json_get_bool(json_member(root, STR("success")), &success) || !success)) {
			thing->state = UNKNOWN;
		} else if (thing->kind == CHAT && json_get_str(json_member(root, STR("response")), &value)) {
			thing->content = 3 + 8 * (uint64_t)value.len;
		}
	}
	arena_fini(&arena);
}

static void on_reply(void *ctx, int status, struct str content_type, struct str body)
{
	struct request *request = ctx;
	struct thing *thing = request->thing;
	(void)content_type;
	request->taken = false;
	request->status = status;
	request->world->asked--;
	if (thing == NULL) {
		return;
	}
	thing->status = status;
	if (status >= 200 && status < 300) {
		request->world->answered++;
		thing->state = THERE;
		answer_read(thing, body);
	} else if (status < 500) {
		/* A run that another message ended was there all the same. */
		thing->state = thing->kind == CHAT && status == 409 ? UNKNOWN : ABSENT;
	} else {
		request->world->refused++;
	}
}

static void request_run(struct loop_note *note, struct loop *loop)
{
	struct request *request = container_of(note, struct request, note);
	struct world *world = request->world;
	struct http_local_sink sink = {.reply = on_reply, .ctx = request};
	struct caller caller;
	request->begun = true;
	identity_caller(identity_operator(world->guild->identity), &caller);
	struct http_local_call call = {
		.method = str_of(request->method), .target = str_of(request->target), .body = str_of(request->body)};
	http_local_dispatch(world->guild->http, loop, &call, &caller, &sink);
}

/* Something of that kind that is there, or NULL. */
static struct thing *some(struct world *world, enum thing_kind kind)
{
	for (int tries = 0; tries < 16 && world->count > 0; tries++) {
		struct thing *thing = &world->things[world_chance(world, world->count)];
		if (thing->kind == kind && thing->state == THERE && thing->id[0] != '\0') {
			return thing;
		}
	}
	return NULL;
}

/* Fills in a request about thing; false when what it needs is not there. */
static bool request_fill(struct world *world, struct thing *thing, struct request *request)
{
	static const char *const formats[THING_KINDS] = {
		[SESSION] = "{\"title\":\"session-%zu\"}",      [CHAT] = "{\"message\":\"chat-%zu\"}",
		[AGENT] = "{\"name\":\"agent-%zu\"}",          [USER] = "{\"name\":\"user-%zu\",\"role\":\"member\"}",
		[CHANNEL] = "{\"name\":\"channel-%zu\"}",      [POST] = "{\"content\":\"post-%zu #common\"}",
		[REPLY] = "{\"content\":\"reply-%zu\"}"};
	static const char *const targets[THING_KINDS] = {
		[SESSION] = "/v1/sessions", [CHAT] = "/v1/chat",   [AGENT] = "/v1/agents",
		[USER] = "/v1/users",       [CHANNEL] = "/v1/channels", [POST] = "/v1/posts"};
	static const enum thing_kind needs[THING_KINDS] = {
		[CHAT] = SESSION, [JOIN] = CHANNEL, [REPLY] = POST, [REACTION] = POST, [DELETION] = SESSION};
	static const char *const busy_words[] = {"enqueue", "reject", "interrupt", "rollback"};
	struct thing *other = some(world, needs[thing->kind]);
	struct thing *user = some(world, USER);
	snprintf(request->method, sizeof(request->method), "POST");
	snprintf(request->target, sizeof(request->target), "%s", targets[thing->kind] != NULL ? targets[thing->kind] : "");
	if (formats[thing->kind] != NULL) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		snprintf(request->body, sizeof(request->body), formats[thing->kind], thing->number);
#pragma GCC diagnostic pop
	}
	thing->a = other != NULL ? (size_t)(other - world->things) : thing->number;
	switch (thing->kind) {
	case CHAT:
		if (other != NULL) {
			snprintf(request->body, sizeof(request->body), "{\"message\":\"chat-%zu\",\"session_id\":\"%s\",\"on_busy\":\"%s\"}",
				 thing->number, other->id, busy_words[world_chance(world, 4)]);
		}
		return true;
	case JOIN:
		if (other == NULL || user == NULL) {
			return false;
		}
		thing->b = (size_t)(user - world->things);
		snprintf(request->method, sizeof(request->method), "PUT");
		snprintf(request->target, sizeof(request->target), "/v1/channels/channel-%zu/members/%s", thing->a, user->id);
		return true;
	case MESSAGE:
		if (user != NULL) {
			snprintf(request->target, sizeof(request->target), "/v1/direct-messages");
			snprintf(request->body, sizeof(request->body), "{\"to_user_id\":\"%s\",\"content\":\"message-%zu\"}", user->id, thing->number);
		}
		return user != NULL && world->posts;
	case DELETION:
		if (other != NULL) {
			snprintf(request->method, sizeof(request->method), "DELETE");
			snprintf(request->target, sizeof(request->target), "/v1/sessions/%s", other->id);
		}
		return other != NULL;
	case POST:
		return world->posts;
	case REPLY:
	case REACTION:
		if (other != NULL) {
			snprintf(request->method, sizeof(request->method), "%s", thing->kind == REPLY ? "POST" : "PUT");
			snprintf(request->target, sizeof(request->target), "/v1/posts/%s/%s", other->id,
				 thing->kind == REPLY ? "replies" : "reactions/%F0%9F%91%8D");
		}
		return other != NULL && world->posts;
	default:
		return true;
	}
}

static struct request *request_new(struct world *world)
{
	struct request *request = world->requests;
	while (request < world->requests + REQUESTS_MAX && request->taken) {
		request++;
	}
	if (request == world->requests + REQUESTS_MAX || world->count == THINGS_MAX) {
		world_fail(world, "too many requests or things");
	}
	*request = (struct request){.taken = false};
	return request;
}

static void send(struct world *world, struct request *request)
{
	world->asked++;
	request->world = world;
	request->taken = true;
	request->note.run = request_run;
	loop_note_post(world->guild->loops[0], &request->note);
	while (!request->begun) {
		loop_turn(world->guild->loops[0], 0);
	}
}

struct thing *world_ask(struct world *world)
{
	static const enum thing_kind often[] = {CHAT, CHAT, CHAT, CHAT, SESSION, SESSION, AGENT, USER, CHANNEL, JOIN, JOIN,
						POST, POST, POST, REPLY, REPLY, REACTION, REACTION, MESSAGE, MESSAGE, DELETION};
	struct request *request = request_new(world);
	struct thing *thing = &world->things[world->count];
	do {
		*thing = (struct thing){.kind = often[world_chance(world, sizeof(often) / sizeof(often[0]))], .number = world->count};
	} while (!request_fill(world, thing, request));
	request->thing = thing;
	world->count++;
	send(world, request);
	return thing;
}

bool world_settle(struct world *world, int turns)
{
	int quiet = 0;
	for (int i = 0; i < turns && quiet < QUIET_TURNS; i++) {
		world_turn(world);
		bool busy = world->asked > 0 || engine_running(world->guild->engine, world->guild->loops[0]) > 0 ||
			    writer_queued(world->guild->writer) > 0;
		quiet = busy ? 0 : quiet + 1;
	}
	return quiet == QUIET_TURNS;
}

bool world_reads(struct world *world)
{
	struct request *request = request_new(world);
	snprintf(request->method, sizeof(request->method), "GET");
	snprintf(request->target, sizeof(request->target), "/v1/sessions?limit=5");
	send(world, request);
	for (int i = 0; i < TURNS_MAX && request->status == 0; i++) {
		world_turn(world);
	}
	return request->status == 200;
}

/* ---- the comparison ---- */

static const struct db_sql sql_whole[] = {
	{"SELECT count(*) FROM pragma_integrity_check WHERE integrity_check <> 'ok'"},
	{"SELECT count(*) FROM pragma_foreign_key_check"},
	/* numbers without a gap */
	{"SELECT coalesce(max(seq), 0) - count(*) FROM log"},
	/* a turn has a beginning and one end, and is over */
	{"SELECT count(*) FROM turn t LEFT JOIN (SELECT execution, sum(outcome = 1) AS b, sum(outcome <> 1) AS e FROM log WHERE execution <> 0 "
	 "GROUP BY execution) l ON l.execution = t.id WHERE t.status <= 2 OR l.b IS NOT 1 OR l.e IS NOT 1"},
	/* a beginning in the log has a turn, unless its session was deleted */
	{"SELECT count(*) FROM log WHERE execution <> 0 AND execution NOT IN (SELECT id FROM turn) AND session NOT IN "
	 "(SELECT session FROM log WHERE action = 'delete')"},
	/* sessions are in the log, and the log's are there */
	{"SELECT count(*) FROM session WHERE id NOT IN (SELECT session FROM log) OR id IN (SELECT session FROM log WHERE action = 'delete')"},
	{"SELECT count(*) FROM log WHERE session <> 0 AND session NOT IN (SELECT id FROM session) AND session NOT IN "
	 "(SELECT session FROM log WHERE action = 'delete')"},
	/* agents, users, channels: as many as the log has made; the operator came with the first row */
	{"SELECT (SELECT count(*) FROM agent) - (SELECT count(*) FROM log WHERE action = 'create' AND agent <> 0)"},
	{"SELECT (SELECT count(*) FROM principal WHERE kind = 1) - 1 - (SELECT count(*) FROM log WHERE action = 'create' AND agent = 0 AND "
	 "session = 0)"},
	{"SELECT (SELECT count(*) FROM channel) - (SELECT count(*) FROM log WHERE action = 'channel_create')"},
	{"SELECT (SELECT count(*) FROM channel_member) - (SELECT count(*) FROM log WHERE action IN ('channel_create', 'channel_join'))"},
	/* counters are what the rows say */
	{"SELECT count(*) FROM session s WHERE s.open_count <> (SELECT count(*) FROM turn WHERE session = s.id AND status <= 2) OR "
	 "s.message_count <> (SELECT coalesce(sum((1 - rolled_back) * (1 + has_answer)), 0) FROM turn WHERE session = s.id)"},
	{"SELECT count(*) FROM channel c WHERE c.member_count <> (SELECT count(*) FROM channel_member WHERE channel = c.id)"},
	{"SELECT count(*) FROM post p WHERE p.reply_count <> (SELECT count(*) FROM post WHERE reply_to = p.id AND deleted_at IS NULL) OR "
	 "p.reaction_count <> (SELECT count(*) FROM reaction WHERE post = p.id)"},
	{"SELECT count(*) FROM reaction_sum s WHERE s.actors <> (SELECT count(*) FROM reaction WHERE post = s.post AND emoji = s.emoji)"},
	{"SELECT (SELECT coalesce(sum(posts), 0) FROM trend WHERE topic = '#common') - "
	 "(SELECT count(*) FROM post WHERE content LIKE '%#common')"},
	{"SELECT (SELECT count(*) FROM post_tag WHERE tag = '#common') - "
	 "(SELECT count(*) FROM post WHERE content LIKE '%#common')"},
	{"SELECT count(*) FROM post WHERE reply_to <> 0 AND reply_to NOT IN (SELECT id FROM post)"},
};

static const struct db_sql sql_count[THING_KINDS] = {
	[SESSION] = {"SELECT count(*), 0 FROM session WHERE title = ?1"},
	[CHAT] = {"SELECT count(*), max(status + 8 * length(CAST(coalesce(answer, '') AS BLOB))) FROM turn WHERE message = ?1"},
	[AGENT] = {"SELECT count(*), 0 FROM agent WHERE name = ?1"},
	[USER] = {"SELECT count(*), 0 FROM principal WHERE name = ?1"},
	[CHANNEL] = {"SELECT count(*), 0 FROM channel WHERE name = ?1"},
	[JOIN] = {"SELECT count(*), 0 FROM channel_member m, channel c, principal p WHERE c.name = ?1 AND p.name = ?2 AND m.channel = c.id AND "
		  "m.actor = p.id"},
	[POST] = {"SELECT count(*), 0 FROM post WHERE content = ?1"},
	[REPLY] = {"SELECT count(*), 0 FROM post WHERE content = ?1"},
	[MESSAGE] = {"SELECT count(*), 0 FROM direct_message WHERE content = ?1"},
	[REACTION] = {"SELECT count(*), 0 FROM reaction r, post p WHERE p.content = ?1 AND r.post = p.id"},
};

/* Two requests may have asked for the same one: then it is there once for both. */
static bool shared(const struct thing *thing)
{
	return thing->kind == JOIN || thing->kind == REACTION;
}

/* How often it is there, and for a chat what came of it. */
static int64_t thing_find(struct world *world, const struct thing *thing, uint64_t *content)
{
	static const char *const words[THING_KINDS] = {"session-", "chat-", "agent-", "user-", "channel-",
							"channel-", "post-",  "reply-", "post-", "message-"};
	char name[48], second[32];
	bool row;
	snprintf(name, sizeof(name), "%s%zu%s", words[thing->kind], shared(thing) ? thing->a : thing->number,
		 thing->kind == POST || thing->kind == REACTION ? " #common" : "");
	snprintf(second, sizeof(second), "user-%zu", thing->b);
	struct db_stmt *stmt = db_use(writer_db(world->guild->writer), &sql_count[thing->kind]);
	db_bind_text(stmt, 1, str_of(name));
	if (thing->kind == JOIN) {
		db_bind_text(stmt, 2, str_of(second));
	}
	if (db_step(stmt, &row) != ERR_OK || !row) {
		world_fail(world, "%s cannot be looked up", name);
	}
	int64_t count = db_int(stmt, 0);
	*content = (uint64_t)db_int(stmt, 1);
	db_reset(stmt);
	return count;
}

/* A session's end takes its chats along. One of which no answer came leaves all of it open. */
static void deletion_check(struct world *world, struct thing *deletion)
{
	struct thing *session = &world->things[deletion->a];
	if (deletion->state == THERE || deletion->state == UNKNOWN) {
		uint64_t none;
		bool gone = thing_find(world, session, &none) == 0;
		if (deletion->state == THERE && !gone) {
			world_fail(world, "session-%zu is back", deletion->a);
		}
		session->state = gone ? FORGOTTEN : session->state;
		for (size_t i = 0; i < world->count && gone; i++) {
			struct thing *chat = &world->things[i];
			if (chat->kind == CHAT && chat->a == deletion->a) {
				chat->state = FORGOTTEN;
			}
		}
	}
	deletion->state = deletion->state == THERE ? THERE : FORGOTTEN;
}

static void thing_check(struct world *world, struct thing *thing, bool strict)
{
	uint64_t content = 0;
	if (thing->kind == DELETION || thing->state == FORGOTTEN) {
		return;
	}
	int64_t count = thing_find(world, thing, &content);
	int64_t least = thing->state == THERE;
	int64_t most = thing->state == THERE || (thing->state == UNKNOWN && !(strict && thing->kind != CHAT));
	most = shared(thing) ? 1 : most;
	world->checked++;
	if (count < least || count > most) {
		world_fail(world, "thing %zu of kind %d, answered %d, is there %lld times", thing->number, thing->kind, thing->status,
			   (long long)count);
	}
	if (thing->kind == CHAT && count == 1) {
		if (thing->content != 0 && thing->content != content) {
			world_fail(world, "chat-%zu was %llu and is %llu", thing->number, (unsigned long long)thing->content,
				   (unsigned long long)content);
		}
		thing->content = content;
	}
	thing->state = count == 1 ? THERE : ABSENT;
}

void world_check(struct world *world, bool strict)
{
	struct db *db = writer_db(world->guild->writer);
	struct audit_report report;
	if (!world_settle(world, TURNS_MAX)) {
		world_fail(world, "it does not come to rest: %zu requests", world->asked);
	}
	for (size_t i = 0; i < sizeof(sql_whole) / sizeof(sql_whole[0]); i++) {
		bool row;
		struct db_stmt *stmt = db_use(db, &sql_whole[i]);
		if (db_step(stmt, &row) != ERR_OK || !row || db_int(stmt, 0) != 0) {
			world_fail(world, "not whole (%lld): %s", row ? (long long)db_int(stmt, 0) : -1, sql_whole[i].text);
		}
		db_reset(stmt);
	}
	if (audit_verify(db, NULL, &report) != ERR_OK || report.first_bad != 0) {
		world_fail(world, "the audit chain is broken at %lld", (long long)report.first_bad);
	}
	for (size_t i = 0; i < world->count; i++) {
		if (world->things[i].kind == DELETION) {
			deletion_check(world, &world->things[i]);
		}
	}
	for (size_t i = 0; i < world->count; i++) {
		thing_check(world, &world->things[i], strict);
	}
}
