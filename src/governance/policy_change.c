/*
 * policy_change.c - changes of a workspace's policy: its table, an emergency, the kill switch.
 *
 * Decided by the writer on what stands in its transaction: who asks is a human who may, the table is of the version that was named. The new
 * policy is the writer's at once, everybody's after the commit and before the reply, so that the very next decision is made on it.
 */
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/timefmt.h"
#include "command/erase.h"
#include "governance/approval_priv.h"
#include "governance/policy_priv.h"
#include "identity/identity.h"

enum { TEXT_BYTES_MAX = 16384, MINUTE_US = 60000000 };

struct edit_command {
	struct change change; /* first */
	struct policy_edit edit;
	struct run_stop *stop; /* NULL: nothing is ended */
	/* of the last apply */
	struct policy_draft *draft;
	const struct policy *now; /* the new one, or the old one when there was nothing to change */
	int old_level, level;
	bool changed;
	struct str reply;
};

/* Made anew for each emergency that ends, frees itself. */
struct end_command {
	struct edit_command edit; /* first */
	struct arena arena;
	bool more;
};

static enum err edit_apply(struct command *command, struct db *db);
static void edit_finish(struct command *command);
static enum err end_apply(struct command *command, struct db *db);
static void end_finish(struct command *command);
static void start_finish(struct command *command);

static const struct command_row edit_rows[] = {
	[POLICY_EDIT_ACTION] = {"policy_put", "configure", edit_apply, NULL, edit_finish},
	[POLICY_EDIT_EMERGENCY] = {"emergency", "grant", edit_apply, NULL, edit_finish},
	[POLICY_EDIT_STOP] = {"kill_switch", "shutdown", edit_apply, NULL, edit_finish},
};
static const struct command_row start_row = {"policy_start", "configure", edit_apply, NULL, start_finish};
static const struct command_row end_row = {"emergency_end", "revoke", end_apply, NULL, end_finish};

