/*
 * audit_export.c - GET /v1/audit/export: the whole log, streamed.
 *
 *   READ    a reader makes the next lines, in a transaction of its own
 *   SEND    they go out in pieces; a client that is slow is waited for
 *   END     the last line is sent, or the connection was closed in the middle
 *
 * It goes as far as the log went when it began, so that it ends. What belongs to other workspaces is withheld: its hashes stand.
 */
#include "audit/export.h"
#include "audit/tree_store.h"
#include "command/change.h"
#include "ops/ops_priv.h"

#define PIECE_BYTES 65536
#define QUEUE_BYTES (LIMIT_CONN_QUEUE_BYTES / 2) /* then it is waited */
#define TEXT_BYTES  (4 * LIMIT_AUDIT_LINE_BYTES)
#define TEXT_BYTES_WANTED 1048576 /* lines of long entries: fewer at once */

enum export_state { EXPORT_READ, EXPORT_SEND, EXPORT_END };

struct export {
	struct read_job job; /* first */
	struct guild *guild;
	struct http_request *request; /* until the stream began */
	struct http_stream *stream;   /* NULL: not begun, or the client went away */
	struct arena arena;
	int64_t workspace;
	enum export_state state;
	bool everything;     /* an operator's */
	bool is_reading, is_last;
	struct buf text;     /* lines under way */
	size_t sent;         /* of them */
	struct log_head head;
	int64_t upto;        /* newest row; -1: not looked up yet */
	struct audit_checkpoint checkpoint; /* next one to come; size 0: none */
};

static enum err read_run(struct read_job *job, struct db *db);
static void read_done(struct read_job *job);
static void stream_drained(struct http_stream *stream, void *owner);
static void stream_closed(struct http_stream *stream, void *owner);

static const struct http_stream_handler stream_handler = {stream_drained, stream_closed};

static void export_free(struct export *export)
{
	struct arena arena = export->arena;
	buf_fini(&export->text);
	arena_fini(&arena);
}

/* ---- reading ---- */

static enum err checkpoint_find(struct export *export, struct db *db, int64_t after)
{
	enum err err = audit_checkpoint_next(db, after, &export->checkpoint);
	if (err == ERR_NOT_FOUND) {
		export->checkpoint.size = 0;
		err = ERR_OK;
	}
	return err;
}

static enum err begin(struct export *export, struct db *db)
{
	struct log_head head;
	struct str key;
	enum err err = log_head_read(db, &head);
	err = err == ERR_OK ? db_meta_get(db, STR("audit_public"), &export->arena, &key) : err;
	if (err == ERR_OK && key.len != AUDIT_PUBLIC_BYTES) {
		err = ERR_CORRUPT;
	}
	if (err == ERR_OK) {
		export->upto = head.seq;
		audit_export_first(&export->text, export->guild->epoch, (const uint8_t *)key.at);
		err = checkpoint_find(export, db, 0);
	}
	return err;
}

struct row_place {
	struct export *export;
	struct db *db;
};

/* ERR_END: enough for now. */
static enum err row_put(const struct log_row *row, void *arg)
{
	struct row_place *place = arg;
	struct export *export = place->export;
	enum err err = ERR_OK;
	if (row->seq > export->upto) {
		return ERR_END;
	}
	bool withheld = row->workspace != export->workspace && !export->everything && (row->kinds & LOG_AUDIT) != 0;
	audit_export_row(&export->text, row, withheld);
	export->head.seq = row->seq;
	memcpy(export->head.hash, row->hash, HASH_SHA256_BYTES);
	while (err == ERR_OK && export->checkpoint.size != 0 && export->checkpoint.size <= row->seq) {
		audit_export_checkpoint(&export->text, &export->checkpoint);
		err = checkpoint_find(export, place->db, export->checkpoint.size);
	}
	return err == ERR_OK && export->text.len > TEXT_BYTES_WANTED ? ERR_END : err;
}

