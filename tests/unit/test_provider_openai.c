/* The OpenAI-compatible driver against a scripted provider process: each behaviour, what is given on and how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/env.h"
#include "base/mem.h"
#include "http/client.h"
#include "provider/provider.h"
#include "sockets.h"
#include "wire/json.h"
#include "wire/utf8.h"

#define KEY "sk-canary-0123456789"
#define WAIT_US 20000000 /* a test that waits longer has failed */

/* ---- the provider process ---- */

static struct {
	pid_t pid;
	int keep; /* its standard input: closing it ends the process */
	uint16_t port;
	struct loop *loop;
	struct http_client *client;
	struct arena arena;
} world;

static void script_path(char *out, size_t cap)
{
	const char *slash = strrchr(__FILE__, '/');

	snprintf(out, cap, "%.*s/../support/provider.py", (int)(slash - __FILE__), __FILE__);
	if (access(out, R_OK) != 0) {
		snprintf(out, cap, "%s/tests/support/provider.py", getenv("MESON_SOURCE_ROOT") ? getenv("MESON_SOURCE_ROOT") : ".");
	}
}

static void process_start(void)
{
	char path[1024], line[32] = "";
	int in[2], out[2];
	size_t len = 0;
	ssize_t n;

	script_path(path, sizeof(path));
	assert_int_equal(access(path, R_OK), 0);
	assert_int_equal(pipe(in) | pipe(out), 0);
	world.pid = fork();
	assert_true(world.pid >= 0);
	if (world.pid == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[0]), close(in[1]), close(out[0]), close(out[1]);
		execl("/usr/bin/python3", "python3", path, "--stdin", (char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	world.keep = in[1];
	while (!strchr(line, '\n')) {
		assert_true(len < sizeof(line) - 1);
		n = read(out[0], line + len, sizeof(line) - 1 - len);
		assert_true(n > 0);
		len += (size_t)n;
	}
	world.port = (uint16_t)atoi(line);
	assert_true(world.port > 0);
	close(out[0]);
}

/* One control request; the reply's body, in the world's arena. */
static struct str control(const char *method, const char *path, const char *body)
{
	int fd = socket_dial(world.port);
	struct buf buf;
	struct str reply = STR_NONE;

	buf_init(&buf, 8 << 20);
	buf_format(&buf, "%s %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", method, path, strlen(body), body);
	assert_int_equal(send(fd, buf.at, buf.len, 0), (ssize_t)buf.len);
	buf_clear(&buf);
	while (!reply.at) {
		char *room = buf_reserve(&buf, 65536);
		ssize_t n = recv(fd, room, 65536, 0);
		ptrdiff_t end, length;

		assert_true(n > 0);
		buf.len += (size_t)n;
		end = str_find(buf_str(&buf), STR("\r\n\r\n"));
		length = str_find(buf_str(&buf), STR("Content-Length: "));
		if (end >= 0 && length >= 0 && buf.len - (size_t)end - 4 >= (size_t)atoi(buf.at + length + 16)) {
			reply = arena_copy(&world.arena, str_sub(buf_str(&buf), (size_t)end + 4, buf.len));
		}
	}
	assert_true(str_starts(buf_str(&buf), STR("HTTP/1.1 200")));
	buf_fini(&buf);
	close(fd);
	return reply;
}

static void script(const char *behaviours) { control("POST", "/_script", behaviours); }

/* Entry i of the log. */
static struct json logged(uint32_t i)
{
	struct json_doc *doc = arena_new(&world.arena, struct json_doc);

	assert_int_equal(json_parse(&world.arena, control("GET", "/_log", ""), doc, NULL), ERR_OK);
	assert_true(i < json_size(json_root(doc)));
	return json_element(json_root(doc), i);
}

static struct str member_str(struct json of, const char *name)
{
	struct str text = STR_NONE;

	(void)json_get_str(json_member(of, str_of(name)), &text);
	return text;
}

static int64_t member_int(struct json of, const char *name)
{
	int64_t value = -1;

	(void)json_get_int(json_member(of, str_of(name)), &value);
	return value;
}

/* ---- listening ---- */

struct heard {
	struct buf text;
	size_t deltas, cancel_after;
	int dones;
	struct provider *provider;
	struct provider_call *call;
	enum err err;
	char reason[32], finish[32], model[64];
	struct provider_result result;
	uint64_t allocations_at_50, allocations_at_end;
};

static void hear_delta(void *ctx, struct str text)
{
	struct heard *h = ctx;

	assert_int_equal(h->dones, 0);
	assert_true(text.len > 0 && utf8_valid(text));
	h->deltas++;
	h->allocations_at_50 = h->deltas == 50 ? mem_count() : h->allocations_at_50;
	h->allocations_at_end = mem_count();
	if (h->text.len < 60000) {
		buf_put_str(&h->text, text);
	}
	if (h->deltas == h->cancel_after) {
		h->provider->driver->cancel(h->call);
		assert_int_equal(h->dones, 0);
	}
}

static void hear_done(void *ctx, const struct provider_result *result)
{
	struct heard *h = ctx;

	h->dones++;
	h->result = *result;
	h->err = result->err;
	snprintf(h->reason, sizeof(h->reason), "%s", result->log_reason ? result->log_reason : "(none)");
	str_to_z(result->finish_reason, h->finish, sizeof(h->finish));
	str_to_z(result->model, h->model, sizeof(h->model));
}

struct options {
	const char *model, *key, *base;
	int64_t answer_bytes_max, first_byte_timeout_us, idle_timeout_us;
};

static enum err provider_make(const struct options *o, struct provider *out)
{
	char base[64];
	struct provider_openai_options options = {
		.model = str_of(o->model),
		.api_key = str_of(o->key),
		.clients = &world.client,
		.client_count = 1,
		.answer_bytes_max = o->answer_bytes_max,
		.first_byte_timeout_us = o->first_byte_timeout_us,
		.idle_timeout_us = o->idle_timeout_us,
	};

	snprintf(base, sizeof(base), "http://127.0.0.1:%u/v1/", world.port);
	options.base_url = str_of(o->base ? o->base : base);
	return provider_openai_create(&options, out);
}

static void until_done(struct heard *h)
{
	int64_t until_us = env_mono_us(env_real()) + WAIT_US;

	while (!h->dones) {
		assert_true(env_mono_us(env_real()) < until_us);
		loop_turn(world.loop, 100000);
	}
	for (int i = 0; i < 3; i++) {
		loop_turn(world.loop, 0);
	}
	assert_int_equal(h->dones, 1);
}

static void start(struct provider *provider, struct heard *h, const struct provider_request *request)
{
	const struct provider_sink sink = {hear_delta, hear_done, h};

	buf_init(&h->text, 65536);
	h->provider = provider;
	assert_int_equal(provider->driver->start(provider->self, world.loop, request, &sink, &h->call), ERR_OK);
	assert_int_equal(h->deltas + (size_t)h->dones, 0);
}

static void ask(struct provider *provider, struct heard *h)
{
	const struct provider_message message = {PROVIDER_USER, STR("hello there")};
	const struct provider_request request = {.messages = &message, .message_count = 1};

	start(provider, h, &request);
	until_done(h);
}

static int reset(void **state)
{
	control("POST", "/_reset", "");
	arena_reset(&world.arena, ARENA_BLOCK_MAX);
	return 0;
}

/* ---- behaviours ---- */

struct row {
	const char *name, *behaviour, *text;
	enum err err;
	const char *reason;
};

#define THREE "\"deltas\":[\"one \",\"t\u00fcw\u00f6 \",\"\U0001F600 three\"]"
#define THREE_TEXT "one tüwö 😀 three"
#define TORN_EVENT(content) "data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"" content "\\\"}}]}\\n\\n"
#define END_EVENTS "data: {\\\"choices\\\":[{\\\"delta\\\":{},\\\"finish_reason\\\":\\\"stop\\\"}]}\\n\\ndata: [DONE]\\n\\n"

static const struct row rows[] = {
	{"plain", "{" THREE "}", THREE_TEXT, ERR_OK, "ok"},
	{"crlf", "{" THREE ",\"crlf\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"cr", "{" THREE ",\"cr\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"comments", "{" THREE ",\"comments\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"split 1", "{" THREE ",\"split\":1}", THREE_TEXT, ERR_OK, "ok"},
	{"split 3, crlf", "{" THREE ",\"split\":3,\"crlf\":true,\"comments\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"split 7, cr", "{" THREE ",\"split\":7,\"cr\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"reasoning", "{" THREE ",\"reasoning\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"no usage", "{" THREE ",\"usage\":null}", THREE_TEXT, ERR_OK, "ok"},
	{"empty answer", "{\"deltas\":[]}", "", ERR_OK, "ok"},
	{"empty deltas", "{\"deltas\":[\"\",\"a\",\"\"]}", "a", ERR_OK, "ok"},
	{"slow", "{" THREE ",\"first_delay_ms\":30,\"delay_ms\":20}", THREE_TEXT, ERR_OK, "ok"},
	{"no [DONE]", "{" THREE ",\"no_done\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"no finish_reason", "{" THREE ",\"no_finish\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"neither marker", "{" THREE ",\"no_done\":true,\"no_finish\":true}", THREE_TEXT, ERR_PROVIDER_FAILED, "cut"},
	{"deltas after the finish", "{" THREE ",\"after_finish\":[\"more\"]}", THREE_TEXT, ERR_OK, "ok"},
	{"body stays open after [DONE]", "{" THREE ",\"linger\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"cut at once", "{" THREE ",\"cut_after\":0}", "", ERR_PROVIDER_FAILED, "cut"},
	{"cut", "{" THREE ",\"cut_after\":2}", "one tüwö ", ERR_PROVIDER_FAILED, "cut"},
	{"cut by a reset", "{" THREE ",\"cut_after\":2,\"reset\":true}", NULL, ERR_PROVIDER_FAILED, "cut"},
	{"garbage once", "{" THREE ",\"garbage_after\":1}", THREE_TEXT, ERR_OK, "ok"},
	{"garbage twice", "{" THREE ",\"garbage_after\":1,\"garbage\":2}", "one ", ERR_PROVIDER_FAILED, "garbage"},
	{"error in-band", "{" THREE ",\"in_band_error_after\":2}", "one tüwö ", ERR_PROVIDER_FAILED, "in_band"},
	{"error in-band at once", "{" THREE ",\"in_band_error_after\":0}", "", ERR_PROVIDER_FAILED, "in_band"},
	{"error event", "{\"raw\":\"event: error\\ndata: {}\\n\\n\"}", "", ERR_PROVIDER_FAILED, "in_band"},
	{"no stream", "{" THREE ",\"non_stream\":true}", THREE_TEXT, ERR_OK, "ok"},
	{"no stream, no JSON", "{\"body\":\"oops\",\"status\":200}", "", ERR_PROVIDER_FAILED, "garbage"},
	{"no stream, an error", "{\"body\":\"{\\\"error\\\":{}}\",\"status\":200}", "", ERR_PROVIDER_FAILED, "in_band"},
	{"no stream, no choices", "{\"body\":\"{}\",\"status\":200}", "", ERR_PROVIDER_FAILED, "garbage"},
	{"HTML", "{\"body\":\"<html>\",\"status\":200,\"content_type\":\"text/html\"}", "", ERR_PROVIDER_FAILED, "not_sse"},
	{"type in capitals", "{" THREE ",\"content_type\":\"Text/Event-Stream\"}", THREE_TEXT, ERR_OK, "ok"},
	{"plain text type", "{" THREE ",\"content_type\":\"text/plain\"}", THREE_TEXT, ERR_OK, "ok"},
	{"empty body", "{\"raw\":\"\"}", "", ERR_PROVIDER_FAILED, "cut"},
	{"last newline missing", "{\"raw\":\"" TORN_EVENT("x") "data: [DONE]\"}", "x", ERR_OK, "ok"},
	{"torn bytes", "{\"raw\":\"" TORN_EVENT("\\u00f0\\u009f") TORN_EVENT("\\u0098\\u0080") END_EVENTS "\"}", "😀", ERR_OK, "ok"},
	{"torn surrogates", "{\"raw\":\"" TORN_EVENT("\\\\ud83d") TORN_EVENT("\\\\ude00") END_EVENTS "\"}", "😀", ERR_OK, "ok"},
	{"never whole", "{\"raw\":\"" TORN_EVENT("a\u00c3") END_EVENTS "\"}", "a\xef\xbf\xbd", ERR_OK, "ok"},
	{"404", "{\"status\":404,\"body\":\"no\"}", "", ERR_PROVIDER_FAILED, "status"},
	{"a redirect", "{\"status\":302,\"headers\":{\"Location\":\"http://127.0.0.1:1/\"}}", "", ERR_PROVIDER_FAILED, "status"},
};

static void test_behaviours(void **state)
{
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct heard h = {.err = ERR_OK};
		char list[2048];

		snprintf(list, sizeof(list), "[%s]", rows[i].behaviour);
		script(list);
		ask(&provider, &h);
		if (h.err != rows[i].err || strcmp(h.reason, rows[i].reason) != 0 ||
		    (rows[i].text && !str_eq(buf_str(&h.text), str_of(rows[i].text)))) {
			fail_msg("%s: %s, %s, \"%.*s\"", rows[i].name, err_row(h.err)->name, h.reason, STR_FMT(buf_str(&h.text)));
		}
		if (h.err == ERR_OK) {
			assert_string_equal(h.finish, "stop");
		}
		buf_fini(&h.text);
	}
	provider_openai_destroy(&provider);
}

static void test_one_delta_for_each_chunk(void **state)
{
	struct heard h = {.err = ERR_OK};
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	script("[{\"deltas\":[\"a\",\"b\",\"c\",\"\",\"d\"],\"model\":\"m-2024\",\"finish_reason\":\"length\","
	       "\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":4}}]");
	ask(&provider, &h);
	assert_int_equal(h.err, ERR_OK);
	assert_int_equal(h.deltas, 4);
	assert_string_equal(h.model, "m-2024");
	assert_string_equal(h.finish, "length");
	assert_true(h.result.has_usage && h.result.tokens_in == 11 && h.result.tokens_out == 4);
	assert_int_equal(h.result.http_status, 200);
	buf_fini(&h.text);
	provider_openai_destroy(&provider);
}

static void test_status(void **state)
{
	const int statuses[] = {400, 401, 403, 429, 500, 503};
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = "m", .key = KEY}, &provider), ERR_OK);
	for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
		struct heard h = {.err = ERR_OK};
		char list[128];

		snprintf(list, sizeof(list), "[{\"status\":%d,\"retry_after\":%zu}]", statuses[i], i);
		script(list);
		ask(&provider, &h);
		assert_int_equal(h.err, ERR_PROVIDER_FAILED);
		assert_string_equal(h.reason, "status");
		assert_int_equal(h.result.http_status, statuses[i]);
		assert_int_equal(h.result.retry_after_ms, 1000 * (int64_t)i);
		assert_int_equal(h.deltas, 0);
		buf_fini(&h.text);
	}
	provider_openai_destroy(&provider);
}

static void test_request(void **state)
{
	const struct provider_message messages[] = {
		{PROVIDER_SYSTEM, STR("Be \"brief\".\n")}, {PROVIDER_USER, STR("é😀")}, {PROVIDER_ASSISTANT, STR("")}, {PROVIDER_USER, STR("go")}};
	const char *roles[] = {"system", "user", "assistant", "user"};
	struct provider_request request = {
		.messages = messages, .message_count = 4, .output_tokens_max = 77, .trace_id = STR("trace-1"), .model = STR("other")};
	struct heard h = {.err = ERR_OK}, plain = {.err = ERR_OK}, own = {.err = ERR_OK};
	struct json entry, body, list, headers;
	struct provider provider;
	bool stream = false, usage = false;

	assert_int_equal(provider_make(&(struct options){.model = "m", .key = KEY}, &provider), ERR_OK);
	start(&provider, &h, &request);
	until_done(&h);
	entry = logged(0);
	assert_true(str_eq(member_str(entry, "method"), STR("POST")));
	assert_true(str_eq(member_str(entry, "path"), STR("/v1/chat/completions")));
	body = json_member(entry, STR("body"));
	assert_int_equal(json_size(body), 5);
	assert_true(str_eq(member_str(body, "model"), STR("other")));
	assert_int_equal(member_int(body, "max_tokens"), 77);
	assert_true(json_get_bool(json_member(body, STR("stream")), &stream) && stream);
	assert_true(json_get_bool(json_member(json_member(body, STR("stream_options")), STR("include_usage")), &usage) && usage);
	list = json_member(body, STR("messages"));
	assert_int_equal(json_size(list), 4);
	for (uint32_t i = 0; i < 4; i++) {
		assert_true(str_eq(member_str(json_element(list, i), "role"), str_of(roles[i])));
		assert_true(str_eq(member_str(json_element(list, i), "content"), messages[i].content));
	}
	headers = json_member(entry, STR("headers"));
	assert_true(str_eq(member_str(headers, "authorization"), STR("Bearer " KEY)));
	assert_true(str_eq(member_str(headers, "content-type"), STR("application/json")));
	assert_true(str_eq(member_str(headers, "x-request-id"), STR("trace-1")));
	buf_fini(&h.text);

	request = (struct provider_request){.messages = messages, .message_count = 2, .api_key = STR("sk-own"), .trace_id = STR("a\r\nb: c")};
	start(&provider, &own, &request);
	until_done(&own);
	entry = logged(1);
	assert_true(str_eq(member_str(json_member(entry, STR("headers")), "authorization"), STR("Bearer sk-own")));
	assert_false(json_there(json_member(json_member(entry, STR("headers")), STR("x-request-id"))));
	assert_true(str_eq(member_str(json_member(entry, STR("body")), "model"), STR("m")));
	assert_false(json_there(json_member(json_member(entry, STR("body")), STR("max_tokens"))));
	buf_fini(&own.text);
	provider_openai_destroy(&provider);

	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	ask(&provider, &plain);
	assert_true(str_eq(buf_str(&plain.text), STR("echo: hello there")));
	assert_false(json_there(json_member(json_member(logged(2), STR("headers")), STR("authorization"))));
	buf_fini(&plain.text);
	provider_openai_destroy(&provider);
}

static void test_the_only_model(void **state)
{
	struct heard first = {.err = ERR_OK}, second = {.err = ERR_OK};
	struct provider provider;
	char name[64];

	assert_int_equal(provider_make(&(struct options){.key = KEY}, &provider), ERR_OK);
	assert_null(provider.driver->default_model(provider.self, name, sizeof(name)).at);
	script("[{\"models\":[\"the-one\"]}]");
	ask(&provider, &first);
	assert_int_equal(first.err, ERR_OK);
	assert_true(str_eq(buf_str(&first.text), STR("echo: hello there")));
	assert_true(str_eq(provider.driver->default_model(provider.self, name, sizeof(name)), STR("the-one")));
	ask(&provider, &second);
	assert_int_equal(second.err, ERR_OK);
	assert_true(str_eq(member_str(logged(0), "path"), STR("/v1/models")));
	assert_true(str_eq(member_str(json_member(logged(0), STR("headers")), "authorization"), STR("Bearer " KEY)));
	assert_true(str_eq(member_str(json_member(logged(1), STR("body")), "model"), STR("the-one")));
	assert_true(str_eq(member_str(logged(2), "path"), STR("/v1/chat/completions")));
	buf_fini(&first.text);
	buf_fini(&second.text);
	provider_openai_destroy(&provider);
}

static void test_model_unknown(void **state)
{
	const struct {
		const char *script;
		enum err err;
		const char *reason;
	} cases[] = {
		{"[{\"models\":[]}]", ERR_NO_PROVIDER, "model_unknown"},
		{"[{\"models\":[\"a\",\"b\"]}]", ERR_NO_PROVIDER, "model_unknown"},
		{"[{\"models\":[\"a\"],\"models_status\":404}]", ERR_NO_PROVIDER, "model_unknown"},
		{"[{\"models_status\":401}]", ERR_PROVIDER_FAILED, "status"},
		{"[{\"models_status\":503}]", ERR_PROVIDER_FAILED, "status"},
	};
	struct provider provider;
	struct heard later = {.err = ERR_OK};

	assert_int_equal(provider_make(&(struct options){.key = KEY}, &provider), ERR_OK);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct heard h = {.err = ERR_OK};

		script(cases[i].script);
		ask(&provider, &h);
		assert_int_equal(h.err, cases[i].err);
		assert_string_equal(h.reason, cases[i].reason);
		assert_int_equal(h.deltas, 0);
		buf_fini(&h.text);
	}
	script("[{\"models\":[\"now\"],\"models_status\":200}]");
	ask(&provider, &later);
	assert_int_equal(later.err, ERR_OK);
	buf_fini(&later.text);
	provider_openai_destroy(&provider);
}

static void test_cancel(void **state)
{
	struct heard h = {.cancel_after = 5}, hung = {.err = ERR_OK};
	const struct provider_message message = {PROVIDER_USER, STR("x")};
	const struct provider_request request = {.messages = &message, .message_count = 1};
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	script("[{\"endless\":true},{\"hang\":true}]");
	ask(&provider, &h);
	assert_int_equal(h.err, ERR_CANCELLED);
	assert_string_equal(h.reason, "cancelled");
	assert_int_equal(h.deltas, 5);
	control("POST", "/_wait", "{\"aborted\":1}");
	buf_fini(&h.text);

	start(&provider, &hung, &request);
	while (http_client_active(world.client) == 0) {
		loop_turn(world.loop, 10000);
	}
	for (int i = 0; i < 20; i++) {
		loop_turn(world.loop, 1000);
	}
	provider.driver->cancel(hung.call);
	provider.driver->cancel(hung.call);
	assert_int_equal(hung.dones, 0);
	until_done(&hung);
	assert_int_equal(hung.err, ERR_CANCELLED);
	assert_int_equal(http_client_active(world.client), 0);
	buf_fini(&hung.text);
	provider_openai_destroy(&provider);
}

static void test_cancel_while_listing(void **state)
{
	const struct provider_message message = {PROVIDER_USER, STR("x")};
	const struct provider_request request = {.messages = &message, .message_count = 1};
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = NULL}, &provider), ERR_OK);
	for (int turns = 0; turns < 12; turns++) {
		struct heard h = {.err = ERR_OK};

		start(&provider, &h, &request);
		for (int i = 0; i < turns && !h.dones; i++) {
			loop_turn(world.loop, 500);
		}
		if (!h.dones) {
			provider.driver->cancel(h.call);
			assert_int_equal(h.dones, 0);
			until_done(&h);
			assert_int_equal(h.err, ERR_CANCELLED);
		}
		buf_fini(&h.text);
		provider_openai_destroy(&provider);
		assert_int_equal(provider_make(&(struct options){.model = NULL}, &provider), ERR_OK);
	}
	provider_openai_destroy(&provider);
}

