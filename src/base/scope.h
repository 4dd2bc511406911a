/*
 * scope.h - roles, and what a token may be used for below what its owner's role permits.
 *
 * For:     rows of routes and messages, which name one; tokens, which have a set of them.
 * Not for: who is asking (caller.h); what an agent may do (governance/).
 * Threads: pure.
 * Memory:  words are static.
 */
#ifndef GUILD_BASE_SCOPE_H
#define GUILD_BASE_SCOPE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct caller;

enum role { ROLE_NONE, ROLE_VIEWER, ROLE_MEMBER, ROLE_ADMIN, ROLE_OPERATOR, ROLE_AGENT };

/* In rows. A set is a number with bit (scope - SCOPE_CHAT) for each. */
enum scope {
	SCOPE_UNSET,     /* a row that forgot it: nobody may */
	SCOPE_OPEN,      /* no token needed */
	SCOPE_SIGNED_IN, /* any token */
	SCOPE_WHOLE,     /* a token that was not narrowed and acts for nobody else: what makes and ends tokens */
#define SCOPE(name, word, role, agents, doc) SCOPE_##name,
#include "base/scope.def"
#undef SCOPE
	SCOPE_END,
};

#define SCOPE_BIT(scope) (UINT32_C(1) << ((scope) - SCOPE_CHAT))
#define SCOPES_ALL       (SCOPE_BIT(SCOPE_END) - 1)

extern const char *const scope_words[]; /* NULL at the end */
/* Of SCOPE_CHAT .. SCOPE_END - 1; of the others "", "open", "signed_in", "whole". */
struct str scope_word(enum scope scope);
bool scope_parse(struct str word, enum scope *out);
/* What tokens of that role can have at most. */
uint32_t scope_set_of(enum role role);
/* Does the caller's token have what a row wants? Its role is looked at elsewhere. */
bool scope_fits(enum scope wanted, const struct caller *caller);
/* A sentence that names what is missing; static. */
const char *scope_missing(enum scope wanted);

#endif
