/* identity.c - workspaces, principals, tokens and provider keys in memory. */
#include "identity/identity_priv.h"

#include <stdio.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "command/overlay.h"
#include "command/quota.h"
#include "wire/json.h"
#include "wire/utf8.h"

enum {
	MARK_BITS = 16,
	LOAD_COMMIT_ROWS = 256,
	KEYS_MAX = 100000,
};

/* What a token's hash leads to. */
struct token_entry {
	int64_t id, principal, expires_at_us;
	int64_t parent;  /* of a session of the console: its token; else 0 */
	uint32_t scopes; /* 0: all */
	uint8_t hash[HASH_SHA256_BYTES];
};

/* From an external id, or an agent (external_id at NULL), to its principal. */
struct name_entry {
	int64_t workspace, agent, principal;
	struct str external_id;
};

enum { TABLE_PRINCIPALS, TABLE_TOKENS, TABLE_NAMES, TABLE_KEYS, TABLES };

struct identity {
	const struct env *env;
	struct siphash_key seed;
	int64_t workspace;
	struct quota *quota;    /* may be NULL */
	int64_t first_operator; /* set at start-up, before the threads */
	int64_t first_system;   /* the same */
	struct overlay tables[TABLES];
};

struct load {
	struct identity *identity;
	enum err err;
	size_t count;
};

static enum err table_put(struct identity *identity, int table, uint64_t key, void *value);
static uint64_t token_key(const uint8_t hash[HASH_SHA256_BYTES]);
static uint64_t external_key(const struct identity *identity, int64_t workspace, struct str external_id);
static uint64_t agent_key(const struct identity *identity, int64_t agent);
static enum err names_put(struct identity *identity, const struct principal *principal);
static enum err token_entry_put(struct identity *identity, const struct token_row *token);
static size_t overlays_mark(void *ctx);
static void overlays_undo_to(void *ctx, size_t mark);
static void overlays_committed(void *ctx);
static bool load_principal(const struct principal *principal, void *arg);
static bool load_token(const struct token_row *token, void *arg);
static bool load_key(const struct key_row *key, void *arg);

/* ---- words ---- */

static const struct str role_words[] = {
	[ROLE_NONE] = {"none", 4},
	[ROLE_VIEWER] = {"viewer", 6},
	[ROLE_MEMBER] = {"member", 6},
	[ROLE_ADMIN] = {"admin", 5},
	[ROLE_OPERATOR] = {"operator", 8},
	[ROLE_AGENT] = {"agent", 5},
};

struct str role_word(enum role role)
{
	return role > ROLE_NONE && role <= ROLE_AGENT ? role_words[role] : role_words[ROLE_NONE];
}

bool role_parse(struct str word, enum role *out)
{
	for (enum role role = ROLE_VIEWER; role <= ROLE_AGENT; role++) {
		if (str_eq_case(word, role_words[role])) {
			*out = role;
			return true;
		}
	}
	return false;
}

/* ---- life ---- */

enum err identity_create(const struct env *env, struct snap_domain *snap, struct identity **out)
{
	static const size_t entries_max[TABLES] = {LIMIT_PRINCIPALS, LIMIT_TOKENS, LIMIT_PRINCIPALS, KEYS_MAX};
	struct identity *identity = mem_alloc(sizeof(*identity));
	if (identity == NULL) {
		return ERR_MEMORY;
	}
	identity->env = env;
	env_random(env, &identity->seed, sizeof(identity->seed));
	for (int i = 0; i < TABLES; i++) {
		overlay_init(&identity->tables[i], snap, entries_max[i], mem_free);
	}
	*out = identity;
	return ERR_OK;
}

void identity_destroy(struct identity **identity)
{
	if (*identity == NULL) {
		return;
	}
	for (int i = 0; i < TABLES; i++) {
		overlay_fini(&(*identity)->tables[i]);
	}
	mem_free(*identity);
	*identity = NULL;
}