static void test_caps(void **state)
{
	struct heard endless = {.err = ERR_OK}, whole = {.err = ERR_OK}, exact = {.err = ERR_OK};
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = "m", .answer_bytes_max = 1000}, &provider), ERR_OK);
	script("[{\"endless\":true,\"deltas\":[\"0123456789\"]},{\"non_stream\":true,\"deltas\":[\"0123456789\"]}]");
	ask(&provider, &endless);
	assert_int_equal(endless.err, ERR_PROVIDER_FAILED);
	assert_string_equal(endless.reason, "too_long");
	assert_int_equal(endless.text.len, 1000);
	control("POST", "/_wait", "{\"aborted\":1}");
	ask(&provider, &whole);
	assert_int_equal(whole.err, ERR_OK);
	provider_openai_destroy(&provider);
	buf_fini(&endless.text);
	buf_fini(&whole.text);

	assert_int_equal(provider_make(&(struct options){.model = "m", .answer_bytes_max = 9}, &provider), ERR_OK);
	script("[{\"non_stream\":true,\"deltas\":[\"0123456789\"]}]");
	ask(&provider, &exact);
	assert_int_equal(exact.err, ERR_PROVIDER_FAILED);
	assert_string_equal(exact.reason, "too_long");
	assert_int_equal(exact.deltas, 0);
	provider_openai_destroy(&provider);
	buf_fini(&exact.text);
}

