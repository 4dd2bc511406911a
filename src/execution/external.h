/*
 * external.h - chats with agents that are programs of the user's.
 *
 * For:     the door where such programs are connected (ops/): it delivers what the engine asks, and brings back what they say.
 * Not for: hosted agents (provider/).
 * Threads: offers go from the run's loop to whichever loop has a connection of the agent, and back; messages the other way.
 * Memory:  said at each struct.
 *
 *   run --offer{chat_request}--> a connection of the agent, if there is one: taken
 *   run <--message{chat_delta, ..., chat_end}-- any connection of the agent
 *
 * A run whose agent is not connected ends with ERR_AGENT_OFFLINE, or waits as long as its request says.
 */
#ifndef GUILD_EXECUTION_EXTERNAL_H
#define GUILD_EXECUTION_EXTERNAL_H

#include "base/frame.h"
#include "execution/execution.h"

/* A frame for one connection of an agent. Belongs to the door from offer until answer. */
struct external_offer {
	struct loop_note note;     /* the door's */
	unsigned loops_left;       /* the door's: not asked yet */
	void *owner;               /* the door's */
	struct loop *home;
	int64_t agent;
	struct frame *frame;       /* one reference, the offer's */
	bool taken;
	/* Exactly once, on home, maybe before offer returned. */
	void (*answer)(struct external_offer *offer);
};
struct external_door {
	void (*offer)(void *self, struct external_offer *offer);
	void *self;
};
/* Start-up. Without a door every agent is offline. */
void external_door_set(struct engine *engine, const struct external_door *door);

/* What a connected agent says about a run of its own. Belongs to the engine from send until answer. */
struct external_message {
	struct loop_note note;     /* the engine's */
	struct engine *engine;     /* the engine's */
	struct loop *home;
	int64_t execution, agent;
	bool is_end, failed;       /* failed: chat_end with an error: the agent's own fault */
	struct str text;           /* of a delta, or the finish reason; borrowed until answer */
	bool has_usage;
	int64_t tokens_in, tokens_out;
	enum err result;           /* ERR_OK; ERR_NOT_FOUND: no such run of this agent is waiting for it */
	void (*answer)(struct external_message *message); /* exactly once, on home */
};
void external_message_send(struct engine *engine, struct external_message *message);

/* Any loop: a connection of that agent was signed in, so that runs that wait for it are offered again. */
void external_connected(struct engine *engine, int64_t agent);

#endif
