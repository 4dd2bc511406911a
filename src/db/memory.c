/* memory.c - SQLite's heap behind base/mem.h, in test builds: a sweep then fails its allocations too. */
#include "db/db.h"

#ifdef GUILD_FAILPOINTS

#include <sqlite3.h>

#include "base/check.h"
#include "base/mem.h"

static void *take(int bytes)
{
	return mem_alloc((size_t)bytes);
}

static void *resize(void *block, int bytes)
{
	return mem_resize(block, (size_t)bytes);
}

static int size_of(void *block)
{
	return (int)mem_size(block);
}

static int round_up(int bytes)
{
	return (bytes + 7) & ~7;
}

static int begin(void *unused)
{
	(void)unused;
	return SQLITE_OK;
}

static void end(void *unused)
{
	(void)unused;
}

void db_memory_share(void)
{
	static const sqlite3_mem_methods methods = {take, mem_free, resize, size_of, round_up, begin, end, NULL};

	check(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
	/* Its own pools would hide most allocations from the sweep. */
	check(sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0) == SQLITE_OK);
	check(sqlite3_config(SQLITE_CONFIG_PAGECACHE, NULL, 0, 0) == SQLITE_OK);
}

#endif