static void test_endless_line(void **state)
{
	struct heard h = {.err = ERR_OK};
	struct provider provider;
	struct buf list;

	buf_init(&list, 4 << 20);
	buf_put_str(&list, STR("[{\"raw\":\"data: "));
	for (int i = 0; i < 1100; i++) {
		buf_format(&list, "%01024d", 0);
	}
	buf_put_str(&list, STR("\"}]"));
	buf_put_byte(&list, '\0');
	assert_int_equal(buf_err(&list), ERR_OK);
	script(list.at);
	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	ask(&provider, &h);
	assert_int_equal(h.err, ERR_PROVIDER_FAILED);
	assert_string_equal(h.reason, "line_too_long");
	provider_openai_destroy(&provider);
	buf_fini(&h.text);
	buf_fini(&list);
}

static void test_timeouts(void **state)
{
	struct heard first = {.err = ERR_OK}, idle = {.err = ERR_OK};
	struct provider provider;

	assert_int_equal(
		provider_make(&(struct options){.model = "m", .first_byte_timeout_us = 150000, .idle_timeout_us = 150000}, &provider), ERR_OK);
	script("[{\"hang\":true},{\"deltas\":[\"a\",\"b\"],\"hold_after\":1}]");
	ask(&provider, &first);
	assert_int_equal(first.err, ERR_PROVIDER_TIMEOUT);
	assert_string_equal(first.reason, "first_byte");
	ask(&provider, &idle);
	assert_int_equal(idle.err, ERR_PROVIDER_TIMEOUT);
	assert_string_equal(idle.reason, "idle");
	assert_int_equal(idle.deltas, 1);
	buf_fini(&first.text);
	buf_fini(&idle.text);
	provider_openai_destroy(&provider);
}

