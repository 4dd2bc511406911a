/* outcome.c - what the end of a run, or feedback, does to its agent's confidence, and to its maturity. */
#include "agent/agent_priv.h"
#include "agent/tally.h"

/* Not before the rows are changed does anybody know whether there is something to say: for what is rare the texts are made here. A demotion, or
 * of a system agent, which is not demoted, an alert. */
static enum err fall_log(
	struct command *command, struct guild *guild, struct db *db, const struct agent *was, const struct agent_outcome *outcome)
{
	const struct agent *now = registry_writer_get(guild->registry, was->id);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, was->id);
	struct id_text execution = id_format(&guild->id_secret, ID_EXECUTION, outcome->execution);
	int64_t now_us = command_now_us(command);
	struct log_row row = {.kinds = LOG_AUDIT | LOG_EVENT,
		.workspace = was->workspace,
		.agent = was->id,
		.execution = outcome->execution,
		.action = STR("revoke"),
		.outcome = OUTCOME_CHANGED,
		.event_type = STR("agent_changed")};
	struct audit_entry entry = {.workspace = was->workspace,
		.agent_id = id_str(&agent),
		.agent_name = now->name,
		.action = row.action,
		.execution_id = outcome->execution != 0 ? id_str(&execution) : STR_NONE,
		.start_us = now_us,
		.end_us = now_us,
		.outcome = OUTCOME_CHANGED,
		.change = arena_format(command->arena,
			"{%s\"cause\":\"confidence\",\"new\":{\"confidence_e4\":%d,\"maturity\":\"%.*s\"},"
			"\"old\":{\"confidence_e4\":%d,\"maturity\":\"%.*s\"}}",
			now->is_system ? "\"alert\":true," : "", now->confidence_e4, STR_FMT(maturity_word(now->maturity)), was->confidence_e4,
			STR_FMT(maturity_word(was->maturity)))};
	enum err err = entry.change.at != NULL ? audit_entry_put(command->arena, &entry, &row.entry) : ERR_LIMIT;
	if (err == ERR_OK) {
		err = agent_event_texts(guild, command->arena, now, &row.event_data, &row.topics);
	}
	if (err == ERR_OK && now->is_system) {
		row.topics = arena_format(command->arena, "%.*s alerts", STR_FMT(row.topics));
		err = row.topics.at != NULL ? ERR_OK : ERR_LIMIT;
	}
	return err == ERR_OK ? command_log(command, db, &row) : err;
}

enum err agent_outcome_apply(
	struct command *command, struct guild *guild, struct db *db, const struct agent_outcome *outcome)
{
	const struct agent *was = registry_writer_get(guild->registry, outcome->agent);
	int64_t now_us = command_now_us(command);
	bool demoted = false;
	if (was == NULL) {
		return ERR_AGENT_NOT_FOUND;
	}
	enum err err = agent_confidence_move(guild->registry, db, outcome->agent, outcome->delta_e4, now_us, &demoted);
	if (err == ERR_OK && demoted) {
		err = tally_restart(guild->tallies, was->workspace, was->id, now_us);
	}
	const struct agent *now = registry_writer_get(guild->registry, outcome->agent);
	int floor_e4 = maturity_floor_e4(was->maturity);
	bool fell = was->is_system && was->confidence_e4 >= floor_e4 && now->confidence_e4 < floor_e4;
	return err == ERR_OK && (demoted || fell) ? fall_log(command, guild, db, was, outcome) : err;
}

enum err agent_level_set(struct guild *guild, struct db *db, const struct agent *now, enum maturity to, int64_t now_us)
{
	struct agent next = *now;
	next.maturity = to;
	next.revision++;
	next.updated_at_us = now_us;
	if (to > now->maturity && next.confidence_e4 < maturity_lift_e4(to)) {
		next.confidence_e4 = maturity_lift_e4(to);
	}
	enum err err = agent_row_confidence(db, &next);
	err = err == ERR_OK ? registry_put(guild->registry, &next) : err;
	return err == ERR_OK ? tally_restart(guild->tallies, now->workspace, now->id, now_us) : err;
}
