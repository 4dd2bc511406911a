/*
 * Provider keys at rest: XChaCha20-Poly1305 (libsodium), a random nonce each, bound by the associated data to where the key may
 * be used, so that a sealed key moved to another row, workspace or host does not open.
 *
 *   sealed: version 1 | nonce (24) | cipher text | tag (16)
 *   file:   64 hexadecimal digits and a newline, mode 0600
 */
#include <errno.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/env.h"
#include "base/hash.h"
#include "base/limits.h"
#include "db/file.h"
#include "provider/provider.h"
#include "wire/utf8.h"

#define KEY_BYTES crypto_aead_xchacha20poly1305_ietf_KEYBYTES
#define NONCE_BYTES crypto_aead_xchacha20poly1305_ietf_NPUBBYTES
#define TAG_BYTES crypto_aead_xchacha20poly1305_ietf_ABYTES
#define SEAL_VERSION 1
#define DETAIL_BYTES 256
#define PATH_BYTES 1024
#define DOMAIN "guild provider key 1"

struct keyring {
	uint8_t key[KEY_BYTES];
};

__attribute__((format(printf, 2, 3))) static void say(char *detail, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(detail, DETAIL_BYTES, format, args);
	va_end(args);
}

/* ---- the key file ---- */

static int file_make(const char *dir)
{
	char text[2 * KEY_BYTES + 2];
	uint8_t key[KEY_BYTES];
	int number;

	env_random(env_real(), key, sizeof(key));
	hash_hex(key, sizeof(key), text);
	text[2 * KEY_BYTES] = '\n';
	number = db_file_make(dir, "guild.key", str_make(text, 2 * KEY_BYTES + 1));
	sodium_memzero(key, sizeof(key));
	sodium_memzero(text, sizeof(text));
	return number;
}

static enum err key_parse(struct str text, uint8_t *key)
{
	return hash_unhex(str_trim(text), key, KEY_BYTES) == ERR_OK ? ERR_OK : ERR_KEY;
}

static enum err file_parse(const char *path, struct str text, const struct db_file_about *about, uint8_t *key, char *detail)
{
	if (!about->regular) {
		say(detail, "%.160s is not a regular file; put the key file there or remove it", path);
		return ERR_KEY;
	}
	if (about->mode & 077) {
		say(detail, "%.160s can be read or changed by others (mode %03o); run chmod 600 on it", path, about->mode);
		return ERR_KEY;
	}
	if (key_parse(text, key) != ERR_OK) {
		say(detail, "%.160s does not hold %u hexadecimal digits; restore it from a backup", path,
		    2 * KEY_BYTES);
		return ERR_KEY;
	}
	return ERR_OK;
}

static enum err file_load(const char *dir, bool create, uint8_t *key, char *detail)
{
	char path[PATH_BYTES];
	char text[2 * KEY_BYTES + 16];
	struct db_file_about about;
	enum err err;
	int number;

	if ((size_t)snprintf(path, PATH_BYTES, "%s/guild.key", dir) >= PATH_BYTES) {
		say(detail, "the path of the data directory is too long for its guild.key; use a shorter one");
		return ERR_KEY;
	}
	number = db_file_read(path, text, sizeof(text), &about);
	if (number == ENOENT && create) {
		number = file_make(dir);
		number = number == 0 ? db_file_read(path, text, sizeof(text), &about) : number;
	}
	if (number != 0) {
		const char *remedy = number == ENOENT ? "restore it, or give the key in the environment"
						      : "check the owner and mode of the file and its directory";

		say(detail, "%.160s cannot be opened (%s); %s", path, strerrordesc_np(number), remedy);
		return ERR_KEY;
	}
	err = file_parse(path, str_make(text, about.len), &about, key, detail);
	sodium_memzero(text, sizeof(text));
	return err;
}

enum err keyring_open(const char *dir, struct str key_hex, bool create, struct keyring **out, char *detail)
{
	struct keyring *keyring;
	enum err err;

	detail[0] = '\0';
	keyring = sodium_init() < 0 ? NULL : sodium_malloc(sizeof(*keyring));
	if (!keyring) {
		say(detail, "no locked memory for the key of %.160s/guild.key; raise the limit (ulimit -l)", dir);
		return ERR_MEMORY;
	}
	if (key_hex.len > 0) {
		err = key_parse(key_hex, keyring->key);
		if (err != ERR_OK) {
			snprintf(detail, DETAIL_BYTES,
				 "the key given in the environment instead of %.100s/guild.key is not %u hexadecimal digits; correct or unset it",
			    dir, 2 * KEY_BYTES);
		}
	} else {
		err = file_load(dir, create, keyring->key, detail);
	}
	if (err != ERR_OK) {
		sodium_free(keyring);
		return err;
	}
	(void)sodium_mprotect_readonly(keyring);
	*out = keyring;
	return ERR_OK;
}

void keyring_close(struct keyring **keyring)
{
	sodium_free(*keyring);
	*keyring = NULL;
}

/* ---- sealing ---- */

