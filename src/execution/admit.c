/* admit.c - places of agents and workspaces, taken and handed on inside the transactions in which runs begin and end. */
#include "execution/admit_priv.h"

#include "base/check.h"
#include "base/mem.h"

/* Of an agent, or of a workspace. */
struct place {
	int64_t running;
	int64_t ready;   /* waiting ones that wait for nothing else */
	int64_t rows;    /* of a workspace: all its waiting ones */
};

struct count_change {
	int64_t *count;
	int64_t by;
};

struct admission {
	struct guild *guild;
	struct map places;          /* by key of agent or workspace; entries stay */
	int64_t rows, edges;        /* in run_queue and run_after: with none of them nobody has to look there */
	struct count_change *pending; /* of the open transaction, oldest first */
	size_t pending_count, pending_cap;
};

/* What one step of a transaction works with. */
struct step {
	struct admission *admission;
	struct db *db;
	struct admit_moves **moves;  /* NULL: nobody is told */
	int64_t now_us;
};

static enum err begin_run(struct step *step, const struct admit_wait *wait, bool has_row);

/* ---- counts that follow transactions ---- */

enum err admit_create(struct guild *guild, struct admission **out)
{
	struct admission *admission = mem_alloc(sizeof(*admission));
	*out = admission;
	if (admission == NULL) {
		return ERR_MEMORY;
	}
	admission->guild = guild;
	map_init(&admission->places, LIMIT_AGENTS + LIMIT_PRINCIPALS);
	return ERR_OK;
}

void admit_destroy(struct admission **admission)
{
	size_t cursor = 0;
	uint64_t key;
	void *place;
	if (*admission == NULL) {
		return;
	}
	while (map_next(&(*admission)->places, &cursor, &key, &place)) {
		mem_free(place);
	}
	map_fini(&(*admission)->places);
	mem_free((*admission)->pending);
	mem_free(*admission);
	*admission = NULL;
}

static size_t overlay_mark_of(void *ctx)
{
	return ((struct admission *)ctx)->pending_count;
}

static void overlay_undo(void *ctx, size_t mark)
{
	struct admission *admission = ctx;
	while (admission->pending_count > mark) {
		const struct count_change *change = &admission->pending[--admission->pending_count];
		*change->count -= change->by;
	}
}

static void overlay_done(void *ctx)
{
	((struct admission *)ctx)->pending_count = 0;
}

struct command_overlay admit_overlay(struct admission *admission)
{
	return (struct command_overlay){admission, overlay_mark_of, overlay_undo, overlay_done, NULL};
}

static enum err count_move(struct admission *admission, int64_t *count, int64_t by)
{
	if (admission->pending_count == admission->pending_cap) {
		size_t cap = admission->pending_cap != 0 ? admission->pending_cap * 2 : 256;
		struct count_change *pending = mem_grow(admission->pending, cap * sizeof(*pending));
		if (pending == NULL) {
			return ERR_MEMORY;
		}
		admission->pending = pending;
		admission->pending_cap = cap;
	}
	admission->pending[admission->pending_count++] = (struct count_change){count, by};
	*count += by;
	check(*count >= 0);
	return ERR_OK;
}

static enum err place_of(struct admission *admission, int64_t key, struct place **out)
{
	*out = map_get(&admission->places, (uint64_t)key);
	if (*out != NULL) {
		return ERR_OK;
	}
	*out = mem_alloc(sizeof(**out));
	if (*out == NULL) {
		return ERR_MEMORY;
	}
	enum err err = map_put(&admission->places, (uint64_t)key, *out);
	if (err != ERR_OK) {
		mem_free(*out);
	}
	return err;
}

/* by: for a run that begins 1, for one that ends -1. */
static enum err running_move(struct admission *admission, int64_t agent, int64_t workspace, int64_t by)
{
	struct place *of_agent, *of_workspace;
	enum err err = place_of(admission, agent, &of_agent);
	err = err == ERR_OK ? place_of(admission, workspace, &of_workspace) : err;
	err = err == ERR_OK ? count_move(admission, &of_agent->running, by) : err;
	return err == ERR_OK ? count_move(admission, &of_workspace->running, by) : err;
}

