/* Copies of a store, generations, erasing events and token batches: the chain stays whole and the file stops growing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "audit/audit.h"
#include "base/log.h"
#include "db/backup.h"
#include "db/log.h"
#include "ops/ops.h"
#include "ops/retention_priv.h"

static char dir[64];
static char path[96];
static char detail[256];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/guild-test-upkeep-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/guild.db", dir);
	log_set(LOG_OFF, false);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static struct db *store_open(void)
{
	struct db *db;
	if (db_open(path, DB_WRITER, &db, detail) != ERR_OK || db_migrate(db, path, detail) != ERR_OK) {
		fail_msg("%s", detail);
	}
	return db;
}

/* ---- a log with events ---- */

struct filler {
	struct db *db;
	struct audit_chain *chain;
	int64_t now_us;
};

static void filler_open(struct filler *filler)
{
	struct log_head head;
	filler->db = store_open();
	filler->now_us = 1000000;
	assert_int_equal(log_head_read(filler->db, &head), ERR_OK);
	assert_int_equal(audit_chain_create(&head, &filler->chain), ERR_OK);
}

static void filler_close(struct filler *filler)
{
	audit_chain_destroy(&filler->chain);
	db_close(&filler->db);
}

/* Every tenth row is an entry of the audit log as well. */
static void fill(struct filler *filler, int rows, size_t data_bytes)
{
	static const char entry[] = "{\"action\":\"post\",\"outcome\":\"changed\"}";
	static char data[65536];
	memset(data, 'd', sizeof(data));
	assert_true(data_bytes <= sizeof(data));
	assert_int_equal(db_begin(filler->db), ERR_OK);
	for (int i = 0; i < rows; i++) {
		struct log_row row = {.kinds = LOG_EVENT | (i % 10 == 0 ? LOG_AUDIT : 0),
				      .workspace = 1,
				      .action = STR("post"),
				      .outcome = OUTCOME_CHANGED,
				      .entry = i % 10 == 0 ? str_of(entry) : STR_NONE,
				      .event_type = STR("x.test"),
				      .event_data = str_make(data, data_bytes),
				      .topics = STR("global")};
		audit_seal(filler->chain, &row, filler->now_us);
		filler->now_us += 1000;
		assert_int_equal(log_insert(filler->db, &row), ERR_OK);
	}
	assert_int_equal(db_commit(filler->db), ERR_OK);
}

static int64_t erase_all(struct db *db, int64_t before_us, int64_t bytes_over)
{
	struct retention_events events = {.before_us = before_us, .bytes_over = bytes_over, .last = INT64_MAX};
	int64_t erased = 0;
	int steps = 0;
	do {
		assert_int_equal(db_begin(db), ERR_OK);
		assert_int_equal(retention_events_erase(db, &events), ERR_OK);
		assert_int_equal(db_commit(db), ERR_OK);
		assert_true(events.rows <= RETENTION_ROWS_ERASED);
		erased += events.erased;
		events.bytes_over -= events.bytes;
		assert_true(++steps < 10000);
	} while (events.more);
	return erased;
}

static void chain_is_whole(struct db *db, int64_t entries)
{
	struct audit_report report;
	assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
	assert_int_equal(report.entries, entries);
}

static int64_t count_of(struct db *db, const struct db_sql *sql)
{
	bool row;
	struct db_stmt *stmt = db_use(db, sql);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	int64_t count = db_int(stmt, 0);
	db_reset(stmt);
	return count;
}

static const struct db_sql sql_events = {"SELECT count(*) FROM log WHERE event_type IS NOT NULL"};
static const struct db_sql sql_events_bit = {"SELECT count(*) FROM log WHERE kinds & 4 = 4"};
static const struct db_sql sql_entries = {"SELECT count(*) FROM log WHERE entry IS NOT NULL"};

