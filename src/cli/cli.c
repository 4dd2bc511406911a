/* cli.c - a command line against the table of verbs. */
#include <signal.h>
#include <stdarg.h>

#include "base/nearest.h"
#include "cli/cli_priv.h"
#include "http/client.h"
#include "wire/utf8.h"

#define ARENA_BYTES (64 << 20)

int cli_fail(int code, const char *format, ...)
{
	char line[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	for (char *c = line; *c; c++) {
		if (*c == '\n' || *c == '\t') {
			*c = ' ';
		}
	}
	fflush(stdout);
	fputs("guild: ", stderr);
	cli_put_clean(stderr, str_of(line));
	fputc('\n', stderr);
	return code;
}

/* ---- options ---- */

const char *cli_option(const struct cli *cli, const char *name)
{
	for (size_t i = cli->given_count; i-- > 0;) {
		if (strcmp(cli->given[i].option->name, name) == 0) {
			return cli->given[i].value;
		}
	}
	return NULL;
}

int cli_number(const struct cli *cli, const char *name, int64_t fallback, int64_t max, int64_t *out)
{
	const char *text = cli_option(cli, name);

	*out = fallback;
	if (text && (!str_to_i64(str_of(text), out) || *out < 1 || *out > max)) {
		return cli_fail(CLI_USAGE, "--%s '%s' has to be a whole number from 1 to %lld", name, text, (long long)max);
	}
	return CLI_OK;
}

static const struct cli_option *find_in(const struct cli_option *options, struct str name, struct nearest *nearest)
{
	for (; options && options->name; options++) {
		if (str_eq(str_of(options->name), name)) {
			return options;
		}
		nearest_try(nearest, str_of(options->name));
	}
	return NULL;
}

static int parse_option(struct cli *cli, char **argv, int argc, int *at)
{
	const struct cli_verb *verb = cli->verb;
	const char *text = argv[*at];
	struct str rest = str_of(text + 2);
	struct nearest nearest = {0};
	const struct cli_option *option;
	struct str name = STR("");

	str_split(&rest, '=', &name);
	nearest.wanted = name;
	option = find_in(verb->options, name, &nearest);
	if (!option && (verb->flags & CLI_CLIENT)) {
		option = find_in(cli_client_options, name, &nearest);
	}
	if (!option && nearest.found.at) {
		return cli_fail(CLI_USAGE, "unknown option %s; did you mean --%.*s?", text, STR_FMT(nearest.found));
	}
	if (!option) {
		return cli_fail(CLI_USAGE, "unknown option %s; see `guild help %s%s%s`", text, verb->group, verb->name ? " " : "",
				verb->name ? verb->name : "");
	}
	if (cli->given_count == CLI_GIVEN) {
		return cli_fail(CLI_USAGE, "more than %d options", CLI_GIVEN);
	}
	if (!option->value && rest.at) {
		return cli_fail(CLI_USAGE, "--%s takes no value", option->name);
	}
	if (option->value && !rest.at) {
		if (*at + 1 >= argc) {
			return cli_fail(CLI_USAGE, "--%s needs a value: --%s %s", option->name, option->name, option->value);
		}
		rest = str_of(argv[++*at]);
	}
	cli->given[cli->given_count++] = (struct cli_given){option, option->value ? rest.at : ""};
	return CLI_OK;
}

/* What stands behind the verb's words. *help is set when that was all that was asked for. */
static int parse_rest(struct cli *cli, int argc, char **argv, int at, bool *help)
{
	const struct cli_verb *verb = cli->verb;
	bool options_end = false;

	for (; at < argc; at++) {
		const char *text = argv[at];
		bool dashed = !options_end && text[0] == '-' && text[1] != 0;
		int code = CLI_OK;

		if ((verb->flags & CLI_CLIENT) && !utf8_valid(str_of(text))) {
			return cli_fail(CLI_USAGE, "argument %d is not valid UTF-8", at);
		}
		if (dashed && strcmp(text, "--") == 0) {
			options_end = true;
		} else if (dashed && (strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0)) {
			*help = true;
			return CLI_OK;
		} else if (dashed && text[1] == '-') {
			code = parse_option(cli, argv, argc, &at);
		} else if (dashed) {
			code = cli_fail(CLI_USAGE, "unknown option %s; options start with two dashes, and `--` ends them", text);
		} else if (cli->operand_count == verb->operands_max) {
			code = cli_fail(CLI_USAGE, "'%s' is one argument too many; see `guild help %s`", text, verb->group);
		} else {
			cli->operands[cli->operand_count++] = text;
		}
		if (code) {
			return code;
		}
	}
	if (cli->operand_count < verb->operands_min) {
		return cli_fail(CLI_USAGE, "%s is missing: guild %s%s%s %s", verb->operands, verb->group, verb->name ? " " : "",
				verb->name ? verb->name : "", verb->operands);
	}
	return CLI_OK;
}

/* ---- verbs ---- */

/* Finds the verb; *words is how many arguments name it. When only the group is known *found is false and group_known true. */
static const struct cli_verb *find_verb(const char *group, const char *name, int *words, bool *group_known)
{
	for (const struct cli_verb *verb = cli_verbs; verb->group; verb++) {
		if (strcmp(verb->group, group) != 0) {
			continue;
		}
		*group_known = true;
		if (!verb->name || (name && strcmp(verb->name, name) == 0)) {
			*words = verb->name ? 2 : 1;
			return verb;
		}
	}
	return NULL;
}

static int refuse_verb(const char *group, const char *name, bool group_known)
{
	struct nearest nearest = {.wanted = str_of(group_known ? name : group)};

	for (const struct cli_verb *verb = cli_verbs; verb->group; verb++) {
		if (!group_known) {
			nearest_try(&nearest, str_of(verb->group));
		} else if (strcmp(verb->group, group) == 0) {
			nearest_try(&nearest, str_of(verb->name));
		}
	}
	if (nearest.found.at) {
		return cli_fail(CLI_USAGE, "unknown verb '%s%s%s'; did you mean `guild %s%s%.*s`?", group, group_known ? " " : "",
				group_known ? name : "", group_known ? group : "", group_known ? " " : "", STR_FMT(nearest.found));
	}
	return cli_fail(CLI_USAGE, "unknown verb '%s%s%s'; `guild help` lists all", group, group_known ? " " : "",
			group_known ? name : "");
}

static int run_verb(struct cli *cli)
{
	int code = CLI_OK;

	cli->json = (cli->verb->flags & CLI_CLIENT) && cli_switch(cli, "json");
	if (!(cli->verb->flags & CLI_CLIENT)) {
		return cli->verb->run(cli);
	}
	if (http_client_global_init() != ERR_OK) {
		return cli_fail(CLI_FAILED, "the HTTP client cannot be started");
	}
	code = cli->verb->run(cli);
	http_client_global_fini();
	return code;
}

static int help_only(struct cli *cli, FILE *to, const char *group, const char *name, int code)
{
	cli_help(&cli->term, to, group, name);
	return code ? code : cli_out_flush();
}

static int parse_and_run(struct cli *cli, int argc, char **argv)
{
	const char *group = argc > 1 ? argv[1] : "--help";
	const char *name = argc > 2 ? argv[2] : NULL;
	bool group_known = false;
	bool help = false;
	int words = 1;
	int code;

	if (strcmp(group, "--help") == 0 || strcmp(group, "-h") == 0) {
		return help_only(cli, argc > 1 ? stdout : stderr, NULL, NULL, argc > 1 ? CLI_OK : CLI_USAGE);
	}
	if (strcmp(group, "--version") == 0) {
		return cli_run_version(cli);
	}
	cli->verb = find_verb(group, name, &words, &group_known);
	if (!cli->verb && group_known && name && (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)) {
		return help_only(cli, stdout, group, NULL, CLI_OK);
	}
	if (!cli->verb && group_known && !name) {
		return help_only(cli, stderr, group, NULL, CLI_USAGE);
	}
	if (!cli->verb) {
		return refuse_verb(group, name, group_known);
	}
	code = parse_rest(cli, argc, argv, 1 + words, &help);
	if (!code && help) {
		return help_only(cli, stdout, cli->verb->group, cli->verb->name, CLI_OK);
	}
	return code ? code : run_verb(cli);
}

int cli_main(int argc, char **argv, cli_serve_fn *serve)
{
	struct cli cli = {.serve = serve};
	int code;

	signal(SIGPIPE, SIG_IGN);
	arena_init(&cli.arena, ARENA_BYTES);
	cli_term_look(&cli.term);
	code = parse_and_run(&cli, argc, argv);
	arena_fini(&cli.arena);
	if (fflush(stdout) != 0 && code == CLI_OK) {
		code = CLI_FAILED;
	}
	return code;
}
