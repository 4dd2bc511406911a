/* test_outcome.c - what the end of a run does to its agent: confidence, and the demotion that is logged and told. */
#include "guild_fixture.h"

static const struct http_route *const tables[] = {agent_routes, identity_routes, NULL};

/* A command that ends a run: its own log row, then the outcome. */
struct ending {
	struct change change; /* first */
	struct agent_outcome outcome;
	enum err fail_with; /* after it */
	bool finished;
};

struct heard {
	struct bus_subscriber subscriber;
	int count;
	char data[512];
};

struct line {
	int64_t kinds, principal, agent, execution, outcome;
	char action[32], entry[2048], type[32], data[512], topics[256];
};

static enum err ending_apply(struct command *command, struct db *db)
{
	struct ending *ending = (struct ending *)command;
	enum err err = change_log(&ending->change, db);
	if (err == ERR_OK) {
		err = agent_outcome_apply(command, ending->change.guild, db, &ending->outcome);
	}
	return err != ERR_OK ? err : ending->fail_with;
}

static void ending_finish(struct command *command)
{
	((struct ending *)command)->finished = true;
}

static const struct command_row ending_row = {"ending", "chat", ending_apply, NULL, ending_finish};

struct begin {
	struct loop_note note;
	struct ending *ending;
	enum err err;
	bool done;
};

static void begin_run(struct loop_note *note, struct loop *loop)
{
	struct begin *begin = container_of(note, struct begin, note);
	begin->err = command_submit(&begin->ending->change.command, false);
	begin->done = true;
}

static enum err end_run(struct fixture *f, int64_t agent, int delta_e4, enum err fail_with)
{
	struct arena arena;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	struct ending *ending = change_make(&f->guild, &ending_row, &arena, f->guild.loops[0], &f->member, sizeof(*ending));
	ending->outcome = (struct agent_outcome){.agent = agent, .execution = id_next(&f->guild.id_gens[0], 1), .delta_e4 = delta_e4};
	ending->fail_with = fail_with;
	assert_int_equal(change_audit(&ending->change, &(struct change_what){.outcome = OUTCOME_FAILED}), ERR_OK);
	struct begin begin = {.note = {.run = begin_run}, .ending = ending};
	loop_note_post(f->guild.loops[0], &begin.note);
	for (int i = 0; i < TURNS_MAX && !ending->finished; i++) {
		turn(f);
		assert_true(!begin.done || begin.err == ERR_OK);
	}
	assert_true(ending->finished);
	enum err err = ending->change.command.result;
	arena_fini(&arena);
	return err;
}

static void on_event(struct bus_subscriber *subscriber, struct bus_event *event)
{
	struct heard *heard = container_of(subscriber, struct heard, subscriber);
	assert_true(str_eq(event->type, STR("agent_changed")));
	heard->count++;
	str_to_z(event->data, heard->data, sizeof(heard->data));
}

static int64_t agent_make(struct fixture *f, const char *name, const char *maturity)
{
	char body[128];
	int64_t id;
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"maturity\":\"%s\"}", name, maturity);
	call(f, &f->admin, "POST", "/v1/agents", body, 201);
	assert_int_equal(id_parse(&f->guild.id_secret, ID_AGENT, str_of(text(f, "id")), &id), ERR_OK);
	return id;
}

static enum err line_fill(const struct log_row *row, void *arg)
{
	struct line *line = arg;
	*line = (struct line){.kinds = row->kinds,
		.principal = row->principal,
		.agent = row->agent,
		.execution = row->execution,
		.outcome = row->outcome};
	str_to_z(row->action, line->action, sizeof(line->action));
	str_to_z(row->entry, line->entry, sizeof(line->entry));
	str_to_z(row->event_type, line->type, sizeof(line->type));
	str_to_z(row->event_data, line->data, sizeof(line->data));
	str_to_z(row->topics, line->topics, sizeof(line->topics));
	return ERR_OK;
}

static struct line last_line(struct fixture *f)
{
	struct line line;
	assert_int_equal(log_read_back(writer_db(f->guild.writer), INT64_MAX, 1, line_fill, &line), ERR_OK);
	return line;
}

static int setup(void **state)
{
	return fixture_open(state, tables, true);
}

