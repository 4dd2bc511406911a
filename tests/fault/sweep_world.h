/*
 * sweep_world.h - a whole server in one thread, and clients of it over real sockets.
 *
 * For:     alloc_sweep.c: what one call allocates is the same each time, so that each allocation can be made to fail.
 * Not for: cmocka tests (guild_fixture.h, http_fixture.h).
 * Threads: one; whoever waits turns writer, readers and loop.
 * Memory:  the world owns server and directory; clients keep replies in themselves and take nothing from base/mem.h.
 * Errors:  world_open returns the server's own; everything else that cannot be is told by sweep_fail.
 */
#ifndef GUILD_TESTS_SWEEP_WORLD_H
#define GUILD_TESTS_SWEEP_WORLD_H

#include "app/app.h"
#include "http/http.h"

enum { CLIENT_BYTES = 1 << 20, WAIT_US = 20000000, DETAIL_BYTES = 512 };

struct world {
	char dir[64];
	char provider[64]; /* base URL; "" for the builtin responder */
	const char *ca_file;
	struct config config;
	struct guild *guild;
	bool two_loops;
	struct listener *listeners[2]; /* one on each loop, with a port of its own */
	uint16_t ports[2];
	char token[64];
	char detail[DETAIL_BYTES];
};

struct client {
	int fd;
	bool eof;
	unsigned door; /* the loop that it is on */
	const char *key; /* Idempotency-Key of its requests; NULL: none */
	size_t len;
	char in[CLIENT_BYTES]; /* NUL-terminated */
};

/* Tells what is wrong with the try under way and ends the process. */
_Noreturn void sweep_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Said by whoever waits, with how long it has been: memory that is gone for good comes back some time. */
void sweep_waited(int64_t waited_us);

/* A new directory. */
void world_init(struct world *world);
/* Starts the server on it, with a listener. detail says what was wrong. */
enum err world_open(struct world *world) MUST_USE;
/* Stops the server; the directory stays. */
void world_close(struct world *world);
void world_fini(struct world *world);
void world_turn(struct world *world);
/* Turns until nobody is connected, nothing runs and nothing waits. */
void world_settle(struct world *world);
/* What has to hold of the file when the server has stopped: integrity, sums against rows, no run under way. */
void world_check(struct world *world);

/* One request on a connection of its own; reads to its end, or until `until` has come. The status; 0: it ended without a reply. */
int client_ask(struct client *client, struct world *world, const char *method, const char *target, const char *body, const char *until);
void client_dial(struct client *client, struct world *world);
void client_send(struct client *client, const void *bytes, size_t len);
/* A masked text frame. */
void client_say(struct client *client, const char *text);
/* Turns until `text` (or the other) has come; false when the connection ended before. NULL: until it ends. */
bool client_wait(struct client *client, struct world *world, const char *text);
bool client_wait_either(struct client *client, struct world *world, const char *text, const char *other);
void client_close(struct client *client);

#endif
