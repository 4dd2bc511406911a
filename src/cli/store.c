/* store.c - guild backup, restore and verify on files: without a server, or beside it. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "cli/cli_priv.h"
#include "cli/store_priv.h"
#include "db/backup.h"
#include "ops/ops.h"

#define DETAIL_BYTES 256
#define SHOWN_BYTES  (1 << 20)
#define PROGRESS_US  100000

struct progress {
	struct cli *cli;
	const char *what;
	int64_t shown_us;
	int signals;
	bool stopped;
};

static bool progress_due(struct progress *progress)
{
	int64_t now_us = env_mono_us(env_real());

	if (now_us - progress->shown_us < PROGRESS_US) {
		return false;
	}
	progress->shown_us = now_us;
	return true;
}

static int exit_of(enum err err)
{
	return err == ERR_IN_USE ? CLI_IN_USE : err == ERR_CANCELLED ? CLI_INTERRUPTED : CLI_FAILED;
}

static int fail(enum err err, const char *detail)
{
	return cli_fail(exit_of(err), "%s", detail[0] ? detail : err_row(err)->text.at);
}

/* ---- verify ---- */

static void verify_progress(struct progress *progress, const struct verify *verify)
{
	unsigned count;
	const struct verify_result *results = verify_results(verify, &count);
	unsigned now = verify_now(verify);

	if (now < count && progress_due(progress)) {
		cli_progress(&progress->cli->term, "checking %u of %u: %s, %lld rows", now + 1, count, results[now].text,
			     (long long)results[now].rows);
	}
}

static bool not_stopped(void *arg)
{
	struct progress *progress = arg;

	progress->stopped = progress->stopped || cli_signals_take(progress->signals);
	return !progress->stopped;
}

static enum err verify_walk(struct progress *progress, struct verify *verify)
{
	bool more = true;
	enum err err = ERR_OK;

	verify_go_on_set(verify, not_stopped, progress);
	while (err == ERR_OK && more) {
		err = not_stopped(progress) ? verify_step(verify, &more) : ERR_CANCELLED;
		verify_progress(progress, verify);
	}
	cli_progress(&progress->cli->term, NULL);
	return err;
}

static enum err copy_verify(void *arg, struct db *db, char *detail)
{
	struct progress *progress = arg;
	struct verify *verify;
	const struct verify_result *bad;
	int64_t version;
	enum err err = db_version(db, progress->what, &version, detail);

	if (!err) {
		err = verify_create(db, true, &verify);
	}
	if (err) {
		return err;
	}
	err = verify_walk(progress, verify);
	bad = verify_first_bad(verify);
	if (!err && bad) {
		snprintf(detail, DETAIL_BYTES, "the copy does not hold together: %.60s: %.150s", bad->text, bad->bad);
		err = ERR_CORRUPT;
	}
	verify_destroy(&verify);
	return err;
}

static int print_results(struct cli *cli, const struct verify *verify)
{
	struct json_out out;
	struct buf text;
	unsigned count;
	const struct verify_result *results = verify_results(verify, &count);
	int code;

	buf_init(&text, SHOWN_BYTES);
	json_begin(&out, &text);
	json_object(&out);
	verify_results_put(results, count, &out);
	json_object_end(&out);
	code = cli_verify_print(cli, buf_str(&text));
	buf_fini(&text);
	return code;
}

static int verify_file(struct cli *cli, const char *path, bool at_rest)
{
	struct progress progress = {.cli = cli};
	char detail[DETAIL_BYTES] = "";
	struct verify *verify = NULL;
	struct db *db = NULL;
	int64_t version;
	int code = CLI_OK;
	enum err err = db_open(path, DB_READER, &db, detail);

	err = err ? err : db_version(db, path, &version, detail);
	err = err ? err : verify_create(db, at_rest, &verify);
	if (!err) {
		progress.signals = cli_signals_open();
		err = verify_walk(&progress, verify);
		cli_signals_close(&progress.signals);
	}
	if (err) {
		code = fail(err, detail);
	} else {
		code = print_results(cli, verify);
	}
	verify_destroy(&verify);
	db_close(&db);
	return code;
}

