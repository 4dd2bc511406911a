/* social_words.c - the words of the wire, and the numbers that are stored for them. */
#include "base/check.h"
#include "social/social_priv.h"

const char *const post_type_words[] = {
	"status", "insight", "question", "alert", "task", "command", "response", "announcement", NULL};
const char *const visibility_words[] = {"public", "channel", "directed", NULL};
const char *const channel_type_words[] = {"general", "project", "support", "engineering", NULL};
const char *const message_type_words[] = {"command", "question", "response", "note", NULL};

int social_word(const char *const *words, struct str word)
{
	for (int i = 0; words[i] != NULL; i++) {
		if (str_eq_case(str_of(words[i]), word)) {
			return i + 1;
		}
	}
	return 0;
}

int post_kind_of(int requested)
{
	static const int kinds[] = {0, 1, 2, 3, 4, 5, 5, 1, 4};

	check(requested >= 1 && requested <= 8);
	return kinds[requested];
}
