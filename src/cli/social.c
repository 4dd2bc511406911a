/* social.c - guild post, reply, react and trending, and how posts look. */
#include <unistd.h>

#include "base/limits.h"
#include "cli/cli_social.h"
#include "http/client.h"
#include "wire/utf8.h"

#define TEXT_BYTES (4 * LIMIT_POST_CHARS)
#define BODY_BYTES (2 * LIMIT_BODY_BYTES)
#define PROBE_US   (20 * INT64_C(1000000))

/* ---- shared ---- */

int cli_social_text(struct cli *cli, int first, struct buf *text)
{
	bool dash = cli->operand_count == first + 1 && strcmp(cli->operands[first], "-") == 0;
	bool typed = cli->operand_count > first && !dash;

	buf_init(text, TEXT_BYTES);
	for (int i = first; typed && i < cli->operand_count; i++) {
		if (i > first) {
			buf_put_byte(text, ' ');
		}
		buf_put_str(text, str_of(cli->operands[i]));
	}
	if (!typed && !dash && cli->term.in) {
		return cli_fail(CLI_USAGE, "the text is missing; `-` reads it from standard input");
	}
	if (!typed && cli_read_all(text) == ERR_IO) {
		return cli_fail(CLI_FAILED, "standard input cannot be read");
	}
	if (buf_err(text) != ERR_OK) {
		return cli_fail(CLI_USAGE, "the text has more than %d bytes", TEXT_BYTES);
	}
	if (str_trim(buf_str(text)).len == 0 || !utf8_valid(buf_str(text))) {
		return cli_fail(CLI_USAGE, text->len ? "the text is blank, or not valid UTF-8" : "the text is empty");
	}
	return CLI_OK;
}

void cli_social_body(struct json_out *out, struct buf *body, struct str text)
{
	buf_init(body, BODY_BYTES);
	json_begin(out, body);
	json_object(out);
	json_put_str(out, STR("content"), str_trim(text));
}

bool cli_social_agent(struct cli *cli, const char *name)
{
	struct http_fetch fetch = {.method = "GET", .total_timeout_us = PROBE_US};
	struct str path = cli_path(cli, "/v1/agents", name, NULL);
	char content_type[64], detail[128];
	struct buf reply;
	int status = 0;

	fetch.url = arena_format(&cli->arena, "%s%.*s", cli->url, STR_FMT(path)).at;
	fetch.headers = cli_headers(cli, "application/json", false);
	if (!path.at || !fetch.url || !fetch.headers) {
		return false;
	}
	buf_init(&reply, LIMIT_BODY_BYTES);
	enum err err = http_fetch(&fetch, &status, content_type, &reply, detail);
	buf_fini(&reply);
	return err == ERR_OK && status == 200;
}

struct str cli_social_mention(struct cli *cli, const char *name)
{
	if (name[0] == '@' || strchr(name, ':') != NULL) {
		return str_of(name);
	}
	return arena_format(&cli->arena, "%s:%s", cli_social_agent(cli, name) ? "agent" : "user", name);
}

static struct str text_at(struct cli *cli, struct json object, const char *member)
{
	return cli_text(cli, cli_member(object, member));
}

/* "3 replies", "👍 2 🎉 1". */
static void print_sums(struct cli *cli, struct json post)
{
	struct json_iter iter = json_iter(json_member(post, STR("reactions")));
	struct json reaction;
	int64_t replies = 0;
	bool any = false;

	json_get_int(json_member(post, STR("reply_count")), &replies);
	while (json_next(&iter, NULL, &reaction)) {
		printf("%s%.*s %.*s", any ? "  " : "    ", STR_FMT(text_at(cli, reaction, "emoji")), STR_FMT(text_at(cli, reaction, "count")));
		any = true;
	}
	if (replies > 0) {
		printf("%s%s%lld %s%s", any ? "  " : "    ", cli_style(&cli->term, CLI_DIM), (long long)replies, replies == 1 ? "reply" : "replies",
		       cli_style(&cli->term, CLI_PLAIN));
		any = true;
	}
	if (any) {
		putchar('\n');
	}
}

void cli_social_print(struct cli *cli, struct json post)
{
	struct str content, line, type = text_at(cli, post, "type"), visibility = text_at(cli, post, "visibility");
	struct str maturity = text_at(cli, post, "author.maturity"), handle = text_at(cli, post, "author.handle");
	struct str when = text_at(cli, post, "created_at");
	bool shown = str_eq(visibility, STR("public"));

	content = json_get_str(json_member(post, STR("content")), &content) ? content : STR("");
	printf("%s%.*s%s", cli_style(&cli->term, CLI_BOLD), STR_FMT(text_at(cli, post, "author.name")), cli_style(&cli->term, CLI_PLAIN));
	if (handle.len) {
		printf(" @%.*s (%.*s)", STR_FMT(handle), STR_FMT(maturity));
	}
	printf("  %s%.*s%s%s%.*s", cli_style(&cli->term, str_eq(type, STR("alert")) ? CLI_RED : CLI_GREEN), STR_FMT(type),
	       cli_style(&cli->term, CLI_PLAIN), shown ? "" : ", ", STR_FMT(shown ? STR("") : visibility));
	printf("\n%s%.*s %.*s  %.*s%s\n", cli_style(&cli->term, CLI_DIM), STR_FMT(str_sub(when, 0, 10)),
	       STR_FMT(when.len >= 19 ? str_sub(when, 11, 8) : STR("")), STR_FMT(text_at(cli, post, "id")), cli_style(&cli->term, CLI_PLAIN));
	while (str_split(&content, '\n', &line)) {
		fputs("    ", stdout);
		cli_put_clean(stdout, line);
		putchar('\n');
	}
	print_sums(cli, post);
	putchar('\n');
}

