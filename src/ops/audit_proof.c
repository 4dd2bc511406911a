/* audit_proof.c - GET /v1/audit/checkpoint, /v1/audit/{id}/proof and /v1/audit/consistency: what the log can be held to. */
#include <stdio.h>

#include "audit/audit.h"
#include "audit/tree_store.h"
#include "command/query.h"
#include "ops/ops_priv.h"

struct proof_query {
	struct query query; /* first */
	int64_t seq;
	int64_t from, to;   /* 0: not said */
	bool everybody;
	bool too_early;     /* no checkpoint covers it yet */
	bool has_row;
	struct log_row row;
	uint8_t prev_hash[HASH_SHA256_BYTES];
};

static void put_hex(struct json_out *json, struct str name, const uint8_t *bytes, size_t len)
{
	char text[2 * AUDIT_SIGNATURE_BYTES + 1];
	hash_hex(bytes, len, text);
	json_put_str(json, name, str_make(text, 2 * len));
}

static enum err put_key(struct query *query, struct db *db)
{
	struct str key;
	enum err err = db_meta_get(db, STR("audit_public"), &query->request->arena, &key);
	if (err == ERR_OK && key.len == AUDIT_PUBLIC_BYTES) {
		put_hex(&query->json, STR("public_key"), (const uint8_t *)key.at, key.len);
	}
	return err == ERR_OK && key.len != AUDIT_PUBLIC_BYTES ? ERR_CORRUPT : err;
}

static void put_proof(struct json_out *json, const struct audit_proof *proof)
{
	char text[2 * HASH_SHA256_BYTES + 1];
	json_name(json, STR("proof"));
	json_array(json);
	for (unsigned i = 0; i < proof->count; i++) {
		hash_hex(proof->hash[i], HASH_SHA256_BYTES, text);
		json_str(json, str_make(text, 2 * HASH_SHA256_BYTES));
	}
	json_array_end(json);
}

/* ---- checkpoint ---- */

static enum err checkpoint_run(struct query *query, struct db *db)
{
	struct json_out *json = &query->json;
	struct audit_checkpoint last;
	enum err err = audit_checkpoint_last(db, &last);
	json_object(json);
	json_name(json, STR("checkpoint"));
	if (err == ERR_OK) {
		audit_checkpoint_put(json, &last);
	} else if (err == ERR_NOT_FOUND) {
		json_null(json);
		err = ERR_OK;
	}
	err = err == ERR_OK ? put_key(query, db) : err;
	json_object_end(json);
	return err;
}

void audit_checkpoint_handle(struct http_request *request, void *ctx)
{
	struct query *query = query_new(ctx, request, sizeof(*query));
	if (query != NULL) {
		query_submit(query, checkpoint_run);
	}
}

/* ---- an entry is in it ---- */

static void proof_finish(struct query *query)
{
	struct proof_query *proof = (struct proof_query *)query;
	if (!proof->too_early) {
		query_reply(query);
		return;
	}
	buf_fini(&query->text);
	http_reply_problem(query->request, &(struct http_problem){.err = ERR_CONFLICT,
								   .detail = STR("No checkpoint covers that yet; there is one soon."),
								   .retry_after_ms = 1000});
}

static enum err row_take(const struct log_row *row, void *arg)
{
	struct proof_query *proof = arg;
	if (row->seq == proof->seq - 1) {
		memcpy(proof->prev_hash, row->hash, HASH_SHA256_BYTES);
	} else if (row->seq == proof->seq) {
		proof->row = *row;
		proof->has_row = true;
	}
	return ERR_OK;
}

static bool may_see(const struct proof_query *proof)
{
	const struct caller *caller = &proof->query.request->caller;
	return proof->has_row && (proof->row.kinds & LOG_AUDIT) != 0 && proof->row.workspace == caller->workspace &&
	       (proof->everybody || proof->row.principal == caller->principal);
}

static void put_leaf(struct json_out *json, const struct proof_query *proof)
{
	const struct log_row *row = &proof->row;
	char workspace[24];
	snprintf(workspace, sizeof(workspace), "%lld", (long long)row->workspace);
	json_put_int(json, STR("seq"), row->seq);
	json_put_int(json, STR("time_us"), row->time_us);
	json_put_str(json, STR("workspace"), str_of(workspace));
	put_hex(json, STR("entry_hash"), row->entry_hash, HASH_SHA256_BYTES);
	put_hex(json, STR("prev_hash"), proof->prev_hash, HASH_SHA256_BYTES);
	put_hex(json, STR("hash"), row->hash, HASH_SHA256_BYTES);
}

