/*
 * sweep_flows.h - the core flows of a server, for sweeps that fail something in them.
 *
 * For:     alloc_sweep.c, socket_sweep.c.
 * Not for: servers of several processes or threads (integration tests).
 * Threads: one.
 * Memory:  ids and the client are this file's own; nothing comes from base/mem.h.
 * Errors:  what must not be is told by sweep_fail. strict: nothing fails; else answers that tell of want are fine too.
 */
#ifndef GUILD_TESTS_SWEEP_FLOWS_H
#define GUILD_TESTS_SWEEP_FLOWS_H

#include "sweep_world.h"

enum { SWEEP_IDS = 8 };

/* $0 to $7 in target, body and text stand for ids that earlier steps kept. */
struct step {
	const char *method, *target, *body;
	int status;       /* or the next one: 200 and 201 are both fine for what is there already */
	const char *text; /* is in the answer; NULL: anything */
	int keep;         /* 1 + place of the id that the answer has first; 0: none */
	const char *until; /* an endless stream is left after this */
};

/* A table ends with method NULL. sweep_prepare fills the ids that the others use. */
extern const struct step sweep_prepare[], sweep_sign_in[], sweep_chat[], sweep_post[], sweep_feed[], sweep_message[], sweep_resume[], sweep_look[];

/* Who asks; its last answer is in it. */
extern struct client sweep_client;

bool sweep_steps(struct world *world, const struct step *step, bool strict);
/* Sign-in, topics, a chat, a resume, an event and a ping over one WebSocket. */
bool sweep_socket(struct world *world, bool strict);
/* May an answer with that status be given when something is wanting? 0: none came. */
bool sweep_excused(int status);
/* The answer is not whole: its connection ended before. */
bool sweep_cut(void);
/* A scripted provider, as a process that ends with this one. certificate: NULL without TLS. */
void sweep_provider_start(const char *certificate, const char *key, char *url, size_t cap);

#endif
