/* model.c - the reference: what was acknowledged, what may be, and what must not come. */
#include <stdlib.h>

#include "base/check.h"
#include "sim.h"

/* ---- marks: words that no redaction and no parser changes ---- */

void sim_mark(char *out, char kind, int index)
{
	snprintf(out, 16, "mk%c%c%c%c", kind, 'a' + index / 676 % 26, 'a' + index / 26 % 26, 'a' + index % 26);
}

int sim_mark_read(struct str text, char kind)
{
	if (text.len < 6 || text.at[0] != 'm' || text.at[1] != 'k' || text.at[2] != kind) {
		return -1;
	}
	return ((text.at[3] - 'a') * 26 + text.at[4] - 'a') * 26 + text.at[5] - 'a';
}

/* ---- levels ---- */

struct sim_level *sim_model_level(struct sim *sim, int actor)
{
	struct sim_actor *who = &sim->actors[actor];
	return who->agent >= 0 ? &sim->agents[who->agent].maturity : &who->role;
}

int64_t sim_level_mark(const struct sim_level *level)
{
	return level->changing || level->value == 0 ? -1 : level->version;
}

bool sim_level_stable(const struct sim_level *level, int64_t mark)
{
	return mark >= 0 && !level->changing && level->version == mark;
}

/* By the level alone the actor may not write: a student, a viewer. */
static bool level_forbids(struct sim *sim, const struct sim_call *call)
{
	const struct sim_level *level = sim_model_level(sim, call->actor);
	bool low = sim->actors[call->actor].agent >= 0 ? level->value == 1 : level->value == ROLE_VIEWER;
	return sim_level_stable(level, call->level_version) && low;
}

/* Its connection is gone, and the guild is not: what was asked may still be done, behind whatever is asked from now on. */
static bool cut_off(const struct sim_call *call)
{
	return call->by_wire && call->status == 0 && !call->sim->down;
}

static void level_changed(struct sim_level *level, int value, bool still)
{
	level->value = value;
	level->changing = still;
	level->version++;
}

void sim_model_life(struct sim *sim)
{
	for (int i = 0; i < sim->post_count; i++) {
		memset(sim->posts[i].reacting, 0, sizeof(sim->posts[i].reacting));
	}
	for (int i = 0; i < sim->channel_count; i++) {
		memset(sim->channels[i].moving, 0, sizeof(sim->channels[i].moving));
	}
	for (int i = 0; i < SIM_AGENTS; i++) {
		sim->agents[i].maturity.changing = false;
	}
	for (int i = 0; i < SIM_ACTORS; i++) {
		sim->actors[i].role.changing = false;
	}
}

/* ---- who sees what ---- */

static enum sim_known member_known(const struct sim_channel *channel, int actor)
{
	return channel->moving[actor] ? KNOWN_MAYBE : channel->member[actor];
}

enum sim_known sim_model_sees(const struct sim *sim, int post, int actor)
{
	const struct sim_post *p = &sim->posts[post];
	while (p->parent >= 0) {
		p = &sim->posts[p->parent];
	}
	if (p->scope == SCOPE_PUBLIC || (p->scope == SCOPE_CHANNEL && !sim->channels[p->target].is_private)) {
		return KNOWN_YES;
	}
	if (p->scope == SCOPE_DIRECTED) {
		return p->author == actor || p->target == actor ? KNOWN_YES : KNOWN_NO;
	}
	return member_known(&sim->channels[p->target], actor);
}

static int post_by_id(const struct sim *sim, struct str id)
{
	for (int i = 0; i < sim->post_count; i++) {
		if (str_eq(str_of(sim->posts[i].id), id)) {
			return i;
		}
	}
	return -1;
}

/* Whether the actor's part in that channel was another one at that time or later: what was said then may come late. */
static bool part_changed(const struct sim *sim, int post, int actor, int64_t since_us)
{
	const struct sim_post *p = &sim->posts[post];
	while (p->parent >= 0) {
		p = &sim->posts[p->parent];
	}
	return p->scope == SCOPE_CHANNEL && sim->channels[p->target].changed_us[actor] >= since_us;
}

