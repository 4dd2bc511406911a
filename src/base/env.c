/* env.c - the machine's clocks and getrandom(2) behind struct env. */
#include "base/env.h"

#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>
#include <time.h>

#include "base/check.h"

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	check(clock_gettime(clock, &now) == 0);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t real_wall_us(void *ctx)
{
	(void)ctx;
	return clock_us(CLOCK_REALTIME);
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
