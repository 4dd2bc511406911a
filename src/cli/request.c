/* request.c - where the server is, who we are there, one request, and what its problems mean here. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "base/limits.h"
#include "cli/cli_priv.h"
#include "http/client.h"
#include "loop/loop.h"
#include "wire/url.h"

#define DEFAULT_URL   "http://127.0.0.1:8420"
#define REPLY_BYTES   (16 << 20)
#define TOKEN_BYTES   512
#define TIMEOUT_US    (60 * INT64_C(1000000))

/* ---- who and where ---- */

static bool is_token(struct str token)
{
	for (size_t i = 0; i < token.len; i++) {
		if (token.at[i] <= ' ' || token.at[i] > '~') {
			return false;
		}
	}
	return token.len > 0;
}

/* A missing file is no error when nobody named it. */
static int read_token_file(struct cli *cli, const char *path, bool named)
{
	char text[TOKEN_BYTES + 1];
	struct stat status;
	struct str token;
	ssize_t got;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0) {
		if (!named && errno == ENOENT) {
			return CLI_OK;
		}
		return cli_fail(CLI_NOT_ALLOWED, "token file %s cannot be read: %s; name another with --token-file", path,
				strerror(errno));
	}
	got = read(fd, text, sizeof(text));
	if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077)) {
		cli_fail(CLI_OK, "warning: others can read the token file %s; run: chmod 600 %s", path, path);
	}
	close(fd);
	token = got > 0 ? str_trim(str_make(text, (size_t)got)) : STR("");
	if (got > TOKEN_BYTES || !is_token(token)) {
		return cli_fail(CLI_NOT_ALLOWED, "token file %s holds no token", path);
	}
	cli->token = arena_copy(&cli->arena, token).at;
	explicit_bzero(text, sizeof(text));
	return CLI_OK;
}

static int find_token(struct cli *cli)
{
	const char *file = cli_option(cli, "token-file");
	const char *environment = getenv("GUILD_TOKEN");
	const char *data = getenv("GUILD_SERVER_DATA");

	if (file) {
		return read_token_file(cli, file, true);
	}
	if (environment && *environment) {
		if (!is_token(str_of(environment))) {
			return cli_fail(CLI_NOT_ALLOWED, "GUILD_TOKEN holds no token");
		}
		cli->token = environment;
		return CLI_OK;
	}
	data = data && *data ? data : getenv("GUILD_DATA");
	data = data && *data ? data : "./var";
	return read_token_file(cli, arena_format(&cli->arena, "%s/admin.token", data).at, false);
}

static bool is_near(struct str host)
{
	struct conn_address address;
	char text[80];

	snprintf(text, sizeof(text), str_find_byte(host, ':') < 0 ? "%.*s:1" : "[%.*s]:1", STR_FMT(host));
	return conn_address_parse(str_of(text), &address) == ERR_OK && address.loopback;
}

int cli_connect(struct cli *cli)
{
	const char *text = cli_option(cli, "url");
	struct str trimmed;
	struct url url;
	int code;

	text = text ? text : getenv("GUILD_URL");
	text = text && *text ? text : DEFAULT_URL;
	trimmed = str_of(text);
	while (str_ends(trimmed, STR("/"))) {
		trimmed.len--;
	}
	if (url_parse(trimmed, &url) || url.has_userinfo || memchr(trimmed.at, '?', trimmed.len)) {
		return cli_fail(CLI_USAGE, "'%s' is no URL of a server; it looks like " DEFAULT_URL " (--url, GUILD_URL)", text);
	}
	cli->url = arena_copy(&cli->arena, trimmed).at;
	code = find_token(cli);
	if (!code && cli->token && str_eq(url.scheme, STR("http")) && !is_near(url.host)) {
		cli_fail(CLI_OK, "warning: the token travels to %.*s unencrypted; use https or a tunnel", STR_FMT(url.host));
	}
	return code;
}

