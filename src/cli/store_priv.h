/*
 * store_priv.h - what store.c and store_remote.c share: how results are shown.
 *
 * For:     guild backup and verify, on files and over a server.
 * Not for: other verbs.
 * Threads: one.
 * Memory:  texts are borrowed.
 */
#ifndef GUILD_CLI_STORE_PRIV_H
#define GUILD_CLI_STORE_PRIV_H

#include "cli/cli_priv.h"

/* Asks a server. */
int cli_verify_remote(struct cli *cli);
int cli_backup_remote(struct cli *cli);
/* Asks until the task at path is no longer running, with a line of progress; *reply is then the last answer. */
int cli_task_wait(struct cli *cli, struct str path, struct cli_reply *reply);
/* Shows the object with `checks` and `ok`; the exit code says whether all of it holds. */
int cli_verify_print(struct cli *cli, struct str text);
/* Says where the backup is. */
int cli_backup_print(struct cli *cli, struct str path);

#endif
