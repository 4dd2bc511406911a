/*
 * cli_priv.h - what verbs share: their table, the terminal, requests, tables on the screen.
 *
 * For:     the files of this folder.
 * Not for: others (cli.h).
 * Threads: one.
 * Memory:  texts are made in struct cli's arena and live as long as the verb runs.
 */
#ifndef GUILD_CLI_CLI_PRIV_H
#define GUILD_CLI_CLI_PRIV_H

#include <stdio.h>

#include "base/buf.h"
#include "cli/cli.h"
#include "wire/json.h"

/* ---- verbs ---- */

struct cli;

/* The table ends with name == NULL. */
struct cli_option {
	const char *name;
	const char *value; /* what stands behind it in the help, "N"; NULL: a switch */
	const char *doc;
};

enum { CLI_CLIENT = 1 /* talks to a server: takes --url, --token-file and --json */ };

struct cli_verb {
	const char *group;    /* "agent", or the verb itself when it has no second word */
	const char *name;     /* "add"; NULL: the group is the verb */
	const char *operands; /* "NAME", "[MESSAGE]", ""; for the help */
	int operands_min, operands_max;
	unsigned flags;
	const struct cli_option *options; /* NULL: none */
	const char *summary;              /* one line */
	const char *more;                 /* a paragraph for its own help; NULL: none */
	int (*run)(struct cli *cli);
};

/* By group, ending with group == NULL. */
extern const struct cli_verb cli_verbs[];
extern const struct cli_option cli_client_options[];
extern const struct cli_option cli_config_options[];

#define CLI_OPERANDS 64
#define CLI_GIVEN    64

struct cli_given {
	const struct cli_option *option;
	const char *value;
};

struct cli_term {
	bool in, out, err; /* terminals? */
	bool colour;       /* on standard output */
	bool lively;       /* a progress line on standard error makes sense */
	int width;         /* columns of standard output, 0: not a terminal */
};

struct cli {
	struct arena arena;
	const struct cli_verb *verb;
	struct cli_given given[CLI_GIVEN];
	size_t given_count;
	const char *operands[CLI_OPERANDS];
	int operand_count;
	struct cli_term term;
	cli_serve_fn *serve;
	bool json;
	const char *url;   /* without a slash at the end */
	const char *token; /* NULL: none */
};

/* The last value given for that option of the verb, or NULL; "" for a switch that was given. */
const char *cli_option(const struct cli *cli, const char *name);
static inline bool cli_switch(const struct cli *cli, const char *name) { return cli_option(cli, name) != NULL; }
/* "--limit" from 1 to max; CLI_USAGE after a message. */
int cli_number(const struct cli *cli, const char *name, int64_t fallback, int64_t max, int64_t *out);
/* --set, --config and the verbs' own shorthands as the settings' flags; CLI_USAGE after a message. */
int cli_config_flags(struct cli *cli, struct config_flag *flags, size_t max, size_t *count);

/* Help of everything (group NULL), a group, or one verb. False when there is no such thing. */
bool cli_help(const struct cli_term *term, FILE *to, const char *group, const char *name);

