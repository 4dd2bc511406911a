/* turn_store.c - SQL of turns and token batches. */
#include "base/check.h"
#include "execution/execution_priv.h"

#define TURN_COLUMNS                                                                                                                   \
	"id, session, workspace, agent, agent_name, owner, status, action, triggered_by, message, answer, has_answer, partial, "       \
	"rolled_back, delta_lens, started_at, ended_at, duration_ms, error_code, error_message, provider, model, tokens_in, "          \
	"tokens_out, estimated, cost_micro, cost_unknown, epoch, seq_last, truncated, finish_reason, resolution, metadata, month, "              \
	"reserve_micro, prompt_tokens"

static const struct db_sql SQL_TURN_INSERT = {
	"INSERT INTO turn (id, session, workspace, agent, agent_name, owner, status, action, triggered_by, message, has_answer, partial, "
	"rolled_back, started_at, provider, model, tokens_in, tokens_out, estimated, cost_micro, cost_unknown, epoch, seq_last, truncated, "
	"resolution, metadata, month, reserve_micro, prompt_tokens) "
	"VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, 0, ?11, ?12, ?13, 0, 0, 0, 0, ?14, 1, 0, 0, ?15, ?16, ?17, ?18, ?19)"};
static const struct db_sql SQL_SESSION_ENTER = {
	"UPDATE session SET message_count = message_count + 1, open_count = open_count + 1, updated_at = ?2, revision = revision + 1, "
	"agent = coalesce(agent, ?3) WHERE id = ?1"};
static const struct db_sql SQL_SESSION_THERE = {"SELECT open_count FROM session WHERE id = ?1"};
static const struct db_sql SQL_SESSION_LEAVE = {
	"UPDATE session SET message_count = message_count + ?2, open_count = open_count - 1, updated_at = ?3, revision = revision + 1 "
	"WHERE id = ?1"};
static const struct db_sql SQL_TURN_SETTLE = {
	"UPDATE turn SET status = ?2, answer = ?3, has_answer = ?4, partial = ?5, rolled_back = ?6, delta_lens = ?7, ended_at = ?8, "
	"duration_ms = ?9, error_code = ?10, error_message = ?11, tokens_in = ?12, tokens_out = ?13, estimated = ?14, cost_unknown = ?15, "
	"epoch = ?16, seq_last = ?17, truncated = ?18, finish_reason = ?19, provider = ?20, model = ?21, cost_micro = ?22 WHERE id = ?1 AND status <= 2"};
static const struct db_sql SQL_TURN_FIRST_OPEN = {
	"SELECT id, agent, started_at FROM turn WHERE session = ?1 AND status <= 2 AND status = ?2 ORDER BY id LIMIT 1"};
static const struct db_sql SQL_TURN_BEGIN = {"UPDATE turn SET status = 2 WHERE id = ?1 AND status = 1"};
static const struct db_sql SQL_TURN_LAST = {"SELECT id FROM turn WHERE session = ?1 ORDER BY id DESC LIMIT 1"};
static const struct db_sql SQL_TURN_AGENT = {"SELECT agent, owner, workspace FROM turn WHERE id = ?1"};
static const struct db_sql SQL_TURN_STATUS = {"SELECT status FROM turn WHERE id = ?1"};
static const struct db_sql SQL_TURN_GET = {"SELECT " TURN_COLUMNS " FROM turn WHERE id = ?1"};
static const struct db_sql SQL_TURN_OPEN = {"SELECT " TURN_COLUMNS " FROM turn WHERE status <= 2 ORDER BY session, id"};
static const struct db_sql SQL_TURN_BACK = {"SELECT " TURN_COLUMNS " FROM turn WHERE id < ?1 ORDER BY id DESC LIMIT ?2"};
static const struct db_sql SQL_TURN_BACK_SESSION = {
	"SELECT " TURN_COLUMNS " FROM turn WHERE session = ?3 AND id < ?1 ORDER BY id DESC LIMIT ?2"};
static const struct db_sql SQL_BATCH_INSERT = {
	"INSERT INTO token_batch (execution, seq_first, seq_last, epoch, delta_lens, body) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
	"ON CONFLICT (execution, seq_first) DO UPDATE SET seq_last = excluded.seq_last, delta_lens = excluded.delta_lens, "
	"body = excluded.body"}; /* a try whose commit was taken for a failure left a shorter one */
static const struct db_sql SQL_BATCH_READ = {
	"SELECT delta_lens, body FROM token_batch WHERE execution = ?1 ORDER BY seq_first"};

static void turn_of(struct db_stmt *stmt, struct turn *out);
static enum err turn_copy(struct arena *arena, const struct turn *from, struct turn *out);
static enum err turn_each(struct db_stmt *stmt, turn_fn *fn, void *arg);

