/*
 * hash.h - SHA-256 and comparing secrets.
 *
 * For:     audit chain, token hashes, text hashes.
 * Not for: hash tables (map.h); sealing keys (provider/keyring).
 * Threads: a context has one owner; hash_sha256 any.
 * Memory:  the context is allocated once and used again; OpenSSL's names live in hash.c only.
 */
#ifndef GUILD_BASE_HASH_H
#define GUILD_BASE_HASH_H

#include "base/err.h"

#define HASH_SHA256_BYTES 32

struct hash;

/* Fetches the algorithm once. ERR_MEMORY. */
enum err hash_create(struct hash **out) MUST_USE;
void hash_destroy(struct hash **hash);
void hash_begin(struct hash *hash);
void hash_put(struct hash *hash, const void *bytes, size_t len);
void hash_end(struct hash *hash, uint8_t out[HASH_SHA256_BYTES]);

/* One shot. */
void hash_sha256(struct str bytes, uint8_t out[HASH_SHA256_BYTES]);
/* Lower-case hexadecimal; out has 2 * len + 1 bytes. */
void hash_hex(const uint8_t *bytes, size_t len, char *out);
/* ERR_INVALID when text is not exactly 2 * len hexadecimal digits. */
enum err hash_unhex(struct str text, uint8_t *out, size_t len) MUST_USE;
/* Compares in time that depends on len alone. */
bool hash_equal(const void *a, const void *b, size_t len);

#ifdef GUILD_FAILPOINTS
/* OpenSSL's heap from now on behind base/mem.h; before its first use. */
void hash_memory_share(void);
#endif

#endif
