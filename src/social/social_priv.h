/*
 * social_priv.h - what the files of social/ share: rows, actors, limits in time, the store's doors.
 *
 * For:     social/ alone.
 * Not for: other folders (social.h).
 * Threads: *_apply parts and *_writer_* on the writer; queries on readers; the rest said at each.
 * Memory:  texts of rows read are in the arena given.
 */
#ifndef GUILD_SOCIAL_SOCIAL_PRIV_H
#define GUILD_SOCIAL_SOCIAL_PRIV_H

#include "agent/agent.h"
#include "base/limits.h"
#include "command/change.h"
#include "command/overlay.h"
#include "command/query.h"
#include "governance/govern.h"
#include "identity/identity.h"
#include "session/session.h"
#include "social/social.h"
#include "social/text_rules.h"
#include "social/visibility_rules.h"

struct channel_table;
struct trend_table;

/* ---- words: each table ends with NULL; the number is the index plus one ---- */
extern const char *const post_type_words[];      /* status insight question alert task command response announcement */
extern const char *const visibility_words[];     /* public channel directed */
extern const char *const channel_type_words[];   /* general project support engineering */
extern const char *const message_type_words[];   /* command question response note */
/* 0: not in the table. Without regard to case. */
int social_word(const char *const *words, struct str word);
/* 1..8 -> 1..5: command is task, response is status, announcement is alert. */
int post_kind_of(int requested);

/* ---- actors (actor.c) ---- */
struct actor_face { /* how an actor is shown; borrowed from the published tables */
	struct str name, handle, category;
	enum maturity maturity; /* 0: no agent */
};
struct actor_face actor_face_of(struct guild *guild, struct actor actor);
struct id_text actor_id(struct guild *guild, struct actor actor);
/* {kind, id, name}, as in direct messages; actor_author_json: with handle, maturity (as it was then) and category, as in posts. */
void actor_json(struct guild *guild, struct actor actor, struct json_out *out);
void actor_author_json(struct guild *guild, struct actor actor, enum maturity maturity, struct json_out *out);
/* An agent (id or handle) or a user (id, or "me") of the caller's workspace that is there and not disabled or archived. ERR_NOT_FOUND. */
enum err actor_find(struct guild *guild, const struct caller *caller, struct str agent, struct str user, struct actor *out) MUST_USE;
/* The actor's own topic: "agent:<id>" or "user:<id>", in arena. */
struct str actor_topic(struct guild *guild, struct arena *arena, struct actor actor);

/* ---- mentions ---- */
enum mention_kind { MENTION_AGENT = 1, MENTION_USER, MENTION_EPISODE, MENTION_TASK };
struct mention {
	enum mention_kind kind;
	int64_t key;       /* of an agent or user */
	struct str id;     /* as shown */
	struct str text;   /* what names it: "@handle", a name, or the id */
};
/* Those of the body's list (which may be absent), checked, then the handles of the text that name an agent, each once, at most LIMIT_POST_MENTIONS;
 * those of the text beyond are left out. ERR_INVALID: *detail and *pointer ("/mentions/2/id") name what is wrong; ERR_LIMIT. */
enum err mentions_make(struct guild *guild, const struct caller *caller, struct arena *arena, struct json list, const struct str *handles,
		       size_t handle_count, struct mention **out, size_t *count, struct str *pointer, const char **detail) MUST_USE;
/* [{kind, id, text}] */
void mentions_json(const struct mention *list, size_t count, struct json_out *out);

