/* idempotency.c - requests that come again, answers that are kept for them, and the sweep of old ones. */
#include "command/idempotency.h"

#include "base/check.h"
#include "base/list.h"
#include "base/mem.h"
#include "command/guild.h"
#include "db/log.h"
#include "http/http.h"

#define RETRY_MS 1000
/* An answer that was not stored by then never will be: it is made again of what the log says. */
#define ANSWER_US 10000000
#define PASS_US (INT64_C(6) * 3600 * 1000000)
#define STEP_US 20000
#define STEP_FAILED_US 1000000

/* A request that may have been done before. In its arena. */
struct look {
	struct read_job read;
	struct http_request *request;
	struct guild *guild;
	struct idempotency_row row;
	/* of the log row, when the answer has to be made again */
	int outcome;
	int64_t log_time_us;
	struct str entry, event_type, event_data;
};

struct request_claim {
	struct idempotency_claim claim; /* first */
	struct http_request *request;
};

/* An answer on its way to the store. In the request's arena. */
struct keep {
	struct write_job job;
	struct http_request *request;
	int status;
	struct str text, again;
};

struct idempotency {
	struct write_job job;
	struct guild *guild;
	struct loop *loop;
	struct loop_note note;
	struct loop_timer timer;
	struct idempotency_cursor cursor, next;
	bool more;
};

static enum err look_run(struct read_job *job, struct db *db);
static void look_done(struct read_job *job);
static void found(struct look *look);
static void made_again(struct look *look);
static void refused_again(struct look *look, struct str audit_id);
static void claim_done(struct idempotency_claim *claim, enum err err);
static enum err claim_apply(struct write_job *job, struct db *db);
static void claim_applied(struct write_job *job);
static enum err keep_apply(struct write_job *job, struct db *db);
static void keep_done(struct write_job *job);
static void sweep_begin(struct loop_note *note, struct loop *loop);
static void sweep_run(struct loop_timer *timer, struct loop *loop);
static enum err sweep_apply(struct write_job *job, struct db *db);
static void sweep_done(struct write_job *job);

/* ---- was it done? ---- */

