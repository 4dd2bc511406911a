/*
 * social.h - posts, replies, reactions, channels, direct messages, blocks, feeds and trends.
 *
 * For:     the routes of the social layer; who may see what; what the bus and the engine need of it.
 * Not for: delivering events (bus/, ops/); running agents (execution/, reached through struct social_answerer).
 * Threads: social_may_* and channel_* on any registered reader (loops, readers); the *_writer_* ones and overlays on the writer.
 * Memory:  pointers into published tables are valid until the end of the loop's turn, or of the reader's job.
 *
 * Everything here is done by an actor: an agent (its key), or a principal. Changes are commands; each leaves an audit entry and an
 * event in one log row, and the event says who may see it (struct audience). One predicate decides that for the bus, for
 * catch-up, feeds, replies and single posts: visibility_allows in visibility_rules.h.
 */
#ifndef GUILD_SOCIAL_SOCIAL_H
#define GUILD_SOCIAL_SOCIAL_H

#include "base/audience.h"
#include "command/command.h"
#include "command/guild.h"
#include "http/http.h"

struct social;

enum actor_kind { ACTOR_HUMAN = 1, ACTOR_AGENT, ACTOR_SYSTEM };

struct actor {
	int64_t key;           /* an agent's, or a principal's; 0: nobody */
	enum actor_kind kind;
};

/* Who the caller acts as. */
static inline struct actor actor_of(const struct caller *caller)
{
	bool agent = caller->role == ROLE_AGENT;
	return (struct actor){agent ? caller->agent : caller->principal, agent ? ACTOR_AGENT : ACTOR_HUMAN};
}

enum err social_create(struct guild *guild, struct social **out) MUST_USE;
void social_destroy(struct social **social);
/* Start-up, before threads: channels and memberships. */
enum err social_load(struct social *social, struct db *db) MUST_USE;
/* Channels and memberships; what is summed up over a batch. */
#define SOCIAL_OVERLAYS 2
void social_overlays(struct social *social, struct command_overlay out[SOCIAL_OVERLAYS]);

/* ---- the parts of a person who is erased ---- */
struct erase_step;
enum err social_erase_posts(struct erase_step *step, struct db *db) MUST_USE;
enum err social_erase_reactions(struct erase_step *step, struct db *db) MUST_USE;
enum err social_erase_messages(struct erase_step *step, struct db *db) MUST_USE;
enum err social_erase_channels(struct erase_step *step, struct db *db) MUST_USE;
/* On the writer: is there a post of that key that was not deleted? */
enum err social_post_stands(struct db *db, int64_t post, bool *stands) MUST_USE;

/* ---- for guild verify: any connection of a reader ---- */
struct social_trend_check {
	int64_t workspace, hour; /* reached; 0, 0: from the start. hour: since 1970 */
	int64_t rows;            /* looked at so far */
	bool more, bad;          /* bad: a topic of that hour */
	char topic[320];
	int64_t said, counted;   /* by its row, by the posts */
};
/* Compares the next hour's topics with the public posts that name them. */
enum err social_trends_verify_step(struct db *db, struct social_trend_check *check) MUST_USE;

/* ---- for the bus's doors ---- */

/* May that caller see an event or post with this audience now? */
bool social_may_see(struct social *social, const struct caller *caller, struct audience audience);
/* The channel of that id or name (in any case) in the workspace, when the caller may see it. ERR_NOT_FOUND. *member: belongs to it. */
enum err social_channel_find(struct social *social, const struct caller *caller, struct str id_or_name, int64_t *channel, bool *member) MUST_USE;
/* Whom what is published on that channel is for: its members when it is private (also when it is gone), else 0, 0. */
struct audience social_channel_audience(struct social *social, int64_t channel);
/* On a reader: where a post is, when the caller may see it, for subscribing to post:<id>. ERR_NOT_FOUND. */
enum err social_post_audience(struct social *social, struct db *db, const struct caller *caller, int64_t post, struct audience *out) MUST_USE;
/* On a loop: an event of type direct_message reached a live connection of its recipient. Told to the store some time later, several at once;
 * harmless when repeated. */
void social_delivered(struct social *social, struct loop *loop, const struct bus_event *event);

/* ---- what the server says itself ---- */

/* A public post of the server's own, for an agent: written by another command, in its transaction. */
struct social_announcement;
/* Prepare, on command's loop: texts in its arena. At most LIMIT_AUTO_POST_CHARS; kept as an alert. ERR_LIMIT, ERR_MEMORY. */
enum err social_announce(struct guild *guild, struct command *command, int64_t workspace, struct str content,
			 struct social_announcement **out) MUST_USE;
/* In command's apply, once: its rows, and a log row of command. */
enum err social_announce_write(struct social_announcement *announcement, struct command *command, struct db *db, int64_t *post) MUST_USE;

/* ---- what others make of an agent's posts ---- */

/* In apply: a thumbs up for (by = 1) or taken back from (-1) a post counts for its author, when that is an agent and the post public. */
enum err social_helpful(struct guild *guild, struct db *db, struct arena *arena, int64_t post, int by, int64_t now_us) MUST_USE;
/* On a reader or the writer: who wrote a post that the caller may see; agent 0: no agent. ERR_NOT_FOUND. */
enum err social_post_agent(struct guild *guild, struct db *db, const struct caller *caller, int64_t post, int64_t *agent) MUST_USE;

/* ---- automatic answers: execution/ runs them ---- */

/* A question for an agent that answers by itself. */
struct social_question {
	int64_t agent;
	struct caller caller;        /* who is answered */
	struct str message;          /* the text that named the agent, or was sent to it */
	const struct session_message *history; /* what was said before, oldest first: the thread, as the agent sees it */
	size_t history_count;
};
/* Once, on the loop. err: refused or failed; text is borrowed. */
typedef void social_answered_fn(void *ctx, enum err err, struct str text);
struct social_answerer {
	/* Starts a governed, audited run on loop. ERR_OK: answered comes exactly once; else never. */
	enum err (*ask)(void *self, struct loop *loop, const struct social_question *question, social_answered_fn *answered, void *ctx);
	void *self;
};
/* Start-up: who runs answers. Nothing is answered before. */
void social_answerer_set(struct social *social, const struct social_answerer *answerer);
/* Loops run: goes on with what the last process left unanswered. */
void social_start(struct social *social);

/* /v1/posts, /v1/feed, /v1/trending, /v1/channels, /v1/direct-messages, /v1/blocks, /v1/agents/{id}/rate-limit */
extern const struct http_route social_post_routes[];
extern const struct http_route social_feed_routes[];
extern const struct http_route social_reaction_routes[];
extern const struct http_route social_channel_routes[];
extern const struct http_route social_message_routes[];
extern const struct http_route social_rate_routes[];

#endif
