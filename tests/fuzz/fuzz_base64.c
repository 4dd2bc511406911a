/* fuzz_base64.c - what decodes encodes to the same text again, and what encodes decodes to the same bytes. */
#include <stdlib.h>

#include "wire/base64.h"

static void need(bool condition)
{
	if (!condition) {
		abort();
	}
}

static void round_trip(struct str text, enum err (*decode)(struct buf *, struct str), void (*encode)(struct buf *, struct str))
{
	struct buf bytes, again;
	buf_init(&bytes, 1 << 20);
	buf_init(&again, 1 << 20);
	if (decode(&bytes, text) == ERR_OK) {
		encode(&again, buf_str(&bytes));
		need(str_eq(buf_str(&again), text));
	} else {
		need(bytes.len == 0);
	}
	buf_clear(&bytes);
	buf_clear(&again);
	encode(&again, text);
	need(decode(&bytes, buf_str(&again)) == ERR_OK && str_eq(buf_str(&bytes), text));
	buf_fini(&bytes);
	buf_fini(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct str text = str_make(data, size);
	round_trip(text, base64_decode, base64_encode);
	round_trip(text, base64_url_decode, base64_url_encode);
	return 0;
}