enum err turn_insert(struct db *db, const struct turn *turn)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_INSERT);
	db_bind_int(stmt, 1, turn->id);
	if (turn->session != 0) {
		db_bind_int(stmt, 2, turn->session);
	} else {
		db_bind_null(stmt, 2);
	}
	db_bind_int(stmt, 3, turn->workspace);
	db_bind_int(stmt, 4, turn->agent);
	db_bind_text(stmt, 5, turn->agent_name);
	db_bind_int(stmt, 6, turn->owner);
	db_bind_int(stmt, 7, turn->status);
	db_bind_text(stmt, 8, turn->action);
	db_bind_int(stmt, 9, turn->triggered_by);
	db_bind_text(stmt, 10, turn->message);
	db_bind_int(stmt, 11, turn->started_at_us);
	db_bind_text(stmt, 12, turn->provider);
	db_bind_text(stmt, 13, turn->model);
	db_bind_int(stmt, 14, turn->cost_unknown);
	db_bind_text(stmt, 15, turn->resolution);
	db_bind_text(stmt, 16, turn->metadata);
	db_bind_int(stmt, 17, turn->month);
	db_bind_int(stmt, 18, turn->reserve_micro);
	db_bind_int(stmt, 19, turn->prompt_tokens);
	return db_run(stmt);
}

static enum err one_int(struct db_stmt *stmt, int64_t *out, bool *found)
{
	enum err err = db_step(stmt, found);
	if (err == ERR_OK && *found) {
		*out = db_int(stmt, 0);
		db_reset(stmt);
	}
	return err;
}

enum err execution_agent(struct db *db, const struct caller *caller, int64_t execution, int64_t *agent)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_AGENT);
	bool found;
	db_bind_int(stmt, 1, execution);
	enum err err = db_step(stmt, &found);
	if (err != ERR_OK || !found) {
		return err != ERR_OK ? err : ERR_NOT_FOUND;
	}
	*agent = db_int(stmt, 0);
	bool own = db_int(stmt, 1) == caller->principal || caller_is_admin(caller);
	bool here = db_int(stmt, 2) == caller->workspace;
	db_reset(stmt);
	return own && here ? ERR_OK : ERR_NOT_FOUND;
}

enum err turn_session_enter(struct db *db, int64_t session, int64_t agent, int64_t now_us, int64_t open_max, int64_t *open_before)
{
	struct db_stmt *stmt = db_use(db, &SQL_SESSION_THERE);
	bool found;
	db_bind_int(stmt, 1, session);
	enum err err = one_int(stmt, open_before, &found);
	if (err != ERR_OK) {
		return err;
	}
	if (!found || *open_before >= open_max) {
		return found ? ERR_SESSION_BUSY : ERR_SESSION_NOT_FOUND;
	}
	stmt = db_use(db, &SQL_SESSION_ENTER);
	db_bind_int(stmt, 1, session);
	db_bind_int(stmt, 2, now_us);
	db_bind_int(stmt, 3, agent);
	return db_run(stmt);
}

enum err turn_session_leave(struct db *db, int64_t session, int messages, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &SQL_SESSION_LEAVE);
	db_bind_int(stmt, 1, session);
	db_bind_int(stmt, 2, messages);
	db_bind_int(stmt, 3, now_us);
	return db_run(stmt);
}

enum err turn_settle(struct db *db, const struct settle_input *input, int64_t now_us)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_SETTLE);
	bool completed = input->status == EXECUTION_COMPLETED;
	bool cancelled = input->status == EXECUTION_CANCELLED;
	db_bind_int(stmt, 1, input->id);
	db_bind_int(stmt, 2, input->status);
	db_bind_text(stmt, 3, input->answer);
	db_bind_int(stmt, 4, completed || (cancelled && input->answer.len > 0));
	db_bind_int(stmt, 5, cancelled);
	db_bind_int(stmt, 6, input->rollback);
	db_bind_bytes(stmt, 7, input->delta_lens);
	db_bind_int(stmt, 8, now_us);
	db_bind_int(stmt, 9, input->duration_ms);
	db_bind_text(stmt, 10, completed ? STR_NONE : err_row(err_public(input->err))->code);
	db_bind_text(stmt, 11, completed ? STR_NONE : input->error_message);
	db_bind_int(stmt, 12, input->tokens_in);
	db_bind_int(stmt, 13, input->tokens_out);
	db_bind_int(stmt, 14, input->estimated);
	db_bind_int(stmt, 15, input->cost_unknown);
	db_bind_int(stmt, 16, input->epoch);
	db_bind_int(stmt, 17, input->seq_last);
	db_bind_int(stmt, 18, input->truncated);
	db_bind_text(stmt, 19, input->finish_reason);
	db_bind_text(stmt, 20, input->provider);
	db_bind_text(stmt, 21, input->model);
	db_bind_int(stmt, 22, input->cost_micro);
	enum err err = db_run(stmt);
	if (err == ERR_OK && db_changes(db) != 1) {
		return ERR_CONFLICT;
	}
	return err;
}