/* ---- limits in time (rate.c): exact sliding windows, kept as rows ---- */
enum rate_kind { RATE_POST = 1, RATE_MESSAGE, RATE_REACTION, RATE_AUTO_POST, RATE_PAIR };
struct rate_rule {
	int64_t limit;      /* -1: none; 0: never */
	int64_t window_us;
};
struct rate_state {
	int64_t used, remaining; /* remaining -1: no limit, and nothing is counted */
	int64_t reset_us;        /* when one more is free: wall time; 0: now, or never (limit 0) */
	int64_t oldest_us;       /* the first that still counts; 0: none */
	int64_t now_us;          /* when this was so */
};
/* An agent's rule by maturity, from the settings. Humans: no limit. */
struct rate_rule rate_rule_of(struct guild *guild, struct actor actor, enum maturity maturity, enum rate_kind kind);
/* On the writer or a reader: how much of the window is used. */
enum err rate_read(struct db *db, struct actor actor, enum rate_kind kind, int64_t peer, struct rate_rule rule, int64_t now_us,
		   struct rate_state *out) MUST_USE;
/* In apply, after the check: takes one, and forgets what has left the window (a few rows at a time). */
enum err rate_take(struct db *db, struct actor actor, enum rate_kind kind, int64_t peer, struct rate_rule rule, int64_t now_us) MUST_USE;

/* What was read, after one more was taken. */
struct rate_state rate_after(struct rate_state before, struct rate_rule rule);

/* ---- how they are told (rate_api.c) ---- */
/* In apply, before the first write, instead of going on: 429 with the true time to wait, and a detail that names the limit. what: "posts". */
enum err rate_refuse(struct change *change, struct db *db, const char *what, struct rate_rule rule, const struct rate_state *state) MUST_USE;
/* In finish, before the reply, refusals too: the RateLimit headers, in place of the request rate's. Nothing where there is no limit. */
void rate_headers(struct change *change, struct rate_rule rule, const struct rate_state *state);

/* ---- texts (content.c): redaction, tags and handles, before anything is kept ---- */
struct content {
	struct str text;          /* as kept */
	struct str redacted;      /* JSON array of the classes found */
	struct text_marks *marks;
};
/* Redacts with the setting's e-mail addresses left as they are. ERR_INVALID, ERR_MEMORY, ERR_LIMIT: the text is not to be kept. */
struct redact_result;
enum err content_redact(struct guild *guild, struct arena *arena, struct str text, struct redact_result *out) MUST_USE;
/* Checks, redacts (unless skip), scans. ERR_INVALID with *detail; anything else refuses the text too. */
enum err content_make(struct guild *guild, struct arena *arena, struct str text, bool skip_redaction, struct content *out,
		      const char **detail) MUST_USE;

/* ---- posts ---- */
struct post {
	int64_t id, workspace, audience, reply_to, reply_count, reaction_count, created_at_us, deleted_at_us;
	struct actor author;
	enum maturity maturity;
	int kind, requested, hops;
	enum visibility visibility;
	struct str content, mentions, tags, redacted; /* JSON, but tags: separated by one space */
	bool auto_generated;
};
/* post_store.c */
#define POST_COLUMNS                                                                                                   \
	"id, workspace, author, author_kind, maturity, kind, requested, visibility, audience, reply_to, hops, content, "   \
	"mentions, tags, redacted, auto_generated, reply_count, reaction_count, created_at, deleted_at"
