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

#include "base/str.h"

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_MEMBER, ROLE_ADMIN, ROLE_OPERATOR, ROLE_AGENT };

struct caller {
	int64_t principal;
	int64_t workspace;
	int64_t token;         /* 0: no token (library, the server itself) */
	int64_t agent;         /* of ROLE_AGENT */
	int64_t expires_at_us; /* 0: never */
	enum role role;
	uint8_t name_len;
	char name[120];
};

static inline bool caller_is_admin(const struct caller *c) { return c->role == ROLE_ADMIN || c->role == ROLE_OPERATOR; }
static inline struct str caller_name(const struct caller *c) { return (struct str){c->name, c->name_len}; }

#endif
