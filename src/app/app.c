/* app.c - builds the whole program in one place and names its drivers. */
#include "app/app.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "agent/agent.h"
#include "agent/tally.h"
#include "app/app_priv.h"
#include "audit/notary.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "command/idempotency.h"
#include "command/quota.h"
#include "db/file.h"
#include "execution/execution_priv.h"
#include "execution/external.h"
#include "governance/govern.h"
#include "governance/ledger.h"
#include "growth/growth.h"
#include "http/client.h"
#include "identity/identity.h"
#include "identity/key.h"
#include "ops/ops.h"
#include "provider/provider.h"
#include "social/social.h"

#define DETAIL_BYTES 256
#define DEFAULT_BASE_URL "https://api.openai.com/v1"

static const struct http_route *const route_tables[] = {execution_routes, agent_routes, workspace_routes, governance_routes, policy_routes,
							 approval_routes, money_routes, growth_routes, feedback_routes, identity_routes,
							 key_routes,	   session_routes, social_rate_routes, social_post_routes,
							 social_channel_routes, social_reaction_routes, social_message_routes,
							 social_feed_routes,
							 ops_routes,	   NULL};

static enum err step_directory(struct guild *guild, char *detail);
static enum err step_loops(struct guild *guild, char *detail);
static enum err step_store(struct guild *guild, char *detail);
static enum err step_meta(struct guild *guild, char *detail);
static enum err step_people(struct guild *guild, char *token_out, char *detail);
static enum err step_providers(struct guild *guild, char *detail);
static enum err step_doors(struct guild *guild, char *detail);
static void settings_fill(struct guild *guild);

enum err guild_create(const struct config *config, bool listen, struct guild **out, char token_out[64], char *detail)
{
	return guild_create_in(env_real(), NULL, config, listen, out, token_out, detail);
}

enum err guild_create_in(const struct env *env, const struct transport *transport, const struct config *config, bool listen,
			 struct guild **out, char token_out[64], char *detail)
{
	struct guild *guild = mem_alloc(sizeof(*guild));
	struct app *app = mem_alloc(sizeof(*app));
	token_out[0] = 0;
	detail[0] = 0;
	if (guild == NULL || app == NULL) {
		mem_free(guild);
		mem_free(app);
		snprintf(detail, DETAIL_BYTES, "out of memory");
		return ERR_MEMORY;
	}
	guild->app = app;
	guild->env = env;
	guild->config = config;
	guild->started_at_us = env_wall_us(guild->env);
	app->listen = listen;
	app->transport = transport;
	settings_fill(guild);
	app_log_set(config);
	enum err err = listen ? listener_probe(transport, config_text(config, CONFIG_server_listen), detail) : ERR_OK;
	err = err == ERR_OK ? http_client_global_init() : err;
	err = err == ERR_OK ? step_directory(guild, detail) : err;
	err = err == ERR_OK ? step_loops(guild, detail) : err;
	err = err == ERR_OK ? step_store(guild, detail) : err;
	err = err == ERR_OK ? step_meta(guild, detail) : err;
	err = err == ERR_OK ? step_people(guild, token_out, detail) : err;
	err = err == ERR_OK ? step_providers(guild, detail) : err;
	err = err == ERR_OK ? step_doors(guild, detail) : err;
	if (err != ERR_OK) {
		if (detail[0] == 0) {
			snprintf(detail, DETAIL_BYTES, "cannot start: %s", err_row(err)->text.at);
		}
		app_destroy(&guild);
		return err;
	}
	*out = guild;
	return ERR_OK;
}

void app_log_set(const struct config *config)
{
	enum log_level level = LOG_INFO;
	(void)log_level_parse(config_text(config, CONFIG_log_level), &level);
	log_set(level, config_is(config, CONFIG_log_form, STR("json")));
}