static void must_see(struct sim *sim, int actor, int post, const char *what, int64_t since_us)
{
	if (post >= sim->post_count || sim->posts[post].there == KNOWN_NO) {
		sim_fail(sim, "%s of post %d, which there is not", what, post);
	}
	if (sim_model_sees(sim, post, actor) == KNOWN_NO && !part_changed(sim, post, actor, since_us)) {
		sim_fail(sim, "%s of post %d is not for %s", what, post, sim->actors[actor].name);
	}
}

/* ---- replies ---- */

/* The id of what was made; the same one for all who ask under one key. */
static void id_keep(struct sim_call *call, char out[SIM_ID])
{
	const char *id = sim_text(call->sim, json_root(&call->sim->doc), "id");
	if (out[0] != '\0' && strcmp(out, id) != 0) {
		sim_fail(call->sim, "#%llu: asked again under its key it is %s, and was %s", (unsigned long long)call->number, id, out);
	}
	snprintf(out, SIM_ID, "%s", id);
}

static enum sim_known known_of(int status)
{
	return status >= 200 && status < 300 ? KNOWN_YES : status >= 400 && status < 500 ? KNOWN_NO : KNOWN_MAYBE;
}

/* What the answer says of whether it was done, with what is known already. */
static enum sim_known known_made(const struct sim_call *call, enum sim_known before)
{
	enum sim_known known = known_of(call->status);
	return before == KNOWN_YES || (call->repeated && known != KNOWN_YES) ? before : known;
}

static void must_be_refused(struct sim_call *call, const char *what)
{
	if (known_of(call->status) == KNOWN_YES && level_forbids(call->sim, call)) {
		sim_fail(call->sim, "#%llu: %s was taken on a level that was gone before it was asked", (unsigned long long)call->number, what);
	}
}

static void on_post(struct sim_call *call)
{
	struct sim_post *post = &call->sim->posts[call->subject];
	bool known = post->there == KNOWN_YES;
	post->there = known_made(call, post->there);
	if (known_of(call->status) == KNOWN_YES) {
		id_keep(call, post->id);
	}
	if (post->there == KNOWN_YES && !known) {
		for (int i = 0; i < SIM_ACTORS; i++) {
			for (int j = 0; j < SIM_EMOJI; j++) {
				post->reaction[i][j] = KNOWN_NO;
			}
		}
	}
	must_be_refused(call, "a post");
}

static void on_react(struct sim_call *call)
{
	struct sim_post *post = &call->sim->posts[call->subject];
	post->reacting[call->actor][call->other] = cut_off(call);
	if (known_of(call->status) == KNOWN_YES) {
		post->reaction[call->actor][call->other] = call->deed == DEED_REACT ? KNOWN_YES : KNOWN_NO;
	} else if (known_of(call->status) == KNOWN_MAYBE) {
		post->reaction[call->actor][call->other] = KNOWN_MAYBE;
	}
}

static void on_delete(struct sim_call *call)
{
	call->sim->posts[call->subject].deleted = known_of(call->status);
}

static void on_channel(struct sim_call *call)
{
	struct sim_channel *channel = &call->sim->channels[call->subject];
	bool known = channel->there == KNOWN_YES;
	channel->there = known_made(call, channel->there);
	if (known_of(call->status) == KNOWN_YES) {
		id_keep(call, channel->id);
		channel->member[channel->by] = known ? channel->member[channel->by] : KNOWN_YES;
	}
}

static void on_membership(struct sim_call *call)
{
	struct sim_channel *channel = &call->sim->channels[call->subject];
	channel->moving[call->other] = cut_off(call);
	channel->changed_us[call->other] = call->sim->now_us;
	if (known_of(call->status) == KNOWN_YES) {
		channel->member[call->other] = call->deed == DEED_JOIN ? KNOWN_YES : KNOWN_NO;
	} else if (known_of(call->status) == KNOWN_MAYBE) {
		channel->member[call->other] = KNOWN_MAYBE;
	}
}

