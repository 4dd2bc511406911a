/*
 * verify.c - walks the whole log and names the first row that was tampered with.
 *
 * The chain finds what was changed and not hashed again, at its row. What was hashed again, cut or brought back from an older copy is
 * found by the signed checkpoints; then the bad row is known to lie behind the last checkpoint that holds.
 */
#include "audit/verify_priv.h"
#include "base/mem.h"
#include "db/backup.h"
#include "wire/json.h"

#define CHUNK_ROWS 1000
#define SCHEMA_WITH_TREE 6
#define ENTRY_ARENA_BYTES (16 * 1024 * 1024)

/* ---- a walk ---- */

static enum err file_add(struct audit_walk *walk, const char *path)
{
	struct audit_lines *lines = &walk->files[walk->file_count];
	if (path == NULL) {
		return ERR_OK;
	}
	enum err err = audit_lines_open(lines, path, AUDIT_CHECKPOINT_TEXT_MAX + 1);
	if (err == ERR_OK) {
		walk->file_count++;
		walk->sources[walk->source_count++] = (struct audit_source){.lines = lines};
	}
	return err;
}

enum err audit_walk_begin(struct audit_walk *walk, const struct audit_proofs *proofs, struct audit_report *report)
{
	*walk = (struct audit_walk){.report = report != NULL ? report : &walk->own};
	*walk->report = (struct audit_report){0};
	arena_init(&walk->arena, ENTRY_ARENA_BYTES);
	enum err err = hash_create(&walk->hash);
	if (proofs != NULL && proofs->public_key != NULL) {
		memcpy(walk->public_key, proofs->public_key, sizeof(walk->public_key));
		walk->has_key = true;
	}
	if (err == ERR_OK && proofs != NULL) {
		err = file_add(walk, proofs->checkpoints);
		err = err == ERR_OK ? file_add(walk, proofs->more) : err;
	}
	return err;
}

void audit_walk_end(struct audit_walk *walk)
{
	for (int i = 0; i < walk->file_count; i++) {
		audit_lines_close(&walk->files[i]);
	}
	arena_fini(&walk->arena);
	hash_destroy(&walk->hash);
}

void audit_walk_bad(struct audit_walk *walk, int64_t first, int64_t last, const char *reason)
{
	struct audit_report *report = walk->report;
	if (report->reason == NULL) {
		report->first_bad = first;
		report->last_bad = last > first ? last : 0;
		report->reason = reason;
	}
}

/* ---- rows ---- */

/* What lists are filtered by stands in columns too: they must say the same as the entry. */
static const char *columns_fault(struct audit_walk *walk, const struct log_row *row)
{
	struct json_doc doc;
	struct str action;
	struct str outcome;
	bool agree = false;
	enum err err = json_parse(&walk->arena, row->entry, &doc, NULL);
	if (err == ERR_OK) {
		agree = json_get_str(json_member(json_root(&doc), STR("action")), &action) && str_eq(action, row->action) &&
			json_get_str(json_member(json_root(&doc), STR("outcome")), &outcome) && log_outcome_parse(outcome) == row->outcome;
	} else if (err != ERR_MALFORMED) {
		walk->err = err;
	}
	arena_fini(&walk->arena);
	return agree ? NULL : "columns do not match the content";
}

/* The fault of row, NULL when there is none. An entry without its content is erased: its hash stands for it. */
static const char *fault_of(struct audit_walk *walk, const struct log_row *row)
{
	const struct log_head *head = &walk->report->head;
	uint8_t entry_hash[HASH_SHA256_BYTES];
	uint8_t chain_hash[HASH_SHA256_BYTES];
	bool is_entry = (row->kinds & LOG_AUDIT) != 0;
	if (row->seq != head->seq + 1) {
		return "sequence has a gap";
	}
	if (row->time_us < head->time_us) {
		return "time goes back";
	}
	audit_hash_entry(walk->hash, row->entry, entry_hash);
	bool is_erased = is_entry && row->entry.at == NULL;
	if (!is_erased && !hash_equal(entry_hash, row->entry_hash, HASH_SHA256_BYTES)) {
		return "content does not match its hash";
	}
	audit_hash_link(walk->hash, head->hash, row, chain_hash);
	if (!hash_equal(chain_hash, row->hash, HASH_SHA256_BYTES)) {
		return "chain is broken";
	}
	if (!is_entry && row->entry.at != NULL) {
		return "columns do not match the content";
	}
	walk->report->erased += is_erased;
	return NULL;
}

static enum err kept_read(int64_t number, const uint8_t hash[HASH_SHA256_BYTES], void *arg)
{
	struct audit_node *node = arg;
	if (number == node->number) {
		memcpy(node->hash, hash, HASH_SHA256_BYTES);
		node->level = 1;
	}
	return ERR_OK;
}

