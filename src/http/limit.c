/*
 * limit.c - the rate limit: GCRA (the generic cell rate algorithm, ITU-T I.371), one number for each slot.
 *
 * A slot holds the time at which its bucket will be full again. Principals whose hashes meet share a bucket: that is the
 * price of a table that never grows and never locks.
 */
#include "http/http_priv.h"

#define NS_PER_S INT64_C(1000000000)

struct http_rate http_limit_take(_Atomic int64_t *slots, uint64_t key, int64_t rate_per_s, int64_t burst, int64_t now_us)
{
	_Atomic int64_t *slot = &slots[key * UINT64_C(0x9e3779b97f4a7c15) >> 51];
	int64_t step_ns = rate_per_s < NS_PER_S ? NS_PER_S / rate_per_s : 1;
	int64_t room_ns = step_ns * burst;
	int64_t now_ns = now_us * 1000;
	int64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
	struct http_rate rate = {.limit = burst};
	int64_t full_ns;

	_Static_assert(HTTP_LIMIT_SLOTS == 1 << (64 - 51), "the shift keeps as many bits as there are slots");
	do {
		full_ns = (seen > now_ns ? seen : now_ns) + step_ns;
		if (full_ns - now_ns > room_ns) {
			int64_t wait_ms = (full_ns - now_ns - room_ns + 999999) / 1000000;
			rate.retry_after_ms = wait_ms > 0 ? wait_ms : 1;
			rate.reset_s = (seen - now_ns + NS_PER_S - 1) / NS_PER_S;
			return rate;
		}
	} while (!atomic_compare_exchange_weak_explicit(slot, &seen, full_ns, memory_order_relaxed, memory_order_relaxed));
	rate.remaining = (room_ns - (full_ns - now_ns)) / step_ns;
	rate.reset_s = (full_ns - now_ns + NS_PER_S - 1) / NS_PER_S;
	return rate;
}
