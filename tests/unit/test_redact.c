/*
 * test_redact.c - each class found and not found, edges, the list of allowed addresses, sameness of a second run, work per byte.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "social/redact.h"
#include "wire/utf8.h"

#define ARENA_BYTES (64u << 20)

struct pair {
	const char *text;
	const char *wanted; /* NULL: stays as it is */
};

static void expect(const struct pair *pairs, size_t count, const struct redact_options *options)
{
	for (size_t n = 0; n < count; n++) {
		struct arena arena;
		struct redact_result result;
		struct redact_result again;
		struct str text = str_of(pairs[n].text);
		struct str wanted = str_of(pairs[n].wanted ? pairs[n].wanted : pairs[n].text);
		arena_init(&arena, ARENA_BYTES);
		assert_int_equal(redact_text(text, options, &arena, &result), ERR_OK);
		if (!str_eq(result.text, wanted))
			print_error("of:     %s\nwanted: %.*s\n", text.at, STR_FMT(wanted));
		assert_string_equal(arena_copy(&arena, result.text).at, arena_copy(&arena, wanted).at);
		assert_int_equal(result.count > 0, pairs[n].wanted != NULL);
		assert_int_equal(result.classes != 0, pairs[n].wanted != NULL);
		assert_int_equal(result.text.at == text.at, pairs[n].wanted == NULL);
		assert_int_equal(redact_text(result.text, options, &arena, &again), ERR_OK);
		assert_ptr_equal(again.text.at, result.text.at);
		arena_fini(&arena);
	}
}
#define EXPECT(pairs) expect(pairs, sizeof(pairs) / sizeof((pairs)[0]), NULL)

/* ---- one class after the other ---- */

static void test_email(void **state)
{
	static const struct pair pairs[] = {
		{"kim@example.com", "[REDACTED_EMAIL]"},
		{"Write to kim.lee+x@mail.example.co.uk.", "Write to [REDACTED_EMAIL]."},
		{"<mailto:kim@example.org>", "<mailto:[REDACTED_EMAIL]>"},
		{"a=kim@example.com&b=1", "a=[REDACTED_EMAIL]&b=1"},
		{"(kim@example.com),lee@example.net;x", "([REDACTED_EMAIL]),[REDACTED_EMAIL];x"},
		{"j\xc3\xbcrgen@m\xc3\xbcnchen.example", "[REDACTED_EMAIL]"},
		{"\xe8\x81\x94\xe7\xb3\xbbkim@example.com\xe3\x80\x82", "\xe8\x81\x94\xe7\xb3\xbb[REDACTED_EMAIL]\xe3\x80\x82"},
		{"\xf0\x9f\x93\xa7kim@example.com\xf0\x9f\x93\xa7", "\xf0\x9f\x93\xa7[REDACTED_EMAIL]\xf0\x9f\x93\xa7"},
		{"kim@sub-1.xn--bcher-kva.example", "[REDACTED_EMAIL]"},
		{"kim@localhost", NULL},
		{"@kim @lee.example", NULL},
		{"@kim@social.example is a handle", NULL},
		{"logo@2x.png and icon@3x.webp", NULL},
		{"lodash@4.17.21", NULL},
		{"git clone git@code.example.com:kim/x.git", NULL},
		{"a @ b.com", NULL},
		{"kim@example.c", NULL},
		{"@@@@", NULL},
	};
	EXPECT(pairs);
}

static void test_allowed(void **state)
{
	const struct str allowed[] = {STR("press@guild.example"), STR("@team.example")};
	const struct redact_options options = {allowed, 2};
	static const struct pair pairs[] = {
		{"press@guild.example", NULL},
		{"PRESS@Guild.Example and anybody@team.example", NULL},
		{"xpress@guild.example", "[REDACTED_EMAIL]"},
		{"kim@sub.team.example", "[REDACTED_EMAIL]"},
		{"press@guild.example, kim@guild.example", "press@guild.example, [REDACTED_EMAIL]"},
		{"kim@team.example.com", "[REDACTED_EMAIL]"},
	};
	expect(pairs, sizeof(pairs) / sizeof(pairs[0]), &options);
}

