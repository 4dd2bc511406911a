/* money.c - guild budget, spend and model: what runs may cost, what they did, and what models cost. */
#include "base/limits.h"
#include "cli/cli_priv.h"

#define BODY_BYTES 4096
#define MICRO INT64_C(1000000)

struct str cli_money(struct cli *cli, struct str micro)
{
	int64_t value;
	int digits = 6;

	if (!str_to_i64(micro, &value)) {
		return micro;
	}
	int64_t part = value % MICRO < 0 ? -(value % MICRO) : value % MICRO;
	while (digits > 2 && part % 10 == 0) {
		part /= 10;
		digits--;
	}
	return arena_format(&cli->arena, "%s%lld.%0*lld", value < 0 && value > -MICRO ? "-" : "", (long long)(value / MICRO), digits, (long long)part);
}

/* "12.50" into micro-units; at most six digits behind the point. */
static bool money_read(struct str text, int64_t *out)
{
	struct str rest = text, whole, part = STR("");
	uint64_t units, micro = 0;

	if (!str_split(&rest, '.', &whole) || !str_to_u64(whole, &units) || units > LIMIT_BUDGET_UNITS) {
		return false;
	}
	if (rest.at) {
		part = rest;
		if (part.len < 1 || part.len > 6 || !str_to_u64(part, &micro)) {
			return false;
		}
		for (size_t i = part.len; i < 6; i++) {
			micro *= 10;
		}
	}
	*out = (int64_t)(units * (uint64_t)MICRO + micro);
	return true;
}

int cli_run_budget_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"SCOPE", "scope", CLI_CELL_ID}, {"NAME", "name", CLI_CELL_TEXT}, {"MONTH", "month", CLI_CELL_TEXT}, {"LIMIT", "limit_micro", CLI_CELL_MONEY},
		{"SPENT", "settled_micro", CLI_CELL_MONEY}, {"RESERVED", "reserved_micro", CLI_CELL_MONEY}, {"MODE", "mode", CLI_CELL_TEXT},
		{NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/budgets"));
	return cli_list(cli, &path, columns, "There are no budgets.");
}

int cli_run_budget_set(struct cli *cli)
{
	const char *zone = cli_option(cli, "time-zone");
	bool none = cli_switch(cli, "none");
	int64_t micro = 0;
	struct json_out out;
	struct buf body;
	struct cli_reply reply;

	if (none == (cli->operand_count > 1)) {
		return cli_fail(CLI_USAGE, "give an AMOUNT, or --none");
	}
	if (!none && !money_read(str_of(cli->operands[1]), &micro)) {
		return cli_fail(CLI_USAGE, "AMOUNT is a number of the currency, as 12.50");
	}
	int code = cli_connect(cli);
	if (code) {
		return code;
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	if (!none) {
		json_put_int(&out, STR("limit_micro"), micro);
	}
	json_put_str(&out, STR("mode"), cli_switch(cli, "hard") ? STR("hard") : STR("warn"));
	if (zone) {
		json_put_str(&out, STR("time_zone"), str_of(zone));
	}
	json_object_end(&out);
	code = cli_request(cli, "PUT", cli_path(cli, "/v1/budgets", cli->operands[0], NULL), buf_str(&body), &reply);
	buf_fini(&body);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	struct str limit = cli_text(cli, json_member(reply.root, STR("limit_micro")));
	struct str spent = cli_money(cli, cli_text(cli, json_member(reply.root, STR("settled_micro"))));
	if (limit.len > 0) {
		printf("The budget is %.*s a month; %.*s of this month's is spent.\n", STR_FMT(cli_money(cli, limit)), STR_FMT(spent));
	} else {
		printf("There is no limit any more; %.*s is spent this month.\n", STR_FMT(spent));
	}
	return cli_out_flush();
}

/* What a row of one of the parts is called. */
static struct str row_name(struct cli *cli, struct json row, const char *by)
{
	struct str name = cli_text(cli, json_member(row, STR("name")));

	if (strcmp(by, "day") == 0) {
		return cli_text(cli, json_member(row, STR("day")));
	}
	if (strcmp(by, "model") == 0) {
		return arena_format(&cli->arena, "%.*s/%.*s", STR_FMT(cli_text(cli, json_member(row, STR("provider")))),
				    STR_FMT(cli_text(cli, json_member(row, STR("model")))));
	}
	return name.len > 0 ? name : cli_text(cli, json_member(row, strcmp(by, "agent") == 0 ? STR("agent_id") : STR("user_id")));
}

static void sums_print(struct cli *cli, struct json row, struct str name)
{
	struct str cost = cli_money(cli, cli_text(cli, json_member(row, STR("cost_micro"))));
	struct str runs = cli_text(cli, json_member(row, STR("runs")));
	struct str in = cli_text(cli, json_member(row, STR("tokens_in"))), made = cli_text(cli, json_member(row, STR("tokens_out")));
	size_t width = cli_text_width(name);

	printf("%14.*s %9.*s %12.*s %12.*s  ", STR_FMT(cost), STR_FMT(runs), STR_FMT(in), STR_FMT(made));
	cli_put_clean(stdout, cli_text_cut(name, width < 60 ? width : 60));
	printf("\n");
}

static bool by_known(const char *by)
{
	return strcmp(by, "day") == 0 || strcmp(by, "agent") == 0 || strcmp(by, "user") == 0 || strcmp(by, "model") == 0;
}

int cli_run_spend(struct cli *cli)
{
	const char *by = cli_option(cli, "by");
	struct buf path;
	struct cli_reply reply;
	struct json row;

	by = by ? by : "day";
	if (!by_known(by)) {
		return cli_fail(CLI_USAGE, "--by is day, agent, user or model");
	}
	int code = cli_connect(cli);
	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/spend"));
	cli_path_query(&path, "month", cli_option(cli, "month"));
	cli_path_query(&path, "tz", cli_option(cli, "tz"));
	buf_put_byte(&path, '\0');
	code = cli_request(cli, "GET", str_make(path.at, path.len > 0 ? path.len - 1 : 0), STR_NONE, &reply);
	buf_fini(&path);
	if (code || cli->json) {
		return code ? code : cli_print_json(cli, reply.text);
	}
	struct json_iter rows = json_iter(json_member(reply.root, arena_format(&cli->arena, "%ss", by)));
	printf("%14s %9s %12s %12s  %s\n", "COST", "RUNS", "TOKENS IN", "TOKENS OUT", by);
	while (json_next(&rows, NULL, &row)) {
		sums_print(cli, row, row_name(cli, row, by));
	}
	sums_print(cli, json_member(reply.root, STR("total")),
		   arena_format(&cli->arena, "total of %.*s (%.*s)", STR_FMT(cli_text(cli, json_member(reply.root, STR("month")))),
				STR_FMT(cli_text(cli, json_member(reply.root, STR("time_zone"))))));
	return cli_out_flush();
}

int cli_run_model_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"PROVIDER", "provider", CLI_CELL_TEXT}, {"MODEL", "model", CLI_CELL_TEXT}, {"IN", "price_in_micro", CLI_CELL_MONEY},
		{"OUT", "price_out_micro", CLI_CELL_MONEY}, {"CACHED", "price_cached_micro", CLI_CELL_MONEY}, {"CONTEXT", "context", CLI_CELL_NUMBER},
		{"QUALITY", "quality", CLI_CELL_NUMBER}, {"AS OF", "date", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/catalogue"));
	return cli_list(cli, &path, columns, "There are no models.");
}