static void test_nobody_there(void **state)
{
	struct heard h = {.err = ERR_OK}, unknown = {.err = ERR_OK};
	struct provider provider;

	assert_int_equal(provider_make(&(struct options){.model = "m", .base = "http://127.0.0.1:1/v1"}, &provider), ERR_OK);
	ask(&provider, &h);
	assert_int_equal(h.err, ERR_PROVIDER_FAILED);
	assert_string_equal(h.reason, "connect");
	assert_int_equal(h.result.http_status, 0);
	provider_openai_destroy(&provider);
	assert_int_equal(provider_make(&(struct options){.base = "http://127.0.0.1:1/v1"}, &provider), ERR_OK);
	ask(&provider, &unknown);
	assert_int_equal(unknown.err, ERR_PROVIDER_FAILED);
	assert_string_equal(unknown.reason, "connect");
	provider_openai_destroy(&provider);
	buf_fini(&h.text);
	buf_fini(&unknown.text);
}

static void test_refused_options(void **state)
{
	const struct options bad[] = {
		{.base = ""}, {.base = "ftp://x/v1"}, {.base = "api.openai.com"}, {.base = "http://user:secret@host/v1"},
		{.key = "sk\r\nX-Evil: 1"}, {.key = "sk key"}, {.key = "sk-\x01"},
	};
	const struct provider_message message = {PROVIDER_USER, STR("x")};
	const struct provider_request request = {.messages = &message, .message_count = 1, .api_key = STR("a\nb")};
	struct heard h = {.err = ERR_OK};
	const struct provider_sink sink = {hear_delta, hear_done, &h};
	struct provider_call *call;
	struct provider provider;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(provider_make(&bad[i], &provider), ERR_INVALID);
	}
	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	assert_int_equal(provider.driver->start(provider.self, world.loop, &request, &sink, &call), ERR_INVALID);
	loop_turn(world.loop, 0);
	assert_int_equal(h.dones, 0);
	provider_openai_destroy(&provider);
}

