/*
 * verify_store.c - what has to hold between the rows of a store, as a table.
 *
 * Each statement gives, for keys beyond ?1 in order and at most ?2 of them, the key, what a row says, and what other rows make of it; the two
 * have to be equal. So a check is walked in short reads, each of which sees one state of the store.
 *
 * There is no stored count of unread messages: its index is what is counted, and the check of the file compares that. The ledger's sums are
 * compared by verify_ledger_store.c.
 */
#include "ops/verify_priv.h"

#define CHECK(name, text, kind, says, rows_say, query) {name, text, kind, says, rows_say, {query}}

const struct verify_compare verify_compares[] = {
	CHECK("session_messages", "message counts of sessions", ID_SESSION, "message_count is", "its messages are",
	      "SELECT s.id, s.message_count, (SELECT coalesce(sum(1 + t.has_answer), 0) FROM turn t WHERE t.session = s.id AND t.rolled_back = 0) "
	      "FROM session s WHERE s.id > ?1 ORDER BY s.id LIMIT ?2"),
	CHECK("session_open", "open runs of sessions", ID_SESSION, "open_count is", "its open runs are",
	      "SELECT s.id, s.open_count, (SELECT count(*) FROM turn t WHERE t.session = s.id AND t.status <= 2) "
	      "FROM session s WHERE s.id > ?1 ORDER BY s.id LIMIT ?2"),
	CHECK("turn_end", "runs have an end exactly when they are over", ID_EXECUTION, "whether it is over:", "whether it has an end:",
	      "SELECT t.id, CASE WHEN t.status <= 2 THEN 0 ELSE 1 END, CASE WHEN t.ended_at IS NULL THEN 0 ELSE 1 END "
	      "FROM turn t WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"),
	CHECK("turn_references", "sessions and owners of runs are there", ID_EXECUTION, "it names rows:", "there are",
	      "SELECT t.id, CASE WHEN t.session IS NULL THEN 1 ELSE 2 END, "
	      "(SELECT count(*) FROM session s WHERE s.id = t.session) + (SELECT count(*) FROM principal p WHERE p.id = t.owner) "
	      "FROM turn t WHERE t.id > ?1 ORDER BY t.id LIMIT ?2"),
	CHECK("run_queue", "what waits in the queue of runs is queued", ID_EXECUTION, "runs named:", "there are",
	      "SELECT q.turn, 1, (SELECT count(*) FROM turn t WHERE t.id = q.turn AND t.status = 1) "
	      "FROM run_queue q WHERE q.turn > ?1 ORDER BY q.turn LIMIT ?2"),
	CHECK("run_after", "what waits for other runs waits in the queue", ID_EXECUTION, "runs named:", "there are",
	      "SELECT a.turn, 1, (SELECT count(*) FROM run_queue q WHERE q.turn = a.turn) "
	      "FROM run_after a WHERE a.turn > ?1 GROUP BY a.turn ORDER BY a.turn LIMIT ?2"),
	CHECK("token_batches", "streamed text belongs to runs", ID_EXECUTION, "runs named:", "there are",
	      "SELECT DISTINCT b.execution, 1, (SELECT count(*) FROM turn t WHERE t.id = b.execution) "
	      "FROM token_batch b WHERE b.execution > ?1 ORDER BY b.execution LIMIT ?2"),
	CHECK("post_replies", "reply counts of posts", ID_POST, "reply_count is", "its replies are",
	      "SELECT p.id, p.reply_count, "
	      "(SELECT count(*) FROM post r WHERE r.reply_to = p.id AND r.reply_to <> 0 AND r.deleted_at IS NULL) "
	      "FROM post p WHERE p.id > ?1 ORDER BY p.id LIMIT ?2"),
	CHECK("post_reactions", "reaction counts of posts", ID_POST, "reaction_count is", "its reactions are",
	      "SELECT p.id, p.reaction_count, (SELECT count(*) FROM reaction r WHERE r.post = p.id) "
	      "FROM post p WHERE p.id > ?1 AND p.deleted_at IS NULL ORDER BY p.id LIMIT ?2"),
	CHECK("reaction_sums", "sums of reactions by emoji", ID_POST, "wrong sums wanted:", "there are",
	      "SELECT p.id, 0, (SELECT count(*) FROM reaction_sum s WHERE s.post = p.id AND s.actors <> "
	      "(SELECT count(*) FROM reaction r WHERE r.post = s.post AND r.emoji = s.emoji)) + "
	      "(SELECT count(*) FROM reaction r WHERE r.post = p.id AND NOT EXISTS "
	      "(SELECT s.actors FROM reaction_sum s WHERE s.post = r.post AND s.emoji = r.emoji)) "
	      "FROM post p WHERE p.id > ?1 AND p.deleted_at IS NULL ORDER BY p.id LIMIT ?2"),
	CHECK("post_references", "authors and parents of posts are there", ID_POST, "it names rows:", "there are",
	      "SELECT p.id, CASE WHEN p.reply_to = 0 THEN 1 ELSE 2 END, "
	      "(SELECT count(*) FROM post r WHERE r.id = p.reply_to) + (SELECT count(*) FROM agent a WHERE a.id = p.author) + "
	      "(SELECT count(*) FROM principal h WHERE h.id = p.author AND p.author_kind <> 2) "
	      "FROM post p WHERE p.id > ?1 ORDER BY p.id LIMIT ?2"),
	CHECK("reactions", "reactions belong to posts", ID_POST, "posts named:", "there are",
	      "SELECT DISTINCT r.post, 1, (SELECT count(*) FROM post p WHERE p.id = r.post) "
	      "FROM reaction r WHERE r.post > ?1 ORDER BY r.post LIMIT ?2"),
	CHECK("channel_members", "member counts of channels", ID_CHANNEL, "member_count is", "its members are",
	      "SELECT c.id, c.member_count, (SELECT count(*) FROM channel_member m WHERE m.channel = c.id) "
	      "FROM channel c WHERE c.id > ?1 ORDER BY c.id LIMIT ?2"),
	CHECK("memberships", "members belong to channels", ID_CHANNEL, "channels named:", "there are",
	      "SELECT DISTINCT m.channel, 1, (SELECT count(*) FROM channel c WHERE c.id = m.channel) "
	      "FROM channel_member m WHERE m.channel > ?1 ORDER BY m.channel LIMIT ?2"),
	CHECK("message_references", "both sides of direct messages are there", ID_DIRECT_MESSAGE, "it names rows:", "there are",
	      "SELECT d.id, 2, (SELECT count(*) FROM agent a WHERE a.id = d.sender) + "
	      "(SELECT count(*) FROM principal p WHERE p.id = d.sender AND d.sender_kind <> 2) + "
	      "(SELECT count(*) FROM agent a WHERE a.id = d.recipient) + "
	      "(SELECT count(*) FROM principal p WHERE p.id = d.recipient AND d.recipient_kind <> 2) "
	      "FROM direct_message d WHERE d.id > ?1 ORDER BY d.id LIMIT ?2"),
	CHECK("log_events", "rows of the log that are events have one", 0, "events wanted:", "there are",
	      "SELECT l.seq, CASE WHEN l.kinds & 4 = 4 THEN 1 ELSE 0 END, CASE WHEN l.event_type IS NULL THEN 0 ELSE 1 END "
	      "FROM log l WHERE l.seq > ?1 ORDER BY l.seq LIMIT ?2"),
	{.name = NULL},
};

enum err verify_compare_step(struct db *db, const struct verify_compare *check, int rows, struct verify_step *step)
{
	struct db_stmt *stmt = db_use(db, &check->query);
	enum err err;
	bool row = false;
	int seen = 0;
	db_bind_int(stmt, 1, step->after);
	db_bind_int(stmt, 2, rows);
	for (;;) {
		err = db_step(stmt, &row);
		if (err != ERR_OK || !row) {
			step->more = err == ERR_OK && seen == rows;
			return err;
		}
		seen++;
		step->after = db_int(stmt, 0);
		step->rows++;
		if (db_int(stmt, 1) != db_int(stmt, 2)) {
			step->bad = true;
			step->said = db_int(stmt, 1);
			step->counted = db_int(stmt, 2);
			step->more = false;
			db_reset(stmt);
			return ERR_OK;
		}
	}
}
