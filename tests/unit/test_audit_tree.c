/* The tree of RFC 6962 against known roots and proofs and against its definition; checkpoints and their key; what the store keeps of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "audit/audit.h"
#include "audit/audit_priv.h"
#include "audit/export.h"

#define LEAVES 700
#define ROWS 1300
#define H HASH_SHA256_BYTES

static char dir[64];
static char path[128];
static char detail[256];
static struct hash *hash;
static uint8_t leaves[LEAVES][H];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/guild-audit-tree-XXXXXX");
	if (mkdtemp(dir) == NULL || hash_create(&hash) != ERR_OK) {
		return -1;
	}
	snprintf(path, sizeof(path), "%s/guild.db", dir);
	for (int i = 0; i < LEAVES; i++) {
		uint8_t text[2] = {(uint8_t)i, (uint8_t)(i >> 8)};
		hash_sha256(str_make(text, 2), leaves[i]);
		audit_tree_leaf(hash, leaves[i], leaves[i]);
	}
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	hash_destroy(&hash);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

/* ---- the definitions of RFC 6962, 2.1, word for word ---- */

static int below(int n)
{
	int k = 1;
	while (2 * k < n) {
		k *= 2;
	}
	return k;
}

static void mth(int first, int n, uint8_t out[H])
{
	uint8_t left[H], right[H];
	if (n == 1) {
		memcpy(out, leaves[first], H);
		return;
	}
	int k = below(n);
	mth(first, k, left);
	mth(first + k, n - k, right);
	audit_tree_join(hash, left, right, out);
}

static void path_of(int m, int first, int n, struct audit_proof *out)
{
	if (n == 1) {
		return;
	}
	int k = below(n);
	if (m < k) {
		path_of(m, first, k, out);
		mth(first + k, n - k, out->hash[out->count++]);
	} else {
		path_of(m - k, first + k, n - k, out);
		mth(first, k, out->hash[out->count++]);
	}
}

static void subproof(int m, int first, int n, bool whole, struct audit_proof *out)
{
	if (m == n) {
		if (!whole) {
			mth(first, n, out->hash[out->count++]);
		}
		return;
	}
	int k = below(n);
	if (m <= k) {
		subproof(m, first, k, whole, out);
		mth(first + k, n - k, out->hash[out->count++]);
	} else {
		subproof(m - k, first + k, n - k, false, out);
		mth(first, k, out->hash[out->count++]);
	}
}

static enum err node_of_leaves(void *ctx, int level, int64_t number, uint8_t out[H])
{
	assert_true((number + 1) << level <= LEAVES);
	mth((int)(number << level), 1 << level, out);
	return ERR_OK;
}

static const struct audit_nodes nodes = {NULL, node_of_leaves};

static void assert_same(const struct audit_proof *a, const struct audit_proof *b)
{
	assert_int_equal(a->count, b->count);
	for (unsigned i = 0; i < a->count; i++) {
		assert_memory_equal(a->hash[i], b->hash[i], H);
	}
}

static void assert_hex(const uint8_t bytes[H], const char *wanted)
{
	char text[2 * H + 1];
	hash_hex(bytes, H, text);
	assert_string_equal(text, wanted);
}

/* ---- cases ---- */

