/* library_local.c - the engine in this process: opening it, users on first use, calls as local requests on its loops. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/agent.h"
#include "app/app_priv.h"
#include "app/library_priv.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/http.h"
#include "identity/identity.h"

#define FLAGS_MAX 64

struct user_command {
	struct command command; /* first */
	struct library_call *call;
	struct principal_new user;
	struct str agent_name; /* of an agent's principal */
};

static void local_run(struct library *library, struct library_call *call, struct loop *loop);
static void local_cancel(struct library_call *call);
static struct loop *local_loop_of(struct library *library);
static void local_stop(struct library *library);
static enum err settings_load(struct library *library, const char *dir, const struct guild_options *options, char *detail);
static enum err memory_dir_make(char *out, size_t cap, char *detail);
static void memory_dir_remove(struct library *library);
static void dispatch(struct library_call *call, struct loop *loop, const struct caller *caller);
static void agent_run(struct library_call *call, struct loop *loop, const struct caller *by, struct str named);
static void principal_run(struct library_call *call, struct loop *loop, const struct principal *principal);
static void user_create(struct library_call *call, struct loop *loop, const struct caller *by, const struct agent *agent);
static enum err user_create_apply(struct command *command, struct db *db);
static void user_create_finish(struct command *command);
static void refuse(struct library_call *call, enum err err);
static void sink_reply(void *ctx, int status, struct str content_type, struct str body);
static void sink_begin(void *ctx);
static enum err sink_bytes(void *ctx, struct str text);
static void sink_end(void *ctx);

static const struct library_door local_door = {.run = local_run, .cancel = local_cancel, .loop_of = local_loop_of, .stop = local_stop};

static const struct command_row user_create_row = {
	.name = "user_create", .action = "create", .apply = user_create_apply, .finish = user_create_finish};

enum err library_local_open(struct library *library, const char *path, const struct guild_options *options, char *detail)
{
	char token[64];
	const char *dir = path;
	enum err err;

	if (strcmp(path, ":memory:") == 0) {
		err = memory_dir_make(library->memory_dir, sizeof(library->memory_dir), detail);
		if (err != ERR_OK) {
			return err;
		}
		dir = library->memory_dir;
	}
	err = settings_load(library, dir, options, detail);
	if (err != ERR_OK) {
		memory_dir_remove(library);
		return err;
	}
	err = guild_create(&library->config, false, &library->guild, token, detail);
	if (err == ERR_OK) {
		err = guild_start(library->guild, detail);
		if (err != ERR_OK) {
			guild_stop(&library->guild, 0);
		}
	}
	if (err != ERR_OK) {
		config_fini(&library->config);
		memory_dir_remove(library);
		return err;
	}
	library->door = &local_door;
	return ERR_OK;
}

/* ---- the door ---- */

static struct loop *local_loop_of(struct library *library)
{
	struct guild *guild = library->guild;
	return guild->loops[library->next_loop++ % guild->loop_count];
}

static void local_run(struct library *library, struct library_call *call, struct loop *loop)
{
	struct guild *guild = library->guild;
	const struct principal *operator_principal = identity_operator(guild->identity);
	struct caller caller;

	identity_caller(operator_principal, &caller);
	if (call->user.len == 0) {
		dispatch(call, loop, &caller);
		return;
	}
	struct str named = call->user;
	if (app_user_agent(&named)) {
		agent_run(call, loop, &caller, named);
		return;
	}
	const struct principal *user = identity_external(guild->identity, caller.workspace, call->user);
	if (user == NULL) {
		user = identity_find(guild->identity, guild, caller.workspace, call->user);
		if (user != NULL && (user->kind != PRINCIPAL_HUMAN || user->role > ROLE_MEMBER)) {
			/* An id that an outsider gave as a name gives nobody the rights of those who rule. */
			refuse(call, ERR_PERMISSION);
			return;
		}
	}
	if (user == NULL) {
		user_create(call, loop, &caller, NULL);
	} else {
		principal_run(call, loop, user);
	}
}

/* What the embedding program says of its own agents is trusted, as what it says of its users is. */
static void agent_run(struct library_call *call, struct loop *loop, const struct caller *by, struct str named)
{
	struct guild *guild = call->library->guild;
	const struct agent *agent = registry_find(guild->registry, guild, by->workspace, named);
	if (agent == NULL) {
		refuse(call, ERR_AGENT_NOT_FOUND);
		return;
	}
	const struct principal *principal = identity_agent(guild->identity, agent->id);
	if (principal == NULL) {
		user_create(call, loop, by, agent);
	} else {
		principal_run(call, loop, principal);
	}
}