static void test_no_allocation_for_each_token(void **state)
{
	struct heard h = {.err = ERR_OK};
	struct provider provider;
	struct buf list;

	buf_init(&list, 1 << 20);
	buf_put_str(&list, STR("[{\"deltas\":[\"word \""));
	for (int i = 0; i < 1999; i++) {
		buf_put_str(&list, STR(",\"word \""));
	}
	buf_put_str(&list, STR("]}]"));
	buf_put_byte(&list, '\0');
	script(list.at);
	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	ask(&provider, &h);
	assert_int_equal(h.err, ERR_OK);
	assert_int_equal(h.deltas, 2000);
	assert_true(h.allocations_at_end - h.allocations_at_50 < 20);
	provider_openai_destroy(&provider);
	buf_fini(&h.text);
	buf_fini(&list);
}

static bool fail_from(void *arg, uint64_t number) { return number >= *(uint64_t *)arg; }

/* Whatever allocation of a start fails: no callback comes, nothing leaks. */
static void test_start_without_memory(void **state)
{
	const struct provider_message message = {PROVIDER_USER, STR("hello")};
	const struct provider_request request = {.messages = &message, .message_count = 1, .trace_id = STR("t")};
	struct provider provider;
	bool succeeded = false;

	for (uint64_t n = 1; n < 100 && !succeeded; n++) {
		struct heard h = {.err = ERR_OK};
		const struct provider_sink sink = {hear_delta, hear_done, &h};
		uint64_t from = mem_count() + n;
		enum err err;

		mem_hook_set(fail_from, &from);
		err = provider_make(&(struct options){.key = KEY, .model = "m"}, &provider);
		if (err == ERR_OK) {
			err = provider.driver->start(provider.self, world.loop, &request, &sink, &h.call);
			mem_hook_set(NULL, NULL);
			if (err == ERR_OK) {
				buf_init(&h.text, 65536);
				until_done(&h);
				assert_int_equal(h.err, ERR_OK);
				buf_fini(&h.text);
				succeeded = true;
			}
			provider_openai_destroy(&provider);
		}
		mem_hook_set(NULL, NULL);
		loop_turn(world.loop, 0);
		assert_int_equal(h.dones, succeeded);
	}
	assert_true(succeeded);
}

