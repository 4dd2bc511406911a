/* rate.c - how often agents may do what. */
#include "social/social_priv.h"

#define HOUR_US 3600000000ll

static int64_t hour_limit(const struct guild_settings *settings, enum maturity maturity, enum rate_kind kind)
{
	/* An agent that is not known has no level, and may do nothing. */
	unsigned level = maturity >= MATURITY_STUDENT && maturity <= MATURITY_AUTONOMOUS ? (unsigned)maturity : 0;

	switch (kind) {
	case RATE_POST:
		return settings->posts_hour[level];
	case RATE_MESSAGE:
		return settings->messages_hour[level];
	case RATE_REACTION:
		return settings->reactions_hour[level];
	case RATE_AUTO_POST:
	case RATE_PAIR:
		break;
	}
	return level == 0 ? 0 : settings->pair_hour;
}

struct rate_rule rate_rule_of(struct guild *guild, struct actor actor, enum maturity maturity, enum rate_kind kind)
{
	const struct guild_settings *settings = &guild->settings;
	if (actor.kind != ACTOR_AGENT) {
		return (struct rate_rule){-1, HOUR_US};
	}
	if (kind == RATE_AUTO_POST) {
		return (struct rate_rule){settings->auto_post_us > 0 ? 1 : -1, settings->auto_post_us};
	}
	return (struct rate_rule){hour_limit(settings, maturity, kind), HOUR_US};
}

struct rate_state rate_after(struct rate_state before, struct rate_rule rule)
{
	struct rate_state after = before;
	if (rule.limit <= 0) {
		return after;
	}
	after.used++;
	after.remaining -= after.remaining > 0;
	after.oldest_us = before.oldest_us != 0 ? before.oldest_us : before.now_us;
	if (after.remaining == 0) {
		after.reset_us = after.oldest_us + rule.window_us;
	}
	return after;
}
