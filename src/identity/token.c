/* token.c - bearer tokens: made, hashed, and shut on every loop when they are revoked. */
#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "identity/identity_priv.h"
#include "wire/json.h"
#include "wire/utf8.h"

enum { TOKEN_RANDOM_BYTES = 32, END_ROWS = 64 };

struct revocation_note {
	struct loop_note note;
	struct revocation *revocation;
};

struct revocation {
	struct guild *guild;
	int64_t token, principal;
	atomic_uint left;
	struct revocation_note notes[];
};

static void secret_make(const struct env *env, const char *prefix, char out[TOKEN_TEXT_LEN + 1], uint8_t hash[HASH_SHA256_BYTES])
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	uint8_t random[TOKEN_RANDOM_BYTES + 1] = {0};
	env_random(env, random, TOKEN_RANDOM_BYTES);
	memcpy(out, prefix, 6);
	/* Base64url by hand: no copy of the secret is left on the heap. */
	for (unsigned i = 6, bit = 0; i < TOKEN_TEXT_LEN; i++, bit += 6) {
		unsigned pair = (unsigned)random[bit / 8] << 8 | random[bit / 8 + (bit / 8 < TOKEN_RANDOM_BYTES)];
		out[i] = digits[pair >> (10 - bit % 8) & 63];
	}
	out[TOKEN_TEXT_LEN] = '\0';
	hash_sha256(str_make(out, TOKEN_TEXT_LEN), hash);
	explicit_bzero(random, sizeof(random));
}

void token_make(const struct env *env, char out[TOKEN_TEXT_LEN + 1], uint8_t hash[HASH_SHA256_BYTES])
{
	secret_make(env, "guild_", out, hash);
}

void identity_console_secret(const struct env *env, char out[TOKEN_TEXT_LEN + 1], uint8_t hash[HASH_SHA256_BYTES])
{
	secret_make(env, "gsess_", out, hash);
}

static bool expiry_read(struct guild *guild, struct http_request *request, int64_t *out)
{
	struct str text;
	int64_t seconds, now_us = env_wall_us(guild->env);
	*out = 0;
	if (http_body_int(request, "expires_in_s", &seconds)) {
		*out = now_us + seconds * 1000000;
	}
	if (http_body_str(request, "expires_at", &text)) {
		if (*out != 0) {
			http_reply_invalid(request, "/expires_at", "Give expires_at or expires_in_s, not both.");
			return false;
		}
		if (time_parse(text, out) != ERR_OK) {
			http_reply_invalid(request, "/expires_at", "It has to be a time like 2030-01-31T12:00:00Z.");
			return false;
		}
		if (*out <= now_us) {
			http_reply_invalid(request, "/expires_at", "It has to lie in the future.");
			return false;
		}
	}
	return true;
}

/* The words were checked against the table; not yet whether that role can have them. */
static bool scopes_read(struct http_request *request, enum role role, uint32_t *out)
{
	struct json list = json_member(request->body, STR("scopes"));
	struct json_iter iter = json_iter(list);
	struct json element;
	struct str word = STR("");
	enum scope scope = SCOPE_UNSET;
	*out = 0;
	while (json_kind(list) == JSON_ARRAY && json_next(&iter, NULL, &element)) {
		bool known = json_get_str(element, &word) && scope_parse(word, &scope);
		if (!known || (SCOPE_BIT(scope) & scope_set_of(role)) == 0) {
			struct str name = role_word(role);
			struct str detail = arena_format(
				&request->arena, "The role %.*s does not have the scope %.*s.", STR_FMT(name), STR_FMT(word));
			http_reply_invalid(request, "/scopes", detail.at != NULL ? detail.at : "The role does not have that scope.");
			return false;
		}
		*out |= SCOPE_BIT(scope);
	}
	return true;
}

void token_scopes_json(uint32_t scopes, struct json_out *json)
{
	json_name(json, STR("scopes"));
	json_array(json);
	for (enum scope scope = SCOPE_CHAT; scope < SCOPE_END; scope++) {
		if ((scopes & SCOPE_BIT(scope)) != 0) {
			json_str(json, scope_word(scope));
		}
	}
	json_array_end(json);
}

bool token_members_read(struct guild *guild, struct http_request *request, enum role role, struct token_terms *terms)
{
	terms->label = STR("");
	(void)http_body_str(request, "label", &terms->label);
	terms->label = str_trim(terms->label);
	if (terms->label.len > 0 && !utf8_is_name(terms->label)) {
		http_reply_invalid(request, "/label", "A label has no control characters.");
		return false;
	}
	return scopes_read(request, role, &terms->scopes) && expiry_read(guild, request, &terms->expires_at_us);
}

/* ---- ending tokens ---- */

enum err identity_token_end(struct identity *identity, struct db *db, const struct token_row *token, int64_t now_us)
{
	int64_t ended = 0;
	enum err err = token_row_revoke(db, token->id, now_us);
	if (err == ERR_OK) {
		err = identity_writer_token_remove(identity, token->principal, token->hash);
	}
	return err == ERR_OK ? identity_sessions_end(identity, db, token->principal, token->id, 0, &ended) : err;
}

enum err identity_tokens_end(
	struct identity *identity, struct db *db, int64_t principal, int64_t expired_at_us, int64_t now_us)
{
	struct token_row rows[END_ROWS];
	size_t count;
	enum err err;
	do {
		err = token_rows_live(db, principal, expired_at_us, END_ROWS, rows, &count);
		for (size_t i = 0; i < count && err == ERR_OK; i++) {
			err = identity_token_end(identity, db, &rows[i], now_us);
		}
		/* A rest that has expired may wait; one that works may not. */
	} while (err == ERR_OK && count == END_ROWS && expired_at_us == 0);
	return err;
}

/* ---- shutting what is open ---- */

static void note_run(struct loop_note *loop_note, struct loop *loop)
{
	struct revocation_note *note = (struct revocation_note *)loop_note;
	struct revocation *revocation = note->revocation;
	http_server_revoke(revocation->guild->http, loop, revocation->token, revocation->principal);
	if (atomic_fetch_sub(&revocation->left, 1) == 1) {
		mem_free(revocation);
	}
}

struct revocation *identity_revocation_make(struct guild *guild)
{
	struct revocation *revocation = mem_alloc(sizeof(*revocation) + guild->loop_count * sizeof(struct revocation_note));
	if (revocation == NULL) {
		return NULL;
	}
	revocation->guild = guild;
	atomic_init(&revocation->left, guild->loop_count);
	for (unsigned i = 0; i < guild->loop_count; i++) {
		revocation->notes[i].note.run = note_run;
		revocation->notes[i].revocation = revocation;
	}
	return revocation;
}

void identity_revoke_everywhere(struct revocation **revocation, int64_t token, int64_t principal)
{
	struct revocation *sent = *revocation;
	struct guild *guild = sent->guild;
	unsigned count = guild->loop_count;
	*revocation = NULL;
	sent->token = token;
	sent->principal = principal;
	check(count > 0);
	/* After the last post it may be gone. */
	for (unsigned i = 0; i < count; i++) {
		loop_note_post(guild->loops[i], &sent->notes[i].note);
	}
}

void identity_revocation_free(struct revocation **revocation)
{
	mem_free(*revocation);
	*revocation = NULL;
}
