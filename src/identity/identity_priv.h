/*
 * identity_priv.h - what the files of identity/ share.
 *
 * For:     the tables on the writer, rows of workspace, principal, token and provider_key.
 * Not for: other folders (identity.h, key.h).
 * Threads: identity_writer_* on the writer (or start-up); *_row* on the connection's owner.
 * Memory:  writer puts copy; rows read borrow from the statement during the call.
 */
#ifndef GUILD_IDENTITY_IDENTITY_PRIV_H
#define GUILD_IDENTITY_IDENTITY_PRIV_H

#include "base/hash.h"
#include "command/change.h"
#include "command/erase.h"
#include "identity/identity.h"
#include "identity/key.h"

struct token_row {
	int64_t parent; /* of a session of the console: its token; else 0 */
	int64_t id, principal, created_at_us, revoked_at_us;
	struct token_terms terms;
	uint8_t hash[HASH_SHA256_BYTES];
};

/* As token_make, for the console's cookie. */
void identity_console_secret(const struct env *env, char out[TOKEN_TEXT_LEN + 1], uint8_t hash[HASH_SHA256_BYTES]);

/* At start-up. */
void identity_workspace_set(struct identity *identity, int64_t workspace);
enum err identity_writer_put(struct identity *identity, const struct principal *principal) MUST_USE;
enum err identity_writer_token_remove(struct identity *identity, int64_t principal, const uint8_t hash[HASH_SHA256_BYTES]) MUST_USE;
enum err identity_writer_session_put(struct identity *identity, const struct token_row *session) MUST_USE;
/* The name an embedding program gave it leads nowhere any more. */
enum err identity_writer_external_remove(struct identity *identity, const struct principal *principal) MUST_USE;
enum err identity_writer_key_put(struct identity *identity, const struct key_row *key) MUST_USE;
enum err identity_writer_key_remove(struct identity *identity, const struct key_row *key) MUST_USE;
/* Published; NULL when there is none. */
const struct key_row *identity_key(struct identity *identity, int64_t workspace, int64_t owner, struct str provider);
/* On the writer. */
const struct key_row *identity_writer_key(
	struct identity *identity, int64_t workspace, int64_t owner, struct str provider);

/* A principal of the caller's workspace by id text; NULL: the request has been answered. */
const struct principal *identity_by_text(struct guild *guild, struct http_request *request, struct str text);

/* identity.c: what stands between the braces of principal_json. */
void principal_members(struct guild *guild, const struct principal *principal, struct json_out *out);
/* token.c: the member "scopes". */
void token_scopes_json(uint32_t scopes, struct json_out *json);
/* token.c. In apply: revokes all tokens of a principal; expired_at_us != 0: those that had expired then, and only some when there are many. */
enum err identity_tokens_end(struct identity *identity, struct db *db, int64_t principal, int64_t expired_at_us, int64_t now_us) MUST_USE;

/* token.c. In apply: revokes a token and ends its sessions. */
enum err identity_token_end(struct identity *identity, struct db *db, const struct token_row *token, int64_t now_us) MUST_USE;
/* console.c. In apply: ends a principal's sessions of a token (0: of all), but for the newest `keep`; *ended: the last that ended, else as it was. */
enum err identity_sessions_end(struct identity *identity, struct db *db, int64_t principal, int64_t parent, size_t keep, int64_t *ended) MUST_USE;

/* console.c: what the rows of /v1/auth name. */
extern const struct http_member identity_login_members[];
void identity_handle_login(struct http_request *request, void *ctx);
void identity_handle_logout(struct http_request *request, void *ctx);

/* token_api.c: what the rows of /v1/tokens name. */
extern const struct http_member identity_token_list_query[], identity_token_create_members[], identity_token_rotate_members[];
void identity_handle_token_list(struct http_request *request, void *ctx);
void identity_handle_token_create(struct http_request *request, void *ctx);
void identity_handle_token_rotate(struct http_request *request, void *ctx);
void identity_handle_token_delete(struct http_request *request, void *ctx);

/* identity_store.c */
/* The oldest; 0 when there is none. */
enum err identity_workspace_look(struct db *db, int64_t id) MUST_USE; /* ERR_NOT_FOUND */
enum err identity_workspace_first(struct db *db, int64_t *id) MUST_USE;
enum err principal_row_insert(struct db *db, const struct principal *principal) MUST_USE;
enum err principal_row_update(struct db *db, const struct principal *principal) MUST_USE;
/* Name, external id, specialty and disabled_at. */
enum err principal_row_erase(struct db *db, const struct principal *principal) MUST_USE;
/* One window of tokens: those of the person lose their labels. */
enum err identity_token_labels_erase(struct erase_step *step, struct db *db) MUST_USE;
typedef bool principal_row_fn(const struct principal *principal, void *arg);
enum err principal_rows(struct db *db, int64_t after, int64_t limit, principal_row_fn *fn, void *arg) MUST_USE;
enum err token_row_insert(struct db *db, const struct token_row *token) MUST_USE;
enum err token_row_revoke(struct db *db, int64_t id, int64_t now_us) MUST_USE;
/* The first of a principal's that were not revoked, sessions left out; expired_at_us != 0: only those that had expired then. Only ids,
 * principal, hashes. */
enum err token_rows_live(struct db *db, int64_t principal, int64_t expired_at_us, size_t max, struct token_row *out, size_t *count) MUST_USE;
/* Those that were not revoked, sessions left out. */
enum err token_rows_count(struct db *db, int64_t principal, int64_t limit, int64_t *count) MUST_USE;
/* The oldest sessions of a principal, made from that token (0: from any). Only ids, principal, hashes. */
enum err identity_console_rows(struct db *db, int64_t principal, int64_t parent, size_t max, struct token_row *out, size_t *count) MUST_USE;
enum err identity_console_row_delete(struct db *db, int64_t id) MUST_USE;
/* ERR_NOT_FOUND. The label is copied to arena. */
enum err token_row_get(struct db *db, struct arena *arena, int64_t id, struct token_row *out) MUST_USE;
typedef bool token_row_fn(const struct token_row *token, void *arg);
enum err token_rows(struct db *db, int64_t after, int64_t limit, token_row_fn *fn, void *arg) MUST_USE;

/* key_store.c */
enum err key_row_insert(struct db *db, const struct key_row *key) MUST_USE;
enum err key_row_delete(struct db *db, int64_t id) MUST_USE;
/* Texts in arena. ERR_NOT_FOUND. */
enum err key_row_get(struct db *db, struct arena *arena, int64_t id, struct key_row *out) MUST_USE;
/* At most max of an owner's; texts in arena. */
enum err key_rows_owned(struct db *db, struct arena *arena, int64_t owner, size_t max, struct key_row *out, size_t *count) MUST_USE;
typedef bool key_row_fn(const struct key_row *key, void *arg);
enum err key_rows(struct db *db, int64_t after, int64_t limit, key_row_fn *fn, void *arg) MUST_USE;

#endif
