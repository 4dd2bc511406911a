/* Keys at rest: they open only where they were sealed, the key file is guarded, and nothing shows the plain text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/limits.h"
#include "provider/provider.h"

#define PLAIN "sk-test-0123456789abcdefghijklmnop"

struct fixture {
	char dir[64];
	char file[96];
	char detail[256];
	struct arena arena;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/guild-keyring-XXXXXX");
	if (!mkdtemp(f->dir)) {
		return -1;
	}
	snprintf(f->file, sizeof(f->file), "%s/guild.key", f->dir);
	arena_init(&f->arena, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	arena_fini(&f->arena);
	unlink(f->file);
	rmdir(f->dir);
	free(f);
	return 0;
}

static struct keyring *open_made(struct fixture *f)
{
	struct keyring *keyring = NULL;

	assert_int_equal(keyring_open(f->dir, STR_NONE, true, &keyring, f->detail), ERR_OK);
	return keyring;
}

static struct str seal(struct fixture *f, struct keyring *keyring)
{
	struct str sealed = STR_NONE;

	assert_int_equal(keyring_seal(keyring, &f->arena, 7, STR("openai"), STR("api.openai.com"), 42, STR(PLAIN), &sealed), ERR_OK);
	return sealed;
}

static void file_write(struct fixture *f, const char *text, mode_t mode)
{
	int fd = open(f->file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	assert_int_equal(fchmod(fd, mode), 0);
	close(fd);
}

static void test_seals_and_opens(void **state)
{
	struct fixture *f = *state;
	struct keyring *keyring = open_made(f);
	struct str sealed = seal(f, keyring);
	struct str again = seal(f, keyring);
	struct keyring_secret secret;

	assert_int_equal(str_find(sealed, STR(PLAIN)), -1);
	assert_int_equal(str_find(sealed, STR("sk-test")), -1);
	assert_false(str_eq(sealed, again));
	assert_int_equal(keyring_unseal(keyring, 7, STR("openai"), STR("api.openai.com"), 42, sealed, &secret), ERR_OK);
	assert_true(str_eq(str_make(secret.at, secret.len), STR(PLAIN)));
	assert_int_equal(secret.at[secret.len], 0);
	keyring_wipe(&secret);
	assert_null(secret.at);
	keyring_close(&keyring);
	assert_null(keyring);
}

static void test_bound_to_its_place(void **state)
{
	struct fixture *f = *state;
	struct keyring *keyring = open_made(f);
	struct str sealed = seal(f, keyring);
	struct keyring_secret secret;

	const struct {
		int64_t workspace;
		const char *provider, *host;
		int64_t key_id;
	} wrong[] = {
		{8, "openai", "api.openai.com", 42},       {7, "openaj", "api.openai.com", 42}, {7, "openai", "evil.example", 42},
		{7, "openai", "api.openai.com", 43},       {7, "openaiapi", ".openai.com", 42}, {7, "open", "aiapi.openai.com", 42},
		{42, "openai", "api.openai.com", 7},       {7, "", "", 42},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_int_equal(keyring_unseal(keyring, wrong[i].workspace, str_of(wrong[i].provider), str_of(wrong[i].host),
						wrong[i].key_id, sealed, &secret),
				 ERR_KEY);
		assert_null(secret.at);
	}
	keyring_close(&keyring);
}

static void test_any_changed_byte_is_noticed(void **state)
{
	struct fixture *f = *state;
	struct keyring *keyring = open_made(f);
	struct str sealed = seal(f, keyring);
	struct str changed = arena_copy(&f->arena, sealed);
	struct keyring_secret secret;

	for (size_t i = 0; i < sealed.len; i++) {
		((char *)changed.at)[i] ^= 1;
		assert_int_equal(keyring_unseal(keyring, 7, STR("openai"), STR("api.openai.com"), 42, changed, &secret), ERR_KEY);
		((char *)changed.at)[i] ^= 1;
	}
	for (size_t len = 0; len < sealed.len; len++) {
		assert_int_equal(keyring_unseal(keyring, 7, STR("openai"), STR("api.openai.com"), 42, str_sub(sealed, 0, len), &secret),
				 ERR_KEY);
	}
	keyring_close(&keyring);
}

static void test_key_file(void **state)
{
	struct fixture *f = *state;
	struct keyring *first = open_made(f), *second = open_made(f);
	struct keyring_secret secret;
	uint8_t a[32], b[32];
	struct stat st;

	assert_int_equal(stat(f->file, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	keyring_check_value(first, a);
	keyring_check_value(second, b);
	assert_memory_equal(a, b, 32);
	struct str sealed = seal(f, first);
	assert_int_equal(keyring_unseal(second, 7, STR("openai"), STR("api.openai.com"), 42, sealed, &secret), ERR_OK);
	keyring_wipe(&secret);
	keyring_close(&second);

	assert_int_equal(unlink(f->file), 0);
	second = open_made(f);
	keyring_check_value(second, b);
	assert_memory_not_equal(a, b, 32);
	assert_int_equal(keyring_unseal(second, 7, STR("openai"), STR("api.openai.com"), 42, sealed, &secret), ERR_KEY);
	keyring_close(&second);
	keyring_close(&first);
}

static void refused(struct fixture *f, const char *named)
{
	struct keyring *keyring = NULL;

	memset(f->detail, 'x', sizeof(f->detail));
	assert_int_equal(keyring_open(f->dir, STR_NONE, true, &keyring, f->detail), ERR_KEY);
	assert_null(keyring);
	assert_non_null(memchr(f->detail, 0, sizeof(f->detail)));
	assert_non_null(strstr(f->detail, f->file));
	assert_non_null(strstr(f->detail, named));
}

static void test_key_file_refused(void **state)
{
	struct fixture *f = *state;
	const mode_t open_to_others[] = {0640, 0604, 0660, 0666, 0620, 0644, 0610};
	char hex[65];

	memset(hex, 'a', 64);
	hex[64] = 0;
	for (size_t i = 0; i < sizeof(open_to_others) / sizeof(open_to_others[0]); i++) {
		file_write(f, hex, open_to_others[i]);
		refused(f, "chmod 600");
	}
	const char *bad[] = {"", "00", "zz", "\n", hex + 1};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		file_write(f, bad[i], 0600);
		refused(f, "restore it");
	}
	char longer[67];
	snprintf(longer, sizeof(longer), "%saa", hex);
	file_write(f, longer, 0600);
	refused(f, "restore it");
	unlink(f->file);
	assert_int_equal(mkdir(f->file, 0700), 0);
	refused(f, "not a regular file");
	rmdir(f->file);
	assert_int_equal(symlink("/dev/null", f->file), 0);
	refused(f, "cannot be opened");
}

static void test_missing_file_is_not_made_unless_asked(void **state)
{
	struct fixture *f = *state;
	struct keyring *keyring = NULL;

	assert_int_equal(keyring_open(f->dir, STR_NONE, false, &keyring, f->detail), ERR_KEY);
	assert_non_null(strstr(f->detail, f->file));
	assert_int_equal(access(f->file, F_OK), -1);
}

static void test_key_from_environment(void **state)
{
	struct fixture *f = *state;
	struct keyring *keyring = NULL, *other = NULL;
	uint8_t a[32], b[32];
	struct str hex = STR("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");

	assert_int_equal(keyring_open(f->dir, hex, true, &keyring, f->detail), ERR_OK);
	assert_int_equal(access(f->file, F_OK), -1);
	assert_int_equal(keyring_open(f->dir, hex, false, &other, f->detail), ERR_OK);
	keyring_check_value(keyring, a);
	keyring_check_value(other, b);
	assert_memory_equal(a, b, 32);
	keyring_close(&keyring);
	keyring_close(&other);
	assert_int_equal(keyring_open(f->dir, STR("0001"), true, &keyring, f->detail), ERR_KEY);
	assert_non_null(strstr(f->detail, "environment"));
	assert_null(strstr(f->detail, "0001"));
}

static void test_sizes(void **state)
{
	struct fixture *f = *state;
	struct keyring *keyring = open_made(f);
	struct keyring_secret secret;
	struct str sealed;
	char *big = calloc(1, LIMIT_PROVIDER_KEY_BYTES + 1);

	memset(big, 'k', LIMIT_PROVIDER_KEY_BYTES + 1);
	assert_int_equal(keyring_seal(keyring, &f->arena, 1, STR("p"), STR("h"), 1, STR(""), &sealed), ERR_INVALID);
	assert_int_equal(
		keyring_seal(keyring, &f->arena, 1, STR("p"), STR("h"), 1, str_make(big, LIMIT_PROVIDER_KEY_BYTES + 1), &sealed),
		ERR_INVALID);
	assert_int_equal(
		keyring_seal(keyring, &f->arena, 1, STR("p"), STR("h"), 1, str_make(big, LIMIT_PROVIDER_KEY_BYTES), &sealed), ERR_OK);
	assert_int_equal(keyring_unseal(keyring, 1, STR("p"), STR("h"), 1, sealed, &secret), ERR_OK);
	assert_true(str_eq(str_make(secret.at, secret.len), str_make(big, LIMIT_PROVIDER_KEY_BYTES)));
	keyring_wipe(&secret);
	assert_int_equal(keyring_keep(str_make(big, LIMIT_PROVIDER_KEY_BYTES + 1), &secret), ERR_LIMIT);
	assert_int_equal(keyring_keep(STR("abc"), &secret), ERR_OK);
	assert_string_equal(secret.at, "abc");
	keyring_wipe(&secret);
	assert_int_equal(keyring_keep(STR_NONE, &secret), ERR_OK);
	assert_string_equal(secret.at, "");
	keyring_wipe(&secret);
	keyring_close(&keyring);
	free(big);
}

static void test_shown(void **state)
{
	struct fixture *f = *state;

	assert_string_equal(keyring_shown(&f->arena, STR("sk-abcdefgwxyz")).at, "sk-a…wxyz");
	assert_string_equal(keyring_shown(&f->arena, STR("123456789012")).at, "1234…9012");
	assert_string_equal(keyring_shown(&f->arena, STR("12345678901")).at, "…");
	assert_string_equal(keyring_shown(&f->arena, STR("")).at, "…");
	assert_string_equal(keyring_shown(&f->arena, STR("ééééééééöööö")).at, "éééé…öööö");
	assert_string_equal(keyring_shown(&f->arena, STR("\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff")).at, "…");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_seals_and_opens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound_to_its_place, setup, teardown),
		cmocka_unit_test_setup_teardown(test_any_changed_byte_is_noticed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_file_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_file_is_not_made_unless_asked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_key_from_environment, setup, teardown),
		cmocka_unit_test_setup_teardown(test_sizes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_shown, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
