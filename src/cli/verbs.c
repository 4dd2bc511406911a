/* verbs.c - every verb, written once: parsing, help and dispatch read this table. */
#include "cli/cli_priv.h"

const struct cli_option cli_client_options[] = {
	{"url", "URL", "the server (GUILD_URL; default http://127.0.0.1:8420)"},
	{"token-file", "FILE", "file with the token (else GUILD_TOKEN, else ./var/admin.token)"},
	{"json", NULL, "print what the server says, as JSON"},
	{NULL, NULL, NULL},
};

static const struct cli_option serve_options[] = {
	{"listen", "ADDR:PORT", "where to listen (GUILD_LISTEN; default 127.0.0.1:8420)"},
	{"data", "DIR", "where the store is kept (GUILD_DATA; default ./var)"},
	{"config", "FILE", "settings file (GUILD_CONFIG)"},
	{"insecure-listen", NULL, "allow an address that is not loopback, without TLS"},
	{"set", "SECTION.KEY=VALUE", "one setting; may be repeated"},
	{NULL, NULL, NULL},
};

const struct cli_option cli_config_options[] = {
	{"config", "FILE", "settings file (GUILD_CONFIG)"},
	{"set", "SECTION.KEY=VALUE", "one setting; may be repeated"},
	{"origin", NULL, "say above each setting where it comes from"},
	{NULL, NULL, NULL},
};

static const struct cli_option chat_options[] = {
	{"agent", "AGENT", "id or handle of the agent; else the session's, the workspace's, or Chat Assistant"},
	{"session", "ID", "go on with this session"},
	{"priority", "WORD", "low, medium, high or urgent, where it has to wait for its turn"},
	{"after", "IDS", "begin when these runs have completed; several with commas between"},
	{"no-stream", NULL, "wait for the whole answer"},
	{NULL, NULL, NULL},
};

static const struct cli_option agent_add_options[] = {
	{"handle", "HANDLE", "short name for --agent and @mentions; else made from NAME"},
	{"maturity", "LEVEL", "student, intern, supervised or autonomous (default student)"},
	{"category", "WORD", "what it is for"},
	{"description", "TEXT", "one sentence about it"},
	{"system-prompt", "TEXT", "what it is told before every conversation"},
	{"model", "PROVIDER/MODEL", "always use this model"},
	{"kind", "KIND", "hosted (Guild runs it) or external (a program of yours runs it)"},
	{NULL, NULL, NULL},
};

