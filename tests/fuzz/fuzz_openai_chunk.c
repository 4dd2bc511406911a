/* Chunks of a provider's reply: any bytes, one chunk a line, in any order. What comes out is valid UTF-8 and no longer than what came. */
#include "base/check.h"
#include "provider/openai_chunk.h"
#include "wire/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str rest = str_make(data, size), line, text, model;
	struct openai_joiner joiner = {{0}, 0};
	struct openai_around around = {0};
	struct openai_chunk chunk, next;
	struct arena arena;

	arena_init(&arena, 4 << 20);
	while (str_split(&rest, '\n', &line)) {
		enum err err = openai_chunk_parse(&arena, line, &chunk);
		check(openai_chunk_next(&around, &arena, line, &next) == err);
		if (err == ERR_OK) {
			check(str_eq(next.text, chunk.text) && str_eq(next.finish_reason, chunk.finish_reason));
			check(next.done == chunk.done && next.error == chunk.error && next.torn == chunk.torn);
			check(next.has_choice == chunk.has_choice && next.has_usage == chunk.has_usage && next.tokens_out == chunk.tokens_out);
			check(!chunk.has_usage || (chunk.tokens_in >= 0 && chunk.tokens_out >= 0));
			check(chunk.torn || utf8_valid(line));
			if (openai_join(&joiner, &arena, chunk.text, chunk.torn, &text) == ERR_OK) {
				check(utf8_valid(text));
				check(text.len <= 3 * (line.len + 4));
			}
		}
		arena_reset(&arena, ARENA_BLOCK_MAX);
		(void)!openai_reply_parse(&arena, line, &chunk);
		arena_reset(&arena, ARENA_BLOCK_MAX);
		(void)!openai_models_parse(&arena, line, &model);
		arena_reset(&arena, ARENA_BLOCK_MAX);
	}
	check(utf8_valid(openai_join_end(&joiner)));
	arena_fini(&arena);
	return 0;
}
