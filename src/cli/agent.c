/* agent.c - guild agent add, list, show, and what changes one. */
#include "base/limits.h"
#include "cli/cli_priv.h"

#define BODY_BYTES (2 * LIMIT_BODY_BYTES)

static void put_option(struct cli *cli, struct json_out *out, const char *option, struct str member)
{
	const char *value = cli_option(cli, option);

	if (value) {
		json_put_str(out, member, str_of(value));
	}
}

/* "openai/gpt-x" as {"provider", "model"}; a model's name may hold further slashes. */
static int put_model(struct cli *cli, struct json_out *out)
{
	const char *value = cli_option(cli, "model");
	struct str model = str_of(value);
	struct str provider;

	if (!value) {
		return CLI_OK;
	}
	if (!str_split(&model, '/', &provider) || provider.len == 0 || model.len == 0) {
		return cli_fail(CLI_USAGE, "--model '%s' has to be PROVIDER/MODEL, like openai/gpt-4o", value);
	}
	json_name(out, STR("model"));
	json_object(out);
	json_put_str(out, STR("provider"), provider);
	json_put_str(out, STR("model"), model);
	json_object_end(out);
	return CLI_OK;
}

void cli_print_agent(struct cli *cli, const char *what, struct json agent)
{
	struct str name = cli_text(cli, cli_member(agent, "name"));
	struct str handle = cli_text(cli, cli_member(agent, "handle"));
	struct str maturity = cli_text(cli, cli_member(agent, "maturity"));
	struct str lifecycle = cli_text(cli, cli_member(agent, "lifecycle"));
	struct str id = cli_text(cli, cli_member(agent, "id"));

	printf("%s %s%.*s%s (%.*s): %.*s, %.*s  %s%.*s%s\n", what, cli_style(&cli->term, CLI_BOLD), STR_FMT(name),
	       cli_style(&cli->term, CLI_PLAIN), STR_FMT(handle), STR_FMT(maturity), STR_FMT(lifecycle),
	       cli_style(&cli->term, CLI_DIM), STR_FMT(id), cli_style(&cli->term, CLI_PLAIN));
}

int cli_run_agent_add(struct cli *cli)
{
	struct json_out out;
	struct buf body;
	struct cli_reply reply;
	int code;

	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	json_put_str(&out, STR("name"), str_of(cli->operands[0]));
	put_option(cli, &out, "handle", STR("handle"));
	put_option(cli, &out, "maturity", STR("maturity"));
	put_option(cli, &out, "category", STR("category"));
	put_option(cli, &out, "description", STR("description"));
	put_option(cli, &out, "system-prompt", STR("system_prompt"));
	put_option(cli, &out, "kind", STR("kind"));
	code = put_model(cli, &out);
	json_object_end(&out);
	code = code ? code : cli_connect(cli);
	code = code ? code : cli_request(cli, "POST", STR("/v1/agents"), buf_str(&body), &reply);
	buf_fini(&body);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_print_agent(cli, "Made", reply.root);
	if (str_eq(cli_text(cli, cli_member(reply.root, "maturity")), STR("student"))) {
		printf("A student may not chat yet; `guild agent promote %.*s --override --reason TEXT` makes it an intern.\n",
		       STR_FMT(cli_text(cli, cli_member(reply.root, "handle"))));
	}
	return cli_out_flush();
}

int cli_run_agent_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"HANDLE", "handle", CLI_CELL_ID},           {"NAME", "name", CLI_CELL_TEXT},
		{"MATURITY", "maturity", CLI_CELL_TEXT},     {"STATE", "lifecycle", CLI_CELL_STATE},
		{"CONFIDENCE", "confidence", CLI_CELL_NUMBER}, {"KIND", "kind", CLI_CELL_TEXT},
		{"CATEGORY", "category", CLI_CELL_TEXT},     {NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	buf_init(&path, LIMIT_TARGET_BYTES);
	buf_put_str(&path, STR("/v1/agents"));
	if (code) {
		buf_fini(&path);
	}
	return code ? code : cli_list(cli, &path, columns, "There are no agents.");
}

int cli_run_agent_show(struct cli *cli)
{
	return cli_show(cli, "/v1/agents");
}

int cli_run_agent_change(struct cli *cli)
{
	const char *cancel = cli_switch(cli, "cancel") ? "?cancel=true" : "";
	struct cli_reply reply;
	struct str path = cli_path(cli, "/v1/agents", cli->operands[0], arena_format(&cli->arena, "/%s%s", cli->verb->name, cancel).at);
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "POST", path, STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_print_agent(cli, "Now", reply.root);
	return cli_out_flush();
}
