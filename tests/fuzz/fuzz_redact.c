/*
 * fuzz_redact.c - redaction of any bytes: it ends, works in proportion, splits no sequence, and a second run changes nothing.
 */
#include "base/check.h"
#include "social/redact.h"
#include "wire/utf8.h"

#define ARENA_BYTES (64u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct str allowed[] = {STR("press@guild.example"), STR("@team.example")};
	static const struct redact_options options = {allowed, 2};
	struct str text = str_make(data, size);
	struct redact_result first;
	struct redact_result second;
	struct arena arena;
	arena_init(&arena, ARENA_BYTES);
	enum err err = redact_text(text, &options, &arena, &first);
	check(err == ERR_OK || err == ERR_INVALID);
	if (err == ERR_OK) {
		check((first.count > 0) == (first.classes != 0) && (first.count > 0 || first.text.at == text.at));
		check(first.count > 0 || first.steps <= size * REDACT_STEPS_PER_BYTE + REDACT_STEPS_LEAST);
		check(!utf8_valid(text) || utf8_valid(first.text));
		check(redact_text(first.text, &options, &arena, &second) == ERR_OK);
		check(second.count == 0 && second.text.at == first.text.at);
	}
	arena_fini(&arena);
	return 0;
}
