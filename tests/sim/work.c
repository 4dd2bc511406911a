/* work.c - what actors do, drawn from the seed. */
#include <stdlib.h>

#include "agent/agent.h"
#include "base/check.h"
#include "identity/identity.h"
#include "sim.h"

#define OPERATOR 0
#define ADMIN 1
#define DEMOTED 4 /* the one whose role changes */
#define PEOPLE 6

static const char *const people[PEOPLE][2] = {{"operator", ""}, {"Ada", "admin"}, {"Bo", "member"}, {"Cy", "member"}, {"Di", "member"},
	{"Ed", "member"}};
static const char *const levels[] = {"student", "intern", "supervised", "autonomous"};
static const char *const emoji[SIM_EMOJI] = {"%F0%9F%91%8D", "%E2%9D%A4%EF%B8%8F", "%F0%9F%8E%89"};

/* ---- set-up ---- */

static const char *reply_text(struct sim *sim, const char *name)
{
	return sim_text(sim, json_root(&sim->doc), name);
}

static int64_t key_of(struct sim *sim, enum id_kind kind, const char *id)
{
	int64_t key = 0;
	check(id_parse(&sim->guild->id_secret, kind, str_of(id), &key) == ERR_OK);
	return key;
}

static void people_make(struct sim *sim)
{
	const struct principal *operator= identity_operator(sim->guild->identity);
	struct id_text id = id_format(&sim->guild->id_secret, ID_PRINCIPAL, operator->id);
	struct id_text workspace = id_format(&sim->guild->id_secret, ID_WORKSPACE, operator->workspace);
	snprintf(sim->workspace, sizeof(sim->workspace), "%s", workspace.text);
	for (int i = 0; i < SIM_ACTORS; i++) {
		sim->actors[i].agent = -1;
		sim->actors[i].next_us = INT64_MAX;
	}
	for (int i = 0; i < PEOPLE; i++) {
		struct sim_actor *actor = &sim->actors[i];
		char body[128];
		snprintf(actor->name, sizeof(actor->name), "%s", people[i][0]);
		if (i == OPERATOR) {
			snprintf(actor->id, sizeof(actor->id), "%s", id.text);
		} else {
			snprintf(body, sizeof(body), "{\"name\":\"%s\",\"role\":\"%s\"}", people[i][0], people[i][1]);
			sim_call_wait(sim, sim_call_send(sim, OPERATOR, DEED_SETUP, "POST", body, "/v1/users"), 201);
			snprintf(actor->id, sizeof(actor->id), "%s", reply_text(sim, "id"));
		}
		actor->principal = actor->key = key_of(sim, ID_PRINCIPAL, actor->id);
		if (i != OPERATOR) {
			snprintf(body, sizeof(body), "{\"user_id\":\"%s\"}", actor->id);
			sim_call_wait(sim, sim_call_send(sim, OPERATOR, DEED_SETUP, "POST", body, "/v1/tokens"), 201);
			snprintf(actor->token, sizeof(actor->token), "%s", reply_text(sim, "token"));
		}
		actor->role.value = i == OPERATOR ? ROLE_OPERATOR : i == ADMIN ? ROLE_ADMIN : ROLE_MEMBER;
	}
}

