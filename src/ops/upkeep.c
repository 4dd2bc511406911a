/*
 * upkeep.c - POST and GET /v1/backup and /v1/verify: long work on the store of a running server.
 *
 * Each of the two has a thread of its own while it is at work, with its own connection, so that neither loops nor readers wait for it.
 */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/timefmt.h"
#include "command/change.h"
#include "ops/ops_priv.h"

#define PAUSE_US   1000 /* between two reads: the disk is not ours alone */
#define PATH_BYTES 4400
#define NAME_BYTES 104
#define CHECKS_MAX 32
#define TEXT_BYTES 65536

enum task_state { TASK_IDLE, TASK_RUNNING, TASK_DONE, TASK_FAILED };

struct task {
	struct guild *guild;
	void (*work)(struct task *task);
	struct thread thread;
	struct thread_gate pause; /* opened to stop */
	bool joinable;            /* of the loop that begins, under the lock */
	atomic_bool stopping;
	pthread_mutex_t lock;     /* what follows is read by loops while the thread works */
	enum task_state state;
	const char *now;          /* static */
	int64_t done, total, started_us, ended_us;
	char error[256];
	char name[NAME_BYTES];
	char path[PATH_BYTES];
	struct verify_result results[CHECKS_MAX];
	unsigned result_count;
};

struct upkeep {
	struct task backup, verify;
};

static void backup_work(struct task *task);
static void verify_work(struct task *task);

/* ---- life ---- */

static void task_init(struct task *task, struct guild *guild, void (*work)(struct task *))
{
	task->guild = guild;
	task->work = work;
	thread_gate_init(&task->pause);
	pthread_mutex_init(&task->lock, NULL);
}

static void task_fini(struct task *task)
{
	atomic_store(&task->stopping, true);
	thread_gate_open(&task->pause);
	if (task->joinable) {
		thread_join(&task->thread);
	}
	pthread_mutex_destroy(&task->lock);
	thread_gate_fini(&task->pause);
}

/* What a server that was killed left half done. */
static void parts_forget(const char *data_dir)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/backups", data_dir);
	DIR *dir = opendir(path);
	struct dirent *entry;
	while (dir != NULL && (entry = readdir(dir)) != NULL) {
		struct str name = str_of(entry->d_name);
		if (str_ends(name, STR(".part"))) {
			snprintf(path, sizeof(path), "%s/backups/%.*s", data_dir, (int)name.len - 5, name.at);
			db_backup_forget(path);
		}
	}
	if (dir != NULL) {
		closedir(dir);
	}
}

enum err upkeep_create(struct guild *guild, struct upkeep **out)
{
	struct upkeep *upkeep = mem_alloc(sizeof(*upkeep));
	*out = upkeep;
	if (upkeep == NULL) {
		return ERR_MEMORY;
	}
	task_init(&upkeep->backup, guild, backup_work);
	task_init(&upkeep->verify, guild, verify_work);
	if (guild->data_dir != NULL) {
		parts_forget(guild->data_dir);
	}
	return ERR_OK;
}

void upkeep_destroy(struct upkeep **upkeep)
{
	if (*upkeep != NULL) {
		task_fini(&(*upkeep)->backup);
		task_fini(&(*upkeep)->verify);
		mem_free(*upkeep);
		*upkeep = NULL;
	}
}

/* ---- on the task's thread ---- */

static bool go_on(void *arg)
{
	struct task *task = arg;
	(void)thread_gate_wait(&task->pause, PAUSE_US);
	return !atomic_load(&task->stopping);
}

static void progress_set(struct task *task, const char *now, int64_t done, int64_t total)
{
	pthread_mutex_lock(&task->lock);
	task->now = now;
	task->done = done;
	task->total = total;
	pthread_mutex_unlock(&task->lock);
}

static void task_end(struct task *task, enum err err, const char *detail)
{
	pthread_mutex_lock(&task->lock);
	task->state = err == ERR_OK ? TASK_DONE : TASK_FAILED;
	task->ended_us = env_wall_us(task->guild->env);
	snprintf(task->error, sizeof(task->error), "%s", err == ERR_OK ? "" : detail[0] != '\0' ? detail : err_row(err)->text.at);
	pthread_mutex_unlock(&task->lock);
}

static bool pages_progress(void *arg, int64_t pages, int64_t pages_all)
{
	struct task *task = arg;
	progress_set(task, pages < pages_all ? "copying pages" : "checking the copy", pages, pages_all);
	return go_on(task);
}

static enum err copy_verify(void *arg, struct db *db, char *detail)
{
	struct task *task = arg;
	struct verify *verify;
	bool more = true;
	enum err err = verify_create(db, true, &verify);
	if (err != ERR_OK) {
		return err;
	}
	verify_go_on_set(verify, go_on, task);
	while (err == ERR_OK && more) {
		err = go_on(task) ? verify_step(verify, &more) : ERR_CANCELLED;
	}
	const struct verify_result *bad = verify_first_bad(verify);
	if (err == ERR_OK && bad != NULL) {
		snprintf(detail, 256, "the copy does not hold together: %.60s: %.150s", bad->text, bad->bad);
		err = ERR_CORRUPT;
	}
	verify_destroy(&verify);
	return err;
}