static void look_start(struct guild *guild, struct http_request *request)
{
	struct look *look = arena_new(&request->arena, struct look);
	enum err err = ERR_MEMORY;
	if (look != NULL) {
		look->request = request;
		look->guild = guild;
		look->read = (struct read_job){.run = look_run, .done = look_done, .home = request->loop};
		err = reader_push(guild->readers, &look->read);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

static void claim_start(struct guild *guild, struct http_request *request)
{
	struct request_claim *own = arena_new(&request->arena, struct request_claim);
	enum err err = ERR_MEMORY;
	if (own != NULL) {
		own->request = request;
		own->claim.idem = *request->idem;
		own->claim.done = claim_done;
		err = idempotency_claim_start(guild, request->loop, &own->claim);
	}
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

void idempotency_look(void *ctx, struct http_request *request)
{
	if ((request->route->flags & HTTP_CLAIM) != 0 && !request->idem->again) {
		claim_start(ctx, request);
	} else {
		look_start(ctx, request);
	}
}

static void claim_done(struct idempotency_claim *claim, enum err err)
{
	struct http_request *request = ((struct request_claim *)claim)->request;
	*request->idem = claim->idem;
	if (err == ERR_OK) {
		http_request_handle(request);
	} else {
		http_reply_error(request, err, NULL);
	}
}

static enum err log_take(const struct log_row *row, void *arg)
{
	struct look *look = arg;
	struct arena *arena = &look->request->arena;
	if (row->seq != look->row.log_seq) {
		return ERR_OK;
	}
	look->outcome = row->outcome;
	look->log_time_us = row->time_us;
	look->entry = row->entry.at != NULL ? arena_copy(arena, row->entry) : STR_NONE;
	look->event_type = row->event_type.at != NULL ? arena_copy(arena, row->event_type) : STR_NONE;
	look->event_data = row->event_data.at != NULL ? arena_copy(arena, row->event_data) : STR_NONE;
	return ERR_OK;
}

static enum err look_run(struct read_job *job, struct db *db)
{
	struct look *look = container_of(job, struct look, read);
	struct http_request *request = look->request;
	enum err err = idempotency_get(db, &request->arena, request->idem, env_wall_us(look->guild->env), &look->row);
	if (err == ERR_OK && look->row.status == 0 && look->row.log_seq != 0) {
		err = log_read(db, look->row.log_seq - 1, 1, log_take, look);
	}
	return err;
}

static void busy(struct http_request *request)
{
	http_reply_problem(request, &(struct http_problem){.err = ERR_CONFLICT,
		.detail = STR("A request with this Idempotency-Key is being answered."),
		.retry_after_ms = RETRY_MS});
}

static void look_done(struct read_job *job)
{
	struct look *look = container_of(job, struct look, read);
	struct http_request *request = look->request;
	if (job->result == ERR_NOT_FOUND && !request->idem->again) {
		http_request_handle(request);
	} else if (job->result == ERR_NOT_FOUND) {
		busy(request);
	} else if (job->result != ERR_OK) {
		http_reply_error(request, job->result, NULL);
	} else if (memcmp(look->row.request_hash, request->idem->request_hash, IDEM_HASH_BYTES) != 0) {
		http_reply_invalid(request, "Idempotency-Key", "This Idempotency-Key was used for another request.");
	} else {
		found(look);
	}
}

/* ---- the answer again ---- */

static void found(struct look *look)
{
	struct http_request *request = look->request;
	struct guild *guild = look->guild;
	int64_t now_us = env_wall_us(guild->env);
	bool ours = look->row.process == command_process(guild->commands);
	if (look->row.execution != 0) {
		guild->run_again(guild, request, look->row.execution);
	} else if (look->row.status != 0) {
		http_reply_header(request, "Idempotency-Replayed", STR("true"));
		http_reply_stored(request, look->row.status, look->row.reply);
	} else if (ours && look->row.made_at_us + ANSWER_US > now_us) {
		busy(request);
	} else {
		made_again(look);
	}
}

/* The process ended between the work and its answer. The event's data is the object where the request made one. */
static void made_again(struct look *look)
{
	static const struct str objects[] = {STR("agent_post"), STR("reply_added"), STR("direct_message"), STR("channel_created")};
	struct http_request *request = look->request;
	struct id_text audit = id_format_log(&look->guild->id_secret, ID_AUDIT, look->log_time_us, look->row.log_seq);
	bool is_object = false;
	for (size_t i = 0; i < sizeof(objects) / sizeof(objects[0]); i++) {
		is_object |= look->event_type.at != NULL && str_eq(look->event_type, objects[i]);
	}
	http_reply_header(request, "Idempotency-Replayed", STR("true"));
	if (look->entry.at != NULL && look->guild->entry_again != NULL &&
		look->guild->entry_again(request, look->entry, id_str(&audit))) {
		return;
	}
	if (look->outcome == OUTCOME_FAILED) {
		refused_again(look, id_str(&audit));
	} else if (is_object && look->event_data.at != NULL) {
		http_reply_stored(request, request->route->reply_status, look->event_data);
	} else if (request->route->reply == NULL && request->route->reply_status == 204) {
		http_reply_stored(request, 204, STR(""));
	} else {
		bool logged = look->log_time_us != 0;
		struct str text = arena_format(&request->arena, "{\"replayed\":true,\"audit_id\":%s%s%s}", logged ? "\"" : "",
			logged ? audit.text : "null", logged ? "\"" : "");
		http_reply_stored(request, 200, text.at != NULL ? text : STR("{\"replayed\":true,\"audit_id\":null}"));
	}
}

/* Of the audit entry. */
static void refused_again(struct look *look, struct str audit_id)
{
	struct http_request *request = look->request;
	struct json_doc doc;
	struct str text;
	struct http_problem problem = {.err = ERR_INTERNAL, .audit_id = audit_id, .logged = true};
	if (look->entry.at != NULL && json_parse(&request->arena, look->entry, &doc, NULL) == ERR_OK) {
		struct json entry = json_root(&doc);
		if (json_get_str(json_member(entry, STR("code")), &text)) {
			(void)err_by_code(text, &problem.err);
		}
		if (json_get_str(json_member(entry, STR("error_message")), &text)) {
			problem.detail = text;
		}
		if (json_get_str(json_member(entry, STR("rule_id")), &text)) {
			problem.rule_id = text;
		}
	}
	http_reply_problem(request, &problem);
}

/* ---- claims ---- */

enum err idempotency_claim_start(struct guild *guild, struct loop *loop, struct idempotency_claim *claim)
{
	claim->guild = guild;
	claim->job = (struct write_job){.apply = claim_apply, .done = claim_applied, .home = loop};
	return writer_push(guild->writer, &claim->job);
}

static enum err claim_apply(struct write_job *job, struct db *db)
{
	struct idempotency_claim *claim = container_of(job, struct idempotency_claim, job);
	struct idempotency_row row;
	struct arena arena;
	int64_t now_us = env_wall_us(claim->guild->env);
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	enum err err = idempotency_get(db, &arena, &claim->idem, now_us, &row);
	if (err == ERR_NOT_FOUND) {
		err = idempotency_keep(db, &claim->idem, 0, 0, command_process(claim->guild->commands), now_us);
	} else if (err == ERR_OK) {
		claim->same = memcmp(row.request_hash, claim->idem.request_hash, IDEM_HASH_BYTES) == 0;
		err = ERR_REPEATED;
	}
	arena_fini(&arena);
	return err;
}

static void claim_applied(struct write_job *job)
{
	struct idempotency_claim *claim = container_of(job, struct idempotency_claim, job);
	claim->idem.kept = job->result == ERR_OK;
	claim->done(claim, job->result);
}

/* ---- the answer, before it is sent ---- */

bool idempotency_reply(void *ctx, struct http_request *request, int status, struct str text, struct str again)
{
	struct guild *guild = ctx;
	struct keep *keep = again.len <= LIMIT_IDEMPOTENCY_REPLY_BYTES ? arena_new(&request->arena, struct keep) : NULL;
	if (keep == NULL) {
		return false;
	}
	*keep = (struct keep){.request = request, .status = status, .text = arena_copy(&request->arena, text)};
	keep->again = again.at == text.at ? keep->text : arena_copy(&request->arena, again);
	keep->job = (struct write_job){.apply = keep_apply, .done = keep_done, .home = request->loop};
	return keep->text.at != NULL && keep->again.at != NULL && writer_push(guild->writer, &keep->job) == ERR_OK;
}

/* A refusal of something that was claimed only has done nothing: it may be tried again. */
static enum err keep_apply(struct write_job *job, struct db *db)
{
	struct keep *keep = container_of(job, struct keep, job);
	const struct http_request *request = keep->request;
	bool refused = (request->route->flags & HTTP_CLAIM) != 0 && keep->status >= 400;
	return refused ? idempotency_forget(db, request->idem) : idempotency_answer(db, request->idem, keep->status, keep->again);
}

/* Stored or not: what it tells of is on disk. */
static void keep_done(struct write_job *job)
{
	struct keep *keep = container_of(job, struct keep, job);
	http_reply_stored(keep->request, keep->status, keep->text);
}

/* ---- the sweep ---- */

enum err idempotency_create(struct guild *guild, struct idempotency **out)
{
	struct idempotency *idempotency = mem_alloc(sizeof(*idempotency));
	if (idempotency == NULL) {
		return ERR_MEMORY;
	}
	idempotency->guild = guild;
	idempotency->loop = guild->loops[0];
	idempotency->note.run = sweep_begin;
	idempotency->timer.run = sweep_run;
	*out = idempotency;
	return ERR_OK;
}

void idempotency_start(struct idempotency *idempotency)
{
	loop_note_post(idempotency->loop, &idempotency->note);
}

void idempotency_destroy(struct idempotency **idempotency)
{
	if (*idempotency != NULL) {
		loop_timer_clear((*idempotency)->loop, &(*idempotency)->timer);
		mem_free(*idempotency);
		*idempotency = NULL;
	}
}

static void sweep_later(struct idempotency *idempotency, int64_t wait_us)
{
	(void)!loop_timer_set(idempotency->loop, &idempotency->timer, loop_now_us(idempotency->loop) + wait_us);
}

static void sweep_begin(struct loop_note *note, struct loop *loop)
{
	struct idempotency *idempotency = container_of(note, struct idempotency, note);
	(void)loop;
	sweep_later(idempotency, STEP_FAILED_US);
}

static void sweep_run(struct loop_timer *timer, struct loop *loop)
{
	struct idempotency *idempotency = container_of(timer, struct idempotency, timer);
	idempotency->job = (struct write_job){.apply = sweep_apply, .done = sweep_done, .home = loop, .sweep = true};
	if (writer_push(idempotency->guild->writer, &idempotency->job) != ERR_OK) {
		sweep_later(idempotency, STEP_FAILED_US);
	}
}

static enum err sweep_apply(struct write_job *job, struct db *db)
{
	struct idempotency *idempotency = container_of(job, struct idempotency, job);
	idempotency->next = idempotency->cursor;
	return idempotency_sweep(db, &idempotency->next, env_wall_us(idempotency->guild->env), &idempotency->more);
}

static void sweep_done(struct write_job *job)
{
	struct idempotency *idempotency = container_of(job, struct idempotency, job);
	if (job->result != ERR_OK) {
		sweep_later(idempotency, STEP_FAILED_US);
		return;
	}
	idempotency->cursor = idempotency->next;
	sweep_later(idempotency, idempotency->more ? STEP_US : PASS_US);
}
