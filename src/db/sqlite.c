/*
 * sqlite.c - the SQLite driver: connections, kept statements, transactions.
 *
 * Statements are kept per connection in an open-addressing table whose key is the address of the static db_sql; they
 * are prepared once (SQLITE_PREPARE_PERSISTENT), because preparing costs several times as much as running.
 */
#include "db/db.h"

#include <sqlite3.h>
#include <stdio.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/db_priv.h"
#include "db/file.h"
#include "db/vfs_fault.h"

#define STATEMENTS_MAX 4096

struct db_stmt {
	struct db *db;
	const struct db_sql *sql;
	sqlite3_stmt *handle;
	enum err failed; /* it could not be prepared or bound: told by the next step */
	bool stepped;    /* it stands on a row */
	bool bound;
};

struct db {
	sqlite3 *handle;
	enum db_mode mode;
	struct db_stmt **slots;
	size_t slot_count;
	size_t stmt_count;
	size_t stepped_count;
	uint64_t writes;
	uint64_t statements;
	uint64_t pages_logged;
	int64_t wal_end; /* pages in the log at the last commit */
	int64_t wal_pages;
	bool rollback_due;        /* a transaction could not be ended */
	struct db_stmt no_memory; /* stands for a statement that could not be had */
	int logged_code; /* the fault already in the log, so that a full disk does not fill the log too */
};

static const struct db_sql sql_begin_write = {"BEGIN IMMEDIATE"};
static const struct db_sql sql_begin_read = {"BEGIN"};
static const struct db_sql sql_commit = {"COMMIT"};
static const struct db_sql sql_rollback = {"ROLLBACK"};
static const struct db_sql sql_savepoint = {"SAVEPOINT job"};
static const struct db_sql sql_release = {"RELEASE job"};
static const struct db_sql sql_rollback_to = {"ROLLBACK TO job"};

static enum err err_of(int code)
{
	switch (code & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return ERR_OK;
	case SQLITE_FULL:
	case SQLITE_IOERR:
	case SQLITE_READONLY:
	case SQLITE_CANTOPEN:
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
	case SQLITE_PROTOCOL:
	case SQLITE_ABORT:
	case SQLITE_PERM:
	case SQLITE_AUTH:
		return ERR_STORE_UNAVAILABLE;
	case SQLITE_CONSTRAINT:
		return ERR_CONFLICT;
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return ERR_CORRUPT;
	case SQLITE_NOMEM:
		return ERR_MEMORY;
	case SQLITE_TOOBIG:
		return ERR_LIMIT;
	default:
		return ERR_INTERNAL;
	}
}

/* Translates code and logs the driver's text, once per kind of fault until something works again. */
static enum err fault(struct db *db, int code, const char *text)
{
	enum err err = err_of(code);
	if (err == ERR_CONFLICT) {
		log_at(LOG_DEBUG, "store_constraint", log_s("reason", str_of(sqlite3_errmsg(db->handle))));
	} else if (code != db->logged_code) {
		db->logged_code = code;
		log_at(LOG_ERROR, "store_fault", log_s("reason", str_of(sqlite3_errmsg(db->handle))),
		       log_i("code", code), log_s("statement", str_of(text)));
	}
	return err;
}

/* ---- opening ---- */

struct str db_path_shown(const char *path)
{
	struct str s = str_of(path);
	return s.len <= 100 ? s : str_sub(s, s.len - 100, 100);
}

static void explain(int code, int system_errno, const char *path, char *detail)
{
	struct str shown = db_path_shown(path);
	switch (code & 0xff) {
	case SQLITE_NOTADB:
	case SQLITE_CORRUPT:
		snprintf(detail, DB_DETAIL_BYTES,
			 "the file %.*s is damaged or not a Guild database; restore a backup or choose another directory "
			 "with --data",
			 STR_FMT(shown));
		break;
	case SQLITE_FULL:
		snprintf(detail, DB_DETAIL_BYTES, "the disk that holds %.*s is full; make room on it", STR_FMT(shown));
		break;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		snprintf(detail, DB_DETAIL_BYTES, "the file %.*s is locked by another program; end that program",
			 STR_FMT(shown));
		break;
	case SQLITE_READONLY:
	case SQLITE_PERM:
		snprintf(detail, DB_DETAIL_BYTES, "the file %.*s is read-only; make it and its directory writable",
			 STR_FMT(shown));
		break;
	case SQLITE_NOMEM:
		snprintf(detail, DB_DETAIL_BYTES, "there is not enough memory to open %.*s", STR_FMT(shown));
		break;
	default:
		snprintf(detail, DB_DETAIL_BYTES,
			 "the file %.*s cannot be opened or written (%s); check its directory's permissions", STR_FMT(shown),
			 system_errno != 0 ? strerror(system_errno) : sqlite3_errstr(code));
	}
}