enum err identity_load(struct identity *identity, struct db *db)
{
	struct load load = {.identity = identity};
	enum err err = identity_workspace_first(db, &identity->workspace);
	if (err == ERR_OK) {
		err = principal_rows(db, 0, INT64_MAX, load_principal, &load);
	}
	if (err == ERR_OK && load.err == ERR_OK) {
		err = token_rows(db, 0, INT64_MAX, load_token, &load);
	}
	if (err == ERR_OK && load.err == ERR_OK) {
		err = key_rows(db, 0, INT64_MAX, load_key, &load);
	}
	overlays_committed(identity);
	return err != ERR_OK ? err : load.err;
}

struct command_overlay identity_overlay(struct identity *identity)
{
	return (struct command_overlay){identity, overlays_mark, overlays_undo_to, overlays_committed, NULL};
}

/* ---- who is asking ---- */

/* A token and the secret of a session are no good at each other's door. */
static enum err authenticate(struct identity *identity, struct str token, bool session, int64_t wall_us, struct caller *out)
{
	uint8_t hash[HASH_SHA256_BYTES];
	if (token.len != TOKEN_TEXT_LEN) {
		return ERR_UNAUTHENTICATED;
	}
	hash_sha256(token, hash);
	const struct token_entry *entry = overlay_get_published(&identity->tables[TABLE_TOKENS], token_key(hash));
	if (entry == NULL || !hash_equal(entry->hash, hash, sizeof(hash)) || (entry->parent != 0) != session) {
		return ERR_UNAUTHENTICATED;
	}
	if (entry->expires_at_us != 0 && entry->expires_at_us <= wall_us) {
		return ERR_UNAUTHENTICATED;
	}
	const struct principal *principal = identity_principal(identity, entry->principal);
	if (principal == NULL || principal->disabled_at_us != 0) {
		return ERR_UNAUTHENTICATED;
	}
	identity_caller(principal, out);
	out->token = session ? entry->parent : entry->id;
	out->session = session ? entry->id : 0;
	out->expires_at_us = entry->expires_at_us;
	out->scopes &= entry->scopes != 0 ? entry->scopes : SCOPES_ALL;
	return ERR_OK;
}

enum err identity_authenticate(struct identity *identity, struct str token, int64_t wall_us, struct caller *out)
{
	return authenticate(identity, token, false, wall_us, out);
}

enum err identity_authenticate_session(struct identity *identity, struct str secret, int64_t wall_us, struct caller *out)
{
	return authenticate(identity, secret, true, wall_us, out);
}

const struct principal *identity_principal(struct identity *identity, int64_t id)
{
	return overlay_get_published(&identity->tables[TABLE_PRINCIPALS], (uint64_t)id);
}

const struct principal *identity_external(struct identity *identity, int64_t workspace, struct str external_id)
{
	const struct name_entry *entry =
		overlay_get_published(&identity->tables[TABLE_NAMES], external_key(identity, workspace, external_id));
	if (entry == NULL || entry->workspace != workspace || !str_eq(entry->external_id, external_id)) {
		return NULL;
	}
	return identity_principal(identity, entry->principal);
}

const struct principal *identity_agent(struct identity *identity, int64_t agent)
{
	const struct name_entry *entry = overlay_get_published(&identity->tables[TABLE_NAMES], agent_key(identity, agent));
	bool same = entry != NULL && entry->external_id.at == NULL && entry->agent == agent;
	return same ? identity_principal(identity, entry->principal) : NULL;
}

void identity_quota_set(struct identity *identity, struct quota *quota)
{
	identity->quota = quota;
}

void identity_workspace_set(struct identity *identity, int64_t workspace)
{
	identity->workspace = workspace;
}

int64_t identity_workspace(const struct identity *identity)
{
	return identity->workspace;
}

const struct principal *identity_operator(struct identity *identity)
{
	return identity->first_operator != 0 ? identity_principal(identity, identity->first_operator) : NULL;
}

const struct principal *identity_system(struct identity *identity)
{
	return identity->first_system != 0 ? identity_principal(identity, identity->first_system) : NULL;
}

void identity_caller(const struct principal *principal, struct caller *out)
{
	struct str name = str_sub(principal->name, 0, sizeof(out->name));
	name.len = utf8_whole(name);
	*out = (struct caller){.principal = principal->id,
		.workspace = principal->workspace,
		.agent = principal->agent,
		.role = principal->role,
		.scopes = scope_set_of(principal->role),
		.name_len = (uint8_t)name.len};
	memcpy(out->name, name.at, name.len);
}

