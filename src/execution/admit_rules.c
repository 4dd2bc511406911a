/* admit_rules.c - in which order waiting runs are taken: pure. */
#include "execution/admit_priv.h"

#define STEP_US 30000000

int admit_step(const struct admit_wait *wait, int64_t now_us)
{
	int64_t waited_us = now_us > wait->queued_at_us ? now_us - wait->queued_at_us : 0;
	int64_t step = (int64_t)wait->priority + waited_us / STEP_US;
	return step < RUN_URGENT ? (int)step : RUN_URGENT;
}

bool admit_before(const struct admit_wait *a, const struct admit_wait *b, int64_t now_us)
{
	int a_step = admit_step(a, now_us), b_step = admit_step(b, now_us);
	if (a_step != b_step) {
		return a_step > b_step;
	}
	return a->queued_at_us != b->queued_at_us ? a->queued_at_us < b->queued_at_us : a->id < b->id;
}