/* The first ones are run by the guild and chat; the others act. */
static void agents_make(struct sim *sim)
{
	for (int i = 0; i < SIM_AGENTS; i++) {
		struct sim_agent *agent = &sim->agents[i];
		char body[200];
		bool hosted = i < SIM_HOSTED;
		agent->maturity.value = 1 + (int)sim_draw(&sim->work, 4);
		snprintf(agent->handle, sizeof(agent->handle), "agent%c", 'a' + i);
		snprintf(body, sizeof(body), "{\"name\":\"%s\",\"handle\":\"%s\",\"maturity\":\"%s\",\"kind\":\"%s\",\"auto_reply\":%s}", agent->handle,
			agent->handle, levels[agent->maturity.value - 1], hosted ? "hosted" : "external", i == 1 ? "true" : "false");
		sim_call_wait(sim, sim_call_send(sim, ADMIN, DEED_SETUP, "POST", body, "/v1/agents"), 201);
		snprintf(agent->id, sizeof(agent->id), "%s", reply_text(sim, "id"));
		if (hosted) {
			continue;
		}
		sim_call_wait(sim, sim_call_send(sim, ADMIN, DEED_SETUP, "POST", "{}", "/v1/agents/%s/tokens", agent->id), 201);
		struct sim_actor *actor = &sim->actors[PEOPLE + i - SIM_HOSTED];
		snprintf(actor->name, sizeof(actor->name), "%s", agent->handle);
		snprintf(actor->token, sizeof(actor->token), "%s", reply_text(sim, "token"));
		actor->key = key_of(sim, ID_AGENT, agent->id);
		actor->principal = identity_agent(sim->guild->identity, actor->key)->id;
		actor->agent = i;
		snprintf(actor->id, sizeof(actor->id), "%s", agent->id);
	}
}

void sim_work_setup(struct sim *sim)
{
	people_make(sim);
	agents_make(sim);
	for (int i = 0; i < SIM_ACTORS; i++) {
		sim->actors[i].next_us = sim->now_us + sim_draw(&sim->work, 100000);
	}
}

/* ---- deeds ---- */

static int post_draw(struct sim *sim)
{
	int post = sim->post_count > 0 ? (int)sim_draw(&sim->work, (uint32_t)sim->post_count) : -1;
	return post >= 0 && sim->posts[post].id[0] != '\0' ? post : -1;
}

static int channel_draw(struct sim *sim)
{
	int channel = sim->channel_count > 0 ? (int)sim_draw(&sim->work, (uint32_t)sim->channel_count) : -1;
	return channel >= 0 && sim->channels[channel].id[0] != '\0' ? channel : -1;
}

static int other_draw(struct sim *sim, int actor)
{
	return (actor + 1 + (int)sim_draw(&sim->work, SIM_ACTORS - 1)) % SIM_ACTORS;
}

static void level_mark(struct sim *sim, struct sim_call *call, int actor)
{
	struct sim_level *level = sim_model_level(sim, actor);
	call->level_version = sim_level_mark(level);
}

static void do_post(struct sim *sim, int actor)
{
	char body[512], mark[16];
	if (sim->post_count == SIM_POSTS) {
		return;
	}
	int index = sim->post_count++;
	struct sim_post *post = &sim->posts[index];
	int channel = sim_chance(&sim->work, 35) ? channel_draw(sim) : -1;
	*post = (struct sim_post){.author = actor, .parent = -1, .scope = channel >= 0 ? SCOPE_CHANNEL : SCOPE_PUBLIC, .target = channel};
	post->deleted = KNOWN_NO;
	sim_mark(mark, 'p', index);
	if (channel < 0 && sim_chance(&sim->work, 30)) {
		post->scope = SCOPE_DIRECTED;
		post->target = other_draw(sim, actor);
		const struct sim_actor *target = &sim->actors[post->target];
		snprintf(body, sizeof(body), "{\"content\":\"%s for you\",\"visibility\":\"directed\",\"mentions\":[\"%s:%s\"]}", mark,
			target->agent >= 0 ? "agent" : "user", target->id);
	} else if (channel >= 0) {
		snprintf(body, sizeof(body), "{\"content\":\"%s in here #tag\",\"channel_id\":\"%s\"}", mark, sim->channels[channel].id);
	} else {
		snprintf(body, sizeof(body), "{\"content\":\"%s hello #tag%s\"}", mark, sim_chance(&sim->work, 30) ? " @agentb" : "");
	}
	struct sim_call *call = sim_call_send(sim, actor, DEED_POST, "POST", body, "/v1/posts");
	call->subject = index;
	level_mark(sim, call, actor);
}