const char *const *cli_headers(struct cli *cli, const char *accept, bool has_body)
{
	const char **headers = arena_array(&cli->arena, const char *, 5);
	size_t count = 0;

	if (!headers) {
		return NULL;
	}
	headers[count++] = "User-Agent: guild-cli/" GUILD_VERSION;
	headers[count++] = arena_format(&cli->arena, "Accept: %s", accept).at;
	if (has_body) {
		headers[count++] = "Content-Type: application/json";
	}
	if (cli->token) {
		headers[count] = arena_format(&cli->arena, "Authorization: Bearer %s", cli->token).at;
	}
	return headers;
}

/* ---- paths ---- */

void cli_path_segment(struct buf *path, const char *segment)
{
	buf_put_byte(path, '/');
	url_encode(path, str_of(segment));
}

void cli_path_query(struct buf *path, const char *name, const char *value)
{
	if (value) {
		buf_put_byte(path, memchr(path->at, '?', path->len) ? '&' : '?');
		buf_put_str(path, str_of(name));
		buf_put_byte(path, '=');
		url_encode(path, str_of(value));
	}
}

struct str cli_path(struct cli *cli, const char *path, const char *segment, const char *tail)
{
	struct buf made;
	struct str copy;

	buf_init(&made, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&made, str_of(path));
	if (segment) {
		cli_path_segment(&made, segment);
	}
	buf_put_str(&made, str_of(tail));
	copy = arena_copy(&cli->arena, buf_str(&made));
	buf_fini(&made);
	return copy;
}

/* ---- problems ---- */

int cli_exit_of(struct str code, int status, bool execution)
{
	static const struct {
		struct str code;
		int exit;
	} rows[] = {
		{STR("unauthenticated"), CLI_NOT_ALLOWED},   {STR("permission_denied"), CLI_NOT_ALLOWED},
		{STR("not_found"), CLI_NOT_FOUND},           {STR("agent_not_found"), CLI_NOT_FOUND},
		{STR("session_not_found"), CLI_NOT_FOUND},   {STR("governance_blocked"), CLI_REFUSED},
		{STR("agent_not_active"), CLI_REFUSED},      {STR("approval_required"), CLI_REFUSED},
		{STR("recursion_limit"), CLI_REFUSED},       {STR("budget_exceeded"), CLI_REFUSED},
		{STR("provider_failed"), CLI_RUN_FAILED},    {STR("provider_timeout"), CLI_RUN_FAILED},
		{STR("no_llm_provider"), CLI_RUN_FAILED},    {STR("timed_out"), CLI_RUN_FAILED},
		{STR("interrupted"), CLI_RUN_FAILED},        {STR("agent_offline"), CLI_RUN_FAILED},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (str_eq(rows[i].code, code)) {
			return rows[i].exit;
		}
	}
	if (code.len == 0 && (status == 401 || status == 403)) {
		return CLI_NOT_ALLOWED;
	}
	if (code.len == 0 && status == 404) {
		return CLI_NOT_FOUND;
	}
	return execution ? CLI_RUN_FAILED : CLI_FAILED;
}

/* What helps, by code; "" when the text says it. */
static const char *remedy(struct cli *cli, struct str code)
{
	if (str_eq(code, STR("unauthenticated"))) {
		return cli->token ? "; the token is not known there: give another with --token-file or GUILD_TOKEN"
				  : "; give one with --token-file or GUILD_TOKEN";
	}
	if (str_eq(code, STR("no_llm_provider"))) {
		return "; set openai.base_url, or add a key with `guild key add openai`, or set providers.builtin = on";
	}
	if (str_eq(code, STR("agent_not_found"))) {
		return "; `guild agent list` shows all";
	}
	if (str_eq(code, STR("session_not_found"))) {
		return "; `guild session list` shows yours";
	}
	return "";
}

static struct str string_member(struct json object, struct str name)
{
	struct str text = STR("");

	return json_get_str(json_member(object, name), &text) ? text : STR("");
}