struct db_stmt;
/* Of a statement that selects POST_COLUMNS; texts are borrowed from it. */
void post_of_row(struct db_stmt *stmt, struct post *out);
enum err post_insert(struct db *db, const struct post *post) MUST_USE;
enum err post_get(struct db *db, struct arena *arena, int64_t id, struct post *out) MUST_USE; /* ERR_NOT_FOUND; tombstones too */
/* Adds to the counters of a post. */
enum err post_count_add(struct db *db, int64_t id, int replies, int reactions) MUST_USE;
enum err post_bury(struct db *db, int64_t id, int64_t now_us) MUST_USE;
/* Thumbs up for it that were accepted. */
enum err post_helpful_read(struct db *db, int64_t id, int64_t *count) MUST_USE;
/* ERR_NOT_FOUND: there is none, or a tombstone. */
enum err post_alive(struct db *db, int64_t id) MUST_USE;
/* One statement each; 1 to LIMIT_POST_TAGS tags, each once. */
enum err post_tags_insert(struct db *db, int64_t workspace, int64_t post, const struct str *tags, size_t count) MUST_USE;
enum err post_tags_delete(struct db *db, int64_t workspace, int64_t post, const struct str *tags, size_t count) MUST_USE;
/* Removes reactions of a tombstone, LIMIT_POST_REACTIONS_STEP at most; *left: there may be more. */
enum err post_reactions_delete(struct db *db, int64_t post, bool *left) MUST_USE;
typedef bool post_fn(const struct post *post, void *arg); /* false: enough */
/* Replies of a post with id > after, oldest first. */
enum err post_replies(struct db *db, int64_t post, int64_t after, post_fn *fn, void *arg) MUST_USE;
/* post_json.c. Where a post is; the channel's privacy from the published table. */
struct place post_place(struct social *social, const struct post *post);
/* May the caller see this post? A tombstone: no; post_visible_buried: as if it were none. */
bool post_visible(struct social *social, const struct caller *caller, const struct post *post);
bool post_visible_buried(struct social *social, const struct caller *caller, const struct post *post);
/* Topics of where a post went, separated by one space; is_about: of what happens to it (replies, reactions, its end), with post:<id> first.
 * ERR_LIMIT. */
enum err post_topics(struct guild *guild, struct arena *arena, const struct post *post, bool is_about, struct str *out) MUST_USE;
/* The wire object, on a reader or (db NULL: no reactions yet) anywhere. */
enum err post_json(struct guild *guild, struct db *db, const struct post *post, struct actor viewer, struct json_out *out) MUST_USE;

/* A post or reply to be made, by whichever door. */
struct post_input {
	struct str content;
	int requested;            /* 1..8 */
	enum visibility visibility; /* a reply's is its parent's */
	int64_t channel;          /* of VISIBILITY_CHANNEL. Who a directed post is for, its one mention says */
	struct json mentions;
	int64_t reply_to;         /* 0: a post */
	int64_t cause;            /* of an automatic answer: the post or message that is answered, else 0 */
	int hops;
	bool auto_generated, skip_redaction;
};
struct post_done { /* how it ended; valid during the callback */
	enum err err;
	const struct post *post;
	struct rate_state rate;
};
typedef void post_done_fn(void *ctx, const struct post_done *done);
/* For the server itself (answers, milestones): makes a post as caller, who is governed as always. done comes exactly once when it gave ERR_OK.
 * Automatic posts that are no replies: LIMIT_AUTO_POST_CHARS, and one in five minutes but alerts. */
enum err post_submit(struct guild *guild, struct loop *loop, const struct caller *caller, const struct post_input *input, post_done_fn *done,
		     void *ctx) MUST_USE;

/* ---- reactions (reaction_store.c) ---- */
/* The array of a post's reactions: {emoji, count, mine, actors[up to 20]}. On a reader, where reaction_count is not 0. */
enum err reaction_list_json(struct guild *guild, struct db *db, int64_t post, struct actor viewer, struct json_out *out) MUST_USE;

/* ---- trends (trend.c) ---- */
/* On the writer: adds delta posts to a topic's hour; written before the commit, forgotten on rollback. ERR_MEMORY, ERR_LIMIT. */
enum err trend_add(struct social *social, int64_t workspace, int64_t at_us, struct str topic, int delta) MUST_USE;
/* The table's life; for social.c. */
enum err trend_table_create(struct guild *guild, struct trend_table **out) MUST_USE;
void trend_table_destroy(struct trend_table **table);
struct command_overlay trend_overlay(struct social *social);

