/*
 * sim.h - a whole guild in one thread: order, clock, chance, provider and clients come from a seed.
 *
 * For:     finding orders of events that no other test meets, and meeting them again: one seed is one run.
 * Not for: the kernel's sockets, threads, curl (tests/integration); speed.
 * Threads: one.
 * Memory:  everything belongs to struct sim; a call is freed when its reply or the end of its stream was seen, or in a crash.
 * Errors:  what must not be ends the program with the seed and the last lines of the trace (sim_fail).
 *
 * A step is a turn of one loop, of the writer or of one reader, or one deed of an actor; which one is drawn. Each reading of the clock
 * moves it by 1 us, each step by a little; when nobody has anything to do, it goes to the next timer.
 */
#ifndef GUILD_TESTS_SIM_H
#define GUILD_TESTS_SIM_H

#include <stdio.h>

#include "app/app.h"
#include "base/buf.h"
#include "base/hash.h"
#include "base/list.h"
#include "base/map.h"
#include "http/http.h"
#include "provider/provider.h"
#include "wire/json.h"
#include "wire/sse.h"

enum { SIM_LOOPS = 2, SIM_READERS = 2, SIM_ACTORS = 9, SIM_AGENTS = 6, SIM_HOSTED = 3, SIM_EMOJI = 3 };
enum { SIM_POSTS = 512, SIM_TOLD = 512, SIM_CHATS = 256, SIM_CHANNELS = 8, SIM_LISTENERS = 48, SIM_TOPICS = 3, SIM_VIEWED = 512 };
enum { SIM_TAIL_LINES = 60, SIM_LINE_BYTES = 400, SIM_ID = 40 };

struct sim;

/* ---- chance: one stream for each purpose, so that one more draw here changes nothing there ---- */
struct sim_random { uint64_t state; };
uint64_t sim_random_next(struct sim_random *random);
/* 0 .. below - 1 */
uint32_t sim_draw(struct sim_random *random, uint32_t below);
/* True in `percent` of a hundred cases. */
bool sim_chance(struct sim_random *random, uint32_t percent);

/* ---- calls: requests through the library's door, or over a connection (net.h) ---- */
enum sim_deed { DEED_SETUP, DEED_CHAT, DEED_CANCEL, DEED_RESUME, DEED_POST, DEED_REPLY, DEED_REACT, DEED_UNREACT, DEED_DELETE, DEED_CHANNEL,
		DEED_JOIN, DEED_LEAVE, DEED_TELL, DEED_LISTEN, DEED_LEVEL, DEED_ROLE, DEED_DECIDE, DEED_READ, DEED_SIGN, DEED_REVOKED, DEED_COUNT };

struct sim_call {
	struct list link;
	struct sim *sim;
	struct loop_note note;
	struct loop_note hang_note;
	uint64_t number;
	enum sim_deed deed;
	int actor;
	struct loop *loop;
	char method[8];
	char target[512];
	struct buf body;
	char key[24];               /* Idempotency-Key; "": none */
	bool stream, hung_up, over;
	bool by_wire, by_ws;        /* over a connection, and by messages; sent with the next step */
	bool unsent;
	struct sim_wire *wire;      /* while it waits there */
	int64_t sent_us, since_us;  /* what comes was said then or later */
	int status;                 /* 0: none yet */
	struct buf answer;
	struct sse sse;
	/* what the model knows it by */
	int subject, other;
	bool repeated;              /* under a key that was used: a refusal says nothing of the first one */
	int64_t level_version;      /* of the level it depends on; -1: that was changing when it was sent */
	int64_t seq, epoch;         /* of a stream: the last one given */
	bool ended;                 /* of a stream: its terminal event came */
};
/* Sent in a later turn of one of the loops. body may be NULL. */
struct sim_call *sim_call_send(
	struct sim *sim, int actor, enum sim_deed deed, const char *method, const char *body, const char *target, ...)
	__attribute__((format(printf, 6, 7)));
/* Those of this step go out. */
void sim_calls_go(struct sim *sim);
/* What its door says. A call that is over is freed, but not while its guild goes down. */
void sim_call_on_reply(void *call, int status, struct str content_type, struct str body);
void sim_call_on_begin(void *call);
enum err sim_call_on_bytes(void *call, struct str text);
void sim_call_on_end(void *call);
/* Its connection was cut before the answer was whole. */
void sim_call_on_cut(struct sim_call *call);
void sim_call_over(struct sim_call *call);
/* Nobody listens any more. */
void sim_call_hang_up(struct sim_call *call);
/* Sends, and steps until it is answered; the answer's document is in sim->doc. */
void sim_call_wait(struct sim *sim, struct sim_call *call, int status);
/* Calls that have an end of their own and have not come to it. */
int sim_calls_open(const struct sim *sim);
/* Those that nobody answers before a crash. */
void sim_calls_mute(struct sim *sim);
/* Listeners go: their streams have no end of their own. */
void sim_calls_hang_up(struct sim *sim);
/* Parses text into sim->doc, until the next one. False: it is no JSON. */
bool sim_parse(struct sim *sim, struct str text);
void sim_calls_free(struct sim *sim);
/* Some of what was sent under a key is kept, to be sent again: call it when the answer is there, or lost. */
void sim_call_keep(struct sim_call *call);
/* Member of the last parsed text as a NUL-terminated copy; "" when it is not there. */
const char *sim_text(struct sim *sim, struct json value, const char *name);