static void principal_run(struct library_call *call, struct loop *loop, const struct principal *principal)
{
	struct caller caller;

	if (principal->disabled_at_us != 0) {
		refuse(call, ERR_PERMISSION);
		return;
	}
	identity_caller(principal, &caller);
	dispatch(call, loop, &caller);
}

/* Runs go to their end; a stream of events has none. */
static void local_cancel(struct library_call *call)
{
	http_local_hang_up(call->library->guild->http, call->loop, call);
}

static void local_stop(struct library *library)
{
	guild_stop(&library->guild, config_number(&library->config, CONFIG_server_drain));
	config_fini(&library->config);
	memory_dir_remove(library);
}

/* ---- opening ---- */

/* Settings in order of rank: the options', which are flags; the environment's; the file's. */
static enum err settings_load(struct library *library, const char *dir, const struct guild_options *options, char *detail)
{
	struct config_flag flags[FLAGS_MAX];
	size_t count = 0;
	struct arena arena;
	enum err err = ERR_OK;

	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	flags[count++] = (struct config_flag){"server.data", dir};
	/* A program that embeds the engine owns its standard error: unless it asks for more, it gets what went wrong. */
	if (getenv("GUILD_LOG_LEVEL") == NULL && (options == NULL || options->config_file == NULL)) {
		flags[count++] = (struct config_flag){"log.level", "warn"};
	}
	for (const char *const *at = options != NULL ? options->settings : NULL; at != NULL && *at != NULL; at++) {
		struct str rest = str_of(*at), name;
		bool split = str_split(&rest, '=', &name) && rest.at != NULL;
		struct str key = arena_copy(&arena, name);
		if (!split || key.at == NULL || count == FLAGS_MAX) {
			snprintf(detail, GUILD_DETAIL_BYTES, "setting \"%.200s\": \"section.key=value\" is wanted, at most %d of them", *at,
				FLAGS_MAX - 2);
			err = ERR_CONFIG;
			break;
		}
		flags[count++] = (struct config_flag){key.at, rest.at};
	}
	if (err == ERR_OK) {
		err = config_load(&library->config, options != NULL ? options->config_file : NULL, environ, flags, count, detail);
	}
	arena_fini(&arena);
	return err;
}

static enum err memory_dir_make(char *out, size_t cap, char *detail)
{
	const char *base = "/dev/shm";
	if (access(base, W_OK | X_OK) != 0) {
		const char *temporary = getenv("TMPDIR");
		base = temporary != NULL && temporary[0] != '\0' ? temporary : "/tmp";
	}
	int len = snprintf(out, cap, "%s/guild-XXXXXX", base);
	if (len < 0 || (size_t)len >= cap || mkdtemp(out) == NULL) {
		snprintf(detail, GUILD_DETAIL_BYTES, "%.200s: no directory can be made there; set TMPDIR to one that can be written", base);
		out[0] = '\0';
		return ERR_IO;
	}
	return ERR_OK;
}

static int entry_remove(const char *path, const struct stat *stat, int kind, struct FTW *at)
{
	(void)stat;
	(void)kind;
	(void)at;
	(void)remove(path);
	return 0;
}

static void memory_dir_remove(struct library *library)
{
	if (library->memory_dir[0] != '\0') {
		(void)nftw(library->memory_dir, entry_remove, 8, FTW_DEPTH | FTW_PHYS);
		library->memory_dir[0] = '\0';
	}
}

/* ---- requests ---- */

static void dispatch(struct library_call *call, struct loop *loop, const struct caller *caller)
{
	struct http_local_sink sink = {
		.reply = sink_reply, .stream_begin = sink_begin, .stream_bytes = sink_bytes, .stream_end = sink_end, .ctx = call};
	struct http_local_call request = {.method = call->method,
		.target = call->target,
		.body = call->body,
		.accept = call->on_event != NULL ? STR("text/event-stream") : STR("application/json"),
		.idempotency_key = call->idempotency_key};

	http_local_dispatch(call->library->guild->http, loop, &request, caller, &sink);
}

static void sink_reply(void *ctx, int status, struct str content_type, struct str body)
{
	struct library_call *call = ctx;
	library_call_head(call, status, content_type, false);
	library_call_bytes(call, body);
	library_call_done(call, ERR_OK);
}

static void sink_begin(void *ctx)
{
	library_call_head(ctx, 200, STR("text/event-stream"), true);
}