static void backup_work(struct task *task)
{
	char from[PATH_BYTES], detail[256] = "";
	struct db_backup backup = {.from = from, .to = task->path, .progress = pages_progress, .check = copy_verify, .arg = task};
	snprintf(from, sizeof(from), "%s/guild.db", task->guild->data_dir);
	enum err err = db_backup_make(&backup, detail);
	if (err == ERR_OK) {
		log_at(LOG_INFO, "backup_made", log_s("path", str_of(task->path)));
	} else {
		log_at(LOG_ERROR, "backup_failed", log_s("path", str_of(task->path)), log_s("reason", str_of(detail)));
	}
	task_end(task, err, detail);
}

static void results_set(struct task *task, const struct verify *verify)
{
	unsigned count;
	const struct verify_result *results = verify_results(verify, &count);
	unsigned now = verify_now(verify);
	check(count <= CHECKS_MAX);
	pthread_mutex_lock(&task->lock);
	memcpy(task->results, results, count * sizeof(results[0]));
	task->result_count = count;
	task->now = now < count ? results[now].text : NULL;
	task->done = now;
	task->total = count;
	pthread_mutex_unlock(&task->lock);
}

static void verify_work(struct task *task)
{
	char path[PATH_BYTES], detail[256] = "";
	struct verify *verify = NULL;
	struct db *db = NULL;
	bool more = true;
	snprintf(path, sizeof(path), "%s/guild.db", task->guild->data_dir);
	enum err err = db_open(path, DB_READER, &db, detail);
	err = err == ERR_OK ? verify_create(db, false, &verify) : err;
	while (err == ERR_OK && more) {
		err = go_on(task) ? verify_step(verify, &more) : ERR_CANCELLED;
		results_set(task, verify);
	}
	if (err == ERR_OK && verify_first_bad(verify) != NULL) {
		log_at(LOG_ERROR, "verify_found", log_s("check", str_of(verify_first_bad(verify)->name)),
		       log_s("reason", str_of(verify_first_bad(verify)->bad)));
	}
	verify_destroy(&verify);
	db_close(&db);
	task_end(task, err, detail);
}

static void thread_run(void *arg)
{
	struct task *task = arg;
	task->work(task);
}

/* ---- on a loop ---- */

/* ERR_CONFLICT while it is at work already. */
static enum err task_begin(struct task *task, const char *name)
{
	enum err err = ERR_OK;
	pthread_mutex_lock(&task->lock);
	if (task->state == TASK_RUNNING) {
		err = ERR_CONFLICT;
	} else {
		/* The thread of the last time has nothing left to do but to end. */
		if (task->joinable) {
			thread_join(&task->thread);
			task->joinable = false;
		}
		task->started_us = env_wall_us(task->guild->env);
		task->ended_us = task->done = task->total = 0;
		task->now = NULL;
		task->error[0] = '\0';
		task->result_count = 0;
		snprintf(task->name, sizeof(task->name), "%s", name);
		snprintf(task->path, sizeof(task->path), "%s/backups/%s", task->guild->data_dir, name);
		task->state = TASK_RUNNING;
		err = thread_start(&task->thread, "upkeep", thread_run, task);
		task->joinable = err == ERR_OK;
		task->state = err == ERR_OK ? TASK_RUNNING : TASK_FAILED;
	}
	pthread_mutex_unlock(&task->lock);
	return err;
}

static void put_time(struct json_out *json, struct str name, int64_t at_us)
{
	struct time_text text = time_format(at_us);
	json_put_str_or_null(json, name, at_us != 0 ? time_str(&text) : STR_NONE);
}

static struct str or_null(const char *text)
{
	return text != NULL && text[0] != '\0' ? str_of(text) : STR_NONE;
}

static void task_put(struct task *task, bool is_backup, struct json_out *json)
{
	static const char *const words[] = {
		[TASK_IDLE] = "idle", [TASK_RUNNING] = "running", [TASK_DONE] = "done", [TASK_FAILED] = "failed"};
	json_object(json);
	json_put_str(json, STR("state"), str_of(words[task->state]));
	json_put_str_or_null(json, STR("now"), task->state == TASK_RUNNING ? or_null(task->now) : STR_NONE);
	json_put_int(json, STR("done"), task->done);
	json_put_int(json, STR("total"), task->total);
	json_put_str_or_null(json, STR("error"), or_null(task->error));
	put_time(json, STR("started_at"), task->started_us);
	put_time(json, STR("ended_at"), task->ended_us);
	if (is_backup) {
		json_put_str_or_null(json, STR("name"), or_null(task->name));
		json_put_str_or_null(json, STR("path"), task->state != TASK_IDLE ? or_null(task->path) : STR_NONE);
	} else {
		verify_results_put(task->results, task->result_count, json);
	}
	json_object_end(json);
}