static void do_reply(struct sim *sim, int actor)
{
	char body[256], mark[16];
	int parent = post_draw(sim);
	if (sim->post_count == SIM_POSTS || parent < 0) {
		return;
	}
	int index = sim->post_count++;
	const struct sim_post *of = &sim->posts[parent];
	sim->posts[index] = (struct sim_post){.author = actor, .parent = parent, .scope = of->scope, .target = of->target, .deleted = KNOWN_NO};
	sim_mark(mark, 'p', index);
	snprintf(body, sizeof(body), "{\"content\":\"%s an answer\"}", mark);
	struct sim_call *call = sim_call_send(sim, actor, DEED_REPLY, "POST", body, "/v1/posts/%s/replies", of->id);
	call->subject = index;
	level_mark(sim, call, actor);
}

static void do_react(struct sim *sim, int actor)
{
	int post = post_draw(sim);
	int which = (int)sim_draw(&sim->work, SIM_EMOJI);
	if (post < 0 || sim->posts[post].reacting[actor][which]) {
		return;
	}
	bool adds = sim_chance(&sim->work, 65);
	sim->posts[post].reacting[actor][which] = true;
	struct sim_call *call = sim_call_send(sim, actor, adds ? DEED_REACT : DEED_UNREACT, adds ? "PUT" : "DELETE", NULL, "/v1/posts/%s/reactions/%s",
		sim->posts[post].id, emoji[which]);
	call->subject = post;
	call->other = which;
}

static void do_delete(struct sim *sim, int actor)
{
	int post = post_draw(sim);
	if (post < 0 || sim->posts[post].deleted != KNOWN_NO || sim->posts[post].author != actor) {
		return;
	}
	sim->posts[post].deleted = KNOWN_MAYBE;
	sim_call_send(sim, actor, DEED_DELETE, "DELETE", NULL, "/v1/posts/%s", sim->posts[post].id)->subject = post;
}

static void do_channel(struct sim *sim, int actor)
{
	char body[128];
	if (sim->channel_count == SIM_CHANNELS) {
		return;
	}
	int index = sim->channel_count++;
	struct sim_channel *channel = &sim->channels[index];
	*channel = (struct sim_channel){.by = actor, .is_private = sim_chance(&sim->work, 60)};
	for (int i = 0; i < SIM_ACTORS; i++) {
		channel->member[i] = i == actor ? KNOWN_MAYBE : KNOWN_NO;
	}
	snprintf(channel->name, sizeof(channel->name), "room-%c", 'a' + index);
	snprintf(body, sizeof(body), "{\"name\":\"%s\",\"private\":%s}", channel->name, channel->is_private ? "true" : "false");
	sim_call_send(sim, actor, DEED_CHANNEL, "POST", body, "/v1/channels")->subject = index;
}

static void do_membership(struct sim *sim, int actor)
{
	int index = channel_draw(sim);
	int who = sim_chance(&sim->work, 50) ? actor : other_draw(sim, actor);
	if (index < 0 || sim->channels[index].moving[who]) {
		return;
	}
	bool joins = sim_chance(&sim->work, 65);
	sim->channels[index].moving[who] = true;
	struct sim_call *call = sim_call_send(sim, actor, joins ? DEED_JOIN : DEED_LEAVE, joins ? "PUT" : "DELETE", NULL, "/v1/channels/%s/members/%s",
		sim->channels[index].id, who == actor ? "me" : sim->actors[who].id);
	call->subject = index;
	call->other = who;
}

static void do_tell(struct sim *sim, int actor)
{
	char body[256], mark[16];
	if (sim->told_count == SIM_TOLD) {
		return;
	}
	int index = sim->told_count++, to = other_draw(sim, actor);
	sim->told[index] = (struct sim_told){.from = actor, .to = to};
	sim_mark(mark, 'd', index);
	snprintf(body, sizeof(body), "{\"content\":\"%s between us\",\"%s\":\"%s\"}", mark, sim->actors[to].agent >= 0 ? "to_agent_id" : "to_user_id",
		sim->actors[to].id);
	struct sim_call *call = sim_call_send(sim, actor, DEED_TELL, "POST", body, "/v1/direct-messages");
	call->subject = index;
	level_mark(sim, call, actor);
}

