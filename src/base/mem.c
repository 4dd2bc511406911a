/* mem.c - the heap's door: calloc, realloc and free with a counter and a hook in front. */
#include "base/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>

static atomic_uint_fast64_t allocations;
static mem_fail_fn *hook_fail;
static void *hook_arg;

static bool refused(void)
{
	uint64_t number = atomic_fetch_add_explicit(&allocations, 1, memory_order_relaxed) + 1;

	return hook_fail && hook_fail(hook_arg, number);
}

void *mem_alloc(size_t bytes)
{
	if (refused()) {
		return NULL;
	}
	return calloc(1, bytes ? bytes : 1);
}

void *mem_grow(void *block, size_t bytes)
{
	if (refused()) {
		return NULL;
	}
	return realloc(block, bytes ? bytes : 1);
}

void mem_free(void *block)
{
	free(block);
}

void mem_keep(size_t bytes)
{
	int kept = bytes < INT32_MAX ? (int)bytes : INT32_MAX;

	(void)mallopt(M_TRIM_THRESHOLD, kept);
	(void)mallopt(M_MMAP_THRESHOLD, kept);
}

void mem_hook_set(mem_fail_fn *fail, void *arg)
{
	hook_arg = arg;
	hook_fail = fail;
}

#ifdef GUILD_FAILPOINTS
size_t mem_size(void *block)
{
	return malloc_usable_size(block);
}

void *mem_resize(void *block, size_t bytes)
{
	if (bytes == 0) {
		free(block);
		return NULL;
	}
	return mem_grow(block, bytes);
}
#endif

uint64_t mem_count(void)
{
	return atomic_load_explicit(&allocations, memory_order_relaxed);
}
