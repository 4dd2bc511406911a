/* test_social_base.c - words, actors, limits in time, mentions and contents of the social layer (AC-132, AC-133). */
#include "guild_fixture.h"

#include "base/log.h"
#include "social/social_priv.h"

#define HOUR_US  3600000000ll
#define START_US 1790000000000000ll

static const struct http_route *const tables[] = {agent_routes, identity_routes, social_rate_routes, NULL};

static int setup(void **state)
{
	return fixture_open(state, tables, false);
}

/* An agent of the member; its key. */
static int64_t agent(struct fixture *f, const char *name, const char *maturity)
{
	char body[160];
	int64_t key;
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"maturity\":\"%s\",\"category\":\"tests\"}", name, maturity);
	call(f, &f->admin, "POST", "/v1/agents", body, 201);
	assert_int_equal(id_parse(&f->guild.id_secret, ID_AGENT, str_of(text(f, "id")), &key), ERR_OK);
	return key;
}

static struct actor agent_actor(int64_t key)
{
	return (struct actor){key, ACTOR_AGENT};
}

/* ---- words ---- */

static void words_have_their_numbers(void **state)
{
	(void)state;
	static const char *const types[] = {
		"status", "insight", "question", "alert", "task", "command", "response", "announcement"};
	static const int kinds[] = {1, 2, 3, 4, 5, 5, 1, 4};
	for (int i = 0; i < 8; i++) {
		assert_int_equal(social_word(post_type_words, str_of(types[i])), i + 1);
		assert_int_equal(post_kind_of(i + 1), kinds[i]);
	}
	assert_null(post_type_words[8]);
	assert_int_equal(social_word(post_type_words, STR("Alert")), 4);
	assert_int_equal(social_word(post_type_words, STR("alerts")), 0);
	assert_int_equal(social_word(post_type_words, STR("")), 0);
	assert_int_equal(social_word(visibility_words, STR("public")), VISIBILITY_PUBLIC);
	assert_int_equal(social_word(visibility_words, STR("channel")), VISIBILITY_CHANNEL);
	assert_int_equal(social_word(visibility_words, STR("DIRECTED")), VISIBILITY_DIRECTED);
	assert_int_equal(social_word(channel_type_words, STR("engineering")), 4);
	assert_int_equal(social_word(message_type_words, STR("note")), 4);
}

/* ---- actors ---- */

static struct str rendered(struct fixture *f, struct actor actor, bool author)
{
	struct buf buf;
	struct json_out out;
	buf_init(&buf, 4096);
	json_begin(&out, &buf);
	if (author) {
		actor_author_json(&f->guild, actor, actor.kind == ACTOR_AGENT ? MATURITY_INTERN : 0, &out);
	} else {
		actor_json(&f->guild, actor, &out);
	}
	assert_int_equal(buf_err(&buf), ERR_OK);
	struct str kept = arena_copy(&f->arena, buf_str(&buf));
	buf_fini(&buf);
	return kept;
}

static void actors_are_shown_as_they_are(void **state)
{
	struct fixture *f = *state;
	struct actor bot = agent_actor(agent(f, "Shown Bot", "supervised")), ada = actor_of(&f->admin);
	struct id_text bot_id = actor_id(&f->guild, bot), ada_id = actor_id(&f->guild, ada);
	char want[512];
	snprintf(want, sizeof(want), "{\"kind\":\"agent\",\"id\":\"%s\",\"name\":\"Shown Bot\"}", bot_id.text);
	assert_string_equal(rendered(f, bot, false).at, want);
	/* The maturity is the one of then, the rest the registry's. */
	snprintf(want, sizeof(want),
		"{\"kind\":\"agent\",\"id\":\"%s\",\"name\":\"Shown Bot\",\"handle\":\"shown-bot\",\"maturity\":\"intern\","
		"\"category\":\"tests\"}",
		bot_id.text);
	assert_string_equal(rendered(f, bot, true).at, want);
	snprintf(want, sizeof(want),
		"{\"kind\":\"human\",\"id\":\"%s\",\"name\":\"Ada\",\"handle\":null,\"maturity\":null,\"category\":null}", ada_id.text);
	assert_string_equal(rendered(f, ada, true).at, want);
	snprintf(want, sizeof(want), "agent:%s", bot_id.text);
	assert_string_equal(actor_topic(&f->guild, &f->arena, bot).at, want);
	snprintf(want, sizeof(want), "user:%s", ada_id.text);
	assert_string_equal(actor_topic(&f->guild, &f->arena, ada).at, want);
	assert_int_equal(actor_face_of(&f->guild, bot).maturity, MATURITY_SUPERVISED);
	assert_int_equal(actor_face_of(&f->guild, ada).maturity, 0);
}

