/*
 * enforce.c - "let the agent do this now": decided by the writer on what stands in its transaction, and in the audit log whatever comes of it.
 *
 * An action that needs a human's approval opens one, or finds the one that waits already; with an approval that fits, it is consumed in the
 * same transaction. So nothing that was decided earlier, on any loop, can let an action through.
 */
#include "base/metric.h"
#include "base/timefmt.h"
#include "governance/approval_priv.h"
#include "governance/govern.h"
#include "governance/ledger.h"
#include "wire/jcs.h"

enum { DECISION_BYTES_MAX = 16384, REASON_BYTES_MAX = 4096 };

struct enforce_command {
	struct change change; /* first */
	struct enforce_input input;
	uint8_t arguments_hash[HASH_SHA256_BYTES];
	uint8_t hash[HASH_SHA256_BYTES];
	/* of the last apply */
	struct decision decision;
	struct str agent_name, reason;
	struct approval approval; /* opened, found or used; id 0: none */
	bool waits;
};

static enum err enforce_apply(struct command *command, struct db *db);
static void enforce_finish(struct command *command);

/* To be asked what may be done is harmless: the action that is asked for is decided in apply. */
static const struct command_row enforce_row = {"enforce", "decide", enforce_apply, NULL, enforce_finish};

void enforce_start(struct guild *guild, struct http_request *request, const struct enforce_input *input)
{
	struct enforce_command *command = change_new(guild, request, &enforce_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->input = *input;
	hash_sha256(input->arguments, command->arguments_hash);
	change_submit(&command->change, ERR_OK);
}

/* ---- the entry ---- */

static struct str arena_text(struct arena *arena, struct buf *text)
{
	struct str out = buf_err(text) == ERR_OK ? arena_copy(arena, buf_str(text)) : STR_NONE;
	buf_fini(text);
	return out;
}

static struct str decision_text(struct enforce_command *command)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, DECISION_BYTES_MAX);
	json_begin(&json, &text);
	decision_json(&command->decision, command->agent_name, command->input.action, &json);
	return arena_text(command->change.command.arena, &text);
}

/* What was to be done, by the hash of its arguments, and under which approval. */
static struct str change_text(struct enforce_command *command)
{
	struct guild *guild = command->change.guild;
	const struct approval *approval = &command->approval;
	char hex[2 * HASH_SHA256_BYTES + 1];
	struct id_text id = id_format(&guild->id_secret, ID_APPROVAL, approval->id);
	struct time_text expires = time_format(approval->expires_at_us);
	hash_hex(command->arguments_hash, HASH_SHA256_BYTES, hex);
	if (approval->id == 0) {
		return arena_format(command->change.command.arena, "{\"approval_id\":null,\"arguments_sha256\":\"%s\"}", hex);
	}
	return arena_format(command->change.command.arena, "{\"approval_id\":\"%s\",\"arguments_sha256\":\"%s\",\"expires_at\":\"%s\"}",
		id.text, hex, expires.text);
}

/* The attempt's entry; requested: it is the event of a new approval too. */
static enum err entry_write(struct enforce_command *command, struct db *db, enum err why, struct str detail, bool requested)
{
	struct change *change = &command->change;
	struct guild *guild = change->guild;
	const struct caller *caller = &change->command.caller;
	int64_t agent = command->input.agent, now_us = command_now_us(&change->command);
	struct id_text principal = id_format(&guild->id_secret, ID_PRINCIPAL, caller->principal);
	struct id_text agent_id = id_format(&guild->id_secret, ID_AGENT, agent);
	struct id_text via = id_format(&guild->id_secret, ID_PRINCIPAL, caller->actor);
	const struct err_row *row = err_row(err_public(why));
	struct audit_entry entry = {.workspace = caller->workspace,
		.principal_id = caller->principal != 0 ? id_str(&principal) : STR_NONE,
		.principal_name = caller->principal != 0 ? caller_name(caller) : STR_NONE,
		.via_id = caller->actor != 0 ? id_str(&via) : STR_NONE,
		.agent_id = agent != 0 ? id_str(&agent_id) : STR_NONE,
		.agent_name = agent != 0 ? command->agent_name : STR_NONE,
		.action = command->input.action,
		.decision = command->decision.action_complexity != 0 ? decision_text(command) : STR_NONE,
		.rule_id = change->rule_id,
		.start_us = now_us,
		.end_us = now_us,
		.duration_ms = 1,
		.outcome = why == ERR_OK ? OUTCOME_COMPLETED : OUTCOME_FAILED,
		.code = why == ERR_OK ? STR_NONE : row->code,
		.error_message = why == ERR_OK ? STR_NONE : detail.at != NULL ? detail : row->text,
		.change = change_text(command)};
	struct log_row log = {.kinds = LOG_AUDIT,
		.workspace = caller->workspace,
		.principal = caller->principal,
		.agent = agent,
		.action = entry.action,
		.outcome = entry.outcome};
	enum err err = entry.change.at != NULL ? audit_entry_put(change->command.arena, &entry, &log.entry) : ERR_LIMIT;
	if (err == ERR_OK && requested) {
		err = approval_event(guild, change->command.arena, &command->approval, STR("approval_requested"), &log);
	}
	return err == ERR_OK ? command_log(&change->command, db, &log) : err;
}

