/*
 * guild.h - the parts of a running server, as features see them.
 *
 * For:     the context of every route handler and command: where the other parts are.
 * Not for: building them (app/app.c fills this struct and nothing else does).
 * Threads: the struct is constant after start; each part says its own threads.
 * Memory:  owned by app/.
 */
#ifndef GUILD_COMMAND_GUILD_H
#define GUILD_COMMAND_GUILD_H

#include <stdatomic.h>

#include "base/id.h"
#include "base/limits.h"
#include "command/command.h"

struct identity;
struct registry;
struct tally_table;
struct policy_set;
struct approvals;
struct quota;
struct idempotency;
struct http_request;
struct engine;
struct admission;
struct http_server;
struct http_client;
struct keyring;
struct provider;
struct config;
struct ops;
struct audit_notary;
struct ledger;
struct catalogue_place;
struct json_out;
struct social;
struct app; /* app.c's own */

/* Settings that features read; app/ fills them from the configuration. */
struct guild_settings {
	int64_t connect_timeout_us, first_byte_timeout_us, idle_timeout_us, total_timeout_us;
	int64_t answer_bytes_max, output_tokens_max, history_bytes_max;
	int64_t session_queue;               /* messages waiting in one session */
	int64_t workspace_runs;              /* of one workspace at the same time; 0: no limit */
	int64_t token_batch_us, keep_finished_us;
	bool durable;                        /* no token is seen before it is on disk; agents may say otherwise */
	/* What agents may do in an hour, by enum maturity; -1: no limit. */
	int64_t posts_hour[5], messages_hour[5], reactions_hour[5];
	int64_t auto_post_us;                /* least time between two automatic posts of one agent; 0: any */
	int64_t pair_hour;                   /* automatic answers of one agent to one other in an hour */
	/* How long things are kept, and how often that is looked after; 0: for ever. */
	int64_t retention_events_us, retention_events_bytes, retention_tokens_us, retention_executions_us, retention_audit_us;
	int64_t retention_every_us;
	int64_t unknown_price_in, unknown_price_out; /* micro-units for a million tokens of what has no price */
	struct str allowed_emails;           /* addresses and @domains that are not redacted, separated by commas */
};

/* What others tell runs. A stop ends them on every loop: made before a commit, so that it cannot fail after it; sent, which consumes it, or freed. */
struct guild;
struct run_stop;
struct guild_runs {
	struct run_stop *(*stop_make)(struct guild *guild);
	/* Those of that agent (0: any) in that workspace, waiting ones too. reason is static. */
	void (*stop_send)(struct run_stop **stop, int64_t workspace, int64_t agent, const char *reason);
	void (*stop_free)(struct run_stop **stop);
	/* More runs of that workspace may begin than before. On a loop. */
	void (*places_changed)(struct guild *guild, struct loop *loop, int64_t workspace);
};

struct guild {
	const struct env *env;
	const struct config *config;         /* for app/ and cli/ alone */
	struct guild_settings settings;
	struct siphash_key id_secret;
	int64_t epoch;                       /* of the store: 53 random bits */
	const char *checkpoints;             /* file that the audit log's checkpoints are appended to; NULL: none */
	unsigned loop_count;
	struct loop *loops[64];
	struct id_gen id_gens[64];           /* by loop number; slot of loop i is used on loop i only, the last by the writer */
	struct snap_domain *snap;
	struct writer *writer;
	struct reader_pool *readers;
	struct bus *bus;
	struct bus_history *history;
	struct command_runner *commands;
	struct audit_notary *notary;         /* NULL: nobody signs */
	struct identity *identity;
	struct registry *registry;
	struct tally_table *tallies;         /* NULL: nothing is counted of agents */
	struct policy_set *policies;
	struct approvals *approvals;
	struct quota *quota;                 /* NULL: there are none */
	struct ledger *ledger;               /* NULL: there are no budgets */
	struct catalogue_place *catalogue;   /* NULL: no price is known */
	/* Writes an agent's budget as a JSON value; NULL: null. Set with the ledger, which agents know nothing of. */
	void (*agent_budget)(struct guild *guild, int64_t agent, struct json_out *out);
	struct idempotency *idempotency;
	/* Answers a repeated request with the run that the first one started; set by the engine. */
	void (*run_again)(struct guild *guild, struct http_request *request, int64_t execution);
	/* The same for what only its audit entry tells of; set by approval_create. False: the entry is of another kind, or of a refusal. */
	bool (*entry_again)(struct http_request *request, struct str entry, struct str audit_id);
	const struct guild_runs *runs;       /* set by the engine; NULL: nothing runs */
	struct admission *admission;
	struct engine *engine;
	struct http_server *http;
	struct ops *ops;
	struct social *social;
	struct http_client *clients[64];     /* by loop number */
	struct keyring *keyring;             /* NULL when there is none */
	struct provider *openai;             /* NULL when not configured */
	bool openai_configured;              /* by the operator; else it is used by callers with a key of their own */
	struct provider *builtin;            /* NULL when off */
	unsigned port;                       /* bound; 0 until listening */
	const char *data_dir;                /* of the store guild.db; NULL in tests of parts */
	int64_t started_at_us;               /* wall */
	atomic_bool stopping;
	struct app *app;
};

/* A new key on that loop. */
static inline int64_t guild_key(struct guild *guild, struct loop *loop)
{
	return id_next(&guild->id_gens[loop_number(loop)], env_wall_us(guild->env));
}

/* In apply: a new key. Keys made so are in the order of commits, as times from command_now_us are: for what is listed newest first. */
static inline int64_t guild_writer_key(struct guild *guild, int64_t now_us)
{
	return id_next(&guild->id_gens[LIMIT_LOOPS], now_us);
}

#endif
