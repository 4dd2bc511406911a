/* rate_api.c - how limits in time are told: the refusal, and the headers. */
#include "base/timefmt.h"
#include "social/social_priv.h"

enum { US_PER_S = 1000000 };

enum err rate_refuse(struct change *change, struct db *db, const char *what, struct rate_rule rule, const struct rate_state *state)
{
	struct arena *arena = change->command.arena;
	int64_t now_us = command_now_us(&change->command);
	int64_t wait_us = state->reset_us > now_us ? state->reset_us - now_us : 0;
	struct time_text reset = time_format(now_us + wait_us);
	struct str detail = rule.limit == 0
		? arena_format(arena, "The limit of %s is 0: none are permitted.", what)
		: arena_format(arena, "The limit of %lld %s in %lld s is reached; one more is free at %s.", (long long)rule.limit, what,
			       (long long)(rule.window_us / US_PER_S), reset.text);
	change->retry_after_ms = rule.limit == 0 ? rule.window_us / 1000 : (wait_us + 999) / 1000;
	return change_refuse(change, db, ERR_RATE_LIMITED, detail);
}

void rate_headers(struct change *change, struct rate_rule rule, const struct rate_state *state)
{
	if (rule.limit < 0 || change->request == NULL) {
		return;
	}
	int64_t wait_us = state->reset_us - env_wall_us(change->guild->env);
	http_reply_rate(change->request, rule.limit, state->remaining, wait_us > 0 ? (wait_us + US_PER_S - 1) / US_PER_S : 0);
}
