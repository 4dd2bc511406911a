/* channel.c - guild channel, guild dm and guild block: who talks with whom. */
#include "base/limits.h"
#include "cli/cli_social.h"

static int list(struct cli *cli, struct str base, const struct cli_column *columns, const char *nothing)
{
	struct buf path;

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, base);
	cli_path_query(&path, "mine", cli_switch(cli, "mine") ? "true" : NULL);
	cli_path_query(&path, "with", cli_option(cli, "with"));
	cli_path_query(&path, "unread", cli_switch(cli, "unread") ? "true" : NULL);
	return cli_list(cli, &path, columns, nothing);
}

/* Prints JSON when that was asked for, else what it means. */
static int say(struct cli *cli, const struct cli_reply *reply, const char *words, struct str name)
{
	if (cli->json) {
		return reply->text.len ? cli_print_json(cli, reply->text) : CLI_OK;
	}
	printf("%s %.*s.\n", words, STR_FMT(name));
	return cli_out_flush();
}

/* ---- channels ---- */

int cli_run_channel_create(struct cli *cli)
{
	static const struct {
		const char *option;
		struct str member;
	} texts[] = {{"display-name", STR("display_name")}, {"description", STR("description")}, {"type", STR("type")}};
	struct json_out out;
	struct buf body;
	struct cli_reply reply;
	int code = cli_connect(cli);

	buf_init(&body, LIMIT_BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	json_put_str(&out, STR("name"), str_of(cli->operands[0]));
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (cli_option(cli, texts[i].option)) {
			json_put_str(&out, texts[i].member, str_of(cli_option(cli, texts[i].option)));
		}
	}
	json_put_bool(&out, STR("private"), cli_switch(cli, "private"));
	json_object_end(&out);
	code = code ? code : cli_request(cli, "POST", STR("/v1/channels"), buf_str(&body), &reply);
	buf_fini(&body);
	if (code) {
		return code;
	}
	return say(cli, &reply, reply.status == 201 ? "Made channel" : "There is a channel of that name:",
		   cli_text(cli, cli_member(reply.root, "name")));
}

static int change_membership(struct cli *cli, const char *method, const char *words)
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, method, cli_path(cli, "/v1/channels", cli->operands[0], "/members/me"), STR_NONE, &reply);
	return code ? code : say(cli, &reply, words, cli_clean_line(&cli->arena, str_of(cli->operands[0])));
}

int cli_run_channel_join(struct cli *cli)
{
	return change_membership(cli, "PUT", "You belong to");
}

int cli_run_channel_leave(struct cli *cli)
{
	return change_membership(cli, "DELETE", "You no longer belong to");
}

int cli_run_channel_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"NAME", "name", CLI_CELL_ID}, {"TYPE", "type", CLI_CELL_TEXT}, {"PRIVATE", "private", CLI_CELL_TEXT},
		{"MEMBERS", "member_count", CLI_CELL_NUMBER}, {"SHOWN AS", "display_name", CLI_CELL_TEXT},
		{"DESCRIPTION", "description", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	int code = cli_connect(cli);
	return code ? code : list(cli, STR("/v1/channels"), columns, "There are no channels.");
}

int cli_run_channel_members(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"NAME", "actor.name", CLI_CELL_TEXT}, {"KIND", "actor.kind", CLI_CELL_TEXT}, {"ID", "actor.id", CLI_CELL_ID},
		{"SINCE", "joined_at", CLI_CELL_TIME}, {NULL, NULL, CLI_CELL_TEXT},
	};
	int code = cli_connect(cli);
	return code ? code : list(cli, cli_path(cli, "/v1/channels", cli->operands[0], "/members"), columns, "Nobody belongs to it.");
}

/* ---- direct messages ---- */