static enum err ready_move(struct admission *admission, const struct admit_wait *wait, int64_t by)
{
	struct place *of_agent, *of_workspace;
	enum err err = place_of(admission, wait->agent, &of_agent);
	err = err == ERR_OK ? place_of(admission, wait->workspace, &of_workspace) : err;
	err = err == ERR_OK ? count_move(admission, &of_agent->ready, by) : err;
	return err == ERR_OK ? count_move(admission, &of_workspace->ready, by) : err;
}

static enum err row_move(struct admission *admission, const struct admit_wait *wait, int64_t by)
{
	struct place *place;
	enum err err = place_of(admission, wait->workspace, &place);
	err = err == ERR_OK ? count_move(admission, &place->rows, by) : err;
	err = err == ERR_OK ? count_move(admission, &admission->rows, by) : err;
	return err == ERR_OK && wait->ready ? ready_move(admission, wait, by) : err;
}

static const struct place *place_seen(const struct admission *admission, int64_t key)
{
	static const struct place none;
	const struct place *place = map_get(&admission->places, (uint64_t)key);
	return place != NULL ? place : &none;
}

static bool workspace_full(const struct admission *admission, int64_t workspace)
{
	int64_t most = admission->guild->settings.workspace_runs;
	return most > 0 && place_seen(admission, workspace)->running >= most;
}

static bool agent_full(const struct admission *admission, int64_t id)
{
	const struct agent *agent = registry_writer_get(admission->guild->registry, id);
	return agent != NULL && agent->max_concurrent_runs > 0 && place_seen(admission, id)->running >= agent->max_concurrent_runs;
}

/* Nobody else waits for the agent's place either. */
static bool room_for(const struct admission *admission, int64_t agent, int64_t workspace)
{
	return !workspace_full(admission, workspace) && !agent_full(admission, agent) && place_seen(admission, agent)->ready == 0;
}

/* ---- a new run ---- */

static bool is_above(const struct admit_new *run, int64_t id)
{
	for (size_t i = 0; i < run->above_count; i++) {
		if (run->above[i] == id) {
			return true;
		}
	}
	return false;
}

static enum err dependency_look(struct db *db, struct admit_new *run, int64_t id)
{
	const struct caller *caller = run->caller;
	struct admit_turn turn;
	int64_t waiting[LIMIT_RUN_DEPENDANTS];
	size_t waiting_count = 0;
	enum err err = admit_turn_get(db, id, &turn);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_DEPENDENCY_UNKNOWN : err;
	}
	bool own = turn.owner == caller->principal || caller_is_admin(caller) || (caller->agent != 0 && caller->agent == turn.agent);
	if (turn.workspace != caller->workspace || !own) {
		return ERR_DEPENDENCY_UNKNOWN;
	}
	if (is_above(run, id)) {
		return ERR_DEPENDENCY_CYCLE;
	}
	if (turn.status == EXECUTION_COMPLETED) {
		return ERR_OK;
	}
	err = admit_dependants(db, id, waiting, LIMIT_RUN_DEPENDANTS, &waiting_count);
	if (err == ERR_OK && waiting_count == LIMIT_RUN_DEPENDANTS) {
		err = ERR_OVERLOADED;
	}
	run->failed |= turn.status > EXECUTION_RUNNING;
	run->pending[run->pending_count++] = id;
	return err;
}

enum err admit_look(struct admission *admission, struct db *db, struct admit_new *run)
{
	const struct admit_wait *wait = &run->wait;
	enum err err = ERR_OK;
	run->pending_count = 0;
	run->failed = false;
	if (run->parent != 0) {
		struct admit_turn turn;
		err = admit_turn_get(db, run->parent, &turn);
		if (err == ERR_NOT_FOUND || (err == ERR_OK && turn.status != EXECUTION_RUNNING)) {
			return ERR_INVALID;
		}
	}
	for (size_t i = 0; i < run->after_count && err == ERR_OK; i++) {
		err = dependency_look(db, run, run->after[i]);
	}
	run->waits = run->pending_count > 0 || (!wait->delegated && !room_for(admission, wait->agent, wait->workspace));
	if (err == ERR_OK && run->waits && place_seen(admission, wait->workspace)->rows >= LIMIT_RUN_QUEUE) {
		err = ERR_OVERLOADED;
	}
	return err;
}

