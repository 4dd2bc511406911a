/* budget.c - a budget's change, its thresholds, and how it is shown. */
#include <stdio.h>

#include "base/mem.h"
#include "base/timefmt.h"
#include "governance/ledger_priv.h"
#include "identity/identity.h"

enum { TEXT_BYTES_MAX = 4096 };

struct put_command {
	struct change change; /* first */
	struct budget budget; /* as asked for */
	struct budget_row after;
};

static enum err put_apply(struct command *command, struct db *db);
static void put_finish(struct command *command);

static const struct command_row put_row = {"budget_put", "configure", put_apply, NULL, put_finish};

static const char *mode_word(enum budget_mode mode)
{
	return mode == BUDGET_HARD ? "hard" : "warn";
}

/* ---- showing ---- */

static enum id_kind id_kind_of(enum budget_kind kind)
{
	return kind == BUDGET_OF_WORKSPACE ? ID_WORKSPACE : kind == BUDGET_OF_USER ? ID_PRINCIPAL : ID_AGENT;
}

struct str budget_scope_text(struct guild *guild, struct arena *arena, enum budget_kind kind, int64_t scope)
{
	struct id_text id = id_format(&guild->id_secret, id_kind_of(kind), scope);
	return kind == BUDGET_OF_WORKSPACE ? arena_copy(arena, STR("workspace"))
					   : arena_format(arena, "%s:%s", kind == BUDGET_OF_USER ? "user" : "agent", id.text);
}

static struct str name_of(struct guild *guild, const struct budget *budget)
{
	if (budget->kind == BUDGET_OF_AGENT) {
		const struct agent *agent = registry_get(guild->registry, budget->scope);
		return agent != NULL ? agent->name : STR_NONE;
	}
	const struct principal *principal = budget->kind == BUDGET_OF_USER ? identity_principal(guild->identity, budget->scope) : NULL;
	return principal != NULL ? principal->name : STR_NONE;
}

static void alerts_put(const struct budget_row *row, struct json_out *out)
{
	json_name(out, STR("alerts"));
	json_array(out);
	for (unsigned i = 0; i < BUDGET_THRESHOLDS; i++) {
		if (row->budget.alert_month == row->month && (row->budget.alerted >> i & 1) != 0) {
			json_int(out, budget_thresholds[i]);
		}
	}
	json_array_end(out);
}

void budget_json(struct guild *guild, const struct budget_row *row, struct json_out *out)
{
	const struct budget *budget = &row->budget;
	struct id_text id = id_format(&guild->id_secret, id_kind_of(budget->kind), budget->scope);
	struct id_text by = id_format(&guild->id_secret, ID_PRINCIPAL, budget->updated_by);
	struct time_text at = time_format(budget->updated_at_us);
	struct zone_text month = zone_month_text(row->month);
	int64_t left = budget->limit_micro - row->reserved - row->settled;
	char scope[64];
	snprintf(scope, sizeof(scope), "%s:%s", budget->kind == BUDGET_OF_USER ? "user" : "agent", id.text);
	json_object(out);
	json_put_str(out, STR("scope"), budget->kind == BUDGET_OF_WORKSPACE ? STR("workspace") : str_of(scope));
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str_or_null(out, STR("name"), name_of(guild, budget));
	json_name(out, STR("limit_micro"));
	if (budget->limit_micro >= 0) {
		json_int(out, budget->limit_micro);
	} else {
		json_null(out);
	}
	json_put_str(out, STR("mode"), str_of(mode_word(budget->mode)));
	json_put_str_or_null(out, STR("time_zone"), budget->kind == BUDGET_OF_WORKSPACE ? row->zone_name : STR_NONE);
	json_put_str(out, STR("month"), str_of(month.text));
	json_put_int(out, STR("settled_micro"), row->settled);
	json_put_int(out, STR("reserved_micro"), row->reserved);
	json_name(out, STR("left_micro"));
	if (budget->limit_micro >= 0) {
		json_int(out, left > 0 ? left : 0);
	} else {
		json_null(out);
	}
	alerts_put(row, out);
	json_put_str(out, STR("updated_by"), id_str(&by));
	json_put_str(out, STR("updated_at"), time_str(&at));
	json_put_int(out, STR("revision"), budget->revision);
	json_object_end(out);
}

/* ---- a change ---- */

void budget_put_start(struct guild *guild, struct http_request *request, const struct budget *budget)
{
	struct put_command *command = change_new(guild, request, &put_row, sizeof(*command));
	if (command != NULL) {
		command->budget = *budget;
		change_submit(&command->change, ERR_OK);
	}
}

static void state_put(const struct budget *budget, struct json_out *json)
{
	json_object(json);
	if (budget->limit_micro >= 0) {
		json_put_int(json, STR("limit_micro"), budget->limit_micro);
	} else {
		json_put_null(json, STR("limit_micro"));
	}
	json_put_str(json, STR("mode"), str_of(mode_word(budget->mode)));
	json_put_str(json, STR("time_zone"), str_of(budget->zone_name));
	json_object_end(json);
}