static void a_demotion_is_logged_and_told(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {.count = 0};
	int64_t id = agent_make(f, "Slipping", "intern");
	struct id_text agent_text = id_format(&f->guild.id_secret, ID_AGENT, id);
	char topic[64], want[256];
	snprintf(topic, sizeof(topic), "agent:%s", agent_text.text);
	bus_subscriber_init(&heard.subscriber, on_event);
	assert_int_equal(bus_subscribe(f->guild.bus, f->guild.loops[0], &heard.subscriber, str_of(topic)), ERR_OK);
	const struct agent *agent = registry_get(f->guild.registry, id);
	assert_int_equal(agent->confidence_e4, 6000);
	int failures = (agent->confidence_e4 - maturity_floor_e4(MATURITY_INTERN)) / -AGENT_FAILED_E4;
	int64_t entries = audit_entries(f);
	for (int i = 0; i < failures; i++) {
		assert_int_equal(end_run(f, id, AGENT_FAILED_E4, ERR_OK), ERR_OK);
	}
	/* At the floor, not below it: only the runs themselves are in the log. */
	assert_int_equal(audit_entries(f), entries + failures);
	assert_int_equal(registry_get(f->guild.registry, id)->maturity, MATURITY_INTERN);
	assert_int_equal(registry_get(f->guild.registry, id)->revision, 1);
	assert_int_equal(heard.count, 0);

	assert_int_equal(end_run(f, id, AGENT_FAILED_E4, ERR_OK), ERR_OK);
	assert_int_equal(audit_entries(f), entries + failures + 2);
	agent = registry_get(f->guild.registry, id);
	assert_int_equal(agent->maturity, MATURITY_STUDENT);
	assert_int_equal(agent->revision, 2);
	struct line line = last_line(f);
	assert_int_equal(line.kinds, LOG_AUDIT | LOG_EVENT);
	assert_int_equal(line.outcome, OUTCOME_CHANGED);
	assert_int_equal(line.agent, id);
	assert_int_equal(line.principal, 0);
	assert_true(line.execution != 0);
	assert_string_equal(line.action, "revoke");
	snprintf(want, sizeof(want),
		"\"change\":{\"cause\":\"confidence\",\"new\":{\"confidence_e4\":%d,\"maturity\":\"student\"},"
		"\"old\":{\"confidence_e4\":%d,\"maturity\":\"intern\"}}",
		agent->confidence_e4, agent->confidence_e4 - AGENT_FAILED_E4);
	if (strstr(line.entry, want) == NULL) {
		fail_msg("%s is not in %s", want, line.entry);
	}
	assert_non_null(strstr(line.entry, "\"agent_name\":\"Slipping\""));
	assert_string_equal(line.type, "agent_changed");
	assert_non_null(strstr(line.topics, topic));
	assert_non_null(strstr(line.topics, "workspace:"));
	assert_int_equal(heard.count, 1);
	assert_non_null(strstr(heard.data, "\"maturity\":\"student\",\"lifecycle\":\"active\",\"revision\":2"));
	assert_string_equal(heard.data, line.data);
	bus_unsubscribe_all(f->guild.bus, f->guild.loops[0], &heard.subscriber);
}

static void an_undone_demotion_is_neither_logged_nor_told(void **state)
{
	struct fixture *f = *state;
	struct heard heard = {.count = 0};
	int64_t id = agent_make(f, "Slipping", "intern");
	struct id_text agent_text = id_format(&f->guild.id_secret, ID_AGENT, id);
	char topic[64];
	snprintf(topic, sizeof(topic), "agent:%s", agent_text.text);
	bus_subscriber_init(&heard.subscriber, on_event);
	assert_int_equal(bus_subscribe(f->guild.bus, f->guild.loops[0], &heard.subscriber, str_of(topic)), ERR_OK);
	int64_t entries = audit_entries(f);
	assert_int_equal(end_run(f, id, -5000, ERR_STORE_UNAVAILABLE), ERR_STORE_UNAVAILABLE);
	assert_int_equal(audit_entries(f), entries);
	assert_int_equal(registry_get(f->guild.registry, id)->maturity, MATURITY_INTERN);
	assert_int_equal(heard.count, 0);
	assert_int_equal(end_run(f, id, -5000, ERR_OK), ERR_OK);
	assert_int_equal(registry_get(f->guild.registry, id)->maturity, MATURITY_STUDENT);
	assert_int_equal(heard.count, 1);
	bus_unsubscribe_all(f->guild.bus, f->guild.loops[0], &heard.subscriber);
}

/* Confidence alone is no news; the system's agent stays what it is, which is one alert. */
static void nothing_else_is_logged(void **state)
{
	struct fixture *f = *state;
	int64_t id = agent_make(f, "Steady", "intern");
	int64_t system = registry_system_default(f->guild.registry, f->member.workspace)->id;
	int64_t entries = audit_entries(f);
	assert_int_equal(end_run(f, id, AGENT_SUCCEEDED_E4, ERR_OK), ERR_OK);
	assert_int_equal(registry_get(f->guild.registry, id)->confidence_e4, 6100);
	assert_int_equal(end_run(f, id, 5000, ERR_OK), ERR_OK);
	assert_int_equal(registry_get(f->guild.registry, id)->confidence_e4, 10000);
	assert_int_equal(registry_get(f->guild.registry, id)->maturity, MATURITY_INTERN);
	assert_int_equal(end_run(f, system, -9000, ERR_OK), ERR_OK);
	assert_int_equal(registry_get(f->guild.registry, system)->maturity, MATURITY_INTERN);
	/* That the system's agent fell is said once, as an alert. */
	assert_int_equal(audit_entries(f), entries + 4);
	struct line line = last_line(f);
	assert_int_equal(line.kinds, LOG_AUDIT | LOG_EVENT);
	assert_string_equal(line.type, "agent_changed");
	assert_non_null(strstr(line.topics, " alerts"));
	assert_non_null(strstr(line.entry, "\"alert\":true,\"cause\":\"confidence\",\"new\":{\"confidence_e4\":0,\"maturity\":\"intern\"}"));
	assert_int_equal(end_run(f, system, -100, ERR_OK), ERR_OK);
	assert_int_equal(end_run(f, 1, AGENT_FAILED_E4, ERR_OK), ERR_AGENT_NOT_FOUND);
	assert_int_equal(audit_entries(f), entries + 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_demotion_is_logged_and_told, setup, fixture_close),
		cmocka_unit_test_setup_teardown(an_undone_demotion_is_neither_logged_nor_told, setup, fixture_close),
		cmocka_unit_test_setup_teardown(nothing_else_is_logged, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