void db_explain(const struct db *db, enum err err, const char *path, char *detail)
{
	int code = sqlite3_extended_errcode(db->handle);
	if (err == ERR_CORRUPT) {
		code = SQLITE_CORRUPT;
	}
	explain(code, sqlite3_system_errno(db->handle), path, detail);
}

void db_explain_memory(char *detail)
{
	snprintf(detail, DB_DETAIL_BYTES, "there is not enough memory to open the store");
}

static int on_wal(void *arg, sqlite3 *handle, const char *name, int pages)
{
	struct db *db = arg;
	(void)handle;
	(void)name;
	/* A log that has become shorter has begun again. */
	db->pages_logged += (uint64_t)(pages >= db->wal_end ? pages - db->wal_end : pages);
	db->wal_end = db->wal_pages = pages;
	return SQLITE_OK;
}

/* Ends with a query of the file itself, so that a file of something else is noticed here. */
static int configure(struct db *db)
{
	static const char both[] =
		"PRAGMA page_size=4096; PRAGMA foreign_keys=ON; PRAGMA temp_store=MEMORY; PRAGMA trusted_schema=OFF;";
	static const char writer[] =
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; "
		"PRAGMA secure_delete=ON; PRAGMA journal_size_limit=134217728; PRAGMA cache_size=-16384; "
		"PRAGMA mmap_size=0;";
	static const char reader[] =
		"PRAGMA query_only=ON; PRAGMA mmap_size=1073741824; PRAGMA cache_size=-8192;";
	sqlite3_busy_timeout(db->handle, DB_BUSY_TIMEOUT_MS);
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	int code = sqlite3_exec(db->handle, both, NULL, NULL, NULL);
	if (code == SQLITE_OK) {
		code = sqlite3_exec(db->handle, db->mode == DB_WRITER ? writer : reader, NULL, NULL, NULL);
	}
	if (code == SQLITE_OK) {
		code = sqlite3_exec(db->handle, "SELECT count(*) FROM sqlite_schema", NULL, NULL, NULL);
	}
	if (code == SQLITE_OK && db->mode == DB_WRITER) {
		sqlite3_wal_hook(db->handle, on_wal, db);
	}
	return code;
}

/* The statements that end transactions are there from the start: one may have to end because there is no memory. */
static enum err keep_ends(struct db *db)
{
	static const struct db_sql *const ends[] = {&sql_commit, &sql_rollback, &sql_release, &sql_rollback_to};
	enum err err = ERR_OK;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]) && err == ERR_OK; i++) {
		err = db_use(db, ends[i])->failed;
	}
	return err;
}

enum err db_open(const char *path, enum db_mode mode, struct db **out, char *detail)
{
	*out = NULL;
	/* SQLite makes files that others may read; the log and the index of it take their mode from the database. */
	int refused = mode == DB_WRITER ? db_file_create(path) : 0;
	if (refused != 0) {
		explain(SQLITE_CANTOPEN, refused, path, detail);
		return ERR_STORE_UNAVAILABLE;
	}
	struct db *db = mem_alloc(sizeof(*db));
	if (db == NULL) {
		db_explain_memory(detail);
		return ERR_MEMORY;
	}
	db->mode = mode;
	/* Threading is settled for this connection alone: in a library the process-wide setting is the host's. */
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
	int code = sqlite3_open_v2(path, &db->handle, flags, vfs_fault_name());
	if (code == SQLITE_OK) {
		code = configure(db);
	}
	if (code == SQLITE_OK && keep_ends(db) != ERR_OK) {
		code = SQLITE_NOMEM;
	}
	if (code != SQLITE_OK) {
		explain(code, db->handle ? sqlite3_system_errno(db->handle) : 0, path, detail);
		db_close(&db);
		enum err err = err_of(code);
		return err == ERR_INTERNAL ? ERR_STORE_UNAVAILABLE : err;
	}
	*out = db;
	return ERR_OK;
}

