/* ops_store.c - whose executions are these. */
#include "ops/ops_priv.h"

static const struct db_sql SQL_TURN_OWNER = {"SELECT owner, workspace FROM turn WHERE id = ?1"};

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
