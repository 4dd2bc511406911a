/*
 * vfs_fault_priv.h - the disk of crash mode, for the shim.
 *
 * For:     vfs_fault.c, which tells it what SQLite did.
 * Not for: other files; it knows nothing of SQLite.
 * Threads: the caller holds the shim's lock.
 * Memory:  a disk_file lives until disk_land.
 */
#ifndef GUILD_DB_VFS_FAULT_PRIV_H
#define GUILD_DB_VFS_FAULT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_file;

void disk_arm(uint64_t seed);
bool disk_armed(void);
/* A number below bound. */
uint64_t disk_chance(uint64_t bound);
/* The file at path, which has just been opened; known from before, or as it lies there. */
struct disk_file *disk_open(const char *path, bool created);
void disk_write(struct disk_file *file, const void *bytes, size_t len, int64_t at);
void disk_truncate(struct disk_file *file, int64_t size);
/* Everything up to now is on the disk; with_directory: so are all creations and deletions. */
void disk_sync(struct disk_file *file, bool with_directory);
/* A part of it is, the rest never will be. */
void disk_sync_failed(struct disk_file *file);
void disk_delete(const char *path, bool synced);
/* The power is gone: writes the files as the disk has them, and forgets all. */
void disk_land(void);

#endif
