/* library.c - the public functions: what each checks, and which call it makes. */
#include "app/library_priv.h"

#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "wire/json.h"
#include "wire/url.h"
#include "wire/utf8.h"

#define DISPATCH_MAX 512

static enum guild_error usable(const struct guild_handle *handle);
static enum guild_error detail_set(char *detail, enum guild_error error, const char *text);
static struct guild_handle *handle_create(struct library *library);
static void handle_destroy(struct guild_handle *handle);
static void library_stop(struct library *library);

/* ---- words ---- */

const char *guild_version(void)
{
	return GUILD_VERSION;
}

const char *guild_error_text(int error)
{
	static const char *const texts[] = {
		[GUILD_OK] = "Done.",
		[GUILD_ERR_INVALID] = "An argument is not valid.",
		[GUILD_ERR_IN_USE] = "The data directory is in use.",
		[GUILD_ERR_WRONG_THREAD] = "This call would wait for itself.",
		[GUILD_ERR_FORKED] = "The handle was opened before fork(); open another one in this process.",
		[GUILD_ERR_MEMORY] = "Out of memory.",
		[GUILD_ERR_LIMIT] = "A limit was reached: too many calls under way, or events that nobody dispatched.",
		[GUILD_ERR_IO] = "The disk or the network failed.",
		[GUILD_ERR_CONFIG] = "A setting is not valid.",
		[GUILD_ERR_NEWER] = "The store was written by a newer version.",
		[GUILD_ERR_CORRUPT] = "The store is damaged, or its key file does not fit.",
		[GUILD_ERR_CLOSED] = "The handle was closed.",
		[GUILD_ERR_CANCELLED] = "The call was cancelled.",
		[GUILD_ERR_TIMED_OUT] = "The call took too long.",
		[GUILD_ERR_NOT_FOUND] = "No such call is under way.",
		[GUILD_ERR_INTERNAL] = "Something went wrong inside.",
	};
	if (error < 0 || (size_t)error >= sizeof(texts) / sizeof(texts[0])) {
		return "Unknown error.";
	}
	return texts[error];
}

enum guild_error library_error(enum err err)
{
	switch (err) {
	case ERR_OK: return GUILD_OK;
	case ERR_MALFORMED:
	case ERR_INVALID: return GUILD_ERR_INVALID;
	case ERR_IN_USE: return GUILD_ERR_IN_USE;
	case ERR_WRONG_THREAD: return GUILD_ERR_WRONG_THREAD;
	case ERR_FORKED: return GUILD_ERR_FORKED;
	case ERR_MEMORY: return GUILD_ERR_MEMORY;
	case ERR_LIMIT:
	case ERR_OVERLOADED:
	case ERR_TOO_SLOW: return GUILD_ERR_LIMIT;
	case ERR_IO:
	case ERR_STORE_UNAVAILABLE:
	case ERR_PROVIDER_FAILED: return GUILD_ERR_IO;
	case ERR_CONFIG: return GUILD_ERR_CONFIG;
	case ERR_NEWER: return GUILD_ERR_NEWER;
	case ERR_CORRUPT:
	case ERR_KEY: return GUILD_ERR_CORRUPT;
	case ERR_GOING_AWAY: return GUILD_ERR_CLOSED;
	case ERR_CANCELLED: return GUILD_ERR_CANCELLED;
	case ERR_TIMED_OUT:
	case ERR_PROVIDER_TIMEOUT: return GUILD_ERR_TIMED_OUT;
	case ERR_NOT_FOUND: return GUILD_ERR_NOT_FOUND;
	default: return GUILD_ERR_INTERNAL;
	}
}

/* ---- opening and closing ---- */

enum err library_create(struct library **out, struct guild_handle **first)
{
	struct library *library = mem_alloc(sizeof(*library));
	if (library == NULL) {
		return ERR_MEMORY;
	}
	check(pthread_mutex_init(&library->lock, NULL) == 0);
	library->pid = getpid();
	list_init(&library->handles);
	list_init(&library->calls);
	buf_init(&library->url, LIMIT_TARGET_BYTES);
	buf_init(&library->token_header, LIMIT_TARGET_BYTES);
	*first = handle_create(library);
	if (*first == NULL) {
		library_discard(&library, first);
		return ERR_MEMORY;
	}
	*out = library;
	return ERR_OK;
}

