/* test_social_base.c - words, actors and limits in time of the social layer (AC-132, AC-133). */
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
		cmocka_unit_test(rules_follow_maturity),
	};
	return cmocka_run_group_tests_name("social_base", tests, setup, fixture_close);
}
