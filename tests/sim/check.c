/* check.c - the store against the model, when all is at rest: each acknowledged thing once, nothing that was refused, sums equal to rows. */
#include <stdlib.h>

#include "audit/audit.h"
#include "base/check.h"
#include "db/writer.h"
#include "execution/execution.h"
#include "sim.h"

#define LOG_ROWS_MAX 1000000

/* Each asks for what must not be: a row is a fault. */
static const struct {
	const char *what;
	struct db_sql sql;
} faults[] = {
	{"a run that has no end", {"SELECT id, status FROM turn WHERE status <= 2 OR ended_at IS NULL"}},
	{"a session with open runs", {"SELECT id, open_count FROM session WHERE open_count <> 0"}},
	{"a run without exactly one beginning in the log",
		{"SELECT t.id, (SELECT count(*) FROM log l WHERE l.execution = t.id AND l.event_type = 'execution_started') FROM turn t WHERE "
		 "(SELECT count(*) FROM log l WHERE l.execution = t.id AND l.event_type = 'execution_started') <> 1"}},
	{"a run without exactly one end in the log",
		{"SELECT t.id, (SELECT count(*) FROM log l WHERE l.execution = t.id AND l.event_type = 'execution_ended') FROM turn t WHERE "
		 "(SELECT count(*) FROM log l WHERE l.execution = t.id AND l.event_type = 'execution_ended') <> 1"}},
	{"a session that counts other messages than it has",
		{"SELECT s.id, s.message_count FROM session s WHERE s.message_count <> (SELECT coalesce(sum(CASE WHEN t.rolled_back = 1 THEN 0 "
		 "ELSE 1 + t.has_answer END), 0) FROM turn t WHERE t.session = s.id)"}},
	{"a post that counts other replies than it has",
		{"SELECT p.id, p.reply_count FROM post p WHERE p.deleted_at IS NULL AND p.reply_count <> (SELECT count(*) FROM post r WHERE "
		 "r.reply_to = p.id AND r.deleted_at IS NULL)"}},
	{"a post that counts other reactions than it has",
		{"SELECT p.id, p.reaction_count FROM post p WHERE p.deleted_at IS NULL AND p.reaction_count <> (SELECT count(*) FROM reaction r WHERE "
		 "r.post = p.id)"}},
	{"an emoji that counts other reactions than it has",
		{"SELECT s.post, s.actors FROM reaction_sum s WHERE s.actors <> (SELECT count(*) FROM reaction r WHERE r.post = s.post AND r.emoji = "
		 "s.emoji)"}},
	{"a channel that counts other members than it has",
		{"SELECT c.id, c.member_count FROM channel c WHERE c.member_count <> (SELECT count(*) FROM channel_member m WHERE m.channel = c.id)"}},
	{"a number of the log that is missing", {"SELECT max(seq), count(*) FROM log HAVING max(seq) <> count(*)"}},
};

static struct db *db_of(struct sim *sim)
{
	return writer_db(sim->guild->writer);
}

static bool row_next(struct sim *sim, struct db_stmt *stmt)
{
	bool row = false;
	if (db_step(stmt, &row) != ERR_OK) {
		sim_fail(sim, "the store cannot be read");
	}
	return row;
}

static void faults_check(struct sim *sim)
{
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct db_stmt *stmt = db_use(db_of(sim), &faults[i].sql);
		if (row_next(sim, stmt)) {
			sim_fail(sim, "%s: %lld, %lld", faults[i].what, (long long)db_int(stmt, 0), (long long)db_int(stmt, 1));
		}
		db_reset(stmt);
	}
}

/* ---- marks: each at most once, and as the model says ---- */

static void marks_count(struct sim *sim, const struct db_sql *sql, char kind, int *count, int most)
{
	struct db_stmt *stmt = db_use(db_of(sim), sql);
	while (row_next(sim, stmt)) {
		int index = sim_mark_read(db_text(stmt, 0), kind);
		if (index >= most) {
			sim_fail(sim, "a row of %c%d, which nobody sent", kind, index);
		}
		if (index >= 0) {
			count[index]++;
		}
	}
}

static void known_check(struct sim *sim, const char *what, int index, enum sim_known known, int count)
{
	if (count > 1 || (known == KNOWN_YES && count == 0) || (known == KNOWN_NO && count > 0)) {
		sim_fail(sim, "%s %d is there %d times; it was %s", what, index, count,
			known == KNOWN_YES ? "acknowledged" : known == KNOWN_NO ? "refused" : "not answered");
	}
}