/* Holding the directory also makes it: first it has to be one with a store. */
static int verify_dir(struct cli *cli, const char *dir)
{
	char detail[DETAIL_BYTES] = "";
	struct str path = arena_format(&cli->arena, "%s/guild.db", dir);
	struct db_dir *held;
	enum err err;
	int code;

	if (!path.at || access(path.at, F_OK) != 0) {
		return cli_fail(CLI_FAILED, "there is no store in %s", dir);
	}
	err = db_dir_lock(dir, &held, detail);
	if (err == ERR_IN_USE) {
		return cli_fail(CLI_IN_USE, "%s; without --data the server itself is asked", detail);
	}
	if (err) {
		return fail(err, detail);
	}
	code = verify_file(cli, path.at, true);
	db_dir_unlock(&held);
	return code;
}

int cli_run_verify(struct cli *cli)
{
	const char *data = cli_option(cli, "data");

	if (data && cli->operand_count) {
		return cli_fail(CLI_USAGE, "either a backup FILE or --data DIR");
	}
	if (data) {
		return verify_dir(cli, data);
	}
	return cli->operand_count ? verify_file(cli, cli->operands[0], true) : cli_verify_remote(cli);
}

/* ---- backup ---- */

static bool pages_progress(void *arg, int64_t pages, int64_t pages_all)
{
	struct progress *progress = arg;

	if (progress_due(progress)) {
		cli_progress(&progress->cli->term, "copying: %lld %% of %lld MiB", (long long)(pages_all ? pages * 100 / pages_all : 100),
			     (long long)(pages_all / 256));
	}
	return not_stopped(progress);
}

int cli_run_backup(struct cli *cli)
{
	const char *dir = cli_option(cli, "data");
	struct progress progress = {.cli = cli};
	char detail[DETAIL_BYTES] = "";
	struct db_backup backup = {.progress = pages_progress, .check = copy_verify, .arg = &progress, .to = cli->operands[0]};
	enum err err;

	if (!dir) {
		return cli_backup_remote(cli);
	}
	backup.from = arena_format(&cli->arena, "%s/guild.db", dir).at;
	if (!backup.from || access(backup.from, F_OK) != 0) {
		return cli_fail(CLI_FAILED, "there is no store in %s", dir);
	}
	progress.what = backup.to;
	progress.signals = cli_signals_open();
	err = db_backup_make(&backup, detail);
	cli_signals_close(&progress.signals);
	cli_progress(&cli->term, NULL);
	return err ? fail(err, detail) : cli_backup_print(cli, str_of(backup.to));
}

/* ---- restore ---- */

/* The store that was there keeps a name; the new one takes over the old name in one step. */
static enum err put_in_place(const char *fresh, const char *path, char *detail)
{
	char kept[4300], wal[4300], kept_wal[4300];

	snprintf(kept, sizeof(kept), "%s.replaced", path);
	snprintf(wal, sizeof(wal), "%s-wal", path);
	snprintf(kept_wal, sizeof(kept_wal), "%s.replaced-wal", path);
	unlink(kept);
	unlink(kept_wal);
	if (access(path, F_OK) == 0) {
		/* Where the old store is too broken for that, its log is kept beside it. */
		if (db_backup_fold(path, detail)) {
			detail[0] = 0;
		}
		if ((rename(wal, kept_wal) != 0 && errno != ENOENT) || link(path, kept) != 0) {
			snprintf(detail, DETAIL_BYTES, "the store that is there cannot be kept: %s", strerror(errno));
			return ERR_IO;
		}
	}
	if (rename(fresh, path) != 0 || db_backup_sync_name(path)) {
		snprintf(detail, DETAIL_BYTES, "the store cannot be put in its place: %s", strerror(errno));
		return ERR_IO;
	}
	snprintf(wal, sizeof(wal), "%s-shm", path);
	unlink(wal);
	return ERR_OK;
}

