/* idem.c - hashes of keys and requests. */
#include "base/idem.h"

#include <string.h>

#include "base/check.h"
#include "base/hash.h"

#define ROUTE_MAX 255
#define PARTS_MAX 4

bool idem_key_parse(struct str text, struct str *key)
{
	bool quoted = text.len >= 2 && text.at[0] == '"' && text.at[text.len - 1] == '"';
	*key = quoted ? str_sub(text, 1, text.len - 2) : text;
	if (key->len == 0 || key->len > IDEM_KEY_MAX) {
		return false;
	}
	for (size_t i = 0; i < key->len; i++) {
		char c = key->at[i];
		if (c <= ' ' || c > '~' || (quoted && (c == '"' || c == '\\'))) {
			return false;
		}
	}
	return true;
}

static void key_hash(struct idem *out, const struct caller *caller, struct str route, struct str key)
{
	char bytes[2 * sizeof(int64_t) + ROUTE_MAX + 1 + IDEM_KEY_MAX];
	uint8_t digest[HASH_SHA256_BYTES];
	check(route.len <= ROUTE_MAX && key.len <= IDEM_KEY_MAX);
	char *at = mempcpy(bytes, &caller->principal, sizeof(caller->principal));
	at = mempcpy(at, &caller->agent, sizeof(caller->agent));
	at = mempcpy(at, route.at, route.len);
	*at++ = '\0';
	at = mempcpy(at, key.at, key.len);
	hash_sha256(str_make(bytes, (size_t)(at - bytes)), digest);
	memcpy(out->key_hash, digest, sizeof(out->key_hash));
}

/* A hash of hashes: no part can flow into its neighbour, and nothing is copied. */
void idem_make_of(struct idem *out, const struct caller *caller, struct str route, struct str key, const struct str *parts, unsigned count)
{
	uint8_t digests[PARTS_MAX][HASH_SHA256_BYTES];
	uint8_t digest[HASH_SHA256_BYTES];
	check(count <= PARTS_MAX);
	*out = (struct idem){.principal = caller->principal};
	key_hash(out, caller, route, key);
	for (unsigned i = 0; i < count; i++) {
		hash_sha256(parts[i], digests[i]);
	}
	hash_sha256(str_make((const char *)digests, count * sizeof(digests[0])), digest);
	memcpy(out->request_hash, digest, sizeof(out->request_hash));
}

void idem_make(struct idem *out, const struct caller *caller, struct str route, struct str key, struct str request)
{
	idem_make_of(out, caller, route, key, &request, 1);
}
