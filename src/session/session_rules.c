/* session_rules.c - titles: pure. */
#include "session/session.h"
#include "wire/utf8.h"

enum { TITLE_CHARS_MAX = 50, TITLE_CHARS_CUT = 47 };

struct str session_title(struct arena *arena, struct str message)
{
	struct str title = str_trim(message);
	/* A title is one line. */
	for (size_t i = 0; i < title.len; i++) {
		if (title.at[i] == '\n' || title.at[i] == '\r') {
			title = str_trim(str_sub(title, 0, i));
			break;
		}
	}
	if (utf8_length(title) <= TITLE_CHARS_MAX) {
		return arena_copy(arena, title);
	}
	return arena_format(arena, "%.*s...", STR_FMT(utf8_prefix(title, TITLE_CHARS_CUT)));
}