/* ---- who acts ---- */
/* A role or a maturity, as last acknowledged. What is asked while it stays the same has one right answer. */
struct sim_level {
	int value;                  /* 0: not known, a change was lost */
	bool changing;
	int64_t version;
};
struct sim_actor {
	char name[16];
	char id[SIM_ID];            /* of the principal, or of the agent */
	char token[80];             /* "": it has none */
	char revoked[80];           /* one that was good until its role changed */
	int64_t principal;
	int64_t key;                /* as an actor: the principal's, or the agent's */
	int agent;                  /* -1: a person */
	struct sim_level role;      /* of a person */
	int64_t next_us;
};

/* ---- the model: what was acknowledged, and what may be ---- */
enum sim_known { KNOWN_MAYBE, KNOWN_YES, KNOWN_NO };
enum sim_scope { SCOPE_PUBLIC, SCOPE_CHANNEL, SCOPE_DIRECTED };

struct sim_post {
	char id[SIM_ID];
	int author, scope, target;  /* channel or actor */
	int parent;                 /* -1: none */
	enum sim_known there, deleted;
	enum sim_known reaction[SIM_ACTORS][SIM_EMOJI];
	bool reacting[SIM_ACTORS][SIM_EMOJI]; /* a change is under way: what is asked meanwhile is not asked */
};
struct sim_told { char id[SIM_ID]; int from, to; enum sim_known there; };
struct sim_channel {
	char id[SIM_ID];
	char name[24];
	bool is_private;
	int by;
	enum sim_known there, member[SIM_ACTORS];
	bool moving[SIM_ACTORS];    /* a change is under way, or was cut off and may still come */
	int64_t changed_us[SIM_ACTORS]; /* when that was last heard of */
};
struct sim_agent { char id[SIM_ID]; char handle[24]; struct sim_level maturity; };
struct sim_chat {
	char execution[SIM_ID], session[SIM_ID];
	int by;
	enum sim_known there;
	int64_t seq, epoch;         /* the last number that a client saw */
	bool ended;                 /* a terminal event was seen */
	struct sim_viewed { uint64_t hash; int64_t epoch; } viewed[SIM_VIEWED]; /* each number says the same to everybody */
};
/* One listener through all its connections. */
struct sim_listener {
	bool used, ended;
	int actor;
	char topics[SIM_TOPICS][64];
	int topic_count;
	int64_t from, last;         /* offsets; from < 0: not told yet */
	int64_t *seen;
	size_t seen_count, seen_cap;
	struct sim_call *call;
	bool gap;
};

/* Something sent under a key, to be sent again under it: done once, and the first answer's object is that of each answer. */
struct sim_repeat {
	enum sim_deed deed;
	int actor, subject, other;
	bool stream, by_ws;
	char key[24], target[128], body[512];
};
enum { SIM_REPEATS = 32 };

struct sim_provider;
struct sim_net; /* net.h, as is the next */
struct sim_wire;
struct sim {
	uint64_t seed;
	bool print;                 /* the trace, as it comes */
	struct env env;
	struct sim_random order, world, work, answers;
	int64_t now_us, wall_skew_us;
	uint64_t step, calls_made;
	unsigned loop_weight[SIM_LOOPS], writer_weight, reader_weight, actor_weight, pause_us, wire_percent;
	bool reader_maybe;
	struct hash *hash;
	char tail[SIM_TAIL_LINES][SIM_LINE_BYTES];
	uint64_t tail_next;
	/* the guild of this life */
	unsigned life;
	struct config config;
	struct guild *guild;
	struct sim_provider *provider;
	struct sim_net *net;
	struct listener *listeners_open[SIM_LOOPS];
	struct sim_wire *wires;     /* of all lives */
	/* a crash inside the writer's turn: at this reading of the clock, 0: none */
	int crash_reading;
	bool crash_taken;
	int trouble_steps;          /* for so long the disk fails */
	bool stopping;              /* a queued run waits for the next life: its stream may end before it */
	bool down;                  /* nobody hears anything: between a crash and the next life */
	struct list calls;
	struct sim_call *awaited;
	int awaited_status;
	struct arena arena;
	struct json_doc doc;
	/* the world */
	bool resting;               /* nobody begins anything new */
	struct sim_actor actors[SIM_ACTORS];
	char workspace[SIM_ID];
	struct sim_agent agents[SIM_AGENTS];
	struct sim_post posts[SIM_POSTS];
	struct sim_told told[SIM_TOLD];
	struct sim_chat chats[SIM_CHATS];
	struct sim_channel channels[SIM_CHANNELS];
	struct sim_listener listeners[SIM_LISTENERS];
	struct sim_repeat repeats_kept[SIM_REPEATS];
	int repeat_count;
	int post_count, told_count, chat_count, channel_count, listener_count;
	uint64_t deeds[DEED_COUNT], answers_ok, answers_refused, answers_lost;
	uint64_t stream_events, bus_events, crashes, crashes_inside, restarts, losses, troubles, repeats, by_wire, cuts;
};