static void on_tell(struct sim_call *call)
{
	struct sim_told *told = &call->sim->told[call->subject];
	told->there = known_made(call, told->there);
	if (known_of(call->status) == KNOWN_YES) {
		id_keep(call, told->id);
	}
	must_be_refused(call, "a direct message");
}

static void on_level(struct sim_call *call)
{
	static const char *const words[] = {"", "student", "intern", "supervised", "autonomous"};
	struct sim *sim = call->sim;
	struct sim_level *level = &sim->agents[call->subject].maturity;
	int value = known_of(call->status) == KNOWN_NO ? level->value : 0;
	for (int i = 1; known_of(call->status) == KNOWN_YES && i <= 4; i++) {
		value = strcmp(sim_text(sim, json_root(&sim->doc), "maturity"), words[i]) == 0 ? i : value;
	}
	level_changed(level, value, cut_off(call));
}

static void on_role(struct sim_call *call)
{
	struct sim_actor *actor = &call->sim->actors[call->subject];
	struct sim_level *level = &actor->role;
	enum sim_known known = known_of(call->status);
	/* Another role takes the tokens along; the same one may not. */
	if (known == KNOWN_YES && level->value != 0 && level->value != call->other && actor->token[0] != '\0') {
		memcpy(actor->revoked, actor->token, sizeof(actor->revoked));
	}
	if (known != KNOWN_NO) {
		actor->token[0] = '\0';
	}
	level_changed(level, known == KNOWN_YES ? call->other : known == KNOWN_NO ? level->value : 0, cut_off(call));
}

static void on_decide(struct sim_call *call)
{
	struct sim *sim = call->sim;
	const struct sim_level *level = &sim->agents[call->subject].maturity;
	bool allowed = false;
	if (call->status != 200 || !sim_level_stable(level, call->level_version)) {
		return;
	}
	check(json_get_bool(json_member(json_root(&sim->doc), STR("allowed")), &allowed));
	if (allowed != (level->value >= call->other)) {
		sim_fail(sim, "#%llu: decided on another maturity than %d, which was acknowledged before", (unsigned long long)call->number, level->value);
	}
}

static void items_check(struct sim_call *call)
{
	struct sim *sim = call->sim;
	struct json_iter items = json_iter(json_member(json_root(&sim->doc), STR("items")));
	struct json item;
	while (json_next(&items, NULL, &item)) {
		struct str content = STR_NONE;
		(void)json_get_str(json_member(item, STR("content")), &content);
		int post = sim_mark_read(content, 'p'), told = sim_mark_read(content, 'd');
		if (post >= 0) {
			must_see(sim, call->actor, post, "a feed's item", call->sent_us);
		}
		if (told >= 0 && sim->told[told].from != call->actor && sim->told[told].to != call->actor) {
			sim_fail(sim, "#%llu: a message of others", (unsigned long long)call->number);
		}
	}
}

static void on_read(struct sim_call *call)
{
	struct sim *sim = call->sim;
	if (call->subject < 0) {
		items_check(call);
		return;
	}
	const struct sim_post *post = &sim->posts[call->subject];
	enum sim_known sees = sim_model_sees(sim, call->subject, call->actor);
	if (sees != (enum sim_known)call->other || part_changed(sim, call->subject, call->actor, call->sent_us)) {
		return;
	}
	if (sees == KNOWN_NO && call->status == 200) {
		sim_fail(sim, "#%llu: post %d is shown to %s", (unsigned long long)call->number, call->subject, sim->actors[call->actor].name);
	}
	if (sees == KNOWN_YES && post->there == KNOWN_YES && post->deleted == KNOWN_NO && call->status == 404) {
		sim_fail(sim, "#%llu: post %d was acknowledged and is not found", (unsigned long long)call->number, call->subject);
	}
}

