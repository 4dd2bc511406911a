/*
 * command_priv.h - what the files of command/ share.
 *
 * For:     event.c, which renders with the runner's options.
 * Not for: other folders.
 * Threads: any; the options are constant after creation.
 * Memory:  borrowed from the runner.
 */
#ifndef GUILD_COMMAND_COMMAND_PRIV_H
#define GUILD_COMMAND_COMMAND_PRIV_H

#include "base/limits.h"
#include "command/command.h"

const struct command_options *command_runner_options(const struct command_runner *runner);

#endif
