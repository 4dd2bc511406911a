/*
 * checkpoint.h - signed states of the log, and the key that signs them.
 *
 * For:     what a checkpoint is, its text, its signature (Ed25519), the key file.
 * Not for: when checkpoints are made (notary.h); their table (tree_store.c).
 * Threads: any; a key has one user at a time.
 * Memory:  the secret is in locked memory from open to close.
 * Errors:  ERR_KEY with a sentence for whatever is wrong with a key file.
 *
 *   signed: "guild audit checkpoint 1" 0 | epoch be64 | size be64 | time_us be64 | head (32) | root (32)
 *   text:   {"epoch":E,"size":N,"time_us":T,"head":hex,"root":hex,"signature":hex}
 */
#ifndef GUILD_AUDIT_CHECKPOINT_H
#define GUILD_AUDIT_CHECKPOINT_H

#include "base/env.h"
#include "base/hash.h"
#include "wire/json.h"

enum { AUDIT_PUBLIC_BYTES = 32, AUDIT_SIGNATURE_BYTES = 64, AUDIT_CHECKPOINT_TEXT_MAX = 512 };

struct audit_checkpoint {
	int64_t epoch;   /* of the store */
	int64_t size;    /* rows of the log: the sequence of the newest */
	int64_t time_us; /* wall */
	uint8_t head[HASH_SHA256_BYTES]; /* chain hash of the newest row */
	uint8_t root[HASH_SHA256_BYTES];
	uint8_t signature[AUDIT_SIGNATURE_BYTES];
};

/* One object. */
void audit_checkpoint_put(struct json_out *json, const struct audit_checkpoint *checkpoint);
/* ERR_MALFORMED for anything that audit_checkpoint_put would not have written byte for byte. */
enum err audit_checkpoint_parse(struct str text, struct audit_checkpoint *out) MUST_USE;

struct audit_key;
/* Reads DIR/audit.key. With create one is made where there is none. detail: at least 256 bytes. */
enum err audit_key_open(const struct env *env, const char *dir, bool create, struct audit_key **out, char *detail) MUST_USE;
void audit_key_close(struct audit_key **key);
const uint8_t *audit_key_public(const struct audit_key *key);
/* Fills checkpoint->signature. */
void audit_key_sign(const struct audit_key *key, struct audit_checkpoint *checkpoint);
bool audit_checkpoint_signed(const struct audit_checkpoint *checkpoint, const uint8_t public_key[AUDIT_PUBLIC_BYTES]);

#endif