void principal_json(struct guild *guild, const struct principal *principal, struct json_out *out)
{
	json_object(out);
	principal_members(guild, principal, out);
	json_object_end(out);
}

void principal_members(struct guild *guild, const struct principal *principal, struct json_out *out)
{
	static const struct str kinds[] = {
		[PRINCIPAL_HUMAN] = {"human", 5}, [PRINCIPAL_AGENT] = {"agent", 5}, [PRINCIPAL_SYSTEM] = {"system", 6}};
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, principal->id);
	struct id_text workspace = id_format(&guild->id_secret, ID_WORKSPACE, principal->workspace);
	struct time_text created = time_format(principal->created_at_us);
	struct time_text disabled = time_format(principal->disabled_at_us);
	json_put_str(out, STR("id"), id_str(&id));
	json_put_str(out, STR("kind"), kinds[principal->kind]);
	json_put_str(out, STR("name"), principal->name);
	json_put_str(out, STR("role"), role_word(principal->role));
	json_put_str(out, STR("workspace_id"), id_str(&workspace));
	json_put_raw(out, STR("specialty"), principal->specialty);
	json_put_str_or_null(out, STR("disabled_at"), principal->disabled_at_us != 0 ? time_str(&disabled) : STR_NONE);
	json_put_str(out, STR("created_at"), time_str(&created));
}

/* ---- in apply ---- */

const struct principal *identity_writer_principal(struct identity *identity, int64_t id)
{
	return overlay_get(&identity->tables[TABLE_PRINCIPALS], (uint64_t)id);
}

int64_t identity_writer_agent_principal(struct identity *identity, int64_t agent)
{
	const struct name_entry *entry = overlay_get(&identity->tables[TABLE_NAMES], agent_key(identity, agent));
	return entry != NULL && entry->external_id.at == NULL && entry->agent == agent ? entry->principal : 0;
}

enum err identity_principal_insert(
	struct identity *identity, struct db *db, const struct principal_new *in, int64_t now_us)
{
	struct principal principal = {.id = in->id,
		.workspace = in->workspace,
		.agent = in->agent,
		.created_at_us = now_us,
		.kind = in->kind,
		.role = in->role,
		.name = in->name,
		.external_id = in->external_id,
		.specialty = STR("[]")};
	if (in->external_id.at != NULL &&
		overlay_get(&identity->tables[TABLE_NAMES], external_key(identity, in->workspace, in->external_id)) != NULL) {
		return ERR_CONFLICT;
	}
	if (in->agent != 0 && overlay_get(&identity->tables[TABLE_NAMES], agent_key(identity, in->agent)) != NULL) {
		return ERR_CONFLICT;
	}
	enum err err = principal_row_insert(db, &principal);
	if (err == ERR_OK) {
		err = identity_writer_put(identity, &principal);
	}
	return err != ERR_OK ? err : names_put(identity, &principal);
}

enum err identity_token_insert(struct identity *identity, struct db *db, int64_t id, int64_t principal,
	const uint8_t hash[HASH_SHA256_BYTES], const struct token_terms *terms, int64_t now_us)
{
	struct token_row token = {.id = id, .principal = principal, .created_at_us = now_us, .terms = *terms};
	memcpy(token.hash, hash, sizeof(token.hash));
	if (overlay_get(&identity->tables[TABLE_TOKENS], token_key(hash)) != NULL) {
		return ERR_CONFLICT;
	}
	enum err err = quota_take(identity->quota, db, QUOTA_TOKENS, principal, token_rows_count);
	if (err == ERR_TOKEN_QUOTA) {
		err = identity_tokens_end(identity, db, principal, now_us, now_us);
		err = err == ERR_OK ? quota_take(identity->quota, db, QUOTA_TOKENS, principal, token_rows_count) : err;
	}
	if (err == ERR_OK) {
		err = token_row_insert(db, &token);
	}
	return err != ERR_OK ? err : token_entry_put(identity, &token);
}

static void text_move(char **at, struct str *text)
{
	if (text->at == NULL) {
		return;
	}
	memcpy(*at, text->at, text->len);
	text->at = *at;
	*at += text->len;
}

