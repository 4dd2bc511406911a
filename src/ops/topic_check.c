/*
 * topic_check.c - may this caller see these executions and posts? The store knows.
 *
 * An admin may see what is somebody else's, but not unseen: it is in the audit log before the answer, whichever door was used.
 */
#include "base/check.h"
#include "base/mem.h"
#include "command/change.h"
#include "ops/ops_priv.h"
#include "social/social.h"

#define ENTRY_ARENA_BYTES 65536
#define ENTRY_BYTES       32768

/* One entry on its way to the store; frees itself when it is there. */
struct check_entry {
	struct change change; /* first */
	struct arena arena;
	struct topic_check *check;
};

static enum err check_run(struct read_job *job, struct db *db);
static void check_done(struct read_job *job);
static enum err entry_submit(struct topic_check *check);
static enum err entry_apply(struct command *command, struct db *db);
static void entry_finish(struct command *command);

static const struct command_row entry_row = {"audited_view", "read", entry_apply, NULL, entry_finish};

enum err topic_check_start(struct guild *guild, struct loop *loop, struct topic_check *check)
{
	check(check->count <= TOPIC_CHECK_MAX);
	check->guild = guild;
	check->job = (struct read_job){.run = check_run, .done = check_done, .home = loop};
	return reader_push(guild->readers, &check->job);
}

bool topic_check_due(const struct topic_name *topics, unsigned count)
{
	bool due = false;
	for (unsigned i = 0; i < count; i++) {
		due = due || topics[i].execution != 0 || topics[i].post != 0;
	}
	return due;
}

static enum err execution_check(struct topic_check *check, struct db *db, int64_t execution, bool *is_foreign)
{
	int64_t owner = 0, workspace = 0;
	enum err err = ops_turn_owner(db, execution, &owner, &workspace);
	if (err != ERR_OK) {
		return err;
	}
	*is_foreign = owner != check->caller.principal;
	return workspace == check->caller.workspace && (!*is_foreign || caller_is_admin(&check->caller)) ? ERR_OK : ERR_NOT_FOUND;
}

static enum err check_run(struct read_job *job, struct db *db)
{
	struct topic_check *check = container_of(job, struct topic_check, job);
	struct audience audience;
	enum err err = ERR_OK;
	for (unsigned i = 0; i < check->count && err == ERR_OK; i++) {
		const struct topic_name *topic = &check->topics[i];
		if (topic->execution != 0) {
			err = execution_check(check, db, topic->execution, &check->is_foreign[i]);
			check->has_foreign |= check->is_foreign[i];
		} else if (topic->post != 0) {
			err = social_post_audience(check->guild->social, db, &check->caller, topic->post, &audience);
		}
	}
	return err;
}

static void check_done(struct read_job *job)
{
	struct topic_check *check = container_of(job, struct topic_check, job);
	enum err err = job->result;
	if (err == ERR_OK && check->has_foreign) {
		err = entry_submit(check);
		if (err == ERR_OK) {
			return;
		}
	}
	check->answer(check, err);
}

static enum err change_text(const struct topic_check *check, struct arena *arena, struct str *out)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, ENTRY_BYTES);
	json_begin(&json, &text);
	json_object(&json);
	json_name(&json, STR("execution_ids"));
	json_array(&json);
	for (unsigned i = 0; i < check->count; i++) {
		if (check->is_foreign[i]) {
			struct id_text id = id_format(&check->guild->id_secret, ID_EXECUTION, check->topics[i].execution);
			json_str(&json, id_str(&id));
		}
	}
	json_array_end(&json);
	json_put_str(&json, STR("read"), STR("events"));
	json_object_end(&json);
	*out = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return out->at != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err entry_submit(struct topic_check *check)
{
	struct arena arena;
	struct change_what what = {.outcome = OUTCOME_COMPLETED};
	arena_init(&arena, ENTRY_ARENA_BYTES);
	struct check_entry *entry = change_make(check->guild, &entry_row, &arena, check->job.home, &check->caller, sizeof(*entry));
	enum err err = entry != NULL ? change_text(check, &arena, &what.change) : ERR_MEMORY;
	if (err == ERR_OK) {
		err = change_audit(&entry->change, &what);
	}
	if (err == ERR_OK) {
		entry->check = check;
		entry->arena = arena;
		entry->change.command.arena = &entry->arena;
		err = command_submit(&entry->change.command, false);
	}
	if (err != ERR_OK) {
		arena_fini(&arena);
	}
	return err;
}

static enum err entry_apply(struct command *command, struct db *db)
{
	return change_log((struct change *)command, db);
}

static void entry_finish(struct command *command)
{
	struct check_entry *entry = (struct check_entry *)command;
	struct topic_check *check = entry->check;
	struct arena arena = entry->arena;
	enum err err = command->result;
	arena_fini(&arena);
	check->answer(check, err);
}
