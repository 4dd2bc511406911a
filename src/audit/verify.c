/* verify.c - walks the whole log and names the first row that was tampered with. */
#include "audit/audit.h"
#include "audit/audit_priv.h"
#include "base/mem.h"
#include "wire/json.h"

#define CHUNK_ROWS 1000
#define ENTRY_ARENA_BYTES (16 * 1024 * 1024)

struct audit_walk {
	struct audit_report report;
	struct hash *hash;
	struct arena arena;
	int64_t after;
	int rows; /* of this step */
};

/* What lists are filtered by stands in columns too: they must say the same as the entry. */
static enum err columns_agree(struct audit_walk *walk, const struct log_row *row, bool *agree)
{
	struct json_doc doc;
	struct str action;
	struct str outcome;
	enum err err = json_parse(&walk->arena, row->entry, &doc, NULL);
	if (err == ERR_OK) {
		*agree = json_get_str(json_member(json_root(&doc), STR("action")), &action) && str_eq(action, row->action) &&
			 json_get_str(json_member(json_root(&doc), STR("outcome")), &outcome) &&
			 log_outcome_parse(outcome) == row->outcome;
	} else if (err == ERR_MALFORMED) {
		*agree = false;
		err = ERR_OK;
	}
	arena_fini(&walk->arena);
	return err;
}

/* The fault of row, NULL when there is none. */
static const char *fault_of(struct audit_walk *walk, const struct log_row *row)
{
	const struct log_head *head = &walk->report.head;
	uint8_t entry_hash[HASH_SHA256_BYTES];
	uint8_t chain_hash[HASH_SHA256_BYTES];
	if (row->seq != head->seq + 1) {
		return "sequence has a gap";
	}
	if (row->time_us < head->time_us) {
		return "time goes back";
	}
	bool is_entry = (row->kinds & LOG_AUDIT) != 0;
	if (is_entry && row->entry.at == NULL) {
		return "content is missing";
	}
	audit_hash(walk->hash, head->hash, row, entry_hash, chain_hash);
	if (!hash_equal(entry_hash, row->entry_hash, HASH_SHA256_BYTES)) {
		return "content does not match its hash";
	}
	if (!hash_equal(chain_hash, row->hash, HASH_SHA256_BYTES)) {
		return "chain is broken";
	}
	if (!is_entry && row->entry.at != NULL) {
		return "columns do not match the content";
	}
	return NULL;
}

static enum err look(const struct log_row *row, void *arg)
{
	struct audit_walk *walk = arg;
	struct audit_report *report = &walk->report;
	const char *fault = fault_of(walk, row);
	walk->rows++;
	if (fault == NULL && row->entry.at != NULL) {
		bool agree = false;
		enum err err = columns_agree(walk, row, &agree);
		if (err != ERR_OK) {
			return err;
		}
		fault = agree ? NULL : "columns do not match the content";
	}
	if (fault != NULL) {
		/* Of a gap the first missing one is named; of a row before the first, that row. */
		int64_t expected = report->head.seq + 1;
		report->first_bad = row->seq < expected ? row->seq : expected;
		report->reason = fault;
		return ERR_END;
	}
	report->entries++;
	report->head.seq = row->seq;
	report->head.time_us = row->time_us;
	memcpy(report->head.hash, row->hash, HASH_SHA256_BYTES);
	return ERR_OK;
}

enum err audit_walk_create(struct audit_walk **out)
{
	struct audit_walk *walk = mem_alloc(sizeof(*walk));
	*out = NULL;
	if (walk == NULL) {
		return ERR_MEMORY;
	}
	enum err err = hash_create(&walk->hash);
	if (err != ERR_OK) {
		mem_free(walk);
		return err;
	}
	arena_init(&walk->arena, ENTRY_ARENA_BYTES);
	walk->after = INT64_MIN;
	*out = walk;
	return ERR_OK;
}

void audit_walk_destroy(struct audit_walk **walk)
{
	if (*walk != NULL) {
		hash_destroy(&(*walk)->hash);
		mem_free(*walk);
		*walk = NULL;
	}
}

enum err audit_walk_step(struct audit_walk *walk, struct db *db, int rows, bool *more)
{
	walk->rows = 0;
	*more = false;
	enum err err = log_read(db, walk->after, rows, look, walk);
	if (err != ERR_OK) {
		return err == ERR_END ? ERR_OK : err;
	}
	walk->after = walk->report.head.seq;
	*more = walk->rows == rows;
	return ERR_OK;
}

const struct audit_report *audit_walk_report(const struct audit_walk *walk)
{
	return &walk->report;
}

enum err audit_verify(struct db *db, struct audit_report *out)
{
	struct audit_walk *walk;
	bool more = true;
	*out = (struct audit_report){0};
	enum err err = audit_walk_create(&walk);
	if (err != ERR_OK) {
		return err;
	}
	while (err == ERR_OK && more) {
		err = audit_walk_step(walk, db, CHUNK_ROWS, &more);
	}
	*out = walk->report;
	audit_walk_destroy(&walk);
	return err;
}
