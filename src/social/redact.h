/*
 * redact.h - personal data and secrets out of a text, before it is stored.
 *
 * For:     posts, replies, direct messages: what is recognised becomes [REDACTED_TYPE]; docs/redaction.md says what is.
 * Not for: chat; text that somebody hides on purpose (spelled out, split, in pictures); names and addresses of places.
 * Threads: any; pure, no I/O.
 * Memory:  the arena's, and only when something is found. Nothing found: the result is the text given, not a copy.
 * Errors:  ERR_MEMORY; ERR_INVALID for a text with more findings than LIMIT_REDACT_FOUND or one that does not settle.
 *          The caller refuses the text on any error: what could not be looked through is not kept.
 *
 * One scan from left to right, without backtracking:
 *
 *   bytes   M a i l   b o b @ x . e u ,   o r   + 4 9   1 7 0 ...
 *   kind    w . . . . w . . @             w .   +
 *
 * A table of 256 kinds says for each byte whether anything may begin or hang on it. Most bytes are nothing, and cost
 * that look. A letter or digit is looked at only where a word begins; the rest of its word is passed over. Each trial
 * at such a place looks at no more than a fixed number of bytes, or at a stretch that no later trial looks at again
 * (it is taken, or remembered as barren: struct redact_scan). So the work is O(n): at most REDACT_STEPS_PER_BYTE for each
 * byte, whatever the bytes are; the tests count. Rules: redact_rules.def.
 *
 * Where two things overlap, the one that begins first wins, unless the later is the more specific and covers the
 * value: password=ghp_... is a GITHUB_TOKEN, a database URL is one thing with its user and host.
 * Redacting a redacted text changes nothing: a changed text is scanned again until nothing is found in it.
 */
#ifndef GUILD_SOCIAL_REDACT_H
#define GUILD_SOCIAL_REDACT_H

#include "base/arena.h"
#include "base/err.h"

/* The bound on the bytes looked at in one scan, for each byte of the text (REDACT_STEPS_LEAST on top). */
enum { REDACT_STEPS_PER_BYTE = 160, REDACT_STEPS_LEAST = 512 };

struct redact_options {
	const struct str
		*allowed_emails; /* addresses ("press@guild.example") or whole domains ("@guild.example"); case is ignored */
	size_t allowed_count;
};

struct redact_result {
	struct str text;
	uint64_t classes; /* bit n is set: something of class n was taken out */
	unsigned count;   /* findings in all */
	uint64_t steps;   /* bytes looked at by the longest scan */
};

/* Text may be any bytes; no UTF-8 sequence is ever split. options may be NULL: no address is allowed. */
enum err redact_text(
	struct str text, const struct redact_options *options, struct arena *arena, struct redact_result *out) MUST_USE;

/* "EMAIL", "PHONE", ... for bit n of classes; NULL from the first number that is no class. At most 64. */
const char *redact_class_name(unsigned number);

#endif