/* The oldest of a session that is queued, or running; 0: none. */
static enum err first_open(struct db *db, int64_t session, int status, int64_t *id, int64_t *agent, int64_t *started_at_us)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_FIRST_OPEN);
	bool found;
	*id = *agent = *started_at_us = 0;
	db_bind_int(stmt, 1, session);
	db_bind_int(stmt, 2, status);
	enum err err = db_step(stmt, &found);
	if (err == ERR_OK && found) {
		*id = db_int(stmt, 0);
		*agent = db_int(stmt, 1);
		*started_at_us = db_int(stmt, 2);
		db_reset(stmt);
	}
	return err;
}

enum err turn_running(struct db *db, int64_t session, int64_t *id)
{
	int64_t agent, started_at_us;
	return first_open(db, session, EXECUTION_RUNNING, id, &agent, &started_at_us);
}

enum err turn_last(struct db *db, int64_t session, int64_t *id)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_LAST);
	bool found;
	*id = 0;
	db_bind_int(stmt, 1, session);
	return one_int(stmt, id, &found);
}

enum err turn_waits(struct db *db, int64_t id, bool *waits)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_STATUS);
	int64_t status = 0;
	bool found;
	db_bind_int(stmt, 1, id);
	enum err err = one_int(stmt, &status, &found);
	*waits = found && status == EXECUTION_QUEUED;
	return err;
}

enum err turn_first_queued(struct db *db, int64_t session, int64_t *id, int64_t *agent, int64_t *started_at_us)
{
	return first_open(db, session, EXECUTION_QUEUED, id, agent, started_at_us);
}

enum err turn_begin(struct db *db, int64_t id)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_BEGIN);
	db_bind_int(stmt, 1, id);
	return db_run(stmt);
}

static void turn_of(struct db_stmt *stmt, struct turn *out)
{
	*out = (struct turn){.id = db_int(stmt, 0),
			     .session = db_int(stmt, 1),
			     .workspace = db_int(stmt, 2),
			     .agent = db_int(stmt, 3),
			     .agent_name = db_text(stmt, 4),
			     .owner = db_int(stmt, 5),
			     .status = (int)db_int(stmt, 6),
			     .action = db_text(stmt, 7),
			     .triggered_by = (int)db_int(stmt, 8),
			     .message = db_text(stmt, 9),
			     .answer = db_text(stmt, 10),
			     .has_answer = db_int(stmt, 11) == 1,
			     .partial = db_int(stmt, 12) == 1,
			     .rolled_back = db_int(stmt, 13) == 1,
			     .delta_lens = db_bytes(stmt, 14),
			     .started_at_us = db_int(stmt, 15),
			     .ended_at_us = db_int(stmt, 16),
			     .duration_ms = db_int(stmt, 17),
			     .error_code = db_text(stmt, 18),
			     .error_message = db_text(stmt, 19),
			     .provider = db_text(stmt, 20),
			     .model = db_text(stmt, 21),
			     .tokens_in = db_int(stmt, 22),
			     .tokens_out = db_int(stmt, 23),
			     .estimated = db_int(stmt, 24) == 1,
			     .cost_micro = db_int(stmt, 25),
			     .cost_unknown = db_int(stmt, 26) == 1,
			     .epoch = db_int(stmt, 27),
			     .seq_last = db_int(stmt, 28),
			     .truncated = db_int(stmt, 29) == 1,
			     .finish_reason = db_text(stmt, 30),
			     .resolution = db_text(stmt, 31),
			     .metadata = db_text(stmt, 32),
			     .month = db_int(stmt, 33),
			     .reserve_micro = db_int(stmt, 34),
			     .prompt_tokens = db_int(stmt, 35)};
}

/* Copies text members that may be NULL; an empty one stays empty. */
static bool text_copy(struct arena *arena, struct str *text)
{
	if (text->at == NULL) {
		return true;
	}
	*text = arena_copy(arena, *text);
	return text->at != NULL;
}

static enum err turn_copy(struct arena *arena, const struct turn *from, struct turn *out)
{
	*out = *from;
	struct str *texts[] = {&out->agent_name,	&out->action,	   &out->message,  &out->answer,	 &out->delta_lens, &out->error_code,
			       &out->error_message, &out->provider, &out->model,	  &out->finish_reason, &out->resolution, &out->metadata};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (!text_copy(arena, texts[i])) {
			return ERR_LIMIT;
		}
	}
	return ERR_OK;
}