/* Sends the body and prints the post that comes of it. */
static int send_post(struct cli *cli, struct str path, struct json_out *out, struct buf *body)
{
	struct cli_reply reply;

	json_object_end(out);
	int code = cli_request(cli, "POST", path, buf_str(body), &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_social_print(cli, reply.root);
	return cli_out_flush();
}

/* ---- verbs ---- */

static void put_mentions(struct cli *cli, struct json_out *out, const char *directed)
{
	json_name(out, STR("mentions"));
	json_array(out);
	if (directed) {
		json_str(out, cli_social_mention(cli, directed));
	}
	for (size_t i = 0; i < cli->given_count; i++) {
		if (strcmp(cli->given[i].option->name, "mention") == 0) {
			json_str(out, cli_social_mention(cli, cli->given[i].value));
		}
	}
	json_array_end(out);
}

int cli_run_post(struct cli *cli)
{
	const char *type = cli_option(cli, "type"), *channel = cli_option(cli, "channel"), *directed = cli_option(cli, "directed-to");
	struct json_out out;
	struct buf text, body;

	if (channel && directed) {
		return cli_fail(CLI_USAGE, "a post is for a --channel, or --directed-to one, not both");
	}
	int code = cli_social_text(cli, 0, &text);
	code = code ? code : cli_connect(cli);
	if (!code) {
		cli_social_body(&out, &body, buf_str(&text));
		if (type) {
			json_put_str(&out, STR("type"), str_of(type));
		}
		if (channel) {
			json_put_str(&out, STR("channel_id"), str_of(channel));
		}
		if (directed) {
			json_put_str(&out, STR("visibility"), STR("directed"));
		}
		if (directed || cli_option(cli, "mention")) {
			put_mentions(cli, &out, directed);
		}
		code = send_post(cli, STR("/v1/posts"), &out, &body);
		buf_fini(&body);
	}
	buf_fini(&text);
	return code;
}

int cli_run_reply(struct cli *cli)
{
	const char *type = cli_option(cli, "type");
	struct json_out out;
	struct buf text, body;

	int code = cli_social_text(cli, 1, &text);
	code = code ? code : cli_connect(cli);
	if (!code) {
		cli_social_body(&out, &body, buf_str(&text));
		if (type) {
			json_put_str(&out, STR("type"), str_of(type));
		}
		code = send_post(cli, cli_path(cli, "/v1/posts", cli->operands[0], "/replies"), &out, &body);
		buf_fini(&body);
	}
	buf_fini(&text);
	return code;
}

int cli_run_react(struct cli *cli)
{
	bool removes = cli_switch(cli, "remove");
	struct cli_reply reply;
	struct buf path;
	int code = cli_connect(cli);

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, cli_path(cli, "/v1/posts", cli->operands[0], "/reactions"));
	cli_path_segment(&path, cli->operands[1]);
	code = code ? code : cli_request(cli, removes ? "DELETE" : "PUT", buf_str(&path), STR_NONE, &reply);
	buf_fini(&path);
	code = code ? code : cli_request(cli, "GET", cli_path(cli, "/v1/posts", cli->operands[0], "/reactions"), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	struct json_iter iter = json_iter(json_member(reply.root, STR("items")));
	struct json reaction;
	bool any = false;
	while (json_next(&iter, NULL, &reaction)) {
		printf("%s%.*s %.*s", any ? "  " : "", STR_FMT(text_at(cli, reaction, "emoji")), STR_FMT(text_at(cli, reaction, "count")));
		any = true;
	}
	puts(any ? "" : "Nobody reacts to it now.");
	return cli_out_flush();
}

int cli_run_trending(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"TOPIC", "topic", CLI_CELL_TEXT}, {"KIND", "kind", CLI_CELL_TEXT}, {"POSTS", "count", CLI_CELL_NUMBER},
		{NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int64_t hours;
	int code = cli_number(cli, "hours", 24, 168, &hours);

	code = code ? code : cli_connect(cli);
	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES);
	buf_format(&path, "/v1/trending?hours=%lld", (long long)hours);
	return cli_list(cli, &path, columns, "Nothing is talked about.");
}