static void settings_fill(struct guild *guild)
{
	const struct config *c = guild->config;
	guild->settings = (struct guild_settings){
		.connect_timeout_us = config_number(c, CONFIG_execution_connect_timeout),
		.first_byte_timeout_us = config_number(c, CONFIG_execution_first_byte_timeout),
		.idle_timeout_us = config_number(c, CONFIG_execution_idle_timeout),
		.total_timeout_us = config_number(c, CONFIG_execution_total_timeout),
		.answer_bytes_max = config_number(c, CONFIG_execution_answer_max),
		.output_tokens_max = config_number(c, CONFIG_execution_output_tokens_max),
		.history_bytes_max = config_number(c, CONFIG_execution_history_bytes),
		.session_queue = config_number(c, CONFIG_execution_session_queue),
		.workspace_runs = config_number(c, CONFIG_execution_workspace_runs),
		.durable = config_is(c, CONFIG_store_durability, STR("durable")),
		.token_batch_us = config_number(c, CONFIG_store_token_batch),
		.keep_finished_us = config_number(c, CONFIG_execution_keep_finished),
		.posts_hour = {0, config_number(c, CONFIG_social_posts_student), config_number(c, CONFIG_social_posts_intern),
			       config_number(c, CONFIG_social_posts_supervised), config_number(c, CONFIG_social_posts_autonomous)},
		.messages_hour = {0, config_number(c, CONFIG_social_messages_student), config_number(c, CONFIG_social_messages_intern),
				  config_number(c, CONFIG_social_messages_supervised), config_number(c, CONFIG_social_messages_autonomous)},
		.reactions_hour = {0, config_number(c, CONFIG_social_reactions_student), config_number(c, CONFIG_social_reactions_intern),
				   config_number(c, CONFIG_social_reactions_supervised), config_number(c, CONFIG_social_reactions_autonomous)},
		.auto_post_us = config_number(c, CONFIG_social_auto_post_every),
		.pair_hour = config_number(c, CONFIG_social_pair_answers),
		.retention_events_us = config_number(c, CONFIG_retention_events),
		.retention_events_bytes = config_number(c, CONFIG_retention_events_bytes),
		.retention_tokens_us = config_number(c, CONFIG_retention_tokens),
		.retention_executions_us = config_number(c, CONFIG_retention_executions),
		.retention_audit_us = config_number(c, CONFIG_retention_audit),
		.retention_every_us = config_number(c, CONFIG_retention_every),
		.unknown_price_in = config_number(c, CONFIG_budgets_unknown_price_in),
		.unknown_price_out = config_number(c, CONFIG_budgets_unknown_price_out),
		.allowed_emails = config_text(c, CONFIG_social_allowed_emails)};
}

static enum err step_directory(struct guild *guild, char *detail)
{
	struct app *app = guild->app;
	str_to_z(config_text(guild->config, CONFIG_server_data), app->dir, sizeof(app->dir));
	snprintf(app->path, sizeof(app->path), "%s/guild.db", app->dir);
	guild->data_dir = app->dir;
	snprintf(app->checkpoints, sizeof(app->checkpoints), "%s/audit.checkpoints", app->dir);
	guild->checkpoints = app->checkpoints;
	return db_dir_lock(app->dir, &app->lock, detail);
}

static enum err step_loops(struct guild *guild, char *detail)
{
	int64_t count = config_number(guild->config, CONFIG_server_loops);
	(void)detail;
	if (count == 0) {
		count = sysconf(_SC_NPROCESSORS_ONLN);
	}
	count = count < 1 ? 1 : count > LIMIT_LOOPS ? LIMIT_LOOPS : count;
	enum err err = snap_domain_create(&guild->snap);
	for (unsigned i = 0; err == ERR_OK && i < (unsigned)count; i++) {
		struct loop_options options = {.env = guild->env, .transport = guild->app->transport, .number = i, .snap = guild->snap};
		err = loop_create(&options, &guild->loops[i]);
		guild->loop_count += err == ERR_OK;
	}
	for (unsigned i = 0; err == ERR_OK && i < guild->loop_count; i++) {
		err = http_client_create(guild->loops[i], &guild->clients[i]);
	}
	return err;
}

static enum err step_quota(struct guild *guild)
{
	const int64_t most[QUOTA_KINDS] = {[QUOTA_AGENTS] = config_number(guild->config, CONFIG_quota_agents),
					   [QUOTA_SESSIONS] = config_number(guild->config, CONFIG_quota_sessions),
					   [QUOTA_TOKENS] = config_number(guild->config, CONFIG_quota_tokens)};
	return quota_create(most, &guild->quota);
}

/* The notary hears of every commit. */
static size_t notary_mark(void *ctx)
{
	(void)ctx;
	return 0;
}

static void notary_undo_to(void *ctx, size_t mark)
{
	(void)ctx;
	(void)mark;
}