static enum err refuse(struct enforce_command *command, struct db *db, enum err why, struct str detail)
{
	metric_add(METRIC_DECISIONS_DENIED, 1);
	command->change.command.result = why;
	command->change.detail = detail;
	return entry_write(command, db, why, detail, false);
}

/* ---- deciding ---- */

/* On what the writer knows, with what the open transaction changed. */
static enum err decide_now(struct enforce_command *command, struct db *db)
{
	struct guild *guild = command->change.guild;
	struct arena *arena = command->change.command.arena;
	const struct agent *agent = registry_writer_get(guild->registry, command->input.agent);
	const struct policy *policy = policy_writer_get(guild->policies, command->change.command.caller.workspace);
	struct ledger_who who = {agent != NULL ? agent->workspace : 0, 0, agent != NULL ? agent->id : 0};
	struct decide_input input;
	int64_t month;
	enum err err = policy_decide_input(policy, agent, command->input.action, &input);
	if (err != ERR_OK) {
		return err;
	}
	input.require_approval = command->input.require_approval || command->input.approval != 0;
	/* It costs Guild nothing, but where nothing is left nothing is done. */
	input.budget_exceeded = ledger_admit(guild->ledger, db, &who, 0, command_now_us(&command->change.command), &month) == ERR_BUDGET;
	decide(&input, &command->decision);
	struct buf text;
	buf_init(&text, REASON_BYTES_MAX);
	decision_rule_id(&command->decision, &text);
	command->change.rule_id = arena_text(arena, &text);
	command->agent_name = agent != NULL ? arena_copy(arena, agent->name) : STR("");
	buf_init(&text, REASON_BYTES_MAX);
	decision_reason(&command->decision, command->agent_name, command->input.action, &text);
	command->reason = arena_text(arena, &text);
	return command->reason.at != NULL && command->change.rule_id.at != NULL ? ERR_OK : ERR_LIMIT;
}

/* What is asked for now, as an approval of it would be. */
static struct approval wanted(struct enforce_command *command)
{
	struct guild *guild = command->change.guild;
	const struct caller *caller = &command->change.command.caller;
	int64_t now_us = command_now_us(&command->change.command);
	struct approval approval = {.workspace = caller->workspace,
		.agent = command->input.agent,
		.requester = caller->principal,
		.policy_version = command->decision.policy_version,
		.requested_at_us = now_us,
		.expires_at_us = now_us + guild->approvals->ttl_us,
		.action = command->input.action,
		.arguments = command->input.arguments,
		.arguments_hash = str_make((const char *)command->arguments_hash, HASH_SHA256_BYTES),
		.reason = command->input.reason.at != NULL ? command->input.reason : command->reason,
		.priority = command->input.priority,
		.status = APPROVAL_PENDING};
	approval_hash(&approval, command->hash);
	approval.hash = str_make((const char *)command->hash, HASH_SHA256_BYTES);
	return approval;
}

static enum err count(struct enforce_command *command, enum err decided)
{
	return govern_count(command->change.guild, command->input.agent, command_now_us(&command->change.command), decided);
}