void db_close(struct db **db)
{
	struct db *d = *db;
	if (d == NULL) {
		return;
	}
	for (size_t i = 0; i < d->slot_count; i++) {
		if (d->slots[i] != NULL) {
			sqlite3_finalize(d->slots[i]->handle);
			mem_free(d->slots[i]);
		}
	}
	check(sqlite3_close(d->handle) == SQLITE_OK);
	mem_free(d->slots);
	mem_free(d);
	*db = NULL;
}

/* ---- statements ---- */

static size_t slot_find(struct db_stmt *const *slots, size_t slot_count, const struct db_sql *sql)
{
	size_t at = (size_t)(((uint64_t)(uintptr_t)sql * 0x9e3779b97f4a7c15u) >> 32) & (slot_count - 1);
	while (slots[at] != NULL && slots[at]->sql != sql) {
		at = (at + 1) & (slot_count - 1);
	}
	return at;
}

static bool slots_grow(struct db *db)
{
	size_t wanted = db->slot_count == 0 ? 128 : db->slot_count * 2;
	struct db_stmt **slots = mem_alloc(wanted * sizeof(struct db_stmt *));
	if (slots == NULL) {
		return false;
	}
	for (size_t i = 0; i < db->slot_count; i++) {
		if (db->slots[i] != NULL) {
			slots[slot_find(slots, wanted, db->slots[i]->sql)] = db->slots[i];
		}
	}
	mem_free(db->slots);
	db->slots = slots;
	db->slot_count = wanted;
	return true;
}

static struct db_stmt *stmt_add(struct db *db, const struct db_sql *sql)
{
	check(db->stmt_count < STATEMENTS_MAX);
	bool room = (db->stmt_count + 1) * 4 <= db->slot_count * 3 || slots_grow(db);
	struct db_stmt *stmt = room ? mem_alloc(sizeof(*stmt)) : NULL;
	if (stmt == NULL) {
		return NULL;
	}
	stmt->db = db;
	stmt->sql = sql;
	db->slots[slot_find(db->slots, db->slot_count, sql)] = stmt;
	db->stmt_count++;
	return stmt;
}

static void stmt_prepare(struct db_stmt *stmt)
{
	int code = sqlite3_prepare_v3(stmt->db->handle, stmt->sql->text, -1, SQLITE_PREPARE_PERSISTENT, &stmt->handle,
				      NULL);
	stmt->failed = ERR_OK;
	if (code != SQLITE_OK) {
		stmt->failed = fault(stmt->db, code, stmt->sql->text);
		/* A text that is wrong is a bug; a disk that cannot be read is a fault, told by the step. */
		check((code & 0xff) != SQLITE_ERROR);
	}
}

struct db_stmt *db_use(struct db *db, const struct db_sql *sql)
{
	struct db_stmt *stmt = db->slot_count > 0 ? db->slots[slot_find(db->slots, db->slot_count, sql)] : NULL;
	if (stmt == NULL) {
		stmt = stmt_add(db, sql);
	}
	if (stmt == NULL) {
		db->no_memory = (struct db_stmt){.db = db, .sql = sql, .failed = ERR_MEMORY};
		return &db->no_memory;
	}
	if (stmt->handle == NULL) {
		stmt_prepare(stmt);
		return stmt;
	}
	db_reset(stmt);
	if (stmt->bound) {
		sqlite3_clear_bindings(stmt->handle);
		stmt->bound = false;
	}
	stmt->failed = ERR_OK;
	return stmt;
}

static void bound(struct db_stmt *stmt, int code)
{
	stmt->bound = true;
	if (code != SQLITE_OK && stmt->handle != NULL) {
		check(code != SQLITE_RANGE && code != SQLITE_MISUSE);
		stmt->failed = err_of(code);
	}
}

void db_bind_int(struct db_stmt *stmt, int index, int64_t value)
{
	bound(stmt, stmt->handle ? sqlite3_bind_int64(stmt->handle, index, value) : SQLITE_OK);
}

void db_bind_real(struct db_stmt *stmt, int index, double value)
{
	bound(stmt, stmt->handle ? sqlite3_bind_double(stmt->handle, index, value) : SQLITE_OK);
}