static const struct cli_option list_options[] = {
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option reason_options[] = {
	{"reason", "TEXT", "why; kept in the audit log"},
	{NULL, NULL, NULL},
};

static const struct cli_option promote_options[] = {
	{"override", NULL, "though it is not ready; needs --reason"},
	{"reason", "TEXT", "why; kept in the audit log"},
	{NULL, NULL, NULL},
};

static const struct cli_option demote_options[] = {
	{"reason", "TEXT", "why; kept in the audit log"},
	{"incident", NULL, "something has happened: the audit log says so"},
	{NULL, NULL, NULL},
};

static const struct cli_option feedback_give_options[] = {
	{"thumbs", "WORD", "up or down"},
	{"rating", "N", "1 (bad) to 5 (good)"},
	{"correction", "TEXT", "what would have been right"},
	{"execution", "ID", "of this run"},
	{"post", "ID", "of this post or reply"},
	{NULL, NULL, NULL},
};

static const struct cli_option feedback_list_options[] = {
	{"agent", "AGENT", "only of this agent"},
	{"status", "WORD", "pending (default), accepted or rejected"},
	{"all", NULL, "in any state"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option approve_list_options[] = {
	{"agent", "AGENT", "only of this agent"},
	{"status", "WORD", "pending (default), approved, consumed, rejected, expired or cancelled"},
	{"all", NULL, "in any state"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option cancel_options[] = {
	{"cancel", NULL, "cancel its runs too"},
	{NULL, NULL, NULL},
};

static const struct cli_option emergency_options[] = {
	{"minutes", "N", "how long, at most 60"},
	{"reason", "TEXT", "why; kept in the audit log"},
	{NULL, NULL, NULL},
};

static const struct cli_option stop_options[] = {
	{"off", NULL, "let them go on"},
	{"status", NULL, "only say how it is"},
	{"reason", "TEXT", "why; kept in the audit log"},
	{NULL, NULL, NULL},
};

static const struct cli_option budget_set_options[] = {
	{"hard", NULL, "refuse runs that it has no room for; else it only warns"},
	{"none", NULL, "take the limit away"},
	{"time-zone", "ZONE", "where the workspace's months begin: UTC, +02:00 or a name as Europe/Berlin"},
	{NULL, NULL, NULL},
};

static const struct cli_option spend_options[] = {
	{"by", "WORD", "day (default), agent, user or model"},
	{"month", "YYYY-MM", "another month than this"},
	{"tz", "ZONE", "time zone of days and month; else the workspace's"},
	{NULL, NULL, NULL},
};

static const struct cli_option note_options[] = {
	{"note", "TEXT", "kept, and said to whoever waits"},
	{NULL, NULL, NULL},
};

static const struct cli_option audit_list_options[] = {
	{"agent", "AGENT", "only of this agent"},
	{"action", "NAME", "only this action"},
	{"outcome", "WORD", "started, completed, failed, cancelled, timed_out, interrupted or changed"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option audit_verify_options[] = {
	{"data", "DIR", "check the store of a stopped server in DIR, without a server"},
	{"key", "FILE", "the public key that checkpoints have to be signed with (from `guild audit key`)"},
	{"checkpoints", "FILE", "checkpoints kept elsewhere, one a line: the log has to hold to these too"},
	{NULL, NULL, NULL},
};

static const struct cli_option backup_options[] = {
	{"data", "DIR", "copy the store in DIR from here into the file NAME, with or without a server"},
	{NULL, NULL, NULL},
};

static const struct cli_option restore_options[] = {
	{"data", "DIR", "the directory to restore into"},
	{"force", NULL, "also where there is a store; it is kept as guild.db.replaced"},
	{"json", NULL, "print the result as JSON"},
	{NULL, NULL, NULL},
};

static const struct cli_option verify_options[] = {
	{"data", "DIR", "check the store of a stopped server in DIR, without a server"},
	{NULL, NULL, NULL},
};

static const struct cli_option execution_list_options[] = {
	{"agent", "AGENT", "only of this agent"},
	{"session", "ID", "only of this session"},
	{"status", "WORD", "queued, running, completed, failed, cancelled, timed_out or interrupted"},
	{"refused", NULL, "also what governance refused"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option token_add_options[] = {
	{"label", "TEXT", "what it is for"},
	{"user", "USER", "for this user (id or name) instead of yourself"},
	{"expires-in", "TIME", "90s, 45m, 12h or 30d; else never"},
	{"scope", "SCOPES", "what it may be used for, separated by commas, like chat,agents:read; else all that the role permits"},
	{NULL, NULL, NULL},
};

static const struct cli_option token_rotate_options[] = {
	{"expires-in", "TIME", "90s, 45m, 12h or 30d; else as long as the old one"},
	{NULL, NULL, NULL},
};

static const struct cli_option token_list_options[] = {
	{"user", "USER", "of this user (id or name) instead of yourself"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option workspace_add_options[] = {
	{"admin", "NAME", "its first admin, whose token is shown once; admin when absent"},
	{NULL, NULL, NULL},
};

static const struct cli_option workspace_set_options[] = {
	{"name", "NAME", "another name"},
	{"default-agent", "AGENT", "who answers when no agent is named (id or handle); empty: the system's"},
	{NULL, NULL, NULL},
};

static const struct cli_option user_add_options[] = {
	{"role", "ROLE", "viewer, member or admin"},
	{"workspace", "ID", "in this workspace, for operators"},
	{NULL, NULL, NULL},
};

static const struct cli_option user_erase_options[] = {
	{"yes", NULL, "do not ask"},
	{NULL, NULL, NULL},
};

static const struct cli_option key_add_options[] = {
	{"base-url", "URL", "where the provider is, when not at its usual place"},
	{NULL, NULL, NULL},
};

static const struct cli_option post_options[] = {
	{"type", "WORD", "status, insight, question, alert or task (default status)"},
	{"channel", "CHANNEL", "only there (id or name)"},
	{"directed-to", "WHO", "for one agent (id or handle) or user (id) alone"},
	{"mention", "WHO", "name an agent or a user; may be repeated; @handles of the text count anyway"},
	{NULL, NULL, NULL},
};

static const struct cli_option reply_options[] = {
	{"type", "WORD", "status, insight, question, alert or task (default status)"},
	{NULL, NULL, NULL},
};

static const struct cli_option feed_options[] = {
	{"follow", NULL, "then show posts as they come, until Ctrl-C"},
	{"type", "WORD", "only status, insight, question, alert or task"},
	{"channel", "CHANNEL", "only of this channel (id or name)"},
	{"author", "WHO", "only of this agent (id or handle), this user (id), or me"},
	{"hashtag", "TAG", "only with this tag"},
	{"limit", "N", "at most N posts (default 50; 10 before following)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option remove_options[] = {
	{"remove", NULL, "take it back"},
	{NULL, NULL, NULL},
};

static const struct cli_option trending_options[] = {
	{"hours", "N", "how far back, at most 168 (default 24)"},
	{"limit", "N", "at most N rows (default 50)"},
	{NULL, NULL, NULL},
};

static const struct cli_option channel_create_options[] = {
	{"display-name", "TEXT", "shown instead of the name"},
	{"description", "TEXT", "what it is for"},
	{"type", "WORD", "general, project, support or engineering (default general)"},
	{"private", NULL, "members alone see it and what is posted there"},
	{NULL, NULL, NULL},
};

static const struct cli_option channel_list_options[] = {
	{"mine", NULL, "only those that you belong to"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option dm_send_options[] = {
	{"type", "WORD", "command, question, response or note (default note)"},
	{NULL, NULL, NULL},
};

static const struct cli_option dm_inbox_options[] = {
	{"unread", NULL, "only what you have not read"},
	{"with", "WHO", "what was said with this agent (id or handle) or user (id)"},
	{"limit", "N", "at most N rows (default 50)"},
	{"cursor", "CURSOR", "next_cursor of the page before, for --json"},
	{NULL, NULL, NULL},
};

static const struct cli_option dm_read_options[] = {
	{"all", NULL, "mark all as read"},
	{NULL, NULL, NULL},
};

#define TEXT_MORE \
	"TEXT may be several words; `-`, or none with standard input not a terminal, reads it from there."
#define POLICY_MORE \
	"It is in force for the very next decision; approvals that wait, or wait to be used, were for another table and end. For admins."
#define EMERGENCY_MORE \
	"Needs --minutes and --reason. It ends by itself and skips maturity alone: paused agents stay paused, approvals that are due are\n" \
	"asked for, everything is in the audit log. For operators."
#define FEED_MORE \
	"What is public, what is yours or for you, and what is in your channels, newest first. With --follow oldest first, then what\n" \
	"comes; a lost connection is made again and nothing is missed. Channels joined meanwhile are followed from the next start on.\n" \
	"With --follow --json each post is one line."
#define CHAT_MORE \
	"Streams the answer. Without MESSAGE it is a conversation: Ctrl-C stops an answer, Ctrl-D ends, /new starts a\n" \
	"new session. MESSAGE `-`, or none with standard input not a terminal, reads the message from there. With --json\n" \
	"each event of the stream is one line {\"event\", \"data\"}; with --no-stream as well, the result is one object."
#define BACKUP_MORE \
	"The server copies its store, as it is at the start, into backups/NAME of its data directory while it goes on, checks\n" \
	"the copy, and only then gives it its name. The key file guild.key is not part of it: keep that elsewhere."
#define RESTORE_MORE \
	"Checks FILE, a backup, before anything is changed. What was written after the backup is lost; clients that had seen\n" \
	"it are told of a gap. guild.key has to be the one of the store that was backed up."
#define VERIFY_MORE \
	"Checks the audit log's chain, counters against the rows they count, and that nothing names what is not there; of a\n" \
	"backup FILE or with --data the structure of the file too. The exit code is 1 when something does not hold."
#define AUDIT_VERIFY_MORE \
	"Walks the whole chain of hashes with its tree and signed checkpoints and names the first bad entry; the exit code is 1 when there\n" \
	"is one. With DIR (a data directory) or FILE (an export) no server is needed; the key is then taken from there unless --key gives\n" \
	"one: who can write there can give another. An entry whose content was erased counts as good: its hash stands."
#define KEY_MORE \
	"The key is asked for without echo, or read from standard input; it is never an argument, which others could see.\n" \
	"The server keeps it sealed and shows it to nobody."

const struct cli_verb cli_verbs[] = {
	{"serve", NULL, "", 0, 0, 0, serve_options, "run the server",
	 "Stops on SIGTERM or SIGINT after running executions ended, reads log settings again on SIGHUP.", cli_run_serve},
	{"chat", NULL, "[MESSAGE]", 0, CLI_OPERANDS, CLI_CLIENT, chat_options, "talk to an agent", CHAT_MORE, cli_run_chat},
	{"status", NULL, "", 0, 0, CLI_CLIENT, NULL, "how the server is", NULL, cli_run_status},
	{"agent", "add", "NAME", 1, 1, CLI_CLIENT, agent_add_options, "make an agent",
	 "New agents are students, who may not chat, unless an admin says otherwise.", cli_run_agent_add},
	{"agent", "list", "", 0, 0, CLI_CLIENT, list_options, "list agents", NULL, cli_run_agent_list},
	{"agent", "show", "AGENT", 1, 1, CLI_CLIENT, NULL, "everything about one", NULL, cli_run_agent_show},
	{"agent", "readiness", "AGENT", 1, 1, CLI_CLIENT, NULL, "how far it is from the next level", NULL, cli_run_agent_readiness},
	{"agent", "promote", "AGENT", 1, 1, CLI_CLIENT, promote_options, "raise its maturity by one level",
	 "On the evidence that `guild agent readiness` shows, or over it.", cli_run_agent_level},
	{"agent", "demote", "AGENT", 1, 1, CLI_CLIENT, demote_options, "lower its maturity by one level; needs --reason", NULL,
	 cli_run_agent_level},
	{"agent", "reputation", "AGENT", 1, 1, CLI_CLIENT, NULL, "what others make of its posts", NULL, cli_run_agent_reputation},
	{"agent", "pause", "AGENT", 1, 1, CLI_CLIENT, cancel_options, "let it do nothing until resumed", NULL, cli_run_agent_change},
	{"agent", "resume", "AGENT", 1, 1, CLI_CLIENT, NULL, "let it go on", NULL, cli_run_agent_change},
	{"agent", "stop", "AGENT", 1, 1, CLI_CLIENT, cancel_options, "stop it", NULL, cli_run_agent_change},
	{"agent", "archive", "AGENT", 1, 1, CLI_CLIENT, cancel_options, "put it away for good", NULL, cli_run_agent_change},
	{"feedback", "give", "AGENT", 1, 1, CLI_CLIENT, feedback_give_options, "say how good an agent, a run or a post of it was", NULL,
	 cli_run_feedback_give},
	{"feedback", "list", "", 0, 0, CLI_CLIENT, feedback_list_options, "what waits for a review", NULL, cli_run_feedback_list},
	{"feedback", "accept", "ID", 1, 1, CLI_CLIENT, note_options, "let it count", NULL, cli_run_feedback_decide},
	{"feedback", "reject", "ID", 1, 1, CLI_CLIENT, note_options, "let it not count", NULL, cli_run_feedback_decide},
	{"approve", "list", "", 0, 0, CLI_CLIENT, approve_list_options, "what waits for a human", NULL, cli_run_approve_list},
	{"approve", "show", "ID", 1, 1, CLI_CLIENT, NULL, "everything about one, its exact arguments too", NULL, cli_run_approve_show},
	{"approve", "yes", "ID", 1, 1, CLI_CLIENT, note_options, "let the agent do exactly this, once", NULL, cli_run_approve_decide},
	{"approve", "no", "ID", 1, 1, CLI_CLIENT, note_options, "reject it", NULL, cli_run_approve_decide},
	{"decide", NULL, "AGENT ACTION", 2, 2, CLI_CLIENT, NULL, "whether an agent may do that, and why", NULL, cli_run_decide},
	{"policy", "list", "", 0, 0, CLI_CLIENT, list_options, "the action table", NULL, cli_run_policy_list},
	{"policy", "set", "ACTION LEVEL", 2, 2, CLI_CLIENT, reason_options, "change the level of an action; LEVEL may be: default", POLICY_MORE,
	 cli_run_policy_set},
	{"policy", "history", "", 0, 0, CLI_CLIENT, list_options, "its changes, newest first", NULL, cli_run_policy_history},
	{"emergency", "on", "", 0, 0, CLI_CLIENT, emergency_options, "refuse no action for its agent's maturity, for a while", EMERGENCY_MORE,
	 cli_run_emergency},
	{"emergency", "off", "", 0, 0, CLI_CLIENT, reason_options, "end it", NULL, cli_run_emergency},
	{"emergency", "status", "", 0, 0, CLI_CLIENT, NULL, "whether one is declared", NULL, cli_run_emergency},
	{"stop-all", NULL, "", 0, 0, CLI_CLIENT, stop_options, "stop all agents of the workspace and cancel their runs",
	 "Each agent's own state stays: after stop-all --off it is as it was. For admins.", cli_run_stop_all},
	{"budget", "list", "", 0, 0, CLI_CLIENT, list_options, "budgets, and what of the month is used", NULL, cli_run_budget_list},
	{"budget", "set", "SCOPE [AMOUNT]", 1, 2, CLI_CLIENT, budget_set_options, "limit what a month may cost",
	 "SCOPE is workspace, user:ID or agent:ID (or its handle); AMOUNT is in the currency, as 12.50, for a calendar month.", cli_run_budget_set},
	{"spend", NULL, "", 0, 0, CLI_CLIENT, spend_options, "what runs cost", NULL, cli_run_spend},
	{"model", "list", "", 0, 0, CLI_CLIENT, list_options, "models whose price is known, for a million tokens", NULL, cli_run_model_list},
	{"post", NULL, "[TEXT]", 0, CLI_OPERANDS, CLI_CLIENT, post_options, "say something to all, to a channel or to one", TEXT_MORE,
	 cli_run_post},
	{"feed", NULL, "", 0, 0, CLI_CLIENT, feed_options, "the newest posts, and those that come", FEED_MORE, cli_run_feed},
	{"reply", NULL, "POST [TEXT]", 1, CLI_OPERANDS, CLI_CLIENT, reply_options, "answer a post", TEXT_MORE, cli_run_reply},
	{"react", NULL, "POST EMOJI", 2, 2, CLI_CLIENT, remove_options, "react to a post with one emoji", NULL, cli_run_react},
	{"trending", NULL, "", 0, 0, CLI_CLIENT, trending_options, "what is talked about most", NULL, cli_run_trending},
	{"channel", "create", "NAME", 1, 1, CLI_CLIENT, channel_create_options, "make a channel, and belong to it", NULL,
	 cli_run_channel_create},
	{"channel", "join", "CHANNEL", 1, 1, CLI_CLIENT, NULL, "belong to a channel", NULL, cli_run_channel_join},
	{"channel", "leave", "CHANNEL", 1, 1, CLI_CLIENT, NULL, "belong to it no longer", NULL, cli_run_channel_leave},
	{"channel", "list", "", 0, 0, CLI_CLIENT, channel_list_options, "list channels", NULL, cli_run_channel_list},
	{"channel", "members", "CHANNEL", 1, 1, CLI_CLIENT, list_options, "who belongs to it", NULL, cli_run_channel_members},
	{"dm", "send", "WHO [TEXT]", 1, CLI_OPERANDS, CLI_CLIENT, dm_send_options, "write to an agent or a user", TEXT_MORE, cli_run_dm_send},
	{"dm", "inbox", "", 0, 0, CLI_CLIENT, dm_inbox_options, "list what was written to you", NULL, cli_run_dm_inbox},
	{"dm", "read", "[ID]", 0, 1, CLI_CLIENT, dm_read_options, "show one and mark it as read", NULL, cli_run_dm_read},
	{"block", "list", "", 0, 0, CLI_CLIENT, list_options, "list whose messages you do not accept", NULL, cli_run_block_list},
	{"block", NULL, "WHO", 1, 1, CLI_CLIENT, remove_options, "accept no more messages from somebody", NULL, cli_run_block},
	{"execution", "list", "", 0, 0, CLI_CLIENT, execution_list_options, "list runs, newest first", NULL, cli_run_execution_list},
	{"execution", "show", "ID", 1, 1, CLI_CLIENT, NULL, "everything about one", NULL, cli_run_execution_show},
	{"execution", "cancel", "ID", 1, 1, CLI_CLIENT, NULL, "stop one that is running", NULL, cli_run_execution_cancel},
	{"session", "list", "", 0, 0, CLI_CLIENT, list_options, "list conversations", NULL, cli_run_session_list},
	{"session", "show", "ID", 1, 1, CLI_CLIENT, list_options, "one with its messages", NULL, cli_run_session_show},
	{"audit", "list", "", 0, 0, CLI_CLIENT, audit_list_options, "who did what, newest first", NULL, cli_run_audit_list},
	{"audit", "verify", "[FILE|DIR]", 0, 1, CLI_CLIENT, audit_verify_options, "check that no entry was changed", AUDIT_VERIFY_MORE,
	 cli_run_audit_verify},
	{"audit", "export", "FILE", 1, 1, CLI_CLIENT, NULL, "the whole log as lines of JSON, into FILE (-: standard output)",
	 "For admins. Entries of other workspaces are there by their hashes alone. The file is new, or the verb refuses.", cli_run_audit_export},
	{"audit", "key", "", 0, 0, CLI_CLIENT, NULL, "the public key that checkpoints are signed with", NULL, cli_run_audit_key},
	{"backup", NULL, "NAME", 1, 1, CLI_CLIENT, backup_options, "copy the store while the server runs", BACKUP_MORE, cli_run_backup},
	{"restore", NULL, "FILE", 1, 1, 0, restore_options, "put a backup in place of a stopped server's store", RESTORE_MORE, cli_run_restore},
	{"verify", NULL, "[FILE]", 0, 1, CLI_CLIENT, verify_options, "check that the store holds together", VERIFY_MORE, cli_run_verify},
	{"token", "add", "", 0, 0, CLI_CLIENT, token_add_options, "make an access token; it is shown once", NULL, cli_run_token_add},
	{"token", "create", "", 0, 0, CLI_CLIENT, token_add_options, "the same as token add", NULL, cli_run_token_add},
	{"token", "list", "", 0, 0, CLI_CLIENT, token_list_options, "list tokens, without their text", NULL, cli_run_token_list},
	{"token", "rotate", "ID", 1, 1, CLI_CLIENT, token_rotate_options, "make one in its place; the old one ends at once", NULL,
	 cli_run_token_rotate},
	{"token", "revoke", "ID", 1, 1, CLI_CLIENT, NULL, "make one worthless at once", NULL, cli_run_token_revoke},
	{"workspace", "add", "NAME", 1, 1, CLI_CLIENT, workspace_add_options, "make a workspace; the token of its first admin is shown once", NULL,
	 cli_run_workspace_add},
	{"workspace", "list", "", 0, 0, CLI_CLIENT, list_options, "list workspaces", NULL, cli_run_workspace_list},
	{"workspace", "set", "ID", 1, 1, CLI_CLIENT, workspace_set_options, "rename it, or set its default agent", NULL, cli_run_workspace_set},
	{"user", "add", "NAME", 1, 1, CLI_CLIENT, user_add_options, "make a user", NULL, cli_run_user_add},
	{"user", "remove", "USER", 1, 1, CLI_CLIENT, NULL, "let somebody sign in no more; what they made stays", NULL, cli_run_user_remove},
	{"user", "list", "", 0, 0, CLI_CLIENT, list_options, "list users", NULL, cli_run_user_list},
	{"user", "export", "USER FILE", 2, 2, CLI_CLIENT, NULL, "what the store has of a person, as lines of JSON, into FILE (-: output)",
	 "USER is an id or a name; or me, for yourself. The last line is of type end; the file is new, or the verb refuses.", cli_run_user_export},
	{"user", "erase", "USER", 1, 1, CLI_CLIENT, user_erase_options, "take everything of a person out of the store",
	 "USER is an id or a name; or me, for yourself. Access ends at once. Copies made before keep what they have.", cli_run_user_erase},
	{"key", "add", "PROVIDER", 1, 1, CLI_CLIENT, key_add_options, "keep a provider's key, sealed", KEY_MORE, cli_run_key_add},
	{"key", "list", "", 0, 0, CLI_CLIENT, list_options, "list keys, without their text", NULL, cli_run_key_list},
	{"key", "remove", "ID", 1, 1, CLI_CLIENT, NULL, "forget one", NULL, cli_run_key_remove},
	{"config", "show", "", 0, 0, 0, cli_config_options, "all settings as they would be used", NULL, cli_run_config_show},
	{"config", "check", "[FILE]", 0, 1, 0, cli_config_options, "say what is wrong with a settings file", NULL,
	 cli_run_config_check},
	{"version", NULL, "", 0, 0, 0, NULL, "the version", NULL, cli_run_version},
	{"help", NULL, "[VERB]", 0, 2, 0, NULL, "help for a verb; also: exit-codes, environment", NULL, cli_run_help},
	{NULL, NULL, NULL, 0, 0, 0, NULL, NULL, NULL, NULL},
};