void library_discard(struct library **library, struct guild_handle **first)
{
	if (*first != NULL) {
		handle_destroy(*first);
		*first = NULL;
	}
	buf_fini(&(*library)->url);
	buf_fini(&(*library)->token_header);
	check(pthread_mutex_destroy(&(*library)->lock) == 0);
	mem_free(*library);
	*library = NULL;
}

int guild_open(const char *path, const struct guild_options *options, struct guild_handle **out, char *detail)
{
	struct library *library;
	char reason[GUILD_DETAIL_BYTES] = "";

	if (path == NULL || path[0] == '\0' || out == NULL) {
		return detail_set(detail, GUILD_ERR_INVALID, "The path of a data directory, or \":memory:\", is needed.");
	}
	if (loop_current() != NULL) {
		return detail_set(detail, GUILD_ERR_WRONG_THREAD, guild_error_text(GUILD_ERR_WRONG_THREAD));
	}
	enum err err = library_create(&library, out);
	if (err != ERR_OK) {
		return detail_set(detail, library_error(err), guild_error_text(library_error(err)));
	}
	err = library_local_open(library, path, options, reason);
	if (err != ERR_OK) {
		library_discard(&library, out);
		return detail_set(detail, library_error(err), reason[0] ? reason : guild_error_text(library_error(err)));
	}
	return detail_set(detail, GUILD_OK, "");
}

int guild_connect(const char *url, const char *token, struct guild_handle **out, char *detail)
{
	struct library *library;
	char reason[GUILD_DETAIL_BYTES] = "";

	if (url == NULL || out == NULL) {
		return detail_set(detail, GUILD_ERR_INVALID, "The URL of a server is needed.");
	}
	enum err err = library_create(&library, out);
	if (err != ERR_OK) {
		return detail_set(detail, library_error(err), guild_error_text(library_error(err)));
	}
	err = library_remote_open(library, url, token, reason);
	if (err != ERR_OK) {
		library_discard(&library, out);
		return detail_set(detail, library_error(err), reason[0] ? reason : guild_error_text(library_error(err)));
	}
	return detail_set(detail, GUILD_OK, "");
}

int guild_dup(struct guild_handle *handle, struct guild_handle **out)
{
	enum guild_error error = usable(handle);
	if (error != GUILD_OK) {
		return error;
	}
	library_lock(handle->library);
	*out = handle->closing ? NULL : handle_create(handle->library);
	error = *out != NULL ? GUILD_OK : handle->closing ? GUILD_ERR_CLOSED : GUILD_ERR_LIMIT;
	library_unlock(handle->library);
	return error;
}

int guild_close(struct guild_handle **handle)
{
	if (handle == NULL || *handle == NULL) {
		return GUILD_OK;
	}
	struct guild_handle *closing = *handle;
	struct library *library = closing->library;
	enum guild_error error = usable(closing);
	if (error != GUILD_OK) {
		return error;
	}
	library_lock(library);
	if (loop_current() != NULL || closing->dispatching || closing->closing || closing->waiting > 0) {
		library_unlock(library);
		return GUILD_ERR_WRONG_THREAD;
	}
	closing->closing = true;
	for (struct list *at = library->calls.next, *next; at != &library->calls; at = next) {
		next = at->next;
		struct library_call *call = container_of(at, struct library_call, link);
		if (call->handle == closing) {
			library_call_let_go(call, GUILD_ERR_CLOSED);
		}
	}
	library_unlock(library);
	library_queue_run(closing, SIZE_MAX, NULL);
	library_lock(library);
	handle_destroy(closing);
	bool last = list_empty(&library->handles);
	library_unlock(library);
	if (last) {
		library_stop(library);
	}
	*handle = NULL;
	return GUILD_OK;
}

/* ---- calls ---- */

