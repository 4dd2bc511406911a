/*
 * channel_priv.h - what the files about channels share.
 *
 * For:     channel.c (the tables), channel_change.c (commands), channel_store.c (SQL), channel_api.c (routes).
 * Not for: others in social/ (social_priv.h).
 * Threads: channel_put and channel_member_* on the writer (or start-up); rows on the connection's owner.
 * Memory:  what is put is copied; rows read borrow from the statement during the call.
 */
#ifndef GUILD_SOCIAL_CHANNEL_PRIV_H
#define GUILD_SOCIAL_CHANNEL_PRIV_H

#include "social/social_priv.h"

enum { CHANNEL_NAME_BYTES_MAX = 64, CHANNEL_DESCRIPTION_CHARS_MAX = 1000 };

/* The tables, with the open transaction's changes. ERR_MEMORY, ERR_LIMIT where channel_writer_full would have said so. */
enum err channel_put(struct social *social, const struct channel *channel) MUST_USE;
/* The same for one that has another name now. */
enum err channel_rename(struct social *social, const struct channel *from, const struct channel *to) MUST_USE;
enum err channel_member_put(struct social *social, int64_t channel, int64_t actor) MUST_USE;
enum err channel_member_remove(struct social *social, int64_t channel, int64_t actor) MUST_USE;
/* On the writer: may there be one more channel, and may the actor belong to one more? NULL, or a sentence that says why not. */
const char *channel_writer_full(struct social *social, int64_t actor, bool is_new);

/* channel_change.c: commands. Each answers the request. */
void channel_create_start(struct guild *guild, struct http_request *request, const struct channel *wanted);
/* who joins or leaves a channel that the caller may see, or may govern as an admin. */
void channel_join_start(struct guild *guild, struct http_request *request, int64_t channel, struct actor who);
void channel_leave_start(struct guild *guild, struct http_request *request, int64_t channel, struct actor who);
/* The wire object. */
void channel_json(struct guild *guild, const struct channel *channel, struct json_out *out);

/* channel_store.c */
enum err channel_row_insert(struct db *db, const struct channel *channel) MUST_USE;
enum err channel_row_members(struct db *db, const struct channel *channel) MUST_USE; /* member_count and revision */
enum err channel_member_insert(struct db *db, int64_t channel, struct actor actor, int64_t now_us) MUST_USE;
enum err channel_member_delete(struct db *db, int64_t channel, int64_t actor) MUST_USE;
typedef enum err channel_row_fn(const struct channel *channel, void *arg); /* an error ends and is returned */
enum err channel_rows(struct db *db, channel_row_fn *fn, void *arg) MUST_USE;
/* Those of a workspace in order of name, only an actor's when actor is not 0. */
struct channel_span {
	int64_t workspace, actor;
	struct str after; /* names behind this one */
	int64_t limit;
};
typedef bool channel_key_fn(int64_t channel, void *arg); /* false: enough */
enum err channel_keys_by_name(struct db *db, const struct channel_span *span, channel_key_fn *fn, void *arg) MUST_USE;
/* All memberships, those of an actor together. */
typedef enum err channel_pair_fn(int64_t actor, int64_t channel, void *arg);
enum err channel_pairs(struct db *db, channel_pair_fn *fn, void *arg) MUST_USE;
/* Members of a channel with key > after, in order of key. */
struct channel_member {
	struct actor actor;
	int64_t joined_at_us;
};
typedef bool channel_member_fn(const struct channel_member *member, void *arg); /* false: enough */
enum err channel_members(struct db *db, int64_t channel, int64_t after, int64_t limit, channel_member_fn *fn, void *arg) MUST_USE;

#endif
