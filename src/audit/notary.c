/* notary.c - when checkpoints are made, and how. */
#include "audit/notary.h"

#include <stdatomic.h>
#include <stdio.h>

#include "audit/audit_priv.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/file.h"

#define DETAIL_BYTES 256
#define PATH_BYTES 4352
#define META_PUBLIC STR("audit_public")
/* Full nodes of kept levels that one pass can meet. */
#define NODES_MAX (LIMIT_AUDIT_PASS_ROWS / (1 << AUDIT_TREE_KEPT) + AUDIT_TREE_LEVELS)

enum notary_state { NOTARY_IDLE, NOTARY_WAITING, NOTARY_READING, NOTARY_WRITING };

/* One checkpoint on its way; only one is. */
struct pass {
	struct read_job read;
	struct write_job write;
	struct audit_tree tree;
	struct audit_checkpoint checkpoint;
	struct audit_node nodes[NODES_MAX];
	unsigned node_count;
};

struct audit_notary {
	struct audit_notary_options options;
	struct audit_key *key;
	struct hash *hash; /* of whoever runs the pass */
	struct db_lines *file;
	enum notary_state state;
	struct audit_tree tree; /* as far as the newest checkpoint */
	struct loop_timer timer;
	struct loop_note note;
	struct pass pass;
	_Atomic(int64_t) head;    /* newest row on disk */
	_Atomic(int64_t) covered; /* tree.size, for the writer */
	atomic_bool waiting;      /* not IDLE, for the writer */
	atomic_bool noted;        /* the note is on its way */
};

static void note_run(struct loop_note *note, struct loop *loop);
static void timer_run(struct loop_timer *timer, struct loop *loop);
static enum err read_run(struct read_job *job, struct db *db);
static void read_done(struct read_job *job);
static enum err write_apply(struct write_job *job, struct db *db);
static void write_done(struct write_job *job);

static void state_set(struct audit_notary *notary, enum notary_state state, const char *reason)
{
	static const char *const words[] = {"IDLE", "WAITING", "READING", "WRITING"};
	log_at(LOG_DEBUG, "audit_notary", log_s("old", str_of(words[notary->state])), log_s("new", str_of(words[state])),
	       log_s("reason", str_of(reason)));
	notary->state = state;
	atomic_store(&notary->waiting, state != NOTARY_IDLE);
}

/* ---- the file of checkpoints ---- */

/* The last line, without its end; what stands behind it was being written when the power went, and goes. */
static enum err file_tail(struct db_lines *file, struct audit_checkpoint *last)
{
	char text[2 * AUDIT_CHECKPOINT_TEXT_MAX];
	size_t len, size;
	*last = (struct audit_checkpoint){0};
	if (db_lines_tail(file, text, sizeof(text), &len, &size) != 0) {
		return ERR_IO;
	}
	size_t from = size - len;
	size_t end = len;
	while (end > 0 && text[end - 1] != '\n') {
		end--;
	}
	if (from + end < size && (end > 0 || from == 0) && db_lines_cut(file, from + end) != 0) {
		return ERR_IO;
	}
	size_t begin = end > 0 ? end - 1 : 0;
	while (begin > 0 && text[begin - 1] != '\n') {
		begin--;
	}
	if (end == 0) {
		return ERR_NOT_FOUND;
	}
	return audit_checkpoint_parse(str_make(text + begin, end - 1 - begin), last);
}

static enum err file_append(struct audit_notary *notary)
{
	struct buf line;
	struct json_out json;
	buf_init(&line, AUDIT_CHECKPOINT_TEXT_MAX);
	json_begin(&json, &line);
	audit_checkpoint_put(&json, &notary->pass.checkpoint);
	buf_put_byte(&line, '\n');
	enum err err = buf_err(&line);
	if (err == ERR_OK && db_lines_add(notary->file, buf_str(&line)) != 0) {
		struct audit_checkpoint cut;
		err = ERR_STORE_UNAVAILABLE;
		(void)file_tail(notary->file, &cut);
	}
	buf_fini(&line);
	return err;
}

