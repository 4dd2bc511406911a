/*
 * chat.c - guild chat: one message, or a conversation.
 *
 * The answer comes as an event stream; a reply that is none (a problem) starts with '{', which no event stream does. Signals
 * are a descriptor here, looked at five times a second: the first asks for a cancel, which needs the execution's id
 * from streaming:start; a second one leaves at once.
 */
#include <stdlib.h>
#include <unistd.h>

#include "base/env.h"
#include "base/limits.h"
#include "cli/cli_priv.h"
#include "http/client.h"
#include "wire/sse.h"
#include "wire/utf8.h"

#define BODY_BYTES       (2 * LIMIT_BODY_BYTES)
#define PLAIN_BYTES      (4 << 20)
#define CANCEL_US        (5 * INT64_C(1000000))
#define PROGRESS_WAIT_US 400000
#define EVENT_ARENA      (16 << 20)

enum form { FORM_UNKNOWN, FORM_STREAM, FORM_PLAIN };

struct chat {
	struct cli *cli;
	int signals;
	char agent[256];
	char session[256];
	char execution[256];
	/* of the message under way */
	struct arena arena;
	struct sse sse;
	struct buf plain;
	enum form form;
	int64_t started_us;
	int interrupts;
	bool progress_shown;
	bool printed;
	bool at_line_start;
	bool ended;
	bool broken;
	int code;
};

/* ---- the progress line ---- */

static void progress_clear(struct chat *chat)
{
	if (chat->progress_shown) {
		fputs("\r\x1b[K", stderr);
		fflush(stderr);
		chat->progress_shown = false;
	}
}

static void progress_show(struct chat *chat)
{
	int64_t waited_us = env_mono_us(env_real()) - chat->started_us;

	if (!chat->cli->term.lively || chat->printed || waited_us < PROGRESS_WAIT_US) {
		return;
	}
	fprintf(stderr, "\r\x1b[K%c %s, %d s", "|/-\\"[waited_us / 200000 % 4], chat->interrupts ? "cancelling" : "waiting",
		(int)(waited_us / 1000000));
	fflush(stderr);
	chat->progress_shown = true;
}

/* ---- events ---- */

static void put_answer(struct chat *chat, struct str text)
{
	if (text.len == 0) {
		return;
	}
	progress_clear(chat);
	cli_put_clean(stdout, text);
	fflush(stdout);
	chat->printed = true;
	chat->at_line_start = text.at[text.len - 1] == '\n';
}

static void end_line(struct chat *chat)
{
	progress_clear(chat);
	if (chat->printed && !chat->at_line_start) {
		putchar('\n');
		fflush(stdout);
		chat->at_line_start = true;
	}
}

static void keep_id(struct json event, const char *member, char out[256])
{
	struct str id;

	if (json_get_str(cli_member(event, member), &id) && id.len > 0 && id.len < 256) {
		str_to_z(id, out, 256);
	}
}

static struct str string_at(struct json event, const char *member)
{
	struct str text;

	return json_get_str(cli_member(event, member), &text) ? text : STR("");
}

static void on_error(struct chat *chat, struct json event)
{
	struct str code = string_at(event, "code");
	struct str error = string_at(event, "error");

	end_line(chat);
	chat->ended = true;
	chat->code = str_eq(code, STR("cancelled")) && chat->interrupts ? CLI_INTERRUPTED : cli_exit_of(code, 0, true);
	cli_fail(chat->code, "%.*s (%.*s)", STR_FMT(error.len ? error : STR("The run failed.")), STR_FMT(code));
}

/* Each event as one line, for programs. */
static void print_event(struct chat *chat, const struct sse_event *event, struct json data)
{
	struct json_out out;
	struct buf line;

	buf_init(&line, PLAIN_BYTES);
	json_begin(&out, &line);
	json_object(&out);
	json_put_str(&out, STR("event"), event->event);
	json_name(&out, STR("data"));
	json_put_value(&out, data);
	json_object_end(&out);
	progress_clear(chat);
	cli_print_json(chat->cli, buf_str(&line));
	fflush(stdout);
	chat->printed = true;
	chat->at_line_start = true;
	buf_fini(&line);
}

