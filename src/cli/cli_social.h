/*
 * cli_social.h - what the verbs of the social layer share.
 *
 * For:     social.c, feed.c and channel.c of this folder.
 * Not for: other verbs (cli_priv.h).
 * Threads: one.
 * Memory:  texts are in struct cli's arena.
 */
#ifndef GUILD_CLI_CLI_SOCIAL_H
#define GUILD_CLI_CLI_SOCIAL_H

#include "cli/cli_priv.h"

/* The operands from first on with spaces between; standard input when that is `-`, or when there is none and it is no terminal.
 * CLI_USAGE after a message: nothing, not UTF-8, more than a post may have. */
int cli_social_text(struct cli *cli, int first, struct buf *text);
/* Begins a body {"content": text. */
void cli_social_body(struct json_out *out, struct buf *body, struct str text);
/* True when an agent has that id or handle. */
bool cli_social_agent(struct cli *cli, const char *name);
/* "@scout", "agent:<id>" or "user:<id>" for what the command line names. At NULL without memory. */
struct str cli_social_mention(struct cli *cli, const char *name);
/* A post on several lines: who, what kind and where, id, then the content. */
void cli_social_print(struct cli *cli, struct json post);

#endif
