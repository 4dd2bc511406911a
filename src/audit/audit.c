/*
 * audit.c - canonical entries and the head of the chain.
 *
 * The members are written in the order that RFC 8785 sorts them into, so that no sorting is needed; only what comes as JSON
 * already is read and written again.
 */
#include "audit/audit.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "wire/jcs.h"
#include "audit/audit_priv.h"

#define ENTRY_BYTES_MAX 2097152
#define ENTRY_BYTES_USUAL 768

struct audit_chain {
	struct log_head head;
	struct hash *hash;
};

static void put_time(struct json_out *json, struct str name, int64_t at_us)
{
	struct time_text text = time_format(at_us);
	json_put_str_or_null(json, name, at_us != 0 ? time_str(&text) : STR_NONE);
}

static enum err put_json(struct json_out *json, struct str name, struct arena *arena, struct str text)
{
	if (text.at == NULL) {
		json_put_null(json, name);
		return ERR_OK;
	}
	struct json_doc doc;
	struct buf canonical;
	buf_init(&canonical, ENTRY_BYTES_MAX);
	enum err err = json_parse(arena, text, &doc, NULL);
	if (err == ERR_OK) {
		err = jcs_put(&canonical, arena, json_root(&doc));
	}
	if (err == ERR_OK) {
		err = buf_err(&canonical);
	}
	if (err == ERR_OK) {
		json_put_raw(json, name, buf_str(&canonical));
	}
	buf_fini(&canonical);
	return err;
}

static void put_principal(struct json_out *json, const struct audit_entry *entry)
{
	if (entry->principal_id.at == NULL) {
		json_put_null(json, STR("principal"));
		return;
	}
	json_name(json, STR("principal"));
	json_object(json);
	json_put_str(json, STR("id"), entry->principal_id);
	json_put_str_or_null(json, STR("name"), entry->principal_name);
	if (entry->via_id.at != NULL) {
		json_put_str(json, STR("via"), entry->via_id);
	}
	json_object_end(json);
}

static enum err put_members(struct json_out *json, struct arena *arena, const struct audit_entry *entry)
{
	json_put_str(json, STR("action"), entry->action);
	json_put_str_or_null(json, STR("agent_id"), entry->agent_id);
	json_put_str_or_null(json, STR("agent_name"), entry->agent_name);
	enum err err = put_json(json, STR("change"), arena, entry->change);
	if (err != ERR_OK) {
		return err;
	}
	json_put_str_or_null(json, STR("code"), entry->code);
	err = put_json(json, STR("decision"), arena, entry->decision);
	if (err != ERR_OK) {
		return err;
	}
	if (entry->duration_ms != 0) {
		json_put_int(json, STR("duration_ms"), entry->duration_ms);
	} else {
		json_put_null(json, STR("duration_ms"));
	}
	put_time(json, STR("end"), entry->end_us);
	json_put_str_or_null(json, STR("error_message"), entry->error_message);
	json_put_str_or_null(json, STR("execution_id"), entry->execution_id);
	json_put_str(json, STR("outcome"), str_of(log_outcome_word(entry->outcome)));
	put_principal(json, entry);
	json_put_str_or_null(json, STR("rule_id"), entry->rule_id);
	json_put_str_or_null(json, STR("session_id"), entry->session_id);
	put_time(json, STR("start"), entry->start_us);
	return ERR_OK;
}

enum err audit_entry_put(struct arena *arena, const struct audit_entry *entry, struct str *out)
{
	struct buf text;
	struct json_out json;
	check(entry->action.at != NULL && log_outcome_word(entry->outcome)[0] != '\0');
	*out = STR_NONE;
	buf_init(&text, ENTRY_BYTES_MAX);
	(void)buf_reserve(&text, ENTRY_BYTES_USUAL);
	json_begin(&json, &text);
	json_object(&json);
	enum err err = put_members(&json, arena, entry);
	json_object_end(&json);
	if (err == ERR_OK) {
		err = buf_err(&text);
	}
	if (err == ERR_OK) {
		*out = arena_copy(arena, buf_str(&text));
		err = out->at != NULL ? ERR_OK : ERR_LIMIT;
	}
	buf_fini(&text);
	return err;
}

/* ---- the chain ---- */

void audit_put_be64(uint8_t *out, int64_t value)
{
	for (int i = 0; i < 8; i++) {
		out[i] = (uint8_t)((uint64_t)value >> (56 - 8 * i));
	}
}

void audit_hash_entry(struct hash *hash, struct str entry, uint8_t out[HASH_SHA256_BYTES])
{
	hash_begin(hash);
	hash_put(hash, entry.at != NULL ? entry.at : "", entry.len);
	hash_end(hash, out);
}

void audit_hash_link(struct hash *hash, const uint8_t prev[HASH_SHA256_BYTES], const struct log_row *row, uint8_t out[HASH_SHA256_BYTES])
{
	uint8_t link[HASH_SHA256_BYTES + 24 + HASH_SHA256_BYTES];
	memcpy(link, prev, HASH_SHA256_BYTES);
	audit_put_be64(link + HASH_SHA256_BYTES, row->seq);
	audit_put_be64(link + HASH_SHA256_BYTES + 8, row->time_us);
	audit_put_be64(link + HASH_SHA256_BYTES + 16, row->workspace);
	memcpy(link + HASH_SHA256_BYTES + 24, row->entry_hash, HASH_SHA256_BYTES);
	hash_begin(hash);
	hash_put(hash, link, sizeof(link));
	hash_end(hash, out);
}

enum err audit_chain_create(const struct log_head *head, struct audit_chain **out)
{
	*out = NULL;
	struct audit_chain *chain = mem_alloc(sizeof(*chain));
	if (chain == NULL) {
		return ERR_MEMORY;
	}
	chain->head = *head;
	enum err err = hash_create(&chain->hash);
	if (err != ERR_OK) {
		mem_free(chain);
		return err;
	}
	*out = chain;
	return ERR_OK;
}

void audit_chain_destroy(struct audit_chain **chain)
{
	if (*chain != NULL) {
		hash_destroy(&(*chain)->hash);
		mem_free(*chain);
		*chain = NULL;
	}
}

void audit_seal(struct audit_chain *chain, struct log_row *row, int64_t wall_us)
{
	check(((row->kinds & LOG_AUDIT) != 0) == (row->entry.at != NULL));
	row->seq = chain->head.seq + 1;
	row->time_us = wall_us >= chain->head.time_us ? wall_us : chain->head.time_us + 1;
	audit_hash_entry(chain->hash, row->entry, row->entry_hash);
	audit_hash_link(chain->hash, chain->head.hash, row, row->hash);
	chain->head.seq = row->seq;
	chain->head.time_us = row->time_us;
	memcpy(chain->head.hash, row->hash, HASH_SHA256_BYTES);
}

const struct log_head *audit_head(const struct audit_chain *chain)
{
	return &chain->head;
}

void audit_chain_rewind(struct audit_chain *chain, const struct log_head *head)
{
	chain->head = *head;
}
