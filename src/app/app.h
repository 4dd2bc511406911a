/*
 * app.h - the whole program in one struct, built in one place.
 *
 * For:     app.c, main.c, library.c and tests that start a whole server in the process.
 * Not for: features (they get struct guild, base/guild.h, and use the parts they need).
 * Threads: guild_start and guild_stop from one thread.
 * Memory:  everything belongs to struct guild.
 */
#ifndef GUILD_APP_APP_H
#define GUILD_APP_APP_H

#include "app/config.h"
#include "command/guild.h"

/* Opens the data directory, the store, loads, recovers, builds all parts. detail (256 bytes) gets one line naming what is wrong and the
 * remedy. token_out (64 bytes) gets the first operator token when it was made now, else "". */
enum err guild_create(const struct config *config, bool listen, struct guild **out, char token_out[64], char *detail) MUST_USE;
/* The same with a clock, a chance and a network (NULL: sockets) of its own, for one who turns its loops, writer and readers instead of
 * starting threads; then guild_stop takes down what such a one has let run empty. */
enum err guild_create_in(const struct env *env, const struct transport *transport, const struct config *config, bool listen,
			 struct guild **out, char token_out[64], char *detail) MUST_USE;
/* Starts the threads; opens the listeners when created with listen. */
enum err guild_start(struct guild *guild, char *detail) MUST_USE;
/* Takes over the settings that may change while the server runs (config.def: reload = yes). Any thread. config is not kept. */
void guild_reload(struct guild *guild, const struct config *config);
/* Drains (at most drain_us), stops threads, closes all. */
void guild_stop(struct guild **guild, int64_t drain_us);

#endif
