/* sweep_flows.c - what the sweeps do with a server: requests as tables, a WebSocket, a scripted provider. */
#include "sweep_flows.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ID_BYTES = 48 };

static char ids[SWEEP_IDS][ID_BYTES];
struct client sweep_client;

const struct step sweep_prepare[] = {
	{.method = "POST", .target = "/v1/agents", .body = "{\"name\":\"Bot\",\"maturity\":\"autonomous\"}", .status = 201, .keep = 1},
	{.method = "POST", .target = "/v1/users", .body = "{\"name\":\"Ada\",\"role\":\"member\"}", .status = 201, .keep = 2},
	{.method = "POST", .target = "/v1/posts", .body = "{\"content\":\"First #news of @bot\"}", .status = 201, .keep = 3},
	{.method = "POST", .target = "/v1/channels", .body = "{\"name\":\"den\"}", .status = 201, .keep = 4},
	{.method = "POST", .target = "/v1/chat", .body = "{\"message\":\"hello\"}", .status = 200, .text = "\"success\":true"},
	{.method = "GET", .target = "/v1/executions?limit=1", .status = 200, .keep = 5},
	{.method = "GET", .target = "/v1/sessions?limit=1", .status = 200, .keep = 6},
	{.method = "GET", .target = "/v1/me", .status = 200, .keep = 7},
	{.method = NULL},
};
const struct step sweep_sign_in[] = {
	{.method = "GET", .target = "/v1/me", .status = 200, .text = "operator"},
	{.method = "POST", .target = "/v1/agents/$0/decide", .body = "{\"action\":\"delete\"}", .status = 200, .text = "allowed"},
	{.method = "GET", .target = "/v1/tokens", .status = 200},
	{.method = "POST", .target = "/v1/tokens", .body = "{}", .status = 201, .keep = 8},
	{.method = "DELETE", .target = "/v1/tokens/$7", .status = 204},
	{.method = NULL},
};
const struct step sweep_chat[] = {
	{.method = "POST", .target = "/v1/chat", .body = "{\"message\":\"hello\",\"session_id\":\"$5\"}", .status = 200, .text = "\"success\":true"},
	{.method = "POST", .target = "/v1/chat", .body = "{\"message\":\"hello\",\"stream\":true}", .status = 200, .text = "\"success\":true"},
	{.method = NULL},
};
const struct step sweep_post[] = {
	{.method = "POST", .target = "/v1/posts", .body = "{\"content\":\"All is well, #news for @bot, mail a@b.example\"}", .status = 201, .keep = 8},
	{.method = "POST", .target = "/v1/posts/$2/replies", .body = "{\"content\":\"so it is\"}", .status = 201},
	{.method = "PUT", .target = "/v1/posts/$2/reactions/%F0%9F%91%8D", .status = 200},
	{.method = "GET", .target = "/v1/posts/$2/reactions", .status = 200},
	{.method = "DELETE", .target = "/v1/posts/$7", .status = 204},
	{.method = NULL},
};
const struct step sweep_feed[] = {
	{.method = "GET", .target = "/v1/feed", .status = 200, .text = "\"items\":[{"},
	{.method = "GET", .target = "/v1/feed?page=1&hashtag=news", .status = 200, .text = "\"items\":[{"},
	{.method = "GET", .target = "/v1/posts/$2", .status = 200, .text = "First"},
	{.method = "GET", .target = "/v1/posts/$2/replies", .status = 200, .text = "\"items\":["},
	{.method = "GET", .target = "/v1/trending", .status = 200, .text = "#news"},
	{.method = NULL},
};
const struct step sweep_message[] = {
	{.method = "POST", .target = "/v1/direct-messages", .body = "{\"content\":\"over to you\",\"to_user_id\":\"$1\"}", .status = 201, .keep = 8},
	{.method = "GET", .target = "/v1/direct-messages?sent=true", .status = 200, .text = "over to you"},
	{.method = "DELETE", .target = "/v1/direct-messages/$7", .status = 204},
	{.method = NULL},
};
const struct step sweep_resume[] = {
	{.method = "GET", .target = "/v1/executions/$4/events", .status = 200, .text = "streaming:complete"},
	{.method = "GET", .target = "/v1/executions/$4/events?after=1", .status = 200, .text = "streaming:complete"},
	{.method = "GET", .target = "/v1/events?topics=user:$6&after=now", .status = 200, .text = "event:", .until = "\ndata:"},
	{.method = "POST", .target = "/v1/events", .body = "{\"type\":\"x.test\",\"topics\":[\"global\"],\"data\":1}", .status = 202},
	{.method = NULL},
};
const struct step sweep_look[] = {
	{.method = "GET", .target = "/v1/agents", .status = 200, .text = "Bot"},
	{.method = "GET", .target = "/v1/sessions/$5/messages", .status = 200, .text = "hello"},
	{.method = "GET", .target = "/v1/audit?limit=5", .status = 200, .text = "\"items\":[{"},
	{.method = "GET", .target = "/v1/channels", .status = 200, .text = "den"},
	{.method = "GET", .target = "/readyz", .status = 200},
	{.method = "GET", .target = "/metrics", .status = 200, .text = "guild_allocations"},
	{.method = NULL},
};

/* Puts ids where places are. */
static const char *filled(const char *text, char *out, size_t cap)
{
	size_t at = 0;

	for (; text != NULL && *text != '\0' && at + ID_BYTES < cap; text++) {
		if (*text == '$') {
			at += (size_t)snprintf(out + at, cap - at, "%s", ids[*++text - '0']);
		} else {
			out[at++] = *text;
		}
	}
	out[at] = '\0';
	return text == NULL ? NULL : out;
}

