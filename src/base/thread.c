/* thread.c - the wrapper around every thread, and a gate to wait at. */
#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/check.h"
#include "base/env.h"

static void *thread_main(void *arg)
{
	struct thread *thread = arg;

	pthread_setname_np(pthread_self(), thread->name);
	thread->run(thread->arg);
	return NULL;
}

enum err thread_start(struct thread *thread, const char *name, void (*run)(void *arg), void *arg)
{
	sigset_t all, before;
	int failed;

	*thread = (struct thread){.run = run, .arg = arg};
	str_to_z(str_of(name), thread->name, sizeof(thread->name));
	sigfillset(&all);
	/* The new thread inherits the mask, so no signal can reach it before it has set its own. */
	check(pthread_sigmask(SIG_SETMASK, &all, &before) == 0);
	failed = pthread_create(&thread->handle, NULL, thread_main, thread);
	check(pthread_sigmask(SIG_SETMASK, &before, NULL) == 0);
	return failed ? ERR_LIMIT : ERR_OK;
}

void thread_join(struct thread *thread)
{
	check(pthread_join(thread->handle, NULL) == 0);
}

void thread_gate_init(struct thread_gate *gate)
{
	pthread_condattr_t attr;

	gate->open = false;
	check(pthread_mutex_init(&gate->lock, NULL) == 0);
	check(pthread_condattr_init(&attr) == 0);
	check(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
	check(pthread_cond_init(&gate->changed, &attr) == 0);
	pthread_condattr_destroy(&attr);
}

void thread_gate_fini(struct thread_gate *gate)
{
	check(pthread_cond_destroy(&gate->changed) == 0);
	check(pthread_mutex_destroy(&gate->lock) == 0);
}

void thread_gate_open(struct thread_gate *gate)
{
	check(pthread_mutex_lock(&gate->lock) == 0);
	gate->open = true;
	/* Signalled inside the lock: the waiter may destroy the gate as soon as it got through. */
	check(pthread_cond_signal(&gate->changed) == 0);
	check(pthread_mutex_unlock(&gate->lock) == 0);
}

bool thread_gate_wait(struct thread_gate *gate, int64_t timeout_us)
{
	struct timespec until = {0, 0};
	bool passed;
	int waited = 0;

	if (timeout_us >= 0) {
		int64_t now_us = env_mono_us(env_real());
		int64_t until_us = timeout_us > INT64_MAX - now_us ? INT64_MAX : now_us + timeout_us;
		until.tv_sec = (time_t)(until_us / 1000000);
		until.tv_nsec = (long)(until_us % 1000000) * 1000;
	}
	check(pthread_mutex_lock(&gate->lock) == 0);
	while (!gate->open && waited == 0) {
		waited = timeout_us < 0 ? pthread_cond_wait(&gate->changed, &gate->lock)
					: pthread_cond_timedwait(&gate->changed, &gate->lock, &until);
		check(waited == 0 || waited == ETIMEDOUT);
	}
	passed = gate->open;
	gate->open = false;
	check(pthread_mutex_unlock(&gate->lock) == 0);
	return passed;
}
