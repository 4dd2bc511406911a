/* Settings: precedence and origin, what each kind takes, and the sentence for everything that is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "app/config.h"
#include "base/limits.h"
#include "base/mem.h"

static char path[] = "/tmp/guild-config-XXXXXX";
static struct config config;
static char detail[512];

static int file_make(void **state)
{
	int fd = mkstemp(path);

	if (fd < 0) {
		return -1;
	}
	return close(fd);
}

static int file_remove(void **state)
{
	return unlink(path);
}

static void file_put_bytes(const char *bytes, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static enum err load_file(const char *text)
{
	file_put_bytes(text, strlen(text));
	return config_load(&config, path, NULL, NULL, 0, detail);
}

/* text is refused, and the sentence is "<path>" followed by tail. */
static void refuses_file(const char *text, const char *tail)
{
	char wanted[1024];

	assert_int_equal(load_file(text), ERR_CONFIG);
	snprintf(wanted, sizeof(wanted), "%s%s", path, tail);
	assert_string_equal(detail, wanted);
	assert_null(config.arena.head);
}

static void refuses_environment(const char *entry, const char *wanted)
{
	char *environment[] = {"HOME=/root", (char *)entry, NULL};

	assert_int_equal(config_load(&config, NULL, environment, NULL, 0, detail), ERR_CONFIG);
	assert_string_equal(detail, wanted);
}

static void refuses_flag(const char *name, const char *value, const char *wanted)
{
	struct config_flag flag = {name, value};

	assert_int_equal(config_load(&config, NULL, NULL, &flag, 1, detail), ERR_CONFIG);
	assert_string_equal(detail, wanted);
}

static void assert_setting(enum config_id id, const char *text, enum config_origin origin)
{
	char got[256];

	assert_string_equal(str_to_z(config_text(&config, id), got, sizeof(got)), text);
	assert_int_equal(config.values[id].origin, origin);
}

static void defaults_are_valid(void **state)
{
	assert_int_equal(config_load(&config, NULL, NULL, NULL, 0, detail), ERR_OK);
	assert_string_equal(detail, "");
	assert_null(config.file.at);
	for (int i = 0; i < CONFIG_COUNT; i++) {
		assert_int_equal(config.values[i].origin, CONFIG_DEFAULT);
	}
	assert_setting(CONFIG_server_listen, "127.0.0.1:8420", CONFIG_DEFAULT);
	assert_int_equal(config_number(&config, CONFIG_store_checkpoint), 64 << 20);
	assert_int_equal(config_number(&config, CONFIG_store_token_batch), 50000);
	assert_int_equal(config_number(&config, CONFIG_providers_builtin), 1);
	assert_int_equal(config_number(&config, CONFIG_server_insecure_listen), 0);
	assert_true(config_is(&config, CONFIG_log_level, STR("info")));
	config_fini(&config);
}

static void flags_win_over_environment_over_file_over_defaults(void **state)
{
	char *environment[] = {"GUILD_HTTP_RATE=20", "GUILD_HTTP_RATE_BURST=21", NULL};
	struct config_flag flag = {"http.rate", "30"};

	file_put_bytes("[http]\nrate = 10\nrate_burst = 11\n\nws_ping = 12", 46);
	assert_int_equal(config_load(&config, path, environment, &flag, 1, detail), ERR_OK);
	assert_setting(CONFIG_http_rate, "30", CONFIG_FLAG);
	assert_setting(CONFIG_http_rate_burst, "21", CONFIG_ENVIRONMENT);
	assert_setting(CONFIG_http_ws_ping, "12", CONFIG_FILE);
	assert_int_equal(config.values[CONFIG_http_ws_ping].line, 5);
	assert_int_equal(config_number(&config, CONFIG_http_ws_ping), 12000000);
	assert_setting(CONFIG_http_ws_close, "90", CONFIG_DEFAULT);
	assert_string_equal(config.file.at, path);
	config_fini(&config);
}

static void last_of_two_flags_wins(void **state)
{
	struct config_flag flags[] = {{"http.rate", "30"}, {"http.rate", "31"}};

	assert_int_equal(config_load(&config, NULL, NULL, flags, 2, detail), ERR_OK);
	assert_setting(CONFIG_http_rate, "31", CONFIG_FLAG);
	config_fini(&config);
}