/* Nodes that no checkpoint covers yet are not kept yet. */
static void node_full(void *ctx, int level, int64_t number, const uint8_t hash[HASH_SHA256_BYTES])
{
	struct audit_walk *walk = ctx;
	struct audit_node kept = {.number = number};
	if (walk->db == NULL) {
		return;
	}
	enum err err = audit_kept_nodes(walk->db, level, number, 1, kept_read, &kept);
	walk->err = walk->err == ERR_OK ? err : walk->err;
	if (err == ERR_OK && kept.level != 0 && !hash_equal(kept.hash, hash, HASH_SHA256_BYTES)) {
		int64_t first = (number << level) + 1;
		first = first > walk->report->signed_size ? first : walk->report->signed_size + 1;
		int64_t last = (number + 1) << level;
		audit_walk_bad(walk, first < last ? first : last, last, "the tree kept over it says something else");
	}
}

void audit_walk_row(struct audit_walk *walk, const struct log_row *row)
{
	struct audit_report *report = walk->report;
	uint8_t leaf[HASH_SHA256_BYTES];
	const char *fault = fault_of(walk, row);
	if (fault == NULL && row->entry.at != NULL && row->action.at != NULL) {
		fault = columns_fault(walk, row);
	}
	if (fault != NULL) {
		/* Of a gap the first missing one is named; of a row before the first, that row. */
		int64_t expected = report->head.seq + 1;
		audit_walk_bad(walk, row->seq < expected ? row->seq : expected, 0, fault);
		return;
	}
	report->entries++;
	report->head.seq = row->seq;
	report->head.time_us = row->time_us;
	memcpy(report->head.hash, row->hash, HASH_SHA256_BYTES);
	audit_tree_leaf(walk->hash, row->hash, leaf);
	audit_tree_append(&walk->tree, walk->hash, leaf, node_full, walk);
}

/* ---- checkpoints ---- */

/* What can be said of a checkpoint without the log. */
static bool is_genuine(struct audit_walk *walk, const struct audit_checkpoint *checkpoint)
{
	int64_t at = checkpoint->size > 0 ? checkpoint->size : 1;
	if (!walk->has_key) {
		audit_walk_bad(walk, at, 0, "a checkpoint names it, and there is no key to check that with");
	} else if (!audit_checkpoint_signed(checkpoint, walk->public_key)) {
		audit_walk_bad(walk, at, 0, "a checkpoint of it is not signed with this key");
	} else {
		return true;
	}
	return false;
}

void audit_walk_checkpoint(struct audit_walk *walk, const struct audit_checkpoint *checkpoint)
{
	struct audit_report *report = walk->report;
	uint8_t root[HASH_SHA256_BYTES];
	if (!is_genuine(walk, checkpoint)) {
		return;
	}
	audit_tree_root(&walk->tree, walk->hash, root);
	if (checkpoint->size != report->head.seq) {
		audit_walk_bad(walk, checkpoint->size, 0, "a checkpoint of it stands at a wrong place");
	} else if (!hash_equal(root, checkpoint->root, sizeof(root)) || !hash_equal(report->head.hash, checkpoint->head, HASH_SHA256_BYTES)) {
		audit_walk_bad(walk, report->signed_size + 1, checkpoint->size, "it was written anew after a checkpoint was signed");
	} else {
		report->checkpoints += checkpoint->size > report->signed_size;
		report->signed_size = checkpoint->size;
		report->signed_time_us = checkpoint->time_us;
	}
}

static enum err source_read(struct audit_walk *walk, struct audit_source *source)
{
	int64_t before = source->next.size;
	struct str line;
	enum err err = ERR_OK;
	if (source->db != NULL) {
		err = audit_checkpoint_next(source->db, before, &source->next);
	} else {
		err = audit_lines_next(source->lines, &line);
		err = err == ERR_OK ? audit_checkpoint_parse(line, &source->next) : err;
	}
	source->has = err == ERR_OK;
	if (err == ERR_MALFORMED) {
		audit_walk_bad(walk, before > 0 ? before : 1, 0, "a line behind its checkpoint is none");
	} else if (source->has && (source->next.size < before || source->next.size <= 0)) {
		audit_walk_bad(walk, before > 0 ? before : 1, 0, "a checkpoint behind that of it is of an earlier state");
	}
	return err == ERR_OK || err == ERR_MALFORMED || err == ERR_END || err == ERR_NOT_FOUND ? ERR_OK : err;
}

void audit_walk_table(struct audit_walk *walk, struct db *db)
{
	walk->db = db;
	walk->sources[walk->source_count++] = (struct audit_source){.db = db};
}

