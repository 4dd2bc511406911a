/*
 * post_priv.h - what the files about posts share.
 *
 * For:     post_make.c (from input to texts), post.c and post_delete.c (commands), post_json.c (the object), post_api.c (routes).
 * Not for: others in social/ (social_priv.h).
 * Threads: on the loop, but where said.
 * Memory:  what is under way lives in the request's arena, or in its own.
 */
#ifndef GUILD_SOCIAL_POST_PRIV_H
#define GUILD_SOCIAL_POST_PRIV_H

#include "agent/tally.h"
#include "social/social_priv.h"

enum { POST_STATUS = 1, POST_INSIGHT, POST_QUESTION, POST_ALERT, POST_TASK };
enum post_word { POST_WORD_STATUS = 1, POST_WORD_RESPONSE = 7 }; /* of post_type_words, those that nobody has to say */

/* ---- post_json.c ---- */
/* The wire object without its last member, created_at, and its end. */
enum err post_head_json(struct guild *guild, struct db *db, const struct post *post, struct actor viewer, struct json_out *out) MUST_USE;
/* What a post counts for in trends: its hashtags, and the handles it mentions with "@". The same for its end as for its beginning. */
enum err post_trend_topics(struct arena *arena, const struct post *post, struct str **out, size_t *count) MUST_USE;
/* Its first tags, those it is found by; none of a reply. */
size_t post_index_tags(const struct post *post, struct str out[LIMIT_POST_TAGS]);

/* ---- looking at a post before something happens to it ---- */
struct post_look {
	struct read_job job; /* first */
	struct guild *guild;
	const struct caller *caller;
	struct arena *arena;
	int64_t id;
	struct post post;
	struct post parent; /* of a reply; id 0: of none */
	/* On the loop. ERR_NOT_FOUND: there is none that the caller may see, or a tombstone. Authors see what they wrote. */
	void (*then)(struct post_look *look, enum err err);
};
/* The members above job..arena, id and then are set. Ends in `then` exactly once when it gave ERR_OK. */
enum err post_look_start(struct post_look *look, struct loop *loop) MUST_USE;

/* ---- a post under way ---- */
struct post_change {
	struct change change;          /* first */
	struct govern_refusal refusal;
	struct post_input input;
	struct post_look look;         /* of a reply: its parent */
	struct post post;
	bool in_private_channel;
	struct actor addressee;        /* of a directed post to somebody else; key 0: none */
	struct str object;             /* the wire object; apply fills in what the writer alone knows: */
	char *id_at, *time_at, *entry_id_at;
	struct str *trends;
	size_t trend_count;
	struct answer_debt *debts;     /* of agents that answer it by themselves */
	size_t debt_count;
	struct rate_rule rule;
	struct rate_state rate;
	struct arena own;              /* of post_submit */
	post_done_fn *done;
	void *ctx;
};

/* What is wrong with an input. */
struct post_fault {
	enum err err;
	struct str pointer;            /* at NULL: no field */
	const char *detail;            /* NULL: the error's own text */
};

/* post.c */
extern const struct command_row post_row, post_reply_row;
/* Answers a request with a fault, or tells whoever submitted. */
void post_fail(struct post_change *post, const struct post_fault *fault);
/* The input is set, a reply's parent was seen: makes all texts and hands it to the writer. Its end comes in any case but when it gives an
 * error, which is the fault's. */
enum err post_go(struct post_change *post, struct post_fault *fault) MUST_USE;
/* In another command's apply: writes a post that post_make has made, with a log row of that command. Nobody answers it by themselves, no limit is
 * looked at. */
enum err post_write_within(struct post_change *post, struct command *command, struct db *db) MUST_USE;
/* standing.c. In apply: counts for the author of a public post or reply that is an agent. */
/* In apply, before a post is buried: what it counted for its author is taken back. */
enum err standing_take_back(struct guild *guild, struct db *db, const struct post *post, int64_t now_us) MUST_USE;
enum err standing_add(struct guild *guild, const struct post *post, int64_t now_us, const struct tally *by) MUST_USE;
/* A handler: post_delete.c. */
void post_delete_start(struct guild *guild, struct http_request *request, int64_t id);

/* In apply, once a post is buried: what it counted for. trends: of a public one. */
enum err post_counts_take_back(struct social *social, struct db *db, const struct post *post, const struct str *trends, size_t trend_count) MUST_USE;

/* post_make.c: from the input to post->post, its texts, audit entry and event. */
enum err post_make(struct post_change *post, struct post_fault *fault) MUST_USE;

#endif
