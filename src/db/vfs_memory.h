/*
 * vfs_memory.h - a disk in memory, for SQLite and for the small files of a data directory (builds with -Dfailpoints=true).
 *
 * For:     simulated worlds, which touch no file of the machine: every path that begins with VFS_MEMORY_PREFIX is here.
 * Not for: a server that runs (it would forget everything); other builds, which have none of it.
 * Threads: any; one lock. begin, end, keep and back while no store is open, but for keep.
 * Memory:  everything is the process's until vfs_memory_end.
 *
 * Beneath the shim of vfs_fault.h, so that what that says of faults, of unsynced writes and of the loss of power holds here too: the
 * bytes that SQLite reads back are this disk's, those that survive are the shim's. The index of the log is shared in the
 * process. Small files change whole, each change synced; at the loss of power one is done or is not.
 *
 * SQLite's chance and time come from env, from begin to end; who waits for a lock waits no time, since nobody moves meanwhile
 * (a test with threads has to try again).
 */
#ifndef GUILD_DB_VFS_MEMORY_H
#define GUILD_DB_VFS_MEMORY_H

#include <stdbool.h>

#include "base/env.h"
#include "base/str.h"

#define VFS_MEMORY_PREFIX "memory:"

/* An empty disk. */
void vfs_memory_begin(const struct env *env);
void vfs_memory_end(void);
/* A process that dies now leaves this to the next one: all that was written, synced or not. */
void vfs_memory_keep(void);
/* What was kept last is there again, and nothing else. */
void vfs_memory_back(void);
/* Bytes of all files. */
size_t vfs_memory_bytes(void);

/* For the shim: SQLite's name of it, registered on first use; one file whole. */
const char *vfs_memory_name(void);
/* Between begin and end. */
bool vfs_memory_began(void);
bool vfs_memory_is(const char *path);
bool vfs_memory_get(const char *path, struct str *bytes);
void vfs_memory_put(const char *path, struct str bytes);
void vfs_memory_remove(const char *path);

#endif