/* ---- world.c: time, order, lives ---- */
void sim_open(struct sim *sim, uint64_t seed, bool print);
void sim_close(struct sim *sim, uint8_t hash[HASH_SHA256_BYTES]);
/* False when nobody has anything to do, ever. */
bool sim_step(struct sim *sim);
/* The process dies and another one opens what it left. */
void sim_crash(struct sim *sim);
/* The power is gone: what was not synced is there in part. */
void sim_power_loss(struct sim *sim);
/* The process stops as it should, and another one starts. */
void sim_restart(struct sim *sim);
void sim_trace(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));
_Noreturn void sim_fail(struct sim *sim, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* ---- disk.c ---- */
/* Before a store is opened, and after it was closed. */
void sim_disk_arm(struct sim *sim);
void sim_disk_land(void);
/* Now, or at one of the next changes of a file. */
void sim_disk_power_off(struct sim *sim);
bool sim_disk_is_dead(void);
/* From now on some or all writes or syncs fail, for some steps. */
bool sim_disk_trouble(struct sim *sim);
/* A step was made; over: the disk is well from now on, and has power. */
void sim_disk_step(struct sim *sim, bool over);

/* ---- provider.c: answers, delays, cuts, errors, silence ---- */
struct sim_provider *sim_provider_create(struct sim *sim);
/* In the place of the builtin responder. */
struct provider *sim_provider_get(struct sim_provider *provider);
size_t sim_provider_open(const struct sim_provider *provider);
void sim_provider_destroy(struct sim_provider **provider);

/* ---- work.c: what actors do ---- */
void sim_work_setup(struct sim *sim);
void sim_work_deed(struct sim *sim, int actor);
/* The rest of a run's stream, for who saw its beginning. */
void sim_work_resume(struct sim *sim, int actor, int chat);
/* Every stream of a run that anybody knows of, from its beginning, whoever has seen it before. */
void sim_work_view_all(struct sim *sim);

/* ---- model.c: what comes back, and whether it may ---- */
/* A whole reply. */
void sim_model_reply(struct sim_call *call);
void sim_model_event(struct sim_call *call, const struct sse_event *event);
/* The stream of a call is over. */
void sim_model_stream_end(struct sim_call *call);
/* The answer was lost with the process, or with its connection: then what was asked may still be done, in this life. */
void sim_model_lost(struct sim_call *call);
/* Nothing of the life before may still be done. */
void sim_model_life(struct sim *sim);
/* An answer that names the run; it goes on. */
void sim_model_run_known(struct sim_call *call);
/* A frame on a WebSocket, of the call's run or of another one. True: the call's last. */
bool sim_model_ws_frame(struct sim *sim, struct sim_call *call, struct str text);
/* Of a listener: ok, event, recovered, gap. */
void sim_model_ws_listen(struct sim_call *call, const char *type, struct json root);
void sim_model_ws_event(struct sim *sim, int actor, struct json root, int64_t since_us);
/* Whether the actor may see that post, as far as the model knows. */
enum sim_known sim_model_sees(const struct sim *sim, int post, int actor);
struct sim_level *sim_model_level(struct sim *sim, int actor);
/* level_version for a call that depends on this level. */
int64_t sim_level_mark(const struct sim_level *level);
bool sim_level_stable(const struct sim_level *level, int64_t mark);
/* Index in a text that sim_mark made, -1: it has none. kind: 'p' post, 'd' direct message, 'c' chat. */
void sim_mark(char *out, char kind, int index);
int sim_mark_read(struct str text, char kind);

/* ---- check.c: the store against the model, when all is at rest ---- */
void sim_check(struct sim *sim);

#endif
