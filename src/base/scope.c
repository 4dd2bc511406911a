/* scope.c - scopes: their words, and what is asked of a token. */
#include "base/scope.h"

#include "base/caller.h"
#include "base/check.h"

struct scope_row {
	struct str word;
	enum role role;
	bool agents;
	const char *missing;
};

static const struct scope_row rows[SCOPE_END] = {
	[SCOPE_UNSET] = {STR(""), ROLE_NONE, false, "Nothing says which scope this takes."},
	[SCOPE_OPEN] = {STR("open"), ROLE_NONE, false, "A valid token is needed."},
	[SCOPE_SIGNED_IN] = {STR("signed_in"), ROLE_NONE, false, "A valid token is needed."},
	[SCOPE_WHOLE] = {STR("whole"), ROLE_NONE, false, "This takes a token of your own that has all scopes of your role."},
#define SCOPE(name, text, least, agent, doc) \
	[SCOPE_##name] = {STR(text), ROLE_##least, agent, "The token lacks the scope " text "."},
#include "base/scope.def"
#undef SCOPE
};

const char *const scope_words[] = {
#define SCOPE(name, text, least, agent, doc) text,
#include "base/scope.def"
#undef SCOPE
	NULL};

struct str scope_word(enum scope scope)
{
	check((size_t)scope < SCOPE_END);
	return rows[scope].word;
}

bool scope_parse(struct str word, enum scope *out)
{
	for (enum scope scope = SCOPE_CHAT; scope < SCOPE_END; scope++) {
		if (str_eq_case(word, rows[scope].word)) {
			*out = scope;
			return true;
		}
	}
	return false;
}

uint32_t scope_set_of(enum role role)
{
	uint32_t scopes = 0;
	for (enum scope scope = SCOPE_CHAT; scope < SCOPE_END; scope++) {
		bool has = role == ROLE_AGENT ? rows[scope].agents : role != ROLE_NONE && role >= rows[scope].role;
		scopes |= has ? SCOPE_BIT(scope) : 0;
	}
	return scopes;
}

bool scope_fits(enum scope wanted, const struct caller *caller)
{
	switch (wanted) {
	case SCOPE_UNSET:
	case SCOPE_END:
		return false;
	case SCOPE_OPEN:
		return true;
	case SCOPE_SIGNED_IN:
		return caller->role != ROLE_NONE;
	case SCOPE_WHOLE:
		return caller->role != ROLE_NONE && caller->actor == 0 && (scope_set_of(caller->role) & ~caller->scopes) == 0;
	default:
		return (caller->scopes & SCOPE_BIT(wanted)) != 0;
	}
}

const char *scope_missing(enum scope wanted)
{
	check((size_t)wanted < SCOPE_END);
	return rows[wanted].missing;
}