enum err turn_get(struct db *db, struct arena *arena, int64_t id, struct turn *out)
{
	struct db_stmt *stmt = db_use(db, &SQL_TURN_GET);
	bool row;
	db_bind_int(stmt, 1, id);
	enum err err = db_step(stmt, &row);
	if (err != ERR_OK) {
		return err;
	}
	if (!row) {
		return ERR_NOT_FOUND;
	}
	struct turn borrowed;
	turn_of(stmt, &borrowed);
	err = turn_copy(arena, &borrowed, out);
	db_reset(stmt);
	return err;
}

static enum err turn_each(struct db_stmt *stmt, turn_fn *fn, void *arg)
{
	bool row;
	enum err err;
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		struct turn turn;
		turn_of(stmt, &turn);
		err = fn(&turn, arg);
		if (err != ERR_OK) {
			break;
		}
	}
	db_reset(stmt);
	return err == ERR_END ? ERR_OK : err;
}

enum err turn_each_open(struct db *db, turn_fn *fn, void *arg)
{
	return turn_each(db_use(db, &SQL_TURN_OPEN), fn, arg);
}

enum err turn_list_back(struct db *db, int64_t session, int64_t before, int limit, turn_fn *fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, session != 0 ? &SQL_TURN_BACK_SESSION : &SQL_TURN_BACK);
	db_bind_int(stmt, 1, before != 0 ? before : INT64_MAX);
	db_bind_int(stmt, 2, limit);
	if (session != 0) {
		db_bind_int(stmt, 3, session);
	}
	return turn_each(stmt, fn, arg);
}

enum err turn_batch_insert(struct db *db, int64_t execution, int64_t seq_first, int64_t seq_last, int64_t epoch, struct str lens,
			    struct str body)
{
	struct db_stmt *stmt = db_use(db, &SQL_BATCH_INSERT);
	db_bind_int(stmt, 1, execution);
	db_bind_int(stmt, 2, seq_first);
	db_bind_int(stmt, 3, seq_last);
	db_bind_int(stmt, 4, epoch);
	db_bind_bytes(stmt, 5, lens);
	db_bind_text(stmt, 6, body);
	return db_run(stmt);
}

enum err turn_batch_read(struct db *db, struct arena *arena, int64_t execution, struct str *text, struct str *lens)
{
	struct db_stmt *stmt = db_use(db, &SQL_BATCH_READ);
	struct buf all_lens, all_text;
	bool row;
	enum err err;
	buf_init(&all_lens, LIMIT_ANSWER_BYTES * 2);
	buf_init(&all_text, LIMIT_ANSWER_BYTES);
	db_bind_int(stmt, 1, execution);
	while ((err = db_step(stmt, &row)) == ERR_OK && row) {
		buf_put_str(&all_lens, db_bytes(stmt, 0));
		buf_put_str(&all_text, db_text(stmt, 1));
	}
	db_reset(stmt);
	if (err == ERR_OK && (buf_err(&all_lens) != ERR_OK || buf_err(&all_text) != ERR_OK)) {
		err = ERR_LIMIT;
	}
	if (err == ERR_OK) {
		*text = arena_copy(arena, buf_str(&all_text));
		*lens = arena_copy(arena, buf_str(&all_lens));
		err = text->at != NULL && lens->at != NULL ? ERR_OK : ERR_LIMIT;
	}
	buf_fini(&all_lens);
	buf_fini(&all_text);
	return err;
}

static const struct db_sql SQL_KEY_MAX[] = {{"SELECT max(id) FROM turn"},	{"SELECT max(id) FROM session"},   {"SELECT max(id) FROM agent"},
					    {"SELECT max(id) FROM principal"}, {"SELECT max(id) FROM token"},	   {"SELECT max(id) FROM workspace"},
					    {"SELECT max(id) FROM provider_key"}, {"SELECT max(id) FROM post"}, {"SELECT max(id) FROM channel"},
					    {"SELECT max(id) FROM direct_message"}, {"SELECT max(id) FROM approval"},
					    {"SELECT max(id) FROM feedback"}};

enum err execution_key_max(struct db *db, int64_t *out)
{
	*out = 0;
	for (size_t i = 0; i < sizeof(SQL_KEY_MAX) / sizeof(SQL_KEY_MAX[0]); i++) {
		int64_t key = 0;
		bool found;
		enum err err = one_int(db_use(db, &SQL_KEY_MAX[i]), &key, &found);
		if (err != ERR_OK) {
			return err;
		}
		*out = key > *out ? key : *out;
	}
	return ERR_OK;
}
