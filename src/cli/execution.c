/* execution.c - guild execution and guild session: what ran and what was said. */
#include "base/limits.h"
#include "cli/cli_priv.h"

int cli_run_execution_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"STARTED", "started_at", CLI_CELL_TIME},  {"ID", "id", CLI_CELL_ID},
		{"AGENT", "agent_name|agent_id", CLI_CELL_TEXT}, {"STATUS", "status", CLI_CELL_STATE},
		{"MS", "duration_ms", CLI_CELL_NUMBER},    {"INPUT", "input_summary", CLI_CELL_TEXT},
		{"RESULT", "error_code|result_summary", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/executions"));
	cli_path_query(&path, "agent", cli_option(cli, "agent"));
	cli_path_query(&path, "session", cli_option(cli, "session"));
	cli_path_query(&path, "status", cli_option(cli, "status"));
	cli_path_query(&path, "include", cli_switch(cli, "refused") ? "refused" : NULL);
	if (code) {
		buf_fini(&path);
	}
	return code ? code : cli_list(cli, &path, columns, "Nothing has run.");
}

int cli_run_execution_show(struct cli *cli)
{
	return cli_show(cli, "/v1/executions");
}

int cli_run_execution_cancel(struct cli *cli)
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "POST", cli_path(cli, "/v1/executions", cli->operands[0], "/cancel"), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("It is being cancelled.\n");
	return cli_out_flush();
}

int cli_run_session_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"UPDATED", "updated_at", CLI_CELL_TIME}, {"ID", "id", CLI_CELL_ID},
		{"MESSAGES", "message_count", CLI_CELL_NUMBER}, {"TITLE", "title", CLI_CELL_TEXT},
		{NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/sessions"));
	if (code) {
		buf_fini(&path);
	}
	return code ? code : cli_list(cli, &path, columns, "There are no sessions.");
}

static void print_messages(struct cli *cli, struct json items)
{
	struct json_iter iter = json_iter(items);
	struct json message;
	struct str content;

	while (json_next(&iter, NULL, &message)) {
		struct str role = cli_text(cli, cli_member(message, "role"));
		bool partial = false;

		json_get_bool(cli_member(message, "partial"), &partial);
		content = json_get_str(cli_member(message, "content"), &content) ? content : STR("");
		printf("\n%s%.*s%s%s\n", cli_style(&cli->term, str_eq(role, STR("user")) ? CLI_BOLD : CLI_GREEN), STR_FMT(role),
		       partial ? " (cut off)" : "", cli_style(&cli->term, CLI_PLAIN));
		cli_put_clean(stdout, content);
		putchar('\n');
	}
}

int cli_run_session_show(struct cli *cli)
{
	struct cli_reply session;
	struct cli_reply messages;
	char number[24];
	struct buf path;
	int64_t limit;
	int code = cli_number(cli, "limit", 50, 100, &limit);

	code = code ? code : cli_connect(cli);
	code = code ? code : cli_request(cli, "GET", cli_path(cli, "/v1/sessions", cli->operands[0], NULL), STR_NONE, &session);
	if (code) {
		return code;
	}
	snprintf(number, sizeof(number), "%lld", (long long)limit);
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, cli_path(cli, "/v1/sessions", cli->operands[0], "/messages"));
	cli_path_query(&path, "limit", number);
	cli_path_query(&path, "cursor", cli_option(cli, "cursor"));
	code = cli_request(cli, "GET", buf_str(&path), STR_NONE, &messages);
	buf_fini(&path);
	if (code) {
		return code;
	}
	if (cli->json) {
		printf("{\"session\":");
		fwrite(session.text.at, 1, session.text.len, stdout);
		printf(",\"messages\":");
		fwrite(messages.text.at, 1, messages.text.len, stdout);
		printf("}\n");
		return cli_out_flush();
	}
	cli_record(cli, session.root);
	print_messages(cli, json_member(messages.root, STR("items")));
	return cli_out_flush();
}