int guild_call(struct guild_handle *handle, const struct guild_request *request, struct guild_reply *reply)
{
	struct library_call *call;
	enum guild_error error = usable(handle);
	if (error != GUILD_OK) {
		return error;
	}
	if (loop_current() != NULL) {
		return GUILD_ERR_WRONG_THREAD;
	}
	if (reply == NULL) {
		return GUILD_ERR_INVALID;
	}
	error = library_call_create(handle, request, &call);
	if (error != GUILD_OK) {
		return error;
	}
	struct library *library = handle->library;
	library_lock(library);
	handle->waiting++;
	library_unlock(library);
	error = library_call_begin(call, NULL);
	library_lock(library);
	if (error != GUILD_OK) {
		handle->waiting--;
		library_unlock(library);
		return error;
	}
	while (!call->taken) {
		struct list *link = list_pop(&call->items);
		if (link == NULL) {
			check(pthread_cond_wait(&call->changed, &library->lock) == 0);
			continue;
		}
		struct library_item *item = container_of(link, struct library_item, link);
		if (item->end) {
			call->taken = true;
			break;
		}
		handle->queued_bytes -= item->type_len + item->data_len;
		library_unlock(library);
		call->on_event(call->event_ctx, item->text, item->text + item->type_len + 1, item->data_len);
		mem_free(item);
		library_lock(library);
	}
	error = call->error;
	if (error == GUILD_OK) {
		library_call_reply(call, reply);
		call->reply = (struct buf){0};
	}
	library_call_free_if_over(call);
	handle->waiting--;
	library_unlock(library);
	return error;
}

void guild_reply_free(struct guild_reply *reply)
{
	mem_free(reply->body);
	*reply = (struct guild_reply){0};
}

int guild_call_start(struct guild_handle *handle, const struct guild_request *request, guild_done_fn *on_done, void *ctx,
		     uint64_t *id)
{
	struct library_call *call;
	enum guild_error error = usable(handle);
	if (error != GUILD_OK) {
		return error;
	}
	if (on_done == NULL) {
		return GUILD_ERR_INVALID;
	}
	error = library_call_create(handle, request, &call);
	if (error != GUILD_OK) {
		return error;
	}
	call->on_done = on_done;
	call->done_ctx = ctx;
	return library_call_begin(call, id);
}

int guild_cancel_call(struct guild_handle *handle, uint64_t id)
{
	enum guild_error error = usable(handle);
	if (error != GUILD_OK) {
		return error;
	}
	struct library *library = handle->library;
	error = GUILD_ERR_NOT_FOUND;
	library_lock(library);
	for (struct list *at = library->calls.next; at != &library->calls; at = at->next) {
		struct library_call *call = container_of(at, struct library_call, link);
		if (call->id == id && call->handle == handle && !call->ended) {
			library_call_let_go(call, GUILD_ERR_CANCELLED);
			error = GUILD_OK;
			break;
		}
	}
	library_unlock(library);
	return error;
}

int guild_fd(struct guild_handle *handle)
{
	return usable(handle) == GUILD_OK ? handle->fd : -1;
}

int guild_dispatch(struct guild_handle *handle, size_t *handled)
{
	if (handled != NULL) {
		*handled = 0;
	}
	enum guild_error error = usable(handle);
	if (error != GUILD_OK) {
		return error;
	}
	library_queue_run(handle, DISPATCH_MAX, handled);
	return GUILD_OK;
}

/* ---- the common calls ---- */

/* Makes the call with body, a buf of JSON that is freed here. */
static int post(struct guild_handle *handle, struct guild_request *request, struct buf *body, struct guild_reply *reply)
{
	buf_put_byte(body, '\0');
	int error = GUILD_ERR_INVALID;
	if (buf_err(body) == ERR_OK) {
		request->method = "POST";
		request->body = body->at;
		error = guild_call(handle, request, reply);
	}
	buf_fini(body);
	return error;
}

/* Arguments have to be UTF-8: the writer would replace what is not, and the engine would take another name for the one given. */
static bool put_text(struct json_out *json, struct str name, const char *text)
{
	if (text == NULL) {
		return true;
	}
	json_put_str(json, name, str_of(text));
	return utf8_valid(str_of(text));
}

static bool put_texts(struct json_out *json, struct str name, const char *const *texts)
{
	bool valid = true;
	if (texts == NULL) {
		return true;
	}
	json_name(json, name);
	json_array(json);
	for (; *texts != NULL; texts++) {
		json_str(json, str_of(*texts));
		valid &= utf8_valid(str_of(*texts));
	}
	json_array_end(json);
	return valid;
}

