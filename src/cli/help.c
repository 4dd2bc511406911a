/* help.c - what `guild help` says, made from the table of verbs. */
#include "cli/cli_priv.h"

static const char exit_codes[] =
	"Exit codes\n"
	"    0  it worked\n"
	"    1  it failed: the server answered with a problem, or a check found something bad\n"
	"    2  the command line is wrong\n"
	"    3  no connection to the server\n"
	"    4  not signed in, or the role does not permit it\n"
	"    5  there is no such thing\n"
	"    6  refused by governance\n"
	"    7  the run failed\n"
	"    8  a setting is wrong\n"
	"    9  the data directory or the address is in use\n"
	"  130  interrupted\n";

static const char environment[] =
	"Environment\n"
	"  GUILD_URL          the server that verbs talk to\n"
	"  GUILD_TOKEN        the token they use\n"
	"  GUILD_CONFIG       settings file of `guild serve` and `guild config`\n"
	"  GUILD_LISTEN       where `guild serve` listens\n"
	"  GUILD_DATA         its data directory; verbs look for admin.token there\n"
	"  GUILD_SECTION_KEY  any setting, like GUILD_LOG_LEVEL=debug; `guild config show` lists all\n"
	"  OPENAI_API_KEY     key for the provider of openai.base_url, when none is kept\n"
	"  NO_COLOR           no colour\n";

static void put_row(const struct cli_term *term, FILE *to, int width, const char *left, const char *right)
{
	const char *bold = to == stdout ? cli_style(term, CLI_BOLD) : "";

	fprintf(to, "  %s%-*s%s  %s\n", bold, width, left, *bold ? cli_style(term, CLI_PLAIN) : "", right);
}

static void put_options(const struct cli_term *term, FILE *to, const struct cli_option *options)
{
	for (; options && options->name; options++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", options->name, options->value ? " " : "",
			 options->value ? options->value : "");
		put_row(term, to, 24, left, options->doc);
	}
}

static void put_verb(const struct cli_term *term, FILE *to, const struct cli_verb *verb)
{
	bool options = verb->options || (verb->flags & CLI_CLIENT);

	fprintf(to, "guild %s%s%s%s%s%s - %s\n", verb->group, verb->name ? " " : "", verb->name ? verb->name : "",
		*verb->operands ? " " : "", verb->operands, options ? " [OPTIONS]" : "", verb->summary);
	if (verb->more) {
		fprintf(to, "\n%s\n", verb->more);
	}
	if (options) {
		fprintf(to, "\nOptions\n");
		put_options(term, to, verb->options);
		put_options(term, to, (verb->flags & CLI_CLIENT) ? cli_client_options : NULL);
	}
}

static void put_group(const struct cli_term *term, FILE *to, const char *group)
{
	for (const struct cli_verb *verb = cli_verbs; verb->group; verb++) {
		char left[64];

		if (group && strcmp(verb->group, group) != 0) {
			continue;
		}
		snprintf(left, sizeof(left), "%s%s%s%s%s", verb->group, verb->name ? " " : "", verb->name ? verb->name : "",
			 *verb->operands ? " " : "", verb->operands);
		put_row(term, to, 23, left, verb->summary);
	}
}

bool cli_help(const struct cli_term *term, FILE *to, const char *group, const char *name)
{
	bool known = false;

	if (!group) {
		fprintf(to, "guild - governed AI agents that chat, keep their history and are audited\n\n");
		put_group(term, to, NULL);
		fprintf(to, "\n`guild help VERB` says more; `guild help exit-codes` and `guild help environment` too.\n");
		return true;
	}
	if (!name && (strcmp(group, "exit-codes") == 0 || strcmp(group, "environment") == 0)) {
		fputs(group[1] == 'x' ? exit_codes : environment, to);
		return true;
	}
	for (const struct cli_verb *verb = cli_verbs; verb->group; verb++) {
		bool same = strcmp(verb->group, group) == 0;

		if (same && (name ? verb->name && strcmp(verb->name, name) == 0 : !verb->name)) {
			put_verb(term, to, verb);
			return true;
		}
		known = known || (same && verb->name);
	}
	if (known && !name) {
		put_group(term, to, group);
		fprintf(to, "\n`guild help %s VERB` says more.\n", group);
	}
	return known && !name;
}

int cli_run_help(struct cli *cli)
{
	const char *group = cli->operand_count > 0 ? cli->operands[0] : NULL;
	const char *name = cli->operand_count > 1 ? cli->operands[1] : NULL;

	if (!cli_help(&cli->term, stdout, group, name)) {
		return cli_fail(CLI_USAGE, "there is no verb '%s%s%s'; `guild help` lists all", group, name ? " " : "", name ? name : "");
	}
	return cli_out_flush();
}

int cli_run_version(struct cli *cli)
{
	puts("guild " GUILD_VERSION);
	return cli_out_flush();
}