static enum err sink_bytes(void *ctx, struct str text)
{
	struct library_call *call = ctx;
	library_call_bytes(call, text);
	return call->broken;
}

static void sink_end(void *ctx)
{
	library_call_done(ctx, ERR_OK);
}

/* A problem document made here, for what goes wrong before there is a request. */
static void refuse(struct library_call *call, enum err err)
{
	const struct err_row *row = err_row(err_public(err));
	struct buf text;
	struct json_out json;

	buf_init(&text, LIMIT_BODY_BYTES);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("type"), STR("about:blank"));
	json_put_str(&json, STR("title"), row->text);
	json_put_int(&json, STR("status"), row->http_status);
	json_put_str(&json, STR("detail"), row->text);
	json_put_str(&json, STR("code"), row->code);
	json_object_end(&json);
	library_call_head(call, row->http_status, STR("application/problem+json"), false);
	library_call_bytes(call, buf_str(&text));
	buf_fini(&text);
	library_call_done(call, ERR_OK);
}

/* ---- users and agents on first use ---- */

static void user_create(struct library_call *call, struct loop *loop, const struct caller *by, const struct agent *agent)
{
	struct guild *guild = call->library->guild;
	struct command *command = command_new(guild->commands, &user_create_row, &call->arena, loop, by, sizeof(struct user_command));
	if (command == NULL) {
		refuse(call, ERR_MEMORY);
		return;
	}
	struct user_command *create = (struct user_command *)command;
	create->call = call;
	create->user = (struct principal_new){
		.id = guild_key(guild, loop),
		.workspace = identity_workspace(guild->identity),
		.kind = PRINCIPAL_HUMAN,
		.role = ROLE_MEMBER,
		.name = call->user,
		.external_id = call->user,
	};
	if (agent != NULL) {
		create->agent_name = arena_copy(&call->arena, agent->name);
		create->user.agent = agent->id;
		create->user.kind = PRINCIPAL_AGENT;
		create->user.role = ROLE_AGENT;
		create->user.name = create->agent_name;
		create->user.external_id = STR_NONE;
	}
	enum err err = agent != NULL && create->agent_name.at == NULL ? ERR_MEMORY : command_submit(command, false);
	if (err != ERR_OK) {
		refuse(call, err);
	}
}

static enum err user_create_apply(struct command *command, struct db *db)
{
	struct user_command *create = (struct user_command *)command;
	struct guild *guild = create->call->library->guild;
	int64_t now_us = command_now_us(command);

	enum err err = identity_principal_insert(guild->identity, db, &create->user, now_us);
	if (err != ERR_OK) {
		return err;
	}
	struct id_text by = id_format(&guild->id_secret, ID_PRINCIPAL, command->caller.principal);
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, create->user.id);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, create->user.agent);
	struct str role = role_word(create->user.role);
	struct audit_entry entry = {
		.workspace = create->user.workspace,
		.principal_id = id_str(&by),
		.principal_name = caller_name(&command->caller),
		.action = str_of(command->row->action),
		.outcome = OUTCOME_CHANGED,
		.start_us = now_us,
		.end_us = now_us,
		.change = arena_format(command->arena, "{\"user\":{\"id\":\"%s\",\"role\":\"%.*s\"}}", id.text, STR_FMT(role)),
	};
	if (create->user.agent != 0) {
		entry.agent_id = id_str(&agent);
		entry.agent_name = create->agent_name;
	}
	struct log_row row = {
		.kinds = LOG_AUDIT,
		.workspace = entry.workspace,
		.principal = command->caller.principal,
		.agent = create->user.agent,
		.action = entry.action,
		.outcome = entry.outcome,
	};
	if (entry.change.at == NULL) {
		return ERR_MEMORY;
	}
	err = audit_entry_put(command->arena, &entry, &row.entry);
	return err != ERR_OK ? err : command_log(command, db, &row);
}

static void user_create_finish(struct command *command)
{
	struct library_call *call = ((struct user_command *)command)->call;
	struct guild *guild = call->library->guild;
	int64_t agent = ((struct user_command *)command)->user.agent;

	/* Of two first calls at once for one user, the second finds the name taken: the user is there then. */
	const struct principal *user = agent != 0
		? identity_agent(guild->identity, agent)
		: identity_external(guild->identity, identity_workspace(guild->identity), call->user);
	if (user == NULL) {
		refuse(call, command->result != ERR_OK ? command->result : ERR_INTERNAL);
		return;
	}
	principal_run(call, call->loop, user);
}
