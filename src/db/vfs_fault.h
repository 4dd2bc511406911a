/*
 * vfs_fault.h - a disk that fails and loses power when a test says so (builds with -Dfailpoints=true).
 *
 * For:     failing the n-th access of SQLite to its files, once or from then on; power loss in the process.
 * Not for: other files (key, token, lock), but for the loss of power of a disk in memory (vfs_memory.h); other builds, where only
 *          vfs_fault_name is left and says "none".
 * Threads: any; one lock. vfs_crash_arm and _land while no connection is open.
 * Memory:  in crash mode a copy of each file as the disk has it, until crash_land.
 *
 * Faults: vfs_fault_plan("write=full@37+,sync=io@3"), or GUILD_VFS_FAULT with the same text, or GUILD_VFS_FAULT_FILE with the
 * name of a file that holds it: a plan that comes and goes while a server runs (no file: no fault).
 *
 *   access: read, write, sync, open, truncate, lock, delete
 *   kind:   io, short (half of it is done, then as io), full (a write: SQLITE_FULL), readonly (as io, with EROFS), busy (a lock)
 *   @n      the n-th such access since the plan; @n+ from the n-th on; nothing: every one
 *
 * Crash mode: a file has what SQLite reads back, and what the disk has for sure: as of its last sync. At power loss the changes
 * between the two reach the disk in part: a seeded subset, cut at 512 bytes, in seeded order. A created file may vanish and a
 * deleted one come back until the directory was synced. A failed sync keeps a part and forgets the rest, as kernels do. From the
 * loss on every access fails, as if nobody were there any more.
 */
#ifndef GUILD_DB_VFS_FAULT_H
#define GUILD_DB_VFS_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef GUILD_FAILPOINTS

enum vfs_access { VFS_READ, VFS_WRITE, VFS_SYNC, VFS_OPEN, VFS_TRUNCATE, VFS_LOCK, VFS_DELETE, VFS_ACCESSES };

/* The name to open with; registered on first use. */
const char *vfs_fault_name(void);
/* Replaces the plan and begins to count anew. "" ends all faults. False when it cannot be read; nothing changes then. */
bool vfs_fault_plan(const char *plan);
/* Accesses of that kind since the plan. */
uint64_t vfs_fault_count(enum vfs_access access);
/* Faults given since the plan. */
uint64_t vfs_fault_given(void);

/* From now on files are kept apart as above. */
void vfs_crash_arm(uint64_t seed);
/* The power goes at the n-th change (write, truncate, sync, delete) from now; 0: it stays. */
void vfs_crash_at(uint64_t n);
void vfs_crash_now(void);
bool vfs_crash_is_dead(void);
/* Changes since vfs_crash_arm. */
uint64_t vfs_crash_changes(void);
/* A small file beside the store is about to be changed, whole: *done says whether that reaches the disk. False when the power is gone. */
bool vfs_crash_change(bool *done);
/* Makes the files what the disk has, and ends crash mode. */
void vfs_crash_land(void);

#else

static inline const char *vfs_fault_name(void)
{
	return NULL;
}

#endif

#endif