static void notary_committed(void *ctx)
{
	struct guild *guild = ctx;
	if (guild->notary != NULL) {
		audit_notary_committed(guild->notary, command_head_seq(guild->commands));
	}
}

static enum err step_notary(struct guild *guild, char *detail)
{
	struct audit_notary_options options = {.env = guild->env,
					       .dir = guild->app->dir,
					       .epoch = guild->epoch,
					       .rows = config_number(guild->config, CONFIG_audit_checkpoint_rows),
					       .every_us = config_number(guild->config, CONFIG_audit_checkpoint_every),
					       .loop = guild->loops[0],
					       .writer = guild->writer,
					       .readers = guild->readers};
	return audit_notary_create(&options, &guild->notary, detail);
}

static enum err step_policy(struct guild *guild)
{
	struct policy_options options = {.unknown_level = (int)config_number(guild->config, CONFIG_governance_unknown_level),
					 .off = config_is(guild->config, CONFIG_governance_mode, STR("off"))};
	return policy_set_create(guild->env, guild->snap, &options, &guild->policies);
}

static enum err catalogue_read(const struct config *config, struct catalogue **out, char *detail)
{
	struct str path = config_text(config, CONFIG_providers_catalogue);
	char text[4096], said[512] = "";
	enum err err = catalogue_load(str_to_z(path, text, sizeof(text)), out, said);
	snprintf(detail, DETAIL_BYTES, "%.255s", said);
	return err;
}

static enum err step_money(struct guild *guild, char *detail)
{
	struct catalogue *catalogue;
	enum err err = catalogue_read(guild->config, &catalogue, detail);
	if (err == ERR_OK) {
		atomic_store(&guild->app->catalogue.now, catalogue);
		guild->catalogue = &guild->app->catalogue;
		guild->agent_budget = ledger_agent_budget;
		err = ledger_create(guild, &guild->ledger);
	}
	return err;
}

static enum err step_store(struct guild *guild, char *detail)
{
	struct app *app = guild->app;
	enum err err = identity_create(guild->env, guild->snap, &guild->identity);
	err = err == ERR_OK ? registry_create(guild->env, guild->snap, &guild->registry) : err;
	err = err == ERR_OK ? step_policy(guild) : err;
	err = err == ERR_OK ? tally_table_create(&guild->tallies) : err;
	err = err == ERR_OK ? approval_create(guild, config_number(guild->config, CONFIG_governance_approval_ttl), &guild->approvals) : err;
	err = err == ERR_OK ? step_quota(guild) : err;
	err = err == ERR_OK ? admit_create(guild, &guild->admission) : err;
	err = err == ERR_OK ? step_money(guild, detail) : err;
	err = err == ERR_OK ? social_create(guild, &guild->social) : err;
	err = err == ERR_OK ? bus_history_create(LIMIT_HISTORY_RING_EVENTS, LIMIT_HISTORY_RING_BYTES, &guild->history) : err;
	if (err != ERR_OK) {
		return err;
	}
	identity_quota_set(guild->identity, guild->quota);
	struct command_overlay overlays[7 + SOCIAL_OVERLAYS + LEDGER_OVERLAYS + 1] = {
		admit_overlay(guild->admission),
		identity_overlay(guild->identity), registry_overlay(guild->registry), quota_overlay(guild->quota), policy_set_overlay(guild->policies),
		tally_overlay(guild->tallies),
		{.ctx = guild, .mark = notary_mark, .undo_to = notary_undo_to, .committed = notary_committed}};
	social_overlays(guild->social, &overlays[7]);
	ledger_overlays(guild->ledger, &overlays[7 + SOCIAL_OVERLAYS]);
	struct command_options commands = {.env = guild->env,
					   .id_secret = &guild->id_secret,
					   .epoch = &guild->epoch,
					   .history = guild->history,
					   .loops = guild->loops,
					   .loop_count = guild->loop_count,
					   .overlays = overlays,
					   .recheck = govern_recheck,
					   .decided = govern_decided,
					   .recheck_ctx = guild};
	err = command_runner_create(&commands, &guild->commands);
	if (err == ERR_OK) {
		err = bus_create(guild->env, guild->loops, guild->loop_count, command_event_render, guild->commands, &guild->bus);
	}
	if (err != ERR_OK) {
		return err;
	}
	command_bus_set(guild->commands, guild->bus);
	struct writer_options writer = {.env = guild->env,
					.path = app->path,
					.hooks = command_hooks(guild->commands),
					.checkpoint_bytes = config_number(guild->config, CONFIG_store_checkpoint)};
	err = writer_create(&writer, &guild->writer, detail);
	if (err != ERR_OK) {
		return err;
	}
	unsigned readers = (unsigned)config_number(guild->config, CONFIG_server_readers);
	return reader_create(guild->env, guild->snap, app->path, readers, &guild->readers, detail);
}

