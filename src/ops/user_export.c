/*
 * user_export.c - GET /v1/users/{id}/export: what the store has of a person, streamed as lines of JSON. Its end is a line of type "end".
 *
 *   READ    a reader makes the next lines, in a transaction of its own
 *   SEND    they go out in pieces; a client that is slow is waited for
 */
#include "command/change.h"
#include "identity/identity.h"
#include "ops/user_export_priv.h"

#define PIECE_BYTES       65536
#define QUEUE_BYTES       (LIMIT_CONN_QUEUE_BYTES / 2) /* then it is waited */
#define TEXT_BYTES        (64 * 1024 * 1024)
#define TEXT_BYTES_WANTED 1048576
#define STEPS_READ        8

struct user_export {
	struct read_job job; /* first */
	struct guild *guild;
	struct http_request *request; /* until the stream began */
	struct http_stream *stream;   /* NULL: not begun, or the client went away */
	struct arena arena;
	struct user_export_place place;
	bool is_reading, is_over;
	struct buf text; /* lines under way */
	size_t sent;     /* of them */
};

static void stream_drained(struct http_stream *stream, void *owner);
static void stream_closed(struct http_stream *stream, void *owner);

static const struct http_stream_handler stream_handler = {stream_drained, stream_closed};

static void export_free(struct user_export *export)
{
	struct arena arena = export->arena;
	buf_fini(&export->text);
	arena_fini(&arena);
}

static enum err read_run(struct read_job *job, struct db *db)
{
	struct user_export *export = (struct user_export *)job;
	enum err err = ERR_OK;
	buf_clear(&export->text);
	for (int i = 0; i < STEPS_READ && err == ERR_OK && !export->place.is_last && export->text.len < TEXT_BYTES_WANTED; i++) {
		err = user_export_step(&export->place, db, &export->text);
	}
	return err;
}

static void fail(struct user_export *export, enum err err)
{
	export->is_over = true;
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

static void read_next(struct user_export *export)
{
	enum err err = reader_push(export->guild->readers, &export->job);
	export->is_reading = err == ERR_OK;
	if (err != ERR_OK) {
		fail(export, err);
	}
}

/* As much as the connection takes. */
static void pump(struct user_export *export)
{
	while (export->sent < export->text.len && http_stream_queued_bytes(export->stream) < QUEUE_BYTES) {
		struct str piece = str_sub(buf_str(&export->text), export->sent, PIECE_BYTES);
		struct frame *frame = http_sse_chunk(piece);
		enum err err = frame != NULL ? http_stream_send_take(export->stream, frame) : ERR_MEMORY;
		if (err == ERR_TOO_SLOW || err == ERR_END) {
			return;
		}
		if (err != ERR_OK) {
			fail(export, err);
			return;
		}
		export->sent += piece.len;
	}
	if (export->sent < export->text.len) {
		return;
	}
	if (export->place.is_last) {
		export->is_over = true;
		http_stream_end(export->stream);
	} else {
		read_next(export);
	}
}

static void read_done(struct read_job *job)
{
	struct user_export *export = (struct user_export *)job;
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
		http_reply_header(request, "Content-Disposition", STR("attachment; filename=\"user.jsonl\""));
		if (http_stream_start_text(request, STR("application/jsonl"), &stream_handler, export, &export->stream) != ERR_OK) {
			export_free(export);
			return;
		}
	}
	export->sent = 0;
	pump(export);
}

static void stream_drained(struct http_stream *stream, void *owner)
{
	struct user_export *export = owner;
	(void)stream;
	if (!export->is_reading && !export->is_over) {
		pump(export);
	}
}

static void stream_closed(struct http_stream *stream, void *owner)
{
	struct user_export *export = owner;
	(void)stream;
	export->stream = NULL;
	export->is_over = true;
	if (!export->is_reading) {
		export_free(export);
	}
}

static void export_start(struct http_request *request, struct guild *guild, void *arg)
{
	struct arena arena;
	arena_init(&arena, 65536);
	struct user_export *export = arena_new(&arena, struct user_export);
	if (export == NULL) {
		arena_fini(&arena);
		http_reply_error(request, ERR_MEMORY, NULL);
		return;
	}
	export->arena = arena;
	export->guild = guild;
	export->request = request;
	export->place = (struct user_export_place){.guild = guild, .principal = *(int64_t *)arg};
	export->job = (struct read_job){.run = read_run, .done = read_done, .home = request->loop};
	buf_init(&export->text, TEXT_BYTES);
	read_next(export);
}

void user_export_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct principal *person = erase_target(guild, request);
	if (person == NULL) {
		return;
	}
	int64_t *principal = arena_new(&request->arena, int64_t);
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, person->id);
	struct change_what what = {
		.change = arena_format(&request->arena, "{\"path\":\"/v1/users/{id}/export\",\"principal_id\":\"%s\"}", id.text)};
	if (request->local || principal == NULL || what.change.at == NULL) {
		http_reply_error(request, request->local ? ERR_NOT_IMPLEMENTED : ERR_MEMORY, NULL);
		return;
	}
	*principal = person->id;
	change_read(guild, request, &what, export_start, principal);
}