static void do_chat(struct sim *sim, int actor)
{
	static const char *const busy[] = {"", ",\"on_busy\":\"enqueue\"", ",\"on_busy\":\"reject\"", ",\"on_busy\":\"interrupt\"",
		",\"on_busy\":\"rollback\""};
	char body[512], mark[16], session[80] = "";
	if (sim->chat_count == SIM_CHATS || sim->actors[actor].agent >= 0) {
		return;
	}
	int index = sim->chat_count++, agent = (int)sim_draw(&sim->work, SIM_HOSTED);
	int before = index > 0 && sim_chance(&sim->work, 60) ? (int)sim_draw(&sim->work, (uint32_t)index) : -1;
	bool stream = sim_chance(&sim->work, 60);
	sim->chats[index] = (struct sim_chat){.by = actor};
	if (before >= 0 && sim->chats[before].by == actor && sim->chats[before].session[0] != '\0') {
		snprintf(session, sizeof(session), ",\"session_id\":\"%s\"", sim->chats[before].session);
	}
	sim_mark(mark, 'c', index);
	snprintf(body, sizeof(body), "{\"agent\":\"%s\",\"message\":\"%s tell me\",\"stream\":%s%s%s}", sim->agents[agent].id, mark,
		stream ? "true" : "false", session, busy[sim_draw(&sim->work, 5)]);
	struct sim_call *call = sim_call_send(sim, actor, DEED_CHAT, "POST", body, "/v1/chat");
	call->stream = stream;
	call->subject = index;
	call->other = agent;
	call->level_version = sim_level_mark(&sim->agents[agent].maturity);
}

static int chat_draw(struct sim *sim, int actor)
{
	int chat = sim->chat_count > 0 ? (int)sim_draw(&sim->work, (uint32_t)sim->chat_count) : -1;
	return chat >= 0 && sim->chats[chat].by == actor && sim->chats[chat].execution[0] != '\0' ? chat : -1;
}

static void resume(struct sim *sim, int actor, int chat, int64_t epoch, int64_t seq)
{
	struct sim_call *call = sim_call_send(sim, actor, DEED_RESUME, "GET", NULL, "/v1/executions/%s/events?after=%lld:%lld",
		sim->chats[chat].execution, (long long)(epoch > 0 ? epoch : 1), (long long)seq);
	call->stream = true;
	call->subject = chat;
	call->epoch = epoch > 0 ? epoch : 1;
	call->seq = seq;
	/* There is no answer that says that nothing is left. */
	call->by_ws = call->by_ws && (seq == 0 || !sim->chats[chat].ended);
}

void sim_work_resume(struct sim *sim, int actor, int chat)
{
	resume(sim, actor, chat, sim->chats[chat].epoch, sim->chats[chat].seq);
}

static void do_run(struct sim *sim, int actor)
{
	int chat = chat_draw(sim, actor);
	if (chat < 0) {
		return;
	}
	if (sim_chance(&sim->work, 35)) {
		sim_call_send(sim, actor, DEED_CANCEL, "POST", NULL, "/v1/executions/%s/cancel", sim->chats[chat].execution)->subject = chat;
	} else if (sim_chance(&sim->work, 30)) {
		resume(sim, actor, chat, 1, 0);
	} else {
		sim_work_resume(sim, actor, chat);
	}
}

static void topic_draw(struct sim *sim, int actor, char out[64])
{
	int channel = channel_draw(sim), post = post_draw(sim);
	uint32_t kind = sim_draw(&sim->work, 6);
	if (kind == 0 && sim->actors[actor].agent < 0) {
		snprintf(out, 64, "user:%s", sim->actors[actor].id);
	} else if (kind == 1) {
		snprintf(out, 64, "agent:%s", sim->agents[sim_draw(&sim->work, SIM_AGENTS)].id);
	} else if (kind == 2 && channel >= 0) {
		snprintf(out, 64, "channel:%s", sim->channels[channel].id);
	} else if (kind == 3 && post >= 0) {
		snprintf(out, 64, "post:%s", sim->posts[post].id);
	} else if (kind == 4) {
		snprintf(out, 64, "workspace:%s", sim->workspace);
	} else {
		snprintf(out, 64, "global");
	}
}