void policy_edit_start(struct guild *guild, struct http_request *request, const struct policy_edit *edit)
{
	struct edit_command *command = change_new(guild, request, &edit_rows[edit->kind], sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->edit = *edit;
	bool stops = edit->kind == POLICY_EDIT_STOP && edit->stop && guild->runs != NULL;
	command->stop = stops ? guild->runs->stop_make(guild) : NULL;
	enum err err = stops && command->stop == NULL ? ERR_MEMORY : ERR_OK;
	err = err == ERR_OK ? command_submit(&command->change.command, false) : err;
	if (err != ERR_OK) {
		if (command->stop != NULL) {
			guild->runs->stop_free(&command->stop);
		}
		http_reply_error(request, err, NULL);
	}
}

enum err policy_edit_now(struct guild *guild, int64_t workspace, const struct policy_edit *edit)
{
	struct caller server = {.workspace = workspace, .role = ROLE_OPERATOR};
	struct arena arena;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	struct edit_command *command = change_make(guild, &start_row, &arena, NULL, &server, sizeof(*command));
	enum err err = ERR_MEMORY;
	if (command != NULL) {
		command->edit = *edit;
		err = command_run_now(&command->change.command);
	}
	arena_fini(&arena);
	return err;
}

static void start_finish(struct command *command)
{
	(void)command;
}

/* ---- what becomes of it ---- */

/* Is the caller, as the store has it now, a human who may do this? The server itself may. */
static bool may_edit(const struct edit_command *command)
{
	const struct caller *caller = &command->change.command.caller;
	const struct principal *who = identity_writer_principal(command->change.guild->identity, caller->principal);
	if (command->change.request == NULL) {
		return true;
	}
	return caller->role != ROLE_AGENT && who != NULL && who->kind == PRINCIPAL_HUMAN && who->disabled_at_us == 0 &&
	       (who->role == ROLE_OPERATOR || (who->role == ROLE_ADMIN && command->edit.kind != POLICY_EDIT_EMERGENCY));
}

static enum err action_edit(struct edit_command *command, const struct policy *from, struct policy_draft *draft)
{
	struct policy_set *set = command->change.guild->policies;
	struct action_level level;
	struct str action = policy_name_keep(set, command->edit.action);
	enum err err = policy_level(from, command->edit.action, &level);
	if (err != ERR_OK || action.at == NULL) {
		return err != ERR_OK ? err : ERR_LIMIT;
	}
	const struct policy_override *override = policy_override_of(from, action);
	int wanted = command->edit.level == policy_default_level(action) ? 0 : command->edit.level;
	command->changed = wanted != (override != NULL ? (int)override->level : 0);
	command->old_level = level.complexity;
	draft->version++;
	return policy_draft_put(draft, action, wanted) ? ERR_OK : ERR_LIMIT;
}

static void emergency_edit(struct edit_command *command, struct policy_draft *draft)
{
	struct policy_exceptions *to = &draft->exceptions;
	int64_t now_us = command_now_us(&command->change.command);
	command->changed = command->edit.minutes != 0 || to->emergency_until_us != 0;
	to->emergency_since_us = to->emergency_until_us = to->emergency_by = 0;
	to->emergency_reason = STR_NONE;
	if (command->edit.minutes != 0) {
		to->emergency_since_us = now_us;
		to->emergency_until_us = now_us + command->edit.minutes * MINUTE_US;
		to->emergency_by = command->change.command.caller.principal;
		to->emergency_reason = command->edit.reason;
	}
	draft->emergency_until_mono_us = policy_emergency_end(draft->env, to);
}

static void stop_edit(struct edit_command *command, struct policy_draft *draft)
{
	struct policy_exceptions *to = &draft->exceptions;
	command->changed = command->edit.stop != (to->stopped_since_us != 0);
	if (!command->changed) {
		return;
	}
	to->stopped_since_us = command->edit.stop ? command_now_us(&command->change.command) : 0;
	to->stopped_by = command->edit.stop ? command->change.command.caller.principal : 0;
	to->stopped_reason = command->edit.stop ? command->edit.reason : STR_NONE;
}

/* Into command->draft; changed says whether it differs. */
static enum err draft_edit(struct edit_command *command, const struct policy *from)
{
	struct policy_draft *draft = command->draft;
	policy_draft_of(from, draft);
	draft->workspace = command->change.command.caller.workspace;
	command->old_level = command->level = 0;
	switch (command->edit.kind) {
	case POLICY_EDIT_ACTION:
		return action_edit(command, from, draft);
	case POLICY_EDIT_EMERGENCY:
		emergency_edit(command, draft);
		break;
	case POLICY_EDIT_STOP:
		stop_edit(command, draft);
		break;
	case POLICY_EDIT_DEFAULTS:
		command->changed = true;
		draft->version++;
		break;
	case POLICY_EDIT_MODE:
		command->changed = true;
		break;
	}
	return ERR_OK;
}

/* ---- what is written ---- */

static void time_put(struct json_out *out, struct str name, int64_t time_us)
{
	struct time_text time = time_format(time_us);
	json_put_str_or_null(out, name, time_us != 0 ? time_str(&time) : STR_NONE);
}

/* One side of the entry. level 0: says nothing of one. */
static void side_put(const struct edit_command *command, struct json_out *out, const struct policy *policy, int level, struct str mode)
{
	char hex[POLICY_HEX_BYTES];
	policy_hash_hex(policy, hex);
	json_object(out);
	switch (command->edit.kind) {
	case POLICY_EDIT_ACTION:
	case POLICY_EDIT_DEFAULTS:
		json_put_str(out, STR("hash"), str_of(hex));
		if (level != 0) {
			json_put_int(out, STR("level"), level);
		}
		json_put_int(out, STR("version"), policy->version);
		break;
	case POLICY_EDIT_EMERGENCY:
		time_put(out, STR("emergency_until"), policy->exceptions.emergency_until_us);
		break;
	case POLICY_EDIT_STOP:
		json_put_bool(out, STR("stopped"), policy->exceptions.stopped_since_us != 0);
		break;
	case POLICY_EDIT_MODE:
		json_put_str(out, STR("mode"), mode);
		break;
	}
	json_object_end(out);
}

static struct str arena_text(struct arena *arena, struct buf *text)
{
	struct str out = buf_err(text) == ERR_OK ? arena_copy(arena, buf_str(text)) : STR_NONE;
	buf_fini(text);
	return out;
}

static struct str change_text(struct edit_command *command, const struct policy *from, const struct policy *to)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, TEXT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	if (command->edit.kind == POLICY_EDIT_ACTION) {
		json_put_str(&json, STR("action"), command->edit.action);
	}
	json_name(&json, STR("new"));
	side_put(command, &json, to, command->level, command->edit.mode);
	json_name(&json, STR("old"));
	side_put(command, &json, from, command->old_level, command->edit.old_mode);
	if (command->edit.reason.at != NULL) {
		json_put_str(&json, STR("reason"), command->edit.reason);
	}
	json_object_end(&json);
	return arena_text(command->change.command.arena, &text);
}