enum err audit_walk_sources(struct audit_walk *walk)
{
	enum err err = walk->err;
	for (int i = 0; i < walk->source_count && err == ERR_OK; i++) {
		struct audit_source *source = &walk->sources[i];
		if (walk->report->head.seq == 0) {
			err = source_read(walk, source);
		}
		while (err == ERR_OK && source->has && source->next.size <= walk->report->head.seq && !audit_walk_is_bad(walk)) {
			audit_walk_checkpoint(walk, &source->next);
			err = source_read(walk, source);
		}
	}
	return err;
}

enum err audit_walk_finish(struct audit_walk *walk)
{
	enum err err = ERR_OK;
	for (int i = 0; i < walk->source_count && err == ERR_OK; i++) {
		struct audit_source *source = &walk->sources[i];
		while (err == ERR_OK && source->has && !audit_walk_is_bad(walk)) {
			if (is_genuine(walk, &source->next)) {
				audit_walk_bad(walk, walk->report->head.seq + 1, source->next.size,
					       "it is missing: a checkpoint was signed of a longer log");
			}
			err = source_read(walk, source);
		}
	}
	return err;
}

/* ---- a store ---- */

struct store_walk {
	struct audit_walk *walk;
	int rows; /* of this chunk */
};

static enum err look(const struct log_row *row, void *arg)
{
	struct store_walk *store = arg;
	store->rows++;
	audit_walk_row(store->walk, row);
	enum err err = audit_walk_is_bad(store->walk) ? ERR_END : audit_walk_sources(store->walk);
	return err == ERR_OK && audit_walk_is_bad(store->walk) ? ERR_END : err;
}

/* The key that the store itself names. */
static enum err store_names(struct audit_walk *walk, struct db *db)
{
	struct str value;
	enum err err = walk->has_key ? ERR_OK : db_meta_get(db, STR("audit_public"), &walk->arena, &value);
	if (err == ERR_OK && !walk->has_key && value.len == sizeof(walk->public_key)) {
		memcpy(walk->public_key, value.at, value.len);
		walk->has_key = true;
	}
	arena_fini(&walk->arena);
	return err == ERR_NOT_FOUND ? ERR_OK : err;
}

/* Before the first row. A store of an earlier schema has neither tree nor checkpoints. */
static enum err store_begin(struct audit_walk *walk, struct db *db)
{
	char ignored[256];
	int64_t version = 0;
	enum err err = db_version(db, "store", &version, ignored);
	if (err == ERR_OK && version >= SCHEMA_WITH_TREE) {
		audit_walk_table(walk, db);
	}
	err = err == ERR_OK ? store_names(walk, db) : err;
	return err == ERR_OK ? audit_walk_sources(walk) : err;
}

enum err audit_walk_create(const struct audit_proofs *proofs, struct audit_walk **out)
{
	struct audit_walk *walk = mem_alloc(sizeof(*walk));
	*out = NULL;
	if (walk == NULL) {
		return ERR_MEMORY;
	}
	enum err err = audit_walk_begin(walk, proofs, NULL);
	if (err != ERR_OK) {
		audit_walk_destroy(&walk);
		return err;
	}
	*out = walk;
	return ERR_OK;
}

void audit_walk_destroy(struct audit_walk **walk)
{
	if (*walk != NULL) {
		audit_walk_end(*walk);
		mem_free(*walk);
		*walk = NULL;
	}
}

const struct audit_report *audit_walk_report(const struct audit_walk *walk)
{
	return walk->report;
}

enum err audit_walk_step(struct audit_walk *walk, struct db *db, int rows, bool *more)
{
	struct store_walk store = {.walk = walk};
	enum err err = walk->begun ? ERR_OK : store_begin(walk, db);
	*more = false;
	walk->begun = true;
	if (err != ERR_OK || audit_walk_is_bad(walk)) {
		return err;
	}
	err = log_read(db, walk->report->head.seq > 0 ? walk->report->head.seq : INT64_MIN, rows, look, &store);
	if (err != ERR_OK || store.rows > 0) {
		*more = err == ERR_OK;
		return err == ERR_END ? ERR_OK : err;
	}
	/* Only when a look finds no more: a server may be running, and a checkpoint seen meanwhile be of rows that came meanwhile. */
	return audit_walk_finish(walk);
}

enum err audit_verify(struct db *db, const struct audit_proofs *proofs, struct audit_report *out)
{
	struct audit_walk *walk;
	bool more = true;
	*out = (struct audit_report){0};
	enum err err = audit_walk_create(proofs, &walk);
	if (err != ERR_OK) {
		return err;
	}
	while (err == ERR_OK && more) {
		err = audit_walk_step(walk, db, CHUNK_ROWS, &more);
	}
	*out = *walk->report;
	audit_walk_destroy(&walk);
	return err;
}
