/* test_library.c - the public functions: opening, calling, waiting, closing, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guild.h"

struct seen {
	struct guild_handle *handle;
	uint64_t call;
	int events, starts, ends, done;
	int error, status, close_error, cancel_error;
	bool cancel_in_event;
	char body[4096];
};

static const char *const settings[] = {"providers.builtin=on", "server.loops=2", "server.drain=1", NULL};

static struct guild_handle *open_memory(void)
{
	struct guild_handle *handle;
	struct guild_options options = {.settings = settings};
	char detail[GUILD_DETAIL_BYTES];
	int error = guild_open(":memory:", &options, &handle, detail);
	if (error != GUILD_OK) {
		fail_msg("%s", detail);
	}
	return handle;
}

static void on_event(void *ctx, const char *type, const char *data, size_t data_len)
{
	struct seen *seen = ctx;
	assert_int_equal(strlen(data), data_len);
	assert_int_equal(data[0], '{');
	seen->events++;
	seen->starts += strcmp(type, "streaming:start") == 0;
	seen->ends += strcmp(type, "streaming:complete") == 0;
	assert_string_not_equal(type, "result");
	if (seen->cancel_in_event) {
		seen->cancel_in_event = false;
		seen->cancel_error = guild_cancel_call(seen->handle, seen->call);
	}
	if (seen->events == 1 && seen->handle != NULL) {
		struct guild_handle *handle = seen->handle;
		seen->close_error = guild_close(&handle);
	}
}

static void on_done(void *ctx, int error, const struct guild_reply *reply)
{
	struct seen *seen = ctx;
	seen->done++;
	seen->error = error;
	seen->status = reply->status;
	if (error == GUILD_OK) {
		snprintf(seen->body, sizeof(seen->body), "%s", reply->body);
	} else {
		assert_null(reply->body);
	}
}

static void dispatch_until_done(struct guild_handle *handle, const struct seen *seen, int want)
{
	while (seen->done < want) {
		struct pollfd ready = {.fd = guild_fd(handle), .events = POLLIN};
		assert_int_equal(poll(&ready, 1, 30000), 1);
		assert_int_equal(guild_dispatch(handle, NULL), GUILD_OK);
	}
}

static void test_call_waits_for_its_reply(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory();
	struct guild_reply reply;
	struct guild_request request = {.method = "GET", .target = "/v1/me"};
	assert_int_equal(guild_call(handle, &request, &reply), GUILD_OK);
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(reply.body, "\"role\":\"operator\""));
	assert_int_equal(strlen(reply.body), reply.body_len);
	assert_string_equal(reply.content_type, "application/json");
	guild_reply_free(&reply);
	request.user = "ada";
	assert_int_equal(guild_call(handle, &request, &reply), GUILD_OK);
	assert_non_null(strstr(reply.body, "\"role\":\"member\""));
	guild_reply_free(&reply);
	request.target = "/v1/nowhere";
	assert_int_equal(guild_call(handle, &request, &reply), GUILD_OK);
	assert_int_equal(reply.status, 404);
	assert_string_equal(reply.content_type, "application/problem+json");
	guild_reply_free(&reply);
	assert_int_equal(guild_close(&handle), GUILD_OK);
	assert_null(handle);
	assert_int_equal(guild_close(&handle), GUILD_OK);
}

static void test_chat_streams_to_the_waiting_thread(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory();
	struct seen seen = {.handle = handle};
	struct guild_chat chat = {.message = "hello", .user = "ada", .on_event = on_event, .ctx = &seen};
	struct guild_reply reply;
	assert_int_equal(guild_chat(handle, &chat, &reply), GUILD_OK);
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(reply.body, "\"success\":true"));
	assert_int_equal(seen.starts, 1);
	assert_int_equal(seen.ends, 1);
	/* A handle cannot be closed from inside a call of its own. */
	assert_int_equal(seen.close_error, GUILD_ERR_WRONG_THREAD);
	guild_reply_free(&reply);
	chat.on_event = NULL;
	assert_int_equal(guild_chat(handle, &chat, &reply), GUILD_OK);
	assert_int_equal(reply.status, 200);
	guild_reply_free(&reply);
	assert_int_equal(guild_close(&handle), GUILD_OK);
}

