/*
 * thread.h - a thread that waits, turns, repeats.
 *
 * For:     the loops, the writer and the readers: their work is a *_turn() function, this is the wrapper.
 * Not for: anything else; nothing in the program starts a thread but through here.
 * Threads: start and join from one owner. Started threads block all signals.
 * Memory:  the struct is the caller's.
 */
#ifndef GUILD_BASE_THREAD_H
#define GUILD_BASE_THREAD_H

#include <pthread.h>

#include "base/err.h"

struct thread {
	pthread_t handle;
	void (*run)(void *arg);
	void *arg;
	char name[16];
};

/* Starts run(arg) on a new thread with that name (cut to 15 bytes) and all signals blocked. ERR_LIMIT. */
enum err thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg) MUST_USE;
void thread_join(struct thread *thread);

/* A flag to wait for: set by any thread, waited for by one. */
struct thread_gate {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool open;
};
void thread_gate_init(struct thread_gate *gate);
void thread_gate_fini(struct thread_gate *gate);
void thread_gate_open(struct thread_gate *gate);
/* Waits until open, then closes it again; timeout_us < 0 waits for ever. False on time-out. */
bool thread_gate_wait(struct thread_gate *gate, int64_t timeout_us);

#endif
