/*
 * key.c - the key that signs checkpoints: Ed25519 (libsodium), its seed in a file of its own.
 *
 *   file: "ed25519-secret:" 64 hexadecimal digits and a newline, mode 0600
 */
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit_priv.h"
#include "base/check.h"

#define PATH_BYTES 4352
#define DETAIL_BYTES 256
#define SHOWN 160 /* of a path, in a sentence */
#define PREFIX "ed25519-secret:"
#define TEXT_BYTES (sizeof(PREFIX) - 1 + 2 * crypto_sign_SEEDBYTES + 1)

struct audit_key {
	uint8_t secret[crypto_sign_SECRETKEYBYTES];
	uint8_t public_key[AUDIT_PUBLIC_BYTES];
};

/* Written aside and linked into place: the name never shows half a key, and an existing file is never replaced. */
static bool file_make(const struct env *env, const char *dir, const char *path)
{
	char aside[PATH_BYTES + 8];
	char text[TEXT_BYTES + 1] = PREFIX;
	uint8_t seed[crypto_sign_SEEDBYTES];
	snprintf(aside, sizeof(aside), "%s.new", path);
	(void)unlink(aside);
	int fd = open(aside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0) {
		return false;
	}
	env_random(env, seed, sizeof(seed));
	hash_hex(seed, sizeof(seed), text + sizeof(PREFIX) - 1);
	text[TEXT_BYTES - 1] = '\n';
	bool made = write(fd, text, TEXT_BYTES) == (ssize_t)TEXT_BYTES && fsync(fd) == 0 && (link(aside, path) == 0 || errno == EEXIST);
	sodium_memzero(seed, sizeof(seed));
	sodium_memzero(text, sizeof(text));
	close(fd);
	(void)unlink(aside);
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		(void)fsync(fd);
		close(fd);
	}
	return made;
}

static enum err file_read(int fd, const char *path, uint8_t seed[crypto_sign_SEEDBYTES], char *detail)
{
	char text[TEXT_BYTES + 16];
	struct stat st;
	if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
		snprintf(detail, DETAIL_BYTES, "%.*s is no regular file, or others can read or change it; run chmod 600 on it", SHOWN, path);
		return ERR_KEY;
	}
	ssize_t n = read(fd, text, sizeof(text));
	struct str trimmed = str_trim(str_make(text, n > 0 ? (size_t)n : 0));
	bool good = str_starts(trimmed, STR(PREFIX)) &&
		    hash_unhex(str_sub(trimmed, sizeof(PREFIX) - 1, trimmed.len), seed, crypto_sign_SEEDBYTES) == ERR_OK;
	sodium_memzero(text, sizeof(text));
	if (!good) {
		snprintf(detail, DETAIL_BYTES, "%.*s holds no signing key; restore it from a backup", SHOWN, path);
	}
	return good ? ERR_OK : ERR_KEY;
}

enum err audit_key_open(const struct env *env, const char *dir, bool create, struct audit_key **out, char *detail)
{
	char path[PATH_BYTES];
	uint8_t seed[crypto_sign_SEEDBYTES];
	*out = NULL;
	if ((size_t)snprintf(path, sizeof(path), "%s/audit.key", dir) >= sizeof(path)) {
		snprintf(detail, DETAIL_BYTES, "the path of the data directory is too long for its audit.key; use a shorter one");
		return ERR_KEY;
	}
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT && create && file_make(env, dir, path)) {
		fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	}
	if (fd < 0) {
		snprintf(detail, DETAIL_BYTES, "%.*s cannot be opened (%s); %s", SHOWN, path, strerrordesc_np(errno),
			 errno == ENOENT ? "restore it from a backup" : "check the owner and mode of the file and its directory");
		return ERR_KEY;
	}
	enum err err = file_read(fd, path, seed, detail);
	close(fd);
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