static void fail_after_first(void *ctx, struct str text)
{
	static uint64_t from;
	struct heard *h = ctx;

	h->deltas++;
	from = mem_count();
	mem_hook_set(fail_from, &from);
}

/* Memory runs out in mid-answer: the run ends, once. */
static void test_no_memory_for_a_chunk(void **state)
{
	const struct provider_message message = {PROVIDER_USER, STR("hello")};
	const struct provider_request request = {.messages = &message, .message_count = 1};
	struct heard h = {.err = ERR_OK};
	const struct provider_sink sink = {fail_after_first, hear_done, &h};
	struct provider provider;
	struct buf list;

	buf_init(&list, 1 << 20);
	buf_put_str(&list, STR("[{\"deltas\":[\"word \",\""));
	for (int i = 0; i < 200; i++) {
		buf_format(&list, "%01000d", 0);
	}
	buf_put_str(&list, STR("\"]}]"));
	buf_put_byte(&list, '\0');
	script(list.at);
	assert_int_equal(provider_make(&(struct options){.model = "m"}, &provider), ERR_OK);
	assert_int_equal(provider.driver->start(provider.self, world.loop, &request, &sink, &h.call), ERR_OK);
	until_done(&h);
	mem_hook_set(NULL, NULL);
	assert_int_equal(h.deltas, 1);
	assert_int_equal(h.err, ERR_PROVIDER_FAILED);
	/* "cut": the HTTP client had no memory to hand the bytes on, and gave the connection up. */
	assert_true(strcmp(h.reason, "memory") == 0 || strcmp(h.reason, "line_too_long") == 0 || strcmp(h.reason, "cut") == 0);
	provider_openai_destroy(&provider);
	buf_fini(&list);
}

