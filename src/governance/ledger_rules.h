/*
 * ledger_rules.h - the arithmetic of money: pure.
 *
 * For:     what tokens cost, how many a text has about, what a budget allows, which thresholds were passed.
 * Not for: keeping anything (ledger.h).
 * Threads: any.
 * Memory:  none.
 */
#ifndef GUILD_GOVERNANCE_LEDGER_RULES_H
#define GUILD_GOVERNANCE_LEDGER_RULES_H

#include "base/err.h"
#include "provider/catalogue.h"

/* What a run is charged by. */
struct tariff {
	struct price price;
	int64_t output_max; /* tokens that the model makes at most; 0: not known */
	bool is_unknown;    /* no price is known: this one is pessimistic */
};

struct usage {
	int64_t in, cached, out; /* tokens; cached is part of in */
};

/* In micro-units, rounded up. Counts are taken as 0..LIMIT_TOKENS_COUNTED. */
int64_t ledger_cost(const struct price *price, const struct usage *usage);
/* An estimate: a quarter for each ASCII character, 1 for any other, and 4 for the message around them. */
int64_t ledger_tokens(struct str text);

enum budget_mode { BUDGET_WARN = 1, BUDGET_HARD };
struct budget_state {
	int64_t limit_micro; /* below 0: none */
	int64_t reserved_micro, settled_micro;
};
/* Does a hard budget leave room for one more run that reserves amount? Nothing left allows none, not even a free one. */
bool budget_allows(const struct budget_state *state, int64_t amount);

#define BUDGET_THRESHOLDS 3
extern const int budget_thresholds[BUDGET_THRESHOLDS]; /* percent, rising */
/* Those that what is settled has reached, as bits. */
unsigned budget_passed(const struct budget_state *state);

#endif
