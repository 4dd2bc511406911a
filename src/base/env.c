/* env.c - the machine's clocks and getrandom(2) behind struct env. */
#include "base/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	check(clock_gettime(clock, &now) == 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

#ifdef GUILD_FAILPOINTS
/* A clock that jumps: the file that GUILD_CLOCK_FILE names has the seconds to add, as long as it is there. */
static int64_t jump_us(void)
{
	const char *path = getenv("GUILD_CLOCK_FILE");
	char text[32] = "";
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		(void)!read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return strtoll(text, NULL, 10) * 1000000;
}
#else
static inline int64_t jump_us(void)
{
	return 0;
}
#endif

static int64_t real_wall_us(void *ctx)
{
	(void)ctx;
	return clock_us(CLOCK_REALTIME) + jump_us();
}

static int64_t real_mono_us(void *ctx)
{
	(void)ctx;
	return clock_us(CLOCK_MONOTONIC);
}

static void real_random(void *ctx, void *out, size_t len)
{
	char *at = out;

	(void)ctx;
	while (len > 0) {
		ssize_t got = getrandom(at, len, 0);
		if (got < 0) {
			check(errno == EINTR);
			continue;
		}
		at += got;
		len -= (size_t)got;
	}
}

const struct env *env_real(void)
{
	static const struct env real = {real_wall_us, real_mono_us, real_random, NULL};

	return &real;
}