static void listen(struct sim *sim, int index)
{
	struct sim_listener *listener = &sim->listeners[index];
	char after[32] = "now", topics[SIM_TOPICS * 64] = "";
	for (int i = 0; i < listener->topic_count; i++) {
		strcat(strcat(topics, i > 0 ? "," : ""), listener->topics[i]);
	}
	if (listener->from >= 0) {
		snprintf(after, sizeof(after), "%lld:%lld", (long long)sim->guild->epoch, (long long)listener->last);
	}
	listener->call = sim_call_send(sim, listener->actor, DEED_LISTEN, "GET", NULL, "/v1/events?topics=%s&after=%s", topics, after);
	listener->call->stream = true;
	listener->call->subject = index;
}

/* A new listener, one that goes, or one that comes back to where it was. */
static void do_listen(struct sim *sim, int actor)
{
	int index = sim->listener_count > 0 ? (int)sim_draw(&sim->work, (uint32_t)sim->listener_count) : -1;
	if (index >= 0 && sim->listeners[index].ended) {
		return;
	}
	if (index >= 0 && sim->listeners[index].call == NULL) {
		listen(sim, index);
	} else if (index >= 0 && sim_chance(&sim->work, 50)) {
		sim_call_hang_up(sim->listeners[index].call);
	} else if (sim->listener_count < SIM_LISTENERS) {
		struct sim_listener *listener = &sim->listeners[sim->listener_count];
		*listener = (struct sim_listener){.used = true, .actor = actor, .from = -1};
		listener->topic_count = 1 + (int)sim_draw(&sim->work, SIM_TOPICS);
		for (int i = 0; i < listener->topic_count; i++) {
			char topic[64];
			topic_draw(sim, actor, topic);
			memcpy(listener->topics[i], topic, sizeof(topic));
		}
		listen(sim, sim->listener_count++);
	}
}

static void do_level(struct sim *sim, int actor)
{
	struct sim_agent *agent = &sim->agents[sim_draw(&sim->work, SIM_AGENTS)];
	if (actor > ADMIN || agent->maturity.changing) {
		return;
	}
	agent->maturity.changing = true;
	agent->maturity.version++;
	bool up = sim_chance(&sim->work, 50);
	const char *body = up ? "{\"override\":true,\"reason\":\"the seed says so\"}" : "{\"reason\":\"the seed says so\"}";
	sim_call_send(sim, actor, DEED_LEVEL, "POST", body, "/v1/agents/%s/%s", agent->id, up ? "promote" : "demote")->subject =
		(int)(agent - sim->agents);
}

static void do_role(struct sim *sim, int actor)
{
	struct sim_level *role = &sim->actors[DEMOTED].role;
	bool viewer = sim_chance(&sim->work, 50);
	if (actor > ADMIN || role->changing) {
		return;
	}
	role->changing = true;
	role->version++;
	struct sim_call *call = sim_call_send(sim, actor, DEED_ROLE, "PATCH", viewer ? "{\"role\":\"viewer\"}" : "{\"role\":\"member\"}", "/v1/users/%s",
		sim->actors[DEMOTED].id);
	call->subject = DEMOTED;
	call->other = viewer ? ROLE_VIEWER : ROLE_MEMBER;
}

static void do_decide(struct sim *sim, int actor)
{
	static const char *const actions[] = {"search", "chat", "create", "delete"};
	uint32_t level = sim_draw(&sim->work, 4);
	char body[64];
	int agent = (int)sim_draw(&sim->work, SIM_AGENTS);
	snprintf(body, sizeof(body), "{\"action\":\"%s\"}", actions[level]);
	struct sim_call *call = sim_call_send(sim, actor, DEED_DECIDE, "POST", body, "/v1/agents/%s/decide", sim->agents[agent].id);
	call->subject = agent;
	call->other = (int)level + 1;
	call->level_version = sim_level_mark(&sim->agents[agent].maturity);
}

