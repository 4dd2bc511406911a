/* readiness_rules.c - is an agent ready for its next level? In whole numbers, so that nothing is rounded before it is compared. */
#include "base/timefmt.h"
#include "growth/growth_priv.h"

/* Counts of three kinds are multiplied: more than 64 bits. */
__extension__ typedef __int128 wide;

enum { WEIGHT_EPISODES = 40, WEIGHT_INTERVENTIONS = 30, WEIGHT_COMPLIANCE = 30, HUNDRED = 100, E4 = 10000 };

static const struct readiness_need needs[] = {
	[MATURITY_STUDENT] = {10, 50, 70, 70},
	[MATURITY_INTERN] = {25, 20, 85, 80},
	[MATURITY_SUPERVISED] = {50, 0, 95, 95},
};

/* part of whole; whole is positive. */
struct share {
	wide part, whole;
};

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t interventions_of(const struct evidence *evidence)
{
	return evidence->rejections + evidence->cancels + evidence->corrections;
}

/* Without a run, one intervention is as much as one in the first run. */
static int64_t runs_of(const struct evidence *evidence)
{
	return evidence->runs > 0 ? evidence->runs : 1;
}

static struct share compliance_of(const struct evidence *evidence)
{
	int64_t bad = evidence->refusals + evidence->rejections;
	int64_t good = evidence->actions > bad ? evidence->actions - bad : 0;
	return evidence->actions > 0 ? (struct share){good, evidence->actions} : (struct share){0, 1};
}

/* 1 - rate / limit, not below 0; a limit of 0 is kept or not. */
static struct share restraint_of(const struct evidence *evidence, int rate_percent)
{
	int64_t interventions = interventions_of(evidence);
	if (rate_percent == 0) {
		return (struct share){interventions == 0, 1};
	}
	wide whole = (wide)runs_of(evidence) * rate_percent, used = (wide)interventions * HUNDRED;
	return (struct share){used < whole ? whole - used : 0, whole};
}

/* In hundredths, as a share of 100. */
static struct share score_of(const struct evidence *evidence, const struct readiness_need *need)
{
	struct share episodes = {least(evidence->episodes, need->episodes), need->episodes};
	struct share restraint = restraint_of(evidence, need->rate_percent), compliance = compliance_of(evidence);
	return (struct share){WEIGHT_EPISODES * episodes.part * restraint.whole * compliance.whole +
				      WEIGHT_INTERVENTIONS * restraint.part * episodes.whole * compliance.whole +
				      WEIGHT_COMPLIANCE * compliance.part * episodes.whole * restraint.whole,
		HUNDRED * episodes.whole * restraint.whole * compliance.whole};
}

static int64_t share_e4(struct share share)
{
	return (int64_t)(share.part * E4 / share.whole);
}

static bool reaches(struct share share, int percent)
{
	return share.part * HUNDRED >= share.whole * percent;
}

void readiness_judge(enum maturity maturity, const struct evidence *evidence, struct readiness *out)
{
	wide rate_e4 = ((wide)interventions_of(evidence) * E4 + runs_of(evidence) - 1) / runs_of(evidence);
	struct share compliance = compliance_of(evidence);
	*out = (struct readiness){.rate_e4 = rate_e4 < INT64_MAX ? (int64_t)rate_e4 : INT64_MAX, .compliance_e4 = share_e4(compliance)};
	if (maturity < MATURITY_STUDENT || maturity >= MATURITY_AUTONOMOUS) {
		return;
	}
	const struct readiness_need *need = &needs[maturity];
	struct share score = score_of(evidence, need);
	out->need = need;
	out->score_e4 = share_e4(score);
	out->gaps = (evidence->episodes < need->episodes ? GAP_EPISODES : 0u) |
		((wide)interventions_of(evidence) * HUNDRED > (wide)runs_of(evidence) * need->rate_percent ? GAP_INTERVENTIONS : 0u) |
		(reaches(compliance, need->compliance_percent) ? 0u : GAP_COMPLIANCE) |
		(reaches(score, need->score_percent) ? 0u : GAP_SCORE);
	out->ready = out->gaps == 0;
}

/* ---- on the wire ---- */

static const struct {
	enum readiness_gap gap;
	struct str word;
} gap_words[] = {
	{GAP_EPISODES, {"successful_episodes", 19}},
	{GAP_INTERVENTIONS, {"intervention_rate", 17}},
	{GAP_COMPLIANCE, {"compliance", 10}},
	{GAP_SCORE, {"score", 5}},
};
enum { GAPS = sizeof(gap_words) / sizeof(gap_words[0]) };

