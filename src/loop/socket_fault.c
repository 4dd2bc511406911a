/*
 * socket_fault.c - the system's socket calls through a shim that fails when told to.
 *
 * The plan and the counters are global: a test speaks of the n-th call of the process.
 */
#include "loop/socket_fault.h"

#ifdef GUILD_FAILPOINTS

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/check.h"
#include "base/fault_plan.h"

#define PIECES_MAX 64

enum kind { NONE, EMFILE_, ENFILE_, NOMEM, ABORTED, RESET, CUT, DRIP, SHORT, DELAY, INTERRUPT, KINDS };

/* What a call has to do; len: of how many bytes at most. */
struct verdict {
	enum kind kind;
	size_t len;
};

static const char *const access_names[SOCKET_ACCESSES] = {"accept", "read", "write", "shutdown", "open", "ready"};
static const char *const kind_names[KINDS] = {"",    "emfile", "enfile", "nomem", "aborted",  "reset",
					      "cut", "drip",   "short",	 "delay", "interrupt"};
/* Bit k: kind k can happen to that access. */
static const unsigned possible[SOCKET_ACCESSES] = {
	[SOCKET_ACCEPT] = 1u << EMFILE_ | 1u << ENFILE_ | 1u << NOMEM | 1u << ABORTED,
	[SOCKET_READ] = 1u << RESET | 1u << CUT | 1u << DRIP | 1u << DELAY | 1u << INTERRUPT,
	[SOCKET_WRITE] = 1u << RESET | 1u << CUT | 1u << DRIP | 1u << SHORT | 1u << DELAY | 1u << NOMEM | 1u << INTERRUPT,
	[SOCKET_SHUTDOWN] = 1u << RESET,
	[SOCKET_OPEN] = 1u << EMFILE_ | 1u << NOMEM,
	[SOCKET_READY] = 1u << CUT | 1u << DELAY,
};
static const int numbers[KINDS] = {[EMFILE_] = EMFILE,	  [ENFILE_] = ENFILE, [NOMEM] = ENOMEM,	     [ABORTED] = ECONNABORTED,
				   [RESET] = ECONNRESET,  [CUT] = EPIPE,      [DELAY] = EAGAIN,	     [INTERRUPT] = EINTR};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static struct {
	struct fault_plan_rule rules[SOCKET_ACCESSES];
	uint64_t counts[SOCKET_ACCESSES];
	uint64_t bytes[SOCKET_ACCESSES];
	bool spent[SOCKET_ACCESSES]; /* a rule of bytes that holds once */
	uint64_t given;
	char text[FAULT_PLAN_BYTES];
	const char *follow; /* the file that holds the plan */
} state;

/* ---- the plan ---- */

static bool plan_take(struct str text)
{
	static const struct fault_plan_words words = {access_names, SOCKET_ACCESSES, kind_names, KINDS, true};
	struct fault_plan_rule rules[SOCKET_ACCESSES];

	if (!fault_plan_parse(&words, text, rules)) {
		return false;
	}
	for (unsigned i = 0; i < SOCKET_ACCESSES; i++) {
		bool fits = rules[i].kind == NONE || (possible[i] >> rules[i].kind & 1) != 0;
		if (!fits || (rules[i].of_bytes && i != SOCKET_READ && i != SOCKET_WRITE)) {
			return false;
		}
	}
	memcpy(state.rules, rules, sizeof(rules));
	memset(state.counts, 0, sizeof(state.counts));
	memset(state.bytes, 0, sizeof(state.bytes));
	memset(state.spent, 0, sizeof(state.spent));
	state.given = 0;
	str_to_z(text, state.text, sizeof(state.text));
	return true;
}

static void plan_begin(void)
{
	const char *plan = getenv("GUILD_SOCKET_FAULT");

	state.follow = getenv("GUILD_SOCKET_FAULT_FILE");
	if (plan != NULL && !plan_take(str_of(plan))) {
		fprintf(stderr, "guild: GUILD_SOCKET_FAULT is no plan: %s\n", plan);
		check(false);
	}
}

bool socket_fault_plan(const char *plan)
{
	bool good;

	pthread_once(&once, plan_begin);
	pthread_mutex_lock(&lock);
	good = plan_take(str_of(plan));
	pthread_mutex_unlock(&lock);
	return good;
}

static uint64_t counter_get(const uint64_t *counter)
{
	uint64_t value;

	pthread_mutex_lock(&lock);
	value = *counter;
	pthread_mutex_unlock(&lock);
	return value;
}

uint64_t socket_fault_count(enum socket_access access)
{
	return counter_get(&state.counts[access]);
}

uint64_t socket_fault_bytes(enum socket_access access)
{
	return counter_get(&state.bytes[access]);
}

uint64_t socket_fault_given(void)
{
	return counter_get(&state.given);
}

/* A text that is being written is tried again at the next call. */
static void plan_follow(void)
{
	char text[FAULT_PLAN_BYTES];
	struct str now;

	if (state.follow == NULL) {
		return;
	}
	now = fault_plan_read(state.follow, text);
	if (!str_eq(now, str_of(state.text))) {
		(void)plan_take(now);
	}
}