/* A value of the store's own, made on first start. */
static enum err meta_bytes(struct guild *guild, struct str name, void *out, size_t len)
{
	struct db *db = writer_db(guild->writer);
	struct arena arena;
	struct str value;
	arena_init(&arena, 4096);
	enum err err = db_meta_get(db, name, &arena, &value);
	if (err == ERR_OK && value.len == len) {
		memcpy(out, value.at, len);
	} else if (err == ERR_OK) {
		err = ERR_CORRUPT;
	} else if (err == ERR_NOT_FOUND) {
		env_random(guild->env, out, len);
		err = db_meta_put(db, name, str_make(out, len));
	}
	arena_fini(&arena);
	return err;
}

static enum err step_generation(struct guild *guild, char *detail)
{
	struct app *app = guild->app;
	bool renewed;
	enum err err = generation_start(writer_db(guild->writer), app->dir, guild->env, false, &app->generation, &renewed, detail);
	if (err == ERR_OK && renewed) {
		log_at(LOG_WARN, "store_epoch_new", log_s("reason", STR("the store is older than its directory remembers, or came from elsewhere; "
									"clients are told of a gap")));
	}
	guild->epoch = app->generation.epoch;
	return err;
}

static enum err step_meta(struct guild *guild, char *detail)
{
	int64_t floor_key;
	enum err err = meta_bytes(guild, STR("id_secret"), &guild->id_secret, sizeof(guild->id_secret));
	err = err == ERR_OK ? step_generation(guild, detail) : err;
	err = err == ERR_OK ? execution_key_max(writer_db(guild->writer), &floor_key) : err;
	if (err != ERR_OK) {
		return err;
	}
	for (unsigned i = 0; i < guild->loop_count; i++) {
		id_gen_init(&guild->id_gens[i], i, floor_key);
	}
	id_gen_init(&guild->id_gens[LIMIT_LOOPS], LIMIT_LOOPS, floor_key);
	err = command_attach(guild->commands, guild->writer);
	return err == ERR_OK ? step_notary(guild, detail) : err;
}

struct token_place {
	struct guild *guild;
	char *detail;
};

static enum err token_write(void *ctx, const char *token)
{
	struct token_place *place = ctx;
	struct guild *guild = place->guild;
	char line[TOKEN_TEXT_LEN + 2];
	int len = snprintf(line, sizeof(line), "%s\n", token);
	if (db_file_replace(guild->app->dir, "admin.token", str_make(line, (size_t)len)) != 0) {
		snprintf(place->detail, DETAIL_BYTES, "cannot write the first token to %.140s/admin.token; check the directory's permissions",
			 guild->app->dir);
		return ERR_IO;
	}
	return ERR_OK;
}

static enum err step_people(struct guild *guild, char *token_out, char *detail)
{
	struct db *db = writer_db(guild->writer);
	char token[TOKEN_TEXT_LEN + 1] = "";
	struct token_place place = {guild, detail};
	enum err err = identity_load(guild->identity, db);
	err = err == ERR_OK ? registry_load(guild->registry, db) : err;
	err = err == ERR_OK ? approval_load(guild->approvals, db) : err;
	err = err == ERR_OK ? social_load(guild->social, db) : err;
	err = err == ERR_OK ? ledger_load(guild->ledger, db) : err;
	err = err == ERR_OK ? identity_first_start(guild->identity, guild, token_write, &place, token) : err;
	err = err == ERR_OK ? agent_first_start(guild->registry, guild) : err;
	err = err == ERR_OK ? policy_set_load(guild->policies, guild) : err;
	if (err == ERR_OK && token[0] != 0) {
		snprintf(token_out, 64, "%s", token);
	}
	return err;
}