static void short_names_and_strangers_in_the_environment(void **state)
{
	char *environment[] = {"GUILD_LISTEN=[::1]:1", "GUILD_SERVER_DATA=/long", "GUILD_DATA=/short", "GUILD_URL=x",
			       "GUILD_TOKEN=x", "GUILD_FAILPOINT=x", "GUILD_BINARY=x", "GUILD_LIBRARY=x", "GUILD_KEY=00",
			       "GUILD_NOTHING_OF_OURS=x", "GUILD_SERVERS=x", "SERVER_LISTEN=x", "GUILD_LISTEN", NULL};

	assert_int_equal(config_load(&config, NULL, environment, NULL, 0, detail), ERR_OK);
	assert_setting(CONFIG_server_listen, "[::1]:1", CONFIG_ENVIRONMENT);
	assert_setting(CONFIG_server_data, "/long", CONFIG_ENVIRONMENT);
	config_fini(&config);
}

static void file_form(void **state)
{
	assert_int_equal(load_file("\xef\xbb\xbf# comment\r\n; comment\r\n\r\n [ log ] \r\n\tlevel=debug\r\nform =  json \r\n"
				   "[openai]\nbase_url = http://h:1/v1?a=b#c\nmodel =\n[log]\n"), ERR_OK);
	assert_setting(CONFIG_log_level, "debug", CONFIG_FILE);
	assert_setting(CONFIG_log_form, "json", CONFIG_FILE);
	assert_setting(CONFIG_openai_base_url, "http://h:1/v1?a=b#c", CONFIG_FILE);
	assert_setting(CONFIG_openai_model, "", CONFIG_FILE);
	assert_int_equal(config.values[CONFIG_log_level].line, 5);
	config_fini(&config);
	assert_int_equal(load_file(""), ERR_OK);
	config_fini(&config);
}

static void numbers_of_each_kind(void **state)
{
	struct config_flag flags[] = {{"http.body_rate", "3k"}, {"store.checkpoint", "2G"}, {"http.body_max", "2048"},
				      {"server.drain", "0.000001"}, {"http.ws_ping", "1.5"}, {"http.rate", "0"},
				      {"server.insecure_listen", "on"}, {"http.ws_close", " 7 "}};

	assert_int_equal(config_load(&config, NULL, NULL, flags, 8, detail), ERR_OK);
	assert_int_equal(config_number(&config, CONFIG_http_body_rate), 3072);
	assert_int_equal(config_number(&config, CONFIG_store_checkpoint), INT64_C(2) << 30);
	assert_int_equal(config_number(&config, CONFIG_http_body_max), 2048);
	assert_int_equal(config_number(&config, CONFIG_server_drain), 1);
	assert_int_equal(config_number(&config, CONFIG_http_ws_ping), 1500000);
	assert_int_equal(config_number(&config, CONFIG_http_rate), 0);
	assert_int_equal(config_number(&config, CONFIG_server_insecure_listen), 1);
	assert_int_equal(config_number(&config, CONFIG_http_ws_close), 7000000);
	config_fini(&config);
}

static void unknown_names_in_a_file(void **state)
{
	refuses_file("[server]\nlisen = x\n", ":2: unknown key 'lisen' in [server]; did you mean 'listen'?");
	refuses_file("[server]\n\nLISTEN = x\n", ":3: unknown key 'LISTEN' in [server]; did you mean 'listen'?");
	refuses_file("[htpt]\n", ":1: unknown section [htpt]; did you mean [http]?");
	refuses_file("[zzzzzzzz]\n", ":1: unknown section [zzzzzzzz]; `guild config show` lists all");
	refuses_file("[log]\nbase_url = x\n", ":2: unknown key 'base_url' in [log]; it belongs to [openai]");
	refuses_file("[log]\nqqqqqqqqqqqq = x\n",
		     ":2: unknown key 'qqqqqqqqqqqq' in [log]; `guild config show` lists all");
	refuses_file("[log]\n\x1b[31m = x\n", ":2: unknown key '?[31m' in [log]; `guild config show` lists all");
	refuses_file("[log]\n = x\n", ":2: unknown key '' in [log]; `guild config show` lists all");
}