static enum err wait(struct enforce_command *command, struct db *db, bool requested)
{
	command->waits = true;
	return entry_write(command, db, ERR_APPROVAL_REQUIRED, command->reason, requested);
}

/* Opens one, or finds the one that waits for the same. */
static enum err approval_ask(struct enforce_command *command, struct db *db)
{
	struct arena *arena = command->change.command.arena;
	struct approval fresh = wanted(command);
	int64_t waiting = 0;
	enum err err = approval_by_hash(db, arena, fresh.hash, &command->approval);
	bool found = err == ERR_OK;
	if (found && approval_status_at(&command->approval, fresh.requested_at_us) == APPROVAL_PENDING) {
		return wait(command, db, false);
	}
	err = err == ERR_OK || err == ERR_NOT_FOUND ? approval_waiting_count(db, fresh.agent, LIMIT_APPROVALS_AGENT, &waiting) : err;
	if (err == ERR_OK && waiting == LIMIT_APPROVALS_AGENT) {
		command->approval.id = 0;
		return refuse(command, db, ERR_RATE_LIMITED, STR("Too many of this agent's requests wait for an approval."));
	}
	err = err == ERR_OK && found ? approval_row_end(db, command->approval.id, APPROVAL_EXPIRED) : err;
	fresh.id = guild_writer_key(command->change.guild, fresh.requested_at_us);
	command->approval = fresh;
	err = err == ERR_OK ? count(command, ERR_OK) : err;
	err = err == ERR_OK ? approval_insert(db, &fresh) : err;
	if (err == ERR_OK) {
		approval_expiry_note(command->change.guild->approvals, fresh.expires_at_us);
		err = wait(command, db, true);
	}
	return err;
}

/* The one that was named: for exactly this, approved, not used before, and in time. */
static enum err approval_use(struct enforce_command *command, struct db *db)
{
	const struct caller *caller = &command->change.command.caller;
	struct approval fresh = wanted(command), *approval = &command->approval;
	enum err err = approval_get(db, command->change.command.arena, command->input.approval, approval);
	if (err == ERR_NOT_FOUND || (err == ERR_OK && approval->workspace != caller->workspace)) {
		approval->id = 0;
		return refuse(command, db, ERR_NOT_FOUND, STR("There is no such approval."));
	}
	if (err != ERR_OK) {
		return err;
	}
	if (!str_eq(approval->hash, fresh.hash)) {
		return refuse(command, db, ERR_APPROVAL_MISMATCH, STR_NONE);
	}
	enum err why = approval_use_err(approval_status_at(approval, fresh.requested_at_us));
	if (why == ERR_AGAIN) {
		return wait(command, db, false);
	}
	if (why != ERR_OK) {
		return refuse(command, db, why, why == ERR_APPROVAL_REJECTED && approval->note.at != NULL ? approval->note : STR_NONE);
	}
	command->decision.proceed = true;
	command->decision.status = DECISION_OK;
	metric_add(METRIC_DECISIONS_ALLOWED, 1);
	err = approval_row_consume(db, approval->id, fresh.requested_at_us);
	return err == ERR_OK ? entry_write(command, db, ERR_OK, STR_NONE, false) : err;
}

static enum err enforce_apply(struct command *base, struct db *db)
{
	struct enforce_command *command = (struct enforce_command *)base;
	command->decision = (struct decision){0};
	command->approval = (struct approval){0};
	command->agent_name = command->change.rule_id = command->change.detail = STR_NONE;
	command->waits = false;
	if (command->input.err != ERR_OK) {
		return refuse(command, db, command->input.err, command->input.detail);
	}
	enum err err = decide_now(command, db);
	if (err != ERR_OK) {
		return err;
	}
	/* Of an approval that is used, the action was counted when it was asked for; so it was of one that waits. */
	bool again = command->decision.allowed && (command->input.approval != 0 || command->decision.requires_human_approval);
	err = again ? ERR_OK : count(command, decision_err(&command->decision));
	if (err != ERR_OK) {
		return err;
	}
	if (!command->decision.allowed) {
		return refuse(command, db, decision_err(&command->decision), command->reason);
	}
	if (command->input.approval != 0) {
		return approval_use(command, db);
	}
	if (command->decision.requires_human_approval) {
		return approval_ask(command, db);
	}
	metric_add(METRIC_DECISIONS_ALLOWED, 1);
	return entry_write(command, db, ERR_OK, STR_NONE, false);
}

