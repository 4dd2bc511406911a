/* nearest.c - edit distance with one row; words are short. */
#include "base/nearest.h"

#define WORD_BYTES 64

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

size_t nearest_distance(struct str a, struct str b)
{
	size_t costs[WORD_BYTES + 1];

	if (a.len > WORD_BYTES || b.len > WORD_BYTES) {
		return a.len > b.len ? a.len : b.len;
	}
	for (size_t j = 0; j <= b.len; j++) {
		costs[j] = j;
	}
	for (size_t i = 1; i <= a.len; i++) {
		size_t diagonal = costs[0];

		costs[0] = i;
		for (size_t j = 1; j <= b.len; j++) {
			size_t above = costs[j];
			size_t best = diagonal + (lower(a.at[i - 1]) != lower(b.at[j - 1]));

			best = above + 1 < best ? above + 1 : best;
			best = costs[j - 1] + 1 < best ? costs[j - 1] + 1 : best;
			costs[j] = best;
			diagonal = above;
		}
	}
	return costs[b.len];
}

void nearest_try(struct nearest *nearest, struct str candidate)
{
	size_t cost = nearest_distance(nearest->wanted, candidate);
	size_t longest = candidate.len > nearest->wanted.len ? candidate.len : nearest->wanted.len;

	if (cost * 2 <= longest && (!nearest->found.at || cost < nearest->cost)) {
		nearest->found = candidate;
		nearest->cost = cost;
	}
}