static enum err inclusion_make(struct proof_query *proof, struct db *db, int64_t size, struct audit_proof *out)
{
	struct audit_reader reader = {.db = db};
	struct audit_nodes nodes = {&reader, audit_node_get};
	enum err err = hash_create(&reader.hash);
	err = err == ERR_OK ? audit_proof_inclusion(&nodes, reader.hash, proof->seq - 1, size, out) : err;
	hash_destroy(&reader.hash);
	return err;
}

static enum err inclusion_run(struct query *query, struct db *db)
{
	struct proof_query *proof = (struct proof_query *)query;
	struct json_out *json = &query->json;
	struct audit_checkpoint last = {0};
	struct audit_proof path;
	enum err err = log_read(db, proof->seq - 2, 2, row_take, proof);
	if (err != ERR_OK || !may_see(proof)) {
		return err != ERR_OK ? err : ERR_NOT_FOUND;
	}
	err = audit_checkpoint_last(db, &last);
	if (err == ERR_NOT_FOUND || (err == ERR_OK && last.size < proof->seq)) {
		proof->too_early = true;
		return ERR_OK;
	}
	err = err == ERR_OK ? inclusion_make(proof, db, last.size, &path) : err;
	if (err != ERR_OK) {
		return err;
	}
	json_object(json);
	put_leaf(json, proof);
	put_proof(json, &path);
	json_name(json, STR("checkpoint"));
	audit_checkpoint_put(json, &last);
	err = put_key(query, db);
	json_object_end(json);
	return err;
}

void audit_inclusion_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	int64_t seq;
	if (id_parse_log(&guild->id_secret, ID_AUDIT, request->params[0], &seq) != ERR_OK) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return;
	}
	struct proof_query *proof = query_new(guild, request, sizeof(*proof));
	if (proof != NULL) {
		proof->seq = seq;
		proof->everybody = caller_is_admin(&request->caller);
		proof->query.finish = proof_finish;
		query_submit(&proof->query, inclusion_run);
	}
}

/* ---- one state grew out of another ---- */

static enum err consistency_make(struct db *db, int64_t from, int64_t to, struct audit_proof *out, uint8_t roots[2][HASH_SHA256_BYTES])
{
	struct audit_reader reader = {.db = db};
	struct audit_nodes nodes = {&reader, audit_node_get};
	enum err err = hash_create(&reader.hash);
	err = err == ERR_OK ? audit_proof_consistency(&nodes, reader.hash, from, to, out) : err;
	err = err == ERR_OK ? audit_root_of(&nodes, reader.hash, from, roots[0]) : err;
	err = err == ERR_OK ? audit_root_of(&nodes, reader.hash, to, roots[1]) : err;
	hash_destroy(&reader.hash);
	return err;
}

static enum err consistency_run(struct query *query, struct db *db)
{
	struct proof_query *proof = (struct proof_query *)query;
	struct json_out *json = &query->json;
	struct audit_checkpoint last = {0};
	struct audit_proof path;
	uint8_t roots[2][HASH_SHA256_BYTES];
	enum err err = audit_checkpoint_last(db, &last);
	if (err != ERR_OK && err != ERR_NOT_FOUND) {
		return err;
	}
	int64_t to = proof->to != 0 ? proof->to : last.size;
	proof->too_early = to > last.size || proof->from > to;
	if (proof->too_early) {
		return ERR_OK;
	}
	err = consistency_make(db, proof->from, to, &path, roots);
	if (err != ERR_OK) {
		return err;
	}
	json_object(json);
	json_put_int(json, STR("from"), proof->from);
	json_put_int(json, STR("to"), to);
	put_hex(json, STR("from_root"), roots[0], HASH_SHA256_BYTES);
	put_hex(json, STR("to_root"), roots[1], HASH_SHA256_BYTES);
	put_proof(json, &path);
	json_object_end(json);
	return ERR_OK;
}

void audit_consistency_handle(struct http_request *request, void *ctx)
{
	struct proof_query *proof = query_new(ctx, request, sizeof(*proof));
	if (proof == NULL) {
		return;
	}
	(void)http_query_int(request, "from", &proof->from);
	if (http_query_int(request, "to", &proof->to) && proof->to < proof->from) {
		buf_fini(&proof->query.text);
		http_reply_invalid(request, "to", "It has to be at least as great as from.");
		return;
	}
	proof->query.finish = proof_finish;
	query_submit(&proof->query, consistency_run);
}
