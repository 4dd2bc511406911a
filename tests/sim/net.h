/*
 * net.h - a network by the seed, and clients that speak HTTP and WebSocket over it to the real http layer.
 *
 * For:     the bytes between clients and loops: in pieces, late, cut off; who reads slowly; the clients' own parsers.
 * Not for: what is asked and whether the answer may be (work.c, model.c): a call is the same through every door.
 * Threads: one.
 * Memory:  struct sim_net is part of struct sim's life; a stream ends when both ends have left it.
 *
 * A stream has two directions. What a client sent arrives piece by piece; what the server sent is given to the client piece by
 * piece. Either way at times that the seed draws for each piece, so that some are slow in reading, others in sending. At any piece
 * the stream may be cut: both ends see it, or only the client does, and the server writes into the dark.
 */
#ifndef GUILD_TESTS_SIM_NET_H
#define GUILD_TESTS_SIM_NET_H

#include "loop/transport.h"
#include "sim.h"

/* ---- net.c ---- */
struct sim_net_client {
	/* since_us: what is given was written then or later. */
	void (*bytes)(void *ctx, struct str bytes, int64_t since_us);
	/* Once, last, unless the client went first. */
	void (*ended)(void *ctx);
};
struct sim_net *sim_net_create(struct sim *sim);
void sim_net_destroy(struct sim_net **net);
const struct transport *sim_net_transport(const struct sim_net *net);
/* To the listener of that loop; -1: it does not listen, or has no room. */
int sim_net_connect(struct sim_net *net, unsigned loop, const struct sim_net_client *client, void *ctx);
void sim_net_send(struct sim_net *net, int fd, struct str bytes);
/* The client is gone. */
void sim_net_leave(struct sim_net *net, int fd);
/* All streams are cut, and no client hears of it: its process is thought of as the machine's. */
void sim_net_cut_all(struct sim_net *net);
/* A descriptor of that loop is ready. */
bool sim_net_ready(const struct sim_net *net, unsigned loop);
/* When something moves next; INT64_MAX: never. */
int64_t sim_net_due_us(const struct sim_net *net);
/* Moves what is due. */
void sim_net_move(struct sim_net *net);
uint64_t sim_net_cuts(const struct sim_net *net);

/* ---- wire.c ---- */
/* Sends the call over a connection of its actor, by HTTP or WebSocket. False: by neither, now. */
bool sim_wire_send(struct sim_call *call);
/* The client of that call goes. */
void sim_wire_hang_up(struct sim_call *call);
/* No client is there any more, nor what they waited for. */
void sim_wire_forget(struct sim *sim);

/* ---- ws_client.c: what a client's WebSocket says and hears ---- */
/* The message for a call; false: there is none. */
bool sim_ws_message(const struct sim_call *call, struct buf *out);
/* A message from the server; call: the one that the connection waits for, or NULL. True when it is over: answered, and its stream ended. */
bool sim_ws_heard(struct sim *sim, int actor, struct sim_call *call, struct str text, int64_t since_us);

#endif
