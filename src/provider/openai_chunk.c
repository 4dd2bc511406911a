/* Pieces of OpenAI-compatible replies: JSON in, the few facts that matter out; torn code points made whole again. */
#include "provider/openai_chunk.h"

#include "base/buf.h"
#include "wire/json.h"
#include "wire/utf8.h"

/* Stand-ins of a repaired text: loose surrogates and loose bytes, each as one code point of plane 16. */
#define LOOSE_SURROGATE 0x100000u /* + 0xd800..0xdfff */
#define LOOSE_BYTE 0x10f000u      /* + 0x80..0xff */
#define REPLACEMENT "\xef\xbf\xbd"

/* ---- text ---- */

/* Length that the first byte of s promises. */
static size_t promised_len(struct str s)
{
	unsigned char lead = s.len ? (unsigned char)s.at[0] : 0;

	return lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/* Length of the valid sequence at the start of s, 0 when there is none. */
static size_t sequence_len(struct str s)
{
	size_t len = promised_len(s);

	return len <= s.len && utf8_valid(str_make(s.at, len)) ? len : 0;
}

static bool is_stand_in(uint32_t cp)
{
	return (cp >= LOOSE_SURROGATE + 0xd800 && cp <= LOOSE_SURROGATE + 0xdfff) ||
	       (cp >= LOOSE_BYTE + 0x80 && cp <= LOOSE_BYTE + 0xff);
}

static char *put_cp(char *out, uint32_t cp)
{
	return out + utf8_put(cp, out);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The value of \uXXXX at the start of s, -1 when that is not what stands there. */
static int32_t escape_value(struct str s)
{
	int32_t value = 0;

	if (s.len < 6 || s.at[0] != '\\' || s.at[1] != 'u') {
		return -1;
	}
	for (int i = 2; i < 6; i++) {
		int digit = hex_digit(s.at[i]);

		if (digit < 0) {
			return -1;
		}
		value = value * 16 + digit;
	}
	return value;
}

static bool is_high(int32_t value) { return value >= 0xd800 && value <= 0xdbff; }
static bool is_low(int32_t value) { return value >= 0xdc00 && value <= 0xdfff; }

/* Copies one escape, or its stand-in; returns the bytes taken. */
static size_t repair_escape(struct str s, char **out)
{
	int32_t value = escape_value(s);
	size_t take = value >= 0 ? 6 : 2;

	if (is_high(value) && is_low(escape_value(str_sub(s, 6, 6)))) {
		take = 12;
	} else if (is_high(value) || is_low(value)) {
		*out = put_cp(*out, LOOSE_SURROGATE + (uint32_t)value);
		return take;
	} else if (value == 0) {
		*out = put_cp(*out, 0xfffd);
		return take;
	}
	take = take < s.len ? take : s.len;
	memcpy(*out, s.at, take);
	*out += take;
	return take;
}

/* Copies one code point, or the stand-in of one byte; returns the bytes taken. */
static size_t repair_bytes(struct str s, char **out)
{
	size_t len = sequence_len(s), at = 0;

	if (len > 1 && is_stand_in(utf8_get(str_make(s.at, len), &at))) {
		len = 0;
	}
	if (len == 0) {
		*out = put_cp(*out, LOOSE_BYTE + (unsigned char)s.at[0]);
		return 1;
	}
	memcpy(*out, s.at, len);
	*out += len;
	return len;
}

/* The text with everything that strict JSON refuses inside strings replaced by stand-ins. at NULL: no memory. */
static struct str repair(struct arena *arena, struct str text)
{
	char *start = text.len < SIZE_MAX / 4 ? arena_alloc(arena, text.len * 4 + 1) : NULL;
	char *out = start;
	bool in_string = false;

	if (!start) {
		return STR_NONE;
	}
	while (text.len > 0) {
		size_t take = 1;

		if (in_string && text.at[0] == '\\') {
			take = repair_escape(text, &out);
		} else if ((unsigned char)text.at[0] >= 0x80) {
			take = repair_bytes(text, &out);
		} else {
			in_string ^= text.at[0] == '"';
			*out++ = text.at[0];
		}
		text = str_sub(text, take, text.len);
	}
	return str_make(start, (size_t)(out - start));
}

/* Stand-ins become what they stand for: bytes, and surrogates in the three bytes UTF-8 would give them. */
static char *unmask(struct str piece, char *out)
{
	size_t at = 0;

	while (at < piece.len) {
		size_t from = at;
		uint32_t cp = utf8_get(piece, &at);

		if (!is_stand_in(cp)) {
			memcpy(out, piece.at + from, at - from);
			out += at - from;
		} else if (cp >= LOOSE_BYTE) {
			*out++ = (char)(cp - LOOSE_BYTE);
		} else {
			uint32_t value = cp - LOOSE_SURROGATE;
			*out++ = (char)(0xe0 | value >> 12);
			*out++ = (char)(0x80 | (value >> 6 & 0x3f));
			*out++ = (char)(0x80 | (value & 0x3f));
		}
	}
	return out;
}

/* The surrogate at the start of s, -1 when there is none. */
static int32_t surrogate_value(struct str s)
{
	if (s.len < 3 || (unsigned char)s.at[0] != 0xed || ((unsigned char)s.at[1] & 0xe0) != 0xa0) {
		return -1;
	}
	return 0xd000 | ((unsigned char)s.at[1] & 0x3f) << 6 | ((unsigned char)s.at[2] & 0x3f);
}

/* True when s, the end of what came, is the beginning of one code point. */
static bool may_grow(struct str s)
{
	struct utf8_check state = {0};

	if (s.len == 3 && is_high(surrogate_value(s))) {
		return true;
	}
	return s.len < promised_len(s) && utf8_feed(&state, s) && !utf8_complete(&state);
}

/* Copies or replaces what stands at the start of s, which is not the whole of an open sequence; returns the bytes taken. */
static size_t join_one(struct str s, char **out)
{
	size_t len = sequence_len(s);
	int32_t high = surrogate_value(s), low = is_high(high) ? surrogate_value(str_sub(s, 3, 3)) : -1;

	if (len > 0) {
		memcpy(*out, s.at, len);
		*out += len;
		return len;
	}
	if (is_low(low)) {
		*out = put_cp(*out, 0x10000u + ((uint32_t)(high - 0xd800) << 10) + (uint32_t)(low - 0xdc00));
		return 6;
	}
	*out = put_cp(*out, 0xfffd);
	return high >= 0 ? 3 : 1;
}

enum err openai_join(struct openai_joiner *joiner, struct arena *arena, struct str piece, bool torn, struct str *text)
{
	char *raw, *raw_end, *out, *start;
	struct str rest;

	*text = piece;
	if (piece.len == 0 || (!torn && joiner->held_len == 0)) {
		return ERR_OK;
	}
	raw = arena_alloc(arena, joiner->held_len + piece.len);
	start = out = arena_alloc(arena, 3 * (joiner->held_len + piece.len));
	if (!raw || !start) {
		return ERR_LIMIT;
	}
	memcpy(raw, joiner->held, joiner->held_len);
	raw_end = raw + joiner->held_len;
	if (torn) {
		raw_end = unmask(piece, raw_end);
	} else {
		memcpy(raw_end, piece.at, piece.len);
		raw_end += piece.len;
	}
	rest = str_make(raw, (size_t)(raw_end - raw));
	joiner->held_len = 0;
	while (rest.len > 0 && !may_grow(rest)) {
		rest = str_sub(rest, join_one(rest, &out), rest.len);
	}
	memcpy(joiner->held, rest.at, rest.len);
	joiner->held_len = rest.len;
	*text = str_make(start, (size_t)(out - start));
	return ERR_OK;
}

struct str openai_join_end(struct openai_joiner *joiner)
{
	bool left = joiner->held_len > 0;

	joiner->held_len = 0;
	return left ? STR(REPLACEMENT) : STR("");
}

/* ---- JSON ---- */

static enum err parse_object(struct arena *arena, struct str text, struct json_doc *doc, bool *torn)
{
	enum err err = json_parse(arena, text, doc, NULL);

	*torn = false;
	if (err == ERR_MALFORMED) {
		struct str repaired = repair(arena, text);

		if (!repaired.at) {
			return ERR_LIMIT;
		}
		if (!str_eq(repaired, text)) {
			*torn = true;
			err = json_parse(arena, repaired, doc, NULL);
		}
	}
	if (err == ERR_OK && json_kind(json_root(doc)) != JSON_OBJECT) {
		return ERR_MALFORMED;
	}
	return err;
}

static bool is_error(struct json value)
{
	struct str text;

	return json_kind(value) == JSON_OBJECT || (json_get_str(value, &text) && text.len > 0);
}

static void take_usage(struct json usage, struct openai_chunk *out)
{
	int64_t in = 0, made = 0, cached = 0;

	if (!json_get_int(json_member(usage, STR("completion_tokens")), &made) || made < 0) {
		return;
	}
	if (!json_get_int(json_member(usage, STR("prompt_tokens")), &in) || in < 0) {
		in = 0;
	}
	/* Two ways of saying what was in the provider's cache. */
	if (!json_get_int(json_member(json_member(usage, STR("prompt_tokens_details")), STR("cached_tokens")), &cached)) {
		(void)json_get_int(json_member(usage, STR("prompt_cache_hit_tokens")), &cached);
	}
	out->has_usage = true;
	out->tokens_in = in;
	out->tokens_out = made;
	out->tokens_cached = cached < 0 ? 0 : cached < in ? cached : in;
}

static void take_choice(struct json choice, struct str content_of, struct openai_chunk *out)
{
	int64_t index = 0;

	if (json_kind(choice) != JSON_OBJECT || (json_get_int(json_member(choice, STR("index")), &index) && index != 0)) {
		return;
	}
	out->has_choice = true;
	(void)json_get_str(json_member(json_member(choice, content_of), STR("content")), &out->text);
	(void)json_get_str(json_member(choice, STR("finish_reason")), &out->finish_reason);
}

static enum err parse(struct arena *arena, struct str data, struct str content_of, struct openai_chunk *out)
{
	struct json_doc doc;
	struct json root;
	enum err err = parse_object(arena, data, &doc, &out->torn);

	if (err != ERR_OK) {
		return err;
	}
	root = json_root(&doc);
	out->error = is_error(json_member(root, STR("error")));
	(void)json_get_str(json_member(root, STR("model")), &out->model);
	take_usage(json_member(root, STR("usage")), out);
	take_choice(json_element(json_member(root, STR("choices")), 0), content_of, out);
	return ERR_OK;
}

enum err openai_chunk_parse(struct arena *arena, struct str data, struct openai_chunk *out)
{
	*out = (struct openai_chunk){.text = STR("")};
	if (str_eq(str_trim(data), STR("[DONE]"))) {
		out->done = true;
		return ERR_OK;
	}
	return parse(arena, data, STR("delta"), out);
}

/* ---- chunks that differ in their text alone ---- */

/* A string's content that stands for itself. */
static bool is_literal(struct str text)
{
	bool ascii = true;

	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.at[i];

		if (c < 0x20 || c == '"' || c == '\\') {
			return false;
		}
		ascii &= c < 0x80;
	}
	return ascii || utf8_valid(text);
}

static void around_learn(struct openai_around *around, struct str data, const struct openai_chunk *chunk)
{
	/* Outside of data, the text was made: it had escapes. */
	uintptr_t at = (uintptr_t)chunk->text.at, from = (uintptr_t)data.at;
	size_t before_len = at - from, after_len = data.len - before_len - chunk->text.len;

	around->before_len = around->after_len = 0;
	if (at <= from || at >= from + data.len || chunk->text.len == 0 || data.len - chunk->text.len > OPENAI_AROUND_BYTES || chunk->torn ||
	    chunk->error || chunk->has_usage || chunk->finish_reason.at != NULL) {
		return;
	}
	memcpy(around->bytes, data.at, before_len);
	memcpy(around->bytes + before_len, data.at + before_len + chunk->text.len, after_len);
	around->before_len = before_len;
	around->after_len = after_len;
}

enum err openai_chunk_next(struct openai_around *around, struct arena *arena, struct str data, struct openai_chunk *out)
{
	size_t before_len = around->before_len, after_len = around->after_len;

	if (before_len > 0 && data.len >= before_len + after_len && memcmp(data.at, around->bytes, before_len) == 0 &&
	    memcmp(data.at + data.len - after_len, around->bytes + before_len, after_len) == 0) {
		struct str text = str_make(data.at + before_len, data.len - before_len - after_len);

		if (is_literal(text)) {
			*out = (struct openai_chunk){.text = text, .has_choice = true};
			return ERR_OK;
		}
	}
	enum err err = openai_chunk_parse(arena, data, out);

	if (err == ERR_OK) {
		around_learn(around, data, out);
	}
	return err;
}

enum err openai_reply_parse(struct arena *arena, struct str body, struct openai_chunk *out)
{
	*out = (struct openai_chunk){.text = STR("")};
	return parse(arena, body, STR("message"), out);
}

enum err openai_models_parse(struct arena *arena, struct str body, struct str *model)
{
	struct json_doc doc;
	struct json list;
	bool torn;
	enum err err = parse_object(arena, body, &doc, &torn);

	*model = STR_NONE;
	if (err != ERR_OK) {
		return err;
	}
	list = json_member(json_root(&doc), STR("data"));
	if (torn || json_kind(list) != JSON_ARRAY) {
		return ERR_MALFORMED;
	}
	if (json_size(list) != 1 || !json_get_str(json_member(json_element(list, 0), STR("id")), model) || model->len == 0) {
		return ERR_NOT_FOUND;
	}
	return ERR_OK;
}
