/* maturity_rules.c - words and numbers of maturity, lifecycle and confidence: pure. */
#include "agent/maturity.h"

enum { CONFIDENCE_MAX_E4 = 10000 };

struct maturity_row {
	struct str word;
	int lift_e4;
	int floor_e4;
};

static const struct maturity_row maturity_rows[] = {
	[MATURITY_STUDENT] = {{"student", 7}, 5000, 0},
	[MATURITY_INTERN] = {{"intern", 6}, 6000, 4500},
	[MATURITY_SUPERVISED] = {{"supervised", 10}, 8000, 6500},
	[MATURITY_AUTONOMOUS] = {{"autonomous", 10}, 9500, 8500},
};

static const struct str lifecycle_words[] = {
	[LIFECYCLE_ACTIVE] = {"active", 6},
	[LIFECYCLE_PAUSED] = {"paused", 6},
	[LIFECYCLE_STOPPED] = {"stopped", 7},
	[LIFECYCLE_ARCHIVED] = {"archived", 8},
};

static bool maturity_valid(enum maturity maturity)
{
	return maturity >= MATURITY_STUDENT && maturity <= MATURITY_AUTONOMOUS;
}

struct str maturity_word(enum maturity maturity)
{
	return maturity_valid(maturity) ? maturity_rows[maturity].word : STR("");
}

bool maturity_parse(struct str word, enum maturity *out)
{
	for (enum maturity m = MATURITY_STUDENT; m <= MATURITY_AUTONOMOUS; m++) {
		if (str_eq_case(word, maturity_rows[m].word)) {
			*out = m;
			return true;
		}
	}
	return false;
}

struct str lifecycle_word(enum lifecycle lifecycle)
{
	if (lifecycle < LIFECYCLE_ACTIVE || lifecycle > LIFECYCLE_ARCHIVED) {
		return STR("");
	}
	return lifecycle_words[lifecycle];
}

bool lifecycle_parse(struct str word, enum lifecycle *out)
{
	for (enum lifecycle l = LIFECYCLE_ACTIVE; l <= LIFECYCLE_ARCHIVED; l++) {
		if (str_eq_case(word, lifecycle_words[l])) {
			*out = l;
			return true;
		}
	}
	return false;
}

int maturity_lift_e4(enum maturity maturity)
{
	return maturity_valid(maturity) ? maturity_rows[maturity].lift_e4 : 0;
}

int maturity_floor_e4(enum maturity maturity)
{
	return maturity_valid(maturity) ? maturity_rows[maturity].floor_e4 : 0;
}

int confidence_moved(int confidence_e4, int delta_e4)
{
	int64_t moved = (int64_t)confidence_e4 + delta_e4;
	if (moved < 0) {
		return 0;
	}
	return moved > CONFIDENCE_MAX_E4 ? CONFIDENCE_MAX_E4 : (int)moved;
}

enum maturity maturity_after(enum maturity maturity, int confidence_e4)
{
	return confidence_e4 < maturity_floor_e4(maturity) ? (enum maturity)(maturity - 1) : maturity;
}

bool lifecycle_may_follow(enum lifecycle from, enum lifecycle to)
{
	switch (to) {
	case LIFECYCLE_ACTIVE:
		return from == LIFECYCLE_PAUSED || from == LIFECYCLE_STOPPED;
	case LIFECYCLE_PAUSED:
		return from == LIFECYCLE_ACTIVE;
	case LIFECYCLE_STOPPED:
		return from == LIFECYCLE_ACTIVE || from == LIFECYCLE_PAUSED;
	case LIFECYCLE_ARCHIVED:
		return from != LIFECYCLE_ARCHIVED;
	}
	return false;
}
