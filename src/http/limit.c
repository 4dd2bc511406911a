/*
 * limit.c - the rate limit: GCRA (the generic cell rate algorithm, ITU-T I.371), one number for each slot.
 *
 * A slot holds the time at which its bucket will be full again. Principals whose hashes meet share a bucket: that is the
 * price of a table that never grows and never locks.
 */
#include "http/http_priv.h"

#define NS_PER_S INT64_C(1000000000)

static _Atomic int64_t *slot_of(_Atomic int64_t *slots, uint64_t key)
{
	_Static_assert(HTTP_LIMIT_SLOTS == 1 << (64 - 51), "the shift keeps as many bits as there are slots");
	return &slots[key * UINT64_C(0x9e3779b97f4a7c15) >> 51];
}

static int64_t step_of(int64_t rate_per_s)
{
	return rate_per_s < NS_PER_S ? NS_PER_S / rate_per_s : 1;
}

struct http_rate http_limit_take(_Atomic int64_t *slots, uint64_t key, int64_t rate_per_s, int64_t burst, int64_t now_us)
{
	_Atomic int64_t *slot = slot_of(slots, key);
	int64_t step_ns = step_of(rate_per_s);
	int64_t room_ns = step_ns * burst;
	int64_t now_ns = now_us * 1000;
	int64_t seen = atomic_load_explicit(slot, memory_order_relaxed);
	struct http_rate rate = {.limit = burst};
	int64_t full_ns;

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

/* ---- by address ---- */

uint64_t http_limit_address(const struct http_server *server, const struct conn_address *address)
{
	uint8_t site[16];

	conn_address_site(address, site);
	return map_hash(&server->seed, str_make((const char *)site, sizeof(site)));
}

/* Looked at before, taken after: only a sign-in that failed counts. */
int64_t http_sign_in_wait_ms(const struct http_server *server, const struct conn_address *address, int64_t now_us)
{
	int64_t rate_per_s = server->options.limits.sign_in_rate_per_s;

	if (rate_per_s <= 0) {
		return 0;
	}
	int64_t step_ns = step_of(rate_per_s);
	int64_t seen = atomic_load_explicit(slot_of(server->sign_in_slots, http_limit_address(server, address)), memory_order_relaxed);
	int64_t over_ns = seen + step_ns - now_us * 1000 - step_ns * rate_per_s * HTTP_SIGN_IN_BURST_S;
	return over_ns > 0 ? (over_ns + 999999) / 1000000 : 0;
}

void http_sign_in_failed(struct http_server *server, const struct conn_address *address, int64_t now_us)
{
	int64_t rate_per_s = server->options.limits.sign_in_rate_per_s;

	if (rate_per_s > 0) {
		(void)http_limit_take(server->sign_in_slots, http_limit_address(server, address), rate_per_s,
				      rate_per_s * HTTP_SIGN_IN_BURST_S, now_us);
	}
}