/* The event says that something is different now, not why: a workspace has many listeners. */
static struct str event_text(struct edit_command *command, const struct policy *to)
{
	char hex[POLICY_HEX_BYTES];
	struct buf text;
	struct json_out json;
	policy_hash_hex(to, hex);
	buf_init(&text, TEXT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_int(&json, STR("policy_version"), to->version);
	json_put_str(&json, STR("policy_hash"), str_of(hex));
	time_put(&json, STR("emergency_until"), to->exceptions.emergency_until_us);
	json_put_bool(&json, STR("stopped"), to->exceptions.stopped_since_us != 0);
	json_object_end(&json);
	return arena_text(command->change.command.arena, &text);
}

static enum err entry_write(struct edit_command *command, struct db *db, const struct policy *from, const struct policy *to)
{
	struct change *change = &command->change;
	struct guild *guild = change->guild;
	struct arena *arena = change->command.arena;
	struct id_text workspace = id_format(&guild->id_secret, ID_WORKSPACE, to->workspace);
	struct change_what what = {.change = change_text(command, from, to)};
	struct str data = event_text(command, to), topics = arena_format(arena, "workspace:%s", workspace.text);
	if (what.change.at == NULL || data.at == NULL || topics.at == NULL) {
		return ERR_LIMIT;
	}
	enum err err = change_audit(change, &what);
	change_event(change, STR("governance_changed"), data, topics);
	return err == ERR_OK ? change_log(change, db) : err;
}

static enum err version_write(struct edit_command *command, struct db *db, const struct policy *from, const struct policy *to)
{
	const struct policy_edit *edit = &command->edit;
	const struct policy_override *override = policy_override_of(to, edit->action);
	struct policy_change change = {.workspace = to->workspace,
		.version = to->version,
		.changed_by = command->change.command.caller.principal,
		.changed_at_us = command_now_us(&command->change.command),
		.action = edit->kind == POLICY_EDIT_ACTION ? edit->action : STR_NONE,
		.reason = edit->reason,
		.old_level = command->old_level,
		.level = command->level,
		.overridden = override != NULL,
		.old_hash = str_make((const char *)from->hash, sizeof(from->hash)),
		.hash = str_make((const char *)to->hash, sizeof(to->hash))};
	enum err err = policy_change_insert(db, &change);
	if (err == ERR_OK && edit->kind == POLICY_EDIT_ACTION) {
		err = policy_override_put(db, to->workspace, edit->action, override != NULL ? (int)override->level : 0, to->version);
	}
	metric_add(METRIC_POLICY_CHANGES, err == ERR_OK);
	return err;
}

/* The writer's from here on; undone with the transaction. */
static enum err put_and_write(struct edit_command *command, struct db *db, const struct policy *from)
{
	struct policy_set *set = command->change.guild->policies;
	struct policy *to;
	struct action_level level;
	command->draft->revision = policy_revision_next(set);
	enum err err = policy_make(command->draft, &to);
	if (err != ERR_OK) {
		return err;
	}
	err = policy_put(set, to);
	if (err != ERR_OK) {
		mem_free(to);
		return err;
	}
	command->now = to;
	if (command->edit.kind == POLICY_EDIT_ACTION && policy_level(to, command->edit.action, &level) == ERR_OK) {
		command->level = level.complexity;
	}
	if (to->version != from->version) {
		err = version_write(command, db, from, to);
	}
	err = err == ERR_OK ? policy_state_put(db, to) : err;
	return err == ERR_OK ? entry_write(command, db, from, to) : err;
}

static struct str reply_text(struct edit_command *command)
{
	struct guild *guild = command->change.guild;
	struct buf text;
	struct json_out json;
	buf_init(&text, TEXT_BYTES_MAX);
	json_begin(&json, &text);
	if (command->edit.kind == POLICY_EDIT_ACTION) {
		policy_setting_json(command->now, command->edit.action, &json);
	} else if (command->edit.kind == POLICY_EDIT_EMERGENCY) {
		policy_emergency_json(guild, command->now, &json);
	} else {
		policy_stop_json(guild, command->now, &json);
	}
	return arena_text(command->change.command.arena, &text);
}

static enum err edit_apply(struct command *base, struct db *db)
{
	struct edit_command *command = (struct edit_command *)base;
	struct change *change = &command->change;
	const struct policy *from = policy_writer_get(change->guild->policies, base->caller.workspace);
	change->row = (struct log_row){0};
	change->detail = STR_NONE;
	command->changed = false;
	command->now = from;
	if (!may_edit(command)) {
		return change_refuse(change, db, ERR_PERMISSION, STR("Only people may do this, with the role that it needs."));
	}
	if (command->edit.if_version != 0 && command->edit.if_version != from->version) {
		return ERR_CONFLICT;
	}
	command->draft = command->draft != NULL ? command->draft : arena_new(base->arena, struct policy_draft);
	if (command->draft == NULL) {
		return ERR_LIMIT;
	}
	enum err err = draft_edit(command, from);
	if (err == ERR_LIMIT) {
		return change_refuse(change, db, ERR_CONFLICT, STR("The table has as many changed actions as it may have."));
	}
	err = err == ERR_OK && command->changed ? put_and_write(command, db, from) : err;
	command->reply = err == ERR_OK && change->request != NULL ? reply_text(command) : STR_NONE;
	return err == ERR_OK && change->request != NULL && command->reply.at == NULL ? ERR_LIMIT : err;
}

static void conflict_reply(struct edit_command *command)
{
	struct http_request *request = command->change.request;
	int64_t version = policy_version(policy_get(command->change.guild->policies, request->caller.workspace));
	struct http_problem problem = {.err = ERR_CONFLICT,
		.detail = STR("The table was changed meanwhile."),
		.members = arena_format(&request->arena, "\"version\":%lld", (long long)version)};
	http_reply_problem(request, &problem);
}

static void edit_finish(struct command *base)
{
	struct edit_command *command = (struct edit_command *)base;
	struct guild *guild = command->change.guild;
	bool done = base->result == ERR_OK;
	if (command->stop != NULL && done) {
		guild->runs->stop_send(&command->stop, base->caller.workspace, 0, "all agents were stopped");
	} else if (command->stop != NULL) {
		guild->runs->stop_free(&command->stop);
	}
	if (done && command->changed && command->edit.kind == POLICY_EDIT_ACTION) {
		approval_stale_note(guild->approvals);
	}
	if (base->result == ERR_CONFLICT && command->change.detail.at == NULL) {
		conflict_reply(command);
		return;
	}
	if (!change_refused(&command->change)) {
		http_reply_json(command->change.request, 200, command->reply);
	}
}

/* ---- emergencies end by themselves ---- */

void policy_clock(struct guild *guild, struct loop *loop)
{
	struct policy_set *set = guild->policies;
	if (set->ending || env_mono_us(set->env) < atomic_load(&set->next_end_mono_us)) {
		return;
	}
	struct caller server = {.workspace = identity_workspace(guild->identity), .role = ROLE_OPERATOR};
	struct arena arena;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	struct end_command *command = change_make(guild, &end_row, &arena, loop, &server, sizeof(*command));
	enum err err = command != NULL ? ERR_OK : ERR_MEMORY;
	if (err == ERR_OK) {
		command->arena = arena;
		command->edit.change.command.arena = &command->arena;
		command->edit.edit = (struct policy_edit){.kind = POLICY_EDIT_EMERGENCY, .reason = STR("Its time is over.")};
		/* What is declared from now on lowers it again. */
		atomic_store(&set->next_end_mono_us, INT64_MAX);
		err = command_submit(&command->edit.change.command, false);
	}
	set->ending = err == ERR_OK;
	if (err != ERR_OK) {
		atomic_store(&set->next_end_mono_us, 0);
		arena_fini(&arena);
	}
}

/* The first one whose time is over; the others say when they end. */
static enum err end_one(int64_t workspace, void *arg)
{
	struct end_command *command = arg;
	struct policy_set *set = command->edit.change.guild->policies;
	const struct policy *policy = policy_writer_get(set, workspace);
	if (!policy_emergency_now(policy) && !command->more) {
		command->more = true;
		command->edit.change.command.caller.workspace = workspace;
	} else if (policy->emergency_until_mono_us < atomic_load(&set->next_end_mono_us)) {
		/* Nobody else raises it, and who lowers it meanwhile brings the next look forward, which does no harm. */
		atomic_store(&set->next_end_mono_us, policy->emergency_until_mono_us);
	}
	return ERR_OK;
}

static enum err end_apply(struct command *base, struct db *db)
{
	struct end_command *command = (struct end_command *)base;
	command->more = false;
	enum err err = policy_emergencies(db, end_one, command);
	return err == ERR_OK && command->more ? edit_apply(base, db) : err;
}

static void end_finish(struct command *base)
{
	struct end_command *command = (struct end_command *)base;
	struct guild *guild = command->edit.change.guild;
	struct policy_set *set = guild->policies;
	struct arena arena = command->arena;
	if (base->result != ERR_OK) {
		atomic_store(&set->next_end_mono_us, 0);
	} else if (command->more) {
		log_at(LOG_WARN, "emergency_over");
	}
	set->ending = false;
	arena_fini(&arena);
}

/* ---- a person who is erased ---- */

/* What they said of what is in force; it stays in force. */
static enum err state_erase(struct erase_step *step, struct db *db)
{
	struct policy_set *set = step->guild->policies;
	const struct policy *from = policy_writer_get(set, step->workspace);
	const struct policy_exceptions *e = &from->exceptions;
	bool declared = e->emergency_by == step->principal && e->emergency_reason.len > 0;
	bool stopped = e->stopped_by == step->principal && e->stopped_reason.len > 0;
	struct policy *to;
	if (!declared && !stopped) {
		return ERR_OK;
	}
	struct policy_draft *draft = mem_alloc(sizeof(*draft));
	if (draft == NULL) {
		return ERR_MEMORY;
	}
	policy_draft_of(from, draft);
	draft->revision = policy_revision_next(set);
	draft->exceptions.emergency_reason = declared ? STR("") : draft->exceptions.emergency_reason;
	draft->exceptions.stopped_reason = stopped ? STR("") : draft->exceptions.stopped_reason;
	enum err err = policy_make(draft, &to);
	mem_free(draft);
	if (err != ERR_OK) {
		return err;
	}
	err = policy_put(set, to);
	if (err != ERR_OK) {
		mem_free(to);
		return err;
	}
	step->rows++;
	return policy_state_put(db, to);
}

enum err policy_erase(struct erase_step *step, struct db *db)
{
	int64_t erased;
	enum err err = policy_reasons_erase(db, step->workspace, step->principal, ERASE_ROWS, &erased);
	step->rows += erased;
	step->more = err == ERR_OK && erased == ERASE_ROWS;
	return err == ERR_OK ? state_erase(step, db) : err;
}