static void keep_id(const char *answer, int place)
{
	const char *at = strstr(answer, "\"id\":\"");
	if (at != NULL) {
		snprintf(ids[place], ID_BYTES, "%.36s", at + 6);
	}
}

static bool said(const char *code)
{
	char member[64];
	snprintf(member, sizeof(member), "\"code\":\"%s\"", code);
	return strstr(sweep_client.in, member) != NULL;
}

bool sweep_cut(void)
{
	const char *body = strstr(sweep_client.in, "\r\n\r\n");
	const char *length = strcasestr(sweep_client.in, "\r\ncontent-length: ");
	if (body == NULL) {
		return true;
	}
	if (length != NULL && length < body) {
		return strlen(body + 4) < strtoul(length + 18, NULL, 10);
	}
	return strcasestr(sweep_client.in, "\r\ntransfer-encoding: chunked") != NULL &&
	       (sweep_client.len < 5 || strcmp(sweep_client.in + sweep_client.len - 5, "0\r\n\r\n") != 0);
}

/* Want of something, in the words that clients may hear. */
bool sweep_excused(int status)
{
	static const char *const codes[] = {"overloaded", "store_unavailable", "provider_failed", "provider_timeout"};
	bool known = status == 0 || status == 200 || status == 101 || sweep_cut();

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		known |= said(codes[i]);
	}
	return known && !said("internal") && strstr(sweep_client.in, ".c:") == NULL;
}

bool sweep_steps(struct world *world, const struct step *step, bool strict)
{
	for (; step->method != NULL; step++) {
		char target[512], body[1024], text[256];
		if (!strict && strstr(step->target, "$7") != NULL && ids[7][0] == '\0') {
			continue;
		}
		int status = client_ask(&sweep_client, world, step->method, filled(step->target, target, sizeof(target)),
			filled(step->body, body, sizeof(body)), step->until);
		const char *want = filled(step->text, text, sizeof(text));
		bool whole = step->until != NULL || !sweep_cut();
		bool good = whole && (status == step->status || (status == 201 && step->status == 200)) &&
			    (want == NULL || strstr(sweep_client.in, want) != NULL);
		if (good && step->keep != 0) {
			keep_id(sweep_client.in, step->keep - 1);
		} else if (step->keep == 8) {
			ids[7][0] = '\0';
		}
		if (!good && (strict || !sweep_excused(status))) {
			sweep_fail("%s%s %s: %.1500s", strict ? "with all there again, " : "", step->method, target, sweep_client.in);
		}
	}
	return true;
}

/* ---- the WebSocket ---- */

bool sweep_socket(struct world *world, bool strict)
{
	static const char upgrade[] = "GET /v1/ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
				      "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: guild.v1\r\n\r\n";
	static const struct {
		const char *text, *answer;
	} says[] = {
		{NULL, "\"ref\":1"},
		{"{\"type\":\"subscribe\",\"ref\":2,\"topics\":[\"global\",\"user:$6\"]}", "\"ref\":2"},
		{"{\"type\":\"chat\",\"ref\":3,\"message\":\"hello\"}", "streaming:complete"},
		{"{\"type\":\"resume\",\"ref\":4,\"execution_id\":\"$4\",\"after\":0}", "\"ref\":4"},
		{"{\"type\":\"publish\",\"ref\":5,\"topics\":[\"global\"],\"event\":{\"type\":\"x.a\",\"data\":1}}", "\"ref\":5"},
		{"{\"type\":\"ping\",\"ref\":6}", "\"ref\":6"},
	};
	char text[1024];
	bool good = true;

	client_dial(&sweep_client, world);
	client_send(&sweep_client, upgrade, sizeof(upgrade) - 1);
	good = client_wait_either(&sweep_client, world, " 101 ", " 503 ") && strstr(sweep_client.in, " 101 ") != NULL;
	for (size_t i = 0; good && i < sizeof(says) / sizeof(says[0]); i++) {
		snprintf(text, sizeof(text), "{\"type\":\"auth\",\"ref\":1,\"token\":\"%s\"}", world->token);
		client_say(&sweep_client, i == 0 ? text : filled(says[i].text, text, sizeof(text)));
		/* Of a run that cannot go on, and of a message that cannot be served, an error tells. */
		good = client_wait_either(&sweep_client, world, says[i].answer, "error\"") && strstr(sweep_client.in, says[i].answer) != NULL;
	}
	bool refused = strstr(sweep_client.in, "\"type\":\"error\"") != NULL;
	client_close(&sweep_client);
	if ((!good || refused) && (strict || !sweep_excused(101))) {
		sweep_fail("%sWebSocket: %.1500s", strict ? "with all there again, " : "", sweep_client.in);
	}
	return true;
}

/* ---- providers: processes of their own, so that only the server's memory is counted ---- */

/* It ends when its standard input does, with this process. */
void sweep_provider_start(const char *certificate, const char *key, char *url, size_t cap)
{
	int in[2], out[2];
	char port[16] = "";

	if (pipe(in) != 0 || pipe(out) != 0) {
		sweep_fail("pipe: %s", strerror(errno));
	}
	if (fork() == 0) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		close(in[1]);
		execl("/usr/bin/python3", "python3", GUILD_SOURCE_DIR "/tests/support/provider.py", "--stdin", certificate != NULL ? "--tls" : NULL,
			certificate, key, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	if (read(out[0], port, sizeof(port) - 1) < 2) {
		sweep_fail("the scripted provider does not start");
	}
	snprintf(url, cap, "%s://127.0.0.1:%u/v1", certificate != NULL ? "https" : "http", (unsigned)strtoul(port, NULL, 10));
}