/* The eight leaves that the tests of Certificate Transparency have used since its beginning. */
static void known_roots_and_proofs(void **state)
{
	static const struct str data[8] = {STR(""), STR("\x00"), STR("\x10"), STR("\x20\x21"), STR("\x30\x31"), STR("\x40\x41\x42\x43"),
					   STR("\x50\x51\x52\x53\x54\x55\x56\x57"),
					   STR("\x60\x61\x62\x63\x64\x65\x66\x67\x68\x69\x6a\x6b\x6c\x6d\x6e\x6f")};
	static const char *const roots[9] = {"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
					     "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
					     "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
					     "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
					     "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
					     "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
					     "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
					     "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
					     "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"};
	struct audit_tree tree = {0};
	struct audit_proof proof;
	uint8_t root[H];
	for (int i = 0; i <= 8; i++) {
		audit_tree_root(&tree, hash, root);
		assert_hex(root, roots[i]);
		if (i < 8) {
			uint8_t bytes[32] = {0};
			memcpy(bytes + 1, data[i].at, data[i].len);
			hash_sha256(str_make(bytes, 1 + data[i].len), leaves[i]);
			audit_tree_append(&tree, hash, leaves[i], NULL, NULL);
		}
	}
	assert_int_equal(audit_proof_inclusion(&nodes, hash, 5, 8, &proof), ERR_OK);
	assert_int_equal(proof.count, 3);
	assert_hex(proof.hash[0], "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b");
	assert_hex(proof.hash[1], "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0");
	assert_hex(proof.hash[2], "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
	assert_int_equal(audit_proof_inclusion(&nodes, hash, 0, 1, &proof), ERR_OK);
	assert_int_equal(proof.count, 0);
	assert_int_equal(audit_proof_consistency(&nodes, hash, 6, 8, &proof), ERR_OK);
	assert_int_equal(proof.count, 3);
	assert_hex(proof.hash[0], "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a");
	assert_hex(proof.hash[1], "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0");
	assert_hex(proof.hash[2], "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7");
}

static void node_seen(void *ctx, int level, int64_t number, const uint8_t node[H])
{
	uint8_t wanted[H];
	int *count = ctx;
	assert_int_equal(level, 8);
	assert_int_equal(number, (*count)++);
	mth((int)number << 8, 256, wanted);
	assert_memory_equal(node, wanted, H);
}

static void a_growing_tree_has_the_defined_roots(void **state)
{
	struct audit_tree tree = {0};
	int full = 0;
	for (int size = 1; size <= LEAVES; size++) {
		struct audit_tree loaded;
		uint8_t root[H], wanted[H];
		audit_tree_append(&tree, hash, leaves[size - 1], node_seen, &full);
		audit_tree_root(&tree, hash, root);
		mth(0, size, wanted);
		assert_memory_equal(root, wanted, H);
		if (size % 37 == 0) {
			assert_int_equal(audit_root_of(&nodes, hash, size, root), ERR_OK);
			assert_memory_equal(root, wanted, H);
			assert_int_equal(audit_tree_load(&loaded, &nodes, size), ERR_OK);
			audit_tree_root(&loaded, hash, root);
			assert_memory_equal(root, wanted, H);
		}
	}
	assert_int_equal(full, LEAVES / 256);
}

static void proofs_are_as_defined(void **state)
{
	for (int size = 1; size <= 70; size++) {
		for (int i = 0; i < size; i++) {
			struct audit_proof proof, wanted = {0};
			path_of(i, 0, size, &wanted);
			assert_int_equal(audit_proof_inclusion(&nodes, hash, i, size, &proof), ERR_OK);
			assert_same(&proof, &wanted);
			wanted.count = 0;
			subproof(i + 1, 0, size, true, &wanted);
			assert_int_equal(audit_proof_consistency(&nodes, hash, i + 1, size, &proof), ERR_OK);
			assert_same(&proof, &wanted);
		}
	}
	srandom(7);
	for (int i = 0; i < 200; i++) {
		struct audit_proof proof, wanted = {0};
		int size = 1 + (int)(random() % LEAVES);
		int at = (int)(random() % size);
		path_of(at, 0, size, &wanted);
		assert_int_equal(audit_proof_inclusion(&nodes, hash, at, size, &proof), ERR_OK);
		assert_same(&proof, &wanted);
		wanted.count = 0;
		subproof(at + 1, 0, size, true, &wanted);
		assert_int_equal(audit_proof_consistency(&nodes, hash, at + 1, size, &proof), ERR_OK);
		assert_same(&proof, &wanted);
	}
}

/* ---- key and checkpoint ---- */

static void a_key_is_made_once(void **state)
{
	struct audit_key *key;
	uint8_t public_key[AUDIT_PUBLIC_BYTES];
	char file[128];
	struct stat st;
	assert_int_equal(audit_key_open(env_real(), dir, false, &key, detail), ERR_KEY);
	assert_int_equal(audit_key_open(env_real(), dir, true, &key, detail), ERR_OK);
	memcpy(public_key, audit_key_public(key), sizeof(public_key));
	audit_key_close(&key);
	snprintf(file, sizeof(file), "%s/audit.key", dir);
	assert_int_equal(stat(file, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(audit_key_open(env_real(), dir, true, &key, detail), ERR_OK);
	assert_memory_equal(public_key, audit_key_public(key), sizeof(public_key));
	audit_key_close(&key);
	assert_int_equal(chmod(file, 0640), 0);
	assert_int_equal(audit_key_open(env_real(), dir, true, &key, detail), ERR_KEY);
	assert_non_null(strstr(detail, "chmod 600"));
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(truncate(file, 40), 0);
	assert_int_equal(audit_key_open(env_real(), dir, true, &key, detail), ERR_KEY);
}

static struct str text_of(const struct audit_checkpoint *checkpoint, struct buf *buf)
{
	struct json_out json;
	buf_init(buf, AUDIT_CHECKPOINT_TEXT_MAX);
	json_begin(&json, buf);
	audit_checkpoint_put(&json, checkpoint);
	return buf_str(buf);
}

/* Each bit of the text: it is no checkpoint any more, or not a signed one. */
static void each_flipped_bit_of_a_checkpoint_is_found(void **state)
{
	struct audit_checkpoint checkpoint = {.epoch = (1LL << 53) - 1, .size = 1000, .time_us = 1767323045678901};
	struct audit_checkpoint read;
	struct audit_key *key;
	struct buf buf;
	memset(checkpoint.head, 0xab, H);
	memset(checkpoint.root, 0xcd, H);
	assert_int_equal(audit_key_open(env_real(), dir, true, &key, detail), ERR_OK);
	audit_key_sign(key, &checkpoint);
	struct str text = text_of(&checkpoint, &buf);
	assert_int_equal(audit_checkpoint_parse(text, &read), ERR_OK);
	assert_memory_equal(&read, &checkpoint, sizeof(read));
	assert_true(audit_checkpoint_signed(&read, audit_key_public(key)));
	for (size_t i = 0; i < text.len; i++) {
		for (int bit = 0; bit < 8; bit++) {
			buf.at[i] = (char)(buf.at[i] ^ 1 << bit);
			bool good = audit_checkpoint_parse(text, &read) == ERR_OK && audit_checkpoint_signed(&read, audit_key_public(key));
			assert_false(good);
			buf.at[i] = (char)(buf.at[i] ^ 1 << bit);
		}
	}
	buf_fini(&buf);
	audit_key_close(&key);
}

/* ---- in the store ---- */

struct world {
	struct db *db;
	struct audit_key *key;
	struct audit_tree tree;
	struct log_head head;
};

static void node_store(void *ctx, int level, int64_t number, const uint8_t node[H])
{
	struct world *world = ctx;
	struct audit_node row = {.level = level, .number = number};
	memcpy(row.hash, node, H);
	assert_int_equal(audit_node_insert(world->db, &row), ERR_OK);
}

static void checkpoint_store(struct world *world)
{
	struct audit_checkpoint checkpoint = {.epoch = 7, .size = world->tree.size, .time_us = world->tree.size};
	memcpy(checkpoint.head, world->head.hash, H);
	audit_tree_root(&world->tree, hash, checkpoint.root);
	audit_key_sign(world->key, &checkpoint);
	assert_int_equal(audit_checkpoint_insert(world->db, &checkpoint), ERR_OK);
}

/* Rows 1 to ROWS, a checkpoint after each hundred. */
static void world_make(struct world *world)
{
	struct audit_chain *chain;
	uint64_t epoch = 7;
	*world = (struct world){0};
	assert_int_equal(db_open(path, DB_WRITER, &world->db, detail), ERR_OK);
	assert_int_equal(db_migrate(world->db, path, detail), ERR_OK);
	assert_int_equal(audit_key_open(env_real(), dir, true, &world->key, detail), ERR_OK);
	assert_int_equal(audit_chain_create(&world->head, &chain), ERR_OK);
	assert_int_equal(db_begin(world->db), ERR_OK);
	assert_int_equal(db_meta_put(world->db, STR("audit_public"), str_make(audit_key_public(world->key), AUDIT_PUBLIC_BYTES)), ERR_OK);
	assert_int_equal(db_meta_put(world->db, STR("epoch"), str_make(&epoch, sizeof(epoch))), ERR_OK);
	for (int i = 1; i <= ROWS; i++) {
		char text[96];
		uint8_t leaf[H];
		snprintf(text, sizeof(text), "{\"action\":\"chat\",\"number\":%d,\"outcome\":\"completed\"}", i);
		struct log_row row = {.kinds = LOG_AUDIT, .workspace = 7, .action = STR("chat"), .outcome = OUTCOME_COMPLETED, .entry = str_of(text)};
		audit_seal(chain, &row, i);
		assert_int_equal(log_insert(world->db, &row), ERR_OK);
		world->head = *audit_head(chain);
		audit_tree_leaf(hash, row.hash, leaf);
		audit_tree_append(&world->tree, hash, leaf, node_store, world);
		if (i < LEAVES) {
			memcpy(leaves[i - 1], leaf, H);
		}
		if (i % 100 == 0) {
			checkpoint_store(world);
		}
	}
	assert_int_equal(db_commit(world->db), ERR_OK);
	audit_chain_destroy(&chain);
}

static void world_free(struct world *world)
{
	audit_key_close(&world->key);
	db_close(&world->db);
}

static void any_node_comes_out_of_the_store(void **state)
{
	struct world world;
	world_make(&world);
	struct audit_reader reader = {world.db, hash};
	struct audit_nodes stored = {&reader, audit_node_get};
	for (int level = 0; level <= 9; level++) {
		for (int number = 0; (number + 1) << level < LEAVES; number += level < 5 ? 7 : 1) {
			uint8_t node[H], wanted[H];
			assert_int_equal(audit_node_get(&reader, level, number, node), ERR_OK);
			mth(number << level, 1 << level, wanted);
			assert_memory_equal(node, wanted, H);
		}
	}
	struct audit_tree loaded;
	uint8_t root[H], wanted[H];
	assert_int_equal(audit_tree_load(&loaded, &stored, ROWS), ERR_OK);
	audit_tree_root(&loaded, hash, root);
	audit_tree_root(&world.tree, hash, wanted);
	assert_memory_equal(root, wanted, H);
	assert_int_equal(audit_node_get(&reader, 0, ROWS, root), ERR_CORRUPT);
	assert_int_equal(audit_node_get(&reader, 10, 1, root), ERR_CORRUPT);
	world_free(&world);
}

/* What somebody who can write the database makes of rows from `from` on: every hash fits again. */
static void rehash(struct db *db, int64_t from)
{
	static const struct db_sql entry = {"UPDATE log SET entry = replace(entry, 'number', 'numbed') WHERE seq = ?1"};
	static const struct db_sql row_of = {"SELECT entry, time_at, workspace FROM log WHERE seq = ?1"};
	static const struct db_sql prev_of = {"SELECT hash FROM log WHERE seq = ?1"};
	static const struct db_sql put = {"UPDATE log SET entry_hash = ?2, hash = ?3 WHERE seq = ?1"};
	struct db_stmt *stmt = db_use(db, &entry);
	uint8_t prev[H];
	bool row;
	db_bind_int(stmt, 1, from);
	assert_int_equal(db_run(stmt), ERR_OK);
	stmt = db_use(db, &prev_of);
	db_bind_int(stmt, 1, from - 1);
	assert_int_equal(db_step(stmt, &row), ERR_OK);
	memcpy(prev, db_bytes(stmt, 0).at, H);
	db_reset(stmt);
	for (int64_t seq = from; seq <= ROWS; seq++) {
		struct log_row r = {.seq = seq};
		stmt = db_use(db, &row_of);
		db_bind_int(stmt, 1, seq);
		assert_int_equal(db_step(stmt, &row), ERR_OK);
		assert_true(row);
		r.time_us = db_int(stmt, 1);
		r.workspace = db_int(stmt, 2);
		audit_hash_entry(hash, db_text(stmt, 0), r.entry_hash);
		db_reset(stmt);
		audit_hash_link(hash, prev, &r, prev);
		stmt = db_use(db, &put);
		db_bind_int(stmt, 1, seq);
		db_bind_bytes(stmt, 2, str_make(r.entry_hash, H));
		db_bind_bytes(stmt, 3, str_make(prev, H));
		assert_int_equal(db_run(stmt), ERR_OK);
	}
}

struct tampering {
	int64_t rehash_from; /* 0: nothing is hashed again */
	struct db_sql sql[3];
	int64_t first_bad, last_bad;
	const char *reason;
};

static void what_was_hashed_again_is_found(void **state)
{
	static const struct tampering list[] = {
		{0, {{NULL}}, 0, 0, NULL},
		{1250, {{NULL}}, 1201, 1280, "the tree kept over it says something else"},
		{1250, {{"DELETE FROM audit_node"}}, 1201, 1300, "it was written anew after a checkpoint was signed"},
		{150, {{NULL}}, 101, 200, "it was written anew after a checkpoint was signed"},
		{150, {{"DELETE FROM audit_checkpoint WHERE size < 300"}}, 1, 256, "the tree kept over it says something else"},
		{150, {{"DELETE FROM audit_checkpoint WHERE size < 300"}, {"DELETE FROM audit_node"}}, 1, 300,
		 "it was written anew after a checkpoint was signed"},
		{0, {{"DELETE FROM log WHERE seq > 1250"}}, 1251, 1300, "it is missing: a checkpoint was signed of a longer log"},
		{0, {{"UPDATE audit_checkpoint SET size = 250 WHERE size = 200"}}, 250, 0, "a checkpoint of it is not signed with this key"},
		{0, {{"UPDATE audit_checkpoint SET time_at = 3 WHERE size = 200"}}, 200, 0, "a checkpoint of it is not signed with this key"},
		{0, {{"UPDATE audit_checkpoint SET signature = zeroblob(64) WHERE size = 400"}}, 400, 0,
		 "a checkpoint of it is not signed with this key"},
		{0, {{"UPDATE meta SET value = zeroblob(32) WHERE name = 'audit_public'"}}, 100, 0,
		 "a checkpoint of it is not signed with this key"},
		{0, {{"DELETE FROM meta WHERE name = 'audit_public'"}}, 100, 0, "a checkpoint names it, and there is no key to check that with"},
		{0, {{"UPDATE audit_node SET hash = zeroblob(32) WHERE number = 1"}}, 501, 512, "the tree kept over it says something else"},
	};
	struct world world;
	world_make(&world);
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		struct audit_report report;
		assert_int_equal(db_begin(world.db), ERR_OK);
		if (list[i].rehash_from != 0) {
			rehash(world.db, list[i].rehash_from);
		}
		for (const struct db_sql *sql = list[i].sql; sql->text != NULL; sql++) {
			assert_int_equal(db_run(db_use(world.db, sql)), ERR_OK);
			assert_true(db_changes(world.db) >= 1);
		}
		assert_int_equal(audit_verify(world.db, NULL, &report), ERR_OK);
		assert_int_equal(report.first_bad, list[i].first_bad);
		assert_int_equal(report.last_bad, list[i].last_bad);
		if (list[i].reason != NULL) {
			assert_string_equal(report.reason, list[i].reason);
		} else {
			assert_null(report.reason);
			assert_int_equal(report.checkpoints, ROWS / 100);
			assert_int_equal(report.signed_size, ROWS);
		}
		db_rollback(world.db);
	}
	world_free(&world);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(known_roots_and_proofs),
		CASE(a_growing_tree_has_the_defined_roots),
		CASE(proofs_are_as_defined),
		CASE(a_key_is_made_once),
		CASE(each_flipped_bit_of_a_checkpoint_is_found),
		CASE(any_node_comes_out_of_the_store),
		CASE(what_was_hashed_again_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
