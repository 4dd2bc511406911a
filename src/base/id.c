/* id.c - making keys, and UUIDv7 text from keys and back. */
#include "base/id.h"

#include "base/check.h"
#include "base/hash.h"

#define EPOCH_2020_MS INT64_C(1577836800000)
#define COUNTER_BITS 15
#define LOW_BITS 21 /* loop and counter */
#define COUNTER_MAX ((1u << COUNTER_BITS) - 1)
#define KEY_MS_MAX ((INT64_C(1) << 42) - 1)
#define TAG_MASK ((UINT64_C(1) << 53) - 1)
#define LOG_SEQ_MAX ((INT64_C(1) << 42) - 1)
#define UNIX_MS_MAX ((INT64_C(1) << 48) - 1)

/* The parts of a UUIDv7 that are free: 48 + 12 + 62 bits. */
struct uuid_parts {
	uint64_t ms;
	uint64_t a;
	uint64_t b;
};

void id_gen_init(struct id_gen *gen, unsigned loop, int64_t floor_key)
{
	check(loop < 64 && floor_key >= 0);
	/* A full counter: the first key gets a later millisecond than the floor. */
	*gen = (struct id_gen){.last_ms = floor_key >> LOW_BITS, .counter = COUNTER_MAX, .loop = loop};
}

int64_t id_next(struct id_gen *gen, int64_t wall_us)
{
	int64_t ms = wall_us / 1000 - EPOCH_2020_MS;

	if (ms > gen->last_ms) {
		gen->last_ms = ms;
		gen->counter = 0;
	} else if (gen->counter < COUNTER_MAX) {
		gen->counter++;
	} else {
		gen->last_ms++;
		gen->counter = 0;
	}
	check(gen->last_ms > 0 && gen->last_ms <= KEY_MS_MAX);
	return gen->last_ms << LOW_BITS | (int64_t)gen->loop << COUNTER_BITS | gen->counter;
}

unsigned id_loop(int64_t key)
{
	return (unsigned)(key >> COUNTER_BITS) & 63;
}

int64_t id_unix_ms(int64_t key)
{
	return (key >> LOW_BITS) + EPOCH_2020_MS;
}

int64_t id_of_ms(int64_t unix_ms)
{
	int64_t ms = unix_ms - EPOCH_2020_MS;

	return ms <= 0 ? 0 : ms > KEY_MS_MAX ? INT64_MAX : ms << LOW_BITS;
}

static void store_be(uint8_t *out, uint64_t value, unsigned len)
{
	for (unsigned i = len; i > 0; i--) {
		out[i - 1] = (uint8_t)value;
		value >>= 8;
	}
}

static uint64_t load_be(const uint8_t *bytes, unsigned len)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < len; i++) {
		value = value << 8 | bytes[i];
	}
	return value;
}

static struct id_text uuid_text(struct uuid_parts parts)
{
	uint8_t bytes[16];
	char hex[33];
	struct id_text out;

	store_be(bytes, parts.ms, 6);
	store_be(bytes + 6, 0x7000 | parts.a, 2);
	store_be(bytes + 8, UINT64_C(1) << 63 | parts.b, 8);
	hash_hex(bytes, sizeof(bytes), hex);
	memcpy(out.text, hex, 8);
	memcpy(out.text + 9, hex + 8, 4);
	memcpy(out.text + 14, hex + 12, 4);
	memcpy(out.text + 19, hex + 16, 4);
	memcpy(out.text + 24, hex + 20, 12);
	out.text[8] = out.text[13] = out.text[18] = out.text[23] = '-';
	out.text[ID_TEXT_LEN] = '\0';
	return out;
}

static bool uuid_read(struct str text, struct uuid_parts *out)
{
	uint8_t bytes[16];
	char hex[32];

	if (text.len != ID_TEXT_LEN || text.at[8] != '-' || text.at[13] != '-' || text.at[18] != '-' ||
	    text.at[23] != '-') {
		return false;
	}
	memcpy(hex, text.at, 8);
	memcpy(hex + 8, text.at + 9, 4);
	memcpy(hex + 12, text.at + 14, 4);
	memcpy(hex + 16, text.at + 19, 4);
	memcpy(hex + 20, text.at + 24, 12);
	if (hash_unhex(str_make(hex, sizeof(hex)), bytes, sizeof(bytes)) || bytes[6] >> 4 != 7 || bytes[8] >> 6 != 2) {
		return false;
	}
	out->ms = load_be(bytes, 6);
	out->a = load_be(bytes + 6, 2) & 0xfff;
	out->b = load_be(bytes + 8, 8) & ~(UINT64_C(3) << 62);
	return true;
}

static uint64_t tag_of(const struct siphash_key *secret, enum id_kind kind, uint64_t first, uint64_t second)
{
	uint8_t bytes[17];

	store_be(bytes, first, 8);
	store_be(bytes + 8, second, 8);
	bytes[16] = (uint8_t)kind;
	return map_hash(secret, str_make(bytes, sizeof(bytes)));
}

struct id_text id_format(const struct siphash_key *secret, enum id_kind kind, int64_t key)
{
	uint64_t low = (uint64_t)key & ((1u << LOW_BITS) - 1);
	struct uuid_parts parts;

	check(key >= 0);
	parts.ms = (uint64_t)id_unix_ms(key);
	parts.a = low >> 9;
	parts.b = (low & 0x1ff) << 53 | (tag_of(secret, kind, (uint64_t)key, 0) & TAG_MASK);
	return uuid_text(parts);
}

enum err id_parse(const struct siphash_key *secret, enum id_kind kind, struct str text, int64_t *key)
{
	struct uuid_parts parts;
	int64_t ms, found;

	if (!uuid_read(text, &parts)) {
		return ERR_NOT_FOUND;
	}
	ms = (int64_t)parts.ms - EPOCH_2020_MS;
	if (ms < 0 || ms > KEY_MS_MAX) {
		return ERR_NOT_FOUND;
	}
	found = ms << LOW_BITS | (int64_t)(parts.a << 9 | parts.b >> 53);
	if (found == 0 || (tag_of(secret, kind, (uint64_t)found, 0) & TAG_MASK) != (parts.b & TAG_MASK)) {
		return ERR_NOT_FOUND;
	}
	*key = found;
	return ERR_OK;
}

static bool log_kind(enum id_kind kind)
{
	return kind == ID_EVENT || kind == ID_AUDIT;
}

struct id_text id_format_log(const struct siphash_key *secret, enum id_kind kind, int64_t time_us, int64_t seq)
{
	struct uuid_parts parts;
	int64_t ms = time_us / 1000;

	check(log_kind(kind) && seq >= 0 && seq <= LOG_SEQ_MAX && ms >= 0 && ms <= UNIX_MS_MAX);
	parts.ms = (uint64_t)ms;
	parts.a = (uint64_t)seq >> 30;
	parts.b = ((uint64_t)seq & 0x3fffffff) << 32 | (tag_of(secret, kind, (uint64_t)seq, parts.ms) & 0xffffffff);
	return uuid_text(parts);
}

enum err id_parse_log(const struct siphash_key *secret, enum id_kind kind, struct str text, int64_t *seq)
{
	struct uuid_parts parts;
	uint64_t found;

	check(log_kind(kind));
	if (!uuid_read(text, &parts)) {
		return ERR_NOT_FOUND;
	}
	found = parts.a << 30 | parts.b >> 32;
	if ((tag_of(secret, kind, found, parts.ms) & 0xffffffff) != (parts.b & 0xffffffff)) {
		return ERR_NOT_FOUND;
	}
	*seq = (int64_t)found;
	return ERR_OK;
}