static void old_events_go_and_the_chain_stays(void **state)
{
	struct filler filler;
	int64_t gone;
	filler_open(&filler);
	fill(&filler, 350, 300);
	int64_t middle_us = filler.now_us;
	fill(&filler, 50, 300);
	assert_int_equal(log_events_gone(filler.db, &gone), ERR_OK);
	assert_int_equal(gone, 0);
	assert_int_equal(erase_all(filler.db, middle_us, 0), 350);
	assert_int_equal(log_events_gone(filler.db, &gone), ERR_OK);
	assert_int_equal(gone, 350);
	assert_int_equal(count_of(filler.db, &sql_events), 50);
	assert_int_equal(count_of(filler.db, &sql_events_bit), 50);
	assert_int_equal(count_of(filler.db, &sql_entries), 40);
	chain_is_whole(filler.db, 400);
	/* Again there is nothing to do. */
	assert_int_equal(erase_all(filler.db, middle_us, 0), 0);
	filler_close(&filler);
}

static void the_oldest_beyond_a_size_go(void **state)
{
	struct filler filler;
	struct retention_events measure = {.after = 0};
	int64_t bytes = 0;
	filler_open(&filler);
	fill(&filler, 2500, 1000);
	do {
		measure.after = measure.upto;
		assert_int_equal(retention_events_measure(filler.db, &measure), ERR_OK);
		bytes += measure.bytes;
	} while (measure.more);
	assert_int_equal(bytes, 2500 * (1000 + 6 + 6));
	int64_t kept_max = 500 * 1012;
	assert_int_equal(erase_all(filler.db, 0, bytes - kept_max), 2000);
	assert_int_equal(count_of(filler.db, &sql_events), 500);
	chain_is_whole(filler.db, 2500);
	filler_close(&filler);
}

static void what_was_not_measured_stays(void **state)
{
	struct filler filler;
	struct retention_events events = {.before_us = INT64_MAX, .last = 7};
	filler_open(&filler);
	fill(&filler, 20, 10);
	assert_int_equal(db_begin(filler.db), ERR_OK);
	assert_int_equal(retention_events_erase(filler.db, &events), ERR_OK);
	assert_int_equal(db_commit(filler.db), ERR_OK);
	assert_int_equal(events.erased, 7);
	assert_false(events.more);
	filler_close(&filler);
}

/* What stays of a row without an entry is its place in the chain. */
static void the_file_stops_growing(void **state)
{
	enum { ROUNDS = 12, ROWS = 1000 };
	static const size_t sizes[] = {300, 3000};
	for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
		struct filler filler;
		struct stat file;
		int64_t bytes[ROUNDS];
		unlink(path);
		filler_open(&filler);
		for (int round = 0; round < ROUNDS; round++) {
			fill(&filler, ROWS, sizes[s]);
			erase_all(filler.db, filler.now_us - 1000 * ROWS, 0);
			while (db_wal_pages(filler.db) > 0) {
				assert_int_equal(db_checkpoint(filler.db), ERR_OK);
			}
			assert_int_equal(stat(path, &file), 0);
			bytes[round] = file.st_size;
		}
		chain_is_whole(filler.db, ROUNDS * ROWS);
		int64_t grown = (bytes[ROUNDS - 1] - bytes[3]) / (ROUNDS - 4) / ROWS;
		print_message("events of %zu bytes: %lld bytes more of file for each\n", sizes[s], (long long)grown);
		/* Not the event's bytes, but what the chain keeps, in pages that are at least a third full. */
		assert_true(grown < 360);
		assert_true(sizes[s] < 1000 || grown * 8 < (int64_t)sizes[s]);
		filler_close(&filler);
	}
}

/* ---- token batches ---- */

static const struct db_sql sql_batch = {
	"INSERT INTO token_batch (execution, seq_first, seq_last, epoch, delta_lens, body) VALUES (?1, ?2, ?2, 1, ?3, ?4)"};
static const struct db_sql sql_agent = {
	"INSERT INTO agent (id, workspace, name, handle, description, category, maturity, lifecycle, confidence_e4, kind, capabilities, "
	"max_concurrent_runs, auto_reply, is_system, created_at, updated_at, revision) "
	"VALUES (1, 1, 'a', 'a', '', '', 1, 1, 0, 1, '[]', 0, 0, 0, 1, 1, 1)"};
