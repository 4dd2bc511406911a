/*
 * fuzz_url.c - targets, queries and URLs out of any bytes; what is encoded decodes to itself.
 */
#include "base/check.h"
#include "wire/url.h"
#include "wire/utf8.h"

#define ARENA_BYTES (8u << 20)
#define BUF_BYTES (8u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool within(struct str part, struct str text)
{
	return part.at >= text.at && part.at + part.len <= text.at + text.len;
}

static void check_target(struct arena *arena, struct str text)
{
	struct url_target target;
	struct str name;
	struct str value;
	struct str decoded;
	if (url_split_target(text, &target) != ERR_OK)
		return;
	check(target.path.len > 0 && target.path.at[0] == '/' && within(target.query, text));
	while (url_query_next(&target.query, &name, &value)) {
		check(within(name, text) && within(value, text));
		if (url_decode(arena, value, true, &decoded) == ERR_OK)
			check(utf8_valid(decoded) && decoded.len <= value.len);
	}
}

static void check_absolute(struct str text)
{
	struct url url;
	if (url_parse(text, &url) != ERR_OK)
		return;
	check(url.host.len > 0 && within(url.host, text) && within(url.path, text) && url.port > 0);
	check(url.path.len == 0 || url.path.at[0] == '/');
	check(str_find_byte(url.host, '@') < 0 && str_find_byte(url.host, '/') < 0 && str_find_byte(url.path, '?') < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size);
	struct arena arena;
	struct buf buf;
	struct str decoded;
	arena_init(&arena, ARENA_BYTES);
	buf_init(&buf, BUF_BYTES);
	check_target(&arena, text);
	check_absolute(text);
	url_encode(&buf, text);
	bool decodes = url_decode(&arena, buf_str(&buf), true, &decoded) == ERR_OK;
	check(decodes == (utf8_valid(text) && str_find_byte(text, 0) < 0));
	check(!decodes || str_eq(decoded, text));
	buf_fini(&buf);
	arena_fini(&arena);
	return 0;
}