static void test_phone(void **state)
{
	static const struct pair pairs[] = {
		{"+14155550123", "[REDACTED_PHONE]"},
		{"+1 (415) 555-0123", "[REDACTED_PHONE]"},
		{"call +49 170 1234567!", "call [REDACTED_PHONE]!"},
		{"+44 (0)20 7946 0958", "[REDACTED_PHONE]"},
		{"+33 1 23 45 67 89, +81-90-1234-5678", "[REDACTED_PHONE], [REDACTED_PHONE]"},
		{"555-123-4567", "[REDACTED_PHONE]"},
		{"(555) 123-4567 or 555.123.4567", "[REDACTED_PHONE] or [REDACTED_PHONE]"},
		{"1-800-555-0199", "[REDACTED_PHONE]"},
		{"tel:555-123-4567", "tel:[REDACTED_PHONE]"},
		{"030 123456-78", "[REDACTED_PHONE]"},
		{"0711/1234567", "[REDACTED_PHONE]"},
		{"01 23 45 67 89", "[REDACTED_PHONE]"},
		{"01\xc2\xa0" "23\xc2\xa0" "45\xc2\xa0" "67\xc2\xa0" "89", "[REDACTED_PHONE]"},
		{"020 7946 0958 or 06.12.34.56.78", "[REDACTED_PHONE] or [REDACTED_PHONE]"},
		{"0049 170 1234567", "[REDACTED_PHONE]"},
		{"(11) 91234-5678", "[REDACTED_PHONE]"},
		{"\xe7\x94\xb5\xe8\xaf\x9d" "138 1234 5678", "\xe7\x94\xb5\xe8\xaf\x9d[REDACTED_PHONE]"},
		{"Phone: 5551234567", "Phone: [REDACTED_PHONE]"},
		{"5551234567", NULL},
		{"2024-01-15 10:30:00", NULL},
		{"01.02.2024 10:30", NULL},
		{"05-06-2024 12", NULL},
		{"order 1234567890123", NULL},
		{"ISBN 978-3-16-148410-0", NULL},
		{"40.712776, -74.005974", NULL},
		{"$555-123-4567", NULL},
		{"+10000000 users", NULL},
		{"1+123456789", NULL},
		{"id-555-123-4567", NULL},
		{"555-123-4567-8", NULL},
		{"911-123-4567", NULL},
	};
	EXPECT(pairs);
}

static void test_ssn(void **state)
{
	static const struct pair pairs[] = {
		{"123-45-6789", "[REDACTED_SSN]"},       {"SSN: 123456789.", "SSN: [REDACTED_SSN]."},
		{"my 123 45 6789", "my [REDACTED_SSN]"}, {"000-12-3456", NULL},
		{"666-12-3456", NULL},                   {"900-12-3456", NULL},
		{"123-00-4567", NULL},                   {"123-45-0000", NULL},
		{"123-45-67890", NULL},                  {"1-123-45-6789", NULL},
		{"123-45-6789-1", NULL},                 {"123456789", NULL},
	};
	EXPECT(pairs);
}

static void test_card(void **state)
{
	static const struct pair pairs[] = {
		{"4111111111111111", "[REDACTED_CARD]"},
		{"4111 1111 1111 1111 exp 12/26", "[REDACTED_CARD] exp 12/26"},
		{"4111-1111-1111-1111", "[REDACTED_CARD]"},
		{"card 5555555555554444, 378282246310005", "card [REDACTED_CARD], [REDACTED_CARD]"},
		{"3782 822463 10005", "[REDACTED_CARD]"},
		{"6011000990139424", "[REDACTED_CARD]"},
		{"3530111333300000", "[REDACTED_CARD]"},
		{"30569309025904", "[REDACTED_CARD]"},
		{"1 4111 1111 1111 1111", "1 [REDACTED_CARD]"},
		{"4111.1111.1111.1111", "[REDACTED_CARD]"},
		{"4111111111111112", NULL},
		{"4111 1111 1111 1112", NULL},
		{"1234567812345670", NULL},
		{"0.4111111111111111", NULL},
		{"41111111111111110000", NULL},
		{"x4111111111111111", NULL},
	};
	EXPECT(pairs);
}

