/*
 * scrub.c - clears what pages of the file still show of rows that are gone.
 *
 * The driver overwrites what it deletes (secure_delete). But when it moves rows between pages, to keep its trees balanced, it leaves their old
 * bytes in the room between a page's list of cells and its cells, and nothing overwrites them when the moved row is deleted:
 *
 *   | header | offsets of cells ->   unused: cleared here   <- cells |
 *
 * So this goes over the file itself, by the driver's own way to it, when all of the write-ahead log is in the file and nobody is changing
 * anything. What this connection remembers of pages is forgotten first: it would be written back with them. Unused bytes mean nothing to anybody, so
 * a page of which the power lets only a part through is as good as before.
 */
#include <sqlite3.h>
#include <string.h>

#include "db/db_priv.h"

#define PAGE_ONE_HEADER 100
/* A page of a tree begins with its kind, every other one with a page's number: up to here those begin with 0 or 1, which are no kinds. */
#define PAGES_MAX INT64_C(0x02000000)
#define LOCK_PAGE (1073741824 / DB_PAGE_BYTES + 1)

static unsigned get16(const uint8_t *at)
{
	return (unsigned)at[0] << 8 | at[1];
}

/* Where the unused part of a tree's page is; false when there is nothing in it, or the page is none of a tree's. */
static bool unused_find(const uint8_t page[DB_PAGE_BYTES], size_t header, size_t *from, size_t *to)
{
	const uint8_t *at = page + header;
	bool leaf = at[0] == 13 || at[0] == 10;
	if (!leaf && at[0] != 5 && at[0] != 2) {
		return false;
	}
	*from = header + (leaf ? 8 : 12) + 2 * (size_t)get16(at + 3);
	*to = get16(at + 5);
	if (*from > DB_PAGE_BYTES || *to > DB_PAGE_BYTES || *from >= *to) {
		return false;
	}
	for (size_t i = *from; i < *to; i++) {
		if (page[i] != 0) {
			return true;
		}
	}
	return false;
}

static int page_scrub(sqlite3_file *file, int64_t number)
{
	uint8_t page[DB_PAGE_BYTES];
	size_t from, to;
	sqlite3_int64 offset = (number - 1) * DB_PAGE_BYTES;
	int code = file->pMethods->xRead(file, page, sizeof(page), offset);
	if (code != SQLITE_OK || number == LOCK_PAGE || !unused_find(page, number == 1 ? PAGE_ONE_HEADER : 0, &from, &to)) {
		return code;
	}
	memset(page + from, 0, to - from);
	return file->pMethods->xWrite(file, page, sizeof(page), offset);
}

static enum err all_in_file(struct db *db)
{
	int log_pages = 0, copied_pages = 0;
	int code = sqlite3_wal_checkpoint_v2(db_handle(db), NULL, SQLITE_CHECKPOINT_PASSIVE, &log_pages, &copied_pages);
	if ((code & 0xff) == SQLITE_BUSY || (code == SQLITE_OK && copied_pages < log_pages)) {
		return ERR_AGAIN;
	}
	if (code != SQLITE_OK) {
		return db_fault(db, code, "scrub");
	}
	db_wal_copied(db);
	(void)sqlite3_db_release_memory(db_handle(db));
	return ERR_OK;
}

enum err db_scrub(struct db *db, int64_t *page, int pages, bool *more)
{
	sqlite3_file *file = NULL;
	sqlite3_int64 bytes = 0;
	*more = false;
	enum err err = all_in_file(db);
	if (err != ERR_OK) {
		return err;
	}
	int code = sqlite3_file_control(db_handle(db), "main", SQLITE_FCNTL_FILE_POINTER, &file);
	if (code == SQLITE_OK) {
		code = file->pMethods->xFileSize(file, &bytes);
	}
	int64_t last = bytes / DB_PAGE_BYTES;
	if (code == SQLITE_OK && last >= PAGES_MAX) {
		return ERR_LIMIT;
	}
	for (; code == SQLITE_OK && pages > 0 && *page <= last; pages--) {
		code = page_scrub(file, *page);
		*page += code == SQLITE_OK;
	}
	*more = code == SQLITE_OK && *page <= last;
	if (code == SQLITE_OK && !*more) {
		code = file->pMethods->xSync(file, SQLITE_SYNC_FULL);
	}
	return code == SQLITE_OK ? ERR_OK : db_fault(db, code, "scrub");
}

enum err db_wal_empty(struct db *db)
{
	/* Whoever reads is not waited for: commits would wait too. */
	sqlite3_busy_timeout(db_handle(db), 0);
	int code = sqlite3_wal_checkpoint_v2(db_handle(db), NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	sqlite3_busy_timeout(db_handle(db), DB_BUSY_TIMEOUT_MS);
	if (code == SQLITE_OK) {
		db_wal_copied(db);
		return ERR_OK;
	}
	return (code & 0xff) == SQLITE_BUSY ? ERR_AGAIN : db_fault(db, code, "checkpoint");
}