static void actors_are_found_when_they_are_there(void **state)
{
	struct fixture *f = *state;
	struct guild *g = &f->guild;
	int64_t key = agent(f, "Found Bot", "student"), gone = agent(f, "Gone Bot", "student");
	struct caller leaver = user(f, "Lea", "member"), stranger = f->member;
	struct id_text id = actor_id(g, agent_actor(key)), gone_id = actor_id(g, agent_actor(gone));
	struct id_text other_id = actor_id(g, actor_of(&f->other)), leaver_id = actor_id(g, actor_of(&leaver));
	struct actor found;
	call(f, &f->admin, "POST", path("agents/$/archive", gone_id.text), NULL, 200);
	call(f, &f->operator, "PATCH", path("users/$", leaver_id.text), "{\"disabled\":true}", 200);
	assert_int_equal(actor_find(g, &f->member, id_str(&id), STR_NONE, &found), ERR_OK);
	assert_true(found.key == key && found.kind == ACTOR_AGENT);
	assert_int_equal(actor_find(g, &f->member, STR("found-bot"), STR_NONE, &found), ERR_OK);
	assert_int_equal(found.key, key);
	assert_int_equal(actor_find(g, &f->member, STR_NONE, id_str(&other_id), &found), ERR_OK);
	assert_true(found.key == f->other.principal && found.kind == ACTOR_HUMAN);
	assert_int_equal(actor_find(g, &f->member, STR_NONE, STR("me"), &found), ERR_OK);
	assert_int_equal(found.key, f->member.principal);

	stranger.workspace++;
	const struct str agents[] = {STR("nobody"), STR(""), STR("gone-bot"), id_str(&gone_id), id_str(&other_id)};
	for (size_t i = 0; i < sizeof(agents) / sizeof(agents[0]); i++) {
		assert_int_equal(actor_find(g, &f->member, agents[i], STR_NONE, &found), ERR_NOT_FOUND);
	}
	const struct str users[] = {STR("Olu"), STR(""), id_str(&leaver_id), id_str(&id)};
	for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
		assert_int_equal(actor_find(g, &f->member, STR_NONE, users[i], &found), ERR_NOT_FOUND);
	}
	assert_int_equal(actor_find(g, &f->member, STR_NONE, STR_NONE, &found), ERR_NOT_FOUND);
	assert_int_equal(actor_find(g, &stranger, id_str(&id), STR_NONE, &found), ERR_NOT_FOUND);
	assert_int_equal(actor_find(g, &stranger, STR_NONE, id_str(&other_id), &found), ERR_NOT_FOUND);
}

/* ---- limits in time ---- */

static struct rate_state read_at(struct db *db, struct actor actor, enum rate_kind kind, int64_t peer, struct rate_rule rule, int64_t now)
{
	struct rate_state out;
	assert_int_equal(rate_read(db, actor, kind, peer, rule, now, &out), ERR_OK);
	assert_int_equal(out.now_us, now);
	return out;
}

