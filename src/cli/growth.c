/* growth.c - guild agent promote, demote, readiness, reputation, and guild feedback. */
#include "base/limits.h"
#include "cli/cli_priv.h"

#define BODY_BYTES (2 * LIMIT_BODY_BYTES)

static struct str member_text(struct cli *cli, struct json object, const char *name)
{
	return cli_text(cli, cli_member(object, name));
}

/* POST with the body made so far, which is freed. */
static int post(struct cli *cli, struct str path, struct json_out *out, struct buf *body, struct cli_reply *reply)
{
	json_object_end(out);
	int code = cli_connect(cli);
	code = code ? code : cli_request(cli, "POST", path, buf_str(body), reply);
	buf_fini(body);
	return code;
}

static void body_begin(struct json_out *out, struct buf *body)
{
	buf_init(body, BODY_BYTES);
	json_begin(out, body);
	json_object(out);
}

static void put_option(struct cli *cli, struct json_out *out, const char *option, struct str member)
{
	const char *value = cli_option(cli, option);

	if (value) {
		json_put_str(out, member, str_of(value));
	}
}

/* ---- levels ---- */

int cli_run_agent_level(struct cli *cli)
{
	bool up = strcmp(cli->verb->name, "promote") == 0;
	const char *flag = up ? "override" : "incident", *reason = cli_option(cli, "reason");
	struct json_out out;
	struct buf body;
	struct cli_reply reply;

	if ((!up || cli_switch(cli, flag)) && (!reason || !*reason)) {
		return cli_fail(CLI_USAGE, "--reason is missing: it is kept in the audit log");
	}
	body_begin(&out, &body);
	put_option(cli, &out, "reason", STR("reason"));
	if (cli_switch(cli, flag)) {
		json_put_bool(&out, str_of(flag), true);
	}
	int code = post(cli, cli_path(cli, "/v1/agents", cli->operands[0], up ? "/promote" : "/demote"), &out, &body, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_print_agent(cli, "Now", reply.root);
	return cli_out_flush();
}

static int get(struct cli *cli, const char *rest, struct cli_reply *reply)
{
	int code = cli_connect(cli);
	return code ? code : cli_request(cli, "GET", cli_path(cli, "/v1/agents", cli->operands[0], rest), STR_NONE, reply);
}

static void print_criterion(struct cli *cli, const char *label, const char *name, struct json have, struct json needed, const char *bound)
{
	printf("  %-20s %.*s%s%.*s\n", label, STR_FMT(member_text(cli, have, name)), bound, STR_FMT(member_text(cli, needed, name)));
}

int cli_run_agent_readiness(struct cli *cli)
{
	struct cli_reply reply;
	int code = get(cli, "/readiness", &reply);

	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	struct json evidence = cli_member(reply.root, "evidence"), needed = cli_member(reply.root, "needed");
	struct str maturity = member_text(cli, reply.root, "maturity"), next = member_text(cli, reply.root, "next_maturity");
	if (json_kind(needed) != JSON_OBJECT) {
		printf("It is %.*s already: there is no next level.\n", STR_FMT(maturity));
		return cli_out_flush();
	}
	printf("From %.*s to %.*s:\n", STR_FMT(maturity), STR_FMT(next));
	print_criterion(cli, "successful episodes", "successful_episodes", evidence, needed, " of ");
	print_criterion(cli, "intervention rate", "intervention_rate", evidence, needed, ", at most ");
	print_criterion(cli, "compliance", "compliance", evidence, needed, ", at least ");
	print_criterion(cli, "score", "score", reply.root, needed, ", at least ");
	bool ready = false;
	(void)json_get_bool(cli_member(reply.root, "ready"), &ready);
	printf(ready ? "It is ready.\n" : "It is not ready.\n");
	return cli_out_flush();
}

int cli_run_agent_reputation(struct cli *cli)
{
	struct cli_reply reply;
	int code = get(cli, "/reputation", &reply);

	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	struct json trend = cli_member(reply.root, "trend");
	printf("score %.*s of 100: %.*s reactions, %.*s thumbs up, %.*s posts\n", STR_FMT(member_text(cli, reply.root, "score")),
	       STR_FMT(member_text(cli, reply.root, "reactions")), STR_FMT(member_text(cli, reply.root, "helpful")),
	       STR_FMT(member_text(cli, reply.root, "posts")));
	printf("percentile %.*s among %.*s agents\n", STR_FMT(member_text(cli, reply.root, "percentile")),
	       STR_FMT(member_text(cli, reply.root, "agents")));
	printf("%.*s: %.*s points in %.*s days, %.*s in those before\n", STR_FMT(member_text(cli, trend, "direction")),
	       STR_FMT(member_text(cli, trend, "points")), STR_FMT(member_text(cli, trend, "days")),
	       STR_FMT(member_text(cli, trend, "previous_points")));
	return cli_out_flush();
}

/* ---- feedback ---- */

static int feedback_done(struct cli *cli, const struct cli_reply *reply)
{
	if (cli->json) {
		return cli_print_json(cli, reply->text);
	}
	printf("It is ");
	cli_put_clean(stdout, member_text(cli, reply->root, "status"));
	printf(".  %s%.*s%s\n", cli_style(&cli->term, CLI_DIM), STR_FMT(member_text(cli, reply->root, "id")), cli_style(&cli->term, CLI_PLAIN));
	return cli_out_flush();
}

int cli_run_feedback_give(struct cli *cli)
{
	const char *rating = cli_option(cli, "rating");
	struct json_out out;
	struct buf body;
	struct cli_reply reply;

	if (!rating && !cli_option(cli, "thumbs") && !cli_option(cli, "correction")) {
		return cli_fail(CLI_USAGE, "nothing is said: --thumbs, --rating or --correction is wanted");
	}
	if (rating && (strlen(rating) != 1 || *rating < '1' || *rating > '5')) {
		return cli_fail(CLI_USAGE, "--rating '%s' has to be a whole number from 1 to 5", rating);
	}
	body_begin(&out, &body);
	put_option(cli, &out, "thumbs", STR("thumbs"));
	if (rating) {
		json_put_int(&out, STR("rating"), *rating - '0');
	}
	put_option(cli, &out, "correction", STR("correction"));
	put_option(cli, &out, "execution", STR("execution_id"));
	put_option(cli, &out, "post", STR("post_id"));
	int code = post(cli, cli_path(cli, "/v1/agents", cli->operands[0], "/feedback"), &out, &body, &reply);
	return code ? code : feedback_done(cli, &reply);
}

int cli_run_feedback_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"GIVEN", "created_at", CLI_CELL_TIME}, {"ID", "id", CLI_CELL_ID},
		{"AGENT", "agent_id", CLI_CELL_ID}, {"BY", "user_id", CLI_CELL_ID},
		{"THUMBS", "thumbs", CLI_CELL_TEXT}, {"RATING", "rating", CLI_CELL_NUMBER},
		{"STATUS", "status", CLI_CELL_STATE}, {"CORRECTION", "correction", CLI_CELL_TEXT},
		{NULL, NULL, CLI_CELL_TEXT},
	};
	const char *status = cli_option(cli, "status");
	struct buf path;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/feedback"));
	cli_path_query(&path, "status", cli_switch(cli, "all") ? NULL : status ? status : "pending");
	cli_path_query(&path, "agent", cli_option(cli, "agent"));
	return cli_list(cli, &path, columns, "No feedback waits for a review.");
}

int cli_run_feedback_decide(struct cli *cli)
{
	struct json_out out;
	struct buf body;
	struct cli_reply reply;

	body_begin(&out, &body);
	put_option(cli, &out, "note", STR("note"));
	int code = post(cli, cli_path(cli, "/v1/feedback", cli->operands[0], strcmp(cli->verb->name, "accept") == 0 ? "/accept" : "/reject"), &out,
		&body, &reply);
	return code ? code : feedback_done(cli, &reply);
}
