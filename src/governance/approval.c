/* approval.c - a human's decision on an approval, and the server's: what has expired, and what waits for nothing any more. */
#include "agent/tally.h"
#include "base/log.h"
#include "base/mem.h"
#include "governance/approval_priv.h"
#include "governance/policy_priv.h"
#include "identity/identity.h"

enum { TICK_US = 1000000, SWEEP_ARENA_BYTES = 1 << 20 };

struct verdict_command {
	struct change change; /* first */
	int64_t id;
	bool approve;
	struct str note;
	struct approval approval; /* as it stands after the last apply */
};

/* What ends by itself; made anew for each step, frees itself. */
struct sweep_command {
	struct change change; /* first */
	struct arena arena;
	bool more;
};

struct start_note {
	struct loop_note note;
	struct approvals *approvals;
};

static enum err verdict_apply(struct command *command, struct db *db);
static void verdict_finish(struct command *command);
static enum err sweep_apply(struct command *command, struct db *db);
static void sweep_finish(struct command *command);
static void tick(struct loop_timer *timer, struct loop *loop);

static const struct command_row approve_row = {"approval_approve", "approve", verdict_apply, NULL, verdict_finish};
static const struct command_row reject_row = {"approval_reject", "approve", verdict_apply, NULL, verdict_finish};
static const struct command_row sweep_row = {"approval_sweep", "approve", sweep_apply, NULL, sweep_finish};

/* ---- a human's ---- */

void approval_decide_start(struct guild *guild, struct http_request *request, int64_t id, bool approve, struct str note)
{
	struct verdict_command *command = change_new(guild, request, approve ? &approve_row : &reject_row, sizeof(*command));
	if (command == NULL) {
		return;
	}
	command->id = id;
	command->approve = approve;
	command->note = note;
	change_submit(&command->change, ERR_OK);
}

/* The entry of a decision, or of one that came after the first. */
static enum err verdict_write(struct verdict_command *command, struct db *db, bool first)
{
	struct change *change = &command->change;
	struct guild *guild = change->guild;
	struct arena *arena = change->command.arena;
	const struct approval *approval = &command->approval;
	const struct agent *agent = registry_writer_get(guild->registry, approval->agent);
	struct id_text id = id_format(&guild->id_secret, ID_APPROVAL, approval->id);
	char hex[2 * HASH_SHA256_BYTES + 1];
	hash_hex((const uint8_t *)approval->arguments_hash.at, HASH_SHA256_BYTES, hex);
	struct str status = approval_status_word(approval->status);
	struct change_what what = {.agent = approval->agent,
		.agent_name = agent != NULL ? agent->name : STR(""),
		.outcome = first ? OUTCOME_CHANGED : OUTCOME_COMPLETED,
		.change = arena_format(arena,
			"{\"approval_id\":\"%s\",\"arguments_sha256\":\"%s\",\"new\":{\"status\":\"%.*s\"},\"old\":{\"status\":\"%.*s\"}}",
			id.text, hex, STR_FMT(status), STR_FMT(first ? STR("pending") : status))};
	enum err err = what.change.at != NULL ? change_audit(change, &what) : ERR_LIMIT;
	if (err == ERR_OK && first) {
		err = approval_event(guild, arena, approval, STR("approval_decided"), &change->row);
	}
	return err == ERR_OK ? change_log(change, db) : err;
}

/* Is the caller, as the store has it now, a human who may decide? */
static bool may_decide(struct verdict_command *command)
{
	const struct caller *caller = &command->change.command.caller;
	const struct principal *decider = identity_writer_principal(command->change.guild->identity, caller->principal);
	return decider != NULL && decider->kind == PRINCIPAL_HUMAN && decider->disabled_at_us == 0 &&
	       (decider->role == ROLE_ADMIN || decider->role == ROLE_OPERATOR);
}