/* A request may name its own server and key; the configured key stays at home. */
static void test_own_server(void **state)
{
	const struct provider_message message = {PROVIDER_USER, STR("hello")};
	struct provider_request request = {.messages = &message, .message_count = 1};
	struct heard keyless = {.err = ERR_OK}, keyed = {.err = ERR_OK};
	const struct provider_sink sink = {hear_delta, hear_done, &keyed};
	struct provider provider;
	struct json headers;
	char base[64], name[64];

	snprintf(base, sizeof(base), "http://127.0.0.1:%u/v1/", world.port);
	assert_int_equal(provider_make(&(struct options){.key = KEY, .base = "http://127.0.0.1:1/v1"}, &provider), ERR_OK);
	request.base_url = str_of(base);
	start(&provider, &keyless, &request);
	until_done(&keyless);
	assert_int_equal(keyless.err, ERR_OK);
	for (uint32_t i = 0; i < 2; i++) {
		headers = json_member(logged(i), STR("headers"));
		assert_false(json_there(json_member(headers, STR("authorization"))));
	}
	assert_true(str_eq(member_str(json_member(logged(1), STR("body")), "model"), STR("test-model")));
	assert_null(provider.driver->default_model(provider.self, name, sizeof(name)).at);
	request.api_key = STR("sk-own");
	request.model = STR("mine");
	start(&provider, &keyed, &request);
	until_done(&keyed);
	headers = json_member(logged(2), STR("headers"));
	assert_true(str_eq(member_str(headers, "authorization"), STR("Bearer sk-own")));
	request.base_url = STR("file:///etc/passwd");
	assert_int_equal(provider.driver->start(provider.self, world.loop, &request, &sink, &keyed.call), ERR_INVALID);
	buf_fini(&keyless.text);
	buf_fini(&keyed.text);
	provider_openai_destroy(&provider);
}