static const struct db_sql sql_workspace = {"INSERT INTO workspace (id, name, created_at) VALUES (1, 'w', 1)"};
static const struct db_sql sql_turn = {
	"INSERT INTO turn (id, workspace, agent, agent_name, owner, status, action, triggered_by, message, answer, has_answer, partial, "
	"rolled_back, started_at, ended_at, tokens_in, tokens_out, estimated, cost_micro, cost_unknown, epoch, seq_last, truncated, "
	"resolution, metadata) "
	"VALUES (?1, 1, 1, 'a', 1, ?3, 'chat', 1, 'm', 'text', 1, 0, 0, 1, ?2, 0, 0, 0, 0, 0, 1, 1, 0, '[]', '{}')"};
static const struct db_sql sql_batches = {"SELECT count(*) FROM token_batch"};

static void turn_put(struct db *db, int64_t id, int64_t ended_us, int batches)
{
	struct db_stmt *stmt = db_use(db, &sql_turn);
	db_bind_int(stmt, 1, id);
	if (ended_us != 0) {
		db_bind_int(stmt, 2, ended_us);
	}
	db_bind_int(stmt, 3, ended_us != 0 ? 3 : 2);
	assert_int_equal(db_run(stmt), ERR_OK);
	for (int i = 0; i < batches; i++) {
		stmt = db_use(db, &sql_batch);
		db_bind_int(stmt, 1, id);
		db_bind_int(stmt, 2, i + 1);
		db_bind_bytes(stmt, 3, STR("x"));
		db_bind_text(stmt, 4, STR("x"));
		assert_int_equal(db_run(stmt), ERR_OK);
	}
}

static void batches_of_streams_that_are_over_go(void **state)
{
	const int64_t day_us = INT64_C(86400000000), now_us = INT64_C(1800000000000000);
	struct db *db = store_open();
	struct retention_tokens tokens = {.before_us = now_us - day_us};
	int64_t erased = 0;
	struct {
		int64_t started_us, ended_us;
		int batches;
	} runs[] = {{now_us - 4 * day_us, now_us - 3 * day_us, 3},  {now_us - 3 * day_us, 0, 2},
		    {now_us - 2 * day_us, now_us - day_us / 2, 2}, {now_us - 2 * day_us, now_us - 2 * day_us, 250},
		    {now_us - day_us / 2, now_us - day_us / 3, 1}};
	assert_int_equal(db_run(db_use(db, &sql_workspace)), ERR_OK);
	assert_int_equal(db_run(db_use(db, &sql_agent)), ERR_OK);
	for (int i = 0; i < 5; i++) {
		turn_put(db, id_of_ms(runs[i].started_us / 1000) + i, runs[i].ended_us, runs[i].batches);
	}
	do {
		assert_int_equal(retention_tokens_erase(db, &tokens), ERR_OK);
		assert_true(tokens.erased <= RETENTION_ROWS_ERASED);
		erased += tokens.erased;
		tokens.after = tokens.reached;
	} while (tokens.more);
	assert_int_equal(erased, 253);
	assert_int_equal(count_of(db, &sql_batches), 5);
	db_close(&db);
}

/* ---- runs ---- */

static const struct db_sql sql_principal = {
	"INSERT INTO principal (id, workspace, kind, role, name, specialty, created_at) VALUES (1, 1, 1, 2, 'p', '[]', 1)"};
static const struct db_sql sql_session = {
	"INSERT INTO session (id, workspace, owner, title, channel, message_count, open_count, created_at, updated_at, revision) "
	"VALUES (?1, 1, 1, 't', 'chat', ?2, ?3, 1, ?4, 1)"};
static const struct db_sql sql_join = {"UPDATE turn SET session = ?2 WHERE id = ?1"};
static const struct db_sql sql_turns = {"SELECT count(*) FROM turn"};
static const struct db_sql sql_sessions = {"SELECT count(*) FROM session"};
static const struct db_sql sql_counts = {
	"SELECT count(*) FROM session s WHERE s.message_count <> "
	"(SELECT coalesce(sum(1 + t.has_answer), 0) FROM turn t WHERE t.session = s.id AND t.rolled_back = 0)"};