static enum err step_keyring(struct guild *guild, char *detail)
{
	struct db *db = writer_db(guild->writer);
	struct arena arena;
	struct str kept;
	uint8_t value[32];
	const char *hex = getenv("GUILD_KEY");
	arena_init(&arena, 4096);
	enum err found = db_meta_get(db, STR("key_check"), &arena, &kept);
	enum err err = keyring_open(guild->app->dir, str_of(hex != NULL ? hex : ""), found == ERR_NOT_FOUND, &guild->keyring, detail);
	if (err == ERR_OK) {
		keyring_check_value(guild->keyring, value);
		if (found == ERR_NOT_FOUND) {
			err = db_meta_put(db, STR("key_check"), str_make(value, sizeof(value)));
		} else if (found != ERR_OK || kept.len != sizeof(value) || !hash_equal(kept.at, value, sizeof(value))) {
			snprintf(detail, DETAIL_BYTES,
				 "the key file %.120s/guild.key is not the one this store was made with; put the right one back", guild->app->dir);
			err = ERR_KEY;
		}
	}
	arena_fini(&arena);
	return err;
}

/* Said at start: every run would fail without it. */
static enum err ca_file_check(struct str path, char *detail)
{
	if (path.len == 0 || access(path.at, R_OK) == 0) {
		return ERR_OK;
	}
	snprintf(detail, DETAIL_BYTES, "[openai] ca_file = %.120s cannot be read: %s", path.at, strerror(errno));
	return ERR_CONFIG;
}

static enum err step_providers(struct guild *guild, char *detail)
{
	struct app *app = guild->app;
	const char *key = getenv("OPENAI_API_KEY");
	struct str base_url = config_text(guild->config, CONFIG_openai_base_url);
	enum err err = step_keyring(guild, detail);
	if (err == ERR_OK && config_number(guild->config, CONFIG_providers_builtin) == 1) {
		err = provider_builtin_create(&app->builtin);
		guild->builtin = err == ERR_OK ? &app->builtin : NULL;
	}
	if (err == ERR_OK) {
		err = ca_file_check(config_text(guild->config, CONFIG_openai_ca_file), detail);
	}
	if (err != ERR_OK) {
		return err;
	}
	guild->openai_configured = base_url.len > 0 || (key != NULL && key[0] != 0);
	if (base_url.len == 0 && config_is(guild->config, CONFIG_providers_ollama, STR("auto")) && !guild->openai_configured &&
	    app_ollama_there()) {
		base_url = STR("http://127.0.0.1:11434/v1");
		guild->openai_configured = true;
	}
	struct provider_openai_options options = {.base_url = base_url.len > 0 ? base_url : STR(DEFAULT_BASE_URL),
						  .model = config_text(guild->config, CONFIG_openai_model),
						  .api_key = str_of(key != NULL ? key : ""),
						  .ca_file = config_text(guild->config, CONFIG_openai_ca_file),
						  .clients = guild->clients,
						  .client_count = guild->loop_count,
						  .connect_timeout_us = guild->settings.connect_timeout_us,
						  .first_byte_timeout_us = guild->settings.first_byte_timeout_us,
						  .idle_timeout_us = guild->settings.idle_timeout_us,
						  .total_timeout_us = guild->settings.total_timeout_us,
						  .answer_bytes_max = guild->settings.answer_bytes_max};
	err = provider_openai_create(&options, &app->openai);
	if (err == ERR_OK) {
		guild->openai = &app->openai;
	} else {
		snprintf(detail, DETAIL_BYTES, "[openai] base_url = %.160s is not an http or https URL", base_url.at);
	}
	return err;
}

static enum err authenticate(void *ctx, struct str token, int64_t wall_us, struct caller *out)
{
	struct guild *guild = ctx;
	return identity_authenticate(guild->identity, token, wall_us, out);
}

static enum err authenticate_session(void *ctx, struct str session, int64_t wall_us, struct caller *out)
{
	struct guild *guild = ctx;
	return identity_authenticate_session(guild->identity, session, wall_us, out);
}

/* To act as an agent takes its own token, as an end user the scope for it. */
static enum err acts_as(void *ctx, struct caller *caller, struct str user, const char **detail)
{
	struct guild *guild = ctx;
	struct str named = user;
	if (!app_user_agent(&named)) {
		return identity_act_as(guild, caller, user, detail);
	}
	const struct agent *agent = registry_find(guild->registry, guild, caller->workspace, named);
	if (agent == NULL) {
		return ERR_AGENT_NOT_FOUND;
	}
	*detail = "The token is not that agent's own.";
	return caller->role == ROLE_AGENT && caller->agent == agent->id ? ERR_OK : ERR_PERMISSION;
}

