/*
 * audit_priv.h - what sealing and checking share.
 *
 * For:     the one place that says what the hashes are made of.
 * Not for: other folders.
 * Threads: hash has one owner.
 * Memory:  none.
 */
#ifndef GUILD_AUDIT_AUDIT_PRIV_H
#define GUILD_AUDIT_AUDIT_PRIV_H

#include "base/hash.h"
#include "db/log.h"

/* Both hashes of row, which follows a row whose chain hash is prev. Outputs are HASH_SHA256_BYTES each. */
void audit_hash(struct hash *hash, const uint8_t *prev, const struct log_row *row, uint8_t *entry_hash, uint8_t *chain_hash);

#endif
