/* ops_store.c - whose executions are these. */
#include "base/check.h"
#include "ops/ops_priv.h"

static const struct db_sql SQL_TURN_OWNER = {"SELECT owner, workspace FROM turn WHERE id = ?1"};

static enum err check_run(struct read_job *job, struct db *db);
static void check_done(struct read_job *job);

enum err ops_turn_owner(struct db *db, int64_t execution, int64_t *owner, int64_t *workspace)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_OWNER);
	bool row;
	db_bind_int(stmt, 1, execution);
	enum err err = db_step(stmt, &row);
	if (err == ERR_OK && row) {
		*owner = db_int(stmt, 0);
		*workspace = db_int(stmt, 1);
	}
	db_reset(stmt);
	return err == ERR_OK && !row ? ERR_NOT_FOUND : err;
}

enum err ops_owner_check_start(struct guild *guild, struct loop *loop, struct owner_check *check)
{
	check->job = (struct read_job){.run = check_run, .done = check_done, .home = loop};
	return reader_push(guild->readers, &check->job);
}

static enum err check_run(struct read_job *job, struct db *db)
{
	struct owner_check *check = container_of(job, struct owner_check, job);
	enum err err = ERR_OK;
	for (unsigned i = 0; i < check->count && err == ERR_OK; i++) {
		int64_t owner = 0, workspace = 0;
		err = ops_turn_owner(db, check->ids[i], &owner, &workspace);
		bool may = workspace == check->caller.workspace && (owner == check->caller.principal || caller_is_admin(&check->caller));
		if (err == ERR_OK && !may) {
			err = ERR_NOT_FOUND;
		}
	}
	return err;
}

static void check_done(struct read_job *job)
{
	struct owner_check *check = container_of(job, struct owner_check, job);
	check->answer(check, job->result);
}