int cli_run_help(struct cli *cli);
int cli_run_version(struct cli *cli);
int cli_run_serve(struct cli *cli);
int cli_run_config_show(struct cli *cli);
int cli_run_config_check(struct cli *cli);
int cli_run_chat(struct cli *cli);
int cli_run_status(struct cli *cli);
int cli_run_agent_add(struct cli *cli);
int cli_run_agent_list(struct cli *cli);
int cli_run_agent_show(struct cli *cli);
int cli_run_agent_change(struct cli *cli); /* pause resume stop archive: the verb's name says which */
int cli_run_agent_level(struct cli *cli); /* promote demote */
int cli_run_agent_readiness(struct cli *cli);
int cli_run_agent_reputation(struct cli *cli);
int cli_run_feedback_give(struct cli *cli);
int cli_run_feedback_list(struct cli *cli);
int cli_run_feedback_decide(struct cli *cli); /* accept reject */
/* One line about an agent after it was made or changed. */
void cli_print_agent(struct cli *cli, const char *what, struct json agent);
int cli_run_approve_list(struct cli *cli);
int cli_run_approve_show(struct cli *cli);
int cli_run_approve_decide(struct cli *cli); /* yes no: the verb's name says which */
int cli_run_decide(struct cli *cli);
int cli_run_policy_list(struct cli *cli);
int cli_run_policy_set(struct cli *cli);
int cli_run_policy_history(struct cli *cli);
int cli_run_emergency(struct cli *cli); /* on off status: the verb's name says which */
int cli_run_stop_all(struct cli *cli);
int cli_run_budget_list(struct cli *cli);
int cli_run_budget_set(struct cli *cli);
int cli_run_spend(struct cli *cli);
int cli_run_model_list(struct cli *cli);
int cli_run_audit_list(struct cli *cli);
int cli_run_audit_verify(struct cli *cli);
int cli_run_backup(struct cli *cli);
int cli_run_restore(struct cli *cli);
int cli_run_verify(struct cli *cli);
int cli_run_audit_export(struct cli *cli);
int cli_run_audit_key(struct cli *cli);
int cli_run_execution_list(struct cli *cli);
int cli_run_execution_show(struct cli *cli);
int cli_run_execution_cancel(struct cli *cli);
int cli_run_session_list(struct cli *cli);
int cli_run_session_show(struct cli *cli);
int cli_run_token_add(struct cli *cli);
int cli_run_token_list(struct cli *cli);
int cli_run_token_rotate(struct cli *cli);
int cli_run_token_revoke(struct cli *cli);
int cli_run_user_remove(struct cli *cli);
int cli_run_workspace_add(struct cli *cli);
int cli_run_workspace_list(struct cli *cli);
int cli_run_workspace_set(struct cli *cli);
int cli_run_user_add(struct cli *cli);
int cli_run_user_list(struct cli *cli);
int cli_run_user_erase(struct cli *cli);
int cli_run_user_export(struct cli *cli);
int cli_run_key_add(struct cli *cli);
int cli_run_key_list(struct cli *cli);
int cli_run_key_remove(struct cli *cli);
int cli_run_post(struct cli *cli);
int cli_run_feed(struct cli *cli);
int cli_run_reply(struct cli *cli);
int cli_run_react(struct cli *cli);
int cli_run_trending(struct cli *cli);
int cli_run_channel_create(struct cli *cli);
int cli_run_channel_join(struct cli *cli);
int cli_run_channel_leave(struct cli *cli);
int cli_run_channel_list(struct cli *cli);
int cli_run_channel_members(struct cli *cli);
int cli_run_dm_send(struct cli *cli);
int cli_run_dm_inbox(struct cli *cli);
int cli_run_dm_read(struct cli *cli);
int cli_run_block(struct cli *cli);
int cli_run_block_list(struct cli *cli);

/* ---- terminal (term.c) ---- */

void cli_term_look(struct cli_term *term);
enum cli_style { CLI_PLAIN, CLI_BOLD, CLI_DIM, CLI_RED, CLI_GREEN, CLI_YELLOW };
/* The escape sequence, "" without colour. CLI_PLAIN ends any. */
const char *cli_style(const struct cli_term *term, enum cli_style style);
/* Writes text without what a terminal would obey: C0 but tab and LF, DEL, C1, direction overrides, broken UTF-8. */
void cli_put_clean(FILE *to, struct str text);
/* The same into the arena, on one line: tab, CR and LF become spaces. */
struct str cli_clean_line(struct arena *arena, struct str text);
/* Columns that clean text takes. */
size_t cli_text_width(struct str text);
/* The longest start of clean text that takes at most width columns. */
struct str cli_text_cut(struct str text, size_t width);
/* Opens a descriptor that becomes readable on SIGINT and SIGTERM, which are blocked from then on; -1 when that fails. */
int cli_signals_open(void);
/* True when one has come since the last time. */
bool cli_signals_take(int signals);
void cli_signals_close(int *signals);
/* A line of standard input without its newline. ERR_END at the end of input, ERR_CANCELLED on a signal, ERR_LIMIT over the buf's
 * cap, ERR_IO. hidden_prompt is written to standard error once a terminal's echo is off; at NULL: echo stays, no prompt. */