enum err identity_writer_put(struct identity *identity, const struct principal *principal)
{
	struct principal *copy =
		mem_alloc(sizeof(*copy) + principal->name.len + principal->external_id.len + principal->specialty.len + 1);
	if (copy == NULL) {
		return ERR_MEMORY;
	}
	*copy = *principal;
	char *at = (char *)(copy + 1);
	text_move(&at, &copy->name);
	text_move(&at, &copy->external_id);
	text_move(&at, &copy->specialty);
	/* Keys grow, so that nobody made later replaces the first one. */
	if (principal->role == ROLE_OPERATOR &&
		(identity->first_operator == 0 || principal->id < identity->first_operator)) {
		identity->first_operator = principal->id;
	}
	if (principal->kind == PRINCIPAL_SYSTEM && identity->first_system == 0) {
		identity->first_system = principal->id;
	}
	return table_put(identity, TABLE_PRINCIPALS, (uint64_t)principal->id, copy);
}

enum err identity_writer_external_remove(struct identity *identity, const struct principal *principal)
{
	return overlay_remove(
		&identity->tables[TABLE_NAMES], external_key(identity, principal->workspace, principal->external_id));
}

enum err identity_writer_token_remove(
	struct identity *identity, int64_t principal, const uint8_t hash[HASH_SHA256_BYTES])
{
	const struct token_entry *entry = overlay_get(&identity->tables[TABLE_TOKENS], token_key(hash));
	if (entry == NULL || entry->parent == 0) {
		quota_give(identity->quota, QUOTA_TOKENS, principal);
	}
	return overlay_remove(&identity->tables[TABLE_TOKENS], token_key(hash));
}

enum err identity_writer_session_put(struct identity *identity, const struct token_row *session)
{
	return token_entry_put(identity, session);
}

/* ---- provider keys ---- */

static uint64_t key_key(const struct identity *identity, int64_t workspace, int64_t owner, struct str provider)
{
	char text[160];
	int len = snprintf(text, sizeof(text), "%lld:%lld:%.*s", (long long)workspace, (long long)owner,
		(int)(provider.len <= 64 ? provider.len : 64), provider.at);
	return map_hash(&identity->seed, str_make(text, (size_t)len));
}

static const struct key_row *key_checked(
	const struct key_row *key, int64_t workspace, int64_t owner, struct str provider)
{
	bool same = key != NULL && key->workspace == workspace && key->owner == owner && str_eq(key->provider, provider);
	return same ? key : NULL;
}

const struct key_row *identity_key(struct identity *identity, int64_t workspace, int64_t owner, struct str provider)
{
	return key_checked(
		overlay_get_published(&identity->tables[TABLE_KEYS], key_key(identity, workspace, owner, provider)), workspace,
		owner, provider);
}

const struct key_row *identity_writer_key(
	struct identity *identity, int64_t workspace, int64_t owner, struct str provider)
{
	return key_checked(overlay_get(&identity->tables[TABLE_KEYS], key_key(identity, workspace, owner, provider)),
		workspace, owner, provider);
}

enum err identity_writer_key_put(struct identity *identity, const struct key_row *key)
{
	struct key_row *copy =
		mem_alloc(sizeof(*copy) + key->provider.len + key->base_url.len + key->sealed.len + key->shown.len + 1);
	if (copy == NULL) {
		return ERR_MEMORY;
	}
	*copy = *key;
	char *at = (char *)(copy + 1);
	text_move(&at, &copy->provider);
	text_move(&at, &copy->base_url);
	text_move(&at, &copy->sealed);
	text_move(&at, &copy->shown);
	return table_put(identity, TABLE_KEYS, key_key(identity, key->workspace, key->owner, key->provider), copy);
}

enum err identity_writer_key_remove(struct identity *identity, const struct key_row *key)
{
	return overlay_remove(&identity->tables[TABLE_KEYS], key_key(identity, key->workspace, key->owner, key->provider));
}

/* ---- the tables ---- */

static enum err table_put(struct identity *identity, int table, uint64_t key, void *value)
{
	enum err err = overlay_put(&identity->tables[table], key, value);
	if (err != ERR_OK) {
		mem_free(value);
	}
	return err;
}