void sim_model_run_known(struct sim_call *call)
{
	struct sim *sim = call->sim;
	struct sim_chat *chat = &sim->chats[call->subject];
	struct json root = json_root(&sim->doc);
	const char *execution = sim_text(sim, root, "execution_id");
	if (call->deed == DEED_RESUME) {
		return;
	}
	if (chat->execution[0] != '\0' && strcmp(execution, chat->execution) != 0) {
		sim_fail(sim, "#%llu: run %d is %s, and was %s", (unsigned long long)call->number, call->subject, execution, chat->execution);
	}
	snprintf(chat->execution, sizeof(chat->execution), "%s", execution);
	if (chat->session[0] == '\0') {
		snprintf(chat->session, sizeof(chat->session), "%s", sim_text(sim, root, "session_id"));
	}
	chat->there = KNOWN_YES;
}

static void on_chat(struct sim_call *call)
{
	struct sim *sim = call->sim;
	struct sim_chat *chat = &sim->chats[call->subject];
	struct json root = json_root(&sim->doc);
	const struct sim_level *level = &sim->agents[call->other].maturity;
	const char *execution = sim_text(sim, root, "execution_id");
	bool stable = sim_level_stable(level, call->level_version);
	bool governed = call->status == 403 && strcmp(sim_text(sim, root, "code"), "governance_blocked") == 0;
	if (execution[0] != '\0') {
		sim_model_run_known(call);
	} else if (chat->there == KNOWN_MAYBE && !call->repeated && known_of(call->status) == KNOWN_NO) {
		chat->there = KNOWN_NO;
	}
	if (stable && call->status == 200 && level->value == 1) {
		sim_fail(sim, "#%llu: a student chatted", (unsigned long long)call->number);
	}
	if (stable && governed && level->value > 1) {
		sim_fail(sim, "#%llu: a chat was refused on a maturity that was gone", (unsigned long long)call->number);
	}
}

static void listener_lost(struct sim_call *call)
{
	struct sim_listener *listener = &call->sim->listeners[call->subject];
	listener->call = NULL;
	/* One who is not let in does not come back. */
	listener->ended = listener->ended || known_of(call->status) == KNOWN_NO;
}

static void on_resume(struct sim_call *call)
{
	const struct sim_chat *chat = &call->sim->chats[call->subject];
	if (call->status == 404 && chat->there == KNOWN_YES) {
		sim_fail(call->sim, "#%llu: run %d was acknowledged and is not found", (unsigned long long)call->number, call->subject);
	}
	if (call->status == 204 && call->seq == 0) {
		sim_fail(call->sim, "#%llu: run %d has no events", (unsigned long long)call->number, call->subject);
	}
}

static void on_sign(struct sim_call *call)
{
	struct sim_actor *actor = &call->sim->actors[call->subject];
	const char *token = sim_text(call->sim, json_root(&call->sim->doc), "token");
	if (call->status == 201 && sim_level_stable(&actor->role, call->level_version)) {
		snprintf(actor->token, sizeof(actor->token), "%s", token);
	}
}

static void on_revoked(struct sim_call *call)
{
	if (call->status != 401 && call->status < 500) {
		sim_fail(call->sim, "#%llu: a token that was revoked is taken", (unsigned long long)call->number);
	}
}

static void ignored(struct sim_call *call)
{
	(void)call;
}

void sim_model_reply(struct sim_call *call)
{
	static void (*const on[DEED_COUNT])(struct sim_call *) = {ignored, on_chat, ignored, on_resume, on_post, on_post, on_react, on_react, on_delete,
		on_channel, on_membership, on_membership, on_tell, listener_lost, on_level, on_role, on_decide, on_read, on_sign, on_revoked};
	struct sim *sim = call->sim;
	enum sim_known known = known_of(call->status);
	(void)sim_parse(sim, buf_str(&call->answer));
	sim->answers_ok += known == KNOWN_YES;
	sim->answers_refused += known == KNOWN_NO;
	sim->answers_lost += known == KNOWN_MAYBE;
	if (call->status == 500) {
		sim_fail(sim, "#%llu: answered 500", (unsigned long long)call->number);
	}
	on[call->deed](call);
	sim_call_keep(call);
}