enum err cli_read_line(int signals, struct str hidden_prompt, struct buf *line) MUST_USE;
/* All of standard input. ERR_LIMIT, ERR_IO. */
enum err cli_read_all(struct buf *out) MUST_USE;
/* A line on standard error that the next one takes the place of; nothing where that makes no sense. format NULL: it goes away. */
void cli_progress(const struct cli_term *term, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Standard output reached its end: CLI_OK, or CLI_FAILED after a message. */
int cli_out_flush(void);

/* ---- requests (request.c) ---- */

/* The URL and the token of the options, the environment and the token file; CLI_USAGE or CLI_NOT_ALLOWED after a message. */
int cli_connect(struct cli *cli);
/* Headers for http_fetch, in the arena, NULL at the end. NULL without memory. */
const char *const *cli_headers(struct cli *cli, const char *accept, bool has_body);
struct cli_reply {
	int status;
	struct str text;
	struct json_doc doc;
	struct json root; /* not there when the reply has no body */
};
/* One request; body may be STR_NONE. CLI_OK for any 2xx; else a message was written and the exit code is given. */
int cli_request(struct cli *cli, const char *method, struct str path, struct str body, struct cli_reply *reply);
/* Says on standard error what a problem document says. execution: failures are the run's (CLI_RUN_FAILED). */
int cli_problem(struct cli *cli, int status, struct str text, bool execution);
/* The exit code of a stable code; status is that of HTTP, 0 when there is none. */
int cli_exit_of(struct str code, int status, bool execution);
/* "/v1/agents" with "/" and the encoded segment behind it, or a query part. */
void cli_path_segment(struct buf *path, const char *segment);
void cli_path_query(struct buf *path, const char *name, const char *value);
/* A text of the arena that ends with NUL: path, then the rest. */
struct str cli_path(struct cli *cli, const char *path, const char *segment, const char *tail);
/* GETs what is streamed at path into a new file, or - for standard output. */
int cli_export(struct cli *cli, const char *path, const char *name);
/* Prints the server's JSON, as it came, with a newline. */
int cli_print_json(struct cli *cli, struct str text);

/* ---- tables (table.c) ---- */

enum cli_cell { CLI_CELL_TEXT, CLI_CELL_ID, CLI_CELL_TIME, CLI_CELL_NUMBER, CLI_CELL_STATE, CLI_CELL_MONEY /* of micro-units */ };
/* The table ends with title == NULL. */
struct cli_column {
	const char *title;
	const char *member; /* "name", "model.provider"; a list "a|b": the first that is there and not null */
	enum cli_cell cell;
};
/* GETs the pages of a list and prints them as a table (or the page as JSON), at most `--limit` rows. */
int cli_list(struct cli *cli, struct buf *path, const struct cli_column *columns, const char *nothing);
/* Shows the object that the first operand names in that collection ("/v1/agents"). */
int cli_show(struct cli *cli, const char *collection);
/* Prints every member of an object, one a line. */
void cli_record(struct cli *cli, struct json object);
/* Micro-units as a decimal number of the currency: "12.50"; what is no number stays. In the arena. */
struct str cli_money(struct cli *cli, struct str micro);
/* A member by dotted name. */
struct json cli_member(struct json object, const char *path);
/* Its text: strings as they are, others as JSON; "" when null or not there. Cleaned, on one line, in the arena. */
struct str cli_text(struct cli *cli, struct json value);

#endif