enum err admit_enter(struct admission *admission, struct db *db, struct admit_new *run, bool behind)
{
	struct admit_wait *wait = &run->wait;
	enum err err = ERR_OK;
	if (!behind && !run->waits) {
		return running_move(admission, wait->agent, wait->workspace, 1);
	}
	wait->ready = !behind && run->pending_count == 0;
	if (!run->waits && wait->priority == RUN_MEDIUM && !wait->delegated) {
		return ERR_OK; /* its session's order says all there is to say */
	}
	err = admit_row_put(db, wait);
	err = err == ERR_OK ? row_move(admission, wait, 1) : err;
	for (size_t i = 0; i < run->pending_count && err == ERR_OK; i++) {
		err = admit_after_put(db, run->pending[i], wait->id);
		err = err == ERR_OK ? count_move(admission, &admission->edges, 1) : err;
	}
	return err;
}

/* ---- beginning ---- */

/* So that so many more can be told: without memory the transaction is refused, and comes again. */
static enum err moves_need(struct step *step, size_t more)
{
	if (step->moves == NULL) {
		return ERR_OK;
	}
	if (*step->moves == NULL) {
		*step->moves = mem_alloc(sizeof(**step->moves));
	}
	struct admit_moves *moves = *step->moves;
	while (moves != NULL && moves->order_count < moves->started_count + moves->failed_count + more) {
		struct engine_order *order = engine_order_make(step->admission->guild->engine);
		if (order == NULL) {
			return ERR_MEMORY;
		}
		moves->orders[moves->order_count++] = order;
	}
	return moves != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err row_drop(struct step *step, const struct admit_wait *wait)
{
	enum err err = admit_row_remove(step->db, wait->workspace, wait->id);
	return err == ERR_OK ? row_move(step->admission, wait, -1) : err;
}

static enum err begin_run(struct step *step, const struct admit_wait *wait, bool has_row)
{
	enum err err = moves_need(step, 1);
	err = err == ERR_OK ? turn_begin(step->db, wait->id) : err;
	err = err == ERR_OK ? running_move(step->admission, wait->agent, wait->workspace, 1) : err;
	err = err == ERR_OK && has_row ? row_drop(step, wait) : err;
	if (err == ERR_OK && step->moves != NULL) {
		struct admit_moves *moves = *step->moves;
		check(moves->started_count < LIMIT_RUN_MOVES);
		moves->started[moves->started_count++] = wait->id;
	}
	return err;
}

static bool moves_full(const struct step *step)
{
	return step->moves != NULL && *step->moves != NULL && (*step->moves)->started_count == LIMIT_RUN_MOVES;
}

/* The first of its session, in which nothing runs: begins, or waits for what it still needs. */
static enum err consider(struct step *step, struct admit_wait wait)
{
	struct admission *admission = step->admission;
	bool has_row = false;
	int64_t left = 0;
	enum err err = ERR_OK;
	if (admission->rows > 0) {
		struct admit_wait row;
		err = admit_row_get(step->db, wait.workspace, wait.id, &row);
		has_row = err == ERR_OK;
		wait = has_row ? row : wait;
		err = err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	if (err == ERR_OK && has_row && admission->edges > 0) {
		err = admit_after_left(step->db, wait.id, &left);
	}
	if (err != ERR_OK || left > 0 || (has_row && wait.ready)) {
		return err;
	}
	if (!moves_full(step) && (wait.delegated || room_for(admission, wait.agent, wait.workspace))) {
		return begin_run(step, &wait, has_row);
	}
	if (has_row) {
		err = admit_row_ready(step->db, &wait);
		return err == ERR_OK ? ready_move(admission, &wait, 1) : err;
	}
	wait.ready = true;
	err = admit_row_put(step->db, &wait);
	return err == ERR_OK ? row_move(admission, &wait, 1) : err;
}

/* The session's first, when nothing of it runs. */
static enum err session_next(struct step *step, int64_t workspace, int64_t session)
{
	struct admit_wait head = {.workspace = workspace, .session = session, .priority = RUN_MEDIUM};
	int64_t running;
	enum err err = turn_running(step->db, session, &running);
	if (err != ERR_OK || running != 0) {
		return err;
	}
	err = turn_first_queued(step->db, session, &head.id, &head.agent, &head.queued_at_us);
	return err == ERR_OK && head.id != 0 ? consider(step, head) : err;
}

static struct admit_wait *best_of(struct step *step, struct admit_wait *rows, size_t count)
{
	struct admit_wait *best = NULL;
	for (size_t i = 0; i < count; i++) {
		struct admit_wait *row = &rows[i];
		bool may = row->ready && !agent_full(step->admission, row->agent);
		if (may && (best == NULL || admit_before(row, best, step->now_us))) {
			best = row;
		}
	}
	return best;
}

/* Whoever waits for a place alone and finds one begins, the first in order first. */
static enum err fill(struct step *step, int64_t workspace)
{
	size_t cap = (size_t)place_seen(step->admission, workspace)->ready;
	size_t count = 0;
	if (cap == 0 || workspace_full(step->admission, workspace)) {
		return ERR_OK;
	}
	struct arena own;
	arena_init(&own, LIMIT_RUN_QUEUE * 2 * sizeof(struct admit_wait));
	cap = cap < LIMIT_RUN_QUEUE ? cap : LIMIT_RUN_QUEUE;
	struct admit_wait *rows = arena_array(&own, struct admit_wait, cap);
	enum err err = rows != NULL ? admit_rows_ready(step->db, workspace, rows, cap, &count) : ERR_LIMIT;
	while (err == ERR_OK && !workspace_full(step->admission, workspace) && !moves_full(step)) {
		struct admit_wait *best = best_of(step, rows, count);
		if (best == NULL) {
			break;
		}
		err = begin_run(step, best, true);
		best->ready = false;
	}
	arena_fini(&own);
	return err;
}

/* ---- an end ---- */

static enum err forget_waiting(struct step *step, const struct admit_end *end)
{
	struct admit_wait row;
	int64_t left = 0;
	if (step->admission->rows == 0) {
		return ERR_OK;
	}
	enum err err = admit_row_get(step->db, end->workspace, end->id, &row);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	err = row_drop(step, &row);
	if (err == ERR_OK && step->admission->edges > 0) {
		err = admit_after_left(step->db, end->id, &left);
	}
	if (err == ERR_OK && left > 0) {
		err = admit_after_remove(step->db, end->id);
		err = err == ERR_OK ? count_move(step->admission, &step->admission->edges, -left) : err;
	}
	return err;
}

static enum err dependants_free(struct step *step, const struct admit_end *end, const int64_t *waiting, size_t count)
{
	enum err err = admit_after_done(step->db, end->id);
	err = err == ERR_OK ? count_move(step->admission, &step->admission->edges, -(int64_t)count) : err;
	for (size_t i = 0; i < count && err == ERR_OK && !end->hold; i++) {
		struct admit_wait row;
		err = admit_row_get(step->db, end->workspace, waiting[i], &row);
		if (err == ERR_OK && row.session != end->session) {
			err = session_next(step, row.workspace, row.session);
		}
		err = err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	return err;
}

static enum err dependants_tell(struct step *step, const struct admit_end *end)
{
	int64_t waiting[LIMIT_RUN_DEPENDANTS];
	size_t count;
	enum err err = admit_dependants(step->db, end->id, waiting, LIMIT_RUN_DEPENDANTS, &count);
	if (err != ERR_OK || count == 0) {
		return err;
	}
	if (end->completed) {
		return dependants_free(step, end, waiting, count);
	}
	err = moves_need(step, count);
	if (err == ERR_OK && step->moves != NULL) {
		memcpy((*step->moves)->failed, waiting, count * sizeof(waiting[0]));
		(*step->moves)->failed_count = (unsigned)count;
	}
	return err;
}

enum err admit_leave(struct admission *admission, struct db *db, const struct admit_end *end, struct admit_moves **moves)
{
	struct step step = {.admission = admission, .db = db, .moves = moves, .now_us = end->now_us};
	if (moves != NULL && *moves != NULL) {
		(*moves)->started_count = (*moves)->failed_count = 0; /* of a try that was undone */
	}
	enum err err = end->waited ? forget_waiting(&step, end) : running_move(admission, end->agent, end->workspace, -1);
	if (err == ERR_OK && admission->edges > 0) {
		err = dependants_tell(&step, end);
	}
	if (err == ERR_OK && !end->hold && end->session != 0 && engine_queue_hint(admission->guild->engine, end->session)) {
		err = session_next(&step, end->workspace, end->session);
	}
	bool wanted = admission->guild->settings.workspace_runs > 0 || place_seen(admission, end->agent)->ready > 0;
	if (err == ERR_OK && !end->hold && wanted) {
		err = fill(&step, end->workspace);
	}
	return err;
}

void admit_tell(struct admit_moves *moves)
{
	for (unsigned i = 0; moves != NULL && i < moves->started_count; i++) {
		engine_dequeue_take(moves->orders[--moves->order_count], moves->started[i]);
	}
	for (unsigned i = 0; moves != NULL && i < moves->failed_count; i++) {
		engine_stop_execution_take(moves->orders[--moves->order_count], moves->failed[i], ERR_DEPENDENCY_FAILED,
			"what it waited for did not complete", false);
	}
}

void admit_moves_free(struct admit_moves **moves)
{
	while (*moves != NULL && (*moves)->order_count > 0) {
		engine_order_free(&(*moves)->orders[--(*moves)->order_count]);
	}
	mem_free(*moves);
	*moves = NULL;
}

/* ---- a limit was changed ---- */

struct places_job {
	struct write_job job;
	struct engine *engine;
	int64_t workspace;
	struct admit_moves *moves;
};

static enum err places_apply(struct write_job *job, struct db *db)
{
	struct places_job *places = container_of(job, struct places_job, job);
	struct guild *guild = places->engine->guild;
	struct step step = {
		.admission = guild->admission, .db = db, .moves = &places->moves, .now_us = env_wall_us(guild->env)};
	if (places->moves != NULL) {
		places->moves->started_count = 0;
	}
	return fill(&step, places->workspace);
}

static void places_done(struct write_job *job)
{
	struct places_job *places = container_of(job, struct places_job, job);
	struct engine *engine = places->engine;
	int64_t workspace = places->workspace;
	bool more = false;
	if (job->result == ERR_OK) {
		admit_tell(places->moves);
		more = places->moves != NULL && places->moves->started_count == LIMIT_RUN_MOVES;
	}
	struct loop *loop = job->home;
	admit_moves_free(&places->moves);
	mem_free(places);
	if (more) {
		admit_places_changed(engine->guild, loop, workspace);
	}
}

/* Where it cannot be done now, the next end of a run does it: something runs as long as something waits. */
void admit_places_changed(struct guild *guild, struct loop *loop, int64_t workspace)
{
	struct places_job *places = mem_alloc(sizeof(*places));
	if (places == NULL) {
		return;
	}
	places->engine = guild->engine;
	places->workspace = workspace;
	places->job = (struct write_job){.apply = places_apply, .done = places_done, .home = loop};
	if (writer_push(guild->writer, &places->job) != ERR_OK) {
		mem_free(places);
	}
}

/* ---- start-up ---- */

static enum err load_running(const int64_t *columns, void *arg)
{
	return running_move(arg, columns[0], columns[1], columns[2]);
}

static enum err load_waiting(const int64_t *columns, void *arg)
{
	struct admission *admission = arg;
	const struct admit_wait wait = {.agent = columns[0], .workspace = columns[1]};
	enum err err = row_move(admission, &wait, columns[3]);
	return err == ERR_OK && columns[2] != 0 ? ready_move(admission, &wait, columns[3]) : err;
}

enum err admit_load(struct admission *admission, struct db *db)
{
	int64_t edges = 0;
	enum err err = admit_each_running(db, load_running, admission);
	err = err == ERR_OK ? admit_each_waiting(db, load_waiting, admission) : err;
	err = err == ERR_OK ? admit_after_count(db, &edges) : err;
	err = err == ERR_OK ? count_move(admission, &admission->edges, edges) : err;
	overlay_done(admission);
	return err;
}

#define HEADS_STEP 256

static enum err resume_some(struct step *step, int64_t *session, size_t *count)
{
	struct admit_wait heads[HEADS_STEP];
	enum err err = admit_heads(step->db, *session, heads, HEADS_STEP, count);
	for (size_t i = 0; i < *count && err == ERR_OK; i++) {
		*session = heads[i].session;
		err = session_next(step, heads[i].workspace, heads[i].session);
		err = err == ERR_OK ? fill(step, heads[i].workspace) : err;
	}
	return err;
}

enum err admit_resume(struct admission *admission, struct db *db)
{
	struct step step = {.admission = admission, .db = db, .now_us = env_wall_us(admission->guild->env)};
	int64_t session = 0;
	size_t count = HEADS_STEP;
	enum err err = ERR_OK;
	while (err == ERR_OK && count == HEADS_STEP) {
		err = db_begin(db);
		if (err != ERR_OK) {
			break;
		}
		err = resume_some(&step, &session, &count);
		err = err == ERR_OK ? db_commit(db) : err;
		if (err != ERR_OK) {
			db_rollback(db);
		}
		overlay_done(admission);
	}
	return err;
}