void sim_model_lost(struct sim_call *call)
{
	call->sim->answers_lost++;
	call->status = 0;
	sim_call_keep(call);
	/* What was under way may have come to be, or not. */
	switch (call->deed) {
	case DEED_REACT:
	case DEED_UNREACT:
		on_react(call);
		break;
	case DEED_DELETE:
		on_delete(call);
		break;
	case DEED_JOIN:
	case DEED_LEAVE:
		on_membership(call);
		break;
	case DEED_LEVEL:
		on_level(call);
		break;
	case DEED_ROLE:
		on_role(call);
		break;
	case DEED_LISTEN:
		call->sim->listeners[call->subject].call = NULL;
		break;
	default:
		break;
	}
}

/* ---- streams of runs ---- */

static uint64_t text_hash(struct str text)
{
	return map_hash(&(struct siphash_key){1, 2}, text);
}

static void number_check(struct sim_call *call, int64_t epoch, int64_t seq, bool terminal)
{
	struct sim *sim = call->sim;
	bool first = epoch != call->epoch;
	bool next = seq == call->seq + 1;
	/* After a crash the end alone is told to who has seen more than was kept. */
	if (call->ended || epoch < call->epoch || (!next && !(first && terminal))) {
		sim_fail(sim, "#%llu: number %lld:%lld came after %lld:%lld%s", (unsigned long long)call->number, (long long)epoch, (long long)seq,
			(long long)call->epoch, (long long)call->seq, call->ended ? ", which was the last" : "");
	}
	call->epoch = epoch;
	call->seq = seq;
	call->ended = terminal;
}

/* Each number says the same to everybody. */
static void viewed_keep(struct sim *sim, struct sim_chat *chat, int64_t epoch, int64_t seq, struct str text)
{
	struct sim_viewed *viewed = &chat->viewed[seq % SIM_VIEWED];
	uint64_t hash = text_hash(text);
	if (seq >= SIM_VIEWED) {
		return;
	}
	if (viewed->epoch == epoch && viewed->hash != hash) {
		sim_fail(sim, "run %s: number %lld:%lld says something else than before", chat->execution, (long long)epoch, (long long)seq);
	}
	*viewed = (struct sim_viewed){hash, epoch};
}

static void on_frame(struct sim_call *call, const struct sse_event *event)
{
	struct sim *sim = call->sim;
	struct sim_chat *chat = &sim->chats[call->subject];
	struct str rest = event->id, execution, epoch_text;
	int64_t epoch, seq;
	bool terminal = str_eq(event->event, STR("streaming:complete")) || str_eq(event->event, STR("streaming:error"));
	if (!str_split(&rest, ':', &execution) || !str_split(&rest, ':', &epoch_text) || !str_to_i64(epoch_text, &epoch) || !str_to_i64(rest, &seq)) {
		sim_fail(sim, "#%llu: a frame without its number", (unsigned long long)call->number);
	}
	if (chat->execution[0] == '\0') {
		str_to_z(execution, chat->execution, sizeof(chat->execution));
	}
	if (!str_eq(str_of(chat->execution), execution)) {
		sim_fail(sim, "#%llu: a frame of another run", (unsigned long long)call->number);
	}
	chat->there = KNOWN_YES;
	call->epoch = call->epoch == 0 ? epoch : call->epoch;
	number_check(call, epoch, seq, terminal);
	(void)sim_parse(sim, event->data);
	const char *session = sim_text(sim, json_root(&sim->doc), "session_id");
	if (session[0] != '\0') {
		snprintf(chat->session, sizeof(chat->session), "%s", session);
	}
	viewed_keep(sim, chat, epoch, seq, event->data);
	if (epoch > chat->epoch || (epoch == chat->epoch && seq > chat->seq)) {
		chat->epoch = epoch;
		chat->seq = seq;
	}
	chat->ended = chat->ended || terminal;
	sim->stream_events++;
}

