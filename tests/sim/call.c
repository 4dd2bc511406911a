/* call.c - requests, through the library's door or over a connection, and what comes back. */
#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "identity/identity.h"
#include "net.h"

#define BODY_BYTES_MAX (1 << 20)
#define WAIT_STEPS_MAX 200000

static const char *const deed_names[DEED_COUNT] = {"setup", "chat", "cancel", "resume", "post", "reply", "react", "unreact", "delete", "channel",
	"join", "leave", "tell", "listen", "level", "role", "decide", "read", "sign in", "revoked"};

static void call_free(struct sim_call *call)
{
	list_remove(&call->link);
	buf_fini(&call->body);
	buf_fini(&call->answer);
	sse_fini(&call->sse);
	free(call);
}

/* A note that is still under way needs the call. */
void sim_call_over(struct sim_call *call)
{
	call->over = true;
	if (!call->hung_up && !call->sim->down) {
		call_free(call);
	}
}

/* ---- what the door says ---- */

void sim_call_on_reply(void *ctx, int status, struct str content_type, struct str body)
{
	struct sim_call *call = ctx;
	struct sim *sim = call->sim;
	(void)content_type;
	call->status = status;
	if (sim->down) {
		call->over = true;
		return;
	}
	buf_put_str(&call->answer, body);
	sim_trace(sim, "#%llu %s %s -> %d %.*s", (unsigned long long)call->number, sim->actors[call->actor].name, deed_names[call->deed], status,
		STR_FMT(str_sub(body, 0, 240)));
	hash_put(sim->hash, body.at, body.len);
	if (sim->awaited == call) {
		sim->awaited_status = status;
		sim->awaited = NULL;
		(void)sim_parse(sim, body);
	}
	sim_model_reply(call);
	sim_call_over(call);
}

void sim_call_on_begin(void *ctx)
{
	struct sim_call *call = ctx;
	call->status = 200;
	if (!call->sim->down) {
		sim_trace(call->sim, "#%llu %s %s -> stream", (unsigned long long)call->number, call->sim->actors[call->actor].name,
			deed_names[call->deed]);
	}
}

enum err sim_call_on_bytes(void *ctx, struct str text)
{
	struct sim_call *call = ctx;
	struct sim *sim = call->sim;
	struct sse_event event;
	bool got;
	while (!sim->down) {
		if (sse_feed(&call->sse, &text, &event, &got) != ERR_OK) {
			sim_fail(sim, "#%llu: not an event stream", (unsigned long long)call->number);
		}
		if (!got) {
			break;
		}
		sim_trace(sim, "#%llu %s %s <- %.*s %.*s %.*s", (unsigned long long)call->number, sim->actors[call->actor].name,
			deed_names[call->deed], STR_FMT(event.id), STR_FMT(event.event), STR_FMT(str_sub(event.data, 0, 200)));
		hash_put(sim->hash, event.data.at, event.data.len);
		sim_model_event(call, &event);
	}
	return ERR_OK;
}

void sim_call_on_end(void *ctx)
{
	struct sim_call *call = ctx;
	struct sim *sim = call->sim;
	if (sim->down) {
		call->over = true;
		return;
	}
	sim_trace(sim, "#%llu %s %s: end of stream", (unsigned long long)call->number, sim->actors[call->actor].name, deed_names[call->deed]);
	if (sim->awaited == call) {
		sim->awaited_status = 200;
		sim->awaited = NULL;
	}
	sim_model_stream_end(call);
	sim_call_over(call);
}

/* ---- asking ---- */

static void dispatch_run(struct loop_note *note, struct loop *loop)
{
	struct sim_call *call = container_of(note, struct sim_call, note);
	struct guild *guild = call->sim->guild;
	struct http_local_sink sink = {sim_call_on_reply, sim_call_on_begin, sim_call_on_bytes, sim_call_on_end, call};
	const struct principal *principal = identity_principal(guild->identity, call->sim->actors[call->actor].principal);
	struct caller caller;
	if (principal == NULL) {
		sim_fail(call->sim, "%s was acknowledged and is not there", call->sim->actors[call->actor].name);
	}
	identity_caller(principal, &caller);
	struct http_local_call local = {.method = str_of(call->method), .target = str_of(call->target), .body = buf_str(&call->body),
		.accept = call->stream ? STR("text/event-stream") : STR("application/json"), .idempotency_key = str_of(call->key)};
	http_local_dispatch(guild->http, loop, &local, &caller, &sink);
}

