/* ledger_rules.c - costs, estimates, thresholds. */
#include "governance/ledger_rules.h"

#include "base/limits.h"

#define MILLION INT64_C(1000000)

const int budget_thresholds[BUDGET_THRESHOLDS] = {80, 90, 100};

static int64_t counted(int64_t tokens)
{
	return tokens < 0 ? 0 : tokens > LIMIT_TOKENS_COUNTED ? LIMIT_TOKENS_COUNTED : tokens;
}

/* Both factors have a cap, so that three products fit: 3 * 10^9 * 2 * 10^9 < 2^63. */
int64_t ledger_cost(const struct price *price, const struct usage *usage)
{
	int64_t in = counted(usage->in), cached = counted(usage->cached);
	cached = cached < in ? cached : in;
	int64_t total = (in - cached) * price->in + cached * price->cached + counted(usage->out) * price->out;
	return (total + MILLION - 1) / MILLION;
}

int64_t ledger_tokens(struct str text)
{
	int64_t plain = 0, others = 0;
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.at[i];
		plain += byte < 0x80;
		others += byte >= 0xc0; /* what begins a character */
	}
	return (plain + 3) / 4 + others + 4;
}

bool budget_allows(const struct budget_state *state, int64_t amount)
{
	if (state->limit_micro < 0) {
		return true;
	}
	int64_t used = state->reserved_micro + state->settled_micro;
	return used < state->limit_micro && amount <= state->limit_micro - used;
}

/* Divided, not multiplied: sums may be great. */
unsigned budget_passed(const struct budget_state *state)
{
	unsigned passed = 0;
	for (unsigned i = 0; i < BUDGET_THRESHOLDS && state->limit_micro >= 0; i++) {
		int64_t share = state->limit_micro / 100 * budget_thresholds[i] + state->limit_micro % 100 * budget_thresholds[i] / 100;
		int64_t rest = state->limit_micro % 100 * budget_thresholds[i] % 100;
		bool there = state->settled_micro > share || (state->settled_micro == share && rest == 0);
		passed |= there && state->settled_micro > 0 ? 1u << i : 0;
	}
	return passed;
}
