/* memory.c - libevent's heap behind base/mem.h, in test builds: a sweep then fails its allocations too. */
#include "loop/loop.h"

#ifdef GUILD_FAILPOINTS

#include <event2/event.h>

#include "base/mem.h"

void loop_memory_share(void)
{
	event_set_mem_functions(mem_alloc, mem_resize, mem_free);
}

#endif
