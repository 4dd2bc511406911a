/*
 * world.h - a whole server in one thread over a disk that fails, and what it has promised.
 *
 * For:     powerloss.c and store_faults.c: seeded requests through the library's door, and the comparison of what was answered
 *          with what is in the store.
 * Not for: sockets, threads, providers other than the builtin one.
 * Threads: one; whoever waits turns writer, reader and loop.
 * Memory:  everything belongs to struct world. A broken promise prints what and ends the program.
 *
 * Time and randomness are seeded (env_real is the world's own here), so one seed has one course.
 */
#ifndef GUILD_TESTS_FAULT_WORLD_H
#define GUILD_TESTS_FAULT_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "app/app.h"

enum { THINGS_MAX = 2048, ASKED_MAX = 8, TURNS_MAX = 20000 };

enum thing_kind { SESSION, CHAT, AGENT, USER, CHANNEL, JOIN, POST, REPLY, REACTION, MESSAGE, DELETION, THING_KINDS };

/* UNKNOWN: no answer came, or one that leaves it open. */
enum thing_state { UNKNOWN, THERE, ABSENT, FORGOTTEN };

struct thing {
	enum thing_kind kind;
	enum thing_state state;
	size_t number;
	size_t a, b;      /* what it belongs to */
	int status;       /* of the answer; 0: none came */
	char id[40];
	uint64_t content; /* of a chat: status and answer, 0 before they are known */
};

struct world {
	char dir[64], path[96];
	struct config config;
	struct guild *guild; /* NULL while the machine is off */
	uint64_t seed;       /* of the course; moves on */
	struct thing *things;
	struct request *requests;
	size_t count, asked;
	bool posts;          /* the routes are there */
	const char *course;  /* said with a failure */
	uint64_t answered, refused, checked;
};

/* An empty directory and a course. */
void world_open(struct world *world, uint64_t seed, const char *course);
/* The machine is off. Removes the directory. */
void world_close(struct world *world);
/* False when the start fails, which is right only where the disk does; detail is printed by world_must_start. */
bool world_start(struct world *world);
void world_must_start(struct world *world);
void world_stop(struct world *world);
/* A number below bound. */
uint64_t world_chance(struct world *world, uint64_t bound);

/* Sends one more request of a kind that chance chooses. */
struct thing *world_ask(struct world *world);
void world_turn(struct world *world);
/* Turns until every request is answered and nothing runs; false when that does not come about in so many turns. */
bool world_settle(struct world *world, int turns);
/* Compares the store with what was promised. strict: what was refused or not answered is not there. */
void world_check(struct world *world, bool strict);
/* Reads through the readers: an answer with status 200. */
bool world_reads(struct world *world);
void world_fail(const struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3), noreturn));

#endif
