/*
 * cli.h - the command line: verbs, their options, their help, their exit codes.
 *
 * For:     main.c; everything `guild` does besides being the server.
 * Not for: running the server (app/); requests' bytes (http/client.h).
 * Threads: one.
 * Memory:  an arena that lives as long as the verb runs.
 */
#ifndef GUILD_CLI_CLI_H
#define GUILD_CLI_CLI_H

#include "app/config.h"

/* `guild help exit-codes` documents them. */
enum cli_exit {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_USAGE = 2,
	CLI_NO_CONNECTION = 3,
	CLI_NOT_ALLOWED = 4,
	CLI_NOT_FOUND = 5,
	CLI_REFUSED = 6,
	CLI_RUN_FAILED = 7,
	CLI_CONFIG = 8,
	CLI_IN_USE = 9,
	CLI_INTERRUPTED = 130,
};

/* Runs the server until a signal ends it; gives an exit code. file may be NULL. */
typedef int cli_serve_fn(const char *file, const struct config_flag *flags, size_t flag_count);

/* Runs one command line and gives its exit code. */
int cli_main(int argc, char **argv, cli_serve_fn *serve);

/* One line "guild: ..." on standard error, without control bytes; gives code. */
int cli_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
