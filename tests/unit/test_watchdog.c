/* test_watchdog.c - runs whose provider does not end when it is told to: after 5 s they end without it. */
#include "execution/execution_priv.h"
#include "guild_fixture.h"

#define SECOND 1000000

/* A driver that says what the test tells it to say, and hears a cancel without doing anything about it. */
struct provider_call {
	struct provider_sink sink;
	bool cancelled;
};

struct deaf {
	struct provider_call calls[4];
	unsigned count;
};

struct waiting {
	int status;
	char body[2048];
};

static enum err deaf_start(void *self, struct loop *loop, const struct provider_request *request,
	const struct provider_sink *sink, struct provider_call **out)
{
	struct deaf *deaf = self;
	assert_true(deaf->count < 4);
	*out = &deaf->calls[deaf->count++];
	**out = (struct provider_call){.sink = *sink};
	return ERR_OK;
}

static void deaf_cancel(struct provider_call *call)
{
	call->cancelled = true;
}

static struct str deaf_model(void *self, char *out, size_t cap)
{
	return STR("none");
}

static const struct provider_driver deaf_driver = {"deaf", deaf_start, deaf_cancel, deaf_model};

static struct deaf deaf;
static struct provider provider = {&deaf_driver, &deaf, {"deaf", 4}};

static const struct http_route *const tables[] = {identity_routes, execution_routes, session_routes, NULL};

static int setup(void **state)
{
	deaf = (struct deaf){.count = 0};
	if (fixture_open(state, tables, true) != 0) {
		return -1;
	}
	struct fixture *f = *state;
	f->guild.builtin = &provider;
	f->guild.settings = (struct guild_settings){.total_timeout_us = 600LL * SECOND,
		.keep_finished_us = 60LL * SECOND,
		.session_queue = 4,
		.answer_bytes_max = LIMIT_ANSWER_BYTES,
		.output_tokens_max = 100};
	return 0;
}

static void on_chat(void *ctx, int status, struct str content_type, struct str body)
{
	struct waiting *waiting = ctx;
	assert_int_equal(waiting->status, 0);
	waiting->status = status;
	str_to_z(body, waiting->body, sizeof(waiting->body));
}

#define turn_until(f, condition) \
	for (int turns_ = 0; !(condition); turn(f)) \
		assert_true(turns_++ < TURNS_MAX)

/* Enough turns for whatever is on its way to arrive. */
static void settle_down(struct fixture *f)
{
	for (int i = 0; i < 50; i++) {
		turn(f);
	}
}

static void chat(struct fixture *f, const char *body, struct waiting *waiting)
{
	struct http_local_sink sink = {.reply = on_chat, .ctx = waiting};
	*waiting = (struct waiting){.status = 0};
	call_begin(f, &f->member, "POST", "/v1/chat", body, &sink);
}

/* A chat whose provider has said "half". */
static void chat_half(struct fixture *f, struct waiting *waiting)
{
	chat(f, "{\"message\":\"hello\"}", waiting);
	turn_until(f, deaf.count == 1);
	deaf.calls[0].sink.delta(deaf.calls[0].sink.ctx, STR("half"));
	settle_down(f);
	call(f, &f->member, "GET", "/v1/executions", NULL, 200);
	assert_string_equal(item_text(f, 0, "status"), "running");
}

static void assert_status(struct fixture *f, const char *id, const char *status)
{
	call(f, &f->member, "GET", path("executions/$", id), NULL, 200);
	assert_string_equal(text(f, "status"), status);
}

static void a_cancel_that_is_not_heard_ends_after_five_seconds(void **state)
{
	struct fixture *f = *state;
	struct waiting waiting;
	char id[64];
	chat_half(f, &waiting);
	snprintf(id, sizeof(id), "%s", item_text(f, 0, "id"));
	call(f, &f->member, "POST", path("executions/$/cancel", id), NULL, 202);
	settle_down(f);
	assert_true(deaf.calls[0].cancelled);
	f->skew_us = 4900000;
	settle_down(f);
	assert_int_equal(waiting.status, 0);
	assert_status(f, id, "running");
	assert_int_equal(engine_running(f->guild.engine, f->guild.loops[0]), 1);

	f->skew_us = 5 * SECOND + 100000;
	turn_until(f, waiting.status != 0);
	assert_int_equal(waiting.status, 409);
	assert_non_null(strstr(waiting.body, "\"code\":\"cancelled\""));
	assert_status(f, id, "cancelled");
	assert_string_equal(text(f, "partial_response"), "half");
	assert_int_equal(engine_running(f->guild.engine, f->guild.loops[0]), 0);
	assert_int_equal(audit_entries(f) > 0, true);
}

