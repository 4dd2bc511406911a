/*
 * address.h - which hosts and addresses belong to everybody, and which to a machine or a network alone.
 *
 * For:     judging where requests may be sent by people who do not run the server (SSRF).
 * Not for: resolving names; listening (loop/).
 * Threads: any; pure.
 * Memory:  none.
 */
#ifndef GUILD_WIRE_ADDRESS_H
#define GUILD_WIRE_ADDRESS_H

#include "base/str.h"

/* An IPv6 address, or an IPv4 one as ::ffff:a.b.c.d, in network order: is it globally reachable (RFC 6890)? Forms that carry an IPv4
 * address are judged by that. */
bool address_public(const uint8_t bytes[16]);
/* A host as it stands in a URL, without brackets: an address in any form that resolvers take is judged as such; a name has to have a dot
 * and must not end in one of the suffixes for private use. What a name resolves to is not known here. */
bool address_host_public(struct str host);

#endif
