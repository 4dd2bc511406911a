/* hash.c - SHA-256 by OpenSSL's EVP; hexadecimal; comparing without a timing trace. */
#include "base/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "base/mem.h"

struct hash {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
};

enum err hash_create(struct hash **out)
{
	struct hash *hash = mem_alloc(sizeof(*hash));

	*out = NULL;
	if (!hash) {
		return ERR_MEMORY;
	}
	hash->md = EVP_MD_fetch(NULL, "SHA256", NULL);
	hash->ctx = EVP_MD_CTX_new();
	if (!hash->md || !hash->ctx) {
		hash_destroy(&hash);
		return ERR_MEMORY;
	}
	*out = hash;
	return ERR_OK;
}

void hash_destroy(struct hash **hash)
{
	if (!*hash) {
		return;
	}
	EVP_MD_CTX_free((*hash)->ctx);
	EVP_MD_free((*hash)->md);
	mem_free(*hash);
	*hash = NULL;
}

void hash_begin(struct hash *hash)
{
	check(EVP_DigestInit_ex2(hash->ctx, hash->md, NULL) == 1);
}

void hash_put(struct hash *hash, const void *bytes, size_t len)
{
	if (len == 0) {
		return;
	}
	check(EVP_DigestUpdate(hash->ctx, bytes, len) == 1);
}

void hash_end(struct hash *hash, uint8_t out[HASH_SHA256_BYTES])
{
	unsigned len = 0;

	check(EVP_DigestFinal_ex(hash->ctx, out, &len) == 1 && len == HASH_SHA256_BYTES);
}

void hash_sha256(struct str bytes, uint8_t out[HASH_SHA256_BYTES])
{
	unsigned len = 0;

	check(EVP_Digest(bytes.at ? bytes.at : "", bytes.len, out, &len, EVP_sha256(), NULL) == 1);
	check(len == HASH_SHA256_BYTES);
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
