/*
 * file_priv.h - what stands behind file.h: the files of the machine, or in a test a disk in memory.
 *
 * For:     file.c, dir.c and vfs_memory.c.
 * Not for: other folders.
 * Threads: as file.h.
 * Memory:  as file.h.
 */
#ifndef GUILD_DB_FILE_PRIV_H
#define GUILD_DB_FILE_PRIV_H

#include "db/file.h"

struct db_files {
	int (*read)(const char *path, char *out, size_t cap, struct db_file_about *about);
	/* over: what is there is replaced */
	int (*put)(const char *dir, const char *name, struct str bytes, bool over);
	int (*create)(const char *path);
	/* held: what tail, cut, add and close get */
	int (*open)(const char *path, void **held);
	void (*close)(void *held);
	int (*tail)(void *held, char *out, size_t cap, size_t *len, size_t *size);
	int (*cut)(void *held, size_t size);
	int (*add)(void *held, struct str bytes);
};

#ifdef GUILD_FAILPOINTS
/* The files that path is one of; NULL: the machine's. */
const struct db_files *vfs_memory_files(const char *path);
/* Holds the directory exclusively, and leaves it. False: somebody else has it. */
bool vfs_memory_hold(const char *dir);
void vfs_memory_leave(const char *dir);
#else
static inline const struct db_files *vfs_memory_files(const char *path)
{
	(void)path;
	return NULL;
}

static inline bool vfs_memory_hold(const char *dir)
{
	(void)dir;
	return false;
}

static inline void vfs_memory_leave(const char *dir)
{
	(void)dir;
}
#endif

#endif
