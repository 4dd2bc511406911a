/* check.c - the end of a process whose invariant broke. */
#include "base/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

_Noreturn void check_failed(const char *what, const char *file, int line)
{
	char text[512];
	int len = snprintf(text, sizeof(text), "check failed: %s at %s:%d\n", what, file, line);

	if (len > 0) {
		size_t bytes = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
		ssize_t written = write(STDERR_FILENO, text, bytes);
		/* Nothing is left to do about a failed write: the core dump tells the same. */
		(void)written;
	}
	abort();
}
