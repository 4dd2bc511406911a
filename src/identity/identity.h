/*
 * identity.h - workspaces, principals, tokens.
 *
 * For:     who is asking; first start; making and revoking tokens.
 * Not for: what an agent may do (governance/).
 * Threads: identity_authenticate and *_get on any registered reader thread (loops); changes on the writer through commands.
 * Memory:  snapshots; a pointer got is valid until the end of the loop's turn.
 */
#ifndef GUILD_IDENTITY_IDENTITY_H
#define GUILD_IDENTITY_IDENTITY_H

#include "base/caller.h"
#include "base/snapmap.h"
#include "command/command.h"
#include "http/http.h"

struct identity;
struct guild; /* app/app.h: the context every route handler gets */

enum principal_kind { PRINCIPAL_HUMAN = 1, PRINCIPAL_AGENT, PRINCIPAL_SYSTEM };

/* Immutable once published. */
struct principal {
	int64_t id, workspace, agent, created_at_us, disabled_at_us;
	enum principal_kind kind;
	enum role role;
	struct str name;
	struct str external_id;  /* at NULL: none */
	struct str specialty;    /* JSON array */
};

struct str role_word(enum role role);
bool role_parse(struct str word, enum role *out);

enum err identity_create(const struct env *env, struct snap_domain *snap, struct identity **out) MUST_USE;
void identity_destroy(struct identity **identity);
/* Start-up, before threads: reads principals and tokens from the store. */
enum err identity_load(struct identity *identity, struct db *db) MUST_USE;
/* Before the first token is made; quota NULL: none. */
struct quota;
void identity_quota_set(struct identity *identity, struct quota *quota);
/* The overlay that makes its tables follow transactions. */
struct command_overlay identity_overlay(struct identity *identity);

/* ERR_UNAUTHENTICATED for an unknown, expired or revoked token or a disabled principal. Constant-time compare. */
enum err identity_authenticate(struct identity *identity, struct str token, int64_t wall_us, struct caller *out) MUST_USE;
/* The same for the secret of a console session's cookie; the caller's token is the one that the session was made from. */
enum err identity_authenticate_session(struct identity *identity, struct str secret, int64_t wall_us, struct caller *out) MUST_USE;
/* NULL when unknown. */
const struct principal *identity_principal(struct identity *identity, int64_t id);
/* A user by the name an embedding program gave it; NULL when unknown. */
const struct principal *identity_external(struct identity *identity, int64_t workspace, struct str external_id);
/* By id text, or by the name an embedding program gave; NULL when there is none in that workspace. */
const struct principal *identity_find(struct identity *identity, struct guild *guild, int64_t workspace, struct str id_or_name);
/* Whom an agent acts as; NULL until it first had a token or acted through the library. */
const struct principal *identity_agent(struct identity *identity, int64_t agent);
/* The first workspace (the only one until more can be made). */
int64_t identity_workspace(const struct identity *identity);
/* The first operator: whom calls of an embedding program act as that name no user. NULL before the first start. */
const struct principal *identity_operator(struct identity *identity);
/* Whom the server acts as. NULL before the first start. */
const struct principal *identity_system(struct identity *identity);
/* Fills a caller that acts as that principal (library, act_as). */
void identity_caller(const struct principal *principal, struct caller *out);

/* Makes the caller act as an end user: one principal for each (workspace, name), a member. Its token keeps its scopes, less act_as, and ends it
 * for the end user too. Names that are the caller's own change nothing. ERR_AGAIN: there is none yet. */
enum err identity_act_as(struct guild *guild, struct caller *caller, struct str user, const char **detail) MUST_USE;
/* Makes that end user, then goes on with the request (http_request_act), or answers. */
void identity_act_new(struct guild *guild, struct http_request *request, const struct caller *asker, struct str user);