static void print_message(struct cli *cli, struct json message)
{
	struct str content, line, when = cli_text(cli, cli_member(message, "created_at"));

	content = json_get_str(json_member(message, STR("content")), &content) ? content : STR("");
	printf("%s%.*s%s to %.*s  %.*s\n%s%.*s %.*s  %.*s%s\n", cli_style(&cli->term, CLI_BOLD),
	       STR_FMT(cli_text(cli, cli_member(message, "from.name"))), cli_style(&cli->term, CLI_PLAIN),
	       STR_FMT(cli_text(cli, cli_member(message, "to.name"))), STR_FMT(cli_text(cli, cli_member(message, "type"))),
	       cli_style(&cli->term, CLI_DIM), STR_FMT(str_sub(when, 0, 10)), STR_FMT(when.len >= 19 ? str_sub(when, 11, 8) : STR("")),
	       STR_FMT(cli_text(cli, cli_member(message, "id"))), cli_style(&cli->term, CLI_PLAIN));
	while (str_split(&content, '\n', &line)) {
		fputs("    ", stdout);
		cli_put_clean(stdout, line);
		putchar('\n');
	}
}

int cli_run_dm_send(struct cli *cli)
{
	const char *type = cli_option(cli, "type");
	struct cli_reply reply;
	struct json_out out;
	struct buf text, body;

	int code = cli_social_text(cli, 1, &text);
	code = code ? code : cli_connect(cli);
	if (!code) {
		struct str to = str_of(cli->operands[0]);
		bool user = str_starts(to, STR("user:")), named = user || str_starts(to, STR("agent:"));
		to = named ? str_sub(to, (size_t)str_find_byte(to, ':') + 1, to.len) : to.at[0] == '@' ? str_sub(to, 1, to.len) : to;
		user = user || (!named && !cli_social_agent(cli, to.at));
		cli_social_body(&out, &body, buf_str(&text));
		json_put_str(&out, user ? STR("to_user_id") : STR("to_agent_id"), to);
		if (type) {
			json_put_str(&out, STR("message_type"), str_of(type));
		}
		json_object_end(&out);
		code = cli_request(cli, "POST", STR("/v1/direct-messages"), buf_str(&body), &reply);
		buf_fini(&body);
	}
	buf_fini(&text);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	print_message(cli, reply.root);
	return cli_out_flush();
}

int cli_run_dm_inbox(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"SENT", "created_at", CLI_CELL_TIME}, {"ID", "id", CLI_CELL_ID}, {"FROM", "from.name", CLI_CELL_TEXT},
		{"TYPE", "type", CLI_CELL_TEXT}, {"READ", "read_at", CLI_CELL_TIME}, {"TEXT", "content", CLI_CELL_TEXT},
		{NULL, NULL, CLI_CELL_TEXT},
	};
	int code = cli_connect(cli);
	return code ? code : list(cli, STR("/v1/direct-messages"), columns, "There are no messages.");
}

int cli_run_dm_read(struct cli *cli)
{
	bool all = cli->operand_count == 0;
	struct cli_reply reply;
	int64_t marked = 0;

	if (all != cli_switch(cli, "all")) {
		return cli_fail(CLI_USAGE, "either the ID of a message or --all is wanted");
	}
	struct str path = all ? STR("/v1/direct-messages/read") : cli_path(cli, "/v1/direct-messages", cli->operands[0], "/read");
	int code = cli_connect(cli);
	code = code ? code : cli_request(cli, "POST", path, all ? STR("{}") : STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	if (all) {
		json_get_int(json_member(reply.root, STR("marked")), &marked);
		printf("%lld marked as read.\n", (long long)marked);
	} else {
		print_message(cli, reply.root);
	}
	return cli_out_flush();
}

/* ---- blocks ---- */

int cli_run_block(struct cli *cli)
{
	bool removes = cli_switch(cli, "remove");
	struct str name = cli_clean_line(&cli->arena, str_of(cli->operands[0]));
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, removes ? "DELETE" : "PUT", cli_path(cli, "/v1/blocks", cli->operands[0], NULL), STR_NONE, &reply);
	return code ? code : say(cli, &reply, removes ? "You accept messages again from" : "You accept no more messages from", name);
}

int cli_run_block_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"NAME", "blocked.name", CLI_CELL_TEXT}, {"KIND", "blocked.kind", CLI_CELL_TEXT}, {"ID", "blocked.id", CLI_CELL_ID},
		{"SINCE", "created_at", CLI_CELL_TIME}, {NULL, NULL, CLI_CELL_TEXT},
	};
	int code = cli_connect(cli);
	return code ? code : list(cli, STR("/v1/blocks"), columns, "You block nobody.");
}
