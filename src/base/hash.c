/*
 * hash.c - SHA-256 by OpenSSL; hexadecimal; comparing without a timing trace.
 *
 * By the functions below EVP: those of EVP allocate with every hash, and a token has to be hashed, or an audit entry chained, when there is no
 * memory too.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include "base/check.h"
#include "base/mem.h"

struct hash {
	SHA256_CTX state;
};

enum err hash_create(struct hash **out)
{
	*out = mem_alloc(sizeof(**out));
	return *out ? ERR_OK : ERR_MEMORY;
}

void hash_destroy(struct hash **hash)
{
	mem_free(*hash);
	*hash = NULL;
}

void hash_begin(struct hash *hash)
{
	check(SHA256_Init(&hash->state) == 1);
}

void hash_put(struct hash *hash, const void *bytes, size_t len)
{
	if (len == 0) {
		return;
	}
	check(SHA256_Update(&hash->state, bytes, len) == 1);
}

void hash_end(struct hash *hash, uint8_t out[HASH_SHA256_BYTES])
{
	check(SHA256_Final(out, &hash->state) == 1);
}

void hash_sha256(struct str bytes, uint8_t out[HASH_SHA256_BYTES])
{
	struct hash hash;

	hash_begin(&hash);
	hash_put(&hash, bytes.at, bytes.len);
	hash_end(&hash, out);
}

void hash_hex(const uint8_t *bytes, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * len] = '\0';
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	if (c >= 'a' && c <= 'f') {
		return c - 'a' + 10;
	}
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

enum err hash_unhex(struct str text, uint8_t *out, size_t len)
{
	if (text.len != 2 * len) {
		return ERR_INVALID;
	}
	for (size_t i = 0; i < len; i++) {
		int high = nibble(text.at[2 * i]);
		int low = nibble(text.at[2 * i + 1]);
		if (high < 0 || low < 0) {
			return ERR_INVALID;
		}
		out[i] = (uint8_t)(high << 4 | low);
	}
	return ERR_OK;
}

bool hash_equal(const void *a, const void *b, size_t len)
{
	return len == 0 || CRYPTO_memcmp(a, b, len) == 0;
}

#ifdef GUILD_FAILPOINTS
static void *share_take(size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return mem_alloc(bytes);
}

static void *share_resize(void *block, size_t bytes, const char *file, int line)
{
	(void)file;
	(void)line;
	return mem_resize(block, bytes);
}

static void share_free(void *block, const char *file, int line)
{
	(void)file;
	(void)line;
	mem_free(block);
}

void hash_memory_share(void)
{
	check(CRYPTO_set_mem_functions(share_take, share_resize, share_free) == 1);
}
#endif