static void act_new(void *ctx, struct http_request *request, const struct caller *asker, struct str user)
{
	identity_act_new(ctx, request, asker, user);
}

bool app_user_agent(struct str *user)
{
	static const struct str prefix = STR("agent:");
	bool agent = str_starts(*user, prefix);
	*user = agent ? str_sub(*user, prefix.len, user->len) : *user;
	return agent;
}

static struct http_limits limits_of(const struct config *c)
{
	return (struct http_limits){.head_timeout_us = config_number(c, CONFIG_http_head_timeout),
				    .body_rate_bytes = config_number(c, CONFIG_http_body_rate),
				    .sign_in_timeout_us = config_number(c, CONFIG_http_sign_in_timeout),
				    .idle_timeout_us = config_number(c, CONFIG_http_idle_timeout),
				    .ws_ping_us = config_number(c, CONFIG_http_ws_ping),
				    .ws_close_us = config_number(c, CONFIG_http_ws_close),
				    .sse_comment_us = config_number(c, CONFIG_http_sse_comment),
				    .rate_per_s = config_number(c, CONFIG_http_rate),
				    .rate_burst = config_number(c, CONFIG_http_rate_burst),
				    .sign_in_rate_per_s = config_number(c, CONFIG_http_sign_in_rate)};
}

/* A file that is wrong changes nothing. */
static void catalogue_reload(struct guild *guild, const struct config *config)
{
	struct catalogue *catalogue;
	char detail[DETAIL_BYTES];
	enum err err = catalogue_read(config, &catalogue, detail);
	if (err != ERR_OK) {
		log_at(LOG_ERROR, "catalogue_refused", log_s("reason", str_of(detail)));
		return;
	}
	err = catalogue_replace(guild->catalogue, guild->writer, guild->snap, catalogue);
	if (err != ERR_OK) {
		catalogue_destroy(&catalogue);
		log_at(LOG_ERROR, "catalogue_refused", log_s("reason", err_row(err)->text));
	}
}

void guild_reload(struct guild *guild, const struct config *config)
{
	struct http_limits limits = limits_of(config);
	app_log_set(config);
	http_server_limits_set(guild->http, &limits);
	catalogue_reload(guild, config);
}

static enum err step_doors(struct guild *guild, char *detail)
{
	const struct config *c = guild->config;
	struct app *app = guild->app;
	bool good = app_origins_read(config_text(c, CONFIG_http_origins), &app->origins) &&
		    app_origins_read(config_text(c, CONFIG_http_cors_origins), &app->cors_origins);
	if (!good) {
		snprintf(detail, DETAIL_BYTES,
			 "http.origins and http.cors_origins take at most %d origins like https://console.example, no path, no *", APP_ORIGINS_MAX);
		return ERR_INVALID;
	}
	struct http_options options = {.env = guild->env,
				       .tables = route_tables,
				       .ctx = guild,
				       .authenticate = authenticate,
				       .authenticate_session = authenticate_session,
				       .acts_as = acts_as,
				       .act_new = act_new,
				       .limited = ops_limited,
				       .look = idempotency_look,
				       .reply = idempotency_reply,
				       .secret = &guild->id_secret,
				       .loop_count = guild->loop_count,
				       .limits = limits_of(c),
				       .body_bytes_max = (size_t)config_number(c, CONFIG_http_body_max),
				       .origins = app->origins.list,
				       .cors_origins = app->cors_origins.list};
	enum err err = http_server_create(&options, &guild->http);
	err = err == ERR_OK ? idempotency_create(guild, &guild->idempotency) : err;
	err = err == ERR_OK ? ops_create(guild, &guild->ops) : err;
	err = err == ERR_OK ? engine_create(guild, &guild->engine) : err;
	if (err == ERR_OK) {
		struct external_door door = ops_external_door(guild->ops);
		struct social_answerer answerer = execution_answerer(guild->engine);
		external_door_set(guild->engine, &door);
		social_answerer_set(guild->social, &answerer);
	}
	return err == ERR_OK ? engine_recover(guild->engine) : err;
}