static void test_agents_and_decisions(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory();
	struct guild_reply reply;
	assert_int_equal(guild_agent_create(handle, "Stu Dent", "student", NULL, &reply), GUILD_OK);
	assert_int_equal(reply.status, 201);
	const char *at = strstr(reply.body, "\"id\":\"");
	assert_non_null(at);
	char id[37] = "";
	memcpy(id, at + 6, 36);
	guild_reply_free(&reply);
	assert_int_equal(guild_decide(handle, id, "delete", false, &reply), GUILD_OK);
	assert_int_equal(reply.status, 200);
	assert_non_null(strstr(reply.body, "\"allowed\":false"));
	assert_non_null(strstr(reply.body, "blocked"));
	guild_reply_free(&reply);
	struct guild_chat chat = {.agent = id, .message = "hello", .user = "ada"};
	assert_int_equal(guild_chat(handle, &chat, &reply), GUILD_OK);
	assert_int_equal(reply.status, 403);
	assert_non_null(strstr(reply.body, "\"success\":false"));
	guild_reply_free(&reply);
	assert_int_equal(guild_close(&handle), GUILD_OK);
}

static int status_of(struct guild_handle *handle, const char *method, const char *target, const char *user, const char *said)
{
	struct guild_request request = {.method = method, .target = target, .user = user};
	struct guild_reply reply;
	assert_int_equal(guild_call(handle, &request, &reply), GUILD_OK);
	if (said != NULL && strstr(reply.body, said) == NULL) {
		fail_msg("%s is not in %s", said, reply.body);
	}
	int status = reply.status;
	guild_reply_free(&reply);
	return status;
}

static void test_calls_may_be_an_agents_own(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory();
	struct guild_reply reply;
	char target[128], user[64];
	assert_int_equal(guild_agent_create(handle, "Scout", "intern", NULL, &reply), GUILD_OK);
	snprintf(user, sizeof(user), "agent:%.36s", strstr(reply.body, "\"id\":\"") + 6);
	snprintf(target, sizeof(target), "/v1/agents/%s/rate-limit", user + 6);
	guild_reply_free(&reply);
	/* By id and by handle it is one principal, made once, and its role is not a person's. */
	assert_int_equal(status_of(handle, "GET", target, user, "\"maturity\":\"intern\""), 200);
	assert_int_equal(status_of(handle, "GET", target, "agent:scout", NULL), 200);
	assert_int_equal(status_of(handle, "GET", "/v1/users", "agent:scout", "permission_denied"), 403);
	assert_int_equal(status_of(handle, "GET", "/v1/audit?limit=100&action=create", NULL, "\"role\":\"agent\""), 200);
	assert_int_equal(status_of(handle, "GET", target, "agent:nobody", "\"agent_not_found\""), 404);
	assert_int_equal(status_of(handle, "GET", target, "agent:", "\"agent_not_found\""), 404);
	assert_int_equal(status_of(handle, "GET", target, "agent:0190aaaa-bbbb-7ccc-8ddd-eeeeeeeeeeee", "\"agent_not_found\""), 404);
	/* A member's id is as good as its name; those who rule are nobody's name. */
	struct guild_request me = {.method = "GET", .target = "/v1/me", .user = "ada"};
	assert_int_equal(guild_call(handle, &me, &reply), GUILD_OK);
	snprintf(user, sizeof(user), "%.36s", strstr(reply.body, "\"id\":\"") + 6);
	guild_reply_free(&reply);
	assert_int_equal(status_of(handle, "GET", "/v1/me", user, "\"name\":\"ada\""), 200);
	me.user = NULL;
	assert_int_equal(guild_call(handle, &me, &reply), GUILD_OK);
	snprintf(user, sizeof(user), "%.36s", strstr(reply.body, "\"id\":\"") + 6);
	guild_reply_free(&reply);
	assert_int_equal(status_of(handle, "GET", "/v1/me", user, "permission_denied"), 403);
	assert_int_equal(status_of(handle, "GET", "/v1/users/ada", NULL, "\"name\":\"ada\""), 200);
	/* A name that only looks like it is a person's. */
	assert_int_equal(status_of(handle, "GET", "/v1/me", "agents:scout", "\"role\":\"member\""), 200);
	assert_int_equal(guild_close(&handle), GUILD_OK);
}