static void test_iban(void **state)
{
	static const struct pair pairs[] = {
		{"DE89370400440532013000", "[REDACTED_IBAN]"},
		{"IBAN: DE89 3704 0044 0532 0130 00.", "IBAN: [REDACTED_IBAN]."},
		{"gb82 west 1234 5698 7654 32", "[REDACTED_IBAN]"},
		{"FR1420041010050500013M02606", "[REDACTED_IBAN]"},
		{"NO9386011117947", "[REDACTED_IBAN]"},
		{"DE89370400440532013001", NULL},
		{"DE8937040044053201300", NULL},
		{"XX89370400440532013000", NULL},
		{"DE893704004405320130001", NULL},
	};
	EXPECT(pairs);
}

static void test_ip(void **state)
{
	static const struct pair pairs[] = {
		{"from 203.0.113.7:8080", "from [REDACTED_IP]:8080"},
		{"http://198.51.100.23/x", "http://[REDACTED_IP]/x"},
		{"10.0.0.0/8, 192.168.1.20.", "[REDACTED_IP]/8, [REDACTED_IP]."},
		{"root@203.0.113.7", "root@[REDACTED_IP]"},
		{"2001:db8::1", "[REDACTED_IP]"},
		{"[2001:db8:0:0:0:0:2:1]:443", "[[REDACTED_IP]]:443"},
		{"fe80::1ff:fe23:4567:890a%eth0", "[REDACTED_IP]%eth0"},
		{"::ffff:203.0.113.9", "[REDACTED_IP]"},
		{"10.0.0.1-10.0.0.9", "[REDACTED_IP]-[REDACTED_IP]"},
		{"version 3 runs on 203.0.113.9", "version 3 runs on [REDACTED_IP]"},
		{"image:1.2.3.4-alpine, 1.2.3.4-1", NULL},
		{"127.0.0.1, 0.0.0.0, 255.255.255.0, ::1", NULL},
		{"version 1.2.3.4 and v1.2.3.4", NULL},
		{"Chrome/120.1.2.3", NULL},
		{"pkg==1.2.3.4", NULL},
		{"1.2.3.4.5 and 1.2.3", NULL},
		{"256.1.1.1 and 1.02.3.4", NULL},
		{"std::vector a::b face::cafe 10:20:30", NULL},
		{"00:1a:2b:3c:4d:5e", NULL},
		{"x[1::2]", NULL},
	};
	EXPECT(pairs);
}

static void test_labels(void **state)
{
	static const struct pair pairs[] = {
		{"password=hunter2", "password=[REDACTED_PASSWORD]"},
		{"passwd: tr0ub4dor", "passwd: [REDACTED_PASSWORD]"},
		{"{\"db_password\": \"correct horse\"}", "{\"db_password\": \"[REDACTED_PASSWORD]\"}"},
		{"config['password'] = 'x1y2'", "config['password'] = '[REDACTED_PASSWORD]'"},
		{"'pwd' => \"abc123\",", "'pwd' => \"[REDACTED_PASSWORD]\","},
		{"Password = Sommer24", "Password = [REDACTED_PASSWORD]"},
		{"**Password:** Sommer24", "**Password:** [REDACTED_PASSWORD]"},
		{"Password: hunter", "Password: [REDACTED_PASSWORD]"},
		{"Server=x;User=sa;Password=p4ss;Timeout=3", "Server=x;User=sa;Password=[REDACTED_PASSWORD];Timeout=3"},
		{"?user=kim&password=p4ssw&x=1", "?user=kim&password=[REDACTED_PASSWORD]&x=1"},
		{"<password>s3cret</password>", "<password>[REDACTED_PASSWORD]</password>"},
		{"tool --password s3cretx --quiet", "tool --password [REDACTED_PASSWORD] --quiet"},
		{"the wifi password is Sommer2024", "the wifi password is [REDACTED_PASSWORD]"},
		{"Password: Sommer2024!", "Password: [REDACTED_PASSWORD]"},
		{"Password is: Sommer2024.", "Password is: [REDACTED_PASSWORD]."},
		{"Passwort: geheim9", "Passwort: [REDACTED_PASSWORD]"},
		{"mot de passe : Soleil7", "mot de passe : [REDACTED_PASSWORD]"},
		{"contrase\xc3\xb1" "a: Clave99", "contrase\xc3\xb1" "a: [REDACTED_PASSWORD]"},
		{"\xd0\x9f\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c: Leto2024", "\xd0\x9f\xd0\xb0\xd1\x80\xd0\xbe\xd0\xbb\xd1\x8c: [REDACTED_PASSWORD]"},
		{"\xe5\xaf\x86\xe7\xa0\x81\xef\xbc\x9a" "abc12345", "\xe5\xaf\x86\xe7\xa0\x81\xef\xbc\x9a[REDACTED_PASSWORD]"},
		{"secret=abc123def", "secret=[REDACTED_SECRET]"},
		{"api_key: \"k3y-0000-1111\"", "api_key: \"[REDACTED_SECRET]\""},
		{"AWS_SECRET_ACCESS_KEY=AbCd/EfGh+0123456789", "AWS_SECRET_ACCESS_KEY=[REDACTED_SECRET]"},
		{"password=ghp_000000000000000000000000000000000000", "password=[REDACTED_GITHUB_TOKEN]"},
		{"the password: must have 8 characters", NULL},
		{"password: required", NULL},
		{"password=${DB_PASSWORD} password=$PW", NULL},
		{"password = os.environ['X']; password = get_password()", NULL},
		{"password: str = None", NULL},
		{"if password == other", NULL},
		{"PWD=/home/user/x", NULL},
		{"password: ********", NULL},
		{"Forgot password: https://x.example/reset", NULL},
		{"max_tokens: 4096, tokens=12, token: 5", NULL},
		{"secret santa: friday", NULL},
		{"the password is wrong", NULL},
		{"password=[REDACTED_PASSWORD]", NULL},
	};
	EXPECT(pairs);
}

