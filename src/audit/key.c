/*
 * key.c - the key that signs checkpoints: Ed25519 (libsodium), its seed in a file of its own.
 *
 *   file: "ed25519-secret:" 64 hexadecimal digits and a newline, mode 0600
 */
#include <errno.h>
#include <sodium.h>
#include <stdio.h>

#include "audit/audit_priv.h"
#include "base/check.h"
#include "db/file.h"

#define PATH_BYTES 4352
#define DETAIL_BYTES 256
#define SHOWN 160 /* of a path, in a sentence */
#define PREFIX "ed25519-secret:"
#define TEXT_BYTES (sizeof(PREFIX) - 1 + 2 * crypto_sign_SEEDBYTES + 1)

struct audit_key {
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	uint8_t public_key[AUDIT_PUBLIC_BYTES];
};

static int file_make(const struct env *env, const char *dir)
{
	char text[TEXT_BYTES + 1] = PREFIX;
	uint8_t seed[crypto_sign_SEEDBYTES];
	env_random(env, seed, sizeof(seed));
	hash_hex(seed, sizeof(seed), text + sizeof(PREFIX) - 1);
	text[TEXT_BYTES - 1] = '\n';
	int number = db_file_make(dir, "audit.key", str_make(text, TEXT_BYTES));
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(text, sizeof(text));
	return number;
}

static enum err file_parse(const char *path, struct str text, const struct db_file_about *about, uint8_t seed[crypto_sign_SEEDBYTES],
			   char *detail)
{
	if (!about->regular || (about->mode & 077) != 0) {
		snprintf(detail, DETAIL_BYTES, "%.*s is no regular file, or others can read or change it; run chmod 600 on it", SHOWN, path);
		return ERR_KEY;
	}
	struct str trimmed = str_trim(text);
	bool good = str_starts(trimmed, STR(PREFIX)) &&
		    hash_unhex(str_sub(trimmed, sizeof(PREFIX) - 1, trimmed.len), seed, crypto_sign_SEEDBYTES) == ERR_OK;
	if (!good) {
		snprintf(detail, DETAIL_BYTES, "%.*s holds no signing key; restore it from a backup", SHOWN, path);
	}
	return good ? ERR_OK : ERR_KEY;
}

enum err audit_key_open(const struct env *env, const char *dir, bool create, struct audit_key **out, char *detail)
{
	char path[PATH_BYTES];
	char text[TEXT_BYTES + 16];
	struct db_file_about about;
	uint8_t seed[crypto_sign_SEEDBYTES];
	*out = NULL;
	if ((size_t)snprintf(path, sizeof(path), "%s/audit.key", dir) >= sizeof(path)) {
		snprintf(detail, DETAIL_BYTES, "the path of the data directory is too long for its audit.key; use a shorter one");
		return ERR_KEY;
	}
	int number = db_file_read(path, text, sizeof(text), &about);
	if (number == ENOENT && create) {
		number = file_make(env, dir);
		number = number == 0 ? db_file_read(path, text, sizeof(text), &about) : number;
	}
	if (number != 0) {
		snprintf(detail, DETAIL_BYTES, "%.*s cannot be opened (%s); %s", SHOWN, path, strerrordesc_np(number),
			 number == ENOENT ? "restore it from a backup" : "check the owner and mode of the file and its directory");
		return ERR_KEY;
	}
	enum err err = file_parse(path, str_make(text, about.len), &about, seed, detail);
	sodium_memzero(text, sizeof(text));
	struct audit_key *key = err == ERR_OK && sodium_init() >= 0 ? sodium_malloc(sizeof(*key)) : NULL;
	if (err == ERR_OK && key == NULL) {
		snprintf(detail, DETAIL_BYTES, "no locked memory for the key of %.*s; raise the limit (ulimit -l)", SHOWN, path);
		err = ERR_MEMORY;
	}
	if (err == ERR_OK) {
		check(crypto_sign_seed_keypair(key->public_key, key->secret, seed) == 0);
		*out = key;
	}
	sodium_memzero(seed, sizeof(seed));
	return err;
}

void audit_key_close(struct audit_key **key)
{
	sodium_free(*key);
	*key = NULL;
}

const uint8_t *audit_key_public(const struct audit_key *key)
{
	return key->public_key;
}

void audit_key_sign(const struct audit_key *key, struct audit_checkpoint *checkpoint)
{
	uint8_t bytes[AUDIT_SIGNED_BYTES];
	audit_checkpoint_bytes(checkpoint, bytes);
	check(crypto_sign_detached(checkpoint->signature, NULL, bytes, sizeof(bytes), key->secret) == 0);
}

bool audit_checkpoint_signed(const struct audit_checkpoint *checkpoint, const uint8_t public_key[AUDIT_PUBLIC_BYTES])
{
	uint8_t bytes[AUDIT_SIGNED_BYTES];
	audit_checkpoint_bytes(checkpoint, bytes);
	return crypto_sign_verify_detached(checkpoint->signature, bytes, sizeof(bytes), public_key) == 0;
}