static int chat_by_execution(const struct sim *sim, const char *execution)
{
	for (int i = 0; i < sim->chat_count; i++) {
		if (strcmp(sim->chats[i].execution, execution) == 0) {
			return i;
		}
	}
	return -1;
}

/* Without an epoch: a run is in its first until a death ended it, and then only its end is told. */
bool sim_model_ws_frame(struct sim *sim, struct sim_call *call, struct str text)
{
	struct json root = json_root(&sim->doc);
	const char *type = sim_text(sim, root, "type");
	bool terminal = strcmp(type, "streaming:complete") == 0 || strcmp(type, "streaming:error") == 0;
	bool start = strcmp(type, "streaming:start") == 0;
	const char *execution = sim_text(sim, start ? root : json_member(root, STR("metadata")), "execution_id");
	int index = chat_by_execution(sim, execution);
	int64_t seq = 0;
	if (!json_get_int(json_member(root, STR("seq")), &seq)) {
		sim_fail(sim, "a frame without its number");
	}
	sim->stream_events++;
	if (index < 0) {
		return false;
	}
	struct sim_chat *chat = &sim->chats[index];
	if (!terminal) {
		viewed_keep(sim, chat, 1, seq, text);
	}
	/* A connection hears of all runs of its user. */
	if (call == NULL || call->deed == DEED_LISTEN || call->subject != index || call->status != 200 || !call->stream) {
		return false;
	}
	call->epoch = call->epoch == 0 ? 1 : call->epoch;
	number_check(call, terminal && seq != call->seq + 1 ? call->epoch + 1 : call->epoch, seq, terminal);
	chat->seq = chat->epoch <= 1 && seq > chat->seq && !terminal ? seq : chat->seq;
	if (terminal) {
		sim_model_stream_end(call);
	}
	return terminal;
}

/* ---- listeners ---- */

static void event_visible(struct sim *sim, int actor, struct json data, int64_t since_us)
{
	struct str text = STR_NONE;
	(void)json_get_str(json_member(data, STR("content")), &text);
	int post = sim_mark_read(text, 'p'), told = sim_mark_read(text, 'd');
	if (post >= 0) {
		must_see(sim, actor, post, "the event", since_us);
	}
	if (told >= 0 && sim->told[told].from != actor && sim->told[told].to != actor) {
		sim_fail(sim, "%s hears a message of others", sim->actors[actor].name);
	}
	text = STR_NONE;
	(void)json_get_str(json_member(data, STR("post_id")), &text);
	int of = text.len > 0 ? post_by_id(sim, text) : -1;
	if (of >= 0) {
		must_see(sim, actor, of, "the event", since_us);
	}
}

/* In its place, once: over a WebSocket one may have come before those that were missed. */
static void listener_seen(struct sim_listener *listener, int64_t offset)
{
	size_t at = listener->seen_count;
	while (at > 0 && listener->seen[at - 1] > offset) {
		at--;
	}
	if (at > 0 && listener->seen[at - 1] == offset) {
		return;
	}
	if (listener->seen_count == listener->seen_cap) {
		listener->seen_cap = listener->seen_cap != 0 ? 2 * listener->seen_cap : 64;
		listener->seen = realloc(listener->seen, listener->seen_cap * sizeof(*listener->seen));
		check(listener->seen != NULL);
	}
	memmove(listener->seen + at + 1, listener->seen + at, (listener->seen_count - at) * sizeof(offset));
	listener->seen[at] = offset;
	listener->seen_count++;
}