static void test_asynchronous_calls_end_once_through_dispatch(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory(), *second;
	struct seen seen = {0}, other = {0};
	struct guild_request chat = {.method = "POST", .target = "/v1/chat", .body = "{\"message\":\"hello\",\"stream\":true}", .user = "ada",
				     .on_event = on_event, .ctx = &seen};
	struct guild_request me = {.method = "GET", .target = "/v1/me"};
	uint64_t call;
	assert_int_equal(guild_dup(handle, &second), GUILD_OK);
	assert_int_equal(guild_call_start(second, &me, on_done, &other, NULL), GUILD_OK);
	assert_int_equal(guild_call_start(handle, &chat, on_done, &seen, &call), GUILD_OK);
	dispatch_until_done(handle, &seen, 1);
	assert_int_equal(other.done, 0);
	dispatch_until_done(second, &other, 1);
	assert_int_equal(seen.error, GUILD_OK);
	assert_int_equal(seen.status, 200);
	assert_int_equal(seen.starts, 1);
	assert_int_equal(seen.ends, 1);
	assert_non_null(strstr(seen.body, "\"response\":"));
	assert_int_equal(guild_cancel_call(handle, call), GUILD_ERR_NOT_FOUND);
	assert_int_equal(guild_close(&handle), GUILD_OK);
	/* The second handle keeps the engine. */
	assert_int_equal(guild_call_start(second, &me, on_done, &other, NULL), GUILD_OK);
	dispatch_until_done(second, &other, 2);
	assert_int_equal(guild_close(&second), GUILD_OK);
}

static void test_cancel_and_close_end_calls(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory();
	struct seen cancelled = {0}, closed = {0};
	struct guild_request chat = {.method = "POST", .target = "/v1/chat", .body = "{\"message\":\"hello\",\"stream\":true}",
				     .on_event = on_event, .ctx = &cancelled};
	cancelled.handle = handle;
	cancelled.cancel_in_event = true;
	assert_int_equal(guild_call_start(handle, &chat, on_done, &cancelled, &cancelled.call), GUILD_OK);
	dispatch_until_done(handle, &cancelled, 1);
	/* The engine may be done before its first event is looked at: then there is nothing left to cancel. */
	if (cancelled.cancel_error == GUILD_OK) {
		assert_int_equal(cancelled.error, GUILD_ERR_CANCELLED);
		assert_int_equal(cancelled.events, 1);
	} else {
		assert_int_equal(cancelled.cancel_error, GUILD_ERR_NOT_FOUND);
		assert_int_equal(cancelled.error, GUILD_OK);
	}
	assert_int_equal(cancelled.close_error, GUILD_ERR_WRONG_THREAD);
	chat.ctx = &closed;
	assert_int_equal(guild_call_start(handle, &chat, on_done, &closed, NULL), GUILD_OK);
	assert_int_equal(guild_close(&handle), GUILD_OK);
	assert_int_equal(closed.done, 1);
	assert_true(closed.error == GUILD_ERR_CLOSED || closed.error == GUILD_OK);
	assert_int_equal(cancelled.done, 1);
}