static void on_event(struct chat *chat, const struct sse_event *event)
{
	struct json_doc doc;
	struct json data;

	arena_reset(&chat->arena, ARENA_BLOCK_MAX);
	if (json_parse(&chat->arena, event->data, &doc, NULL) != ERR_OK) {
		chat->broken = true;
		return;
	}
	data = json_root(&doc);
	if (str_eq(event->event, STR("streaming:start"))) {
		keep_id(data, "execution_id", chat->execution);
		keep_id(data, "session_id", chat->session);
	}
	if (chat->cli->json) {
		print_event(chat, event, data);
	} else if (str_eq(event->event, STR("streaming:update"))) {
		put_answer(chat, string_at(data, "delta"));
	}
	if (str_eq(event->event, STR("streaming:complete"))) {
		/* An answer that came whole and not in pieces. */
		if (!chat->printed && !chat->cli->json) {
			put_answer(chat, string_at(data, "content"));
		}
		chat->ended = true;
	} else if (str_eq(event->event, STR("streaming:error"))) {
		on_error(chat, data);
	}
}

static bool on_bytes(void *ctx, struct str bytes)
{
	struct chat *chat = ctx;
	struct sse_event event;
	bool got = true;

	if (chat->form == FORM_UNKNOWN && bytes.len > 0) {
		chat->form = bytes.at[0] == '{' ? FORM_PLAIN : FORM_STREAM;
	}
	if (chat->form == FORM_PLAIN) {
		buf_put_str(&chat->plain, bytes);
		return buf_err(&chat->plain) == ERR_OK;
	}
	while (!chat->broken && (bytes.len > 0 || got)) {
		if (sse_feed(&chat->sse, &bytes, &event, &got) != ERR_OK) {
			chat->broken = true;
		} else if (got) {
			on_event(chat, &event);
		}
	}
	return !chat->broken;
}

/* False stops the request: at the second signal, or as soon as the run that is to be cancelled has a name. */
static bool on_tick(void *ctx)
{
	struct chat *chat = ctx;

	if (cli_signals_take(chat->signals)) {
		chat->interrupts++;
	}
	if (chat->interrupts > 1 || (chat->interrupts == 1 && (chat->execution[0] || chat->form == FORM_PLAIN))) {
		return false;
	}
	progress_show(chat);
	return true;
}

/* ---- one message ---- */

static void put_after(struct json_out *out, const char *list)
{
	struct str rest = str_of(list), id;

	if (!list) {
		return;
	}
	json_name(out, STR("after"));
	json_array(out);
	while (str_split(&rest, ',', &id)) {
		json_str(out, str_trim(id));
	}
	json_array_end(out);
}

static void put_body(struct chat *chat, struct str message, bool stream, struct buf *body)
{
	struct json_out out;

	json_begin(&out, body);
	json_object(&out);
	json_put_str(&out, STR("message"), message);
	if (chat->agent[0]) {
		json_put_str(&out, STR("agent"), str_of(chat->agent));
	}
	if (chat->session[0]) {
		json_put_str(&out, STR("session_id"), str_of(chat->session));
	}
	if (cli_option(chat->cli, "priority")) {
		json_put_str(&out, STR("priority"), str_of(cli_option(chat->cli, "priority")));
	}
	put_after(&out, cli_option(chat->cli, "after"));
	json_put_bool(&out, STR("stream"), stream);
	json_object_end(&out);
}

static bool patient_tick(void *ctx)
{
	struct chat *chat = ctx;

	progress_show(chat);
	return !cli_signals_take(chat->signals);
}

/* Asks the server to stop the run; the partial text stays with it. */
static int cancel(struct chat *chat)
{
	struct cli *cli = chat->cli;
	struct str path = cli_path(cli, "/v1/executions", chat->execution, "/cancel");
	struct http_fetch fetch = {.method = "POST", .total_timeout_us = CANCEL_US, .tick = patient_tick, .ctx = chat};
	char content_type[64];
	char detail[128];
	struct buf reply;
	int status = 0;
	enum err err;

	end_line(chat);
	fetch.url = arena_format(&cli->arena, "%s%.*s", cli->url, STR_FMT(path)).at;
	fetch.headers = cli_headers(cli, "application/json", false);
	if (!fetch.url || !fetch.headers) {
		return cli_fail(CLI_FAILED, "not enough memory");
	}
	buf_init(&reply, PLAIN_BYTES);
	err = http_fetch(&fetch, &status, content_type, &reply, detail);
	buf_fini(&reply);
	progress_clear(chat);
	if (!err && status >= 200 && status < 300) {
		cli_fail(CLI_OK, "cancelled; what came so far is kept in execution %s", chat->execution);
	} else if (err || status != 409) {
		cli_fail(CLI_OK, "the run goes on; stop it with: guild execution cancel %s", chat->execution);
	}
	return CLI_INTERRUPTED;
}