int guild_chat(struct guild_handle *handle, const struct guild_chat *chat, struct guild_reply *reply)
{
	struct buf body;
	struct json_out json;

	if (chat == NULL || chat->message == NULL) {
		return GUILD_ERR_INVALID;
	}
	buf_init(&body, LIMIT_BODY_BYTES + 1);
	json_begin(&json, &body);
	json_object(&json);
	bool valid = put_text(&json, STR("agent"), chat->agent);
	valid &= put_text(&json, STR("message"), chat->message);
	valid &= put_text(&json, STR("session_id"), chat->session_id);
	valid &= put_text(&json, STR("priority"), chat->priority);
	valid &= put_text(&json, STR("parent_execution_id"), chat->parent_execution_id);
	valid &= put_texts(&json, STR("after"), chat->after);
	json_put_bool(&json, STR("stream"), chat->on_event != NULL);
	json_object_end(&json);
	if (!valid) {
		buf_fini(&body);
		return GUILD_ERR_INVALID;
	}
	struct guild_request request = {.target = "/v1/chat",
		.user = chat->user,
		.idempotency_key = chat->idempotency_key,
		.on_event = chat->on_event,
		.ctx = chat->ctx};
	return post(handle, &request, &body, reply);
}

int guild_agent_create(struct guild_handle *handle, const char *name, const char *maturity, const char *category,
		       struct guild_reply *reply)
{
	struct buf body;
	struct json_out json;

	buf_init(&body, LIMIT_BODY_BYTES + 1);
	json_begin(&json, &body);
	json_object(&json);
	bool valid = put_text(&json, STR("name"), name != NULL ? name : "");
	valid &= put_text(&json, STR("maturity"), maturity);
	valid &= put_text(&json, STR("category"), category);
	json_object_end(&json);
	if (!valid) {
		buf_fini(&body);
		return GUILD_ERR_INVALID;
	}
	struct guild_request request = {.target = "/v1/agents"};
	return post(handle, &request, &body, reply);
}

int guild_decide(struct guild_handle *handle, const char *agent, const char *action, bool require_approval,
		 struct guild_reply *reply)
{
	struct buf body, target;
	struct json_out json;

	if (agent == NULL || agent[0] == '\0' || action == NULL) {
		return GUILD_ERR_INVALID;
	}
	buf_init(&target, LIMIT_TARGET_BYTES);
	buf_put_str(&target, STR("/v1/agents/"));
	url_encode(&target, str_of(agent));
	buf_put(&target, "/decide", sizeof("/decide"));
	buf_init(&body, LIMIT_BODY_BYTES + 1);
	json_begin(&json, &body);
	json_object(&json);
	bool valid = put_text(&json, STR("action"), action);
	json_put_bool(&json, STR("require_approval"), require_approval);
	json_object_end(&json);
	int error = GUILD_ERR_INVALID;
	if (valid && buf_err(&target) == ERR_OK) {
		struct guild_request request = {.target = target.at};
		error = post(handle, &request, &body, reply);
	} else {
		buf_fini(&body);
	}
	buf_fini(&target);
	return error;
}

/* ---- helpers ---- */

/* Comes before any lock: after fork a thread that does not exist here may be holding it. */
static enum guild_error usable(const struct guild_handle *handle)
{
	if (handle == NULL) {
		return GUILD_ERR_INVALID;
	}
	return handle->library->pid == getpid() ? GUILD_OK : GUILD_ERR_FORKED;
}

static enum guild_error detail_set(char *detail, enum guild_error error, const char *text)
{
	if (detail != NULL) {
		str_to_z(str_of(text), detail, GUILD_DETAIL_BYTES);
	}
	return error;
}

static struct guild_handle *handle_create(struct library *library)
{
	struct guild_handle *handle = mem_alloc(sizeof(*handle));
	if (handle == NULL) {
		return NULL;
	}
	handle->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (handle->fd < 0) {
		mem_free(handle);
		return NULL;
	}
	handle->library = library;
	list_init(&handle->ready);
	list_push(&library->handles, &handle->link);
	return handle;
}

static void handle_destroy(struct guild_handle *handle)
{
	check(list_empty(&handle->ready));
	list_remove(&handle->link);
	close(handle->fd);
	mem_free(handle);
}


/* The last handle is gone. */
static void library_stop(struct library *library)
{
	struct guild_handle *none = NULL;

	library->door->stop(library);
	/* What the door had not done when its threads ended: the users have been told already, by guild_close of their handles. */
	for (struct list *link; (link = list_pop(&library->calls)) != NULL;) {
		struct library_call *call = container_of(link, struct library_call, link);
		call->door_done = true;
		call->cancel_posted = false;
		check(library_call_free_if_over(call));
	}
	library_discard(&library, &none);
}
