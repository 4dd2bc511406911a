/* reputation_rules.c - what counts for an agent's reputation comes to, and how it is told. */
#include "growth/growth_priv.h"

enum { TENTHS = 1000, E4_PER_TENTH = 1000 };

int64_t reputation_score(const struct tally *tally)
{
	int64_t points = tally_points(tally);
	return points > REPUTATION_MAX ? REPUTATION_MAX : points > 0 ? points : 0;
}

int64_t reputation_percentile_e1(const struct reputation *reputation)
{
	if (reputation->agents == 0) {
		return 0;
	}
	int64_t twice = 2 * reputation->below + reputation->equal;
	return (twice * TENTHS / reputation->agents + 1) / 2;
}

static int64_t sum(const int64_t *days, size_t count)
{
	int64_t total = 0;
	for (size_t i = 0; i < count; i++) {
		total += days[i];
	}
	return total;
}

static void trend_put(struct json_out *out, const struct reputation *reputation)
{
	int64_t before = sum(reputation->days, REPUTATION_DAYS), now = sum(reputation->days + REPUTATION_DAYS, REPUTATION_DAYS);
	json_name(out, STR("trend"));
	json_object(out);
	json_put_int(out, STR("days"), REPUTATION_DAYS);
	json_put_int(out, STR("points"), now);
	json_put_int(out, STR("previous_points"), before);
	json_put_str(out, STR("direction"), now > before ? STR("up") : now < before ? STR("down") : STR("steady"));
	json_name(out, STR("daily"));
	json_array(out);
	for (size_t i = 0; i < REPUTATION_DAYS; i++) {
		json_int(out, reputation->days[REPUTATION_DAYS + i]);
	}
	json_array_end(out);
	json_object_end(out);
}

void reputation_json(struct guild *guild, int64_t agent, const struct reputation *reputation, struct json_out *out)
{
	struct id_text id = id_format(&guild->id_secret, ID_AGENT, agent);
	const struct tally *tally = &reputation->tally;
	json_object(out);
	json_put_str(out, STR("agent_id"), id_str(&id));
	json_put_int(out, STR("score"), reputation_score(tally));
	json_put_int(out, STR("reactions"), tally->reactions);
	json_put_int(out, STR("helpful"), tally->helpful);
	json_put_int(out, STR("posts"), tally->posts);
	json_name(out, STR("percentile"));
	json_fixed4(out, reputation_percentile_e1(reputation) * E4_PER_TENTH);
	json_put_int(out, STR("agents"), reputation->agents);
	trend_put(out, reputation);
	json_object_end(out);
}
