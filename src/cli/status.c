/* status.c - guild status: what the server says of itself. */
#include "cli/cli_priv.h"

int cli_run_status(struct cli *cli)
{
	struct cli_reply reply;
	struct str status;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "GET", STR("/healthz"), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("%sGuild on %s%s\n", cli_style(&cli->term, CLI_BOLD), cli->url, cli_style(&cli->term, CLI_PLAIN));
	cli_record(cli, reply.root);
	status = cli_text(cli, json_member(reply.root, STR("status")));
	if (!cli->token) {
		printf("(a token shows more: --token-file or GUILD_TOKEN)\n");
	}
	code = cli_out_flush();
	return code ? code : str_eq(status, STR("ok")) ? CLI_OK : CLI_FAILED;
}