/* Said, and left to who runs it: a backup may have been brought back on purpose. */
static void file_compare(struct audit_notary *notary, int64_t head)
{
	struct audit_checkpoint last;
	enum err err = file_tail(notary->file, &last);
	const char *fault = NULL;
	if (err == ERR_MALFORMED) {
		fault = "its last line is no checkpoint";
	} else if (err == ERR_OK && !audit_checkpoint_signed(&last, audit_key_public(notary->key))) {
		fault = "its last line is not signed with this store's key";
	} else if (err == ERR_OK && last.size > head) {
		fault = "it says that the log was longer: the store was rolled back or cut";
	}
	if (fault != NULL) {
		log_at(LOG_ERROR, "audit_checkpoints_differ", log_s("fault", str_of(fault)), log_i("log", head), log_i("file", last.size));
	}
}

/* ---- life ---- */

/* The public key is kept in the store: another key file is not taken for this one's. */
static enum err key_open(struct audit_notary *notary, struct db *db, char *detail)
{
	struct arena arena;
	struct str kept;
	arena_init(&arena, 4096);
	enum err found = db_meta_get(db, META_PUBLIC, &arena, &kept);
	enum err err = found == ERR_OK || found == ERR_NOT_FOUND ? ERR_OK : found;
	err = err == ERR_OK ? audit_key_open(notary->options.env, notary->options.dir, found == ERR_NOT_FOUND, &notary->key, detail) : err;
	if (err == ERR_OK && found == ERR_NOT_FOUND) {
		err = db_meta_put(db, META_PUBLIC, str_make(audit_key_public(notary->key), AUDIT_PUBLIC_BYTES));
	} else if (err == ERR_OK && !str_eq(kept, str_make(audit_key_public(notary->key), AUDIT_PUBLIC_BYTES))) {
		snprintf(detail, DETAIL_BYTES, "%.160s/audit.key is not the one this store's checkpoints were signed with; put the right one back",
			 notary->options.dir);
		err = ERR_KEY;
	}
	arena_fini(&arena);
	return err;
}

