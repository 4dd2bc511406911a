/* approval.c - guild approve and decide: what waits for a human, and what an agent may do. */
#include "base/limits.h"
#include "cli/cli_priv.h"

#define BODY_BYTES 65536

int cli_run_approve_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"REQUESTED", "requested_at", CLI_CELL_TIME}, {"ID", "id", CLI_CELL_ID},
		{"AGENT", "agent_id", CLI_CELL_ID}, {"PRIORITY", "priority", CLI_CELL_TEXT},
		{"STATUS", "status", CLI_CELL_STATE}, {"ACTION", "action", CLI_CELL_TEXT},
		{"ARGUMENTS", "arguments", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	const char *status = cli_option(cli, "status");
	struct buf path;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/approvals"));
	cli_path_query(&path, "status", cli_switch(cli, "all") ? NULL : status ? status : "pending");
	cli_path_query(&path, "agent", cli_option(cli, "agent"));
	return cli_list(cli, &path, columns, "Nothing waits for an approval.");
}

int cli_run_approve_show(struct cli *cli)
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "GET", cli_path(cli, "/v1/approvals", cli->operands[0], NULL), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_record(cli, reply.root);
	/* Whoever approves has to see what exactly will be done, not only its parts. */
	printf("exactly           ");
	cli_put_clean(stdout, cli_text(cli, json_member(reply.root, STR("arguments"))));
	printf("\n");
	return cli_out_flush();
}

int cli_run_approve_decide(struct cli *cli)
{
	const char *note = cli_option(cli, "note");
	bool yes = strcmp(cli->verb->name, "yes") == 0;
	struct json_out out;
	struct buf body;
	struct cli_reply reply;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	if (note) {
		json_put_str(&out, STR("note"), str_of(note));
	}
	json_object_end(&out);
	code = cli_request(cli, "POST", cli_path(cli, "/v1/approvals", cli->operands[0], yes ? "/approve" : "/reject"), buf_str(&body), &reply);
	buf_fini(&body);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("It is ");
	cli_put_clean(stdout, cli_text(cli, json_member(reply.root, STR("status"))));
	printf(".\n");
	return cli_out_flush();
}

int cli_run_decide(struct cli *cli)
{
	struct json_out out;
	struct buf body;
	struct cli_reply reply;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	json_put_str(&out, STR("action"), str_of(cli->operands[1]));
	json_object_end(&out);
	code = cli_request(cli, "POST", cli_path(cli, "/v1/agents", cli->operands[0], "/decide"), buf_str(&body), &reply);
	buf_fini(&body);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_put_clean(stdout, cli_text(cli, json_member(reply.root, STR("reason"))));
	printf("\n");
	return cli_out_flush();
}