static void test_urls(void **state)
{
	static const struct pair pairs[] = {
		{"postgres://kim:pw1@db.example.com:5432/app?x=1 ok", "[REDACTED_DATABASE_URL] ok"},
		{"DATABASE_URL=\"mysql+pymysql://root:r00t@10.0.0.5/x\"", "DATABASE_URL=\"[REDACTED_DATABASE_URL]\""},
		{"mongodb+srv://u:p@c.example.net", "[REDACTED_DATABASE_URL]"},
		{"redis://:s3cret@cache:6379/0, amqp://a:b@mq/", "[REDACTED_DATABASE_URL], [REDACTED_DATABASE_URL]"},
		{"https://kim:pw1@files.example.com/a", "https://[REDACTED_URL_PASSWORD]@files.example.com/a"},
		{"mysql://app:pw/00@h/db", "[REDACTED_DATABASE_URL]"},
		{"redis://h:6379/0?x=a@b", NULL},
		{"postgres://localhost:5432/app", NULL},
		{"postgres://kim@db/app", NULL},
		{"redis://host:6379", NULL},
		{"https://example.com/@kim:x", NULL},
		{"postgres://user:****@db/app", NULL},
	};
	EXPECT(pairs);
}

static void test_headers_and_blocks(void **state)
{
	static const struct pair pairs[] = {
		{"Authorization: Bearer abcdef0123456789abcdef", "Authorization: Bearer [REDACTED_BEARER_TOKEN]"},
		{"Authorization: Basic dXNlcjpwYXNzd29yZA==", "Authorization: Basic [REDACTED_BASIC_AUTH]"},
		{"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl!", "[REDACTED_JWT]!"},
		{"Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2lnbmF0dXJl", "Bearer [REDACTED_JWT]"},
		{"-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----\nx", "[REDACTED_PRIVATE_KEY]\nx"},
		{"k: -----BEGIN PRIVATE KEY-----\\nAAAABBBBCCCCDDDDEEEE\\nAA== and more", "k: [REDACTED_PRIVATE_KEY] and more"},
		{"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAABBBBCCCCDDDDEEEE\n\nbye", "[REDACTED_PRIVATE_KEY]\n\nbye"},
		{"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----", NULL},
		{"bearer of good news", NULL},
		{"Bearer authentication-required-here", NULL},
		{"Basic training, basic understanding of things", NULL},
		{"eyJhbGciOiJub25lIn0 alone", NULL},
		{"eyJeyJeyJ.eyJ.eyJ", NULL},
	};
	EXPECT(pairs);
}

