/* policy.c - guild policy, emergency and stop-all: the action table, and what is in force besides it. */
#include <stdlib.h>

#include "base/limits.h"
#include "cli/cli_priv.h"

#define BODY_BYTES 65536

/* ---- the table ---- */

int cli_run_policy_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"ACTION", "action", CLI_CELL_TEXT}, {"LEVEL", "level", CLI_CELL_NUMBER}, {"NEEDS", "required_maturity", CLI_CELL_TEXT},
		{"DEFAULT", "default_level", CLI_CELL_NUMBER}, {"CHANGED", "overridden", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/policy"));
	return cli_list(cli, &path, columns, "The action table is empty.");
}

int cli_run_policy_history(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"CHANGED", "changed_at", CLI_CELL_TIME}, {"VERSION", "version", CLI_CELL_NUMBER}, {"ACTION", "action", CLI_CELL_TEXT},
		{"FROM", "old_level", CLI_CELL_NUMBER}, {"TO", "level", CLI_CELL_NUMBER}, {"BY", "changed_by", CLI_CELL_ID},
		{"REASON", "reason", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/policy/history"));
	return cli_list(cli, &path, columns, "The action table is the default one.");
}

/* Sends what body has been written, and shows the reply with `show`, or as JSON. */
static int send(struct cli *cli, const char *method, struct str path, struct buf *body, void (*show)(struct cli *cli, struct json reply))
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, method, path, body ? buf_str(body) : STR_NONE, &reply);
	if (body) {
		buf_fini(body);
	}
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	show(cli, reply.root);
	return cli_out_flush();
}

static void line(struct cli *cli, const char *before, struct json value, const char *after)
{
	printf("%s", before);
	cli_put_clean(stdout, cli_text(cli, value));
	printf("%s", after);
}

static void show_setting(struct cli *cli, struct json reply)
{
	line(cli, "", json_member(reply, STR("action")), " needs level ");
	line(cli, "", json_member(reply, STR("level")), " (");
	line(cli, "", json_member(reply, STR("required_maturity")), ") by version ");
	line(cli, "", json_member(reply, STR("version")), " of the table.\n");
}

int cli_run_policy_set(struct cli *cli)
{
	const char *reason = cli_option(cli, "reason"), *level = cli->operands[1];
	struct json_out out;
	struct buf body;
	bool back = strcmp(level, "default") == 0;

	if (!back && (level[0] < '1' || level[0] > '4' || level[1])) {
		return cli_fail(CLI_USAGE, "LEVEL is 1, 2, 3, 4 or default");
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	if (back) {
		json_put_null(&out, STR("level"));
	} else {
		json_put_int(&out, STR("level"), level[0] - '0');
	}
	if (reason) {
		json_put_str(&out, STR("reason"), str_of(reason));
	}
	json_object_end(&out);
	return send(cli, "PUT", cli_path(cli, "/v1/policy", cli->operands[0], NULL), &body, show_setting);
}

/* ---- exceptions ---- */

static void show_emergency(struct cli *cli, struct json reply)
{
	bool on = false;

	(void)json_get_bool(json_member(reply, STR("on")), &on);
	if (!on) {
		printf("No emergency is declared.\n");
		return;
	}
	line(cli, "An emergency is declared until ", json_member(reply, STR("until")), ": ");
	line(cli, "", json_member(reply, STR("reason")), "\n");
}

static void show_stop(struct cli *cli, struct json reply)
{
	bool on = false;

	(void)json_get_bool(json_member(reply, STR("on")), &on);
	if (!on) {
		printf("Agents may act as far as their own state lets them.\n");
		return;
	}
	line(cli, "All agents of the workspace are stopped since ", json_member(reply, STR("since")), ": ");
	line(cli, "", json_member(reply, STR("reason")), "\n");
}

static bool reason_missing(const char *reason)
{
	return reason == NULL || *reason == '\0';
}

int cli_run_emergency(struct cli *cli)
{
	const char *verb = cli->verb->name, *reason = cli_option(cli, "reason");
	bool on = strcmp(verb, "on") == 0;
	int64_t minutes = 0;
	struct json_out out;
	struct buf body;

	if (strcmp(verb, "status") == 0) {
		return send(cli, "GET", STR("/v1/emergency"), NULL, show_emergency);
	}
	if (on && (cli_option(cli, "minutes") == NULL || reason_missing(reason))) {
		return cli_fail(CLI_USAGE, "--minutes and --reason are needed: it ends by itself, and is kept in the audit log");
	}
	if (on) {
		int code = cli_number(cli, "minutes", 0, LIMIT_EMERGENCY_MINUTES, &minutes);
		if (code) {
			return code;
		}
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	json_put_int(&out, STR("minutes"), minutes);
	json_put_str(&out, STR("reason"), reason_missing(reason) ? STR("ended by hand") : str_of(reason));
	json_object_end(&out);
	return send(cli, "POST", STR("/v1/emergency"), &body, show_emergency);
}

int cli_run_stop_all(struct cli *cli)
{
	const char *reason = cli_option(cli, "reason");
	bool off = cli_switch(cli, "off");
	struct json_out out;
	struct buf body;

	if (cli_switch(cli, "status")) {
		return send(cli, "GET", STR("/v1/kill-switch"), NULL, show_stop);
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	json_put_bool(&out, STR("on"), !off);
	/* Whoever stops everything is not held up by a question. */
	json_put_str(&out, STR("reason"), !reason_missing(reason) ? str_of(reason) : off ? STR("let go on by hand") : STR("stopped by hand"));
	json_object_end(&out);
	return send(cli, "POST", STR("/v1/kill-switch"), &body, show_stop);
}
