/*
 * feedback_priv.h - what people say of an agent's work: rules, rows, commands.
 *
 * For:     feedback.c, feedback_api.c, feedback_rules.c, feedback_store.c.
 * Not for: other files.
 * Threads: rules any; rows on the connection's owner; *_start on loops.
 * Memory:  texts of a row that was got live in the arena given; those of a walk during the call.
 *
 *   pending -> accepted      by an admin; trusted feedback is accepted as it comes
 *   pending -> rejected      by an admin
 * Accepted feedback moves confidence, counts corrections, and a thumbs up on a post counts for its author's reputation: once.
 */
#ifndef GUILD_GROWTH_FEEDBACK_PRIV_H
#define GUILD_GROWTH_FEEDBACK_PRIV_H

#include "agent/agent.h"
#include "command/change.h"
#include "growth/growth.h"
#include "identity/identity.h"

enum feedback_thumbs { THUMBS_NONE, THUMBS_UP, THUMBS_DOWN };
enum feedback_status { FEEDBACK_PENDING = 1, FEEDBACK_ACCEPTED, FEEDBACK_REJECTED };
enum { FEEDBACK_GOOD_E4 = 500, FEEDBACK_BAD_E4 = -1000 };

struct feedback {
	int64_t id, workspace, agent, principal, created_at_us;
	int64_t execution, post;            /* 0: of the agent as such */
	int64_t decided_by, decided_at_us;  /* 0: not yet, or nobody had to */
	enum feedback_thumbs thumbs;
	int rating;                         /* 0: none */
	enum feedback_status status;
	int delta_e4;                       /* what acceptance moves confidence by */
	bool trusted;
	struct str correction, note;        /* at NULL: none */
};

/* ---- feedback_rules.c: pure ---- */
struct str feedback_status_word(enum feedback_status status);
bool feedback_status_parse(struct str word, enum feedback_status *out);
/* What is wrong with it; NULL: nothing. *pointer: where. */
const char *feedback_fault(const struct feedback *feedback, const char **pointer);
/* Up, four or five: good. Down, one or two, or a correction alone: bad. Three: neither. */
int feedback_delta_e4(const struct feedback *feedback);
/* May what that principal says be taken as it is? Admins; people whose specialty the agent's category is. */
bool feedback_trusted(const struct principal *principal, struct str category);
void feedback_json(struct guild *guild, const struct feedback *feedback, struct json_out *out);

/* ---- feedback_store.c ---- */
enum err feedback_insert(struct db *db, const struct feedback *feedback) MUST_USE;
enum err feedback_get(struct db *db, struct arena *arena, int64_t id, struct feedback *out) MUST_USE; /* ERR_NOT_FOUND */
/* Has that principal said something of this execution, or post, already? */
enum err feedback_there(struct db *db, const struct feedback *like, bool *there) MUST_USE;
enum err feedback_waiting_count(struct db *db, int64_t principal, int64_t limit, int64_t *count) MUST_USE;
/* Compare and set: ERR_CONFLICT when it is not pending. */
enum err feedback_row_decide(struct db *db, const struct feedback *feedback) MUST_USE;
/* Newest first, with id < before, at most limit; pending: only those. False from fn ends early. */
typedef bool feedback_row_fn(const struct feedback *feedback, void *arg);
enum err feedback_rows(struct db *db, int64_t workspace, bool pending, int64_t before, int64_t limit, feedback_row_fn *fn, void *arg) MUST_USE;

/* ---- feedback.c: commands; each answers the request ---- */
void feedback_give_start(struct guild *guild, struct http_request *request, const struct feedback *feedback);
void feedback_decide_start(struct guild *guild, struct http_request *request, int64_t id, bool accept, struct str note);

#endif