/* Goes on from the newest checkpoint. What is in the store does not fit it: nothing is signed over that, verifying names it. */
static enum err tree_open(struct audit_notary *notary, struct db *db)
{
	struct audit_checkpoint last;
	struct audit_reader reader = {db, notary->hash};
	struct audit_nodes nodes = {&reader, audit_node_get};
	uint8_t root[HASH_SHA256_BYTES];
	enum err err = audit_checkpoint_last(db, &last);
	if (err != ERR_OK) {
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	err = last.size > 0 ? audit_tree_load(&notary->tree, &nodes, last.size) : ERR_CORRUPT;
	if (err == ERR_OK) {
		audit_tree_root(&notary->tree, notary->hash, root);
		err = hash_equal(root, last.root, sizeof(root)) ? ERR_OK : ERR_CORRUPT;
	}
	if (err == ERR_CORRUPT) {
		log_at(LOG_ERROR, "audit_log_differs", log_s("fault", STR("it does not lead to its newest checkpoint: run guild audit verify")),
		       log_i("size", last.size));
		notary->tree = (struct audit_tree){.size = INT64_MAX};
		err = ERR_OK;
	}
	return err;
}

static enum err file_open(struct audit_notary *notary, char *detail)
{
	char path[PATH_BYTES];
	snprintf(path, sizeof(path), "%s/audit.checkpoints", notary->options.dir);
	int number = db_lines_open(path, &notary->file);
	if (number != 0) {
		snprintf(detail, DETAIL_BYTES, "%.160s cannot be opened (%s); check its owner and mode", path, strerrordesc_np(number));
		return ERR_IO;
	}
	return ERR_OK;
}

enum err audit_notary_create(const struct audit_notary_options *options, struct audit_notary **out, char *detail)
{
	struct db *db = writer_db(options->writer);
	struct audit_notary *notary = mem_alloc(sizeof(*notary));
	struct log_head head = {0};
	*out = NULL;
	if (notary == NULL) {
		return ERR_MEMORY;
	}
	notary->options = *options;
	notary->timer.run = timer_run;
	notary->note.run = note_run;
	enum err err = hash_create(&notary->hash);
	err = err == ERR_OK ? key_open(notary, db, detail) : err;
	err = err == ERR_OK ? log_head_read(db, &head) : err;
	err = err == ERR_OK ? tree_open(notary, db) : err;
	err = err == ERR_OK ? file_open(notary, detail) : err;
	if (err != ERR_OK) {
		audit_notary_destroy(&notary);
		return err;
	}
	file_compare(notary, head.seq);
	atomic_store(&notary->head, head.seq);
	atomic_store(&notary->covered, notary->tree.size);
	*out = notary;
	return ERR_OK;
}

void audit_notary_destroy(struct audit_notary **notary)
{
	struct audit_notary *n = *notary;
	if (n == NULL) {
		return;
	}
	db_lines_close(&n->file);
	if (n->key != NULL) {
		audit_key_close(&n->key);
	}
	hash_destroy(&n->hash);
	mem_free(n);
	*notary = NULL;
}

/* ---- when ---- */

void audit_notary_committed(struct audit_notary *notary, int64_t seq)
{
	atomic_store(&notary->head, seq);
	bool due = seq - atomic_load_explicit(&notary->covered, memory_order_relaxed) >= notary->options.rows;
	if ((due || !atomic_load(&notary->waiting)) && !atomic_exchange(&notary->noted, true)) {
		loop_note_post(notary->options.loop, &notary->note);
	}
}

void audit_notary_start(struct audit_notary *notary)
{
	audit_notary_committed(notary, atomic_load(&notary->head));
}

static void pass_prepare(struct audit_notary *notary)
{
	struct pass *pass = &notary->pass;
	pass->tree = notary->tree;
	pass->node_count = 0;
	pass->read = (struct read_job){.run = read_run, .done = read_done, .home = notary->options.loop};
	pass->write = (struct write_job){.apply = write_apply, .done = write_done, .home = notary->options.loop, .sweep = true};
}

/* Rows not covered wait for their number or time. */
static void consider(struct audit_notary *notary, const char *reason)
{
	int64_t missing = atomic_load(&notary->head) - notary->tree.size;
	if (notary->state > NOTARY_WAITING || missing <= 0) {
		return;
	}
	struct loop *loop = notary->options.loop;
	if (missing >= notary->options.rows) {
		loop_timer_clear(loop, &notary->timer);
		pass_prepare(notary);
		if (reader_push(notary->options.readers, &notary->pass.read) == ERR_OK) {
			state_set(notary, NOTARY_READING, reason);
			return;
		}
	}
	if (notary->timer.entry.index != 0) {
		return;
	}
	if (loop_timer_set(loop, &notary->timer, loop_now_us(loop) + notary->options.every_us) == ERR_OK) {
		state_set(notary, NOTARY_WAITING, reason);
	}
}

static void note_run(struct loop_note *note, struct loop *loop)
{
	struct audit_notary *notary = container_of(note, struct audit_notary, note);
	(void)loop;
	atomic_store(&notary->noted, false);
	consider(notary, "rows");
}

static void timer_run(struct loop_timer *timer, struct loop *loop)
{
	struct audit_notary *notary = container_of(timer, struct audit_notary, timer);
	pass_prepare(notary);
	if (reader_push(notary->options.readers, &notary->pass.read) == ERR_OK) {
		state_set(notary, NOTARY_READING, "time");
	} else if (loop_timer_set(loop, &notary->timer, loop_now_us(loop) + notary->options.every_us) != ERR_OK) {
		state_set(notary, NOTARY_IDLE, "no timer");
	}
}

/* IDLE first, then the look at the head: who commits meanwhile sees the one, or is seen by the other. */
static void pass_end(struct audit_notary *notary, enum err err)
{
	if (err == ERR_OK) {
		notary->tree = notary->pass.tree;
		atomic_store(&notary->covered, notary->tree.size);
	} else if (err != ERR_GOING_AWAY) {
		log_at(LOG_WARN, "audit_checkpoint_failed", log_s("code", err_row(err)->code), log_i("after", notary->tree.size));
	}
	state_set(notary, NOTARY_IDLE, err == ERR_OK ? "done" : "failed");
	struct loop *loop = notary->options.loop;
	if (err == ERR_OK) {
		consider(notary, "more rows");
	} else if (err != ERR_GOING_AWAY && loop_timer_set(loop, &notary->timer, loop_now_us(loop) + notary->options.every_us) == ERR_OK) {
		state_set(notary, NOTARY_WAITING, "again");
	}
}

/* ---- one pass ---- */

static void node_keep(void *ctx, int level, int64_t number, const uint8_t hash[HASH_SHA256_BYTES])
{
	struct pass *pass = ctx;
	check(pass->node_count < NODES_MAX);
	struct audit_node *node = &pass->nodes[pass->node_count++];
	node->level = level;
	node->number = number;
	memcpy(node->hash, hash, HASH_SHA256_BYTES);
}

static enum err row_add(int64_t seq, const uint8_t hash[HASH_SHA256_BYTES], void *arg)
{
	struct audit_notary *notary = arg;
	struct pass *pass = &notary->pass;
	uint8_t leaf[HASH_SHA256_BYTES];
	if (seq != pass->tree.size + 1) {
		return ERR_CORRUPT;
	}
	audit_tree_leaf(notary->hash, hash, leaf);
	audit_tree_append(&pass->tree, notary->hash, leaf, node_keep, pass);
	memcpy(pass->checkpoint.head, hash, HASH_SHA256_BYTES);
	return ERR_OK;
}

/* ERR_END: there is nothing to cover. */
static enum err pass_make(struct audit_notary *notary, struct db *db)
{
	struct pass *pass = &notary->pass;
	struct audit_checkpoint *checkpoint = &pass->checkpoint;
	int64_t before = pass->tree.size;
	enum err err = audit_log_hashes(db, before, LIMIT_AUDIT_PASS_ROWS, row_add, notary);
	if (err != ERR_OK || pass->tree.size == before) {
		return err == ERR_OK ? ERR_END : err;
	}
	checkpoint->epoch = notary->options.epoch;
	checkpoint->size = pass->tree.size;
	checkpoint->time_us = env_wall_us(notary->options.env);
	audit_tree_root(&pass->tree, notary->hash, checkpoint->root);
	audit_key_sign(notary->key, checkpoint);
	return file_append(notary);
}

static enum err pass_write(struct audit_notary *notary, struct db *db)
{
	struct pass *pass = &notary->pass;
	enum err err = audit_checkpoint_insert(db, &pass->checkpoint);
	for (unsigned i = 0; i < pass->node_count && err == ERR_OK; i++) {
		err = audit_node_insert(db, &pass->nodes[i]);
	}
	return err;
}

static enum err read_run(struct read_job *job, struct db *db)
{
	return pass_make(container_of(job, struct audit_notary, pass.read), db);
}

static void read_done(struct read_job *job)
{
	struct audit_notary *notary = container_of(job, struct audit_notary, pass.read);
	enum err err = job->result;
	if (err == ERR_OK) {
		err = writer_push(notary->options.writer, &notary->pass.write);
	}
	if (err == ERR_OK) {
		state_set(notary, NOTARY_WRITING, "signed");
	} else {
		pass_end(notary, err == ERR_END ? ERR_OK : err);
	}
}

static enum err write_apply(struct write_job *job, struct db *db)
{
	return pass_write(container_of(job, struct audit_notary, pass.write), db);
}

static void write_done(struct write_job *job)
{
	pass_end(container_of(job, struct audit_notary, pass.write), job->result);
}

/* ---- the stop ---- */

static enum err pass_now(struct audit_notary *notary, struct db *db)
{
	pass_prepare(notary);
	enum err err = pass_make(notary, db);
	err = err == ERR_OK ? db_begin(db) : err;
	if (err != ERR_OK) {
		return err;
	}
	err = pass_write(notary, db);
	err = err == ERR_OK ? db_commit(db) : err;
	if (err != ERR_OK) {
		db_rollback(db);
	} else {
		notary->tree = notary->pass.tree;
	}
	return err;
}

void audit_notary_stop(struct audit_notary *notary)
{
	struct db *db = writer_db(notary->options.writer);
	if (notary->tree.size == INT64_MAX) {
		return;
	}
	/* A pass that was under way may be in the store or not. */
	notary->tree = (struct audit_tree){0};
	enum err err = tree_open(notary, db);
	while (err == ERR_OK) {
		err = pass_now(notary, db);
	}
	if (err != ERR_END) {
		log_at(LOG_WARN, "audit_checkpoint_failed", log_s("code", err_row(err)->code), log_i("after", notary->tree.size));
	}
}