int cli_problem(struct cli *cli, int status, struct str text, bool execution)
{
	struct json_doc doc;
	struct json problem;
	struct str code;
	struct str detail;
	struct str pointer;
	int64_t retry_ms = 0;
	char where[160] = "";
	char when[48] = "";

	if (json_parse(&cli->arena, text, &doc, NULL) != ERR_OK || json_kind(json_root(&doc)) != JSON_OBJECT) {
		return cli_fail(cli_exit_of(STR(""), status, false), "%s answered %d and not as a Guild server does; is the URL right?",
				cli->url, status);
	}
	problem = json_root(&doc);
	code = string_member(problem, STR("code"));
	detail = string_member(problem, STR("detail"));
	if (!detail.len) {
		detail = string_member(problem, STR("title"));
	}
	pointer = string_member(json_element(json_member(problem, STR("errors")), 0), STR("pointer"));
	if (pointer.len) {
		struct str about = string_member(json_element(json_member(problem, STR("errors")), 0), STR("detail"));

		detail = about.len ? about : detail;
		snprintf(where, sizeof(where), "%.*s: ", STR_FMT(str_sub(pointer, 0, 120)));
	}
	if (json_get_int(json_member(problem, STR("retry_after_ms")), &retry_ms) && retry_ms > 0) {
		snprintf(when, sizeof(when), "; try again in %lld s", (long long)((retry_ms + 999) / 1000));
	}
	if (cli->json) {
		cli_print_json(cli, text);
	}
	return cli_fail(cli_exit_of(code, status, execution), "%s%.*s%s%s (%.*s)", where, STR_FMT(detail), remedy(cli, code), when,
			STR_FMT(code.len ? code : STR("no code")));
}

/* ---- one request ---- */

int cli_print_json(struct cli *cli, struct str text)
{
	text = str_trim(text);
	/* A program gets the bytes as they came; a terminal is not told to do things by them. */
	if (cli->term.out) {
		cli_put_clean(stdout, text);
	} else {
		fwrite(text.at, 1, text.len, stdout);
	}
	putchar('\n');
	return cli_out_flush();
}

int cli_request(struct cli *cli, const char *method, struct str path, struct str body, struct cli_reply *reply)
{
	char content_type[64] = "";
	char detail[128] = "";
	struct buf text;
	struct http_fetch fetch = {.method = method, .body = body, .total_timeout_us = TIMEOUT_US};
	struct json_error wrong = {.reason = "empty"};
	enum err err;

	*reply = (struct cli_reply){0};
	fetch.url = arena_format(&cli->arena, "%s%.*s", cli->url, STR_FMT(path)).at;
	fetch.headers = cli_headers(cli, "application/json", body.at != NULL);
	if (!path.at || !fetch.url || !fetch.headers) {
		return cli_fail(CLI_FAILED, "not enough memory, or an argument is too long");
	}
	buf_init(&text, REPLY_BYTES);
	err = http_fetch(&fetch, &reply->status, content_type, &text, detail);
	reply->text = arena_copy(&cli->arena, buf_str(&text));
	buf_fini(&text);
	if (err == ERR_TIMED_OUT) {
		return cli_fail(CLI_NO_CONNECTION, "%s did not answer in %d s", cli->url, (int)(TIMEOUT_US / 1000000));
	}
	if (err) {
		return cli_fail(CLI_NO_CONNECTION, "cannot talk to %s: %s; start it with `guild serve`, or name it with --url", cli->url,
				detail);
	}
	if (reply->status < 200 || reply->status > 299) {
		return cli_problem(cli, reply->status, reply->text, false);
	}
	if (reply->status == 204 || reply->text.len == 0) {
		return CLI_OK;
	}
	if (json_parse(&cli->arena, reply->text, &reply->doc, &wrong) != ERR_OK) {
		return cli_fail(CLI_FAILED, "%s answered with something that is not JSON (%s at byte %zu); is the URL right?", cli->url,
				wrong.reason, wrong.offset);
	}
	reply->root = json_root(&reply->doc);
	return CLI_OK;
}
