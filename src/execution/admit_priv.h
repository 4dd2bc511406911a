/*
 * admit_priv.h - which run may begin now: places of agents and workspaces, what waits for one, what runs after what.
 *
 * For:     record.c and settle.c inside their transactions; recovery; an agent whose limit was changed.
 * Not for: the order of messages within one session (turn_store.c); who may run at all (governance/).
 * Threads: all on the writer, or before it runs; admit_tell and admit_places_changed on a loop.
 * Memory:  a count for each agent and workspace that ever ran something, kept beside the transactions; what waits are rows.
 *
 * A run takes a place of its agent and one of its workspace while its turn is `running`. Where there is none it stays `queued`, with a row in
 * run_queue. Whoever gives a place back, inside the transaction in which it ends, hands it on: to the one of the highest priority, each 30 s
 * of waiting counting as one step, then the oldest. A delegated run counts, but never waits for a place: the run it works for may wait for it.
 * A server without limits, priorities and dependencies has no such rows, knows that from its counts, and asks for none.
 */
#ifndef GUILD_EXECUTION_ADMIT_PRIV_H
#define GUILD_EXECUTION_ADMIT_PRIV_H

#include "execution/execution_priv.h"

/* A row of run_queue. */
struct admit_wait {
	int64_t id, workspace, agent, session, queued_at_us;
	enum run_priority priority;
	bool ready, delegated;
};

/* Runs whose state a transaction changed besides the one it was about, and the orders by which they hear of it. Kept over the tries of one
 * transaction by whoever tells them. */
struct admit_moves {
	struct engine_order *orders[LIMIT_RUN_MOVES + LIMIT_RUN_DEPENDANTS];
	unsigned order_count, started_count, failed_count;
	int64_t started[LIMIT_RUN_MOVES];          /* to be told that it is their turn */
	int64_t failed[LIMIT_RUN_DEPENDANTS];      /* waited for one that did not complete: to be ended */
};

/* ---- admit_rules.c: pure ---- */
/* 1..4: what it was given, raised by its waiting. */
int admit_step(const struct admit_wait *wait, int64_t now_us);
/* Whether a is taken before b. */
bool admit_before(const struct admit_wait *a, const struct admit_wait *b, int64_t now_us);

/* ---- admit.c ---- */
/* Counts what the store has, at start-up. */
enum err admit_load(struct admission *admission, struct db *db) MUST_USE;

/* A new run, looked at before the first write of its transaction. */
struct admit_new {
	struct admit_wait wait;        /* ready and queued_at_us are found out */
	const struct caller *caller;
	int64_t parent;                /* 0: none; has to be running still */
	const int64_t *after;          /* all different */
	size_t after_count;
	const int64_t *above;          /* parent and those above it */
	size_t above_count;
	/* found out */
	bool waits;                    /* it does not begin at once, whatever its session does */
	bool failed;                   /* one of those it waits for is over and did not complete */
	int64_t pending[LIMIT_RUN_AFTER];
	size_t pending_count;
};
/* ERR_DEPENDENCY_UNKNOWN, ERR_DEPENDENCY_CYCLE, ERR_INVALID (the parent is over), ERR_OVERLOADED: nothing was written. */
enum err admit_look(struct admission *admission, struct db *db, struct admit_new *run) MUST_USE;
/* Behind its session's work when behind. Writes what it waits for, or takes its places. */
enum err admit_enter(struct admission *admission, struct db *db, struct admit_new *run, bool behind) MUST_USE;

/* A run that ends. */
struct admit_end {
	int64_t id, workspace, agent, session;
	bool waited;                   /* it had not begun */
	bool completed;
	bool hold;                     /* the server stops: nothing begins any more */
	int64_t now_us;
};
/* After the turn has its end: gives its places on. Fills *moves, made when somebody is concerned; moves NULL: nobody is to be told. */
enum err admit_leave(struct admission *admission, struct db *db, const struct admit_end *end, struct admit_moves **moves) MUST_USE;
/* Start-up, once what a dead process ran is settled: the first of each session begins, if it may. */
enum err admit_resume(struct admission *admission, struct db *db) MUST_USE;
/* On a loop: tells those runs, on the loops that own them. NULL: nobody. */
void admit_tell(struct admit_moves *moves);
void admit_moves_free(struct admit_moves **moves);
/* For guild->runs. */
void admit_places_changed(struct guild *guild, struct loop *loop, int64_t workspace);

/* ---- admit_store.c ---- */
enum err admit_row_put(struct db *db, const struct admit_wait *wait) MUST_USE;
enum err admit_row_ready(struct db *db, const struct admit_wait *wait) MUST_USE;
enum err admit_row_remove(struct db *db, int64_t workspace, int64_t id) MUST_USE;
/* ERR_NOT_FOUND. */
enum err admit_row_get(struct db *db, int64_t workspace, int64_t id, struct admit_wait *out) MUST_USE;
/* Those of a workspace that wait for a place alone; at most max. */
enum err admit_rows_ready(struct db *db, int64_t workspace, struct admit_wait *out, size_t max, size_t *count) MUST_USE;
enum err admit_after_put(struct db *db, int64_t dependency, int64_t id) MUST_USE;
enum err admit_after_left(struct db *db, int64_t id, int64_t *count) MUST_USE;
enum err admit_after_done(struct db *db, int64_t dependency) MUST_USE; /* it completed */
enum err admit_after_remove(struct db *db, int64_t id) MUST_USE;      /* id waits for nothing any more */
enum err admit_dependants(struct db *db, int64_t dependency, int64_t *out, size_t max, size_t *count) MUST_USE;
/* What another run has to know of one. ERR_NOT_FOUND. */
struct admit_turn {
	int64_t workspace, owner, agent, session, started_at_us;
	int status;
};
enum err admit_turn_get(struct db *db, int64_t id, struct admit_turn *out) MUST_USE;
/* Start-up: each, in any order. */
typedef enum err admit_each_fn(const int64_t *columns, void *arg);
enum err admit_each_running(struct db *db, admit_each_fn *fn, void *arg) MUST_USE;  /* agent, workspace, runs */
enum err admit_each_waiting(struct db *db, admit_each_fn *fn, void *arg) MUST_USE;  /* agent, workspace, ready, rows */
enum err admit_each_failed(struct db *db, admit_each_fn *fn, void *arg) MUST_USE;   /* turn that waits for one that did not complete */
/* First of each session in which none runs, by session: id, workspace, session; after that session, at most max. */
enum err admit_heads(struct db *db, int64_t after_session, struct admit_wait *out, size_t max, size_t *count) MUST_USE;
enum err admit_after_count(struct db *db, int64_t *count) MUST_USE;

#endif