/* They are of what the log was; what it is now begins its own file. */
static void checkpoints_aside(const char *dir)
{
	char path[4300], kept[4320];

	snprintf(path, sizeof(path), "%s/audit.checkpoints", dir);
	snprintf(kept, sizeof(kept), "%s.replaced", path);
	if (rename(path, kept) != 0 && errno != ENOENT) {
		cli_fail(CLI_OK, "warning: %s cannot be set aside: %s; the audit log will not hold to it", path, strerror(errno));
	}
}

/* A backup of an earlier schema is brought to this one's, without another copy, and only then checked whole. */
static enum err migrate(struct progress *progress, const char *fresh, struct db *db, char *detail)
{
	char copy[4400];
	int64_t version;
	enum err err = db_version(db, fresh, &version, detail);

	if (err || version == db_version_newest()) {
		return err;
	}
	err = db_migrate(db, fresh, detail);
	snprintf(copy, sizeof(copy), "%s.bak-%lld", fresh, (long long)version);
	unlink(copy);
	return err ? err : copy_verify(progress, db, detail);
}

static enum err new_epoch(struct progress *progress, const char *fresh, const char *dir, char *detail)
{
	struct generation generation;
	struct db *db;
	bool renewed;
	enum err err = db_open(fresh, DB_WRITER, &db, detail);

	if (err) {
		return err;
	}
	err = migrate(progress, fresh, db, detail);
	err = err ? err : generation_start(db, dir, env_real(), true, &generation, &renewed, detail);
	db_close(&db);
	return err ? err : db_backup_fold(fresh, detail);
}

static int restore_into(struct cli *cli, const char *dir, const char *path)
{
	struct progress progress = {.cli = cli, .what = cli->operands[0]};
	const char *fresh = arena_format(&cli->arena, "%s.restored", path).at;
	char detail[DETAIL_BYTES] = "";
	struct db_backup backup = {.from = cli->operands[0], .to = fresh, .replace = true, .progress = pages_progress, .check = copy_verify,
				.arg = &progress};
	enum err err;

	if (!fresh) {
		return cli_fail(CLI_FAILED, "the name of the directory is too long");
	}
	progress.signals = cli_signals_open();
	err = db_backup_make(&backup, detail);
	err = err ? err : new_epoch(&progress, fresh, dir, detail);
	cli_signals_close(&progress.signals);
	cli_progress(&cli->term, NULL);
	err = err ? err : put_in_place(fresh, path, detail);
	if (err) {
		unlink(fresh);
		return fail(err, detail);
	}
	return CLI_OK;
}

int cli_run_restore(struct cli *cli)
{
	const char *dir = cli_option(cli, "data");
	char detail[DETAIL_BYTES] = "";
	struct db_dir *held;
	const char *path;
	enum err err;
	int code;

	if (!dir) {
		return cli_fail(CLI_USAGE, "--data DIR is missing: where to restore");
	}
	path = arena_format(&cli->arena, "%s/guild.db", dir).at;
	if (!path || access(cli->operands[0], R_OK) != 0) {
		return cli_fail(CLI_FAILED, "the backup %s cannot be read: %s", cli->operands[0], strerror(errno));
	}
	err = db_dir_lock(dir, &held, detail);
	if (err) {
		return fail(err, detail);
	}
	if (!cli_switch(cli, "force") && access(path, F_OK) == 0) {
		code = cli_fail(CLI_FAILED, "there is a store in %s already; --force replaces it and keeps it as guild.db.replaced", dir);
	} else {
		code = restore_into(cli, dir, path);
	}
	if (!code) {
		checkpoints_aside(dir);
	}
	db_dir_unlock(&held);
	if (code) {
		return code;
	}
	if (cli_switch(cli, "json")) {
		printf("{\"restored\":true}\n");
	} else {
		printf("Restored into %s, with a new epoch: clients that were further are told of a gap.\n", dir);
		if (access(arena_format(&cli->arena, "%s/guild.key", dir).at, F_OK) != 0 ||
		    access(arena_format(&cli->arena, "%s/audit.key", dir).at, F_OK) != 0) {
			printf("Put guild.key and audit.key of the store that was backed up there before starting the server.\n");
		}
	}
	return cli_out_flush();
}
