/* settings.c - guild serve, config show, config check: verbs that read the settings themselves. */
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli_priv.h"

#define SHOWN_BYTES (1 << 20)

static const char *config_file(const struct cli *cli)
{
	const char *file = cli_option(cli, "config");

	if (!file) {
		file = getenv("GUILD_CONFIG");
	}
	return file && *file ? file : NULL;
}

int cli_config_flags(struct cli *cli, struct config_flag *flags, size_t max, size_t *count)
{
	static const struct config_flag shorthands[] = {
		{"listen", "server.listen"}, {"data", "server.data"}, {"insecure-listen", "server.insecure_listen"},
	};

	*count = 0;
	for (size_t i = 0; i < cli->given_count && *count < max; i++) {
		const struct cli_given *given = &cli->given[i];

		for (size_t j = 0; j < sizeof(shorthands) / sizeof(shorthands[0]); j++) {
			if (strcmp(given->option->name, shorthands[j].name) == 0) {
				flags[*count] = (struct config_flag){shorthands[j].value, given->option->value ? given->value : "on"};
				(*count)++;
			}
		}
		if (strcmp(given->option->name, "set") == 0) {
			struct str rest = str_of(given->value);
			struct str name;

			if (!str_split(&rest, '=', &name) || !rest.at) {
				return cli_fail(CLI_USAGE, "--set '%s' has to be SECTION.KEY=VALUE", given->value);
			}
			flags[*count] = (struct config_flag){arena_copy(&cli->arena, name).at, rest.at};
			(*count)++;
		}
	}
	return CLI_OK;
}

int cli_run_serve(struct cli *cli)
{
	struct config_flag flags[CLI_GIVEN];
	size_t count;
	int code = cli_config_flags(cli, flags, CLI_GIVEN, &count);

	return code ? code : cli->serve(config_file(cli), flags, count);
}

static int load(struct cli *cli, const char *file, struct config *config)
{
	struct config_flag flags[CLI_GIVEN];
	char detail[512];
	size_t count;
	int code = cli_config_flags(cli, flags, CLI_GIVEN, &count);

	if (!code && config_load(config, file, environ, flags, count, detail) != ERR_OK) {
		code = cli_fail(CLI_CONFIG, "%s", detail);
	}
	return code;
}

int cli_run_config_show(struct cli *cli)
{
	struct config config;
	struct buf shown;
	int code = load(cli, config_file(cli), &config);

	if (code) {
		return code;
	}
	buf_init(&shown, SHOWN_BYTES);
	config_show(&config, cli_switch(cli, "origin"), &shown);
	cli_put_clean(stdout, buf_str(&shown));
	buf_fini(&shown);
	config_fini(&config);
	return cli_out_flush();
}

int cli_run_config_check(struct cli *cli)
{
	const char *file = cli->operand_count ? cli->operands[0] : config_file(cli);
	struct config config;
	int code = load(cli, file, &config);

	if (code) {
		return code;
	}
	config_fini(&config);
	cli_put_clean(stdout, str_of(file ? file : "environment and defaults"));
	printf(": fine\n");
	return cli_out_flush();
}