static void take_at(struct db *db, struct actor actor, enum rate_kind kind, int64_t peer, struct rate_rule rule, int64_t now)
{
	assert_int_equal(rate_take(db, actor, kind, peer, rule, now), ERR_OK);
}

static int64_t rows(struct db *db, struct actor actor)
{
	static const struct db_sql sql = {"SELECT count(*) FROM rate_event WHERE actor = ?1"};
	struct db_stmt *stmt = db_use(db, &sql);
	bool row;
	db_bind_int(stmt, 1, actor.key);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

/* AC-132 */
static void rules_follow_maturity(void **state)
{
	struct fixture *f = *state;
	static const int64_t want[][5] = {[RATE_POST] = {0, 0, 1, 12, -1}, [RATE_MESSAGE] = {0, 0, 10, 60, 600},
		[RATE_REACTION] = {0, 0, 60, 60, 600}, [RATE_PAIR] = {0, 6, 6, 6, 6}};
	for (enum rate_kind kind = RATE_POST; kind <= RATE_PAIR; kind++) {
		for (int maturity = 0; maturity <= 4 && kind != RATE_AUTO_POST; maturity++) {
			struct rate_rule rule = rate_rule_of(&f->guild, agent_actor(7), (enum maturity)maturity, kind);
			assert_int_equal(rule.limit, want[kind][maturity]);
			assert_int_equal(rule.window_us, HOUR_US);
			assert_int_equal(rate_rule_of(&f->guild, actor_of(&f->member), 0, kind).limit, -1);
		}
	}
	struct rate_rule automatic = rate_rule_of(&f->guild, agent_actor(7), MATURITY_AUTONOMOUS, RATE_AUTO_POST);
	assert_true(automatic.limit == 1 && automatic.window_us == 300000000);
	f->guild.settings.auto_post_us = 0;
	assert_int_equal(rate_rule_of(&f->guild, agent_actor(7), MATURITY_AUTONOMOUS, RATE_AUTO_POST).limit, -1);
	f->guild.settings = social_settings;
}

/* AC-132, AC-133: the thirteenth is refused until exactly the reset time told, and the next one until its own. */
static void a_window_slides_exactly(void **state)
{
	struct fixture *f = *state;
	struct db *db = writer_db(f->guild.writer);
	struct actor actor = agent_actor(100), other = agent_actor(101);
	struct rate_rule rule = {12, HOUR_US};
	for (int i = 0; i < 12; i++) {
		int64_t now = START_US + i * 60000000ll;
		struct rate_state before = read_at(db, actor, RATE_POST, 0, rule, now);
		assert_true(before.used == i && before.remaining == 12 - i && before.reset_us == 0);
		take_at(db, actor, RATE_POST, 0, rule, now);
		struct rate_state after = rate_after(before, rule), told = read_at(db, actor, RATE_POST, 0, rule, now);
		assert_memory_equal(&after, &told, sizeof(after));
	}
	int64_t reset = START_US + HOUR_US;
	struct rate_state full = read_at(db, actor, RATE_POST, 0, rule, START_US + 12 * 60000000ll);
	assert_true(full.used == 12 && full.remaining == 0 && full.reset_us == reset);
	assert_int_equal(read_at(db, actor, RATE_POST, 0, rule, reset - 1).remaining, 0);
	assert_int_equal(read_at(db, actor, RATE_POST, 0, rule, reset).remaining, 1);
	take_at(db, actor, RATE_POST, 0, rule, reset);
	full = read_at(db, actor, RATE_POST, 0, rule, reset);
	assert_true(full.remaining == 0 && full.reset_us == reset + 60000000);
	/* A limit that was lowered is over when enough of them have left. */
	struct rate_rule lower = {3, HOUR_US};
	full = read_at(db, actor, RATE_POST, 0, lower, reset);
	assert_true(full.used == 3 && full.remaining == 0 && full.reset_us == START_US + 10 * 60000000ll + HOUR_US);
	assert_int_equal(read_at(db, actor, RATE_POST, 0, lower, full.reset_us - 1).remaining, 0);
	assert_int_equal(read_at(db, actor, RATE_POST, 0, lower, full.reset_us).remaining, 1);
	/* Of others, of other kinds: nothing. */
	assert_int_equal(read_at(db, other, RATE_POST, 0, rule, reset).used, 0);
	assert_int_equal(read_at(db, actor, RATE_MESSAGE, 0, rule, reset).used, 0);
}

static void those_of_one_moment_all_count(void **state)
{
	struct fixture *f = *state;
	struct db *db = writer_db(f->guild.writer);
	struct actor actor = agent_actor(102);
	struct rate_rule rule = {12, HOUR_US};
	for (int i = 0; i < 12; i++) {
		take_at(db, actor, RATE_POST, 0, rule, START_US);
	}
	struct rate_state full = read_at(db, actor, RATE_POST, 0, rule, START_US);
	assert_true(full.used == 12 && full.reset_us == START_US + HOUR_US);
	/* The clock that went back takes none away and lets none be lost. */
	take_at(db, actor, RATE_POST, 0, rule, START_US - 5);
	assert_int_equal(rows(db, actor), 13);
}

static void pairs_count_for_themselves(void **state)
{
	struct fixture *f = *state;
	struct db *db = writer_db(f->guild.writer);
	struct actor actor = agent_actor(103);
	struct rate_rule rule = rate_rule_of(&f->guild, actor, MATURITY_INTERN, RATE_PAIR);
	for (int i = 0; i < 6; i++) {
		take_at(db, actor, RATE_PAIR, 55, rule, START_US + i);
	}
	assert_int_equal(read_at(db, actor, RATE_PAIR, 55, rule, START_US + 10).remaining, 0);
	assert_int_equal(read_at(db, actor, RATE_PAIR, 56, rule, START_US + 10).remaining, 6);
	assert_int_equal(read_at(db, agent_actor(55), RATE_PAIR, 103, rule, START_US + 10).remaining, 6);
	/* Who is never met again is forgotten as well. */
	take_at(db, actor, RATE_PAIR, 54, rule, START_US + 2 * HOUR_US);
	assert_int_equal(rows(db, actor), 1);
}

static void what_left_the_window_is_forgotten(void **state)
{
	struct fixture *f = *state;
	struct db *db = writer_db(f->guild.writer);
	struct actor actor = agent_actor(104);
	struct rate_rule rule = {60, HOUR_US};
	for (int i = 0; i < 60; i++) {
		take_at(db, actor, RATE_MESSAGE, 0, rule, START_US + i);
	}
	assert_int_equal(rows(db, actor), 60);
	for (int i = 1; i <= 7; i++) {
		take_at(db, actor, RATE_MESSAGE, 0, rule, START_US + 2 * HOUR_US + i);
		assert_int_equal(rows(db, actor), 60 - 8 * i + i);
	}
	take_at(db, actor, RATE_MESSAGE, 0, rule, START_US + 2 * HOUR_US + 8);
	assert_int_equal(rows(db, actor), 8);
	/* Without a limit nothing is kept. */
	take_at(db, actor, RATE_POST, 0, (struct rate_rule){-1, HOUR_US}, START_US);
	assert_int_equal(rows(db, actor), 8);
	struct rate_state none = read_at(db, actor, RATE_POST, 0, (struct rate_rule){-1, HOUR_US}, START_US);
	assert_true(none.used == 0 && none.remaining == -1 && none.reset_us == 0);
	none = read_at(db, actor, RATE_MESSAGE, 0, (struct rate_rule){0, HOUR_US}, START_US);
	assert_true(none.remaining == 0 && none.reset_us == 0);
}

static void a_restart_keeps_them(void **state)
{
	struct fixture *f = *state;
	struct actor actor = agent_actor(105);
	struct rate_rule rule = {1, HOUR_US};
	char detail[256];
	struct db *again;
	take_at(writer_db(f->guild.writer), actor, RATE_POST, 0, rule, START_US);
	assert_int_equal(db_open(f->path, DB_READER, &again, detail), ERR_OK);
	struct rate_state kept = read_at(again, actor, RATE_POST, 0, rule, START_US + 1);
	assert_true(kept.remaining == 0 && kept.reset_us == START_US + HOUR_US);
	db_close(&again);
}

/* AC-133: what the route says, at an injected time. */
static void the_route_tells_what_is_left(void **state)
{
	struct fixture *f = *state;
	int64_t intern = agent(f, "Told Bot", "intern");
	struct actor actor = agent_actor(intern);
	struct id_text id = actor_id(&f->guild, actor);
	struct rate_rule rule = rate_rule_of(&f->guild, actor, MATURITY_INTERN, RATE_POST);
	take_at(writer_db(f->guild.writer), actor, RATE_POST, 0, rule, env_wall_us(&f->env));
	call(f, &f->member, "GET", path("agents/$/rate-limit", id.text), NULL, 200);
	assert_string_equal(text(f, "agent_id"), id.text);
	assert_string_equal(text(f, "maturity"), "intern");
	struct json posts = json_member(json_root(&f->doc), STR("posts"));
	struct str reset;
	int64_t value = -1;
	assert_true(json_get_int(json_member(posts, STR("limit")), &value) && value == 1);
	assert_true(json_get_int(json_member(posts, STR("used")), &value) && value == 1);
	assert_true(json_get_int(json_member(posts, STR("remaining")), &value) && value == 0);
	assert_true(json_get_int(json_member(posts, STR("window_seconds")), &value) && value == 3600);
	assert_true(json_get_str(json_member(posts, STR("reset_at")), &reset));
	f->skew_us += HOUR_US + 1000000;
	call(f, &f->member, "GET", "/v1/agents/told-bot/rate-limit", NULL, 200);
	posts = json_member(json_root(&f->doc), STR("posts"));
	assert_true(json_get_int(json_member(posts, STR("remaining")), &value) && value == 1);
	assert_int_equal(json_kind(json_member(posts, STR("reset_at"))), JSON_NULL);
	agent(f, "Free Bot", "autonomous");
	call(f, &f->member, "GET", "/v1/agents/free-bot/rate-limit", NULL, 200);
	posts = json_member(json_root(&f->doc), STR("posts"));
	assert_int_equal(json_kind(json_member(posts, STR("limit"))), JSON_NULL);
	assert_int_equal(json_kind(json_member(posts, STR("remaining"))), JSON_NULL);
	call(f, &f->member, "GET", "/v1/agents/nobody/rate-limit", NULL, 404);
}

/* ---- mentions ---- */

struct made {
	enum err err;
	struct mention *list;
	size_t count;
	struct str pointer;
	const char *detail;
};

/* From a JSON text (NULL: there is no list) and handles, NULL at the end. */
static struct made make(struct fixture *f, const char *list, const char *const *handles)
{
	struct made made = {0};
	struct json_doc *doc = arena_new(&f->arena, struct json_doc);
	struct str found[LIMIT_POST_MENTIONS];
	size_t count = 0;
	if (list != NULL) {
		assert_int_equal(json_parse(&f->arena, str_of(list), doc, NULL), ERR_OK);
	}
	for (; handles != NULL && handles[count] != NULL; count++) {
		found[count] = str_of(handles[count]);
	}
	made.err = mentions_make(&f->guild, &f->member, &f->arena, list != NULL ? json_root(doc) : (struct json){NULL, 0}, found, count,
		&made.list, &made.count, &made.pointer, &made.detail);
	return made;
}

static const char *shown(struct fixture *f, const struct made *made)
{
	struct buf buf;
	struct json_out out;
	buf_init(&buf, 1 << 16);
	json_begin(&out, &buf);
	mentions_json(made->list, made->count, &out);
	assert_int_equal(buf_err(&buf), ERR_OK);
	const char *text = arena_copy(&f->arena, buf_str(&buf)).at;
	buf_fini(&buf);
	return text;
}

/* AC-102's parts: agents, users, episodes and tasks, in each of their forms. */
static void mentions_are_kept_once_and_in_order(void **state)
{
	struct fixture *f = *state;
	struct actor bot = agent_actor(agent(f, "Named Bot", "student"));
	agent(f, "Text Bot", "student");
	struct id_text bot_id = actor_id(&f->guild, bot), olu = actor_id(&f->guild, actor_of(&f->other));
	char list[1024], want[1024];
	snprintf(list, sizeof(list),
		"[{\"kind\":\"task\",\"id\":\"T-7\",\"text\":\"the seventh\"},\"@Named-Bot\",\"agent:%s\",\"agent:named-bot\","
		"{\"kind\":\"Agent\",\"id\":\"named-bot\"},\"user:%s\",{\"kind\":\"user\",\"id\":\"%s\",\"text\":\"again\"},"
		"\"episode:a:b\",\"task:a:b\",\"task:T-7\"]",
		bot_id.text, olu.text, olu.text);
	struct made made = make(f, list, (const char *const[]){"text-bot", "named-bot", "nobody", NULL});
	assert_int_equal(made.err, ERR_OK);
	assert_int_equal(made.count, 6);
	assert_true(made.list[1].kind == MENTION_AGENT && made.list[1].key == bot.key && made.list[2].key == f->other.principal);
	struct str text_bot = made.list[5].id;
	snprintf(want, sizeof(want),
		"[{\"kind\":\"task\",\"id\":\"T-7\",\"text\":\"the seventh\"},{\"kind\":\"agent\",\"id\":\"%s\",\"text\":\"@named-bot\"},"
		"{\"kind\":\"user\",\"id\":\"%s\",\"text\":\"Olu\"},{\"kind\":\"episode\",\"id\":\"a:b\",\"text\":\"a:b\"},"
		"{\"kind\":\"task\",\"id\":\"a:b\",\"text\":\"a:b\"},{\"kind\":\"agent\",\"id\":\"%.*s\",\"text\":\"@text-bot\"}]",
		bot_id.text, olu.text, STR_FMT(text_bot));
	assert_string_equal(shown(f, &made), want);
	for (int i = 0; i < 3; i++) {
		made = make(f, (const char *const[]){NULL, "null", "[]"}[i], NULL);
		assert_int_equal(made.err, ERR_OK);
		assert_string_equal(shown(f, &made), "[]");
	}
	made = make(f, "[{\"kind\":\"task\",\"id\":\"1\",\"text\":\"of bob@secret.example\"}]", NULL);
	assert_int_equal(made.err, ERR_OK);
	assert_null(strstr(shown(f, &made), "secret.example"));
}

static void mentions_that_are_wrong_are_named(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *list, *pointer;
	} cases[] = {
		{"{}", "/mentions"},
		{"\"@named-bot\"", "/mentions"},
		{"[\"task:1\",7]", "/mentions/1"},
		{"[\"named-bot\"]", "/mentions/0"},
		{"[\"@nobody\"]", "/mentions/0"},
		{"[\"@\"]", "/mentions/0"},
		{"[\"\"]", "/mentions/0"},
		{"[\"post:1\"]", "/mentions/0"},
		{"[\":1\"]", "/mentions/0"},
		{"[\"task:\"]", "/mentions/0"},
		{"[\"user:Olu\"]", "/mentions/0"},
		{"[\"agent:01234567-89ab-7cde-8f01-23456789abcd\"]", "/mentions/0"},
		{"[{}]", "/mentions/0/kind"},
		{"[{\"kind\":null,\"id\":\"1\"}]", "/mentions/0/kind"},
		{"[{\"kind\":\"task\"}]", "/mentions/0/id"},
		{"[{\"kind\":\"task\",\"id\":null}]", "/mentions/0/id"},
		{"[{\"kind\":\"post\",\"id\":\"1\"}]", "/mentions/0/kind"},
		{"[{\"kind\":\"task\",\"id\":1}]", "/mentions/0/id"},
		{"[{\"kind\":\"task\",\"id\":\"a\\nb\"}]", "/mentions/0/id"},
		{"[{\"kind\":\"task\",\"id\":\"\\u202eab\"}]", "/mentions/0/id"},
		{"[{\"kind\":\"agent\",\"id\":\"nobody\"}]", "/mentions/0/id"},
		{"[{\"kind\":\"user\",\"id\":\"nobody\"}]", "/mentions/0/id"},
		{"[{\"kind\":\"task\",\"id\":\"1\",\"text\":\" \"}]", "/mentions/0/text"},
		{"[{\"kind\":\"task\",\"id\":\"1\",\"name\":\"x\"}]", "/mentions/0/name"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct made made = make(f, cases[i].list, NULL);
		if (made.err != ERR_INVALID || made.detail == NULL || !str_eq(made.pointer, str_of(cases[i].pointer))) {
			fail_msg("%s: %d at %.*s", cases[i].list, (int)made.err, STR_FMT(made.pointer));
		}
	}
}

static void mentions_have_a_limit(void **state)
{
	struct fixture *f = *state;
	char list[LIMIT_POST_MENTIONS * 16 + 320];
	size_t len = 0;
	agent(f, "Late Bot", "student");
	for (int i = 0; i < LIMIT_POST_MENTIONS; i++) {
		len += (size_t)snprintf(list + len, sizeof(list) - len, "%s\"task:%d\"", i == 0 ? "[" : ",", i);
	}
	snprintf(list + len, sizeof(list) - len, "]");
	struct made made = make(f, list, (const char *const[]){"late-bot", NULL});
	assert_true(made.err == ERR_OK && made.count == LIMIT_POST_MENTIONS && made.list[LIMIT_POST_MENTIONS - 1].kind == MENTION_TASK);
	snprintf(list + len, sizeof(list) - len, ",\"task:0\"]");
	made = make(f, list, NULL);
	assert_true(made.err == ERR_INVALID && str_eq(made.pointer, STR("/mentions")));
	char longest[LIMIT_ID_BYTES + 2];
	memset(longest, 'x', sizeof(longest) - 1);
	longest[LIMIT_ID_BYTES] = '\0';
	snprintf(list, sizeof(list), "[\"task:%s\"]", longest);
	assert_int_equal(make(f, list, NULL).err, ERR_OK);
	snprintf(list, sizeof(list), "[\"task:%sx\"]", longest);
	assert_int_equal(make(f, list, NULL).err, ERR_INVALID);
	/* 255 characters of two bytes each. */
	len = (size_t)snprintf(list, sizeof(list), "[{\"kind\":\"task\",\"id\":\"");
	for (int i = 0; i < LIMIT_ID_BYTES; i++) {
		len += (size_t)snprintf(list + len, sizeof(list) - len, "\u00e9");
	}
	snprintf(list + len, sizeof(list) - len, "\"}]");
	made = make(f, list, NULL);
	assert_true(made.err == ERR_INVALID && str_eq(made.pointer, STR("/mentions/0/id")));
}

/* ---- texts ---- */

static void content_is_redacted_before_it_is_read(void **state)
{
	struct fixture *f = *state;
	struct content made;
	const char *detail;
	struct str text = STR("Ask @shown-bot or bob@secret.example about #News, not press@guild.example or x@open.example");
	assert_int_equal(content_make(&f->guild, &f->arena, text, false, &made, &detail), ERR_OK);
	assert_true(str_find(made.text, STR("secret")) < 0 && str_find(made.text, STR("press@")) < 0);
	assert_true(str_find(made.text, STR("[REDACTED_EMAIL]")) > 0);
	assert_true(str_eq(made.redacted, STR("[\"EMAIL\"]")));
	assert_true(made.marks->mention_count == 1 && str_eq(made.marks->mentions[0], STR("shown-bot")));
	assert_true(made.marks->hashtag_count == 1 && str_eq(made.marks->hashtags[0], STR("#news")));

	f->guild.settings.allowed_emails = STR(" press@guild.example, ,@open.example,");
	assert_int_equal(content_make(&f->guild, &f->arena, text, false, &made, &detail), ERR_OK);
	f->guild.settings = social_settings;
	assert_true(str_find(made.text, STR("press@guild.example")) > 0 && str_find(made.text, STR("x@open.example")) > 0);
	assert_true(str_find(made.text, STR("secret")) < 0);

	assert_int_equal(content_make(&f->guild, &f->arena, text, true, &made, &detail), ERR_OK);
	assert_true(str_eq(made.text, text) && str_eq(made.redacted, STR("[]")));
	text = STR("nothing to hide");
	assert_int_equal(content_make(&f->guild, &f->arena, text, false, &made, &detail), ERR_OK);
	assert_true(made.text.at == text.at && str_eq(made.redacted, STR("[]")));
}

static void content_that_cannot_be_kept_is_refused(void **state)
{
	struct fixture *f = *state;
	struct content made;
	const char *detail;
	static char many[LIMIT_POST_CHARS * 2 + 1];
	struct arena little;
	memset(many, 'a', sizeof(many));
	const struct str bad[] = {STR(""), STR(" \n"), STR("\xff"), str_make("a\0b", 3), str_make(many, LIMIT_POST_CHARS + 1)};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		detail = NULL;
		assert_int_equal(content_make(&f->guild, &f->arena, bad[i], false, &made, &detail), ERR_INVALID);
		assert_non_null(detail);
	}
	assert_int_equal(content_make(&f->guild, &f->arena, str_make(many, LIMIT_POST_CHARS), false, &made, &detail), ERR_OK);
	/* Whatever there is of it. */
	for (size_t i = 0; i + 10 <= LIMIT_POST_CHARS; i += 10) {
		memcpy(many + i, "ab@cd.com ", 10);
	}
	assert_int_equal(content_make(&f->guild, &f->arena, str_make(many, LIMIT_POST_CHARS), false, &made, &detail), ERR_OK);
	assert_true(str_find(made.text, STR("@")) < 0);
	/* No memory to redact with: not kept. */
	arena_init(&little, 64);
	assert_int_not_equal(content_make(&f->guild, &little, STR("bob@secret.example"), false, &made, &detail), ERR_OK);
	arena_fini(&little);
}

int main(void)
{
	log_set(LOG_OFF, false);
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words_have_their_numbers),
		cmocka_unit_test(actors_are_shown_as_they_are),
		cmocka_unit_test(actors_are_found_when_they_are_there),
		cmocka_unit_test(a_window_slides_exactly),
		cmocka_unit_test(those_of_one_moment_all_count),
		cmocka_unit_test(pairs_count_for_themselves),
		cmocka_unit_test(what_left_the_window_is_forgotten),
		cmocka_unit_test(a_restart_keeps_them),
		cmocka_unit_test(the_route_tells_what_is_left),
		cmocka_unit_test(mentions_are_kept_once_and_in_order),
		cmocka_unit_test(mentions_that_are_wrong_are_named),
		cmocka_unit_test(mentions_have_a_limit),
		cmocka_unit_test(content_is_redacted_before_it_is_read),
		cmocka_unit_test(content_that_cannot_be_kept_is_refused),
		cmocka_unit_test(rules_follow_maturity),
	};
	return cmocka_run_group_tests_name("social_base", tests, setup, fixture_close);
}