static void broken_files(void **state)
{
	refuses_file("listen = x\n", ":1: key 'listen' stands before the first [section]");
	refuses_file("[server\n", ":1: a section is written as [name]");
	refuses_file("[", ":1: a section is written as [name]");
	refuses_file("[]\n", ":1: a section is written as [name]");
	refuses_file("[server]\nlisten\n", ":2: a line is `key = value`, `[section]` or `# comment`");
	refuses_file("[http]\nrate = 1\nrate = 2\n", ":3: http.rate is set twice; first on line 2");
}

static void values_that_are_not(void **state)
{
	refuses_file("[server]\nreaders = 9\n", ":2: server.readers = '9' has to be a whole number from 1 to 8");
	refuses_file("[server]\nreaders = 0\n", ":2: server.readers = '0' has to be a whole number from 1 to 8");
	refuses_file("[server]\nreaders = two\n", ":2: server.readers = 'two' has to be a whole number from 1 to 8");
	refuses_file("[server]\nreaders =\n", ":2: server.readers = '' has to be a whole number from 1 to 8");
	refuses_file("[server]\ninsecure_listen = yes\n", ":2: server.insecure_listen = 'yes' has to be on or off");
	refuses_file("[log]\nlevel = inf\n",
		     ":2: log.level = 'inf' has to be one of: debug info warn error off; did you mean 'info'?");
	refuses_file("[log]\nlevel = 7777777\n", ":2: log.level = '7777777' has to be one of: debug info warn error off");
	refuses_file("[server]\ndrain = 601\n",
		     ":2: server.drain = '601' has to be a number of seconds (like 5 or 0.25) from 0 to 600");
	refuses_file("[server]\nlisten =\n", ":2: server.listen is empty; leave the line out for the default '127.0.0.1:8420'");
	refuses_file("[server]\ndata = a\x01z\n", ":2: server.data holds a control byte");
	refuses_file("[server]\ndata = a\xff\n", ":2: server.data is not valid UTF-8");
}

static void numbers_that_are_not(void **state)
{
	static const char *const times[] = {"1.", ".5", "1.0000001", "1s", "-1", "1.5.5", "1e3", "99999999999999999999"};
	static const char *const sizes[] = {"k", "1kk", "1 k", "-1", "1.5m", "18446744073709551615", "9223372036854775807k"};
	struct config_flag flag = {"server.drain", NULL};

	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		flag.value = times[i];
		assert_int_equal(config_load(&config, NULL, NULL, &flag, 1, detail), ERR_CONFIG);
		assert_non_null(strstr(detail, "has to be a number of seconds"));
	}
	flag.name = "http.body_rate";
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		flag.value = sizes[i];
		assert_int_equal(config_load(&config, NULL, NULL, &flag, 1, detail), ERR_CONFIG);
		assert_non_null(strstr(detail, "has to be a number of bytes"));
	}
}

static void texts_too_long(void **state)
{
	char text[300];

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = 0;
	refuses_flag("server.listen", text, "flag server.listen: server.listen has 299 bytes; allowed are 1 to 255");
}

static void wrong_environment_and_flags(void **state)
{
	refuses_environment("GUILD_SERVER_LISEN=x",
			    "environment GUILD_SERVER_LISEN: unknown key 'lisen' in [server]; did you mean 'listen'?");
	refuses_environment("GUILD_HTTP_RATE=much",
			    "environment GUILD_HTTP_RATE: http.rate = 'much' has to be a whole number from 0 to 10000000");
	refuses_environment("GUILD_DATA=", "environment GUILD_DATA: server.data is empty; leave the line out for the default "
					   "'./var'");
	refuses_flag("listen", "x", "flag listen: a setting is named section.key, like server.listen");
	refuses_flag("server.", "x", "flag server.: a setting is named section.key, like server.listen");
	refuses_flag("sever.listen", "x", "flag sever.listen: unknown section [sever]; did you mean [server]?");
	refuses_flag("server.redaers", "1", "flag server.redaers: unknown key 'redaers' in [server]; did you mean 'readers'?");
}

static void files_that_cannot_be_read(void **state)
{
	char *big = mem_alloc(LIMIT_CONFIG_BYTES + 2);

	assert_int_equal(config_load(&config, "/nonexistent/guild.conf", NULL, NULL, 0, detail), ERR_CONFIG);
	assert_string_equal(detail, "/nonexistent/guild.conf: cannot be opened: No such file or directory");
	assert_int_equal(config_load(&config, "/", NULL, NULL, 0, detail), ERR_CONFIG);
	assert_string_equal(detail, "/: is not a file");
	assert_non_null(big);
	memset(big, '\n', LIMIT_CONFIG_BYTES + 1);
	file_put_bytes(big, LIMIT_CONFIG_BYTES + 1);
	assert_int_equal(config_load(&config, path, NULL, NULL, 0, detail), ERR_CONFIG);
	assert_non_null(strstr(detail, "is greater than 262144 bytes"));
	mem_free(big);
}

