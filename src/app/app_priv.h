/*
 * app_priv.h - what the files of app/ share: the parts of a server that no feature sees.
 *
 * For:     building (app.c), running and stopping (run.c), the library (library_local.c).
 * Not for: other files.
 * Threads: the thread that creates and stops; app_user_agent on any.
 * Memory:  owned by struct guild, freed by app_destroy.
 */
#ifndef GUILD_APP_APP_PRIV_H
#define GUILD_APP_APP_PRIV_H

#include "app/app.h"
#include "base/thread.h"
#include "db/backup.h"
#include "provider/catalogue.h"
#include "provider/provider.h"

#define APP_ORIGINS_MAX 32

/* One loop's thread, and the note that tells it to drain. */
struct app_loop {
	struct guild *guild;
	struct loop *loop;
	struct thread thread;
	bool running;
	struct listener *listener;
	struct loop_note drain_note;
	struct loop_note probe_note;
	struct thread_gate gate;
	bool idle;
	int64_t drain_until_us;
};

/* Texts in `text`; NULL at the end. */
struct app_origins {
	char text[4096];
	const char *list[APP_ORIGINS_MAX + 1];
};

struct app {
	char dir[4096];
	char path[4200];
	char checkpoints[4200];
	struct db_dir *lock;
	struct generation generation;
	struct provider openai, builtin;
	struct catalogue_place catalogue;
	struct conn_caps *caps;
	struct app_loop loops[64];
	struct app_origins origins, cors_origins;
	const struct transport *transport; /* NULL: sockets */
	bool listen;
	bool store_running;
};

void app_log_set(const struct config *config);
/* Frees whatever of the guild was made; threads have ended. */
void app_destroy(struct guild **guild);
/* True when something accepts on 127.0.0.1:11434. */
bool app_ollama_there(void);
/* For loop_each_conn: closes a connection at once. */
void app_conn_abort(struct conn *conn, void *arg);
/* Splits a setting into origins. False: one of them is none, or there are too many. */
bool app_origins_read(struct str text, struct app_origins *out);
/* True for "agent:<id or handle>" as a user of the library; *user is then what stands behind the colon. */
bool app_user_agent(struct str *user);

#endif
