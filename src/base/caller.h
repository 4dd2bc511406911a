/*
 * caller.h - who is asking.
 *
 * For:     the one answer of every door's sign-in, carried by requests and commands.
 * Not for: looking it up (identity/).
 * Threads: plain data.
 * Memory:  plain data; the name is cut to fit.
 */
#ifndef GUILD_BASE_CALLER_H
#define GUILD_BASE_CALLER_H

#include <stdint.h>

#include "base/scope.h"

struct caller {
	int64_t principal;
	int64_t workspace;
	int64_t token;         /* 0: no token (library, the server itself) */
	int64_t session;       /* of the console, made from that token; 0: the token itself was shown */
	int64_t agent;         /* of ROLE_AGENT */
	int64_t actor;         /* the principal whose token it is, when it acts for another; else 0 */
	int64_t expires_at_us; /* 0: never */
	enum role role;
	uint32_t scopes;       /* of the token: bits of scope.h */
	uint8_t name_len;
	char name[120];
};

/* May it see and change what is others'? An admin's token without the scope for that may not. */
static inline bool caller_is_admin(const struct caller *c)
{
	return (c->role == ROLE_ADMIN || c->role == ROLE_OPERATOR) && (c->scopes & SCOPE_BIT(SCOPE_ADMIN)) != 0;
}
/* A caller of that role whose token was not narrowed. */
static inline void caller_widen(struct caller *c) { c->scopes = scope_set_of(c->role); }
static inline struct str caller_name(const struct caller *c) { return (struct str){c->name, c->name_len}; }

#endif