/* In apply. */
enum err identity_workspace_insert(struct db *db, int64_t id, struct str name, int64_t now_us) MUST_USE;
/* In apply: inserts a principal, with its row in the overlay. id is made by the caller's loop. */
struct principal_new {
	int64_t id, workspace, agent;
	enum principal_kind kind;
	enum role role;
	struct str name, external_id;
};
enum err identity_principal_insert(struct identity *identity, struct db *db, const struct principal_new *in, int64_t now_us) MUST_USE;
/* What is said of a token by who makes it. */
struct token_terms {
	struct str label;
	int64_t expires_at_us; /* 0: never */
	uint32_t scopes;       /* bits of base/scope.h; 0: all that its owner's role has */
};
/* In apply: a token for a principal. hash: SHA-256 of its text. ERR_TOKEN_QUOTA, when none of those it has is over. */
enum err identity_token_insert(struct identity *identity, struct db *db, int64_t id, int64_t principal, const uint8_t hash[32],
			       const struct token_terms *terms, int64_t now_us) MUST_USE;

/* In apply: as the open transaction has it; NULL when unknown. */
const struct principal *identity_writer_principal(struct identity *identity, int64_t id);
/* In apply: the principal of an agent; 0: it has none yet. */
int64_t identity_writer_agent_principal(struct identity *identity, int64_t agent);

/* In apply: nobody gets in as that principal any more, and nothing says who it was. Open connections are closed by a revocation. ERR_NOT_FOUND. */
enum err identity_erase_access(struct identity *identity, struct db *db, int64_t principal, int64_t now_us) MUST_USE;
/* The rest of a person who is erased: labels of tokens, provider keys. */
struct erase_step;
enum err identity_erase(struct erase_step *step, struct db *db) MUST_USE;
/* Admins rule over people up to their own role, and over agents' principals. */
bool identity_may_rule(const struct caller *caller, const struct principal *principal);

/* Closing what a token (0: any) or a principal (0: any) has open, on every loop. Made before the commit so that it cannot fail
 * after it; sent (which consumes it) once the change is on disk, or freed. NULL without memory. */
struct revocation;
struct revocation *identity_revocation_make(struct guild *guild);
void identity_revoke_everywhere(struct revocation **revocation, int64_t token, int64_t principal);
void identity_revocation_free(struct revocation **revocation);

/* "guild_" + 43 characters of base64url of 32 random bytes, NUL-terminated; and its hash. */
#define TOKEN_TEXT_LEN 49
void token_make(const struct env *env, char out[TOKEN_TEXT_LEN + 1], uint8_t hash[32]);

/* Writes the first token down where its owner finds it. */
typedef enum err identity_keep_fn(void *ctx, const char *token);
/* First start: workspace "default", system principal, operator principal with its token (text in token_out, TOKEN_TEXT_LEN + 1 bytes;
 * "" when the store had one already). keep (may be NULL) comes before the commit, so that no crash leaves a store with a token that nobody
 * knows. Runs before the threads. */
enum err identity_first_start(struct identity *identity, struct guild *guild, identity_keep_fn *keep, void *ctx,
			      char token_out[TOKEN_TEXT_LEN + 1]) MUST_USE;

/* The wire object. */
struct json_out;
void principal_json(struct guild *guild, const struct principal *principal, struct json_out *out);
/* Reads TOKEN_MEMBERS of the request's body for a token of somebody of that role; the label is "" when absent. False: the request has been
 * answered. */
bool token_members_read(struct guild *guild, struct http_request *request, enum role role, struct token_terms *terms);
/* Answers 201 with a token just made; its text is shown here and never again. */
struct token_made {
	int64_t id, principal, agent, created_at_us; /* agent 0: a person's */
	struct token_terms terms;
	struct str text;
};
void token_reply(struct guild *guild, struct http_request *request, const struct token_made *token);
#define TOKEN_SECONDS_MAX 315360000 /* ten years */
#define TOKEN_MEMBERS \
	{"label", HTTP_STRING, false, 0, 100, NULL, "what the token is for"}, \
	{"scopes", HTTP_ARRAY, false, 1, SCOPE_END, scope_words, "what it may be used for; all that the role permits when absent"}, \
	{"expires_at", HTTP_STRING, false, 1, 40, NULL, "when it ends, ISO-8601"}, \
	{"expires_in_s", HTTP_INT, false, 1, TOKEN_SECONDS_MAX, NULL, "seconds until it ends"}

/* /v1/me, /v1/auth, /v1/users, /v1/tokens */
extern const struct http_route identity_routes[];

#endif
