/*
 * id.h - int64 keys inside, UUIDv7 (RFC 9562) outside.
 *
 * For:     naming rows; giving clients ids that sort by time and cannot be guessed or forged.
 * Not for: secrets; log rows' keys (they are the commit sequence, a counter).
 * Threads: id_gen one owner (each loop has its own, with its own number); the rest any.
 * Memory:  none.
 *
 *   key   = 42 bits ms since 2020-01-01 | 6 bits loop | 15 bits counter          (always > 0)
 *   uuid  = 48 bits ms since 1970 | 7 | 12 bits (loop, counter high) | 10 | 62 bits: 9 counter low, 53 tag
 *           (text sorts exactly as keys do)
 *   tag   = SipHash-2-4 of (key, kind) under the store's secret: a forged id, or one of another kind, does not parse
 * Ids of log rows (events, audit entries): ms of the row's time, 42 bits of the sequence, 32 bits of tag.
 */
#ifndef GUILD_BASE_ID_H
#define GUILD_BASE_ID_H

#include "base/err.h"
#include "base/map.h"

enum id_kind {
	ID_WORKSPACE = 1, ID_PRINCIPAL, ID_TOKEN, ID_AGENT, ID_SESSION, ID_EXECUTION, ID_USER_MESSAGE,
	ID_ASSISTANT_MESSAGE, ID_PROVIDER_KEY, ID_EVENT, ID_AUDIT, ID_POST, ID_CHANNEL, ID_DIRECT_MESSAGE,
	ID_EPISODE, ID_APPROVAL, ID_FEEDBACK,
};

#define ID_TEXT_LEN 36

struct id_text {
	char text[ID_TEXT_LEN + 1];
};

struct id_gen {
	int64_t last_ms;   /* since 2020 */
	unsigned counter;
	unsigned loop;     /* 0..63 */
};

/* floor_key: the greatest key in the store (0 when empty); keys made are greater. */
void id_gen_init(struct id_gen *gen, unsigned loop, int64_t floor_key);
/* The next key: greater than all before it from this generator, also when the clock goes back. */
int64_t id_next(struct id_gen *gen, int64_t wall_us);
/* Loop number inside a key; milliseconds since 1970 of a key. */
unsigned id_loop(int64_t key);
int64_t id_unix_ms(int64_t key);
/* The least key that a millisecond since 1970 may have; 0 before 2020, INT64_MAX beyond all keys. */
int64_t id_of_ms(int64_t unix_ms);

struct id_text id_format(const struct siphash_key *secret, enum id_kind kind, int64_t key);
/* ERR_NOT_FOUND for anything that is not an id of this kind made with this secret. Case is ignored. */
enum err id_parse(const struct siphash_key *secret, enum id_kind kind, struct str text, int64_t *key) MUST_USE;
/* Ids of log rows: kind is ID_EVENT or ID_AUDIT. */
struct id_text id_format_log(const struct siphash_key *secret, enum id_kind kind, int64_t time_us, int64_t seq);
enum err id_parse_log(const struct siphash_key *secret, enum id_kind kind, struct str text, int64_t *seq) MUST_USE;

static inline struct str id_str(const struct id_text *t) { return (struct str){t->text, ID_TEXT_LEN}; }

#endif