static uint64_t token_key(const uint8_t hash[HASH_SHA256_BYTES])
{
	uint64_t key;
	memcpy(&key, hash, sizeof(key));
	return key;
}

static uint64_t external_key(const struct identity *identity, int64_t workspace, struct str external_id)
{
	char text[LIMIT_ID_BYTES + 32];
	size_t len = external_id.len <= LIMIT_ID_BYTES ? external_id.len : LIMIT_ID_BYTES;
	int n = snprintf(text, sizeof(text), "user:%lld:%.*s", (long long)workspace, (int)len,
		external_id.at != NULL ? external_id.at : "");
	return map_hash(&identity->seed, str_make(text, (size_t)n));
}

static uint64_t agent_key(const struct identity *identity, int64_t agent)
{
	char text[40];
	int n = snprintf(text, sizeof(text), "agent:%lld", (long long)agent);
	return map_hash(&identity->seed, str_make(text, (size_t)n));
}

static enum err name_put(
	struct identity *identity, const struct principal *principal, uint64_t key, struct str external_id)
{
	struct name_entry *entry = mem_alloc(sizeof(*entry) + external_id.len + 1);
	if (entry == NULL) {
		return ERR_MEMORY;
	}
	*entry = (struct name_entry){principal->workspace, principal->agent, principal->id, external_id};
	char *at = (char *)(entry + 1);
	text_move(&at, &entry->external_id);
	return table_put(identity, TABLE_NAMES, key, entry);
}

static enum err names_put(struct identity *identity, const struct principal *principal)
{
	enum err err = ERR_OK;
	if (principal->external_id.at != NULL) {
		err = name_put(identity, principal, external_key(identity, principal->workspace, principal->external_id),
			principal->external_id);
	}
	if (err == ERR_OK && principal->agent != 0) {
		err = name_put(identity, principal, agent_key(identity, principal->agent), STR_NONE);
	}
	return err;
}

static enum err token_entry_put(struct identity *identity, const struct token_row *token)
{
	struct token_entry *entry = mem_alloc(sizeof(*entry));
	if (entry == NULL) {
		return ERR_MEMORY;
	}
	*entry = (struct token_entry){.id = token->id,
		.principal = token->principal,
		.expires_at_us = token->terms.expires_at_us,
		.parent = token->parent,
		.scopes = token->terms.scopes};
	memcpy(entry->hash, token->hash, sizeof(entry->hash));
	return table_put(identity, TABLE_TOKENS, token_key(token->hash), entry);
}

/* The counts of all tables in one number. */
static size_t overlays_mark(void *ctx)
{
	struct identity *identity = ctx;
	size_t mark = 0;
	for (int i = 0; i < TABLES; i++) {
		size_t count = overlay_mark(&identity->tables[i]);
		check(count >> MARK_BITS == 0);
		mark |= count << i * MARK_BITS;
	}
	return mark;
}

static void overlays_undo_to(void *ctx, size_t mark)
{
	struct identity *identity = ctx;
	for (int i = 0; i < TABLES; i++) {
		overlay_undo_to(&identity->tables[i], mark >> i * MARK_BITS & (((size_t)1 << MARK_BITS) - 1));
	}
}

/* Principals first: whoever finds a token finds its principal. */
static void overlays_committed(void *ctx)
{
	struct identity *identity = ctx;
	for (int i = 0; i < TABLES; i++) {
		overlay_commit(&identity->tables[i]);
	}
}

/* ---- start-up ---- */

static bool load_step(struct load *load, enum err err)
{
	load->err = err;
	if (++load->count % LOAD_COMMIT_ROWS == 0) {
		overlays_committed(load->identity);
	}
	return err == ERR_OK;
}

static bool load_principal(const struct principal *principal, void *arg)
{
	struct load *load = arg;
	enum err err = identity_writer_put(load->identity, principal);
	return load_step(load, err != ERR_OK ? err : names_put(load->identity, principal));
}

static bool load_token(const struct token_row *token, void *arg)
{
	struct load *load = arg;
	return load_step(load, token->revoked_at_us != 0 ? ERR_OK : token_entry_put(load->identity, token));
}

static bool load_key(const struct key_row *key, void *arg)
{
	struct load *load = arg;
	return load_step(load, identity_writer_key_put(load->identity, key));
}
