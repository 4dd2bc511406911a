/* verify_file.c - lines of files, and checking an exported log. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/export.h"
#include "audit/verify_priv.h"
#include "base/limits.h"

#define READ_BYTES 65536

/* ---- lines ---- */

enum err audit_lines_open(struct audit_lines *lines, const char *path, size_t line_max)
{
	struct stat st;
	*lines = (struct audit_lines){.fd = open(path, O_RDONLY | O_CLOEXEC)};
	if (lines->fd < 0) {
		return ERR_NOT_FOUND;
	}
	if (fstat(lines->fd, &st) != 0 || !S_ISREG(st.st_mode)) {
		close(lines->fd);
		return ERR_NOT_FOUND;
	}
	lines->left = st.st_size;
	buf_init(&lines->buf, line_max + READ_BYTES);
	return ERR_OK;
}

void audit_lines_close(struct audit_lines *lines)
{
	buf_fini(&lines->buf);
	close(lines->fd);
}

static enum err fill(struct audit_lines *lines)
{
	size_t want = lines->left < READ_BYTES ? (size_t)lines->left : READ_BYTES;
	char *to = buf_reserve(&lines->buf, want);
	if (to == NULL) {
		return ERR_MALFORMED;
	}
	ssize_t n;
	do {
		n = read(lines->fd, to, want);
	} while (n < 0 && errno == EINTR);
	if (n < 0) {
		return ERR_IO;
	}
	lines->buf.len += (size_t)n;
	lines->left = n > 0 ? lines->left - n : 0;
	return ERR_OK;
}

enum err audit_lines_next(struct audit_lines *lines, struct str *line)
{
	size_t seen = 0;
	buf_drop(&lines->buf, lines->taken);
	lines->taken = 0;
	for (;;) {
		ptrdiff_t end = lines->buf.len > seen ? str_find_byte(str_sub(buf_str(&lines->buf), seen, lines->buf.len), '\n') : -1;
		if (end >= 0) {
			*line = str_sub(buf_str(&lines->buf), 0, seen + (size_t)end);
			lines->taken = line->len + 1;
			return ERR_OK;
		}
		seen = lines->buf.len;
		if (lines->left == 0) {
			return seen == 0 ? ERR_END : ERR_MALFORMED;
		}
		enum err err = fill(lines);
		if (err != ERR_OK) {
			return err;
		}
	}
}

/* ---- an export ---- */

struct export_walk {
	struct audit_walk walk;
	struct buf again; /* a line as it would be written now */
	bool begun, ended;
};

static bool get_hex(struct json of, struct str name, uint8_t out[HASH_SHA256_BYTES])
{
	struct str text;
	return json_get_str(json_member(of, name), &text) && hash_unhex(text, out, HASH_SHA256_BYTES) == ERR_OK;
}

/* Any other way to write the same is a change too. */
static bool is_rendered(struct export_walk *export, struct str line)
{
	struct str again = buf_str(&export->again);
	return buf_err(&export->again) == ERR_OK && again.len == line.len + 1 && memcmp(again.at, line.at, line.len) == 0;
}

static bool take_first(struct export_walk *export, struct json line, struct str text)
{
	struct audit_walk *walk = &export->walk;
	uint8_t named[AUDIT_PUBLIC_BYTES];
	int64_t epoch;
	if (!json_get_int(json_member(line, STR("epoch")), &epoch) || !get_hex(line, STR("public_key"), named)) {
		return false;
	}
	audit_export_first(&export->again, epoch, named);
	if (walk->has_key && !hash_equal(named, walk->public_key, sizeof(named))) {
		audit_walk_bad(walk, 1, 0, "the export names another key");
	}
	memcpy(walk->public_key, named, sizeof(named));
	walk->has_key = true;
	export->begun = true;
	return is_rendered(export, text);
}

static bool take_row(struct export_walk *export, struct json line, struct str text)
{
	struct log_row row = {0};
	struct str workspace;
	uint8_t nothing[HASH_SHA256_BYTES];
	bool withheld;
	if (!json_get_int(json_member(line, STR("seq")), &row.seq) || !json_get_int(json_member(line, STR("time_us")), &row.time_us) ||
	    !json_get_str(json_member(line, STR("workspace")), &workspace) || !str_to_i64(workspace, &row.workspace) ||
	    !get_hex(line, STR("entry_hash"), row.entry_hash) || !get_hex(line, STR("hash"), row.hash) ||
	    !json_get_bool(json_member(line, STR("withheld")), &withheld)) {
		return false;
	}
	(void)json_get_str(json_member(line, STR("entry")), &row.entry);
	audit_export_row(&export->again, &row, withheld);
	if (!is_rendered(export, text)) {
		return false;
	}
	audit_hash_entry(export->walk.hash, STR_NONE, nothing);
	bool has_content = row.entry.at != NULL || !hash_equal(row.entry_hash, nothing, sizeof(nothing));
	row.kinds = has_content ? LOG_AUDIT : 0;
	audit_walk_row(&export->walk, &row);
	if (withheld && has_content && !audit_walk_is_bad(&export->walk)) {
		export->walk.report->erased--;
		export->walk.report->withheld++;
	}
	return true;
}

