/*
 * openai_chunk.h - what one piece of an OpenAI-compatible reply says.
 *
 * For:     the data of one stream event, a whole reply that is no stream, a list of models.
 * Not for: the stream's framing (wire/sse.h), the request, when a stream has ended well (openai.c).
 * Threads: any; pure.
 * Memory:  texts point into the arena or the data given, until the arena is reset.
 * Errors:  ERR_MALFORMED when it is no JSON of that shape; ERR_LIMIT for the arena's cap.
 *
 * Servers that cut their tokens at bytes send half a code point in one piece and the rest in the next, as raw bytes or as half
 * of a surrogate pair. Strict JSON has no such thing: the chunk is then read again with each loose byte or surrogate standing in
 * as a private-use character, `torn` is set, and openai_join makes whole text of it.
 */
#ifndef GUILD_PROVIDER_OPENAI_CHUNK_H
#define GUILD_PROVIDER_OPENAI_CHUNK_H

#include "base/arena.h"
#include "base/err.h"

struct openai_chunk {
	bool done;                /* the marker [DONE] and nothing else */
	bool error;               /* an error object came in-band */
	bool torn;                /* text goes through openai_join before anybody sees it */
	bool has_choice;
	struct str text;          /* content of the first choice; "" when there was none */
	struct str finish_reason; /* at NULL when not given */
	struct str model;         /* at NULL when not given */
	bool has_usage;
	int64_t tokens_in, tokens_out, tokens_cached;
};

/* The data of one event. Unknown members, other choices, roles, reasoning and nulls are passed over. */
enum err openai_chunk_parse(struct arena *arena, struct str data, struct openai_chunk *out) MUST_USE;
/*
 * A provider's chunks differ in little but the text of their delta. What stood around the last one's is kept: a chunk with the same
 * bytes there and a text without escapes between them is the same JSON, and is not parsed again. Only of chunks that have no
 * more to say than a text. Zero-initialise.
 */
#define OPENAI_AROUND_BYTES 640
struct openai_around {
	size_t before_len, after_len;
	char bytes[OPENAI_AROUND_BYTES];
};
/* The same as openai_chunk_parse, but that `model` may be left out when it is the last one's again. */
enum err openai_chunk_next(struct openai_around *around, struct arena *arena, struct str data, struct openai_chunk *out) MUST_USE;
/* A whole reply: the same with "message" in place of "delta". */
enum err openai_reply_parse(struct arena *arena, struct str body, struct openai_chunk *out) MUST_USE;
/* The id of the only model of a list. ERR_NOT_FOUND when there is none or more than one. */
enum err openai_models_parse(struct arena *arena, struct str body, struct str *model) MUST_USE;

/* Bytes of a code point whose rest has not come yet. Zero-initialise. */
struct openai_joiner {
	char held[4];
	size_t held_len;
};

/* *text is what is whole by now: valid UTF-8, possibly empty. What can never become whole is U+FFFD. */
enum err openai_join(struct openai_joiner *joiner, struct arena *arena, struct str piece, bool torn, struct str *text) MUST_USE;
/* What is left at the end: U+FFFD, or empty. */
struct str openai_join_end(struct openai_joiner *joiner);

#endif