static enum err verdict_apply(struct command *base, struct db *db)
{
	struct verdict_command *command = (struct verdict_command *)base;
	struct change *change = &command->change;
	struct approval *approval = &command->approval;
	int64_t now_us = command_now_us(base);
	change->row = (struct log_row){0};
	enum err err = approval_get(db, base->arena, command->id, approval);
	if (err == ERR_OK && approval->workspace != base->caller.workspace) {
		err = ERR_NOT_FOUND;
	}
	if (err != ERR_OK) {
		return err;
	}
	change->row.agent = approval->agent;
	if (!may_decide(command)) {
		return change_refuse(change, db, ERR_PERMISSION, STR("Only people who are admins decide approvals."));
	}
	if (approval->requester == base->caller.principal) {
		return change_refuse(change, db, ERR_PERMISSION, STR("Whoever asked for an approval does not decide it."));
	}
	approval->status = approval_status_at(approval, now_us);
	bool other_table = approval->policy_version != policy_version(policy_writer_get(change->guild->policies, approval->workspace));
	if (other_table && (approval->status == APPROVAL_CANCELLED || (approval->status == APPROVAL_PENDING && command->approve))) {
		return change_refuse(change, db, ERR_APPROVAL_MISMATCH, STR("The policy has changed since; the action has to be asked for again."));
	}
	if (approval->status == APPROVAL_EXPIRED || approval->status == APPROVAL_CANCELLED) {
		return change_refuse(change, db, ERR_APPROVAL_EXPIRED, STR_NONE);
	}
	if (approval->status != APPROVAL_PENDING) {
		return verdict_write(command, db, false);
	}
	approval->status = command->approve ? APPROVAL_APPROVED : APPROVAL_REJECTED;
	approval->decided_by = base->caller.principal;
	approval->decided_at_us = now_us;
	approval->note = command->note;
	err = approval_row_decide(db, approval);
	if (err == ERR_OK && !command->approve) {
		err = tally_add(change->guild->tallies, approval->workspace, approval->agent, now_us, &(struct tally){.rejections = 1});
	}
	return err == ERR_OK ? verdict_write(command, db, true) : err;
}

static void verdict_finish(struct command *base)
{
	struct verdict_command *command = (struct verdict_command *)base;
	if (change_refused(&command->change)) {
		return;
	}
	struct buf text;
	struct json_out json;
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	approval_json(command->change.guild, &command->approval, &json);
	change_reply(command->change.request, 200, &text);
}

/* ---- the clock's ---- */

enum err approval_create(struct guild *guild, int64_t ttl_us, struct approvals **out)
{
	struct approvals *approvals = mem_alloc(sizeof(*approvals));
	if (approvals == NULL) {
		return ERR_MEMORY;
	}
	approvals->guild = guild;
	guild->entry_again = enforce_again;
	approvals->ttl_us = ttl_us;
	atomic_init(&approvals->next_expiry_us, INT64_MAX);
	atomic_init(&approvals->stale, false);
	approvals->timer.run = tick;
	*out = approvals;
	return ERR_OK;
}