static int64_t key_of(struct sim *sim, enum id_kind kind, const char *id)
{
	int64_t key = 0;
	if (id_parse(&sim->guild->id_secret, kind, str_of(id), &key) != ERR_OK) {
		sim_fail(sim, "%s is no id", id);
	}
	return key;
}

static int64_t number_of(struct sim *sim, const struct db_sql *sql, int64_t a, int64_t b, struct str c)
{
	struct db_stmt *stmt = db_use(db_of(sim), sql);
	db_bind_int(stmt, 1, a);
	if (db_parameters(stmt) >= 2) {
		db_bind_int(stmt, 2, b);
	}
	if (db_parameters(stmt) >= 3) {
		db_bind_text(stmt, 3, c);
	}
	int64_t value = row_next(sim, stmt) ? db_int(stmt, 0) : -1;
	db_reset(stmt);
	return value;
}

static void reactions_check(struct sim *sim, int index)
{
	static const struct db_sql one = {"SELECT count(*) FROM reaction WHERE post = ?1 AND actor = ?2 AND emoji = ?3"};
	static const char *const emoji[SIM_EMOJI] = {"\xf0\x9f\x91\x8d", "\xe2\x9d\xa4\xef\xb8\x8f", "\xf0\x9f\x8e\x89"};
	const struct sim_post *post = &sim->posts[index];
	int64_t key = key_of(sim, ID_POST, post->id);
	for (int i = 0; i < SIM_ACTORS; i++) {
		for (int j = 0; j < SIM_EMOJI; j++) {
			int64_t count = number_of(sim, &one, key, sim->actors[i].key, str_of(emoji[j]));
			known_check(sim, "a reaction to post", index, post->reaction[i][j], (int)count);
		}
	}
}

static void posts_check(struct sim *sim)
{
	static const struct db_sql all = {"SELECT content FROM post WHERE deleted_at IS NULL"};
	static const struct db_sql gone = {"SELECT deleted_at IS NOT NULL AND content = '' FROM post WHERE id = ?1"};
	int count[SIM_POSTS] = {0};
	marks_count(sim, &all, 'p', count, sim->post_count);
	for (int i = 0; i < sim->post_count; i++) {
		const struct sim_post *post = &sim->posts[i];
		if (post->deleted == KNOWN_NO || count[i] > 0) {
			known_check(sim, "post", i, post->deleted == KNOWN_YES ? KNOWN_NO : post->there, count[i]);
		}
		if (post->there == KNOWN_YES && count[i] == 0 && number_of(sim, &gone, key_of(sim, ID_POST, post->id), 0, STR_NONE) != 1) {
			sim_fail(sim, "post %d is neither there nor deleted", i);
		}
		if (post->there == KNOWN_YES && count[i] > 0) {
			reactions_check(sim, i);
		}
	}
}

static void told_check(struct sim *sim)
{
	static const struct db_sql all = {"SELECT content FROM direct_message"};
	int count[SIM_TOLD] = {0};
	marks_count(sim, &all, 'd', count, sim->told_count);
	for (int i = 0; i < sim->told_count; i++) {
		known_check(sim, "direct message", i, sim->told[i].there, count[i]);
	}
}

static void chats_check(struct sim *sim)
{
	static const struct db_sql all = {"SELECT message FROM turn"};
	int count[SIM_CHATS] = {0};
	marks_count(sim, &all, 'c', count, sim->chat_count);
	for (int i = 0; i < sim->chat_count; i++) {
		known_check(sim, "run", i, sim->chats[i].there, count[i]);
	}
}

static void channels_check(struct sim *sim)
{
	static const struct db_sql named = {"SELECT count(*) FROM channel WHERE id = ?1"};
	static const struct db_sql member = {"SELECT count(*) FROM channel_member WHERE channel = ?1 AND actor = ?2"};
	for (int i = 0; i < sim->channel_count; i++) {
		const struct sim_channel *channel = &sim->channels[i];
		if (channel->there != KNOWN_YES) {
			continue;
		}
		int64_t key = key_of(sim, ID_CHANNEL, channel->id);
		known_check(sim, "channel", i, KNOWN_YES, (int)number_of(sim, &named, key, 0, STR_NONE));
		for (int j = 0; j < SIM_ACTORS; j++) {
			known_check(sim, "a member of channel", i, channel->member[j], (int)number_of(sim, &member, key, sim->actors[j].key, STR_NONE));
		}
	}
}