static struct str change_text(struct put_command *command, const struct budget *old, const struct budget *new)
{
	struct guild *guild = command->change.guild;
	struct arena *arena = command->change.command.arena;
	struct buf text;
	struct json_out json;
	buf_init(&text, TEXT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("budget"), budget_scope_text(guild, arena, new->kind, new->scope));
	json_name(&json, STR("new"));
	state_put(new, &json);
	json_name(&json, STR("old"));
	if (old != NULL) {
		state_put(old, &json);
	} else {
		json_null(&json);
	}
	json_object_end(&json);
	struct str out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out;
}

/* Months may begin at another time now: what is in memory is read again, and no loop refuses by it until then. */
static void months_forget(struct ledger *ledger, int64_t workspace)
{
	size_t cursor = 0;
	uint64_t scope;
	void *value;
	while (map_next(&ledger->lives, &cursor, &scope, &value)) {
		const struct budget *budget = overlay_get(&ledger->budgets, scope);
		struct budget_live *live = value;
		if (budget != NULL && budget->workspace == workspace) {
			live->month = 0;
			atomic_store(&live->shown_until_us, 0);
		}
	}
}

static enum err entry_write(struct put_command *command, struct db *db, const struct budget *old, const struct budget *new)
{
	const struct agent *agent = new->kind == BUDGET_OF_AGENT ? registry_writer_get(command->change.guild->registry, new->scope) : NULL;
	struct change_what what = {.agent = agent != NULL ? agent->id : 0,
				   .agent_name = agent != NULL ? agent->name : STR_NONE,
				   .change = change_text(command, old, new)};
	command->change.row = (struct log_row){0};
	enum err err = what.change.at != NULL ? change_audit(&command->change, &what) : ERR_LIMIT;
	return err == ERR_OK ? change_log(&command->change, db) : err;
}

static enum err put_apply(struct command *base, struct db *db)
{
	struct put_command *command = (struct put_command *)base;
	struct guild *guild = command->change.guild;
	struct ledger *ledger = guild->ledger;
	const struct budget *old = overlay_get(&ledger->budgets, (uint64_t)command->budget.scope);
	struct budget budget = command->budget;
	budget.updated_at_us = command_now_us(base);
	budget.updated_by = base->caller.principal;
	budget.revision = old != NULL ? old->revision + 1 : 1;
	budget.alert_month = old != NULL ? old->alert_month : 0;
	budget.alerted = old != NULL ? old->alerted : 0;
	if (budget.zone_name[0] == '\0') { /* not said: as it is */
		memcpy(budget.zone_name, old != NULL ? old->zone_name : "UTC", old != NULL ? sizeof(budget.zone_name) : sizeof("UTC"));
		budget.zone = old != NULL ? old->zone : NULL;
	}
	enum err err = ledger_live(ledger, budget.scope, &budget.live);
	struct budget *kept = err == ERR_OK ? budget_copy(&budget) : NULL;
	err = err == ERR_OK && kept == NULL ? ERR_MEMORY : err;
	err = err == ERR_OK ? budget_row_put(db, &budget) : err;
	err = err == ERR_OK ? entry_write(command, db, old, &budget) : err;
	if (err == ERR_OK) {
		err = overlay_put(&ledger->budgets, (uint64_t)budget.scope, kept);
	}
	if (err != ERR_OK) {
		mem_free(kept);
		return err;
	}
	if (budget.kind == BUDGET_OF_WORKSPACE && budget.zone != (old != NULL ? old->zone : NULL)) {
		months_forget(ledger, budget.workspace);
	}
	int64_t month = ledger_month(ledger, budget.workspace, command_now_us(base));
	err = ledger_live_ensure(ledger, db, &budget, month);
	ledger_live_dirty(ledger, budget.live);
	command->after = (struct budget_row){.budget = budget, .month = month, .reserved = budget.live->reserved, .settled = budget.live->settled};
	return err;
}

static void put_finish(struct command *base)
{
	struct put_command *command = (struct put_command *)base;
	struct buf text;
	struct json_out json;
	if (change_refused(&command->change)) {
		return;
	}
	command->after.zone_name = str_of(command->after.budget.zone_name);
	buf_init(&text, LIMIT_REQUEST_ARENA_BYTES);
	json_begin(&json, &text);
	budget_json(command->change.guild, &command->after, &json);
	change_reply(command->change.request, 200, &text);
}

/* ---- thresholds ---- */

/* Who hears of it besides admins: the user, an agent's owner; 0: nobody. */
static int64_t concerned(struct guild *guild, const struct budget *budget)
{
	const struct agent *agent = budget->kind == BUDGET_OF_AGENT ? registry_writer_get(guild->registry, budget->scope) : NULL;
	return budget->kind == BUDGET_OF_USER ? budget->scope : agent != NULL ? agent->owner : 0;
}