static void put_u64(uint8_t *at, uint64_t value)
{
	for (int i = 0; i < 8; i++) {
		at[i] = (uint8_t)(value >> (56 - 8 * i));
	}
}

/* domain | workspace | key id | length of provider | provider | host: no two bindings have the same bytes. */
static struct str binding(struct arena *arena, int64_t workspace, struct str provider, struct str host, int64_t key_id)
{
	size_t len = sizeof(DOMAIN) + 24 + provider.len + host.len;
	uint8_t *bytes = arena_alloc(arena, len);
	uint8_t *at = bytes;

	if (!bytes) {
		return STR_NONE;
	}
	memcpy(at, DOMAIN, sizeof(DOMAIN));
	at += sizeof(DOMAIN);
	put_u64(at, (uint64_t)workspace);
	put_u64(at + 8, (uint64_t)key_id);
	put_u64(at + 16, provider.len);
	at += 24;
	if (provider.len) {
		memcpy(at, provider.at, provider.len);
	}
	if (host.len) {
		memcpy(at + provider.len, host.at, host.len);
	}
	return str_make(bytes, len);
}

enum err keyring_seal(struct keyring *keyring, struct arena *arena, int64_t workspace, struct str provider, struct str host,
		      int64_t key_id, struct str plain, struct str *sealed)
{
	struct str bound = binding(arena, workspace, provider, host, key_id);
	size_t len = 1 + NONCE_BYTES + plain.len + TAG_BYTES;
	uint8_t *out;

	if (plain.len == 0 || plain.len > LIMIT_PROVIDER_KEY_BYTES) {
		return ERR_INVALID;
	}
	out = arena_alloc(arena, len);
	if (!bound.at || !out) {
		return ERR_LIMIT;
	}
	out[0] = SEAL_VERSION;
	env_random(env_real(), out + 1, NONCE_BYTES);
	check(crypto_aead_xchacha20poly1305_ietf_encrypt(out + 1 + NONCE_BYTES, NULL, (const uint8_t *)plain.at, plain.len,
							 (const uint8_t *)bound.at, bound.len, NULL, out + 1,
							 keyring->key) == 0);
	*sealed = str_make(out, len);
	return ERR_OK;
}

static enum err secret_make(size_t len, struct keyring_secret *out)
{
	char *at = sodium_init() < 0 ? NULL : sodium_malloc(len + 1);

	if (!at) {
		return ERR_MEMORY;
	}
	at[len] = '\0';
	*out = (struct keyring_secret){at, len};
	return ERR_OK;
}

enum err keyring_keep(struct str plain, struct keyring_secret *out)
{
	enum err err = plain.len > LIMIT_PROVIDER_KEY_BYTES ? ERR_LIMIT : secret_make(plain.len, out);

	if (err == ERR_OK && plain.len > 0) {
		memcpy(out->at, plain.at, plain.len);
	}
	return err;
}

enum err keyring_unseal(struct keyring *keyring, int64_t workspace, struct str provider, struct str host, int64_t key_id,
			struct str sealed, struct keyring_secret *out)
{
	const size_t around = 1 + NONCE_BYTES + TAG_BYTES;
	const uint8_t *bytes = (const uint8_t *)sealed.at;
	struct arena arena;
	struct str bound;
	enum err err;

	*out = (struct keyring_secret){NULL, 0};
	if (sealed.len <= around || sealed.len > around + LIMIT_PROVIDER_KEY_BYTES || bytes[0] != SEAL_VERSION) {
		return ERR_KEY;
	}
	arena_init(&arena, 65536);
	bound = binding(&arena, workspace, provider, host, key_id);
	err = bound.at ? secret_make(sealed.len - around, out) : ERR_LIMIT;
	if (err == ERR_OK &&
	    crypto_aead_xchacha20poly1305_ietf_decrypt((uint8_t *)out->at, NULL, NULL, bytes + 1 + NONCE_BYTES,
						       sealed.len - 1 - NONCE_BYTES, (const uint8_t *)bound.at, bound.len, bytes + 1,
						       keyring->key) != 0) {
		keyring_wipe(out);
		err = ERR_KEY;
	}
	arena_fini(&arena);
	return err;
}

void keyring_wipe(struct keyring_secret *secret)
{
	sodium_free(secret->at);
	*secret = (struct keyring_secret){NULL, 0};
}

void keyring_check_value(struct keyring *keyring, uint8_t out[32])
{
	static const uint8_t text[] = "guild key file check 1";

	check(crypto_generichash(out, 32, text, sizeof(text), keyring->key, sizeof(keyring->key)) == 0);
}

struct str keyring_shown(struct arena *arena, struct str plain)
{
	size_t tail = plain.len;
	struct str head;

	if (!utf8_valid(plain) || utf8_length(plain) < 12) {
		return arena_copy(arena, STR("…"));
	}
	head = utf8_prefix(plain, 4);
	for (int left = 4; left > 0; left--) {
		do {
			tail--;
		} while (((unsigned char)plain.at[tail] & 0xc0) == 0x80);
	}
	return arena_format(arena, "%.*s…%.*s", STR_FMT(head), STR_FMT(str_sub(plain, tail, plain.len)));
}
