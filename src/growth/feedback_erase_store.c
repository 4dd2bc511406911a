/* feedback_erase_store.c - what a person who is erased said of agents, and when deciding what others said; what counted goes on counting. */
#include "command/erase.h"
#include "growth/feedback_priv.h"

static const struct db_sql sql_end = {"SELECT id FROM feedback WHERE id > ?1 ORDER BY id LIMIT 1 OFFSET ?2"};
static const struct db_sql sql_said = {
	"UPDATE feedback SET correction = NULL, note = NULL WHERE id > ?1 AND id <= ?2 AND principal = ?3 AND "
	"(correction IS NOT NULL OR note IS NOT NULL)"};
static const struct db_sql sql_noted = {"UPDATE feedback SET note = NULL WHERE id > ?1 AND id <= ?2 AND decided_by = ?3 AND note IS NOT NULL"};

enum err feedback_erase(struct erase_step *step, struct db *db)
{
	int64_t upto;
	enum err err = erase_window(step, db, &sql_end, ERASE_ROWS, &upto);
	err = err == ERR_OK ? erase_run(step, db, &sql_said, upto) : err;
	err = err == ERR_OK ? erase_run(step, db, &sql_noted, upto) : err;
	if (err == ERR_OK) {
		step->after = upto;
	}
	return err;
}
