/*
 * sha1.h - SHA-1 (FIPS 180-4).
 *
 * For:     Sec-WebSocket-Accept, where RFC 6455 asks for it.
 * Not for: anything that has to be secure (base/hash.h).
 * Threads: any; pure.
 * Memory:  the caller's.
 */
#ifndef GUILD_WIRE_SHA1_H
#define GUILD_WIRE_SHA1_H

#include "base/str.h"

void sha1_digest(struct str bytes, uint8_t out[20]);

#endif