void db_bind_null(struct db_stmt *stmt, int index)
{
	bound(stmt, stmt->handle ? sqlite3_bind_null(stmt->handle, index) : SQLITE_OK);
}

void db_bind_text(struct db_stmt *stmt, int index, struct str text)
{
	if (text.at == NULL) {
		db_bind_null(stmt, index);
	} else if (stmt->handle != NULL) {
		bound(stmt, sqlite3_bind_text64(stmt->handle, index, text.at, text.len, SQLITE_STATIC, SQLITE_UTF8));
	}
}

void db_bind_bytes(struct db_stmt *stmt, int index, struct str bytes)
{
	if (bytes.at == NULL) {
		db_bind_null(stmt, index);
	} else if (stmt->handle != NULL) {
		bound(stmt, sqlite3_bind_blob64(stmt->handle, index, bytes.at, bytes.len, SQLITE_STATIC));
	}
}

void db_reset(struct db_stmt *stmt)
{
	if (stmt->stepped) {
		stmt->stepped = false;
		stmt->db->stepped_count--;
		sqlite3_reset(stmt->handle);
	}
}

static enum err step(struct db_stmt *stmt, bool *row)
{
	*row = false;
	if (stmt->failed != ERR_OK) {
		return stmt->failed;
	}
	int code = sqlite3_step(stmt->handle);
	if (code == SQLITE_ROW) {
		stmt->db->stepped_count += stmt->stepped ? 0 : 1;
		stmt->stepped = true;
		*row = true;
		return ERR_OK;
	}
	enum err err = code == SQLITE_DONE ? ERR_OK : fault(stmt->db, code, stmt->sql->text);
	check((code & 0xff) != SQLITE_MISUSE);
	if (stmt->stepped) {
		db_reset(stmt);
	} else {
		sqlite3_reset(stmt->handle);
	}
	return err;
}

enum err db_step(struct db_stmt *stmt, bool *row)
{
	if (!stmt->stepped) {
		stmt->db->statements++;
		stmt->db->writes += stmt->handle != NULL && sqlite3_stmt_readonly(stmt->handle) == 0;
	}
	return step(stmt, row);
}

/* A statement without rows that is not counted: begins and ends of transactions. */
static enum err run(struct db_stmt *stmt)
{
	bool row;
	enum err err = step(stmt, &row);
	check(!row);
	return err;
}

enum err db_run(struct db_stmt *stmt)
{
	stmt->db->statements++;
	stmt->db->writes++;
	return run(stmt);
}

int db_parameters(const struct db_stmt *stmt)
{
	return sqlite3_bind_parameter_count(stmt->handle);
}

int64_t db_int(struct db_stmt *stmt, int column)
{
	return sqlite3_column_int64(stmt->handle, column);
}

double db_real(struct db_stmt *stmt, int column)
{
	return sqlite3_column_double(stmt->handle, column);
}

bool db_is_null(struct db_stmt *stmt, int column)
{
	return sqlite3_column_type(stmt->handle, column) == SQLITE_NULL;
}

struct str db_bytes(struct db_stmt *stmt, int column)
{
	if (db_is_null(stmt, column)) {
		return STR_NONE;
	}
	/* No bytes come as a null pointer, which here means NULL. */
	const void *at = sqlite3_column_blob(stmt->handle, column);
	return at != NULL ? str_make(at, (size_t)sqlite3_column_bytes(stmt->handle, column)) : STR("");
}

struct str db_text(struct db_stmt *stmt, int column)
{
	/* Asking for bytes spares the driver a copy with a NUL behind it. */
	return db_bytes(stmt, column);
}

int64_t db_changes(struct db *db)
{
	return sqlite3_changes64(db->handle);
}

uint64_t db_writes(const struct db *db)
{
	return db->writes;
}

uint64_t db_statements(const struct db *db)
{
	return db->statements;
}

uint64_t db_pages_logged(const struct db *db)
{
	return db->pages_logged;
}

/* ---- transactions ---- */

/* A statement left on a row would keep the read lock over the end of the transaction, and the log from starting again. */
static void reset_all(struct db *db)
{
	for (size_t i = 0; i < db->slot_count && db->stepped_count > 0; i++) {
		if (db->slots[i] != NULL) {
			db_reset(db->slots[i]);
		}
	}
}