static void session_put(struct db *db, int64_t id, int64_t messages, int64_t open, int64_t updated_us)
{
	struct db_stmt *stmt = db_use(db, &sql_session);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, messages);
	db_bind_int(stmt, 3, open);
	db_bind_int(stmt, 4, updated_us);
	assert_int_equal(db_run(stmt), ERR_OK);
}

static void session_turn_put(struct db *db, int64_t session, int64_t id, int64_t ended_us, int batches)
{
	turn_put(db, id, ended_us, batches);
	struct db_stmt *stmt = db_use(db, &sql_join);
	db_bind_int(stmt, 1, id);
	db_bind_int(stmt, 2, session);
	assert_int_equal(db_run(stmt), ERR_OK);
}

static int64_t executions_erase(struct db *db, int64_t before_us)
{
	struct retention_executions executions = {.before_us = before_us};
	int64_t erased = 0;
	int steps = 0;
	do {
		assert_int_equal(retention_executions_erase(db, &executions), ERR_OK);
		/* The rows of one run more than the step's share: its turn, its session. */
		assert_true(executions.rows <= RETENTION_ROWS_ERASED + 2);
		assert_int_equal(count_of(db, &sql_counts), 0);
		erased += executions.erased;
		executions.after = executions.reached;
		assert_true(++steps < 1000);
	} while (executions.more);
	return erased;
}

static void runs_that_are_over_go_with_all_that_is_theirs(void **state)
{
	const int64_t day_us = INT64_C(86400000000), now_us = INT64_C(1800000000000000);
	struct db *db = store_open();
	assert_int_equal(db_run(db_use(db, &sql_workspace)), ERR_OK);
	assert_int_equal(db_run(db_use(db, &sql_agent)), ERR_OK);
	assert_int_equal(db_run(db_use(db, &sql_principal)), ERR_OK);
	int64_t old = id_of_ms((now_us - 4 * day_us) / 1000), new = id_of_ms((now_us - day_us / 2) / 1000);
	/* One session of old runs alone, one that goes on, one whose oldest run still goes on, one run without a session. */
	session_put(db, 11, 4, 0, now_us - 3 * day_us);
	session_turn_put(db, 11, old, now_us - 3 * day_us, 250);
	session_turn_put(db, 11, old + 1, now_us - 3 * day_us, 1);
	session_put(db, 12, 4, 0, now_us - day_us / 3);
	session_turn_put(db, 12, old + 2, now_us - 3 * day_us, 2);
	session_turn_put(db, 12, new, now_us - day_us / 3, 2);
	session_put(db, 13, 2, 1, now_us - 3 * day_us);
	session_turn_put(db, 13, old + 3, 0, 2);
	turn_put(db, old + 4, now_us - 3 * day_us, 0);
	assert_int_equal(executions_erase(db, 0), 0);
	assert_int_equal(executions_erase(db, now_us - day_us), 4);
	assert_int_equal(count_of(db, &sql_turns), 2);
	assert_int_equal(count_of(db, &sql_sessions), 2);
	assert_int_equal(count_of(db, &sql_batches), 4);
	assert_int_equal(executions_erase(db, now_us - day_us), 0);
	db_close(&db);
}

static void a_store_of_runs_stops_growing(void **state)
{
	enum { ROUNDS = 10, RUNS = 300 };
	struct db *db = store_open();
	struct stat file;
	int64_t bytes[ROUNDS];
	assert_int_equal(db_run(db_use(db, &sql_workspace)), ERR_OK);
	assert_int_equal(db_run(db_use(db, &sql_agent)), ERR_OK);
	assert_int_equal(db_run(db_use(db, &sql_principal)), ERR_OK);
	for (int round = 0; round < ROUNDS; round++) {
		int64_t at_us = INT64_C(1800000000000000) + round * INT64_C(86400000000);
		for (int i = 0; i < RUNS; i++) {
			int64_t id = id_of_ms(at_us / 1000) + 2 * i;
			session_put(db, id + 1, 2, 0, at_us);
			session_turn_put(db, id + 1, id, at_us + 1000, 3);
		}
		assert_int_equal(executions_erase(db, at_us), round == 0 ? 0 : RUNS);
		assert_int_equal(count_of(db, &sql_sessions), RUNS);
		while (db_wal_pages(db) > 0) {
			assert_int_equal(db_checkpoint(db), ERR_OK);
		}
		assert_int_equal(stat(path, &file), 0);
		bytes[round] = file.st_size;
	}
	/* A few pages more or less, as they happen to split; the rounds between would have brought some hundred kilobytes each. */
	assert_true(bytes[ROUNDS - 1] - bytes[2] < 10 * 4096);
	db_close(&db);
}

