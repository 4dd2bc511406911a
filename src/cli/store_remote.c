/* store_remote.c - guild backup and verify as a running server does them: begun, then asked about until they are over. */
#include "base/thread.h"
#include "cli/store_priv.h"

#define ASK_SOON_US  100000
#define ASK_LATER_US 1000000
#define ASKED_SOON   50

static const char *state_mark(struct str state)
{
	return str_eq(state, STR("good")) ? "ok" : str_eq(state, STR("bad")) ? "BAD" : str_eq(state, STR("left_out")) ? "-" : "?";
}

int cli_verify_print(struct cli *cli, struct str text)
{
	struct json_doc doc;
	struct json checks;
	const struct cli_term *term = &cli->term;
	bool ok = false;
	struct str first = STR_NONE;

	if (json_parse(&cli->arena, text, &doc, NULL) != ERR_OK) {
		return cli_fail(CLI_FAILED, "the result of the check is no JSON");
	}
	checks = json_member(json_root(&doc), STR("checks"));
	json_get_bool(json_member(json_root(&doc), STR("ok")), &ok);
	for (uint32_t i = 0; i < json_size(checks); i++) {
		struct json check = json_element(checks, i);
		struct str state = cli_text(cli, json_member(check, STR("state")));
		bool bad = str_eq(state, STR("bad"));

		if (!cli->json) {
			printf("%s%-4s%s %.*s (%.*s)%s\n", cli_style(term, bad ? CLI_RED : CLI_PLAIN), state_mark(state),
			       cli_style(term, CLI_PLAIN), STR_FMT(cli_text(cli, json_member(check, STR("text")))),
			       STR_FMT(cli_text(cli, json_member(check, STR("rows")))),
			       !str_eq(state, STR("left_out")) ? "" : i == 0 ? ": left out while a server runs; a backup is checked for it" :
			       ": left out in a store of an earlier schema");
		}
		if (bad && !first.at) {
			first = arena_format(&cli->arena, "%.*s: %.*s", STR_FMT(cli_text(cli, json_member(check, STR("text")))),
					     STR_FMT(cli_text(cli, json_member(check, STR("bad")))));
		}
	}
	if (cli->json) {
		cli_print_json(cli, text);
		return ok ? CLI_OK : CLI_FAILED;
	}
	if (!ok) {
		return cli_fail(CLI_FAILED, "the store does not hold together: %.*s", STR_FMT(first.at ? first : STR("not all was checked")));
	}
	printf("%sThe store holds together.%s\n", cli_style(term, CLI_GREEN), cli_style(term, CLI_PLAIN));
	return cli_out_flush();
}

int cli_backup_print(struct cli *cli, struct str path)
{
	struct json_out out;
	struct buf text;

	if (!cli->json) {
		printf("Backed up to %.*s, and checked.\n", STR_FMT(path));
		return cli_out_flush();
	}
	buf_init(&text, 16384);
	json_begin(&out, &text);
	json_object(&out);
	json_put_str(&out, STR("path"), path);
	json_object_end(&out);
	cli_print_json(cli, buf_str(&text));
	buf_fini(&text);
	return CLI_OK;
}

/* Asks ten times a second, later once, until the task is over; *reply is then the last answer. */
int cli_task_wait(struct cli *cli, struct str path, struct cli_reply *reply)
{
	struct thread_gate pause; /* opened by nobody: a wait with a time-out */
	int code = CLI_OK;

	thread_gate_init(&pause);
	for (int asked = 0;; asked++) {
		code = cli_request(cli, "GET", path, STR_NONE, reply);
		if (code || !str_eq(cli_text(cli, json_member(reply->root, STR("state"))), STR("running"))) {
			break;
		}
		cli_progress(&cli->term, "%.*s: %.*s of %.*s", STR_FMT(cli_text(cli, json_member(reply->root, STR("now")))),
			     STR_FMT(cli_text(cli, json_member(reply->root, STR("done")))),
			     STR_FMT(cli_text(cli, json_member(reply->root, STR("total")))));
		(void)thread_gate_wait(&pause, asked < ASKED_SOON ? ASK_SOON_US : ASK_LATER_US);
	}
	cli_progress(&cli->term, NULL);
	thread_gate_fini(&pause);
	return code;
}

static int task_run(struct cli *cli, struct str path, struct str body, struct cli_reply *reply)
{
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "POST", path, body, reply);
	code = code ? code : cli_task_wait(cli, path, reply);
	if (!code && !str_eq(cli_text(cli, json_member(reply->root, STR("state"))), STR("done"))) {
		code = cli_fail(CLI_FAILED, "%.*s", STR_FMT(cli_text(cli, json_member(reply->root, STR("error")))));
	}
	return code;
}

int cli_verify_remote(struct cli *cli)
{
	struct cli_reply reply;
	int code = task_run(cli, STR("/v1/verify"), STR_NONE, &reply);

	return code ? code : cli_verify_print(cli, reply.text);
}

int cli_backup_remote(struct cli *cli)
{
	struct cli_reply reply;
	struct json_out out;
	struct buf body;
	int code;

	buf_init(&body, 16384);
	json_begin(&out, &body);
	json_object(&out);
	json_put_str(&out, STR("name"), str_of(cli->operands[0]));
	json_object_end(&out);
	code = task_run(cli, STR("/v1/backup"), buf_str(&body), &reply);
	buf_fini(&body);
	return code ? code : cli_backup_print(cli, cli_text(cli, json_member(reply.root, STR("path"))));
}
