/*
 * key.h - provider keys that users bring, sealed at rest.
 *
 * For:     finding the nearest key for a provider: the principal's own, then the workspace's.
 * Not for: sealing itself (provider/); choosing a provider (execution/).
 * Threads: key_get on any registered reader thread (loops); key_find on a reader's connection.
 * Memory:  secrets are in locked memory, to be wiped by whoever got them; a place is valid until the end of the loop's turn.
 */
#ifndef GUILD_IDENTITY_KEY_H
#define GUILD_IDENTITY_KEY_H

#include "http/http.h"
#include "provider/provider.h"

struct db;
struct guild;

struct key_row {
	int64_t id, workspace, owner, created_at_us; /* owner 0: the workspace's */
	struct str provider, base_url, sealed, shown;
	bool guarded; /* base_url was not written by the operator */
};

/* Where requests with a key go. */
struct key_place {
	struct str base_url; /* "": the provider's own */
	bool guarded;        /* only to an address that is public when the connection is made (T15) */
};

/* Nearest wins. ERR_NOT_FOUND; ERR_KEY: it cannot be unsealed here. */
enum err key_get(struct guild *guild, int64_t workspace, int64_t principal, struct str provider, struct keyring_secret *out,
		 struct key_place *place) MUST_USE;
/* The same row still sealed, from the store; texts in arena. ERR_NOT_FOUND. */
enum err key_find(struct db *db, struct arena *arena, int64_t workspace, int64_t principal, struct str provider, struct key_row *out) MUST_USE;

/* May somebody who is not the operator have requests sent there? https, a public name or address, no user information. */
bool key_base_url_public(struct str base_url);
/* The host a key is bound to: of base_url, or "" for the provider's own. */
struct str key_host(struct str base_url);

/* /v1/keys */
extern const struct http_route key_routes[];

#endif