static struct str alert_text(struct guild *guild, struct arena *arena, const struct budget *budget, unsigned fresh, int64_t month)
{
	struct id_text id = id_format(&guild->id_secret, id_kind_of(budget->kind), budget->scope);
	struct zone_text month_text = zone_month_text(month);
	struct buf text;
	struct json_out json;
	int highest = 0;
	buf_init(&text, TEXT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("scope"), budget_scope_text(guild, arena, budget->kind, budget->scope));
	json_put_str(&json, STR("id"), id_str(&id));
	json_name(&json, STR("passed"));
	json_array(&json);
	for (unsigned i = 0; i < BUDGET_THRESHOLDS; i++) {
		if ((fresh >> i & 1) != 0) {
			json_int(&json, budget_thresholds[i]);
			highest = budget_thresholds[i];
		}
	}
	json_array_end(&json);
	json_put_int(&json, STR("threshold"), highest);
	json_put_str(&json, STR("mode"), str_of(mode_word(budget->mode)));
	json_put_str(&json, STR("month"), str_of(month_text.text));
	json_put_int(&json, STR("limit_micro"), budget->limit_micro);
	json_put_int(&json, STR("settled_micro"), budget->live->settled);
	json_object_end(&json);
	struct str out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out;
}

static enum err alert_write(struct ledger *ledger, struct command *command, struct db *db, const struct budget *budget, unsigned fresh,
			    int64_t month)
{
	struct guild *guild = ledger->guild;
	struct arena *arena = command->arena;
	int64_t who = concerned(guild, budget), now_us = command_now_us(command);
	struct id_text workspace = id_format(&guild->id_secret, ID_WORKSPACE, budget->workspace), user = id_format(&guild->id_secret, ID_PRINCIPAL, who);
	const struct agent *agent = budget->kind == BUDGET_OF_AGENT ? registry_writer_get(guild->registry, budget->scope) : NULL;
	struct id_text agent_id = id_format(&guild->id_secret, ID_AGENT, budget->scope);
	struct str data = alert_text(guild, arena, budget, fresh, month);
	struct audit_entry entry = {.workspace = budget->workspace,
				    .agent_id = agent != NULL ? id_str(&agent_id) : STR_NONE,
				    .agent_name = agent != NULL ? agent->name : STR_NONE,
				    .action = STR("budget_alert"),
				    .start_us = now_us,
				    .end_us = now_us,
				    .duration_ms = 1,
				    .outcome = OUTCOME_COMPLETED,
				    .change = data};
	struct log_row row = {.kinds = LOG_AUDIT | LOG_EVENT,
			      .workspace = budget->workspace,
			      .agent = agent != NULL ? agent->id : 0,
			      .action = entry.action,
			      .outcome = entry.outcome,
			      .event_type = STR("budget_alert"),
			      .event_data = data,
			      .topics = arena_format(arena, who != 0 ? "workspace:%s user:%s" : "workspace:%s", workspace.text, user.text),
			      /* Of a workspace's own admins alone hear: no actor has its key. */
			      .audience_a = who != 0 ? who : budget->workspace,
			      .audience_b = who != 0 ? who : budget->workspace};
	enum err err = data.at != NULL && row.topics.at != NULL ? audit_entry_put(arena, &entry, &row.entry) : ERR_LIMIT;
	return err == ERR_OK ? command_log(command, db, &row) : err;
}

static enum err alert_one(struct ledger *ledger, struct command *command, struct db *db, int64_t scope, int64_t month)
{
	const struct budget *budget = scope != 0 ? overlay_get(&ledger->budgets, (uint64_t)scope) : NULL;
	if (budget == NULL || budget->limit_micro < 0 || ledger_month(ledger, budget->workspace, command_now_us(command)) != month ||
	    ledger_live_ensure(ledger, db, budget, month) != ERR_OK) {
		return ERR_OK;
	}
	struct budget_state state = budget_state_of(budget);
	unsigned already = budget->alert_month == month ? (unsigned)budget->alerted : 0;
	unsigned fresh = budget_passed(&state) & ~already;
	if (fresh == 0) {
		return ERR_OK;
	}
	struct budget *told = budget_copy(budget);
	if (told == NULL) {
		return ERR_MEMORY;
	}
	told->alert_month = month;
	told->alerted = already | fresh;
	enum err err = budget_row_alerted(db, told);
	err = err == ERR_OK ? alert_write(ledger, command, db, told, fresh, month) : err;
	err = err == ERR_OK ? overlay_put(&ledger->budgets, (uint64_t)scope, told) : err;
	if (err != ERR_OK) {
		mem_free(told);
	}
	return err;
}

enum err ledger_alert(struct ledger *ledger, struct command *command, struct db *db, const struct ledger_entry *entry)
{
	if (ledger == NULL || entry->settle_micro == 0) {
		return ERR_OK;
	}
	enum err err = alert_one(ledger, command, db, entry->who.workspace, entry->month);
	err = err == ERR_OK ? alert_one(ledger, command, db, entry->who.principal, entry->month) : err;
	return err == ERR_OK ? alert_one(ledger, command, db, entry->who.agent, entry->month) : err;
}