static void test_between_words(void **state)
{
	static const struct pair pairs[] = {
		{"digits 123456789:AAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "digits [REDACTED_TELEGRAM_TOKEN]"},
		{"00000000000000000000000000000000-us12", "[REDACTED_MAILCHIMP_KEY]"},
		{"aaaaaaaaaaaaaa.atlasv1.bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "[REDACTED_TERRAFORM_TOKEN]"},
		{"0000000000000000000000000000000-us12", NULL},
		{"12:AAbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", NULL},
	};
	EXPECT(pairs);
}

static void test_several_at_once(void **state)
{
	struct arena arena;
	struct redact_result result;
	struct str names[4] = {STR("EMAIL"), STR("PHONE"), STR("SSN"), STR("CARD")};
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(redact_text(STR("kim@example.com 555-123-4567 123-45-6789 4111111111111111"), NULL, &arena, &result),
	                 ERR_OK);
	assert_true(str_eq(result.text, STR("[REDACTED_EMAIL] [REDACTED_PHONE] [REDACTED_SSN] [REDACTED_CARD]")));
	assert_int_equal(result.count, 4);
	for (unsigned n = 0, seen = 0; redact_class_name(n); n++) {
		if (result.classes >> n & 1)
			assert_true(str_eq(str_of(redact_class_name(n)), names[seen++]));
	}
	assert_int_equal(__builtin_popcountll(result.classes), 4);
	assert_null(redact_class_name(64));
	arena_fini(&arena);
}

/* ---- every row of the table ---- */

struct row {
	const char *class;
	const char *prefix;
	const char *shape;
	char kind;
	size_t least;
	char between;
};

static const struct row rows[] = {
#define KEY(class, prefix, shape) {#class, prefix, shape, 0, 0, 0},
#define BACK(class, kind, least, most, between, prefix, shape) {#class, prefix, shape, kind, least, between},
#include "social/redact_rules.def"
};

static char *put_kind(char *to, char kind, size_t count)
{
	static const char last[] = "09afAZz-_";
	for (size_t n = 0; n < count; n++)
		*to++ = kind == 'd' || kind == 'x' || kind == 'X' ? last[n % 2] : kind == 'u' ? 'Q' : 'q';
	return to;
}

/* The least that fits a shape; less one of its first piece when short_by_one. */
static char *put_shape(char *to, const char *shape, bool short_by_one)
{
	while (*shape) {
		if (*shape == '\'') {
			for (shape++; *shape && *shape != ' '; shape++)
				*to++ = *shape;
		} else {
			char kind = *shape;
			char *end;
			size_t count = strtoul(shape + 1, &end, 10);
			to = put_kind(to, kind, count - short_by_one);
			short_by_one = false;
			shape = end + strcspn(end, " ");
		}
		shape += strspn(shape, " ");
	}
	*to = 0;
	return to;
}

static void test_rows(void **state)
{
	char text[1024];
	char wanted[128];
	for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		const struct row *row = &rows[n];
		char *to = put_kind(text, row->kind, row->least);
		if (row->between)
			*to++ = row->between;
		to = stpcpy(to, row->prefix);
		put_shape(to, row->shape, false);
		snprintf(wanted, sizeof(wanted), "[REDACTED_%s]", row->class);
		expect(&(struct pair){text, wanted}, 1, NULL);
		put_shape(to, row->shape, true);
		if (strlen(row->prefix) > 3 && row->shape[1] != '1')
			expect(&(struct pair){text, NULL}, 1, NULL);
	}
}

/* ---- properties ---- */

static const char *const pieces[] = {
	"kim@example.com", "@", "a", " ", "\n", "555-123-4567", "+49 170 1234567", "123-45-6789", "4111111111111111", "4111 1111",
	"DE89 3704 0044 0532 0130 00", "203.0.113.7", "2001:db8::1", "::", ":", "password=", "password: ", "hunter2", "\"", "'",
	"postgres://u:p@h/d", "https://u:p@h", "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "AAAABBBBCCCCDDDDEEEE",
	"eyJhbGciOiJub25lIn0.eyJzdWIiOiJ0ZXN0In0.c2ln", "ghp_000000000000000000000000000000000000", "AKIA0000000000000000",
	"[REDACTED_EMAIL]", "[REDACTED_", "]", "\xc3\xa9", "\xe5\xaf\x86\xe7\xa0\x81", "\xef\xbc\x9a", "\xf0\x9f\x93\xa7", "0", "1",
	"-", ".", "/", "(", ")", "(030) ", "secret", "=", "Bearer ", "Basic dXNlcjpwYXNzd29yZA==", "is ", "<", ">", "us12", "\\", "_",
	"\xc2\xa0", "tel ", "version ", "--password ", "token", "\xff", "\xe2\x80",
};

static void check_twice(struct str text)
{
	struct arena arena;
	struct redact_result first;
	struct redact_result second;
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(redact_text(text, NULL, &arena, &first), ERR_OK);
	assert_int_equal(redact_text(first.text, NULL, &arena, &second), ERR_OK);
	assert_ptr_equal(second.text.at, first.text.at);
	assert_int_equal(second.count, 0);
	if (utf8_valid(text))
		assert_true(utf8_valid(first.text));
	assert_true(first.steps <= text.len * REDACT_STEPS_PER_BYTE + REDACT_STEPS_LEAST || first.count > 0);
	arena_fini(&arena);
}

static void test_twice_changes_nothing(void **state)
{
	uint64_t seed = 20240607;
	for (unsigned round = 0; round < 20000; round++) {
		char text[2048];
		size_t len = 0;
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
		unsigned count = 1 + (unsigned)(seed >> 60);
		while (count-- > 0) {
			seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407u;
			const char *piece = pieces[(seed >> 33) % (sizeof(pieces) / sizeof(pieces[0]))];
			memcpy(text + len, piece, strlen(piece));
			len += strlen(piece);
		}
		check_twice(str_make(text, len));
	}
}

/* Texts made to be looked at again and again. */
static void test_work_is_linear(void **state)
{
	static const char *const bad[] = {
		"@", "a@", "a@a.", "1", "1 ", "1-", "0.", "1.2.3.", "(", "(02", "+", "+1", ":", "::", "a:", "1:", "://", "a://", "a://b:c", "=",
		"pwd=", "pwd:", "pwd=os.x(", "pwd=\"", "pwd='", "pwd=http://", "pwd=${", "password is ", "-", "--", "--a", "--pwd ", "-----BEGIN ",
		"-----BEGIN PRIVATE KEY-----", "-----BEGIN PRIVATE KEY----- a: b ", "eyJ", "eyJ-", "eyJaaaaaaa.eyJ", "eyJaaaaaaaaaaa.", "sk-",
		"sk-ant-", "ghs_.", "ghs_", "fm2_", "fm2_AAAA/", "EAA ", "EAA", "DE89 ", "DE89", "MMMM.", "M.", "bearer ", "bearer a/", "basic ",
		"<pwd>", "<pwd>x", ">", "pwd>", "[", "[REDACTED_", "[REDACTED_EMAIL", "\xef\xbc\x9a", "\xe5\xaf\x86\xe7\xa0\x81\xef\xbc\x9a",
		"\xc3\xa9", "\xe5\xaf\x86@", "0:AA", "us1-", "xoxb-", "4111 ", "4111111111111111111 ", "tel ", "a", "A", "Ab1", "2001:", "2001:db8:",
		"\\n", "\"password\": ", "glc_", "ATATT3.", "t.atlasv1.", "dp.st.", "1.1.1.1.", "token is is ", "pwd=pwd:", "pwd=a:",
		"pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f(pwd=f( ",
		"pwd=http://pwd=http://pwd=http://pwd=http://pwd=http://pwd=http://pwd=http://pwd=http://pwd=http://pwd=http:// ",
		"12 12 12 12 ", "a 1234567 ", "a 1.1.1.1 ", "a 12 34 56 78 9 ", "token=aaaaaaa' token=\"aaaa ",
	};
	uint64_t most = 0;
	size_t worst = 0;
	for (size_t n = 0; n < sizeof(bad) / sizeof(bad[0]); n++) {
		static char text[40000];
		size_t len = strlen(bad[n]);
		for (size_t size = 10000; size <= sizeof(text); size *= 4) {
			struct arena arena;
			struct redact_result result;
			for (size_t at = 0; at < size; at++)
				text[at] = bad[n][at % len];
			arena_init(&arena, ARENA_BYTES);
			enum err err = redact_text(str_make(text, size), NULL, &arena, &result);
			assert_true(err == ERR_OK || err == ERR_INVALID);
			if (result.steps > most * size / 10000 && size == 10000) {
				most = result.steps;
				worst = n;
			}
			if (result.steps > size * REDACT_STEPS_PER_BYTE)
				print_error("%s: %u steps a byte\n", bad[n], (unsigned)(result.steps / size));
			assert_true(result.steps <= size * REDACT_STEPS_PER_BYTE);
			arena_fini(&arena);
		}
	}
	print_message("at most %u steps a byte, by \"%s\"\n", (unsigned)(most / 10000), bad[worst]);
}

static void test_clean_text_costs_little(void **state)
{
	static const char text[] = "The deployment went well this morning; two of the older nodes needed a restart, and the queue was "
							   "drained before noon. Next we look at the slow page of the report (about 4 seconds), which reads "
							   "more rows than it shows. Ideas are welcome: an index, a smaller page, or counting only once a day.";
	struct arena arena;
	struct redact_result result;
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(redact_text(str_of(text), NULL, &arena, &result), ERR_OK);
	assert_ptr_equal(result.text.at, text);
	assert_int_equal(arena.used_bytes, 0);
	assert_true(result.steps < 4 * sizeof(text));
	arena_fini(&arena);
}

/* ---- failures ---- */

static bool fail_from(void *arg, uint64_t number)
{
	return number >= *(uint64_t *)arg;
}

static void test_no_memory(void **state)
{
	struct arena arena;
	struct redact_result result;
	uint64_t from = mem_count() + 1;
	arena_init(&arena, ARENA_BYTES);
	mem_hook_set(fail_from, &from);
	assert_int_equal(redact_text(STR("nothing in it"), NULL, &arena, &result), ERR_OK);
	assert_int_equal(redact_text(STR("kim@example.com"), NULL, &arena, &result), ERR_MEMORY);
	mem_hook_set(NULL, NULL);
	arena_fini(&arena);
	arena_init(&arena, 16);
	assert_int_equal(redact_text(STR("kim@example.com"), NULL, &arena, &result), ERR_MEMORY);
	arena_fini(&arena);
}

static void test_too_many(void **state)
{
	size_t count = 8193;
	char *text = malloc(count * 8);
	struct arena arena;
	struct redact_result result;
	assert_non_null(text);
	for (size_t n = 0; n < count; n++)
		memcpy(text + n * 8, "a@bc.de ", 8);
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(redact_text(str_make(text, (count - 1) * 8), NULL, &arena, &result), ERR_OK);
	assert_int_equal(result.count, count - 1);
	assert_int_equal(redact_text(str_make(text, count * 8), NULL, &arena, &result), ERR_INVALID);
	arena_fini(&arena);
	free(text);
}

static void test_empty_and_any_bytes(void **state)
{
	struct arena arena;
	struct redact_result result;
	char text[3];
	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(redact_text(STR_NONE, NULL, &arena, &result), ERR_OK);
	assert_int_equal(result.text.len, 0);
	for (unsigned a = 0; a < 256; a++) {
		for (unsigned b = 0; b < 256; b++) {
			text[0] = (char)a;
			text[1] = (char)b;
			text[2] = (char)a;
			assert_int_equal(redact_text(str_make(text, 3), NULL, &arena, &result), ERR_OK);
			assert_int_equal(result.count, 0);
		}
	}
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_email),
		cmocka_unit_test(test_allowed),
		cmocka_unit_test(test_phone),
		cmocka_unit_test(test_ssn),
		cmocka_unit_test(test_card),
		cmocka_unit_test(test_iban),
		cmocka_unit_test(test_ip),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_urls),
		cmocka_unit_test(test_headers_and_blocks),
		cmocka_unit_test(test_between_words),
		cmocka_unit_test(test_several_at_once),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_twice_changes_nothing),
		cmocka_unit_test(test_work_is_linear),
		cmocka_unit_test(test_clean_text_costs_little),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_too_many),
		cmocka_unit_test(test_empty_and_any_bytes),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