static bool take_checkpoint(struct export_walk *export, struct json of, struct str text)
{
	struct audit_checkpoint checkpoint;
	struct buf inner;
	struct json_out json;
	buf_init(&inner, AUDIT_CHECKPOINT_TEXT_MAX);
	json_begin(&json, &inner);
	json_put_value(&json, of);
	bool good = buf_err(&inner) == ERR_OK && audit_checkpoint_parse(buf_str(&inner), &checkpoint) == ERR_OK;
	buf_fini(&inner);
	if (!good) {
		return false;
	}
	audit_export_checkpoint(&export->again, &checkpoint);
	audit_walk_checkpoint(&export->walk, &checkpoint);
	return is_rendered(export, text);
}

static bool take_end(struct export_walk *export, struct json of, struct str text)
{
	struct log_head head = {0};
	if (!json_get_int(json_member(of, STR("seq")), &head.seq) || !get_hex(of, STR("hash"), head.hash)) {
		return false;
	}
	audit_export_end(&export->again, &head);
	export->ended = true;
	const struct log_head *here = &export->walk.report->head;
	if (head.seq != here->seq || !hash_equal(head.hash, here->hash, HASH_SHA256_BYTES)) {
		audit_walk_bad(&export->walk, here->seq + 1, head.seq, "the export's end says that there is more, or something else");
	}
	return is_rendered(export, text);
}

static bool take(struct export_walk *export, struct json line, struct str text)
{
	struct json checkpoint = json_member(line, STR("checkpoint"));
	struct json end = json_member(line, STR("end"));
	buf_clear(&export->again);
	if (export->ended) {
		return false;
	}
	if (!export->begun) {
		return take_first(export, line, text);
	}
	if (json_there(checkpoint)) {
		return take_checkpoint(export, checkpoint, text);
	}
	return json_there(end) ? take_end(export, end, text) : take_row(export, line, text);
}

static enum err walk_lines(struct export_walk *export, struct audit_lines *lines)
{
	struct audit_walk *walk = &export->walk;
	struct arena arena;
	struct json_doc doc;
	struct str text;
	enum err err = audit_walk_sources(walk);
	while (err == ERR_OK && !audit_walk_is_bad(walk)) {
		err = audit_lines_next(lines, &text);
		if (err == ERR_END) {
			break;
		}
		arena_init(&arena, 4 * LIMIT_AUDIT_LINE_BYTES);
		err = err == ERR_OK ? json_parse(&arena, text, &doc, NULL) : err;
		bool good = err == ERR_OK && take(export, json_root(&doc), text);
		arena_fini(&arena);
		if (!good && (err == ERR_OK || err == ERR_MALFORMED)) {
			audit_walk_bad(walk, walk->report->head.seq + 1, 0, "its line is not as an export has it");
			err = ERR_OK;
		}
		if (err == ERR_OK && walk->report->head.seq > 0 && !audit_walk_is_bad(walk)) {
			err = audit_walk_sources(walk);
		}
	}
	return err == ERR_END ? ERR_OK : err;
}

enum err audit_verify_export(const char *path, const struct audit_proofs *proofs, struct audit_report *out)
{
	struct export_walk export = {0};
	struct audit_lines lines;
	enum err err = audit_walk_begin(&export.walk, proofs, out);
	err = err == ERR_OK ? audit_lines_open(&lines, path, LIMIT_AUDIT_LINE_BYTES) : err;
	if (err == ERR_OK) {
		buf_init(&export.again, LIMIT_AUDIT_LINE_BYTES);
		err = walk_lines(&export, &lines);
		if (err == ERR_OK && !export.ended && !audit_walk_is_bad(&export.walk)) {
			audit_walk_bad(&export.walk, out->head.seq + 1, 0, "the export breaks off before its end");
		}
		err = err == ERR_OK ? audit_walk_finish(&export.walk) : err;
		buf_fini(&export.again);
		audit_lines_close(&lines);
	}
	audit_walk_end(&export.walk);
	return err;
}