bool db_in_transaction(const struct db *db)
{
	return sqlite3_get_autocommit(db->handle) == 0;
}

enum err db_begin(struct db *db)
{
	if (db->rollback_due) {
		db_rollback(db);
		if (db->rollback_due) {
			return ERR_MEMORY;
		}
	}
	return run(db_use(db, db->mode == DB_WRITER ? &sql_begin_write : &sql_begin_read));
}

enum err db_commit(struct db *db)
{
	reset_all(db);
	enum err err = run(db_use(db, &sql_commit));
	if (err == ERR_OK) {
		db->logged_code = SQLITE_OK;
	}
	return err;
}

void db_rollback(struct db *db)
{
	reset_all(db);
	if (db_in_transaction(db)) {
		/* Even where the disk refuses, the transaction is over. Where there is no memory to end it (after a change of the schema that takes
		 * some), it is over with the connection, or before the next one begins. */
		db->rollback_due = run(db_use(db, &sql_rollback)) != ERR_OK && db_in_transaction(db);
	}
	if (db->mode == DB_READER) {
		db->logged_code = SQLITE_OK;
	}
}

enum err db_savepoint(struct db *db)
{
	return run(db_use(db, &sql_savepoint));
}

enum err db_savepoint_release(struct db *db)
{
	return run(db_use(db, &sql_release));
}

void db_savepoint_rollback(struct db *db)
{
	reset_all(db);
	/* After some faults the driver has ended the whole transaction, and the savepoint with it. */
	if (db_in_transaction(db)) {
		enum err err = run(db_use(db, &sql_rollback_to));
		if (err == ERR_OK) {
			err = run(db_use(db, &sql_release));
		}
		if (err != ERR_OK) {
			db_rollback(db);
		}
	}
}

int64_t db_wal_pages(const struct db *db)
{
	return db->wal_pages;
}

enum err db_checkpoint(struct db *db)
{
	int log_pages = 0;
	int copied_pages = 0;
	int code = sqlite3_wal_checkpoint_v2(db->handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &log_pages, &copied_pages);
	if (code == SQLITE_OK) {
		db->wal_pages = log_pages > copied_pages ? log_pages - copied_pages : 0;
		return ERR_OK;
	}
	return (code & 0xff) == SQLITE_BUSY ? ERR_AGAIN : fault(db, code, "checkpoint");
}

/* ---- for the folder alone ---- */

void db_wal_copied(struct db *db)
{
	db->wal_pages = 0;
}

enum err db_fault(struct db *db, int code, const char *text)
{
	return fault(db, code, text);
}

struct sqlite3 *db_handle(const struct db *db)
{
	return db->handle;
}

enum err db_exec(struct db *db, const char *text)
{
	int code = sqlite3_exec(db->handle, text, NULL, NULL, NULL);
	return code == SQLITE_OK ? ERR_OK : fault(db, code, "migration");
}

enum err db_exec_int(struct db *db, const char *text, int64_t *out)
{
	sqlite3_stmt *handle = NULL;
	*out = 0;
	int code = sqlite3_prepare_v2(db->handle, text, -1, &handle, NULL);
	if (code == SQLITE_OK) {
		code = sqlite3_step(handle);
		if (code == SQLITE_ROW) {
			*out = sqlite3_column_int64(handle, 0);
		}
	}
	enum err err = err_of(code) == ERR_OK ? ERR_OK : fault(db, code, text);
	sqlite3_finalize(handle);
	return err;
}

enum err db_copy(struct db *db, const char *path)
{
	sqlite3 *to = NULL;
	int code = db_file_create(path) == 0 ? SQLITE_OK : SQLITE_CANTOPEN;
	if (code == SQLITE_OK) {
		code = sqlite3_open_v2(path, &to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, vfs_fault_name());
	}
	if (code == SQLITE_OK) {
		sqlite3_backup *backup = sqlite3_backup_init(to, "main", db->handle, "main");
		code = backup != NULL ? sqlite3_backup_step(backup, -1) : sqlite3_errcode(to);
		int end = sqlite3_backup_finish(backup);
		code = code == SQLITE_DONE ? end : code;
	}
	sqlite3_close(to);
	return code == SQLITE_OK ? ERR_OK : fault(db, code, "copy");
}
