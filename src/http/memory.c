/* memory.c - libcurl's heap behind base/mem.h, in test builds: a sweep then fails its allocations too. */
#include "http/client.h"

#ifdef GUILD_FAILPOINTS

#include <curl/curl.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"

static void *many(size_t count, size_t bytes)
{
	return bytes != 0 && count > SIZE_MAX / bytes ? NULL : mem_alloc(count * bytes);
}

static char *copy(const char *text)
{
	size_t bytes = strlen(text) + 1;
	char *out = mem_alloc(bytes);

	return out ? memcpy(out, text, bytes) : NULL;
}

void http_memory_share(void)
{
	check(curl_global_init_mem(CURL_GLOBAL_DEFAULT, mem_alloc, mem_free, mem_resize, copy, many) == CURLE_OK);
}

#endif
