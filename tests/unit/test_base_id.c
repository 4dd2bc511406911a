/* Ids, times, hashes, the table of errors, log lines, states and metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>

#include "base/env.h"
#include "base/flow.h"
#include "base/hash.h"
#include "base/id.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/timefmt.h"

#define KEYS 5000

static const struct siphash_key secret = {UINT64_C(0x1122334455667788), UINT64_C(0x99aabbccddeeff00)};

static uint64_t next_random(uint64_t *s)
{
	uint64_t z = (*s += UINT64_C(0x9E3779B97F4A7C15));

	z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
	return z ^ (z >> 31);
}

static int64_t random_key(uint64_t *seed)
{
	uint64_t r = next_random(seed);

	/* All sizes, so that short times and full counters come up too. */
	return (int64_t)(r >> (1 + next_random(seed) % 40)) | 1;
}

static void id_text_and_key_are_one(void **state)
{
	uint64_t seed = 1;

	for (unsigned i = 0; i < KEYS; i++) {
		enum id_kind kind = (enum id_kind)(1 + next_random(&seed) % ID_APPROVAL);
		int64_t key = random_key(&seed), other = random_key(&seed), back = 0;
		struct id_text text = id_format(&secret, kind, key);
		struct id_text text_other = id_format(&secret, kind, other);
		int order = str_cmp(id_str(&text), id_str(&text_other));
		assert_int_equal(strlen(text.text), ID_TEXT_LEN);
		assert_int_equal(text.text[14], '7');
		assert_non_null(strchr("89ab", text.text[19]));
		assert_int_equal(id_parse(&secret, kind, id_str(&text), &back), ERR_OK);
		assert_true(back == key);
		assert_int_equal((order > 0) - (order < 0), (key > other) - (key < other));
		for (unsigned j = 0; j < ID_TEXT_LEN; j++) {
			if (text.text[j] >= 'a' && text.text[j] <= 'f') {
				text.text[j] = (char)(text.text[j] - 32);
			}
		}
		assert_int_equal(id_parse(&secret, kind, id_str(&text), &back), ERR_OK);
		assert_true(back == key);
	}
}

static void id_neighbours_sort_too(void **state)
{
	int64_t key = INT64_C(0x123456789) << 21 | 5 << 15 | 32700;
	struct id_text last = id_format(&secret, ID_AGENT, key);

	for (unsigned i = 1; i < 2000; i++) {
		struct id_text text = id_format(&secret, ID_AGENT, key + i);
		assert_true(strcmp(last.text, text.text) < 0);
		last = text;
	}
}

static void id_forged_or_foreign_does_not_parse(void **state)
{
	struct siphash_key foreign = {secret.k0 ^ 1, secret.k1};
	uint64_t seed = 2;

	for (unsigned i = 0; i < KEYS; i++) {
		enum id_kind kind = (enum id_kind)(1 + next_random(&seed) % ID_APPROVAL);
		enum id_kind other = (enum id_kind)(1 + (unsigned)kind % ID_APPROVAL);
		int64_t key = random_key(&seed), back = -5;
		struct id_text text = id_format(&secret, kind, key), forged = text;
		unsigned at = (unsigned)(next_random(&seed) % ID_TEXT_LEN);
		forged.text[at] = forged.text[at] == '-' ? '0' : forged.text[at] == '7' ? '8' : '7';
		assert_int_equal(id_parse(&secret, kind, id_str(&forged), &back), ERR_NOT_FOUND);
		assert_int_equal(id_parse(&secret, other, id_str(&text), &back), ERR_NOT_FOUND);
		assert_int_equal(id_parse(&foreign, kind, id_str(&text), &back), ERR_NOT_FOUND);
		assert_int_equal(id_parse(&secret, kind, str_make(text.text, 35), &back), ERR_NOT_FOUND);
		assert_true(back == -5);
	}
}