void readiness_gaps_put(const struct readiness *readiness, struct buf *out)
{
	const char *between = "";
	for (size_t i = 0; i < GAPS; i++) {
		if ((readiness->gaps & gap_words[i].gap) != 0) {
			buf_format(out, "%s%.*s", between, STR_FMT(gap_words[i].word));
			between = ", ";
		}
	}
}

static void fixed_put(struct json_out *out, struct str name, int64_t e4)
{
	json_name(out, name);
	json_fixed4(out, e4);
}

static void percent_put(struct json_out *out, struct str name, int percent)
{
	fixed_put(out, name, (int64_t)percent * (E4 / HUNDRED));
}

static void evidence_put(struct json_out *out, const struct evidence *evidence, const struct readiness *readiness)
{
	struct time_text since = time_format(evidence->since_us);
	json_name(out, STR("evidence"));
	json_object(out);
	json_put_str_or_null(out, STR("since"), evidence->since_us != 0 ? time_str(&since) : STR_NONE);
	json_put_int(out, STR("successful_episodes"), evidence->episodes);
	json_put_int(out, STR("runs"), evidence->runs);
	json_put_int(out, STR("approvals_rejected"), evidence->rejections);
	json_put_int(out, STR("human_cancels"), evidence->cancels);
	json_put_int(out, STR("corrections"), evidence->corrections);
	fixed_put(out, STR("intervention_rate"), readiness->rate_e4);
	json_put_int(out, STR("actions"), evidence->actions);
	json_put_int(out, STR("actions_refused"), evidence->refusals);
	fixed_put(out, STR("compliance"), readiness->compliance_e4);
	json_object_end(out);
}

static void need_put(struct json_out *out, const struct readiness_need *need)
{
	json_name(out, STR("needed"));
	if (need == NULL) {
		json_null(out);
		return;
	}
	json_object(out);
	json_put_int(out, STR("successful_episodes"), need->episodes);
	percent_put(out, STR("intervention_rate"), need->rate_percent);
	percent_put(out, STR("compliance"), need->compliance_percent);
	percent_put(out, STR("score"), need->score_percent);
	json_object_end(out);
}

static void gap_put(struct json_out *out, enum readiness_gap gap, const struct evidence *evidence, const struct readiness *readiness)
{
	const struct readiness_need *need = readiness->need;
	switch (gap) {
	case GAP_EPISODES:
		json_put_int(out, STR("have"), evidence->episodes);
		json_put_int(out, STR("needed"), need->episodes);
		break;
	case GAP_INTERVENTIONS:
		fixed_put(out, STR("have"), readiness->rate_e4);
		percent_put(out, STR("needed"), need->rate_percent);
		break;
	case GAP_COMPLIANCE:
		fixed_put(out, STR("have"), readiness->compliance_e4);
		percent_put(out, STR("needed"), need->compliance_percent);
		break;
	case GAP_SCORE:
		fixed_put(out, STR("have"), readiness->score_e4);
		percent_put(out, STR("needed"), need->score_percent);
		break;
	}
}

static void gaps_put(struct json_out *out, const struct evidence *evidence, const struct readiness *readiness)
{
	json_name(out, STR("gaps"));
	json_array(out);
	for (size_t i = 0; i < GAPS; i++) {
		if ((readiness->gaps & gap_words[i].gap) != 0) {
			json_object(out);
			json_put_str(out, STR("criterion"), gap_words[i].word);
			gap_put(out, gap_words[i].gap, evidence, readiness);
			json_object_end(out);
		}
	}
	json_array_end(out);
}

void readiness_json(struct guild *guild, int64_t agent, enum maturity maturity, const struct evidence *evidence, struct json_out *out)
{
	struct id_text id = id_format(&guild->id_secret, ID_AGENT, agent);
	struct readiness readiness;
	readiness_judge(maturity, evidence, &readiness);
	bool has_next = readiness.need != NULL;
	json_object(out);
	json_put_str(out, STR("agent_id"), id_str(&id));
	json_put_str(out, STR("maturity"), maturity_word(maturity));
	json_put_str_or_null(out, STR("next_maturity"), has_next ? maturity_word((enum maturity)(maturity + 1)) : STR_NONE);
	json_put_bool(out, STR("ready"), readiness.ready);
	json_name(out, STR("score"));
	if (has_next) {
		json_fixed4(out, readiness.score_e4);
	} else {
		json_null(out);
	}
	evidence_put(out, evidence, &readiness);
	need_put(out, readiness.need);
	gaps_put(out, evidence, &readiness);
	json_object_end(out);
}
