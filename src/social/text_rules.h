/*
 * text_rules.h - what a text mentions and tags, and whether it may be content or a name. Grammars: docs/social-text.md.
 *
 * For:     posts, replies, direct messages, and what channels are called.
 * Not for: who is meant by a handle; redaction, which comes before; reactions (unicode.h).
 * Threads: any; pure.
 * Memory:  results are in the given arena, or parts of the given text. Errors: ERR_INVALID for what is refused, ERR_LIMIT for a full arena.
 */
#ifndef GUILD_SOCIAL_TEXT_RULES_H
#define GUILD_SOCIAL_TEXT_RULES_H

#include "base/arena.h"
#include "base/limits.h"

/* In order of first appearance, each once. Those beyond the limits are left out. */
struct text_marks {
	struct str hashtags[LIMIT_POST_HASHTAGS]; /* folded, with a leading '#' */
	struct str mentions[LIMIT_POST_MENTIONS]; /* handles in lower case, without the '@' */
	size_t hashtag_count;
	size_t mention_count;
};

/* Takes tags and mentions out of a text; each byte is looked at a bounded number of times. A text's tags do not depend on its case or
 * composition (NFC, NFD), and a tag scanned again gives itself. */
enum err text_scan(struct str text, struct arena *arena, struct text_marks *out) MUST_USE;

/* May it be kept as content, byte for byte? Valid UTF-8 of 1 to code_points_max characters, without NUL, with something to be seen.
 * *detail is set on ERR_INVALID: a sentence for the client. */
enum err text_check_content(struct str text, size_t code_points_max, const char **detail) MUST_USE;

/* May it be shown as a name, in a line of others? Valid UTF-8 of 1 to LIMIT_NAME_CHARS characters, not counting white space around them;
 * something to be seen; nothing that a display obeys (controls, marks that turn the direction of writing). *name is text without
 * that white space. *detail as above. */
enum err text_check_name(struct str text, struct str *name, const char **detail) MUST_USE;

#endif
