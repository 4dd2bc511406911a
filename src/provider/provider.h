/*
 * provider.h - where answers come from.
 *
 * For:     one interface for every model provider: start a completion, get deltas, exactly one end.
 * Not for: choosing (execution CHOOSE, routing later), prompts, money.
 * Threads: start, cancel and all callbacks on one loop.
 * Memory:  the request is borrowed until start returned (drivers copy what they send). A call belongs to the driver until done.
 * Errors:  if start returns an error, no callback ever comes; if ok, done comes exactly once, never before start returned, and
 *          after cancel too (with ERR_CANCELLED, in a later turn).
 */
#ifndef GUILD_PROVIDER_PROVIDER_H
#define GUILD_PROVIDER_PROVIDER_H

#include "base/arena.h"
#include "base/err.h"
#include "loop/loop.h"

enum provider_role { PROVIDER_SYSTEM, PROVIDER_USER, PROVIDER_ASSISTANT };

struct provider_message {
	enum provider_role role;
	struct str content;
};

struct provider_request {
	struct str model;                 /* at NULL: the driver's configured or only model */
	const struct provider_message *messages;
	size_t message_count;
	int64_t output_tokens_max;
	struct str trace_id;              /* sent as X-Request-Id; may be empty */
	struct str api_key;               /* at NULL: the configured one, or none */
	struct str base_url;              /* goes with api_key; at NULL: the configured one */
	bool public_only;                 /* base_url was not written by the operator: it must lead to a public address */
};

struct provider_result {
	enum err err;                     /* OK; PROVIDER_FAILED (answer cap too), PROVIDER_TIMEOUT, CANCELLED, NO_PROVIDER (no model) */
	struct str finish_reason;         /* "stop", "length", ...; static or borrowed during done */
	bool has_usage;
	int64_t tokens_in, tokens_out, tokens_cached; /* cached: part of in that the provider had already */
	int http_status;                  /* 0 when there was none */
	int64_t retry_after_ms;           /* 0 when not given */
	/* static word for the log: "ok", "cancelled", "status", "cut", "in_band", "garbage", "not_sse", "line_too_long", "too_long",
	 * "model_unknown", "memory", or what the HTTP client says: "connect", "tls", "first_byte", "idle", "total" */
	const char *log_reason;
	struct str model;                 /* the model that answered, as the provider says */
};

struct provider_sink {
	/* text is valid UTF-8, never empty, never ends inside a code point. */
	void (*delta)(void *ctx, struct str text);
	void (*done)(void *ctx, const struct provider_result *result);
	void *ctx;
};

struct provider_call;

struct provider_driver {
	const char *name;   /* "openai", "builtin" */
	enum err (*start)(void *self, struct loop *loop, const struct provider_request *request, const struct provider_sink *sink,
			  struct provider_call **out);
	/* Stops the upstream request at once; done follows. */
	void (*cancel)(struct provider_call *call);
	/* The model used when a request names none; at NULL when it is not known yet. Written into out (cap bytes). */
	struct str (*default_model)(void *self, char *out, size_t cap);
};

struct provider {
	const struct provider_driver *driver;
	void *self;
	struct str name;    /* shown to users: "openai", "builtin" */
};

/* ---- builtin: a rule-based responder that says it is no language model ---- */
enum err provider_builtin_create(struct provider *out) MUST_USE;
void provider_builtin_destroy(struct provider *provider);
/* The whole answer for a conversation, deterministic; made in arena. (What the driver streams word by word.) */
struct str builtin_answer(struct arena *arena, const struct provider_message *messages, size_t message_count);

/* ---- openai: chat completions over HTTP(S), any compatible server ---- */
struct http_client; /* http/client.h */
struct provider_openai_options {
	struct str base_url;              /* "https://api.openai.com/v1": as written by the operator */
	struct str model;                 /* may be empty: asked of GET {base}/models, must list exactly one */
	struct str api_key;               /* may be empty */
	struct str ca_file;               /* may be empty; not for a request with a base_url of its own */
	struct http_client *const *clients; /* by loop number */
	unsigned client_count;
	int64_t connect_timeout_us, first_byte_timeout_us, idle_timeout_us, total_timeout_us;
	int64_t answer_bytes_max;
};
enum err provider_openai_create(const struct provider_openai_options *options, struct provider *out) MUST_USE;
void provider_openai_destroy(struct provider *provider);

/* ---- keyring: provider keys sealed at rest (libsodium) ---- */
struct keyring;
/* Text in locked, guarded memory owned by the struct: wipe it with keyring_wipe as soon as it was used. */
struct keyring_secret { char *at; size_t len; };
/* Loads DIR/guild.key (0600, made when missing and create is true) or the 32 bytes in hexadecimal from key_hex (environment). detail
 * (256 bytes) names file and remedy. ERR_KEY. */
enum err keyring_open(const char *dir, struct str key_hex, bool create, struct keyring **out, char *detail) MUST_USE;
void keyring_close(struct keyring **keyring);
/* Copies plain into locked memory: for a key that stays in use. ERR_LIMIT, ERR_MEMORY. */
enum err keyring_keep(struct str plain, struct keyring_secret *out) MUST_USE;
/* Seals plain; bound to workspace, provider, host and key id: opening with others fails. Made in arena.
 * ERR_INVALID when plain is empty or over LIMIT_PROVIDER_KEY_BYTES. */
enum err keyring_seal(struct keyring *keyring, struct arena *arena, int64_t workspace, struct str provider, struct str host,
		      int64_t key_id, struct str plain, struct str *sealed) MUST_USE;
/* ERR_KEY when it was not sealed by this key file for exactly these. */
enum err keyring_unseal(struct keyring *keyring, int64_t workspace, struct str provider, struct str host, int64_t key_id,
			struct str sealed, struct keyring_secret *out) MUST_USE;
void keyring_wipe(struct keyring_secret *secret);
/* A keyed check value kept in the store's meta, to notice a wrong key file at start. */
void keyring_check_value(struct keyring *keyring, uint8_t out[32]);
/* "sk-a…wxyz": first and last 4 characters, made in arena; fewer than 12 characters show none of them: "…". */
struct str keyring_shown(struct arena *arena, struct str plain);

#endif
