/*
 * env.h - the only door to time and randomness.
 *
 * For:     everything that asks what time it is or needs chance, so that a run can be replayed.
 * Not for: memory (mem.h).
 * Threads: any; the functions of the real one are thread-safe.
 * Memory:  borrowed by all, lives longer than all.
 */
#ifndef GUILD_BASE_ENV_H
#define GUILD_BASE_ENV_H

#include <stddef.h>
#include <stdint.h>

struct env {
	/* Microseconds since 1970 UTC; may jump. */
	int64_t (*wall_us)(void *ctx);
	/* Microseconds from an arbitrary start; never goes back. */
	int64_t (*mono_us)(void *ctx);
	/* Fills out with unpredictable bytes. */
	void (*random)(void *ctx, void *out, size_t len);
	void *ctx;
};

/* The machine's own clock and getrandom(2). */
const struct env *env_real(void);

static inline int64_t env_wall_us(const struct env *e) { return e->wall_us(e->ctx); }
static inline int64_t env_mono_us(const struct env *e) { return e->mono_us(e->ctx); }
static inline void env_random(const struct env *e, void *out, size_t len) { e->random(e->ctx, out, len); }

#endif