enum err approval_load(struct approvals *approvals, struct db *db)
{
	struct arena arena;
	struct approval approval;
	arena_init(&arena, SWEEP_ARENA_BYTES);
	enum err err = approval_first_open(db, &arena, &approval);
	atomic_store(&approvals->next_expiry_us, err == ERR_OK ? approval.expires_at_us : INT64_MAX);
	/* The process that made some pointless may have ended before it said so. */
	atomic_store(&approvals->stale, err == ERR_OK);
	arena_fini(&arena);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

void approval_destroy(struct approvals **approvals)
{
	if (*approvals != NULL && (*approvals)->guild->loops[0] != NULL) {
		loop_timer_clear((*approvals)->guild->loops[0], &(*approvals)->timer);
	}
	mem_free(*approvals);
	*approvals = NULL;
}

void approval_expiry_note(struct approvals *approvals, int64_t expires_at_us)
{
	int64_t seen = atomic_load(&approvals->next_expiry_us);
	while (expires_at_us < seen && !atomic_compare_exchange_weak(&approvals->next_expiry_us, &seen, expires_at_us)) {
	}
}

void approval_stale_note(struct approvals *approvals)
{
	atomic_store(&approvals->stale, true);
}

static void start_run(struct loop_note *loop_note, struct loop *loop)
{
	struct start_note *note = container_of(loop_note, struct start_note, note);
	tick(&note->approvals->timer, loop);
	mem_free(note);
}

void approval_start(struct approvals *approvals)
{
	struct start_note *note = mem_alloc(sizeof(*note));
	if (note != NULL) {
		note->note.run = start_run;
		note->approvals = approvals;
		loop_note_post(approvals->guild->loops[0], &note->note);
	}
}

static void sweep(struct approvals *approvals, struct loop *loop)
{
	struct guild *guild = approvals->guild;
	struct caller server = {.workspace = identity_workspace(guild->identity), .role = ROLE_OPERATOR, .scopes = SCOPES_ALL};
	struct arena arena;
	arena_init(&arena, SWEEP_ARENA_BYTES);
	struct sweep_command *command = change_make(guild, &sweep_row, &arena, loop, &server, sizeof(*command));
	enum err err = command != NULL ? ERR_OK : ERR_MEMORY;
	if (err == ERR_OK) {
		command->arena = arena;
		command->change.command.arena = &command->arena;
		/* Rows that are made from now on lower it again. */
		atomic_store(&approvals->next_expiry_us, INT64_MAX);
		atomic_store(&approvals->stale, false);
		err = command_submit(&command->change.command, false);
	}
	approvals->sweeping = err == ERR_OK;
	if (err != ERR_OK) {
		atomic_store(&approvals->next_expiry_us, 0);
		arena_fini(&arena);
	}
}

/* What makes approvals pointless was noted, or has happened to agents. */
static bool stale_look(struct approvals *approvals)
{
	int64_t archived = registry_archived(approvals->guild->registry);
	bool stale = atomic_load(&approvals->stale) || archived != approvals->archived;
	approvals->archived = archived;
	return stale;
}

static void tick(struct loop_timer *timer, struct loop *loop)
{
	struct approvals *approvals = container_of(timer, struct approvals, timer);
	if (atomic_load(&approvals->guild->stopping)) {
		return;
	}
	policy_clock(approvals->guild, loop);
	bool due = env_wall_us(approvals->guild->env) >= atomic_load(&approvals->next_expiry_us);
	if (!approvals->sweeping && (stale_look(approvals) || due)) {
		sweep(approvals, loop);
	}
	if (loop_timer_set(loop, timer, loop_now_us(loop) + TICK_US) != ERR_OK) {
		log_at(LOG_WARN, "approval_clock_stopped");
	}
}

static enum err end_one(struct sweep_command *command, struct db *db, struct approval *approval, enum approval_status status)
{
	struct change *change = &command->change;
	struct guild *guild = change->guild;
	const struct agent *agent = registry_writer_get(guild->registry, approval->agent);
	struct id_text id = id_format(&guild->id_secret, ID_APPROVAL, approval->id);
	struct str was = approval_status_word(approval->status);
	change->command.caller.workspace = approval->workspace;
	struct change_what what = {.agent = approval->agent,
		.agent_name = agent != NULL ? agent->name : STR(""),
		.change = arena_format(change->command.arena,
			"{\"approval_id\":\"%s\",\"new\":{\"status\":\"%.*s\"},\"old\":{\"status\":\"%.*s\"}}", id.text,
			STR_FMT(approval_status_word(status)), STR_FMT(was))};
	change->row = (struct log_row){0};
	approval->status = status;
	enum err err = what.change.at != NULL ? change_audit(change, &what) : ERR_LIMIT;
	err = err == ERR_OK ? approval_event(guild, change->command.arena, approval, STR("approval_decided"), &change->row) : err;
	err = err == ERR_OK ? approval_row_end(db, approval->id, status) : err;
	return err == ERR_OK ? change_log(change, db) : err;
}

/* As many as a command may log. */
static enum err sweep_apply(struct command *base, struct db *db)
{
	struct sweep_command *command = (struct sweep_command *)base;
	struct approval approval;
	enum err err = ERR_OK;
	command->more = false;
	for (int i = 0; i < COMMAND_ROWS_MAX && err == ERR_OK; i++) {
		enum approval_status status = APPROVAL_CANCELLED;
		err = approval_first_stale(db, base->arena, &approval);
		if (err == ERR_NOT_FOUND) {
			status = APPROVAL_EXPIRED;
			err = approval_first_open(db, base->arena, &approval);
		}
		if (err == ERR_NOT_FOUND) {
			return ERR_OK;
		}
		if (err == ERR_OK && status == APPROVAL_EXPIRED && approval.expires_at_us > command_now_us(base)) {
			approval_expiry_note(command->change.guild->approvals, approval.expires_at_us);
			return ERR_OK;
		}
		err = err == ERR_OK ? end_one(command, db, &approval, status) : err;
	}
	command->more = true;
	return err;
}

static void sweep_finish(struct command *base)
{
	struct sweep_command *command = (struct sweep_command *)base;
	struct approvals *approvals = command->change.guild->approvals;
	struct arena arena = command->arena;
	struct loop *loop = base->loop;
	bool again = base->result == ERR_OK && command->more && !atomic_load(&approvals->guild->stopping);
	approvals->sweeping = false;
	if (base->result != ERR_OK) {
		approval_expiry_note(approvals, 0);
	}
	arena_fini(&arena);
	if (again) {
		sweep(approvals, loop);
	}
}