static void levels_check(struct sim *sim)
{
	static const struct db_sql maturity = {"SELECT maturity FROM agent WHERE id = ?1"};
	static const struct db_sql role = {"SELECT role FROM principal WHERE id = ?1"};
	for (int i = 0; i < SIM_AGENTS; i++) {
		int64_t kept = number_of(sim, &maturity, key_of(sim, ID_AGENT, sim->agents[i].id), 0, STR_NONE);
		if (sim->agents[i].maturity.value != 0 && sim->agents[i].maturity.value != kept) {
			sim_fail(sim, "agent %d is kept at maturity %lld, %d was acknowledged", i, (long long)kept, sim->agents[i].maturity.value);
		}
	}
	for (int i = 0; i < SIM_ACTORS; i++) {
		int64_t kept = sim->actors[i].agent < 0 ? number_of(sim, &role, sim->actors[i].principal, 0, STR_NONE) : 0;
		if (sim->actors[i].agent < 0 && sim->actors[i].role.value != 0 && sim->actors[i].role.value != kept) {
			sim_fail(sim, "%s is kept with role %lld, %d was acknowledged", sim->actors[i].name, (long long)kept, sim->actors[i].role.value);
		}
	}
}

/* ---- listeners: what the log holds for them is what they got ---- */

struct walk {
	struct sim *sim;
	const struct sim_listener *listener;
	size_t next;
};

static bool topics_meet(const struct sim_listener *listener, struct str topics)
{
	struct str topic;
	while (str_split(&topics, ' ', &topic)) {
		for (int i = 0; i < listener->topic_count; i++) {
			if (str_eq(topic, str_of(listener->topics[i]))) {
				return true;
			}
		}
	}
	return false;
}

static enum err walk_row(const struct log_row *row, void *arg)
{
	struct walk *walk = arg;
	const struct sim_listener *listener = walk->listener;
	int64_t me = walk->sim->actors[listener->actor].key;
	bool seen = walk->next < listener->seen_count && listener->seen[walk->next] == row->seq;
	bool meets = row->event_type.at != NULL && topics_meet(listener, row->topics);
	bool to_pair = row->audience_b != 0;
	bool must = meets && (row->audience_a == 0 || (to_pair && (row->audience_a == me || row->audience_b == me)));
	bool may = must || (meets && row->audience_a != 0 && !to_pair);
	walk->next += seen;
	if (row->seq <= listener->last && ((must && !seen) || (seen && !may))) {
		sim_fail(walk->sim, "listener %d (%s) %s event %lld of type %.*s", (int)(listener - walk->sim->listeners),
			walk->sim->actors[listener->actor].name, seen ? "was given" : "missed", (long long)row->seq, STR_FMT(row->event_type));
	}
	return ERR_OK;
}

static void listeners_check(struct sim *sim)
{
	struct log_head head;
	check(log_head_read(db_of(sim), &head) == ERR_OK);
	for (int i = 0; i < sim->listener_count; i++) {
		struct sim_listener *listener = &sim->listeners[i];
		struct walk walk = {.sim = sim, .listener = listener};
		if (listener->from < 0) {
			continue;
		}
		/* Who is still there has been given everything there is. */
		if (listener->call != NULL && !listener->call->hung_up && listener->call->status == 200) {
			listener->last = head.seq;
		}
		check(log_read(db_of(sim), listener->from, LOG_ROWS_MAX, walk_row, &walk) == ERR_OK);
		if (walk.next != listener->seen_count) {
			sim_fail(sim, "listener %d was given event %lld, which is not in the log behind %lld", i, (long long)listener->seen[walk.next],
				(long long)listener->from);
		}
	}
}

void sim_check(struct sim *sim)
{
	struct audit_report report;
	struct log_head head;
	char hex[2 * HASH_SHA256_BYTES + 1];
	check(audit_verify(db_of(sim), NULL, &report) == ERR_OK);
	if (report.first_bad != 0) {
		sim_fail(sim, "audit entry %lld: %s", (long long)report.first_bad, report.reason);
	}
	faults_check(sim);
	posts_check(sim);
	told_check(sim);
	chats_check(sim);
	channels_check(sim);
	levels_check(sim);
	listeners_check(sim);
	check(log_head_read(db_of(sim), &head) == ERR_OK);
	hash_hex(head.hash, sizeof(head.hash), hex);
	sim_trace(sim, "all holds, the chain ends with %lld %s", (long long)head.seq, hex);
}