/* Behind n bytes: what comes before them passes. */
static bool bytes_hit(enum socket_access access, const struct fault_plan_rule *rule, size_t *len)
{
	uint64_t left = rule->from > state.bytes[access] ? rule->from - state.bytes[access] : 0;

	if (state.spent[access]) {
		return false;
	}
	if (left > 0) {
		*len = *len < left ? *len : (size_t)left;
		return false;
	}
	state.spent[access] = rule->to != UINT64_MAX;
	return true;
}

static struct verdict next(enum socket_access access, size_t len)
{
	struct verdict verdict = {NONE, len};
	const struct fault_plan_rule *rule = &state.rules[access];
	uint64_t number;
	bool hit;

	pthread_once(&once, plan_begin);
	pthread_mutex_lock(&lock);
	plan_follow();
	number = ++state.counts[access];
	hit = rule->kind != NONE &&
	      (rule->of_bytes ? bytes_hit(access, rule, &verdict.len) : number >= rule->from && number <= rule->to);
	if (hit) {
		state.given++;
		verdict.kind = (enum kind)rule->kind;
	}
	pthread_mutex_unlock(&lock);
	if (verdict.kind == DRIP || verdict.kind == SHORT) {
		verdict.len = verdict.kind == DRIP || len < 2 ? 1 : len / 2;
		verdict.kind = NONE;
	}
	return verdict;
}

static void count_bytes(enum socket_access access, ssize_t n)
{
	pthread_mutex_lock(&lock);
	state.bytes[access] += n > 0 ? (uint64_t)n : 0;
	pthread_mutex_unlock(&lock);
}

/* The failing call's result; both sides see a connection that is cut. */
static int fail(int fd, enum kind kind)
{
	if (kind == CUT) {
		(void)shutdown(fd, SHUT_RDWR);
	}
	errno = numbers[kind];
	return -1;
}

/* ---- the calls ---- */

/* A newcomer that has gone is taken off the queue; one that there is no room for stays in it. */
int socket_fault_accept(int fd, struct sockaddr *from, socklen_t *len, int flags)
{
	struct verdict verdict = next(SOCKET_ACCEPT, 0);
	int gone;

	if (verdict.kind == NONE) {
		return accept4(fd, from, len, flags);
	}
	if (verdict.kind == ABORTED) {
		gone = accept4(fd, NULL, NULL, SOCK_CLOEXEC);
		if (gone < 0) {
			return -1;
		}
		(void)shutdown(gone, SHUT_RDWR);
		(void)close(gone);
	}
	return fail(fd, verdict.kind);
}

ssize_t socket_fault_recv(int fd, void *at, size_t room)
{
	struct verdict verdict = next(SOCKET_READ, room);
	ssize_t n;

	if (verdict.kind == CUT) {
		(void)fail(fd, CUT);
		return 0;
	}
	if (verdict.kind != NONE) {
		return fail(fd, verdict.kind);
	}
	n = recv(fd, at, verdict.len, 0);
	count_bytes(SOCKET_READ, n);
	return n;
}

ssize_t socket_fault_sendmsg(int fd, const struct msghdr *message, int flags)
{
	struct iovec pieces[PIECES_MAX];
	struct msghdr shorter = *message;
	struct verdict verdict;
	size_t len = 0, left;
	ssize_t n;

	check(message->msg_iovlen <= PIECES_MAX);
	for (size_t i = 0; i < message->msg_iovlen; i++) {
		len += message->msg_iov[i].iov_len;
	}
	verdict = next(SOCKET_WRITE, len);
	if (verdict.kind != NONE) {
		return fail(fd, verdict.kind);
	}
	left = verdict.len;
	shorter.msg_iov = pieces;
	shorter.msg_iovlen = 0;
	for (size_t i = 0; i < message->msg_iovlen && left > 0; i++) {
		struct iovec piece = message->msg_iov[i];
		piece.iov_len = piece.iov_len < left ? piece.iov_len : left;
		left -= piece.iov_len;
		pieces[shorter.msg_iovlen++] = piece;
	}
	n = sendmsg(fd, &shorter, flags);
	count_bytes(SOCKET_WRITE, n);
	return n;
}

int socket_fault_shutdown(int fd)
{
	struct verdict verdict = next(SOCKET_SHUTDOWN, 0);

	return verdict.kind == NONE ? shutdown(fd, SHUT_WR) : fail(fd, verdict.kind);
}

int socket_fault_socket(int family, int type, int protocol)
{
	struct verdict verdict = next(SOCKET_OPEN, 0);

	return verdict.kind == NONE ? socket(family, type, protocol) : fail(-1, verdict.kind);
}

bool socket_fault_ready(int fd)
{
	struct verdict verdict = next(SOCKET_READY, 0);

	if (verdict.kind == CUT) {
		(void)fail(fd, CUT);
	}
	return verdict.kind != DELAY;
}

#endif
