/* main.c - the program's entry: the server itself, or a verb of the command line. */
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/app.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "loop/loop.h"

#define DETAIL_BYTES 512

/* There when the program was built with the leak sanitizer, which looks at it as a debugger does. */
void __lsan_do_leak_check(void) __attribute__((weak));

/* Keys and tokens are for nobody else's eyes: no files that others can read, no core, no debugger of the same user (T16, T42). */
static void close_to_others(void)
{
	static const struct rlimit none = {0, 0};

	umask(077);
	(void)!setrlimit(RLIMIT_CORE, &none);
	if (!__lsan_do_leak_check) {
		(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	}
}

static void start_log(const struct config *config)
{
	enum log_level level = LOG_INFO;

	if (log_level_parse(config_text(config, CONFIG_log_level), &level)) {
		log_set(level, config_is(config, CONFIG_log_form, STR("json")));
	}
}

/* Until there is TLS, tokens would travel in the clear. */
static int check_listen(const struct config *config)
{
	struct str listen = config_text(config, CONFIG_server_listen);
	struct conn_address address;

	if (conn_address_parse(listen, &address) != ERR_OK) {
		return cli_fail(CLI_CONFIG, "server.listen = '%.*s' has to be an address and a port, like 127.0.0.1:8420 or [::1]:8420",
				STR_FMT(listen));
	}
	if (address.loopback) {
		return CLI_OK;
	}
	if (!config_number(config, CONFIG_server_insecure_listen)) {
		return cli_fail(CLI_CONFIG, "server.listen = %.*s can be reached from other machines, and tokens would travel there "
				"unencrypted; listen on 127.0.0.1, or add --insecure-listen when a proxy in front brings TLS",
				STR_FMT(listen));
	}
	return cli_fail(CLI_OK, "warning: %.*s can be reached from other machines without TLS (--insecure-listen)", STR_FMT(listen));
}

static void greet(const struct guild *guild, const struct config *config, const char *token)
{
	struct str host = config_text(config, CONFIG_server_listen);
	struct str data = config_text(config, CONFIG_server_data);

	while (host.len > 0 && host.at[host.len - 1] != ':') {
		host.len--;
	}
	printf("guild " GUILD_VERSION " listening on http://%.*s%u\n", STR_FMT(host), (unsigned)guild->port);
	if (*token) {
		printf("first operator token: %s  (also in %.*s/admin.token)\n", token, STR_FMT(data));
	}
	printf("curl -N http://%.*s%u/v1/chat -H ", STR_FMT(host), (unsigned)guild->port);
	if (*token) {
		printf("'Authorization: Bearer %s'", token);
	} else {
		printf("\"Authorization: Bearer $(cat '%.*s/admin.token')\"", STR_FMT(data));
	}
	printf(" -H 'Content-Type: application/json' -d '{\"message\":\"hello\",\"stream\":true}'\n");
	fflush(stdout);
}

/* SIGHUP: what may change without a new start is taken over; a wrong file changes nothing. */
static void reload(struct guild *guild, const char *file, const struct config_flag *flags, size_t flag_count)
{
	struct config config;
	char detail[DETAIL_BYTES];

	if (config_load(&config, file, environ, flags, flag_count, detail) != ERR_OK) {
		log_at(LOG_ERROR, "reload_refused", log_s("reason", str_of(detail)));
		return;
	}
	guild_reload(guild, &config);
	log_at(LOG_INFO, "reloaded", log_s("file", str_of(file ? file : "none")));
	config_fini(&config);
}

/* Runs until SIGTERM or SIGINT. */
static void wait_for_end(struct guild *guild, const sigset_t *signals, const char *file, const struct config_flag *flags, size_t flag_count)
{
	int signal_number = 0;

	while (signal_number != SIGTERM && signal_number != SIGINT) {
		if (sigwait(signals, &signal_number) == 0 && signal_number == SIGHUP) {
			reload(guild, file, flags, flag_count);
		}
	}
	log_at(LOG_INFO, "stopping", log_s("signal", str_of(signal_number == SIGTERM ? "SIGTERM" : "SIGINT")));
}

static int exit_of(enum err err)
{
	return err == ERR_IN_USE ? CLI_IN_USE : err == ERR_CONFIG || err == ERR_INVALID ? CLI_CONFIG : CLI_FAILED;
}

static int run_server(const struct config *config, const sigset_t *signals, const char *file, const struct config_flag *flags,
		      size_t flag_count)
{
	struct guild *guild = NULL;
	char token[64] = "";
	char detail[DETAIL_BYTES] = "";
	sigset_t interrupt;
	enum err err = guild_create(config, true, &guild, token, detail);

	if (!err) {
		err = guild_start(guild, detail);
	}
	if (err) {
		if (guild) {
			guild_stop(&guild, 0);
		}
		return cli_fail(exit_of(err), "%s", detail[0] ? detail : err_row(err)->text.at);
	}
	greet(guild, config, token);
	explicit_bzero(token, sizeof(token));
	wait_for_end(guild, signals, file, flags, flag_count);
	/* A second Ctrl-C does not wait for the drain: recovery at the next start settles what it cuts off. */
	sigemptyset(&interrupt);
	sigaddset(&interrupt, SIGINT);
	pthread_sigmask(SIG_UNBLOCK, &interrupt, NULL);
	guild_stop(&guild, config_number(config, CONFIG_server_drain));
	return CLI_OK;
}

static int serve(const char *file, const struct config_flag *flags, size_t flag_count)
{
	struct config config;
	char detail[DETAIL_BYTES];
	sigset_t signals;
	int code;

	close_to_others();
	mem_keep(LIMIT_FREED_KEPT_BYTES);
	/* Before any thread: all of them inherit it, and sigwait alone gets these. */
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	if (config_load(&config, file, environ, flags, flag_count, detail) != ERR_OK) {
		return cli_fail(CLI_CONFIG, "%s", detail);
	}
	start_log(&config);
	code = check_listen(&config);
	if (!code) {
		code = run_server(&config, &signals, file, flags, flag_count);
	}
	config_fini(&config);
	return code;
}

int main(int argc, char **argv)
{
	return cli_main(argc, argv, serve);
}