static void a_run_out_of_time_ends_five_seconds_later_without_its_provider(void **state)
{
	struct fixture *f = *state;
	struct waiting waiting;
	char id[64];
	chat_half(f, &waiting);
	snprintf(id, sizeof(id), "%s", item_text(f, 0, "id"));
	f->skew_us = 601LL * SECOND;
	turn_until(f, deaf.calls[0].cancelled);
	settle_down(f);
	assert_int_equal(waiting.status, 0);
	f->skew_us += 5 * SECOND;
	turn_until(f, waiting.status != 0);
	assert_int_equal(waiting.status, 504);
	assert_non_null(strstr(waiting.body, "\"code\":\"timed_out\""));
	assert_status(f, id, "timed_out");
}

/* The session is free: who waited in it is answered, by a provider that works. */
static void the_next_message_of_the_session_goes_on(void **state)
{
	struct fixture *f = *state;
	struct waiting first, second;
	char body[200];
	chat_half(f, &first);
	snprintf(body, sizeof(body), "{\"message\":\"next\",\"session_id\":\"%s\"}", item_text(f, 0, "session_id"));
	call(f, &f->member, "POST", path("executions/$/cancel", item_text(f, 0, "id")), NULL, 202);
	chat(f, body, &second);
	settle_down(f);
	assert_int_equal(deaf.count, 1);
	f->skew_us = 5 * SECOND + 100000;
	turn_until(f, deaf.count == 2);
	deaf.calls[1].sink.delta(deaf.calls[1].sink.ctx, STR("answer"));
	deaf.calls[1].sink.done(deaf.calls[1].sink.ctx, &(struct provider_result){.err = ERR_OK, .finish_reason = STR("stop")});
	turn_until(f, second.status != 0);
	assert_int_equal(second.status, 200);
	assert_non_null(strstr(second.body, "\"answer\""));
	assert_int_equal(first.status, 409);
}

/* What it says later changes nothing but that the run can be forgotten like any other. */
static void a_late_word_changes_nothing(void **state)
{
	struct fixture *f = *state;
	struct waiting waiting;
	char id[64];
	chat_half(f, &waiting);
	snprintf(id, sizeof(id), "%s", item_text(f, 0, "id"));
	call(f, &f->member, "POST", path("executions/$/cancel", id), NULL, 202);
	settle_down(f);
	f->skew_us = 5 * SECOND + 100000;
	turn_until(f, waiting.status != 0);
	settle_down(f);
	struct engine_shard *shard = &f->guild.engine->shards[0];
	struct provider_sink sink = deaf.calls[0].sink;
	/* It is kept as long as its provider may still call back, however long that is. */
	f->skew_us += 3600LL * SECOND;
	settle_down(f);
	assert_false(list_empty(&shard->stuck));
	sink.delta(sink.ctx, STR(" and more"));
	settle_down(f);
	assert_status(f, id, "cancelled");
	assert_string_equal(text(f, "partial_response"), "half");
	sink.done(sink.ctx, &(struct provider_result){.err = ERR_OK, .finish_reason = STR("stop")});
	settle_down(f);
	assert_true(list_empty(&shard->stuck));
	assert_status(f, id, "cancelled");
	f->skew_us += 61LL * SECOND;
	turn_until(f, list_empty(&shard->kept) && shard->by_id.count == 0);
	assert_status(f, id, "cancelled");
	assert_string_equal(text(f, "partial_response"), "half");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_cancel_that_is_not_heard_ends_after_five_seconds, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_run_out_of_time_ends_five_seconds_later_without_its_provider, setup, fixture_close),
		cmocka_unit_test_setup_teardown(the_next_message_of_the_session_goes_on, setup, fixture_close),
		cmocka_unit_test_setup_teardown(a_late_word_changes_nothing, setup, fixture_close),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