static void test_fork_is_refused(void **state)
{
	(void)state;
	struct guild_handle *handle = open_memory();
	int status;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct guild_reply reply;
		struct guild_request request = {.method = "GET", .target = "/v1/me"};
		struct guild_handle *second;
		bool refused = guild_call(handle, &request, &reply) == GUILD_ERR_FORKED &&
			       guild_call_start(handle, &request, on_done, NULL, NULL) == GUILD_ERR_FORKED &&
			       guild_dispatch(handle, NULL) == GUILD_ERR_FORKED && guild_dup(handle, &second) == GUILD_ERR_FORKED &&
			       guild_fd(handle) == -1 && guild_close(&handle) == GUILD_ERR_FORKED;
		_exit(refused ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(guild_close(&handle), GUILD_OK);
}

static void test_a_directory_is_open_once(void **state)
{
	(void)state;
	char dir[] = "/tmp/guild-test-XXXXXX", command[64], pid[16], detail[GUILD_DETAIL_BYTES];
	struct guild_handle *handle, *second = NULL;
	assert_non_null(mkdtemp(dir));
	assert_int_equal(guild_open(dir, NULL, &handle, detail), GUILD_OK);
	assert_int_equal(guild_open(dir, NULL, &second, detail), GUILD_ERR_IN_USE);
	snprintf(pid, sizeof(pid), "%d", (int)getpid());
	assert_non_null(strstr(detail, pid));
	assert_null(second);
	assert_int_equal(guild_close(&handle), GUILD_OK);
	assert_int_equal(guild_open(dir, NULL, &handle, detail), GUILD_OK);
	assert_int_equal(guild_close(&handle), GUILD_OK);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	assert_int_equal(system(command), 0);
}

static void test_what_is_not_valid_is_refused(void **state)
{
	(void)state;
	struct guild_handle *handle;
	char detail[GUILD_DETAIL_BYTES];
	struct guild_options options = {.settings = (const char *const[]){"nonsense", NULL}};
	assert_int_equal(guild_open("", NULL, &handle, detail), GUILD_ERR_INVALID);
	assert_int_equal(guild_open(":memory:", &options, &handle, detail), GUILD_ERR_CONFIG);
	assert_non_null(strstr(detail, "nonsense"));
	assert_int_equal(guild_connect("ftp://127.0.0.1", NULL, &handle, detail), GUILD_ERR_INVALID);
	assert_int_equal(guild_connect("http://127.0.0.1:1", "a\nb", &handle, detail), GUILD_ERR_INVALID);
	handle = open_memory();
	struct guild_request bad[] = {{.method = "GET"},
				      {.target = "/v1/me"},
				      {.method = "get", .target = "/v1/me"},
				      {.method = "GET", .target = "v1/me"},
				      {.method = "GET", .target = "/v1/me\r\nX: y"},
				      {.method = "GET", .target = "/v1/me", .user = ""},
				      {.method = "GET", .target = "/v1/me", .user = "two words"},
				      {.method = "GET", .target = "/v1/me", .user = "\xff"}};
	struct guild_reply reply;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(guild_call(handle, &bad[i], &reply), GUILD_ERR_INVALID);
		assert_int_equal(guild_call_start(handle, &bad[i], on_done, NULL, NULL), GUILD_ERR_INVALID);
	}
	assert_int_equal(guild_call(NULL, &bad[0], &reply), GUILD_ERR_INVALID);
	assert_int_equal(guild_close(&handle), GUILD_OK);
}

static void test_a_server_that_is_not_there(void **state)
{
	(void)state;
	struct guild_handle *handle;
	struct guild_reply reply;
	struct guild_request request = {.method = "GET", .target = "/v1/me"};
	struct seen seen = {0};
	assert_int_equal(guild_connect("http://127.0.0.1:1/", "token", &handle, NULL), GUILD_OK);
	assert_int_equal(guild_call(handle, &request, &reply), GUILD_ERR_IO);
	assert_int_equal(guild_call_start(handle, &request, on_done, &seen, NULL), GUILD_OK);
	assert_int_equal(guild_close(&handle), GUILD_OK);
	assert_int_equal(seen.done, 1);
}

static void test_every_error_has_words(void **state)
{
	(void)state;
	for (int error = GUILD_OK; error <= GUILD_ERR_INTERNAL; error++) {
		assert_string_not_equal(guild_error_text(error), guild_error_text(-1));
	}
	assert_string_equal(guild_error_text(GUILD_ERR_INTERNAL + 1), guild_error_text(-1));
	assert_true(strlen(guild_version()) >= 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_call_waits_for_its_reply),
		cmocka_unit_test(test_chat_streams_to_the_waiting_thread),
		cmocka_unit_test(test_agents_and_decisions),
		cmocka_unit_test(test_calls_may_be_an_agents_own),
		cmocka_unit_test(test_asynchronous_calls_end_once_through_dispatch),
		cmocka_unit_test(test_cancel_and_close_end_calls),
		cmocka_unit_test(test_fork_is_refused),
		cmocka_unit_test(test_a_directory_is_open_once),
		cmocka_unit_test(test_what_is_not_valid_is_refused),
		cmocka_unit_test(test_a_server_that_is_not_there),
		cmocka_unit_test(test_every_error_has_words),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