static void shown_settings_load_again(void **state)
{
	char *environment[] = {"GUILD_HTTP_ORIGINS=https://a https://b", NULL};
	struct config_flag flag = {"server.drain", "0.5"};
	struct buf first;
	struct buf second;

	buf_init(&first, 65536);
	buf_init(&second, 65536);
	file_put_bytes("[log]\nlevel = warn\n", 19);
	assert_int_equal(config_load(&config, path, environment, &flag, 1, detail), ERR_OK);
	config_show(&config, true, &first);
	buf_put_byte(&first, 0);
	assert_non_null(strstr(first.at, ":2\nlevel = warn\n"));
	assert_non_null(strstr(first.at, "# from the environment\norigins = https://a https://b\n"));
	assert_non_null(strstr(first.at, "# from a flag\ndrain = 0.5\n"));
	assert_non_null(strstr(first.at, "# from the default\nbase_url =\n"));
	buf_clear(&first);
	config_show(&config, false, &first);
	config_fini(&config);
	file_put_bytes(first.at, first.len);
	assert_int_equal(config_load(&config, path, NULL, NULL, 0, detail), ERR_OK);
	for (int i = 0; i < CONFIG_COUNT; i++) {
		assert_int_equal(config.values[i].origin, CONFIG_FILE);
	}
	config_show(&config, false, &second);
	assert_true(str_eq(buf_str(&first), buf_str(&second)));
	config_fini(&config);
	buf_fini(&first);
	buf_fini(&second);
}

static void docs_name_every_setting(void **state)
{
	static const char *const keys[] = {
#define SETTING(section, key, kind, def, min, max, reload, doc) "| `" #key "` | `GUILD_",
#include "app/config.def"
#undef SETTING
	};
	struct buf page;

	buf_init(&page, 65536);
	config_docs(&page);
	buf_put_byte(&page, 0);
	assert_int_equal(buf_err(&page), ERR_OK);
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		assert_non_null(strstr(page.at, keys[i]));
	}
	assert_non_null(strstr(page.at, "| `level` | `GUILD_LOG_LEVEL` | `info` | `debug` `info` `warn` `error` `off` | what is "
					"logged | yes |"));
	buf_fini(&page);
}

static bool fail_at(void *arg, uint64_t number)
{
	return number == *(uint64_t *)arg;
}

static void every_allocation_may_fail(void **state)
{
	enum err err = ERR_CONFIG;
	uint64_t number;
	int failed = 0;

	file_put_bytes("[log]\nlevel = warn\n", 19);
	for (uint64_t n = 1; err && n < 100; n++) {
		number = mem_count() + n;
		mem_hook_set(fail_at, &number);
		err = config_load(&config, path, NULL, NULL, 0, detail);
		mem_hook_set(NULL, NULL);
		failed += err != ERR_OK;
		assert_true(!err == (detail[0] == 0));
	}
	assert_int_equal(err, ERR_OK);
	assert_true(failed > 1);
	config_fini(&config);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_are_valid),
		cmocka_unit_test(flags_win_over_environment_over_file_over_defaults),
		cmocka_unit_test(last_of_two_flags_wins),
		cmocka_unit_test(short_names_and_strangers_in_the_environment),
		cmocka_unit_test(file_form),
		cmocka_unit_test(numbers_of_each_kind),
		cmocka_unit_test(unknown_names_in_a_file),
		cmocka_unit_test(broken_files),
		cmocka_unit_test(values_that_are_not),
		cmocka_unit_test(numbers_that_are_not),
		cmocka_unit_test(texts_too_long),
		cmocka_unit_test(wrong_environment_and_flags),
		cmocka_unit_test(files_that_cannot_be_read),
		cmocka_unit_test(shown_settings_load_again),
		cmocka_unit_test(docs_name_every_setting),
		cmocka_unit_test(every_allocation_may_fail),
	};

	return cmocka_run_group_tests(tests, file_make, file_remove);
}
