/* change.c - what all commands behind a request have in common. */
#include "command/change.h"

#include "base/check.h"

void *change_make(struct guild *guild, const struct command_row *row, struct arena *arena, struct loop *loop,
	const struct caller *caller, size_t size)
{
	check(size >= sizeof(struct change));
	struct change *change = (struct change *)command_new(guild->commands, row, arena, loop, caller, size);
	if (change != NULL) {
		change->guild = guild;
		change->command.owner = change;
	}
	return change;
}

void *change_new(struct guild *guild, struct http_request *request, const struct command_row *row, size_t size)
{
	struct change *change = change_make(guild, row, &request->arena, request->loop, &request->caller, size);
	if (change == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return NULL;
	}
	change->request = request;
	change->command.idem = request->idem;
	return change;
}

enum err change_audit(struct change *change, const struct change_what *what)
{
	struct guild *guild = change->guild;
	const struct caller *caller = &change->command.caller;
	struct id_text principal = id_format(&guild->id_secret, ID_PRINCIPAL, caller->principal);
	struct id_text via = id_format(&guild->id_secret, ID_PRINCIPAL, caller->actor);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, what->agent);
	struct id_text session = id_format(&guild->id_secret, ID_SESSION, what->session);
	int64_t now_us = env_wall_us(guild->env);
	struct audit_entry entry = {
		.workspace = caller->workspace,
		.principal_id = caller->principal != 0 ? id_str(&principal) : STR_NONE,
		.principal_name = caller->principal != 0 ? caller_name(caller) : STR_NONE,
		.via_id = caller->actor != 0 ? id_str(&via) : STR_NONE,
		.agent_id = what->agent != 0 ? id_str(&agent) : STR_NONE,
		.agent_name = what->agent != 0 ? what->agent_name : STR_NONE,
		.action = str_of(change->command.row->action),
		.rule_id = change->rule_id,
		.session_id = what->session != 0 ? id_str(&session) : STR_NONE,
		.start_us = now_us,
		.end_us = now_us,
		.outcome = what->outcome != 0 ? what->outcome : OUTCOME_CHANGED,
		.change = what->change,
	};
	struct log_row *row = &change->row;
	row->kinds = LOG_AUDIT;
	row->workspace = caller->workspace;
	row->principal = caller->principal;
	row->agent = what->agent;
	row->session = what->session;
	row->action = entry.action;
	row->outcome = entry.outcome;
	return audit_entry_put(change->command.arena, &entry, &row->entry);
}

void change_event(struct change *change, struct str type, struct str data, struct str topics)
{
	change->row.kinds |= LOG_EVENT;
	change->row.event_type = type;
	change->row.event_data = data;
	change->row.topics = topics;
}

void change_submit(struct change *change, enum err err)
{
	if (err == ERR_OK) {
		err = command_submit(&change->command, false);
	}
	if (err != ERR_OK) {
		http_reply_error(change->request, err, NULL);
	}
}

enum err change_log(struct change *change, struct db *db)
{
	return command_log(&change->command, db, &change->row);
}

bool change_refused(struct change *change)
{
	const struct command *command = &change->command;
	if (command->result == ERR_OK) {
		return false;
	}
	struct http_problem problem = {.err = command->result,
		.detail = change->detail,
		.rule_id = change->rule_id,
		.retry_after_ms = change->retry_after_ms};
	struct id_text audit;
	if (command->log_count > 0) {
		audit = id_format_log(&change->guild->id_secret, ID_AUDIT, command->log_time_us[0], command->log_seq[0]);
		problem.audit_id = id_str(&audit);
	}
	http_reply_problem(change->request, &problem);
	return true;
}

enum err change_refuse(struct change *change, struct db *db, enum err err, struct str detail)
{
	struct guild *guild = change->guild;
	const struct caller *caller = &change->command.caller;
	struct id_text principal = id_format(&guild->id_secret, ID_PRINCIPAL, caller->principal);
	struct id_text via = id_format(&guild->id_secret, ID_PRINCIPAL, caller->actor);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, change->row.agent);
	int64_t now_us = command_now_us(&change->command);
	const struct err_row *row = err_row(err_public(err));
	struct audit_entry entry = {
		.workspace = caller->workspace,
		.principal_id = caller->principal != 0 ? id_str(&principal) : STR_NONE,
		.principal_name = caller->principal != 0 ? caller_name(caller) : STR_NONE,
		.via_id = caller->actor != 0 ? id_str(&via) : STR_NONE,
		.agent_id = change->row.agent != 0 ? id_str(&agent) : STR_NONE,
		.agent_name = caller->agent != 0 && caller->agent == change->row.agent ? caller_name(caller) : STR_NONE,
		.action = str_of(change->command.row->action),
		.rule_id = change->rule_id,
		.start_us = now_us,
		.end_us = now_us,
		.duration_ms = 1,
		.outcome = OUTCOME_FAILED,
		.code = row->code,
		.error_message = detail.at != NULL ? detail : row->text,
	};
	struct log_row refusal = {.kinds = LOG_AUDIT,
		.workspace = caller->workspace,
		.principal = caller->principal,
		.agent = change->row.agent,
		.action = entry.action,
		.outcome = OUTCOME_FAILED};
	change->command.result = err;
	change->detail = detail;
	enum err made = audit_entry_put(change->command.arena, &entry, &refusal.entry);
	return made != ERR_OK ? made : command_log(&change->command, db, &refusal);
}

void change_reply(struct http_request *request, int status, struct buf *text)
{
	enum err err = buf_err(text);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	} else {
		http_reply_json(request, status, buf_str(text));
	}
	buf_fini(text);
}

/* ---- audited reads ---- */

struct read_command {
	struct change change; /* first */
	void (*then)(struct http_request *request, struct guild *guild, void *arg);
	void *arg;
};

static enum err read_apply(struct command *command, struct db *db)
{
	return change_log((struct change *)command, db);
}

static void read_finish(struct command *command)
{
	struct read_command *read = (struct read_command *)command;
	if (!change_refused(&read->change)) {
		read->then(read->change.request, read->change.guild, read->arg);
	}
}

static const struct command_row read_row = {"audited_read", "read", read_apply, NULL, read_finish};

void change_read(struct guild *guild, struct http_request *request, const struct change_what *what,
	void (*then)(struct http_request *request, struct guild *guild, void *arg), void *arg)
{
	struct read_command *read = change_new(guild, request, &read_row, sizeof(*read));
	if (read == NULL) {
		return;
	}
	struct change_what entry = *what;
	entry.outcome = OUTCOME_COMPLETED;
	read->change.command.idem = NULL; /* reading is not what the key is for */
	read->then = then;
	read->arg = arg;
	change_submit(&read->change, change_audit(&read->change, &entry));
}