static void hang_run(struct loop_note *note, struct loop *loop)
{
	struct sim_call *call = container_of(note, struct sim_call, hang_note);
	call->hung_up = false;
	if (!call->over) {
		http_local_hang_up(call->sim->guild->http, loop, call);
	} else if (!call->sim->down) {
		call_free(call);
	}
}

/* Some of what is asked goes over connections; runs and listening by WebSocket too. */
static void door_draw(struct sim_call *call)
{
	struct sim *sim = call->sim;
	bool run = call->deed == DEED_CHAT || call->deed == DEED_RESUME || call->deed == DEED_CANCEL || call->deed == DEED_LISTEN;
	uint32_t drawn = sim_draw(&sim->work, 100);
	if (call->deed == DEED_REVOKED) {
		call->by_wire = true;
		return;
	}
	if (call->deed == DEED_SETUP || sim->resting || sim->actors[call->actor].token[0] == '\0') {
		return;
	}
	call->by_wire = drawn < sim->wire_percent;
	call->by_ws = call->by_wire && run && drawn % 3 == 0;
}

struct sim_call *sim_call_send(
	struct sim *sim, int actor, enum sim_deed deed, const char *method, const char *body, const char *target, ...)
{
	struct sim_call *call = calloc(1, sizeof(*call));
	va_list args;
	check(call != NULL);
	call->sim = sim;
	call->number = ++sim->calls_made;
	call->deed = deed;
	call->actor = actor;
	call->subject = call->other = -1;
	call->level_version = -1;
	call->loop = sim->guild->loops[sim_draw(&sim->work, SIM_LOOPS)];
	call->sent_us = call->since_us = sim->now_us;
	snprintf(call->method, sizeof(call->method), "%s", method);
	va_start(args, target);
	vsnprintf(call->target, sizeof(call->target), target, args);
	va_end(args);
	buf_init(&call->body, BODY_BYTES_MAX);
	buf_init(&call->answer, BODY_BYTES_MAX);
	sse_init(&call->sse, BODY_BYTES_MAX);
	if (body != NULL) {
		buf_put_str(&call->body, str_of(body));
	}
	bool makes = deed == DEED_POST || deed == DEED_REPLY || deed == DEED_TELL || deed == DEED_CHANNEL || deed == DEED_CHAT;
	if (makes && sim_chance(&sim->work, 60)) {
		snprintf(call->key, sizeof(call->key), "key-%llu", (unsigned long long)call->number);
	}
	list_init(&call->link);
	list_push(&sim->calls, &call->link);
	sim->deeds[deed]++;
	sim_trace(sim, "#%llu %s %s: loop %u, %s %s %s", (unsigned long long)call->number, sim->actors[actor].name, deed_names[deed],
		loop_number(call->loop), method, call->target, body != NULL ? body : "");
	door_draw(call);
	call->unsent = true;
	return call;
}

static void call_post(struct sim_call *call)
{
	if (call->unsent) {
		call->unsent = false;
		call->note.run = dispatch_run;
		loop_note_post(call->loop, &call->note);
	}
}

/* What a call is follows behind its making: it goes out with the next step. */
void sim_calls_go(struct sim *sim)
{
	struct list *next;
	for (struct list *at = sim->calls.next; at != &sim->calls; at = next) {
		struct sim_call *call = container_of(at, struct sim_call, link);
		next = at->next;
		if (!call->unsent) {
			continue;
		}
		if (!call->by_wire) {
			call_post(call);
			continue;
		}
		call->unsent = false;
		sim->by_wire++;
		if (!sim_wire_send(call)) {
			sim_call_on_cut(call);
		}
	}
}

void sim_call_on_cut(struct sim_call *call)
{
	struct sim *sim = call->sim;
	sim_trace(sim, "#%llu %s %s: cut off", (unsigned long long)call->number, sim->actors[call->actor].name, deed_names[call->deed]);
	bool follows = call->stream && call->deed != DEED_LISTEN && !sim->stopping && !sim->resting && sim_chance(&sim->work, 60);
	int actor = call->actor, chat = call->subject;
	sim_model_lost(call);
	sim_call_over(call);
	if (follows && sim->chats[chat].execution[0] != '\0') {
		sim_work_resume(sim, actor, chat);
	}
}

