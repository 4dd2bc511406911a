/*
 * mem.h - the one door to the heap.
 *
 * For:     every allocation of the program, so that a test can fail the n-th one and count them.
 * Not for: memory that lives as long as a request or a flow (arena.h).
 * Threads: any. The hook is set once, before any other thread starts.
 * Memory:  zero-filled; NULL when it cannot be had or the hook says so. mem_free takes NULL.
 */
#ifndef GUILD_BASE_MEM_H
#define GUILD_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Zero-filled, aligned for any type. NULL on failure. */
void *mem_alloc(size_t bytes);
/* As realloc; on failure the old block stays. New bytes are not cleared. */
void *mem_grow(void *block, size_t bytes);
void mem_free(void *block);

/* For a server's process alone: up to bytes of what is freed stay with the process, because a relayed answer's buffers come and go with it,
 * and giving their pages back each time costs more than filling them. */
void mem_keep(size_t bytes);

/* Called before each allocation with its number (1, 2, ...); returning true makes it fail. Tests only. */
typedef bool mem_fail_fn(void *arg, uint64_t number);
void mem_hook_set(mem_fail_fn *fail, void *arg);
/* Allocations made so far by this process (relaxed counter). */
uint64_t mem_count(void);

/* Test builds (option failpoints): a library's own heap behind the same door, so that a sweep reaches it too. Each folder that wraps a library
 * has one function that does it, called before the library's first use: db_memory_share, loop_memory_share, http_memory_share, hash_memory_share. */
#ifdef GUILD_FAILPOINTS
/* Bytes that can be used of a block; 0 of NULL. */
size_t mem_size(void *block);
/* As realloc of C libraries: no bytes free the block. */
void *mem_resize(void *block, size_t bytes);
#endif

#endif