static int world_make(void **state)
{
	const struct loop_options options = {.env = env_real()};

	arena_init(&world.arena, 256 << 20);
	process_start();
	return http_client_global_init() != ERR_OK || loop_create(&options, &world.loop) != ERR_OK ||
	       http_client_create(world.loop, &world.client) != ERR_OK;
}

static int world_end(void **state)
{
	int status = 0;

	http_client_destroy(&world.client);
	loop_destroy(&world.loop);
	http_client_global_fini();
	arena_fini(&world.arena);
	close(world.keep);
	return waitpid(world.pid, &status, 0) == world.pid && status == 0 ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_behaviours, reset),
		cmocka_unit_test_setup(test_one_delta_for_each_chunk, reset),
		cmocka_unit_test_setup(test_status, reset),
		cmocka_unit_test_setup(test_request, reset),
		cmocka_unit_test_setup(test_the_only_model, reset),
		cmocka_unit_test_setup(test_model_unknown, reset),
		cmocka_unit_test_setup(test_cancel, reset),
		cmocka_unit_test_setup(test_cancel_while_listing, reset),
		cmocka_unit_test_setup(test_caps, reset),
		cmocka_unit_test_setup(test_endless_line, reset),
		cmocka_unit_test_setup(test_timeouts, reset),
		cmocka_unit_test_setup(test_nobody_there, reset),
		cmocka_unit_test_setup(test_refused_options, reset),
		cmocka_unit_test_setup(test_no_allocation_for_each_token, reset),
		cmocka_unit_test_setup(test_start_without_memory, reset),
		cmocka_unit_test_setup(test_no_memory_for_a_chunk, reset),
		cmocka_unit_test_setup(test_own_server, reset),
	};

	return cmocka_run_group_tests(tests, world_make, world_end);
}
