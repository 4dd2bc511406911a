/* tree_store.c - checkpoints and kept nodes in the store; any full node out of these and the log. */
#include "audit/audit_priv.h"
#include "base/check.h"
#include "db/db.h"

static const struct db_sql sql_hashes = {"SELECT seq, hash FROM log WHERE seq > ?1 ORDER BY seq LIMIT ?2"};
static const struct db_sql sql_nodes = {"SELECT number, hash FROM audit_node WHERE level = ?3 AND number > ?1 ORDER BY number LIMIT ?2"};
static const struct db_sql sql_node_insert = {"INSERT INTO audit_node (level, number, hash) VALUES (?1, ?2, ?3)"};
static const struct db_sql sql_insert = {
	"INSERT INTO audit_checkpoint (size, time_at, epoch, head, root, signature) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"};
static const struct db_sql sql_next = {
	"SELECT size, time_at, epoch, head, root, signature FROM audit_checkpoint WHERE size > ?1 ORDER BY size LIMIT 1"};
static const struct db_sql sql_last = {
	"SELECT size, time_at, epoch, head, root, signature FROM audit_checkpoint ORDER BY size DESC LIMIT 1"};

/* Of another length it can only be damage: it reads as zeros, which nothing hashes to and nobody signs. */
static void bytes_read(struct db_stmt *stmt, int column, uint8_t *out, size_t len)
{
	struct str bytes = db_bytes(stmt, column);
	memset(out, 0, len);
	if (bytes.len == len) {
		memcpy(out, bytes.at, len);
	}
}

static enum err checkpoint_read(struct db_stmt *stmt, struct audit_checkpoint *out)
{
	bool row;
	*out = (struct audit_checkpoint){0};
	enum err err = db_step(stmt, &row);
	if (err == ERR_OK && row) {
		out->size = db_int(stmt, 0);
		out->time_us = db_int(stmt, 1);
		out->epoch = db_int(stmt, 2);
		bytes_read(stmt, 3, out->head, sizeof(out->head));
		bytes_read(stmt, 4, out->root, sizeof(out->root));
		bytes_read(stmt, 5, out->signature, sizeof(out->signature));
	}
	db_reset(stmt);
	return err == ERR_OK && !row ? ERR_NOT_FOUND : err;
}

enum err audit_checkpoint_last(struct db *db, struct audit_checkpoint *out)
{
	return checkpoint_read(db_use(db, &sql_last), out);
}

enum err audit_checkpoint_next(struct db *db, int64_t after, struct audit_checkpoint *out)
{
	struct db_stmt *stmt = db_use(db, &sql_next);
	db_bind_int(stmt, 1, after);
	return checkpoint_read(stmt, out);
}

enum err audit_checkpoint_insert(struct db *db, const struct audit_checkpoint *checkpoint)
{
	struct db_stmt *stmt = db_use(db, &sql_insert);
	db_bind_int(stmt, 1, checkpoint->size);
	db_bind_int(stmt, 2, checkpoint->time_us);
	db_bind_int(stmt, 3, checkpoint->epoch);
	db_bind_bytes(stmt, 4, str_make(checkpoint->head, sizeof(checkpoint->head)));
	db_bind_bytes(stmt, 5, str_make(checkpoint->root, sizeof(checkpoint->root)));
	db_bind_bytes(stmt, 6, str_make(checkpoint->signature, sizeof(checkpoint->signature)));
	return db_run(stmt);
}

enum err audit_node_insert(struct db *db, const struct audit_node *node)
{
	struct db_stmt *stmt = db_use(db, &sql_node_insert);
	db_bind_int(stmt, 1, node->level);
	db_bind_int(stmt, 2, node->number);
	db_bind_bytes(stmt, 3, str_make(node->hash, sizeof(node->hash)));
	return db_run(stmt);
}

static enum err walk(struct db_stmt *stmt, int64_t after, int limit, audit_hash_fn *hash_fn, void *arg)
{
	enum err err = ERR_OK;
	bool row = true;
	db_bind_int(stmt, 1, after);
	db_bind_int(stmt, 2, limit);
	while (err == ERR_OK && row) {
		err = db_step(stmt, &row);
		if (err == ERR_OK && row) {
			uint8_t hash[HASH_SHA256_BYTES];
			bytes_read(stmt, 1, hash, sizeof(hash));
			err = hash_fn(db_int(stmt, 0), hash, arg);
		}
	}
	db_reset(stmt);
	return err;
}

enum err audit_log_hashes(struct db *db, int64_t after, int limit, audit_hash_fn *hash_fn, void *arg)
{
	return walk(db_use(db, &sql_hashes), after, limit, hash_fn, arg);
}

enum err audit_kept_nodes(struct db *db, int level, int64_t first, int limit, audit_hash_fn *hash_fn, void *arg)
{
	struct db_stmt *stmt = db_use(db, &sql_nodes);
	db_bind_int(stmt, 3, level);
	return walk(stmt, first - 1, limit, hash_fn, arg);
}

/* ---- any full node ---- */

struct folding {
	struct hash *hash;
	struct audit_tree tree;
	int64_t next; /* sequence or number that has to come */
	bool leaves;
};

static enum err fold(int64_t number, const uint8_t hash[HASH_SHA256_BYTES], void *arg)
{
	struct folding *folding = arg;
	uint8_t leaf[HASH_SHA256_BYTES];
	if (number != folding->next) {
		return ERR_CORRUPT;
	}
	folding->next++;
	if (folding->leaves) {
		audit_tree_leaf(folding->hash, hash, leaf);
	} else {
		memcpy(leaf, hash, sizeof(leaf));
	}
	audit_tree_append(&folding->tree, folding->hash, leaf, NULL, NULL);
	return ERR_OK;
}

enum err audit_node_get(void *ctx, int level, int64_t number, uint8_t out[HASH_SHA256_BYTES])
{
	struct audit_reader *reader = ctx;
	int kept = level / AUDIT_TREE_KEPT * AUDIT_TREE_KEPT;
	int width = 1 << (level - kept);
	int64_t first = number << (level - kept);
	struct folding folding = {.hash = reader->hash, .next = first + (kept == 0), .leaves = kept == 0};
	enum err err = kept == 0 ? audit_log_hashes(reader->db, first, width, fold, &folding)
				 : audit_kept_nodes(reader->db, kept, first, width, fold, &folding);
	if (err == ERR_OK && folding.tree.size != width) {
		err = ERR_CORRUPT;
	}
	if (err == ERR_OK) {
		audit_tree_root(&folding.tree, reader->hash, out);
	}
	return err;
}
