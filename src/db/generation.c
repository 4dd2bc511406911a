/*
 * generation.c - the file that remembers how far the store of a directory had come.
 *
 * An older copy of a store looks whole, but clients have seen what it does not know, under offsets that it will give to something else. So each
 * start takes a number, and the number and the newest offset stand outside the store too.
 */
#include <errno.h>
#include <stdio.h>

#include "base/log.h"
#include "db/backup.h"
#include "db/db_priv.h"
#include "db/file.h"
#include "db/log.h"

#define FILE_BYTES 256
#define PATH_BYTES 4200
#define EPOCH_MASK ((UINT64_C(1) << 53) - 1)

enum found { FOUND_NONE, FOUND_BROKEN, FOUND };

static bool number_of(struct str *rest, struct str name, int64_t *out)
{
	struct str line, key;
	uint64_t value;
	if (!str_split(rest, '\n', &line) || !str_split(&line, ' ', &key) || !str_eq(key, name) || !str_to_u64(line, &value) ||
	    value > INT64_MAX) {
		return false;
	}
	*out = (int64_t)value;
	return true;
}

static enum found file_read(const char *dir, struct generation *out)
{
	char path[PATH_BYTES], text[FILE_BYTES];
	snprintf(path, sizeof(path), "%s/generation", dir);
	struct db_file_about about;
	int number = db_file_read(path, text, sizeof(text), &about);
	if (number != 0) {
		return number == ENOENT ? FOUND_NONE : FOUND_BROKEN;
	}
	struct str rest = str_make(text, about.len);
	bool good = number_of(&rest, STR("epoch"), &out->epoch) && number_of(&rest, STR("number"), &out->number) &&
		    number_of(&rest, STR("seq"), &out->seq);
	return good ? FOUND : FOUND_BROKEN;
}

enum err generation_write(const char *dir, const struct generation *generation)
{
	char text[FILE_BYTES];
	int len = snprintf(text, sizeof(text), "epoch %lld\nnumber %lld\nseq %lld\n", (long long)generation->epoch,
			   (long long)generation->number, (long long)generation->seq);
	return db_file_replace(dir, "generation", str_make(text, (size_t)len)) == 0 ? ERR_OK : ERR_IO;
}

/* ERR_NOT_FOUND where the store has none yet. */
static enum err meta_number(struct db *db, struct str name, int64_t *out)
{
	struct arena arena;
	struct str value;
	arena_init(&arena, 4096);
	enum err err = db_meta_get(db, name, &arena, &value);
	if (err == ERR_OK && value.len != sizeof(*out)) {
		err = ERR_CORRUPT;
	}
	if (err == ERR_OK) {
		memcpy(out, value.at, sizeof(*out));
	}
	arena_fini(&arena);
	return err;
}

static enum err store_read(struct db *db, struct generation *out, bool *has_epoch)
{
	struct log_head head;
	*out = (struct generation){0};
	enum err err = meta_number(db, STR("epoch"), &out->epoch);
	*has_epoch = err == ERR_OK;
	out->epoch = (int64_t)((uint64_t)out->epoch & EPOCH_MASK);
	err = err == ERR_NOT_FOUND ? ERR_OK : err;
	if (err == ERR_OK) {
		err = meta_number(db, STR("generation"), &out->number);
		err = err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	err = err == ERR_OK ? log_head_read(db, &head) : err;
	if (err == ERR_OK) {
		out->seq = head.seq;
	}
	return err;
}

static enum err store_write(struct db *db, const struct generation *generation)
{
	enum err err = db_begin(db);
	if (err != ERR_OK) {
		return err;
	}
	err = db_meta_put(db, STR("epoch"), str_make(&generation->epoch, sizeof(generation->epoch)));
	if (err == ERR_OK) {
		err = db_meta_put(db, STR("generation"), str_make(&generation->number, sizeof(generation->number)));
	}
	err = err == ERR_OK ? db_commit(db) : err;
	if (err != ERR_OK) {
		db_rollback(db);
	}
	return err;
}

/* A store that never had a number comes from before there were any. */
static bool is_behind(const struct generation *store, enum found found, const struct generation *file)
{
	if (found == FOUND_NONE) {
		return store->number > 0;
	}
	return found == FOUND_BROKEN || file->epoch != store->epoch || file->number > store->number ||
	       (file->number == store->number && file->seq > store->seq);
}

enum err generation_start(struct db *db, const char *dir, const struct env *env, bool renew, struct generation *out, bool *renewed,
			  char *detail)
{
	struct generation file = {0};
	bool has_epoch;
	enum err err = store_read(db, out, &has_epoch);
	enum found found = file_read(dir, &file);
	*renewed = false;
	if (err == ERR_OK) {
		bool behind = is_behind(out, found, &file);
		*renewed = (has_epoch || found != FOUND_NONE) && (behind || renew);
		if (!has_epoch || *renewed) {
			uint64_t epoch;
			env_random(env, &epoch, sizeof(epoch));
			out->epoch = (int64_t)(epoch & EPOCH_MASK);
		}
		out->number = (file.number > out->number ? file.number : out->number) + 1;
		err = store_write(db, out);
	}
	if (err != ERR_OK) {
		snprintf(detail, DB_DETAIL_BYTES, "the start cannot be noted in the store: %s", err_row(err)->text.at);
		return err;
	}
	if (generation_write(dir, out) != ERR_OK) {
		snprintf(detail, DB_DETAIL_BYTES, "cannot write %.*s/generation (%s); make room on the disk, or its directory writable",
			 STR_FMT(db_path_shown(dir)), strerror(errno));
		return ERR_STORE_UNAVAILABLE;
	}
	return ERR_OK;
}