static void id_rejects_what_is_no_uuid(void **state)
{
	static const char *const words[] = {
		"", "x", "00000000-0000-0000-0000-000000000000", "00000000-0000-7000-8000-000000000000",
		"ffffffff-ffff-7fff-bfff-ffffffffffff", "0190a1b2-c3d4-4abc-8def-0123456789ab",
		"0190a1b2-c3d4-7abc-8def-0123456789ag", "{190a1b2-c3d4-7abc-8def-0123456789a}",
		"0190a1b2-c3d4-7abc-8def-0123456789ab0",
	};
	int64_t key;

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		assert_int_equal(id_parse(&secret, ID_AGENT, str_of(words[i]), &key), ERR_NOT_FOUND);
		assert_int_equal(id_parse_log(&secret, ID_EVENT, str_of(words[i]), &key), ERR_NOT_FOUND);
	}
	assert_int_equal(id_parse(&secret, ID_AGENT, STR_NONE, &key), ERR_NOT_FOUND);
}

static void id_of_log_rows(void **state)
{
	const int64_t time_us = INT64_C(1770000000123456);
	uint64_t seed = 3;

	for (unsigned i = 0; i < KEYS; i++) {
		int64_t seq = (int64_t)(next_random(&seed) >> (22 + next_random(&seed) % 40)), back = -5;
		struct id_text text = id_format_log(&secret, ID_EVENT, time_us, seq), forged = text;
		struct id_text later = id_format_log(&secret, ID_EVENT, time_us,
						     seq == (INT64_C(1) << 42) - 1 ? seq : seq + 1);
		unsigned at = (unsigned)(next_random(&seed) % ID_TEXT_LEN);
		assert_int_equal(id_parse_log(&secret, ID_EVENT, id_str(&text), &back), ERR_OK);
		assert_true(back == seq);
		assert_true(strcmp(text.text, later.text) <= 0);
		back = -5;
		forged.text[at] = forged.text[at] == '-' ? '0' : forged.text[at] == '7' ? '8' : '7';
		assert_int_equal(id_parse_log(&secret, ID_EVENT, id_str(&forged), &back), ERR_NOT_FOUND);
		assert_int_equal(id_parse_log(&secret, ID_AUDIT, id_str(&text), &back), ERR_NOT_FOUND);
		assert_int_equal(id_parse(&secret, ID_EVENT, id_str(&text), &back), ERR_NOT_FOUND);
		assert_true(back == -5);
	}
}

static void id_next_always_grows(void **state)
{
	int64_t wall_us = INT64_C(1770000000000000), last = 0;
	uint64_t seed = 4;
	struct id_gen gen;

	id_gen_init(&gen, 63, 0);
	for (unsigned i = 0; i < 200000; i++) {
		uint64_t r = next_random(&seed);
		int64_t key;
		if (r % 100 == 0) {
			wall_us -= (int64_t)(r >> 32 & 0xffffff);
		} else if (r % 3 == 0) {
			wall_us += (int64_t)(r >> 32 & 0xfff);
		}
		key = id_next(&gen, wall_us);
		assert_true(key > last);
		assert_int_equal(id_loop(key), 63);
		last = key;
	}
}

static void id_next_passes_the_counters_end_and_the_floor(void **state)
{
	const int64_t wall_us = INT64_C(1770000000000000);
	struct id_gen gen, next_run;
	int64_t last = 0, floor_key;

	id_gen_init(&gen, 7, 0);
	for (unsigned i = 0; i < 100000; i++) {
		int64_t key = id_next(&gen, wall_us);
		assert_true(key > last);
		last = key;
	}
	assert_true(id_unix_ms(last) == wall_us / 1000 + 100000 / 32768);
	floor_key = last;
	id_gen_init(&next_run, 0, floor_key);
	assert_true(id_next(&next_run, wall_us - 1000000) > floor_key);
	id_gen_init(&next_run, 0, 0);
	assert_true(id_next(&next_run, 0) > 0);
	id_gen_init(&next_run, 0, 0);
	assert_true(id_unix_ms(id_next(&next_run, wall_us)) == wall_us / 1000);
}

static void assert_time(int64_t unix_us, const char *wanted)
{
	struct time_text text = time_format(unix_us);

	assert_string_equal(text.text, wanted);
}