/* ---- the answer ---- */

/* Up to the decision, which comes next. */
static void answer_open(struct json_out *json, bool proceed, struct str approval, struct str expires)
{
	json_object(json);
	json_put_bool(json, STR("proceed"), proceed);
	json_put_str_or_null(json, STR("approval_id"), approval);
	json_put_str_or_null(json, STR("expires_at"), expires);
	json_name(json, STR("decision"));
}

static void answer_close(struct json_out *json, struct str audit)
{
	json_put_str(json, STR("audit_id"), audit);
	json_object_end(json);
}

static struct id_text audit_id(const struct command *command, struct guild *guild)
{
	return id_format_log(&guild->id_secret, ID_AUDIT, command->log_time_us[0], command->log_seq[0]);
}

static void problem_reply(struct enforce_command *command)
{
	struct change *change = &command->change;
	struct http_problem problem = {.err = change->command.result, .detail = change->detail, .rule_id = change->rule_id};
	struct id_text audit, id = id_format(&change->guild->id_secret, ID_APPROVAL, command->approval.id);
	if (change->command.log_count > 0) {
		audit = audit_id(&change->command, change->guild);
		problem.audit_id = id_str(&audit);
	}
	if (command->approval.id != 0) {
		problem.members = arena_format(change->command.arena, "\"approval_id\":\"%s\"", id.text);
	}
	http_reply_problem(change->request, &problem);
}

static void enforce_finish(struct command *base)
{
	struct enforce_command *command = (struct enforce_command *)base;
	struct guild *guild = command->change.guild;
	if (base->result != ERR_OK) {
		problem_reply(command);
		return;
	}
	struct id_text approval = id_format(&guild->id_secret, ID_APPROVAL, command->approval.id), audit = audit_id(base, guild);
	struct time_text expires = time_format(command->approval.expires_at_us);
	bool has = command->approval.id != 0;
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	answer_open(&json, !command->waits, has ? id_str(&approval) : STR_NONE, has ? time_str(&expires) : STR_NONE);
	decision_json(&command->decision, command->agent_name, command->input.action, &json);
	answer_close(&json, id_str(&audit));
	change_reply(command->change.request, command->waits ? 202 : 200, &text);
}

/* ---- the answer of a process that has died ---- */

bool enforce_again(struct http_request *request, struct str entry_text, struct str audit_id)
{
	struct json_doc doc;
	struct str outcome = STR(""), code = STR(""), approval = STR_NONE, expires = STR_NONE;
	struct buf text;
	struct json_out json;
	bool is_ours = request->route->reply != NULL && str_eq(str_of(request->route->reply), STR("enforcement"));
	if (!is_ours || json_parse(&request->arena, entry_text, &doc, NULL) != ERR_OK) {
		return false;
	}
	struct json entry = json_root(&doc), change = json_member(entry, STR("change"));
	(void)json_get_str(json_member(entry, STR("outcome")), &outcome);
	(void)json_get_str(json_member(entry, STR("code")), &code);
	(void)json_get_str(json_member(change, STR("approval_id")), &approval);
	(void)json_get_str(json_member(change, STR("expires_at")), &expires);
	bool done = str_eq(outcome, STR("completed"));
	if (!done && !str_eq(code, err_row(ERR_APPROVAL_REQUIRED)->code)) {
		return false;
	}
	buf_init(&text, DECISION_BYTES_MAX);
	enum err err = jcs_put(&text, &request->arena, json_member(entry, STR("decision")));
	struct str decision = err == ERR_OK ? arena_text(&request->arena, &text) : STR_NONE;
	buf_fini(&text);
	if (decision.at == NULL) {
		return false;
	}
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	answer_open(&json, done, approval, expires);
	json_raw(&json, decision);
	answer_close(&json, audit_id);
	change_reply(request, done ? 200 : 202, &text);
	return true;
}