static void on_bus(struct sim_call *call, const struct sse_event *event)
{
	struct sim *sim = call->sim;
	struct sim_listener *listener = &sim->listeners[call->subject];
	struct json root;
	int64_t offset = 0, epoch = 0;
	if (!sim_parse(sim, event->data)) {
		sim_fail(sim, "#%llu: an event that is no JSON", (unsigned long long)call->number);
	}
	root = json_root(&sim->doc);
	bool durable = json_get_int(json_member(root, STR("offset")), &offset) && json_get_int(json_member(root, STR("epoch")), &epoch);
	if (durable && epoch != sim->guild->epoch) {
		sim_fail(sim, "#%llu: an event of another store", (unsigned long long)call->number);
	}
	if (str_eq(event->event, STR("gap"))) {
		sim_fail(sim, "#%llu: a gap, though everything is kept", (unsigned long long)call->number);
	}
	if (str_eq(event->event, STR("recovered"))) {
		listener->last = offset > listener->last ? offset : listener->last;
		listener->from = listener->from < 0 ? offset : listener->from;
		return;
	}
	if (!durable) {
		return;
	}
	if (listener->from < 0 || offset <= listener->last) {
		sim_fail(sim, "#%llu: event %lld came after %lld", (unsigned long long)call->number, (long long)offset, (long long)listener->last);
	}
	listener->last = offset;
	listener_seen(listener, offset);
	event_visible(sim, call->actor, json_member(json_member(root, STR("event")), STR("data")), call->by_wire ? call->since_us : sim->now_us);
	sim->bus_events++;
}

static bool meets(const struct sim_listener *listener, struct json topics)
{
	struct json_iter iter = json_iter(topics);
	struct json element;
	struct str topic;
	while (json_next(&iter, NULL, &element)) {
		for (int i = 0; i < listener->topic_count && json_get_str(element, &topic); i++) {
			if (str_eq(topic, str_of(listener->topics[i]))) {
				return true;
			}
		}
	}
	return false;
}

/* Until it has caught up, what its connection hears live comes between: then it is in order from `recovered` on alone. */
void sim_model_ws_listen(struct sim_call *call, const char *type, struct json root)
{
	struct sim *sim = call->sim;
	struct sim_listener *listener = &sim->listeners[call->subject];
	int64_t offset = 0, epoch = sim->guild->epoch;
	bool durable = json_get_int(json_member(root, STR("offset")), &offset);
	(void)json_get_int(json_member(root, STR("epoch")), &epoch);
	if (strcmp(type, "gap") == 0 || epoch != sim->guild->epoch) {
		sim_fail(sim, "#%llu: a gap, or another store, though everything is kept", (unsigned long long)call->number);
	}
	if (strcmp(type, "ok") == 0) {
		call->status = 200;
		call->ended = listener->from < 0;
		listener->last = call->ended ? offset : listener->last;
		listener->from = call->ended ? offset : listener->from;
	} else if (strcmp(type, "recovered") == 0) {
		call->ended = true;
		listener->last = offset > listener->last ? offset : listener->last;
	} else if (durable && listener->from >= 0 && offset > listener->from && meets(listener, json_member(root, STR("topics")))) {
		if (call->ended && offset <= listener->last) {
			sim_fail(sim, "#%llu: event %lld came after %lld", (unsigned long long)call->number, (long long)offset, (long long)listener->last);
		}
		listener->last = call->ended ? offset : listener->last;
		listener_seen(listener, offset);
	}
}

/* On a WebSocket: what its user hears, asked for or not. */
void sim_model_ws_event(struct sim *sim, int actor, struct json root, int64_t since_us)
{
	event_visible(sim, actor, json_member(json_member(root, STR("event")), STR("data")), since_us);
	sim->bus_events++;
}

void sim_model_event(struct sim_call *call, const struct sse_event *event)
{
	if (call->deed == DEED_LISTEN) {
		on_bus(call, event);
	} else if (str_starts(event->event, STR("streaming:"))) {
		on_frame(call, event);
	} else if (str_eq(event->event, STR("result")) && !call->ended && !call->sim->stopping) {
		sim_fail(call->sim, "#%llu: a result before the end", (unsigned long long)call->number);
	}
}

void sim_model_stream_end(struct sim_call *call)
{
	if (call->deed == DEED_LISTEN) {
		call->sim->listeners[call->subject].call = NULL;
	} else if (!call->ended && !call->sim->stopping) {
		sim_fail(call->sim, "#%llu: the stream ends without its terminal event", (unsigned long long)call->number);
	}
	call->sim->answers_ok++;
	sim_call_keep(call);
}