/* A run result: {success, response, session_id, ...}. */
static int print_result(struct chat *chat)
{
	struct json_doc doc;
	struct json result;
	bool success = true;

	if (json_parse(&chat->arena, buf_str(&chat->plain), &doc, NULL) != ERR_OK) {
		return cli_fail(CLI_FAILED, "%s answered with something that is not JSON; is the URL right?", chat->cli->url);
	}
	result = json_root(&doc);
	keep_id(result, "session_id", chat->session);
	keep_id(result, "execution_id", chat->execution);
	json_get_bool(cli_member(result, "success"), &success);
	if (chat->cli->json) {
		cli_print_json(chat->cli, buf_str(&chat->plain));
		return success ? CLI_OK : CLI_RUN_FAILED;
	}
	put_answer(chat, string_at(result, "response"));
	end_line(chat);
	if (!success) {
		struct str error = string_at(result, "error");

		return cli_fail(cli_exit_of(string_at(result, "code"), 0, true), "%.*s",
				STR_FMT(error.len ? error : STR("The run failed.")));
	}
	return CLI_OK;
}

/* What the end of the request means. */
static int judge(struct chat *chat, enum err err, int status, const char *detail)
{
	struct sse_event event;

	if (!err && chat->form == FORM_STREAM && !chat->broken && sse_finish(&chat->sse, &event)) {
		on_event(chat, &event);
	}
	if (chat->ended) {
		end_line(chat);
		return chat->code;
	}
	if (chat->interrupts > 0 && err == ERR_CANCELLED) {
		if (chat->interrupts == 1 && chat->execution[0]) {
			return cancel(chat);
		}
		end_line(chat);
		return cli_fail(CLI_INTERRUPTED, "interrupted; the run goes on: see `guild execution list`");
	}
	end_line(chat);
	if (err && status == 0) {
		return cli_fail(CLI_NO_CONNECTION, "cannot talk to %s: %s; start it with `guild serve`, or name it with --url",
				chat->cli->url, detail);
	}
	if (status < 200 || status > 299) {
		return cli_problem(chat->cli, status, buf_str(&chat->plain), true);
	}
	if (!err && chat->form == FORM_PLAIN) {
		return print_result(chat);
	}
	return cli_fail(CLI_RUN_FAILED, "the connection ended before the answer did%s%s; see `guild execution %s%s`", err ? ": " : "",
			err ? detail : "", chat->execution[0] ? "show " : "list", chat->execution);
}

static int send_message(struct chat *chat, struct str message)
{
	struct cli *cli = chat->cli;
	bool stream = !cli_switch(cli, "no-stream");
	struct http_fetch fetch = {.method = "POST", .body_bytes = on_bytes, .tick = on_tick, .ctx = chat};
	char content_type[64];
	char detail[128] = "";
	struct buf body;
	int status = 0;
	enum err err;

	if (!utf8_valid(message)) {
		return cli_fail(CLI_USAGE, "the message is not valid UTF-8");
	}
	if (message.len == 0 || message.len > LIMIT_MESSAGE_BYTES) {
		return cli_fail(CLI_USAGE, message.len ? "the message has more than %d bytes" : "the message is empty (at most %d bytes)",
				LIMIT_MESSAGE_BYTES);
	}
	fetch.url = arena_format(&cli->arena, "%s/v1/chat", cli->url).at;
	fetch.headers = cli_headers(cli, stream ? "text/event-stream, application/json" : "application/json", true);
	if (!fetch.url || !fetch.headers) {
		return cli_fail(CLI_FAILED, "not enough memory");
	}
	chat->form = FORM_UNKNOWN;
	chat->execution[0] = 0;
	chat->interrupts = 0;
	chat->printed = chat->ended = chat->broken = false;
	chat->at_line_start = true;
	chat->code = CLI_OK;
	chat->started_us = env_mono_us(env_real());
	sse_init(&chat->sse, LIMIT_SSE_LINE_BYTES * 4);
	buf_init(&chat->plain, PLAIN_BYTES);
	buf_init(&body, BODY_BYTES);
	put_body(chat, message, stream, &body);
	fetch.body = buf_str(&body);
	err = http_fetch(&fetch, &status, content_type, NULL, detail);
	chat->code = judge(chat, err, status, detail);
	buf_fini(&body);
	buf_fini(&chat->plain);
	sse_fini(&chat->sse);
	return chat->code;
}

/* ---- a conversation ---- */