static enum err read_run(struct read_job *job, struct db *db)
{
	struct export *export = (struct export *)job;
	struct row_place place = {export, db};
	int64_t before = export->head.seq;
	buf_clear(&export->text);
	enum err err = export->upto < 0 ? begin(export, db) : ERR_OK;
	err = err == ERR_OK && export->checkpoint.size == 0 ? checkpoint_find(export, db, before) : err;
	err = err == ERR_OK ? log_read(db, before, LIMIT_AUDIT_EXPORT_ROWS, row_put, &place) : err;
	if (err != ERR_OK && err != ERR_END) {
		return err;
	}
	export->is_last = export->head.seq >= export->upto || export->head.seq == before;
	if (export->is_last) {
		audit_export_end(&export->text, &export->head);
	}
	return buf_err(&export->text);
}

/* ---- sending ---- */

static void fail(struct export *export, enum err err)
{
	export->state = EXPORT_END;
	if (export->stream != NULL) {
		http_stream_break(export->stream);
	} else if (export->request != NULL) {
		struct http_request *request = export->request;
		export->request = NULL;
		export_free(export);
		http_reply_error(request, err, NULL);
	} else {
		export_free(export);
	}
}

static void read_next(struct export *export)
{
	export->state = EXPORT_READ;
	enum err err = reader_push(export->guild->readers, &export->job);
	export->is_reading = err == ERR_OK;
	if (err != ERR_OK) {
		fail(export, err);
	}
}

/* As much as the connection takes. */
static void pump(struct export *export)
{
	while (export->sent < export->text.len && http_stream_queued_bytes(export->stream) < QUEUE_BYTES) {
		struct str piece = str_sub(buf_str(&export->text), export->sent, PIECE_BYTES);
		struct frame *frame = http_sse_chunk(piece);
		enum err err = frame != NULL ? http_stream_send_take(export->stream, frame) : ERR_MEMORY;
		if (err == ERR_TOO_SLOW) {
			return;
		}
		if (err != ERR_OK) {
			if (err != ERR_END) {
				fail(export, err);
			}
			return;
		}
		export->sent += piece.len;
	}
	if (export->sent < export->text.len) {
		return;
	}
	if (export->is_last) {
		export->state = EXPORT_END;
		http_stream_end(export->stream);
	} else {
		read_next(export);
	}
}

static void read_done(struct read_job *job)
{
	struct export *export = (struct export *)job;
	export->is_reading = false;
	if (export->request == NULL && export->stream == NULL) {
		export_free(export);
		return;
	}
	if (job->result != ERR_OK) {
		fail(export, job->result);
		return;
	}
	if (export->request != NULL) {
		struct http_request *request = export->request;
		export->request = NULL;
		http_reply_header(request, "Content-Disposition", STR("attachment; filename=\"audit.jsonl\""));
		enum err err = http_stream_start_text(request, STR("application/jsonl"), &stream_handler, export, &export->stream);
		if (err != ERR_OK) {
			export_free(export);
			return;
		}
	}
	export->state = EXPORT_SEND;
	export->sent = 0;
	pump(export);
}

static void stream_drained(struct http_stream *stream, void *owner)
{
	struct export *export = owner;
	(void)stream;
	if (export->state == EXPORT_SEND) {
		pump(export);
	}
}

static void stream_closed(struct http_stream *stream, void *owner)
{
	struct export *export = owner;
	(void)stream;
	export->stream = NULL;
	export->state = EXPORT_END;
	if (!export->is_reading) {
		export_free(export);
	}
}

/* ---- the row ---- */

static void export_start(struct http_request *request, struct guild *guild, void *arg)
{
	(void)arg;
	struct arena arena;
	arena_init(&arena, 65536);
	struct export *export = arena_new(&arena, struct export);
	if (export == NULL) {
		arena_fini(&arena);
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	export->arena = arena;
	export->guild = guild;
	export->request = request;
	export->workspace = request->caller.workspace;
	export->everything = request->caller.role == ROLE_OPERATOR;
	export->upto = -1;
	export->job = (struct read_job){.run = read_run, .done = read_done, .home = request->loop};
	buf_init(&export->text, TEXT_BYTES);
	read_next(export);
}

void audit_export_handle(struct http_request *request, void *ctx)
{
	if (request->local) {
		http_reply_error(request, ERR_NOT_IMPLEMENTED, "An export goes over HTTP only.");
		return;
	}
	struct change_what what = {.change = STR("{\"path\":\"/v1/audit/export\"}")};
	change_read(ctx, request, &what, export_start, NULL);
}