/* ---- channels (channel.c): published tables ---- */
struct channel {
	int64_t id, workspace, member_count, created_at_us, revision;
	struct str name, display_name, description;
	int kind;
	bool is_private;
	struct actor created_by;
};
const struct channel *channel_get(struct social *social, int64_t id);
const struct channel *channel_by_name(struct social *social, int64_t workspace, struct str name);
bool channel_has(struct social *social, int64_t channel, int64_t actor);
/* The channels an actor belongs to, ascending; borrowed like the rest. */
const int64_t *channel_of_actor(struct social *social, int64_t actor, size_t *count);
/* On the writer, with the changes of the open transaction. */
const struct channel *channel_writer_get(struct social *social, int64_t id);
const struct channel *channel_writer_by_name(struct social *social, int64_t workspace, struct str name);
bool channel_writer_has(struct social *social, int64_t channel, int64_t actor);
/* The table's life; for social.c. */
enum err channel_table_create(struct guild *guild, struct channel_table **out) MUST_USE;
void channel_table_destroy(struct channel_table **table);
enum err channel_table_load(struct social *social, struct db *db) MUST_USE;
struct command_overlay channel_overlay(struct social *social);

/* ---- direct messages and blocks ---- */
/* Does `actor` refuse what `sender` sends? On the writer or a reader. */
enum err block_there(struct db *db, int64_t actor, int64_t sender, bool *there) MUST_USE;
struct message_input {
	struct actor to;
	struct str content;
	int kind;
	int64_t cause;
	int hops;
};
typedef void message_done_fn(void *ctx, enum err err);
/* As post_submit, for a direct message. */
enum err message_submit(struct guild *guild, struct loop *loop, const struct caller *caller, const struct message_input *input,
			message_done_fn *done, void *ctx) MUST_USE;

/* ---- automatic answers (answer.c) ---- */
struct answer_table;
/* An answer that an agent owes. */
struct answer_debt {
	int64_t agent, cause;
	bool is_message;          /* cause is a direct message, else a post */
	struct actor asker;
	int hops;                 /* of the answer: the cause's plus one */
};
/* Prepare (loop): those of the mentioned, or written to, agents of that list that answer by themselves: hosted, auto_reply, active, not the author,
 * hops within LIMIT_ANSWER_HOPS. Returns how many were put into out. */
size_t answer_debts(struct guild *guild, struct actor author, int hops, int64_t cause, bool is_message, const int64_t *agents, size_t count,
		    struct answer_debt *out, size_t max);
/* In apply of the cause. */
enum err answer_owe(struct db *db, const struct answer_debt *debt) MUST_USE;
/* In apply of the answer: it is given. ERR_CONFLICT: it was already, and nothing is to be written. */
enum err answer_given(struct db *db, int64_t agent, int64_t cause) MUST_USE;
/* Without an answer: none will come. Nothing happens when it is gone already. */
enum err answer_forgive(struct db *db, int64_t agent, int64_t cause) MUST_USE;
/* After the commit of the cause, on any loop: the agents are asked. */
void answer_ask(struct social *social, const struct answer_debt *debts, size_t count);
/* answer_store.c. On a reader: at most max debts, oldest cause first, with cause > after. */
enum err answer_debts_read(struct db *db, int64_t after, struct answer_debt *out, size_t max, size_t *count) MUST_USE;
/* On a reader: is it still owed? */
enum err answer_owed(struct db *db, int64_t agent, int64_t cause, bool *owed) MUST_USE;
/* What is answered: workspace and text of the cause, and what was said before, oldest first, as the agent sees it. ERR_NOT_FOUND when it is gone. */
struct answer_cause {
	int64_t workspace, reply_to; /* reply_to: of a post: where an answer goes, the post itself */
	struct str text;
	struct session_message *history;
	size_t history_count;
};
enum err answer_cause_read(struct db *db, struct arena *arena, const struct answer_debt *debt, struct answer_cause *out) MUST_USE;
/* The table's life; for social.c. */
enum err answer_table_create(struct guild *guild, struct answer_table **out) MUST_USE;
void answer_table_destroy(struct answer_table **table);

/* One struct for the whole layer; its parts belong to the files named. */
struct social {
	struct guild *guild;
	struct channel_table *channels;   /* channel.c */
	struct trend_table *trends;       /* trend.c */
	struct delivered_table *delivered; /* message.c */
	struct answer_table *answers;     /* answer.c */
	struct social_answerer answerer;
};

#endif