/* A line of the user's. False ends the conversation. */
static bool handle_line(struct chat *chat, struct str line)
{
	if (str_eq(line, STR("/exit")) || str_eq(line, STR("/quit"))) {
		return false;
	}
	if (str_eq(line, STR("/new"))) {
		chat->session[0] = 0;
		fputs("(a new session)\n", stderr);
	} else if (str_eq(line, STR("/help"))) {
		fputs("/new starts a new session, /exit or Ctrl-D ends, Ctrl-C stops an answer\n", stderr);
	} else if (line.len > 0) {
		int code = send_message(chat, line);

		/* Without a server or a place in it there is nothing to talk to. */
		return code != CLI_NO_CONNECTION && code != CLI_NOT_ALLOWED;
	}
	return true;
}

static int converse(struct chat *chat)
{
	const struct cli_term *term = &chat->cli->term;
	int idle_interrupts = 0;
	struct buf line;
	bool going = true;

	buf_init(&line, LIMIT_MESSAGE_BYTES);
	while (going) {
		enum err err;

		printf("%s>%s ", cli_style(term, CLI_BOLD), cli_style(term, CLI_PLAIN));
		fflush(stdout);
		err = cli_read_line(chat->signals, STR_NONE, &line);
		if (err == ERR_CANCELLED && ++idle_interrupts < 2) {
			fputs("\n(Ctrl-D or /exit ends; Ctrl-C again too)\n", stderr);
			continue;
		}
		if (err) {
			putchar('\n');
			chat->code = err == ERR_CANCELLED ? CLI_INTERRUPTED : CLI_OK;
			break;
		}
		idle_interrupts = 0;
		chat->code = CLI_OK;
		going = handle_line(chat, str_trim(buf_str(&line)));
	}
	buf_fini(&line);
	if (chat->session[0]) {
		fputs("(go on later with: guild chat --session ", stderr);
		cli_put_clean(stderr, str_of(chat->session));
		fputs(")\n", stderr);
	}
	/* A run that was stopped or failed on the way was told of then. */
	return chat->code == CLI_NO_CONNECTION || chat->code == CLI_NOT_ALLOWED || idle_interrupts ? chat->code : CLI_OK;
}

/* The words of the command line with spaces between, or standard input. */
static int read_message(struct cli *cli, struct buf *message)
{
	bool dash = cli->operand_count == 1 && strcmp(cli->operands[0], "-") == 0;

	if (cli->operand_count == 0 || dash) {
		enum err err = cli_read_all(message);

		if (err) {
			return cli_fail(CLI_USAGE, err == ERR_LIMIT ? "the message has more than %d bytes" : "standard input cannot be read (%d)",
					err == ERR_LIMIT ? LIMIT_MESSAGE_BYTES : (int)err);
		}
		return CLI_OK;
	}
	for (int i = 0; i < cli->operand_count; i++) {
		if (i) {
			buf_put_byte(message, ' ');
		}
		buf_put_str(message, str_of(cli->operands[i]));
	}
	return buf_err(message) ? cli_fail(CLI_USAGE, "the message has more than %d bytes", LIMIT_MESSAGE_BYTES) : CLI_OK;
}

int cli_run_chat(struct cli *cli)
{
	struct chat chat = {.cli = cli, .signals = -1};
	const char *agent = cli_option(cli, "agent");
	const char *session = cli_option(cli, "session");
	struct buf message;
	int code;

	if ((agent && strlen(agent) >= sizeof(chat.agent)) || (session && strlen(session) >= sizeof(chat.session))) {
		return cli_fail(CLI_USAGE, "--%s is longer than %zu bytes", agent && strlen(agent) >= sizeof(chat.agent) ? "agent" : "session",
				sizeof(chat.agent) - 1);
	}
	str_to_z(str_of(agent), chat.agent, sizeof(chat.agent));
	str_to_z(str_of(session), chat.session, sizeof(chat.session));
	code = cli_connect(cli);
	if (code) {
		return code;
	}
	arena_init(&chat.arena, EVENT_ARENA);
	buf_init(&message, LIMIT_MESSAGE_BYTES);
	if (cli->operand_count == 0 && cli->term.in && !cli->json) {
		chat.signals = cli_signals_open();
		code = converse(&chat);
	} else {
		code = read_message(cli, &message);
		chat.signals = code ? -1 : cli_signals_open();
		code = code ? code : send_message(&chat, str_trim(buf_str(&message)));
	}
	cli_signals_close(&chat.signals);
	buf_fini(&message);
	arena_fini(&chat.arena);
	return code;
}
