/* words.c - the words of states and triggers. */
#include "execution/execution_priv.h"

static const char *const status_words[] = {"", "queued", "running", "completed", "failed", "cancelled", "timed_out", "interrupted"};
static const char *const priority_words[] = {"", "low", "medium", "high", "urgent"};
static const char *const trigger_words[] = {"", "chat", "websocket", "openai", "api", "cli", "library", "mention", "schedule"};

struct str execution_status_word(int status)
{
	return str_of(status >= 1 && status <= EXECUTION_INTERRUPTED ? status_words[status] : "");
}

bool execution_status_parse(struct str word, int *out)
{
	for (int i = 1; i <= EXECUTION_INTERRUPTED; i++) {
		if (str_eq_case(word, str_of(status_words[i]))) {
			*out = i;
			return true;
		}
	}
	return false;
}

struct str execution_priority_word(enum run_priority priority)
{
	return str_of(priority_words[priority]);
}

bool execution_priority_parse(struct str word, enum run_priority *out)
{
	for (int i = RUN_LOW; i <= RUN_URGENT; i++) {
		if (str_eq_case(word, str_of(priority_words[i]))) {
			*out = (enum run_priority)i;
			return true;
		}
	}
	return false;
}

struct str execution_trigger_word(int trigger)
{
	return str_of(trigger >= 1 && trigger <= TRIGGER_SCHEDULE ? trigger_words[trigger] : "");
}