/* ---- content of the audit log ---- */

static void old_entries_are_erased_and_verify_as_such(void **state)
{
	struct filler filler;
	struct audit_report report;
	filler_open(&filler);
	fill(&filler, 500, 10);
	struct retention_audit audit = {.before_us = filler.now_us};
	fill(&filler, 500, 10);
	int64_t erased = 0;
	do {
		assert_int_equal(retention_audit_erase(filler.db, &audit), ERR_OK);
		assert_true(audit.rows <= RETENTION_ROWS_ERASED);
		erased += audit.erased;
	} while (audit.more);
	assert_int_equal(erased, 50);
	assert_int_equal(audit.upto, 500);
	assert_int_equal(count_of(filler.db, &sql_entries), 50);
	assert_int_equal(count_of(filler.db, &sql_events), 1000);
	assert_int_equal(audit_verify(filler.db, NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
	assert_int_equal(report.entries, 1000);
	assert_int_equal(report.erased, 50);
	assert_int_equal(retention_audit_erase(filler.db, &audit), ERR_OK);
	assert_int_equal(audit.rows, 0);
	filler_close(&filler);
}

/* ---- what pages still show ---- */

static const struct db_sql sql_key_put = {
	"INSERT INTO idempotency (key_hash, request_hash, principal, made_at, process, execution, log_seq, status, reply) "
	"VALUES (?1, ?1, ?2, 1, 1, 0, 0, 200, ?3)"};
static const struct db_sql sql_keys_gone = {"DELETE FROM idempotency WHERE principal = 1"};
static const struct db_sql sql_keys_kept = {"SELECT count(*) FROM idempotency WHERE length(reply) > 0"};

static int occurrences(const char *file, const char *wanted)
{
	static char bytes[8 << 20];
	FILE *in = fopen(file, "rb");
	assert_non_null(in);
	struct str rest = str_make(bytes, fread(bytes, 1, sizeof(bytes), in));
	int count = 0;
	assert_true(rest.len < sizeof(bytes));
	fclose(in);
	for (ptrdiff_t at; (at = str_find(rest, str_of(wanted))) >= 0; count++) {
		rest = str_sub(rest, (size_t)at + 1, rest.len);
	}
	return count;
}

static void keys_fill(struct db *db)
{
	char text[600];
	uint8_t key[16];
	uint64_t seed = 1;
	assert_int_equal(db_begin(db), ERR_OK);
	for (int i = 0; i < 3000; i++) {
		for (size_t k = 0; k < sizeof(key); k++) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
			key[k] = (uint8_t)(seed >> 56);
		}
		int len = snprintf(text, sizeof(text), "%s%0*d", i % 7 == 0 ? "CANARY" : "other", 5 + (int)(seed >> 33) % 400, i);
		struct db_stmt *stmt = db_use(db, &sql_key_put);
		db_bind_bytes(stmt, 1, str_make(key, sizeof(key)));
		db_bind_int(stmt, 2, i % 7 == 0 ? 1 : 2);
		db_bind_text(stmt, 3, str_make(text, (size_t)len));
		assert_int_equal(db_run(stmt), ERR_OK);
	}
	assert_int_equal(db_run(db_use(db, &sql_keys_gone)), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
}

static void what_was_deleted_is_nowhere_in_the_files(void **state)
{
	char log[128];
	struct db *db = store_open(), *reader;
	int64_t page = 1;
	bool more = true, whole, row;
	snprintf(log, sizeof(log), "%s-wal", path);
	keys_fill(db);
	assert_int_equal(db_open(path, DB_READER, &reader, detail), ERR_OK);
	/* Somebody reads from the log: neither it nor the file can be cleared. */
	assert_int_equal(db_begin(reader), ERR_OK);
	assert_int_equal(db_step(db_use(reader, &sql_keys_kept), &row), ERR_OK);
	assert_int_equal(db_begin(db), ERR_OK);
	assert_int_equal(db_run(db_use(db, &sql_workspace)), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(db_scrub(db, &page, 10, &more), ERR_AGAIN);
	assert_int_equal(page, 1);
	assert_int_equal(db_wal_empty(db), ERR_AGAIN);
	db_rollback(reader);

	while (db_wal_pages(db) > 0) {
		assert_int_equal(db_checkpoint(db), ERR_OK);
	}
	/* The driver deleted all of them, and yet: */
	assert_true(occurrences(path, "CANARY") > 0);
	for (int steps = 0; more || steps == 0; steps++) {
		assert_int_equal(db_scrub(db, &page, 50, &more), ERR_OK);
		assert_true(steps < 1000);
	}
	assert_int_equal(occurrences(path, "CANARY"), 0);
	assert_true(occurrences(log, "CANARY") > 0);
	assert_int_equal(db_wal_empty(db), ERR_OK);
	assert_int_equal(occurrences(log, "CANARY"), 0);
	/* Nothing comes back with what this connection remembered, and nothing else was touched. */
	assert_int_equal(db_begin(db), ERR_OK);
	struct db_stmt *stmt = db_use(db, &sql_key_put);
	db_bind_bytes(stmt, 1, STR("0123456789abcdef"));
	db_bind_int(stmt, 2, 2);
	db_bind_text(stmt, 3, STR("late"));
	assert_int_equal(db_run(stmt), ERR_OK);
	assert_int_equal(db_commit(db), ERR_OK);
	assert_int_equal(occurrences(log, "CANARY"), 0);
	assert_int_equal(count_of(reader, &sql_keys_kept), 3000 - 429 + 1);
	assert_int_equal(db_backup_integrity(reader, NULL, NULL, &whole, detail), ERR_OK);
	assert_true(whole);
	db_close(&reader);
	db_close(&db);
}

/* ---- copies ---- */

struct copy_watch {
	struct filler *filler;
	int steps;
	int stop_at; /* 0: never */
};

static bool write_meanwhile(void *arg, int64_t pages, int64_t pages_all)
{
	struct copy_watch *watch = arg;
	assert_true(pages <= pages_all);
	watch->steps++;
	if (watch->filler != NULL) {
		fill(watch->filler, 5, 2000);
	}
	return watch->stop_at == 0 || watch->steps < watch->stop_at;
}

static void a_copy_is_one_moment_of_a_store_that_goes_on(void **state)
{
	struct filler filler;
	char to[128], other[160];
	struct db *copy;
	struct stat file;
	bool whole;
	filler_open(&filler);
	fill(&filler, 1500, 2000);
	struct copy_watch watch = {.filler = &filler};
	struct db_backup backup = {.from = path, .to = to, .progress = write_meanwhile, .arg = &watch};
	snprintf(to, sizeof(to), "%s/copy", dir);
	if (db_backup_make(&backup, detail) != ERR_OK) {
		fail_msg("%s", detail);
	}
	assert_true(watch.steps > 2);
	assert_int_equal(stat(to, &file), 0);
	assert_int_equal(file.st_mode & 0777, 0600);
	assert_int_equal(db_open(to, DB_READER, &copy, detail), ERR_OK);
	assert_int_equal(db_backup_integrity(copy, NULL, NULL, &whole, detail), ERR_OK);
	assert_true(whole);
	chain_is_whole(copy, 1500);
	/* It is one file, whoever reads it. */
	snprintf(other, sizeof(other), "%s-wal", to);
	assert_int_not_equal(access(other, F_OK), 0);
	db_close(&copy);
	/* A name that is taken stays with whom it belongs to. */
	assert_int_equal(db_backup_make(&backup, detail), ERR_CONFLICT);
	assert_non_null(strstr(detail, "is there already"));
	filler_close(&filler);
}

static void a_copy_that_is_stopped_leaves_nothing(void **state)
{
	struct filler filler;
	char to[128], part[160];
	filler_open(&filler);
	fill(&filler, 1500, 2000);
	struct copy_watch watch = {.stop_at = 2};
	struct db_backup backup = {.from = path, .to = to, .progress = write_meanwhile, .arg = &watch};
	snprintf(to, sizeof(to), "%s/copy", dir);
	snprintf(part, sizeof(part), "%s.part", to);
	assert_int_equal(db_backup_make(&backup, detail), ERR_CANCELLED);
	assert_int_not_equal(access(to, F_OK), 0);
	assert_int_not_equal(access(part, F_OK), 0);
	filler_close(&filler);
}

/* ---- generations ---- */

static struct generation started(bool renew, bool *renewed)
{
	struct generation generation;
	struct db *db = store_open();
	if (generation_start(db, dir, env_real(), renew, &generation, renewed, detail) != ERR_OK) {
		fail_msg("%s", detail);
	}
	db_close(&db);
	return generation;
}

static void file_put(const char *text)
{
	char name[96];
	snprintf(name, sizeof(name), "%s/generation", dir);
	FILE *file = fopen(name, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	fclose(file);
}

static void each_start_counts_and_keeps_the_epoch(void **state)
{
	bool renewed;
	struct generation first = started(false, &renewed);
	assert_false(renewed);
	assert_int_equal(first.number, 1);
	struct generation second = started(false, &renewed);
	assert_false(renewed);
	assert_int_equal(second.number, 2);
	assert_int_equal(second.epoch, first.epoch);
	struct generation third = started(true, &renewed);
	assert_true(renewed);
	assert_int_not_equal(third.epoch, first.epoch);
	assert_int_equal(started(false, &renewed).epoch, third.epoch);
	assert_false(renewed);
}

static void a_store_behind_its_directory_gets_a_new_epoch(void **state)
{
	struct filler filler;
	bool renewed;
	struct generation now = started(false, &renewed);
	char text[200], name[96];
	filler_open(&filler);
	fill(&filler, 10, 10);
	filler_close(&filler);
	/* As far as it is, or less far: as it should be. */
	now.seq = 10;
	assert_int_equal(generation_write(dir, &now), ERR_OK);
	now = started(false, &renewed);
	assert_false(renewed);
	/* Further than it is. */
	now.seq = 11;
	assert_int_equal(generation_write(dir, &now), ERR_OK);
	now = started(false, &renewed);
	assert_true(renewed);
	/* A later start. */
	snprintf(text, sizeof(text), "epoch %lld\nnumber %lld\nseq 1\n", (long long)now.epoch, (long long)now.number + 3);
	file_put(text);
	struct generation after = started(false, &renewed);
	assert_true(renewed);
	assert_int_equal(after.number, now.number + 4);
	/* Another store's, a broken one, none. */
	file_put("epoch 5\nnumber 1\nseq 1\n");
	(void)started(false, &renewed);
	assert_true(renewed);
	file_put("epoch");
	(void)started(false, &renewed);
	assert_true(renewed);
	snprintf(name, sizeof(name), "%s/generation", dir);
	assert_int_equal(unlink(name), 0);
	(void)started(false, &renewed);
	assert_true(renewed);
	(void)started(false, &renewed);
	assert_false(renewed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(old_events_go_and_the_chain_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(the_oldest_beyond_a_size_go, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_not_measured_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(the_file_stops_growing, setup, teardown),
		cmocka_unit_test_setup_teardown(batches_of_streams_that_are_over_go, setup, teardown),
		cmocka_unit_test_setup_teardown(runs_that_are_over_go_with_all_that_is_theirs, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_of_runs_stops_growing, setup, teardown),
		cmocka_unit_test_setup_teardown(old_entries_are_erased_and_verify_as_such, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_deleted_is_nowhere_in_the_files, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_is_one_moment_of_a_store_that_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_copy_that_is_stopped_leaves_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(each_start_counts_and_keeps_the_epoch, setup, teardown),
		cmocka_unit_test_setup_teardown(a_store_behind_its_directory_gets_a_new_epoch, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