static void do_read(struct sim *sim, int actor)
{
	int post = post_draw(sim);
	if (post >= 0 && sim_chance(&sim->work, 50)) {
		struct sim_call *call = sim_call_send(sim, actor, DEED_READ, "GET", NULL, "/v1/posts/%s", sim->posts[post].id);
		call->subject = post;
		call->other = (int)sim_model_sees(sim, post, actor);
	} else if (sim_chance(&sim->work, 50)) {
		sim_call_send(sim, actor, DEED_READ, "GET", NULL, "/v1/feed?limit=100");
	} else {
		sim_call_send(sim, actor, DEED_READ, "GET", NULL, "/v1/direct-messages?limit=100");
	}
}

/* Whose role has changed has no token any more: a new one, and the old one is tried. */
static bool do_sign(struct sim *sim, int actor)
{
	const struct sim_level *role = &sim->actors[actor].role;
	char body[80];
	if (actor != DEMOTED || sim->actors[actor].token[0] != '\0' || role->changing) {
		return false;
	}
	if (sim->actors[actor].revoked[0] != '\0' && sim_chance(&sim->work, 50)) {
		sim_call_send(sim, actor, DEED_REVOKED, "GET", NULL, "/v1/me");
		return true;
	}
	snprintf(body, sizeof(body), "{\"user_id\":\"%s\"}", sim->actors[actor].id);
	struct sim_call *call = sim_call_send(sim, OPERATOR, DEED_SIGN, "POST", body, "/v1/tokens");
	call->subject = actor;
	call->level_version = role->version;
	return true;
}

/* The same again, whether its answer came or was lost. */
static void do_repeat(struct sim *sim, int actor)
{
	if (sim->repeat_count == 0) {
		return;
	}
	const struct sim_repeat *kept = &sim->repeats_kept[sim_draw(&sim->work, (uint32_t)sim->repeat_count)];
	(void)actor;
	struct sim_call *call = sim_call_send(sim, kept->actor, kept->deed, "POST", kept->body, "%s", kept->target);
	memcpy(call->key, kept->key, sizeof(call->key));
	call->stream = kept->stream;
	call->by_wire = call->by_wire || kept->by_ws;
	call->by_ws = kept->by_ws;
	call->subject = kept->subject;
	call->other = kept->other;
	call->repeated = true;
	sim->repeats++;
}

void sim_work_deed(struct sim *sim, int actor)
{
	static void (*const deeds[])(struct sim *, int) = {do_chat, do_chat, do_chat, do_run, do_run, do_run, do_post, do_post, do_post,
		do_reply, do_reply, do_react, do_react, do_react, do_delete, do_channel, do_membership, do_membership, do_tell, do_tell,
		do_listen, do_listen, do_listen, do_repeat, do_repeat, do_level, do_role, do_decide, do_decide, do_read, do_read, do_read};
	if (!do_sign(sim, actor)) {
		deeds[sim_draw(&sim->work, sizeof(deeds) / sizeof(deeds[0]))](sim, actor);
	}
	/* Some do several things at once. */
	sim->actors[actor].next_us = sim->now_us + (sim_chance(&sim->work, 30) ? 0 : (int64_t)sim_draw(&sim->work, sim->pause_us));
}

void sim_work_view_all(struct sim *sim)
{
	for (int i = 0; i < sim->chat_count; i++) {
		if (sim->chats[i].execution[0] != '\0') {
			resume(sim, sim->chats[i].by, i, 1, 0);
			while (sim_calls_open(sim) > 0) {
				if (!sim_step(sim)) {
					sim_fail(sim, "a stream that is over is not given");
				}
			}
		}
	}
}
