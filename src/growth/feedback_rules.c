/* feedback_rules.c - what feedback means, whose is taken as it is, and how it is shown. */
#include "base/limits.h"
#include "base/timefmt.h"
#include "growth/feedback_priv.h"

enum { RATING_GOOD = 4, RATING_BAD = 2 };

static const struct str status_words[] = {{"", 0}, {"pending", 7}, {"accepted", 8}, {"rejected", 8}};

struct str feedback_status_word(enum feedback_status status)
{
	return status_words[status];
}

bool feedback_status_parse(struct str word, enum feedback_status *out)
{
	for (enum feedback_status s = FEEDBACK_PENDING; s <= FEEDBACK_REJECTED; s++) {
		if (str_eq_case(word, status_words[s])) {
			*out = s;
			return true;
		}
	}
	return false;
}

const char *feedback_fault(const struct feedback *feedback, const char **pointer)
{
	bool up = feedback->thumbs == THUMBS_UP, down = feedback->thumbs == THUMBS_DOWN;
	*pointer = "";
	if (feedback->thumbs == THUMBS_NONE && feedback->rating == 0 && feedback->correction.at == NULL) {
		return "Feedback has thumbs, a rating or a correction.";
	}
	*pointer = "/rating";
	if ((up && feedback->rating != 0 && feedback->rating <= RATING_BAD) || (down && feedback->rating >= RATING_GOOD)) {
		return "Thumbs and rating say the opposite of each other.";
	}
	*pointer = "/correction";
	if (feedback->correction.at != NULL && str_trim(feedback->correction).len == 0) {
		return "A correction is not empty.";
	}
	*pointer = "/post_id";
	return feedback->execution != 0 && feedback->post != 0 ? "Feedback is of an execution or of a post." : NULL;
}

int feedback_delta_e4(const struct feedback *feedback)
{
	if (feedback->thumbs != THUMBS_NONE) {
		return feedback->thumbs == THUMBS_UP ? FEEDBACK_GOOD_E4 : FEEDBACK_BAD_E4;
	}
	if (feedback->rating != 0) {
		return feedback->rating >= RATING_GOOD ? FEEDBACK_GOOD_E4 : feedback->rating <= RATING_BAD ? FEEDBACK_BAD_E4 : 0;
	}
	return feedback->correction.at != NULL ? FEEDBACK_BAD_E4 : 0;
}

bool feedback_trusted(const struct principal *principal, struct str category)
{
	struct arena arena;
	struct json_doc doc;
	struct json_iter iter;
	struct json element;
	struct str word;
	bool found = false;
	if (principal->kind != PRINCIPAL_HUMAN || principal->disabled_at_us != 0) {
		return false;
	}
	if (principal->role == ROLE_ADMIN || principal->role == ROLE_OPERATOR) {
		return true;
	}
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	if (json_parse(&arena, principal->specialty, &doc, NULL) == ERR_OK) {
		iter = json_iter(json_root(&doc));
		while (!found && json_next(&iter, NULL, &element)) {
			found = json_get_str(element, &word) && str_eq_case(word, category);
		}
	}
	arena_fini(&arena);
	return found;
}

/* ---- on the wire ---- */

static void id_put(struct guild *guild, struct json_out *out, struct str name, enum id_kind kind, int64_t key)
{
	struct id_text id = id_format(&guild->id_secret, kind, key);
	json_put_str_or_null(out, name, key != 0 ? id_str(&id) : STR_NONE);
}

static void time_put(struct json_out *out, struct str name, int64_t time_us)
{
	struct time_text time = time_format(time_us);
	json_put_str_or_null(out, name, time_us != 0 ? time_str(&time) : STR_NONE);
}

void feedback_json(struct guild *guild, const struct feedback *feedback, struct json_out *out)
{
	static const struct str thumbs[] = {{NULL, 0}, {"up", 2}, {"down", 4}};
	json_object(out);
	id_put(guild, out, STR("id"), ID_FEEDBACK, feedback->id);
	id_put(guild, out, STR("agent_id"), ID_AGENT, feedback->agent);
	id_put(guild, out, STR("user_id"), ID_PRINCIPAL, feedback->principal);
	id_put(guild, out, STR("execution_id"), ID_EXECUTION, feedback->execution);
	id_put(guild, out, STR("post_id"), ID_POST, feedback->post);
	json_put_str_or_null(out, STR("thumbs"), thumbs[feedback->thumbs]);
	if (feedback->rating != 0) {
		json_put_int(out, STR("rating"), feedback->rating);
	} else {
		json_put_null(out, STR("rating"));
	}
	json_put_str_or_null(out, STR("correction"), feedback->correction);
	json_put_bool(out, STR("trusted"), feedback->trusted);
	json_put_str(out, STR("status"), feedback_status_word(feedback->status));
	json_name(out, STR("confidence_delta"));
	json_fixed4(out, feedback->delta_e4);
	time_put(out, STR("created_at"), feedback->created_at_us);
	id_put(guild, out, STR("decided_by"), ID_PRINCIPAL, feedback->decided_by);
	time_put(out, STR("decided_at"), feedback->decided_at_us);
	json_put_str_or_null(out, STR("note"), feedback->note);
	json_object_end(out);
}