static void task_reply(struct http_request *request, struct guild *guild, struct task *task, int status)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, TEXT_BYTES);
	json_begin(&json, &text);
	pthread_mutex_lock(&task->lock);
	task_put(task, task == &ops_upkeep(guild->ops)->backup, &json);
	pthread_mutex_unlock(&task->lock);
	http_reply_header(request, "Cache-Control", STR("no-store"));
	change_reply(request, status, &text);
}

void upkeep_backup_get(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	task_reply(request, guild, &ops_upkeep(guild->ops)->backup, 200);
}

void upkeep_verify_get(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	task_reply(request, guild, &ops_upkeep(guild->ops)->verify, 200);
}

/* ---- begun by a request, and in the audit log before it begins ---- */

struct upkeep_change {
	struct change change; /* first */
	struct task *task;
	char name[NAME_BYTES];
};

static enum err begin_apply(struct command *command, struct db *db)
{
	return change_log((struct change *)command, db);
}

static void begin_finish(struct command *command)
{
	struct upkeep_change *begin = (struct upkeep_change *)command;
	struct http_request *request = begin->change.request;
	struct guild *guild = begin->change.guild;
	if (change_refused(&begin->change)) {
		return;
	}
	enum err err = task_begin(begin->task, begin->name);
	if (err != ERR_OK) {
		http_reply_error(request, err, err == ERR_CONFLICT ? "One is at work already." : NULL);
		return;
	}
	task_reply(request, guild, begin->task, 202);
}

static const struct command_row backup_row = {"backup", "backup", begin_apply, NULL, begin_finish};
static const struct command_row verify_row = {"verify", "verify", begin_apply, NULL, begin_finish};

static struct upkeep_change *begin_new(struct guild *guild, struct http_request *request, const struct command_row *row, struct task *task)
{
	struct upkeep_change *begin = change_new(guild, request, row, sizeof(*begin));
	if (begin != NULL) {
		begin->task = task;
		begin->name[0] = '\0';
	}
	return begin;
}

static void begin_submit(struct upkeep_change *begin, struct str change)
{
	enum err err = change_audit(&begin->change, &(struct change_what){.change = change, .outcome = OUTCOME_STARTED});
	change_submit(&begin->change, err);
}

void upkeep_verify_post(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct upkeep_change *begin = begin_new(guild, request, &verify_row, &ops_upkeep(guild->ops)->verify);
	if (begin != NULL) {
		begin_submit(begin, STR_NONE);
	}
}

/* A name stays in its directory and is no hidden file, nor a part of one. */
static bool name_is_good(struct str name)
{
	bool good = name.len > 0 && name.len < NAME_BYTES && name.at[0] != '.' && name.at[0] != '-' && !str_ends(name, STR(".part"));
	for (size_t i = 0; good && i < name.len; i++) {
		char c = name.at[i];
		good = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' || c == '_';
	}
	return good;
}

static void name_from_time(int64_t now_us, char name[NAME_BYTES])
{
	struct time_text text = time_format(now_us);
	size_t len = (size_t)snprintf(name, NAME_BYTES, "guild-");
	for (size_t i = 0; i < 19; i++) {
		char c = text.text[i];
		if (c != '-' && c != ':') {
			name[len++] = c;
		}
	}
	snprintf(name + len, NAME_BYTES - len, "Z.db");
}

static enum err directory_make(struct guild *guild)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/backups", guild->data_dir);
	(void)mkdir(path, 0700);
	return access(path, W_OK) == 0 ? ERR_OK : ERR_STORE_UNAVAILABLE;
}

void upkeep_backup_post(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	struct str name;
	char made[NAME_BYTES], path[PATH_BYTES];
	if (!http_body_str(request, "name", &name)) {
		name_from_time(env_wall_us(guild->env), made);
		name = str_of(made);
	}
	if (!name_is_good(name)) {
		http_reply_invalid(request, "name", "A file's name of letters, digits, dots and dashes is wanted here, not ending in .part.");
		return;
	}
	snprintf(path, sizeof(path), "%s/backups/%.*s", guild->data_dir, STR_FMT(name));
	if (access(path, F_OK) == 0) {
		http_reply_error(request, ERR_CONFLICT, "There is a backup of that name already.");
		return;
	}
	if (directory_make(guild) != ERR_OK) {
		http_reply_error(request, ERR_STORE_UNAVAILABLE, NULL);
		return;
	}
	struct upkeep_change *begin = begin_new(guild, request, &backup_row, &ops_upkeep(guild->ops)->backup);
	if (begin != NULL) {
		str_to_z(name, begin->name, sizeof(begin->name));
		begin_submit(begin, arena_format(&request->arena, "{\"name\":\"%.*s\"}", STR_FMT(name)));
	}
}