static void time_formats(void **state)
{
	assert_time(0, "1970-01-01T00:00:00.000000Z");
	assert_time(-1, "1969-12-31T23:59:59.999999Z");
	assert_time(INT64_C(1767323045678901), "2026-01-02T03:04:05.678901Z");
	assert_time(INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z");
	assert_time(INT64_MAX, "9999-12-31T23:59:59.999999Z");
	assert_time(INT64_MIN, "0000-01-01T00:00:00.000000Z");
}

static void time_round_trips(void **state)
{
	uint64_t seed = 5;

	for (unsigned i = 0; i < 100000; i++) {
		int64_t span_us = INT64_C(253402300800) * 1000000, back;
		int64_t unix_us = (int64_t)(next_random(&seed) % (uint64_t)(span_us + INT64_C(62167219200000000))) -
				  INT64_C(62167219200000000);
		struct time_text text = time_format(unix_us);
		assert_int_equal(time_parse(time_str(&text), &back), ERR_OK);
		assert_true(back == unix_us);
	}
}

static void time_parses(void **state)
{
	static const struct {
		const char *text;
		int64_t unix_us;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01t00:00:00.5z", 500000},
		{"1970-01-01T00:00:00.123456789Z", 123456},
		{"1970-01-01T01:00:00+01:00", 0},
		{"1969-12-31T18:30:00-05:30", 0},
		{"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
		{"2017-01-01T00:59:60.25+01:00", INT64_C(1483228800250000)},
		{"2024-02-29T12:00:00Z", INT64_C(1709208000000000)},
	};
	static const char *const bad[] = {
		"", "1970-01-01", "1970-01-01T00:00Z",
		"1970-01-01T00:00:00", "1970-01-01 00:00:00Z", "1970-13-01T00:00:00Z",
		"1970-00-01T00:00:00Z", "1970-01-00T00:00:00Z", "1970-04-31T00:00:00Z",
		"2023-02-29T00:00:00Z", "1900-02-29T00:00:00Z", "1970-01-01T24:00:00Z",
		"1970-01-01T00:60:00Z", "1970-01-01T00:00:60Z", "1970-01-01T00:00:61Z",
		"1970-01-01T00:00:00.Z", "1970-01-01T00:00:00.1234567890Z", "1970-01-01T00:00:00ZZ",
		"1970-01-01T00:00:00+24:00", "1970-01-01T00:00:00+0100", "+970-01-01T00:00:00Z",
		"1970-01-01T00:00:00 01:00", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01",
		"1970-1-01T00:00:00Z", "19700-01-01T00:00:00Z",
	};
	int64_t got;

	for (unsigned i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(time_parse(str_of(good[i].text), &got), ERR_OK);
		assert_true(got == good[i].unix_us);
	}
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (time_parse(str_of(bad[i]), &got) != ERR_INVALID) {
			fail_msg("took %s", bad[i]);
		}
	}
}

static void hash_matches_fips_180(void **state)
{
	static const char wanted[] = "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1";
	const struct str text = STR("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
	uint8_t out[HASH_SHA256_BYTES], again[HASH_SHA256_BYTES];
	char hex[2 * HASH_SHA256_BYTES + 1];
	struct hash *hash;

	hash_sha256(text, out);
	hash_hex(out, sizeof(out), hex);
	assert_string_equal(hex, wanted);
	assert_int_equal(hash_create(&hash), ERR_OK);
	for (unsigned round = 0; round < 2; round++) {
		hash_begin(hash);
		hash_put(hash, text.at, 10);
		hash_put(hash, NULL, 0);
		hash_put(hash, text.at + 10, text.len - 10);
		hash_end(hash, again);
		assert_true(hash_equal(out, again, sizeof(out)));
		memset(again, 0, sizeof(again));
	}
	hash_destroy(&hash);
	assert_null(hash);
	hash_sha256(STR_NONE, out);
	hash_hex(out, sizeof(out), hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hash_hex_both_ways_and_equality(void **state)
{
	uint8_t bytes[4] = {0};

	assert_int_equal(hash_unhex(STR("00fFa510"), bytes, 4), ERR_OK);
	assert_memory_equal(bytes, "\x00\xff\xa5\x10", 4);
	assert_int_equal(hash_unhex(STR("00ffa51"), bytes, 4), ERR_INVALID);
	assert_int_equal(hash_unhex(STR("00ffa5100"), bytes, 4), ERR_INVALID);
	assert_int_equal(hash_unhex(STR("00ffa51g"), bytes, 4), ERR_INVALID);
	assert_int_equal(hash_unhex(STR("00ff 510"), bytes, 4), ERR_INVALID);
	assert_true(hash_equal("abc", "abd", 2));
	assert_false(hash_equal("abc", "abd", 3));
	assert_true(hash_equal("", "", 0));
}

static void env_gives_time_and_chance(void **state)
{
	const struct env *env = env_real();
	int64_t before = env_mono_us(env);
	uint8_t a[32], b[32];

	assert_true(env_wall_us(env) > INT64_C(1600000000000000));
	assert_true(env_mono_us(env) >= before);
	env_random(env, a, sizeof(a));
	env_random(env, b, sizeof(b));
	assert_memory_not_equal(a, b, sizeof(a));
}

static void err_table_is_sane(void **state)
{
	for (unsigned i = 0; i < ERR_COUNT; i++) {
		const struct err_row *row = err_row((enum err)i);
		enum err found;
		assert_true(row->code.len > 0 && row->text.len > 0);
		assert_int_equal(row->text.at[row->text.len - 1], i == ERR_OK ? 'k' : '.');
		for (size_t j = 0; j < row->code.len; j++) {
			assert_true((row->code.at[j] >= 'a' && row->code.at[j] <= 'z') || row->code.at[j] == '_');
		}
		/* Finding the same row again proves that no earlier one has the same code. */
		assert_true(err_by_code(row->code, &found));
		assert_int_equal(found, i);
		assert_true(i == ERR_OK ? row->http_status == 200 : row->http_status >= 400 && row->http_status <= 599);
		assert_true((row->ws_close >= 1000 && row->ws_close <= 1013) ||
			    (row->ws_close >= 4000 && row->ws_close <= 4999));
		assert_true(row->level >= LOG_DEBUG && row->level <= LOG_ERROR);
		assert_true(err_public((enum err)i) < ERR_MEMORY);
		if (i < ERR_MEMORY) {
			assert_int_equal(err_public((enum err)i), i);
		}
	}
	assert_int_equal(err_public(ERR_MEMORY), ERR_OVERLOADED);
	assert_int_equal(err_public(ERR_LIMIT), ERR_OVERLOADED);
	assert_int_equal(err_public(ERR_IO), ERR_STORE_UNAVAILABLE);
	assert_int_equal(err_public(ERR_CORRUPT), ERR_STORE_UNAVAILABLE);
	assert_int_equal(err_public(ERR_KEY), ERR_INTERNAL);
	enum err none = ERR_OK;
	assert_false(err_by_code(STR("no_such_code"), &none));
}

static void log_levels_parse(void **state)
{
	static const char *const words[] = {"debug", "info", "warn", "error", "off"};
	enum log_level level;

	for (unsigned i = 0; i < 5; i++) {
		assert_true(log_level_parse(str_of(words[i]), &level));
		assert_int_equal(level, i);
	}
	assert_false(log_level_parse(STR("INFO"), &level));
	assert_false(log_level_parse(STR(""), &level));
	assert_false(log_level_parse(STR("infos"), &level));
}

/* Runs fill with standard error in a file and gives what was written. */
static struct str captured(void (*fill)(void), char *out, size_t cap)
{
	FILE *file = tmpfile();
	int before = dup(STDERR_FILENO);
	size_t len;

	assert_non_null(file);
	assert_true(before >= 0);
	dup2(fileno(file), STDERR_FILENO);
	fill();
	dup2(before, STDERR_FILENO);
	close(before);
	rewind(file);
	len = fread(out, 1, cap - 1, file);
	out[len] = '\0';
	fclose(file);
	return str_make(out, len);
}

static void write_hostile(void)
{
	log_at(LOG_WARN, "hostile", log_s("a", STR("x\n{\"fake\":1}\x1b[31m\x7f")),
	       log_s("b", STR("\xff\xc3\xa4\xc2\x9b\xed\xa0\x80")),
	       log_i("n", INT64_MIN), log_s("plain", STR("word")), log_s("empty", STR_NONE));
	log_at(LOG_DEBUG, "unseen", log_i("n", 1));
}

static void log_json_line_is_json(void **state)
{
	char text[4096];
	struct str line;
	json_t *json;

	log_set(LOG_INFO, true);
	line = captured(write_hostile, text, sizeof(text));
	assert_int_equal(str_find_byte(line, '\n'), line.len - 1);
	json = json_loads(text, 0, NULL);
	assert_non_null(json);
	assert_string_equal(json_string_value(json_object_get(json, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(json, "event")), "hostile");
	assert_string_equal(json_string_value(json_object_get(json, "a")), "x\n{\"fake\":1}\x1b[31m\x7f");
	assert_string_equal(json_string_value(json_object_get(json, "b")),
			    "\xef\xbf\xbd\xc3\xa4\xc2\x9b\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	assert_true(json_integer_value(json_object_get(json, "n")) == INT64_MIN);
	assert_int_equal(strlen(json_string_value(json_object_get(json, "time"))), TIME_TEXT_LEN);
	json_decref(json);
	assert_null(strchr(text, 0x1b));
	log_set(LOG_INFO, false);
}

static void log_human_line_has_no_control_bytes(void **state)
{
	char text[4096];
	struct str line;

	log_set(LOG_INFO, false);
	line = captured(write_hostile, text, sizeof(text));
	assert_int_equal(str_find_byte(line, '\n'), line.len - 1);
	for (size_t i = 0; i + 1 < line.len; i++) {
		assert_true((unsigned char)line.at[i] >= 0x20 && line.at[i] != 0x7f);
	}
	assert_string_equal(text + TIME_TEXT_LEN, " warn hostile a=\"x\\x0a{\\\"fake\\\":1}\\x1b[31m\\x7f\" "
						  "b=\"\\xff\xc3\xa4\\u009b\\xed\\xa0\\x80\" n=-9223372036854775808 "
						  "plain=word empty=\"\"\n");
}

static size_t long_len;

static void write_long(void)
{
	static char value[3000];

	memset(value, 'v', sizeof(value));
	log_at(LOG_ERROR, "long", log_s("first", str_make(value, long_len)), log_i("number", 123456789),
	       log_s("last", STR("end of it")));
}

/* Every length around the cap: the cut may fall into a value, a name, a number or between fields. */
static void log_cuts_lines_and_they_stay_whole(void **state)
{
	char text[4096];

	for (long_len = 1800; long_len < 2200; long_len++) {
		for (unsigned form = 0; form < 2; form++) {
			struct str line;
			log_set(LOG_INFO, form == 1);
			line = captured(write_long, text, sizeof(text));
			assert_true(line.len <= 2048);
			assert_int_equal(str_find_byte(line, '\n'), line.len - 1);
			assert_true((str_find(line, STR("end of it")) < 0) == (str_find(line, STR("...")) >= 0));
			if (form == 1) {
				json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
				assert_non_null(json);
				json_decref(json);
			}
		}
	}
	log_set(LOG_INFO, false);
}

enum lamp { LAMP_OFF, LAMP_ON, LAMP_BROKEN };

static const struct flow_state lamp_states[] = {
	[LAMP_OFF] = {"off", 1u << LAMP_ON},
	[LAMP_ON] = {"on", 1u << LAMP_OFF | 1u << LAMP_BROKEN},
	[LAMP_BROKEN] = {"broken", 0},
};
static const struct flow_table lamp = {"lamp", lamp_states, 3};
static unsigned lamp_state;

static void switch_lamp(void)
{
	flow_enter(&lamp, STR("l1"), &lamp_state, LAMP_ON, "switched");
}

static void flow_logs_its_transitions(void **state)
{
	char text[4096];

	log_set(LOG_DEBUG, false);
	captured(switch_lamp, text, sizeof(text));
	log_set(LOG_INFO, false);
	assert_int_equal(lamp_state, LAMP_ON);
	assert_string_equal(text + TIME_TEXT_LEN, " debug state flow=lamp id=l1 old=off new=on reason=switched\n");
	flow_enter(&lamp, STR("l1"), &lamp_state, LAMP_BROKEN, "fell");
	assert_int_equal(lamp_state, LAMP_BROKEN);
}

static void metrics_render(void **state)
{
	struct buf out;
	int64_t before = metric_get(METRIC_TOKENS);

	metric_add(METRIC_TOKENS, 5);
	assert_true(metric_get(METRIC_TOKENS) == before + 5);
	metric_set(METRIC_CONNECTIONS, 9);
	metric_add(METRIC_CONNECTIONS, -2);
	metric_observe_us(METRIC_WRITER_SECONDS, 50);
	metric_observe_us(METRIC_WRITER_SECONDS, 51);
	metric_observe_us(METRIC_WRITER_SECONDS, INT64_C(60000000));
	assert_true(metric_get(METRIC_WRITER_SECONDS) == 3);
	buf_init(&out, 1 << 20);
	metric_render(&out);
	assert_int_equal(buf_err(&out), ERR_OK);
	assert_true(str_find(buf_str(&out), STR("# TYPE guild_connections gauge\nguild_connections 7\n")) > 0);
	assert_true(str_find(buf_str(&out), STR("# TYPE guild_writer_commit_seconds histogram\n"
						"guild_writer_commit_seconds_bucket{le=\"0.000050\"} 1\n"
						"guild_writer_commit_seconds_bucket{le=\"0.000200\"} 2\n")) > 0);
	assert_true(str_find(buf_str(&out), STR("guild_writer_commit_seconds_bucket{le=\"+Inf\"} 3\n"
						"guild_writer_commit_seconds_sum 60.000101\n"
						"guild_writer_commit_seconds_count 3\n")) > 0);
	buf_fini(&out);
}

/* Prometheus' own linter, where it is installed. */
static void metrics_please_promtool(void **state)
{
	struct buf out;
	FILE *tool;

	if (system("command -v promtool >/dev/null 2>&1") != 0) {
		skip();
	}
	tool = popen("promtool check metrics", "w");
	assert_non_null(tool);
	buf_init(&out, 1 << 20);
	metric_render(&out);
	assert_int_equal(fwrite(out.at, 1, out.len, tool), out.len);
	assert_int_equal(pclose(tool), 0);
	buf_fini(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(id_text_and_key_are_one),
		cmocka_unit_test(id_neighbours_sort_too),
		cmocka_unit_test(id_forged_or_foreign_does_not_parse),
		cmocka_unit_test(id_rejects_what_is_no_uuid),
		cmocka_unit_test(id_of_log_rows),
		cmocka_unit_test(id_next_always_grows),
		cmocka_unit_test(id_next_passes_the_counters_end_and_the_floor),
		cmocka_unit_test(time_formats),
		cmocka_unit_test(time_round_trips),
		cmocka_unit_test(time_parses),
		cmocka_unit_test(hash_matches_fips_180),
		cmocka_unit_test(hash_hex_both_ways_and_equality),
		cmocka_unit_test(env_gives_time_and_chance),
		cmocka_unit_test(err_table_is_sane),
		cmocka_unit_test(log_levels_parse),
		cmocka_unit_test(log_json_line_is_json),
		cmocka_unit_test(log_human_line_has_no_control_bytes),
		cmocka_unit_test(log_cuts_lines_and_they_stay_whole),
		cmocka_unit_test(flow_logs_its_transitions),
		cmocka_unit_test(metrics_render),
		cmocka_unit_test(metrics_please_promtool),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