void sim_call_hang_up(struct sim_call *call)
{
	if (call->wire != NULL) {
		sim_wire_hang_up(call);
		sim_call_on_end(call);
	} else if (call->by_wire) {
		/* Not sent yet. */
		sim_call_on_cut(call);
	} else if (!call->hung_up && !call->over) {
		call_post(call);
		call->hung_up = true;
		call->hang_note.run = hang_run;
		loop_note_post(call->loop, &call->hang_note);
	}
}

void sim_call_wait(struct sim *sim, struct sim_call *call, int status)
{
	uint64_t number = call->number;
	sim->awaited = call;
	sim->awaited_status = 0;
	for (int i = 0; sim->awaited != NULL && i < WAIT_STEPS_MAX; i++) {
		if (!sim_step(sim)) {
			break;
		}
	}
	if (sim->awaited_status != status) {
		sim_fail(sim, "#%llu: answered %d instead of %d", (unsigned long long)number, sim->awaited_status, status);
	}
}

int sim_calls_open(const struct sim *sim)
{
	int count = 0;
	for (const struct list *at = sim->calls.next; at != &sim->calls; at = at->next) {
		count += container_of(at, struct sim_call, link)->deed != DEED_LISTEN;
	}
	return count;
}

void sim_call_keep(struct sim_call *call)
{
	struct sim *sim = call->sim;
	bool fits = call->body.len < sizeof(sim->repeats_kept[0].body) && strlen(call->target) < sizeof(sim->repeats_kept[0].target);
	bool lost = call->status == 0 || call->status >= 500;
	/* A refusal is not kept: the next try might be taken. */
	if (call->key[0] == '\0' || !fits || (call->status >= 400 && !lost) || !sim_chance(&sim->work, lost ? 80 : 15)) {
		return;
	}
	bool full = sim->repeat_count == SIM_REPEATS;
	struct sim_repeat *kept = &sim->repeats_kept[full ? (int)sim_draw(&sim->work, SIM_REPEATS) : sim->repeat_count++];
	*kept = (struct sim_repeat){call->deed, call->actor, call->subject, call->other, call->stream, call->by_ws, "", "", ""};
	memcpy(kept->key, call->key, sizeof(kept->key));
	memcpy(kept->target, call->target, strlen(call->target));
	memcpy(kept->body, call->body.at, call->body.len);
}

/* ---- the end of a life ---- */

void sim_calls_mute(struct sim *sim)
{
	for (struct list *at = sim->calls.next; at != &sim->calls; at = at->next) {
		struct sim_call *call = container_of(at, struct sim_call, link);
		if (!call->over) {
			sim_model_lost(call);
			call->over = call->by_wire || call->unsent;
			call->unsent = false;
			if (!call->over) {
				sim_call_hang_up(call);
			}
		}
	}
	sim_wire_forget(sim);
}

void sim_calls_hang_up(struct sim *sim)
{
	struct list *next;
	for (struct list *at = sim->calls.next; at != &sim->calls; at = next) {
		struct sim_call *call = container_of(at, struct sim_call, link);
		next = at->next;
		if (call->deed == DEED_LISTEN) {
			sim_call_hang_up(call);
		}
	}
}

void sim_calls_free(struct sim *sim)
{
	while (!list_empty(&sim->calls)) {
		call_free(container_of(sim->calls.next, struct sim_call, link));
	}
	sim->awaited = NULL;
}

/* ---- reading ---- */

bool sim_parse(struct sim *sim, struct str text)
{
	arena_fini(&sim->arena);
	arena_init(&sim->arena, 1 << 24);
	sim->doc = (struct json_doc){0};
	struct str kept = arena_copy(&sim->arena, text);
	return kept.at != NULL && json_parse(&sim->arena, kept, &sim->doc, NULL) == ERR_OK;
}

const char *sim_text(struct sim *sim, struct json value, const char *name)
{
	struct str text;
	if (!json_get_str(json_member(value, str_of(name)), &text)) {
		return "";
	}
	return arena_copy(&sim->arena, text).at;
}
